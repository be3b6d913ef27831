/* SPDX-License-Identifier: Apache-2.0 */
/* A batch of rows: what one run of a program takes. Prefill, decode, several conversations and
 * speculative verification are all the same call.
 * Plain C and free of other engine headers: cuda/ includes it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ENG_MAX_COORDINATES 4
#define ENG_ADAPTER_NONE UINT16_MAX

typedef struct
{
  uint32_t i_sequence;                   /* index into EngBatch.sequences */
  int32_t token;                         /* id in [0, n_vocab), or -1: use @embedding */
  uint32_t position[ENG_MAX_COORDINATES]; /* [0] is the place in the sequence's state */
  const float *embedding;                /* [n_embd] or NULL; lives until the run returns */
  uint16_t adapter;                      /* ENG_ADAPTER_NONE, or an adapter's index */
  bool wants_output;                     /* its logits are computed */
} EngRow;

/* State of one sequence as the cache laid it out. For group g, position p stands in block
 * tables[g][p / ENG_KV_BLOCK], place p % ENG_KV_BLOCK; window groups have UINT32_MAX for blocks
 * already dropped. The cache has made room for every position of the batch before the run. */
typedef struct
{
  const uint32_t *const *tables; /* [n_groups] arrays of block ids */
  uint32_t n_positions;          /* positions valid after this run: attention's upper bound */
} EngSequenceView;

/* Rows of one sequence stand together and in rising position. */
typedef struct
{
  const EngRow *rows;
  uint32_t n_rows;
  const EngSequenceView *sequences;
  uint32_t n_sequences;
} EngBatch;

#ifdef __cplusplus
}
#endif
