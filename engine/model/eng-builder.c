/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-builder.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eng-checked.h"

static EngStatus
no_memory (EngBuilder *b)
{
  if (b->status == ENG_OK)
    b->status = eng_error_set (b->error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                               "no memory for the model's program");
  return b->status;
}

/* Fail with @field, which may be a key without its architecture. */
static void
fail (EngBuilder *b, EngStatus code, const char *field, const char *format, va_list args)
{
  if (b->status != ENG_OK)
    return;
  char text[256], key[160];
  vsnprintf (text, sizeof text, format, args);
  snprintf (key, sizeof key, "%s.%s", b->arch, field ? field : "");
  if (field && eng_gguf_has_key (b->file, key))
    field = key;
  b->status = eng_error_set (b->error, code, field, ENG_OFFSET_NONE, "%s", text);
}

void
eng_builder_refuse (EngBuilder *b, const char *field, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  fail (b, ENG_ERR_UNSUPPORTED, field, format, args);
  va_end (args);
}

void
eng_builder_contradict (EngBuilder *b, const char *field, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  fail (b, ENG_ERR_FORMAT, field, format, args);
  va_end (args);
}

/* Room for one more element in an array of the builder; false (sticky) when memory ran out. Old
 * arrays stay in the arena: together at most as much again. */
static bool
grow (EngBuilder *b, void **array, uint32_t n, uint32_t *capacity, size_t size)
{
  if (b->status != ENG_OK)
    return false;
  if (n < *capacity)
    return true;
  uint32_t wanted = *capacity ? *capacity * 2 : 64;
  void *bigger = eng_arena_alloc_array (b->arena, wanted, size);
  if (!bigger)
    return no_memory (b), false;
  if (n)
    memcpy (bigger, *array, n * size);
  *array = bigger;
  *capacity = wanted;
  return true;
}

/* --- tensors --- */

static void
tensor_name (uint32_t layer, const char *name, char out[128])
{
  if (layer == ENG_LAYER_NONE)
    snprintf (out, 128, "%s", name);
  else
    snprintf (out, 128, "blk.%u.%s", layer, name);
}

bool
eng_builder_has_tensor (EngBuilder *b, uint32_t layer, const char *name)
{
  char full[128];
  tensor_name (layer, name, full);
  return b->status == ENG_OK && eng_gguf_find_tensor (b->file, full) != NULL;
}

static const EngGgufTensor *
find (EngBuilder *b, uint32_t layer, const char *name, bool required)
{
  if (b->status != ENG_OK)
    return NULL;
  char full[128];
  tensor_name (layer, name, full);
  const EngGgufTensor *t = eng_gguf_find_tensor (b->file, full);
  if (!t && required)
    b->status = eng_error_set (b->error, ENG_ERR_FORMAT, full, ENG_OFFSET_NONE,
                               "the file lacks the tensor '%s'", full);
  return t;
}

/* Bind @t as @use; its shape has been checked. */
static EngWeightId
bind (EngBuilder *b, const EngGgufTensor *t, uint32_t layer, EngWeightUse use, EngWeightDesc desc)
{
  const EngTypeInfo *info = eng_type_get_info (t->type);
  bool plain = t->type == ENG_TYPE_F32 || t->type == ENG_TYPE_F16 || t->type == ENG_TYPE_BF16;
  if (!info || !info->is_weight || (use == ENG_WEIGHT_VECTOR && !plain))
    {
      b->status = eng_error_set (b->error, ENG_ERR_UNSUPPORTED, t->name, t->offset,
                                 "type %s cannot be used for this tensor",
                                 eng_type_get_name (t->type));
      return ENG_WEIGHT_NONE;
    }
  if (!grow (b, (void **) &b->weights, b->n_weights, &b->cap_weights, sizeof *b->weights))
    return ENG_WEIGHT_NONE;
  desc.type = t->type;
  desc.source = eng_gguf_get_tensor_index (b->file, t);
  desc.layer = (uint16_t) layer;
  desc.use = (uint16_t) use;
  b->used[desc.source] = true;
  b->weights[b->n_weights] = desc;
  return b->n_weights++;
}

/* Sticky shape check. */
static bool
shape_is (EngBuilder *b, const EngGgufTensor *t, uint64_t n_cols, uint64_t n_rows,
          uint64_t n_slices)
{
  if (b->status == ENG_OK)
    b->status = eng_gguf_check_shape (t, n_cols, n_rows, n_slices, b->error);
  return b->status == ENG_OK;
}

