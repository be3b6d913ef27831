/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the .npy files (version 1, little endian, C order) in which reference results are kept. */
#pragma once

#include <glib.h>

#define TEST_NPY_MAX_DIMS 4

typedef struct
{
  GMappedFile *file;
  gsize shape[TEST_NPY_MAX_DIMS]; /* 1 beyond n_dims */
  guint n_dims;
  gsize n; /* elements in all */
  const gint32 *i32;  /* one of the two, the other is NULL */
  const float *f32;
} TestNpy;

/* NULL with an error when @path is absent or of another kind. */
TestNpy *test_npy_load (const char *path, GError **error);
void test_npy_free (TestNpy *npy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestNpy, test_npy_free)

/* ‖a - b‖₂ / ‖b‖₂ of @n numbers, summed in double precision. */
double test_relative_error (const float *a, const float *b, gsize n);
