/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of documents: any bytes through one of them, chosen when this is compiled (FUZZ_READ). What they tell goes to
 * /dev/null; a refusal has a reason in words. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "reader.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#ifdef FUZZ_ARCHIVE
static gboolean
read_archive (GBytes *bytes, RdrOut *out, GError **error)
{
  const char *kind = NULL;
  return rdr_read_archive (bytes, out, &kind, error);
}
#define FUZZ_READ read_archive
#endif

#ifdef FUZZ_PDF
static gboolean
read_pdf (GBytes *bytes, RdrOut *out, GError **error)
{
  return rdr_read_pdf (bytes, "one password", out, error);
}
#define FUZZ_READ read_pdf
#endif

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static int fd = -1;
  if (fd < 0)
    fd = open ("/dev/null", O_WRONLY | O_CLOEXEC);
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);
  g_autoptr (GError) error = NULL;
  RdrOut *out = rdr_out_new (fd);
  gboolean ok = FUZZ_READ (bytes, out, &error);
  if (ok != (error == NULL) || (error != NULL && error->message[0] == '\0'))
    abort ();
  if (ok)
    rdr_out_end (out, "fuzz");
  else
    rdr_out_error (out, error);
  rdr_out_free (out);
  return 0;
}
