/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the converter share. A step that fails sets @status and everything after it
 * does nothing, so that sequences of steps read as such. */
#pragma once

#include "eng-arena.h"
#include "eng-convert.h"
#include "eng-error.h"
#include "eng-json.h"
#include "eng-safetensors.h"

typedef struct EngConvert EngConvert;
typedef struct EngConvertArch EngConvertArch;

/* How a tensor of the hub becomes one of GGUF. */
enum
{
  ENG_RULE_REQUIRED = 1 << 0,
  ENG_RULE_ROPE_Q = 1 << 1,     /* rows of rotary halves become neighbours, by query heads */
  ENG_RULE_ROPE_K = 1 << 2,     /* the same by key heads */
  ENG_RULE_ADD_ONE = 1 << 3,    /* norms stored minus one */
  ENG_RULE_FIRST_HALF = 1 << 4, /* rows of the first half of every slice */
  ENG_RULE_LAST_HALF = 1 << 5,
  ENG_RULE_VECTOR = 1 << 6,    /* [1, n] becomes [n] */
  ENG_RULE_POSITIONS = 1 << 7, /* rows before pad_token_id + 1 go (RoBERTa) */
  ENG_RULE_VOCAB = 1 << 8,     /* rows are tokens: their number must fit the vocabulary */
  /* Heads of values of a delta rule, on the hub those of each key head together, in GGUF the first of every key head,
   * then the second of every one: */
  ENG_RULE_TILE_ROWS = 1 << 9,     /* rows (of a vector: numbers) */
  ENG_RULE_TILE_END = 1 << 10,     /* those behind the rows of queries and keys */
  ENG_RULE_TILE_COLUMNS = 1 << 11, /* columns */
  ENG_RULE_TAPS = 1 << 12,         /* [n, 1, taps] becomes [n, taps] */
  ENG_RULE_MINUS_EXP = 1 << 13,    /* of a vector x: -exp (x) */
  ENG_RULE_MXFP4 = 1 << 14,        /* "<from>_blocks" and "<from>_scales"; with the flags behind: */
  ENG_RULE_EVEN = 1 << 15,         /* rows 0, 2, … (of a bias: numbers) of every expert */
  ENG_RULE_ODD = 1 << 16,          /* rows 1, 3, … */
  /* Rows of a delta rule's queries, keys, values and gates, on the hub together by key heads: */
  ENG_RULE_MIXED_QKV = 1 << 17,    /* all queries, then all keys, then all values */
  ENG_RULE_MIXED_Z = 1 << 18,      /* the gates */
  /* A product that makes keys and values of latents, those of each head together, becomes slices, one a head: */
  ENG_RULE_HEAD_KEYS = 1 << 19,   /* the keys' rows, transposed */
  ENG_RULE_HEAD_VALUES = 1 << 20, /* the values' rows */
};

typedef struct
{
  const char *from; /* after the prefix (and "layers.N."); '#' stands for an expert's number */
  const char *to;   /* after "blk.N." in a layer */
  unsigned flags;
} EngConvertRule;

struct EngConvertArch
{
  const char *hub_names;    /* of config.json's "architectures", with '|' between */
  const char *name;         /* general.architecture */
  const char *prefixes;     /* tensor names may begin so, with '|' between; "" counts, at the end */
  const char *layers;       /* "layers." */
  const char *activation;   /* what hidden_act may be, with '|' between; NULL = not looked at */
  const EngConvertRule *const *globals; /* lists, each ended by a NULL from; then NULL */
  const EngConvertRule *const *rules;
  const char *ignored;      /* parts of names of tensors that are not needed, with '|' between */
  void (*set_hparams) (EngConvert *c); /* beyond the common ones; or NULL */
};

struct EngConvert
{
  EngStatus status;
  EngError *error;
  EngArena arena;
  const char *folder;
  const EngConvertArch *arch;
  const EngJson *config;      /* config.json, or its text_config */
  const EngJson *root_config; /* config.json */
  const EngJson *generation;  /* generation_config.json or NULL */
  EngSafetensors *weights;
  EngSafetensors *dense[2]; /* sentence-transformers' 2_Dense and 3_Dense; NULL without */
  bool *used;         /* one a tensor of @weights */
  uint64_t n_left_out, left_out_bytes; /* tensors of parts that a language model does without */
  const char *left_out;                /* the first of them */
  const char *prefix; /* of tensor names */
  EngGgufWriter *writer;
  uint32_t n_layers_ahead; /* behind the others on the hub, left out: they guess further tokens (MTP) */
  uint32_t n_layers, n_heads, n_heads_kv, n_experts, n_vocab, head_width;
  uint32_t n_key_heads, n_value_heads, n_key_rows; /* of a delta rule; rows of its queries and keys together */
  uint32_t n_head_keys, n_head_values; /* of multi-head latent attention: rows of a head's keys and values */
  EngTransferTensor *tensors;
  size_t n_tensors, cap_tensors;
  bool *is_fixed; /* [n_tensors] its type is not the target's to choose */
};

