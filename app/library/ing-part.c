/* SPDX-License-Identifier: Apache-2.0 */
/* The hash runs on a thread of its own behind the writers, out of the page cache; after a restart it reads again
 * from the start, so that what the disk really holds is what is verified. */
#include "ing-part.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_STEP (1024u * 1024)
#define MAX_SPANS 4096

struct _IngPartSpan
{
  guint64 start, at, asked, end;
  gboolean owned;
};

struct _IngPart
{
  char *path;
  int fd;
  GMutex lock;
  GCond grown;
  GPtrArray *spans; /* of IngPartSpan */
  guint64 size;
  char *etag, *last_modified;

  GThread *thread;
  IngHasher hasher; /* the thread's; others after it ended */
  guint64 hashed;
  GError *hash_error;
  gboolean hash_stop;
};

static IngPartSpan *
add_span (IngPart *part, guint at_index, guint64 start, guint64 at, guint64 end)
{
  IngPartSpan *span = g_new0 (IngPartSpan, 1);
  span->start = start;
  span->at = at;
  span->end = end;
  g_ptr_array_insert (part->spans, (int) at_index, span);
  return span;
}

/* Bytes that are there in a row. With the lock held. */
static guint64
get_prefix (IngPart *part)
{
  for (guint i = 0; i < part->spans->len; i++)
    {
      IngPartSpan *span = g_ptr_array_index (part->spans, i);
      if (span->at < span->end)
        return span->at;
    }
  return part->size;
}

/* ------------------------------------------------------------------ the hash */

static gpointer
hash_thread (gpointer data)
{
  IngPart *part = data;
  guint8 *buffer = g_malloc (HASH_STEP);
  g_mutex_lock (&part->lock);
  while (!part->hash_stop && part->hash_error == NULL)
    {
      guint64 prefix = get_prefix (part);
      if (part->hashed == part->size && prefix == part->size)
        break;
      /* Few large steps rather than many small ones; the rest when all is there. */
      if (prefix - part->hashed < HASH_STEP && prefix != part->size)
        {
          g_cond_wait (&part->grown, &part->lock);
          continue;
        }
      gsize n = (gsize) MIN (prefix - part->hashed, HASH_STEP);
      g_mutex_unlock (&part->lock);
      gssize got = pread (part->fd, buffer, n, (off_t) part->hashed);
      int number = got < 0 ? errno : 0;
      if (got > 0)
        ing_hasher_update (&part->hasher, buffer, (gsize) got);
      g_mutex_lock (&part->lock);
      if (got > 0)
        part->hashed += (guint64) got;
      else if (number != EINTR)
        part->hash_error = number != 0 ? ing_error_from_system (number, part->path, "read")
                                       : ing_error_new (ING_ERROR_IO, part->path, 0, 0,
                                                        "%s became shorter", part->path);
    }
  g_cond_broadcast (&part->grown);
  g_mutex_unlock (&part->lock);
  g_free (buffer);
  return NULL;
}

static void
start_hash (IngPart *part)
{
  ing_hasher_init (&part->hasher);
  part->hashed = 0;
  part->hash_stop = FALSE;
  part->thread = g_thread_new ("hash", hash_thread, part);
}

static void
stop_hash (IngPart *part)
{
  g_mutex_lock (&part->lock);
  part->hash_stop = TRUE;
  g_cond_broadcast (&part->grown);
  g_mutex_unlock (&part->lock);
  g_clear_pointer (&part->thread, g_thread_join);
  ing_hasher_clear (&part->hasher);
  g_clear_error (&part->hash_error);
}

