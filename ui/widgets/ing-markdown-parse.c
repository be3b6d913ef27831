/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-markdown-parse.h"

#include <glib/gi18n-lib.h>
#include <md4c.h>
#include <string.h>

typedef struct
{
  GPtrArray *stack;   /* borrowed IngBlock, innermost last */
  guint skipped;      /* blocks entered but flattened away */
  guint n_blocks;
  guint image_depth;
  GArray *spans;      /* Span: open in the text being written, innermost last */
  IngBlock *implicit; /* paragraph that md4c leaves out in tight items */
} Parse;

/* md4c can leave a span that it did not enter, and the other way round (a bare address across the end
 * of emphasis): markup is closed by this list, whatever the parser says. */
typedef struct
{
  MD_SPANTYPE type;
  const char *close; /* markup that ends it */
  GString *out;      /* borrowed: where it was opened */
} Span;

static IngBlock *
ing_block_new (IngBlockKind kind)
{
  IngBlock *self = g_new0 (IngBlock, 1);

  self->kind = kind;
  return self;
}

void
ing_block_free (IngBlock *self)
{
  if (self == NULL)
    return;
  g_clear_pointer (&self->children, g_ptr_array_unref);
  if (self->text != NULL)
    g_string_free (self->text, TRUE);
  g_free (self->language);
  g_free (self);
}

static void
append_child (IngBlock *parent, IngBlock *child)
{
  if (parent->children == NULL)
    parent->children = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_block_free);
  g_ptr_array_add (parent->children, child);
}

static IngBlock *
top (Parse *parse)
{
  return g_ptr_array_index (parse->stack, parse->stack->len - 1);
}

gboolean
ing_markdown_address_is_safe (const char *address)
{
  g_autofree char *scheme = address != NULL ? g_uri_parse_scheme (address) : NULL;

  if (scheme == NULL || strlen (address) > 4096)
    return FALSE;
  return g_str_equal (scheme, "http") || g_str_equal (scheme, "https")
         || g_str_equal (scheme, "mailto");
}

char *
ing_markdown_dup_shown_address (const char *address)
{
  const char *start = strstr (address, "://");
  const char *end, *at;
  g_autofree char *host = NULL;
  g_autofree char *decoded = NULL;
  g_autofree char *ascii = NULL;

  if (start == NULL)
    return g_strdup (address);
  start += 3;
  end = start + strcspn (start, "/?#\\");
  at = g_strrstr_len (start, end - start, "@");
  if (at != NULL)
    start = at + 1;
  if (*start != '[') /* of an IPv6 address */
    end = start + MIN ((gsize) (end - start), strcspn (start, ":"));
  host = g_strndup (start, (gsize) (end - start));
  decoded = g_uri_unescape_string (host, NULL);
  ascii = decoded != NULL ? g_hostname_to_ascii (decoded) : NULL;
  if (ascii == NULL)
    return g_strdup (address);
  return g_strdup_printf ("%.*s%s%s", (int) (start - address), address, ascii, end);
}

static void
append_escaped (GString *out, const char *text, gsize length)
{
  g_autofree char *escaped = g_markup_escape_text (text, (gssize) length);

  g_string_append (out, escaped);
}

/* Entities that models write; the rest of HTML's list stays as written. */
static const struct
{
  const char *name;
  gunichar c;
} entities[] = {
  { "&amp;", '&' },       { "&lt;", '<' },        { "&gt;", '>' },        { "&quot;", '"' },
  { "&apos;", '\'' },     { "&nbsp;", 0xa0 },     { "&copy;", 0xa9 },     { "&reg;", 0xae },
  { "&deg;", 0xb0 },      { "&plusmn;", 0xb1 },   { "&sup2;", 0xb2 },     { "&sup3;", 0xb3 },
  { "&micro;", 0xb5 },    { "&middot;", 0xb7 },   { "&frac12;", 0xbd },   { "&times;", 0xd7 },
  { "&divide;", 0xf7 },   { "&ndash;", 0x2013 },  { "&mdash;", 0x2014 },  { "&lsquo;", 0x2018 },
  { "&rsquo;", 0x2019 },  { "&ldquo;", 0x201c },  { "&rdquo;", 0x201d },  { "&bull;", 0x2022 },
  { "&hellip;", 0x2026 }, { "&euro;", 0x20ac },   { "&trade;", 0x2122 },  { "&larr;", 0x2190 },
  { "&rarr;", 0x2192 },   { "&harr;", 0x2194 },   { "&rArr;", 0x21d2 },   { "&infin;", 0x221e },
  { "&asymp;", 0x2248 },  { "&ne;", 0x2260 },     { "&le;", 0x2264 },     { "&ge;", 0x2265 },
  { "&alpha;", 0x3b1 },   { "&beta;", 0x3b2 },    { "&pi;", 0x3c0 },      { "&lambda;", 0x3bb },
};

