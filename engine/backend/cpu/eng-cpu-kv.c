/* SPDX-License-Identifier: Apache-2.0 */
/* How a head's keys and values of a block stand in memory.
 *
 * Keys stand so that one vector register holds the same component of 16 neighbouring positions; scores then need no sums across
 * a register. Values stand row by row. F16 and F32: keys [ENG_KV_BLOCK / 16][k_width][16], values [ENG_KV_BLOCK][v_width]. Q8_0
 * has codes of 8 bits and a half-precision scale for up to 32 of them: keys [ENG_KV_BLOCK / 16] times (codes [k_width][16],
 * scales [ENG_KV_SCALES (k_width)][16]), values codes [ENG_KV_BLOCK][v_width], scales [ENG_KV_BLOCK][ENG_KV_SCALES (v_width)]. */
#include "eng-cpu-private.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "eng-half.h"

#define MAX_SCALES ENG_KV_SCALES (ENG_CPU_MAX_KEY)

uint64_t
eng_cpu_kv_bytes (EngType type, uint32_t width)
{
  switch (type)
    {
    case ENG_TYPE_F32:
      return (uint64_t) ENG_KV_BLOCK * width * 4;
    case ENG_TYPE_F16:
      return (uint64_t) ENG_KV_BLOCK * width * 2;
    case ENG_TYPE_Q8_0:
      return (uint64_t) ENG_KV_BLOCK * (width + 2 * ENG_KV_SCALES (width));
    default:
      return 0;
    }
}

EngCpuCodes
eng_cpu_key_codes (const uint8_t *keys, uint32_t width, uint32_t p)
{
  const uint8_t *group
      = keys + (size_t) (p / ENG_CPU_KEY_GROUP) * ENG_CPU_KEY_GROUP * (width + 2 * ENG_KV_SCALES (width));
  return (EngCpuCodes) { (const int8_t *) group,
                         (const uint16_t *) (const void *) (group + (size_t) ENG_CPU_KEY_GROUP * width) };
}

EngCpuCodes
eng_cpu_value_codes (const uint8_t *values, uint32_t width, uint32_t p)
{
  const uint16_t *scales = (const uint16_t *) (const void *) (values + (size_t) ENG_KV_BLOCK * width);
  return (EngCpuCodes) { (const int8_t *) values + (size_t) p * width, scales + (size_t) p * ENG_KV_SCALES (width) };
}

/* As Q8_0 does it: the largest magnitude of 32 becomes 127. What is not finite stays visible: its scale is no number. Written so
 * that compilers make vectors of it: magnitudes compare as integers, and adding 1.5 x 2^23 rounds to the nearest one. */
static void
encode (const float *x, uint32_t n, int8_t *codes, uint16_t *scales)
{
  for (uint32_t i = 0; i < n; i += 32)
    {
      uint32_t n_here = eng_cpu_min (32, n - i);
      int32_t bits[32] = { 0 }, most = 0;
      float rounded[32] = { 0 };
      memcpy (bits, x + i, n_here * sizeof (float));
      for (uint32_t j = 0; j < 32; j++)
        {
          int32_t magnitude = bits[j] & INT32_MAX;
          most = magnitude > most ? magnitude : most;
        }
      float largest;
      memcpy (&largest, &most, sizeof largest);
      bool finite = largest < INFINITY;
      uint16_t half = finite ? eng_f32_to_f16 (largest / 127) : 0x7e00;
      float scale = eng_f16_to_f32 (half), inverse = finite && scale > 0 ? 1 / scale : 0;
      for (uint32_t j = 0; j < n_here; j++)
        rounded[j] = x[i + j] * inverse + 12582912.0f;
      memcpy (bits, rounded, sizeof bits);
      for (uint32_t j = 0; j < n_here; j++)
        codes[i + j] = (int8_t) (finite ? bits[j] - 0x4b400000 : 1);
      scales[i / 32] = half;
    }
}

