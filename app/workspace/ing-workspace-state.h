/* SPDX-License-Identifier: Apache-2.0 */
/* Of a workspace, between the files that it is written in. */
#pragma once

#include "ing-workspace-private.h"

#include "ing-chat-context.h"
#include "ing-conversation-list-private.h"
#include "ing-data-lock.h"
#include "ing-power.h"

struct _IngWorkspace
{
  GObject parent_instance;
  char *data_folder, *owner;
  char *wanted_model; /* path asked for last */
  IngSettings *settings;
  IngDatabase *database;
  IngGenerationService *generation;
  IngChatContext *chat;
  IngConversationList *conversations;
  IngJobQueue *jobs;
  IngLibrary *library;
  IngDocumentLibrary *documents;
  IngPower *power; /* of who stays; else NULL */
  IngDataLock *lock;
  IngStorageState state;
  GError *problem;      /* why it is not ING_STORAGE_OK */
  GError *open_problem; /* why it is in memory */
  gint64 backup_us;
  guint backup_id;
};
