/* SPDX-License-Identifier: Apache-2.0 */
/* From the rules of an architecture to the list of tensors to write: each rule looks for the hub's
 * tensor, or for one of each expert, and lays its rows out. A tensor of the hub that no rule took
 * means that the model has a part we do not know: refused. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eng-convert-private.h"
#include "eng-quant.h"

#define MAX_NAME 256

static EngTransferTensor *
append (EngConvert *c, const char *name)
{
  if (c->n_tensors == c->cap_tensors)
    {
      size_t cap = c->cap_tensors ? c->cap_tensors * 2 : 256;
      EngTransferTensor *grown = eng_realloc_array (c->tensors, cap, sizeof *grown);
      if (!grown)
        {
          eng_convert_fail (c, ENG_ERR_NO_MEMORY, name, "out of memory");
          return NULL;
        }
      c->tensors = grown;
      c->cap_tensors = cap;
    }
  const char *copy = eng_arena_strndup (&c->arena, name, strlen (name));
  if (!copy)
    {
      eng_convert_fail (c, ENG_ERR_NO_MEMORY, name, "out of memory");
      return NULL;
    }
  EngTransferTensor *t = &c->tensors[c->n_tensors++];
  *t = (EngTransferTensor) { .name = copy, .dims = { 1, 1, 1, 1 } };
  return t;
}

void
eng_convert_add_vector (EngConvert *c, const char *name, const float *values, uint32_t n)
{
  EngTransferPiece *piece = c->status == ENG_OK ? eng_arena_alloc (&c->arena, sizeof *piece) : NULL;
  EngTransferTensor *t = piece ? append (c, name) : NULL;
  if (!t)
    {
      eng_convert_fail (c, ENG_ERR_NO_MEMORY, name, "out of memory");
      return;
    }
  *piece = (EngTransferPiece) { .data = values, .type = ENG_TYPE_F32, .n_rows = 1 };
  t->n_dims = 1;
  t->dims[0] = n;
  t->pieces = piece;
  t->n_pieces = 1;
}

static const EngSafetensor *
find (EngConvert *c, const char *name)
{
  const EngSafetensor *t = eng_safetensors_find (c->weights, name);
  if (!t)
    return NULL;
  if (t->type != ENG_TYPE_F32 && t->type != ENG_TYPE_F16 && t->type != ENG_TYPE_BF16)
    {
      eng_convert_fail (c, ENG_ERR_UNSUPPORTED, name, "tensor %s is of dtype %s, not F32, F16 or BF16",
                        name, t->dtype);
      return NULL;
    }
  if (t->n_dims == 0 || t->n_dims > 3 || t->n_elements == 0)
    {
      eng_convert_fail (c, ENG_ERR_FORMAT, name, "tensor %s has no shape of 1 to 3 dimensions", name);
      return NULL;
    }
  c->used[t - eng_safetensors_get_tensor (c->weights, 0)] = true;
  return t;
}

/* Shape and rows of what a rule takes of one tensor of the hub. */
typedef struct
{
  uint64_t n_cols, n_rows, n_slices; /* n_rows of each slice */
  uint64_t first_row, kept_rows;     /* of each slice */
  uint32_t n_dims;
} Shape;

static bool
shape_of (EngConvert *c, const EngSafetensor *s, unsigned flags, Shape *out)
{
  *out = (Shape) { .n_cols = s->shape[s->n_dims - 1],
                   .n_rows = s->n_dims > 1 ? s->shape[s->n_dims - 2] : 1,
                   .n_slices = s->n_dims > 2 ? s->shape[0] : 1,
                   .n_dims = s->n_dims };
  if ((flags & ENG_RULE_VECTOR) && out->n_rows == 1)
    out->n_dims = 1;
  if ((flags & ENG_RULE_TAPS) && out->n_dims == 3 && out->n_rows == 1)
    {
      out->n_rows = out->n_slices;
      out->n_slices = 1;
      out->n_dims = 2;
    }
  out->kept_rows = out->n_rows;
  if (flags & (ENG_RULE_FIRST_HALF | ENG_RULE_LAST_HALF))
    {
      if (out->n_rows % 2 != 0)
        return eng_convert_fail (c, ENG_ERR_FORMAT, s->name, "tensor %s has an odd number of rows",
                                 s->name);
      out->kept_rows = out->n_rows / 2;
      out->first_row = flags & ENG_RULE_LAST_HALF ? out->kept_rows : 0;
    }
  if (flags & ENG_RULE_POSITIONS)
    {
      out->first_row = eng_convert_get_u32 (c, "pad_token_id", 1) + 1;
      if (out->first_row >= out->n_rows)
        return eng_convert_fail (c, ENG_ERR_FORMAT, s->name,
                                 "tensor %s has %" PRIu64 " rows, pad_token_id is %" PRIu64,
                                 s->name, out->n_rows, out->first_row - 1);
      out->kept_rows = out->n_rows - out->first_row;
    }
  return true;
}

