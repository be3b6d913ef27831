/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that run a model: GENERATE, COUNT, SCORE, EMBED. */
#include <string.h>
#include <sys/random.h>

#include "eng-embed.h"
#include "eng-folder.h"
#include "eng-serve-private.h"

/* Rows of a batch of texts. One for the index is given up and made again when an answer comes: it waits for a step, not
 * for a batch. */
#define BATCH_ROWS 512u
/* Tokens that come within this time go out as one frame. */
#define JOIN_US 15000u

static EngStatus
need_chat (const EngService *s, EngError *error)
{
  if (s->chat)
    return ENG_OK;
  return eng_error_set (error, ENG_ERR_NOT_FOUND, "model", ENG_OFFSET_NONE, "no model is loaded");
}

/* --- reading payloads --- */

/* "messages" or "prompt" (or "text"), "vars", "continue". */
static EngStatus
read_prompt (const EngJson *payload, EngPrompt *prompt, EngError *error)
{
  *prompt = (EngPrompt) { .messages = eng_json_get (payload, "messages"),
                          .vars = eng_json_get (payload, "vars") };
  if (prompt->messages && prompt->messages->type == ENG_JSON_NULL)
    prompt->messages = NULL;
  if (prompt->vars && prompt->vars->type == ENG_JSON_NULL)
    prompt->vars = NULL;
  const EngJson *text = eng_json_get (payload, "prompt");
  if (!text)
    text = eng_json_get (payload, "text");
  const EngJson *behind = eng_json_get (payload, "continue");
  if (behind && behind->type == ENG_JSON_STRING && behind->n > 0)
    {
      prompt->behind = behind->string;
      prompt->behind_bytes = behind->n;
    }
  if (prompt->messages)
    return ENG_OK;
  if (!text || text->type != ENG_JSON_STRING)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "messages", ENG_OFFSET_NONE,
                          "neither messages nor a text");
  prompt->text = text->string;
  prompt->text_bytes = text->n;
  return ENG_OK;
}

static EngStatus
read_real (const EngJson *object, const char *key, float *out, EngError *error)
{
  const EngJson *value = eng_json_get (object, key);
  double number;
  if (!value || value->type == ENG_JSON_NULL)
    return ENG_OK;
  if (!eng_json_get_double (object, key, &number))
    return eng_error_set (error, ENG_ERR_ARGUMENT, key, ENG_OFFSET_NONE, "'%s' is no number", key);
  *out = (float) number;
  return ENG_OK;
}

static EngStatus
read_sampling (const EngJson *payload, EngSamplerOptions *o, EngError *error)
{
  const EngJson *sampling = eng_json_get (payload, "sampling");
  int64_t seed = -1, top_k = 40;
  eng_sampler_options_init (o);
  eng_json_get_bool (sampling, "greedy", &o->greedy);
  EngStatus status = read_real (sampling, "temperature", &o->temperature, error);
  if (status == ENG_OK)
    status = read_real (sampling, "top_p", &o->top_p, error);
  if (status == ENG_OK)
    status = read_real (sampling, "min_p", &o->min_p, error);
  if (status == ENG_OK)
    status = read_real (sampling, "repetition_penalty", &o->repetition_penalty, error);
  eng_json_get_int64 (sampling, "top_k", &top_k);
  eng_json_get_int64 (sampling, "seed", &seed);
  if (status == ENG_OK && (top_k < 0 || top_k > INT32_MAX))
    status = eng_error_set (error, ENG_ERR_ARGUMENT, "top_k", ENG_OFFSET_NONE,
                            "top_k: %lld is out of range", (long long) top_k);
  o->top_k = (uint32_t) top_k;
  o->seed = (uint64_t) seed;
  if (seed < 0)
    {
      /* Small enough for a JSON number, so that the answer can be had again. */
      uint64_t random = eng_service_now_us ();
      if (getrandom (&random, sizeof random, GRND_NONBLOCK) < 0)
        random ^= random << 21;
      o->seed = random & (((uint64_t) 1 << 53) - 1);
    }
  return status;
}

