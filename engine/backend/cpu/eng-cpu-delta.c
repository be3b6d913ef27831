/* SPDX-License-Identifier: Apache-2.0 */
/* Layers with a recurrent state: the gated delta rule behind its convolution, gates, and gated convolutions.
 *
 * A layer's state (of a gated convolution only its first part): the last n_conv - 1 rows of the convolution's input, [n_conv - 1][width]; then of each value head
 * matrices S in slices of TILE columns, [slices][k_width][columns of the slice], so that one slice (16 KB) stays in
 * the first cache while all rows go through it.
 *
 * Where a row leaves a block for which the sequence has an entry, the state goes there too: a checkpoint. The first
 * of them may lie in the very block that the state came from, which is why everything is taken out of it first. */
#include "eng-cpu-private.h"

#include <math.h>
#include <string.h>

#define TILE ENG_DELTA_COLUMNS

/* Rows of one sequence and the blocks of its state. */
typedef struct
{
  uint32_t r0, n;
  uint32_t position; /* of row r0 */
  const uint32_t *table;
} Span;

static Span
get_span (const EngCpuRun *run, uint32_t i, EngGroupId group)
{
  const EngCpuRowGroup *rows = &run->state->spans[i];
  const EngRow *row = &run->batch->rows[rows->first];
  return (Span) { rows->first, rows->n, row->position[0],
                  run->batch->sequences[row->i_sequence].tables[group] };
}

static float *
layer_state (const EngCpuRun *run, uint32_t block)
{
  const EngStep *s = run->step;
  const EngCpuGroup *g = &run->state->groups[s->u.delta.group];
  return (float *) (void *) (g->data + block * g->block_bytes + s->u.delta.i_layer_in_group * g->layer_bytes);
}

/* State in front of the span's first row; NULL: nothing was before it. */
static const float *
state_before (const EngCpuRun *run, const Span *span)
{
  return span->position == 0 ? NULL : layer_state (run, span->table[(span->position - 1) / ENG_KV_BLOCK]);
}

/* Rows of the span that come before the next place where its state is to be kept, from its row @done on; *state is
 * that place. */
static uint32_t
next_stop (const EngCpuRun *run, const Span *span, uint32_t done, float **state)
{
  uint32_t n_blocks = run->state->groups[run->step->u.delta.group].n_blocks;
  for (uint32_t at = done; at < span->n;)
    {
      uint32_t entry = (span->position + at) / ENG_KV_BLOCK;
      uint32_t end = (entry + 1) * ENG_KV_BLOCK - span->position;
      at = eng_cpu_min (end, span->n);
      if (span->table[entry] < n_blocks)
        {
          *state = layer_state (run, span->table[entry]);
          return at - done;
        }
    }
  *state = NULL; /* not reached: the last entry is always there */
  return span->n - done;
}

/* --- convolution --- */

#define MAX_TAPS ENG_CPU_MAX_TAPS

typedef struct
{
  EngCpuRun *run;
  uint32_t n_k, n_v, width; /* heads; numbers of a row of the convolution's input */
  uint32_t first;           /* where in src those begin */
} DeltaJob;

/* Columns [c0, c0 + n) of the newest n_conv - 1 rows to every place where the state is kept. */
static void
keep_history (const DeltaJob *job, const Span *span, float before[MAX_TAPS][ENG_CPU_MAX_CHUNK], uint32_t c0,
              uint32_t n)
{
  const EngCpuRun *run = job->run;
  uint32_t n_back = run->step->u.delta.n_conv - 1;
  for (uint32_t done = 0; done < span->n;)
    {
      float *state;
      done += next_stop (run, span, done, &state);
      for (uint32_t j = 0; state && j < n_back; j++)
        {
          int64_t row = (int64_t) done - n_back + j; /* of the span */
          memcpy (state + (size_t) j * job->width + c0,
                  row < 0 ? before[n_back + row] : eng_cpu_row (run, run->step->src, span->r0 + (uint32_t) row) + job->first + c0,
                  n * sizeof (float));
        }
    }
}

/* The newest n_conv - 1 rows in front of the span. */
static void
read_history (const DeltaJob *job, const Span *span, float before[MAX_TAPS][ENG_CPU_MAX_CHUNK], uint32_t c0, uint32_t n)
{
  const float *state = state_before (job->run, span);
  for (uint32_t j = 0; j + 1 < job->run->step->u.delta.n_conv; j++)
    if (state)
      memcpy (before[j], state + (size_t) j * job->width + c0, n * sizeof (float));
    else
      memset (before[j], 0, n * sizeof (float));
}

