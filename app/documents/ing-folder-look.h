/* SPDX-License-Identifier: Apache-2.0 */
/* One look at folders and files: what is new, changed, moved, gone or back since what is known. Any thread; blocks. */
#pragma once

#include <gio/gio.h>

/* A document as the index has it. */
typedef struct
{
  gint64 id, size, mtime_us;
  char *path, *hash; /* hash "" = not read yet */
  gboolean gone;
  gboolean own; /* of who looks; others only matter as what a file moved from */
} IngKnown;

typedef struct
{
  gint64 id;
  char *path; /* where it is now */
} IngMoved;

typedef struct
{
  /* in */
  GPtrArray *folders; /* paths */
  GPtrArray *known;   /* of IngKnown */

  /* out */
  GPtrArray *added;            /* paths of documents that are not known */
  GArray *changed, *gone, *back; /* ids of own ones; "back" may have changed too */
  GPtrArray *moved;            /* of IngMoved */
  GPtrArray *inside;           /* paths of @folders that can be listed and of all folders below them that were looked into */
  GPtrArray *problems;         /* for each of @folders, a GError or NULL */
  gboolean cut;                /* there is more than one look takes */
} IngFolderLook;

IngFolderLook *ing_folder_look_new (void);
void ing_folder_look_free (IngFolderLook *self);
void ing_folder_look_add_known (IngFolderLook *self, const IngKnown *known); /* copied */
/* FALSE: cancelled. A folder that is not there holds nothing; of one that cannot be listed nothing is said to be gone. */
gboolean ing_folder_look_run (IngFolderLook *self, GCancellable *cancellable);


/* SHA-256 of a file, in hexadecimal. Caller frees. */
char *ing_document_hash_file (const char *path, GCancellable *cancellable, GError **error);
