/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: proc(5), /proc/meminfo; the kernel's admin guide, cgroup-v2 (memory.max, memory.current,
 * memory.stat) and cgroup-v1/memory. */
#include "eng-memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number behind @name in a file of "name number …" lines; with an empty name the first number. */
static bool
read_number (const char *path, const char *name, uint64_t *value)
{
  FILE *file = fopen (path, "re");
  if (!file)
    return false;
  char line[256];
  size_t n = strlen (name);
  bool found = false;
  while (!found && fgets (line, sizeof line, file))
    if (strncmp (line, name, n) == 0)
      found = sscanf (line + n, " %" SCNu64, value) == 1; /* "max" is no number: no limit */
  fclose (file);
  return found;
}

/* What one cgroup folder leaves, UINT64_MAX without a limit. Page cache counts as free: the kernel
 * drops it before it kills. */
static uint64_t
left_in_cgroup (const char *folder, bool v2)
{
  char path[4608];
  uint64_t limit, used, cache = 0;
  snprintf (path, sizeof path, "%s/%s", folder, v2 ? "memory.max" : "memory.limit_in_bytes");
  if (!read_number (path, "", &limit) || limit > (uint64_t) 1 << 60)
    return UINT64_MAX;
  snprintf (path, sizeof path, "%s/%s", folder, v2 ? "memory.current" : "memory.usage_in_bytes");
  if (!read_number (path, "", &used))
    return UINT64_MAX;
  snprintf (path, sizeof path, "%s/memory.stat", folder);
  uint64_t active = 0, inactive = 0;
  if (read_number (path, v2 ? "inactive_file " : "total_inactive_file ", &inactive))
    cache += inactive;
  if (read_number (path, v2 ? "active_file " : "total_active_file ", &active))
    cache += active;
  used = used > cache ? used - cache : 0;
  return limit > used ? limit - used : 0;
}

static uint64_t
smaller (uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

/* The limits of @base/@inner and every folder above it down to @base. */
static uint64_t
left_along (const char *base, char *inner, bool v2)
{
  uint64_t left = UINT64_MAX;
  for (;;)
    {
      char folder[4352];
      snprintf (folder, sizeof folder, "%s%s", base, inner);
      left = smaller (left, left_in_cgroup (folder, v2));
      char *slash = strrchr (inner, '/');
      if (!slash)
        return left;
      *slash = 0;
    }
}

uint64_t
eng_memory_get_available_in (const char *root)
{
  char path[512], base[512], line[4096];
  uint64_t available = UINT64_MAX, kib;
  snprintf (path, sizeof path, "%s/proc/meminfo", root);
  if (read_number (path, "MemAvailable:", &kib))
    available = kib * 1024;
  snprintf (path, sizeof path, "%s/proc/self/cgroup", root);
  FILE *file = fopen (path, "re");
  while (file && fgets (line, sizeof line, file))
    {
      /* "0::/user.slice/…" (version 2) or "7:memory:/docker/…" (version 1). */
      line[strcspn (line, "\n")] = 0;
      char *controllers = strchr (line, ':');
      char *inner = controllers ? strchr (controllers + 1, ':') : NULL;
      if (!inner)
        continue;
      *inner++ = 0;
      bool v2 = controllers[1] == 0;
      if (!v2 && !strstr (controllers + 1, "memory"))
        continue;
      snprintf (base, sizeof base, "%s/sys/fs/cgroup%s", root, v2 ? "" : "/memory");
      if (strcmp (inner, "/") == 0)
        inner[0] = 0;
      available = smaller (available, left_along (base, inner, v2));
    }
  if (file)
    fclose (file);
  return available;
}

uint64_t
eng_memory_get_available (void)
{
  return eng_memory_get_available_in ("");
}
