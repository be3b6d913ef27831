/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that run steps: what a run carries along, and what few and many rows share. */
#pragma once

#include "eng-cuda-private.h"

typedef struct
{
  EngBound *b;
  EngState *s;
  const EngProgram *p;
  const EngBatch *batch;
  const EngRun *run;
  CuStream stream;
  int n_rows, n_outputs, n_sequences, max_rows_of_sequence;
  int pdl;
  int depth; // cu_depth () of the row with most
  bool samples; // what the last step gave is sampled from
  uint32_t n_ahead; // positions behind the batch's that its tables have room for
  uint32_t first, end; // steps of the run: end is behind the last
  EngBufferId in_x16; // buffer whose bf16 form stands at x16 now, or ENG_BUFFER_NONE
  const __nv_bfloat16 *x16; // the state's x16 or h16
  bool in_x8; // x8 holds the source of the step at hand
  int blas_error;
  EngProducts *products, unasked; // whose kernels multiplied: the run's, or nobody's
  /* streamed runs: which guest keys the layer at hand uses; keys on their way to their owner */
  int guest;
  CuGuestExport leaving;
  EngStatus key_status; // of the mover, with its error
  EngError *error;
} CuRun;

#define TRY(call)                                                                                  \
  do                                                                                               \
    {                                                                                              \
      const cudaError_t e_ = (call);                                                               \
      if (e_ != cudaSuccess)                                                                       \
        return e_;                                                                                 \
    }                                                                                              \
  while (0)

static inline const float *
cu_vector_of (const CuRun *r, EngWeightId w)
{
  return w == ENG_WEIGHT_NONE ? NULL : r->b->vectors[w];
}

/* eng-cuda-run.cu: a run of @batch before anything is checked; whether the batch can be run here; its description for
 * the device; steps of one row, as a graph. */
void cu_run_init (CuRun *, EngBound *, EngState *, const EngBatch *);
EngStatus cu_check_batch (const EngState *, const EngBatch *, EngError *);
void cu_fill_meta (CuRun *);
cudaError_t cu_run_graph (CuRun *, uint32_t first, uint32_t n);

/* eng-cuda-step.cu */
CuQkv cu_qkv_arguments (const CuRun *, const EngStep *);
CuAttention cu_attention_arguments (const CuRun *, const EngStep *);
cudaError_t cu_run_qkv_finish (const CuRun *, const EngStep *);
/* Attention of few rows, each by itself, its positions in slices. */
cudaError_t cu_run_attention_rows (const CuRun *, const EngStep *, const CuAttention *);
cudaError_t cu_run_norm (const CuRun *, const EngStep *, float *y, __nv_bfloat16 *y16);
cudaError_t cu_run_embed (const CuRun *, const EngStep *);
CuChoice cu_choice_of (const CuRun *, const EngStep *);
/* Scores and choices of few rows in one launch; @g: x, n_cols and the norm in front are read. */
bool cu_router_fits (const CuRun *, const EngStep *);
cudaError_t cu_run_router (const CuRun *, const EngStep *, const CuGemv *g);
CuHeads cu_heads_arguments (const CuRun *, const EngStep *);
cudaError_t cu_run_latent (const CuRun *, const EngStep *);
/* The queries' product of a gated QKV step, [rows, n_head, 2, k_width] at glu_rows, to where both halves belong. */
cudaError_t cu_run_split_gate (const CuRun *, const EngStep *);
cudaError_t cu_run_delta (const CuRun *, const EngStep *);
cudaError_t cu_run_conv (const CuRun *, const EngStep *);
cudaError_t cu_run_gate (const CuRun *, const EngStep *, __nv_bfloat16 *y16);
/* To the run's logits: [n_sequences, n_output]. */
cudaError_t cu_run_pool (const CuRun *, const EngStep *);
/* The sigmoid that a shared expert is weighed with. */
cudaError_t cu_run_gate_rows (const CuRun *, const EngStep *, float *y, __nv_bfloat16 *y16);

/* eng-cuda-step-few.cu: step @i for at most ENG_CUDA_GEMV_ROWS rows (or any number, slowly), through matrix-vector
 * kernels. */
cudaError_t cu_step_few (const CuRun *, uint32_t i);
/* Whether one of steps [first, first + n) looks for CuQkv.angles: they come before. */
bool cu_wants_angles (const CuRun *, uint32_t first, uint32_t n);
/* eng-cuda-step-many.cu: for many, through large products. */
cudaError_t cu_step_many (CuRun *, uint32_t i);

/* eng-cuda-guest.cu: state of the streamed step @i (QKV, LATENT, DELTA, CONV), before it and after it, and when the run ends. */
cudaError_t cu_guest_enter (CuRun *, uint32_t i);
cudaError_t cu_guest_leave (CuRun *, uint32_t i);
cudaError_t cu_guest_finish (CuRun *);
