/* SPDX-License-Identifier: Apache-2.0 */
/* Opening models: what the tiny model compiles to, and files whose numbers contradict each other (G25,
 * T2): each is refused, the error naming the key and the values. */
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "eng-model.h"

static void
test_open (void)
{
  EngModel *model = NULL;
  EngError error;
  g_assert_cmpint (eng_model_open (TINY_MODEL, NULL, &model, &error), ==, ENG_OK);
  const EngProgram *p = eng_model_get_program (model);
  g_assert_cmpuint (p->n_layers, ==, 2);
  g_assert_cmpuint (p->n_groups, ==, 1);
  g_assert_cmpuint (p->groups[0].n_layers, ==, 2);
  g_assert_cmpuint (p->buffers[ENG_BUFFER_RESIDUAL].width, ==, p->n_embd);
  g_assert_true (p->causal);
  /* Embedding; per layer norm, qkv, attention, product, norm, gate-up, product; norm, output. */
  g_assert_cmpuint (p->n_steps, ==, 1 + 2 * 7 + 2);
  g_assert_cmpint (p->steps[0].kind, ==, ENG_STEP_EMBED);
  g_assert_cmpint (p->steps[p->n_steps - 1].kind, ==, ENG_STEP_OUTPUT);
  for (uint32_t i = 1; i < p->n_steps; i++)
    g_assert_cmpint ((p->steps[i].flags & ENG_STEP_LAYER_BEGIN) != 0, ==,
                     p->steps[i].layer != p->steps[i - 1].layer);
  const EngModelInfo *info = eng_model_get_info (model);
  g_assert_cmpstr (info->architecture, ==, "llama");
  g_assert_true (info->has_template);
  EngModel *second = eng_model_ref (model);
  eng_model_unref (&model);
  g_assert_null (model);
  g_assert_cmpuint (eng_model_get_program (second)->n_vocab, ==, p->n_vocab);
  eng_model_unref (&second);
}

/* @model with the number behind @key replaced; @key must be one of 32 bits, or a tensor's name with @skip
 * 0 or 8 for the low half of its first or second dimension. */
static char *
write_patched (const char *model, const char *key, uint32_t bits, uint32_t skip)
{
  g_autofree char *bytes = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (model, &bytes, &n, NULL));
  char *at = memmem (bytes, n, key, strlen (key));
  g_assert_nonnull (at);
  memcpy (at + strlen (key) + 4 + skip, &bits, sizeof bits);
  char *path = NULL;
  int fd = g_file_open_tmp ("inglenook-XXXXXX.gguf", &path, NULL);
  g_assert_cmpint (fd, >=, 0);
  g_assert_true (g_close (fd, NULL));
  g_assert_true (g_file_set_contents (path, bytes, (gssize) n, NULL));
  return path;
}

typedef struct
{
  const char *name, *key;
  uint32_t bits;
  EngStatus status;
  const char *field;   /* the error's */
  const char *values[2]; /* both are in its text */
  uint32_t skip;       /* bytes between key and number */
  const char *model;   /* NULL: the tiny one */
} Damage;

/* Bytes between the key of an array and the 32 bits of its element @i. */
#define ELEMENT(i) (12 + 4 * (i))

