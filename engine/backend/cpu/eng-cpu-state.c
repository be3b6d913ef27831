/* SPDX-License-Identifier: Apache-2.0 */
/* State: blocks of keys and values, activation buffers, scratch of each thread. */
#include "eng-cpu-private.h"

#include <string.h>
#include <sys/mman.h>

#include "eng-checked.h"

static EngStatus
no_memory (EngError *error, uint64_t bytes)
{
  return eng_error_set_numbers (error, ENG_ERR_NO_MEMORY, "context", bytes, 0,
                                "no memory for the context's state (%llu bytes)",
                                (unsigned long long) bytes);
}

static EngStatus
group_layout (const EngGroupDesc *desc, const EngStateOptions *options, uint32_t i_group,
              EngCpuGroup *group, EngError *error)
{
  uint64_t total;
  group->n_blocks = i_group < 8 ? options->n_blocks[i_group] : 0;
  if (desc->kind == ENG_STATE_RECURRENT)
    {
      group->layer_bytes = ((uint64_t) desc->n_floats * sizeof (float) + 63) / 64 * 64;
      if (!eng_checked_mul (group->layer_bytes, desc->n_layers, &group->block_bytes)
          || !eng_checked_mul (group->block_bytes, group->n_blocks, &total) || total > INT64_MAX)
        return no_memory (error, UINT64_MAX);
      return ENG_OK;
    }
  if (eng_cpu_kv_bytes (options->k_type, 1) == 0 || eng_cpu_kv_bytes (options->v_type, 1) == 0)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "kv", ENG_OFFSET_NONE,
                          "keys of %s and values of %s do not run on this device; F16, F32 and Q8_0 do",
                          eng_type_get_name (options->k_type), eng_type_get_name (options->v_type));
  /* Latents are both keys and values, and small as they are. */
  group->k_type = desc->v_width == 0 && options->k_type == ENG_TYPE_Q8_0 ? ENG_TYPE_F16 : options->k_type;
  group->v_type = options->v_type;
  group->k_head_bytes = eng_cpu_kv_bytes (group->k_type, desc->k_width);
  group->v_head_bytes = eng_cpu_kv_bytes (group->v_type, desc->v_width);
  uint64_t head = group->k_head_bytes + group->v_head_bytes;
  if (!eng_checked_mul (head, desc->n_kv_head, &group->layer_bytes)
      || !eng_checked_mul (group->layer_bytes, desc->n_layers, &group->block_bytes)
      || !eng_checked_mul (group->block_bytes, group->n_blocks, &total) || total > INT64_MAX)
    return no_memory (error, UINT64_MAX);
  return ENG_OK;
}

static uint64_t
scratch_bytes (const EngProgram *program)
{
  uint64_t widest = 0;
  for (uint32_t i = 0; i < program->n_weights; i++)
    {
      const EngWeightDesc *w = &program->weights[i];
      uint64_t n = w->use == ENG_WEIGHT_TURNED ? w->n_rows : w->n_cols;
      widest = n > widest ? n : widest;
    }
  uint64_t tile = (uint64_t) ENG_CPU_PARTS * ENG_CPU_PART_FLOATS;
  return (tile + ENG_FLOAT_SCRATCH (widest) + 16) * sizeof (float);
}

/* What the expert steps need at most. */
typedef struct
{
  uint32_t n_used, n_expert, n_ff, src, dst;
} ExpertShape;

static ExpertShape
expert_shape (const EngProgram *program)
{
  ExpertShape most = { 0 };
  for (uint32_t i = 0; i < program->n_steps; i++)
    {
      const EngStep *s = &program->steps[i];
      if (s->kind != ENG_STEP_EXPERTS || s->w[0] >= program->n_weights)
        continue;
      ExpertShape a = { s->u.experts.n_used, s->u.experts.n_expert,
                        (uint32_t) program->weights[s->w[0]].n_rows, program->buffers[s->src].width,
                        program->buffers[s->dst].width };
      most.n_used = a.n_used > most.n_used ? a.n_used : most.n_used;
      most.n_expert = a.n_expert > most.n_expert ? a.n_expert : most.n_expert;
      most.n_ff = a.n_ff > most.n_ff ? a.n_ff : most.n_ff;
      most.src = a.src > most.src ? a.src : most.src;
      most.dst = a.dst > most.dst ? a.dst : most.dst;
    }
  return most;
}

