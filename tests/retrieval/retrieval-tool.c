/* SPDX-License-Identifier: Apache-2.0 */
/* retrieval-tool FOLDER DOCUMENTS QUESTIONS: reads documents ("group TAB path" each line) into an index in FOLDER, then
 * answers questions ("group TAB question TAB earlier") and prints what each arm finds as lines of JSON, one for each
 * question. evaluate.py calls it. */
#include <stdio.h>
#include <string.h>

#include "app-test.h"
#include "ing-chunker.h"
#include "ing-document-private.h"
#include "ing-document-search.h"
#include "ing-search-text.h"

#define N_PASSAGES 5

typedef struct
{
  IngWorkspace *workspace;
  IngDocumentLibrary *library;
  GPtrArray *groups;    /* of each document */
  GArray *documents;    /* ids */
  GPtrArray *reported;  /* of JsonObject, one for each question */
  GPtrArray *questions; /* of char ** */
} Tool;

static gboolean
add_documents (Tool *tool, const char *list)
{
  g_auto (GStrv) lines = g_strsplit (list, "\n", -1);
  guint n_chunks = 0;
  for (guint i = 0; lines[i] != NULL && *lines[i] != '\0'; i++)
    {
      g_auto (GStrv) field = g_strsplit (lines[i], "\t", 2);
      if (g_strv_length (field) != 2)
        return FALSE;
      IngDocument *document = ing_document_library_add (tool->library, 0, field[1]);
      while (document->cancellable != NULL)
        g_main_context_iteration (NULL, TRUE);
      if (ing_document_get_state (document) == ING_DOCUMENT_FAILED)
        g_printerr ("%s: not read: %s\n", field[1], document->row->error);
      gint64 id = ing_document_get_id (document);
      n_chunks += document->row->n_chunks;
      g_printerr ("%5u chunks  %s\n", document->row->n_chunks, field[1]);
      g_array_append_val (tool->documents, id);
      g_ptr_array_add (tool->groups, g_strdup (field[0]));
    }
  g_printerr ("%u documents, %u chunks\n", tool->documents->len, n_chunks);
  return TRUE;
}

static GArray *
find_group (Tool *tool, const char *group)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < tool->documents->len; i++)
    if (strcmp (tool->groups->pdata[i], group) == 0)
      g_array_append_val (ids, g_array_index (tool->documents, gint64, i));
  return ids;
}

static void
report (JsonObject *object, const char *arm, const IngFound *found, double ms)
{
  JsonObject *o = json_object_new ();
  JsonArray *texts = json_array_new (), *ids = json_array_new ();
  guint n_tokens = 0;
  for (guint i = 0; i < found->passages->len; i++)
    {
      const IngPassage *passage = found->passages->pdata[i];
      json_array_add_string_element (texts, passage->text);
      json_array_add_int_element (ids, passage->id);
      n_tokens += ing_chunk_estimate_tokens (passage->text, strlen (passage->text));
    }
  json_object_set_array_member (o, "texts", texts);
  json_object_set_array_member (o, "ids", ids);
  json_object_set_int_member (o, "tokens", n_tokens);
  json_object_set_boolean_member (o, "found", found->found);
  json_object_set_boolean_member (o, "by_meaning", found->by_meaning);
  json_object_set_double_member (o, "coverage", found->coverage);
  json_object_set_double_member (o, "cosine", found->cosine);
  json_object_set_double_member (o, "ms", ms);
  json_object_set_object_member (object, arm, o);
}

