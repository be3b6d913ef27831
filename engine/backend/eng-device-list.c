/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-device-list.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eng-cpu-device.h"
#include "eng-error.h"

#ifndef ENG_MODULE_DIR
#define ENG_MODULE_DIR "/usr/lib/inglenook"
#define ENG_MODULE_DIR_BESIDE "../lib/inglenook"
#endif

static const char *const module_apis[] = { "cuda" };

/* An entry for something that cannot run. */
static void
add_problem (EngDeviceList *list, const char *api, EngStatus status, const char *format,
             const char *detail)
{
  if (list->n == ENG_MAX_DEVICES)
    return;
  EngDeviceEntry *e = &list->entries[list->n++];
  memset (e, 0, sizeof *e);
  e->info.kind = ENG_DEVICE_GPU;
  e->info.status = status;
  snprintf (e->info.api, sizeof e->info.api, "%s", api);
  /* Through an error record, because the loader's words may hold anything. */
  EngError words;
  eng_error_set (&words, status, NULL, ENG_OFFSET_NONE, format, detail);
  snprintf (e->info.problem, sizeof e->info.problem, "%.250s", words.text);
}

static void
add_api (EngDeviceList *list, const EngDeviceApi *api, const char *name)
{
  EngDeviceInfo infos[ENG_MAX_DEVICES];
  memset (infos, 0, sizeof infos);
  uint32_t cap = ENG_MAX_DEVICES - list->n, n = 0;
  EngError error;
  EngStatus status = api->enumerate (infos, cap, &n, &error);
  if (status != ENG_OK)
    {
      add_problem (list, name, status, "%s", error.text);
      return;
    }
  for (uint32_t i = 0; i < n && i < cap; i++)
    {
      EngDeviceEntry *e = &list->entries[list->n++];
      e->api = api;
      e->index = i;
      e->info = infos[i];
      e->info.name[sizeof e->info.name - 1] = 0;
      e->info.api[sizeof e->info.api - 1] = 0;
      e->info.problem[sizeof e->info.problem - 1] = 0;
      if (e->info.status != ENG_OK)
        e->info.score = 0;
    }
}

static bool
is_complete (const EngDeviceApi *api)
{
  return api->enumerate && api->open && api->close && api->plan && api->bind && api->unbind
         && api->state_new && api->state_free && api->run && api->copy_block && api->block_bytes
         && api->read_block && api->write_block;
}

void
eng_device_list_add_module (EngDeviceList *list, const char *path, const char *name)
{
  if (access (path, F_OK) != 0)
    {
      add_problem (list, name, ENG_ERR_NO_MODULE, "the module for %s is not installed", name);
      return;
    }
  void *handle = dlopen (path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle)
    {
      const char *why = dlerror ();
      add_problem (list, name, ENG_ERR_MODULE_ABI, "the module cannot be loaded: %s",
                   why ? why : "no reason given");
      return;
    }
  EngDeviceApiFunc get_api;
  void *symbol = dlsym (handle, ENG_DEVICE_SYMBOL);
  memcpy (&get_api, &symbol, sizeof get_api);
  const EngDeviceApi *api = symbol ? get_api () : NULL;
  if (!api)
    add_problem (list, name, ENG_ERR_MODULE_ABI, "'%s' is no module of this program", path);
  else if (api->abi != ENG_DEVICE_ABI)
    {
      char versions[96];
      snprintf (versions, sizeof versions, "it speaks version %u, this program version %u",
                api->abi, ENG_DEVICE_ABI);
      add_problem (list, name, ENG_ERR_MODULE_ABI, "the module is of another version: %s", versions);
    }
  else if (api->struct_size < sizeof *api || !is_complete (api))
    add_problem (list, name, ENG_ERR_MODULE_ABI, "the module at '%s' is incomplete", path);
  else
    {
      add_api (list, api, name);
      return;
    }
  dlclose (handle);
}

