/* SPDX-License-Identifier: Apache-2.0 */
/* Products of weights, in whatever form they were bound, and rows of activations. */
#include "eng-cpu-private.h"

#include "eng-quant.h"

static EngFloatFormat
float_format (EngType type)
{
  switch (type)
    {
    case ENG_TYPE_F32:
      return ENG_FLOAT_F32;
    case ENG_TYPE_F16:
      return ENG_FLOAT_F16;
    case ENG_TYPE_BF16:
      return ENG_FLOAT_BF16;
    default:
      return ENG_FLOAT_N;
    }
}

uint32_t
eng_cpu_words_from (const EngKernels *k, EngType type)
{
  EngFloatFormat format = float_format (type);
  return format != ENG_FLOAT_N && k->words_from[format] != 0 ? k->words_from[format] : UINT32_MAX;
}

EngQuantTile
eng_cpu_tile (const EngCpuQuant *quant, uint32_t r0, uint32_t n_rows)
{
  size_t at = (size_t) r0 * quant->width;
  return (EngQuantTile){ quant->q + at, quant->q16 != NULL ? quant->q16 + at : NULL,
                         quant->meta + at / 32 * ENG_QUANT_META, n_rows };
}

EngTileRows
eng_cpu_tiles_from (const EngCpuQuant *quant, uint32_t width, uint32_t r0)
{
  size_t at = r0 / ENG_TILE_ROWS * ENG_TILE_STRIDE (width);
  return (EngTileRows){ quant->tiles.high + at, quant->tiles.low != NULL ? quant->tiles.low + at : NULL };
}

EngCpuInput
eng_cpu_input (const EngCpuRun *run, EngBufferId id, uint32_t r0, uint32_t n_rows)
{
  EngCpuInput input = { eng_cpu_row (run, id, r0), run->bound->program->buffers[id].width,
                        .n_rows = n_rows };
  const EngCpuQuant *quant = &run->state->quants[id];
  if (eng_cpu_has_tiles (run, id))
    {
      input.tiles = eng_cpu_tiles_from (quant, run->bound->program->buffers[id].width, r0);
      return input;
    }
  if (run->bound->quantized[id])
    input.tile = eng_cpu_tile (quant, r0, n_rows);
  if (run->n_rows >= run->bound->words_from[id])
    input.words = (EngWordTile){ quant->words.q + (size_t) r0 * ENG_WORD_BLOCK, quant->words.scale + r0, run->n_rows };
  return input;
}

uint32_t
eng_cpu_tile_rows (const EngCpuWeight *a, const EngCpuWeight *b, const EngCpuWeight *c, uint32_t width, bool tiles)
{
  const EngCpuWeight *all[] = { a, b, c };
  if (tiles) /* and whole panels, unless all chunks begin with one */
    return ENG_CPU_PART_FLOATS / (width + (width % ENG_TILE_ROWS != 0 ? 32 : 0)) / ENG_TILE_ROWS * ENG_TILE_ROWS;
  for (int i = 0; i < 3; i++)
    if (all[i] != NULL && all[i]->pack != ENG_PACK_NONE)
      return ENG_CPU_ROW_TILE;
  /* Floats are unpacked once a chunk: the more rows share that, the better. */
  uint32_t rows = ENG_CPU_PART_FLOATS / (width + 16) / 6 * 6;
  return rows < ENG_CPU_ROW_TILE ? ENG_CPU_ROW_TILE : rows;
}

void
eng_cpu_quantize_row (const EngCpuRun *run, EngBufferId id, uint32_t r)
{
  const EngCpuQuant *quant = &run->state->quants[id];
  const float *x = eng_cpu_row (run, id, r);
  if (eng_cpu_has_tiles (run, id))
    {
      run->k->round_row (x, run->bound->program->buffers[id].width, &quant->tiles, r);
      return;
    }
  if (run->bound->quantized[id])
    {
      uint32_t r0 = r / ENG_CPU_ROW_TILE * ENG_CPU_ROW_TILE;
      EngQuantTile tile = eng_cpu_tile (quant, r0, eng_cpu_min (ENG_CPU_ROW_TILE, run->n_rows - r0));
      run->k->quantize (x, quant->width, &tile, r - r0);
    }
  if (run->n_rows >= run->bound->words_from[id])
    {
      EngWordTile words = { quant->words.q, quant->words.scale, run->n_rows };
      run->k->quantize_words (x, run->bound->program->buffers[id].width, &words, r);
    }
}

