// SPDX-License-Identifier: Apache-2.0
// Launching the matrix-vector kernels of kernel-gemv.cuh. Each number of rows is compiled in a file of its
// own (kernel-gemv-N.cu): together they take a compiler minutes.
#include "kernel-decode.cuh"

cudaError_t cu_decode_rows (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int width, int pdl);
cudaError_t cu_decode_glu (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int width, int pdl);
cudaError_t cu_decode_expert (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int n_rows,
                              int width, int pdl);

cudaError_t cu_decode_floats (CuStream s, const CuGemv *g, int n_units, int width, int pdl);

// compiled in kernel-gemv-*.cu, not here again
#define ELSEWHERE(R, FLOATS)                                                                       \
  extern template cudaError_t cu_gemv_launch<R, FLOATS> (CuStream, const CuGemv *, int, int, int, int, int);
ELSEWHERE (1, false)
ELSEWHERE (2, false)
ELSEWHERE (4, false)
ELSEWHERE (1, true)
ELSEWHERE (2, true)
ELSEWHERE (4, true)
#undef ELSEWHERE

template <bool FLOATS>
static cudaError_t
launch_rows (CuStream s, const CuGemv *g, int n_rows, int grid_x, int grid_y, int width, int pdl)
{
  if (n_rows == 1)
    return cu_gemv_launch<1, FLOATS> (s, g, n_rows, grid_x, grid_y, width, pdl);
  if (n_rows == 2)
    return cu_gemv_launch<2, FLOATS> (s, g, n_rows, grid_x, grid_y, width, pdl);
  return cu_gemv_launch<4, FLOATS> (s, g, n_rows, grid_x, grid_y, width, pdl);
}

// The kernels compiled per format, where they fit; cudaErrorNotSupported: the general ones do it.
static cudaError_t
decode_gemv (CuStream s, const CuGemv *g, int n_rows, int n_units, int width, int pdl)
{
  const bool glu_rows = g->tail == CU_TAIL_GLU;
  if (g->segment[0].w.q_bytes == 0 || (g->has_norm && width > 8192) || width > 65536
      || (g->route && g->n_used > 32))
    return cudaErrorNotSupported;
  // segments of the first one's type to the front
  CuGemv sorted = *g;
  CuDecode d = {};
  for (int pass = 0; pass < 2; pass++)
    {
      for (int i = 0, n = pass ? d.n_a : 0; i < g->n_segments; i++)
        if ((g->segment[i].w.type == g->segment[0].w.type) == (pass == 0))
          sorted.segment[n++] = g->segment[i];
      if (pass == 0)
        for (int i = 0; i < g->n_segments; i++)
          d.n_a += g->segment[i].w.type == g->segment[0].w.type;
    }
  d.n_pieces = width / 64;
  for (int i = 0; i < g->n_segments; i++)
    {
      const CuSegment *seg = &sorted.segment[i];
      const uint64_t rows = (uint64_t) seg->w.n_rows * (seg->w.n_slices ? seg->w.n_slices : 1);
      if (rows * (seg->w.n_cols / 64) > UINT32_MAX || (i > d.n_a && seg->w.type != sorted.segment[d.n_a].w.type)
          || (glu_rows && seg->w.type != seg->w2.type) || (g->route && !glu_rows && seg->bias))
        return cudaErrorNotSupported;
      d.units[i] = glu_rows ? seg->w.n_rows * (g->route ? g->n_used : 1) : (seg->w.n_rows + 1) / 2;
      *(i < d.n_a ? &d.units_a : &d.units_b) += d.units[i];
    }
  if (g->route)
    return cu_decode_expert (s, &sorted, &d, n_units, n_rows, width, pdl);
  return glu_rows ? cu_decode_glu (s, &sorted, &d, n_units, width, pdl)
                  : cu_decode_rows (s, &sorted, &d, n_units, width, pdl);
}

cudaError_t
cu_gemv (CuStream s, const CuGemv *g, int n_rows, int n_units, int pdl)
{
  const bool floats = g->segment[0].w.q_bytes == 0;
  const int width = g->n_cols * (g->route && g->tail != CU_TAIL_GLU ? g->n_used : 1);
  if (n_rows == 1 || g->route)
    {
      const cudaError_t e = floats && !g->route ? cu_decode_floats (s, g, n_units, width, pdl)
                                                : decode_gemv (s, g, n_rows, n_units, width, pdl);
      if (e != cudaErrorNotSupported)
        return e;
    }
  if (g->route)
    return floats ? cu_gemv_launch<1, true> (s, g, 1, n_units, n_rows, width, pdl)
                  : cu_gemv_launch<1, false> (s, g, 1, n_units, n_rows, width, pdl);
  // as many rows at a time as the activations leave shared memory for
  int limit;
  cudaError_t e = shared_limit (&limit);
  if (e != cudaSuccess)
    return e;
  limit -= 1024;
  const size_t fixed = !floats && g->has_norm ? (size_t) width * 4 : 0;
  const size_t per_row = floats ? (size_t) width * 4 : (size_t) width * 5 / 4;
  int step = 4;
  while (step > 1 && fixed + per_row * step > (size_t) limit)
    step /= 2;
  if (fixed + per_row * step > (size_t) limit)
    return cudaErrorInvalidConfiguration;
  for (int r = 0; r < n_rows; r += step)
    {
      CuGemv part = *g;
      const int n = n_rows - r < step ? n_rows - r : step;
      if (g->row_map)
        part.row_map += r;
      else
        part.x += (size_t) r * g->x_stride;
      for (int i = 0; i < g->n_segments; i++)
        part.segment[i].y += (size_t) r * g->segment[i].y_stride;
      if (g->aux)
        part.aux += (size_t) r * g->segment[0].y_stride;
      e = floats ? launch_rows<true> (s, &part, n, n_units, 1, width, pdl)
                 : launch_rows<false> (s, &part, n, n_units, 1, width, pdl);
      if (e != cudaSuccess)
        return e;
    }
  return cudaSuccess;
}
