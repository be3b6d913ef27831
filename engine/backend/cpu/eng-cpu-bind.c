/* SPDX-License-Identifier: Apache-2.0 */
/* Binding: which weights a range of steps uses and how, checked against the program's shapes and the
 * bytes of the source. */
#include "eng-cpu-private.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "eng-checked.h"
#include "eng-quant.h"

/* Use of slot w[i] by each kind of step. */
static const uint8_t slot_uses[ENG_STEP_N_KINDS][8] = {
#define V ENG_CPU_USE_VECTOR
#define L ENG_CPU_USE_LOOKUP
#define P ENG_CPU_USE_PRODUCT
  [ENG_STEP_EMBED] = { L, L, L },
  [ENG_STEP_NORM] = { V, V, V },
  [ENG_STEP_QKV] = { P, P, P, V, V, V, V, V },
  [ENG_STEP_ATTENTION] = { V },
  [ENG_STEP_PRODUCT] = { P, V },
  [ENG_STEP_GATE_UP] = { P, P, V, V, V },
  [ENG_STEP_ROUTE] = { P | ENG_CPU_USE_AS_IS, V, V, V },
  [ENG_STEP_EXPERTS] = { P, P, P, V, V, V },
  [ENG_STEP_OUTPUT] = { P, V },
  [ENG_STEP_POOL] = { P, V, P, V },
  [ENG_STEP_DELTA] = { V, V, V },
  [ENG_STEP_GATE] = { V },
  [ENG_STEP_CONV] = { V },
  [ENG_STEP_LATENT] = { V, P },
  [ENG_STEP_HEADS] = { P },
#undef V
#undef L
#undef P
};

static EngStatus
step_error (EngError *error, uint32_t i_step, const char *what)
{
  return eng_error_set (error, ENG_ERR_ARGUMENT, "program", ENG_OFFSET_NONE, "step %u: %s", i_step,
                        what);
}

static EngStatus
check_attention (const EngProgram *program, uint32_t i_step, EngError *error)
{
  const EngStep *step = &program->steps[i_step];
  bool qkv = step->kind == ENG_STEP_QKV;
  uint32_t n_head = qkv ? step->u.qkv.n_head : step->u.attention.n_head;
  uint32_t n_head_kv = qkv ? step->u.qkv.n_head_kv : step->u.attention.n_head_kv;
  uint32_t k_width = qkv ? step->u.qkv.k_width : step->u.attention.k_width;
  uint32_t v_width = qkv ? step->u.qkv.v_width : step->u.attention.v_width;
  uint32_t group = qkv ? step->u.qkv.group : step->u.attention.group;
  uint32_t layer = qkv ? step->u.qkv.i_layer_in_group : step->u.attention.i_layer_in_group;
  if (n_head == 0 || n_head_kv == 0 || n_head % n_head_kv != 0)
    return step_error (error, i_step, "heads are no multiple of the key-value heads");
  uint32_t widest = qkv ? ENG_CPU_MAX_CHUNK : ENG_CPU_MAX_KEY;
  if (k_width == 0 || v_width == 0 || k_width > widest || v_width > ENG_CPU_MAX_CHUNK)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "attention.key_length", ENG_OFFSET_NONE,
                          "step %u: heads of %u and %u values; this device runs 1 to %u", i_step,
                          k_width, v_width, ENG_CPU_MAX_CHUNK);
  if (group >= program->n_groups)
    return step_error (error, i_step, "state group does not exist");
  const EngGroupDesc *g = &program->groups[group];
  if (g->kind != ENG_STATE_KV || layer >= g->n_layers || g->n_kv_head != n_head_kv
      || g->k_width != k_width || (g->v_width != v_width && (qkv || g->v_width != 0 || v_width > k_width)))
    return step_error (error, i_step, "state group has another shape");
  if (qkv && step->u.qkv.rope.kind != ENG_ROPE_NONE)
    {
      const EngRope *rope = &step->u.qkv.rope;
      if (rope->n_rot % 2 != 0 || rope->n_rot > k_width || rope->i_table >= program->n_rope_tables
          || program->rope_table_lengths[rope->i_table] != rope->n_rot / 2)
        return step_error (error, i_step, "rotary table does not fit");
    }
  return ENG_OK;
}

