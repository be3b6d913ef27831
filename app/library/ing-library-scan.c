/* SPDX-License-Identifier: Apache-2.0 */
/* Reading folders. Split files are named NAME-00001-of-00003.gguf (llama.cpp's gguf-split). Ollama keeps manifests below
 * models/manifests/HOST/OWNER/NAME/TAG, JSON whose layer of the type application/vnd.ollama.image.model names the blob
 * "sha256:HEX", a GGUF file in models/blobs/sha256-HEX. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ing-error-private.h"
#include "ing-hub.h"
#include "ing-library-private.h"

#define MAX_FILES 20000
#define MAX_DEPTH 6
#define MAX_FOLDERS 3 /* deep, as OWNER/NAME/FILE is */
#define MAX_MANIFEST (1u << 20)

struct _IngModelFile
{
  GObject parent_instance;
  IngFileKind kind;
  char *path, *name, *sha256, *blocks, *uri;
  guint64 bytes, known_bytes;
  gboolean is_own;
  guint n_conversations;
};

G_DEFINE_FINAL_TYPE (IngModelFile, ing_model_file, G_TYPE_OBJECT)

static void
ing_model_file_finalize (GObject *object)
{
  IngModelFile *self = ING_MODEL_FILE (object);
  g_free (self->path);
  g_free (self->name);
  g_free (self->sha256);
  g_free (self->blocks);
  g_free (self->uri);
  G_OBJECT_CLASS (ing_model_file_parent_class)->finalize (object);
}

static void
ing_model_file_class_init (IngModelFileClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_model_file_finalize;
}

static void
ing_model_file_init (IngModelFile *self)
{
}

IngModelFile *
ing_model_file_new (IngFileKind kind, char *path, guint64 bytes)
{
  IngModelFile *self = g_object_new (ING_TYPE_MODEL_FILE, NULL);
  self->kind = kind;
  self->path = path;
  self->name = kind == ING_FILE_ABSENT ? g_filename_display_name (path) : g_filename_display_basename (path);
  self->bytes = bytes;
  return self;
}

void
ing_model_file_set_known (IngModelFile *self, const IngModelFileRow *row, guint n_conversations)
{
  self->n_conversations = n_conversations;
  if (row == NULL)
    return;
  self->is_own = TRUE;
  self->known_bytes = row->bytes;
  self->sha256 = g_strdup (row->sha256);
  self->blocks = g_strdup (row->blocks);
  self->uri = g_strdup (row->uri);
}

IngFileKind
ing_model_file_get_kind (IngModelFile *self)
{
  return self->kind;
}

const char *
ing_model_file_get_path (IngModelFile *self)
{
  return self->path;
}

const char *
ing_model_file_get_name (IngModelFile *self)
{
  return self->name;
}

guint64
ing_model_file_get_bytes (IngModelFile *self)
{
  return self->bytes;
}

gboolean
ing_model_file_get_is_own (IngModelFile *self)
{
  return self->is_own;
}

guint
ing_model_file_get_n_conversations (IngModelFile *self)
{
  return self->n_conversations;
}

const char *
ing_model_file_get_sha256 (IngModelFile *self)
{
  return self->sha256;
}

const char *
ing_model_file_get_uri (IngModelFile *self)
{
  return self->uri;
}

guint64
ing_model_file_get_known_bytes (IngModelFile *self)
{
  return self->known_bytes;
}

gboolean
ing_model_file_get_can_repair (IngModelFile *self)
{
  return self->uri != NULL && self->sha256 != NULL && self->blocks != NULL && *self->blocks != '\0' && self->known_bytes > 0;
}

const char *
ing_model_file_get_blocks (IngModelFile *self)
{
  return self->blocks;
}

/* ------------------------------------------------------------------ sets */

guint
ing_library_parse_split (const char *name, guint *index, gsize *stem)
{
  static const gsize tail = sizeof "-00001-of-00003.gguf" - 1;
  gsize n = strlen (name);
  guint i, count;
  int used = 0;
  if (n <= tail || sscanf (name + n - tail, "-%5u-of-%5u.gguf%n", &i, &count, &used) != 2 || used != (int) tail || i < 1
      || i > count || count > 99999)
    return 0;
  *index = i;
  *stem = n - tail;
  return count;
}

GPtrArray *
ing_library_list_set (const char *path)
{
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *folder = g_path_get_dirname (path);
  guint index;
  gsize stem;
  guint count = ing_library_parse_split (name, &index, &stem);
  if (count == 0)
    g_ptr_array_add (paths, g_strdup (path));
  for (guint i = 1; i <= count; i++)
    {
      g_autofree char *own = g_strdup_printf ("%.*s-%05u-of-%05u.gguf", (int) stem, name, i, count);
      g_ptr_array_add (paths, g_build_filename (folder, own, NULL));
    }
  return paths;
}

char *
ing_library_dup_first_of_set (const char *path)
{
  g_autoptr (GPtrArray) paths = ing_library_list_set (path);
  return g_strdup (g_ptr_array_index (paths, 0));
}

/* ------------------------------------------------------------------ folders */

