/* SPDX-License-Identifier: Apache-2.0 */
/* Shared declarations of the CUDA module: its objects, and its launchers.
 *
 * The module is loaded at run time, links the CUDA runtime statically and exports one symbol
 * (eng-device.h). It keeps no state of its own: everything hangs on a device handle. Launchers take raw
 * device pointers, shapes and a stream, return the launch's status, allocate nothing and never wait.
 *
 * Invariants
 *  1. All device memory of a bound is one allocation, all of a state another; both are made before
 *     the first token and sized by plan ().
 *  2. A decode graph captures kernels whose arguments never change: what differs from token to
 *     token (token, position, block tables, lengths) is read from EngState.meta in device memory.
 *  3. Weights are the file's own bits: repacking moves them (format.cuh) and can be undone. */
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "eng-device.h"

/* At most this many rows go through the matrix-vector kernels; more through matrix products. */
#define ENG_CUDA_GEMV_ROWS 8
#define ENG_CUDA_MAX_SEQUENCES 64
#define ENG_CUDA_MAX_GROUPS 8
#define ENG_CUDA_HEAD_MAX 512 /* numbers of a head's value, and of its key but for latents' */
#define ENG_CUDA_DELTA_MAX 256 /* of a head of a recurrent layer */
#define ENG_CUDA_MAX_TAPS 8 /* of a convolution */

/* A weight on the device. Quantized products are stored as planes (format.cuh); others as the file has
 * them (F32, F16, BF16), vectors always as F32. Offsets are from the bound's arena. */
typedef struct
{
  uint8_t type; /* EngType */
  uint8_t q_bytes; /* of plane q a sub-block of 32; 0 = float rows, no planes */
  uint32_t n_slices;
  uint32_t n_rows, n_cols;
  const uint8_t *q, *h, *s, *d;
} CuWeight;

/* What one product kernel does with its sums. */
enum
{
  CU_TAIL_STORE, /* y = act (v + b) * scale */
  CU_TAIL_ADD,   /* y = aux + act (v + b) * scale */
  CU_TAIL_GLU,   /* y = act (gate) * up: the segment's rows are paired with those of the next weight */
};

#define CU_MAX_SEGMENTS 3
typedef struct
{
  CuWeight w, w2; /* w2: GLU only */
  const float *bias, *bias2;
  float *y;
  uint32_t y_stride; /* floats from row to row */
} CuSegment;

/* Arguments of a matrix-vector launch over up to ENG_CUDA_GEMV_ROWS rows. */
typedef struct
{
  CuSegment segment[CU_MAX_SEGMENTS];
  int n_segments;
  bool by_block; /* what is left over for some warps is for those of few multiprocessors, so that the others are free early */
  int tail, act;
  float scale, soft_cap;
  const float *x; /* [rows, x_stride] */
  uint32_t x_stride, n_cols;
  const float *norm; /* RMS weight fused in front, or NULL; has_norm says whether to normalize */
  int has_norm;
  float eps;
  const float *aux; /* CU_TAIL_ADD; stride as y */
  const int *row_map; /* input row of output row r (rows that want logits), or NULL */
  /* experts: x's row r uses experts route[r][0..n_used) as floats, weights at [n_used..2 n_used) */
  const float *route;
  uint32_t route_stride, n_used;
  int expert_down; /* 0: gate/up of each slot to y[slot]; 1: weighted sum over slots */
} CuGemv;

/* Device-side description of the rows in flight, rewritten for every run (pinned twin on the host). */
typedef struct
{
  int32_t n_rows, n_outputs;
  int32_t token[1]; /* see CuMeta offsets in eng-cuda-run.cu: arrays follow */
} CuMetaHeader;

