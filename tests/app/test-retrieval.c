/* SPDX-License-Identifier: Apache-2.0 */
/* Documents from file to passage: chunks lose nothing and fit the embedding model, what is asked is found, what does not
 * stand there is not, the second search reads nothing again, and claims are held against their passages. */
#include <glib/gstdio.h>
#include <string.h>

#include "app-test.h"
#include "ing-chunker.h"
#include "ing-conversation-list-private.h"
#include "ing-conversation-private.h"
#include "ing-document-private.h"
#include "ing-document-question.h"
#include "ing-document-search.h"
#include "ing-paths.h"
#include "ing-search-windows.h"
#include "ing-sources.h"

static void
on_chunk (IngChunk *chunk, gpointer data)
{
  g_ptr_array_add (data, chunk);
}

static void
append_solid (GString *out, const char *text)
{
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    if (!g_unichar_isspace (g_utf8_get_char (p)))
      g_string_append_unichar (out, g_utf8_get_char (p));
}

static void
check_chunks (GPtrArray *blocks, guint *n_out)
{
  g_autoptr (GPtrArray) chunks = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_chunk_free);
  g_autoptr (GString) before = g_string_new (NULL);
  g_autoptr (GString) after = g_string_new (NULL);
  IngChunker *chunker = ing_document_chunker_new (on_chunk, chunks);
  for (guint i = 0; i < blocks->len; i++)
    {
      const IngBlock *block = blocks->pdata[i];
      append_solid (before, block->text);
      ing_document_chunker_feed (chunker, block);
    }
  ing_document_chunker_finish (chunker);
  for (guint i = 0; i < chunks->len; i++)
    {
      const IngChunk *chunk = chunks->pdata[i];
      g_autofree char *prefix = ing_chunk_make_prefix ("A manual", chunk->path, chunk->page);
      guint n = ing_chunk_estimate_tokens (chunk->text, strlen (chunk->text))
                + ing_chunk_estimate_tokens (prefix, strlen (prefix));
      g_assert_cmpuint (n, <=, ING_CHUNK_TOKENS);
      g_assert_true (g_utf8_validate (chunk->text, -1, NULL));
      g_assert_cmpuint (chunk->overlap, <, strlen (chunk->text));
      append_solid (after, chunk->text + chunk->overlap);
    }
  g_assert_cmpstr (after->str, ==, before->str);
  *n_out = chunks->len;
}

/* Text of many scripts, names, code and what is encoded, sentences of any length up to one without an end: nothing is
 * lost. */
static void
test_chunks (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (7);
  g_autoptr (GPtrArray) blocks = g_ptr_array_new ();
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  static const char *const words[] = { "kernel ", "Internationalization ", "a ", "12345 ", "end. ", "为什么", "结束。",
                                       "x-y/z ", "naïve ", "🙂", "\n",
                                       "static const EngFoo *foo_bar (guint32 n_xyzzy) { return n << 0x1f; }\n",
                                       "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch",
                                       "TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24", "👩🏽‍🚀🇩🇪", "𠀀龘㐀",
                                       "가나다뷁", "ﷺ", "Z̷̨̀a̸l̵g̶ò" };
  guint64 start = 0;
  for (guint i = 0; i < 300; i++)
    {
      g_autoptr (GString) text = g_string_new ("B");
      guint n = (guint) g_rand_int_range (random, 1, i % 50 == 0 ? 3000 : 120);
      for (guint j = 0; j < n; j++)
        g_string_append (text, words[g_rand_int_range (random, 0, i % 50 == 49 ? 3 : (int) G_N_ELEMENTS (words))]);
      IngBlock *block = g_new0 (IngBlock, 1);
      block->kind = i % 9 == 0 ? ING_BLOCK_HEADING : ING_BLOCK_PARAGRAPH;
      block->page = i / 10 + 1;
      block->start = start;
      block->text = g_strdup (text->str);
      block->path = "Part › Chapter with a rather long name that goes on and on";
      block->header = "";
      start += (guint64) g_utf8_strlen (text->str, -1) + 2;
      g_ptr_array_add (texts, (char *) block->text);
      g_ptr_array_add (blocks, block);
    }
  guint n = 0;
  check_chunks (blocks, &n);
  g_test_message ("%u chunks", n);
  g_assert_cmpuint (n, >, 100);
  g_ptr_array_foreach (blocks, (GFunc) (void (*) (void)) g_free, NULL);
}

