/* SPDX-License-Identifier: Apache-2.0 */
/* Collections of documents that are kept (IngCollections, a GListModel of IngCollection by name), and the folders that
 * collections and conversations hold: those are looked at, at the start and whenever something changes in them, and their
 * new, changed, moved and vanished files followed. Main thread only; nothing blocks. */
#pragma once

#include "ing-document-library.h"

G_BEGIN_DECLS

#define ING_TYPE_COLLECTION (ing_collection_get_type ())
G_DECLARE_FINAL_TYPE (IngCollection, ing_collection, ING, COLLECTION, GObject)

/* Property "name", read-only, notifying. */
gint64 ing_collection_get_id (IngCollection *self); /* > 0 */
const char *ing_collection_get_name (IngCollection *self);
/* As an owner of documents, for ing_document_library_dup_list () and below; < 0. */
gint64 ing_collection_get_owner (IngCollection *self);
/* Its folders and files are followed. */
gboolean ing_collection_get_watched (IngCollection *self);

#define ING_TYPE_COLLECTIONS (ing_collections_get_type ())
G_DECLARE_FINAL_TYPE (IngCollections, ing_collections, ING, COLLECTIONS, GObject)

/* Signal "changed" (gint64 owner): its folders, what is wrong with them, whether it is watched or paused, or which
 * collections it asks. */

IngCollections *ing_document_library_get_collections (IngDocumentLibrary *library); /* borrowed */

/* An empty one; @name as it is, or with a number behind it where that is taken. Borrowed. */
IngCollection *ing_collections_create (IngCollections *self, const char *name);
void ing_collections_rename (IngCollections *self, IngCollection *collection, const char *name);
IngCollection *ing_collections_lookup (IngCollections *self, gint64 id);              /* borrowed; NULL */
IngCollection *ing_collections_find (IngCollections *self, const char *name);         /* any case; borrowed; NULL */
/* It is not there any more; after ING_COLLECTION_UNDO_S its text is erased, but what others use too. */
#define ING_COLLECTION_UNDO_S 12
void ing_collections_remove (IngCollections *self, IngCollection *collection);
/* FALSE: it is erased. */
gboolean ing_collections_undo_remove (IngCollections *self, IngCollection *collection);
void ing_collections_set_watched (IngCollections *self, IngCollection *collection, gboolean watched);

/* The rest is of collections and of conversations (@owner). Files become documents, folders are held. */
void ing_collections_add (IngCollections *self, gint64 owner, const char *const *paths);
/* @document is used no more; in a folder, it is left out from now on, until it is added by itself. */
void ing_collections_remove_document (IngCollections *self, gint64 owner, IngDocument *document);
/* The folder is held no more, nor what was found in it. */
void ing_collections_remove_folder (IngCollections *self, gint64 owner, const char *path);
/* All folders and documents. */
void ing_collections_clear (IngCollections *self, gint64 owner);
/* Held folders, sorted; NULL-terminated. Caller frees. */
char **ing_collections_dup_folders (IngCollections *self, gint64 owner);
/* Why @path could not be listed; NULL if it could, or was not tried. Borrowed. */
const GError *ing_collections_get_folder_problem (IngCollections *self, gint64 owner, const char *path);
/* Look at all of its folders and files now; "changed" comes when that is done. */
void ing_collections_look (IngCollections *self, gint64 owner);
/* They are looked at, or will be in a moment. */
gboolean ing_collections_is_looking (IngCollections *self, gint64 owner);

/* Indexing stops, or goes on. */
void ing_collections_set_paused (IngCollections *self, gint64 owner, gboolean paused);
/* No collection is read while @sparing; what was dropped on a conversation is. The workspace says so while the machine runs
 * on its battery (ING_SETTING_ON_BATTERY), and a person may say otherwise until that changes. Not kept. */
void ing_collections_set_sparing (IngCollections *self, gboolean sparing);
typedef struct
{
  guint n_documents, n_done; /* done: can be found, cannot be read, or is gone */
  guint n_failed, n_gone;    /* of those done */
  double seconds_left;       /* < 0 = unknown, or nothing is under way */
  gboolean working;          /* documents of it wait or are read, words or vectors */
  gboolean looking;          /* as ing_collections_is_looking () */
  gboolean paused;
  gboolean sparing;   /* not paused, but waits as ing_collections_set_sparing () says */
  gboolean cut;       /* its folders hold more than is taken */
  guint n_unfollowed; /* folders whose changes are seen every few minutes only */
} IngCollectionState;
void ing_collections_get_state (IngCollections *self, gint64 owner, IngCollectionState *state);

/* @conversation's questions go to @collection too, or no more. */
void ing_collections_set_asked (IngCollections *self, gint64 conversation, IngCollection *collection, gboolean asked);
gboolean ing_collections_get_asked (IngCollections *self, gint64 conversation, IngCollection *collection);
/* Go on with documents that the last run left half-way; look at all folders, and follow them from now on. Once, by the
 * program that stays. */
void ing_collections_start (IngCollections *self);

G_END_DECLS
