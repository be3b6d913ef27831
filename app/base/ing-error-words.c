/* SPDX-License-Identifier: Apache-2.0 */
/* Words for errors, chosen by code: raw text of an engine or a system never reaches a person except as
 * details. Rules of tone: short, plain, no exclamation mark, numbers with units. */
#include <inttypes.h>

#include <glib/gi18n-lib.h>

#include "ing-error-private.h"
#include "ing-paths.h"

typedef struct
{
  const char *title;
  const char *advice; /* NULL = none, or made below because it holds numbers */
} Words;

/* Indexed by IngErrorCode. */
static const Words words[] = {
  [ING_ERROR_FAILED] = { N_ ("That did not work"), NULL },
  [ING_ERROR_ARGUMENT] = { N_ ("A setting is out of its range"), NULL },
  [ING_ERROR_NO_MEMORY] = { N_ ("Memory ran out"),
                            N_ ("Close other programs, or choose a smaller model or context.") },
  [ING_ERROR_IO] = { N_ ("A file could not be read or written"), NULL },
  [ING_ERROR_NOT_FOUND] = { N_ ("The file was not found"),
                            N_ ("It may have been moved or deleted.") },
  [ING_ERROR_FORMAT] = { N_ ("The file is damaged or of another kind"), NULL },
  [ING_ERROR_TRUNCATED] = { N_ ("The file is cut off"), NULL },
  [ING_ERROR_UNSUPPORTED] = { N_ ("This kind of file or model is not supported"), NULL },
  [ING_ERROR_LIMIT] = { N_ ("The file goes beyond a safety limit"), NULL },
  [ING_ERROR_CONTEXT_FULL] = { N_ ("The conversation is longer than the context"), NULL },
  [ING_ERROR_TEMPLATE] = { N_ ("The model’s chat template cannot be used"), NULL },
  [ING_ERROR_TOO_LARGE] = { N_ ("The model is larger than the free memory"), NULL },
  [ING_ERROR_BUSY] = { N_ ("Busy with something else"), N_ ("Try again in a moment.") },
  [ING_ERROR_NO_MODULE] = { N_ ("The graphics card module is not installed"),
                            N_ ("The processor does the work.") },
  [ING_ERROR_MODULE_ABI] = { N_ ("The graphics card module is of another version"),
                             N_ ("Install it again. Until then the processor does the work.") },
  [ING_ERROR_NO_DRIVER] = { N_ ("The graphics card’s driver is not installed"),
                            N_ ("The processor does the work.") },
  [ING_ERROR_OLD_DRIVER] = { N_ ("The graphics card’s driver is too old"),
                             N_ ("Update it. Until then the processor does the work.") },
  [ING_ERROR_NO_DEVICE] = { N_ ("There is no usable graphics card"),
                            N_ ("The processor does the work.") },
  [ING_ERROR_DEVICE] = { N_ ("The graphics card stopped answering"),
                         N_ ("The engine starts again by itself. Ask again.") },
  [ING_ERROR_DEVICE_MEMORY] = { N_ ("The graphics card’s memory is full"), NULL },
  [ING_ERROR_INTERNAL] = { N_ ("The engine made a mistake"),
                           N_ ("Report it with the details.") },
  [ING_ERROR_ENGINE_LOST] = { N_ ("The engine stopped unexpectedly"),
                              N_ ("It starts again with the next question.") },
  [ING_ERROR_PROTOCOL] = { N_ ("The engine and the program do not understand each other"),
                           N_ ("They may be of different versions. Install the program again.") },
  [ING_ERROR_NO_MODEL] = { N_ ("No model is open"), N_ ("Open a model file to get answers.") },
  [ING_ERROR_NO_TEMPLATE] = { N_ ("This model has no chat template"),
                              N_ ("It can complete text, but does not know how to chat.") },
  [ING_ERROR_DISK_FULL] = { N_ ("The disk is full"), NULL },
  [ING_ERROR_READ_ONLY] = { N_ ("The folder cannot be written"), NULL },
  [ING_ERROR_PERMISSION] = { N_ ("There is no permission for the file"), NULL },
  [ING_ERROR_LOCKED] = { N_ ("The conversations are open in another program"), NULL },
  [ING_ERROR_DATABASE] = { N_ ("The conversations could not be read or saved"), NULL },
  [ING_ERROR_DATABASE_NEWER]
  = { N_ ("The conversations were saved by a newer version"),
      N_ ("Update the program to open them. Nothing was changed; new conversations are not kept "
          "until then.") },
  [ING_ERROR_DATABASE_DAMAGED]
  = { N_ ("The file of conversations is damaged"),
      N_ ("It can be replaced by the newest good backup; the damaged file is kept.") },
  [ING_ERROR_OFFLINE] = { N_ ("Strict offline is on"),
                          N_ ("Nothing can be fetched. It is turned off in the preferences.") },
  [ING_ERROR_NETWORK] = { N_ ("The connection was lost"),
                          N_ ("It goes on by itself when the network is back.") },
  [ING_ERROR_SERVER] = { N_ ("The server’s answer cannot be used"),
                         N_ ("Try again later, or fetch the file from elsewhere.") },
  [ING_ERROR_NOT_TRUSTED] = { N_ ("The server cannot be trusted"),
                              N_ ("Nothing was fetched. Check the address, and the clock of this "
                                  "computer.") },
  [ING_ERROR_GATED] = { N_ ("The hub does not give this file to everybody"), NULL },
  [ING_ERROR_HASH] = { N_ ("The file that came is not the one that was promised"),
                       N_ ("Nothing was kept. Try again, or fetch it from elsewhere.") },
  [ING_ERROR_NOT_A_MODEL] = { N_ ("The server sent something that is not a model"),
                              N_ ("A log-in page of the network may be in the way. Nothing was "
                                  "kept.") },
  [ING_ERROR_NOT_CONNECTED] = { N_ ("The folder is not there"), NULL },
  [ING_ERROR_EXISTS] = { N_ ("A file of this name is there already"), NULL },
  [ING_ERROR_TOO_SMALL] = { N_ ("The model cannot be made that small"), NULL },
  [ING_ERROR_PASSWORD] = { N_ ("The document is locked with a password"),
                           N_ ("Enter it to have the document read. The password is not stored.") },
  [ING_ERROR_WRONG_PASSWORD] = { N_ ("The password is wrong"), N_ ("The document stays locked until the right one is entered.") },
  [ING_ERROR_PROTECTED] = { N_ ("The document is protected"),
                            N_ ("It is encrypted for the program that it was made for. Save a copy there without protection, "
                                "and add that.") },
  [ING_ERROR_NO_TEXT] = { N_ ("There is no text in the document"),
                          N_ ("It is empty, or its pages are pictures in which no text was found.") },
};

