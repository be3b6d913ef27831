/* SPDX-License-Identifier: Apache-2.0 */
/* Where tests find models, reference results and the engine's command. */
#pragma once

#include <glib.h>

/* Path of @name below tests/golden/data; caller frees. */
char *test_data_path (const char *name);

/* Path of the starter model, or NULL after g_test_skip () where it was not fetched; caller frees. */
char *test_starter_model_or_skip (void);

/* Runs inglenook-engine with NULL-ended @arguments and waits. TRUE when it exited with 0; @output and
 * @messages (standard output and error, caller frees) may be NULL. */
gboolean test_engine_run (const char *const *arguments, char **output, char **messages);

/* TRUE if the slow variants of tests are wanted (INGLENOOK_LONG=1, ./check --long). */
gboolean test_is_long (void);
