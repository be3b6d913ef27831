/* SPDX-License-Identifier: Apache-2.0 */
/* What was erased from the index of words stands in its parts until they are merged: does that a little later, piece by
 * piece, at the next start if this one ends before. Main thread only. */
#pragma once

#include "ing-database.h"

typedef struct _IngWiper IngWiper;

IngWiper *ing_wiper_new (IngDatabase *database);
void ing_wiper_free (IngWiper *self);
/* Something was erased, and the database says so (ing_document_table_erase ()). */
void ing_wiper_schedule (IngWiper *self);
/* Before the database closes: as much as can be done in a second. */
void ing_wiper_close (IngWiper *self);
