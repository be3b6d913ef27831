/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: prompt → reused prefix → prefill → decode, sample, detokenize. */
#include <string.h>
#include <time.h>

#include "eng-session-private.h"

const char *
eng_stop_reason_name (EngStopReason reason)
{
  static const char *const names[] = { "eog", "length", "context", "cancel", "stop" };
  return (unsigned) reason < sizeof names / sizeof names[0] ? names[reason] : "unknown";
}

static uint64_t
now_us (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000000u + (uint64_t) t.tv_nsec / 1000u;
}

typedef struct
{
  EngSession *s;
  const EngGenerateRequest *request;
  EngGenerateResult *result;
  uint32_t sequence;
  uint64_t start_us;
  EngDetokenizer detokenizer;
} Loop;

static bool
is_cancelled (const Loop *l)
{
  return l->request->cancel && atomic_load_explicit (l->request->cancel, memory_order_relaxed);
}

typedef struct
{
  const Loop *loop;
  uint32_t n_cached;
} Progress;

static bool
progress_cb (void *data, uint32_t n_done, uint32_t n)
{
  const Progress *p = data;
  const EngGenerateRequest *request = p->loop->request;
  if (is_cancelled (p->loop))
    return false;
  return !request->progress
         || request->progress (request->data, p->n_cached + n_done, p->n_cached + n);
}

/* Room for all that a token can add, so that the loop need not ask for memory. */
static EngStatus
reserve (EngSession *s, EngError *error)
{
  size_t wanted = 4 * ENG_TOKENIZER_MAX_TOKEN_BYTES + ENG_MAX_STOP_BYTES + 64;
  EngBuffer *buffers[] = { &s->pushed, &s->filter.text };
  for (unsigned i = 0; i < 2; i++)
    {
      if (buffers[i]->capacity < wanted)
        {
          char *grown = eng_realloc_array (buffers[i]->data, wanted, 1);
          if (!grown)
            return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
          buffers[i]->data = grown;
          buffers[i]->capacity = wanted;
        }
      buffers[i]->n_bytes = 0;
      buffers[i]->data[0] = 0;
    }
  return ENG_OK;
}

static EngStatus
check_request (const EngGenerateRequest *r, EngError *error)
{
  if (r->n_stops > ENG_MAX_STOP_STRINGS)
    return eng_error_set (error, ENG_ERR_LIMIT, "stop", ENG_OFFSET_NONE,
                          "more than %u stop strings", ENG_MAX_STOP_STRINGS);
  for (uint32_t i = 0; i < r->n_stops; i++)
    if (r->stops[i].n_bytes == 0 || r->stops[i].n_bytes > ENG_MAX_STOP_BYTES)
      return eng_error_set (error, ENG_ERR_ARGUMENT, "stop", ENG_OFFSET_NONE,
                            "a stop string has %zu bytes, not 1 to %u", r->stops[i].n_bytes,
                            ENG_MAX_STOP_BYTES);
  return ENG_OK;
}

/* Hand over @n bytes of what is held (0: only the count moved). False: cancelled. */
static bool
show (Loop *l, size_t n)
{
  EngStopFilter *filter = &l->s->filter;
  bool go_on = !l->request->on_text
               || l->request->on_text (l->request->data, filter->text.data, n,
                                       l->result->n_generated, l->result->n_context);
  eng_stop_filter_take (filter, n);
  return go_on;
}

/* Text of @token out; true when generation ends here, *reason says why. */
static EngStatus
emit (Loop *l, int32_t token, bool *ended, EngError *error)
{
  EngSession *s = l->s;
  size_t n_ready;
  *ended = true;
  s->pushed.n_bytes = 0;
  EngStatus status = eng_detokenizer_push (&l->detokenizer, token, &s->pushed);
  if (status != ENG_OK)
    return eng_error_set (error, status, NULL, ENG_OFFSET_NONE, "token %d cannot be shown", token);
  bool found
      = eng_stop_filter_push (&s->filter, s->pushed.data, s->pushed.n_bytes, &n_ready);
  bool go_on = show (l, n_ready);
  if (found)
    {
      s->filter.text.n_bytes = 0;
      l->result->reason = ENG_STOP_STRING;
    }
  else if (!go_on)
    l->result->reason = ENG_STOP_CANCEL;
  else
    *ended = false;
  return ENG_OK;
}

