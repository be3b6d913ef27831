// SPDX-License-Identifier: Apache-2.0
// Moving weights between the file's blocks and the planes of format.cuh (both ways: nothing is lost),
// and expanding planes to bf16 for large matrix products.
#include "format.cuh"

// Bit fields of one pair of sub-blocks in a file's block(s): reads and writes go through one
// description, so that packing and unpacking cannot drift apart. FORWARD: file -> planes.
template <int TYPE, bool FORWARD>
CU_DEV void
move_pair (uint8_t *file, const CuWeight &w, uint64_t row, int j)
{
  constexpr Format f = format_of (TYPE);
  const uint64_t at = row * (w.n_cols / 64) + j;
  uint8_t *q = (uint8_t *) w.q + at * 2 * f.q, *h = (uint8_t *) w.h + at * 2 * f.h;
  uint8_t *s = (uint8_t *) w.s + at * 2 * f.s;
  uint8_t *d = (uint8_t *) w.d + (row * (w.n_cols / 256) + j / 4) * f.d;
  const bool first = (j & 3) == 0; // of the super-block: moves d
  auto copy = [] (uint8_t *in_file, uint8_t *in_plane, int n) {
    for (int i = 0; i < n; i++)
      if (FORWARD)
        in_plane[i] = in_file[i];
      else
        in_file[i] = in_plane[i];
  };
  // a field of @bits at @shift of *in_file <-> the same width at @to of *in_plane; planes are cleared
  // (forward) or file bytes are (backward) by the caller before fields are or-ed in
  auto field = [] (uint8_t *in_file, int shift, uint8_t *in_plane, int to, int mask) {
    if (FORWARD)
      *in_plane |= (uint8_t) ((*in_file >> shift & mask) << to);
    else
      *in_file |= (uint8_t) ((*in_plane >> to & mask) << shift);
  };
  auto clear = [] (uint8_t *p, int n) {
    for (int i = 0; i < n; i++)
      p[i] = 0;
  };
  if (FORWARD)
    clear (h, 2 * f.h);

  if constexpr (f.weights == 32)
    {
      for (int i = 0; i < 2; i++)
        {
          uint8_t *b = file + ((uint64_t) 2 * j + i) * f.file;
          copy (b, s + i * f.s, f.s);
          if (f.h)
            {
              uint8_t *bits = b + f.s; // 32 bits, weight k at bit k
              if (!FORWARD)
                clear (bits, 4);
              for (int k = 0; k < 32; k++)
                field (bits + k / 8, k % 8, h + 4 * i + k % 4, k / 4, 1);
            }
          copy (b + f.s + f.h, q + f.q * i, f.q);
        }
      return;
    }

  // K-quants and IQ4_XS: four pairs a super-block
  uint8_t *b = file + (uint64_t) (j / 4) * f.file;
  const int p = j & 3;
  if constexpr (TYPE == ENG_TYPE_Q4_K || TYPE == ENG_TYPE_Q5_K)
    {
      if (first)
        copy (b, d, 4);
      // 12 bytes of 6-bit scales and minima: k < 4: sc[k] = b[k] & 63, m[k] = b[k + 4] & 63; else low
      // nibbles (sc) and high nibbles (m) of b[k + 4], top bits in b[k - 4] and b[k]
      uint8_t *sc = b + 4;
      for (int i = 0; i < 2; i++)
        {
          const int k = 2 * p + i;
          uint8_t *o = s + 2 * i;
          if (FORWARD)
            {
              o[0] = k < 4 ? sc[k] & 63 : (sc[k + 4] & 15) | (sc[k - 4] >> 6) << 4;
              o[1] = k < 4 ? sc[k + 4] & 63 : (sc[k + 4] >> 4) | (sc[k] >> 6) << 4;
            }
          else if (first && i == 0) // one thread restores all twelve
            {
              const uint8_t *a = o;
              clear (sc, 12);
              for (int n = 0; n < 8; n++)
                {
                  const uint8_t c = a[2 * n], m = a[2 * n + 1];
                  if (n < 4)
                    {
                      sc[n] |= c;
                      sc[n + 4] |= m;
                    }
                  else
                    {
                      sc[n + 4] |= (c & 15) | (m & 15) << 4;
                      sc[n - 4] |= (c >> 4) << 6;
                      sc[n] |= (m >> 4) << 6;
                    }
                }
            }
        }
      uint8_t *qs = b + 16;
      if constexpr (TYPE == ENG_TYPE_Q5_K)
        {
          // 32 bytes: byte l, bit k = weight l of sub-block k. Bytes are shared by four pairs: forward
          // reads only; backward the first pair restores all of them.
          for (int l = 0; l < 32; l++)
            {
              if (FORWARD)
                for (int i = 0; i < 2; i++)
                  field (qs + l, 2 * p + i, h + 4 * i + l % 4, l / 4, 1);
              else if (first)
                {
                  qs[l] = 0;
                  for (int k = 0; k < 8; k++)
                    field (qs + l, k, h + 4 * k + l % 4, l / 4, 1);
                }
            }
          qs += 32;
        }
      copy (qs + 32 * p, q, 32);
    }
  if constexpr (TYPE == ENG_TYPE_Q6_K)
    {
      // ql[128], qh[64], scales[16], d. Half n of 128 weights: ql[64 n + l] low nibble = weight l, high =
      // weight l + 64; ql[64 n + 32 + l]: l + 32 and l + 96; qh[32 n + l]: two bits of each in turn.
      const int n = p >> 1, odd = p & 1; // pair p: weights 64 p .. 64 p + 63 = nibbles `odd` of both
      uint8_t *ql = b + 64 * n, *qh = b + 128 + 32 * n;
      if (FORWARD)
        {
          clear (q, 32);
          for (int l = 0; l < 32; l++)
            {
              field (ql + l, 4 * odd, q + l, 0, 15);
              field (ql + 32 + l, 4 * odd, q + l, 4, 15);
              for (int i = 0; i < 2; i++)
                field (qh + l, 4 * odd + 2 * i, h + 8 * i + l / 16 * 4 + l % 4, 2 * (l % 16 / 4), 3);
            }
        }
      else if (odd == 0) // the even pair of a half restores it; the next pair's planes lie behind ours
        for (int l = 0; l < 32; l++)
          {
            ql[l] = ql[32 + l] = qh[l] = 0;
            for (int o = 0; o < 2; o++)
              {
                field (ql + l, 4 * o, q + 32 * o + l, 0, 15);
                field (ql + 32 + l, 4 * o, q + 32 * o + l, 4, 15);
                for (int i = 0; i < 2; i++)
                  field (qh + l, 4 * o + 2 * i, h + 16 * o + 8 * i + l / 16 * 4 + l % 4,
                         2 * (l % 16 / 4), 3);
              }
          }
      copy (b + 192 + 4 * p, s, 4);
      if (first)
        copy (b + 208, d, 2);
    }
  if constexpr (TYPE == ENG_TYPE_Q2_K || TYPE == ENG_TYPE_Q3_K)
    {
      // Q2_K: scales[16], qs[64], d, dmin. Q3_K: hmask[32], qs[64], scales[12], d. Byte l of half n of
      // qs, bits 2 k = weight 128 n + 32 k + l; hmask byte l, bit k = weight l of sub-block k.
      constexpr int at_qs = TYPE == ENG_TYPE_Q2_K ? 16 : 32;
      uint8_t *qs = b + at_qs + 32 * (p >> 1);
      if (FORWARD)
        {
          clear (q, 16);
          for (int l = 0; l < 32; l++)
            for (int i = 0; i < 2; i++)
              field (qs + l, 2 * (2 * (p & 1) + i), q + 8 * i + l / 16 * 4 + l % 4,
                     2 * (l % 16 / 4), 3);
        }
      else if ((p & 1) == 0)
        for (int l = 0; l < 32; l++)
          {
            qs[l] = 0;
            for (int k = 0; k < 4; k++)
              field (qs + l, 2 * k, q + 8 * k + l / 16 * 4 + l % 4, 2 * (l % 16 / 4), 3);
          }
      if constexpr (TYPE == ENG_TYPE_Q2_K)
        {
          copy (b + 4 * p, s, 4);
          if (first)
            copy (b + 80, d, 4);
        }
      else
        {
          for (int l = 0; l < 32; l++)
            if (FORWARD)
              for (int i = 0; i < 2; i++)
                field (b + l, 2 * p + i, h + 4 * i + l % 4, l / 4, 1);
            else if (first)
              {
                b[l] = 0;
                for (int k = 0; k < 8; k++)
                  field (b + l, k, h + 4 * k + l % 4, l / 4, 1);
              }
          // sixteen 6-bit scales less 32: low nibbles in 8 bytes (k and k + 8), top bits in 4
          uint8_t *sc = b + 96;
          if (FORWARD)
            for (int i = 0; i < 4; i++)
              {
                const int k = 4 * p + i;
                const int v = (sc[k % 8] >> (k < 8 ? 0 : 4) & 15)
                              | (sc[8 + k % 4] >> (2 * (k / 4)) & 3) << 4;
                s[i] = (uint8_t) (int8_t) (v - 32);
              }
          else if (first)
            {
              clear (sc, 12);
              for (int k = 0; k < 16; k++)
                {
                  const int v = (int8_t) s[k] + 32;
                  sc[k % 8] |= (v & 15) << (k < 8 ? 0 : 4);
                  sc[8 + k % 4] |= (v >> 4) << (2 * (k / 4));
                }
            }
          if (first)
            copy (b + 108, d, 2);
        }
    }
  if constexpr (TYPE == ENG_TYPE_IQ4_XS)
    {
      // d, scales_h (2 bits each), scales_l (4 bits each), qs[128]
      if (first)
        copy (b, d, 2);
      if (FORWARD)
        for (int i = 0; i < 2; i++)
          {
            const int k = 2 * p + i;
            const int v = (b[4 + k / 2] >> (4 * (k & 1)) & 15) | (b[2 + k / 4] >> (2 * (k % 4)) & 3) << 4;
            s[i] = (uint8_t) (int8_t) (v - 32);
          }
      else if (first)
        {
          clear (b + 2, 6);
          for (int k = 0; k < 8; k++)
            {
              const int v = (int8_t) s[k] + 32;
              b[4 + k / 2] |= (v & 15) << (4 * (k & 1));
              b[2 + k / 4] |= (v >> 4) << (2 * (k % 4));
            }
        }
      copy (b + 8 + 32 * p, q, 32);
    }
}