/* Each returns false once @status is not ENG_OK, so that callers can stop. */
bool eng_convert_fail (EngConvert *c, EngStatus status, const char *field, const char *format, ...)
    __attribute__ ((format (printf, 4, 5)));

/* A file of the folder as a JSON tree, or NULL: absent (fine unless @required) or failed. */
const EngJson *eng_convert_read_json (EngConvert *c, const char *name, bool required);
/* A file's bytes in the arena, NUL behind them; NULL when absent or failed. */
const char *eng_convert_read_text (EngConvert *c, const char *name, size_t limit, size_t *n_bytes);

/* Numbers of config.json; @names has alternatives with '|' between. */
bool eng_convert_has (EngConvert *c, const char *names);
uint32_t eng_convert_need_u32 (EngConvert *c, const char *names);
uint32_t eng_convert_get_u32 (EngConvert *c, const char *names, uint32_t fallback);
double eng_convert_get_f64 (EngConvert *c, const char *names, double fallback);
bool eng_convert_get_bool (EngConvert *c, const char *name, bool fallback);

/* Metadata under the architecture's name. */
void eng_convert_set_u32 (EngConvert *c, const char *suffix, uint32_t value);
void eng_convert_set_f32 (EngConvert *c, const char *suffix, double value);
void eng_convert_set_string (EngConvert *c, const char *suffix, const char *value);
void eng_convert_set_bool (EngConvert *c, const char *suffix, bool value);
/* Metadata by full key. */
void eng_convert_set_key_u32 (EngConvert *c, const char *key, uint32_t value);
void eng_convert_set_key_bool (EngConvert *c, const char *key, bool value);
void eng_convert_set_key_string (EngConvert *c, const char *key, const char *value);

/* True if @text is one of the words of @list, '|' between them. */
bool eng_convert_is_one_of (const char *list, const char *text);

/* eng-convert-arch.c: NULL if none has this hub name. */
const EngConvertArch *eng_convert_arch_find (const char *hub_name);
const char *eng_convert_arch_get_names (void);
/* Of the family GLM, whose vocabularies are alike. */
bool eng_convert_is_glm (const EngConvert *c);

/* eng-convert-latent.c */
void eng_convert_set_glm4moe (EngConvert *c);
void eng_convert_set_deepseek_v2 (EngConvert *c);
void eng_convert_set_deepseek_v3 (EngConvert *c); /* GLM-4.7-Flash too */

/* eng-convert-gemma4.c */
void eng_convert_set_gemma4 (EngConvert *c);

/* eng-convert-config.c */
void eng_convert_hparams (EngConvert *c);
/* The RoPE dictionary of config.json, whatever its age; NULL if there is none. */
const EngJson *eng_convert_rope (EngConvert *c);
double eng_convert_rope_theta (EngConvert *c);

/* eng-convert-tensors.c */
void eng_convert_plan_tensors (EngConvert *c);
/* Opens what sentence-transformers puts behind the pooling, for eng_convert_plan_tensors () to take. */
void eng_convert_open_dense (EngConvert *c);
/* Adds a float32 vector that no tensor of the hub has. */
void eng_convert_add_vector (EngConvert *c, const char *name, const float *values, uint32_t n);

/* eng-convert-vocab.c and its neighbours */
void eng_convert_vocab (EngConvert *c);

/* A vocabulary being put together, and what becomes of it in the file. */
typedef struct
{
  EngGgufString *tokens;
  int32_t *types; /* ENG_TOKEN_… */
  float *scores;  /* or NULL */
  uint32_t n;     /* embedding rows */
} EngConvertVocab;

/* n_vocab unused tokens "[PAD0]", …; NULL on failure. */
EngConvertVocab *eng_convert_vocab_new (EngConvert *c, bool with_scores);
/* False (and failed) when @id is outside. @text is copied. */
bool eng_convert_vocab_set (EngConvert *c, EngConvertVocab *v, int64_t id, const char *text,
                            size_t n_bytes, int type, float score);
/* The "added_tokens" of tokenizer.json. */
void eng_convert_vocab_add_added (EngConvert *c, EngConvertVocab *v, const EngJson *tokenizer);
void eng_convert_vocab_write (EngConvert *c, const EngConvertVocab *v, const char *model,
                              const char *pre);

/* eng-convert-spm.c: tokenizer.model (a SentencePiece file); false if the folder has none. */
bool eng_convert_vocab_spm (EngConvert *c, const EngJson *tokenizer);
/* Byte-pair with byte fallback in tokenizer.json: the same kind of tokenizer in another file. */
void eng_convert_vocab_spm_json (EngConvert *c, const EngJson *tokenizer);
/* eng-convert-bpe.c */
void eng_convert_vocab_bpe (EngConvert *c, const EngJson *tokenizer);
void eng_convert_write_merges (EngConvert *c, const EngJson *merges);
/* eng-convert-vocab.c: XLM-RoBERTa's and BERT's. */
bool eng_convert_json_mentions (const EngJson *value, const char *type);
