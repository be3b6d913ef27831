/* SPDX-License-Identifier: Apache-2.0 */
/* The generated tables behind eng-unicode.h; gen-unicode.py knows their form. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Two stages: code point / 128 -> block number; then a byte a character: category in bits 0 to 4,
 * White_Space in bit 5. */
#define ENG_UNICODE_BLOCK_BITS 7
#define ENG_UNICODE_PROPERTY_WHITE_SPACE 0x20
extern const uint16_t eng_unicode_block_index[];
extern const uint8_t eng_unicode_blocks[];

/* Sorted by the code point they map from. */
extern const size_t eng_unicode_n_lower;
extern const uint32_t eng_unicode_lower_from[];
extern const uint32_t eng_unicode_lower_to[];
extern const size_t eng_unicode_n_decompositions;
extern const uint32_t eng_unicode_decomposition_from[];
extern const uint16_t eng_unicode_decomposition_at[];
extern const uint8_t eng_unicode_decomposition_length[];
extern const uint32_t eng_unicode_decomposition_pool[];
