/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding. The order of the float operations is part of the contract (products of scales first,
 * one rounding each): the folder is compiled with -ffp-contract=off so that it stays so. */
#include <math.h>

#include "eng-block.h"
#include "eng-half.h"
#include "eng-quant.h"

static const int8_t iq4_values[16] = ENG_IQ4_VALUES;
static const int8_t mxfp4_values[16] = ENG_MXFP4_VALUES;

static void
decode_f32 (const void *src, float *y, size_t n)
{
  memcpy (y, src, n * sizeof *y);
}

/* Tensors of a safetensors file may start at an odd address. */
static inline uint16_t
load_u16 (const void *src, size_t i)
{
  uint16_t v;
  memcpy (&v, (const uint8_t *) src + 2 * i, sizeof v);
  return v;
}

static void
decode_f16 (const void *src, float *y, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = eng_f16_to_f32 (load_u16 (src, i));
}

static void
decode_bf16 (const void *src, float *y, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = eng_bf16_to_f32 (load_u16 (src, i));
}

static void
decode_q4_0 (const void *src, float *y, size_t n)
{
  const EngBlockQ4_0 *b = src;
  for (size_t i = 0; i < n; i += 32, b++)
    {
      float d = eng_f16_to_f32 (b->d);
      for (int j = 0; j < 16; j++)
        {
          y[i + j] = d * (float) ((b->qs[j] & 15) - 8);
          y[i + j + 16] = d * (float) ((b->qs[j] >> 4) - 8);
        }
    }
}

static void
decode_q4_1 (const void *src, float *y, size_t n)
{
  const EngBlockQ4_1 *b = src;
  for (size_t i = 0; i < n; i += 32, b++)
    {
      float d = eng_f16_to_f32 (b->d), m = eng_f16_to_f32 (b->m);
      for (int j = 0; j < 16; j++)
        {
          y[i + j] = d * (float) (b->qs[j] & 15) + m;
          y[i + j + 16] = d * (float) (b->qs[j] >> 4) + m;
        }
    }
}

static uint32_t
load_u32 (const uint8_t p[4])
{
  uint32_t v;
  memcpy (&v, p, sizeof v);
  return v;
}

static void
decode_q5_0 (const void *src, float *y, size_t n)
{
  const EngBlockQ5_0 *b = src;
  for (size_t i = 0; i < n; i += 32, b++)
    {
      float d = eng_f16_to_f32 (b->d);
      uint32_t h = load_u32 (b->qh);
      for (int j = 0; j < 16; j++)
        {
          y[i + j] = d * (float) ((int) ((b->qs[j] & 15u) | (h >> j & 1) << 4) - 16);
          y[i + j + 16] = d * (float) ((int) ((b->qs[j] >> 4) | (h >> (j + 16) & 1) << 4) - 16);
        }
    }
}

static void
decode_q5_1 (const void *src, float *y, size_t n)
{
  const EngBlockQ5_1 *b = src;
  for (size_t i = 0; i < n; i += 32, b++)
    {
      float d = eng_f16_to_f32 (b->d), m = eng_f16_to_f32 (b->m);
      uint32_t h = load_u32 (b->qh);
      for (int j = 0; j < 16; j++)
        {
          y[i + j] = d * (float) ((b->qs[j] & 15u) | (h >> j & 1) << 4) + m;
          y[i + j + 16] = d * (float) ((b->qs[j] >> 4) | (h >> (j + 16) & 1) << 4) + m;
        }
    }
}

static void
decode_q8_0 (const void *src, float *y, size_t n)
{
  const EngBlockQ8_0 *b = src;
  for (size_t i = 0; i < n; i += 32, b++)
    {
      float d = eng_f16_to_f32 (b->d);
      for (int j = 0; j < 32; j++)
        y[i + j] = d * (float) b->qs[j];
    }
}

static void
decode_q2_k (const void *src, float *y, size_t n)
{
  const EngBlockQ2K *b = src;
  for (size_t i = 0; i < n; i += 256, b++)
    {
      float d = eng_f16_to_f32 (b->d), dmin = eng_f16_to_f32 (b->dmin);
      for (unsigned e = 0; e < 256; e++)
        {
          unsigned sc = b->scales[e / 16];
          unsigned q = b->qs[e / 128 * 32 + e % 32] >> (e % 128 / 32 * 2) & 3;
          float scale = d * (float) (sc & 15), min = dmin * (float) (sc >> 4);
          y[i + e] = scale * (float) q - min;
        }
    }
}

static int
q3_k_scale (const uint8_t scales[12], unsigned g)
{
  unsigned low = g < 8 ? scales[g] & 15u : scales[g - 8] >> 4;
  unsigned high = scales[8 + g % 4] >> (g / 4 * 2) & 3;
  return (int) (low | high << 4) - 32;
}

