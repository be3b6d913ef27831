/* SPDX-License-Identifier: Apache-2.0 */
/* Formats. Hugging Face: GET /api/models/{repo}/tree/{revision}?recursive=true, an array of {"type", "path", "size",
 * "lfs": {"oid": sha256, "size"}}; files at /{repo}/resolve/{revision}/{path}; GET /api/models?search=…&filter=gguf.
 * ModelScope: GET /api/v1/models/{repo}/repo/files?Recursive=true&Revision=…, {"Data": {"Files": [{"Type", "Path",
 * "Size", "Sha256"}]}}; files at /models/{repo}/resolve/{revision}/{path}; GET /openapi/v1/models?search=…, {"data": {"models":
 * [{"id", "downloads", "tags"}]}}. */
#include "ing-hub.h"

#include <string.h>

#define MAX_FILES 10000
#define MAX_NAME_BYTES 180
#define MAX_FOUND 30
#define MAX_LICENCE_BYTES 80
#define LICENCE_TAG "license:"

static GMutex lock;
static char *bases[3];
static const char *const usual_bases[] = { NULL, "https://huggingface.co", "https://www.modelscope.cn" };
static const char *const usual_revisions[] = { NULL, "main", "master" };
/* Other names by which people know the same hub. */
static const struct
{
  IngHub hub;
  const char *host;
} hosts[] = {
  { ING_HUB_HUGGING_FACE, "huggingface.co" }, { ING_HUB_HUGGING_FACE, "www.huggingface.co" },
  { ING_HUB_HUGGING_FACE, "hf.co" },          { ING_HUB_MODELSCOPE, "modelscope.cn" },
  { ING_HUB_MODELSCOPE, "www.modelscope.cn" },
};

char *
ing_hub_dup_base (IngHub hub)
{
  g_mutex_lock (&lock);
  char *base = g_strdup (bases[hub] != NULL ? bases[hub] : usual_bases[hub]);
  g_mutex_unlock (&lock);
  return base;
}

void
ing_hub_set_base (IngHub hub, const char *base)
{
  g_return_if_fail (hub != ING_HUB_NONE);
  g_mutex_lock (&lock);
  g_free (bases[hub]);
  bases[hub] = base != NULL && *base != '\0' ? g_strdup (base) : NULL;
  if (bases[hub] != NULL && g_str_has_suffix (bases[hub], "/"))
    bases[hub][strlen (bases[hub]) - 1] = '\0';
  g_mutex_unlock (&lock);
}

/* ------------------------------------------------------------------ names */

gboolean
ing_hub_is_sha256 (const char *text)
{
  if (text == NULL || strlen (text) != 64)
    return FALSE;
  for (int i = 0; i < 64; i++)
    if (!g_ascii_isxdigit (text[i]))
      return FALSE;
  return TRUE;
}

/* Letters that show nothing, turn text round, or mean something to a file system or a shell. */
static gboolean
is_harmful (gunichar c)
{
  GUnicodeType type = g_unichar_type (c);
  return c < 0x20 || c == 0x7f || type == G_UNICODE_CONTROL || type == G_UNICODE_FORMAT
         || type == G_UNICODE_LINE_SEPARATOR || type == G_UNICODE_PARAGRAPH_SEPARATOR
         || type == G_UNICODE_SURROGATE || type == G_UNICODE_PRIVATE_USE
         || (c < 0x80 && strchr ("/\\:*?\"<>|", (int) c) != NULL);
}

char *
ing_hub_dup_file_name (const char *path)
{
  static const char *const suffixes[] = { ".gguf", ".safetensors", ".json" };
  const char *slash = strrchr (path, '/');
  g_autofree char *valid = g_utf8_make_valid (slash != NULL ? slash + 1 : path, -1);
  g_autofree char *normal = g_utf8_normalize (valid, -1, G_NORMALIZE_NFC);
  const char *suffix = "";
  g_autoptr (GString) name = g_string_new (NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (suffixes); i++)
    if (g_str_has_suffix (normal, suffixes[i]))
      suffix = suffixes[i];
  normal[strlen (normal) - strlen (suffix)] = '\0';
  for (const char *at = normal; *at != '\0'; at = g_utf8_next_char (at))
    {
      gunichar c = g_utf8_get_char (at);
      if (name->len == 0 && (c == '.' || g_unichar_isspace (c) || c == '-'))
        continue;
      gsize before = name->len;
      g_string_append_unichar (name, is_harmful (c) ? '_' : c);
      if (name->len + strlen (suffix) > MAX_NAME_BYTES)
        {
          g_string_truncate (name, before);
          break;
        }
    }
  while (name->len > 0 && (name->str[name->len - 1] == ' ' || name->str[name->len - 1] == '.'))
    g_string_truncate (name, name->len - 1);
  if (name->len == 0)
    g_string_append (name, "model");
  g_string_append (name, suffix);
  return g_strdup (name->str);
}

