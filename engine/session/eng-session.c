/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: open → choose context and placement so that it fits → bind → state → text. */
#include "eng-session.h"

#include <stdio.h>
#include <string.h>

#include "eng-memory.h"
#include "eng-session-private.h"
#include "eng-tokenizer-gguf.h"

#define DEFAULT_CONTEXT 8192u
#define LEAST_CHOSEN_CONTEXT 2048u
#define DEFAULT_SEQUENCES 4u
#define DEVICE_SPARE ((uint64_t) 256 << 20)
/* What a GPU's driver takes for us beside what is planned: context, kernels, cuBLAS. On an H100 325 MiB were seen above the plan. */
#define DEVICE_OVERHEAD ((uint64_t) 352 << 20)
#define DEFAULT_ROWS 512u
/* Weights are expanded once for all rows of a batch: on one H100, 8B in Q4_K_M, a prompt of 2,048 tokens runs at 21,800
 * tokens/s by 512 rows and at 31,200 by 2,048. Its scratch takes 0.4 GB, which small cards need for layers. */
#define DEFAULT_GPU_ROWS 2048u
#define LEAST_BYTES_FOR_GPU_ROWS ((uint64_t) 14 << 30)
#define DEFAULT_OUTPUTS 16u
/* Encoders make room for themselves only where it is hardly missed: the chat model wants the rest. */
#define ENCODER_SHARE 8u

/* From how many rows on sending layers to the GPU is faster than computing them on the CPU. */
#define STREAM_ROWS 32u
/* A sequence of an encoder is one batch; longer texts than this are cut by whoever embeds. */
#define MOST_ENCODER_ROWS 8192u

void
eng_session_options_init (EngSessionOptions *options)
{
  *options = (EngSessionOptions) { .device = "auto", .n_gpu_layers = -1, .k_type = ENG_TYPE_NONE,
                                   .v_type = ENG_TYPE_NONE, .load_as = ENG_TYPE_NONE };
}

/* Everything between options and a loaded model. */
typedef struct
{
  EngRuntime *runtime;
  const EngSessionOptions *options;
  EngModel *model;
  const EngProgram *program;
  EngExecutorDevice devices[2]; /* [0] the chosen one; [1] the CPU when that is another */
  const EngDeviceInfo *infos[2];
  uint64_t free_bytes; /* of the first device, now */
  uint32_t n_devices;
  uint8_t layer_devices[1024]; /* eng-builder.h: ENG_MAX_LAYERS */
  uint8_t expert_devices[1024];
  uint32_t n_gpu_layers, n_cpu_experts;
  bool memory_is_short; /* for the CPU's form of its weights and the file's beside it, which is what is sent */
  EngRunnerOptions runner;
  EngExecutorOptions executor;
  EngSessionPlan plan;
  EngReadAhead *ahead;
  uint64_t bound_bytes; /* by the device at work, when it last said so */
} Loading;

/* What is free on the device now: the list says what was when it was made, and models have come since. */
static uint64_t
get_free (const EngDeviceEntry *entry)
{
  EngDeviceInfo infos[ENG_MAX_DEVICES];
  uint32_t n = 0;
  if (entry->api->enumerate (infos, ENG_MAX_DEVICES, &n, NULL) != ENG_OK || entry->index >= n
      || entry->index >= ENG_MAX_DEVICES)
    return entry->info.free_bytes;
  return infos[entry->index].free_bytes;
}

/* Open entry @chosen of the list and, if it is no CPU, the CPU beside it. */
static EngStatus
open_listed (Loading *l, uint32_t chosen, EngError *error)
{
  const EngDeviceList *list = eng_runtime_get_devices (l->runtime);
  const EngDeviceOptions cpu = { .n_threads = l->options->n_threads,
                                 .kernel_mask = l->options->kernel_mask };
  const EngDeviceOptions gpu = { .memory_limit_bytes = l->options->gpu_memory_bytes };
  const uint32_t order[2] = { chosen, 0 };
  EngStatus status = ENG_OK;
  l->n_devices = chosen == 0 ? 1 : 2;
  for (uint32_t i = 0; i < l->n_devices && status == ENG_OK; i++)
    {
      const EngDeviceEntry *entry = &list->entries[order[i]];
      l->infos[i] = &entry->info;
      l->devices[i].api = entry->api;
      if (i == 0)
        l->free_bytes = get_free (entry);
      status = eng_runtime_open (l->runtime, order[i],
                                 entry->info.kind == ENG_DEVICE_CPU ? &cpu : &gpu,
                                 &l->devices[i].device, error);
    }
  return status;
}

