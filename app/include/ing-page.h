/* SPDX-License-Identifier: Apache-2.0 */
/* A page of a PDF as a picture, drawn by the confined reader. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* 32 bits a pixel, native-endian xRGB, and the boxes of what was looked for in pixels. */
typedef struct
{
  guint width, height, stride;
  GBytes *pixels; /* stride * height */
  GArray *boxes;  /* of float[4]: x, y, width, height */
} IngPagePicture;
void ing_page_picture_clear (IngPagePicture *picture);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (IngPagePicture, ing_page_picture_clear)

/* @page from 1; @width 1 … 8192 pixels; @find may be NULL. Errors: those of ing-reader-client.h. Main thread only; the work
 * is done on another. */
void ing_page_draw_async (const char *path, guint page, guint width, const char *find, GCancellable *cancellable,
                          GAsyncReadyCallback callback, gpointer user_data);
/* FALSE with an error; else the caller clears @out. */
gboolean ing_page_draw_finish (GAsyncResult *result, IngPagePicture *out, GError **error);

G_END_DECLS
