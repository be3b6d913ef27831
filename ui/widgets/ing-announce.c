/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-announce.h"

#include <dlfcn.h>
#include <string.h>

/* As in GTK 4.14's gtkaccessible.h; the value of GTK_ACCESSIBLE_ANNOUNCEMENT_PRIORITY_MEDIUM is 1. */
typedef void (*AnnounceFunc) (GtkAccessible *self, const char *message, int priority);

struct _IngAnnouncer
{
  GtkWidget *widget;
  AnnounceFunc announce;
  GString *text; /* not yet announced */
  gsize seen;    /* bytes of the text so far that went into it */
};

IngAnnouncer *
ing_announcer_new (GtkWidget *widget)
{
  IngAnnouncer *self = g_new0 (IngAnnouncer, 1);

  self->widget = widget;
  self->announce = (AnnounceFunc) dlsym (RTLD_DEFAULT, "gtk_accessible_announce");
  self->text = g_string_new (NULL);
  return self;
}

void
ing_announcer_free (IngAnnouncer *self)
{
  if (self == NULL)
    return;
  g_string_free (self->text, TRUE);
  g_free (self);
}

void
ing_announcer_reset (IngAnnouncer *self)
{
  g_string_truncate (self->text, 0);
  self->seen = 0;
}

gsize
ing_announcer_find_sentences (const char *text)
{
  gsize end = 0;

  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      const char *next = g_utf8_next_char (p);

      if (c == '\n' || c == 0x3002 || c == 0xff01 || c == 0xff1f
          || ((c == '.' || c == '!' || c == '?') && g_ascii_isspace (*next)))
        end = (gsize) (next - text);
    }
  return end;
}

void
ing_announcer_text (IngAnnouncer *self, const char *text)
{
  gsize length, n;

  if (self->announce == NULL)
    return;
  length = strlen (text);
  if (length < self->seen)
    ing_announcer_reset (self);
  g_string_append_len (self->text, text + self->seen, (gssize) (length - self->seen));
  self->seen = length;
  n = ing_announcer_find_sentences (self->text->str);
  if (n > 0)
    {
      g_autofree char *sentences = g_strndup (self->text->str, n);

      self->announce (GTK_ACCESSIBLE (self->widget), sentences, 1);
      g_string_erase (self->text, 0, (gssize) n);
    }
}

void
ing_announcer_finish (IngAnnouncer *self)
{
  if (self->announce != NULL && self->text->len > 0)
    self->announce (GTK_ACCESSIBLE (self->widget), self->text->str, 1);
  g_string_truncate (self->text, 0);
}
