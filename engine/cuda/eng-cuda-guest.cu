// SPDX-License-Identifier: Apache-2.0
// State of streamed layers: its owner keeps it, and a layer's worth comes here while the layer runs. Keys and values of
// earlier positions, or the recurrent state in front of the batch, are fetched before its product or step; what the batch
// adds goes back while the next layer runs.
#include "eng-cuda-run.h"

typedef struct
{
  uint32_t group;
  uint64_t k_halves, v_halves; // of a block's part of the layer; a recurrent state stands at k
} Part;

static Part
part_of (const CuRun *r, uint32_t i)
{
  Part p;
  uint32_t layer;
  cu_state_of (&r->p->steps[i], &p.group, &layer);
  const EngGroupDesc *g = &r->p->groups[p.group];
  const bool recurrent = g->kind == ENG_STATE_RECURRENT;
  p.k_halves = recurrent ? 2 * cu_recurrent_floats (g) : (uint64_t) g->n_kv_head * ENG_KV_BLOCK * g->k_width;
  p.v_halves = recurrent ? 0 : (uint64_t) g->n_kv_head * ENG_KV_BLOCK * g->v_width;
  return p;
}

// Between the page-locked parts at @host and the guest blocks.
static cudaError_t
copy_blocks (CuRun *r, const Part *p, const uint32_t *blocks, uint32_t n, uint8_t *host, bool to_guest)
{
  for (uint32_t k = 0; k < n; k++)
    {
      __half *parts[2] = { r->s->guest_k[r->guest] + blocks[k] * p->k_halves,
                           r->s->guest_v[r->guest] + blocks[k] * p->v_halves };
      const uint64_t halves[2] = { p->k_halves, p->v_halves };
      for (int v = 0; v < 2 && halves[v]; v++)
        {
          TRY (cudaMemcpyAsync (to_guest ? (void *) parts[v] : host, to_guest ? (void *) host : parts[v], 2 * halves[v],
                                to_guest ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost, r->stream));
          host += 2 * halves[v];
        }
    }
  return cudaSuccess;
}

static cudaError_t
move (CuRun *r, uint32_t i, const uint32_t *blocks, uint32_t n, uint8_t *host, bool to_owner)
{
  const EngKeyMover *keys = &r->run->keys;
  r->key_status = keys->move ? keys->move (keys->data, i, blocks, n, host, to_owner, r->error) : ENG_ERR_INTERNAL;
  return r->key_status == ENG_OK ? cudaSuccess : cudaErrorUnknown;
}

// What the last streamed layer added is on its way: hand it to its owner.
static cudaError_t
deliver (CuRun *r)
{
  if (r->leaving.n == 0)
    return cudaSuccess;
  TRY (cudaEventSynchronize (r->s->guest_moved[1]));
  const uint32_t n = r->leaving.n;
  r->leaving.n = 0;
  return move (r, r->leaving.i_step, r->leaving.blocks, n, r->s->guest_host[1], true);
}

// Visit the blocks that hold what was in front of the batch, or what it adds.
template <typename F>
static cudaError_t
each_block (const CuRun *r, uint32_t group, bool earlier, F visit)
{
  uint32_t row = 0;
  for (uint32_t q = 0; q < r->batch->n_sequences; q++)
    {
      const EngSequenceView *view = &r->batch->sequences[q];
      if (row >= r->batch->n_rows || r->batch->rows[row].i_sequence != q)
        continue;
      const uint32_t first = r->batch->rows[row].position[0];
      while (row < r->batch->n_rows && r->batch->rows[row].i_sequence == q)
        row++;
      const uint32_t to = ((earlier ? first : view->n_positions) + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK;
      // of recurrent states the newest is all there is
      const uint32_t oldest = r->p->groups[group].kind == ENG_STATE_RECURRENT && to ? to - 1 : 0;
      const uint32_t from = earlier ? oldest : first / ENG_KV_BLOCK;
      for (uint32_t k = from; k < to; k++)
        if (view->tables[group][k] != UINT32_MAX)
          TRY (visit (view->tables[group][k]));
    }
  return cudaSuccess;
}

cudaError_t
cu_guest_enter (CuRun *r, uint32_t i)
{
  const Part p = part_of (r, i);
  TRY (deliver (r));
  r->guest ^= 1;
  uint32_t blocks[CU_GUEST_BLOCKS], n = 0;
  auto fetch = [&] () {
    TRY (cudaEventSynchronize (r->s->guest_moved[0]));
    TRY (move (r, i, blocks, n, r->s->guest_host[0], false));
    TRY (copy_blocks (r, &p, blocks, n, r->s->guest_host[0], true));
    n = 0;
    return cudaEventRecord (r->s->guest_moved[0], r->stream);
  };
  TRY (each_block (r, p.group, true, [&] (uint32_t block) {
    blocks[n++] = block;
    return n == CU_GUEST_BLOCKS ? fetch () : cudaSuccess;
  }));
  return n ? fetch () : cudaSuccess;
}

cudaError_t
cu_guest_leave (CuRun *r, uint32_t i)
{
  const Part p = part_of (r, i);
  CuGuestExport *l = &r->leaving;
  l->i_step = i;
  auto send = [&] () {
    TRY (copy_blocks (r, &p, l->blocks, l->n, r->s->guest_host[1], false));
    return cudaEventRecord (r->s->guest_moved[1], r->stream);
  };
  TRY (each_block (r, p.group, false, [&] (uint32_t block) {
    // more than fits: the first ones now, the last ones while the next layer runs
    if (l->n == CU_GUEST_BLOCKS)
      {
        TRY (send ());
        TRY (deliver (r));
      }
    l->blocks[l->n++] = block;
    return cudaSuccess;
  }));
  return send ();
}

cudaError_t
cu_guest_finish (CuRun *r)
{
  return deliver (r);
}
