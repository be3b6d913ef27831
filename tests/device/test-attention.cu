// SPDX-License-Identifier: Apache-2.0
// Attention of single tokens on the card against the same sum in double precision, in short contexts and in deep ones, by both kernels:
// groups of query heads of every shape, windows, sinks, soft caps, head norms and both kinds of RoPE, rows of several sequences, and the
// new key and value in the cache. Prints a line a case; ends with "N passed, N failed". test-attention [LONGEST]: cases of fewer positions only.
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "eng-cuda.h"
#include "try.cuh"

struct Case
{
  int n_head, n_head_kv, width, window, rope;
  bool norm, sinks, cap;
  std::vector<int> positions; // a row each
};

static cudaStream_t stream;
static int n_units;
static std::mt19937 random_bits (1);
static std::vector<void *> held; // on the card, by the case at hand

static std::vector<float>
numbers (size_t n, float scale)
{
  std::normal_distribution<float> normal (0.f, scale);
  std::vector<float> v (n);
  for (float &x : v)
    x = normal (random_bits);
  return v;
}
template <typename T>
static T *
on_card (const std::vector<T> &v)
{
  void *p;
  TRY (cudaMalloc (&p, v.size () * sizeof (T)));
  TRY (cudaMemcpy (p, v.data (), v.size () * sizeof (T), cudaMemcpyHostToDevice));
  held.push_back (p);
  return (T *) p;
}

// One head's vector through norm and RoPE, as the formulas have it.
static std::vector<double>
turned (const float *x, const Case &c, const std::vector<float> &norm, const std::vector<float> &inv_freq, int position)
{
  const int d = c.width;
  std::vector<double> v (x, x + d);
  if (c.norm)
    {
      double sum = 0;
      for (double a : v)
        sum += a * a;
      for (int i = 0; i < d; i++)
        v[i] *= norm[i] / sqrt (sum / d + 1e-6);
    }
  for (int i = 0; i < d / 2 && c.rope != ENG_ROPE_NONE; i++)
    {
      const double angle = (double) (float) ((float) position * inv_freq[i]), s = sin (angle), k = cos (angle);
      double &a = v[c.rope == ENG_ROPE_NEOX ? i : 2 * i], &b = v[c.rope == ENG_ROPE_NEOX ? i + d / 2 : 2 * i + 1];
      const double a0 = a;
      a = a0 * k - b * s, b = a0 * s + b * k;
    }
  return v;
}