/* Pointers into the state's meta block. */
typedef struct
{
  const int32_t *token;    /* [max_rows] */
  const int32_t *position; /* [max_rows] */
  const int32_t *sequence; /* [max_rows] */
  const int32_t *output;   /* [max_outputs] row of each output */
  const int32_t *length;   /* [max_sequences] positions valid */
  const int32_t *first_row; /* [max_sequences + 1] */
  const int32_t *table[ENG_CUDA_MAX_GROUPS]; /* [max_sequences, table_stride] */
  int32_t table_stride[ENG_CUDA_MAX_GROUPS];
} CuMeta;

typedef struct
{
  const __half *k, *v; /* this layer's [n_blocks, n_kv_head, ENG_KV_BLOCK, width] */
  uint32_t n_blocks; /* of the cache */
  int n_head, n_head_kv, k_width, v_width;
  int v_pitch; /* halves from value to value: v_width, or where values are the first numbers of the keys k_width */
  float scale, soft_cap;
  int window;
  int causal;
  const float *sinks;
} CuAttention;

/* Where a layer with a recurrent state keeps it: [n_blocks][block_floats], entries of the group's tables. */
typedef struct
{
  float *state;
  uint32_t block_floats;
  int group;
} CuRecurrent;

typedef struct
{
  CuRecurrent r;
  const float *src; /* [rows, width = 2 * n_k * k_width + n_v * v_width] */
  float *convolved; /* scratch of that shape */
  const float *taps, *a, *dt; /* [width, n_conv], [n_v], [n_v] */
  const float *alpha, *beta;  /* [rows, n_v]; @grouped: the same [rows, 2 * n_v] */
  float *y;                   /* [rows, n_v * v_width] */
  int n_k, n_v, k_width, v_width, n_conv;
  int grouped; /* as u.delta.grouped */
} CuDelta;

typedef struct
{
  CuRecurrent r;
  const float *src, *taps; /* [rows, 3 * width], [width, n_conv] */
  float *y;                /* [rows, width] */
  int width, n_conv;
} CuConv;

/* ---- launchers (kernel-*.cu) ---- */
typedef cudaStream_t CuStream;

/* What the code that runs on the current device was compiled for: 75, 80, 90, …: less than the card's own compute
 * capability where the driver made it from PTX. 0 when there is none for it. */
int cu_code_arch (void);

/* Planes from the file's bytes: @raw holds rows [first_row, first_row + n_rows) of one slice. */
cudaError_t cu_repack (CuStream s, const CuWeight *w, const uint8_t *raw, uint64_t first_row,
                       uint64_t n_rows);
/* The inverse, for tests. */
cudaError_t cu_unpack (CuStream s, const CuWeight *w, uint8_t *raw, uint64_t first_row,
                       uint64_t n_rows);
/* Rows [first_row, first_row + n_rows) (slices counted through) as bf16 [n_rows, n_cols]. */
cudaError_t cu_expand_bf16 (CuStream s, const CuWeight *w, uint64_t first_row, uint64_t n_rows,
                            __nv_bfloat16 *out);
/* Plane bytes a row takes, per plane. 0 everywhere if the type has no planes. */
typedef struct
{
  uint32_t q, h, s, d;
} CuRowBytes;
CuRowBytes cu_row_bytes (int type, uint64_t n_cols);

/* A tile of a grouped product: rows [row, row + n_rows) times matrix @matrix of several. No rows: no tile. */
typedef struct
{
  int row, n_rows, matrix, unused;
} CuTile;
/* Products of up to CU_DOZENS rows: weights as they are, activations as 8-bit integers in blocks of 32 columns:
 *   q      [block][tile][lane][2]  words of a lane of the tensor cores (kernel-dozens.cuh), a tile being 8 rows
 *   ds     [block][tile][8]        d, and the sum of the block's integers
 *   halves [block][tile][8]        sums of its first and last 16 integers, 16 bits each
 * _place: where they lie in @scratch of cu_dozens_bytes (). _fit: @code_arch as cu_code_arch (). */
