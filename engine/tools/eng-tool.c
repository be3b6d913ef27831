/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-tool.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "eng-arena.h"

#define PROGRAM "inglenook-engine"

void
eng_tool_model_options_init (EngToolModelOptions *options)
{
  *options = (EngToolModelOptions) { .device = "auto", .n_gpu_layers = -1 };
}

int
eng_tool_bad_usage (const char *format, ...)
{
  va_list args;
  va_start (args, format);
  fputs (PROGRAM ": ", stderr);
  vfprintf (stderr, format, args);
  fputc ('\n', stderr);
  va_end (args);
  return ENG_TOOL_USAGE;
}

int
eng_tool_fail (const char *subject, const EngError *error)
{
  fputs (PROGRAM ": ", stderr);
  if (subject)
    fprintf (stderr, "%s: ", subject);
  fputs (error->text, stderr);
  const char *open = " (", *close = "";
  if (error->field[0])
    {
      fprintf (stderr, "%sfield %s", open, error->field);
      open = ", ";
      close = ")";
    }
  if (error->offset != ENG_OFFSET_NONE)
    {
      fprintf (stderr, "%soffset %llu", open, (unsigned long long) error->offset);
      open = ", ";
      close = ")";
    }
  if (error->line)
    {
      fprintf (stderr, "%sline %u", open, error->line);
      open = ", ";
      close = ")";
    }
  if (error->needed || error->available)
    {
      fprintf (stderr, "%sneeded %llu, available %llu", open, (unsigned long long) error->needed,
               (unsigned long long) error->available);
      close = ")";
    }
  fprintf (stderr, "%s\n", close);
  return error->code == ENG_ERR_ARGUMENT ? ENG_TOOL_USAGE : ENG_TOOL_FAILED;
}

/* --- options --- */

static bool
parse_uint (const char *text, bool with_unit, uint64_t *value)
{
  if (text[0] < '0' || text[0] > '9')
    return false;
  char *end;
  errno = 0;
  unsigned long long v = strtoull (text, &end, 10);
  if (errno || v > INT64_MAX)
    return false;
  if (with_unit && *end)
    {
      const char *units = "KMGT", *unit = strchr (units, *end & ~0x20);
      if (!unit)
        return false;
      unsigned shift = 10 * (unsigned) (unit - units + 1);
      if (v > (uint64_t) INT64_MAX >> shift)
        return false;
      v <<= shift;
      end++;
      if (*end == 'B' || *end == 'b')
        end++;
    }
  if (*end)
    return false;
  *value = v;
  return true;
}

static bool
parse_float (const char *text, double *value)
{
  locale_t c = newlocale (LC_ALL_MASK, "C", (locale_t) 0);
  if (c == (locale_t) 0)
    return false;
  char *end;
  errno = 0;
  double v = strtod_l (text, &end, c);
  freelocale (c);
  if (end == text || *end || !isfinite (v))
    return false;
  *value = v;
  return true;
}

static bool
store (const EngToolOption *option, const char *text)
{
  switch (option->kind)
    {
    case ENG_TOOL_FLAG:
      *(bool *) option->value = true;
      return true;
    case ENG_TOOL_CLEAR:
      *(bool *) option->value = false;
      return true;
    case ENG_TOOL_STRING:
      *(const char **) option->value = text;
      return true;
    case ENG_TOOL_STRINGS:
      {
        EngToolStrings *strings = option->value;
        if (strings->n == ENG_TOOL_MAX_STRINGS)
          return false;
        strings->items[strings->n++] = text;
        return true;
      }
    case ENG_TOOL_UINT:
      return parse_uint (text, false, option->value);
    case ENG_TOOL_BYTES:
      return parse_uint (text, true, option->value);
    case ENG_TOOL_INT:
      {
        uint64_t v;
        if (!parse_uint (text + (text[0] == '-'), false, &v))
          return false;
        *(int64_t *) option->value = text[0] == '-' ? -(int64_t) v : (int64_t) v;
        return true;
      }
    case ENG_TOOL_FLOAT:
      return parse_float (text, option->value);
    }
  return false;
}

