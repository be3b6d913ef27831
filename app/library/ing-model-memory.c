/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: @base belongs to @pid and was read while no model was loaded in it. */
#include "ing-model-memory.h"

#include <stdio.h>
#include <unistd.h>

#include "ing-json.h"

struct _IngModelMeter
{
  IngGenerationService *service; /* borrowed, outlives it */
  IngSettings *settings;         /* the same */
  int pid;                       /* 0 = this process */
  guint64 base;
  gboolean has_base;
  IngServiceState before;
};

/* proc(5), statm: the second number is pages that are resident. */
static guint64
read_resident (int pid)
{
  g_autofree char *path = pid > 0 ? g_strdup_printf ("/proc/%d/statm", pid) : g_strdup ("/proc/self/statm");
  g_autofree char *text = NULL;
  guint64 all, resident;
  if (!g_file_get_contents (path, &text, NULL, NULL)
      || sscanf (text, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &all, &resident) != 2)
    return 0;
  return resident * (guint64) sysconf (_SC_PAGESIZE);
}

static void
measure (IngModelMeter *meter)
{
  const char *path = ing_generation_service_get_model_path (meter->service);
  const char *info = ing_generation_service_get_model_info (meter->service);
  g_autoptr (JsonObject) object = info != NULL ? ing_json_parse_object (info, -1, NULL) : NULL;
  JsonObject *plan = object != NULL ? ing_json_get_object (object, "memory") : NULL;
  int pid = ing_generation_service_get_engine_pid (meter->service);
  guint64 now = read_resident (pid);
  if (path == NULL || plan == NULL || !meter->has_base || pid != meter->pid || now <= meter->base)
    return;
  IngModelMemory old, memory = {
    .planned = (guint64) MAX (0, ing_json_get_int (plan, "host", 0)),
    .measured = now - meter->base,
    .context = ing_generation_service_get_context_size (meter->service),
  };
  /* Of the same load: the most that was seen. */
  if (meter->before == ING_SERVICE_GENERATING && ing_model_memory_read (&old, meter->settings, path)
      && old.measured >= memory.measured)
    return;
  ing_model_memory_write (&memory, meter->settings, path);
}

static void
on_state (IngGenerationService *service, GParamSpec *pspec, gpointer data)
{
  IngModelMeter *meter = data;
  IngServiceState state = ing_generation_service_get_state (service);
  int pid = ing_generation_service_get_engine_pid (service);
  if (state == ING_SERVICE_LOADING && (!meter->has_base || pid != meter->pid))
    {
      meter->pid = pid;
      meter->base = read_resident (pid);
      meter->has_base = TRUE;
    }
  else if (state == ING_SERVICE_READY)
    measure (meter);
  meter->before = state;
}

IngModelMeter *
ing_model_meter_new (IngGenerationService *service, IngSettings *settings)
{
  IngModelMeter *meter = g_new0 (IngModelMeter, 1);
  meter->service = service;
  meter->settings = settings;
  g_signal_connect (service, "notify::state", G_CALLBACK (on_state), meter);
  return meter;
}

void
ing_model_meter_free (IngModelMeter *meter)
{
  g_signal_handlers_disconnect_by_data (meter->service, meter);
  g_free (meter);
}
