/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on rows and their products: embedding, norm, query-key-value, product, gate and up, output. */
#include "eng-cpu-private.h"

#include <math.h>
#include <string.h>

#include "eng-quant.h"

/* How a product is cut into chunks: column slices of @width times tiles of rows. Small chunks let threads share
 * unevenly; large ones amortize the claim. */
typedef struct
{
  uint32_t width, n_slices, tile_rows, n_tiles;
} Cut;

/* By tiles: a slice of weights is made BF16 once for all rows of a chunk, so the more rows the better, if all threads have
 * work. */
static void
cut_rows (Cut *cut, uint32_t n_rows, uint32_t n_threads)
{
  cut->tile_rows = eng_cpu_tile_rows (NULL, NULL, NULL, cut->width, true);
  cut->n_tiles = (n_rows + cut->tile_rows - 1) / cut->tile_rows;
  while (cut->n_tiles * cut->n_slices < 4 * n_threads && cut->n_tiles * ENG_CPU_ROW_TILE < n_rows)
    cut->n_tiles++;
  uint32_t whole = 2 * ENG_TILE_ROWS, rows = ((n_rows + cut->n_tiles - 1) / cut->n_tiles + whole - 1) / whole * whole;
  cut->tile_rows = eng_cpu_min (cut->tile_rows, rows);
  cut->n_tiles = (n_rows + cut->tile_rows - 1) / cut->tile_rows;
}

static Cut
cut_tiles (uint64_t n_out, uint32_t n_rows, uint32_t n_threads)
{
  Cut cut = { .width = n_out >= 64 * 8 * (uint64_t) n_threads ? 64 : 32 };
  cut.n_slices = (uint32_t) ((n_out + cut.width - 1) / cut.width);
  cut_rows (&cut, n_rows, n_threads);
  return cut;
}

static Cut
cut_product (const EngCpuRun *run, const EngCpuWeight *a, const EngCpuWeight *b, uint32_t n_rows, bool tiles)
{
  uint32_t n_threads = eng_thread_pool_get_n_threads (run->bound->device->pool);
  uint32_t most = ENG_CPU_MAX_CHUNK, parts = 4 * n_threads;
  if (tiles)
    return cut_tiles (a->n_rows, n_rows, n_threads);
  bool packed = a->pack != ENG_PACK_NONE || (b != NULL && b->pack != ENG_PACK_NONE);
  if (!packed && n_rows > ENG_CPU_ROW_TILE)
    most = 96; /* all rows in one tile: see eng_cpu_tile_rows; six panels of the kernels of floats */
  uint64_t width = ((a->n_rows + parts - 1) / parts + 31) / 32 * 32;
  if (width > most)
    width = most;
  Cut cut = { .width = (uint32_t) width, .n_slices = (uint32_t) ((a->n_rows + width - 1) / width) };
  cut.tile_rows = eng_cpu_tile_rows (a, b, NULL, cut.width, false);
  cut.n_tiles = (n_rows + cut.tile_rows - 1) / cut.tile_rows;
  if (!packed && cut.n_tiles > 1) /* of one size, in whole tiles of the kernels of 12 or 6 rows */
    cut.tile_rows = ((n_rows + cut.n_tiles - 1) / cut.n_tiles + 11) / 12 * 12;
  return cut;
}

static void
add_bias (float *y, const float *bias, uint32_t n)
{
  if (bias != NULL)
    for (uint32_t i = 0; i < n; i++)
      y[i] += bias[i];
}

static void
multiply (float *x, float factor, uint32_t n)
{
  for (uint32_t i = 0; i < n && factor != 1.0f; i++)
    x[i] *= factor;
}

/* --- embedding --- */