/* Strings of array member @key; *out lives in the request's arena. */
static EngStatus
read_strings (EngRequest *request, const char *key, uint32_t max, EngString **out, uint32_t *n,
              EngError *error)
{
  const EngJson *array = eng_json_get (request->payload, key);
  *n = 0;
  *out = NULL;
  if (!array || array->type == ENG_JSON_NULL)
    return ENG_OK;
  if (array->type != ENG_JSON_ARRAY || array->n > max)
    return eng_error_set (error, ENG_ERR_ARGUMENT, key, ENG_OFFSET_NONE,
                          "'%s' is no list of up to %u texts", key, max);
  *out = eng_arena_alloc_array (&request->arena, array->n, sizeof **out);
  if (!*out)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  for (size_t i = 0; i < array->n; i++)
    {
      const EngJson *item = eng_json_at (array, i);
      if (item->type != ENG_JSON_STRING)
        return eng_error_set (error, ENG_ERR_ARGUMENT, key, ENG_OFFSET_NONE,
                              "'%s' holds something that is no text", key);
      (*out)[(*n)++] = (EngString) { item->string, item->n };
    }
  return ENG_OK;
}

/* --- GENERATE --- */

typedef struct
{
  EngService *service;
  EngRequest *request;
  uint64_t progress_us; /* of the last PROGRESS */
  uint64_t first_us, sent_us;
  EngBuffer text; /* not sent yet */
  uint32_t n_generated, n_context, n_sent;
} Stream;

static bool
progress_cb (void *data, uint32_t done, uint32_t total)
{
  Stream *stream = data;
  eng_service_handle_urgent (stream->service, ENG_PRIORITY_ANSWER);
  eng_service_send_progress (stream->service, stream->request, "prefill", done, total,
                             &stream->progress_us);
  return !atomic_load (&stream->request->cancel);
}

static void
send_text (Stream *stream)
{
  if (stream->n_sent == stream->n_generated && stream->text.n_bytes == 0)
    return;
  uint64_t now = eng_service_now_us ();
  EngJsonWriter w = eng_service_begin (stream->service);
  eng_json_write_key (&w, "text");
  eng_json_write_string_n (&w, stream->text.data ? stream->text.data : "", stream->text.n_bytes);
  eng_json_write_member_int64 (&w, "n_tokens", stream->n_generated);
  eng_json_write_member_int64 (&w, "n_context", stream->n_context);
  eng_json_write_member_int64 (&w, "us", (int64_t) (now - stream->first_us));
  eng_service_send (stream->service, stream->request, ENG_WIRE_TOKENS, &w);
  stream->n_sent = stream->n_generated;
  stream->sent_us = now;
  eng_buffer_reset (&stream->text);
}

static bool
text_cb (void *data, const char *text, size_t n_bytes, uint32_t n_generated, uint32_t n_context)
{
  Stream *stream = data;
  if (!stream->first_us)
    stream->first_us = eng_service_now_us ();
  stream->n_generated = n_generated;
  stream->n_context = n_context;
  eng_service_handle_urgent (stream->service, ENG_PRIORITY_ANSWER);
  eng_buffer_append (&stream->text, text, n_bytes);
  if (n_bytes > 0 && eng_service_now_us () - stream->sent_us >= JOIN_US)
    send_text (stream);
  return !stream->service->write_failed;
}

static void
answer_generate (EngService *s, EngRequest *request, const EngGenerateResult *r, uint32_t n_ctx,
                 uint64_t seed)
{
  EngJsonWriter w = eng_service_begin (s);
  eng_json_write_member_string (&w, "stop_reason", eng_stop_reason_name (r->reason));
  eng_json_write_member_int64 (&w, "n_prompt", r->n_prompt);
  eng_json_write_member_int64 (&w, "n_cached", r->n_cached);
  eng_json_write_member_int64 (&w, "n_generated", r->n_generated);
  eng_json_write_member_int64 (&w, "n_context", r->n_context);
  eng_json_write_member_int64 (&w, "context", n_ctx);
  eng_json_write_member_int64 (&w, "time_to_first_token_us", (int64_t) r->time_to_first_token_us);
  eng_json_write_member_int64 (&w, "prefill_us", (int64_t) r->prefill_us);
  eng_json_write_member_int64 (&w, "decode_us", (int64_t) r->decode_us);
  eng_json_write_member_int64 (&w, "seed", (int64_t) seed);
  eng_service_send (s, request, ENG_WIRE_DONE, &w);
}

