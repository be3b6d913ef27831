/* SPDX-License-Identifier: Apache-2.0 */
/* Devices: the table of functions a backend gives, built in (CPU) or from a module loaded at run
 * time. It says nothing of any vendor. No state is module-wide: all of it hangs on a device handle.
 *
 * Life of things: device → bound (weights of some steps on that device) → state (KV blocks and
 * scratch for one session or several). Each is freed before what it hangs on.
 *
 * Threads: calls on one device handle come from one thread at a time. @cancel flags may be set from
 * any thread; a run looks at its flag at least once a layer.
 * Errors: every call fills *error on failure and leaves its out-parameters alone; ENG_ERR_DEVICE means
 * that the handle is lost and only the frees are still allowed. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "eng-batch.h"
#include "eng-program.h"
#include "eng-status.h"

#ifdef __cplusplus
extern "C" {
#define ENG_ATOMIC_FLAG int
#else
#define ENG_ATOMIC_FLAG atomic_int
#endif

#define ENG_DEVICE_ABI 6u
/* The one symbol a module exports: const EngDeviceApi *inglenook_device_api (void); */
#define ENG_DEVICE_SYMBOL "inglenook_device_api"

typedef struct EngDevice EngDevice;
typedef struct EngBound EngBound;
typedef struct EngState EngState;

typedef enum
{
  ENG_DEVICE_CPU,
  ENG_DEVICE_GPU,
} EngDeviceKind;

typedef struct
{
  EngDeviceKind kind;
  char name[96];          /* as its maker calls it */
  char api[16];           /* "cpu", "cuda" */
  uint64_t memory_bytes;  /* in all */
  uint64_t free_bytes;    /* now */
  uint32_t n_units;       /* cores or multiprocessors */
  uint32_t score;         /* 0 = cannot run here (@problem says why); higher is preferred */
  EngStatus status;       /* ENG_OK, or why score is 0 */
  char problem[256];      /* words for a person; "" when usable */
} EngDeviceInfo;

/* Options of a device; zero means the default everywhere. */
typedef struct
{
  uint32_t n_threads;        /* CPU: 0 = physical cores within affinity and the cgroup's quota */
  uint64_t kernel_mask;      /* CPU: tiers allowed, 0 = all (EngCpuTier bits); from bit 32 on
                                eng-cpu-device.h's ENG_CPU_WITHOUT_* */
  uint64_t memory_limit_bytes; /* GPU: 0 = what is free less the desktop's share */
} EngDeviceOptions;

/* Where weights come from. @map returns the bytes of tensor @source as the file stores them, valid
 * until the source goes, or NULL; it may be called from several threads. */
typedef struct
{
  const void *(*map) (void *data, uint64_t source, uint64_t *n_bytes);
  void *data;
  /* Optional: the device has its own copy of @source now; pages of a mapped file may go. What @map gave
   * stays readable. */
  void (*release) (void *data, uint64_t source);
  /* Optional: the tensor's name, for errors; valid as long as the source. */
  const char *(*name) (void *data, uint64_t source);
} EngWeightSource;

typedef struct
{
  uint32_t first_step, n_steps; /* of the program: what this device runs */
  const uint8_t *elsewhere;     /* [program->n_steps] non-zero: another device runs that step, NULL: none;
                                   outlives the bound */
  const uint8_t *streamed;      /* [program->n_steps] non-zero: a step of another device that this one runs too in runs
                                   that ask for it (EngRun.streamed): its matrices are sent along each time and not kept.
                                   NULL: none; a device may ignore it. Outlives the bound, as does the source */
  EngType load_as;              /* ENG_TYPE_NONE, or the type that F16/BF16/F32 products become */
  bool exact;                   /* reference kernels with float activations (golden tests) */
  uint64_t disabled;            /* optimizations switched off, for bench --without; 0 = none */
  /* Progress in bytes; may be NULL. Returning false cancels. Called from the loading thread. */
  bool (*progress) (void *data, uint64_t done_bytes, uint64_t total_bytes);
  void *progress_data;
} EngBindOptions;

