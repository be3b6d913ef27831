/* SPDX-License-Identifier: Apache-2.0 */
/* Private to backend/cpu: what the device, its weights, its state and a run are made of. */
#pragma once

#include <stddef.h>

#include "eng-arena.h"
#include "eng-device.h"
#include "eng-error.h"
#include "eng-kernels.h"
#include "eng-thread-pool.h"

struct EngDevice
{
  EngThreadPool *pool;
  EngKernels kernels; /* of the tiers allowed */
  EngKernels exact;   /* references */
  uint64_t without;   /* ENG_CPU_WITHOUT_* */
};

/* How steps of a range use a weight; one weight may be used in several ways. */
enum
{
  ENG_CPU_USE_VECTOR = 1 << 0,
  ENG_CPU_USE_LOOKUP = 1 << 1,
  ENG_CPU_USE_PRODUCT = 1 << 2,
  ENG_CPU_USE_AS_IS = 1 << 3, /* routers: small, and sensitive to rounding; load_as does not apply */
};

typedef struct EngCpuWeight
{
  EngType type;
  uint8_t uses;          /* ENG_CPU_USE_*; 0: this range of steps does not touch it */
  uint32_t n_slices;
  uint64_t n_cols, n_rows;
  const uint8_t *raw;    /* row 0 of slice 0 as the file stores it; NULL if unused */
  uint64_t row_bytes;    /* from row to row */
  uint64_t slice_bytes;  /* from slice to slice */
  const float *vector;   /* used as a vector: [n_slices * n_rows * n_cols] */
  EngPack pack;          /* how @packed is laid out; ENG_PACK_NONE: products read @raw */
  uint8_t *packed;       /* panels of slice 0, then of slice 1, …; owned */
  uint8_t *turned;       /* of an ENG_WEIGHT_TURNED what @raw points to: the transposed slices; owned */
  uint64_t panel_bytes, packed_slice_bytes;
  const struct EngCpuWeight *twin; /* of a table: the same rows, packed for products. They are looked up there, and the file's
                                    * pages stay out of memory. NULL: there are none */
} EngCpuWeight;

struct EngBound
{
  EngDevice *device;
  const EngProgram *program;
  EngBindOptions options;
  const EngKernels *kernels; /* device's fast ones, or the exact ones */
  EngArena arena;
  EngCpuWeight *weights; /* [program->n_weights] */
  bool *quantized; /* [n_buffers]: products read this buffer as bytes */
  uint32_t *words_from; /* [n_buffers]: from this many rows of a run on, products read it as 16-bit integers; UINT32_MAX: never */
  uint32_t *tiles_from; /* [n_buffers]: the same of tiles, instead of both */
  bool *tiles_low;      /* [n_buffers]: with low parts */
  uint64_t weight_bytes, mapped_bytes;
  uint32_t n_writing; /* steps of the program up to the last one that writes state */
};

/* Neighbouring positions whose keys stand together, eng-cpu-kv.c. */
#define ENG_CPU_KEY_GROUP 16u

typedef struct
{
  uint8_t *data; /* n_blocks * block_bytes, zeroed */
  uint32_t n_blocks;
  uint64_t block_bytes;  /* all layers */
  uint64_t layer_bytes;  /* keys of all heads, then values of all heads */
  uint64_t k_head_bytes, v_head_bytes;
  EngType k_type, v_type;
} EngCpuGroup;

typedef struct
{
  uint8_t *data;
  size_t size;
} EngCpuScratch;

/* Rows quantized for products, in tiles of ENG_CPU_ROW_TILE rows (the last one may be smaller). */
typedef struct
{
  int8_t *q;
  int16_t *q16;
  float *meta;
  EngWordTile words; /* the same for products of 16-bit floats: one tile of all rows; q is NULL where there are none */
  EngTileRows tiles; /* the same for many rows; high is NULL where there are none */
  uint32_t width;
  bool valid; /* holds what the buffer holds */
} EngCpuQuant;

/* Neighbouring rows of one sequence that attention handles together, at most; by tiles, which read keys and values the better the
 * more queries there are for what that costs, and without. */
#define ENG_CPU_GROUP_ROWS 32u
#define ENG_CPU_FEW_GROUP_ROWS 16u
/* Attention of few rows is split over positions into this many chunks a thread. */
#define ENG_CPU_SPLIT_CHUNKS 4u
typedef struct
{
  uint32_t first, n;
} EngCpuRowGroup;

