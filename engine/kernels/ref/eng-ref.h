/* SPDX-License-Identifier: Apache-2.0 */
/* Private to kernels/: the parts of the reference table. */
#pragma once

#include "eng-kernels.h"

#define ENG_REF_PANEL_ROWS 8u

void eng_ref_init_float (EngKernels *kernels);
void eng_ref_init_product (EngKernels *kernels);
void eng_ref_init_words (EngKernels *kernels);
void eng_ref_init_tiles (EngKernels *kernels);
void eng_ref_delta (const EngDelta *delta);
