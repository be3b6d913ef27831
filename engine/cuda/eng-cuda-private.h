/* SPDX-License-Identifier: Apache-2.0 */
/* Host-side objects of the CUDA module. */
#pragma once

#include "eng-cuda-sample.h"

/* cuBLAS, opened when the first large product needs it; without it products of many rows go
 * through the matrix-vector kernels, four rows at a time. */
typedef struct CuBlas CuBlas;
CuBlas *cu_blas_open (void); /* NULL when it is not there */
void cu_blas_close (CuBlas *blas);
/* y[m][n] (row stride @ldy) = beta * y + x[m][k] * w[n][k]^T; x, w bf16, y float32. @workspace: device
 * memory of cu_blas_workspace_bytes. 0 or cuBLAS's status. */
int cu_blas_product (CuBlas *blas, CuStream s, int m, int n, int k, const __nv_bfloat16 *x,
                     const __nv_bfloat16 *w, float *y, int ldy, float beta, void *workspace,
                     size_t workspace_bytes);
/* The same in float32 throughout (routers: a rounded score picks another expert). */
int cu_blas_product_f32 (CuBlas *blas, CuStream s, int m, int n, int k, const float *x,
                         const float *w, float *y, int ldy, float beta, void *workspace,
                         size_t workspace_bytes);
/* A product for each of @n_heads matrices w[h], of which x[r][h] and y[r][h] stand @x_head and @y_head apart within rows of
 * @ldx and @ldy: [n][k], or with @turned [k][n]. @type: of x and w, CUDA_R_16BF or CUDA_R_32F. */
typedef struct
{
  int n_heads, m, n, k, ldx, x_head, ldy, y_head;
  bool turned;
  const void *x, *w;
  int type;
  float *y;
} CuHeadProducts;
int cu_blas_heads (CuBlas *blas, CuStream s, const CuHeadProducts *p, void *workspace, size_t workspace_bytes);
#define CU_BLAS_WORKSPACE_BYTES ((size_t) 32 << 20)

/* As EngProducts names it. */
#define CU_LIBRARY "cuBLAS"

struct EngDevice
{
  int ordinal;
  int n_units; /* multiprocessors */
  int major, minor;
  int code_arch; /* what runs on it was compiled for */
  int pdl; /* programmatic dependent launch exists */
  uint64_t limit_bytes;
  uint64_t used_bytes;
  CuStream stream;
  CuBlas *blas;
  bool blas_tried;
  void *host[16]; /* memory given out by host_alloc, and its ends */
  uint8_t *host_end[16];
  bool lost; /* a sticky error was seen: only frees are allowed */
};

/* How a step's input is normalized on the fly: the NORM step was folded into its readers. */
typedef struct
{
  bool folded;         /* this NORM step runs inside its readers when there are few rows */
  int16_t norm_of_src; /* step index of the folded NORM that makes this step's src, or -1 */
  bool f32_needed;     /* a step other than a many-row product reads what this one writes */
  bool only_x16;       /* nor is its float form written where there are more than CU_DOZENS rows */
} CuStepPlan;

/* Sends the matrices of streamed steps during a run (eng-cuda-stream.cu). */
typedef struct CuStreamer CuStreamer;

struct EngBound
{
  EngDevice *device;
  const EngProgram *program;
  uint32_t first_step, n_steps;
  bool own_only; /* ENG_WITHOUT_LIBRARY */
  uint32_t few_rows; /* up to this many rows go through the matrix-vector kernels; at least 1 */
  bool pools;    /* outputs are those of sequences (POOL), not of rows */
  bool drops_floats; /* some step is only_x16: a part of the steps cannot run by itself over many rows */
  uint32_t n_here;   /* steps bound here */
  const uint8_t *elsewhere; /* steps of another device, or NULL */
  const uint8_t *streamed;  /* of those, what streamed runs do here, or NULL: nothing */
  CuStreamer *streamer;     /* NULL: nothing is streamed */
  CuWeight *weights;      /* [n_weights]; q == NULL where not bound here */
  CuWeight *lookups;      /* file-order twin of tied embeddings is the same planes: lookups read planes */
  const float **vectors;  /* [n_weights]: device float32 of vectors, or NULL */
  const float **rope;     /* [n_rope_tables], one behind the other */
  uint32_t n_rope;        /* floats of all of them, with what lies between */
  CuStepPlan *plans;      /* [program->n_steps] */
  uint8_t *arena;
  uint64_t arena_bytes;
};

