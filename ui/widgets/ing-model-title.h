/* SPDX-License-Identifier: Apache-2.0 */
/* What a model is called in the window. Main thread only. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A short name from the file's: "Qwen3-4B-Instruct-2507-Q4_K_M.gguf" is "Qwen3 4B Instruct 2507". (The name
 * inside a file is often that of a training run.) @path may be NULL: NULL. Caller frees. */
char *ing_model_title_dup (const char *path);

/* The model that comes with the program. */
gboolean ing_model_title_is_starter (const char *path);

G_END_DECLS