/* Pieces of one tensor of the hub, one a slice. */
static bool
fill_pieces (EngConvert *c, const EngSafetensor *s, const Shape *shape, unsigned flags,
             EngTransferPiece *pieces)
{
  uint64_t row_bytes = 0;
  uint32_t heads = flags & ENG_RULE_ROPE_Q ? c->n_heads : flags & ENG_RULE_ROPE_K ? c->n_heads_kv : 0;
  /* A vector of numbers that belong to rows (a bias) is moved number by number. */
  bool as_rows = heads && s->n_dims == 1;
  eng_type_row_bytes (s->type, as_rows ? 1 : shape->n_cols, &row_bytes);
  uint64_t n_rows = as_rows ? shape->n_cols : shape->kept_rows;
  if (heads && (n_rows % heads != 0 || n_rows / heads % 2 != 0))
    return eng_convert_fail (c, ENG_ERR_FORMAT, s->name,
                             "tensor %s has %" PRIu64 " rows, config.json says %u heads", s->name,
                             n_rows, heads);
  for (uint64_t i = 0; i < shape->n_slices; i++)
    pieces[i] = (EngTransferPiece) {
      .data = (const uint8_t *) s->data + (i * shape->n_rows + shape->first_row) * row_bytes,
      .type = s->type,
      .n_rows = n_rows,
      .n_interleave = heads,
    };
  return true;
}

/* The reordered bias: small, so it is made here and written like any vector. */
static void
add_reordered_vector (EngConvert *c, const char *name, const EngSafetensor *s, uint32_t heads)
{
  uint64_t n = s->shape[0], head = heads ? n / heads : 0;
  float *from = eng_arena_alloc_array (&c->arena, n, sizeof *from);
  float *to = eng_arena_alloc_array (&c->arena, n, sizeof *to);
  if (!from || !to || head == 0 || n % heads != 0 || head % 2 != 0 || n > UINT32_MAX)
    {
      eng_convert_fail (c, ENG_ERR_FORMAT, s->name, "tensor %s does not fit %u heads", s->name, heads);
      return;
    }
  eng_dequantize_row (s->type, s->data, from, n);
  for (uint64_t i = 0; i < n; i++)
    to[i] = from[i - i % head + i % head % 2 * (head / 2) + i % head / 2];
  eng_convert_add_vector (c, name, to, (uint32_t) n);
}

/* Where head @i of the written order stands on the hub. */
static uint32_t
tiled_head (const EngConvert *c, uint32_t i)
{
  uint32_t each = c->n_value_heads / c->n_key_heads;
  return i % c->n_key_heads * each + i / c->n_key_heads;
}

/* A number for each head of values. */
static void
add_head_vector (EngConvert *c, const char *name, const EngSafetensor *s, unsigned flags)
{
  uint32_t n = c->n_value_heads;
  float *from = eng_arena_alloc_array (&c->arena, n, sizeof *from), *to = eng_arena_alloc_array (&c->arena, n, sizeof *to);
  if (!from || !to || s->n_dims != 1 || s->shape[0] != n)
    {
      eng_convert_fail (c, ENG_ERR_FORMAT, s->name, "tensor %s does not fit %u heads of values", s->name, n);
      return;
    }
  eng_dequantize_row (s->type, s->data, from, n);
  for (uint32_t i = 0; i < n; i++)
    {
      float x = from[flags & ENG_RULE_TILE_ROWS ? tiled_head (c, i) : i];
      to[i] = flags & ENG_RULE_MINUS_EXP ? -expf (x) : x;
    }
  eng_convert_add_vector (c, name, to, n);
}

