/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over blocks of keys and values. */
#include "eng-cpu-private.h"

#include "eng-cpu-device.h"

#include <math.h>
#include <string.h>

/* One query head of one row, block by block with a running maximum (Milakov and Gimelshein, "Online
 * normalizer calculation for softmax", arXiv 1805.02867): what was summed so far is scaled down when
 * a block raises the maximum. */
typedef struct
{
  const EngCpuRun *run;
  const float *q;
  float *out; /* [v_width] */
  float max, sum;
} Head;

/* Values are the first numbers of the keys (ENG_STEP_LATENT). */
static bool
has_latents (const EngProgram *program, const EngStep *s)
{
  return program->groups[s->u.attention.group].v_width == 0;
}

static void
attend_block (Head *head, const uint8_t *keys, const uint8_t *values, uint32_t p0, uint32_t p1)
{
  const EngCpuRun *run = head->run;
  const EngStep *s = run->step;
  const EngCpuGroup *g = &run->state->groups[s->u.attention.group];
  float scores[ENG_KV_BLOCK], row[ENG_CPU_MAX_KEY], max = head->max;
  bool latents = has_latents (run->bound->program, s);
  for (uint32_t p = p0; p < p1; p++)
    {
      eng_cpu_read_key (run, g, keys, s->u.attention.k_width, p, s->u.attention.k_width, row);
      float score = run->k->dot (head->q, row, s->u.attention.k_width) * s->u.attention.scale;
      if (s->u.attention.soft_cap > 0)
        score = s->u.attention.soft_cap * tanhf (score / s->u.attention.soft_cap);
      scores[p] = score;
      max = fmaxf (max, score);
    }
  uint32_t width = s->u.attention.v_width;
  if (max > head->max)
    {
      float scale = expf (head->max - max);
      for (uint32_t i = 0; i < width; i++)
        head->out[i] *= scale;
      head->sum *= scale;
      head->max = max;
    }
  head->sum += run->k->exp_sum (scores + p0, max, p1 - p0);
  for (uint32_t p = p0; p < p1; p++)
    {
      const float *v = row;
      if (latents)
        eng_cpu_read_key (run, g, keys, s->u.attention.k_width, p, width, row);
      else
        v = eng_cpu_read_value (run, g, values, width, p, row);
      run->k->axpy (scores[p], v, head->out, width);
    }
}

/* Positions that a row sees: [*first, *end). */
static void
row_span (const EngCpuRun *run, uint32_t r, uint32_t *first, uint32_t *end)
{
  const EngStep *s = run->step;
  const EngRow *row = &run->batch->rows[r];
  uint32_t window = s->u.attention.window;
  *first = 0;
  *end = row->position[0] + 1;
  if (!s->u.attention.causal)
    {
      uint32_t n = run->batch->sequences[row->i_sequence].n_positions, half = window / 2;
      *first = window != 0 && row->position[0] > half ? row->position[0] - half : 0;
      *end = window != 0 ? eng_cpu_min (n, *end + half) : n;
    }
  else if (window != 0 && *end > window)
    *first = *end - window;
}

static void
attention_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  EngCpuRun *run = data;
  const EngStep *s = run->step;
  (void) i_thread;
  uint32_t n_head = s->u.attention.n_head, h = i_chunk % n_head, r = i_chunk / n_head;
  uint32_t kv_head = h / (n_head / s->u.attention.n_head_kv), width = s->u.attention.v_width;
  const EngRow *row = &run->batch->rows[r];
  const EngCpuGroup *g = &run->state->groups[s->u.attention.group];
  const uint32_t *table = run->batch->sequences[row->i_sequence].tables[s->u.attention.group];
  const float *sinks = eng_cpu_vector (run, s->w[0]);
  Head head = { run, eng_cpu_row (run, s->src, r) + (size_t) h * s->u.attention.k_width,
                eng_cpu_row (run, s->dst, r) + (size_t) h * width, -INFINITY, 0 };
  memset (head.out, 0, width * sizeof (float));
  if (sinks != NULL)
    head.max = sinks[h], head.sum = 1;
  uint32_t first, end;
  row_span (run, r, &first, &end);
  for (uint32_t b = first / ENG_KV_BLOCK; b * ENG_KV_BLOCK < end; b++)
    {
      const uint8_t *keys = g->data + table[b] * g->block_bytes
                            + s->u.attention.i_layer_in_group * g->layer_bytes
                            + kv_head * g->k_head_bytes;
      const uint8_t *values = keys - kv_head * g->k_head_bytes
                              + s->u.attention.n_head_kv * g->k_head_bytes
                              + kv_head * g->v_head_bytes;
      uint32_t base = b * ENG_KV_BLOCK, p0 = first > base ? first - base : 0;
      attend_block (&head, keys, values, p0, eng_cpu_min (ENG_KV_BLOCK, end - base));
    }
  float scale = head.sum > 0 ? 1.0f / head.sum : 0;
  for (uint32_t i = 0; i < width; i++)
    head.out[i] *= scale;
}