/* Graphs of one-row runs, by what they run. */
#define CU_MAX_GRAPHS 192
typedef struct
{
  uint32_t first_step, n_steps, n_rows, n_outputs, n_sequences;
  int depth; /* cu_depth () */
  bool samples;
  cudaGraphExec_t exec;
} CuGraph;

/* Where steps work, for runs of one kind. What is never needed at the same time lies at the same place (eng-cuda-scratch.cu). */
typedef enum
{
  CU_LAYOUT_SMALL, /* up to CU_DOZENS rows */
  CU_LAYOUT_LARGE, /* more, by products of many rows */
  CU_LAYOUT_SLOW,  /* more without those */
  CU_N_LAYOUTS,
} CuLayout;
typedef struct
{
  uint32_t rows; /* at most */
  float **buffers; /* host array of device pointers, [n_buffers] */
  float *kv_rows;  /* [rows, 2 * widest n_head_kv * width]: k and v before they enter the cache */
  float *glu_rows; /* gate and up of a prefill, or of some of its columns */
  uint64_t glu_floats;
  float *scores;   /* router scores [rows, n_expert] */
  __nv_bfloat16 *x16, *h16; /* activations of prefill products: GATE_UP makes the latter from the former */
  __nv_bfloat16 *w16; /* an expanded matrix, or some of its rows */
  uint64_t w16_elements;
  void *workspace;
  /* experts of many rows, slots sorted by expert: inputs, gate and up, their product, outputs */
  __nv_bfloat16 *slot_x16, *slot_h16;
  float *slot_gate, *slot_up, *slot_y;
  uint8_t *slot_x8; /* inputs of few slots, cu_dozens_place_tiles () */
} CuScratch;

struct EngState : CuScratch /* of the run at hand */
{
  CuScratch layouts[CU_N_LAYOUTS];
  EngBound *bound;
  EngStateOptions options;
  uint8_t *arena;
  uint64_t arena_bytes;
  /* device */
  uint8_t *meta;
  uint64_t meta_bytes;
  CuMeta view;
  __half **k, **v; /* [n_groups]: the group's layers, of which only first_layer … + n_layers are here */
  float **recurrent; /* the same of groups with a recurrent state */
  uint32_t first_layer[ENG_CUDA_MAX_GROUPS], n_layers[ENG_CUDA_MAX_GROUPS];
  /* streamed layers keep their state elsewhere: room for one layer's at a time, two in turn, each as k and v; a recurrent
   * state stands at k */
  __half *guest_k[2], *guest_v[2];
  uint8_t *guest_host[2]; /* pinned, CU_GUEST_BLOCKS parts of blocks each: to here, and from here */
  cudaEvent_t guest_moved[2]; /* those copies are done */
  float *logits;   /* [cu_max_outputs, n_output] */
  float *pooled[2]; /* POOL: [max_sequences, widest] before and behind a head */
  uint8_t *x8; /* activations of products of up to CU_DOZENS rows, cu_dozens_place () */
  float *partial;
  float2 *angles; /* [rows of sequences of their own, n_rope] */
  int *counters;
  float *route_scores; /* zero but while a router runs */
  CuSampling *sampling; /* NULL: the vocabulary is too large */
  unsigned long long *sample_groups;
  int *slot_row;   /* experts of many rows: [rows * n_used] row of each sorted slot */
  CuTile *tiles;    /* of grouped products, in the order of the experts */
  int *slot_expert; /* [rows * n_used] expert of each sorted slot */
  int *slot_place; /* [rows, n_used] sorted place of each choice */
  int *slot_first; /* [experts + 1] sorted place of each expert's first choice */
  /* host, pinned */
  uint8_t *meta_host;
  float *logits_host;
  float *io_host; /* one residual buffer's worth, for imports and exports */
  int *first_host; /* slot_first, for products that are launched one an expert */
  CuSampling *sampling_host;
  cudaEvent_t sampled[2]; /* every other sample has arrived */
  CuGraph graphs[CU_MAX_GRAPHS];
  uint32_t n_graphs;
};