/* Rows of a matrix by heads of values, behind those that stay. */
static void
add_tiled_rows (EngConvert *c, const char *name, const EngSafetensor *s, const Shape *shape, unsigned flags)
{
  uint64_t kept = flags & ENG_RULE_TILE_END ? c->n_key_rows : 0, row_bytes = 0;
  uint32_t n = c->n_value_heads;
  EngTransferPiece *pieces = eng_arena_alloc_array (&c->arena, n + 1, sizeof *pieces);
  if (shape->n_slices != 1 || shape->n_rows <= kept || (shape->n_rows - kept) % n != 0)
    eng_convert_fail (c, ENG_ERR_FORMAT, s->name, "tensor %s of %" PRIu64 " rows does not fit %u heads of values",
                      s->name, shape->n_rows, n);
  else if (!pieces)
    eng_convert_fail (c, ENG_ERR_NO_MEMORY, name, "out of memory");
  EngTransferTensor *t = c->status == ENG_OK ? append (c, name) : NULL;
  if (!t)
    return;
  uint64_t head = (shape->n_rows - kept) / n;
  eng_type_row_bytes (s->type, shape->n_cols, &row_bytes);
  pieces[0] = (EngTransferPiece) { .data = s->data, .type = s->type, .n_rows = kept };
  for (uint32_t i = 0; i < n; i++)
    pieces[i + 1] = (EngTransferPiece) {
      .data = (const uint8_t *) s->data + (kept + tiled_head (c, i) * head) * row_bytes,
      .type = s->type,
      .n_rows = head,
    };
  t->n_dims = shape->n_dims;
  t->dims[0] = shape->n_cols;
  t->dims[1] = shape->n_rows;
  t->pieces = kept ? pieces : pieces + 1;
  t->n_pieces = kept ? n + 1 : n;
}

/* Of the rows of each key head (queries, keys, values, gates) some, part by part over all heads. */
static void
add_mixed_rows (EngConvert *c, const char *name, const EngSafetensor *s, const Shape *shape, unsigned flags)
{
  uint64_t n = c->n_key_heads, head = n ? shape->n_rows / n : 0, keys = n ? c->n_key_rows / n / 2 : 0, row_bytes = 0;
  uint64_t values = head > 2 * keys ? (head - 2 * keys) / 2 : 0;
  const uint64_t all[4][2] = { { 0, keys }, { keys, keys }, { 2 * keys, values }, { 2 * keys + values, values } };
  const uint64_t (*parts)[2] = flags & ENG_RULE_MIXED_Z ? all + 3 : all;
  uint32_t n_parts = flags & ENG_RULE_MIXED_Z ? 1 : 3;
  EngTransferPiece *pieces = eng_arena_alloc_array (&c->arena, n_parts * n, sizeof *pieces);
  if (shape->n_slices != 1 || values == 0 || 2 * (keys + values) * n != shape->n_rows || values * n % c->n_value_heads != 0)
    eng_convert_fail (c, ENG_ERR_FORMAT, s->name, "tensor %s of %" PRIu64 " rows does not fit %u heads of keys", s->name,
                      shape->n_rows, c->n_key_heads);
  else if (!pieces)
    eng_convert_fail (c, ENG_ERR_NO_MEMORY, name, "out of memory");
  EngTransferTensor *t = c->status == ENG_OK ? append (c, name) : NULL;
  if (!t)
    return;
  eng_type_row_bytes (s->type, shape->n_cols, &row_bytes);
  t->n_dims = shape->n_dims;
  t->dims[0] = shape->n_cols;
  t->dims[1] = 0;
  t->pieces = pieces;
  t->n_pieces = n_parts * n;
  for (uint32_t p = 0; p < n_parts; p++)
    for (uint64_t h = 0; h < n; h++, pieces++)
      {
        *pieces = (EngTransferPiece) {
          .data = (const uint8_t *) s->data + (h * head + parts[p][0]) * row_bytes,
          .type = s->type,
          .n_rows = parts[p][1],
        };
        t->dims[1] += pieces->n_rows;
      }
}

