/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-numbers.h"

#include <glib/gi18n-lib.h>

char *
ing_numbers_dup_count (guint64 n)
{
  return g_strdup_printf ("%'" G_GUINT64_FORMAT, n);
}

char *
ing_numbers_dup_duration (double seconds)
{
  if (seconds >= 90)
    return g_strdup_printf (_("%d min"), (int) (seconds / 60 + 0.5));
  return g_strdup_printf (_("%d s"), (int) (seconds + 0.5));
}