static EngStatus
check_delta (const EngProgram *program, uint32_t i_step, EngError *error)
{
  const EngStep *s = &program->steps[i_step];
  uint64_t n_k = s->u.delta.n_k_head, n_v = s->u.delta.n_v_head, k_width = s->u.delta.k_width,
           v_width = s->u.delta.v_width, width = 2 * n_k * k_width + n_v * v_width;
  if (n_k == 0 || n_v == 0 || n_v % n_k != 0)
    return step_error (error, i_step, "value heads are no multiple of the key heads");
  if (k_width == 0 || v_width == 0 || k_width > ENG_CPU_MAX_CHUNK || v_width > ENG_CPU_MAX_CHUNK
      || s->u.delta.n_conv == 0 || s->u.delta.n_conv > ENG_CPU_MAX_TAPS)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "ssm.state_size", ENG_OFFSET_NONE,
                          "step %u: heads of %llu and %llu values behind %u taps; this device runs 1 to %u and %u",
                          i_step, (unsigned long long) k_width, (unsigned long long) v_width, s->u.delta.n_conv,
                          ENG_CPU_MAX_CHUNK, ENG_CPU_MAX_TAPS);
  if (s->u.delta.group >= program->n_groups || s->u.delta.alpha >= program->n_buffers)
    return step_error (error, i_step, "state group or buffer does not exist");
  const EngGroupDesc *g = &program->groups[s->u.delta.group];
  if (g->kind != ENG_STATE_RECURRENT || s->u.delta.i_layer_in_group >= g->n_layers
      || g->n_floats != (s->u.delta.n_conv - 1) * width + n_v * k_width * v_width)
    return step_error (error, i_step, "state group has another shape");
  if (program->buffers[s->src].width != width || program->buffers[s->dst].width != n_v * v_width
      || program->buffers[s->aux].width != (s->u.delta.grouped ? 2 * n_v : n_v)
      || program->buffers[s->u.delta.alpha].width != program->buffers[s->aux].width
      || (s->aux == s->u.delta.alpha) != s->u.delta.grouped)
    return step_error (error, i_step, "buffers have another shape");
  return ENG_OK;
}

static EngStatus
check_conv (const EngProgram *program, uint32_t i_step, EngError *error)
{
  const EngStep *s = &program->steps[i_step];
  uint32_t width = program->buffers[s->dst].width, n_conv = s->u.delta.n_conv;
  if (n_conv == 0 || n_conv > ENG_CPU_MAX_TAPS)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "shortconv.l_cache", ENG_OFFSET_NONE,
                          "step %u: a convolution of %u taps; this device runs 1 to %u", i_step, n_conv,
                          ENG_CPU_MAX_TAPS);
  if (s->u.delta.group >= program->n_groups || program->groups[s->u.delta.group].kind != ENG_STATE_RECURRENT
      || s->u.delta.i_layer_in_group >= program->groups[s->u.delta.group].n_layers
      || program->groups[s->u.delta.group].n_floats != (n_conv - 1) * width || program->buffers[s->src].width != 3 * width)
    return step_error (error, i_step, "state group or buffer has another shape");
  return ENG_OK;
}

static EngStatus
check_latent (const EngProgram *program, uint32_t i_step, EngError *error)
{
  const EngStep *s = &program->steps[i_step];
  uint64_t n_head = s->u.latent.n_head, n_plain = s->u.latent.n_plain, n_latent = s->u.latent.n_latent,
           n_rot = s->u.latent.n_rot, key = n_latent + n_rot;
  const EngRope *rope = &s->u.latent.rope;
  if (n_head == 0 || n_plain == 0 || n_latent == 0 || n_plain > ENG_CPU_MAX_CHUNK || key > ENG_CPU_MAX_KEY)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "attention.kv_lora_rank", ENG_OFFSET_NONE,
                          "step %u: latents of %llu and %llu numbers for heads of %llu; this device runs up to %u and %u",
                          i_step, (unsigned long long) n_latent, (unsigned long long) n_rot, (unsigned long long) n_plain,
                          ENG_CPU_MAX_KEY, ENG_CPU_MAX_CHUNK);
  if (s->u.latent.group >= program->n_groups || rope->i_table >= program->n_rope_tables || rope->n_rot != n_rot
      || rope->kind == ENG_ROPE_NONE || n_rot % 2 != 0 || program->rope_table_lengths[rope->i_table] != n_rot / 2)
    return step_error (error, i_step, "state group or rotary table does not fit");
  const EngGroupDesc *g = &program->groups[s->u.latent.group];
  if (g->kind != ENG_STATE_KV || s->u.latent.i_layer_in_group >= g->n_layers || g->n_kv_head != 1 || g->k_width != key
      || g->v_width != 0)
    return step_error (error, i_step, "state group has another shape");
  if (program->buffers[s->src].width != n_head * (n_plain + n_rot) || program->buffers[s->aux].width != key
      || program->buffers[s->dst].width != n_head * key)
    return step_error (error, i_step, "buffers have another shape");
  return ENG_OK;
}

