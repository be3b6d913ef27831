/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CANARY 0xc5
#define MARGIN 128

typedef struct
{
  uint8_t *memory; /* what to free */
  size_t mapped;   /* of mmap; 0: malloc */
  uint8_t *data;   /* with canaries round it */
  size_t bytes;
} Block;

static Block blocks[4096];
static size_t n_blocks;
static uint64_t state;
static unsigned n_failures;


void
check_seed (uint64_t seed)
{
  state = seed;
}

uint64_t
check_random (void)
{
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

float
check_uniform (void)
{
  return (float) (int32_t) (check_random () >> 32) * 0x1p-31f;
}

static Block *
new_block (void)
{
  if (n_blocks == sizeof blocks / sizeof *blocks)
    {
      fprintf (stderr, "kernel check: too many blocks\n");
      exit (99);
    }
  return &blocks[n_blocks++];
}

void *
check_guarded (size_t bytes)
{
  size_t page = (size_t) sysconf (_SC_PAGESIZE), n = (bytes + page - 1) / page * page;
  uint8_t *memory = mmap (NULL, n + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect (memory + n, page, PROT_NONE) != 0)
    {
      perror ("kernel check: mmap");
      exit (99);
    }
  *new_block () = (Block){ memory, n + page, NULL, 0 };
  return memory + n - bytes;
}

void *
check_output (size_t bytes, size_t misalign)
{
  uint8_t *memory = aligned_alloc (64, (2 * MARGIN + bytes + misalign + 63) / 64 * 64);
  if (memory == NULL)
    exit (99);
  uint8_t *data = memory + MARGIN + misalign;
  memset (data - MARGIN, CANARY, MARGIN);
  memset (data, 0xff, bytes); /* float NaN: reading what should be written shows */
  memset (data + bytes, CANARY, MARGIN - misalign);
  *new_block () = (Block){ memory, 0, data, bytes };
  blocks[n_blocks - 1].mapped = 0;
  return data;
}

bool
check_free_all (void)
{
  bool whole = true;
  for (size_t i = 0; i < n_blocks; i++)
    {
      Block *b = &blocks[i];
      if (b->mapped != 0)
        {
          munmap (b->memory, b->mapped);
          continue;
        }
      size_t after = (size_t) (b->memory + MARGIN + MARGIN - b->data);
      for (size_t j = 0; j < MARGIN; j++)
        whole = whole && b->data[-1 - (ptrdiff_t) j] == CANARY;
      for (size_t j = 0; j < after; j++)
        whole = whole && b->data[b->bytes + j] == CANARY;
      free (b->memory);
    }
  n_blocks = 0;
  return whole;
}

const char *
check_values_name (CheckValues values)
{
  static const char *const names[VALUES_N] = { "random", "zero", "outlier", "large", "denormal" };
  return names[values];
}

void
check_fill (float *x, size_t n, CheckValues values)
{
  for (size_t i = 0; i < n; i++)
    switch (values)
      {
      case VALUES_ZERO:
        x[i] = 0;
        break;
      case VALUES_OUTLIER:
        x[i] = i == n / 2 ? 1e4f : check_uniform ();
        break;
      case VALUES_LARGE:
        x[i] = check_uniform () * 1e15f;
        break;
      case VALUES_DENORMAL:
        x[i] = check_uniform () * 1e-39f;
        break;
      default:
        x[i] = check_uniform ();
        break;
      }
}

void
check_fail (const char *format, ...)
{
  va_list args;
  if (n_failures++ >= 20)
    return;
  va_start (args, format);
  printf ("# ");
  vprintf (format, args);
  printf ("\n");
  va_end (args);
}

unsigned
check_get_failures (void)
{
  unsigned n = n_failures;
  n_failures = 0;
  return n;
}

bool
check_near (double got, double want, double bound)
{
  return got == want || fabs (got - want) <= bound;
}
