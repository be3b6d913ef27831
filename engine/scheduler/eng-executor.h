/* SPDX-License-Identifier: Apache-2.0 */
/* A program on its devices: placement cuts the list of steps into pieces; each device binds its steps once.
 * What crosses a cut (between layers the residual; around experts also their input and the router's choice) goes
 * through host memory.
 *
 * Executor: the weights, shared by any number of states. State: KV blocks and scratch on every device. One
 * owner thread at a time for an executor and all its states (device handles want one). */
#pragma once

#include "eng-device.h"

typedef struct EngExecutor EngExecutor;
typedef struct EngExecutorState EngExecutorState;

typedef struct
{
  const EngDeviceApi *api;
  EngDevice *device; /* borrowed: outlives the executor */
} EngExecutorDevice;

typedef struct
{
  const EngExecutorDevice *devices;
  uint32_t n_devices;
  /* Device of each layer [n_layers], values < n_devices; NULL = all on device 0. Steps before the first
   * layer go with it, steps after the last with that one. */
  const uint8_t *layer_devices;
  /* Device of each layer's routed experts [n_layers]; NULL = with their layer. */
  const uint8_t *expert_devices;
  /* Batches of at least so many rows run wholly on device 0, which is sent the matrices of the other devices' layers
   * while it computes; 0: never. Ignored where device 0 has all layers or lacks the output head. */
  uint32_t stream_rows;
  /* Used for every piece; first_step, n_steps, elsewhere and streamed are set here. */
  EngBindOptions bind;
} EngExecutorOptions;

/* Bind. The program and what the source points to outlive the executor. */
EngStatus eng_executor_new (const EngProgram *program, const EngWeightSource *source,
                            const EngExecutorOptions *options, EngExecutor **executor,
                            EngError *error);
void eng_executor_free (EngExecutor **executor);

/* How few of the last layers can be on another device than the first ones: more than one where layers read the keys of
 * earlier layers, which are then on the same device. */
uint32_t eng_executor_get_least_layers (const EngProgram *program);

/* What eng_executor_new and eng_executor_state_new would take, summed over the pieces of each device:
 * plans [n_devices]. */
EngStatus eng_executor_plan (const EngProgram *program, const EngExecutorOptions *options,
                             const EngStateOptions *state, EngMemoryPlan *plans, EngError *error);

const EngProgram *eng_executor_get_program (const EngExecutor *executor);
uint32_t eng_executor_get_n_pieces (const EngExecutor *executor);

EngStatus eng_executor_state_new (EngExecutor *executor, const EngStateOptions *options,
                                  EngExecutorState **state, EngError *error);
void eng_executor_state_free (EngExecutorState **state);

/* Run the whole program for @batch; @output as EngRun says. Allocates nothing. ENG_ERR_CANCELLED within a layer. */
EngStatus eng_executor_run (EngExecutorState *state, const EngBatch *batch, float *output,
                            ENG_ATOMIC_FLAG *cancel, EngError *error);

/* Whose kernels multiplied in the runs of @state since this was last asked. */
EngProducts eng_executor_take_products (EngExecutorState *state);

/* Sample on the device, as EngDeviceApi.sample says; ENG_ERR_UNSUPPORTED, with nothing done, where the program is on several
 * devices or the one it is on cannot. */
EngStatus eng_executor_sample (EngExecutorState *state, const EngBatch *batch, const EngSampling *sampling,
                               ENG_ATOMIC_FLAG *cancel, EngError *error);

/* Called on the runner's thread before each step that multiplies by weights (QKV, PRODUCT, GATE_UP, ROUTE, EXPERTS) with
 * what it is about to read: @src [n_rows, width of step->src]; @aux [n_rows, width of step->aux] for EXPERTS (the
 * router's choice), else NULL. Borrowed for the call. */
typedef void (*EngStepObserver) (void *data, const EngStep *step, const float *src, const float *aux,
                                 uint32_t n_rows);
/* From now on runs of @state show their steps' inputs, one step after the other, so they are slower; NULL ends it. @max_rows as
 * the state was made with. For measuring on the CPU. ENG_ERR_NO_MEMORY: nothing changed. */
EngStatus eng_executor_state_observe (EngExecutorState *state, uint32_t max_rows, EngStepObserver observer,
                                      void *data, EngError *error);

/* Zeroed host memory for outputs, such as the devices copy to fastest; NULL when there is none. */
void *eng_executor_host_alloc (EngExecutor *executor, uint64_t n_bytes);
void eng_executor_host_free (EngExecutor *executor, void *memory);

/* On every device that holds the group. */
EngStatus eng_executor_copy_block (EngExecutorState *state, uint32_t group, uint32_t from,
                                   uint32_t to, EngError *error);
