/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-think.h"

#include <string.h>

static const struct
{
  const char *open, *close;
} tags[] = { { "<think>", "</think>" }, { "<|channel>thought", "<channel|>" } };

void
ing_think_init (IngThink *self, IngThinkState state)
{
  memset (self, 0, sizeof *self);
  self->state = state;
  self->blank = state != ING_THINK_REASONING;
}

/* Bytes at the end of @text that may be the beginning of @tag. */
static gsize
partial (const char *text, gsize length, const char *tag)
{
  gsize longest = MIN (length, strlen (tag) - 1);
  for (gsize n = longest; n > 0; n--)
    if (memcmp (text + length - n, tag, n) == 0)
      return n;
  return 0;
}

static gsize
skip_blank (const char *text)
{
  return strspn (text, " \t\r\n");
}

static void
emit (IngPartKind kind, const char *text, gsize length, IngThinkFunc func, gpointer data)
{
  if (length == 0)
    return;
  g_autofree char *piece = g_strndup (text, length);
  func (kind, piece, data);
}

static void
hold (IngThink *self, const char *text, gsize length)
{
  g_assert (length < sizeof self->held);
  memcpy (self->held, text, length);
  self->held[length] = '\0';
}

static void
feed_start (IngThink *self, const char **p)
{
  const char *at = *p + skip_blank (*p);
  gsize n = strlen (at);
  for (guint i = 0; i < G_N_ELEMENTS (tags); i++)
    if (g_str_has_prefix (at, tags[i].open))
      {
        self->state = ING_THINK_REASONING;
        self->blank = TRUE;
        self->i_tag = i;
        *p = at + strlen (tags[i].open);
        return;
      }
    else if (g_str_has_prefix (tags[i].open, at))
      {
        hold (self, at, n);
        *p = at + n;
        return;
      }
  self->state = ING_THINK_TEXT;
  *p = at;
}

static void
feed_reasoning (IngThink *self, const char **p, IngThinkFunc func, gpointer data)
{
  const char *close_tag = tags[self->i_tag].close;
  if (self->blank)
    *p += skip_blank (*p);
  const char *end = strstr (*p, close_tag);
  gsize n = end != NULL ? (gsize) (end - *p) : strlen (*p);
  gsize held = end == NULL ? partial (*p, n, close_tag) : 0;
  /* Blanks too, as far as there is room: they may stand before the tag. */
  while (end == NULL && held < n && held < sizeof self->held - 1
         && strchr (" \t\r\n", (*p)[n - held - 1]) != NULL)
    held++;
  gsize shown = n - held;
  if (end != NULL)
    while (shown > 0 && strchr (" \t\r\n", (*p)[shown - 1]) != NULL)
      shown--;
  self->blank = self->blank && n == 0;
  emit (ING_PART_REASONING, *p, shown, func, data);
  if (end != NULL)
    {
      self->state = ING_THINK_AFTER;
      *p = end + strlen (close_tag);
    }
  else
    {
      hold (self, *p + n - held, held);
      *p += n;
    }
}

void
ing_think_feed (IngThink *self, const char *text, IngThinkFunc func, gpointer data)
{
  g_autofree char *joined = g_strconcat (self->held, text, NULL);
  const char *p = joined;
  self->held[0] = '\0';
  while (*p != '\0')
    switch (self->state)
      {
      case ING_THINK_START:
        feed_start (self, &p);
        break;
      case ING_THINK_REASONING:
        feed_reasoning (self, &p, func, data);
        break;
      case ING_THINK_AFTER:
        p += skip_blank (p);
        if (*p != '\0')
          self->state = ING_THINK_TEXT;
        break;
      case ING_THINK_TEXT:
        emit (ING_PART_TEXT, p, strlen (p), func, data);
        return;
      }
}

void
ing_think_end (IngThink *self, IngThinkFunc func, gpointer data)
{
  emit (self->state == ING_THINK_REASONING ? ING_PART_REASONING : ING_PART_TEXT, self->held,
        strlen (self->held), func, data);
  self->held[0] = '\0';
}
