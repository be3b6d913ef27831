/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders of the superblock formats. Two levels of scales: each group is fitted alone; the groups'
 * scales are rounded to small integers under a common binary16 scale; then, in turns, every group
 * tries the neighbours of its integers, and the common scale is solved anew for all codes. A turn is
 * kept only if it lowers the weighted error. */
#include <math.h>

#include "eng-quant-private.h"

#define K 256
#define MAX_GROUPS 16
#define N_TURNS 2

/* ---- Scale and minimum (Q2_K, Q4_K, Q5_K) -------------------------------------------------------- */

typedef struct
{
  int n_groups, group;   /* 16 of 16 or 8 of 32 */
  float q_max, part_max; /* largest code; largest integer scale and minimum */
} MinFormat;

typedef struct
{
  uint16_t d, dmin; /* binary16 */
  uint8_t s[MAX_GROUPS], m[MAX_GROUPS];
  float q[K];
  float error;
} MinCode;

/* Codes of every group with the integers as they are, or the best of their neighbours. */
static void
min_snap (const MinFormat *f, const float *x, const float *w, bool neighbours, MinCode *c)
{
  float d = eng_f16_to_f32 (c->d), dmin = eng_f16_to_f32 (c->dmin);
  int reach = neighbours ? 1 : 0;
  c->error = 0.0f;
  for (int g = 0; g < f->n_groups; g++)
    {
      float best = INFINITY, q[ENG_FIT_MAX];
      int s0 = c->s[g], m0 = c->m[g];
      for (int s = s0 - reach; s <= s0 + reach; s++)
        for (int m = m0 - reach; m <= m0 + reach; m++)
          {
            if ((s != s0 && m != m0) || s < 0 || m < 0 || (float) s > f->part_max || (float) m > f->part_max)
              continue;
            EngAffine a = { d * (float) s, -(dmin * (float) m) };
            float error = eng_affine_snap (x + g * f->group, w + g * f->group, f->group, a,
                                           f->q_max, q);
            if (!(error < best))
              continue;
            best = error;
            c->s[g] = (uint8_t) s;
            c->m[g] = (uint8_t) m;
            memcpy (c->q + g * f->group, q, (size_t) f->group * sizeof *q);
          }
      c->error += best;
    }
}

/* Least squares for the two common scales under the codes of @c. */
static void
min_solve (const MinFormat *f, const float *x, const float *w, MinCode *c)
{
  double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
  for (int g = 0; g < f->n_groups; g++)
    {
      double scale = c->s[g], min = -(double) c->m[g];
      EngFitSums t = eng_fit_sums (x + g * f->group, w + g * f->group, c->q + g * f->group, f->group);
      aa += scale * scale * t.wvv;
      ab += scale * min * t.wv;
      bb += min * min * t.w;
      xa += scale * t.wxv;
      xb += min * t.wx;
    }
  double det = aa * bb - ab * ab;
  if (det > 1e-9 * aa * bb)
    {
      double d = (bb * xa - ab * xb) / det, dmin = (aa * xb - ab * xa) / det;
      if (d > 0 && dmin >= 0)
        {
          c->d = eng_f32_to_f16 ((float) d);
          c->dmin = eng_f32_to_f16 ((float) dmin);
          return;
        }
    }
  if (aa > 0 && xa > 0 && bb == 0)
    c->d = eng_f32_to_f16 ((float) (xa / aa));
}

static uint8_t
to_part (float x, float scale, float max)
{
  float q = scale > 0.0f ? roundf (x / scale) : 0.0f;
  return (uint8_t) (q < 0.0f ? 0.0f : q > max ? max : q);
}

static bool
min_fit (const MinFormat *f, const float *x, const float *w, MinCode *best)
{
  EngAffine fits[MAX_GROUPS];
  float max_d = 0.0f, max_m = 0.0f;
  for (int g = 0; g < f->n_groups; g++)
    {
      fits[g] = eng_fit_affine (x + g * f->group, w + g * f->group, f->group, f->q_max, true);
      max_d = fits[g].d > max_d ? fits[g].d : max_d;
      max_m = -fits[g].m > max_m ? -fits[g].m : max_m;
    }
  best->d = eng_f32_to_f16 (max_d / f->part_max);
  best->dmin = eng_f32_to_f16 (max_m / f->part_max);
  if (!eng_half_is_finite (best->d) || !eng_half_is_finite (best->dmin))
    return false;
  for (int g = 0; g < f->n_groups; g++)
    {
      best->s[g] = to_part (fits[g].d, eng_f16_to_f32 (best->d), f->part_max);
      best->m[g] = to_part (-fits[g].m, eng_f16_to_f32 (best->dmin), f->part_max);
    }
  min_snap (f, x, w, true, best);
  for (int turn = 0; turn < N_TURNS; turn++)
    {
      MinCode next = *best;
      min_solve (f, x, w, &next);
      if (!eng_half_is_finite (next.d) || !eng_half_is_finite (next.dmin))
        break;
      min_snap (f, x, w, true, &next);
      if (!(next.error < best->error))
        break;
      *best = next;
    }
  return true;
}

