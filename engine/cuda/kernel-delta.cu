// SPDX-License-Identifier: Apache-2.0
// Layers with a recurrent state: the gated delta rule behind its convolution, and gated convolutions (eng-program.h has
// the formulas).
//
// A layer's state stands as on the CPU, so that it can move between devices: the last n_conv - 1 rows of the
// convolution's input, [n_conv - 1][width]; then of each value head its matrix in slices of DELTA_COLUMNS columns,
// [slices][k_width][columns of the slice].
//
// Delta rule: a block has one slice of one head of one sequence and takes its rows one after the other, the slice in
// registers: four lanes share a column. While it works on a few rows the next ones are on their way. Where a
// row leaves a block of positions for which the sequence has an entry, the state goes there: a checkpoint.
#include "kernel-launch.cuh"

#define DELTA_COLUMNS 32
#define DELTA_THREADS 128 // four lanes a column
#define LENGTH_EPS 1e-6f

// Rows of one sequence, and the states around them.
struct Span
{
  int first, n, position; // first row, how many, where it stands
  const int32_t *table;
};

CU_DEV Span
span_of (const CuRecurrent &r, const CuMeta &m, int sequence)
{
  const int first = m.first_row[sequence], n = m.first_row[sequence + 1] - first;
  return { first, n, n > 0 ? m.position[first] : 0, m.table[r.group] + (size_t) sequence * m.table_stride[r.group] };
}

// What was before the span; NULL: nothing.
CU_DEV const float *
state_before (const CuRecurrent &r, const Span &s)
{
  return s.position == 0 ? NULL : r.state + (size_t) s.table[(s.position - 1) / ENG_KV_BLOCK] * r.block_floats;
}

// Where the state behind row @i of the span is kept; NULL: nowhere.
CU_DEV float *
state_behind (const CuRecurrent &r, const Span &s, int i)
{
  const int p = s.position + i;
  if ((p + 1) % ENG_KV_BLOCK && i + 1 < s.n)
    return NULL;
  const int block = s.table[p / ENG_KV_BLOCK];
  return block < 0 ? NULL : r.state + (size_t) block * r.block_floats;
}

// Column @c of the newest rows, of which @value (row of the span) tells, to every place where the state is kept. The
// first of them may be where it came from: places are then read before they are written.
template <typename F>
CU_DEV void
keep_column (const CuRecurrent &r, const Span &s, int width, int n_back, int c, F value)
{
  const float *before = state_before (r, s);
  for (int done = 0; done < s.n;)
    {
      const int end = ((s.position + done) / ENG_KV_BLOCK + 1) * ENG_KV_BLOCK - s.position;
      done = end < s.n ? end : s.n;
      float *to = state_behind (r, s, done - 1);
      for (int j = 0; to && j < n_back; j++)
        {
          const int row = done - n_back + j;
          to[(size_t) j * width + c] = row >= 0 ? value (row) : before ? before[(size_t) (n_back + row) * width + c] : 0.f;
        }
    }
}

// ---- the convolution in front of the delta rule ----

#define CONV_WARPS 4
#define LANE_VALUES (ENG_CUDA_DELTA_MAX / 32)

// A warp has one head of queries, keys or values of one row.
static __global__ void __launch_bounds__ (CONV_WARPS * 32)
convolve_heads_kernel (CuDelta d, CuMeta m)
{
  wait_for_input ();
  const int head = blockIdx.x * CONV_WARPS + threadIdx.x / 32, lane = threadIdx.x % 32, row = blockIdx.y;
  if (head >= 2 * d.n_k + d.n_v)
    return;
  const bool is_value = head >= 2 * d.n_k;
  const int n = is_value ? d.v_width : d.k_width, width = 2 * d.n_k * d.k_width + d.n_v * d.v_width;
  const int c0 = is_value ? 2 * d.n_k * d.k_width + (head - 2 * d.n_k) * n : head * n;
  const Span s = span_of (d.r, m, m.sequence[row]);
  const float *before = state_before (d.r, s), *x = d.src + (size_t) row * width + c0;
  const int i = row - s.first, n_back = d.n_conv - 1;
  float v[LANE_VALUES], square = 0.f;
#pragma unroll
  for (int k = 0; k < LANE_VALUES; k++)
    {
      const int c = k * 32 + lane;
      v[k] = 0.f;
      if (c >= n)
        continue;
      for (int back = 0; back < d.n_conv; back++)
        {
          const float old = back <= i  ? x[c - (ptrdiff_t) back * width]
                            : before ? before[(size_t) (n_back + i - back) * width + c0 + c]
                                       : 0.f;
          v[k] += d.taps[(size_t) (c0 + c) * d.n_conv + n_back - back] * old;
        }
      v[k] /= 1.f + __expf (-v[k]);
      square += v[k] * v[k];
    }
  float scale = 1.f;
  if (!is_value)
    {
#pragma unroll
      for (int o = 16; o; o >>= 1)
        square += __shfl_xor_sync (~0u, square, o);
      scale = rsqrtf (square + LENGTH_EPS) * (head < d.n_k ? rsqrtf ((float) n) : 1.f);
    }
#pragma unroll
  for (int k = 0; k < LANE_VALUES; k++)
    if (k * 32 + lane < n)
      d.convolved[(size_t) row * width + c0 + k * 32 + lane] = v[k] * scale;
}

