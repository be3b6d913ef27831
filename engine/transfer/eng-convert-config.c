/* SPDX-License-Identifier: Apache-2.0 */
/* Hyper-parameters: config.json (names of the `transformers` library, two generations of them) to
 * GGUF's keys. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eng-convert-private.h"

/* The member by the first of several names. Null counts as absent. */
static const EngJson *
find (const EngConvert *c, const char *names)
{
  for (const char *at = names; at; at = strchr (at, '|'))
    {
      at += *at == '|';
      const char *end = strchr (at, '|');
      const EngJson *value
          = eng_json_get_n (c->config, at, end ? (size_t) (end - at) : strlen (at));
      if (value && value->type != ENG_JSON_NULL)
        return value;
    }
  return NULL;
}

bool
eng_convert_has (EngConvert *c, const char *names)
{
  return find (c, names) != NULL;
}

static uint32_t
to_u32 (EngConvert *c, const EngJson *value, const char *names)
{
  double v = value->type == ENG_JSON_NUMBER ? value->number : -1;
  if (v >= 0 && v <= UINT32_MAX && v == floor (v))
    return (uint32_t) v;
  eng_convert_fail (c, ENG_ERR_FORMAT, value->key ? value->key : names,
                    "%s of config.json is no whole number in range",
                    value->key ? value->key : names);
  return 0;
}

uint32_t
eng_convert_need_u32 (EngConvert *c, const char *names)
{
  const EngJson *value = c->status == ENG_OK ? find (c, names) : NULL;
  if (value)
    return to_u32 (c, value, names);
  eng_convert_fail (c, ENG_ERR_FORMAT, names, "config.json lacks %s", names);
  return 0;
}

uint32_t
eng_convert_get_u32 (EngConvert *c, const char *names, uint32_t fallback)
{
  const EngJson *value = c->status == ENG_OK ? find (c, names) : NULL;
  return value ? to_u32 (c, value, names) : fallback;
}

double
eng_convert_get_f64 (EngConvert *c, const char *names, double fallback)
{
  const EngJson *value = c->status == ENG_OK ? find (c, names) : NULL;
  if (!value)
    return fallback;
  if (value->type == ENG_JSON_NUMBER && isfinite (value->number))
    return value->number;
  eng_convert_fail (c, ENG_ERR_FORMAT, names, "%s of config.json is no finite number", names);
  return fallback;
}

bool
eng_convert_get_bool (EngConvert *c, const char *name, bool fallback)
{
  bool value = fallback;
  eng_json_get_bool (c->config, name, &value);
  return value;
}

/* ---- Keys --------------------------------------------------------------------------------------- */

void
eng_convert_set_key_u32 (EngConvert *c, const char *key, uint32_t value)
{
  if (c->status == ENG_OK)
    c->status = eng_gguf_writer_set_u32 (c->writer, key, value, c->error);
}

void
eng_convert_set_key_bool (EngConvert *c, const char *key, bool value)
{
  if (c->status == ENG_OK)
    c->status = eng_gguf_writer_set_bool (c->writer, key, value, c->error);
}

void
eng_convert_set_key_string (EngConvert *c, const char *key, const char *value)
{
  if (c->status == ENG_OK)
    c->status = eng_gguf_writer_set_string (c->writer, key, value, c->error);
}

static const char *
full_key (const EngConvert *c, const char *suffix, char key[160])
{
  snprintf (key, 160, "%s.%s", c->arch->name, suffix);
  return key;
}

void
eng_convert_set_u32 (EngConvert *c, const char *suffix, uint32_t value)
{
  char key[160];
  eng_convert_set_key_u32 (c, full_key (c, suffix, key), value);
}

void
eng_convert_set_bool (EngConvert *c, const char *suffix, bool value)
{
  char key[160];
  eng_convert_set_key_bool (c, full_key (c, suffix, key), value);
}

void
eng_convert_set_string (EngConvert *c, const char *suffix, const char *value)
{
  char key[160];
  eng_convert_set_key_string (c, full_key (c, suffix, key), value);
}

void
eng_convert_set_f32 (EngConvert *c, const char *suffix, double value)
{
  char key[160];
  if (c->status == ENG_OK)
    c->status = eng_gguf_writer_set_f32 (c->writer, full_key (c, suffix, key), (float) value,
                                         c->error);
}

