/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a file far away, and behind it a hole as long as the file: the engine's own reader then plans exactly
 * what it would for the file itself. How long a header is, only its reader knows: it is read in growing steps until the
 * engine is content, or complains of something before what has been read. */
#include "ing-remote-model.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "ing-generation-service-private.h"
#include "ing-http.h"
#include "ing-hub.h"
#include "ing-token.h"
#include "ing-transfers.h"

#define FIRST_STEP (1ull << 20)
#define LAST_STEP (64ull << 20) /* a vocabulary of 256k entries takes about 12 MiB */

void
ing_remote_file_free (IngRemoteFile *file)
{
  g_free (file->name);
  g_free (file->uri);
  g_free (file->page);
  g_free (file->sha256);
  g_free (file);
}

static char *
find_token (const char *text, GCancellable *cancellable)
{
  g_autoptr (GUri) uri = g_uri_parse (text, G_URI_FLAGS_ENCODED, NULL);
  return uri != NULL && g_uri_get_host (uri) != NULL ? ing_token_lookup (g_uri_get_host (uri), cancellable) : NULL;
}

/* ------------------------------------------------------------------ what an address leads to */

typedef struct
{
  char *text, *proxy;
} Find;

static void
find_free (gpointer data)
{
  Find *find = data;
  g_free (find->text);
  g_free (find->proxy);
  g_free (find);
}

static IngRemoteFile *
new_file (const char *path, const char *uri, const char *page, guint64 size, const char *sha256)
{
  IngRemoteFile *file = g_new0 (IngRemoteFile, 1);
  file->name = ing_hub_dup_file_name (path);
  file->uri = g_strdup (uri);
  file->page = g_strdup (page);
  file->size = size;
  file->sha256 = g_strdup (sha256);
  return file;
}

static int
by_size (gconstpointer a, gconstpointer b)
{
  const IngRemoteFile *x = *(IngRemoteFile *const *) a, *y = *(IngRemoteFile *const *) b;
  return x->size != y->size ? (x->size < y->size ? -1 : 1) : strcmp (x->name, y->name);
}

/* The hub's list, asked with the token only if it wants one. */
static GPtrArray *
list_hub (IngHttp *http, const IngHubAddress *address, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;
  GPtrArray *listed = ing_hub_list (http, address, NULL, cancellable, &local);
  if (g_error_matches (local, ING_ERROR, ING_ERROR_GATED))
    {
      char *token = find_token (address->page, cancellable);
      if (token != NULL)
        {
          g_clear_error (&local);
          listed = ing_hub_list (http, address, token, cancellable, &local);
          ing_token_free (token);
        }
    }
  if (local != NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  return listed;
}

static GPtrArray *
find_files (Find *find, GCancellable *cancellable, GError **error)
{
  g_autoptr (IngHubAddress) address = ing_hub_parse (find->text, error);
  if (address == NULL)
    return NULL;
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_remote_file_free);
  if (address->hub == ING_HUB_NONE)
    {
      g_ptr_array_add (files, new_file (address->file, address->uri, address->page, 0, NULL));
      return g_steal_pointer (&files);
    }
  g_autoptr (IngHttp) http = ing_http_new (find->proxy);
  g_autoptr (GPtrArray) listed = list_hub (http, address, cancellable, error);
  if (listed == NULL)
    return NULL;
  for (guint i = 0; i < listed->len; i++)
    {
      const IngHubFile *entry = g_ptr_array_index (listed, i);
      if (!g_str_has_suffix (entry->path, ".gguf")
          || (address->file != NULL && strcmp (address->file, entry->path) != 0))
        continue;
      g_autoptr (IngHubAddress) own
          = ing_hub_address_new (address->hub, address->repository, address->revision, entry->path);
      g_ptr_array_add (files, new_file (entry->path, own->uri, own->page, entry->size, entry->sha256));
    }
  if (files->len == 0)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_NOT_FOUND, find->text, 0, 0, "no GGUF file is there"));
      return NULL;
    }
  g_ptr_array_sort (files, by_size);
  return g_steal_pointer (&files);
}

static void
find_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  GError *error = NULL;
  GPtrArray *files = find_files (task_data, cancellable, &error);
  if (files != NULL)
    g_task_return_pointer (task, files, (GDestroyNotify) g_ptr_array_unref);
  else
    g_task_return_error (task, error);
}

void
ing_remote_find_async (const char *text, const char *proxy, GCancellable *cancellable, GAsyncReadyCallback callback,
                       gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Find *find = g_new0 (Find, 1);
  find->text = g_strdup (text);
  find->proxy = g_strdup (proxy);
  g_task_set_task_data (task, find, find_free);
  g_task_run_in_thread (task, find_thread);
}

GPtrArray *
ing_remote_find_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ------------------------------------------------------------------ search */

void
ing_remote_model_free (IngRemoteModel *model)
{
  g_free (model->name);
  g_free (model->address);
  g_free (model->licence);
  g_free (model);
}

