/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-mix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum
{
  MIX_F32,
  MIX_F16,
  MIX_BF16,
  MIX_Q4_0,
  MIX_Q4_1,
  MIX_Q5_0,
  MIX_Q5_1,
  MIX_Q8_0,
  MIX_Q2_K,
  MIX_Q2_K_S,
  MIX_Q3_K_S,
  MIX_Q3_K_M,
  MIX_Q3_K_L,
  MIX_Q4_K_S,
  MIX_Q4_K_M,
  MIX_Q5_K_S,
  MIX_Q5_K_M,
  MIX_Q6_K,
  MIX_IQ4_NL,
  MIX_IQ4_XS,
  MIX_MXFP4,
  N_MIXES
};

static const EngMix mixes[N_MIXES] = {
  [MIX_F32] = { "F32", 0, ENG_TYPE_F32 },
  [MIX_F16] = { "F16", 1, ENG_TYPE_F16 },
  [MIX_BF16] = { "BF16", 32, ENG_TYPE_BF16 },
  [MIX_Q4_0] = { "Q4_0", 2, ENG_TYPE_Q4_0 },
  [MIX_Q4_1] = { "Q4_1", 3, ENG_TYPE_Q4_1 },
  [MIX_Q5_0] = { "Q5_0", 8, ENG_TYPE_Q5_0 },
  [MIX_Q5_1] = { "Q5_1", 9, ENG_TYPE_Q5_1 },
  [MIX_Q8_0] = { "Q8_0", 7, ENG_TYPE_Q8_0 },
  [MIX_Q2_K] = { "Q2_K", 10, ENG_TYPE_Q2_K },
  [MIX_Q2_K_S] = { "Q2_K_S", 21, ENG_TYPE_Q2_K },
  [MIX_Q3_K_S] = { "Q3_K_S", 11, ENG_TYPE_Q3_K },
  [MIX_Q3_K_M] = { "Q3_K_M", 12, ENG_TYPE_Q3_K },
  [MIX_Q3_K_L] = { "Q3_K_L", 13, ENG_TYPE_Q3_K },
  [MIX_Q4_K_S] = { "Q4_K_S", 14, ENG_TYPE_Q4_K },
  [MIX_Q4_K_M] = { "Q4_K_M", 15, ENG_TYPE_Q4_K },
  [MIX_Q5_K_S] = { "Q5_K_S", 16, ENG_TYPE_Q5_K },
  [MIX_Q5_K_M] = { "Q5_K_M", 17, ENG_TYPE_Q5_K },
  [MIX_Q6_K] = { "Q6_K", 18, ENG_TYPE_Q6_K },
  [MIX_IQ4_NL] = { "IQ4_NL", 25, ENG_TYPE_IQ4_NL },
  [MIX_IQ4_XS] = { "IQ4_XS", 30, ENG_TYPE_IQ4_XS },
  [MIX_MXFP4] = { "MXFP4", 38, ENG_TYPE_MXFP4 },
};

static const struct
{
  const char *name;
  int mix;
} aliases[] = {
  { "Q3_K", MIX_Q3_K_M },        { "Q4_K", MIX_Q4_K_M },          { "Q5_K", MIX_Q5_K_M },
  { "MXFP4_MOE", MIX_MXFP4 },
};

const EngMix *
eng_mix_find (const char *name)
{
  for (int i = 0; i < N_MIXES; i++)
    if (strcasecmp (mixes[i].name, name) == 0)
      return &mixes[i];
  for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
    if (strcasecmp (aliases[i].name, name) == 0)
      return &mixes[aliases[i].mix];
  return NULL;
}

const char *
eng_mix_get_names (void)
{
  return "F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q5_1, Q5_0, Q4_K_M, Q4_K_S, IQ4_NL, IQ4_XS, "
         "Q4_1, Q4_0, Q3_K_L, Q3_K_M, Q3_K_S, Q2_K, Q2_K_S, MXFP4";
}

/* A number of the architecture, or the largest of an array of one per layer. */
static uint32_t
get_number (const EngGguf *gguf, const char *arch, const char *suffix, uint32_t fallback)
{
  char key[160];
  EngGgufValue value;
  int64_t v, max = 0;
  snprintf (key, sizeof key, "%s.%s", arch, suffix);
  if (eng_gguf_get_value (gguf, key, &value, NULL) != ENG_OK)
    return fallback;
  if (value.type != ENG_GGUF_ARRAY)
    {
      uint32_t u = fallback;
      eng_gguf_get_u32 (gguf, key, &u, NULL);
      return u;
    }
  for (uint64_t i = 0; i < value.array.n; i++)
    if (eng_gguf_array_get_i64 (&value.array, i, &v) && v > max && v <= UINT32_MAX)
      max = v;
  return max > 0 ? (uint32_t) max : fallback;
}

