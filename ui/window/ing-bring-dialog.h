/* SPDX-License-Identifier: Apache-2.0 */
/* "Bring data from another installation": choose its folder, watch it come, remove it there or leave it (ing-bring.h). */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

/* Outside a sandbox the Flatpak's folder is taken where it is there; else, and inside one, the person chooses. */
void ing_bring_dialog_start (GtkWindow *parent, IngWorkspace *workspace);
