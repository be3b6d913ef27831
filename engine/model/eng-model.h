/* SPDX-License-Identifier: Apache-2.0 */
/* A model file, opened, checked, and compiled to a step program. Weights stay in the file: devices
 * take them from the source given here when they bind the program.
 *
 * A model never changes after eng_model_open () and is counted: any number of threads may use and share it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "eng-gguf.h"
#include "eng-program.h"
#include "eng-status.h"

typedef struct EngModel EngModel;

typedef struct
{
  uint64_t n_ctx; /* context that will be used; 0 = what the model was made for. LongRoPE alone cares */
  bool no_mmap;   /* read the weights into memory instead of mapping them */
} EngModelOptions;

/* What the file says of itself. Strings are NUL-terminated, valid UTF-8, never NULL, live as long as the model. */
typedef struct
{
  const char *name;         /* general.name, else the file's name */
  const char *architecture; /* "llama" */
  const char *licence;      /* general.license, "" if the file does not say */
  const char *type;         /* "Q4_K_M", "F16", …: general.file_type, else the type of most bytes */
  uint64_t n_parameters;
  uint64_t file_bytes;
  uint64_t tensor_bytes;
  uint32_t n_ctx_train;
  bool has_template;
  bool is_encoder; /* gives embeddings, not text */
} EngModelInfo;

/* ENG_ERR_UNSUPPORTED: the architecture, a tensor or a scaling that we do not have, by name.
 * ENG_ERR_FORMAT: hyper-parameters and tensors contradict each other (both values in the text), or
 * the file is broken. And everything that eng_gguf_open () gives. Reads headers only. */
EngStatus eng_model_open (const char *path, const EngModelOptions *options, EngModel **model,
                          EngError *error);
EngModel *eng_model_ref (EngModel *model);
/* Gives up one reference and sets *model to NULL. */
void eng_model_unref (EngModel **model);

const EngModelInfo *eng_model_get_info (const EngModel *model);
const EngProgram *eng_model_get_program (const EngModel *model);
const EngGguf *eng_model_get_file (const EngModel *model);

/* Bytes of tensor @source of the file: the function of an EngWeightSource whose data is the model. */
const void *eng_model_map_weight (void *model, uint64_t source, uint64_t *n_bytes);
/* Its release function: gives the tensor's pages back to the system; they come again when touched. */
void eng_model_release_weight (void *model, uint64_t source);
/* Its name function; NULL for a tensor that does not exist. */
const char *eng_model_get_weight_name (void *model, uint64_t source);
