/* SPDX-License-Identifier: Apache-2.0 */
/* How a conversation changes its messages. */
#pragma once

#include "ing-generation.h"
#include "ing-message.h"
#include "ing-rows.h"

#define ING_PART_CLEAN G_MAXUINT

struct _IngMessage
{
  GObject parent_instance;
  gint64 id, conversation_id;
  IngMessage *parent;  /* not owned; NULL = first */
  GPtrArray *children; /* of IngMessage, not owned (the conversation owns all), oldest first */
  gint64 chosen_child; /* 0 = the newest */
  IngRole role;
  IngMessageState state;
  IngMessageStatus status;
  IngStopReason stop_reason;
  gint64 created_us;
  GListStore *parts;
  guint sibling_index, n_siblings;
  GError *error;

  guint64 progress_done, progress_total;
  double seconds_left, tokens_per_second;
  guint n_tokens, n_prompt, n_cached;
  gint64 first_token_us, prefill_us, decode_us, seed;
  char *model_name, *model_path, *device;
  IngSampling sampling;

  /* What the database lacks: the row, and the parts from dirty_part on. */
  gboolean dirty;
  guint dirty_part; /* ING_PART_CLEAN = none */
  gboolean stored;  /* a row of it was committed */
  gboolean index;   /* to be put in the search index with the next save */
};

IngMessage *ing_message_new (gint64 id, gint64 conversation_id, IngMessage *parent, IngRole role);
IngMessage *ing_message_new_from_row (const IngMessageRow *row, IngMessage *parent);

/* The row with its parts from @first_part on filled in (earlier ones are empty). Caller frees. */
IngMessageRow *ing_message_make_row (IngMessage *self, guint first_part);

void ing_message_add_part (IngMessage *self, IngPart *part);
/* Add to the last part if it is of @kind, else to a new one. */
void ing_message_append (IngMessage *self, IngPartKind kind, const char *text);
void ing_message_set_state (IngMessage *self, IngMessageState state);
void ing_message_set_status (IngMessage *self, IngMessageStatus status);
void ing_message_set_siblings (IngMessage *self, guint index, guint n);
void ing_message_set_error (IngMessage *self, const GError *error);
/* Take figures over; notifies. */
void ing_message_follow (IngMessage *self, IngGeneration *generation);

IngPart *ing_part_new_from_row (const IngPartRow *row);
IngPartRow *ing_part_make_row (IngPart *self);
IngPart *ing_part_new_growing (IngPartKind kind);
void ing_part_append (IngPart *self, const char *text);
/* The last part ended: reasoning learns how long it took. */
void ing_part_end (IngPart *self);
