/* SPDX-License-Identifier: Apache-2.0 */
/* Which tensor of a model becomes which type under a named mixture such as Q4_K_M. The mixtures are
 * those that people know from published files: the same names choose the same types, so that sizes
 * and expectations carry over (as of llama.cpp in October 2026; but where rows do not fit the blocks
 * of Q2_K and Q3_K we take IQ4_NL, of the same size as its Q4_0 and closer). No state: any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "eng-gguf.h"

typedef struct
{
  const char *name;   /* "Q4_K_M" */
  uint32_t file_type; /* the number that general.file_type gets */
  EngType base;       /* of tensors that no rule names */
} EngMix;

/* By name, upper or lower case; "Q4_K" means "Q4_K_M" and so on. NULL if there is none. */
const EngMix *eng_mix_find (const char *name);
/* All names with ", " between, for messages. */
const char *eng_mix_get_names (void);

/* What the rules look at. */
typedef struct
{
  const EngMix *mix;
  uint32_t n_layers, n_experts;
  uint32_t n_heads_per_kv; /* queries that share a key/value head; 1 if unknown */
  bool has_output;         /* a matrix of its own: the token embedding is not tied */
  bool has_importance;
} EngMixModel;

/* Reads the numbers from @gguf's metadata; absent ones get harmless values. */
void eng_mix_model_init (EngMixModel *model, const EngMix *mix, const EngGguf *gguf);

/* The type for a tensor of @name that is now of @type. Vectors, norms, routers, position tables and
 * what is no weight stay as they are, except that a float mixture makes F32 of them where they were
 * quantized. @is_fallback (may be NULL): the mixture wanted another type, but rows of dims[0] numbers
 * do not fit its blocks. */
EngType eng_mix_choose (const EngMixModel *model, const char *name, EngType type, uint32_t n_dims,
                        const uint64_t *dims, bool *is_fallback);

/* Tensors that no mixture quantizes: vectors, norms, routers, position tables. */
bool eng_mix_stays (const char *name, uint32_t n_dims);
