/* SPDX-License-Identifier: Apache-2.0 */
/* Bookkeeping of the KV cache: which block of a device's state holds which positions of which
 * sequence, and which tokens stand there. It holds no keys or values itself: devices do, in blocks
 * of a fixed number of positions, and this says which block number to read and write.
 *
 * Blocks are counted, so that sequences may share what they have in common: a fork shares every block, and the
 * first write into a shared block copies it. A group with a window keeps old blocks as long as
 * nobody needs them, which lets a sequence be cut back further than its window alone would allow.
 *
 * A recurrent group's block holds no positions but the state behind the last one that was run of those which an entry
 * stands for. So a sequence needs the newest entry only (and, while rows run, the one they start from); full ones
 * before it are checkpoints, to which it can be cut. Some are kept while there is room: at the end of every append
 * and behind the last whole block before it; where they stand closest, for their distance from the end, one goes first.
 *
 * When blocks run out, first blocks that slid out of their window and checkpoints are dropped, then sequences that
 * are not busy are forgotten, longest unused first. Forgetting is safe: their owner finds the sequence empty and
 * computes it again.
 *
 * One owner thread. After _new nothing here allocates. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "eng-error.h"

#define ENG_KV_MAX_GROUPS 8u
#define ENG_KV_NO_BLOCK UINT32_MAX
#define ENG_KV_NO_SEQUENCE UINT32_MAX

typedef struct EngKvCache EngKvCache;

typedef struct
{
  uint32_t n_groups;                     /* 0 … ENG_KV_MAX_GROUPS */
  uint32_t n_blocks[ENG_KV_MAX_GROUPS];  /* blocks the devices hold, per group */
  uint32_t windows[ENG_KV_MAX_GROUPS];   /* positions a row looks back, itself included; 0 = all */
  bool recurrent[ENG_KV_MAX_GROUPS];     /* such groups have no window; at least two blocks a sequence */
  uint32_t block_positions;              /* positions a block, > 0 */
  uint32_t max_sequences;                /* > 0 */
  uint32_t max_positions;                /* of one sequence, > 0 */
  /* Copy block @from to @to on every device. May be NULL if nothing is ever forked. */
  EngStatus (*copy_block) (void *data, uint32_t group, uint32_t from, uint32_t to, EngError *error);
  void *copy_data;
} EngKvCacheOptions;

/* ENG_ERR_ARGUMENT for a number out of range, ENG_ERR_NO_MEMORY. */
EngStatus eng_kv_cache_new (const EngKvCacheOptions *options, EngKvCache **cache, EngError *error);
void eng_kv_cache_free (EngKvCache **cache);

/* A new, empty, busy sequence. When all are taken the longest unused one that is not busy is forgotten;
 * ENG_ERR_BUSY if all are busy. */
EngStatus eng_kv_cache_add (EngKvCache *cache, uint32_t *sequence, EngError *error);
void eng_kv_cache_remove (EngKvCache *cache, uint32_t sequence);

/* A new busy sequence that begins with the first @n_positions of @from, sharing their blocks.
 * ENG_ERR_ARGUMENT when @from cannot be cut there (see _get_reusable), ENG_ERR_BUSY as for _add. */
EngStatus eng_kv_cache_fork (EngKvCache *cache, uint32_t from, uint32_t n_positions,
                             uint32_t *sequence, EngError *error);

/* A busy sequence is never forgotten to make room. Sequences that are not busy can vanish with any
 * later _add, _fork or _append: ask _exists with the generation that _add's _get_generation gave. */
void eng_kv_cache_set_busy (EngKvCache *cache, uint32_t sequence, bool busy);
uint64_t eng_kv_cache_get_generation (const EngKvCache *cache, uint32_t sequence);
bool eng_kv_cache_exists (const EngKvCache *cache, uint32_t sequence, uint64_t generation);

/* Make room for @n further positions that hold @tokens (-1 for a row without a token) and count them
 * in. Copies the shared block they begin in, if there is one. The caller then runs the rows; if that fails it
 * takes them back. On failure nothing changed, but other sequences may have been forgotten:
 * ENG_ERR_CONTEXT_FULL (needed and available in tokens) past max_positions or out of blocks, or what copy_block gave. */
EngStatus eng_kv_cache_append (EngKvCache *cache, uint32_t sequence, const int32_t *tokens,
                               uint32_t n, EngError *error);

/* The largest m <= @n to which the sequence can be cut so that generation may go on there: @n itself, or 0 when a window's
 * blocks before @n are gone; with recurrent groups n_positions or a checkpoint. @n <= n_positions. */
uint32_t eng_kv_cache_get_reusable (const EngKvCache *cache, uint32_t sequence, uint32_t n);

/* Longest prefix of @tokens that the sequence holds and can be cut to. */
uint32_t eng_kv_cache_match (const EngKvCache *cache, uint32_t sequence, const int32_t *tokens,
                             uint32_t n);

/* Forget everything from position @n on. @n must be what _get_reusable gives for it, else
 * ENG_ERR_ARGUMENT and nothing changed. */
EngStatus eng_kv_cache_cut (EngKvCache *cache, uint32_t sequence, uint32_t n, EngError *error);

/* Say which tokens stand at positions [@first, @first + @n), all of which the sequence holds. */
void eng_kv_cache_set_tokens (EngKvCache *cache, uint32_t sequence, uint32_t first, const int32_t *tokens, uint32_t n);
/* Only the rows before @n of the newest append ran: forget the others. With recurrent groups @n stands behind its first row
 * and in the block in which it ends. */
void eng_kv_cache_shorten (EngKvCache *cache, uint32_t sequence, uint32_t n);
/* Undo the newest append, which began at @n: as before if its rows did not run (@ran false), else cut to the largest
 * m <= @n whose recurrent state is still whole; without recurrent groups that is @n. */
void eng_kv_cache_take_back (EngKvCache *cache, uint32_t sequence, uint32_t n, bool ran);

uint32_t eng_kv_cache_get_n_positions (const EngKvCache *cache, uint32_t sequence);
/* [n_positions], valid until the next call that changes the sequence. */
const int32_t *eng_kv_cache_get_tokens (const EngKvCache *cache, uint32_t sequence);
/* [n_groups] block tables as EngSequenceView wants them; entries change with _append and _cut, the
 * pointers stay as long as the cache. */
const uint32_t *const *eng_kv_cache_get_tables (const EngKvCache *cache, uint32_t sequence);

/* Blocks of @group that nobody holds. */
uint32_t eng_kv_cache_get_n_free (const EngKvCache *cache, uint32_t group);
/* Recount everything and compare with the book (tests): true when the invariants hold. */
bool eng_kv_cache_check (const EngKvCache *cache);
