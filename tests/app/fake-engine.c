/* SPDX-License-Identifier: Apache-2.0 */
#include "fake-engine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <json-glib/json-glib.h>

#include "eng-wire.h"

typedef struct
{
  EngWireHeader header;
  JsonObject *object;
} Frame;

typedef struct
{
  int fd;
  GQueue frames;     /* of Frame: read while something else ran */
  GHashTable *cancelled; /* ids */
  char *loaded;      /* path */
  gboolean bare;
  gboolean ended;    /* the other side closed, or asked for the end */
} Fake;

static gboolean
read_all (int fd, void *to, gsize n)
{
  guint8 *p = to;
  while (n > 0)
    {
      ssize_t got = read (fd, p, n);
      if (got <= 0)
        {
          if (got < 0 && errno == EINTR)
            continue;
          return FALSE;
        }
      p += got;
      n -= (gsize) got;
    }
  return TRUE;
}

static void
send_bytes (Fake *fake, EngWireType type, guint32 id, const void *payload, gsize length)
{
  guint8 bytes[ENG_WIRE_HEADER_BYTES];
  EngWireHeader header = { .type = (uint16_t) type, .id = id, .length = (uint32_t) length };
  eng_wire_encode_header (&header, bytes);
  if (send (fake->fd, bytes, sizeof bytes, MSG_NOSIGNAL) < 0
      || (length > 0 && send (fake->fd, payload, length, MSG_NOSIGNAL) < 0))
    fake->ended = TRUE;
}

/* @text: the JSON, taken. */
static void
answer (Fake *fake, EngWireType type, guint32 id, char *text)
{
  send_bytes (fake, type, id, text, strlen (text));
  g_free (text);
}

static void
fail (Fake *fake, guint32 id, EngStatus code, guint64 needed, guint64 available, const char *text)
{
  answer (fake, ENG_WIRE_FAILED, id,
          g_strdup_printf ("{\"code\":%d,\"status\":\"x\",\"text\":\"%s\",\"field\":\"%s\","
                           "\"offset\":77,\"line\":3,\"needed\":%" G_GUINT64_FORMAT
                           ",\"available\":%" G_GUINT64_FORMAT "}",
                           (int) code, text, code == ENG_ERR_NOT_FOUND ? "" : "a.field", needed,
                           available));
}

/* Read one frame; CANCEL and SHUTDOWN are looked at here. */
static void
take_frame (Fake *fake)
{
  guint8 bytes[ENG_WIRE_HEADER_BYTES];
  Frame *frame = g_new0 (Frame, 1);
  if (!read_all (fake->fd, bytes, sizeof bytes) || !eng_wire_decode_header (bytes, &frame->header))
    {
      fake->ended = TRUE;
      g_free (frame);
      return;
    }
  g_autofree char *text = g_malloc0 ((gsize) frame->header.length + 1);
  g_autoptr (JsonParser) parser = json_parser_new ();
  if (!read_all (fake->fd, text, frame->header.length)
      || !json_parser_load_from_data (parser, text, (gssize) frame->header.length, NULL))
    {
      fake->ended = TRUE;
      g_free (frame);
      return;
    }
  frame->object = json_object_ref (json_node_get_object (json_parser_get_root (parser)));
  if (frame->header.type == ENG_WIRE_CANCEL)
    g_hash_table_add (fake->cancelled,
                      GUINT_TO_POINTER (json_object_get_int_member (frame->object, "target")));
  else if (frame->header.type == ENG_WIRE_SHUTDOWN)
    fake->ended = TRUE;
  else
    {
      g_queue_push_tail (&fake->frames, frame);
      return;
    }
  json_object_unref (frame->object);
  g_free (frame);
}

/* Wait @ms, hearing what comes. TRUE when request @id is to go on. */
static gboolean
rest (Fake *fake, guint32 id, int ms)
{
  gint64 until = g_get_monotonic_time () + ms * 1000;
  do
    {
      struct pollfd p = { .fd = fake->fd, .events = POLLIN };
      gint64 left_us = until - g_get_monotonic_time (); /* once: MAX looks twice, and poll waits for ever at -1 */
      int left = (int) MAX (0, left_us / 1000);
      while (!fake->ended && poll (&p, 1, left) > 0)
        {
          take_frame (fake);
          left = 0;
        }
    }
  while (!fake->ended && g_get_monotonic_time () < until
         && !g_hash_table_contains (fake->cancelled, GUINT_TO_POINTER (id)));
  return !fake->ended && !g_hash_table_contains (fake->cancelled, GUINT_TO_POINTER (id));
}

