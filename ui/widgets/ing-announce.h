/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a screen reader what streams in, sentence by sentence, where the running GTK can
 * (gtk_accessible_announce(), 4.14); does nothing elsewhere. Main thread only. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

typedef struct _IngAnnouncer IngAnnouncer;

/* Speaks as @widget (borrowed; must outlive the announcer). */
IngAnnouncer *ing_announcer_new (GtkWidget *widget);
void ing_announcer_free (IngAnnouncer *self);

/* New text begins. */
void ing_announcer_reset (IngAnnouncer *self);

/* The text so far: each sentence that has ended since is announced once. */
void ing_announcer_text (IngAnnouncer *self, const char *text);

/* Announce what is left: the text has ended. */
void ing_announcer_finish (IngAnnouncer *self);

/* The length in bytes of the whole sentences at the head of @text; 0 if none has ended. */
gsize ing_announcer_find_sentences (const char *text);

G_END_DECLS
