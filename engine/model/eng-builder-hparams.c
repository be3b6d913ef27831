/* SPDX-License-Identifier: Apache-2.0 */
/* Hyper-parameters: reading them within bounds, and holding them against each other. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eng-builder.h"

static const char *
key_of (EngBuilder *b, const char *suffix, char out[160])
{
  snprintf (out, 160, "%s.%s", b->arch, suffix);
  return out;
}

bool
eng_builder_has (EngBuilder *b, const char *suffix)
{
  char key[160];
  return b->status == ENG_OK && eng_gguf_has_key (b->file, key_of (b, suffix, key));
}

/* A number given once a layer counts as one number when all are the same. */
static bool
get_uniform (EngBuilder *b, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
  EngGgufValue value;
  if (eng_gguf_get_value (b->file, key, &value, NULL) != ENG_OK || value.type != ENG_GGUF_ARRAY)
    return false;
  size_t n_key = strlen (key), n_ending = strlen (".head_count_kv");
  bool may_lack = n_key > n_ending && strcmp (key + n_key - n_ending, ".head_count_kv") == 0;
  int64_t first = 0;
  for (uint64_t i = 0; i < value.array.n; i++)
    {
      int64_t v;
      if (!eng_gguf_array_get_i64 (&value.array, i, &v))
        return false; /* the plain getter says what is wrong with it */
      if (may_lack && v == 0)
        continue; /* a layer without attention: its tensors say so as well */
      if (first == 0 || (b->layers_differ && v > first))
        first = v;
      if (v != first && !b->layers_differ)
        {
          eng_builder_refuse (b, key, "layers of different shape (%s is %lld in one, %lld in another)",
                              key, (long long) first, (long long) v);
          return true;
        }
    }
  if (value.array.n == 0)
    return false;
  if (first < min || first > max)
    eng_builder_contradict (b, key, "%lld is outside [%u, %u]", (long long) first, min, max);
  else
    *out = (uint32_t) first;
  return true;
}

uint32_t
eng_builder_need_u32 (EngBuilder *b, const char *suffix, uint32_t min, uint32_t max)
{
  char key[160];
  uint32_t value = min;
  if (b->status == ENG_OK && !get_uniform (b, key_of (b, suffix, key), min, max, &value))
    {
      b->status = eng_gguf_get_u32_in (b->file, key, min, max, &value, b->error);
      if (b->status == ENG_ERR_NOT_FOUND)
        b->status = eng_error_set (b->error, ENG_ERR_FORMAT, key, ENG_OFFSET_NONE,
                                   "the file lacks the key '%s'", key);
    }
  return b->status == ENG_OK ? value : min;
}

uint32_t
eng_builder_get_u32 (EngBuilder *b, const char *suffix, uint32_t fallback, uint32_t min,
                     uint32_t max)
{
  char key[160];
  uint32_t value = fallback;
  if (b->status == ENG_OK && !get_uniform (b, key_of (b, suffix, key), min, max, &value))
    b->status = eng_gguf_get_u32_or (b->file, key, fallback, min, max, &value, b->error);
  return value;
}

uint32_t
eng_builder_get_u32_of_layer (EngBuilder *b, uint32_t layer, const char *suffix, uint32_t fallback, uint32_t min,
                              uint32_t max)
{
  char key[160];
  EngGgufValue value;
  int64_t v = 0;
  if (b->status != ENG_OK || eng_gguf_get_value (b->file, key_of (b, suffix, key), &value, NULL) != ENG_OK
      || value.type != ENG_GGUF_ARRAY)
    return eng_builder_get_u32 (b, suffix, fallback, min, max);
  bool is_bool = value.array.type == ENG_GGUF_BOOL;
  if (layer >= value.array.n || (!is_bool && !eng_gguf_array_get_i64 (&value.array, layer, &v)))
    {
      eng_builder_contradict (b, key, "no number for layer %u", layer);
      return fallback;
    }
  if (is_bool)
    v = value.array.data[layer] != 0;
  if (v < min || v > max)
    eng_builder_contradict (b, key, "%lld is outside [%u, %u]", (long long) v, min, max);
  return b->status == ENG_OK ? (uint32_t) v : fallback;
}