/* Parts of blocks that cross to and from guest keys at a time. */
#define CU_GUEST_BLOCKS 40

/* Blocks of a streamed layer on their way back to who keeps them. */
typedef struct
{
  uint32_t i_step, n;
  uint32_t blocks[CU_GUEST_BLOCKS];
} CuGuestExport;

static inline bool
cu_is_streamed (const EngBound *b, uint32_t i)
{
  return b->streamed && b->streamed[i];
}

/* Numbers of a layer's part of a block of a recurrent group: whole cache lines, as on the CPU. */
static inline uint64_t
cu_recurrent_floats (const EngGroupDesc *g)
{
  return ((uint64_t) g->n_floats + 15) / 16 * 16;
}

/* Group of the state that the step reads and writes, and which of its layers; false: none. */
static inline bool
cu_state_of (const EngStep *s, uint32_t *group, uint32_t *layer)
{
  switch (s->kind)
    {
    case ENG_STEP_QKV:
      *group = s->u.qkv.group;
      *layer = s->u.qkv.i_layer_in_group;
      return true;
    case ENG_STEP_LATENT:
      *group = s->u.latent.group;
      *layer = s->u.latent.i_layer_in_group;
      return true;
    case ENG_STEP_DELTA:
    case ENG_STEP_CONV:
      *group = s->u.delta.group;
      *layer = s->u.delta.i_layer_in_group;
      return true;
    default:
      return false;
    }
}

/* Whether the layer of a QKV step reads another layer's keys and values. */
static inline bool
cu_shares_keys (const EngStep *s)
{
  return s->kind == ENG_STEP_QKV && s->w[1] == ENG_WEIGHT_NONE;
}

static inline uint64_t
cu_max_outputs (const EngBound *b, const EngStateOptions *o)
{
  return b->pools ? o->max_sequences : o->max_outputs;
}

