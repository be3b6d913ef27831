/* SPDX-License-Identifier: Apache-2.0 */
/* When to look at folders again (ing-folder-look.h): half a second after their last change, five after the first of many, and
 * every few minutes, for what no news comes of. Looks happen on a thread, one at a time. Main thread only. */
#pragma once

#include "ing-folder-look.h"

typedef struct _IngFolderWatch IngFolderWatch;

typedef struct
{
  /* What is to be looked at, and what is known; the look is taken over. */
  IngFolderLook *(*prepare) (gpointer data);
  /* What was found; NULL = the look was cancelled. */
  void (*apply) (const IngFolderLook *look, gpointer data);
  gpointer data;
} IngFolderWatchFuncs;

IngFolderWatch *ing_folder_watch_new (const IngFolderWatchFuncs *funcs);
/* No function is called after this. */
void ing_folder_watch_free (IngFolderWatch *self);

/* Look now, or once more if a look is under way. */
void ing_folder_watch_look (IngFolderWatch *self);
gboolean ing_folder_watch_is_looking (IngFolderWatch *self);
/* Follow what happens in @folders (paths, not below them); NULL = in none, and look no more by the clock. The kernel gives
 * out few watches: of all folders together the first 1,000 are followed. Returns how many of these are not. */
guint ing_folder_watch_follow (IngFolderWatch *self, GPtrArray *folders);