float
eng_builder_get_f32 (EngBuilder *b, const char *suffix, float fallback, float min, float max)
{
  char key[160];
  float value = fallback;
  if (b->status == ENG_OK)
    b->status = eng_gguf_get_f32_or (b->file, key_of (b, suffix, key), fallback, min, max, &value,
                                     b->error);
  return value;
}

float
eng_builder_need_f32 (EngBuilder *b, const char *suffix, float min, float max)
{
  char key[160];
  key_of (b, suffix, key);
  if (b->status == ENG_OK && !eng_gguf_has_key (b->file, key))
    eng_builder_contradict (b, key, "the file lacks the key '%s'", key);
  return eng_builder_get_f32 (b, suffix, min, min, max);
}

bool
eng_builder_get_bool (EngBuilder *b, const char *suffix, bool fallback)
{
  char key[160];
  bool value = fallback;
  if (b->status == ENG_OK)
    b->status
        = eng_gguf_get_bool_or (b->file, key_of (b, suffix, key), fallback, &value, b->error);
  return value;
}

bool
eng_builder_key_is (EngBuilder *b, const char *suffix, const char *text)
{
  char key[160];
  EngGgufString s;
  return b->status == ENG_OK
         && eng_gguf_get_string (b->file, key_of (b, suffix, key), &s, NULL) == ENG_OK
         && eng_gguf_string_equal (s, text);
}

void
eng_builder_skip_layers_ahead (EngBuilder *b)
{
  uint32_t n = eng_builder_get_u32 (b, "nextn_predict_layers", 0, 0, ENG_MAX_LAYERS);
  if (b->status == ENG_OK && n >= b->h.n_layers)
    eng_builder_contradict (b, "block_count", "%u layers, of which %u guess ahead", b->h.n_layers, n);
  if (b->status != ENG_OK)
    return;
  b->n_layers_ahead = n;
  b->h.n_layers -= n;
}

/* Heads and their widths. */
static void
read_heads (EngBuilder *b)
{
  EngHparams *h = &b->h;
  h->n_head = eng_builder_need_u32 (b, "attention.head_count", 1, ENG_MAX_HEADS);
  h->n_head_kv
      = eng_builder_get_u32 (b, "attention.head_count_kv", h->n_head, 1, ENG_MAX_HEADS);
  if (h->n_head % h->n_head_kv != 0)
    eng_builder_contradict (b, "attention.head_count_kv",
                            "%u heads cannot share %u key and value heads", h->n_head,
                            h->n_head_kv);
  uint32_t width = h->n_embd / h->n_head;
  if ((width == 0 || h->n_embd % h->n_head != 0) && !eng_builder_has (b, "attention.key_length"))
    eng_builder_contradict (b, "attention.head_count", "width %u cannot be split into %u heads",
                            h->n_embd, h->n_head);
  if (width == 0 || width > ENG_MAX_HEAD_WIDTH)
    width = 1; /* replaced by key_length, or refused above and below */
  h->k_width = eng_builder_get_u32 (b, "attention.key_length", width, 1, ENG_MAX_HEAD_WIDTH);
  h->v_width = eng_builder_get_u32 (b, "attention.value_length", h->k_width, 1,
                                    ENG_MAX_HEAD_WIDTH);
  h->n_rot = eng_builder_get_u32 (b, "rope.dimension_count", h->k_width, 1, ENG_MAX_HEAD_WIDTH);
  if (h->n_rot > h->k_width || h->n_rot % 2 != 0)
    eng_builder_contradict (b, "rope.dimension_count",
                            "%u rotated dimensions in heads of %u (an even number up to it)",
                            h->n_rot, h->k_width);
  h->rope_base = eng_builder_get_f32 (b, "rope.freq_base", 10000.0f, 1.0f, 1e12f);
}