/* The inverse of eng_scale_min_get (). */
static void
pack_scale_min (const MinCode *c, uint8_t scales[12])
{
  for (int g = 0; g < 4; g++)
    {
      scales[g] = (uint8_t) (c->s[g] | (c->s[g + 4] >> 4) << 6);
      scales[g + 4] = (uint8_t) (c->m[g] | (c->m[g + 4] >> 4) << 6);
      scales[g + 8] = (uint8_t) ((c->s[g + 4] & 15) | (c->m[g + 4] & 15) << 4);
    }
}

bool
eng_encode_q4_k (const float *x, const float *w, void *block)
{
  static const MinFormat format = { 8, 32, 15, 63 };
  EngBlockQ4K *b = block;
  MinCode c;
  if (!min_fit (&format, x, w, &c))
    return false;
  b->d = c.d;
  b->dmin = c.dmin;
  pack_scale_min (&c, b->scales);
  for (int p = 0; p < 4; p++)
    for (int l = 0; l < 32; l++)
      b->qs[32 * p + l]
          = (uint8_t) ((int) c.q[64 * p + l] | (int) c.q[64 * p + 32 + l] << 4);
  return true;
}

bool
eng_encode_q5_k (const float *x, const float *w, void *block)
{
  static const MinFormat format = { 8, 32, 31, 63 };
  EngBlockQ5K *b = block;
  MinCode c;
  if (!min_fit (&format, x, w, &c))
    return false;
  b->d = c.d;
  b->dmin = c.dmin;
  pack_scale_min (&c, b->scales);
  memset (b->qh, 0, sizeof b->qh);
  for (int p = 0; p < 4; p++)
    for (int l = 0; l < 32; l++)
      {
        int low = (int) c.q[64 * p + l], high = (int) c.q[64 * p + 32 + l];
        b->qs[32 * p + l] = (uint8_t) ((low & 15) | (high & 15) << 4);
        b->qh[l] |= (uint8_t) ((low >> 4) << (2 * p) | (high >> 4) << (2 * p + 1));
      }
  return true;
}

bool
eng_encode_q2_k (const float *x, const float *w, void *block)
{
  static const MinFormat format = { 16, 16, 3, 15 };
  EngBlockQ2K *b = block;
  MinCode c;
  if (!min_fit (&format, x, w, &c))
    return false;
  b->d = c.d;
  b->dmin = c.dmin;
  for (int g = 0; g < 16; g++)
    b->scales[g] = (uint8_t) (c.s[g] | c.m[g] << 4);
  memset (b->qs, 0, sizeof b->qs);
  for (int e = 0; e < K; e++)
    b->qs[e / 128 * 32 + e % 32] |= (uint8_t) ((int) c.q[e] << (e % 128 / 32 * 2));
  return true;
}

/* ---- Signed scale (Q3_K, Q6_K, IQ4_XS) ----------------------------------------------------------- */

typedef struct
{
  int n_groups, group, n_turns;
  float part_min, part_max; /* integer scales */
  const EngGrid *grid;
} SignedFormat;

typedef struct
{
  uint16_t d; /* binary16 */
  int8_t s[MAX_GROUPS];
  float v[K];
  float error;
} SignedCode;

static void
signed_snap (const SignedFormat *f, const float *x, const float *w, SignedCode *c)
{
  float d = eng_f16_to_f32 (c->d);
  c->error = 0.0f;
  for (int g = 0; g < f->n_groups; g++)
    {
      float best = INFINITY, v[ENG_FIT_MAX];
      int s0 = c->s[g];
      for (int s = s0 - 1; s <= s0 + 1; s++)
        {
          if ((float) s < f->part_min || (float) s > f->part_max)
            continue;
          float error = eng_scale_snap (f->grid, x + g * f->group, w + g * f->group, f->group,
                                        d * (float) s, v);
          if (!(error < best))
            continue;
          best = error;
          c->s[g] = (int8_t) s;
          memcpy (c->v + g * f->group, v, (size_t) f->group * sizeof *v);
        }
      c->error += best;
    }
}

static void
signed_solve (const SignedFormat *f, const float *x, const float *w, SignedCode *c)
{
  double aa = 0, xa = 0;
  for (int g = 0; g < f->n_groups; g++)
    {
      double scale = c->s[g];
      EngFitSums t = eng_fit_sums (x + g * f->group, w + g * f->group, c->v + g * f->group, f->group);
      aa += scale * scale * t.wvv;
      xa += scale * t.wxv;
    }
  if (aa > 0)
    c->d = eng_f32_to_f16 ((float) (xa / aa));
}

