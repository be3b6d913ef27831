/* SPDX-License-Identifier: Apache-2.0 */
/* The architectures this engine knows. A new one is a file eng-arch-<name>.c with a compile function
 * and a line in eng-arch.c; nothing else changes. */
#pragma once

#include "eng-builder.h"

typedef struct
{
  const char *name; /* general.architecture */
  bool causal;      /* false: an encoder; a sequence is one batch */
  /* Read hyper-parameters, bind tensors, emit every step. Errors stick in @b. */
  void (*compile) (EngBuilder *b);
} EngArch;

/* NULL when unknown. @name need not be NUL-terminated. */
const EngArch *eng_arch_find (const char *name, uint64_t n_bytes);
/* i-th architecture, NULL past the last. */
const EngArch *eng_arch_get (uint32_t i);

void eng_arch_compile_llama (EngBuilder *b);
void eng_arch_compile_deepseek2 (EngBuilder *b);
void eng_arch_compile_lfm2 (EngBuilder *b);
void eng_arch_compile_qwen2 (EngBuilder *b);
void eng_arch_compile_qwen3 (EngBuilder *b);
void eng_arch_compile_qwen2moe (EngBuilder *b);
void eng_arch_compile_qwen3moe (EngBuilder *b);
void eng_arch_compile_qwen35 (EngBuilder *b);
void eng_arch_compile_qwen3next (EngBuilder *b);
void eng_arch_compile_gemma_embedding (EngBuilder *b);
void eng_arch_compile_gemma2 (EngBuilder *b);
void eng_arch_compile_gemma3 (EngBuilder *b);
void eng_arch_compile_gemma4 (EngBuilder *b);
void eng_arch_compile_glm4 (EngBuilder *b);
void eng_arch_compile_glm4moe (EngBuilder *b);
void eng_arch_compile_gpt_oss (EngBuilder *b);
void eng_arch_compile_smollm3 (EngBuilder *b);
void eng_arch_compile_chatglm (EngBuilder *b);
void eng_arch_compile_phi3 (EngBuilder *b);
void eng_arch_compile_bert (EngBuilder *b);
void eng_arch_compile_nomic_bert (EngBuilder *b);