/* Row @i_row of a table. */
static void
look_up (const EngCpuRun *run, const EngCpuWeight *w, uint64_t i_row, float *x)
{
  uint32_t p = run->k->panel_rows;
  if (w->twin != NULL)
    eng_pack_unpack_row (w->twin->pack, p, w->twin->packed + i_row / p * w->twin->panel_bytes, (uint32_t) (i_row % p),
                         w->n_cols, x);
  else
    eng_dequantize_row (w->type, w->raw + i_row * w->row_bytes, x, w->n_cols);
}

static void
add_lookup (const EngCpuRun *run, EngWeightId id, uint64_t i_row, float *x, float *scratch)
{
  const EngCpuWeight *w = &run->bound->weights[id];
  if (i_row >= w->n_rows)
    i_row = w->n_rows - 1;
  look_up (run, w, i_row, scratch);
  for (uint64_t i = 0; i < w->n_cols; i++)
    x[i] += scratch[i];
}

static void
embed_chunk (void *data, uint32_t r, uint32_t i_thread)
{
  EngCpuRun *run = data;
  const EngStep *step = run->step;
  const EngRow *row = &run->batch->rows[r];
  uint32_t width = run->bound->program->buffers[step->dst].width;
  float *x = eng_cpu_row (run, step->dst, r);
  float *scratch = eng_cpu_scratch (run, i_thread, ENG_CPU_PARTS);
  if (row->token >= 0)
    look_up (run, &run->bound->weights[step->w[0]], (uint64_t) row->token, x);
  else if (width == run->bound->program->n_embd)
    memcpy (x, row->embedding, width * sizeof (float));
  else
    memset (x, 0, width * sizeof (float)); /* what layers add for a token, where there is none */
  multiply (x, step->u.embed.scale, width);
  if (step->w[1] != ENG_WEIGHT_NONE)
    add_lookup (run, step->w[1], (uint64_t) row->position[0] + step->u.embed.position_offset, x,
                scratch);
  if (step->w[2] != ENG_WEIGHT_NONE)
    add_lookup (run, step->w[2], 0, x, scratch);
}

void
eng_cpu_step_embed (EngCpuRun *run)
{
  eng_cpu_for (run, run->n_rows, embed_chunk, run);
}

/* --- norm --- */

static void
norm_row (const EngKernels *k, EngNormKind kind, float eps, const float *w, const float *b,
          const float *x, float *y, uint32_t n)
{
  if (kind == ENG_NORM_RMS)
    {
      k->rms_norm (x, w, eps, y, n);
      add_bias (y, b, n);
    }
  else if (kind == ENG_NORM_LAYER)
    k->layer_norm (x, w, b, eps, y, n);
  else if (x != y)
    memcpy (y, x, n * sizeof (float));
}

/* The step's norm of each part of a row. */
static void
norm_parts (const EngCpuRun *run, const float *x, float *y, uint32_t n)
{
  const EngStep *s = run->step;
  const float *w = eng_cpu_vector (run, s->w[0]), *b = eng_cpu_vector (run, s->w[1]);
  uint32_t part = s->u.norm.n_parts ? n / s->u.norm.n_parts : n;
  for (uint32_t at = 0; at < n; at += part)
    norm_row (run->k, s->u.norm.kind, s->u.norm.eps, w, b, x + at, y + at, part);
}

static void
norm_one (const EngCpuRun *run, uint32_t r, uint32_t i_thread)
{
  const EngStep *s = run->step;
  uint32_t n = run->bound->program->buffers[s->src].width;
  const float *x = eng_cpu_row (run, s->src, r);
  float *y = eng_cpu_row (run, s->dst, r);
  float *scratch = eng_cpu_scratch (run, i_thread, ENG_CPU_PARTS);
  if ((s->flags & ENG_STEP_ADD_BEFORE) != 0)
    {
      const float *aux = eng_cpu_row (run, s->aux, r);
      for (uint32_t i = 0; i < n; i++)
        scratch[i] = x[i] + aux[i];
      x = scratch;
    }
  if ((s->flags & ENG_STEP_ADD_AFTER) != 0)
    {
      const float *aux = eng_cpu_row (run, s->aux, r);
      norm_parts (run, x, scratch, n);
      for (uint32_t i = 0; i < n; i++)
        y[i] = aux[i] + scratch[i] * s->u.norm.scale;
    }
  else
    {
      norm_parts (run, x, y, n);
      multiply (y, s->u.norm.scale, n);
    }
  if (s->w[2] != ENG_WEIGHT_NONE)
    multiply (y, *eng_cpu_vector (run, s->w[2]), n);
}

