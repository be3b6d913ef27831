/* SPDX-License-Identifier: Apache-2.0 */
/* Why these rules: a filter by socket family needs no list of addresses and holds for DNS, TCP, UDP, raw and
 * netlink alike; Landlock's network rules know TCP only, and user namespaces are not to be had everywhere.
 * seccomp(2), libseccomp's seccomp_attr_set(3). */
#include "ing-offline.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <seccomp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ing-error-private.h"

static int offline; /* atomic */

static char *
switch_path (void)
{
  return g_build_filename (ing_paths_get_config (), "offline", NULL);
}

gboolean
ing_offline_is_on (void)
{
  return g_atomic_int_get (&offline) != 0;
}

gboolean
ing_offline_get_switch (void)
{
  g_autofree char *path = switch_path ();
  return access (path, F_OK) == 0;
}

/* Sockets from before the filter, idle connections kept open among them. */
static void
shut_open_sockets (void)
{
  DIR *dir = opendir ("/proc/self/fd");
  struct dirent *entry;
  while (dir != NULL && (entry = readdir (dir)) != NULL)
    {
      int family;
      socklen_t length = sizeof family;
      int fd = (int) g_ascii_strtoll (entry->d_name, NULL, 10);
      if (entry->d_name[0] != '.' && getsockopt (fd, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0
          && family != AF_UNIX)
        shutdown (fd, SHUT_RDWR);
    }
  if (dir != NULL)
    closedir (dir);
}

static int
load_filter (void)
{
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ALLOW);
  int rc = filter != NULL ? 0 : -ENOMEM;
  if (rc == 0)
    rc = seccomp_attr_set (filter, SCMP_FLTATR_CTL_TSYNC, 1);
  if (rc == 0)
    rc = seccomp_attr_set (filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO (EPERM));
  if (rc == 0)
    rc = seccomp_rule_add (filter, SCMP_ACT_ERRNO (EACCES), SCMP_SYS (socket), 1,
                           SCMP_A0 (SCMP_CMP_NE, AF_UNIX));
  if (rc == 0)
    rc = seccomp_rule_add (filter, SCMP_ACT_ERRNO (EACCES), SCMP_SYS (socketpair), 1,
                           SCMP_A0 (SCMP_CMP_NE, AF_UNIX));
  if (rc == 0)
    rc = seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (io_uring_setup), 0);
  if (rc == 0)
    rc = seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (pidfd_getfd), 0);
  if (rc == 0)
    rc = seccomp_load (filter);
  if (filter != NULL)
    seccomp_release (filter);
  return rc;
}

gboolean
ing_offline_enter (GError **error)
{
  static GMutex lock;
  g_mutex_lock (&lock);
  int rc = ing_offline_is_on () ? 0 : load_filter ();
  if (rc == 0 && !ing_offline_is_on ())
    {
      g_atomic_int_set (&offline, 1);
      shut_open_sockets ();
    }
  g_mutex_unlock (&lock);
  if (rc == 0)
    return TRUE;
  g_propagate_error (error, ing_error_new (ING_ERROR_UNSUPPORTED, NULL, 0, 0,
                                           "this system cannot keep the program off the network: %s",
                                           g_strerror (rc < 0 ? -rc : EINVAL)));
  return FALSE;
}

gboolean
ing_offline_set_switch (gboolean on, GError **error)
{
  g_autofree char *path = switch_path ();
  if (!on)
    {
      if (g_unlink (path) == 0 || errno == ENOENT)
        return TRUE;
      g_propagate_error (error, ing_error_from_system (errno, path, "delete"));
      return FALSE;
    }
  if (!ing_offline_enter (error) || !ing_paths_ensure_folder (ing_paths_get_config (), error))
    return FALSE;
  int fd = open (path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    {
      g_propagate_error (error, ing_error_from_system (errno, path, "create"));
      return FALSE;
    }
  close (fd);
  return ing_paths_sync_folder (ing_paths_get_config (), error);
}

gboolean
ing_offline_start (int *argc, char **argv, GError **error)
{
  gboolean wanted = ing_offline_get_switch ();
  /* gvfsd would open the socket for us, in another process. */
  g_setenv ("GIO_USE_VFS", "local", TRUE);
  for (int i = 2; i < *argc && strcmp (argv[i], "--") != 0; i++)
    wanted = wanted || strcmp (argv[i], "--offline") == 0;
  while (*argc > 1 && strcmp (argv[1], "--offline") == 0)
    {
      memmove (argv + 1, argv + 2, (size_t) (*argc - 1) * sizeof *argv); /* the NULL too */
      (*argc)--;
      wanted = TRUE;
    }
  return !wanted || ing_offline_enter (error);
}
