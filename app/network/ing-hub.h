/* SPDX-License-Identifier: Apache-2.0 */
/* Two model hubs, Hugging Face and ModelScope: what their addresses mean and how to ask them for lists. What a
 * hub says is checked: names are only ever turned into file names by ing_hub_dup_file_name(). */
#pragma once

#include "ing-http.h"

typedef enum
{
  ING_HUB_NONE, /* a file anywhere else */
  ING_HUB_HUGGING_FACE,
  ING_HUB_MODELSCOPE
} IngHub;

/* "https://huggingface.co" or the mirror set for it; borrowed until the next set. NULL for NONE. */
char *ing_hub_dup_base (IngHub hub);
/* A mirror; NULL or "" = the hub itself. Any thread. */
void ing_hub_set_base (IngHub hub, const char *base);

typedef struct
{
  IngHub hub;
  char *repository; /* "owner/name"; NULL for NONE */
  char *revision;   /* "main", "master", … */
  char *file;       /* path in the repository; NULL = all of it */
  char *uri;        /* of the file, NULL if file is */
  char *page;       /* for a person: licence, card */
} IngHubAddress;

/* What a person pasted: an address of a repository or a file at a hub, "owner/name", or a file's address anywhere.
 * ING_ERROR_ARGUMENT. */
IngHubAddress *ing_hub_parse (const char *text, GError **error);
/* @revision NULL = the usual one. @file NULL = all. */
IngHubAddress *ing_hub_address_new (IngHub hub, const char *repository, const char *revision, const char *file);
void ing_hub_address_free (IngHubAddress *address);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngHubAddress, ing_hub_address_free)

typedef struct
{
  char *path;
  guint64 size; /* 0 = not said */
  char *sha256; /* lower case hex; NULL = not said */
} IngHubFile;

void ing_hub_file_free (IngHubFile *file);

/* Files of the repository: GPtrArray of IngHubFile. Blocks. */
GPtrArray *ing_hub_list (IngHttp *http, const IngHubAddress *address, const char *token, GCancellable *cancellable,
                         GError **error);
typedef struct
{
  char *repository; /* "owner/name" */
  char *licence;    /* as the hub writes it; NULL = not said */
  guint64 downloads;
  gboolean gated;   /* wants a sign-in or a licence accepted */
} IngHubModel;

void ing_hub_model_free (IngHubModel *model);

/* Repositories with GGUF files that go with @words, those fetched most first, 30 at most: GPtrArray of IngHubModel. */
GPtrArray *ing_hub_search (IngHttp *http, IngHub hub, const char *words, GCancellable *cancellable, GError **error);

/* For tests: what the hub's lists say. */
GPtrArray *ing_hub_parse_found (IngHub hub, const char *json, gssize length, GError **error);
GPtrArray *ing_hub_parse_list (IngHub hub, const char *json, gssize length, GError **error);

/* A file name made of @path's last part: no folder, no leading dot, nothing that hides or overturns text, at most
 * 180 bytes, and a suffix of ".gguf" or ".safetensors" or ".json" kept. Never empty. */
char *ing_hub_dup_file_name (const char *path);
gboolean ing_hub_is_sha256 (const char *text);
