/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of all-MiniLM-L6-v2, straight from its hub folder, against transformers (make-embeddings.py):
 * cosine at least 0.9999, from the command and from the service. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "eng-embed.h"
#include "eng-folder.h"
#include "eng-json.h"
#include "eng-runtime.h"
#include "eng-serve.h"
#include "eng-wire.h"
#include "test-models.h"
#include "test-npy.h"

#define WIDTH 384u

static char *
find_or_skip (const char *name)
{
  const char *folder = g_getenv ("INGLENOOK_MODELS");
  g_autofree char *path = folder != NULL && *folder != '\0'
                              ? g_build_filename (folder, name, NULL)
                              : g_build_filename (g_get_user_data_dir (), "inglenook", "models", name, NULL);
  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&path);
  g_test_skip ("the embedding model was not fetched");
  return NULL;
}

static char *
model_or_skip (void)
{
  return find_or_skip ("all-MiniLM-L6-v2");
}

static TestNpy *
load_truth (void)
{
  g_autofree char *path = test_data_path ("minilm-vectors.npy");
  g_autoptr (GError) error = NULL;
  TestNpy *truth = test_npy_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (truth->shape[1], ==, WIDTH);
  return truth;
}

static void
check (const float *ours, const float *truth)
{
  double dot = 0.0, a = 0.0, b = 0.0;
  for (unsigned i = 0; i < WIDTH; i++)
    {
      dot += (double) ours[i] * truth[i];
      a += (double) ours[i] * ours[i];
      b += (double) truth[i] * truth[i];
    }
  g_assert_cmpfloat (fabs (a - 1.0), <, 1e-5);
  g_assert_cmpfloat (dot / sqrt (a * b), >=, 0.9999);
}

static void
test_command (void)
{
  g_autofree char *model = model_or_skip (), *output = NULL;
  if (!model)
    return;
  g_autoptr (TestNpy) truth = load_truth ();
  const char *const arguments[]
      = { "embed", model, "--text-file", SENTENCES, "--json", "--device", "cpu", NULL };
  EngArena arena = { 0 };
  const EngJson *root;
  g_assert_true (test_engine_run (arguments, &output, NULL));
  g_assert_cmpint (eng_json_parse (output, strlen (output), 0, &arena, &root, NULL), ==, ENG_OK);
  const EngJson *vectors = eng_json_get (root, "embeddings");
  g_assert_cmpuint (vectors->n, ==, truth->shape[0]);
  for (size_t t = 0; t < vectors->n; t++)
    {
      float vector[WIDTH];
      g_assert_cmpuint (eng_json_at (vectors, t)->n, ==, WIDTH);
      for (unsigned i = 0; i < WIDTH; i++)
        vector[i] = (float) eng_json_at (eng_json_at (vectors, t), i)->number;
      check (vector, truth->f32 + t * WIDTH);
    }
  eng_arena_clear (&arena);
}

/* No line of a long file is left out. */
static void
test_many_lines (void)
{
  g_autofree char *model = model_or_skip (), *output = NULL, *path = NULL;
  if (!model)
    return;
  enum
  {
    N_LINES = 4200
  };
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint i = 0; i < N_LINES; i++)
    g_string_append (text, "a\n\n");
  g_assert_true (g_close (g_file_open_tmp ("lines-XXXXXX", &path, NULL), NULL));
  g_assert_true (g_file_set_contents (path, text->str, -1, NULL));
  const char *const arguments[] = { "embed", model, "--text-file", path, "--device", "cpu", NULL };
  g_assert_true (test_engine_run (arguments, &output, NULL));
  guint n = 0;
  for (const char *p = output; (p = strchr (p, '[')) != NULL; p++)
    n++;
  g_assert_cmpuint (n, ==, N_LINES + 1); /* one around all of them */
  g_unlink (path);
}

static gpointer
serve_thread (gpointer data)
{
  return GINT_TO_POINTER (eng_serve (GPOINTER_TO_INT (data), NULL));
}

static void
receive (int fd, void *data, size_t n)
{
  g_assert_cmpint (recv (fd, data, n, MSG_WAITALL), ==, (gssize) n);
}