static gboolean
decode_entity (const char *text, gsize length, gunichar *out)
{
  for (gsize i = 0; i < G_N_ELEMENTS (entities); i++)
    if (strlen (entities[i].name) == length && memcmp (entities[i].name, text, length) == 0)
      {
        *out = entities[i].c;
        return TRUE;
      }
  if (length > 3 && length < 12 && text[1] == '#')
    {
      gboolean hex = text[2] == 'x' || text[2] == 'X';
      g_autofree char *digits = g_strndup (text + (hex ? 3 : 2), length - (hex ? 4 : 3));
      guint64 value = g_ascii_strtoull (digits, NULL, hex ? 16 : 10);

      *out = value != 0 && value <= 0x10ffff && g_unichar_validate ((gunichar) value)
                 ? (gunichar) value
                 : 0xfffd;
      return TRUE;
    }
  return FALSE;
}

static char *
dup_attribute (const MD_ATTRIBUTE *attribute)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; attribute->text != NULL && attribute->substr_offsets[i] < attribute->size; i++)
    {
      const char *piece = attribute->text + attribute->substr_offsets[i];
      gsize n = attribute->substr_offsets[i + 1] - attribute->substr_offsets[i];
      gunichar c;

      if (attribute->substr_types[i] == MD_TEXT_ENTITY && decode_entity (piece, n, &c))
        g_string_append_unichar (out, c);
      else if (attribute->substr_types[i] == MD_TEXT_NULLCHAR)
        g_string_append_unichar (out, 0xfffd);
      else
        g_string_append_len (out, piece, (gssize) n);
    }
  return g_string_free (out, FALSE);
}

/* The block whose text inline content goes to. */
static IngBlock *
text_target (Parse *parse)
{
  IngBlock *block = top (parse);

  switch (block->kind)
    {
    case ING_BLOCK_PARAGRAPH:
    case ING_BLOCK_HEADING:
    case ING_BLOCK_CELL:
    case ING_BLOCK_CODE:
      break;
    default:
      if (parse->implicit == NULL)
        {
          parse->implicit = ing_block_new (ING_BLOCK_PARAGRAPH);
          append_child (block, parse->implicit);
          parse->n_blocks++;
        }
      block = parse->implicit;
      break;
    }
  if (block->text == NULL)
    block->text = g_string_new (NULL);
  return block;
}

static void
close_spans (Parse *parse, guint n_left)
{
  while (parse->spans->len > n_left)
    {
      const Span *span = &g_array_index (parse->spans, Span, parse->spans->len - 1);

      g_string_append (span->out, span->close);
      g_array_set_size (parse->spans, parse->spans->len - 1);
    }
}

