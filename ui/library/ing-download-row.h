/* SPDX-License-Identifier: Apache-2.0 */
/* A row for one download: name, how far, how fast, how long still; pause, go on, give up; at the end open it. Main thread
 * only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_DOWNLOAD_ROW (ing_download_row_get_type ())
G_DECLARE_FINAL_TYPE (IngDownloadRow, ing_download_row, ING, DOWNLOAD_ROW, AdwActionRow)

GtkWidget *ing_download_row_new (IngWorkspace *workspace, IngJob *job);

G_END_DECLS
