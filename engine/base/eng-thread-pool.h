/* SPDX-License-Identifier: Apache-2.0 */
/* A pool of threads for short parallel loops: one call hands out the chunks of one loop and returns
 * when all of them are done.
 *
 * Each thread begins with neighbouring chunks of its own and then takes some from others, so a thread that
 * the system took off its core holds up nothing but the chunk it had in hand. Waiting threads spin for some
 * microseconds and then sleep in the kernel, so that an idle pool costs nothing and a busy core is
 * left to whoever needs it. */
#pragma once

#include <stdint.h>

#include "eng-status.h"

typedef struct EngThreadPool EngThreadPool;

/* Work on chunk @i_chunk. @i_thread, in [0, n_threads), names the thread for scratch memory: no two
 * chunks run at once with the same number. */
typedef void (*EngPoolFunc) (void *data, uint32_t i_chunk, uint32_t i_thread);

#define ENG_POOL_MAX_THREADS 256u
#define ENG_POOL_MAX_CHUNKS ((1u << 20) - 1u)

/* @n_threads counts the caller's own thread; 0 = eng_cpu_default_threads (). Values above
 * ENG_POOL_MAX_THREADS are cut to it. ENG_ERR_NO_MEMORY when memory or threads run out. */
EngStatus eng_thread_pool_new (uint32_t n_threads, EngThreadPool **pool, EngError *error);
/* Stops and joins the threads; sets *pool to NULL; NULL in *pool is fine. */
void eng_thread_pool_free (EngThreadPool **pool);

uint32_t eng_thread_pool_get_n_threads (const EngThreadPool *pool);

/* How long threads that wait stay awake before they sleep, in microseconds, at most a second; any thread. A new
 * pool has what suits it. NULL does nothing. */
void eng_thread_pool_set_spin_us (EngThreadPool *pool, uint32_t spin_us);

/* Call @func for every chunk in [0, n_chunks), n_chunks <= ENG_POOL_MAX_CHUNKS, the caller's thread
 * (number 0) working with the others. What @func wrote is visible to the caller afterwards. One
 * caller at a time; not from within a chunk. Allocates nothing. A NULL @pool runs all of it on the
 * caller's thread. */
void eng_thread_pool_run (EngThreadPool *pool, uint32_t n_chunks, EngPoolFunc func, void *data);