static bool
run (const Case &c, bool deep)
{
  const int d = c.width, rows = (int) c.positions.size (), group = c.n_head / c.n_head_kv;
  int most = 0;
  for (int p : c.positions)
    most = p > most ? p : most;
  const int n_entries = most / ENG_KV_BLOCK + 1, n_blocks = rows * n_entries;
  const size_t block = (size_t) c.n_head_kv * ENG_KV_BLOCK * d;
  std::vector<int32_t> table (n_blocks), sequence (rows), position (c.positions.begin (), c.positions.end ());
  for (int i = 0; i < n_blocks; i++)
    table[i] = n_blocks - 1 - i;
  for (int i = 0; i < rows; i++)
    sequence[i] = i;
  std::vector<__half> cache[2];
  for (auto &half : cache)
    for (float x : numbers (block * n_blocks, 1.f))
      half.push_back (__float2half (x));
  const std::vector<float> q = numbers ((size_t) rows * c.n_head * d, 2.f), k = numbers ((size_t) rows * c.n_head_kv * d, 1.f),
                           v = numbers ((size_t) rows * c.n_head_kv * d, 1.f), q_norm = numbers (d, 1.f), k_norm = numbers (d, 1.f),
                           sinks = numbers (c.n_head, 1.f);
  std::vector<float> inv_freq (d / 2);
  for (int i = 0; i < d / 2; i++)
    inv_freq[i] = powf (10000.f, -2.f * i / d);

  CuMeta m = {};
  m.position = on_card (position);
  m.sequence = on_card (sequence);
  m.table[0] = on_card (table);
  m.table_stride[0] = n_entries;
  CuAttention a = {};
  __half *keys = on_card (cache[0]), *values = on_card (cache[1]);
  a.k = keys, a.v = values, a.n_blocks = n_blocks, a.n_head = c.n_head, a.n_head_kv = c.n_head_kv, a.k_width = a.v_width = a.v_pitch = d;
  a.scale = 1.f / sqrtf ((float) d), a.soft_cap = c.cap ? 3.f : 0.f, a.window = c.window, a.causal = 1;
  a.sinks = c.sinks ? on_card (sinks) : NULL;
  CuQkv f = {};
  f.q = on_card (q), f.k = on_card (k), f.v = on_card (v), f.kc = keys, f.vc = values;
  f.n_head = c.n_head, f.n_head_kv = c.n_head_kv, f.k_width = f.v_width = d;
  f.rope_kind = c.rope, f.n_rot = d, f.rope_scale = 1.f, f.inv_freq = on_card (inv_freq);
  float2 *angles = on_card (std::vector<float2> ((size_t) rows * d / 2));
  f.angles = angles, f.angles_stride = d / 2;
  TRY (cu_angles (stream, f.inv_freq, &m, d / 2, rows, angles, 1));
  f.norm_kind = c.norm ? ENG_NORM_RMS : ENG_NORM_NONE, f.eps = 1e-6f;
  if (c.norm)
    f.q_norm = on_card (q_norm), f.k_norm = on_card (k_norm);
  float *y = on_card (std::vector<float> ((size_t) rows * c.n_head * d));
  float *partial = on_card (std::vector<float> (cu_attention_scratch (rows, c.n_head, d) / 4 + 1));
  int *counters = on_card (std::vector<int> (rows * c.n_head + 1));
  for (int i = 0; i < 2; i++) // what the first leaves behind must not disturb the second
    TRY (cu_attention_token (stream, &a, &f, &m, y, rows, partial, counters, n_units, deep, 1));
  TRY (cudaStreamSynchronize (stream));
  std::vector<float> ours ((size_t) rows * c.n_head * d);
  TRY (cudaMemcpy (ours.data (), y, ours.size () * 4, cudaMemcpyDeviceToHost));
  std::vector<__half> after[2] = { cache[0], cache[1] };
  TRY (cudaMemcpy (after[0].data (), keys, after[0].size () * 2, cudaMemcpyDeviceToHost));
  TRY (cudaMemcpy (after[1].data (), values, after[1].size () * 2, cudaMemcpyDeviceToHost));

  auto row_at = [&] (int row, int kv_head, int p) {
    return (size_t) table[(size_t) row * n_entries + p / ENG_KV_BLOCK] * block + ((size_t) kv_head * ENG_KV_BLOCK + p % ENG_KV_BLOCK) * d;
  };

  // the new rows in the cache, and nothing else changed
  double wrong = 0;
  for (int r = 0; r < rows; r++)
    for (int g = 0; g < c.n_head_kv; g++)
      {
        const int p = position[r];
        const size_t at = row_at (r, g, p);
        const std::vector<double> key = turned (&k[((size_t) r * c.n_head_kv + g) * d], c, k_norm, inv_freq, p);
        for (int i = 0; i < d; i++)
          {
            wrong = fmax (wrong, fabs ((double) __half2float (after[0][at + i]) - key[i]) / (1 + fabs (key[i])));
            wrong = fmax (wrong, fabs (__half2float (after[1][at + i]) - v[((size_t) r * c.n_head_kv + g) * d + i]));
            cache[0][at + i] = after[0][at + i], cache[1][at + i] = after[1][at + i];
          }
      }
  for (int i = 0; i < 2; i++)
    if (memcmp (cache[i].data (), after[i].data (), cache[i].size () * 2))
      wrong = INFINITY;

  double error = 0, size = 0;
  for (int r = 0; r < rows; r++)
    for (int h = 0; h < c.n_head; h++)
      {
        const std::vector<double> query = turned (&q[((size_t) r * c.n_head + h) * d], c, q_norm, inv_freq, position[r]);
        const int end = position[r] + 1, start = c.window && end > c.window ? end - c.window : 0;
        std::vector<double> score (end), sum (d);
        double top = c.sinks ? sinks[h] : -INFINITY, all = 0;
        auto row_of = [&] (int p) { return row_at (r, h / group, p); };
        for (int p = start; p < end; p++)
          {
            double s = 0;
            for (int i = 0; i < d; i++)
              s += query[i] * __half2float (cache[0][row_of (p) + i]);
            s *= a.scale;
            score[p] = c.cap ? 3. * tanh (s / 3.) : s;
            top = fmax (top, score[p]);
          }
        if (c.sinks)
          all = exp (sinks[h] - top);
        for (int p = start; p < end; p++)
          {
            const double w = exp (score[p] - top);
            all += w;
            for (int i = 0; i < d; i++)
              sum[i] += w * __half2float (cache[1][row_of (p) + i]);
          }
        for (int i = 0; i < d; i++)
          {
            const double truth = sum[i] / all, off = ours[((size_t) r * c.n_head + h) * d + i] - truth;
            error += off * off, size += truth * truth;
          }
      }
  const double relative = sqrt (error / size);
  const bool ok = relative < 2e-3 && wrong < 2e-3; // halves have 11 bits
  printf ("%s %2d heads of %3d, %2d with keys%s%s%s%s%s%s, behind", ok ? "ok  " : "FAIL", c.n_head, d, c.n_head_kv,
          deep ? ", deep" : "", c.window ? ", window" : "", c.norm ? ", norms" : "", c.sinks ? ", sinks" : "", c.cap ? ", cap" : "",
          c.rope == ENG_ROPE_NEOX ? "" : ", neighbours");
  for (int p : c.positions)
    printf (" %d", p);
  printf (": relative error %.1e, of the cache %.1e\n", relative, wrong);
  for (void *p : held)
    TRY (cudaFree (p));
  held.clear ();
  return ok;
}

