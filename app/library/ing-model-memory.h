/* SPDX-License-Identifier: Apache-2.0 */
/* Measures what loaded models take: by how much the resident memory of the engine's process has grown since there was no
 * model in it, after the load and after each answer (weights that are mapped come in when they are first read). Main
 * thread only. */
#pragma once

#include "ing-generation-service-private.h"
#include "ing-model-defaults.h"

typedef struct _IngModelMeter IngModelMeter;

/* Watches @service and writes to @settings until freed. */
IngModelMeter *ing_model_meter_new (IngGenerationService *service, IngSettings *settings);
void ing_model_meter_free (IngModelMeter *meter);

void ing_model_memory_write (const IngModelMemory *memory, IngSettings *settings, const char *path);
