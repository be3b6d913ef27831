/* SPDX-License-Identifier: Apache-2.0 */
/* Insides of the window, shared by its files: panes, conversations, life (ing-window.c); models, storage and what is wrong
 * with them (-models.c); the page of documents (-documents.c). Main thread only. */
#pragma once

#include "ing-chat-view.h"
#include "ing-collections-page.h"
#include "ing-model-menu.h"
#include "ing-models-page.h"
#include "ing-problem-box.h"
#include "ing-sidebar.h"
#include "ing-window.h"

struct _IngWindow
{
  AdwApplicationWindow parent_instance;

  AdwToastOverlay *toasts;
  AdwLeaflet *leaflet;
  GtkWidget *sidebar_pane;
  GtkWidget *separator;
  GtkWidget *content_pane;
  IngSidebar *sidebar;
  AdwHeaderBar *header_bar;
  GtkMenuButton *title_button;
  GtkLabel *title_label;
  GtkWidget *title_arrow;
  GtkWidget *sidebar_button;
  GtkWidget *find_button;
  IngModelMenu *model_menu;
  IngProblemBox *storage_problem;
  IngProblemBox *model_problem;
  IngChatView *chat_view;
  GtkStack *pages; /* "chat", "models", "documents" */
  IngModelsPage *models_page;
  IngCollectionsPage *documents_page;

  IngWorkspace *workspace;
  IngConversation *deleted; /* the one an undo brings back */
  AdwToast *undo_toast;     /* borrowed while shown */
  char *wanted_model;       /* path asked for last */
  char **wanted_documents;  /* asked for before the workspace was open; NULL = none */
  gboolean wanted_new;      /* …and a new conversation */
  gboolean wanted_choice;   /* …and the choice of files */
  gboolean show_sidebar;
  guint panes_source;
  GtkFileChooserNative *chooser;
};

/* Show what is wrong with the model, or with what is stored, with buttons for it; hide that when nothing is. */
void ing_window_update_model_problem (IngWindow *self);
void ing_window_update_storage_problem (IngWindow *self);
void ing_window_install_model_actions (GtkWidgetClass *widget_class);
void ing_window_install_document_actions (GtkWidgetClass *widget_class);
/* Dropped on the page of documents? FALSE: the conversation is shown. */
gboolean ing_window_drop_on_page (IngWindow *self, const char *const *paths);
