/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of office documents: the first byte chooses a format, the others become its main part in an archive that is
 * in order (stored, with the right CRC), so that changed bytes reach the reader of the part. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

typedef struct
{
  GByteArray *bytes, *directory;
  guint16 n;
} Zip;

static uint32_t
crc32_of (const uint8_t *data, size_t n)
{
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < n; i++)
    {
      crc ^= data[i];
      for (int k = 0; k < 8; k++)
        crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1u)));
    }
  return ~crc;
}

static void
put (GByteArray *bytes, uint32_t value, guint n)
{
  const guint8 le[4] = { value & 255, value >> 8 & 255, value >> 16 & 255, value >> 24 };
  g_byte_array_append (bytes, le, n);
}

static void
put_fields (GByteArray *bytes, uint32_t crc, size_t size, size_t n_name)
{
  put (bytes, 20, 2); /* version, flags, stored, time, date */
  put (bytes, 0, 4);
  put (bytes, 0, 2);
  put (bytes, 0x21, 2);
  put (bytes, crc, 4);
  put (bytes, (uint32_t) size, 4);
  put (bytes, (uint32_t) size, 4);
  put (bytes, (uint32_t) n_name, 2);
  put (bytes, 0, 2);
}

static void
add (Zip *zip, const char *name, const void *data, size_t size)
{
  const guint at = zip->bytes->len;
  const uint32_t crc = crc32_of (data, size);
  g_byte_array_append (zip->bytes, (const guint8 *) "PK\3\4", 4);
  put_fields (zip->bytes, crc, size, strlen (name));
  g_byte_array_append (zip->bytes, (const guint8 *) name, (guint) strlen (name));
  g_byte_array_append (zip->bytes, data, (guint) size);
  g_byte_array_append (zip->directory, (const guint8 *) "PK\1\2", 4);
  put (zip->directory, 20, 2);
  put_fields (zip->directory, crc, size, strlen (name));
  put (zip->directory, 0, 4); /* comment, disk, attributes */
  put (zip->directory, 0, 2);
  put (zip->directory, 0, 4);
  put (zip->directory, at, 4);
  g_byte_array_append (zip->directory, (const guint8 *) name, (guint) strlen (name));
  zip->n++;
}

static GBytes *
finish (Zip *zip)
{
  const guint at = zip->bytes->len, n = zip->directory->len;
  g_byte_array_append (zip->bytes, zip->directory->data, n);
  g_byte_array_unref (zip->directory);
  g_byte_array_append (zip->bytes, (const guint8 *) "PK\5\6\0\0\0\0", 8);
  put (zip->bytes, zip->n, 2);
  put (zip->bytes, zip->n, 2);
  put (zip->bytes, n, 4);
  put (zip->bytes, at, 4);
  put (zip->bytes, 0, 2);
  return g_byte_array_free_to_bytes (zip->bytes);
}

static void
add_parts (Zip *zip, uint8_t which, const uint8_t *data, size_t size)
{
  static const char container[] = "<container><rootfiles><rootfile full-path=\"a.opf\"/></rootfiles></container>";
  static const char package[] = "<package><manifest><item id=\"a\" href=\"a.xhtml\"/></manifest><spine><itemref "
                                "idref=\"a\"/></spine></package>";
  static const char workbook[] = "<workbook><sheets><sheet name=\"S\"/></sheets></workbook>";
  static const char presentation[] = "<presentation/>";
  switch (which)
    {
    case 'd':
      add (zip, "word/document.xml", data, size);
      break;
    case 'o':
      add (zip, "content.xml", data, size);
      break;
    case 'p':
      add (zip, "ppt/presentation.xml", presentation, strlen (presentation));
      add (zip, "ppt/slides/slide1.xml", data, size);
      break;
    case 'x':
      add (zip, "xl/workbook.xml", workbook, strlen (workbook));
      add (zip, "xl/sharedStrings.xml", data, size / 2);
      add (zip, "xl/worksheets/sheet1.xml", data + size / 2, size - size / 2);
      break;
    case 'b':
      add (zip, "META-INF/container.xml", container, strlen (container));
      add (zip, "a.opf", data, size);
      break;
    default:
      add (zip, "META-INF/container.xml", container, strlen (container));
      add (zip, "a.opf", package, strlen (package));
      add (zip, "a.xhtml", data, size);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static int fd = -1;
  if (fd < 0)
    fd = open ("/dev/null", O_WRONLY | O_CLOEXEC);
  if (size < 1)
    return 0;
  Zip zip = { g_byte_array_new (), g_byte_array_new (), 0 };
  add_parts (&zip, data[0], data + 1, size - 1);
  g_autoptr (GBytes) bytes = finish (&zip);
  g_autoptr (GError) error = NULL;
  RdrOut *out = rdr_out_new (fd);
  const char *kind = NULL;
  gboolean ok = rdr_read_archive (bytes, out, &kind, &error);
  if (ok != (error == NULL))
    abort ();
  rdr_out_free (out);
  return 0;
}
