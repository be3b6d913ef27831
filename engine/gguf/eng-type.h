/* SPDX-License-Identifier: Apache-2.0 */
/* Number formats of tensors, with GGUF's own ids, and the arithmetic of their blocks.
 * Plain C and free of other engine headers: cuda/ includes it.
 * Ids, block lengths and block sizes: GGUF specification (ggml-org/ggml, docs/gguf.md); the bits
 * within a block are described in quant/eng-block.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers stand in files and cross the wire: never renumber. */
typedef enum
{
  ENG_TYPE_F32 = 0,
  ENG_TYPE_F16 = 1,
  ENG_TYPE_Q4_0 = 2,
  ENG_TYPE_Q4_1 = 3,
  ENG_TYPE_Q5_0 = 6,
  ENG_TYPE_Q5_1 = 7,
  ENG_TYPE_Q8_0 = 8,
  ENG_TYPE_Q2_K = 10,
  ENG_TYPE_Q3_K = 11,
  ENG_TYPE_Q4_K = 12,
  ENG_TYPE_Q5_K = 13,
  ENG_TYPE_Q6_K = 14,
  ENG_TYPE_IQ4_NL = 20,
  ENG_TYPE_IQ4_XS = 23,
  ENG_TYPE_I8 = 24,
  ENG_TYPE_I16 = 25,
  ENG_TYPE_I32 = 26,
  ENG_TYPE_I64 = 27,
  ENG_TYPE_F64 = 28,
  ENG_TYPE_BF16 = 30,
  ENG_TYPE_MXFP4 = 39,
  ENG_TYPE_NONE = 255, /* "no type": not in files */
} EngType;

#define ENG_TYPE_LIMIT 256 /* every EngType is below this */

/* What a type is made of: blocks of @block_elements numbers in @block_bytes bytes. A row holds a
 * whole number of blocks. */
typedef struct
{
  const char *name;        /* "Q4_K" */
  uint32_t block_elements; /* 1, 32 or 256 */
  uint32_t block_bytes;
  bool is_weight; /* eng_dequantize_row () turns it into float32; false for integers and F64 */
} EngTypeInfo;

/* NULL when @type (any number, such as one read from a file) is not an EngType. Any thread. */
const EngTypeInfo *eng_type_get_info (uint32_t type);

/* Name of any type number that the format defines, such as "IQ2_XXS" for one that this engine does
 * not read; "unknown" for the rest. Never NULL. */
const char *eng_type_get_name (uint32_t type);

/* The EngType of @name (upper or lower case), or ENG_TYPE_NONE. */
EngType eng_type_from_name (const char *name);

/* Bytes of a row of @n_cols numbers. False when @type is unknown, @n_cols is 0 or no multiple of
 * the block length, or the size overflows; *out_bytes is then untouched. */
bool eng_type_row_bytes (uint32_t type, uint64_t n_cols, uint64_t *out_bytes);

#ifdef __cplusplus
}
#endif
