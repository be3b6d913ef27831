/* SPDX-License-Identifier: Apache-2.0 */
/* Weights into the form that products read, and a look at each number on the way. */
#include "eng-cpu-private.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "eng-quant.h"

/* Of the file's bytes so many are packed before they are given back: else the largest matrix (of small models with a
 * large vocabulary most of the file) would be in memory twice. */
#define SLAB_BYTES ((uint64_t) 16 << 20)

typedef struct
{
  const EngBound *bound;
  EngCpuWeight *w;
  uint64_t panels_per_slice, n_panels;
  uint64_t first_panel, end_panel; /* of the slab now packed */
  uint32_t per_chunk;
  /* load_as: memory of each thread for a panel's rows as float32 and as blocks. */
  uint8_t *temporary;
  size_t temporary_bytes, blocks_at;
  uint64_t block_row_bytes;
  _Atomic uint64_t bad_row; /* one that holds NaN or infinity, counted over all slices; UINT64_MAX = none */
} PackJob;

/* Rows of floats to blocks of the packed type; false if one is not finite. */
static bool
quantize_panel (PackJob *job, uint32_t i_thread, const uint8_t *raw, uint32_t n_rows)
{
  const EngCpuWeight *w = job->w;
  uint8_t *memory = job->temporary + i_thread * job->temporary_bytes;
  float *floats = (float *) (void *) memory;
  for (uint32_t r = 0; r < n_rows; r++)
    eng_dequantize_row (w->type, raw + r * w->row_bytes, floats + r * w->n_cols, w->n_cols);
  return eng_quantize_rows (eng_pack_get_info (w->pack)->type, floats, memory + job->blocks_at, n_rows,
                            w->n_cols, NULL, NULL)
         == ENG_OK;
}

static void
pack_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  PackJob *job = data;
  EngCpuWeight *w = job->w;
  uint32_t p = job->bound->kernels->panel_rows;
  uint64_t first = job->first_panel + (uint64_t) i_chunk * job->per_chunk, end = first + job->per_chunk;
  for (uint64_t i = first; i < end && i < job->end_panel; i++)
    {
      uint64_t slice = i / job->panels_per_slice, row = i % job->panels_per_slice * p;
      uint32_t n = w->n_rows - row < p ? (uint32_t) (w->n_rows - row) : p;
      const uint8_t *raw = w->raw + slice * w->slice_bytes + row * w->row_bytes;
      uint64_t row_bytes = w->row_bytes;
      size_t bad;
      if (!eng_quant_rows_are_finite (w->type, raw, n, w->n_cols, &bad))
        {
          job->bad_row = slice * w->n_rows + row + bad;
          return;
        }
      if (job->temporary != NULL)
        {
          if (!quantize_panel (job, i_thread, raw, n))
            job->bad_row = slice * w->n_rows + row; /* beyond what the packed type's scales hold */
          raw = job->temporary + i_thread * job->temporary_bytes + job->blocks_at;
          row_bytes = job->block_row_bytes;
        }
      eng_pack_panel (w->pack, p, raw, row_bytes, n, w->n_cols, w->packed + i * w->panel_bytes);
    }
}

bool
eng_cpu_pack_layout (const EngDevice *device, const EngBindOptions *options, EngCpuWeight *w, uint64_t *bytes)
{
  uint32_t p = device->kernels.panel_rows;
  bool packs = !options->exact && (w->uses & ENG_CPU_USE_PRODUCT) != 0;
  w->pack = packs ? eng_pack_from_type (w->type) : ENG_PACK_NONE;
  if (packs && w->pack == ENG_PACK_NONE && options->load_as != ENG_TYPE_NONE
      && (w->uses & ENG_CPU_USE_AS_IS) == 0)
    {
      const EngPackInfo *info = eng_pack_get_info (eng_pack_from_type (options->load_as));
      if (info != NULL && w->n_cols % (32u * info->n_sub) == 0)
        w->pack = eng_pack_from_type (options->load_as);
    }
  *bytes = 0;
  if (w->pack == ENG_PACK_NONE)
    return false;
  uint64_t panels = (w->n_rows + p - 1) / p;
  w->panel_bytes = eng_pack_panel_bytes (eng_pack_get_info (w->pack), p, w->n_cols);
  w->packed_slice_bytes = panels * w->panel_bytes;
  *bytes = w->packed_slice_bytes * w->n_slices;
  return true;
}

