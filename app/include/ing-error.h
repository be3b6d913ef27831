/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of the application layer. One domain; each code says what the person can do next. Cancelled
 * work reports G_IO_ERROR_CANCELLED instead, as all of GIO does.
 *
 * The message of such an error is raw English text for logs and for "Details". What a person reads
 * comes from ing_error_describe(). */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define ING_ERROR (ing_error_quark ())
GQuark ing_error_quark (void);

typedef enum
{
  ING_ERROR_FAILED,         /* nothing more is known */
  ING_ERROR_ARGUMENT,       /* a request out of range: a bug, or a bad option in the terminal */
  ING_ERROR_NO_MEMORY,      /* memory ran out */
  ING_ERROR_IO,             /* the system refused a read or write; details have the reason */
  ING_ERROR_NOT_FOUND,      /* no such file, conversation, … ; field names it */
  ING_ERROR_FORMAT,         /* a file breaks its format; field and offset say where */
  ING_ERROR_TRUNCATED,      /* a file ends early; needed and available are bytes */
  ING_ERROR_UNSUPPORTED,    /* valid, but not something this program does */
  ING_ERROR_LIMIT,          /* a limit of ours was hit */
  ING_ERROR_CONTEXT_FULL,   /* needed and available are tokens */
  ING_ERROR_TEMPLATE,       /* a chat template does not parse or raised; line says where */
  ING_ERROR_TOO_LARGE,      /* would not fit in memory; needed and available are bytes: offer to force */
  ING_ERROR_BUSY,           /* in use now; wait */
  ING_ERROR_NO_MODULE,      /* GPU module absent; the CPU goes on */
  ING_ERROR_MODULE_ABI,     /* GPU module of another version */
  ING_ERROR_NO_DRIVER,      /* GPU driver absent */
  ING_ERROR_OLD_DRIVER,     /* GPU driver too old */
  ING_ERROR_NO_DEVICE,      /* no usable GPU */
  ING_ERROR_DEVICE,         /* a GPU call failed; the engine starts again by itself */
  ING_ERROR_DEVICE_MEMORY,  /* GPU memory ran out; needed and available are bytes */
  ING_ERROR_INTERNAL,       /* a bug of ours */
  ING_ERROR_ENGINE_LOST,    /* the engine's process ended; it starts again with the next request */
  ING_ERROR_PROTOCOL,       /* the engine answered nonsense: mixed versions */
  ING_ERROR_NO_MODEL,       /* a question, but no model is loaded or loading: offer to open one */
  ING_ERROR_NO_TEMPLATE,    /* the model has no chat template: offer plain completion */
  ING_ERROR_DISK_FULL,      /* needed and available are bytes (0 = unknown), field the folder */
  ING_ERROR_READ_ONLY,      /* the folder in field cannot be written */
  ING_ERROR_PERMISSION,     /* no permission for the file in field */
  ING_ERROR_LOCKED,         /* another process owns the data folder; needed is its pid, 0 = unknown */
  ING_ERROR_DATABASE,       /* the database refused; details have the reason */
  ING_ERROR_DATABASE_NEWER, /* written by a newer version; needed and available are schema versions */
  ING_ERROR_DATABASE_DAMAGED, /* offer the newest good backup, see IngWorkspace */
  ING_ERROR_OFFLINE,        /* the program is kept off the network: offer the switch */
  ING_ERROR_NETWORK,        /* no connection, or it broke or stood still; field is the host. Try again later */
  ING_ERROR_SERVER,         /* the server answered against the rules or with a failure; details have it */
  ING_ERROR_NOT_TRUSTED,    /* the server's certificate is not good, or a redirection leads where it must not */
  ING_ERROR_GATED,          /* the hub wants a sign-in or a licence accepted; field is the page where */
  ING_ERROR_HASH,           /* what came is not what was promised; field is the file. Nothing was kept */
  ING_ERROR_NOT_A_MODEL,    /* the server sent something else: a web page, a log-in form, … */
  ING_ERROR_NOT_CONNECTED,  /* the folder in field is not there: a drive that is not connected, perhaps */
  ING_ERROR_EXISTS,         /* a file of the name in field is there already; nothing is replaced */
  ING_ERROR_TOO_SMALL,      /* a model cannot be made as small as asked for; needed is the smallest possible, in bytes */
  ING_ERROR_PASSWORD,       /* a document is locked: ask for its password (ing-document-password.h) */
  ING_ERROR_WRONG_PASSWORD, /* …and the one that was given does not open it: ask again */
  ING_ERROR_PROTECTED,      /* a document that no password given here opens: rights management, a locked office file */
  ING_ERROR_NO_TEXT,        /* a document without text; needed is how many of its pages are pictures that nothing is installed for */
} IngErrorCode;

#define ING_ERROR_LAST ING_ERROR_NO_TEXT

#define ING_ERROR_OFFSET_NONE G_MAXUINT64

/* New error with its numbers. @field may be NULL. */
GError *ing_error_new (IngErrorCode code, const char *field, guint64 needed, guint64 available,
                       const char *format, ...) G_GNUC_PRINTF (5, 6);

/* Details of an ING_ERROR; all of them answer "none" (NULL, 0, ING_ERROR_OFFSET_NONE) for errors of
 * other domains. Borrowed from @error. */
const char *ing_error_get_field (const GError *error);
guint64 ing_error_get_needed (const GError *error);
guint64 ing_error_get_available (const GError *error);
guint64 ing_error_get_offset (const GError *error);
guint ing_error_get_line (const GError *error);

/* Words for a person, translated, of any error of any domain: @title one short sentence without a
 * final stop that says what happened ("The model file is cut off"), @advice one or two sentences on
 * what to do, with the numbers, "" if there is nothing to do; @details the raw text to copy. Each
 * may be NULL; the caller frees what it asked for. */
void ing_error_describe (const GError *error, char **title, char **advice, char **details);

/* The same as one line for a terminal: "title. advice". Never NULL; caller frees. */
char *ing_error_to_sentence (const GError *error);

G_END_DECLS
