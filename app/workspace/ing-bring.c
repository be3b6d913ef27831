/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-bring.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ing-conversation-list-private.h"
#include "ing-data-lock.h"
#include "ing-database-private.h"
#include "ing-download-run.h"
#include "ing-error-private.h"
#include "ing-hasher.h"
#include "ing-hub.h"
#include "ing-model-file-table.h"
#include "ing-bring-merge.h"
#include "ing-schema.h"
#include "ing-workspace-private.h"

#define DATABASE "inglenook.sqlite"
#define COPY_BYTES (1u << 20)
#define MAX_MODELS 10000
#define MAX_SETTINGS_BYTES (1 << 20)
#define CONVERSATIONS_SHARE 0.2 /* of the bar */

/* A file as it was when it was compared. */
typedef struct
{
  char *path;
  struct stat st;
} Seen;

struct _IngBring
{
  GObject parent_instance;
  IngWorkspace *workspace;
  char *folder;      /* of the other's data; worker thread, then main */
  char *config;      /* of the other's settings; NULL = out of sight */
  char *scratch;     /* with the copy of its database */
  IngDatabase *copy; /* open on it */
  IngDataLock *lock; /* of the other's folder, where that can be had */
  GArray *seen;      /* Seen: what may be removed */
  IngBrought moved;
  IngMerge merge;
  int permille;      /* atomic */
};

G_DEFINE_FINAL_TYPE (IngBring, ing_bring, G_TYPE_OBJECT)

static void
seen_clear (gpointer data)
{
  g_free (((Seen *) data)->path);
}

static void
remove_scratch (IngBring *self)
{
  static const char *const names[] = { DATABASE, DATABASE "-wal", DATABASE "-shm", DATABASE "-journal" };
  if (self->copy != NULL)
    ing_database_close_sync (self->copy);
  g_clear_object (&self->copy);
  for (guint i = 0; self->scratch != NULL && i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_build_filename (self->scratch, names[i], NULL);
      g_unlink (path);
    }
  if (self->scratch != NULL)
    {
      g_autofree char *backups = g_build_filename (self->scratch, "backups", NULL);
      g_autoptr (GDir) dir = g_dir_open (backups, 0, NULL); /* of a migration */
      const char *name;
      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *path = g_build_filename (backups, name, NULL);
          g_unlink (path);
        }
      g_rmdir (backups);
      g_rmdir (self->scratch);
    }
  g_clear_pointer (&self->scratch, g_free);
}

static void
ing_bring_finalize (GObject *object)
{
  IngBring *self = ING_BRING (object);
  remove_scratch (self);
  g_clear_pointer (&self->lock, ing_data_lock_free);
  g_clear_pointer (&self->merge.rows, g_ptr_array_unref);
  g_array_unref (self->seen);
  g_free ((char *) self->merge.from_models);
  g_free (self->folder);
  g_free (self->config);
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_bring_parent_class)->finalize (object);
}

static void
ing_bring_class_init (IngBringClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_bring_finalize;
}

static void
ing_bring_init (IngBring *self)
{
  self->seen = g_array_new (FALSE, FALSE, sizeof (Seen));
  g_array_set_clear_func (self->seen, seen_clear);
}

IngBring *
ing_bring_new (IngWorkspace *workspace)
{
  IngBring *self = g_object_new (ING_TYPE_BRING, NULL);
  self->workspace = g_object_ref (workspace);
  return self;
}

gboolean
ing_bring_is_sandboxed (void)
{
  return g_file_test ("/.flatpak-info", G_FILE_TEST_EXISTS);
}

char *
ing_bring_dup_usual_folder (void)
{
  return ing_bring_is_sandboxed () ? g_build_filename (g_get_home_dir (), ".local", "share", "inglenook", NULL)
                                  : g_build_filename (g_get_home_dir (), ".var", "app", ING_APP_ID, NULL);
}

double
ing_bring_get_fraction (IngBring *self)
{
  return g_atomic_int_get (&self->permille) / 1000.0;
}

static void
tell (IngBring *self, double fraction)
{
  g_atomic_int_set (&self->permille, (int) (CLAMP (fraction, 0, 1) * 1000));
}

/* ------------------------------------------------------------------ the other's folder */

static gboolean
is_regular (const char *path, struct stat *st)
{
  return lstat (path, st) == 0 && S_ISREG (st->st_mode);
}

