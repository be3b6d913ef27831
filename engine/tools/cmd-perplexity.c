/* SPDX-License-Identifier: Apache-2.0 */
/* perplexity MODEL --text-file F: how well the model foretells a text, and with --reference how far it is from
 * another model (the same one before quantization, mostly).
 *
 * Counted as llama.cpp's tool counts: the text's tokens in chunks of n_ctx, each chunk's first token replaced by
 * BOS where the vocabulary asks for one; of each chunk the second half's predictions are scored.
 * KL is KL (reference || ours) in nats over the same positions. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eng-arena.h"
#include "eng-commands.h"
#include "eng-json.h"
#include "eng-tool-session.h"

#define DEFAULT_CHUNK 512u
#define OUTPUT_ROWS 64u
#define BAR_WIDTH 30u

typedef struct
{
  uint32_t n_ctx, n_vocab;
  uint64_t n; /* positions scored */
  double nll, nll_squared, reference_nll;
  double kl;
  uint64_t n_same_top;
  float *kls; /* [n] of each position, with a reference */
} Score;

/* logits become log-probabilities. */
static void
log_softmax (float *logits, uint32_t n)
{
  float largest = -INFINITY;
  double sum = 0.0;
  for (uint32_t i = 0; i < n; i++)
    largest = logits[i] > largest ? logits[i] : largest;
  for (uint32_t i = 0; i < n; i++)
    sum += exp ((double) (logits[i] - largest));
  float shift = (float) ((double) largest + log (sum));
  for (uint32_t i = 0; i < n; i++)
    logits[i] -= shift;
}

static double
divergence (const float *reference, const float *ours, uint32_t n)
{
  double sum = 0.0;
  for (uint32_t i = 0; i < n; i++)
    if (reference[i] > -60.0f) /* below, a term is under 1e-24 */
      sum += exp (reference[i]) * ((double) reference[i] - ours[i]);
  return sum > 0.0 ? sum : 0.0;
}

static void
score_row (Score *score, float *ours, float *reference, int32_t next)
{
  log_softmax (ours, score->n_vocab);
  score->nll -= ours[next];
  score->nll_squared += (double) ours[next] * ours[next];
  if (reference)
    {
      log_softmax (reference, score->n_vocab);
      double kl = divergence (reference, ours, score->n_vocab);
      score->reference_nll -= reference[next];
      score->kl += kl;
      score->kls[score->n] = (float) kl;
      score->n_same_top += eng_argmax (ours, score->n_vocab) == eng_argmax (reference, score->n_vocab);
    }
  score->n++;
}

/* One chunk of n_ctx tokens through one or two sessions. */
static EngStatus
score_chunk (Score *score, EngSession *const sessions[2], const int32_t *tokens, EngError *error)
{
  uint32_t first = score->n_ctx / 2, sequences[2];
  EngStatus status = ENG_OK;
  for (int k = 0; k < 2 && sessions[k] && status == ENG_OK; k++)
    {
      EngRunner *runner = eng_session_get_runner (sessions[k]);
      status = eng_kv_cache_add (eng_runner_get_cache (runner), &sequences[k], error);
      if (status == ENG_OK)
        status = eng_runner_prefill (runner, sequences[k], tokens, first, 0, NULL, NULL,
                                     eng_tool_cancel_flag (), error);
    }
  for (uint32_t i = first; i < score->n_ctx && status == ENG_OK; i += OUTPUT_ROWS)
    {
      uint32_t n = score->n_ctx - i < OUTPUT_ROWS ? score->n_ctx - i : OUTPUT_ROWS;
      for (int k = 0; k < 2 && sessions[k] && status == ENG_OK; k++)
        {
          const EngRunnerSpan span = { .sequence = sequences[k], .tokens = tokens + i, .n = n,
                                       .outputs = ENG_OUTPUT_ALL };
          status = eng_runner_run (eng_session_get_runner (sessions[k]), &span, 1,
                                   eng_tool_cancel_flag (), error);
        }
      for (uint32_t r = 0; r < n && i + r + 1 < score->n_ctx && status == ENG_OK; r++)
        score_row (score, eng_runner_get_output (eng_session_get_runner (sessions[0]), r),
                   sessions[1] ? eng_runner_get_output (eng_session_get_runner (sessions[1]), r) : NULL,
                   tokens[i + r + 1]);
    }
  for (int k = 0; k < 2 && sessions[k] && status == ENG_OK; k++)
    eng_kv_cache_remove (eng_runner_get_cache (eng_session_get_runner (sessions[k])), sequences[k]);
  return status;
}