static IngBlock *
block_for (MD_BLOCKTYPE type, void *detail)
{
  IngBlock *block = NULL;

  switch (type)
    {
    case MD_BLOCK_QUOTE:
      return ing_block_new (ING_BLOCK_QUOTE);
    case MD_BLOCK_UL:
      block = ing_block_new (ING_BLOCK_LIST);
      block->tight = ((MD_BLOCK_UL_DETAIL *) detail)->is_tight;
      return block;
    case MD_BLOCK_OL:
      block = ing_block_new (ING_BLOCK_LIST);
      block->ordered = TRUE;
      block->level = ((MD_BLOCK_OL_DETAIL *) detail)->start;
      block->tight = ((MD_BLOCK_OL_DETAIL *) detail)->is_tight;
      return block;
    case MD_BLOCK_LI:
      block = ing_block_new (ING_BLOCK_ITEM);
      if (((MD_BLOCK_LI_DETAIL *) detail)->is_task)
        block->task = ((MD_BLOCK_LI_DETAIL *) detail)->task_mark == ' ' ? ING_TASK_OPEN
                                                                        : ING_TASK_DONE;
      return block;
    case MD_BLOCK_HR:
      return ing_block_new (ING_BLOCK_RULE);
    case MD_BLOCK_H:
      block = ing_block_new (ING_BLOCK_HEADING);
      block->level = ((MD_BLOCK_H_DETAIL *) detail)->level;
      return block;
    case MD_BLOCK_CODE:
      block = ing_block_new (ING_BLOCK_CODE);
      block->text = g_string_new (NULL);
      block->language = dup_attribute (&((MD_BLOCK_CODE_DETAIL *) detail)->lang);
      return block;
    case MD_BLOCK_P:
      return ing_block_new (ING_BLOCK_PARAGRAPH);
    case MD_BLOCK_TABLE:
      block = ing_block_new (ING_BLOCK_TABLE);
      block->level = ((MD_BLOCK_TABLE_DETAIL *) detail)->col_count;
      return block;
    case MD_BLOCK_TR:
      return ing_block_new (ING_BLOCK_ROW);
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
      block = ing_block_new (ING_BLOCK_CELL);
      block->head = type == MD_BLOCK_TH;
      block->text = g_string_new (NULL);
      switch (((MD_BLOCK_TD_DETAIL *) detail)->align)
        {
        case MD_ALIGN_CENTER:
          block->xalign = 0.5f;
          break;
        case MD_ALIGN_RIGHT:
          block->xalign = 1.0f;
          break;
        default:
          break;
        }
      return block;
    default:
      return NULL; /* document, table head and body: no node */
    }
}

static gboolean
has_node (MD_BLOCKTYPE type)
{
  return type != MD_BLOCK_DOC && type != MD_BLOCK_THEAD && type != MD_BLOCK_TBODY
         && type != MD_BLOCK_HTML;
}

static gboolean
is_container (MD_BLOCKTYPE type)
{
  return type == MD_BLOCK_QUOTE || type == MD_BLOCK_UL || type == MD_BLOCK_OL
         || type == MD_BLOCK_LI;
}

static int
enter_block_cb (MD_BLOCKTYPE type, void *detail, void *user_data)
{
  Parse *parse = user_data;
  IngBlock *block;

  if (!has_node (type))
    return 0;
  close_spans (parse, 0);
  parse->image_depth = 0;
  parse->implicit = NULL;
  /* A list and its items count as one level; a level is never half dropped. */
  if (is_container (type)
      && (parse->skipped > 0 || parse->stack->len >= 2 * ING_MARKDOWN_MAX_DEPTH)
      && (type != MD_BLOCK_LI || parse->skipped > 0))
    {
      parse->skipped++;
      return 0;
    }
  if (++parse->n_blocks > ING_MARKDOWN_MAX_BLOCKS)
    return 1;
  block = block_for (type, detail);
  append_child (top (parse), block);
  g_ptr_array_add (parse->stack, block);
  return 0;
}

static int
leave_block_cb (MD_BLOCKTYPE type, void *detail, void *user_data)
{
  Parse *parse = user_data;

  if (!has_node (type))
    return 0;
  close_spans (parse, 0);
  parse->image_depth = 0;
  parse->implicit = NULL;
  if (is_container (type) && parse->skipped > 0)
    {
      parse->skipped--;
      return 0;
    }
  g_ptr_array_set_size (parse->stack, (int) parse->stack->len - 1);
  return 0;
}

/* Marks of sources (ing-citations.h), which open nothing outside: "citation:12", 0 = there is none. */
static gboolean
is_citation (const char *address)
{
  return g_str_has_prefix (address, "citation:") && g_ascii_isdigit (address[9]) && strlen (address) < 16;
}

