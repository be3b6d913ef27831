/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about models: HELLO, LOAD, UNLOAD, INSPECT; and which handler takes which request. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#ifdef __GLIBC__ /* known once a standard header was read */
#include <malloc.h>
#endif

#include "eng-quality.h"
#include "eng-quantize-sizes.h"
#include "eng-serve-private.h"
#include "eng-template-gguf.h"

#define DEFAULT_INSPECT_CONTEXT 4096
#define MAX_SIZES 64
#define MAX_EXACT ((uint64_t) 1 << 53) /* of numbers on the wire */

/* --- reading payloads --- */

EngStatus
eng_service_read_string (const EngJson *payload, const char *key, const char **out, EngError *error)
{
  if (eng_json_get_string (payload, key, out) && (*out)[0])
    return ENG_OK;
  return eng_error_set (error, ENG_ERR_ARGUMENT, key, ENG_OFFSET_NONE, "'%s' is missing", key);
}

/* An absent member leaves *out alone. */
static EngStatus
read_number (const EngJson *payload, const char *key, int64_t min, int64_t max, int64_t *out,
             EngError *error)
{
  const EngJson *value = eng_json_get (payload, key);
  if (!value || value->type == ENG_JSON_NULL)
    return ENG_OK;
  if (eng_json_get_int64 (payload, key, out) && *out >= min && *out <= max)
    return ENG_OK;
  return eng_error_set (error, ENG_ERR_ARGUMENT, key, ENG_OFFSET_NONE,
                        "'%s' is no whole number from %lld to %lld", key, (long long) min,
                        (long long) max);
}

static EngStatus
read_type (const char *key, const char *name, size_t n, EngType *type, EngError *error)
{
  char text[16] = "";
  if (n < sizeof text)
    memcpy (text, name, n);
  *type = eng_type_from_name (text);
  const EngTypeInfo *info = *type == ENG_TYPE_NONE ? NULL : eng_type_get_info (*type);
  if (info && info->is_weight)
    return ENG_OK;
  return eng_error_set (error, ENG_ERR_ARGUMENT, key, ENG_OFFSET_NONE, "'%.*s' is no type", (int) n,
                        name);
}

EngStatus
eng_service_read_options (const EngJson *payload, EngSessionOptions *o, EngError *error)
{
  eng_session_options_init (o);
  int64_t context = 0, threads = 0, gpu_layers = -1, cpu_experts = 0, gpu_memory = 0;
  EngStatus status = read_number (payload, "context", 0, 1 << 28, &context, error);
  if (status == ENG_OK)
    status = read_number (payload, "threads", 0, 1024, &threads, error);
  if (status == ENG_OK)
    status = read_number (payload, "gpu_layers", -1, INT32_MAX, &gpu_layers, error);
  if (status == ENG_OK)
    status = read_number (payload, "cpu_experts", 0, INT32_MAX, &cpu_experts, error);
  if (status == ENG_OK)
    status = read_number (payload, "gpu_memory", 0, (int64_t) 1 << 52, &gpu_memory, error);
  o->n_ctx = (uint64_t) context;
  o->n_threads = (uint32_t) threads;
  o->n_gpu_layers = (int32_t) gpu_layers;
  o->n_cpu_experts = (uint32_t) cpu_experts;
  o->gpu_memory_bytes = (uint64_t) gpu_memory;
  eng_json_get_bool (payload, "force", &o->force);
  const char *text;
  if (eng_json_get_string (payload, "device", &text) && text[0])
    o->device = text;
  if (status == ENG_OK && eng_json_get_string (payload, "kv", &text) && text[0])
    {
      size_t n = strcspn (text, ",");
      status = read_type ("kv", text, n, &o->k_type, error);
      o->v_type = o->k_type;
      if (status == ENG_OK && text[n])
        status = read_type ("kv", text + n + 1, strlen (text + n + 1), &o->v_type, error);
    }
  if (status == ENG_OK && eng_json_get_string (payload, "load_as", &text) && text[0])
    status = read_type ("load_as", text, strlen (text), &o->load_as, error);
  return status;
}

/* --- HELLO --- */

static void
write_device (EngJsonWriter *w, uint32_t i, const EngDeviceInfo *info)
{
  eng_json_write_begin_object (w);
  eng_json_write_member_int64 (w, "index", i);
  eng_json_write_member_string (w, "kind", info->kind == ENG_DEVICE_CPU ? "cpu" : "gpu");
  eng_json_write_member_string (w, "name", info->name);
  eng_json_write_member_string (w, "api", info->api);
  eng_json_write_member_int64 (w, "memory_bytes", (int64_t) info->memory_bytes);
  eng_json_write_member_int64 (w, "free_bytes", (int64_t) info->free_bytes);
  eng_json_write_member_int64 (w, "score", info->score);
  eng_json_write_member_int64 (w, "status", info->status);
  eng_json_write_member_string (w, "problem", info->problem);
  eng_json_write_end_object (w);
}