template <int TYPE, bool FORWARD>
__global__ void
move_kernel (CuWeight w, uint8_t *raw, uint64_t first_row, uint64_t n)
{
  const uint64_t i = (uint64_t) blockIdx.x * blockDim.x + threadIdx.x;
  const uint32_t n_pairs = w.n_cols / 64;
  if (i >= n)
    return;
  constexpr Format f = format_of (TYPE);
  const uint64_t row = i / n_pairs, row_bytes = w.n_cols / f.weights * f.file;
  move_pair<TYPE, FORWARD> (raw + row * row_bytes, w, first_row + row, (int) (i % n_pairs));
}

template <bool FORWARD>
static cudaError_t
move_rows (CuStream s, const CuWeight *w, uint8_t *raw, uint64_t first_row, uint64_t n_rows)
{
  const uint64_t n = n_rows * (w->n_cols / 64);
  if (n == 0)
    return cudaSuccess;
  const unsigned blocks = (unsigned) ((n + 127) / 128);
  CU_SWITCH_TYPE (w->type,
                  (move_kernel<TYPE, FORWARD><<<blocks, 128, 0, s>>> (*w, raw, first_row, n)))
  return cudaGetLastError ();
}

cudaError_t
cu_repack (CuStream s, const CuWeight *w, const uint8_t *raw, uint64_t first_row, uint64_t n_rows)
{
  return move_rows<true> (s, w, (uint8_t *) raw, first_row, n_rows);
}

