/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants (tests cite the numbers; eng_kv_cache_check () verifies them):
 *  1. counts[g][b] is the number of table entries of all sequences that name block b of group g.
 *  2. A block is in the free stack exactly when its count is 0.
 *  3. Entry i of a sequence's table names a block for first[g] <= i < ceil (n_positions / block)
 *     and is ENG_KV_NO_BLOCK everywhere else. first[g] is 0 in groups without a window.
 *     In a recurrent group only the entries of positions n_positions - 1 and n_settled - 1 must name one.
 *  4. In a window group every position in [n_settled - window, n_positions) has its block. n_settled is where
 *     the newest append began: the rows behind it may not have run yet and look back from there.
 *  5. A block with a count above 1 is never written: append copies it first.
 */
#include "eng-kv-cache.h"

#include <string.h>

#include "eng-arena.h"

typedef struct
{
  bool used, busy;
  uint64_t generation;
  uint64_t last_use;
  uint32_t n_positions;
  uint32_t n_settled; /* <= n_positions */
  uint32_t first[ENG_KV_MAX_GROUPS];
  uint32_t *tables[ENG_KV_MAX_GROUPS]; /* [n_entries] each */
  int32_t *tokens;                     /* [max_positions] */
} Sequence;

struct EngKvCache
{
  EngKvCacheOptions options;
  EngArena arena;
  uint32_t n_entries; /* of a table */
  uint32_t *counts[ENG_KV_MAX_GROUPS];
  uint32_t *free_blocks[ENG_KV_MAX_GROUPS]; /* a stack */
  uint32_t n_free[ENG_KV_MAX_GROUPS];
  Sequence *sequences; /* [max_sequences] */
  uint64_t clock, next_generation;
};

static uint32_t
blocks_for (const EngKvCache *c, uint32_t n_positions)
{
  return (uint32_t) (((uint64_t) n_positions + c->options.block_positions - 1)
                     / c->options.block_positions);
}

/* First block that a row at position @n still looks at in group @g. */
static uint32_t
first_needed (const EngKvCache *c, uint32_t g, uint32_t n)
{
  uint32_t window = c->options.windows[g];
  return window == 0 || n <= window ? 0 : (n - window) / c->options.block_positions;
}

EngStatus
eng_kv_cache_new (const EngKvCacheOptions *o, EngKvCache **out, EngError *error)
{
  if (o->n_groups > ENG_KV_MAX_GROUPS || o->block_positions == 0 || o->max_sequences == 0
      || o->max_positions == 0 || o->max_positions > INT32_MAX)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "kv-cache", ENG_OFFSET_NONE,
                          "the cache's shape is out of range");
  EngKvCache *c = eng_alloc (sizeof *c);
  if (!c)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory for the cache");
  c->options = *o;
  c->n_entries = blocks_for (c, o->max_positions);
  bool ok = (c->sequences
             = eng_arena_alloc_array (&c->arena, o->max_sequences, sizeof *c->sequences))
            != NULL;
  for (uint32_t g = 0; ok && g < o->n_groups; g++)
    {
      c->counts[g] = eng_arena_alloc_array (&c->arena, o->n_blocks[g], sizeof (uint32_t));
      c->free_blocks[g] = eng_arena_alloc_array (&c->arena, o->n_blocks[g], sizeof (uint32_t));
      ok = c->counts[g] && c->free_blocks[g];
      /* Low numbers on top: a short talk touches few pages of a device's memory. */
      for (uint32_t b = 0; ok && b < o->n_blocks[g]; b++)
        c->free_blocks[g][b] = o->n_blocks[g] - 1 - b;
      c->n_free[g] = o->n_blocks[g];
    }
  for (uint32_t s = 0; ok && s < o->max_sequences; s++)
    {
      Sequence *q = &c->sequences[s];
      ok = (q->tokens = eng_arena_alloc_array (&c->arena, o->max_positions, sizeof (int32_t)))
           != NULL;
      for (uint32_t g = 0; ok && g < o->n_groups; g++)
        {
          q->tables[g] = eng_arena_alloc_array (&c->arena, c->n_entries, sizeof (uint32_t));
          ok = q->tables[g] != NULL;
          if (ok)
            memset (q->tables[g], 0xff, c->n_entries * sizeof (uint32_t));
        }
    }
  if (!ok)
    {
      eng_kv_cache_free (&c);
      return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                            "no memory for the cache");
    }
  *out = c;
  return ENG_OK;
}

