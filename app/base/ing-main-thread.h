/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

/* Any thread: run @func once in the main thread, at its loop's next turn and in the order of these calls. Unlike
 * g_main_context_invoke (), never in the caller's own thread, which that does while nobody happens to be in the main loop. */
void ing_main_thread_run (GSourceFunc func, gpointer data);
