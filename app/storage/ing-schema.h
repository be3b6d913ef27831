/* SPDX-License-Identifier: Apache-2.0 */
/* The database of conversations and jobs: inglenook.sqlite. */
#pragma once

#include "ing-database.h"

extern const IngSchema ing_schema;
