/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-reader-child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libintl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ing-error-private.h"
#include "reader-limits.h"

#define SILENCE_MS 60000 /* a child that says nothing for so long hangs */
#define GRACE_MS 500     /* for a child that closed its output to end by itself */

/* A pipe or a device would hang whoever reads it. */
int
ing_reader_open (const char *path, GError **error)
{
  struct stat st;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 || fstat (fd, &st) != 0)
    g_propagate_error (error, ing_error_from_system (errno, path, "open"));
  else if (!S_ISREG (st.st_mode))
    g_propagate_error (error, ing_error_new (ING_ERROR_UNSUPPORTED, path, 0, 0, "this is no ordinary file"));
  else if ((guint64) st.st_size > RDR_MAX_FILE_BYTES)
    g_propagate_error (error, ing_error_new (ING_ERROR_LIMIT, path, 0, 0, "%" PRIu64 " MB; at most %llu are read",
                                             (guint64) st.st_size >> 20, RDR_MAX_FILE_BYTES >> 20));
  else
    return fd;
  if (fd >= 0)
    close (fd);
  return -1;
}

/* Where libraries and fonts are, and the language of messages; nothing else: the environment may hold tokens, and the child is
 * not trusted. */
static char **
make_environment (void)
{
  static const char *const kept[] = { "PATH",         "LD_LIBRARY_PATH", "FONTCONFIG_PATH", "FONTCONFIG_FILE",
                                      "ASAN_OPTIONS", "LSAN_OPTIONS",    "UBSAN_OPTIONS",   "LANGUAGE",
                                      "LC_ALL",       "LC_MESSAGES",     "LANG" };
  char **environment = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    if (g_getenv (kept[i]) != NULL)
      environment = g_environ_setenv (environment, kept[i], g_getenv (kept[i]), TRUE);
  return g_environ_setenv (environment, "TEXTDOMAINDIR", bindtextdomain (GETTEXT_PACKAGE, NULL), TRUE);
}

/* A descriptor that @password can be read from, or -1. */
static int
make_password_pipe (const char *password)
{
  int ends[2];
  if (pipe2 (ends, O_CLOEXEC) != 0)
    return -1;
  /* Far less than a pipe holds. */
  if (write (ends[1], password, strlen (password)) < 0)
    g_debug ("a password was not handed over");
  close (ends[1]);
  return ends[0];
}

gboolean
ing_reader_child_start (IngReaderChild *child, int input, const char *password_text, const char *const *words,
                        GError **error)
{
  const char *program = ing_paths_get_reader ();
  int password = -1, ends[2];
  if (program == NULL)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_FAILED, child->path, 0, 0,
                                               "the program inglenook-reader was not found; install Inglenook again"));
      close (input);
      return FALSE;
    }
  if (pipe2 (ends, O_CLOEXEC) != 0)
    {
      g_propagate_error (error, ing_error_from_system (errno, NULL, "pipe"));
      close (input);
      return FALSE;
    }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset (&none);
  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_adddup2 (&actions, input, 0);
  posix_spawn_file_actions_adddup2 (&actions, ends[1], 1);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_ptr_array_add (argv, (char *) program);
  if (password_text != NULL && (password = make_password_pipe (password_text)) >= 0)
    {
      g_ptr_array_add (argv, (char *) "--password");
      posix_spawn_file_actions_adddup2 (&actions, password, 3);
    }
  for (guint i = 0; i == 0 || words[i - 1] != NULL; i++)
    g_ptr_array_add (argv, (char *) words[i]);
  posix_spawn_file_actions_addopen (&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_init (&attributes);
  posix_spawnattr_setsigmask (&attributes, &none);
  posix_spawnattr_setpgroup (&attributes, 0);
  posix_spawnattr_setflags (&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  g_auto (GStrv) environment = make_environment ();
  int rc = posix_spawn (&child->pid, program, &actions, &attributes, (char **) argv->pdata, environment);
  posix_spawnattr_destroy (&attributes);
  posix_spawn_file_actions_destroy (&actions);
  close (input);
  close (ends[1]);
  if (password >= 0)
    close (password);
  child->fd = ends[0];
  if (rc == 0)
    return TRUE;
  close (ends[0]);
  g_propagate_error (error, ing_error_from_system (rc, program, "start"));
  return FALSE;
}

gssize
ing_reader_child_read (IngReaderChild *child, void *data, gsize n, GError **error)
{
  GPollFD fds[2] = { { .fd = child->fd, .events = G_IO_IN } };
  guint n_fds = 1;
  if (child->cancellable != NULL && g_cancellable_make_pollfd (child->cancellable, &fds[1]))
    n_fds = 2;
  gssize k = -1;
  do
    {
      int rc = g_poll (fds, n_fds, SILENCE_MS);
      if (g_cancellable_set_error_if_cancelled (child->cancellable, error))
        break;
      if (rc == 0)
        {
          g_propagate_error (error, ing_error_new (ING_ERROR_LIMIT, child->path, SILENCE_MS / 1000, 0,
                                                   "reading the file took too long"));
          break;
        }
      errno = EINTR;
      if (fds[0].revents != 0)
        k = read (child->fd, data, n);
    }
  while (k < 0 && errno == EINTR);
  if (n_fds == 2)
    g_cancellable_release_fd (child->cancellable);
  return k;
}

/* Ends it, however far it is; returns its status. */
int
ing_reader_child_finish (IngReaderChild *child)
{
  int status = 0;
  close (child->fd);
  kill (child->pid, SIGKILL);
  while (waitpid (child->pid, &status, 0) < 0 && errno == EINTR)
    ;
  return status;
}

/* It closed its output: let it end by itself, so that its status tells why, but not for ever. */
int
ing_reader_child_finish_closed (IngReaderChild *child)
{
  int status = 0;
  for (guint waited_ms = 0; waited_ms < GRACE_MS && !g_cancellable_is_cancelled (child->cancellable); waited_ms += 5)
    {
      if (waitpid (child->pid, &status, WNOHANG) == child->pid)
        {
          close (child->fd);
          return status;
        }
      g_usleep (5000);
    }
  return ing_reader_child_finish (child);
}
