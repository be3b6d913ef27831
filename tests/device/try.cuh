// SPDX-License-Identifier: Apache-2.0
// A call that has to succeed, in programs that have nothing to tidy up.
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define TRY(call)                                                                                  \
  do                                                                                               \
    {                                                                                              \
      const cudaError_t e_ = (call);                                                               \
      if (e_ != cudaSuccess)                                                                       \
        {                                                                                          \
          printf ("%s: %s\n", #call, cudaGetErrorString (e_));                                     \
          exit (1);                                                                                \
        }                                                                                          \
    }                                                                                              \
  while (0)
