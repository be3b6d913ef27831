/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders of the formats with blocks of 32. */
#include <math.h>

#include "eng-quant-private.h"

#define N 32

static const float iq4_values[16] = ENG_IQ4_VALUES;
const EngGrid eng_iq4_grid = { -127, 113, 0.12f, iq4_values, 16 };

uint8_t
eng_iq4_code (float value)
{
  uint8_t code = 0;
  for (int k = 1; k < 16; k++)
    code += value >= iq4_values[k];
  return code;
}

static void
pack_nibbles (const uint8_t *codes, uint8_t *qs)
{
  for (int j = 0; j < 16; j++)
    qs[j] = (uint8_t) ((codes[j] & 15) | (codes[j + 16] & 15) << 4);
}

static void
pack_fifth_bits (const uint8_t *codes, uint8_t qh[4])
{
  uint32_t bits = 0;
  for (int i = 0; i < N; i++)
    bits |= (uint32_t) (codes[i] >> 4 & 1) << i;
  memcpy (qh, &bits, sizeof bits);
}

/* The binary16 scale, and the grid's number for each x under exactly that scale. */
static bool
fit_half (const EngGrid *grid, const float *x, const float *w, uint16_t *d, float *v)
{
  *d = eng_f32_to_f16 (eng_fit_scale (grid, x, w, N));
  if (!eng_half_is_finite (*d))
    return false;
  eng_scale_snap (grid, x, w, N, eng_f16_to_f32 (*d), v);
  return true;
}

static bool
encode_centred (const float *x, const float *w, float half, uint16_t *d, uint8_t *codes)
{
  const EngGrid grid = { -half, half - 1, 0.9f / half, NULL, 0 };
  float v[N];
  if (!fit_half (&grid, x, w, d, v))
    return false;
  for (int i = 0; i < N; i++)
    codes[i] = (uint8_t) (v[i] + half);
  return true;
}

bool
eng_encode_q4_0 (const float *x, const float *w, void *block)
{
  EngBlockQ4_0 *b = block;
  uint8_t codes[N];
  if (!encode_centred (x, w, 8, &b->d, codes))
    return false;
  pack_nibbles (codes, b->qs);
  return true;
}

bool
eng_encode_q5_0 (const float *x, const float *w, void *block)
{
  EngBlockQ5_0 *b = block;
  uint8_t codes[N];
  if (!encode_centred (x, w, 16, &b->d, codes))
    return false;
  pack_nibbles (codes, b->qs);
  pack_fifth_bits (codes, b->qh);
  return true;
}

static bool
encode_offset (const float *x, const float *w, float q_max, uint16_t *d, uint16_t *m,
               uint8_t *codes)
{
  float q[N];
  EngAffine fit = eng_fit_affine (x, w, N, q_max, false);
  *d = eng_f32_to_f16 (fit.d);
  *m = eng_f32_to_f16 (fit.m);
  if (!eng_half_is_finite (*d) || !eng_half_is_finite (*m))
    return false;
  eng_affine_snap (x, w, N, (EngAffine) { eng_f16_to_f32 (*d), eng_f16_to_f32 (*m) }, q_max, q);
  for (int i = 0; i < N; i++)
    codes[i] = (uint8_t) q[i];
  return true;
}

bool
eng_encode_q4_1 (const float *x, const float *w, void *block)
{
  EngBlockQ4_1 *b = block;
  uint8_t codes[N];
  if (!encode_offset (x, w, 15, &b->d, &b->m, codes))
    return false;
  pack_nibbles (codes, b->qs);
  return true;
}

bool
eng_encode_q5_1 (const float *x, const float *w, void *block)
{
  EngBlockQ5_1 *b = block;
  uint8_t codes[N];
  if (!encode_offset (x, w, 31, &b->d, &b->m, codes))
    return false;
  pack_nibbles (codes, b->qs);
  pack_fifth_bits (codes, b->qh);
  return true;
}

/* With eight bits the plain scale is within a few percent of the best one and takes a fraction of
 * the time: this one also runs while models load. */
bool
eng_encode_q8_0 (const float *x, const float *w, void *block)
{
  EngBlockQ8_0 *b = block;
  float max = eng_fit_max_32 (x);
  float d = max / 127.0f, inv = d > 0.0f ? 1.0f / d : 0.0f;
  b->d = eng_f32_to_f16 (d);
  if (!eng_half_is_finite (b->d))
    return false;
  if (!isfinite (inv)) /* numbers so small that their scale is subnormal: zero in binary16 */
    inv = 0.0f;
  eng_fit_round_32 (x, inv, b->qs);
  return true;
}

bool
eng_encode_iq4_nl (const float *x, const float *w, void *block)
{
  EngBlockIq4Nl *b = block;
  float v[N];
  uint8_t codes[N];
  if (!fit_half (&eng_iq4_grid, x, w, &b->d, v))
    return false;
  for (int i = 0; i < N; i++)
    codes[i] = eng_iq4_code (v[i]);
  pack_nibbles (codes, b->qs);
  return true;
}

/* Scales are powers of two: the three around the largest number are tried. */
bool
eng_encode_mxfp4 (const float *x, const float *w, void *block)
{
  static const float values[15] = { -12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12 };
  static const EngGrid grid = { -12, 12, 0, values, 15 };
  static const int8_t codes_of[13] = { 0, 1, 2, 3, 4, -1, 5, -1, 6, -1, -1, -1, 7 };
  EngBlockMxfp4 *b = block;
  float max = 0.0f, v[N], best = INFINITY;
  uint8_t codes[N];
  int exponent, best_e = 1;
  for (int i = 0; i < N; i++)
    max = fabsf (x[i]) > max ? fabsf (x[i]) : max;
  /* max / 12 lies in (2^(exponent - 1), 2^exponent]; e stands for 2^(e - 128) */
  frexpf (max / 12.0f, &exponent);
  for (int e = exponent + 127; e <= exponent + 129 && max > 0.0f; e++)
    {
      int bounded = e < 1 ? 1 : e > 254 ? 254 : e; /* 1 / 2^-128 would overflow */
      float error = eng_scale_snap (&grid, x, w, N, ldexpf (1.0f, bounded - 128), v);
      if (error < best)
        {
          best = error;
          best_e = bounded;
        }
    }
  b->e = (uint8_t) best_e;
  eng_scale_snap (&grid, x, w, N, ldexpf (1.0f, best_e - 128), v);
  for (int i = 0; i < N; i++)
    codes[i] = (uint8_t) (codes_of[(int) fabsf (v[i])] | (v[i] < 0.0f ? 8 : 0));
  pack_nibbles (codes, b->qs);
  return true;
}
