/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of a file as it grows, and a 64-bit sum of each block of 16 MiB, so that a later check of the file can
 * say which blocks are bad. The sums find rot, not forgery: SHA-256 (FIPS 180-4, by nettle, which uses the
 * processor's instructions for it) decides in the end. One thread at a time. */
#pragma once

#include <glib.h>
#include <nettle/sha2.h>

#define ING_HASHER_BLOCK_BYTES (16u * 1024 * 1024)

typedef struct
{
  struct sha256_ctx sha;
  guint64 n_bytes;
  guint64 sum;    /* of the block under way */
  guint64 word;   /* bytes that wait for eight */
  GArray *blocks; /* guint64, of whole blocks; the last one after _finish() */
} IngHasher;

void ing_hasher_init (IngHasher *hasher);
void ing_hasher_clear (IngHasher *hasher);
void ing_hasher_update (IngHasher *hasher, const guint8 *bytes, gsize n);
/* Lower-case hex; caller frees. */
char *ing_hasher_finish (IngHasher *hasher);

/* "0123…,4567…" and back; NULL if it is not such a text. */
char *ing_hasher_blocks_to_text (const GArray *blocks);
GArray *ing_hasher_blocks_from_text (const char *text);
