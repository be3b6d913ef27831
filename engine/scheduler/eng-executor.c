/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-executor-private.h"

#include <string.h>

#include "eng-arena.h"
#include "eng-error.h"

struct EngExecutorState
{
  EngExecutor *executor;
  EngState **states;       /* [n_devices] */
  float **crossing;        /* [n_buffers]: [max_rows, width] of those that cross a cut, else NULL */
  EngBufferIo *io;         /* [n_pieces]: imports, then exports */
  EngBufferIo *stream_io;  /* [n_buffers]: what a streamed run takes */
  EngStepObserver observer;
  void *observer_data;
  float *seen[2]; /* what the observer is shown: src and aux */
  EngProducts products;
};

EngStatus
eng_executor_new (const EngProgram *program, const EngWeightSource *source,
                  const EngExecutorOptions *o, EngExecutor **executor, EngError *error)
{
  EngStatus status = eng_executor_check_placement (program, o, error);
  if (status != ENG_OK)
    return status;
  EngExecutor *e = eng_alloc (sizeof *e);
  if (!e)
    return eng_executor_no_memory (error);
  e->program = program;
  e->devices = eng_alloc_array (o->n_devices, sizeof *e->devices);
  e->n_devices = o->n_devices;
  status = eng_executor_cut (program, o, &e->parts, &e->pieces, &e->n_pieces, error);
  if (status == ENG_OK && !e->devices)
    status = eng_executor_no_memory (error);
  if (status == ENG_OK)
    memcpy (e->devices, o->devices, o->n_devices * sizeof *e->devices);
  for (uint32_t i = 0; i < e->n_devices && status == ENG_OK; i++)
    {
      if (!e->parts[i].has_steps)
        continue;
      const EngExecutorDevice *d = &e->devices[i];
      EngBindOptions bind = o->bind;
      bind.first_step = 0;
      bind.n_steps = program->n_steps;
      bind.elsewhere = e->parts[i].elsewhere;
      bind.streamed = e->parts[i].streamed;
      status = d->api->bind (d->device, program, source, &bind, &e->parts[i].bound, error);
    }
  if (status == ENG_OK && e->parts[0].streamed)
    status = eng_executor_plan_stream (e, o->stream_rows, error);
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
  for (uint32_t i = 0; e->parts && i < e->n_devices; i++)
    if (e->parts[i].bound)
      e->devices[i].api->unbind (&e->parts[i].bound);
  eng_executor_free_cut (e->parts, e->n_devices, e->pieces, e->n_pieces);
  eng_free (e->stream[1].imports);
  eng_free (e->devices);
  eng_free (e);
}

static void
own_state_options (const EngPart *part, const EngStateOptions *options, EngStateOptions *own)
{
  *own = *options;
  for (uint32_t g = 0; g < 8; g++)
    if (!part->has_group[g] && !part->streamed)
      own->n_blocks[g] = 0;
}

