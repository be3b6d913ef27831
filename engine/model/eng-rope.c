/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding: every scaling folded into one table of angles a position.
 *
 * Plain:    f_i = base^(-2i / n_rot).
 * Linear:   f_i / factor (position interpolation, arXiv:2306.15595).
 * Llama 3:  f_i / rope_freqs_i; the file's tensor holds the factors that its converter worked out.
 * LongRoPE: f_i / long_i or short_i (arXiv:2402.13753), by whether the context is longer than the
 *           one trained at first; cos and sin times attn_factor.
 * YaRN:     a ramp between f_i and f_i / factor over the dimensions that turn between beta_slow and
 *           beta_fast times within the original context; cos and sin times
 *           (0.1 ln factor + 1) * attn_factor (arXiv:2309.00071, equations 17 to 23). The ramp's ends are
 *           whole dimensions but in gpt-oss (openai/gpt-oss, torch/model.py, RotaryEmbedding). Where the file has
 *           yarn_log_multiplier (deepseek2), the scores carry that factor instead and cos and sin stay. */
#include <math.h>
#include <string.h>

#include "eng-builder.h"

/* Dimension pair (as a fraction) that turns @n_turns times within @n_ctx positions. */
static double
dimension_of_turns (double n_turns, uint32_t n_rot, double n_ctx, double base)
{
  return n_rot * log (n_ctx / (n_turns * 2.0 * M_PI)) / (2.0 * log (base));
}

static void
apply_yarn (EngBuilder *b, float *f, uint32_t n_rot, double base, double factor, float *scale)
{
  uint32_t n_ctx = eng_builder_get_u32 (b, "rope.scaling.original_context_length",
                                        b->h.n_ctx_train, 1, ENG_MAX_CONTEXT);
  double fast = eng_builder_get_f32 (b, "rope.scaling.yarn_beta_fast", 32.0f, 1e-3f, 1e6f);
  double slow = eng_builder_get_f32 (b, "rope.scaling.yarn_beta_slow", 1.0f, 1e-3f, 1e6f);
  double extrapolate = eng_builder_get_f32 (b, "rope.scaling.yarn_ext_factor", 1.0f, 0.0f, 1.0f);
  double low = dimension_of_turns (fast, n_rot, n_ctx, base);
  double high = dimension_of_turns (slow, n_rot, n_ctx, base);
  bool whole = strcmp (b->arch, "gpt-oss") != 0;
  low = fmax (0.0, whole ? floor (low) : low);
  high = fmin (n_rot - 1.0, whole ? ceil (high) : high);
  for (uint32_t i = 0; i < n_rot / 2; i++)
    {
      double ramp = (i - low) / fmax (0.001, high - low);
      double keep = (1.0 - fmin (1.0, fmax (0.0, ramp))) * extrapolate;
      f[i] = (float) (f[i] / factor * (1.0 - keep) + f[i] * keep);
    }
  if (factor > 1.0 && extrapolate != 0.0
      && eng_builder_get_f32 (b, "rope.scaling.yarn_log_multiplier", 0.0f, 0.0f, 10.0f) == 0.0f)
    *scale *= (float) (1.0 + 0.1 * log (factor));
}

static void
divide (float *f, const float *factors, uint32_t n, EngBuilder *b, const char *name)
{
  for (uint32_t i = 0; i < n; i++)
    {
      if (!(factors[i] > 0.0f))
        {
          eng_builder_contradict (b, name, "factor %u is %g, not above 0", i, factors[i]);
          return;
        }
      f[i] /= factors[i];
    }
}

/* Returns false when the file has no LongRoPE tables. */
static bool
apply_long_rope (EngBuilder *b, float *f, uint32_t n_rot, float *scale)
{
  if (!eng_builder_has_tensor (b, ENG_LAYER_NONE, "rope_factors_long.weight"))
    return false;
  uint32_t n_first = eng_builder_get_u32 (b, "rope.scaling.original_context_length",
                                          b->h.n_ctx_train, 1, ENG_MAX_CONTEXT);
  uint64_t n_ctx = b->n_ctx ? b->n_ctx : b->h.n_ctx_train;
  const char *name = n_ctx > n_first ? "rope_factors_long.weight" : "rope_factors_short.weight";
  const float *factors = eng_builder_read_f32 (b, ENG_LAYER_NONE, name, n_rot / 2);
  if (factors)
    divide (f, factors, n_rot / 2, b, name);
  else
    eng_builder_contradict (b, name, "the file lacks the tensor '%s'", name);
  *scale *= eng_builder_get_f32 (b, "rope.scaling.attn_factor", 1.0f, 1e-3f, 1e3f);
  return true;
}

