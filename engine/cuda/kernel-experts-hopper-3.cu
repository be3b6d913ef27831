// SPDX-License-Identifier: Apache-2.0
#include "kernel-experts-hopper.cuh"

EXPERTS_OF (ENG_TYPE_Q5_0)
EXPERTS_OF (ENG_TYPE_Q5_1)
EXPERTS_OF (ENG_TYPE_IQ4_NL)
