/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-importance-gather.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-error.h"
#include "eng-gguf-writer.h"

#define ROWS 64u /* of a run: cancelling is looked at between two */
#define NAME_BYTES 512u

typedef struct
{
  double *sums;     /* [n_slices, n_cols], NULL: not seen */
  uint64_t *counts; /* [n_slices] rows */
  const char *name;
  uint64_t n_cols, n_slices;
} Matrix;

typedef struct
{
  EngSession *session;
  const EngProgram *program;
  const EngGguf *file;
  EngArena arena;
  Matrix *matrices; /* [tensors of the file] */
  bool out_of_memory;
} Gather;

static Matrix *
get_matrix (Gather *g, EngWeightId id)
{
  const EngWeightDesc *weight = &g->program->weights[id];
  Matrix *m = &g->matrices[weight->source];
  if (m->sums)
    return m;
  m->name = eng_gguf_get_tensor (g->file, weight->source)->name;
  m->n_cols = weight->n_cols;
  m->n_slices = weight->n_slices ? weight->n_slices : 1;
  m->sums = eng_arena_alloc_array (&g->arena, m->n_cols * m->n_slices, sizeof *m->sums);
  m->counts = eng_arena_alloc_array (&g->arena, m->n_slices, sizeof *m->counts);
  g->out_of_memory |= !m->sums || !m->counts;
  return g->out_of_memory ? NULL : m;
}

static void
add_row (Matrix *m, uint64_t slice, const float *x)
{
  double *sums = m->sums + slice * m->n_cols;
  m->counts[slice]++;
  for (uint64_t c = 0; c < m->n_cols; c++)
    sums[c] += (double) x[c] * x[c];
}

/* Each token's row counts for the experts that the router chose for it. */
static void
add_experts (Gather *g, Matrix *m, const EngStep *step, const float *src, const float *aux,
             uint32_t n_rows)
{
  uint32_t n_used = step->u.experts.n_used;
  uint64_t width = g->program->buffers[step->src].width;
  uint64_t aux_width = g->program->buffers[step->aux].width;
  for (uint32_t r = 0; r < n_rows; r++)
    for (uint32_t u = 0; u < n_used; u++)
      {
        float id = aux[r * aux_width + u];
        if (id >= 0.0f && id < (float) m->n_slices)
          add_row (m, (uint64_t) id, src + r * width);
      }
}

static void
observe_cb (void *data, const EngStep *step, const float *src, const float *aux, uint32_t n_rows)
{
  Gather *g = data;
  /* Matrices of the step that multiply its input. */
  uint32_t n = step->kind == ENG_STEP_QKV ? 3 : step->kind == ENG_STEP_GATE_UP || aux ? 2 : 1;
  uint64_t width = g->program->buffers[step->src].width;
  for (uint32_t i = 0; i < n; i++)
    {
      bool again = step->w[i] == ENG_WEIGHT_NONE;
      for (uint32_t k = 0; k < i && !again; k++) /* parts of one tensor */
        again = step->w[k] != ENG_WEIGHT_NONE
                && g->program->weights[step->w[k]].source == g->program->weights[step->w[i]].source;
      Matrix *m = again ? NULL : get_matrix (g, step->w[i]);
      if (!m || m->n_cols != width)
        continue;
      if (aux)
        add_experts (g, m, step, src, aux, n_rows);
      else
        for (uint32_t r = 0; r < n_rows; r++)
          add_row (m, 0, src + r * width);
    }
}

static EngStatus
no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                        "out of memory while gathering importance");
}

static EngStatus
read_chunk (Gather *g, const EngGatherOptions *options, const int32_t *tokens, uint32_t n,
            EngGatherReport *report, uint64_t total, EngError *error)
{
  EngRunner *runner = eng_session_get_runner (g->session);
  EngKvCache *cache = eng_runner_get_cache (runner);
  uint32_t sequence, step = eng_runner_get_options (runner)->max_rows;
  EngStatus status = eng_kv_cache_add (cache, &sequence, error);
  if (status != ENG_OK)
    return status;
  step = step < ROWS ? step : ROWS;
  for (uint32_t at = 0; at < n && status == ENG_OK; at += step)
    {
      const EngRunnerSpan span = { .sequence = sequence,
                                   .tokens = tokens + at,
                                   .n = n - at < step ? n - at : step,
                                   .outputs = ENG_OUTPUT_NONE };
      if (options->cancel && atomic_load (options->cancel))
        status = eng_error_set (error, ENG_ERR_CANCELLED, NULL, ENG_OFFSET_NONE, "cancelled");
      else if ((status = eng_runner_run (runner, &span, 1, NULL, error)) == ENG_OK)
        {
          report->n_tokens += span.n;
          if (options->progress)
            options->progress (options->progress_data, report->n_tokens, total);
        }
    }
  eng_kv_cache_remove (cache, sequence);
  return status == ENG_OK && g->out_of_memory ? no_memory (error) : status;
}

/* Chunks as the perplexity is counted: each begins with BOS where the vocabulary asks for one. The
 * rest behind the last whole chunk is read too. */
