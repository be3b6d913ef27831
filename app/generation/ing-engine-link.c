/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. The thread holds a reference; it ends when the socket does or @closing is set.
 *  2. What stands below @lock is all that both sides touch, under it; @source is there until @closing.
 *  3. The handler runs in the owner's context alone, and never after close. */
#include "ing-engine-link.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ing-error-private.h"

#define READ_BYTES (64u * 1024u)
#define CHILD_GRACE_MS 2000

struct _IngEngineLink
{
  GObject parent_instance;
  IngEngineLinkHandler handler;
  gpointer handler_data;
  IngEngineProcess *process; /* finished by the thread */
  int pid;
  int fd;
  int wake_fd;
  GSource *source; /* in the owner's context; its ready time wakes it */
  guint32 last_id; /* owner only */
  gboolean closed; /* owner only: invariant 3 */

  GMutex lock;
  gint64 frame_us;     /* when the owner last heard */
  gint64 due_us;       /* when it hears next; G_MAXINT64 = nothing waits */
  guint32 streamed_id; /* of the last TOKENS */
  GQueue out;         /* of GBytes */
  GQueue events;      /* of IngEngineEvent */
  GError *lost_error; /* set once, with the last event */
  gboolean closing;
};

typedef struct
{
  GSource source;
  IngEngineLink *link; /* not owned: the link destroys its source */
} LinkSource;

G_DEFINE_FINAL_TYPE (IngEngineLink, ing_engine_link, G_TYPE_OBJECT)

/* Threads of links that are still ending. */
static GMutex running_lock;
static GCond running_cond;
static guint n_running;

static void
event_free (gpointer data)
{
  IngEngineEvent *event = data;
  g_clear_pointer (&event->object, json_object_unref);
  g_clear_pointer (&event->binary, g_bytes_unref);
  if (event->text != NULL)
    g_string_free (event->text, TRUE);
  g_free (event);
}

static void
ing_engine_link_finalize (GObject *object)
{
  IngEngineLink *self = ING_ENGINE_LINK (object);
  g_queue_clear_full (&self->out, (GDestroyNotify) g_bytes_unref);
  g_queue_clear_full (&self->events, event_free);
  g_clear_error (&self->lost_error);
  if (self->fd >= 0)
    close (self->fd);
  if (self->wake_fd >= 0)
    close (self->wake_fd);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (ing_engine_link_parent_class)->finalize (object);
}

static void
ing_engine_link_class_init (IngEngineLinkClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_engine_link_finalize;
}

static void
ing_engine_link_init (IngEngineLink *self)
{
  g_mutex_init (&self->lock);
  self->fd = -1;
  self->wake_fd = -1;
  self->due_us = G_MAXINT64;
}

/* ------------------------------------------------------------------ owner's side */

static gboolean
source_dispatch (GSource *source, GSourceFunc callback, gpointer user_data)
{
  g_autoptr (IngEngineLink) self = g_object_ref (((LinkSource *) source)->link);
  g_source_set_ready_time (source, -1);
  g_mutex_lock (&self->lock);
  self->frame_us = g_get_monotonic_time ();
  self->due_us = G_MAXINT64;
  g_mutex_unlock (&self->lock);
  for (;;)
    {
      g_mutex_lock (&self->lock);
      IngEngineEvent *event = g_queue_pop_head (&self->events);
      g_autoptr (GError) lost = event == NULL ? g_steal_pointer (&self->lost_error) : NULL;
      g_mutex_unlock (&self->lock);
      if (self->closed)
        {
          g_clear_pointer (&event, event_free);
          return G_SOURCE_REMOVE;
        }
      if (event != NULL)
        {
          self->handler.event (self, event, self->handler_data);
          event_free (event);
          continue;
        }
      if (lost != NULL)
        self->handler.lost (self, lost, self->handler_data);
      return G_SOURCE_CONTINUE;
    }
}

static GSourceFuncs source_funcs = { .dispatch = source_dispatch };

static void
wake (IngEngineLink *self)
{
  guint64 one = 1;
  if (write (self->wake_fd, &one, sizeof one) < 0)
    g_debug ("engine: eventfd is full"); /* then the thread wakes up anyway */
}

guint32
ing_engine_link_send (IngEngineLink *self, EngWireType type, JsonObject *payload)
{
  g_autofree char *text = payload != NULL ? ing_json_print_object (payload) : g_strdup ("{}");
  g_clear_pointer (&payload, json_object_unref);
  gsize length = strlen (text);
  if (++self->last_id == 0) /* 0 is no id */
    self->last_id = 1;
  /* The sender keeps messages far below the limit; the engine would end the connection. */
  if (length > ENG_WIRE_MAX_PAYLOAD)
    {
      g_critical ("a request of %" G_GSIZE_FORMAT " bytes is too long", length);
      return self->last_id;
    }
  EngWireHeader header = { .type = (uint16_t) type, .id = self->last_id,
                           .length = (uint32_t) length };
  guint8 *frame = g_malloc (ENG_WIRE_HEADER_BYTES + length);
  eng_wire_encode_header (&header, frame);
  memcpy (frame + ENG_WIRE_HEADER_BYTES, text, length);
  g_mutex_lock (&self->lock);
  g_queue_push_tail (&self->out, g_bytes_new_take (frame, ENG_WIRE_HEADER_BYTES + length));
  g_mutex_unlock (&self->lock);
  wake (self);
  return header.id;
}

