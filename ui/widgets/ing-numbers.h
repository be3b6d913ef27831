/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as the person's locale writes them. Any thread. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* "9,800", "9 800", …; caller frees. */
char *ing_numbers_dup_count (guint64 n);

/* "12 s", "4 min"; translated; caller frees. */
char *ing_numbers_dup_duration (double seconds);

G_END_DECLS
