/* SPDX-License-Identifier: Apache-2.0 */
/* The NVIDIA module's scratch memory for prompts: every step of every architecture has the room that it multiplies in, and what it needs at
 * the same time lies apart. A model all of float32 once had none for its output head, and its prompts never ended. */
#include <glib.h>
#include <string.h>

#include "eng-model.h"
#include "room.h"
#include "test-models.h"

static void
test_model (gconstpointer data)
{
  EngModelOptions options = { 0 };
  EngModel *model = NULL;
  EngError error = { 0 };
  g_assert_cmpint (eng_model_open (data, &options, &model, &error), ==, ENG_OK);
  /* the files are all of float32: also as if their matrices were of other types */
  EngProgram program = *eng_model_get_program (model);
  g_autofree EngWeightDesc *weights = g_memdup2 (program.weights, program.n_weights * sizeof *weights);
  program.weights = weights;
  static const int archs[] = { 75, 80, 90 };
  static const uint32_t rows[] = { 65, 2048, 1 << 18 }; /* the last: gate and up of these small models go by slabs */
  static const EngType types[] = { ENG_TYPE_NONE, ENG_TYPE_BF16, ENG_TYPE_Q8_0 };
  for (guint n = 0; n < G_N_ELEMENTS (types); n++)
    {
      for (uint32_t i = 0; i < program.n_weights && types[n] != ENG_TYPE_NONE; i++)
        if (weights[i].use != ENG_WEIGHT_VECTOR && weights[i].n_cols % (types[n] == ENG_TYPE_BF16 ? 8 : 64) == 0)
          weights[i].type = types[n];
      for (guint i = 0; i < G_N_ELEMENTS (archs); i++)
        for (guint k = 0; k < G_N_ELEMENTS (rows); k++)
          {
            char words[256];
            if (room_is_missing (&program, archs[i], rows[k], words))
              g_error ("%s, type %d, compute_%d, %u rows: %s", (const char *) data, types[n], archs[i], rows[k], words);
          }
    }
  eng_model_unref (&model);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *folder = test_data_path ("arch");
  GDir *dir = g_dir_open (folder, 0, NULL);
  g_assert_nonnull (dir);
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  for (const char *name; (name = g_dir_read_name (dir));)
    if (g_str_has_suffix (name, ".gguf"))
      {
        g_autofree char *test = g_strdup_printf ("/cuda/room/%.*s", (int) strlen (name) - 5, name);
        g_ptr_array_add (paths, g_build_filename (folder, name, NULL));
        g_test_add_data_func (test, g_ptr_array_index (paths, paths->len - 1), test_model);
      }
  g_dir_close (dir);
  return g_test_run ();
}
