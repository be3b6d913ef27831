/* SPDX-License-Identifier: Apache-2.0 */
/* The book-keeping of KV blocks. A simulated device holds, for each block and place, the token that was
 * written there: what a sequence reads through its tables must be its own tokens, whatever was
 * forked, cut, forgotten and copied in between. */
#include <glib.h>
#include <string.h>

#include "eng-kv-cache.h"

#define BLOCK 4u
#define GROUPS 2u
#define WINDOW 6u

typedef struct
{
  int32_t places[GROUPS][64 * BLOCK];
  uint32_t n_copies;
  bool fails;
} Device;

static EngStatus
copy_block_cb (void *data, uint32_t group, uint32_t from, uint32_t to, EngError *error)
{
  Device *device = data;
  if (device->fails)
    return eng_error_set (error, ENG_ERR_DEVICE, NULL, ENG_OFFSET_NONE, "as asked");
  memcpy (&device->places[group][to * BLOCK], &device->places[group][from * BLOCK],
          BLOCK * sizeof (int32_t));
  device->n_copies++;
  return ENG_OK;
}

static EngKvCache *
make_cache (Device *device, uint32_t n_full, uint32_t n_window, uint32_t n_sequences)
{
  const EngKvCacheOptions options = {
    .n_groups = GROUPS,
    .n_blocks = { n_full, n_window },
    .windows = { 0, WINDOW },
    .block_positions = BLOCK,
    .max_sequences = n_sequences,
    .max_positions = 40,
    .copy_block = copy_block_cb,
    .copy_data = device,
  };
  EngKvCache *cache = NULL;
  memset (device, 0, sizeof *device);
  g_assert_cmpint (eng_kv_cache_new (&options, &cache, NULL), ==, ENG_OK);
  return cache;
}

/* Append and write, as a run would; reading back what each new row attends to. */
static EngStatus
append (EngKvCache *cache, Device *device, uint32_t sequence, const int32_t *tokens, uint32_t n)
{
  uint32_t before = eng_kv_cache_get_n_positions (cache, sequence);
  EngError error;
  EngStatus status = eng_kv_cache_append (cache, sequence, tokens, n, &error);
  g_assert_true (eng_kv_cache_check (cache));
  if (status != ENG_OK)
    {
      g_assert_cmpuint (eng_kv_cache_get_n_positions (cache, sequence), ==, before);
      return status;
    }
  const uint32_t *const *tables = eng_kv_cache_get_tables (cache, sequence);
  const int32_t *all = eng_kv_cache_get_tokens (cache, sequence);
  for (uint32_t g = 0; g < GROUPS; g++)
    {
      for (uint32_t p = before; p < before + n; p++)
        device->places[g][tables[g][p / BLOCK] * BLOCK + p % BLOCK] = all[p];
      uint32_t back = g == 1 ? WINDOW : 1000;
      for (uint32_t p = before; p < before + n; p++)
        for (uint32_t k = p + 1 > back ? p + 1 - back : 0; k <= p; k++)
          {
            g_assert_cmpuint (tables[g][k / BLOCK], !=, ENG_KV_NO_BLOCK);
            g_assert_cmpint (device->places[g][tables[g][k / BLOCK] * BLOCK + k % BLOCK], ==, all[k]);
          }
    }
  return ENG_OK;
}