static gboolean
find_folders (IngBring *self, const char *chosen, GError **error)
{
  const char *const below[][2] = { { "", NULL }, { "inglenook", NULL }, { "data/inglenook", "config/inglenook" } };
  struct stat st, own;
  for (guint i = 0; i < G_N_ELEMENTS (below); i++)
    {
      g_autofree char *folder = g_build_filename (chosen, below[i][0], NULL);
      g_autofree char *database = g_build_filename (folder, DATABASE, NULL);
      if (!is_regular (database, &st))
        continue;
      if (stat (folder, &st) == 0 && stat (ing_workspace_get_data_folder (self->workspace), &own) == 0
          && st.st_dev == own.st_dev && st.st_ino == own.st_ino)
        {
          g_propagate_error (error, ing_error_new (ING_ERROR_ARGUMENT, folder, 0, 0, "this program's own folder"));
          return FALSE;
        }
      self->folder = g_steal_pointer (&folder);
      self->config = below[i][1] != NULL ? g_build_filename (chosen, below[i][1], NULL) : NULL;
      return TRUE;
    }
  g_propagate_error (error, ing_error_new (ING_ERROR_NOT_FOUND, chosen, 0, 0, "no %s there", DATABASE));
  return FALSE;
}

static gboolean
is_as_seen (const Seen *seen)
{
  struct stat st;
  return is_regular (seen->path, &st) && st.st_size == seen->st.st_size && st.st_mtim.tv_sec == seen->st.st_mtim.tv_sec
         && st.st_mtim.tv_nsec == seen->st.st_mtim.tv_nsec;
}

/* FALSE: no such file. */
static gboolean
note_seen (IngBring *self, const char *path)
{
  Seen seen;
  if (!is_regular (path, &seen.st))
    return FALSE;
  seen.path = g_strdup (path);
  g_array_append_val (self->seen, seen);
  return TRUE;
}

/* The bytes of @from into the new file @to; @hasher (may be NULL) is fed with them. */
static gboolean
copy_file (IngBring *self, const char *from, const char *to, IngHasher *hasher, guint64 *n_done, guint64 n_all,
           GCancellable *cancellable, GError **error)
{
  g_autofree guint8 *buffer = g_malloc (COPY_BYTES);
  int in = open (from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  int out = in >= 0 ? open (to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
  const char *where = in < 0 ? from : to;
  gboolean ok = out >= 0;
  gssize n = 0;
  while (ok && (n = read (in, buffer, COPY_BYTES)) != 0)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        break;
      if (n < 0)
        where = from;
      ok = n > 0 || errno == EINTR;
      for (gssize done = 0; ok && n > 0 && done < n;)
        {
          gssize wrote = write (out, buffer + done, (gsize) (n - done));
          ok = wrote >= 0 || errno == EINTR;
          done += MAX (wrote, 0);
        }
      if (!ok || n < 0)
        continue;
      if (hasher != NULL)
        ing_hasher_update (hasher, buffer, (gsize) n);
      *n_done += (guint64) n;
      if (n_all > 0)
        tell (self, CONVERSATIONS_SHARE + (1 - CONVERSATIONS_SHARE) * (double) *n_done / (double) n_all);
    }
  ok = ok && !g_cancellable_is_cancelled (cancellable) && fsync (out) == 0;
  if (!ok && error != NULL && *error == NULL && !g_cancellable_set_error_if_cancelled (cancellable, error))
    *error = ing_error_from_system (errno, where, "copy");
  if (in >= 0)
    close (in);
  if (out >= 0)
    close (out);
  if (!ok && out >= 0)
    g_unlink (to);
  return ok;
}

/* The database with what its journal holds, as one state: nobody wrote meanwhile. */
static gboolean
copy_database (IngBring *self, GError **error)
{
  static const char *const suffixes[] = { "", "-wal" };
  guint first = self->seen->len;
  guint64 n_done = 0;
  self->scratch = g_build_filename (ing_workspace_get_data_folder (self->workspace), "move-XXXXXX", NULL);
  if (g_mkdtemp_full (self->scratch, 0700) == NULL)
    {
      g_propagate_error (error, ing_error_from_system (errno, self->scratch, "make folder"));
      g_clear_pointer (&self->scratch, g_free);
      return FALSE;
    }
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *from = g_strconcat (self->folder, G_DIR_SEPARATOR_S DATABASE, suffixes[i], NULL);
      g_autofree char *to = g_strconcat (self->scratch, G_DIR_SEPARATOR_S DATABASE, suffixes[i], NULL);
      if (note_seen (self, from) && !copy_file (self, from, to, NULL, &n_done, 0, NULL, error))
        return FALSE;
    }
  for (guint i = first; i < self->seen->len; i++)
    if (!is_as_seen (&g_array_index (self->seen, Seen, i)))
      {
        g_propagate_error (error, ing_error_new (ING_ERROR_BUSY, self->folder, 0, 0, "it changed while it was read"));
        return FALSE;
      }
  guint32 id = 0;
  gint32 version = 0;
  g_autofree char *copy = g_build_filename (self->scratch, DATABASE, NULL);
  if (!ing_database_peek (copy, &id, &version, error))
    return FALSE;
  if (version <= 0 || id != ing_schema.application_id)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_DATABASE_DAMAGED, self->folder, 0, 0, "not a database of this program"));
      return FALSE;
    }
  self->copy = ing_database_new (&ing_schema);
  return ing_database_open_sync (self->copy, self->scratch, error);
}