/* First existing inglenook-<name>.so along the search path; else the last place looked at. */
static void
find_module (const char *name, char *path, size_t size)
{
  const char *folders = getenv ("INGLENOOK_MODULE_PATH");
  char own[4096], beside[2 * 4096 + 512] = "";
  if (!folders || !*folders)
    {
      ssize_t n = readlink ("/proc/self/exe", own, sizeof own - 1);
      char *slash = NULL;
      if (n > 0)
        {
          own[n] = 0;
          slash = strrchr (own, '/');
        }
      if (slash)
        *slash = 0;
      /* Beside it first: an installation that was moved does not take another one's module. */
      if (slash)
        snprintf (beside, sizeof beside, "%s/%s:%s/../lib/inglenook:%s", own, ENG_MODULE_DIR_BESIDE, own, ENG_MODULE_DIR);
      else
        snprintf (beside, sizeof beside, "%s", ENG_MODULE_DIR);
      folders = beside;
    }
  path[0] = 0;
  while (*folders)
    {
      size_t n = strcspn (folders, ":");
      if (n)
        snprintf (path, size, "%.*s/inglenook-%s.so", (int) n, folders, name);
      if (n && access (path, F_OK) == 0)
        return;
      folders += n + (folders[n] == ':');
    }
}

bool
eng_device_list_has_module (void)
{
  for (size_t i = 0; i < sizeof module_apis / sizeof module_apis[0]; i++)
    {
      char path[4096];
      find_module (module_apis[i], path, sizeof path);
      if (access (path, F_OK) == 0)
        return true;
    }
  return false;
}

EngStatus
eng_device_list_fill (EngDeviceList *list, EngError *error)
{
  memset (list, 0, sizeof *list);
  add_api (list, eng_cpu_device_api (), "cpu");
  if (list->n == 0 || list->entries[0].info.score == 0)
    return eng_error_set (error, ENG_ERR_NO_DEVICE, "cpu", ENG_OFFSET_NONE, "%s",
                          list->n ? list->entries[0].info.problem : "the CPU cannot be used");
  for (size_t i = 0; i < sizeof module_apis / sizeof module_apis[0]; i++)
    {
      char path[4096];
      find_module (module_apis[i], path, sizeof path);
      eng_device_list_add_module (list, path, module_apis[i]);
    }
  return ENG_OK;
}

EngStatus
eng_device_list_choose (const EngDeviceList *list, const char *wish, uint32_t *index,
                        EngError *error)
{
  if (strcmp (wish, "auto") == 0)
    {
      uint32_t best = 0;
      for (uint32_t i = 1; i < list->n; i++)
        if (list->entries[i].info.score > list->entries[best].info.score)
          best = i;
      *index = best;
      return ENG_OK;
    }
  size_t n_name = strcspn (wish, ":");
  unsigned long number = 0;
  char *end = NULL;
  if (wish[n_name] == ':')
    {
      errno = 0;
      number = strtoul (wish + n_name + 1, &end, 10);
      if (wish[n_name + 1] < '0' || wish[n_name + 1] > '9' || *end || errno)
        n_name = 0;
    }
  bool known = false;
  for (uint32_t i = 0; i < list->n && n_name > 0; i++)
    {
      const EngDeviceInfo *info = &list->entries[i].info;
      if (strlen (info->api) != n_name || memcmp (info->api, wish, n_name) != 0)
        continue;
      known = true;
      if (number-- > 0)
        continue;
      if (info->score == 0)
        return eng_error_set (error, info->status != ENG_OK ? info->status : ENG_ERR_NO_DEVICE,
                              "device", ENG_OFFSET_NONE, "%s", info->problem);
      *index = i;
      return ENG_OK;
    }
  if (known)
    return eng_error_set (error, ENG_ERR_NO_DEVICE, "device", ENG_OFFSET_NONE,
                          "there is no device '%s'", wish);
  return eng_error_set (error, ENG_ERR_ARGUMENT, "device", ENG_OFFSET_NONE,
                        "'%s' is no device: auto, cpu or cuda[:N]", wish);
}