/* "owner/name" of letters, digits and -_. */
static gboolean
is_repository (const char *text)
{
  int slashes = 0;
  char before = '/';
  for (const char *at = text; *at != '\0'; before = *at++)
    {
      if (*at == '/')
        slashes++;
      else if (!g_ascii_isalnum (*at) && strchr ("-_.", *at) == NULL)
        return FALSE;
      if (before == '/' && (*at == '/' || *at == '.'))
        return FALSE;
    }
  return slashes == 1 && before != '/' && strlen (text) < 200;
}

/* ------------------------------------------------------------------ addresses */

void
ing_hub_address_free (IngHubAddress *address)
{
  if (address == NULL)
    return;
  g_free (address->repository);
  g_free (address->revision);
  g_free (address->file);
  g_free (address->uri);
  g_free (address->page);
  g_free (address);
}

IngHubAddress *
ing_hub_address_new (IngHub hub, const char *repository, const char *revision, const char *file)
{
  IngHubAddress *address = g_new0 (IngHubAddress, 1);
  g_autofree char *base = ing_hub_dup_base (hub);
  const char *folder = hub == ING_HUB_MODELSCOPE ? "/models/" : "/";
  address->hub = hub;
  address->repository = g_strdup (repository);
  address->revision = g_strdup (revision != NULL ? revision : usual_revisions[hub]);
  address->page = g_strconcat (base, folder, repository, NULL);
  if (file != NULL && *file != '\0')
    {
      g_autofree char *rev = g_uri_escape_string (address->revision, NULL, FALSE);
      g_autofree char *path = g_uri_escape_string (file, "/", FALSE);
      address->file = g_strdup (file);
      address->uri = g_strconcat (address->page, "/resolve/", rev, "/", path, NULL);
    }
  return address;
}

static IngHub
find_hub (GUri *uri)
{
  for (IngHub hub = ING_HUB_HUGGING_FACE; hub <= ING_HUB_MODELSCOPE; hub++)
    {
      g_autofree char *base = ing_hub_dup_base (hub);
      g_autoptr (GUri) own = g_uri_parse (base, G_URI_FLAGS_NONE, NULL);
      if (own != NULL && g_strcmp0 (g_uri_get_host (own), g_uri_get_host (uri)) == 0
          && g_uri_get_port (own) == g_uri_get_port (uri))
        return hub;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (hosts); i++)
    if (g_ascii_strcasecmp (hosts[i].host, g_uri_get_host (uri)) == 0)
      return hosts[i].hub;
  return ING_HUB_NONE;
}

/* owner/name[/(tree|blob|resolve)/revision[/path]], ModelScope's /models/ before and /file/view/ between. */
static IngHubAddress *
parse_hub_path (IngHub hub, const char *path)
{
  while (*path == '/')
    path++;
  if (hub == ING_HUB_MODELSCOPE && g_str_has_prefix (path, "models/"))
    path += strlen ("models/");
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  guint n = g_strv_length (parts);
  if (n < 2)
    return NULL;
  g_autofree char *repository = g_strconcat (parts[0], "/", parts[1], NULL);
  if (!is_repository (repository))
    return NULL;
  guint at = 2;
  if (n > 4 && strcmp (parts[2], "file") == 0 && strcmp (parts[3], "view") == 0)
    at = 3;
  gboolean deep = n > at + 1
                  && (strcmp (parts[at], "tree") == 0 || strcmp (parts[at], "blob") == 0
                      || strcmp (parts[at], "resolve") == 0 || strcmp (parts[at], "view") == 0);
  g_autofree char *file = deep && n > at + 2 && strcmp (parts[at], "tree") != 0
                              ? g_strjoinv ("/", parts + at + 2)
                              : NULL;
  return ing_hub_address_new (hub, repository, deep ? parts[at + 1] : NULL, file);
}

