/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting with undo, from whichever page. */
#include "ing-model-page.h"

#include <glib/gi18n-lib.h>

#define UNDO_S 10

typedef struct
{
  IngWorkspace *workspace;
  AdwToastOverlay *toasts; /* weak */
  IngModelFile *file;
} Deed;

static Deed *
deed_new (IngWorkspace *workspace, AdwToastOverlay *toasts, IngModelFile *file)
{
  Deed *deed = g_new0 (Deed, 1);

  deed->workspace = g_object_ref (workspace);
  deed->file = g_object_ref (file);
  g_set_weak_pointer (&deed->toasts, toasts);
  return deed;
}

static void
deed_free (gpointer data, GClosure *closure)
{
  Deed *deed = data;

  g_clear_weak_pointer (&deed->toasts);
  g_object_unref (deed->workspace);
  g_object_unref (deed->file);
  g_free (deed);
}

/* Takes @toast. */
static void
show (Deed *deed, AdwToast *toast)
{
  if (deed->toasts != NULL)
    adw_toast_overlay_add_toast (deed->toasts, toast);
  else
    {
      g_object_ref_sink (toast);
      g_object_unref (toast);
    }
}

static void
show_error (Deed *deed, const GError *error)
{
  g_autofree char *sentence = ing_error_to_sentence (error);
  AdwToast *toast = adw_toast_new (sentence);

  show (deed, toast);
}

static void
restored_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Deed *deed = user_data;
  g_autoptr (GError) error = NULL;

  if (!ing_library_restore_finish (ING_LIBRARY (source), result, &error))
    show_error (deed, error);
  deed_free (deed, NULL);
}

static void
undo_cb (AdwToast *toast, Deed *deed)
{
  ing_library_restore_async (ing_workspace_get_library (deed->workspace), deed->file, NULL, restored_cb,
                             deed_new (deed->workspace, deed->toasts, deed->file));
}

static void
trashed_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Deed *deed = user_data;
  g_autoptr (GError) error = NULL;
  AdwToast *toast;

  if (!ing_library_trash_finish (ING_LIBRARY (source), result, &error))
    {
      show_error (deed, error);
      deed_free (deed, NULL);
      return;
    }
  toast = adw_toast_new (_("Moved to the trash"));
  adw_toast_set_button_label (toast, _("_Undo"));
  adw_toast_set_timeout (toast, UNDO_S);
  g_signal_connect_data (toast, "button-clicked", G_CALLBACK (undo_cb), deed, deed_free, 0);
  show (deed, toast);
}

void
ing_model_page_trash (IngWorkspace *workspace, AdwToastOverlay *toasts, IngModelFile *file)
{
  IngGenerationService *service = ing_workspace_get_generation (workspace);

  if (g_strcmp0 (ing_generation_service_get_model_path (service), ing_model_file_get_path (file)) == 0)
    ing_generation_service_unload (service);
  ing_library_trash_async (ing_workspace_get_library (workspace), file, NULL, trashed_cb, deed_new (workspace, toasts, file));
}
