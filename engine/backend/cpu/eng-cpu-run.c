/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter: checks a batch, then runs step after step. */
#include "eng-cpu-private.h"

#include "eng-cpu-device.h"

#include <math.h>
#include <string.h>

typedef void (*StepFunc) (EngCpuRun *run);
static const StepFunc step_funcs[ENG_STEP_N_KINDS] = {
  [ENG_STEP_EMBED] = eng_cpu_step_embed,
  [ENG_STEP_NORM] = eng_cpu_step_norm,
  [ENG_STEP_QKV] = eng_cpu_step_qkv,
  [ENG_STEP_ATTENTION] = eng_cpu_step_attention,
  [ENG_STEP_PRODUCT] = eng_cpu_step_product,
  [ENG_STEP_GATE_UP] = eng_cpu_step_gate_up,
  [ENG_STEP_ROUTE] = eng_cpu_step_route,
  [ENG_STEP_EXPERTS] = eng_cpu_step_experts,
  [ENG_STEP_OUTPUT] = eng_cpu_step_output,
  [ENG_STEP_POOL] = eng_cpu_step_pool,
  [ENG_STEP_DELTA] = eng_cpu_step_delta,
  [ENG_STEP_GATE] = eng_cpu_step_gate,
  [ENG_STEP_CONV] = eng_cpu_step_conv,
  [ENG_STEP_LATENT] = eng_cpu_step_latent,
  [ENG_STEP_HEADS] = eng_cpu_step_heads,
};

static EngStatus
batch_error (EngError *error, uint32_t row, const char *what)
{
  return eng_error_set (error, ENG_ERR_ARGUMENT, "batch", ENG_OFFSET_NONE, "row %u: %s", row, what);
}

/* A recurrent state: the block that it comes from and the one it goes to exist, and nothing lies between the rows of
 * a sequence. */
static EngStatus
check_recurrent (const EngCpuRun *run, uint32_t g, uint32_t r, EngError *error)
{
  const EngRow *row = &run->batch->rows[r], *other = r > 0 ? row - 1 : row;
  const uint32_t *table = run->batch->sequences[row->i_sequence].tables[g];
  uint32_t n_blocks = run->state->groups[g].n_blocks, position = row->position[0];
  bool first = r == 0 || other->i_sequence != row->i_sequence;
  bool last = r + 1 == run->batch->n_rows || row[1].i_sequence != row->i_sequence;
  if (r > 0 && (first ? other->i_sequence > row->i_sequence : other->position[0] + 1 != position))
    return batch_error (error, r, "rows of a sequence with a recurrent state must follow each other");
  if ((first && position > 0 && table[(position - 1) / ENG_KV_BLOCK] >= n_blocks)
      || (last && table[position / ENG_KV_BLOCK] >= n_blocks))
    return batch_error (error, r, "a block of its sequence's state does not exist");
  return ENG_OK;
}

/* Blocks that attention of a row at @position reads, and the one it writes, exist. */
static EngStatus
check_blocks (const EngCpuRun *run, uint32_t r, EngError *error)
{
  const EngProgram *program = run->bound->program;
  const EngRow *row = &run->batch->rows[r];
  const EngSequenceView *sequence = &run->batch->sequences[row->i_sequence];
  for (uint32_t g = 0; g < program->n_groups; g++)
    {
      /* No layer of that group is here. */
      if (run->state->options.n_blocks[g] == 0)
        continue;
      if (program->groups[g].kind == ENG_STATE_RECURRENT)
        {
          EngStatus status = check_recurrent (run, g, r, error);
          if (status != ENG_OK)
            return status;
          continue;
        }
      uint32_t window = program->groups[g].window, position = row->position[0];
      uint32_t first = window != 0 && position >= window ? position - window + 1 : 0;
      uint32_t last = program->causal ? position : sequence->n_positions - 1;
      /* Rows of a sequence follow each other: the one before has checked the blocks below its own. */
      if (r > 0 && run->batch->rows[r - 1].i_sequence == row->i_sequence)
        first = position;
      for (uint32_t b = first / ENG_KV_BLOCK; b <= last / ENG_KV_BLOCK; b++)
        if (sequence->tables[g][b] >= run->state->groups[g].n_blocks)
          return batch_error (error, r, "a block of its sequence does not exist");
    }
  return ENG_OK;
}

