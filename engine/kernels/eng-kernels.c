/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-kernels.h"

#include "ref/eng-ref.h"

void
eng_kernels_init_ref (EngKernels *kernels)
{
  eng_ref_init_float (kernels);
}
