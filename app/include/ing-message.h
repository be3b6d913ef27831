/* SPDX-License-Identifier: Apache-2.0 */
/* One message of a conversation: a node of its tree, whose content is a list of parts. Belongs to
 * its conversation, which alone changes it. Main thread only. */
#pragma once

#include <gio/gio.h>

#include "ing-sampling.h"

G_BEGIN_DECLS

/* Numbers are stored: never renumber, only append. */
typedef enum
{
  ING_ROLE_USER = 1,
  ING_ROLE_ASSISTANT = 2,
  ING_ROLE_SYSTEM = 3,
  ING_ROLE_TOOL = 4
} IngRole;

typedef enum
{
  ING_PART_TEXT = 1,
  ING_PART_REASONING = 2,
  ING_PART_FILE = 3,
  ING_PART_IMAGE = 4,
  ING_PART_TOOL = 5
} IngPartKind;

typedef enum
{
  ING_MESSAGE_PENDING = 1,     /* waits: for the disk, the model or another answer; see status */
  ING_MESSAGE_STREAMING = 2,   /* reading the prompt, then text comes */
  ING_MESSAGE_COMPLETE = 3,    /* the model ended it, or a person wrote it */
  ING_MESSAGE_STOPPED = 4,     /* ended early on purpose: by the person, or a limit (see stop reason) */
  ING_MESSAGE_INTERRUPTED = 5, /* the program or the machine went away meanwhile */
  ING_MESSAGE_FAILED = 6       /* see error */
} IngMessageState;

/* What a pending or streaming answer is doing. Not stored. */
typedef enum
{
  ING_STATUS_NONE,
  ING_STATUS_SAVING,        /* the question is on its way to the disk */
  ING_STATUS_MODEL_LOADING, /* waits for the model; progress-done and -total are of the load */
  ING_STATUS_QUEUED,        /* waits for another answer */
  ING_STATUS_READING,       /* the prompt; progress-done and -total are tokens */
  ING_STATUS_REASONING,
  ING_STATUS_WRITING
} IngMessageStatus;

typedef enum
{
  ING_STOP_NONE,
  ING_STOP_END,     /* the model ended its turn, or a stop string came */
  ING_STOP_LENGTH,  /* the limit on tokens of one answer */
  ING_STOP_CONTEXT, /* the context is full: offer to continue in a new conversation or enlarge it */
  ING_STOP_PERSON   /* the stop button */
} IngStopReason;

/* ------------------------------------------------------------------ parts */

#define ING_TYPE_PART (ing_part_get_type ())
G_DECLARE_FINAL_TYPE (IngPart, ing_part, ING, PART, GObject)

/* Parts for a message to be sent; text is copied and must be UTF-8. */
IngPart *ing_part_new_text (const char *text);
/* A file or image by its place; @name is shown; @data is a JSON object for whoever reads documents, or
 * NULL. */
IngPart *ing_part_new_file (IngPartKind kind, const char *path, const char *name, const char *mime,
                            const char *data);

/* What documents say to a question: @text goes to the model before what was typed; @data is the passages as JSON,
 * {"passages": [{"document", "page", "heading", "recognized", "text", "score"}, …]}. Its kind is ING_PART_FILE, without a path. */
IngPart *ing_part_new_passages (const char *text, const char *data);

IngPartKind ing_part_get_kind (IngPart *self);
const char *ing_part_get_text (IngPart *self); /* text and reasoning; never NULL; valid until it grows */
gsize ing_part_get_text_bytes (IngPart *self);
const char *ing_part_get_name (IngPart *self);   /* NULL if none, as the next three */
const char *ing_part_get_path (IngPart *self);
const char *ing_part_get_mime (IngPart *self);
const char *ing_part_get_data (IngPart *self);
gint64 ing_part_get_duration_us (IngPart *self); /* reasoning: how long it took; 0 while it runs */

/* ------------------------------------------------------------------ messages */

#define ING_TYPE_MESSAGE (ing_message_get_type ())
G_DECLARE_FINAL_TYPE (IngMessage, ing_message, ING, MESSAGE, GObject)

/* Properties, all read-only and notifying: "state", "status", "sibling-index", "n-siblings",
 * "progress-done", "progress-total", "seconds-left", "tokens-per-second", "n-tokens", "error".
 *
 * Signals:
 *   "part-added" (IngPart *): an answer began a new part (text after reasoning, …)
 *   "text-appended" (IngPart *, const char *text): only the new text, whole characters; emitted at
 *      most once a frame (16 ms) */

gint64 ing_message_get_id (IngMessage *self);        /* unique in the database, > 0 */
gint64 ing_message_get_parent_id (IngMessage *self); /* 0 = first of the conversation */
IngRole ing_message_get_role (IngMessage *self);
IngMessageState ing_message_get_state (IngMessage *self);
IngMessageStatus ing_message_get_status (IngMessage *self);
IngStopReason ing_message_get_stop_reason (IngMessage *self);
gint64 ing_message_get_created_us (IngMessage *self); /* real time, microseconds since 1970 */

guint ing_message_get_n_parts (IngMessage *self);
IngPart *ing_message_get_part (IngMessage *self, guint index);   /* borrowed */
GListModel *ing_message_list_parts (IngMessage *self);           /* borrowed; of IngPart */
char *ing_message_dup_text (IngMessage *self);      /* all text parts joined by blank lines */
char *ing_message_dup_reasoning (IngMessage *self); /* NULL if there is none */

/* Which of the versions of this turn this is: "‹ 2/3 ›". */
guint ing_message_get_sibling_index (IngMessage *self); /* from 0 */
guint ing_message_get_n_siblings (IngMessage *self);    /* >= 1 */

/* Why a failed answer failed (ING_ERROR domain), NULL otherwise. Survives a restart. */
const GError *ing_message_get_error (IngMessage *self);

/* TRUE when ing_conversation_continue() can go on behind this answer. */
gboolean ing_message_can_continue (IngMessage *self);

/* Figures of an answer; 0 or NULL while unknown. While it streams they are of now. */
guint64 ing_message_get_progress_done (IngMessage *self);
guint64 ing_message_get_progress_total (IngMessage *self);
double ing_message_get_seconds_left (IngMessage *self); /* of reading; < 0 = unknown */
double ing_message_get_tokens_per_second (IngMessage *self);
guint ing_message_get_n_tokens (IngMessage *self);
guint ing_message_get_n_prompt (IngMessage *self);
gint64 ing_message_get_first_token_us (IngMessage *self); /* from the request to the first token */
const char *ing_message_get_model_name (IngMessage *self);
const char *ing_message_get_device (IngMessage *self);
void ing_message_get_sampling (IngMessage *self, IngSampling *out);

G_END_DECLS
