/* SPDX-License-Identifier: Apache-2.0 */
/* The gated delta rule for slices of 32 columns, in registers of the tier's width (eng-simd-*.h). The matrix goes
 * through the registers once a row: what the next row's key sees of it is summed up while this row changes it. */
#include "ref/eng-ref-delta.h"

#define N (ENG_DELTA_COLUMNS / ENG_P)

/* seen = S^T k */
INLINE void
see (const EngDelta *d, const float *k, VF seen[N])
{
  for (size_t j = 0; j < N; j++)
    seen[j] = vf_zero ();
  for (size_t i = 0; i < d->n_k; i++)
    {
      VF b = vf_set (k[i]);
      for (size_t j = 0; j < N; j++)
        seen[j] = vf_fma (vf_load (d->s + i * ENG_DELTA_COLUMNS + j * ENG_P), b, seen[j]);
    }
}

/* One row; @next is the key of the row behind it, or NULL. */
INLINE void
step_row (const EngDelta *d, size_t r, const float *next, VF seen[N])
{
  const float *q = d->q + r * d->stride, *k = d->k + r * d->stride, *v = d->v + r * d->stride;
  VF decay = vf_set (d->decay[r * d->rate_stride]), rate = vf_set (d->rate[r * d->rate_stride]);
  VF minus = vf_set (-d->decay[r * d->rate_stride]), change[N], out[N];
  for (size_t j = 0; j < N; j++)
    {
      change[j] = vf_mul (rate, vf_fma (minus, seen[j], vf_load (v + j * ENG_P)));
      out[j] = vf_zero ();
      seen[j] = vf_zero ();
    }
  for (size_t i = 0; i < d->n_k; i++)
    {
      VF bk = vf_set (k[i]), bq = vf_set (q[i]), bn = vf_set (next ? next[i] : 0.0f);
      float *row = d->s + i * ENG_DELTA_COLUMNS;
      for (size_t j = 0; j < N; j++)
        {
          VF s = vf_fma (bk, change[j], vf_mul (decay, vf_load (row + j * ENG_P)));
          vf_store (row + j * ENG_P, s);
          out[j] = vf_fma (s, bq, out[j]);
          if (next)
            seen[j] = vf_fma (s, bn, seen[j]);
        }
    }
  for (size_t j = 0; j < N; j++)
    vf_store (d->out + r * d->out_stride + j * ENG_P, out[j]);
}

static void
delta (const EngDelta *d)
{
  if (d->n_v != ENG_DELTA_COLUMNS)
    {
      eng_delta_plain (d);
      return;
    }
  VF seen[N];
  if (d->n_rows > 0)
    see (d, d->k, seen);
  for (size_t r = 0; r + 1 < d->n_rows; r++)
    step_row (d, r, d->k + (r + 1) * d->stride, seen);
  if (d->n_rows > 0)
    step_row (d, d->n_rows - 1, NULL, seen);
}
