/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "eng-arena.h"
#include "eng-error.h"

#define SUFFIX ".part-XXXXXXXX"

struct EngOutput
{
  EngArena arena; /* both names */
  const char *path;
  char *temp;
  int fd;
};

static EngStatus
io_error (EngError *error, const char *what, const char *path)
{
  int e = errno;
  return eng_error_set (error, e == ENOENT ? ENG_ERR_NOT_FOUND : ENG_ERR_IO, NULL, ENG_OFFSET_NONE,
                        "cannot %s %s: %s", what, path, strerror (e));
}

static EngStatus
create_temp (EngOutput *output, EngError *error)
{
  size_t n = strlen (output->path);
  output->temp = eng_arena_alloc (&output->arena, n + sizeof SUFFIX);
  if (!output->temp)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "out of memory");
  memcpy (output->temp, output->path, n);
  for (unsigned attempt = 0; attempt < 16; attempt++)
    {
      uint32_t r = attempt;
      if (getrandom (&r, sizeof r, GRND_NONBLOCK) != sizeof r)
        r = (uint32_t) getpid () * 16 + attempt;
      snprintf (output->temp + n, sizeof SUFFIX, ".part-%08" PRIx32, r);
      output->fd = open (output->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (output->fd >= 0 || errno != EEXIST)
        break;
    }
  return output->fd >= 0 ? ENG_OK : io_error (error, "create", output->temp);
}

static void
output_free (EngOutput **output)
{
  if ((*output)->fd >= 0)
    close ((*output)->fd);
  eng_arena_clear (&(*output)->arena);
  eng_free (*output);
  *output = NULL;
}

EngStatus
eng_output_open (const char *path, EngOutput **out, EngError *error)
{
  EngOutput *output = eng_alloc (sizeof *output);
  *out = NULL;
  if (output)
    {
      output->fd = -1;
      output->path = eng_arena_strndup (&output->arena, path, strlen (path));
    }
  if (!output || !output->path)
    {
      eng_free (output);
      return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "out of memory");
    }
  EngStatus status = create_temp (output, error);
  if (status == ENG_OK)
    *out = output;
  else
    output_free (&output);
  return status;
}

const char *
eng_output_get_part_path (const EngOutput *output)
{
  return output->temp;
}

EngStatus
eng_output_reserve (EngOutput *output, uint64_t size, EngError *error)
{
  struct statvfs fs;
  if (size == 0 || size > INT64_MAX || fallocate (output->fd, 0, 0, (off_t) size) == 0
      || (errno != ENOSPC && errno != EDQUOT && errno != EFBIG))
    return ENG_OK;
  int e = errno;
  uint64_t available
      = fstatvfs (output->fd, &fs) == 0 ? (uint64_t) fs.f_bavail * fs.f_frsize : 0;
  return eng_error_set_numbers (error, ENG_ERR_IO, NULL, size, available,
                                "cannot write %s: %s; it needs %" PRIu64 " bytes, %" PRIu64
                                " are free",
                                output->path, strerror (e), size, available);
}

EngStatus
eng_output_write_at (EngOutput *output, uint64_t offset, const void *data, size_t n,
                     EngError *error)
{
  const uint8_t *p = data;
  const size_t piece = (size_t) 256 << 20;
  while (n > 0)
    {
      ssize_t done = pwrite (output->fd, p, n < piece ? n : piece, (off_t) offset);
      if (done < 0 && errno == EINTR)
        continue;
      if (done <= 0)
        return io_error (error, "write", output->temp);
      p += done;
      n -= (size_t) done;
      offset += (uint64_t) done;
    }
  return ENG_OK;
}

/* The rename itself is durable only once the folder is. */
static void
sync_folder (const char *path)
{
  char folder[4096] = ".";
  const char *slash = strrchr (path, '/');
  if (slash && (size_t) (slash - path) < sizeof folder - 1)
    snprintf (folder, sizeof folder, "%.*s", slash == path ? 1 : (int) (slash - path), path);
  int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0)
    {
      fsync (fd);
      close (fd);
    }
}

EngStatus
eng_output_commit (EngOutput **output, EngError *error)
{
  EngOutput *o = *output;
  EngStatus status = ENG_OK;
  int fd = o->fd;
  if (fsync (fd) != 0)
    status = io_error (error, "write", o->path);
  o->fd = -1;
  if (close (fd) != 0 && status == ENG_OK)
    status = io_error (error, "write", o->path);
  if (status == ENG_OK && rename (o->temp, o->path) != 0)
    status = io_error (error, "create", o->path);
  if (status == ENG_OK)
    sync_folder (o->path);
  else
    unlink (o->temp);
  output_free (output);
  return status;
}

void
eng_output_abandon (EngOutput **output)
{
  if (!*output)
    return;
  unlink ((*output)->temp);
  output_free (output);
}
