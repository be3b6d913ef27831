/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>
#include <string.h>
#include <uchardet/uchardet.h>

#include "reader.h"

/* Control characters that no text has are this share of what is taken for binary data. */
#define MAX_CONTROL_SHARE 0.01

static gboolean
looks_binary (const char *data, gsize n)
{
  gsize n_looked = MIN (n, 65536), n_control = 0;
  for (gsize i = 0; i < n_looked; i++)
    {
      guchar c = (guchar) data[i];
      n_control += c < 9 || (c > 13 && c < 32 && c != 27);
    }
  return (double) n_control > MAX_CONTROL_SHARE * (double) n_looked;
}

static char *
convert (const char *data, gsize n, const char *charset, gsize *n_out)
{
  return g_convert (data, (gssize) n, "UTF-8", charset, NULL, n_out, NULL);
}

/* The share of characters of @text's first ones that Chinese, Japanese and Latin texts are made of. */
static double
plausible_share (const char *text)
{
  guint n = 0, n_good = 0;
  for (const char *p = text; *p != '\0' && n < 4096; p = g_utf8_next_char (p), n++)
    {
      gunichar c = g_utf8_get_char (p);
      n_good += (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r' || c == '\t' || (c >= 0x3000 && c < 0x30ff)
                || (c >= 0x4e00 && c < 0x9fa6) || (c >= 0xff00 && c < 0xff60);
    }
  return n > 1 ? (double) n_good / n : 0;
}

/* UTF-16 without a mark: read one way it makes sense, the other way it does not. */
static char *
convert_utf16 (const char *data, gsize n, gsize *n_out)
{
  if (n < 4 || n % 2 != 0)
    return NULL;
  gsize n_little, n_big, n_looked = MIN (n, 8192);
  g_autofree char *little = convert (data, n_looked, "UTF-16LE", &n_little);
  g_autofree char *big = convert (data, n_looked, "UTF-16BE", &n_big);
  double of_little = little != NULL && strlen (little) == n_little ? plausible_share (little) : 0;
  double of_big = big != NULL && strlen (big) == n_big ? plausible_share (big) : 0;
  if (MAX (of_little, of_big) < 0.9 || MIN (of_little, of_big) > 0.6)
    return NULL;
  return convert (data, n, of_little > of_big ? "UTF-16LE" : "UTF-16BE", n_out);
}

static char *
guess (const char *data, gsize n)
{
  uchardet_t detector = uchardet_new ();
  uchardet_handle_data (detector, data, MIN (n, 1u << 20));
  uchardet_data_end (detector);
  char *name = g_strdup (uchardet_get_charset (detector));
  uchardet_delete (detector);
  /* GB18030 holds all that the older Chinese names do. */
  if (g_ascii_strncasecmp (name, "GB", 2) == 0)
    {
      g_free (name);
      name = g_strdup ("GB18030");
    }
  return name;
}

char *
rdr_decode_text (const char *data, gsize n, const char *declared, gsize *n_out, GError **error)
{
  static const struct
  {
    const char *mark, *charset;
    gsize n;
  } marks[] = { { "\xef\xbb\xbf", "UTF-8", 3 }, { "\xff\xfe\0\0", "UTF-32LE", 4 }, { "\0\0\xfe\xff", "UTF-32BE", 4 },
                { "\xff\xfe", "UTF-16LE", 2 }, { "\xfe\xff", "UTF-16BE", 2 } };
  char *text = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (marks) && text == NULL; i++)
    if (n >= marks[i].n && memcmp (data, marks[i].mark, marks[i].n) == 0)
      text = convert (data + marks[i].n, n - marks[i].n, marks[i].charset, n_out);
  gboolean is_utf8 = text == NULL && g_utf8_validate_len (data, n, NULL);
  if (text == NULL && !is_utf8)
    text = convert_utf16 (data, n, n_out);
  if (text == NULL && looks_binary (data, n))
    {
      g_set_error_literal (error, RDR_ERROR, RDR_CODE_UNSUPPORTED, _ ("this is no text"));
      return NULL;
    }
  if (text == NULL && is_utf8)
    {
      *n_out = n;
      return g_strndup (data, n);
    }
  if (text == NULL && declared != NULL)
    text = convert (data, n, declared, n_out);
  if (text == NULL)
    {
      g_autofree char *charset = guess (data, n);
      if (*charset != '\0')
        text = convert (data, n, charset, n_out);
    }
  if (text == NULL)
    text = convert (data, n, "WINDOWS-1252", n_out);
  if (text == NULL)
    g_set_error_literal (error, RDR_ERROR, RDR_CODE_UNSUPPORTED, _ ("the text's encoding could not be told"));
  return text;
}