/* Work for the index and a question that overtakes it. */
static void
test_service (void)
{
  g_autofree char *model = model_or_skip (), *text = NULL;
  if (!model)
    return;
  g_autoptr (TestNpy) truth = load_truth ();
  g_assert_true (g_file_get_contents (SENTENCES, &text, NULL, NULL));
  g_auto (GStrv) lines = g_strsplit (g_strchomp (text), "\n", -1);
  int fds[2];
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  GThread *thread = g_thread_new ("serve", serve_thread, GINT_TO_POINTER (fds[1]));
  for (uint32_t id = 1; id <= 2; id++)
    {
      EngBuffer payload = { 0 };
      EngJsonWriter w = { .out = &payload };
      eng_json_write_begin_object (&w);
      eng_json_write_member_string (&w, "path", model);
      eng_json_write_member_string (&w, "device", "cuda:99"); /* is not there: the CPU goes on */
      eng_json_write_member_string (&w, "priority", id == 1 ? "index" : "question");
      eng_json_write_member_string (&w, "kind", id == 1 ? "document" : "query");
      eng_json_write_key (&w, "texts");
      eng_json_write_begin_array (&w);
      for (int round = 0; round < (id == 1 ? 40 : 1); round++)
        for (guint i = 0; i < truth->shape[0]; i++)
          eng_json_write_string (&w, lines[i]);
      eng_json_write_end_array (&w);
      eng_json_write_end_object (&w);
      uint8_t bytes[ENG_WIRE_HEADER_BYTES];
      const EngWireHeader header
          = { .type = ENG_WIRE_EMBED, .id = id, .length = (uint32_t) payload.n_bytes };
      eng_wire_encode_header (&header, bytes);
      g_assert_cmpint (send (fds[0], bytes, sizeof bytes, 0), ==, (gssize) sizeof bytes);
      g_assert_cmpint (send (fds[0], payload.data, payload.n_bytes, 0), ==, (gssize) payload.n_bytes);
      eng_buffer_clear (&payload);
    }
  uint32_t order[2], n_answers = 0;
  while (n_answers < 2)
    {
      uint8_t bytes[ENG_WIRE_HEADER_BYTES];
      EngWireHeader header;
      receive (fds[0], bytes, sizeof bytes);
      g_assert_true (eng_wire_decode_header (bytes, &header));
      g_autofree uint8_t *payload = g_malloc (header.length + 1);
      receive (fds[0], payload, header.length);
      if (header.type == ENG_WIRE_PROGRESS)
        continue;
      g_assert_cmpint (header.type, ==, ENG_WIRE_EMBEDDINGS);
      order[n_answers++] = header.id;
      uint32_t n, width;
      memcpy (&n, payload, 4);
      memcpy (&width, payload + 4, 4);
      g_assert_cmpuint (GUINT32_FROM_LE (width), ==, WIDTH);
      g_assert_cmpuint (GUINT32_FROM_LE (n), ==, truth->shape[0] * (header.id == 1 ? 40 : 1));
      for (uint32_t t = 0; t < truth->shape[0]; t++)
        {
          float vector[WIDTH];
          memcpy (vector, payload + 8 + t * sizeof vector, sizeof vector);
          check (vector, truth->f32 + t * WIDTH);
        }
    }
  g_assert_cmpuint (order[0], ==, 2);
  close (fds[0]);
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==, ENG_OK);
}

/* ------------------------------------------------------------------ texts longer than a model reads at once */

/* Repeated they are what an estimate of tokens goes wrong at: each is far more tokens than words. */
static const char *const hostile[] = {
  "static const EngFoo *foo_bar_baz_qux (EngFoo *self, guint32 n_xyzzy) { return self->priv->n[n_xyzzy++] << 0x1f; }\n",
  "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch Chargoggagoggmanchauggagoggchaubunagungamaugg ",
  "TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dCBieSB0aGlzIHNpbmd1bGFyIHBhc3Npb24gZnJvbSBvdGhl",
  "👩🏽‍🚀🧑‍🤝‍🧑🇩🇪🙂",
  "㐀㐁㐂𠀀𠀁𠀂𪜀龘靐齉",
  "가나다라마바사아자차카타파하뷁",
  "ﷺ",
  "Z̷̨̀a̸l̵g̶ò",
  "Part IV › Chapter 17 › Considerations regarding Internationalization › Déclaration › Übergangsbestimmungen › ",
  "\xff\xfe broken \x80 bytes ",
  "ordinary words of a sentence that says nothing, ",
};

typedef struct
{
  EngRuntime *runtime;
  EngSession *session;
  uint32_t limit;
} Encoder;

static gboolean
open_encoder (Encoder *e, const char *name, uint32_t limit)
{
  g_autofree char *path = find_or_skip (name);
  if (!path)
    return FALSE;
  char file[ENG_FOLDER_PATH_BYTES];
  EngSessionOptions options;
  EngError error;
  eng_session_options_init (&options);
  options.n_ctx = e->limit = limit;
  options.device = "cpu";
  options.max_sequences = 16;
  e->runtime = NULL;
  e->session = NULL;
  g_assert_cmpint (eng_runtime_new (&e->runtime, &error), ==, ENG_OK);
  EngStatus status = eng_folder_get_file (path, file, &error);
  if (status == ENG_OK)
    status = eng_session_new (e->runtime, file, &options, &e->session, &error);
  g_assert_cmpstr (status == ENG_OK ? "" : error.text, ==, "");
  return TRUE;
}

static void
close_encoder (Encoder *e)
{
  eng_session_free (&e->session);
  eng_runtime_free (&e->runtime);
}

