/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. A Run is in `runs` from its start to the end of its process and of what follows it.
 *  2. Its task is NULL exactly while the job is paused or over: the process is then stopped or ending.
 *  3. What the process writes begins with `part`, and nothing else does: all of it can be removed. */
#include "ing-transfers.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "ing-download-run.h"
#include "ing-error-engine.h"
#include "ing-hub.h"
#include "ing-library-private.h"

#define NICENESS 10
#define MEASURE_SECONDS "60" /* of reading, by the original */
#define MAX_WORDS 4096 /* of what the engine says last */

struct _IngTransfers
{
  GObject parent_instance;
  IngJobQueue *jobs;
  GHashTable *runs; /* IngJob (borrowed from the Run) → Run */
};

G_DEFINE_FINAL_TYPE (IngTransfers, ing_transfers, G_TYPE_OBJECT)

typedef struct
{
  IngTransfers *self; /* NULL once that is gone */
  IngJob *job;
  GTask *task;
  gulong cancelled_id, state_id;
  GSubprocess *process; /* NULL once it ended */
  GDataInputStream *lines;
  char *folder, *name, *part;
  GError *failed; /* as the engine told it */
  GString *words;
} Run;

static void
run_free (Run *run)
{
  g_clear_object (&run->process);
  g_clear_object (&run->lines);
  g_clear_object (&run->job);
  g_clear_error (&run->failed);
  g_string_free (run->words, TRUE);
  g_free (run->folder);
  g_free (run->name);
  g_free (run->part);
  g_free (run);
}

/* ------------------------------------------------------------------ names */

gboolean
ing_transfers_has_job (IngJob *job)
{
  const char *kind = ing_job_get_kind (job);
  return strcmp (kind, ING_JOB_KIND_QUANTIZE) == 0 || strcmp (kind, ING_JOB_KIND_CONVERT) == 0;
}

/* "Qwen3-4B-F16-00001-of-00003.gguf" as Q4_K_M is "Qwen3-4B-Q4_K_M.gguf". */
static char *
dup_name (const char *path, const char *type)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autoptr (GRegex) tail = g_regex_new ("([-._](I?Q\\d[A-Z0-9_]*|B?F16|F32))?(-\\d{5}-of-\\d{5})?(\\.gguf)?$",
                                         G_REGEX_CASELESS | G_REGEX_RAW, 0, NULL);
  g_autofree char *stem = g_regex_replace_literal (tail, base, (gssize) strlen (base), 0, "", 0, NULL);
  g_autofree char *name = type != NULL ? g_strdup_printf ("%s-%s.gguf", stem, type) : g_strdup_printf ("%s.gguf", stem);
  return ing_hub_dup_file_name (name);
}

/* Everything that begins with the part's name. */
static void
remove_parts (const char *part)
{
  g_autofree char *folder = g_path_get_dirname (part);
  g_autofree char *base = g_path_get_basename (part);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_prefix (name, base))
      {
        g_autofree char *path = g_build_filename (folder, name, NULL);
        g_unlink (path);
      }
}

/* ------------------------------------------------------------------ the end */

static void
let_go_of_task (Run *run)
{
  GCancellable *cancellable = g_task_get_cancellable (run->task);
  if (run->cancelled_id != 0)
    g_signal_handler_disconnect (cancellable, run->cancelled_id);
  run->cancelled_id = 0;
  g_clear_object (&run->task);
}

/* @error is taken; NULL = done. */
static void
end_task (Run *run, GError *error)
{
  g_autoptr (GTask) task = g_object_ref (run->task);
  let_go_of_task (run);
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

static void
end_run (Run *run)
{
  remove_parts (run->part);
  g_signal_handler_disconnect (run->job, run->state_id);
  if (run->self != NULL)
    g_hash_table_remove (run->self->runs, run->job);
  run_free (run);
}

typedef struct
{
  char *folder, *name, *part;
} Finish;

static void
finish_free (gpointer data)
{
  Finish *finish = data;
  g_free (finish->folder);
  g_free (finish->name);
  g_free (finish->part);
  g_free (finish);
}

static void
finish_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Finish *finish = task_data;
  GError *error = NULL;
  guint64 size = 0;
  g_autoptr (GArray) blocks = NULL;
  g_autofree char *sha256 = ing_download_hash_file (finish->part, &size, &blocks, cancellable);
  if (g_cancellable_set_error_if_cancelled (cancellable, &error))
    g_task_return_error (task, error);
  else if (sha256 == NULL)
    g_task_return_error (task, ing_error_new (ING_ERROR_IO, finish->name, 0, 0, "the result cannot be read"));
  else
    {
      g_autofree char *path = ing_download_publish (finish->part, finish->folder, finish->name, &error);
      if (path == NULL)
        g_task_return_error (task, error);
      else
        g_task_return_pointer (task, ing_download_make_result (path, sha256, size, blocks, NULL), g_free);
    }
}

