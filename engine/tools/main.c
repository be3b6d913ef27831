/* SPDX-License-Identifier: Apache-2.0 */
/* inglenook-engine: everything the engine does, without a desktop. One file a subcommand. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "eng-commands.h"
#include "eng-tool.h"

static const struct
{
  const char *name;
  int (*run) (int argc, char **argv);
  const char *help;
} commands[] = {
#define X(name, help) { #name, eng_cmd_##name, help },
  ENG_TOOL_COMMANDS (X)
#undef X
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void
print_usage (FILE *file)
{
  fputs ("usage: inglenook-engine COMMAND [ARGUMENT]… [OPTION]…\n\n", file);
  for (size_t i = 0; i < N_COMMANDS; i++)
    if (commands[i].run)
      fprintf (file, "  %-12s %s\n", commands[i].name, commands[i].help);
  fputs ("\nCOMMAND --help lists its options.\n", file);
}

int
main (int argc, char **argv)
{
  /* A reader that went away shows as a write error with its message, not as a silent death. */
  signal (SIGPIPE, SIG_IGN);
  if (argc < 2)
    {
      print_usage (stderr);
      return ENG_TOOL_USAGE;
    }
  if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "help") == 0)
    {
      print_usage (stdout);
      return eng_tool_finish_output ();
    }
  if (strcmp (argv[1], "--version") == 0)
    {
      puts ("inglenook-engine " ENG_VERSION);
      return eng_tool_finish_output ();
    }
  for (size_t i = 0; i < N_COMMANDS; i++)
    if (commands[i].run && strcmp (argv[1], commands[i].name) == 0)
      return commands[i].run (argc - 1, argv + 1);
  eng_tool_bad_usage ("no such command: '%s'", argv[1]);
  print_usage (stderr);
  return ENG_TOOL_USAGE;
}
