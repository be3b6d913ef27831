/* SPDX-License-Identifier: Apache-2.0 */
/* One damaged file per defect: each is refused with the field and the byte offset at fault, within
 * a second and without memory that the file's size does not explain. The numbers G1 … G24 are
 * classes: G1 empty, G2 magic, G3 version, G4 and G5 counts, G6 to G9 keys, G10 value types, G11
 * strings, G12 and G13 arrays, G14 alignment, G15 bools, G16 to G21 shapes, G22 offsets, G23 tensor
 * names, G24 cut data. */
#include <glib.h>
#include <glib/gstdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

#include "eng-gguf-limits.h"
#include "eng-gguf.h"
#include "gguf-sample.h"

#define MAX_SECONDS 1.0
#define MAX_EXTRA_KIB (64 * 1024)

typedef enum
{
  PUT8 = 1,
  PUT32 = 4,
  PUT64 = 8,
  TEXT,
  CUT,
  CALL
} Op;

typedef struct
{
  const char *name;
  Op op;
  gsize place; /* offset in Sample of the gsize that holds the position … */
  gsize delta; /* … plus this */
  guint64 value;
  const char *text;
  void (*call) (Sample *sample);
  EngStatus status;
  const char *field;
  gsize at;       /* where the error must point: as @place, */
  gssize at_delta; /* plus this; ANYWHERE = not checked */
} Damage;

#define ANYWHERE G_MINSSIZE
#define START offsetof (Sample, start)
#define KV(i, part) offsetof (Sample, kvs[i].part)
#define TENSOR(i, part) offsetof (Sample, tensors[i].part)
#define DATA offsetof (Sample, data_start)
/* The error points at what was damaged. */
#define PUT(name, op, place, delta, value, status, field)                                          \
  { name, op, place, delta, value, NULL, NULL, status, field, place, delta }
/* It points elsewhere. */
#define PUT_AT(name, op, place, delta, value, status, field, at, at_delta)                         \
  { name, op, place, delta, value, NULL, NULL, status, field, at, at_delta }
#define WRITE(name, place, delta, text, status, field, at, at_delta)                               \
  { name, TEXT, place, delta, 0, text, NULL, status, field, at, at_delta }
#define CALLED(name, call, status, field, at, at_delta)                                            \
  { name, CALL, START, 0, 0, NULL, call, status, field, at, at_delta }

static void
nest (Sample *s, guint depth)
{
  GByteArray *nested = g_byte_array_new ();
  const guint32 array = ENG_GGUF_ARRAY, byte = ENG_GGUF_U8;
  const guint64 one = 1, none = 0;
  for (guint i = 0; i + 1 < depth; i++)
    {
      g_byte_array_append (nested, (const guint8 *) &array, 4);
      g_byte_array_append (nested, (const guint8 *) &one, 8);
    }
  g_byte_array_append (nested, (const guint8 *) &byte, 4);
  g_byte_array_append (nested, (const guint8 *) &none, 8);
  sample_splice (s, s->kvs[6].value, 12 + 16, nested->data, nested->len);
  g_byte_array_unref (nested);
}

static void
nest_1000 (Sample *s)
{
  nest (s, 1000);
}

static void
nest_past_limit (Sample *s)
{
  nest (s, ENG_GGUF_MAX_ARRAY_DEPTH + 1);
}

static void
overflow_elements (Sample *s)
{
  sample_put (s, s->tensors[0].dims, G_GUINT64_CONSTANT (1) << 40, 8);
  sample_put (s, s->tensors[0].dims + 8, G_GUINT64_CONSTANT (1) << 40, 8);
}

static void
overflow_padding (Sample *s)
{
  sample_put (s, s->tensors[0].dims, (G_GUINT64_CONSTANT (1) << 62) - 1, 8);
  sample_put (s, s->tensors[0].dims + 8, 1, 8);
}

static void
long_name (Sample *s)
{
  g_autofree char *name = g_strnfill (1 << 20, 'n');
  sample_splice (s, s->tensors[0].name, 8, name, 1 << 20);
  sample_put (s, s->tensors[0].name_length, 1 << 20, 8);
}