static EngStatus
check_step (const EngProgram *program, uint32_t i_step, EngError *error)
{
  const EngStep *step = &program->steps[i_step];
  if (step->kind >= ENG_STEP_N_KINDS)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "program", ENG_OFFSET_NONE,
                          "step %u is of kind %u, which this device does not know", i_step,
                          step->kind);
  bool has_src = step->kind != ENG_STEP_EMBED;
  bool has_dst = step->kind != ENG_STEP_OUTPUT && step->kind != ENG_STEP_POOL;
  bool has_aux = step->kind == ENG_STEP_EXPERTS || step->kind == ENG_STEP_DELTA || step->kind == ENG_STEP_GATE
                 || step->kind == ENG_STEP_LATENT || (step->flags & ENG_STEP_ADD_BEFORE) != 0
                 || (step->flags & ENG_STEP_ADD_AFTER) != 0;
  if ((has_src && step->src >= program->n_buffers) || (has_dst && step->dst >= program->n_buffers)
      || (has_aux && step->aux >= program->n_buffers))
    return step_error (error, i_step, "buffer does not exist");
  if (step->kind == ENG_STEP_QKV || step->kind == ENG_STEP_ATTENTION)
    return check_attention (program, i_step, error);
  if (step->kind == ENG_STEP_DELTA)
    return check_delta (program, i_step, error);
  if (step->kind == ENG_STEP_CONV)
    return check_conv (program, i_step, error);
  if (step->kind == ENG_STEP_LATENT)
    return check_latent (program, i_step, error);
  if (step->kind == ENG_STEP_ROUTE
      && (step->u.route.n_used == 0 || step->u.route.n_used > step->u.route.n_expert
          || step->u.route.n_expert > ENG_CPU_MAX_EXPERTS
          || program->buffers[step->dst].width < 2 * step->u.route.n_used))
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "expert_count", ENG_OFFSET_NONE,
                          "step %u: %u of %u experts; this device runs up to %u", i_step,
                          step->u.route.n_used, step->u.route.n_expert, ENG_CPU_MAX_EXPERTS);
  return ENG_OK;
}

/* Shapes of the products of a step. */
static EngStatus
check_product (const EngProgram *program, uint32_t i_step, EngWeightId id, uint64_t n_cols,
               uint64_t n_rows, EngError *error)
{
  if (id == ENG_WEIGHT_NONE)
    return ENG_OK;
  const EngWeightDesc *w = &program->weights[id];
  if (w->n_cols != n_cols || (n_rows != 0 && w->n_rows != n_rows))
    return eng_error_set (error, ENG_ERR_ARGUMENT, "program", ENG_OFFSET_NONE,
                          "step %u: weight %u has shape %llu x %llu, expected %llu x %llu", i_step, id,
                          (unsigned long long) w->n_cols, (unsigned long long) w->n_rows,
                          (unsigned long long) n_cols, (unsigned long long) n_rows);
  return ENG_OK;
}

/* A matrix of each of @n heads. */
static EngStatus
check_heads (const EngProgram *program, uint32_t i_step, EngWeightId id, uint32_t n, uint64_t n_cols, uint64_t n_rows,
             EngError *error)
{
  if (id == ENG_WEIGHT_NONE || n == 0 || program->weights[id].n_slices != n || n_cols > ENG_CPU_MAX_CHUNK)
    return step_error (error, i_step, "the heads' matrices are absent, of another number, or too wide");
  bool turned = program->weights[id].use == ENG_WEIGHT_TURNED;
  return check_product (program, i_step, id, turned ? n_rows : n_cols, turned ? n_cols : n_rows, error);
}

