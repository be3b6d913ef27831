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
  EngQuantizeReport report;
} Work;

static EngStatus
plan_tensor (Work *work, uint64_t i, EngError *error)
{
  const EngGgufTensor *t = eng_gguf_get_tensor (work->gguf, i);
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
  work->report.n_fallbacks += fallback;
  work->report.n_encoded += out->type != t->type;
  const EngTypeInfo *info = eng_type_get_info (out->type);
  work->report.n_requantized += out->type != t->type && info->block_elements > 1
                                && eng_type_get_info (t->type)->block_elements > 1;
  if (!work->importance || out->type == t->type || info->block_elements == 1)
    return ENG_OK;
  EngStatus status = eng_importance_get (work->importance, t->name, t->dims[0], t->dims[2],
                                         &out->importance, &out->n_importance, error);
  work->report.n_without_importance += out->importance == NULL;
  return status;
}

static EngStatus
plan (Work *work, EngError *error)
{
  uint64_t n = eng_gguf_get_n_tensors (work->gguf);
  EngStatus status = ENG_OK;
  work->tensors = eng_arena_alloc_array (&work->arena, n, sizeof *work->tensors);
  work->pieces = eng_arena_alloc_array (&work->arena, n, sizeof *work->pieces);
  if (!work->tensors || !work->pieces)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "out of memory");
  for (uint64_t i = 0; i < n && status == ENG_OK; i++)
    status = plan_tensor (work, i, error);
  work->report.n_tensors = n;
  work->report.in_bytes = eng_gguf_get_file_bytes (work->gguf);
  return status;
}

/* Everything but what describes the old file's parts and types. */
static EngStatus
copy_metadata (Work *work, const EngQuantizeOptions *options, EngError *error)
{
  EngStatus status = ENG_OK;
  for (uint64_t i = 0; i < eng_gguf_get_n_keys (work->gguf) && status == ENG_OK; i++)
    {
      EngGgufString key;
      EngGgufValue value;
      eng_gguf_get_entry (work->gguf, i, &key, &value);
      if (key.n_bytes < 6 || memcmp (key.data, "split.", 6) != 0)
        status = eng_gguf_writer_set_value (work->writer, key, &value, error);
    }
  if (status == ENG_OK)
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
  if ((status = plan (work, error)) != ENG_OK
      || (status = eng_gguf_writer_new (options->transfer.only_size ? NULL : out_path, &work->writer, error)) != ENG_OK
      || (status = copy_metadata (work, options, error)) != ENG_OK)
    return status;
  return eng_transfer_write (work->writer, work->tensors, work->report.n_tensors,
                             &options->transfer, &work->report.out_bytes, error);
}

EngStatus
eng_quantize_file (const char *in_path, const char *out_path, const EngQuantizeOptions *options,
                   EngQuantizeReport *report, EngError *error)
{
  Work work = { 0 };
  const EngMix *mix = eng_mix_find (options->mix);
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