/* Memory of the threads if @w changes its type while loading. */
static EngStatus
prepare_load_as (PackJob *job, uint32_t id, EngError *error)
{
  const EngCpuWeight *w = job->w;
  EngType type = eng_pack_get_info (w->pack)->type;
  uint32_t p = job->bound->kernels->panel_rows;
  if (type == w->type)
    return ENG_OK;
  eng_type_row_bytes (type, w->n_cols, &job->block_row_bytes);
  job->blocks_at = p * w->n_cols * sizeof (float);
  job->temporary_bytes = (job->blocks_at + p * job->block_row_bytes + 63) / 64 * 64;
  size_t bytes = job->temporary_bytes * eng_thread_pool_get_n_threads (job->bound->device->pool);
  job->temporary = eng_alloc_aligned (64, bytes);
  if (job->temporary == NULL)
    return eng_error_set_numbers (error, ENG_ERR_NO_MEMORY, "tensor", bytes, 0,
                                  "no memory to quantize weight %u", id);
  return ENG_OK;
}

static EngStatus
not_finite (const EngBound *bound, uint32_t id, const EngWeightSource *source, uint64_t row, EngError *error)
{
  const char *name
      = source->name != NULL ? source->name (source->data, bound->program->weights[id].source) : NULL;
  return eng_error_set (error, ENG_ERR_FORMAT, name != NULL ? name : "tensor", ENG_OFFSET_NONE,
                        "row %llu holds a number or a scale that is infinite or not a number",
                        (unsigned long long) row);
}

static void
pack_slabs (PackJob *job, uint64_t tensor, const EngWeightSource *source)
{
  uint64_t panel_bytes = job->bound->kernels->panel_rows * job->w->row_bytes;
  uint64_t slab = SLAB_BYTES / panel_bytes + 1;
  for (; job->first_panel < job->n_panels && job->bad_row == UINT64_MAX; job->first_panel = job->end_panel)
    {
      uint64_t left = job->n_panels - job->first_panel, n = left < slab ? left : slab;
      job->end_panel = job->first_panel + n;
      job->per_chunk = (uint32_t) (n / 64 + 1);
      eng_thread_pool_run (job->bound->device->pool, (uint32_t) ((n + job->per_chunk - 1) / job->per_chunk),
                           pack_chunk, job);
      /* Whole: pages of later slabs are not mapped yet, or come back from the system's cache. */
      if (source->release != NULL)
        source->release (source->data, tensor);
    }
}

EngStatus
eng_cpu_pack (EngBound *bound, uint32_t id, EngCpuWeight *w, const EngWeightSource *source, EngError *error)
{
  uint64_t bytes;
  if (!eng_cpu_pack_layout (bound->device, &bound->options, w, &bytes))
    return ENG_OK;
  /* Two megabytes is what the system can map as one page: fewer misses while weights stream by. */
  const uint64_t huge = 2u << 20;
  w->packed = eng_alloc_aligned (bytes >= huge ? huge : 64, bytes);
  if (w->packed == NULL)
    {
      w->pack = ENG_PACK_NONE;
      return eng_error_set_numbers (error, ENG_ERR_NO_MEMORY, "tensor", bytes, 0,
                                    "no memory for weight %u (%llu bytes)", id,
                                    (unsigned long long) bytes);
    }
  if (bytes >= huge)
    madvise (w->packed, bytes, MADV_HUGEPAGE);
  PackJob job = { bound, w, .panels_per_slice = w->packed_slice_bytes / w->panel_bytes, .bad_row = UINT64_MAX };
  job.n_panels = job.panels_per_slice * w->n_slices;
  EngStatus status = prepare_load_as (&job, id, error);
  if (status != ENG_OK)
    return status;
  pack_slabs (&job, bound->program->weights[id].source, source);
  eng_free_aligned (job.temporary);
  bound->weight_bytes += bytes;
  return job.bad_row != UINT64_MAX ? not_finite (bound, id, source, job.bad_row, error) : ENG_OK;
}

/* --- weights that stay as the file has them --- */

typedef struct
{
  const EngCpuWeight *w;
  uint64_t per_chunk;
  _Atomic uint64_t bad_row;
} LookJob;

static void
look_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  LookJob *job = data;
  const EngCpuWeight *w = job->w;
  uint64_t first = i_chunk * job->per_chunk, end = first + job->per_chunk, n = w->n_rows * w->n_slices;
  for (uint64_t i = first; i < end && i < n; i++)
    {
      size_t bad;
      const uint8_t *raw = w->raw + i / w->n_rows * w->slice_bytes + i % w->n_rows * w->row_bytes;
      if (!eng_quant_rows_are_finite (w->type, raw, 1, w->n_cols, &bad))
        job->bad_row = i;
    }
}

EngStatus
eng_cpu_check_finite (EngBound *bound, uint32_t id, const EngCpuWeight *w, const EngWeightSource *source, EngError *error)
{
  uint64_t n = w->n_rows * w->n_slices;
  LookJob job = { w, n / 256 + 1, UINT64_MAX };
  eng_thread_pool_run (bound->device->pool, (uint32_t) ((n + job.per_chunk - 1) / job.per_chunk), look_chunk, &job);
  return job.bad_row != UINT64_MAX ? not_finite (bound, id, source, job.bad_row, error) : ENG_OK;
}
