/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing: of each matrix the trials on the lower convex hull of (bytes, error) are levels, the step from one to the
 * next has an error saved per byte that only falls within a matrix, so taking all matrices' steps in that order is best
 * wherever the bytes run out between two steps. One matrix can be a large part of a model (an embedding), and its step
 * then may not fit where others still do: all its trials are tried in turn, the others going by steps. */
#include "eng-type-plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-checked.h"
#include "eng-error.h"
#include "eng-mix.h"
#include "eng-quant.h"

#define SAMPLE_FLOATS ((uint64_t) 48 << 10) /* of a matrix: its error within about 2 % */
#define MIN_ROWS 4u
#define N_TYPES 14u
#define BATCH_TENSORS 8u /* a thread between two looks at the cancel flag */

static const EngType types[N_TYPES] = {
  ENG_TYPE_Q2_K,   ENG_TYPE_Q3_K, ENG_TYPE_IQ4_XS, ENG_TYPE_IQ4_NL, ENG_TYPE_Q4_0, ENG_TYPE_Q4_K, ENG_TYPE_Q4_1,
  ENG_TYPE_Q5_0,   ENG_TYPE_Q5_K, ENG_TYPE_Q5_1,   ENG_TYPE_Q6_K,   ENG_TYPE_Q8_0, ENG_TYPE_F16,  ENG_TYPE_BF16,
};

typedef struct
{
  EngType type;
  uint64_t bytes; /* padded */
  double error;   /* as it counts */
} Trial;

typedef struct
{
  EngTransferTensor *tensor;
  Trial trials[N_TYPES + 1]; /* rising bytes, falling error */
  uint32_t n_trials;
  uint8_t levels[N_TYPES + 1]; /* trials on the hull */
  uint32_t n_levels;
} Matrix;

typedef struct
{
  double gain; /* error saved per byte */
  uint32_t matrix, level; /* to this one */
} Step;

struct EngTypePlan
{
  EngArena arena;
  Matrix *matrices;
  uint32_t n_matrices, largest; /* the one with most bytes */
  Step *steps;
  uint32_t n_steps;
  uint64_t other_bytes; /* header and fixed tensors */
  uint8_t *chosen, *best; /* [n_matrices] trial */
  bool *is_full;
};

/* ---- Trying ------------------------------------------------------------------------------------- */

typedef struct
{
  EngTypePlan *plan;
  const EngTransferOptions *options;
  uint32_t first, alignment;
  double n_layers;
  bool has_output;
  float **scratch; /* one a thread: a row, the row decoded; then the row encoded */
  uint64_t max_cols;
} Trying;

static uint64_t
count_rows (const EngTransferTensor *t)
{
  uint64_t n = 1;
  for (uint32_t d = 1; d < t->n_dims; d++)
    n *= t->dims[d];
  return n;
}

static bool
padded_bytes (const EngTransferTensor *t, EngType type, uint32_t alignment, uint64_t *out)
{
  uint64_t bytes;
  return eng_type_row_bytes (type, t->dims[0], &bytes) && eng_checked_mul (bytes, count_rows (t), &bytes)
         && eng_checked_align (bytes, alignment, out);
}

/* Whether @type is worth a trial: no wider than what there is, and of floats the one that loses least. */
static bool
is_candidate (const EngTransferTensor *t, EngType type)
{
  EngType from = t->pieces->type;
  if (t->dims[0] % eng_type_get_info (type)->block_elements != 0)
    return false;
  if (type == ENG_TYPE_F16)
    return from == ENG_TYPE_F16 || from == ENG_TYPE_F32 || t->dims[0] % 32 != 0;
  if (type == ENG_TYPE_BF16)
    return from == ENG_TYPE_BF16;
  uint64_t there, made;
  return !eng_type_row_bytes (from, t->dims[0], &there) || !eng_type_row_bytes (type, t->dims[0], &made)
         || made <= there;
}

/* Adds a row's error and size; false where the type cannot hold it. */
static bool
add_error (const EngTransferTensor *t, EngType type, const float *importance, const float *x, float *y, void *encoded,
           double sums[2])
{
  uint64_t n = t->dims[0];
  double error = 0.0, energy = 0.0;
  if (eng_quantize_rows (type, x, encoded, 1, n, importance, NULL) != ENG_OK)
    return false;
  eng_dequantize_row (type, encoded, y, n);
  for (uint64_t i = 0; i < n; i++)
    {
      double w = importance ? importance[i] : 1.0, e = (double) x[i] - y[i];
      error += w * e * e;
      energy += w * x[i] * x[i];
    }
  sums[0] += error;
  sums[1] += energy;
  return true;
}

/* KL of a matrix' error in a layer's mean matrix is about this over the number of layers. */
#define KL_OF_LAYERS 9.5

