// SPDX-License-Identifier: Apache-2.0
// What a card makes of a file's blocks can be undone: random bytes of every format to planes and back, in two parts, must be
// the same bytes. Prints a line a format; exits with 1 when one differs, 77 without a card.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.cuh"
#include "try.cuh"

static bool
same (int type, uint32_t n_rows, uint32_t n_cols)
{
  const Format f = format_of (type);
  const size_t row = n_cols / f.weights * f.file, bytes = n_rows * row, first = n_rows / 3;
  const CuRowBytes b = cu_row_bytes (type, n_cols);
  uint8_t *file = (uint8_t *) malloc (bytes), *back = (uint8_t *) malloc (bytes), *raw, *planes;
  for (size_t i = 0; i < bytes; i++)
    file[i] = (uint8_t) (rand () >> 7);
  TRY (cudaMalloc (&raw, bytes));
  TRY (cudaMalloc (&planes, (size_t) n_rows * (b.q + b.h + b.s + b.d)));
  TRY (cudaMemset (planes, 0xa5, (size_t) n_rows * (b.q + b.h + b.s + b.d)));
  CuWeight w = {};
  w.type = (uint8_t) type;
  w.q_bytes = (uint8_t) f.q;
  w.n_slices = 1;
  w.n_rows = n_rows;
  w.n_cols = n_cols;
  w.q = planes;
  w.h = w.q + (size_t) n_rows * b.q;
  w.s = w.h + (size_t) n_rows * b.h;
  w.d = w.s + (size_t) n_rows * b.s;
  TRY (cudaMemcpy (raw, file, bytes, cudaMemcpyHostToDevice));
  TRY (cu_repack (0, &w, raw + first * row, first, n_rows - first));
  TRY (cu_repack (0, &w, raw, 0, first));
  TRY (cudaMemset (raw, 0, bytes));
  TRY (cu_unpack (0, &w, raw, 0, n_rows));
  TRY (cudaMemcpy (back, raw, bytes, cudaMemcpyDeviceToHost));
  const bool equal = memcmp (file, back, bytes) == 0;
  TRY (cudaFree (raw));
  TRY (cudaFree (planes));
  free (file);
  free (back);
  return equal;
}

int
main (void)
{
  static const struct
  {
    int type;
    const char *name;
  } types[] = { { ENG_TYPE_Q4_0, "Q4_0" },     { ENG_TYPE_Q4_1, "Q4_1" },     { ENG_TYPE_Q5_0, "Q5_0" },  { ENG_TYPE_Q5_1, "Q5_1" }, { ENG_TYPE_Q8_0, "Q8_0" },
                { ENG_TYPE_Q2_K, "Q2_K" },     { ENG_TYPE_Q3_K, "Q3_K" },     { ENG_TYPE_Q4_K, "Q4_K" },  { ENG_TYPE_Q5_K, "Q5_K" }, { ENG_TYPE_Q6_K, "Q6_K" },
                { ENG_TYPE_IQ4_NL, "IQ4_NL" }, { ENG_TYPE_IQ4_XS, "IQ4_XS" }, { ENG_TYPE_MXFP4, "MXFP4" } };
  int n_cards, failed = 0;
  if (cudaGetDeviceCount (&n_cards) != cudaSuccess || n_cards == 0)
    return 77;
  for (const auto &t : types)
    {
      bool equal = same (t.type, 37, 1024) && same (t.type, 301, 4096);
      if (format_of (t.type).weights == 32)
        equal = equal && same (t.type, 61, 320);
      printf ("%s %s\n", t.name, equal ? "same" : "DIFFERS");
      failed += !equal;
    }
  return failed ? 1 : 0;
}
