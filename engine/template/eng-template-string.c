/* SPDX-License-Identifier: Apache-2.0 */
/* Strings with marks: which bytes the template wrote and which were inserted. */
#include "eng-template-private.h"

#define MAX_STRING_BYTES ((uint32_t) INT32_MAX)

uint32_t
eng_tpl_char_at (const TplString *s, uint32_t i, uint32_t *length)
{
  const unsigned char *p = (const unsigned char *) s->data + i;
  uint32_t n = s->n_bytes - i, c = p[0];
  *length = 1;
  if (c < 0x80)
    return c;
  uint32_t len = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
  static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
  *length = 0;
  if (len == 0 || len > n)
    return 0xfffd;
  c &= 0x7fu >> len;
  for (uint32_t k = 1; k < len; k++)
    {
      if ((p[k] & 0xc0) != 0x80)
        return 0xfffd;
      c = c << 6 | (p[k] & 0x3f);
    }
  if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
    return 0xfffd;
  *length = len;
  return c;
}

uint32_t
eng_tpl_char_offset (const TplString *s, uint32_t i)
{
  uint32_t at = 0;
  if (s->n_chars == s->n_bytes)
    return i < s->n_bytes ? i : s->n_bytes;
  for (; i > 0 && at < s->n_bytes; i--)
    do
      at++;
    while (at < s->n_bytes && (s->data[at] & 0xc0) == 0x80);
  return at;
}

bool
eng_tpl_string_is (const TplString *s, const char *text)
{
  return s->n_bytes == strlen (text) && memcmp (s->data, text, s->n_bytes) == 0;
}

bool
eng_tpl_string_equal (const TplString *a, const TplString *b)
{
  return a->n_bytes == b->n_bytes && memcmp (a->data, b->data, a->n_bytes) == 0;
}

