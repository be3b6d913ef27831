/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of numbers to and from the block formats. Plain C, exact, the same result on every machine;
 * kernels/ multiplies blocks directly and is checked against these. No state: any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-error.h"
#include "eng-type.h"

/* Decode @n numbers, a whole number of blocks of @type, to float32. @src holds n / block_elements
 * blocks, aligned to 2 bytes (F32, F16, BF16 and MXFP4: to none); no overlap with @dst. Bit-exact as the `gguf`
 * Python package decodes. ENG_ERR_UNSUPPORTED if @type is no weight format (is_weight), then
 * nothing is written; no other error. */
EngStatus eng_dequantize_row (EngType type, const void *src, float *dst, size_t n);

/* Encode @n_rows rows of @n_cols numbers (a multiple of the block length), both packed, @dst aligned
 * to 2 bytes (4 for F32).
 *
 * @importance: NULL or n_cols weights >= 0, one a column, the same for all rows: mean squares of the
 * activations that meet the column. The search for scales then minimizes the error weighted by it.
 *
 * ENG_ERR_FORMAT, with the element's index as offset, if a number is NaN or infinite or its scale is
 * beyond what the format holds; @dst is then unspecified. ENG_ERR_UNSUPPORTED as above,
 * ENG_ERR_ARGUMENT for a bad n_cols. */
EngStatus eng_quantize_rows (EngType type, const float *src, void *dst, size_t n_rows,
                             size_t n_cols, const float *importance, EngError *error);

/* True when all scales of @n_rows rows of @n_cols (and all numbers of F16, BF16, F32) are finite;
 * else *bad_row is the first row with one that is not. For checking a file before it is used. */
bool eng_quant_rows_are_finite (EngType type, const void *src, size_t n_rows, size_t n_cols,
                                size_t *bad_row);
