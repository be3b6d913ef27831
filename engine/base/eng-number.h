/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as text, the same in every locale. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Enough for every text the functions below write, NUL included. */
#define ENG_NUMBER_TEXT_MAX 40

/* Reads the whole of the @n bytes at @s as a decimal number: [-+] digits [. digits] [e[-+]digits],
 * digits on at least one side of the point, rounded to the nearest double. False (and *out
 * untouched) on anything else, on more than 400 bytes and on an empty text. No hexadecimal, "inf"
 * or "nan". */
bool eng_parse_double (const char *s, size_t n, double *out);
/* The whole of the @n bytes as [-+] digits; false on overflow or anything else. */
bool eng_parse_int64 (const char *s, size_t n, int64_t *out);

/* The shortest decimal that reads back as @value, written as Python's repr () does: "1.0", "0.1",
 * "1e+16", "1e-05", "inf", "-inf", "nan". Returns the length without the NUL. */
size_t eng_format_double (double value, char text[ENG_NUMBER_TEXT_MAX]);
/* Fixed notation with @precision (0 to 60) digits behind the point, exactly rounded; false, and an
 * empty text, when @size bytes do not hold it. */
bool eng_format_fixed (double value, unsigned precision, char *text, size_t size);
