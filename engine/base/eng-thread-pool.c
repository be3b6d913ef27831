/* SPDX-License-Identifier: Apache-2.0 */
/* The chunks of a loop are cut into as many ranges as there are threads, each in a word of its own thread: a range
 * is neighbouring chunks, so what one thread reads lies together, and claiming one's own next chunk waits for no
 * other core. Whoever has finished takes chunks from the ends of the ranges of others.
 *
 * Invariants:
 *  1. @ticket holds (sequence, n_chunks) of the current loop in one word, a share (sequence, end, next) of the last
 *     loop in which anyone claimed a chunk of it. A share older than the loop has its whole range left; so the first
 *     claim, by whomever, moves it to the loop, and nobody needs to hand out shares.
 *  2. A chunk belongs to whoever moved @next or @end past it. All chunks of a loop are claimed before it ends, so
 *     whoever still looks for chunks of an older loop finds every share that has any in that loop or in a newer one,
 *     and claims nothing.
 *  3. @func and @data change only while no chunk of any loop is claimed and unfinished: the caller
 *     publishes a loop after the one before it counted n_done == n_chunks. A thread that claimed a
 *     chunk may therefore read them until it has counted the chunk as done.
 *  4. The caller alone starts loops; it needs no other thread to finish one unless that thread holds
 *     a claimed chunk.
 *  5. A thread that goes to sleep first adds itself to @n_asleep and then looks at the ticket once
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

/* ticket: sequence in bits 40..63, n_chunks in 20..39; share: sequence, end, next in 0..19. */
#define TICKET(seq, n) ((uint64_t) (seq) << 40 | (uint64_t) (n) << 20)
#define TICKET_SEQUENCE(t) ((uint32_t) ((t) >> 40))
#define TICKET_N(t) ((uint32_t) ((t) >> 20) & 0xfffffu)
#define SHARE(seq, end, next) (TICKET (seq, end) | (next))
#define SHARE_END(t) TICKET_N (t)
#define SHARE_NEXT(t) ((uint32_t) (t) &0xfffffu)
#define SEQUENCE_MASK 0xffffffu
/* Shares without chunks are not touched by loops: after so many they are brought up to date, before their numbers
 * would seem to be of loops to come. */
#define REFRESH_EVERY (1u << 20)

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

typedef struct
{
  alignas (64) _Atomic uint64_t range;
} Share;

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
  Share *shares;   /* n_threads */
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

/* The share @i of loop @ticket as nobody has touched it. */
static uint64_t
whole_share (const EngThreadPool *pool, uint64_t ticket, uint32_t i)
{
  uint32_t n = TICKET_N (ticket), each = n / pool->n_threads, more = n % pool->n_threads;
  uint32_t first = each * i + (i < more ? i : more);
  return SHARE (TICKET_SEQUENCE (ticket), first + each + (i < more), first);
}

/* Take the first chunk of share @i, or the last one: what others take is far from what its own thread reads next. */
static bool
claim (EngThreadPool *pool, uint64_t ticket, uint32_t i, bool from_end, uint32_t *i_chunk)
{
  _Atomic uint64_t *range = &pool->shares[i].range;
  uint64_t seen = atomic_load_explicit (range, memory_order_acquire), left, then;
  do
    {
      uint32_t age = (TICKET_SEQUENCE (ticket) - TICKET_SEQUENCE (seen)) & SEQUENCE_MASK;
      if (age > SEQUENCE_MASK / 2) /* of a newer loop */
        return false;
      left = age == 0 ? seen : whole_share (pool, ticket, i);
      if (SHARE_NEXT (left) >= SHARE_END (left))
        return false;
      *i_chunk = from_end ? SHARE_END (left) - 1 : SHARE_NEXT (left);
      then = from_end ? SHARE (TICKET_SEQUENCE (left), *i_chunk, SHARE_NEXT (left)) : left + 1;
    }
  while (!atomic_compare_exchange_weak_explicit (range, &seen, then, memory_order_acq_rel, memory_order_acquire));
  return true;
}

/* Claim and do chunks of loop @ticket until none is left. */
static void
work (EngThreadPool *pool, uint64_t ticket, uint32_t i_thread)
{
  uint32_t n = 0, i_chunk;
  for (uint32_t i = 0; i < pool->n_threads; i++)
    {
      uint32_t owner = i_thread + i < pool->n_threads ? i_thread + i : i_thread + i - pool->n_threads;
      for (; claim (pool, ticket, owner, i != 0, &i_chunk); n++)
        pool->func (pool->data, i_chunk, i_thread);
    }
  if (n == 0)
    return;
  uint32_t done = atomic_fetch_add_explicit (&pool->n_done, n, memory_order_seq_cst) + n;
  if (i_thread != 0 && done == TICKET_N (ticket) && atomic_load_explicit (&pool->caller_asleep, memory_order_seq_cst))
    {
      atomic_store (&pool->caller_asleep, 0);
      futex_wake (&pool->caller_asleep);
    }
}

static void *
worker_main (void *data)
{
  Worker *worker = data;
  EngThreadPool *pool = worker->pool;
  uint64_t seen = 0, ticket;
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
      ticket = atomic_load_explicit (&pool->ticket, memory_order_acquire);
      seen = ticket & ~(uint64_t) 0 << 40;
      if (atomic_load (&pool->quit))
        return NULL;
      work (pool, ticket, worker->i_thread);
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
  pool->sequence = (pool->sequence + 1) & SEQUENCE_MASK;
  if (pool->sequence % REFRESH_EVERY == 0)
    for (uint32_t i = 0; i < pool->n_threads; i++)
      atomic_store (&pool->shares[i].range, SHARE ((pool->sequence - 1) & SEQUENCE_MASK, 0, 0));
  uint64_t ticket = TICKET (pool->sequence, n_chunks);
  atomic_store (&pool->ticket, ticket);
  wake_workers (pool);
  work (pool, ticket, 0);
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
  pool->shares = eng_alloc_aligned (alignof (Share), n_threads * sizeof (Share));
  if (pool->workers == NULL || pool->shares == NULL)
    {
      eng_free (pool->workers);
      eng_free_aligned (pool->shares);
      eng_free_aligned (pool);
      return eng_error_set (error, ENG_ERR_NO_MEMORY, "threads", ENG_OFFSET_NONE,
                            "no memory for the thread pool");
    }
  for (uint32_t i = 0; i < n_threads; i++)
    atomic_init (&pool->shares[i].range, 0);
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
  atomic_store (&pool->ticket, TICKET ((pool->sequence + 1) & SEQUENCE_MASK, 0));
  futex_wake (&pool->wake);
  for (uint32_t i = 1; i < pool->n_threads; i++)
    pthread_join (pool->workers[i - 1].thread, NULL);
  eng_free (pool->workers);
  eng_free_aligned (pool->shares);
  eng_free_aligned (pool);
  *pool_ref = NULL;
}