char *
ing_part_wait_hash (IngPart *part, GArray **blocks, GCancellable *cancellable, GError **error)
{
  g_mutex_lock (&part->lock);
  while (part->hash_error == NULL && !(part->hashed == part->size && get_prefix (part) == part->size)
         && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait_until (&part->grown, &part->lock, g_get_monotonic_time () + 100 * 1000);
  gboolean failed = part->hash_error != NULL;
  if (failed)
    g_propagate_error (error, g_error_copy (part->hash_error));
  g_mutex_unlock (&part->lock);
  if (failed || g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  g_clear_pointer (&part->thread, g_thread_join);
  char *hex = ing_hasher_finish (&part->hasher);
  if (blocks != NULL)
    *blocks = g_array_ref (part->hasher.blocks);
  return hex;
}

/* ------------------------------------------------------------------ checkpoints */

static gboolean
read_spans (IngPart *part, JsonArray *array, guint64 file_bytes)
{
  guint64 before = 0;
  guint n = json_array_get_length (array);
  if (n == 0 || n % 2 != 0 || n / 2 > MAX_SPANS)
    return FALSE;
  /* Pairs "at, end": a span starts where the one before ends. */
  for (guint i = 0; i < n; i += 2)
    {
      gint64 at = json_array_get_int_element (array, i), end = json_array_get_int_element (array, i + 1);
      guint64 limit = end < 0 ? ING_PART_UNKNOWN : (guint64) end;
      if (at < 0 || (guint64) at < before || (guint64) at > limit || (guint64) at > file_bytes
          || (limit == ING_PART_UNKNOWN) != (part->size == ING_PART_UNKNOWN))
        return FALSE;
      add_span (part, part->spans->len, before, (guint64) at, limit);
      before = limit;
    }
  return before == part->size;
}

static void
make_empty (IngPart *part)
{
  g_ptr_array_set_size (part->spans, 0);
  g_clear_pointer (&part->etag, g_free);
  g_clear_pointer (&part->last_modified, g_free);
  part->size = ING_PART_UNKNOWN;
  add_span (part, 0, 0, 0, ING_PART_UNKNOWN);
}

static void
take_checkpoint (IngPart *part, const char *text)
{
  struct stat st;
  g_autoptr (JsonObject) object = text != NULL ? ing_json_parse_object (text, -1, NULL) : NULL;
  JsonArray *spans = object != NULL ? ing_json_get_array (object, "spans") : NULL;
  gint64 size = object != NULL ? ing_json_get_int (object, "size", -1) : -1;
  part->size = size < 0 ? ING_PART_UNKNOWN : (guint64) size;
  if (spans == NULL || fstat (part->fd, &st) != 0 || !read_spans (part, spans, (guint64) st.st_size))
    {
      make_empty (part);
      return;
    }
  part->etag = g_strdup (ing_json_get_string (object, "etag", NULL));
  part->last_modified = g_strdup (ing_json_get_string (object, "last_modified", NULL));
}

static void
add_string (JsonBuilder *b, const char *name, const char *value)
{
  if (value == NULL)
    return;
  json_builder_set_member_name (b, name);
  json_builder_add_string_value (b, value);
}

char *
ing_part_checkpoint (IngPart *part, GError **error)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  json_builder_begin_object (b);
  g_mutex_lock (&part->lock);
  json_builder_set_member_name (b, "size");
  json_builder_add_int_value (b, part->size == ING_PART_UNKNOWN ? -1 : (gint64) part->size);
  add_string (b, "etag", part->etag);
  add_string (b, "last_modified", part->last_modified);
  json_builder_set_member_name (b, "spans");
  json_builder_begin_array (b);
  for (guint i = 0; i < part->spans->len; i++)
    {
      IngPartSpan *span = g_ptr_array_index (part->spans, i);
      json_builder_add_int_value (b, (gint64) span->at);
      json_builder_add_int_value (b, span->end == ING_PART_UNKNOWN ? -1 : (gint64) span->end);
    }
  json_builder_end_array (b);
  g_mutex_unlock (&part->lock);
  json_builder_end_object (b);
  if (!ing_part_sync (part, error)) /* after what is said was read, before it is said: invariant 3 */
    return NULL;
  return ing_json_build (b);
}

gboolean
ing_part_sync (IngPart *part, GError **error)
{
  if (fdatasync (part->fd) == 0)
    return TRUE;
  g_propagate_error (error, ing_error_from_system (errno, part->path, "sync"));
  return FALSE;
}

gboolean
ing_part_settle (IngPart *part, GError **error)
{
  if (ftruncate (part->fd, (off_t) part->size) == 0 && fsync (part->fd) == 0)
    return TRUE;
  g_propagate_error (error, ing_error_from_system (errno, part->path, "sync"));
  return FALSE;
}

/* ------------------------------------------------------------------ life */

IngPart *
ing_part_open (const char *path, const char *checkpoint, GError **error)
{
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0)
    {
      g_propagate_error (error, ing_error_from_system (errno, path, "open"));
      return NULL;
    }
  IngPart *part = g_new0 (IngPart, 1);
  part->path = g_strdup (path);
  part->fd = fd;
  part->spans = g_ptr_array_new_with_free_func (g_free);
  g_mutex_init (&part->lock);
  g_cond_init (&part->grown);
  take_checkpoint (part, checkpoint);
  start_hash (part);
  return part;
}

