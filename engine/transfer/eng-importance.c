/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-importance.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-checked.h"
#include "eng-error.h"
#include "eng-gguf.h"
#include "eng-mmap.h"

#define MAX_ENTRIES 65536u
#define MAX_NAME 512u

typedef struct
{
  const char *name;
  float *means; /* n */
  uint64_t n, n_slices;
} Entry;

struct EngImportance
{
  EngArena arena;
  Entry *entries;
  size_t n_entries;
};

static EngStatus
fail_no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                        "out of memory while reading importance");
}

static EngStatus
check_means (const Entry *entry, EngError *error)
{
  for (uint64_t i = 0; i < entry->n; i++)
    if (!(entry->means[i] >= 0.0f) || !isfinite (entry->means[i]))
      return eng_error_set (error, ENG_ERR_FORMAT, entry->name, ENG_OFFSET_NONE,
                            "importance %" PRIu64 " of %s is %g", i, entry->name,
                            (double) entry->means[i]);
  return ENG_OK;
}

static EngStatus
read_pair (EngImportance *imp, const EngGguf *gguf, const EngGgufTensor *sums, size_t n_name,
           EngError *error)
{
  Entry *entry = &imp->entries[imp->n_entries];
  char counts_name[MAX_NAME];
  snprintf (counts_name, sizeof counts_name, "%.*s.counts", (int) n_name, sums->name);
  const EngGgufTensor *counts = eng_gguf_find_tensor (gguf, counts_name);
  if (!counts || counts->type != ENG_TYPE_F32 || sums->type != ENG_TYPE_F32
      || counts->n_elements != sums->n_rows)
    return eng_error_set (error, ENG_ERR_FORMAT, sums->name, sums->offset,
                          "%s has no counts that match its %" PRIu64 " rows", sums->name,
                          sums->n_rows);
  *entry = (Entry) { .name = eng_arena_strndup (&imp->arena, sums->name, n_name),
                     .n = sums->n_elements,
                     .n_slices = sums->n_rows };
  entry->means = eng_arena_alloc_array (&imp->arena, entry->n, sizeof *entry->means);
  if (!entry->name || !entry->means)
    return fail_no_memory (error);
  const float *sum = sums->data, *count = counts->data;
  for (uint64_t i = 0; i < entry->n; i++)
    {
      float c = count[i / sums->dims[0]];
      entry->means[i] = c > 0.0f ? sum[i] / c : 0.0f; /* an expert that no token chose */
    }
  imp->n_entries++;
  return check_means (entry, error);
}

static EngStatus
read_gguf (EngImportance *imp, const char *path, EngError *error)
{
  static const char suffix[] = ".in_sum2";
  EngGguf *gguf;
  EngStatus status = eng_gguf_open (path, ENG_GGUF_MAP, &gguf, error);
  if (status != ENG_OK)
    return status;
  uint64_t n = eng_gguf_get_n_tensors (gguf);
  imp->entries = eng_arena_alloc_array (&imp->arena, n, sizeof *imp->entries);
  if (!imp->entries)
    status = fail_no_memory (error);
  for (uint64_t i = 0; i < n && status == ENG_OK; i++)
    {
      const EngGgufTensor *t = eng_gguf_get_tensor (gguf, i);
      size_t length = strlen (t->name);
      if (length > sizeof suffix - 1
          && strcmp (t->name + length - (sizeof suffix - 1), suffix) == 0)
        status = read_pair (imp, gguf, t, length - (sizeof suffix - 1), error);
    }
  eng_gguf_close (&gguf);
  return status;
}

/* The older form: int32 number of entries, then for each int32 length, name, int32 calls, int32
 * number of values, float32 values (means times calls). */
static EngStatus
take (const uint8_t *data, uint64_t size, uint64_t *at, void *out, uint64_t n, EngError *error)
{
  if (!eng_checked_range (*at, n, size))
    return eng_error_set (error, ENG_ERR_TRUNCATED, "importance", *at,
                          "the importance file ends early");
  memcpy (out, data + *at, n);
  *at += n;
  return ENG_OK;
}

