/* SPDX-License-Identifier: Apache-2.0 */
/* The service: frames in and out, the list of requests, and its two threads. What a request does is in
 * eng-serve-requests.c and eng-serve-generate.c. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "eng-serve-private.h"

uint64_t
eng_service_now_us (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000000u + (uint64_t) t.tv_nsec / 1000u;
}

/* --- writing: engine thread --- */

static bool
write_all (int fd, const void *data, size_t n)
{
  const char *at = data;
  while (n > 0)
    {
      ssize_t sent = send (fd, at, n, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR)
        continue;
      if (sent <= 0)
        return false;
      at += sent;
      n -= (size_t) sent;
    }
  return true;
}

void
eng_service_send_bytes (EngService *s, const EngRequest *request, EngWireType type,
                        const void *payload, size_t n_bytes)
{
  uint8_t bytes[ENG_WIRE_HEADER_BYTES];
  const EngWireHeader header
      = { .type = (uint16_t) type, .id = request->id, .length = (uint32_t) n_bytes };
  if (s->write_failed || n_bytes > ENG_WIRE_MAX_PAYLOAD)
    return;
  eng_wire_encode_header (&header, bytes);
  if (write_all (s->fd, bytes, sizeof bytes) && write_all (s->fd, payload, n_bytes))
    return;
  s->write_failed = true;
  /* The reader wakes up and ends the connection. */
  shutdown (s->fd, SHUT_RDWR);
}

EngJsonWriter
eng_service_begin (EngService *s)
{
  eng_buffer_reset (&s->frame);
  EngJsonWriter w = { .out = &s->frame, .compact = true };
  eng_json_write_begin_object (&w);
  return w;
}

void
eng_service_send (EngService *s, const EngRequest *request, EngWireType type, EngJsonWriter *w)
{
  eng_json_write_end_object (w);
  if (s->frame.failed)
    {
      /* Too little memory even for words: one that needs none. */
      static const char text[] = "{\"code\":2,\"status\":\"no-memory\",\"text\":\"no memory\"}";
      eng_service_send_bytes (s, request, ENG_WIRE_FAILED, text, sizeof text - 1);
      return;
    }
  eng_service_send_bytes (s, request, type, s->frame.data, s->frame.n_bytes);
}

void
eng_service_send_failed (EngService *s, const EngRequest *request, const EngError *error)
{
  EngJsonWriter w = eng_service_begin (s);
  eng_json_write_member_int64 (&w, "code", error->code);
  eng_json_write_member_string (&w, "status", eng_status_name (error->code));
  eng_json_write_member_string (&w, "text", error->text);
  eng_json_write_member_string (&w, "field", error->field);
  if (error->offset != ENG_OFFSET_NONE)
    eng_json_write_member_int64 (&w, "offset", (int64_t) error->offset);
  if (error->line)
    eng_json_write_member_int64 (&w, "line", error->line);
  if (error->needed || error->available)
    {
      eng_json_write_key (&w, "needed");
      eng_json_write_uint64 (&w, error->needed);
      eng_json_write_key (&w, "available");
      eng_json_write_uint64 (&w, error->available);
    }
  eng_service_send (s, request, ENG_WIRE_FAILED, &w);
}

void
eng_service_send_progress (EngService *s, const EngRequest *request, const char *stage,
                           uint64_t done, uint64_t total, uint64_t *last_us)
{
  uint64_t now = eng_service_now_us ();
  if (*last_us && now - *last_us < 50000 && done < total)
    return;
  *last_us = now;
  EngJsonWriter w = eng_service_begin (s);
  eng_json_write_member_string (&w, "stage", stage);
  eng_json_write_member_int64 (&w, "done", (int64_t) done);
  eng_json_write_member_int64 (&w, "total", (int64_t) total);
  eng_service_send (s, request, ENG_WIRE_PROGRESS, &w);
}

/* --- the list of requests --- */

static void
free_request (EngRequest *request)
{
  eng_arena_clear (&request->arena);
  eng_free (request);
}

EngRequest *
eng_service_take (EngService *s, EngPriority below, bool wait)
{
  pthread_mutex_lock (&s->lock);
  EngRequest *best;
  for (;;)
    {
      best = NULL;
      for (EngRequest *r = s->requests; r && !s->is_closing; r = r->next)
        if (!r->is_running && r->priority < below && (!best || r->priority < best->priority))
          best = r;
      if (best || !wait || s->is_closing)
        break;
      pthread_cond_wait (&s->changed, &s->lock);
    }
  if (best)
    {
      best->is_running = true;
      s->waiting_bytes -= best->n_bytes;
    }
  pthread_mutex_unlock (&s->lock);
  return best;
}