static const char *installed_models; /* of the person who runs this: the tests have a stand-in */

/* What is embedded at once is what a model's makers say that it was trained on. */
static void
test_limits (void)
{
  g_autofree char *file = g_build_filename (installed_models != NULL ? installed_models : "/", "all-MiniLM-L6-v2",
                                            "sentence_bert_config.json", NULL);
  g_autofree char *text = NULL, *path = NULL;
  if (!g_file_get_contents (file, &text, NULL, NULL))
    {
      g_test_skip ("the embedding model was not fetched");
      return;
    }
  const IngEmbedder *embedder = ing_embedder_find (TRUE, &path);
  g_assert_nonnull (embedder);
  const char *at = strstr (text, "\"max_seq_length\":");
  g_assert_nonnull (at);
  g_assert_cmpuint (g_ascii_strtoull (strchr (at, ':') + 1, NULL, 10), ==, embedder->max_tokens);
}

static const char guide[]
    = "# Garden manual\n\n## Watering\n\nTomatoes need two litres of water a day. Water them early in the morning.\n\n"
      "## Frost\n\nCover the beds with fleece when the forecast falls below three degrees.\n\n"
      "## 施肥\n\n每个月给番茄施一次有机肥料。冬天不要施肥。\n\n"
      "| Plant | Distance |\n|---|---|\n| Carrot | 5 cm |\n| Pumpkin | 120 cm |\n";

static IngFound *
search (IngWorkspace *workspace, IngDocument *document, const char *query, const char *earlier)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  gint64 id = ing_document_get_id (document);
  g_array_append_val (ids, id);
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
  ing_document_library_search_async (library, ids, query, earlier, 3, 0, ING_SEARCH_WORDS, NULL,
                                     app_test_keep_result, &result);
  app_test_wait (result != NULL);
  IngFound *found = ing_document_library_search_finish (library, result, &error);
  g_assert_no_error (error);
  return found;
}

static void
assert_finds (IngWorkspace *workspace, IngDocument *document, const char *query, const char *earlier,
              const char *text)
{
  g_autoptr (IngFound) found = search (workspace, document, query, earlier);
  g_test_message ("%s: coverage %.2f, cosine %.2f", query, found->coverage, found->cosine);
  g_assert_true (found->found);
  g_assert_cmpuint (found->passages->len, >, 0);
  const IngPassage *first = found->passages->pdata[0];
  g_assert_nonnull (strstr (first->text, text));
  g_assert_cmpstr (first->document, ==, "guide.md");
}

static void
test_search (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "guide.md", NULL);
  g_assert_true (g_file_set_contents (path, guide, -1, NULL));
  gint64 id = 0;
  for (guint start = 0; start < 2; start++)
    {
      IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
      IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
      IngDocument *document = ing_document_library_add (library, 0, path);
      g_assert_true (ing_document_library_add (library, 0, path) == document);
      app_test_wait (document->cancellable == NULL);
      g_assert_cmpint (ing_document_get_state (document), >=, ING_DOCUMENT_WORDS);
      g_assert_cmpint (ing_document_get_state (document), <=, ING_DOCUMENT_READY);
      g_assert_cmpstr (ing_document_get_title (document), ==, "Garden manual");
      g_assert_true (start == 0 || ing_document_get_id (document) == id);
      id = ing_document_get_id (document);
      assert_finds (workspace, document, "How much water do tomatoes need?", NULL, "two litres");
      assert_finds (workspace, document, "冬天可以施肥吗", NULL, "冬天不要施肥");
      assert_finds (workspace, document, "distance of pumpkins", NULL, "Distance: 120 cm");
      assert_finds (workspace, document, "and when it is cold?", "When do I cover the beds against frost?", "fleece");
      g_autoptr (IngFound) none = search (workspace, document, "Who signed the treaty of Utrecht?", NULL);
      g_assert_false (none->found);
      g_autoptr (GListModel) list = ing_document_library_dup_list (library, 0);
      g_assert_cmpuint (g_list_model_get_n_items (list), ==, 1);
      if (start == 1)
        {
          ing_document_library_remove (library, 0, document);
          g_assert_cmpuint (g_list_model_get_n_items (list), ==, 0);
          g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (library)), ==, 0);
        }
      app_test_close (workspace);
    }
}

