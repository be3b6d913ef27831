/* SPDX-License-Identifier: Apache-2.0 */
/* Packed weights: what the integer products read.
 *
 * A panel is P neighbouring rows of a matrix (P = EngKernels.panel_rows; missing rows are zero),
 * stored super-block by super-block along the columns. A super-block covers 32 or 256 columns, that
 * is 1 or 8 sub-blocks of 32, and consists of
 *   the planes of each sub-block in turn:
 *     low 4 bits [4][P][4]  byte [u][row][k] = code of column 4u + k | code of column 16 + 4u + k << 4
 *     1 bit [P][4]          bit v of byte [row][k] belongs to column 4v + k
 *     2 bits [2][P][4]      bits 2v, 2v+1 of byte [u][row][k] belong to column 16u + 4v + k
 *     8 bits [8][P][4]      byte [v][row][k] is column 4v + k
 *   then the scales of all its sub-blocks (EngPackScales).
 * So a register of 4 P bytes holds four columns of P rows: multiplied by four activations repeated P
 * times it gives P sums of four products, one a row, and no sum crosses a register.
 * Codes are unsigned; a code c stands for c + offset of the format, or a table's entry. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-type.h"

/* All of them, for what each needs an instance of. */
#define ENG_PACK_EACH(X)                                                                           \
  X (Q4_0) X (Q4_1) X (Q5_0) X (Q5_1) X (Q8_0) X (Q2_K) X (Q3_K) X (Q4_K) X (Q5_K) X (Q6_K)        \
  X (IQ4_NL) X (IQ4_XS) X (MXFP4)

typedef enum
{
#define ENG_PACK_ITEM(name) ENG_PACK_##name,
  ENG_PACK_EACH (ENG_PACK_ITEM)
#undef ENG_PACK_ITEM
  ENG_PACK_N,
  ENG_PACK_NONE = ENG_PACK_N,
} EngPack;

/* Scales of a super-block, each array [P] rows wide. w = d * c + m of its group. */
typedef enum
{
  ENG_PACK_SCALES_D,    /* f16 d */
  ENG_PACK_SCALES_DM,   /* f16 d, f16 m */
  ENG_PACK_SCALES_BF,   /* bf16 d */
  ENG_PACK_SCALES_SM32, /* u8 s[8], u8 n[8], f16 D, f16 M: d = D s, m = -M n, a group each 32 */
  ENG_PACK_SCALES_S16,  /* i8 s[8][2], f16 D: d = D s, a group each 16 */
  ENG_PACK_SCALES_SM16, /* u8 (s | n << 4)[8][2], f16 D, f16 M: as SM32, a group each 16 */
  ENG_PACK_SCALES_S32,  /* i8 s[8], f16 D: d = D s, a group each 32 */
} EngPackScales;

typedef struct
{
  EngType type;
  uint8_t n_sub;       /* sub-blocks of 32 in a super-block: 1 or 8 */
  bool has4, has1, has2, has8; /* planes */
  uint8_t shift1, shift2;      /* place of the 1-bit and 2-bit planes in a code */
  uint8_t scales;      /* EngPackScales */
  int8_t offset;       /* c + offset, before scaling; 0 where a minimum is stored */
  const int8_t *table; /* [16], or NULL: the code is the value */
} EngPackInfo;

/* NULL for ENG_PACK_NONE. */
const EngPackInfo *eng_pack_get_info (EngPack pack);
/* The format that weights of @type are packed to; ENG_PACK_NONE for F32, F16, BF16. */
EngPack eng_pack_from_type (EngType type);

/* Bytes of one sub-block's planes, of a super-block, and of a panel of @n_cols columns (a multiple of
 * the type's block). */
size_t eng_pack_sub_bytes (const EngPackInfo *info, uint32_t panel_rows);
size_t eng_pack_block_bytes (const EngPackInfo *info, uint32_t panel_rows);
size_t eng_pack_panel_bytes (const EngPackInfo *info, uint32_t panel_rows, uint64_t n_cols);

/* Pack @n_rows <= panel_rows rows, @row_bytes apart, of the file's blocks at @src to the panel @dst. */
void eng_pack_panel (EngPack pack, uint32_t panel_rows, const uint8_t *src, uint64_t row_bytes,
                     uint32_t n_rows, uint64_t n_cols, uint8_t *dst);

/* The 32 values of row @i_row in sub-block @i_sub of the super-block @block: what the products take
 * the weights for. */
void eng_pack_unpack_sub (EngPack pack, uint32_t panel_rows, const uint8_t *block, uint32_t i_row,
                          uint32_t i_sub, float dst[32]);
/* The whole row @i_row of a panel. */
void eng_pack_unpack_row (EngPack pack, uint32_t panel_rows, const uint8_t *panel, uint32_t i_row,
                          uint64_t n_cols, float *dst);
