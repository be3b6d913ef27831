/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-executor.h"

#include <string.h>

#include "eng-arena.h"
#include "eng-error.h"

typedef struct
{
  uint8_t i_device;
  uint32_t first_step, n_steps;
  bool has_group[8];
  EngBound *bound;
} Piece;

struct EngExecutor
{
  const EngProgram *program;
  EngExecutorDevice *devices;
  uint32_t n_devices;
  Piece *pieces;
  uint32_t n_pieces;
};

struct EngExecutorState
{
  EngExecutor *executor;
  EngState **states; /* [n_pieces] */
  float *residual;   /* [max_rows, n_embd] between pieces; NULL with one piece */
};

static uint8_t
device_of (const EngProgram *program, const EngExecutorOptions *o, uint32_t i_step)
{
  if (!o->layer_devices)
    return 0;
  uint32_t layer = program->steps[i_step].layer;
  if (layer == ENG_LAYER_NONE)
    {
      /* Before the first layer or behind the last: whichever side it stands on. */
      bool before = true;
      for (uint32_t i = 0; i < i_step && before; i++)
        before = program->steps[i].layer == ENG_LAYER_NONE;
      layer = before ? 0 : program->n_layers - 1;
    }
  return o->layer_devices[layer];
}

/* Cut the program; *out [at most n_steps] pieces. */
static uint32_t
cut_program (const EngProgram *program, const EngExecutorOptions *o, Piece *out)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < program->n_steps; i++)
    {
      uint8_t device = device_of (program, o, i);
      if (n == 0 || out[n - 1].i_device != device)
        out[n++] = (Piece) { .i_device = device, .first_step = i };
      Piece *piece = &out[n - 1];
      piece->n_steps++;
      if (program->steps[i].kind == ENG_STEP_QKV && program->steps[i].u.qkv.group < 8)
        piece->has_group[program->steps[i].u.qkv.group] = true;
    }
  return n;
}

static EngStatus
check_placement (const EngProgram *program, const EngExecutorOptions *o, EngError *error)
{
  for (uint32_t i = 0; o->layer_devices && i < program->n_layers; i++)
    if (o->layer_devices[i] >= o->n_devices)
      return eng_error_set (error, ENG_ERR_ARGUMENT, "placement", ENG_OFFSET_NONE,
                            "layer %u is placed on device %u of %u", i, o->layer_devices[i],
                            o->n_devices);
  if (o->n_devices == 0)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "placement", ENG_OFFSET_NONE, "no device");
  return ENG_OK;
}

static EngStatus
no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                        "no memory to set the model up");
}

EngStatus
eng_executor_new (const EngProgram *program, const EngWeightSource *source,
                  const EngExecutorOptions *o, EngExecutor **executor, EngError *error)
{
  EngStatus status = check_placement (program, o, error);
  if (status != ENG_OK)
    return status;
  EngExecutor *e = eng_alloc (sizeof *e);
  if (e)
    {
      e->program = program;
      e->devices = eng_alloc_array (o->n_devices, sizeof *e->devices);
      e->pieces = eng_alloc_array (program->n_steps, sizeof *e->pieces);
    }
  if (!e || !e->devices || !e->pieces)
    {
      eng_executor_free (&e);
      return no_memory (error);
    }
  memcpy (e->devices, o->devices, o->n_devices * sizeof *e->devices);
  e->n_devices = o->n_devices;
  e->n_pieces = cut_program (program, o, e->pieces);
  for (uint32_t i = 0; i < e->n_pieces && status == ENG_OK; i++)
    {
      Piece *piece = &e->pieces[i];
      const EngExecutorDevice *d = &e->devices[piece->i_device];
      EngBindOptions bind = o->bind;
      bind.first_step = piece->first_step;
      bind.n_steps = piece->n_steps;
      status = d->api->bind (d->device, program, source, &bind, &piece->bound, error);
    }
  if (status != ENG_OK)
    {
      eng_executor_free (&e);
      return status;
    }
  *executor = e;
  return ENG_OK;
}

void
eng_executor_free (EngExecutor **executor)
{
  EngExecutor *e = *executor;
  *executor = NULL;
  if (!e)
    return;
  for (uint32_t i = 0; i < e->n_pieces; i++)
    if (e->pieces[i].bound)
      e->devices[e->pieces[i].i_device].api->unbind (&e->pieces[i].bound);
  eng_free (e->pieces);
  eng_free (e->devices);
  eng_free (e);
}

EngStatus
eng_executor_plan (const EngProgram *program, const EngExecutorOptions *o,
                   const EngStateOptions *state, EngMemoryPlan *plans, EngError *error)
{
  EngStatus status = check_placement (program, o, error);
  if (status != ENG_OK)
    return status;
  Piece *pieces = eng_alloc_array (program->n_steps, sizeof *pieces);
  if (!pieces)
    return no_memory (error);
  uint32_t n = cut_program (program, o, pieces);
  memset (plans, 0, o->n_devices * sizeof *plans);
  for (uint32_t i = 0; i < n && status == ENG_OK; i++)
    {
      const EngExecutorDevice *d = &o->devices[pieces[i].i_device];
      EngBindOptions bind = o->bind;
      bind.first_step = pieces[i].first_step;
      bind.n_steps = pieces[i].n_steps;
      EngMemoryPlan plan = { 0 };
      status = d->api->plan (d->device, program, &bind, state, &plan, error);
      EngMemoryPlan *sum = &plans[pieces[i].i_device];
      sum->weight_bytes += plan.weight_bytes;
      sum->state_bytes += plan.state_bytes;
      sum->scratch_bytes += plan.scratch_bytes;
      sum->mapped_bytes += plan.mapped_bytes;
    }
  eng_free (pieces);
  return status;
}

