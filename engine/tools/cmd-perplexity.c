/* SPDX-License-Identifier: Apache-2.0 */
/* perplexity MODEL --text-file F: how well the model foretells a text, and with --reference how far it is from
 * another model (the same one before quantization, mostly). eng-perplexity.h says how it is counted. */
#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#include "eng-commands.h"
#include "eng-json.h"
#include "eng-perplexity.h"
#include "eng-tool-progress.h"
#include "eng-tool-session.h"

#define DEFAULT_CHUNK 512u
#define BAR_WIDTH 30u

static EngStatus
add_row (void *data, float *ours, float *reference, int32_t next, EngError *error)
{
  (void) error;
  eng_score_add (data, ours, reference, next);
  return ENG_OK;
}

/* One line that grows: a bar on a terminal, the last chunk's line elsewhere. */
static void
show_progress (const EngScore *score, uint64_t done, uint64_t total)
{
  char bar[BAR_WIDTH + 1];
  uint64_t filled = done * BAR_WIDTH / total;
  bool on_terminal = isatty (STDERR_FILENO);
  for (uint64_t i = 0; i < BAR_WIDTH; i++)
    bar[i] = i < filled ? '#' : '.';
  bar[BAR_WIDTH] = 0;
  if (on_terminal || done == total)
    fprintf (stderr, "%s[%s] %" PRIu64 "/%" PRIu64 "  perplexity %.4f%s", on_terminal ? "\r" : "", bar, done, total,
             exp (score->nll / (double) score->n), done == total ? "\n" : "  ");
}

static EngStatus
score_text (EngScore *score, EngSession *const sessions[2], EngTokenBuffer *ids, uint32_t chunk, uint64_t max_chunks,
            const atomic_bool *cancel, EngError *error)
{
  const EngTokenizer *tokenizer = eng_session_get_tokenizer (sessions[0]);
  int32_t bos = eng_tokenizer_get_add_bos (tokenizer) ? eng_tokenizer_get_bos (tokenizer) : ENG_TOKEN_NONE;
  uint64_t n_chunks = ids->n / chunk;
  n_chunks = max_chunks && max_chunks < n_chunks ? max_chunks : n_chunks;
  if (n_chunks == 0)
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "--text-file", chunk, ids->n,
                                  "the text has %zu tokens, one chunk %u", ids->n, chunk);
  EngStatus status = eng_score_begin (score, eng_model_get_program (eng_session_get_model (sessions[0]))->n_vocab,
                                      n_chunks * eng_perplexity_positions (chunk), error);
  for (uint64_t c = 0; c < n_chunks && status == ENG_OK; c++)
    {
      if (bos != ENG_TOKEN_NONE)
        ids->ids[c * chunk] = bos;
      status = eng_perplexity_chunk (sessions, ids->ids + c * chunk, chunk, cancel, add_row, score, error);
      if (status == ENG_OK)
        show_progress (score, c + 1, n_chunks);
    }
  return status;
}

static int
report (const EngQuality *q, bool has_reference, bool json)
{
  if (!json)
    {
      printf ("perplexity        %.4f ± %.4f over %llu positions\n", q->perplexity, q->perplexity_error,
              (unsigned long long) q->n_positions);
      if (has_reference)
        printf ("of the reference  %.4f\nmean KL           %.6g\n99%% of KL below   %.6g\n"
                "same top token    %.3f %%\n",
                q->reference_perplexity, q->mean_kl, q->kl_99, 100.0 * q->same_top);
      return eng_tool_finish_output ();
    }
  EngBuffer out = { 0 };
  EngJsonWriter w = { .out = &out };
  eng_json_write_begin_object (&w);
  eng_json_write_member_int64 (&w, "n_positions", (int64_t) q->n_positions);
  eng_json_write_member_int64 (&w, "chunk", q->chunk);
  eng_json_write_member_double (&w, "perplexity", q->perplexity);
  eng_json_write_member_double (&w, "perplexity_error", q->perplexity_error);
  if (has_reference)
    {
      eng_json_write_member_double (&w, "reference_perplexity", q->reference_perplexity);
      eng_json_write_member_double (&w, "mean_kl", q->mean_kl);
      eng_json_write_member_double (&w, "kl_99", q->kl_99);
      eng_json_write_member_double (&w, "top1_agreement", q->same_top);
    }
  eng_json_write_end_object (&w);
  return eng_tool_finish_json (&out);
}