static EngStatus
check_shapes (const EngProgram *program, uint32_t i_step, EngError *error)
{
  const EngStep *s = &program->steps[i_step];
  EngStatus status = ENG_OK;
  uint64_t src = s->kind != ENG_STEP_EMBED ? program->buffers[s->src].width : 0;
  uint64_t dst = s->kind != ENG_STEP_OUTPUT && s->kind != ENG_STEP_POOL
                     ? program->buffers[s->dst].width : 0;
  switch (s->kind)
    {
    case ENG_STEP_QKV:
      {
        uint64_t q = (uint64_t) s->u.qkv.n_head * s->u.qkv.k_width;
        uint64_t k = (uint64_t) s->u.qkv.n_head_kv * s->u.qkv.k_width;
        uint64_t v = (uint64_t) s->u.qkv.n_head_kv * s->u.qkv.v_width;
        if (dst < q)
          return step_error (error, i_step, "destination is too narrow");
        if (s->w[0] == ENG_WEIGHT_NONE || (s->w[1] == ENG_WEIGHT_NONE) != (s->w[2] == ENG_WEIGHT_NONE))
          return step_error (error, i_step, "a weight is absent");
        if (s->u.qkv.gate != 0
            && (s->u.qkv.gate >= program->n_buffers || program->buffers[s->u.qkv.gate].width != q))
          return step_error (error, i_step, "the gate's buffer has another width");
        status = check_product (program, i_step, s->w[0], src, s->u.qkv.gate != 0 ? 2 * q : q, error);
        if (status == ENG_OK)
          status = check_product (program, i_step, s->w[1], src, k, error);
        if (status == ENG_OK)
          status = check_product (program, i_step, s->w[2], src, v, error);
        return status;
      }
    case ENG_STEP_NORM:
      {
        uint64_t n_parts = s->u.norm.n_parts ? s->u.norm.n_parts : 1;
        if (src != dst || src % n_parts != 0)
          return step_error (error, i_step, "buffers have another width");
        status = check_product (program, i_step, s->w[0], src / n_parts, 1, error);
        if (status == ENG_OK)
          status = check_product (program, i_step, s->w[1], src / n_parts, 1, error);
        return status != ENG_OK ? status : check_product (program, i_step, s->w[2], 1, 1, error);
      }
    case ENG_STEP_EMBED:
      return check_product (program, i_step, s->w[0], dst, 0, error);
    case ENG_STEP_ATTENTION:
      if (src < (uint64_t) s->u.attention.n_head * s->u.attention.k_width
          || dst < (uint64_t) s->u.attention.n_head * s->u.attention.v_width)
        return step_error (error, i_step, "buffers are too narrow");
      return ENG_OK;
    case ENG_STEP_PRODUCT:
      return check_product (program, i_step, s->w[0], src, dst, error);
    case ENG_STEP_GATE_UP:
      status = check_product (program, i_step, s->w[0], src, dst, error);
      return status != ENG_OK ? status : check_product (program, i_step, s->w[1], src, dst, error);
    case ENG_STEP_ROUTE:
      status = check_product (program, i_step, s->w[0], src, s->u.route.n_expert, error);
      return status != ENG_OK ? status : check_product (program, i_step, s->w[3], s->u.route.n_expert, 1, error);
    case ENG_STEP_EXPERTS:
      {
        uint64_t n_ff = s->w[0] != ENG_WEIGHT_NONE ? program->weights[s->w[0]].n_rows : 0;
        status = check_product (program, i_step, s->w[0], src, n_ff, error);
        if (status == ENG_OK)
          status = check_product (program, i_step, s->w[1], src, n_ff, error);
        if (status == ENG_OK)
          status = check_product (program, i_step, s->w[2], n_ff, dst, error);
        return status;
      }
    case ENG_STEP_DELTA:
      {
        uint64_t n_v = s->u.delta.n_v_head;
        if (s->w[0] == ENG_WEIGHT_NONE || s->w[1] == ENG_WEIGHT_NONE || s->w[2] == ENG_WEIGHT_NONE)
          return step_error (error, i_step, "a weight is absent");
        status = check_product (program, i_step, s->w[0], src * s->u.delta.n_conv, 1, error);
        if (status == ENG_OK)
          status = check_product (program, i_step, s->w[1], n_v, 1, error);
        return status != ENG_OK ? status : check_product (program, i_step, s->w[2], n_v, 1, error);
      }
    case ENG_STEP_CONV:
      if (s->w[0] == ENG_WEIGHT_NONE)
        return step_error (error, i_step, "a weight is absent");
      return check_product (program, i_step, s->w[0], dst * s->u.delta.n_conv, 1, error);
    case ENG_STEP_LATENT:
      status = check_product (program, i_step, s->w[0], s->u.latent.n_latent, 1, error);
      return status != ENG_OK ? status
                              : check_heads (program, i_step, s->w[1], s->u.latent.n_head, s->u.latent.n_plain,
                                             s->u.latent.n_latent, error);
    case ENG_STEP_HEADS:
      if (s->u.heads.n_head == 0 || src % s->u.heads.n_head != 0 || dst % s->u.heads.n_head != 0)
        return step_error (error, i_step, "buffers are no multiple of the heads");
      return check_heads (program, i_step, s->w[0], s->u.heads.n_head, src / s->u.heads.n_head, dst / s->u.heads.n_head,
                          error);
    case ENG_STEP_GATE:
      if (src < dst || s->u.gate.first > src - dst || (s->src == s->dst && src != dst)
          || program->buffers[s->aux].width != dst || s->u.gate.n_head == 0
          || dst % s->u.gate.n_head != 0 || dst > ENG_CPU_PARTS * ENG_CPU_PART_FLOATS)
        return step_error (error, i_step, "buffers have another width");
      return check_product (program, i_step, s->w[0], dst / s->u.gate.n_head, 1, error);
    case ENG_STEP_OUTPUT:
      return check_product (program, i_step, s->w[0], src, program->n_output, error);
    case ENG_STEP_POOL:
      if (src > ENG_CPU_PART_FLOATS
          || (s->w[0] != ENG_WEIGHT_NONE && program->weights[s->w[0]].n_rows > ENG_CPU_PART_FLOATS)
          || (s->w[2] != ENG_WEIGHT_NONE && program->weights[s->w[2]].n_rows > ENG_CPU_PART_FLOATS))
        return step_error (error, i_step, "rows are too wide");
      status = check_product (program, i_step, s->w[0], src, 0, error);
      if (status == ENG_OK && s->w[2] != ENG_WEIGHT_NONE)
        {
          uint64_t n = s->w[0] != ENG_WEIGHT_NONE ? program->weights[s->w[0]].n_rows : src;
          status = check_product (program, i_step, s->w[2], n, 0, error);
        }
      return status;
    default:
      return ENG_OK;
    }
}