/* A changed file is read again; one that is no document says why and is not tried at the next start. */
static void
test_change (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "guide.md", NULL);
  g_autofree char *bad = g_build_filename (folder, "bad.pdf", NULL);
  g_assert_true (g_file_set_contents (path, "Apples are red.", -1, NULL));
  g_assert_true (g_file_set_contents (bad, "%PDF-1.7 nothing", -1, NULL));
  IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
  IngDocument *document = ing_document_library_add (library, 1, path);
  IngDocument *broken = ing_document_library_add (library, 1, bad);
  app_test_wait (document->cancellable == NULL && broken->cancellable == NULL);
  g_assert_cmpint (ing_document_get_state (broken), ==, ING_DOCUMENT_FAILED);
  g_assert_nonnull (ing_document_get_error (broken));
  ing_document_library_add (library, 1, bad);
  g_assert_null (broken->cancellable); /* the same file: not again */
  g_assert_true (g_file_set_contents (path, "Cherries are sweet and dark.", -1, NULL));
  ing_document_library_add (library, 1, path);
  app_test_wait (document->cancellable == NULL);
  assert_finds (workspace, document, "sweet cherries", NULL, "Cherries");
  g_autoptr (IngFound) old = search (workspace, document, "red apples", NULL);
  g_assert_false (old->found);
  app_test_close (workspace);
}

/* A program that ends while a document that was dropped on a conversation is read: the next one goes on with it. */
static void
test_go_on (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "guide.md", NULL);
  g_assert_true (g_file_set_contents (path, guide, -1, NULL));
  for (guint start = 0; start < 2; start++)
    {
      IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
      IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
      if (start == 0)
        {
          IngConversation *own = ing_conversation_list_create (ing_workspace_get_conversations (workspace));
          ing_conversation_suggest_title (own, "Garden");
          ing_document_library_add (library, ing_conversation_get_id (own), path);
        }
      else
        {
          g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (library)), ==, 1);
          g_autoptr (IngDocument) document = g_list_model_get_item (G_LIST_MODEL (library), 0);
          app_test_wait (ing_document_get_state (document) == ING_DOCUMENT_READY);
          assert_finds (workspace, document, "How much water do tomatoes need?", NULL, "two litres");
        }
      app_test_close (workspace);
    }
}