void
eng_mix_model_init (EngMixModel *model, const EngMix *mix, const EngGguf *gguf)
{
  char arch[96] = "";
  EngGgufString s;
  if (eng_gguf_get_string (gguf, "general.architecture", &s, NULL) == ENG_OK
      && s.n_bytes < sizeof arch)
    snprintf (arch, sizeof arch, "%.*s", (int) s.n_bytes, s.data);
  uint32_t heads = get_number (gguf, arch, "attention.head_count", 1);
  uint32_t heads_kv = get_number (gguf, arch, "attention.head_count_kv", heads);
  *model = (EngMixModel) {
    .mix = mix,
    .n_layers = get_number (gguf, arch, "block_count", 0),
    .n_experts = get_number (gguf, arch, "expert_count", 0),
    .n_heads_per_kv = heads_kv ? heads / heads_kv : 1,
    .has_output = eng_gguf_find_tensor (gguf, "output.weight") != NULL,
  };
}

/* ---- Rules -------------------------------------------------------------------------------------- */

static bool
contains (const char *name, const char *part)
{
  return strstr (name, part) != NULL;
}

/* Tables and small matrices whose error would reach every token for next to no bytes. */
bool
eng_mix_stays (const char *name, uint32_t n_dims)
{
  static const char *const parts[] = {
    "_norm.weight", "ffn_gate_inp", "position_embd", "token_types", "ssm_conv1d", "altup", "laurel",
    "per_layer_model_proj", "shortconv.conv", "cls",
  };
  size_t n = strlen (name);
  if (n_dims < 2 || n < 6 || strcmp (name + n - 6, "weight") != 0)
    return true;
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
    if (contains (name, parts[i]))
      return true;
  return false;
}

