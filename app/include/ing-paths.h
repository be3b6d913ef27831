/* SPDX-License-Identifier: Apache-2.0 */
/* Where things stand on the disk, after the XDG base directory specification 0.8. All strings are
 * owned by the library and live as long as the process; any thread. Nothing is created here. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define ING_APP_ID "io.github.inglenook_app.Inglenook"

const char *ing_paths_get_data (void);   /* $XDG_DATA_HOME/inglenook: conversations, backups, lock */
const char *ing_paths_get_models (void); /* $INGLENOOK_MODELS, else …/inglenook/models */
const char *ing_paths_get_config (void); /* $XDG_CONFIG_HOME/inglenook */
const char *ing_paths_get_cache (void);  /* $XDG_CACHE_HOME/inglenook */

/* The engine's program: $INGLENOOK_ENGINE, else beside this program, else in the build's folder for
 * programs. NULL if none of them is there. */
const char *ing_paths_get_engine (void);
/* The confined program that reads documents: $INGLENOOK_READER, else found the same way, else in libexec. */
const char *ing_paths_get_reader (void);

/* The model to start with: the settings' last one if its file is there, else the starter, else the
 * first *.gguf of the models folder by name. Looks at the disk. NULL if there is none; caller frees. */
char *ing_paths_find_default_model (const char *last_model);

/* @path as it is shown: valid UTF-8 in one line, without characters that turn the direction of others around. Caller
 * frees. */
char *ing_paths_make_display (const char *path);

/* Is this program in a Flatpak's sandbox? */
gboolean ing_paths_is_sandboxed (void);

/* Create @path and its parents, readable by the person alone (0700). */
gboolean ing_paths_ensure_folder (const char *path, GError **error);

G_END_DECLS