static uint64_t
expert_bytes (const EngProgram *program, uint64_t rows, bool wants_q16)
{
  ExpertShape e = expert_shape (program);
  uint64_t slots = rows * e.n_used;
  return eng_cpu_quant_bytes (slots, e.src, wants_q16) + eng_cpu_quant_bytes (slots, e.n_ff, wants_q16)
         + slots * (((uint64_t) e.n_ff + e.dst) * sizeof (float) + 5 * sizeof (uint32_t));
}

/* Sums of split attention: every thread's chunks, a head's values, maximum and sum each. */
static uint64_t
partial_floats (const EngProgram *program, uint32_t n_threads)
{
  uint64_t most = 0;
  for (uint32_t i = 0; i < program->n_steps; i++)
    {
      const EngStep *s = &program->steps[i];
      if (s->kind != ENG_STEP_ATTENTION)
        continue;
      EngCpuQueryTile tile = eng_cpu_query_tile (program, s);
      uint64_t n = (uint64_t) ENG_CPU_SPLIT_CHUNKS * n_threads * tile.n_rows * tile.n_heads
                   * (s->u.attention.v_width + 2u);
      most = n > most ? n : most;
    }
  return most;
}

/* --- quantized rows --- */

uint64_t
eng_cpu_quant_bytes (uint64_t rows, uint32_t width, bool wants_q16)
{
  return rows * width * (wants_q16 ? 3 : 1)
         + rows * (width / 32) * ENG_QUANT_META * sizeof (float) + 3 * 64;
}

EngStatus
eng_cpu_alloc_quant (EngCpuQuant *quant, uint64_t rows, uint32_t width, bool wants_q16, uint64_t *sum,
                     EngError *error)
{
  width = width / 32 * 32;
  quant->width = width;
  quant->q = eng_alloc_aligned (64, rows * width + 64);
  quant->q16 = wants_q16 ? eng_alloc_aligned (64, rows * width * 2 + 64) : NULL;
  quant->meta = eng_alloc_aligned (64, rows * (width / 32) * ENG_QUANT_META * sizeof (float) + 64);
  uint64_t bytes = eng_cpu_quant_bytes (rows, width, wants_q16);
  if (quant->q == NULL || quant->meta == NULL || (wants_q16 && quant->q16 == NULL))
    return no_memory (error, bytes);
  *sum += bytes;
  return ENG_OK;
}

void
eng_cpu_free_quant (EngCpuQuant *quant)
{
  eng_free_aligned (quant->q);
  eng_free_aligned (quant->q16);
  eng_free_aligned (quant->meta);
  eng_free_aligned (quant->words.q);
  eng_free_aligned (quant->words.scale);
  eng_free_aligned (quant->tiles.high);
  eng_free_aligned (quant->tiles.low);
}

/* --- rows as tiles --- */

static uint64_t
tile_bytes (uint64_t rows, uint32_t width, bool low)
{
  return (rows + ENG_TILE_ROWS - 1) / ENG_TILE_ROWS * ENG_TILE_STRIDE (width) * sizeof (uint16_t) * (low ? 2 : 1);
}

EngStatus
eng_cpu_alloc_tiles (EngTileRows *tiles, uint64_t rows, uint32_t width, bool low, uint64_t *sum, EngError *error)
{
  uint64_t bytes = tile_bytes (rows, width, false);
  tiles->high = eng_alloc_aligned (64, bytes);
  tiles->low = low ? eng_alloc_aligned (64, bytes) : NULL;
  if (tiles->high == NULL || (low && tiles->low == NULL))
    return no_memory (error, tile_bytes (rows, width, low));
  *sum += tile_bytes (rows, width, low);
  return ENG_OK;
}