/* Entries of a sequence's table in group @g. */
static inline uint32_t
cu_table_entries (const EngStateOptions *o, uint32_t g)
{
  return o->n_blocks[g] ? (o->max_positions + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK : 0;
}

static inline bool
cu_is_here (const EngBound *b, uint32_t i)
{
  return i >= b->first_step && i < b->first_step + b->n_steps && !(b->elsewhere && b->elsewhere[i]);
}

/* EngStatus of a CUDA error, with words; marks the device lost when the error is sticky. */
EngStatus cu_fail (EngDevice *device, cudaError_t e, const char *what, EngError *error);
EngStatus cu_error (EngError *error, EngStatus code, const char *field, uint64_t needed,
                    uint64_t available, const char *format, ...)
    __attribute__ ((format (printf, 6, 7)));

/* Rows of a weight, slices counted through: where row @r stands in the file behind the first one, and how many stand there
 * together from it on. */
static inline uint64_t
cu_file_row (const EngWeightDesc *d, uint64_t r)
{
  return d->slice_rows ? r / d->n_rows * d->slice_rows + r % d->n_rows : r;
}
static inline uint64_t
cu_rows_together (const EngWeightDesc *d, uint64_t r)
{
  return d->slice_rows ? d->n_rows - r % d->n_rows : d->n_rows * d->n_slices - r;
}

/* Bytes of a row in the file; 0: no type for a GPU. */
uint64_t cu_file_row_bytes (int type, uint64_t n_cols);
/* Lay a matrix out at *@at behind @base (NULL: sizes only), which moves on. */
void cu_place_weight (const EngWeightDesc *d, uint8_t *base, uint64_t *at, CuWeight *w);

/* A bound without memory: sizes are known, pointers are offsets from NULL. Asks nothing of a card; of @device what it is. @used_out: whether
 * each weight is bound, to be freed. */
EngStatus cu_bound_new (EngDevice *device, const EngProgram *p, const EngBindOptions *o, bool **used_out, EngBound **out, EngError *error);

/* Which steps write no floats: plans, when everything else of them is known. */
EngStatus cu_plan_x16 (EngBound *, EngError *);
/* Places of a layout from @base on (NULL: sizes only) to *@out, whose buffers is an array already; bytes that takes, UINT64_MAX: out of
 * memory. */
uint64_t cu_scratch_place (const EngBound *, const EngStateOptions *, CuLayout, uint8_t *base, CuScratch *out);
/* From now on steps work there. */
static inline void
cu_use_layout (EngState *s, CuLayout layout)
{
  *(CuScratch *) s = s->layouts[layout];
}
/* The most slots of experts that go by the kernels of few rows. */
static inline uint64_t
cu_few_slots (uint64_t slots, uint64_t n_expert)
{
  return slots < CU_DOZENS_OF_EXPERT * n_expert ? slots : CU_DOZENS_OF_EXPERT * n_expert;
}

/* Whether the bound's streamed steps can be; device bytes that takes, 0: nothing to stream. */
bool cu_streamer_can (const EngBound *);
uint64_t cu_streamer_bytes (const EngBound *);
/* @memory: that many device bytes, borrowed. The source outlives it. */
EngStatus cu_streamer_new (EngBound *, const EngWeightSource *, uint8_t *memory, CuStreamer **, EngError *);
void cu_streamer_free (CuStreamer **);
/* A run: begin, then take and release every matrix in the order of the steps (QKV q, k and, unless keys are values, v; gate,
 * up; experts gate, up, down), end; end also in the middle. take: work put on @stream from then on finds the matrix in *@w, until
 * release. */
void cu_streamer_begin (CuStreamer *);
cudaError_t cu_streamer_take (CuStreamer *, EngWeightId, CuStream stream, CuWeight *w);
cudaError_t cu_streamer_release (CuStreamer *, CuStream stream);
void cu_streamer_end (CuStreamer *);

EngStatus cu_bind (EngDevice *, const EngProgram *, const EngWeightSource *, const EngBindOptions *,
                   EngBound **, EngError *);
void cu_unbind (EngBound **);
/* Whether [memory, memory + bytes) came from host_alloc. */
bool cu_is_host (const EngDevice *, const void *memory, uint64_t bytes);
EngStatus cu_plan (EngDevice *, const EngProgram *, const EngBindOptions *, const EngStateOptions *,
                   EngMemoryPlan *, EngError *);
EngStatus cu_state_new (EngBound *, const EngStateOptions *, EngState **, EngError *);
void cu_state_free (EngState **);
EngStatus cu_run (EngBound *, EngState *, const EngBatch *, const EngRun *, EngError *);
EngStatus cu_sample (EngBound *, EngState *, const EngBatch *, const EngSampling *, int *cancel, EngError *);
EngStatus cu_copy_block (EngBound *, EngState *, uint32_t, uint32_t, uint32_t, EngError *);
uint64_t cu_block_bytes (EngBound *, EngState *, uint32_t);
EngStatus cu_read_block (EngBound *, EngState *, uint32_t, uint32_t, void *, EngError *);
EngStatus cu_write_block (EngBound *, EngState *, uint32_t, uint32_t, const void *, EngError *);
/* Device bytes of a state, without making it. */
EngStatus cu_state_bytes (const EngBound *, const EngStateOptions *, EngMemoryPlan *, EngError *);
