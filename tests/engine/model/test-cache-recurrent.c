/* SPDX-License-Identifier: Apache-2.0 */
/* The book-keeping of recurrent states beside keys and values. A simulated device folds each token into the state as a
 * run would, and keeps it where the tables have an entry: whatever was forked, cut, taken back or dropped for room in
 * between, a sequence's newest state, and each that it can be cut to, must be that of its own tokens. */
#include <glib.h>
#include <string.h>

#include "eng-kv-cache.h"

#define BLOCK 4u
#define STATES 12u /* 2 for each of 4 sequences, and 4 checkpoints, as the runner asks for */
#define SEQUENCES 4u

typedef struct
{
  EngKvCache *cache;
  guint64 states[STATES];
  guint32 n_copies;
} Device;

static EngStatus
copy_block_cb (void *data, uint32_t group, uint32_t from, uint32_t to, EngError *error)
{
  Device *device = data;
  if (group == 1)
    device->states[to] = device->states[from];
  device->n_copies++;
  return ENG_OK;
}

static void
open_device (Device *device)
{
  const EngKvCacheOptions options = {
    .n_groups = 2,
    .n_blocks = { 64, STATES },
    .recurrent = { false, true },
    .block_positions = BLOCK,
    .max_sequences = SEQUENCES,
    .max_positions = 60,
    .copy_block = copy_block_cb,
    .copy_data = device,
  };
  memset (device, 0, sizeof *device);
  g_assert_cmpint (eng_kv_cache_new (&options, &device->cache, NULL), ==, ENG_OK);
}

static guint64
fold (guint64 state, gint32 token)
{
  return (state ^ (guint64) (guint32) token) * 0x9e3779b97f4a7c15u + 1;
}

/* Every state that the cache says it has is the one of the tokens before it. */
static void
check (const Device *device, uint32_t sequence)
{
  const uint32_t *table = eng_kv_cache_get_tables (device->cache, sequence)[1];
  const int32_t *tokens = eng_kv_cache_get_tokens (device->cache, sequence);
  uint32_t n = eng_kv_cache_get_n_positions (device->cache, sequence);
  guint64 state = 0;
  g_assert_true (eng_kv_cache_check (device->cache));
  for (uint32_t p = 0; p < n; p++)
    {
      state = fold (state, tokens[p]);
      if (eng_kv_cache_get_reusable (device->cache, sequence, p + 1) != p + 1)
        continue;
      g_assert_cmpuint (table[p / BLOCK], !=, ENG_KV_NO_BLOCK);
      g_assert_cmpuint (device->states[table[p / BLOCK]], ==, state);
    }
  g_assert_cmpuint (eng_kv_cache_get_reusable (device->cache, sequence, n), ==, n);
}

/* As a run does it. @fails: all that it may write is spoilt. */
static EngStatus
append (Device *device, uint32_t sequence, const int32_t *tokens, uint32_t n, bool fails)
{
  uint32_t before = eng_kv_cache_get_n_positions (device->cache, sequence);
  EngStatus status = eng_kv_cache_append (device->cache, sequence, tokens, n, NULL);
  if (status == ENG_OK)
    {
      const uint32_t *table = eng_kv_cache_get_tables (device->cache, sequence)[1];
      guint64 state = before ? device->states[table[(before - 1) / BLOCK]] : 0;
      for (uint32_t p = before; p < before + n; p++)
        {
          state = fold (state, tokens[p - before]) + fails;
          if (((p + 1) % BLOCK == 0 || p + 1 == before + n) && table[p / BLOCK] != ENG_KV_NO_BLOCK)
            device->states[table[p / BLOCK]] = state;
        }
      if (fails)
        eng_kv_cache_take_back (device->cache, sequence, before, true);
    }
  check (device, sequence);
  return status;
}

static uint32_t
add (Device *device)
{
  uint32_t sequence;
  g_assert_cmpint (eng_kv_cache_add (device->cache, &sequence, NULL), ==, ENG_OK);
  return sequence;
}

static const int32_t text[40] = { 5, 1, 4, 2, 8, 9, 7, 3, 6, 5, 4, 3, 2, 1, 9, 8, 7, 6, 5, 4,
                                  1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 3, 5, 7, 9, 2, 4, 6, 8, 1, 1 };

/* A prompt, an answer, then: going on; another question; another prompt. */
static void
test_conversation (void)
{
  Device device;
  open_device (&device);
  uint32_t a = add (&device);
  g_assert_cmpint (append (&device, a, text, 14, false), ==, ENG_OK);
  /* Behind its last whole block the prompt can be taken up again. */
  g_assert_cmpuint (eng_kv_cache_get_reusable (device.cache, a, 13), ==, 12);
  for (uint32_t i = 14; i < 23; i++)
    g_assert_cmpint (append (&device, a, text + i, 1, false), ==, ENG_OK);
  /* The conversation goes on. */
  g_assert_cmpuint (eng_kv_cache_match (device.cache, a, text, 30), ==, 23);
  /* Another answer to the same prompt. */
  g_assert_cmpuint (eng_kv_cache_match (device.cache, a, text, 13), ==, 12);
  g_assert_cmpint (eng_kv_cache_cut (device.cache, a, 13, NULL), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_kv_cache_cut (device.cache, a, 12, NULL), ==, ENG_OK);
  check (&device, a);
  g_assert_cmpint (append (&device, a, text + 12, 9, false), ==, ENG_OK);
  /* An earlier message was changed. */
  int32_t other[40];
  memcpy (other, text, sizeof other);
  other[2] = 77;
  g_assert_cmpuint (eng_kv_cache_match (device.cache, a, other, 30), ==, 0);
  g_assert_cmpint (eng_kv_cache_cut (device.cache, a, 0, NULL), ==, ENG_OK);
  g_assert_cmpint (append (&device, a, other, 30, false), ==, ENG_OK);
  eng_kv_cache_free (&device.cache);
}