/* What it is about, to show; NULL = it does not say. */
static char *
dup_field (const GError *error)
{
  const char *field = ing_error_get_field (error);
  return field != NULL ? ing_paths_make_display (field) : NULL;
}

static char *
format_offset (const GError *error)
{
  g_autofree char *field = dup_field (error);
  guint64 offset = ing_error_get_offset (error);
  if (field != NULL && offset != ING_ERROR_OFFSET_NONE)
    /* Translators: where a file is damaged: a field's name and a byte's place. */
    return g_strdup_printf (_ ("“%s” at byte %" PRIu64 " is not as it should be."), field,
                            offset);
  return field != NULL ? g_strdup_printf (_ ("“%s” is not as it should be."), field) : g_strdup ("");
}

/* Advice that holds numbers or names; NULL = the table's. */
static char *
make_advice (const GError *error)
{
  g_autofree char *field = dup_field (error);
  guint64 needed = ing_error_get_needed (error), available = ing_error_get_available (error);
  g_autofree char *needed_size = g_format_size (needed);
  g_autofree char *available_size = g_format_size (available);
  switch (error->code)
    {
    case ING_ERROR_NOT_FOUND:
      return field != NULL ? g_strdup_printf (_ ("“%s” is not there."), field) : NULL;
    case ING_ERROR_FORMAT:
      return format_offset (error);
    case ING_ERROR_TRUNCATED:
      return needed > 0 ? g_strdup_printf (_ ("%s of %s are there. Get the file again."),
                                           available_size, needed_size)
                        : NULL;
    case ING_ERROR_UNSUPPORTED:
    case ING_ERROR_LIMIT:
    case ING_ERROR_ARGUMENT:
      return g_strdup (error->message);
    case ING_ERROR_CONTEXT_FULL:
      return g_strdup_printf (_ ("It has %'" PRIu64 " tokens, and %'" PRIu64
                                 " fit. Shorten it, start a new conversation, or open the model "
                                 "with a larger context."),
                              needed, available);
    case ING_ERROR_TEMPLATE:
      return ing_error_get_line (error) > 0
                 ? g_strdup_printf (_ ("The trouble is in its line %u."), ing_error_get_line (error))
                 : NULL;
    case ING_ERROR_NO_TEXT:
      if (needed == 0)
        return NULL;
      return g_strdup (ing_paths_is_sandboxed ()
                           ? _ ("Its pages are pictures, and this package of Inglenook cannot read those.")
                           : _ ("Its pages are pictures. Install tesseract with the language’s data (tesseract-ocr), then try "
                                "again."));
    case ING_ERROR_TOO_LARGE:
      return g_strdup_printf (_ ("It needs %s; %s are free. Loading it anyway may slow the whole "
                                 "computer down."),
                              needed_size, available_size);
    case ING_ERROR_DEVICE_MEMORY:
      return needed > 0 ? g_strdup_printf (_ ("%s were needed; %s were free."), needed_size,
                                           available_size)
                        : NULL;
    case ING_ERROR_DISK_FULL:
      if (needed > 0)
        return g_strdup_printf (_ ("%s are needed; %s are free. Nothing is lost: saving goes on "
                                   "when there is room."),
                                needed_size, available_size);
      return g_strdup_printf (_ ("%s are free. Nothing is lost: saving goes on when there is room."),
                              available_size);
    case ING_ERROR_READ_ONLY:
      return g_strdup_printf (_ ("Nothing new can be kept there: “%s” is read-only."),
                              field != NULL ? field : "?");
    case ING_ERROR_NOT_CONNECTED:
      return g_strdup_printf (_ ("“%s” may be on a drive that is not connected. Connect it, and it goes on."),
                              field != NULL ? field : "?");
    case ING_ERROR_TOO_SMALL:
      {
        g_autofree char *smallest = g_format_size (ing_error_get_needed (error));
        return g_strdup_printf (_ ("The smallest possible is about %s."), smallest);
      }
    case ING_ERROR_EXISTS:
      return g_strdup_printf (_ ("“%s” was not touched. Move or rename it, then try again."), field != NULL ? field : "?");
    case ING_ERROR_PERMISSION:
      return field != NULL
                 ? g_strdup_printf (_ ("“%s” belongs to somebody else, or is protected."), field)
                 : NULL;
    case ING_ERROR_GATED:
      return field != NULL ? g_strdup_printf (_ ("Open %s, sign in and accept the licence there; then "
                                                 "make an access token on the hub and enter it in the "
                                                 "preferences."),
                                              field)
                           : NULL;
    case ING_ERROR_LOCKED:
      return needed > 0 ? g_strdup_printf (_ ("Process %" PRIu64
                                              " has them. New conversations are not kept."),
                                           needed)
                        : g_strdup (_ ("New conversations are not kept."));
    default:
      return NULL;
    }
}

