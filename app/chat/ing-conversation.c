/* SPDX-License-Identifier: Apache-2.0 */
/* The conversation's row, its tree, loading and saving. Asking is in ing-conversation-answer.c.
 *
 * Invariants:
 *  1. What is marked dirty is not in the database, or is on its way (saving); a failed save marks it
 *     again and is repeated.
 *  2. At most one save of a conversation is under way, so that writes cannot overtake each other.
 *  3. @branch is the path from a root that follows the chosen children (the newest where none is). */
#include "ing-conversation-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "ing-error-private.h"
#include "ing-message-table.h"

G_DEFINE_FINAL_TYPE (IngConversation, ing_conversation, G_TYPE_OBJECT)

enum
{
  PROP_0,
  PROP_TITLE,
  PROP_UPDATED_US,
  PROP_BUSY,
  PROP_LOADED,
  PROP_DRAFT,
  PROP_SYSTEM_PROMPT,
  PROP_MODEL_PATH,
  PROP_N_MESSAGES,
  PROP_PLAIN_COMPLETION,
  N_PROPS
};
static GParamSpec *props[N_PROPS];
static guint signal_touched;

static void
ing_conversation_dispose (GObject *object)
{
  IngConversation *self = ING_CONVERSATION (object);
  g_clear_handle_id (&self->save_id, g_source_remove);
  ing_conversation_set_held (self, FALSE);
  if (self->generation != NULL)
    g_signal_handlers_disconnect_by_data (self->generation, self);
  g_clear_object (&self->generation);
  G_OBJECT_CLASS (ing_conversation_parent_class)->dispose (object);
}

static void
ing_conversation_finalize (GObject *object)
{
  IngConversation *self = ING_CONVERSATION (object);
  g_clear_object (&self->branch);
  g_clear_pointer (&self->messages, g_hash_table_unref);
  g_clear_pointer (&self->roots, g_ptr_array_unref);
  g_clear_pointer (&self->loading, g_ptr_array_unref);
  g_clear_object (&self->context);
  g_free (self->title);
  g_free (self->system_prompt);
  g_free (self->model_path);
  g_free (self->draft);
  G_OBJECT_CLASS (ing_conversation_parent_class)->finalize (object);
}

static void
ing_conversation_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  IngConversation *self = ING_CONVERSATION (object);
  switch (id)
    {
    case PROP_TITLE:
      g_value_set_string (value, self->title);
      break;
    case PROP_UPDATED_US:
      g_value_set_int64 (value, self->updated_us);
      break;
    case PROP_BUSY:
      g_value_set_boolean (value, self->answer != NULL);
      break;
    case PROP_LOADED:
      g_value_set_boolean (value, self->loaded);
      break;
    case PROP_DRAFT:
      g_value_set_string (value, self->draft);
      break;
    case PROP_SYSTEM_PROMPT:
      g_value_set_string (value, self->system_prompt);
      break;
    case PROP_MODEL_PATH:
      g_value_set_string (value, self->model_path);
      break;
    case PROP_N_MESSAGES:
      g_value_set_uint (value, self->n_messages);
      break;
    case PROP_PLAIN_COMPLETION:
      g_value_set_boolean (value, self->plain);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
ing_conversation_class_init (IngConversationClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;
  object_class->dispose = ing_conversation_dispose;
  object_class->finalize = ing_conversation_finalize;
  object_class->get_property = ing_conversation_get_property;
  props[PROP_TITLE] = g_param_spec_string ("title", NULL, NULL, "", flags);
  props[PROP_UPDATED_US] = g_param_spec_int64 ("updated-us", NULL, NULL, 0, G_MAXINT64, 0, flags);
  props[PROP_BUSY] = g_param_spec_boolean ("busy", NULL, NULL, FALSE, flags);
  props[PROP_LOADED] = g_param_spec_boolean ("loaded", NULL, NULL, FALSE, flags);
  props[PROP_DRAFT] = g_param_spec_string ("draft", NULL, NULL, "", flags);
  props[PROP_SYSTEM_PROMPT] = g_param_spec_string ("system-prompt", NULL, NULL, "", flags);
  props[PROP_MODEL_PATH] = g_param_spec_string ("model-path", NULL, NULL, NULL, flags);
  props[PROP_N_MESSAGES] = g_param_spec_uint ("n-messages", NULL, NULL, 0, G_MAXUINT, 0, flags);
  props[PROP_PLAIN_COMPLETION] = g_param_spec_boolean ("plain-completion", NULL, NULL, FALSE,
                                                       flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
  signal_touched = g_signal_new ("touched", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                 NULL, NULL, G_TYPE_NONE, 0);
}

static void
ing_conversation_init (IngConversation *self)
{
  self->title = g_strdup ("");
  self->draft = g_strdup ("");
  self->system_prompt = g_strdup ("");
  self->messages = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_object_unref);
  self->roots = g_ptr_array_new ();
  self->branch = g_list_store_new (ING_TYPE_MESSAGE);
  ing_sampling_init (&self->sampling);
}

IngConversation *
ing_conversation_new (IngChatContext *context, gint64 id)
{
  IngConversation *self = g_object_new (ING_TYPE_CONVERSATION, NULL);
  self->context = g_object_ref (context);
  self->id = id;
  self->created_us = self->updated_us = ing_chat_context_next_time (context);
  g_free (self->system_prompt);
  self->system_prompt = g_strdup (context->system_prompt);
  self->loaded = TRUE;
  self->dirty = TRUE;
  return self;
}

IngConversation *
ing_conversation_new_from_row (IngChatContext *context, const IngConversationRow *row)
{
  IngConversation *self = g_object_new (ING_TYPE_CONVERSATION, NULL);
  self->context = g_object_ref (context);
  self->id = row->id;
  g_free (self->title);
  g_free (self->draft);
  g_free (self->system_prompt);
  self->title = g_strdup (row->title);
  self->title_source = row->title_source;
  self->created_us = row->created_us;
  self->updated_us = row->updated_us;
  self->system_prompt = g_strdup (row->system_prompt);
  self->model_path = g_strdup (row->model_path);
  self->draft = g_strdup (row->draft);
  self->plain = row->plain;
  self->chosen_root = row->chosen_root;
  self->n_messages = row->n_messages;
  self->kept = TRUE;
  self->sampling_chosen = strcmp (row->sampling, "{}") != 0;
  if (self->sampling_chosen)
    ing_sampling_from_json (&self->sampling, row->sampling);
  return self;
}

static void
notify (IngConversation *self, int prop)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[prop]);
}

