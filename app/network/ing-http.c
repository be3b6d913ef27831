/* SPDX-License-Identifier: Apache-2.0 */
/* Over libsoup 3. Ranges and their answers: RFC 9110 §13, §14. */
#include "ing-http.h"

#include <libsoup/soup.h>
#include <string.h>

#include "config-app.h"
#include "ing-offline.h"

#define OLD_TLS "ing-old-tls"
#define MAX_REDIRECTIONS 10

guint ing_http_silence_s = 30;
const char *ing_http_authorities;

struct _IngHttp
{
  SoupSession *session;
  gboolean own_proxy;
};

IngHttp *
ing_http_new (const char *proxy)
{
  IngHttp *http = g_new0 (IngHttp, 1);
  http->session
      = soup_session_new_with_options ("timeout", ing_http_silence_s, "idle-timeout", ing_http_silence_s,
                                       "user-agent", "inglenook/" ING_VERSION, NULL);
  if (ing_http_authorities != NULL)
    {
      g_autoptr (GTlsDatabase) database = g_tls_file_database_new (ing_http_authorities, NULL);
      soup_session_set_tls_database (http->session, database);
    }
  soup_session_remove_feature_by_type (http->session, SOUP_TYPE_CONTENT_DECODER);
  soup_session_remove_feature_by_type (http->session, SOUP_TYPE_AUTH_MANAGER);
  if (proxy != NULL && *proxy != '\0')
    {
      g_autoptr (GProxyResolver) resolver = g_simple_proxy_resolver_new (proxy, NULL);
      soup_session_set_proxy_resolver (http->session, resolver);
      http->own_proxy = TRUE;
    }
  return http;
}

void
ing_http_free (IngHttp *http)
{
  if (http == NULL)
    return;
  soup_session_abort (http->session);
  g_object_unref (http->session);
  g_free (http);
}

void
ing_http_reply_free (IngHttpReply *reply)
{
  if (reply == NULL)
    return;
  g_clear_object (&reply->body);
  g_free (reply->uri);
  g_free (reply->etag);
  g_free (reply->last_modified);
  g_free (reply->content_type);
  g_free (reply);
}

/* ------------------------------------------------------------------ whom to trust */

gboolean
ing_http_address_is_private (GInetAddress *address)
{
  const guint8 *b = g_inet_address_to_bytes (address);
  if (g_inet_address_get_is_loopback (address) || g_inet_address_get_is_any (address)
      || g_inet_address_get_is_link_local (address) || g_inet_address_get_is_site_local (address))
    return TRUE;
  if (g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV4)
    return b[0] == 0 || (b[0] == 100 && (b[1] & 0xc0) == 64);
  static const guint8 mapped[12] = { [10] = 0xff, [11] = 0xff };
  if (memcmp (b, mapped, sizeof mapped) == 0)
    {
      g_autoptr (GInetAddress) inner = g_inet_address_new_from_bytes (b + 12, G_SOCKET_FAMILY_IPV4);
      return ing_http_address_is_private (inner);
    }
  return (b[0] & 0xfe) == 0xfc;
}

/* Any of its addresses private counts. A name that does not resolve is none (behind a proxy that is usual). */
static gboolean
host_is_private (const char *host, GCancellable *cancellable)
{
  g_autoptr (GInetAddress) literal = g_inet_address_new_from_string (host);
  if (literal != NULL)
    return ing_http_address_is_private (literal);
  if (g_ascii_strcasecmp (host, "localhost") == 0 || g_str_has_suffix (host, ".localhost"))
    return TRUE;
  g_autoptr (GResolver) resolver = g_resolver_get_default ();
  GList *found = g_resolver_lookup_by_name (resolver, host, cancellable, NULL);
  gboolean is_private = FALSE;
  for (GList *at = found; at != NULL; at = at->next)
    is_private = is_private || ing_http_address_is_private (at->data);
  g_resolver_free_addresses (found);
  return is_private;
}

static gboolean
scheme_is (GUri *uri, const char *scheme)
{
  return strcmp (g_uri_get_scheme (uri), scheme) == 0;
}

const char *
ing_http_judge_redirection (GUri *from, GUri *to, gboolean from_private, gboolean to_private)
{
  const char *host = g_uri_get_host (to);
  if (!scheme_is (to, "https") && !scheme_is (to, "http"))
    return "it leads to another scheme than http";
  if (host == NULL || *host == '\0')
    return "it leads to no host";
  if (scheme_is (from, "https") && !scheme_is (to, "https"))
    return "it leads from https to http";
  if (to_private && !from_private)
    return "it leads to an address of the own machine or network";
  if (!to_private && !scheme_is (to, "https"))
    return "it leads to a public host without encryption";
  return NULL;
}