EngStatus
eng_service_hello (EngService *s, EngRequest *request, EngError *error)
{
  const EngDeviceList *list = eng_runtime_get_devices (s->runtime);
  EngJsonWriter w = eng_service_begin (s);
  eng_json_write_member_int64 (&w, "version", ENG_WIRE_VERSION);
  eng_json_write_member_string (&w, "engine", ENG_VERSION);
  eng_json_write_key (&w, "devices");
  eng_json_write_begin_array (&w);
  for (uint32_t i = 0; i < list->n; i++)
    write_device (&w, i, &list->entries[i].info);
  eng_json_write_end_array (&w);
  eng_service_send (s, request, ENG_WIRE_DONE, &w);
  return ENG_OK;
}

/* --- LOAD, UNLOAD --- */

typedef struct
{
  EngService *service;
  EngRequest *request;
  uint64_t last_us;
} LoadProgress;

static bool
load_progress_cb (void *data, uint64_t done, uint64_t total)
{
  LoadProgress *p = data;
  eng_service_send_progress (p->service, p->request, "load", done, total, &p->last_us);
  return !atomic_load (&p->request->cancel);
}

char *
eng_service_make_key (const char *path, const EngSessionOptions *o)
{
  size_t size = strlen (path) + 256;
  char *key = eng_alloc (size);
  if (key)
    snprintf (key, size, "%llu|%.40s|%u|%d|%d|%llu|%d|%d|%d|%s", (unsigned long long) o->n_ctx,
              o->device, o->n_threads, o->n_gpu_layers, o->n_cpu_experts,
              (unsigned long long) o->gpu_memory_bytes, o->k_type, o->v_type, o->load_as, path);
  return key;
}

static void
write_memory (EngJsonWriter *w, const EngSessionPlan *plan)
{
  eng_json_write_key (w, "memory");
  eng_json_write_begin_object (w);
  eng_json_write_member_int64 (w, "weights", (int64_t) plan->weight_bytes);
  eng_json_write_member_int64 (w, "kv", (int64_t) plan->kv_bytes);
  eng_json_write_member_int64 (w, "scratch", (int64_t) plan->scratch_bytes);
  eng_json_write_member_int64 (w, "host", (int64_t) plan->host_bytes);
  eng_json_write_member_int64 (w, "available", (int64_t) plan->available_bytes);
  eng_json_write_end_object (w);
}

static void
write_model (EngJsonWriter *w, const EngModelInfo *info)
{
  eng_json_write_member_string (w, "name", info->name);
  eng_json_write_member_string (w, "architecture", info->architecture);
  eng_json_write_member_string (w, "licence", info->licence);
  eng_json_write_member_int64 (w, "parameters", (int64_t) info->n_parameters);
  eng_json_write_member_int64 (w, "file_bytes", (int64_t) info->file_bytes);
  eng_json_write_member_string (w, "type", info->type);
  eng_json_write_member_int64 (w, "context_train", info->n_ctx_train);
  eng_json_write_member_bool (w, "has_template", info->has_template);
  eng_json_write_member_bool (w, "is_encoder", info->is_encoder);
}

static void
answer_load (EngService *s, EngRequest *request, uint64_t start_us)
{
  const EngSessionPlan *plan = eng_session_get_plan (s->chat);
  EngJsonWriter w = eng_service_begin (s);
  write_model (&w, eng_model_get_info (eng_session_get_model (s->chat)));
  eng_json_write_member_int64 (&w, "context", plan->n_ctx);
  eng_json_write_member_string (&w, "device", plan->device);
  write_memory (&w, plan);
  eng_json_write_member_int64 (&w, "load_us", (int64_t) (eng_service_now_us () - start_us));
  eng_service_send (s, request, ENG_WIRE_DONE, &w);
}

static void
unload_chat (EngService *s)
{
  eng_session_free (&s->chat);
  eng_free (s->chat_key);
  s->chat_key = NULL;
}

EngStatus
eng_service_load (EngService *s, EngRequest *request, EngError *error)
{
  uint64_t start_us = eng_service_now_us ();
  const char *path;
  EngSessionOptions options;
  EngStatus status = eng_service_read_string (request->payload, "path", &path, error);
  if (status == ENG_OK)
    status = eng_service_read_options (request->payload, &options, error);
  if (status != ENG_OK)
    return status;
  char *key = eng_service_make_key (path, &options);
  if (!key)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  if (s->chat && strcmp (key, s->chat_key) == 0
      && eng_gguf_is_unchanged (eng_model_get_file (eng_session_get_model (s->chat))))
    {
      eng_free (key);
      answer_load (s, request, start_us);
      return ENG_OK;
    }
  /* A file that cannot be loaded at all leaves the old model where it is. */
  EngSessionPlan plan;
  EngModel *model = NULL;
  status = eng_session_plan (s->runtime, path, &options, &plan, &model, error);
  if (status == ENG_OK && eng_model_get_info (model)->is_encoder)
    status = eng_error_set (error, ENG_ERR_UNSUPPORTED, "general.architecture", ENG_OFFSET_NONE,
                            "the model gives embeddings, it cannot talk");
  eng_model_unref (&model);
  if (status == ENG_OK)
    {
      unload_chat (s);
      LoadProgress progress = { s, request, 0 };
      options.progress = load_progress_cb;
      options.progress_data = &progress;
      status = eng_session_new (s->runtime, path, &options, &s->chat, error);
    }
  if (status != ENG_OK)
    {
      eng_free (key);
      return status;
    }
  s->chat_key = key;
  answer_load (s, request, start_us);
  return ENG_OK;
}