#define NORM_ROWS 16u

/* The rows are still in the cache: quantize them at once for the products that follow. */
static void
norm_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  EngCpuRun *run = data;
  uint32_t first = i_chunk * NORM_ROWS, n = eng_cpu_min (NORM_ROWS, run->n_rows - first);
  for (uint32_t r = first; r < first + n; r++)
    {
      norm_one (run, r, i_thread);
      eng_cpu_quantize_row (run, run->step->dst, r);
    }
}

void
eng_cpu_step_norm (EngCpuRun *run)
{
  eng_cpu_for (run, (run->n_rows + NORM_ROWS - 1) / NORM_ROWS, norm_chunk, run);
  run->state->quants[run->step->dst].valid = true;
}

/* --- query, key, value --- */

void
eng_cpu_rotate (const EngCpuRun *run, const EngRope *rope, uint32_t r, float *x)
{
  uint32_t half = rope->n_rot / 2;
  if (rope->kind == ENG_ROPE_NONE)
    return; /* encoders: there may be no table at all */
  const float *angles = run->state->rope[rope->i_table] + (size_t) r * 2 * half;
  bool neox = rope->kind == ENG_ROPE_NEOX;
  for (uint32_t i = 0; i < half; i++)
    {
      float c = angles[2 * i] * rope->scale, s = angles[2 * i + 1] * rope->scale;
      float *a = &x[neox ? i : 2 * i], *b = &x[neox ? i + half : 2 * i + 1];
      float t = *a * c - *b * s;
      *b = *a * s + *b * c;
      *a = t;
    }
}

static void
finish_head (const EngCpuRun *run, uint32_t r, float *x, uint32_t n, const float *norm)
{
  const EngStep *s = run->step;
  if (s->u.qkv.head_norm_after_rope)
    eng_cpu_rotate (run, &s->u.qkv.rope, r, x);
  if (norm != NULL)
    norm_row (run->k, s->u.qkv.head_norm, s->u.qkv.head_eps, norm, NULL, x, x, n);
  if (!s->u.qkv.head_norm_after_rope)
    eng_cpu_rotate (run, &s->u.qkv.rope, r, x);
}

typedef struct
{
  EngCpuRun *run;
  Cut cut;
} ProductJob;

typedef enum
{
  PART_Q,
  PART_K,
  PART_V,
  PART_GATE /* stands behind each head's query in the same matrix */
} Part;

/* Heads of keys that the layer has of its own. */
static uint32_t
count_keys (const EngStep *s)
{
  return s->w[1] == ENG_WEIGHT_NONE ? 0 : s->u.qkv.n_head_kv;
}

/* RMS norm without a weight. */
static void
norm_value (const EngCpuRun *run, float *x, uint32_t n)
{
  multiply (x, 1.0f / sqrtf (run->k->dot (x, x, n) / (float) n + run->step->u.qkv.head_eps), n);
}

