/* SPDX-License-Identifier: Apache-2.0 */
/* A double of the engine that speaks eng-wire.h and does what a model's path and a question's words
 * say. It runs wherever the real one does: on a thread (fake_engine_serve) or as a program
 * (fake-engine serve --fd N).
 *
 * LOAD, by what the path contains:
 *   missing  FAILED not-found          large  FAILED too-large, unless forced
 *   slow     progress over 0.4 s       bare   no chat template
 *   crash    the connection ends       (else) loads at once
 * GENERATE, by the last paragraph of the last message (or prompt); its words:
 *   count N MS    N words "w1 w2 …", one each MS milliseconds (which may be 0)
 *   think         "<think>", some reasoning, "</think>", an answer
 *   die           the connection ends after three words
 *   full          FAILED context-full, 9000 of 8192
 *   junk          a frame that breaks the protocol
 *   length        stops at the limit
 *   (else)        the request's own messages as JSON, so that a test sees what was asked
 * COUNT answers with the number of bytes of all contents; INSPECT as LOAD would; EMBED with vectors of
 * length 1 along the first axis, along the second where "device" is "cpu"; the fourth number is "threads". */
#pragma once

#include "eng-status.h"

EngStatus fake_engine_serve (int fd, EngError *error);
