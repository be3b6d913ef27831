/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-convert.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "eng-convert-private.h"
#include "eng-importance.h"
#include "eng-mix.h"
#include "eng-mmap.h"

#define MAX_JSON_BYTES ((size_t) 256 << 20)
#define MAX_TREE_BYTES ((size_t) 384 << 20) /* keeps the whole under 512 MiB */

bool
eng_convert_fail (EngConvert *c, EngStatus status, const char *field, const char *format, ...)
{
  char text[512];
  va_list args;
  if (c->status != ENG_OK)
    return false;
  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  c->status = eng_error_set (c->error, status, field, ENG_OFFSET_NONE, "%s", text);
  return false;
}

bool
eng_convert_is_one_of (const char *list, const char *text)
{
  size_t n = strlen (text);
  for (const char *at = list; at; at = strchr (at, '|'))
    {
      at += *at == '|';
      if (strncmp (at, text, n) == 0 && (at[n] == '|' || at[n] == '\0'))
        return true;
    }
  return false;
}

const char *
eng_convert_read_text (EngConvert *c, const char *name, size_t limit, size_t *n_bytes)
{
  char path[PATH_MAX];
  EngMmap *map = NULL;
  char *copy = NULL;
  *n_bytes = 0;
  if (c->status != ENG_OK)
    return NULL;
  if ((size_t) snprintf (path, sizeof path, "%s/%s", c->folder, name) >= sizeof path)
    {
      eng_convert_fail (c, ENG_ERR_ARGUMENT, name, "the path of %s is too long", name);
      return NULL;
    }
  EngStatus status = eng_mmap_open (path, &map, c->error);
  if (status != ENG_OK)
    {
      if (status != ENG_ERR_NOT_FOUND)
        c->status = status;
      return NULL;
    }
  uint64_t n = eng_mmap_get_size (map);
  if (n > limit)
    eng_convert_fail (c, ENG_ERR_LIMIT, name, "%s is larger than %zu bytes", name, limit);
  else if (!(copy = eng_arena_strndup (&c->arena, n ? (const char *) eng_mmap_get_data (map) : "",
                                       n)))
    eng_convert_fail (c, ENG_ERR_NO_MEMORY, name, "out of memory while reading %s", name);
  eng_mmap_close (&map);
  *n_bytes = n;
  return copy;
}

const EngJson *
eng_convert_read_json (EngConvert *c, const char *name, bool required)
{
  size_t n;
  const EngJson *root = NULL;
  const char *text = eng_convert_read_text (c, name, MAX_JSON_BYTES, &n);
  if (!text)
    {
      if (required)
        eng_convert_fail (c, ENG_ERR_NOT_FOUND, name, "the folder has no %s", name);
      return NULL;
    }
  EngStatus status = eng_json_parse (text, n, ENG_JSON_ALLOW_NAN, &c->arena, &root, c->error);
  if (status == ENG_OK && root->type != ENG_JSON_OBJECT)
    eng_convert_fail (c, ENG_ERR_FORMAT, name, "%s is no JSON object", name);
  else if (status != ENG_OK)
    {
      c->status = status;
      if (c->error && !c->error->field[0])
        snprintf (c->error->field, sizeof c->error->field, "%s", name);
    }
  return c->status == ENG_OK ? root : NULL;
}