/* Every other number of each expert's bias. */
static void
add_half_bias (EngConvert *c, const char *name, const EngSafetensor *s, unsigned flags)
{
  uint64_t n = s->n_elements / 2, row = s->n_dims == 2 ? s->shape[1] : 1;
  float *from = eng_arena_alloc_array (&c->arena, s->n_elements, sizeof *from);
  if (!from || row % 2 != 0 || n > UINT32_MAX)
    {
      eng_convert_fail (c, ENG_ERR_FORMAT, s->name, "tensor %s is not a bias of pairs", s->name);
      return;
    }
  eng_dequantize_row (s->type, s->data, from, s->n_elements);
  for (uint64_t i = 0; i < n; i++)
    from[i] = from[2 * i + (flags & ENG_RULE_ODD ? 1 : 0)];
  eng_convert_add_vector (c, name, from, (uint32_t) n);
  if (c->status != ENG_OK)
    return;
  EngTransferTensor *t = &c->tensors[c->n_tensors - 1];
  t->n_dims = 2;
  t->dims[0] = row / 2;
  t->dims[1] = s->shape[0];
  ((EngTransferPiece *) (uintptr_t) t->pieces)->n_rows = s->shape[0];
}

/* Keys or values of each head, one slice a head. */
static void
add_heads (EngConvert *c, const char *name, const EngSafetensor *s, unsigned flags)
{
  uint32_t n_heads = c->n_heads, n_keys = c->n_head_keys, n_values = c->n_head_values;
  bool keys = flags & ENG_RULE_HEAD_KEYS;
  if (s->n_dims != 2 || s->shape[0] != (uint64_t) n_heads * (n_keys + n_values))
    {
      eng_convert_fail (c, ENG_ERR_FORMAT, s->name,
                        "tensor %s has %" PRIu64 " rows, config.json says %u heads of %u numbers of keys and %u of values",
                        s->name, s->shape[0], n_heads, n_keys, n_values);
      return;
    }
  EngTransferPiece *pieces = eng_arena_alloc_array (&c->arena, n_heads, sizeof *pieces);
  EngTransferTensor *t = pieces ? append (c, name) : NULL;
  if (!t)
    {
      eng_convert_fail (c, ENG_ERR_NO_MEMORY, name, "out of memory");
      return;
    }
  uint64_t row_bytes = 0, n_cols = s->shape[1];
  eng_type_row_bytes (s->type, n_cols, &row_bytes);
  for (uint32_t i = 0; i < n_heads; i++)
    pieces[i] = (EngTransferPiece) {
      .data = (const uint8_t *) s->data + ((uint64_t) i * (n_keys + n_values) + (keys ? 0 : n_keys)) * row_bytes,
      .type = s->type,
      .n_rows = keys ? n_cols : n_values,
      .n_turned = keys ? n_keys : 0,
    };
  t->n_dims = 3;
  t->dims[0] = keys ? n_keys : n_cols;
  t->dims[1] = keys ? n_cols : n_values;
  t->dims[2] = n_heads;
  t->pieces = pieces;
  t->n_pieces = n_heads;
}