int
main (int argc, char **argv)
{
  const int longest = argc > 1 ? atoi (argv[1]) : INT_MAX;
  cudaDeviceProp card;
  TRY (cudaGetDeviceProperties (&card, 0));
  n_units = card.multiProcessorCount;
  TRY (cudaStreamCreate (&stream));
  const int neox = ENG_ROPE_NEOX, near = ENG_ROPE_NORM;
  std::vector<Case> cases;
  for (int p : { 0, 1, 15, 16, 63, 64, 127, 128, 300, 767, 768, 1500, 2111, 2112, 8191, 8256, 20000 })
    cases.push_back ({ 32, 8, 128, 0, near, false, false, false, { p } });
  for (int p : { 0, 77, 200, 5000 })
    {
      cases.push_back ({ 14, 2, 64, 0, neox, false, false, false, { p } });
      cases.push_back ({ 9, 3, 64, 0, near, false, false, false, { p } });
      cases.push_back ({ 32, 2, 128, 0, near, false, false, false, { p } });
      cases.push_back ({ 32, 4, 128, 0, neox, true, false, false, { p } });
      cases.push_back ({ 64, 8, 64, 128, neox, false, true, false, { p } });
      cases.push_back ({ 8, 4, 256, 512, neox, false, false, true, { p } });
      cases.push_back ({ 8, 1, 128, 1000, neox, true, true, true, { p } });
    }
  cases.push_back ({ 8, 2, 32, 0, neox, false, false, false, { 500 } });
  cases.push_back ({ 12, 12, 80, 0, neox, false, false, false, { 700 } });
  cases.push_back ({ 10, 2, 96, 0, neox, false, false, false, { 333 } });
  cases.push_back ({ 4, 1, 16, 0, near, false, false, false, { 129 } });
  cases.push_back ({ 32, 8, 128, 0, near, false, false, false, { 5, 900, 64, 3001, 128, 0, 1024, 2000 } });
  cases.push_back ({ 14, 2, 64, 0, neox, false, false, false, { 70, 6000, 1 } });
  int n_ok = 0, n = 0;
  for (const Case &c : cases)
    for (bool deep : { false, true })
      if (*std::max_element (c.positions.begin (), c.positions.end ()) < longest
          && deep <= (c.width == 64 || c.width == 128)) // others have no deep kernel
        n++, n_ok += run (c, deep);
  printf ("%d passed, %d failed\n", n_ok, n - n_ok);
  return n_ok == n ? 0 : 1;
}
