/* SPDX-License-Identifier: Apache-2.0 */
/* serve --fd N: speak the application's protocol (eng-wire.h) on an inherited socket. */
#include <sys/socket.h>

#include "eng-commands.h"
#include "eng-serve.h"
#include "eng-tool.h"

int
eng_cmd_serve (int argc, char **argv)
{
  int64_t fd = -1;
  const EngToolOption options[] = {
    { "--fd", ENG_TOOL_INT, &fd, "N  number of a connected stream socket" },
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "--fd N",
    .summary = "Serve the application's protocol on an inherited socket.",
    .options = options,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  int type = 0;
  socklen_t size = sizeof type;
  if (fd < 0 || fd > INT32_MAX || getsockopt ((int) fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0
      || type != SOCK_STREAM)
    return eng_tool_bad_usage ("--fd must name an open stream socket");
  EngError error;
  if (eng_serve ((int) fd, &error) != ENG_OK)
    return eng_tool_fail ("serve", &error);
  return ENG_TOOL_OK;
}
