/* SPDX-License-Identifier: Apache-2.0 */
/* Will it run here? What the engine's plan of a model says, in three words and with the numbers. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  ING_FIT_UNKNOWN,
  ING_FIT_GPU,      /* all but a tenth of it on graphics cards */
  ING_FIT_SPLIT,    /* part on a graphics card, the rest on the processor */
  ING_FIT_CPU,      /* on the processor */
  ING_FIT_TOO_LARGE /* not in the memory that is free now */
} IngFitWord;

typedef struct
{
  IngFitWord word;
  guint64 weights, kv, scratch; /* bytes, all devices */
  guint64 host;                 /* of these in main memory */
  guint64 free_host;            /* main memory free now */
  guint context;                /* tokens that kv is for */
} IngFit;

/* @json: the engine's answer to INSPECT. UNKNOWN if it has no plan. */
void ing_fit_from_json (IngFit *fit, const char *json);
/* "Fits on the graphics card", "Runs split", …; translated. */
const char *ing_fit_get_words (const IngFit *fit);
/* "Needs 3.2 GB (weights 2.5 GB, 8,192 tokens of context 0.5 GB, work 0.2 GB); 12 GB of memory are free". Caller frees. */
char *ing_fit_dup_numbers (const IngFit *fit);

/* What the engine says of a model file. Strings never NULL, "" = not said. */
typedef struct
{
  char *architecture, *type, *licence;
  guint64 parameters, file_bytes;
  guint context_train; /* tokens; 0 = not said */
  gboolean has_template, is_encoder;
  char *template_hash;    /* of the template's text, 16 hexadecimal digits */
  char *template_foreign; /* a sign it writes that the vocabulary has no token for: it may be another model's */
  GHashTable *sizes; /* type to shrink to (ing_transfers_get_types()) → guint64 *, bytes of the file as that */
  IngFit fit;
  /* As measured when the file was made of @quality_source (a file's name), on a short text; 0 positions = it was not. */
  guint quality_positions;
  double perplexity, source_perplexity;
  double mean_kl; /* nats */
  double same_top; /* share of positions where both think the same word likeliest */
  char *quality_source;
} IngModelFacts;

/* Fills @facts; _clear() frees what it holds. */
void ing_model_facts_from_json (IngModelFacts *facts, const char *json);
/* Bytes of the file as @type; 0 = not known. */
guint64 ing_model_facts_get_size (const IngModelFacts *facts, const char *type);
void ing_model_facts_clear (IngModelFacts *facts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (IngModelFacts, ing_model_facts_clear)

/* Graphics cards that can be used, of @devices (ing_generation_service_get_devices(); NULL = none): pairs of the name to
 * load with ("cuda:0") and the card's, NULL-terminated. Caller frees. */
char **ing_fit_list_gpus (const char *devices);

G_END_DECLS