static void
search (GTask *task, Find *find, IngHub hub, GCancellable *cancellable)
{
  GError *error = NULL;
  g_autoptr (IngHttp) http = ing_http_new (find->proxy);
  g_autoptr (GPtrArray) found = ing_hub_search (http, hub, find->text, cancellable, &error);
  if (found == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  GPtrArray *models = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_remote_model_free);
  for (guint i = 0; i < found->len; i++)
    {
      IngHubModel *own = g_ptr_array_index (found, i);
      g_autoptr (IngHubAddress) address = ing_hub_address_new (hub, own->repository, NULL, NULL);
      IngRemoteModel *model = g_new0 (IngRemoteModel, 1);
      model->name = g_strdup (own->repository);
      model->address = g_strdup (address->page);
      model->licence = g_strdup (own->licence);
      model->downloads = own->downloads;
      model->gated = own->gated;
      g_ptr_array_add (models, model);
    }
  g_task_return_pointer (task, models, (GDestroyNotify) g_ptr_array_unref);
}

static void
search_hugging_face_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  search (task, task_data, ING_HUB_HUGGING_FACE, cancellable);
}

static void
search_modelscope_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  search (task, task_data, ING_HUB_MODELSCOPE, cancellable);
}

void
ing_remote_search_async (const char *words, gboolean modelscope, const char *proxy, GCancellable *cancellable,
                         GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Find *find = g_new0 (Find, 1);
  find->text = g_strstrip (g_strdup (words));
  find->proxy = g_strdup (proxy);
  g_task_set_task_data (task, find, find_free);
  g_task_run_in_thread (task, modelscope ? search_modelscope_thread : search_hugging_face_thread);
}

GPtrArray *
ing_remote_search_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ------------------------------------------------------------------ headers from afar */

typedef struct
{
  IngGenerationService *service;
  char *uri, *proxy, *token;
  char *path; /* of the file with the hole; NULL = local, nothing to delete */
  int fd;
  guint context;
  guint64 fetched, size;
} Peek;

static void
peek_free (gpointer data)
{
  Peek *peek = data;
  if (peek->fd >= 0)
    {
      close (peek->fd);
      g_unlink (peek->path);
    }
  g_object_unref (peek->service);
  ing_token_free (peek->token);
  g_free (peek->uri);
  g_free (peek->proxy);
  g_free (peek->path);
  g_free (peek);
}

static gboolean
open_hole (Peek *peek, GError **error)
{
  g_autofree char *folder = g_build_filename (ing_paths_get_cache (), "headers", NULL);
  if (!ing_paths_ensure_folder (folder, error))
    return FALSE;
  peek->path = g_build_filename (folder, "XXXXXX.gguf", NULL);
  peek->fd = g_mkstemp_full (peek->path, O_RDWR | O_CLOEXEC, 0600);
  if (peek->fd >= 0)
    return TRUE;
  g_propagate_error (error, ing_error_from_system (errno, folder, "create a file in"));
  return FALSE;
}

static IngHttpReply *
ask_range (Peek *peek, IngHttp *http, guint64 end, GCancellable *cancellable, GError **error)
{
  IngHttpRequest request = { .uri = peek->uri, .ranged = TRUE, .start = peek->fetched, .end = end, .token = peek->token };
  IngHttpReply *reply = ing_http_send (http, &request, cancellable, error);
  if (reply == NULL || (reply->status != 401 && reply->status != 403) || peek->token != NULL
      || (peek->token = find_token (peek->uri, cancellable)) == NULL)
    return reply;
  ing_http_reply_free (reply);
  request.token = peek->token;
  return ing_http_send (http, &request, cancellable, error);
}

static gboolean
keep_body (Peek *peek, IngHttpReply *reply, guint64 end, GCancellable *cancellable, GError **error)
{
  guint8 buffer[65536];
  while (peek->fetched < end)
    {
      gssize n = g_input_stream_read (reply->body, buffer, (gsize) MIN (sizeof buffer, end - peek->fetched), cancellable, error);
      if (n < 0)
        return FALSE;
      if (n == 0)
        break;
      if (peek->fetched == 0 && (n < 4 || memcmp (buffer, "GGUF", 4) != 0))
        {
          g_propagate_error (error, ing_error_new (ING_ERROR_NOT_A_MODEL, peek->uri, 0, 0, "it does not begin with GGUF"));
          return FALSE;
        }
      if (pwrite (peek->fd, buffer, (gsize) n, (off_t) peek->fetched) != n)
        {
          g_propagate_error (error, ing_error_from_system (errno, peek->path, "write"));
          return FALSE;
        }
      peek->fetched += (guint64) n;
    }
  if (ftruncate (peek->fd, (off_t) peek->size) == 0)
    return TRUE;
  g_propagate_error (error, ing_error_from_system (errno, peek->path, "make"));
  return FALSE;
}