void
ing_engine_link_cancel (IngEngineLink *self, guint32 id)
{
  JsonObject *payload = json_object_new ();
  json_object_set_int_member (payload, "target", id);
  ing_engine_link_send (self, ENG_WIRE_CANCEL, payload);
}

void
ing_engine_link_close (IngEngineLink *self)
{
  if (self->closed)
    return;
  self->closed = TRUE;
  ing_engine_link_send (self, ENG_WIRE_SHUTDOWN, NULL);
  g_mutex_lock (&self->lock);
  self->closing = TRUE;
  g_mutex_unlock (&self->lock);
  wake (self);
  g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);
}

gboolean
ing_engine_link_wait_closed (guint timeout_ms)
{
  gint64 until = g_get_monotonic_time () + timeout_ms * G_TIME_SPAN_MILLISECOND;
  g_mutex_lock (&running_lock);
  while (n_running > 0 && g_cond_wait_until (&running_cond, &running_lock, until))
    ;
  gboolean all = n_running == 0;
  g_mutex_unlock (&running_lock);
  return all;
}

int
ing_engine_link_get_pid (IngEngineLink *self)
{
  return self->pid;
}

/* ------------------------------------------------------------------ the thread's side */

/* When the owner is to hear of @event: at once, but for what comes in numbers. An answer's first word does not wait for a frame
 * that its own progress, or another request, has just had. */
static gint64
get_due (IngEngineLink *self, const IngEngineEvent *event)
{
  gboolean streams = event->type == ENG_WIRE_PROGRESS
                     || (event->type == ENG_WIRE_TOKENS && event->id == self->streamed_id);
  if (event->type == ENG_WIRE_TOKENS)
    self->streamed_id = event->id;
  return streams ? self->frame_us + ING_LINK_FRAME_US : 0;
}

/* Queue @event (taken), joining it with what waits already, and wake the owner when it is due. */
static void
push_event (IngEngineLink *self, IngEngineEvent *event)
{
  g_mutex_lock (&self->lock);
  gint64 due_us = get_due (self, event);
  IngEngineEvent *last = g_queue_peek_tail (&self->events);
  if (last != NULL && last->id == event->id && last->type == event->type
      && (event->type == ENG_WIRE_TOKENS || event->type == ENG_WIRE_PROGRESS))
    {
      if (event->type == ENG_WIRE_TOKENS)
        g_string_append_len (last->text, event->text->str, (gssize) event->text->len);
      g_clear_pointer (&last->object, json_object_unref);
      last->object = g_steal_pointer (&event->object); /* counts are of now */
      event_free (event);
    }
  else
    g_queue_push_tail (&self->events, event);
  if (!self->closing && due_us < self->due_us) /* not closing: then the source is there */
    g_source_set_ready_time (self->source, self->due_us = due_us);
  g_mutex_unlock (&self->lock);
}

static gboolean
accept_frame (IngEngineLink *self, const EngWireHeader *header, const guint8 *payload,
              GError **error)
{
  g_autoptr (JsonObject) object = NULL;
  if (header->type != ENG_WIRE_EMBEDDINGS)
    {
      object = ing_json_parse_object ((const char *) payload, header->length, error);
      if (object == NULL)
        return FALSE;
    }
  IngEngineEvent *event = g_new0 (IngEngineEvent, 1);
  event->type = header->type;
  event->id = header->id;
  switch (header->type)
    {
    case ENG_WIRE_PROGRESS:
    case ENG_WIRE_DONE:
    case ENG_WIRE_FAILED:
      break;
    case ENG_WIRE_TOKENS:
      event->text = g_string_new (ing_json_get_string (object, "text", ""));
      break;
    case ENG_WIRE_EMBEDDINGS:
      event->binary = g_bytes_new (payload, header->length);
      break;
    default:
      event_free (event);
      g_set_error (error, ING_ERROR, ING_ERROR_PROTOCOL, "an answer of unknown type %u",
                   header->type);
      return FALSE;
    }
  event->object = g_steal_pointer (&object);
  push_event (self, event);
  return TRUE;
}

/* Take whole frames off the front of @in. */
static gboolean
take_frames (IngEngineLink *self, GByteArray *in, GError **error)
{
  gsize at = 0;
  while (in->len - at >= ENG_WIRE_HEADER_BYTES)
    {
      EngWireHeader header;
      if (!eng_wire_decode_header (in->data + at, &header))
        {
          g_set_error_literal (error, ING_ERROR, ING_ERROR_PROTOCOL, "a frame has a bad header");
          return FALSE;
        }
      gsize whole = ENG_WIRE_HEADER_BYTES + (gsize) header.length;
      if (in->len - at < whole)
        break;
      if (!accept_frame (self, &header, in->data + at + ENG_WIRE_HEADER_BYTES, error))
        return FALSE;
      at += whole;
    }
  if (at > 0)
    g_byte_array_remove_range (in, 0, (guint) at);
  return TRUE;
}

