/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-main-thread.h"

void
ing_main_thread_run (GSourceFunc func, gpointer data)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, func, data, NULL);
  g_source_attach (source, NULL);
}
