/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands: name, function, one line of help. A new one is a line here, a file cmd-<name>.c
 * and its line in meson.build.
 *
 * The functions are declared weak, so that a subcommand whose file is not in this build is simply not there. */
#pragma once

#define ENG_TOOL_COMMANDS(X)                                                                        \
  X (inspect, "metadata of a model file, its memory plan; --devices lists devices")                 \
  X (tokenize, "text to token ids")                                                                 \
  X (template, "render a chat template")                                                            \
  X (generate, "continue a prompt or answer messages")                                              \
  X (logits, "raw logits of every position, as .npy")                                               \
  X (bench, "prefill and decode speed")                                                             \
  X (perplexity, "perplexity of a text; KL against a reference model")                              \
  X (imatrix, "importance of weights over a text")                                                  \
  X (quantize, "make a smaller file")                                                               \
  X (convert, "model folder of a hub to GGUF")                                                      \
  X (embed, "embedding vectors of texts")                                                           \
  X (serve, "speak the application's protocol on a socket")

#define X(name, help) int eng_cmd_##name (int argc, char **argv) __attribute__ ((weak));
ENG_TOOL_COMMANDS (X)
#undef X