/* ---- RoPE ---------------------------------------------------------------------------------------
 * Newer configurations: "rope_parameters" with "rope_theta" in it, or one such object for each kind
 * of layer; older: "rope_theta" and "rope_scaling". */

const EngJson *
eng_convert_rope (EngConvert *c)
{
  const EngJson *rope = find (c, "rope_parameters|rope_scaling");
  if (!rope || rope->type != ENG_JSON_OBJECT)
    return NULL;
  const EngJson *full = eng_json_get (rope, "full_attention");
  return full && full->type == ENG_JSON_OBJECT ? full : rope;
}

double
eng_convert_rope_theta (EngConvert *c)
{
  double theta;
  const EngJson *rope = eng_convert_rope (c);
  if (rope && eng_json_get_double (rope, "rope_theta", &theta))
    return theta;
  return eng_convert_get_f64 (c, "rope_theta", 10000.0);
}

static double
rope_number (EngConvert *c, const EngJson *rope, const char *name)
{
  double value = 0;
  if (!eng_json_get_double (rope, name, &value) || !isfinite (value) || value <= 0)
    eng_convert_fail (c, ENG_ERR_FORMAT, name, "config.json's RoPE scaling lacks a sound %s", name);
  return value;
}

static void
set_optional (EngConvert *c, const EngJson *rope, const char *from, const char *to)
{
  double value;
  if (eng_json_get_double (rope, from, &value))
    eng_convert_set_f32 (c, to, value);
}

static void
set_yarn (EngConvert *c, const EngJson *rope)
{
  double original = eng_convert_get_u32 (c, "max_position_embeddings", 0);
  eng_json_get_double (rope, "original_max_position_embeddings", &original);
  eng_convert_set_string (c, "rope.scaling.type", "yarn");
  eng_convert_set_f32 (c, "rope.scaling.factor", rope_number (c, rope, "factor"));
  eng_convert_set_u32 (c, "rope.scaling.original_context_length", (uint32_t) original);
  set_optional (c, rope, "beta_fast", "rope.scaling.yarn_beta_fast");
  set_optional (c, rope, "beta_slow", "rope.scaling.yarn_beta_slow");
}

/* Llama 3: wavelengths above the old context's share are stretched by the factor, short ones stay,
 * between them it is blended. The file holds the divisors (`transformers`, modeling_rope_utils.py,
 * "llama3"). */
static void
add_llama3_factors (EngConvert *c, const EngJson *rope)
{
  uint32_t n = c->head_width / 2;
  double factor = rope_number (c, rope, "factor");
  double low = rope_number (c, rope, "low_freq_factor");
  double high = rope_number (c, rope, "high_freq_factor");
  double original = rope_number (c, rope, "original_max_position_embeddings");
  double theta = eng_convert_rope_theta (c);
  float *out = c->status == ENG_OK ? eng_arena_alloc_array (&c->arena, n, sizeof *out) : NULL;
  if (!out)
    return;
  for (uint32_t i = 0; i < n; i++)
    {
      double wave = 2 * 3.14159265358979323846 * pow (theta, 2.0 * i / c->head_width);
      double smooth = (original / wave - low) / (high - low);
      out[i] = (float) (wave < original / high  ? 1
                        : wave > original / low ? factor
                                                : 1 / ((1 - smooth) / factor + smooth));
    }
  eng_convert_add_vector (c, "rope_freqs.weight", out, n);
}

static const float *
read_factors (EngConvert *c, const EngJson *rope, const char *name, uint32_t n)
{
  const EngJson *list = eng_json_get (rope, name);
  float *out = eng_arena_alloc_array (&c->arena, n, sizeof *out);
  bool good = out && list && list->type == ENG_JSON_ARRAY && list->n == n;
  for (uint32_t i = 0; good && i < n; i++)
    {
      const EngJson *value = eng_json_at (list, i);
      good = value->type == ENG_JSON_NUMBER && isfinite (value->number) && value->number > 0;
      out[i] = good ? (float) value->number : 1;
    }
  if (!good)
    eng_convert_fail (c, ENG_ERR_FORMAT, name, "%s of config.json is no list of %u numbers", name, n);
  return out;
}

/* LongRoPE: two sets of factors and a magnitude that follows from how far the context was stretched
 * (Ding et al., "LongRoPE", 2024). */
