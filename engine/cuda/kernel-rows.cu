// SPDX-License-Identifier: Apache-2.0
// Everything that is not a large product or attention: embedding, norms, RoPE and the write to the KV
// cache, activations. One block a row (or a row's head).
#include "kernel-activate.cuh"
#include "kernel-launch.cuh"

// Sum over the block's threads (a multiple of 32, at most 1024); every thread gets it.
CU_DEV float
block_sum (float v)
{
  __shared__ float red[32];
  const int n_warps = blockDim.x / 32;
  for (int o = 16; o; o >>= 1)
    v += __shfl_xor_sync (~0u, v, o);
  __syncthreads ();
  if (threadIdx.x % 32 == 0)
    red[threadIdx.x / 32] = v;
  __syncthreads ();
  v = threadIdx.x % 32 < n_warps ? red[threadIdx.x % 32] : 0.f;
  for (int o = 16; o; o >>= 1)
    v += __shfl_xor_sync (~0u, v, o);
  return v;
}

template <int TYPE>
CU_DEV void
embed_planes (const CuWeight &w, uint64_t row, float scale, bool add, float *y)
{
  for (int j = threadIdx.x; j < (int) w.n_cols / 64; j += blockDim.x)
    {
      Pair<TYPE> p;
      pair_load (p, w, row * (w.n_cols / 64) + j);
      float v[64];
      pair_expand (p, v);
      float *to = y + j * 64;
#pragma unroll
      for (int i = 0; i < 64; i++)
        to[i] = v[i] * scale + (add ? to[i] : 0.f);
    }
}

// y = [y +] row @id of the table * scale; nothing where there is no such row.
CU_DEV void
embed_row (const CuWeight &w, int id, float scale, bool add, float *y, int width)
{
  if (id < 0 || id >= (int) w.n_rows)
    return;
  if (w.q_bytes)
    CU_SWITCH_TYPE (w.type, (embed_planes<TYPE> (w, id, scale, add, y)))
  else
    for (int i = threadIdx.x; i < width; i += blockDim.x)
      {
        const size_t at = (size_t) id * width + i;
        const float v = w.type == ENG_TYPE_F32   ? ((const float *) w.q)[at]
                        : w.type == ENG_TYPE_F16 ? __half2float (((const __half *) w.q)[at])
                                                 : __bfloat162float (((const __nv_bfloat16 *) w.q)[at]);
        y[i] = v * scale + (add ? y[i] : 0.f);
      }
}

// A row without a token brings its own vector, which the host copied in (@has_vectors). Tables without rows are absent.
__global__ void
embed_kernel (CuWeight w, CuWeight positions, CuWeight types, const int32_t *token, const int32_t *position, float scale,
              int position_offset, bool has_vectors, float *y, int width)
{
  wait_for_input ();
  float *o = y + (size_t) blockIdx.x * width;
  if (!has_vectors && token[blockIdx.x] < 0)
    for (int i = threadIdx.x; i < width; i += blockDim.x)
      o[i] = 0.f;
  embed_row (w, token[blockIdx.x], scale, false, o, width);
  __syncthreads ();
  embed_row (positions, position[blockIdx.x] + position_offset, 1.f, true, o, width);
  __syncthreads ();
  embed_row (types, 0, 1.f, true, o, width);
}

cudaError_t
cu_embed (CuStream s, const CuWeight *table, const CuWeight *positions, const CuWeight *types,
          const CuMeta *m, float scale, int position_offset, bool has_vectors, int n_rows, float *y, int width, int pdl)
{
  const CuWeight absent = {};
  return launch_kernel (embed_kernel, n_rows, 256, 0, s, pdl, *table, positions ? *positions : absent,
                        types ? *types : absent, m->token, m->position, scale, position_offset, has_vectors, y, width);
}