#define CU_DOZENS 64 /* from there on expanding weights pays (an H100, 8B: 64 rows 11.1 ms, 96 15.7; expanded 14.9 and 15.4) */
typedef struct
{
  uint32_t *q;
  float2 *ds;
  int *halves;
  int n_tiles;
} CuDozens;
uint64_t cu_dozens_bytes (uint64_t n_rows, uint64_t n_cols);
CuDozens cu_dozens_place (void *scratch, int n_rows, uint32_t n_cols);
bool cu_dozens_fit (int code_arch, const CuWeight *w);
/* Row r is that of @x, @stride floats apart, that row_map[r] says, or r where there is none. */
cudaError_t cu_dozens_quantize (CuStream s, const float *x, uint32_t stride, const int *row_map, int n_rows, int n_cols, const CuDozens *out,
                                int pdl);
/* y [n_rows, ldy] = beta y + x w^T; beta is 0 or 1. */
cudaError_t cu_dozens_product (CuStream s, const CuWeight *w, const CuDozens *x, int n_rows, float *y, int ldy, float beta, int pdl);
/* The same of a mixture's experts: rows sorted by expert in tiles of at most @tile_rows (8, 16 or 32), each with as much room in @x. Row r
 * of those sorted is that of @x, @stride floats apart, that row_map[r] says, or r; y [rows, w's rows]. */
#define CU_DOZENS_OF_EXPERT 16 /* rows an expert has on average, up to which they are used (Qwen3-30B-A3B: 256 rows 61 -> 53 ms, 512 65 -> 71) */
CuDozens cu_dozens_place_tiles (void *scratch, int n_tiles, int tile_rows, uint32_t n_cols);
cudaError_t cu_dozens_quantize_tiles (CuStream s, const float *x, uint32_t stride, const int *row_map, const CuTile *tiles, int tile_rows,
                                      int n_cols, const CuDozens *out, int pdl);
cudaError_t cu_dozens_experts (CuStream s, const CuWeight *w, const CuDozens *x, const CuTile *tiles, int n_tiles, int tile_rows, float *y,
                               int pdl);

cudaError_t cu_gemv (CuStream s, const CuGemv *g, int n_rows, int n_units, int pdl);
/* The same for float weights of rows that are no multiple of 8; no experts. */
cudaError_t cu_gemv_plain (CuStream s, const CuGemv *g, int n_rows, int pdl);

/* A product a head, for few rows: y[r][h] = w's slice of head h, or where it is turned the transposed, times x[r][h]. Float
 * weights have multiples of 4 columns. */
typedef struct
{
  CuWeight w;
  bool turned;
  const float *x;
  float *y;
  uint32_t x_stride, x_head, y_stride, y_head; /* floats from row to row, from head to head */
} CuHeads;
cudaError_t cu_heads (CuStream s, const CuHeads *h, int n_rows, int pdl);

/* What ENG_STEP_LATENT does besides that product: RoPE of the queries' last numbers, keys to the cache. */
typedef struct
{
  const float *query;  /* [rows, n_head, n_plain + n_rot] */
  const float *latent; /* [rows, n_latent + n_rot] */
  const float *norm;   /* [n_latent] */
  float *q;            /* [rows, n_head, n_latent + n_rot] */
  __half *kc;          /* the layer's cache */
  int n_head, n_plain, n_latent, n_rot, group, rope_kind;
  float eps, rope_scale;
  const float *inv_freq; /* [n_rot / 2] */
} CuLatent;
cudaError_t cu_latent (CuStream s, const CuLatent *l, const CuMeta *m, int n_rows, int pdl);

/* @positions, @types: further tables, NULL where absent. A row without a token has its own vector in @y already
 * (@has_vectors), or is zero. */
cudaError_t cu_embed (CuStream s, const CuWeight *table, const CuWeight *positions, const CuWeight *types,
                      const CuMeta *m, float scale, int position_offset, bool has_vectors, int n_rows, float *y,
                      int width, int pdl);
/* y = ([after +] norm (x [+ before]) * scale) [* factor[0]] over [n_rows, width], also in @y16 (either may be NULL). A row
 * in parts: so many rows of a part's width. */