/* A long text, a part a fruit. Caller frees. */
static char *
make_fruit (const char *const *fruit)
{
  g_autoptr (GString) text = g_string_new ("# Fruit\n\n");
  for (guint i = 0; fruit[i] != NULL; i++)
    {
      g_string_append_printf (text, "## %s\n\n", fruit[i]);
      for (guint k = 0; k < 60; k++)
        g_string_append_printf (text, "Tree %u of the garden bears %s in its season. ", k, fruit[i]);
      g_string_append (text, "\n\n");
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* The passage about @fruit; 0 = there is none. */
static gint64
find_fruit (IngWorkspace *workspace, IngDocument *document, const char *fruit)
{
  g_autoptr (IngFound) found = search (workspace, document, fruit, NULL);
  const IngPassage *first = found->passages->len > 0 ? found->passages->pdata[0] : NULL;
  return first != NULL && strstr (first->text, fruit) != NULL ? first->id : 0;
}

/* What stands before the change keeps its passages, and so their vectors and who cites them; the rest is as the file is now. */
static void
test_change_behind (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "fruit.md", NULL);
  g_autofree char *before = make_fruit ((const char *const[]){ "apples", "cherries", "plums", "quinces", NULL });
  g_autofree char *after = make_fruit ((const char *const[]){ "apples", "cherries", "pears", NULL });
  g_assert_true (g_file_set_contents (path, before, -1, NULL));
  IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
  IngDocument *document = ing_document_library_add (library, 1, path);
  app_test_wait (document->cancellable == NULL);
  gint64 apples = find_fruit (workspace, document, "apples");
  guint n = ing_document_get_n_passages (document);
  g_assert_cmpint (apples, >, 0);
  g_assert_cmpint (find_fruit (workspace, document, "quinces"), >, 0);
  g_assert_true (g_file_set_contents (path, after, -1, NULL));
  ing_document_library_add (library, 1, path);
  app_test_wait (document->cancellable == NULL);
  g_assert_cmpint (ing_document_get_state (document), ==, ING_DOCUMENT_READY);
  g_assert_cmpuint (ing_document_get_n_passages (document), <, n);
  g_assert_cmpint (find_fruit (workspace, document, "apples"), ==, apples);
  g_assert_cmpint (find_fruit (workspace, document, "pears"), >, 0);
  g_assert_cmpint (find_fruit (workspace, document, "plums"), ==, 0);
  g_assert_cmpint (find_fruit (workspace, document, "quinces"), ==, 0);
  app_test_close (workspace);
}

static void
check_windows (const char *chunk, const char *const *expected)
{
  g_autoptr (GPtrArray) windows = g_ptr_array_new_with_free_func (g_free);
  ing_search_cut_windows (chunk, windows);
  for (guint i = 0; expected[i] != NULL; i++)
    {
      g_assert_cmpuint (i, <, windows->len);
      g_assert_cmpstr (windows->pdata[i], ==, expected[i]);
    }
  g_assert_cmpuint (windows->len, ==, g_strv_length ((char **) expected));
}

#define CHINESE_20 "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申。"

/* Sentences stay whole, none is lost, each stands behind the nearest heading, and a short rest is no window. */
static void
test_windows (void)
{
  check_windows ("手册 › 第一章 › p. 12\n短句。", (const char *const[]){ "第一章\n短句。", NULL });
  check_windows ("no heading", (const char *const[]){ "\nno heading", NULL });
  check_windows ("T › H\n", (const char *const[]){ "H\n", NULL });
  check_windows ("手册 › 第一章\n" CHINESE_20 CHINESE_20 CHINESE_20 CHINESE_20 CHINESE_20,
                 (const char *const[]){ "第一章\n" CHINESE_20 CHINESE_20 CHINESE_20, "第一章\n" CHINESE_20 CHINESE_20,
                                        NULL });
  check_windows ("手册\n" CHINESE_20 CHINESE_20 CHINESE_20 CHINESE_20,
                 (const char *const[]){ "手册\n" CHINESE_20 CHINESE_20 CHINESE_20 CHINESE_20, NULL });
}

/* Only a question that goes on from the earlier one is looked for together with it. */
static void
test_standalone (void)
{
  static const char *const leaning[]
      = { "And when it is cold?", "How much water does it need?", "What about the carrots?", "Why?", "What does that mean?",
          "Are they hardy?", "它怎么安装？", "那番茄呢？", "这些文件放在哪里？",
          "它怎样显示某个服务最近的日志？", NULL };
  static const char *const alone[]
      = { "What does stable-backports host?", "Is it possible to install without a network?", "mount options",
          "Which files that begin with a dot are hidden?", "How do I use sudo?", "quilt有什么用？",
          "Linux的namespaces是什么？", "图像编辑程序的图层对话框里，怎样把这些选区保存为通道？", NULL };
  for (guint i = 0; leaning[i] != NULL; i++)
    {
      g_autofree char *text = ing_search_make_standalone (leaning[i], "Where do tomatoes grow?");
      g_assert_true (g_str_has_prefix (text, "Where do tomatoes grow?"));
      g_assert_true (g_str_has_suffix (text, leaning[i]));
      g_autofree char *first = ing_search_make_standalone (leaning[i], NULL);
      g_assert_cmpstr (first, ==, leaning[i]);
    }
  for (guint i = 0; alone[i] != NULL; i++)
    {
      g_autofree char *text = ing_search_make_standalone (alone[i], "Where do tomatoes grow?");
      g_assert_cmpstr (text, ==, alone[i]);
    }
}

static void
install_model (const char *name)
{
  g_autofree char *path = g_build_filename (ing_paths_get_models (), name, NULL);
  g_autofree char *folder = g_path_get_dirname (path);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, "a stand-in: the engine's double looks at no file", -1, NULL));
}