/* Whether a row's later neighbours may need what the step leaves behind. A kind that is not named here counts so. */
static bool
writes_state (const EngStep *s)
{
  switch (s->kind)
    {
    case ENG_STEP_QKV:
      return s->w[1] != ENG_WEIGHT_NONE;
    case ENG_STEP_EMBED:
    case ENG_STEP_NORM:
    case ENG_STEP_ATTENTION:
    case ENG_STEP_PRODUCT:
    case ENG_STEP_GATE_UP:
    case ENG_STEP_GATE:
    case ENG_STEP_HEADS:
    case ENG_STEP_ROUTE:
    case ENG_STEP_EXPERTS:
    case ENG_STEP_OUTPUT:
      return false;
    default:
      return true;
    }
}

/* Mark uses and check everything that needs no weights. */
static EngStatus
scan_steps (const EngProgram *program, const EngBindOptions *options, EngCpuWeight *weights,
            EngError *error)
{
  if (!eng_checked_range (options->first_step, options->n_steps, program->n_steps))
    return eng_error_set (error, ENG_ERR_ARGUMENT, "first_step", ENG_OFFSET_NONE,
                          "steps are outside the program");
  for (uint32_t i = options->first_step; i < options->first_step + options->n_steps; i++)
    {
      const EngStep *step = &program->steps[i];
      if (options->elsewhere && options->elsewhere[i])
        continue;
      EngStatus status = check_step (program, i, error);
      if (status != ENG_OK)
        return status;
      for (int j = 0; j < 8; j++)
        {
          if (step->w[j] == ENG_WEIGHT_NONE || slot_uses[step->kind][j] == 0)
            continue;
          if (step->w[j] >= program->n_weights)
            return step_error (error, i, "weight does not exist");
          weights[step->w[j]].uses |= slot_uses[step->kind][j];
        }
      status = check_shapes (program, i, error);
      if (status != ENG_OK)
        return status;
    }
  return ENG_OK;
}

/* Sizes of @w as the file stores it. */
static EngStatus
weight_layout (const EngWeightDesc *desc, uint32_t id, EngCpuWeight *w, EngError *error)
{
  const EngTypeInfo *info = eng_type_get_info (desc->type);
  w->type = desc->type;
  w->n_slices = desc->n_slices ? desc->n_slices : 1;
  w->n_cols = desc->n_cols;
  w->n_rows = desc->n_rows;
  uint64_t part;
  if (info == NULL || !info->is_weight)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "type", ENG_OFFSET_NONE,
                          "weight %u is of type %s, which this device does not run", id,
                          eng_type_get_name (desc->type));
  if (!eng_type_row_bytes (desc->type, desc->n_cols, &w->row_bytes)
      || !eng_checked_mul (w->row_bytes, desc->n_rows, &part)
      || !eng_checked_mul (part, w->n_slices, &part) || part > INT64_MAX)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "program", ENG_OFFSET_NONE,
                          "weight %u has an impossible shape", id);
  return ENG_OK;
}

static bool
is_fused_vector (const EngWeightDesc *desc, const EngCpuWeight *w)
{
  return w->uses == ENG_CPU_USE_VECTOR && w->n_slices == 1 && desc->n_rows == 1;
}

