// SPDX-License-Identifier: Apache-2.0
// Where steps work: buffers and everything that lives for a step or two. What is never needed at the same time lies at the same
// place. Places are counted for three kinds of runs (CuLayout); all begin where the others do.
#include <stdlib.h>
#include <string.h>

#include "eng-cuda-private.h"

#define ALIGN 256
// Expanded weights of a product of many rows: a matrix is expanded whole if it fits, else by slabs of rows.
#define MAX_W16_ELEMENTS ((uint64_t) 64 << 20)
// The same of the output head, of which mostly a row is wanted, and that by another way.
#define OUTPUT_W16_ELEMENTS ((uint64_t) 8 << 20)
// Gate and up of many rows, by slabs of columns.
#define GLU_FLOATS ((uint64_t) 32 << 20)
// Of a step three moments: its inputs are read, in between, its outputs are written.
#define MOMENTS 3

typedef struct
{
  uint64_t bytes;
  void **place;
  uint64_t at;
  uint8_t *live; // [n_steps * MOMENTS]
} Item;

#define MAX_OTHERS 13
typedef struct
{
  const EngBound *b;
  CuLayout layout;
  uint64_t rows;
  uint32_t n_moments, n_items;
  Item *items;
  uint8_t *live;
} Packing;

static Item *
add (Packing *p, void *place, uint64_t bytes)
{
  Item *item = &p->items[p->n_items];
  item->bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
  item->place = (void **) place;
  item->live = p->live + (uint64_t) p->n_items++ * p->n_moments;
  return item;
}

// Moments [@from, @to] of steps @first to @last.
static void
keep (const Packing *p, Item *item, uint32_t first, int from, uint32_t last, int to)
{
  if (first < p->n_moments / MOMENTS)
    memset (item->live + first * MOMENTS + from, 1, (last - first) * MOMENTS + (uint32_t) (to - from) + 1);
}

static void
keep_step (const Packing *p, Item *item, uint32_t i)
{
  keep (p, item, i, 0, i, MOMENTS - 1);
}

static bool
runs_here (const EngBound *b, uint32_t i)
{
  return cu_is_here (b, i) || cu_is_streamed (b, i);
}

// Whether the step multiplies the bf16 form of its source.
static bool
multiplies (const EngStep *s)
{
  return s->kind == ENG_STEP_QKV || s->kind == ENG_STEP_GATE_UP || s->kind == ENG_STEP_PRODUCT || s->kind == ENG_STEP_ROUTE
         || s->kind == ENG_STEP_HEADS || s->kind == ENG_STEP_LATENT;
}

static bool
reads (const Packing *p, uint32_t i, EngBufferId id)
{
  const EngStep *s = &p->b->program->steps[i];
  const int norm = p->layout == CU_LAYOUT_LARGE ? -1 : p->b->plans[i].norm_of_src;
  return s->src == id || s->aux == id || (s->kind == ENG_STEP_DELTA && s->u.delta.alpha == id)
         || (s->kind == ENG_STEP_EXPERTS && s->flags & ENG_STEP_ADD_AFTER && s->dst == id)
         || (norm >= 0 && p->b->program->steps[norm].src == id);
}

static bool
writes (const EngStep *s, EngBufferId id)
{
  return s->dst == id || (s->kind == ENG_STEP_QKV && s->u.qkv.gate && s->u.qkv.gate == id);
}

// While the buffer holds what a later step reads.
static void
keep_buffer (const Packing *p, Item *item, EngBufferId id)
{
  const EngProgram *g = p->b->program;
  uint32_t from = 0;
  bool in_floats = true;
  for (uint32_t i = 0; i < g->n_steps; i++)
    {
      const bool read = reads (p, i, id), written = writes (&g->steps[i], id);
      if (read && in_floats)
        keep (p, item, from, 0, i, MOMENTS - 1);
      if (!written)
        continue;
      if (!read)
        from = i;
      in_floats = p->layout != CU_LAYOUT_LARGE || !p->b->plans[i].only_x16;
      if (in_floats)
        keep_step (p, item, i);
    }
}

