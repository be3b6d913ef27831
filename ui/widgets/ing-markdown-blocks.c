/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-markdown-blocks.h"

#include "ing-code-block.h"
#include "ing-text-selection.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* Breaking lines costs the square of a run without spaces: 8 KB of brackets took 2.5 s, 2 KB 0.2 s. */
#define PIECE_BYTES 2048
#define UNBROKEN_BYTES 512

/* What a widget was made for; a widget is reused for its own kind only. */
typedef enum
{
  WIDGET_NONE,
  WIDGET_LABEL,
  WIDGET_LONG, /* box of labels: a very long paragraph */
  WIDGET_CODE,
  WIDGET_QUOTE,
  WIDGET_LIST,
  WIDGET_ITEM,
  WIDGET_TABLE,
  WIDGET_BIG_TABLE,
  WIDGET_RULE,
} WidgetKind;

static GQuark
kind_quark (void)
{
  return g_quark_from_static_string ("ing-markdown-block");
}

static WidgetKind
get_kind (GtkWidget *widget)
{
  return widget != NULL ? GPOINTER_TO_INT (g_object_get_qdata (G_OBJECT (widget), kind_quark ()))
                        : WIDGET_NONE;
}

static void
set_kind (GtkWidget *widget, WidgetKind kind)
{
  g_object_set_qdata (G_OBJECT (widget), kind_quark (), GINT_TO_POINTER (kind));
}

static GtkWidget *
new_box (WidgetKind kind, GtkOrientation orientation, int spacing, GtkAccessibleRole role)
{
  GtkWidget *box = g_object_new (GTK_TYPE_BOX, "orientation", orientation, "spacing", spacing,
                                 "accessible-role", role, NULL);

  set_kind (box, kind);
  return box;
}

static void
set_markup (GtkLabel *label, const char *markup)
{
  if (g_strcmp0 (gtk_label_get_label (label), markup) != 0)
    gtk_label_set_markup (label, markup);
}

static GtkWidget *
new_text_label (const IngMarkdownBlocks *self, const char *separator)
{
  GtkWidget *label = g_object_new (GTK_TYPE_LABEL, "xalign", 0.0f, "wrap", TRUE, "wrap-mode",
                                   PANGO_WRAP_WORD_CHAR, NULL);

  gtk_widget_add_css_class (label, "markdown-text");
  ing_text_selection_mark_label (GTK_LABEL (label), separator);
  g_signal_connect (label, "activate-link", self->activate, self->user_data);
  return label;
}

static GtkWidget *
update_long (const IngMarkdownBlocks *self, GtkWidget *existing, const IngBlock *block)
{
  GtkWidget *box = existing;
  GtkWidget *child;
  g_autofree char *plain = ing_markdown_dup_plain (block->text->str);
  const char *rest;

  if (get_kind (box) != WIDGET_LONG)
    box = new_box (WIDGET_LONG, GTK_ORIENTATION_VERTICAL, 0, GTK_ACCESSIBLE_ROLE_GROUP);
  child = gtk_widget_get_first_child (box);
  for (rest = plain; *rest != '\0';)
    {
      gsize left = strlen (rest), n = MIN (left, PIECE_BYTES);
      g_autofree char *piece = NULL;

      if (n < left)
        {
          const char *cut = g_strrstr_len (rest, (gssize) n, "\n");

          if (cut == NULL || cut == rest)
            cut = g_strrstr_len (rest, (gssize) n, " ");
          n = cut != NULL && cut != rest
                  ? (gsize) (cut - rest)
                  : (gsize) (g_utf8_find_prev_char (rest, rest + UNBROKEN_BYTES + 1) - rest);
        }
      piece = g_strndup (rest, n);
      rest += n;
      if (*rest == '\n' || *rest == ' ')
        rest++;
      if (child == NULL)
        {
          child = new_text_label (self, rest - plain > PIECE_BYTES + 1 ? " " : "\n\n");
          gtk_box_append (GTK_BOX (box), child);
        }
      if (g_strcmp0 (gtk_label_get_text (GTK_LABEL (child)), piece) != 0)
        gtk_label_set_text (GTK_LABEL (child), piece);
      child = gtk_widget_get_next_sibling (child);
    }
  while (child != NULL)
    {
      GtkWidget *next = gtk_widget_get_next_sibling (child);

      gtk_box_remove (GTK_BOX (box), child);
      child = next;
    }
  return box;
}