void
ing_error_describe (const GError *error, char **title, char **advice, char **details)
{
  const char *own_title = NULL;
  g_autofree char *own_advice = NULL;
  if (error->domain == ING_ERROR && error->code >= 0 && error->code < (int) G_N_ELEMENTS (words))
    {
      own_title = _ (words[error->code].title);
      own_advice = make_advice (error);
      if (own_advice == NULL)
        own_advice = g_strdup (words[error->code].advice != NULL ? _ (words[error->code].advice)
                                                                 : "");
    }
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    own_title = _ ("Stopped");
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE))
    own_title = _ (words[ING_ERROR_DISK_FULL].title);
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND)
           || g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    own_title = _ (words[ING_ERROR_NOT_FOUND].title);
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED)
           || g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_ACCES))
    own_title = _ (words[ING_ERROR_PERMISSION].title);
  else
    own_title = _ (words[ING_ERROR_FAILED].title);
  if (title != NULL)
    *title = g_strdup (own_title);
  if (advice != NULL)
    *advice = own_advice != NULL ? g_steal_pointer (&own_advice) : g_strdup ("");
  if (details != NULL)
    *details = g_strdup_printf ("%s (%s, %d)", error->message, g_quark_to_string (error->domain),
                                error->code);
}

char *
ing_error_to_sentence (const GError *error)
{
  g_autofree char *title = NULL, *advice = NULL;
  ing_error_describe (error, &title, &advice, NULL);
  /* Translators: what happened, and as a whole sentence what to do. */
  return *advice != '\0' ? g_strdup_printf (_ ("%s. %s"), title, advice)
                         /* Translators: what happened, and the words that another program has for it. */
                         : g_strdup_printf (_ ("%s (%s)."), title, error->message);
}