/* Markup that opens a link; "" if it must not become one. */
static char *
dup_link (const MD_ATTRIBUTE *attribute)
{
  g_autofree char *address = dup_attribute (attribute);
  g_autofree char *shown = NULL;

  if (address != NULL && is_citation (address))
    {
      shown = address[9] == '0' ? g_strdup (_("Does not stand in the passages"))
                                : g_strdup_printf (_("Open source %s"), address + 9);
      return g_markup_printf_escaped ("<a href=\"%s\" title=\"%s\">", address, shown);
    }
  if (!ing_markdown_address_is_safe (address))
    return g_strdup ("");
  shown = ing_markdown_dup_shown_address (address);
  return g_markup_printf_escaped ("<a href=\"%s\" title=\"%s\">", address, shown);
}

static int
enter_span_cb (MD_SPANTYPE type, void *detail, void *user_data)
{
  /* Grey at 16 % reads on light and dark pages alike; hair spaces give the text some room. */
  static const char code[] = "<span background=\"#808080\" background_alpha=\"16%\">\xe2\x80\x8a"
                             "<span font_family=\"monospace\" size=\"95%\">";
  Parse *parse = user_data;
  Span span = { type, "", text_target (parse)->text };
  g_autofree char *link = NULL;

  if (parse->image_depth > 0)
    {
      if (type == MD_SPAN_IMG)
        parse->image_depth++;
      return 0;
    }
  switch (type)
    {
    case MD_SPAN_EM:
      g_string_append (span.out, "<i>");
      span.close = "</i>";
      break;
    case MD_SPAN_STRONG:
      g_string_append (span.out, "<b>");
      span.close = "</b>";
      break;
    case MD_SPAN_DEL:
      g_string_append (span.out, "<s>");
      span.close = "</s>";
      break;
    case MD_SPAN_CODE:
      g_string_append (span.out, code);
      span.close = "</span>\xe2\x80\x8a</span>";
      break;
    case MD_SPAN_A:
      link = dup_link (&((MD_SPAN_A_DETAIL *) detail)->href);
      g_string_append (span.out, link);
      span.close = *link != '\0' ? "</a>" : "";
      break;
    case MD_SPAN_IMG:
      parse->image_depth = 1;
      g_string_append (span.out, "<i>[");
      span.close = "]</i>";
      break;
    default:
      break;
    }
  g_array_append_val (parse->spans, span);
  return 0;
}

static int
leave_span_cb (MD_SPANTYPE type, void *detail, void *user_data)
{
  Parse *parse = user_data;

  if (parse->image_depth > 0 && (type != MD_SPAN_IMG || --parse->image_depth > 0))
    return 0;
  for (guint i = parse->spans->len; i > 0; i--)
    if (g_array_index (parse->spans, Span, i - 1).type == type)
      {
        close_spans (parse, i - 1);
        break;
      }
  return 0;
}

static int
text_cb (MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *user_data)
{
  Parse *parse = user_data;
  IngBlock *target = text_target (parse);
  gunichar c;

  if (target->kind == ING_BLOCK_CODE)
    {
      g_string_append_len (target->text, text, size);
      return 0;
    }
  switch (type)
    {
    case MD_TEXT_NULLCHAR:
      g_string_append_unichar (target->text, 0xfffd);
      break;
    case MD_TEXT_BR:
    case MD_TEXT_SOFTBR:
      /* Models break lines where they mean it (verse, addresses): a soft break stays a break. */
      g_string_append_c (target->text, target->kind == ING_BLOCK_CELL ? ' ' : '\n');
      break;
    case MD_TEXT_ENTITY:
      if (decode_entity (text, size, &c))
        {
          char utf8[8];

          append_escaped (target->text, utf8, (gsize) g_unichar_to_utf8 (c, utf8));
          break;
        }
      G_GNUC_FALLTHROUGH;
    default:
      append_escaped (target->text, text, size);
      break;
    }
  return 0;
}

