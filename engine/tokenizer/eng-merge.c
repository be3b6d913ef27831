/* SPDX-License-Identifier: Apache-2.0 */
/* Merging neighbours, best first: a list of symbols and a heap of candidates, so that a run of a
 * million letters takes n log n steps. Candidates that a merge made out of date stay in the heap
 * and are known by the lengths they were made for: a symbol's start never moves, so equal lengths
 * mean the same two symbols. */
#include <string.h>

#include "eng-tokenizer-private.h"

#define NONE UINT32_MAX

bool
eng_scratch_reserve (void **p, size_t *capacity, size_t n, size_t size)
{
  if (n <= *capacity)
    return true;
  size_t grown = *capacity ? *capacity : 64;
  while (grown < n)
    if (__builtin_mul_overflow (grown, (size_t) 2, &grown))
      return false;
  void *q = eng_realloc_array (*p, grown, size);
  if (!q)
    return false;
  *p = q;
  *capacity = grown;
  return true;
}

static bool
heap_push (EngScratch *s, EngCandidate c)
{
  if (!eng_scratch_reserve ((void **) &s->heap, &s->heap_capacity, s->n_heap + 1, sizeof *s->heap))
    return false;
  size_t i = s->n_heap++;
  for (; i > 0 && s->heap[(i - 1) / 2].key > c.key; i = (i - 1) / 2)
    s->heap[i] = s->heap[(i - 1) / 2];
  s->heap[i] = c;
  return true;
}

static EngCandidate
heap_pop (EngScratch *s)
{
  EngCandidate top = s->heap[0], last = s->heap[--s->n_heap];
  size_t i = 0, child;
  while ((child = 2 * i + 1) < s->n_heap)
    {
      if (child + 1 < s->n_heap && s->heap[child + 1].key < s->heap[child].key)
        child++;
      if (s->heap[child].key >= last.key)
        break;
      s->heap[i] = s->heap[child];
      i = child;
    }
  s->heap[i] = last;
  return top;
}

void
eng_scratch_free (EngScratch *scratch)
{
  eng_free (scratch->symbols);
  eng_free (scratch->heap);
  eng_free (scratch->text);
  eng_free (scratch->path);
  *scratch = (EngScratch) { 0 };
}

bool
eng_scratch_put (EngScratch *scratch, const void *bytes, size_t n)
{
  if (!eng_scratch_reserve ((void **) &scratch->text, &scratch->text_capacity,
                            scratch->n_text + n, 1))
    return false;
  if (n)
    memcpy (scratch->text + scratch->n_text, bytes, n);
  scratch->n_text += n;
  return true;
}

bool
eng_scratch_add_symbol (EngScratch *scratch, uint32_t start, uint32_t n_bytes, int32_t id)
{
  if (!eng_scratch_reserve ((void **) &scratch->symbols, &scratch->symbols_capacity,
                            scratch->n_symbols + 1, sizeof *scratch->symbols))
    return false;
  uint32_t i = (uint32_t) scratch->n_symbols++;
  scratch->symbols[i] = (EngSymbol) { start, n_bytes, id, i ? i - 1 : NONE, NONE };
  if (i)
    scratch->symbols[i - 1].next = i;
  return true;
}

static uint64_t
lengths (const EngSymbol *left, const EngSymbol *right)
{
  return (uint64_t) left->n_bytes << 32 | right->n_bytes;
}

static bool
add_candidate (const EngTokenizer *tok, EngScratch *s, const uint8_t *text, EngPairFunc pair,
               uint32_t i_left, uint32_t i_right)
{
  if (i_left == NONE || i_right == NONE)
    return true;
  const EngSymbol *left = &s->symbols[i_left], *right = &s->symbols[i_right];
  uint32_t priority;
  int32_t id;
  if (!pair (tok, text, left, right, &priority, &id))
    return true;
  return heap_push (s, (EngCandidate) { (uint64_t) priority << 32 | i_left, lengths (left, right),
                                        id });
}

bool
eng_merge_symbols (const EngTokenizer *tok, EngScratch *scratch, const uint8_t *text,
                   EngPairFunc pair)
{
  scratch->n_heap = 0;
  for (uint32_t i = 1; i < scratch->n_symbols; i++)
    if (!add_candidate (tok, scratch, text, pair, i - 1, i))
      return false;
  while (scratch->n_heap > 0)
    {
      EngCandidate c = heap_pop (scratch);
      uint32_t i = (uint32_t) c.key;
      EngSymbol *left = &scratch->symbols[i];
      if (left->n_bytes == 0 || left->next == NONE)
        continue;
      EngSymbol *right = &scratch->symbols[left->next];
      if (lengths (left, right) != c.check)
        continue;
      left->n_bytes += right->n_bytes;
      left->id = c.id;
      left->next = right->next;
      right->n_bytes = 0;
      if (right->next != NONE)
        scratch->symbols[right->next].prev = i;
      if (!add_candidate (tok, scratch, text, pair, left->prev, i)
          || !add_candidate (tok, scratch, text, pair, i, left->next))
        return false;
    }
  return true;
}
