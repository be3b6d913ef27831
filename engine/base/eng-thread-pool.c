/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. @ticket holds (sequence, n_chunks, next chunk) of the current loop in one word. A chunk belongs
 *     to whoever moved @next past it; that fixes which loop the claim was for.
 *  2. @func and @data change only while no chunk of any loop is claimed and unfinished: the caller
 *     publishes a loop after the one before it counted n_done == n_chunks. A thread that claimed a
 *     chunk may therefore read them until it has counted the chunk as done.
 *  3. The caller alone starts loops; it needs no other thread to finish one unless that thread holds
 *     a claimed chunk.
 *  4. A thread that goes to sleep first adds itself to @n_asleep and then looks at the ticket once
 *     more; a publisher first stores the ticket and then looks at @n_asleep (both sequentially
 *     consistent), so one of the two always sees the other. */
#include "eng-thread-pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "eng-arena.h"
#include "eng-cpu-features.h"
#include "eng-error.h"

/* ticket: sequence in bits 40..63, n_chunks in 20..39, next in 0..19. */
#define TICKET(seq, n) ((uint64_t) (seq) << 40 | (uint64_t) (n) << 20)
#define TICKET_N(t) ((uint32_t) ((t) >> 20) & 0xfffffu)
#define TICKET_NEXT(t) ((uint32_t) (t) &0xfffffu)

/* How long a thread spins before it sleeps. Steps of a small model follow each other within 10 us; a
 * sleep and its wake cost about 50 us on the machines measured (Zen 3, virtual). Longer spinning keeps
 * a core from a neighbour that the system could run there, such as this pool's own preempted thread. */
#define SPIN_NS 40000

typedef struct
{
  EngThreadPool *pool;
  pthread_t thread;
  uint32_t i_thread;
} Worker;

struct EngThreadPool
{
  alignas (64) _Atomic uint64_t ticket;
  alignas (64) _Atomic uint32_t n_done;
  alignas (64) _Atomic uint32_t wake;          /* futex word of the workers */
  _Atomic uint32_t n_asleep;
  alignas (64) _Atomic uint32_t caller_asleep; /* futex word of the caller: 1 = asleep */
  alignas (64) EngPoolFunc func;
  void *data;
  uint32_t sequence;
  uint32_t n_threads;
  _Atomic uint32_t spin_ns;
  _Atomic bool quit;
  Worker *workers; /* n_threads - 1 */
};