struct EngState
{
  EngBound *bound;
  EngStateOptions options;
  EngCpuGroup *groups;  /* [n_groups] */
  float **buffers;      /* [n_buffers] of float32 [max_rows, width], 64-byte aligned */
  float **rope;         /* [n_rope_tables] of [max_rows, n_rot / 2, {cos, sin}] of the batch */
  EngCpuQuant *quants;  /* [n_buffers]; unused where bound->quantized is false */
  EngCpuQuant output_quant; /* rows that want outputs */
  struct
  {
    /* A slot is one chosen expert of one row; slots are ordered by expert. */
    EngCpuQuant src, hidden_quant; /* [n_slots] */
    float *hidden, *out;           /* [n_slots, n_ff], [n_slots, width of dst] */
    uint32_t *slots;               /* [n_slots]: row * n_used + j */
    uint32_t *slot_of;             /* [n_slots]: the inverse */
    EngCpuRowGroup *tiles;         /* runs of slots of one expert, at most ENG_CPU_ROW_TILE long */
    uint32_t *tile_experts;
  } experts;
  EngCpuRowGroup *row_groups; /* [max_rows] */
  EngCpuRowGroup *spans;      /* [max_rows]: the rows of each sequence of the batch */
  float *partial;             /* attention split over positions: sums of each part */
  uint64_t partial_floats;
  uint32_t *outputs;    /* [max_rows]: rows that want output */
  EngRow *rows;         /* [max_rows]: those rows alone */
  EngCpuScratch *scratch; /* [n_threads] */
  uint64_t state_bytes, scratch_bytes;
};

/* Rows that a product of packed weights handles in one go. */
#define ENG_CPU_ROW_TILE 64u
/* Columns of the widest chunk: whole heads of up to 512, or slices of a product. */
#define ENG_CPU_MAX_CHUNK 512u
/* Numbers of the widest key that attention reads (that of latent attention is wider than what makes it). */
#define ENG_CPU_MAX_KEY 1024u
/* A thread's scratch: three parts that each hold a tile of the widest chunk, whose panels may begin and
 * end a panel outside of it; then one panel of float32 weights. */
#define ENG_CPU_MAX_STRIDE (ENG_CPU_MAX_CHUNK + 32u)
#define ENG_CPU_PART_FLOATS (ENG_CPU_ROW_TILE * ENG_CPU_MAX_STRIDE)
#define ENG_CPU_PARTS 3u
#define ENG_CPU_MAX_EXPERTS 1024u
#define ENG_CPU_MAX_TAPS 8u /* of a convolution */

typedef struct
{
  EngBound *bound;
  EngState *state;
  const EngBatch *batch;
  const EngRun *run;
  const EngKernels *k;
  const EngStep *step; /* the one at work */
  uint32_t n_rows, n_outputs, n_row_groups, n_spans;
} EngCpuRun;

/* eng-cpu-bind.c */
EngStatus eng_cpu_plan_weights (EngDevice *device, const EngProgram *program,
                                const EngBindOptions *options, EngMemoryPlan *plan, EngError *error);
EngStatus eng_cpu_bind (EngDevice *device, const EngProgram *program, const EngWeightSource *source,
                        const EngBindOptions *options, EngBound **bound, EngError *error);
void eng_cpu_unbind (EngBound **bound);

/* eng-cpu-pack.c */

/* Sizes of the packed form of @w; false if it stays as the file has it. */
bool eng_cpu_pack_layout (const EngDevice *device, const EngBindOptions *options, EngCpuWeight *w, uint64_t *bytes);
/* Pack weight @id where it has a packed form. A number or scale that is not finite is ENG_ERR_FORMAT, with the tensor's name. */
EngStatus eng_cpu_pack (EngBound *bound, uint32_t id, EngCpuWeight *w, const EngWeightSource *source, EngError *error);
/* The same look at a weight that stays as the file has it. */
EngStatus eng_cpu_check_finite (EngBound *bound, uint32_t id, const EngCpuWeight *w, const EngWeightSource *source,
                                EngError *error);

/* eng-cpu-turn.c */

/* What the type, the shape and row_bytes of an ENG_WEIGHT_TURNED become. */
void eng_cpu_turned_layout (EngCpuWeight *w, bool exact);
/* Make them so, with all that is left of the layout. @w is as the file has it. */
EngStatus eng_cpu_turn (EngBound *bound, EngCpuWeight *w, uint32_t id, EngError *error);

/* eng-cpu-state.c */
EngStatus eng_cpu_plan_state (EngDevice *device, const EngProgram *program,
                              const EngStateOptions *options, EngMemoryPlan *plan, EngError *error);
EngStatus eng_cpu_state_new (EngBound *bound, const EngStateOptions *options, EngState **state,
                             EngError *error);
