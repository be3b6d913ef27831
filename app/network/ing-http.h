/* SPDX-License-Identifier: Apache-2.0 */
/* The one HTTP client. Everything blocks and belongs on worker threads; an IngHttp is one thread's.
 *
 * What every request gets: certificates checked and TLS 1.2 at least, no way round it; no content encoding (bytes
 * are hashed as they are); 30 s without a byte end it; redirections are followed by hand, ten at most, never from
 * https to http, never to another scheme, never from a public host to an address of the own machine or network (RFC
 * 1918, 4193, 3927, 6598), and never carry the token to another host. Plain http is for hosts of the own machine or network.
 *
 * Errors: ING_ERROR_OFFLINE, _NETWORK (worth trying again), _NOT_TRUSTED, _SERVER, _ARGUMENT (not an address);
 * G_IO_ERROR_CANCELLED. */
#pragma once

#include <gio/gio.h>

#include "ing-error-private.h"

#define ING_HTTP_UNKNOWN G_MAXUINT64
#define ING_HTTP_MAX_METADATA (4u * 1024 * 1024)

/* Seconds without a byte that end a request; tests have less. */
extern guint ing_http_silence_s;

/* A file of certificates that are trusted in place of the system's; NULL but in tests. */
extern const char *ing_http_authorities;

typedef struct _IngHttp IngHttp;

/* @proxy: "http://…", "socks5://…" or NULL = as the desktop says. */
IngHttp *ing_http_new (const char *proxy);
void ing_http_free (IngHttp *http);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngHttp, ing_http_free)

typedef struct
{
  const char *uri;
  gboolean ranged;      /* ask for [start, end) */
  guint64 start, end;   /* end ING_HTTP_UNKNOWN = to the end */
  const char *if_range; /* a strong ETag, or a date; NULL */
  const char *token;    /* for the first host only; NULL */
} IngHttpRequest;

typedef struct
{
  guint status;
  char *uri;           /* where it came from in the end */
  char *etag;          /* strong ones only; NULL */
  char *last_modified; /* NULL */
  char *content_type;  /* lower case, without parameters; NULL */
  guint64 length;      /* of this body; ING_HTTP_UNKNOWN */
  guint64 start, end;  /* 206: what Content-Range says; start ING_HTTP_UNKNOWN = nothing that can be used */
  guint64 total;       /* of the file, from Content-Range of 206 and 416 or the length of 200; ING_HTTP_UNKNOWN */
  guint retry_after_s; /* 0 = none */
  GInputStream *body;
} IngHttpReply;

/* Any status that is no redirection is a reply. */
IngHttpReply *ing_http_send (IngHttp *http, const IngHttpRequest *request, GCancellable *cancellable,
                             GError **error);
void ing_http_reply_free (IngHttpReply *reply);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngHttpReply, ing_http_reply_free)

/* The error that the status of a reply to @uri means, NULL for 200 and 206. @page: where a person could ask for
 * leave (401, 403); NULL. */
GError *ing_http_reply_error (const IngHttpReply *reply, const char *uri, const char *page);
/* TRUE for those worth trying again: 408, 425, 429, 5xx. */
gboolean ing_http_status_is_passing (guint status);

/* A whole small body; ING_ERROR_LIMIT beyond @max_bytes. */
GBytes *ing_http_fetch (IngHttp *http, const char *uri, const char *token, const char *page, gsize max_bytes,
                        GCancellable *cancellable, GError **error);

/* --- the rules, for tests --- */

/* A loopback, private, link-local, shared or unspecified address. */
gboolean ing_http_address_is_private (GInetAddress *address);
/* NULL = allowed, else why not. @from_private: the first host is of the own machine or network. @to_private likewise. */
const char *ing_http_judge_redirection (GUri *from, GUri *to, gboolean from_private, gboolean to_private);
/* "bytes 5-9/10" → 5, 10, 10; FALSE if it breaks RFC 9110 §14.4. "bytes *" slash "10" → UNKNOWN, UNKNOWN, 10. */
gboolean ing_http_parse_content_range (const char *text, guint64 *start, guint64 *end, guint64 *total);
