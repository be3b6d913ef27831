/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-page.h"

#include "ing-reader-client.h"

typedef struct
{
  char *path, *find;
  guint page, width;
} Wanted;

static void
wanted_free (gpointer data)
{
  Wanted *wanted = data;
  g_free (wanted->path);
  g_free (wanted->find);
  g_free (wanted);
}

static void
picture_free (gpointer data)
{
  ing_page_picture_clear (data);
  g_free (data);
}

static void
draw (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  const Wanted *wanted = data;
  GError *error = NULL;
  IngPagePicture *picture = g_new0 (IngPagePicture, 1);
  if (ing_reader_draw_page (wanted->path, wanted->page, wanted->width, wanted->find, cancellable, picture, &error))
    {
      g_task_return_pointer (task, picture, picture_free);
      return;
    }
  picture_free (picture); /* it may hold boxes already */
  g_task_return_error (task, error);
}

void
ing_page_draw_async (const char *path, guint page, guint width, const char *find, GCancellable *cancellable,
                     GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Wanted *wanted = g_new0 (Wanted, 1);
  *wanted = (Wanted){ g_strdup (path), g_strdup (find), page, width };
  g_task_set_source_tag (task, ing_page_draw_async);
  g_task_set_task_data (task, wanted, wanted_free);
  g_task_run_in_thread (task, draw);
}

gboolean
ing_page_draw_finish (GAsyncResult *result, IngPagePicture *out, GError **error)
{
  g_autofree IngPagePicture *picture = g_task_propagate_pointer (G_TASK (result), error);
  if (picture == NULL)
    return FALSE;
  *out = *picture;
  return TRUE;
}
