/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-model.h"

#include <stdatomic.h>
#include <string.h>

#include "eng-arch.h"

struct EngModel
{
  atomic_uint n_refs;
  EngArena arena;
  EngGguf *file;
  EngProgram program;
  EngModelInfo info;
};

/* Names of general.file_type (ggml-org/ggml, docs/gguf.md and the enumeration it refers to). */
static const char *
file_type_name (uint32_t type)
{
  static const char *const names[] = {
    [0] = "F32",     [1] = "F16",     [2] = "Q4_0",    [3] = "Q4_1",    [7] = "Q8_0",
    [8] = "Q5_0",    [9] = "Q5_1",    [10] = "Q2_K",   [11] = "Q3_K_S", [12] = "Q3_K_M",
    [13] = "Q3_K_L", [14] = "Q4_K_S", [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",
    [18] = "Q6_K",   [21] = "Q2_K_S", [25] = "IQ4_NL", [30] = "IQ4_XS", [32] = "BF16",
    [38] = "MXFP4_MOE",
  };
  return type < sizeof names / sizeof names[0] ? names[type] : NULL;
}

/* The type that holds the most bytes. */
static const char *
dominant_type (const EngGguf *file)
{
  uint64_t bytes[ENG_TYPE_LIMIT] = { 0 };
  uint32_t best = ENG_TYPE_F32;
  for (uint64_t i = 0; i < eng_gguf_get_n_tensors (file); i++)
    {
      const EngGgufTensor *t = eng_gguf_get_tensor (file, i);
      bytes[t->type] += t->n_bytes;
      if (bytes[t->type] > bytes[best])
        best = t->type;
    }
  return eng_type_get_name (best);
}

static bool
is_printable_utf8 (EngGgufString s)
{
  /* eng_error_set makes text printable: what it leaves unchanged was so already. */
  EngError probe;
  if (s.n_bytes == 0 || s.n_bytes >= sizeof probe.text)
    return false;
  eng_error_set (&probe, ENG_OK, NULL, 0, "%.*s", (int) s.n_bytes, s.data);
  return strlen (probe.text) == s.n_bytes && memcmp (probe.text, s.data, s.n_bytes) == 0;
}

static EngStatus
fill_info (EngModel *m, const EngArch *arch, const char *path, EngError *error)
{
  EngModelInfo *info = &m->info;
  EngGgufString s;
  const char *base = strrchr (path, '/');
  base = base ? base + 1 : path;
  if (eng_gguf_get_string (m->file, "general.name", &s, NULL) == ENG_OK && is_printable_utf8 (s))
    info->name = eng_arena_strndup (&m->arena, s.data, s.n_bytes);
  else
    info->name = eng_arena_strndup (&m->arena, base, strlen (base));
  bool says = eng_gguf_get_string (m->file, "general.license", &s, NULL) == ENG_OK && is_printable_utf8 (s);
  info->licence = says ? eng_arena_strndup (&m->arena, s.data, s.n_bytes) : "";
  if (!info->name || !info->licence)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  info->architecture = arch->name;
  uint32_t type;
  if (eng_gguf_get_u32 (m->file, "general.file_type", &type, NULL) == ENG_OK)
    info->type = file_type_name (type);
  if (!info->type)
    info->type = dominant_type (m->file);
  for (uint64_t i = 0; i < eng_gguf_get_n_tensors (m->file); i++)
    info->n_parameters += eng_gguf_get_tensor (m->file, i)->n_elements;
  info->file_bytes = eng_gguf_get_file_bytes (m->file);
  info->tensor_bytes = eng_gguf_get_tensor_bytes (m->file);
  info->n_ctx_train = m->program.n_ctx_train;
  info->has_template = eng_gguf_has_key (m->file, "tokenizer.chat_template");
  info->is_encoder = !arch->causal;
  return ENG_OK;
}

static EngStatus
compile (EngModel *m, const EngModelOptions *options, const char *path, EngError *error)
{
  EngGgufString name;
  EngStatus status = eng_gguf_get_string (m->file, "general.architecture", &name, error);
  if (status == ENG_ERR_NOT_FOUND)
    return eng_error_set (error, ENG_ERR_FORMAT, "general.architecture", ENG_OFFSET_NONE,
                          "the file does not name its architecture");
  if (status != ENG_OK)
    return status;
  const EngArch *arch = eng_arch_find (name.data, name.n_bytes);
  if (!arch)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "general.architecture", ENG_OFFSET_NONE,
                          "the architecture '%.*s' is not supported",
                          (int) (name.n_bytes < 64 ? name.n_bytes : 64), name.data);
  EngBuilder b = { .file = m->file, .arena = &m->arena, .arch = arch->name,
                   .n_ctx = options ? options->n_ctx : 0, .error = error };
  b.used = eng_arena_alloc_array (&m->arena, eng_gguf_get_n_tensors (m->file), sizeof *b.used);
  if (!b.used)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  arch->compile (&b);
  status = eng_builder_finish (&b, &m->program);
  if (status != ENG_OK)
    return status;
  if (!arch->causal)
    {
      m->program.causal = false;
      m->program.n_output = m->program.n_embd;
      const EngStep *last = &m->program.steps[m->program.n_steps - 1];
      if (last->kind == ENG_STEP_POOL && last->w[2] != ENG_WEIGHT_NONE)
        m->program.n_output = (uint32_t) m->program.weights[last->w[2]].n_rows;
    }
  return fill_info (m, arch, path, error);
}