static void
decode_q3_k (const void *src, float *y, size_t n)
{
  const EngBlockQ3K *b = src;
  for (size_t i = 0; i < n; i += 256, b++)
    {
      float d = eng_f16_to_f32 (b->d);
      for (unsigned g = 0; g < 16; g++)
        {
          float scale = d * (float) q3_k_scale (b->scales, g);
          for (unsigned e = g * 16; e < g * 16 + 16; e++)
            {
              int low = b->qs[e / 128 * 32 + e % 32] >> (e % 128 / 32 * 2) & 3;
              int high = b->hmask[e % 32] >> (e / 32) & 1;
              y[i + e] = scale * (float) (low + high * 4 - 4);
            }
        }
    }
}

static void
decode_q4_k (const void *src, float *y, size_t n)
{
  const EngBlockQ4K *b = src;
  for (size_t i = 0; i < n; i += 256, b++)
    {
      float d = eng_f16_to_f32 (b->d), dmin = eng_f16_to_f32 (b->dmin);
      for (unsigned g = 0; g < 8; g++)
        {
          uint8_t s, m;
          eng_scale_min_get (b->scales, g, &s, &m);
          float scale = d * (float) s, min = dmin * (float) m;
          const uint8_t *q = b->qs + g / 2 * 32;
          for (unsigned l = 0; l < 32; l++)
            y[i + g * 32 + l] = scale * (float) (q[l] >> (g % 2 * 4) & 15) - min;
        }
    }
}

static void
decode_q5_k (const void *src, float *y, size_t n)
{
  const EngBlockQ5K *b = src;
  for (size_t i = 0; i < n; i += 256, b++)
    {
      float d = eng_f16_to_f32 (b->d), dmin = eng_f16_to_f32 (b->dmin);
      for (unsigned g = 0; g < 8; g++)
        {
          uint8_t s, m;
          eng_scale_min_get (b->scales, g, &s, &m);
          float scale = d * (float) s, min = dmin * (float) m;
          const uint8_t *q = b->qs + g / 2 * 32;
          for (unsigned l = 0; l < 32; l++)
            {
              unsigned code = (q[l] >> (g % 2 * 4) & 15u) | (b->qh[l] >> g & 1u) << 4;
              y[i + g * 32 + l] = scale * (float) code - min;
            }
        }
    }
}

static void
decode_q6_k (const void *src, float *y, size_t n)
{
  const EngBlockQ6K *b = src;
  for (size_t i = 0; i < n; i += 256, b++)
    {
      float d = eng_f16_to_f32 (b->d);
      for (unsigned g = 0; g < 16; g++)
        {
          float scale = d * (float) b->scales[g];
          unsigned h = g / 8, k = g % 8 / 2;
          for (unsigned l = g % 2 * 16; l < g % 2 * 16 + 16; l++)
            {
              int low = b->ql[64 * h + k % 2 * 32 + l] >> (k / 2 * 4) & 15;
              int high = b->qh[32 * h + l] >> (2 * k) & 3;
              y[i + 128 * h + 32 * k + l] = scale * (float) ((low | high << 4) - 32);
            }
        }
    }
}

static void
decode_iq4_nl (const void *src, float *y, size_t n)
{
  const EngBlockIq4Nl *b = src;
  for (size_t i = 0; i < n; i += 32, b++)
    {
      float d = eng_f16_to_f32 (b->d);
      for (int j = 0; j < 16; j++)
        {
          y[i + j] = d * (float) iq4_values[b->qs[j] & 15];
          y[i + j + 16] = d * (float) iq4_values[b->qs[j] >> 4];
        }
    }
}

static void
decode_iq4_xs (const void *src, float *y, size_t n)
{
  const EngBlockIq4Xs *b = src;
  for (size_t i = 0; i < n; i += 256, b++)
    {
      float d = eng_f16_to_f32 (b->d);
      for (unsigned g = 0; g < 8; g++)
        {
          int low = b->scales_l[g / 2] >> (g % 2 * 4) & 15, high = b->scales_h >> (2 * g) & 3;
          float scale = d * (float) ((low | high << 4) - 32);
          for (unsigned j = 0; j < 16; j++)
            {
              uint8_t q = b->qs[16 * g + j];
              y[i + 32 * g + j] = scale * (float) iq4_values[q & 15];
              y[i + 32 * g + j + 16] = scale * (float) iq4_values[q >> 4];
            }
        }
    }
}

static void
decode_mxfp4 (const void *src, float *y, size_t n)
{
  const EngBlockMxfp4 *b = src;
  for (size_t i = 0; i < n; i += 32, b++)
    {
      float d = ldexpf (1.0f, b->e - 128); /* exact, subnormal for the two smallest */
      for (int j = 0; j < 16; j++)
        {
          y[i + j] = d * (float) mxfp4_values[b->qs[j] & 15];
          y[i + j + 16] = d * (float) mxfp4_values[b->qs[j] >> 4];
        }
    }
}

