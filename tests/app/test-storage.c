/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "app-test.h"
#include "ing-conversation-table.h"
#include "ing-database-backup.h"
#include "ing-job-table.h"
#include "ing-message-table.h"
#include "ing-schema.h"
#include "ing-search-table.h"

/* A small schema with a history. */
static gboolean
fill (IngDatabase *db, GError **error)
{
  return ing_database_exec (db, error, "INSERT INTO notes(text, stars) VALUES('made by 2', 2)", "");
}

static gboolean
refuse (IngDatabase *db, GError **error)
{
  g_set_error_literal (error, ING_ERROR, ING_ERROR_DATABASE, "no");
  return FALSE;
}

static const IngMigration steps[] = {
  { 1, "CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT NOT NULL)", NULL },
  { 2, "ALTER TABLE notes ADD COLUMN stars INTEGER NOT NULL DEFAULT 0", fill },
  { 3, "DELETE FROM notes", refuse },
};
static const IngSchema version_1 = { "notes", 0x12345678, steps, 1, NULL };
static const IngSchema version_2 = { "notes", 0x12345678, steps, 2, NULL };
static const IngSchema version_3 = { "notes", 0x12345678, steps, 3, NULL };
static const IngSchema other_id = { "notes", 0x87654321, steps, 2, NULL };

typedef struct
{
  const char *sql;
  gint64 number;
} Sql;

static gpointer
exec_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_database_script (db, data, error) ? db : NULL;
}

static gpointer
number_func (IngDatabase *db, gpointer data, GError **error)
{
  Sql *sql = data;
  sql->number = ing_database_get_number (db, sql->sql, -1);
  return db;
}

static void
run_sql (IngDatabase *db, const char *sql)
{
  g_autoptr (GError) error = NULL;
  ing_database_run_sync (db, exec_func, (gpointer) sql, &error);
  g_assert_no_error (error);
}

static gint64
get_number (IngDatabase *db, const char *sql)
{
  Sql s = { sql, 0 };
  ing_database_run_sync (db, number_func, &s, NULL);
  return s.number;
}

static IngDatabase *
open_ok (const IngSchema *schema, const char *folder)
{
  g_autoptr (GError) error = NULL;
  IngDatabase *db = ing_database_new (schema);
  ing_database_open_sync (db, folder, &error);
  g_assert_no_error (error);
  g_assert_true (ing_database_is_open (db));
  return db;
}

static void
open_fails (const IngSchema *schema, const char *folder, int code)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (IngDatabase) db = ing_database_new (schema);
  g_assert_false (ing_database_open_sync (db, folder, &error));
  g_assert_error (error, ING_ERROR, code);
  g_assert_false (ing_database_is_open (db));
}

static char *
read_file (const char *path, gsize *length)
{
  char *bytes = NULL;
  g_assert_true (g_file_get_contents (path, &bytes, length, NULL));
  return bytes;
}