void
ing_part_free (IngPart *part)
{
  if (part == NULL)
    return;
  stop_hash (part);
  close (part->fd);
  g_ptr_array_unref (part->spans);
  g_mutex_clear (&part->lock);
  g_cond_clear (&part->grown);
  g_free (part->etag);
  g_free (part->last_modified);
  g_free (part->path);
  g_free (part);
}

gboolean
ing_part_reset (IngPart *part, GError **error)
{
  stop_hash (part);
  g_mutex_lock (&part->lock);
  make_empty (part);
  g_mutex_unlock (&part->lock);
  gboolean ok = ftruncate (part->fd, 0) == 0;
  if (!ok)
    g_propagate_error (error, ing_error_from_system (errno, part->path, "truncate"));
  start_hash (part);
  return ok;
}

/* ------------------------------------------------------------------ what is known */

#define LOCKED(type, expression)                                                                   \
  g_mutex_lock (&part->lock);                                                                      \
  type value = (expression);                                                                       \
  g_mutex_unlock (&part->lock);                                                                    \
  return value

guint64
ing_part_get_size (IngPart *part)
{
  LOCKED (guint64, part->size);
}

guint64
ing_part_get_done (IngPart *part)
{
  guint64 done = 0;
  g_mutex_lock (&part->lock);
  for (guint i = 0; i < part->spans->len; i++)
    {
      IngPartSpan *span = g_ptr_array_index (part->spans, i);
      done += span->at - span->start;
    }
  g_mutex_unlock (&part->lock);
  return done;
}

gboolean
ing_part_is_complete (IngPart *part)
{
  LOCKED (gboolean, part->size != ING_PART_UNKNOWN && get_prefix (part) == part->size);
}

gboolean
ing_part_is_described (IngPart *part)
{
  LOCKED (gboolean, part->size != ING_PART_UNKNOWN || part->etag != NULL || part->last_modified != NULL);
}

char *
ing_part_dup_etag (IngPart *part)
{
  LOCKED (char *, g_strdup (part->etag));
}

char *
ing_part_dup_last_modified (IngPart *part)
{
  LOCKED (char *, g_strdup (part->last_modified));
}

