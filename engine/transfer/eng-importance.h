/* SPDX-License-Identifier: Apache-2.0 */
/* Importance of weights: for each column of a matrix, the mean square of what it was multiplied
 * with while a text was read. Read from a GGUF file with, for a matrix NAME, the float32 tensors
 * NAME.in_sum2 {n_cols, n_slices} (sums of squares) and NAME.counts {1, n_slices}, as llama.cpp's
 * imatrix tool writes them; also from that tool's older binary files. */
#pragma once

#include <stdint.h>

#include "eng-status.h"

typedef struct EngImportance EngImportance;

/* ENG_ERR_FORMAT, naming the tensor, for shapes or numbers (negative, not finite) that cannot be. */
EngStatus eng_importance_open (const char *path, EngImportance **out, EngError *error);
void eng_importance_free (EngImportance **importance);

/* Means for the matrix @name of @n_cols columns and @n_slices slices: n_slices x n_cols floats,
 * borrowed; NULL if the file has none. *out_slices is 1 (same for all) or @n_slices. Present with
 * other sizes: ENG_ERR_FORMAT. */
EngStatus eng_importance_get (const EngImportance *importance, const char *name, uint64_t n_cols,
                              uint64_t n_slices, const float **out, uint64_t *out_slices,
                              EngError *error);