/* In place, the last row first: a row needs those before it as they were. */
static void
convolve (const DeltaJob *job, const Span *span, float before[MAX_TAPS][ENG_CPU_MAX_CHUNK], uint32_t c0,
          uint32_t n)
{
  const EngCpuRun *run = job->run;
  uint32_t n_conv = run->step->u.delta.n_conv;
  const float *w = eng_cpu_vector (run, run->step->w[0]) + (size_t) c0 * n_conv;
  float taps[MAX_TAPS][ENG_CPU_MAX_CHUNK];
  for (uint32_t c = 0; c < n; c++)
    for (uint32_t j = 0; j < n_conv; j++)
      taps[j][c] = w[(size_t) c * n_conv + j];
  for (uint32_t r = span->n; r-- > 0;)
    {
      float *x = eng_cpu_row (run, run->step->src, span->r0 + r) + job->first + c0;
      for (uint32_t c = 0; c < n; c++)
        x[c] *= taps[n_conv - 1][c];
      for (uint32_t back = 1; back < n_conv; back++)
        {
          const float *old = back <= r ? eng_cpu_row (run, run->step->src, span->r0 + r - back) + job->first + c0
                                       : before[n_conv - 1 + r - back];
          const float *tap = taps[n_conv - 1 - back];
          for (uint32_t c = 0; c < n; c++)
            x[c] += tap[c] * old[c];
        }
    }
}

#define LENGTH_EPS 1e-6f

static void
activate (const DeltaJob *job, const Span *span, uint32_t c0, uint32_t n)
{
  for (uint32_t r = 0; r < span->n; r++)
    {
      float *x = eng_cpu_row (job->run, job->run->step->src, span->r0 + r) + c0;
      job->run->k->silu (x, x, n);
    }
}

static void
scale_heads (const DeltaJob *job, const Span *span, uint32_t c0, uint32_t n, float scale)
{
  for (uint32_t r = 0; r < span->n; r++)
    {
      float *x = eng_cpu_row (job->run, job->run->step->src, span->r0 + r) + c0;
      float f = scale / sqrtf (job->run->k->dot (x, x, n) + LENGTH_EPS);
      for (uint32_t c = 0; c < n; c++)
        x[c] *= f;
    }
}

/* The key head of a head of values, and where in rows of aux and alpha its numbers stand. */
typedef struct
{
  uint32_t key, b, a;
} Head;

static Head
find_head (const DeltaJob *job, uint32_t head)
{
  uint32_t each = job->n_v / job->n_k, key = head / each, first = key * 2 * each + head % each;
  return job->run->step->u.delta.grouped ? (Head) { key, first, first + each } : (Head) { head % job->n_k, head, head };
}

/* aux and alpha to rate and decay. */
static void
find_rates (const DeltaJob *job, const Span *span, uint32_t head)
{
  const EngStep *s = job->run->step;
  const Head h = find_head (job, head);
  float a = eng_cpu_vector (job->run, s->w[1])[head], bias = eng_cpu_vector (job->run, s->w[2])[head];
  for (uint32_t r = span->r0; r < span->r0 + span->n; r++)
    {
      float *rate = eng_cpu_row (job->run, s->aux, r) + h.b, *decay = eng_cpu_row (job->run, s->u.delta.alpha, r) + h.a;
      float x = *decay + bias;
      *rate = 1.0f / (1.0f + expf (-*rate));
      *decay = expf (a * (x > 20.0f ? x : log1pf (expf (x))));
    }
}

/* One head of queries, keys or values of one sequence. */
static void
convolve_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  const DeltaJob *job = data;
  const EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  uint32_t n_heads = 2 * job->n_k + job->n_v, head = i_chunk % n_heads;
  bool is_value = head >= 2 * job->n_k;
  uint32_t n = is_value ? s->u.delta.v_width : s->u.delta.k_width;
  uint32_t c0 = is_value ? 2 * job->n_k * s->u.delta.k_width + (head - 2 * job->n_k) * n : head * n;
  Span span = get_span (run, i_chunk / n_heads, s->u.delta.group);
  float before[MAX_TAPS][ENG_CPU_MAX_CHUNK];
  (void) i_thread;
  read_history (job, &span, before, c0, n);
  keep_history (job, &span, before, c0, n);
  convolve (job, &span, before, c0, n);
  activate (job, &span, c0, n);
  if (is_value)
    find_rates (job, &span, head - 2 * job->n_k);
  else
    scale_heads (job, &span, c0, n, head < job->n_k ? 1.0f / sqrtf ((float) n) : 1.0f);
}

/* --- delta rule --- */

