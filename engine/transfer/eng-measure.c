/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions are kept as log-probabilities in binary16: those that carry weight in the divergence are close to zero, where
 * binary16 is finest, and what is rounded is rounded both ways: mean KL moves by less than 1e-5. */
#include "eng-measure.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "eng-arena.h"
#include "eng-error.h"
#include "eng-half.h"
#include "eng-quant.h"

#define LEAST (-60000.0f) /* a finite binary16 */

struct EngMeasure
{
  EngMeasureOptions options;
  EngSessionOptions session;
  int fd; /* [n_positions, n_vocab] binary16; -1: the reference has not read */
  EngTokenBuffer ids;
  uint32_t n_chunks, n_vocab;
  double reference_perplexity;
};

static EngStatus
io_error (EngError *error, const char *what)
{
  return eng_error_set (error, ENG_ERR_IO, NULL, ENG_OFFSET_NONE, "cannot %s the reference's predictions: %s", what,
                        strerror (errno));
}

EngStatus
eng_measure_new (const EngMeasureOptions *options, EngMeasure **out, EngError *error)
{
  EngMeasure *m = eng_alloc (sizeof *m);
  *out = m;
  if (!m)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  m->options = *options;
  m->session = *options->session;
  m->session.n_ctx = ENG_MEASURE_CHUNK;
  m->session.max_sequences = 1;
  m->session.max_outputs = ENG_PERPLEXITY_ROWS;
  m->fd = -1;
  if (!options->text)
    m->options.text = eng_measure_get_text (&m->options.text_bytes);
  return ENG_OK;
}

void
eng_measure_free (EngMeasure **measure)
{
  EngMeasure *m = *measure;
  if (!m)
    return;
  if (m->fd >= 0)
    close (m->fd);
  eng_token_buffer_free (&m->ids);
  eng_free (m);
  *measure = NULL;
}

/* A file that no name leads to, so that nothing is left whatever happens. */
static EngStatus
open_scratch (EngMeasure *m, EngError *error)
{
  size_t n = strlen (m->options.scratch_path) + 16;
  char *path = eng_alloc (n);
  if (!path)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  snprintf (path, n, "%s.part-XXXXXX", m->options.scratch_path);
  m->fd = mkstemp (path);
  EngStatus status = m->fd < 0 || unlink (path) != 0 ? io_error (error, "keep") : ENG_OK;
  eng_free (path);
  return status;
}

/* ---- Rows --------------------------------------------------------------------------------------- */

typedef struct
{
  EngMeasure *measure;
  EngScore score;
  uint16_t *row;
  float *reference; /* NULL: the reference itself reads */
} Reading;

static EngStatus
move_bytes (int fd, bool is_write, void *data, size_t n, uint64_t offset, EngError *error)
{
  uint8_t *p = data;
  while (n > 0)
    {
      ssize_t done = is_write ? pwrite (fd, p, n, (off_t) offset) : pread (fd, p, n, (off_t) offset);
      if (done < 0 && errno == EINTR)
        continue;
      if (done <= 0)
        return io_error (error, is_write ? "keep" : "read");
      p += done;
      n -= (size_t) done;
      offset += (uint64_t) done;
    }
  return ENG_OK;
}

static EngStatus
row_cb (void *data, float *ours, float *unused, int32_t next, EngError *error)
{
  Reading *r = data;
  uint32_t n = r->measure->n_vocab;
  uint64_t n_bytes = (uint64_t) n * sizeof *r->row, at = r->score.n * n_bytes;
  (void) unused;
  if (r->reference)
    {
      EngStatus status = move_bytes (r->measure->fd, false, r->row, n_bytes, at, error);
      if (status != ENG_OK)
        return status;
      eng_dequantize_row (ENG_TYPE_F16, r->row, r->reference, n);
      eng_score_add (&r->score, ours, r->reference, next);
      return ENG_OK;
    }
  eng_score_add (&r->score, ours, NULL, next);
  for (uint32_t i = 0; i < n; i++)
    {
      if (isnan (ours[i]))
        return eng_error_set (error, ENG_ERR_FORMAT, NULL, ENG_OFFSET_NONE,
                              "the model computes numbers that are not finite; its file may be damaged");
      r->row[i] = eng_f32_to_f16 (ours[i] > LEAST ? ours[i] : LEAST);
    }
  return move_bytes (r->measure->fd, true, r->row, n_bytes, at, error);
}

