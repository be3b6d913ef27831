// SPDX-License-Identifier: Apache-2.0
// Matrices that stay in main memory and are sent for every run of many rows: threads copy rows of the file into
// small page-locked buffers (they stay in the processor's caches), streams of their own bring them over and turn
// them into planes, while the device's stream works on the matrices sent before. Two or three slots on the device
// take turns; events say when one is full and when it may be overwritten.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eng-cuda-private.h"

// Rows on their way at a time: small enough that the page-locked copy is read from the cache.
#define CHUNK_BYTES ((uint64_t) 2 << 20)
#define MAX_LANES 8
#define MAX_SLOTS 3
#define THREE_SLOTS_BYTES ((uint64_t) 64 << 20) // above that a slot, two have to do

struct CuStreamer;

// A thread with its stream, two chunks in turn.
typedef struct
{
  struct CuStreamer *owner;
  int index;
  pthread_t thread;
  CuStream stream;
  uint8_t *host[2], *raw[2];
  cudaEvent_t free_again[2], full[MAX_SLOTS];
  int turn;
} Lane;

typedef struct
{
  EngWeightId weight;
  const EngWeightDesc *desc;
  const uint8_t *data; // the file's rows
  uint64_t row_bytes, n_rows, rows_at_once;
  uint64_t rows_left; // of this run: not sent yet
  CuWeight on_device; // planes of its slot
} Item;

struct CuStreamer
{
  EngBound *bound;
  Item *items; // in the order the steps use them
  uint32_t n_items, n_slots, n_lanes, n_threads;
  Lane lanes[MAX_LANES];
  cudaEvent_t slot_free[MAX_SLOTS];
  uint8_t *host, *raw;

  // guarded by lock
  pthread_mutex_t lock;
  pthread_cond_t work, progress;
  bool running, quit;
  uint32_t next_item, n_consumed, in_flight;
  uint64_t next_row;
  uint8_t lanes_of[MAX_SLOTS]; // which lanes sent a part of what the slot holds, a bit each
  cudaError_t error;
};

// ---- what is to be sent ----

// Matrices of a step in the order in which step_many () uses them.
static int
matrices (const EngStep *s, EngWeightId w[3])
{
  int n = 0;
  switch (s->kind)
    {
    case ENG_STEP_QKV:
    case ENG_STEP_EXPERTS:
      n = 3;
      break;
    case ENG_STEP_GATE_UP:
      n = 2;
      break;
    case ENG_STEP_PRODUCT:
    case ENG_STEP_ROUTE:
    case ENG_STEP_HEADS:
      n = 1;
      break;
    case ENG_STEP_LATENT:
      w[0] = s->w[1];
      return 1;
    default:
      break;
    }
  if (s->kind == ENG_STEP_QKV && s->w[2] == s->w[1]) // keys are the values
    n = 2;
  for (int i = 0; i < n; i++)
    w[i] = s->w[i];
  return n;
}

// Visit every matrix of the streamed steps.
template <typename F>
static void
each_matrix (const EngBound *b, F visit)
{
  for (uint32_t i = 0; i < b->program->n_steps; i++)
    {
      EngWeightId w[3];
      const int n = cu_is_streamed (b, i) ? matrices (&b->program->steps[i], w) : 0;
      for (int k = 0; k < n; k++)
        visit (w[k]);
    }
}

static uint64_t
slot_bytes (const EngBound *b)
{
  uint64_t most = 0;
  each_matrix (b, [&] (EngWeightId w) {
    CuWeight unused;
    uint64_t at = 0;
    cu_place_weight (&b->program->weights[w], NULL, &at, &unused);
    most = at > most ? at : most;
  });
  return most;
}

static uint32_t
n_slots_of (uint64_t bytes)
{
  return bytes <= THREE_SLOTS_BYTES ? 3 : 2;
}

static uint32_t
n_lanes (void)
{
  const long n = sysconf (_SC_NPROCESSORS_ONLN) / 2;
  return n < 2 ? 2 : n > MAX_LANES ? MAX_LANES : (uint32_t) n;
}