static EngStatus
read_text (Gather *g, const EngGatherOptions *options, EngTokenBuffer *ids, EngGatherReport *report,
           EngError *error)
{
  const EngTokenizer *tokenizer = eng_session_get_tokenizer (g->session);
  int32_t bos = eng_tokenizer_get_bos (tokenizer);
  bool has_bos = eng_tokenizer_get_add_bos (tokenizer) && bos != ENG_TOKEN_NONE;
  uint64_t total = ids->n;
  if (options->max_chunks && options->max_chunks < total / options->chunk)
    total = options->max_chunks * options->chunk;
  if (total < 2)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "text", ENG_OFFSET_NONE,
                          "the text is too short: give one of a few pages");
  EngStatus status = ENG_OK;
  for (uint64_t at = 0; at < total && status == ENG_OK; at += options->chunk)
    {
      uint64_t n = total - at < options->chunk ? total - at : options->chunk;
      if (has_bos)
        ids->ids[at] = bos;
      status = read_chunk (g, options, ids->ids + at, (uint32_t) n, report, total, error);
      report->n_chunks++;
    }
  return status;
}

static EngStatus
add_tensors (Gather *g, EngGgufWriter *writer, EngGatherReport *report, EngError *error)
{
  EngStatus status = ENG_OK;
  char name[NAME_BYTES];
  for (uint64_t i = 0; i < eng_gguf_get_n_tensors (g->file) && status == ENG_OK; i++)
    {
      const Matrix *m = &g->matrices[i];
      if (!m->sums)
        continue;
      const uint64_t dims[2] = { m->n_cols, m->n_slices }, count_dims[2] = { 1, m->n_slices };
      snprintf (name, sizeof name, "%s.in_sum2", m->name);
      status = eng_gguf_writer_add_tensor (writer, name, ENG_TYPE_F32, 2, dims, NULL, error);
      snprintf (name, sizeof name, "%s.counts", m->name);
      if (status == ENG_OK)
        status = eng_gguf_writer_add_tensor (writer, name, ENG_TYPE_F32, 2, count_dims, NULL, error);
      report->n_matrices++;
    }
  return status == ENG_OK ? eng_gguf_writer_begin (writer, NULL, error) : status;
}

static EngStatus
write_matrix (EngGgufWriter *writer, const Matrix *m, uint64_t *i_tensor, EngError *error)
{
  EngStatus status = ENG_OK;
  uint64_t n = m->n_cols * m->n_slices;
  float *x = eng_alloc_array (n > m->n_slices ? n : m->n_slices, sizeof *x);
  if (!x)
    return no_memory (error);
  for (uint64_t i = 0; i < n && status == ENG_OK; i++)
    {
      x[i] = (float) m->sums[i];
      if (!isfinite (x[i]))
        status = eng_error_set (error, ENG_ERR_FORMAT, m->name, ENG_OFFSET_NONE,
                                "the model multiplies %s with numbers that are not finite; "
                                "its file may be damaged",
                                m->name);
    }
  if (status == ENG_OK)
    status = eng_gguf_writer_write (writer, (*i_tensor)++, 0, x, n * sizeof *x, error);
  for (uint64_t i = 0; i < m->n_slices; i++)
    x[i] = (float) m->counts[i];
  if (status == ENG_OK)
    status = eng_gguf_writer_write (writer, (*i_tensor)++, 0, x, m->n_slices * sizeof *x, error);
  eng_free (x);
  return status;
}

static EngStatus
write_file (Gather *g, const char *out_path, const EngGatherOptions *options,
            EngGatherReport *report, EngError *error)
{
  EngGgufWriter *writer = NULL;
  const EngGgufString dataset = { options->dataset, strlen (options->dataset) };
  uint64_t i_tensor = 0;
  EngStatus status = eng_gguf_writer_new (out_path, &writer, error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_string (writer, "general.type", "imatrix", error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_strings (writer, "imatrix.datasets", 1, &dataset, error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_u32 (writer, "imatrix.chunk_count", (uint32_t) report->n_chunks, error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_u32 (writer, "imatrix.chunk_size", options->chunk, error);
  if (status == ENG_OK)
    status = add_tensors (g, writer, report, error);
  for (uint64_t i = 0; i < eng_gguf_get_n_tensors (g->file) && status == ENG_OK; i++)
    if (g->matrices[i].sums)
      status = write_matrix (writer, &g->matrices[i], &i_tensor, error);
  if (status == ENG_OK)
    status = eng_gguf_writer_finish (writer, error);
  eng_gguf_writer_free (&writer);
  return status;
}

EngStatus
eng_importance_gather (EngSession *session, const char *out_path, const EngGatherOptions *options,
                       EngGatherReport *report, EngError *error)
{
  EngGatherReport unused, *r = report ? report : &unused;
  const EngModel *model = eng_session_get_model (session);
  EngRunner *runner = eng_session_get_runner (session);
  Gather g = { .session = session,
               .program = eng_model_get_program (model),
               .file = eng_model_get_file (model) };
  EngPrompt prompt = { .text = options->text, .text_bytes = options->text_bytes };
  EngTokenBuffer ids = { 0 };
  *r = (EngGatherReport) { 0 };
  if (eng_model_get_info (model)->is_encoder)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "general.architecture", ENG_OFFSET_NONE,
                          "the model gives embeddings; importance is gathered of models that write");
  if (!prompt.text)
    prompt.text = eng_importance_get_text (&prompt.text_bytes);
  g.matrices = eng_arena_alloc_array (&g.arena, eng_gguf_get_n_tensors (g.file), sizeof *g.matrices);
  EngStatus status = g.matrices ? eng_session_encode (session, &prompt, &ids, error) : no_memory (error);
  if (status == ENG_OK)
    status = eng_runner_observe (runner, observe_cb, &g, error);
  if (status == ENG_OK)
    status = read_text (&g, options, &ids, r, error);
  eng_runner_observe (runner, NULL, NULL, NULL);
  if (status == ENG_OK)
    status = write_file (&g, out_path, options, r, error);
  eng_token_buffer_free (&ids);
  eng_arena_clear (&g.arena);
  return status;
}
