/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the executor: how a program is cut. */
#pragma once

#include "eng-executor.h"

typedef struct
{
  uint8_t i_device;
  uint32_t first_step, n_steps;
  /* Buffers that come in and go out: [n_buffers] each. */
  EngBufferId *imports, *exports;
  uint32_t n_imports, n_exports;
} EngPiece;

/* Each device binds its steps once, however many pieces they are. */
typedef struct
{
  uint8_t *elsewhere; /* [n_steps] */
  uint8_t *streamed;  /* [n_steps] of those, what this device runs when many rows pay for sending it; NULL: nothing */
  bool has_steps, has_group[8];
  EngBound *bound;
} EngPart;

struct EngExecutor
{
  const EngProgram *program;
  EngExecutorDevice *devices;
  EngPart *parts; /* [n_devices] */
  uint32_t n_devices;
  EngPiece *pieces;
  uint32_t n_pieces;
  EngPiece stream[2]; /* a streamed run: what stands before the first layer, then all the rest on device 0 */
  uint32_t stream_rows;
};

/* ENG_ERR_NO_MEMORY, in words. */
EngStatus eng_executor_no_memory (EngError *error);
/* ENG_ERR_ARGUMENT: a layer or its experts on a device that is not there. */
EngStatus eng_executor_check_placement (const EngProgram *program, const EngExecutorOptions *options, EngError *error);
/* Cut the program: *parts [n_devices], *pieces [*n_pieces]; free_cut () also after a failure. */
EngStatus eng_executor_cut (const EngProgram *program, const EngExecutorOptions *options, EngPart **parts,
                            EngPiece **pieces, uint32_t *n_pieces, EngError *error);
void eng_executor_free_cut (EngPart *parts, uint32_t n_devices, EngPiece *pieces, uint32_t n_pieces);
/* The two pieces of a streamed run, and stream_rows; the first piece may be empty: device 0 has those steps itself. */
EngStatus eng_executor_plan_stream (EngExecutor *executor, uint32_t stream_rows, EngError *error);