int
eng_tpl_string_compare (const TplString *a, const TplString *b)
{
  int c = memcmp (a->data, b->data, a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes);
  return c ? (c > 0) - (c < 0) : (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

bool
eng_tpl_string_inserted (const TplString *s)
{
  return s->runs || s->inserted; /* runs differ, so one of them is inserted */
}

/* Mark of the byte at @offset; *run is the index of its run, to go on from. */
bool
eng_tpl_mark_at (const TplString *s, uint32_t offset, uint32_t *run)
{
  if (!s->runs)
    return s->inserted;
  uint32_t low = 0, high = s->n_runs - 1;
  while (low < high)
    {
      uint32_t mid = (low + high) / 2;
      if (offset < s->runs[mid].end)
        high = mid;
      else
        low = mid + 1;
    }
  *run = low;
  return s->runs[low].inserted;
}

static uint32_t
count_chars (const char *data, uint32_t n)
{
  uint32_t count = 0;
  for (uint32_t i = 0; i < n; i++)
    count += (data[i] & 0xc0) != 0x80;
  return count;
}

bool
eng_tpl_make_string (TplRender *r, const char *data, size_t n_bytes, bool inserted, TplValue *out)
{
  if (n_bytes > MAX_STRING_BYTES)
    return eng_tpl_limit (r, "a string is too long");
  TplString *s = eng_tpl_alloc (r, 1, sizeof *s);
  if (!s)
    return false;
  s->data = data;
  s->n_bytes = (uint32_t) n_bytes;
  s->n_chars = count_chars (data, s->n_bytes);
  s->inserted = inserted;
  *out = (TplValue){ .kind = TPL_STRING, .string = s };
  return eng_tpl_charge_bytes (r, n_bytes);
}

bool
eng_tpl_substring (TplRender *r, const TplString *s, uint32_t start, uint32_t end, TplValue *out)
{
  uint32_t first = 0, last = 0;
  if (start == 0 && end == s->n_bytes)
    {
      *out = (TplValue){ .kind = TPL_STRING, .string = s };
      return true;
    }
  TplString *part = eng_tpl_alloc (r, 1, sizeof *part);
  if (!part)
    return false;
  part->data = s->data + start;
  part->n_bytes = end - start;
  part->n_chars = s->n_chars == s->n_bytes ? end - start : count_chars (part->data, part->n_bytes);
  part->inserted = start < end && eng_tpl_mark_at (s, start, &first);
  if (s->runs && start < end)
    {
      eng_tpl_mark_at (s, end - 1, &last);
      if (last > first)
        {
          TplRun *runs = eng_tpl_alloc (r, last - first + 1, sizeof *runs);
          if (!runs || !eng_tpl_charge (r, (last - first) / 8))
            return false;
          for (uint32_t k = first; k <= last; k++)
            {
              runs[k - first].end = (s->runs[k].end < end ? s->runs[k].end : end) - start;
              runs[k - first].inserted = s->runs[k].inserted;
            }
          part->runs = runs;
          part->n_runs = last - first + 1;
        }
    }
  *out = (TplValue){ .kind = TPL_STRING, .string = part };
  return s->n_chars == s->n_bytes || eng_tpl_charge_bytes (r, end - start);
}

/* Where @needle starts, or NULL. memmem () is linear in the haystack. */
uint32_t
eng_tpl_find (const TplString *s, const char *needle, uint32_t n_needle, uint32_t from)
{
  if (from > s->n_bytes)
    return UINT32_MAX;
  if (n_needle == 0)
    return from;
  const char *at = memmem (s->data + from, s->n_bytes - from, needle, n_needle);
  return at ? (uint32_t) (at - s->data) : UINT32_MAX;
}

/* Backward, place by place: in the worst case that is needle times haystack, so each comparison is
 * paid for. */
bool
eng_tpl_rfind (TplRender *r, const TplString *s, const char *needle, uint32_t n_needle,
               uint32_t end, uint32_t *at)
{
  *at = n_needle > end ? UINT32_MAX : end - n_needle;
  if (!eng_tpl_charge_bytes (r, end))
    return false;
  while (*at != UINT32_MAX && n_needle > 0)
    {
      if (s->data[*at] == needle[0])
        {
          if (!eng_tpl_charge (r, n_needle / 128))
            return false;
          if (memcmp (s->data + *at, needle, n_needle) == 0)
            break;
        }
      --*at; /* from 0 to UINT32_MAX */
    }
  return true;
}

/* ---- builder */

static bool
reserve (TplBuilder *b, size_t more)
{
  uint32_t limit = b->limit ? b->limit : MAX_STRING_BYTES;
  if (more > limit - b->n_bytes)
    return eng_tpl_limit (b->r,
                          b->limit ? "the rendered text is too long" : "a string is too long");
  if (b->n_bytes + more <= b->capacity)
    return true;
  uint64_t capacity = b->capacity ? (uint64_t) b->capacity * 2 : 64;
  if (capacity < b->n_bytes + more)
    capacity = b->n_bytes + more;
  if (capacity > limit)
    capacity = limit;
  char *data = eng_tpl_alloc (b->r, capacity, 1);
  if (!data)
    return false;
  if (b->n_bytes)
    memcpy (data, b->data, b->n_bytes);
  b->data = data;
  b->capacity = (uint32_t) capacity;
  return true;
}

/* Marks the bytes from the end of the last run to the end of the text. */
static bool
mark (TplBuilder *b, bool inserted)
{
  if (b->n_runs && b->runs[b->n_runs - 1].inserted == inserted)
    {
      b->runs[b->n_runs - 1].end = b->n_bytes;
      return true;
    }
  if (b->n_runs == b->cap_runs)
    {
      uint32_t cap = b->cap_runs ? b->cap_runs * 2 : 8;
      TplRun *runs = eng_tpl_alloc (b->r, cap, sizeof *runs);
      if (!runs)
        return false;
      if (b->n_runs)
        memcpy (runs, b->runs, b->n_runs * sizeof *runs);
      b->runs = runs;
      b->cap_runs = cap;
    }
  b->runs[b->n_runs++] = (TplRun){ .end = b->n_bytes, .inserted = inserted };
  return true;
}

bool
eng_tpl_append (TplBuilder *b, const char *data, size_t n_bytes, bool inserted)
{
  if (n_bytes == 0)
    return true;
  if (!reserve (b, n_bytes) || !eng_tpl_charge_bytes (b->r, n_bytes))
    return false;
  memcpy (b->data + b->n_bytes, data, n_bytes);
  b->n_bytes += (uint32_t) n_bytes;
  return mark (b, inserted);
}

bool
eng_tpl_append_literal (TplBuilder *b, const char *text)
{
  return eng_tpl_append (b, text, strlen (text), false);
}

bool
eng_tpl_append_range (TplBuilder *b, const TplString *s, uint32_t start, uint32_t end)
{
  uint32_t run = 0;
  if (start >= end)
    return true;
  bool inserted = eng_tpl_mark_at (s, start, &run);
  if (!s->runs)
    return eng_tpl_append (b, s->data + start, end - start, inserted);
  while (start < end)
    {
      uint32_t stop = s->runs[run].end < end ? s->runs[run].end : end;
      if (!eng_tpl_append (b, s->data + start, stop - start, s->runs[run].inserted))
        return false;
      start = stop;
      run++;
    }
  return true;
}

bool
eng_tpl_append_string (TplBuilder *b, const TplString *s)
{
  return eng_tpl_append_range (b, s, 0, s->n_bytes);
}

bool
eng_tpl_append_char (TplBuilder *b, uint32_t c, bool inserted)
{
  char text[4];
  uint32_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (uint32_t k = n - 1, rest = c; k > 0; k--, rest >>= 6)
    text[k] = (char) (0x80 | (rest & 0x3f));
  text[0] = (char) (n == 1 ? c
                           : (n == 2   ? 0xc0 | c >> 6
                              : n == 3 ? 0xe0 | c >> 12
                                       : 0xf0 | c >> 18));
  if (!reserve (b, n))
    return false;
  memcpy (b->data + b->n_bytes, text, n);
  b->n_bytes += n;
  return mark (b, inserted) && eng_tpl_charge_bytes (b->r, n);
}

void
eng_tpl_builder_flatten (TplBuilder *b)
{
  if (b->n_runs > 1)
    {
      b->runs[0] = (TplRun){ .end = b->n_bytes, .inserted = true };
      b->n_runs = 1;
    }
}

bool
eng_tpl_builder_finish (TplBuilder *b, TplValue *out)
{
  if (!eng_tpl_make_string (b->r, b->data ? b->data : "", b->n_bytes,
                            b->n_runs > 0 && b->runs[0].inserted, out))
    return false;
  if (b->n_runs > 1)
    {
      TplString *s = (TplString *) out->string;
      s->runs = b->runs;
      s->n_runs = b->n_runs;
    }
  return true;
}

/* ---- operations */

static bool
in_set (const TplString *set, uint32_t c)
{
  uint32_t length;
  if (!set)
    return eng_tpl_is_space (c);
  for (uint32_t i = 0; i < set->n_bytes; i += length)
    if (eng_tpl_char_at (set, i, &length) == c)
      return true;
  return false;
}

bool
eng_tpl_strip (TplRender *r, const TplString *s, const TplValue *chars, TplStripSides sides,
               TplValue *out)
{
  const TplString *set = NULL;
  uint32_t start = 0, end = s->n_bytes, length;
  if (chars->kind != TPL_ABSENT && chars->kind != TPL_NONE)
    {
      if (chars->kind != TPL_STRING)
        return eng_tpl_raise (r, "strip arg must be None or str");
      set = chars->string;
    }
  while ((sides & TPL_STRIP_LEFT) && start < end
         && in_set (set, eng_tpl_char_at (s, start, &length)))
    {
      start += length;
      if (set && !eng_tpl_charge_bytes (r, set->n_bytes))
        return false;
    }
  while ((sides & TPL_STRIP_RIGHT) && end > start)
    {
      uint32_t k = end - 1;
      while ((s->data[k] & 0xc0) == 0x80)
        k--;
      if (!in_set (set, eng_tpl_char_at (s, k, &length)))
        break;
      end = k;
      if (set && !eng_tpl_charge_bytes (r, set->n_bytes))
        return false;
    }
  return eng_tpl_charge_bytes (r, start + (s->n_bytes - end))
         && eng_tpl_substring (r, s, start, end, out);
}

bool
eng_tpl_replace (TplRender *r, const TplString *s, const TplString *old, const TplString *with,
                 int64_t count, TplValue *out)
{
  TplBuilder b = { .r = r };
  uint32_t from = 0;
  if (!eng_tpl_charge_bytes (r, s->n_bytes))
    return false;
  while (count != 0)
    {
      /* An empty text is found before each character and at the end. */
      uint32_t at = old->n_bytes ? eng_tpl_find (s, old->data, old->n_bytes, from) : from,
               length = 0;
      if (at == UINT32_MAX)
        break;
      if (!eng_tpl_charge (r, 1) || !eng_tpl_append_range (&b, s, from, at)
          || !eng_tpl_append_string (&b, with))
        return false;
      from = at + old->n_bytes;
      count -= count > 0;
      if (old->n_bytes > 0)
        continue;
      if (at >= s->n_bytes)
        break;
      eng_tpl_char_at (s, at, &length);
      if (!eng_tpl_append_range (&b, s, at, at + length))
        return false;
      from = at + length;
    }
  if (from == 0 && b.n_bytes == 0)
    return eng_tpl_substring (r, s, 0, s->n_bytes, out);
  return eng_tpl_append_range (&b, s, from, s->n_bytes) && eng_tpl_builder_finish (&b, out);
}

/* A capital sigma at byte @at ends a word, and so becomes a final one. */
static bool
is_final_sigma (const TplString *s, uint32_t at, uint32_t length)
{
  uint32_t k = at, n, c;
  bool before = false;
  while (k > 0 && at - k < 256) /* beyond that nobody writes Greek */
    {
      do
        k--;
      while (k > 0 && (s->data[k] & 0xc0) == 0x80);
      c = eng_tpl_char_at (s, k, &n);
      if (!eng_tpl_is_case_ignorable (c))
        {
          before = eng_tpl_is_cased (c);
          break;
        }
    }
  if (!before)
    return false;
  for (k = at + length; k < s->n_bytes && k - at < 256; k += n)
    {
      c = eng_tpl_char_at (s, k, &n);
      if (!eng_tpl_is_case_ignorable (c))
        return !eng_tpl_is_cased (c);
    }
  return true;
}

static bool
is_word_start_mark (uint32_t c)
{
  return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || eng_tpl_is_space (c);
}

bool
eng_tpl_change_case (TplRender *r, const TplString *s, TplCase mode, TplValue *out)
{
  TplBuilder b = { .r = r };
  bool first = true, after_cased = false;
  uint32_t run = 0, to[3], length;
  if (!eng_tpl_charge_bytes (r, (uint64_t) s->n_bytes * 4))
    return false;
  for (uint32_t i = 0; i < s->n_bytes; i += length)
    {
      uint32_t c = eng_tpl_char_at (s, i, &length);
      bool inserted = eng_tpl_mark_at (s, i, &run);
      bool word_mark = mode == TPL_CASE_TITLE_WORDS && is_word_start_mark (c), upper = false;
      unsigned n;
      if (mode == TPL_CASE_UPPER || (mode == TPL_CASE_TITLE_WORDS && first)
          || (mode == TPL_CASE_SWAP && eng_tpl_is_lower (c)))
        upper = true;
      if ((mode == TPL_CASE_CAPITALIZE && first) || (mode == TPL_CASE_TITLE && !after_cased))
        n = eng_tpl_title (c, to);
      else if (upper)
        n = eng_tpl_upper (c, to);
      else if (mode == TPL_CASE_SWAP && !eng_tpl_is_upper (c))
        to[0] = c, n = 1;
      else if (c == 0x3a3)
        to[0] = is_final_sigma (s, i, length) ? 0x3c2 : 0x3c3, n = 1;
      else
        n = eng_tpl_lower (c, to);
      first = word_mark;
      after_cased = eng_tpl_is_cased (c);
      for (unsigned k = 0; k < n; k++)
        if (!eng_tpl_append_char (&b, to[k], inserted))
          return false;
    }
  return eng_tpl_builder_finish (&b, out);
}

bool
eng_tpl_escape (TplRender *r, const TplValue *v, TplValue *out)
{
  static const char from[] = "&<>'\"";
  static const char *const to[] = { "&amp;", "&lt;", "&gt;", "&#39;", "&#34;" };
  TplBuilder b = { .r = r };
  TplValue text;
  uint32_t run = 0;
  if (v->kind == TPL_STRING && v->markup)
    {
      *out = *v;
      return true;
    }
  if (!eng_tpl_to_text (r, v, &text)
      || !eng_tpl_charge_bytes (r, (uint64_t) text.string->n_bytes * 2))
    return false;
  const TplString *s = text.string;
  for (uint32_t i = 0, plain = 0; i <= s->n_bytes; i++)
    {
      const char *at = i < s->n_bytes && s->data[i] ? strchr (from, s->data[i]) : NULL;
      if (!at && i < s->n_bytes)
        continue;
      if (!eng_tpl_append_range (&b, s, plain, i))
        return false;
      plain = i + 1;
      if (at
          && !eng_tpl_append (&b, to[at - from], strlen (to[at - from]),
                              eng_tpl_mark_at (s, i, &run)))
        return false;
    }
  if (!eng_tpl_builder_finish (&b, out))
    return false;
  out->markup = true;
  return true;
}
