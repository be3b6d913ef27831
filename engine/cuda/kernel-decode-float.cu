// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products for one row, weights of 16-bit floats: a warp streams two weight rows (or a row of gate and
// one of up). The first pieces are asked for before the wait for the kernel that makes the input.
//
// Where there are bulk copies (Hopper and later data centre cards), each warp has a ring in shared memory and one
// thread a warp asks for its pieces: 16-byte loads into registers share six counters a warp, and loads that were
// asked for later than those that a warp waits for hold it back as well. Elsewhere DEPTH pieces of both rows are in
// flight in registers. The general kernel (kernel-gemv.cuh) keeps fewer: its pieces are found by division.
#include "kernel-bulk.cuh"
#include "kernel-gemv.cuh"

#define DEPTH 8
// Bytes of a row that are copied at once, and pieces of two rows in flight a warp, where there is room. Llama-3-8B in F16 on an
// H200: 251 tokens/s; 2 pieces of 2 KB 249, 2 of 1 KB 212, 4 of 512 bytes 206; from registers 197.
#define FLOAT_PIECE 1024
#define FLOAT_STAGES 4
#define FLOAT_STAGE_BYTES (WARPS * 2 * FLOAT_PIECE)

// Eight weights times eight activations.
template <int TYPE>
CU_DEV float
dot_eight (const uint4 &w, const float4 &x, const float4 &y, float sum)
{
  const uint32_t u[4] = { w.x, w.y, w.z, w.w };
  const float v[8] = { x.x, x.y, x.z, x.w, y.x, y.y, y.z, y.w };
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (TYPE == ENG_TYPE_BF16)
      sum += __uint_as_float (u[i] << 16) * v[2 * i] + __uint_as_float (u[i] & 0xffff0000u) * v[2 * i + 1];
    else
      sum += half_bits (u[i] & 0xffff) * v[2 * i] + half_bits (u[i] >> 16) * v[2 * i + 1];
  return sum;
}

// A warp's way through its units.
struct FloatFeed
{
  const uint8_t *row0, *row1;
  int unit, turn, segment;

  // Units count through the segments; false: there is no unit @unit.
  CU_DEV bool
  enter (const CuGemv &g, int first_unit, bool glu_rows)
  {
    unit = first_unit;
    turn = 0;
    for (segment = 0; segment < g.n_segments; segment++)
      {
        const CuSegment &s = g.segment[segment];
        const int n = glu_rows ? s.w.n_rows : (s.w.n_rows + 1) / 2;
        if (unit < n)
          {
            const uint64_t bytes = s.w.n_cols * 2, last = s.w.n_rows - 1;
            const uint64_t r0 = glu_rows ? unit : 2 * (uint64_t) unit;
            row0 = s.w.q + r0 * bytes;
            row1 = glu_rows ? s.w2.q + r0 * bytes : s.w.q + (r0 + 1 <= last ? r0 + 1 : last) * bytes;
            return true;
          }
        unit -= n;
      }
    return false;
  }
};

// The row as floats in shared memory, once the kernel in front has made it.
CU_DEV void
take_input (const CuGemv &g, int width, float *x, float *red)
{
  wait_for_input ();
  Act none = {};
  prepare_row<true> (g, g.x + (size_t) (g.row_map ? g.row_map[0] : 0) * g.x_stride, width, none, 0, x, red, NULL);
  __syncthreads ();
}

CU_DEV void
finish_unit (const CuGemv &g, const FloatFeed &now, float acc[2][1], int lane)
{
  Work w = {};
  w.seg = &g.segment[now.segment];
  w.n_rows = 1;
  finish<1> (g, w, now.unit, acc, lane, 0);
  acc[0][0] = acc[1][0] = 0.f;
}

template <int TYPE>
__global__ void __launch_bounds__ (THREADS, 1)
decode_float_kernel (const __grid_constant__ CuGemv g, int width)
{
  extern __shared__ __align__ (16) float x[];
  __shared__ float red[WARPS];
  const int lane = threadIdx.x % 32, step = gridDim.x * WARPS;
  const int first = threadIdx.x / 32 * gridDim.x + blockIdx.x;
  const int n_pieces = width / 8, n_turns = (n_pieces + 31) / 32;
  const bool glu_rows = g.tail == CU_TAIL_GLU;

  uint4 a[DEPTH], b[DEPTH];
  FloatFeed next;
  int next_unit = first;
  bool more = next.enter (g, first, glu_rows);
  auto fetch = [&] (int slot) {
    const int p = next.turn * 32 + lane;
    if (more && p < n_pieces)
      {
        a[slot] = load16 (next.row0 + p * 16);
        b[slot] = load16 (next.row1 + p * 16);
      }
    else
      a[slot] = b[slot] = make_uint4 (0, 0, 0, 0);
    if (more && ++next.turn == n_turns)
      more = next.enter (g, next_unit += step, glu_rows);
  };
#pragma unroll
  for (int i = 0; i < DEPTH; i++)
    fetch (i);
  take_input (g, width, x, red);

  FloatFeed now;
  int unit = first;
  bool in = now.enter (g, first, glu_rows);
  float acc[2][1] = {};
  while (in)
    {
#pragma unroll
      for (int i = 0; i < DEPTH; i++)
        if (in)
          {
            const int p = now.turn * 32 + lane;
            if (p < n_pieces)
              {
                const float4 u = *(const float4 *) (x + p * 8), v = *(const float4 *) (x + p * 8 + 4);
                acc[0][0] = dot_eight<TYPE> (a[i], u, v, acc[0][0]);
                acc[1][0] = dot_eight<TYPE> (b[i], u, v, acc[1][0]);
              }
            fetch (i);
            if (++now.turn == n_turns)
              {
                finish_unit (g, now, acc, lane);
                in = now.enter (g, unit += step, glu_rows);
              }
          }
    }
}

