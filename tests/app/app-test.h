/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of app/ share. */
#pragma once

#include <gio/gio.h>

#include "ing-app.h"
#include "ing-engine-launch.h"
#include "ing-workspace-private.h"

#define APP_TEST_TIMEOUT_S 60

/* A new folder, removed at the end of the test program. */
char *app_test_make_folder (void);

/* How an engine is started: the double or the real one, as thread or child. */
typedef enum
{
  APP_TEST_FAKE_THREAD,
  APP_TEST_FAKE_CHILD,
  APP_TEST_REAL_THREAD,
  APP_TEST_REAL_CHILD
} AppTestEngine;
void app_test_get_launch (AppTestEngine engine, IngEngineLaunch *launch);

/* Run the main loop until @condition holds; fails the test after APP_TEST_TIMEOUT_S. */
#define app_test_wait(condition)                                                                   \
  G_STMT_START                                                                                     \
  {                                                                                                \
    gint64 until_ = g_get_monotonic_time () + APP_TEST_TIMEOUT_S * G_USEC_PER_SEC;                 \
    guint tick_ = g_timeout_add (20, app_test_tick, NULL);                                         \
    while (!(condition))                                                                           \
      {                                                                                            \
        if (g_get_monotonic_time () > until_)                                                      \
          g_error ("%s:%d: waited in vain for: %s", __FILE__, __LINE__, #condition);               \
        g_main_context_iteration (NULL, TRUE);                                                     \
      }                                                                                            \
    g_source_remove (tick_);                                                                       \
  }                                                                                                \
  G_STMT_END
gboolean app_test_tick (gpointer data);
/* Run the main loop for a while. */
void app_test_run_ms (guint ms);

/* GAsyncReadyCallback that keeps the result in a GAsyncResult **. */
void app_test_keep_result (GObject *source, GAsyncResult *result, gpointer user_data);

/* An open workspace on @folder; closed and freed by app_test_close(). */
IngWorkspace *app_test_open (const char *folder, AppTestEngine engine);
void app_test_close (IngWorkspace *workspace);
/* Of this name in the library; a new reference, NULL if there is none. */
IngModelFile *app_test_find_file (IngLibrary *library, const char *name);
/* Load @path and wait. */
void app_test_load (IngWorkspace *workspace, const char *path);
/* Ask and wait for the end; returns the answer, borrowed. */
IngMessage *app_test_ask (IngConversation *conversation, const char *text);
void app_test_wait_idle (IngConversation *conversation);
/* Wait until everything is on the disk. */
void app_test_settle (IngWorkspace *workspace);

/* The text of the message at @index of the shown branch. Caller frees. */
char *app_test_dup_text (IngConversation *conversation, guint index);
