/* SPDX-License-Identifier: Apache-2.0 */
/* Host-side objects of the CUDA module. */
#pragma once

#include "eng-cuda.h"

/* cuBLAS, opened when the first large product needs it; without it products of many rows go
 * through the matrix-vector kernels, four rows at a time. */
typedef struct CuBlas CuBlas;
CuBlas *cu_blas_open (void); /* NULL when it is not there */
void cu_blas_close (CuBlas *blas);
/* y[m][n] (row stride @ldy) = beta * y + x[m][k] * w[n][k]^T; x, w bf16, y float32. @workspace: device
 * memory of cu_blas_workspace_bytes. 0 or cuBLAS's status. */
int cu_blas_product (CuBlas *blas, CuStream s, int m, int n, int k, const __nv_bfloat16 *x,
                     const __nv_bfloat16 *w, float *y, int ldy, float beta, void *workspace,
                     size_t workspace_bytes);
/* The same in float32 throughout (routers: a rounded score picks another expert). */
int cu_blas_product_f32 (CuBlas *blas, CuStream s, int m, int n, int k, const float *x,
                         const float *w, float *y, int ldy, float beta, void *workspace,
                         size_t workspace_bytes);
#define CU_BLAS_WORKSPACE_BYTES ((size_t) 64 << 20)

struct EngDevice
{
  int ordinal;
  int n_units; /* multiprocessors */
  int major, minor;
  int pdl; /* programmatic dependent launch exists */
  uint64_t limit_bytes;
  uint64_t used_bytes;
  CuStream stream;
  CuBlas *blas;
  bool blas_tried;
  void *host[16]; /* memory given out by host_alloc, and its ends */
  uint8_t *host_end[16];
  bool lost; /* a sticky error was seen: only frees are allowed */
};

/* How a step's input is normalized on the fly: the NORM step was folded into its readers. */
typedef struct
{
  bool folded;         /* this NORM step runs inside its readers when there are few rows */
  int16_t norm_of_src; /* step index of the folded NORM that makes this step's src, or -1 */
  bool f32_needed;     /* a step other than a many-row product reads what this one writes */
} CuStepPlan;

struct EngBound
{
  EngDevice *device;
  const EngProgram *program;
  uint32_t first_step, n_steps;
  const uint8_t *elsewhere; /* steps of another device, or NULL */
  CuWeight *weights;      /* [n_weights]; q == NULL where not bound here */
  CuWeight *lookups;      /* file-order twin of tied embeddings is the same planes: lookups read planes */
  const float **vectors;  /* [n_weights]: device float32 of vectors, or NULL */
  const float **rope;     /* [n_rope_tables] */
  CuStepPlan *plans;      /* [program->n_steps] */
  uint8_t *arena;
  uint64_t arena_bytes;
  uint64_t max_k, max_matrix; /* widest row and largest expanded matrix of products */
};

/* Graphs of one-row runs, by what they run. */
#define CU_MAX_GRAPHS 192
typedef struct
{
  uint32_t first_step, n_steps, n_rows, n_outputs, n_sequences;
  cudaGraphExec_t exec;
} CuGraph;

struct EngState
{
  EngBound *bound;
  EngStateOptions options;
  uint8_t *arena;
  uint64_t arena_bytes;
  /* device */
  uint8_t *meta;
  uint64_t meta_bytes;
  CuMeta view;
  float **buffers; /* host array of device pointers, [n_buffers] */
  __half **k, **v; /* [n_groups]: the group's layers, of which only first_layer … + n_layers are here */
  uint32_t first_layer[ENG_CUDA_MAX_GROUPS], n_layers[ENG_CUDA_MAX_GROUPS];
  float *kv_rows;  /* [max_rows, 2 * widest n_head_kv * width]: k and v before they enter the cache */
  float *glu_rows; /* [max_rows, 2 * widest]: gate and up of a prefill */
  float *logits;   /* [max_outputs, n_output] */
  float *scores;   /* router scores [max_rows, n_expert] */
  __nv_bfloat16 *x16; /* activations of prefill products */
  __nv_bfloat16 *w16; /* an expanded matrix */
  uint64_t w16_elements;
  float *partial;
  int *counters, *route_counters;
  void *workspace;
  /* experts of many rows, slots sorted by expert: inputs, gate and up, their product, outputs */
  __nv_bfloat16 *slot_x16, *slot_h16;
  float *slot_gate, *slot_up, *slot_y;
  int *slot_row;   /* [rows * n_used] row of each sorted slot */
  int *slot_place; /* [rows, n_used] sorted place of each choice */
  /* host, pinned */
  uint8_t *meta_host;
  float *logits_host;
  float *io_host; /* one residual buffer's worth, for imports and exports */
  float *route_host;
  int *expert_host;
  CuGraph graphs[CU_MAX_GRAPHS];
  uint32_t n_graphs;
};

static inline bool
cu_is_here (const EngBound *b, uint32_t i)
{
  return i >= b->first_step && i < b->first_step + b->n_steps && !(b->elsewhere && b->elsewhere[i]);
}

/* EngStatus of a CUDA error, with words; marks the device lost when the error is sticky. */
EngStatus cu_fail (EngDevice *device, cudaError_t e, const char *what, EngError *error);
EngStatus cu_error (EngError *error, EngStatus code, const char *field, uint64_t needed,
                    uint64_t available, const char *format, ...)
    __attribute__ ((format (printf, 6, 7)));

EngStatus cu_bind (EngDevice *, const EngProgram *, const EngWeightSource *, const EngBindOptions *,
                   EngBound **, EngError *);
void cu_unbind (EngBound **);
/* Whether [memory, memory + bytes) came from host_alloc. */
bool cu_is_host (const EngDevice *, const void *memory, uint64_t bytes);
EngStatus cu_plan (EngDevice *, const EngProgram *, const EngBindOptions *, const EngStateOptions *,
                   EngMemoryPlan *, EngError *);
EngStatus cu_state_new (EngBound *, const EngStateOptions *, EngState **, EngError *);
void cu_state_free (EngState **);
EngStatus cu_run (EngBound *, EngState *, const EngBatch *, const EngRun *, EngError *);
EngStatus cu_copy_block (EngBound *, EngState *, uint32_t, uint32_t, uint32_t, EngError *);
uint64_t cu_block_bytes (EngBound *, EngState *, uint32_t);
EngStatus cu_read_block (EngBound *, EngState *, uint32_t, uint32_t, void *, EngError *);
EngStatus cu_write_block (EngBound *, EngState *, uint32_t, uint32_t, const void *, EngError *);
/* Device bytes of a state, without making it. */
EngStatus cu_state_bytes (const EngBound *, const EngStateOptions *, EngMemoryPlan *, EngError *);
