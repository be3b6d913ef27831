/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: parses any bytes and renders what parses, with a conversation to chew on. What is
 * rendered is valid UTF-8 and its spans cover it; what fails says why and where. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "eng-json.h"
#include "eng-template.h"
#include "eng-utf8.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static const char vars_text[]
    = "{\"name\": \"Ada\", \"n\": 7, \"x\": 2.5, \"yes\": true, \"nil\": null, \"empty\": \"\", "
      "\"list\": [3, 1, 2],"
      " \"words\": [\"b\", \"A\", \"c\"], \"user\": {\"name\": \"Bob\", \"tags\": [\"x\"], "
      "\"items\": 1},"
      " \"text\": \" one two,\\n\\u00a0 three \", \"uni\": \"na\\u00efve \\u7089 \\ud83d\\udd25 "
      "\\u03a3\","
      " \"people\": [{\"name\": \"Zoe\", \"age\": 30}, {\"name\": \"adam\", \"age\": 25}],"
      " \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": "
      "{\"a\": 1e22}}}],"
      " \"messages\": [{\"role\": \"user\", \"content\": \"hi <|im_end|>\"}, {\"role\": "
      "\"assistant\", \"content\":"
      " [{\"type\": \"text\", \"text\": \"yo\"}]}], \"add_generation_prompt\": true, "
      "\"bos_token\": \"<s>\"}";

static void
check_output (const EngTemplateOutput *out)
{
  size_t at = 0;
  for (size_t k = 0; k < out->n_spans; k++)
    {
      if (out->spans[k].offset != at || out->spans[k].n_bytes == 0
          || (k > 0 && out->spans[k].inserted == out->spans[k - 1].inserted))
        abort ();
      at += out->spans[k].n_bytes;
    }
  if (at != out->n_bytes || out->text[at] != '\0'
      || !eng_utf8_is_valid ((const uint8_t *) out->text, out->n_bytes))
    abort ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static EngArena arena;
  static const EngJson *vars;
  static const struct tm now = { .tm_year = 126, .tm_mday = 1 };
  EngTemplate *tmpl;
  EngTemplateOutput out = { 0 };
  EngError error = { 0 };
  if (!vars && eng_json_parse (vars_text, strlen (vars_text), 0, &arena, &vars, NULL))
    abort ();
  EngStatus status = eng_template_parse ((const char *) data, size, &tmpl, &error);
  if (!status)
    {
      status = eng_template_render (tmpl, vars, &now, &out, &error);
      if (!status)
        check_output (&out);
    }
  if (status
      && (error.code != status || error.text[0] == '\0'
          || (error.line == 0 && size <= ENG_TEMPLATE_MAX_SOURCE_BYTES)))
    abort ();
  eng_template_output_clear (&out);
  eng_template_free (&tmpl);
  return 0;
}
