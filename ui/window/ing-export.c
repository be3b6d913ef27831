/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-export.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* ---------------------------------------------------------------- to a file */

typedef struct
{
  IngConversation *conversation;
  IngExportFormat format;
  AdwToastOverlay *toasts;
  GtkFileChooserNative *chooser;
  GFile *file;
  char *text;
} Export;

static void
export_free (Export *self)
{
  g_clear_object (&self->conversation);
  g_clear_object (&self->toasts);
  g_clear_object (&self->chooser);
  g_clear_object (&self->file);
  g_free (self->text);
  g_free (self);
}

static void
report (Export *self, const GError *error)
{
  g_autofree char *title = NULL;
  AdwToast *toast;

  ing_error_describe (error, &title, NULL, NULL);
  toast = adw_toast_new (title);
  adw_toast_overlay_add_toast (self->toasts, toast);
}

static void
written_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Export *self = user_data;
  g_autoptr (GError) error = NULL;

  if (!g_file_replace_contents_finish (G_FILE (source), result, NULL, &error))
    report (self, error);
  export_free (self);
}

static void
exported_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Export *self = user_data;
  g_autoptr (GError) error = NULL;

  self->text = ing_conversation_export_finish (self->conversation, result, &error);
  if (self->text == NULL)
    {
      report (self, error);
      export_free (self);
      return;
    }
  g_file_replace_contents_async (self->file, self->text, strlen (self->text), NULL, FALSE,
                                 G_FILE_CREATE_NONE, NULL, written_cb, self);
}

static void
chosen_cb (GtkNativeDialog *dialog, int response, Export *self)
{
  if (response != GTK_RESPONSE_ACCEPT)
    {
      export_free (self);
      return;
    }
  self->file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
  ing_conversation_export_async (self->conversation, self->format, NULL, exported_cb, self);
}