typedef struct
{
  uint32_t n_blocks[8];   /* blocks to hold, per state group */
  EngType k_type, v_type; /* ENG_TYPE_F16, F32, Q8_0, … */
  uint32_t max_positions; /* of one sequence: its tables have entries for so many in every group */
  uint32_t max_rows;      /* rows of the largest batch */
  uint32_t max_sequences;
  uint32_t max_outputs;   /* rows of the largest batch that want outputs */
} EngStateOptions;

typedef struct
{
  uint64_t weight_bytes, state_bytes, scratch_bytes;
  uint64_t mapped_bytes; /* part of weight_bytes that stays in the page cache, unchanged */
} EngMemoryPlan;

/* EngBindOptions.disabled: no products by another's library, only by the device's own kernels. */
#define ENG_WITHOUT_LIBRARY ((uint64_t) 1 << 32)

/* Whose kernels multiplied by weights. */
typedef struct
{
  bool own;
  const char *library; /* name of the library that did any, static; NULL: none did */
} EngProducts;

/* An activation buffer handed in or out at a cut: float32 [n_rows, width] in host memory. */
typedef struct
{
  EngBufferId buffer;
  float *data;
} EngBufferIo;

/* State that another device keeps: @bytes is [n_blocks] parts of a block, those of the layer that step @i_step (QKV, LATENT,
 * DELTA or CONV) writes or reads, each as read_block gives it. @to_owner: from @bytes to the device that keeps them. */
typedef struct
{
  EngStatus (*move) (void *data, uint32_t i_step, const uint32_t *blocks, uint32_t n_blocks, void *bytes,
                     bool to_owner, EngError *error);
  void *data;
} EngKeyMover;

typedef struct
{
  uint32_t first_step, n_steps; /* within what was bound */
  const EngBufferIo *imports;   /* filled before the first step */
  uint32_t n_imports;
  const EngBufferIo *exports; /* written after the last */
  uint32_t n_exports;
  float *output;      /* [rows that want output, n_output]; for POOL [n_sequences, n_output];
                         NULL if the run ends before OUTPUT or POOL */
  bool streamed; /* run the steps that were bound as streamed as well; ENG_ERR_UNSUPPORTED, with nothing done, where
                    the device cannot */
  EngKeyMover keys; /* streamed: for layers that keep their keys elsewhere */
  ENG_ATOMIC_FLAG *cancel; /* non-zero: stop with ENG_ERR_CANCELLED within one layer; may be NULL */
  EngProducts *products;   /* filled in where something was used, else left alone; may be NULL */
} EngRun;

/* A device goes on by itself from one row: it samples a token from the row's logits, runs the row of that token, samples
 * from its logits, and so on. What eng-sampler.h says of each number and of the order holds; with equal logits
 * and numbers the tokens are those of eng_sampler_sample (). */
#define ENG_DEVICE_TOP_K 64u   /* largest top_k */
#define ENG_DEVICE_SAMPLES 64u /* most tokens of a call */
typedef struct
{
  bool greedy;
  float temperature, top_p, min_p, repetition_penalty;
  uint32_t top_k;          /* 1 … ENG_DEVICE_TOP_K, unless greedy */
  uint32_t penalty_window; /* 0: no penalty */
  const int32_t *seen;     /* [n_seen] the last tokens, oldest first; n_seen <= penalty_window */
  uint32_t n_seen;
  uint32_t n_samples;      /* tokens wanted, 1 … ENG_DEVICE_SAMPLES */
  const double *draws;     /* [n_samples] numbers in [0, 1), one a token; NULL if greedy */
  /* Every token in its turn, while the next is being computed. @drew: it took its number. False: no more are wanted. */
  bool (*take) (void *data, int32_t token, bool drew);
  void *data;
} EngSampling;

