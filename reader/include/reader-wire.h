/* SPDX-License-Identifier: Apache-2.0 */
/* What inglenook-reader says on its standard output: frames of a header of two 32-bit little-endian words,
 * RDR_WIRE_MAGIC | type and the payload's bytes (at most RDR_WIRE_MAX_PAYLOAD), then the payload, a JSON object in
 * UTF-8 (pixels of a page apart). What comes is checked by whoever reads it: the reader is not trusted.
 *
 *   inglenook-reader text NAME            reads the document on descriptor 0; NAME tells its kind where
 *                                         its first bytes do not
 *       CONFINED {seccomp, landlock, limits}      what holds this process; always first
 *       BLOCKS   {blocks: [{kind, text, page, …}]} as soon as they are there
 *       PROGRESS {done, total}                     pages
 *       SCAN     {page, pages, title}              that page is a picture: blocks told before it stand before it
 *       END      {title, kind, pages, characters, notes: ["hidden-text", …]}
 *       ERROR    {code, text}                      instead of END; blocks before it are good
 *   inglenook-reader page NAME PAGE PIXELS-WIDE [FIND]    a page of a PDF, from 1
 *       PAGE     {width, height, stride, boxes: [[x, y, width, height], …]}, then
 *       PIXELS   stride * height bytes, 32 bits each as cairo's CAIRO_FORMAT_RGB24
 *   inglenook-reader recognize PROGRAM ARGUMENT…    becomes PROGRAM, confined as it is itself but for starting
 *                                         it: no frames, its output is PROGRAM's
 *   inglenook-reader --password …         as either: the document's password stands on descriptor 3, at most
 *                                         RDR_MAX_PASSWORD_BYTES, to its end
 *
 * A block: "kind" is one of paragraph, heading ("level" 1 to 6), item, row ("header": the cells of the table's
 * first row where it has one, joined as the text is), code. "text" is UTF-8 without control characters, cells
 * parted by tabs. "page" counts from 1, 0 = the format has none. "path" holds the headings above it joined by
 * " › ". "start" is the offset of its first character in the document's text, which is all blocks joined by two
 * line feeds. "hidden" is set for text that no eye would see. */
#pragma once

#include <stdint.h>

#define RDR_WIRE_MAGIC 0x52440000u
#define RDR_WIRE_MAX_PAYLOAD (64u * 1024u * 1024u)

typedef enum
{
  RDR_WIRE_CONFINED = 1,
  RDR_WIRE_BLOCKS = 2,
  RDR_WIRE_PROGRESS = 3,
  RDR_WIRE_END = 4,
  RDR_WIRE_ERROR = 5,
  RDR_WIRE_PAGE = 6,
  RDR_WIRE_PIXELS = 7,
  RDR_WIRE_SCAN = 8
} RdrWireType;

/* "code" of ERROR. */
#define RDR_ERROR_FORMAT "format"           /* breaks its format, or ends early */
#define RDR_ERROR_ENCRYPTED "encrypted"     /* locked in a way that is not opened here: rights management, office */
#define RDR_ERROR_PASSWORD "password"       /* a PDF that a password would open */
#define RDR_ERROR_WRONG_PASSWORD "wrong-password"
#define RDR_ERROR_LIMIT "limit"             /* a limit of reader-limits.h; text names it */
#define RDR_ERROR_UNSUPPORTED "unsupported" /* no kind of document that is read */
#define RDR_ERROR_MEMORY "memory"
