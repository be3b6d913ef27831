// SPDX-License-Identifier: Apache-2.0
#include "kernel-dozens.cuh"

DOZENS_OF (ENG_TYPE_Q5_K)
DOZENS_OF (ENG_TYPE_Q4_0)
DOZENS_OF (ENG_TYPE_Q5_0)
