/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the tensors of a model file from pieces of others: decoding, reordering, encoding by slabs
 * of rows on several threads. Memory beside the mappings: about 32 MiB, and 1 MiB or two rows of
 * floats a thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "eng-gguf-writer.h"
#include "eng-thread-pool.h"

/* A run of rows in memory. */
typedef struct
{
  const void *data; /* packed rows of the tensor's dims[0] numbers; aligned as the type needs */
  EngType type;
  uint64_t n_rows;
  uint32_t n_interleave; /* 0, or a number of heads h dividing n_rows: row i of either half of a head
                            goes to row 2 i (first half) or 2 i + 1 (second) of the head: rotary pairs
                            (i, i + n/2) become neighbours */
  uint32_t n_turned; /* 0, or the piece is of floats and transposed: @data has so many rows (the tensor's dims[0]) of n_rows
                        numbers, whose columns are the rows */
  const uint8_t *scales; /* NULL, or MXFP4 as hubs have it: @data holds 16 bytes for each 32 numbers, neighbours in a byte
                            and the first in its low half; this their E8M0 scales */
  uint32_t row_step;     /* with @scales: from row to row of the piece in rows of @data */
} EngTransferPiece;

typedef struct
{
  const char *name;
  EngType type; /* to write */
  uint32_t n_dims;
  uint64_t dims[4];
  const EngTransferPiece *pieces; /* one below the other; their rows make up dims[1] … dims[3] */
  size_t n_pieces;
  uint32_t n_outer, n_inner; /* 0, or columns that stand in the pieces as [n_outer][n_inner][rest] and are written as
                                [n_inner][n_outer][rest]; pieces are of floats then */
  float add;                /* added to each number (norms that are stored minus one) */
  const float *importance;  /* NULL or n_importance x dims[0] */
  uint64_t n_importance;    /* 1, or one for each slice (dims[2]) */
} EngTransferTensor;

#define ENG_TRANSFER_MAX_ROW_BYTES ((uint64_t) 256 << 20) /* of float32 */
#define ENG_TRANSFER_TYPES 64 /* over every EngType */

/* How far; called on the caller's thread after every slab. */
typedef void (*EngTransferProgress) (void *data, uint64_t done_bytes, uint64_t total_bytes);

typedef struct
{
  EngThreadPool *pool;         /* NULL = the caller's thread alone */
  const atomic_bool *cancel;   /* NULL or looked at after every slab */
  EngTransferProgress progress; /* or NULL */
  void *progress_data;
  bool only_size;       /* write nothing; *out_bytes is what the file would have */
  uint64_t *type_bytes; /* NULL or [ENG_TRANSFER_TYPES]: bytes of tensors written (or to be written) as each EngType; set */
} EngTransferOptions;

/* Row @row of @t, as it will be encoded: dst [dims[0]]. */
void eng_transfer_decode_row (const EngTransferTensor *t, uint64_t row, float *dst);
/* Whether its rows are one piece's, byte for byte, as long as the type stays. */
bool eng_transfer_is_unchanged (const EngTransferTensor *t);
/* The importance of that row's columns [dims[0]], or NULL. */
const float *eng_transfer_get_importance (const EngTransferTensor *t, uint64_t row);

/* Announces all @n tensors, begins, writes and finishes @writer. Errors of eng-gguf-writer.h;
 * ENG_ERR_FORMAT with the tensor as field where a number cannot be encoded; ENG_ERR_CANCELLED;
 * ENG_ERR_LIMIT for rows over 256 MiB. *out_bytes (may be NULL): size of the file. */
EngStatus eng_transfer_write (EngGgufWriter *writer, const EngTransferTensor *tensors, size_t n,
                              const EngTransferOptions *options, uint64_t *out_bytes,
                              EngError *error);

/* The same but for the last step: @writer is begun and whole, eng_gguf_writer_finish () gives the file its name. */
EngStatus eng_transfer_write_part (EngGgufWriter *writer, const EngTransferTensor *tensors, size_t n,
                                   const EngTransferOptions *options, uint64_t *out_bytes,
                                   EngError *error);
