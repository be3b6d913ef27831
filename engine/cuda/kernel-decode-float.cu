// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products for one row, weights of 16-bit floats: a warp streams two weight rows (or a row of gate and
// one of up) with DEPTH pieces of both in flight in registers; the first are asked for before the wait for the kernel
// that makes the input. The general kernel (kernel-gemv.cuh) keeps fewer in flight: its pieces are found by division.
#include "kernel-gemv.cuh"

#define DEPTH 8

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

// A warp's way through its units, one piece of 8 columns a lane and turn.
struct FloatFeed
{
  const uint4 *row0, *row1;
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
            const uint64_t pieces = s.w.n_cols / 8, last = s.w.n_rows - 1;
            const uint64_t r0 = glu_rows ? unit : 2 * (uint64_t) unit;
            row0 = (const uint4 *) s.w.q + r0 * pieces;
            row1 = glu_rows ? (const uint4 *) s.w2.q + r0 * pieces
                            : (const uint4 *) s.w.q + (r0 + 1 <= last ? r0 + 1 : last) * pieces;
            return true;
          }
        unit -= n;
      }
    return false;
  }
};

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
        a[slot] = load16 (next.row0 + p);
        b[slot] = load16 (next.row1 + p);
      }
    else
      a[slot] = b[slot] = make_uint4 (0, 0, 0, 0);
    if (more && ++next.turn == n_turns)
      more = next.enter (g, next_unit += step, glu_rows);
  };
#pragma unroll
  for (int i = 0; i < DEPTH; i++)
    fetch (i);
  wait_for_input ();
  Act none = {};
  prepare_row<true> (g, g.x + (size_t) (g.row_map ? g.row_map[0] : 0) * g.x_stride, width, none, 0, x, red, NULL);
  __syncthreads ();

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
                Work w = {};
                w.seg = &g.segment[now.segment];
                w.n_rows = 1;
                finish<1> (g, w, now.unit, acc, lane, 0);
                acc[0][0] = acc[1][0] = 0.f;
                in = now.enter (g, unit += step, glu_rows);
              }
          }
    }
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
  const size_t bytes = (size_t) width * 4;
  int limit;
  const cudaError_t e = shared_limit (&limit);
  if (e != cudaSuccess)
    return e;
  if (bytes + 1024 > (size_t) limit)
    return cudaErrorNotSupported;
  return type == ENG_TYPE_F16
             ? launch_kernel (decode_float_kernel<ENG_TYPE_F16>, dim3 (n_units), THREADS, bytes, s, pdl, *g, width)
             : launch_kernel (decode_float_kernel<ENG_TYPE_BF16>, dim3 (n_units), THREADS, bytes, s, pdl, *g, width);
}