static EngStatus
check_batch (EngCpuRun *run, EngError *error)
{
  const EngBatch *batch = run->batch;
  const EngStateOptions *options = &run->state->options;
  if (batch->n_rows > options->max_rows || batch->n_sequences > options->max_sequences)
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "batch", batch->n_rows, options->max_rows,
                                  "the batch has more rows or sequences than the state was made for");
  for (uint32_t r = 0; r < batch->n_rows; r++)
    {
      const EngRow *row = &batch->rows[r];
      if (row->i_sequence >= batch->n_sequences)
        return batch_error (error, r, "its sequence does not exist");
      if (row->token < 0 ? row->embedding == NULL
                         : (uint32_t) row->token >= run->bound->program->n_vocab)
        return batch_error (error, r, "its token is outside the vocabulary");
      if (row->position[0] >= batch->sequences[row->i_sequence].n_positions)
        return batch_error (error, r, "its position is past the end of its sequence");
      if (r > 0 && batch->rows[r - 1].i_sequence == row->i_sequence
          && batch->rows[r - 1].position[0] >= row->position[0])
        return batch_error (error, r, "positions of a sequence must rise");
      EngStatus status = check_blocks (run, r, error);
      if (status != ENG_OK)
        return status;
      if (row->wants_output)
        run->state->outputs[run->n_outputs++] = r;
    }
  /* Encoders pool: what comes out is one vector a sequence, however many rows it is made of. */
  if (run->bound->program->causal && run->n_outputs > options->max_outputs)
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "batch", run->n_outputs,
                                  options->max_outputs,
                                  "more rows want outputs than the state was made for");
  return ENG_OK;
}

/* cos and sin of every angle of the batch, once a run instead of once a layer and head. Angles are
 * float32 products, as the reference implementation of the models has them. */
static void
rope_chunk (void *data, uint32_t r, uint32_t i_thread)
{
  EngCpuRun *run = data;
  const EngProgram *program = run->bound->program;
  (void) i_thread;
  for (uint32_t t = 0; t < program->n_rope_tables; t++)
    {
      uint32_t n = program->rope_table_lengths[t];
      float *out = run->state->rope[t] + (size_t) r * 2 * n;
      for (uint32_t i = 0; i < n; i++)
        {
          float angle = (float) run->batch->rows[r].position[0] * program->rope_tables[t][i];
          sincosf (angle, &out[2 * i + 1], &out[2 * i]);
        }
    }
}

static EngStatus
move_io (EngCpuRun *run, const EngBufferIo *io, uint32_t n, bool import, EngError *error)
{
  const EngProgram *program = run->bound->program;
  for (uint32_t i = 0; i < n; i++)
    {
      if (io[i].buffer >= program->n_buffers || io[i].data == NULL)
        return eng_error_set (error, ENG_ERR_ARGUMENT, "buffer", ENG_OFFSET_NONE,
                              "buffer %u does not exist", io[i].buffer);
      size_t bytes = (size_t) run->n_rows * program->buffers[io[i].buffer].width * sizeof (float);
      float *buffer = run->state->buffers[io[i].buffer];
      memcpy (import ? buffer : io[i].data, import ? io[i].data : buffer, bytes);
    }
  return ENG_OK;
}

/* Runs of up to ENG_CPU_GROUP_ROWS rows of one sequence, and whole ones. */
static void
group_rows (EngCpuRun *run)
{
  EngCpuRowGroup *groups = run->state->row_groups, *spans = run->state->spans;
  uint32_t n = 0, most = eng_cpu_takes_tiles (run->k, run->n_rows) ? ENG_CPU_GROUP_ROWS : ENG_CPU_FEW_GROUP_ROWS;
  if ((run->bound->device->without & ENG_CPU_WITHOUT_SHARED) != 0)
    most = 1;
  for (uint32_t r = 0; r < run->n_rows; r++)
    if (n > 0 && groups[n - 1].n < most
        && run->batch->rows[r].i_sequence == run->batch->rows[r - 1].i_sequence)
      groups[n - 1].n++;
    else
      groups[n++] = (EngCpuRowGroup){ r, 1 };
  run->n_row_groups = n;
  run->n_spans = 0;
  for (uint32_t r = 0; r < run->n_rows; r++)
    if (run->n_spans > 0 && run->batch->rows[r].i_sequence == run->batch->rows[r - 1].i_sequence)
      spans[run->n_spans - 1].n++;
    else
      spans[run->n_spans++] = (EngCpuRowGroup){ r, 1 };
}

