/* SPDX-License-Identifier: Apache-2.0 */
/* The program with a window: one instance, one workspace, one window. A second start raises the first;
 * `inglenook ask` beside it is answered by it. The session bus can start it, too (--gapplication-service): for a window, an
 * action of the desktop file, or the desktop's search, which needs no window. Main thread only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

/* What menus of the desktop start where they do not speak to the bus. */
#define ING_APPLICATION_NEW_CONVERSATION "--new-conversation"
#define ING_APPLICATION_ASK_ABOUT_FILE "--ask-about-file"
/* What the bus starts: GApplication's own option. */
#define ING_APPLICATION_SERVICE "--gapplication-service"

#define ING_TYPE_APPLICATION (ing_application_get_type ())
G_DECLARE_FINAL_TYPE (IngApplication, ing_application, ING, APPLICATION, AdwApplication)

IngApplication *ing_application_new (void);

/* Before any translated word: the language of the person, catalogues beside the program or installed. */
void ing_application_init_locale (void);

/* The keys of the window's actions; called at startup, and by tests that have another application. */
void ing_application_set_accels (GtkApplication *application);

/* Templates, style and icons; called at startup, and by tests that make single widgets. */
void ing_application_register_resources (void);

G_END_DECLS
