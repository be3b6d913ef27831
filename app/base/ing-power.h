/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the machine should be spared: it runs on its battery (UPower, org.freedesktop.UPower on the system bus, property
 * OnBattery), or a person or the desktop has chosen to save power (GPowerProfileMonitor, which a sandbox has too). Where
 * neither is there, never. Main thread only; nothing blocks. */
#pragma once

#include <glib.h>

typedef struct _IngPower IngPower;

/* @changed: comes when the answer is another than before, which is FALSE at first. */
IngPower *ing_power_new (void (*changed) (gboolean sparing, gpointer data), gpointer data);
gboolean ing_power_get_sparing (IngPower *self);
void ing_power_free (IngPower *self);
