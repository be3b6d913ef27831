/* SPDX-License-Identifier: Apache-2.0 */
/* Small vocabularies made in the test, one of each kind. */
#pragma once

#include <glib.h>
#include <string.h>

#include "eng-tokenizer.h"

typedef struct
{
  GPtrArray *texts; /* char *, the strings below point here */
  GArray *tokens;   /* EngString */
  GArray *types;    /* gint32 */
  GArray *scores;   /* float */
  GArray *merges;   /* EngString */
  EngTokenizerSpec spec;
} TinyVocab;

static inline EngString
tiny_keep (TinyVocab *v, const char *text)
{
  char *copy = g_strdup (text);
  g_ptr_array_add (v->texts, copy);
  return (EngString) { copy, strlen (copy) };
}

static inline gint32
tiny_add (TinyVocab *v, const char *text, gint32 type, float score)
{
  EngString s = tiny_keep (v, text);
  g_array_append_val (v->tokens, s);
  g_array_append_val (v->types, type);
  g_array_append_val (v->scores, score);
  return (gint32) v->tokens->len - 1;
}

static inline void
tiny_merge (TinyVocab *v, const char *merge)
{
  EngString s = tiny_keep (v, merge);
  g_array_append_val (v->merges, s);
}

/* The spec, pointing into @v as it is now. */
static inline EngTokenizerSpec *
tiny_spec (TinyVocab *v)
{
  v->spec.tokens = (const EngString *) (void *) v->tokens->data;
  v->spec.n_tokens = v->tokens->len;
  v->spec.types = (const gint32 *) (void *) v->types->data;
  v->spec.scores = (const float *) (void *) v->scores->data;
  v->spec.merges = (const EngString *) (void *) v->merges->data;
  v->spec.n_merges = v->merges->len;
  return &v->spec;
}

static inline TinyVocab *
tiny_new (const char *model, const char *pre)
{
  TinyVocab *v = g_new0 (TinyVocab, 1);
  v->texts = g_ptr_array_new_with_free_func (g_free);
  v->tokens = g_array_new (FALSE, FALSE, sizeof (EngString));
  v->types = g_array_new (FALSE, FALSE, sizeof (gint32));
  v->scores = g_array_new (FALSE, FALSE, sizeof (float));
  v->merges = g_array_new (FALSE, FALSE, sizeof (EngString));
  eng_tokenizer_spec_init (&v->spec, model, pre);
  return v;
}

static inline void
tiny_free (TinyVocab *v)
{
  g_ptr_array_unref (v->texts);
  g_array_unref (v->tokens);
  g_array_unref (v->types);
  g_array_unref (v->scores);
  g_array_unref (v->merges);
  g_free (v);
}

/* All bytes in GPT-2's alphabet (ids 0 to 255 in the order of that alphabet's code points), a few
 * merges, ChatML's tokens and an added word. */
static inline TinyVocab *
tiny_bpe (void)
{
  static const char *const words[] = { "he", "ll", "hell", "hello", "Ġhello", "Ġw", "or", "Ġwor", "im",
                                       "start", "aa", "aaaa" };
  static const char *const merges[] = { "h e", "l l", "he ll", "hell o", "Ġ hello", "Ġ w", "o r",
                                        "Ġw or", "i m", "a a", "aa aa" };
  TinyVocab *v = tiny_new ("gpt2", "gpt-2");
  for (guint cp = 0x21; cp < 0x144; cp++)
    if (cp <= 0x7e || (cp >= 0xa1 && cp != 0xad))
      {
        char text[8] = { 0 };
        g_unichar_to_utf8 (cp, text);
        tiny_add (v, text, ENG_TOKEN_NORMAL, 0);
      }
  g_assert_cmpuint (v->tokens->len, ==, 256);
  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    tiny_add (v, words[i], ENG_TOKEN_NORMAL, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (merges); i++)
    tiny_merge (v, merges[i]);
  v->spec.bos = tiny_add (v, "<|endoftext|>", ENG_TOKEN_CONTROL, 0);
  tiny_add (v, "<|im_start|>", ENG_TOKEN_CONTROL, 0);
  v->spec.eos = tiny_add (v, "<|im_end|>", ENG_TOKEN_CONTROL, 0);
  tiny_add (v, "<tool_call>", ENG_TOKEN_USER_DEFINED, 0);
  tiny_add (v, "<tool_call>x", ENG_TOKEN_USER_DEFINED, 0);
  return v;
}

/* SentencePiece, "llama" or "t5": some letters and words, bytes for "llama". */
static inline TinyVocab *
tiny_sentencepiece (const char *model)
{
  static const char *const words[] = { "▁", "a", "b", "c", "<", "/", "s", ">", "0", "x", "4", "1", "ab",
                                       "abc", "▁a", "▁ab", "bc", "</", "s>", "炉", "▁▁" };
  TinyVocab *v = tiny_new (model, NULL);
  v->spec.unk = tiny_add (v, "<unk>", ENG_TOKEN_UNKNOWN, 0);
  v->spec.bos = tiny_add (v, "<s>", ENG_TOKEN_CONTROL, 0);
  v->spec.eos = tiny_add (v, "</s>", ENG_TOKEN_CONTROL, 0);
  if (strcmp (model, "llama") == 0)
    for (int b = 0; b < 256; b++)
      {
        g_autofree char *name = g_strdup_printf ("<0x%02X>", b);
        tiny_add (v, name, ENG_TOKEN_BYTE, 0);
      }
  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    tiny_add (v, words[i], ENG_TOKEN_NORMAL, -1.0f - 0.37f * (float) (i * 7 % 11));
  return v;
}

static inline TinyVocab *
tiny_wordpiece (void)
{
  static const char *const words[] = { "▁he", "llo", "▁a", "▁!", "▁炉", "▁ecole", "o", "▁$" };
  TinyVocab *v = tiny_new ("bert", NULL);
  v->spec.pad = tiny_add (v, "[PAD]", ENG_TOKEN_CONTROL, 0);
  v->spec.unk = tiny_add (v, "[UNK]", ENG_TOKEN_CONTROL, 0);
  v->spec.bos = tiny_add (v, "[CLS]", ENG_TOKEN_CONTROL, 0);
  v->spec.sep = tiny_add (v, "[SEP]", ENG_TOKEN_CONTROL, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    tiny_add (v, words[i], ENG_TOKEN_NORMAL, 0);
  return v;
}

static inline EngTokenizer *
tiny_build (TinyVocab *v)
{
  EngTokenizer *tok = NULL;
  EngError error;
  if (eng_tokenizer_new (tiny_spec (v), &tok, &error))
    g_error ("%s (%s)", error.text, error.field);
  tiny_free (v);
  return tok;
}

/* Names of the ids of @text, joined by '|'. */
static inline char *
tiny_encode (const EngTokenizer *tok, const char *text, gsize n, unsigned flags)
{
  EngTokenBuffer ids = { 0 };
  GString *s = g_string_new (NULL);
  g_assert_cmpint (eng_tokenizer_encode (tok, text, n, flags, &ids, NULL), ==, ENG_OK);
  for (gsize i = 0; i < ids.n; i++)
    {
      const char *piece;
      gsize n_piece;
      g_assert_true (eng_tokenizer_get_piece (tok, ids.ids[i], &piece, &n_piece));
      g_string_append (s, i ? "|" : "");
      g_string_append_len (s, piece, (gssize) n_piece);
    }
  eng_token_buffer_free (&ids);
  return g_string_free (s, FALSE);
}