// Elements of a step's widest expanded matrix. Float32 matrices are multiplied as they are, but for an output head.
static uint64_t
expanded (const EngBound *b, uint32_t i, bool experts_too)
{
  const EngStep *s = &b->program->steps[i];
  const EngWeightDesc *w = b->program->weights;
  const bool output = s->kind == ENG_STEP_OUTPUT, latent = s->kind == ENG_STEP_LATENT, experts = s->kind == ENG_STEP_EXPERTS;
  const int n = experts                                                ? (experts_too ? 3 : 0)
                : s->kind == ENG_STEP_QKV                              ? 3
                : s->kind == ENG_STEP_GATE_UP || latent                ? 2
                : multiplies (s) || output                             ? 1
                                                                       : 0;
  uint64_t most = 0;
  for (int k = latent; k < n; k++)
    if (s->w[k] != ENG_WEIGHT_NONE && (output || w[s->w[k]].type != ENG_TYPE_F32))
      {
        const EngWeightDesc *d = &w[s->w[k]];
        const uint64_t all = d->n_rows * d->n_cols * d->n_slices, limit = output ? OUTPUT_W16_ELEMENTS : MAX_W16_ELEMENTS;
        const uint64_t wanted = all < limit ? all : limit > d->n_cols ? limit : d->n_cols;
        most = wanted > most ? wanted : most;
      }
  return most;
}

// Whether the experts of the step go by Hopper's own kernel.
static bool
by_hopper (const EngBound *b, uint32_t i)
{
  const EngStep *s = &b->program->steps[i];
  return !cu_is_streamed (b, i)
         && cu_experts_fit (b->device->code_arch, &b->weights[s->w[0]], &b->weights[s->w[1]], &b->weights[s->w[2]], s->u.experts.act);
}

// Whether gate and up of many rows go by slabs of columns where they take too much room.
static bool
by_slabs (const EngBound *b, uint32_t i)
{
  const EngStep *s = &b->program->steps[i];
  return !cu_is_streamed (b, i) && b->weights[s->w[0]].type != ENG_TYPE_F32 && b->weights[s->w[1]].type != ENG_TYPE_F32;
}

// Floats that the step has at glu_rows.
static uint64_t
glu_floats (const Packing *p, uint32_t i)
{
  const EngProgram *g = p->b->program;
  const EngStep *s = &g->steps[i];
  uint64_t width = 0;
  switch (s->kind)
    {
    case ENG_STEP_QKV:
      width = s->u.qkv.gate ? 2 * (uint64_t) s->u.qkv.n_head * s->u.qkv.k_width : 0;
      break;
    case ENG_STEP_DELTA:
      width = g->buffers[s->src].width;
      break;
    case ENG_STEP_PRODUCT:
      width = s->flags & ENG_STEP_ADD_AFTER && p->layout != CU_LAYOUT_SLOW ? g->buffers[s->dst].width : 0;
      break;
    case ENG_STEP_EXPERTS: // few rows: every choice's gate * up
      width = p->layout != CU_LAYOUT_LARGE ? (uint64_t) s->u.experts.n_used * g->weights[s->w[0]].n_rows : 0;
      break;
    case ENG_STEP_GATE_UP:
      {
        const uint64_t n = g->weights[s->w[0]].n_rows;
        width = 2 * n;
        if (p->layout == CU_LAYOUT_SLOW && g->weights[s->w[0]].type == g->weights[s->w[1]].type)
          width = 0;
        if (p->layout == CU_LAYOUT_LARGE && by_slabs (p->b, i) && p->rows * width > GLU_FLOATS)
          return GLU_FLOATS > p->rows * 128 ? GLU_FLOATS : p->rows * 128;
        break;
      }
    default:
      break;
    }
  return p->rows * width;
}

