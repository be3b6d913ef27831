/* SPDX-License-Identifier: Apache-2.0 */
/* The Markdown view: what it shows, what growth costs, and that hostile text does no harm. */
#include "ing-code-block.h"
#include "ing-markdown-chunks.h"
#include "ing-markdown-parse.h"
#include "ing-markdown-view.h"

#include <adwaita.h>
#include <gtk/gtk.h>
#include <string.h>

static const char sample[]
    = "# Title\n\nFirst *paragraph* with `code` and **bold**.\nSecond line.\n\n"
      "1. one\n2. two\n   - inner\n\n   more of two\n3. three\n\n"
      "| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | 4 |\n\n"
      "> quoted\n> text\n\n```python\nprint (\"<b>&\")\n\nx = 1\n```\n\n---\n\n"
      "See [here](https://example.org/a?b=1&c=2) or <https://example.net>.\n\n"
      "    indented\n\n    code\n\nlast **words**";

static GtkWidget *
new_window (GtkWidget *child)
{
  GtkWidget *window = gtk_window_new ();
  GtkWidget *scroller = gtk_scrolled_window_new ();

  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), child);
  gtk_window_set_child (GTK_WINDOW (window), scroller);
  gtk_window_set_default_size (GTK_WINDOW (window), 700, 600);
  gtk_window_present (GTK_WINDOW (window));
  return window;
}

static void
settle (void)
{
  gint64 end = g_get_monotonic_time () + 50 * 1000;

  while (g_get_monotonic_time () < end)
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (1000);
}

static GtkWidget *
find_type (GtkWidget *root, GType type, guint skip)
{
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      GtkWidget *found;

      if (G_TYPE_CHECK_INSTANCE_TYPE (child, type) && skip-- == 0)
        return child;
      found = find_type (child, type, skip);
      if (found != NULL)
        return found;
    }
  return NULL;
}

static char *
all_markup (GtkWidget *root)
{
  GString *out = g_string_new (NULL);

  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      if (GTK_IS_LABEL (child))
        g_string_append_printf (out, "%s\n", gtk_label_get_label (GTK_LABEL (child)));
      else
        {
          g_autofree char *inner = all_markup (child);

          g_string_append (out, inner);
        }
    }
  return g_string_free (out, FALSE);
}

static IngMarkdownView *
new_view (void)
{
  return ING_MARKDOWN_VIEW (g_object_ref_sink (ing_markdown_view_new ()));
}

static char *
plain_of (const char *text)
{
  g_autoptr (IngMarkdownView) view = new_view ();

  ing_markdown_view_set_text (view, text, FALSE);
  return ing_markdown_view_dup_plain (view);
}

static void
test_plain (void)
{
  g_autofree char *plain = plain_of (sample);

  g_assert_cmpstr (plain, ==,
                   "Title\n\nFirst paragraph with code and bold.\nSecond line.\n"
                   "1. one\n2. two\n• inner\n\nmore of two\n3. three\n\n"
                   "a\tb\n1\t2\n3\t4\n\nquoted\ntext\n\nprint (\"<b>&\")\n\nx = 1\n\n"
                   "See here or https://example.net.\n\nindented\n\ncode\n\nlast words");
}

static void
test_ordered_numbers (void)
{
  g_autofree char *plain = plain_of ("1. a\n1. b\n1. c\n\ntext\n\n7) x\n8) y");

  g_assert_cmpstr (plain, ==, "1. a\n2. b\n3. c\n\ntext\n7. x\n8. y");
}

static void
test_markup_is_literal (void)
{
  static const char text[] = "<b>no</b> <span foreground='red'>x</span> & &amp; <script>alert (1)</script> "
                             "</span> &#60;i&#62; <a href=\"https://evil.example\">x</a>";
  g_autoptr (IngMarkdownView) view = new_view ();
  g_autofree char *plain = NULL;

  ing_markdown_view_set_text (view, text, FALSE);
  plain = ing_markdown_view_dup_plain (view);
  g_assert_cmpstr (plain, ==,
                   "<b>no</b> <span foreground='red'>x</span> & & <script>alert (1)</script> "
                   "</span> <i> <a href=\"https://evil.example\">x</a>");
}

