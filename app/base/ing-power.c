/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-power.h"

#include <gio/gio.h>

#define UPOWER "org.freedesktop.UPower"

struct _IngPower
{
  void (*changed) (gboolean sparing, gpointer data);
  gpointer data;
  GCancellable *cancellable; /* cancelled: this is freed */
  GDBusProxy *battery;       /* NULL = not there yet, or never */
  GPowerProfileMonitor *profile;
  gboolean sparing;
};

static gboolean
is_on_battery (IngPower *self)
{
  g_autoptr (GVariant) value
      = self->battery != NULL ? g_dbus_proxy_get_cached_property (self->battery, "OnBattery") : NULL;
  return value != NULL && g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN) && g_variant_get_boolean (value);
}

static void
update (IngPower *self)
{
  gboolean sparing = is_on_battery (self) || g_power_profile_monitor_get_power_saver_enabled (self->profile);
  if (sparing == self->sparing)
    return;
  self->sparing = sparing;
  self->changed (sparing, self->data);
}

static void
on_battery_there (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  GDBusProxy *battery = g_dbus_proxy_new_for_bus_finish (result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* @data is gone */
  IngPower *self = data;
  self->battery = battery;
  if (battery == NULL) /* no system bus */
    return;
  g_signal_connect_swapped (battery, "g-properties-changed", G_CALLBACK (update), self);
  update (self);
}

IngPower *
ing_power_new (void (*changed) (gboolean sparing, gpointer data), gpointer data)
{
  IngPower *self = g_new0 (IngPower, 1);
  self->changed = changed;
  self->data = data;
  self->cancellable = g_cancellable_new ();
  self->profile = g_power_profile_monitor_dup_default ();
  g_signal_connect_swapped (self->profile, "notify::power-saver-enabled", G_CALLBACK (update), self);
  g_dbus_proxy_new_for_bus (G_BUS_TYPE_SYSTEM, G_DBUS_PROXY_FLAGS_NONE, NULL, UPOWER, "/org/freedesktop/UPower", UPOWER,
                            self->cancellable, on_battery_there, self);
  update (self);
  return self;
}

gboolean
ing_power_get_sparing (IngPower *self)
{
  return self->sparing;
}

void
ing_power_free (IngPower *self)
{
  g_cancellable_cancel (self->cancellable);
  g_object_unref (self->cancellable);
  if (self->battery != NULL)
    g_signal_handlers_disconnect_by_data (self->battery, self);
  g_clear_object (&self->battery);
  g_signal_handlers_disconnect_by_data (self->profile, self);
  g_object_unref (self->profile);
  g_free (self);
}
