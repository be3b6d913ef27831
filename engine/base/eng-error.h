/* SPDX-License-Identifier: Apache-2.0 */
/* Filling EngError records, debug assertions and the log callback. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-status.h"

/* Fill @error (may be NULL) and return @code, so that failing is one line:
 *   return eng_error_set (error, ENG_ERR_FORMAT, "general.alignment", at, "alignment %u is …", a);
 * @field may be NULL. Text from files is made printable: control characters and broken UTF-8 become
 * '?', long strings are cut at a character border. */
EngStatus eng_error_set (EngError *error, EngStatus code, const char *field, uint64_t offset,
                         const char *format, ...) __attribute__ ((format (printf, 5, 6)));

/* The same, with the pair of numbers that codes such as ENG_ERR_TOO_LARGE carry. */
EngStatus eng_error_set_numbers (EngError *error, EngStatus code, const char *field,
                                 uint64_t needed, uint64_t available, const char *format, ...)
    __attribute__ ((format (printf, 6, 7)));

/* The same, for a text with lines (templates). */
EngStatus eng_error_set_line (EngError *error, EngStatus code, uint32_t line, const char *format,
                              ...) __attribute__ ((format (printf, 4, 5)));

#ifdef NDEBUG
#define ENG_ASSERT(cond) ((void) 0)
#else
#define ENG_ASSERT(cond) ((cond) ? (void) 0 : eng_assert_failed (#cond, __FILE__, __LINE__))
#endif
/* Programmer errors only; input is checked, never asserted. */
_Noreturn void eng_assert_failed (const char *cond, const char *file, int line);

typedef enum
{
  ENG_LOG_DEBUG,
  ENG_LOG_INFO,
  ENG_LOG_WARNING
} EngLogLevel;
typedef void (*EngLogFunc) (EngLogLevel level, const char *text, void *data);

/* The engine prints nothing by itself. Set once, before the first runtime; NULL = silent.
 * The callback runs on whichever engine thread logs and must not call back into the engine. */
void eng_log_set_func (EngLogFunc func, void *data);
void eng_log (EngLogLevel level, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
