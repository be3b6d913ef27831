/* SPDX-License-Identifier: Apache-2.0 */
/* What every file of kernels tells the compiler. */
#pragma once

#define INLINE static inline __attribute__ ((always_inline))

/* Before a loop over registers of an array, which else would lie in memory. */
#define UNROLLED(n) _Pragma (ENG_TEXT_ (GCC unroll n))
#define ENG_TEXT_(...) #__VA_ARGS__