uint64_t
cu_streamer_bytes (const EngBound *b)
{
  const uint64_t slot = slot_bytes (b);
  return slot ? slot * n_slots_of (slot) + 2 * n_lanes () * CHUNK_BYTES : 0;
}

bool
cu_streamer_can (const EngBound *b)
{
  bool ok = true;
  each_matrix (b, [&] (EngWeightId w) {
    const EngWeightDesc *d = &b->program->weights[w];
    ok = ok && cu_file_row_bytes (d->type, d->n_cols) <= CHUNK_BYTES;
  });
  return ok && slot_bytes (b) > 0;
}

// ---- the threads ----

static cudaError_t
send_rows (Lane *l, const Item *item, uint32_t slot, uint64_t row, uint64_t n)
{
  const int k = l->turn ^= 1;
  const uint64_t bytes = n * item->row_bytes;
  const CuWeight *w = &item->on_device;
  cudaError_t e = cudaEventSynchronize (l->free_again[k]);
  if (e != cudaSuccess)
    return e;
  memcpy (l->host[k], item->data + cu_file_row (item->desc, row) * item->row_bytes, bytes);
  e = cudaStreamWaitEvent (l->stream, l->owner->slot_free[slot], 0);
  uint8_t *to = w->q_bytes ? l->raw[k] : (uint8_t *) w->q + row * item->row_bytes;
  if (e == cudaSuccess)
    e = cudaMemcpyAsync (to, l->host[k], bytes, cudaMemcpyHostToDevice, l->stream);
  if (e == cudaSuccess && w->q_bytes)
    e = cu_repack (l->stream, w, l->raw[k], row, n);
  if (e == cudaSuccess)
    e = cudaEventRecord (l->free_again[k], l->stream);
  return e == cudaSuccess ? cudaEventRecord (l->full[slot], l->stream) : e;
}

// Whether there are rows to send and a slot to put them in.
static bool
has_work (const CuStreamer *s)
{
  return s->running && s->error == cudaSuccess && s->next_item < s->n_items
         && s->next_item < s->n_consumed + s->n_slots;
}

static void *
lane_thread (void *data)
{
  Lane *l = (Lane *) data;
  CuStreamer *s = l->owner;
  cudaError_t e = cudaSetDevice (s->bound->device->ordinal);
  pthread_mutex_lock (&s->lock);
  for (;;)
    {
      while (!s->quit && !has_work (s))
        pthread_cond_wait (&s->work, &s->lock);
      if (s->quit)
        break;
      Item *item = &s->items[s->next_item];
      const uint32_t slot = s->next_item % s->n_slots;
      const uint64_t row = s->next_row, left = cu_rows_together (item->desc, row);
      const uint64_t n = left < item->rows_at_once ? left : item->rows_at_once;
      s->next_row += n;
      if (s->next_row == item->n_rows)
        {
          s->next_item++;
          s->next_row = 0;
        }
      s->in_flight++;
      pthread_mutex_unlock (&s->lock);
      if (e == cudaSuccess)
        e = send_rows (l, item, slot, row, n);
      pthread_mutex_lock (&s->lock);
      s->in_flight--;
      if (e != cudaSuccess)
        s->error = e;
      item->rows_left -= n;
      s->lanes_of[slot] |= (uint8_t) (1u << l->index);
      if (item->rows_left == 0 || s->error != cudaSuccess || !s->running)
        pthread_cond_broadcast (&s->progress);
    }
  pthread_mutex_unlock (&s->lock);
  return NULL;
}

// ---- life ----

