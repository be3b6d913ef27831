/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target without libFuzzer: every file of the folders named on the command line, then
 * FUZZ_ROUNDS (default 2000) changed copies of each, from the seed FUZZ_SEED. TAP on standard
 * output. A crash is the failure; the first comment has what repeats it. */
#include <dirent.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES ((size_t) 1 << 20)

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static uint64_t state;

static uint64_t
next_random (void)
{
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

/* On the heap at exactly its size, so that a sanitizer sees the first byte past it. */
static void
run_exact (const uint8_t *data, size_t n)
{
  uint8_t *exact = malloc (n ? n : 1);
  if (!exact)
    exit (77);
  memcpy (exact, data, n);
  LLVMFuzzerTestOneInput (exact, n);
  free (exact);
}

static size_t
change (uint8_t *data, size_t n)
{
  static const uint64_t interesting[] = {
    0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
    0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
  };
  uint64_t value = interesting[next_random () % (sizeof interesting / sizeof interesting[0])];
  size_t at = n ? next_random () % n : 0, width = (size_t) 1 << next_random () % 4;
  switch (next_random () % 5)
    {
    case 0:
      if (n)
        data[at] ^= (uint8_t) (1u << next_random () % 8);
      break;
    case 1:
      if (n)
        data[at] = (uint8_t) next_random ();
      break;
    case 2:
      if (at + width <= n)
        memcpy (data + at, &value, width);
      break;
    case 3: /* cut out */
      if (at + width <= n)
        {
          memmove (data + at, data + at + width, n - at - width);
          n -= width;
        }
      break;
    default: /* repeat */
      if (at + width <= n && n + width <= INPUT_BYTES)
        {
          memmove (data + at + width, data + at, n - at);
          n += width;
        }
    }
  return n;
}

static void
run_file (const char *path, unsigned rounds)
{
  static uint8_t original[INPUT_BYTES], changed[INPUT_BYTES];
  FILE *file = fopen (path, "rb");
  if (!file)
    return;
  size_t n = fread (original, 1, sizeof original, file);
  fclose (file);
  run_exact (original, n);
  for (unsigned round = 0; round < rounds; round++)
    {
      size_t m = n;
      memcpy (changed, original, n);
      for (unsigned k = 1 + next_random () % 4; k > 0; k--)
        m = change (changed, m);
      run_exact (changed, m);
    }
}

int
main (int argc, char **argv)
{
  const char *seed_text = getenv ("FUZZ_SEED"), *rounds_text = getenv ("FUZZ_ROUNDS");
  uint64_t seed = seed_text ? strtoull (seed_text, NULL, 10) : 20260401;
  unsigned rounds = rounds_text ? (unsigned) strtoul (rounds_text, NULL, 10) : 2000, n_files = 0;
  printf ("1..1\n# FUZZ_SEED=%" PRIu64 " FUZZ_ROUNDS=%u\n", seed, rounds);
  fflush (stdout);
  state = seed | 1;
  for (int i = 1; i < argc; i++)
    {
      struct dirent **names;
      int n = scandir (argv[i], &names, NULL, alphasort);
      for (int k = 0; k < n; k++)
        {
          char path[4096];
          snprintf (path, sizeof path, "%s/%s", argv[i], names[k]->d_name);
          if (names[k]->d_name[0] != '.')
            {
              run_file (path, rounds);
              n_files++;
            }
          free (names[k]);
        }
      if (n >= 0)
        free (names);
    }
  printf ("%s 1 %u files and %u changed copies of each\n", n_files ? "ok" : "not ok", n_files,
          rounds);
  return n_files ? 0 : 1;
}