/* Of @rows, those that are made bytes: more are made tiles instead. */
static uint64_t
byte_rows (uint32_t tiles_from, uint64_t rows)
{
  return tiles_from != 0 && rows >= tiles_from ? tiles_from - 1 : rows;
}

static bool
has_halves (const EngProgram *program)
{
  for (uint32_t i = 0; i < program->n_weights; i++)
    if (program->weights[i].type == ENG_TYPE_F16 || program->weights[i].type == ENG_TYPE_BF16)
      return true;
  return false;
}

/* All buffers and the rows that want outputs, as bytes and as tiles. */
static uint64_t
all_quant_bytes (const EngKernels *k, const EngProgram *program, const EngStateOptions *options)
{
  bool low = has_halves (program);
  uint64_t width = 0, bytes = 0;
  for (uint32_t i = 0; i < program->n_buffers; i++)
    {
      width += program->buffers[i].width;
      if (eng_cpu_takes_tiles (k, options->max_rows))
        bytes += tile_bytes (options->max_rows, program->buffers[i].width, low);
    }
  if (eng_cpu_takes_tiles (k, options->max_outputs))
    bytes += tile_bytes (options->max_outputs, program->n_embd, low);
  return bytes + eng_cpu_quant_bytes (byte_rows (k->tiles_from, options->max_rows), (uint32_t) width, k->wants_q16)
         + eng_cpu_quant_bytes (byte_rows (k->tiles_from, options->max_outputs), program->n_embd, k->wants_q16);
}

static uint64_t
words_bytes (uint64_t rows, uint32_t width)
{
  uint64_t blocks = rows * ((width + ENG_WORD_BLOCK - 1) / ENG_WORD_BLOCK);
  return blocks * (ENG_WORD_BLOCK * sizeof (int16_t) + sizeof (float));
}

static EngStatus
alloc_words (EngWordTile *words, uint64_t rows, uint32_t width, uint64_t *sum, EngError *error)
{
  uint64_t blocks = rows * ((width + ENG_WORD_BLOCK - 1) / ENG_WORD_BLOCK);
  words->q = eng_alloc_aligned (64, blocks * ENG_WORD_BLOCK * sizeof (int16_t));
  words->scale = eng_alloc_aligned (64, blocks * sizeof (float));
  if (words->q == NULL || words->scale == NULL)
    return no_memory (error, words_bytes (rows, width));
  *sum += words_bytes (rows, width);
  return ENG_OK;
}

/* All buffers as words, where products of some weight may read them so. */
static uint64_t
all_words_bytes (const EngKernels *k, const EngProgram *program, uint64_t rows)
{
  uint64_t bytes = 0;
  bool any = false;
  for (uint32_t i = 0; i < program->n_weights && !any; i++)
    any = rows >= eng_cpu_words_from (k, program->weights[i].type);
  for (uint32_t i = 0; i < program->n_buffers && any; i++)
    bytes += words_bytes (rows, program->buffers[i].width);
  return bytes;
}

EngStatus
eng_cpu_plan_state (EngDevice *device, const EngProgram *program, const EngStateOptions *options,
                    EngMemoryPlan *plan, EngError *error)
{
  for (uint32_t i = 0; i < program->n_groups; i++)
    {
      EngCpuGroup group = { 0 };
      EngStatus status = group_layout (&program->groups[i], options, i, &group, error);
      if (status != ENG_OK)
        return status;
      plan->state_bytes += group.block_bytes * group.n_blocks;
    }
  uint32_t n_threads = eng_thread_pool_get_n_threads (device->pool);
  bool wants_q16 = device->kernels.wants_q16;
  uint64_t floats = 0;
  for (uint32_t i = 0; i < program->n_buffers; i++)
    floats += program->buffers[i].width + 16;
  for (uint32_t i = 0; i < program->n_rope_tables; i++)
    floats += 2 * (uint64_t) program->rope_table_lengths[i];
  plan->scratch_bytes += floats * options->max_rows * sizeof (float)
                         + scratch_bytes (program) * n_threads
                         + partial_floats (program, n_threads) * sizeof (float)
                         + all_quant_bytes (&device->kernels, program, options)
                         + all_words_bytes (&device->kernels, program, options->max_rows)
                         + expert_bytes (program, options->max_rows, wants_q16);
  return ENG_OK;
}

