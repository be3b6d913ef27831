/* SPDX-License-Identifier: Apache-2.0 */
/* inglenook-engine: everything the engine does, without a desktop. One file a subcommand. */
#include <stdio.h>

int
main (int argc, char **argv)
{
  fprintf (stderr, "usage: inglenook-engine COMMAND MODEL [OPTION]…\n");
  return 2;
}
