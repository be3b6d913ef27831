/* SPDX-License-Identifier: Apache-2.0 */
/* A model file that is not here yet: what a pasted address leads to, and what its header says of how it would run here.
 * Main thread only; works on threads of its own. */
#pragma once

#include "ing-fit.h"
#include "ing-generation-service.h"

G_BEGIN_DECLS

typedef struct
{
  char *name;   /* file name, safe to use */
  char *uri;
  char *page;   /* for a person */
  guint64 size; /* 0 = not known */
  char *sha256; /* NULL = not known */
} IngRemoteFile;

void ing_remote_file_free (IngRemoteFile *file);

/* What @text (an address of a hub or of a file, "owner/name") leads to: GPtrArray of IngRemoteFile, GGUF files only,
 * smallest first. ING_ERROR_ARGUMENT, _NOT_FOUND (no GGUF there), and the HTTP client's. @proxy as IngHttp's. */
void ing_remote_find_async (const char *text, const char *proxy, GCancellable *cancellable, GAsyncReadyCallback callback,
                            gpointer user_data);
GPtrArray *ing_remote_find_finish (GAsyncResult *result, GError **error);

/* A model of a hub that a search found. */
typedef struct
{
  char *name;    /* "owner/name" */
  char *address; /* for ing_remote_find_async() */
  char *licence; /* NULL = the hub does not say */
  guint64 downloads;
  gboolean gated; /* the hub wants a sign-in, or its licence accepted */
} IngRemoteModel;

void ing_remote_model_free (IngRemoteModel *model);

/* Models with GGUF files that go with @words, on ModelScope if @modelscope, else on Hugging Face (or the mirror set for it):
 * GPtrArray of IngRemoteModel, those fetched most first; may be empty. Nothing is sent but @words. ING_ERROR_OFFLINE and the
 * HTTP client's. */
void ing_remote_search_async (const char *words, gboolean modelscope, const char *proxy, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);
GPtrArray *ing_remote_search_finish (GAsyncResult *result, GError **error);

/* Reads the header alone, by ranges, and asks the engine what running it takes: its JSON object, as INSPECT answers.
 * *@size (may be NULL): of the file. ING_ERROR_UNSUPPORTED where the server does no ranges. */
void ing_remote_inspect_async (IngGenerationService *service, const char *uri, guint context, const char *proxy,
                               GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
char *ing_remote_inspect_finish (GAsyncResult *result, guint64 *size, GError **error);

/* As ing_generation_service_inspect_async(), at @context tokens; 0 = the usual. */
void ing_local_inspect_async (IngGenerationService *service, const char *path, guint context, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);
char *ing_local_inspect_finish (GAsyncResult *result, GError **error);

G_END_DECLS
