/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring files against one reference model over one text: the reference reads the text once, its predictions
 * are kept in a file without a name, and each measured file is compared with them. So no two models are in memory
 * at once. One owner thread. */
#pragma once

#include "eng-perplexity.h"
#include "eng-transfer-write.h"

#define ENG_MEASURE_CHUNK 256u     /* tokens read without what stood before */
#define ENG_MEASURE_MAX_CHUNKS 8u

/* A page and a half in several languages, Chinese among them, and some code: our own words. */
const char *eng_measure_get_text (size_t *n_bytes);

typedef struct
{
  EngRuntime *runtime;              /* outlives the measure */
  const EngSessionOptions *session; /* where and how models run; context and outputs are set here */
  const char *reference;            /* path of its GGUF file */
  const char *text;                 /* UTF-8; NULL: eng_measure_get_text () */
  size_t text_bytes;
  const char *scratch_path;         /* the file with the predictions is made beside this one: 2 bytes a position and token of the vocabulary */
  double max_seconds;               /* for the reference's reading; 0 = no limit. What is not read by then is left out, but not the first chunk */
} EngMeasureOptions;

typedef struct EngMeasure EngMeasure;

/* @options and what it points to are borrowed until freed. ENG_ERR_NO_MEMORY. */
EngStatus eng_measure_new (const EngMeasureOptions *options, EngMeasure **out, EngError *error);
void eng_measure_free (EngMeasure **measure);

/* Lets the reference read, once; eng_measure_file () does it else. @transfer: cancel and progress (of chunks).
 * ENG_ERR_ARGUMENT: the text has fewer tokens than a chunk. ENG_ERR_UNSUPPORTED: an embedding model. ENG_ERR_IO,
 * ENG_ERR_CANCELLED, and what loading and running a model give. */
EngStatus eng_measure_prepare (EngMeasure *measure, const EngTransferOptions *transfer, EngError *error);

/* The same of the model at @path, whose tokens are the reference's. */
EngStatus eng_measure_file (EngMeasure *measure, const char *path, const EngTransferOptions *transfer, EngQuality *out,
                            EngError *error);
