/* SPDX-License-Identifier: Apache-2.0 */
/* Whole models rewritten by the engine's program, as jobs of the kinds "quantize" (a GGUF file to smaller numbers) and
 * "convert" (a hub's folder to a GGUF file). Each runs in a process of its own, at low priority; pausing stops that
 * process where it is, and after a restart of this program the work begins anew. The result gets its name only when it is
 * complete and hashed; anything unfinished is removed. Main thread only. */
#pragma once

#include "ing-fit.h"
#include "ing-job-queue.h"

G_BEGIN_DECLS

#define ING_JOB_KIND_QUANTIZE "quantize"
#define ING_JOB_KIND_CONVERT "convert"

#define ING_TYPE_TRANSFERS (ing_transfers_get_type ())
G_DECLARE_FINAL_TYPE (IngTransfers, ing_transfers, ING, TRANSFERS, GObject)

/* Registers both kinds: before ing_job_queue_resume(). */
IngTransfers *ing_transfers_new (IngJobQueue *jobs);

gboolean ing_transfers_has_job (IngJob *job); /* is @job of one of the kinds? */

/* A copy of the model at @path as @type ("Q4_K_M", …) in the folder of models. Returns a new reference. */
IngJob *ing_transfers_quantize (IngTransfers *self, const char *path, const char *type);
/* The same, measured against @path on a short text when it is done, which takes up to two minutes; what came out is kept in
 * the file (IngModelFacts). @type NULL: types are chosen matrix by matrix, by measured error, so that the file has
 * @target_bytes; ING_ERROR_TOO_SMALL names the smallest possible. Returns a new reference. */
IngJob *ing_transfers_shrink (IngTransfers *self, const char *path, const char *type, guint64 target_bytes);
/* A GGUF file of the hub's folder @path; @type NULL = weights as they are. Returns a new reference. */
IngJob *ing_transfers_convert (IngTransfers *self, const char *path, const char *type);

/* The types to shrink to, largest first, NULL-terminated. */
const char *const *ing_transfers_get_types (void);
/* TRUE if @type is one of floats: shrinking from it loses the least. */
gboolean ing_transfers_is_exact (const char *type);

/* TRUE if @path is a folder with a model that may be converted; *@bytes (may be NULL) of its weights. Reads the folder. */
gboolean ing_transfers_look_at_folder (const char *path, guint64 *bytes);

G_END_DECLS
