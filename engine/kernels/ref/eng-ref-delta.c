/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-ref-delta.h"

#include "eng-ref.h"

void
eng_ref_delta (const EngDelta *delta)
{
  eng_delta_plain (delta);
}
