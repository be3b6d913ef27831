/* SPDX-License-Identifier: Apache-2.0 */
/* The state of one bringing, and what is done with the other installation's files. Worker thread
 * while it runs. */
#pragma once

#include "ing-bring.h"

#include <sys/stat.h>

#include "ing-bring-merge.h"
#include "ing-collection-merge.h"
#include "ing-data-lock.h"
#include "ing-document-merge.h"
#include "ing-hasher.h"

#define ING_BRING_CONVERSATIONS_SHARE 0.2 /* of the bar; models the rest */

/* A file as it was when it was compared. */
typedef struct
{
  char *path;
  struct stat st;
  gboolean of_database; /* those go together or not at all */
} IngBringSeen;

struct _IngBring
{
  GObject parent_instance;
  IngWorkspace *workspace;
  char *folder;            /* of the other's data; worker thread, then main */
  char *config;            /* of the other's settings; NULL = out of sight */
  char *scratch;           /* with the copies of its databases */
  IngDatabase *copy;       /* open on that of conversations */
  IngDatabase *documents;  /* …of documents; NULL = none, or not one that can be read */
  IngDataLock *lock;       /* of the other's folder, where that can be had */
  GArray *seen;            /* IngBringSeen: what may be removed */
  gboolean keep_databases; /* not all of them is here */
  IngBrought moved;
  IngMerge merge;
  IngCollectionMerge collection_merge;
  IngDocumentMerge document_merge;
  int permille; /* atomic */
};

void ing_bring_tell (IngBring *self, double fraction);

gboolean ing_bring_is_regular (const char *path, struct stat *st);
/* It may be removed from now on, as long as it is as it is now. FALSE: no such file. */
gboolean ing_bring_note_seen (IngBring *self, const char *path, gboolean of_database);
gboolean ing_bring_is_as_seen (const IngBringSeen *seen);
/* The bytes of @from into the new file @to; @hasher (may be NULL) is fed with them. */
gboolean ing_bring_copy_file (IngBring *self, const char *from, const char *to, IngHasher *hasher,
                              guint64 *n_done, guint64 n_all, GCancellable *cancellable,
                              GError **error);
/* Its models, and what its database says of them and of those in other folders. */
gboolean ing_bring_models (IngBring *self, GCancellable *cancellable, GError **error);