static void
add_one (EngConvert *c, const char *name, const EngSafetensor *s, unsigned flags)
{
  Shape shape;
  if (flags & (ENG_RULE_EVEN | ENG_RULE_ODD))
    {
      add_half_bias (c, name, s, flags);
      return;
    }
  if (flags & (ENG_RULE_HEAD_KEYS | ENG_RULE_HEAD_VALUES))
    {
      add_heads (c, name, s, flags);
      return;
    }
  if (flags & (ENG_RULE_TILE_ROWS | ENG_RULE_MINUS_EXP) && s->n_dims == 1)
    {
      add_head_vector (c, name, s, flags);
      return;
    }
  if ((flags & (ENG_RULE_ROPE_Q | ENG_RULE_ROPE_K)) && s->n_dims == 1)
    {
      add_reordered_vector (c, name, s, flags & ENG_RULE_ROPE_Q ? c->n_heads : c->n_heads_kv);
      return;
    }
  if (!shape_of (c, s, flags, &shape))
    return;
  if (flags & (ENG_RULE_MIXED_QKV | ENG_RULE_MIXED_Z))
    {
      add_mixed_rows (c, name, s, &shape, flags);
      return;
    }
  if (flags & (ENG_RULE_TILE_ROWS | ENG_RULE_TILE_END))
    {
      add_tiled_rows (c, name, s, &shape, flags);
      return;
    }
  EngTransferPiece *pieces = eng_arena_alloc_array (&c->arena, shape.n_slices, sizeof *pieces);
  if (!pieces)
    {
      eng_convert_fail (c, ENG_ERR_NO_MEMORY, name, "out of memory");
      return;
    }
  if (!fill_pieces (c, s, &shape, flags, pieces))
    return;
  EngTransferTensor *t = append (c, name);
  if (!t)
    return;
  t->n_dims = shape.n_dims;
  t->dims[0] = shape.n_cols;
  t->dims[1] = shape.n_dims > 1 ? shape.kept_rows : 1;
  t->dims[2] = shape.n_slices;
  t->pieces = pieces;
  t->n_pieces = shape.n_slices;
  t->add = flags & ENG_RULE_ADD_ONE ? 1.0f : 0.0f;
  if (flags & ENG_RULE_TILE_COLUMNS && c->n_value_heads != c->n_key_heads)
    {
      t->n_outer = c->n_key_heads;
      t->n_inner = c->n_value_heads / c->n_key_heads;
      if (t->dims[0] % c->n_value_heads != 0)
        eng_convert_fail (c, ENG_ERR_FORMAT, s->name, "tensor %s of %" PRIu64 " columns does not fit %u heads of values",
                          s->name, t->dims[0], c->n_value_heads);
    }
  if ((flags & ENG_RULE_VOCAB) && t->dims[1] != c->n_vocab)
    eng_convert_fail (c, ENG_ERR_FORMAT, s->name,
                      "tensor %s has %" PRIu64 " rows, config.json says %u tokens", s->name,
                      t->dims[1], c->n_vocab);
}

/* "a.#.b": one tensor of each expert, one slice of the result each. */
static bool
add_experts (EngConvert *c, const char *name, const char *pattern)
{
  char from[MAX_NAME];
  const char *mark = strchr (pattern, '#');
  EngTransferPiece *pieces = NULL;
  Shape first = { 0 }, shape;
  for (uint32_t e = 0; e < c->n_experts && c->status == ENG_OK; e++)
    {
      snprintf (from, sizeof from, "%.*s%u%s", (int) (mark - pattern), pattern, e, mark + 1);
      const EngSafetensor *s = find (c, from);
      if (!s && e == 0)
        return false;
      if (!s)
        return eng_convert_fail (c, ENG_ERR_NOT_FOUND, from, "the folder lacks the tensor %s", from);
      if (!shape_of (c, s, 0, &shape))
        return false;
      if (e == 0)
        {
          first = shape;
          pieces = eng_arena_alloc_array (&c->arena, c->n_experts, sizeof *pieces);
        }
      if (!pieces || s->n_dims != 2 || shape.n_cols != first.n_cols || shape.n_rows != first.n_rows)
        return eng_convert_fail (c, ENG_ERR_FORMAT, from,
                                 "tensor %s is not shaped as that of the first expert", from);
      fill_pieces (c, s, &shape, 0, pieces + e);
    }
  EngTransferTensor *t = c->status == ENG_OK && pieces ? append (c, name) : NULL;
  if (!t)
    return false;
  t->n_dims = 3;
  t->dims[0] = first.n_cols;
  t->dims[1] = first.n_rows;
  t->dims[2] = c->n_experts;
  t->pieces = pieces;
  t->n_pieces = c->n_experts;
  return true;
}

