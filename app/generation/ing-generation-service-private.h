/* SPDX-License-Identifier: Apache-2.0 */
/* What other folders of app/ ask the service for. Main thread only. */
#pragma once

#include "eng-wire.h"
#include "ing-engine-launch.h"
#include "ing-generation-service.h"
#include "ing-generation.h"

/* @launch NULL = a thread of this process with the real engine. The engine starts with the first need. */
IngGenerationService *ing_generation_service_new (const IngEngineLaunch *launch);
void ing_generation_service_set_launch (IngGenerationService *self, const IngEngineLaunch *launch);

/* Run @generation after those before it, once a model is there. It always finishes: with
 * ING_ERROR_NO_MODEL at the next turn of the main loop if none is loaded or loading. */
void ing_generation_service_submit (IngGenerationService *self, IngGeneration *generation);
/* Stop it. It finishes with ING_STOP_PERSON, soon. */
void ing_generation_service_cancel (IngGenerationService *self, IngGeneration *generation);

/* Any other request (COUNT, EMBED, SCORE, INSPECT). @payload is taken. The reply is DONE's object, or the
 * bytes of EMBEDDINGS. Cancelling sends CANCEL. */
typedef struct
{
  JsonObject *object;
  GBytes *binary;
} IngEngineReply;
void ing_engine_reply_free (IngEngineReply *reply);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngEngineReply, ing_engine_reply_free)

void ing_generation_service_request_async (IngGenerationService *self, EngWireType type,
                                           JsonObject *payload, GCancellable *cancellable,
                                           GAsyncReadyCallback callback, gpointer user_data);
IngEngineReply *ing_generation_service_request_finish (IngGenerationService *self,
                                                       GAsyncResult *result, GError **error);

/* Where vectors are made ("auto", "cpu", "cuda:1") and by how many threads of the processor (0 = choose; at most
 * ING_MAX_THREADS), by EMBED of any payload. */
void ing_generation_service_set_vector_device (IngGenerationService *self, const char *device, guint threads);

/* Somebody asked, and no word of the answer is there yet: what can wait leaves it the processor. Not while a model is loaded
 * for it, or another answer is written. Any thread. */
gboolean ing_generation_service_is_answer_awaited (IngGenerationService *self);
/* So it is from here on, before anything is submitted, until as many calls let go. */
void ing_generation_service_hold (IngGenerationService *self);
void ing_generation_service_let_go (IngGenerationService *self);

/* What answers of the loaded model begin with where the conversation has nothing of its own. @sampling NULL = what suits
 * the model; @system_prompt NULL = nothing. */
void ing_generation_service_set_defaults (IngGenerationService *self, const IngSampling *sampling,
                                          const char *system_prompt);
void ing_generation_service_get_default_sampling (IngGenerationService *self, IngSampling *out);
const char *ing_generation_service_get_default_prompt (IngGenerationService *self); /* never NULL */

/* How a model is loaded that a question wants and that is not the loaded one: with ing_generation_service_load_async().
 * Without a loader questions go to whatever is loaded. */
typedef void (*IngServiceLoader) (const char *path, gpointer data);
void ing_generation_service_set_loader (IngGenerationService *self, IngServiceLoader loader, gpointer data);

/* Parameters of the loaded model; 0 = none, or unknown. */
guint64 ing_generation_service_get_parameters (IngGenerationService *self);

/* Stop everything and let the engine end; waits for it at most @timeout_ms in ing_engine_link_wait_closed(). */
void ing_generation_service_close (IngGenerationService *self);

/* Process of the engine, 0 = a thread or not started; for tests. */
int ing_generation_service_get_engine_pid (IngGenerationService *self);