void
ing_export_to_file (IngConversation *conversation, IngExportFormat format, GtkWindow *parent,
                    AdwToastOverlay *toasts)
{
  Export *self = g_new0 (Export, 1);
  g_autofree char *name = NULL;

  self->conversation = g_object_ref (conversation);
  self->format = format;
  self->toasts = g_object_ref (toasts);
  self->chooser = gtk_file_chooser_native_new (_("Export conversation"), parent,
                                               GTK_FILE_CHOOSER_ACTION_SAVE, _("_Save"), NULL);
  name = g_strconcat (ing_conversation_get_display_title (conversation),
                      format == ING_EXPORT_JSON ? ".json" : ".md", NULL);
  g_strdelimit (name, "/", '-');
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (self->chooser), name);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  g_signal_connect (self->chooser, "response", G_CALLBACK (chosen_cb), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

/* ---------------------------------------------------------------- on paper */

typedef struct
{
  guint i_layout;
  int i_line;
} Place;

typedef struct
{
  GPtrArray *texts;   /* owned char *: by turns whose and what */
  GPtrArray *layouts; /* PangoLayout, one a text */
  GArray *pages;      /* Place: each page's first line */
} Print;

#define LINE_HEIGHT 1.25

static void
print_free (gpointer data)
{
  Print *self = data;

  g_ptr_array_unref (self->texts);
  g_ptr_array_unref (self->layouts);
  g_array_unref (self->pages);
  g_free (self);
}

static double
get_line_height (PangoLayout *layout, int i_line)
{
  PangoRectangle extents;

  pango_layout_line_get_extents (pango_layout_get_line_readonly (layout, i_line), NULL, &extents);
  return (double) extents.height / PANGO_SCALE * LINE_HEIGHT;
}

static void
begin_print_cb (GtkPrintOperation *operation, GtkPrintContext *context, Print *self)
{
  double width = gtk_print_context_get_width (context);
  double height = gtk_print_context_get_height (context);
  double y = height + 1;

  for (guint i = 0; i < self->texts->len; i++)
    {
      PangoLayout *layout = gtk_print_context_create_pango_layout (context);
      g_autoptr (PangoFontDescription) font
          = pango_font_description_from_string (i % 2 == 0 ? "Sans Bold 10" : "Sans 10");

      pango_layout_set_font_description (layout, font);
      pango_layout_set_width (layout, (int) (width * PANGO_SCALE));
      pango_layout_set_wrap (layout, PANGO_WRAP_WORD_CHAR);
      pango_layout_set_text (layout, g_ptr_array_index (self->texts, i), -1);
      g_ptr_array_add (self->layouts, layout);
      for (int j = 0; j < pango_layout_get_line_count (layout); j++)
        {
          double line_height = get_line_height (layout, j);

          if (y + line_height > height)
            {
              Place place = { i, j };

              g_array_append_val (self->pages, place);
              y = 0;
            }
          y += line_height;
        }
      y += i % 2 == 0 ? 2 : 12;
    }
  gtk_print_operation_set_n_pages (operation, MAX ((int) self->pages->len, 1));
}

static void
draw_page_cb (GtkPrintOperation *operation, GtkPrintContext *context, int i_page, Print *self)
{
  cairo_t *cr = gtk_print_context_get_cairo_context (context);
  Place at, end = { self->layouts->len, 0 };
  double y = 0;

  if (i_page >= (int) self->pages->len)
    return;
  at = g_array_index (self->pages, Place, i_page);
  if (i_page + 1 < (int) self->pages->len)
    end = g_array_index (self->pages, Place, i_page + 1);
  while (at.i_layout < end.i_layout || (at.i_layout == end.i_layout && at.i_line < end.i_line))
    {
      PangoLayout *layout = g_ptr_array_index (self->layouts, at.i_layout);
      PangoRectangle extents;

      pango_layout_line_get_extents (pango_layout_get_line_readonly (layout, at.i_line), NULL, &extents);
      cairo_move_to (cr, 0, y + (double) PANGO_ASCENT (extents) / PANGO_SCALE);
      pango_cairo_show_layout_line (cr, pango_layout_get_line_readonly (layout, at.i_line));
      y += get_line_height (layout, at.i_line);
      if (++at.i_line >= pango_layout_get_line_count (layout))
        {
          y += at.i_layout % 2 == 0 ? 2 : 12;
          at.i_layout++;
          at.i_line = 0;
        }
    }
}

void
ing_export_print (IngConversation *conversation, GtkWindow *parent)
{
  g_autoptr (GtkPrintOperation) operation = gtk_print_operation_new ();
  GListModel *messages = ing_conversation_list_messages (conversation);
  Print *self = g_new0 (Print, 1);

  self->texts = g_ptr_array_new_with_free_func (g_free);
  self->layouts = g_ptr_array_new_with_free_func (g_object_unref);
  self->pages = g_array_new (FALSE, FALSE, sizeof (Place));
  for (guint i = 0; i < g_list_model_get_n_items (messages); i++)
    {
      g_autoptr (IngMessage) message = g_list_model_get_item (messages, i);
      const char *model = ing_message_get_model_name (message);
      gboolean person = ing_message_get_role (message) == ING_ROLE_USER;

      g_ptr_array_add (self->texts,
                       g_strdup (person ? _("Question") : model != NULL ? model : _("Answer")));
      g_ptr_array_add (self->texts, ing_message_dup_text (message));
    }
  g_object_set_data_full (G_OBJECT (operation), "print", self, print_free);
  gtk_print_operation_set_job_name (operation, ing_conversation_get_display_title (conversation));
  gtk_print_operation_set_allow_async (operation, TRUE);
  g_signal_connect (operation, "begin-print", G_CALLBACK (begin_print_cb), self);
  g_signal_connect (operation, "draw-page", G_CALLBACK (draw_page_cb), self);
  gtk_print_operation_run (operation, GTK_PRINT_OPERATION_ACTION_PRINT_DIALOG, parent, NULL);
}