/* --- keys and values of half precision or of 8 bits --- */

/* Queries of a row group that share one head of keys: rows times the query heads of that head. They
 * stand in the thread's scratch, scaled, so that keys are read once for all of them. */
typedef struct
{
  EngCpuRun *run;
  EngCpuQueryTile tile;
  uint32_t n_row_parts, n_head_parts; /* tiles of a row group and of the heads that share keys */
  uint32_t n_splits, blocks_per_split;
} Job;

/* What a chunk works on. */
typedef struct
{
  EngCpuRowGroup rows;
  uint32_t kv_head, first_head, n_heads; /* query heads */
  uint32_t i_unit, i_split;
} Unit;

typedef struct
{
  const EngCpuRun *run;
  uint32_t first_row, n_rows, kv_head, n_heads; /* n_heads: query heads of the key head */
  uint32_t n_q;                                 /* n_rows * n_heads; query i = row * n_heads + head */
  float *q, *out, *scores, *max, *sum;
  uint16_t *values; /* latents: those of a block, row by row */
  EngTileRows q_tiles, weight_tiles; /* instead of q, and what scores become, where high is not NULL */
  float *scratch;                    /* of the products by tiles */
} Queries;

/* Queries of a chunk from which on they are multiplied by tiles, if the run has as many rows as those ask for: fewer do not pay
 * for what it takes to read keys and values so. */
#define TILE_QUERIES 16u

/* What a thread's scratch holds. */
EngCpuQueryTile
eng_cpu_query_tile (const EngProgram *program, const EngStep *s)
{
  uint32_t n_heads = s->u.attention.n_head / s->u.attention.n_head_kv, room = ENG_CPU_PARTS * ENG_CPU_PART_FLOATS;
  uint32_t whole = (s->u.attention.k_width + ENG_TILE_COLS - 1) / ENG_TILE_COLS * ENG_TILE_COLS;
  if (has_latents (program, s))
    room -= ENG_KV_BLOCK / 2 * s->u.attention.v_width;
  /* Queries as tiles take as much as they do as floats, but for whole tiles; beside them one as floats, and 64 bytes' alignment. */
  room -= (ENG_TILE_ROWS - 1) * (whole + ENG_KV_BLOCK) + whole + 16;
  uint32_t n_q = room / (whole + s->u.attention.v_width + 2 * ENG_KV_BLOCK + 2);
  uint32_t n_parts = (n_heads + n_q - 1) / n_q;
  EngCpuQueryTile tile = { .n_heads = (n_heads + n_parts - 1) / n_parts };
  tile.n_rows = eng_cpu_min (n_q / tile.n_heads, ENG_CPU_GROUP_ROWS);
  return tile;
}

/* The unit of chunk @i; false: the row group is shorter than others and ends before it. */
static bool
find_unit (const Job *job, uint32_t i, Unit *unit)
{
  const EngStep *s = job->run->step;
  uint32_t n_kv = s->u.attention.n_head_kv, n_heads = s->u.attention.n_head / n_kv;
  unit->i_split = i % job->n_splits;
  unit->i_unit = i /= job->n_splits;
  uint32_t first = i % job->n_head_parts * job->tile.n_heads;
  unit->n_heads = eng_cpu_min (job->tile.n_heads, n_heads - first);
  i /= job->n_head_parts;
  unit->kv_head = i % n_kv;
  unit->first_head = unit->kv_head * n_heads + first;
  i /= n_kv;
  const EngCpuRowGroup *group = &job->run->state->row_groups[i / job->n_row_parts];
  first = i % job->n_row_parts * job->tile.n_rows;
  if (first >= group->n)
    return false;
  unit->rows = (EngCpuRowGroup) { group->first + first, eng_cpu_min (job->tile.n_rows, group->n - first) };
  return true;
}

