/* SPDX-License-Identifier: Apache-2.0 */
/* Strict UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. Pure functions,
 * any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What eng_utf8_next stores for bytes that are no character. */
#define ENG_UTF8_INVALID UINT32_MAX
#define ENG_UTF8_MAX_BYTES 4

/* Decode the character at @s, where @n >= 1 bytes are readable; returns how many bytes it takes.
 * Broken input stores ENG_UTF8_INVALID and returns the length of the "maximal subpart" (Unicode
 * Standard, section 3.9, U+FFFD substitution): the bytes that one U+FFFD stands for, at least 1. */
size_t eng_utf8_next (const uint8_t *s, size_t n, uint32_t *cp);

/* Encode @cp (a scalar value, else U+FFFD is written) into @out; returns 1 to 4. */
size_t eng_utf8_put (uint32_t cp, uint8_t out[ENG_UTF8_MAX_BYTES]);

/* True if all @n bytes are valid UTF-8. */
bool eng_utf8_is_valid (const uint8_t *s, size_t n);

/* How many bytes at the end of @s begin a character that more bytes could complete: 0 to 3. */
size_t eng_utf8_incomplete_tail (const uint8_t *s, size_t n);