/* ------------------------------------------------------------------ saving */

static IngConversationRow *
make_row (IngConversation *self)
{
  IngConversationRow *row = ing_conversation_row_new ();
  row->id = self->id;
  row->title = g_strdup (self->title);
  row->title_source = self->title_source;
  row->created_us = self->created_us;
  row->updated_us = self->updated_us;
  row->system_prompt = g_strdup (self->system_prompt);
  row->model_path = g_strdup (self->model_path);
  row->sampling = self->sampling_chosen ? ing_sampling_to_json (&self->sampling) : g_strdup ("{}");
  row->draft = g_strdup (self->draft);
  row->plain = self->plain;
  row->chosen_root = self->chosen_root;
  return row;
}

/* What one save took, to mark it again should it fail. */
typedef struct
{
  IngConversation *self;
  gboolean row;
  GPtrArray *messages; /* of IngMessage */
  GArray *parts;       /* their dirty_part */
  GArray *indexed;     /* their index flag */
} Saving;

static int
compare_messages (gconstpointer a, gconstpointer b)
{
  const IngMessage *x = *(IngMessage *const *) a, *y = *(IngMessage *const *) b;
  return x->id < y->id ? -1 : x->id > y->id; /* parents first */
}

static IngSave *
collect (IngConversation *self, Saving *saving)
{
  IngSave *save = ing_save_new ();
  GHashTableIter iter;
  gpointer value;
  saving->row = self->dirty;
  if (self->dirty)
    save->conversation = make_row (self);
  self->dirty = FALSE;
  g_hash_table_iter_init (&iter, self->messages);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((IngMessage *) value)->dirty)
      g_ptr_array_add (saving->messages, g_object_ref (value));
  g_ptr_array_sort (saving->messages, compare_messages);
  for (guint i = 0; i < saving->messages->len; i++)
    {
      IngMessage *m = g_ptr_array_index (saving->messages, i);
      guint first = MIN (m->dirty_part, ing_message_get_n_parts (m));
      ing_save_add (save, ing_message_make_row (m, first), first, m->index);
      g_array_append_val (saving->parts, m->dirty_part);
      g_array_append_val (saving->indexed, m->index);
      m->dirty = FALSE;
      m->index = FALSE;
      m->dirty_part = ING_PART_CLEAN;
    }
  return save;
}

static void save_now (IngConversation *self);