static gboolean
read_some (IngEngineLink *self, GByteArray *in, GError **error)
{
  guint8 buffer[READ_BYTES];
  ssize_t n = recv (self->fd, buffer, sizeof buffer, 0);
  if (n > 0)
    {
      g_byte_array_append (in, buffer, (guint) n);
      return take_frames (self, in, error);
    }
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return TRUE;
  g_set_error (error, ING_ERROR, ING_ERROR_ENGINE_LOST, "the engine closed the connection%s%s",
               n < 0 ? ": " : "", n < 0 ? g_strerror (errno) : "");
  return FALSE;
}

/* Write what fits of the first frame; @done counts its bytes that are out. */
static gboolean
write_some (IngEngineLink *self, gsize *done, GError **error)
{
  g_mutex_lock (&self->lock);
  GBytes *first = g_queue_peek_head (&self->out);
  g_mutex_unlock (&self->lock);
  gsize length;
  const guint8 *data = g_bytes_get_data (first, &length);
  ssize_t n = send (self->fd, data + *done, length - *done, MSG_NOSIGNAL);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return TRUE;
  if (n < 0)
    {
      g_set_error (error, ING_ERROR, ING_ERROR_ENGINE_LOST, "the engine is gone: %s",
                   g_strerror (errno));
      return FALSE;
    }
  *done += (gsize) n;
  if (*done == length)
    {
      g_mutex_lock (&self->lock);
      g_bytes_unref (g_queue_pop_head (&self->out));
      g_mutex_unlock (&self->lock);
      *done = 0;
    }
  return TRUE;
}

static void
talk (IngEngineLink *self, GError **error)
{
  g_autoptr (GByteArray) in = g_byte_array_new ();
  gsize done = 0;
  for (;;)
    {
      g_mutex_lock (&self->lock);
      gboolean writing = !g_queue_is_empty (&self->out);
      gboolean closing = self->closing;
      g_mutex_unlock (&self->lock);
      if (closing && !writing)
        return;
      struct pollfd fds[2] = {
        { .fd = self->fd, .events = (short) (POLLIN | (writing ? POLLOUT : 0)) },
        { .fd = self->wake_fd, .events = POLLIN },
      };
      /* A shutdown that the engine does not take off the socket is not waited for. */
      int ready = poll (fds, 2, closing ? 200 : -1);
      if (ready == 0 || (ready < 0 && errno != EINTR))
        return;
      guint64 count;
      if (fds[1].revents != 0 && read (self->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        return;
      if ((fds[0].revents & POLLOUT) != 0 && !write_some (self, &done, error))
        return;
      if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !read_some (self, in, error))
        return;
    }
}

static gpointer
link_thread (gpointer data)
{
  g_autoptr (IngEngineLink) self = data;
  g_autoptr (GError) error = NULL;
  talk (self, &error);
  shutdown (self->fd, SHUT_RDWR); /* the engine sees the end */

  g_mutex_lock (&self->lock);
  gboolean closing = self->closing;
  if (!closing)
    self->lost_error = error != NULL ? g_steal_pointer (&error)
                                     : g_error_new_literal (ING_ERROR, ING_ERROR_ENGINE_LOST,
                                                            "the connection broke");
  if (!closing)
    g_source_set_ready_time (self->source, 0);
  g_mutex_unlock (&self->lock);
  ing_engine_process_finish (g_steal_pointer (&self->process), CHILD_GRACE_MS);

  g_mutex_lock (&running_lock);
  n_running--;
  g_cond_broadcast (&running_cond);
  g_mutex_unlock (&running_lock);
  return NULL;
}

IngEngineLink *
ing_engine_link_new (const IngEngineLaunch *launch, const IngEngineLinkHandler *handler,
                     gpointer data, GError **error)
{
  g_autoptr (IngEngineLink) self = g_object_new (ING_TYPE_ENGINE_LINK, NULL);
  self->handler = *handler;
  self->handler_data = data;
  self->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->wake_fd < 0)
    {
      g_propagate_error (error, ing_error_from_system (errno, NULL, "eventfd"));
      return NULL;
    }
  self->process = ing_engine_process_start (launch, &self->fd, error);
  if (self->process == NULL)
    return NULL;
  self->pid = ing_engine_process_get_pid (self->process);
  self->source = g_source_new (&source_funcs, sizeof (LinkSource));
  ((LinkSource *) self->source)->link = self;
  g_source_set_static_name (self->source, "engine link");
  g_source_attach (self->source, g_main_context_get_thread_default ());

  g_mutex_lock (&running_lock);
  n_running++;
  g_mutex_unlock (&running_lock);
  g_thread_unref (g_thread_new ("ing-link", link_thread, g_object_ref (self)));
  return g_steal_pointer (&self);
}