typedef struct
{
  int kind; /* EngNormKind */
  const float *x, *before, *after, *w, *b, *factor;
  float eps, scale;
} CuNorm;
cudaError_t cu_norm (CuStream s, const CuNorm *n, float *y, __nv_bfloat16 *y16, int n_rows, int width, int pdl);
typedef struct
{
  float *q;
  const float *k, *v; /* [rows, heads * width]; one, where keys are values; NULL: there are keys already, only queries come */
  __half *kc, *vc;    /* the layer's cache */
  const float *q_norm, *k_norm;
  int norm_kind;
  bool value_norm; /* RMS norm of each value, without weight */
  float eps, clamp;
  int n_head, n_head_kv, k_width, v_width;
  const float *inv_freq; /* [n_rot / 2] */
  int rope_kind, n_rot;
  float rope_scale;
  int group;
  const float2 *angles; /* for cu_attention_token () where it is deep: cosine and sine of position times inv_freq, [rows, angles_stride] */
  int angles_stride;
} CuQkv;
/* Those of @n frequencies, [n_rows, n]: once for all layers. */
cudaError_t cu_angles (CuStream s, const float *inv_freq, const CuMeta *m, int n, int n_rows, float2 *angles, int pdl);
cudaError_t cu_qkv_finish (CuStream s, const CuQkv *a, const CuMeta *m, int n_rows, int pdl);

/* Attention of rows that are alone in their sequence, with cu_qkv_finish's work in front of it: @f as there, @f->q
 * the raw product. _fits: whether the card and the widths allow it. @deep: the kernel for
 * many positions, as cu_attention_is_deep () says; right or wrong, it costs only time. */
#define CU_TOKEN_HEADS 4 /* of a group, that a block takes where they divide it */
bool cu_attention_token_fits (const CuAttention *a);
/* How much a row has behind it, in steps that attention tells apart. Measured on an H200: 8B behind 130, 500, 900 and 8,256 positions 1,635 ->
 * 1,616 us, 1,646 -> 1,619, 1,648 -> 1,616, 1,906 -> 1,843 by the deep kernel; Qwen2-0.5B, with heads of 64, behind 500 495 -> 502. */
static inline int
cu_depth (int position)
{
  return position >= 768 ? 2 : position >= 128;
}
bool cu_attention_is_deep (const CuAttention *a, int depth);
cudaError_t cu_attention_token (CuStream s, const CuAttention *a, const CuQkv *f, const CuMeta *m, float *y,
                                int n_rows, float *partial, int *counters, int n_units, bool deep, int pdl);
/* @partial: scratch of cu_attention_scratch () bytes. */
cudaError_t cu_attention_decode (CuStream s, const CuAttention *a, const CuMeta *m, int group,
                                 const float *q, float *y, int n_rows, float *partial,
                                 int *counters, int n_units, int pdl);
#define CU_ATTENTION_SLICES 32 /* of a row's positions, at most */
uint64_t cu_attention_scratch (int n_rows, int n_head, int v_width);
cudaError_t cu_attention_prefill (CuStream s, const CuAttention *a, const CuMeta *m, int group,
                                  const float *q, float *y, __nv_bfloat16 *y16, int n_rows,
                                  int max_rows_of_sequence, int n_sequences);

/* The same by Hopper's own instructions. cudaErrorNotSupported, and nothing done: the code that runs is not for sm_90a, or
 * the widths or rows do not suit it; cu_attention_prefill () goes another way then. */
cudaError_t cu_attention_hopper (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q, float *y,
                                 __nv_bfloat16 *y16, int max_rows_of_sequence, int n_sequences);
/* Heads that are too wide for the other kernels. cudaErrorNotSupported, and nothing done, where they are not among those that
 * it knows or the card's memory is too small. @max_rows_of_sequence 0: each row by itself, with @partial and @counters where
 * there are few; else they are not used. @y16 may be NULL. */
