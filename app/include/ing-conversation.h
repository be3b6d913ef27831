/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation: a tree of messages of which one branch is shown. Regenerating and editing add
 * siblings and never erase. An answer belongs here and not to a view: it goes on, and is saved, when
 * nobody looks. Main thread only.
 *
 * Every operation changes the model at once and the database behind it, in order, on the storage's
 * thread. If the database cannot take it, IngWorkspace:storage-problem says so; text stays in memory
 * and is written again later. A question is committed before its answer is asked for. */
#pragma once

#include "ing-message.h"

G_BEGIN_DECLS

#define ING_TYPE_CONVERSATION (ing_conversation_get_type ())
G_DECLARE_FINAL_TYPE (IngConversation, ing_conversation, ING, CONVERSATION, GObject)

/* Properties, notifying: "title", "updated-us", "busy" (an answer is pending or streaming), "loaded",
 * "draft", "system-prompt", "model-path", "n-messages". */

gint64 ing_conversation_get_id (IngConversation *self);
/* "" until the first answer gave it one from the question's first words, or the person did. */
const char *ing_conversation_get_title (IngConversation *self);
/* The title, or words for one that has none yet ("New conversation"). Never empty. */
const char *ing_conversation_get_display_title (IngConversation *self);
void ing_conversation_set_title (IngConversation *self, const char *title);
/* A title for one that has none; it is listed and kept from then on. */
void ing_conversation_suggest_title (IngConversation *self, const char *title);
gint64 ing_conversation_get_created_us (IngConversation *self);
gint64 ing_conversation_get_updated_us (IngConversation *self);
gboolean ing_conversation_get_busy (IngConversation *self);

/* What is written but not sent; saved half a second after the last change. */
const char *ing_conversation_get_draft (IngConversation *self);
void ing_conversation_set_draft (IngConversation *self, const char *draft);
const char *ing_conversation_get_system_prompt (IngConversation *self);
void ing_conversation_set_system_prompt (IngConversation *self, const char *prompt);
/* The model that questions go to, which is loaded for them where it is not: that chosen, else that of the first answer;
 * NULL = whichever is loaded. Another one in the middle gets the whole history, from the next question on. */
const char *ing_conversation_get_model_path (IngConversation *self);
void ing_conversation_set_model_path (IngConversation *self, const char *path);
/* What the person chose, or what suits the loaded model (ing_sampling_init_for_model). */
void ing_conversation_get_sampling (IngConversation *self, IngSampling *out);
/* NULL = what suits the model. */
void ing_conversation_set_sampling (IngConversation *self, const IngSampling *sampling);
gboolean ing_conversation_get_sampling_chosen (IngConversation *self);

/* For a model without a chat template: the texts joined are the prompt, and the model goes on with them.
 * While it is off such a model's answers fail with ING_ERROR_NO_TEMPLATE. */
gboolean ing_conversation_get_plain_completion (IngConversation *self);
void ing_conversation_set_plain_completion (IngConversation *self, gboolean plain);

/* ------------------------------------------------------------------ messages */

/* The shown branch, oldest first, of IngMessage. Borrowed. Empty until loaded. */
GListModel *ing_conversation_list_messages (IngConversation *self);

/* Read the messages from the database; at once when that is done already. A new conversation is loaded
 * from the start. */
void ing_conversation_load_async (IngConversation *self, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_conversation_load_finish (IngConversation *self, GAsyncResult *result,
                                       GError **error);
gboolean ing_conversation_get_loaded (IngConversation *self);

/* The operations below need a loaded conversation that is not busy, unless said otherwise; they
 * return NULL or FALSE (and do nothing) when that does not hold. Messages returned are borrowed. */

/* Ask. @parts (of IngPart; NULL = none) go before the text. Adds the question and its answer, which
 * waits for the model when that is still loading; returns the answer. Without any model the answer
 * fails with ING_ERROR_NO_MODEL and the question stays. */
IngMessage *ing_conversation_send (IngConversation *self, const char *text, GListModel *parts);

/* Another answer to the same question: a sibling of @answer. */
IngMessage *ing_conversation_regenerate (IngConversation *self, IngMessage *answer);

/* The question again with other words: a sibling of @question, sent. Its file parts are kept. */
IngMessage *ing_conversation_edit (IngConversation *self, IngMessage *question, const char *text);

/* Go on behind an answer that was stopped, cut off or interrupted; a failed one without text is asked
 * again in place. */
IngMessage *ing_conversation_continue (IngConversation *self, IngMessage *answer);

/* Stop the running answer; what came so far stays. Nothing when not busy. */
void ing_conversation_stop (IngConversation *self);

/* Show the sibling of @message that stands @delta (-1 or 1) further. Allowed while busy. */
gboolean ing_conversation_switch_sibling (IngConversation *self, IngMessage *message, int delta);

/* Make the branch that holds message @id the shown one (from a search). */
gboolean ing_conversation_show_message (IngConversation *self, gint64 id);

/* How many tokens a question would make with all before it. @text NULL = the branch as it is. */
void ing_conversation_count_async (IngConversation *self, const char *text,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data);
gboolean ing_conversation_count_finish (IngConversation *self, GAsyncResult *result,
                                        guint64 *n_tokens, guint64 *context, GError **error);

/* ------------------------------------------------------------------ export */

typedef enum
{
  ING_EXPORT_MARKDOWN, /* the shown branch, to read */
  ING_EXPORT_JSON      /* the whole tree, with settings and figures */
} IngExportFormat;

/* Loads first where needed. Returns UTF-8 text; caller frees. */
void ing_conversation_export_async (IngConversation *self, IngExportFormat format,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data);
char *ing_conversation_export_finish (IngConversation *self, GAsyncResult *result,
                                      GError **error);

G_END_DECLS
