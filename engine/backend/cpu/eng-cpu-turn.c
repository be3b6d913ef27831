/* SPDX-License-Identifier: Apache-2.0 */
/* Weights whose transposed is multiplied: made once while binding, as half-precision numbers, or float32 ones where the file's
 * have a wider range than those or the run is to be exact. */
#include "eng-cpu-private.h"

#include "eng-quant.h"

void
eng_cpu_turned_layout (EngCpuWeight *w, bool exact)
{
  uint64_t n_rows = w->n_cols;
  w->n_cols = w->n_rows;
  w->n_rows = n_rows;
  w->type = exact || w->type == ENG_TYPE_F32 || w->type == ENG_TYPE_BF16 ? ENG_TYPE_F32 : ENG_TYPE_F16;
  w->row_bytes = w->n_cols * (w->type == ENG_TYPE_F32 ? sizeof (float) : sizeof (uint16_t));
}

typedef struct
{
  const EngKernels *k;
  const EngCpuWeight *from;
  EngCpuWeight *to;
  float *rows; /* [threads, from->n_cols] */
} TurnJob;

static void
turn_chunk (void *data, uint32_t i_slice, uint32_t i_thread)
{
  TurnJob *job = data;
  const EngCpuWeight *from = job->from;
  float *row = job->rows + i_thread * from->n_cols;
  uint8_t *out = job->to->turned + i_slice * job->to->slice_bytes;
  for (uint64_t r = 0; r < from->n_rows; r++)
    {
      eng_dequantize_row (from->type, from->raw + i_slice * from->slice_bytes + r * from->row_bytes, row, from->n_cols);
      for (uint64_t c = 0; c < from->n_cols; c++)
        if (job->to->type == ENG_TYPE_F32)
          ((float *) (void *) out)[c * from->n_rows + r] = row[c];
        else
          job->k->float_to_half (row + c, (uint16_t *) (void *) out + c * from->n_rows + r, 1);
    }
}

EngStatus
eng_cpu_turn (EngBound *bound, EngCpuWeight *w, uint32_t id, EngError *error)
{
  EngThreadPool *pool = bound->device->pool;
  const EngCpuWeight from = *w;
  eng_cpu_turned_layout (w, bound->options.exact);
  w->slice_bytes = w->n_rows * w->row_bytes;
  uint64_t bytes = w->slice_bytes * w->n_slices;
  w->turned = eng_alloc_aligned (64, bytes);
  float *rows = eng_alloc_array (eng_thread_pool_get_n_threads (pool) * from.n_cols, sizeof *rows);
  if (w->turned == NULL || rows == NULL)
    {
      eng_free (rows);
      return eng_error_set_numbers (error, ENG_ERR_NO_MEMORY, "tensor", bytes, 0, "no memory for weight %u (%llu bytes)", id,
                                    (unsigned long long) bytes);
    }
  TurnJob job = { &bound->device->kernels, &from, w, rows };
  eng_thread_pool_run (pool, w->n_slices, turn_chunk, &job);
  eng_free (rows);
  w->raw = w->turned;
  return ENG_OK;
}