static cudaError_t
lane_init (CuStreamer *s, uint32_t i)
{
  Lane *l = &s->lanes[i];
  l->owner = s;
  l->index = (int) i;
  cudaError_t e = cudaStreamCreateWithFlags (&l->stream, cudaStreamNonBlocking);
  for (int k = 0; k < 2 && e == cudaSuccess; k++)
    {
      l->host[k] = s->host + (2 * i + k) * CHUNK_BYTES;
      l->raw[k] = s->raw + (2 * i + k) * CHUNK_BYTES;
      e = cudaEventCreateWithFlags (&l->free_again[k], cudaEventDisableTiming);
    }
  for (uint32_t k = 0; k < s->n_slots && e == cudaSuccess; k++)
    e = cudaEventCreateWithFlags (&l->full[k], cudaEventDisableTiming);
  return e;
}

// What item @i is, and where in the slots it goes.
static EngStatus
item_init (CuStreamer *s, uint32_t i, EngWeightId weight, const EngWeightSource *source, uint8_t *slots,
           uint64_t slot, EngError *error)
{
  const EngWeightDesc *d = &s->bound->program->weights[weight];
  Item *item = &s->items[i];
  uint64_t n_bytes = 0, at = 0;
  const uint8_t *from = (const uint8_t *) source->map (source->data, d->source, &n_bytes);
  item->weight = weight;
  item->desc = d;
  item->row_bytes = cu_file_row_bytes (d->type, d->n_cols);
  item->n_rows = d->n_rows * d->n_slices;
  item->rows_at_once = CHUNK_BYTES / item->row_bytes;
  const uint64_t skip = d->first_row * item->row_bytes;
  if (!from || skip > n_bytes || (cu_file_row (d, item->n_rows - 1) + 1) * item->row_bytes > n_bytes - skip)
    return cu_error (error, ENG_ERR_TRUNCATED, "weight", 0, 0, "tensor %u of the file is shorter than its shape",
                     (unsigned) d->source);
  item->data = from + skip;
  cu_place_weight (d, slots + i % s->n_slots * slot, &at, &item->on_device);
  return ENG_OK;
}

EngStatus
cu_streamer_new (EngBound *b, const EngWeightSource *source, uint8_t *memory, CuStreamer **out, EngError *error)
{
  CuStreamer *s = (CuStreamer *) calloc (1, sizeof *s);
  uint32_t n = 0;
  each_matrix (b, [&] (EngWeightId) { n++; });
  if (s)
    s->items = (Item *) calloc (n, sizeof *s->items);
  if (!s || !s->items)
    {
      free (s);
      return cu_error (error, ENG_ERR_NO_MEMORY, "bind", 0, 0, "out of memory");
    }
  const uint64_t slot = slot_bytes (b);
  s->bound = b;
  s->n_items = n;
  s->n_slots = n_slots_of (slot);
  s->n_lanes = n_lanes ();
  s->raw = memory + slot * s->n_slots;
  pthread_mutex_init (&s->lock, NULL);
  pthread_cond_init (&s->work, NULL);
  pthread_cond_init (&s->progress, NULL);
  EngStatus status = ENG_OK;
  uint32_t i = 0;
  each_matrix (b, [&] (EngWeightId w) {
    if (status == ENG_OK)
      status = item_init (s, i++, w, source, memory, slot, error);
  });
  cudaError_t e = cudaSuccess;
  if (status == ENG_OK)
    e = cudaHostAlloc ((void **) &s->host, 2 * s->n_lanes * CHUNK_BYTES, cudaHostAllocDefault);
  for (uint32_t k = 0; status == ENG_OK && k < s->n_slots && e == cudaSuccess; k++)
    e = cudaEventCreateWithFlags (&s->slot_free[k], cudaEventDisableTiming);
  for (uint32_t k = 0; status == ENG_OK && k < s->n_lanes && e == cudaSuccess; k++)
    e = lane_init (s, k);
  if (e != cudaSuccess)
    status = cu_fail (b->device, e, "preparing to send layers to the GPU", error);
  while (status == ENG_OK && s->n_threads < s->n_lanes
         && pthread_create (&s->lanes[s->n_threads].thread, NULL, lane_thread, &s->lanes[s->n_threads]) == 0)
    s->n_threads++;
  if (status == ENG_OK && s->n_threads == 0)
    status = cu_error (error, ENG_ERR_NO_MEMORY, "bind", 0, 0, "no thread could be started");
  if (status != ENG_OK)
    cu_streamer_free (&s);
  else
    *out = s;
  return status;
}

