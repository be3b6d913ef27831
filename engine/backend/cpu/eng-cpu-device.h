/* SPDX-License-Identifier: Apache-2.0 */
/* The processor as a device: runs any step program on a thread pool. Always there. */
#pragma once

#include "eng-device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of EngDeviceOptions.kernel_mask that switch an optimization off, to measure what it gives. Results
 * change only by the rounding of another order of summation. */
#define ENG_CPU_WITHOUT_SPLIT ((uint64_t) 1 << 32)  /* attention of few rows split over positions */
#define ENG_CPU_WITHOUT_SHARED ((uint64_t) 1 << 33) /* neighbouring rows that read keys together */
#define ENG_CPU_WITHOUT_FETCH ((uint64_t) 1 << 34)  /* keys and values asked for early */
#define ENG_CPU_WITHOUT_SPIN ((uint64_t) 1 << 35)   /* waiting for the next step awake */
#define ENG_CPU_WITHOUT_EARLY_END ((uint64_t) 1 << 36) /* rows without output left behind where no layer reads them any more */
#define ENG_CPU_WITHOUT_WORDS ((uint64_t) 1 << 37) /* many rows times 16-bit floats by integers; they round as well */

/* The table; static, any thread. Of it one device (index 0) can be opened any number of times, each
 * with threads of its own.
 *
 * What a block's content is (read_block, write_block), for each layer of the group in turn:
 *   keys   [n_kv_head][ENG_KV_BLOCK][k_width] of k_type,
 *   values [n_kv_head][ENG_KV_BLOCK][v_width] of v_type,
 * whatever the layout in memory; with keys of Q8_0, as it stands in memory (eng-cpu-kv.c). Supported types: F32, F16, Q8_0.
 *
 * A batch that breaks its contract (a token, block id or position out of range, more rows than
 * max_rows) is refused with ENG_ERR_ARGUMENT before anything is written. */
const EngDeviceApi *eng_cpu_device_api (void);

#ifdef __cplusplus
}
#endif
