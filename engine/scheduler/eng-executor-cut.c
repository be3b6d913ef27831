/* SPDX-License-Identifier: Apache-2.0 */
/* Placement cuts the list of steps into pieces, and says what crosses each cut. */
#include "eng-executor-private.h"

#include <string.h>

#include "eng-arena.h"
#include "eng-error.h"

static uint8_t
device_of (const EngProgram *program, const EngExecutorOptions *o, uint32_t i_step)
{
  uint32_t layer = program->steps[i_step].layer;
  if (layer == ENG_LAYER_NONE)
    {
      /* Before the first layer or behind the last: whichever side it stands on. */
      bool before = true;
      for (uint32_t i = 0; i < i_step && before; i++)
        before = program->steps[i].layer == ENG_LAYER_NONE;
      layer = before ? 0 : program->n_layers - 1;
    }
  else if (o->expert_devices && program->steps[i_step].kind == ENG_STEP_EXPERTS)
    return o->expert_devices[layer];
  return o->layer_devices ? o->layer_devices[layer] : 0;
}

static bool
reads (const EngStep *s, EngBufferId id)
{
  return s->src == id || s->aux == id || (s->kind == ENG_STEP_DELTA && s->u.delta.alpha == id)
         || (s->kind == ENG_STEP_EXPERTS && s->dst == id && (s->flags & ENG_STEP_ADD_AFTER));
}

/* Whether @piece needs what @id held before it. */
static bool
takes (const EngProgram *program, const EngPiece *piece, EngBufferId id)
{
  for (uint32_t i = piece->first_step; i < piece->first_step + piece->n_steps; i++)
    if (reads (&program->steps[i], id))
      return true;
    else if (program->steps[i].dst == id)
      return false;
  return false;
}

static bool
writes (const EngProgram *program, const EngPiece *piece, EngBufferId id)
{
  for (uint32_t i = piece->first_step; i < piece->first_step + piece->n_steps; i++)
    if (program->steps[i].dst == id)
      return true;
  return false;
}

/* What crosses each cut: a piece takes what it reads before it writes it, and gives what it wrote and the next
 * piece that does not only overwrite it takes. */
static void
find_crossings (const EngProgram *program, EngPiece *pieces, uint32_t n)
{
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t id = 0; id < program->n_buffers; id++)
      {
        EngPiece *p = &pieces[i];
        if (i > 0 && takes (program, p, (EngBufferId) id))
          p->imports[p->n_imports++] = (EngBufferId) id;
        if (!writes (program, p, (EngBufferId) id))
          continue;
        for (uint32_t k = i + 1; k < n; k++)
          if (takes (program, &pieces[k], (EngBufferId) id))
            {
              p->exports[p->n_exports++] = (EngBufferId) id;
              break;
            }
          else if (writes (program, &pieces[k], (EngBufferId) id))
            break;
      }
}

void
eng_executor_free_cut (EngPart *parts, uint32_t n_devices, EngPiece *pieces, uint32_t n_pieces)
{
  for (uint32_t i = 0; parts && i < n_devices; i++)
    {
      eng_free (parts[i].elsewhere);
      eng_free (parts[i].streamed);
    }
  for (uint32_t i = 0; pieces && i < n_pieces; i++)
    {
      eng_free (pieces[i].imports);
      eng_free (pieces[i].exports);
    }
  eng_free (parts);
  eng_free (pieces);
}

EngStatus
eng_executor_no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                        "no memory to set the model up");
}

/* What device 0 may be sent: all that other devices have of the layers. */
static EngStatus
mark_streamed (const EngProgram *program, EngPart *part, EngError *error)
{
  if (!part->has_steps || part->elsewhere[program->n_steps - 1])
    return ENG_OK;
  bool any = false;
  for (uint32_t i = 0; i < program->n_steps; i++)
    any = any || (part->elsewhere[i] && program->steps[i].layer != ENG_LAYER_NONE);
  if (!any)
    return ENG_OK;
  part->streamed = eng_alloc_array (program->n_steps, 1);
  if (!part->streamed)
    return eng_executor_no_memory (error);
  for (uint32_t i = 0; i < program->n_steps; i++)
    part->streamed[i] = part->elsewhere[i] && program->steps[i].layer != ENG_LAYER_NONE;
  return ENG_OK;
}

