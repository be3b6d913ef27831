// SPDX-License-Identifier: Apache-2.0
// Where a token's time goes: the kernels of an 8B Llama in Q4_K_M (random weights, a context of 65 positions, or as many as
// the argument says), as the engine launches them, in a graph of a whole token and in graphs of one kind each.
// Prints microseconds: of the token, and of each kind a layer. Takes 6 GB of a card's memory and a second.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "format.cuh"
#include "try.cuh"

enum
{
  WIDTH = 4096,
  FF = 14336,
  HEADS = 32,
  KV_HEADS = 8,
  HEAD = 128,
  LAYERS = 32,
  VOCABULARY = 128256,
  MOST = 512, // positions
};

static cudaStream_t stream;
static int n_units;
static double weight_bytes;

template <typename T>
static T *
on_card (size_t n)
{
  void *p;
  TRY (cudaMalloc (&p, n * sizeof (T)));
  TRY (cudaMemset (p, 0, n * sizeof (T)));
  return (T *) p;
}
static float *
numbers (size_t n)
{
  std::vector<float> v (n);
  for (size_t i = 0; i < n; i++)
    v[i] = sinf (i * 0.37f);
  float *p = on_card<float> (n);
  TRY (cudaMemcpy (p, v.data (), n * 4, cudaMemcpyHostToDevice));
  return p;
}

__global__ void
noise_kernel (uint32_t *p, size_t n, uint32_t seed)
{
  for (size_t i = blockIdx.x * (size_t) blockDim.x + threadIdx.x; i < n; i += (size_t) gridDim.x * blockDim.x)
    {
      uint32_t h = (uint32_t) i * 2654435761u + seed;
      h = (h ^ h >> 15) * 2246822519u;
      p[i] = h ^ h >> 13;
    }
}

// Random codes; scales that are small numbers whatever the type makes of them.
static CuWeight
weight (int type, int n_rows, int n_cols)
{
  static uint32_t seed = 1;
  const Format f = format_of (type);
  const size_t n = (size_t) n_rows * n_cols / 32, bytes[4] = { n * f.q, n * f.h, n * f.s, n / 8 * f.d };
  uint8_t *plane[4];
  for (int i = 0; i < 4; i++)
    {
      plane[i] = on_card<uint8_t> (bytes[i] + 256);
      weight_bytes += bytes[i];
      if (i < 2)
        noise_kernel<<<1024, 256>>> ((uint32_t *) plane[i], bytes[i] / 4, seed++);
      else
        TRY (cudaMemset (plane[i], 0x11, bytes[i]));
    }
  CuWeight w = {};
  w.type = type;
  w.q_bytes = f.q;
  w.n_slices = 1;
  w.n_rows = n_rows;
  w.n_cols = n_cols;
  w.q = plane[0], w.h = plane[1], w.s = plane[2], w.d = plane[3];
  return w;
}

struct Layer
{
  CuWeight q, k, v, o, gate, up, down;
  __half *keys, *values;
};
static std::vector<Layer> layers;
static CuWeight head;
static float *residual, *queries, *new_keys, *new_values, *attended, *hidden, *logits, *norm_weights, *inv_freq, *partial;
static int *counters;
static CuMeta meta;

static void
product (const float *x, int n_cols, bool normed, int tail, std::vector<CuSegment> segments)
{
  CuGemv g = {};
  g.x = x;
  g.x_stride = g.n_cols = n_cols;
  g.scale = 1;
  g.has_norm = normed;
  g.norm = normed ? norm_weights : NULL;
  g.eps = 1e-5f;
  g.tail = tail;
  g.act = tail == CU_TAIL_GLU ? ENG_ACT_SILU : ENG_ACT_NONE;
  g.aux = tail == CU_TAIL_ADD ? residual : NULL;
  for (const CuSegment &s : segments)
    g.segment[g.n_segments++] = s;
  TRY (cu_gemv (stream, &g, 1, n_units, 1));
}
static void
qkv (const Layer &l)
{
  product (residual, WIDTH, true, CU_TAIL_STORE,
           { { l.q, {}, NULL, NULL, queries, 0 }, { l.k, {}, NULL, NULL, new_keys, 0 }, { l.v, {}, NULL, NULL, new_values, 0 } });
}
static void
attention (const Layer &l)
{
  CuAttention a = {};
  a.k = l.keys, a.v = l.values;
  a.n_blocks = MOST / ENG_KV_BLOCK;
  a.n_head = HEADS, a.n_head_kv = KV_HEADS;
  a.k_width = a.v_width = a.v_pitch = HEAD;
  a.scale = 1.f / sqrtf (HEAD);
  a.causal = 1;
  CuQkv f = {};
  f.q = queries, f.k = new_keys, f.v = new_values;
  f.kc = l.keys, f.vc = l.values;
  f.n_head = HEADS, f.n_head_kv = KV_HEADS;
  f.k_width = f.v_width = HEAD;
  f.inv_freq = inv_freq;
  f.rope_kind = ENG_ROPE_NEOX;
  f.n_rot = HEAD;
  f.rope_scale = 1;
  TRY (cu_attention_token (stream, &a, &f, &meta, attended, 1, partial, counters, n_units, false, 1));
}
static void
output (const Layer &l)
{
  product (attended, WIDTH, false, CU_TAIL_ADD, { { l.o, {}, NULL, NULL, residual, 0 } });
}
static void
gate_up (const Layer &l)
{
  product (residual, WIDTH, true, CU_TAIL_GLU, { { l.gate, l.up, NULL, NULL, hidden, 0 } });
}
static void
down (const Layer &l)
{
  product (hidden, FF, false, CU_TAIL_ADD, { { l.down, {}, NULL, NULL, residual, 0 } });
}

