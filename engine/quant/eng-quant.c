/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding rows: checks, weights, and the loop over blocks. */
#include "eng-quant.h"

#include <inttypes.h>
#include <math.h>

#include "eng-quant-private.h"

typedef bool (*Encoder) (const float *x, const float *w, void *block);
static const Encoder encoders[ENG_TYPE_LIMIT] = {
  [ENG_TYPE_Q4_0] = eng_encode_q4_0,     [ENG_TYPE_Q4_1] = eng_encode_q4_1,
  [ENG_TYPE_Q5_0] = eng_encode_q5_0,     [ENG_TYPE_Q5_1] = eng_encode_q5_1,
  [ENG_TYPE_Q8_0] = eng_encode_q8_0,     [ENG_TYPE_Q2_K] = eng_encode_q2_k,
  [ENG_TYPE_Q3_K] = eng_encode_q3_k,     [ENG_TYPE_Q4_K] = eng_encode_q4_k,
  [ENG_TYPE_Q5_K] = eng_encode_q5_k,     [ENG_TYPE_Q6_K] = eng_encode_q6_k,
  [ENG_TYPE_IQ4_NL] = eng_encode_iq4_nl, [ENG_TYPE_IQ4_XS] = eng_encode_iq4_xs,
  [ENG_TYPE_MXFP4] = eng_encode_mxfp4,
};

static EngStatus
fail_at (EngError *error, uint64_t i, const char *what)
{
  return eng_error_set (error, ENG_ERR_FORMAT, NULL, i, "element %" PRIu64 " %s", i, what);
}

/* No block format reaches further: 127 times the largest binary16 scale. */
#define MAX_MAGNITUDE (127.0f * 65504.0f)

static EngStatus
check_block (const float *x, size_t n, uint64_t base, EngError *error)
{
  if (eng_fit_is_within (x, (int) n, MAX_MAGNITUDE))
    return ENG_OK;
  for (size_t i = 0; i < n; i++)
    if (!(fabsf (x[i]) <= MAX_MAGNITUDE))
      return fail_at (error, base + i,
                      isnan (x[i])   ? "is not a number"
                      : isinf (x[i]) ? "is infinite"
                                     : "is too large for this type");
  return ENG_OK;
}

static EngStatus
encode_16 (EngType type, const float *x, uint16_t *dst, size_t n, EngError *error)
{
  for (size_t i = 0; i < n; i++)
    {
      if (!isfinite (x[i]))
        return fail_at (error, i, isnan (x[i]) ? "is not a number" : "is infinite");
      dst[i] = type == ENG_TYPE_F16 ? eng_f32_to_f16 (x[i]) : eng_f32_to_bf16 (x[i]);
      if (type == ENG_TYPE_F16 && !eng_half_is_finite (dst[i]))
        return fail_at (error, i, "is too large for F16");
    }
  return ENG_OK;
}

EngStatus
eng_quantize_rows (EngType type, const float *src, void *dst, size_t n_rows, size_t n_cols,
                   const float *importance, EngError *error)
{
  const EngTypeInfo *info = eng_type_get_info (type);
  uint8_t *block = dst;
  if (!info || !info->is_weight)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, NULL, ENG_OFFSET_NONE,
                          "%s is no format of weights", eng_type_get_name (type));
  if (n_cols == 0 || n_cols % info->block_elements != 0)
    return eng_error_set (error, ENG_ERR_ARGUMENT, NULL, ENG_OFFSET_NONE,
                          "rows of %zu numbers do not fit blocks of %s", n_cols, info->name);
  if (type == ENG_TYPE_F32)
    {
      memcpy (dst, src, n_rows * n_cols * sizeof *src);
      return ENG_OK;
    }
  if (type == ENG_TYPE_F16 || type == ENG_TYPE_BF16)
    return encode_16 (type, src, dst, n_rows * n_cols, error);
  for (size_t i = 0; i < n_rows * n_cols; i += info->block_elements, block += info->block_bytes)
    {
      float w[256];
      EngStatus status = check_block (src + i, info->block_elements, i, error);
      if (status != ENG_OK)
        return status;
      if (type != ENG_TYPE_Q8_0)
        eng_fit_weights (src + i, importance ? importance + i % n_cols : NULL,
                         (int) info->block_elements, w);
      if (!encoders[type](src + i, w, block))
        return fail_at (error, i, "belongs to a block too large for this type");
    }
  return ENG_OK;
}