static EngStatus
open_devices (Loading *l, EngError *error)
{
  const EngDeviceList *list = eng_runtime_get_devices (l->runtime);
  const char *wish = l->options->device ? l->options->device : "auto";
  bool is_auto = strcmp (wish, "auto") == 0;
  /* Reference kernels are the CPU's. */
  if (l->options->exact && is_auto)
    wish = "cpu";
  uint32_t chosen;
  EngStatus status = eng_device_list_choose (list, wish, &chosen, error);
  if (status == ENG_OK)
    status = open_listed (l, chosen, error);
  /* A device that looked good and cannot be opened: nobody asked for it by name, so the CPU goes on. */
  if (status != ENG_OK && is_auto && chosen != 0)
    {
      eng_log (ENG_LOG_WARNING, "%s cannot be used: %s", list->entries[chosen].info.name,
               error ? error->text : "");
      status = open_listed (l, 0, error);
    }
  return status;
}

static EngStatus
make_plans (Loading *l, EngMemoryPlan plans[2], EngError *error)
{
  EngStateOptions state;
  eng_runner_get_state_options (l->program, &l->runner, &state);
  return eng_executor_plan (l->program, &l->executor, &state, plans, error);
}

/* Layers [0, n_layers - @n_gpu_layers) on the CPU, the rest with the output head on the GPU; there the routed experts
 * of the first @n_cpu_experts layers stay with the CPU. */
static void
place (Loading *l, uint32_t n_gpu_layers, uint32_t n_cpu_experts)
{
  uint32_t n = l->program->n_layers;
  l->n_gpu_layers = n_gpu_layers < n ? n_gpu_layers : n;
  l->n_cpu_experts = n_cpu_experts < n ? n_cpu_experts : n;
  for (uint32_t i = 0; i < n; i++)
    {
      l->layer_devices[i] = i + l->n_gpu_layers >= n ? 0 : 1;
      l->expert_devices[i] = i < l->n_cpu_experts ? 1 : l->layer_devices[i];
    }
}

static bool
has_experts (const EngProgram *program)
{
  for (uint32_t i = 0; i < program->n_steps; i++)
    if (program->steps[i].kind == ENG_STEP_EXPERTS)
      return true;
  return false;
}

/* What the model may take of the device: what is free, less what the desktop and the driver want, or less by wish. */
static uint64_t
device_room (const Loading *l)
{
  const EngDeviceInfo *info = l->infos[0];
  uint64_t spare = info->memory_bytes / 32 < DEVICE_SPARE ? DEVICE_SPARE : info->memory_bytes / 32;
  uint64_t room = l->free_bytes > spare ? l->free_bytes - spare : 0, limit = l->options->gpu_memory_bytes;
  room = limit && limit < room ? limit : room;
  return room > DEVICE_OVERHEAD ? room - DEVICE_OVERHEAD : 0;
}

static EngStatus
fits (Loading *l, uint64_t room, uint32_t n_gpu_layers, uint32_t n_cpu_experts, bool *result, EngError *error)
{
  EngMemoryPlan plans[2];
  place (l, n_gpu_layers, n_cpu_experts);
  EngStatus status = make_plans (l, plans, error);
  *result = status == ENG_OK
            && plans[0].weight_bytes + plans[0].state_bytes + plans[0].scratch_bytes <= room;
  return status;
}

/* All of it if it fits; else, of a mixture, as few layers' experts with the CPU as it takes; else as many whole
 * layers as fit. */