static const Damage damages[] = {
  { "heads-0", "llama.attention.head_count", 0, ENG_ERR_FORMAT, "llama.attention.head_count", { "0", "1" } },
  { "heads-3", "llama.attention.head_count", 3, ENG_ERR_FORMAT, NULL, { "3", "2" } },
  { "heads-more-than-width", "llama.attention.head_count", 128, ENG_ERR_FORMAT, NULL, { "64", "128" } },
  { "kv-heads-3", "llama.attention.head_count_kv", 3, ENG_ERR_FORMAT, NULL, { "4", "3" } },
  { "layers-2^31", "llama.block_count", 1u << 31, ENG_ERR_FORMAT, "llama.block_count", { "2147483648", "1024" } },
  { "layers-3", "llama.block_count", 3, ENG_ERR_FORMAT, "blk.2.attn_norm.weight", { "blk.2", "" } },
  { "layers-1", "llama.block_count", 1, ENG_ERR_FORMAT, "llama.block_count", { "blk.1.", "is 1" } },
  { "width-128", "llama.embedding_length", 128, ENG_ERR_FORMAT, NULL, { "128", "64" } },
  { "ff-1", "llama.feed_forward_length", 1, ENG_ERR_FORMAT, NULL, { "1", "64" } },
  { "eps-nan", "llama.attention.layer_norm_rms_epsilon", 0x7fc00000, ENG_ERR_FORMAT,
    "llama.attention.layer_norm_rms_epsilon", { "", "" } },
  { "rope-base-nan", "llama.rope.freq_base", 0x7fc00000, ENG_ERR_FORMAT, "llama.rope.freq_base", { "", "" } },
  { "rope-dimensions-odd", "llama.rope.dimension_count", 7, ENG_ERR_FORMAT, NULL, { "7", "16" } },
  { "vocabulary", "llama.vocab_size", 99, ENG_ERR_FORMAT, "llama.vocab_size", { "99", "320" } },
  { "embedding-rows-319", "token_embd.weight", 319, ENG_ERR_FORMAT, "tokenizer.ggml.tokens", { "320", "319" }, 8 },
  { "embedding-width-32", "token_embd.weight", 32, ENG_ERR_FORMAT, "token_embd.weight", { "64", "32" } },
  { "query-width-32", "blk.0.attn_q.weight", 32, ENG_ERR_FORMAT, "blk.0.attn_q.weight", { "64", "32" } },
  { "query-rows-32", "blk.1.attn_q.weight", 32, ENG_ERR_FORMAT, "blk.1.attn_q.weight", { "64", "32" }, 8 },
  { "down-rows-32", "blk.1.ffn_down.weight", 32, ENG_ERR_FORMAT, "blk.1.ffn_down.weight", { "64", "32" }, 8 },
  { "norm-32", "blk.0.attn_norm.weight", 32, ENG_ERR_FORMAT, "blk.0.attn_norm.weight", { "64", "32" } },
  { "gemma4-no-keys", "gemma4.attention.shared_kv_layers", 5, ENG_ERR_FORMAT, NULL, { "5 of 5", "" }, 0, GEMMA4_MODEL },
  { "gemma4-no-full-keys", "gemma4.attention.shared_kv_layers", 3, ENG_ERR_FORMAT, NULL, { "layer 2", "" }, 0,
    GEMMA4_MODEL },
  { "gemma4-no-window", "gemma4.attention.sliding_window", 0, ENG_ERR_FORMAT, NULL, { "window", "" }, 0, GEMMA4_MODEL },
  { "gemma4-values", "gemma4.attention.value_length_swa", 8, ENG_ERR_UNSUPPORTED, NULL, { "differ in width", "" }, 0,
    GEMMA4_MODEL },
  { "gemma4-heads", "gemma4.attention.key_length_swa", 1u << 20, ENG_ERR_FORMAT, NULL, { "1048576", "4096" }, 0,
    GEMMA4_MODEL },
  { "gemma4-odd-rope", "gemma4.rope.dimension_count_swa", 18, ENG_ERR_FORMAT, NULL, { "18", "16" }, 0, GEMMA4_MODEL },
  { "gemma4-parts", "gemma4.embedding_length_per_layer_input", 9, ENG_ERR_FORMAT, "per_layer_token_embd.weight",
    { "40", "45" }, 0, GEMMA4_MODEL },
  { "gemma4-many-parts", "gemma4.embedding_length_per_layer_input", 1u << 20, ENG_ERR_FORMAT, NULL, { "5242880", "40" }, 0,
    GEMMA4_MODEL },
  { "gemma4-keys-of-3", "gemma4.attention.head_count_kv", 3, ENG_ERR_FORMAT, NULL, { "4", "3" }, ELEMENT (1), GEMMA4_MODEL },
  { "gemma4-block-of-7", "gemma4.feed_forward_length", 7, ENG_ERR_FORMAT, "blk.1.ffn_gate.weight", { "48", "7" }, ELEMENT (1),
    GEMMA4_MODEL },
};

static void
test_damaged (gconstpointer data)
{
  const Damage *damage = data;
  const char *from = damage->model ? damage->model : TINY_MODEL;
  g_autofree char *bytes = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (from, &bytes, &n, NULL));
  if (!memmem (bytes, n, damage->key, strlen (damage->key)))
    {
      g_test_skip ("the tiny model has no such key");
      return;
    }
  g_autofree char *path = write_patched (from, damage->key, damage->bits, damage->skip);
  EngModel *model = NULL;
  EngError error;
  EngStatus status = eng_model_open (path, NULL, &model, &error);
  g_unlink (path);
  g_test_message ("%s: %s", error.field, error.text);
  g_assert_cmpint (status, ==, damage->status);
  g_assert_cmpint (error.code, ==, status);
  g_assert_null (model);
  if (damage->field)
    g_assert_cmpstr (error.field, ==, damage->field);
  g_assert_cmpstr (error.field, !=, "");
  for (int i = 0; i < 2; i++)
    g_assert_nonnull (strstr (error.text, damage->values[i]));
}

static void
test_unknown_architecture (void)
{
  g_autofree char *bytes = NULL, *path = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (TINY_MODEL, &bytes, &n, NULL));
  char *at = memmem (bytes, n, "general.architecture", 20);
  g_assert_nonnull (at);
  memcpy (at + 20 + 4 + 8, "lxama", 5);
  int fd = g_file_open_tmp ("inglenook-XXXXXX.gguf", &path, NULL);
  g_assert_true (g_close (fd, NULL));
  g_assert_true (g_file_set_contents (path, bytes, (gssize) n, NULL));
  EngModel *model = NULL;
  EngError error;
  g_assert_cmpint (eng_model_open (path, NULL, &model, &error), ==, ENG_ERR_UNSUPPORTED);
  g_assert_nonnull (strstr (error.text, "'lxama'"));
  g_assert_cmpstr (error.field, ==, "general.architecture");
  g_unlink (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model/open", test_open);
  g_test_add_func ("/model/unknown-architecture", test_unknown_architecture);
  for (size_t i = 0; i < G_N_ELEMENTS (damages); i++)
    {
      g_autofree char *path = g_strconcat ("/model/damaged/", damages[i].name, NULL);
      g_test_add_data_func (path, &damages[i], test_damaged);
    }
  return g_test_run ();
}
