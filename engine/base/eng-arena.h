/* SPDX-License-Identifier: Apache-2.0 */
/* Bump allocator: many small allocations that die together. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct EngArenaChunk EngArenaChunk;

/* Zero-initialize to use. One owner thread. */
typedef struct
{
  EngArenaChunk *head;
  size_t n_bytes;     /* bytes handed out so far */
  size_t limit_bytes; /* 0 = none; past it every allocation fails */
} EngArena;

/* Zeroed, aligned to 16 bytes; NULL when memory or the limit ran out, or @size overflows.
 * A size of 0 gives a unique non-NULL pointer. */
void *eng_arena_alloc (EngArena *arena, size_t size);
/* The same for @n elements of @size bytes, multiplication checked. */
void *eng_arena_alloc_array (EngArena *arena, size_t n, size_t size);
/* NUL-terminated copy of @n bytes. */
char *eng_arena_strndup (EngArena *arena, const char *s, size_t n);
/* Frees everything; the arena can be used again. */
void eng_arena_clear (EngArena *arena);

/* The engine's allocator. In test builds a countdown can make the n-th call fail (fault injection);
 * everything in the engine allocates through these or through an arena. */
void *eng_alloc (size_t size);                        /* zeroed; NULL on failure */
void *eng_alloc_array (size_t n, size_t size);        /* zeroed, checked */
void *eng_realloc_array (void *p, size_t n, size_t size); /* grown part is not zeroed */
void eng_free (void *p);
/* Aligned to @alignment, a power of two of at least 16; free with eng_free_aligned. Not zeroed. */
void *eng_alloc_aligned (size_t alignment, size_t size);
void eng_free_aligned (void *p);

/* Make the @n-th allocation from now fail (1 = the next); 0 turns it off. Returns how many
 * allocations were made since the last call. Tests only; process-wide. */
uint64_t eng_alloc_fail_at (uint64_t n);
