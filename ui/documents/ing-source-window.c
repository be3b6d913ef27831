/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-source-window.h"

#include "ing-password-dialog.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>
#include <string.h>

#define PAGE_WIDTH 1100 /* pixels that a page is drawn with */

typedef struct
{
  GtkWindow *window; /* NULL once it is closed */
  AdwWindowTitle *title;
  GtkBox *column;
  GtkWidget *spinner;
  GCancellable *cancellable;
  IngPassage *passage;
  guint page;
  GtkWidget *picture; /* of the page; NULL = none yet */
  GtkWidget *unlock_button; /* NULL = none yet */
  gboolean wrong;           /* the password that was given */
  GtkWidget *previous, *next;
} Source;

static void draw (Source *source);

static void
source_free (gpointer data)
{
  Source *source = data;

  g_cancellable_cancel (source->cancellable);
  g_clear_object (&source->cancellable);
  ing_passage_free (source->passage);
  g_free (source);
}

static gboolean
is_pdf (const IngPassage *passage)
{
  g_autofree char *folded = g_ascii_strdown (passage->path, -1);

  return passage->page > 0 && g_str_has_suffix (folded, ".pdf");
}

/* ---------------------------------------------------------------- the page */

/* As a marker would: what is dark stays dark. */
static void
mark (guint8 *pixels, const IngPagePicture *picture)
{
  for (guint i = 0; i < picture->boxes->len; i++)
    {
      const float *box = ((const float (*)[4]) (gpointer) picture->boxes->data)[i];
      int x0 = CLAMP ((int) box[0] - 2, 0, (int) picture->width);
      int y0 = CLAMP ((int) box[1] - 1, 0, (int) picture->height);
      int x1 = CLAMP ((int) (box[0] + box[2]) + 2, 0, (int) picture->width);
      int y1 = CLAMP ((int) (box[1] + box[3]) + 1, 0, (int) picture->height);

      for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
          {
            guint32 *pixel = (guint32 *) (gpointer) (pixels + (gsize) y * picture->stride) + x;
            guint32 blue = *pixel & 0xff;

            /* Yellow: blue goes; a pixel marked twice stays as it is. */
            *pixel = (*pixel & 0xffffff00u) | MIN (blue, 0x78);
          }
    }
}

static GdkTexture *
make_texture (const IngPagePicture *picture)
{
  gsize size = (gsize) picture->stride * picture->height;
  guint8 *pixels = g_memdup2 (g_bytes_get_data (picture->pixels, NULL), size);
  g_autoptr (GBytes) bytes = NULL;

  for (gsize i = 0; i + 4 <= size; i += 4)
    *(guint32 *) (gpointer) (pixels + i) |= 0xff000000u;
  mark (pixels, picture);
  bytes = g_bytes_new_take (pixels, size);
  return gdk_memory_texture_new ((int) picture->width, (int) picture->height,
                                 G_BYTE_ORDER == G_LITTLE_ENDIAN ? GDK_MEMORY_B8G8R8A8_PREMULTIPLIED
                                                                 : GDK_MEMORY_A8R8G8B8_PREMULTIPLIED,
                                 bytes, picture->stride);
}

static void
unlock (gpointer data)
{
  Source *source = g_object_get_data (data, "source");

  if (source != NULL)
    draw (source);
}

static void
ask_password_cb (Source *source)
{
  ing_password_dialog_present (GTK_WIDGET (source->window), source->passage->path, source->passage->document,
                               source->wrong, unlock, g_object_ref (source->window), g_object_unref);
}

/* The page of a locked document, when its password was given to an earlier run of the program. */
static void
show_locked (Source *source)
{
  if (source->unlock_button == NULL)
    {
      source->unlock_button = gtk_button_new_with_mnemonic (_("_Enter the password to see the page"));
      gtk_widget_set_halign (source->unlock_button, GTK_ALIGN_CENTER);
      gtk_widget_add_css_class (source->unlock_button, "pill");
      g_signal_connect_swapped (source->unlock_button, "clicked", G_CALLBACK (ask_password_cb), source);
      gtk_box_append (source->column, source->unlock_button);
    }
  gtk_widget_set_visible (source->unlock_button, TRUE);
}

