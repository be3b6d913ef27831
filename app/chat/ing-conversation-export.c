/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n-lib.h>

#include "ing-conversation-private.h"
#include "ing-json.h"

static char *
format_time (gint64 us)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (us / G_USEC_PER_SEC);
  return time != NULL ? g_date_time_format_iso8601 (time) : g_strdup ("");
}

/* ------------------------------------------------------------------ Markdown */

static void
add_message_markdown (GString *out, IngMessage *message)
{
  const char *model = ing_message_get_model_name (message);
  if (message->role == ING_ROLE_USER)
    g_string_append_printf (out, "\n## %s\n", _ ("Question"));
  else if (model != NULL)
    g_string_append_printf (out, "\n## %s (%s)\n", _ ("Answer"), model);
  else
    g_string_append_printf (out, "\n## %s\n", _ ("Answer"));
  guint n = ing_message_get_n_parts (message);
  for (guint i = 0; i < n; i++)
    {
      IngPart *part = ing_message_get_part (message, i);
      const char *text = ing_part_get_text (part);
      switch (ing_part_get_kind (part))
        {
        case ING_PART_REASONING:
          {
            g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
            g_string_append_printf (out, "\n> *%s*\n", _ ("Reasoning"));
            for (guint l = 0; lines[l] != NULL; l++)
              g_string_append_printf (out, "> %s\n", lines[l]);
            break;
          }
        case ING_PART_FILE:
        case ING_PART_IMAGE:
          g_string_append_printf (out, "\n- %s\n",
                                  ing_part_get_name (part) != NULL ? ing_part_get_name (part) : "");
          break;
        case ING_PART_TEXT:
        case ING_PART_TOOL:
        default:
          g_string_append_printf (out, "\n%s\n", text);
        }
    }
}

static char *
export_markdown (IngConversation *self)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autofree char *created = format_time (self->created_us);
  g_string_append_printf (out, "# %s\n\n%s\n", ing_conversation_get_display_title (self), created);
  if (*self->system_prompt != '\0')
    g_string_append_printf (out, "\n## %s\n\n%s\n", _ ("Instructions"), self->system_prompt);
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->branch));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (IngMessage) message = g_list_model_get_item (G_LIST_MODEL (self->branch), i);
      add_message_markdown (out, message);
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* ------------------------------------------------------------------ JSON */

static const char *const role_names[] = { NULL, "user", "assistant", "system", "tool" };
static const char *const state_names[]
    = { NULL, "pending", "streaming", "complete", "stopped", "interrupted", "failed" };
static const char *const kind_names[] = { NULL, "text", "reasoning", "file", "image", "tool" };

static void
set_string (JsonObject *object, const char *name, const char *value)
{
  if (value != NULL)
    json_object_set_string_member (object, name, value);
}

static JsonObject *
export_part (IngPart *part)
{
  JsonObject *o = json_object_new ();
  set_string (o, "kind", kind_names[ing_part_get_kind (part)]);
  if (ing_part_get_text_bytes (part) > 0)
    set_string (o, "text", ing_part_get_text (part));
  set_string (o, "name", ing_part_get_name (part));
  set_string (o, "mime", ing_part_get_mime (part));
  return o;
}

static JsonObject *
export_message (IngMessage *message)
{
  JsonObject *o = json_object_new ();
  JsonArray *parts = json_array_new ();
  g_autofree char *created = format_time (message->created_us);
  json_object_set_int_member (o, "id", message->id);
  if (message->parent != NULL)
    json_object_set_int_member (o, "parent", message->parent->id);
  set_string (o, "role", role_names[message->role]);
  set_string (o, "state", state_names[message->state]);
  set_string (o, "created", created);
  set_string (o, "model", message->model_name);
  set_string (o, "device", message->device);
  if (message->role == ING_ROLE_ASSISTANT)
    {
      g_autofree char *json = ing_sampling_to_json (&message->sampling);
      json_object_set_object_member (o, "sampling", ing_json_parse_object (json, -1, NULL));
      json_object_set_int_member (o, "tokens", message->n_tokens);
      json_object_set_double_member (o, "tokens_per_second", message->tokens_per_second);
    }
  guint n = ing_message_get_n_parts (message);
  for (guint i = 0; i < n; i++)
    json_array_add_object_element (parts, export_part (ing_message_get_part (message, i)));
  json_object_set_array_member (o, "parts", parts);
  return o;
}

static void
export_tree (JsonArray *out, GPtrArray *siblings)
{
  /* Without recursion: a branch may be thousands of turns deep. */
  g_autoptr (GQueue) todo = g_queue_new ();
  for (guint i = 0; i < siblings->len; i++)
    g_queue_push_tail (todo, g_ptr_array_index (siblings, i));
  IngMessage *message;
  while ((message = g_queue_pop_head (todo)) != NULL)
    {
      json_array_add_object_element (out, export_message (message));
      for (guint i = 0; i < message->children->len; i++)
        g_queue_push_tail (todo, g_ptr_array_index (message->children, i));
    }
}

static char *
export_json (IngConversation *self)
{
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  g_autoptr (JsonObject) o = json_object_new ();
  JsonArray *messages = json_array_new ();
  g_autofree char *created = format_time (self->created_us);
  g_autofree char *updated = format_time (self->updated_us);
  set_string (o, "format", "inglenook-conversation-1");
  set_string (o, "title", self->title);
  set_string (o, "created", created);
  set_string (o, "updated", updated);
  set_string (o, "system_prompt", self->system_prompt);
  export_tree (messages, self->roots);
  json_object_set_array_member (o, "messages", messages);
  json_node_set_object (root, o);
  return ing_json_print (root, TRUE);
}

/* ------------------------------------------------------------------ */

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  IngConversation *self = ING_CONVERSATION (source);
  IngExportFormat format = GPOINTER_TO_INT (g_task_get_task_data (task));
  GError *error = NULL;
  if (!ing_conversation_load_finish (self, result, &error))
    g_task_return_error (task, error);
  else
    g_task_return_pointer (
        task, format == ING_EXPORT_JSON ? export_json (self) : export_markdown (self), g_free);
}

void
ing_conversation_export_async (IngConversation *self, IngExportFormat format,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_task_data (task, GINT_TO_POINTER (format), NULL);
  ing_conversation_load_async (self, cancellable, on_loaded, task);
}

char *
ing_conversation_export_finish (IngConversation *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
