/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-sampler.h"

#include <math.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-error.h"

typedef struct
{
  float logit;
  int32_t token;
} Candidate;

struct EngSampler
{
  uint32_t n_vocab;
  EngSamplerOptions options;
  uint64_t random[4];
  Candidate *candidates; /* [n_vocab] */
  /* The last tokens seen, a ring; counts [n_vocab] says how often each is in it. */
  int32_t ring[ENG_SAMPLER_MAX_WINDOW];
  uint32_t n_ring, i_ring;
  uint16_t *counts;
};

void
eng_sampler_options_init (EngSamplerOptions *options)
{
  *options = (EngSamplerOptions) { .temperature = 0.8f, .top_k = 40, .top_p = 0.95f,
                                   .min_p = 0.05f, .repetition_penalty = 1.0f,
                                   .penalty_window = 64 };
}

/* --- random numbers --- */

static uint64_t
rotate (uint64_t x, int k)
{
  return x << k | x >> (64 - k);
}

static void
seed_random (uint64_t random[4], uint64_t seed)
{
  for (int i = 0; i < 4; i++)
    {
      uint64_t z = seed += 0x9e3779b97f4a7c15u;
      z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
      z = (z ^ z >> 27) * 0x94d049bb133111ebu;
      random[i] = z ^ z >> 31;
    }
}

