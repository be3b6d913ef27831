/* SPDX-License-Identifier: Apache-2.0 */
/* Weighted least squares over a list of trial scales: for each, round the numbers to codes, solve
 * for the scale (and offset) that is best for these codes, keep the best; then alternate the two
 * steps from there. Rounding first and solving second never makes the error larger, so the result is
 * at least as good as the best trial. */
#include "eng-fit-private.h"

#include <math.h>
#include <string.h>

#define LANES 8
/* Adding and subtracting 1.5 * 2^23 rounds a float of magnitude below 2^22 to the nearest integer,
 * ties to even, in any vector unit. */
#define ROUND_MAGIC 12582912.0f
#define N_TRIALS 3  /* on either side of the extreme */
#define N_REFINE 4
#define INLINE static inline __attribute__ ((always_inline))

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define TIERED __attribute__ ((target_clones ("avx2", "default")))
#else
#define TIERED
#endif

/* Eight lanes; where the machine has four, the compiler makes two of each. No operation is fused and
 * sums have one order, so every tier gives the same bits. Functions of them are always inlined: they
 * have no calling convention that GCC could warn of. */
typedef float Lanes __attribute__ ((vector_size (4 * LANES)));
typedef int32_t Mask __attribute__ ((vector_size (4 * LANES)));

INLINE Lanes
load (const float *x)
{
  Lanes v;
  memcpy (&v, x, sizeof v);
  return v;
}

INLINE void
store (float *x, Lanes v)
{
  memcpy (x, &v, sizeof v);
}

INLINE Lanes
all (float x)
{
  return (Lanes) { x, x, x, x, x, x, x, x };
}

INLINE Lanes
choose (Mask mask, Lanes a, Lanes b)
{
  return (Lanes) ((mask & (Mask) a) | (~mask & (Mask) b));
}

