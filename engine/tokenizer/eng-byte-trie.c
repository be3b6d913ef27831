/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-byte-trie.h"

#include <stdlib.h>
#include <string.h>

#include "eng-error.h"

typedef struct
{
  const EngString *string;
  int32_t id;
  uint32_t order; /* place in the caller's list, which decides between equal strings */
} Key;

/* A node whose children are still to be made from keys [low, high), equal up to @depth bytes. */
typedef struct
{
  uint32_t low, high, depth;
} Range;

static int
compare_keys (const void *pa, const void *pb)
{
  const Key *a = pa, *b = pb;
  size_t na = a->string->n_bytes, nb = b->string->n_bytes;
  int c = memcmp (a->string->text, b->string->text, na < nb ? na : nb);
  if (c == 0)
    c = na != nb ? (na < nb ? -1 : 1) : a->order < b->order ? -1 : 1;
  return c;
}

static size_t
common_prefix (const EngString *a, const EngString *b)
{
  size_t n = 0;
  while (n < a->n_bytes && n < b->n_bytes && a->text[n] == b->text[n])
    n++;
  return n;
}

/* Breadth first, so that the children of a node are neighbours; @ranges runs beside the nodes. */
static void
fill_nodes (EngByteTrie *trie, Range *ranges, const Key *keys, uint32_t n_keys)
{
  trie->n_nodes = 1;
  trie->nodes[0].id = ENG_TOKEN_NONE;
  ranges[0] = (Range) { 0, n_keys, 0 };
  for (uint32_t at = 0; at < trie->n_nodes; at++)
    {
      Range r = ranges[at];
      EngTrieNode *node = &trie->nodes[at];
      node->first_child = trie->n_nodes;
      uint32_t i = r.low;
      for (; i < r.high && keys[i].string->n_bytes == r.depth; i++)
        if (node->id == ENG_TOKEN_NONE)
          node->id = keys[i].id;
      while (i < r.high)
        {
          uint8_t label = (uint8_t) keys[i].string->text[r.depth];
          uint32_t from = i;
          while (i < r.high && (uint8_t) keys[i].string->text[r.depth] == label)
            i++;
          ranges[trie->n_nodes] = (Range) { from, i, r.depth + 1 };
          trie->nodes[trie->n_nodes++]
              = (EngTrieNode) { .id = ENG_TOKEN_NONE, .label = label };
          node->n_children++;
        }
    }
  for (uint32_t i = 0; i < trie->nodes[0].n_children; i++)
    {
      uint32_t child = trie->nodes[0].first_child + i;
      trie->root_child[trie->nodes[child].label] = child;
    }
}

EngStatus
eng_byte_trie_build (EngByteTrie *trie, EngArena *arena, const EngString *strings, int32_t *ids,
                     size_t n, EngError *error)
{
  EngStatus status = ENG_ERR_NO_MEMORY;
  Range *ranges = NULL;
  Key *keys = eng_alloc_array (n, sizeof *keys);
  if (!keys)
    goto done;
  for (size_t i = 0; i < n; i++)
    keys[i] = (Key) { &strings[ids[i]], ids[i], (uint32_t) i };
  qsort (keys, n, sizeof *keys, compare_keys);
  uint64_t n_nodes = 1;
  for (size_t i = 0; i < n; i++)
    n_nodes += keys[i].string->n_bytes
               - (i ? common_prefix (keys[i - 1].string, keys[i].string) : 0);
  if (n_nodes >= UINT32_MAX)
    {
      eng_free (keys);
      return eng_error_set (error, ENG_ERR_LIMIT, "tokenizer.ggml.tokens", ENG_OFFSET_NONE,
                            "the tokens are too long in all for a prefix tree");
    }
  trie->nodes = eng_arena_alloc_array (arena, n_nodes, sizeof *trie->nodes);
  ranges = eng_alloc_array (n_nodes, sizeof *ranges);
  if (!trie->nodes || !ranges)
    goto done;
  fill_nodes (trie, ranges, keys, (uint32_t) n);
  status = ENG_OK;
done:
  eng_free (ranges);
  eng_free (keys);
  if (status)
    eng_error_set (error, status, NULL, ENG_OFFSET_NONE, "no memory for the tokenizer");
  return status;
}

uint32_t
eng_byte_trie_child (const EngByteTrie *trie, uint32_t node, uint8_t label)
{
  if (node == 0)
    return trie->root_child[label];
  const EngTrieNode *parent = &trie->nodes[node];
  uint32_t low = parent->first_child, high = low + parent->n_children, end = high;
  while (low < high)
    {
      uint32_t mid = low + (high - low) / 2;
      if (trie->nodes[mid].label < label)
        low = mid + 1;
      else
        high = mid;
    }
  return low < end && trie->nodes[low].label == label ? low : 0;
}