/* One head of queries, keys or values for a tile of rows. */
static void
qkv_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  ProductJob *job = data;
  EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  bool gated = s->u.qkv.gate != 0;
  uint32_t n_q = s->u.qkv.n_head, n_kv = count_keys (s), n_heads = n_q * (gated ? 2 : 1) + 2 * n_kv;
  uint32_t i = i_chunk % n_heads, r0 = i_chunk / n_heads * job->cut.tile_rows;
  uint32_t n_rows = eng_cpu_min (job->cut.tile_rows, run->n_rows - r0);
  Part part = i < n_q ? PART_Q : i < n_q + n_kv ? PART_K : i < n_q + 2 * n_kv ? PART_V : PART_GATE;
  uint32_t head = i - (part == PART_Q ? 0 : part == PART_K ? n_q : part == PART_V ? n_q + n_kv : n_q + 2 * n_kv);
  uint32_t width = part == PART_V ? s->u.qkv.v_width : s->u.qkv.k_width;
  uint32_t slot = part == PART_GATE ? PART_Q : part;
  const float *bias = eng_cpu_vector (run, s->w[3 + slot]);
  const float *norm = part == PART_V ? NULL : eng_cpu_vector (run, s->w[6 + slot]);
  uint64_t at = (uint64_t) head * width; /* in its buffer; in the matrix: */
  uint64_t j0 = gated && slot == PART_Q ? 2 * at + (part == PART_GATE ? width : 0) : at;
  size_t stride;
  EngCpuInput input = eng_cpu_input (run, s->src, r0, n_rows);
  float *y = eng_cpu_product (run, i_thread, 0, &run->bound->weights[s->w[slot]], 0, j0, j0 + width,
                              &input, &stride);
  for (uint32_t r = 0; r < n_rows; r++)
    {
      float *x = y + r * stride;
      add_bias (x, bias != NULL ? bias + j0 : NULL, width);
      if (s->u.qkv.clamp > 0)
        for (uint32_t c = 0; c < width; c++)
          x[c] = fmaxf (fminf (x[c], s->u.qkv.clamp), -s->u.qkv.clamp);
      if (part == PART_V)
        {
          if (s->u.qkv.value_norm != ENG_NORM_NONE)
            norm_value (run, x, width);
          eng_cpu_store_value (run, r0 + r, head, x);
          continue;
        }
      if (part == PART_GATE)
        {
          memcpy (eng_cpu_row (run, s->u.qkv.gate, r0 + r) + at, x, width * sizeof (float));
          continue;
        }
      finish_head (run, r0 + r, x, width, norm);
      if (part == PART_Q)
        memcpy (eng_cpu_row (run, s->dst, r0 + r) + at, x, width * sizeof (float));
      else
        eng_cpu_store_key (run, s->u.qkv.group, s->u.qkv.i_layer_in_group, r0 + r, head, x);
    }
}

void
eng_cpu_step_qkv (EngCpuRun *run)
{
  const EngStep *s = run->step;
  const EngCpuWeight *w = run->bound->weights;
  uint32_t width = s->u.qkv.k_width > s->u.qkv.v_width ? s->u.qkv.k_width : s->u.qkv.v_width;
  uint32_t n_heads = s->u.qkv.n_head * (s->u.qkv.gate != 0 ? 2 : 1) + 2 * count_keys (s);
  ProductJob job = { run, { .width = width, .n_slices = n_heads } };
  bool has_keys = count_keys (s) != 0;
  if (eng_cpu_has_tiles (run, s->src))
    cut_rows (&job.cut, run->n_rows, eng_thread_pool_get_n_threads (run->bound->device->pool));
  else
    {
      job.cut.tile_rows
          = eng_cpu_tile_rows (&w[s->w[0]], has_keys ? &w[s->w[1]] : NULL, has_keys ? &w[s->w[2]] : NULL, width, false);
      job.cut.n_tiles = (run->n_rows + job.cut.tile_rows - 1) / job.cut.tile_rows;
    }
  eng_cpu_quantize (run, s->src);
  eng_cpu_for (run, job.cut.n_tiles * n_heads, qkv_chunk, &job);
}

/* --- product, gate and up, output --- */

