/* SPDX-License-Identifier: Apache-2.0 */
/* The engine as a service behind a stream socket: the only door that app/ uses. */
#pragma once

#include <stdbool.h>

#include "eng-status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Serve the protocol of eng-wire.h on @fd (a connected stream socket) until SHUTDOWN, the other end
 * closes, or a frame breaks the protocol. Owns models, sessions and threads made meanwhile and frees
 * them all before it returns. Takes ownership of @fd and closes it. Blocks: give it a thread or a
 * process of its own. Several may run in one process; each has its own models.
 *
 * A request that fails because the GPU behind a model was lost (ENG_ERR_DEVICE) is answered, and the service ends:
 * only a new process has the device back.
 *
 * Returns ENG_OK after an orderly end, ENG_ERR_FORMAT after a bad frame, ENG_ERR_IO if the socket
 * failed, ENG_ERR_NO_MEMORY if not even the service could be made. */
EngStatus eng_serve (int fd, EngError *error);

/* Whether a GPU's module is installed here. Then the service belongs into a process of its own: a driver that loses
 * its device takes the process with it. Looks at files only. */
bool eng_serve_has_module (void);

#ifdef __cplusplus
}
#endif
