/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-quantize.h"

#include <string.h>

#include "eng-arena.h"
#include "eng-error.h"
#include "eng-importance.h"
#include "eng-mix.h"

typedef struct
{
  EngArena arena;
  EngGguf *gguf;
  EngImportance *importance;
  EngGgufWriter *writer;
  EngMixModel model;
  EngTransferTensor *tensors;
  EngTransferPiece *pieces;
  bool *is_fixed; /* its type is not the target's to choose */
  EngQuantizeReport report;
} Work;

static EngStatus
plan_tensor (Work *work, uint64_t i, bool has_target, EngError *error)
{
  const EngGgufTensor *t = eng_gguf_get_tensor (work->gguf, i);
  const EngTypeInfo *info = eng_type_get_info (t->type);
  bool fallback;
  EngTransferTensor *out = &work->tensors[i];
  work->pieces[i] = (EngTransferPiece) { .data = t->data, .type = t->type, .n_rows = t->n_rows };
  *out = (EngTransferTensor) {
    .name = t->name,
    .type = eng_mix_choose (&work->model, t->name, t->type, t->n_dims, t->dims, &fallback),
    .n_dims = t->n_dims,
    .pieces = &work->pieces[i],
    .n_pieces = 1,
  };
  memcpy (out->dims, t->dims, sizeof out->dims);
  work->is_fixed[i] = !has_target || !info || !info->is_weight || eng_mix_stays (t->name, t->n_dims);
  work->report.n_fallbacks += fallback && !has_target;
  bool is_encoded = out->type != t->type && eng_type_get_info (out->type)->block_elements > 1;
  if (!work->importance || (work->is_fixed[i] && !is_encoded))
    return ENG_OK;
  return eng_importance_get (work->importance, t->name, t->dims[0], t->dims[2], &out->importance, &out->n_importance,
                             error);
}

static EngStatus
plan (Work *work, bool has_target, EngError *error)
{
  uint64_t n = eng_gguf_get_n_tensors (work->gguf);
  EngStatus status = ENG_OK;
  work->tensors = eng_arena_alloc_array (&work->arena, n, sizeof *work->tensors);
  work->pieces = eng_arena_alloc_array (&work->arena, n, sizeof *work->pieces);
  work->is_fixed = eng_arena_alloc_array (&work->arena, n, sizeof *work->is_fixed);
  if (!work->tensors || !work->pieces || !work->is_fixed)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "out of memory");
  for (uint64_t i = 0; i < n && status == ENG_OK; i++)
    status = plan_tensor (work, i, has_target, error);
  work->report.n_tensors = n;
  work->report.in_bytes = eng_gguf_get_file_bytes (work->gguf);
  return status;
}

/* What became of the tensors. */
static void
count_types (Work *work)
{
  for (uint64_t i = 0; i < work->report.n_tensors; i++)
    {
      EngType from = work->pieces[i].type, to = work->tensors[i].type;
      bool is_block = eng_type_get_info (to)->block_elements > 1;
      if (from == to)
        continue;
      work->report.n_encoded++;
      work->report.n_requantized += is_block && eng_type_get_info (from)->block_elements > 1;
      work->report.n_without_importance += is_block && work->importance && !work->tensors[i].importance;
    }
}

/* Everything but what describes the old file's parts, types and quality. */
static EngStatus
copy_metadata (Work *work, const EngQuantizeOptions *options, EngError *error)
{
  EngStatus status = ENG_OK;
  for (uint64_t i = 0; i < eng_gguf_get_n_keys (work->gguf) && status == ENG_OK; i++)
    {
      EngGgufString key;
      EngGgufValue value;
      eng_gguf_get_entry (work->gguf, i, &key, &value);
      bool is_of_parts = key.n_bytes >= 6 && memcmp (key.data, "split.", 6) == 0;
      /* A name of a mixture would be wrong: readers then go by the tensors. */
      bool is_of_types = eng_target_is_set (&options->target) && eng_gguf_string_equal (key, "general.file_type");
      if (!is_of_parts && !is_of_types && !eng_quality_is_key (key))
        status = eng_gguf_writer_set_value (work->writer, key, &value, error);
    }
  if (status == ENG_OK && !eng_target_is_set (&options->target))
    status = eng_gguf_writer_set_u32 (work->writer, "general.file_type",
                                      work->model.mix->file_type, error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_u32 (work->writer, "general.quantization_version", 2, error);
  if (status == ENG_OK && options->importance_path)
    {
      const char *slash = strrchr (options->importance_path, '/');
      status = eng_gguf_writer_set_string (work->writer, "quantize.imatrix.file",
                                           slash ? slash + 1 : options->importance_path, error);
    }
  return status;
}

static EngStatus
quantize (Work *work, const char *in_path, const char *out_path, const EngMix *mix,
          const EngQuantizeOptions *options, EngError *error)
{
  EngStatus status = eng_gguf_open (in_path, ENG_GGUF_MAP, &work->gguf, error);
  if (status == ENG_OK && options->importance_path)
    status = eng_importance_open (options->importance_path, &work->importance, error);
  if (status != ENG_OK)
    return status;
  eng_mix_model_init (&work->model, mix, work->gguf);
  work->model.has_importance = work->importance != NULL;
  if ((status = plan (work, eng_target_is_set (&options->target), error)) != ENG_OK
      || (status = eng_gguf_writer_new (options->transfer.only_size ? NULL : out_path, &work->writer, error)) != ENG_OK
      || (status = copy_metadata (work, options, error)) != ENG_OK)
    return status;
  status = eng_target_write (work->writer, out_path, work->tensors, work->is_fixed, work->report.n_tensors,
                             &options->target, &options->transfer, &work->report.target, error);
  work->report.out_bytes = work->report.target.out_bytes;
  count_types (work);
  return status;
}

EngStatus
eng_quantize_file (const char *in_path, const char *out_path, const EngQuantizeOptions *options,
                   EngQuantizeReport *report, EngError *error)
{
  Work work = { 0 };
  /* With a target the mixture decides on nothing but what a block type leaves alone. */
  const EngMix *mix = eng_mix_find (eng_target_is_set (&options->target) ? "Q8_0" : options->mix);
  if (!mix)
    return eng_error_set (error, ENG_ERR_ARGUMENT, options->mix, ENG_OFFSET_NONE,
                          "there is no type '%s'; types are %s", options->mix,
                          eng_mix_get_names ());
  EngStatus status = quantize (&work, in_path, out_path, mix, options, error);
  eng_gguf_writer_free (&work.writer);
  eng_importance_free (&work.importance);
  eng_gguf_close (&work.gguf);
  eng_arena_clear (&work.arena);
  if (status == ENG_OK && report)
    *report = work.report;
  return status;
}
