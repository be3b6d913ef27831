/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where engine statuses become errors of this layer. */
#pragma once

#include "eng-status.h"
#include "ing-error-private.h"

/* @code as it came over the wire (any number); @text and @field may be NULL; the numbers are 0 and
 * @offset is ENG_OFFSET_NONE where they do not apply. ENG_ERR_CANCELLED becomes G_IO_ERROR_CANCELLED.
 * Never NULL, also for ENG_OK (that is a protocol error: nothing failed). */
GError *ing_error_from_engine (gint64 code, const char *text, const char *field, guint64 offset,
                               guint line, guint64 needed, guint64 available);
