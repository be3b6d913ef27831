/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of IngConversation share, and what its list needs. */
#pragma once

#include "ing-chat-context.h"
#include "ing-conversation.h"
#include "ing-message-private.h"
#include "ing-think.h"

#define ING_FLUSH_MS 250
#define ING_RETRY_MS 2000
#define ING_DRAFT_MS 500

struct _IngConversation
{
  GObject parent_instance;
  IngChatContext *context;
  gint64 id;
  char *title;
  IngTitleSource title_source;
  gint64 created_us, updated_us;
  char *system_prompt, *model_path, *draft;
  gboolean plain;
  IngSampling sampling; /* if sampling_chosen */
  gboolean sampling_chosen;
  gint64 chosen_root;
  guint n_messages; /* as the database counted, until loaded */

  gboolean loaded;
  GPtrArray *loading;    /* tasks that wait for the load; NULL = none under way */
  GHashTable *messages;  /* id → IngMessage, owned */
  GPtrArray *roots;      /* of IngMessage, not owned */
  GListStore *branch;

  gboolean dirty;        /* the row */
  gboolean saving;       /* a save is under way … */
  gboolean save_again;   /* … and is out of date already */
  guint save_id;         /* timeout */
  gint64 save_due_us;    /* when it fires */
  gboolean deleted;      /* nothing is written any more */
  gboolean kept;         /* it was written, or may be: it has a message, a title or a draft */

  IngMessage *answer;    /* pending or streaming; NULL = not busy */
  IngGeneration *generation; /* NULL until the question is committed */
  gboolean held;         /* until then: what can wait does (ing_generation_service_hold ()) */
  gboolean stop_wanted;
  IngThink think;
};

/* Signal "touched": updated-us changed, or its first message or title came: the list moves it. */

IngConversation *ing_conversation_new (IngChatContext *context, gint64 id);
IngConversation *ing_conversation_new_from_row (IngChatContext *context,
                                                const IngConversationRow *row);

/* Whether the sidebar shows it: it has a message or a title. */
gboolean ing_conversation_is_listed (IngConversation *self);
void ing_conversation_touch (IngConversation *self);
/* Save what is dirty within @ms; 0 = at once. */
void ing_conversation_save_soon (IngConversation *self, guint ms);
void ing_conversation_set_deleted (IngConversation *self, gboolean deleted);
/* Make the shown branch what the choices say. */
void ing_conversation_update_branch (IngConversation *self);
IngMessage *ing_conversation_add_message (IngConversation *self, IngMessage *parent, IngRole role);
void ing_conversation_give_title (IngConversation *self, const char *title, IngTitleSource source);
void ing_conversation_set_answer (IngConversation *self, IngMessage *answer);
/* From the question to its being submitted, or the end. */
void ing_conversation_set_held (IngConversation *self, gboolean held);
/* The question is on the disk (or, with @error, is not): its answer goes on. */
void ing_conversation_on_committed (IngConversation *self, const GError *error);
/* Text of @self's shown branch up to and without @until (NULL = all) as the engine takes it. */
JsonObject *ing_conversation_make_request (IngConversation *self, IngMessage *until,
                                           const char *next_question);
