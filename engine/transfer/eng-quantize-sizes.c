/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-quantize-sizes.h"

#include "eng-checked.h"

#define ALIGNMENT 32 /* of tensors in a file: the format's usual one, and the writer's */

static bool
add_aligned (uint64_t *sum, uint64_t bytes)
{
  uint64_t padded;
  return eng_checked_align (bytes, ALIGNMENT, &padded) && eng_checked_add (*sum, padded, sum);
}

uint64_t
eng_quantize_predict_bytes (const EngGguf *gguf, const EngMix *mix)
{
  EngMixModel model;
  uint64_t before = 0, after = 0, all = eng_gguf_get_file_bytes (gguf);
  eng_mix_model_init (&model, mix, gguf);
  for (uint64_t i = 0; i < eng_gguf_get_n_tensors (gguf); i++)
    {
      const EngGgufTensor *t = eng_gguf_get_tensor (gguf, i);
      EngType type = eng_mix_choose (&model, t->name, t->type, t->n_dims, t->dims, NULL);
      uint64_t row_bytes, bytes;
      if (!eng_type_row_bytes (type, t->dims[0], &row_bytes)
          || !eng_checked_mul (row_bytes, t->n_rows, &bytes) || !add_aligned (&after, bytes)
          || !add_aligned (&before, t->n_bytes))
        return UINT64_MAX;
    }
  /* What is not tensors stays. */
  all = all > before ? all - before : 0;
  return eng_checked_add (all, after, &after) ? after : UINT64_MAX;
}
