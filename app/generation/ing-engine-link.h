/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to one engine: frames out, answers in. A thread does the reading, writing and parsing;
 * the owner's context hears of tokens and progress at most once a frame (ING_LINK_FRAME_US), tokens of a
 * request joined and progress reduced to its last; of an answer's first tokens, and of all else, at once.
 * After it closed a link is of no use; make another. */
#pragma once

#include <json-glib/json-glib.h>

#include "eng-wire.h"
#include "ing-engine-launch.h"

#define ING_LINK_FRAME_US 16000

#define ING_TYPE_ENGINE_LINK (ing_engine_link_get_type ())
G_DECLARE_FINAL_TYPE (IngEngineLink, ing_engine_link, ING, ENGINE_LINK, GObject)

/* An answer. @object is its JSON (NULL for EMBEDDINGS), @text all of the new text for TOKENS, @binary
 * the payload of EMBEDDINGS. Borrowed for the call. */
typedef struct
{
  EngWireType type;
  guint32 id;
  JsonObject *object;
  GString *text;
  GBytes *binary;
} IngEngineEvent;

typedef struct
{
  void (*event) (IngEngineLink *link, const IngEngineEvent *event, gpointer data);
  /* Nothing comes any more. @error says why; once. Not called after ing_engine_link_close(). */
  void (*lost) (IngEngineLink *link, const GError *error, gpointer data);
} IngEngineLinkHandler;

/* Starts the engine. @handler is called in the thread-default context of the caller. */
IngEngineLink *ing_engine_link_new (const IngEngineLaunch *launch,
                                    const IngEngineLinkHandler *handler, gpointer data,
                                    GError **error);

/* Send a request; returns its id. @payload is taken. */
guint32 ing_engine_link_send (IngEngineLink *self, EngWireType type, JsonObject *payload);
void ing_engine_link_cancel (IngEngineLink *self, guint32 id);

/* End it: the handler is not called any more. The engine is asked to end and waited for in the
 * background; ing_engine_link_wait_closed() waits for those. */
void ing_engine_link_close (IngEngineLink *self);

/* TRUE when every closed engine has ended, at most after @timeout_ms. Blocks: for the end of the program. */
gboolean ing_engine_link_wait_closed (guint timeout_ms);

/* 0 when the engine is a thread. */
int ing_engine_link_get_pid (IngEngineLink *self);