typedef void (*Decoder) (const void *src, float *dst, size_t n);
static const Decoder decoders[ENG_TYPE_LIMIT] = {
  [ENG_TYPE_F32] = decode_f32,       [ENG_TYPE_F16] = decode_f16,
  [ENG_TYPE_BF16] = decode_bf16,     [ENG_TYPE_Q4_0] = decode_q4_0,
  [ENG_TYPE_Q4_1] = decode_q4_1,     [ENG_TYPE_Q5_0] = decode_q5_0,
  [ENG_TYPE_Q5_1] = decode_q5_1,     [ENG_TYPE_Q8_0] = decode_q8_0,
  [ENG_TYPE_Q2_K] = decode_q2_k,     [ENG_TYPE_Q3_K] = decode_q3_k,
  [ENG_TYPE_Q4_K] = decode_q4_k,     [ENG_TYPE_Q5_K] = decode_q5_k,
  [ENG_TYPE_Q6_K] = decode_q6_k,     [ENG_TYPE_IQ4_NL] = decode_iq4_nl,
  [ENG_TYPE_IQ4_XS] = decode_iq4_xs, [ENG_TYPE_MXFP4] = decode_mxfp4,
};

EngStatus
eng_dequantize_row (EngType type, const void *src, float *dst, size_t n)
{
  Decoder decode = (unsigned) type < ENG_TYPE_LIMIT ? decoders[type] : NULL;
  if (!decode)
    return ENG_ERR_UNSUPPORTED;
  decode (src, dst, n);
  return ENG_OK;
}

/* Where the f16 scales stand in a block. */
typedef struct
{
  uint8_t n, at[2];
} ScalePlaces;

static ScalePlaces
scale_places (EngType type)
{
  switch (type)
    {
    case ENG_TYPE_Q4_0:
    case ENG_TYPE_Q5_0:
    case ENG_TYPE_Q8_0:
    case ENG_TYPE_IQ4_NL:
    case ENG_TYPE_IQ4_XS:
      return (ScalePlaces) { 1, { 0 } };
    case ENG_TYPE_Q4_1:
    case ENG_TYPE_Q5_1:
    case ENG_TYPE_Q4_K:
    case ENG_TYPE_Q5_K:
      return (ScalePlaces) { 2, { 0, 2 } };
    case ENG_TYPE_Q2_K:
      return (ScalePlaces) { 2, { offsetof (EngBlockQ2K, d), offsetof (EngBlockQ2K, dmin) } };
    case ENG_TYPE_Q3_K:
      return (ScalePlaces) { 1, { offsetof (EngBlockQ3K, d) } };
    case ENG_TYPE_Q6_K:
      return (ScalePlaces) { 1, { offsetof (EngBlockQ6K, d) } };
    default:
      return (ScalePlaces) { 0 };
    }
}

/* Written so that compilers make vectors of them: whole files are looked at while they load. */
static bool
halves_are_finite (const uint8_t *src, size_t n, uint16_t exponent)
{
  unsigned bad = 0;
  for (size_t i = 0; i < n; i++)
    {
      uint16_t h;
      memcpy (&h, src + 2 * i, sizeof h);
      bad |= (h & exponent) == exponent;
    }
  return !bad;
}

static bool
floats_are_finite (const uint8_t *src, size_t n)
{
  unsigned bad = 0;
  for (size_t i = 0; i < n; i++)
    {
      uint32_t f;
      memcpy (&f, src + 4 * i, sizeof f);
      bad |= (f & 0x7f800000) == 0x7f800000;
    }
  return !bad;
}

static bool
row_is_finite (EngType type, ScalePlaces places, const EngTypeInfo *info, const uint8_t *row, size_t n_cols)
{
  if (type == ENG_TYPE_F32)
    return floats_are_finite (row, n_cols);
  if (type == ENG_TYPE_F16 || type == ENG_TYPE_BF16)
    return halves_are_finite (row, n_cols, type == ENG_TYPE_F16 ? 0x7c00 : 0x7f80);
  unsigned bad = 0;
  for (size_t b = 0; b < n_cols / info->block_elements; b++, row += info->block_bytes)
    {
      for (int k = 0; k < places.n; k++)
        {
          uint16_t h;
          memcpy (&h, row + places.at[k], sizeof h);
          bad |= (h & 0x7c00) == 0x7c00;
        }
      bad |= type == ENG_TYPE_MXFP4 && *row == 255; /* E8M0's NaN */
    }
  return !bad;
}

bool
eng_quant_rows_are_finite (EngType type, const void *src, size_t n_rows, size_t n_cols,
                           size_t *bad_row)
{
  const EngTypeInfo *info = eng_type_get_info (type);
  if (!info || !info->is_weight)
    return true;
  ScalePlaces places = scale_places (type);
  size_t row_bytes = n_cols / info->block_elements * info->block_bytes;
  for (size_t r = 0; r < n_rows; r++)
    if (!row_is_finite (type, places, info, (const uint8_t *) src + r * row_bytes, n_cols))
      {
        *bad_row = r;
        return false;
      }
  return true;
}