/* No part is longer than the limit, none a small rest; what stands between the marks of all is, id for id, the whole
 * text as the tokenizer gives it. */
static void
check_parts (Encoder *e, const char *text, gsize n_bytes, uint32_t n_front)
{
  const EngTokenizer *t = eng_session_get_tokenizer (e->session);
  EngEmbedParts parts = { .n = NULL };
  EngTokenBuffer whole = { 0 };
  g_autoptr (GArray) joined = g_array_new (FALSE, FALSE, sizeof (int32_t));
  EngError error;
  g_assert_cmpint (eng_embed_encode (e->session, text, n_bytes, ENG_EMBED_DOCUMENT, &parts, &error), ==, ENG_OK);
  g_assert_cmpint (eng_tokenizer_encode (t, text, n_bytes, ENG_ENCODE_PLAIN, &whole, &error), ==, ENG_OK);
  uint32_t room = e->limit - n_front - 1;
  for (size_t i = 0, at = 0; i < parts.n_parts; at += parts.n[i++])
    {
      g_assert_cmpuint (parts.n[i], <=, e->limit);
      g_assert_cmpuint (parts.n[i], >=, parts.n_parts > 1 ? e->limit / 3 : 2);
      g_assert_cmpint (memcmp (parts.ids.ids + at, parts.ids.ids, n_front * sizeof (int32_t)), ==, 0);
      g_assert_cmpint (parts.ids.ids[at + parts.n[i] - 1], ==, parts.ids.ids[parts.n[0] - 1]);
      g_array_append_vals (joined, parts.ids.ids + at + n_front, parts.n[i] - n_front - 1);
    }
  g_assert_cmpuint (parts.n_parts, >=, (whole.n + room - 1) / room);
  g_assert_cmpmem (joined->data, joined->len * sizeof (int32_t), whole.ids, whole.n * sizeof (int32_t));
  eng_token_buffer_free (&whole);
  eng_embed_parts_free (&parts);
}

static void
check_hostile (const char *name, uint32_t limit, uint32_t n_front)
{
  Encoder e;
  if (!open_encoder (&e, name, limit))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (hostile); i++)
    {
      g_autoptr (GString) text = g_string_new (NULL);
      for (guint round = 0; round < 100; round++)
        {
          g_string_append (text, hostile[i]);
          if (round < 24 || round == 99)
            check_parts (&e, text->str, text->len, n_front);
        }
    }
  close_encoder (&e);
}

static void
test_parts_minilm (void)
{
  check_hostile ("all-MiniLM-L6-v2", 256, 1);
}

/* In front of each part stands what its makers tell users to put in front of a text: "passage: ". */
static void
test_parts_e5 (void)
{
  check_hostile ("multilingual-e5-small/multilingual-e5-small-Q4_0.gguf", 512, 3);
}

static void
embed_one (Encoder *e, const char *text, float vector[WIDTH])
{
  const EngString one = { text, strlen (text) };
  uint32_t n_done;
  EngError error;
  ENG_ATOMIC_FLAG cancel = 0;
  g_assert_cmpint (eng_embed_some (e->session, &one, 1, ENG_EMBED_DOCUMENT, 512, &cancel, vector, &n_done, &error), ==,
                   ENG_OK);
  g_assert_cmpuint (n_done, ==, 1);
}

/* The vector of a long text is that of all of it: here of two halves of 150 ids each, the mean of theirs. */
static void
test_long_text (void)
{
  Encoder e;
  if (!open_encoder (&e, "all-MiniLM-L6-v2", 256))
    return;
  g_autoptr (GString) first = g_string_new (NULL), second = g_string_new (NULL);
  for (guint i = 0; i < 150; i++)
    {
      g_string_append (first, "river ");
      g_string_append (second, "kitchen ");
    }
  g_autofree char *both = g_strconcat (first->str, second->str, NULL);
  float a[WIDTH], b[WIDTH], ab[WIDTH], sum = 0;
  embed_one (&e, first->str, a);
  embed_one (&e, second->str, b);
  embed_one (&e, both, ab);
  for (guint i = 0; i < WIDTH; i++)
    sum += (a[i] + b[i]) * (a[i] + b[i]);
  for (guint i = 0; i < WIDTH; i++)
    g_assert_cmpfloat_with_epsilon (ab[i], (a[i] + b[i]) / sqrtf (sum), 1e-5f);
  close_encoder (&e);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/embeddings/command", test_command);
  g_test_add_func ("/embeddings/many-lines", test_many_lines);
  g_test_add_func ("/embeddings/service", test_service);
  g_test_add_func ("/embeddings/parts/MiniLM", test_parts_minilm);
  g_test_add_func ("/embeddings/parts/e5", test_parts_e5);
  g_test_add_func ("/embeddings/long-text", test_long_text);
  return g_test_run ();
}
