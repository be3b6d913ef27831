/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-transfer-write.h"

#include <inttypes.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-block.h"
#include "eng-checked.h"
#include "eng-error.h"
#include "eng-quant.h"

#define SLAB_BYTES ((uint64_t) 32 << 20)   /* encoded rows between two writes */
#define CHUNK_FLOATS ((uint64_t) 64 << 10) /* work of a thread at once, about 1 to 10 ms */

typedef struct
{
  const EngTransferTensor *tensor;
  const EngTransferOptions *options;
  uint64_t row_bytes;
  uint64_t first_row, n_rows; /* this slab */
  uint64_t chunk_rows;
  uint8_t *out;
  float **scratch; /* one a thread, chunk_rows rows */
  atomic_bool failed;
  EngStatus status; /* of the first failure */
  EngError error;
} Job;

/* Where in @piece the row that goes to @row comes from. */
static uint64_t
source_row (const EngTransferPiece *piece, uint64_t row)
{
  if (piece->n_interleave == 0)
    return row;
  uint64_t head = piece->n_rows / piece->n_interleave, at = row % head;
  return row - at + at % 2 * (head / 2) + at / 2;
}

static const EngTransferPiece *
find_piece (const EngTransferTensor *t, uint64_t row, uint64_t *row_in_piece)
{
  const EngTransferPiece *piece = t->pieces;
  while (row >= piece->n_rows)
    row -= piece++->n_rows;
  *row_in_piece = row;
  return piece;
}

/* To the format's own order of codes, 256 numbers at a time, and from there to floats. */
static void
decode_hub_mxfp4 (const EngTransferPiece *piece, uint64_t row, uint64_t n, float *dst)
{
  EngBlockMxfp4 blocks[8];
  uint64_t first = row * piece->row_step * (n / 32);
  for (uint64_t done = 0; done < n / 32;)
    {
      uint64_t n_now = n / 32 - done < 8 ? n / 32 - done : 8;
      for (uint64_t b = 0; b < n_now; b++)
        {
          const uint8_t *from = (const uint8_t *) piece->data + (first + done + b) * 16;
          blocks[b].e = piece->scales[first + done + b];
          for (int j = 0; j < 16; j++)
            {
              int low = from[j / 2] >> j % 2 * 4 & 15, high = from[8 + j / 2] >> j % 2 * 4 & 15;
              blocks[b].qs[j] = (uint8_t) (low | high << 4);
            }
        }
      eng_dequantize_row (ENG_TYPE_MXFP4, blocks, dst + done * 32, n_now * 32);
      done += n_now;
    }
}

/* A row of floats whose groups of columns change places. */
static void
decode_tiled (const EngTransferTensor *t, EngType type, const uint8_t *from, float *dst)
{
  uint64_t n = t->dims[0] / t->n_outer / t->n_inner, bytes = 0;
  eng_type_row_bytes (type, n, &bytes);
  for (uint32_t i = 0; i < t->n_inner; i++)
    for (uint32_t o = 0; o < t->n_outer; o++)
      eng_dequantize_row (type, from + ((uint64_t) o * t->n_inner + i) * bytes,
                          dst + ((uint64_t) i * t->n_outer + o) * n, n);
}

/* A column of floats. */
static void
decode_turned (const EngTransferPiece *piece, uint64_t row, float *dst)
{
  uint64_t bytes = 0;
  eng_type_row_bytes (piece->type, 1, &bytes);
  for (uint64_t i = 0; i < piece->n_turned; i++)
    eng_dequantize_row (piece->type, (const uint8_t *) piece->data + (i * piece->n_rows + row) * bytes, dst + i, 1);
}

void
eng_transfer_decode_row (const EngTransferTensor *t, uint64_t row, float *dst)
{
  uint64_t in_piece, bytes = 0;
  const EngTransferPiece *piece = find_piece (t, row, &in_piece);
  if (piece->scales)
    {
      decode_hub_mxfp4 (piece, in_piece, t->dims[0], dst);
      return;
    }
  eng_type_row_bytes (piece->type, t->dims[0], &bytes);
  const uint8_t *from = (const uint8_t *) piece->data + source_row (piece, in_piece) * bytes;
  if (piece->n_turned)
    decode_turned (piece, in_piece, dst);
  else if (t->n_outer)
    decode_tiled (t, piece->type, from, dst);
  else
    eng_dequantize_row (piece->type, from, dst, t->dims[0]);
  if (t->add != 0.0f)
    for (uint64_t i = 0; i < t->dims[0]; i++)
      dst[i] += t->add;
}

