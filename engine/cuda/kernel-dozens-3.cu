// SPDX-License-Identifier: Apache-2.0
#include "kernel-dozens.cuh"

DOZENS_OF (ENG_TYPE_Q4_1)
DOZENS_OF (ENG_TYPE_Q5_1)
DOZENS_OF (ENG_TYPE_IQ4_NL)