__global__ void
norm_kernel (const CuNorm c, float *y, __nv_bfloat16 *y16, int width)
{
  wait_for_input ();
  const float *x = c.x, *before = c.before, *after = c.after, *w = c.w, *b = c.b;
  const float factor = c.factor ? *c.factor : 1.f;
  const size_t at = (size_t) blockIdx.x * width;
  constexpr int KEEP = 16; // values a thread keeps in registers: rows up to 16,384 with 1,024 threads
  float v[KEEP];
  float sum = 0.f, mean = 0.f;
#pragma unroll
  for (int n = 0; n < KEEP; n++)
    {
      const int i = n * blockDim.x + threadIdx.x;
      v[n] = i < width ? x[at + i] + (before ? before[at + i] : 0.f) : 0.f;
      sum += v[n];
    }
  if (c.kind == ENG_NORM_LAYER)
    mean = block_sum (sum) / width;
  sum = 0.f;
#pragma unroll
  for (int n = 0; n < KEEP; n++)
    if (n * blockDim.x + threadIdx.x < width)
      sum += (v[n] - mean) * (v[n] - mean);
  const float inv = rsqrtf (block_sum (sum) / width + c.eps);
#pragma unroll
  for (int n = 0; n < KEEP; n++)
    {
      const int i = n * blockDim.x + threadIdx.x;
      if (i >= width)
        break;
      const float v0 = (v[n] - mean) * inv * (w ? w[i] : 1.f) + (b ? b[i] : 0.f);
      const float r = ((after ? after[at + i] : 0.f) + v0 * c.scale) * factor;
      if (y)
        y[at + i] = r;
      if (y16)
        y16[at + i] = __float2bfloat16 (r);
    }
}

// RMS norms of rows up to 8,192, four values a load, all that is read asked for at once: with one row (decode) the
// kernel is nothing but trips to the memory. KEEP: loads of a thread.
template <int KEEP>
static __global__ void
rms_kernel (const CuNorm c, float *y, __nv_bfloat16 *y16, int width)
{
  const float *x = c.x, *before = c.before, *after = c.after, *w = c.w;
  const size_t at = (size_t) blockIdx.x * width;
  float4 v[KEEP], weight[KEEP], rest[KEEP];
  const float4 zero = make_float4 (0.f, 0.f, 0.f, 0.f);
  const float factor = c.factor ? __ldg (c.factor) : 1.f;
#pragma unroll
  for (int n = 0; n < KEEP; n++)
    {
      const int i = (n * blockDim.x + threadIdx.x) * 4;
      weight[n] = w && i < width ? __ldg ((const float4 *) (w + i)) : make_float4 (1.f, 1.f, 1.f, 1.f);
    }
  wait_for_input ();
#pragma unroll
  for (int n = 0; n < KEEP; n++)
    {
      const int i = (n * blockDim.x + threadIdx.x) * 4;
      v[n] = i < width ? *(const float4 *) (x + at + i) : zero;
      rest[n] = after && i < width ? *(const float4 *) (after + at + i) : zero;
      if (before && i < width)
        {
          const float4 b = *(const float4 *) (before + at + i);
          v[n].x += b.x, v[n].y += b.y, v[n].z += b.z, v[n].w += b.w;
        }
    }
  float sum = 0.f;
#pragma unroll
  for (int n = 0; n < KEEP; n++)
    sum += v[n].x * v[n].x + v[n].y * v[n].y + v[n].z * v[n].z + v[n].w * v[n].w;
  const float inv = rsqrtf (block_sum (sum) / width + c.eps), more = c.scale * factor;
#pragma unroll
  for (int n = 0; n < KEEP; n++)
    {
      const int i = (n * blockDim.x + threadIdx.x) * 4;
      if (i >= width)
        break;
      const float4 r = make_float4 (rest[n].x * factor + v[n].x * inv * weight[n].x * more,
                                    rest[n].y * factor + v[n].y * inv * weight[n].y * more,
                                    rest[n].z * factor + v[n].z * inv * weight[n].z * more,
                                    rest[n].w * factor + v[n].w * inv * weight[n].w * more);
      if (y)
        *(float4 *) (y + at + i) = r;
      if (y16)
        {
          const __nv_bfloat162 lo = __floats2bfloat162_rn (r.x, r.y), hi = __floats2bfloat162_rn (r.z, r.w);
          *(uint2 *) (y16 + at + i) = make_uint2 (*(const uint32_t *) &lo, *(const uint32_t *) &hi);
        }
    }
}

