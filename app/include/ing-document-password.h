/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords of locked documents, by their path. They are kept in the memory of this program alone, so that a page can be
 * drawn when a citation is clicked, and are never written anywhere: after the next start the document's text is still
 * found, and only a look at its pages asks again. Any thread. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What PDF allows (ISO 32000-2, 7.6.4.3.3). */
#define ING_PASSWORD_MAX_BYTES 127

/* What stands behind ING_PASSWORD_MAX_BYTES of @password is cut off; NULL or "" forgets. */
void ing_document_password_set (const char *path, const char *password);
/* NULL if none is known. Caller frees with ing_document_password_free (). */
char *ing_document_password_dup (const char *path);
void ing_document_password_free (char *password);

/* Is @error (may be NULL) about a password that is missing (*@wrong FALSE) or not the right one? @wrong may be NULL. */
gboolean ing_document_password_is_wanted (const GError *error, gboolean *wrong);

G_END_DECLS