cudaError_t
cu_unpack (CuStream s, const CuWeight *w, uint8_t *raw, uint64_t first_row, uint64_t n_rows)
{
  return move_rows<false> (s, w, raw, first_row, n_rows);
}

CuRowBytes
cu_row_bytes (int type, uint64_t n_cols)
{
  const Format f = format_of (type);
  const uint64_t n = n_cols / 32;
  const CuRowBytes r = { (uint32_t) (n * f.q), (uint32_t) (n * f.h), (uint32_t) (n * f.s),
                         (uint32_t) (n_cols / 256 * f.d) };
  return r;
}

CU_DEV uint32_t
two_bf16 (float a, float b)
{
  const __nv_bfloat162 v = __floats2bfloat162_rn (a, b);
  return *(const uint32_t *) &v;
}

#define EXPAND_THREADS 128

// A thread expands a pair of sub-blocks (reads 40 bytes or so, makes 128); the block's output goes
// through shared memory so that it leaves in whole lines.
template <int TYPE>
__global__ void __launch_bounds__ (EXPAND_THREADS)
expand_kernel (CuWeight w, uint64_t first_row, uint64_t n, __nv_bfloat16 *out)
{
  constexpr bool is_signed = TYPE == ENG_TYPE_Q8_0 || TYPE == ENG_TYPE_IQ4_NL
                             || TYPE == ENG_TYPE_IQ4_XS || TYPE == ENG_TYPE_MXFP4;
  __shared__ uint4 lines[EXPAND_THREADS][9]; // one more than used: no bank conflicts
  const uint64_t base = (uint64_t) blockIdx.x * EXPAND_THREADS, i = base + threadIdx.x;
  if (i < n)
    {
      Pair<TYPE> p;
      pair_load (p, w, first_row * (w.n_cols / 64) + i);
#pragma unroll
      for (int sub = 0; sub < 2; sub++)
#pragma unroll
        for (int k = 0; k < 8; k += 2)
          {
            const float2 dm = pair_scale (p, sub, k / 4);
            float v[8];
#pragma unroll
            for (int m = 0; m < 2; m++)
              {
                const uint32_t q = pair_word (p, sub, k + m);
#pragma unroll
                for (int b = 0; b < 4; b++)
                  {
                    const int c = is_signed ? (int) (int8_t) (q >> (8 * b)) : (int) (q >> (8 * b) & 255);
                    v[4 * m + b] = dm.x * (float) c + dm.y;
                  }
              }
            lines[threadIdx.x][sub * 4 + k / 2] = make_uint4 (
                two_bf16 (v[0], v[1]), two_bf16 (v[2], v[3]), two_bf16 (v[4], v[5]), two_bf16 (v[6], v[7]));
          }
    }
  __syncthreads ();
  uint4 *o = (uint4 *) out + base * 8;
  const uint64_t n_here = n - base < EXPAND_THREADS ? n - base : EXPAND_THREADS;
  for (int k = threadIdx.x; k < (int) n_here * 8; k += EXPAND_THREADS)
    o[k] = lines[k / 8][k % 8];
}