EngWeightId
eng_builder_product_part (EngBuilder *b, uint32_t layer, const char *name, uint64_t n_cols,
                          uint64_t n_total, uint64_t first, uint64_t n_rows)
{
  const EngGgufTensor *t = find (b, layer, name, true);
  if (!t || !shape_is (b, t, n_cols, n_total, 1))
    return ENG_WEIGHT_NONE;
  return bind (b, t, layer, ENG_WEIGHT_PRODUCT,
               (EngWeightDesc) { .n_slices = 1, .n_cols = n_cols, .n_rows = n_rows,
                                 .first_row = first });
}

EngWeightId
eng_builder_product (EngBuilder *b, uint32_t layer, const char *name, uint64_t n_cols,
                     uint64_t n_rows)
{
  return eng_builder_product_part (b, layer, name, n_cols, n_rows, 0, n_rows);
}

static EngWeightId
bind_vector (EngBuilder *b, const EngGgufTensor *t, uint32_t layer, uint64_t n_total,
             uint64_t first, uint64_t n)
{
  /* A vector may be stored as a matrix of one row (qwen2moe's gate is). */
  if (!t || !shape_is (b, t, n_total, 1, 1))
    return ENG_WEIGHT_NONE;
  return bind (b, t, layer, ENG_WEIGHT_VECTOR,
               (EngWeightDesc) { .n_slices = 1, .n_cols = n, .n_rows = 1, .first_row = first });
}

EngWeightId
eng_builder_vector (EngBuilder *b, uint32_t layer, const char *name, uint64_t n)
{
  return bind_vector (b, find (b, layer, name, true), layer, n, 0, n);
}

EngWeightId
eng_builder_vector_if (EngBuilder *b, uint32_t layer, const char *name, uint64_t n)
{
  return bind_vector (b, find (b, layer, name, false), layer, n, 0, n);
}

EngWeightId
eng_builder_vector_part_if (EngBuilder *b, uint32_t layer, const char *name, uint64_t n_total,
                            uint64_t first, uint64_t n)
{
  return bind_vector (b, find (b, layer, name, false), layer, n_total, first, n);
}

EngWeightId
eng_builder_expert_vectors_if (EngBuilder *b, uint32_t layer, const char *name, uint64_t n,
                               uint64_t n_slices)
{
  const EngGgufTensor *t = find (b, layer, name, false);
  if (!t || !shape_is (b, t, n, n_slices, 1))
    return ENG_WEIGHT_NONE;
  return bind (b, t, layer, ENG_WEIGHT_VECTOR,
               (EngWeightDesc) { .n_slices = 1, .n_cols = n * n_slices, .n_rows = 1 });
}

EngWeightId
eng_builder_lookup (EngBuilder *b, const char *name, uint64_t n_cols, uint64_t n_rows)
{
  const EngGgufTensor *t = find (b, ENG_LAYER_NONE, name, true);
  if (!t || !shape_is (b, t, n_cols, n_rows, 1))
    return ENG_WEIGHT_NONE;
  return bind (b, t, ENG_LAYER_NONE, ENG_WEIGHT_LOOKUP,
               (EngWeightDesc) { .n_slices = 1, .n_cols = n_cols, .n_rows = n_rows });
}

EngWeightId
eng_builder_heads (EngBuilder *b, uint32_t layer, const char *name, EngWeightUse use, uint64_t n_cols, uint64_t n_total,
                   uint64_t first, uint64_t n_rows, uint64_t n_heads)
{
  const EngGgufTensor *t = find (b, layer, name, true);
  bool slices = t && t->dims[2] > 1;
  if (!t || !shape_is (b, t, n_cols, slices ? n_total : n_total * n_heads, slices ? n_heads : 1))
    return ENG_WEIGHT_NONE;
  return bind (b, t, layer, use,
               (EngWeightDesc) { .n_slices = (uint32_t) n_heads, .n_cols = n_cols, .n_rows = n_rows, .first_row = first,
                                 .slice_rows = n_total != n_rows ? n_total : 0 });
}

EngWeightId
eng_builder_experts (EngBuilder *b, uint32_t layer, const char *name, uint64_t n_cols,
                     uint64_t n_rows, uint64_t n_slices)
{
  return eng_builder_experts_part (b, layer, name, n_cols, n_rows, 0, n_rows, n_slices);
}

EngWeightId
eng_builder_experts_part (EngBuilder *b, uint32_t layer, const char *name, uint64_t n_cols, uint64_t n_total,
                          uint64_t first, uint64_t n_rows, uint64_t n_slices)
{
  const EngGgufTensor *t = find (b, layer, name, true);
  if (!t || !shape_is (b, t, n_cols, n_total, n_slices))
    return ENG_WEIGHT_NONE;
  return bind (b, t, layer, ENG_WEIGHT_EXPERTS,
               (EngWeightDesc) { .n_slices = (uint32_t) n_slices, .n_cols = n_cols, .n_rows = n_rows, .first_row = first,
                                 .slice_rows = n_total != n_rows ? n_total : 0 });
}