static EngStatus
choose_split (Loading *l, EngError *error)
{
  uint32_t n = l->program->n_layers, wish = l->options->n_cpu_experts;
  uint64_t room = device_room (l);
  bool ok, mixture = has_experts (l->program);
  EngStatus status = fits (l, room, n, wish, &ok, error);
  if (status != ENG_OK || ok)
    return status;
  uint32_t experts = mixture ? n : 0;
  if (mixture && wish == 0)
    {
      /* the least number of layers that does */
      uint32_t too_few = 0, enough = n + 1;
      while (status == ENG_OK && too_few + 1 < enough)
        {
          uint32_t middle = too_few + (enough - too_few) / 2;
          status = fits (l, room, n, middle, &ok, error);
          if (ok)
            enough = middle;
          else
            too_few = middle;
        }
      if (status != ENG_OK)
        return status;
      if (enough <= n)
        {
          place (l, n, enough);
          return ENG_OK;
        }
    }
  uint32_t most = 0, too_many = n + 1, least = eng_executor_get_least_layers (l->program);
  while (most + 1 < too_many)
    {
      uint32_t middle = most + (too_many - most) / 2;
      middle = middle < least ? least : middle;
      if (middle >= too_many)
        break;
      status = fits (l, room, middle, experts, &ok, error);
      if (status != ENG_OK)
        return status;
      if (ok)
        most = middle;
      else
        too_many = middle;
    }
  place (l, most, experts);
  return ENG_OK;
}

static bool
chooses_device (const Loading *l)
{
  return !l->options->device || strcmp (l->options->device, "auto") == 0;
}

/* An encoder that nobody sent to a device goes there as a whole, or not at all (ENG_ERR_UNSUPPORTED). */
static EngStatus
place_encoder (Loading *l, EngError *error)
{
  bool ok;
  EngStatus status = fits (l, device_room (l) / ENCODER_SHARE, l->program->n_layers, 0, &ok, error);
  return status != ENG_OK || ok ? status
                                : eng_error_set (error, ENG_ERR_UNSUPPORTED, "memory", ENG_OFFSET_NONE,
                                                 "it takes more than one part in %u of what is free", ENCODER_SHARE);
}

/* Each device counts its own weights, from nothing. */
static bool
binding_cb (void *data, uint64_t done_bytes, uint64_t total_bytes)
{
  Loading *l = data;
  eng_read_ahead_move (l->ahead, done_bytes < l->bound_bytes ? done_bytes : done_bytes - l->bound_bytes);
  l->bound_bytes = done_bytes;
  return l->options->progress == NULL || l->options->progress (l->options->progress_data, done_bytes, total_bytes);
}

static EngStatus
choose_placement (Loading *l, EngError *error)
{
  l->executor = (EngExecutorOptions) {
    .devices = l->devices,
    .n_devices = l->n_devices,
    .layer_devices = l->n_devices == 2 ? l->layer_devices : NULL,
    .expert_devices = l->n_devices == 2 ? l->expert_devices : NULL,
    .stream_rows = l->n_devices == 2 && !(l->options->disabled & ENG_SESSION_WITHOUT_STREAMING) && !l->memory_is_short
                       ? STREAM_ROWS
                       : 0,
    .bind = { .load_as = l->options->load_as,
              .exact = l->options->exact,
              .disabled = l->options->disabled,
              .progress = binding_cb,
              .progress_data = l },
  };
  if (l->n_devices == 1)
    return ENG_OK;
  if (l->options->n_gpu_layers < 0)
    return l->program->causal || !chooses_device (l) ? choose_split (l, error) : place_encoder (l, error);
  place (l, (uint32_t) l->options->n_gpu_layers, l->options->n_cpu_experts);
  return ENG_OK;
}

/* Placement and what it takes. */
static EngStatus
choose_plans (Loading *l, EngMemoryPlan plans[2], EngError *error)
{
  EngStatus status = choose_placement (l, error);
  if (status == ENG_OK)
    status = make_plans (l, plans, error);
  if (status != ENG_OK || l->executor.stream_rows == 0)
    return status;
  const EngMemoryPlan *cpu = &plans[1];
  l->memory_is_short = 2 * cpu->weight_bytes - cpu->mapped_bytes + cpu->state_bytes + cpu->scratch_bytes
                       > eng_memory_get_available ();
  if (!l->memory_is_short)
    return ENG_OK;
  status = choose_placement (l, error);
  return status == ENG_OK ? make_plans (l, plans, error) : status;
}

