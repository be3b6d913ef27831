/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-markdown-chunks.h"

#include <string.h>

/* What is known at the start of a line. Small and copied: a provisional last line is undone by
 * restoring the copy. */
typedef struct
{
  gboolean open;  /* the last chunk may take further lines */
  gboolean blank; /* the line before was blank (or there is none) */
  char fence_char;
  guint fence_length;
  guint content_column; /* LIST_ITEM: column its text starts at */
} LineState;

struct _IngChunker
{
  GArray *chunks; /* IngChunk */
  gsize line_start; /* of the first line not yet ended by a line feed */
  LineState state;  /* at line_start */

  /* Saved at line_start, to undo a provisional line. */
  guint n_solid;
  IngChunk last_solid;
};

IngChunker *
ing_chunker_new (void)
{
  IngChunker *self = g_new0 (IngChunker, 1);

  self->chunks = g_array_new (FALSE, TRUE, sizeof (IngChunk));
  self->state.blank = TRUE;
  return self;
}

void
ing_chunker_free (IngChunker *self)
{
  if (self == NULL)
    return;
  g_array_unref (self->chunks);
  g_free (self);
}

void
ing_chunker_reset (IngChunker *self)
{
  g_array_set_size (self->chunks, 0);
  self->line_start = 0;
  self->n_solid = 0;
  memset (&self->state, 0, sizeof self->state);
  self->state.blank = TRUE;
}

/* One line without its line feed, and what a first look at it says. */
typedef struct
{
  const char *text; /* behind the indent */
  gsize length;
  guint indent; /* columns; a tab goes to the next multiple of four */
} Line;

static Line
measure_line (const char *text, gsize length)
{
  Line line = { text, length, 0 };

  while (line.length > 0 && (*line.text == ' ' || *line.text == '\t'))
    {
      line.indent += *line.text == '\t' ? 4 - line.indent % 4 : 1;
      line.text++;
      line.length--;
    }
  while (line.length > 0 && g_ascii_isspace (line.text[line.length - 1]))
    line.length--;
  return line;
}

static gboolean
is_rule (const Line *line)
{
  guint n = 0;
  char c;

  if (line->indent > 3 || line->length < 3)
    return FALSE;
  c = line->text[0];
  if (c != '-' && c != '*' && c != '_')
    return FALSE;
  for (gsize i = 0; i < line->length; i++)
    {
      if (line->text[i] == c)
        n++;
      else if (line->text[i] != ' ' && line->text[i] != '\t')
        return FALSE;
    }
  return n >= 3;
}

static gboolean
is_heading (const Line *line)
{
  gsize i = 0;

  if (line->indent > 3)
    return FALSE;
  while (i < line->length && line->text[i] == '#')
    i++;
  return i >= 1 && i <= 6 && (i == line->length || line->text[i] == ' ' || line->text[i] == '\t');
}

/* Length of an opening (or closing) fence; 0 if it is none. */
static guint
fence_length (const Line *line, char *out_char)
{
  gsize n = 0;
  char c;

  if (line->length < 3)
    return 0;
  c = line->text[0];
  if (c != '`' && c != '~')
    return 0;
  while (n < line->length && line->text[n] == c)
    n++;
  if (n < 3)
    return 0;
  if (c == '`' && memchr (line->text + n, '`', line->length - n) != NULL)
    return 0;
  *out_char = c;
  return (guint) n;
}

/* A list marker at the head of @line: its delimiter, its number (bullets: 0) and the column its
 * content starts at. */
static gboolean
is_list_marker (const Line *line, char *out_marker, guint *out_number, guint *out_column,
                gboolean *out_empty)
{
  gsize i = 0;
  guint number = 0, spaces = 0;

  if (line->length == 0)
    return FALSE;
  if (line->text[0] == '-' || line->text[0] == '+' || line->text[0] == '*')
    i = 1;
  else
    {
      while (i < line->length && i < 9 && g_ascii_isdigit (line->text[i]))
        number = number * 10 + (guint) (line->text[i++] - '0');
      if (i == 0 || i >= line->length || (line->text[i] != '.' && line->text[i] != ')'))
        return FALSE;
      i++;
    }
  if (i < line->length && line->text[i] != ' ' && line->text[i] != '\t')
    return FALSE;
  while (i + spaces < line->length && (line->text[i + spaces] == ' '))
    spaces++;
  *out_marker = line->text[i - 1];
  *out_number = number;
  *out_empty = i >= line->length;
  *out_column = line->indent + (guint) i + (spaces >= 1 && spaces <= 4 ? spaces : 1);
  return TRUE;
}

static IngChunk *
last_chunk (IngChunker *self)
{
  return self->chunks->len > 0 ? &g_array_index (self->chunks, IngChunk, self->chunks->len - 1)
                               : NULL;
}

static IngChunk *
begin_chunk (IngChunker *self, LineState *state, gsize start, IngChunkKind kind)
{
  IngChunk chunk = { .start = start, .kind = kind, .after_blank = state->blank };

  g_array_append_val (self->chunks, chunk);
  state->open = kind != ING_CHUNK_HEADING && kind != ING_CHUNK_RULE;
  return last_chunk (self);
}

