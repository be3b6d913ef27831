/* SPDX-License-Identifier: Apache-2.0 */
/* Embedding vectors of texts from a session whose model is an encoder. */
#pragma once

#include "eng-session.h"

typedef enum
{
  ENG_EMBED_DOCUMENT,
  ENG_EMBED_QUERY, /* some models mark questions apart from passages */
} EngEmbedKind;

/* Floats of one vector. */
uint32_t eng_embed_get_width (const EngSession *session);

/* A text as the model reads it. Zero-initialize; kept memory is used again. */
typedef struct
{
  EngTokenBuffer ids; /* of all parts, one behind the other */
  uint32_t *n;        /* [n_parts] ids of each */
  uint32_t n_parts, capacity;
} EngEmbedParts;

void eng_embed_parts_free (EngEmbedParts *parts);

/* Ids of @text as the model wants them: its marks around, the model's own prefix for @kind. What is longer than the
 * session's context becomes several parts of about the same length, each with marks and prefix, cut before a word where
 * there is one: no id of the text is lost. (A ranking head reads a pair that cannot be cut: what is too long for it loses
 * its end.) Replaces what @parts holds. */
EngStatus eng_embed_encode (EngSession *session, const char *text, size_t n_bytes, EngEmbedKind kind,
                            EngEmbedParts *parts, EngError *error);

/* Vectors of the first texts that fit one batch of about @max_rows rows (at least one text): *n_done of them, out
 * [*n_done, width], each of length 1 (a ranking head's score as it is). The
 * vector of a text in several parts is the mean of theirs, each weighted by its ids. Short enough to be a point where
 * more urgent work comes in between. ENG_ERR_UNSUPPORTED when the model is no encoder; ENG_ERR_CANCELLED. */
EngStatus eng_embed_some (EngSession *session, const EngString *texts, uint32_t n,
                          EngEmbedKind kind, uint32_t max_rows, ENG_ATOMIC_FLAG *cancel, float *out,
                          uint32_t *n_done, EngError *error);