/* Forks share a state until one of them writes into its block. */
static void
test_fork (void)
{
  Device device;
  open_device (&device);
  uint32_t a = add (&device), b, c;
  g_assert_cmpint (append (&device, a, text, 10, false), ==, ENG_OK);
  g_assert_cmpint (eng_kv_cache_fork (device.cache, a, 9, &b, NULL), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_kv_cache_fork (device.cache, a, 10, &b, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_kv_cache_fork (device.cache, a, 8, &c, NULL), ==, ENG_OK);
  g_assert_cmpint (append (&device, b, text + 20, 7, false), ==, ENG_OK);
  g_assert_cmpuint (device.n_copies, ==, 2); /* one of each group */
  check (&device, a);
  g_assert_cmpint (append (&device, c, text + 30, 7, false), ==, ENG_OK);
  g_assert_cmpint (append (&device, a, text + 10, 7, false), ==, ENG_OK);
  check (&device, b);
  check (&device, c);
  eng_kv_cache_free (&device.cache);
}

/* A run that fails spoils the newest state; one that never began does not. */
static void
test_take_back (void)
{
  Device device;
  open_device (&device);
  uint32_t a = add (&device);
  g_assert_cmpint (append (&device, a, text, 10, false), ==, ENG_OK);
  g_assert_cmpint (eng_kv_cache_append (device.cache, a, text + 10, 5, NULL), ==, ENG_OK);
  eng_kv_cache_take_back (device.cache, a, 10, false);
  g_assert_cmpuint (eng_kv_cache_get_n_positions (device.cache, a), ==, 10);
  check (&device, a);
  g_assert_cmpint (append (&device, a, text + 10, 5, true), ==, ENG_OK);
  g_assert_cmpuint (eng_kv_cache_get_n_positions (device.cache, a), ==, 8);
  /* At a block's end nothing is lost. */
  g_assert_cmpint (append (&device, a, text + 8, 9, true), ==, ENG_OK);
  g_assert_cmpuint (eng_kv_cache_get_n_positions (device.cache, a), ==, 8);
  g_assert_cmpint (append (&device, a, text + 8, 9, false), ==, ENG_OK);
  eng_kv_cache_free (&device.cache);
}

/* All sequences at work at once always have their states; checkpoints make room. */
static void
test_room (void)
{
  Device device;
  uint32_t s[SEQUENCES];
  open_device (&device);
  for (uint32_t i = 0; i < SEQUENCES; i++)
    s[i] = add (&device);
  for (uint32_t at = 0; at < 40; at += 5)
    for (uint32_t i = 0; i < SEQUENCES; i++)
      g_assert_cmpint (append (&device, s[i], text + at, 5, false), ==, ENG_OK);
  eng_kv_cache_free (&device.cache);
}

static void
test_random (void)
{
  Device device;
  GRand *rand = g_rand_new_with_seed (4711);
  open_device (&device);
  for (int round = 0; round < 4000; round++)
    {
      uint32_t s = (uint32_t) g_rand_int_range (rand, 0, SEQUENCES), other;
      bool exists = eng_kv_cache_exists (device.cache, s, eng_kv_cache_get_generation (device.cache, s));
      uint32_t n = exists ? eng_kv_cache_get_n_positions (device.cache, s) : 0;
      uint32_t at = exists ? eng_kv_cache_get_reusable (device.cache, s, (uint32_t) g_rand_int_range (rand, 0, (int) n + 1)) : 0;
      int32_t tokens[12];
      for (int i = 0; i < 12; i++)
        tokens[i] = g_rand_int_range (rand, 0, 3);
      switch (exists ? g_rand_int_range (rand, 0, 8) : 7)
        {
        case 0:
        case 1:
        case 2:
          append (&device, s, tokens, (uint32_t) g_rand_int_range (rand, 1, 13), false);
          break;
        case 3:
          append (&device, s, tokens, (uint32_t) g_rand_int_range (rand, 1, 13), true);
          break;
        case 4:
          g_assert_cmpint (eng_kv_cache_cut (device.cache, s, at, NULL), ==, ENG_OK);
          break;
        case 5:
          if (eng_kv_cache_fork (device.cache, s, at, &other, NULL) == ENG_OK)
            eng_kv_cache_set_busy (device.cache, other, g_rand_boolean (rand));
          break;
        case 6:
          eng_kv_cache_set_busy (device.cache, s, g_rand_boolean (rand));
          break;
        default:
          if (exists && g_rand_boolean (rand))
            eng_kv_cache_remove (device.cache, s);
          else if (eng_kv_cache_add (device.cache, &other, NULL) == ENG_OK)
            eng_kv_cache_set_busy (device.cache, other, g_rand_boolean (rand));
        }
      for (uint32_t i = 0; i < SEQUENCES; i++)
        if (eng_kv_cache_exists (device.cache, i, eng_kv_cache_get_generation (device.cache, i)))
          check (&device, i);
    }
  g_rand_free (rand);
  eng_kv_cache_free (&device.cache);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cache-recurrent/conversation", test_conversation);
  g_test_add_func ("/cache-recurrent/fork", test_fork);
  g_test_add_func ("/cache-recurrent/take-back", test_take_back);
  g_test_add_func ("/cache-recurrent/room", test_room);
  g_test_add_func ("/cache-recurrent/random", test_random);
  return g_test_run ();
}