cudaError_t
cu_norm (CuStream s, const CuNorm *n, float *y, __nv_bfloat16 *y16, int n_rows, int width, int pdl)
{
  if (width > 16384)
    return cudaErrorInvalidConfiguration;
  if (n->kind == ENG_NORM_RMS && !n->b && width % 4 == 0 && width <= 8192)
    return n_rows <= ENG_CUDA_GEMV_ROWS
               ? launch_kernel (rms_kernel<2>, n_rows, 1024, 0, s, pdl, *n, y, y16, width)
               : launch_kernel (rms_kernel<8>, n_rows, 256, 0, s, pdl, *n, y, y16, width);
  const int threads = width <= 1024 ? 256 : width <= 8192 ? 512 : 1024;
  return launch_kernel (norm_kernel, n_rows, threads, 0, s, pdl, *n, y, y16, width);
}

// Head norm, RoPE, and for keys and values the write to the cache. A block has a row, whose sines and cosines its heads
// share; a warp has a head at a time. Heads are counted q first, then k, then v; with few rows they are spread over
// several blocks (gridDim.x), so that none waits for another.
#define FINISH_WARPS 8

static __global__ void __launch_bounds__ (FINISH_WARPS * 32)
qkv_finish_kernel (CuQkv a, CuMeta m)
{
  wait_for_input ();
  __shared__ float2 turn[ENG_CUDA_HEAD_MAX / 2];
  __shared__ float heads[FINISH_WARPS][ENG_CUDA_HEAD_MAX];
  const int row = blockIdx.y, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int position = m.position[row], n_pairs = a.rope_kind == ENG_ROPE_NONE ? 0 : a.n_rot / 2;
  for (int i = threadIdx.x; i < n_pairs; i += blockDim.x)
    {
      float sn, cs;
      sincosf ((float) position * a.inv_freq[i], &sn, &cs);
      turn[i] = make_float2 (cs * a.rope_scale, sn * a.rope_scale);
    }
  __syncthreads ();
  // queries alone where another layer's keys serve
  const int n_all = a.k ? a.n_head + 2 * a.n_head_kv : a.n_head;
  const int block
      = m.table[a.group][(size_t) m.sequence[row] * m.table_stride[a.group] + position / ENG_KV_BLOCK];
  float *head = heads[warp];
  for (int all = blockIdx.x * FINISH_WARPS + warp; all < n_all; all += gridDim.x * FINISH_WARPS)
    {
      const int kind = all < a.n_head ? 0 : all < a.n_head + a.n_head_kv ? 1 : 2;
      const int h = all - (kind == 0 ? 0 : kind == 1 ? a.n_head : a.n_head + a.n_head_kv);
      const int width = kind == 2 ? a.v_width : a.k_width, n_heads = kind == 0 ? a.n_head : a.n_head_kv;
      const size_t at = ((size_t) row * n_heads + h) * width;
      const float *src = (kind == 0 ? a.q : kind == 1 ? a.k : a.v) + at;
      const float *norm = kind == 0 ? a.q_norm : kind == 1 ? a.k_norm : NULL;
      float sum = 0.f, total = 0.f;
      for (int i = lane; i < width; i += 32)
        {
          float v = src[i];
          if (a.clamp > 0.f)
            v = fminf (fmaxf (v, -a.clamp), a.clamp);
          head[i] = v;
          sum += v * v;
          total += v;
        }
      if (norm || (kind == 2 && a.value_norm))
        {
          float mean = 0.f;
          if (norm && a.norm_kind == ENG_NORM_LAYER)
            {
              mean = warp_sum (total) / width;
              sum = 0.f;
              for (int i = lane; i < width; i += 32)
                sum += (head[i] - mean) * (head[i] - mean);
            }
          const float inv = rsqrtf (warp_sum (sum) / width + a.eps);
          for (int i = lane; i < width; i += 32)
            head[i] = (head[i] - mean) * inv * (norm ? norm[i] : 1.f);
        }
      __syncwarp ();
      for (int i = lane; i < n_pairs && kind != 2; i += 32)
        {
          const int i0 = a.rope_kind == ENG_ROPE_NEOX ? i : 2 * i;
          const int i1 = a.rope_kind == ENG_ROPE_NEOX ? i + n_pairs : 2 * i + 1;
          const float x0 = head[i0], x1 = head[i1];
          head[i0] = x0 * turn[i].x - x1 * turn[i].y;
          head[i1] = x0 * turn[i].y + x1 * turn[i].x;
        }
      __syncwarp ();
      if (kind == 0)
        for (int i = lane; i < width; i += 32)
          a.q[at + i] = head[i];
      else
        {
          __half *dst = (kind == 1 ? a.kc : a.vc)
                        + (((size_t) block * a.n_head_kv + h) * ENG_KV_BLOCK + position % ENG_KV_BLOCK) * width;
          for (int i = lane; i < width; i += 32)
            dst[i] = __float2half (head[i]);
        }
      __syncwarp ();
    }
}