int
eng_cmd_perplexity (int argc, char **argv)
{
  EngToolModelOptions model_options;
  eng_tool_model_options_init (&model_options);
  const char *path = NULL, *file = NULL, *reference = NULL;
  uint64_t max_chunks = 0;
  bool json = false, reference_exact = false;
  const EngToolOption options[] = {
    { "--text-file", ENG_TOOL_STRING, &file, "F  the text; - is standard input" },
    { "--reference", ENG_TOOL_STRING, &reference, "OTHER.gguf  measure KL against this model" },
    { "--reference-exact", ENG_TOOL_FLAG, &reference_exact,
      "  run the reference with float activations" },
    { "--chunks", ENG_TOOL_UINT, &max_chunks, "N  at most so many chunks" },
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "MODEL --text-file F [--reference OTHER.gguf] [OPTION]…",
    .summary = "Perplexity over a text in chunks of --ctx (512) tokens; KL against a reference.",
    .options = options,
    .model = &model_options,
    .json = &json,
    .arguments = &path,
    .min_arguments = 1,
    .max_arguments = 1,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  if (!file || (model_options.n_ctx && model_options.n_ctx < 8) || model_options.n_ctx > 1 << 20)
    return eng_tool_bad_usage ("perplexity needs --text-file, and a --ctx of 8 to 1048576");
  uint32_t chunk = model_options.n_ctx ? (uint32_t) model_options.n_ctx : DEFAULT_CHUNK;
  EngScore score = { 0 };
  EngTransferOptions transfer = { 0 };
  EngToolProgress progress = { 0 };
  EngError error;
  EngSessionOptions session_options;
  EngToolSession s = { NULL };
  EngSession *other = NULL;
  EngTokenBuffer ids = { 0 };
  char *text = NULL;
  size_t n_bytes = 0;
  EngStatus status = eng_tool_session_options (&model_options, &session_options, &error);
  session_options.n_ctx = chunk;
  session_options.max_sequences = 1;
  session_options.max_outputs = ENG_PERPLEXITY_ROWS;
  if (status == ENG_OK)
    status = eng_tool_read_file (file, (size_t) 1 << 30, &text, &n_bytes, &error);
  if (status == ENG_OK)
    status = eng_tool_open (path, &session_options, &s, &error);
  session_options.exact |= reference_exact;
  session_options.without_text = true;
  if (status == ENG_OK && reference)
    status = eng_session_new (s.runtime, reference, &session_options, &other, &error);
  EngSession *const sessions[2] = { s.session, other };
  if (status == ENG_OK)
    status = eng_perplexity_check (sessions, &error);
  if (status == ENG_OK)
    status = eng_session_encode (
        s.session, &(EngPrompt) { .text = text, .text_bytes = n_bytes }, &ids, &error);
  eng_tool_progress_begin (&progress, &transfer);
  if (status == ENG_OK)
    status = score_text (&score, sessions, &ids, chunk, max_chunks, transfer.cancel, &error);
  int code = ENG_TOOL_OK;
  if (status != ENG_OK)
    code = eng_tool_fail (path, &error);
  else
    {
      EngQuality quality = eng_score_finish (&score, chunk, other != NULL);
      code = report (&quality, other != NULL, json);
    }
  eng_score_clear (&score);
  eng_free (text);
  eng_token_buffer_free (&ids);
  eng_session_free (&other);
  eng_tool_close (&s);
  return code;
}
