/* SPDX-License-Identifier: Apache-2.0 */
/* A model folder of a hub (config.json, safetensors, tokenizer files) to one GGUF file that other
 * readers of the format open too. Weights go through mappings and slabs of rows (eng-transfer-write.h);
 * beside them the tokenizer is held as a tree. */
#pragma once

#include "eng-target.h"

typedef struct
{
  const char *mix; /* a mixture of eng-mix.h, or NULL: the type that most of the weights have */
  EngTarget target; /* if set, @mix is not looked at */
  const char *importance_path; /* or NULL: eng-importance.h */
  EngTransferOptions transfer;
} EngConvertOptions;

typedef struct
{
  uint64_t in_bytes, out_bytes;
  uint64_t n_tensors;
  uint64_t n_encoded;   /* tensors of another type than the folder's */
  uint64_t n_fallbacks; /* rows did not fit the blocks of the type the mixture wanted */
  uint64_t n_without_importance; /* encoded matrices that the importance file does not know */
  uint64_t n_left_out, left_out_bytes; /* tensors of parts that a language model does without: eyes, ears, guesses ahead */
  char left_out[128];                  /* the first one's name, or "" */
  EngTargetReport target;
  char architecture[32]; /* as in general.architecture */
  char mix[16];          /* the one used; "" with a target */
} EngConvertReport;

/* ENG_ERR_UNSUPPORTED names what is not supported (architecture, option of config.json, dtype,
 * tokenizer, a tensor that no rule knows) before anything is written; ENG_ERR_NOT_FOUND a file or
 * tensor that is absent; ENG_ERR_FORMAT what is broken in which file; else as
 * eng_importance_open () and eng_target_write (). With transfer.only_size nothing is written and @out_path may be
 * NULL. *report (may be NULL) is filled on success. */
EngStatus eng_convert_folder (const char *folder, const char *out_path,
                              const EngConvertOptions *options, EngConvertReport *report,
                              EngError *error);