static void
test_fork (void)
{
  Device device;
  EngKvCache *cache = make_cache (&device, 16, 16, 3);
  const int32_t tokens[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
  uint32_t a, b;
  g_assert_cmpint (eng_kv_cache_add (cache, &a, NULL), ==, ENG_OK);
  append (cache, &device, a, tokens, 10);
  g_assert_cmpint (eng_kv_cache_fork (cache, a, 6, &b, NULL), ==, ENG_OK);
  g_assert_true (eng_kv_cache_check (cache));
  uint32_t free_before = eng_kv_cache_get_n_free (cache, 0);
  /* Position 6 lies in a shared block: it is copied in each group (invariant 5), nothing else is. */
  append (cache, &device, b, (int32_t[]) { 70 }, 1);
  g_assert_cmpuint (device.n_copies, ==, GROUPS);
  g_assert_cmpuint (eng_kv_cache_get_n_free (cache, 0), ==, free_before - 1);
  append (cache, &device, a, tokens, 1);
  g_assert_cmpuint (device.n_copies, ==, GROUPS);
  g_assert_cmpuint (eng_kv_cache_match (cache, b, (int32_t[]) { 1, 2, 3, 4, 5, 6, 70, 8 }, 8), ==, 7);
  g_assert_cmpuint (eng_kv_cache_match (cache, a, tokens, 11), ==, 10);
  /* A copy that fails changes nothing. */
  uint32_t c;
  g_assert_cmpint (eng_kv_cache_fork (cache, a, 5, &c, NULL), ==, ENG_OK);
  device.fails = true;
  g_assert_cmpint (append (cache, &device, c, tokens, 1), ==, ENG_ERR_DEVICE);
  eng_kv_cache_free (&cache);
}

static void
test_window (void)
{
  Device device;
  EngKvCache *cache = make_cache (&device, 16, 4, 1);
  int32_t tokens[40];
  for (int i = 0; i < 40; i++)
    tokens[i] = i;
  uint32_t a;
  g_assert_cmpint (eng_kv_cache_add (cache, &a, NULL), ==, ENG_OK);
  for (uint32_t i = 0; i < 14; i++)
    g_assert_cmpint (append (cache, &device, a, tokens + i, 1), ==, ENG_OK);
  /* Nothing had to go yet: any cut is possible. */
  g_assert_cmpuint (eng_kv_cache_get_reusable (cache, a, 3), ==, 3);
  for (uint32_t i = 14; i < 30; i++)
    g_assert_cmpint (append (cache, &device, a, tokens + i, 1), ==, ENG_OK);
  /* Invariant 4: the last window is there, older blocks are not. */
  g_assert_cmpuint (eng_kv_cache_get_reusable (cache, a, 30), ==, 30);
  g_assert_cmpuint (eng_kv_cache_get_reusable (cache, a, 12), ==, 0);
  g_assert_cmpint (eng_kv_cache_cut (cache, a, 12, NULL), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_kv_cache_cut (cache, a, 29, NULL), ==, ENG_OK);
  g_assert_true (eng_kv_cache_check (cache));
  g_assert_cmpuint (eng_kv_cache_match (cache, a, tokens, 12), ==, 0);
  g_assert_cmpint (eng_kv_cache_cut (cache, a, 0, NULL), ==, ENG_OK);
  g_assert_true (eng_kv_cache_check (cache));
  eng_kv_cache_free (&cache);
}

/* Room first, tokens when they are known: what was not known matches nothing. */
static void
test_tokens_later (void)
{
  Device device;
  EngKvCache *cache = make_cache (&device, 16, 16, 1);
  const int32_t first[] = { 1, 2, 3 }, unknown[] = { 4, -1, -1, -1, -1 }, all[] = { 1, 2, 3, 4, 5, 6, 7 };
  uint32_t a;
  g_assert_cmpint (eng_kv_cache_add (cache, &a, NULL), ==, ENG_OK);
  append (cache, &device, a, first, 3);
  append (cache, &device, a, unknown, 5);
  g_assert_cmpuint (eng_kv_cache_match (cache, a, all, 7), ==, 4);
  eng_kv_cache_set_tokens (cache, a, 3, all + 3, 3);
  g_assert_cmpuint (eng_kv_cache_match (cache, a, all, 7), ==, 6);
  g_assert_cmpint (eng_kv_cache_cut (cache, a, 6, NULL), ==, ENG_OK);
  g_assert_true (eng_kv_cache_check (cache));
  g_assert_cmpmem (eng_kv_cache_get_tokens (cache, a), 6 * sizeof (int32_t), all, 6 * sizeof (int32_t));
  eng_kv_cache_free (&cache);
}

static void
test_full (void)
{
  Device device;
  EngKvCache *cache = make_cache (&device, 4, 8, 2);
  const int32_t tokens[41] = { 0 };
  uint32_t a, b;
  EngError error;
  g_assert_cmpint (eng_kv_cache_add (cache, &a, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_kv_cache_append (cache, a, tokens, 41, &error), ==, ENG_ERR_CONTEXT_FULL);
  g_assert_cmpuint (error.needed, ==, 41);
  g_assert_cmpuint (error.available, ==, 40);
  g_assert_cmpint (append (cache, &device, a, tokens, 17), ==, ENG_ERR_CONTEXT_FULL);
  g_assert_cmpint (append (cache, &device, a, tokens, 16), ==, ENG_OK);
  g_assert_cmpint (eng_kv_cache_add (cache, &b, NULL), ==, ENG_OK);
  g_assert_cmpint (append (cache, &device, b, tokens, 1), ==, ENG_ERR_CONTEXT_FULL);
  g_assert_cmpint (eng_kv_cache_add (cache, &b, &error), ==, ENG_ERR_BUSY);
  /* Not busy any more: forgotten as soon as its room is needed. */
  uint64_t generation = eng_kv_cache_get_generation (cache, a);
  eng_kv_cache_set_busy (cache, a, false);
  g_assert_true (eng_kv_cache_exists (cache, a, generation));
  g_assert_cmpint (append (cache, &device, b, tokens, 1), ==, ENG_OK);
  g_assert_false (eng_kv_cache_exists (cache, a, generation));
  eng_kv_cache_free (&cache);
}

/* Everything at random, checked after each call. */
static void
test_random (void)
{
  Device device;
  EngKvCache *cache = make_cache (&device, 24, 12, 4);
  for (int round = 0; round < 3000; round++)
    {
      uint32_t s = (uint32_t) g_test_rand_int_range (0, 4);
      bool exists = eng_kv_cache_exists (cache, s, eng_kv_cache_get_generation (cache, s));
      uint32_t n = exists ? eng_kv_cache_get_n_positions (cache, s) : 0, other;
      int32_t tokens[8];
      for (int i = 0; i < 8; i++)
        tokens[i] = g_test_rand_int_range (0, 3);
      switch (exists ? g_test_rand_int_range (0, 6) : 5)
        {
        case 0:
        case 1:
          append (cache, &device, s, tokens, (uint32_t) g_test_rand_int_range (1, 9));
          break;
        case 2:
          {
            uint32_t to = (uint32_t) g_test_rand_int_range (0, (int) n + 1);
            to = eng_kv_cache_get_reusable (cache, s, to);
            g_assert_cmpint (eng_kv_cache_cut (cache, s, to, NULL), ==, ENG_OK);
            break;
          }
        case 3:
          {
            uint32_t at = eng_kv_cache_get_reusable (
                cache, s, (uint32_t) g_test_rand_int_range (0, (int) n + 1));
            if (eng_kv_cache_fork (cache, s, at, &other, NULL) == ENG_OK)
              eng_kv_cache_set_busy (cache, other, g_test_rand_bit ());
            break;
          }
        case 4:
          eng_kv_cache_set_busy (cache, s, g_test_rand_bit ());
          break;
        default:
          if (exists && g_test_rand_bit ())
            eng_kv_cache_remove (cache, s);
          else if (eng_kv_cache_add (cache, &other, NULL) == ENG_OK)
            eng_kv_cache_set_busy (cache, other, g_test_rand_bit ());
        }
      g_assert_true (eng_kv_cache_check (cache));
    }
  eng_kv_cache_free (&cache);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cache/fork", test_fork);
  g_test_add_func ("/cache/tokens-later", test_tokens_later);
  g_test_add_func ("/cache/window", test_window);
  g_test_add_func ("/cache/full", test_full);
  g_test_add_func ("/cache/random", test_random);
  return g_test_run ();
}
