/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-message-private.h"

#include "ing-error-private.h"

G_DEFINE_FINAL_TYPE (IngMessage, ing_message, G_TYPE_OBJECT)

enum
{
  PROP_0,
  PROP_STATE,
  PROP_STATUS,
  PROP_SIBLING_INDEX,
  PROP_N_SIBLINGS,
  PROP_PROGRESS_DONE,
  PROP_PROGRESS_TOTAL,
  PROP_SECONDS_LEFT,
  PROP_TOKENS_PER_SECOND,
  PROP_N_TOKENS,
  PROP_ERROR,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

enum
{
  PART_ADDED,
  TEXT_APPENDED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void
ing_message_finalize (GObject *object)
{
  IngMessage *self = ING_MESSAGE (object);
  g_clear_pointer (&self->children, g_ptr_array_unref);
  g_clear_object (&self->parts);
  g_clear_error (&self->error);
  g_free (self->model_name);
  g_free (self->model_path);
  g_free (self->device);
  G_OBJECT_CLASS (ing_message_parent_class)->finalize (object);
}

static void
ing_message_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  IngMessage *self = ING_MESSAGE (object);
  switch (id)
    {
    case PROP_STATE:
      g_value_set_int (value, self->state);
      break;
    case PROP_STATUS:
      g_value_set_int (value, self->status);
      break;
    case PROP_SIBLING_INDEX:
      g_value_set_uint (value, self->sibling_index);
      break;
    case PROP_N_SIBLINGS:
      g_value_set_uint (value, self->n_siblings);
      break;
    case PROP_PROGRESS_DONE:
      g_value_set_uint64 (value, self->progress_done);
      break;
    case PROP_PROGRESS_TOTAL:
      g_value_set_uint64 (value, self->progress_total);
      break;
    case PROP_SECONDS_LEFT:
      g_value_set_double (value, self->seconds_left);
      break;
    case PROP_TOKENS_PER_SECOND:
      g_value_set_double (value, self->tokens_per_second);
      break;
    case PROP_N_TOKENS:
      g_value_set_uint (value, self->n_tokens);
      break;
    case PROP_ERROR:
      g_value_set_boxed (value, self->error);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
ing_message_class_init (IngMessageClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;
  object_class->finalize = ing_message_finalize;
  object_class->get_property = ing_message_get_property;
  props[PROP_STATE] = g_param_spec_int ("state", NULL, NULL, 0, ING_MESSAGE_FAILED, 0, flags);
  props[PROP_STATUS] = g_param_spec_int ("status", NULL, NULL, 0, ING_STATUS_WRITING, 0, flags);
  props[PROP_SIBLING_INDEX] = g_param_spec_uint ("sibling-index", NULL, NULL, 0, G_MAXUINT, 0,
                                                 flags);
  props[PROP_N_SIBLINGS] = g_param_spec_uint ("n-siblings", NULL, NULL, 1, G_MAXUINT, 1, flags);
  props[PROP_PROGRESS_DONE] = g_param_spec_uint64 ("progress-done", NULL, NULL, 0, G_MAXUINT64, 0,
                                                   flags);
  props[PROP_PROGRESS_TOTAL] = g_param_spec_uint64 ("progress-total", NULL, NULL, 0, G_MAXUINT64, 0,
                                                    flags);
  props[PROP_SECONDS_LEFT] = g_param_spec_double ("seconds-left", NULL, NULL, -1, G_MAXDOUBLE, -1,
                                                  flags);
  props[PROP_TOKENS_PER_SECOND] = g_param_spec_double ("tokens-per-second", NULL, NULL, 0,
                                                       G_MAXDOUBLE, 0, flags);
  props[PROP_N_TOKENS] = g_param_spec_uint ("n-tokens", NULL, NULL, 0, G_MAXUINT, 0, flags);
  props[PROP_ERROR] = g_param_spec_boxed ("error", NULL, NULL, G_TYPE_ERROR, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);

  GType type = G_TYPE_FROM_CLASS (klass);
  signals[PART_ADDED] = g_signal_new ("part-added", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                      G_TYPE_NONE, 1, ING_TYPE_PART);
  signals[TEXT_APPENDED] = g_signal_new ("text-appended", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                         NULL, G_TYPE_NONE, 2, ING_TYPE_PART, G_TYPE_STRING);
}

static void
ing_message_init (IngMessage *self)
{
  self->children = g_ptr_array_new ();
  self->parts = g_list_store_new (ING_TYPE_PART);
  self->n_siblings = 1;
  self->seconds_left = -1;
  self->seed = -1;
  self->dirty_part = ING_PART_CLEAN;
  ing_sampling_init (&self->sampling);
}

/* ------------------------------------------------------------------ rows */

IngMessage *
ing_message_new (gint64 id, gint64 conversation_id, IngMessage *parent, IngRole role)
{
  IngMessage *self = g_object_new (ING_TYPE_MESSAGE, NULL);
  self->id = id;
  self->conversation_id = conversation_id;
  self->parent = parent;
  self->role = role;
  self->created_us = g_get_real_time ();
  self->state = role == ING_ROLE_ASSISTANT ? ING_MESSAGE_PENDING : ING_MESSAGE_COMPLETE;
  self->dirty = TRUE;
  return self;
}

static void
read_stats (IngMessage *self, const char *json)
{
  g_autoptr (JsonObject) o = ing_json_parse_object (json, -1, NULL);
  if (o == NULL)
    return;
  self->n_tokens = (guint) CLAMP (ing_json_get_int (o, "n_tokens", 0), 0, G_MAXINT);
  self->n_prompt = (guint) CLAMP (ing_json_get_int (o, "n_prompt", 0), 0, G_MAXINT);
  self->n_cached = (guint) CLAMP (ing_json_get_int (o, "n_cached", 0), 0, G_MAXINT);
  self->first_token_us = MAX (0, ing_json_get_int (o, "first_token_us", 0));
  self->prefill_us = MAX (0, ing_json_get_int (o, "prefill_us", 0));
  self->decode_us = MAX (0, ing_json_get_int (o, "decode_us", 0));
  self->seed = ing_json_get_int (o, "seed", -1);
  self->tokens_per_second = MAX (0, ing_json_get_double (o, "tokens_per_second", 0));
}

static char *
write_stats (IngMessage *self)
{
  g_autoptr (JsonObject) o = json_object_new ();
  json_object_set_int_member (o, "n_tokens", self->n_tokens);
  json_object_set_int_member (o, "n_prompt", self->n_prompt);
  json_object_set_int_member (o, "n_cached", self->n_cached);
  json_object_set_int_member (o, "first_token_us", self->first_token_us);
  json_object_set_int_member (o, "prefill_us", self->prefill_us);
  json_object_set_int_member (o, "decode_us", self->decode_us);
  json_object_set_int_member (o, "seed", self->seed);
  json_object_set_double_member (o, "tokens_per_second", self->tokens_per_second);
  return ing_json_print_object (o);
}

IngMessage *
ing_message_new_from_row (const IngMessageRow *row, IngMessage *parent)
{
  IngMessage *self = ing_message_new (row->id, row->conversation_id, parent, row->role);
  self->dirty = FALSE;
  self->stored = TRUE;
  self->state = row->state;
  self->stop_reason = row->stop_reason;
  self->created_us = row->created_us;
  self->chosen_child = row->chosen_child;
  self->model_name = g_strdup (row->model_name);
  self->model_path = g_strdup (row->model_path);
  self->device = g_strdup (row->device);
  self->error = row->error != NULL ? ing_error_from_json (row->error) : NULL;
  if (row->sampling != NULL)
    ing_sampling_from_json (&self->sampling, row->sampling);
  if (row->stats != NULL)
    read_stats (self, row->stats);
  for (guint i = 0; i < row->parts->len; i++)
    {
      g_autoptr (IngPart) part = ing_part_new_from_row (g_ptr_array_index (row->parts, i));
      g_list_store_append (self->parts, part);
    }
  return self;
}

IngMessageRow *
ing_message_make_row (IngMessage *self, guint first_part)
{
  IngMessageRow *row = ing_message_row_new ();
  row->id = self->id;
  row->conversation_id = self->conversation_id;
  row->parent_id = ing_message_get_parent_id (self);
  row->role = self->role;
  row->state = self->state;
  row->stop_reason = self->stop_reason;
  row->created_us = self->created_us;
  row->chosen_child = self->chosen_child;
  row->model_name = g_strdup (self->model_name);
  row->model_path = g_strdup (self->model_path);
  row->device = g_strdup (self->device);
  row->error = self->error != NULL ? ing_error_to_json (self->error) : NULL;
  if (self->role == ING_ROLE_ASSISTANT)
    {
      row->sampling = ing_sampling_to_json (&self->sampling);
      row->stats = write_stats (self);
    }
  guint n = ing_message_get_n_parts (self);
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (row->parts, i >= first_part
                                     ? ing_part_make_row (ing_message_get_part (self, i))
                                     : ing_part_row_new (ING_PART_TEXT, NULL, NULL));
  return row;
}

/* ------------------------------------------------------------------ changes */

static void
notify (IngMessage *self, int prop)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[prop]);
}

static void
mark_part (IngMessage *self, guint index)
{
  self->dirty = TRUE;
  self->dirty_part = MIN (self->dirty_part, index);
}

void
ing_message_add_part (IngMessage *self, IngPart *part)
{
  guint n = ing_message_get_n_parts (self);
  if (n > 0)
    {
      IngPart *last = ing_message_get_part (self, n - 1);
      ing_part_end (last);
      mark_part (self, n - 1);
    }
  g_list_store_append (self->parts, part);
  mark_part (self, n);
  g_signal_emit (self, signals[PART_ADDED], 0, part);
}

void
ing_message_append (IngMessage *self, IngPartKind kind, const char *text)
{
  guint n = ing_message_get_n_parts (self);
  IngPart *part = n > 0 ? ing_message_get_part (self, n - 1) : NULL;
  if (part == NULL || ing_part_get_kind (part) != kind)
    {
      g_autoptr (IngPart) grown = ing_part_new_growing (kind);
      ing_message_add_part (self, grown);
      part = grown;
      n++;
    }
  ing_part_append (part, text);
  mark_part (self, n - 1);
  g_signal_emit (self, signals[TEXT_APPENDED], 0, part, text);
}

void
ing_message_set_state (IngMessage *self, IngMessageState state)
{
  guint n = ing_message_get_n_parts (self);
  if (n > 0 && state > ING_MESSAGE_STREAMING)
    {
      ing_part_end (ing_message_get_part (self, n - 1));
      mark_part (self, n - 1);
    }
  self->dirty = TRUE;
  if (self->state == state)
    return;
  self->state = state;
  notify (self, PROP_STATE);
}

void
ing_message_set_status (IngMessage *self, IngMessageStatus status)
{
  if (self->status == status)
    return;
  self->status = status;
  notify (self, PROP_STATUS);
}

void
ing_message_set_siblings (IngMessage *self, guint index, guint n)
{
  if (self->sibling_index != index)
    {
      self->sibling_index = index;
      notify (self, PROP_SIBLING_INDEX);
    }
  if (self->n_siblings != n)
    {
      self->n_siblings = n;
      notify (self, PROP_N_SIBLINGS);
    }
}

void
ing_message_set_error (IngMessage *self, const GError *error)
{
  if (error == NULL && self->error == NULL)
    return;
  g_clear_error (&self->error);
  self->error = error != NULL ? g_error_copy (error) : NULL;
  self->dirty = TRUE;
  notify (self, PROP_ERROR);
}

void
ing_message_follow (IngMessage *self, IngGeneration *g)
{
  g_object_freeze_notify (G_OBJECT (self));
  if (self->progress_done != g->progress_done || self->progress_total != g->progress_total)
    {
      self->progress_done = g->progress_done;
      self->progress_total = g->progress_total;
      self->seconds_left = g->seconds_left;
      notify (self, PROP_PROGRESS_DONE);
      notify (self, PROP_PROGRESS_TOTAL);
      notify (self, PROP_SECONDS_LEFT);
    }
  if (self->n_tokens != g->n_tokens && g->n_tokens > 0)
    {
      self->n_tokens = g->n_tokens;
      notify (self, PROP_N_TOKENS);
    }
  if (self->tokens_per_second != g->tokens_per_second && g->tokens_per_second > 0)
    {
      self->tokens_per_second = g->tokens_per_second;
      notify (self, PROP_TOKENS_PER_SECOND);
    }
  if (g->model_name != NULL && self->model_name == NULL)
    {
      self->model_name = g_strdup (g->model_name);
      self->model_path = g_strdup (g->model_path);
      self->device = g_strdup (g->device);
    }
  self->sampling = g->sampling;
  self->first_token_us = g->first_token_us;
  if (g->finished)
    {
      self->n_prompt = g->n_prompt;
      self->n_cached = g->n_cached;
      self->prefill_us = g->prefill_us;
      self->decode_us = g->decode_us;
      self->seed = g->seed;
    }
  g_object_thaw_notify (G_OBJECT (self));
}

/* ------------------------------------------------------------------ reading */

gint64
ing_message_get_id (IngMessage *self)
{
  return self->id;
}

gint64
ing_message_get_parent_id (IngMessage *self)
{
  return self->parent != NULL ? self->parent->id : 0;
}

IngRole
ing_message_get_role (IngMessage *self)
{
  return self->role;
}

IngMessageState
ing_message_get_state (IngMessage *self)
{
  return self->state;
}

IngMessageStatus
ing_message_get_status (IngMessage *self)
{
  return self->status;
}

IngStopReason
ing_message_get_stop_reason (IngMessage *self)
{
  return self->stop_reason;
}

gint64
ing_message_get_created_us (IngMessage *self)
{
  return self->created_us;
}

guint
ing_message_get_n_parts (IngMessage *self)
{
  return g_list_model_get_n_items (G_LIST_MODEL (self->parts));
}

IngPart *
ing_message_get_part (IngMessage *self, guint index)
{
  g_autoptr (IngPart) part = g_list_model_get_item (G_LIST_MODEL (self->parts), index);
  return part; /* the list holds it */
}

GListModel *
ing_message_list_parts (IngMessage *self)
{
  return G_LIST_MODEL (self->parts);
}

static char *
join_parts (IngMessage *self, IngPartKind kind, gboolean or_null)
{
  g_autoptr (GString) out = g_string_new (NULL);
  gboolean any = FALSE;
  guint n = ing_message_get_n_parts (self);
  for (guint i = 0; i < n; i++)
    {
      IngPart *part = ing_message_get_part (self, i);
      if (ing_part_get_kind (part) != kind)
        continue;
      any = TRUE;
      if (out->len > 0)
        g_string_append (out, "\n\n");
      g_string_append (out, ing_part_get_text (part));
    }
  return any || !or_null ? g_string_free (g_steal_pointer (&out), FALSE) : NULL;
}

char *
ing_message_dup_text (IngMessage *self)
{
  return join_parts (self, ING_PART_TEXT, FALSE);
}

char *
ing_message_dup_reasoning (IngMessage *self)
{
  return join_parts (self, ING_PART_REASONING, TRUE);
}

guint
ing_message_get_sibling_index (IngMessage *self)
{
  return self->sibling_index;
}

guint
ing_message_get_n_siblings (IngMessage *self)
{
  return self->n_siblings;
}

const GError *
ing_message_get_error (IngMessage *self)
{
  return self->error;
}

gboolean
ing_message_can_continue (IngMessage *self)
{
  return self->role == ING_ROLE_ASSISTANT
         && (self->state == ING_MESSAGE_STOPPED || self->state == ING_MESSAGE_INTERRUPTED
             || self->state == ING_MESSAGE_FAILED);
}

guint64
ing_message_get_progress_done (IngMessage *self)
{
  return self->progress_done;
}

guint64
ing_message_get_progress_total (IngMessage *self)
{
  return self->progress_total;
}

double
ing_message_get_seconds_left (IngMessage *self)
{
  return self->seconds_left;
}

double
ing_message_get_tokens_per_second (IngMessage *self)
{
  return self->tokens_per_second;
}

guint
ing_message_get_n_tokens (IngMessage *self)
{
  return self->n_tokens;
}

guint
ing_message_get_n_prompt (IngMessage *self)
{
  return self->n_prompt;
}

gint64
ing_message_get_first_token_us (IngMessage *self)
{
  return self->first_token_us;
}

const char *
ing_message_get_model_name (IngMessage *self)
{
  return self->model_name;
}

const char *
ing_message_get_device (IngMessage *self)
{
  return self->device;
}

void
ing_message_get_sampling (IngMessage *self, IngSampling *out)
{
  *out = self->sampling;
}
