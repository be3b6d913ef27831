/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-token.h"

#include <libsecret/secret.h>
#include <string.h>

#include "ing-error-private.h"

#define MAX_BYTES 1024

static GMutex lock;
static GHashTable *session; /* host → token; "" = known to be none */

static const SecretSchema *
schema (void)
{
  static const SecretSchema value = {
    .name = ING_APP_ID ".Token",
    .flags = SECRET_SCHEMA_NONE,
    .attributes = { { "host", SECRET_SCHEMA_ATTRIBUTE_STRING } },
  };
  return &value;
}

void
ing_token_free (char *token)
{
  if (token == NULL)
    return;
  explicit_bzero (token, strlen (token));
  g_free (token);
}

static void
remember (const char *host, const char *token)
{
  g_mutex_lock (&lock);
  if (session == NULL)
    session = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) ing_token_free);
  g_hash_table_replace (session, g_strdup (host), g_strdup (token != NULL ? token : ""));
  g_mutex_unlock (&lock);
}

char *
ing_token_lookup (const char *host, GCancellable *cancellable)
{
  g_mutex_lock (&lock);
  const char *known = session != NULL ? g_hash_table_lookup (session, host) : NULL;
  char *token = known != NULL && *known != '\0' ? g_strdup (known) : NULL;
  g_mutex_unlock (&lock);
  if (known != NULL)
    return token;
  g_autoptr (GError) error = NULL;
  char *kept = secret_password_lookup_sync (schema (), cancellable, &error, "host", host, NULL);
  token = kept != NULL && *kept != '\0' && strlen (kept) <= MAX_BYTES ? g_strdup (kept) : NULL;
  secret_password_free (kept);
  if (error == NULL)
    remember (host, token);
  return token;
}

gboolean
ing_token_store (const char *host, const char *token, gboolean *kept, GCancellable *cancellable, GError **error)
{
  gsize length = token != NULL ? strlen (token) : 0;
  gboolean good = length <= MAX_BYTES;
  for (gsize i = 0; i < length; i++)
    good = good && g_ascii_isgraph (token[i]);
  if (!good)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_ARGUMENT, NULL, 0, 0,
                                               "an access token has no spaces and no other signs than ASCII"));
      return FALSE;
    }
  remember (host, token);
  g_autoptr (GError) problem = NULL;
  if (length == 0)
    {
      secret_password_clear_sync (schema (), cancellable, &problem, "host", host, NULL);
      *kept = problem == NULL;
    }
  else
    {
      g_autofree char *label = g_strdup_printf ("Inglenook: %s", host);
      *kept = secret_password_store_sync (schema (), SECRET_COLLECTION_DEFAULT, label, token, cancellable,
                                          &problem, "host", host, NULL);
    }
  return TRUE;
}
