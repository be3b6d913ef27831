/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine's processor can do and how much of it this process may use. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Tiers of instructions that matter to the kernels, each with all it needs from the operating
 * system (saved registers) checked. Bits of EngDeviceOptions.kernel_mask. */
typedef enum
{
  ENG_CPU_TIER_AVX2 = 1 << 0,         /* x86-64-v3: AVX2, FMA, F16C */
  ENG_CPU_TIER_AVX_VNNI = 1 << 1,     /* AVX2 tier with 256-bit dot products of bytes */
  ENG_CPU_TIER_AVX512 = 1 << 2,       /* x86-64-v4: F, BW, CD, DQ, VL */
  ENG_CPU_TIER_AVX512_VNNI = 1 << 3,  /* v4 with VNNI */
  ENG_CPU_TIER_AVX512_BF16 = 1 << 4,  /* v4 with BF16 dot products */
  ENG_CPU_TIER_AMX = 1 << 5,          /* tiles, int8 and bf16 */
  ENG_CPU_TIER_NEON = 1 << 8,         /* arm64 */
  ENG_CPU_TIER_NEON_DOTPROD = 1 << 9,
  ENG_CPU_TIER_NEON_I8MM = 1 << 10,
} EngCpuTier;

/* Tiers this processor and system can run. Any thread. */
uint32_t eng_cpu_get_tiers (void);

/* "avx2", … of a single bit; "ref" for 0; NULL for anything else. */
const char *eng_cpu_tier_get_name (uint32_t tier);

/* The processor's marketing name; "" when unknown. NUL-terminated, cut to @size. */
void eng_cpu_get_name (char *name, uint32_t size);

/* Threads worth using: physical cores within this thread's affinity mask, and not more than the
 * CPU quota of the control groups (version 1 and 2) this process stands in. At least 1. */
uint32_t eng_cpu_default_threads (void);