cudaError_t
cu_qkv_finish (CuStream s, const CuQkv *a, const CuMeta *m, int n_rows, int pdl)
{
  const int n_heads = a->k ? a->n_head + 2 * a->n_head_kv : a->n_head;
  const int n_blocks = n_rows > ENG_CUDA_GEMV_ROWS ? 1 : (n_heads + FINISH_WARPS - 1) / FINISH_WARPS;
  return launch_kernel (qkv_finish_kernel, dim3 (n_blocks, n_rows), FINISH_WARPS * 32, 0, s, pdl, *a, *m);
}

__global__ void
epilogue_kernel (float *v, const float *bias, const float *aux, int act, float scale, float soft_cap,
                 int width, uint64_t n)
{
  const uint64_t i = (uint64_t) blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n)
    return;
  float r = activate<true> (act, v[i] + (bias ? bias[i % width] : 0.f)) * scale;
  if (soft_cap > 0.f)
    r = soft_cap * tanhf (r / soft_cap);
  v[i] = aux ? aux[i] + r : r;
}

cudaError_t
cu_epilogue (CuStream s, float *v, const float *bias, const float *aux, int act, float scale,
             float soft_cap, int n_rows, int width)
{
  const uint64_t n = (uint64_t) n_rows * width;
  epilogue_kernel<<<(unsigned) ((n + 255) / 256), 256, 0, s>>> (v, bias, aux, act, scale, soft_cap,
                                                               width, n);
  return cudaGetLastError ();
}

__global__ void
glu_kernel (const float *gate, const float *up, const float *b_gate, const float *b_up, int act,
            int width, uint32_t stride, float *y, __nv_bfloat16 *y16, uint32_t y_stride)
{
  wait_for_input ();
  const int i = (blockIdx.x * blockDim.x + threadIdx.x) * 2;
  if (i >= width)
    return;
  const size_t in = (size_t) blockIdx.y * stride + i, out = (size_t) blockIdx.y * y_stride + i;
  float r[2];
#pragma unroll
  for (int k = 0; k < 2; k++)
    {
      if (i + k >= width)
        break;
      r[k] = gated<true> (act, gate[in + k] + (b_gate ? b_gate[i + k] : 0.f), up[in + k] + (b_up ? b_up[i + k] : 0.f));
      if (y)
        y[out + k] = r[k];
      if (y16)
        y16[out + k] = __float2bfloat16 (r[k]);
    }
}

