/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-mmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "eng-arena.h"
#include "eng-checked.h"
#include "eng-error.h"

struct EngMmap
{
  char *path;
  int fd;
  uint8_t *data;
  uint64_t size;
  bool loaded;
  struct stat st;
};

static EngStatus
io_error (EngError *error, const char *what, const char *path)
{
  int e = errno;
  return eng_error_set (error, e == ENOENT || e == ENOTDIR ? ENG_ERR_NOT_FOUND : e == ENOMEM ? ENG_ERR_NO_MEMORY : ENG_ERR_IO,
                        NULL, ENG_OFFSET_NONE, "cannot %s %s: %s", what, path, strerror (e));
}

static EngStatus
open_regular (EngMmap *map, EngError *error)
{
  /* O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on regular files. */
  map->fd = open (map->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (map->fd < 0)
    return io_error (error, "open", map->path);
  if (fstat (map->fd, &map->st) != 0)
    return io_error (error, "examine", map->path);
  if (!S_ISREG (map->st.st_mode))
    return eng_error_set (error, ENG_ERR_IO, NULL, ENG_OFFSET_NONE, "%s is not a regular file",
                          map->path);
  map->size = (uint64_t) map->st.st_size;
  if (map->size > SIZE_MAX / 2)
    return eng_error_set_numbers (error, ENG_ERR_TOO_LARGE, NULL, map->size, SIZE_MAX / 2,
                                  "%s is larger than the address space", map->path);
  if (map->size == 0)
    return ENG_OK;
  void *p = mmap (NULL, map->size, PROT_READ, MAP_SHARED, map->fd, 0);
  if (p == MAP_FAILED)
    return io_error (error, "map", map->path);
  map->data = p;
  return ENG_OK;
}

EngStatus
eng_mmap_open (const char *path, EngMmap **out, EngError *error)
{
  size_t n_path = strlen (path) + 1;
  EngMmap *map = eng_alloc (sizeof *map);
  char *copy = eng_alloc (n_path);
  *out = NULL;
  if (!map || !copy)
    {
      eng_free (map);
      eng_free (copy);
      return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "out of memory");
    }
  memcpy (copy, path, n_path);
  map->path = copy;
  map->fd = -1;
  EngStatus status = open_regular (map, error);
  if (status != ENG_OK)
    eng_mmap_close (&map);
  *out = map;
  return status;
}

void
eng_mmap_close (EngMmap **map)
{
  EngMmap *m = *map;
  if (!m)
    return;
  if (m->data)
    munmap (m->data, m->size);
  if (m->fd >= 0)
    close (m->fd);
  eng_free (m->path);
  eng_free (m);
  *map = NULL;
}

static EngStatus
read_all (EngMmap *map, uint8_t *into, EngError *error)
{
  const uint64_t piece = (uint64_t) 64 << 20; /* read () takes at most 2 GiB at once */
  uint64_t at = 0;
  while (at < map->size)
    {
      uint64_t want = map->size - at < piece ? map->size - at : piece;
      ssize_t n = pread (map->fd, into + at, want, (off_t) at);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return io_error (error, "read", map->path);
      if (n == 0)
        return eng_error_set_numbers (error, ENG_ERR_TRUNCATED, NULL, map->size, at,
                                      "%s was cut while it was being read", map->path);
      at += (uint64_t) n;
    }
  return ENG_OK;
}

EngStatus
eng_mmap_load (EngMmap *map, EngError *error)
{
  if (map->loaded || map->size == 0)
    return ENG_OK;
  void *p = mmap (NULL, map->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    return io_error (error, "get memory for", map->path);
  madvise (p, map->size, MADV_HUGEPAGE);
  EngStatus status = read_all (map, p, error);
  if (status == ENG_OK)
    {
      mprotect (p, map->size, PROT_READ);
      /* Takes the old mapping's place, so that pointers into it stay good. */
      if (mremap (p, map->size, map->size, MREMAP_MAYMOVE | MREMAP_FIXED, map->data) != MAP_FAILED)
        {
          map->loaded = true;
          return ENG_OK;
        }
      status = io_error (error, "place", map->path);
    }
  munmap (p, map->size);
  return status;
}

void
eng_mmap_release (EngMmap *map, uint64_t offset, uint64_t size)
{
  uint64_t page = (uint64_t) sysconf (_SC_PAGESIZE);
  if (map->loaded || !eng_checked_range (offset, size, map->size) || size == 0)
    return;
  uint64_t first = (offset + page - 1) & ~(page - 1), end = offset + size;
  end = end == map->size ? end : end & ~(page - 1);
  if (first < end)
    madvise (map->data + first, end - first, MADV_DONTNEED);
}

int
eng_mmap_reopen (const EngMmap *map)
{
  char name[32];
  if (map->loaded)
    return -1;
  snprintf (name, sizeof name, "/proc/self/fd/%d", map->fd);
  return open (name, O_RDONLY | O_CLOEXEC);
}

const uint8_t *
eng_mmap_get_data (const EngMmap *map)
{
  return map->data;
}

uint64_t
eng_mmap_get_size (const EngMmap *map)
{
  return map->size;
}

bool
eng_mmap_is_unchanged (const EngMmap *map)
{
  struct stat st;
  return stat (map->path, &st) == 0 && st.st_dev == map->st.st_dev && st.st_ino == map->st.st_ino
         && st.st_size == map->st.st_size && st.st_mtim.tv_sec == map->st.st_mtim.tv_sec
         && st.st_mtim.tv_nsec == map->st.st_mtim.tv_nsec;
}
