/* SPDX-License-Identifier: Apache-2.0 */
/* Loops of a thread pool: every chunk once, by one thread after the other under each number, whoever is held up. */
#include <glib.h>
#include <stdatomic.h>

#include "eng-error.h"
#include "eng-thread-pool.h"

#define MOST 300u

typedef struct
{
  _Atomic uint32_t n_done, times[MOST], by[MOST];
  _Atomic bool busy[16];
  uint32_t n_chunks;
} Loop;

static EngThreadPool *
make_pool (uint32_t n_threads)
{
  EngThreadPool *pool = NULL;
  EngError error;
  g_assert_cmpint (eng_thread_pool_new (n_threads, &pool, &error), ==, ENG_OK);
  return pool;
}

static void
count (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  Loop *loop = data;
  g_assert_cmpuint (i_chunk, <, loop->n_chunks);
  g_assert_false (atomic_exchange (&loop->busy[i_thread], true));
  loop->times[i_chunk]++;
  loop->by[i_chunk] = i_thread;
  loop->n_done++;
  g_assert_true (atomic_exchange (&loop->busy[i_thread], false));
}

static void
test_every_chunk_once (void)
{
  static const uint32_t n_threads[] = { 1, 2, 3, 5, 16 };
  static Loop loop;
  for (size_t t = 0; t < G_N_ELEMENTS (n_threads); t++)
    {
      EngThreadPool *pool = make_pool (n_threads[t]);
      g_assert_cmpuint (eng_thread_pool_get_n_threads (pool), ==, n_threads[t]);
      for (uint32_t n = 0; n <= MOST; n += n < 40 ? 1 : 52)
        for (int again = 0; again < 5; again++)
          {
            loop = (Loop){ .n_chunks = n };
            eng_thread_pool_run (pool, n, count, &loop);
            g_assert_cmpuint (loop.n_done, ==, n);
            for (uint32_t i = 0; i < n; i++)
              {
                g_assert_cmpuint (loop.times[i], ==, 1);
                g_assert_cmpuint (loop.by[i], <, n_threads[t]);
              }
          }
      eng_thread_pool_free (&pool);
      g_assert_null (pool);
    }
  loop = (Loop){ .n_chunks = 7 };
  eng_thread_pool_run (NULL, 7, count, &loop);
  g_assert_cmpuint (loop.n_done, ==, 7);
}

/* Whoever is not the caller keeps its first chunk until all others are done. */
static void
hold (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  Loop *loop = data;
  gint64 give_up = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
  if (i_thread == 1)
    while (loop->n_done + 1 < loop->n_chunks && g_get_monotonic_time () < give_up)
      g_usleep (100);
  else
    g_usleep (200); /* so that the other one begins */
  loop->by[i_chunk] = i_thread;
  loop->n_done++;
}

/* A thread that the system took off its core holds up nothing but the chunk in hand. */
static void
test_held_up (void)
{
  EngThreadPool *pool = make_pool (2);
  for (int again = 0; again < 20; again++)
    {
      Loop loop = { .n_chunks = 40 };
      uint32_t n_held = 0;
      eng_thread_pool_run (pool, loop.n_chunks, hold, &loop);
      for (uint32_t i = 0; i < loop.n_chunks; i++)
        n_held += loop.by[i] == 1;
      g_assert_cmpuint (loop.n_done, ==, loop.n_chunks);
      g_assert_cmpuint (n_held, <=, 1);
    }
  eng_thread_pool_free (&pool);
}

/* A loop with fewer chunks than threads leaves some threads' words alone. They count again after half as many loops
 * as there are numbers for (-m slow: it takes that many to see it). */
static void
test_left_alone_for_long (void)
{
  EngThreadPool *pool = make_pool (4);
  uint32_t n_loops = g_test_slow () ? (1u << 23) + 5 : 1u << 16;
  Loop loop = { .n_chunks = 4 };
  eng_thread_pool_run (pool, 4, count, &loop);
  for (uint32_t i = 0; i < n_loops; i++)
    eng_thread_pool_run (pool, 2, count, &loop);
  loop = (Loop){ .n_chunks = 4 };
  eng_thread_pool_run (pool, 4, count, &loop);
  g_assert_cmpuint (loop.n_done, ==, 4);
  eng_thread_pool_free (&pool);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/thread-pool/every-chunk-once", test_every_chunk_once);
  g_test_add_func ("/thread-pool/held-up", test_held_up);
  g_test_add_func ("/thread-pool/left-alone-for-long", test_left_alone_for_long);
  return g_test_run ();
}