/* How much of the divergence a matrix' error makes, against the mean of a layer's matrices: each role of SmolLM2 135M and of Gemma 3
 * 270M (the head of its own: of SmolLM2 alone) was given noise of 0.5 % of its energy, and the mean of the two models' KL per
 * matrix taken. What reaches the logits undiminished counts by the number of layers. */
static double
get_weight (const Trying *trying, const char *name)
{
  static const struct
  {
    const char *part;
    double weight;
  } roles[] = { { ".attn_v.", 1.5 },   { ".attn_k.", 0.7 },   { ".attn_q.", 0.4 }, { ".attn_output.", 0.5 },
                { ".ffn_gate", 0.75 }, { ".ffn_up", 1.25 }, { ".ffn_down", 1.7 } };
  if (strcmp (name, "output.weight") == 0)
    return 2.0 * trying->n_layers;
  if (strcmp (name, "token_embd.weight") == 0)
    return (trying->has_output ? 0.45 : 2.2) * trying->n_layers;
  for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
    if (strstr (name, roles[i].part))
      return roles[i].weight;
  return 1.0;
}

static void
try_tensor (const Trying *trying, Matrix *m, uint32_t i_thread)
{
  const EngTransferTensor *t = m->tensor;
  uint64_t n_rows = count_rows (t), n = SAMPLE_FLOATS / t->dims[0];
  float *x = trying->scratch[i_thread], *y = x + trying->max_cols;
  double sums[N_TYPES][2] = { { 0 } };
  bool fits[N_TYPES];
  n = n < MIN_ROWS ? MIN_ROWS : n;
  n = n > n_rows ? n_rows : n;
  for (uint32_t k = 0; k < N_TYPES; k++)
    fits[k] = is_candidate (t, types[k]);
  for (uint64_t i = 0; i < n; i++)
    {
      uint64_t row = n_rows / n * i + n_rows % n * i / n;
      const float *importance = eng_transfer_get_importance (t, row);
      eng_transfer_decode_row (t, row, x);
      for (uint32_t k = 0; k < N_TYPES; k++)
        fits[k] = fits[k] && add_error (t, types[k], importance, x, y, y + trying->max_cols, sums[k]);
    }
  double weight = get_weight (trying, t->name) * KL_OF_LAYERS / trying->n_layers;
  for (uint32_t k = 0; k < N_TYPES; k++)
    {
      Trial trial = { .type = types[k], .error = sums[k][1] > 0.0 ? sums[k][0] / sums[k][1] : 0.0 };
      if (!fits[k] || !padded_bytes (t, types[k], trying->alignment, &trial.bytes))
        continue;
      trial.error *= weight;
      m->trials[m->n_trials++] = trial;
    }
  /* What is there already costs no error. */
  Trial same = { .type = t->pieces->type };
  if (eng_transfer_is_unchanged (t) && eng_type_get_info (same.type)->block_elements > 1
      && padded_bytes (t, same.type, trying->alignment, &same.bytes))
    m->trials[m->n_trials++] = same;
}

static void
try_cb (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  const Trying *trying = data;
  try_tensor (trying, &trying->plan->matrices[trying->first + i_chunk], i_thread);
}

static int
compare_trials (const void *a, const void *b)
{
  const Trial *x = a, *y = b;
  if (x->bytes != y->bytes)
    return x->bytes < y->bytes ? -1 : 1;
  return (x->error > y->error) - (x->error < y->error);
}

/* Leaves the trials that nothing smaller beats, and finds those on the hull. */
static void
make_levels (Matrix *m)
{
  uint32_t n = 0;
  qsort (m->trials, m->n_trials, sizeof *m->trials, compare_trials);
  for (uint32_t i = 0; i < m->n_trials; i++)
    if (n == 0 || m->trials[i].error < m->trials[n - 1].error)
      m->trials[n++] = m->trials[i];
  m->n_trials = n;
  for (uint32_t i = 0; i < n; i++)
    {
      while (m->n_levels >= 2)
        {
          const Trial *a = &m->trials[m->levels[m->n_levels - 2]], *b = &m->trials[m->levels[m->n_levels - 1]];
          const Trial *c = &m->trials[i];
          double to_b = (a->error - b->error) / (double) (b->bytes - a->bytes);
          double to_c = (b->error - c->error) / (double) (c->bytes - b->bytes);
          if (to_b > to_c)
            break;
          m->n_levels--;
        }
      m->levels[m->n_levels++] = (uint8_t) i;
    }
}

static EngStatus
no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "out of memory while choosing types");
}