static void
product_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  ProductJob *job = data;
  EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  const EngCpuWeight *w = &run->bound->weights[s->w[0]];
  uint64_t j0 = (uint64_t) (i_chunk % job->cut.n_slices) * job->cut.width;
  uint32_t n = (uint32_t) (j0 + job->cut.width <= w->n_rows ? job->cut.width : w->n_rows - j0);
  uint32_t r0 = i_chunk / job->cut.n_slices * job->cut.tile_rows;
  uint32_t n_rows = eng_cpu_min (job->cut.tile_rows, run->n_rows - r0);
  const float *bias = eng_cpu_vector (run, s->w[1]);
  size_t stride;
  EngCpuInput input = eng_cpu_input (run, s->src, r0, n_rows);
  float *y = eng_cpu_product (run, i_thread, 0, w, 0, j0, j0 + n, &input, &stride);
  float scale = s->u.product.scale;
  for (uint32_t r = 0; r < n_rows; r++)
    {
      float *x = y + r * stride, *out = eng_cpu_row (run, s->dst, r0 + r) + j0;
      add_bias (x, bias != NULL ? bias + j0 : NULL, n);
      eng_cpu_act (run->k, s->u.product.act, x, n);
      if ((s->flags & ENG_STEP_ADD_AFTER) != 0)
        {
          const float *aux = eng_cpu_row (run, s->aux, r0 + r) + j0;
          for (uint32_t i = 0; i < n; i++)
            out[i] = aux[i] + x[i] * scale;
        }
      else
        for (uint32_t i = 0; i < n; i++)
          out[i] = x[i] * scale;
    }
}

void
eng_cpu_step_product (EngCpuRun *run)
{
  const EngCpuWeight *w = &run->bound->weights[run->step->w[0]];
  ProductJob job = { run, cut_product (run, w, NULL, run->n_rows, eng_cpu_has_tiles (run, run->step->src)) };
  eng_cpu_quantize (run, run->step->src);
  eng_cpu_for (run, job.cut.n_slices * job.cut.n_tiles, product_chunk, &job);
}

static void
gate_up_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  ProductJob *job = data;
  EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  const EngCpuWeight *gate = &run->bound->weights[s->w[0]], *up = &run->bound->weights[s->w[1]];
  uint64_t j0 = (uint64_t) (i_chunk % job->cut.n_slices) * job->cut.width;
  uint32_t n = (uint32_t) (j0 + job->cut.width <= gate->n_rows ? job->cut.width : gate->n_rows - j0);
  uint32_t r0 = i_chunk / job->cut.n_slices * job->cut.tile_rows;
  uint32_t n_rows = eng_cpu_min (job->cut.tile_rows, run->n_rows - r0);
  const float *gate_bias = eng_cpu_vector (run, s->w[2]), *up_bias = eng_cpu_vector (run, s->w[3]);
  const float *mix = eng_cpu_vector (run, s->w[4]);
  EngCpuInput input = eng_cpu_input (run, s->src, r0, n_rows);
  size_t g_stride, u_stride;
  float *g = eng_cpu_product (run, i_thread, 0, gate, 0, j0, j0 + n, &input, &g_stride);
  float *u = eng_cpu_product (run, i_thread, 1, up, 0, j0, j0 + n, &input, &u_stride);
  for (uint32_t r = 0; r < n_rows; r++)
    {
      float *gr = g + r * g_stride, *ur = u + r * u_stride, *out = eng_cpu_row (run, s->dst, r0 + r) + j0;
      add_bias (gr, gate_bias != NULL ? gate_bias + j0 : NULL, n);
      add_bias (ur, up_bias != NULL ? up_bias + j0 : NULL, n);
      eng_cpu_glu (run->k, s->u.glu.act, gr, ur, out, n);
      if (mix != NULL)
        {
          float z = run->k->dot (input.x + r * input.stride, mix, input.stride);
          float scale = 1.0f / (1.0f + expf (-z));
          for (uint32_t i = 0; i < n; i++)
            out[i] *= scale;
        }
    }
}

void
eng_cpu_step_gate_up (EngCpuRun *run)
{
  const EngCpuWeight *w = run->bound->weights;
  const EngStep *s = run->step;
  ProductJob job = { run, cut_product (run, &w[s->w[0]], &w[s->w[1]], run->n_rows, eng_cpu_has_tiles (run, run->step->src)) };
  eng_cpu_quantize (run, s->src);
  eng_cpu_for (run, job.cut.n_slices * job.cut.n_tiles, gate_up_chunk, &job);
}

