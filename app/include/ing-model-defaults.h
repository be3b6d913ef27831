/* SPDX-License-Identifier: Apache-2.0 */
/* What a person chose for one model, by its path, and what running it took the last time; kept in the settings. Main
 * thread only. */
#pragma once

#include "ing-generation-service.h"
#include "ing-sampling.h"
#include "ing-settings.h"

G_BEGIN_DECLS

/* JSON object, path → object. "changed::models-defaults" when one changes. */
#define ING_SETTING_MODEL_DEFAULTS "models.defaults"
#define ING_SETTING_MODEL_MEMORY "models.memory"
/* JSON object as ing_sampling_to_json() writes it; absent = what suits the model. */
#define ING_SETTING_SAMPLING "chat.sampling"

/* NULL, "", 0, -1 = as the settings for all models say, or chosen by itself. */
typedef struct
{
  guint context;       /* tokens */
  char *device;        /* "cpu", "cuda", "cuda:1" */
  int gpu_layers;      /* -1 = choose */
  char *kv;            /* "f16", "q8_0" */
  gboolean has_sampling;
  IngSampling sampling; /* if has_sampling */
  char *system_prompt; /* of conversations that have no instructions of their own */
} IngModelDefaults;

/* Fill @defaults; _clear() frees what it holds. */
void ing_model_defaults_read (IngModelDefaults *defaults, IngSettings *settings, const char *path);
void ing_model_defaults_clear (IngModelDefaults *defaults);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (IngModelDefaults, ing_model_defaults_clear)
/* One that says nothing is forgotten. */
void ing_model_defaults_write (const IngModelDefaults *defaults, IngSettings *settings, const char *path);

/* What is kept of @path is of @new_path from now on. */
void ing_model_defaults_rename (IngSettings *settings, const char *path, const char *new_path);

/* Options to load @path with: its own, else those of the settings. Strings are borrowed from @defaults and, for the
 * device, *@device (caller frees). */
void ing_model_defaults_get_load_options (const IngModelDefaults *defaults, IngSettings *settings, IngLoadOptions *options,
                                          char **device);

/* Memory of the last load of a model. */
typedef struct
{
  guint64 planned;  /* bytes in main memory, by the plan */
  guint64 measured; /* bytes by which the engine's process grew, the most that was seen */
  guint context;    /* tokens */
} IngModelMemory;

/* FALSE if it was never loaded here. */
gboolean ing_model_memory_read (IngModelMemory *memory, IngSettings *settings, const char *path);

G_END_DECLS
