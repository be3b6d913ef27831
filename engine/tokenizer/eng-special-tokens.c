/* SPDX-License-Identifier: Apache-2.0 */
/* Which tokens steer the model rather than spell text, and which of them end its turn.
 *
 * Files should say the first by token type and the second by eos/eot/eom ids; many in circulation
 * do neither, so the names that model families publish are known here. */
#include <string.h>

#include "eng-error.h"
#include "eng-tokenizer-private.h"

/* Steer the model wherever they occur, whatever type a converter gave them. */
static const char *const turn_markers[] = {
  "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|endoftext|>", /* ChatML, Qwen, Phi 4 */
  "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
  "<|eot_id|>", "<|eom_id|>", "<|python_tag|>", /* Llama 3 */
  "<|begin_of_turn|>", "<|end_of_turn|>", "<|header_start|>", "<|header_end|>", "<|eot|>",
  "<|eom|>", /* Llama 4 */
  "<start_of_turn>", "<end_of_turn>", "<|turn>", "<turn|>", "<|tool_response>", /* Gemma */
  "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "<|end|>", /* Phi 3, GLM, Zephyr */
  "[gMASK]", "<sop>", "<eop>", /* GLM */
  "<|start|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>", /* gpt-oss */
  "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>",
  "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁outputs▁begin｜>",
  "<｜tool▁outputs▁end｜>", /* DeepSeek */
  "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]",
  "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", /* Mistral */
  "<|start_of_role|>", "<|end_of_role|>", "<|end_of_utterance|>", "<end_of_utterance>", /* Granite */
  "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", /* Command R */
  "[EOT]", "[EOS]", "[e~[",
};

/* End a turn, if the token counts as control. */
static const char *const turn_ends[] = {
  "<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>",
  "<|eom|>", "<|end_of_turn|>", "<end_of_turn>", "<turn|>", "<|tool_response>", "<|end|>",
  "<|return|>", "<|call|>", "<|calls|>", "<|flush|>", "<｜end▁of▁sentence｜>", "<EOT>", "_<EOT>",
  "[EOT]", "[EOS]", "<eos>", "</s>", "<end_of_utterance>", "<|END_OF_TURN_TOKEN|>", "[e~[",
};

/* In GLM's template a turn ends where the next role begins. */
static const char *const turn_ends_glm[] = { "<|user|>", "<|observation|>" };

static bool
is_one_of (const EngString *s, const char *const *list, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (strlen (list[i]) == s->n_bytes && memcmp (list[i], s->text, s->n_bytes) == 0)
      return true;
  return false;
}

#define IS_ONE_OF(s, list) is_one_of (s, list, sizeof (list) / sizeof (list)[0])

void
eng_special_tokens_mark_control (EngTokenizer *tok)
{
  for (size_t i = 0; i < tok->n_tokens; i++)
    {
      const EngString *name = &tok->names[i];
      bool control = tok->types[i] == ENG_TOKEN_CONTROL || tok->types[i] == ENG_TOKEN_UNKNOWN;
      if (!control && tok->types[i] != ENG_TOKEN_BYTE && name->n_bytes > 3
          && (name->text[0] == '<' || name->text[0] == '['))
        control = IS_ONE_OF (name, turn_markers);
      if (control)
        tok->flags[i] |= ENG_TOKEN_IS_CONTROL;
    }
}

static bool
has (const EngTokenizer *tok, const char *name)
{
  return eng_token_map_find (&tok->by_name, name, strlen (name)) >= 0;
}

static EngStatus
collect_ends (EngTokenizer *tok, EngError *error)
{
  size_t n = 0;
  for (size_t i = 0; i < tok->n_tokens; i++)
    n += (tok->flags[i] & ENG_TOKEN_IS_END) != 0;
  tok->end_ids = eng_arena_alloc_array (&tok->arena, n, sizeof *tok->end_ids);
  if (!tok->end_ids)
    return eng_tokenizer_no_memory (error);
  for (size_t i = 0; i < tok->n_tokens; i++)
    if (tok->flags[i] & ENG_TOKEN_IS_END)
      tok->end_ids[tok->n_end_ids++] = (int32_t) i;
  if (n == 0)
    eng_log (ENG_LOG_WARNING, "the vocabulary has no token that ends an answer: only the length "
                              "limit will");
  return ENG_OK;
}

EngStatus
eng_special_tokens_mark_ends (EngTokenizer *tok, const EngTokenizerSpec *spec, EngError *error)
{
  /* gpt-oss and Solar end only a message with <|end|>, and the turn with one of the others. */
  bool end_is_inner = (has (tok, "<|return|>") && has (tok, "<|call|>"))
                      || (has (tok, "<|flush|>") && has (tok, "<|calls|>"));
  bool glm = has (tok, "[gMASK]") && has (tok, "<|observation|>");
  for (size_t i = 0; i < tok->n_tokens; i++)
    {
      const EngString *name = &tok->names[i];
      if (!(tok->flags[i] & ENG_TOKEN_IS_CONTROL) || tok->types[i] == ENG_TOKEN_UNKNOWN)
        continue;
      bool ends = IS_ONE_OF (name, turn_ends) || (glm && IS_ONE_OF (name, turn_ends_glm));
      if (ends && !(end_is_inner && IS_ONE_OF (name, ((const char *const[]) { "<|end|>" }))))
        tok->flags[i] |= ENG_TOKEN_IS_END;
    }
  const int32_t own[] = { spec->eos, spec->eot, spec->eom };
  for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
    if (own[i] >= 0)
      tok->flags[own[i]] |= ENG_TOKEN_IS_END;
  for (size_t i = 0; i < spec->n_end_ids; i++)
    tok->flags[spec->end_ids[i]] |= ENG_TOKEN_IS_END;
  return collect_ends (tok, error);
}