cudaError_t
cu_glu (CuStream s, const float *gate, const float *up, const float *b_gate, const float *b_up,
        int act, int n_rows, int width, uint32_t stride, float *y, __nv_bfloat16 *y16, uint32_t y_stride, int pdl)
{
  return launch_kernel (glu_kernel, dim3 ((width / 2 + 256) / 256, n_rows), 256, 0, s, pdl, gate, up, b_gate, b_up, act, width, stride, y,
                        y16, y_stride);
}

__global__ void
gate_rows_kernel (const float *x, int n_cols, const float *w, int width, float *y, __nv_bfloat16 *y16)
{
  wait_for_input ();
  const int row = blockIdx.x;
  float v = 0.f;
  for (int i = threadIdx.x; i < n_cols; i += blockDim.x)
    v += x[(size_t) row * n_cols + i] * w[i];
  v = 1.f / (1.f + expf (-block_sum (v)));
  for (int i = threadIdx.x; i < width; i += blockDim.x)
    {
      const size_t at = (size_t) row * width + i;
      if (y)
        y[at] *= v;
      if (y16)
        y16[at] = __float2bfloat16 (__bfloat162float (y16[at]) * v);
    }
}

cudaError_t
cu_gate_rows (CuStream s, const float *x, int n_cols, const float *w, int n_rows, int width, float *y,
              __nv_bfloat16 *y16)
{
  gate_rows_kernel<<<n_rows, 256, 0, s>>> (x, n_cols, w, width, y, y16);
  return cudaGetLastError ();
}

// A block has a head of a row. What it reads it has read before it writes there: @y may be @x or @gate.
static __global__ void __launch_bounds__ (128)
gate_kernel (const float *x, int x_stride, const float *gate, const float *w, float eps, int act, int width, float *y, __nv_bfloat16 *y16)
{
  wait_for_input ();
  const size_t at = ((size_t) blockIdx.y * gridDim.x + blockIdx.x) * width;
  x += (size_t) blockIdx.y * x_stride + blockIdx.x * width;
  float inv = 1.f;
  if (w)
    {
      float sum = 0.f;
      for (int i = threadIdx.x; i < width; i += blockDim.x)
        sum += x[i] * x[i];
      inv = rsqrtf (block_sum (sum) / width + eps);
    }
  for (int i = threadIdx.x; i < width; i += blockDim.x)
    {
      const float r = x[i] * inv * (w ? w[i] : 1.f) * activate<true> (act, gate[at + i]);
      y[at + i] = r;
      if (y16)
        y16[at + i] = __float2bfloat16 (r);
    }
}

cudaError_t
cu_gate (CuStream s, const float *x, int x_stride, const float *gate, const float *w, float eps, int act, int n_head,
         int width, int n_rows, float *y, __nv_bfloat16 *y16, int pdl)
{
  // without a norm any cut does: pieces of a few thousand
  while (!w && width % 2 == 0 && width > 2048)
    {
      width /= 2;
      n_head *= 2;
    }
  return launch_kernel (gate_kernel, dim3 (n_head, n_rows), 128, 0, s, pdl, x, x_stride, gate, w, eps, act, width, y,
                        y16);
}

static __global__ void
split_gate_kernel (const float *x, int width, float *q, float *gate)
{
  wait_for_input ();
  const size_t head = (size_t) blockIdx.y * gridDim.x + blockIdx.x;
  for (int i = threadIdx.x; i < width; i += blockDim.x)
    {
      q[head * width + i] = x[head * 2 * width + i];
      gate[head * width + i] = x[(head * 2 + 1) * width + i];
    }
}

cudaError_t
cu_split_gate (CuStream s, const float *x, int n_head, int width, int n_rows, float *q, float *gate, int pdl)
{
  return launch_kernel (split_gate_kernel, dim3 (n_head, n_rows), 128, 0, s, pdl, x, width, q, gate);
}

