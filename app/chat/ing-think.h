/* SPDX-License-Identifier: Apache-2.0 */
/* Splits a stream into reasoning and text at <think> … </think>, as models of the DeepSeek-R1 and Qwen3
 * kind write it, or <|channel>thought … <channel|>, as Gemma 4 does: only at the answer's beginning, and
 * across any cut of the stream. Blank space about the tags is dropped. */
#pragma once

#include "ing-message.h"

typedef enum
{
  ING_THINK_START,     /* nothing but blanks so far */
  ING_THINK_REASONING, /* after <think>; begun so it ends at </think> */
  ING_THINK_AFTER,     /* after </think>, before the text */
  ING_THINK_TEXT
} IngThinkState;

typedef struct
{
  IngThinkState state;
  gboolean blank; /* nothing of the reasoning came yet */
  guint i_tag;    /* which pair of tags */
  char held[32];  /* the beginning of a tag, perhaps */
} IngThink;

typedef void (*IngThinkFunc) (IngPartKind kind, const char *text, gpointer data);

/* @state: where the stream goes on. */
void ing_think_init (IngThink *self, IngThinkState state);
void ing_think_feed (IngThink *self, const char *text, IngThinkFunc func, gpointer data);
/* The stream ended: what was held back is text after all. */
void ing_think_end (IngThink *self, IngThinkFunc func, gpointer data);