/* "<from>_blocks" [experts, rows, columns / 32, 16] and "<from>_scales" without the last dimension. False: absent. */
static bool
add_mxfp4 (EngConvert *c, const char *name, const char *from, unsigned flags)
{
  char full[MAX_NAME];
  const EngSafetensor *parts[2];
  static const char *const endings[2] = { "_blocks", "_scales" };
  for (int i = 0; i < 2; i++)
    {
      snprintf (full, sizeof full, "%s%s", from, endings[i]);
      parts[i] = eng_safetensors_find (c->weights, full);
      if (!parts[i] || strcmp (parts[i]->dtype, "U8") != 0 || parts[i]->n_dims != 4u - (uint32_t) i)
        return false;
      c->used[parts[i] - eng_safetensors_get_tensor (c->weights, 0)] = true;
    }
  const uint64_t *shape = parts[0]->shape;
  uint64_t n_rows = shape[1], step = flags & (ENG_RULE_EVEN | ENG_RULE_ODD) ? 2 : 1, n_blocks = shape[2];
  if (shape[0] != c->n_experts || shape[3] != 16 || memcmp (shape, parts[1]->shape, 3 * sizeof *shape) != 0
      || parts[0]->n_elements == 0 || n_rows % step != 0)
    return eng_convert_fail (c, ENG_ERR_FORMAT, full, "%s_blocks and its scales do not fit %u experts", from, c->n_experts);
  EngTransferPiece *piece = eng_arena_alloc (&c->arena, sizeof *piece);
  EngTransferTensor *t = piece ? append (c, name) : NULL;
  if (!t)
    return eng_convert_fail (c, ENG_ERR_NO_MEMORY, name, "out of memory");
  uint64_t first = flags & ENG_RULE_ODD ? n_blocks : 0;
  *piece = (EngTransferPiece) {
    .data = (const uint8_t *) parts[0]->data + first * 16,
    .scales = (const uint8_t *) parts[1]->data + first,
    .type = ENG_TYPE_MXFP4,
    .n_rows = shape[0] * (n_rows / step),
    .row_step = (uint32_t) step,
  };
  t->n_dims = 3;
  t->dims[0] = n_blocks * 32;
  t->dims[1] = n_rows / step;
  t->dims[2] = shape[0];
  t->pieces = piece;
  t->n_pieces = 1;
  return true;
}

static bool
has_output (const EngConvert *c, const char *name)
{
  for (size_t i = c->n_tensors; i > 0; i--)
    if (strcmp (c->tensors[i - 1].name, name) == 0)
      return true;
  return false;
}

/* @before and @to_before: what stands before the rule's names. */
static void
apply_rule (EngConvert *c, const EngConvertRule *rule, const char *before, const char *to_before)
{
  char from[MAX_NAME], to[MAX_NAME];
  if (c->status != ENG_OK)
    return;
  if ((size_t) snprintf (from, sizeof from, "%s%s", before, rule->from) >= sizeof from
      || (size_t) snprintf (to, sizeof to, "%s%s", to_before, rule->to) >= sizeof to)
    {
      eng_convert_fail (c, ENG_ERR_INTERNAL, rule->to, "a tensor's name is too long");
      return;
    }
  bool found = false;
  if (rule->flags & ENG_RULE_MXFP4)
    found = add_mxfp4 (c, to, from, rule->flags);
  else if (strchr (rule->from, '#'))
    found = c->n_experts > 0 && add_experts (c, to, from);
  else
    {
      const EngSafetensor *s = find (c, from);
      found = s != NULL;
      if (s && !has_output (c, to))
        add_one (c, to, s, rule->flags);
    }
  if (!found && rule->flags & ENG_RULE_MXFP4 && eng_safetensors_find (c->weights, from))
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, from,
                      "%s is not in MXFP4, as the model was published: other forms are not supported", from);
  if (!found && (rule->flags & ENG_RULE_REQUIRED) && !has_output (c, to))
    eng_convert_fail (c, ENG_ERR_NOT_FOUND, from, "the folder lacks the tensor %s", from);
}

