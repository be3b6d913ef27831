/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. `parts` are what this round reads, of which the first `at` have been read; `notes` is what they said.
 *  2. A generation is at work, or an idle source waits, exactly until the task has returned.
 * Each part is of one document. What an overlap repeats is read once: counts would be wrong. */
#include "ing-document-steps.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "ing-chunker.h"

#define LEAST_CONTEXT 1024u
#define NOTE_TOKENS 200
#define PROMPT_TOKENS 260u  /* instructions, template, marks */
#define MOST_PART_TOKENS 3000u
#define LEAST_PART_TOKENS 256u
#define MOST_ROUNDS 4u
#define QUESTION_BYTES 2000

typedef struct
{
  IngGenerationService *service;
  char *question;
  GPtrArray *parts; /* of IngPassage: of several joined; owned */
  GPtrArray *notes;
  guint at, done, round, idle_id;
  IngGeneration *generation;
  GString *text; /* that comes */
  gint64 start_us;
  IngDocumentProgress progress;
  gpointer progress_data;
  GCancellable *enough;
  gulong enough_id, cancelled_id;
} Steps;

static void next_part (GTask *task);

static void
steps_free (gpointer data)
{
  Steps *s = data;
  g_object_unref (s->service);
  g_free (s->question);
  g_ptr_array_unref (s->parts);
  g_ptr_array_unref (s->notes);
  g_string_free (s->text, TRUE);
  g_clear_object (&s->generation);
  g_clear_object (&s->enough);
  g_free (s);
}

/* ------------------------------------------------------------------ parts */

static guint
get_context (IngGenerationService *service)
{
  return MAX (ing_generation_service_get_context_size (service), LEAST_CONTEXT);
}

guint
ing_document_steps_get_room (IngGenerationService *service)
{
  return get_context (service) / 2;
}

guint
ing_document_steps_count_tokens (GPtrArray *passages)
{
  guint n = 0;
  for (guint i = 0; i < passages->len; i++)
    {
      const IngPassage *p = passages->pdata[i];
      n += ing_chunk_estimate_tokens (p->text, strlen (p->text));
    }
  return n;
}

static void
close_part (GPtrArray *parts, IngPassage *part, GString *text, guint first_page, guint last_page)
{
  if (part == NULL)
    return;
  g_free (part->text);
  part->text = g_strdup (text->str);
  if (first_page != last_page && first_page > 0)
    {
      g_free (part->heading);
      part->heading = g_strdup_printf (_ ("pages %u–%u"), first_page, last_page);
    }
  g_string_truncate (text, 0);
  g_ptr_array_add (parts, part);
}

/* Passages joined to parts of at most @most tokens. */
static GPtrArray *
make_parts (GPtrArray *passages, guint most)
{
  GPtrArray *parts = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_passage_free);
  g_autoptr (GString) text = g_string_new (NULL);
  IngPassage *part = NULL;
  guint tokens = 0, first_page = 0, last_page = 0;
  for (guint i = 0; i < passages->len; i++)
    {
      const IngPassage *p = passages->pdata[i];
      gsize skip = part != NULL && p->overlap < strlen (p->text) ? p->overlap : 0;
      guint n = ing_chunk_estimate_tokens (p->text + skip, strlen (p->text + skip));
      if (part != NULL && (part->document_id != p->document_id || tokens + n > most))
        {
          close_part (parts, g_steal_pointer (&part), text, first_page, last_page);
          tokens = 0;
        }
      if (part == NULL)
        {
          part = ing_passage_copy (p);
          first_page = p->page;
        }
      last_page = p->page;
      g_string_append (text, p->text + skip);
      if (text->len > 0 && text->str[text->len - 1] != '\n')
        g_string_append_c (text, '\n');
      tokens += n;
    }
  close_part (parts, part, text, first_page, last_page);
  return parts;
}

static guint
get_part_tokens (const Steps *s)
{
  guint context = get_context (s->service);
  guint taken = PROMPT_TOKENS + NOTE_TOKENS + ing_chunk_estimate_tokens (s->question, strlen (s->question));
  guint left = context > taken ? context - taken : 0;
  return CLAMP (left * 3 / 4, LEAST_PART_TOKENS, MOST_PART_TOKENS);
}

