/* SPDX-License-Identifier: Apache-2.0 */
/* A model file to one of other types: smaller, or back to floats. */
#pragma once

#include "eng-target.h"

typedef struct
{
  const char *mix;             /* "Q4_K_M", "F32", …: eng-mix.h; not looked at with a target */
  EngTarget target;
  const char *importance_path; /* or NULL: eng-importance.h */
  EngTransferOptions transfer;
} EngQuantizeOptions;

typedef struct
{
  uint64_t in_bytes, out_bytes; /* files */
  uint64_t n_tensors;
  uint64_t n_encoded;   /* tensors whose type changed */
  uint64_t n_fallbacks; /* rows did not fit the blocks of the type the mixture wanted */
  uint64_t n_requantized; /* encoded matrices that the file has quantized: worse than from the original */
  uint64_t n_without_importance; /* encoded matrices that the importance file does not know */
  EngTargetReport target;
} EngQuantizeReport;

/* Reads @in_path (all parts of a split model) and writes @out_path, which appears when complete and
 * may be @in_path itself. To F32 it is exact: every number is what eng_dequantize_row () gives.
 * With transfer.only_size nothing is written and @out_path may be NULL: the report says what would be.
 * *report is filled on success; NULL is allowed. Errors: those of eng_gguf_open (),
 * eng_importance_open () and eng_target_write (); ENG_ERR_ARGUMENT for an unknown mixture. */
EngStatus eng_quantize_file (const char *in_path, const char *out_path,
                             const EngQuantizeOptions *options, EngQuantizeReport *report,
                             EngError *error);
