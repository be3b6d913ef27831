/* SPDX-License-Identifier: Apache-2.0 */
/* What collections write behind: one change after another on the database's thread, each in a transaction of its own. */
#pragma once

#include "ing-collection-table.h"

typedef enum
{
  ING_CHANGE_ROW,      /* the collection */
  ING_CHANGE_ERASE,    /* the same, and who asks it */
  ING_CHANGE_FOLDER,   /* that an owner holds a path */
  ING_CHANGE_LEFT_OUT, /* that an owner leaves a path out */
  ING_CHANGE_ASKED,    /* that a conversation, the owner, asks the collection */
  ING_CHANGE_FORGET    /* all that an owner holds, leaves out and asks */
} IngChangeKind;

/* @row (may be NULL) and @path (likewise) are copied; @there: or not any more. Failures are noticed in the log. */
void ing_collection_change_write (IngDatabase *db, IngChangeKind kind, const IngCollectionRow *row, gint64 owner,
                                  const char *path, gboolean there);