static GtkWidget *
update_text (const IngMarkdownBlocks *self, GtkWidget *existing, const IngBlock *block)
{
  static const char *const heading_classes[] = { "title-3", "title-4", "heading", "heading",
                                                 "heading", "heading" };
  GtkWidget *label = existing;
  const char *heading = block->kind == ING_BLOCK_HEADING
                            ? heading_classes[CLAMP (block->level, 1, 6) - 1]
                            : NULL;

  if (block->text != NULL && block->text->len > ING_MARKDOWN_MAX_LABEL_BYTES)
    return update_long (self, existing, block);
  if (get_kind (label) != WIDGET_LABEL)
    {
      label = new_text_label (self, "\n\n");
      set_kind (label, WIDGET_LABEL);
    }
  for (gsize i = 0; i < 3; i++)
    if (g_strcmp0 (heading, heading_classes[i]) != 0)
      gtk_widget_remove_css_class (label, heading_classes[i]);
  if (heading != NULL)
    gtk_widget_add_css_class (label, heading);
  set_markup (GTK_LABEL (label), block->text != NULL ? block->text->str : "");
  return label;
}

/* Bring the children of @box up to @blocks. */
static void
sync_box (const IngMarkdownBlocks *self, GtkWidget *box, GPtrArray *blocks)
{
  GtkWidget *child = gtk_widget_get_first_child (box);
  GtkWidget *previous = NULL;
  IngMarkdownBlocks inner = *self;

  for (guint i = 0; blocks != NULL && i < blocks->len; i++)
    {
      GtkWidget *next = child != NULL ? gtk_widget_get_next_sibling (child) : NULL;
      GtkWidget *made;

      inner.growing = self->growing && i + 1 == blocks->len;
      made = ing_markdown_block_update (&inner, child, g_ptr_array_index (blocks, i));
      if (made != child)
        {
          if (child != NULL)
            gtk_box_remove (GTK_BOX (box), child);
          gtk_box_insert_child_after (GTK_BOX (box), made, previous);
        }
      previous = made;
      child = next;
    }
  while (child != NULL)
    {
      GtkWidget *next = gtk_widget_get_next_sibling (child);

      gtk_box_remove (GTK_BOX (box), child);
      child = next;
    }
}

static GtkWidget *
update_quote (const IngMarkdownBlocks *self, GtkWidget *existing, const IngBlock *block)
{
  GtkWidget *box = existing;

  if (get_kind (box) != WIDGET_QUOTE)
    {
      box = new_box (WIDGET_QUOTE, GTK_ORIENTATION_VERTICAL, 8, GTK_ACCESSIBLE_ROLE_GROUP);
      gtk_widget_add_css_class (box, "quote");
    }
  sync_box (self, box, block->children);
  return box;
}

static void
set_item_mark (GtkWidget *item, const char *mark)
{
  gtk_label_set_text (GTK_LABEL (gtk_widget_get_first_child (item)), mark);
}

static GtkWidget *
update_item (const IngMarkdownBlocks *self, GtkWidget *existing, const IngBlock *block)
{
  GtkWidget *item = existing;

  if (get_kind (item) != WIDGET_ITEM)
    {
      GtkWidget *mark = g_object_new (GTK_TYPE_LABEL, "xalign", 1.0f, "valign", GTK_ALIGN_START, NULL);
      GtkWidget *content = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);

      item = new_box (WIDGET_ITEM, GTK_ORIENTATION_HORIZONTAL, 8, GTK_ACCESSIBLE_ROLE_LIST_ITEM);
      gtk_widget_add_css_class (mark, "markdown-text");
      gtk_widget_add_css_class (mark, "list-mark");
      ing_text_selection_mark_label (GTK_LABEL (mark), "\n");
      gtk_widget_set_hexpand (content, TRUE);
      gtk_box_append (GTK_BOX (item), mark);
      gtk_box_append (GTK_BOX (item), content);
    }
  sync_box (self, gtk_widget_get_last_child (item), block->children);
  return item;
}