static EngStatus
read_old_entry (EngImportance *imp, const uint8_t *data, uint64_t size, uint64_t *at,
                EngError *error)
{
  char name[MAX_NAME];
  int32_t length = 0, calls = 0, n = 0;
  uint64_t start = *at;
  EngStatus status = take (data, size, at, &length, 4, error);
  if (status != ENG_OK)
    return status;
  if (length <= 0 || length >= (int32_t) sizeof name)
    return eng_error_set (error, ENG_ERR_FORMAT, "importance", start,
                          "this is no importance file (a name of %" PRId32 " bytes)", length);
  if ((status = take (data, size, at, name, (uint64_t) length, error)) != ENG_OK
      || (status = take (data, size, at, &calls, 4, error)) != ENG_OK
      || (status = take (data, size, at, &n, 4, error)) != ENG_OK)
    return status;
  if (n <= 0 || !eng_checked_range (*at, (uint64_t) n * sizeof (float), size))
    return eng_error_set (error, ENG_ERR_FORMAT, "importance", *at - 4,
                          "an entry of the importance file has %" PRId32 " values", n);
  Entry *entry = &imp->entries[imp->n_entries];
  *entry = (Entry) { .name = eng_arena_strndup (&imp->arena, name, strnlen (name, (size_t) length)),
                     .n = (uint64_t) n,
                     .n_slices = 0 };
  entry->means = eng_arena_alloc_array (&imp->arena, entry->n, sizeof *entry->means);
  if (!entry->name || !entry->means)
    return fail_no_memory (error);
  take (data, size, at, entry->means, entry->n * sizeof (float), NULL);
  for (int32_t i = 0; i < n; i++)
    entry->means[i] /= calls > 0 ? (float) calls : 1.0f;
  imp->n_entries++;
  return check_means (entry, error);
}

static EngStatus
read_old (EngImportance *imp, const EngMmap *map, EngError *error)
{
  const uint8_t *data = eng_mmap_get_data (map);
  uint64_t size = eng_mmap_get_size (map), at = 0;
  int32_t n = 0;
  EngStatus status = take (data, size, &at, &n, 4, error);
  if (status != ENG_OK)
    return status;
  if (n <= 0 || n > (int32_t) MAX_ENTRIES)
    return eng_error_set (error, ENG_ERR_FORMAT, "importance", 0,
                          "this is no importance file (%" PRId32 " entries)", n);
  imp->entries = eng_arena_alloc_array (&imp->arena, (size_t) n, sizeof *imp->entries);
  if (!imp->entries)
    return fail_no_memory (error);
  for (int32_t i = 0; i < n && status == ENG_OK; i++)
    status = read_old_entry (imp, data, size, &at, error);
  return status;
}

EngStatus
eng_importance_open (const char *path, EngImportance **out, EngError *error)
{
  EngImportance *imp = eng_alloc (sizeof *imp);
  EngMmap *map = NULL;
  *out = NULL;
  if (!imp)
    return fail_no_memory (error);
  EngStatus status = eng_mmap_open (path, &map, error);
  if (status == ENG_OK)
    {
      bool is_gguf = eng_mmap_get_size (map) >= 4 && memcmp (eng_mmap_get_data (map), "GGUF", 4) == 0;
      status = is_gguf ? read_gguf (imp, path, error) : read_old (imp, map, error);
    }
  eng_mmap_close (&map);
  if (status != ENG_OK)
    eng_importance_free (&imp);
  *out = imp;
  return status;
}

void
eng_importance_free (EngImportance **importance)
{
  if (!*importance)
    return;
  eng_arena_clear (&(*importance)->arena);
  eng_free (*importance);
  *importance = NULL;
}

EngStatus
eng_importance_get (const EngImportance *importance, const char *name, uint64_t n_cols,
                    uint64_t n_slices, const float **out, uint64_t *out_slices, EngError *error)
{
  *out = NULL;
  *out_slices = 1;
  for (size_t i = 0; i < importance->n_entries; i++)
    {
      const Entry *entry = &importance->entries[i];
      if (strcmp (entry->name, name) != 0)
        continue;
      if (entry->n != n_cols && (entry->n % n_cols != 0 || entry->n / n_cols != n_slices))
        return eng_error_set (error, ENG_ERR_FORMAT, name, ENG_OFFSET_NONE,
                              "importance of %s has %" PRIu64 " values, the matrix %" PRIu64
                              " columns and %" PRIu64 " slices: it is of another model",
                              name, entry->n, n_cols, n_slices);
      *out = entry->means;
      *out_slices = entry->n / n_cols;
      return ENG_OK;
    }
  return ENG_OK;
}