/* One token made: show it, count it; *ended: generation ends here, result->reason says why. */
static EngStatus
accept_token (Loop *l, int32_t token, bool *ended, EngError *error)
{
  EngSession *s = l->s;
  EngGenerateResult *r = l->result;
  const EngGenerateRequest *request = l->request;
  *ended = true;
  if (r->n_generated == 0)
    r->time_to_first_token_us = now_us () - l->start_us;
  if (!request->ignore_eog && eng_tokenizer_is_end_of_generation (s->tokenizer, token))
    {
      r->reason = ENG_STOP_EOG;
      return ENG_OK;
    }
  eng_sampler_accept (s->sampler, token);
  s->generated[r->n_generated++] = token;
  EngStatus status = emit (l, token, ended, error);
  if (status != ENG_OK || *ended)
    return status;
  *ended = true;
  if (request->max_tokens && r->n_generated == request->max_tokens)
    r->reason = ENG_STOP_LENGTH;
  else if (r->n_context == eng_runner_get_options (s->runner)->n_ctx)
    r->reason = ENG_STOP_CONTEXT;
  else
    *ended = false;
  return ENG_OK;
}

/* Tokens that a device samples by itself, as they come. */
typedef struct
{
  Loop *loop;
  int32_t token; /* the newest */
  bool ended;
  EngStatus status;
  EngError *error;
} Arriving;

static bool
take_cb (void *data, int32_t token, bool drew)
{
  Arriving *a = data;
  if (drew)
    eng_sampler_drop_draw (a->loop->s->sampler);
  a->loop->result->n_context++;
  a->token = token;
  if (is_cancelled (a->loop))
    {
      a->loop->result->reason = ENG_STOP_CANCEL;
      a->ended = true;
      return false;
    }
  a->status = accept_token (a->loop, token, &a->ended, a->error);
  return a->status == ENG_OK && !a->ended;
}

static uint32_t
least (uint32_t a, uint32_t b)
{
  return a < b ? a : b;
}

/* The device goes on from *token, for as many tokens as it takes at once. ENG_ERR_UNSUPPORTED: nothing was done. */
static EngStatus
decode_ahead (Loop *l, int32_t *token, bool *ended, EngError *error)
{
  EngSession *s = l->s;
  const EngGenerateResult *r = l->result;
  const EngSamplerOptions *o = eng_sampler_get_options (s->sampler);
  if (!o->greedy && (o->top_k == 0 || o->top_k > ENG_DEVICE_TOP_K))
    return ENG_ERR_UNSUPPORTED;
  double draws[ENG_DEVICE_SAMPLES];
  int32_t seen[ENG_SAMPLER_MAX_WINDOW];
  bool penalty = o->repetition_penalty != 1.0f && o->penalty_window > 0;
  uint32_t n = least (ENG_DEVICE_SAMPLES, eng_runner_get_options (s->runner)->n_ctx - r->n_context);
  if (l->request->max_tokens)
    n = least (n, l->request->max_tokens - r->n_generated);
  eng_sampler_peek (s->sampler, draws, n);
  Arriving arriving = { .loop = l, .token = *token, .status = ENG_OK, .error = error };
  const EngSampling sampling = { .greedy = o->greedy,
                                 .temperature = o->temperature,
                                 .top_p = o->top_p,
                                 .min_p = o->min_p,
                                 .repetition_penalty = o->repetition_penalty,
                                 .top_k = least (o->top_k, eng_runner_get_program (s->runner)->n_vocab),
                                 .penalty_window = penalty ? o->penalty_window : 0,
                                 .seen = seen,
                                 .n_seen = penalty ? eng_sampler_get_seen (s->sampler, seen) : 0,
                                 .n_samples = n,
                                 .draws = draws,
                                 .take = take_cb,
                                 .data = &arriving };
  EngStatus status = eng_runner_sample (s->runner, l->sequence, *token, &sampling, l->request->cancel, error);
  *token = arriving.token;
  *ended = arriving.ended;
  if (status == ENG_ERR_CANCELLED && !*ended)
    {
      l->result->reason = ENG_STOP_CANCEL;
      *ended = true;
    }
  if (arriving.status != ENG_OK)
    return arriving.status;
  return status == ENG_ERR_CANCELLED ? ENG_OK : status;
}

/* The next token, by way of the host. */
static EngStatus
decode_one (Loop *l, int32_t *token, bool *ended, EngError *error)
{
  EngSession *s = l->s;
  const EngRunnerSpan span
      = { .sequence = l->sequence, .tokens = token, .n = 1, .outputs = ENG_OUTPUT_LAST };
  EngStatus status = eng_runner_run (s->runner, &span, 1, l->request->cancel, error);
  if (status == ENG_ERR_CANCELLED || (status == ENG_OK && is_cancelled (l)))
    {
      l->result->reason = ENG_STOP_CANCEL;
      *ended = true;
      return ENG_OK;
    }
  if (status != ENG_OK)
    return status;
  l->result->n_context++;
  *token = eng_sampler_sample (s->sampler, eng_runner_get_output (s->runner, 0));
  return accept_token (l, *token, ended, error);
}

