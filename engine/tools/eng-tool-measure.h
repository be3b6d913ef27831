/* SPDX-License-Identifier: Apache-2.0 */
/* What quantize needs to measure its result: the options, and a target's measure function over them. */
#pragma once

#include "eng-measure.h"
#include "eng-target.h"
#include "eng-tool.h"

/* Zero-initialize. */
typedef struct
{
  bool wanted;           /* --measure */
  const char *text_file; /* --measure-text: implies it */
  const char *reference; /* --reference */
  uint64_t max_seconds;  /* --measure-seconds; set a default before parsing */
  uint64_t n_threads;
  bool lines;            /* say on standard error when it measures: "phase measuring", "phase writing" */
  /* The rest is set by eng_tool_measure_begin (). */
  char *reference_file; /* where it lies when @reference is a folder */
  char *text;
  EngRuntime *runtime;
  EngSessionOptions session;
  EngMeasureOptions options;
  EngMeasure *measure;
} EngToolMeasure;

#define ENG_TOOL_MEASURE_OPTIONS(m)                                                                                    \
  { "--measure", ENG_TOOL_FLAG, &(m).wanted,                                                                           \
    "  measure perplexity and KL to the original when done, and keep them in the file" },                             \
  { "--measure-text", ENG_TOOL_STRING, &(m).text_file, "F  the text to measure with; else a built-in one" },           \
  { "--measure-seconds", ENG_TOOL_UINT, &(m).max_seconds,                                                              \
    "N  of the text, read what the original can in so many seconds (300)" },                                           \
  { "--reference", ENG_TOOL_STRING, &(m).reference, "MODEL  measure against this one instead of IN" }

/* Sets @target's measure if it is wanted, or needed for target->kl. @in_path: what is quantized; @out_path: where. Strings are
 * borrowed. ENG_ERR_IO and the like for the text. */
EngStatus eng_tool_measure_begin (EngToolMeasure *m, const char *in_path, const char *out_path, EngTarget *target,
                                  EngError *error);
void eng_tool_measure_end (EngToolMeasure *m);