EngStatus
eng_executor_plan (const EngProgram *program, const EngExecutorOptions *o,
                   const EngStateOptions *state, EngMemoryPlan *plans, EngError *error)
{
  EngStatus status = eng_executor_check_placement (program, o, error);
  if (status != ENG_OK)
    return status;
  EngPart *parts;
  EngPiece *pieces;
  uint32_t n_pieces;
  memset (plans, 0, o->n_devices * sizeof *plans);
  status = eng_executor_cut (program, o, &parts, &pieces, &n_pieces, error);
  for (uint32_t i = 0; i < o->n_devices && status == ENG_OK; i++)
    {
      if (!parts[i].has_steps)
        continue;
      EngBindOptions bind = o->bind;
      bind.first_step = 0;
      bind.n_steps = program->n_steps;
      bind.elsewhere = parts[i].elsewhere;
      bind.streamed = parts[i].streamed;
      EngStateOptions own;
      if (state)
        own_state_options (&parts[i], state, &own);
      status = o->devices[i].api->plan (o->devices[i].device, program, &bind, state ? &own : NULL,
                                        &plans[i], error);
    }
  eng_executor_free_cut (parts, o->n_devices, pieces, n_pieces);
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

/* Host memory of every buffer that crosses a cut, and what each piece moves. */
static EngStatus
prepare_crossings (EngExecutorState *s, uint32_t max_rows, EngError *error)
{
  EngExecutor *e = s->executor;
  const EngProgram *program = e->program;
  s->crossing = eng_alloc_array (program->n_buffers, sizeof *s->crossing);
  s->io = eng_alloc_array ((size_t) e->n_pieces * 2 * program->n_buffers, sizeof *s->io);
  if (!s->crossing || !s->io)
    return eng_executor_no_memory (error);
  for (uint32_t i = 0; i < e->n_pieces; i++)
    {
      const EngPiece *p = &e->pieces[i];
      EngBufferIo *io = s->io + (size_t) i * 2 * program->n_buffers;
      for (uint32_t k = 0; k < p->n_imports + p->n_exports; k++)
        {
          bool in = k < p->n_imports;
          EngBufferId id = in ? p->imports[k] : p->exports[k - p->n_imports];
          if (!s->crossing[id])
            s->crossing[id] = eng_executor_host_alloc (
                e, (uint64_t) max_rows * program->buffers[id].width * sizeof (float));
          if (!s->crossing[id])
            return eng_executor_no_memory (error);
          io[in ? k : program->n_buffers + k - p->n_imports]
              = (EngBufferIo) { .buffer = id, .data = s->crossing[id] };
        }
    }
  const EngPiece *stream = &e->stream[1];
  s->stream_io = eng_alloc_array (program->n_buffers, sizeof *s->stream_io);
  for (uint32_t k = 0; s->stream_io && k < stream->n_imports; k++)
    {
      EngBufferId id = stream->imports[k];
      if (!s->crossing[id])
        s->crossing[id]
            = eng_executor_host_alloc (e, (uint64_t) max_rows * program->buffers[id].width * sizeof (float));
      if (!s->crossing[id])
        return eng_executor_no_memory (error);
      s->stream_io[k] = (EngBufferIo) { .buffer = id, .data = s->crossing[id] };
    }
  return s->stream_io ? ENG_OK : eng_executor_no_memory (error);
}

EngStatus
eng_executor_state_new (EngExecutor *e, const EngStateOptions *options, EngExecutorState **state,
                        EngError *error)
{
  EngExecutorState *s = eng_alloc (sizeof *s);
  if (!s)
    return eng_executor_no_memory (error);
  s->executor = e;
  s->states = eng_alloc_array (e->n_devices, sizeof *s->states);
  EngStatus status = s->states ? prepare_crossings (s, options->max_rows, error) : eng_executor_no_memory (error);
  for (uint32_t i = 0; i < e->n_devices && status == ENG_OK; i++)
    if (e->parts[i].bound)
      {
        EngStateOptions own;
        own_state_options (&e->parts[i], options, &own);
        status = e->devices[i].api->state_new (e->parts[i].bound, &own, &s->states[i], error);
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
  const EngExecutor *e = s->executor;
  for (uint32_t i = 0; s->states && i < e->n_devices; i++)
    if (s->states[i])
      e->devices[i].api->state_free (&s->states[i]);
  for (uint32_t i = 0; s->crossing && i < e->program->n_buffers; i++)
    eng_executor_host_free (s->executor, s->crossing[i]);
  eng_free (s->crossing);
  eng_free (s->io);
  eng_free (s->stream_io);
  eng_free (s->states);
  eng_free (s->seen[0]);
  eng_free (s->seen[1]);
  eng_free (s);
}

EngStatus
eng_executor_state_observe (EngExecutorState *s, uint32_t max_rows, EngStepObserver observer,
                            void *data, EngError *error)
{
  const EngProgram *program = s->executor->program;
  uint32_t width = 0;
  for (uint32_t i = 0; i < program->n_buffers; i++)
    width = program->buffers[i].width > width ? program->buffers[i].width : width;
  for (int k = 0; k < 2 && observer; k++)
    if (!s->seen[k]
        && !(s->seen[k] = eng_alloc_array ((size_t) max_rows * width, sizeof *s->seen[k])))
      return eng_executor_no_memory (error);
  s->observer = observer;
  s->observer_data = data;
  return ENG_OK;
}

static bool
is_observed (const EngStep *step)
{
  return step->kind == ENG_STEP_QKV || step->kind == ENG_STEP_PRODUCT
         || step->kind == ENG_STEP_GATE_UP || step->kind == ENG_STEP_ROUTE
         || step->kind == ENG_STEP_EXPERTS;
}

/* A piece step by step: a run of no steps only moves buffers out. */
static EngStatus
run_observed (EngExecutorState *s, const EngPiece *piece, const EngBatch *batch, const EngRun *whole,
              EngError *error)
{
  const EngExecutor *e = s->executor;
  const EngDeviceApi *api = e->devices[piece->i_device].api;
  EngBound *bound = e->parts[piece->i_device].bound;
  EngState *state = s->states[piece->i_device];
  EngStatus status = ENG_OK;
  for (uint32_t i = 0; i < whole->n_steps && status == ENG_OK; i++)
    {
      const EngStep *step = &e->program->steps[whole->first_step + i];
      bool has_aux = step->kind == ENG_STEP_EXPERTS;
      const EngBufferIo shown[2] = { { step->src, s->seen[0] }, { step->aux, s->seen[1] } };
      EngRun run = *whole;
      run.first_step += i;
      run.n_imports = i == 0 ? whole->n_imports : 0;
      run.n_exports = 0;
      if (is_observed (step) && batch->n_rows)
        {
          run.n_steps = 0;
          run.exports = shown;
          run.n_exports = has_aux ? 2 : 1;
          status = api->run (bound, state, batch, &run, error);
          if (status != ENG_OK)
            break;
          s->observer (s->observer_data, step, s->seen[0], has_aux ? s->seen[1] : NULL, batch->n_rows);
          run.n_imports = 0;
        }
      bool last = i + 1 == whole->n_steps;
      run.n_steps = 1;
      run.exports = whole->exports;
      run.n_exports = last ? whole->n_exports : 0;
      status = api->run (bound, state, batch, &run, error);
    }
  return status;
}

/* EngKeyMover: state of a layer that another device keeps. */
static EngStatus
move_keys (void *data, uint32_t i_step, const uint32_t *blocks, uint32_t n_blocks, void *bytes, bool to_owner,
           EngError *error)
{
  EngExecutorState *s = data;
  const EngExecutor *e = s->executor;
  const EngStep *step = &e->program->steps[i_step];
  for (uint32_t i = 1; i < e->n_devices; i++)
    if (e->parts[i].bound && !e->parts[i].elsewhere[i_step] && e->devices[i].api->move_keys)
      {
        EngGroupId group = step->u.delta.group;
        uint16_t layer = step->u.delta.i_layer_in_group;
        if (step->kind == ENG_STEP_QKV)
          group = step->u.qkv.group, layer = step->u.qkv.i_layer_in_group;
        else if (step->kind == ENG_STEP_LATENT)
          group = step->u.latent.group, layer = step->u.latent.i_layer_in_group;
        return e->devices[i].api->move_keys (e->parts[i].bound, s->states[i], group, layer, blocks, n_blocks, bytes, to_owner,
                                             error);
      }
  return eng_error_set (error, ENG_ERR_UNSUPPORTED, "keys", ENG_OFFSET_NONE, "nobody moves the keys of step %u", i_step);
}

/* The whole batch on device 0. */
static EngStatus
run_streamed (EngExecutorState *s, const EngBatch *batch, float *output, ENG_ATOMIC_FLAG *cancel, EngError *error)
{
  const EngExecutor *e = s->executor;
  const EngPiece *lead = &e->stream[0], *rest = &e->stream[1];
  if (lead->n_steps)
    {
      const EngRun run = { .n_steps = lead->n_steps,
                           .exports = s->stream_io,
                           .n_exports = rest->n_imports,
                           .cancel = cancel,
                           .products = &s->products };
      EngStatus status = e->devices[lead->i_device].api->run (e->parts[lead->i_device].bound,
                                                              s->states[lead->i_device], batch, &run, error);
      if (status != ENG_OK)
        return status;
    }
  const EngRun run = { .first_step = rest->first_step,
                       .n_steps = rest->n_steps,
                       .imports = s->stream_io,
                       .n_imports = rest->n_imports,
                       .output = output,
                       .cancel = cancel,
                       .streamed = true,
                       .keys = { move_keys, s },
                       .products = &s->products };
  return e->devices[0].api->run (e->parts[0].bound, s->states[0], batch, &run, error);
}

EngStatus
eng_executor_run (EngExecutorState *s, const EngBatch *batch, float *output,
                  ENG_ATOMIC_FLAG *cancel, EngError *error)
{
  EngExecutor *e = s->executor;
  if (e->stream_rows && batch->n_rows >= e->stream_rows && !s->observer)
    {
      EngStatus status = run_streamed (s, batch, output, cancel, error);
      if (status != ENG_ERR_UNSUPPORTED)
        return status;
      e->stream_rows = 0; /* cannot be done here: not tried again */
    }
  for (uint32_t i = 0; i < e->n_pieces; i++)
    {
      const EngPiece *piece = &e->pieces[i];
      const EngBufferIo *io = s->io + (size_t) i * 2 * e->program->n_buffers;
      const EngRun run = {
        .first_step = piece->first_step,
        .n_steps = piece->n_steps,
        .imports = io,
        .n_imports = piece->n_imports,
        .exports = io + e->program->n_buffers,
        .n_exports = piece->n_exports,
        .output = i + 1 < e->n_pieces ? NULL : output,
        .cancel = cancel,
        .products = &s->products,
      };
      EngStatus status
          = s->observer ? run_observed (s, piece, batch, &run, error)
                        : e->devices[piece->i_device].api->run (e->parts[piece->i_device].bound,
                                                                s->states[piece->i_device], batch,
                                                                &run, error);
      if (status != ENG_OK)
        return status;
    }
  return ENG_OK;
}

EngProducts
eng_executor_take_products (EngExecutorState *s)
{
  EngProducts products = s->products;
  s->products = (EngProducts) { 0 };
  return products;
}

EngStatus
eng_executor_sample (EngExecutorState *s, const EngBatch *batch, const EngSampling *sampling, ENG_ATOMIC_FLAG *cancel,
                     EngError *error)
{
  const EngExecutor *e = s->executor;
  const uint8_t d = e->pieces[0].i_device;
  const EngDeviceApi *api = e->devices[d].api;
  if (e->n_pieces != 1 || !api->sample || s->observer)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "sampling", ENG_OFFSET_NONE,
                          "no device samples for this model");
  return api->sample (e->parts[d].bound, s->states[d], batch, sampling, cancel, error);
}

EngStatus
eng_executor_copy_block (EngExecutorState *s, uint32_t group, uint32_t from, uint32_t to,
                         EngError *error)
{
  const EngExecutor *e = s->executor;
  for (uint32_t i = 0; i < e->n_devices; i++)
    {
      if (!e->parts[i].has_group[group])
        continue;
      EngStatus status = e->devices[i].api->copy_block (e->parts[i].bound, s->states[i], group,
                                                        from, to, error);
      if (status != ENG_OK)
        return status;
    }
  return ENG_OK;
}
