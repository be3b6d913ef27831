/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-error-private.h"
#include "ing-job-private.h"

#define NOTIFY_MS 100
#define STORE_US G_USEC_PER_SEC

G_DEFINE_FINAL_TYPE (IngJob, ing_job, G_TYPE_OBJECT)

enum
{
  PROP_0,
  PROP_STATE,
  PROP_FRACTION,
  PROP_STATUS_TEXT,
  PROP_ERROR,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

static void
ing_job_finalize (GObject *object)
{
  IngJob *self = ING_JOB (object);
  g_clear_object (&self->database);
  g_clear_object (&self->cancellable);
  g_clear_error (&self->error);
  g_clear_pointer (&self->row, ing_job_row_free);
  g_free (self->status_text);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (ing_job_parent_class)->finalize (object);
}

static void
ing_job_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  IngJob *self = ING_JOB (object);
  switch (id)
    {
    case PROP_STATE:
      g_value_set_int (value, ing_job_get_state (self));
      break;
    case PROP_FRACTION:
      g_value_set_double (value, ing_job_get_fraction (self));
      break;
    case PROP_STATUS_TEXT:
      g_value_take_string (value, ing_job_dup_status_text (self));
      break;
    case PROP_ERROR:
      g_value_set_boxed (value, self->error);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
ing_job_class_init (IngJobClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;
  object_class->finalize = ing_job_finalize;
  object_class->get_property = ing_job_get_property;
  props[PROP_STATE] = g_param_spec_int ("state", NULL, NULL, 0, ING_JOB_CANCELLED, 0, flags);
  props[PROP_FRACTION] = g_param_spec_double ("fraction", NULL, NULL, -1, 1, -1, flags);
  props[PROP_STATUS_TEXT] = g_param_spec_string ("status-text", NULL, NULL, NULL, flags);
  props[PROP_ERROR] = g_param_spec_boxed ("error", NULL, NULL, G_TYPE_ERROR, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
ing_job_init (IngJob *self)
{
  g_mutex_init (&self->lock);
}

IngJob *
ing_job_new (IngDatabase *database, const IngJobRow *row)
{
  IngJob *self = g_object_new (ING_TYPE_JOB, NULL);
  self->database = g_object_ref (database);
  self->row = ing_job_row_copy (row);
  self->error = row->error != NULL ? ing_error_from_json (row->error) : NULL;
  return self;
}

IngJobRow *
ing_job_dup_row (IngJob *self)
{
  g_mutex_lock (&self->lock);
  IngJobRow *row = ing_job_row_copy (self->row);
  g_mutex_unlock (&self->lock);
  return row;
}

static gpointer
write_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_job_table_write (db, data, error) ? db : NULL;
}

/* It gets somewhere: deaths so far were not its own doing. */
static gpointer
checkpoint_func (IngDatabase *db, gpointer data, GError **error)
{
  const IngJobRow *row = data;
  return ing_job_table_write (db, row, error) && ing_job_table_forgive (db, row->id, error) ? db : NULL;
}

void
ing_job_set_state (IngJob *self, IngJobState state, const GError *error)
{
  g_clear_error (&self->error);
  self->error = error != NULL ? g_error_copy (error) : NULL;
  g_mutex_lock (&self->lock);
  self->row->state = state;
  g_free (self->row->error);
  self->row->error = error != NULL ? ing_error_to_json (error) : NULL;
  g_mutex_unlock (&self->lock);
  g_object_freeze_notify (G_OBJECT (self));
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_ERROR]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_FRACTION]);
  g_object_thaw_notify (G_OBJECT (self));
}

/* ------------------------------------------------------------------ for the job's own code */

static gboolean
on_notify (gpointer data)
{
  IngJob *self = data;
  g_mutex_lock (&self->lock);
  self->notify_id = 0;
  g_mutex_unlock (&self->lock);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_FRACTION]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATUS_TEXT]);
  gint64 now = g_get_monotonic_time ();
  if (now - self->stored_us >= STORE_US && ing_job_get_state (self) == ING_JOB_RUNNING)
    {
      self->stored_us = now;
      ing_database_run_async (self->database, write_func, ing_job_dup_row (self),
                              (GDestroyNotify) ing_job_row_free, NULL, NULL, NULL, NULL);
    }
  return G_SOURCE_REMOVE;
}

/* Call with the lock held. */
static void
notify_soon (IngJob *self)
{
  if (self->notify_id == 0)
    self->notify_id = g_timeout_add_full (G_PRIORITY_DEFAULT, NOTIFY_MS, on_notify,
                                          g_object_ref (self), g_object_unref);
}

void
ing_job_set_progress (IngJob *self, guint64 done, guint64 total)
{
  g_mutex_lock (&self->lock);
  self->row->done = done;
  self->row->total = total;
  notify_soon (self);
  g_mutex_unlock (&self->lock);
}

void
ing_job_set_status_text (IngJob *self, const char *text)
{
  g_mutex_lock (&self->lock);
  g_free (self->status_text);
  self->status_text = g_strdup (text);
  notify_soon (self);
  g_mutex_unlock (&self->lock);
}

gboolean
ing_job_checkpoint (IngJob *self, const char *json, GError **error)
{
  g_mutex_lock (&self->lock);
  g_free (self->row->checkpoint);
  self->row->checkpoint = g_strdup (json);
  g_mutex_unlock (&self->lock);
  g_autoptr (GError) local = NULL;
  IngJobRow *row = ing_job_dup_row (self);
  ing_database_run_sync (self->database, checkpoint_func, row, &local);
  ing_job_row_free (row);
  if (local == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

void
ing_job_set_result (IngJob *self, const char *json)
{
  g_mutex_lock (&self->lock);
  g_free (self->row->result);
  self->row->result = g_strdup (json);
  g_mutex_unlock (&self->lock);
}

/* ------------------------------------------------------------------ reading */

#define LOCKED(type, expression)                                                                   \
  g_mutex_lock (&self->lock);                                                                      \
  type value = (expression);                                                                       \
  g_mutex_unlock (&self->lock);                                                                    \
  return value

gint64
ing_job_get_id (IngJob *self)
{
  return self->row->id;
}

const char *
ing_job_get_kind (IngJob *self)
{
  return self->row->kind;
}

const char *
ing_job_get_title (IngJob *self)
{
  return self->row->title;
}

const char *
ing_job_get_payload (IngJob *self)
{
  return self->row->payload;
}

int
ing_job_get_priority (IngJob *self)
{
  return self->row->priority;
}

const GError *
ing_job_get_error (IngJob *self)
{
  return self->error;
}

IngJobState
ing_job_get_state (IngJob *self)
{
  LOCKED (IngJobState, self->row->state);
}

guint64
ing_job_get_done (IngJob *self)
{
  LOCKED (guint64, self->row->done);
}

guint64
ing_job_get_total (IngJob *self)
{
  LOCKED (guint64, self->row->total);
}

double
ing_job_get_fraction (IngJob *self)
{
  LOCKED (double, self->row->state == ING_JOB_DONE ? 1
                  : self->row->total == 0 ? -1
                                          : CLAMP ((double) self->row->done / self->row->total, 0, 1));
}

char *
ing_job_dup_status_text (IngJob *self)
{
  LOCKED (char *, g_strdup (self->status_text));
}

char *
ing_job_dup_checkpoint (IngJob *self)
{
  LOCKED (char *, g_strdup (self->row->checkpoint));
}

char *
ing_job_dup_result (IngJob *self)
{
  LOCKED (char *, g_strdup (self->row->result));
}