static EngStatus
alloc_floats (float **out, uint64_t n, uint64_t *sum, EngError *error)
{
  uint64_t bytes;
  if (!eng_checked_mul (n, sizeof (float), &bytes) || bytes > INT64_MAX)
    return no_memory (error, UINT64_MAX);
  *out = eng_alloc_aligned (64, bytes + 64);
  if (*out == NULL)
    return no_memory (error, bytes);
  *sum += bytes + 64;
  return ENG_OK;
}

/* Zero pages from the system: a block costs memory only when it is first written. */
static EngStatus
alloc_group (EngCpuGroup *group, EngError *error)
{
  uint64_t bytes = group->block_bytes * group->n_blocks;
  if (bytes == 0)
    return ENG_OK;
  void *data = mmap (NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                     -1, 0);
  if (data == MAP_FAILED)
    return no_memory (error, bytes);
  madvise (data, bytes, MADV_HUGEPAGE);
  group->data = data;
  return ENG_OK;
}

/* Rows for the output product are gathered, so they have tiles of their own. */
static EngStatus
alloc_outputs (EngState *state, EngError *error)
{
  const EngBound *bound = state->bound;
  const EngProgram *program = bound->program;
  uint32_t width = 0, rows = state->options.max_outputs;
  bool packed = false, halves = false;
  for (uint32_t i = 0; i < program->n_steps; i++)
    if (program->steps[i].kind == ENG_STEP_OUTPUT)
      {
        const EngCpuWeight *w = &bound->weights[program->steps[i].w[0]];
        width = program->buffers[program->steps[i].src].width;
        packed |= w->pack != ENG_PACK_NONE;
        halves |= w->pack == ENG_PACK_NONE && (w->type == ENG_TYPE_F16 || w->type == ENG_TYPE_BF16);
      }
  EngStatus status = ENG_OK;
  if (packed)
    status = eng_cpu_alloc_quant (&state->output_quant, byte_rows (bound->kernels->tiles_from, rows), width,
                                  bound->kernels->wants_q16, &state->scratch_bytes, error);
  if (status == ENG_OK && (packed || halves) && eng_cpu_takes_tiles (bound->kernels, rows))
    status = eng_cpu_alloc_tiles (&state->output_quant.tiles, rows, width, halves, &state->scratch_bytes, error);
  return status;
}

static EngStatus
alloc_experts (EngState *state, EngError *error)
{
  ExpertShape e = expert_shape (state->bound->program);
  bool wants_q16 = state->bound->kernels->wants_q16;
  uint64_t slots = (uint64_t) state->options.max_rows * e.n_used;
  EngStatus status = eng_cpu_alloc_quant (&state->experts.src, slots, e.src, wants_q16,
                                          &state->scratch_bytes, error);
  if (status == ENG_OK)
    status = eng_cpu_alloc_quant (&state->experts.hidden_quant, slots, e.n_ff, wants_q16,
                                  &state->scratch_bytes, error);
  if (status == ENG_OK)
    status = alloc_floats (&state->experts.hidden, slots * e.n_ff, &state->scratch_bytes, error);
  if (status == ENG_OK)
    status = alloc_floats (&state->experts.out, slots * e.dst, &state->scratch_bytes, error);
  state->experts.slots = eng_alloc_array (slots, sizeof (uint32_t));
  state->experts.slot_of = eng_alloc_array (slots, sizeof (uint32_t));
  state->experts.tiles = eng_alloc_array (slots, sizeof (EngCpuRowGroup));
  state->experts.tile_experts = eng_alloc_array (slots, sizeof (uint32_t));
  if (status == ENG_OK
      && (state->experts.slots == NULL || state->experts.slot_of == NULL
          || state->experts.tiles == NULL || state->experts.tile_experts == NULL))
    status = no_memory (error, slots * 5 * sizeof (uint32_t));
  return status;
}