EngStatus
eng_executor_cut (const EngProgram *program, const EngExecutorOptions *o, EngPart **parts, EngPiece **pieces,
             uint32_t *n_pieces, EngError *error)
{
  *n_pieces = 0;
  *parts = eng_alloc_array (o->n_devices, sizeof **parts);
  *pieces = eng_alloc_array (program->n_steps, sizeof **pieces);
  if (!*parts || !*pieces)
    return eng_executor_no_memory (error);
  for (uint32_t d = 0; d < o->n_devices; d++)
    {
      (*parts)[d].elsewhere = eng_alloc_array (program->n_steps, 1);
      if (!(*parts)[d].elsewhere)
        return eng_executor_no_memory (error);
      memset ((*parts)[d].elsewhere, 1, program->n_steps);
    }
  uint32_t n = 0;
  for (uint32_t i = 0; i < program->n_steps; i++)
    {
      const EngStep *step = &program->steps[i];
      uint8_t device = device_of (program, o, i);
      EngPart *part = &(*parts)[device];
      part->elsewhere[i] = 0;
      part->has_steps = true;
      if (n == 0 || (*pieces)[n - 1].i_device != device)
        {
          EngPiece *p = &(*pieces)[n++];
          *n_pieces = n;
          *p = (EngPiece) { .i_device = device, .first_step = i };
          p->imports = eng_alloc_array (program->n_buffers, sizeof *p->imports);
          p->exports = eng_alloc_array (program->n_buffers, sizeof *p->exports);
          if (!p->imports || !p->exports)
            return eng_executor_no_memory (error);
        }
      (*pieces)[n - 1].n_steps++;
      if (step->kind == ENG_STEP_QKV && step->u.qkv.group < 8)
        part->has_group[step->u.qkv.group] = true;
      if ((step->kind == ENG_STEP_DELTA || step->kind == ENG_STEP_CONV) && step->u.delta.group < 8)
        part->has_group[step->u.delta.group] = true;
      if (step->kind == ENG_STEP_LATENT && step->u.latent.group < 8)
        part->has_group[step->u.latent.group] = true;
    }
  find_crossings (program, *pieces, n);
  return o->stream_rows ? mark_streamed (program, &(*parts)[0], error) : ENG_OK;
}

EngStatus
eng_executor_plan_stream (EngExecutor *e, uint32_t stream_rows, EngError *error)
{
  const EngProgram *program = e->program;
  const EngPiece *first = &e->pieces[0];
  uint32_t n_lead = 0;
  while (n_lead < program->n_steps && program->steps[n_lead].layer == ENG_LAYER_NONE
         && e->parts[0].elsewhere[n_lead])
    n_lead++;
  /* what lies before the first layer is one device's */
  if (n_lead > first->n_steps)
    return ENG_OK;
  e->stream[0] = (EngPiece) { .i_device = first->i_device, .n_steps = n_lead };
  e->stream[1] = (EngPiece) { .first_step = n_lead, .n_steps = program->n_steps - n_lead };
  e->stream[1].imports = eng_alloc_array (program->n_buffers, sizeof *e->stream[1].imports);
  if (!e->stream[1].imports)
    return eng_executor_no_memory (error);
  for (uint32_t id = 0; n_lead && id < program->n_buffers; id++)
    if (writes (program, &e->stream[0], (EngBufferId) id) && takes (program, &e->stream[1], (EngBufferId) id))
      e->stream[1].imports[e->stream[1].n_imports++] = (EngBufferId) id;
  e->stream_rows = stream_rows;
  return ENG_OK;
}

/* The step that writes the keys and values which the layer of step @i_step reads, if that is another layer's; or NULL. */
static const EngStep *
find_owner (const EngProgram *program, uint32_t i_step)
{
  const EngStep *s = &program->steps[i_step];
  for (uint32_t i = 0; i < i_step && s->kind == ENG_STEP_QKV && s->w[1] == ENG_WEIGHT_NONE; i++)
    {
      const EngStep *o = &program->steps[i];
      if (o->kind == ENG_STEP_QKV && o->w[1] != ENG_WEIGHT_NONE && o->u.qkv.group == s->u.qkv.group
          && o->u.qkv.i_layer_in_group == s->u.qkv.i_layer_in_group)
        return o;
    }
  return NULL;
}

uint32_t
eng_executor_get_least_layers (const EngProgram *program)
{
  uint32_t least = 1;
  for (uint32_t i = 0; i < program->n_steps; i++)
    {
      const EngStep *owner = find_owner (program, i);
      if (owner && program->n_layers - owner->layer > least)
        least = program->n_layers - owner->layer;
    }
  return least;
}

EngStatus
eng_executor_check_placement (const EngProgram *program, const EngExecutorOptions *o, EngError *error)
{
  for (uint32_t i = 0; o->layer_devices && i < program->n_layers; i++)
    if (o->layer_devices[i] >= o->n_devices)
      return eng_error_set (error, ENG_ERR_ARGUMENT, "placement", ENG_OFFSET_NONE,
                            "layer %u is placed on device %u of %u", i, o->layer_devices[i],
                            o->n_devices);
  for (uint32_t i = 0; o->expert_devices && i < program->n_layers; i++)
    if (o->expert_devices[i] >= o->n_devices)
      return eng_error_set (error, ENG_ERR_ARGUMENT, "placement", ENG_OFFSET_NONE,
                            "experts of layer %u are placed on device %u of %u", i,
                            o->expert_devices[i], o->n_devices);
  if (o->n_devices == 0)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "placement", ENG_OFFSET_NONE, "no device");
  for (uint32_t i = 0; i < program->n_steps; i++)
    {
      const EngStep *s = &program->steps[i], *owner = find_owner (program, i);
      if (owner && device_of (program, o, i) != device_of (program, o, (uint32_t) (owner - program->steps)))
        return eng_error_set (error, ENG_ERR_UNSUPPORTED, "placement", ENG_OFFSET_NONE,
                              "layer %u reads the keys and values of layer %u: both must be on one device", s->layer,
                              owner->layer);
    }
  return ENG_OK;
}