/* Find the bytes of @w; a vector that is part of a fused one starts at an element, a matrix at a row. */
static EngStatus
map_weight (const EngWeightDesc *desc, uint32_t id, const EngWeightSource *source, EngCpuWeight *w,
            EngError *error)
{
  uint64_t n_bytes = 0, start, end;
  const uint8_t *data = source->map (source->data, desc->source, &n_bytes);
  if (data == NULL)
    return eng_error_set (error, ENG_ERR_NOT_FOUND, "tensor", ENG_OFFSET_NONE,
                          "the source has no tensor for weight %u", id);
  w->slice_bytes = n_bytes / w->n_slices;
  if (is_fused_vector (desc, w))
    {
      const EngTypeInfo *info = eng_type_get_info (w->type);
      if (desc->first_row % info->block_elements != 0
          || !eng_checked_mul (desc->first_row / info->block_elements, info->block_bytes, &start))
        start = UINT64_MAX;
      end = w->row_bytes;
    }
  else if (!eng_checked_mul (desc->first_row, w->row_bytes, &start)
           || !eng_checked_mul (desc->n_rows, w->row_bytes, &end))
    start = UINT64_MAX, end = 1;
  if (n_bytes % w->n_slices != 0 || !eng_checked_range (start, end, w->slice_bytes))
    return eng_error_set_numbers (error, ENG_ERR_TRUNCATED, "tensor", end, w->slice_bytes,
                                  "weight %u lies outside its tensor", id);
  w->raw = data + start;
  return ENG_OK;
}

static EngStatus
make_vector (EngBound *bound, uint32_t id, EngCpuWeight *w, EngError *error)
{
  uint64_t n = 0;
  if (!eng_checked_mul (w->n_cols, w->n_rows, &n) || !eng_checked_mul (n, w->n_slices, &n)
      || n > SIZE_MAX / sizeof (float))
    n = SIZE_MAX;
  float *vector = eng_arena_alloc_array (&bound->arena, n, sizeof (float));
  if (vector == NULL)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, "tensor", ENG_OFFSET_NONE,
                          "no memory for weight %u", id);
  for (uint32_t s = 0; s < w->n_slices; s++)
    for (uint64_t r = 0; r < w->n_rows; r++)
      eng_dequantize_row (w->type, w->raw + s * w->slice_bytes + r * w->row_bytes,
                          vector + (s * w->n_rows + r) * w->n_cols, w->n_cols);
  w->vector = vector;
  bound->weight_bytes += n * sizeof (float);
  return ENG_OK;
}

/* How products of @w read buffer @src. */
static void
mark_source (EngBound *bound, EngBufferId src, const EngCpuWeight *w, bool as_is)
{
  const EngKernels *k = bound->kernels;
  bool packed = w->pack != ENG_PACK_NONE, halves = w->type == ENG_TYPE_F16 || w->type == ENG_TYPE_BF16;
  if (packed)
    bound->quantized[src] = true;
  else if (!halves || as_is || bound->options.exact)
    return;
  if (k->tiles_from != 0)
    {
      bound->tiles_from[src] = k->tiles_from;
      bound->tiles_low[src] |= !packed;
    }
  else if (!packed)
    bound->words_from[src] = eng_cpu_min (bound->words_from[src], eng_cpu_words_from (k, w->type));
}

/* Buffers that a product reads as integers: of bytes for packed weights, of 16 bits for floats of as many; or as tiles. */
static void
mark_quantized (EngBound *bound)
{
  for (uint32_t i = 0; i < bound->program->n_buffers; i++)
    bound->words_from[i] = bound->tiles_from[i] = UINT32_MAX;
  for (uint32_t i = bound->options.first_step;
       i < bound->options.first_step + bound->options.n_steps; i++)
    {
      const EngStep *s = &bound->program->steps[i];
      if (bound->options.elsewhere && bound->options.elsewhere[i])
        continue;
      bool products = s->kind == ENG_STEP_QKV || s->kind == ENG_STEP_PRODUCT
                      || s->kind == ENG_STEP_GATE_UP || s->kind == ENG_STEP_ROUTE;
      for (int j = 0; products && j < 3; j++)
        {
          uint8_t uses = slot_uses[s->kind][j];
          if (s->w[j] == ENG_WEIGHT_NONE || (uses & ENG_CPU_USE_PRODUCT) == 0)
            continue;
          mark_source (bound, s->src, &bound->weights[s->w[j]], (uses & ENG_CPU_USE_AS_IS) != 0);
        }
    }
}

/* The file's bytes are not needed any more, nor the transposed ones where they were packed. */
static void
finish_turned (EngBound *bound, const EngWeightDesc *desc, EngCpuWeight *w, const EngWeightSource *source)
{
  if (source->release != NULL)
    source->release (source->data, desc->source);
  if (w->pack == ENG_PACK_NONE)
    {
      bound->weight_bytes += w->slice_bytes * w->n_slices;
      return;
    }
  eng_free_aligned (w->turned);
  w->raw = w->turned = NULL;
}