/* ------------------------------------------------------------------ the end */

static void
let_go (GTask *task)
{
  Steps *s = g_task_get_task_data (task);
  if (s->enough_id != 0)
    g_signal_handler_disconnect (s->enough, s->enough_id);
  if (s->cancelled_id != 0)
    g_signal_handler_disconnect (g_task_get_cancellable (task), s->cancelled_id);
  s->enough_id = s->cancelled_id = 0;
  if (s->generation != NULL)
    g_signal_handlers_disconnect_by_data (s->generation, task);
  g_clear_object (&s->generation);
}

/* @task is taken. */
static void
fail (GTask *task, GError *error)
{
  let_go (task);
  g_task_return_error (task, error);
  g_object_unref (task);
}

static void
succeed (GTask *task)
{
  Steps *s = g_task_get_task_data (task);
  IngFound *found = g_new0 (IngFound, 1);
  found->passages = g_steal_pointer (&s->notes);
  s->notes = g_ptr_array_new ();
  found->found = found->passages->len > 0;
  found->coverage = 1;
  found->cosine = -1;
  let_go (task);
  g_task_return_pointer (task, found, (GDestroyNotify) ing_found_free);
  g_object_unref (task);
}

/* ------------------------------------------------------------------ one part after the other */

static void
tell (GTask *task)
{
  Steps *s = g_task_get_task_data (task);
  double elapsed = (double) (g_get_monotonic_time () - s->start_us) / G_USEC_PER_SEC;
  guint total = s->done + s->parts->len - s->at;
  if (s->progress != NULL && !g_cancellable_is_cancelled (g_task_get_cancellable (task)))
    s->progress (s->done, total, s->done > 0 ? elapsed / s->done * (total - s->done) : -1, s->progress_data);
}

static gboolean
says_nothing (const char *note)
{
  static const char *const words[] = { "nothing", "none", "no notes", "没有", "无", NULL };
  g_autofree char *folded = g_utf8_casefold (note, -1);
  if (*folded == '\0')
    return TRUE;
  for (guint i = 0; words[i] != NULL; i++)
    if (g_str_has_prefix (folded, words[i]) && g_utf8_strlen (folded, -1) <= g_utf8_strlen (words[i], -1) + 2)
      return TRUE;
  return FALSE;
}

/* What came for the part, without reasoning. */
static void
keep_note (Steps *s)
{
  const char *end = strstr (s->text->str, "</think>");
  g_autofree char *note = g_strstrip (g_strdup (end != NULL ? end + strlen ("</think>") : s->text->str));
  if (g_str_has_prefix (note, "<think>") || says_nothing (note))
    return;
  IngPassage *passage = ing_passage_copy (s->parts->pdata[s->at]);
  g_free (passage->text);
  passage->text = g_steal_pointer (&note);
  passage->overlap = 0;
  g_ptr_array_add (s->notes, passage);
}

static void
on_finished (IngGeneration *generation, gpointer data)
{
  GTask *task = data;
  Steps *s = g_task_get_task_data (task);
  gboolean enough = g_cancellable_is_cancelled (s->enough);
  if (g_cancellable_is_cancelled (g_task_get_cancellable (task)))
    {
      fail (task, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "stopped"));
      return;
    }
  if (generation->error != NULL && !enough)
    {
      fail (task, g_error_copy (generation->error));
      return;
    }
  if (!enough || generation->stop_reason != ING_STOP_PERSON)
    keep_note (s);
  g_signal_handlers_disconnect_by_data (generation, task);
  g_clear_object (&s->generation);
  s->at++;
  s->done++;
  if (enough)
    succeed (task);
  else
    next_part (task);
}

static void
on_text (IngGeneration *generation, const char *text, gpointer data)
{
  Steps *s = g_task_get_task_data (data);
  g_string_append (s->text, text);
}

