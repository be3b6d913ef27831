/* SPDX-License-Identifier: Apache-2.0 */
/* `inglenook ask`: a question in the terminal. No GTK. Exit codes: 0 answered, 1 failed, 2 bad usage,
 * 130 interrupted. */
#pragma once

#include "ing-workspace.h"

G_BEGIN_DECLS

/* The whole command, argv[0] being "ask". Beside a running window the request is handed to it over
 * D-Bus; otherwise it is answered here. Returns the exit code. */
int ing_ask_main (int argc, char **argv);

/* In the window's process: is this command line (as from a second `inglenook`) for ask? */
gboolean ing_ask_wants_command_line (GApplicationCommandLine *command_line);

/* …then answer it with @workspace (waiting until it is open): prints to the other process as the text comes
 * and sets its exit code. Returns at once; keeps @command_line alive until it is answered. */
void ing_ask_run_command_line (GApplicationCommandLine *command_line, IngWorkspace *workspace);

G_END_DECLS
