/* SPDX-License-Identifier: Apache-2.0 */
/* The folders that one owner holds, and its documents kept as the files are: in folders and added by themselves. Main
 * thread only. */
#pragma once

#include "ing-document-private.h"
#include "ing-folder-watch.h"

typedef struct
{
  IngDocumentLibrary *library; /* outlives it */
  gint64 owner;
  GPtrArray *folders;   /* paths, sorted */
  GHashTable *left_out; /* paths */
  GHashTable *problems; /* folder → GError: it could not be listed */
  IngFolderWatch *watch;
  gboolean following; /* what changes is looked at */
  gboolean looked;    /* once since the start */
  gboolean cut;       /* there is more than is taken */
  guint n_unfollowed;
  void (*changed) (gint64 owner, gpointer data); /* after each look */
  gpointer data;
} IngFolderSet;

IngFolderSet *ing_folder_set_new (IngDocumentLibrary *library, gint64 owner, void (*changed) (gint64 owner, gpointer data),
                                  gpointer data);
void ing_folder_set_free (IngFolderSet *self);
/* @path is held; FALSE: it was before. The caller writes that down. */
gboolean ing_folder_set_hold (IngFolderSet *self, const char *path);
/* It is held no more, and what was found in it alone is not used any more. */
gboolean ing_folder_set_drop (IngFolderSet *self, const char *path);
/* FALSE: look no more by itself. */
void ing_folder_set_follow (IngFolderSet *self, gboolean following);
void ing_folder_set_look (IngFolderSet *self);
/* Does @path stand in one of the folders? */
gboolean ing_folder_set_holds (IngFolderSet *self, const char *path);
