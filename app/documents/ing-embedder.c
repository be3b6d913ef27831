/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-embedder.h"

#include "ing-paths.h"

/* In the order of preference for a text that several can read. */
static const IngEmbedder embedders[] = {
  /* Its float weights are rounded to bytes while it is loaded: 1.7 times as many chunks a second, with vectors whose
   * cosine to the unrounded ones is above 0.999 (docs/benchmarks.md). Its number is what vectors from before they were
   * marked have. */
  { "all-MiniLM-L6-v2", "q8_0", 0, 256, TRUE, FALSE, 0.32, 0.60 },
  /* 1 was it without windows: they find 19 rather than 10 of 30 new Chinese questions asked in other words. MiniLM gains little
   * by them (docs/retrieval.md). */
  { "multilingual-e5-small/multilingual-e5-small-Q4_0.gguf", NULL, 2, 512, FALSE, TRUE, 0.86, 0.92 },
};

/* Counts in a plan like one more model: which document gets which model was decided in another way before. */
#define RULE (1u << 16)

/* A document of which no more than one chunk in so many is in another script is one in Latin script. In a manual that is
 * half translated the rest is what its readers ask about, and only the model for many languages reads both. */
#define FOREIGN_PART 20

static char *
find_file (const IngEmbedder *embedder)
{
  g_autofree char *path = g_build_filename (ing_paths_get_models (), embedder->name, NULL);
  return g_file_test (path, G_FILE_TEST_EXISTS) ? g_steal_pointer (&path) : NULL;
}

const IngEmbedder *
ing_embedder_find (gboolean latin, char **path)
{
  *path = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (embedders); i++)
    if ((latin || !embedders[i].latin) && (*path = find_file (&embedders[i])) != NULL)
      return &embedders[i];
  return NULL;
}

const IngEmbedder *
ing_embedder_lookup (guint number, gboolean latin, char **path)
{
  *path = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (embedders); i++)
    if (embedders[i].number == number && (latin || !embedders[i].latin)
        && (*path = find_file (&embedders[i])) != NULL)
      return &embedders[i];
  return NULL;
}

gboolean
ing_embedder_is_latin (guint n_foreign, guint n)
{
  return FOREIGN_PART * n_foreign <= n;
}

guint
ing_embedder_get_plan (void)
{
  guint plan = 0;
  for (guint i = 0; i < G_N_ELEMENTS (embedders); i++)
    {
      g_autofree char *path = find_file (&embedders[i]);
      plan |= path != NULL ? 1u << embedders[i].number : 0;
    }
  return plan != 0 ? plan | RULE : 0;
}
