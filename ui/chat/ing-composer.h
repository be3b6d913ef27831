/* SPDX-License-Identifier: Apache-2.0 */
/* Where a question is written: a field that grows from one to eight lines, then scrolls, with the button
 * that sends it and, while an answer runs, stops that. The input method sees every key first.
 *
 * Signals:
 *   "send" (const char *text): a person sent @text, which is not blank; the handler clears the field
 *   "stop": a person wants the running answer to end
 *   "edit-cancelled": the person gave up editing an earlier question
 * Properties: "text", "busy" (the button stops), "placeholder". Main thread only. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_COMPOSER (ing_composer_get_type ())
G_DECLARE_FINAL_TYPE (IngComposer, ing_composer, ING, COMPOSER, GtkWidget)

/* Borrowed; valid until the text changes. */
const char *ing_composer_get_text (IngComposer *self);
void ing_composer_set_text (IngComposer *self, const char *text);
void ing_composer_set_busy (IngComposer *self, gboolean busy);
void ing_composer_set_placeholder (IngComposer *self, const char *placeholder);

/* Whose collections the menu beside the field is about; both NULL = nobody's. */
void ing_composer_set_conversation (IngComposer *self, IngWorkspace *workspace, IngConversation *conversation);

/* "1,240 of 8,192 tokens" below the field from half of @context on, as a warning from nine tenths.
 * @context 0 hides it. */
void ing_composer_set_tokens (IngComposer *self, guint64 n_tokens, guint64 context);

/* Say above the field that an earlier question is being changed. */
void ing_composer_set_editing (IngComposer *self, gboolean editing);

/* Send what is written, as Enter does. Nothing when it is blank. */
void ing_composer_send (IngComposer *self);

G_END_DECLS
