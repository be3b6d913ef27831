/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling on the device: from the logits of one row to the next row's token, in place, so that runs can follow each
 * other without the host. The rules are those of sampling/eng-sampler.h. */
#pragma once

#include "eng-cuda.h"

#define CU_SAMPLE_WINDOW 4096
#define CU_SAMPLE_VOCAB (1 << 20) /* largest vocabulary */

typedef struct
{
  int32_t token, drew;
} CuSampled;

/* In device memory; the kernels move it on from sample to sample. Filled by the host once a call. */
typedef struct
{
  double draws[ENG_DEVICE_SAMPLES];
  double min_offset; /* logits further below the largest are cut by min-p */
  float temperature, top_p, penalty;
  int32_t greedy, top_k; /* top_k is 1 when greedy */
  int32_t window, n_seen, i_seen; /* the ring of tokens seen: its size, how many, where the next goes */
  int32_t i_sample;
  CuSampled samples[ENG_DEVICE_SAMPLES];
  int32_t seen[CU_SAMPLE_WINDOW]; /* last: only what is used is copied */
} CuSampling;

/* 64-bit words of scratch for a vocabulary. */
#define CU_SAMPLE_GROUP 32
static inline uint64_t
cu_sample_groups (uint64_t n_vocab)
{
  return (n_vocab + CU_SAMPLE_GROUP - 1) / CU_SAMPLE_GROUP;
}

/* Sample from @logits [n_vocab], which the penalty changes; token, position and length of row 0 of @m become those of
 * the next run. @groups: cu_sample_groups () words. */
cudaError_t cu_sample_launch (CuStream s, CuSampling *p, float *logits, int n_vocab, unsigned long long *groups,
                              const CuMeta *m, int pdl);