cudaError_t cu_attention_wide (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q, float *y,
                               __nv_bfloat16 *y16, int n_rows, int max_rows_of_sequence, int n_sequences, float *partial,
                               int *counters, int n_units, int pdl);
/* Rows of any number that see window / 2 positions to either side; heads of at most CU_WINDOW_HEAD_MAX numbers. @y16 may be NULL. */
#define CU_WINDOW_HEAD_MAX 256
cudaError_t cu_attention_window (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q, float *y,
                                 __nv_bfloat16 *y16, int max_rows_of_sequence, int n_sequences, int pdl);

cudaError_t cu_to_bf16 (CuStream s, const float *x, uint64_t n, __nv_bfloat16 *y);
/* y[r] = x[rows[r]]. */
cudaError_t cu_gather (CuStream s, const float *x, const int *rows, int n_rows, int width, float *y);
cudaError_t cu_gather_bf16 (CuStream s, const float *x, const int *rows, int n_rows, int width,
                            __nv_bfloat16 *y);
/* y[r][c] = [aux +] act (v[r][c] + b[c]) * scale over [n_rows, width]; in place allowed. */
cudaError_t cu_epilogue (CuStream s, float *v, const float *bias, const float *aux, int act,
                         float scale, float soft_cap, int n_rows, int width);
cudaError_t cu_glu (CuStream s, const float *gate, const float *up, const float *b_gate,
                    const float *b_up, int act, int n_rows, int width, uint32_t stride, float *y,
                    __nv_bfloat16 *y16, uint32_t y_stride, int pdl);
/* y[r] *= sigmoid (x[r] . w) over [n_rows, width], also in @y16 (either may be NULL); x [n_rows, n_cols]. */
cudaError_t cu_gate_rows (CuStream s, const float *x, int n_cols, const float *w, int n_rows, int width, float *y,
                          __nv_bfloat16 *y16);
/* How a row's experts are chosen by their scores: u.route of eng-program.h. */
#define CU_MAX_EXPERTS 1024
#define CU_MAX_CHOICES 32
#define CU_MAX_EXPERT_GROUPS 32
typedef struct
{
  const float *selection, *factor; /* [n_expert] or NULL */
  int n_expert, n_used, gating, normalize;
  int n_groups, n_groups_used, n_group_best; /* n_groups <= 1: none */
  float scale;
} CuChoice;
cudaError_t cu_route (CuStream s, const float *scores, const CuChoice *c, int n_rows, float *y, int pdl);
/* The choices that cu_route () wrote, sorted by expert; arrays in device memory. */
typedef struct
{
  int n_rows, n_used, n_expert;
  int tile_rows, n_tiles; /* the latter as cu_most_tiles () says: a launch does not know how many there are */
  int *place;             /* [n_rows, n_used] sorted place of each choice */
  int *row, *expert;      /* of each sorted choice */
  int *first;             /* [n_expert + 1] place of each expert's first choice */
  CuTile *tiles;          /* [n_tiles] of at most tile_rows rows of one expert each */
} CuSorted;
cudaError_t cu_sort_by_expert (CuStream s, const float *route, const CuSorted *o, int pdl);
/* Of @n choices among @n_expert. */
int cu_most_tiles (int n, int n_expert, int tile_rows);
/* Scores and choice in one launch, for a float32 router over few rows: x [n_rows, n_cols], RMS norm folded in
 * where has_norm. @scores: [n_rows, n_expert], all bits zero before and after. */
typedef struct
{
  CuChoice choice;
  const float *x, *w, *norm, *bias; /* the last [n_expert] or NULL */
  int has_norm, n_cols;
  float eps;
  float *scores, *y;
} CuRouter;
cudaError_t cu_router (CuStream s, const CuRouter *r, int n_rows, int pdl);
/* y[r] = [y[r] +] sum over u of route weight (r, u) * slots[place[r * n_used + u]]; route rows hold n_used
 * ids, then n_used weights. */
cudaError_t cu_combine (CuStream s, const float *slots, const int *place, const float *route,
                        int n_used, int n_rows, int width, int add, float *y, int pdl);
