/* SPDX-License-Identifier: Apache-2.0 */
/* What this processor can do, to hold the engine's figures against: multiply-and-add of bytes and
 * of floats from registers, in the widest form that it has, and reading of memory larger than its
 * caches.
 *
 *   limits [THREADS]     prints one JSON object; 10^9 operations (a multiplication and an addition
 * are two) and 10^9 bytes a second of all threads together, best of seven
 *
 * With byte dot products (VNNI) one instruction is one register of products. Without, a product of
 * whole bytes that must be exact is three: vpmaddubsw, vpmaddwd, vpaddd ("int8_gops"; widened to 16
 * bits and multiplied by two vpmaddwd and two vpaddd it is as many multiplications, and no faster).
 * Codes of four bits are cheaper: eight registers of them can be summed in 16 bits before they are
 * widened ("int4_gops").
 *
 * "read_gbs" is of one place a thread, byte after byte, "read_in_turn_gbs" of four in turn: the engine's products read four
 * panels side by side, and of some memories that brings more. Shares of the read bandwidth in docs/benchmarks.md are of the
 * first, unless they say otherwise.
 *
 * "int8_gops" is always of the vector registers ("form" says which), as are all shares of an 8-bit peak
 * in docs/benchmarks.md. Where the processor has AMX, what its tiles multiply is given beside it:
 * "amx_bf16_gflops", which the engine's products with many rows are made of, and "amx_int8_gops". Both from
 * tile registers; with each step's tiles loaded from the caches, two by two, "amx_bf16_loading_gflops". */
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "eng-cpu-features.h"

#define MAX_THREADS 256
#define READ_BYTES ((size_t) 512 << 20) /* shared out among the threads */
#define MULTIPLY_ROUNDS 4000000u

typedef struct
{
  uint64_t (*work) (const uint8_t *data, size_t bytes);
  const uint8_t *data;
  size_t bytes;
  pthread_barrier_t *barrier;
  uint64_t result;
  double start, end; /* the thread's own: who waits for it may get no processor until it is done */
} Share;

