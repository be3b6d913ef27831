/* SPDX-License-Identifier: Apache-2.0 */
/* Times of the kernels that matter for speed: one thread, data in the second-level cache. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"

static double
now (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

typedef struct
{
  const EngKernels *k;
  EngPack pack;
  EngFloatFormat format;
  size_t n_cols;
  uint32_t t;
  uint8_t *panel;
  float *x, *y, *scratch;
  EngQuantTile tile;
  EngWordTile words;
  EngTileRows tiles;
} Job;
/* Panels of a product by tiles. */
#define TILE_PANELS 4u

static void
run_product (Job *job)
{
  job->k->product[job->pack](job->panel, 1, job->n_cols, &job->tile, job->y, job->k->panel_rows);
}

static void
run_float (Job *job)
{
  job->k->product_float[job->format](job->panel, job->n_cols, 16, job->n_cols, job->x, job->n_cols,
                                     job->t, job->y, 16, job->scratch);
}

static void
run_words (Job *job)
{
  job->k->product_words[job->format](job->panel, job->n_cols, 32, job->n_cols, &job->words, job->t, job->y, 32,
                                     job->scratch);
}

static void
run_quantize_words (Job *job)
{
  for (uint32_t r = 0; r < job->t; r++)
    job->k->quantize_words (job->x + r * job->n_cols, job->n_cols, &job->words, r);
}

static void
run_tiles (Job *job)
{
  job->k->product_tiles (job->pack, job->panel, TILE_PANELS, job->n_cols, &job->tiles, job->t, job->y, 16 * TILE_PANELS,
                         job->scratch);
}

static void
run_tiles_float (Job *job)
{
  job->k->product_tiles_float (job->format, job->panel, job->n_cols, 16 * TILE_PANELS, job->n_cols, &job->tiles, job->t, job->y,
                               16 * TILE_PANELS, job->scratch);
}

static void
run_round (Job *job)
{
  for (uint32_t r = 0; r < job->t; r++)
    job->k->round_row (job->x + r * job->n_cols, job->n_cols, &job->tiles, r);
}

/* Seconds of one call: the best of several batches, each of some milliseconds. */
static double
seconds (void (*func) (Job *), Job *job, double budget)
{
  double best = 1e9, end = now () + budget;
  unsigned n = 1;
  do
    {
      double t0 = now ();
      for (unsigned i = 0; i < n; i++)
        func (job);
      double t = now () - t0;
      if (t < 2e-3 && n < 1u << 20)
        {
          n *= 2;
          continue;
        }
      best = t / n < best ? t / n : best;
    }
  while (now () < end);
  return best;
}

static Job
make_job (const EngKernels *k, size_t n_cols, uint32_t t)
{
  Job job = { .k = k, .n_cols = n_cols, .t = t };
  job.x = aligned_alloc (64, n_cols * t * 4);
  job.y = aligned_alloc (64, 16 * TILE_PANELS * t * 4);
  job.panel = aligned_alloc (64, n_cols * 32 * TILE_PANELS);
  job.scratch = aligned_alloc (64, ENG_FLOAT_SCRATCH (n_cols) * 4);
  memset (job.panel, 0x11, n_cols * 32 * TILE_PANELS);
  check_fill (job.x, n_cols * t, VALUES_RANDOM);
  job.tile = (EngQuantTile){ aligned_alloc (64, n_cols * t), malloc (n_cols * t * 2),
                             malloc (n_cols / 32 * ENG_QUANT_META * t * 4), t };
  job.words = (EngWordTile){ malloc (n_cols * t * 2), malloc (n_cols / ENG_WORD_BLOCK * t * 4), t };
  run_quantize_words (&job);
  size_t tile_bytes = (t + 15) / 16 * ENG_TILE_STRIDE (n_cols) * 2;
  job.tiles = (EngTileRows){ aligned_alloc (64, tile_bytes), aligned_alloc (64, tile_bytes) };
  run_round (&job);
  for (uint32_t r = 0; r < t; r++)
    k->quantize (job.x + r * n_cols, n_cols, &job.tile, r);
  return job;
}

static void
free_job (Job *job)
{
  free (job->x);
  free (job->y);
  free (job->panel);
  free (job->scratch);
  free (job->tile.q);
  free (job->tile.q16);
  free (job->tile.meta);
  free (job->tiles.high);
  free (job->tiles.low);
  free (job->words.q);
  free (job->words.scale);
}