// x16 and h16 hold the bf16 form of a buffer from the step that makes it to the last one that multiplies it; @lost: steps whose
// result is asked for when another stands there. Follows cu_step_many ().
static void
keep_x16 (const EngBound *b, const Packing *p, Item *x16, Item *h16, uint8_t *lost)
{
  const EngProgram *g = b->program;
  EngBufferId in = ENG_BUFFER_NONE;
  uint32_t since = 0;
  Item *where = x16;
  for (uint32_t i = 0; i < g->n_steps; i++)
    {
      const EngStep *s = &g->steps[i];
      if (!runs_here (b, i))
        continue;
      if ((s->kind == ENG_STEP_PRODUCT || s->kind == ENG_STEP_HEADS || s->kind == ENG_STEP_LATENT) && in == s->dst)
        in = ENG_BUFFER_NONE;
      if (multiplies (s) && in != s->src)
        {
          for (uint32_t k = i; k-- > 0;)
            if (writes (&g->steps[k], s->src))
              {
                if (lost)
                  lost[k] = 1;
                break;
              }
          in = s->src;
          since = i;
          where = x16;
        }
      if (multiplies (s) && p)
        keep (p, where, since, 0, i, MOMENTS - 1);
      switch (s->kind)
        {
        case ENG_STEP_NORM:
        case ENG_STEP_ATTENTION:
        case ENG_STEP_GATE:
        case ENG_STEP_GATE_UP:
          in = s->dst;
          since = i;
          where = s->kind == ENG_STEP_GATE_UP ? h16 : x16;
          if (p)
            keep_step (p, where, i);
          break;
        case ENG_STEP_OUTPUT:
          if (p)
            keep_step (p, x16, i);
          in = ENG_BUFFER_NONE;
          break;
        case ENG_STEP_EMBED:
          in = ENG_BUFFER_NONE;
          break;
        default:
          if (in == s->dst)
            in = ENG_BUFFER_NONE;
          break;
        }
    }
}

// Which steps' results only products read, in bf16, where there are many rows.
EngStatus
cu_plan_x16 (EngBound *b, EngError *error)
{
  const EngProgram *g = b->program;
  uint8_t *lost = (uint8_t *) calloc (g->n_steps + 1, 1);
  if (!lost)
    return cu_error (error, ENG_ERR_NO_MEMORY, "bind", 0, 0, "out of memory");
  keep_x16 (b, NULL, NULL, NULL, lost);
  // runs that end in between forget what x16 holds
  bool begun = false, one_run = b->streamed == NULL;
  for (uint32_t i = 0; i < g->n_steps; i++)
    {
      begun = begun || cu_is_here (b, i);
      b->n_here += cu_is_here (b, i);
      one_run = one_run && (!begun || cu_is_here (b, i));
    }
  for (uint32_t i = 0; i < g->n_steps; i++)
    {
      const EngStep *s = &g->steps[i];
      bool can = s->kind == ENG_STEP_GATE_UP || (s->kind == ENG_STEP_NORM && one_run);
      if (s->kind == ENG_STEP_ATTENTION && one_run)
        {
          const uint32_t d = s->u.attention.k_width; // those of cu_attention_prefill () that need no floats
          can = b->device->code_arch >= 80 && d == s->u.attention.v_width && (d == 32 || d == 64 || d == 80 || d == 96 || d == 128)
                && (s->u.attention.causal || !s->u.attention.window);
        }
      b->plans[i].only_x16 = can && cu_is_here (b, i) && !b->plans[i].f32_needed && !lost[i] && s->dst != ENG_BUFFER_RESIDUAL;
      b->drops_floats = b->drops_floats || (b->plans[i].only_x16 && s->kind != ENG_STEP_GATE_UP);
    }
  free (lost);
  return ENG_OK;
}

static int
by_size (const void *a, const void *b)
{
  const uint64_t x = ((const Item *) a)->bytes, y = ((const Item *) b)->bytes;
  return x < y ? 1 : x > y ? -1 : 0;
}

static bool
meet (const Packing *p, const Item *a, const Item *b)
{
  for (uint32_t m = 0; m < p->n_moments; m++)
    if (a->live[m] & b->live[m])
      return true;
  return false;
}

