/* SPDX-License-Identifier: Apache-2.0 */
#include <glib.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-checked.h"
#include "eng-error.h"

static void
test_alloc (void)
{
  EngArena arena = { .limit_bytes = 1 << 20 };
  char *small = eng_arena_alloc (&arena, 3);
  char *large = eng_arena_alloc (&arena, 200000);
  char *after = eng_arena_alloc (&arena, 0);
  g_assert_nonnull (small);
  g_assert_nonnull (large);
  g_assert_nonnull (after);
  g_assert_true (after != small);
  g_assert_cmpuint ((uintptr_t) large % 16, ==, 0);
  for (int i = 0; i < 200000; i++)
    g_assert_cmpint (large[i], ==, 0);
  g_assert_null (eng_arena_alloc (&arena, 1 << 20));
  g_assert_null (eng_arena_alloc (&arena, SIZE_MAX));
  g_assert_null (eng_arena_alloc_array (&arena, SIZE_MAX / 2, 3));
  g_assert_cmpstr (eng_arena_strndup (&arena, "hearth", 3), ==, "hea");
  eng_arena_clear (&arena);
  g_assert_cmpuint (arena.n_bytes, ==, 0);
}

static void
test_fail_at (void)
{
  eng_alloc_fail_at (2);
  void *a = eng_alloc (8), *b = eng_alloc (8), *c = eng_alloc (8);
  g_assert_nonnull (a);
  g_assert_null (b);
  g_assert_nonnull (c);
  g_assert_cmpuint (eng_alloc_fail_at (0), ==, 3);
  eng_free (a);
  eng_free (c);
}

static void
test_checked (void)
{
  uint64_t r = 7;
  g_assert_false (eng_checked_add (UINT64_MAX, 1, &r));
  g_assert_false (eng_checked_mul (UINT64_MAX / 2, 3, &r));
  g_assert_false (eng_checked_align (UINT64_MAX - 3, 32, &r));
  g_assert_false (eng_checked_align (1, 13, &r));
  g_assert_cmpuint (r, ==, 7);
  g_assert_true (eng_checked_align (33, 32, &r));
  g_assert_cmpuint (r, ==, 64);
  g_assert_true (eng_checked_range (10, 0, 10));
  g_assert_false (eng_checked_range (10, 1, 10));
  g_assert_false (eng_checked_range (UINT64_MAX, 2, 10));
}

static void
test_error_text (void)
{
  EngError error;
  g_assert_cmpint (eng_error_set (&error, ENG_ERR_FORMAT, "a\nb\xff", 12, "%s \x1b[1m 炉", "x"), ==,
                   ENG_ERR_FORMAT);
  g_assert_cmpstr (error.field, ==, "a?b?");
  g_assert_cmpstr (error.text, ==, "x ?[1m 炉");
  g_assert_cmpuint (error.offset, ==, 12);
  g_autofree char *large = g_strnfill (2000, 'y');
  eng_error_set (&error, ENG_ERR_IO, NULL, ENG_OFFSET_NONE, "炉%s", large);
  g_assert_true (g_utf8_validate (error.text, -1, NULL));
  g_assert_cmpuint (strlen (error.text), <, sizeof error.text);
  g_assert_cmpstr (eng_status_name (ENG_ERR_INTERNAL), ==, "internal");
  g_assert_cmpstr (eng_status_name ((EngStatus) 9999), ==, "unknown");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/arena/alloc", test_alloc);
  g_test_add_func ("/base/arena/fail-at", test_fail_at);
  g_test_add_func ("/base/checked", test_checked);
  g_test_add_func ("/base/error/text", test_error_text);
  return g_test_run ();
}