EngStatus
eng_service_unload (EngService *s, EngRequest *request, EngError *error)
{
  unload_chat (s);
#ifdef __GLIBC__
  malloc_trim (0); /* what was freed in small pieces would stay this process's */
#endif
  EngJsonWriter w = eng_service_begin (s);
  eng_service_send (s, request, ENG_WIRE_DONE, &w);
  return ENG_OK;
}

/* --- INSPECT --- */

/* How large the file would be as each of the types that the request names. */
static void
write_sizes (EngJsonWriter *w, const EngJson *names, const EngGguf *file)
{
  const EngJson *name;
  eng_json_write_key (w, "sizes");
  eng_json_write_begin_object (w);
  for (size_t i = 0; i < MAX_SIZES && (name = eng_json_at (names, i)) != NULL; i++)
    {
      const EngMix *mix = name->type == ENG_JSON_STRING ? eng_mix_find (name->string) : NULL;
      uint64_t bytes = mix ? eng_quantize_predict_bytes (file, mix) : UINT64_MAX;
      if (bytes <= MAX_EXACT)
        eng_json_write_member_int64 (w, mix->name, (int64_t) bytes);
    }
  eng_json_write_end_object (w);
}

EngStatus
eng_service_inspect (EngService *s, EngRequest *request, EngError *error)
{
  const char *path;
  EngSessionOptions options;
  EngSessionPlan plan;
  EngModel *model = NULL;
  EngStatus status = eng_service_read_string (request->payload, "path", &path, error);
  if (status == ENG_OK)
    status = eng_service_read_options (request->payload, &options, error);
  if (status != ENG_OK)
    return status;
  if (options.n_ctx == 0)
    options.n_ctx = DEFAULT_INSPECT_CONTEXT;
  status = eng_session_plan (s->runtime, path, &options, &plan, &model, error);
  if (status != ENG_OK)
    return status;
  EngJsonWriter w = eng_service_begin (s);
  write_model (&w, eng_model_get_info (model));
  eng_json_write_member_int64 (&w, "context", plan.n_ctx);
  eng_json_write_member_string (&w, "device", plan.device);
  write_memory (&w, &plan);
  eng_quality_write_member (&w, eng_model_get_file (model));
  eng_template_write_origin (&w, eng_model_get_file (model));
  const EngJson *sizes = eng_json_get (request->payload, "sizes");
  if (sizes && sizes->type == ENG_JSON_ARRAY)
    write_sizes (&w, sizes, eng_model_get_file (model));
  eng_service_send (s, request, ENG_WIRE_DONE, &w);
  eng_model_unref (&model);
  return ENG_OK;
}

/* --- which handler --- */

void
eng_service_handle (EngService *s, EngRequest *request)
{
  static EngStatus (*const handlers[]) (EngService *, EngRequest *, EngError *) = {
    [ENG_WIRE_HELLO] = eng_service_hello,     [ENG_WIRE_LOAD] = eng_service_load,
    [ENG_WIRE_UNLOAD] = eng_service_unload,   [ENG_WIRE_GENERATE] = eng_service_generate,
    [ENG_WIRE_COUNT] = eng_service_count,     [ENG_WIRE_INSPECT] = eng_service_inspect,
    [ENG_WIRE_EMBED] = eng_service_embed,     [ENG_WIRE_SCORE] = eng_service_score,
  };
  EngError error = { .offset = ENG_OFFSET_NONE };
  EngStatus status;
  if (request->type >= sizeof handlers / sizeof handlers[0] || !handlers[request->type])
    status = eng_error_set (&error, ENG_ERR_UNSUPPORTED, "type", ENG_OFFSET_NONE,
                            "this engine does not know requests of type %u", request->type);
  /* A generation that never began still ends as a generation does. */
  else if (request->type != ENG_WIRE_GENERATE && atomic_load (&request->cancel))
    status = eng_error_set (&error, ENG_ERR_CANCELLED, NULL, ENG_OFFSET_NONE, "cancelled");
  else
    status = handlers[request->type](s, request, &error);
  if (status != ENG_OK)
    eng_service_send_failed (s, request, &error);
  /* The device behind the model is lost, and with it all that is loaded: whoever asks next starts a service anew. */
  if (status == ENG_ERR_DEVICE && request->type != ENG_WIRE_LOAD && request->type != ENG_WIRE_INSPECT)
    shutdown (s->fd, SHUT_RDWR);
  eng_service_drop (s, request);
}

void
eng_service_handle_urgent (EngService *s, EngPriority below)
{
  EngRequest *urgent;
  while ((urgent = eng_service_take (s, below, false)))
    eng_service_handle (s, urgent);
}
