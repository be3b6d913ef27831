/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations with a model that has a recurrent state (a tiny random Qwen3.5 of a hub's folder): what is kept of one
 * changes how much is computed, never what is said. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "eng-convert.h"
#include "eng-session.h"

static EngRuntime *runtime;
static char *model;

static void
make_model (const char *folder)
{
  static const char *const files[][2] = { { "qwen35/config.json", "config.json" },
                                          { "qwen35/model.safetensors", "model.safetensors" },
                                          { "tokenizers/qwen35.json", "tokenizer.json" } };
  EngError error;
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *from = g_build_filename (CONVERT_DATA, files[i][0], NULL);
      g_autofree char *to = g_build_filename (folder, files[i][1], NULL), *data = NULL;
      gsize n;
      g_assert_true (g_file_get_contents (from, &data, &n, NULL));
      g_assert_true (g_file_set_contents (to, data, (gssize) n, NULL));
    }
  model = g_build_filename (folder, "model.gguf", NULL);
  const EngConvertOptions options = { .mix = "F32" };
  if (eng_convert_folder (folder, model, &options, NULL, &error) != ENG_OK)
    g_error ("%s", error.text);
}

static EngSession *
open_session (void)
{
  EngSessionOptions options;
  EngError error;
  EngSession *session = NULL;
  eng_session_options_init (&options);
  options.device = "cpu";
  options.n_ctx = 512;
  options.n_threads = 2;
  options.exact = true;
  options.max_rows = 48;
  if (eng_session_new (runtime, model, &options, &session, &error) != ENG_OK)
    g_error ("%s", error.text);
  return session;
}

typedef struct
{
  uint32_t n_prompt, n_cached, n_tokens;
  int32_t tokens[64];
} Answer;

static Answer
ask (EngSession *session, const char *conversation, const char *text, uint32_t n)
{
  EngError error;
  EngGenerateResult result;
  EngGenerateRequest request = { .prompt = { .text = text, .text_bytes = strlen (text) },
                                 .conversation = conversation, .max_tokens = n, .ignore_eog = true };
  Answer answer = { 0 };
  eng_sampler_options_init (&request.sampling);
  request.sampling.temperature = 0.0f;
  if (eng_session_generate (session, &request, &result, &error) != ENG_OK)
    g_error ("%s", error.text);
  answer.n_prompt = result.n_prompt;
  answer.n_cached = result.n_cached;
  answer.n_tokens = result.n_generated;
  g_assert_cmpuint (result.n_generated, ==, n);
  memcpy (answer.tokens, result.tokens, n * sizeof *answer.tokens);
  return answer;
}

/* The same as nobody's conversation in a fresh session says it. */
static void
check_as_fresh (const Answer *answer, const char *text)
{
  EngSession *session = open_session ();
  Answer fresh = ask (session, NULL, text, answer->n_tokens);
  g_assert_cmpuint (fresh.n_cached, ==, 0);
  g_assert_cmpuint (fresh.n_prompt, ==, answer->n_prompt);
  g_assert_cmpmem (fresh.tokens, fresh.n_tokens * sizeof (int32_t), answer->tokens,
                   answer->n_tokens * sizeof (int32_t));
  eng_session_free (&session);
}

static char *
make_text (const char *first, guint n_lines, const char *last)
{
  GString *text = g_string_new (first);
  for (guint i = 0; i < n_lines; i++)
    g_string_append_printf (text, "line %u of the fire in the hearth is warm\n", i);
  g_string_append (text, last);
  return g_string_free (text, FALSE);
}

static void
test_conversation (void)
{
  EngSession *session = open_session ();
  g_autofree char *first = make_text ("", 10, ""), *more = make_text ("", 10, "and the cats sleep\n"),
                  *changed = make_text ("", 7, "but the kettle sings\n"), *other = make_text ("A model. ", 3, "");
  Answer a = ask (session, "c", first, 1);
  g_assert_cmpuint (a.n_prompt, >, 128);
  /* It goes on: all of it is kept. */
  Answer b = ask (session, "c", more, 20);
  g_assert_cmpuint (b.n_cached, ==, a.n_prompt);
  check_as_fresh (&b, more);
  /* The same once more: the state of its last whole block is taken up again. */
  Answer again = ask (session, "c", more, 20);
  g_assert_cmpuint (again.n_cached, ==, (b.n_prompt - 1) / 64 * 64);
  check_as_fresh (&again, more);
  /* Another conversation that begins alike starts from there too, and leaves the first one as it was. */
  Answer fork = ask (session, "d", changed, 20);
  g_assert_cmpuint (fork.n_cached % 64, ==, 0);
  g_assert_cmpuint (fork.n_cached, >, 0);
  check_as_fresh (&fork, changed);
  Answer kept = ask (session, "c", more, 20);
  g_assert_cmpuint (kept.n_cached, >, 0);
  check_as_fresh (&kept, more);
  /* An earlier message was changed. */
  Answer edited = ask (session, "c", changed, 20);
  g_assert_cmpuint (edited.n_cached % 64, ==, 0);
  check_as_fresh (&edited, changed);
  /* Nothing alike. */
  Answer else_ = ask (session, "c", other, 20);
  g_assert_cmpuint (else_.n_cached, ==, 0);
  check_as_fresh (&else_, other);
  eng_session_free (&session);
}

/* More conversations than sequences: the oldest is forgotten, all answer as they should. */
static void
test_many (void)
{
  EngSession *session = open_session ();
  for (guint round = 0; round < 2; round++)
    for (guint i = 0; i < 6; i++)
      {
        g_autofree char *key = g_strdup_printf ("k%u", i), *start = g_strdup_printf ("%u ", i),
                        *text = make_text (start, 2 + round, "");
        Answer answer = ask (session, key, text, 10);
        check_as_fresh (&answer, text);
      }
  eng_session_free (&session);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *folder = g_dir_make_tmp ("inglenook-recurrent-XXXXXX", NULL);
  EngError error;
  if (eng_runtime_new (&runtime, &error) != ENG_OK)
    g_error ("%s", error.text);
  make_model (folder);
  g_test_add_func ("/recurrent/conversation", test_conversation);
  g_test_add_func ("/recurrent/many", test_many);
  int code = g_test_run ();
  eng_runtime_free (&runtime);
  static const char *const files[] = { "config.json", "model.safetensors", "tokenizer.json", "model.gguf" };
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_build_filename (folder, files[i], NULL);
      g_unlink (path);
    }
  g_rmdir (folder);
  g_free (model);
  return code;
}