static void
begin_list_item (IngChunker *self, LineState *state, gsize start, char marker, guint number,
                 guint column)
{
  const IngChunk *previous = last_chunk (self);
  guint ordinal = 0;
  IngChunk *chunk;

  if (marker == '.' || marker == ')')
    {
      ordinal = number;
      if (previous != NULL && previous->kind == ING_CHUNK_LIST_ITEM && previous->marker == marker)
        ordinal = previous->ordinal + 1;
    }
  chunk = begin_chunk (self, state, start, ING_CHUNK_LIST_ITEM);
  chunk->marker = marker;
  chunk->ordinal = ordinal;
  state->content_column = column;
}

/* TRUE if the line goes into the open chunk whatever it looks like. */
static gboolean
continues_chunk (const IngChunk *chunk, const LineState *state, const Line *line)
{
  if (chunk == NULL || !state->open)
    return FALSE;
  switch (chunk->kind)
    {
    case ING_CHUNK_LIST_ITEM:
      return line->indent >= state->content_column;
    case ING_CHUNK_INDENTED:
      return line->indent >= 4;
    case ING_CHUNK_QUOTE:
      return !state->blank && line->indent <= 3 && line->text[0] == '>';
    case ING_CHUNK_PARAGRAPH:
      return !state->blank && line->indent > 3;
    default:
      return FALSE;
    }
}

static void
take_line (IngChunker *self, LineState *state, gsize start, const char *text, gsize length,
           gboolean complete)
{
  Line line = measure_line (text, length);
  IngChunk *chunk = last_chunk (self);
  char c = 0;
  guint n, number, column;
  gboolean empty, lazy;

  if (chunk != NULL && chunk->kind == ING_CHUNK_FENCE && state->open)
    {
      n = line.indent <= 3 ? fence_length (&line, &c) : 0;
      if (complete && n >= state->fence_length && c == state->fence_char && n == line.length)
        {
          chunk->closed = TRUE;
          state->open = FALSE;
          state->blank = FALSE;
        }
      return;
    }
  if (line.length == 0)
    {
      if (chunk != NULL && chunk->kind != ING_CHUNK_LIST_ITEM && chunk->kind != ING_CHUNK_INDENTED)
        state->open = FALSE;
      state->blank = TRUE;
      return;
    }
  if (continues_chunk (chunk, state, &line))
    {
      state->blank = FALSE;
      return;
    }
  /* A line may run on in an open paragraph, also in that of a list item or quote. */
  lazy = chunk != NULL && state->open && !state->blank && chunk->kind != ING_CHUNK_INDENTED;

  if (line.indent <= 3 && (n = fence_length (&line, &c)) > 0)
    {
      chunk = begin_chunk (self, state, start, ING_CHUNK_FENCE);
      chunk->fence_head = length + (complete ? 1 : 0);
      state->fence_char = c;
      state->fence_length = n;
    }
  else if (lazy && chunk->kind == ING_CHUNK_PARAGRAPH && line.text[0] == '-' && is_rule (&line))
    state->open = FALSE; /* setext underline */
  else if (is_rule (&line))
    begin_chunk (self, state, start, ING_CHUNK_RULE);
  else if (is_heading (&line))
    begin_chunk (self, state, start, ING_CHUNK_HEADING);
  else if (line.indent <= 3 && line.text[0] == '>')
    begin_chunk (self, state, start, ING_CHUNK_QUOTE);
  else if (line.indent <= 3 && is_list_marker (&line, &c, &number, &column, &empty)
           && !(lazy && chunk->kind == ING_CHUNK_PARAGRAPH
                && (empty || ((c == '.' || c == ')') && number != 1))))
    begin_list_item (self, state, start, c, number, column);
  else if (lazy)
    ;
  else
    begin_chunk (self, state, start,
                 line.indent > 3 ? ING_CHUNK_INDENTED : ING_CHUNK_PARAGRAPH);
  state->blank = FALSE;
}

static void
set_lengths (IngChunker *self, guint from, gsize end)
{
  for (guint i = from; i < self->chunks->len; i++)
    {
      IngChunk *chunk = &g_array_index (self->chunks, IngChunk, i);

      chunk->length = (i + 1 < self->chunks->len
                           ? g_array_index (self->chunks, IngChunk, i + 1).start
                           : end)
                      - chunk->start;
    }
}

guint
ing_chunker_feed (IngChunker *self, const char *text, gsize length)
{
  guint changed;
  const char *end;

  g_return_val_if_fail (length >= self->line_start, 0);

  g_array_set_size (self->chunks, self->n_solid);
  if (self->n_solid > 0)
    *last_chunk (self) = self->last_solid;
  changed = self->n_solid > 0 ? self->n_solid - 1 : 0;

  while ((end = memchr (text + self->line_start, '\n', length - self->line_start)) != NULL)
    {
      gsize n = (gsize) (end - text) - self->line_start;

      take_line (self, &self->state, self->line_start, text + self->line_start, n, TRUE);
      self->line_start += n + 1;
    }
  self->n_solid = self->chunks->len;
  if (self->n_solid > 0)
    self->last_solid = *last_chunk (self);
  if (self->line_start < length)
    {
      LineState state = self->state;

      take_line (self, &state, self->line_start, text + self->line_start,
                 length - self->line_start, FALSE);
    }
  set_lengths (self, changed, length);
  return changed;
}

guint
ing_chunker_get_n_chunks (const IngChunker *self)
{
  return self->chunks->len;
}

const IngChunk *
ing_chunker_get_chunk (const IngChunker *self, guint i)
{
  g_return_val_if_fail (i < self->chunks->len, NULL);
  return &g_array_index (self->chunks, IngChunk, i);
}