static const Damage damages[] = {
  { "G1 empty file", CUT, START, 0, 0, NULL, NULL, ENG_ERR_FORMAT, "magic", START, 0 },
  { "G1 one byte", CUT, START, 1, 0, NULL, NULL, ENG_ERR_FORMAT, "magic", START, 0 },
  { "G1 magic only", CUT, START, 4, 0, NULL, NULL, ENG_ERR_TRUNCATED, "version", START, 4 },
  WRITE ("G2 old format", START, 0, "GGML", ENG_ERR_FORMAT, "magic", START, 0),
  WRITE ("G2 byte-swapped", START, 0, "FUGG", ENG_ERR_FORMAT, "magic", START, 0),
  WRITE ("G2 web page", START, 0, "<!DO", ENG_ERR_FORMAT, "magic", START, 0),
  WRITE ("G2 zip", START, 0, "PK\3\4", ENG_ERR_FORMAT, "magic", START, 0),
  PUT ("G3 version 0", PUT32, START, 4, 0, ENG_ERR_UNSUPPORTED, "version"),
  PUT ("G3 version 1", PUT32, START, 4, 1, ENG_ERR_UNSUPPORTED, "version"),
  PUT ("G3 version 4", PUT32, START, 4, 4, ENG_ERR_UNSUPPORTED, "version"),
  PUT ("G3 big-endian", PUT32, START, 4, 0x03000000, ENG_ERR_UNSUPPORTED, "version"),
  PUT ("G4 tensors 2^64-1", PUT64, START, 8, G_MAXUINT64, ENG_ERR_LIMIT, "n_tensors"),
  PUT ("G4 tensors 2^32", PUT64, START, 8, G_GUINT64_CONSTANT (1) << 32, ENG_ERR_LIMIT, "n_tensors"),
  PUT ("G4 tensors limit+1", PUT64, START, 8, ENG_GGUF_MAX_TENSORS + 1, ENG_ERR_LIMIT, "n_tensors"),
  PUT ("G4 tensors limit", PUT64, START, 8, ENG_GGUF_MAX_TENSORS, ENG_ERR_TRUNCATED, "n_tensors"),
  PUT ("G5 keys 2^63", PUT64, START, 16, G_GUINT64_CONSTANT (1) << 63, ENG_ERR_LIMIT, "n_kv"),
  PUT ("G5 keys limit+1", PUT64, START, 16, ENG_GGUF_MAX_KEYS + 1, ENG_ERR_LIMIT, "n_kv"),
  PUT ("G5 keys limit", PUT64, START, 16, ENG_GGUF_MAX_KEYS, ENG_ERR_TRUNCATED, "n_kv"),
  PUT_AT ("G5 keys one too few", PUT64, START, 16, SAMPLE_N_KEYS - 1, ENG_ERR_FORMAT,
          "test.negative", KV (9, type), 0),
  PUT_AT ("G6 key past the end", PUT64, KV (3, key_length), 0, 60000, ENG_ERR_TRUNCATED, "key 3",
          KV (3, key), 0),
  PUT ("G6 key of 2^63", PUT64, KV (3, key_length), 0, G_GUINT64_CONSTANT (1) << 63, ENG_ERR_LIMIT,
       "key 3"),
  PUT ("G6 key limit+1", PUT64, KV (3, key_length), 0, ENG_GGUF_MAX_KEY_BYTES + 1, ENG_ERR_LIMIT,
       "key 3"),
  PUT ("G7 empty key", PUT64, KV (0, key_length), 0, 0, ENG_ERR_FORMAT, "key 0"),
  PUT_AT ("G8 key of 0xff", PUT8, KV (2, key), 0, 0xff, ENG_ERR_FORMAT, "key 2", KV (2, key_length),
          0),
  PUT_AT ("G8 NUL in key", PUT8, KV (2, key), 1, 0, ENG_ERR_FORMAT, "key 2", KV (2, key_length), 0),
  WRITE ("G8 overlong UTF-8", KV (2, key), 0, "\xc0\x80", ENG_ERR_FORMAT, "key 2",
         KV (2, key_length), 0),
  WRITE ("G8 surrogate", KV (2, key), 0, "\xed\xa0\x80", ENG_ERR_FORMAT, "key 2",
         KV (2, key_length), 0),
  WRITE ("G8 cut character", KV (2, key), 8, "\xe7", ENG_ERR_FORMAT, "key 2", KV (2, key_length), 0),
  WRITE ("G9 key twice", KV (4, key), 0, "test.large", ENG_ERR_FORMAT, "test.large",
         KV (4, key_length), 0),
  WRITE ("G9 key twice, arrays", KV (8, key), 0, "test.scale", ENG_ERR_FORMAT, "test.scale",
         KV (8, key_length), 0),
  PUT ("G10 type 99", PUT32, KV (4, type), 0, 99, ENG_ERR_FORMAT, "test.scale"),
  PUT ("G10 type 13", PUT32, KV (4, type), 0, 13, ENG_ERR_FORMAT, "test.scale"),
  PUT ("G10 type 2^32-1", PUT32, KV (4, type), 0, G_MAXUINT32, ENG_ERR_FORMAT, "test.scale"),
  PUT ("G10 element type 99", PUT32, KV (6, value), 0, 99, ENG_ERR_FORMAT, "tokenizer.ggml.scores"),
  PUT ("G11 string of 2^40", PUT64, KV (0, value), 0, G_GUINT64_CONSTANT (1) << 40, ENG_ERR_LIMIT,
       "general.architecture"),
  PUT ("G11 string of 2^64-1", PUT64, KV (0, value), 0, G_MAXUINT64, ENG_ERR_LIMIT,
       "general.architecture"),
  PUT_AT ("G11 string past the end", PUT64, KV (0, value), 0, 1000000, ENG_ERR_TRUNCATED,
          "general.architecture", KV (0, value), 8),
  PUT ("G11 string in array of 2^40", PUT64, KV (5, value), 12, G_GUINT64_CONSTANT (1) << 40,
       ENG_ERR_LIMIT, "tokenizer.ggml.tokens"),
  PUT ("G12 count times size overflows", PUT64, KV (6, value), 4, G_GUINT64_CONSTANT (1) << 62,
       ENG_ERR_LIMIT, "tokenizer.ggml.scores"),
  PUT ("G12 strings 2^64-1", PUT64, KV (5, value), 4, G_MAXUINT64, ENG_ERR_LIMIT,
       "tokenizer.ggml.tokens"),
  PUT ("G12 strings limit+1", PUT64, KV (5, value), 4, ENG_GGUF_MAX_ARRAY_STRINGS + 1,
       ENG_ERR_LIMIT, "tokenizer.ggml.tokens"),
  PUT ("G12 numbers limit+1", PUT64, KV (6, value), 4, ENG_GGUF_MAX_ARRAY_ELEMENTS + 1,
       ENG_ERR_LIMIT, "tokenizer.ggml.scores"),
  PUT_AT ("G12 numbers past the end", PUT64, KV (6, value), 4, ENG_GGUF_MAX_ARRAY_ELEMENTS,
          ENG_ERR_TRUNCATED, "tokenizer.ggml.scores", KV (6, value), 12),
  CALLED ("G13 nested 1000 deep", nest_1000, ENG_ERR_LIMIT, "tokenizer.ggml.scores", KV (6, value),
          12 * ENG_GGUF_MAX_ARRAY_DEPTH),
  CALLED ("G13 nested limit+1", nest_past_limit, ENG_ERR_LIMIT, "tokenizer.ggml.scores",
          KV (6, value), 12 * ENG_GGUF_MAX_ARRAY_DEPTH),
  PUT ("G14 alignment 0", PUT32, KV (1, value), 0, 0, ENG_ERR_FORMAT, "general.alignment"),
  PUT ("G14 alignment 13", PUT32, KV (1, value), 0, 13, ENG_ERR_FORMAT, "general.alignment"),
  PUT ("G14 alignment 4", PUT32, KV (1, value), 0, 4, ENG_ERR_FORMAT, "general.alignment"),
  PUT ("G14 alignment 2^31", PUT32, KV (1, value), 0, G_GUINT64_CONSTANT (1) << 31, ENG_ERR_FORMAT,
       "general.alignment"),
  PUT_AT ("G14 alignment as i32", PUT32, KV (1, type), 0, ENG_GGUF_I32, ENG_ERR_FORMAT,
          "general.alignment", KV (1, value), 0),
  PUT_AT ("G14 alignment as f32", PUT32, KV (1, type), 0, ENG_GGUF_F32, ENG_ERR_FORMAT,
          "general.alignment", KV (1, value), 0),
  PUT ("G15 bool of 7", PUT8, KV (2, value), 0, 7, ENG_ERR_FORMAT, "test.flag"),
  PUT ("G15 bool of 2 in array", PUT8, KV (8, value), 13, 2, ENG_ERR_FORMAT, "test.flags"),
  PUT ("G16 no dimension", PUT32, TENSOR (0, n_dims), 0, 0, ENG_ERR_FORMAT, "a.weight"),
  PUT ("G16 five dimensions", PUT32, TENSOR (0, n_dims), 0, 5, ENG_ERR_FORMAT, "a.weight"),
  PUT ("G16 2^32-1 dimensions", PUT32, TENSOR (0, n_dims), 0, G_MAXUINT32, ENG_ERR_FORMAT,
       "a.weight"),
  PUT ("G17 first dimension 0", PUT64, TENSOR (1, dims), 0, 0, ENG_ERR_FORMAT, "b.weight"),
  PUT ("G17 last dimension 0", PUT64, TENSOR (1, dims), 8, 0, ENG_ERR_FORMAT, "b.weight"),
  PUT ("G18 dimension -1", PUT64, TENSOR (0, dims), 0, G_MAXUINT64, ENG_ERR_FORMAT, "a.weight"),
  PUT ("G18 dimension 2^63", PUT64, TENSOR (0, dims), 8, G_GUINT64_CONSTANT (1) << 63,
       ENG_ERR_FORMAT, "a.weight"),
  CALLED ("G18 product of dimensions overflows", overflow_elements, ENG_ERR_FORMAT, "a.weight",
          TENSOR (0, dims), 8),
  PUT_AT ("G19 bytes overflow", PUT64, TENSOR (0, dims), 0, G_GUINT64_CONSTANT (1) << 61,
          ENG_ERR_FORMAT, "a.weight", TENSOR (0, type), 0),
  PUT_AT ("G19 quantized, larger than any file", PUT64, TENSOR (1, dims), 0,
          G_GUINT64_CONSTANT (1) << 61, ENG_ERR_TRUNCATED, "b.weight", DATA, 64),
  CALLED ("G20 padding wraps", overflow_padding, ENG_ERR_FORMAT, "a.weight", TENSOR (0, type), 0),
  PUT_AT ("G21 Q8_0 row of 48", PUT64, TENSOR (1, dims), 0, 48, ENG_ERR_FORMAT, "b.weight",
          TENSOR (1, type), 0),
  PUT_AT ("G21 Q4_K row of 128", PUT64, TENSOR (2, dims), 0, 128, ENG_ERR_FORMAT, "c.weight",
          TENSOR (2, type), 0),
  PUT ("G21 type that is not supported", PUT32, TENSOR (0, type), 0, 16, ENG_ERR_UNSUPPORTED,
       "a.weight"),
  PUT ("G21 type 99", PUT32, TENSOR (0, type), 0, 99, ENG_ERR_UNSUPPORTED, "a.weight"),
  PUT ("G22 offset unaligned", PUT64, TENSOR (1, offset), 0, 72, ENG_ERR_FORMAT, "b.weight"),
  PUT_AT ("G22 tensors overlap", PUT64, TENSOR (1, offset), 0, 0, ENG_ERR_FORMAT, "b.weight", DATA,
          0),
  PUT_AT ("G22 tensors overlap, out of order", PUT64, TENSOR (3, offset), 0, 128, ENG_ERR_FORMAT,
          "d.weight", DATA, 128),
  PUT_AT ("G22 offset past the end", PUT64, TENSOR (3, offset), 0, 1 << 20, ENG_ERR_TRUNCATED,
          "d.weight", DATA, 1 << 20),
  PUT_AT ("G22 offset overflows", PUT64, TENSOR (3, offset), 0, G_MAXUINT64 - 63, ENG_ERR_FORMAT,
          "d.weight", START, ANYWHERE),
  WRITE ("G23 tensor twice", TENSOR (2, name), 0, "a.weight", ENG_ERR_FORMAT, "a.weight", START,
         ANYWHERE),
  CALLED ("G23 name of 1 MiB", long_name, ENG_ERR_LIMIT, "tensor 0", TENSOR (0, name_length), 0),
  PUT ("G23 name limit+1", PUT64, TENSOR (0, name_length), 0, ENG_GGUF_MAX_TENSOR_NAME + 1,
       ENG_ERR_LIMIT, "tensor 0"),
  PUT ("G23 empty name", PUT64, TENSOR (1, name_length), 0, 0, ENG_ERR_FORMAT, "tensor 1"),
  PUT_AT ("G23 NUL in name", PUT8, TENSOR (1, name), 2, 0, ENG_ERR_FORMAT, "tensor 1",
          TENSOR (1, name_length), 0),
  { "G24 no data", CUT, DATA, 0, 0, NULL, NULL, ENG_ERR_TRUNCATED, "d.weight", DATA, ANYWHERE },
  { "G24 cut in data", CUT, DATA, 100, 0, NULL, NULL, ENG_ERR_TRUNCATED, "d.weight", DATA,
    ANYWHERE },
  { "G24 cut in the list of tensors", CUT, TENSOR (3, offset), 4, 0, NULL, NULL, ENG_ERR_TRUNCATED,
    "d.weight", TENSOR (3, offset), 0 },
  { "G24 cut in a string", CUT, KV (5, value), 22, 0, NULL, NULL, ENG_ERR_TRUNCATED, NULL, START,
    ANYWHERE },
};

