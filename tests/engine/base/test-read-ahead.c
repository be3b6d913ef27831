/* SPDX-License-Identifier: Apache-2.0 */
/* What is read ahead is in the system's cache before anybody touched it, and no more than the window. */
#include "eng-read-ahead.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MIB ((uint64_t) 1 << 20)
#define FILE_BYTES (320 * MIB)

typedef struct
{
  char *path;
  EngMmap *map;
} Fixture;

/* A hole, which takes no disk and is read like any file. */
static bool
set_up (Fixture *f)
{
  int fd = g_file_open_tmp ("inglenook-ahead-XXXXXX", &f->path, NULL);
  struct statfs fs;
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (ftruncate (fd, (off_t) FILE_BYTES), ==, 0);
  g_assert_cmpint (fstatfs (fd, &fs), ==, 0);
  close (fd);
  g_assert_cmpint (eng_mmap_open (f->path, &f->map, NULL), ==, ENG_OK);
  if (fs.f_type != TMPFS_MAGIC)
    return true;
  g_test_skip ("the folder of temporary files is memory: nothing is read from a disk");
  return false;
}

static void
tear_down (Fixture *f)
{
  eng_mmap_close (&f->map);
  g_unlink (f->path);
  g_free (f->path);
}

static uint64_t
count_cached (const Fixture *f, uint64_t first, uint64_t end)
{
  uint64_t page = (uint64_t) sysconf (_SC_PAGESIZE), n = (end - first) / page, found = 0;
  g_autofree unsigned char *pages = g_malloc (n);
  g_assert_cmpint (mincore ((uint8_t *) eng_mmap_get_data (f->map) + first, end - first, pages), ==, 0);
  for (uint64_t i = 0; i < n; i++)
    found += pages[i] & 1;
  return found * page;
}

static void
wait_for_cached (const Fixture *f, uint64_t first, uint64_t end)
{
  for (gint64 until = g_get_monotonic_time () + 30 * G_USEC_PER_SEC; count_cached (f, first, end) < end - first;)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, until);
      g_usleep (2000);
    }
}

static void
test_window (void)
{
  Fixture f = { 0 };
  if (set_up (&f))
    {
      const EngReadAheadRange ranges[] = { { f.map, 64 * MIB, FILE_BYTES - 64 * MIB }, { f.map, 0, 32 * MIB } };
      g_assert_cmpint (count_cached (&f, 0, FILE_BYTES), ==, 0);
      EngReadAhead *ahead = eng_read_ahead_new (ranges, G_N_ELEMENTS (ranges));
      g_assert_nonnull (ahead);
      wait_for_cached (&f, 64 * MIB, FILE_BYTES); /* just the window */
      g_usleep (50000);
      g_assert_cmpint (count_cached (&f, 0, 64 * MIB), ==, 0);
      eng_read_ahead_move (ahead, 16 * MIB); /* the second range follows */
      wait_for_cached (&f, 0, 16 * MIB);
      eng_read_ahead_move (ahead, FILE_BYTES);
      wait_for_cached (&f, 0, 32 * MIB);
      eng_read_ahead_free (&ahead);
      g_assert_null (ahead);
    }
  tear_down (&f);
}

/* A load that is stopped does not wait for the rest of the file, nor does one whose file was cut. */
static void
test_ends (void)
{
  Fixture f = { 0 };
  if (set_up (&f))
    {
      const EngReadAheadRange range = { f.map, 0, FILE_BYTES };
      EngReadAhead *ahead = eng_read_ahead_new (&range, 1);
      eng_read_ahead_free (&ahead);
      g_assert_cmpint (count_cached (&f, 0, FILE_BYTES), <, 256 * MIB);
      g_assert_cmpint (truncate (f.path, (off_t) MIB), ==, 0);
      ahead = eng_read_ahead_new (&range, 1);
      wait_for_cached (&f, 0, MIB);
      eng_read_ahead_free (&ahead);
    }
  tear_down (&f);
  EngReadAhead *none = eng_read_ahead_new (NULL, 0);
  g_assert_null (none);
  eng_read_ahead_move (none, 1);
  eng_read_ahead_free (&none);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/read-ahead/window", test_window);
  g_test_add_func ("/base/read-ahead/ends", test_ends);
  return g_test_run ();
}