static void
block_pointers (const EngCpuRun *run, uint32_t block, uint32_t kv_head, const uint8_t **keys,
                const uint8_t **values)
{
  const EngStep *s = run->step;
  const EngCpuGroup *g = &run->state->groups[s->u.attention.group];
  const uint8_t *layer
      = g->data + block * g->block_bytes + s->u.attention.i_layer_in_group * g->layer_bytes;
  *keys = layer + kv_head * g->k_head_bytes;
  *values = layer + s->u.attention.n_head_kv * g->k_head_bytes + kv_head * g->v_head_bytes;
}

/* Softmax numerators of one query's scores over positions [0, n) of a block, of which it sees
 * [p0, p1); what was summed before shrinks when the maximum rises. */
static void
weigh (Queries *qs, uint32_t i, uint32_t n, uint32_t p0, uint32_t p1)
{
  const EngCpuRun *run = qs->run;
  const EngStep *s = run->step;
  float *scores = qs->scores + (size_t) i * ENG_KV_BLOCK, *out;
  if (p0 >= p1)
    {
      memset (scores, 0, n * sizeof (float));
      return;
    }
  if (s->u.attention.soft_cap > 0)
    for (uint32_t p = p0; p < p1; p++)
      scores[p] = s->u.attention.soft_cap * tanhf (scores[p] / s->u.attention.soft_cap);
  float max = run->k->max (scores + p0, p1 - p0);
  if (max > qs->max[i])
    {
      float scale = expf (qs->max[i] - max);
      out = qs->out + (size_t) i * s->u.attention.v_width;
      for (uint32_t c = 0; qs->sum[i] > 0 && c < s->u.attention.v_width; c++)
        out[c] *= scale;
      qs->sum[i] *= scale;
      qs->max[i] = max;
    }
  qs->sum[i] += run->k->exp_sum (scores + p0, qs->max[i], p1 - p0);
  memset (scores, 0, p0 * sizeof (float));
  memset (scores + p1, 0, (n - p1) * sizeof (float));
}

/* The processor's own prefetching stops at every page of 4 KB, and a head's keys of a block are hardly
 * more: ask for what comes next while there is work on what is here. */
static void
prefetch (const EngCpuRun *run, const uint8_t *data, uint64_t bytes)
{
  if ((run->bound->device->without & ENG_CPU_WITHOUT_FETCH) != 0)
    return;
  for (uint64_t i = 0; i < bytes; i += 64)
    __builtin_prefetch (data + i, 0, 2);
}

/* Scores of positions [low, high) of a block, and of those that share a group with them. */
static void
score_keys (Queries *qs, const uint8_t *keys, uint32_t low, uint32_t high)
{
  const EngCpuRun *run = qs->run;
  const EngStep *s = run->step;
  uint32_t width = s->u.attention.k_width;
  bool is_codes = run->state->groups[s->u.attention.group].k_type == ENG_TYPE_Q8_0;
  if (qs->q_tiles.high != NULL)
    {
      uint32_t from = low / ENG_KEY_GROUP * ENG_KEY_GROUP, to = (high + ENG_KEY_GROUP - 1) / ENG_KEY_GROUP * ENG_KEY_GROUP;
      run->k->product_halves ((const uint16_t *) (const void *) keys + (size_t) from * width, ENG_KEY_GROUP,
                              (size_t) ENG_KEY_GROUP * width, width, to - from, &qs->q_tiles, qs->n_q, false,
                              qs->scores + from, ENG_KV_BLOCK, qs->scratch);
      return;
    }
  for (uint32_t p = low / ENG_KEY_GROUP * ENG_KEY_GROUP; p < high; p += ENG_KEY_GROUP)
    if (is_codes)
      {
        EngCpuCodes k = eng_cpu_key_codes (keys, width, p);
        run->k->score_codes (k.codes, k.scales, width, qs->q, width, qs->n_q, qs->scores + p, ENG_KV_BLOCK);
      }
    else
      run->k->score ((const uint16_t *) (const void *) keys + (size_t) p * width, width, qs->q, width, qs->n_q,
                     qs->scores + p, ENG_KV_BLOCK);
}