IngHubAddress *
ing_hub_parse (const char *text, GError **error)
{
  g_autofree char *trimmed = g_strstrip (g_strdup (text));
  if (is_repository (trimmed) && strstr (trimmed, ".co/") == NULL)
    return ing_hub_address_new (ING_HUB_HUGGING_FACE, trimmed, NULL, NULL);
  /* A hub's name without https:// is known for one; anything else might be a path. */
  gboolean full_given = strstr (trimmed, "://") != NULL;
  g_autofree char *full = full_given ? g_strdup (trimmed) : g_strconcat ("https://", trimmed, NULL);
  g_autoptr (GUri) uri = g_uri_parse (full, G_URI_FLAGS_NONE, NULL);
  const char *scheme = uri != NULL ? g_uri_get_scheme (uri) : "";
  IngHubAddress *address = NULL;
  if (uri != NULL && g_uri_get_host (uri) != NULL && *g_uri_get_host (uri) != '\0'
      && (strcmp (scheme, "https") == 0 || strcmp (scheme, "http") == 0))
    {
      IngHub hub = find_hub (uri);
      const char *path = g_uri_get_path (uri);
      if (hub != ING_HUB_NONE)
        address = parse_hub_path (hub, path);
      else if (full_given && strlen (path) > 1 && !g_str_has_suffix (path, "/"))
        {
          address = g_new0 (IngHubAddress, 1);
          address->file = g_path_get_basename (path);
          address->uri = g_strdup (full);
          address->page = g_strdup (full);
        }
    }
  if (address == NULL)
    g_propagate_error (error,
                       ing_error_new (ING_ERROR_ARGUMENT, NULL, 0, 0,
                                      "“%s” is no address of a model: paste a page of a hub, or a file’s address",
                                      trimmed));
  return address;
}

/* ------------------------------------------------------------------ lists */

void
ing_hub_file_free (IngHubFile *file)
{
  g_free (file->path);
  g_free (file->sha256);
  g_free (file);
}

static void
add_file (GPtrArray *files, const char *path, gint64 size, const char *sha256)
{
  if (path == NULL || *path == '\0' || files->len >= MAX_FILES)
    return;
  IngHubFile *file = g_new0 (IngHubFile, 1);
  file->path = g_strdup (path);
  file->size = (guint64) MAX (0, size);
  file->sha256 = ing_hub_is_sha256 (sha256) ? g_ascii_strdown (sha256, -1) : NULL;
  g_ptr_array_add (files, file);
}

GPtrArray *
ing_hub_parse_list (IngHub hub, const char *json, gssize length, GError **error)
{
  gboolean wrapped = hub == ING_HUB_HUGGING_FACE;
  gsize n = length < 0 ? strlen (json) : (gsize) length;
  g_autofree char *text = wrapped ? g_strdup_printf ("{\"files\":%.*s}", (int) n, json) : g_strndup (json, n);
  g_autoptr (JsonObject) object = ing_json_parse_object (text, -1, error);
  if (object == NULL)
    return NULL;
  JsonObject *data = wrapped ? object : ing_json_get_object (object, "Data");
  JsonArray *array = data != NULL ? ing_json_get_array (data, wrapped ? "files" : "Files") : NULL;
  if (array == NULL)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_SERVER, NULL, 0, 0, "the hub’s list has no files"));
      return NULL;
    }
  GPtrArray *files = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_hub_file_free);
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      JsonNode *node = json_array_get_element (array, i);
      JsonObject *entry = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      if (entry == NULL)
        continue;
      if (wrapped && strcmp (ing_json_get_string (entry, "type", "file"), "file") == 0)
        {
          JsonObject *lfs = ing_json_get_object (entry, "lfs");
          add_file (files, ing_json_get_string (entry, "path", NULL), ing_json_get_int (entry, "size", 0),
                    lfs != NULL ? ing_json_get_string (lfs, "oid", NULL) : NULL);
        }
      else if (!wrapped && strcmp (ing_json_get_string (entry, "Type", "blob"), "blob") == 0)
        add_file (files, ing_json_get_string (entry, "Path", NULL), ing_json_get_int (entry, "Size", 0),
                  ing_json_get_string (entry, "Sha256", NULL));
    }
  return files;
}

GPtrArray *
ing_hub_list (IngHttp *http, const IngHubAddress *address, const char *token, GCancellable *cancellable,
              GError **error)
{
  g_return_val_if_fail (address->hub != ING_HUB_NONE, NULL);
  g_autofree char *base = ing_hub_dup_base (address->hub);
  g_autofree char *revision = g_uri_escape_string (address->revision, NULL, FALSE);
  g_autofree char *uri
      = address->hub == ING_HUB_HUGGING_FACE
            ? g_strdup_printf ("%s/api/models/%s/tree/%s?recursive=true", base, address->repository, revision)
            : g_strdup_printf ("%s/api/v1/models/%s/repo/files?Recursive=true&Revision=%s", base,
                               address->repository, revision);
  g_autoptr (GBytes) bytes
      = ing_http_fetch (http, uri, token, address->page, ING_HTTP_MAX_METADATA, cancellable, error);
  if (bytes == NULL)
    return NULL;
  return ing_hub_parse_list (address->hub, g_bytes_get_data (bytes, NULL), (gssize) g_bytes_get_size (bytes), error);
}

