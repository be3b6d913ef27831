/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol between the application and the engine: length-checked frames over a stream socket,
 * the same whether the engine runs on a thread of the window's process (a socket pair) or in a
 * child (`inglenook-engine serve --fd N`). Both ends treat the other as hostile: a frame that breaks
 * a rule below ends the connection.
 *
 * Frame: 16-byte header, little-endian, then @length bytes.
 *   uint16 magic   ENG_WIRE_MAGIC
 *   uint16 type    EngWireType
 *   uint32 id      chosen by the application for a request, repeated in its answers; never 0
 *   uint32 length  of the payload, <= ENG_WIRE_MAX_PAYLOAD
 *   uint32 zero
 * The payload is one JSON object in UTF-8; EMBEDDINGS alone is binary (see below). Unknown members
 * are ignored, absent ones take their default, so that either end can be newer.
 *
 * Requests run one after another in order of priority, then of arrival; INSPECT is served between two
 * tokens of an answer, and CANCEL is looked at at once. Each request is answered by any number of PROGRESS and TOKENS frames and then by exactly
 * one of DONE, EMBEDDINGS or FAILED. Sizes and offsets are JSON numbers below 2^53.
 *
 * The engine never lets text from @messages become a control token: only the model file's template
 * can write those. */
#pragma once

#include <stdint.h>

#define ENG_WIRE_MAGIC 0x4e49u /* "IN" */
#define ENG_WIRE_VERSION 1u
#define ENG_WIRE_HEADER_BYTES 16u
#define ENG_WIRE_MAX_PAYLOAD (64u * 1024u * 1024u)

