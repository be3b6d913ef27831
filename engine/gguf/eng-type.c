/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-type.h"

#include <stddef.h>
#include <strings.h>

#include "eng-checked.h"

static const EngTypeInfo infos[] = {
  [ENG_TYPE_F32] = { "F32", 1, 4, true },
  [ENG_TYPE_F16] = { "F16", 1, 2, true },
  [ENG_TYPE_Q4_0] = { "Q4_0", 32, 18, true },
  [ENG_TYPE_Q4_1] = { "Q4_1", 32, 20, true },
  [ENG_TYPE_Q5_0] = { "Q5_0", 32, 22, true },
  [ENG_TYPE_Q5_1] = { "Q5_1", 32, 24, true },
  [ENG_TYPE_Q8_0] = { "Q8_0", 32, 34, true },
  [ENG_TYPE_Q2_K] = { "Q2_K", 256, 84, true },
  [ENG_TYPE_Q3_K] = { "Q3_K", 256, 110, true },
  [ENG_TYPE_Q4_K] = { "Q4_K", 256, 144, true },
  [ENG_TYPE_Q5_K] = { "Q5_K", 256, 176, true },
  [ENG_TYPE_Q6_K] = { "Q6_K", 256, 210, true },
  [ENG_TYPE_IQ4_NL] = { "IQ4_NL", 32, 18, true },
  [ENG_TYPE_IQ4_XS] = { "IQ4_XS", 256, 136, true },
  [ENG_TYPE_I8] = { "I8", 1, 1, false },
  [ENG_TYPE_I16] = { "I16", 1, 2, false },
  [ENG_TYPE_I32] = { "I32", 1, 4, false },
  [ENG_TYPE_I64] = { "I64", 1, 8, false },
  [ENG_TYPE_F64] = { "F64", 1, 8, false },
  [ENG_TYPE_BF16] = { "BF16", 1, 2, true },
  [ENG_TYPE_MXFP4] = { "MXFP4", 32, 17, true },
};
#define N_INFOS (sizeof infos / sizeof infos[0])

/* Defined by the format but not read here: only for messages. */
static const char *const other_names[] = {
  [4] = "Q4_2",     [5] = "Q4_3",     [9] = "Q8_1",      [15] = "Q8_K",     [16] = "IQ2_XXS",
  [17] = "IQ2_XS",  [18] = "IQ3_XXS", [19] = "IQ1_S",    [21] = "IQ3_S",    [22] = "IQ2_S",
  [29] = "IQ1_M",   [31] = "Q4_0_4_4", [32] = "Q4_0_4_8", [33] = "Q4_0_8_8", [34] = "TQ1_0",
  [35] = "TQ2_0",   [36] = "IQ4_NL_4_4", [37] = "IQ4_NL_4_8", [38] = "IQ4_NL_8_8",
  [40] = "NVFP4",
};
#define N_OTHER (sizeof other_names / sizeof other_names[0])

const EngTypeInfo *
eng_type_get_info (uint32_t type)
{
  return type < N_INFOS && infos[type].name ? &infos[type] : NULL;
}

const char *
eng_type_get_name (uint32_t type)
{
  const EngTypeInfo *info = eng_type_get_info (type);
  if (info)
    return info->name;
  return type < N_OTHER && other_names[type] ? other_names[type] : "unknown";
}

EngType
eng_type_from_name (const char *name)
{
  for (uint32_t i = 0; i < N_INFOS; i++)
    if (infos[i].name && strcasecmp (infos[i].name, name) == 0)
      return (EngType) i;
  return ENG_TYPE_NONE;
}

bool
eng_type_row_bytes (uint32_t type, uint64_t n_cols, uint64_t *out_bytes)
{
  const EngTypeInfo *info = eng_type_get_info (type);
  if (!info || n_cols == 0 || n_cols % info->block_elements != 0)
    return false;
  return eng_checked_mul (n_cols / info->block_elements, info->block_bytes, out_bytes);
}