static void
on_finished (GObject *source, GAsyncResult *result, gpointer data)
{
  Run *run = data;
  GError *error = NULL;
  g_autofree char *json = g_task_propagate_pointer (G_TASK (result), &error);
  if (json != NULL)
    ing_job_set_result (run->job, json);
  end_task (run, error);
  end_run (run);
}

/* What a person can mend pauses the job (ing-job-queue.h). */
static GError *
make_error (Run *run)
{
  GError *error = g_steal_pointer (&run->failed);
  if (error == NULL)
    error = ing_error_new (ING_ERROR_FAILED, run->name, 0, 0, "%s",
                           run->words->len > 0 ? run->words->str : "the engine's program ended");
  guint64 needed = ing_error_get_needed (error), available = ing_error_get_available (error);
  if (g_error_matches (error, ING_ERROR, ING_ERROR_IO) && needed > available)
    {
      GError *full = ing_error_new (ING_ERROR_DISK_FULL, run->folder, needed, available, "%s", error->message);
      g_error_free (error);
      error = full;
    }
  if (g_error_matches (error, ING_ERROR, ING_ERROR_TOO_LARGE)) /* of a target */
    {
      GError *small = ing_error_new (ING_ERROR_TOO_SMALL, run->name, needed, available, "%s", error->message);
      g_error_free (error);
      error = small;
    }
  return error;
}

static void
on_process_ended (GObject *source, GAsyncResult *result, gpointer data)
{
  Run *run = data;
  gboolean good = g_subprocess_wait_check_finish (G_SUBPROCESS (source), result, NULL);
  g_clear_object (&run->process);
  if (run->task == NULL || !good)
    {
      if (run->task != NULL)
        end_task (run, make_error (run));
      end_run (run);
      return;
    }
  Finish *finish = g_new0 (Finish, 1);
  finish->folder = g_strdup (run->folder);
  finish->name = g_strdup (run->name);
  finish->part = g_strdup (run->part);
  g_autoptr (GTask) task = g_task_new (NULL, g_task_get_cancellable (run->task), on_finished, run);
  g_task_set_check_cancellable (task, FALSE);
  g_task_set_task_data (task, finish, finish_free);
  g_task_run_in_thread (task, finish_thread);
}

/* ------------------------------------------------------------------ what it says */

static GError *
read_failure (const char *json)
{
  g_autoptr (JsonObject) o = ing_json_parse_object (json, -1, NULL);
  if (o == NULL)
    return NULL;
  gint64 offset = ing_json_get_int (o, "offset", -1);
  return ing_error_from_engine (ing_json_get_int (o, "code", 0), ing_json_get_string (o, "text", NULL),
                                ing_json_get_string (o, "field", NULL),
                                offset >= 0 ? (guint64) offset : ING_ERROR_OFFSET_NONE,
                                (guint) CLAMP (ing_json_get_int (o, "line", 0), 0, G_MAXINT),
                                (guint64) MAX (0, ing_json_get_int (o, "needed", 0)),
                                (guint64) MAX (0, ing_json_get_int (o, "available", 0)));
}