/* ------------------------------------------------------------------ looking, on a worker thread */

typedef struct
{
  char *chosen;
  guint n_conversations, n_messages;
} Look;

static void
look_free (gpointer data)
{
  g_free (((Look *) data)->chosen);
  g_free (data);
}

static void
look_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  IngBring *self = source;
  Look *look = task_data;
  GError *error = NULL;
  gboolean ok = find_folders (self, look->chosen, &error);
  if (ok)
    {
      g_autoptr (GError) local = NULL;
      self->lock = ing_data_lock_take (self->folder, "move", &local);
      /* Where the folder can only be read there is no lock; that nothing changed is looked at besides. */
      ok = self->lock != NULL || !g_error_matches (local, ING_ERROR, ING_ERROR_LOCKED);
      if (!ok)
        error = g_steal_pointer (&local);
    }
  ok = ok && copy_database (self, &error)
       && ing_merge_count (self->copy, &look->n_conversations, &look->n_messages, &error);
  if (ok)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

/* ------------------------------------------------------------------ models */

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static guint64
count_model_bytes (const char *folder, GPtrArray *names)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint64 n = 0;
  struct stat st;
  while (dir != NULL && names->len < MAX_MODELS && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      if (!g_str_has_suffix (name, ".gguf") || !is_regular (path, &st))
        continue;
      g_ptr_array_add (names, g_strdup (name));
      n += (guint64) st.st_size;
    }
  g_ptr_array_sort (names, compare_names);
  return n;
}

static gpointer
note_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_model_file_table_note_download (db, data, error) ? db : NULL;
}

static gboolean
has_magic (const char *path)
{
  char magic[4] = "";
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  gboolean is = fd >= 0 && pread (fd, magic, 4, 0) == 4 && memcmp (magic, "GGUF", 4) == 0;
  if (fd >= 0)
    close (fd);
  return is;
}

/* Is the file at @ours the one at @theirs? */
static gboolean
is_same_file (const char *theirs, const char *ours, GCancellable *cancellable)
{
  struct stat a, b;
  if (stat (ours, &b) != 0 || !is_regular (theirs, &a) || a.st_size != b.st_size)
    return FALSE;
  g_autoptr (GArray) one = NULL, two = NULL;
  guint64 size;
  g_autofree char *x = ing_download_hash_file (theirs, &size, &one, cancellable);
  g_autofree char *y = x != NULL ? ing_download_hash_file (ours, &size, &two, cancellable) : NULL;
  return y != NULL && strcmp (x, y) == 0;
}

static gboolean
bring_model (IngBring *self, const char *theirs, const char *name, guint64 *n_done, guint64 n_all,
             GCancellable *cancellable, GError **error)
{
  g_autofree char *safe = ing_hub_dup_file_name (name);
  g_autofree char *ours = g_build_filename (ing_paths_get_models (), safe, NULL);
  g_autofree char *part = g_strconcat (ours, ".move.part", NULL);
  guint64 size = 0, before = *n_done;
  if (is_same_file (theirs, ours, cancellable))
    {
      struct stat st;
      *n_done += stat (ours, &st) == 0 ? (guint64) st.st_size : 0;
      self->moved.n_known_models++;
      return TRUE;
    }
  g_unlink (part); /* of a try that was killed */
  IngHasher hasher;
  ing_hasher_init (&hasher);
  gboolean ok = copy_file (self, theirs, part, &hasher, n_done, n_all, cancellable, error);
  g_autofree char *sent = ok ? ing_hasher_finish (&hasher) : NULL;
  ing_hasher_clear (&hasher);
  g_autoptr (GArray) blocks = NULL;
  g_autofree char *came = ok ? ing_download_hash_file (part, &size, &blocks, cancellable) : NULL;
  if (ok && g_strcmp0 (sent, came) != 0)
    {
      ok = FALSE;
      if (!g_cancellable_set_error_if_cancelled (cancellable, error))
        g_propagate_error (error, ing_error_new (ING_ERROR_HASH, safe, 0, 0, "the copy differs from the file"));
    }
  g_autofree char *published = ok ? ing_download_publish (part, ing_paths_get_models (), safe, error) : NULL;
  if (published == NULL)
    {
      g_unlink (part);
      return FALSE;
    }
  g_autofree char *result = ing_download_make_result (published, came, size, blocks, NULL);
  ing_database_run_sync (self->merge.to, note_func, result, NULL); /* a file is a model without it too */
  self->moved.n_models++;
  self->moved.bytes += *n_done - before;
  return TRUE;
}

