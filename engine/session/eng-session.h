/* SPDX-License-Identifier: Apache-2.0 */
/* A model at work: opened, placed on devices, with room for conversations, its tokenizer and its template.
 *
 * One owner thread at a time; cancel flags may be set from any. What a session returns by pointer is borrowed
 * until the next call on it. */
#pragma once

#include "eng-json.h"
#include "eng-model.h"
#include "eng-runner.h"
#include "eng-runtime.h"
#include "eng-sampler.h"
#include "eng-tokenizer.h"

/* EngSessionOptions.disabled: long prompts are not computed wholly on the GPU, with the layers of main memory sent along. */
#define ENG_SESSION_WITHOUT_STREAMING ((uint64_t) 1)
/* Tokens are sampled by the CPU, from logits that come to it. */
#define ENG_SESSION_WITHOUT_DEVICE_SAMPLING ((uint64_t) 2)

typedef struct EngSession EngSession;

/* Zero means "choose" everywhere; eng_session_options_init () sets the few that differ. */
typedef struct
{
  uint64_t n_ctx;          /* tokens of one conversation, or of what an encoder reads at once; 0: what the model was
                              made for, at most 8192 of a conversation, less if memory does not allow */
  const char *device;      /* as eng_device_list_choose (); NULL = "auto" */
  uint32_t n_threads;
  uint64_t kernel_mask;    /* EngDeviceOptions.kernel_mask of the CPU: 0 but to measure */
  int32_t n_gpu_layers;    /* -1 = as many as fit */
  uint32_t n_cpu_experts;  /* experts of the first N layers stay with the CPU; UINT32_MAX: of all. 0 = choose */
  uint64_t gpu_memory_bytes;
  EngType k_type, v_type;  /* ENG_TYPE_NONE = F16 (float32 when exact) */
  EngType load_as;         /* ENG_TYPE_NONE = as the file stores them */
  bool force;              /* load although it seems not to fit */
  bool exact;              /* reference kernels with float activations */
  bool no_mmap;
  bool without_text;       /* neither tokenizer nor template: for ids alone */
  uint64_t disabled;       /* optimizations off: ENG_SESSION_WITHOUT_*, and see EngBindOptions */
  uint32_t max_sequences;  /* conversations kept; 0 = 4 */
  bool all_full;           /* room for every sequence to be as long as the context; else they share that room */
  uint32_t max_rows;       /* of a batch; 0 = 512, on a GPU with room 2048 */
  uint32_t max_outputs;    /* rows whose logits are wanted at once; 0 = 16 */
  bool (*progress) (void *data, uint64_t done_bytes, uint64_t total_bytes); /* false cancels */
  void *progress_data;
} EngSessionOptions;
void eng_session_options_init (EngSessionOptions *options);

/* What loading takes. */
typedef struct
{
  uint32_t n_ctx;
  uint64_t weight_bytes, kv_bytes, scratch_bytes; /* all devices */
  uint64_t host_bytes;      /* of these on the CPU, mapped file included */
  uint64_t available_bytes; /* host memory free now */
  char device[160];         /* "CPU · AVX2" */
} EngSessionPlan;

/* ENG_ERR_TOO_LARGE (needed, available in bytes; load again with force), and what eng_model_open (), the tokenizer
 * and the devices give. */
EngStatus eng_session_new (EngRuntime *runtime, const char *path, const EngSessionOptions *options,
                           EngSession **session, EngError *error);
void eng_session_free (EngSession **session);

/* Header only: the plan of what eng_session_new would do, and the model (may be NULL; unref it). Does not fail with
 * ENG_ERR_TOO_LARGE. */
EngStatus eng_session_plan (EngRuntime *runtime, const char *path, const EngSessionOptions *options,
                            EngSessionPlan *plan, EngModel **model, EngError *error);