/* Fill l->plan for the context now in l->runner. */
static EngStatus
make_plan (Loading *l, EngError *error)
{
  EngMemoryPlan plans[2] = { 0 };
  EngStatus status = choose_plans (l, plans, error);
  if (status != ENG_OK)
    return status;
  EngSessionPlan *p = &l->plan;
  *p = (EngSessionPlan) { .n_ctx = l->runner.n_ctx };
  /* The runner's own: logits, and token numbers of every sequence. */
  uint64_t own = (uint64_t) l->runner.max_outputs * l->program->n_output * sizeof (float)
                 + (uint64_t) l->runner.max_sequences * l->runner.n_ctx * sizeof (int32_t);
  p->host_bytes = own;
  p->scratch_bytes = own;
  for (uint32_t i = 0; i < l->n_devices; i++)
    {
      p->weight_bytes += plans[i].weight_bytes;
      p->kv_bytes += plans[i].state_bytes;
      p->scratch_bytes += plans[i].scratch_bytes;
      if (l->infos[i]->kind == ENG_DEVICE_CPU)
        p->host_bytes += plans[i].weight_bytes + plans[i].state_bytes + plans[i].scratch_bytes;
    }
  p->available_bytes = eng_memory_get_available ();
  const char *name = l->infos[0]->name;
  if (l->n_devices == 1)
    snprintf (p->device, sizeof p->device, "CPU · %s", name);
  else if (l->n_gpu_layers == l->program->n_layers && l->n_cpu_experts && has_experts (l->program))
    snprintf (p->device, sizeof p->device, "%s (experts of %u of %u layers: CPU)", name, l->n_cpu_experts,
              l->program->n_layers);
  else if (l->n_gpu_layers == l->program->n_layers)
    snprintf (p->device, sizeof p->device, "%s", name);
  else
    snprintf (p->device, sizeof p->device, "%s (%u of %u layers) · CPU", name, l->n_gpu_layers,
              l->program->n_layers);
  return ENG_OK;
}

/* A context that the caller left open: what the model was made for, within reason and memory. */
static EngStatus
choose_context (Loading *l, EngError *error)
{
  uint32_t train = l->program->n_ctx_train;
  if (!l->program->causal)
    l->runner.n_ctx = l->options->n_ctx && l->options->n_ctx < train ? (uint32_t) l->options->n_ctx : train;
  else if (l->options->n_ctx)
    l->runner.n_ctx = (uint32_t) l->options->n_ctx;
  else
    l->runner.n_ctx = train < DEFAULT_CONTEXT ? train : DEFAULT_CONTEXT;
  if (l->options->all_full && l->program->causal)
    l->runner.n_total_ctx = (uint64_t) l->runner.n_ctx * l->runner.max_sequences;
  EngStatus status = make_plan (l, error);
  while (status == ENG_OK && l->options->n_ctx == 0 && l->program->causal
         && l->runner.n_ctx > LEAST_CHOSEN_CONTEXT && l->plan.host_bytes > l->plan.available_bytes)
    {
      l->runner.n_ctx /= 2;
      l->runner.n_total_ctx /= 2;
      status = make_plan (l, error);
    }
  return status;
}

static uint32_t
or_else (uint32_t value, uint32_t fallback)
{
  return value ? value : fallback;
}

static uint32_t
default_rows (const Loading *l)
{
  uint64_t room = l->free_bytes, limit = l->options->gpu_memory_bytes;
  if (limit && limit < room)
    room = limit;
  return l->n_devices == 2 && room >= LEAST_BYTES_FOR_GPU_ROWS ? DEFAULT_GPU_ROWS : DEFAULT_ROWS;
}

