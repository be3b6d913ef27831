// SPDX-License-Identifier: Apache-2.0
#include "kernel-experts-hopper.cuh"

EXPERTS_OF (ENG_TYPE_Q4_K)
EXPERTS_OF (ENG_TYPE_Q6_K)
EXPERTS_OF (ENG_TYPE_Q5_K)
