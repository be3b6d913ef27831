/* SPDX-License-Identifier: Apache-2.0 */
/* Making and storing errors; for app/ alone. */
#pragma once

#include <errno.h>

#include "ing-error.h"
#include "ing-json.h"
#include "ing-paths-private.h"

/* Set all details of an ING_ERROR at once. */
void ing_error_set_details (GError *error, const char *field, guint64 needed, guint64 available,
                            guint64 offset, guint line);

/* An errno value met while @doing ("open", …) something with @path (filename encoding, may be NULL).
 * Never NULL. A full disk carries the bytes that are free. */
GError *ing_error_from_system (int number, const char *path, const char *doing);

/* To and from text, to be stored with what failed. Never NULL; caller frees. */
char *ing_error_to_json (const GError *error);
GError *ing_error_from_json (const char *json);