void
eng_builder_leave_out (EngBuilder *b, uint32_t layer, const char *name)
{
  const EngGgufTensor *t = find (b, layer, name, false);
  if (t)
    b->used[eng_gguf_get_tensor_index (b->file, t)] = true;
}

const float *
eng_builder_read_f32 (EngBuilder *b, uint32_t layer, const char *name, uint64_t n)
{
  const EngGgufTensor *t = find (b, layer, name, false);
  if (!t || !shape_is (b, t, n, 1, 1))
    return NULL;
  b->used[eng_gguf_get_tensor_index (b->file, t)] = true;
  if (t->type != ENG_TYPE_F32)
    {
      eng_builder_refuse (b, t->name, "type %s where F32 is expected", eng_type_get_name (t->type));
      return NULL;
    }
  float *values = eng_arena_alloc_array (b->arena, n, sizeof *values);
  if (!values)
    return no_memory (b), NULL;
  memcpy (values, t->data, n * sizeof *values);
  for (uint64_t i = 0; i < n; i++)
    if (!isfinite (values[i]))
      {
        b->status = eng_error_set (b->error, ENG_ERR_FORMAT, t->name,
                                   t->offset + i * sizeof *values, "element %llu is not finite",
                                   (unsigned long long) i);
        return NULL;
      }
  return values;
}

/* --- program --- */

EngBufferId
eng_builder_buffer (EngBuilder *b, uint64_t width)
{
  if (!grow (b, (void **) &b->buffers, b->n_buffers, &b->cap_buffers, sizeof *b->buffers))
    return ENG_BUFFER_NONE;
  if (width == 0 || width > UINT32_MAX / 8 || b->n_buffers >= ENG_BUFFER_NONE)
    {
      eng_builder_contradict (b, NULL, "an activation of %llu numbers is out of range",
                              (unsigned long long) width);
      return ENG_BUFFER_NONE;
    }
  b->buffers[b->n_buffers].width = (uint32_t) width;
  return (EngBufferId) b->n_buffers++;
}

const EngLayerBuffers *
eng_builder_begin (EngBuilder *b)
{
  const EngHparams *h = &b->h;
  EngLayerBuffers *l = &b->buffers_of_layer;
  l->residual = eng_builder_buffer (b, h->n_embd); /* id 0 */
  l->normed = eng_builder_buffer (b, h->n_embd);
  l->q = eng_builder_buffer (b, (uint64_t) h->n_head * h->k_width);
  l->attended = eng_builder_buffer (b, (uint64_t) h->n_head * h->v_width);
  l->inner = eng_builder_buffer (b, h->n_ff ? h->n_ff : h->n_ff_expert);
  l->branch = eng_builder_buffer (b, h->n_embd);
  l->routed = h->n_expert ? eng_builder_buffer (b, 2ull * h->n_expert_used) : ENG_BUFFER_NONE;
  l->shared = h->n_ff_shared ? eng_builder_buffer (b, h->n_ff_shared) : ENG_BUFFER_NONE;
  return l;
}

/* @desc as a group of its own, with one layer. */
static EngGroupId
add_group (EngBuilder *b, EngGroupDesc desc)
{
  if (!grow (b, (void **) &b->groups, b->n_groups, &b->cap_groups, sizeof *b->groups))
    return 0;
  /* The device table and the cache hold this many. */
  if (b->n_groups == 8)
    {
      eng_builder_refuse (b, NULL, "layers of more than 8 kinds");
      return 0;
    }
  desc.n_layers = 1;
  b->groups[b->n_groups] = desc;
  return (EngGroupId) b->n_groups++;
}

EngGroupId
eng_builder_recurrent_group (EngBuilder *b, uint32_t n_floats, uint16_t *i_layer)
{
  *i_layer = 0;
  for (uint32_t g = 0; g < b->n_groups; g++)
    if (b->groups[g].kind == ENG_STATE_RECURRENT)
      {
        *i_layer = (uint16_t) b->groups[g].n_layers++;
        if (b->groups[g].n_floats != n_floats)
          eng_builder_refuse (b, NULL, "layers with recurrent states of different sizes");
        return (EngGroupId) g;
      }
  return add_group (b, (EngGroupDesc) { .kind = ENG_STATE_RECURRENT, .n_floats = n_floats });
}

