/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-cpu-private.h"

#include "eng-quant.h"

void
eng_cpu_product (const EngBound *bound, const EngCpuWeight *w, uint32_t slice, uint64_t j0,
                 uint64_t j1, const float *x, size_t x_stride, uint32_t n_rows, float *y,
                 size_t y_stride, float *scratch)
{
  const EngKernels *k = bound->kernels;
  const uint8_t *raw = w->raw + slice * w->slice_bytes;
  for (uint64_t j = j0; j < j1; j++)
    {
      const float *row = (const float *) (const void *) (raw + j * w->row_bytes);
      if (w->type != ENG_TYPE_F32)
        {
          eng_dequantize_row (w->type, raw + j * w->row_bytes, scratch, w->n_cols);
          row = scratch;
        }
      for (uint32_t r = 0; r < n_rows; r++)
        y[r * y_stride + (j - j0)] = k->dot (row, x + r * x_stride, w->n_cols);
    }
}
