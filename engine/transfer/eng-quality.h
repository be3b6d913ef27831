/* SPDX-License-Identifier: Apache-2.0 */
/* What was measured of a quantized model, kept in its file: keys "inglenook.quality.*", all of them or none.
 *
 *   .perplexity .perplexity_error .source_perplexity .mean_kl .kl_99 .same_top   float32, as EngQuality
 *   .positions .chunk                                                            uint32
 *   .text .source                                                                string: names of the text and of the model that it was measured against
 */
#pragma once

#include "eng-gguf-writer.h"
#include "eng-json.h"
#include "eng-perplexity.h"

#define ENG_QUALITY_NAME_BYTES 256u

typedef struct
{
  EngQuality quality;
  char text[ENG_QUALITY_NAME_BYTES], source[ENG_QUALITY_NAME_BYTES];
} EngQualityRecord;

/* Before the header is written with its final lengths, and again with what came out. Names longer than
 * ENG_QUALITY_NAME_BYTES are cut. Errors of the writer. */
EngStatus eng_quality_store (EngGgufWriter *writer, const EngQualityRecord *record, EngError *error);

/* False: @gguf has none, or something that cannot be. */
bool eng_quality_read (const EngGguf *gguf, EngQualityRecord *record);

/* Whether @key is one of ours that describes one file alone, so that a file made of it must not inherit it. */
bool eng_quality_is_key (EngGgufString key);

/* A member "quality" of the object at hand, with what the file has; nothing where it has none. */
void eng_quality_write_member (EngJsonWriter *w, const EngGguf *gguf);

/* An object: "perplexity", "perplexity_error", "source_perplexity", "mean_kl", "kl_99", "same_top", "positions", "chunk",
 * "text", "source". */
void eng_quality_write_json (EngJsonWriter *w, const EngQualityRecord *record);
