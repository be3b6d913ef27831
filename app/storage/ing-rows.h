/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the tables as plain structs, which cross between threads: whoever holds one owns it. */
#pragma once

#include <glib.h>

#include "ing-message.h"

typedef enum
{
  ING_TITLE_NONE,
  ING_TITLE_AUTOMATIC,
  ING_TITLE_PERSON
} IngTitleSource;

typedef struct
{
  gint64 id;
  char *title;
  IngTitleSource title_source;
  gint64 created_us, updated_us;
  char *system_prompt;
  char *model_path; /* may be NULL */
  char *sampling;   /* JSON */
  char *draft;
  gboolean plain;
  gint64 chosen_root;
  guint n_messages; /* read only */
} IngConversationRow;

typedef struct
{
  IngPartKind kind;
  char *text; /* never NULL */
  char *data; /* JSON, may be NULL */
} IngPartRow;

typedef struct
{
  gint64 id, conversation_id;
  gint64 parent_id; /* 0 = none */
  IngRole role;
  IngMessageState state;
  IngStopReason stop_reason;
  gint64 created_us;
  gint64 chosen_child; /* 0 = the newest */
  char *model_name, *model_path, *device, *sampling, *stats, *error; /* may be NULL */
  GPtrArray *parts; /* of IngPartRow, owned */
} IngMessageRow;

IngConversationRow *ing_conversation_row_new (void);
void ing_conversation_row_free (IngConversationRow *row);
IngPartRow *ing_part_row_new (IngPartKind kind, const char *text, const char *data);
void ing_part_row_free (IngPartRow *row);
IngMessageRow *ing_message_row_new (void);
void ing_message_row_free (IngMessageRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngConversationRow, ing_conversation_row_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngMessageRow, ing_message_row_free)
