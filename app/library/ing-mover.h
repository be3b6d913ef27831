/* SPDX-License-Identifier: Apache-2.0 */
/* Moving models as a job. Main thread only. */
#pragma once

#include "ing-library-private.h"

/* Runs @job and completes @outer (taken), as an IngJobStart does. */
void ing_mover_start (IngLibrary *library, IngDatabase *database, IngJob *job, GTask *outer);
/* What a job that was given up left in the target folder goes. */
void ing_mover_clean (IngLibrary *library, IngDatabase *database, IngJob *job);
/* Caller frees. */
char *ing_mover_make_payload (const char *path, const char *folder);