void
eng_kv_cache_free (EngKvCache **cache)
{
  if (!*cache)
    return;
  eng_arena_clear (&(*cache)->arena);
  eng_free (*cache);
  *cache = NULL;
}

/* --- blocks --- */

static void
release_block (EngKvCache *c, uint32_t g, uint32_t block)
{
  if (--c->counts[g][block] == 0)
    c->free_blocks[g][c->n_free[g]++] = block;
}

/* Drop entries [from, to) of @q in group @g. */
static void
release_entries (EngKvCache *c, Sequence *q, uint32_t g, uint32_t from, uint32_t to)
{
  for (uint32_t i = from; i < to; i++)
    if (q->tables[g][i] != ENG_KV_NO_BLOCK)
      {
        release_block (c, g, q->tables[g][i]);
        q->tables[g][i] = ENG_KV_NO_BLOCK;
      }
}

static void
clear_sequence (EngKvCache *c, Sequence *q)
{
  for (uint32_t g = 0; g < c->options.n_groups; g++)
    {
      release_entries (c, q, g, q->first[g], blocks_for (c, q->n_positions));
      q->first[g] = 0;
    }
  q->n_positions = q->n_settled = 0;
}

/* Drop what slid out of its window in group @g, from every sequence. */
static void
drop_old_blocks (EngKvCache *c, uint32_t g)
{
  for (uint32_t s = 0; s < c->options.max_sequences; s++)
    {
      Sequence *q = &c->sequences[s];
      uint32_t needed = q->used ? first_needed (c, g, q->n_settled) : 0;
      if (needed <= q->first[g])
        continue;
      release_entries (c, q, g, q->first[g], needed);
      q->first[g] = needed;
    }
}

static Sequence *
find_longest_unused (EngKvCache *c)
{
  Sequence *oldest = NULL;
  for (uint32_t s = 0; s < c->options.max_sequences; s++)
    {
      Sequence *q = &c->sequences[s];
      if (q->used && !q->busy && (!oldest || q->last_use < oldest->last_use))
        oldest = q;
    }
  return oldest;
}

static void
forget (EngKvCache *c, Sequence *q)
{
  clear_sequence (c, q);
  q->used = q->busy = false;
}

/* --- checkpoints of recurrent groups --- */

/* Whether entry @i of @q must stay: the newest, and the one that rows not yet run start from. */
static bool
is_needed (const EngKvCache *c, const Sequence *q, uint32_t i)
{
  return i + 1 == blocks_for (c, q->n_positions) || i + 1 == blocks_for (c, q->n_settled);
}

/* Entry of @q that is missed least: little lies between its neighbours, measured by how far it is from the end. */
static uint32_t
find_dense_checkpoint (const EngKvCache *c, const Sequence *q, uint32_t g, double *cost)
{
  uint32_t n = blocks_for (c, q->n_positions), best = n, before = 0, candidate = n;
  *cost = 0;
  for (uint32_t i = 0; i < n; i++)
    {
      if (q->tables[g][i] == ENG_KV_NO_BLOCK)
        continue;
      if (candidate < n)
        {
          double now = (double) (i + 1 - before) / (n - candidate);
          if (best == n || now < *cost)
            best = candidate, *cost = now;
          before = candidate + 1;
          candidate = n;
        }
      if (is_needed (c, q, i))
        before = i + 1;
      else
        candidate = i;
    }
  return best;
}

/* False: there is none. A shared one that goes frees no block yet. */
static bool
drop_checkpoint (EngKvCache *c, uint32_t g)
{
  Sequence *from = NULL;
  uint32_t entry = 0;
  double least = 0;
  for (uint32_t s = 0; s < c->options.max_sequences; s++)
    {
      Sequence *q = &c->sequences[s];
      double cost;
      uint32_t i = q->used ? find_dense_checkpoint (c, q, g, &cost) : 0;
      if (!q->used || i == blocks_for (c, q->n_positions) || (from && cost >= least))
        continue;
      from = q;
      entry = i;
      least = cost;
    }
  if (from)
    release_entries (c, from, g, entry, entry + 1);
  return from != NULL;
}

static void
drop_checkpoints (EngKvCache *c, uint32_t g, uint32_t n)
{
  while (c->n_free[g] < n && drop_checkpoint (c, g))
    continue;
}

