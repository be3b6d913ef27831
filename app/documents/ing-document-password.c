/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-document-password.h"

#include <string.h>

#include "ing-error.h"

static GMutex lock;
static GHashTable *passwords; /* path → password; under the lock */

void
ing_document_password_free (char *password)
{
  if (password != NULL)
    explicit_bzero (password, strlen (password));
  g_free (password);
}

static void
free_password (gpointer data)
{
  ing_document_password_free (data);
}

void
ing_document_password_set (const char *path, const char *password)
{
  gsize n = password != NULL ? strlen (password) : 0;
  if (n > ING_PASSWORD_MAX_BYTES)
    n = (gsize) (g_utf8_find_prev_char (password, password + ING_PASSWORD_MAX_BYTES + 1) - password);
  g_mutex_lock (&lock);
  if (passwords == NULL)
    passwords = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_password);
  if (n > 0)
    g_hash_table_replace (passwords, g_strdup (path), g_strndup (password, n));
  else
    g_hash_table_remove (passwords, path);
  g_mutex_unlock (&lock);
}

char *
ing_document_password_dup (const char *path)
{
  g_mutex_lock (&lock);
  char *password = passwords != NULL ? g_strdup (g_hash_table_lookup (passwords, path)) : NULL;
  g_mutex_unlock (&lock);
  return password;
}

gboolean
ing_document_password_is_wanted (const GError *error, gboolean *wrong)
{
  gboolean is_wrong = g_error_matches (error, ING_ERROR, ING_ERROR_WRONG_PASSWORD);
  if (wrong != NULL)
    *wrong = is_wrong;
  return is_wrong || g_error_matches (error, ING_ERROR, ING_ERROR_PASSWORD);
}