static void
search_by_meaning (IngDocumentLibrary *library, IngDocument *document, const char *query, gboolean by_meaning)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GAsyncResult) result = NULL;
  gint64 id = ing_document_get_id (document);
  g_array_append_val (ids, id);
  ing_document_library_search_async (library, ids, query, NULL, 3, 0, ING_SEARCH_ALL, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_autoptr (IngFound) found = ing_document_library_search_finish (library, result, NULL);
  g_assert_nonnull (found);
  g_assert_cmpint (found->by_meaning, ==, by_meaning);
  g_assert_cmpuint (found->passages->len, >, 0);
}

/* A model that knows English alone reads what has no letters, and a few of another script; nothing that is in one. */
static void
test_scripts (void)
{
  static const char *const latin[] = { "How much water?", "12 | 3.5 | 17", "The angle α of the lens is given in degrees.",
                                       "Zürich, Québec", NULL };
  static const char *const others[]
      = { "番茄 in winter", "Сколько воды нужно помидорам?", "Команда ls выводит содержимое каталога", "토마토", NULL };
  for (guint i = 0; latin[i] != NULL; i++)
    g_assert_true (ing_search_is_latin (latin[i]));
  for (guint i = 0; others[i] != NULL; i++)
    g_assert_false (ing_search_is_latin (others[i]));
}

/* Each language has its model; one that is installed later makes the vectors that were missing, and only those. */
static void
test_models (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *english = g_build_filename (folder, "english.md", NULL);
  g_autofree char *chinese = g_build_filename (folder, "chinese.md", NULL);
  g_assert_true (g_file_set_contents (english, guide, 120, NULL));
  g_assert_true (g_file_set_contents (chinese, "# 花园\n\n每个月给番茄施一次有机肥料。冬天不要施肥。\n", -1, NULL));
  g_autoptr (GString) half = g_string_new (NULL); /* three chunks of four are English */
  for (guint i = 0; i < 16; i++)
    g_string_append_printf (half, "# Part %u\n\n%s\n\n", i, i % 4 == 3 ? CHINESE_20 CHINESE_20 CHINESE_20 : guide);
  g_autofree char *translated = g_build_filename (folder, "translated.md", NULL);
  g_assert_true (g_file_set_contents (translated, half->str, -1, NULL));
  for (guint start = 0; start < 2; start++)
    {
      if (start == 1)
        install_model ("multilingual-e5-small/multilingual-e5-small-Q4_0.gguf");
      IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
      IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
      IngDocument *first = ing_document_library_add (library, 1, english);
      IngDocument *second = ing_document_library_add (library, 1, chinese);
      IngDocument *third = ing_document_library_add (library, 1, translated);
      app_test_wait (first->cancellable == NULL && second->cancellable == NULL && third->cancellable == NULL);
      g_assert_cmpint (ing_document_get_state (first), ==, ING_DOCUMENT_READY);
      g_assert_cmpint (ing_document_get_state (second), ==, ING_DOCUMENT_READY);
      g_assert_cmpuint (first->row->embedder, ==, 0);
      g_assert_cmpuint (second->row->embedder, ==, start == 1 ? 2 : 0);
      g_assert_cmpuint (third->row->embedder, ==, start == 1 ? 2 : 0);
      search_by_meaning (library, first, "How much water do tomatoes need?", TRUE);
      search_by_meaning (library, second, "冬天可以施肥吗", start == 1);
      search_by_meaning (library, second, "番茄 in winter", start == 1); /* the document's model, not the question's */
      ing_document_library_add (library, 1, english);
      ing_document_library_add (library, 1, chinese);
      g_assert_null (first->cancellable);
      g_assert_null (second->cancellable);
      app_test_close (workspace);
    }
}