/* See that group @g has @n free blocks. */
static bool
make_free (EngKvCache *c, uint32_t g, uint32_t n)
{
  if (c->n_free[g] < n && c->options.windows[g])
    drop_old_blocks (c, g);
  if (c->options.recurrent[g])
    drop_checkpoints (c, g, n);
  while (c->n_free[g] < n)
    {
      Sequence *q = find_longest_unused (c);
      if (!q)
        return false;
      forget (c, q);
    }
  return true;
}

static uint32_t
take_block (EngKvCache *c, uint32_t g)
{
  uint32_t block = c->free_blocks[g][--c->n_free[g]];
  c->counts[g][block] = 1;
  return block;
}

/* --- sequences --- */

EngStatus
eng_kv_cache_add (EngKvCache *c, uint32_t *sequence, EngError *error)
{
  Sequence *q = NULL;
  for (uint32_t s = 0; s < c->options.max_sequences && !q; s++)
    if (!c->sequences[s].used)
      q = &c->sequences[s];
  if (!q && (q = find_longest_unused (c)))
    forget (c, q);
  if (!q)
    return eng_error_set_numbers (error, ENG_ERR_BUSY, "sequences", c->options.max_sequences + 1,
                                  c->options.max_sequences, "every sequence of the cache is in use");
  q->used = q->busy = true;
  q->generation = ++c->next_generation;
  q->last_use = ++c->clock;
  *sequence = (uint32_t) (q - c->sequences);
  return ENG_OK;
}

void
eng_kv_cache_remove (EngKvCache *c, uint32_t sequence)
{
  ENG_ASSERT (sequence < c->options.max_sequences);
  if (c->sequences[sequence].used)
    forget (c, &c->sequences[sequence]);
}

EngStatus
eng_kv_cache_fork (EngKvCache *c, uint32_t from, uint32_t n_positions, uint32_t *sequence,
                   EngError *error)
{
  ENG_ASSERT (from < c->options.max_sequences && c->sequences[from].used);
  const Sequence *source = &c->sequences[from];
  if (n_positions > source->n_positions
      || eng_kv_cache_get_reusable (c, from, n_positions) != n_positions)
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "n_positions", n_positions,
                                  source->n_positions, "the sequence cannot be forked there");
  /* The source must not be the one that is forgotten to make room. */
  bool was_busy = source->busy;
  c->sequences[from].busy = true;
  uint32_t s;
  EngStatus status = eng_kv_cache_add (c, &s, error);
  c->sequences[from].busy = was_busy;
  if (status != ENG_OK)
    return status;
  Sequence *q = &c->sequences[s];
  uint32_t n = blocks_for (c, n_positions);
  for (uint32_t g = 0; g < c->options.n_groups; g++)
    {
      q->first[g] = source->first[g] < n ? source->first[g] : n;
      for (uint32_t i = q->first[g]; i < n; i++)
        {
          q->tables[g][i] = source->tables[g][i];
          if (q->tables[g][i] != ENG_KV_NO_BLOCK)
            c->counts[g][q->tables[g][i]]++;
        }
    }
  memcpy (q->tokens, source->tokens, n_positions * sizeof (int32_t));
  q->n_positions = q->n_settled = n_positions;
  *sequence = s;
  return ENG_OK;
}

void
eng_kv_cache_set_busy (EngKvCache *c, uint32_t sequence, bool busy)
{
  c->sequences[sequence].busy = busy;
  c->sequences[sequence].last_use = ++c->clock;
}

uint64_t
eng_kv_cache_get_generation (const EngKvCache *c, uint32_t sequence)
{
  return c->sequences[sequence].generation;
}

bool
eng_kv_cache_exists (const EngKvCache *c, uint32_t sequence, uint64_t generation)
{
  return sequence < c->options.max_sequences && c->sequences[sequence].used
         && c->sequences[sequence].generation == generation;
}

/* Give entry n_positions / block of group @g a block of its own if it shares one (invariant 5). */
static EngStatus
unshare_last (EngKvCache *c, Sequence *q, uint32_t g, EngError *error)
{
  uint32_t i = q->n_positions / c->options.block_positions;
  uint32_t shared = q->tables[g][i];
  uint32_t own = take_block (c, g);
  EngStatus status = ENG_OK;
  if (c->options.copy_block)
    status = c->options.copy_block (c->options.copy_data, g, shared, own, error);
  if (status != ENG_OK)
    {
      release_block (c, g, own);
      return status;
    }
  q->tables[g][i] = own;
  release_block (c, g, shared);
  return ENG_OK;
}