static void
test_pragmas (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autoptr (IngDatabase) db = open_ok (&ing_schema, folder);
  g_assert_cmpint (get_number (db, "PRAGMA synchronous"), ==, 2); /* FULL */
  g_assert_cmpint (get_number (db, "PRAGMA foreign_keys"), ==, 1);
  g_assert_cmpint (get_number (db, "PRAGMA secure_delete"), ==, 1);
  g_assert_cmpint (get_number (db, "PRAGMA trusted_schema"), ==, 0);
  g_assert_cmpint (get_number (db, "PRAGMA journal_mode='wal'") * 0, ==, 0);
  g_autofree char *wal = g_build_filename (folder, "inglenook.sqlite-wal", NULL);
  g_autofree char *shm = g_build_filename (folder, "inglenook.sqlite-shm", NULL);
  g_assert_true (g_file_test (wal, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (shm, G_FILE_TEST_EXISTS)); /* no second connection can come */
  /* Defensive: the schema table cannot be written. */
  g_autoptr (GError) error = NULL;
  ing_database_run_sync (db, exec_func,
                         "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET name = 'x'", &error);
  g_assert_nonnull (error);
  ing_database_close_sync (db);
  g_assert_false (g_file_test (wal, G_FILE_TEST_EXISTS)); /* checkpointed */
}

static void
test_migrations (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "notes.sqlite", NULL);
  {
    g_autoptr (IngDatabase) db = open_ok (&version_1, folder);
    run_sql (db, "INSERT INTO notes(text) VALUES('made by 1')");
  }
  g_autofree char *backup = g_build_filename (folder, "backups", "notes-v1.sqlite", NULL);
  g_assert_false (g_file_test (backup, G_FILE_TEST_EXISTS));
  {
    g_autoptr (IngDatabase) db = open_ok (&version_2, folder);
    g_assert_cmpint (get_number (db, "SELECT count(*) FROM notes"), ==, 2);
    g_assert_cmpint (get_number (db, "PRAGMA user_version"), ==, 2);
  }
  /* The copy from before is there, of version 1, and good. */
  g_assert_true (g_file_test (backup, G_FILE_TEST_EXISTS));
  g_autofree char *name = g_build_filename (folder, "old", NULL);
  g_assert_cmpint (g_mkdir (name, 0700), ==, 0);
  g_autofree char *copy = g_build_filename (name, "notes.sqlite", NULL);
  g_assert_cmpint (g_rename (backup, copy), ==, 0);
  {
    g_autoptr (IngDatabase) db = open_ok (&version_1, name);
    g_assert_cmpint (get_number (db, "SELECT count(*) FROM notes"), ==, 1);
  }
  /* A step that fails changes nothing. */
  gsize n_before, n_after;
  g_autofree char *before = read_file (path, &n_before);
  open_fails (&version_3, folder, ING_ERROR_DATABASE);
  g_autofree char *after = read_file (path, &n_after);
  g_assert_cmpmem (before, n_before, after, n_after);
  g_autoptr (IngDatabase) db = open_ok (&version_2, folder);
  g_assert_cmpint (get_number (db, "SELECT count(*) FROM notes"), ==, 2);
}

static void
test_newer (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "notes.sqlite", NULL);
  g_object_unref (open_ok (&version_2, folder));
  gsize n_before, n_after;
  g_autofree char *before = read_file (path, &n_before);
  open_fails (&version_1, folder, ING_ERROR_DATABASE_NEWER);
  open_fails (&other_id, folder, ING_ERROR_DATABASE_DAMAGED);
  g_autofree char *after = read_file (path, &n_after);
  g_assert_cmpmem (before, n_before, after, n_after);
}

/* Everything that can be wrong with the file is told, and the file stays as it is. */
static void
test_damaged (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "notes.sqlite", NULL);
  {
    g_autoptr (IngDatabase) db = open_ok (&version_2, folder);
    run_sql (db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
                 " INSERT INTO notes(text, stars) SELECT 'some text of a note ' || i, i FROM n");
  }
  gsize length;
  g_autofree char *good = read_file (path, &length);
  struct
  {
    gsize at, n;
    int value;
    gsize keep;
  } damages[] = {
    { 0, 100, 0, length },             /* header zeroed */
    { 0, 1, 'X', length },             /* magic */
    { 4096 * 3, 4096, 0, length },     /* a page zeroed */
    { 4096 * 2, 64, 0xff, length },    /* a page's head */
    { 0, 0, 0, 50 },                   /* cut in the header */
    { 0, 0, 0, length - 4096 * 5 },    /* cut */
  };
  for (guint i = 0; i < G_N_ELEMENTS (damages); i++)
    {
      g_autofree char *bad = g_memdup2 (good, length);
      memset (bad + damages[i].at, damages[i].value, damages[i].n);
      g_assert_true (g_file_set_contents (path, bad, (gssize) damages[i].keep, NULL));
      open_fails (&version_2, folder, ING_ERROR_DATABASE_DAMAGED);
      gsize n;
      g_autofree char *left = read_file (path, &n);
      g_assert_cmpmem (left, n, bad, damages[i].keep);
    }
  /* Bits flipped anywhere: opens or says so; never crashes. */
  guint32 seed = g_test_rand_int ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  g_test_message ("seed %u", seed);
  for (int i = 0; i < 100; i++)
    {
      g_autofree char *bad = g_memdup2 (good, length);
      for (int flips = 0; flips < 20; flips++)
        bad[g_rand_int_range (rand, 0, (gint32) length)] ^= (char) (1 << g_rand_int_range (rand, 0, 8));
      g_assert_true (g_file_set_contents (path, bad, (gssize) length, NULL));
      g_autoptr (GError) error = NULL;
      g_autoptr (IngDatabase) db = ing_database_new (&version_2);
      if (!ing_database_open_sync (db, folder, &error))
        g_assert_true (g_error_matches (error, ING_ERROR, ING_ERROR_DATABASE_DAMAGED)
                       || g_error_matches (error, ING_ERROR, ING_ERROR_DATABASE_NEWER)
                       || g_error_matches (error, ING_ERROR, ING_ERROR_DATABASE));
    }
}