// ---- delta rule ----

// N: numbers of a column that a lane has; keys are up to 4 N wide.
template <int N>
static __global__ void __launch_bounds__ (DELTA_THREADS)
delta_kernel (CuDelta d, CuMeta m)
{
  constexpr int K = 4 * N, ROWS = N > 32 ? 4 : 8; // rows on their way
  constexpr int LOADS = ROWS * K / DELTA_THREADS, VALUES = ROWS * DELTA_COLUMNS / DELTA_THREADS;
  static_assert (LOADS * DELTA_THREADS == ROWS * K, "every thread loads as much");
  __shared__ float4 keys[2][ROWS][N], queries[2][ROWS][N];
  __shared__ float values[2][ROWS][DELTA_COLUMNS], decays[2][ROWS], rates[2][ROWS];
  wait_for_input ();
  const Span s = span_of (d.r, m, blockIdx.y);
  if (s.n <= 0)
    return;
  const int width = 2 * d.n_k * d.k_width + d.n_v * d.v_width, n_back = d.n_conv - 1, t = threadIdx.x;
  for (int c = blockIdx.x * DELTA_THREADS + t; c < width; c += gridDim.x * DELTA_THREADS)
    keep_column (d.r, s, width, n_back, c, [&] (int row) { return d.src[(size_t) (s.first + row) * width + c]; });

  const int n_slices = (d.v_width + DELTA_COLUMNS - 1) / DELTA_COLUMNS, head = blockIdx.x / n_slices;
  const int c0 = blockIdx.x % n_slices * DELTA_COLUMNS, ratio = d.n_v / d.n_k;
  const int k_head = d.grouped ? head / ratio : head % d.n_k;
  // where a row has this head's numbers
  const int beta_at = d.grouped ? k_head * 2 * ratio + head % ratio : head, alpha_at = d.grouped ? beta_at + ratio : head;
  const int n_columns = d.v_width - c0 < DELTA_COLUMNS ? d.v_width - c0 : DELTA_COLUMNS;
  const int part = t % 4, column = t / 4;
  const bool is_here = column < n_columns;
  const size_t at = (size_t) n_back * width + ((size_t) head * d.v_width + c0) * d.k_width;
  const float *before = state_before (d.r, s);
  // a lane has every other four numbers of its column: where those of the slice at @p stand, one after the other
  auto each_place = [&] (auto *p, auto visit) {
    p += at + (size_t) part * 4 * n_columns + column;
#pragma unroll
    for (int i = 0; i < N; i++)
      {
        if (i / 4 * 16 + i % 4 < d.k_width - part * 4)
          visit (p, i);
        p += i % 4 == 3 ? 13 * n_columns : n_columns;
      }
  };
  float state[N] = {};
  if (before && is_here)
    each_place (before, [&] (const float *p, int i) { state[i] = *p; });

  const float *q = d.convolved + (size_t) s.first * width + k_head * d.k_width, *k = q + d.n_k * d.k_width;
  const float *v = d.convolved + (size_t) s.first * width + 2 * d.n_k * d.k_width + head * d.v_width + c0;
  float next_k[LOADS], next_q[LOADS], next_v[VALUES], next_decay = 0.f, next_rate = 0.f;
  auto fetch = [&] (int base) {
#pragma unroll
    for (int i = 0; i < LOADS; i++)
      {
        const int row = base + (i * DELTA_THREADS + t) / K, c = (i * DELTA_THREADS + t) % K;
        const bool in = row < s.n && c < d.k_width;
        next_k[i] = in ? k[(size_t) row * width + c] : 0.f;
        next_q[i] = in ? q[(size_t) row * width + c] : 0.f;
      }
#pragma unroll
    for (int i = 0; i < VALUES; i++)
      {
        const int row = base + (i * DELTA_THREADS + t) / DELTA_COLUMNS, c = t % DELTA_COLUMNS;
        next_v[i] = row < s.n && c < n_columns ? v[(size_t) row * width + c] : 0.f;
      }
    if (t < ROWS && base + t < s.n)
      {
        const size_t row = (size_t) (s.first + base + t) * (d.grouped ? 2 * d.n_v : d.n_v);
        const float x = d.alpha[row + alpha_at] + d.dt[head];
        next_decay = expf (d.a[head] * (x > 20.f ? x : log1pf (expf (x))));
        next_rate = 1.f / (1.f + expf (-d.beta[row + beta_at]));
      }
  };
  auto store = [&] (int stage) {
#pragma unroll
    for (int i = 0; i < LOADS; i++)
      {
        ((float *) keys[stage])[i * DELTA_THREADS + t] = next_k[i];
        ((float *) queries[stage])[i * DELTA_THREADS + t] = next_q[i];
      }
#pragma unroll
    for (int i = 0; i < VALUES; i++)
      ((float *) values[stage])[i * DELTA_THREADS + t] = next_v[i];
    if (t < ROWS)
      {
        decays[stage][t] = next_decay;
        rates[stage][t] = next_rate;
      }
  };

  fetch (0);
  store (0);
  __syncthreads ();
  for (int base = 0, stage = 0; base < s.n; base += ROWS, stage ^= 1)
    {
      const bool more = base + ROWS < s.n;
      if (more)
        fetch (base + ROWS);
#pragma unroll 1 // the state takes the registers
      for (int r = 0; r < ROWS && base + r < s.n; r++)
        {
          const float decay = decays[stage][r];
          float4 sum = make_float4 (0.f, 0.f, 0.f, 0.f);
#pragma unroll
          for (int i = 0; i < N; i += 4)
            {
              const float4 key = keys[stage][r][i + part];
              sum.x += state[i] * key.x, sum.y += state[i + 1] * key.y;
              sum.z += state[i + 2] * key.z, sum.w += state[i + 3] * key.w;
            }
          float seen = (sum.x + sum.y) + (sum.z + sum.w);
          seen += __shfl_xor_sync (~0u, seen, 1);
          seen += __shfl_xor_sync (~0u, seen, 2);
          const float change = rates[stage][r] * (values[stage][r][column] - decay * seen);
          sum = make_float4 (0.f, 0.f, 0.f, 0.f);
#pragma unroll
          for (int i = 0; i < N; i += 4)
            {
              const float4 key = keys[stage][r][i + part], query = queries[stage][r][i + part];
              state[i] = state[i] * decay + key.x * change;
              state[i + 1] = state[i + 1] * decay + key.y * change;
              state[i + 2] = state[i + 2] * decay + key.z * change;
              state[i + 3] = state[i + 3] * decay + key.w * change;
              sum.x += state[i] * query.x, sum.y += state[i + 1] * query.y;
              sum.z += state[i + 2] * query.z, sum.w += state[i + 3] * query.w;
            }
          float out = (sum.x + sum.y) + (sum.z + sum.w);
          out += __shfl_xor_sync (~0u, out, 1);
          out += __shfl_xor_sync (~0u, out, 2);
          if (part == 0 && is_here)
            d.y[((size_t) (s.first + base + r) * d.n_v + head) * d.v_width + c0 + column] = out;
          float *to = state_behind (d.r, s, base + r);
          if (to && is_here)
            each_place (to, [&] (float *p, int i) { *p = state[i]; });
        }
      if (more)
        store (stage ^ 1);
      __syncthreads ();
    }
}

