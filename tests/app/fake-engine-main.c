/* SPDX-License-Identifier: Apache-2.0 */
/* fake-engine serve --fd N */
#include <stdlib.h>
#include <string.h>

#include "fake-engine.h"

int
main (int argc, char **argv)
{
  if (argc != 4 || strcmp (argv[1], "serve") != 0 || strcmp (argv[2], "--fd") != 0)
    return 2;
  return fake_engine_serve (atoi (argv[3]), NULL) == ENG_OK ? 0 : 1;
}
