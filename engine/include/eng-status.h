/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes and the error record that every engine call reports with. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a fallible engine call returns. ENG_OK is 0; every other value says what kind of thing went
 * wrong and so what the caller can do next. The numbers cross the wire (eng-wire.h) and a plug-in
 * boundary: never renumber, only append. */
typedef enum
{
  ENG_OK = 0,
  ENG_ERR_ARGUMENT = 1,     /* the caller passed something out of the documented range: fix the call */
  ENG_ERR_NO_MEMORY = 2,    /* host memory ran out: free some, ask for less, try again */
  ENG_ERR_IO = 3,           /* the system refused a read, write or map: text has the reason */
  ENG_ERR_NOT_FOUND = 4,    /* no such file, tensor, key or device */
  ENG_ERR_FORMAT = 5,       /* a file breaks its format: field and offset say where */
  ENG_ERR_TRUNCATED = 6,    /* a file ends early: needed and available are bytes */
  ENG_ERR_UNSUPPORTED = 7,  /* valid, but not something this engine does: text names it */
  ENG_ERR_LIMIT = 8,        /* a limit of ours was hit (depth, steps, bytes): text names it */
  ENG_ERR_CONTEXT_FULL = 9, /* needed and available are tokens: shorten, or enlarge the context */
  ENG_ERR_CANCELLED = 10,   /* the caller's cancel flag was seen: nothing is broken, go on */
  ENG_ERR_TEMPLATE = 11,    /* a chat template does not parse or raised: line says where */
  ENG_ERR_TOO_LARGE = 12,   /* would not fit in memory; needed and available are bytes: offer to force */
  ENG_ERR_BUSY = 13,        /* owned by somebody else now: wait */
  ENG_ERR_NO_MODULE = 14,   /* plug-in file absent: the CPU goes on */
  ENG_ERR_MODULE_ABI = 15,  /* plug-in of another version: reinstall it; the CPU goes on */
  ENG_ERR_NO_DRIVER = 16,   /* device driver absent: the CPU goes on */
  ENG_ERR_OLD_DRIVER = 17,  /* driver too old: needed and available are versions; the CPU goes on */
  ENG_ERR_NO_DEVICE = 18,   /* driver there, no usable device: the CPU goes on */
  ENG_ERR_DEVICE = 19,      /* a device call failed; its context may be lost: start the child again */
  ENG_ERR_DEVICE_MEMORY = 20, /* device memory ran out; needed and available are bytes: place less */
  ENG_ERR_INTERNAL = 21,    /* a bug of ours: report it */
} EngStatus;

#define ENG_OFFSET_NONE UINT64_MAX

/* Details of a failure, in the caller's storage. A callee fills it only when it returns non-OK, and
 * then fills all of it. Passing NULL is allowed everywhere. */
typedef struct
{
  EngStatus code;
  uint32_t line;      /* 1-based line in a template or text file; 0 = does not apply */
  uint64_t offset;    /* byte offset in the file; ENG_OFFSET_NONE = does not apply */
  uint64_t needed;    /* bytes, tokens or version, as the code says; 0 = does not apply */
  uint64_t available; /* the other number of the pair */
  char field[96];     /* name of the key, tensor or option at fault, valid UTF-8, "" = none */
  char text[320];     /* one English sentence without a final newline, valid UTF-8 */
} EngError;

/* Short stable name such as "format" for logs and JSON. Never NULL. Any thread. */
const char *eng_status_name (EngStatus status);

#ifdef __cplusplus
}
#endif