static gboolean
bring_models (IngBring *self, GCancellable *cancellable, GError **error)
{
  g_autofree char *folder = g_build_filename (self->folder, "models", NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  guint64 n_all = count_model_bytes (folder, names), n_done = 0;
  struct stat theirs, ours;
  /* $INGLENOOK_MODELS may be one folder for both. */
  if (names->len == 0 || !ing_paths_ensure_folder (ing_paths_get_models (), error))
    return names->len == 0;
  if (stat (folder, &theirs) == 0 && stat (ing_paths_get_models (), &ours) == 0 && theirs.st_dev == ours.st_dev
      && theirs.st_ino == ours.st_ino)
    return TRUE;
  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *path = g_build_filename (folder, g_ptr_array_index (names, i), NULL);
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      if (!has_magic (path) || !note_seen (self, path))
        continue;
      if (!bring_model (self, path, g_ptr_array_index (names, i), &n_done, n_all, cancellable, error))
        {
          g_array_set_size (self->seen, self->seen->len - 1);
          return FALSE;
        }
    }
  return TRUE;
}

/* ------------------------------------------------------------------ bringing, on a worker thread */

static void
merge_tell (gpointer data, guint done, guint total)
{
  tell (data, CONVERSATIONS_SHARE * done / total);
}

static void
bring_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  IngBring *self = source;
  GError *error = NULL;
  gboolean ok = ing_merge_conversations (&self->merge, cancellable, &error) && bring_models (self, cancellable, &error);
  remove_scratch (self);
  if (ok)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

/* ------------------------------------------------------------------ settings */

static void
bring_settings (IngBring *self)
{
  /* Chosen one by one: nothing that names a path, a server or a program to start. */
  static const char *const keys[] = { ING_SETTING_CONTEXT, ING_SETTING_THREADS, ING_SETTING_DEVICE,
                                      ING_SETTING_SYSTEM_PROMPT, ING_SETTING_SAMPLING, ING_SETTING_CONNECTIONS };
  IngSettings *ours = ing_workspace_get_settings (self->workspace);
  g_autofree char *backup = g_build_filename (self->folder, "backups", "settings.ini", NULL);
  g_autofree char *path = self->config != NULL ? g_build_filename (self->config, "settings.ini", NULL) : NULL;
  struct stat st;
  if (path == NULL || !is_regular (path, &st))
    {
      g_free (path);
      path = g_steal_pointer (&backup);
    }
  g_autoptr (GKeyFile) theirs = g_key_file_new ();
  if (!is_regular (path, &st) || st.st_size > MAX_SETTINGS_BYTES
      || !g_key_file_load_from_file (theirs, path, G_KEY_FILE_NONE, NULL))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      const char *dot = strchr (keys[i], '.');
      g_autofree char *group = g_strndup (keys[i], (gsize) (dot - keys[i]));
      g_autofree char *value = g_key_file_get_string (theirs, group, dot + 1, NULL);
      g_autofree char *own = ing_settings_dup_string (ours, keys[i], NULL);
      if (value == NULL || own != NULL)
        continue;
      ing_settings_set_string (ours, keys[i], value);
      self->moved.n_settings++;
    }
}

void
ing_bring_leave (IngBring *self)
{
  g_array_set_size (self->seen, 0);
  g_clear_pointer (&self->lock, ing_data_lock_free);
}

/* ------------------------------------------------------------------ the run */

static void
brought_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngBring *self = ING_BRING (source);
  g_autoptr (GTask) caller = user_data;
  GError *error = NULL;
  gboolean ok = g_task_propagate_boolean (G_TASK (result), &error);
  self->moved.n_conversations = self->merge.rows->len;
  self->moved.n_known_conversations = self->merge.n_known;
  ing_conversation_list_add_rows (ing_workspace_get_conversations (self->workspace), self->merge.rows);
  ing_library_refresh (ing_workspace_get_library (self->workspace));
  if (!ok)
    {
      ing_bring_leave (self);
      g_task_return_error (caller, error);
      return;
    }
  bring_settings (self);
  tell (self, 1);
  g_task_return_boolean (caller, TRUE);
}

