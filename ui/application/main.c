/* SPDX-License-Identifier: Apache-2.0 */
/* inglenook: opens the window; `inglenook ask` answers in the terminal without GTK. */
#include "ing-application.h"

#include "config-ui.h"
#include "ing-app.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static void
print_help (void)
{
  g_print ("%s",
           _("Usage: inglenook [MODEL.gguf]       open the window (and this model)\n"
             "       inglenook FILE…              ask about documents in the window\n"
             "       inglenook --new-conversation  begin a new one in the window\n"
             "       inglenook --ask-about-file    choose files to ask about\n"
             "       inglenook ask [QUESTION]     answer in the terminal; see inglenook ask --help\n"
             "       inglenook search QUERY       find passages of documents\n"
             "       inglenook --offline …        no network socket can be opened, whatever happens\n"
             "       inglenook --version\n"));
}

int
main (int argc, char **argv)
{
  g_autoptr (IngApplication) application = NULL;
  g_autoptr (GError) error = NULL;
  /* Before anything else: a thread or a socket of earlier would be one too many. */
  gboolean held = ing_offline_start (&argc, argv, &error);

  ing_application_init_locale ();
  if (!held)
    {
      g_autofree char *sentence = ing_error_to_sentence (error);

      g_printerr ("%s\n", sentence);
      return 1;
    }
  if (argc > 1 && (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0))
    {
      print_help ();
      return 0;
    }
  if (argc > 1 && strcmp (argv[1], "--version") == 0)
    {
      g_print ("inglenook %s\n", ING_UI_VERSION);
      return 0;
    }
  if (argc > 1 && argv[1][0] == '-' && strcmp (argv[1], ING_APPLICATION_NEW_CONVERSATION) != 0
      && strcmp (argv[1], ING_APPLICATION_ASK_ABOUT_FILE) != 0 && strcmp (argv[1], ING_APPLICATION_SERVICE) != 0)
    {
      g_printerr (_("Unknown option %s\n"), argv[1]);
      return 2;
    }
  if (argc > 1 && (strcmp (argv[1], "ask") == 0 || strcmp (argv[1], "search") == 0))
    return ing_ask_main (argc - 1, argv + 1);
  application = ing_application_new ();
  if (ing_offline_is_on () && g_application_register (G_APPLICATION (application), NULL, NULL)
      && g_application_get_is_remote (G_APPLICATION (application)))
    g_action_group_activate_action (G_ACTION_GROUP (application), "go-offline", NULL);
  return g_application_run (G_APPLICATION (application), argc, argv);
}