static char *
describe_model (Fake *fake, const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  return g_strdup_printf ("{\"name\":\"%s\",\"architecture\":\"fake\",\"parameters\":1000,"
                          "\"file_bytes\":2000,\"type\":\"Q4_1\",\"context\":8192,"
                          "\"context_train\":8192,\"has_template\":%s,\"device\":\"CPU · fake\","
                          "\"memory\":{\"weights\":1,\"kv\":2,\"scratch\":3},\"load_us\":5}",
                          name, strstr (path, "bare") != NULL ? "false" : "true");
}

static gboolean
refuse_model (Fake *fake, guint32 id, JsonObject *object, const char *path)
{
  gboolean force = json_object_get_boolean_member_with_default (object, "force", FALSE);
  if (strstr (path, "missing") != NULL)
    fail (fake, id, ENG_ERR_NOT_FOUND, 0, 0, "no such file");
  else if (strstr (path, "large") != NULL && !force)
    fail (fake, id, ENG_ERR_TOO_LARGE, 64000000000, 8000000000, "too large");
  else
    return FALSE;
  return TRUE;
}

static void
load (Fake *fake, guint32 id, JsonObject *object)
{
  const char *path = json_object_get_string_member_with_default (object, "path", "");
  g_clear_pointer (&fake->loaded, g_free);
  if (strstr (path, "crash") != NULL)
    {
      fake->ended = TRUE;
      return;
    }
  if (refuse_model (fake, id, object, path))
    return;
  for (int i = 1; strstr (path, "slow") != NULL && i <= 20; i++)
    {
      if (!rest (fake, id, 20))
        {
          fail (fake, id, ENG_ERR_CANCELLED, 0, 0, "cancelled");
          return;
        }
      answer (fake, ENG_WIRE_PROGRESS, id,
              g_strdup_printf ("{\"stage\":\"load\",\"done\":%d,\"total\":20}", i));
    }
  fake->loaded = g_strdup (path);
  answer (fake, ENG_WIRE_DONE, id, describe_model (fake, path));
}

/* ------------------------------------------------------------------ answers */

static void
say (Fake *fake, guint32 id, const char *text, int n)
{
  g_autofree char *escaped = g_strescape (text, "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c"
      "\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2\xa3"
      "\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf\xb0\xb1\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba"
      "\xbb\xbc\xbd\xbe\xbf\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xcb\xcc\xcd\xce\xcf\xd0\xd1"
      "\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xdb\xdc\xdd\xde\xdf\xe0\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8"
      "\xe9\xea\xeb\xec\xed\xee\xef\xf0\xf1\xf2\xf3\xf4");
  answer (fake, ENG_WIRE_TOKENS, id,
          g_strdup_printf ("{\"text\":\"%s\",\"n_tokens\":%d,\"n_context\":%d,\"us\":%d}", escaped, n,
                           100 + n, n * 1000));
}

static void
done (Fake *fake, guint32 id, const char *reason, int n)
{
  answer (fake, ENG_WIRE_DONE, id,
          g_strdup_printf ("{\"stop_reason\":\"%s\",\"n_prompt\":100,\"n_cached\":40,"
                           "\"n_generated\":%d,\"n_context\":%d,\"context\":8192,"
                           "\"time_to_first_token_us\":1000,\"prefill_us\":900,\"decode_us\":%d,"
                           "\"seed\":42}",
                           reason, n, 100 + n, n * 1000));
}

static void
say_words (Fake *fake, guint32 id, int n, int ms, int first)
{
  for (int i = 1; i <= n; i++)
    {
      if (!rest (fake, id, ms))
        {
          done (fake, id, "cancel", i - 1);
          return;
        }
      g_autofree char *word = g_strdup_printf ("%sw%d", i > 1 || first > 0 ? " " : "", first + i);
      say (fake, id, word, i);
    }
  done (fake, id, "eog", n);
}

static void
say_thoughts (Fake *fake, guint32 id)
{
  static const char *const pieces[] = { "<thi", "nk>\nLet me", " think", ".\n</", "think>\n\nThe ",
                                        "answer." };
  for (guint i = 0; i < G_N_ELEMENTS (pieces); i++)
    {
      rest (fake, id, 20); /* else the application joins them */
      say (fake, id, pieces[i], (int) i + 1);
    }
  done (fake, id, "eog", G_N_ELEMENTS (pieces));
}

static const char *
last_text (JsonObject *object)
{
  if (!json_object_has_member (object, "messages"))
    return json_object_get_string_member_with_default (object, "prompt", "");
  JsonArray *messages = json_object_get_array_member (object, "messages");
  guint n = json_array_get_length (messages);
  return n > 0 ? json_object_get_string_member (json_array_get_object_element (messages, n - 1),
                                                "content")
               : "";
}

