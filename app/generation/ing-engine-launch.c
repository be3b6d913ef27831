/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-engine-launch.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ing-error-private.h"

#define CHILD_FD 3

struct _IngEngineProcess
{
  GThread *thread;
  pid_t pid; /* 0 = a thread */
  EngStatus (*serve) (int fd, EngError *error);
  int fd; /* the engine's end, until its thread has it */
};

static gpointer
serve_thread (gpointer data)
{
  IngEngineProcess *process = data;
  EngError error = { 0 };
  EngStatus status = process->serve (process->fd, &error);
  if (status != ENG_OK)
    g_debug ("engine: the service ended with status %d", (int) status);
  return NULL;
}

static gboolean
spawn_child (IngEngineProcess *process, const char *program, GError **error)
{
  /* Every descriptor of this program is close-on-exec; dup2 to the same number would keep the
   * flag, so the end handed over never has that number. */
  int safe = fcntl (process->fd, F_DUPFD_CLOEXEC, CHILD_FD + 1);
  if (safe < 0)
    {
      g_propagate_error (error, ing_error_from_system (errno, program, "start"));
      return FALSE;
    }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, defaults;
  sigemptyset (&none);
  sigemptyset (&defaults);
  sigaddset (&defaults, SIGPIPE);
  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_addopen (&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2 (&actions, 2, 1); /* nothing of the engine on our output */
  posix_spawn_file_actions_adddup2 (&actions, safe, CHILD_FD);
  posix_spawnattr_init (&attributes);
  posix_spawnattr_setsigmask (&attributes, &none);
  posix_spawnattr_setsigdefault (&attributes, &defaults);
  /* A group of its own: Ctrl+C in a terminal is for us, who then cancel in good order. */
  posix_spawnattr_setpgroup (&attributes, 0);
  posix_spawnattr_setflags (&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
                                             | POSIX_SPAWN_SETPGROUP);
  char number[8];
  g_snprintf (number, sizeof number, "%d", CHILD_FD);
  char *argv[] = { (char *) program, (char *) "serve", (char *) "--fd", number, NULL };
  int rc = posix_spawn (&process->pid, program, &actions, &attributes, argv, environ);
  posix_spawnattr_destroy (&attributes);
  posix_spawn_file_actions_destroy (&actions);
  close (safe);
  close (process->fd);
  process->fd = -1;
  if (rc == 0)
    return TRUE;
  process->pid = 0;
  g_propagate_error (error, ing_error_new (ING_ERROR_ENGINE_LOST, program, 0, 0,
                                           "cannot start %s: %s", program, g_strerror (rc)));
  return FALSE;
}

IngEngineProcess *
ing_engine_process_start (const IngEngineLaunch *launch, int *fd, GError **error)
{
  int ends[2];
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    {
      g_propagate_error (error, ing_error_from_system (errno, NULL, "socketpair"));
      return NULL;
    }
  IngEngineProcess *process = g_new0 (IngEngineProcess, 1);
  process->fd = ends[1];
  gboolean ok = FALSE;
  if (launch->mode == ING_ENGINE_THREAD)
    {
      process->serve = launch->serve != NULL ? launch->serve : eng_serve;
      process->thread = g_thread_new ("ing-engine", serve_thread, process);
      ok = TRUE;
    }
  else
    {
      const char *program = launch->program != NULL ? launch->program : ing_paths_get_engine ();
      if (program != NULL)
        ok = spawn_child (process, program, error);
      else
        g_propagate_error (error, ing_error_new (ING_ERROR_ENGINE_LOST, "inglenook-engine", 0, 0,
                                                 "the program inglenook-engine was not found"));
    }
  if (!ok)
    {
      if (process->fd >= 0)
        close (process->fd);
      close (ends[0]);
      g_free (process);
      return NULL;
    }
  fcntl (ends[0], F_SETFL, fcntl (ends[0], F_GETFL) | O_NONBLOCK);
  *fd = ends[0];
  return process;
}

void
ing_engine_process_finish (IngEngineProcess *process, guint grace_ms)
{
  if (process->thread != NULL)
    g_thread_join (process->thread);
  if (process->pid > 0)
    {
      int status = 0;
      guint waited = 0;
      while (waitpid (process->pid, &status, WNOHANG) == 0)
        {
          if (waited >= grace_ms)
            kill (process->pid, SIGKILL);
          g_usleep (10000);
          waited += 10;
        }
      if (WIFSIGNALED (status))
        g_debug ("engine: the child ended by signal %d", WTERMSIG (status));
    }
  g_free (process);
}

int
ing_engine_process_get_pid (IngEngineProcess *process)
{
  return process->pid;
}