static bool
signed_fit (const SignedFormat *f, const float *x, const float *w, SignedCode *best)
{
  float fits[MAX_GROUPS], max = 0.0f;
  for (int g = 0; g < f->n_groups; g++)
    {
      fits[g] = eng_fit_scale (f->grid, x + g * f->group, w + g * f->group, f->group);
      max = fabsf (fits[g]) > fabsf (max) ? fits[g] : max;
    }
  /* The largest takes the end of the range that reaches further, the negative one. */
  best->d = eng_f32_to_f16 (max / f->part_min);
  if (!eng_half_is_finite (best->d))
    return false;
  float d = eng_f16_to_f32 (best->d);
  for (int g = 0; g < f->n_groups; g++)
    {
      float s = d != 0.0f ? roundf (fits[g] / d) : 0.0f;
      best->s[g] = (int8_t) (s < f->part_min ? f->part_min : s > f->part_max ? f->part_max : s);
    }
  signed_snap (f, x, w, best);
  for (int turn = 0; turn < f->n_turns; turn++)
    {
      SignedCode next = *best;
      signed_solve (f, x, w, &next);
      if (!eng_half_is_finite (next.d))
        break;
      signed_snap (f, x, w, &next);
      if (!(next.error < best->error))
        break;
      *best = next;
    }
  return true;
}

bool
eng_encode_q3_k (const float *x, const float *w, void *block)
{
  static const EngGrid grid = { -4, 3, 0.25f, NULL, 0 };
  static const SignedFormat format = { 16, 16, 2, -32, 31, &grid };
  EngBlockQ3K *b = block;
  SignedCode c;
  if (!signed_fit (&format, x, w, &c))
    return false;
  memset (b, 0, sizeof *b);
  b->d = c.d;
  for (int g = 0; g < 16; g++)
    {
      int s = c.s[g] + 32;
      b->scales[g % 8] |= (uint8_t) ((s & 15) << (g / 8 * 4));
      b->scales[8 + g % 4] |= (uint8_t) ((s >> 4) << (g / 4 * 2));
    }
  for (int e = 0; e < K; e++)
    {
      int q = (int) c.v[e] + 4;
      b->qs[e / 128 * 32 + e % 32] |= (uint8_t) ((q & 3) << (e % 128 / 32 * 2));
      b->hmask[e % 32] |= (uint8_t) ((q >> 2) << (e / 32));
    }
  return true;
}

bool
eng_encode_q6_k (const float *x, const float *w, void *block)
{
  static const EngGrid grid = { -32, 31, 0.03f, NULL, 0 };
  static const SignedFormat format = { 16, 16, 1, -128, 127, &grid };
  EngBlockQ6K *b = block;
  SignedCode c;
  if (!signed_fit (&format, x, w, &c))
    return false;
  memset (b, 0, sizeof *b);
  b->d = c.d;
  memcpy (b->scales, c.s, 16);
  for (int h = 0; h < 2; h++)
    for (int l = 0; l < 32; l++)
      {
        const float *v = c.v + 128 * h + l;
        int q0 = (int) v[0] + 32, q1 = (int) v[32] + 32, q2 = (int) v[64] + 32, q3 = (int) v[96] + 32;
        b->ql[64 * h + l] = (uint8_t) ((q0 & 15) | (q2 & 15) << 4);
        b->ql[64 * h + 32 + l] = (uint8_t) ((q1 & 15) | (q3 & 15) << 4);
        b->qh[32 * h + l] = (uint8_t) (q0 >> 4 | q1 >> 4 << 2 | q2 >> 4 << 4 | q3 >> 4 << 6);
      }
  return true;
}

bool
eng_encode_iq4_xs (const float *x, const float *w, void *block)
{
  static const SignedFormat format = { 8, 32, 2, -32, 31, &eng_iq4_grid };
  EngBlockIq4Xs *b = block;
  SignedCode c;
  if (!signed_fit (&format, x, w, &c))
    return false;
  memset (b, 0, sizeof *b);
  b->d = c.d;
  for (int g = 0; g < 8; g++)
    {
      int s = c.s[g] + 32;
      b->scales_l[g / 2] |= (uint8_t) ((s & 15) << (g % 2 * 4));
      b->scales_h |= (uint16_t) ((s >> 4) << (2 * g));
      for (int j = 0; j < 16; j++)
        b->qs[16 * g + j] = (uint8_t) (eng_iq4_code (c.v[32 * g + j])
                                       | eng_iq4_code (c.v[32 * g + 16 + j]) << 4);
    }
  return true;
}
