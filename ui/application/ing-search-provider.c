/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-search-provider.h"

#include <string.h>

#define INTERFACE "org.gnome.Shell.SearchProvider2"
#define MAX_RESULTS 20
#define MAX_QUERY_BYTES 1000

struct _IngSearchProvider
{
  GObject parent_instance;

  IngConversationList *conversations; /* NULL until they are known */
  GDBusConnection *connection;
  guint registration;
  GPtrArray *waiting; /* of GDBusMethodInvocation */
  GHashTable *found;  /* id → IngSearchHit, of the searches since the last one from scratch */
  guint n_running;
};

G_DEFINE_FINAL_TYPE (IngSearchProvider, ing_search_provider, G_TYPE_OBJECT)

enum
{
  SIGNAL_USED,
  SIGNAL_OPENED,
  SIGNAL_LAUNCHED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static const char introspection[]
    = "<node><interface name='" INTERFACE "'>"
      "<method name='GetInitialResultSet'><arg type='as' direction='in'/><arg type='as' direction='out'/></method>"
      "<method name='GetSubsearchResultSet'><arg type='as' direction='in'/><arg type='as' direction='in'/>"
      "<arg type='as' direction='out'/></method>"
      "<method name='GetResultMetas'><arg type='as' direction='in'/><arg type='aa{sv}' direction='out'/></method>"
      "<method name='ActivateResult'><arg type='s' direction='in'/><arg type='as' direction='in'/>"
      "<arg type='u' direction='in'/></method>"
      "<method name='LaunchSearch'><arg type='as' direction='in'/><arg type='u' direction='in'/></method>"
      "</interface></node>";

static char *
dup_query (GVariant *terms)
{
  gsize n_bytes = 0;
  g_autofree const char **words = g_variant_get_strv (terms, NULL);
  g_autofree char *query = g_strjoinv (" ", (char **) words);

  while (n_bytes < MAX_QUERY_BYTES && query[n_bytes] != '\0')
    n_bytes += (gsize) g_utf8_skip[(guchar) query[n_bytes]];
  return g_strndup (query, n_bytes);
}

static void
parse_id (const char *id, gint64 *conversation, gint64 *message)
{
  char *end = NULL;

  *conversation = g_ascii_strtoll (id, &end, 10);
  *message = *end == '/' ? g_ascii_strtoll (end + 1, NULL, 10) : 0;
}

/* ---------------------------------------------------------------- searching */

typedef struct
{
  IngSearchProvider *self;
  GDBusMethodInvocation *invocation;
} Search;

static void
searched_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Search *search = user_data;
  IngSearchProvider *self = search->self;
  g_autoptr (GListModel) hits = ing_conversation_list_search_finish (ING_CONVERSATION_LIST (source), result, NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  GVariantBuilder ids;

  g_variant_builder_init (&ids, G_VARIANT_TYPE ("as"));
  for (guint i = 0, n = 0; hits != NULL && n < MAX_RESULTS && i < g_list_model_get_n_items (hits); i++)
    {
      g_autoptr (IngSearchHit) hit = g_list_model_get_item (hits, i);
      IngConversation *conversation = ing_search_hit_get_conversation (hit);
      char *id;

      if (!g_hash_table_add (seen, conversation)) /* one line for each, its best */
        continue;
      id = g_strdup_printf ("%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT, ing_conversation_get_id (conversation),
                            ing_search_hit_get_message_id (hit));
      g_variant_builder_add (&ids, "s", id);
      g_hash_table_replace (self->found, id, g_object_ref (hit));
      n++;
    }
  g_dbus_method_invocation_return_value (search->invocation, g_variant_new ("(as)", &ids));
  self->n_running--;
  g_object_unref (self);
  g_free (search);
}

static void
start_search (IngSearchProvider *self, GDBusMethodInvocation *invocation, GVariant *terms)
{
  Search *search = g_new0 (Search, 1);
  g_autofree char *query = dup_query (terms);

  search->self = g_object_ref (self);
  search->invocation = invocation;
  self->n_running++;
  ing_conversation_list_search_async (self->conversations, query, NULL, searched_cb, search);
}

/* ---------------------------------------------------------------- what a result says */

static gboolean
add_meta (IngSearchProvider *self, GVariantBuilder *metas, const char *id)
{
  gint64 conversation_id, message_id;
  IngConversation *conversation;
  IngSearchHit *hit = g_hash_table_lookup (self->found, id);
  g_autoptr (GIcon) icon = g_themed_icon_new (ING_APP_ID);
  GVariant *serialized = g_icon_serialize (icon);

  parse_id (id, &conversation_id, &message_id);
  conversation = ing_conversation_list_lookup (self->conversations, conversation_id);
  if (conversation == NULL) /* deleted meanwhile */
    {
      g_variant_unref (serialized);
      return FALSE;
    }
  g_variant_builder_open (metas, G_VARIANT_TYPE ("a{sv}"));
  g_variant_builder_add (metas, "{sv}", "id", g_variant_new_string (id));
  g_variant_builder_add (metas, "{sv}", "name", g_variant_new_string (ing_conversation_get_display_title (conversation)));
  g_variant_builder_add (metas, "{sv}", "icon", serialized);
  if (hit != NULL && message_id != 0)
    g_variant_builder_add (metas, "{sv}", "description", g_variant_new_string (ing_search_hit_get_snippet (hit, NULL, NULL)));
  g_variant_builder_close (metas);
  g_variant_unref (serialized);
  return TRUE;
}

static void
return_metas (IngSearchProvider *self, GDBusMethodInvocation *invocation, GVariant *ids)
{
  GVariantBuilder metas;
  g_autofree const char **list = g_variant_get_strv (ids, NULL);

  g_variant_builder_init (&metas, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; list[i] != NULL && i < 2 * MAX_RESULTS; i++)
    add_meta (self, &metas, list[i]);
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(aa{sv})", &metas));
}

/* ---------------------------------------------------------------- calls */

/* @invocation is taken. */
static void
answer (IngSearchProvider *self, GDBusMethodInvocation *invocation)
{
  const char *method = g_dbus_method_invocation_get_method_name (invocation);
  GVariant *parameters = g_dbus_method_invocation_get_parameters (invocation);
  g_autoptr (GVariant) first = g_variant_get_child_value (parameters, 0);

  if (g_str_equal (method, "GetInitialResultSet"))
    {
      g_hash_table_remove_all (self->found);
      start_search (self, invocation, first);
    }
  else if (g_str_equal (method, "GetSubsearchResultSet"))
    {
      g_autoptr (GVariant) terms = g_variant_get_child_value (parameters, 1);

      start_search (self, invocation, terms);
    }
  else if (g_str_equal (method, "GetResultMetas"))
    return_metas (self, invocation, first);
  else if (g_str_equal (method, "ActivateResult"))
    {
      g_autoptr (GVariant) terms = g_variant_get_child_value (parameters, 1);
      g_autofree char *needle = dup_query (terms);
      gint64 conversation, message;

      parse_id (g_variant_get_string (first, NULL), &conversation, &message);
      g_dbus_method_invocation_return_value (invocation, NULL);
      g_signal_emit (self, signals[SIGNAL_OPENED], 0, conversation, message, needle);
    }
  else
    {
      g_autofree char *text = dup_query (first);

      g_dbus_method_invocation_return_value (invocation, NULL);
      g_signal_emit (self, signals[SIGNAL_LAUNCHED], 0, text);
    }
}

static void
call_cb (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *method,
         GVariant *parameters, GDBusMethodInvocation *invocation, gpointer user_data)
{
  IngSearchProvider *self = user_data;

  g_signal_emit (self, signals[SIGNAL_USED], 0);
  if (self->conversations != NULL)
    answer (self, invocation);
  else
    g_ptr_array_add (self->waiting, invocation);
}

void
ing_search_provider_set_conversations (IngSearchProvider *self, IngConversationList *conversations)
{
  g_autoptr (GPtrArray) waiting = NULL;

  g_set_object (&self->conversations, conversations);
  g_hash_table_remove_all (self->found);
  if (conversations == NULL)
    return;
  waiting = g_steal_pointer (&self->waiting);
  self->waiting = g_ptr_array_new ();
  for (guint i = 0; i < waiting->len; i++)
    answer (self, waiting->pdata[i]);
}

guint
ing_search_provider_get_n_calls (IngSearchProvider *self)
{
  return self->n_running + self->waiting->len;
}

gboolean
ing_search_provider_export (IngSearchProvider *self, GDBusConnection *connection, const char *path, GError **error)
{
  static const GDBusInterfaceVTable vtable = { .method_call = call_cb };
  g_autoptr (GDBusNodeInfo) node = g_dbus_node_info_new_for_xml (introspection, NULL);

  self->registration = g_dbus_connection_register_object (connection, path, node->interfaces[0], &vtable, self, NULL, error);
  g_set_object (&self->connection, connection);
  return self->registration != 0;
}

void
ing_search_provider_unexport (IngSearchProvider *self)
{
  if (self->registration != 0)
    g_dbus_connection_unregister_object (self->connection, self->registration);
  self->registration = 0;
  g_clear_object (&self->connection);
}

static void
ing_search_provider_dispose (GObject *object)
{
  IngSearchProvider *self = ING_SEARCH_PROVIDER (object);

  ing_search_provider_unexport (self);
  ing_search_provider_set_conversations (self, NULL);
  for (guint i = 0; i < self->waiting->len; i++)
    g_dbus_method_invocation_return_dbus_error (self->waiting->pdata[i], "org.freedesktop.DBus.Error.NoReply", "closing");
  g_ptr_array_set_size (self->waiting, 0);
  G_OBJECT_CLASS (ing_search_provider_parent_class)->dispose (object);
}

static void
ing_search_provider_finalize (GObject *object)
{
  IngSearchProvider *self = ING_SEARCH_PROVIDER (object);

  g_ptr_array_unref (self->waiting);
  g_hash_table_unref (self->found);
  G_OBJECT_CLASS (ing_search_provider_parent_class)->finalize (object);
}

static void
ing_search_provider_class_init (IngSearchProviderClass *klass)
{
  GType type = G_TYPE_FROM_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = ing_search_provider_dispose;
  G_OBJECT_CLASS (klass)->finalize = ing_search_provider_finalize;
  signals[SIGNAL_USED] = g_signal_new ("used", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_OPENED] = g_signal_new ("opened", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 3, G_TYPE_INT64,
                                         G_TYPE_INT64, G_TYPE_STRING);
  signals[SIGNAL_LAUNCHED]
      = g_signal_new ("launched", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
ing_search_provider_init (IngSearchProvider *self)
{
  self->waiting = g_ptr_array_new ();
  self->found = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
}

IngSearchProvider *
ing_search_provider_new (void)
{
  return g_object_new (ING_TYPE_SEARCH_PROVIDER, NULL);
}
