/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-arena.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "eng-error.h"

#define CHUNK_BYTES ((size_t) 64 * 1024)
#define ARENA_ALIGN ((size_t) 16)

struct EngArenaChunk
{
  EngArenaChunk *next;
  size_t used, size;
  _Alignas (16) unsigned char data[];
};

static _Atomic uint64_t fail_at, n_allocs;

static bool
allocation_allowed (void)
{
  uint64_t n = atomic_fetch_add_explicit (&n_allocs, 1, memory_order_relaxed) + 1;
  return n != atomic_load_explicit (&fail_at, memory_order_relaxed);
}

uint64_t
eng_alloc_fail_at (uint64_t n)
{
  atomic_store (&fail_at, n);
  return atomic_exchange (&n_allocs, 0);
}

void *
eng_alloc (size_t size)
{
  return allocation_allowed () ? calloc (1, size ? size : 1) : NULL;
}

void *
eng_alloc_array (size_t n, size_t size)
{
  size_t total;
  if (__builtin_mul_overflow (n, size, &total))
    return NULL;
  return eng_alloc (total);
}

void *
eng_realloc_array (void *p, size_t n, size_t size)
{
  size_t total;
  if (__builtin_mul_overflow (n, size, &total) || !allocation_allowed ())
    return NULL;
  return realloc (p, total ? total : 1);
}

void
eng_free (void *p)
{
  free (p);
}

void *
eng_alloc_aligned (size_t alignment, size_t size)
{
  void *p = NULL;
  ENG_ASSERT (alignment >= 16 && (alignment & (alignment - 1)) == 0);
  if (!allocation_allowed () || posix_memalign (&p, alignment, size ? size : 1) != 0)
    return NULL;
  return p;
}

void
eng_free_aligned (void *p)
{
  free (p);
}

void *
eng_arena_alloc (EngArena *arena, size_t size)
{
  if (size > SIZE_MAX - CHUNK_BYTES)
    return NULL;
  size_t need = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
  if (need == 0)
    need = ARENA_ALIGN;
  if (arena->limit_bytes && need > arena->limit_bytes - arena->n_bytes)
    return NULL;
  EngArenaChunk *chunk = arena->head;
  if (!chunk || need > chunk->size - chunk->used)
    {
      size_t data = need > CHUNK_BYTES / 4 ? need : CHUNK_BYTES;
      EngArenaChunk *fresh = eng_alloc (sizeof *fresh + data);
      if (!fresh)
        return NULL;
      fresh->size = data;
      if (chunk && data == need && chunk->size - chunk->used > 0)
        { /* a large block gets a chunk of its own behind the one still being filled */
          fresh->next = chunk->next;
          chunk->next = fresh;
        }
      else
        {
          fresh->next = chunk;
          arena->head = fresh;
        }
      chunk = fresh;
    }
  void *p = chunk->data + chunk->used;
  chunk->used += need;
  arena->n_bytes += need;
  return p;
}

void *
eng_arena_alloc_array (EngArena *arena, size_t n, size_t size)
{
  size_t total;
  if (__builtin_mul_overflow (n, size, &total))
    return NULL;
  return eng_arena_alloc (arena, total);
}

char *
eng_arena_strndup (EngArena *arena, const char *s, size_t n)
{
  if (n == SIZE_MAX)
    return NULL;
  char *copy = eng_arena_alloc (arena, n + 1);
  if (copy)
    {
      memcpy (copy, s, n);
      copy[n] = '\0';
    }
  return copy;
}

void
eng_arena_clear (EngArena *arena)
{
  for (EngArenaChunk *chunk = arena->head; chunk;)
    {
      EngArenaChunk *next = chunk->next;
      eng_free (chunk);
      chunk = next;
    }
  arena->head = NULL;
  arena->n_bytes = 0;
}