static gboolean
ask (Tool *tool, char **question, IngSearchArms arms, const char *name, JsonObject *object, GError **error)
{
  g_autoptr (GArray) ids = find_group (tool, question[0]);
  g_autoptr (GAsyncResult) result = NULL;
  const char *earlier = question[2] != NULL && *question[2] != '\0' ? question[2] : NULL;
  gint64 start = g_get_monotonic_time ();
  ing_document_library_search_async (tool->library, ids, question[1], earlier, N_PASSAGES, 0, arms, NULL,
                                     app_test_keep_result, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_autoptr (IngFound) found = ing_document_library_search_finish (tool->library, result, error);
  if (found == NULL)
    return FALSE;
  report (object, name, found, (g_get_monotonic_time () - start) / 1e3);
  return TRUE;
}

static gboolean
ask_all (Tool *tool, const char *list, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (list, "\n", -1);
  for (guint i = 0; lines[i] != NULL && *lines[i] != '\0'; i++)
    {
      char **question = g_strsplit (lines[i], "\t", 3);
      JsonObject *object = json_object_new ();
      g_ptr_array_add (tool->questions, question);
      g_ptr_array_add (tool->reported, object);
      if (!ask (tool, question, ING_SEARCH_WORDS, "words", object, error)
          || !ask (tool, question, ING_SEARCH_MEANING, "meaning", object, error)
          || !ask (tool, question, ING_SEARCH_WORDS | ING_SEARCH_MEANING, "joined", object, error)
          || !ask (tool, question, ING_SEARCH_ALL, "fused", object, error))
        return FALSE;
    }
  return TRUE;
}

/* The chunks that were found, without the neighbours that passages have. */
static gboolean
add_chunks (IngDatabase *db, JsonObject *arm, GError **error)
{
  JsonArray *ids = json_object_get_array_member (arm, "ids"), *chunks = json_array_new ();
  json_object_set_array_member (arm, "chunks", chunks);
  for (guint i = 0; i < json_array_get_length (ids); i++)
    {
      g_autoptr (IngPassage) chunk = ing_document_table_dup_passage (db, json_array_get_int_element (ids, i), error);
      if (chunk == NULL)
        return FALSE;
      json_array_add_string_element (chunks, chunk->text);
    }
  return TRUE;
}

/* Plain BM25 for comparison: all words of the question over the text alone, as SQLite ranks them; pairs for CJK, since
 * there are no words at all without. */
static gpointer
plain (IngDatabase *db, gpointer data, GError **error)
{
  Tool *tool = data;
  for (guint i = 0; i < tool->questions->len; i++)
    {
      char **question = tool->questions->pdata[i];
      g_autofree char *cut = ing_search_text_for_index (question[1]);
      g_auto (GStrv) words = g_str_tokenize_and_fold (cut, NULL, NULL);
      g_autoptr (GString) match = g_string_new ("body : (");
      g_autoptr (GArray) ids = find_group (tool, question[0]);
      g_autoptr (GString) of = g_string_new ("[0");
      for (guint j = 0; words[j] != NULL; j++)
        g_string_append_printf (match, "%s\"%s\"", j > 0 ? " OR " : "", words[j]);
      g_string_append_c (match, ')');
      for (guint j = 0; j < ids->len; j++)
        g_string_append_printf (of, ",%" G_GINT64_FORMAT, g_array_index (ids, gint64, j));
      g_string_append_c (of, ']');
      IngFound found = { .passages = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_passage_free) };
      sqlite3_stmt *s = ing_database_query (
          db, error,
          "SELECT c.id FROM words JOIN chunks c ON c.id = words.rowid WHERE words MATCH ?1"
          " AND c.document_id IN (SELECT value FROM json_each(?2)) ORDER BY bm25(words, 0.0, 1.0) LIMIT ?3",
          "tti", match->str, of->str, (gint64) N_PASSAGES);
      g_autoptr (GArray) chunks = g_array_new (FALSE, FALSE, sizeof (gint64));
      while (s != NULL && ing_database_step (db, s, error) == 1)
        {
          gint64 chunk = sqlite3_column_int64 (s, 0);
          g_array_append_val (chunks, chunk);
        }
      for (guint j = 0; j < chunks->len; j++)
        g_ptr_array_add (found.passages,
                         ing_document_table_dup_passage (db, g_array_index (chunks, gint64, j), error));
      report (tool->reported->pdata[i], "plain", &found, 0);
      g_ptr_array_unref (found.passages);
      static const char *const arms[] = { "plain", "words", "meaning", "joined", "fused" };
      for (guint j = 0; j < G_N_ELEMENTS (arms); j++)
        if (!add_chunks (db, json_object_get_object_member (tool->reported->pdata[i], arms[j]), error))
          return NULL;
    }
  return tool;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *documents = NULL, *questions = NULL;
  if (argc != 4 || !g_file_get_contents (argv[2], &documents, NULL, &error)
      || !g_file_get_contents (argv[3], &questions, NULL, &error))
    {
      g_printerr ("retrieval-tool FOLDER DOCUMENTS QUESTIONS: %s\n", error != NULL ? error->message : "three arguments");
      return 2;
    }
  Tool tool = { .groups = g_ptr_array_new_with_free_func (g_free),
                .documents = g_array_new (FALSE, FALSE, sizeof (gint64)),
                .reported = g_ptr_array_new_with_free_func ((GDestroyNotify) json_object_unref),
                .questions = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev) };
  tool.workspace = app_test_open (argv[1], APP_TEST_REAL_CHILD);
  tool.library = ing_workspace_get_documents (tool.workspace);
  gboolean ok = add_documents (&tool, documents) && ask_all (&tool, questions, &error);
  app_test_close (tool.workspace);
  g_autoptr (IngDatabase) db = ing_database_new (&ing_document_schema);
  ok = ok && ing_database_open_sync (db, argv[1], &error) && ing_database_run_sync (db, plain, &tool, &error) != NULL;
  ing_database_close_sync (db);
  for (guint i = 0; ok && i < tool.reported->len; i++)
    {
      g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), tool.reported->pdata[i]);
      g_autofree char *line = json_to_string (node, FALSE);
      puts (line); /* UTF-8 in each locale, which g_print() is not */
    }
  if (!ok)
    g_printerr ("%s\n", error != NULL ? error->message : "the list of documents cannot be read");
  g_ptr_array_unref (tool.groups);
  g_array_unref (tool.documents);
  g_ptr_array_unref (tool.reported);
  g_ptr_array_unref (tool.questions);
  return ok ? 0 : 1;
}
