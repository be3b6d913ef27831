/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-kernels.h"

#include "eng-cpu-features.h"
#include "eng-tiers.h"
#include "ref/eng-ref.h"

void
eng_kernels_init_ref (EngKernels *kernels)
{
  eng_ref_init_float (kernels);
  eng_ref_init_product (kernels);
  eng_ref_init_words (kernels);
  eng_ref_init_tiles (kernels);
  kernels->delta = eng_ref_delta;
}

uint32_t
eng_kernels_init (EngKernels *k, uint32_t tiers)
{
  uint32_t applied = 0;
  eng_kernels_init_ref (k);
#if defined __x86_64__
  if ((tiers & ENG_CPU_TIER_AVX2) != 0)
    {
      eng_float_init_avx2 (k);
      eng_product_init_avx2 (k);
      eng_attention_init_avx2 (k);
      eng_delta_init_avx2 (k);
      applied |= ENG_CPU_TIER_AVX2;
    }
  if ((tiers & ENG_CPU_TIER_AVX_VNNI) != 0)
    {
      eng_product_init_avx_vnni (k);
      applied |= ENG_CPU_TIER_AVX_VNNI;
    }
  if ((tiers & ENG_CPU_TIER_AVX512) != 0)
    {
      eng_float_init_avx512 (k);
      eng_attention_init_avx512 (k);
      eng_delta_init_avx512 (k);
      eng_product_float_init_avx512 (k);
      /* Without byte dot products, wider registers alone; a processor with AVX-VNNI has both. */
      if ((tiers & ENG_CPU_TIER_AVX_VNNI) == 0)
        eng_product_init_avx512 (k);
      applied |= ENG_CPU_TIER_AVX512;
    }
  if ((tiers & ENG_CPU_TIER_AVX512_VNNI) != 0)
    {
      eng_product_init_avx512_vnni (k);
      applied |= ENG_CPU_TIER_AVX512_VNNI;
    }
  if ((tiers & ENG_CPU_TIER_AVX512_BF16) != 0)
    {
      eng_product_float_init_avx512_bf16 (k);
      applied |= ENG_CPU_TIER_AVX512_BF16;
    }
  /* Panels of 16 rows, and instructions of the tiers below. */
  const uint32_t amx = ENG_CPU_TIER_AVX512_BF16 | ENG_CPU_TIER_AVX512_VNNI | ENG_CPU_TIER_AVX512;
  if ((tiers & ENG_CPU_TIER_AMX) != 0 && (tiers & amx) == amx)
    {
      eng_product_init_amx (k);
      applied |= ENG_CPU_TIER_AMX;
    }
#elif defined __aarch64__
  if ((tiers & ENG_CPU_TIER_NEON) != 0)
    {
      eng_float_init_neon (k);
      eng_product_init_neon (k);
      eng_attention_init_neon (k);
      applied |= ENG_CPU_TIER_NEON;
    }
  if ((tiers & ENG_CPU_TIER_NEON_DOTPROD) != 0)
    {
      eng_product_init_neon_dotprod (k);
      applied |= ENG_CPU_TIER_NEON_DOTPROD;
    }
  if ((tiers & ENG_CPU_TIER_NEON_I8MM) != 0)
    {
      eng_product_init_neon_i8mm (k);
      applied |= ENG_CPU_TIER_NEON_I8MM;
    }
#endif
  return applied;
}
