// SPDX-License-Identifier: Apache-2.0
#include "kernel-experts-hopper.cuh"

EXPERTS_OF (ENG_TYPE_IQ4_XS)
EXPERTS_OF (ENG_TYPE_MXFP4)
EXPERTS_OF (ENG_TYPE_Q2_K)
EXPERTS_OF (ENG_TYPE_Q3_K)