/* One line that grows: a bar on a terminal, the last chunk's line elsewhere. */
static void
show_progress (const Score *score, uint64_t done, uint64_t total)
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
score_text (Score *score, EngSession *const sessions[2], EngTokenBuffer *ids, uint64_t max_chunks,
            EngError *error)
{
  const EngTokenizer *tokenizer = eng_session_get_tokenizer (sessions[0]);
  uint64_t n_chunks = ids->n / score->n_ctx;
  n_chunks = max_chunks && max_chunks < n_chunks ? max_chunks : n_chunks;
  if (n_chunks == 0)
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "--text-file", score->n_ctx, ids->n,
                                  "the text has %zu tokens, one chunk %u", ids->n, score->n_ctx);
  score->kls = eng_alloc_array (n_chunks * score->n_ctx, sizeof *score->kls);
  if (!score->kls)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  EngStatus status = ENG_OK;
  for (uint64_t c = 0; c < n_chunks && status == ENG_OK; c++)
    {
      int32_t *chunk = ids->ids + c * score->n_ctx, kept = chunk[0];
      if (eng_tokenizer_get_add_bos (tokenizer) && eng_tokenizer_get_bos (tokenizer) != ENG_TOKEN_NONE)
        chunk[0] = eng_tokenizer_get_bos (tokenizer);
      status = score_chunk (score, sessions, chunk, error);
      chunk[0] = kept;
      if (status == ENG_OK)
        show_progress (score, c + 1, n_chunks);
    }
  return status;
}

static int
compare_floats (const void *a, const void *b)
{
  float x = *(const float *) a, y = *(const float *) b;
  return (x > y) - (x < y);
}

static int
report (Score *s, bool has_reference, bool json)
{
  double n = (double) s->n, mean = s->nll / n, ppl = exp (mean);
  double variance = s->nll_squared / n - mean * mean;
  double spread = s->n > 1 && variance > 0.0 ? ppl * sqrt (variance / (n - 1.0)) : 0.0;
  double p99 = 0.0;
  if (has_reference)
    {
      qsort (s->kls, s->n, sizeof *s->kls, compare_floats);
      p99 = s->kls[(uint64_t) ((n - 1.0) * 0.99)];
    }
  if (!json)
    {
      printf ("perplexity        %.4f ± %.4f over %llu positions\n", ppl, spread,
              (unsigned long long) s->n);
      if (has_reference)
        printf ("of the reference  %.4f\nmean KL           %.6g\n99%% of KL below   %.6g\n"
                "same top token    %.3f %%\n",
                exp (s->reference_nll / n), s->kl / n, p99, 100.0 * (double) s->n_same_top / n);
      return eng_tool_finish_output ();
    }
  EngBuffer out = { 0 };
  EngJsonWriter w = { .out = &out };
  eng_json_write_begin_object (&w);
  eng_json_write_member_int64 (&w, "n_positions", (int64_t) s->n);
  eng_json_write_member_int64 (&w, "chunk", s->n_ctx);
  eng_json_write_member_double (&w, "perplexity", ppl);
  eng_json_write_member_double (&w, "perplexity_error", spread);
  if (has_reference)
    {
      eng_json_write_member_double (&w, "reference_perplexity", exp (s->reference_nll / n));
      eng_json_write_member_double (&w, "mean_kl", s->kl / n);
      eng_json_write_member_double (&w, "kl_99", p99);
      eng_json_write_member_double (&w, "top1_agreement", (double) s->n_same_top / n);
    }
  eng_json_write_end_object (&w);
  return eng_tool_finish_json (&out);
}

static EngStatus
check_models (EngSession *const sessions[2], EngError *error)
{
  uint32_t n_vocab[2] = { 0 };
  for (int k = 0; k < 2 && sessions[k]; k++)
    {
      const EngModel *model = eng_session_get_model (sessions[k]);
      if (eng_model_get_info (model)->is_encoder)
        return eng_error_set (error, ENG_ERR_UNSUPPORTED, "general.architecture", ENG_OFFSET_NONE,
                              "the model gives embeddings, not text");
      n_vocab[k] = eng_model_get_program (model)->n_vocab;
    }
  if (sessions[1] && n_vocab[0] != n_vocab[1])
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "--reference", n_vocab[0], n_vocab[1],
                                  "the models' vocabularies have %u and %u tokens", n_vocab[0],
                                  n_vocab[1]);
  return ENG_OK;
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
  Score score = { .n_ctx = model_options.n_ctx ? (uint32_t) model_options.n_ctx : DEFAULT_CHUNK };
  EngError error;
  EngSessionOptions session_options;
  EngToolSession s = { NULL };
  EngSession *other = NULL;
  EngTokenBuffer ids = { 0 };
  char *text = NULL;
  size_t n_bytes = 0;
  EngStatus status = eng_tool_session_options (&model_options, &session_options, &error);
  session_options.n_ctx = score.n_ctx;
  session_options.max_sequences = 1;
  session_options.max_outputs = OUTPUT_ROWS;
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
    status = check_models (sessions, &error);
  if (status == ENG_OK)
    status = eng_session_encode (
        s.session, &(EngPrompt) { .text = text, .text_bytes = n_bytes }, &ids, &error);
  if (status == ENG_OK)
    {
      score.n_vocab = eng_model_get_program (eng_session_get_model (s.session))->n_vocab;
      status = score_text (&score, sessions, &ids, max_chunks, &error);
    }
  int code
      = status == ENG_OK ? report (&score, other != NULL, json) : eng_tool_fail (path, &error);
  eng_free (score.kls);
  eng_free (text);
  eng_token_buffer_free (&ids);
  eng_session_free (&other);
  eng_tool_close (&s);
  return code;
}