// Largest first, each at the lowest place that is free for as long as it lives.
static uint64_t
pack (Packing *p)
{
  qsort (p->items, p->n_items, sizeof *p->items, by_size);
  uint64_t end = 0;
  for (uint32_t i = 0; i < p->n_items; i++)
    {
      Item *item = &p->items[i];
      for (bool moved = true; moved;)
        {
          moved = false;
          for (uint32_t k = 0; k < i; k++)
            {
              const Item *o = &p->items[k];
              if (item->at < o->at + o->bytes && o->at < item->at + item->bytes && meet (p, item, o))
                {
                  item->at = o->at + o->bytes;
                  moved = true;
                }
            }
        }
      end = item->at + item->bytes > end ? item->at + item->bytes : end;
    }
  return end;
}

// Rows with those that fill up the tiles of few slots.
static uint64_t
most_small_rows (uint64_t slots, uint64_t n_expert)
{
  const uint64_t n = cu_few_slots (slots, n_expert);
  return n + 32 * (n < n_expert ? n : n_expert);
}

// The other things that steps need, and when.
static void
add_others (Packing *p, CuScratch *out)
{
  const EngBound *b = p->b;
  const EngProgram *g = b->program;
  const bool many = p->layout != CU_LAYOUT_SLOW && p->rows > ENG_CUDA_GEMV_ROWS;
  uint64_t kv = 0, scores = 0, x16 = 0, h16 = 0, glu = 0, w16 = 0, slots = 0, slot_in = 0, slot_ff = 0, slot_out = 0, slot_x8 = 0;
  bool floats = false;
  auto grow = [] (uint64_t *a, uint64_t n) { *a = n > *a ? n : *a; };
  for (uint32_t i = 0; i < g->n_steps; i++)
    {
      const EngStep *s = &g->steps[i];
      if (!runs_here (b, i))
        continue;
      const bool hopper = s->kind == ENG_STEP_EXPERTS && by_hopper (b, i);
      grow (&glu, glu_floats (p, i));
      grow (&w16, expanded (b, i, !hopper));
      if (s->kind == ENG_STEP_QKV)
        grow (&kv, (uint64_t) s->u.qkv.n_head_kv * (s->u.qkv.k_width + s->u.qkv.v_width));
      if (s->kind == ENG_STEP_ROUTE)
        grow (&scores, s->u.route.n_expert);
      if (s->kind == ENG_STEP_GATE_UP)
        grow (&h16, g->buffers[s->dst].width);
      const bool from_h16 = i > 0 && s->kind == ENG_STEP_PRODUCT && g->steps[i - 1].kind == ENG_STEP_GATE_UP && g->steps[i - 1].dst == s->src;
      if (s->src != ENG_BUFFER_NONE && s->kind != ENG_STEP_POOL && s->kind != ENG_STEP_EXPERTS && !from_h16)
        grow (&x16, g->buffers[s->src].width);
      if ((s->kind == ENG_STEP_NORM || s->kind == ENG_STEP_ATTENTION || s->kind == ENG_STEP_GATE) && s->dst != ENG_BUFFER_NONE)
        grow (&x16, g->buffers[s->dst].width);
      if (s->kind != ENG_STEP_EXPERTS)
        continue;
      floats = floats || !hopper;
      grow (&slots, s->u.experts.n_used);
      grow (&slot_in, g->weights[s->w[0]].n_cols);
      grow (&slot_ff, g->weights[s->w[0]].n_rows);
      grow (&slot_out, g->weights[s->w[2]].n_rows);
      if (!hopper) // inputs of float32 experts stand there first
        grow (&slot_out, g->weights[s->w[0]].n_cols);
    }
  if (floats)
    slot_x8 = cu_dozens_bytes (most_small_rows (p->rows * slots, scores), slot_in > slot_ff ? slot_in : slot_ff);
  const uint64_t n = p->rows, m = many ? p->rows : 0;
  out->glu_floats = glu;
  out->w16_elements = many ? w16 : 0;
  Item *const i_kv = add (p, &out->kv_rows, n * kv * 4), *const i_glu = add (p, &out->glu_rows, glu * 4),
             *const i_scores = add (p, &out->scores, n * scores * 4), *const i_x16 = add (p, &out->x16, m * x16 * 2),
             *const i_h16 = add (p, &out->h16, m * h16 * 2), *const i_w16 = add (p, &out->w16, many ? w16 * 2 : 0),
             *const i_work = add (p, &out->workspace, many ? CU_BLAS_WORKSPACE_BYTES : 0),
             *const s_x16 = add (p, &out->slot_x16, m * slots * slot_in * 2), *const s_h16 = add (p, &out->slot_h16, m * slots * slot_ff * 2),
             *const s_gate = add (p, &out->slot_gate, floats ? m * slots * slot_ff * 4 : 0),
             *const s_up = add (p, &out->slot_up, floats ? m * slots * slot_ff * 4 : 0), *const s_y = add (p, &out->slot_y, m * slots * slot_out * 4),
             *const s_x8 = add (p, &out->slot_x8, many ? slot_x8 : 0);
  for (uint32_t i = 0; i < g->n_steps; i++)
    {
      const EngStep *s = &g->steps[i];
      if (!runs_here (b, i))
        continue;
      if (s->kind == ENG_STEP_QKV) // the attention behind it may finish its work
        keep (p, i_kv, i, 0, p->layout == CU_LAYOUT_LARGE || i + 1 == g->n_steps ? i : i + 1, MOMENTS - 1);
      if (glu_floats (p, i))
        keep_step (p, i_glu, i);
      if (s->kind == ENG_STEP_ROUTE)
        keep_step (p, i_scores, i);
      const bool hopper = s->kind == ENG_STEP_EXPERTS && by_hopper (b, i);
      if (expanded (b, i, !hopper))
        keep_step (p, i_w16, i);
      if (multiplies (s) || s->kind == ENG_STEP_OUTPUT || (s->kind == ENG_STEP_EXPERTS && !hopper))
        keep_step (p, i_work, i);
      if (s->kind != ENG_STEP_EXPERTS)
        continue;
      keep (p, s_x16, i, 0, i, hopper ? 1 : 2);
      keep (p, s_h16, i, hopper ? 1 : 0, i, 2);
      keep (p, s_y, i, hopper ? 2 : 0, i, 2);
      keep_step (p, s_gate, i);
      keep_step (p, s_up, i);
      keep_step (p, s_x8, i);
    }
  keep_x16 (b, p, i_x16, i_h16, NULL);
}