static double
now (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

/* Ten sums that do not wait for each other; the compiler must not see that nothing changes. */
#define MULTIPLY(name, isa, type, zero, op, lanes)                                                  \
  __attribute__ ((target (isa))) static uint64_t multiply_##name (const uint8_t *data, size_t bytes) \
  {                                                                                                \
    type s0 = zero (), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0, s8 = s0,     \
         s9 = s0, a, b;                                                                            \
    (void) bytes;                                                                                  \
    memcpy (&a, data, sizeof a);                                                                   \
    memcpy (&b, data + sizeof a, sizeof b);                                                        \
    for (uint32_t i = 0; i < MULTIPLY_ROUNDS; i++)                                                 \
      {                                                                                            \
        __asm__ volatile ("" : "+" lanes (a), "+" lanes (b));                                      \
        s0 = op (s0, a, b), s1 = op (s1, a, b), s2 = op (s2, a, b), s3 = op (s3, a, b);            \
        s4 = op (s4, a, b), s5 = op (s5, a, b), s6 = op (s6, a, b), s7 = op (s7, a, b);            \
        s8 = op (s8, a, b), s9 = op (s9, a, b);                                                    \
        __asm__ volatile (""                                                                       \
                          : "+" lanes (s0), "+" lanes (s1), "+" lanes (s2), "+" lanes (s3),        \
                            "+" lanes (s4), "+" lanes (s5), "+" lanes (s6), "+" lanes (s7),        \
                            "+" lanes (s8), "+" lanes (s9));                                       \
      }                                                                                            \
    return sizeof (type);                                                                          \
  }
#define PRODUCTS_PER_ROUND 10.0
#define CODES_REGISTERS 8

#if defined __x86_64__
/* As instructions: the compiler would see that all sums are given the same. */
__attribute__ ((target ("avx2"))) static inline __m256i
byte_pairs (__m256i a, __m256i b)
{
  __m256i pairs;
  __asm__ volatile("vpmaddubsw %2, %1, %0" : "=x"(pairs) : "x"(a), "x"(b));
  return pairs;
}

__attribute__ ((target ("avx2"))) static inline __m256i
multiply_pairs (__m256i sum, __m256i a, __m256i b)
{
  return _mm256_add_epi32 (sum, _mm256_madd_epi16 (byte_pairs (a, b), _mm256_set1_epi16 (1)));
}

/* Eight registers in one sum of 16 bits. */
__attribute__ ((target ("avx2"))) static inline __m256i
multiply_codes (__m256i sum, __m256i a, __m256i b)
{
  __m256i s16 = byte_pairs (a, b);
#pragma GCC unroll 8
  for (int i = 1; i < CODES_REGISTERS; i++)
    s16 = _mm256_add_epi16 (s16, byte_pairs (a, b));
  return _mm256_add_epi32 (sum, _mm256_madd_epi16 (s16, _mm256_set1_epi16 (1)));
}

__attribute__ ((target ("avx2,fma"))) static inline __m256
multiply_floats (__m256 sum, __m256 a, __m256 b)
{
  return _mm256_fmadd_ps (a, b, sum);
}

__attribute__ ((target ("avx512f"))) static inline __m512
multiply_wide_floats (__m512 sum, __m512 a, __m512 b)
{
  return _mm512_fmadd_ps (a, b, sum);
}

MULTIPLY (avx2, "avx2", __m256i, _mm256_setzero_si256, multiply_pairs, "x")
MULTIPLY (codes_avx2, "avx2", __m256i, _mm256_setzero_si256, multiply_codes, "x")
MULTIPLY (floats_avx2, "avx2,fma", __m256, _mm256_setzero_ps, multiply_floats, "x")
MULTIPLY (floats_avx512, "avx512f", __m512, _mm512_setzero_ps, multiply_wide_floats, "v")
MULTIPLY (avx_vnni, "avxvnni,avx2", __m256i, _mm256_setzero_si256, _mm256_dpbusd_avx_epi32, "x")
MULTIPLY (avx512_vnni, "avx512vnni,avx512f", __m512i, _mm512_setzero_si512, _mm512_dpbusd_epi32, "v")

/* Four sums of two tiles by two; @op a multiplication, @load what each step loads. */
#define MULTIPLY_TILES(name, isa, op, load)                                                        \
  __attribute__ ((target ("amx-tile," isa))) static uint64_t multiply_##name (const uint8_t *data, size_t bytes) \
  {                                                                                                \
    static const uint8_t config[64] __attribute__ ((aligned (64))) = {                             \
      [0] = 1,   [16] = 64, [18] = 64, [20] = 64, [22] = 64, [24] = 64, [26] = 64, [28] = 64, [30] = 64, \
      [48] = 16, [49] = 16, [50] = 16, [51] = 16, [52] = 16, [53] = 16, [54] = 16, [55] = 16,      \
    };                                                                                             \
    (void) data;                                                                                   \
    (void) bytes;                                                                                  \
    _tile_loadconfig (config);                                                                     \
    for (uint32_t i = 0; i < TILE_ROUNDS; i++)                                                     \
      {                                                                                            \
        load (4, 0);                                                                               \
        load (6, 1);                                                                               \
        load (7, 2);                                                                               \
        op (0, 4, 6);                                                                              \
        op (1, 4, 7);                                                                              \
        load (5, 3);                                                                               \
        op (2, 5, 6);                                                                              \
        op (3, 5, 7);                                                                              \
      }                                                                                            \
    _tile_release ();                                                                              \
    return 0;                                                                                      \
  }
#define TILE_ROUNDS 200000u
#define TILE_PRODUCTS (4.0 * 16 * 16 * 16) /* a round, of registers of four bytes */
#define NO_LOAD(tile, i) ((void) 0)
#define LOAD_TILE(tile, i) _tile_loadd (tile, data + (i) * 1024, 64)

MULTIPLY_TILES (amx_bf16, "amx-bf16", _tile_dpbf16ps, NO_LOAD)
MULTIPLY_TILES (amx_loading, "amx-bf16", _tile_dpbf16ps, LOAD_TILE)
MULTIPLY_TILES (amx_int8, "amx-int8", _tile_dpbssd, NO_LOAD)

/* 256 bytes of each of @n_places, a part of the memory each, then the next 256 of each, and so on. */
__attribute__ ((target ("avx2"))) static inline uint64_t
read_places (const uint8_t *data, size_t bytes, size_t n_places)
{
  __m256i s[8];
  size_t part = bytes / n_places;
  memset (s, 0, sizeof s);
  for (size_t i = 0; i + 256 <= part; i += 256)
    for (size_t k = 0; k < n_places; k++)
      for (size_t j = 0; j < 8; j++)
        {
          const uint8_t *p = data + k * part + i + 32 * j;
          s[j] = _mm256_xor_si256 (s[j], _mm256_load_si256 ((const __m256i *) (const void *) p));
        }
  for (int j = 1; j < 8; j++)
    s[0] = _mm256_xor_si256 (s[0], s[j]);
  return (uint64_t) _mm256_extract_epi64 (s[0], 0);
}

__attribute__ ((target ("avx2"))) static uint64_t
read_avx2 (const uint8_t *data, size_t bytes)
{
  return read_places (data, bytes, 1);
}

__attribute__ ((target ("avx2"))) static uint64_t
read_in_turn_avx2 (const uint8_t *data, size_t bytes)
{
  return read_places (data, bytes, 4);
}
#endif

static void *
run_share (void *data)
{
  Share *share = data;
  pthread_barrier_wait (share->barrier);
  share->start = now ();
  share->result = share->work (share->data, share->bytes);
  share->end = now ();
  return NULL;
}

/* Seconds from the start of the first thread to the end of the last, best of seven. */
static double
best_seconds (uint64_t (*work) (const uint8_t *, size_t), const uint8_t *data, size_t bytes, unsigned n)
{
  double best = 1e9;
  for (int attempt = 0; attempt < 7; attempt++)
    {
      pthread_t threads[MAX_THREADS];
      Share shares[MAX_THREADS];
      pthread_barrier_t barrier;
      pthread_barrier_init (&barrier, NULL, n);
      for (unsigned i = 0; i < n; i++)
        {
          size_t part = bytes / n / 4096 * 4096;
          shares[i] = (Share) { .work = work, .data = data + i * part, .bytes = part, .barrier = &barrier };
          if (pthread_create (&threads[i], NULL, run_share, &shares[i]) != 0)
            {
              fputs ("limits: no thread\n", stderr);
              exit (1);
            }
        }
      double start = 1e18, end = 0;
      for (unsigned i = 0; i < n; i++)
        {
          pthread_join (threads[i], NULL);
          start = shares[i].start < start ? shares[i].start : start;
          end = shares[i].end > end ? shares[i].end : end;
        }
      pthread_barrier_destroy (&barrier);
      best = end - start < best ? end - start : best;
    }
  return best;
}

#if defined __x86_64__
/* What is printed of the tiles of @n threads. */
static void
print_amx (const uint8_t *data, unsigned n)
{
  double products = 2.0 * TILE_PRODUCTS * TILE_ROUNDS * n * 1e-9;
  printf ("\"amx_int8_gops\": %.1f, ", 4 * products / best_seconds (multiply_amx_int8, data, READ_BYTES, n));
  printf ("\"amx_bf16_gflops\": %.1f, ", 2 * products / best_seconds (multiply_amx_bf16, data, READ_BYTES, n));
  printf ("\"amx_bf16_loading_gflops\": %.1f, ", 2 * products / best_seconds (multiply_amx_loading, data, READ_BYTES, n));
}
#endif

int
main (int argc, char **argv)
{
  unsigned n = argc > 1 ? (unsigned) strtoul (argv[1], NULL, 10) : eng_cpu_default_threads ();
  if (n == 0 || n > MAX_THREADS)
    {
      fputs ("usage: limits [THREADS]\n", stderr);
      return 2;
    }
#if !defined __x86_64__
  fputs ("limits: written for x86-64 alone\n", stderr);
  return 77;
#else
  uint32_t tiers = eng_cpu_get_tiers ();
  if ((tiers & ENG_CPU_TIER_AVX2) == 0)
    {
      fputs ("limits: the processor has no AVX2\n", stderr);
      return 77;
    }
  bool wide = (tiers & ENG_CPU_TIER_AVX512_VNNI) != 0, vnni = (tiers & ENG_CPU_TIER_AVX_VNNI) != 0;
  uint8_t *data = mmap (NULL, READ_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    {
      fputs ("limits: no memory\n", stderr);
      return 1;
    }
  madvise (data, READ_BYTES, MADV_HUGEPAGE);
  memset (data, 1, READ_BYTES);
  bool wide_floats = (tiers & ENG_CPU_TIER_AVX512) != 0;
  double multiply = best_seconds (wide ? multiply_avx512_vnni : vnni ? multiply_avx_vnni : multiply_avx2,
                                  data, READ_BYTES, n);
  double codes = wide || vnni ? 0 : best_seconds (multiply_codes_avx2, data, READ_BYTES, n);
  double floats = best_seconds (wide_floats ? multiply_floats_avx512 : multiply_floats_avx2, data,
                                READ_BYTES, n);
  double bytes = wide ? 64 : 32, registers = 2.0 * PRODUCTS_PER_ROUND * MULTIPLY_ROUNDS * n;
  double reading = best_seconds (read_avx2, data, READ_BYTES, n);
  double in_turn = best_seconds (read_in_turn_avx2, data, READ_BYTES, n);
  char name[128] = "";
  eng_cpu_get_name (name, sizeof name);
  for (char *c = name; *c != '\0'; c++)
    if (*c == '"' || *c == '\\' || (unsigned char) *c < ' ')
      *c = ' ';
  printf ("{\"cpu\": \"%s\", \"threads\": %u, \"form\": \"%s\", \"int8_gops\": %.1f, ", name, n,
          wide   ? "AVX-512 VNNI"
          : vnni ? "AVX-VNNI"
                 : "AVX2",
          bytes * registers / multiply * 1e-9);
  if (codes > 0)
    printf ("\"int4_gops\": %.1f, ", bytes * CODES_REGISTERS * registers / codes * 1e-9);
  if ((tiers & ENG_CPU_TIER_AMX) != 0)
    print_amx (data, n);
  printf ("\"float_gflops\": %.1f, \"read_gbs\": %.2f, \"read_in_turn_gbs\": %.2f}\n",
          (wide_floats ? 16 : 8) * registers / floats * 1e-9, (double) READ_BYTES / reading * 1e-9,
          (double) READ_BYTES / in_turn * 1e-9);
  munmap (data, READ_BYTES);
  return 0;
#endif
}