static void
add_long_factors (EngConvert *c, const EngJson *rope, uint32_t n_rot)
{
  double context = eng_convert_need_u32 (c, "max_position_embeddings");
  double original = eng_convert_get_u32 (c, "original_max_position_embeddings", 0), magnitude;
  eng_json_get_double (rope, "original_max_position_embeddings", &original);
  if (original < 2)
    {
      eng_convert_fail (c, ENG_ERR_FORMAT, "original_max_position_embeddings",
                        "config.json lacks original_max_position_embeddings");
      return;
    }
  double stretch = context / original;
  if (!eng_json_get_double (rope, "attention_factor", &magnitude))
    magnitude = stretch > 1 ? sqrt (1 + log (stretch) / log (original)) : 1;
  eng_convert_set_string (c, "rope.scaling.type", "longrope");
  eng_convert_set_u32 (c, "rope.scaling.original_context_length", (uint32_t) original);
  eng_convert_set_f32 (c, "rope.scaling.attn_factor", magnitude);
  const float *lengthy = read_factors (c, rope, "long_factor", n_rot / 2);
  const float *brief = read_factors (c, rope, "short_factor", n_rot / 2);
  eng_convert_add_vector (c, "rope_factors_long.weight", lengthy, n_rot / 2);
  eng_convert_add_vector (c, "rope_factors_short.weight", brief, n_rot / 2);
}

static void
set_rope (EngConvert *c)
{
  const EngJson *rope = eng_convert_rope (c);
  const char *type = NULL;
  double share = eng_convert_get_f64 (c, "partial_rotary_factor", 1.0);
  bool is_glm = eng_convert_is_one_of ("glm4|glm4moe|chatglm", c->arch->name);
  if (is_glm && !eng_convert_has (c, "partial_rotary_factor"))
    share = 0.5;
  if (eng_convert_is_one_of ("qwen35|qwen35moe|qwen3next", c->arch->name) && !eng_convert_has (c, "partial_rotary_factor"))
    share = 0.25;
  if (rope)
    eng_json_get_double (rope, "partial_rotary_factor", &share);
  uint32_t n_rot = (uint32_t) (c->head_width * share);
  eng_convert_set_u32 (c, "rope.dimension_count", n_rot);
  eng_convert_set_f32 (c, "rope.freq_base",
                       eng_convert_rope_theta (c) * eng_convert_get_f64 (c, "rope_ratio", 1.0));
  if (!rope || (!eng_json_get_string (rope, "rope_type", &type)
                && !eng_json_get_string (rope, "type", &type)))
    return;
  if (strcmp (type, "default") == 0)
    return;
  if (eng_json_get (rope, "mrope_section"))
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "mrope_section",
                      "RoPE in several dimensions is not supported");
  else if (strcmp (type, "linear") == 0)
    {
      eng_convert_set_string (c, "rope.scaling.type", "linear");
      eng_convert_set_f32 (c, "rope.scaling.factor", rope_number (c, rope, "factor"));
    }
  else if (strcmp (type, "yarn") == 0)
    set_yarn (c, rope);
  else if (strcmp (type, "llama3") == 0)
    add_llama3_factors (c, rope);
  else if (strcmp (type, "proportional") == 0 && strcmp (c->arch->name, "gemma4") == 0)
    return; /* see eng_convert_set_gemma4 () */
  else if (strcmp (type, "longrope") == 0 || strcmp (type, "su") == 0)
    add_long_factors (c, rope, n_rot);
  else
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "rope_type", "RoPE scaling of type %s is not supported",
                      type);
}

/* ---- Common ------------------------------------------------------------------------------------- */

