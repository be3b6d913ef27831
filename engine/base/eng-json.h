/* SPDX-License-Identifier: Apache-2.0 */
/* JSON (RFC 8259): a strict reader into a tree in an arena, and a streaming writer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-arena.h"
#include "eng-buffer.h"
#include "eng-status.h"

/* Arrays and objects within each other; deeper is refused by the reader and fails the writer. */
#define ENG_JSON_MAX_DEPTH 256
/* Bytes of one text. A tokenizer.json has some tens of millions. */
#define ENG_JSON_MAX_BYTES ((size_t) 1 << 30)
/* Values in one text. */
#define ENG_JSON_MAX_VALUES ((size_t) 1 << 26)

typedef enum
{
  ENG_JSON_NULL,
  ENG_JSON_BOOL,
  ENG_JSON_NUMBER,
  ENG_JSON_STRING,
  ENG_JSON_ARRAY,
  ENG_JSON_OBJECT
} EngJsonType;

typedef struct EngJson EngJson;

/* One value. Read only; lives as long as its arena. Any thread may read it. */
struct EngJson
{
  EngJsonType type;
  bool boolean;    /* of a BOOL */
  bool is_integer; /* NUMBER that is exactly @integer: written without '.' or exponent, and fits */
  bool is_large; /* NUMBER written without '.' or exponent that does not fit: only @number, rounded
                  */
  uint32_t key_bytes;
  const char *key; /* in an object: the member's name, NUL-terminated UTF-8; else NULL */
  size_t n;        /* bytes of a STRING, elements of an ARRAY, members of an OBJECT */
  union
  {
    const char *string; /* valid UTF-8, NUL-terminated; may hold NUL bytes as well: use @n */
    struct
    {
      double number; /* always set for a NUMBER */
      int64_t integer;
    };
    struct
    {
      const EngJson *items; /* @n values in the order of the text */
      const uint32_t
          *sorted; /* OBJECT with more than a few members: their indices by name, else NULL */
    };
  };
};

/* Hub configurations written by Python may hold NaN, Infinity and -Infinity; with this flag they
 * are numbers, without it they are refused. */
#define ENG_JSON_ALLOW_NAN 1u

/* Parses all of the @n_bytes at @text (a leading byte order mark is skipped) into @arena.
 *
 * Strict: one value, nothing behind it but white space; UTF-8 must be valid; no comments, no
 * trailing commas. Escaped surrogate pairs become one character, a lone surrogate U+FFFD. A name
 * that comes twice in an object keeps the place of the first and the value of the last, as in
 * Python. Numbers beyond a double's range become infinite only with ENG_JSON_ALLOW_NAN.
 *
 * ENG_ERR_FORMAT (offset and line say where), ENG_ERR_LIMIT (one of the limits above), or
 * ENG_ERR_NO_MEMORY (the arena's limit too). On failure *root is NULL; what the arena holds of it
 * goes with the arena. */
EngStatus eng_json_parse (const char *text, size_t n_bytes, unsigned flags, EngArena *arena,
                          const EngJson **root, EngError *error);

/* The member called @key, or NULL when there is none or @object is NULL or no object. O(log n). */
const EngJson *eng_json_get (const EngJson *object, const char *key);
const EngJson *eng_json_get_n (const EngJson *object, const char *key, size_t key_bytes);
/* The @i-th element or member; NULL when out of range or not a container (or NULL). */
const EngJson *eng_json_at (const EngJson *container, size_t i);
bool eng_json_is_string (const EngJson *value, const char *s);

/* A member of the wanted type: true and *out, or false and *out untouched. An int64 must be exact;
 * 3.0 counts as one. The string is NUL-terminated and must hold no NUL of its own. */
bool eng_json_get_string (const EngJson *object, const char *key, const char **out);
bool eng_json_get_int64 (const EngJson *object, const char *key, int64_t *out);
bool eng_json_get_double (const EngJson *object, const char *key, double *out);
bool eng_json_get_bool (const EngJson *object, const char *key, bool *out);

/* Appends to @out as it goes: commas, colons and indentation come by themselves. Zero-initialize,
 * set @out and what you want of the options. Calls in an order that makes no JSON (a value in an
 * object without a key, an unmatched end) and more than ENG_JSON_MAX_DEPTH levels fail the buffer
 * (@out->failed); so look there once at the end. */
typedef struct
{
  EngBuffer *out;
  unsigned indent;   /* spaces a level; 0 = all on one line with ", " and ": " */
  bool compact;      /* "," and ":" instead; only without @indent */
  bool ensure_ascii; /* characters above U+007E as \uXXXX */
  unsigned depth;    /* the rest is the writer's own */
  bool has_items, after_key;
  uint8_t is_object[ENG_JSON_MAX_DEPTH / 8];
} EngJsonWriter;

void eng_json_write_begin_object (EngJsonWriter *w);
void eng_json_write_end_object (EngJsonWriter *w);
void eng_json_write_begin_array (EngJsonWriter *w);
void eng_json_write_end_array (EngJsonWriter *w);
void eng_json_write_key (EngJsonWriter *w, const char *key);
void eng_json_write_key_n (EngJsonWriter *w, const char *key, size_t n_bytes);
/* Broken UTF-8 becomes U+FFFD, so that what is written always reads back. NULL writes null. */
void eng_json_write_string (EngJsonWriter *w, const char *s);
void eng_json_write_string_n (EngJsonWriter *w, const char *s, size_t n_bytes);
void eng_json_write_int64 (EngJsonWriter *w, int64_t value);
void eng_json_write_uint64 (EngJsonWriter *w, uint64_t value);
/* Shortest text that reads back exactly; not a finite number: null. */
void eng_json_write_double (EngJsonWriter *w, double value);
void eng_json_write_bool (EngJsonWriter *w, bool value);
void eng_json_write_null (EngJsonWriter *w);
/* A whole tree; an @is_large number is written rounded. */
void eng_json_write_value (EngJsonWriter *w, const EngJson *value);
/* Key and value in one. */
void eng_json_write_member_string (EngJsonWriter *w, const char *key, const char *s);
void eng_json_write_member_int64 (EngJsonWriter *w, const char *key, int64_t value);
void eng_json_write_member_double (EngJsonWriter *w, const char *key, double value);
void eng_json_write_member_bool (EngJsonWriter *w, const char *key, bool value);

/* @s quoted and escaped, as the writer does, without a writer. */
void eng_json_append_quoted (EngBuffer *out, const char *s, size_t n_bytes, bool ensure_ascii);
