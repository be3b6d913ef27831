/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: self->text holds what is not handed over yet; its first self->overlap bytes were. */
#include "ing-chunker.h"

#include <string.h>

#include "ing-search-text.h"

/* For what the estimate counts too few of: names and code (docs/retrieval.md). */
#define SLACK_TOKENS 14
#define BODY_TOKENS (ING_CHUNK_TOKENS - ING_CHUNK_PREFIX_TOKENS - SLACK_TOKENS)
#define OVERLAP_TOKENS (BODY_TOKENS * 14 / 100)
#define SMALL_TOKENS 40 /* too little to stand alone: the next section joins it */

struct _IngChunker
{
  void (*chunk) (IngChunk *chunk, gpointer data);
  gpointer data;
  GString *text;
  GArray *sentences; /* byte offsets in text where sentences begin */
  guint tokens;
  gsize overlap;
  char *path;
  guint page;
  guint64 start, next_start;
  gboolean only_headings;
  gboolean recognized; /* what the text is: never both in one chunk */
};

void
ing_chunk_free (IngChunk *chunk)
{
  if (chunk == NULL)
    return;
  g_free (chunk->text);
  g_free (chunk->path);
  g_free (chunk);
}

typedef struct
{
  guint n, letters, digits; /* tokens; of the run that the last character stands in */
} Count;

static void
count_character (Count *count, gunichar c)
{
  if (c < 128 && g_ascii_isalpha (c))
    {
      /* English words are one or two pieces, names and foreign words one for three letters. */
      count->n += count->letters == 0 || count->letters % 4 == 0;
      count->letters++;
      count->digits = 0;
    }
  else if (c < 128 && g_ascii_isdigit (c))
    {
      count->n += count->digits % 2 == 0;
      count->digits++;
      count->letters = 0;
    }
  else
    {
      count->letters = count->digits = 0;
      count->n += !g_unichar_isspace (c);
    }
}

guint
ing_chunk_estimate_tokens (const char *text, gsize n_bytes)
{
  Count count = { 0 };
  for (const char *p = text; p < text + n_bytes; p = g_utf8_next_char (p))
    count_character (&count, g_utf8_get_char (p));
  return count.n;
}

char *
ing_chunk_make_prefix (const char *title, const char *path, guint page)
{
  g_autoptr (GString) out = g_string_new (title);
  if (path != NULL && *path != '\0')
    g_string_append_printf (out, "%s%s", out->len > 0 ? " › " : "", path);
  if (page > 0)
    g_string_append_printf (out, "%sp. %u", out->len > 0 ? " › " : "", page);
  /* The nearest heading says most: what is too long loses its beginning. */
  const char *from = out->str;
  while (*from != '\0' && ing_chunk_estimate_tokens (from, strlen (from)) > ING_CHUNK_PREFIX_TOKENS)
    {
      glong n = MAX (1, g_utf8_strlen (from, -1) / 8);
      from = g_utf8_offset_to_pointer (from, n);
    }
  return g_strdup (from);
}

IngChunker *
ing_document_chunker_new (void (*chunk) (IngChunk *chunk, gpointer data), gpointer data)
{
  IngChunker *self = g_new0 (IngChunker, 1);
  self->chunk = chunk;
  self->data = data;
  self->text = g_string_new (NULL);
  self->sentences = g_array_new (FALSE, FALSE, sizeof (gsize));
  self->only_headings = TRUE;
  return self;
}

/* Hand over; @keep: the last sentences stay as the next one's overlap. */
static void
flush (IngChunker *self, gboolean keep)
{
  if (self->text->len > self->overlap)
    {
      IngChunk *chunk = g_new0 (IngChunk, 1);
      chunk->text = g_strdup (self->text->str);
      chunk->path = g_strdup (self->path != NULL ? self->path : "");
      chunk->page = self->page;
      chunk->start = self->start;
      chunk->overlap = self->overlap;
      chunk->recognized = self->recognized;
      self->chunk (chunk, self->data);
    }
  gsize from = self->text->len;
  for (guint i = self->sentences->len; keep && i-- > 0;)
    {
      gsize at = g_array_index (self->sentences, gsize, i);
      if (at == 0 || ing_chunk_estimate_tokens (self->text->str + at, self->text->len - at) > OVERLAP_TOKENS)
        break;
      from = at;
    }
  glong kept = g_utf8_strlen (self->text->str + from, -1);
  g_string_erase (self->text, 0, (gssize) from);
  g_array_set_size (self->sentences, 0);
  self->overlap = self->text->len;
  self->tokens = ing_chunk_estimate_tokens (self->text->str, self->text->len);
  self->start = self->next_start > (guint64) kept ? self->next_start - (guint64) kept : 0;
  self->only_headings = TRUE;
}

