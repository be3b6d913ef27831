/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a GGUF with the exact shapes of a well-known model and random weights, on all cores: speed
 * depends on shapes and types, not on what weights say, and such files stand in for models that are
 * too large to carry. The tokenizer is copied from a small real file and cut or padded to size.
 *
 *   make-random-model SHAPE TYPE TOKENIZER.gguf OUT.gguf [LAYERS]
 *
 * Shapes are those of the published configurations. TYPE: q4_k_m (Q4_K with Q6_K where that mix has
 * it), q8_0, f16, q4_0. The same arguments give the same bytes. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eng-error.h"
#include "eng-gguf-writer.h"
#include "eng-gguf.h"
#include "eng-half.h"

typedef struct
{
  const char *name, *architecture;
  uint32_t n_layers, n_embd, n_head, n_head_kv, head_width, n_ff, n_vocab, n_expert, n_used, n_ff_expert;
  uint32_t n_delta_k, n_delta_v, delta_width; /* heads of the layers with a recurrent state, three of four */
  /* latent attention: low rank of the queries, numbers of a latent; of a head's key without RoPE and with it, of its value. The
   * first layer is dense, the others have a shared expert. */
  uint32_t n_query, n_latent, n_plain, n_rot, n_value;
  /* gemma4: every other layer has this width of heads and a window; the second half of the layers reads the keys of the last
   * two of the first; numbers of the embedding of a layer. */
  uint32_t local_width, window, n_part;
} Shape;

static const Shape shapes[] = {
  { "llama3-8b", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 0, 0, 0 },
  { "glm4-9b", "glm4", 40, 4096, 32, 2, 128, 13696, 151552, 0, 0, 0 },
  { "qwen3-8b", "qwen3", 36, 4096, 32, 8, 128, 12288, 151936, 0, 0, 0 },
  { "qwen3-30b-a3b", "qwen3moe", 48, 2048, 32, 4, 128, 6144, 151936, 128, 8, 768 },
  { "qwen2-0.5b", "qwen2", 24, 896, 14, 2, 64, 4864, 151936, 0, 0, 0 },
  { "qwen2-1.5b", "qwen2", 28, 1536, 12, 2, 128, 8960, 151936, 0, 0, 0 },
  { "tiny", "llama", 4, 256, 8, 2, 32, 768, 32000, 0, 0, 0 },
  /* every row uses every expert: no choice between two equal scores tells one program from another */
  { "tiny-moe", "qwen3moe", 3, 256, 8, 2, 32, 768, 32000, 8, 8, 256 },
  { "tiny-choice", "qwen3moe", 2, 256, 8, 2, 32, 768, 32000, 24, 4, 256 },
  { "qwen3.5-4b", "qwen35", 32, 2560, 16, 4, 256, 9216, 248320, 0, 0, 0, 16, 32, 128 },
  { "tiny-delta", "qwen35", 4, 256, 8, 2, 32, 768, 32000, 0, 0, 0, 2, 4, 48 },
  { "glm-4.7-flash", "deepseek2", 47, 2048, 20, 1, 0, 10240, 154880, 64, 4, 1536, 0, 0, 0, 768, 512, 192, 64, 256 },
  { "tiny-latent", "deepseek2", 3, 256, 20, 1, 0, 768, 32000, 8, 8, 256, 0, 0, 0, 128, 512, 64, 64, 64 },
  { "tiny-gemma4", "gemma4", 4, 256, 4, 1, 512, 768, 32000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 256, 96, 64 },
};

typedef struct
{
  char name[64];
  EngType type;
  uint32_t n_dims;
  uint64_t dims[3];
  float fixed; /* of norm weights and decays; 0: random */
} Tensor;

typedef struct
{
  EngGgufWriter *writer;
  Tensor *tensors;
  uint32_t n_tensors;
  atomic_uint next;
  atomic_int failed;
  EngError error;
} Job;

