/* SPDX-License-Identifier: Apache-2.0 */
/* What conversations share: the database, the service, the next ids. Main thread only. */
#pragma once

#include "ing-database.h"
#include "ing-generation-service-private.h"
#include "ing-rows.h"

#define ING_TYPE_CHAT_CONTEXT (ing_chat_context_get_type ())
G_DECLARE_FINAL_TYPE (IngChatContext, ing_chat_context, ING, CHAT_CONTEXT, GObject)

/* Signal "problem" (GError * or NULL): a write failed, or succeeded again. */

struct _IngChatContext
{
  GObject parent_instance;
  IngDatabase *database;
  IngGenerationService *generation;
  gint64 last_conversation_id, last_message_id; /* ids given; they never come back */
  gint64 last_updated_us;
  GError *problem;
  char *system_prompt; /* for new conversations; never NULL */
  guint n_saving;      /* saves under way */
};

IngChatContext *ing_chat_context_new (IngDatabase *database, IngGenerationService *generation);

/* Now, but later than every time given before. */
gint64 ing_chat_context_next_time (IngChatContext *self);

/* What one transaction writes. */
typedef struct
{
  IngMessageRow *row;
  guint first_part;
  gboolean index;
} IngSavedMessage;

typedef struct
{
  IngConversationRow *conversation; /* NULL = unchanged */
  GArray *messages;                 /* of IngSavedMessage */
} IngSave;

IngSave *ing_save_new (void);
void ing_save_add (IngSave *save, IngMessageRow *row, guint first_part, gboolean index);
gboolean ing_save_is_empty (IngSave *save);
void ing_save_free (IngSave *save);

/* @save is taken. A failure raises "problem" before @callback hears of it. */
void ing_chat_context_save_async (IngChatContext *self, IngSave *save,
                                  GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_chat_context_save_finish (IngChatContext *self, GAsyncResult *result, GError **error);