EngStatus
eng_service_generate (EngService *s, EngRequest *request, EngError *error)
{
  EngStatus status = need_chat (s, error);
  EngString *stops = NULL;
  uint32_t n_stops = 0;
  int64_t max_tokens = 0;
  Stream stream = { .service = s, .request = request };
  EngGenerateRequest generate = { .progress = progress_cb, .on_text = text_cb, .data = &stream,
                                  .cancel = &request->cancel };
  EngGenerateResult result = { .reason = ENG_STOP_CANCEL };
  if (status == ENG_OK)
    status = read_prompt (request->payload, &generate.prompt, error);
  if (status == ENG_OK)
    status = read_sampling (request->payload, &generate.sampling, error);
  if (status == ENG_OK)
    status = read_strings (request, "stop", ENG_MAX_STOP_STRINGS, &stops, &n_stops, error);
  if (status != ENG_OK)
    return status;
  eng_json_get_string (request->payload, "conversation", &generate.conversation);
  eng_json_get_int64 (request->payload, "max_tokens", &max_tokens);
  if (max_tokens < 0 || max_tokens > INT32_MAX)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "max_tokens", ENG_OFFSET_NONE,
                          "max_tokens: %lld is out of range", (long long) max_tokens);
  generate.max_tokens = (uint32_t) max_tokens;
  generate.stops = stops;
  generate.n_stops = n_stops;
  if (!atomic_load (&request->cancel))
    status = eng_session_generate (s->chat, &generate, &result, error);
  if (status == ENG_OK)
    {
      send_text (&stream);
      answer_generate (s, request, &result, eng_session_get_plan (s->chat)->n_ctx,
                       generate.sampling.seed);
    }
  eng_buffer_clear (&stream.text);
  return status;
}

/* --- COUNT, SCORE --- */

EngStatus
eng_service_count (EngService *s, EngRequest *request, EngError *error)
{
  EngPrompt prompt;
  EngTokenBuffer ids = { 0 };
  EngStatus status = need_chat (s, error);
  if (status == ENG_OK)
    status = read_prompt (request->payload, &prompt, error);
  if (status == ENG_OK)
    status = eng_session_encode (s->chat, &prompt, &ids, error);
  if (status == ENG_OK)
    {
      EngJsonWriter w = eng_service_begin (s);
      eng_json_write_member_int64 (&w, "n_tokens", (int64_t) ids.n);
      eng_json_write_member_int64 (&w, "context", eng_session_get_plan (s->chat)->n_ctx);
      eng_service_send (s, request, ENG_WIRE_DONE, &w);
    }
  eng_token_buffer_free (&ids);
  return status;
}

EngStatus
eng_service_score (EngService *s, EngRequest *request, EngError *error)
{
  EngPrompt prompt;
  EngString *texts;
  uint32_t n;
  EngStatus status = need_chat (s, error);
  if (status == ENG_OK)
    status = read_prompt (request->payload, &prompt, error);
  if (status == ENG_OK)
    status = read_strings (request, "candidates", 1024, &texts, &n, error);
  if (status != ENG_OK)
    return status;
  float *scores = eng_arena_alloc_array (&request->arena, n, sizeof *scores);
  if (!scores)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  status = eng_session_score (s->chat, &prompt, texts, n, &request->cancel, scores, error);
  if (status != ENG_OK)
    return status;
  EngJsonWriter w = eng_service_begin (s);
  eng_json_write_key (&w, "log_likelihood");
  eng_json_write_begin_array (&w);
  for (uint32_t i = 0; i < n; i++)
    eng_json_write_double (&w, scores[i]);
  eng_json_write_end_array (&w);
  eng_service_send (s, request, ENG_WIRE_DONE, &w);
  return ENG_OK;
}

/* --- EMBED --- */

/* The device is not there, or has no room: nothing that was loaded on it is lost. */
static bool
lacks_device (EngStatus status)
{
  return status >= ENG_ERR_NO_MODULE && status <= ENG_ERR_DEVICE_MEMORY && status != ENG_ERR_DEVICE;
}

