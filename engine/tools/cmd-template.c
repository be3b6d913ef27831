/* SPDX-License-Identifier: Apache-2.0 */
/* template (MODEL | --template-file F) --messages F.json: the text of a conversation, as the model
 * reads it. */
#include <string.h>
#include <time.h>

#include "eng-arena.h"
#include "eng-commands.h"
#include "eng-json.h"
#include "eng-template-gguf.h"
#include "eng-tool.h"

#define MAX_JSON_BYTES ((size_t) 256 << 20)

typedef struct
{
  const char *model, *template_file, *bos, *eos, *messages_file, *vars_file;
  bool add_generation_prompt, json;
  EngArena arena; /* of the JSON read and built */
  EngGguf *gguf;
  EngTemplate *tmpl;
  const char *subject; /* what a failure is about */
} Command;

/* Reads a JSON file; the text is kept in the arena, for it is copied into the variables. */
static EngStatus
read_json (Command *c, const char *path, const EngJson **json, EngError *error)
{
  char *text = NULL;
  size_t n_bytes;
  c->subject = path;
  EngStatus status = eng_tool_read_file (path, MAX_JSON_BYTES, &text, &n_bytes, error);
  if (!status)
    status = eng_json_parse (text, n_bytes, 0, &c->arena, json, error);
  eng_free (text);
  return status;
}

static void
write_members (EngJsonWriter *w, const EngJson *object)
{
  for (size_t k = 0; k < object->n; k++)
    {
      eng_json_write_key_n (w, object->items[k].key, object->items[k].key_bytes);
      eng_json_write_value (w, &object->items[k]);
    }
}

/* --messages holds the list, or an object with it; what else is in the object are variables too. */
static EngStatus
build_variables (Command *c, const EngJson **vars, EngError *error)
{
  const EngJson *messages, *extra = NULL;
  EngBuffer buffer = { 0 };
  EngJsonWriter w = { .out = &buffer };
  EngStatus status = read_json (c, c->messages_file, &messages, error);
  if (!status && messages->type != ENG_JSON_ARRAY && !eng_json_get (messages, "messages"))
    status = eng_error_set (error, ENG_ERR_FORMAT, "messages", ENG_OFFSET_NONE,
                            "neither a list of messages nor an object with one");
  if (!status && c->vars_file)
    status = read_json (c, c->vars_file, &extra, error);
  if (!status && extra && extra->type != ENG_JSON_OBJECT)
    status = eng_error_set (error, ENG_ERR_FORMAT, NULL, ENG_OFFSET_NONE,
                            "the variables are no object");
  if (status)
    return status;
  eng_json_write_begin_object (&w);
  eng_template_write_variables (&w, c->gguf, c->add_generation_prompt);
  if (c->bos)
    eng_json_write_member_string (&w, "bos_token", c->bos);
  if (c->eos)
    eng_json_write_member_string (&w, "eos_token", c->eos);
  if (messages->type == ENG_JSON_OBJECT)
    write_members (&w, messages);
  else
    {
      eng_json_write_key (&w, "messages");
      eng_json_write_value (&w, messages);
    }
  if (extra)
    write_members (&w, extra);
  eng_json_write_end_object (&w);
  if (buffer.failed)
    status = eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                            "no memory for the messages");
  else
    status = eng_json_parse (buffer.data, buffer.n_bytes, 0, &c->arena, vars, error);
  eng_buffer_clear (&buffer);
  return status;
}

static EngStatus
load_template (Command *c, bool tools, EngError *error)
{
  char *source = NULL;
  size_t n_bytes;
  c->subject = c->template_file ? c->template_file : c->model;
  if (!c->template_file)
    return eng_template_from_gguf (c->gguf, tools, &c->tmpl, error);
  EngStatus status = eng_tool_read_file (c->template_file, ENG_TEMPLATE_MAX_SOURCE_BYTES, &source,
                                         &n_bytes, error);
  if (!status)
    status = eng_template_parse (source, n_bytes, &c->tmpl, error);
  eng_free (source);
  return status;
}

static EngStatus
render (Command *c, EngTemplateOutput *out, EngError *error)
{
  const EngJson *vars = NULL;
  struct tm now;
  time_t seconds = time (NULL);
  c->subject = c->model;
  EngStatus status = c->model ? eng_gguf_open (c->model, ENG_GGUF_MAP, &c->gguf, error) : ENG_OK;
  if (!status)
    status = build_variables (c, &vars, error);
  const EngJson *tools = eng_json_get (vars, "tools");
  if (!status)
    status = load_template (c, tools && tools->type != ENG_JSON_NULL, error);
  if (!status)
    status = eng_template_render (c->tmpl, vars, localtime_r (&seconds, &now), out, error);
  return status;
}

static int
print (const EngTemplateOutput *out, bool json)
{
  EngBuffer buffer = { 0 };
  EngJsonWriter w = { .out = &buffer };
  if (!json)
    {
      fwrite (out->text, 1, out->n_bytes, stdout);
      return eng_tool_finish_output ();
    }
  eng_json_write_begin_object (&w);
  eng_json_write_key (&w, "text");
  eng_json_write_string_n (&w, out->text, out->n_bytes);
  eng_json_write_key (&w, "spans");
  eng_json_write_begin_array (&w);
  for (size_t k = 0; k < out->n_spans; k++)
    {
      eng_json_write_begin_object (&w);
      eng_json_write_member_int64 (&w, "offset", (int64_t) out->spans[k].offset);
      eng_json_write_member_int64 (&w, "n_bytes", (int64_t) out->spans[k].n_bytes);
      eng_json_write_member_bool (&w, "inserted", out->spans[k].inserted);
      eng_json_write_end_object (&w);
    }
  eng_json_write_end_array (&w);
  eng_json_write_end_object (&w);
  return eng_tool_finish_json (&buffer);
}

int
eng_cmd_template (int argc, char **argv)
{
  Command c = { .add_generation_prompt = true };
  const char *arguments[1] = { NULL };
  const EngToolOption options[] = {
    { "--template-file", ENG_TOOL_STRING, &c.template_file,
      "F  a Jinja template instead of a model's" },
    { "--bos", ENG_TOOL_STRING, &c.bos, "T  text of bos_token" },
    { "--eos", ENG_TOOL_STRING, &c.eos, "T  text of eos_token" },
    { "--messages", ENG_TOOL_STRING, &c.messages_file,
      "F  JSON: a list of messages, or an object with \"messages\" and variables" },
    { "--vars", ENG_TOOL_STRING, &c.vars_file, "F  JSON object: tools, enable_thinking, …" },
    { "--no-generation-prompt", ENG_TOOL_CLEAR, &c.add_generation_prompt,
      "do not open the model's turn at the end" },
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "(MODEL | --template-file F) --messages F.json [OPTION]…",
    .summary = "Print a conversation as the model reads it; with --json also which parts came from "
               "the messages.",
    .options = options,
    .json = &c.json,
    .arguments = arguments,
    .max_arguments = 1,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  c.model = arguments[0];
  if (!c.model == !c.template_file)
    return eng_tool_bad_usage ("template needs a model or --template-file, one of them");
  if (!c.messages_file)
    return eng_tool_bad_usage ("template needs --messages");

  EngTemplateOutput out = { 0 };
  EngError error = { 0 };
  int code = render (&c, &out, &error) ? eng_tool_fail (c.subject, &error) : print (&out, c.json);
  eng_template_output_clear (&out);
  eng_template_free (&c.tmpl);
  eng_gguf_close (&c.gguf);
  eng_arena_clear (&c.arena);
  return code;
}