static GUri *
parse_uri (const char *text, GError **error)
{
  GUri *uri = text != NULL ? g_uri_parse (text, SOUP_HTTP_URI_FLAGS, NULL) : NULL;
  if (uri != NULL && (scheme_is (uri, "https") || scheme_is (uri, "http"))
      && g_uri_get_host (uri) != NULL && *g_uri_get_host (uri) != '\0')
    return uri;
  g_clear_pointer (&uri, g_uri_unref);
  g_propagate_error (error, ing_error_new (ING_ERROR_ARGUMENT, NULL, 0, 0,
                                           "“%s” is not a web address", text != NULL ? text : ""));
  return NULL;
}

/* ------------------------------------------------------------------ reading heads */

static gboolean
read_number (const char **at, guint64 *value)
{
  char *end = NULL;
  if (!g_ascii_isdigit (**at))
    return FALSE;
  errno = 0;
  *value = g_ascii_strtoull (*at, &end, 10);
  *at = end;
  return errno == 0 && *value < (G_MAXUINT64 >> 1);
}

gboolean
ing_http_parse_content_range (const char *text, guint64 *start, guint64 *end, guint64 *total)
{
  guint64 last;
  const char *at = text;
  *start = *end = *total = ING_HTTP_UNKNOWN;
  if (at == NULL || g_ascii_strncasecmp (at, "bytes ", 6) != 0)
    return FALSE;
  at += 6;
  while (*at == ' ')
    at++;
  if (g_str_has_prefix (at, "*/"))
    {
      at += 2;
      return read_number (&at, total) && *at == '\0';
    }
  if (!read_number (&at, start) || *at++ != '-' || !read_number (&at, &last) || *at++ != '/')
    return FALSE;
  if (strcmp (at, "*") != 0 && (!read_number (&at, total) || *at != '\0'))
    return FALSE;
  *end = last + 1;
  return last >= *start && (*total == ING_HTTP_UNKNOWN || last < *total);
}

static guint64
read_length (SoupMessageHeaders *heads)
{
  guint64 value;
  const char *text = soup_message_headers_get_one (heads, "Content-Length");
  if (text == NULL || soup_message_headers_get_encoding (heads) != SOUP_ENCODING_CONTENT_LENGTH)
    return ING_HTTP_UNKNOWN;
  return read_number (&text, &value) && *text == '\0' ? value : ING_HTTP_UNKNOWN;
}

static void
read_heads (SoupMessage *message, IngHttpReply *reply)
{
  SoupMessageHeaders *heads = soup_message_get_response_headers (message);
  const char *etag = soup_message_headers_get_one (heads, "ETag");
  const char *retry = soup_message_headers_get_one (heads, "Retry-After");
  const char *type = soup_message_headers_get_content_type (heads, NULL);
  g_autofree char *uri = g_uri_to_string_partial (soup_message_get_uri (message), G_URI_HIDE_AUTH_PARAMS);
  reply->status = soup_message_get_status (message);
  reply->uri = g_steal_pointer (&uri);
  reply->etag = etag != NULL && etag[0] == '"' && strlen (etag) < 512 ? g_strdup (etag) : NULL;
  reply->last_modified = g_strdup (soup_message_headers_get_one (heads, "Last-Modified"));
  reply->content_type = type != NULL ? g_ascii_strdown (type, -1) : NULL;
  reply->retry_after_s = retry != NULL ? (guint) CLAMP (g_ascii_strtoll (retry, NULL, 10), 0, 3600) : 0;
  reply->length = read_length (heads);
  reply->start = reply->end = reply->total = ING_HTTP_UNKNOWN;
  if (reply->status == SOUP_STATUS_OK)
    reply->total = reply->length;
  else if (!ing_http_parse_content_range (soup_message_headers_get_one (heads, "Content-Range"), &reply->start,
                                          &reply->end, &reply->total))
    reply->start = reply->end = reply->total = ING_HTTP_UNKNOWN;
}

/* ------------------------------------------------------------------ sending */

