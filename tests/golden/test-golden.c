/* SPDX-License-Identifier: Apache-2.0 */
/* Our logits and greedy answers against the truth: the same weights as float32, run by transformers
 * (make-tiny.py, make-logits.py). Everything goes through inglenook-engine, as a script would. */
#include <math.h>
#include <string.h>

#include <glib/gstdio.h>

#include "test-models.h"
#include "test-npy.h"

#define N_TOP 64
#define N_GREEDY 64
#define N_GREEDY_TOP 16
/* Where ours and the truth's likeliest token differ, the truth may prefer its own by this much. */
#define MAX_GAP 0.3

static char *scratch;

static TestNpy *
load_data (const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *name = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *path = test_data_path (name);
  g_autoptr (GError) error = NULL;
  TestNpy *npy = test_npy_load (path, &error);
  g_assert_no_error (error);
  return npy;
}

/* The engine's logits of @n tokens, float32 [n, n_vocab]. @batch: rows at once, NULL: as it likes; of several [batches, n, n_vocab]. */
static TestNpy *
run_logits (const char *model, const gint32 *tokens, gsize n, gboolean exact, const char *batch)
{
  g_autoptr (GString) list = g_string_new (NULL);
  for (gsize i = 0; i < n; i++)
    g_string_append_printf (list, "%s%d", i ? "," : "", tokens[i]);
  g_autofree char *out = g_build_filename (scratch, "logits.npy", NULL);
  const char *const arguments[]
      = { "logits", model, "--tokens", list->str, "--out", out, "--batch", batch ? batch : "512", exact ? "--exact" : NULL, NULL };
  g_autoptr (GError) error = NULL;
  if (!test_engine_run (arguments, NULL, NULL))
    return NULL;
  TestNpy *npy = test_npy_load (out, &error);
  g_assert_no_error (error);
  g_remove (out);
  return npy;
}

typedef struct
{
  const char *model; /* below tests/golden/data, without .gguf */
  int i;
  gboolean exact;
  double max_error; /* relative, over all logits */
} TinyCase;

/* The mixed file's products run with 8-bit activations in fast tiers: llama.cpp is 1.2e-2 off there. */
static const TinyCase tiny_cases[] = {
  { "tiny", 0, TRUE, 1e-4 },        { "tiny", 1, TRUE, 1e-4 },
  { "tiny-mixed", 0, TRUE, 1e-4 },  { "tiny", 0, FALSE, 1e-3 },
  { "tiny", 1, FALSE, 1e-3 },       { "tiny-mixed", 0, FALSE, 2e-2 },
};

static void
test_tiny (gconstpointer data)
{
  const TinyCase *c = data;
  g_autofree char *file = g_strdup_printf ("%s.gguf", c->model);
  g_autofree char *model = test_data_path (file);
  g_autoptr (TestNpy) tokens = load_data ("%s-%d-tokens.npy", c->model, c->i);
  g_autoptr (TestNpy) truth = load_data ("%s-%d-logits.npy", c->model, c->i);
  g_autoptr (TestNpy) ours = run_logits (model, tokens->i32, tokens->n, c->exact, NULL);
  g_assert_nonnull (ours);
  g_assert_cmpuint (ours->shape[0], ==, truth->shape[0]);
  g_assert_cmpuint (ours->shape[1], ==, truth->shape[1]);
  double error = 0, norm = 0;
  for (gsize i = 0; i < truth->n; i++)
    {
      error += pow ((double) ours->f32[i] - truth->f32[i], 2);
      norm += pow (truth->f32[i], 2);
    }
  g_test_message ("relative error %.3g", sqrt (error / norm));
  g_assert_cmpfloat (sqrt (error / norm), <=, c->max_error);
}

/* Runs of one process, one after another, give what each gives alone. */
static void
test_batches (void)
{
  const char *const batches[] = { "512", "7", "1" };
  g_autofree char *model = test_data_path ("tiny-mixed.gguf"), *all = g_strjoin (",", batches[0], batches[1], batches[2], NULL);
  g_autoptr (TestNpy) tokens = load_data ("tiny-mixed-0-tokens.npy");
  g_autoptr (TestNpy) together = run_logits (model, tokens->i32, tokens->n, FALSE, all);
  g_assert_nonnull (together);
  g_assert_cmpuint (together->n_dims, ==, 3);
  for (gsize i = 0; i < G_N_ELEMENTS (batches); i++)
    {
      g_autoptr (TestNpy) alone = run_logits (model, tokens->i32, tokens->n, FALSE, batches[i]);
      g_assert_nonnull (alone);
      g_assert_cmpuint (alone->n_dims, ==, 2);
      g_assert_cmpuint (together->n, ==, G_N_ELEMENTS (batches) * alone->n);
      g_assert_cmpmem (together->f32 + i * alone->n, alone->n * sizeof (float), alone->f32, alone->n * sizeof (float));
    }
}