static EngStatus
alloc_buffers (EngState *state, EngError *error)
{
  const EngProgram *program = state->bound->program;
  uint64_t rows = state->options.max_rows;
  EngStatus status = ENG_OK;
  for (uint32_t i = 0; i < program->n_buffers && status == ENG_OK; i++)
    status = alloc_floats (&state->buffers[i], rows * program->buffers[i].width,
                           &state->scratch_bytes, error);
  for (uint32_t i = 0; i < program->n_rope_tables && status == ENG_OK; i++)
    status = alloc_floats (&state->rope[i], rows * 2 * program->rope_table_lengths[i],
                           &state->scratch_bytes, error);
  bool wants_q16 = state->bound->kernels->wants_q16;
  for (uint32_t i = 0; i < program->n_buffers && status == ENG_OK; i++)
    if (state->bound->quantized[i])
      status = eng_cpu_alloc_quant (&state->quants[i], byte_rows (state->bound->kernels->tiles_from, rows),
                                    program->buffers[i].width, wants_q16, &state->scratch_bytes, error);
  for (uint32_t i = 0; i < program->n_buffers && status == ENG_OK; i++)
    if (rows >= state->bound->tiles_from[i])
      status = eng_cpu_alloc_tiles (&state->quants[i].tiles, rows, program->buffers[i].width, state->bound->tiles_low[i],
                                    &state->scratch_bytes, error);
  for (uint32_t i = 0; i < program->n_buffers && status == ENG_OK; i++)
    if (rows >= state->bound->words_from[i])
      status = alloc_words (&state->quants[i].words, rows, program->buffers[i].width, &state->scratch_bytes, error);
  uint32_t n_threads = eng_thread_pool_get_n_threads (state->bound->device->pool);
  state->partial_floats = partial_floats (program, n_threads);
  if (status == ENG_OK && state->partial_floats != 0)
    status = alloc_floats (&state->partial, state->partial_floats, &state->scratch_bytes, error);
  if (status == ENG_OK)
    status = alloc_outputs (state, error);
  if (status == ENG_OK && expert_shape (program).n_used != 0)
    status = alloc_experts (state, error);
  uint64_t bytes = scratch_bytes (program);
  for (uint32_t i = 0; i < n_threads && status == ENG_OK; i++)
    {
      float *data = NULL;
      status = alloc_floats (&data, bytes / sizeof (float), &state->scratch_bytes, error);
      state->scratch[i] = (EngCpuScratch){ (uint8_t *) data, bytes };
    }
  return status;
}

EngStatus
eng_cpu_state_new (EngBound *bound, const EngStateOptions *options, EngState **out, EngError *error)
{
  const EngProgram *program = bound->program;
  EngState *state = eng_alloc (sizeof *state);
  if (state == NULL)
    return no_memory (error, sizeof *state);
  state->bound = bound;
  state->options = *options;
  state->groups = eng_alloc_array (program->n_groups, sizeof (EngCpuGroup));
  state->buffers = eng_alloc_array (program->n_buffers, sizeof (float *));
  state->rope = eng_alloc_array (program->n_rope_tables, sizeof (float *));
  state->quants = eng_alloc_array (program->n_buffers, sizeof (EngCpuQuant));
  state->row_groups = eng_alloc_array (options->max_rows, sizeof (EngCpuRowGroup));
  state->spans = eng_alloc_array (options->max_rows, sizeof (EngCpuRowGroup));
  state->outputs = eng_alloc_array (options->max_rows, sizeof (uint32_t));
  state->rows = eng_alloc_array (options->max_rows, sizeof (EngRow));
  state->scratch = eng_alloc_array (eng_thread_pool_get_n_threads (bound->device->pool),
                                    sizeof (EngCpuScratch));
  EngStatus status = ENG_OK;
  if (state->groups == NULL || state->buffers == NULL || state->rope == NULL
      || state->quants == NULL || state->row_groups == NULL || state->spans == NULL || state->outputs == NULL || state->rows == NULL
      || state->scratch == NULL)
    status = no_memory (error, sizeof *state);
  for (uint32_t i = 0; i < program->n_groups && status == ENG_OK; i++)
    {
      status = group_layout (&program->groups[i], options, i, &state->groups[i], error);
      if (status == ENG_OK)
        status = alloc_group (&state->groups[i], error);
      state->state_bytes += state->groups[i].block_bytes * state->groups[i].n_blocks;
    }
  if (status == ENG_OK)
    status = alloc_buffers (state, error);
  if (status != ENG_OK)
    eng_cpu_state_free (&state);
  else
    *out = state;
  return status;
}