void eng_cpu_state_free (EngState **state);
EngStatus eng_cpu_copy_block (EngBound *bound, EngState *state, uint32_t group, uint32_t from,
                              uint32_t to, EngError *error);
uint64_t eng_cpu_block_bytes (EngBound *bound, EngState *state, uint32_t group);
EngStatus eng_cpu_move_keys (EngBound *bound, EngState *state, uint32_t group, uint32_t i_layer_in_group,
                             const uint32_t *blocks, uint32_t n_blocks, void *data, bool to_state,
                             EngError *error);
EngStatus eng_cpu_read_block (EngBound *bound, EngState *state, uint32_t group, uint32_t block,
                              void *data, EngError *error);
EngStatus eng_cpu_write_block (EngBound *bound, EngState *state, uint32_t group, uint32_t block,
                               const void *data, EngError *error);

/* eng-cpu-run.c */
EngStatus eng_cpu_run (EngBound *bound, EngState *state, const EngBatch *batch, const EngRun *run,
                       EngError *error);
/* Row @r of buffer @id. */
static inline float *
eng_cpu_row (const EngCpuRun *run, EngBufferId id, uint32_t r)
{
  return run->state->buffers[id] + (size_t) r * run->bound->program->buffers[id].width;
}
static inline const float *
eng_cpu_vector (const EngCpuRun *run, EngWeightId id)
{
  return id == ENG_WEIGHT_NONE ? NULL : run->bound->weights[id].vector;
}
static inline void
eng_cpu_for (const EngCpuRun *run, uint32_t n_chunks, EngPoolFunc func, void *data)
{
  eng_thread_pool_run (run->bound->device->pool, n_chunks, func, data);
}
static inline uint32_t
eng_cpu_min (uint32_t a, uint32_t b)
{
  return a < b ? a : b;
}

/* Part @i < ENG_CPU_PARTS of a thread's scratch; ENG_CPU_PARTS is the one for weights. */
static inline float *
eng_cpu_scratch (const EngCpuRun *run, uint32_t i_thread, uint32_t i)
{
  return (float *) (void *) run->state->scratch[i_thread].data + (size_t) i * ENG_CPU_PART_FLOATS;
}

/* eng-cpu-product.c */

/* Activations of one product: the same @n_rows rows as floats and, for packed weights and for 16-bit floats, as tiles. */
typedef struct
{
  const float *x;
  size_t stride;
  EngQuantTile tile; /* tile.q == NULL: there is none */
  EngWordTile words; /* words.q == NULL: there is none; its rows may be more than n_rows */
  EngTileRows tiles; /* tiles.high == NULL: there are none */
  uint32_t n_rows;
} EngCpuInput;

/* sum_c W[slice][j][c] * x[r][c] of rows r and j in [j0, j1): written to part @part of the thread's
 * scratch, rows *stride floats apart; the pointer returned is that of (r, j) = (0, j0). At most
 * ENG_CPU_MAX_CHUNK columns and ENG_CPU_ROW_TILE rows, or for float weights and for tiles what
 * eng_cpu_tile_rows says. */
float *eng_cpu_product (const EngCpuRun *run, uint32_t i_thread, uint32_t part, const EngCpuWeight *w,
                        uint32_t slice, uint64_t j0, uint64_t j1, const EngCpuInput *input,
                        size_t *stride);
/* From how many rows of a run on a product of raw weights of @type takes activations as 16-bit integers; UINT32_MAX: never. */
uint32_t eng_cpu_words_from (const EngKernels *k, EngType type);
/* Whether products of packed weights or of 16-bit floats with so many rows take them as tiles. */
static inline bool
eng_cpu_takes_tiles (const EngKernels *k, uint32_t n_rows)
{
  return k->tiles_from != 0 && n_rows >= k->tiles_from;
}
/* Whether products read this buffer so in this run. */
static inline bool
eng_cpu_has_tiles (const EngCpuRun *run, EngBufferId id)
{
  return run->n_rows >= run->bound->tiles_from[id];
}
/* Rows of buffer @id from @r0, a multiple of ENG_CPU_ROW_TILE when it is quantized, of ENG_TILE_ROWS when it has tiles. */
EngCpuInput eng_cpu_input (const EngCpuRun *run, EngBufferId id, uint32_t r0, uint32_t n_rows);
/* Tile of @quant that begins at row @r0. */
EngQuantTile eng_cpu_tile (const EngCpuQuant *quant, uint32_t r0, uint32_t n_rows);
/* Rows of @quant, of @width numbers, from @r0 on, a multiple of ENG_TILE_ROWS. */
EngTileRows eng_cpu_tiles_from (const EngCpuQuant *quant, uint32_t width, uint32_t r0);
/* Row tile of a step whose products are @a, @b, @c (NULL: none), of @width columns a chunk, and take @tiles. */
uint32_t eng_cpu_tile_rows (const EngCpuWeight *a, const EngCpuWeight *b, const EngCpuWeight *c,
                            uint32_t width, bool tiles);