static void
on_saved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Saving *saving = user_data;
  g_autoptr (IngConversation) self = saving->self;
  g_autoptr (GError) error = NULL;
  ing_chat_context_save_finish (ING_CHAT_CONTEXT (source), result, &error);
  self->saving = FALSE;
  if (error != NULL) /* invariant 1 */
    {
      self->dirty = self->dirty || saving->row;
      for (guint i = 0; i < saving->messages->len; i++)
        {
          IngMessage *m = g_ptr_array_index (saving->messages, i);
          m->dirty = TRUE;
          m->dirty_part = MIN (m->dirty_part, g_array_index (saving->parts, guint, i));
          m->index = m->index || g_array_index (saving->indexed, gboolean, i);
        }
    }
  else
    for (guint i = 0; i < saving->messages->len; i++)
      ((IngMessage *) g_ptr_array_index (saving->messages, i))->stored = TRUE;
  g_ptr_array_unref (saving->messages);
  g_array_unref (saving->parts);
  g_array_unref (saving->indexed);
  g_free (saving);

  gboolean again = self->save_again;
  self->save_again = FALSE;
  if (error != NULL)
    ing_conversation_save_soon (self, ING_RETRY_MS);
  else if (again)
    save_now (self);
  if (self->answer != NULL && self->generation == NULL)
    ing_conversation_on_committed (self, error);
}

static void
save_now (IngConversation *self)
{
  g_clear_handle_id (&self->save_id, g_source_remove);
  if (self->deleted || !self->kept)
    return;
  if (self->saving)
    {
      self->save_again = TRUE;
      return;
    }
  Saving *saving = g_new0 (Saving, 1);
  saving->messages = g_ptr_array_new_with_free_func (g_object_unref);
  saving->parts = g_array_new (FALSE, FALSE, sizeof (guint));
  saving->indexed = g_array_new (FALSE, FALSE, sizeof (gboolean));
  IngSave *save = collect (self, saving);
  saving->self = g_object_ref (self);
  self->saving = TRUE;
  ing_chat_context_save_async (self->context, save, on_saved, saving);
}

static gboolean
on_save_timeout (gpointer data)
{
  IngConversation *self = data;
  self->save_id = 0;
  save_now (self);
  return G_SOURCE_REMOVE;
}

void
ing_conversation_save_soon (IngConversation *self, guint ms)
{
  if (ms == 0)
    {
      save_now (self);
      return;
    }
  gint64 due = g_get_monotonic_time () + ms * G_TIME_SPAN_MILLISECOND;
  if (self->save_id != 0 && self->save_due_us <= due)
    return;
  g_clear_handle_id (&self->save_id, g_source_remove);
  self->save_due_us = due;
  self->save_id = g_timeout_add (ms, on_save_timeout, self);
}

void
ing_conversation_set_deleted (IngConversation *self, gboolean deleted)
{
  self->deleted = deleted;
  if (deleted)
    g_clear_handle_id (&self->save_id, g_source_remove);
  else
    save_now (self);
}

/* ------------------------------------------------------------------ the row */

static void
keep (IngConversation *self, guint ms)
{
  self->kept = TRUE;
  self->dirty = TRUE;
  ing_conversation_save_soon (self, ms);
}

gboolean
ing_conversation_is_listed (IngConversation *self)
{
  return self->n_messages > 0 || *self->title != '\0';
}

void
ing_conversation_touch (IngConversation *self)
{
  self->updated_us = ing_chat_context_next_time (self->context);
  self->kept = TRUE;
  self->dirty = TRUE;
  notify (self, PROP_UPDATED_US);
  g_signal_emit (self, signal_touched, 0);
}

void
ing_conversation_give_title (IngConversation *self, const char *title, IngTitleSource source)
{
  g_autofree char *valid = g_utf8_make_valid (title, -1);
  g_strstrip (valid);
  if (strcmp (valid, self->title) == 0)
    return;
  g_free (self->title);
  self->title = g_steal_pointer (&valid);
  self->title_source = *self->title != '\0' ? source : ING_TITLE_NONE;
  notify (self, PROP_TITLE);
  keep (self, 0);
  g_signal_emit (self, signal_touched, 0);
}

void
ing_conversation_set_title (IngConversation *self, const char *title)
{
  ing_conversation_give_title (self, title, ING_TITLE_PERSON);
}

void
ing_conversation_suggest_title (IngConversation *self, const char *title)
{
  if (self->title_source == ING_TITLE_NONE)
    ing_conversation_give_title (self, title, ING_TITLE_AUTOMATIC);
}

