/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-arch.h"

#include <string.h>

static const EngArch archs[] = {
  { "bert", false, eng_arch_compile_bert },
  { "chatglm", true, eng_arch_compile_chatglm },
  { "deepseek2", true, eng_arch_compile_deepseek2 },
  { "gemma-embedding", false, eng_arch_compile_gemma_embedding },
  { "gemma2", true, eng_arch_compile_gemma2 },
  { "gemma3", true, eng_arch_compile_gemma3 },
  { "gemma4", true, eng_arch_compile_gemma4 },
  { "glm4", true, eng_arch_compile_glm4 },
  { "glm4moe", true, eng_arch_compile_glm4moe },
  { "gpt-oss", true, eng_arch_compile_gpt_oss },
  { "lfm2", true, eng_arch_compile_lfm2 },
  { "lfm2moe", true, eng_arch_compile_lfm2 },
  { "llama", true, eng_arch_compile_llama },
  { "nomic-bert", false, eng_arch_compile_nomic_bert },
  { "phi3", true, eng_arch_compile_phi3 },
  { "qwen2", true, eng_arch_compile_qwen2 },
  { "qwen2moe", true, eng_arch_compile_qwen2moe },
  { "qwen3", true, eng_arch_compile_qwen3 },
  { "qwen35", true, eng_arch_compile_qwen35 },
  { "qwen35moe", true, eng_arch_compile_qwen35 },
  { "qwen3moe", true, eng_arch_compile_qwen3moe },
  { "qwen3next", true, eng_arch_compile_qwen3next },
  { "smollm3", true, eng_arch_compile_smollm3 },
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
