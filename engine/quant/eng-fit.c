/* SPDX-License-Identifier: Apache-2.0 */
/* Weighted least squares over a list of trial scales: for each, round the numbers to codes, solve
 * for the scale (and offset) that is best for these codes, keep the best; then alternate the two
 * steps from there. Rounding first and solving second never makes the error larger, so the result is
 * at least as good as the best trial. */
#include "eng-fit-private.h"

#include <math.h>

#define LANES 8
/* Adding and subtracting 1.5 * 2^23 rounds a float of magnitude below 2^22 to the nearest integer,
 * ties to even, in any vector unit. */
#define ROUND_MAGIC 12582912.0f
#define N_TRIALS 9  /* on either side of the extreme */
#define N_REFINE 4

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define TIERED __attribute__ ((target_clones ("avx2", "default")))
#else
#define TIERED
#endif

static inline float
sum_lanes (const float s[LANES])
{
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static inline float
clamp (float x, float lo, float hi)
{
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

static inline float
round_clamped (float x, float lo, float hi)
{
  return (clamp (x, lo, hi) + ROUND_MAGIC) - ROUND_MAGIC;
}

static inline void
snap (const EngGrid *grid, const float *x, float inv, int n, float *v)
{
  if (!grid->values)
    {
      for (int i = 0; i < n; i++)
        v[i] = round_clamped (x[i] * inv, grid->lo, grid->hi);
      return;
    }
  for (int i = 0; i < n; i++)
    v[i] = grid->lo;
  for (int k = 1; k < grid->n_values; k++)
    {
      float low = grid->values[k - 1], high = grid->values[k], border = (low + high) * 0.5f;
      for (int i = 0; i < n; i++)
        v[i] = x[i] * inv > border ? high : v[i];
    }
}

TIERED void
eng_grid_snap (const EngGrid *grid, const float *x, float inv, int n, float *v)
{
  snap (grid, x, inv, n, v);
}

static inline float
sum3 (const float *a, const float *b, const float *c, int n)
{
  float s[LANES] = { 0 };
  for (int i = 0; i < n; i += LANES)
    for (int k = 0; k < LANES; k++)
      s[k] += a[i + k] * b[i + k] * c[i + k];
  return sum_lanes (s);
}

TIERED float
eng_fit_sum3 (const float *a, const float *b, const float *c, int n)
{
  return sum3 (a, b, c, n);
}

TIERED float
eng_scale_snap (const EngGrid *grid, const float *x, const float *w, int n, float d, float *v)
{
  float s[LANES] = { 0 };
  snap (grid, x, d != 0.0f ? 1.0f / d : 0.0f, n, v);
  for (int i = 0; i < n; i += LANES)
    for (int k = 0; k < LANES; k++)
      {
        float e = x[i + k] - d * v[i + k];
        s[k] += w[i + k] * e * e;
      }
  return sum_lanes (s);
}

/* What a trial explains of the weighted energy, (sum w x v)^2 / sum w v^2, and its best scale. */
static inline float
trial_gain (const EngGrid *grid, const float *x, const float *w, int n, float inv, float *d)
{
  float v[ENG_FIT_MAX];
  snap (grid, x, inv, n, v);
  float xv = sum3 (w, x, v, n), vv = sum3 (w, v, v, n);
  if (!(vv > 0.0f))
    return 0.0f;
  *d = xv / vv;
  return xv * *d;
}

static inline float
extreme (const float *x, int n)
{
  float max = 0.0f;
  for (int i = 0; i < n; i++)
    if (fabsf (x[i]) > fabsf (max))
      max = x[i];
  return max;
}

TIERED float
eng_fit_scale (const EngGrid *grid, const float *x, const float *w, int n)
{
  float max = extreme (x, n), best = 0.0f, best_d = 0.0f, d = 0.0f;
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
eng_affine_snap (const float *x, const float *w, int n, EngAffine a, float q_max, float *q)
{
  float s[LANES] = { 0 }, inv = a.d != 0.0f ? 1.0f / a.d : 0.0f;
  for (int i = 0; i < n; i++)
    q[i] = round_clamped ((x[i] - a.m) * inv, 0.0f, q_max);
  for (int i = 0; i < n; i += LANES)
    for (int k = 0; k < LANES; k++)
      {
        float e = x[i + k] - (a.d * q[i + k] + a.m);
        s[k] += w[i + k] * e * e;
      }
  return sum_lanes (s);
}

/* Sums that the normal equations need and that do not depend on the codes. */
typedef struct
{
  float w, wx;
} Moments;

static inline Moments
moments (const float *x, const float *w, int n)
{
  float s[LANES] = { 0 }, sx[LANES] = { 0 };
  for (int i = 0; i < n; i += LANES)
    for (int k = 0; k < LANES; k++)
      {
        s[k] += w[i + k];
        sx[k] += w[i + k] * x[i + k];
      }
  return (Moments) { sum_lanes (s), sum_lanes (sx) };
}

/* Codes for @a, then the (d, m) that fits these codes best; returns its gain over x = 0:
 * 2 d sum wxq + 2 m sum wx - d^2 sum wqq - 2 d m sum wq - m^2 sum w. */
static inline float
affine_trial (const float *x, const float *w, int n, Moments mo, EngAffine a, float q_max,
              bool min_is_negative, EngAffine *out)
{
  float q[ENG_FIT_MAX], s1[LANES] = { 0 }, s2[LANES] = { 0 }, sx[LANES] = { 0 };
  float inv = a.d != 0.0f ? 1.0f / a.d : 0.0f;
  for (int i = 0; i < n; i++)
    q[i] = round_clamped ((x[i] - a.m) * inv, 0.0f, q_max);
  for (int i = 0; i < n; i += LANES)
    for (int k = 0; k < LANES; k++)
      {
        float wq = w[i + k] * q[i + k];
        s1[k] += wq;
        s2[k] += wq * q[i + k];
        sx[k] += wq * x[i + k];
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

TIERED EngAffine
eng_fit_affine (const float *x, const float *w, int n, float q_max, bool min_is_negative)
{
  float min = x[0], max = x[0], best;
  for (int i = 1; i < n; i++)
    {
      min = x[i] < min ? x[i] : min;
      max = x[i] > max ? x[i] : max;
    }
  if (min_is_negative && min > 0.0f)
    min = 0.0f;
  if (min_is_negative && max < 0.0f)
    max = 0.0f;
  if (!(max - min > 1e-30f))
    return (EngAffine) { 0.0f, min };
  Moments mo = moments (x, w, n);
  EngAffine start = { (max - min) / q_max, min }, best_fit = start, fit;
  best = affine_trial (x, w, n, mo, start, q_max, min_is_negative, &best_fit);
  /* Steps smaller and larger than the range asks for; coarser grids gain most from the former. */
  for (int t = -10; t <= 9; t++)
    for (int shift = -1; shift <= 1; shift++)
      {
        EngAffine trial = { (max - min) / (q_max + 0.1f * (float) t), min };
        trial.m += 0.25f * (float) shift * trial.d;
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
