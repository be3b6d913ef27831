/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-tool-session.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "eng-folder.h"

static EngStatus
parse_type (const char *option, const char *text, size_t n, EngType *type, EngError *error)
{
  char name[16] = "";
  if (n < sizeof name)
    memcpy (name, text, n);
  *type = eng_type_from_name (name);
  const EngTypeInfo *info = *type == ENG_TYPE_NONE ? NULL : eng_type_get_info (*type);
  if (info && info->is_weight)
    return ENG_OK;
  return eng_error_set (error, ENG_ERR_ARGUMENT, option, ENG_OFFSET_NONE, "%s: '%.*s' is no type",
                        option, (int) n, text);
}

EngStatus
eng_tool_parse_kv (const char *text, EngType *k, EngType *v, EngError *error)
{
  size_t n = strcspn (text, ",");
  EngStatus status = parse_type ("--kv", text, n, k, error);
  *v = *k;
  if (status == ENG_OK && text[n])
    status = parse_type ("--kv", text + n + 1, strlen (text + n + 1), v, error);
  return status;
}

EngStatus
eng_tool_session_options (const EngToolModelOptions *o, EngSessionOptions *s, EngError *error)
{
  eng_session_options_init (s);
  if (o->n_threads > 1024)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "--threads", ENG_OFFSET_NONE,
                          "--threads: %llu is more than 1024", (unsigned long long) o->n_threads);
  if (o->n_gpu_layers < -1 || o->n_gpu_layers > INT32_MAX)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "--gpu-layers", ENG_OFFSET_NONE,
                          "--gpu-layers: %lld is out of range", (long long) o->n_gpu_layers);
  s->n_ctx = o->n_ctx;
  s->device = o->device;
  s->n_threads = (uint32_t) o->n_threads;
  s->n_gpu_layers = (int32_t) o->n_gpu_layers;
  if (o->cpu_experts && *o->cpu_experts)
    {
      char *end;
      errno = 0;
      unsigned long n = strtoul (o->cpu_experts, &end, 10);
      if (errno || *end || o->cpu_experts[0] < '0' || o->cpu_experts[0] > '9' || n > UINT32_MAX)
        return eng_error_set (error, ENG_ERR_ARGUMENT, "--cpu-experts", ENG_OFFSET_NONE,
                              "--cpu-experts: '%.20s' is no number of layers", o->cpu_experts);
      s->n_cpu_experts = (uint32_t) n;
    }
  else
    s->n_cpu_experts = o->cpu_experts ? UINT32_MAX : 0;
  s->gpu_memory_bytes = o->gpu_memory_bytes;
  s->force = o->force;
  s->exact = o->exact;
  s->no_mmap = o->no_mmap;
  EngStatus status = ENG_OK;
  if (o->kv)
    status = eng_tool_parse_kv (o->kv, &s->k_type, &s->v_type, error);
  if (status == ENG_OK && o->load_as)
    status = parse_type ("--load-as", o->load_as, strlen (o->load_as), &s->load_as, error);
  return status;
}

EngStatus
eng_tool_open (const char *path, const EngSessionOptions *options, EngToolSession *out,
               EngError *error)
{
  out->runtime = NULL;
  out->session = NULL;
  char file[ENG_FOLDER_PATH_BYTES];
  EngStatus status = eng_runtime_new (&out->runtime, error);
  if (status == ENG_OK)
    status = eng_folder_get_file (path, file, error);
  if (status == ENG_OK)
    status = eng_session_new (out->runtime, file, options, &out->session, error);
  return status;
}

void
eng_tool_close (EngToolSession *session)
{
  eng_session_free (&session->session);
  eng_runtime_free (&session->runtime);
}

EngStatus
eng_tool_parse_numbers (const char *text, const char *option, EngTokenBuffer *numbers, EngError *error)
{
  while (*text)
    {
      char *end;
      errno = 0;
      long v = strtol (text, &end, 10);
      int32_t id = (int32_t) v;
      if (end == text || errno || v < 0 || v > INT32_MAX || (*end && !strchr (", \n\t", *end)))
        return eng_error_set (error, ENG_ERR_ARGUMENT, option, ENG_OFFSET_NONE,
                              "%s: numbers with commas between are expected at '%.20s'", option, text);
      if (eng_token_buffer_append (numbers, &id, 1) != ENG_OK)
        return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
      text = end + strspn (end, ", \n\t");
    }
  return ENG_OK;
}

static ENG_ATOMIC_FLAG cancel_flag;

static void
on_interrupt (int number)
{
  atomic_store (&cancel_flag, 1);
  signal (number, SIG_DFL);
}

ENG_ATOMIC_FLAG *
eng_tool_cancel_flag (void)
{
  signal (SIGINT, on_interrupt);
  return &cancel_flag;
}