uint64_t
cu_scratch_place (const EngBound *b, const EngStateOptions *o, CuLayout layout, uint8_t *base, CuScratch *out)
{
  const EngProgram *g = b->program;
  Packing p = {};
  p.b = b;
  p.layout = layout;
  p.rows = layout == CU_LAYOUT_SMALL && o->max_rows > CU_DOZENS ? CU_DOZENS : o->max_rows;
  if (layout != CU_LAYOUT_SMALL && o->max_rows <= CU_DOZENS)
    return 0;
  p.n_moments = g->n_steps * MOMENTS;
  const uint32_t most = g->n_buffers + MAX_OTHERS;
  p.items = (Item *) calloc (most, sizeof *p.items);
  p.live = (uint8_t *) calloc (most, p.n_moments + 1);
  if (!p.items || !p.live)
    {
      free (p.items);
      free (p.live);
      return UINT64_MAX;
    }
  out->rows = (uint32_t) p.rows;
  for (uint32_t i = 0; i < g->n_buffers; i++)
    keep_buffer (&p, add (&p, &out->buffers[i], p.rows * g->buffers[i].width * 4), (EngBufferId) i);
  memset (p.items[ENG_BUFFER_RESIDUAL].live, 1, p.n_moments);
  add_others (&p, out);
  for (uint32_t i = 0; i < p.n_items; i++)
    {
      Item *item = &p.items[i];
      bool used = false;
      for (uint32_t m = 0; m < p.n_moments && !used; m++)
        used = item->live[m];
      if (!used)
        item->bytes = 0;
      else if (layout == CU_LAYOUT_SMALL)
        memset (item->live, 1, p.n_moments);
    }
  const uint64_t bytes = pack (&p);
  for (uint32_t i = 0; i < p.n_items; i++)
    *p.items[i].place = p.items[i].bytes || layout != CU_LAYOUT_SMALL ? base + p.items[i].at : NULL;
  free (p.items);
  free (p.live);
  return bytes;
}
