/* SPDX-License-Identifier: Apache-2.0 */
/* Gathering the importance of weights: a text is read by the model, and of every column of every matrix the squares of what
 * it is multiplied with are summed. Written as llama.cpp's imatrix tool writes it (GGUF): general.type "imatrix",
 * imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size; float32 tensors NAME.in_sum2 {n_cols, n_slices} and
 * NAME.counts {1, n_slices} (tokens). eng-importance.h reads it.
 *
 * Not gathered: the output head (as there, by default), and the down matrices of routed experts, whose input no step
 * shows; they are quantized without importance. */
#pragma once

#include <stdatomic.h>

#include "eng-session.h"

typedef struct
{
  const char *text; /* UTF-8; NULL: eng_importance_get_text () */
  size_t text_bytes;
  const char *dataset;   /* its name, to be kept in the file; not NULL */
  uint32_t chunk;        /* tokens read without what stood before, > 1, at most the session's context */
  uint64_t max_chunks;   /* 0 = all */
  const atomic_bool *cancel; /* NULL or looked at every 64 tokens */
  void (*progress) (void *data, uint64_t done_tokens, uint64_t total_tokens); /* or NULL */
  void *progress_data;
} EngGatherOptions;

typedef struct
{
  uint64_t n_tokens, n_chunks, n_matrices;
} EngGatherReport;

/* A few pages in several languages, Chinese among them, and some code: our own words. */
const char *eng_importance_get_text (size_t *n_bytes);

/* @session runs on the CPU, has text, is not shared meanwhile, and read nothing yet. The file appears when it is complete.
 * ENG_ERR_UNSUPPORTED: an embedding model. ENG_ERR_ARGUMENT: the text has no two tokens. ENG_ERR_FORMAT: the
 * model computes numbers that are not finite. ENG_ERR_CANCELLED, and what the runner and the writer give. */
EngStatus eng_importance_gather (EngSession *session, const char *out_path,
                                 const EngGatherOptions *options, EngGatherReport *report,
                                 EngError *error);