static uint64_t
next_random (uint64_t s[4])
{
  uint64_t result = rotate (s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate (s[3], 45);
  return result;
}

static double
next_draw (uint64_t random[4])
{
  return (double) (next_random (random) >> 11) * 0x1p-53;
}

/* --- life --- */

static EngStatus
check_range (bool ok, const char *name, double value, EngError *error)
{
  if (ok)
    return ENG_OK;
  return eng_error_set (error, ENG_ERR_ARGUMENT, name, ENG_OFFSET_NONE, "%s: %g is out of range",
                        name, value);
}

EngStatus
eng_sampler_reset (EngSampler *s, const EngSamplerOptions *o, EngError *error)
{
  EngStatus status
      = check_range (o->temperature >= 0.0f && o->temperature <= 100.0f, "temperature",
                     o->temperature, error);
  if (status == ENG_OK)
    status = check_range (o->top_p > 0.0f && o->top_p <= 1.0f, "top_p", o->top_p, error);
  if (status == ENG_OK)
    status = check_range (o->min_p >= 0.0f && o->min_p <= 1.0f, "min_p", o->min_p, error);
  if (status == ENG_OK)
    status = check_range (o->repetition_penalty > 0.0f && o->repetition_penalty <= 100.0f,
                          "repetition_penalty", o->repetition_penalty, error);
  if (status == ENG_OK)
    status = check_range (o->penalty_window <= ENG_SAMPLER_MAX_WINDOW, "penalty_window",
                          o->penalty_window, error);
  if (status != ENG_OK)
    return status;
  s->options = *o;
  if (o->temperature == 0.0f)
    s->options.greedy = true;
  seed_random (s->random, o->seed);
  memset (s->counts, 0, s->n_vocab * sizeof *s->counts);
  s->n_ring = s->i_ring = 0;
  return ENG_OK;
}

EngStatus
eng_sampler_new (uint32_t n_vocab, const EngSamplerOptions *options, EngSampler **sampler,
                 EngError *error)
{
  EngSampler *s = eng_alloc (sizeof *s);
  if (s)
    {
      s->n_vocab = n_vocab;
      s->candidates = eng_alloc_array (n_vocab, sizeof *s->candidates);
      s->counts = eng_alloc_array (n_vocab, sizeof *s->counts);
    }
  EngStatus status = ENG_ERR_NO_MEMORY;
  if (s && s->candidates && s->counts)
    status = eng_sampler_reset (s, options, error);
  else
    eng_error_set (error, status, NULL, ENG_OFFSET_NONE, "no memory for the sampler");
  if (status != ENG_OK)
    {
      eng_sampler_free (&s);
      return status;
    }
  *sampler = s;
  return ENG_OK;
}

void
eng_sampler_free (EngSampler **sampler)
{
  EngSampler *s = *sampler;
  *sampler = NULL;
  if (!s)
    return;
  eng_free (s->candidates);
  eng_free (s->counts);
  eng_free (s);
}

void
eng_sampler_accept (EngSampler *s, int32_t token)
{
  uint32_t window = s->options.penalty_window;
  if (token < 0 || (uint32_t) token >= s->n_vocab || window == 0)
    return;
  if (s->n_ring == window)
    s->counts[s->ring[s->i_ring]]--;
  else
    s->n_ring++;
  s->ring[s->i_ring] = token;
  s->counts[token]++;
  s->i_ring = (s->i_ring + 1) % window;
}

/* --- choosing --- */

int32_t
eng_argmax (const float *logits, uint32_t n)
{
  /* Sixteen running maxima, which compilers keep in vectors; not-a-number never compares as larger. */
  float lanes[16], largest = -INFINITY;
  for (uint32_t k = 0; k < 16; k++)
    lanes[k] = -INFINITY;
  uint32_t whole = n / 16 * 16;
  for (uint32_t i = 0; i < whole; i += 16)
    for (uint32_t k = 0; k < 16; k++)
      lanes[k] = logits[i + k] > lanes[k] ? logits[i + k] : lanes[k];
  for (uint32_t k = 0; k < 16; k++)
    largest = lanes[k] > largest ? lanes[k] : largest;
  for (uint32_t i = whole; i < n; i++)
    largest = logits[i] > largest ? logits[i] : largest;
  for (uint32_t i = 0; i < n; i++)
    if (logits[i] == largest && largest > -INFINITY)
      return (int32_t) i;
  return 0;
}

static float
penalized (const EngSampler *s, float logit, uint32_t token)
{
  if (isnan (logit))
    return -INFINITY;
  if (s->options.repetition_penalty == 1.0f || s->counts[token] == 0)
    return logit;
  return logit > 0.0f ? logit / s->options.repetition_penalty
                      : logit * s->options.repetition_penalty;
}

/* True if @a stands before @b: larger logit, then lower id. */
static inline bool
stands_before (Candidate a, Candidate b)
{
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

/* A heap with the last in order on top. */
static void
sift_down (Candidate *heap, uint32_t i, uint32_t n)
{
  Candidate moved = heap[i];
  for (;;)
    {
      uint32_t child = 2 * i + 1;
      if (child >= n)
        break;
      if (child + 1 < n && stands_before (heap[child], heap[child + 1]))
        child++;
      if (!stands_before (moved, heap[child]))
        break;
      heap[i] = heap[child];
      i = child;
    }
  heap[i] = moved;
}

/* The @k first candidates in order; returns how many (fewer only when n < k). */
static uint32_t
select_sorted (EngSampler *s, const float *logits, uint32_t k)
{
  Candidate *heap = s->candidates;
  if (k == 0 || k > s->n_vocab)
    k = s->n_vocab;
  for (uint32_t i = 0; i < k; i++)
    heap[i] = (Candidate) { penalized (s, logits[i], i), (int32_t) i };
  for (uint32_t i = k / 2; i-- > 0;)
    sift_down (heap, i, k);
  for (uint32_t i = k; i < s->n_vocab; i++)
    {
      /* The penalty only ever lowers: most tokens are settled by one comparison. */
      if (!(logits[i] > heap[0].logit) && s->options.repetition_penalty >= 1.0f)
        continue;
      Candidate c = { penalized (s, logits[i], i), (int32_t) i };
      if (stands_before (c, heap[0]))
        {
          heap[0] = c;
          sift_down (heap, 0, k);
        }
    }
  for (uint32_t n = k; n > 1;)
    {
      Candidate last = heap[0];
      heap[0] = heap[--n];
      heap[n] = last;
      sift_down (heap, 0, n);
    }
  return k;
}

/* How many of the @n ordered candidates survive top-p and min-p. Both cut behind a place in the order. */
static uint32_t
cut (const EngSampler *s, uint32_t n)
{
  const Candidate *c = s->candidates;
  double largest = c[0].logit;
  uint32_t kept = n;
  if (s->options.top_p < 1.0f)
    {
      double sum = 0.0, reached = 0.0;
      for (uint32_t i = 0; i < n; i++)
        sum += exp (c[i].logit - largest);
      for (kept = 0; kept < n && reached < s->options.top_p * sum; kept++)
        reached += exp (c[kept].logit - largest);
    }
  if (s->options.min_p > 0.0f)
    {
      double least = largest + log (s->options.min_p);
      while (kept > 1 && c[kept - 1].logit < least)
        kept--;
    }
  return kept;
}

static int32_t
sample_greedy (const EngSampler *s, const float *logits)
{
  if (s->options.repetition_penalty == 1.0f)
    return eng_argmax (logits, s->n_vocab);
  int32_t best = 0;
  float largest = -INFINITY;
  for (uint32_t i = 0; i < s->n_vocab; i++)
    {
      float logit = penalized (s, logits[i], i);
      if (logit > largest)
        {
          largest = logit;
          best = (int32_t) i;
        }
    }
  return best;
}

int32_t
eng_sampler_sample (EngSampler *s, const float *logits)
{
  if (s->options.greedy)
    return sample_greedy (s, logits);
  uint32_t n = select_sorted (s, logits, s->options.top_k);
  Candidate *c = s->candidates;
  if (!isfinite (c[0].logit))
    return c[0].token; /* +infinity wins outright; all -infinity: token 0 by the order */
  n = cut (s, n);
  double largest = c[0].logit, sum = 0.0;
  for (uint32_t i = 0; i < n; i++)
    sum += exp ((c[i].logit - largest) / s->options.temperature);
  double wanted = next_draw (s->random) * sum;
  for (uint32_t i = 0; i < n; i++)
    if ((wanted -= exp ((c[i].logit - largest) / s->options.temperature)) < 0.0)
      return c[i].token;
  return c[n - 1].token;
}

/* --- devices that sample --- */

const EngSamplerOptions *
eng_sampler_get_options (const EngSampler *s)
{
  return &s->options;
}

uint32_t
eng_sampler_get_seen (const EngSampler *s, int32_t *seen)
{
  uint32_t window = s->options.penalty_window;
  uint32_t first = s->n_ring == window ? s->i_ring : 0;
  for (uint32_t i = 0; i < s->n_ring; i++)
    seen[i] = s->ring[(first + i) % window];
  return s->n_ring;
}

void
eng_sampler_peek (const EngSampler *s, double *draws, uint32_t n)
{
  uint64_t random[4];
  memcpy (random, s->random, sizeof random);
  for (uint32_t i = 0; i < n; i++)
    draws[i] = next_draw (random);
}

void
eng_sampler_drop_draw (EngSampler *s)
{
  next_random (s->random);
}
