/* SPDX-License-Identifier: Apache-2.0 */
/* What every file of kernels tells the compiler. */
#pragma once

#define INLINE static inline __attribute__ ((always_inline))

/* Before a loop over registers of an array, which else would lie in memory. */
#define UNROLLED(n) _Pragma (ENG_TEXT_ (GCC unroll n))
#define ENG_TEXT_(...) #__VA_ARGS__

/* Places of the weights that one row of activations is multiplied with side by side, or in turn: the memory has more
 * under way for several than for one. */
#define SIDE 4

/* Asks for the @bytes that stand @ahead bytes behind @p, into the second-level cache: the processor's own prefetching begins anew
 * at each page of 4 KB. Beyond the end of an array nothing happens. */
#define FETCH_AHEAD(p, ahead, bytes)                                                               \
  do                                                                                               \
    for (size_t i_ = 0; i_ < (size_t) (bytes); i_ += 64)                                           \
      _mm_prefetch ((const char *) (p) + (ahead) + i_, _MM_HINT_T1);                               \
  while (0)
