/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-token-map.h"

#include <string.h>

static uint64_t
mix (uint64_t a, uint64_t b)
{
  unsigned __int128 p = (unsigned __int128) a * b;
  return (uint64_t) p ^ (uint64_t) (p >> 64);
}

/* Multiply-and-fold over words of 8 bytes; the constants are arbitrary odd numbers. */
static uint32_t
hash_bytes (const uint8_t *s, size_t n)
{
  uint64_t h = 0x9e3779b97f4a7c15u ^ n, word;
  for (; n >= 8; s += 8, n -= 8)
    {
      memcpy (&word, s, 8);
      h = mix (h ^ word, 0xa0761d6478bd642fu);
    }
  word = 0;
  for (size_t i = 0; i < n; i++)
    word |= (uint64_t) s[i] << (8 * i);
  h = mix (h ^ word, 0xe7037ed1a0b428dbu);
  return (uint32_t) (h ^ h >> 32);
}

bool
eng_token_map_init (EngTokenMap *map, EngArena *arena, const EngString *strings, size_t n_max)
{
  size_t capacity = 16;
  while (capacity < n_max * 2)
    capacity *= 2;
  map->strings = strings;
  map->mask = (uint32_t) (capacity - 1);
  map->slots = eng_arena_alloc_array (arena, capacity, sizeof *map->slots);
  map->hashes = eng_arena_alloc_array (arena, capacity, sizeof *map->hashes);
  return map->slots && map->hashes;
}

static uint32_t
find_slot (const EngTokenMap *map, const void *bytes, size_t n, uint32_t hash)
{
  uint32_t i = hash & map->mask;
  for (; map->slots[i]; i = (i + 1) & map->mask)
    {
      const EngString *s = &map->strings[map->slots[i] - 1];
      if (map->hashes[i] == hash && s->n_bytes == n && memcmp (s->text, bytes, n) == 0)
        break;
    }
  return i;
}

int32_t
eng_token_map_add (EngTokenMap *map, int32_t id)
{
  const EngString *s = &map->strings[id];
  uint32_t hash = hash_bytes ((const uint8_t *) s->text, s->n_bytes);
  uint32_t i = find_slot (map, s->text, s->n_bytes, hash);
  if (!map->slots[i])
    {
      map->slots[i] = id + 1;
      map->hashes[i] = hash;
    }
  return map->slots[i] - 1;
}

int32_t
eng_token_map_find (const EngTokenMap *map, const void *bytes, size_t n)
{
  return map->slots[find_slot (map, bytes, n, hash_bytes (bytes, n))] - 1;
}
