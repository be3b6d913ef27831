/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-document-undo.h"

#include <glib/gi18n-lib.h>

#define UNDO_S 10
#define KEY "ing-document-undo"

typedef struct
{
  AdwToastOverlay *toasts; /* borrowed: it has the toast */
  IngCollections *collections;
  gint64 owner;
  GPtrArray *paths;
} Undo;

static void
undo_free (gpointer data, GClosure *closure)
{
  Undo *undo = data;

  g_object_unref (undo->collections);
  g_ptr_array_unref (undo->paths);
  g_free (undo);
}

static void
undo_cb (AdwToast *toast, Undo *undo)
{
  ing_collections_add (undo->collections, undo->owner, (const char *const *) undo->paths->pdata);
}

static void
dismissed_cb (AdwToast *toast, Undo *undo)
{
  if (g_object_get_data (G_OBJECT (undo->toasts), KEY) == toast)
    g_object_set_data (G_OBJECT (undo->toasts), KEY, NULL);
}

void
ing_document_undo_offer (AdwToastOverlay *toasts, IngCollections *collections, gint64 owner, const char *words,
                         const char *const *paths)
{
  AdwToast *toast, *last;
  Undo *undo, *earlier = NULL;
  g_autofree char *number = NULL;

  if (toasts == NULL || paths[0] == NULL)
    return;
  last = g_object_get_data (G_OBJECT (toasts), KEY);
  if (last != NULL)
    earlier = g_object_get_data (G_OBJECT (last), KEY);
  undo = g_new0 (Undo, 1);
  undo->toasts = toasts;
  undo->collections = g_object_ref (collections);
  undo->owner = owner;
  undo->paths = g_ptr_array_new_with_free_func (g_free);
  if (earlier != NULL && earlier->owner != owner)
    earlier = NULL;
  if (earlier != NULL)
    for (guint i = 0; earlier->paths->pdata[i] != NULL; i++)
      g_ptr_array_add (undo->paths, g_strdup (earlier->paths->pdata[i]));
  for (guint i = 0; paths[i] != NULL; i++)
    g_ptr_array_add (undo->paths, g_strdup (paths[i]));
  if (earlier != NULL)
    number = g_strdup_printf (ngettext ("%u removed", "%u removed", undo->paths->len), undo->paths->len);
  g_ptr_array_add (undo->paths, NULL);
  if (last != NULL)
    adw_toast_dismiss (last);
  toast = adw_toast_new (number != NULL ? number : words);
  adw_toast_set_button_label (toast, _("_Undo"));
  adw_toast_set_timeout (toast, UNDO_S);
  g_object_set_data (G_OBJECT (toast), KEY, undo);
  g_signal_connect (toast, "dismissed", G_CALLBACK (dismissed_cb), undo);
  g_signal_connect_data (toast, "button-clicked", G_CALLBACK (undo_cb), undo, undo_free, 0);
  g_object_set_data (G_OBJECT (toasts), KEY, toast);
  adw_toast_overlay_add_toast (toasts, toast);
}
