/* SPDX-License-Identifier: Apache-2.0 */
/* What the module's plan for a run of many rows leaves each step, looked at without a card. */
#pragma once

#include "eng-program.h"

#ifdef __cplusplus
extern "C" {
#endif
/* Whether a step lacks room, or shares it with what it needs at the same time, or cannot run there at all; @words on the first. @code_arch: 75,
 * 80, 90. */
bool room_is_missing (const EngProgram *program, int code_arch, uint32_t n_rows, char words[256]);
#ifdef __cplusplus
}
#endif