static void
find_arch (EngConvert *c)
{
  const EngJson *names, *name;
  c->root_config = eng_convert_read_json (c, "config.json", true);
  if (c->status != ENG_OK)
    return;
  names = eng_json_get (c->root_config, "architectures");
  name = names && names->type == ENG_JSON_ARRAY ? eng_json_at (names, 0) : NULL;
  if (!name || name->type != ENG_JSON_STRING)
    {
      eng_convert_fail (c, ENG_ERR_FORMAT, "architectures",
                        "config.json does not name its architecture");
      return;
    }
  c->arch = eng_convert_arch_find (name->string);
  if (!c->arch)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "architectures",
                      "the architecture %s is not supported; these are: %s", name->string,
                      eng_convert_arch_get_names ());
  /* Models that also see keep the language model's numbers apart. */
  const EngJson *text = eng_json_get (c->root_config, "text_config");
  c->config = text && text->type == ENG_JSON_OBJECT ? text : c->root_config;
  /* gpt-oss was published so: its experts stay as they are. */
  const EngJson *quantized = eng_json_get (c->root_config, "quantization_config");
  const char *method = "";
  eng_json_get_string (quantized, "quant_method", &method);
  bool as_published = c->arch && strcmp (c->arch->name, "gpt-oss") == 0 && strcmp (method, "mxfp4") == 0;
  if (quantized && !as_published)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "quantization_config",
                      "the folder's weights are quantized; the original ones are needed");
  c->generation = eng_convert_read_json (c, "generation_config.json", false);
}

/* The type of most bytes: writing that loses nothing of them. */
static const char *
natural_mix (const EngConvert *c)
{
  uint64_t bytes[3] = { 0 };
  for (uint64_t i = 0; i < eng_safetensors_get_n_tensors (c->weights); i++)
    {
      const EngSafetensor *t = eng_safetensors_get_tensor (c->weights, i);
      if (t->type != ENG_TYPE_NONE) /* what is in blocks stays so */
        bytes[t->type == ENG_TYPE_BF16 ? 0 : t->type == ENG_TYPE_F16 ? 1 : 2] += t->n_bytes;
    }
  return bytes[0] >= bytes[1] && bytes[0] >= bytes[2] ? "BF16"
         : bytes[1] >= bytes[2]                       ? "F16"
                                                      : "F32";
}

static void
set_general (EngConvert *c, const EngMix *mix, bool has_target)
{
  char name[256];
  size_t n = strlen (c->folder);
  while (n > 1 && c->folder[n - 1] == '/')
    n--;
  size_t start = n;
  while (start > 0 && c->folder[start - 1] != '/')
    start--;
  snprintf (name, sizeof name, "%.*s", (int) (n - start), c->folder + start);
  eng_convert_set_key_string (c, "general.architecture", c->arch->name);
  eng_convert_set_key_string (c, "general.type", "model");
  if (name[0] && strcmp (name, ".") != 0 && strcmp (name, "..") != 0)
    eng_convert_set_key_string (c, "general.name", name);
  if (!has_target) /* else readers go by the tensors */
    eng_convert_set_key_u32 (c, "general.file_type", mix->file_type);
  eng_convert_set_key_u32 (c, "general.quantization_version", 2);
}

static void
choose_types (EngConvert *c, const EngMix *mix, bool is_natural, const EngImportance *importance, bool has_target,
              EngConvertReport *report)
{
  EngMixModel model = { .mix = mix, .n_layers = c->n_layers, .n_experts = c->n_experts };
  model.n_heads_per_kv = c->n_heads_kv ? c->n_heads / c->n_heads_kv : 1;
  model.has_importance = importance != NULL;
  c->is_fixed = eng_arena_alloc_array (&c->arena, c->n_tensors + 1, sizeof *c->is_fixed);
  if (!c->is_fixed)
    eng_convert_fail (c, ENG_ERR_NO_MEMORY, NULL, "out of memory");
  for (size_t i = 0; i < c->n_tensors; i++)
    model.has_output |= strcmp (c->tensors[i].name, "output.weight") == 0;
  for (size_t i = 0; i < c->n_tensors && c->status == ENG_OK; i++)
    {
      EngTransferTensor *t = &c->tensors[i];
      bool fallback;
      t->type = eng_mix_choose (&model, t->name, ENG_TYPE_F32, t->n_dims, t->dims, &fallback);
      if (is_natural && t->pieces->scales)
        t->type = ENG_TYPE_MXFP4;
      c->is_fixed[i] = !has_target || eng_mix_stays (t->name, t->n_dims);
      report->n_fallbacks += fallback && !has_target;
      if (!importance || (c->is_fixed[i] && eng_type_get_info (t->type)->block_elements == 1))
        continue;
      c->status = eng_importance_get (importance, t->name, t->dims[0], t->n_dims > 2 ? t->dims[2] : 1,
                                      &t->importance, &t->n_importance, c->error);
    }
}