static void
mix_values (Queries *qs, const uint8_t *keys, const uint8_t *values, uint32_t low, uint32_t high)
{
  const EngCpuRun *run = qs->run;
  const EngStep *s = run->step;
  uint32_t width = s->u.attention.v_width;
  const uint16_t *halves = (const uint16_t *) (const void *) values;
  if (qs->values == NULL && run->state->groups[s->u.attention.group].v_type == ENG_TYPE_Q8_0)
    {
      EngCpuCodes v = eng_cpu_value_codes (values, width, low);
      run->k->mix_codes (v.codes, v.scales, width, high - low, qs->scores + low, ENG_KV_BLOCK, qs->n_q, qs->out, width);
      return;
    }
  for (uint32_t p = low / ENG_KEY_GROUP * ENG_KEY_GROUP; qs->values != NULL && p < high; p += ENG_KEY_GROUP)
    run->k->turn_keys ((const uint16_t *) (const void *) keys + (size_t) p * s->u.attention.k_width, width,
                       qs->values + (size_t) p * width, width);
  if (qs->values != NULL)
    halves = qs->values;
  if (qs->q_tiles.high != NULL)
    {
      for (uint32_t i = 0; i < qs->n_q; i++)
        run->k->round_row (qs->scores + (size_t) i * ENG_KV_BLOCK + low, high - low, &qs->weight_tiles, i);
      run->k->product_halves (halves + (size_t) low * width, width, ENG_TILE_ROWS, high - low, width, &qs->weight_tiles, qs->n_q,
                              true, qs->out, width, qs->scratch);
      return;
    }
  run->k->mix (halves + (size_t) low * width, width, high - low, qs->scores + low, ENG_KV_BLOCK, qs->n_q, qs->out, width);
}

static void
attend_shared (Queries *qs, const uint32_t *table, uint32_t b, bool is_last, const uint32_t *first,
               const uint32_t *end)
{
  const EngCpuRun *run = qs->run;
  const EngStep *s = run->step;
  uint32_t base = b * ENG_KV_BLOCK, low = ENG_KV_BLOCK, high = 0;
  uint32_t p0[ENG_CPU_GROUP_ROWS], p1[ENG_CPU_GROUP_ROWS];
  for (uint32_t r = 0; r < qs->n_rows; r++)
    {
      p0[r] = first[r] > base ? eng_cpu_min (first[r] - base, ENG_KV_BLOCK) : 0;
      p1[r] = end[r] > base ? eng_cpu_min (end[r] - base, ENG_KV_BLOCK) : 0;
      if (p0[r] < p1[r])
        {
          low = eng_cpu_min (low, p0[r]);
          high = p1[r] > high ? p1[r] : high;
        }
    }
  if (low >= high)
    return;
  const uint8_t *keys, *values;
  block_pointers (run, table[b], qs->kv_head, &keys, &values);
  const EngCpuGroup *g = &run->state->groups[s->u.attention.group];
  prefetch (run, values, g->v_head_bytes);
  score_keys (qs, keys, low, high);
  for (uint32_t i = 0; i < qs->n_q; i++)
    weigh (qs, i, high, p0[i / qs->n_heads], p1[i / qs->n_heads]);
  if (!is_last)
    {
      const uint8_t *next, *unused;
      block_pointers (run, table[b + 1], qs->kv_head, &next, &unused);
      prefetch (run, next, g->k_head_bytes);
    }
  mix_values (qs, keys, values, low, high);
}

static bool
takes_tiles (const EngCpuRun *run, uint32_t n_q)
{
  const EngStep *s = run->step;
  const EngCpuGroup *g = &run->state->groups[s->u.attention.group];
  return eng_cpu_takes_tiles (run->k, run->n_rows) && n_q >= TILE_QUERIES && g->k_type == ENG_TYPE_F16
         && (g->v_type == ENG_TYPE_F16 || has_latents (run->bound->program, s));
}

/* Tiles from @memory on; eng_cpu_query_tile () has made room for them. */
static void
place_tiles (Queries *qs, float *memory, uint32_t width, float *scratch)
{
  uint16_t *at = (uint16_t *) (((uintptr_t) memory + 63) / 64 * 64);
  uint32_t n_tiles = (qs->n_q + ENG_TILE_ROWS - 1) / ENG_TILE_ROWS;
  size_t q = n_tiles * ENG_TILE_STRIDE (width), weights = n_tiles * ENG_TILE_STRIDE (ENG_KV_BLOCK);
  qs->q_tiles = (EngTileRows){ at, at + q };
  qs->weight_tiles = (EngTileRows){ at + 2 * q, at + 2 * q + weights };
  qs->scratch = scratch;
}

