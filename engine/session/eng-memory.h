/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory this process may still take. Any thread. */
#pragma once

#include <stdint.h>

/* The smaller of what the system can give without swapping (MemAvailable) and what is left of every
 * cgroup limit above this process. UINT64_MAX when nothing says. */
uint64_t eng_memory_get_available (void);
/* The same from files under @root instead of "/" (tests). */
uint64_t eng_memory_get_available_in (const char *root);