template <typename T>
__global__ void
gather_kernel (const float *x, const int *rows, int width, T *y)
{
  const float *src = x + (size_t) rows[blockIdx.x] * width;
  T *dst = y + (size_t) blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x)
    dst[i] = (T) src[i];
}

cudaError_t
cu_gather (CuStream s, const float *x, const int *rows, int n_rows, int width, float *y)
{
  gather_kernel<<<n_rows, 256, 0, s>>> (x, rows, width, y);
  return cudaGetLastError ();
}

cudaError_t
cu_gather_bf16 (CuStream s, const float *x, const int *rows, int n_rows, int width,
                __nv_bfloat16 *y)
{
  gather_kernel<<<n_rows, 256, 0, s>>> (x, rows, width, y);
  return cudaGetLastError ();
}

__global__ void
combine_kernel (const float *slots, const int *place, const float *route, int n_used, int width,
                int add, float *y)
{
  wait_for_input ();
  const int row = blockIdx.x, i = blockIdx.y * blockDim.x + threadIdx.x;
  if (i >= width)
    return;
  const float *weights = route + (size_t) row * 2 * n_used + n_used;
  float v = add ? y[(size_t) row * width + i] : 0.f;
#pragma unroll 8
  for (int u = 0; u < n_used; u++)
    v += weights[u] * slots[(size_t) place[row * n_used + u] * width + i];
  y[(size_t) row * width + i] = v;
}

cudaError_t
cu_combine (CuStream s, const float *slots, const int *place, const float *route, int n_used,
            int n_rows, int width, int add, float *y, int pdl)
{
  return launch_kernel (combine_kernel, dim3 (n_rows, (width + 255) / 256), 256, 0, s, pdl, slots, place, route, n_used, width, add, y);
}

__global__ void
fill_kernel (float *y, uint64_t n, float value)
{
  const uint64_t i = (uint64_t) blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n)
    y[i] = value;
}

int
cu_code_arch (void)
{
  cudaFuncAttributes a;
  if (cudaFuncGetAttributes (&a, fill_kernel) == cudaSuccess)
    return a.ptxVersion;
  cudaGetLastError ();
  return 0;
}

cudaError_t
cu_fill (CuStream s, float *y, uint64_t n, float value)
{
  fill_kernel<<<(unsigned) ((n + 255) / 256), 256, 0, s>>> (y, n, value);
  return cudaGetLastError ();
}

// What the biases of a row's experts add to their weighted sum.
static __global__ void
expert_bias_kernel (const float *bias, const float *route, int n_used, int width, uint32_t stride, float *y)
{
  wait_for_input ();
  const float *choice = route + (size_t) blockIdx.y * 2 * n_used;
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= width)
    return;
  float v = 0.f;
  for (int u = 0; u < n_used; u++)
    v += choice[n_used + u] * bias[(size_t) (int) choice[u] * width + i];
  y[(size_t) blockIdx.y * stride + i] += v;
}

cudaError_t
cu_expert_bias (CuStream s, const float *bias, const float *route, int n_used, int n_rows, int width, uint32_t stride,
                float *y, int pdl)
{
  return launch_kernel (expert_bias_kernel, dim3 ((width + 255) / 256, n_rows), 256, 0, s, pdl, bias, route, n_used,
                        width, stride, y);
}

static __global__ void
slot_bias_kernel (const float *bias, const int *expert, int width, float *y)
{
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < width)
    y[(size_t) blockIdx.y * width + i] += bias[(size_t) expert[blockIdx.y] * width + i];
}

cudaError_t
cu_slot_bias (CuStream s, const float *bias, const int *expert, int n_slots, int width, float *y)
{
  for (int at = 0; at < n_slots; at += 65535) // a grid's height
    {
      const int n = n_slots - at < 65535 ? n_slots - at : 65535;
      slot_bias_kernel<<<dim3 ((width + 255) / 256, n), 256, 0, s>>> (bias, expert + at, width,
                                                                     y + (size_t) at * width);
    }
  return cudaGetLastError ();
}