/* Entry @n_whole - 1, behind the last whole block, if it is new (at or behind entry @first) and there is room. */
static void
add_checkpoints (EngKvCache *c, Sequence *q, uint32_t first, uint32_t n_whole)
{
  for (uint32_t g = 0; g < c->options.n_groups; g++)
    if (c->options.recurrent[g] && n_whole > first && q->tables[g][n_whole - 1] == ENG_KV_NO_BLOCK)
      {
        drop_checkpoints (c, g, 1);
        if (c->n_free[g] > 0)
          q->tables[g][n_whole - 1] = take_block (c, g);
      }
}

EngStatus
eng_kv_cache_append (EngKvCache *c, uint32_t sequence, const int32_t *tokens, uint32_t n,
                     EngError *error)
{
  ENG_ASSERT (sequence < c->options.max_sequences && c->sequences[sequence].used);
  Sequence *q = &c->sequences[sequence];
  uint32_t end;
  if (__builtin_add_overflow (q->n_positions, n, &end) || end > c->options.max_positions)
    return eng_error_set_numbers (error, ENG_ERR_CONTEXT_FULL, "context",
                                  (uint64_t) q->n_positions + n, c->options.max_positions,
                                  "the context is full");
  uint32_t have = blocks_for (c, q->n_positions), want = blocks_for (c, end);
  bool inside = q->n_positions % c->options.block_positions != 0 && n > 0;
  bool was_busy = q->busy;
  q->busy = true;
  q->n_settled = q->n_positions;
  EngStatus status = ENG_OK;
  for (uint32_t g = 0; g < c->options.n_groups && status == ENG_OK; g++)
    {
      bool shared = inside && c->counts[g][q->tables[g][have - 1]] > 1;
      uint32_t n_new = c->options.recurrent[g] ? want > have : want - have;
      if (!make_free (c, g, n_new + shared))
        status = eng_error_set_numbers (
            error, ENG_ERR_CONTEXT_FULL, "kv-cache", end,
            ((uint64_t) have + c->n_free[g]) * c->options.block_positions,
            "the cache has no block left for this sequence");
    }
  /* Sharing may have ended while room was made; what is still shared has its block reserved above. */
  for (uint32_t g = 0; inside && g < c->options.n_groups && status == ENG_OK; g++)
    if (c->counts[g][q->tables[g][have - 1]] > 1)
      status = unshare_last (c, q, g, error);
  q->busy = was_busy;
  if (status != ENG_OK)
    return status;
  for (uint32_t g = 0; g < c->options.n_groups; g++)
    for (uint32_t i = c->options.recurrent[g] && want > have ? want - 1 : have; i < want; i++)
      q->tables[g][i] = take_block (c, g);
  memcpy (q->tokens + q->n_positions, tokens, n * sizeof (int32_t));
  q->n_positions = end;
  q->last_use = ++c->clock;
  add_checkpoints (c, q, have, end / c->options.block_positions);
  return ENG_OK;
}

/* The largest m <= @n at which every recurrent group has the state. */
static uint32_t
find_checkpoint (const EngKvCache *c, const Sequence *q, uint32_t n)
{
  uint32_t block = c->options.block_positions;
  bool missing = false;
  for (uint32_t g = 0; g < c->options.n_groups; g++)
    missing |= c->options.recurrent[g];
  if (!missing || n == q->n_positions)
    return n;
  for (n = n / block * block; n > 0 && missing; n -= missing ? block : 0)
    {
      missing = false;
      for (uint32_t g = 0; g < c->options.n_groups; g++)
        missing |= c->options.recurrent[g] && q->tables[g][n / block - 1] == ENG_KV_NO_BLOCK;
    }
  return n;
}

uint32_t
eng_kv_cache_get_reusable (const EngKvCache *c, uint32_t sequence, uint32_t n)
{
  const Sequence *q = &c->sequences[sequence];
  n = find_checkpoint (c, q, n);
  for (uint32_t g = 0; g < c->options.n_groups; g++)
    if (q->first[g] > first_needed (c, g, n))
      return 0;
  return n;
}

uint32_t
eng_kv_cache_match (const EngKvCache *c, uint32_t sequence, const int32_t *tokens, uint32_t n)
{
  const Sequence *q = &c->sequences[sequence];
  uint32_t same = 0;
  while (same < n && same < q->n_positions && tokens[same] >= 0 && q->tokens[same] == tokens[same])
    same++;
  return eng_kv_cache_get_reusable (c, sequence, same);
}

