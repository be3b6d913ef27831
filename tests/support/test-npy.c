/* SPDX-License-Identifier: Apache-2.0 */
#include "test-npy.h"

#include <math.h>
#include <string.h>

#define MAGIC "\x93NUMPY\x01\x00"
#define PREFIX_BYTES 10 /* magic, version, and the header's length in two bytes */

static gboolean
parse_shape (TestNpy *npy, const char *header)
{
  const char *p = strstr (header, "'shape': (");
  if (p == NULL)
    return FALSE;
  p += strlen ("'shape': (");
  npy->n = 1;
  while (g_ascii_isdigit (*p))
    {
      char *end;
      guint64 extent = g_ascii_strtoull (p, &end, 10);
      if (npy->n_dims == TEST_NPY_MAX_DIMS || extent > G_MAXSIZE
          || !g_size_checked_mul (&npy->n, npy->n, extent))
        return FALSE;
      npy->shape[npy->n_dims++] = extent;
      p = end + strspn (end, ", ");
    }
  for (guint i = npy->n_dims; i < TEST_NPY_MAX_DIMS; i++)
    npy->shape[i] = 1;
  return *p == ')';
}

TestNpy *
test_npy_load (const char *path, GError **error)
{
  g_autoptr (TestNpy) npy = g_new0 (TestNpy, 1);
  npy->file = g_mapped_file_new (path, FALSE, error);
  if (npy->file == NULL)
    return NULL;
  const char *bytes = g_mapped_file_get_contents (npy->file);
  gsize n_bytes = g_mapped_file_get_length (npy->file), wanted;
  if (n_bytes >= PREFIX_BYTES && memcmp (bytes, MAGIC, 8) == 0)
    {
      gsize header_bytes = (guint8) bytes[8] + ((gsize) (guint8) bytes[9] << 8);
      gsize start = PREFIX_BYTES + header_bytes;
      if (start <= n_bytes)
        {
          g_autofree char *header = g_strndup (bytes + PREFIX_BYTES, header_bytes);
          gboolean plain = strstr (header, "'fortran_order': False") != NULL;
          if (plain && parse_shape (npy, header) && g_size_checked_mul (&wanted, npy->n, 4)
              && wanted <= n_bytes - start)
            {
              if (strstr (header, "'<i4'") != NULL)
                npy->i32 = (const gint32 *) (bytes + start);
              else if (strstr (header, "'<f4'") != NULL)
                npy->f32 = (const float *) (bytes + start);
            }
        }
    }
  if (npy->i32 == NULL && npy->f32 == NULL)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is no int32 or float32 .npy file",
                   path);
      return NULL;
    }
  return g_steal_pointer (&npy);
}

void
test_npy_free (TestNpy *npy)
{
  if (npy == NULL)
    return;
  g_clear_pointer (&npy->file, g_mapped_file_unref);
  g_free (npy);
}

double
test_relative_error (const float *a, const float *b, gsize n)
{
  double difference = 0, size = 0;
  for (gsize i = 0; i < n; i++)
    {
      difference += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
      size += (double) b[i] * b[i];
    }
  return sqrt (difference / size);
}
