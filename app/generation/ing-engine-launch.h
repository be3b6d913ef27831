/* SPDX-License-Identifier: Apache-2.0 */
/* How the engine is started behind a socket: on a thread of this process, or as a child. */
#pragma once

#include <gio/gio.h>

#include "eng-serve.h"

typedef enum
{
  ING_ENGINE_THREAD,
  ING_ENGINE_CHILD
} IngEngineMode;

typedef struct
{
  IngEngineMode mode;
  /* THREAD: NULL = eng_serve(). Tests put a double here. */
  EngStatus (*serve) (int fd, EngError *error);
  /* CHILD: what comes before "serve --fd N"; NULL = the program of ing_paths_get_engine(). */
  const char *program;
} IngEngineLaunch;

typedef struct _IngEngineProcess IngEngineProcess;

/* Start one; *@fd is this side's end of the socket, non-blocking, the caller's. Any thread. */
IngEngineProcess *ing_engine_process_start (const IngEngineLaunch *launch, int *fd, GError **error);

/* Wait until it ended, its socket being closed: a child that takes longer than @grace_ms is killed; a thread
 * cannot be and is waited for. Frees @process. Blocks: not on the main thread. */
void ing_engine_process_finish (IngEngineProcess *process, guint grace_ms);

/* 0 for a thread. */
int ing_engine_process_get_pid (IngEngineProcess *process);
