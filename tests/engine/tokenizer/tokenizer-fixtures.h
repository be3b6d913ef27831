/* SPDX-License-Identifier: Apache-2.0 */
/* Finding vocabularies and models for the tests, and short forms of the calls under test. */
#pragma once

#include <glib.h>

#include "eng-detokenizer.h"
#include "eng-tokenizer-gguf.h"

/* "$INGLENOOK_FIXTURES/vocab/ggml-vocab-<name>.gguf<suffix>", or NULL when there are none. */
static inline char *
fixture_path (const char *name, const char *suffix)
{
  const char *folder = g_getenv ("INGLENOOK_FIXTURES");
  if (!folder)
    return NULL;
  g_autofree char *file = g_strdup_printf ("ggml-vocab-%s.gguf%s", name, suffix);
  char *path = g_build_filename (folder, "vocab", file, NULL);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    g_clear_pointer (&path, g_free);
  return path;
}

/* A file of the models folder, or NULL. */
static inline char *
model_path (const char *name)
{
  const char *folder = g_getenv ("INGLENOOK_MODELS");
  char *path = folder ? g_build_filename (folder, name, NULL)
                      : g_build_filename (g_get_user_data_dir (), "inglenook", "models", name, NULL);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    g_clear_pointer (&path, g_free);
  return path;
}

static inline EngTokenizer *
load_tokenizer (const char *path)
{
  EngGguf *gguf = NULL;
  EngTokenizer *tok = NULL;
  EngError error;
  if (eng_gguf_open (path, ENG_GGUF_MAP, &gguf, &error))
    g_error ("%s: %s", path, error.text);
  if (eng_tokenizer_from_gguf (gguf, &tok, &error))
    g_error ("%s: %s (%s)", path, error.text, error.field);
  eng_gguf_close (&gguf);
  return tok;
}

/* Skips the running case and gives NULL when the fixture is not there. */
static inline EngTokenizer *
load_fixture (const char *name)
{
  g_autofree char *path = fixture_path (name, "");
  if (path)
    return load_tokenizer (path);
  g_test_skip ("no vocabularies: INGLENOOK_FIXTURES is not set");
  return NULL;
}
