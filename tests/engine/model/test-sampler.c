/* SPDX-License-Identifier: Apache-2.0 */
#include <glib.h>
#include <math.h>

#include "eng-error.h"
#include "eng-sampler.h"

#define N 6u
/* Probabilities 0.4, 0.3, 0.2, 0.06, 0.03, 0.01 in some order of ids. */
static const double probabilities[N] = { 0.06, 0.3, 0.01, 0.4, 0.03, 0.2 };

static void
fill_logits (float logits[N])
{
  for (unsigned i = 0; i < N; i++)
    logits[i] = (float) log (probabilities[i]) + 3.0f;
}

/* How often each token comes in @n draws. */
static void
draw (const EngSamplerOptions *options, unsigned n, unsigned counts[N])
{
  EngSampler *sampler = NULL;
  float logits[N];
  fill_logits (logits);
  g_assert_cmpint (eng_sampler_new (N, options, &sampler, NULL), ==, ENG_OK);
  for (unsigned i = 0; i < N; i++)
    counts[i] = 0;
  for (unsigned i = 0; i < n; i++)
    counts[eng_sampler_sample (sampler, logits)]++;
  eng_sampler_free (&sampler);
}

static EngSamplerOptions
plain (void)
{
  return (EngSamplerOptions) { .temperature = 1.0f, .top_p = 1.0f, .repetition_penalty = 1.0f,
                               .penalty_window = 64, .seed = 7 };
}

static void
test_distribution (void)
{
  EngSamplerOptions options = plain ();
  unsigned counts[N];
  draw (&options, 20000, counts);
  for (unsigned i = 0; i < N; i++)
    g_assert_cmpfloat (fabs (counts[i] / 20000.0 - probabilities[i]), <, 0.015);
  /* Half the temperature squares the odds. */
  options.temperature = 0.5f;
  draw (&options, 20000, counts);
  double sum = 0.0;
  for (unsigned i = 0; i < N; i++)
    sum += probabilities[i] * probabilities[i];
  for (unsigned i = 0; i < N; i++)
    g_assert_cmpfloat (fabs (counts[i] / 20000.0 - probabilities[i] * probabilities[i] / sum), <,
                       0.015);
}

static void
test_cuts (void)
{
  unsigned counts[N];
  EngSamplerOptions options = plain ();
  options.top_k = 2;
  draw (&options, 500, counts);
  g_assert_cmpuint (counts[3] + counts[1], ==, 500);
  g_assert_cmpuint (counts[1], >, 0);
  options = plain ();
  options.top_p = 0.69f; /* 0.4 + 0.3 reaches it */
  draw (&options, 500, counts);
  g_assert_cmpuint (counts[3] + counts[1], ==, 500);
  options.top_p = 0.71f;
  draw (&options, 500, counts);
  g_assert_cmpuint (counts[3] + counts[1] + counts[5], ==, 500);
  g_assert_cmpuint (counts[5], >, 0);
  options = plain ();
  options.min_p = 0.45f; /* 0.2 is half of 0.4 */
  draw (&options, 500, counts);
  g_assert_cmpuint (counts[3] + counts[1] + counts[5], ==, 500);
  g_assert_cmpuint (counts[5], >, 0);
  options.min_p = 0.55f;
  draw (&options, 500, counts);
  g_assert_cmpuint (counts[3] + counts[1], ==, 500);
}

static void
test_penalty (void)
{
  EngSamplerOptions options = plain ();
  options.greedy = true;
  options.repetition_penalty = 1.5f;
  options.penalty_window = 2;
  EngSampler *sampler = NULL;
  float logits[N];
  fill_logits (logits);
  g_assert_cmpint (eng_sampler_new (N, &options, &sampler, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_sampler_sample (sampler, logits), ==, 3);
  eng_sampler_accept (sampler, 3);
  g_assert_cmpint (eng_sampler_sample (sampler, logits), ==, 1);
  eng_sampler_accept (sampler, 1);
  g_assert_cmpint (eng_sampler_sample (sampler, logits), ==, 5);
  /* 3 leaves the window of two. */
  eng_sampler_accept (sampler, 1);
  g_assert_cmpint (eng_sampler_sample (sampler, logits), ==, 3);
  /* A negative logit gets smaller, not larger. */
  const float negative[N] = { -9.0f, -1.0f, -9.0f, -1.2f, -9.0f, -9.0f };
  g_assert_cmpint (eng_sampler_sample (sampler, negative), ==, 3);
  eng_sampler_accept (sampler, -5);
  eng_sampler_accept (sampler, 1000000);
  eng_sampler_free (&sampler);
}

static void
test_deterministic (void)
{
  EngSamplerOptions options;
  eng_sampler_options_init (&options);
  options.seed = 42;
  EngSampler *a = NULL, *b = NULL;
  g_assert_cmpint (eng_sampler_new (1000, &options, &a, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_sampler_new (1000, &options, &b, NULL), ==, ENG_OK);
  float logits[1000];
  bool differs = false;
  int32_t first[64];
  for (int round = 0; round < 64; round++)
    {
      for (int i = 0; i < 1000; i++)
        logits[i] = (float) ((i * 37 + round * 11) % 101) * 0.05f;
      first[round] = eng_sampler_sample (a, logits);
      g_assert_cmpint (first[round], ==, eng_sampler_sample (b, logits));
      differs |= round > 0 && first[round] != first[round - 1];
    }
  g_assert_true (differs);
  g_assert_cmpint (eng_sampler_reset (a, &options, NULL), ==, ENG_OK);
  for (int i = 0; i < 1000; i++)
    logits[i] = (float) ((i * 37) % 101) * 0.05f;
  g_assert_cmpint (eng_sampler_sample (a, logits), ==, first[0]);
  eng_sampler_free (&a);
  eng_sampler_free (&b);
}

static void
test_bad_numbers (void)
{
  EngSamplerOptions options;
  EngSampler *sampler = NULL;
  EngError error;
  eng_sampler_options_init (&options);
  options.temperature = NAN;
  g_assert_cmpint (eng_sampler_new (N, &options, &sampler, &error), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpstr (error.field, ==, "temperature");
  options.temperature = 1.0f;
  options.top_p = 0.0f;
  g_assert_cmpint (eng_sampler_new (N, &options, &sampler, &error), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpstr (error.field, ==, "top_p");
  g_assert_null (sampler);
  options = plain ();
  g_assert_cmpint (eng_sampler_new (N, &options, &sampler, NULL), ==, ENG_OK);
  const float nans[N] = { NAN, NAN, NAN, NAN, NAN, NAN };
  g_assert_cmpint (eng_sampler_sample (sampler, nans), ==, 0);
  const float one[N] = { NAN, -INFINITY, NAN, NAN, 2.0f, NAN };
  g_assert_cmpint (eng_sampler_sample (sampler, one), ==, 4);
  const float infinite[N] = { 0.0f, INFINITY, 0.0f, 0.0f, 0.0f, 0.0f };
  g_assert_cmpint (eng_sampler_sample (sampler, infinite), ==, 1);
  eng_sampler_free (&sampler);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sampler/distribution", test_distribution);
  g_test_add_func ("/sampler/cuts", test_cuts);
  g_test_add_func ("/sampler/penalty", test_penalty);
  g_test_add_func ("/sampler/deterministic", test_deterministic);
  g_test_add_func ("/sampler/bad-numbers", test_bad_numbers);
  return g_test_run ();
}