const EngProgram *
eng_executor_get_program (const EngExecutor *executor)
{
  return executor->program;
}

uint32_t
eng_executor_get_n_pieces (const EngExecutor *executor)
{
  return executor->n_pieces;
}

/* The device that host memory comes from, or NULL: ordinary memory. */
static const EngExecutorDevice *
host_device (const EngExecutor *e)
{
  for (uint32_t i = 0; i < e->n_devices; i++)
    if (e->devices[i].api->host_alloc && e->devices[i].api->host_free)
      return &e->devices[i];
  return NULL;
}

void *
eng_executor_host_alloc (EngExecutor *e, uint64_t n_bytes)
{
  const EngExecutorDevice *d = host_device (e);
  if (!d)
    return eng_alloc_array (n_bytes, 1);
  void *memory = d->api->host_alloc (d->device, n_bytes);
  if (memory)
    memset (memory, 0, n_bytes);
  return memory;
}

void
eng_executor_host_free (EngExecutor *e, void *memory)
{
  const EngExecutorDevice *d = host_device (e);
  if (!d)
    eng_free (memory);
  else if (memory)
    d->api->host_free (d->device, memory);
}

EngStatus
eng_executor_state_new (EngExecutor *e, const EngStateOptions *options, EngExecutorState **state,
                        EngError *error)
{
  EngExecutorState *s = eng_alloc (sizeof *s);
  if (s)
    {
      s->executor = e;
      s->states = eng_alloc_array (e->n_pieces, sizeof *s->states);
      if (e->n_pieces > 1)
        s->residual = eng_executor_host_alloc (e, (uint64_t) options->max_rows * e->program->n_embd
                                                      * sizeof *s->residual);
    }
  if (!s || !s->states || (e->n_pieces > 1 && !s->residual))
    {
      eng_executor_state_free (&s);
      return no_memory (error);
    }
  EngStatus status = ENG_OK;
  for (uint32_t i = 0; i < e->n_pieces && status == ENG_OK; i++)
    {
      const EngExecutorDevice *d = &e->devices[e->pieces[i].i_device];
      EngStateOptions own = *options;
      for (uint32_t g = 0; g < 8; g++)
        if (!e->pieces[i].has_group[g])
          own.n_blocks[g] = 0;
      status = d->api->state_new (e->pieces[i].bound, &own, &s->states[i], error);
    }
  if (status != ENG_OK)
    {
      eng_executor_state_free (&s);
      return status;
    }
  *state = s;
  return ENG_OK;
}

void
eng_executor_state_free (EngExecutorState **state)
{
  EngExecutorState *s = *state;
  *state = NULL;
  if (!s)
    return;
  for (uint32_t i = 0; s->states && i < s->executor->n_pieces; i++)
    if (s->states[i])
      s->executor->devices[s->executor->pieces[i].i_device].api->state_free (&s->states[i]);
  eng_free (s->states);
  eng_executor_host_free (s->executor, s->residual);
  eng_free (s);
}

EngStatus
eng_executor_run (EngExecutorState *s, const EngBatch *batch, float *output,
                  ENG_ATOMIC_FLAG *cancel, EngError *error)
{
  const EngExecutor *e = s->executor;
  const EngBufferIo crossing = { .buffer = ENG_BUFFER_RESIDUAL, .data = s->residual };
  for (uint32_t i = 0; i < e->n_pieces; i++)
    {
      const Piece *piece = &e->pieces[i];
      const EngRun run = {
        .first_step = piece->first_step,
        .n_steps = piece->n_steps,
        .imports = &crossing,
        .n_imports = i > 0,
        .exports = &crossing,
        .n_exports = i + 1 < e->n_pieces,
        .output = i + 1 < e->n_pieces ? NULL : output,
        .cancel = cancel,
      };
      EngStatus status
          = e->devices[piece->i_device].api->run (piece->bound, s->states[i], batch, &run, error);
      if (status != ENG_OK)
        return status;
    }
  return ENG_OK;
}

EngStatus
eng_executor_copy_block (EngExecutorState *s, uint32_t group, uint32_t from, uint32_t to,
                         EngError *error)
{
  const EngExecutor *e = s->executor;
  for (uint32_t i = 0; i < e->n_pieces; i++)
    {
      if (!e->pieces[i].has_group[group])
        continue;
      EngStatus status = e->devices[e->pieces[i].i_device].api->copy_block (
          e->pieces[i].bound, s->states[i], group, from, to, error);
      if (status != ENG_OK)
        return status;
    }
  return ENG_OK;
}
