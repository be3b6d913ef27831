/* SPDX-License-Identifier: Apache-2.0 */
/* One scanner per published pattern. A scanner looks at one position and says where the match that
 * begins there ends; the iterator at the foot chains scanners into stages, since several models cut
 * the pieces of one pattern again with the next ("Sequence" of "Split … Isolated" in tokenizer.json).
 *
 * Invariants:
 * 1. A scanner reads each character of the run it decides on at most a fixed number of times, and
 *    what it leaves over is decided without a second search: time is linear in the text.
 * 2. Scanners never look outside [pos, end): to a later stage an earlier cut is the end of the text.
 * 3. Bytes that are no character have the class of an unassigned character, which no pattern names:
 *    they end up in "anything else" runs or in gaps, never lost. */
#include "eng-pre-tokenizer.h"

#include <string.h>

#include "eng-pre-tokenizer-ranges.h"
#include "eng-unicode.h"
#include "eng-utf8.h"

#define L ENG_UNICODE_LETTER
#define M ENG_UNICODE_MARK
#define N ENG_UNICODE_NUMBER
#define P ENG_UNICODE_PUNCTUATION
#define S ENG_UNICODE_SYMBOL
#define WS ENG_UNICODE_WHITE_SPACE
#define N_RANGES(a) (sizeof (a) / sizeof (a)[0])

/* A character: at the end of the part, class 0, which is in no mask. */
typedef struct
{
  uint32_t cp, class;
  size_t next; /* position behind it */
} Char;

/* Where a match that begins at @pos ends; @pos itself = no match here. *skip, preset to 0, may name a
 * later position before which there is none either. */
typedef size_t (*Scanner) (const uint8_t *s, size_t pos, size_t end, size_t *skip);

struct EngPreTokenizer
{
  const char *names[16];
  Scanner stages[ENG_PRE_TOKENIZER_MAX_STAGES];
  bool ignore_merges, add_bos;
};

static inline Char
char_at (const uint8_t *s, size_t pos, size_t end)
{
  Char c = { ENG_UTF8_INVALID, 0, pos };
  if (pos < end)
    {
      c.next = pos + eng_utf8_next (s + pos, end - pos, &c.cp);
      c.class = eng_unicode_class (c.cp);
    }
  return c;
}

static size_t
run_of (const uint8_t *s, size_t pos, size_t end, uint32_t mask)
{
  Char c;
  while ((c = char_at (s, pos, end)).class & mask)
    pos = c.next;
  return pos;
}

/* Like run_of for the characters outside @mask. */
static size_t
run_of_others (const uint8_t *s, size_t pos, size_t end, uint32_t mask)
{
  Char c;
  while ((c = char_at (s, pos, end)).class && !(c.class & mask))
    pos = c.next;
  return pos;
}

static inline bool
is_newline (uint32_t cp)
{
  return cp == '\r' || cp == '\n';
}

/* At most @max characters of class N. */
static size_t
numbers (const uint8_t *s, size_t pos, size_t end, unsigned max)
{
  Char c;
  while (max-- > 0 && (c = char_at (s, pos, end)).class & N)
    pos = c.next;
  return pos;
}

/* 's|'t|'re|'ve|'m|'ll|'d, with @fold in any case; U+017F folds to s, the only such letter here. */
static size_t
contraction (const uint8_t *s, size_t pos, size_t end, bool fold)
{
  if (pos + 1 >= end || s[pos] != '\'')
    return pos;
  uint8_t bit = fold ? 0x20 : 0, a = s[pos + 1] | bit;
  if (a == 's' || a == 't' || a == 'm' || a == 'd')
    return pos + 2;
  if (fold && pos + 2 < end && s[pos + 1] == 0xc5 && s[pos + 2] == 0xbf)
    return pos + 3;
  uint8_t b = pos + 2 < end ? s[pos + 2] | bit : 0;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
    return pos + 3;
  return pos;
}

