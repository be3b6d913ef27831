/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel check: every entry of the kernel table, in every tier this processor runs, against double
 * arithmetic.
 *
 *   test-kernels [--tier NAME] [--seed N] [--bench]
 *
 * Prints TAP. A tier that this processor lacks is skipped, and counted as such; asking for one by name
 * exits 77. The seed is printed and fixed unless given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "eng-cpu-features.h"


static unsigned n_tests, n_failed;

static void
report (const char *tier, const char *what)
{
  unsigned failures = check_get_failures ();
  printf ("%sok %u %s %s\n", failures ? "not " : "", ++n_tests, tier, what);
  if (failures)
    printf ("# %u failures\n", failures);
  n_failed += failures != 0;
  fflush (stdout);
}

static void
check_tier (const EngKernels *k, const char *tier, uint64_t seed)
{
  check_seed (seed);
  check_float_kernels (k);
  report (tier, "vectors");
  check_seed (seed + 1);
  check_product_kernels (k);
  report (tier, "products");
  check_seed (seed + 4);
  check_word_kernels (k);
  report (tier, "products by 16-bit integers");
  check_seed (seed + 5);
  check_tile_kernels (k);
  report (tier, "products by tiles");
  check_seed (seed + 2);
  check_attention_kernels (k);
  report (tier, "attention");
  check_seed (seed + 3);
  check_delta_kernel (k);
  report (tier, "delta rule");
}

int
main (int argc, char **argv)
{
  const char *only = NULL;
  bool bench = false, found = false;
  uint64_t seed = 20240607;
  for (int i = 1; i < argc; i++)
    if (strcmp (argv[i], "--bench") == 0)
      bench = true;
    else if (strcmp (argv[i], "--tier") == 0 && i + 1 < argc)
      only = argv[++i];
    else if (strcmp (argv[i], "--seed") == 0 && i + 1 < argc)
      seed = strtoull (argv[++i], NULL, 0);
    else
      {
        fprintf (stderr, "usage: test-kernels [--tier NAME] [--seed N] [--bench]\n");
        return 2;
      }
  printf ("# seed %llu\n", (unsigned long long) seed);
  EngKernels ref, k;
  eng_kernels_init_ref (&ref);
  check_seed (seed);
  if (only == NULL || strcmp (only, "ref") == 0)
    {
      found = true;
      if (!bench)
        {
          check_pack ();
          report ("ref", "packing");
          check_tier (&ref, "ref", seed);
        }
    }
  uint32_t have = eng_cpu_get_tiers ();
  for (uint32_t bit = 1; bit != 0; bit <<= 1)
    {
      const char *name = eng_cpu_tier_get_name (bit);
      if (name == NULL || (only != NULL && strcmp (only, name) != 0))
        continue;
      /* A tier stands on those below it; some of them may be absent from this build. */
      uint32_t applied = eng_kernels_init (&k, have & (bit | (bit - 1)));
      if ((applied & bit) == 0)
        {
          if (only == NULL)
            printf ("ok %u %s # SKIP this processor or build has no such tier\n", ++n_tests, name);
          continue;
        }
      found = true;
      if (bench)
        bench_kernels (&k, &ref, name);
      else
        check_tier (&k, name, seed);
    }
  printf ("1..%u\n", n_tests);
  return !found ? 77 : n_failed != 0;
}