/* All of the file's blocks now, so that a disk too small says so before an hour is gone. */
static gboolean
make_room (IngPart *part, guint64 size, GError **error)
{
  struct stat st;
  guint64 there = fstat (part->fd, &st) == 0 ? (guint64) st.st_blocks * 512 : 0;
  guint64 needed = size > there ? size - there : 0;
  guint64 available = ing_paths_get_free_bytes (part->path);
  int number = needed > available ? ENOSPC : 0;
  if (number == 0 && needed > 0 && fallocate (part->fd, 0, 0, (off_t) size) != 0
      && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
    number = errno;
  if (number == 0)
    return TRUE;
  GError *problem = ing_error_from_system (number, part->path, "make room");
  if (problem->code == ING_ERROR_DISK_FULL)
    ing_error_set_details (problem, ing_error_get_field (problem), needed, available, ING_ERROR_OFFSET_NONE, 0);
  g_propagate_error (error, problem);
  return FALSE;
}

gboolean
ing_part_describe (IngPart *part, guint64 size, const char *etag, const char *last_modified, GError **error)
{
  g_mutex_lock (&part->lock);
  if (part->etag == NULL)
    part->etag = g_strdup (etag);
  if (part->last_modified == NULL)
    part->last_modified = g_strdup (last_modified);
  if (part->size == ING_PART_UNKNOWN && size != ING_PART_UNKNOWN)
    {
      IngPartSpan *last = g_ptr_array_index (part->spans, part->spans->len - 1);
      part->size = MAX (size, last->at);
      last->end = part->size;
      g_cond_broadcast (&part->grown);
    }
  size = part->size;
  g_mutex_unlock (&part->lock);
  return size == ING_PART_UNKNOWN || make_room (part, size, error);
}

/* ------------------------------------------------------------------ spans */

static guint64
left_of (const IngPartSpan *span)
{
  return span->end - span->at;
}

IngPartSpan *
ing_part_take (IngPart *part, guint64 min_split)
{
  IngPartSpan *free_one = NULL, *longest = NULL, *taken = NULL;
  guint place = 0;
  g_mutex_lock (&part->lock);
  for (guint i = 0; i < part->spans->len; i++)
    {
      IngPartSpan *span = g_ptr_array_index (part->spans, i);
      if (left_of (span) == 0)
        continue;
      if (!span->owned && free_one == NULL)
        free_one = span;
      if (span->owned && span->end != ING_PART_UNKNOWN && (longest == NULL || left_of (span) > left_of (longest)))
        {
          longest = span;
          place = i;
        }
    }
  if (free_one != NULL)
    taken = free_one;
  else if (longest != NULL && min_split > 0 && left_of (longest) / 2 >= min_split && part->spans->len < MAX_SPANS)
    {
      guint64 middle = MAX (longest->asked, longest->at + left_of (longest) / 2);
      if (longest->end - middle >= min_split)
        {
          taken = add_span (part, place + 1, middle, middle, longest->end);
          longest->end = middle;
        }
    }
  if (taken != NULL)
    taken->owned = TRUE;
  g_mutex_unlock (&part->lock);
  return taken;
}

void
ing_part_give (IngPart *part, IngPartSpan *span)
{
  g_mutex_lock (&part->lock);
  span->owned = FALSE;
  span->asked = 0;
  g_mutex_unlock (&part->lock);
}

guint64
ing_part_ask (IngPart *part, IngPartSpan *span, guint64 piece)
{
  LOCKED (guint64, span->asked = span->end - span->at > piece ? span->at + piece : span->end);
}

guint64
ing_part_span_get_at (IngPart *part, IngPartSpan *span)
{
  LOCKED (guint64, span->at);
}

guint64
ing_part_span_get_end (IngPart *part, IngPartSpan *span)
{
  LOCKED (guint64, span->end);
}

gboolean
ing_part_write (IngPart *part, IngPartSpan *span, const guint8 *bytes, gsize n, gsize *wanted, GError **error)
{
  guint64 at = ing_part_span_get_at (part, span), end = ing_part_span_get_end (part, span);
  *wanted = (gsize) MIN (n, end - at);
  for (gsize done = 0; done < *wanted;)
    {
      gssize wrote = pwrite (part->fd, bytes + done, *wanted - done, (off_t) (at + done));
      if (wrote > 0)
        done += (gsize) wrote;
      else if (wrote < 0 && errno != EINTR)
        {
          g_propagate_error (error, ing_error_from_system (errno, part->path, "write"));
          return FALSE;
        }
    }
  g_mutex_lock (&part->lock);
  /* Somebody may have taken the later half meanwhile: the same bytes, but theirs to count. */
  span->at = MIN (at + *wanted, span->end);
  g_cond_broadcast (&part->grown);
  g_mutex_unlock (&part->lock);
  return TRUE;
}

void
ing_part_end_here (IngPart *part, IngPartSpan *span)
{
  g_mutex_lock (&part->lock);
  if (part->size == ING_PART_UNKNOWN)
    part->size = span->end = span->at;
  g_cond_broadcast (&part->grown);
  g_mutex_unlock (&part->lock);
}
