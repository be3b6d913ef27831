/* SPDX-License-Identifier: Apache-2.0 */
/* How far a long subcommand is, for a person at a terminal or for a program (--progress), and its end on SIGINT and
 * SIGTERM without a part left behind. One a process.
 *
 * With --progress standard error has lines of its own among the usual messages:
 *   progress DONE TOTAL       bytes, at most 20 a second
 *   phase measuring, phase writing       what it does from here on, where quality is measured
 *   failed {"code", "text", "field", "offset", "line", "needed", "available"}       as ENG_WIRE_FAILED */
#pragma once

#include "eng-tool.h"
#include "eng-transfer-write.h"

typedef struct
{
  bool lines; /* --progress */
  bool on_terminal;
  int shown;
  uint64_t last_us;
} EngToolProgress;

/* Entry of a table of options; @progress zero-initialized. */
#define ENG_TOOL_PROGRESS_OPTION(progress)                                                                             \
  {                                                                                                                    \
    "--progress", ENG_TOOL_FLAG, &(progress).lines, "lines for a program on standard error: progress DONE TOTAL"       \
  }

/* Sets progress and cancel of @transfer. */
void eng_tool_progress_begin (EngToolProgress *progress, EngTransferOptions *transfer);
void eng_tool_progress_end (EngToolProgress *progress);
/* As eng_tool_fail (). */
int eng_tool_progress_fail (EngToolProgress *progress, const char *subject, const EngError *error);
