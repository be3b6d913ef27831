/* SPDX-License-Identifier: Apache-2.0 */
/* A password from the terminal that this process is on, wherever its input and output go. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "ing-ask-private.h"
#include "ing-document-password.h"

/* A whole line, which the terminal gives at once. FALSE at Ctrl+C or at the end. */
static gboolean
read_line (int terminal, char *line, gsize size)
{
  struct pollfd fd = { .fd = terminal, .events = POLLIN };
  /* poll () is the one call that every signal interrupts. */
  int rc = poll (&fd, 1, -1);
  gssize n = rc == 1 ? read (terminal, line, size - 1) : -1;
  if (n <= 0)
    return FALSE;
  line[n] = '\0';
  line[strcspn (line, "\r\n")] = '\0';
  return TRUE;
}

char *
ing_ask_read_password (const char *question)
{
  int terminal = open ("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  struct termios before, quiet;
  if (terminal < 0)
    return NULL;
  if (tcgetattr (terminal, &before) != 0)
    {
      close (terminal);
      return NULL;
    }
  quiet = before;
  quiet.c_lflag &= ~(tcflag_t) ECHO;
  quiet.c_lflag |= ICANON | ISIG;
  tcsetattr (terminal, TCSAFLUSH, &quiet);
  char line[4 * ING_PASSWORD_MAX_BYTES];
  gboolean ok = write (terminal, question, strlen (question)) >= 0 && read_line (terminal, line, sizeof line);
  tcsetattr (terminal, TCSAFLUSH, &before);
  if (write (terminal, "\n", 1) < 0)
    g_debug ("the terminal went away");
  close (terminal);
  char *password = ok && *line != '\0' && g_utf8_validate (line, -1, NULL) ? g_strdup (line) : NULL;
  explicit_bzero (line, sizeof line);
  return password;
}