static void
read_line (Run *run, const char *line)
{
  guint64 done, total;
  if (sscanf (line, "progress %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &done, &total) == 2)
    ing_job_set_progress (run->job, MIN (done, total), total);
  else if (strcmp (line, "phase measuring") == 0)
    ing_job_set_status_text (run->job, _("Measuring the quality"));
  else if (g_str_has_prefix (line, "phase "))
    ing_job_set_status_text (run->job, NULL);
  else if (g_str_has_prefix (line, "failed ") && run->failed == NULL)
    run->failed = read_failure (line + strlen ("failed "));
  else if (run->words->len < MAX_WORDS)
    g_string_append_printf (run->words, "%.500s\n", line);
}

static void
on_line (GObject *source, GAsyncResult *result, gpointer data)
{
  Run *run = data;
  g_autofree char *line = g_data_input_stream_read_line_finish (G_DATA_INPUT_STREAM (source), result, NULL, NULL);
  if (line == NULL)
    {
      /* All that it had to say was said. */
      g_subprocess_wait_check_async (run->process, NULL, on_process_ended, run);
      return;
    }
  read_line (run, line);
  g_data_input_stream_read_line_async (run->lines, G_PRIORITY_DEFAULT, NULL, on_line, run);
}

/* ------------------------------------------------------------------ pause and cancel */

static void
kill_process (Run *run)
{
  if (run->process == NULL)
    return;
  g_subprocess_send_signal (run->process, SIGTERM);
  g_subprocess_send_signal (run->process, SIGCONT);
}

static void
on_cancelled (GCancellable *cancellable, gpointer data)
{
  Run *run = data;
  if (run->process == NULL)
    return; /* the last steps look at it themselves, and what is done is done */
  g_subprocess_send_signal (run->process, SIGSTOP); /* the job's new state says for how long */
  end_task (run, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "stopped"));
}

/* PAUSED and QUEUED leave it standing still: to go on, or to end with this program. */
static void
on_state (IngJob *job, GParamSpec *pspec, gpointer data)
{
  Run *run = data;
  IngJobState state = ing_job_get_state (job);
  if (run->task == NULL && (state == ING_JOB_CANCELLED || state == ING_JOB_FAILED))
    kill_process (run);
}

/* ------------------------------------------------------------------ the start */

/* Between fork and exec: system calls alone. */
static void
set_up_child (gpointer data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  setpriority (PRIO_PROCESS, 0, NICENESS);
}

static GSubprocess *
start_process (IngJob *job, JsonObject *payload, const char *part, GError **error)
{
  const char *in = ing_json_get_string (payload, "in", ""), *type = ing_json_get_string (payload, "type", NULL);
  const char *engine = ing_paths_get_engine ();
  g_autoptr (GSubprocessLauncher) launcher
      = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  gint64 target = ing_json_get_int (payload, "target_bytes", 0);
  g_autofree char *bytes = g_strdup_printf ("%" G_GINT64_FORMAT, target);
  g_autoptr (GPtrArray) arguments = g_ptr_array_new ();
  g_ptr_array_add (arguments, (char *) engine);
  g_ptr_array_add (arguments, (char *) ing_job_get_kind (job));
  g_ptr_array_add (arguments, (char *) "--progress");
  g_ptr_array_add (arguments, (char *) "--json");
  if (ing_json_get_boolean (payload, "measure", FALSE))
    {
      g_ptr_array_add (arguments, (char *) "--measure");
      g_ptr_array_add (arguments, (char *) "--measure-seconds");
      g_ptr_array_add (arguments, (char *) MEASURE_SECONDS);
    }
  if (target > 0)
    {
      g_ptr_array_add (arguments, (char *) "--target-bytes");
      g_ptr_array_add (arguments, bytes);
    }
  g_ptr_array_add (arguments, (char *) "--");
  g_ptr_array_add (arguments, (char *) in);
  g_ptr_array_add (arguments, (char *) part);
  g_ptr_array_add (arguments, target > 0 ? NULL : (char *) type);
  g_ptr_array_add (arguments, NULL);
  if (engine == NULL)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_NOT_FOUND, "inglenook-engine", 0, 0, "the engine's program"));
      return NULL;
    }
  g_subprocess_launcher_set_child_setup (launcher, set_up_child, NULL, NULL);
  return g_subprocess_launcher_spawnv (launcher, (const char *const *) arguments->pdata, error);
}

static Run *
new_run (IngTransfers *self, IngJob *job, GError **error)
{
  g_autoptr (JsonObject) payload = ing_json_parse_object (ing_job_get_payload (job), -1, error);
  if (payload == NULL)
    return NULL;
  Run *run = g_new0 (Run, 1);
  g_autofree char *wanted = ing_hub_dup_file_name (ing_json_get_string (payload, "name", "model.gguf"));
  g_autofree char *part = g_strdup_printf ("%s.%" G_GINT64_FORMAT ".part", wanted, ing_job_get_id (job));
  run->self = self;
  run->job = g_object_ref (job);
  run->words = g_string_new (NULL);
  run->folder = g_strdup (ing_paths_get_models ());
  run->name = g_steal_pointer (&wanted);
  run->part = g_build_filename (run->folder, part, NULL);
  if (ing_paths_ensure_folder (run->folder, error))
    {
      remove_parts (run->part); /* of a run that died */
      run->process = start_process (job, payload, run->part, error);
    }
  if (run->process == NULL)
    {
      run_free (run);
      return NULL;
    }
  run->state_id = g_signal_connect (job, "notify::state", G_CALLBACK (on_state), run);
  run->lines = g_data_input_stream_new (g_subprocess_get_stderr_pipe (run->process));
  g_data_input_stream_read_line_async (run->lines, G_PRIORITY_DEFAULT, NULL, on_line, run);
  g_hash_table_insert (self->runs, job, run);
  return run;
}