static void
count_types (const EngConvert *c, bool has_importance, EngConvertReport *report)
{
  for (size_t i = 0; i < c->n_tensors; i++)
    {
      const EngTransferTensor *t = &c->tensors[i];
      report->n_encoded += t->n_pieces > 0 && t->pieces[0].type != t->type;
      report->n_without_importance
          += has_importance && eng_type_get_info (t->type)->block_elements > 1 && !t->importance;
    }
}

static void
set_importance (EngConvert *c, const char *path, EngImportance **importance)
{
  const char *slash = strrchr (path, '/');
  if (c->status == ENG_OK)
    c->status = eng_importance_open (path, importance, c->error);
  eng_convert_set_key_string (c, "quantize.imatrix.file", slash ? slash + 1 : path);
}

static void
convert (EngConvert *c, const char *out_path, const EngConvertOptions *options,
         EngImportance **importance, EngConvertReport *report)
{
  find_arch (c);
  if (c->status == ENG_OK)
    c->status = eng_safetensors_open (c->folder, &c->weights, c->error);
  if (c->status != ENG_OK)
    return;
  bool has_target = eng_target_is_set (&options->target);
  /* With a target the mixture decides on nothing but what a block type leaves alone. */
  const EngMix *mix = eng_mix_find (has_target ? "Q8_0" : options->mix ? options->mix : natural_mix (c));
  if (!mix)
    {
      eng_convert_fail (c, ENG_ERR_ARGUMENT, options->mix, "there is no type '%s'; types are %s",
                        options->mix, eng_mix_get_names ());
      return;
    }
  c->status = eng_gguf_writer_new (options->transfer.only_size ? NULL : out_path, &c->writer, c->error);
  if (c->status != ENG_OK)
    return;
  set_general (c, mix, has_target);
  eng_convert_hparams (c);
  eng_convert_plan_tensors (c);
  eng_convert_vocab (c);
  if (options->importance_path)
    set_importance (c, options->importance_path, importance);
  if (c->status != ENG_OK)
    return;
  choose_types (c, mix, !has_target && !options->mix, *importance, has_target, report);
  if (c->status != ENG_OK)
    return;
  c->status = eng_target_write (c->writer, out_path, c->tensors, c->is_fixed, c->n_tensors, &options->target,
                                &options->transfer, &report->target, c->error);
  report->out_bytes = report->target.out_bytes;
  count_types (c, *importance != NULL, report);
  report->in_bytes = eng_safetensors_get_file_bytes (c->weights);
  report->n_tensors = c->n_tensors;
  report->n_left_out = c->n_left_out;
  report->left_out_bytes = c->left_out_bytes;
  snprintf (report->left_out, sizeof report->left_out, "%s", c->left_out ? c->left_out : "");
  snprintf (report->architecture, sizeof report->architecture, "%s", c->arch->name);
  snprintf (report->mix, sizeof report->mix, "%s", has_target ? "" : mix->name);
}

EngStatus
eng_convert_folder (const char *folder, const char *out_path, const EngConvertOptions *options,
                    EngConvertReport *report, EngError *error)
{
  EngConvertReport unused = { 0 };
  EngConvert c = { .folder = folder, .error = error, .arena.limit_bytes = MAX_TREE_BYTES };
  EngImportance *importance = NULL;
  convert (&c, out_path, options, &importance, report ? report : &unused);
  eng_importance_free (&importance);
  eng_gguf_writer_free (&c.writer);
  eng_safetensors_close (&c.weights);
  eng_safetensors_close (&c.dense[0]);
  eng_safetensors_close (&c.dense[1]);
  eng_free (c.tensors);
  eng_arena_clear (&c.arena);
  return c.status;
}