/* From the logits of the prompt's last row to the end. */
static EngStatus
decode (Loop *l, EngError *error)
{
  EngSession *s = l->s;
  int32_t token = eng_sampler_sample (s->sampler, eng_runner_get_output (s->runner, 0));
  bool ended, ahead = !s->host_sampling;
  EngStatus status = accept_token (l, token, &ended, error);
  while (status == ENG_OK && !ended)
    {
      status = ahead ? decode_ahead (l, &token, &ended, error) : ENG_ERR_UNSUPPORTED;
      ahead = ahead && status == ENG_OK;
      if (status == ENG_ERR_UNSUPPORTED)
        status = decode_one (l, &token, &ended, error);
    }
  return status;
}

/* What was held back as a possible stop string, and half a character, at an end that is no stop string. */
static EngStatus
flush (Loop *l, EngError *error)
{
  EngSession *s = l->s;
  size_t n_ready;
  s->pushed.n_bytes = 0;
  EngStatus status = eng_detokenizer_flush (&l->detokenizer, &s->pushed);
  if (status != ENG_OK)
    return eng_error_set (error, status, NULL, ENG_OFFSET_NONE, "no memory");
  eng_stop_filter_push (&s->filter, s->pushed.data, s->pushed.n_bytes, &n_ready);
  if (s->filter.text.n_bytes > 0)
    show (l, s->filter.text.n_bytes);
  return ENG_OK;
}

static EngStatus
prefill (Loop *l, uint32_t n_cached, EngError *error)
{
  EngSession *s = l->s;
  EngGenerateResult *r = l->result;
  Progress progress = { l, n_cached };
  uint64_t began = now_us ();
  EngStatus status = eng_runner_prefill (s->runner, l->sequence, s->prompt.ids + n_cached,
                                         r->n_prompt - n_cached, 0, progress_cb, &progress,
                                         l->request->cancel, error);
  r->prefill_us = now_us () - began;
  r->n_context = eng_kv_cache_get_n_positions (eng_runner_get_cache (s->runner), l->sequence);
  return status;
}

static EngStatus
run_loop (Loop *l, uint32_t n_cached, EngError *error)
{
  EngSession *s = l->s;
  EngGenerateResult *r = l->result;
  EngStatus status = prefill (l, n_cached, error);
  if (status == ENG_ERR_CANCELLED)
    {
      r->reason = ENG_STOP_CANCEL;
      return ENG_OK;
    }
  if (status != ENG_OK)
    return status;
  for (uint32_t i = 0; i < r->n_prompt; i++)
    eng_sampler_accept (s->sampler, s->prompt.ids[i]);
  eng_detokenizer_init (&l->detokenizer, s->tokenizer, ENG_DETOKENIZE_ANSWER);
  uint64_t began = now_us ();
  status = decode (l, error);
  if (status == ENG_OK && r->reason != ENG_STOP_STRING)
    status = flush (l, error);
  r->decode_us = now_us () - began;
  return status;
}

EngStatus
eng_session_generate (EngSession *s, const EngGenerateRequest *request, EngGenerateResult *result,
                      EngError *error)
{
  Loop l = { .s = s, .request = request, .result = result, .start_us = now_us () };
  memset (result, 0, sizeof *result);
  uint32_t n_ctx = eng_runner_get_options (s->runner)->n_ctx;
  EngStatus status = check_request (request, error);
  if (status == ENG_OK)
    status = reserve (s, error);
  eng_token_buffer_clear (&s->prompt);
  if (status == ENG_OK)
    status = eng_session_encode (s, &request->prompt, &s->prompt, error);
  if (status == ENG_OK && s->prompt.n == 0)
    status = eng_error_set (error, ENG_ERR_ARGUMENT, "prompt", ENG_OFFSET_NONE,
                            "the prompt is empty");
  if (status == ENG_OK && s->prompt.n > n_ctx)
    status = eng_error_set_numbers (error, ENG_ERR_CONTEXT_FULL, "prompt", s->prompt.n, n_ctx,
                                    "the prompt has %zu tokens, the context %u", s->prompt.n,
                                    n_ctx);
  if (status == ENG_OK)
    status = eng_sampler_reset (s->sampler, &request->sampling, error);
  if (status != ENG_OK)
    return status;
  result->n_prompt = (uint32_t) s->prompt.n;
  result->tokens = s->generated;
  s->filter.stops = request->stops;
  s->filter.n_stops = request->n_stops;
  status = eng_session_begin_sequence (s, request->conversation, s->prompt.ids, result->n_prompt,
                                       &l.sequence, &result->n_cached, error);
  if (status != ENG_OK)
    return status;
  result->n_context = result->n_cached;
  status = run_loop (&l, result->n_cached, error);
  eng_session_end_sequence (s, request->conversation, l.sequence);
  return status;
}
