// SPDX-License-Identifier: Apache-2.0
#include "kernel-experts-hopper.cuh"

EXPERTS_OF (ENG_TYPE_Q8_0)
EXPERTS_OF (ENG_TYPE_Q4_0)
EXPERTS_OF (ENG_TYPE_Q4_1)
