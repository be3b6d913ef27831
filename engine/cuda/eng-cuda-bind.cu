// SPDX-License-Identifier: Apache-2.0
// Binding: choosing what each weight becomes on the device, one arena for all of it, and the upload
// through pinned staging buffers filled by several threads while the copies run.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "eng-cuda-private.h"

#define ALIGN 256
#define STAGE_BYTES ((size_t) 16 << 20)
#define N_STAGES 6
#define N_THREADS 4

static uint64_t
aligned (uint64_t n)
{
  return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static const char *
type_name (int type)
{
  switch (type)
    {
    case ENG_TYPE_F32:
      return "F32";
    case ENG_TYPE_F16:
      return "F16";
    case ENG_TYPE_BF16:
      return "BF16";
    default:
      return "quantized";
    }
}

static bool
is_float (int type)
{
  return type == ENG_TYPE_F32 || type == ENG_TYPE_F16 || type == ENG_TYPE_BF16;
}

uint64_t
cu_file_row_bytes (int type, uint64_t n_cols)
{
  switch (type)
    {
    case ENG_TYPE_F32:
      return n_cols * 4;
    case ENG_TYPE_F16:
    case ENG_TYPE_BF16:
      return n_cols * 2;
    case ENG_TYPE_Q4_0:
    case ENG_TYPE_IQ4_NL:
      return n_cols / 32 * 18;
    case ENG_TYPE_Q4_1:
      return n_cols / 32 * 20;
    case ENG_TYPE_Q5_0:
      return n_cols / 32 * 22;
    case ENG_TYPE_Q5_1:
      return n_cols / 32 * 24;
    case ENG_TYPE_Q8_0:
      return n_cols / 32 * 34;
    case ENG_TYPE_MXFP4:
      return n_cols / 32 * 17;
    case ENG_TYPE_Q2_K:
      return n_cols / 256 * 84;
    case ENG_TYPE_Q3_K:
      return n_cols / 256 * 110;
    case ENG_TYPE_Q4_K:
      return n_cols / 256 * 144;
    case ENG_TYPE_Q5_K:
      return n_cols / 256 * 176;
    case ENG_TYPE_Q6_K:
      return n_cols / 256 * 210;
    case ENG_TYPE_IQ4_XS:
      return n_cols / 256 * 136;
    default:
      return 0;
    }
}

// Which weights the bound steps name; of streamed steps the vectors.
static void
mark_used (const EngBound *b, bool *used)
{
  const EngProgram *p = b->program;
  for (uint32_t i = b->first_step; i < b->first_step + b->n_steps; i++)
    for (int k = 0; k < 8; k++)
      if (p->steps[i].w[k] != ENG_WEIGHT_NONE
          && (cu_is_here (b, i)
              || (cu_is_streamed (b, i) && p->weights[p->steps[i].w[k]].use == ENG_WEIGHT_VECTOR)))
        used[p->steps[i].w[k]] = true;
}

// An earlier weight that is the same rows of the same tensor: tied embeddings are stored once.
static int
twin_of (const EngProgram *p, const bool *used, uint32_t i)
{
  const EngWeightDesc *d = &p->weights[i];
  for (uint32_t k = 0; k < i; k++)
    {
      const EngWeightDesc *o = &p->weights[k];
      if (used[k] && o->use != ENG_WEIGHT_VECTOR && o->source == d->source
          && o->first_row == d->first_row && o->n_rows == d->n_rows && o->n_slices == d->n_slices)
        return (int) k;
    }
  return -1;
}

static EngStatus
check_weight (const EngWeightDesc *d, EngError *error)
{
  if (cu_file_row_bytes (d->type, d->n_cols) == 0)
    return cu_error (error, ENG_ERR_UNSUPPORTED, "weight", 0, 0,
                     "weights of type %d cannot be used on the GPU", (int) d->type);
  // products a head read four numbers at a time, experts eight; other products do without (cu_gemv_plain ())
  const uint64_t unit = !is_float (d->type)                                      ? 64
                        : d->use == ENG_WEIGHT_EXPERTS                           ? 8
                        : d->use == ENG_WEIGHT_TURNED || d->n_slices > 1         ? 4
                                                                                 : 1;
  if (d->use != ENG_WEIGHT_VECTOR
      && (d->n_cols % unit != 0 || d->n_rows * d->n_slices > UINT32_MAX || d->n_cols > UINT32_MAX))
    return cu_error (error, ENG_ERR_UNSUPPORTED, "weight", 0, 0,
                     "%s rows of %llu values cannot be used on the GPU (multiples of %llu only)",
                     type_name (d->type), (unsigned long long) d->n_cols,
                     (unsigned long long) unit);
  return ENG_OK;
}

// Lay the weight out at *@at of the arena (base may be NULL: sizes only).
void
cu_place_weight (const EngWeightDesc *d, uint8_t *base, uint64_t *at, CuWeight *w)
{
  memset (w, 0, sizeof *w);
  w->type = (uint8_t) d->type;
  w->n_slices = d->n_slices;
  w->n_rows = (uint32_t) d->n_rows;
  w->n_cols = (uint32_t) d->n_cols;
  const uint64_t rows = d->n_rows * d->n_slices;
  if (is_float (d->type))
    {
      w->q = base + *at;
      *at += aligned (rows * cu_file_row_bytes (d->type, d->n_cols));
      return;
    }
  const CuRowBytes r = cu_row_bytes (d->type, d->n_cols);
  w->q_bytes = (uint8_t) (r.q / (d->n_cols / 32));
  w->q = base + *at;
  *at += aligned (rows * r.q);
  w->h = base + *at;
  *at += aligned (rows * r.h);
  w->s = base + *at;
  *at += aligned (rows * r.s);
  w->d = base + *at;
  *at += aligned (rows * r.d);
}

static uint64_t
place_all (EngBound *b, const bool *used, uint8_t *base)
{
  const EngProgram *p = b->program;
  uint64_t at = 0;
  for (uint32_t i = 0; i < p->n_weights; i++)
    {
      const EngWeightDesc *d = &p->weights[i];
      if (!used[i])
        {
          // streamed: its shape, its planes come with each run
          b->weights[i].type = (uint8_t) d->type;
          b->weights[i].n_slices = d->n_slices;
          b->weights[i].n_rows = (uint32_t) d->n_rows;
          b->weights[i].n_cols = (uint32_t) d->n_cols;
          continue;
        }
      if (d->use == ENG_WEIGHT_VECTOR)
        {
          b->vectors[i] = (const float *) (base + at);
          at += aligned (d->n_rows * d->n_cols * 4);
          continue;
        }
      const int twin = twin_of (p, used, i);
      if (twin >= 0)
        b->weights[i] = b->weights[twin];
      else
        cu_place_weight (d, base, &at, &b->weights[i]);
    }
  for (uint32_t i = 0; i < p->n_rope_tables; i++)
    {
      b->rope[i] = (const float *) (base + at);
      at += aligned ((uint64_t) p->rope_table_lengths[i] * 4);
      b->n_rope = (uint32_t) ((float *) (base + at) - b->rope[0]);
    }
  return at;
}

// A NORM folds into its readers when every reader is a product that follows it here, it is a plain
// RMS norm, and nothing writes its source in between.
static void
plan_steps (EngBound *b)
{
  const EngProgram *p = b->program;
  const uint32_t end = b->first_step + b->n_steps;
  for (uint32_t i = 0; i < p->n_steps; i++)
    {
      b->plans[i].norm_of_src = -1;
      // whoever reads the buffer before it is written again; running off the end of what is bound counts
      const EngStep *writer = &p->steps[i];
      bool rewritten = false;
      for (uint32_t k = i + 1; k < p->n_steps && !rewritten; k++)
        {
          const EngStep *r = &p->steps[k];
          const bool product = r->kind == ENG_STEP_QKV || r->kind == ENG_STEP_GATE_UP
                               || r->kind == ENG_STEP_PRODUCT;
          bool floats = false; // products with float32 weights take float32 input
          for (int n = 0; product && n < 3; n++)
            floats = floats || (r->w[n] != ENG_WEIGHT_NONE && p->weights[r->w[n]].type == ENG_TYPE_F32);
          if (r->aux == writer->dst || (r->src == writer->dst && (!product || floats || !cu_is_here (b, k))))
            b->plans[i].f32_needed = true;
          rewritten = r->dst == writer->dst;
        }
    }
  for (uint32_t i = b->first_step; i < end; i++)
    {
      const EngStep *n = &p->steps[i];
      if (!cu_is_here (b, i) || n->kind != ENG_STEP_NORM || n->u.norm.kind != ENG_NORM_RMS || n->flags & 3
          || n->w[1] != ENG_WEIGHT_NONE || n->w[2] != ENG_WEIGHT_NONE || n->u.norm.scale != 1.f || n->u.norm.n_parts > 1
          || n->dst == n->src)
        continue;
      bool ok = true, rewritten = false, source_changed = false;
      int n_readers = 0;
      for (uint32_t k = i + 1; k < p->n_steps && !rewritten; k++)
        {
          const EngStep *r = &p->steps[k];
          const bool reads = r->src == n->dst || (r->aux == n->dst);
          if (reads)
            {
              n_readers++;
              const bool product = r->kind == ENG_STEP_QKV || r->kind == ENG_STEP_GATE_UP
                                   || r->kind == ENG_STEP_PRODUCT || r->kind == ENG_STEP_ROUTE
                                   || r->kind == ENG_STEP_EXPERTS || r->kind == ENG_STEP_OUTPUT;
              if (!product || r->src != n->dst || source_changed || !cu_is_here (b, k)
                  || (r->kind == ENG_STEP_PRODUCT && r->aux == n->dst)
                  || (r->kind == ENG_STEP_GATE_UP && r->w[4] != ENG_WEIGHT_NONE))
                ok = false;
            }
          if (r->dst == n->src)
            source_changed = true;
          if (r->dst == n->dst)
            rewritten = true;
        }
      if (!ok || n_readers == 0)
        continue;
      b->plans[i].folded = true;
      for (uint32_t k = i + 1; k < end && p->steps[k].dst != n->dst; k++)
        if (p->steps[k].src == n->dst)
          b->plans[k].norm_of_src = (int16_t) i;
    }
}

// Where every product is one of kernel-dozens.cuh's, those win from two rows on (an H100, 8B: 2 rows 7.2 ms before, 5.0 so; 8 rows 16.0
// and 5.1). Experts: few rows ask for few of the same (Qwen3-30B-A3B: 2 rows 5.4 and 8.2, 8 rows 13.2 and 12.3; with Hopper's own kernel
// 3 and 4 rows are 6.0 and 6.4 together, 4 one by one 7.8).
static uint32_t
few_rows (const EngBound *b)
{
  uint32_t few = 1;
  for (uint32_t i = b->first_step; i < b->first_step + b->n_steps; i++)
    {
      const EngStep *s = &b->program->steps[i];
      if (!cu_is_here (b, i))
        continue;
      if (s->kind == ENG_STEP_LATENT || s->kind == ENG_STEP_HEADS)
        return ENG_CUDA_GEMV_ROWS;
      const bool experts = s->kind == ENG_STEP_EXPERTS;
      if (experts)
        few = cu_experts_fit (b->device->code_arch, &b->weights[s->w[0]], &b->weights[s->w[1]], &b->weights[s->w[2]], s->u.experts.act)
                  ? ENG_CUDA_GEMV_ROWS / 4 : ENG_CUDA_GEMV_ROWS / 2;
      const int n = s->kind == ENG_STEP_QKV || experts                         ? 3
                    : s->kind == ENG_STEP_GATE_UP                              ? 2
                    : s->kind == ENG_STEP_PRODUCT || s->kind == ENG_STEP_OUTPUT ? 1
                                                                               : 0;
      for (int k = 0; k < n; k++)
        if (s->w[k] != ENG_WEIGHT_NONE && !cu_dozens_fit (b->device->code_arch, &b->weights[s->w[k]]))
          return ENG_CUDA_GEMV_ROWS;
    }
  return few;
}

// What of the step the kernels do not do, or NULL.
static const char *
what_is_missing (const EngStep *s)
{
  if (s->kind >= ENG_STEP_N_KINDS)
    return "steps of this kind";
  if ((s->kind == ENG_STEP_DELTA && (s->u.delta.k_width > ENG_CUDA_DELTA_MAX || s->u.delta.v_width > ENG_CUDA_DELTA_MAX))
      || ((s->kind == ENG_STEP_DELTA || s->kind == ENG_STEP_CONV) && s->u.delta.n_conv > ENG_CUDA_MAX_TAPS))
    return "recurrent states of this width";
  if (s->kind == ENG_STEP_LATENT
      && (s->u.latent.n_latent > ENG_CUDA_HEAD_MAX || (s->u.latent.n_latent | s->u.latent.n_plain | s->u.latent.n_rot) % 4))
    return "latents of this width";
  if (s->kind == ENG_STEP_ATTENTION && !s->u.attention.causal && s->u.attention.window
      && (s->u.attention.k_width > CU_WINDOW_HEAD_MAX || s->u.attention.v_width > CU_WINDOW_HEAD_MAX))
    return "windows of heads of this width";
  if (s->kind == ENG_STEP_QKV
      && (s->u.qkv.k_width > ENG_CUDA_HEAD_MAX || s->u.qkv.v_width > ENG_CUDA_HEAD_MAX))
    return "heads of this width";
  if (s->kind == ENG_STEP_QKV && s->u.qkv.head_norm_after_rope)
    return "head norms behind RoPE";
  if (s->kind == ENG_STEP_QKV && s->u.qkv.value_norm == ENG_NORM_LAYER)
    return "layer norms of values";
  if (s->kind == ENG_STEP_ROUTE && s->u.route.n_groups > CU_MAX_EXPERT_GROUPS)
    return "so many groups of experts";
  return NULL;
}

static EngStatus
check_steps (const EngProgram *p, uint32_t first, uint32_t n, const uint8_t *elsewhere, EngError *error)
{
  for (uint32_t i = first; i < first + n; i++)
    {
      const char *why = elsewhere && elsewhere[i] ? NULL : what_is_missing (&p->steps[i]);
      if (why)
        return cu_error (error, ENG_ERR_UNSUPPORTED, "step", 0, 0, "the GPU module does not run %s yet",
                         why);
    }
  if (p->n_groups > ENG_CUDA_MAX_GROUPS)
    return cu_error (error, ENG_ERR_UNSUPPORTED, "groups", ENG_CUDA_MAX_GROUPS, p->n_groups,
                     "too many kinds of layers");
  return ENG_OK;
}

// Whether everything that should be streamed can be: else the other device keeps doing it.
static bool
can_stream (const EngBound *b)
{
  const EngProgram *p = b->program;
  for (uint32_t i = 0; i < p->n_steps; i++)
    {
      if (!cu_is_streamed (b, i))
        continue;
      // another layer's keys would have to come with what this run added to them
      if (what_is_missing (&p->steps[i]) || cu_shares_keys (&p->steps[i]))
        return false;
      for (int k = 0; k < 8; k++)
        if (p->steps[i].w[k] != ENG_WEIGHT_NONE && check_weight (&p->weights[p->steps[i].w[k]], NULL) != ENG_OK)
          return false;
    }
  return cu_streamer_can (b);
}

// ---- upload ----

// A slab of rows on its way: filled by a worker, copied and repacked on the worker's stream.
typedef struct
{
  EngBound *bound;
  const EngWeightSource *source;
  const bool *used;
  // shared by the threads: only through __atomic builtins (C11's header is not C++)
  uint32_t next_weight;
  uint64_t done_bytes;
  uint64_t total_bytes;
  int failed; // EngStatus
  int cuda_error;
  int cancelled;
  uint32_t bad_weight;
} Upload;

typedef struct
{
  uint8_t *host[2], *raw[2];
  cudaEvent_t free_again[2];
  CuStream stream;
} Lane;

static cudaError_t
send_matrix (Upload *u, Lane *l, uint32_t i, const uint8_t *data)
{
  EngBound *b = u->bound;
  const EngWeightDesc *d = &b->program->weights[i];
  const CuWeight *w = &b->weights[i];
  const uint64_t row = cu_file_row_bytes (d->type, d->n_cols), rows = d->n_rows * d->n_slices;
  const uint64_t at_once = STAGE_BYTES / row ? STAGE_BYTES / row : 1;
  cudaError_t e = cudaSuccess;
  int k = 0;
  for (uint64_t r = 0, n; r < rows && e == cudaSuccess && !__atomic_load_n (&u->cancelled, __ATOMIC_ACQUIRE); r += n, k ^= 1)
    {
      n = cu_rows_together (d, r) < at_once ? cu_rows_together (d, r) : at_once;
      e = cudaEventSynchronize (l->free_again[k]);
      if (e != cudaSuccess)
        break;
      memcpy (l->host[k], data + cu_file_row (d, r) * row, n * row);
      uint8_t *to = w->q_bytes ? l->raw[k] : (uint8_t *) w->q + r * row;
      e = cudaMemcpyAsync (to, l->host[k], n * row, cudaMemcpyHostToDevice, l->stream);
      if (e == cudaSuccess && w->q_bytes)
        e = cu_repack (l->stream, w, l->raw[k], r, n);
      if (e == cudaSuccess)
        e = cudaEventRecord (l->free_again[k], l->stream);
      __atomic_fetch_add (&u->done_bytes, n * row, __ATOMIC_RELAXED);
    }
  return e;
}

static cudaError_t
send_vector (Upload *u, Lane *l, uint32_t i, const uint8_t *data)
{
  const EngWeightDesc *d = &u->bound->program->weights[i];
  const uint64_t n = d->n_rows * d->n_cols;
  cudaError_t e = cudaEventSynchronize (l->free_again[0]);
  if (e != cudaSuccess)
    return e;
  for (uint64_t at = 0; at < n; at += STAGE_BYTES / 4)
    {
      const uint64_t part = n - at < STAGE_BYTES / 4 ? n - at : STAGE_BYTES / 4;
      float *f = (float *) l->host[0];
      for (uint64_t k = 0; k < part; k++)
        if (d->type == ENG_TYPE_F32)
          memcpy (&f[k], data + (at + k) * 4, 4);
        else
          {
            uint16_t bits;
            memcpy (&bits, data + (at + k) * 2, 2);
            if (d->type == ENG_TYPE_BF16)
              {
                const uint32_t wide = (uint32_t) bits << 16;
                memcpy (&f[k], &wide, 4);
              }
            else
              {
                __half_raw h;
                h.x = bits;
                f[k] = __half2float (__half (h));
              }
          }
      e = cudaMemcpyAsync ((float *) u->bound->vectors[i] + at, f, part * 4, cudaMemcpyHostToDevice,
                           l->stream);
      if (e == cudaSuccess)
        e = cudaStreamSynchronize (l->stream);
      if (e != cudaSuccess)
        return e;
    }
  return cudaSuccess;
}

static void *
upload_thread (void *data)
{
  Upload *u = (Upload *) data;
  EngBound *b = u->bound;
  const EngProgram *p = b->program;
  Lane l = {};
  cudaError_t e = cudaSetDevice (b->device->ordinal);
  if (e == cudaSuccess)
    e = cudaStreamCreateWithFlags (&l.stream, cudaStreamNonBlocking);
  for (int k = 0; k < 2 && e == cudaSuccess; k++)
    {
      e = cudaHostAlloc ((void **) &l.host[k], STAGE_BYTES + (1 << 20), cudaHostAllocDefault);
      if (e == cudaSuccess)
        e = cudaMalloc ((void **) &l.raw[k], STAGE_BYTES + (1 << 20));
      if (e == cudaSuccess)
        e = cudaEventCreateWithFlags (&l.free_again[k], cudaEventDisableTiming);
    }
  while (e == cudaSuccess && !__atomic_load_n (&u->cancelled, __ATOMIC_ACQUIRE) && !__atomic_load_n (&u->failed, __ATOMIC_ACQUIRE))
    {
      const uint32_t i = __atomic_fetch_add (&u->next_weight, 1, __ATOMIC_RELAXED);
      if (i >= p->n_weights)
        break;
      const EngWeightDesc *d = &p->weights[i];
      if (!u->used[i] || (d->use != ENG_WEIGHT_VECTOR && twin_of (p, u->used, i) >= 0))
        continue;
      uint64_t n_bytes = 0;
      const uint8_t *from = (const uint8_t *) u->source->map (u->source->data, d->source, &n_bytes);
      const uint64_t row = cu_file_row_bytes (d->type, d->n_cols);
      const uint64_t skip = d->use == ENG_WEIGHT_VECTOR && d->n_rows == 1
                                ? d->first_row * (row / (d->n_cols ? d->n_cols : 1))
                                : d->first_row * row;
      const uint64_t need = (cu_file_row (d, d->n_rows * d->n_slices - 1) + 1) * row;
      if (!from || skip > n_bytes || need > n_bytes - skip || row > STAGE_BYTES)
        {
          u->bad_weight = i;
          __atomic_store_n (&u->failed, ENG_ERR_TRUNCATED, __ATOMIC_RELEASE);
          break;
        }
      e = d->use == ENG_WEIGHT_VECTOR ? send_vector (u, &l, i, from + skip)
                                      : send_matrix (u, &l, i, from + skip);
    }
  if (l.stream)
    {
      const cudaError_t last = cudaStreamSynchronize (l.stream);
      e = e == cudaSuccess ? last : e;
      cudaStreamDestroy (l.stream);
    }
  for (int k = 0; k < 2; k++)
    {
      if (l.free_again[k])
        cudaEventDestroy (l.free_again[k]);
      cudaFree (l.raw[k]);
      cudaFreeHost (l.host[k]);
    }
  if (e != cudaSuccess)
    {
      __atomic_store_n (&u->cuda_error, (int) e, __ATOMIC_RELEASE);
      __atomic_store_n (&u->failed, ENG_ERR_DEVICE, __ATOMIC_RELEASE);
    }
  return NULL;
}

static EngStatus
upload (EngBound *b, const EngWeightSource *source, const bool *used, const EngBindOptions *options,
        EngError *error)
{
  Upload u = {};
  u.bound = b;
  u.source = source;
  u.used = used;
  const EngProgram *p = b->program;
  for (uint32_t i = 0; i < p->n_weights; i++)
    if (used[i] && p->weights[i].use != ENG_WEIGHT_VECTOR && twin_of (p, used, i) < 0)
      u.total_bytes += p->weights[i].n_rows * p->weights[i].n_slices
                       * cu_file_row_bytes (p->weights[i].type, p->weights[i].n_cols);
  for (uint32_t i = 0; i < p->n_rope_tables; i++)
    {
      const cudaError_t e = cudaMemcpy ((void *) b->rope[i], p->rope_tables[i],
                                        p->rope_table_lengths[i] * 4, cudaMemcpyHostToDevice);
      if (e != cudaSuccess)
        return cu_fail (b->device, e, "copying tables to the GPU", error);
    }
  // from pageable memory the copy may still be on its way, and our stream does not wait for the default one
  const cudaError_t arrived = cudaStreamSynchronize (NULL);
  if (arrived != cudaSuccess)
    return cu_fail (b->device, arrived, "copying tables to the GPU", error);
  pthread_t threads[N_THREADS];
  int n = 0;
  while (n < N_THREADS && pthread_create (&threads[n], NULL, upload_thread, &u) == 0)
    n++;
  if (n == 0)
    return cu_error (error, ENG_ERR_NO_MEMORY, "upload", 0, 0, "no thread could be started");
  while (options && options->progress && __atomic_load_n (&u.next_weight, __ATOMIC_ACQUIRE) < p->n_weights
         && !__atomic_load_n (&u.failed, __ATOMIC_ACQUIRE))
    {
      if (!options->progress (options->progress_data, __atomic_load_n (&u.done_bytes, __ATOMIC_ACQUIRE), u.total_bytes))
        {
          __atomic_store_n (&u.cancelled, 1, __ATOMIC_RELEASE);
          break;
        }
      const struct timespec pause = { 0, 20 * 1000 * 1000 };
      nanosleep (&pause, NULL);
    }
  for (int i = 0; i < n; i++)
    pthread_join (threads[i], NULL);
  if (__atomic_load_n (&u.cancelled, __ATOMIC_ACQUIRE))
    return cu_error (error, ENG_ERR_CANCELLED, "upload", 0, 0, "cancelled");
  if (__atomic_load_n (&u.failed, __ATOMIC_ACQUIRE) == ENG_ERR_TRUNCATED)
    return cu_error (error, ENG_ERR_TRUNCATED, "weight", 0, 0,
                     "tensor %u of the file is shorter than its shape", u.bad_weight);
  if (__atomic_load_n (&u.failed, __ATOMIC_ACQUIRE))
    return cu_fail (b->device, (cudaError_t) __atomic_load_n (&u.cuda_error, __ATOMIC_ACQUIRE), "copying weights to the GPU",
                    error);
  if (options && options->progress)
    options->progress (options->progress_data, u.total_bytes, u.total_bytes);
  return ENG_OK;
}

void
cu_unbind (EngBound **bound)
{
  if (!bound || !*bound)
    return;
  EngBound *b = *bound;
  cudaSetDevice (b->device->ordinal);
  cu_streamer_free (&b->streamer);
  if (b->arena)
    {
      cudaFree (b->arena);
      b->device->used_bytes -= b->arena_bytes;
    }
  free (b->weights);
  free (b->vectors);
  free (b->rope);
  free (b->plans);
  free (b);
  *bound = NULL;
}

EngStatus
cu_bound_new (EngDevice *device, const EngProgram *p, const EngBindOptions *o, bool **used_out,
              EngBound **out, EngError *error)
{
  const uint32_t first = o ? o->first_step : 0, n = o && o->n_steps ? o->n_steps : p->n_steps - first;
  EngStatus status = check_steps (p, first, n, o ? o->elsewhere : NULL, error);
  if (status != ENG_OK)
    return status;
  EngBound *b = (EngBound *) calloc (1, sizeof *b);
  bool *used = (bool *) calloc (p->n_weights + 1, sizeof *used);
  if (b)
    {
      b->device = device;
      b->program = p;
      b->first_step = first;
      b->n_steps = n;
      b->elsewhere = o ? o->elsewhere : NULL;
      b->pools = p->n_steps && p->steps[p->n_steps - 1].kind == ENG_STEP_POOL;
      b->own_only = o && (o->disabled & ENG_WITHOUT_LIBRARY);
      b->streamed = o ? o->streamed : NULL;
      if (b->streamed && !can_stream (b))
        b->streamed = NULL;
      b->weights = (CuWeight *) calloc (p->n_weights + 1, sizeof *b->weights);
      b->vectors = (const float **) calloc (p->n_weights + 1, sizeof *b->vectors);
      b->rope = (const float **) calloc (p->n_rope_tables + 1, sizeof *b->rope);
      b->plans = (CuStepPlan *) calloc (p->n_steps + 1, sizeof *b->plans);
    }
  if (!b || !used || !b->weights || !b->vectors || !b->rope || !b->plans)
    status = cu_error (error, ENG_ERR_NO_MEMORY, "bind", 0, 0, "out of memory");
  else
    {
      mark_used (b, used);
      for (uint32_t i = 0; status == ENG_OK && i < p->n_weights; i++)
        if (used[i])
          status = check_weight (&p->weights[i], error);
    }
  if (status != ENG_OK)
    {
      free (used);
      if (b)
        cu_unbind (&b);
      return status;
    }
  b->arena_bytes = place_all (b, used, NULL) + cu_streamer_bytes (b);
  plan_steps (b);
  b->few_rows = few_rows (b);
  status = cu_plan_x16 (b, error);
  if (status != ENG_OK)
    {
      free (used);
      cu_unbind (&b);
      return status;
    }
  *used_out = used;
  *out = b;
  return ENG_OK;
}

static EngStatus
take (EngDevice *device, uint64_t bytes, const char *what, uint8_t **out, EngError *error)
{
  size_t free_bytes = 0, total = 0;
  cudaError_t e = cudaMemGetInfo (&free_bytes, &total);
  if (e != cudaSuccess)
    return cu_fail (device, e, "asking for the GPU's memory", error);
  uint64_t room = free_bytes;
  if (device->limit_bytes)
    {
      const uint64_t left
          = device->limit_bytes > device->used_bytes ? device->limit_bytes - device->used_bytes : 0;
      room = left < room ? left : room;
    }
  if (bytes > room)
    return cu_error (error, ENG_ERR_DEVICE_MEMORY, what, bytes, room,
                     "%s need %.1f GB of GPU memory, %.1f GB are free", what, (double) bytes / 1e9,
                     (double) room / 1e9);
  e = cudaMalloc ((void **) out, bytes);
  if (e != cudaSuccess)
    {
      EngStatus status = cu_fail (device, e, what, error);
      if (status == ENG_ERR_DEVICE_MEMORY && error)
        {
          error->needed = bytes;
          error->available = room;
        }
      return status;
    }
  device->used_bytes += bytes;
  return ENG_OK;
}

EngStatus
cu_bind (EngDevice *device, const EngProgram *p, const EngWeightSource *source,
         const EngBindOptions *options, EngBound **out, EngError *error)
{
  if (device->lost)
    return cu_error (error, ENG_ERR_DEVICE, "device", 0, 0, "the GPU was lost");
  bool *used = NULL;
  EngBound *b = NULL;
  EngStatus status = cu_bound_new (device, p, options, &used, &b, error);
  if (status != ENG_OK)
    return status;
  cudaSetDevice (device->ordinal);
  status = take (device, b->arena_bytes, "the model's weights", &b->arena, error);
  if (status == ENG_OK)
    {
      const uint64_t at = place_all (b, used, b->arena);
      status = upload (b, source, used, options, error);
      if (status == ENG_OK && b->streamed)
        status = cu_streamer_new (b, source, b->arena + at, &b->streamer, error);
    }
  free (used);
  if (status != ENG_OK)
    {
      cu_unbind (&b);
      return status;
    }
  *out = b;
  return ENG_OK;
}

EngStatus
cu_plan (EngDevice *device, const EngProgram *p, const EngBindOptions *bind,
         const EngStateOptions *state, EngMemoryPlan *plan, EngError *error)
{
  bool *used = NULL;
  EngBound *b = NULL;
  EngStatus status = cu_bound_new (device, p, bind, &used, &b, error);
  if (status != ENG_OK)
    return status;
  EngMemoryPlan r = {};
  if (state)
    status = cu_state_bytes (b, state, &r, error);
  r.weight_bytes = b->arena_bytes;
  free (used);
  cu_unbind (&b);
  if (status == ENG_OK)
    *plan = r;
  return status;
}
