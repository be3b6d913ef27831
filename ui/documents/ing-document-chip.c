/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-document-chip.h"

#include "ing-document-undo.h"
#include "ing-password-dialog.h"

#include <glib/gi18n-lib.h>

#define LEAST_CHARS 12
#define NAME_CHARS 28

struct _IngDocumentChip
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkImage *icon;
  GtkLabel *name_label;
  GtkLabel *state_label;
  GtkWidget *retry_button;

  IngDocumentLibrary *library;
  gint64 owner;
  IngDocument *document;
};

G_DEFINE_FINAL_TYPE (IngDocumentChip, ing_document_chip, GTK_TYPE_WIDGET)

/* A password would open it. */
static gboolean
is_locked (IngDocument *document, gboolean *wrong)
{
  return ing_document_get_state (document) == ING_DOCUMENT_FAILED
         && ing_document_password_is_wanted (ing_document_get_error (document), wrong);
}

/* Why it cannot be read, in a word or two; the whole sentence is the tooltip's. */
static const char *
get_reason (IngDocument *document)
{
  const GError *error = ing_document_get_error (document);

  if (error == NULL || error->domain != ING_ERROR)
    return _("cannot be read");
  switch (error->code)
    {
    case ING_ERROR_PASSWORD:
    case ING_ERROR_WRONG_PASSWORD:
      return _("locked");
    case ING_ERROR_PROTECTED:
      return _("protected");
    case ING_ERROR_NO_TEXT:
      return _("no text in it");
    case ING_ERROR_LIMIT:
      return _("too large");
    case ING_ERROR_FORMAT:
      return _("damaged");
    default:
      return _("cannot be read");
    }
}

/* "" when there is nothing to say. */
static char *
dup_state (IngDocument *document)
{
  double fraction = ing_document_get_fraction (document);
  guint n = ing_document_get_n_pages (document), of, page = ing_document_get_page (document, &of);

  if (ing_document_get_gone (document))
    return g_strdup (_("not there any more"));
  switch (ing_document_get_state (document))
    {
    case ING_DOCUMENT_WAITING:
      return g_strdup (_("waits"));
    case ING_DOCUMENT_READING:
      /* Translators: how far the pages of a scanned document are recognized. */
      if (page > 0)
        return g_strdup_printf (_("page %u of %u"), page, of);
      /* Translators: of a file being read, in per cent. */
      return fraction > 0 ? g_strdup_printf (_("reading %d %%"), (int) (fraction * 100)) : g_strdup (_("reading"));
    case ING_DOCUMENT_FAILED:
      return g_strdup (get_reason (document));
    case ING_DOCUMENT_WORDS:
    case ING_DOCUMENT_READY:
    default:
      return n > 0 ? g_strdup_printf (ngettext ("%u page", "%u pages", n), n) : g_strdup ("");
    }
}

static void
set_button (GtkWidget *button, const char *icon, const char *label)
{
  gtk_button_set_icon_name (GTK_BUTTON (button), icon);
  gtk_widget_set_tooltip_text (button, label);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
}

static void
unlock (gpointer data)
{
  IngDocumentChip *self = data;

  if (self->library != NULL)
    ing_document_library_retry (self->library, self->document);
}

static void
ask_password (IngDocumentChip *self)
{
  gboolean wrong;

  if (is_locked (self->document, &wrong))
    ing_password_dialog_present (GTK_WIDGET (self), ing_document_get_path (self->document),
                                 ing_document_get_name (self->document), wrong, unlock, g_object_ref (self),
                                 g_object_unref);
}

static void
update (IngDocumentChip *self)
{
  gboolean failed = ing_document_get_state (self->document) == ING_DOCUMENT_FAILED
                    && !ing_document_get_gone (self->document);
  gboolean locked = failed && is_locked (self->document, NULL);
  g_autofree char *state = dup_state (self->document);
  g_autofree char *why = failed ? ing_error_to_sentence (ing_document_get_error (self->document)) : NULL;
  g_autofree char *label
      = g_strdup_printf ("%s, %s", ing_document_get_name (self->document), *state != '\0' ? state : _("ready"));

  gtk_label_set_text (self->state_label, state);
  gtk_widget_set_visible (GTK_WIDGET (self->state_label), *state != '\0');
  gtk_image_set_from_icon_name (self->icon, locked   ? "dialog-password-symbolic"
                                             : failed ? "dialog-warning-symbolic"
                                                      : "x-office-document-symbolic");
  gtk_widget_set_visible (self->retry_button, failed);
  set_button (self->retry_button, locked ? "changes-allow-symbolic" : "view-refresh-symbolic",
              locked ? _("Enter the password") : _("Try again"));
  gtk_widget_set_tooltip_text (GTK_WIDGET (self), why != NULL ? why : ing_document_get_path (self->document));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
  if (failed)
    gtk_widget_add_css_class (GTK_WIDGET (self), "failed");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (self), "failed");
  /* Asked once, while the person is there who added it; the button asks again. */
  if (locked && gtk_widget_get_root (GTK_WIDGET (self)) != NULL && !ing_password_dialog_is_open (GTK_WIDGET (self))
      && ing_document_take_locked (self->document))
    ask_password (self);
}