static Queries
gather_queries (const EngCpuRun *run, uint32_t i_thread, const Unit *unit)
{
  const EngStep *s = run->step;
  uint32_t n_heads = unit->n_heads, width = s->u.attention.k_width;
  const float *sinks = unit->i_split == 0 ? eng_cpu_vector (run, s->w[0]) : NULL;
  Queries qs = { run, unit->rows.first, unit->rows.n, unit->kv_head, n_heads, unit->rows.n * n_heads };
  bool tiles = takes_tiles (run, qs.n_q);
  qs.q = eng_cpu_scratch (run, i_thread, 0);
  qs.out = qs.q + (size_t) (tiles ? 1 : qs.n_q) * width;
  qs.scores = qs.out + (size_t) qs.n_q * s->u.attention.v_width;
  qs.max = qs.scores + (size_t) qs.n_q * ENG_KV_BLOCK;
  qs.sum = qs.max + qs.n_q;
  float *end = qs.sum + qs.n_q;
  if (has_latents (run->bound->program, s))
    {
      qs.values = (uint16_t *) (void *) end;
      end += ENG_KV_BLOCK / 2 * s->u.attention.v_width;
    }
  if (tiles)
    place_tiles (&qs, end, width, eng_cpu_scratch (run, i_thread, ENG_CPU_PARTS));
  memset (qs.out, 0, (size_t) qs.n_q * s->u.attention.v_width * sizeof (float));
  for (uint32_t i = 0; i < qs.n_q; i++)
    {
      uint32_t head = unit->first_head + i % n_heads;
      const float *from = eng_cpu_row (run, s->src, qs.first_row + i / n_heads) + (size_t) head * width;
      float *to = qs.q + (tiles ? 0 : (size_t) i * width);
      for (uint32_t c = 0; c < width; c++)
        to[c] = from[c] * s->u.attention.scale;
      if (tiles)
        run->k->round_row (to, width, &qs.q_tiles, i);
      qs.max[i] = sinks != NULL ? sinks[head] : -INFINITY;
      qs.sum[i] = sinks != NULL ? 1 : 0;
    }
  return qs;
}

/* Where query @i of the unit's goes. */
static float *
result_of (const EngCpuRun *run, const Unit *unit, uint32_t i)
{
  const EngStep *s = run->step;
  return eng_cpu_row (run, s->dst, unit->rows.first + i / unit->n_heads)
         + (size_t) (unit->first_head + i % unit->n_heads) * s->u.attention.v_width;
}

static float *
partial_of (const Job *job, const Unit *unit, uint32_t split)
{
  size_t i = (size_t) unit->i_unit * job->n_splits + split;
  return job->run->state->partial
         + i * job->tile.n_rows * job->tile.n_heads * (job->run->step->u.attention.v_width + 2u);
}

static void
shared_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  Job *job = data;
  EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  uint32_t width = s->u.attention.v_width;
  Unit unit;
  if (!find_unit (job, i_chunk, &unit))
    return;
  Queries qs = gather_queries (run, i_thread, &unit);
  uint32_t first[ENG_CPU_GROUP_ROWS], end[ENG_CPU_GROUP_ROWS], low = UINT32_MAX, high = 0;
  for (uint32_t r = 0; r < unit.rows.n; r++)
    {
      row_span (run, unit.rows.first + r, &first[r], &end[r]);
      low = eng_cpu_min (low, first[r]);
      high = end[r] > high ? end[r] : high;
    }
  const uint32_t *table = run->batch->sequences[run->batch->rows[unit.rows.first].i_sequence]
                              .tables[s->u.attention.group];
  uint32_t b0 = low / ENG_KV_BLOCK, b1 = (high + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK;
  if (job->n_splits > 1)
    {
      b0 += unit.i_split * job->blocks_per_split;
      b1 = eng_cpu_min (b1, b0 + job->blocks_per_split);
    }
  for (uint32_t b = b0; b < b1; b++)
    attend_shared (&qs, table, b, b + 1 == b1, first, end);
  if (job->n_splits > 1)
    {
      float *to = partial_of (job, &unit, unit.i_split);
      for (uint32_t i = 0; i < qs.n_q; i++, to += width + 2)
        {
          memcpy (to, qs.out + (size_t) i * width, width * sizeof (float));
          to[width] = qs.max[i];
          to[width + 1] = qs.sum[i];
        }
      return;
    }
  for (uint32_t i = 0; i < qs.n_q; i++)
    {
      float *to = result_of (run, &unit, i);
      float scale = qs.sum[i] > 0 ? 1.0f / qs.sum[i] : 0;
      for (uint32_t c = 0; c < width; c++)
        to[c] = qs.out[(size_t) i * width + c] * scale;
    }
}

