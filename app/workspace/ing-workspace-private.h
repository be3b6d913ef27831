/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ing-database.h"
#include "ing-generation-service-private.h"
#include "ing-workspace.h"

/* As ing_workspace_new(), with settings at @settings_path and an engine of the test's own; NULL = as
 * usual. */
IngWorkspace *ing_workspace_new_full (const char *data_folder, const char *owner,
                                      const char *settings_path, const IngEngineLaunch *launch);
/* As ing_workspace_open_model(); @remember: make it the settings' last model once it is loaded. */
void ing_workspace_load_model (IngWorkspace *self, const char *path, gboolean force,
                               gboolean remember);
IngDatabase *ing_workspace_get_database (IngWorkspace *self);
