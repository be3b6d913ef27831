/* SPDX-License-Identifier: Apache-2.0 */
/* The model: loads it, keeps it, and puts questions to it one after another. Owns the only connection
 * to the engine, which runs on a thread of this process or in a child; a lost child starts again with
 * the next request. Conversations ask it themselves; a window loads models and shows its state.
 * Main thread only; nothing here blocks. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define ING_TYPE_GENERATION_SERVICE (ing_generation_service_get_type ())
G_DECLARE_FINAL_TYPE (IngGenerationService, ing_generation_service, ING, GENERATION_SERVICE, GObject)

typedef enum
{
  ING_SERVICE_NO_MODEL, /* load-error says why, when the last load failed */
  ING_SERVICE_LOADING,
  ING_SERVICE_READY,
  ING_SERVICE_GENERATING
} IngServiceState;

/* Values of 0, NULL and "" choose by themselves. */
typedef struct
{
  guint context;          /* tokens */
  const char *device;     /* "auto", "cpu", "cuda[:N]" */
  int threads;
  int gpu_layers;         /* -1 = choose */
  int cpu_experts;
  guint64 gpu_memory;     /* bytes */
  const char *kv;         /* "f16", "q8_0,q8_0" */
  const char *load_as;    /* element type */
  gboolean force;         /* load although it will not fit in memory */
} IngLoadOptions;

#define ING_LOAD_OPTIONS_INIT { .gpu_layers = -1 }

/* Properties, read-only and notifying: "state", "model-path", "model-name", "load-progress" (0 … 1),
 * "load-error" (GError), "context-size", "context-used" (tokens, of the last answer), "device",
 * "has-template", "n-waiting" (questions), "tokens-per-second" (of the running answer), "resting". */

IngServiceState ing_generation_service_get_state (IngGenerationService *self);
const char *ing_generation_service_get_model_path (IngGenerationService *self); /* NULL = none */
const char *ing_generation_service_get_model_name (IngGenerationService *self); /* NULL = none */
const char *ing_generation_service_get_loading_path (IngGenerationService *self); /* NULL = none is being loaded */
double ing_generation_service_get_load_progress (IngGenerationService *self);
const GError *ing_generation_service_get_load_error (IngGenerationService *self);
guint ing_generation_service_get_context_size (IngGenerationService *self);
guint ing_generation_service_get_context_used (IngGenerationService *self);
const char *ing_generation_service_get_device (IngGenerationService *self); /* "CPU · AVX2", NULL */
gboolean ing_generation_service_get_has_template (IngGenerationService *self);
guint ing_generation_service_get_n_waiting (IngGenerationService *self);

/* More of the loaded model: "architecture", "parameters", "file_bytes", "type", "context_train",
 * "memory", … as the engine reported them, one JSON object; NULL when none is loaded. */
const char *ing_generation_service_get_model_info (IngGenerationService *self);

/* Load @path instead of what is loaded; questions sent meanwhile wait for it. A running answer is
 * stopped. A load under way is given up for the new one (its caller gets G_IO_ERROR_CANCELLED). A
 * failure leaves no model loaded. ING_ERROR_TOO_LARGE carries both numbers: offer @options.force.
 * @options NULL = all by itself. */
void ing_generation_service_load_async (IngGenerationService *self, const char *path,
                                        const IngLoadOptions *options, GCancellable *cancellable,
                                        GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_generation_service_load_finish (IngGenerationService *self, GAsyncResult *result,
                                             GError **error);
void ing_generation_service_unload (IngGenerationService *self);

/* After @seconds without a question the model's memory is given back (0 = never); it rests: everything reads as if it were
 * loaded, and the next question loads it again. */
void ing_generation_service_set_idle_unload (IngGenerationService *self, guint seconds);
gboolean ing_generation_service_get_resting (IngGenerationService *self);

/* Look at a model file without loading it. Returns the engine's JSON object (architecture, name,
 * parameters, file_bytes, type, context_train, has_template, memory); caller frees. */
void ing_generation_service_inspect_async (IngGenerationService *self, const char *path,
                                           GCancellable *cancellable,
                                           GAsyncReadyCallback callback, gpointer user_data);
char *ing_generation_service_inspect_finish (IngGenerationService *self, GAsyncResult *result,
                                             GError **error);

/* The devices of this machine as the engine's JSON array; NULL until the engine said hello. */
const char *ing_generation_service_get_devices (IngGenerationService *self);

G_END_DECLS