const float *
eng_transfer_get_importance (const EngTransferTensor *t, uint64_t row)
{
  if (!t->importance || t->n_importance <= 1)
    return t->importance;
  return t->importance + row / (t->n_dims > 1 ? t->dims[1] : 1) * t->dims[0];
}

static void
report (Job *job, uint64_t row, EngStatus status, const EngError *e)
{
  if (atomic_exchange (&job->failed, true))
    return;
  uint64_t col = e->offset == ENG_OFFSET_NONE ? 0 : e->offset % job->tensor->dims[0];
  row += e->offset == ENG_OFFSET_NONE ? 0 : e->offset / job->tensor->dims[0];
  job->status = eng_error_set (&job->error, status, job->tensor->name, ENG_OFFSET_NONE,
                               "tensor %s, row %" PRIu64 ", column %" PRIu64 ": %s",
                               job->tensor->name, row, col, e->text);
}

static void
encode_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  Job *job = data;
  const EngTransferTensor *t = job->tensor;
  uint64_t first = i_chunk * job->chunk_rows, n = job->n_rows - first;
  float *x = job->scratch[i_thread];
  EngError e;
  if (n > job->chunk_rows)
    n = job->chunk_rows;
  for (uint64_t r = 0; r < n && !atomic_load (&job->failed); r++)
    {
      uint64_t row = job->first_row + first + r;
      eng_transfer_decode_row (t, row, x);
      EngStatus status = eng_quantize_rows (t->type, x, job->out + (first + r) * job->row_bytes, 1,
                                            t->dims[0], eng_transfer_get_importance (t, row), &e);
      if (status != ENG_OK)
        report (job, row, status, &e);
    }
}

static bool
is_cancelled (const EngTransferOptions *options)
{
  return options->cancel && atomic_load (options->cancel);
}

bool
eng_transfer_is_unchanged (const EngTransferTensor *t)
{
  return t->n_pieces == 1 && t->pieces->n_interleave == 0 && t->pieces->n_turned == 0 && t->pieces->scales == NULL && t->n_outer == 0
         && t->add == 0.0f;
}

typedef struct
{
  uint64_t done, total;
} Progress;

static void
advance (const EngTransferOptions *options, Progress *progress, uint64_t bytes)
{
  progress->done += bytes;
  if (options->progress)
    options->progress (options->progress_data, progress->done, progress->total);
}

static EngStatus
copy_tensor (EngGgufWriter *writer, uint64_t i, const EngTransferTensor *t, uint64_t n_bytes,
             const EngTransferOptions *options, Progress *progress, EngError *error)
{
  for (uint64_t at = 0; at < n_bytes; at += SLAB_BYTES)
    {
      uint64_t n = n_bytes - at < SLAB_BYTES ? n_bytes - at : SLAB_BYTES;
      EngStatus status = eng_gguf_writer_write (writer, i, at,
                                                (const uint8_t *) t->pieces->data + at, n, error);
      if (status != ENG_OK)
        return status;
      advance (options, progress, n);
      if (is_cancelled (options))
        return eng_error_set (error, ENG_ERR_CANCELLED, NULL, ENG_OFFSET_NONE, "cancelled");
    }
  return ENG_OK;
}

static EngStatus
encode_slabs (EngGgufWriter *writer, uint64_t i, Job *job, uint64_t total_rows,
              uint64_t slab_rows, Progress *progress, EngError *error)
{
  for (uint64_t row = 0; row < total_rows; row += slab_rows)
    {
      job->first_row = row;
      job->n_rows = total_rows - row < slab_rows ? total_rows - row : slab_rows;
      uint32_t n_chunks = (uint32_t) ((job->n_rows + job->chunk_rows - 1) / job->chunk_rows);
      eng_thread_pool_run (job->options->pool, n_chunks, encode_chunk, job);
      if (atomic_load (&job->failed))
        {
          if (error)
            *error = job->error;
          return job->status;
        }
      EngStatus status = eng_gguf_writer_write (writer, i, row * job->row_bytes, job->out,
                                                job->n_rows * job->row_bytes, error);
      if (status != ENG_OK)
        return status;
      advance (job->options, progress, job->n_rows * job->row_bytes);
      if (is_cancelled (job->options))
        return eng_error_set (error, ENG_ERR_CANCELLED, NULL, ENG_OFFSET_NONE, "cancelled");
    }
  return ENG_OK;
}