cudaError_t
cu_delta (CuStream s, const CuDelta *d, const CuMeta *m, int n_rows, int n_sequences, int pdl)
{
  if (d->k_width > ENG_CUDA_DELTA_MAX || d->v_width > ENG_CUDA_DELTA_MAX)
    return cudaErrorInvalidConfiguration;
  const int n_heads = 2 * d->n_k + d->n_v;
  const cudaError_t e = launch_kernel (convolve_heads_kernel, dim3 ((n_heads + CONV_WARPS - 1) / CONV_WARPS, n_rows),
                                       CONV_WARPS * 32, 0, s, pdl, *d, *m);
  if (e != cudaSuccess)
    return e;
  auto kernel = d->k_width <= 16    ? delta_kernel<4>
                : d->k_width <= 32  ? delta_kernel<8>
                : d->k_width <= 64  ? delta_kernel<16>
                : d->k_width <= 128 ? delta_kernel<32>
                                    : delta_kernel<64>;
  const dim3 grid (d->n_v * ((d->v_width + DELTA_COLUMNS - 1) / DELTA_COLUMNS), n_sequences);
  return launch_kernel (kernel, grid, DELTA_THREADS, 0, s, pdl, *d, *m);
}

// ---- gated convolution ----

#define CONV_THREADS 128
#define CONV_ROWS 16

