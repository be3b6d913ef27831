/* SPDX-License-Identifier: Apache-2.0 */
/* The window: a sidebar of conversations and one of them beside it, folded into one pane below 720
 * pixels. It shows a workspace and holds no state of its own but what is remembered about it: size,
 * sidebar, last conversation. Main thread only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_WINDOW (ing_window_get_type ())
G_DECLARE_FINAL_TYPE (IngWindow, ing_window, ING, WINDOW, AdwApplicationWindow)

/* @workspace need not be open yet. */
GtkWidget *ing_window_new (GtkApplication *application, IngWorkspace *workspace);

/* The workspace has been opened: show what was shown last and load the model. */
void ing_window_workspace_opened (IngWindow *self);

/* Load the model at @path. */
void ing_window_open_model (IngWindow *self, const char *path);

/* A new conversation about these files (NULL-terminated), once the workspace is open. */
void ing_window_ask_about (IngWindow *self, const char *const *paths);

/* A new conversation, once the workspace is open; @choose: and the choice of files to ask about. */
void ing_window_begin (IngWindow *self, gboolean choose);

/* With an open workspace: the conversation of this id, at @message_id where @needle stands (0: as it is). Nothing if it
 * is gone. */
void ing_window_show (IngWindow *self, gint64 conversation_id, gint64 message_id, const char *needle);

/* With an open workspace: everything that was said, searched for @text. */
void ing_window_search (IngWindow *self, const char *text);

G_END_DECLS