static void
drawn_cb (GObject *object, GAsyncResult *result, gpointer data)
{
  g_autoptr (GtkWindow) window = data;
  Source *source = g_object_get_data (G_OBJECT (window), "source");
  g_autoptr (GError) error = NULL;
  g_auto (IngPagePicture) picture = { 0 };
  gboolean ok = ing_page_draw_finish (result, &picture, &error);
  g_autoptr (GdkTexture) texture = NULL;
  g_autofree char *name = NULL;

  if (source == NULL || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  gtk_widget_set_visible (source->spinner, FALSE);
  if (ing_document_password_is_wanted (error, &source->wrong))
    show_locked (source);
  if (!ok)
    return; /* the stored text stands there */
  if (source->unlock_button != NULL)
    gtk_widget_set_visible (source->unlock_button, FALSE);
  texture = make_texture (&picture);
  if (source->picture == NULL)
    {
      source->picture = gtk_picture_new ();
      gtk_picture_set_can_shrink (GTK_PICTURE (source->picture), TRUE);
      gtk_widget_add_css_class (source->picture, "card");
      gtk_widget_set_hexpand (source->picture, TRUE);
      gtk_box_append (source->column, source->picture);
    }
  gtk_picture_set_paintable (GTK_PICTURE (source->picture), GDK_PAINTABLE (texture));
  name = picture.boxes->len > 0 ? g_strdup_printf (_("Page %u, the passage highlighted"), source->page)
                                : g_strdup_printf (_("Page %u"), source->page);
  gtk_picture_set_alternative_text (GTK_PICTURE (source->picture), name);
  gtk_accessible_update_property (GTK_ACCESSIBLE (source->picture), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
}

static void
draw (Source *source)
{
  g_autofree char *subtitle = g_strdup_printf (_("Page %u"), source->page);

  adw_window_title_set_subtitle (source->title, subtitle);
  gtk_widget_set_sensitive (source->previous, source->page > 1);
  g_cancellable_cancel (source->cancellable);
  g_clear_object (&source->cancellable);
  source->cancellable = g_cancellable_new ();
  /* A passage may go on on the next page. */
  ing_page_draw_async (source->passage->path, source->page, PAGE_WIDTH, source->passage->text, source->cancellable,
                       drawn_cb, g_object_ref (source->window));
}

static void
previous_cb (Source *source)
{
  source->page--;
  draw (source);
}

static void
next_cb (Source *source)
{
  source->page++; /* behind the last one nothing is drawn */
  draw (source);
}

/* ---------------------------------------------------------------- the window */

static void
open_cb (Source *source)
{
  g_autofree char *uri = g_filename_to_uri (source->passage->path, NULL, NULL);

  if (uri != NULL)
    gtk_show_uri (source->window, uri, GDK_CURRENT_TIME);
}

static GtkWidget *
new_button (Source *source, const char *icon, const char *label, GCallback callback)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon);

  gtk_widget_set_tooltip_text (button, label);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
  g_signal_connect_swapped (button, "clicked", callback, source);
  return button;
}

static GtkWidget *
new_text (const char *text, const char *style)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  gtk_widget_set_focusable (label, FALSE);
  gtk_widget_add_css_class (label, style);
  return label;
}

/* The headings above the passage, without the nearest when the text begins with it. Caller frees. */
static char *
dup_headings (const IngPassage *passage)
{
  const char *last = g_strrstr (passage->heading, " › ");
  const char *nearest = last != NULL ? last + strlen (" › ") : passage->heading;
  const char *text = passage->text;

  while (*text != '\0' && g_unichar_isspace (g_utf8_get_char (text)))
    text = g_utf8_next_char (text);
  if (!g_str_has_prefix (text, nearest))
    return g_strdup (passage->heading);
  return last != NULL ? g_strndup (passage->heading, (gsize) (last - passage->heading)) : g_strdup ("");
}

static void
add_text (Source *source)
{
  GtkWidget *card = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  g_autofree char *headings = dup_headings (source->passage);

  gtk_widget_add_css_class (card, "card");
  gtk_widget_add_css_class (card, "passage");
  if (*headings != '\0')
    gtk_box_append (GTK_BOX (card), new_text (headings, "heading"));
  gtk_box_append (GTK_BOX (card), new_text (source->passage->text, "body"));
  if (source->passage->recognized)
    gtk_box_append (GTK_BOX (card), new_text (_("Recognized in a picture of the page; letters may be wrong."), "dim-label"));
  if (!g_file_test (source->passage->path, G_FILE_TEST_EXISTS))
    gtk_box_append (GTK_BOX (card), new_text (_("The file is not there any more. This is what was read of it."),
                                              "dim-label"));
  gtk_box_append (source->column, card);
}