/* One slice of a value head's matrix of one sequence. */
static void
delta_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  const DeltaJob *job = data;
  const EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  uint32_t k_width = s->u.delta.k_width, v_width = s->u.delta.v_width, n_tiles = (v_width + TILE - 1) / TILE;
  uint32_t tile = i_chunk % n_tiles, head = i_chunk / n_tiles % job->n_v, c0 = tile * TILE;
  uint32_t n_columns = eng_cpu_min (TILE, v_width - c0);
  const Head h = find_head (job, head);
  Span span = get_span (run, i_chunk / n_tiles / job->n_v, s->u.delta.group);
  size_t at = (size_t) (s->u.delta.n_conv - 1) * job->width + ((size_t) head * v_width + c0) * k_width;
  size_t bytes = (size_t) k_width * n_columns * sizeof (float);
  const float *before = state_before (run, &span);
  float *matrix = layer_state (run, span.table[(span.position + span.n - 1) / ENG_KV_BLOCK]) + at, *stop;
  (void) i_thread;
  if (!before)
    memset (matrix, 0, bytes);
  else if (before + at != matrix)
    memcpy (matrix, before + at, bytes);
  for (uint32_t done = 0; done < span.n;)
    {
      uint32_t n = next_stop (run, &span, done, &stop), r = span.r0 + done;
      const float *row = eng_cpu_row (run, s->src, r);
      const EngDelta delta = {
        .s = matrix, .n_k = k_width, .n_v = n_columns, .n_rows = n,
        .q = row + (size_t) h.key * k_width,
        .k = row + ((size_t) job->n_k + h.key) * k_width,
        .v = row + 2 * (size_t) job->n_k * k_width + (size_t) head * v_width + c0,
        .stride = job->width,
        .decay = eng_cpu_row (run, s->u.delta.alpha, r) + h.a,
        .rate = eng_cpu_row (run, s->aux, r) + h.b,
        .rate_stride = run->bound->program->buffers[s->aux].width,
        .out = eng_cpu_row (run, s->dst, r) + (size_t) head * v_width + c0,
        .out_stride = (size_t) job->n_v * v_width,
      };
      run->k->delta (&delta);
      done += n;
      if (stop && stop + at != matrix)
        memcpy (stop + at, matrix, bytes);
    }
}

void
eng_cpu_step_delta (EngCpuRun *run)
{
  const EngStep *s = run->step;
  DeltaJob job = { run, s->u.delta.n_k_head, s->u.delta.n_v_head, run->bound->program->buffers[s->src].width, 0 };
  eng_cpu_for (run, run->n_spans * (2 * job.n_k + job.n_v), convolve_chunk, &job);
  eng_cpu_for (run, run->n_spans * job.n_v * ((s->u.delta.v_width + TILE - 1) / TILE), delta_chunk, &job);
}

/* --- gated convolution --- */

#define CONV_COLUMNS 128u

static void
multiply (const float *x, float *y, uint32_t n)
{
  for (uint32_t c = 0; c < n; c++)
    y[c] *= x[c];
}

/* Some columns of one sequence. */
static void
conv_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  const DeltaJob *job = data;
  const EngCpuRun *run = job->run;
  uint32_t n_chunks = (job->width + CONV_COLUMNS - 1) / CONV_COLUMNS, c0 = i_chunk % n_chunks * CONV_COLUMNS;
  uint32_t n = eng_cpu_min (CONV_COLUMNS, job->width - c0);
  Span span = get_span (run, i_chunk / n_chunks, run->step->u.delta.group);
  float before[MAX_TAPS][ENG_CPU_MAX_CHUNK];
  (void) i_thread;
  for (uint32_t r = span.r0; r < span.r0 + span.n; r++)
    multiply (eng_cpu_row (run, run->step->src, r) + c0, eng_cpu_row (run, run->step->src, r) + job->first + c0, n);
  read_history (job, &span, before, c0, n);
  keep_history (job, &span, before, c0, n);
  convolve (job, &span, before, c0, n);
  for (uint32_t r = span.r0; r < span.r0 + span.n; r++)
    {
      float *row = eng_cpu_row (run, run->step->src, r), *y = eng_cpu_row (run, run->step->dst, r) + c0;
      memcpy (y, row + job->first + c0, n * sizeof (float));
      multiply (row + job->width + c0, y, n);
    }
}

void
eng_cpu_step_conv (EngCpuRun *run)
{
  uint32_t width = run->bound->program->buffers[run->step->dst].width;
  DeltaJob job = { run, 0, 0, width, 2 * width };
  eng_cpu_for (run, run->n_spans * ((width + CONV_COLUMNS - 1) / CONV_COLUMNS), conv_chunk, &job);
}

/* --- gate --- */

static void
gate_chunk (void *data, uint32_t r, uint32_t i_thread)
{
  EngCpuRun *run = data;
  const EngStep *s = run->step;
  uint32_t width = run->bound->program->buffers[s->dst].width, n_head = s->u.gate.n_head, n = width / n_head;
  const float *x = eng_cpu_row (run, s->src, r) + s->u.gate.first, *w = eng_cpu_vector (run, s->w[0]);
  float *values = eng_cpu_scratch (run, i_thread, 0), *y = eng_cpu_row (run, s->dst, r);
  for (uint32_t h = 0; h < n_head; h++)
    if (w)
      run->k->rms_norm (x + h * n, w, s->u.gate.eps, values + h * n, n);
    else
      memcpy (values + h * n, x + h * n, n * sizeof (float));
  const float *gate = eng_cpu_row (run, s->aux, r);
  if (y != gate)
    memcpy (y, gate, width * sizeof (float));
  eng_cpu_glu (run->k, s->u.gate.act, y, values, y, width);
}

void
eng_cpu_step_gate (EngCpuRun *run)
{
  eng_cpu_for (run, run->n_rows, gate_chunk, run);
}