EngStatus
eng_model_open (const char *path, const EngModelOptions *options, EngModel **model,
                EngError *error)
{
  EngError ignored;
  if (!error)
    error = &ignored;
  EngModel *m = eng_alloc (sizeof *m);
  if (!m)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  atomic_init (&m->n_refs, 1);
  EngStatus status = eng_gguf_open (path, options && options->no_mmap ? ENG_GGUF_LOAD : ENG_GGUF_MAP,
                                    &m->file, error);
  if (status == ENG_OK)
    status = compile (m, options, path, error);
  if (status != ENG_OK)
    {
      eng_model_unref (&m);
      return status;
    }
  *model = m;
  return ENG_OK;
}

EngModel *
eng_model_ref (EngModel *model)
{
  atomic_fetch_add (&model->n_refs, 1);
  return model;
}

void
eng_model_unref (EngModel **model)
{
  EngModel *m = *model;
  *model = NULL;
  if (!m || atomic_fetch_sub (&m->n_refs, 1) != 1)
    return;
  eng_gguf_close (&m->file);
  eng_arena_clear (&m->arena);
  eng_free (m);
}

const EngModelInfo *
eng_model_get_info (const EngModel *model)
{
  return &model->info;
}

const EngProgram *
eng_model_get_program (const EngModel *model)
{
  return &model->program;
}

const EngGguf *
eng_model_get_file (const EngModel *model)
{
  return model->file;
}

const void *
eng_model_map_weight (void *model, uint64_t source, uint64_t *n_bytes)
{
  const EngModel *m = model;
  if (source >= eng_gguf_get_n_tensors (m->file))
    return NULL;
  const EngGgufTensor *t = eng_gguf_get_tensor (m->file, source);
  *n_bytes = t->n_bytes;
  return t->data;
}

const char *
eng_model_get_weight_name (void *model, uint64_t source)
{
  const EngModel *m = model;
  return source < eng_gguf_get_n_tensors (m->file) ? eng_gguf_get_tensor (m->file, source)->name : NULL;
}

void
eng_model_release_weight (void *model, uint64_t source)
{
  const EngModel *m = model;
  if (source < eng_gguf_get_n_tensors (m->file))
    eng_gguf_release_tensor (m->file, eng_gguf_get_tensor (m->file, source));
}
