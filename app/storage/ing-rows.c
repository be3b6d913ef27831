/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-rows.h"

IngConversationRow *
ing_conversation_row_new (void)
{
  return g_new0 (IngConversationRow, 1);
}

void
ing_conversation_row_free (IngConversationRow *row)
{
  if (row == NULL)
    return;
  g_free (row->title);
  g_free (row->system_prompt);
  g_free (row->model_path);
  g_free (row->sampling);
  g_free (row->draft);
  g_free (row);
}

IngPartRow *
ing_part_row_new (IngPartKind kind, const char *text, const char *data)
{
  IngPartRow *row = g_new0 (IngPartRow, 1);
  row->kind = kind;
  row->text = g_strdup (text != NULL ? text : "");
  row->data = g_strdup (data);
  return row;
}

void
ing_part_row_free (IngPartRow *row)
{
  g_free (row->text);
  g_free (row->data);
  g_free (row);
}

IngMessageRow *
ing_message_row_new (void)
{
  IngMessageRow *row = g_new0 (IngMessageRow, 1);
  row->parts = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_part_row_free);
  return row;
}

void
ing_message_row_free (IngMessageRow *row)
{
  if (row == NULL)
    return;
  g_free (row->model_name);
  g_free (row->model_path);
  g_free (row->device);
  g_free (row->sampling);
  g_free (row->stats);
  g_free (row->error);
  g_ptr_array_unref (row->parts);
  g_free (row);
}