static bool
outputs_have_tiles (const EngCpuRun *run)
{
  return run->state->output_quant.tiles.high != NULL && eng_cpu_takes_tiles (run->k, run->n_outputs);
}

static void
quantize_outputs (void *data, uint32_t o, uint32_t i_thread)
{
  EngCpuRun *run = data;
  EngCpuQuant *quant = &run->state->output_quant;
  const float *x = eng_cpu_row (run, run->step->src, run->state->outputs[o]);
  if (outputs_have_tiles (run))
    {
      run->k->round_row (x, run->bound->program->buffers[run->step->src].width, &quant->tiles, o);
      return;
    }
  uint32_t o0 = o / ENG_CPU_ROW_TILE * ENG_CPU_ROW_TILE;
  EngQuantTile tile = eng_cpu_tile (quant, o0, eng_cpu_min (ENG_CPU_ROW_TILE, run->n_outputs - o0));
  (void) i_thread;
  run->k->quantize (x, quant->width, &tile, o - o0);
}

static void
output_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  ProductJob *job = data;
  EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  const EngCpuWeight *w = &run->bound->weights[s->w[0]];
  uint64_t j0 = (uint64_t) (i_chunk % job->cut.n_slices) * job->cut.width;
  uint32_t n = (uint32_t) (j0 + job->cut.width <= w->n_rows ? job->cut.width : w->n_rows - j0);
  uint32_t o0 = i_chunk / job->cut.n_slices * job->cut.tile_rows;
  uint32_t n_rows = eng_cpu_min (job->cut.tile_rows, run->n_outputs - o0);
  const float *bias = eng_cpu_vector (run, s->w[1]);
  float cap = s->u.output.soft_cap;
  /* Packed weights and tiles take all rows at once; floats one row at a time, as the rows that want
   * outputs need not be neighbours. */
  bool tiles = outputs_have_tiles (run);
  uint32_t step = w->pack != ENG_PACK_NONE || tiles ? n_rows : 1;
  for (uint32_t o = o0; o < o0 + n_rows; o += step)
    {
      EngCpuInput input = { eng_cpu_row (run, s->src, run->state->outputs[o]), 0, .n_rows = step };
      size_t stride;
      if (tiles)
        input.tiles = eng_cpu_tiles_from (&run->state->output_quant, run->bound->program->buffers[s->src].width, o);
      else if (w->pack != ENG_PACK_NONE)
        input.tile = eng_cpu_tile (&run->state->output_quant, o, step);
      float *y = eng_cpu_product (run, i_thread, 0, w, 0, j0, j0 + n, &input, &stride);
      for (uint32_t r = 0; r < step; r++)
        {
          float *x = y + r * stride;
          float *out = run->run->output + (uint64_t) (o + r) * run->bound->program->n_output + j0;
          add_bias (x, bias != NULL ? bias + j0 : NULL, n);
          if (cap > 0)
            for (uint32_t i = 0; i < n; i++)
              out[i] = cap * tanhf (x[i] * s->u.output.scale / cap);
          else
            for (uint32_t i = 0; i < n; i++)
              out[i] = x[i] * s->u.output.scale;
        }
    }
}

void
eng_cpu_step_output (EngCpuRun *run)
{
  const EngCpuWeight *w = &run->bound->weights[run->step->w[0]];
  if (run->n_outputs == 0)
    return;
  bool tiles = outputs_have_tiles (run);
  ProductJob job = { run, cut_product (run, w, NULL, run->n_outputs, tiles) };
  if (w->pack != ENG_PACK_NONE || tiles)
    eng_cpu_for (run, run->n_outputs, quantize_outputs, run);
  eng_cpu_for (run, job.cut.n_slices * job.cut.n_tiles, output_chunk, &job);
}