void
eng_service_drop (EngService *s, EngRequest *request)
{
  pthread_mutex_lock (&s->lock);
  EngRequest **at = &s->requests;
  while (*at != request)
    at = &(*at)->next;
  *at = request->next;
  s->n_requests--;
  pthread_mutex_unlock (&s->lock);
  free_request (request);
}

/* --- reading: reader thread --- */

/* 1: all read; 0: the other end closed before the first byte; -1: it failed or closed in between. */
static int
read_all (int fd, void *data, size_t n)
{
  char *at = data;
  size_t got = 0;
  while (got < n)
    {
      ssize_t k = recv (fd, at + got, n - got, 0);
      if (k < 0 && errno == EINTR)
        continue;
      if (k <= 0)
        return k == 0 && got == 0 ? 0 : -1;
      got += (size_t) k;
    }
  return 1;
}

/* The payload grows as it comes: a header alone takes no memory. */
static EngStatus
read_payload (EngService *s, uint32_t length, EngBuffer *payload, EngError *error)
{
  char block[16384];
  while (length > 0)
    {
      size_t n = length < sizeof block ? length : sizeof block;
      if (read_all (s->fd, block, n) != 1)
        return eng_error_set (error, ENG_ERR_IO, NULL, ENG_OFFSET_NONE,
                              "the connection ended within a frame");
      if (!eng_buffer_append (payload, block, n))
        return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                              "no memory for a frame");
      length -= (uint32_t) n;
    }
  return ENG_OK;
}

static EngPriority
priority_of (EngWireType type, const EngJson *payload)
{
  if (type == ENG_WIRE_EMBED)
    return eng_json_is_string (eng_json_get (payload, "priority"), "index") ? ENG_PRIORITY_INDEX
                                                                             : ENG_PRIORITY_QUESTION;
  if (type == ENG_WIRE_INSPECT)
    return ENG_PRIORITY_LOOK;
  return type == ENG_WIRE_SCORE ? ENG_PRIORITY_QUESTION : ENG_PRIORITY_ANSWER;
}

static void
cancel (EngRequest *r)
{
  atomic_store (&r->cancel, 1);
  atomic_store (&r->yield, 1);
}

static void
cancel_request (EngService *s, const EngJson *payload)
{
  int64_t target;
  if (!eng_json_get_int64 (payload, "target", &target))
    return;
  pthread_mutex_lock (&s->lock);
  for (EngRequest *r = s->requests; r; r = r->next)
    if (r->id == target)
      cancel (r);
  pthread_mutex_unlock (&s->lock);
}

/* Put @request at the end of the list. */
static EngStatus
enqueue (EngService *s, EngRequest *request, EngError *error)
{
  EngStatus status = ENG_OK;
  pthread_mutex_lock (&s->lock);
  EngRequest **at = &s->requests;
  while (*at && (*at)->id != request->id)
    at = &(*at)->next;
  if (*at)
    status = eng_error_set (error, ENG_ERR_FORMAT, "id", ENG_OFFSET_NONE,
                            "request %u is still at work", request->id);
  else if (s->n_requests == ENG_SERVE_MAX_REQUESTS
           || s->waiting_bytes + request->n_bytes > ENG_SERVE_MAX_WAITING_BYTES)
    status = eng_error_set (error, ENG_ERR_LIMIT, NULL, ENG_OFFSET_NONE,
                            "more than %u requests or %zu bytes are waiting",
                            ENG_SERVE_MAX_REQUESTS, ENG_SERVE_MAX_WAITING_BYTES);
  else
    {
      for (EngRequest *r = s->requests; r; r = r->next)
        if (r->is_running && r->priority > request->priority)
          atomic_store (&r->yield, 1);
      *at = request;
      s->n_requests++;
      s->waiting_bytes += request->n_bytes;
      pthread_cond_signal (&s->changed);
    }
  pthread_mutex_unlock (&s->lock);
  return status;
}

