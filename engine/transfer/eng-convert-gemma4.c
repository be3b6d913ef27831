/* SPDX-License-Identifier: Apache-2.0 */
/* Gemma 4's hyper-parameters: two kinds of layers, with and without a window, which differ in their heads, and layers at
 * the end that use earlier keys and values. Keys as llama.cpp's converter names them (ggml-org/llama.cpp, conversion of
 * Gemma4ForConditionalGeneration). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eng-convert-private.h"

/* A number of the layer @i_global, which has no window: in older folders under a @name for all of these, in newer ones
 * under the layer and @own_name. */
static uint32_t
get_global (EngConvert *c, uint32_t i_global, const char *name, const char *own_name, uint32_t fallback)
{
  char layer[16];
  int64_t value;
  snprintf (layer, sizeof layer, "%u", i_global);
  const EngJson *own = eng_json_get (eng_json_get (c->config, "per_layer_config"), layer);
  if (eng_json_get_int64 (own, own_name, &value) && value > 0 && value < UINT32_MAX)
    return (uint32_t) value;
  return eng_convert_get_u32 (c, name, fallback);
}

static void
set_array (EngConvert *c, const char *suffix, EngGgufType type, const void *values)
{
  char key[96];
  snprintf (key, sizeof key, "%s.%s", c->arch->name, suffix);
  if (c->status == ENG_OK)
    c->status = eng_gguf_writer_set_array (c->writer, key, type, c->n_layers, values, c->error);
}

/* "proportional": the first share of the angles turns as if all did, the others stand still (`transformers`,
 * modeling_rope_utils.py). The file's factors divide the frequencies. */
static void
add_rope_factors (EngConvert *c, uint32_t n_rot)
{
  double share = 1, factor = 1;
  const EngJson *rope = eng_convert_rope (c);
  eng_json_get_double (rope, "partial_rotary_factor", &share);
  eng_json_get_double (rope, "factor", &factor);
  bool is_proportional = eng_json_is_string (eng_json_get (rope, "rope_type"), "proportional");
  uint32_t n = n_rot / 2;
  float *out = eng_arena_alloc_array (&c->arena, n, sizeof *out);
  if (!(share > 0 && share <= 1) || (share != 1 && !is_proportional) || factor != 1 || n == 0)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "partial_rotary_factor",
                      "RoPE of a share of %g with a factor of %g is not supported", share, factor);
  else if (!out)
    eng_convert_fail (c, ENG_ERR_NO_MEMORY, "rope_parameters", "out of memory");
  if (c->status != ENG_OK)
    return;
  for (uint32_t i = 0; i < n; i++)
    out[i] = i < (uint32_t) (share * n_rot / 2) ? 1.0f : 1e30f;
  eng_convert_add_vector (c, "rope_freqs.weight", out, n);
}

void
eng_convert_set_gemma4 (EngConvert *c)
{
  const EngJson *types = eng_json_get (c->config, "layer_types"), *rope = eng_json_get (c->config, "rope_parameters");
  uint32_t n_shared = eng_convert_get_u32 (c, "num_kv_shared_layers", 0), i_global = 0;
  uint32_t n_ff = eng_convert_need_u32 (c, "intermediate_size");
  double local_base = 10000.0;
  bool *is_local = eng_arena_alloc_array (&c->arena, c->n_layers, sizeof *is_local);
  int32_t *widths = eng_arena_alloc_array (&c->arena, c->n_layers, sizeof *widths);
  int32_t *heads = eng_arena_alloc_array (&c->arena, c->n_layers, sizeof *heads);
  if (!is_local || !widths || !heads)
    eng_convert_fail (c, ENG_ERR_NO_MEMORY, "layer_types", "out of memory");
  else if (!types || types->type != ENG_JSON_ARRAY || types->n != c->n_layers)
    eng_convert_fail (c, ENG_ERR_FORMAT, "layer_types", "config.json does not say which layers have a window");
  else if (n_shared >= c->n_layers || n_ff > INT32_MAX / 2)
    eng_convert_fail (c, ENG_ERR_FORMAT, "num_kv_shared_layers", "config.json says that %u of %u layers share keys",
                      n_shared, c->n_layers);
  else if (eng_json_is_string (eng_json_get (c->config, "use_bidirectional_attention"), "all"))
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "use_bidirectional_attention", "Gemma 4 as an encoder is not supported");
  if (c->status != ENG_OK)
    return;
  bool is_wide = eng_convert_get_bool (c, "use_double_wide_mlp", false);
  bool keys_are_values = eng_convert_get_bool (c, "attention_k_eq_v", false);
  for (uint32_t i = 0; i < c->n_layers; i++)
    {
      is_local[i] = eng_json_is_string (eng_json_at (types, i), "sliding_attention");
      i_global = is_local[i] ? i_global : i;
      heads[i] = (int32_t) c->n_heads_kv;
      if (!is_local[i])
        heads[i] = (int32_t) get_global (c, i, keys_are_values ? "num_global_key_value_heads" : "num_key_value_heads",
                                         "num_key_value_heads", c->n_heads_kv);
      widths[i] = (int32_t) (is_wide && i >= c->n_layers - n_shared ? 2 * n_ff : n_ff);
    }
  uint32_t global_width = get_global (c, i_global, "global_head_dim", "head_dim", c->head_width);
  set_array (c, "attention.sliding_window_pattern", ENG_GGUF_BOOL, is_local);
  set_array (c, "attention.head_count_kv", ENG_GGUF_I32, heads);
  set_array (c, "feed_forward_length", ENG_GGUF_I32, widths);
  eng_convert_set_u32 (c, "attention.sliding_window", eng_convert_get_u32 (c, "sliding_window", 512));
  eng_convert_set_u32 (c, "attention.shared_kv_layers", n_shared);
  eng_convert_set_u32 (c, "embedding_length_per_layer_input", eng_convert_get_u32 (c, "hidden_size_per_layer_input", 0));
  eng_convert_set_u32 (c, "attention.key_length", global_width);
  eng_convert_set_u32 (c, "attention.value_length", global_width);
  eng_convert_set_u32 (c, "attention.key_length_swa", c->head_width);
  eng_convert_set_u32 (c, "attention.value_length_swa", c->head_width);
  eng_convert_set_u32 (c, "rope.dimension_count", global_width);
  eng_convert_set_u32 (c, "rope.dimension_count_swa", c->head_width);
  eng_json_get_double (eng_json_get (rope, "sliding_attention"), "rope_theta", &local_base);
  eng_convert_set_f32 (c, "rope.freq_base_swa", local_base);
  if (eng_convert_has (c, "final_logit_softcapping"))
    eng_convert_set_f32 (c, "final_logit_softcapping", eng_convert_get_f64 (c, "final_logit_softcapping", 0));
  add_rope_factors (c, global_width);
}