void
eng_cpu_state_free (EngState **state_ref)
{
  EngState *state = *state_ref;
  if (state == NULL)
    return;
  const EngProgram *program = state->bound->program;
  for (uint32_t i = 0; state->groups != NULL && i < program->n_groups; i++)
    if (state->groups[i].data != NULL)
      munmap (state->groups[i].data, state->groups[i].block_bytes * state->groups[i].n_blocks);
  for (uint32_t i = 0; state->buffers != NULL && i < program->n_buffers; i++)
    eng_free_aligned (state->buffers[i]);
  for (uint32_t i = 0; state->rope != NULL && i < program->n_rope_tables; i++)
    eng_free_aligned (state->rope[i]);
  uint32_t n_threads = eng_thread_pool_get_n_threads (state->bound->device->pool);
  for (uint32_t i = 0; state->scratch != NULL && i < n_threads; i++)
    eng_free_aligned (state->scratch[i].data);
  for (uint32_t i = 0; state->quants != NULL && i < program->n_buffers; i++)
    eng_cpu_free_quant (&state->quants[i]);
  eng_cpu_free_quant (&state->output_quant);
  eng_cpu_free_quant (&state->experts.src);
  eng_cpu_free_quant (&state->experts.hidden_quant);
  eng_free_aligned (state->experts.hidden);
  eng_free_aligned (state->experts.out);
  eng_free (state->experts.slots);
  eng_free (state->experts.slot_of);
  eng_free (state->experts.tiles);
  eng_free (state->experts.tile_experts);
  eng_free_aligned (state->partial);
  eng_free (state->quants);
  eng_free (state->row_groups);
  eng_free (state->rows);
  eng_free (state->spans);
  eng_free (state->groups);
  eng_free (state->buffers);
  eng_free (state->rope);
  eng_free (state->outputs);
  eng_free (state->scratch);
  eng_free (state);
  *state_ref = NULL;
}

static EngStatus
check_block (const EngState *state, uint32_t group, uint32_t block, EngError *error)
{
  if (group >= state->bound->program->n_groups || block >= state->groups[group].n_blocks)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "block", ENG_OFFSET_NONE,
                          "block %u of state group %u does not exist", block, group);
  return ENG_OK;
}

EngStatus
eng_cpu_copy_block (EngBound *bound, EngState *state, uint32_t group, uint32_t from, uint32_t to,
                    EngError *error)
{
  (void) bound;
  EngStatus status = check_block (state, group, from, error);
  if (status == ENG_OK)
    status = check_block (state, group, to, error);
  if (status != ENG_OK || from == to)
    return status;
  EngCpuGroup *g = &state->groups[group];
  memcpy (g->data + to * g->block_bytes, g->data + from * g->block_bytes, g->block_bytes);
  return ENG_OK;
}

uint64_t
eng_cpu_block_bytes (EngBound *bound, EngState *state, uint32_t group)
{
  return group < bound->program->n_groups ? state->groups[group].block_bytes : 0;
}

/* Keys of one head between the layout in memory and rows; both directions move @size-byte elements. */
static void
move_keys (uint8_t *memory, uint8_t *rows, uint32_t k_width, uint32_t size, bool to_rows)
{
  for (uint32_t p = 0; p < ENG_KV_BLOCK; p++)
    for (uint32_t i = 0; i < k_width; i++)
      {
        size_t at = ((size_t) (p / ENG_CPU_KEY_GROUP) * k_width + i) * ENG_CPU_KEY_GROUP
                    + p % ENG_CPU_KEY_GROUP;
        uint8_t *m = memory + at * size, *r = rows + ((size_t) p * k_width + i) * size;
        memcpy (to_rows ? r : m, to_rows ? m : r, size);
      }
}