static gsize
place_of (const Sample *s, gsize place)
{
  return *(const gsize *) ((const char *) s + place);
}

static void
apply (Sample *s, const Damage *d)
{
  gsize at = place_of (s, d->place) + d->delta;
  if (d->op == CALL)
    d->call (s);
  else if (d->op == CUT)
    g_byte_array_set_size (s->bytes, (guint) at);
  else if (d->op == TEXT)
    memcpy (s->bytes->data + at, d->text, strlen (d->text));
  else
    sample_put (s, at, d->value, d->op);
}

static long
peak_kib (void)
{
  struct rusage usage;
  getrusage (RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

static void
check_error (const Damage *d, const Sample *s, EngStatus status, const EngError *e)
{
  g_assert_cmpint (status, ==, d->status);
  g_assert_cmpint (e->code, ==, d->status);
  g_assert_cmpstr (e->text, !=, "");
  if (d->field)
    g_assert_cmpstr (e->field, ==, d->field);
  g_assert_cmpstr (e->field, !=, "");
  g_assert_cmpuint (e->offset, !=, ENG_OFFSET_NONE);
  if (d->at_delta != ANYWHERE)
    g_assert_cmpuint (e->offset, ==, place_of (s, d->at) + (gsize) d->at_delta);
  if (d->status == ENG_ERR_TRUNCATED)
    {
      g_assert_cmpuint (e->available, ==, s->bytes->len);
      g_assert_cmpuint (e->needed, >, e->available);
    }
}

static void
test_damage (gconstpointer data)
{
  const Damage *d = data;
  g_autoptr (Sample) s = sample_new ();
  EngGguf *gguf = NULL;
  EngError e = { 0 };
  apply (s, d);
  /* In memory of exactly the file's size, so that a sanitizer sees the first byte too many. */
  g_autofree guint8 *exact = g_memdup2 (s->bytes->data, s->bytes->len);
  long before = peak_kib ();
  gint64 start = g_get_monotonic_time ();
  check_error (d, s, eng_gguf_open_memory (exact, s->bytes->len, &gguf, &e), &e);
  g_assert_null (gguf);
  double seconds = (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  g_assert_cmpfloat (seconds, <=, MAX_SECONDS);
  g_assert_cmpint (peak_kib () - before, <=, MAX_EXTRA_KIB);
  /* And mapped from a file, as people meet it. */
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("inglenook-damaged-XXXXXX.gguf", &path, NULL);
  g_close (fd, NULL);
  g_assert_true (g_file_set_contents (path, (char *) s->bytes->data, s->bytes->len, NULL));
  check_error (d, s, eng_gguf_open (path, ENG_GGUF_MAP, &gguf, &e), &e);
  g_assert_null (gguf);
  g_unlink (path);
  g_test_message ("%s: %s at %" G_GUINT64_FORMAT ": %s", d->name, e.field, e.offset, e.text);
}

static void
test_limits_are_allowed (void)
{
  g_autoptr (Sample) s = sample_new ();
  EngGguf *gguf;
  EngError e;
  nest (s, ENG_GGUF_MAX_ARRAY_DEPTH);
  /* The splice moved the data, so the file may count as damaged further on, but not here. */
  if (eng_gguf_open_memory (s->bytes->data, s->bytes->len, &gguf, &e) != ENG_OK)
    g_assert_cmpstr (e.field, !=, "tokenizer.ggml.scores");
  eng_gguf_close (&gguf);
}

/* Every shorter file is refused, unless only the padding behind the last tensor is gone. */
static void
test_every_cut (void)
{
  g_autoptr (Sample) s = sample_new ();
  gsize used = s->data_start + 64 + 192 + 320 + 64; /* a, b, c padded to 64, d */
  g_assert_cmpuint (used, ==, s->bytes->len);
  for (gsize n = 0; n < used; n++)
    {
      g_autofree guint8 *exact = g_memdup2 (s->bytes->data, n ? n : 1);
      EngGguf *gguf;
      EngError e;
      EngStatus status = eng_gguf_open_memory (exact, n, &gguf, &e);
      g_assert_true (n < 4 ? status == ENG_ERR_FORMAT : status == ENG_ERR_TRUNCATED);
      g_assert_null (gguf);
    }
}

/* Bytes changed at random: whatever comes of it, no crash, and what opens can be walked. */
static void
test_random (void)
{
  g_autoptr (Sample) s = sample_new ();
  for (guint round = 0; round < 20000; round++)
    {
      g_autofree guint8 *bytes = g_memdup2 (s->bytes->data, s->bytes->len);
      EngGguf *gguf;
      EngError e;
      for (int k = g_test_rand_int_range (1, 4); k > 0; k--)
        bytes[g_test_rand_int_range (4, (int) s->header_end)] = (guint8) g_test_rand_int ();
      if (eng_gguf_open_memory (bytes, s->bytes->len, &gguf, &e) == ENG_OK)
        for (guint64 i = 0; i < eng_gguf_get_n_keys (gguf); i++)
          {
            EngGgufString key, string;
            EngGgufValue value;
            eng_gguf_get_entry (gguf, i, &key, &value);
            if (value.type != ENG_GGUF_ARRAY)
              continue;
            EngGgufStrings it = eng_gguf_array_get_strings (&value.array);
            while (eng_gguf_strings_next (&it, &string))
              g_assert_cmpuint (string.n_bytes, <=, s->bytes->len);
          }
      eng_gguf_close (&gguf);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpuint (G_N_ELEMENTS (damages), >=, 60);
  for (gsize i = 0; i < G_N_ELEMENTS (damages); i++)
    {
      g_autofree char *name = g_strdup_printf ("/gguf/damaged/%s", damages[i].name);
      g_test_add_data_func (g_strdelimit (name, " ", '-'), &damages[i], test_damage);
    }
  g_test_add_func ("/gguf/damaged/limits-are-allowed", test_limits_are_allowed);
  g_test_add_func ("/gguf/damaged/every-cut", test_every_cut);
  g_test_add_func ("/gguf/damaged/random", test_random);
  return g_test_run ();
}