static void
prepare_rows (EngCpuRun *run)
{
  for (uint32_t i = 0; i < run->bound->program->n_buffers; i++)
    run->state->quants[i].valid = false;
  group_rows (run);
  if (run->bound->program->n_rope_tables != 0)
    eng_cpu_for (run, run->n_rows, rope_chunk, run);
}

/* Whether rows that want no output have nothing more to do from some step of the run on: nobody looks at them behind the
 * last state that is written. In the last layer of any model that is its larger part; of Gemma 4 E2B it is 20 layers of 35. */
static bool
can_end_early (const EngCpuRun *run, uint32_t end)
{
  const EngProgram *p = run->bound->program;
  return p->causal && end == p->n_steps && p->steps[end - 1].kind == ENG_STEP_OUTPUT && run->run->n_exports == 0
         && run->n_outputs < run->n_rows && (run->bound->device->without & ENG_CPU_WITHOUT_EARLY_END) == 0;
}

/* Go on with the rows that want outputs alone. @kept lives as long as the run. */
static void
keep_outputs (EngCpuRun *run, EngBatch *kept)
{
  EngState *state = run->state;
  for (uint32_t o = 0; o < run->n_outputs; o++)
    {
      uint32_t r = state->outputs[o]; /* rising: what is overwritten is done with */
      state->rows[o] = run->batch->rows[r];
      for (uint32_t i = 0; i < run->bound->program->n_buffers && r != o; i++)
        memcpy (eng_cpu_row (run, (EngBufferId) i, o), eng_cpu_row (run, (EngBufferId) i, r),
                run->bound->program->buffers[i].width * sizeof (float));
      state->outputs[o] = o;
    }
  *kept = *run->batch;
  kept->rows = state->rows;
  kept->n_rows = run->n_rows = run->n_outputs;
  run->batch = kept;
  prepare_rows (run);
}

EngStatus
eng_cpu_run (EngBound *bound, EngState *state, const EngBatch *batch, const EngRun *options,
             EngError *error)
{
  const EngProgram *program = bound->program;
  EngCpuRun run = {
    .bound = bound,
    .state = state,
    .batch = batch,
    .run = options,
    .k = bound->kernels,
    .n_rows = batch->n_rows,
  };
  if (options->products)
    options->products->own = true;
  uint32_t bound_end = bound->options.first_step + bound->options.n_steps;
  uint32_t end = options->first_step + options->n_steps;
  if (options->first_step < bound->options.first_step || end > bound_end || end < options->first_step)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "first_step", ENG_OFFSET_NONE,
                          "steps are outside what was bound");
  EngStatus status = check_batch (&run, error);
  if (status == ENG_OK)
    status = move_io (&run, options->imports, options->n_imports, true, error);
  if (status != ENG_OK || batch->n_rows == 0)
    return status;
  prepare_rows (&run);
  EngBatch kept;
  bool ends_early = can_end_early (&run, end);
  for (uint32_t i = options->first_step; i < end; i++)
    {
      if (ends_early && i >= bound->n_writing)
        {
          if (run.n_outputs == 0)
            break;
          keep_outputs (&run, &kept);
          ends_early = false;
        }
      run.step = &program->steps[i];
      if (options->cancel != NULL && atomic_load_explicit (options->cancel, memory_order_relaxed) != 0)
        return eng_error_set (error, ENG_ERR_CANCELLED, NULL, ENG_OFFSET_NONE, "stopped");
      if ((run.step->kind == ENG_STEP_OUTPUT || run.step->kind == ENG_STEP_POOL)
          && options->output == NULL)
        continue;
      if (run.step->kind != ENG_STEP_OUTPUT && run.step->kind != ENG_STEP_POOL)
        state->quants[run.step->dst].valid = false;
      step_funcs[run.step->kind](&run);
    }
  return move_io (&run, options->exports, options->n_exports, false, error);
}