/* Beside them the float products of as many rows. */
static void
bench_words (const EngKernels *k, size_t n_cols)
{
  static const uint32_t rows[] = { 16, 32, 64, 256 };
  static const char *const names[] = { "F32", "F16", "BF16" };
  for (int format = ENG_FLOAT_F16; format <= ENG_FLOAT_BF16; format++)
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
      {
        Job job = make_job (k, n_cols, rows[i]);
        job.format = (EngFloatFormat) format;
        double s = seconds (run_words, &job, 0.05), f = seconds (run_float, &job, 0.05), q = seconds (run_quantize_words, &job, 0.02);
        double macs = (double) n_cols * 32 * rows[i];
        printf ("# %-7s %3u rows: %8.2f us by 16-bit integers  %7.1f GFLOP/s  %6.2f x floats; making them %.2f us\n",
                names[format], rows[i], s * 1e6, 2e-9 * macs / s, 2 * f / s, q * 1e6);
        free_job (&job);
      }
}

static void
bench_tiles (const EngKernels *k, size_t n_cols)
{
  static const char *const names[] = { "F32", "F16", "BF16" };
  static const uint32_t rows[] = { 8, 16, 32, 64, 128, 512 };
  for (int pack = 0; pack < ENG_PACK_N && k->tiles_from != 0; pack++)
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
      {
        Job job = make_job (k, n_cols, rows[i]);
        job.pack = (EngPack) pack;
        double s = seconds (run_tiles, &job, 0.05), p = seconds (run_product, &job, 0.05), q = seconds (run_round, &job, 0.02);
        double macs = (double) n_cols * 16 * TILE_PANELS * rows[i];
        printf ("# %-7s %3u rows: %8.2f us by tiles  %7.1f GFLOP/s  %6.2f x bytes; rounding rows %.2f us\n",
                eng_type_get_name (eng_pack_get_info (job.pack)->type), rows[i], s * 1e6, 2e-9 * macs / s, TILE_PANELS * p / s,
                q * 1e6);
        free_job (&job);
      }
  for (int format = ENG_FLOAT_F16; format < ENG_FLOAT_N && k->tiles_from != 0; format++)
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
      {
        Job job = make_job (k, n_cols, rows[i]);
        job.format = (EngFloatFormat) format;
        double s = seconds (run_tiles_float, &job, 0.05), f = seconds (run_float, &job, 0.05), w = seconds (run_words, &job, 0.05);
        double macs = (double) n_cols * 16 * TILE_PANELS * rows[i];
        printf ("# %-7s %3u rows: %8.2f us by tiles  %7.1f GFLOP/s  %6.2f x floats  %6.2f x 16-bit integers\n", names[format],
                rows[i], s * 1e6, 2e-9 * macs / s, TILE_PANELS * f / s, TILE_PANELS / 2 * w / s);
        free_job (&job);
      }
}

void
bench_kernels (const EngKernels *k, const EngKernels *ref, const char *tier)
{
  static const uint32_t rows[] = { 1, 4, 64 };
  const size_t n_cols = 2048;
  printf ("# %s: one thread, K %zu\n", tier, n_cols);
  for (int pack = 0; pack < ENG_PACK_N; pack++)
    for (size_t i = 0; i < 3; i++)
      {
        const EngPackInfo *info = eng_pack_get_info ((EngPack) pack);
        Job job = make_job (k, n_cols, rows[i]), slow = make_job (ref, n_cols, rows[i]);
        job.pack = slow.pack = (EngPack) pack;
        double s = seconds (run_product, &job, 0.05), r = seconds (run_product, &slow, 0.02);
        double macs = (double) n_cols * k->panel_rows * rows[i];
        double bytes = (double) eng_pack_panel_bytes (info, k->panel_rows, n_cols);
        printf ("# %-7s %3u rows: %8.2f us  %7.1f GFLOP/s  %6.1f GB/s of weights  %6.1f x ref\n",
                eng_type_get_name (info->type), rows[i], s * 1e6, 2e-9 * macs / s, 1e-9 * bytes / s,
                r / s * k->panel_rows / ref->panel_rows);
        free_job (&job);
        free_job (&slow);
      }
  static const char *const names[] = { "F32", "F16", "BF16" };
  for (int format = 0; format < ENG_FLOAT_N; format++)
    for (size_t i = 0; i < 3; i++)
      {
        Job job = make_job (k, n_cols, rows[i]), slow = make_job (ref, n_cols, rows[i]);
        job.format = slow.format = (EngFloatFormat) format;
        double s = seconds (run_float, &job, 0.05), r = seconds (run_float, &slow, 0.02);
        double macs = (double) n_cols * 16 * rows[i];
        printf ("# %-7s %3u rows: %8.2f us  %7.1f GFLOP/s  %6.1f x ref\n", names[format], rows[i],
                s * 1e6, 2e-9 * macs / s, r / s);
        free_job (&job);
        free_job (&slow);
      }
  bench_words (k, n_cols);
  bench_tiles (k, n_cols);
}
