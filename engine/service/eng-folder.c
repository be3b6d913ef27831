/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "eng-convert.h"
#include "eng-error.h"
#include "eng-fnv.h"

/* Name, size and time of everything in @folder, in any order. */
static uint64_t
hash_folder (const char *folder)
{
  char path[ENG_FOLDER_PATH_BYTES];
  uint64_t h = eng_fnv_add (ENG_FNV_START, folder, strlen (folder));
  DIR *dir = opendir (folder);
  struct dirent *entry;
  struct stat st;
  while (dir && (entry = readdir (dir)))
    {
      if (entry->d_name[0] == '.'
          || snprintf (path, sizeof path, "%s/%s", folder, entry->d_name) >= (int) sizeof path
          || stat (path, &st) != 0 || !S_ISREG (st.st_mode))
        continue;
      const int64_t facts[3]
          = { (int64_t) st.st_size, (int64_t) st.st_mtim.tv_sec, (int64_t) st.st_mtim.tv_nsec };
      uint64_t one = eng_fnv_add (ENG_FNV_START, entry->d_name, strlen (entry->d_name));
      h += eng_fnv_add (one, facts, sizeof facts);
    }
  if (dir)
    closedir (dir);
  return h;
}

/* A folder of ours to write to; "" when there is none. */
static void
make_cache_folder (char *out, size_t size)
{
  const char *cache = getenv ("XDG_CACHE_HOME"), *home = getenv ("HOME"), *tmp = getenv ("TMPDIR");
  int n;
  if (cache && cache[0] == '/')
    n = snprintf (out, size, "%s", cache);
  else if (home && home[0] == '/')
    n = snprintf (out, size, "%s/.cache", home);
  else
    n = snprintf (out, size, "%s", tmp && tmp[0] == '/' ? tmp : "/tmp");
  static const char *const parts[] = { "", "/inglenook", "/converted" };
  for (size_t i = 0; i < sizeof parts / sizeof parts[0] && n > 0; i++)
    {
      if ((size_t) n + strlen (parts[i]) >= size)
        n = 0;
      else
        n += snprintf (out + n, size - (size_t) n, "%s", parts[i]);
      if (n > 0 && mkdir (out, 0700) != 0 && errno != EEXIST)
        n = 0;
    }
  if (n <= 0)
    out[0] = 0;
}

EngStatus
eng_folder_get_file (const char *path, char *out, EngError *error)
{
  struct stat st;
  if (strlen (path) >= ENG_FOLDER_PATH_BYTES)
    return eng_error_set (error, ENG_ERR_LIMIT, "path", ENG_OFFSET_NONE, "the path is too long");
  strcpy (out, path);
  if (stat (path, &st) != 0 || !S_ISDIR (st.st_mode))
    return ENG_OK;
  char cache[ENG_FOLDER_PATH_BYTES];
  char *real = realpath (path, NULL);
  uint64_t h = hash_folder (real ? real : path);
  free (real);
  make_cache_folder (cache, sizeof cache);
  if (!cache[0]
      || snprintf (out, ENG_FOLDER_PATH_BYTES, "%.4000s/%016llx.gguf", cache,
                   (unsigned long long) h)
             >= (int) ENG_FOLDER_PATH_BYTES)
    return eng_error_set (error, ENG_ERR_IO, "path", ENG_OFFSET_NONE,
                          "there is no folder to keep the converted model in");
  if (stat (out, &st) == 0)
    return ENG_OK;
  /* Written under another name and put in place whole, so that two at once do no harm. */
  const EngConvertOptions options = { 0 };
  return eng_convert_folder (path, out, &options, NULL, error);
}
