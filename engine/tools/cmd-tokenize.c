/* SPDX-License-Identifier: Apache-2.0 */
/* tokenize MODEL [TEXT | --text-file F]: the ids of a text, with neither BOS nor EOS. */
#include <string.h>

#include "eng-arena.h"
#include "eng-commands.h"
#include "eng-tokenizer-gguf.h"
#include "eng-tool.h"

static void
print_ids (const EngTokenBuffer *ids, bool json)
{
  if (json)
    fputs ("{\"ids\": [", stdout);
  for (size_t i = 0; i < ids->n; i++)
    printf ("%s%d", i == 0 ? "" : json ? ", " : " ", (int) ids->ids[i]);
  fputs (json ? "]}\n" : "\n", stdout);
}

static EngStatus
tokenize (const char *model, const char *text, size_t n_bytes, unsigned flags, EngTokenBuffer *ids,
          EngError *error)
{
  EngGguf *gguf = NULL;
  EngTokenizer *tokenizer = NULL;
  EngStatus status = eng_gguf_open (model, ENG_GGUF_MAP, &gguf, error);
  if (!status)
    status = eng_tokenizer_from_gguf (gguf, &tokenizer, error);
  if (!status)
    status = eng_tokenizer_encode (tokenizer, text, n_bytes, flags, ids, error);
  eng_tokenizer_free (&tokenizer);
  eng_gguf_close (&gguf);
  return status;
}

int
eng_cmd_tokenize (int argc, char **argv)
{
  const char *text_file = NULL, *arguments[2];
  bool parse_special = false, json = false;
  const EngToolOption options[] = {
    { "--text-file", ENG_TOOL_STRING, &text_file, "F  tokenize this file; - is standard input" },
    { "--parse-special", ENG_TOOL_FLAG, &parse_special,
      "text that spells a control token becomes it" },
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "MODEL (TEXT | --text-file F) [OPTION]…",
    .summary = "Print the token ids of a text, without BOS or EOS.",
    .options = options,
    .json = &json,
    .arguments = arguments,
    .min_arguments = 1,
    .max_arguments = 2,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  if ((text_file != NULL) == (line.n_arguments == 2))
    return eng_tool_bad_usage ("tokenize needs a text or --text-file, one of them");

  EngError error;
  EngTokenBuffer ids = { 0 };
  char *read = NULL;
  const char *text = text_file ? NULL : arguments[1];
  size_t n_bytes = text ? strlen (text) : 0;
  int code = ENG_TOOL_FAILED;
  if (text_file
      && eng_tool_read_file (text_file, ENG_TOKENIZER_MAX_TEXT_BYTES, &read, &n_bytes, &error))
    code = eng_tool_fail (text_file, &error);
  else if (tokenize (arguments[0], text ? text : read, n_bytes,
                     parse_special ? ENG_ENCODE_PARSE_SPECIAL : ENG_ENCODE_PLAIN, &ids, &error))
    code = eng_tool_fail (arguments[0], &error);
  else
    {
      print_ids (&ids, json);
      code = eng_tool_finish_output ();
    }
  eng_token_buffer_free (&ids);
  eng_free (read);
  return code;
}