INLINE float
sum_lanes (Lanes s)
{
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

INLINE Lanes
round_clamped (Lanes x, float lo, float hi)
{
  x = choose (x < all (lo), all (lo), x);
  x = choose (x > all (hi), all (hi), x);
  return (x + ROUND_MAGIC) - ROUND_MAGIC;
}

INLINE Lanes
snap_lanes (const EngGrid *grid, Lanes y)
{
  if (!grid->values)
    return round_clamped (y, grid->lo, grid->hi);
  Lanes v = all (grid->lo);
  for (int k = 1; k < grid->n_values; k++) /* whole numbers: the sum is exact */
    {
      float low = grid->values[k - 1], high = grid->values[k];
      v += (Lanes) ((y > all ((low + high) * 0.5f)) & (Mask) all (high - low));
    }
  return v;
}

TIERED EngFitSums
eng_fit_sums (const float *x, const float *w, const float *v, int n)
{
  Lanes s0 = { 0 }, sx = { 0 }, s1 = { 0 }, s2 = { 0 }, s3 = { 0 };
  for (int i = 0; i < n; i += LANES)
    {
      Lanes wi = load (w + i), xi = load (x + i), wv = wi * load (v + i);
      s0 += wi;
      sx += wi * xi;
      s1 += wv;
      s2 += wv * load (v + i);
      s3 += wv * xi;
    }
  return (EngFitSums) { sum_lanes (s0), sum_lanes (sx), sum_lanes (s1), sum_lanes (s2),
                        sum_lanes (s3) };
}

/* Errors of large numbers count more, because they meet the activations that matter about as often
 * as the others but move the sum further; the spread of the block keeps the weight of small ones
 * above zero. With activations measured, their mean square multiplies this. */
TIERED void
eng_fit_weights (const float *x, const float *importance, int n, float *w)
{
  Lanes s = { 0 }, total = { 0 };
  for (int i = 0; i < n; i += LANES)
    s += load (x + i) * load (x + i);
  float spread = 2.0f * sum_lanes (s) / (float) n;
  for (int i = 0; i < n; i++)
    w[i] = sqrtf (spread + x[i] * x[i]);
  if (!importance)
    return;
  for (int i = 0; i < n; i += LANES)
    total += load (importance + i) * load (w + i);
  /* Columns that were never active: keep the block defined. */
  float sum = sum_lanes (total);
  if (!(sum > 0.0f) || !isfinite (sum))
    return;
  for (int i = 0; i < n; i += LANES)
    store (w + i, load (importance + i) * load (w + i));
}

TIERED float
eng_fit_max_32 (const float *x)
{
  Lanes max = { 0 };
  float largest = 0.0f;
  for (int i = 0; i < 32; i += LANES)
    {
      Lanes v = (Lanes) ((Mask) load (x + i) & INT32_MAX);
      max = choose (v > max, v, max);
    }
  for (int k = 0; k < LANES; k++)
    largest = max[k] > largest ? max[k] : largest;
  return largest;
}

TIERED void
eng_fit_round_32 (const float *x, float inv, int8_t *q)
{
  int32_t r[32];
  for (int i = 0; i < 32; i++)
    {
      /* The float below one half: adding it and cutting rounds every number as roundf () does. */
      float y = x[i] * inv;
      r[i] = (int32_t) (y + copysignf (0x1.fffffep-2f, y));
    }
  for (int i = 0; i < 32; i++)
    q[i] = (int8_t) r[i];
}

TIERED bool
eng_fit_is_within (const float *x, int n, float limit)
{
  Mask out = { 0 };
  for (int i = 0; i < n; i += LANES)
    {
      Lanes v = load (x + i);
      out |= ~((v <= all (limit)) & (v >= all (-limit)));
    }
  int32_t any = 0;
  for (int k = 0; k < LANES; k++)
    any |= out[k];
  return any == 0;
}

INLINE float
scale_snap (const EngGrid *grid, const float *x, const float *w, int n, float d, float *v)
{
  Lanes s = { 0 };
  float inv = d != 0.0f ? 1.0f / d : 0.0f;
#pragma GCC unroll 4
  for (int i = 0; i < n; i += LANES)
    {
      Lanes y = snap_lanes (grid, load (x + i) * inv), e = load (x + i) - d * y;
      store (v + i, y);
      s += load (w + i) * e * e;
    }
  return sum_lanes (s);
}

TIERED float
eng_scale_snap (const EngGrid *grid, const float *x, const float *w, int n, float d, float *v)
{
  return n == 16 ? scale_snap (grid, x, w, 16, d, v) : scale_snap (grid, x, w, 32, d, v);
}

/* What a trial explains of the weighted energy, (sum w x v)^2 / sum w v^2, and its best scale. */
INLINE float
trial_gain (const EngGrid *grid, const float *x, const float *w, int n, float inv, float *d)
{
  Lanes sx = { 0 }, sv = { 0 };
#pragma GCC unroll 4
  for (int i = 0; i < n; i += LANES)
    {
      Lanes v = snap_lanes (grid, load (x + i) * inv), wv = load (w + i) * v;
      sx += wv * load (x + i);
      sv += wv * v;
    }
  float xv = sum_lanes (sx), vv = sum_lanes (sv);
  if (!(vv > 0.0f))
    return 0.0f;
  *d = xv / vv;
  return xv * *d;
}

INLINE void
range (const float *x, int n, float *min, float *max)
{
  Lanes lo = load (x), hi = lo;
#pragma GCC unroll 4
  for (int i = LANES; i < n; i += LANES)
    {
      Lanes v = load (x + i);
      lo = choose (v < lo, v, lo);
      hi = choose (v > hi, v, hi);
    }
  *min = lo[0];
  *max = hi[0];
#pragma GCC unroll 8
  for (int k = 1; k < LANES; k++)
    {
      *min = lo[k] < *min ? lo[k] : *min;
      *max = hi[k] > *max ? hi[k] : *max;
    }
}

INLINE float
fit_scale (const EngGrid *grid, const float *x, const float *w, int n)
{
  float min, max, best = 0.0f, best_d = 0.0f, d = 0.0f;
  range (x, n, &min, &max);
  max = -min > max ? min : max;
  if (!(fabsf (max) > 1e-30f))
    return 0.0f;
  for (int side = 0; side < 2; side++)
    for (int t = -N_TRIALS; t <= N_TRIALS; t++)
      {
        float end = side ? grid->hi : grid->lo;
        float inv = end * (1.0f + grid->step * (float) t / N_TRIALS) / max;
        float gain = trial_gain (grid, x, w, n, inv, &d);
        if (gain > best)
          {
            best = gain;
            best_d = d;
          }
      }
  for (int t = 0; t < N_REFINE && best_d != 0.0f; t++)
    {
      float gain = trial_gain (grid, x, w, n, 1.0f / best_d, &d);
      if (!(gain > best))
        break;
      best = gain;
      best_d = d;
    }
  return best_d;
}

TIERED float
eng_fit_scale (const EngGrid *grid, const float *x, const float *w, int n)
{
  return n == 16 ? fit_scale (grid, x, w, 16) : fit_scale (grid, x, w, 32);
}

INLINE float
affine_snap (const float *x, const float *w, int n, EngAffine a, float q_max, float *q)
{
  Lanes s = { 0 };
  float inv = a.d != 0.0f ? 1.0f / a.d : 0.0f;
#pragma GCC unroll 4
  for (int i = 0; i < n; i += LANES)
    {
      Lanes y = round_clamped ((load (x + i) - a.m) * inv, 0.0f, q_max);
      Lanes e = load (x + i) - (a.d * y + a.m);
      store (q + i, y);
      s += load (w + i) * e * e;
    }
  return sum_lanes (s);
}

TIERED float
eng_affine_snap (const float *x, const float *w, int n, EngAffine a, float q_max, float *q)
{
  return n == 16 ? affine_snap (x, w, 16, a, q_max, q) : affine_snap (x, w, 32, a, q_max, q);
}

/* Sums that the normal equations need and that do not depend on the codes. */
typedef struct
{
  float w, wx;
} Moments;

INLINE Moments
moments (const float *x, const float *w, int n)
{
  Lanes s = { 0 }, sx = { 0 };
  for (int i = 0; i < n; i += LANES)
    {
      s += load (w + i);
      sx += load (w + i) * load (x + i);
    }
  return (Moments) { sum_lanes (s), sum_lanes (sx) };
}

/* Codes for @a, then the (d, m) that fits these codes best; returns its gain over x = 0:
 * 2 d sum wxq + 2 m sum wx - d^2 sum wqq - 2 d m sum wq - m^2 sum w. */
INLINE float
affine_trial (const float *x, const float *w, int n, Moments mo, EngAffine a, float q_max,
              bool min_is_negative, EngAffine *out)
{
  Lanes s1 = { 0 }, s2 = { 0 }, sx = { 0 };
  float inv = a.d != 0.0f ? 1.0f / a.d : 0.0f;
#pragma GCC unroll 4
  for (int i = 0; i < n; i += LANES)
    {
      Lanes q = round_clamped ((load (x + i) - a.m) * inv, 0.0f, q_max), wq = load (w + i) * q;
      s1 += wq;
      s2 += wq * q;
      sx += wq * load (x + i);
    }
  float wq = sum_lanes (s1), wqq = sum_lanes (s2), wxq = sum_lanes (sx);
  float det = mo.w * wqq - wq * wq, d = 0.0f, m = 0.0f;
  if (det > 1e-6f * mo.w * wqq)
    {
      d = (mo.w * wxq - mo.wx * wq) / det;
      m = (wqq * mo.wx - wq * wxq) / det;
    }
  else if (mo.w > 0.0f)
    m = mo.wx / mo.w;
  if (min_is_negative && m > 0.0f)
    {
      m = 0.0f;
      d = wqq > 0.0f ? wxq / wqq : 0.0f;
    }
  if (d < 0.0f)
    d = 0.0f;
  *out = (EngAffine) { d, m };
  return d * (2.0f * wxq - d * wqq - 2.0f * m * wq) + m * (2.0f * mo.wx - m * mo.w);
}

INLINE EngAffine
fit_affine (const float *x, const float *w, int n, float q_max, bool min_is_negative)
{
  float min, max, best;
  range (x, n, &min, &max);
  if (min_is_negative && min > 0.0f)
    min = 0.0f;
  if (min_is_negative && max < 0.0f)
    max = 0.0f;
  if (!(max - min > 1e-30f))
    return (EngAffine) { 0.0f, min };
  Moments mo = moments (x, w, n);
  EngAffine start = { (max - min) / q_max, min }, best_fit = start, fit;
  best = affine_trial (x, w, n, mo, start, q_max, min_is_negative, &best_fit);
  /* Steps smaller and larger than the range asks for; coarser grids gain most from the former. Then the neighbours of
   * the best step, with the offset a quarter step up and down. */
  float best_step = 0.0f;
  for (int t = -10; t <= 8; t += 2)
    {
      EngAffine trial = { (max - min) / (q_max + 0.1f * (float) t), min };
      float gain = affine_trial (x, w, n, mo, trial, q_max, min_is_negative, &fit);
      if (gain > best)
        {
          best = gain;
          best_fit = fit;
          best_step = 0.1f * (float) t;
        }
    }
  for (int k = 0; k < 4; k++)
    {
      EngAffine trial = { (max - min) / (q_max + best_step + (k < 2 ? -0.1f : 0.1f)), min };
      trial.m += (k % 2 ? 0.25f : -0.25f) * trial.d;
      float gain = affine_trial (x, w, n, mo, trial, q_max, min_is_negative, &fit);
      if (gain > best)
        {
          best = gain;
          best_fit = fit;
        }
    }
  for (int t = 0; t < N_REFINE && best_fit.d > 0.0f; t++)
    {
      float gain = affine_trial (x, w, n, mo, best_fit, q_max, min_is_negative, &fit);
      if (!(gain > best))
        break;
      best = gain;
      best_fit = fit;
    }
  return best_fit;
}

TIERED EngAffine
eng_fit_affine (const float *x, const float *w, int n, float q_max, bool min_is_negative)
{
  return n == 16 ? fit_affine (x, w, 16, q_max, min_is_negative) : fit_affine (x, w, 32, q_max, min_is_negative);
}