static JsonObject *
make_request (const Steps *s)
{
  const IngPassage *part = s->parts->pdata[s->at];
  g_autofree char *text
      = g_strdup_printf ("This is a part of \"%s\"; the other parts are read separately.\n\n%s\n"
                         "In a few short sentences, write down what this part says that answers the question below, from "
                         "the part alone. If it says nothing to it, write only: nothing.\n\n%s",
                         part->document, part->text, s->question);
  JsonObject *request = json_object_new (), *turn = json_object_new (), *vars = json_object_new ();
  JsonArray *messages = json_array_new ();
  json_object_set_string_member (turn, "role", "user");
  json_object_set_string_member (turn, "content", text);
  json_array_add_object_element (messages, turn);
  json_object_set_boolean_member (vars, "enable_thinking", FALSE);
  json_object_set_string_member (request, "conversation", "document-steps");
  json_object_set_array_member (request, "messages", messages);
  json_object_set_object_member (request, "vars", vars);
  return request;
}

static void
next_part (GTask *task)
{
  Steps *s = g_task_get_task_data (task);
  tell (task);
  /* From inside the call, when no generation was there to be stopped. */
  if (g_cancellable_is_cancelled (g_task_get_cancellable (task)))
    {
      fail (task, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "stopped"));
      return;
    }
  if (g_cancellable_is_cancelled (s->enough))
    {
      succeed (task);
      return;
    }
  if (s->at == s->parts->len)
    {
      gboolean fits = ing_document_steps_count_tokens (s->notes) <= ing_document_steps_get_room (s->service);
      if (fits || ++s->round == MOST_ROUNDS || s->notes->len < 2)
        {
          succeed (task);
          return;
        }
      g_ptr_array_unref (s->parts);
      s->parts = make_parts (s->notes, get_part_tokens (s));
      g_ptr_array_set_size (s->notes, 0);
      s->at = 0;
    }
  g_string_truncate (s->text, 0);
  s->generation = ing_generation_new (make_request (s));
  ing_sampling_init_for_model (&s->generation->sampling, ing_generation_service_get_parameters (s->service));
  s->generation->sampling.max_tokens = NOTE_TOKENS;
  s->generation->sampling.seed = 1; /* the same question gets the same notes */
  s->generation->sampling_chosen = TRUE;
  g_signal_connect (s->generation, "text", G_CALLBACK (on_text), task);
  g_signal_connect (s->generation, "finished", G_CALLBACK (on_finished), task);
  ing_generation_service_submit (s->service, s->generation);
}

static void
on_stop (GCancellable *cancellable, gpointer data)
{
  Steps *s = g_task_get_task_data (data);
  g_autoptr (IngGeneration) generation = s->generation != NULL ? g_object_ref (s->generation) : NULL;
  if (generation != NULL)
    ing_generation_service_cancel (s->service, generation);
}

static gboolean
on_begin (gpointer data)
{
  GTask *task = data;
  Steps *s = g_task_get_task_data (task);
  GCancellable *cancellable = g_task_get_cancellable (task);
  if (g_cancellable_is_cancelled (cancellable))
    {
      fail (task, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "stopped"));
      return G_SOURCE_REMOVE;
    }
  if (s->enough != NULL)
    s->enough_id = g_signal_connect (s->enough, "cancelled", G_CALLBACK (on_stop), task);
  if (cancellable != NULL)
    s->cancelled_id = g_signal_connect (cancellable, "cancelled", G_CALLBACK (on_stop), task);
  next_part (task);
  return G_SOURCE_REMOVE;
}

void
ing_document_steps_async (IngGenerationService *service, GPtrArray *passages, const char *question,
                          IngDocumentProgress progress, gpointer progress_data, GCancellable *enough,
                          GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (service, cancellable, callback, user_data);
  Steps *s = g_new0 (Steps, 1);
  g_autofree char *cut = g_strndup (question, QUESTION_BYTES);
  s->service = g_object_ref (service);
  s->question = g_utf8_make_valid (cut, -1);
  s->text = g_string_new (NULL);
  s->notes = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_passage_free);
  s->parts = make_parts (passages, get_part_tokens (s));
  s->progress = progress;
  s->progress_data = progress_data;
  s->enough = enough != NULL ? g_object_ref (enough) : NULL;
  s->start_us = g_get_monotonic_time ();
  g_ptr_array_unref (passages);
  g_task_set_source_tag (task, ing_document_steps_async);
  g_task_set_task_data (task, s, steps_free);
  g_idle_add (on_begin, task);
}

IngFound *
ing_document_steps_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