/* The same content at two paths is read once, and shown once; each stays when the other goes. */
static void
test_twins (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "guide.md", NULL);
  g_autofree char *other = g_build_filename (folder, "copy.md", NULL);
  g_assert_true (g_file_set_contents (path, guide, -1, NULL));
  g_assert_true (g_file_set_contents (other, guide, -1, NULL));
  IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
  IngDocument *first = ing_document_library_add (library, 1, path);
  app_test_wait (first->cancellable == NULL);
  g_setenv ("INGLENOOK_READER", "/nonexistent", TRUE); /* what is read now is not read by it */
  IngDocument *second = ing_document_library_add (library, 1, other);
  app_test_wait (second->cancellable == NULL);
  g_assert_true (first != second);
  g_assert_cmpstr (ing_document_get_title (second), ==, "Garden manual");
  g_assert_cmpint (ing_document_get_state (second), ==, ing_document_get_state (first));
  g_assert_cmpuint (second->row->n_chunks, ==, first->row->n_chunks);
  ing_document_library_remove (library, 1, first);
  g_autoptr (IngFound) found = search (workspace, second, "How much water do tomatoes need?", NULL);
  g_assert_true (found->found);
  for (guint i = 0; i < found->passages->len; i++)
    g_assert_cmpstr (((IngPassage *) found->passages->pdata[i])->document, ==, "copy.md");
  app_test_close (workspace);
}

/* What documents say reaches the model before the question, and is kept with it. */
static void
test_passages_are_asked (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
  IngConversation *conversation
      = ing_conversation_list_create_other (ing_workspace_get_conversations (workspace));
  g_autoptr (GListStore) parts = g_list_store_new (ING_TYPE_PART);
  g_autoptr (IngPart) part = ing_part_new_passages ("Tomatoes need two litres.", "{\"passages\":[]}");
  g_list_store_append (parts, part);
  ing_conversation_send (conversation, "How much?", G_LIST_MODEL (parts));
  g_autoptr (JsonObject) request = ing_conversation_make_request (conversation, NULL, NULL);
  JsonObject *turn = json_array_get_object_element (ing_json_get_array (request, "messages"), 0);
  g_assert_cmpstr (ing_json_get_string (turn, "content", ""), ==, "Tomatoes need two litres.\n\nHow much?");
  app_test_wait_idle (conversation);
  g_object_unref (conversation);
  app_test_close (workspace);
}

/* ------------------------------------------------------------------ documents of a conversation */

typedef struct
{
  gboolean done;
  IngFound *found;
  GError *error;
} Answered;

static void
on_answered (GObject *source, GAsyncResult *result, gpointer data)
{
  Answered *a = data;
  a->found = ing_document_question_finish (result, &a->error);
  a->done = TRUE;
}

static IngFound *
question (IngWorkspace *workspace, IngConversation *conversation, const char *text, GError **error)
{
  Answered a = { 0 };
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
  g_autoptr (GListModel) documents = ing_document_library_dup_list (library, ing_conversation_get_id (conversation));
  const IngDocumentQuery query = { .question = text };
  ing_document_question_async (library, documents, &query, NULL, on_answered, &a);
  app_test_wait (a.done);
  if (a.error != NULL)
    g_propagate_error (error, a.error);
  return a.found;
}