static void
set_experts (EngConvert *c)
{
  c->n_experts = eng_convert_get_u32 (c, "num_local_experts|num_experts|n_routed_experts", 0);
  if (c->n_experts == 0)
    return;
  eng_convert_set_u32 (c, "expert_count", c->n_experts);
  eng_convert_set_u32 (c, "expert_used_count",
                       eng_convert_need_u32 (c, "num_experts_per_tok|num_experts_per_token|top_k_experts"));
  if (eng_convert_has (c, "moe_intermediate_size"))
    eng_convert_set_u32 (c, "expert_feed_forward_length",
                         eng_convert_need_u32 (c, "moe_intermediate_size"));
  if (eng_convert_has (c, "shared_expert_intermediate_size"))
    eng_convert_set_u32 (c, "expert_shared_feed_forward_length",
                         eng_convert_need_u32 (c, "shared_expert_intermediate_size"));
  /* Some layers without experts among those with them: neither we nor others of the format know. */
  if (eng_convert_get_u32 (c, "decoder_sparse_step", 1) != 1)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "decoder_sparse_step",
                      "experts in only some of the layers are not supported");
  const EngJson *dense = eng_json_get (c->config, "mlp_only_layers");
  if (dense && dense->type == ENG_JSON_ARRAY && dense->n > 0)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "mlp_only_layers",
                      "experts in only some of the layers are not supported");
}

static void
check_activation (EngConvert *c)
{
  const EngJson *value
      = c->arch->activation ? find (c, "hidden_activation|hidden_act|activation_function") : NULL;
  if (value && value->type == ENG_JSON_STRING
      && !eng_convert_is_one_of (c->arch->activation, value->string))
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, value->key,
                      "the activation %s is not supported for %s", value->string, c->arch->name);
}

void
eng_convert_hparams (EngConvert *c)
{
  uint32_t width = eng_convert_need_u32 (c, "hidden_size|n_embd");
  c->n_layers = eng_convert_need_u32 (c, "num_hidden_layers|num_layers|n_layer");
  c->n_heads = eng_convert_need_u32 (c, "num_attention_heads|n_head");
  c->n_heads_kv
      = eng_convert_get_u32 (c, "num_key_value_heads|multi_query_group_num", c->n_heads);
  c->n_vocab = eng_convert_need_u32 (c, "padded_vocab_size|vocab_size");
  if (c->status == ENG_OK && (c->n_heads == 0 || c->n_layers == 0 || c->n_layers > 4096))
    eng_convert_fail (c, ENG_ERR_FORMAT, "num_attention_heads",
                      "config.json says %u heads and %u layers", c->n_heads, c->n_layers);
  if (c->status != ENG_OK)
    return;
  /* Of latent attention the part that RoPE turns; the rest its architecture says. */
  static const char head_names[] = "qk_rope_head_dim|head_dim|kv_channels";
  bool own_width = eng_convert_has (c, head_names);
  c->head_width = eng_convert_get_u32 (c, head_names, width / c->n_heads);
  eng_convert_set_u32 (c, "context_length",
                       eng_convert_get_u32 (c, "max_position_embeddings|seq_length|n_positions", 2048));
  eng_convert_set_u32 (c, "embedding_length", width);
  eng_convert_set_u32 (c, "block_count", c->n_layers);
  /* Where all layers have experts it may be absent. */
  if (eng_convert_has (c, "intermediate_size|ffn_hidden_size|n_inner|block_ff_dim") || !eng_convert_has (c, "moe_intermediate_size"))
    eng_convert_set_u32 (c, "feed_forward_length",
                         eng_convert_need_u32 (c, "intermediate_size|ffn_hidden_size|n_inner|block_ff_dim"));
  eng_convert_set_u32 (c, "attention.head_count", c->n_heads);
  eng_convert_set_u32 (c, "attention.head_count_kv", c->n_heads_kv);
  if (own_width)
    {
      eng_convert_set_u32 (c, "attention.key_length", c->head_width);
      eng_convert_set_u32 (c, "attention.value_length", c->head_width);
    }
  eng_convert_set_u32 (c, "vocab_size", c->n_vocab);
  if (eng_convert_has (c, "layer_norm_eps|layer_norm_epsilon"))
    eng_convert_set_f32 (c, "attention.layer_norm_epsilon",
                         eng_convert_get_f64 (c, "layer_norm_eps|layer_norm_epsilon", 1e-12));
  else
    eng_convert_set_f32 (c, "attention.layer_norm_rms_epsilon",
                         eng_convert_get_f64 (c, "rms_norm_eps|layernorm_epsilon|norm_eps", 1e-6));
  check_activation (c);
  set_experts (c);
  if (!eng_convert_is_one_of ("bert|nomic-bert", c->arch->name))
    set_rope (c);
  if (c->arch->set_hparams && c->status == ENG_OK)
    c->arch->set_hparams (c);
}