static void
apply_rules (EngConvert *c, const EngConvertRule *const *lists, const char *before,
             const char *to_before)
{
  for (; *lists; lists++)
    for (const EngConvertRule *rule = *lists; rule->from; rule++)
      apply_rule (c, rule, before, to_before);
}

/* Which of the prefixes the names have: the one with which the first rule finds its tensor. */
static void
find_prefix (EngConvert *c)
{
  const char *first = c->arch->globals[0][0].from;
  for (const char *at = c->arch->prefixes; at; at = strchr (at, '|'))
    {
      char name[MAX_NAME];
      at += *at == '|';
      const char *end = strchr (at, '|');
      int n = end ? (int) (end - at) : (int) strlen (at);
      snprintf (name, sizeof name, "%.*s%s", n, at, first);
      if (eng_safetensors_find (c->weights, name))
        {
          c->prefix = eng_arena_strndup (&c->arena, at, (size_t) n);
          if (!c->prefix)
            eng_convert_fail (c, ENG_ERR_NO_MEMORY, name, "out of memory");
          return;
        }
    }
  eng_convert_fail (c, ENG_ERR_NOT_FOUND, first, "the folder lacks the tensor %s", first);
}

static bool
is_layer_ahead (const EngConvert *c, const char *name)
{
  char before[MAX_NAME];
  int n = snprintf (before, sizeof before, "%s%s", c->prefix, c->arch->layers);
  if (c->n_layers_ahead == 0 || n <= 0 || strncmp (name, before, (size_t) n) != 0)
    return false;
  unsigned long i = strtoul (name + n, NULL, 10);
  return i >= c->n_layers && i - c->n_layers < c->n_layers_ahead;
}

/* Tables that anybody can work out. */
static bool
is_needless (const char *name)
{
  static const char *const everywhere[] = { "rotary_emb.inv_freq", "rotary_pos_emb.inv_freq",
                                            "position_ids", "attn.masked_bias" };
  for (size_t i = 0; i < sizeof everywhere / sizeof everywhere[0]; i++)
    if (strstr (name, everywhere[i]))
      return true;
  return false;
}

/* Of a part that is left out: layers that guess ahead, eyes and ears. */
static bool
is_ignored (const EngConvert *c, const char *name)
{
  if (is_layer_ahead (c, name))
    return true;
  for (const char *at = c->arch->ignored; at; at = strchr (at, '|'))
    {
      char part[64];
      at += *at == '|';
      const char *end = strchr (at, '|');
      snprintf (part, sizeof part, "%.*s", end ? (int) (end - at) : (int) strlen (at), at);
      if (part[0] && strstr (name, part))
        return true;
    }
  return false;
}

static void
check_all_used (EngConvert *c)
{
  for (uint64_t i = 0; i < eng_safetensors_get_n_tensors (c->weights) && c->status == ENG_OK; i++)
    {
      const EngSafetensor *s = eng_safetensors_get_tensor (c->weights, i);
      if (c->used[i] || is_needless (s->name))
        continue;
      if (is_ignored (c, s->name))
        {
          c->left_out = c->n_left_out++ ? c->left_out : s->name;
          c->left_out_bytes += s->n_bytes;
        }
      else
        eng_convert_fail (c, ENG_ERR_UNSUPPORTED, s->name,
                          "tensor %s is not part of the architecture %s as we know it", s->name,
                          c->arch->name);
    }
}

static const char *const dense_folders[2] = { "2_Dense", "3_Dense" };

