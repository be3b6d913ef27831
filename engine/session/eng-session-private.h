/* SPDX-License-Identifier: Apache-2.0 */
/* Private to session/. */
#pragma once

#include "eng-arena.h"
#include "eng-buffer.h"
#include "eng-detokenizer.h"
#include "eng-error.h"
#include "eng-session.h"
#include "eng-template.h"

#define ENG_MAX_CONVERSATIONS 64u

/* What the cache keeps of a conversation. */
typedef struct
{
  char *key;           /* owned; NULL = free entry */
  uint32_t sequence;
  uint64_t generation; /* the sequence may have been forgotten: eng_kv_cache_exists () */
} EngConversation;

/* Text that may be the beginning of a stop string is held back here. */
typedef struct
{
  EngBuffer text;
  const EngString *stops;
  uint32_t n_stops;
} EngStopFilter;

struct EngSession
{
  EngRuntime *runtime;
  EngModel *model;
  EngSessionPlan plan;
  EngExecutor *executor;
  EngRunner *runner;
  EngTokenizer *tokenizer;
  EngTemplate *template_;  /* NULL: none, or it does not parse */
  EngError template_error; /* why it does not parse; code ENG_OK if it does or there is none */
  EngTokenBuffer prompt;   /* of the call at work */
  int32_t *generated;      /* [n_ctx] */
  EngSampler *sampler;
  bool host_sampling; /* ENG_SESSION_WITHOUT_DEVICE_SAMPLING */
  EngBuffer pushed;    /* characters of the newest token */
  EngStopFilter filter;
  EngConversation conversations[ENG_MAX_CONVERSATIONS];
};

/* eng-stop-filter.c: move the new characters of @text behind what is held; then *n_ready bytes at the front of
 * filter->text may be shown. True when a stop string was found: what stands before it is ready, the rest is void.
 * eng_stop_filter_take () drops bytes that were shown. */
bool eng_stop_filter_push (EngStopFilter *filter, const char *text, size_t n_bytes, size_t *n_ready);
void eng_stop_filter_take (EngStopFilter *filter, size_t n_bytes);

/* eng-conversation.c: a busy sequence for @conversation (may be NULL) that holds the longest usable prefix of
 * @tokens, at most n - 1 of them; *n_cached says how long. */
EngStatus eng_session_begin_sequence (EngSession *session, const char *conversation,
                                      const int32_t *tokens, uint32_t n, uint32_t *sequence,
                                      uint32_t *n_cached, EngError *error);
/* Let the sequence go: kept for the conversation, or forgotten if it is nobody's. */
void eng_session_end_sequence (EngSession *session, const char *conversation, uint32_t sequence);
