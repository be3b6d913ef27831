/* SPDX-License-Identifier: Apache-2.0 */
/* Logging goes through g_log with this domain; `G_MESSAGES_DEBUG=inglenook` shows all of it. Never
 * log what a person wrote, what a model answered, or a document's text: counts, ids and names of
 * states only. */
#pragma once

#define ING_LOG_DOMAIN "inglenook"

#include <glib.h>

#define ing_debug(...) g_log (ING_LOG_DOMAIN, G_LOG_LEVEL_DEBUG, __VA_ARGS__)
#define ing_info(...) g_log (ING_LOG_DOMAIN, G_LOG_LEVEL_INFO, __VA_ARGS__)
/* Something went wrong that the person is told of by other means; not a programmer's error, so not a
 * GLib warning (those are fatal in tests). */
#define ing_notice(...) g_log (ING_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, __VA_ARGS__)
