/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the service. Two threads:
 *   reader  reads frames, parses them, puts requests in the list, sets cancel flags;
 *   engine  (the caller of eng_serve) takes requests in order, runs them, writes every answer.
 * What both touch stands under @lock; models belong to the engine thread alone. */
#pragma once

#include <pthread.h>

#include "eng-arena.h"
#include "eng-buffer.h"
#include "eng-error.h"
#include "eng-json.h"
#include "eng-serve.h"
#include "eng-session.h"
#include "eng-wire.h"

#define ENG_SERVE_MAX_REQUESTS 256u
/* Bytes of all requests waiting, and what one parsed request may take in memory. */
#define ENG_SERVE_MAX_WAITING_BYTES ((size_t) 256 << 20)
#define ENG_SERVE_MAX_PARSED_BYTES ((size_t) 1 << 30)

/* Lower goes first. A look at a file (INSPECT) touches nothing that is loaded: it is served between two steps of an
 * answer, which may last minutes. */
typedef enum
{
  ENG_PRIORITY_LOOK,
  ENG_PRIORITY_ANSWER,
  ENG_PRIORITY_QUESTION,
  ENG_PRIORITY_INDEX,
} EngPriority;

typedef struct EngRequest EngRequest;
struct EngRequest
{
  EngRequest *next; /* in order of arrival */
  uint32_t id;
  EngWireType type;
  EngPriority priority;
  bool is_running;
  ENG_ATOMIC_FLAG cancel;
  ENG_ATOMIC_FLAG yield; /* cancelled, or something waits that goes before it */
  EngArena arena; /* of the parsed payload */
  const EngJson *payload;
  size_t n_bytes;
};

typedef struct
{
  int fd;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  EngRequest *requests; /* all that are not answered yet, running ones too */
  uint32_t n_requests;
  size_t waiting_bytes;
  bool is_closing;      /* no further request is started */
  EngStatus end_status; /* why the connection ended */
  EngError end_error;

  /* engine thread */
  EngRuntime *runtime;
  EngSession *chat, *embedder;
  char *chat_key, *embedder_key; /* what was loaded and how: equal keys need no loading */
  EngBuffer frame;               /* of the answer being written */
  bool write_failed;
} EngService;

/* Take the first request whose priority goes before @below (ENG_PRIORITY_INDEX + 1 = any), or NULL. */
EngRequest *eng_service_take (EngService *service, EngPriority below, bool wait);
/* Answered: out of the list and freed. */
void eng_service_drop (EngService *service, EngRequest *request);
/* Run one request to its answer. */
void eng_service_handle (EngService *service, EngRequest *request);
/* Run what waits and goes before @below. The caller is not writing an answer's frame. */
void eng_service_handle_urgent (EngService *service, EngPriority below);

/* --- answers --- */

/* Begin an object in service->frame; end and send it as @type. */
EngJsonWriter eng_service_begin (EngService *service);
void eng_service_send (EngService *service, const EngRequest *request, EngWireType type,
                       EngJsonWriter *writer);
void eng_service_send_bytes (EngService *service, const EngRequest *request, EngWireType type,
                             const void *payload, size_t n_bytes);
void eng_service_send_failed (EngService *service, const EngRequest *request,
                              const EngError *error);
/* PROGRESS, at most 20 a second (*last_us is the caller's, 0 at first; the end always goes out). */
void eng_service_send_progress (EngService *service, const EngRequest *request, const char *stage,
                                uint64_t done, uint64_t total, uint64_t *last_us);
uint64_t eng_service_now_us (void);

/* --- handlers: return ENG_OK after having answered, else eng_service_handle answers FAILED --- */
EngStatus eng_service_hello (EngService *service, EngRequest *request, EngError *error);
EngStatus eng_service_load (EngService *service, EngRequest *request, EngError *error);
EngStatus eng_service_unload (EngService *service, EngRequest *request, EngError *error);
EngStatus eng_service_inspect (EngService *service, EngRequest *request, EngError *error);
EngStatus eng_service_generate (EngService *service, EngRequest *request, EngError *error);
EngStatus eng_service_count (EngService *service, EngRequest *request, EngError *error);
EngStatus eng_service_score (EngService *service, EngRequest *request, EngError *error);
EngStatus eng_service_embed (EngService *service, EngRequest *request, EngError *error);

/* Session options of a payload. Strings are borrowed from it. */
EngStatus eng_service_read_options (const EngJson *payload, EngSessionOptions *options,
                                    EngError *error);
/* All that decides what is loaded of the model at @path, as one string; eng_free() it. NULL: no memory. */
char *eng_service_make_key (const char *path, const EngSessionOptions *options);
/* A required, non-empty string member. */
EngStatus eng_service_read_string (const EngJson *payload, const char *key, const char **out,
                                   EngError *error);