static void
apply_scaling (EngBuilder *b, float *f, uint32_t n_rot, float base, float *scale)
{
  if (apply_long_rope (b, f, n_rot, scale))
    return;
  const float *freqs = eng_builder_read_f32 (b, ENG_LAYER_NONE, "rope_freqs.weight", n_rot / 2);
  if (freqs)
    divide (f, freqs, n_rot / 2, b, "rope_freqs.weight");
  /* Some files say 0 where they mean "none". */
  float factor = eng_builder_get_f32 (b, "rope.scaling.factor", 0.0f, 0.0f, 1e6f);
  if (factor == 0.0f)
    factor = eng_builder_get_f32 (b, "rope.scale_linear", 0.0f, 0.0f, 1e6f);
  if (factor == 0.0f)
    factor = 1.0f;
  if (eng_builder_key_is (b, "rope.scaling.type", "yarn"))
    {
      apply_yarn (b, f, n_rot, base, factor, scale);
      *scale *= eng_builder_get_f32 (b, "rope.scaling.attn_factor", 1.0f, 1e-3f, 1e3f);
    }
  else if (eng_builder_key_is (b, "rope.scaling.type", "linear")
           || !eng_builder_has (b, "rope.scaling.type"))
    {
      for (uint32_t i = 0; i < n_rot / 2; i++)
        f[i] /= factor;
    }
  else if (!eng_builder_key_is (b, "rope.scaling.type", "none")
           && !eng_builder_key_is (b, "rope.scaling.type", "llama3")
           && !eng_builder_key_is (b, "rope.scaling.type", "longrope"))
    eng_builder_refuse (b, "rope.scaling.type", "an unknown kind of RoPE scaling");
}

/* Index of the table equal to @f, or a new one. */
static uint32_t
add_table (EngBuilder *b, const float *f, uint32_t n)
{
  for (uint32_t i = 0; i < b->n_tables; i++)
    if (b->table_lengths[i] == n && memcmp (b->tables[i], f, n * sizeof *f) == 0)
      return i;
  if (b->n_tables == b->cap_tables)
    {
      uint32_t wanted = b->cap_tables ? b->cap_tables * 2 : 4;
      const float **tables = eng_arena_alloc_array (b->arena, wanted, sizeof *tables);
      uint32_t *lengths = eng_arena_alloc_array (b->arena, wanted, sizeof *lengths);
      if (!tables || !lengths)
        {
          b->status = eng_error_set (b->error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                                     "no memory for the model's program");
          return 0;
        }
      if (b->n_tables)
        {
          memcpy (tables, b->tables, b->n_tables * sizeof *tables);
          memcpy (lengths, b->table_lengths, b->n_tables * sizeof *lengths);
        }
      b->tables = tables;
      b->table_lengths = lengths;
      b->cap_tables = wanted;
    }
  b->tables[b->n_tables] = f;
  b->table_lengths[b->n_tables] = n;
  return b->n_tables++;
}

EngRope
eng_builder_rope (EngBuilder *b, EngRopeKind kind, float base, bool scaled)
{
  EngRope rope = { .kind = kind, .n_rot = b->h.n_rot, .scale = 1.0f };
  if (b->status != ENG_OK || kind == ENG_ROPE_NONE)
    return rope;
  uint32_t n = rope.n_rot / 2;
  float *f = eng_arena_alloc_array (b->arena, n, sizeof *f);
  if (!f)
    {
      b->status = eng_error_set (b->error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                                 "no memory for the model's program");
      return rope;
    }
  for (uint32_t i = 0; i < n; i++)
    f[i] = (float) pow (base, -2.0 * i / rope.n_rot);
  if (scaled)
    apply_scaling (b, f, rope.n_rot, base, &rope.scale);
  if (b->status == ENG_OK)
    rope.i_table = add_table (b, f, n);
  return rope;
}