static void
remove_cb (IngDocumentChip *self)
{
  IngCollections *collections = ing_document_library_get_collections (self->library);
  GtkWidget *toasts = gtk_widget_get_ancestor (GTK_WIDGET (self), ADW_TYPE_TOAST_OVERLAY);
  g_autofree char *path = g_strdup (ing_document_get_path (self->document));

  ing_collections_remove_document (collections, self->owner, self->document);
  ing_document_undo_offer (ADW_TOAST_OVERLAY (toasts), collections, self->owner, _("Document removed"),
                           (const char *const[]){ path, NULL });
}

static void
retry_cb (IngDocumentChip *self)
{
  if (is_locked (self->document, NULL))
    ask_password (self);
  else
    ing_document_library_retry (self->library, self->document);
}

GtkLabel *
ing_document_chip_append_state (GtkBox *box)
{
  GtkWidget *label = gtk_label_new (NULL);

  gtk_widget_add_css_class (label, "dim-label");
  gtk_widget_add_css_class (label, "caption");
  gtk_widget_add_css_class (label, "numeric");
  gtk_box_append (box, label);
  return GTK_LABEL (label);
}

GtkWidget *
ing_document_chip_append_button (GtkBox *box, const char *icon, const char *label)
{
  GtkWidget *button = gtk_button_new ();

  gtk_widget_add_css_class (button, "flat");
  gtk_widget_add_css_class (button, "circular");
  gtk_widget_set_focus_on_click (button, FALSE); /* who uses a pointer goes on typing the question */
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  set_button (button, icon, label);
  gtk_box_append (box, button);
  return button;
}

static void
ing_document_chip_dispose (GObject *object)
{
  IngDocumentChip *self = ING_DOCUMENT_CHIP (object);

  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->document);
  g_clear_object (&self->library);
  G_OBJECT_CLASS (ing_document_chip_parent_class)->dispose (object);
}

static void
ing_document_chip_class_init (IngDocumentChipClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_document_chip_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_css_name (GTK_WIDGET_CLASS (klass), "documentchip");
  gtk_widget_class_set_accessible_role (GTK_WIDGET_CLASS (klass), GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
ing_document_chip_init (IngDocumentChip *self)
{
  GtkWidget *button;

  self->box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
  self->icon = GTK_IMAGE (gtk_image_new ());
  gtk_box_append (GTK_BOX (self->box), GTK_WIDGET (self->icon));
  self->name_label = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_ellipsize (self->name_label, PANGO_ELLIPSIZE_MIDDLE);
  gtk_label_set_max_width_chars (self->name_label, NAME_CHARS);
  gtk_box_append (GTK_BOX (self->box), GTK_WIDGET (self->name_label));
  self->state_label = ing_document_chip_append_state (GTK_BOX (self->box));
  self->retry_button
      = ing_document_chip_append_button (GTK_BOX (self->box), "view-refresh-symbolic", _("Try again"));
  g_signal_connect_swapped (self->retry_button, "clicked", G_CALLBACK (retry_cb), self);
  g_signal_connect (self, "map", G_CALLBACK (update), NULL); /* it may have been read before it was shown */
  button = ing_document_chip_append_button (GTK_BOX (self->box), "window-close-symbolic", _("Remove the document"));
  g_signal_connect_swapped (button, "clicked", G_CALLBACK (remove_cb), self);
}

char *
ing_document_chip_dup_state (IngDocument *document)
{
  return dup_state (document);
}

GtkWidget *
ing_document_chip_new (IngDocumentLibrary *library, gint64 owner, IngDocument *document)
{
  IngDocumentChip *self = g_object_new (ING_TYPE_DOCUMENT_CHIP, NULL);

  self->library = g_object_ref (library);
  self->owner = owner;
  self->document = g_object_ref (document);
  gtk_label_set_text (self->name_label, ing_document_get_name (document));
  /* Among many in a row a name would shrink to nothing. */
  if (g_utf8_strlen (ing_document_get_name (document), -1) <= LEAST_CHARS)
    gtk_label_set_ellipsize (self->name_label, PANGO_ELLIPSIZE_NONE);
  else
    gtk_label_set_width_chars (self->name_label, LEAST_CHARS);
  g_signal_connect_object (document, "notify", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  update (self);
  return GTK_WIDGET (self);
}