/* The first label of an item follows its mark on the same line, also when copied. */
static void
join_mark (GtkWidget *item)
{
  GtkWidget *first = gtk_widget_get_first_child (gtk_widget_get_last_child (item));

  if (first != NULL && GTK_IS_LABEL (first))
    ing_text_selection_mark_label (GTK_LABEL (first), " ");
}

static GtkWidget *
update_list (const IngMarkdownBlocks *self, GtkWidget *existing, const IngBlock *block)
{
  GtkWidget *list = existing;
  GtkWidget *item;
  guint number = block->level;

  if (get_kind (list) != WIDGET_LIST)
    list = new_box (WIDGET_LIST, GTK_ORIENTATION_VERTICAL, 4, GTK_ACCESSIBLE_ROLE_LIST);
  gtk_box_set_spacing (GTK_BOX (list), block->tight ? 4 : 8);
  sync_box (self, list, block->children);
  item = gtk_widget_get_first_child (list);
  for (guint i = 0; item != NULL && i < block->children->len;
       i++, item = gtk_widget_get_next_sibling (item))
    {
      const IngBlock *child = g_ptr_array_index (block->children, i);
      g_autofree char *mark = block->ordered ? g_strdup_printf ("%u.", number + i) : NULL;

      if (get_kind (item) != WIDGET_ITEM)
        continue;
      if (child->task != ING_TASK_NONE)
        set_item_mark (item, child->task == ING_TASK_DONE ? "☑" : "☐");
      else
        set_item_mark (item, mark != NULL ? mark : "•");
      join_mark (item);
    }
  return list;
}

void
ing_markdown_block_set_ordinal (GtkWidget *list, guint ordinal)
{
  GtkWidget *item = get_kind (list) == WIDGET_LIST ? gtk_widget_get_first_child (list) : NULL;
  g_autofree char *mark = g_strdup_printf ("%u.", ordinal);

  if (get_kind (item) == WIDGET_ITEM
      && g_str_has_suffix (gtk_label_get_text (GTK_LABEL (gtk_widget_get_first_child (item))), "."))
    set_item_mark (item, mark);
}

/* A table beyond reason, as lines of text. */
static GtkWidget *
update_big_table (GtkWidget *existing, const IngBlock *block)
{
  GtkWidget *code = existing;
  g_autoptr (GString) text = g_string_new (NULL);

  if (get_kind (code) != WIDGET_BIG_TABLE)
    {
      code = ing_code_block_new ();
      set_kind (code, WIDGET_BIG_TABLE);
    }
  for (guint i = 0; i < block->children->len; i++)
    {
      const IngBlock *row = g_ptr_array_index (block->children, i);

      for (guint j = 0; row->children != NULL && j < row->children->len; j++)
        {
          const IngBlock *cell = g_ptr_array_index (row->children, j);
          g_autofree char *plain = ing_markdown_dup_plain (cell->text->str);

          g_string_append_printf (text, j > 0 ? " | %s" : "%s", plain);
        }
      g_string_append_c (text, '\n');
    }
  ing_code_block_set_code (ING_CODE_BLOCK (code), NULL, text->str, text->len, FALSE);
  return code;
}

static GtkWidget *
new_table (void)
{
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *grid = gtk_grid_new ();

  set_kind (scroller, WIDGET_TABLE);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_AUTOMATIC,
                                  GTK_POLICY_NEVER);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_propagate_natural_width (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_widget_set_halign (scroller, GTK_ALIGN_START);
  gtk_widget_add_css_class (scroller, "markdown-table");
  gtk_widget_set_valign (grid, GTK_ALIGN_START);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), grid);
  return scroller;
}

