/* SPDX-License-Identifier: Apache-2.0 */
/* Which cached sequence belongs to which conversation. A new conversation that begins like another one
 * (the same system prompt, a regenerated branch) starts as a fork of it. */
#include <string.h>

#include "eng-session-private.h"

/* Forks shorter than this cost more book-keeping than they save. */
#define LEAST_FORK 32u

static EngConversation *
find_conversation (EngSession *s, const char *key)
{
  const EngKvCache *cache = eng_runner_get_cache (s->runner);
  for (uint32_t i = 0; i < ENG_MAX_CONVERSATIONS; i++)
    {
      EngConversation *c = &s->conversations[i];
      if (!c->key || strcmp (c->key, key) != 0)
        continue;
      if (eng_kv_cache_exists (cache, c->sequence, c->generation))
        return c;
      eng_free (c->key); /* the cache needed its room */
      c->key = NULL;
    }
  return NULL;
}

static EngStatus
remember (EngSession *s, const char *key, uint32_t sequence, EngError *error)
{
  EngKvCache *cache = eng_runner_get_cache (s->runner);
  EngConversation *entry = NULL;
  for (uint32_t i = 0; i < ENG_MAX_CONVERSATIONS; i++)
    {
      EngConversation *c = &s->conversations[i];
      if (c->key && !eng_kv_cache_exists (cache, c->sequence, c->generation))
        {
          eng_free (c->key);
          c->key = NULL;
        }
      if (!c->key)
        entry = c;
    }
  /* The cache holds at most ENG_MAX_CONVERSATIONS sequences, one of which is new. */
  size_t n = strlen (key) + 1;
  char *copy = entry ? eng_alloc (n) : NULL;
  if (!copy)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                          "no memory for the conversation");
  memcpy (copy, key, n);
  entry->key = copy;
  entry->sequence = sequence;
  entry->generation = eng_kv_cache_get_generation (cache, sequence);
  return ENG_OK;
}

/* The conversation that shares most with @tokens; NULL if none shares enough. */
static const EngConversation *
find_relative (EngSession *s, const int32_t *tokens, uint32_t n, uint32_t *n_shared)
{
  EngKvCache *cache = eng_runner_get_cache (s->runner);
  const EngConversation *best = NULL;
  *n_shared = 0;
  for (uint32_t i = 0; i < ENG_MAX_CONVERSATIONS; i++)
    {
      const EngConversation *c = &s->conversations[i];
      if (!c->key || !eng_kv_cache_exists (cache, c->sequence, c->generation))
        continue;
      uint32_t shared = eng_kv_cache_match (cache, c->sequence, tokens, n);
      if (shared >= LEAST_FORK && shared > *n_shared)
        {
          *n_shared = shared;
          best = c;
        }
    }
  return best;
}

EngStatus
eng_session_begin_sequence (EngSession *s, const char *key, const int32_t *tokens, uint32_t n,
                            uint32_t *sequence, uint32_t *n_cached, EngError *error)
{
  EngKvCache *cache = eng_runner_get_cache (s->runner);
  /* The last token is always run again: its logits are needed. */
  uint32_t most = n - 1;
  EngConversation *own = key ? find_conversation (s, key) : NULL;
  if (own)
    {
      uint32_t shared = eng_kv_cache_match (cache, own->sequence, tokens, most);
      EngStatus status = eng_kv_cache_cut (cache, own->sequence, shared, error);
      if (status != ENG_OK)
        return status;
      eng_kv_cache_set_busy (cache, own->sequence, true);
      *sequence = own->sequence;
      *n_cached = shared;
      return ENG_OK;
    }
  uint32_t shared;
  const EngConversation *relative = find_relative (s, tokens, most, &shared);
  EngStatus status = relative
                         ? eng_kv_cache_fork (cache, relative->sequence, shared, sequence, error)
                         : eng_kv_cache_add (cache, sequence, error);
  if (status != ENG_OK)
    return status;
  *n_cached = relative ? shared : 0;
  if (key)
    status = remember (s, key, *sequence, error);
  if (status != ENG_OK)
    eng_kv_cache_remove (cache, *sequence);
  return status;
}

void
eng_session_end_sequence (EngSession *s, const char *key, uint32_t sequence)
{
  EngKvCache *cache = eng_runner_get_cache (s->runner);
  if (key)
    eng_kv_cache_set_busy (cache, sequence, false);
  else
    eng_kv_cache_remove (cache, sequence);
}

void
eng_session_forget (EngSession *s, const char *key)
{
  EngConversation *c = find_conversation (s, key);
  if (!c)
    return;
  eng_kv_cache_remove (eng_runner_get_cache (s->runner), c->sequence);
  eng_free (c->key);
  c->key = NULL;
}
