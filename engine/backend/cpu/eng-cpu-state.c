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

static uint32_t
kv_element_bytes (EngType type)
{
  return type == ENG_TYPE_F32 ? 4 : type == ENG_TYPE_F16 ? 2 : 0;
}

static EngStatus
group_layout (const EngGroupDesc *desc, const EngStateOptions *options, uint32_t i_group,
              EngCpuGroup *group, EngError *error)
{
  if (desc->kind != ENG_STATE_KV)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "state", ENG_OFFSET_NONE,
                          "recurrent state does not run on this device");
  uint32_t k_bytes = kv_element_bytes (options->k_type), v_bytes = kv_element_bytes (options->v_type);
  if (k_bytes == 0 || v_bytes == 0)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "kv", ENG_OFFSET_NONE,
                          "keys of %s and values of %s do not run on this device; F16 and F32 do",
                          eng_type_get_name (options->k_type), eng_type_get_name (options->v_type));
  group->n_blocks = i_group < 8 ? options->n_blocks[i_group] : 0;
  group->k_head_bytes = (uint64_t) ENG_KV_BLOCK * desc->k_width * k_bytes;
  group->v_head_bytes = (uint64_t) ENG_KV_BLOCK * desc->v_width * v_bytes;
  uint64_t head = group->k_head_bytes + group->v_head_bytes, total;
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
    if (program->weights[i].n_cols > widest)
      widest = program->weights[i].n_cols;
  uint64_t tile = (uint64_t) 3 * ENG_CPU_ROW_TILE * ENG_CPU_MAX_CHUNK;
  return (tile + widest + 16) * sizeof (float);
}

/* Hidden values of the experts of one row, in the step that has most. */
static uint64_t
hidden_floats (const EngProgram *program)
{
  uint64_t most = 0;
  for (uint32_t i = 0; i < program->n_steps; i++)
    {
      const EngStep *s = &program->steps[i];
      if (s->kind != ENG_STEP_EXPERTS || s->w[0] >= program->n_weights)
        continue;
      uint64_t n = program->weights[s->w[0]].n_rows * s->u.experts.n_used;
      most = n > most ? n : most;
    }
  return most;
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
  uint64_t floats = hidden_floats (program);
  for (uint32_t i = 0; i < program->n_buffers; i++)
    floats += program->buffers[i].width + 16;
  for (uint32_t i = 0; i < program->n_rope_tables; i++)
    floats += 2 * (uint64_t) program->rope_table_lengths[i];
  plan->scratch_bytes += floats * options->max_rows * sizeof (float)
                         + scratch_bytes (program) * eng_thread_pool_get_n_threads (device->pool);
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
  group->data = data;
  return ENG_OK;
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
  if (hidden_floats (program) != 0 && status == ENG_OK)
    status = alloc_floats (&state->hidden, rows * hidden_floats (program), &state->scratch_bytes,
                           error);
  uint32_t n_threads = eng_thread_pool_get_n_threads (state->bound->device->pool);
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
  state->outputs = eng_alloc_array (options->max_rows, sizeof (uint32_t));
  state->scratch = eng_alloc_array (eng_thread_pool_get_n_threads (bound->device->pool),
                                    sizeof (EngCpuScratch));
  EngStatus status = ENG_OK;
  if (state->groups == NULL || state->buffers == NULL || state->rope == NULL
      || state->outputs == NULL || state->scratch == NULL)
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
  eng_free_aligned (state->hidden);
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
move_block (EngState *state, uint32_t group, uint32_t block, uint8_t *data, bool to_data)
{
  const EngGroupDesc *desc = &state->bound->program->groups[group];
  EngCpuGroup *g = &state->groups[group];
  uint32_t size = kv_element_bytes (state->options.k_type);
  uint8_t *memory = g->data + block * g->block_bytes;
  for (uint32_t layer = 0; layer < desc->n_layers; layer++)
    {
      for (uint32_t h = 0; h < desc->n_kv_head; h++)
        {
          move_keys (memory, data, desc->k_width, size, to_data);
          memory += g->k_head_bytes;
          data += g->k_head_bytes;
        }
      uint64_t values = desc->n_kv_head * g->v_head_bytes;
      memcpy (to_data ? data : memory, to_data ? memory : data, values);
      memory += values;
      data += values;
    }
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