EngGroupId
eng_builder_kv_group (EngBuilder *b, uint32_t n_kv_head, uint32_t k_width, uint32_t v_width,
                      uint32_t window, uint16_t *i_layer)
{
  *i_layer = 0;
  for (uint32_t g = 0; g < b->n_groups; g++)
    {
      EngGroupDesc *d = &b->groups[g];
      if (d->kind == ENG_STATE_KV && d->n_kv_head == n_kv_head && d->k_width == k_width
          && d->v_width == v_width && d->window == window)
        {
          *i_layer = (uint16_t) d->n_layers++;
          return (EngGroupId) g;
        }
    }
  return add_group (b, (EngGroupDesc) { .kind = ENG_STATE_KV, .n_kv_head = n_kv_head, .k_width = k_width,
                                        .v_width = v_width, .window = window });
}

EngStep *
eng_builder_step (EngBuilder *b, EngStepKind kind, uint32_t layer, EngBufferId src,
                  EngBufferId dst)
{
  EngStep *step = &b->nowhere;
  if (grow (b, (void **) &b->steps, b->n_steps, &b->cap_steps, sizeof *b->steps))
    step = &b->steps[b->n_steps++];
  memset (step, 0, sizeof *step);
  memset (step->w, 0xff, sizeof step->w);
  step->kind = (uint8_t) kind;
  step->layer = (uint16_t) layer;
  step->src = src;
  step->aux = ENG_BUFFER_NONE;
  step->dst = dst;
  /* Behind the last layer a cut is allowed too: only the residual crosses. */
  if (step != &b->nowhere && b->n_steps > 1 && b->steps[b->n_steps - 2].layer != step->layer)
    step->flags = ENG_STEP_LAYER_BEGIN;
  return step;
}

/* Tensors that carry nothing a program needs: tables that hyper-parameters give as well. */
static bool
may_be_left_out (const char *name)
{
  static const char *const endings[] = { ".attn_rot_embd", ".attn.rotary_emb.inv_freq",
                                         ".rope_freqs.weight", "rope_freqs.weight",
                                         "rope_factors_long.weight", "rope_factors_short.weight" };
  size_t n = strlen (name);
  for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
    {
      size_t k = strlen (endings[i]);
      if (n >= k && strcmp (name + n - k, endings[i]) == 0)
        return true;
    }
  return false;
}

/* A tensor that nothing used: of a layer that block_count does not count, or of a part that we do not know. */
static EngStatus
refuse_tensor (const EngBuilder *b, const EngGgufTensor *t)
{
  char *end = NULL;
  unsigned long long layer = strncmp (t->name, "blk.", 4) == 0 ? strtoull (t->name + 4, &end, 10) : 0;
  if (end && end != t->name + 4 && *end == '.' && layer >= b->h.n_layers)
    {
      char key[96];
      if (layer < (unsigned long long) b->h.n_layers + b->n_layers_ahead)
        return ENG_OK;
      snprintf (key, sizeof key, "%s.block_count", b->arch);
      return eng_error_set_numbers (b->error, ENG_ERR_FORMAT, key, layer + 1, b->h.n_layers,
                                    "the file holds %s, but %s is %u", t->name, key, b->h.n_layers);
    }
  return eng_error_set (b->error, ENG_ERR_UNSUPPORTED, t->name, t->offset,
                        "'%s' models with a tensor '%s' are not supported", b->arch, t->name);
}

EngStatus
eng_builder_finish (EngBuilder *b, EngProgram *program)
{
  uint64_t n_tensors = eng_gguf_get_n_tensors (b->file);
  for (uint64_t i = 0; i < n_tensors && b->status == ENG_OK; i++)
    {
      const EngGgufTensor *t = eng_gguf_get_tensor (b->file, i);
      if (!b->used[i] && !may_be_left_out (t->name))
        b->status = refuse_tensor (b, t);
    }
  if (b->status != ENG_OK)
    return b->status;
  *program = (EngProgram) {
    .n_embd = b->h.n_embd,
    .n_layers = b->h.n_layers,
    .n_vocab = b->h.n_vocab,
    .n_output = b->h.n_vocab,
    .n_ctx_train = b->h.n_ctx_train,
    .causal = true,
    .steps = b->steps,
    .n_steps = b->n_steps,
    .buffers = b->buffers,
    .n_buffers = b->n_buffers,
    .weights = b->weights,
    .n_weights = b->n_weights,
    .groups = b->groups,
    .n_groups = b->n_groups,
    .rope_tables = (const float *const *) b->tables,
    .rope_table_lengths = b->table_lengths,
    .n_rope_tables = b->n_tables,
  };
  return ENG_OK;
}