typedef struct
{
  TestNpy *tokens, *starts, *top_ids, *top, *lse, *probe_ids, *probe;
} Positions;

static void
positions_clear (Positions *p)
{
  g_clear_pointer (&p->tokens, test_npy_free);
  g_clear_pointer (&p->starts, test_npy_free);
  g_clear_pointer (&p->top_ids, test_npy_free);
  g_clear_pointer (&p->top, test_npy_free);
  g_clear_pointer (&p->lse, test_npy_free);
  g_clear_pointer (&p->probe_ids, test_npy_free);
  g_clear_pointer (&p->probe, test_npy_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Positions, positions_clear)

static void
positions_load (Positions *p)
{
  p->tokens = load_data ("smollm2-logits-tokens.npy");
  p->starts = load_data ("smollm2-logits-starts.npy");
  p->top_ids = load_data ("smollm2-logits-top-ids.npy");
  p->top = load_data ("smollm2-logits-top.npy");
  p->lse = load_data ("smollm2-logits-lse.npy");
  p->probe_ids = load_data ("smollm2-logits-probe-ids.npy");
  p->probe = load_data ("smollm2-logits-probe.npy");
  g_assert_cmpuint (p->top->shape[1], ==, N_TOP);
  g_assert_cmpuint (p->top->shape[0], ==, p->tokens->n);
}

typedef struct
{
  double error, norm, kl;
  gsize n, n_same;
} Figures;

/* One position: @row is ours [n_vocab], the truth is position @at. */
static void
add_position (Figures *figures, const Positions *p, gsize at, const float *row, gsize n_vocab)
{
  const gint32 *ids = p->top_ids->i32 + at * N_TOP;
  const float *top = p->top->f32 + at * N_TOP;
  gsize best = 0;
  double sum = 0;
  for (gsize i = 1; i < n_vocab; i++)
    if (row[i] > row[best])
      best = i;
  for (gsize i = 0; i < n_vocab; i++)
    sum += exp ((double) row[i] - row[best]);
  double lse = row[best] + log (sum), rest_p = 1, rest_q = 1;
  for (gsize i = 0; i < N_TOP; i++)
    {
      double log_p = (double) top[i] - p->lse->f32[at], log_q = row[ids[i]] - lse;
      figures->kl += exp (log_p) * (log_p - log_q);
      rest_p -= exp (log_p);
      rest_q -= exp (log_q);
      figures->error += pow ((double) row[ids[i]] - top[i], 2);
      figures->norm += pow (top[i], 2);
    }
  if (rest_p > 1e-6 && rest_q > 1e-6)
    figures->kl += rest_p * log (rest_p / rest_q);
  for (gsize i = 0; i < p->probe_ids->n; i++)
    {
      float truth = p->probe->f32[at * p->probe_ids->n + i];
      figures->error += pow ((double) row[p->probe_ids->i32[i]] - truth, 2);
      figures->norm += pow (truth, 2);
    }
  figures->n++;
  figures->n_same += (gint32) best == ids[0];
}

static gboolean
measure (const char *model, gsize n_prompts, gboolean exact, Figures *figures)
{
  g_auto (Positions) p = { 0 };
  positions_load (&p);
  for (gsize i = 0; i < MIN (n_prompts, p.starts->n - 1); i++)
    {
      gsize first = (gsize) p.starts->i32[i], n = (gsize) p.starts->i32[i + 1] - first;
      g_autoptr (TestNpy) ours = run_logits (model, p.tokens->i32 + first, n, exact, NULL);
      if (ours == NULL)
        return FALSE;
      g_assert_cmpuint (ours->shape[0], ==, n);
      for (gsize j = 0; j < n; j++)
        add_position (figures, &p, first + j, ours->f32 + j * ours->shape[1], ours->shape[1]);
    }
  return TRUE;
}

/* Reference kernels on one thread's pace: the two short prompts, all five in the long run. */
static void
test_exact (void)
{
  g_autofree char *model = test_starter_model_or_skip ();
  Figures f = { 0 };
  if (model == NULL)
    return;
  g_assert_true (measure (model, test_is_long () ? G_MAXSIZE : 2, TRUE, &f));
  double error = sqrt (f.error / f.norm);
  g_test_message ("reference kernels: relative error %.3g, mean KL %.3g, same top token %zu of %zu",
                  error, f.kl / (double) f.n, f.n_same, f.n);
  g_assert_cmpfloat (error, <=, 1e-4);
  g_assert_cmpuint (f.n_same, ==, f.n);
}

/* Top tokens where the truth's greedy answers are given, position by position. */
static gboolean
measure_answers (const char *model, Figures *figures)
{
  g_autoptr (TestNpy) starts = load_data ("smollm2-greedy-starts.npy");
  g_autoptr (TestNpy) tokens = load_data ("smollm2-greedy-tokens.npy");
  g_autoptr (TestNpy) answers = load_data ("smollm2-greedy-answer.npy");
  for (gsize i = 0; i < answers->shape[0]; i++)
    {
      const gint32 *answer = answers->i32 + i * N_GREEDY;
      gsize first = (gsize) starts->i32[i], n = (gsize) starts->i32[i + 1] - first, n_answer = 0;
      while (n_answer < N_GREEDY && answer[n_answer] >= 0)
        n_answer++;
      g_autofree gint32 *all = g_new (gint32, n + n_answer);
      memcpy (all, tokens->i32 + first, n * sizeof *all);
      memcpy (all + n, answer, n_answer * sizeof *all);
      g_autoptr (TestNpy) ours = run_logits (model, all, n + n_answer, FALSE, NULL);
      if (ours == NULL)
        return FALSE;
      for (gsize j = 0; j < n_answer; j++)
        {
          const float *row = ours->f32 + (n - 1 + j) * ours->shape[1];
          gsize best = 0;
          for (gsize k = 1; k < ours->shape[1]; k++)
            if (row[k] > row[best])
              best = k;
          figures->n++;
          figures->n_same += (gint32) best == answer[j];
        }
    }
  return TRUE;
}

static void
test_fast (void)
{
  g_autofree char *model = test_starter_model_or_skip ();
  g_autofree char *path = test_data_path ("smollm2-bounds.ini");
  g_autoptr (GKeyFile) bounds = g_key_file_new ();
  g_autoptr (GError) error = NULL;
  Figures f = { 0 };
  if (model == NULL)
    return;
  g_key_file_load_from_file (bounds, path, G_KEY_FILE_NONE, &error);
  g_assert_no_error (error);
  g_assert_true (measure (model, G_MAXSIZE, FALSE, &f));
  double kl = f.kl / (double) f.n;
  g_assert_true (measure_answers (model, &f));
  double same = (double) f.n_same / (double) f.n;
  double peer_kl = g_key_file_get_double (bounds, "llama.cpp", "kl64", &error);
  g_assert_no_error (error);
  double peer_kl_error = g_key_file_get_double (bounds, "llama.cpp", "kl64_error", &error);
  g_assert_no_error (error);
  double peer_same = g_key_file_get_double (bounds, "llama.cpp", "top1", &error);
  g_assert_no_error (error);
  g_test_message ("mean KL %.3g (llama.cpp %.3g), top token the truth's %.2f %% (llama.cpp %.2f %%), "
                  "relative error %.3g",
                  kl, peer_kl, 100 * same, 100 * peer_same, sqrt (f.error / f.norm));
  /* Within chance (two standard errors): so few positions cannot tell more, and the peer's own share moves
   * from 97.23 % to 97.71 % with the processor it is built for. Over more positions the tiers are level:
   * with 8-bit activations (AVX-512 VNNI) KL 3.16e-3, llama.cpp 3.32e-3 over 2,416 positions of prompts and
   * answers, 3.88e-3 and 3.91e-3 (top token 95.75 % and 95.53 %) over 4,096 of plain text (compare-kl.py). */
  g_assert_cmpfloat (kl, <=, 1.1 * (peer_kl + 2 * peer_kl_error));
  g_assert_cmpfloat (same, >=, peer_same - 2 * sqrt (2 * peer_same * (1 - peer_same) / (double) f.n));
}

/* The numbers of "tokens": [1, 2, 3] in @json. */
static GArray *
parse_tokens (const char *json)
{
  GArray *tokens = g_array_new (FALSE, FALSE, sizeof (gint32));
  const char *p = strstr (json, "\"tokens\": [");
  g_assert_nonnull (p);
  p += strlen ("\"tokens\": [");
  while (g_ascii_isdigit (*p))
    {
      char *end;
      gint32 id = (gint32) g_ascii_strtoll (p, &end, 10);
      g_array_append_val (tokens, id);
      p = end + strspn (end, ", ");
    }
  return tokens;
}

/* Compares one answer; TRUE if it is the truth's, or leaves it where the truth was of two minds. */
static gboolean
check_answer (gsize prompt, const GArray *ours, const gint32 *truth, const gint32 *top_ids,
              const float *top)
{
  gsize n = 0;
  while (n < N_GREEDY && truth[n] >= 0)
    n++;
  for (gsize i = 0; i < n; i++)
    {
      gint32 id = i < ours->len ? g_array_index (ours, gint32, i) : -1;
      if (id == truth[i])
        continue;
      /* The truth ends its answer with a token that ours does not print. */
      if (i == n - 1 && id == -1 && n < N_GREEDY)
        break;
      for (gsize j = 0; j < N_GREEDY_TOP; j++)
        if (top_ids[i * N_GREEDY_TOP + j] == id)
          {
            double gap = (double) top[i * N_GREEDY_TOP] - top[i * N_GREEDY_TOP + j];
            g_test_message ("prompt %zu: other after %zu tokens, gap %.3f", prompt, i, gap);
            return gap <= MAX_GAP;
          }
      g_test_message ("prompt %zu: after %zu tokens %d is not among the truth's likeliest", prompt, i,
                      id);
      return FALSE;
    }
  g_test_message ("prompt %zu: equal over %zu tokens", prompt, n);
  return TRUE;
}

static void
test_greedy (void)
{
  g_autofree char *model = test_starter_model_or_skip ();
  if (model == NULL)
    return;
  g_autoptr (TestNpy) starts = load_data ("smollm2-greedy-starts.npy");
  g_autoptr (TestNpy) answers = load_data ("smollm2-greedy-answer.npy");
  g_autoptr (TestNpy) top_ids = load_data ("smollm2-greedy-top-ids.npy");
  g_autoptr (TestNpy) top = load_data ("smollm2-greedy-top.npy");
  g_autofree char *path = test_data_path ("smollm2-greedy-texts.bin"), *texts = NULL;
  gsize n_bytes, n_bad = 0;
  g_assert_true (g_file_get_contents (path, &texts, &n_bytes, NULL));
  const char *text = texts;
  for (gsize i = 0; i < answers->shape[0]; i++, text += strlen (text) + 1)
    {
      g_assert_cmpuint ((gsize) (text - texts), <, n_bytes);
      g_autofree char *file = g_build_filename (scratch, "prompt.txt", NULL), *json = NULL;
      g_assert_true (g_file_set_contents (file, text, -1, NULL));
      const char *const arguments[] = { "generate", model, "--prompt-file", file, "--parse-special",
                                        "-n", G_STRINGIFY (N_GREEDY), "--greedy", "--json", NULL };
      g_assert_true (test_engine_run (arguments, &json, NULL));
      g_autofree char *count
          = g_strdup_printf ("\"n_prompt\": %d,", starts->i32[i + 1] - starts->i32[i]);
      g_assert_nonnull (strstr (json, count));
      g_autoptr (GArray) ours = parse_tokens (json);
      gsize step = i * N_GREEDY;
      n_bad += !check_answer (i, ours, answers->i32 + step, top_ids->i32 + step * N_GREEDY_TOP,
                              top->f32 + step * N_GREEDY_TOP);
    }
  /* One prompt of the twenty parts from the truth at a gap of 0.63 with 8-bit activations on AVX2; the
   * reference kernels give the truth there. Held at one until the cause is found (HACKING.md). */
  g_assert_cmpuint (n_bad, <=, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  scratch = g_dir_make_tmp ("inglenook-golden-XXXXXX", NULL);
  g_assert_nonnull (scratch);
  for (gsize i = 0; i < G_N_ELEMENTS (tiny_cases); i++)
    {
      const TinyCase *c = &tiny_cases[i];
      g_autofree char *name
          = g_strdup_printf ("/golden/%s/%d/%s", c->model, c->i, c->exact ? "exact" : "fast");
      g_test_add_data_func (name, c, test_tiny);
    }
  g_test_add_func ("/golden/batches", test_batches);
  g_test_add_func ("/golden/smollm2/exact", test_exact);
  g_test_add_func ("/golden/smollm2/fast", test_fast);
  g_test_add_func ("/golden/smollm2/greedy", test_greedy);
  int status = g_test_run ();
  g_autofree char *prompt = g_build_filename (scratch, "prompt.txt", NULL);
  g_remove (prompt);
  g_rmdir (scratch);
  g_free (scratch);
  return status;
}