/* Put the parts of one unit together. */
static void
combine_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  Job *job = data;
  EngCpuRun *run = job->run;
  uint32_t width = run->step->u.attention.v_width;
  Unit unit;
  (void) i_thread;
  if (!find_unit (job, i_chunk * job->n_splits, &unit))
    return;
  for (uint32_t i = 0; i < unit.rows.n * unit.n_heads; i++)
    {
      float *to = result_of (run, &unit, i);
      float max = -INFINITY, sum = 0;
      memset (to, 0, width * sizeof (float));
      for (uint32_t split = 0; split < job->n_splits; split++)
        {
          const float *from = partial_of (job, &unit, split) + (size_t) i * (width + 2);
          max = from[width + 1] > 0 && from[width] > max ? from[width] : max;
        }
      for (uint32_t split = 0; split < job->n_splits; split++)
        {
          const float *from = partial_of (job, &unit, split) + (size_t) i * (width + 2);
          if (!(from[width + 1] > 0))
            continue;
          float scale = expf (from[width] - max);
          sum += from[width + 1] * scale;
          run->k->axpy (scale, from, to, width);
        }
      for (uint32_t c = 0; sum > 0 && c < width; c++)
        to[c] /= sum;
    }
}

/* Tiles of queries; few rows: split the positions too, so that all threads have work and share it evenly. */
static Job
plan (EngCpuRun *run, uint32_t *n_units)
{
  const EngStep *s = run->step;
  Job job = { run, eng_cpu_query_tile (run->bound->program, s), .n_splits = 1 };
  uint32_t n_threads = eng_thread_pool_get_n_threads (run->bound->device->pool), most = 0, longest = 0;
  uint32_t n_kv = s->u.attention.n_head_kv, n_heads = s->u.attention.n_head / n_kv;
  for (uint32_t i = 0; i < run->n_row_groups; i++)
    longest = run->state->row_groups[i].n > longest ? run->state->row_groups[i].n : longest;
  job.n_row_parts = (longest + job.tile.n_rows - 1) / job.tile.n_rows;
  job.n_head_parts = (n_heads + job.tile.n_heads - 1) / job.tile.n_heads;
  *n_units = run->n_row_groups * job.n_row_parts * n_kv * job.n_head_parts;
  uint32_t wanted = ENG_CPU_SPLIT_CHUNKS * n_threads / *n_units;
  if (n_threads == 1 || wanted <= 1 || (run->bound->device->without & ENG_CPU_WITHOUT_SPLIT) != 0)
    return job;
  for (uint32_t r = 0; r < run->n_rows; r++)
    {
      uint32_t first, end;
      row_span (run, r, &first, &end);
      uint32_t blocks = (end + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK - first / ENG_KV_BLOCK;
      /* A group's span is that of its rows together. */
      blocks += ENG_CPU_GROUP_ROWS / ENG_KV_BLOCK + 1;
      most = blocks > most ? blocks : most;
    }
  uint32_t splits = eng_cpu_min (wanted, (most + 1) / 2);
  if (splits > 1)
    {
      job.blocks_per_split = (most + splits - 1) / splits;
      job.n_splits = (most + job.blocks_per_split - 1) / job.blocks_per_split;
    }
  return job;
}

void
eng_cpu_step_attention (EngCpuRun *run)
{
  const EngStep *s = run->step;
  const EngCpuGroup *g = &run->state->groups[s->u.attention.group];
  if (run->bound->options.exact || g->k_type == ENG_TYPE_F32
      || (g->v_type == ENG_TYPE_F32 && !has_latents (run->bound->program, s)))
    {
      eng_cpu_for (run, run->n_rows * s->u.attention.n_head, attention_chunk, run);
      return;
    }
  uint32_t n_units;
  Job job = plan (run, &n_units);
  eng_cpu_for (run, n_units * job.n_splits, shared_chunk, &job);
  if (job.n_splits > 1)
    eng_cpu_for (run, n_units, combine_chunk, &job);
}