static void
futex_wait (_Atomic uint32_t *word, uint32_t value)
{
  syscall (SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void
futex_wake (_Atomic uint32_t *word)
{
  syscall (SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static inline void
relax (void)
{
#if defined __x86_64__ || defined __i386__
  __builtin_ia32_pause ();
#elif defined __aarch64__
  __asm__ volatile ("yield" ::: "memory");
#endif
}

static uint64_t
now_ns (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

/* Spin until *word & mask differs from @value, or the time is over. True: it differs. */
static bool
spin_while_equal64 (_Atomic uint64_t *word, uint64_t mask, uint64_t value, uint32_t spin_ns)
{
  uint64_t until = 0;
  for (;;)
    {
      for (int i = 0; i < 64; i++)
        {
          if ((atomic_load_explicit (word, memory_order_acquire) & mask) != value)
            return true;
          relax ();
        }
      uint64_t now = now_ns ();
      if (until == 0)
        until = now + spin_ns;
      else if (now > until)
        return false;
    }
}

/* Claim and do chunks of the current loop until none is left. */
static void
work (EngThreadPool *pool, uint32_t i_thread)
{
  for (;;)
    {
      uint64_t t = atomic_load_explicit (&pool->ticket, memory_order_acquire);
      if (TICKET_NEXT (t) >= TICKET_N (t))
        return;
      if (!atomic_compare_exchange_weak_explicit (&pool->ticket, &t, t + 1, memory_order_acq_rel,
                                                  memory_order_acquire))
        continue;
      pool->func (pool->data, TICKET_NEXT (t), i_thread);
      uint32_t done = atomic_fetch_add_explicit (&pool->n_done, 1, memory_order_seq_cst) + 1;
      if (i_thread != 0 && done == TICKET_N (t)
          && atomic_load_explicit (&pool->caller_asleep, memory_order_seq_cst))
        {
          atomic_store (&pool->caller_asleep, 0);
          futex_wake (&pool->caller_asleep);
        }
    }
}

static void *
worker_main (void *data)
{
  Worker *worker = data;
  EngThreadPool *pool = worker->pool;
  uint64_t seen = 0;
  for (;;)
    {
      if (!spin_while_equal64 (&pool->ticket, ~(uint64_t) 0 << 40, seen,
                               atomic_load_explicit (&pool->spin_ns, memory_order_relaxed)))
        {
          uint32_t wake = atomic_load (&pool->wake);
          atomic_fetch_add (&pool->n_asleep, 1);
          if ((atomic_load (&pool->ticket) & ~(uint64_t) 0 << 40) == seen && !atomic_load (&pool->quit))
            futex_wait (&pool->wake, wake);
          atomic_fetch_sub (&pool->n_asleep, 1);
          if (atomic_load (&pool->quit))
            return NULL;
          continue;
        }
      seen = atomic_load_explicit (&pool->ticket, memory_order_acquire) & ~(uint64_t) 0 << 40;
      if (atomic_load (&pool->quit))
        return NULL;
      work (pool, worker->i_thread);
    }
}

static void
wake_workers (EngThreadPool *pool)
{
  if (atomic_load (&pool->n_asleep) != 0)
    {
      atomic_fetch_add (&pool->wake, 1);
      futex_wake (&pool->wake);
    }
}

/* The caller's wait for chunks that others hold. */
static void
wait_done (EngThreadPool *pool, uint32_t n_chunks)
{
  uint64_t until = 0;
  for (;;)
    {
      for (int i = 0; i < 64; i++)
        {
          if (atomic_load_explicit (&pool->n_done, memory_order_acquire) == n_chunks)
            return;
          relax ();
        }
      uint64_t now = now_ns ();
      if (until == 0)
        until = now + atomic_load_explicit (&pool->spin_ns, memory_order_relaxed);
      else if (now > until)
        {
          atomic_store (&pool->caller_asleep, 1);
          if (atomic_load (&pool->n_done) != n_chunks)
            futex_wait (&pool->caller_asleep, 1);
          atomic_store (&pool->caller_asleep, 0);
        }
    }
}

void
eng_thread_pool_run (EngThreadPool *pool, uint32_t n_chunks, EngPoolFunc func, void *data)
{
  if (n_chunks == 0)
    return;
  if (pool == NULL || pool->n_threads == 1 || n_chunks == 1)
    {
      for (uint32_t i = 0; i < n_chunks; i++)
        func (data, i, 0);
      return;
    }
  ENG_ASSERT (n_chunks <= ENG_POOL_MAX_CHUNKS);
  pool->func = func;
  pool->data = data;
  atomic_store_explicit (&pool->n_done, 0, memory_order_relaxed);
  pool->sequence = (pool->sequence + 1) & 0xffffffu;
  atomic_store (&pool->ticket, TICKET (pool->sequence, n_chunks));
  wake_workers (pool);
  work (pool, 0);
  wait_done (pool, n_chunks);
}

uint32_t
eng_thread_pool_get_n_threads (const EngThreadPool *pool)
{
  return pool == NULL ? 1 : pool->n_threads;
}

void
eng_thread_pool_set_spin_us (EngThreadPool *pool, uint32_t spin_us)
{
  if (pool != NULL)
    atomic_store (&pool->spin_ns, (spin_us < 1000000u ? spin_us : 1000000u) * 1000u);
}

static EngStatus
start_workers (EngThreadPool *pool, EngError *error)
{
  /* Signals belong to the program's own threads. */
  sigset_t all, old;
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &old);
  int rc = 0;
  uint32_t wanted = pool->n_threads;
  pool->n_threads = 1;
  for (uint32_t i = 1; i < wanted && rc == 0; i++)
    {
      Worker *worker = &pool->workers[i - 1];
      worker->pool = pool;
      worker->i_thread = i;
      rc = pthread_create (&worker->thread, NULL, worker_main, worker);
      if (rc == 0)
        pool->n_threads = i + 1;
    }
  pthread_sigmask (SIG_SETMASK, &old, NULL);
  if (rc != 0)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, "threads", ENG_OFFSET_NONE,
                          "the system refused a thread (number %u of %u)", pool->n_threads + 1,
                          wanted);
  return ENG_OK;
}

EngStatus
eng_thread_pool_new (uint32_t n_threads, EngThreadPool **out, EngError *error)
{
  if (n_threads == 0)
    n_threads = eng_cpu_default_threads ();
  if (n_threads > ENG_POOL_MAX_THREADS)
    n_threads = ENG_POOL_MAX_THREADS;
  EngThreadPool *pool = eng_alloc_aligned (64, sizeof *pool);
  if (pool == NULL)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, "threads", ENG_OFFSET_NONE,
                          "no memory for the thread pool");
  *pool = (EngThreadPool){ .n_threads = n_threads, .spin_ns = SPIN_NS };
  pool->workers = eng_alloc_array (n_threads, sizeof (Worker));
  if (pool->workers == NULL)
    {
      eng_free_aligned (pool);
      return eng_error_set (error, ENG_ERR_NO_MEMORY, "threads", ENG_OFFSET_NONE,
                            "no memory for the thread pool");
    }
  EngStatus status = start_workers (pool, error);
  if (status != ENG_OK)
    {
      eng_thread_pool_free (&pool);
      return status;
    }
  *out = pool;
  return ENG_OK;
}

void
eng_thread_pool_free (EngThreadPool **pool_ref)
{
  EngThreadPool *pool = *pool_ref;
  if (pool == NULL)
    return;
  atomic_store (&pool->quit, true);
  atomic_fetch_add (&pool->wake, 1);
  /* Moves the sequence without chunks: spinning threads notice. */
  atomic_store (&pool->ticket, TICKET ((pool->sequence + 1) & 0xffffffu, 0));
  futex_wake (&pool->wake);
  for (uint32_t i = 1; i < pool->n_threads; i++)
    pthread_join (pool->workers[i - 1].thread, NULL);
  eng_free (pool->workers);
  eng_free_aligned (pool);
  *pool_ref = NULL;
}
