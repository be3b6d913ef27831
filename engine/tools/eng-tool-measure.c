/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-tool-measure.h"

#include <stdio.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-folder.h"
#include "eng-tool-session.h"

#define MAX_TEXT_BYTES ((size_t) 64 << 20)

static const char *
base_name (const char *path)
{
  size_t n = strlen (path);
  while (n > 1 && path[n - 1] == '/')
    n--;
  while (n > 0 && path[n - 1] != '/')
    n--;
  return path + n;
}

/* Everything that can fail for the model's sake waits until it is asked: a file is made even if it cannot be measured. */
static EngStatus
make_measure (EngToolMeasure *m, EngError *error)
{
  EngStatus status = m->runtime ? ENG_OK : eng_runtime_new (&m->runtime, error);
  if (status == ENG_OK)
    status = eng_folder_get_file (m->reference, m->reference_file, error);
  m->options.runtime = m->runtime;
  m->options.reference = m->reference_file;
  return status == ENG_OK ? eng_measure_new (&m->options, &m->measure, error) : status;
}

static EngStatus
measure_cb (void *data, const char *path, const EngTransferOptions *transfer, EngQuality *out, EngError *error)
{
  EngToolMeasure *m = data;
  if (m->lines)
    fputs ("phase measuring\n", stderr);
  EngStatus status = m->measure ? ENG_OK : make_measure (m, error);
  if (status == ENG_OK)
    status = path ? eng_measure_file (m->measure, path, transfer, out, error)
                  : eng_measure_prepare (m->measure, transfer, error);
  if (m->lines)
    fputs ("phase writing\n", stderr);
  return status;
}

EngStatus
eng_tool_measure_begin (EngToolMeasure *m, const char *in_path, const char *out_path, EngTarget *target,
                        EngError *error)
{
  EngToolModelOptions model_options;
  EngStatus status = ENG_OK;
  if (!out_path || (!m->wanted && !m->text_file && !(target->kl > 0.0)))
    return ENG_OK;
  eng_tool_model_options_init (&model_options);
  model_options.n_threads = m->n_threads;
  m->reference = m->reference ? m->reference : in_path;
  m->reference_file = eng_alloc (ENG_FOLDER_PATH_BYTES);
  if (!m->reference_file)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  m->options = (EngMeasureOptions) { .session = &m->session,
                                     .scratch_path = out_path,
                                     .max_seconds = (double) m->max_seconds };
  status = eng_tool_session_options (&model_options, &m->session, error);
  if (status == ENG_OK && m->text_file)
    {
      status = eng_tool_read_file (m->text_file, MAX_TEXT_BYTES, &m->text, &m->options.text_bytes, error);
      m->options.text = m->text;
    }
  target->measure = measure_cb;
  target->measure_data = m;
  target->text_name = m->text_file ? base_name (m->text_file) : "built-in";
  target->source_name = base_name (m->reference);
  return status;
}

void
eng_tool_measure_end (EngToolMeasure *m)
{
  eng_measure_free (&m->measure);
  eng_runtime_free (&m->runtime);
  eng_free (m->text);
  eng_free (m->reference_file);
}
