/* SPDX-License-Identifier: Apache-2.0 */
/* From chunks to passages: neighbours join a hit, no text stands in two passages, and a name that stands nowhere makes
 * a question unanswerable. */
#include <string.h>

#include "app-test.h"
#include "ing-chunker.h"
#include "ing-document-search.h"
#include "ing-search-passages.h"

#define N_CHUNKS 12

/* Its twelve chunks overlap by a sentence; two pages of six. One word of each stands nowhere else. */
static const char *const subjects[N_CHUNKS] = { "apples", "bridges", "candles", "drums",  "engines", "ferries",
                                                "gates",  "hammers", "islands", "jewels", "kettles", "lanterns" };

static char *
make_sentence (int i, guint part)
{
  if (i < 0)
    return g_strdup ("");
  g_autoptr (GString) out = g_string_new (NULL);
  for (guint word = 0; word < 14; word++)
    g_string_append_printf (out, "so%u%c ", part, 'a' + (int) (word + i) % 26);
  g_string_append_printf (out, "%s %s. ", part == 0 ? "about" : "of", subjects[i]);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static gpointer
fill (IngDatabase *db, gpointer data, GError **error)
{
  for (gint64 id = 1; id <= 3; id++)
    {
      IngDocumentRow row = { .id = id, .path = (char *) "/made/up", .state = ING_DOCUMENT_READY };
      g_assert_true (ing_document_table_write (db, &row, error));
      for (int i = 0; i < (id == 1 ? N_CHUNKS : 1); i++)
        {
          g_autofree char *last = make_sentence (id == 1 ? i - 1 : -1, 1);
          g_autofree char *first = make_sentence (i, 0);
          g_autofree char *second = make_sentence (i, 1);
          g_autofree char *text = id == 1 ? g_strconcat (last, first, second, NULL)
                                          : g_strdup (id == 2 ? "Of lanterns and WireGuard." : "番茄与 Flatpak 和水。");
          IngChunk chunk = { .text = text, .path = (char *) "", .page = 1 + (guint) i / 6, .overlap = strlen (last) };
          g_assert_true (ing_document_table_add_chunk (db, id, (guint) i, "", &chunk, error));
        }
    }
  return data;
}

static IngFound *
search (IngDatabase *db, GArray *documents, const char *query, guint n)
{
  g_autoptr (GError) error = NULL;
  IngSearchRequest request = { documents, (char *) query, n, 0, ING_SEARCH_WORDS, NULL, 0, NULL };
  IngFound *found = ing_database_run_sync (db, ing_document_search_func, &request, &error);
  g_assert_no_error (error);
  return found;
}

static guint
count (const char *text, const char *part)
{
  guint n = 0;
  for (const char *p = text; (p = strstr (p, part)) != NULL; p++)
    n++;
  return n;
}

static IngDatabase *
open_filled (GArray *documents, guint n)
{
  IngDatabase *db = ing_database_new (&ing_document_schema);
  g_assert_true (ing_database_open_sync (db, NULL, NULL));
  g_assert_nonnull (ing_database_run_sync (db, fill, db, NULL));
  for (gint64 id = 1; id <= n; id++)
    g_array_append_val (documents, id);
  return db;
}

static void
test_neighbours (void)
{
  g_autoptr (GArray) documents = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (IngDatabase) db = open_filled (documents, 1);
  g_autoptr (IngFound) found = search (db, documents, "drums", 5);
  g_assert_cmpuint (found->passages->len, >, 0);
  const IngPassage *first = found->passages->pdata[0];
  g_autofree char *own = make_sentence (3, 0);
  g_assert_nonnull (strstr (first->text, own));
  g_assert_cmpuint (ing_chunk_estimate_tokens (first->text, strlen (first->text)), <=, ING_PASSAGE_TOKENS);
  g_assert_cmpuint (first->page, ==, 1);
  g_assert_cmpuint (count (first->text, "so0"), >, 14); /* more than its hit */
  for (guint i = 0; i < found->passages->len; i++)
    g_assert_null (strstr (((IngPassage *) found->passages->pdata[i])->text, "gates")); /* of the next page */
  /* What two chunks share stands once. */
  for (int i = 0; i < N_CHUNKS; i++)
    for (guint part = 0; part < 2; part++)
      {
        g_autofree char *sentence = make_sentence (i, part);
        g_assert_cmpuint (count (first->text, sentence), <=, 1);
      }
  ing_database_close_sync (db);
}

/* Little room: the hit alone, and no more than what there is room for. */
static void
test_room (void)
{
  static const guint rooms[] = { 1, 300, 450 };
  g_autoptr (GArray) documents = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (IngDatabase) db = open_filled (documents, 1);
  for (guint i = 0; i < G_N_ELEMENTS (rooms); i++)
    {
      g_autoptr (GError) error = NULL;
      IngSearchRequest request = { documents, (char *) "drums", 1, rooms[i], ING_SEARCH_WORDS, NULL, 0, NULL };
      g_autoptr (IngFound) found = ing_database_run_sync (db, ing_document_search_func, &request, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (found->passages->len, ==, 1);
      const char *text = ((IngPassage *) found->passages->pdata[0])->text;
      guint n = ing_chunk_estimate_tokens (text, strlen (text));
      g_assert_nonnull (strstr (text, "drums"));
      g_assert_cmpuint (n, <=, MAX (rooms[i], 200));
      g_assert_cmpint (count (text, "so0") > 14, ==, rooms[i] > 200);
    }
  ing_database_close_sync (db);
}

/* Each hit is a passage's or stands in a better one's. */
static void
test_apart (void)
{
  g_autoptr (GArray) documents = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (IngDatabase) db = open_filled (documents, 1);
  g_autoptr (IngFound) found = search (db, documents, "bridges candles jewels", 5);
  g_assert_cmpuint (found->passages->len, >=, 2);
  guint n[3] = { 0 };
  for (guint i = 0; i < found->passages->len; i++)
    {
      const char *text = ((IngPassage *) found->passages->pdata[i])->text;
      n[0] += count (text, "about bridges");
      n[1] += count (text, "about candles");
      n[2] += count (text, "about jewels");
    }
  for (guint i = 0; i < G_N_ELEMENTS (n); i++)
    g_assert_cmpuint (n[i], ==, 1);
  ing_database_close_sync (db);
}

/* With several documents the last place is another one's. */
static void
test_shared (void)
{
  g_autoptr (GArray) documents = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (IngDatabase) db = open_filled (documents, 3);
  g_autoptr (IngFound) found
      = search (db, documents, "apples candles engines gates islands kettles about lanterns", 4);
  guint other = 0;
  g_assert_cmpuint (found->passages->len, ==, 4);
  for (guint i = 0; i < found->passages->len; i++)
    other += ((IngPassage *) found->passages->pdata[i])->document_id != 1;
  g_assert_cmpuint (other, >=, 1);
  ing_database_close_sync (db);
}

typedef struct
{
  GArray *documents;
  const char *query;
  gboolean unknown;
} Asked;

static gpointer
ask_names (IngDatabase *db, gpointer data, GError **error)
{
  Asked *a = data;
  IngSearchState *state = ing_search_state_get (db, error);
  return state != NULL && ing_search_has_unknown_name (state, a->documents, a->query, &a->unknown, error) ? a : NULL;
}

static void
test_names (void)
{
  static const struct
  {
    const char *query;
    gboolean unknown;
  } cases[] = {
    { "How are lanterns lit with WireGuard?", FALSE },
    { "How are lanterns lit with Ansible?", TRUE },
    { "Ansible: lanterns?", FALSE }, /* begins the sentence: any word does so with a capital */
    { "YubiKey and lanterns", TRUE }, /* but for this one */
    { "How Are Lanterns Lit In Winter", FALSE }, /* a title */
    { "how are lanterns lit in winter", FALSE },
    { "How many lanterns had they in 1973?", FALSE },
    { "番茄怎样用 Flatpak 浇水？", FALSE },
    { "番茄怎样用 ansible 浇水？", TRUE },
    { "番茄要几 kg 水？", FALSE },
    { "Сколько фонарей?", FALSE },
    { "", FALSE },
  };
  g_autoptr (GArray) documents = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (IngDatabase) db = open_filled (documents, 3);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      Asked asked = { documents, cases[i].query, !cases[i].unknown };
      g_test_message ("%s", cases[i].query);
      g_assert_nonnull (ing_database_run_sync (db, ask_names, &asked, NULL));
      g_assert_cmpint (asked.unknown, ==, cases[i].unknown);
    }
  g_autoptr (IngFound) known = search (db, documents, "lanterns WireGuard", 3);
  g_autoptr (IngFound) unknown = search (db, documents, "lanterns about OpenVPN", 3);
  g_assert_true (known->found);
  g_assert_false (unknown->found);
  g_assert_cmpuint (unknown->passages->len, >, 0); /* the nearest ones are there all the same */
  ing_database_close_sync (db);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/passages/neighbours", test_neighbours);
  g_test_add_func ("/passages/room", test_room);
  g_test_add_func ("/passages/apart", test_apart);
  g_test_add_func ("/passages/shared", test_shared);
  g_test_add_func ("/passages/names", test_names);
  return g_test_run ();
}