static guint64
set_bytes (const char *path)
{
  g_autoptr (GPtrArray) paths = ing_library_list_set (path);
  guint64 bytes = 0;
  GStatBuf st;
  for (guint i = 0; i < paths->len; i++)
    if (g_stat (g_ptr_array_index (paths, i), &st) == 0)
      bytes += (guint64) st.st_size;
  return bytes;
}

static void
scan_folder (const char *folder, int depth, GPtrArray *files)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && files->len < MAX_FILES && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      GStatBuf st;
      guint index = 1;
      gsize stem;
      if (g_stat (path, &st) != 0)
        continue;
      if (S_ISDIR (st.st_mode) && depth > 0 && name[0] != '.')
        scan_folder (path, depth - 1, files);
      else if (S_ISREG (st.st_mode) && g_str_has_suffix (name, ".part"))
        g_ptr_array_add (files, ing_model_file_new (ING_FILE_PART, g_steal_pointer (&path),
                                                    (guint64) st.st_blocks * 512));
      else if (S_ISREG (st.st_mode) && g_str_has_suffix (name, ".gguf")
               && (ing_library_parse_split (name, &index, &stem) == 0 || index == 1))
        {
          guint64 bytes = set_bytes (path);
          g_ptr_array_add (files, ing_model_file_new (ING_FILE_MODEL, g_steal_pointer (&path), bytes));
        }
    }
}

static int
by_name (gconstpointer a, gconstpointer b)
{
  IngModelFile *x = *(IngModelFile *const *) a, *y = *(IngModelFile *const *) b;
  return g_utf8_collate (x->name, y->name);
}

GPtrArray *
ing_library_scan (const char *folder)
{
  GPtrArray *files = g_ptr_array_new_with_free_func (g_object_unref);
  if (g_file_test (folder, G_FILE_TEST_IS_DIR))
    scan_folder (folder, MAX_FOLDERS, files);
  else if (g_file_test (folder, G_FILE_TEST_IS_REGULAR))
    g_ptr_array_add (files, ing_model_file_new (ING_FILE_MODEL, g_strdup (folder), set_bytes (folder)));
  else
    g_ptr_array_add (files, ing_model_file_new (ING_FILE_ABSENT, g_strdup (folder), 0));
  g_ptr_array_sort (files, by_name);
  return files;
}

/* ------------------------------------------------------------------ Ollama's */

static char *
find_blob (const char *root, const char *manifest)
{
  g_autofree char *text = NULL;
  GStatBuf st;
  if (g_stat (manifest, &st) != 0 || !S_ISREG (st.st_mode) || st.st_size > MAX_MANIFEST
      || !g_file_get_contents (manifest, &text, NULL, NULL))
    return NULL;
  g_autoptr (JsonObject) object = ing_json_parse_object (text, -1, NULL);
  JsonArray *layers = object != NULL ? ing_json_get_array (object, "layers") : NULL;
  for (guint i = 0; layers != NULL && i < json_array_get_length (layers); i++)
    {
      JsonNode *node = json_array_get_element (layers, i);
      JsonObject *layer = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      const char *digest = layer != NULL ? ing_json_get_string (layer, "digest", "") : "";
      if (layer == NULL
          || strcmp (ing_json_get_string (layer, "mediaType", ""), "application/vnd.ollama.image.model") != 0
          || !g_str_has_prefix (digest, "sha256:") || !ing_hub_is_sha256 (digest + strlen ("sha256:")))
        continue;
      g_autofree char *name = g_strconcat ("sha256-", digest + strlen ("sha256:"), NULL);
      return g_build_filename (root, "blobs", name, NULL);
    }
  return NULL;
}

static void
scan_manifests (const char *root, const char *folder, const char *shown, int depth, GPtrArray *found)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && found->len < MAX_FILES && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autofree char *own = g_strconcat (shown, *shown != '\0' ? "/" : "", name, NULL);
      if (g_file_test (path, G_FILE_TEST_IS_SYMLINK))
        continue;
      if (depth > 0 && g_file_test (path, G_FILE_TEST_IS_DIR))
        {
          scan_manifests (root, path, own, depth - 1, found);
          continue;
        }
      g_autofree char *blob = find_blob (root, path);
      if (blob == NULL || !g_file_test (blob, G_FILE_TEST_IS_REGULAR))
        continue;
      g_ptr_array_add (found, g_filename_display_name (own));
      g_ptr_array_add (found, g_steal_pointer (&blob));
    }
}

char **
ing_library_find_ollama (const char *root)
{
  GPtrArray *found = g_ptr_array_new ();
  g_autofree char *home = g_build_filename (g_get_home_dir (), ".ollama", "models", NULL);
  const char *usual[] = { home, "/usr/share/ollama/.ollama/models", "/var/lib/ollama/models" };
  for (guint i = 0; i < (root != NULL ? 1 : G_N_ELEMENTS (usual)); i++)
    {
      const char *at = root != NULL ? root : usual[i];
      g_autofree char *manifests = g_build_filename (at, "manifests", NULL);
      scan_manifests (at, manifests, "", MAX_DEPTH, found);
    }
  g_ptr_array_add (found, NULL);
  return (char **) g_ptr_array_free (found, FALSE);
}