static GtkWidget *
new_cell (const IngMarkdownBlocks *self, guint row, guint column)
{
  GtkWidget *label = new_text_label (self, column > 0 ? "\t" : row > 0 ? "\n" : "\n\n");

  gtk_widget_add_css_class (label, "table-cell");
  /* Cells wrap at a readable width; the table scrolls beyond the column. */
  gtk_label_set_max_width_chars (GTK_LABEL (label), 36);
  gtk_label_set_width_chars (GTK_LABEL (label), 3);
  gtk_widget_set_valign (label, GTK_ALIGN_FILL);
  gtk_label_set_yalign (GTK_LABEL (label), 0);
  return label;
}

static GtkWidget *
update_table (const IngMarkdownBlocks *self, GtkWidget *existing, const IngBlock *block)
{
  guint n_rows = block->children != NULL ? block->children->len : 0;
  GtkWidget *scroller = existing;
  GtkGrid *grid;

  if ((guint64) n_rows * block->level > ING_MARKDOWN_MAX_CELLS)
    return update_big_table (existing, block);
  if (get_kind (scroller) != WIDGET_TABLE)
    scroller = new_table ();
  grid = GTK_GRID (gtk_widget_get_first_child (
      gtk_scrolled_window_get_child (GTK_SCROLLED_WINDOW (scroller))));
  for (guint i = 0; i < n_rows; i++)
    {
      const IngBlock *row = g_ptr_array_index (block->children, i);

      for (guint j = 0; j < block->level; j++)
        {
          const IngBlock *cell = row->children != NULL && j < row->children->len
                                     ? g_ptr_array_index (row->children, j)
                                     : NULL;
          GtkWidget *label = gtk_grid_get_child_at (grid, (int) j, (int) i);

          if (label == NULL)
            {
              label = new_cell (self, i, j);
              gtk_grid_attach (grid, label, (int) j, (int) i, 1, 1);
            }
          if (i == 0)
            gtk_widget_add_css_class (label, "table-head");
          gtk_label_set_xalign (GTK_LABEL (label), cell != NULL ? cell->xalign : 0);
          set_markup (GTK_LABEL (label), cell != NULL ? cell->text->str : "");
        }
    }
  while (gtk_grid_get_child_at (grid, 0, (int) n_rows) != NULL)
    gtk_grid_remove_row (grid, (int) n_rows);
  while (gtk_grid_get_child_at (grid, (int) block->level, 0) != NULL)
    gtk_grid_remove_column (grid, (int) block->level);
  return scroller;
}

GtkWidget *
ing_markdown_block_update (const IngMarkdownBlocks *self, GtkWidget *existing, const IngBlock *block)
{
  GtkWidget *widget = existing;

  switch (block->kind)
    {
    case ING_BLOCK_QUOTE:
      return update_quote (self, existing, block);
    case ING_BLOCK_LIST:
      return update_list (self, existing, block);
    case ING_BLOCK_ITEM:
      return update_item (self, existing, block);
    case ING_BLOCK_TABLE:
      return update_table (self, existing, block);
    case ING_BLOCK_RULE:
      if (get_kind (widget) != WIDGET_RULE)
        {
          widget = gtk_separator_new (GTK_ORIENTATION_HORIZONTAL);
          set_kind (widget, WIDGET_RULE);
        }
      return widget;
    case ING_BLOCK_CODE:
      if (get_kind (widget) != WIDGET_CODE)
        {
          widget = ing_code_block_new ();
          set_kind (widget, WIDGET_CODE);
        }
      ing_code_block_set_code (ING_CODE_BLOCK (widget), block->language, block->text->str,
                               block->text->len, self->growing);
      return widget;
    default:
      return update_text (self, existing, block);
    }
}
