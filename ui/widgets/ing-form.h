/* SPDX-License-Identifier: Apache-2.0 */
/* Controls of preferences and of a model's page. Main thread only. */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

/* A spin button in which 0 reads @zero ("Automatic", …; a translated literal; NULL = the number). */
GtkWidget *ing_form_new_spin (double value, double low, double high, double step, guint digits, const char *zero);
/* A row with @control at its end, named after @title; returns the row. @subtitle may be NULL. */
GtkWidget *ing_form_new_row (const char *title, const char *subtitle, GtkWidget *control);
/* A group that holds a text of several lines. *@buffer is the group's. */
AdwPreferencesGroup *ing_form_new_text_group (const char *title, const char *description, const char *text,
                                              GtkTextBuffer **buffer);

/* A row for names from files and servers: no markup, up to 2 and 4 lines. @subtitle may be NULL. */
GtkWidget *ing_form_new_plain_row (const char *title, const char *subtitle);
/* A button at the end of an AdwActionRow, with a label or (flat) an icon; @words is its tooltip and name. */
GtkWidget *ing_form_add_button (GtkWidget *row, const char *label, const char *icon, const char *words);
/* A group at the end of the box @column; @title and @description may be NULL. */
GtkWidget *ing_form_add_group (GtkWidget *column, const char *title, const char *description);

/* A page of the window: header bar with a button back (name @back_words), a scrolled column 720 wide. Returns the outer
 * box; *@back is the button, *@column a vertical box, *@title (may be NULL) what the header says. */
GtkWidget *ing_form_new_page (const char *title_text, const char *back_words, GtkWidget **back, GtkWidget **column,
                              AdwWindowTitle **title);

G_END_DECLS
