/* SPDX-License-Identifier: Apache-2.0 */
/* A small valid model file made by the writer, and where everything stands in it. The walker that
 * finds the places is the test's own: it shares no code with the reader. */
#pragma once

#include <glib.h>

typedef struct
{
  gsize key_length, key, type, value; /* offsets of one metadata entry */
} SampleKv;

typedef struct
{
  gsize name_length, name, n_dims, dims, type, offset;
} SampleTensor;

#define SAMPLE_N_KEYS 10
#define SAMPLE_N_TENSORS 4

/* Keys by number: 0 general.architecture string, 1 general.alignment u32, 2 test.flag bool,
 * 3 test.large u64, 4 test.scale f32, 5 tokenizer.ggml.tokens string array of 4,
 * 6 tokenizer.ggml.scores f32 array of 4, 7 tokenizer.ggml.token_type i32 array of 4,
 * 8 test.flags bool array of 3, 9 test.negative i32 (-3).
 * Tensors: 0 "a.weight" F32 {4, 3}, 1 "b.weight" Q8_0 {64, 2}, 2 "c.weight" Q4_K {256, 2},
 * 3 "d.weight" F16 {8, 2, 2}. */
typedef struct
{
  GByteArray *bytes;
  SampleKv kvs[SAMPLE_N_KEYS];
  SampleTensor tensors[SAMPLE_N_TENSORS];
  gsize start; /* 0 */
  gsize header_end, data_start;
} Sample;

/* Writes the file as @path with eng_gguf_writer and fails the test if that fails. */
void sample_write (const char *path);
Sample *sample_new (void);
void sample_free (Sample *sample);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Sample, sample_free)

guint64 sample_get_u64 (const Sample *sample, gsize at);
void sample_put (Sample *sample, gsize at, guint64 value, gsize n_bytes);
/* Replace @n_old bytes at @at. */
void sample_splice (Sample *sample, gsize at, gsize n_old, const void *bytes, gsize n_new);