/* The product whose packed rows are those of the table @id, as the file has them (with --load-as they may not be). */
static const EngCpuWeight *
find_twin (const EngProgram *program, const EngCpuWeight *weights, uint32_t id)
{
  const EngWeightDesc *table = &program->weights[id];
  if (weights[id].uses != ENG_CPU_USE_LOOKUP)
    return NULL;
  for (uint32_t i = 0; i < program->n_weights; i++)
    {
      const EngWeightDesc *desc = &program->weights[i];
      if ((weights[i].uses & ENG_CPU_USE_PRODUCT) != 0 && desc->use == ENG_WEIGHT_PRODUCT && desc->source == table->source
          && desc->first_row == table->first_row && desc->n_rows == table->n_rows && weights[i].n_slices == 1
          && weights[i].pack != ENG_PACK_NONE && weights[i].pack == eng_pack_from_type (weights[id].type))
        return &weights[i];
    }
  return NULL;
}

static EngStatus
bind_weight (EngBound *bound, uint32_t id, const EngWeightSource *source, EngError *error)
{
  EngCpuWeight *w = &bound->weights[id];
  const EngWeightDesc *desc = &bound->program->weights[id];
  EngStatus status = weight_layout (desc, id, w, error);
  if (status == ENG_OK)
    status = map_weight (desc, id, source, w, error);
  bool turned = desc->use == ENG_WEIGHT_TURNED;
  if (status == ENG_OK && turned)
    status = eng_cpu_check_finite (bound, id, w, source, error);
  if (status == ENG_OK && turned)
    status = eng_cpu_turn (bound, w, id, error);
  if (status == ENG_OK && (w->uses & ENG_CPU_USE_VECTOR) != 0)
    status = make_vector (bound, id, w, error);
  if (status == ENG_OK)
    status = eng_cpu_pack (bound, id, w, source, error);
  w->twin = find_twin (bound->program, bound->weights, id);
  /* Packing a twin has looked at every number. */
  if (status == ENG_OK && w->pack == ENG_PACK_NONE && !turned && w->twin == NULL)
    status = eng_cpu_check_finite (bound, id, w, source, error);
  if (status == ENG_OK && source->release != NULL && w->pack == ENG_PACK_NONE && w->uses == ENG_CPU_USE_VECTOR)
    source->release (source->data, desc->source);
  if (status == ENG_OK && turned)
    finish_turned (bound, desc, w, source);
  else if (status == ENG_OK && w->twin == NULL
           && ((w->uses & ENG_CPU_USE_LOOKUP) != 0
               || ((w->uses & ENG_CPU_USE_PRODUCT) != 0 && w->pack == ENG_PACK_NONE)))
    bound->mapped_bytes += w->row_bytes * w->n_rows * w->n_slices;
  return status;
}

/* As the file has them, so that what is bound next is what was read ahead; a table that is only looked up behind the product of
 * the same tensor, which may be its twin. */
static int
compare_places (const void *a, const void *b, void *bound_)
{
  const EngBound *bound = bound_;
  uint32_t i = *(const uint32_t *) a, j = *(const uint32_t *) b;
  uint64_t source_i = bound->program->weights[i].source, source_j = bound->program->weights[j].source;
  bool looked_up_i = bound->weights[i].uses == ENG_CPU_USE_LOOKUP, looked_up_j = bound->weights[j].uses == ENG_CPU_USE_LOOKUP;
  if (source_i != source_j)
    return source_i < source_j ? -1 : 1;
  return looked_up_i != looked_up_j ? looked_up_i - looked_up_j : i < j ? -1 : 1;
}

static EngStatus
bind_weights (EngBound *bound, const EngWeightSource *source, EngError *error)
{
  const EngBindOptions *options = &bound->options;
  uint32_t *order = eng_alloc_array (bound->program->n_weights, sizeof *order), n = 0;
  uint64_t total = 0, done = 0;
  EngStatus status = ENG_OK;
  if (order == NULL)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory to bind");
  for (uint32_t i = 0; i < bound->program->n_weights && status == ENG_OK; i++)
    if (bound->weights[i].uses != 0)
      {
        order[n++] = i;
        status = weight_layout (&bound->program->weights[i], i, &bound->weights[i], error);
        total += bound->weights[i].row_bytes * bound->weights[i].n_rows * bound->weights[i].n_slices;
      }
  qsort_r (order, n, sizeof *order, compare_places, bound);
  for (uint32_t i = 0; i < n && status == ENG_OK; i++)
    {
      const EngCpuWeight *w = &bound->weights[order[i]];
      uint64_t bytes = w->row_bytes * w->n_rows * w->n_slices; /* of the file: binding may change the layout */
      status = bind_weight (bound, order[i], source, error);
      done += bytes;
      if (status == ENG_OK && options->progress != NULL
          && !options->progress (options->progress_data, done, total))
        status = eng_error_set (error, ENG_ERR_CANCELLED, NULL, ENG_OFFSET_NONE, "loading was stopped");
    }
  eng_free (order);
  return status;
}