template <typename T>
__global__ void
convert_kernel (const T *x, uint64_t n, __nv_bfloat16 *y)
{
  const uint64_t i = ((uint64_t) blockIdx.x * blockDim.x + threadIdx.x) * 2;
  if (i + 1 < n)
    *(uint32_t *) (y + i) = two_bf16 ((float) x[i], (float) x[i + 1]);
  else if (i < n)
    y[i] = __float2bfloat16 ((float) x[i]);
}

cudaError_t
cu_expand_bf16 (CuStream s, const CuWeight *w, uint64_t first_row, uint64_t n_rows,
                __nv_bfloat16 *out)
{
  if (w->q_bytes)
    {
      const uint64_t n = n_rows * (w->n_cols / 64);
      const unsigned blocks = (unsigned) ((n + EXPAND_THREADS - 1) / EXPAND_THREADS);
      CU_SWITCH_TYPE (w->type,
                      (expand_kernel<TYPE><<<blocks, EXPAND_THREADS, 0, s>>> (*w, first_row, n, out)))
      return cudaGetLastError ();
    }
  const uint64_t n = n_rows * w->n_cols, at = first_row * w->n_cols;
  const unsigned blocks = (unsigned) ((n / 2 + 256) / 256);
  if (w->type == ENG_TYPE_F32)
    convert_kernel<<<blocks, 256, 0, s>>> ((const float *) w->q + at, n, out);
  else if (w->type == ENG_TYPE_F16)
    convert_kernel<<<blocks, 256, 0, s>>> ((const __half *) w->q + at, n, out);
  else
    return cudaMemcpyAsync (out, (const __nv_bfloat16 *) w->q + at, n * 2, cudaMemcpyDeviceToDevice,
                            s);
  return cudaGetLastError ();
}

cudaError_t
cu_to_bf16 (CuStream s, const float *x, uint64_t n, __nv_bfloat16 *y)
{
  convert_kernel<<<(unsigned) ((n / 2 + 256) / 256), 256, 0, s>>> (x, n, y);
  return cudaGetLastError ();
}
