// SPDX-License-Identifier: Apache-2.0
#include "kernel-dozens.cuh"

DOZENS_OF (ENG_TYPE_IQ4_XS)
DOZENS_OF (ENG_TYPE_MXFP4)
DOZENS_OF (ENG_TYPE_Q2_K)
DOZENS_OF (ENG_TYPE_Q3_K)
