// SPDX-License-Identifier: Apache-2.0
#include "kernel-dozens.cuh"

DOZENS_OF (ENG_TYPE_Q4_K)
DOZENS_OF (ENG_TYPE_Q6_K)
DOZENS_OF (ENG_TYPE_Q8_0)
