/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-arch.h"

#include <string.h>

static const EngArch archs[] = {
  { "llama", true, eng_arch_compile_llama },
};
#define N_ARCHS (sizeof archs / sizeof archs[0])

const EngArch *
eng_arch_find (const char *name, uint64_t n_bytes)
{
  for (size_t i = 0; i < N_ARCHS; i++)
    if (strlen (archs[i].name) == n_bytes && memcmp (archs[i].name, name, n_bytes) == 0)
      return &archs[i];
  return NULL;
}

const EngArch *
eng_arch_get (uint32_t i)
{
  return i < N_ARCHS ? &archs[i] : NULL;
}