static void
looked_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngBring *self = ING_BRING (source);
  GTask *caller = user_data;
  Look *look = g_task_get_task_data (G_TASK (result));
  GError *error = NULL;
  if (!g_task_propagate_boolean (G_TASK (result), &error))
    {
      ing_bring_leave (self);
      g_task_return_error (caller, error);
      g_object_unref (caller);
      return;
    }
  self->merge = (IngMerge) { .from = self->copy,
                             .to = ing_workspace_get_database (self->workspace),
                             .from_models = g_build_filename (self->folder, "models", NULL),
                             .to_models = ing_paths_get_models (),
                             .tell = merge_tell,
                             .data = self,
                             .rows = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_conversation_row_free) };
  ing_conversation_list_reserve (ing_workspace_get_conversations (self->workspace), look->n_conversations, look->n_messages,
                                 &self->merge.conversation_id, &self->merge.message_id);
  g_autoptr (GTask) task = g_task_new (self, g_task_get_cancellable (caller), brought_cb, caller);
  g_task_set_check_cancellable (task, FALSE);
  g_task_run_in_thread (task, bring_thread);
}

void
ing_bring_run_async (IngBring *self, const char *folder, GCancellable *cancellable, GAsyncReadyCallback callback,
                    gpointer user_data)
{
  GTask *caller = g_task_new (self, cancellable, callback, user_data);
  g_task_set_check_cancellable (caller, FALSE);
  if (self->folder != NULL || ing_workspace_get_storage_state (self->workspace) != ING_STORAGE_OK)
    {
      const GError *problem = ing_workspace_get_storage_problem (self->workspace);
      g_task_return_error (caller, problem != NULL ? g_error_copy (problem)
                                                   : ing_error_new (ING_ERROR_BUSY, NULL, 0, 0, "not now"));
      g_object_unref (caller);
      return;
    }
  Look *look = g_new0 (Look, 1);
  look->chosen = g_strdup (folder);
  g_autoptr (GTask) task = g_task_new (self, NULL, looked_cb, caller);
  g_task_set_task_data (task, look, look_free);
  g_task_run_in_thread (task, look_thread);
}

gboolean
ing_bring_run_finish (IngBring *self, GAsyncResult *result, IngBrought *moved, GError **error)
{
  *moved = self->moved;
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ------------------------------------------------------------------ removing */

static void
remove_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  IngBring *self = source;
  GError *error = NULL;
  gboolean whole = TRUE, database = TRUE;
  /* The database is its file and its journal together: both as they were, or neither goes. */
  for (guint i = 0; i < self->seen->len; i++)
    {
      const Seen *seen = &g_array_index (self->seen, Seen, i);
      if (strstr (seen->path, G_DIR_SEPARATOR_S DATABASE) != NULL && !is_as_seen (seen))
        database = FALSE;
    }
  for (guint i = 0; i < self->seen->len; i++)
    {
      const Seen *seen = &g_array_index (self->seen, Seen, i);
      gboolean of_database = strstr (seen->path, G_DIR_SEPARATOR_S DATABASE) != NULL;
      if ((of_database && !database) || !is_as_seen (seen))
        whole = FALSE;
      else if (g_unlink (seen->path) != 0 && error == NULL)
        error = ing_error_from_system (errno, seen->path, "remove");
    }
  for (int i = 0; database && error == NULL && i <= 3; i++)
    {
      g_autofree char *path = i == 0 ? g_build_filename (self->folder, DATABASE "-shm", NULL)
                                     : g_strdup_printf ("%s/backups/inglenook-%d.sqlite", self->folder, i);
      g_unlink (path);
    }
  if (error != NULL)
    g_task_return_error (task, error);
  else if (!whole)
    g_task_return_error (task, ing_error_new (ING_ERROR_BUSY, self->folder, 0, 0, "it has changed since"));
  else
    g_task_return_boolean (task, TRUE);
}

void
ing_bring_remove_async (IngBring *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  g_task_run_in_thread (task, remove_thread);
}

gboolean
ing_bring_remove_finish (IngBring *self, GAsyncResult *result, GError **error)
{
  ing_bring_leave (self);
  return g_task_propagate_boolean (G_TASK (result), error);
}
