/* SPDX-License-Identifier: Apache-2.0 */
/* `inglenook ask` without the window's program: ask-tool ask … */
#include "ing-ask.h"

int
main (int argc, char **argv)
{
  return ing_ask_main (argc - 1, argv + 1);
}