static void
test_links (void)
{
  static const struct
  {
    const char *text;
    gboolean link;
  } cases[] = {
    { "[x](https://example.org)", TRUE },
    { "[x](http://example.org)", TRUE },
    { "[x](mailto:a@example.org)", TRUE },
    { "[x](javascript:alert(1))", FALSE },
    { "[x](JaVaScRiPt:alert(1))", FALSE },
    { "[x](&#106;avascript:alert(1))", FALSE },
    { "[x](file:///etc/passwd)", FALSE },
    { "[x](data:text/html,hi)", FALSE },
    { "[x](//example.org/a)", FALSE },
    { "[x](relative)", FALSE },
    { "<file:///etc/passwd>", FALSE },
    { "<javascript:alert(1)>", FALSE },
    { "https://bare.example/", TRUE },
    { "![pixel](https://tracker.example/p.png)", FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (IngMarkdownView) view = new_view ();
      g_autofree char *markup = NULL;

      ing_markdown_view_set_text (view, cases[i].text, FALSE);
      markup = all_markup (GTK_WIDGET (view));
      g_test_message ("%s -> %s", cases[i].text, markup);
      g_assert_true ((strstr (markup, "<a ") != NULL) == cases[i].link);
      g_assert_null (find_type (GTK_WIDGET (view), GTK_TYPE_PICTURE, 0));
      g_assert_null (find_type (GTK_WIDGET (view), GTK_TYPE_IMAGE, 0));
    }
}

static void
citation_cb (guint *pressed, guint number)
{
  *pressed = number;
}

/* A mark of a source opens nothing by itself: the view says which one was pressed. */
static void
test_citations (void)
{
  g_autoptr (IngMarkdownView) view = new_view ();
  g_autofree char *markup = NULL;
  GtkWidget *label;
  guint pressed = 99;
  gboolean handled = FALSE;

  ing_markdown_view_set_text (view, "It is so. [\\[12\\]](citation:12) Or not. [\\[?\\]](citation:0) [x](citation:x)", FALSE);
  markup = all_markup (GTK_WIDGET (view));
  g_assert_nonnull (strstr (markup, "<a href=\"citation:12\""));
  g_assert_nonnull (strstr (markup, "<a href=\"citation:0\""));
  g_assert_null (strstr (markup, "citation:x"));
  g_signal_connect_swapped (view, "citation", G_CALLBACK (citation_cb), &pressed);
  label = find_type (GTK_WIDGET (view), GTK_TYPE_LABEL, 0);
  g_assert_nonnull (label);
  g_signal_emit_by_name (label, "activate-link", "citation:12", &handled);
  g_assert_true (handled);
  g_assert_cmpuint (pressed, ==, 12);
}

static void
test_shown_address (void)
{
  g_autofree char *shown = ing_markdown_dup_shown_address ("https://аpple.com/x?y#z");
  g_autofree char *user
      = ing_markdown_dup_shown_address ("https://example.org@%D0%B0pple.com:8080/");
  g_autofree char *same = ing_markdown_dup_shown_address ("https://example.org/a%2Fb");

  g_assert_cmpstr (shown, ==, "https://xn--pple-43d.com/x?y#z");
  g_assert_cmpstr (same, ==, "https://example.org/a%2Fb");
  g_assert_cmpstr (user, ==, "https://example.org@xn--pple-43d.com:8080/");
}

/* Text that grows byte by byte ends as the same text set at once, and costs one chunk a step. */
static void
test_growing (void)
{
  g_autoptr (IngMarkdownView) view = new_view ();
  GtkWidget *window = new_window (GTK_WIDGET (view));
  g_autofree char *grown = NULL;
  g_autofree char *whole = plain_of (sample);
  guint64 parsed;

  for (gsize n = 1; n <= strlen (sample); n++)
    {
      g_autofree char *part = g_strndup (sample, n);

      if (!g_utf8_validate (part, -1, NULL))
        continue;
      ing_markdown_view_set_text (view, part, TRUE);
      if (n % 16 == 0)
        settle ();
    }
  ing_markdown_view_set_text (view, sample, FALSE);
  grown = ing_markdown_view_dup_plain (view);
  g_assert_cmpstr (grown, ==, whole);
  parsed = ing_markdown_view_get_n_parsed (view);
  g_assert_cmpuint (parsed, <, 2 * strlen (sample));
  ing_markdown_view_set_text (view, sample, FALSE);
  g_assert_cmpuint (ing_markdown_view_get_n_parsed (view), ==, parsed);
  gtk_window_destroy (GTK_WINDOW (window));
}

/* Half-written markers never show. */
static void
test_half_markers (void)
{
  static const char *const cases[][2] = {
    { "some **bo", "some bo" },        { "some **", "some " },       { "some **bold*", "some bold" },
    { "some `co", "some co" },         { "some `", "some " },        { "some *", "some " },
    { "```c\nint x;\n``", "int x;" },  { "a ** b", "a ** b" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (IngMarkdownView) view = new_view ();
      g_autofree char *plain = NULL;

      ing_markdown_view_set_text (view, cases[i][0], TRUE);
      plain = ing_markdown_view_dup_plain (view);
      g_strchomp (plain);
      g_test_message ("%s", cases[i][0]);
      g_assert_true (g_str_has_prefix (cases[i][1], plain));
      g_assert_cmpuint (strlen (cases[i][1]), <=, strlen (plain) + 1); /* but for a space at the end */
    }
}

static void
test_growth_is_linear (void)
{
  g_autoptr (IngMarkdownView) view = new_view ();
  g_autoptr (GString) text = g_string_new (NULL);
  gint64 first = 0, last = 0;

  for (guint i = 0; i < 400; i++)
    {
      gint64 start;

      g_string_append_printf (text, "Paragraph %u with some **bold** words.\n\n- item\n- item\n\n", i);
      start = g_get_monotonic_time ();
      ing_markdown_view_set_text (view, text->str, TRUE);
      if (i >= 20 && i < 60)
        first += g_get_monotonic_time () - start;
      else if (i >= 360)
        last += g_get_monotonic_time () - start;
    }
  g_assert_cmpuint (ing_markdown_view_get_n_parsed (view), <, 400 * 5);
  g_test_message ("40 steps at the start: %" G_GINT64_FORMAT " µs, at the end: %" G_GINT64_FORMAT " µs",
                  first, last);
  g_assert_cmpint (last, <, 4 * first + 20000);
}

static void
test_code (void)
{
  g_autoptr (IngMarkdownView) view = new_view ();
  GtkWidget *window = new_window (GTK_WIDGET (view));
  GtkWidget *code, *copy;
  g_autoptr (GString) text = g_string_new ("```c\n");
  gsize start;

  for (guint i = 0; i < 100; i++)
    {
      g_string_append_printf (text, "int x%u = %u; /* <&> */\n", i, i);
      ing_markdown_view_set_text (view, text->str, TRUE);
    }
  start = strlen ("```c\n");
  code = find_type (GTK_WIDGET (view), ING_TYPE_CODE_BLOCK, 0);
  g_assert_nonnull (code);
  g_assert_cmpuint (strlen (ing_code_block_get_code (ING_CODE_BLOCK (code))), ==,
                    text->len - start - 1);
  for (guint i = 0; i < 12; i++)
    settle ();
  {
    g_autofree char *plain = ing_markdown_view_dup_plain (view);

    g_assert_cmpstr (plain, ==, ing_code_block_get_code (ING_CODE_BLOCK (code)));
  }
  copy = find_type (code, GTK_TYPE_BUTTON, 0);
  gtk_test_accessible_assert_role (copy, GTK_ACCESSIBLE_ROLE_BUTTON);
  gtk_test_accessible_assert_property (copy, GTK_ACCESSIBLE_PROPERTY_LABEL, "Copy code");
  g_signal_emit_by_name (copy, "clicked");
  settle ();
  gtk_window_destroy (GTK_WINDOW (window));
}

/* Show hostile text in a window, whole and growing; within reason of time and without criticals. */
static void
show_hostile (const char *name, const char *text, double limit_s)
{
  g_autoptr (IngMarkdownView) view = new_view ();
  GtkWidget *window = new_window (GTK_WIDGET (view));
  gint64 start = g_get_monotonic_time ();
  double seconds;

  ing_markdown_view_set_text (view, text, FALSE);
  settle ();
  seconds = (double) (g_get_monotonic_time () - start) / 1e6;
  g_test_message ("%s: %.2f s", name, seconds);
  g_assert_cmpfloat (seconds, <, limit_s);
  g_assert_nonnull (gtk_widget_get_first_child (GTK_WIDGET (view)));
  gtk_window_destroy (GTK_WINDOW (window));
}

static char *
repeat (const char *piece, guint n)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    g_string_append (out, piece);
  return g_string_free (out, FALSE);
}

static void
test_hostile (void)
{
  static const struct
  {
    const char *name;
    const char *piece;
    guint n;
  } cases[] = {
    { "quotes", ">", 10000 },          { "quotes with spaces", "> ", 10000 },
    { "lists", "- ", 10000 },          { "numbers", "1. ", 10000 },
    { "brackets", "[", 20000 },        { "links", "[a](", 10000 },
    { "images", "![", 20000 },         { "stars", "*a ", 20000 },
    { "mixed stars", "*a_ ", 20000 },  { "ticks", "`a``", 10000 },
    { "angles", "<", 20000 },          { "entities", "&amp;", 20000 },
    { "pipes", "|a", 20000 },          { "fences", "```\n", 5000 },
    { "backslashes", "\\", 20000 },    { "one long word", "word", 200000 },
    { "lines", "line\n", 40000 },      { "paragraphs", "line\n\n", 2000 },
    { "headings", "# h\n", 1000 },     { "combining", "a\xcc\x81\xcc\x81\xcc\x81", 5000 },
    { "right to left", "\xe2\x80\xae" "abc ", 5000 },
    { "items", "* a\n", 1000 },        { "controls", "\x01\x02\x1b\x7f", 2000 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = repeat (cases[i].piece, cases[i].n);

      show_hostile (cases[i].name, text, 8);
    }
}

static void
test_big_table (void)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < 501; i++)
    {
      for (guint j = 0; j < 500; j++)
        g_string_append (text, i == 1 ? "|-" : "|7");
      g_string_append (text, "|\n");
    }
  show_hostile ("500×500 table", text->str, 8);
}

