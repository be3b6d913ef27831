// SPDX-License-Identifier: Apache-2.0
#include "room.h"

#include <stdio.h>
#include <stdlib.h>

#include "eng-cuda-private.h"

// What a step works in at the same time.
struct Region
{
  const char *what;
  const void *from;
  uint64_t bytes;
};

struct Look
{
  const EngBound *b;
  CuScratch s;
  uint32_t n_rows;
  char *words;
  Region regions[16];
  int n_regions;

  void
  uses (const char *what, const void *from, uint64_t bytes)
  {
    if (from && bytes)
      regions[n_regions++] = { what, from, bytes };
  }
  bool
  overlap (uint32_t i)
  {
    for (int k = 0; k < n_regions; k++)
      for (int n = 0; n < k; n++)
        {
          const Region &a = regions[k], &c = regions[n];
          const uintptr_t x = (uintptr_t) a.from, y = (uintptr_t) c.from;
          if (x < y + c.bytes && y < x + a.bytes)
            {
              snprintf (words, 256, "step %u (kind %d): %s and %s lie at the same place", i, (int) b->program->steps[i].kind, a.what, c.what);
              return true;
            }
        }
    return false;
  }
  void
  uses_buffer (const char *what, EngBufferId id)
  {
    if (id != ENG_BUFFER_NONE)
      uses (what, s.buffers[id], (uint64_t) n_rows * b->program->buffers[id].width * 4);
  }
  // Products expand so much of a matrix at least.
  bool
  too_small (uint32_t i, uint64_t elements)
  {
    if (s.w16 && s.w16_elements >= elements)
      return false;
    snprintf (words, 256, "step %u (kind %d): room for %llu expanded weights, not %llu", i, (int) b->program->steps[i].kind,
              (unsigned long long) s.w16_elements, (unsigned long long) elements);
    return true;
  }
  bool
  step (uint32_t i)
  {
    const EngStep *s1 = &b->program->steps[i];
    const EngWeightDesc *w = b->program->weights;
    const bool experts = s1->kind == ENG_STEP_EXPERTS, latent = s1->kind == ENG_STEP_LATENT, output = s1->kind == ENG_STEP_OUTPUT;
    const bool of_a_head = latent || s1->kind == ENG_STEP_HEADS;
    const int n = s1->kind == ENG_STEP_QKV                                                             ? 3
                  : s1->kind == ENG_STEP_GATE_UP || latent                                             ? 2
                  : s1->kind == ENG_STEP_PRODUCT || s1->kind == ENG_STEP_ROUTE || output || of_a_head ? 1
                  : experts && !cu_experts_fit (b->device->code_arch, &b->weights[s1->w[0]], &b->weights[s1->w[1]], &b->weights[s1->w[2]],
                                                s1->u.experts.act)
                      ? 3
                      : 0;
    bool expands = false, floats = false;
    for (int k = latent; k < n; k++)
      {
        if (s1->w[k] == ENG_WEIGHT_NONE)
          continue;
        const EngWeightDesc *d = &w[s1->w[k]];
        floats = floats || d->type == ENG_TYPE_F32;
        if (d->type == ENG_TYPE_F32 && !output) // multiplied as they are
          continue;
        expands = true;
        if (too_small (i, experts || of_a_head ? d->n_rows * d->n_cols : d->n_cols))
          return true;
      }
    if (n == 0)
      return false;
    n_regions = 0;
    if (expands)
      {
        uses ("expanded weights", s.w16, s.w16_elements * 2);
        uses ("the library's memory", s.workspace, CU_BLAS_WORKSPACE_BYTES);
      }
    if (!experts && expands && !floats)
      {
        const bool from_glu = i > 0 && s1[-1].kind == ENG_STEP_GATE_UP && s1[-1].dst == s1->src;
        uses ("inputs in bf16", from_glu ? s.h16 : s.x16, (uint64_t) n_rows * b->program->buffers[s1->src].width * 2);
      }
    if (s1->kind == ENG_STEP_GATE_UP)
      {
        const uint64_t wanted = floats ? 2 * (uint64_t) n_rows * w[s1->w[0]].n_rows : 2 * (uint64_t) n_rows;
        if (s.glu_floats < wanted)
          {
            snprintf (words, 256, "step %u: room for %llu floats of gate and up, not %llu", i, (unsigned long long) s.glu_floats, (unsigned long long) wanted);
            return true;
          }
        uses ("gate and up", s.glu_rows, s.glu_floats * 4);
        uses ("their product in bf16", s.h16, (uint64_t) n_rows * b->program->buffers[s1->dst].width * 2);
      }
    if (!output && !b->plans[i].only_x16)
      uses_buffer ("the output", s1->dst);
    if (s1->aux != s1->dst)
      uses_buffer ("what is added", s1->aux);
    return overlap (i);
  }
};

bool
room_is_missing (const EngProgram *program, int code_arch, uint32_t n_rows, char words[256])
{
  EngDevice device = {};
  device.n_units = 132;
  device.major = code_arch / 10;
  device.minor = code_arch % 10;
  device.code_arch = code_arch;
  device.pdl = code_arch >= 90;
  EngBound *b = NULL;
  bool *used = NULL, missing = false;
  EngError error = {};
  words[0] = '\0';
  if (cu_bound_new (&device, program, NULL, &used, &b, &error) != ENG_OK)
    {
      snprintf (words, 256, "%s", error.text);
      return true;
    }
  EngStateOptions o = {};
  o.max_rows = n_rows;
  o.max_positions = 4096;
  o.max_sequences = 1;
  o.max_outputs = 1;
  Look look = { b, {}, n_rows, words, {}, 0 };
  look.s.buffers = (float **) calloc (program->n_buffers + 1, sizeof (float *));
  if (cu_scratch_place (b, &o, CU_LAYOUT_LARGE, (uint8_t *) (1 << 20), &look.s) == UINT64_MAX)
    {
      snprintf (words, 256, "out of memory");
      missing = true;
    }
  for (uint32_t i = 0; i < program->n_steps && !missing; i++)
    missing = look.step (i);
  free (look.s.buffers);
  free (used);
  cu_unbind (&b);
  return missing;
}
