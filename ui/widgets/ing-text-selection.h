/* SPDX-License-Identifier: Apache-2.0 */
/* Selecting text by pointer across many labels, as if they were one text.
 *
 * The labels stay plain GtkLabels (a screen reader sees their text); what is selected is drawn through
 * their Pango attributes. Labels take part once marked; their order is that of the widget tree.
 * A selection object belongs to its root widget. Main thread only. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_TEXT_SELECTION (ing_text_selection_get_type ())
G_DECLARE_FINAL_TYPE (IngTextSelection, ing_text_selection, ING, TEXT_SELECTION, GObject)

/* Watch the pointer on @root (borrowed: it must outlive the selection or destroy it first).
 * Signal "changed": something is selected, or nothing any more. */
IngTextSelection *ing_text_selection_new (GtkWidget *root);

/* Let @label take part. @separator (static string) is what a copy puts before its text when something
 * selected stands before it: "\n\n", "\n", "\t", " ". */
void ing_text_selection_mark_label (GtkLabel *label, const char *separator);

/* Attributes of a marked label that a highlight must keep; may be NULL. */
void ing_text_selection_set_label_attributes (GtkLabel *label, PangoAttrList *attributes);

gboolean ing_text_selection_is_empty (IngTextSelection *self);
void ing_text_selection_clear (IngTextSelection *self);
void ing_text_selection_select_all (IngTextSelection *self);

/* Mark all matches of @needle, case folded, within single labels; NULL or "" marks none. Returns how
 * many there are. Call again when labels change. */
guint ing_text_selection_mark_matches (IngTextSelection *self, const char *needle);

/* The text of all labels, as selecting all and copying gives it. */
char *ing_text_selection_dup_all (IngTextSelection *self);

/* The selected text; "" if nothing is. */
char *ing_text_selection_dup_text (IngTextSelection *self);

G_END_DECLS