static void
test_big_code (void)
{
  g_autofree char *lines = repeat ("int main (void) { return 0; } /* some code */\n", 110000);
  g_autofree char *text = g_strconcat ("```c\n", lines, "```\n", NULL);
  g_autofree char *row = repeat ("0123456789abcdef", 64 * 1024 * 5);
  g_autofree char *one_line = g_strconcat ("```\n", row, "\n```\n", NULL);

  g_assert_cmpuint (strlen (text), >, 5 * 1000 * 1000);
  show_hostile ("5 MB of code", text, 8);
  show_hostile ("5 MB in one line", one_line, 8);
}

/* Random bytes and random pieces of Markdown; the seed is GLib's and printed by it. */
static void
test_random (void)
{
  static const char *const pieces[]
      = { "*", "**", "_", "`", "```\n", "~~~", "\n", "\n\n", "> ", "- ", "1. ", "# ", "[", "](", ")", "!",
          "<", ">", "&", ";", "|", "---", ":--|", "  ", "    ", "\t", "\\", "word ", "中文。", "https://x.y",
          "~~", "&#x41;", "&lt;", "\r\n", "[ ] ", "\xff", "\xe2\x80" };
  g_autoptr (IngMarkdownView) view = new_view ();
  GtkWidget *window = new_window (GTK_WIDGET (view));

  for (guint i = 0; i < 300; i++)
    {
      g_autoptr (GString) text = g_string_new (NULL);
      guint n = (guint) g_test_rand_int_range (1, 60);

      for (guint j = 0; j < n; j++)
        {
          g_string_append (text, pieces[g_test_rand_int_range (0, G_N_ELEMENTS (pieces))]);
          if (g_utf8_validate (text->str, -1, NULL))
            ing_markdown_view_set_text (view, text->str, TRUE);
        }
      ing_markdown_view_set_text (view, text->str, FALSE);
      if (g_utf8_validate (text->str, -1, NULL))
        {
          g_autofree char *grown = ing_markdown_view_dup_plain (view);
          g_autofree char *whole = plain_of (text->str);

          g_assert_cmpstr (grown, ==, whole);
        }
      if (i % 50 == 0)
        settle ();
    }
  gtk_window_destroy (GTK_WINDOW (window));
}