/* The first and last eighth of the layers and every third between. */
static bool
more_bits (uint32_t layer, uint32_t n)
{
  return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

static EngType
choose_value (const EngMixModel *m, int mix, uint32_t layer)
{
  EngType type = m->mix->base;
  if (m->n_experts == 8)
    return ENG_TYPE_Q8_0;
  switch (mix)
    {
    case MIX_Q2_K:
      type = m->n_heads_per_kv >= 4 ? ENG_TYPE_Q4_K : ENG_TYPE_Q3_K;
      break;
    case MIX_Q2_K_S:
      type = m->n_heads_per_kv >= 4 ? ENG_TYPE_Q4_K : type;
      break;
    case MIX_Q3_K_M:
      type = layer < 2 ? ENG_TYPE_Q5_K : ENG_TYPE_Q4_K;
      break;
    case MIX_Q3_K_L:
      type = ENG_TYPE_Q5_K;
      break;
    case MIX_IQ4_NL:
    case MIX_IQ4_XS:
      type = m->n_heads_per_kv >= 4 ? ENG_TYPE_Q5_K : type;
      break;
    case MIX_Q4_K_S:
      type = layer < 4 ? ENG_TYPE_Q5_K : type;
      break;
    case MIX_Q4_K_M:
    case MIX_Q5_K_M:
      type = more_bits (layer, m->n_layers) ? ENG_TYPE_Q6_K : type;
      break;
    default:
      break;
    }
  /* Models of 80 layers share a value matrix among eight heads: more bits cost little there. */
  if (m->n_layers == 80 && (type == ENG_TYPE_Q3_K || type == ENG_TYPE_Q4_K))
    type = ENG_TYPE_Q5_K;
  return type;
}

static EngType
choose_down (const EngMixModel *m, int mix, uint32_t layer)
{
  EngType type = m->mix->base;
  bool early = layer < m->n_layers / 8;
  switch (mix)
    {
    case MIX_Q2_K:
      return ENG_TYPE_Q3_K;
    case MIX_Q2_K_S:
      return early ? ENG_TYPE_Q4_K : type;
    case MIX_Q3_K_M:
      return layer < m->n_layers / 16 ? ENG_TYPE_Q5_K : ENG_TYPE_Q4_K;
    case MIX_Q3_K_L:
      return ENG_TYPE_Q5_K;
    case MIX_Q4_K_M:
    case MIX_Q5_K_M:
      return more_bits (layer, m->n_layers) ? ENG_TYPE_Q6_K : type;
    case MIX_Q4_K_S:
      return early ? ENG_TYPE_Q5_K : type;
    case MIX_IQ4_NL:
    case MIX_IQ4_XS:
      return early && !m->has_importance ? ENG_TYPE_Q5_K : type;
    case MIX_Q4_0:
      return early && m->has_importance ? ENG_TYPE_Q4_1 : type;
    case MIX_Q5_0:
      return early && m->has_importance ? ENG_TYPE_Q5_1 : type;
    default:
      return type;
    }
}

static EngType
choose_attention_output (const EngMixModel *m, int mix)
{
  if (m->n_experts == 8)
    return mix == MIX_Q2_K || mix == MIX_Q3_K_S || mix == MIX_Q3_K_M || mix == MIX_Q4_K_S
                   || mix == MIX_Q4_K_M || mix == MIX_IQ4_NL || mix == MIX_IQ4_XS
               ? ENG_TYPE_Q5_K
               : m->mix->base;
  return mix == MIX_Q2_K     ? ENG_TYPE_Q3_K
         : mix == MIX_Q3_K_M ? ENG_TYPE_Q4_K
         : mix == MIX_Q3_K_L ? ENG_TYPE_Q5_K
                             : m->mix->base;
}

static EngType
choose_role (const EngMixModel *m, int mix, const char *name, const uint64_t *dims)
{
  EngType base = m->mix->base;
  uint32_t layer = 0;
  if (strcmp (name, "output.weight") == 0
      || (!m->has_output && strcmp (name, "token_embd.weight") == 0))
    {
      /* The head: every logit. */
      if (mix == MIX_MXFP4 || base == ENG_TYPE_Q8_0 || dims[0] % 256 != 0)
        return ENG_TYPE_Q8_0;
      return ENG_TYPE_Q6_K;
    }
  if (mix == MIX_MXFP4)
    return dims[2] > 1 ? ENG_TYPE_MXFP4 : ENG_TYPE_Q8_0;
  if (strncmp (name, "blk.", 4) == 0)
    layer = (uint32_t) strtoul (name + 4, NULL, 10);
  if (contains (name, ".attn_v.") || contains (name, ".attn_kv_b.") || contains (name, ".attn_v_b."))
    return choose_value (m, mix, layer);
  if (contains (name, ".attn_k.") && m->n_experts == 8)
    return ENG_TYPE_Q8_0;
  if (contains (name, ".ffn_down"))
    return choose_down (m, mix, layer);
  if (contains (name, ".attn_output."))
    return choose_attention_output (m, mix);
  if (contains (name, ".attn_qkv."))
    return mix == MIX_Q3_K_M || mix == MIX_Q3_K_L ? ENG_TYPE_Q4_K
           : mix == MIX_Q4_K_M                    ? ENG_TYPE_Q5_K
           : mix == MIX_Q5_K_M                    ? ENG_TYPE_Q6_K
                                                  : base;
  return base;
}

/* A block format with about the same bits for rows that are no multiple of 256, then of 32. */
static EngType
fit_rows (EngType type, uint64_t n_cols)
{
  if (n_cols % eng_type_get_info (type)->block_elements == 0)
    return type;
  switch (type)
    {
    case ENG_TYPE_Q2_K:
    case ENG_TYPE_Q3_K:
    case ENG_TYPE_IQ4_XS:
      type = ENG_TYPE_IQ4_NL;
      break;
    case ENG_TYPE_Q4_K:
      type = ENG_TYPE_Q5_0;
      break;
    case ENG_TYPE_Q5_K:
      type = ENG_TYPE_Q5_1;
      break;
    case ENG_TYPE_Q6_K:
      type = ENG_TYPE_Q8_0;
      break;
    default:
      break;
    }
  return n_cols % eng_type_get_info (type)->block_elements == 0 ? type : ENG_TYPE_F16;
}

EngType
eng_mix_choose (const EngMixModel *model, const char *name, EngType type, uint32_t n_dims,
                const uint64_t *dims, bool *is_fallback)
{
  const EngTypeInfo *info = eng_type_get_info (type);
  int mix = (int) (model->mix - mixes);
  if (is_fallback)
    *is_fallback = false;
  if (!info || !info->is_weight)
    return type;
  if (eng_mix_stays (name, n_dims))
    return model->mix->base == ENG_TYPE_F32 || info->block_elements > 1 ? ENG_TYPE_F32 : type;
  if (mix == MIX_F32 || mix == MIX_F16 || mix == MIX_BF16)
    return model->mix->base;
  EngType wanted = choose_role (model, mix, name, dims);
  EngType fitting = fit_rows (wanted, dims[0]);
  if (is_fallback)
    *is_fallback = fitting != wanted;
  return fitting;
}