void
cu_streamer_free (CuStreamer **streamer)
{
  CuStreamer *s = *streamer;
  *streamer = NULL;
  if (!s)
    return;
  pthread_mutex_lock (&s->lock);
  s->quit = true;
  pthread_cond_broadcast (&s->work);
  pthread_mutex_unlock (&s->lock);
  for (uint32_t i = 0; i < s->n_threads; i++)
    pthread_join (s->lanes[i].thread, NULL);
  for (uint32_t i = 0; i < s->n_lanes; i++)
    {
      Lane *l = &s->lanes[i];
      if (l->stream)
        {
          cudaStreamSynchronize (l->stream);
          cudaStreamDestroy (l->stream);
        }
      for (int k = 0; k < 2; k++)
        if (l->free_again[k])
          cudaEventDestroy (l->free_again[k]);
      for (int k = 0; k < MAX_SLOTS; k++)
        if (l->full[k])
          cudaEventDestroy (l->full[k]);
    }
  for (int k = 0; k < MAX_SLOTS; k++)
    if (s->slot_free[k])
      cudaEventDestroy (s->slot_free[k]);
  cudaFreeHost (s->host);
  pthread_cond_destroy (&s->work);
  pthread_cond_destroy (&s->progress);
  pthread_mutex_destroy (&s->lock);
  free (s->items);
  free (s);
}

// ---- a run ----

void
cu_streamer_begin (CuStreamer *s)
{
  pthread_mutex_lock (&s->lock);
  for (uint32_t i = 0; i < s->n_items; i++)
    s->items[i].rows_left = s->items[i].n_rows;
  memset (s->lanes_of, 0, sizeof s->lanes_of);
  s->next_item = s->n_consumed = 0;
  s->next_row = 0;
  s->error = cudaSuccess;
  s->running = true;
  pthread_cond_broadcast (&s->work);
  pthread_mutex_unlock (&s->lock);
}

cudaError_t
cu_streamer_take (CuStreamer *s, EngWeightId weight, CuStream stream, CuWeight *w)
{
  Item *item = &s->items[s->n_consumed];
  const uint32_t slot = s->n_consumed % s->n_slots;
  if (s->n_consumed >= s->n_items || item->weight != weight)
    return cudaErrorInvalidValue;
  pthread_mutex_lock (&s->lock);
  while (item->rows_left && s->error == cudaSuccess)
    pthread_cond_wait (&s->progress, &s->lock);
  cudaError_t e = s->error;
  const unsigned lanes = s->lanes_of[slot];
  pthread_mutex_unlock (&s->lock);
  for (uint32_t i = 0; i < s->n_lanes && e == cudaSuccess; i++)
    if (lanes >> i & 1)
      e = cudaStreamWaitEvent (stream, s->lanes[i].full[slot], 0);
  *w = item->on_device;
  return e;
}

cudaError_t
cu_streamer_release (CuStreamer *s, CuStream stream)
{
  const uint32_t slot = s->n_consumed % s->n_slots;
  const cudaError_t e = cudaEventRecord (s->slot_free[slot], stream);
  pthread_mutex_lock (&s->lock);
  s->lanes_of[slot] = 0;
  s->n_consumed++;
  pthread_cond_broadcast (&s->work);
  pthread_mutex_unlock (&s->lock);
  return e;
}

void
cu_streamer_end (CuStreamer *s)
{
  pthread_mutex_lock (&s->lock);
  s->running = false;
  while (s->in_flight)
    pthread_cond_wait (&s->progress, &s->lock);
  pthread_mutex_unlock (&s->lock);
  for (uint32_t i = 0; i < s->n_lanes; i++)
    cudaStreamSynchronize (s->lanes[i].stream);
}
