/* SPDX-License-Identifier: Apache-2.0 */
/* Scores and mixtures of keys and values of half precision and of 8 bits against double sums. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "eng-half.h"

#define EPS 0x1p-24

static void
fill_halves (uint16_t *h, size_t n)
{
  for (size_t i = 0; i < n; i++)
    h[i] = eng_f32_to_f16 (check_uniform () * (i % 9 == 4 ? 30.0f : i % 11 == 5 ? 1e-6f : 1.0f));
}

/* Keys or values of either kind, in memory that ends where they do. */
typedef struct
{
  bool is_codes;
  uint16_t *halves; /* or the codes' scales */
  int8_t *codes;
} Numbers;

static Numbers
make_numbers (bool is_codes, size_t n, size_t n_scales)
{
  Numbers x = { is_codes, check_guarded ((is_codes ? n_scales : n) * 2), NULL };
  fill_halves (x.halves, is_codes ? n_scales : n);
  if (is_codes)
    x.codes = check_guarded (n);
  for (size_t i = 0; is_codes && i < n; i++)
    x.codes[i] = i % 13 == 3 ? -128 : (int8_t) (check_random () >> 56);
  return x;
}

static double
number_at (Numbers x, size_t i, size_t i_scale)
{
  double half = eng_f16_to_f32 (x.halves[x.is_codes ? i_scale : i]);
  return x.is_codes ? x.codes[i] * half : half;
}

static void
check_score (const EngKernels *k, bool is_codes, size_t width, size_t n_q)
{
  const char *what = is_codes ? "score_codes" : "score";
  size_t q_stride = width + 3, s_stride = ENG_KEY_GROUP + 5;
  Numbers keys = make_numbers (is_codes, width * ENG_KEY_GROUP, ENG_KV_SCALES (width) * ENG_KEY_GROUP);
  float *q = check_guarded ((q_stride * (n_q - 1) + width) * 4);
  float *y = check_output ((s_stride * (n_q - 1) + ENG_KEY_GROUP) * 4, 4);
  check_fill (q, q_stride * (n_q - 1) + width, VALUES_RANDOM);
  if (is_codes)
    k->score_codes (keys.codes, keys.halves, width, q, q_stride, n_q, y, s_stride);
  else
    k->score (keys.halves, width, q, q_stride, n_q, y, s_stride);
  for (size_t i = 0; i < n_q; i++)
    for (size_t p = 0; p < ENG_KEY_GROUP; p++)
      {
        double want = 0, size = 0;
        for (size_t c = 0; c < width; c++)
          {
            double a = q[i * q_stride + c] * number_at (keys, c * ENG_KEY_GROUP + p, c / 32 * ENG_KEY_GROUP + p);
            want += a;
            size += fabs (a);
          }
        if (!check_near (y[i * s_stride + p], want, size * EPS * ((double) width + 2)))
          CHECK_FAILED ("%s width %zu query %zu of %zu at %zu: %g, expected %g", what, width, i, n_q, p,
                        y[i * s_stride + p], want);
      }
  if (!check_free_all ())
    CHECK_FAILED ("%s width %zu of %zu wrote outside its output", what, width, n_q);
}

static void
check_mix (const EngKernels *k, bool is_codes, size_t width, size_t n_q, size_t n_positions)
{
  const char *what = is_codes ? "mix_codes" : "mix";
  size_t w_stride = n_positions + 1, o_stride = width + 3, n_scales = ENG_KV_SCALES (width);
  Numbers values = make_numbers (is_codes, width * n_positions, n_scales * n_positions);
  float *w = check_guarded ((w_stride * (n_q - 1) + n_positions) * 4);
  size_t n_out = o_stride * (n_q - 1) + width;
  float *y = check_output (n_out * 4, 8), *before = malloc (n_out * 4);
  check_fill (w, w_stride * (n_q - 1) + n_positions, VALUES_RANDOM);
  check_fill (y, n_out, VALUES_RANDOM);
  memcpy (before, y, n_out * 4);
  if (is_codes)
    k->mix_codes (values.codes, values.halves, width, n_positions, w, w_stride, n_q, y, o_stride);
  else
    k->mix (values.halves, width, n_positions, w, w_stride, n_q, y, o_stride);
  for (size_t i = 0; i < n_q; i++)
    for (size_t c = 0; c < o_stride && i * o_stride + c < n_out; c++)
      {
        double want = before[i * o_stride + c], size = fabs (want);
        for (size_t p = 0; c < width && p < n_positions; p++)
          {
            double a = w[i * w_stride + p] * number_at (values, p * width + c, p * n_scales + c / 32);
            want += a;
            size += fabs (a);
          }
        if (!check_near (y[i * o_stride + c], want, size * EPS * ((double) n_positions + 2)))
          CHECK_FAILED ("%s width %zu of %zu positions, query %zu of %zu at %zu: %g, expected %g", what,
                        width, n_positions, i, n_q, c, y[i * o_stride + c], want);
      }
  free (before);
  if (!check_free_all ())
    CHECK_FAILED ("%s width %zu of %zu wrote outside its output", what, width, n_q);
}

static void
check_turn_keys (const EngKernels *k, size_t n, size_t more)
{
  if (n == 0 || n > 4096) /* never longer; tells the compiler so */
    return;
  size_t stride = n + more, n_out = stride * (ENG_KEY_GROUP - 1) + n;
  uint16_t *keys = check_guarded (n * ENG_KEY_GROUP * 2), *rows = check_output (n_out * 2, 2), *before = malloc (n_out * 2);
  for (size_t i = 0; i < n * ENG_KEY_GROUP; i++)
    keys[i] = (uint16_t) check_random ();
  memcpy (before, rows, n_out * 2);
  k->turn_keys (keys, n, rows, stride);
  for (size_t i = 0; i < n_out; i++)
    {
      size_t p = i / stride, c = i % stride;
      uint16_t want = c < n ? keys[c * ENG_KEY_GROUP + p] : before[i];
      if (rows[i] != want)
        CHECK_FAILED ("turn_keys width %zu position %zu at %zu: %x, expected %x", n, p, c, rows[i], want);
    }
  free (before);
  if (!check_free_all ())
    CHECK_FAILED ("turn_keys width %zu wrote outside its output", n);
}

void
check_attention_kernels (const EngKernels *k)
{
  static const size_t widths[] = { 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 80, 128, 256 };
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
    for (size_t n_q = 1; n_q <= 13; n_q++)
      {
        for (int codes = 0; codes < 2; codes++)
          {
            check_score (k, codes != 0, widths[i], n_q);
            check_mix (k, codes != 0, widths[i], n_q, 1 + check_random () % 64);
          }
        check_turn_keys (k, widths[i], n_q % 3);
      }
  for (int codes = 0; codes < 2; codes++)
    {
      check_score (k, codes != 0, 64, 48);
      check_mix (k, codes != 0, 64, 48, 64);
    }
}