#define N_MODEL_OPTIONS 12
static void
fill_model_options (EngToolModelOptions *m, EngToolOption o[N_MODEL_OPTIONS])
{
  const EngToolOption options[N_MODEL_OPTIONS] = {
    { "--threads", ENG_TOOL_UINT, &m->n_threads, "T  threads (default: physical cores)" },
    { "--device", ENG_TOOL_STRING, &m->device, "D  auto, cpu or cuda[:N]" },
    { "--gpu-layers", ENG_TOOL_INT, &m->n_gpu_layers, "N  layers on the graphics card" },
    { "--cpu-experts", ENG_TOOL_STRING, &m->cpu_experts, "[=N]  experts stay in main memory" },
    { "--gpu-memory", ENG_TOOL_BYTES, &m->gpu_memory_bytes, "BYTES  limit on the graphics card" },
    { "--ctx", ENG_TOOL_UINT, &m->n_ctx, "N  tokens of context" },
    { "--kv", ENG_TOOL_STRING, &m->kv, "K[,V]  types of keys and values in the cache: F16, F32 or Q8_0" },
    { "--load-as", ENG_TOOL_STRING, &m->load_as, "TYPE  quantize float weights while loading" },
    { "--force", ENG_TOOL_FLAG, &m->force, "  load although memory looks too small" },
    { "--exact", ENG_TOOL_FLAG, &m->exact, "  reference kernels, float activations" },
    { "--no-mmap", ENG_TOOL_FLAG, &m->no_mmap, "  read the file instead of mapping it" },
    { NULL },
  };
  memcpy (o, options, sizeof options);
}

static const EngToolOption *
find_option (const EngToolOption *options, const char *name, size_t n)
{
  for (; options && options->name; options++)
    if (strlen (options->name) == n && memcmp (options->name, name, n) == 0)
      return options;
  return NULL;
}

static void
print_options (const EngToolOption *options)
{
  for (; options && options->name; options++)
    {
      const char *words = strstr (options->help, "  ");
      int n_meta = words ? (int) (words - options->help) : 0;
      char left[64];
      snprintf (left, sizeof left, "%s%s%.*s", options->name,
                n_meta && options->help[0] != '[' ? " " : "", n_meta, options->help);
      printf ("  %-28s %s\n", left, words ? words + 2 : options->help);
    }
}

static EngToolParsed
bad_line (const char *name, const EngToolCommandLine *line)
{
  fprintf (stderr, "usage: " PROGRAM " %s %s\n", name, line->usage);
  return ENG_TOOL_PARSED_BAD;
}