static GtkWidget *
new_header (Source *source)
{
  GtkWidget *header = adw_header_bar_new ();

  source->title = ADW_WINDOW_TITLE (adw_window_title_new (source->passage->document, ""));
  adw_header_bar_set_title_widget (ADW_HEADER_BAR (header), GTK_WIDGET (source->title));
  source->previous = new_button (source, "go-previous-symbolic", _("Page before"), G_CALLBACK (previous_cb));
  source->next = new_button (source, "go-next-symbolic", _("Next page"), G_CALLBACK (next_cb));
  if (is_pdf (source->passage))
    {
      adw_header_bar_pack_start (ADW_HEADER_BAR (header), source->previous);
      adw_header_bar_pack_start (ADW_HEADER_BAR (header), source->next);
    }
  else
    {
      g_object_ref_sink (source->previous);
      g_clear_object (&source->previous);
      g_object_ref_sink (source->next);
      g_clear_object (&source->next);
    }
  adw_header_bar_pack_end (ADW_HEADER_BAR (header),
                           new_button (source, "document-open-symbolic", _("Open the document in its own program"),
                                       G_CALLBACK (open_cb)));
  return header;
}

void
ing_source_window_present (GtkWidget *from, IngDocumentLibrary *library, const IngPassage *passage)
{
  GtkRoot *root = gtk_widget_get_root (from);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *viewport = gtk_viewport_new (NULL, NULL);
  GtkWidget *clamp = adw_clamp_new ();
  GtkEventController *keys = gtk_shortcut_controller_new ();
  Source *source = g_new0 (Source, 1);

  source->window = GTK_WINDOW (adw_window_new ());
  source->passage = ing_passage_copy (passage);
  g_free (source->passage->path);
  source->passage->path = ing_sources_dup_path (library, passage);
  source->page = passage->page;
  g_object_set_data_full (G_OBJECT (source->window), "source", source, source_free);
  gtk_window_set_title (source->window, passage->document);
  gtk_window_set_default_size (source->window, 680, 760);
  if (GTK_IS_WINDOW (root))
    gtk_window_set_transient_for (source->window, GTK_WINDOW (root));
  gtk_window_set_destroy_with_parent (source->window, TRUE);
  gtk_shortcut_controller_add_shortcut (GTK_SHORTCUT_CONTROLLER (keys),
                                        gtk_shortcut_new (gtk_keyval_trigger_new (GDK_KEY_Escape, 0),
                                                          gtk_named_action_new ("window.close")));
  gtk_widget_add_controller (GTK_WIDGET (source->window), keys);

  gtk_box_append (GTK_BOX (box), new_header (source));
  source->column = GTK_BOX (gtk_box_new (GTK_ORIENTATION_VERTICAL, 12));
  gtk_widget_add_css_class (GTK_WIDGET (source->column), "source-column");
  adw_clamp_set_maximum_size (ADW_CLAMP (clamp), 900);
  adw_clamp_set_child (ADW_CLAMP (clamp), GTK_WIDGET (source->column));
  /* A picture asks for the height that goes with its width only so. */
  gtk_scrollable_set_vscroll_policy (GTK_SCROLLABLE (viewport), GTK_SCROLL_NATURAL);
  gtk_viewport_set_child (GTK_VIEWPORT (viewport), clamp);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), viewport);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_widget_set_vexpand (scroller, TRUE);
  gtk_box_append (GTK_BOX (box), scroller);
  adw_window_set_content (ADW_WINDOW (source->window), box);

  add_text (source);
  source->spinner = gtk_spinner_new ();
  gtk_spinner_start (GTK_SPINNER (source->spinner));
  gtk_box_append (source->column, source->spinner);
  gtk_widget_set_visible (source->spinner, is_pdf (passage));
  if (is_pdf (passage))
    draw (source);
  gtk_window_present (source->window);
}
