/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n-lib.h>
#include <stdlib.h>
#include <string.h>

#include "ing-ask-private.h"
#include "ing-paths.h"

const char *
ing_ask_get_usage (void)
{
  return _ ("Usage: inglenook ask [OPTION…] [QUESTION | -]\n"
            "       inglenook search --document FILE… | --collection NAME… [-k N] [--history-file H]\n"
            "                        [--json] QUERY\n"
            "Answers a question in the terminal; “-” reads it from standard input. “search” prints\n"
            "passages of documents alone.\n"
            "\n"
            "  --model M           a model file, or the name of one in the models folder\n"
            "  --document FILE     answer from this document (may be repeated); the password\n"
            "                      of a locked one is asked for on the terminal\n"
            "  --collection NAME   answer from this collection (may be repeated)\n"
            "  -k N                so many passages (1 … 100)\n"
            "  --history-file H    earlier messages, a JSON array of {\"role\", \"content\"}\n"
            "  --conversation ID   go on with a conversation\n"
            "  --json              print one JSON object at the end\n"
            "  --offline           open no network socket\n"
            "  --help              show this\n");
}

void
ing_ask_options_free (IngAskOptions *o)
{
  if (o == NULL)
    return;
  g_free (o->model);
  g_strfreev (o->documents);
  g_strfreev (o->collections);
  g_free (o->history);
  g_free (o->question);
  g_free (o);
}

static gboolean
usage_error (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
usage_error (GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, ING_ERROR, ING_ERROR_ARGUMENT, text);
  return FALSE;
}

/* The value of option @name at argv[*i]: "--name value" or "--name=value". NULL = not this option. */
static const char *
option_value (char **argv, guint *i, const char *name, gboolean *missing)
{
  gsize n = strlen (name);
  if (strncmp (argv[*i], name, n) != 0)
    return NULL;
  if (argv[*i][n] == '=')
    return argv[*i] + n + 1;
  if (argv[*i][n] != '\0')
    return NULL;
  if (argv[*i + 1] == NULL)
    {
      *missing = TRUE;
      return "";
    }
  return argv[++*i];
}

/* A name without a slash is one of the models folder, unless such a file is here. */
static char *
find_model (const char *value, const char *folder)
{
  g_autofree char *path = g_canonicalize_filename (value, folder);
  if (strchr (value, '/') != NULL || g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&path);
  g_autofree char *stored = g_build_filename (ing_paths_get_models (), value, NULL);
  if (g_file_test (stored, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&stored);
  g_autofree char *suffixed = g_strconcat (stored, ".gguf", NULL);
  if (g_file_test (suffixed, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&suffixed);
  return g_steal_pointer (&path);
}

static gboolean
parse_flag (IngAskOptions *o, const char *word)
{
  if (strcmp (word, "--json") == 0)
    o->json = TRUE;
  else if (strcmp (word, "--offline") == 0)
    o->offline = TRUE;
  else if (strcmp (word, "--help") == 0 || strcmp (word, "-h") == 0)
    o->help = TRUE;
  else
    return FALSE;
  return TRUE;
}

static gboolean
parse_value (IngAskOptions *o, char **argv, guint *i, const char *folder, GStrvBuilder *documents,
             GStrvBuilder *collections, gboolean *known, GError **error)
{
  gboolean missing = FALSE;
  const char *word = argv[*i], *value;
  *known = TRUE;
  if ((value = option_value (argv, i, "--model", &missing)) != NULL)
    {
      g_free (o->model);
      o->model = find_model (value, folder);
    }
  else if ((value = option_value (argv, i, "--document", &missing)) != NULL)
    {
      g_autofree char *path = g_canonicalize_filename (value, folder);
      g_strv_builder_add (documents, path);
    }
  else if ((value = option_value (argv, i, "--collection", &missing)) != NULL)
    {
      g_autofree char *name = g_utf8_make_valid (value, -1);
      g_strv_builder_add (collections, g_strstrip (name));
    }
  else if ((value = option_value (argv, i, "--history-file", &missing)) != NULL)
    {
      g_free (o->history);
      o->history = g_canonicalize_filename (value, folder);
    }
  else if ((value = option_value (argv, i, "-k", &missing)) != NULL)
    {
      guint64 n = 0;
      if (!missing && !g_ascii_string_to_unsigned (value, 10, 1, 100, &n, NULL))
        return usage_error (error, _ ("“%s” is no number from 1 to 100."), value);
      o->n_passages = (guint) n;
    }
  else if ((value = option_value (argv, i, "--conversation", &missing)) != NULL)
    {
      if (!missing
          && !g_ascii_string_to_signed (value, 10, 1, G_MAXINT64, &o->conversation, NULL))
        return usage_error (error, _ ("“%s” is no conversation’s number."), value);
    }
  else
    *known = FALSE;
  return !missing || usage_error (error, _ ("“%s” needs a value."), word);
}

/* NULL = empty. */
static char **
end_if_any (GStrvBuilder *builder)
{
  g_auto (GStrv) all = g_strv_builder_end (builder);
  return all[0] != NULL ? g_steal_pointer (&all) : NULL;
}

IngAskOptions *
ing_ask_options_parse (char **argv, gboolean search, const char *folder, GError **error)
{
  g_autoptr (IngAskOptions) o = g_new0 (IngAskOptions, 1);
  g_autoptr (GStrvBuilder) documents = g_strv_builder_new ();
  g_autoptr (GStrvBuilder) collections = g_strv_builder_new ();
  g_autoptr (GString) question = g_string_new (NULL);
  gboolean only_words = FALSE;
  o->search = search;
  for (guint i = 0; argv[i] != NULL; i++)
    {
      gboolean known = FALSE;
      if (!only_words && strcmp (argv[i], "--") == 0)
        {
          only_words = TRUE;
          continue;
        }
      if (!only_words && g_str_has_prefix (argv[i], "-") && argv[i][1] != '\0')
        {
          if (parse_flag (o, argv[i]))
            continue;
          const char *word = argv[i];
          if (!parse_value (o, argv, &i, folder, documents, collections, &known, error))
            return NULL;
          if (!known)
            {
              usage_error (error, _ ("Unknown option “%s”."), word);
              return NULL;
            }
          continue;
        }
      if (!only_words && strcmp (argv[i], "-") == 0)
        o->from_stdin = TRUE;
      else
        g_string_append_printf (question, "%s%s", question->len > 0 ? " " : "", argv[i]);
    }
  o->documents = end_if_any (documents);
  o->collections = end_if_any (collections);
  g_autofree char *valid = g_utf8_make_valid (question->str, -1);
  g_strstrip (valid);
  if (o->help)
    return g_steal_pointer (&o);
  if (o->search && o->documents == NULL && o->collections == NULL)
    {
      usage_error (error, "%s", _ ("Name what to search: --document FILE or --collection NAME."));
      return NULL;
    }
  if (o->from_stdin == (*valid != '\0'))
    {
      usage_error (error, "%s", o->from_stdin ? _ ("Give a question or “-”, not both.")
                                              : _ ("There is no question."));
      return NULL;
    }
  if (!o->from_stdin)
    o->question = g_steal_pointer (&valid);
  return g_steal_pointer (&o);
}

char *
ing_ask_make_printable (const char *text)
{
  g_autoptr (GString) out = g_string_sized_new (strlen (text));
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      if (c == '\n' || c == '\t' || !g_unichar_iscntrl (c))
        g_string_append_unichar (out, c);
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}