static void
move_layer (EngState *state, uint32_t group, uint32_t block, uint32_t layer, uint8_t *data, bool to_data)
{
  const EngGroupDesc *desc = &state->bound->program->groups[group];
  EngCpuGroup *g = &state->groups[group];
  uint32_t size = g->k_type == ENG_TYPE_F32 ? 4 : 2;
  uint8_t *memory = g->data + block * g->block_bytes + layer * g->layer_bytes;
  if (desc->kind == ENG_STATE_RECURRENT || g->k_type == ENG_TYPE_Q8_0)
    {
      memcpy (to_data ? data : memory, to_data ? memory : data, g->layer_bytes);
      return;
    }
  for (uint32_t h = 0; h < desc->n_kv_head; h++)
    {
      move_keys (memory, data, desc->k_width, size, to_data);
      memory += g->k_head_bytes;
      data += g->k_head_bytes;
    }
  uint64_t values = desc->n_kv_head * g->v_head_bytes;
  memcpy (to_data ? data : memory, to_data ? memory : data, values);
}

static void
move_block (EngState *state, uint32_t group, uint32_t block, uint8_t *data, bool to_data)
{
  for (uint32_t layer = 0; layer < state->bound->program->groups[group].n_layers; layer++)
    move_layer (state, group, block, layer, data + layer * state->groups[group].layer_bytes, to_data);
}

EngStatus
eng_cpu_read_block (EngBound *bound, EngState *state, uint32_t group, uint32_t block, void *data,
                    EngError *error)
{
  (void) bound;
  EngStatus status = check_block (state, group, block, error);
  if (status == ENG_OK)
    move_block (state, group, block, data, true);
  return status;
}

EngStatus
eng_cpu_write_block (EngBound *bound, EngState *state, uint32_t group, uint32_t block,
                     const void *data, EngError *error)
{
  (void) bound;
  EngStatus status = check_block (state, group, block, error);
  if (status == ENG_OK)
    move_block (state, group, block, (uint8_t *) (uintptr_t) data, false);
  return status;
}

/* Blocks of one layer on their way, one a chunk of the pool's loop. */
typedef struct
{
  EngState *state;
  uint32_t group, layer;
  const uint32_t *blocks;
  uint8_t *data;
  bool to_data;
} Move;

static void
move_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  (void) i_thread;
  const Move *m = data;
  move_layer (m->state, m->group, m->blocks[i_chunk], m->layer,
              m->data + i_chunk * m->state->groups[m->group].layer_bytes, m->to_data);
}

EngStatus
eng_cpu_move_keys (EngBound *bound, EngState *state, uint32_t group, uint32_t i_layer_in_group,
                   const uint32_t *blocks, uint32_t n_blocks, void *data, bool to_state, EngError *error)
{
  EngStatus status = ENG_OK;
  for (uint32_t i = 0; i < n_blocks && status == ENG_OK; i++)
    status = check_block (state, group, blocks[i], error);
  if (status == ENG_OK && group < bound->program->n_groups
      && i_layer_in_group >= bound->program->groups[group].n_layers)
    status = eng_error_set (error, ENG_ERR_ARGUMENT, "layer", ENG_OFFSET_NONE,
                            "state group %u has no layer %u", group, i_layer_in_group);
  if (status != ENG_OK)
    return status;
  Move move = { state, group, i_layer_in_group, blocks, data, !to_state };
  for (uint32_t at = 0; at < n_blocks; at += ENG_POOL_MAX_CHUNKS)
    {
      uint32_t n = n_blocks - at < ENG_POOL_MAX_CHUNKS ? n_blocks - at : ENG_POOL_MAX_CHUNKS;
      eng_thread_pool_run (bound->device->pool, n, move_chunk, &move);
      move.blocks += n;
      move.data += n * state->groups[group].layer_bytes;
    }
  return ENG_OK;
}
