/* SPDX-License-Identifier: Apache-2.0 */
/* Prefix tree over byte strings: all tokens that begin at a place of a text, in one walk. Built
 * once, then read from any thread. */
#pragma once

#include "eng-arena.h"
#include "eng-tokenizer.h"

typedef struct
{
  uint32_t first_child; /* children lie side by side, sorted by label */
  int32_t id;           /* token that ends here, or ENG_TOKEN_NONE */
  uint16_t n_children;
  uint8_t label;
} EngTrieNode;

typedef struct
{
  EngTrieNode *nodes; /* [0] is the root */
  uint32_t n_nodes;
  uint32_t root_child[256]; /* 0 = none */
} EngByteTrie;

/* Build from @n @ids, whose bytes are @strings[id], none empty. Of equal strings the id that comes
 * first in @ids stays. Reorders @ids. Memory is the arena's. ENG_ERR_NO_MEMORY, ENG_ERR_LIMIT. */
EngStatus eng_byte_trie_build (EngByteTrie *trie, EngArena *arena, const EngString *strings,
                               int32_t *ids, size_t n, EngError *error);

/* The child of @node by @label, or 0. Start with node 0. */
uint32_t eng_byte_trie_child (const EngByteTrie *trie, uint32_t node, uint8_t label);