static EngStatus
try_all (Trying *trying, EngArena *arena, EngError *error)
{
  EngTypePlan *plan = trying->plan;
  const EngTransferOptions *options = trying->options;
  uint32_t n_threads = options->pool ? eng_thread_pool_get_n_threads (options->pool) : 1;
  uint64_t n_floats;
  if (trying->max_cols > ENG_TRANSFER_MAX_ROW_BYTES / sizeof (float))
    return eng_error_set (error, ENG_ERR_LIMIT, NULL, ENG_OFFSET_NONE, "rows of %llu numbers are over the limit",
                          (unsigned long long) trying->max_cols);
  trying->scratch = eng_arena_alloc_array (arena, n_threads, sizeof *trying->scratch);
  for (uint32_t k = 0; trying->scratch && k < n_threads; k++)
    if (!eng_checked_mul (trying->max_cols, 3, &n_floats)
        || !(trying->scratch[k] = eng_arena_alloc_array (arena, n_floats, sizeof (float))))
      return no_memory (error);
  if (!trying->scratch)
    return no_memory (error);
  for (uint32_t i = 0; i < plan->n_matrices; i += BATCH_TENSORS * n_threads)
    {
      uint32_t left = plan->n_matrices - i, now = BATCH_TENSORS * n_threads;
      trying->first = i;
      eng_thread_pool_run (options->pool, left < now ? left : now, try_cb, trying);
      if (options->progress)
        options->progress (options->progress_data, left < now ? plan->n_matrices : i + now, plan->n_matrices);
      if (options->cancel && atomic_load (options->cancel))
        return eng_error_set (error, ENG_ERR_CANCELLED, NULL, ENG_OFFSET_NONE, "cancelled");
    }
  return ENG_OK;
}

/* ---- The plan ----------------------------------------------------------------------------------- */

static int
compare_steps (const void *a, const void *b)
{
  const Step *x = a, *y = b;
  if (x->gain != y->gain)
    return x->gain > y->gain ? -1 : 1;
  if (x->matrix != y->matrix)
    return x->matrix < y->matrix ? -1 : 1;
  return (x->level > y->level) - (x->level < y->level);
}

static void
make_steps (EngTypePlan *plan)
{
  for (uint32_t i = 0; i < plan->n_matrices; i++)
    {
      const Matrix *m = &plan->matrices[i];
      for (uint32_t k = 1; k < m->n_levels && i != plan->largest; k++)
        {
          const Trial *a = &m->trials[m->levels[k - 1]], *b = &m->trials[m->levels[k]];
          plan->steps[plan->n_steps++] = (Step) { (a->error - b->error) / (double) (b->bytes - a->bytes), i, k };
        }
    }
  qsort (plan->steps, plan->n_steps, sizeof *plan->steps, compare_steps);
}

static EngStatus
prepare (EngTypePlan *plan, Trying *trying, EngTransferTensor *tensors, const bool *is_fixed, size_t n,
         EngError *error)
{
  plan->matrices = eng_arena_alloc_array (&plan->arena, n + 1, sizeof *plan->matrices);
  plan->steps = eng_arena_alloc_array (&plan->arena, (n + 1) * (N_TYPES + 1), sizeof *plan->steps);
  plan->chosen = eng_arena_alloc_array (&plan->arena, n + 1, 1);
  plan->best = eng_arena_alloc_array (&plan->arena, n + 1, 1);
  plan->is_full = eng_arena_alloc_array (&plan->arena, n + 1, sizeof *plan->is_full);
  if (!plan->matrices || !plan->steps || !plan->chosen || !plan->best || !plan->is_full)
    return no_memory (error);
  uint32_t n_layers = 0;
  for (size_t i = 0; i < n; i++)
    {
      EngTransferTensor *t = &tensors[i];
      uint64_t bytes;
      trying->has_output |= strcmp (t->name, "output.weight") == 0;
      if (!is_fixed[i])
        {
          plan->matrices[plan->n_matrices++].tensor = t;
          trying->max_cols = t->dims[0] > trying->max_cols ? t->dims[0] : trying->max_cols;
        }
      else if (!padded_bytes (t, t->type, trying->alignment, &bytes)
               || !eng_checked_add (plan->other_bytes, bytes, &plan->other_bytes))
        return eng_error_set (error, ENG_ERR_ARGUMENT, t->name, ENG_OFFSET_NONE, "the file would be too large");
      uint32_t layer = strncmp (t->name, "blk.", 4) == 0 ? (uint32_t) strtoul (t->name + 4, NULL, 10) + 1 : 0;
      n_layers = layer > n_layers ? layer : n_layers;
    }
  trying->n_layers = n_layers > 1 ? n_layers : 1;
  return ENG_OK;
}