static void
cut (EngKvCache *c, Sequence *q, uint32_t n)
{
  uint32_t have = blocks_for (c, q->n_positions), keep = blocks_for (c, n);
  for (uint32_t g = 0; g < c->options.n_groups; g++)
    {
      release_entries (c, q, g, keep > q->first[g] ? keep : q->first[g], have);
      if (q->first[g] > keep)
        q->first[g] = keep;
    }
  q->n_positions = n;
  if (q->n_settled > n)
    q->n_settled = n;
}

EngStatus
eng_kv_cache_cut (EngKvCache *c, uint32_t sequence, uint32_t n, EngError *error)
{
  Sequence *q = &c->sequences[sequence];
  if (n > q->n_positions || eng_kv_cache_get_reusable (c, sequence, n) != n)
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "n", n, q->n_positions,
                                  "the sequence cannot be cut there");
  cut (c, q, n);
  return ENG_OK;
}

void
eng_kv_cache_set_tokens (EngKvCache *c, uint32_t sequence, uint32_t first, const int32_t *tokens, uint32_t n)
{
  Sequence *q = &c->sequences[sequence];
  ENG_ASSERT (first <= q->n_positions && n <= q->n_positions - first);
  memcpy (q->tokens + first, tokens, n * sizeof *tokens);
}

void
eng_kv_cache_shorten (EngKvCache *c, uint32_t sequence, uint32_t n)
{
  Sequence *q = &c->sequences[sequence];
  ENG_ASSERT (n >= q->n_settled && n <= q->n_positions);
  for (uint32_t g = 0; g < c->options.n_groups; g++)
    ENG_ASSERT (!c->options.recurrent[g] || (n > q->n_settled && blocks_for (c, n) == blocks_for (c, q->n_positions)));
  cut (c, q, n);
}

void
eng_kv_cache_take_back (EngKvCache *c, uint32_t sequence, uint32_t n, bool ran)
{
  Sequence *q = &c->sequences[sequence];
  ENG_ASSERT (n <= q->n_positions);
  cut (c, q, ran ? find_checkpoint (c, q, n) : n);
}

uint32_t
eng_kv_cache_get_n_positions (const EngKvCache *c, uint32_t sequence)
{
  return c->sequences[sequence].n_positions;
}

const int32_t *
eng_kv_cache_get_tokens (const EngKvCache *c, uint32_t sequence)
{
  return c->sequences[sequence].tokens;
}

const uint32_t *const *
eng_kv_cache_get_tables (const EngKvCache *c, uint32_t sequence)
{
  return (const uint32_t *const *) c->sequences[sequence].tables;
}

uint32_t
eng_kv_cache_get_n_free (const EngKvCache *c, uint32_t group)
{
  return c->n_free[group];
}

bool
eng_kv_cache_check (const EngKvCache *c)
{
  for (uint32_t g = 0; g < c->options.n_groups; g++)
    {
      uint64_t n_named = 0, n_counted = 0;
      for (uint32_t b = 0; b < c->options.n_blocks[g]; b++)
        {
          uint32_t named = 0, in_stack = 0;
          for (uint32_t s = 0; s < c->options.max_sequences; s++)
            for (uint32_t i = 0; i < c->n_entries; i++)
              named += c->sequences[s].tables[g][i] == b;
          for (uint32_t i = 0; i < c->n_free[g]; i++)
            in_stack += c->free_blocks[g][i] == b;
          if (named != c->counts[g][b] || in_stack != (named == 0))
            return false;
          n_counted += named;
        }
      for (uint32_t s = 0; s < c->options.max_sequences; s++)
        {
          const Sequence *q = &c->sequences[s];
          if (q->n_settled > q->n_positions || q->first[g] > first_needed (c, g, q->n_settled))
            return false;
          for (uint32_t i = 0; i < c->n_entries; i++)
            {
              bool expected = i >= q->first[g] && i < blocks_for (c, q->n_positions);
              bool named = q->tables[g][i] != ENG_KV_NO_BLOCK;
              bool optional = c->options.recurrent[g] && !is_needed (c, q, i);
              if (named != expected && (named || !optional))
                return false;
              n_named += named;
            }
        }
      if (n_named != n_counted)
        return false;
    }
  return true;
}
