/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders and 16-bit floats, bit for bit against the `gguf` Python package's results
 * (tests/golden/make-quant.py) and against the compiler's own conversions. */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "eng-block.h"
#include "eng-half.h"
#include "eng-quant.h"

static guint32
read_u32 (const char **at)
{
  guint32 v;
  memcpy (&v, *at, sizeof v);
  *at += sizeof v;
  return GUINT32_FROM_LE (v);
}

static void
test_golden (void)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "golden", "data", "quant.bin", NULL);
  g_autofree char *data = NULL;
  g_autoptr (GError) error = NULL;
  gsize size, n_types = 0;
  g_file_get_contents (path, &data, &size, &error);
  g_assert_no_error (error);
  for (const char *at = data; at < data + size; n_types++)
    {
      guint32 type = read_u32 (&at), n = read_u32 (&at), n_bytes = read_u32 (&at);
      const EngTypeInfo *info = eng_type_get_info (type);
      g_assert_nonnull (info);
      g_assert_true (info->is_weight);
      g_assert_cmpuint ((guint64) n / info->block_elements * info->block_bytes, ==, n_bytes);
      g_autofree char *blocks = g_memdup2 (at, n_bytes);
      g_autofree float *got = g_new (float, n);
      const char *expected = at + n_bytes;
      g_assert_cmpint (eng_dequantize_row (type, blocks, got, n), ==, ENG_OK);
      for (guint32 i = 0; i < n; i++)
        {
          float want;
          memcpy (&want, expected + i * sizeof want, sizeof want);
          if (memcmp (&got[i], &want, sizeof want) != 0)
            g_error ("%s element %u: %.9g, not %.9g", info->name, i, got[i], want);
        }
      at = expected + n * sizeof (float);
    }
  g_assert_cmpuint (n_types, ==, 15);
}

/* F32 has no golden data: it is the identity. */
static void
test_f32 (void)
{
  const float x[3] = { 1.5f, -0.0f, INFINITY };
  float y[3];
  g_assert_cmpint (eng_dequantize_row (ENG_TYPE_F32, x, y, 3), ==, ENG_OK);
  g_assert_cmpmem (x, sizeof x, y, sizeof y);
  g_assert_cmpint (eng_dequantize_row (ENG_TYPE_I8, x, y, 3), ==, ENG_ERR_UNSUPPORTED);
  g_assert_cmpint (eng_dequantize_row ((EngType) 9999, x, y, 3), ==, ENG_ERR_UNSUPPORTED);
}

static void
test_f16 (void)
{
  for (guint32 h = 0; h < 0x10000; h++)
    {
      _Float16 native;
      guint16 bits = (guint16) h;
      memcpy (&native, &bits, sizeof bits);
      float f = eng_f16_to_f32 (bits);
      if ((h & 0x7fff) > 0x7c00)
        {
          g_assert_true (isnan (f));
          g_assert_true ((eng_f32_to_f16 (f) & 0x7fff) > 0x7c00);
          continue;
        }
      float want = (float) native;
      g_assert_cmpmem (&f, sizeof f, &want, sizeof want);
      g_assert_cmphex (eng_f32_to_f16 (f), ==, h);
    }
}

/* Every float whose low 12 bits are at or beside a rounding border, over the whole range. */
static void
test_rounding (void)
{
  static const guint32 tails[] = { 0, 1, 0xfff, 0x1000, 0x1001, 0x1fff };
  for (guint32 high = 0; high < 0x100000; high++)
    for (gsize t = 0; t < G_N_ELEMENTS (tails); t++)
      {
        float f = eng_float_from_bits ((high << 12 & ~0x1fffu) | tails[t]);
        if (isnan (f))
          continue;
        _Float16 native = (_Float16) f;
        guint16 want, got = eng_f32_to_f16 (f);
        memcpy (&want, &native, sizeof want);
        if (got != want)
          g_error ("%a becomes %04x, not %04x", f, got, want);
      }
  /* bfloat16: half a unit up or down, ties to even */
  g_assert_cmphex (eng_f32_to_bf16 (eng_float_from_bits (0x3f808000)), ==, 0x3f80);
  g_assert_cmphex (eng_f32_to_bf16 (eng_float_from_bits (0x3f818000)), ==, 0x3f82);
  g_assert_cmphex (eng_f32_to_bf16 (eng_float_from_bits (0x3f808001)), ==, 0x3f81);
  g_assert_cmphex (eng_f32_to_bf16 (eng_float_from_bits (0x7f7fffff)), ==, 0x7f80);
  g_assert_cmphex (eng_f32_to_bf16 (eng_float_from_bits (0x7f800001)), ==, 0x7fc0);
}

static void
test_finite (void)
{
  EngBlockQ6K rows[3] = { 0 };
  EngBlockMxfp4 small[2] = { { .e = 3 }, { .e = 255 } };
  gsize bad = 9;
  g_assert_true (eng_quant_rows_are_finite (ENG_TYPE_Q6_K, rows, 3, 256, &bad));
  rows[1].d = 0x7e00;
  g_assert_false (eng_quant_rows_are_finite (ENG_TYPE_Q6_K, rows, 3, 256, &bad));
  g_assert_cmpuint (bad, ==, 1);
  g_assert_false (eng_quant_rows_are_finite (ENG_TYPE_MXFP4, small, 1, 64, &bad));
  g_assert_cmpuint (bad, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quant/dequant/golden", test_golden);
  g_test_add_func ("/quant/dequant/f32", test_f32);
  g_test_add_func ("/quant/half/f16", test_f16);
  g_test_add_func ("/quant/half/rounding", test_rounding);
  g_test_add_func ("/quant/finite", test_finite);
  return g_test_run ();
}