// Microseconds of a graph of what @body launches, the middle of 30.
template <typename Body>
static double
timed (Body body)
{
  cudaGraph_t graph;
  cudaGraphExec_t run;
  cudaEvent_t from, to;
  TRY (cudaStreamBeginCapture (stream, cudaStreamCaptureModeThreadLocal));
  body ();
  TRY (cudaStreamEndCapture (stream, &graph));
  TRY (cudaGraphInstantiate (&run, graph, 0));
  TRY (cudaEventCreate (&from));
  TRY (cudaEventCreate (&to));
  std::vector<float> ms (33);
  for (float &t : ms)
    {
      TRY (cudaEventRecord (from, stream));
      TRY (cudaGraphLaunch (run, stream));
      TRY (cudaEventRecord (to, stream));
      TRY (cudaEventSynchronize (to));
      TRY (cudaEventElapsedTime (&t, from, to));
    }
  std::sort (ms.begin () + 3, ms.end ());
  return ms[18] * 1e3;
}
template <typename One>
static double
of_a_layer (One one)
{
  return timed ([&] {
           for (const Layer &l : layers)
             one (l);
         })
         / LAYERS;
}

int
main (int argc, char **argv)
{
  cudaDeviceProp card;
  if (cudaGetDeviceProperties (&card, 0) != cudaSuccess)
    return 77;
  n_units = card.multiProcessorCount;
  TRY (cudaStreamCreate (&stream));
  residual = numbers (WIDTH), queries = numbers (WIDTH), attended = numbers (WIDTH), norm_weights = numbers (WIDTH);
  new_keys = numbers (KV_HEADS * HEAD), new_values = numbers (KV_HEADS * HEAD), hidden = numbers (FF);
  logits = numbers (VOCABULARY), inv_freq = numbers (HEAD / 2);
  partial = on_card<float> (cu_attention_scratch (1, HEADS, HEAD) / 4 + 1);
  counters = on_card<int> (HEADS);
  const int position = argc > 1 ? std::min (std::max (atoi (argv[1]), 1), (int) MOST) - 1 : 64;
  std::vector<int32_t> words (MOST / ENG_KV_BLOCK + 2); // the sequence, the position, its blocks
  words[1] = position;
  for (int i = 0; i < MOST / ENG_KV_BLOCK; i++)
    words[2 + i] = i;
  int32_t *m = on_card<int32_t> (words.size ());
  TRY (cudaMemcpy (m, words.data (), words.size () * 4, cudaMemcpyHostToDevice));
  meta.sequence = m;
  meta.position = m + 1;
  meta.table[0] = m + 2;
  for (int i = 0; i < LAYERS; i++)
    {
      const int more = i < LAYERS / 8 || i >= 7 * LAYERS / 8 || (i - LAYERS / 8) % 3 == 2 ? ENG_TYPE_Q6_K : ENG_TYPE_Q4_K;
      const int few = ENG_TYPE_Q4_K, kv = KV_HEADS * HEAD;
      layers.push_back ({ weight (few, WIDTH, WIDTH), weight (few, kv, WIDTH), weight (more, kv, WIDTH), weight (few, WIDTH, WIDTH),
                          weight (few, FF, WIDTH), weight (few, FF, WIDTH), weight (more, WIDTH, FF), on_card<__half> (MOST * kv),
                          on_card<__half> (MOST * kv) });
    }
  head = weight (ENG_TYPE_Q6_K, VOCABULARY, WIDTH);
  const auto last = [] { product (residual, WIDTH, true, CU_TAIL_STORE, { { head, {}, NULL, NULL, logits, 0 } }); };
  const double token = timed ([&] {
    for (const Layer &l : layers)
      {
        qkv (l);
        attention (l);
        output (l);
        gate_up (l);
        down (l);
      }
    last ();
  });
  printf ("%s: a token %.1f us, %.2f TB/s of weights\n", card.name, token, weight_bytes / token / 1e6);
  printf ("qkv %.2f attention %.2f output %.2f gate and up %.2f down %.2f; output head %.1f us\n", of_a_layer (qkv), of_a_layer (attention),
          of_a_layer (output), of_a_layer (gate_up), of_a_layer (down), timed (last));
  return 0;
}