/* A short document is taken whole, a long one by what says most; a broken one says why; all go with the conversation. */
static void
test_conversation (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "lease.md", NULL);
  g_autofree char *far = g_build_filename (folder, "far.md", NULL);
  g_autofree char *bad = g_build_filename (folder, "bad.pdf", NULL);
  g_autoptr (GString) text = g_string_new ("# Far\n\n");
  g_assert_true (g_file_set_contents (path, "# Lease\n\nThe rent is due on the third of each month.\n", -1, NULL));
  g_assert_true (g_file_set_contents (bad, "%PDF-1.7 nothing", -1, NULL));
  for (guint i = 0; i < 400; i++)
    g_string_append_printf (text, "Paragraph %u is about the %s of boats and of nothing else whatever.\n\n", i,
                            i == 300 ? "anchor" : "colour");
  g_assert_true (g_file_set_contents (far, text->str, -1, NULL));

  IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
  IngConversationList *conversations = ing_workspace_get_conversations (workspace);
  g_autoptr (IngConversation) fresh = ing_conversation_list_create (conversations);
  gint64 id = ing_conversation_get_id (fresh);
  g_autoptr (GError) error = NULL;
  IngDocument *broken = ing_document_library_add (library, id, bad);
  g_assert_null (question (workspace, fresh, "When is the rent due?", &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_FORMAT);
  ing_document_library_remove (library, id, broken);

  ing_document_library_add (library, id, path);
  ing_conversation_suggest_title (fresh, "lease.md");
  g_assert_cmpstr (ing_conversation_get_title (fresh), ==, "lease.md");
  g_autoptr (IngFound) whole = question (workspace, fresh, "Summarize.", NULL);
  g_assert_true (whole->found);
  g_assert_cmpuint (whole->passages->len, ==, 1);

  g_autoptr (IngPart) part = ing_sources_make_part (whole);
  g_autoptr (GListStore) parts = g_list_store_new (ING_TYPE_PART);
  g_list_store_append (parts, part);
  ing_conversation_send (fresh, "When is the rent due?", G_LIST_MODEL (parts));
  app_test_wait_idle (fresh);
  g_autoptr (IngMessage) asked = g_list_model_get_item (ing_conversation_list_messages (fresh), 0);
  g_autoptr (GPtrArray) sources = ing_sources_dup (asked);
  g_assert_cmpuint (sources->len, ==, 1);
  const IngPassage *source = sources->pdata[0];
  g_assert_cmpstr (source->path, ==, path);
  g_assert_nonnull (strstr (source->text, "third of each month"));
  g_autofree char *place = ing_sources_dup_place (source);
  g_assert_cmpstr (place, ==, "lease.md › Lease");

  ing_document_library_add (library, id, far);
  g_autoptr (IngFound) some = question (workspace, fresh, "Which paragraph speaks of the anchor of boats?", NULL);
  g_assert_true (some->found);
  g_assert_cmpuint (some->passages->len, ==, 5); /* which ones: the double's vectors mean nothing */

  /* About the whole: from its beginning to its end. */
  g_autoptr (IngFound) all = question (workspace, fresh, "Please summarize all of this.", NULL);
  g_assert_true (all->found);
  g_assert_cmpuint (all->passages->len, ==, 10);
  g_assert_nonnull (strstr (((IngPassage *) all->passages->pdata[0])->text, "third of each month"));
  g_assert_nonnull (strstr (((IngPassage *) all->passages->pdata[9])->text, "Paragraph 3"));

  ing_conversation_list_delete (conversations, fresh);
  app_test_close (workspace);
  workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (ing_workspace_get_documents (workspace))), ==, 0);
  app_test_close (workspace);
}

int
main (int argc, char **argv)
{
  installed_models = g_strdup (g_getenv ("INGLENOOK_MODELS"));
  g_test_init (&argc, &argv, NULL);
  g_autofree char *models = g_dir_make_tmp ("inglenook-models-XXXXXX", NULL);
  g_setenv ("INGLENOOK_MODELS", models, TRUE);
  install_model ("all-MiniLM-L6-v2");
  g_test_add_func ("/retrieval/chunks", test_chunks);
  g_test_add_func ("/retrieval/limits", test_limits);
  g_test_add_func ("/retrieval/windows", test_windows);
  g_test_add_func ("/retrieval/search", test_search);
  g_test_add_func ("/retrieval/change", test_change);
  g_test_add_func ("/retrieval/change-behind", test_change_behind);
  g_test_add_func ("/retrieval/go-on", test_go_on);
  g_test_add_func ("/retrieval/passages-are-asked", test_passages_are_asked);
  g_test_add_func ("/retrieval/conversation", test_conversation);
  g_test_add_func ("/retrieval/standalone", test_standalone);
  g_test_add_func ("/retrieval/scripts", test_scripts);
  g_test_add_func ("/retrieval/models", test_models);
  g_test_add_func ("/retrieval/twins", test_twins); /* last: without a reader */
  return g_test_run ();
}