static void
generate (Fake *fake, guint32 id, JsonObject *object)
{
  const char *text = last_text (object);
  const char *paragraph = g_strrstr (text, "\n\n"); /* after failed answers questions are joined */
  text = paragraph != NULL ? paragraph + 2 : text;
  const char *so_far = json_object_get_string_member_with_default (object, "continue", "");
  int n = 0, ms = 0;
  if (fake->loaded == NULL)
    {
      fail (fake, id, ENG_ERR_NOT_FOUND, 0, 0, "no model is loaded");
      return;
    }
  answer (fake, ENG_WIRE_PROGRESS, id,
          g_strdup ("{\"stage\":\"prefill\",\"done\":50,\"total\":100}"));
  if (sscanf (text, "count %d %d", &n, &ms) >= 1)
    {
      const char *w = strrchr (so_far, 'w');
      say_words (fake, id, n, ms, w != NULL ? atoi (w + 1) : 0);
    }
  else if (g_str_has_prefix (text, "think"))
    say_thoughts (fake, id);
  else if (g_str_has_prefix (text, "die"))
    {
      say (fake, id, "one two three", 3);
      rest (fake, id, 60);
      fake->ended = TRUE;
    }
  else if (strcmp (text, "full") == 0)
    fail (fake, id, ENG_ERR_CONTEXT_FULL, 9000, 8192, "the prompt is too long");
  else if (g_str_has_prefix (text, "junk"))
    {
      if (send (fake->fd, "0123456789abcdef", 16, MSG_NOSIGNAL) < 0)
        fake->ended = TRUE;
    }
  else if (g_str_has_prefix (text, "length"))
    {
      say (fake, id, "cut of", 2);
      done (fake, id, "length", 2);
    }
  else
    {
      g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
      json_node_set_object (node, object);
      g_autofree char *json = json_to_string (node, FALSE);
      say (fake, id, json, 1);
      done (fake, id, "eog", 1);
    }
}

static void
embed (Fake *fake, guint32 id, JsonObject *object)
{
  guint32 n = json_array_get_length (json_object_get_array_member (object, "texts"));
  g_autoptr (GByteArray) out = g_byte_array_new ();
  guint32 head[2] = { n, 4 };
  gboolean cpu = g_str_equal (json_object_get_string_member_with_default (object, "device", ""), "cpu");
  const float unit[4] = { cpu ? 0 : 1, cpu ? 1 : 0, 0, (float) json_object_get_int_member_with_default (object, "threads", 0) };
  g_byte_array_append (out, (const guint8 *) head, sizeof head);
  for (guint32 i = 0; i < n; i++)
    g_byte_array_append (out, (const guint8 *) unit, sizeof unit);
  send_bytes (fake, ENG_WIRE_EMBEDDINGS, id, out->data, out->len);
}

static void
serve_frame (Fake *fake, Frame *frame)
{
  guint32 id = frame->header.id;
  JsonObject *object = frame->object;
  const char *path = json_object_get_string_member_with_default (object, "path", "");
  switch (frame->header.type)
    {
    case ENG_WIRE_HELLO:
      answer (fake, ENG_WIRE_DONE, id,
              g_strdup ("{\"version\":1,\"engine\":\"fake\",\"devices\":[{\"index\":0,\"kind\":\"cpu\","
                        "\"name\":\"Fake CPU\"}]}"));
      break;
    case ENG_WIRE_LOAD:
      load (fake, id, object);
      break;
    case ENG_WIRE_UNLOAD:
      g_clear_pointer (&fake->loaded, g_free);
      answer (fake, ENG_WIRE_DONE, id, g_strdup ("{}"));
      break;
    case ENG_WIRE_GENERATE:
      generate (fake, id, object);
      break;
    case ENG_WIRE_COUNT:
      answer (fake, ENG_WIRE_DONE, id,
              g_strdup_printf ("{\"n_tokens\":%d,\"context\":8192}", (int) strlen (last_text (object))));
      break;
    case ENG_WIRE_INSPECT:
      if (!refuse_model (fake, id, object, path))
        answer (fake, ENG_WIRE_DONE, id, describe_model (fake, path));
      break;
    case ENG_WIRE_EMBED:
      embed (fake, id, object);
      break;
    default:
      fail (fake, id, ENG_ERR_UNSUPPORTED, 0, 0, "unknown request");
    }
}

EngStatus
fake_engine_serve (int fd, EngError *error)
{
  Fake fake = { .fd = fd, .cancelled = g_hash_table_new (NULL, NULL) };
  while (!fake.ended)
    {
      Frame *frame = g_queue_pop_head (&fake.frames);
      if (frame == NULL)
        {
          take_frame (&fake);
          continue;
        }
      serve_frame (&fake, frame);
      json_object_unref (frame->object);
      g_free (frame);
    }
  Frame *frame;
  while ((frame = g_queue_pop_head (&fake.frames)) != NULL)
    {
      json_object_unref (frame->object);
      g_free (frame);
    }
  g_hash_table_unref (fake.cancelled);
  g_free (fake.loaded);
  close (fd);
  return ENG_OK;
}