static EngStatus
encode_tensor (EngGgufWriter *writer, uint64_t i, const EngTransferTensor *t, uint64_t row_bytes,
               uint64_t total_rows, const EngTransferOptions *options, Progress *progress,
               EngError *error)
{
  uint32_t n_threads = options->pool ? eng_thread_pool_get_n_threads (options->pool) : 1;
  Job job = { .tensor = t, .options = options, .row_bytes = row_bytes };
  EngArena arena = { 0 };
  if (t->dims[0] > ENG_TRANSFER_MAX_ROW_BYTES / sizeof (float))
    return eng_error_set (error, ENG_ERR_LIMIT, t->name, ENG_OFFSET_NONE,
                          "rows of tensor %s are longer than the limit of %" PRIu64 " bytes",
                          t->name, ENG_TRANSFER_MAX_ROW_BYTES);
  uint64_t slab_rows = SLAB_BYTES / row_bytes;
  slab_rows = slab_rows < 1 ? 1 : slab_rows > total_rows ? total_rows : slab_rows;
  job.chunk_rows = CHUNK_FLOATS / t->dims[0] < 1 ? 1 : CHUNK_FLOATS / t->dims[0];
  job.out = eng_arena_alloc_array (&arena, slab_rows, row_bytes);
  job.scratch = eng_arena_alloc_array (&arena, n_threads, sizeof *job.scratch);
  bool enough = job.out && job.scratch;
  for (uint32_t k = 0; enough && k < n_threads; k++)
    enough = (job.scratch[k] = eng_arena_alloc_array (&arena, t->dims[0], sizeof (float))) != NULL;
  EngStatus status
      = enough ? encode_slabs (writer, i, &job, total_rows, slab_rows, progress, error)
               : eng_error_set (error, ENG_ERR_NO_MEMORY, t->name, ENG_OFFSET_NONE, "out of memory");
  eng_arena_clear (&arena);
  return status;
}

static void
sum_types (const EngTransferTensor *tensors, size_t n, uint64_t *type_bytes)
{
  memset (type_bytes, 0, ENG_TRANSFER_TYPES * sizeof *type_bytes);
  for (size_t i = 0; i < n; i++)
    {
      uint64_t bytes = 0;
      eng_type_row_bytes (tensors[i].type, tensors[i].dims[0], &bytes);
      for (uint32_t d = 1; d < tensors[i].n_dims; d++)
        bytes *= tensors[i].dims[d];
      if ((uint32_t) tensors[i].type < ENG_TRANSFER_TYPES)
        type_bytes[tensors[i].type] += bytes;
    }
}

EngStatus
eng_transfer_write_part (EngGgufWriter *writer, const EngTransferTensor *tensors, size_t n,
                         const EngTransferOptions *options, uint64_t *out_bytes, EngError *error)
{
  Progress progress = { 0 };
  EngStatus status = ENG_OK;
  for (size_t i = 0; i < n && status == ENG_OK; i++)
    status = eng_gguf_writer_add_tensor (writer, tensors[i].name, tensors[i].type,
                                         tensors[i].n_dims, tensors[i].dims, NULL, error);
  if (status == ENG_OK)
    status = options->only_size ? eng_gguf_writer_get_bytes (writer, &progress.total, error)
                                : eng_gguf_writer_begin (writer, &progress.total, error);
  if (status == ENG_OK && options->type_bytes)
    sum_types (tensors, n, options->type_bytes);
  if (status == ENG_OK && out_bytes)
    *out_bytes = progress.total;
  if (options->only_size)
    return status;
  for (size_t i = 0; i < n && status == ENG_OK; i++)
    {
      const EngTransferTensor *t = &tensors[i];
      uint64_t row_bytes = 0, n_rows = 1;
      eng_type_row_bytes (t->type, t->dims[0], &row_bytes); /* the writer has checked all of it */
      for (uint32_t d = 1; d < t->n_dims; d++)
        n_rows *= t->dims[d];
      status = t->pieces->type == t->type && eng_transfer_is_unchanged (t)
                   ? copy_tensor (writer, i, t, n_rows * row_bytes, options, &progress, error)
                   : encode_tensor (writer, i, t, row_bytes, n_rows, options, &progress, error);
    }
  return status;
}

EngStatus
eng_transfer_write (EngGgufWriter *writer, const EngTransferTensor *tensors, size_t n,
                    const EngTransferOptions *options, uint64_t *out_bytes, EngError *error)
{
  EngStatus status = eng_transfer_write_part (writer, tensors, n, options, out_bytes, error);
  return status == ENG_OK && !options->only_size ? eng_gguf_writer_finish (writer, error) : status;
}
