/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of a hub through `convert`: logits, embeddings and tokens against those of transformers and
 * tokenizers (make-convert.py), and what must be refused. Everything goes through inglenook-engine. */
#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "test-models.h"
#include "test-npy.h"

#define MAX_RELATIVE_ERROR 1e-4 /* float32 weights, float activations; measured: 7e-7 to 4e-6 */
#define MIN_GAP 1e-3            /* of the truth's two best logits, for the best to count */
#define N_VOCAB 384
#define TEXT "The fire in the hearth is warm, and 12 cats sleep."

static char *scratch;

static char *
data_path (const char *folder, const char *name)
{
  g_autofree char *below = g_build_filename ("convert", folder, name, NULL);
  return test_data_path (below);
}

static char *
read_file (const char *path)
{
  g_autoptr (GError) error = NULL;
  char *text;
  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

static void
copy_file (const char *from, const char *folder, const char *name)
{
  g_autofree char *to = g_build_filename (folder, name, NULL);
  char *bytes;
  gsize n;
  g_assert_true (g_file_get_contents (from, &bytes, &n, NULL));
  g_assert_true (g_file_set_contents (to, bytes, (gssize) n, NULL));
  g_free (bytes);
}

/* The folder as a hub would have it: the model, its tokenizer, a template. */
static char *
make_folder (const char *name)
{
  static const char *const files[] = { "config.json", "model.safetensors", "1_Pooling/config.json", "2_Dense/config.json",
                                       "2_Dense/model.safetensors", "3_Dense/config.json", "3_Dense/model.safetensors" };
  char *folder = g_build_filename (scratch, name, NULL);
  g_autofree char *tokenizer_path = data_path (name, "tokenizer");
  g_autofree char *tokenizer = g_strconcat (g_strstrip (read_file (tokenizer_path)), ".json", NULL);
  g_autofree char *json = data_path ("tokenizers", tokenizer);
  g_autofree char *config = g_build_filename (folder, "tokenizer_config.json", NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *from = data_path (name, files[i]);
      g_autofree char *to = g_build_filename (folder, files[i], NULL), *inner = g_path_get_dirname (to);
      g_mkdir_with_parents (inner, 0700);
      if (g_file_test (from, G_FILE_TEST_EXISTS))
        copy_file (from, folder, files[i]);
    }
  copy_file (json, folder, "tokenizer.json");
  g_assert_true (g_file_set_contents (config, "{\"chat_template\": \"{{ messages[0].content }}\"}", -1,
                                      NULL));
  return folder;
}

static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name (dir));)
    {
      g_autofree char *inner = g_build_filename (path, name, NULL);
      if (g_file_test (inner, G_FILE_TEST_IS_DIR))
        remove_folder (inner);
      else
        g_unlink (inner);
    }
  g_rmdir (path);
}

static char *
convert (const char *folder, const char *type)
{
  char *out = g_strconcat (folder, ".gguf", NULL);
  g_autofree char *messages = NULL;
  const char *const arguments[] = { "convert", folder, out, type, NULL };
  if (!test_engine_run (arguments, NULL, &messages))
    g_error ("convert %s: %s", folder, messages);
  return out;
}

static TestNpy *
run_logits (const char *model, gsize n)
{
  g_autoptr (GString) list = g_string_new (NULL);
  g_autofree char *out = g_build_filename (scratch, "out.npy", NULL), *messages = NULL;
  g_autoptr (GError) error = NULL;
  for (gsize i = 0; i < n; i++)
    g_string_append_printf (list, "%s%" G_GSIZE_FORMAT, i ? "," : "", 3 + (7 * i * i + 13 * i) % 300);
  const char *const arguments[] = { "logits", model,     "--tokens", list->str,
                                    "--out",  out,       "--ctx",    "2048",
                                    "--exact", NULL };
  if (!test_engine_run (arguments, NULL, &messages))
    g_error ("logits %s: %s", model, messages);
  TestNpy *npy = test_npy_load (out, &error);
  g_assert_no_error (error);
  g_remove (out);
  return npy;
}

