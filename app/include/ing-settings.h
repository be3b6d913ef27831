/* SPDX-License-Identifier: Apache-2.0 */
/* What the program remembers between starts: a key file, $XDG_CONFIG_HOME/inglenook/settings.ini.
 *
 * A key file rather than GSettings: it needs no compiled schema (so a program run from its build
 * folder, in a terminal, or without a session bus behaves the same), and a person can read, copy
 * and mend it. A key that is missing or does not parse takes its default; a file that cannot be
 * written leaves the settings in memory and raises ::problem once.
 *
 * Main thread only; writing happens in the background, half a second after the last change. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define ING_TYPE_SETTINGS (ing_settings_get_type ())
G_DECLARE_FINAL_TYPE (IngSettings, ing_settings, ING, SETTINGS, GObject)

/* Keys that app/ itself reads. Others (of the window, …) are named by their users, "group.key". */
#define ING_SETTING_LAST_MODEL "model.last"         /* string: path */
#define ING_SETTING_CONTEXT "model.context"         /* int: tokens, 0 = choose */
#define ING_SETTING_THREADS "model.threads"         /* int: 0 = choose */
#define ING_MAX_THREADS 256
#define ING_SETTING_DEVICE "model.device"           /* string: auto, cpu, cuda[:N] */
#define ING_SETTING_IDLE_MINUTES "model.idle-minutes" /* int: without a question, then its memory is free; 0 = never */
#define ING_DEFAULT_IDLE_MINUTES 15
#define ING_SETTING_ENGINE_MODE "engine.mode"       /* string: auto, thread, child */
#define ING_SETTING_ON_BATTERY "documents.on-battery" /* boolean: collections are read on battery too */
#define ING_SETTING_SYSTEM_PROMPT "chat.system"     /* string: for new conversations */

/* @path NULL = the usual place; a path that does not exist is an empty file. Never fails. */
IngSettings *ing_settings_new (const char *path);

/* Signals:
 *   "changed" (const char *key), detailed by key with '.' as '-': "changed::model-last"
 *   "problem" (GError *): could not be written */

char *ing_settings_dup_string (IngSettings *self, const char *key, const char *fallback);
int ing_settings_get_int (IngSettings *self, const char *key, int fallback);
double ing_settings_get_double (IngSettings *self, const char *key, double fallback);
gboolean ing_settings_get_boolean (IngSettings *self, const char *key, gboolean fallback);

void ing_settings_set_string (IngSettings *self, const char *key, const char *value);
void ing_settings_set_int (IngSettings *self, const char *key, int value);
void ing_settings_set_double (IngSettings *self, const char *key, double value);
void ing_settings_set_boolean (IngSettings *self, const char *key, gboolean value);
void ing_settings_reset (IngSettings *self, const char *key);

/* Write now and wait: for the end of the program. */
gboolean ing_settings_flush (IngSettings *self, GError **error);
/* What is set now, in another file too. A copy that cannot be written is no loss. */
void ing_settings_save_copy (IngSettings *self, const char *path);

G_END_DECLS
