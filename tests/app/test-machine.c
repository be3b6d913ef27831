/* SPDX-License-Identifier: Apache-2.0 */
/* What preferences say of graphics cards and of what holds the reader. The engine's own list of
 * devices, and lists as other machines would give them. */
#include <string.h>

#include "app-test.h"
#include "eng-status.h"
#include "ing-machine.h"

static char *
describe (int code, const char *problem, gboolean sandboxed)
{
  g_autofree char *devices = g_strdup_printf (
      "[{\"api\": \"cpu\", \"kind\": \"cpu\", \"name\": \"CPU\", \"score\": 1, \"status\": 0},"
      " {\"api\": \"cuda\", \"kind\": \"gpu\", \"name\": \"\", \"score\": 0, \"status\": %d, "
      "\"problem\": \"%s\"}]",
      code, problem);
  return ing_machine_describe_gpus (devices, sandboxed);
}

static void
assert_says (char *text, const char *wanted)
{
  g_test_message ("%s", text);
  g_assert_nonnull (strstr (text, wanted));
  g_free (text);
}

static void
test_missing (void)
{
  const char *extension = "flatpak install io.github.inglenook_app.Inglenook.Engine.cuda";
  assert_says (describe (ENG_ERR_NO_MODULE, "raw", FALSE),
               "The graphics card module is not installed");
  assert_says (describe (ENG_ERR_NO_MODULE, "raw", TRUE), extension);
  assert_says (describe (ENG_ERR_MODULE_ABI, "it has 3, this engine wants 4", TRUE),
               "it has 3, this engine wants 4");
  assert_says (describe (ENG_ERR_NO_DRIVER, "raw", FALSE),
               "The graphics card’s driver is not installed");
  assert_says (describe (ENG_ERR_NO_DRIVER, "raw", TRUE), "org.freedesktop.Platform.GL.nvidia");
  assert_says (describe (ENG_ERR_OLD_DRIVER, "driver 11.8, at least 12.0", FALSE),
               "driver 11.8, at least 12.0");
  assert_says (describe (ENG_ERR_NO_DEVICE, "raw", TRUE), "There is no usable graphics card");
  g_autofree char *outside = describe (ENG_ERR_NO_MODULE, "raw", FALSE),
                  *none = describe (ENG_ERR_NO_DEVICE, "raw", TRUE);
  g_assert_null (strstr (outside, "flatpak"));
  g_assert_null (strstr (none, "flatpak"));
}

static void
test_cards (void)
{
  g_autofree char *two = ing_machine_describe_gpus (
      "[{\"kind\": \"gpu\", \"name\": \"Card A\", \"score\": 7, \"memory_bytes\": 8589934592,"
      " \"free_bytes\": 4294967296}, {\"kind\": \"gpu\", \"name\": \"Card B\", \"score\": 1}]",
      FALSE);
  g_assert_true (g_str_has_prefix (two, "Card A: 4.0") && strstr (two, " of 8.0") != NULL
                 && strstr (two, "\nCard B: ") != NULL);
  assert_says (ing_machine_describe_gpus (NULL, FALSE), "Not looked at yet");
  assert_says (ing_machine_describe_gpus ("[]", FALSE), "None");
  assert_says (ing_machine_describe_gpus ("[7, null, {\"kind\": 5}]", FALSE), "None");
  assert_says (ing_machine_describe_gpus ("{\"a\": ", FALSE), "Not looked at yet");
}

/* The reader itself, on this system: what it says of itself is what the kernel shows of such a
 * process. */
static void
test_reader (void)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  ing_machine_describe_reader_async (NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_autofree char *text = ing_machine_describe_reader_finish (result, &error);
  g_assert_no_error (error);
  g_test_message ("%s", text);
  g_assert_true (strstr (text, "seccomp") != NULL || strstr (text, "Landlock") != NULL);
  g_assert_nonnull (strstr (text, "limits of memory and time"));
  assert_says (ing_machine_describe_holds (FALSE, 0, FALSE, FALSE), "By nothing");
  assert_says (ing_machine_describe_holds (TRUE, 4, TRUE, TRUE),
               "no network and no other program (seccomp); none of your files (Landlock 4); limits "
               "of memory and time; the Flatpak’s");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/machine/missing", test_missing);
  g_test_add_func ("/app/machine/cards", test_cards);
  g_test_add_func ("/app/machine/reader", test_reader);
  return g_test_run ();
}
