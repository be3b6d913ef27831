/* SPDX-License-Identifier: Apache-2.0 */
/* An error at the place it belongs to: what happened, what to do, buttons for that, and "Details" with
 * the raw text to copy. Main thread only. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_PROBLEM_BOX (ing_problem_box_get_type ())
G_DECLARE_FINAL_TYPE (IngProblemBox, ing_problem_box, ING, PROBLEM_BOX, GtkWidget)

GtkWidget *ing_problem_box_new (void);

/* Show @error in words (any domain; NULL hides the box) and take away the buttons of the one before. */
void ing_problem_box_set_error (IngProblemBox *self, const GError *error);

/* The same with words of the caller's; @advice and @details may be NULL. */
void ing_problem_box_set_text (IngProblemBox *self, const char *title, const char *advice,
                               const char *details);

/* Add a button that activates @action (as "win.open-model", with @target, which may be NULL). */
void ing_problem_box_add_button (IngProblemBox *self, const char *label, const char *action,
                                 GVariant *target);

G_END_DECLS