static void
read_experts (EngBuilder *b)
{
  EngHparams *h = &b->h;
  h->n_expert = eng_builder_get_u32 (b, "expert_count", 0, 0, ENG_MAX_EXPERTS);
  if (h->n_expert == 0)
    return;
  h->n_expert_used = eng_builder_need_u32 (b, "expert_used_count", 1, ENG_MAX_EXPERTS);
  if (h->n_expert_used > h->n_expert)
    eng_builder_contradict (b, "expert_used_count", "%u of %u experts are to be used",
                            h->n_expert_used, h->n_expert);
  h->n_ff_expert = eng_builder_get_u32 (b, "expert_feed_forward_length", h->n_ff, 1, ENG_MAX_WIDTH);
  h->n_ff_shared = eng_builder_get_u32 (b, "expert_shared_feed_forward_length", 0, 0, ENG_MAX_WIDTH);
  if (h->n_ff_expert == 0)
    eng_builder_contradict (b, "expert_feed_forward_length", "the experts' width is not given");
}

/* The embedding's rows are the truth about the vocabulary; whatever else names its size must agree. */
static void
read_vocabulary (EngBuilder *b)
{
  EngHparams *h = &b->h;
  const EngGgufTensor *t
      = b->status == ENG_OK ? eng_gguf_find_tensor (b->file, "token_embd.weight") : NULL;
  if (!t)
    {
      eng_builder_contradict (b, "token_embd.weight", "the file lacks the tensor 'token_embd.weight'");
      return;
    }
  if (t->dims[1] == 0 || t->dims[1] > ENG_MAX_VOCAB)
    {
      eng_builder_contradict (b, t->name, "a vocabulary of %llu is outside [1, %u]",
                              (unsigned long long) t->dims[1], ENG_MAX_VOCAB);
      return;
    }
  h->n_vocab = (uint32_t) t->dims[1];
  EngGgufValue tokens;
  if (eng_gguf_get_value (b->file, "tokenizer.ggml.tokens", &tokens, NULL) == ENG_OK
      && tokens.type == ENG_GGUF_ARRAY && tokens.array.n != h->n_vocab)
    {
      b->status = eng_error_set_numbers (
          b->error, ENG_ERR_FORMAT, "tokenizer.ggml.tokens", tokens.array.n, h->n_vocab,
          "the vocabulary has %llu tokens, the embedding %u rows",
          (unsigned long long) tokens.array.n, h->n_vocab);
      return;
    }
  uint32_t named = eng_builder_get_u32 (b, "vocab_size", h->n_vocab, 0, UINT32_MAX);
  if (named != h->n_vocab)
    eng_builder_contradict (b, "vocab_size", "%u, but the embedding has %u rows", named, h->n_vocab);
}

void
eng_builder_read_common (EngBuilder *b)
{
  EngHparams *h = &b->h;
  h->n_layers = eng_builder_need_u32 (b, "block_count", 1, ENG_MAX_LAYERS);
  h->n_embd = eng_builder_need_u32 (b, "embedding_length", 1, ENG_MAX_WIDTH);
  h->n_ctx_train = eng_builder_get_u32 (b, "context_length", 2048, 1, ENG_MAX_CONTEXT);
  h->n_ff = eng_builder_get_u32 (b, "feed_forward_length", 0, 0, ENG_MAX_WIDTH);
  h->window = eng_builder_get_u32 (b, "attention.sliding_window", 0, 0, ENG_MAX_CONTEXT);
  if (eng_builder_has (b, "attention.layer_norm_rms_epsilon"))
    h->eps = eng_builder_need_f32 (b, "attention.layer_norm_rms_epsilon", 0.0f, 1.0f);
  else
    h->eps = eng_builder_need_f32 (b, "attention.layer_norm_epsilon", 0.0f, 1.0f);
  read_heads (b);
  read_experts (b);
  read_vocabulary (b);
  if (b->status == ENG_OK && h->n_ff == 0 && h->n_expert == 0)
    eng_builder_contradict (b, "feed_forward_length", "the feed-forward width is not given");
}