template <int TYPE>
__global__ void __launch_bounds__ (THREADS, 1)
float_ring_kernel (const __grid_constant__ CuGemv g, int width, int n_stages)
{
#if __CUDA_ARCH__ >= 900
  constexpr int SLOT = 2 * FLOAT_PIECE, PER_LANE = FLOAT_PIECE / 512;
  extern __shared__ __align__ (128) uint8_t ring[]; // [stage][warp][row][FLOAT_PIECE], then the input
  __shared__ float red[WARPS];
  __shared__ uint64_t landed[WARPS][FLOAT_STAGES];
  float *x = (float *) (ring + n_stages * FLOAT_STAGE_BYTES);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, step = gridDim.x * WARPS;
  const int first = warp * gridDim.x + blockIdx.x;
  const int row_bytes = width * 2, n_turns = (row_bytes + FLOAT_PIECE - 1) / FLOAT_PIECE;
  const bool glu_rows = g.tail == CU_TAIL_GLU;
  uint8_t *mine = ring + warp * SLOT;

  FloatFeed next;
  int next_unit = first;
  bool more = next.enter (g, first, glu_rows);
  auto fetch = [&] (int stage) {
    if (!more)
      return;
    const int at = next.turn * FLOAT_PIECE, n = row_bytes - at < FLOAT_PIECE ? row_bytes - at : FLOAT_PIECE;
    if (lane == 0)
      {
        barrier_expect (&landed[warp][stage], 2 * n);
        uint8_t *to = mine + stage * FLOAT_STAGE_BYTES;
        copy_bytes (to, next.row0 + at, n, &landed[warp][stage]);
        copy_bytes (to + FLOAT_PIECE, next.row1 + at, n, &landed[warp][stage]);
      }
    if (++next.turn == n_turns)
      more = next.enter (g, next_unit += step, glu_rows);
  };
  if (lane == 0)
    {
      for (int i = 0; i < n_stages; i++)
        barrier_init (&landed[warp][i], 1);
      asm volatile ("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
  __syncwarp ();
#pragma unroll 1
  for (int i = 0; i < n_stages; i++)
    fetch (i);
  take_input (g, width, x, red);

  FloatFeed now;
  int stage = 0, parity = 0;
  float acc[2][1] = {};
  for (int unit = first; now.enter (g, unit, glu_rows); unit += step)
    {
#pragma unroll 1
      for (int at = lane * 16; now.turn < n_turns; now.turn++, at += FLOAT_PIECE)
        {
          barrier_wait (&landed[warp][stage], parity);
          const uint8_t *from = mine + stage * FLOAT_STAGE_BYTES + lane * 16;
#pragma unroll
          for (int i = 0; i < PER_LANE; i++)
            if (at + i * 512 < row_bytes)
              {
                const float4 *v = (const float4 *) (x + (at + i * 512) / 2);
                const float4 lo = v[0], hi = v[1];
                acc[0][0] = dot_eight<TYPE> (*(const uint4 *) (from + i * 512), lo, hi, acc[0][0]);
                acc[1][0] = dot_eight<TYPE> (*(const uint4 *) (from + i * 512 + FLOAT_PIECE), lo, hi, acc[1][0]);
              }
          __syncwarp ();
          fetch (stage);
          parity ^= stage == n_stages - 1;
          stage = stage + 1 == n_stages ? 0 : stage + 1;
        }
      finish_unit (g, now, acc, lane);
    }
#endif
}

template <int TYPE>
static cudaError_t
float_launch (CuStream s, const CuGemv *g, int n_units, int width, int limit, int pdl)
{
  const size_t bytes = (size_t) width * 4;
  if (bytes + 1024 > (size_t) limit)
    return cudaErrorNotSupported;
  const int room = (int) ((limit - 1024 - bytes) / FLOAT_STAGE_BYTES), n_stages = room < FLOAT_STAGES ? room : FLOAT_STAGES;
  if (pdl && cu_code_arch () >= 90 && n_stages >= 2)
    return launch_kernel (float_ring_kernel<TYPE>, dim3 (n_units), THREADS, bytes + (size_t) n_stages * FLOAT_STAGE_BYTES, s, pdl, *g, width,
                          n_stages);
  return launch_kernel (decode_float_kernel<TYPE>, dim3 (n_units), THREADS, bytes, s, pdl, *g, width);
}

// One row, every segment of one 16-bit type; else, or where the input does not fit, cudaErrorNotSupported.
cudaError_t
cu_decode_floats (CuStream s, const CuGemv *g, int n_units, int width, int pdl)
{
  const int type = g->segment[0].w.type;
  for (int i = 0; i < g->n_segments; i++)
    if (g->segment[i].w.type != type || (g->tail == CU_TAIL_GLU && g->segment[i].w2.type != type))
      return cudaErrorNotSupported;
  if (type != ENG_TYPE_F16 && type != ENG_TYPE_BF16)
    return cudaErrorNotSupported;
  int limit;
  const cudaError_t e = shared_limit (&limit);
  if (e != cudaSuccess)
    return e;
  return type == ENG_TYPE_F16 ? float_launch<ENG_TYPE_F16> (s, g, n_units, width, limit, pdl)
                              : float_launch<ENG_TYPE_BF16> (s, g, n_units, width, limit, pdl);
}