const EngModel *eng_session_get_model (const EngSession *session);
const EngSessionPlan *eng_session_get_plan (const EngSession *session);
EngRunner *eng_session_get_runner (EngSession *session);
/* NULL when loaded without text. */
const EngTokenizer *eng_session_get_tokenizer (const EngSession *session);

/* --- prompts --- */

/* Messages or raw text. Strings and trees are borrowed for the call. */
typedef struct
{
  const EngJson *messages; /* array of {"role", "content", …}; NULL: raw text */
  const EngJson *vars;     /* object of further variables for the template, or NULL */
  const char *text;        /* raw prompt; control tokens are not recognized in it … */
  size_t text_bytes;
  bool parse_special;      /* … unless this is set: the person at the terminal writes the whole prompt */
  const char *behind;      /* text that stands behind the rendered prompt (an answer to go on with), or NULL */
  size_t behind_bytes;
} EngPrompt;

/* Ids of @prompt appended to @ids; BOS in front where the file wants it and the template has not written it.
 * ENG_ERR_NOT_FOUND: messages, but the file has no template. ENG_ERR_TEMPLATE and the template's other
 * errors, with line. */
EngStatus eng_session_encode (EngSession *session, const EngPrompt *prompt, EngTokenBuffer *ids,
                              EngError *error);

/* --- generating --- */

typedef enum
{
  ENG_STOP_EOG,     /* the model ended its turn */
  ENG_STOP_LENGTH,  /* max_tokens */
  ENG_STOP_CONTEXT, /* the context is full */
  ENG_STOP_CANCEL,
  ENG_STOP_STRING, /* one of the stop strings */
} EngStopReason;
/* "eog", "length", "context", "cancel", "stop". */
const char *eng_stop_reason_name (EngStopReason reason);

#define ENG_MAX_STOP_STRINGS 16u
#define ENG_MAX_STOP_BYTES 256u

typedef struct
{
  EngPrompt prompt;
  const char *conversation; /* key whose cache is used and kept; NULL = nobody's */
  uint32_t max_tokens;      /* 0 = until the context is full */
  const EngString *stops;   /* not empty, up to ENG_MAX_STOP_BYTES each */
  uint32_t n_stops;
  bool ignore_eog;          /* go on past end-of-turn ids (speed tests) */
  EngSamplerOptions sampling;
  /* Tokens of the prompt done; may be NULL. */
  bool (*progress) (void *data, uint32_t n_done, uint32_t n);
  /* Whole characters, never part of a stop string; n_bytes may be 0 (a token was made, its text is held back).
   * May be NULL. False ends the generation as cancelled. */
  bool (*on_text) (void *data, const char *text, size_t n_bytes, uint32_t n_generated,
                   uint32_t n_context);
  void *data;
  ENG_ATOMIC_FLAG *cancel; /* may be NULL */
} EngGenerateRequest;

typedef struct
{
  EngStopReason reason;
  uint32_t n_prompt, n_cached, n_generated;
  uint32_t n_context; /* positions used now */
  uint64_t time_to_first_token_us; /* from the call; 0 if there was none */
  uint64_t prefill_us, decode_us;
  const int32_t *tokens; /* [n_generated] without the end-of-turn id; borrowed until the next call */
} EngGenerateResult;

/* ENG_ERR_CONTEXT_FULL: the prompt alone has needed tokens, available is the context. Being cancelled is no
 * error. After warm-up the loop of decoding allocates nothing. */
EngStatus eng_session_generate (EngSession *session, const EngGenerateRequest *request,
                                EngGenerateResult *result, EngError *error);

/* Mean log-likelihood per token of each of @n texts behind @prompt: out [n], natural logarithm. An empty text gives 0. */
EngStatus eng_session_score (EngSession *session, const EngPrompt *prompt, const EngString *texts,
                             uint32_t n, ENG_ATOMIC_FLAG *cancel, float *out, EngError *error);

/* Forget what is kept of @conversation. */
void eng_session_forget (EngSession *session, const char *conversation);