static void
test_selection (void)
{
  g_autoptr (IngMarkdownView) view = new_view ();
  GtkWidget *window = new_window (GTK_WIDGET (view));
  g_autofree char *selected = NULL;
  g_autofree char *nothing = NULL;

  ing_markdown_view_set_text (view, "one\n\n- two\n\n```\nthree\n```\n", FALSE);
  settle ();
  g_assert_true (gtk_widget_activate_action (GTK_WIDGET (view), "selection.select-all", NULL));
  selected = ing_markdown_view_dup_selection (view);
  g_assert_cmpstr (selected, ==, "one\n• two\n\nthree");
  g_assert_true (gtk_widget_activate_action (GTK_WIDGET (view), "selection.copy", NULL));
  settle ();
  ing_markdown_view_set_text (view, "other", FALSE);
  nothing = ing_markdown_view_dup_selection (view);
  g_assert_cmpstr (nothing, ==, "");
  g_assert_cmpuint (ing_markdown_view_set_needle (view, "OTH"), ==, 1);
  ing_markdown_view_set_text (view, "other other", FALSE);
  g_assert_cmpuint (ing_markdown_view_set_needle (view, "OTH"), ==, 2);
  g_assert_cmpuint (ing_markdown_view_set_needle (view, NULL), ==, 0);
  gtk_window_destroy (GTK_WINDOW (window));
}

int
main (int argc, char **argv)
{
  gtk_test_init (&argc, &argv, NULL);
  adw_init ();
  g_test_add_func ("/ui/markdown/plain", test_plain);
  g_test_add_func ("/ui/markdown/ordered-numbers", test_ordered_numbers);
  g_test_add_func ("/ui/markdown/markup-is-literal", test_markup_is_literal);
  g_test_add_func ("/ui/markdown/links", test_links);
  g_test_add_func ("/ui/markdown/citations", test_citations);
  g_test_add_func ("/ui/markdown/shown-address", test_shown_address);
  g_test_add_func ("/ui/markdown/growing", test_growing);
  g_test_add_func ("/ui/markdown/half-markers", test_half_markers);
  g_test_add_func ("/ui/markdown/growth-is-linear", test_growth_is_linear);
  g_test_add_func ("/ui/markdown/code", test_code);
  g_test_add_func ("/ui/markdown/selection", test_selection);
  g_test_add_func ("/ui/markdown/random", test_random);
  g_test_add_func ("/ui/markdown/hostile", test_hostile);
  g_test_add_func ("/ui/markdown/big-table", test_big_table);
  g_test_add_func ("/ui/markdown/big-code", test_big_code);
  return g_test_run ();
}
