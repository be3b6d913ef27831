/* SPDX-License-Identifier: Apache-2.0 */
/* From model options of the command line to a session. */
#pragma once

#include "eng-session.h"
#include "eng-tool.h"

/* ENG_ERR_ARGUMENT names the option. */
EngStatus eng_tool_session_options (const EngToolModelOptions *options, EngSessionOptions *session,
                                    EngError *error);

/* A runtime and a session on @path (a file, or a hub folder: eng-folder.h); both freed by eng_tool_close (), also after a failure. */
typedef struct
{
  EngRuntime *runtime;
  EngSession *session;
} EngToolSession;
EngStatus eng_tool_open (const char *path, const EngSessionOptions *options, EngToolSession *out,
                         EngError *error);
void eng_tool_close (EngToolSession *session);

/* "1,2,3" (spaces allowed), the value of @option, appended to @numbers; ENG_ERR_ARGUMENT. */
EngStatus eng_tool_parse_numbers (const char *text, const char *option, EngTokenBuffer *numbers, EngError *error);

/* Parse "true", "f16[,f16]" style type names of @option; ENG_ERR_ARGUMENT for what is no type. */
EngStatus eng_tool_parse_kv (const char *text, EngType *k, EngType *v, EngError *error);

/* A flag that Ctrl-C sets; the first call installs the handler. A second Ctrl-C ends the process. */
ENG_ATOMIC_FLAG *eng_tool_cancel_flag (void);
