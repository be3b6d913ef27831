/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces that the arm64 tiers share. A panel has 8 rows here, so what eng-pack.h calls a register of
 * 4 P bytes is two of NEON's, rows 0 to 3 and 4 to 7. Everything is inline: each tier is compiled
 * with its own instruction set. */
#pragma once

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__ ((always_inline))
#define ENG_P 8

/* One value for each row of a panel. */
typedef struct
{
  float32x4_t h[2];
} PanelF;

INLINE float32x4_t
load_half4 (const void *p)
{
  return vcvt_f32_f16 (vreinterpret_f16_u8 (vld1_u8 (p)));
}

INLINE float32x4_t
load_bf4 (const void *p)
{
  return vreinterpretq_f32_u32 (vshll_n_u16 (vreinterpret_u16_u8 (vld1_u8 (p)), 16));
}

INLINE PanelF
panel_set (float x)
{
  return (PanelF){ { vdupq_n_f32 (x), vdupq_n_f32 (x) } };
}

INLINE PanelF
panel_mul (PanelF a, PanelF b)
{
  return (PanelF){ { vmulq_f32 (a.h[0], b.h[0]), vmulq_f32 (a.h[1], b.h[1]) } };
}

/* acc + a * x */
INLINE PanelF
panel_fma (PanelF acc, PanelF a, float x)
{
  return (PanelF){ { vfmaq_n_f32 (acc.h[0], a.h[0], x), vfmaq_n_f32 (acc.h[1], a.h[1], x) } };
}

INLINE PanelF
panel_load (const float *p)
{
  return (PanelF){ { vld1q_f32 (p), vld1q_f32 (p + 4) } };
}

INLINE void
panel_store (float *p, PanelF a)
{
  vst1q_f32 (p, a.h[0]);
  vst1q_f32 (p + 4, a.h[1]);
}

INLINE PanelF
panel_from_i16 (int16x8_t a)
{
  return (PanelF){ { vcvtq_f32_s32 (vmovl_s16 (vget_low_s16 (a))),
                     vcvtq_f32_s32 (vmovl_s16 (vget_high_s16 (a))) } };
}

INLINE PanelF
panel_from_i8 (const uint8_t *p)
{
  return panel_from_i16 (vmovl_s8 (vreinterpret_s8_u8 (vld1_u8 (p))));
}

INLINE PanelF
panel_from_u8 (uint8x8_t a)
{
  return panel_from_i16 (vreinterpretq_s16_u16 (vmovl_u8 (a)));
}

INLINE PanelF
panel_from_half (const uint8_t *p)
{
  return (PanelF){ { load_half4 (p), load_half4 (p + 8) } };
}

INLINE PanelF
panel_from_bf (const uint8_t *p)
{
  return (PanelF){ { load_bf4 (p), load_bf4 (p + 8) } };
}