/* The end of the sentence at @p; NULL where it ends behind @limit. */
static const char *
find_sentence_end (const char *p, const char *limit)
{
  for (; *p != '\0'; p = g_utf8_next_char (p))
    {
      if (p == limit)
        return NULL;
      gunichar c = g_utf8_get_char (p);
      const char *next = g_utf8_next_char (p);
      gunichar after = g_utf8_get_char (next);
      gboolean end = c == '\n' || c == 0x3002 || c == 0xff01 || c == 0xff1f || c == 0xff1b;
      if (c == '.' || c == '!' || c == '?')
        end = g_unichar_isspace (after) || after == '\0';
      if (!end)
        continue;
      while (g_unichar_isspace (g_utf8_get_char (next)) && *next != '\0')
        next = g_utf8_next_char (next);
      return next;
    }
  return p;
}

const char *
ing_chunk_sentence_end (const char *p)
{
  return find_sentence_end (p, NULL);
}

/* Bytes of the sentence that begins at @text, or of its longest beginning that fits a chunk, cut at a space where there
 * is one. Looks no further than that: a file may be one line. */
static gsize
next_piece (const char *text)
{
  Count count = { 0 };
  const char *space = NULL, *p = text;
  for (; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      count_character (&count, c);
      if (count.n > BODY_TOKENS)
        break;
      if (g_unichar_isspace (c))
        space = g_utf8_next_char (p);
    }
  const char *end = find_sentence_end (text, *p != '\0' ? p : NULL);
  if (end == NULL)
    end = space != NULL ? space : p;
  return (gsize) (end - text);
}

static void
append (IngChunker *self, const char *sentence, gsize n, const IngBlock *block)
{
  guint tokens = ing_chunk_estimate_tokens (sentence, n);
  if (self->tokens + tokens > BODY_TOKENS && self->text->len > self->overlap)
    flush (self, self->tokens >= BODY_TOKENS / 2);
  if (self->tokens + tokens > BODY_TOKENS) /* with the overlap it is too long */
    {
      g_string_truncate (self->text, 0);
      self->overlap = self->tokens = 0;
      self->start = self->next_start;
    }
  if (self->text->len == self->overlap)
    {
      self->page = block->page;
      if (self->overlap == 0)
        self->start = self->next_start;
    }
  if (self->only_headings)
    {
      g_free (self->path);
      self->path = g_strdup (block->path);
    }
  gsize at = self->text->len;
  g_array_append_val (self->sentences, at);
  g_string_append_len (self->text, sentence, (gssize) n);
  self->tokens += tokens;
  self->next_start += (guint64) g_utf8_strlen (sentence, (gssize) n);
}

/* A row as "column: value"; without names of columns its cells. Caller frees. */
static char *
row_text (const IngBlock *block)
{
  g_auto (GStrv) cells = g_strsplit (block->text, "\t", -1);
  g_auto (GStrv) names = g_strsplit (block->header != NULL ? block->header : "", "\t", -1);
  guint n_names = g_strv_length (names);
  g_autoptr (GString) out = g_string_new (NULL);
  for (guint i = 0; cells[i] != NULL; i++)
    {
      if (i > 0)
        g_string_append (out, " | ");
      if (i < n_names && *names[i] != '\0' && strcmp (names[i], cells[i]) != 0)
        g_string_append_printf (out, "%s: ", names[i]);
      g_string_append (out, cells[i]);
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

void
ing_document_chunker_feed (IngChunker *self, const IngBlock *block)
{
  if (block->hidden || *block->text == '\0')
    return;
  gboolean heading = block->kind == ING_BLOCK_HEADING;
  if ((heading && !self->only_headings && self->tokens >= SMALL_TOKENS) || block->recognized != self->recognized)
    flush (self, FALSE);
  self->recognized = block->recognized;
  if (self->text->len > 0 && self->text->str[self->text->len - 1] != '\n')
    g_string_append_c (self->text, '\n');
  self->next_start = block->start;
  g_autofree char *row = block->kind == ING_BLOCK_ROW ? row_text (block) : NULL;
  for (const char *p = row != NULL ? row : block->text; *p != '\0';)
    {
      gsize n = next_piece (p);
      append (self, p, n, block);
      if (!heading)
        self->only_headings = FALSE;
      p += n;
    }
}

void
ing_document_chunker_close (IngChunker *self)
{
  flush (self, FALSE);
}

void
ing_document_chunker_finish (IngChunker *self)
{
  flush (self, FALSE);
  g_string_free (self->text, TRUE);
  g_array_free (self->sentences, TRUE);
  g_free (self->path);
  g_free (self);
}