static gboolean
fetch_more (Peek *peek, GCancellable *cancellable, GError **error)
{
  if (peek->fd < 0 && !open_hole (peek, error))
    return FALSE;
  guint64 end = peek->fetched == 0 ? FIRST_STEP : MIN (peek->fetched * 4, LAST_STEP);
  g_autoptr (IngHttp) http = ing_http_new (peek->proxy);
  g_autoptr (IngHttpReply) reply = ask_range (peek, http, end, cancellable, error);
  if (reply == NULL)
    return FALSE;
  g_autoptr (IngHubAddress) address = ing_hub_parse (peek->uri, NULL);
  GError *refused = ing_http_reply_error (reply, peek->uri, address != NULL ? address->page : peek->uri);
  gboolean whole = reply->status == 200 && peek->fetched == 0 && reply->length != ING_HTTP_UNKNOWN;
  if (refused == NULL && !whole && (reply->status != 206 || reply->start != peek->fetched || reply->total == ING_HTTP_UNKNOWN
                                    || (peek->size != 0 && peek->size != reply->total)))
    refused = ing_error_new (ING_ERROR_UNSUPPORTED, NULL, 0, 0, "the server does not hand out parts of the file");
  if (refused != NULL)
    {
      g_propagate_error (error, refused);
      return FALSE;
    }
  peek->size = reply->total;
  return keep_body (peek, reply, MIN (end, peek->size), cancellable, error);
}

static void
fetch_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  GError *error = NULL;
  if (fetch_more (task_data, cancellable, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void step (GTask *task);

/* Would more of the file help? Zeros of the hole make a format error of their own, behind what has been read. */
static gboolean
wants_more (Peek *peek, const GError *error)
{
  guint64 offset = ing_error_get_offset (error);
  return peek->fd >= 0 && peek->fetched < MIN (LAST_STEP, peek->size)
         && (g_error_matches (error, ING_ERROR, ING_ERROR_FORMAT) || g_error_matches (error, ING_ERROR, ING_ERROR_TRUNCATED)
             || g_error_matches (error, ING_ERROR, ING_ERROR_LIMIT))
         && offset >= peek->fetched - MIN (peek->fetched, 4096);
}

static void
on_planned (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (IngEngineReply) reply
      = ing_generation_service_request_finish (ING_GENERATION_SERVICE (source), result, &error);
  if (reply != NULL && reply->object != NULL)
    g_task_return_pointer (task, ing_json_print_object (reply->object), g_free);
  else if (error != NULL && wants_more (g_task_get_task_data (task), error))
    step (task);
  else
    g_task_return_error (task, error != NULL ? g_steal_pointer (&error)
                                             : ing_error_new (ING_ERROR_PROTOCOL, NULL, 0, 0, "no plan"));
}

static void
plan (GTask *task, const char *path)
{
  Peek *peek = g_task_get_task_data (task);
  JsonObject *payload = json_object_new ();
  json_object_set_string_member (payload, "path", path);
  if (peek->context > 0)
    json_object_set_int_member (payload, "context", peek->context);
  JsonArray *sizes = json_array_new ();
  for (const char *const *type = ing_transfers_get_types (); *type != NULL; type++)
    json_array_add_string_element (sizes, *type);
  json_object_set_array_member (payload, "sizes", sizes);
  ing_generation_service_request_async (peek->service, ENG_WIRE_INSPECT, payload, g_task_get_cancellable (task),
                                        on_planned, g_object_ref (task));
}

static void
on_fetched (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Peek *peek = g_task_get_task_data (task);
  GError *error = NULL;
  if (g_task_propagate_boolean (G_TASK (result), &error))
    plan (task, peek->path);
  else
    g_task_return_error (task, error);
}

static void
step (GTask *task)
{
  g_autoptr (GTask) inner = g_task_new (NULL, g_task_get_cancellable (task), on_fetched, g_object_ref (task));
  g_task_set_task_data (inner, g_task_get_task_data (task), NULL);
  g_task_run_in_thread (inner, fetch_thread);
}

static GTask *
new_peek (IngGenerationService *service, guint context, GCancellable *cancellable, GAsyncReadyCallback callback,
          gpointer user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);
  Peek *peek = g_new0 (Peek, 1);
  peek->service = g_object_ref (service);
  peek->fd = -1;
  peek->context = context;
  g_task_set_task_data (task, peek, peek_free);
  return task;
}

void
ing_remote_inspect_async (IngGenerationService *service, const char *uri, guint context, const char *proxy,
                          GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = new_peek (service, context, cancellable, callback, user_data);
  Peek *peek = g_task_get_task_data (task);
  peek->uri = g_strdup (uri);
  peek->proxy = g_strdup (proxy);
  step (task);
}

char *
ing_remote_inspect_finish (GAsyncResult *result, guint64 *size, GError **error)
{
  Peek *peek = g_task_get_task_data (G_TASK (result));
  if (size != NULL)
    *size = peek->size;
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
ing_local_inspect_async (IngGenerationService *service, const char *path, guint context, GCancellable *cancellable,
                         GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = new_peek (service, context, cancellable, callback, user_data);
  g_autofree char *valid = g_utf8_make_valid (path, -1);
  plan (task, valid);
}

char *
ing_local_inspect_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