static GError *
translate (const GError *from, const char *host)
{
  IngErrorCode code = ING_ERROR_NETWORK;
  if (g_error_matches (from, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return g_error_copy (from);
  if (from->domain == G_TLS_ERROR && from->code != G_TLS_ERROR_EOF && from->code != G_TLS_ERROR_MISC)
    code = ING_ERROR_NOT_TRUSTED;
  else if (from->domain == G_TLS_ERROR && from->code == G_TLS_ERROR_MISC)
    code = ING_ERROR_NOT_TRUSTED;
  else if (ing_offline_is_on ())
    code = ING_ERROR_OFFLINE;
  return ing_error_new (code, host, 0, 0, "%s: %s", host, from->message);
}

/* Before anything is sent: GnuTLS may be set up to take TLS 1.0 and 1.1 (RFC 8996 forbids both). */
static void
on_network_event (SoupMessage *message, GSocketClientEvent event, GIOStream *stream, gpointer data)
{
  if (event != G_SOCKET_CLIENT_TLS_HANDSHAKED || !G_IS_TLS_CONNECTION (stream))
    return;
  switch (g_tls_connection_get_protocol_version (G_TLS_CONNECTION (stream)))
    {
    case G_TLS_PROTOCOL_VERSION_SSL_3_0:
    case G_TLS_PROTOCOL_VERSION_TLS_1_0:
    case G_TLS_PROTOCOL_VERSION_TLS_1_1:
      g_object_set_data (G_OBJECT (message), OLD_TLS, message);
      g_io_stream_close (stream, NULL, NULL);
      break;
    default:
      break;
    }
}

static SoupMessage *
new_message (const IngHttpRequest *request, GUri *uri, gboolean with_token)
{
  SoupMessage *message = soup_message_new_from_uri (SOUP_METHOD_GET, uri);
  SoupMessageHeaders *heads = soup_message_get_request_headers (message);
  g_signal_connect (message, "network-event", G_CALLBACK (on_network_event), NULL);
  soup_message_add_flags (message, SOUP_MESSAGE_NO_REDIRECT);
  soup_message_headers_replace (heads, "Accept-Encoding", "identity");
  if (request->ranged)
    {
      g_autofree char *range
          = request->end == ING_HTTP_UNKNOWN
                ? g_strdup_printf ("bytes=%" G_GUINT64_FORMAT "-", request->start)
                : g_strdup_printf ("bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, request->start,
                                   request->end - 1);
      soup_message_headers_replace (heads, "Range", range);
      if (request->if_range != NULL)
        soup_message_headers_replace (heads, "If-Range", request->if_range);
    }
  if (with_token)
    {
      g_autofree char *bearer = g_strconcat ("Bearer ", request->token, NULL);
      soup_message_headers_replace (heads, "Authorization", bearer);
    }
  return message;
}

static GError *
not_trusted (const char *host, const char *why)
{
  return ing_error_new (ING_ERROR_NOT_TRUSTED, host, 0, 0, "%s: %s", host, why);
}

/* The next address of a redirection, or NULL with @error. */
static GUri *
follow (GUri *first, GUri *from, SoupMessage *message, gboolean first_private, GCancellable *cancellable,
        GError **error)
{
  const char *place = soup_message_headers_get_one (soup_message_get_response_headers (message), "Location");
  g_autoptr (GUri) to = place != NULL ? g_uri_parse_relative (from, place, SOUP_HTTP_URI_FLAGS, NULL) : NULL;
  const char *why = to == NULL ? "its redirection leads nowhere" : NULL;
  if (why == NULL)
    {
      const char *host = g_uri_get_host (to);
      gboolean to_private = host != NULL && *host != '\0'
                            && (g_strcmp0 (host, g_uri_get_host (first)) == 0
                                    ? first_private
                                    : host_is_private (host, cancellable));
      why = ing_http_judge_redirection (from, to, first_private, to_private);
    }
  if (why == NULL)
    return g_steal_pointer (&to);
  g_propagate_error (error, not_trusted (g_uri_get_host (from), why));
  return NULL;
}

static gboolean
is_redirection (guint status)
{
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static gboolean
same_origin (GUri *a, GUri *b)
{
  return g_strcmp0 (g_uri_get_host (a), g_uri_get_host (b)) == 0 && g_uri_get_port (a) == g_uri_get_port (b)
         && strcmp (g_uri_get_scheme (a), g_uri_get_scheme (b)) == 0;
}

IngHttpReply *
ing_http_send (IngHttp *http, const IngHttpRequest *request, GCancellable *cancellable, GError **error)
{
  if (ing_offline_is_on ())
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_OFFLINE, NULL, 0, 0, "strict offline is on"));
      return NULL;
    }
  g_autoptr (GUri) first = parse_uri (request->uri, error);
  if (first == NULL)
    return NULL;
  gboolean first_private = host_is_private (g_uri_get_host (first), cancellable);
  if (!first_private && !scheme_is (first, "https"))
    {
      g_propagate_error (error, not_trusted (g_uri_get_host (first), "its address does not begin with https"));
      return NULL;
    }
  g_autoptr (GUri) at = g_uri_ref (first);
  for (int i = 0; i <= MAX_REDIRECTIONS; i++)
    {
      g_autoptr (GError) local = NULL;
      gboolean with_token = request->token != NULL && same_origin (first, at);
      g_autoptr (SoupMessage) message = new_message (request, at, with_token);
      g_autoptr (GInputStream) body = soup_session_send (http->session, message, cancellable, &local);
      if (body == NULL)
        {
          const char *host = g_uri_get_host (at);
          g_propagate_error (error, g_object_get_data (G_OBJECT (message), OLD_TLS) != NULL
                                        ? not_trusted (host, "its encryption is older than TLS 1.2")
                                        : translate (local, host));
          return NULL;
        }
      guint status = soup_message_get_status (message);
      if (!is_redirection (status))
        {
          const char *coding
              = soup_message_headers_get_one (soup_message_get_response_headers (message), "Content-Encoding");
          if (coding != NULL && g_ascii_strcasecmp (coding, "identity") != 0 && status / 100 == 2)
            {
              g_propagate_error (error, ing_error_new (ING_ERROR_SERVER, g_uri_get_host (at), 0, 0,
                                                       "the body is encoded (%s), which was not asked for",
                                                       coding));
              return NULL;
            }
          IngHttpReply *reply = g_new0 (IngHttpReply, 1);
          read_heads (message, reply);
          reply->body = g_steal_pointer (&body);
          return reply;
        }
      GUri *next = follow (first, at, message, first_private, cancellable, error);
      if (next == NULL)
        return NULL;
      g_uri_unref (at);
      at = next;
    }
  g_propagate_error (error, not_trusted (g_uri_get_host (first), "it redirects without an end"));
  return NULL;
}