/* y[r][0..n) = x[r][0..k) * w[matrix - first][n][k]^T for the rows of every tile (of 64 or 128) whose matrix is one of the
 * @n_matrices from @first on. _fits: @code_arch as cu_code_arch (). */
bool cu_grouped_fits (int code_arch, int n, int k);
cudaError_t cu_grouped_product (CuStream s, const CuSorted *o, const __nv_bfloat16 *x, const __nv_bfloat16 *w, int first,
                                int n_matrices, float *y, int n, int k);
/* The same on Hopper, from the planes: no weight is expanded in memory. Inputs [n_rows * n_used, columns] are bf16 whose columns stand
 * in the order that the tensor cores read weights in (kernel-experts-hopper.cuh); _gather makes them of rows of @x.
 *   _gate_up  h = gated (x gate^T + b_gate, x up^T + b_up), in that order again; both matrices of one type
 *   _down     y = h down^T
 * _fit: whether the code that runs, the matrices and the activation allow it. Tiles of CU_HOPPER_TILE rows. */
#define CU_HOPPER_TILE 128
bool cu_experts_fit (int code_arch, const CuWeight *gate, const CuWeight *up, const CuWeight *down, int act);
cudaError_t cu_experts_gather (CuStream s, const float *x, const CuSorted *o, int n_cols, __nv_bfloat16 *y, int pdl);
cudaError_t cu_experts_gate_up (CuStream s, const CuSorted *o, const CuWeight *gate, const CuWeight *up, const float *b_gate,
                                const float *b_up, int act, const __nv_bfloat16 *x, __nv_bfloat16 *h, int pdl);
cudaError_t cu_experts_down (CuStream s, const CuSorted *o, const CuWeight *down, const __nv_bfloat16 *h, float *y, int pdl);
/* y[r] += sum over u of route weight (r, u) * bias[expert (r, u)]: biases of down matrices, [n_expert, width]. */
cudaError_t cu_expert_bias (CuStream s, const float *bias, const float *route, int n_used, int n_rows, int width,
                            uint32_t stride, float *y, int pdl);
/* y[slot] += bias[expert[slot]] over [n_slots, width]: biases of gate and up matrices, slots sorted by expert. */
cudaError_t cu_slot_bias (CuStream s, const float *bias, const int *expert, int n_slots, int width, float *y);
cudaError_t cu_fill (CuStream s, float *y, uint64_t n, float value);

/* y [n_sequences, width] = mean, first or last row of each sequence (EngPoolKind). */
cudaError_t cu_pool (CuStream s, int kind, const float *x, const CuMeta *m, int n_sequences, int width, float *y, int pdl);
/* y [n_rows, width] = the beginnings of rows of @x_width numbers, scaled to length 1 if @normalize. */
cudaError_t cu_unit (CuStream s, const float *x, int x_width, int n_rows, int width, bool normalize, float *y, int pdl);

/* Steps DELTA and CONV of eng-program.h. */
cudaError_t cu_delta (CuStream s, const CuDelta *d, const CuMeta *m, int n_rows, int n_sequences, int pdl);
cudaError_t cu_conv (CuStream s, const CuConv *v, const CuMeta *m, int max_rows_of_sequence, int n_sequences, int pdl);
/* y = norm (x) * act (gate) over [n_rows, n_head * width], an RMS norm a head; w [width], NULL: none. Rows of @x lie
 * @x_stride apart. @y may be @gate, and @x where that lies as close; @y16 may be NULL. */
cudaError_t cu_gate (CuStream s, const float *x, int x_stride, const float *gate, const float *w, float eps, int act, int n_head,
                     int width, int n_rows, float *y, __nv_bfloat16 *y16, int pdl);
/* x [n_rows, n_head, 2, width] to q and gate [n_rows, n_head, width] each. */
cudaError_t cu_split_gate (CuStream s, const float *x, int n_head, int width, int n_rows, float *q, float *gate, int pdl);