const char *
ing_conversation_get_display_title (IngConversation *self)
{
  return *self->title != '\0' ? self->title : _ ("New conversation");
}

void
ing_conversation_set_draft (IngConversation *self, const char *draft)
{
  if (g_strcmp0 (draft, self->draft) == 0)
    return;
  g_free (self->draft);
  self->draft = g_utf8_make_valid (draft, -1);
  notify (self, PROP_DRAFT);
  keep (self, ING_DRAFT_MS);
}

void
ing_conversation_set_system_prompt (IngConversation *self, const char *prompt)
{
  if (g_strcmp0 (prompt, self->system_prompt) == 0)
    return;
  g_free (self->system_prompt);
  self->system_prompt = g_utf8_make_valid (prompt, -1);
  notify (self, PROP_SYSTEM_PROMPT);
  self->dirty = TRUE;
  ing_conversation_save_soon (self, ING_DRAFT_MS);
}

/* One that is not in the list yet is kept with its first message. */
void
ing_conversation_set_model_path (IngConversation *self, const char *path)
{
  if (g_strcmp0 (path, self->model_path) == 0)
    return;
  g_autofree char *old = self->model_path;
  self->model_path = g_strdup (path);
  notify (self, PROP_MODEL_PATH);
  self->dirty = TRUE;
  ing_conversation_save_soon (self, ING_DRAFT_MS);
}

void
ing_conversation_set_sampling (IngConversation *self, const IngSampling *sampling)
{
  self->sampling_chosen = sampling != NULL;
  if (sampling != NULL)
    {
      self->sampling = *sampling;
      ing_sampling_clamp (&self->sampling);
    }
  self->dirty = TRUE;
  ing_conversation_save_soon (self, ING_DRAFT_MS);
}

void
ing_conversation_set_plain_completion (IngConversation *self, gboolean plain)
{
  if (self->plain == plain)
    return;
  self->plain = plain;
  notify (self, PROP_PLAIN_COMPLETION);
  self->dirty = TRUE;
  ing_conversation_save_soon (self, ING_DRAFT_MS);
}

gint64
ing_conversation_get_id (IngConversation *self)
{
  return self->id;
}

const char *
ing_conversation_get_title (IngConversation *self)
{
  return self->title;
}

gint64
ing_conversation_get_created_us (IngConversation *self)
{
  return self->created_us;
}

gint64
ing_conversation_get_updated_us (IngConversation *self)
{
  return self->updated_us;
}

gboolean
ing_conversation_get_busy (IngConversation *self)
{
  return self->answer != NULL;
}

const char *
ing_conversation_get_draft (IngConversation *self)
{
  return self->draft;
}

const char *
ing_conversation_get_system_prompt (IngConversation *self)
{
  return self->system_prompt;
}

const char *
ing_conversation_get_model_path (IngConversation *self)
{
  return self->model_path;
}

void
ing_conversation_get_sampling (IngConversation *self, IngSampling *out)
{
  if (self->sampling_chosen)
    *out = self->sampling;
  else
    ing_generation_service_get_default_sampling (self->context->generation, out);
}

gboolean
ing_conversation_get_sampling_chosen (IngConversation *self)
{
  return self->sampling_chosen;
}

gboolean
ing_conversation_get_plain_completion (IngConversation *self)
{
  return self->plain;
}

gboolean
ing_conversation_get_loaded (IngConversation *self)
{
  return self->loaded;
}

GListModel *
ing_conversation_list_messages (IngConversation *self)
{
  return G_LIST_MODEL (self->branch);
}

void
ing_conversation_set_answer (IngConversation *self, IngMessage *answer)
{
  gboolean was_busy = self->answer != NULL;
  self->answer = answer;
  if (was_busy != (answer != NULL))
    notify (self, PROP_BUSY);
}

/* ------------------------------------------------------------------ the tree */

static IngMessage *
get_chosen (GPtrArray *siblings, gint64 chosen)
{
  for (guint i = 0; i < siblings->len; i++)
    {
      IngMessage *message = g_ptr_array_index (siblings, i);
      if (message->id == chosen)
        return message;
    }
  return siblings->len > 0 ? g_ptr_array_index (siblings, siblings->len - 1) : NULL;
}

