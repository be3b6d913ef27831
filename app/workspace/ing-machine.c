/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-machine.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "ing-error-engine.h"
#include "ing-json.h"
#include "ing-paths.h"
#include "ing-reader-client.h"

/* ------------------------------------------------------------------ graphics cards */

static char *
describe_card (JsonObject *device)
{
  guint64 bytes = (guint64) MAX (0, ing_json_get_int (device, "memory_bytes", 0));
  guint64 free_bytes = (guint64) MAX (0, ing_json_get_int (device, "free_bytes", 0));
  g_autofree char *all = g_format_size_full (bytes, G_FORMAT_SIZE_IEC_UNITS);
  g_autofree char *left = g_format_size_full (free_bytes, G_FORMAT_SIZE_IEC_UNITS);
  return g_strdup_printf (_ ("%s: %s of %s free"), ing_json_get_string (device, "name", ""), left,
                          all);
}

/* What to install where extensions are how such things come. */
static const char *
get_flatpak_advice (const GError *error)
{
  switch (error->code)
    {
    case ING_ERROR_NO_MODULE:
    case ING_ERROR_MODULE_ABI:
      return _ (
          "For an NVIDIA card: flatpak install io.github.inglenook_app.Inglenook.Engine.cuda");
    case ING_ERROR_NO_DRIVER:
    case ING_ERROR_OLD_DRIVER:
      return _ ("For an NVIDIA card: flatpak update fetches the extension "
                "org.freedesktop.Platform.GL.nvidia that fits the system’s driver.");
    default:
      return NULL;
    }
}

static char *
describe_missing (JsonObject *device, gboolean sandboxed)
{
  const char *problem = ing_json_get_string (device, "problem", "");
  gint64 code = ing_json_get_int (device, "status", 0);
  g_autoptr (GError) error = ing_error_from_engine (code, problem, NULL, ENG_OFFSET_NONE, 0, 0, 0);
  const char *flatpak = sandboxed && error->domain == ING_ERROR ? get_flatpak_advice (error) : NULL;
  g_autofree char *sentence = ing_error_to_sentence (error);
  GString *text = g_string_new (sentence);
  if (flatpak != NULL)
    g_string_append_printf (text, "\n%s", flatpak);
  /* Which version is there and which is wanted stands in there alone. */
  if (*problem != '\0' && (code == ENG_ERR_OLD_DRIVER || code == ENG_ERR_MODULE_ABI))
    g_string_append_printf (text, "\n(%s)", problem);
  return g_string_free (text, FALSE);
}

char *
ing_machine_describe_gpus (const char *devices, gboolean sandboxed)
{
  g_autoptr (JsonNode) node = devices != NULL ? json_from_string (devices, NULL) : NULL;
  JsonArray *array
      = node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  GString *text = g_string_new (NULL);
  if (array == NULL)
    {
      g_string_free (text, TRUE);
      return g_strdup (_ ("Not looked at yet; that happens when a model is opened"));
    }
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      JsonNode *element = json_array_get_element (array, i);
      JsonObject *device = JSON_NODE_HOLDS_OBJECT (element) ? json_node_get_object (element) : NULL;
      if (device == NULL || strcmp (ing_json_get_string (device, "kind", ""), "gpu") != 0)
        continue;
      g_autofree char *line = ing_json_get_int (device, "score", 0) > 0
                                  ? describe_card (device)
                                  : describe_missing (device, sandboxed);
      g_string_append_printf (text, "%s%s", text->len > 0 ? "\n" : "", line);
    }
  if (text->len == 0)
    g_string_append (text, _ ("None; the processor does the work"));
  return g_string_free (text, FALSE);
}

/* ------------------------------------------------------------------ the reader */

char *
ing_machine_describe_holds (gboolean seccomp, int landlock, gboolean limits, gboolean sandboxed)
{
  g_autoptr (GStrvBuilder) holds = g_strv_builder_new ();
  g_autofree char *files = g_strdup_printf (_ ("none of your files (Landlock %d)"), landlock);
  if (seccomp)
    g_strv_builder_add (holds, _ ("no network and no other program (seccomp)"));
  if (landlock > 0)
    g_strv_builder_add (holds, files);
  if (limits)
    g_strv_builder_add (holds, _ ("limits of memory and time"));
  if (sandboxed)
    g_strv_builder_add (holds, _ ("the Flatpak’s sandbox about it"));
  g_auto (GStrv) list = g_strv_builder_end (holds);
  /* Translators: between parts of a list */
  return list[0] != NULL
             ? g_strjoinv (_ ("; "), list)
             : g_strdup (_ ("By nothing: this system has neither seccomp nor Landlock"));
}

static gboolean
take_block (const IngBlock *block, gpointer data)
{
  return TRUE;
}

static void
read_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  const IngReaderHandler handler = { .block = take_block };
  g_auto (IngExtracted) extracted = { 0 };
  g_autofree char *path = NULL;
  GError *error = NULL;
  int fd = g_file_open_tmp ("inglenook-XXXXXX.txt", &path, &error);
  gboolean ok = fd >= 0;
  if (ok && write (fd, "-\n", 2) != 2)
    {
      error = ing_error_from_system (errno, path, "write");
      ok = FALSE;
    }
  ok = ok && ing_reader_extract (path, &handler, cancellable, &extracted, &error);
  if (fd >= 0)
    {
      close (fd);
      g_unlink (path);
    }
  if (ok)
    g_task_return_pointer (task,
                           ing_machine_describe_holds (extracted.seccomp, extracted.landlock,
                                                       extracted.limits, ing_paths_is_sandboxed ()),
                           g_free);
  else
    g_task_return_error (task, error);
}

void
ing_machine_describe_reader_async (GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  g_task_run_in_thread (task, read_thread);
}

char *
ing_machine_describe_reader_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
