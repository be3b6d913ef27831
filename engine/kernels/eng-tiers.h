/* SPDX-License-Identifier: Apache-2.0 */
/* Private to kernels/: what each tier's library gives. Each function overrides entries of a table that
 * the tiers below have filled. */
#pragma once

#include "eng-kernels.h"

void eng_float_init_avx2 (EngKernels *kernels);
void eng_product_init_avx2 (EngKernels *kernels);
void eng_attention_init_avx2 (EngKernels *kernels);
void eng_delta_init_avx2 (EngKernels *kernels);
void eng_delta_init_avx512 (EngKernels *kernels);
void eng_product_init_avx_vnni (EngKernels *kernels);
void eng_float_init_avx512 (EngKernels *kernels);
void eng_attention_init_avx512 (EngKernels *kernels);
void eng_product_float_init_avx512 (EngKernels *kernels);
void eng_product_init_avx512 (EngKernels *kernels);
void eng_product_init_avx512_vnni (EngKernels *kernels);
void eng_product_float_init_avx512_bf16 (EngKernels *kernels);
void eng_product_init_amx (EngKernels *kernels);

void eng_float_init_neon (EngKernels *kernels);
void eng_attention_init_neon (EngKernels *kernels);
void eng_product_init_neon (EngKernels *kernels);
void eng_product_init_neon_dotprod (EngKernels *kernels);
void eng_product_init_neon_i8mm (EngKernels *kernels);