/* Make the integers of a buffer, where products read it so, hold what its floats hold. */
void eng_cpu_quantize (EngCpuRun *run, EngBufferId id);
/* Row @r of the buffer into its tiles, where it has some. */
void eng_cpu_quantize_row (const EngCpuRun *run, EngBufferId id, uint32_t r);
EngStatus eng_cpu_alloc_quant (EngCpuQuant *quant, uint64_t rows, uint32_t width, bool wants_q16,
                               uint64_t *sum, EngError *error);
EngStatus eng_cpu_alloc_tiles (EngTileRows *tiles, uint64_t rows, uint32_t width, bool low, uint64_t *sum, EngError *error);
void eng_cpu_free_quant (EngCpuQuant *quant);
uint64_t eng_cpu_quant_bytes (uint64_t rows, uint32_t width, bool wants_q16);

/* eng-cpu-dense.c */

/* RoPE of row @r of the batch on x[0 .. rope->n_rot). */
void eng_cpu_rotate (const EngCpuRun *run, const EngRope *rope, uint32_t r, float *x);

/* eng-cpu-kv.c */

/* The key @x of row @r into the state of its sequence. */
void eng_cpu_store_key (const EngCpuRun *run, EngGroupId group, uint32_t i_layer, uint32_t r, uint32_t head, const float *x);
/* …row @r's value of @head of the step, which is of kind QKV. */
void eng_cpu_store_value (const EngCpuRun *run, uint32_t r, uint32_t head, const float *x);
/* The first @n numbers of the key, and all of the value, at place @p of a head's block; the value is written to @v or borrowed. */
void eng_cpu_read_key (const EngCpuRun *run, const EngCpuGroup *g, const uint8_t *keys, uint32_t width, uint32_t p, uint32_t n,
                       float *k);
const float *eng_cpu_read_value (const EngCpuRun *run, const EngCpuGroup *g, const uint8_t *values, uint32_t width, uint32_t p,
                                 float *v);
/* Bytes of a head's keys, or values, of a block; 0: they are not kept in this type. */
uint64_t eng_cpu_kv_bytes (EngType type, uint32_t width);
/* Q8_0: the keys of @p's group of positions, or the values from place @p on, and their scales. */
typedef struct
{
  const int8_t *codes;
  const uint16_t *scales;
} EngCpuCodes;
EngCpuCodes eng_cpu_key_codes (const uint8_t *keys, uint32_t width, uint32_t p);
EngCpuCodes eng_cpu_value_codes (const uint8_t *values, uint32_t width, uint32_t p);

/* eng-cpu-attention.c: queries that one chunk of attention takes at most: neighbouring rows (up to
 * ENG_CPU_GROUP_ROWS) times heads that share keys. */
typedef struct
{
  uint32_t n_rows, n_heads;
} EngCpuQueryTile;
EngCpuQueryTile eng_cpu_query_tile (const EngProgram *program, const EngStep *step);

/* The step functions; eng-cpu-dense.c, -attention.c, -delta.c, -experts.c, -latent.c, -pool.c */
void eng_cpu_step_embed (EngCpuRun *run);
void eng_cpu_step_norm (EngCpuRun *run);
void eng_cpu_step_qkv (EngCpuRun *run);
void eng_cpu_step_attention (EngCpuRun *run);
void eng_cpu_step_product (EngCpuRun *run);
void eng_cpu_step_gate_up (EngCpuRun *run);
void eng_cpu_step_route (EngCpuRun *run);
void eng_cpu_step_experts (EngCpuRun *run);
void eng_cpu_step_output (EngCpuRun *run);
void eng_cpu_step_pool (EngCpuRun *run);
void eng_cpu_step_delta (EngCpuRun *run);
void eng_cpu_step_gate (EngCpuRun *run);
void eng_cpu_step_conv (EngCpuRun *run);
void eng_cpu_step_latent (EngCpuRun *run);
void eng_cpu_step_heads (EngCpuRun *run);

/* eng-cpu-act.c: x = act (x), y = act (gate) * up; y may be either; gate is overwritten */
void eng_cpu_act (const EngKernels *k, EngActKind act, float *x, size_t n);
void eng_cpu_glu (const EngKernels *k, EngActKind act, float *gate, const float *up, float *y, size_t n);
