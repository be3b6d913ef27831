/* SPDX-License-Identifier: Apache-2.0 */
/* On battery, collections wait: a system bus of the test's own, with a UPower that says what it is told to. */
#include "app-test.h"
#include "ing-collections.h"
#include "ing-document-private.h"

static const char interface_xml[] = "<node><interface name='org.freedesktop.UPower'>"
                                    "<property name='OnBattery' type='b' access='read'/></interface></node>";

typedef struct
{
  GTestDBus *bus;
  GDBusConnection *connection;
  guint name_id;
  gboolean named, on_battery;
} Battery;

static GVariant *
get_property (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *property,
              GError **error, gpointer data)
{
  return g_variant_new_boolean (((Battery *) data)->on_battery);
}

static void
on_named (GDBusConnection *connection, const char *name, gpointer data)
{
  ((Battery *) data)->named = TRUE;
}

static void
set_up_battery (Battery *battery)
{
  static const GDBusInterfaceVTable vtable = { NULL, get_property, NULL, { NULL } };
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusNodeInfo) info = g_dbus_node_info_new_for_xml (interface_xml, &error);
  g_assert_no_error (error);
  g_test_dbus_up (battery->bus);
  g_setenv ("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address (battery->bus), TRUE);
  battery->connection = g_dbus_connection_new_for_address_sync (
      g_test_dbus_get_bus_address (battery->bus),
      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, &error);
  g_assert_no_error (error);
  g_dbus_connection_register_object (battery->connection, "/org/freedesktop/UPower", info->interfaces[0], &vtable, battery,
                                     NULL, &error);
  g_assert_no_error (error);
  battery->name_id = g_bus_own_name_on_connection (battery->connection, "org.freedesktop.UPower", G_BUS_NAME_OWNER_FLAGS_NONE,
                                                   on_named, NULL, battery, NULL);
  app_test_wait (battery->named);
}

static void
set_on_battery (Battery *battery, gboolean on_battery)
{
  GVariantDict changed;
  battery->on_battery = on_battery;
  g_variant_dict_init (&changed, NULL);
  g_variant_dict_insert (&changed, "OnBattery", "b", on_battery);
  g_dbus_connection_emit_signal (battery->connection, NULL, "/org/freedesktop/UPower", "org.freedesktop.DBus.Properties",
                                 "PropertiesChanged",
                                 g_variant_new ("(s@a{sv}^as)", "org.freedesktop.UPower", g_variant_dict_end (&changed),
                                                (const char *[]){ NULL }),
                                 NULL);
}

static char *
write_file (const char *folder, const char *name)
{
  char *path = g_build_filename (folder, name, NULL);
  g_assert_true (g_file_set_contents (path, "The rent is 900 euros a month.", -1, NULL));
  return path;
}

static gboolean
is_read (IngDocumentLibrary *library, const char *path)
{
  IngDocument *document = ing_document_library_find (library, path);
  return document != NULL && document->cancellable == NULL
         && (ing_document_get_state (document) == ING_DOCUMENT_WORDS
             || ing_document_get_state (document) == ING_DOCUMENT_READY);
}

static IngCollectionState
get_state (IngCollections *collections, IngCollection *collection)
{
  IngCollectionState state;
  ing_collections_get_state (collections, ing_collection_get_owner (collection), &state);
  return state;
}

/* What a collection was given waits for the mains, what a conversation was given does not; a person may have it read all the
 * same, once or always. */
static void
test_battery (void)
{
  Battery battery = { .bus = g_test_dbus_new (G_TEST_DBUS_NONE), .on_battery = TRUE };
  g_autofree char *daemon = g_find_program_in_path ("dbus-daemon");
  if (daemon == NULL)
    {
      g_test_skip ("no dbus-daemon");
      return;
    }
  set_up_battery (&battery);
  g_autofree char *folder = app_test_make_folder (), *data = app_test_make_folder ();
  IngWorkspace *workspace = app_test_open (data, APP_TEST_FAKE_THREAD);
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
  IngCollections *collections = ing_document_library_get_collections (library);
  IngCollection *collection = ing_collections_create (collections, "Flat");
  gint64 owner = ing_collection_get_owner (collection);
  app_test_wait (get_state (collections, collection).sparing);

  g_autofree char *first = write_file (folder, "first.md"), *dropped = write_file (folder, "dropped.md");
  ing_collections_add (collections, owner, (const char *const[]){ first, NULL });
  ing_document_library_add (library, 1, dropped);
  app_test_wait (is_read (library, dropped) && !ing_collections_is_looking (collections, owner));
  g_assert_cmpint (ing_document_get_state (ing_document_library_find (library, first)), ==, ING_DOCUMENT_WAITING);
  g_assert_false (get_state (collections, collection).working);

  set_on_battery (&battery, FALSE);
  app_test_wait (is_read (library, first));
  g_assert_false (get_state (collections, collection).sparing);

  /* Once, although it is on battery. */
  set_on_battery (&battery, TRUE);
  app_test_wait (get_state (collections, collection).sparing);
  g_autofree char *second = write_file (folder, "second.md");
  ing_collections_add (collections, owner, (const char *const[]){ second, NULL });
  app_test_wait (!ing_collections_is_looking (collections, owner));
  g_assert_false (is_read (library, second));
  ing_collections_set_sparing (collections, FALSE);
  app_test_wait (is_read (library, second));

  /* Always. */
  set_on_battery (&battery, FALSE);
  set_on_battery (&battery, TRUE);
  app_test_wait (get_state (collections, collection).sparing);
  ing_settings_set_boolean (ing_workspace_get_settings (workspace), ING_SETTING_ON_BATTERY, TRUE);
  g_assert_false (get_state (collections, collection).sparing);

  app_test_close (workspace);
  g_bus_unown_name (battery.name_id);
  g_object_unref (battery.connection);
  g_test_dbus_stop (battery.bus); /* not down: it waits for a connection that GIO keeps */
  g_object_unref (battery.bus);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/power/battery", test_battery);
  return g_test_run ();
}