typedef struct
{
  EngCpuRun *run;
  EngBufferId id;
} QuantizeJob;

/* Rows of a chunk: whole cache lines of the tile's per-row numbers. */
#define QUANTIZE_ROWS 16u

static void
quantize_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  QuantizeJob *job = data;
  uint32_t first = i_chunk * QUANTIZE_ROWS, n = eng_cpu_min (QUANTIZE_ROWS, job->run->n_rows - first);
  (void) i_thread;
  for (uint32_t r = first; r < first + n; r++)
    eng_cpu_quantize_row (job->run, job->id, r);
}

void
eng_cpu_quantize (EngCpuRun *run, EngBufferId id)
{
  EngCpuQuant *quant = &run->state->quants[id];
  if (quant->valid
      || (!run->bound->quantized[id] && run->n_rows < run->bound->words_from[id] && !eng_cpu_has_tiles (run, id)))
    return;
  QuantizeJob job = { run, id };
  eng_cpu_for (run, (run->n_rows + QUANTIZE_ROWS - 1) / QUANTIZE_ROWS, quantize_chunk, &job);
  quant->valid = true;
}

/* Any type, by decoding one row of weights after the other: exact mode. */
static void
product_decoded (const EngCpuRun *run, const EngCpuWeight *w, const uint8_t *raw, uint64_t j0,
                 uint64_t j1, const EngCpuInput *input, float *y, size_t stride, float *scratch)
{
  for (uint64_t j = j0; j < j1; j++)
    {
      const float *row = (const float *) (const void *) (raw + j * w->row_bytes);
      if (w->type != ENG_TYPE_F32)
        {
          eng_dequantize_row (w->type, raw + j * w->row_bytes, scratch, w->n_cols);
          row = scratch;
        }
      for (uint32_t r = 0; r < input->n_rows; r++)
        y[r * stride + (j - j0)] = run->k->dot (row, input->x + r * input->stride, w->n_cols);
    }
}

float *
eng_cpu_product (const EngCpuRun *run, uint32_t i_thread, uint32_t part, const EngCpuWeight *w,
                 uint32_t slice, uint64_t j0, uint64_t j1, const EngCpuInput *input, size_t *stride)
{
  const EngKernels *k = run->k;
  float *y = eng_cpu_scratch (run, i_thread, part), *scratch = eng_cpu_scratch (run, i_thread, ENG_CPU_PARTS);
  if (w->pack != ENG_PACK_NONE)
    {
      uint32_t p = k->panel_rows;
      uint64_t first = j0 / p, last = (j1 + p - 1) / p;
      const uint8_t *panel = w->packed + slice * w->packed_slice_bytes + first * w->panel_bytes;
      *stride = (last - first) * p;
      if (input->tiles.high != NULL)
        {
          k->product_tiles (w->pack, panel, last - first, w->n_cols, &input->tiles, input->n_rows, y, *stride, scratch);
          return y + (j0 - first * p);
        }
      k->product[w->pack](panel, last - first, w->n_cols, &input->tile, y, *stride);
      return y + (j0 - first * p);
    }
  const uint8_t *raw = w->raw + slice * w->slice_bytes;
  *stride = j1 - j0;
  EngFloatFormat format = float_format (w->type);
  if (run->bound->options.exact || format == ENG_FLOAT_N)
    product_decoded (run, w, raw, j0, j1, input, y, *stride, scratch);
  else if (input->tiles.low != NULL && format != ENG_FLOAT_F32 && (w->uses & ENG_CPU_USE_AS_IS) == 0)
    k->product_tiles_float (format, raw + j0 * w->row_bytes, w->n_cols, j1 - j0, w->n_cols, &input->tiles, input->n_rows, y,
                            *stride, scratch);
  else if (input->words.q != NULL && (w->uses & ENG_CPU_USE_AS_IS) == 0 && k->words_from[format] != 0)
    k->product_words[format](raw + j0 * w->row_bytes, w->n_cols, j1 - j0, w->n_cols, &input->words, input->n_rows, y,
                             *stride, scratch);
  else
    k->product_float[format](raw + j0 * w->row_bytes, w->n_cols, j1 - j0, w->n_cols, input->x,
                             input->stride, input->n_rows, y, *stride, scratch);
  return y;
}
