/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-data-lock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ing-error-private.h"

struct _IngDataLock
{
  int fd;
};

static GError *
describe_holder (int fd, const char *path)
{
  char text[64] = "";
  guint64 pid = 0;
  char owner[32] = "";
  if (pread (fd, text, sizeof text - 1, 0) > 0)
    {
      char *end = NULL;
      pid = g_ascii_strtoull (text, &end, 10);
      sscanf (end, " %31s", owner);
    }
  return ing_error_new (ING_ERROR_LOCKED, g_utf8_validate (owner, -1, NULL) ? owner : NULL, pid, 0,
                        "%s is held by process %" G_GUINT64_FORMAT, path, pid);
}

IngDataLock *
ing_data_lock_take (const char *folder, const char *owner, GError **error)
{
  g_autofree char *path = g_build_filename (folder, "lock", NULL);
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    {
      g_propagate_error (error, ing_error_from_system (errno, path, "open"));
      return NULL;
    }
  struct flock request = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  if (fcntl (fd, F_OFD_SETLK, &request) != 0)
    {
      g_propagate_error (error, errno == EAGAIN || errno == EACCES
                                    ? describe_holder (fd, path)
                                    : ing_error_from_system (errno, path, "lock"));
      close (fd);
      return NULL;
    }
  /* Only for the message others show: a full disk must not keep the lock from being taken. */
  g_autofree char *text = g_strdup_printf ("%d %s\n", (int) getpid (), owner);
  if (ftruncate (fd, 0) != 0 || pwrite (fd, text, strlen (text), 0) < 0)
    g_debug ("lock: cannot write its owner");
  IngDataLock *lock = g_new0 (IngDataLock, 1);
  lock->fd = fd;
  return lock;
}

void
ing_data_lock_free (IngDataLock *lock)
{
  if (lock == NULL)
    return;
  close (lock->fd);
  g_free (lock);
}