/* Rows, outputs and context, and whether they fit. */
static EngStatus
size (Loading *l, EngError *error)
{
  const EngSessionOptions *o = l->options;
  EngType kv = o->exact ? ENG_TYPE_F32 : ENG_TYPE_F16;
  l->runner = (EngRunnerOptions) {
    .max_sequences = or_else (o->max_sequences, DEFAULT_SEQUENCES),
    .max_rows = or_else (o->max_rows, default_rows (l)),
    .max_outputs = or_else (o->max_outputs, DEFAULT_OUTPUTS),
    .k_type = o->k_type == ENG_TYPE_NONE ? kv : o->k_type,
    .v_type = o->v_type == ENG_TYPE_NONE ? kv : o->v_type,
  };
  if (l->runner.max_sequences > ENG_MAX_CONVERSATIONS)
    l->runner.max_sequences = ENG_MAX_CONVERSATIONS;
  if (!l->program->causal)
    {
      uint32_t most = l->program->n_ctx_train;
      most = most < MOST_ENCODER_ROWS ? most : MOST_ENCODER_ROWS;
      if (l->runner.max_rows < most)
        l->runner.max_rows = most;
      l->runner.n_total_ctx = l->runner.max_rows;
    }
  return choose_context (l, error);
}

/* Open the model and work out its plan; l->model is the caller's to unref, failed or not. */
static EngStatus
prepare (Loading *l, const char *path, EngError *error)
{
  const EngSessionOptions *o = l->options;
  /* A position must fit the cache's and the batch's numbers. */
  if (o->n_ctx > (1u << 28))
    return eng_error_set (error, ENG_ERR_ARGUMENT, "ctx", ENG_OFFSET_NONE,
                          "a context of %llu tokens is out of range",
                          (unsigned long long) o->n_ctx);
  const EngModelOptions options = { .n_ctx = o->n_ctx ? o->n_ctx : DEFAULT_CONTEXT,
                                    .no_mmap = o->no_mmap };
  EngStatus status = eng_model_open (path, &options, &l->model, error);
  if (status == ENG_OK)
    {
      l->program = eng_model_get_program (l->model);
      status = open_devices (l, error);
    }
  if (status != ENG_OK)
    return status;
  status = size (l, error);
  /* A model that the device cannot run: nobody asked for the device by name, so the CPU goes on. */
  if (status == ENG_ERR_UNSUPPORTED && l->n_devices == 2 && chooses_device (l))
    {
      eng_log (ENG_LOG_WARNING, "%s cannot run this model: %s", l->infos[0]->name, error ? error->text : "");
      status = open_listed (l, 0, error);
      if (status == ENG_OK)
        status = size (l, error);
    }
  return status;
}

EngStatus
eng_session_plan (EngRuntime *runtime, const char *path, const EngSessionOptions *options,
                  EngSessionPlan *plan, EngModel **model, EngError *error)
{
  Loading *l = eng_alloc (sizeof *l);
  if (!l)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  l->runtime = runtime;
  l->options = options;
  EngStatus status = prepare (l, path, error);
  if (status == ENG_OK)
    {
      *plan = l->plan;
      if (model)
        *model = eng_model_ref (l->model);
    }
  eng_model_unref (&l->model);
  eng_free (l);
  return status;
}

/* --- text --- */

static EngStatus
load_text (EngSession *s, EngError *error)
{
  const EngGguf *file = eng_model_get_file (s->model);
  EngStatus status = eng_tokenizer_from_gguf (file, &s->tokenizer, error);
  if (status != ENG_OK)
    return status;
  EngGgufString source;
  if (eng_gguf_get_string (file, "tokenizer.chat_template", &source, NULL) != ENG_OK)
    return ENG_OK;
  /* A template that we cannot run is no reason not to load: completion works without one. */
  status = eng_template_parse (source.data, source.n_bytes, &s->template_, &s->template_error);
  if (status == ENG_ERR_NO_MEMORY)
    {
      if (error)
        *error = s->template_error;
      return status;
    }
  return ENG_OK;
}

static bool
drop_cb (void *data, int32_t token, bool drew)
{
  return false;
}

/* A GPU makes its kernels ready at their first use, which takes tens of milliseconds: here, not in the first answer. */
static EngStatus
warm_up (EngSession *s, EngError *error)
{
  const EngSampling sampling = { .greedy = true, .top_k = 1, .n_samples = 1, .take = drop_cb };
  EngKvCache *cache = eng_runner_get_cache (s->runner);
  const int32_t token = 0;
  uint32_t sequence;
  EngStatus status = eng_kv_cache_add (cache, &sequence, error);
  if (status != ENG_OK)
    return status;
  for (int i = 0; i < 2 && status == ENG_OK; i++)
    status = eng_runner_prefill (s->runner, sequence, &token, 1, 0, NULL, NULL, NULL, error);
  if (status == ENG_OK)
    status = eng_runner_sample (s->runner, sequence, token, &sampling, NULL, error);
  eng_kv_cache_remove (cache, sequence);
  return status == ENG_ERR_UNSUPPORTED ? ENG_OK : status;
}