static EngStatus
check_sizes (EngTypePlan *plan, EngError *error)
{
  uint64_t sum = plan->other_bytes;
  for (uint32_t i = 0; i < plan->n_matrices; i++)
    {
      const Matrix *m = &plan->matrices[i], *largest = &plan->matrices[plan->largest];
      if (m->n_trials == 0)
        return eng_error_set (error, ENG_ERR_FORMAT, m->tensor->name, ENG_OFFSET_NONE,
                              "tensor %s has numbers that no type can hold; the file may be damaged", m->tensor->name);
      if (!eng_checked_add (sum, m->trials[m->n_trials - 1].bytes, &sum))
        return eng_error_set (error, ENG_ERR_ARGUMENT, m->tensor->name, ENG_OFFSET_NONE, "the file would be too large");
      if (m->trials[m->n_trials - 1].bytes > largest->trials[largest->n_trials - 1].bytes)
        plan->largest = i;
    }
  return ENG_OK;
}

EngStatus
eng_type_plan_new (EngTransferTensor *tensors, const bool *is_fixed, size_t n, uint64_t other_bytes, uint32_t alignment,
                   const EngTransferOptions *options, EngTypePlan **out, EngError *error)
{
  EngTypePlan *plan = eng_alloc (sizeof *plan);
  EngArena arena = { 0 };
  *out = NULL;
  if (!plan)
    return no_memory (error);
  plan->other_bytes = other_bytes;
  Trying trying = { .plan = plan, .options = options, .alignment = alignment };
  EngStatus status = prepare (plan, &trying, tensors, is_fixed, n, error);
  if (status == ENG_OK)
    status = try_all (&trying, &arena, error);
  eng_arena_clear (&arena);
  for (uint32_t i = 0; i < plan->n_matrices && status == ENG_OK; i++)
    make_levels (&plan->matrices[i]);
  if (status == ENG_OK)
    status = check_sizes (plan, error);
  if (status == ENG_OK)
    make_steps (plan);
  else
    eng_type_plan_free (&plan);
  *out = plan;
  return status;
}

void
eng_type_plan_free (EngTypePlan **plan)
{
  if (!*plan)
    return;
  eng_arena_clear (&(*plan)->arena);
  eng_free (*plan);
  *plan = NULL;
}

uint64_t
eng_type_plan_get_smallest (const EngTypePlan *plan)
{
  uint64_t sum = plan->other_bytes;
  for (uint32_t i = 0; i < plan->n_matrices; i++)
    sum += plan->matrices[i].trials[0].bytes;
  return sum;
}

uint64_t
eng_type_plan_get_largest (const EngTypePlan *plan)
{
  uint64_t sum = plan->other_bytes;
  for (uint32_t i = 0; i < plan->n_matrices; i++)
    sum += plan->matrices[i].trials[plan->matrices[i].n_trials - 1].bytes;
  return sum;
}

/* The best in @max_bytes with the largest matrix at its trial @largest; false if that alone is too much. */
static bool
fill (EngTypePlan *plan, uint32_t largest, uint64_t max_bytes, EngTypeChoice *choice)
{
  *choice = (EngTypeChoice) { .bytes = plan->other_bytes };
  for (uint32_t i = 0; i < plan->n_matrices; i++)
    {
      const Matrix *m = &plan->matrices[i];
      plan->chosen[i] = i == plan->largest ? (uint8_t) largest : m->levels[0];
      plan->is_full[i] = false;
      choice->bytes += m->trials[plan->chosen[i]].bytes;
      choice->error += m->trials[plan->chosen[i]].error;
    }
  if (choice->bytes > max_bytes)
    return false;
  for (uint32_t s = 0; s < plan->n_steps; s++)
    {
      const Step *step = &plan->steps[s];
      const Matrix *m = &plan->matrices[step->matrix];
      const Trial *from = &m->trials[m->levels[step->level - 1]], *to = &m->trials[m->levels[step->level]];
      if (plan->is_full[step->matrix] || to->bytes - from->bytes > max_bytes - choice->bytes)
        {
          plan->is_full[step->matrix] = true;
          continue;
        }
      plan->chosen[step->matrix] = m->levels[step->level];
      choice->bytes += to->bytes - from->bytes;
      choice->error -= from->error - to->error;
    }
  return true;
}

EngTypeChoice
eng_type_plan_choose (EngTypePlan *plan, uint64_t max_bytes)
{
  EngTypeChoice best = { .bytes = plan->other_bytes, .error = INFINITY }, choice;
  uint32_t n = plan->n_matrices ? plan->matrices[plan->largest].n_trials : 0;
  for (uint32_t k = 0; k < n; k++)
    if (fill (plan, k, max_bytes, &choice) && choice.error < best.error)
      {
        best = choice;
        memcpy (plan->best, plan->chosen, plan->n_matrices);
      }
  for (uint32_t i = 0; i < plan->n_matrices; i++)
    plan->matrices[i].tensor->type = plan->matrices[i].trials[plan->best[i]].type;
  return best;
}