/* ------------------------------------------------------------------ search */

void
ing_hub_model_free (IngHubModel *model)
{
  g_free (model->repository);
  g_free (model->licence);
  g_free (model);
}

/* A tag "license:apache-2.0" says it; ModelScope has a field of its own, too. */
static char *
dup_licence (JsonObject *entry)
{
  JsonArray *tags = ing_json_get_array (entry, "tags");
  const char *own = ing_json_get_string (entry, "license", NULL);
  for (guint i = 0; tags != NULL && i < json_array_get_length (tags); i++)
    {
      JsonNode *node = json_array_get_element (tags, i);
      const char *tag = json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : "";
      if (g_str_has_prefix (tag, LICENCE_TAG) && tag[strlen (LICENCE_TAG)] != '\0')
        return g_strndup (tag + strlen (LICENCE_TAG), MAX_LICENCE_BYTES);
    }
  return own != NULL && *own != '\0' ? g_utf8_make_valid (own, (gssize) MIN (strlen (own), MAX_LICENCE_BYTES)) : NULL;
}

/* Hugging Face says FALSE, "auto" or "manual". */
static gboolean
is_gated (JsonObject *entry)
{
  const char *how = ing_json_get_string (entry, "gated", NULL);
  return how != NULL ? *how != '\0' && strcmp (how, "false") != 0 : ing_json_get_boolean (entry, "gated", FALSE);
}

GPtrArray *
ing_hub_parse_found (IngHub hub, const char *json, gssize length, GError **error)
{
  gboolean wrapped = hub == ING_HUB_HUGGING_FACE;
  gsize n = length < 0 ? strlen (json) : (gsize) length;
  g_autofree char *text = wrapped ? g_strdup_printf ("{\"models\":%.*s}", (int) n, json) : g_strndup (json, n);
  g_autoptr (JsonObject) object = ing_json_parse_object (text, -1, error);
  if (object == NULL)
    return NULL;
  JsonObject *data = wrapped ? object : ing_json_get_object (object, "data");
  JsonArray *array = data != NULL ? ing_json_get_array (data, "models") : NULL;
  if (array == NULL)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_SERVER, NULL, 0, 0, "the hub’s answer has no list of models"));
      return NULL;
    }
  GPtrArray *found = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_hub_model_free);
  for (guint i = 0; i < json_array_get_length (array) && found->len < MAX_FOUND; i++)
    {
      JsonNode *node = json_array_get_element (array, i);
      JsonObject *entry = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      const char *id = entry != NULL ? ing_json_get_string (entry, "id", NULL) : NULL;
      if (id == NULL || !is_repository (id))
        continue;
      IngHubModel *model = g_new0 (IngHubModel, 1);
      model->repository = g_strdup (id);
      model->licence = dup_licence (entry);
      model->downloads = (guint64) MAX (0, ing_json_get_int (entry, "downloads", 0));
      model->gated = is_gated (entry);
      g_ptr_array_add (found, model);
    }
  return found;
}

/* ModelScope's search has no filter by file type that is documented: the word does it. */
static char *
dup_search_uri (IngHub hub, const char *words)
{
  g_autofree char *base = ing_hub_dup_base (hub);
  g_autofree char *all = hub == ING_HUB_MODELSCOPE ? g_strconcat (words, " gguf", NULL) : g_strdup (words);
  g_autofree char *escaped = g_uri_escape_string (all, NULL, FALSE);
  if (hub == ING_HUB_MODELSCOPE)
    return g_strdup_printf ("%s/openapi/v1/models?search=%s&sort=downloads&page_number=1&page_size=%d", base, escaped, MAX_FOUND);
  return g_strdup_printf ("%s/api/models?search=%s&filter=gguf&sort=downloads&direction=-1&limit=%d", base, escaped, MAX_FOUND);
}

GPtrArray *
ing_hub_search (IngHttp *http, IngHub hub, const char *words, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (hub != ING_HUB_NONE, NULL);
  g_autofree char *uri = dup_search_uri (hub, words);
  g_autoptr (GBytes) bytes = ing_http_fetch (http, uri, NULL, NULL, ING_HTTP_MAX_METADATA, cancellable, error);
  if (bytes == NULL)
    return NULL;
  return ing_hub_parse_found (hub, g_bytes_get_data (bytes, NULL), (gssize) g_bytes_get_size (bytes), error);
}