static gsize
best_of (const float *row, float *gap)
{
  gsize best = 0;
  float second = -INFINITY;
  for (gsize i = 1; i < N_VOCAB; i++)
    if (row[i] > row[best])
      {
        second = row[best];
        best = i;
      }
    else if (row[i] > second)
      second = row[i];
  *gap = row[best] - second;
  return best;
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* Relative error over the rows that the truth has; likeliest tokens are compared where @exact. Otherwise the
 * worst row's error; with experts the middle one's: where rounding makes a router choose another expert, that row
 * alone is another answer. Always by the reference kernels, so that it is the file alone that counts, on any processor. */
static double
compare (const char *model, const char *name, gboolean exact)
{
  g_autofree char *truth_path = data_path (name, "logits.npy");
  g_autofree char *positions_path = data_path (name, "positions");
  g_autofree char *text = read_file (positions_path);
  g_auto (GStrv) positions = g_strsplit (g_strstrip (text), " ", -1);
  gsize n = g_strv_length (positions), last = strtoul (positions[n - 1], NULL, 10);
  g_autoptr (TestNpy) truth = test_npy_load (truth_path, NULL);
  g_autoptr (TestNpy) ours = run_logits (model, last + 1);
  double error = 0, energy = 0;
  g_autofree double *rows = g_new (double, n);
  g_assert_cmpuint (truth->shape[0], ==, n);
  g_assert_cmpuint (truth->shape[1], ==, N_VOCAB);
  g_assert_cmpuint (ours->shape[0], ==, last + 1);
  g_assert_cmpuint (ours->shape[1], ==, N_VOCAB);
  for (gsize i = 0; i < n; i++)
    {
      const float *a = ours->f32 + strtoul (positions[i], NULL, 10) * N_VOCAB;
      const float *b = truth->f32 + i * N_VOCAB;
      float gap, other_gap;
      gsize best = best_of (b, &gap);
      if (exact && gap > MIN_GAP)
        g_assert_cmpuint (best_of (a, &other_gap), ==, best);
      double row_error = 0, row_energy = 0;
      for (gsize k = 0; k < N_VOCAB; k++)
        {
          row_error += ((double) a[k] - b[k]) * ((double) a[k] - b[k]);
          row_energy += (double) b[k] * b[k];
        }
      rows[i] = sqrt (row_error / row_energy);
      error += row_error;
      energy += row_energy;
    }
  qsort (rows, n, sizeof *rows, compare_doubles);
  if (exact)
    return sqrt (error / energy);
  return strstr (name, "moe") != NULL || strstr (name, "mixtral") || strstr (name, "qwen35") || strstr (name, "qwen3next") || strstr (name, "gpt-oss")
                 || strstr (name, "deepseek")
             ? rows[n / 2] : rows[n - 1];
}

static void
check_tokens (const char *model, const char *name)
{
  g_autofree char *tokenizer_path = data_path (name, "tokenizer");
  g_autofree char *file = g_strconcat (g_strstrip (read_file (tokenizer_path)), ".tokens", NULL);
  g_autofree char *path = data_path ("tokenizers", file), *text = read_file (path);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autofree char *sample = g_build_filename (scratch, "sample.txt", NULL);
  for (gsize i = 0; lines[i] && lines[i][0]; i++)
    {
      g_auto (GStrv) parts = g_strsplit (lines[i], "\t", 2);
      g_autoptr (GByteArray) bytes = g_byte_array_new ();
      g_autofree char *output = NULL, *messages = NULL;
      for (const char *hex = parts[0]; *hex; hex += 2)
        {
          guint8 byte = (guint8) (g_ascii_xdigit_value (hex[0]) * 16 + g_ascii_xdigit_value (hex[1]));
          g_byte_array_append (bytes, &byte, 1);
        }
      g_assert_true (g_file_set_contents (sample, (char *) bytes->data, bytes->len, NULL));
      const char *const arguments[] = { "tokenize", model, "--text-file", sample, NULL };
      if (!test_engine_run (arguments, &output, &messages))
        g_error ("tokenize: %s", messages);
      g_assert_cmpstr (g_strstrip (output), ==, parts[1]);
    }
}

/* Weights as float32 are exact, and as in the folder (bfloat16); in blocks they are rounded. */
static void
test_decoder (gconstpointer data)
{
  const char *name = data;
  g_autofree char *folder = make_folder (name), *model = convert (folder, "F32");
  double error = compare (model, name, TRUE);
  g_test_message ("%s: relative error %.2e", name, error);
  g_assert_cmpfloat (error, <=, MAX_RELATIVE_ERROR);
  check_tokens (model, name);
  g_free (model);
  model = convert (folder, NULL);
  error = compare (model, name, TRUE);
  g_assert_cmpfloat (error, <=, MAX_RELATIVE_ERROR);
  g_free (model);
  model = convert (folder, "Q8_0");
  error = compare (model, name, FALSE);
  g_test_message ("%s: relative error %.3f as Q8_0", name, error);
  /* Random delta rules magnify the weights' rounding, random routers of eight experts in groups choose others by it. */
  gboolean wide = strstr (name, "qwen3next") || strstr (name, "qwen35") || strstr (name, "deepseek-v3");
  g_assert_cmpfloat (error, <=, wide ? 0.25 : 0.1);
  g_unlink (model);
  remove_folder (folder);
}

static void
test_encoder (gconstpointer data)
{
  const char *name = data;
  g_autofree char *folder = make_folder (name), *model = convert (folder, NULL);
  g_autofree char *output = NULL, *messages = NULL, *truth_path = data_path (name, "embedding.npy");
  g_autoptr (TestNpy) truth = test_npy_load (truth_path, NULL);
  const char *const arguments[] = { "embed", model, TEXT, "--json", "--exact", NULL };
  double dot = 0, norm = 0;
  if (!test_engine_run (arguments, &output, &messages))
    g_error ("embed: %s", messages);
  char *at = strstr (output, "[[");
  g_assert_nonnull (at);
  at += 2;
  for (gsize i = 0; i < truth->n; i++)
    {
      double v = g_ascii_strtod (at, &at);
      at += strspn (at, ", ");
      dot += v * truth->f32[i];
      norm += v * v;
    }
  g_test_message ("%s: cosine %.9f", name, dot / sqrt (norm));
  g_assert_cmpfloat (dot / sqrt (norm), >=, 0.99999);
  check_tokens (model, name);
  g_unlink (model);
  remove_folder (folder);
}

/* A model that also sees: its eyes are left out, and that is said. */
static void
test_left_out (void)
{
  g_autofree char *folder = make_folder ("gemma4"), *out = g_strconcat (folder, ".gguf", NULL);
  g_autofree char *output = NULL, *messages = NULL;
  const char *const arguments[] = { "convert", folder, out, NULL };
  if (!test_engine_run (arguments, &output, &messages))
    g_error ("%s", messages);
  g_assert_nonnull (strstr (output, "1 of the folder's tensors"));
  g_assert_nonnull (strstr (output, "model.vision_tower.patch_embedder.input_proj.weight"));
  g_unlink (out);
  remove_folder (folder);
}

/* ---- Refusals ------------------------------------------------------------------------------------ */

typedef struct
{
  const char *name, *file, *from, *to; /* replaced in that file; to = NULL: the file goes */
  const char *words;                   /* what the message must say */
  const char *folder;                  /* NULL: llama */
} Refusal;

static const Refusal refusals[] = {
  { "no-config", "config.json", NULL, NULL, "config.json" },
  { "broken-config", "config.json", "{", "{{", "config.json" },
  { "unknown-architecture", "config.json", "LlamaForCausalLM", "SphinxForCausalLM",
    "SphinxForCausalLM" },
  { "quantized", "config.json", "\"architectures\"", "\"quantization_config\": {}, \"architectures\"",
    "quantized" },
  { "activation", "config.json", "\"silu\"", "\"relu\"", "relu" },
  { "rope-type", "config.json", "\"llama3\"", "\"spiral\"", "spiral" },
  { "rope-without-factor", "config.json", "\"factor\"", "\"fctor\"", "factor" },
  { "layers", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3",
    "layers.2.input_layernorm" },
  { "layers-fewer", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1",
    "layers.1." },
  { "negative", "config.json", "\"hidden_size\": 32", "\"hidden_size\": -32", "hidden_size" },
  { "no-heads", "config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 0", "0 heads" },
  { "vocabulary", "config.json", "\"vocab_size\": 384", "\"vocab_size\": 383", "384" },
  { "no-weights", "model.safetensors", NULL, NULL, "model.safetensors" },
  { "no-tokenizer", "tokenizer.json", NULL, NULL, "tokenizer.json" },
  { "unknown-cut", "tokenizer.json", "\\\\p{N}{1,3}", "\\\\p{N}{1,4}", "cuts text" },
  { "unknown-tokenizer", "tokenizer.json", "\"type\":\"BPE\"", "\"type\":\"XPE\"", "XPE" },
  { "tokenizer-id", "tokenizer.json", "\"!\":0", "\"!\":40000", "40000" },
  { "sparse-attention", "config.json", "DeepseekV3ForCausalLM", "DeepseekV32ForCausalLM", "DeepseekV32ForCausalLM",
    "deepseek-v3" },
  { "latent-magnitude", "config.json", "\"mscale\": 1.0", "\"mscale\": 0.7", "mscale of 0.7", "deepseek-v3" },
  { "latent-halves", "config.json", "\"rope_interleave\": true", "\"rope_interleave\": false", "halves", "deepseek-v3" },
  { "latent-heads", "config.json", "\"v_head_dim\": 32", "\"v_head_dim\": 31", "31 of values", "deepseek-v3" },
  { "latent-scores", "config.json", "\"architectures\"", "\"scoring_func\": \"softmin\", \"architectures\"", "softmin",
    "glm4-moe-lite" },
  { "latent-layers", "config.json", "\"dense\",\n    \"sparse\"", "\"sparse\",\n    \"dense\"", "a dense layer",
    "glm4-moe-lite" },
};

static void
test_refusal (gconstpointer data)
{
  const Refusal *r = data;
  g_autofree char *folder = make_folder (r->folder ? r->folder : "llama"), *out = g_strconcat (folder, ".gguf", NULL);
  g_autofree char *path = g_build_filename (folder, r->file, NULL), *messages = NULL;
  if (r->to)
    {
      g_autofree char *text = read_file (path);
      g_auto (GStrv) parts = g_strsplit (text, r->from, 2);
      g_assert_nonnull (parts[1]); /* or this test changes nothing */
      g_autofree char *changed = g_strjoinv (r->to, parts);
      g_assert_true (g_file_set_contents (path, changed, -1, NULL));
    }
  else
    g_unlink (path);
  const char *const arguments[] = { "convert", folder, out, "F32", NULL };
  g_assert_false (test_engine_run (arguments, NULL, &messages));
  g_test_message ("%s", g_strstrip (messages));
  g_assert_nonnull (strstr (messages, r->words));
  /* Nothing half-made stays behind. */
  g_assert_false (g_file_test (out, G_FILE_TEST_EXISTS));
  remove_folder (folder);
  g_autoptr (GDir) dir = g_dir_open (scratch, 0, NULL);
  g_assert_null (g_dir_read_name (dir));
}

int
main (int argc, char **argv)
{
  static const char *const decoders[] = {
    "llama",    "llama-yarn", "llama-bias", "mistral", "mixtral", "qwen2", "qwen3",
    "qwen2moe", "qwen3moe",   "gemma2",     "gemma3",  "gemma4", "gemma4-moe", "glm4",    "glm",   "phi3",  "qwen35",
    "qwen35moe", "qwen3next", "glm4moe",   "lfm2",   "gpt-oss", "lfm2moe",
    "deepseek-v2", "deepseek-v3", "glm4-moe-lite",
  };
  static const char *const encoders[] = { "bert", "xlm-roberta", "nomic-bert", "gemma-embedding" };
  g_test_init (&argc, &argv, NULL);
  scratch = g_dir_make_tmp ("inglenook-convert-XXXXXX", NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (refusals); i++)
    {
      g_autofree char *name = g_strdup_printf ("/convert/refused/%s", refusals[i].name);
      g_test_add_data_func (name, &refusals[i], test_refusal);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (decoders); i++)
    {
      g_autofree char *name = g_strdup_printf ("/convert/decoder/%s", decoders[i]);
      g_test_add_data_func (name, decoders[i], test_decoder);
    }
  g_test_add_func ("/convert/left-out", test_left_out);
  for (gsize i = 0; i < G_N_ELEMENTS (encoders); i++)
    {
      g_autofree char *name = g_strdup_printf ("/convert/encoder/%s", encoders[i]);
      g_test_add_data_func (name, encoders[i], test_encoder);
    }
  int result = g_test_run ();
  remove_folder (scratch);
  g_free (scratch);
  return result;
}