EngStatus
eng_cpu_bind (EngDevice *device, const EngProgram *program, const EngWeightSource *source,
              const EngBindOptions *options, EngBound **out, EngError *error)
{
  EngBound *bound = eng_alloc (sizeof *bound);
  if (bound == NULL)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory to bind");
  bound->device = device;
  bound->program = program;
  bound->options = *options;
  bound->kernels = options->exact ? &device->exact : &device->kernels;
  EngStatus status = ENG_OK;
  bound->weights = eng_arena_alloc_array (&bound->arena, program->n_weights, sizeof (EngCpuWeight));
  if (options->load_as != ENG_TYPE_NONE && options->load_as != ENG_TYPE_F32 && !options->exact
      && eng_pack_from_type (options->load_as) == ENG_PACK_NONE)
    status = eng_error_set (error, ENG_ERR_UNSUPPORTED, "load-as", ENG_OFFSET_NONE,
                            "weights cannot be loaded as %s: only as a quantized type",
                            eng_type_get_name (options->load_as));
  bound->quantized = eng_arena_alloc_array (&bound->arena, program->n_buffers, sizeof (bool));
  bound->words_from = eng_arena_alloc_array (&bound->arena, program->n_buffers, sizeof (uint32_t));
  bound->tiles_from = eng_arena_alloc_array (&bound->arena, program->n_buffers, sizeof (uint32_t));
  bound->tiles_low = eng_arena_alloc_array (&bound->arena, program->n_buffers, sizeof (bool));
  if (bound->weights == NULL || bound->quantized == NULL || bound->words_from == NULL || bound->tiles_from == NULL
      || bound->tiles_low == NULL)
    status = eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory to bind");
  if (status == ENG_OK)
    status = scan_steps (program, options, bound->weights, error);
  if (status == ENG_OK)
    status = bind_weights (bound, source, error);
  bound->weight_bytes += bound->mapped_bytes;
  if (status == ENG_OK)
    mark_quantized (bound);
  for (uint32_t i = 0; i < program->n_steps; i++)
    if (writes_state (&program->steps[i]))
      bound->n_writing = i + 1;
  if (status != ENG_OK)
    eng_cpu_unbind (&bound);
  else
    *out = bound;
  return status;
}

void
eng_cpu_unbind (EngBound **bound)
{
  if (*bound == NULL)
    return;
  for (uint32_t i = 0; (*bound)->weights != NULL && i < (*bound)->program->n_weights; i++)
    {
      eng_free_aligned ((*bound)->weights[i].packed);
      eng_free_aligned ((*bound)->weights[i].turned);
    }
  eng_arena_clear (&(*bound)->arena);
  eng_free (*bound);
  *bound = NULL;
}

EngStatus
eng_cpu_plan_weights (EngDevice *device, const EngProgram *program, const EngBindOptions *options,
                      EngMemoryPlan *plan, EngError *error)
{
  EngCpuWeight *weights = eng_alloc_array (program->n_weights, sizeof (EngCpuWeight));
  if (weights == NULL)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory to plan");
  EngStatus status = scan_steps (program, options, weights, error);
  for (uint32_t i = 0; i < program->n_weights && status == ENG_OK; i++)
    {
      EngCpuWeight *w = &weights[i];
      if (w->uses == 0)
        continue;
      status = weight_layout (&program->weights[i], i, w, error);
      if (status != ENG_OK)
        break;
      bool turned = program->weights[i].use == ENG_WEIGHT_TURNED;
      if (turned)
        eng_cpu_turned_layout (w, options->exact);
      uint64_t bytes = w->row_bytes * w->n_rows * w->n_slices;
      if ((w->uses & ENG_CPU_USE_VECTOR) != 0)
        plan->weight_bytes += w->n_cols * w->n_rows * w->n_slices * sizeof (float);
      uint64_t packed;
      bool is_packed = eng_cpu_pack_layout (device, options, w, &packed);
      plan->weight_bytes += packed;
      if ((w->uses & ENG_CPU_USE_LOOKUP) != 0
          || ((w->uses & ENG_CPU_USE_PRODUCT) != 0 && !is_packed))
        {
          plan->weight_bytes += bytes;
          plan->mapped_bytes += turned ? 0 : bytes;
        }
    }
  for (uint32_t i = 0; i < program->n_weights && status == ENG_OK; i++)
    if (find_twin (program, weights, i) != NULL)
      {
        uint64_t bytes = weights[i].row_bytes * weights[i].n_rows * weights[i].n_slices;
        plan->weight_bytes -= bytes;
        plan->mapped_bytes -= bytes;
      }
  eng_free (weights);
  return status;
}