static uint64_t
next_random (uint64_t *state) /* splitmix64 */
{
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static void
put_half (uint8_t *at, double value, uint64_t *state)
{
  const double jitter = 0.75 + 0.5 * (double) (next_random (state) >> 11) / 9007199254740992.0;
  const uint16_t h = eng_f32_to_f16 ((float) (value * jitter));
  memcpy (at, &h, 2);
}

/* A block of random weights whose deviation is about @std. Offsets of scales: format of each type. */
static void
random_block (const Tensor *t, const EngTypeInfo *info, double std, uint8_t *block, uint64_t *state)
{
  if (t->type == ENG_TYPE_F32)
    {
      /* a sum of uniform numbers is normal enough */
      double v = -6;
      for (int i = 0; i < 12; i++)
        v += (double) (next_random (state) >> 11) / 9007199254740992.0;
      const float f = t->fixed != 0.f ? t->fixed : (float) (v * std);
      memcpy (block, &f, 4);
      return;
    }
  if (t->type == ENG_TYPE_F16)
    {
      put_half (block, std * ((int64_t) (next_random (state) % 4001) - 2000) / 1155.0, state);
      return;
    }
  for (uint32_t i = 0; i < info->block_bytes; i += 8)
    {
      const uint64_t r = next_random (state);
      memcpy (block + i, &r, info->block_bytes - i < 8 ? info->block_bytes - i : 8);
    }
  switch (t->type)
    {
    case ENG_TYPE_Q4_0:
      put_half (block, std / 4.6, state);
      break;
    case ENG_TYPE_Q8_0:
      put_half (block, std / 74, state);
      break;
    case ENG_TYPE_Q4_K:
      put_half (block, std / (32 * 4.6), state);
      put_half (block + 2, std * 7.5 / (32 * 4.6), state);
      break;
    default: /* Q6_K */
      put_half (block + 208, std / (74 * 18.5), state);
    }
}

static void *
write_tensors (void *data)
{
  Job *job = data;
  enum { SLAB_BLOCKS = 1 << 15 };
  uint8_t *slab = malloc ((size_t) SLAB_BLOCKS * 256);
  for (;;)
    {
      const uint32_t i = atomic_fetch_add (&job->next, 1);
      if (!slab || i >= job->n_tensors || atomic_load (&job->failed))
        break;
      const Tensor *t = &job->tensors[i];
      const EngTypeInfo *info = eng_type_get_info (t->type);
      uint64_t n = 1, state = 77 + i;
      for (uint32_t k = 0; k < t->n_dims; k++)
        n *= t->dims[k];
      n /= info->block_elements;
      const double std = 1 / sqrt ((double) t->dims[0]);
      /* one slab of fresh blocks, repeated: writing must keep up with the disk */
      const uint64_t fresh = n < SLAB_BLOCKS ? n : SLAB_BLOCKS;
      for (uint64_t k = 0; k < fresh; k++)
        random_block (t, info, std, slab + k * info->block_bytes, &state);
      for (uint64_t at = 0; at < n; at += fresh)
        {
          const uint64_t part = n - at < fresh ? n - at : fresh;
          EngError error;
          if (eng_gguf_writer_write (job->writer, i, at * info->block_bytes, slab,
                                     part * info->block_bytes, &error)
              != ENG_OK)
            {
              if (!atomic_exchange (&job->failed, 1))
                job->error = error;
              break;
            }
        }
    }
  free (slab);
  return NULL;
}

/* llama.cpp's Q4_K_M mix keeps more bits in these layers. */
static bool
has_more_bits (uint32_t i, uint32_t n)
{
  return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static void
add (Job *job, EngType type, uint64_t n_cols, uint64_t n_rows, uint64_t n_slices, const char *format, int layer)
{
  Tensor *t = &job->tensors[job->n_tensors++];
  if (type != ENG_TYPE_F32 && n_cols % eng_type_get_info (type)->block_elements != 0)
    type = n_cols % 32 == 0 ? ENG_TYPE_Q8_0 : ENG_TYPE_F16;
  t->type = type;
  t->n_dims = n_slices ? 3 : n_rows ? 2 : 1;
  t->dims[0] = n_cols;
  t->dims[1] = n_rows;
  t->dims[2] = n_slices;
  const int n = layer >= 0 ? snprintf (t->name, sizeof t->name, "blk.%d.", layer) : 0;
  snprintf (t->name + n, sizeof t->name - (size_t) n, "%s", format);
  t->fixed = strstr (format, "norm")                         ? 1.f
             : strcmp (format, "ssm_a") == 0                    ? -1.f
             : strcmp (format, "layer_output_scale.weight") == 0 ? 0.5f
                                                                 : 0.f;
}

/* What a layer of qwen35 has in front of its feed-forward part. */
static void
plan_delta (Job *job, const Shape *s, EngType base, int l)
{
  const uint32_t n_q = s->n_head * s->head_width, n_kv = s->n_head_kv * s->head_width;
  const uint32_t values = s->n_delta_v * s->delta_width, mixed = 2 * s->n_delta_k * s->delta_width + values;
  add (job, ENG_TYPE_F32, s->n_embd, 0, 0, "post_attention_norm.weight", l);
  if (l % 4 == 3)
    {
      add (job, base, s->n_embd, 2 * n_q, 0, "attn_q.weight", l);
      add (job, base, s->n_embd, n_kv, 0, "attn_k.weight", l);
      add (job, base, s->n_embd, n_kv, 0, "attn_v.weight", l);
      add (job, base, n_q, s->n_embd, 0, "attn_output.weight", l);
      add (job, ENG_TYPE_F32, s->head_width, 0, 0, "attn_q_norm.weight", l);
      add (job, ENG_TYPE_F32, s->head_width, 0, 0, "attn_k_norm.weight", l);
      return;
    }
  add (job, base, s->n_embd, mixed, 0, "attn_qkv.weight", l);
  add (job, base, s->n_embd, values, 0, "attn_gate.weight", l);
  add (job, base, s->n_embd, s->n_delta_v, 0, "ssm_alpha.weight", l);
  add (job, base, s->n_embd, s->n_delta_v, 0, "ssm_beta.weight", l);
  add (job, ENG_TYPE_F32, 4, mixed, 0, "ssm_conv1d.weight", l);
  add (job, ENG_TYPE_F32, s->n_delta_v, 0, 0, "ssm_a", l);
  add (job, ENG_TYPE_F32, s->n_delta_v, 0, 0, "ssm_dt.bias", l);
  add (job, ENG_TYPE_F32, s->delta_width, 0, 0, "ssm_norm.weight", l);
  add (job, base, values, s->n_embd, 0, "ssm_out.weight", l);
}

static void
plan_experts (Job *job, const Shape *s, EngType base, EngType high, int l)
{
  add (job, ENG_TYPE_F32, s->n_embd, s->n_expert, 0, "ffn_gate_inp.weight", l);
  add (job, base, s->n_embd, s->n_ff_expert, s->n_expert, "ffn_gate_exps.weight", l);
  add (job, base, s->n_embd, s->n_ff_expert, s->n_expert, "ffn_up_exps.weight", l);
  add (job, high, s->n_ff_expert, s->n_embd, s->n_expert, "ffn_down_exps.weight", l);
}

static void
plan_feed_forward (Job *job, EngType base, EngType high, uint32_t n_embd, uint32_t n_ff, const char *ending, int l)
{
  static const char *const names[] = { "gate", "up", "down" };
  for (int i = 0; i < 3; i++)
    {
      char name[48];
      snprintf (name, sizeof name, "ffn_%s%s.weight", names[i], ending);
      add (job, i < 2 ? base : high, i < 2 ? n_embd : n_ff, i < 2 ? n_ff : n_embd, 0, name, l);
    }
}

static void
plan_latent (Job *job, const Shape *s, EngType base, EngType high)
{
  for (int l = 0; l < (int) s->n_layers; l++)
    {
      const uint32_t n_head = s->n_head, n_key = s->n_plain + s->n_rot;
      const EngType hi = has_more_bits ((uint32_t) l, s->n_layers) ? high : base;
      add (job, ENG_TYPE_F32, s->n_embd, 0, 0, "attn_norm.weight", l);
      add (job, base, s->n_embd, s->n_query, 0, "attn_q_a.weight", l);
      add (job, ENG_TYPE_F32, s->n_query, 0, 0, "attn_q_a_norm.weight", l);
      add (job, base, s->n_query, n_head * n_key, 0, "attn_q_b.weight", l);
      add (job, hi, s->n_embd, s->n_latent + s->n_rot, 0, "attn_kv_a_mqa.weight", l);
      add (job, ENG_TYPE_F32, s->n_latent, 0, 0, "attn_kv_a_norm.weight", l);
      add (job, base, s->n_plain, s->n_latent, n_head, "attn_k_b.weight", l);
      add (job, base, s->n_latent, s->n_value, n_head, "attn_v_b.weight", l);
      add (job, base, n_head * s->n_value, s->n_embd, 0, "attn_output.weight", l);
      add (job, ENG_TYPE_F32, s->n_embd, 0, 0, "ffn_norm.weight", l);
      if (l > 0)
        plan_experts (job, s, base, hi, l);
      plan_feed_forward (job, base, hi, s->n_embd, l > 0 ? s->n_ff_expert : s->n_ff, l > 0 ? "_shexp" : "", l);
    }
}

static void
plan_gemma4 (Job *job, const Shape *s, EngType base, EngType high)
{
  static const char *const norms[] = { "attn_norm.weight", "post_attention_norm.weight", "ffn_norm.weight",
                                       "post_ffw_norm.weight", "post_norm.weight" };
  add (job, base, s->n_part * s->n_layers, s->n_vocab, 0, "per_layer_token_embd.weight", -1);
  add (job, base, s->n_embd, s->n_part * s->n_layers, 0, "per_layer_model_proj.weight", -1);
  add (job, ENG_TYPE_F32, s->n_part, 0, 0, "per_layer_proj_norm.weight", -1);
  for (int l = 0; l < (int) s->n_layers; l++)
    {
      const uint32_t width = l % 2 ? s->head_width : s->local_width;
      for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++)
        add (job, ENG_TYPE_F32, s->n_embd, 0, 0, norms[i], l);
      add (job, ENG_TYPE_F32, 1, 0, 0, "layer_output_scale.weight", l);
      add (job, base, s->n_embd, s->n_head * width, 0, "attn_q.weight", l);
      add (job, base, s->n_embd, s->n_head_kv * width, 0, "attn_k.weight", l);
      if (l != 1) // keys are the values
        add (job, high, s->n_embd, s->n_head_kv * width, 0, "attn_v.weight", l);
      add (job, base, s->n_head * width, s->n_embd, 0, "attn_output.weight", l);
      add (job, ENG_TYPE_F32, width, 0, 0, "attn_q_norm.weight", l);
      add (job, ENG_TYPE_F32, width, 0, 0, "attn_k_norm.weight", l);
      add (job, base, s->n_embd, s->n_part, 0, "inp_gate.weight", l);
      add (job, base, s->n_part, s->n_embd, 0, "proj.weight", l);
      plan_feed_forward (job, base, high, s->n_embd, s->n_ff, "", l);
    }
}

static void
plan (Job *job, const Shape *s, EngType base, EngType high)
{
  const uint32_t n_q = s->n_head * s->head_width, n_kv = s->n_head_kv * s->head_width;
  const bool glm = strcmp (s->architecture, "glm4") == 0, qwen2 = strcmp (s->architecture, "qwen2") == 0;
  const bool delta = s->n_delta_v != 0, qwen3 = !delta && strncmp (s->architecture, "qwen3", 5) == 0;
  add (job, base, s->n_embd, s->n_vocab, 0, "token_embd.weight", -1);
  add (job, ENG_TYPE_F32, s->n_embd, 0, 0, "output_norm.weight", -1);
  if (s->n_embd > 1024)
    add (job, high, s->n_embd, s->n_vocab, 0, "output.weight", -1);
  if (s->n_latent)
    plan_latent (job, s, base, high);
  else if (s->n_part)
    plan_gemma4 (job, s, base, high);
  for (uint32_t i = 0; i < s->n_layers && !s->n_latent && !s->n_part; i++)
    {
      const EngType hi = has_more_bits (i, s->n_layers) ? high : base;
      const int l = (int) i;
      add (job, ENG_TYPE_F32, s->n_embd, 0, 0, "attn_norm.weight", l);
      if (delta)
        plan_delta (job, s, base, l);
      else
        {
          add (job, base, s->n_embd, n_q, 0, "attn_q.weight", l);
          add (job, base, s->n_embd, n_kv, 0, "attn_k.weight", l);
          add (job, hi, s->n_embd, n_kv, 0, "attn_v.weight", l);
          add (job, base, n_q, s->n_embd, 0, "attn_output.weight", l);
          add (job, ENG_TYPE_F32, s->n_embd, 0, 0, "ffn_norm.weight", l);
        }
      if (qwen2)
        {
          add (job, ENG_TYPE_F32, n_q, 0, 0, "attn_q.bias", l);
          add (job, ENG_TYPE_F32, n_kv, 0, 0, "attn_k.bias", l);
          add (job, ENG_TYPE_F32, n_kv, 0, 0, "attn_v.bias", l);
        }
      if (qwen3)
        {
          add (job, ENG_TYPE_F32, s->head_width, 0, 0, "attn_q_norm.weight", l);
          add (job, ENG_TYPE_F32, s->head_width, 0, 0, "attn_k_norm.weight", l);
        }
      if (glm)
        {
          add (job, ENG_TYPE_F32, s->n_embd, 0, 0, "post_attention_norm.weight", l);
          add (job, ENG_TYPE_F32, s->n_embd, 0, 0, "post_ffw_norm.weight", l);
        }
      if (s->n_expert)
        plan_experts (job, s, base, hi, l);
      else
        {
          if (!glm)
            add (job, base, s->n_embd, s->n_ff, 0, "ffn_gate.weight", l);
          add (job, base, s->n_embd, glm ? 2 * s->n_ff : s->n_ff, 0, "ffn_up.weight", l);
          add (job, hi, s->n_ff, s->n_embd, 0, "ffn_down.weight", l);
        }
    }
}

/* Keys of the model itself. */
static EngStatus
set_shape (EngGgufWriter *w, const Shape *s, EngError *error)
{
  const struct
  {
    const char *key;
    uint32_t value;
  } numbers[] = {
    { "block_count", s->n_layers },
    { "context_length", 32768 },
    { "embedding_length", s->n_embd },
    { "feed_forward_length", s->n_ff },
    { "attention.head_count", s->n_head },
    { "attention.head_count_kv", s->n_head_kv },
    { "attention.key_length", s->n_latent ? s->n_latent + s->n_rot : s->head_width },
    { "attention.value_length", s->n_latent ? s->n_latent : s->head_width },
    { "attention.key_length_mla", s->n_latent ? s->n_plain + s->n_rot : 0 },
    { "attention.value_length_mla", s->n_value },
    { "attention.kv_lora_rank", s->n_latent },
    { "attention.q_lora_rank", s->n_query },
    { "leading_dense_block_count", s->n_latent ? 1 : 0 },
    { "expert_shared_count", s->n_latent ? 1 : 0 },
    { "attention.key_length_swa", s->local_width },
    { "attention.value_length_swa", s->local_width },
    { "rope.dimension_count_swa", s->local_width },
    { "attention.sliding_window", s->window },
    { "attention.shared_kv_layers", s->n_part ? s->n_layers / 2 : 0 },
    { "embedding_length_per_layer_input", s->n_part },
    { "rope.dimension_count", s->n_latent                         ? s->n_rot
                              : s->n_delta_v                      ? s->head_width / 4
                              : strcmp (s->architecture, "glm4") ? s->head_width
                                                                   : s->head_width / 2 },
    { "vocab_size", s->n_vocab },
    { "expert_count", s->n_expert },
    { "expert_used_count", s->n_used },
    { "expert_feed_forward_length", s->n_ff_expert },
    { "ssm.conv_kernel", s->n_delta_v ? 4 : 0 },
    { "ssm.state_size", s->delta_width },
    { "ssm.group_count", s->n_delta_k },
    { "ssm.time_step_rank", s->n_delta_v },
    { "ssm.inner_size", s->n_delta_v * s->delta_width },
  };
  EngStatus status = eng_gguf_writer_set_string (w, "general.architecture", s->architecture, error);
  char key[96];
  for (size_t i = 0; status == ENG_OK && i < sizeof numbers / sizeof numbers[0]; i++)
    {
      if (numbers[i].value == 0)
        continue;
      snprintf (key, sizeof key, "%s.%s", s->architecture, numbers[i].key);
      status = eng_gguf_writer_set_u32 (w, key, numbers[i].value, error);
    }
  snprintf (key, sizeof key, "%s.attention.layer_norm_rms_epsilon", s->architecture);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_f32 (w, key, 1e-5f, error);
  snprintf (key, sizeof key, "%s.rope.freq_base", s->architecture);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_f32 (w, key, 1e6f, error);
  snprintf (key, sizeof key, "%s.attention.sliding_window_pattern", s->architecture);
  uint32_t pattern[64];
  for (uint32_t i = 0; i < sizeof pattern / sizeof pattern[0]; i++)
    pattern[i] = i % 2 == 0;
  if (status == ENG_OK && s->n_part)
    status = eng_gguf_writer_set_array (w, key, ENG_GGUF_U32, s->n_layers, pattern, error);
  return status;
}

/* The first tokens and merges of @from, padded with unused ones. */
static EngStatus
copy_tokenizer (EngGgufWriter *w, const EngGguf *from, uint32_t n_vocab, EngError *error)
{
  EngGgufArray tokens, merges;
  EngStatus status = eng_gguf_get_array (from, "tokenizer.ggml.tokens", ENG_GGUF_STRING, &tokens, error);
  if (status == ENG_OK)
    status = eng_gguf_get_array (from, "tokenizer.ggml.merges", ENG_GGUF_STRING, &merges, error);
  if (status != ENG_OK)
    return status;
  const uint64_t n_kept = tokens.n < n_vocab ? tokens.n : n_vocab;
  const uint64_t n_merges = merges.n < n_kept - 256 ? merges.n : n_kept - 256;
  EngGgufString *strings = calloc (n_vocab + n_merges, sizeof *strings);
  int32_t *types = calloc (n_vocab, sizeof *types);
  char *pads = malloc ((size_t) n_vocab * 16);
  if (!strings || !types || !pads)
    abort ();
  EngGgufStrings it = eng_gguf_array_get_strings (&tokens);
  for (uint64_t i = 0; i < n_vocab; i++)
    {
      types[i] = i < n_kept ? 1 : 5;
      if (i < n_kept && eng_gguf_strings_next (&it, &strings[i]))
        continue;
      snprintf (pads + i * 16, 16, "[PAD%u]", (unsigned) i);
      strings[i] = (EngGgufString){ pads + i * 16, strlen (pads + i * 16) };
    }
  it = eng_gguf_array_get_strings (&merges);
  for (uint64_t i = 0; i < n_merges; i++)
    eng_gguf_strings_next (&it, &strings[n_vocab + i]);
  status = eng_gguf_writer_set_string (w, "tokenizer.ggml.model", "gpt2", error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_string (w, "tokenizer.ggml.pre", "qwen2", error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_strings (w, "tokenizer.ggml.tokens", n_vocab, strings, error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_array (w, "tokenizer.ggml.token_type", ENG_GGUF_I32, n_vocab, types, error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_strings (w, "tokenizer.ggml.merges", n_merges, strings + n_vocab, error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_u32 (w, "tokenizer.ggml.eos_token_id", n_vocab - 1, error);
  free (strings);
  free (types);
  free (pads);
  return status;
}

static EngStatus
write_model (Job *job, const Shape *s, const EngGguf *tokenizer, const char *path, EngError *error)
{
  EngStatus status = eng_gguf_writer_new (path, &job->writer, error);
  if (status == ENG_OK)
    status = set_shape (job->writer, s, error);
  if (status == ENG_OK)
    status = copy_tokenizer (job->writer, tokenizer, s->n_vocab, error);
  for (uint32_t i = 0; status == ENG_OK && i < job->n_tensors; i++)
    status = eng_gguf_writer_add_tensor (job->writer, job->tensors[i].name, job->tensors[i].type,
                                         job->tensors[i].n_dims, job->tensors[i].dims, NULL, error);
  uint64_t bytes = 0;
  if (status == ENG_OK)
    status = eng_gguf_writer_begin (job->writer, &bytes, error);
  if (status != ENG_OK)
    return status;
  pthread_t threads[64];
  long n = sysconf (_SC_NPROCESSORS_ONLN);
  n = n < 1 ? 1 : n > 64 ? 64 : n;
  for (long i = 0; i < n; i++)
    if (pthread_create (&threads[i], NULL, write_tensors, job) != 0)
      abort ();
  for (long i = 0; i < n; i++)
    pthread_join (threads[i], NULL);
  if (atomic_load (&job->failed))
    {
      *error = job->error;
      return error->code;
    }
  status = eng_gguf_writer_finish (job->writer, error);
  if (status == ENG_OK)
    printf ("%s: %u tensors, %.3f GB\n", path, job->n_tensors, (double) bytes / 1e9);
  return status;
}

int
main (int argc, char **argv)
{
  if (argc < 5)
    {
      fprintf (stderr, "usage: make-random-model SHAPE TYPE TOKENIZER.gguf OUT.gguf [LAYERS]\n");
      return 2;
    }
  Shape shape = { 0 };
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
    if (strcmp (shapes[i].name, argv[1]) == 0)
      shape = shapes[i];
  const bool q4km = strcmp (argv[2], "q4_k_m") == 0;
  const EngType base = q4km                            ? ENG_TYPE_Q4_K
                       : strcmp (argv[2], "q8_0") == 0 ? ENG_TYPE_Q8_0
                       : strcmp (argv[2], "q4_0") == 0 ? ENG_TYPE_Q4_0
                       : strcmp (argv[2], "f16") == 0  ? ENG_TYPE_F16
                                                       : ENG_TYPE_NONE;
  if (!shape.name || base == ENG_TYPE_NONE)
    {
      fprintf (stderr, "make-random-model: unknown shape or type\n");
      return 2;
    }
  if (argc > 5)
    shape.n_layers = (uint32_t) atoi (argv[5]);
  EngError error;
  EngGguf *tokenizer = NULL;
  Job job = { .tensors = calloc (shape.n_layers * 24 + 8, sizeof (Tensor)) };
  if (!job.tensors)
    abort ();
  plan (&job, &shape, base, q4km ? ENG_TYPE_Q6_K : base);
  EngStatus status = eng_gguf_open (argv[3], 0, &tokenizer, &error);
  if (status == ENG_OK)
    status = write_model (&job, &shape, tokenizer, argv[4], &error);
  eng_gguf_writer_free (&job.writer);
  eng_gguf_close (&tokenizer);
  free (job.tensors);
  if (status == ENG_OK)
    return 0;
  fprintf (stderr, "make-random-model: %s\n", error.text);
  return 1;
}