void
eng_cpu_store_key (const EngCpuRun *run, EngGroupId group, uint32_t i_layer, uint32_t r, uint32_t head, const float *x)
{
  const EngRow *row = &run->batch->rows[r];
  const EngCpuGroup *g = &run->state->groups[group];
  uint32_t position = row->position[0], width = run->bound->program->groups[group].k_width, p = position % ENG_KV_BLOCK;
  uint32_t block = run->batch->sequences[row->i_sequence].tables[group][position / ENG_KV_BLOCK];
  uint8_t *keys = g->data + block * g->block_bytes + i_layer * g->layer_bytes + head * g->k_head_bytes;
  size_t place = p % ENG_CPU_KEY_GROUP, at = (size_t) (p / ENG_CPU_KEY_GROUP) * width * ENG_CPU_KEY_GROUP + place;
  if (g->k_type == ENG_TYPE_F32)
    {
      float *k = (float *) (void *) keys + at;
      for (uint32_t i = 0; i < width; i++)
        k[(size_t) i * ENG_CPU_KEY_GROUP] = x[i];
    }
  else if (g->k_type == ENG_TYPE_Q8_0)
    {
      int8_t row_codes[ENG_CPU_MAX_KEY], *codes = (int8_t *) (uintptr_t) eng_cpu_key_codes (keys, width, p).codes;
      uint16_t row_scales[MAX_SCALES], *scales = (uint16_t *) (uintptr_t) eng_cpu_key_codes (keys, width, p).scales;
      encode (x, width, row_codes, row_scales);
      for (uint32_t i = 0; i < width; i++)
        codes[(size_t) i * ENG_CPU_KEY_GROUP + place] = row_codes[i];
      for (uint32_t i = 0; i < ENG_KV_SCALES (width); i++)
        scales[(size_t) i * ENG_CPU_KEY_GROUP + place] = row_scales[i];
    }
  else
    {
      uint16_t *k = (uint16_t *) (void *) keys + at, half[ENG_CPU_MAX_KEY];
      run->k->float_to_half (x, half, width);
      for (uint32_t i = 0; i < width; i++)
        k[(size_t) i * ENG_CPU_KEY_GROUP] = half[i];
    }
}

void
eng_cpu_store_value (const EngCpuRun *run, uint32_t r, uint32_t head, const float *x)
{
  const EngStep *s = run->step;
  const EngRow *row = &run->batch->rows[r];
  const EngCpuGroup *g = &run->state->groups[s->u.qkv.group];
  uint32_t position = row->position[0], width = s->u.qkv.v_width, p = position % ENG_KV_BLOCK;
  uint32_t block = run->batch->sequences[row->i_sequence].tables[s->u.qkv.group][position / ENG_KV_BLOCK];
  uint8_t *values = g->data + block * g->block_bytes + s->u.qkv.i_layer_in_group * g->layer_bytes
                    + s->u.qkv.n_head_kv * g->k_head_bytes + head * g->v_head_bytes;
  EngCpuCodes codes = eng_cpu_value_codes (values, width, p);
  if (g->v_type == ENG_TYPE_F32)
    memcpy ((float *) (void *) values + (size_t) p * width, x, width * sizeof (float));
  else if (g->v_type == ENG_TYPE_Q8_0)
    encode (x, width, (int8_t *) (uintptr_t) codes.codes, (uint16_t *) (uintptr_t) codes.scales);
  else
    run->k->float_to_half (x, (uint16_t *) (void *) values + (size_t) p * width, width);
}

void
eng_cpu_read_key (const EngCpuRun *run, const EngCpuGroup *g, const uint8_t *keys, uint32_t width, uint32_t p, uint32_t n,
                  float *k)
{
  size_t place = p % ENG_CPU_KEY_GROUP, at = (size_t) (p / ENG_CPU_KEY_GROUP) * width * ENG_CPU_KEY_GROUP + place;
  EngCpuCodes codes = eng_cpu_key_codes (keys, width, p);
  for (uint32_t i = 0; i < n; i++)
    {
      size_t there = at + (size_t) i * ENG_CPU_KEY_GROUP;
      if (g->k_type == ENG_TYPE_F32)
        k[i] = ((const float *) (const void *) keys)[there];
      else if (g->k_type == ENG_TYPE_Q8_0)
        k[i] = codes.codes[(size_t) i * ENG_CPU_KEY_GROUP + place]
               * eng_f16_to_f32 (codes.scales[(size_t) (i / 32) * ENG_CPU_KEY_GROUP + place]);
      else
        run->k->half_to_float ((const uint16_t *) (const void *) keys + there, k + i, 1);
    }
}

const float *
eng_cpu_read_value (const EngCpuRun *run, const EngCpuGroup *g, const uint8_t *values, uint32_t width, uint32_t p, float *v)
{
  EngCpuCodes codes = eng_cpu_value_codes (values, width, p);
  if (g->v_type == ENG_TYPE_F32)
    return (const float *) (const void *) values + (size_t) p * width;
  if (g->v_type == ENG_TYPE_F16)
    run->k->half_to_float ((const uint16_t *) (const void *) values + (size_t) p * width, v, width);
  for (uint32_t i = 0; g->v_type == ENG_TYPE_Q8_0 && i < width; i++)
    v[i] = codes.codes[i] * eng_f16_to_f32 (codes.scales[i / 32]);
  return v;
}
