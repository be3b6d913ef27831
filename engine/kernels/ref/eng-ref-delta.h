/* SPDX-License-Identifier: Apache-2.0 */
/* The gated delta rule (arXiv:2412.06464) row by row, as written: the reference, and what tiers do for slices of
 * fewer columns than theirs. */
#pragma once

#include "eng-kernels.h"

static inline void
eng_delta_plain (const EngDelta *d)
{
  for (size_t r = 0; r < d->n_rows; r++)
    {
      const float *q = d->q + r * d->stride, *k = d->k + r * d->stride, *v = d->v + r * d->stride;
      float decay = d->decay[r * d->rate_stride], rate = d->rate[r * d->rate_stride];
      for (size_t j = 0; j < d->n_v; j++)
        {
          float seen = 0.0f, out = 0.0f;
          for (size_t i = 0; i < d->n_k; i++)
            {
              d->s[i * d->n_v + j] *= decay;
              seen += d->s[i * d->n_v + j] * k[i];
            }
          float change = rate * (v[j] - seen);
          for (size_t i = 0; i < d->n_k; i++)
            {
              d->s[i * d->n_v + j] += k[i] * change;
              out += d->s[i * d->n_v + j] * q[i];
            }
          d->out[r * d->out_stride + j] = out;
        }
    }
}