static void
open_dense (EngConvert *c, uint32_t i, uint32_t n_in, uint32_t *n_out)
{
  char path[MAX_NAME], name[32];
  int64_t in = 0, out = 0;
  bool bias = true;
  snprintf (path, sizeof path, "%s/config.json", dense_folders[i]);
  const EngJson *config = eng_convert_read_json (c, path, true);
  if (c->status != ENG_OK)
    return;
  const EngJson *act = eng_json_get (config, "activation_function");
  eng_json_get_bool (config, "bias", &bias);
  if (bias || !eng_json_is_string (act, "torch.nn.modules.linear.Identity")
      || !eng_json_get_int64 (config, "in_features", &in) || !eng_json_get_int64 (config, "out_features", &out)
      || in != n_in || out <= 0 || out > UINT32_MAX)
    {
      eng_convert_fail (c, ENG_ERR_UNSUPPORTED, path, "%s is not a product of %u numbers without bias or activation",
                        path, n_in);
      return;
    }
  size_t n = strlen (c->folder) + sizeof path;
  char *folder = eng_arena_alloc (&c->arena, n);
  if (!folder)
    {
      eng_convert_fail (c, ENG_ERR_NO_MEMORY, NULL, "out of memory");
      return;
    }
  snprintf (folder, n, "%s/%s", c->folder, dense_folders[i]);
  c->status = eng_safetensors_open (folder, &c->dense[i], c->error);
  *n_out = (uint32_t) out;
  snprintf (name, sizeof name, "dense_%u_feat_in", i + 2);
  eng_convert_set_u32 (c, name, n_in);
  snprintf (name, sizeof name, "dense_%u_feat_out", i + 2);
  eng_convert_set_u32 (c, name, *n_out);
}

void
eng_convert_open_dense (EngConvert *c)
{
  char path[MAX_NAME];
  snprintf (path, sizeof path, "%s/config.json", dense_folders[0]);
  const EngJson *first = eng_convert_read_json (c, path, false);
  uint32_t n = eng_convert_need_u32 (c, "hidden_size");
  for (uint32_t i = 0; first && i < 2 && c->status == ENG_OK; i++)
    open_dense (c, i, n, &n);
}

static void
add_dense (EngConvert *c, uint32_t i)
{
  char name[32];
  const EngSafetensor *s = eng_safetensors_find (c->dense[i], "linear.weight");
  snprintf (name, sizeof name, "dense_%u.weight", i + 2);
  if (!s || s->n_dims != 2 || (s->type != ENG_TYPE_F32 && s->type != ENG_TYPE_F16 && s->type != ENG_TYPE_BF16))
    eng_convert_fail (c, ENG_ERR_NOT_FOUND, dense_folders[i], "%s has no matrix linear.weight of F32, F16 or BF16",
                      dense_folders[i]);
  else
    add_one (c, name, s, 0);
}

void
eng_convert_plan_tensors (EngConvert *c)
{
  char before[MAX_NAME], to_before[32];
  if (c->status != ENG_OK)
    return;
  c->used = eng_arena_alloc_array (&c->arena, eng_safetensors_get_n_tensors (c->weights) + 1,
                                   sizeof *c->used);
  if (!c->used)
    eng_convert_fail (c, ENG_ERR_NO_MEMORY, NULL, "out of memory");
  else
    find_prefix (c);
  if (c->status != ENG_OK)
    return;
  apply_rules (c, c->arch->globals, c->prefix, "");
  /* The head stands outside of the prefix. A tied one is the embedding again. */
  static const EngConvertRule head = { "lm_head.weight", "output.weight", ENG_RULE_VOCAB };
  static const char *const head_prefixes[] = { "", "language_model.", "model." };
  bool tied = eng_convert_get_bool (c, "tie_word_embeddings", strncmp (c->arch->name, "gemma", 5) == 0);
  eng_json_get_bool (c->root_config, "tie_word_embeddings", &tied);
  for (size_t i = 0; i < sizeof head_prefixes / sizeof head_prefixes[0]; i++)
    if (tied)
      {
        snprintf (before, sizeof before, "%slm_head.weight", head_prefixes[i]);
        find (c, before);
      }
    else
      apply_rule (c, &head, head_prefixes[i], "");
  for (uint32_t i = 0; i < c->n_layers && c->status == ENG_OK; i++)
    {
      snprintf (before, sizeof before, "%s%s%u.", c->prefix, c->arch->layers, i);
      snprintf (to_before, sizeof to_before, "blk.%u.", i);
      apply_rules (c, c->arch->rules, before, to_before);
    }
  check_all_used (c);
  for (uint32_t i = 0; i < 2 && c->status == ENG_OK; i++)
    if (c->dense[i])
      add_dense (c, i);
}