static IngBlock *
plain_block (const char *text, gsize length)
{
  IngBlock *root = ing_block_new (ING_BLOCK_ROOT);
  IngBlock *block = ing_block_new (ING_BLOCK_CODE);

  block->text = g_string_new_len (text, (gssize) length);
  append_child (root, block);
  return root;
}

IngBlock *
ing_markdown_parse (const char *text, gsize length)
{
  const MD_PARSER parser = {
    .flags = MD_DIALECT_GITHUB | MD_FLAG_NOHTML,
    .enter_block = enter_block_cb,
    .leave_block = leave_block_cb,
    .enter_span = enter_span_cb,
    .leave_span = leave_span_cb,
    .text = text_cb,
  };
  Parse parse = { 0 };
  IngBlock *root;
  int failed;

  if (length > ING_MARKDOWN_MAX_BYTES)
    return plain_block (text, length);
  root = ing_block_new (ING_BLOCK_ROOT);
  parse.stack = g_ptr_array_new ();
  parse.spans = g_array_new (FALSE, FALSE, sizeof (Span));
  g_ptr_array_add (parse.stack, root);
  failed = md_parse (text, (MD_SIZE) length, &parser, &parse);
  close_spans (&parse, 0);
  g_ptr_array_unref (parse.stack);
  g_array_unref (parse.spans);
  if (failed != 0)
    {
      ing_block_free (root);
      return plain_block (text, length);
    }
  return root;
}

static void
plain_text_cb (GMarkupParseContext *context, const char *text, gsize length, gpointer user_data,
               GError **error)
{
  g_string_append_len (user_data, text, (gssize) length);
}

char *
ing_markdown_dup_plain (const char *markup)
{
  const GMarkupParser parser = { .text = plain_text_cb };
  GString *out = NULL;
  g_autoptr (GMarkupParseContext) context = NULL;

  if (strpbrk (markup, "<&") == NULL)
    return g_strdup (markup);
  out = g_string_new (NULL);
  context = g_markup_parse_context_new (&parser, 0, out, NULL);
  if (!g_markup_parse_context_parse (context, "<t>", -1, NULL)
      || !g_markup_parse_context_parse (context, markup, -1, NULL)
      || !g_markup_parse_context_parse (context, "</t>", -1, NULL))
    g_string_assign (out, markup);
  return g_string_free (out, FALSE);
}

char *
ing_markdown_complete (const char *text, gsize length)
{
  GString *out = g_string_new_len (text, (gssize) length);
  gboolean bold = FALSE;
  gsize bold_at = 0, ticks = 0, ticks_at = 0;

  for (gsize i = 0; i < out->len;)
    {
      char c = out->str[i];
      gsize run = 1;

      while (i + run < out->len && out->str[i + run] == c)
        run++;
      if (c == '`')
        {
          if (ticks == 0)
            {
              ticks = run;
              ticks_at = i;
            }
          else if (run == ticks)
            ticks = 0;
        }
      else if (c == '\\' && ticks == 0)
        run = 2;
      else if (c == '*' && run == 2 && ticks == 0
               && (bold || i + run >= out->len || !g_ascii_isspace (out->str[i + run])))
        {
          bold = !bold;
          bold_at = i;
        }
      i += run;
    }
  if (ticks > 0 && ticks < 3)
    {
      if (ticks_at + ticks == out->len)
        g_string_truncate (out, ticks_at);
      else
        for (; ticks > 0; ticks--)
          g_string_append_c (out, '`');
    }
  if (bold)
    {
      while (out->len > bold_at + 2 && g_ascii_isspace (out->str[out->len - 1]))
        g_string_truncate (out, out->len - 1);
      if (out->len <= bold_at + 2)
        g_string_truncate (out, bold_at);
      else
        g_string_append (out, out->str[out->len - 1] == '*' ? "*" : "**");
    }
  else if (out->len > 0 && out->str[out->len - 1] == '*'
           && (out->len < 2 || out->str[out->len - 2] != '*'))
    g_string_truncate (out, out->len - 1);
  return g_string_free (out, FALSE);
}