static EngStatus
need_embedder (EngService *s, EngRequest *request, EngError *error)
{
  const char *path;
  EngSessionOptions options;
  EngStatus status = eng_service_read_string (request->payload, "path", &path, error);
  if (status == ENG_OK)
    status = eng_service_read_options (request->payload, &options, error);
  if (status != ENG_OK)
    return status;
  options.max_sequences = 16;
  char *key = eng_service_make_key (path, &options);
  if (!key)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  if (s->embedder && strcmp (key, s->embedder_key) == 0
      && eng_gguf_is_unchanged (eng_model_get_file (eng_session_get_model (s->embedder))))
    {
      eng_free (key);
      return ENG_OK;
    }
  eng_session_free (&s->embedder);
  eng_free (s->embedder_key);
  s->embedder_key = key;
  char file[ENG_FOLDER_PATH_BYTES];
  status = eng_folder_get_file (path, file, error);
  if (status == ENG_OK)
    status = eng_session_new (s->runtime, file, &options, &s->embedder, error);
  /* The card filled up meanwhile, or was taken out: vectors are made all the same. */
  if (lacks_device (status))
    {
      options.device = "cpu";
      status = eng_session_new (s->runtime, file, &options, &s->embedder, error);
    }
  return status;
}

/* Texts in batches; whatever goes before this request is served at once, and the batch it came into is made again. */
static EngStatus
embed_all (EngService *s, EngRequest *request, const EngString *texts, uint32_t n,
           EngEmbedKind kind, float *out, EngError *error)
{
  uint64_t progress_us = 0;
  for (uint32_t i = 0; i < n;)
    {
      uint32_t n_done = 0;
      EngStatus status = eng_embed_some (s->embedder, texts + i, n - i, kind, BATCH_ROWS, &request->yield,
                                         out + (size_t) i * eng_embed_get_width (s->embedder), &n_done, error);
      if (status != ENG_OK && (status != ENG_ERR_CANCELLED || atomic_load (&request->cancel)))
        return status;
      i += status == ENG_OK ? n_done : 0;
      if (i < n)
        eng_service_send_progress (s, request, "embed", i, n, &progress_us);
      /* Before looking: what comes in meanwhile raises it again. */
      atomic_store (&request->yield, 0);
      if (atomic_load (&request->cancel))
        return eng_error_set (error, ENG_ERR_CANCELLED, NULL, ENG_OFFSET_NONE, "stopped");
      eng_service_handle_urgent (s, request->priority);
      /* One of them may have been about another embedding model. */
      status = need_embedder (s, request, error);
      if (status != ENG_OK)
        return status;
    }
  return ENG_OK;
}

static void
put_u32 (uint8_t *at, uint32_t value)
{
  for (unsigned i = 0; i < 4; i++)
    at[i] = (uint8_t) (value >> 8 * i);
}

EngStatus
eng_service_embed (EngService *s, EngRequest *request, EngError *error)
{
  EngString *texts;
  uint32_t n;
  EngStatus status = read_strings (request, "texts", 65536, &texts, &n, error);
  if (status == ENG_OK)
    status = need_embedder (s, request, error);
  if (status != ENG_OK)
    return status;
  bool query = eng_json_is_string (eng_json_get (request->payload, "kind"), "query");
  uint32_t width = eng_embed_get_width (s->embedder);
  uint64_t n_bytes = 8 + (uint64_t) n * width * sizeof (float);
  if (n_bytes > ENG_WIRE_MAX_PAYLOAD)
    return eng_error_set_numbers (error, ENG_ERR_LIMIT, "texts", n_bytes, ENG_WIRE_MAX_PAYLOAD,
                                  "the vectors of %u texts do not fit one answer", n);
  uint8_t *payload = eng_alloc (n_bytes);
  if (!payload)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  put_u32 (payload, n);
  put_u32 (payload + 4, width);
  float *vectors = (float *) (void *) (payload + 8);
  status = embed_all (s, request, texts, n, query ? ENG_EMBED_QUERY : ENG_EMBED_DOCUMENT, vectors,
                      error);
  /* Little-endian on the wire. */
  for (uint64_t i = 0; i < (uint64_t) n * width && status == ENG_OK; i++)
    {
      uint32_t bits;
      memcpy (&bits, &vectors[i], sizeof bits);
      put_u32 (payload + 8 + 4 * i, bits);
    }
  if (status == ENG_OK)
    eng_service_send_bytes (s, request, ENG_WIRE_EMBEDDINGS, payload, n_bytes);
  eng_free (payload);
  return status;
}