void
ing_conversation_update_branch (IngConversation *self)
{
  g_autoptr (GPtrArray) path = g_ptr_array_new ();
  GPtrArray *siblings = self->roots;
  IngMessage *message = get_chosen (siblings, self->chosen_root);
  while (message != NULL)
    {
      guint index = 0;
      g_ptr_array_find (siblings, message, &index);
      ing_message_set_siblings (message, index, siblings->len);
      g_ptr_array_add (path, message);
      siblings = message->children;
      message = get_chosen (siblings, message->chosen_child);
    }
  guint n_old = g_list_model_get_n_items (G_LIST_MODEL (self->branch));
  guint same = 0;
  while (same < MIN (n_old, path->len))
    {
      g_autoptr (IngMessage) old = g_list_model_get_item (G_LIST_MODEL (self->branch), same);
      if (old != g_ptr_array_index (path, same))
        break;
      same++;
    }
  if (same < n_old || same < path->len)
    g_list_store_splice (self->branch, same, n_old - same, path->pdata + same, path->len - same);
}

static void
attach (IngConversation *self, IngMessage *message)
{
  g_hash_table_insert (self->messages, &message->id, message);
  g_ptr_array_add (message->parent != NULL ? message->parent->children : self->roots, message);
}

static void
choose (IngConversation *self, IngMessage *message)
{
  if (message->parent != NULL)
    {
      message->parent->chosen_child = message->id;
      message->parent->dirty = TRUE;
    }
  else
    {
      self->chosen_root = message->id;
      self->dirty = TRUE;
    }
}

IngMessage *
ing_conversation_add_message (IngConversation *self, IngMessage *parent, IngRole role)
{
  IngMessage *message
      = ing_message_new (++self->context->last_message_id, self->id, parent, role);
  attach (self, message);
  choose (self, message);
  self->n_messages = g_hash_table_size (self->messages);
  notify (self, PROP_N_MESSAGES);
  return message;
}

gboolean
ing_conversation_switch_sibling (IngConversation *self, IngMessage *message, int delta)
{
  GPtrArray *siblings = message->parent != NULL ? message->parent->children : self->roots;
  guint index;
  if (!g_ptr_array_find (siblings, message, &index)
      || (gint64) index + delta < 0 || (gint64) index + delta >= siblings->len)
    return FALSE;
  choose (self, g_ptr_array_index (siblings, (guint) ((gint64) index + delta)));
  ing_conversation_update_branch (self);
  ing_conversation_save_soon (self, ING_FLUSH_MS);
  return TRUE;
}

gboolean
ing_conversation_show_message (IngConversation *self, gint64 id)
{
  IngMessage *message = g_hash_table_lookup (self->messages, &id);
  if (message == NULL)
    return FALSE;
  for (; message != NULL; message = message->parent)
    choose (self, message);
  ing_conversation_update_branch (self);
  ing_conversation_save_soon (self, ING_FLUSH_MS);
  return TRUE;
}

/* ------------------------------------------------------------------ loading */

static gpointer
load_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_message_table_read (db, *(gint64 *) data, error);
}

static void
build_tree (IngConversation *self, GPtrArray *rows)
{
  for (guint i = 0; i < rows->len; i++) /* by id: a parent comes before its children */
    {
      const IngMessageRow *row = g_ptr_array_index (rows, i);
      IngMessage *parent = g_hash_table_lookup (self->messages, &row->parent_id);
      attach (self, ing_message_new_from_row (row, parent));
    }
  self->n_messages = rows->len;
}

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngConversation) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) rows = ing_database_run_finish (ING_DATABASE (source), result, &error);
  g_autoptr (GPtrArray) waiting = g_steal_pointer (&self->loading);
  if (rows != NULL)
    {
      build_tree (self, rows);
      self->loaded = TRUE;
      ing_conversation_update_branch (self);
      notify (self, PROP_LOADED);
    }
  for (guint i = 0; i < waiting->len; i++)
    {
      GTask *task = g_ptr_array_index (waiting, i);
      if (rows != NULL)
        g_task_return_boolean (task, TRUE);
      else
        g_task_return_error (task, g_error_copy (error));
    }
}

void
ing_conversation_load_async (IngConversation *self, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, ing_conversation_load_async);
  if (self->loaded)
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  gboolean first = self->loading == NULL;
  if (first)
    self->loading = g_ptr_array_new_with_free_func (g_object_unref);
  g_ptr_array_add (self->loading, g_steal_pointer (&task));
  if (first)
    ing_database_run_async (self->context->database, load_func,
                            g_memdup2 (&self->id, sizeof self->id), g_free,
                            (GDestroyNotify) g_ptr_array_unref, NULL, on_loaded,
                            g_object_ref (self));
}

gboolean
ing_conversation_load_finish (IngConversation *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