static double
now_s (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

/* All chunks that were read so far, or as many as the time allows. */
static EngStatus
read_chunks (Reading *r, EngSession *session, const EngTransferOptions *transfer, uint32_t *n_done, EngError *error)
{
  EngMeasure *m = r->measure;
  EngSession *const sessions[2] = { session, NULL };
  double begin = now_s (), limit = r->reference ? 0.0 : m->options.max_seconds;
  EngStatus status = ENG_OK;
  *n_done = 0;
  while (*n_done < m->n_chunks && status == ENG_OK)
    {
      if (*n_done && limit > 0.0 && now_s () - begin >= limit)
        break;
      status = eng_perplexity_chunk (sessions, m->ids.ids + (uint64_t) *n_done * ENG_MEASURE_CHUNK, ENG_MEASURE_CHUNK,
                                     transfer->cancel, row_cb, r, error);
      ++*n_done;
      if (status == ENG_OK && transfer->progress)
        transfer->progress (transfer->progress_data, *n_done, m->n_chunks);
    }
  return status;
}

static EngStatus
begin_reading (Reading *r, bool has_reference, EngError *error)
{
  EngMeasure *m = r->measure;
  r->row = eng_alloc_array (m->n_vocab, sizeof *r->row);
  r->reference = has_reference ? eng_alloc_array (m->n_vocab, sizeof *r->reference) : NULL;
  if (!r->row || (has_reference && !r->reference))
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  return eng_score_begin (&r->score, m->n_vocab,
                          (uint64_t) m->n_chunks * eng_perplexity_positions (ENG_MEASURE_CHUNK), error);
}

static void
end_reading (Reading *r)
{
  eng_score_clear (&r->score);
  eng_free (r->row);
  eng_free (r->reference);
}

/* ---- The reference, and what is compared with it ------------------------------------------------ */

static EngStatus
encode_text (EngMeasure *m, EngSession *session, EngError *error)
{
  const EngTokenizer *tokenizer = eng_session_get_tokenizer (session);
  int32_t bos = eng_tokenizer_get_add_bos (tokenizer) ? eng_tokenizer_get_bos (tokenizer) : ENG_TOKEN_NONE;
  const EngPrompt prompt = { .text = m->options.text, .text_bytes = m->options.text_bytes };
  EngStatus status = eng_session_encode (session, &prompt, &m->ids, error);
  if (status != ENG_OK)
    return status;
  uint64_t n = m->ids.n / ENG_MEASURE_CHUNK;
  if (n == 0)
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "text", ENG_MEASURE_CHUNK, m->ids.n,
                                  "the text to measure with has %zu tokens; it needs %u: give one of a page or more",
                                  m->ids.n, ENG_MEASURE_CHUNK);
  m->n_chunks = n < ENG_MEASURE_MAX_CHUNKS ? (uint32_t) n : ENG_MEASURE_MAX_CHUNKS;
  for (uint32_t c = 0; c < m->n_chunks && bos != ENG_TOKEN_NONE; c++)
    m->ids.ids[c * ENG_MEASURE_CHUNK] = bos;
  return ENG_OK;
}

static EngStatus
read_reference (EngMeasure *m, EngSession *session, const EngTransferOptions *transfer, EngError *error)
{
  EngSession *const sessions[2] = { session, NULL };
  Reading r = { .measure = m };
  uint32_t n_done = 0;
  EngStatus status = eng_perplexity_check (sessions, error);
  if (status == ENG_OK)
    status = encode_text (m, session, error);
  if (status != ENG_OK)
    return status;
  m->n_vocab = eng_model_get_program (eng_session_get_model (session))->n_vocab;
  if ((status = open_scratch (m, error)) == ENG_OK && (status = begin_reading (&r, false, error)) == ENG_OK)
    status = read_chunks (&r, session, transfer, &n_done, error);
  m->n_chunks = n_done;
  m->reference_perplexity = eng_score_finish (&r.score, ENG_MEASURE_CHUNK, false).perplexity;
  end_reading (&r);
  return status;
}

EngStatus
eng_measure_prepare (EngMeasure *m, const EngTransferOptions *transfer, EngError *error)
{
  EngSession *session = NULL;
  if (m->fd >= 0)
    return ENG_OK;
  eng_token_buffer_clear (&m->ids);
  EngStatus status = eng_session_new (m->options.runtime, m->options.reference, &m->session, &session, error);
  if (status == ENG_OK)
    status = read_reference (m, session, transfer, error);
  eng_session_free (&session);
  if (status != ENG_OK && m->fd >= 0)
    {
      close (m->fd);
      m->fd = -1;
    }
  return status;
}

EngStatus
eng_measure_file (EngMeasure *m, const char *path, const EngTransferOptions *transfer, EngQuality *out, EngError *error)
{
  EngSessionOptions options = m->session;
  EngSession *session = NULL;
  Reading r = { .measure = m };
  uint32_t n_done;
  EngStatus status = eng_measure_prepare (m, transfer, error);
  if (status != ENG_OK)
    return status;
  options.without_text = true;
  status = eng_session_new (m->options.runtime, path, &options, &session, error);
  if (status == ENG_OK && eng_model_get_program (eng_session_get_model (session))->n_vocab != m->n_vocab)
    status = eng_error_set (error, ENG_ERR_ARGUMENT, "reference", ENG_OFFSET_NONE,
                            "the reference's vocabulary has another size");
  if (status == ENG_OK)
    status = begin_reading (&r, true, error);
  if (status == ENG_OK)
    status = read_chunks (&r, session, transfer, &n_done, error);
  if (status == ENG_OK)
    {
      *out = eng_score_finish (&r.score, ENG_MEASURE_CHUNK, true);
      out->reference_perplexity = m->reference_perplexity;
    }
  end_reading (&r);
  eng_session_free (&session);
  return status;
}