static void
wait_backup (IngDatabase *db, gboolean force)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  ing_database_backup_async (db, force, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  ing_database_backup_finish (db, result, &error);
  g_assert_no_error (error);
}

static void
test_backups (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "notes.sqlite", NULL);
  gint64 time_us = 0;
  g_autoptr (IngDatabase) db = open_ok (&version_1, folder);
  run_sql (db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)"
               " INSERT INTO notes(text) SELECT 'some text of a note ' || i FROM n");
  g_assert_null (ing_database_find_backup (&version_1, folder, &time_us));
  g_assert_cmpint (time_us, ==, 0);
  wait_backup (db, FALSE); /* due: there was none */
  for (int i = 2; i <= 5; i++)
    {
      run_sql (db, "DELETE FROM notes WHERE id % 10 = 0; UPDATE notes SET text = 'changed ' || id");
      wait_backup (db, TRUE);
      wait_backup (db, FALSE); /* not due */
    }
  gint64 n = get_number (db, "SELECT count(*) FROM notes");
  g_clear_object (&db);
  for (int i = 1; i <= ING_BACKUP_GENERATIONS + 1; i++)
    {
      g_autofree char *name = g_strdup_printf ("backups/notes-%d.sqlite", i);
      g_autofree char *file = g_build_filename (folder, name, NULL);
      g_assert_true (g_file_test (file, G_FILE_TEST_EXISTS) == (i <= ING_BACKUP_GENERATIONS));
    }
  /* The newest good one, past a damaged one, and nothing deleted on the way. */
  g_autofree char *newest = g_build_filename (folder, "backups", "notes-1.sqlite", NULL);
  g_assert_true (g_file_set_contents (newest, "gone", -1, NULL));
  g_assert_true (g_file_set_contents (path, "also gone", -1, NULL));
  g_autofree char *found = ing_database_find_backup (&version_1, folder, &time_us);
  g_assert_true (g_str_has_suffix (found, "notes-2.sqlite"));
  g_assert_cmpint (ABS (g_get_real_time () - time_us), <, 60 * G_USEC_PER_SEC);
  g_assert_true (ing_database_replace (&version_1, folder, found, NULL));
  db = open_ok (&version_1, folder);
  g_assert_cmpint (get_number (db, "SELECT count(*) FROM notes"), >=, n);
  g_autofree char *damaged = g_build_filename (folder, "damaged", NULL);
  g_autoptr (GDir) dir = g_dir_open (damaged, 0, NULL);
  g_autofree char *kept = g_build_filename (damaged, g_dir_read_name (dir), "notes.sqlite", NULL);
  g_autofree char *text = read_file (kept, NULL);
  g_assert_cmpstr (text, ==, "also gone");
}

static gpointer
slow_func (IngDatabase *db, gpointer data, GError **error)
{
  g_usleep (20000);
  g_string_append_c (data, 's');
  return db;
}

