/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-tool-progress.h"

#include <inttypes.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "eng-json.h"

#define LINE_US 50000

static atomic_bool cancelled; /* lock-free: a signal handler may set it */

static void
cancel_cb (int signal_number)
{
  (void) signal_number;
  atomic_store (&cancelled, true);
}

static uint64_t
now_us (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static void
show_cb (void *data, uint64_t done, uint64_t total)
{
  EngToolProgress *p = data;
  int percent = total ? (int) ((double) done * 100 / (double) total) : 100;
  if (p->lines)
    {
      uint64_t now = now_us ();
      if (done < total && now - p->last_us < LINE_US)
        return;
      p->last_us = now;
      fprintf (stderr, "progress %" PRIu64 " %" PRIu64 "\n", done, total);
    }
  else if (percent != p->shown)
    {
      p->shown = percent;
      fprintf (stderr, "\r%3d %%", percent);
    }
}

void
eng_tool_progress_begin (EngToolProgress *progress, EngTransferOptions *transfer)
{
  struct sigaction action = { .sa_handler = cancel_cb };
  progress->on_terminal = isatty (STDERR_FILENO);
  progress->shown = -1;
  if (progress->lines || progress->on_terminal)
    {
      transfer->progress = show_cb;
      transfer->progress_data = progress;
    }
  transfer->cancel = &cancelled;
  sigaction (SIGINT, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
}

void
eng_tool_progress_end (EngToolProgress *progress)
{
  if (!progress->lines && progress->on_terminal && progress->shown >= 0)
    fputs ("\r      \r", stderr);
}

int
eng_tool_progress_fail (EngToolProgress *progress, const char *subject, const EngError *error)
{
  if (progress->lines)
    {
      EngBuffer buffer = { 0 };
      EngJsonWriter w = { .out = &buffer };
      eng_json_write_begin_object (&w);
      eng_json_write_member_int64 (&w, "code", error->code);
      eng_json_write_member_string (&w, "text", error->text);
      eng_json_write_member_string (&w, "field", error->field);
      if (error->offset != ENG_OFFSET_NONE)
        eng_json_write_member_int64 (&w, "offset", (int64_t) error->offset);
      eng_json_write_member_int64 (&w, "line", error->line);
      eng_json_write_member_int64 (&w, "needed", (int64_t) error->needed);
      eng_json_write_member_int64 (&w, "available", (int64_t) error->available);
      eng_json_write_end_object (&w);
      fprintf (stderr, "failed %.*s\n", (int) buffer.n_bytes, buffer.data ? buffer.data : "{}");
      eng_buffer_clear (&buffer);
    }
  return eng_tool_fail (subject, error);
}