static void
start_transfer (IngJob *job, GTask *task, gpointer data)
{
  IngTransfers *self = data;
  GError *error = NULL;
  Run *run = g_hash_table_lookup (self->runs, job);
  if (run != NULL && run->process != NULL)
    g_subprocess_send_signal (run->process, SIGCONT);
  else if (run == NULL)
    run = new_run (self, job, &error);
  else
    error = ing_error_new (ING_ERROR_BUSY, NULL, 0, 0, "the last try is still ending");
  if (error != NULL)
    {
      g_task_return_error (task, error);
      g_object_unref (task);
      return;
    }
  run->task = task;
  run->cancelled_id = g_signal_connect (g_task_get_cancellable (task), "cancelled", G_CALLBACK (on_cancelled), run);
}

/* ------------------------------------------------------------------ orders */

/* "model-F16.gguf" in 2.5 GB is "model-2.5GB.gguf". */
static char *
dup_target_word (guint64 bytes)
{
  return bytes >= 1000000000 ? g_strdup_printf ("%.*fGB", bytes % 1000000000 < 50000000 ? 0 : 1, (double) bytes / 1e9)
                             : g_strdup_printf ("%.0fMB", (double) bytes / 1e6);
}

static IngJob *
add_job (IngTransfers *self, const char *kind, const char *path, const char *type, guint64 target_bytes, gboolean measure)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  g_autofree char *word = target_bytes > 0 ? dup_target_word (target_bytes) : g_strdup (type);
  g_autofree char *name = dup_name (path, word);
  json_builder_begin_object (b);
  json_builder_set_member_name (b, "in");
  json_builder_add_string_value (b, path);
  json_builder_set_member_name (b, "name");
  json_builder_add_string_value (b, name);
  if (type != NULL)
    {
      json_builder_set_member_name (b, "type");
      json_builder_add_string_value (b, type);
    }
  if (target_bytes > 0)
    {
      json_builder_set_member_name (b, "target_bytes");
      json_builder_add_int_value (b, (gint64) MIN (target_bytes, (guint64) 1 << 52));
    }
  if (measure)
    {
      json_builder_set_member_name (b, "measure");
      json_builder_add_boolean_value (b, TRUE);
    }
  json_builder_end_object (b);
  g_autofree char *payload = ing_json_build (b);
  return ing_job_queue_add (self->jobs, kind, name, payload, 0);
}

IngJob *
ing_transfers_quantize (IngTransfers *self, const char *path, const char *type)
{
  return add_job (self, ING_JOB_KIND_QUANTIZE, path, type, 0, FALSE);
}

IngJob *
ing_transfers_shrink (IngTransfers *self, const char *path, const char *type, guint64 target_bytes)
{
  return add_job (self, ING_JOB_KIND_QUANTIZE, path, type, type == NULL ? target_bytes : 0, TRUE);
}

IngJob *
ing_transfers_convert (IngTransfers *self, const char *path, const char *type)
{
  return add_job (self, ING_JOB_KIND_CONVERT, path, type, 0, FALSE);
}

/* ------------------------------------------------------------------ class */

static void
ing_transfers_dispose (GObject *object)
{
  IngTransfers *self = ING_TRANSFERS (object);
  GHashTableIter iter;
  gpointer value;
  if (self->runs != NULL)
    {
      g_hash_table_iter_init (&iter, self->runs);
      while (g_hash_table_iter_next (&iter, NULL, &value))
        {
          Run *run = value;
          run->self = NULL; /* it ends by itself if the main loop goes on; else the kernel ends the process with us */
          kill_process (run);
        }
    }
  g_clear_pointer (&self->runs, g_hash_table_unref);
  g_clear_object (&self->jobs);
  G_OBJECT_CLASS (ing_transfers_parent_class)->dispose (object);
}

static void
ing_transfers_class_init (IngTransfersClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_transfers_dispose;
}

static void
ing_transfers_init (IngTransfers *self)
{
  self->runs = g_hash_table_new (NULL, NULL);
}

IngTransfers *
ing_transfers_new (IngJobQueue *jobs)
{
  IngTransfers *self = g_object_new (ING_TYPE_TRANSFERS, NULL);
  self->jobs = g_object_ref (jobs);
  /* The queue lets go of its kinds with itself; this object outlives its jobs' starts. */
  ing_job_queue_register (jobs, ING_JOB_KIND_QUANTIZE, 1, start_transfer, self, NULL);
  ing_job_queue_register (jobs, ING_JOB_KIND_CONVERT, 1, start_transfer, self, NULL);
  return self;
}