static gpointer
letter_func (IngDatabase *db, gpointer data, GError **error)
{
  g_string_append_c (data, 'l');
  return db;
}

static void
test_order (void)
{
  g_autoptr (GString) log = g_string_new (NULL);
  g_autoptr (IngDatabase) db = open_ok (&version_1, NULL);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GCancellable) cancelled = g_cancellable_new ();
  ing_database_run_async (db, slow_func, log, NULL, NULL, NULL, NULL, NULL);
  ing_database_run_async (db, letter_func, log, NULL, NULL, cancelled, app_test_keep_result, &result);
  g_cancellable_cancel (cancelled);
  ing_database_run_async (db, letter_func, log, NULL, NULL, NULL, NULL, NULL);
  ing_database_run_sync (db, slow_func, log, NULL);
  g_assert_cmpstr (log->str, ==, "sls");
  app_test_wait (result != NULL);
  g_autoptr (GError) error = NULL;
  ing_database_run_finish (db, result, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* ------------------------------------------------------------------ tables */

static IngConversationRow *
make_conversation (gint64 id, const char *title)
{
  IngConversationRow *row = ing_conversation_row_new ();
  row->id = id;
  row->title = g_strdup (title);
  row->title_source = *title != '\0' ? ING_TITLE_PERSON : ING_TITLE_NONE;
  row->created_us = row->updated_us = 1000 + id;
  row->system_prompt = g_strdup ("be brief");
  row->sampling = g_strdup ("{}");
  row->draft = g_strdup ("");
  return row;
}

static IngMessageRow *
make_message (gint64 id, gint64 conversation, gint64 parent, IngRole role, IngMessageState state,
              const char *text)
{
  IngMessageRow *row = ing_message_row_new ();
  row->id = id;
  row->conversation_id = conversation;
  row->parent_id = parent;
  row->role = role;
  row->state = state;
  g_ptr_array_add (row->parts, ing_part_row_new (ING_PART_TEXT, text, NULL));
  return row;
}

static gpointer
write_rows_func (IngDatabase *db, gpointer data, GError **error)
{
  static const char *const titles[] = { "Heat pump contract", "杭州的茶", "" };
  for (gint64 c = 1; c <= 3; c++)
    {
      g_autoptr (IngConversationRow) row = make_conversation (c, titles[c - 1]);
      g_autoptr (IngMessageRow) q
          = make_message (c * 10, c, 0, ING_ROLE_USER, ING_MESSAGE_COMPLETE,
                          c == 2 ? "龙井茶的取暖费是多少" : "How warm is the Ölofen?\nSecond line");
      g_autoptr (IngMessageRow) a
          = make_message (c * 10 + 1, c, c * 10, ING_ROLE_ASSISTANT, ING_MESSAGE_STREAMING, "Warm");
      g_ptr_array_add (a->parts, ing_part_row_new (ING_PART_TEXT, " and cosy", NULL));
      if (!ing_conversation_table_write (db, row, error)
          || !ing_message_table_write (db, q, 0, error)
          || !ing_message_table_index (db, q->id, error)
          || !ing_message_table_write (db, a, 0, error))
        return NULL;
      /* Written again: one part less, and only from the second on. */
      g_ptr_array_set_size (a->parts, 1);
      if (c == 3 && !ing_message_table_write (db, a, 1, error))
        return NULL;
    }
  return db;
}

typedef struct
{
  const char *query;
  GPtrArray *rows;
} Query;

static gpointer
query_func (IngDatabase *db, gpointer data, GError **error)
{
  Query *q = data;
  q->rows = ing_search_table_find (db, q->query, 200, error);
  return q->rows;
}

static guint
search (IngDatabase *db, const char *query)
{
  g_autoptr (GError) error = NULL;
  Query q = { query, NULL };
  ing_database_run_sync (db, query_func, &q, &error);
  g_assert_no_error (error);
  guint n = q.rows->len;
  for (guint i = 0; i < n; i++)
    {
      IngSearchRow *row = g_ptr_array_index (q.rows, i);
      g_assert_true (g_utf8_validate (row->snippet, -1, NULL));
      g_assert_cmpuint (row->match_end, <=, strlen (row->snippet));
    }
  g_ptr_array_unref (q.rows);
  return n;
}

static gpointer
read_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_message_table_read (db, *(gint64 *) data, error);
}

