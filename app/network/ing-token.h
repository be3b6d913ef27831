/* SPDX-License-Identifier: Apache-2.0 */
/* Access tokens of hubs, one a host: in the keyring of the desktop (libsecret), or, where there is none, in
 * memory until the program ends. Never in a file, a log or an error. Blocks: worker threads. */
#pragma once

#include <gio/gio.h>

/* NULL = none. Caller frees with ing_token_free(), which wipes it. */
char *ing_token_lookup (const char *host, GCancellable *cancellable);
void ing_token_free (char *token);
/* @token NULL or "" forgets. Always works for this run of the program; *@kept: in the keyring, too.
 * ING_ERROR_ARGUMENT: holds something that cannot stand in a header. */
gboolean ing_token_store (const char *host, const char *token, gboolean *kept, GCancellable *cancellable,
                          GError **error);
