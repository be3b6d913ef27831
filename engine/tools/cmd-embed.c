/* SPDX-License-Identifier: Apache-2.0 */
/* embed MODEL TEXT…: one vector of length 1 a text. */
#include <string.h>
#include <time.h>

#include "eng-arena.h"
#include "eng-commands.h"
#include "eng-embed.h"
#include "eng-json.h"
#include "eng-tool-session.h"

#define MAX_ARGUMENTS 4096u /* a file may have any number of lines */
#define BATCH_ROWS 512u

static EngStatus
no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
}

/* Lines of @text as texts that point into it, which is changed; empty ones are left out. Caller frees *@out. */
static EngStatus
split_lines (char *text, EngString **out, size_t *n, EngError *error)
{
  size_t most = 1;
  for (const char *p = text; (p = strchr (p, '\n')) != NULL; p++)
    most++;
  *n = 0;
  *out = eng_alloc_array (most, sizeof **out);
  if (!*out)
    return no_memory (error);
  for (char *line = text; line;)
    {
      char *end = strchr (line, '\n');
      if (end)
        *end++ = 0;
      if (*line)
        (*out)[(*n)++] = (EngString) { line, strlen (line) };
      line = end;
    }
  return ENG_OK;
}

/* The texts of the command line. Caller frees *@out. */
static EngStatus
take_arguments (const char *const *arguments, size_t n, EngString **out, EngError *error)
{
  *out = eng_alloc_array (n, sizeof **out);
  if (!*out)
    return no_memory (error);
  for (size_t i = 0; i < n; i++)
    (*out)[i] = (EngString) { arguments[i], strlen (arguments[i]) };
  return ENG_OK;
}

static EngStatus
embed (EngSession *session, const EngString *texts, uint32_t n, EngEmbedKind kind, float **out,
       EngError *error)
{
  uint32_t width = eng_embed_get_width (session);
  *out = eng_alloc_array ((size_t) n * width, sizeof **out);
  if (!*out)
    return no_memory (error);
  EngStatus status = ENG_OK;
  uint32_t n_done;
  for (uint32_t i = 0; i < n && status == ENG_OK; i += n_done)
    status = eng_embed_some (session, texts + i, n - i, kind, BATCH_ROWS, eng_tool_cancel_flag (),
                             *out + (size_t) i * width, &n_done, error);
  return status;
}

static int
print_vectors (const float *vectors, uint32_t n, uint32_t width, double seconds, bool json)
{
  EngBuffer out = { 0 };
  EngJsonWriter w = { .out = &out };
  if (json)
    {
      eng_json_write_begin_object (&w);
      eng_json_write_member_int64 (&w, "width", width);
      eng_json_write_member_double (&w, "seconds", seconds); /* without loading the model */
      eng_json_write_key (&w, "embeddings");
    }
  eng_json_write_begin_array (&w);
  for (uint32_t i = 0; i < n; i++)
    {
      eng_json_write_begin_array (&w);
      for (uint32_t k = 0; k < width; k++)
        eng_json_write_double (&w, vectors[(size_t) i * width + k]);
      eng_json_write_end_array (&w);
    }
  eng_json_write_end_array (&w);
  if (json)
    eng_json_write_end_object (&w);
  return eng_tool_finish_json (&out);
}

int
eng_cmd_embed (int argc, char **argv)
{
  EngToolModelOptions model_options;
  eng_tool_model_options_init (&model_options);
  static const char *arguments[MAX_ARGUMENTS + 1];
  EngString *texts = NULL;
  const char *file = NULL;
  bool json = false, query = false;
  const EngToolOption options[] = {
    { "--text-file", ENG_TOOL_STRING, &file, "F  one text a line; - is standard input" },
    { "--query", ENG_TOOL_FLAG, &query, "  the texts are questions, not passages" },
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "MODEL (TEXT… | --text-file F) [OPTION]…",
    .summary = "Print the embedding vector of each text.",
    .options = options,
    .model = &model_options,
    .json = &json,
    .arguments = arguments,
    .min_arguments = 1,
    .max_arguments = MAX_ARGUMENTS + 1,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  if ((file != NULL) == (line.n_arguments > 1))
    return eng_tool_bad_usage ("embed needs texts or --text-file, one of them");
  EngError error;
  EngSessionOptions session_options;
  EngToolSession s = { NULL };
  char *content = NULL;
  float *vectors = NULL;
  struct timespec start = { 0 }, end = { 0 };
  size_t n = line.n_arguments - 1, n_bytes;
  EngStatus status = eng_tool_session_options (&model_options, &session_options, &error);
  session_options.max_sequences = 16;
  if (status == ENG_OK && file)
    status = eng_tool_read_file (file, (size_t) 64 << 20, &content, &n_bytes, &error);
  if (status == ENG_OK)
    status = file ? split_lines (content, &texts, &n, &error) : take_arguments (arguments + 1, n, &texts, &error);
  if (status == ENG_OK)
    status = eng_tool_open (arguments[0], &session_options, &s, &error);
  clock_gettime (CLOCK_MONOTONIC, &start);
  if (status == ENG_OK)
    status = embed (s.session, texts, (uint32_t) n, query ? ENG_EMBED_QUERY : ENG_EMBED_DOCUMENT,
                    &vectors, &error);
  clock_gettime (CLOCK_MONOTONIC, &end);
  double seconds = (double) (end.tv_sec - start.tv_sec) + 1e-9 * (double) (end.tv_nsec - start.tv_nsec);
  int code = status == ENG_OK ? print_vectors (vectors, (uint32_t) n,
                                               eng_embed_get_width (s.session), seconds, json)
                              : eng_tool_fail (arguments[0], &error);
  eng_free (vectors);
  eng_free (texts);
  eng_free (content);
  eng_tool_close (&s);
  return code;
}