/* \s+(?!\S)|\s+ : a run of white space, without its last character when text follows it. */
static size_t
space_run (const uint8_t *s, size_t pos, size_t end)
{
  size_t last = pos, p = pos;
  Char c;
  while ((c = char_at (s, p, end)).class & WS)
    {
      last = p;
      p = c.next;
    }
  return p < end && last > pos ? last : p;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ : up to the last newline of a run of white space, if it has one. */
static size_t
space_run_to_newline (const uint8_t *s, size_t pos, size_t end)
{
  size_t last = pos, newline = pos, p = pos;
  Char c;
  while ((c = char_at (s, p, end)).class & WS)
    {
      last = p;
      p = c.next;
      if (is_newline (c.cp))
        newline = p;
    }
  if (newline > pos)
    return newline;
  return p < end && last > pos ? last : p;
}

/* " ?[^mask]+" and then a run of the characters in @suffix (ASCII). */
static size_t
others_with_space (const uint8_t *s, size_t pos, size_t end, uint32_t mask, const char *suffix)
{
  size_t from = pos < end && s[pos] == ' ' ? pos + 1 : pos;
  size_t to = run_of_others (s, from, end, mask);
  if (to == from)
    return pos;
  while (to < end && s[to] && strchr (suffix, s[to]))
    to++;
  return to;
}

/* [^\r\n\p{L}\p{N}]?[letters]+ ; only a mark can be both prefix and letter. */
static size_t
word_with_prefix (const uint8_t *s, size_t pos, size_t end, uint32_t letters)
{
  Char c = char_at (s, pos, end);
  if (c.class && !(c.class & (L | N)) && !is_newline (c.cp))
    {
      size_t to = run_of (s, c.next, end, letters);
      if (to > c.next)
        return to;
    }
  return run_of (s, pos, end, letters);
}

/* --- GPT-2 and those that copied it ---
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * (openai/gpt-2, encoder.py) */
static size_t
scan_gpt2 (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  size_t to = contraction (s, pos, end, false);
  if (to > pos)
    return to;
  size_t from = s[pos] == ' ' ? pos + 1 : pos;
  Char c = char_at (s, from, end);
  if (c.class & L)
    return run_of (s, c.next, end, L);
  if (c.class & N)
    return run_of (s, c.next, end, N);
  if (c.class && !(c.class & WS))
    return run_of_others (s, c.next, end, WS | L | N);
  return space_run (s, pos, end);
}

/* --- Llama 3, Qwen 2 and relatives ---
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,k}| ?[^\s\p{L}\p{N}]+[\r\n]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+      k = 3: Llama 3, GLM 4; k = 1: Qwen 2; Qwen 3.5 has [\p{L}\p{M}] */
static size_t
scan_cl100k (const uint8_t *s, size_t pos, size_t end, uint32_t letters, unsigned max_numbers,
             const char *suffix)
{
  size_t to = contraction (s, pos, end, true);
  if (to == pos)
    to = word_with_prefix (s, pos, end, letters);
  if (to == pos)
    to = numbers (s, pos, end, max_numbers);
  if (to == pos)
    to = others_with_space (s, pos, end, WS | N | letters, suffix);
  if (to == pos)
    to = space_run_to_newline (s, pos, end);
  return to;
}

static size_t
scan_llama3 (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return scan_cl100k (s, pos, end, L, 3, "\r\n");
}

static size_t
scan_qwen2 (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return scan_cl100k (s, pos, end, L, 1, "\r\n");
}

static size_t
scan_qwen35 (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return scan_cl100k (s, pos, end, L | M, 1, "\r\n");
}

/* MiniCPM 5 groups numbers in a stage of its own and then has \p{N}+ here. */
static size_t
scan_minicpm5 (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return scan_cl100k (s, pos, end, L, UINT32_MAX, "\r\n");
}

/* Seed-Coder: [^\s\p{L}\p{N}\r\n]+ with no newlines behind it. */
static size_t
scan_seed_coder (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return scan_cl100k (s, pos, end, L, 1, "");
}

/* --- o200k (GPT-4o, Llama 4) and Mistral's tekken ---
 * [^\r\n\p{L}\p{N}]?[U]*[W]+(?i:'s|…)?|[^\r\n\p{L}\p{N}]?[U]+[W]*(?i:'s|…)?|\p{N}{1,k}
 * | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * U = \p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}, W = \p{Ll}\p{Lm}\p{Lo}\p{M}; tekken: k = 1, no contractions. */
#define ONLY_UPPER (ENG_UNICODE_BIT (ENG_UNICODE_LU) | ENG_UNICODE_BIT (ENG_UNICODE_LT))
#define ONLY_LOWER ENG_UNICODE_BIT (ENG_UNICODE_LL)
#define BOTH_CASES (ENG_UNICODE_BIT (ENG_UNICODE_LM) | ENG_UNICODE_BIT (ENG_UNICODE_LO) | M)

/* [U]*[W]+ from @pos. U takes the longest run it can; when no character that only W has follows, it
 * gives back as far as the last one of its run that both have. @n_upper gets the end of the run. */
static size_t
upper_then_lower (const uint8_t *s, size_t pos, size_t end, size_t *upper_end)
{
  size_t p = pos, last_both = SIZE_MAX;
  Char c;
  while ((c = char_at (s, p, end)).class & (ONLY_UPPER | BOTH_CASES))
    {
      if (c.class & BOTH_CASES)
        last_both = c.next;
      p = c.next;
    }
  *upper_end = p;
  if (c.class & ONLY_LOWER)
    return run_of (s, p, end, ONLY_LOWER | BOTH_CASES);
  return last_both == SIZE_MAX ? pos : last_both;
}

static size_t
cased_word (const uint8_t *s, size_t pos, size_t end)
{
  Char c = char_at (s, pos, end);
  size_t upper_end, to;
  bool has_prefix = c.class && !(c.class & (L | N)) && !is_newline (c.cp);
  if (has_prefix)
    {
      to = upper_then_lower (s, c.next, end, &upper_end);
      if (to > c.next)
        return to;
      if (!(c.class & M))
        return upper_end > c.next ? upper_end : pos;
      /* A mark before capitals alone: the first alternative without its prefix matches the mark,
       * and comes before the second one. */
      return c.next;
    }
  to = upper_then_lower (s, pos, end, &upper_end);
  return to > pos ? to : upper_end;
}

static size_t
scan_o200k_family (const uint8_t *s, size_t pos, size_t end, bool contractions,
                   unsigned max_numbers)
{
  size_t to = cased_word (s, pos, end);
  if (to > pos)
    return contractions ? contraction (s, to, end, true) : to;
  to = numbers (s, pos, end, max_numbers);
  if (to == pos)
    to = others_with_space (s, pos, end, WS | L | N, "\r\n/");
  if (to == pos)
    to = space_run_to_newline (s, pos, end);
  return to;
}

static size_t
scan_o200k (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return scan_o200k_family (s, pos, end, true, 3);
}

static size_t
scan_tekken (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return scan_o200k_family (s, pos, end, false, 1);
}

/* --- DeepSeek --- */

static bool
in_ranges (uint32_t cp, const EngCodeRange *ranges, size_t n)
{
  size_t low = 0, high = n;
  while (low < high)
    {
      size_t mid = low + (high - low) / 2;
      if (ranges[mid].last < cp)
        low = mid + 1;
      else
        high = mid;
    }
  return low < n && ranges[low].first <= cp;
}

static size_t
run_of_ranges (const uint8_t *s, size_t pos, size_t end, const EngCodeRange *ranges, size_t n)
{
  Char c;
  while ((c = char_at (s, pos, end)).class && in_ranges (c.cp, ranges, n))
    pos = c.next;
  return pos;
}

/* \s?[ranges]+ ; U+3000 can be both. */
static size_t
ranges_with_space (const uint8_t *s, size_t pos, size_t end, const EngCodeRange *ranges, size_t n)
{
  Char c = char_at (s, pos, end);
  if (c.class & WS)
    {
      size_t to = run_of_ranges (s, c.next, end, ranges, n);
      if (to > c.next)
        return to;
    }
  return run_of_ranges (s, pos, end, ranges, n);
}

static size_t
class_with_space (const uint8_t *s, size_t pos, size_t end, uint32_t mask)
{
  Char c = char_at (s, pos, end);
  size_t from = c.class & WS ? c.next : pos;
  size_t to = run_of (s, from, end, mask);
  return to > from ? to : pos;
}

static size_t
scan_newline (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return is_newline (s[pos]) ? pos + 1 : pos;
}

static size_t
scan_cased_letters (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return ranges_with_space (s, pos, end, eng_ranges_cased, N_RANGES (eng_ranges_cased));
}

static size_t
scan_wide_marks (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return ranges_with_space (s, pos, end, eng_ranges_marks, N_RANGES (eng_ranges_marks));
}

/* \s+$ */
static size_t
scan_space_at_end (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  size_t to = run_of (s, pos, end, WS);
  if (to == end)
    return to;
  *skip = to;
  return pos;
}

static size_t
scan_cjk_wide (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return run_of_ranges (s, pos, end, eng_ranges_cjk_wide, N_RANGES (eng_ranges_cjk_wide));
}

static size_t
scan_cjk (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return run_of_ranges (s, pos, end, eng_ranges_cjk, N_RANGES (eng_ranges_cjk));
}

static size_t
scan_number (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return numbers (s, pos, end, 1);
}

static size_t
scan_numbers_3 (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return numbers (s, pos, end, 3);
}

static size_t
scan_numbers (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return run_of (s, pos, end, N);
}

static size_t
scan_letters_with_space (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return class_with_space (s, pos, end, L);
}

static size_t
scan_punctuation_with_space (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return class_with_space (s, pos, end, P);
}

static bool
is_ascii_letter (uint8_t b)
{
  return (uint8_t) ((b | 0x20) - 'a') < 26;
}

/* [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
 * | ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+      (DeepSeek-V3, behind two other stages) */
static size_t
scan_deepseek3 (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  uint8_t b = s[pos];
  if (b > 0x20 && b < 0x7f && !is_ascii_letter (b) && !(b >= '0' && b <= '9'))
    {
      size_t to = pos + 1;
      while (to < end && is_ascii_letter (s[to]))
        to++;
      if (to > pos + 1)
        return to;
    }
  Char c = char_at (s, pos, end);
  if (!(c.class & (L | P | S)) && !is_newline (c.cp))
    {
      size_t to = run_of (s, c.next, end, L | M);
      if (to > c.next)
        return to;
    }
  if (c.class & (L | M))
    return run_of (s, c.next, end, L | M);
  size_t from = b == ' ' ? pos + 1 : pos, to = run_of (s, from, end, P | S);
  if (to > from)
    {
      while (to < end && is_newline (s[to]))
        to++;
      return to;
    }
  return space_run_to_newline (s, pos, end);
}

/* --- Falcon and the unnamed default --- */

/* [\p{P}\$\+<=>\^~\|]+ ; Falcon's own has the grave accent too. */
static size_t
scan_marks (const uint8_t *s, size_t pos, size_t end, const char *symbols)
{
  Char c;
  while ((c = char_at (s, pos, end)).class
         && (c.class & P || (c.cp > 0 && c.cp < 0x80 && strchr (symbols, (int) c.cp))))
    pos = c.next;
  return pos;
}

static size_t
scan_marks_default (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return scan_marks (s, pos, end, "$+<=>^~|");
}

static size_t
scan_marks_falcon (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  return scan_marks (s, pos, end, "$+<=>^~|`");
}

/* [0-9][0-9][0-9] */
static size_t
scan_three_digits (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  for (size_t i = 0; i < 3; i++)
    if (pos + i >= end || s[pos + i] < '0' || s[pos + i] > '9')
      return pos;
  return pos + 3;
}

static size_t
scan_line (const uint8_t *s, size_t pos, size_t end, size_t *skip)
{
  bool newline = s[pos] == '\n';
  while (pos < end && (s[pos] == '\n') == newline)
    pos++;
  return pos;
}

// clang-format off
/* Names as converters write them to tokenizer.ggml.pre. */
static const EngPreTokenizer pre_tokenizers[] = {
  { .names = { "default" },
    .stages = { scan_marks_default, scan_gpt2, scan_numbers, scan_three_digits } },
  { .names = { "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "gigachat",
               "a.x-4.0", "mellum", "modern-bert", "exaone4", "jina-v1-en", "jina-v2-code",
               "roberta-bpe" },
    .stages = { scan_gpt2 } },
  { .names = { "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
               "lfm2", "jina-v5-nano" },
    .stages = { scan_llama3 }, .ignore_merges = true, .add_bos = true },
  { .names = { "glm4", "glm5" }, .stages = { scan_llama3 }, .ignore_merges = true },
  { .names = { "chatglm-bpe", "dbrx", "smaug-bpe" }, .stages = { scan_llama3 } },
  { .names = { "minicpm5" }, .stages = { scan_numbers_3, scan_minicpm5 }, .ignore_merges = true },
  { .names = { "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan",
               "solar-open", "grok-2", "bailingmoe", "bailingmoe2", "llada-moe" },
    .stages = { scan_qwen2 } },
  { .names = { "qwen35" }, .stages = { scan_qwen35 } },
  { .names = { "seed-coder" }, .stages = { scan_seed_coder } },
  { .names = { "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
               "mellum2" },
    .stages = { scan_number, scan_gpt2 } },
  { .names = { "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2" }, .stages = { scan_o200k } },
  { .names = { "tekken" }, .stages = { scan_tekken }, .ignore_merges = true, .add_bos = true },
  { .names = { "deepseek-llm" },
    .stages = { scan_newline, scan_cased_letters, scan_wide_marks, scan_space_at_end,
                scan_cjk_wide, scan_number } },
  { .names = { "deepseek-coder" },
    .stages = { scan_newline, scan_letters_with_space, scan_punctuation_with_space, scan_cjk_wide,
                scan_number } },
  { .names = { "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4" },
    .stages = { scan_numbers_3, scan_cjk, scan_deepseek3 } },
  { .names = { "falcon" }, .stages = { scan_marks_falcon, scan_gpt2, scan_three_digits } },
  { .names = { "gemma4" }, .stages = { scan_line }, .add_bos = true },
};
// clang-format on

#define N_PRE_TOKENIZERS (sizeof pre_tokenizers / sizeof pre_tokenizers[0])
#define N_NAMES (sizeof pre_tokenizers[0].names / sizeof pre_tokenizers[0].names[0])

const EngPreTokenizer *
eng_pre_tokenizer_find (const char *name)
{
  for (size_t i = 0; i < N_PRE_TOKENIZERS; i++)
    for (size_t k = 0; k < N_NAMES && pre_tokenizers[i].names[k]; k++)
      if (strcmp (pre_tokenizers[i].names[k], name) == 0)
        return &pre_tokenizers[i];
  return NULL;
}

const char *
eng_pre_tokenizer_get_name (size_t i)
{
  for (size_t t = 0; t < N_PRE_TOKENIZERS; t++)
    for (size_t k = 0; k < N_NAMES && pre_tokenizers[t].names[k]; k++)
      if (i-- == 0)
        return pre_tokenizers[t].names[k];
  return NULL;
}

bool
eng_pre_tokenizer_get_ignore_merges (const EngPreTokenizer *pre)
{
  return pre->ignore_merges;
}

bool
eng_pre_tokenizer_get_add_bos (const EngPreTokenizer *pre)
{
  return pre->add_bos;
}

void
eng_piece_iter_init (EngPieceIter *iter, const EngPreTokenizer *pre, const uint8_t *text,
                     size_t n_bytes)
{
  memset (iter, 0, sizeof *iter);
  iter->pre = pre;
  iter->text = text;
  iter->stage[0].end = n_bytes;
}

/* The next piece that stage @i cuts from its part; false when the part is used up. A stretch without
 * a match is a piece too. */
static bool
next_in_stage (EngPieceIter *iter, size_t i, size_t *begin, size_t *end)
{
  size_t pos = iter->stage[i].pos, limit = iter->stage[i].end;
  if (pos >= limit)
    return false;
  *begin = pos;
  if (iter->stage[i].match_end > pos)
    { /* found while the gap before it was measured; the gap is out, pos stands on the match */
      *end = iter->stage[i].pos = iter->stage[i].match_end;
      return true;
    }
  for (size_t p = pos; p < limit;)
    {
      size_t skip = 0, to = iter->pre->stages[i](iter->text, p, limit, &skip);
      if (to > p)
        {
          iter->stage[i].match_end = to;
          *end = iter->stage[i].pos = p > pos ? p : to;
          return true;
        }
      p = skip > p ? skip : char_at (iter->text, p, limit).next;
    }
  *end = iter->stage[i].pos = limit;
  return true;
}

bool
eng_piece_iter_next (EngPieceIter *iter, size_t *begin, size_t *end)
{
  size_t last = 0;
  while (last + 1 < ENG_PRE_TOKENIZER_MAX_STAGES && iter->pre->stages[last + 1])
    last++;
  for (size_t i = last;;)
    { /* climb to the first stage with something left, then hand its piece down */
      if (next_in_stage (iter, i, begin, end))
        {
          if (i == last)
            return true;
          i++;
          iter->stage[i].pos = *begin;
          iter->stage[i].end = *end;
          iter->stage[i].match_end = 0;
        }
      else if (i == 0)
        return false;
      else
        i--;
    }
}