// A thread has a column of up to CONV_ROWS rows of a sequence. @keeps: those are all of them, and it keeps their state.
static __global__ void __launch_bounds__ (CONV_THREADS)
convolve_kernel (CuConv v, CuMeta m, bool keeps)
{
  wait_for_input ();
  const int c = blockIdx.x * CONV_THREADS + threadIdx.x, n_back = v.n_conv - 1;
  const Span s = span_of (v.r, m, blockIdx.z);
  const int from = blockIdx.y * CONV_ROWS, to = from + CONV_ROWS < s.n ? from + CONV_ROWS : s.n;
  if (c >= v.width || from >= s.n)
    return;
  const float *before = state_before (v.r, s);
  auto row_of = [&] (int i) { return v.src + (size_t) (s.first + i) * 3 * v.width + c; };
  auto value = [&] (int i) { return row_of (i)[0] * row_of (i)[2 * v.width]; };
  float tap[ENG_CUDA_MAX_TAPS], past[ENG_CUDA_MAX_TAPS]; // by how far back
#pragma unroll
  for (int back = 0; back < ENG_CUDA_MAX_TAPS; back++)
    {
      const int i = from - back;
      tap[back] = back <= n_back ? v.taps[(size_t) c * v.n_conv + n_back - back] : 0.f;
      past[back] = back == 0 || back > n_back ? 0.f
                   : i >= 0                   ? value (i)
                   : before                   ? before[(size_t) (n_back + i) * v.width + c]
                                              : 0.f;
    }
  for (int i = from; i < to; i++)
    {
      past[0] = value (i);
      float sum = 0.f;
#pragma unroll
      for (int back = 0; back < ENG_CUDA_MAX_TAPS; back++)
        sum += tap[back] * past[back];
      v.y[(size_t) (s.first + i) * v.width + c] = row_of (i)[v.width] * sum;
#pragma unroll
      for (int back = ENG_CUDA_MAX_TAPS - 1; back > 0; back--)
        past[back] = past[back - 1];
    }
  if (keeps)
    keep_column (v.r, s, v.width, n_back, c, value);
}

static __global__ void __launch_bounds__ (CONV_THREADS)
keep_kernel (CuConv v, CuMeta m)
{
  wait_for_input ();
  const int c = blockIdx.x * CONV_THREADS + threadIdx.x;
  const Span s = span_of (v.r, m, blockIdx.y);
  if (c >= v.width || s.n <= 0)
    return;
  keep_column (v.r, s, v.width, v.n_conv - 1, c, [&] (int i) {
    const float *row = v.src + (size_t) (s.first + i) * 3 * v.width + c;
    return row[0] * row[2 * v.width];
  });
}

cudaError_t
cu_conv (CuStream s, const CuConv *v, const CuMeta *m, int max_rows_of_sequence, int n_sequences, int pdl)
{
  const int n_columns = (v->width + CONV_THREADS - 1) / CONV_THREADS, n = (max_rows_of_sequence + CONV_ROWS - 1) / CONV_ROWS;
  const cudaError_t e = launch_kernel (convolve_kernel, dim3 (n_columns, n, n_sequences), CONV_THREADS, 0, s, pdl, *v, *m,
                                       n == 1);
  if (e != cudaSuccess || n == 1)
    return e;
  return launch_kernel (keep_kernel, dim3 (n_columns, n_sequences), CONV_THREADS, 0, s, pdl, *v, *m);
}