EngToolParsed
eng_tool_parse (int argc, char **argv, EngToolCommandLine *line)
{
  EngToolOption model_options[N_MODEL_OPTIONS] = { { NULL } };
  bool ignored = false;
  const EngToolOption common[] = {
    { "--json", ENG_TOOL_FLAG, line->json ? line->json : &ignored,
      "  one JSON object on standard output" },
    { NULL },
  };
  if (line->model)
    fill_model_options (line->model, model_options);
  bool options_ended = false;
  line->n_arguments = 0;
  for (int i = 1; i < argc; i++)
    {
      const char *word = argv[i];
      if (options_ended || word[0] != '-' || word[1] == 0)
        {
          if (line->n_arguments == line->max_arguments)
            {
              eng_tool_bad_usage ("one argument too many: '%s'", word);
              return bad_line (argv[0], line);
            }
          line->arguments[line->n_arguments++] = word;
          continue;
        }
      if (strcmp (word, "--") == 0)
        {
          options_ended = true;
          continue;
        }
      if (strcmp (word, "--help") == 0)
        {
          printf ("usage: " PROGRAM " %s %s\n%s\n\n", argv[0], line->usage,
                  line->summary ? line->summary : "");
          print_options (line->options);
          print_options (model_options);
          print_options (common);
          return ENG_TOOL_PARSED_HELP;
        }
      const char *equals = word[1] == '-' ? strchr (word, '=') : NULL;
      size_t n = equals ? (size_t) (equals - word) : strlen (word);
      const EngToolOption *option = find_option (line->options, word, n);
      if (!option)
        option = find_option (model_options, word, n);
      if (!option)
        option = find_option (common, word, n);
      if (!option)
        {
          eng_tool_bad_usage ("no such option: '%s'", word);
          return bad_line (argv[0], line);
        }
      bool takes_none = option->kind == ENG_TOOL_FLAG || option->kind == ENG_TOOL_CLEAR;
      const char *value = equals ? equals + 1 : NULL;
      /* An optional value ("[=N]") only ever stands behind an equals sign. */
      if (!value && !takes_none && option->help[0] == '[')
        value = "";
      if (!value && !takes_none && i + 1 < argc)
        value = argv[++i];
      if (takes_none ? value != NULL : value == NULL)
        {
          eng_tool_bad_usage (takes_none ? "%.*s takes no value" : "%.*s needs a value", (int) n, word);
          return bad_line (argv[0], line);
        }
      if (!store (option, value))
        {
          eng_tool_bad_usage ("%.*s: bad value '%s'", (int) n, word, value);
          return bad_line (argv[0], line);
        }
    }
  if (line->n_arguments < line->min_arguments)
    {
      eng_tool_bad_usage ("%s: an argument is missing", argv[0]);
      return bad_line (argv[0], line);
    }
  return ENG_TOOL_PARSED;
}

/* --- files and output --- */

EngStatus
eng_tool_read_file (const char *path, size_t max_bytes, char **text, size_t *n_bytes,
                    EngError *error)
{
  FILE *file = strcmp (path, "-") == 0 ? stdin : fopen (path, "rbe");
  if (!file)
    return eng_error_set (error, errno == ENOENT ? ENG_ERR_NOT_FOUND : ENG_ERR_IO, path,
                          ENG_OFFSET_NONE, "cannot open: %s", strerror (errno));
  size_t capacity = 1 << 16, n = 0;
  char *buffer = eng_alloc (capacity);
  EngStatus status = ENG_OK;
  while (buffer)
    {
      n += fread (buffer + n, 1, capacity - 1 - n, file);
      if (ferror (file))
        {
          status = eng_error_set (error, ENG_ERR_IO, path, n, "cannot read: %s", strerror (errno));
          break;
        }
      if (n > max_bytes)
        {
          status = eng_error_set (error, ENG_ERR_LIMIT, path, ENG_OFFSET_NONE,
                                  "is larger than %zu bytes", max_bytes);
          break;
        }
      if (n < capacity - 1)
        break;
      char *grown = eng_realloc_array (buffer, 2, capacity);
      if (!grown)
        eng_free (buffer);
      buffer = grown;
      capacity *= 2;
    }
  if (file != stdin)
    fclose (file);
  if (!buffer)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, path, ENG_OFFSET_NONE, "no memory to read it");
  if (status != ENG_OK)
    {
      eng_free (buffer);
      return status;
    }
  buffer[n] = 0;
  *text = buffer;
  *n_bytes = n;
  return ENG_OK;
}

int
eng_tool_finish_json (EngBuffer *json)
{
  if (json->failed)
    {
      fprintf (stderr, PROGRAM ": no memory for the result\n");
      eng_buffer_clear (json);
      return ENG_TOOL_FAILED;
    }
  fwrite (json->data, 1, json->n_bytes, stdout);
  fputc ('\n', stdout);
  eng_buffer_clear (json);
  return eng_tool_finish_output ();
}

int
eng_tool_finish_output (void)
{
  if (fflush (stdout) == 0 && !ferror (stdout))
    return ENG_TOOL_OK;
  fprintf (stderr, PROGRAM ": cannot write the result: %s\n", strerror (errno));
  return ENG_TOOL_FAILED;
}