typedef enum
{
  /* --- requests --- */

  /* {"version": 1} → DONE {"version", "engine": "0.1.0", "devices": [{"index", "kind", "name", "api",
   * "memory_bytes", "free_bytes", "score", "status", "problem"}]}. First frame of a connection. */
  ENG_WIRE_HELLO = 1,

  /* {"path", "context": tokens or 0 = choose, "device": "auto|cpu|cuda[:N]", "threads": 0,
   *  "gpu_layers": -1, "cpu_experts": 0, "gpu_memory": bytes, "kv": "f16[,f16]", "load_as": "",
   *  "force": false}. Replaces the chat model. PROGRESS stage "load". FAILED too-large carries needed and
   * available bytes: send again with "force" to load anyway.
   * DONE {"name", "architecture", "parameters", "file_bytes", "type": "Q4_1", "context", "context_train",
   *  "has_template", "device": "CPU · AVX2", "memory": {"weights", "kv", "scratch",
   *  "host": of these on the CPU, "available": host memory free}, "load_us"}. Loading what is loaded already with the same options is answered at once. */
  ENG_WIRE_LOAD = 2,

  /* {} → DONE {}. Frees the chat model. */
  ENG_WIRE_UNLOAD = 3,

  /* {"conversation": key (any string; turns of one conversation reuse its cache),
   *  "messages": [{"role", "content", …}] or "prompt": raw text (completion without a template),
   *  "continue": text of an answer cut off: generation goes on behind it,
   *  "vars": {"tools", "enable_thinking", …} for the template,
   *  "max_tokens": 0 = until the context is full, "stop": [strings],
   *  "sampling": {"greedy": false, "temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05,
   *               "repetition_penalty": 1.0, "seed": -1 = random}}.
   * PROGRESS stage "prefill" (tokens; done counts reused ones), then TOKENS.
   * FAILED context-full: needed = prompt's tokens, available = context. No model: not-found.
   * DONE {"stop_reason": "eog|length|context|cancel|stop", "n_prompt", "n_cached", "n_generated",
   *  "n_context": used of the context now, "context", "time_to_first_token_us", "prefill_us", "decode_us",
   *  "seed"}. A cancelled request ends with DONE and stop_reason "cancel". */
  ENG_WIRE_GENERATE = 4,

  /* {"messages"… as GENERATE} or {"text"} → DONE {"n_tokens", "context"}. Needs the chat model. */
  ENG_WIRE_COUNT = 5,

  /* {"path"} → DONE {"architecture", "licence": "" = the file does not say, "name", "parameters", "file_bytes", "type", "context_train",
   *  "has_template", "is_encoder", "device", "memory": plan at "context" (default 4096), "template":
   *  {"hash", "foreign"} as eng_template_write_origin ()}; options as LOAD's; with
   *  "sizes": ["Q4_K_M", …] too {"sizes": {"Q4_K_M": bytes of the file as that, …}} for the names that are known;
   * FAILED as LOAD would, but for too-large. Header only: what stands behind it may be a hole. */
  ENG_WIRE_INSPECT = 6,

  /* {"path": embedding model (file or folder), "texts": [strings], "kind": "document|query",
   *  "priority": "question|index", "context": most tokens at once, "device", "threads", "load_as": as LOAD's} → EMBEDDINGS. A
   * longer text is read in parts and gets the mean of their vectors: nothing of it is left out. The model stays loaded beside the
   * chat model. Where the device is not there, or full, the CPU makes the vectors. */
  ENG_WIRE_EMBED = 7,

  /* {"target": id of a request}: that request ends soon (within one layer). No answer of its own. */
  ENG_WIRE_CANCEL = 8,

  /* {} → the service frees everything and ends. No answer. */
  ENG_WIRE_SHUTDOWN = 9,

  /* {"messages", "candidates": [texts]} → DONE {"log_likelihood": [mean per token of each text]}:
   * scores texts under the chat model (reranking, answerability). */
  ENG_WIRE_SCORE = 10,

  /* --- answers --- */

  /* {"stage": "load|prefill|embed", "done", "total"}: at most 20 a second. */
  ENG_WIRE_PROGRESS = 64,

  /* {"text": whole characters only, "n_tokens": generated so far, "n_context", "us": since the first token}.
   * May join several tokens. */
  ENG_WIRE_TOKENS = 65,

  ENG_WIRE_DONE = 66,

  /* {"code": EngStatus number, "status": its name, "text", "field", "offset" (absent = none), "line",
   *  "needed", "available"}. */
  ENG_WIRE_FAILED = 67,

  /* Binary: uint32 n_texts, uint32 width, then float32 [n_texts][width], each of length 1. */
  ENG_WIRE_EMBEDDINGS = 68,
} EngWireType;

/* Decoded header. */
typedef struct
{
  uint16_t type;
  uint32_t id;
  uint32_t length;
} EngWireHeader;

/* Write @header to @bytes. */
static inline void
eng_wire_encode_header (const EngWireHeader *header, uint8_t bytes[ENG_WIRE_HEADER_BYTES])
{
  const uint32_t words[4] = { ENG_WIRE_MAGIC | (uint32_t) header->type << 16, header->id,
                              header->length, 0 };
  for (unsigned i = 0; i < ENG_WIRE_HEADER_BYTES; i++)
    bytes[i] = (uint8_t) (words[i / 4] >> (i % 4 * 8));
}

/* Read @bytes to @header; 0 if they break a rule of the frame (end the connection). */
static inline int
eng_wire_decode_header (const uint8_t bytes[ENG_WIRE_HEADER_BYTES], EngWireHeader *header)
{
  uint32_t words[4] = { 0 };
  for (unsigned i = 0; i < ENG_WIRE_HEADER_BYTES; i++)
    words[i / 4] |= (uint32_t) bytes[i] << (i % 4 * 8);
  header->type = (uint16_t) (words[0] >> 16);
  header->id = words[1];
  header->length = words[2];
  return (words[0] & 0xffff) == ENG_WIRE_MAGIC && words[3] == 0 && header->id != 0
         && header->length <= ENG_WIRE_MAX_PAYLOAD;
}