/* One frame. ENG_OK: go on; *ended: the connection ended as it should. */
static EngStatus
read_frame (EngService *s, bool *ended, EngError *error)
{
  uint8_t bytes[ENG_WIRE_HEADER_BYTES];
  EngWireHeader header;
  int got = read_all (s->fd, bytes, sizeof bytes);
  *ended = got == 0;
  if (got == 0)
    return ENG_OK;
  if (got < 0)
    return eng_error_set (error, ENG_ERR_IO, NULL, ENG_OFFSET_NONE,
                          "the connection ended within a frame");
  if (!eng_wire_decode_header (bytes, &header) || header.type == 0
      || header.type >= ENG_WIRE_PROGRESS)
    return eng_error_set (error, ENG_ERR_FORMAT, "header", ENG_OFFSET_NONE, "a bad frame");
  EngRequest *request = eng_alloc (sizeof *request);
  if (!request)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory for a frame");
  EngBuffer payload = { 0 };
  EngStatus status = read_payload (s, header.length, &payload, error);
  request->arena.limit_bytes = ENG_SERVE_MAX_PARSED_BYTES;
  if (status == ENG_OK)
    status = eng_json_parse (payload.data ? payload.data : "", payload.n_bytes, 0, &request->arena,
                             &request->payload, error);
  if (status == ENG_OK && request->payload->type != ENG_JSON_OBJECT)
    status = eng_error_set (error, ENG_ERR_FORMAT, "payload", ENG_OFFSET_NONE,
                            "a payload that is no object");
  eng_buffer_clear (&payload);
  request->id = header.id;
  request->type = (EngWireType) header.type;
  request->n_bytes = header.length;
  bool is_kept = false;
  if (status == ENG_OK && header.type == ENG_WIRE_CANCEL)
    cancel_request (s, request->payload);
  else if (status == ENG_OK && header.type == ENG_WIRE_SHUTDOWN)
    *ended = true;
  else if (status == ENG_OK)
    {
      request->priority = priority_of (request->type, request->payload);
      status = enqueue (s, request, error);
      is_kept = status == ENG_OK;
    }
  if (!is_kept)
    free_request (request);
  return status;
}

static void *
reader_main (void *data)
{
  EngService *s = data;
  EngError error = { .offset = ENG_OFFSET_NONE };
  EngStatus status = ENG_OK;
  bool ended = false;
  while (status == ENG_OK && !ended)
    status = read_frame (s, &ended, &error);
  pthread_mutex_lock (&s->lock);
  s->is_closing = true;
  s->end_status = status;
  s->end_error = error;
  for (EngRequest *r = s->requests; r; r = r->next)
    cancel (r);
  pthread_cond_signal (&s->changed);
  pthread_mutex_unlock (&s->lock);
  /* The engine may be writing to somebody who does not read. */
  shutdown (s->fd, SHUT_RDWR);
  return NULL;
}

/* --- life --- */

static void
free_service (EngService *s)
{
  while (s->requests)
    eng_service_drop (s, s->requests);
  eng_session_free (&s->chat);
  eng_session_free (&s->embedder);
  eng_runtime_free (&s->runtime);
  eng_free (s->chat_key);
  eng_free (s->embedder_key);
  eng_buffer_clear (&s->frame);
  pthread_mutex_destroy (&s->lock);
  pthread_cond_destroy (&s->changed);
  close (s->fd);
  eng_free (s);
}

EngStatus
eng_serve (int fd, EngError *error)
{
  EngService *s = eng_alloc (sizeof *s);
  if (!s)
    {
      close (fd);
      return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
    }
  s->fd = fd;
  pthread_mutex_init (&s->lock, NULL);
  pthread_cond_init (&s->changed, NULL);
  EngStatus status = eng_runtime_new (&s->runtime, error);
  pthread_t reader;
  if (status == ENG_OK && pthread_create (&reader, NULL, reader_main, s) != 0)
    status = eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                            "no thread for the connection");
  if (status != ENG_OK)
    {
      free_service (s);
      return status;
    }
  EngRequest *request;
  while ((request = eng_service_take (s, ENG_PRIORITY_INDEX + 1, true)))
    eng_service_handle (s, request);
  pthread_join (reader, NULL);
  status = s->end_status;
  if (status != ENG_OK && error)
    *error = s->end_error;
  free_service (s);
  return status;
}

bool
eng_serve_has_module (void)
{
  return eng_device_list_has_module ();
}