static gpointer
erase_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_conversation_table_mark_deleted (db, 1, 5, error)
                 && ing_conversation_table_erase (db, 1, error)
             ? db
             : NULL;
}

static gboolean
folder_holds (const char *folder, const char *marker)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      gsize n = 0;
      g_autofree char *bytes = NULL;
      if (g_file_get_contents (path, &bytes, &n, NULL)
          && memmem (bytes, n, marker, strlen (marker)) != NULL)
        return TRUE;
    }
  return FALSE;
}

static void
test_tables (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autoptr (GError) error = NULL;
  {
    g_autoptr (IngDatabase) db = open_ok (&ing_schema, folder);
    ing_database_run_sync (db, write_rows_func, NULL, &error);
    g_assert_no_error (error);
    gint64 id = 1;
    g_autoptr (GPtrArray) rows = ing_database_run_sync (db, read_func, &id, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (rows->len, ==, 2);
    IngMessageRow *answer = g_ptr_array_index (rows, 1);
    g_assert_cmpint (answer->state, ==, ING_MESSAGE_STREAMING);
    g_assert_cmpint (answer->parent_id, ==, 10);
    g_assert_cmpuint (answer->parts->len, ==, 2);
    g_assert_cmpuint (search (db, "cosy"), ==, 0); /* not ended, so not found yet */
  }
  /* Opened again, as after a crash. */
  g_autoptr (IngDatabase) db = open_ok (&ing_schema, folder);
  gint64 id = 3;
  g_autoptr (GPtrArray) rows = ing_database_run_sync (db, read_func, &id, &error);
  IngMessageRow *answer = g_ptr_array_index (rows, 1);
  g_assert_cmpint (answer->state, ==, ING_MESSAGE_INTERRUPTED);
  g_assert_cmpuint (answer->parts->len, ==, 1);
  g_assert_cmpstr (((IngPartRow *) g_ptr_array_index (answer->parts, 0))->text, ==, "Warm");
  g_assert_cmpint (get_number (db, "SELECT count(*) FROM conversations WHERE title ="
                                   " 'How warm is the Ölofen?…'"),
                   ==, 1); /* untitled ones get one */

  g_assert_cmpuint (search (db, "cosy"), ==, 2);
  g_assert_cmpuint (search (db, "olofen"), ==, 3); /* two questions and a title */
  g_assert_cmpuint (search (db, "heat p"), ==, 1);
  g_assert_cmpuint (search (db, "取暖"), ==, 1);
  g_assert_cmpuint (search (db, "暖费是"), ==, 1);
  g_assert_cmpuint (search (db, "茶"), ==, 2);
  g_assert_cmpuint (search (db, "暖茶"), ==, 0);
  static const char *const nasty[] = { "\"", "*", "NEAR(", "a AND", "col:", "^", "--", "');DROP TABLE x",
                                       "body:x", "{", "\\", "☃", "a\"b\"c", "- -", "x*y", "🎉🎉" };
  for (guint i = 0; i < G_N_ELEMENTS (nasty); i++)
    search (db, nasty[i]);
  g_autofree char *huge = g_strnfill (1000000, 'q');
  g_assert_cmpuint (search (db, huge), ==, 0);
  for (int i = 0; i < 300; i++)
    {
      char random[24];
      for (gsize k = 0; k + 1 < sizeof random; k++)
        random[k] = (char) g_test_rand_int_range (1, 127);
      random[sizeof random - 1] = '\0';
      search (db, random);
    }

  /* A damaged index is made anew. */
  run_sql (db, "PRAGMA writable_schema=OFF");
  ing_database_run_sync (db, erase_func, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_number (db, "SELECT count(*) FROM messages WHERE conversation_id = 1"), ==, 0);
  g_assert_cmpint (get_number (db, "SELECT count(*) FROM parts WHERE message_id IN (10, 11)"), ==, 0);
  g_assert_cmpuint (search (db, "heat"), ==, 0);
  g_assert_cmpuint (search (db, "olofen"), ==, 2);
  ing_database_close_sync (db);
  g_assert_false (folder_holds (folder, "Heat pump"));
  g_assert_false (folder_holds (folder, "contract"));
}

/* ------------------------------------------------------------------ full and read-only */

static void
test_full (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autoptr (GError) error = NULL;
  g_autoptr (IngDatabase) db = open_ok (&version_1, folder);
  /* SQLite's own limit makes the same error as a full disk, and needs no mount. */
  run_sql (db, "PRAGMA max_page_count = 10");
  ing_database_run_sync (db, exec_func, "INSERT INTO notes(text) VALUES(zeroblob(500000))", &error);
  g_assert_error (error, ING_ERROR, ING_ERROR_DISK_FULL);
  g_assert_cmpuint (ing_error_get_available (error), >, 0);
  run_sql (db, "PRAGMA max_page_count = 1000000");
  run_sql (db, "INSERT INTO notes(text) VALUES(zeroblob(500000))");
  g_assert_cmpint (get_number (db, "SELECT count(*) FROM notes"), ==, 1);
}

static void
test_full_mount (void)
{
  g_autofree char *folder = app_test_make_folder ();
  if (getuid () != 0 || mount ("tmpfs", folder, "tmpfs", 0, "size=1m") != 0)
    {
      g_test_skip ("cannot mount");
      return;
    }
  g_autoptr (GError) error = NULL;
  g_autofree char *ballast = g_build_filename (folder, "ballast", NULL);
  g_autoptr (IngDatabase) db = open_ok (&version_1, folder);
  run_sql (db, "INSERT INTO notes(text) VALUES('before')");
  int fd = g_open (ballast, O_WRONLY | O_CREAT, 0600);
  char block[4096] = "";
  while (write (fd, block, sizeof block) > 0)
    ;
  close (fd);
  ing_database_run_sync (db, exec_func, "INSERT INTO notes(text) VALUES(zeroblob(500000))", &error);
  g_assert_error (error, ING_ERROR, ING_ERROR_DISK_FULL);
  g_clear_error (&error);
  g_unlink (ballast);
  run_sql (db, "INSERT INTO notes(text) VALUES('after')");
  g_assert_cmpint (get_number (db, "SELECT count(*) FROM notes"), ==, 2);
  g_clear_object (&db);
  /* A read-only file system: refused with a reason, but a copy can be looked at. */
  g_assert_cmpint (mount (NULL, folder, NULL, MS_REMOUNT | MS_RDONLY, "size=1m"), ==, 0);
  open_fails (&version_1, folder, ING_ERROR_READ_ONLY);
  db = ing_database_new (&version_1);
  g_assert_true (ing_database_open_copy_sync (db, folder, &error));
  g_assert_no_error (error);
  g_assert_cmpint (get_number (db, "SELECT count(*) FROM notes"), ==, 2);
  run_sql (db, "INSERT INTO notes(text) VALUES('only in memory')");
  g_clear_object (&db);
  g_assert_cmpint (umount (folder), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/storage/pragmas", test_pragmas);
  g_test_add_func ("/app/storage/order", test_order);
  g_test_add_func ("/app/storage/migrations", test_migrations);
  g_test_add_func ("/app/storage/newer", test_newer);
  g_test_add_func ("/app/storage/damaged", test_damaged);
  g_test_add_func ("/app/storage/backups", test_backups);
  g_test_add_func ("/app/storage/tables", test_tables);
  g_test_add_func ("/app/storage/full", test_full);
  g_test_add_func ("/app/storage/full/mount", test_full_mount);
  return g_test_run ();
}