typedef struct
{
  uint32_t abi;         /* ENG_DEVICE_ABI, checked first */
  uint32_t struct_size; /* sizeof (EngDeviceApi) of the module's build */
  const char *name;     /* "cpu", "cuda" */

  /* Fill at most @cap infos; *n = how many there are. Never fails hard: what is wrong (no driver,
   * too old, no device) is one info with score 0, status and problem. */
  EngStatus (*enumerate) (EngDeviceInfo *infos, uint32_t cap, uint32_t *n, EngError *error);
  EngStatus (*open) (uint32_t index, const EngDeviceOptions *options, EngDevice **device,
                     EngError *error);
  void (*close) (EngDevice **device);

  /* Bytes that bind and state_new would take, without taking them. @state may be NULL. */
  EngStatus (*plan) (EngDevice *device, const EngProgram *program, const EngBindOptions *bind,
                     const EngStateOptions *state, EngMemoryPlan *plan, EngError *error);
  /* The first thing a program meets: ENG_ERR_UNSUPPORTED names the step or type this device cannot
   * run. The program and the source outlive the bound. */
  EngStatus (*bind) (EngDevice *device, const EngProgram *program, const EngWeightSource *source,
                     const EngBindOptions *options, EngBound **bound, EngError *error);
  void (*unbind) (EngBound **bound);

  EngStatus (*state_new) (EngBound *bound, const EngStateOptions *options, EngState **state,
                          EngError *error);
  void (*state_free) (EngState **state);

  /* Run the steps for all rows. Allocates nothing. */
  EngStatus (*run) (EngBound *bound, EngState *state, const EngBatch *batch, const EngRun *run,
                    EngError *error);

  /* Copy whole blocks within a group (copy on write). */
  EngStatus (*copy_block) (EngBound *bound, EngState *state, uint32_t group, uint32_t from,
                           uint32_t to, EngError *error);
  /* Bytes of one block of @group, and its content to and from host memory (saving, moving). */
  uint64_t (*block_bytes) (EngBound *bound, EngState *state, uint32_t group);
  EngStatus (*read_block) (EngBound *bound, EngState *state, uint32_t group, uint32_t block,
                           void *data, EngError *error);
  EngStatus (*write_block) (EngBound *bound, EngState *state, uint32_t group, uint32_t block,
                            const void *data, EngError *error);

  /* Optional (NULL): one layer's part of several blocks, to and from host memory, as EngKeyMover says. */
  EngStatus (*move_keys) (EngBound *bound, EngState *state, uint32_t group, uint32_t i_layer_in_group,
                          const uint32_t *blocks, uint32_t n_blocks, void *data, bool to_state, EngError *error);

  /* Optional (NULL, or both): host memory that the device copies from and to without a detour, for outputs and
   * what crosses a cut. NULL when there is none left: ordinary memory does as well. */
  void *(*host_alloc) (EngDevice *device, uint64_t n_bytes);
  void (*host_free) (EngDevice *device, void *memory);

  /* Optional (NULL): run all steps for @batch, one row that wants its output, and sample as EngSampling says. The
   * sequence's tables hold room for n_samples - 1 positions behind n_positions; what stands there afterwards, behind the
   * rows of the tokens taken but the last, means nothing. A recurrent state is left behind the last of those rows; all of them
   * lie in one block. ENG_ERR_UNSUPPORTED, with nothing done, where
   * the device cannot. After ENG_ERR_CANCELLED the tokens taken so far stay good. */
  EngStatus (*sample) (EngBound *bound, EngState *state, const EngBatch *batch, const EngSampling *sampling,
                       ENG_ATOMIC_FLAG *cancel, EngError *error);

  /* Optional (NULL): adapters, backward entries come with later ABIs. */
} EngDeviceApi;

typedef const EngDeviceApi *(*EngDeviceApiFunc) (void);

#ifdef __cplusplus
}
#endif