/* ------------------------------------------------------------------ what a status means */

gboolean
ing_http_status_is_passing (guint status)
{
  return status == 408 || status == 425 || status == 429 || status >= 500;
}

GError *
ing_http_reply_error (const IngHttpReply *reply, const char *uri, const char *page)
{
  if (reply->status == 200 || reply->status == 206)
    return NULL;
  if (reply->status == 401 || reply->status == 403)
    return ing_error_new (ING_ERROR_GATED, page != NULL ? page : uri, 0, 0, "status %u", reply->status);
  if (reply->status == 404 || reply->status == 410)
    return ing_error_new (ING_ERROR_NOT_FOUND, uri, 0, 0, "status %u", reply->status);
  return ing_error_new (ing_http_status_is_passing (reply->status) ? ING_ERROR_NETWORK : ING_ERROR_SERVER, NULL, 0,
                        0, "status %u of %s", reply->status, uri);
}

GBytes *
ing_http_fetch (IngHttp *http, const char *uri, const char *token, const char *page, gsize max_bytes,
                GCancellable *cancellable, GError **error)
{
  IngHttpRequest request = { .uri = uri, .token = token };
  g_autoptr (IngHttpReply) reply = ing_http_send (http, &request, cancellable, error);
  if (reply == NULL)
    return NULL;
  GError *refused = ing_http_reply_error (reply, uri, page);
  if (refused != NULL)
    {
      g_propagate_error (error, refused);
      return NULL;
    }
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  for (;;)
    {
      guint8 buffer[16384];
      g_autoptr (GError) local = NULL;
      gssize n = g_input_stream_read (reply->body, buffer, sizeof buffer, cancellable, &local);
      if (n < 0)
        {
          g_propagate_error (error, translate (local, uri));
          return NULL;
        }
      if (n == 0)
        return g_byte_array_free_to_bytes (g_steal_pointer (&bytes));
      if (bytes->len + (gsize) n > max_bytes)
        {
          g_propagate_error (error, ing_error_new (ING_ERROR_LIMIT, NULL, 0, max_bytes,
                                                   "the answer is longer than %" G_GSIZE_FORMAT " bytes",
                                                   max_bytes));
          return NULL;
        }
      g_byte_array_append (bytes, buffer, (guint) n);
    }
}
