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
};

/* How steps of a range use a weight; one weight may be used in several ways. */
enum
{
  ENG_CPU_USE_VECTOR = 1 << 0,
  ENG_CPU_USE_LOOKUP = 1 << 1,
  ENG_CPU_USE_PRODUCT = 1 << 2,
};

typedef struct
{
  EngType type;
  uint8_t uses;          /* ENG_CPU_USE_*; 0: this range of steps does not touch it */
  uint32_t n_slices;
  uint64_t n_cols, n_rows;
  const uint8_t *raw;    /* row 0 of slice 0 as the file stores it; NULL if unused */
  uint64_t row_bytes;    /* from row to row */
  uint64_t slice_bytes;  /* from slice to slice */
  const float *vector;   /* used as a vector: [n_slices * n_rows * n_cols] */
} EngCpuWeight;

struct EngBound
{
  EngDevice *device;
  const EngProgram *program;
  EngBindOptions options;
  const EngKernels *kernels; /* device's fast ones, or the exact ones */
  EngArena arena;
  EngCpuWeight *weights; /* [program->n_weights] */
  uint64_t weight_bytes, mapped_bytes;
};

/* Keys of a block stand so that one vector register holds the same component of neighbouring
 * positions: [ENG_KV_BLOCK / ENG_CPU_KEY_GROUP][k_width][ENG_CPU_KEY_GROUP]. Scores then need no sums
 * across a register. Values stand row by row: [ENG_KV_BLOCK][v_width]. */
#define ENG_CPU_KEY_GROUP 16u

typedef struct
{
  uint8_t *data; /* n_blocks * block_bytes, zeroed */
  uint32_t n_blocks;
  uint64_t block_bytes;  /* all layers */
  uint64_t layer_bytes;  /* keys of all heads, then values of all heads */
  uint64_t k_head_bytes, v_head_bytes;
} EngCpuGroup;

typedef struct
{
  uint8_t *data;
  size_t size;
} EngCpuScratch;

struct EngState
{
  EngBound *bound;
  EngStateOptions options;
  EngCpuGroup *groups;  /* [n_groups] */
  float **buffers;      /* [n_buffers] of float32 [max_rows, width], 64-byte aligned */
  float **rope;         /* [n_rope_tables] of [max_rows, n_rot / 2, {cos, sin}] of the batch */
  float *hidden;        /* experts: [max_rows, n_used, n_ff]; NULL without */
  uint32_t *outputs;    /* [max_rows]: rows that want output */
  EngCpuScratch *scratch; /* [n_threads] */
  uint64_t state_bytes, scratch_bytes;
};

/* Rows that a product handles in one go; a thread's scratch holds two such tiles of the widest chunk. */
#define ENG_CPU_ROW_TILE 64u
/* Columns of the widest chunk: whole heads of up to 512, or slices of a product. */
#define ENG_CPU_MAX_CHUNK 512u
#define ENG_CPU_MAX_EXPERTS 1024u

typedef struct
{
  EngBound *bound;
  EngState *state;
  const EngBatch *batch;
  const EngRun *run;
  const EngKernels *k;
  const EngStep *step; /* the one at work */
  uint32_t n_rows, n_outputs;
} EngCpuRun;

/* eng-cpu-bind.c */
EngStatus eng_cpu_plan_weights (EngDevice *device, const EngProgram *program,
                                const EngBindOptions *options, EngMemoryPlan *plan, EngError *error);
EngStatus eng_cpu_bind (EngDevice *device, const EngProgram *program, const EngWeightSource *source,
                        const EngBindOptions *options, EngBound **bound, EngError *error);
void eng_cpu_unbind (EngBound **bound);

/* eng-cpu-state.c */
EngStatus eng_cpu_plan_state (EngDevice *device, const EngProgram *program,
                              const EngStateOptions *options, EngMemoryPlan *plan, EngError *error);
EngStatus eng_cpu_state_new (EngBound *bound, const EngStateOptions *options, EngState **state,
                             EngError *error);
void eng_cpu_state_free (EngState **state);
EngStatus eng_cpu_copy_block (EngBound *bound, EngState *state, uint32_t group, uint32_t from,
                              uint32_t to, EngError *error);
uint64_t eng_cpu_block_bytes (EngBound *bound, EngState *state, uint32_t group);
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

/* eng-cpu-product.c: y[r * y_stride + j - j0] = sum_c W[slice][j][c] * x[r * x_stride + c] for rows r
 * in [0, n_rows) and j in [j0, j1). @scratch holds n_cols floats. */
void eng_cpu_product (const EngBound *bound, const EngCpuWeight *w, uint32_t slice, uint64_t j0,
                      uint64_t j1, const float *x, size_t x_stride, uint32_t n_rows, float *y,
                      size_t y_stride, float *scratch);

/* The step functions; eng-cpu-dense.c, -attention.c, -experts.c, -pool.c */
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

/* eng-cpu-act.c: x = act (x), gate = act (gate) * up */
void eng_cpu_act (const EngKernels *k, EngActKind act, float *x, size_t n);
void eng_cpu_glu (const EngKernels *k, EngActKind act, float *gate, const float *up, size_t n);
