/* SPDX-License-Identifier: Apache-2.0 */
/* Private to kernels/: the parts of the reference table. */
#pragma once

#include "eng-kernels.h"

void eng_ref_init_float (EngKernels *kernels);
