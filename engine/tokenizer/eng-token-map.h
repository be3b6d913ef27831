/* SPDX-License-Identifier: Apache-2.0 */
/* Hash table from bytes to a token id. Built once, then read from any thread. */
#pragma once

#include "eng-arena.h"
#include "eng-tokenizer.h"

typedef struct
{
  const EngString *strings; /* borrowed: [id], what the ids stand for */
  int32_t *slots;           /* id + 1, 0 = free */
  uint32_t *hashes;
  uint32_t mask;
} EngTokenMap;

/* Room for @n_max ids; memory is the arena's. False when it ran out. */
bool eng_token_map_init (EngTokenMap *map, EngArena *arena, const EngString *strings, size_t n_max);
/* Add @id unless an id with the same bytes is there; returns the id that stands for them now. */
int32_t eng_token_map_add (EngTokenMap *map, int32_t id);
/* ENG_TOKEN_NONE if absent. */
int32_t eng_token_map_find (const EngTokenMap *map, const void *bytes, size_t n);