static EngStatus
load (EngSession *s, Loading *l, EngError *error)
{
  const EngWeightSource source = { .map = eng_model_map_weight,
                                   .data = s->model,
                                   .release = eng_model_release_weight,
                                   .name = eng_model_get_weight_name };
  EngStatus status = ENG_OK;
  l->ahead = eng_gguf_read_ahead (eng_model_get_file (s->model));
  if (!l->options->without_text)
    status = load_text (s, error);
  if (status == ENG_OK)
    status = eng_executor_new (l->program, &source, &l->executor, &s->executor, error);
  eng_read_ahead_free (&l->ahead);
  if (status == ENG_OK)
    status = eng_runner_new (s->executor, &l->runner, &s->runner, error);
  if (status == ENG_OK && l->n_devices == 2 && l->program->causal)
    status = warm_up (s, error);
  if (status == ENG_OK && l->program->causal)
    {
      EngSamplerOptions sampling;
      eng_sampler_options_init (&sampling);
      s->host_sampling = (l->options->disabled & ENG_SESSION_WITHOUT_DEVICE_SAMPLING) != 0;
      status = eng_sampler_new (l->program->n_vocab, &sampling, &s->sampler, error);
      s->generated = eng_alloc_array ((size_t) l->runner.n_ctx + 1, sizeof *s->generated);
      if (status == ENG_OK && !s->generated)
        status = eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
    }
  return status;
}

EngStatus
eng_session_new (EngRuntime *runtime, const char *path, const EngSessionOptions *options,
                 EngSession **session, EngError *error)
{
  EngSession *s = eng_alloc (sizeof *s);
  Loading *l = eng_alloc (sizeof *l);
  EngStatus status = ENG_OK;
  if (!s || !l)
    status = eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  if (status == ENG_OK)
    {
      l->runtime = s->runtime = runtime;
      l->options = options;
      status = prepare (l, path, error);
      s->model = l->model;
      s->plan = l->plan;
    }
  if (status == ENG_OK && !options->force && s->plan.host_bytes > s->plan.available_bytes)
    status = eng_error_set_numbers (
        error, ENG_ERR_TOO_LARGE, "memory", s->plan.host_bytes, s->plan.available_bytes,
        "the model needs %llu MiB of memory, %llu MiB are free",
        (unsigned long long) (s->plan.host_bytes >> 20),
        (unsigned long long) (s->plan.available_bytes >> 20));
  if (status == ENG_OK)
    status = load (s, l, error);
  eng_free (l);
  if (status != ENG_OK)
    {
      eng_session_free (&s);
      return status;
    }
  *session = s;
  return ENG_OK;
}

void
eng_session_free (EngSession **session)
{
  EngSession *s = *session;
  *session = NULL;
  if (!s)
    return;
  eng_runner_free (&s->runner);
  eng_executor_free (&s->executor);
  eng_template_free (&s->template_);
  eng_tokenizer_free (&s->tokenizer);
  eng_sampler_free (&s->sampler);
  eng_model_unref (&s->model);
  eng_token_buffer_free (&s->prompt);
  eng_buffer_clear (&s->pushed);
  eng_buffer_clear (&s->filter.text);
  for (uint32_t i = 0; i < ENG_MAX_CONVERSATIONS; i++)
    eng_free (s->conversations[i].key);
  eng_free (s->generated);
  eng_free (s);
}

const EngModel *
eng_session_get_model (const EngSession *session)
{
  return session->model;
}

const EngSessionPlan *
eng_session_get_plan (const EngSession *session)
{
  return &session->plan;
}

EngRunner *
eng_session_get_runner (EngSession *session)
{
  return session->runner;
}

const EngTokenizer *
eng_session_get_tokenizer (const EngSession *session)
{
  return session->tokenizer;
}
