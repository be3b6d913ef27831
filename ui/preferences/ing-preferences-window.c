/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-preferences-window.h"

#include "ing-form.h"

#include <glib/gi18n-lib.h>

struct _IngPreferencesWindow
{
  AdwPreferencesWindow parent_instance;

  IngWorkspace *workspace;
  IngConversation *conversation;
  IngSampling sampling;
  GtkWidget *gpu_row, *use_gpu_row; /* of a page of it */
};

G_DEFINE_FINAL_TYPE (IngPreferencesWindow, ing_preferences_window, ADW_TYPE_PREFERENCES_WINDOW)

static void
load_sampling (IngSettings *settings, IngSampling *sampling)
{
  g_autofree char *json = ing_settings_dup_string (settings, ING_SETTING_SAMPLING, "{}");

  ing_sampling_init (sampling);
  ing_sampling_from_json (sampling, json);
  ing_sampling_clamp (sampling);
}

static void
sampling_changed (IngPreferencesWindow *self)
{
  g_autofree char *json = NULL;

  ing_sampling_clamp (&self->sampling);
  json = ing_sampling_to_json (&self->sampling);
  ing_settings_set_string (ing_workspace_get_settings (self->workspace), ING_SETTING_SAMPLING, json);
  if (self->conversation != NULL)
    ing_conversation_set_sampling (self->conversation, &self->sampling);
}

/* ---------------------------------------------------------------- rows */

static void
add_row (AdwPreferencesGroup *group, const char *title, const char *subtitle, GtkWidget *control)
{
  adw_preferences_group_add (group, ing_form_new_row (title, subtitle, control));
}

/* ---------------------------------------------------------------- the model */

static void
int_setting_cb (GtkSpinButton *spin, IngSettings *settings)
{
  ing_settings_set_int (settings, g_object_get_data (G_OBJECT (spin), "key"),
                        gtk_spin_button_get_value_as_int (spin));
}

static void
add_int_setting (IngPreferencesWindow *self, AdwPreferencesGroup *group, const char *key,
                 const char *title, const char *subtitle, int fallback, int high, int step, const char *zero)
{
  IngSettings *settings = ing_workspace_get_settings (self->workspace);
  GtkWidget *spin
      = ing_form_new_spin (ing_settings_get_int (settings, key, fallback), 0, high, step, 0, zero);

  g_object_set_data (G_OBJECT (spin), "key", (gpointer) key);
  g_signal_connect_object (spin, "value-changed", G_CALLBACK (int_setting_cb), settings, 0);
  add_row (group, title, subtitle, spin);
}

static void
reload_cb (IngPreferencesWindow *self)
{
  g_autofree char *path = g_strdup (
      ing_generation_service_get_model_path (ing_workspace_get_generation (self->workspace)));

  if (path != NULL)
    ing_workspace_open_model (self->workspace, path, FALSE);
  else
    ing_workspace_load_default_model (self->workspace);
}

static AdwPreferencesPage *
new_model_page (IngPreferencesWindow *self)
{
  AdwPreferencesPage *page = ADW_PREFERENCES_PAGE (adw_preferences_page_new ());
  AdwPreferencesGroup *group = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  AdwPreferencesGroup *memory = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  GtkWidget *button = gtk_button_new_with_mnemonic (_("_Load again"));

  adw_preferences_page_set_title (page, _("Model"));
  adw_preferences_page_set_icon_name (page, "applications-system-symbolic");
  adw_preferences_group_set_title (group, _("Loading"));
  adw_preferences_group_set_description (group,
                                         _("These count when a model is loaded the next time."));
  add_int_setting (self, group, ING_SETTING_CONTEXT, _("Context"),
                   _("Tokens of a conversation that the model sees at once; more needs more memory"),
                   0, 1048576, 1024, _("Automatic"));
  add_int_setting (self, group, ING_SETTING_THREADS, _("Threads"),
                   _("How many processor cores work on answers and on documents"), 0, ING_MAX_THREADS, 1, _("Automatic"));
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (button, "flat");
  g_signal_connect_swapped (button, "clicked", G_CALLBACK (reload_cb), self);
  adw_preferences_group_set_header_suffix (group, button);
  adw_preferences_page_add (page, group);
  adw_preferences_group_set_title (memory, _("Memory"));
  add_int_setting (self, memory, ING_SETTING_IDLE_MINUTES, _("Minutes without a question"),
                   _("Then the model's memory is free for other programs; the next question loads it again"),
                   ING_DEFAULT_IDLE_MINUTES, 1440, 5, _("Never"));
  adw_preferences_page_add (page, memory);
  return page;
}

/* ---------------------------------------------------------------- instructions */

static void
default_prompt_cb (GtkTextBuffer *buffer, IngPreferencesWindow *self)
{
  g_autofree char *text = NULL;

  g_object_get (buffer, "text", &text, NULL);
  ing_settings_set_string (ing_workspace_get_settings (self->workspace), ING_SETTING_SYSTEM_PROMPT,
                           text);
}

static void
conversation_prompt_cb (GtkTextBuffer *buffer, IngPreferencesWindow *self)
{
  g_autofree char *text = NULL;

  g_object_get (buffer, "text", &text, NULL);
  ing_conversation_set_system_prompt (self->conversation, text);
}

static AdwPreferencesGroup *
new_prompt_group (IngPreferencesWindow *self, const char *title, const char *description,
                  const char *text, GCallback changed)
{
  GtkTextBuffer *buffer;
  AdwPreferencesGroup *group = ing_form_new_text_group (title, description, text, &buffer);

  g_signal_connect_object (buffer, "changed", changed, self, 0);
  return group;
}

static AdwPreferencesPage *
new_instructions_page (IngPreferencesWindow *self)
{
  AdwPreferencesPage *page = ADW_PREFERENCES_PAGE (adw_preferences_page_new ());
  g_autofree char *prompt = ing_settings_dup_string (ing_workspace_get_settings (self->workspace),
                                                     ING_SETTING_SYSTEM_PROMPT, "");

  adw_preferences_page_set_title (page, _("Instructions"));
  adw_preferences_page_set_icon_name (page, "document-edit-symbolic");
  if (self->conversation != NULL)
    adw_preferences_page_add (
        page, new_prompt_group (self, _("This conversation"),
                                _("Told to the model before everything else, from the next answer on."),
                                ing_conversation_get_system_prompt (self->conversation),
                                G_CALLBACK (conversation_prompt_cb)));
  adw_preferences_page_add (page, new_prompt_group (self, _("New conversations"),
                                                    _("What each new conversation begins with."),
                                                    prompt, G_CALLBACK (default_prompt_cb)));
  return page;
}

/* ---------------------------------------------------------------- choosing words */

static void
spin_cb (GtkSpinButton *spin, IngPreferencesWindow *self)
{
  double value = gtk_spin_button_get_value (spin);
  gsize offset = GPOINTER_TO_SIZE (g_object_get_data (G_OBJECT (spin), "offset"));

  if (g_object_get_data (G_OBJECT (spin), "integer") != NULL)
    G_STRUCT_MEMBER (int, &self->sampling, offset) = (int) value;
  else
    G_STRUCT_MEMBER (double, &self->sampling, offset) = value;
  sampling_changed (self);
}

static void
add_sampling_row (IngPreferencesWindow *self, AdwPreferencesGroup *group, gsize offset,
                  gboolean integer, const char *title, const char *subtitle, double low, double high,
                  double step, const char *zero)
{
  double value = integer ? G_STRUCT_MEMBER (int, &self->sampling, offset)
                         : G_STRUCT_MEMBER (double, &self->sampling, offset);
  GtkWidget *spin = ing_form_new_spin (value, low, high, step, integer ? 0 : 2, zero);

  g_object_set_data (G_OBJECT (spin), "offset", GSIZE_TO_POINTER (offset));
  g_object_set_data (G_OBJECT (spin), "integer", integer ? self : NULL);
  g_signal_connect_object (spin, "value-changed", G_CALLBACK (spin_cb), self, 0);
  add_row (group, title, subtitle, spin);
}

static void
greedy_cb (GtkSwitch *toggle, GParamSpec *pspec, IngPreferencesWindow *self)
{
  self->sampling.greedy = gtk_switch_get_active (toggle);
  sampling_changed (self);
}

static AdwPreferencesPage *
new_words_page (IngPreferencesWindow *self)
{
  AdwPreferencesPage *page = ADW_PREFERENCES_PAGE (adw_preferences_page_new ());
  AdwPreferencesGroup *group = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  AdwPreferencesGroup *length = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  GtkWidget *greedy = gtk_switch_new ();

  adw_preferences_page_set_title (page, _("Words"));
  adw_preferences_page_set_icon_name (page, "format-text-rich-symbolic");
  adw_preferences_group_set_title (group, _("Choosing words"));
  adw_preferences_group_set_description (
      group, _("These count for this conversation and new ones, from the next answer on."));
  gtk_switch_set_active (GTK_SWITCH (greedy), self->sampling.greedy);
  g_signal_connect_object (greedy, "notify::active", G_CALLBACK (greedy_cb), self, 0);
  add_row (group, _("Always the likeliest"), _("The same question gets the same answer"), greedy);
  add_sampling_row (self, group, G_STRUCT_OFFSET (IngSampling, temperature), FALSE, _("Temperature"),
                    _("Higher is more surprising"), 0, 2, 0.05, NULL);
  add_sampling_row (self, group, G_STRUCT_OFFSET (IngSampling, top_k), TRUE, _("Top k"),
                    _("Choose among so many words"), 0, 1000, 1, _("Off"));
  add_sampling_row (self, group, G_STRUCT_OFFSET (IngSampling, top_p), FALSE, _("Top p"),
                    _("Choose among words that make up this share"), 0.01, 1, 0.01, NULL);
  add_sampling_row (self, group, G_STRUCT_OFFSET (IngSampling, min_p), FALSE, _("Min p"),
                    _("Leave out words less likely than this share of the likeliest"), 0, 1, 0.01,
                    _("Off"));
  add_sampling_row (self, group, G_STRUCT_OFFSET (IngSampling, repetition_penalty), FALSE,
                    _("Repetition penalty"), _("Above 1, words that were used become less likely"), 1,
                    2, 0.05, NULL);
  adw_preferences_page_add (page, group);
  adw_preferences_group_set_title (length, _("Length"));
  add_sampling_row (self, length, G_STRUCT_OFFSET (IngSampling, max_tokens), TRUE,
                    _("Longest answer"), _("Tokens after which an answer ends"), 0, 1048576, 64,
                    _("No limit"));
  adw_preferences_page_add (page, length);
  return page;
}

/* ---------------------------------------------------------------- network */

static void
offline_cb (GtkSwitch *toggle, GParamSpec *pspec, GtkWidget *row)
{
  g_autoptr (GError) error = NULL;
  gboolean on = gtk_switch_get_active (toggle);

  if (on == ing_offline_get_switch ())
    return;
  if (!ing_offline_set_switch (on, &error))
    {
      g_autofree char *sentence = ing_error_to_sentence (error);

      adw_action_row_set_subtitle (ADW_ACTION_ROW (row), sentence);
      gtk_switch_set_active (toggle, !on);
    }
  else if (!on && ing_offline_is_on ())
    adw_action_row_set_subtitle (ADW_ACTION_ROW (row), _("Off from the next start on"));
}

static void
token_stored_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AdwPreferencesRow) row = user_data;
  g_autoptr (GError) error = NULL;
  gboolean stored = FALSE;
  g_autofree char *words = NULL;

  if (!ing_downloads_set_token_finish (ING_DOWNLOADS (source), result, &stored, &error))
    words = ing_error_to_sentence (error);
  else
    {
      const char *hub = g_object_get_data (G_OBJECT (row), "hub");

      words = g_strdup_printf (stored ? _("Access token for %s: kept in the keyring")
                                      : _("Access token for %s: kept until the program ends"),
                               hub);
    }
  adw_preferences_row_set_title (row, words);
}

static void
token_cb (GtkEditable *row, IngPreferencesWindow *self)
{
  IngDownloads *downloads = ing_library_get_downloads (ing_workspace_get_library (self->workspace));

  ing_downloads_set_token_async (downloads, g_object_get_data (G_OBJECT (row), "host"), gtk_editable_get_text (row), NULL,
                                 token_stored_cb, g_object_ref (row));
  gtk_editable_set_text (row, "");
}

static void
add_token_row (IngPreferencesWindow *self, AdwPreferencesGroup *group, const char *hub, const char *host)
{
  GtkWidget *row = adw_password_entry_row_new ();
  g_autofree char *title = g_strdup_printf (_("Access token for %s"), hub);

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_entry_row_set_show_apply_button (ADW_ENTRY_ROW (row), TRUE);
  g_object_set_data (G_OBJECT (row), "hub", (gpointer) hub);
  g_object_set_data (G_OBJECT (row), "host", (gpointer) host);
  g_signal_connect_object (row, "apply", G_CALLBACK (token_cb), self, 0);
  adw_preferences_group_add (group, row);
}

static void
text_setting_cb (GtkEditable *row, IngSettings *settings)
{
  ing_settings_set_string (settings, g_object_get_data (G_OBJECT (row), "key"), gtk_editable_get_text (row));
}

static void
add_text_setting (IngPreferencesWindow *self, AdwPreferencesGroup *group, const char *key, const char *title)
{
  IngSettings *settings = ing_workspace_get_settings (self->workspace);
  GtkWidget *row = adw_entry_row_new ();
  g_autofree char *value = ing_settings_dup_string (settings, key, "");

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  gtk_editable_set_text (GTK_EDITABLE (row), value);
  g_object_set_data (G_OBJECT (row), "key", (gpointer) key);
  adw_entry_row_set_show_apply_button (ADW_ENTRY_ROW (row), TRUE);
  g_signal_connect_object (row, "apply", G_CALLBACK (text_setting_cb), settings, 0);
  adw_preferences_group_add (group, row);
}

static AdwPreferencesPage *
new_network_page (IngPreferencesWindow *self)
{
  AdwPreferencesPage *page = ADW_PREFERENCES_PAGE (adw_preferences_page_new ());
  AdwPreferencesGroup *group = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  AdwPreferencesGroup *hubs = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  GtkWidget *offline = gtk_switch_new ();

  adw_preferences_page_set_title (page, _("Network"));
  adw_preferences_page_set_icon_name (page, "network-wireless-symbolic");
  adw_preferences_group_set_title (group, _("Strict offline"));
  adw_preferences_group_set_description (
      group, _("The system itself then refuses this program every connection. Turning it on works at once, turning it off "
               "with the next start. A link that you open opens in another program, which is not held."));
  gtk_switch_set_active (GTK_SWITCH (offline), ing_offline_get_switch ());
  add_row (group, _("No network for this program"), ing_offline_is_on () ? _("On now") : _("Off now"), offline);
  g_signal_connect_object (offline, "notify::active", G_CALLBACK (offline_cb),
                           gtk_widget_get_ancestor (offline, ADW_TYPE_ACTION_ROW), 0);
  adw_preferences_page_add (page, group);

  adw_preferences_group_set_title (hubs, _("Downloads"));
  add_token_row (self, hubs, _("Hugging Face"), "huggingface.co");
  add_token_row (self, hubs, _("ModelScope"), "www.modelscope.cn");
  add_text_setting (self, hubs, ING_SETTING_PROXY, _("Proxy (empty: as the desktop says)"));
  add_text_setting (self, hubs, ING_SETTING_HUB_MIRROR, _("Mirror of Hugging Face, from the next start on"));
  adw_preferences_page_add (page, hubs);
  return page;
}

/* ---------------------------------------------------------------- the machine */

static void
gpus_cb (IngPreferencesWindow *self)
{
  g_autofree char *text
      = ing_machine_describe_gpus (ing_generation_service_get_devices (ing_workspace_get_generation (self->workspace)),
                                   ing_paths_is_sandboxed ());

  g_auto (GStrv) gpus
      = ing_fit_list_gpus (ing_generation_service_get_devices (ing_workspace_get_generation (self->workspace)));

  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->gpu_row), text);
  gtk_widget_set_visible (self->use_gpu_row, gpus[0] != NULL);
}

static void
use_gpu_cb (GtkSwitch *toggle, GParamSpec *pspec, IngPreferencesWindow *self)
{
  ing_settings_set_string (ing_workspace_get_settings (self->workspace), ING_SETTING_DEVICE,
                           gtk_switch_get_active (toggle) ? "auto" : "cpu");
}

static GtkWidget *
new_use_gpu_row (IngPreferencesWindow *self)
{
  g_autofree char *device
      = ing_settings_dup_string (ing_workspace_get_settings (self->workspace), ING_SETTING_DEVICE, "auto");
  GtkWidget *toggle = gtk_switch_new ();

  gtk_switch_set_active (GTK_SWITCH (toggle), !g_str_equal (device, "cpu"));
  g_signal_connect (toggle, "notify::active", G_CALLBACK (use_gpu_cb), self);
  return ing_form_new_row (_("Run models on the graphics card"),
                           _("Otherwise the processor does. Counts for documents at once, for a model when it is loaded the next time. "
                             "A model’s own choice comes first."),
                           toggle);
}

static void
reader_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GtkWidget) row = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = ing_machine_describe_reader_finish (result, &error);

  if (text == NULL)
    text = ing_error_to_sentence (error);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), text);
}

static void
on_battery_cb (GtkSwitch *toggle, GParamSpec *pspec, IngPreferencesWindow *self)
{
  ing_settings_set_boolean (ing_workspace_get_settings (self->workspace), ING_SETTING_ON_BATTERY,
                            gtk_switch_get_active (toggle));
}

static AdwPreferencesGroup *
new_power_group (IngPreferencesWindow *self)
{
  AdwPreferencesGroup *group = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  GtkWidget *toggle = gtk_switch_new ();

  adw_preferences_group_set_title (group, _("Power"));
  gtk_switch_set_active (GTK_SWITCH (toggle), ing_settings_get_boolean (ing_workspace_get_settings (self->workspace),
                                                                        ING_SETTING_ON_BATTERY, FALSE));
  g_signal_connect (toggle, "notify::active", G_CALLBACK (on_battery_cb), self);
  add_row (group, _("Read collections on battery"),
           _("Otherwise they wait until the machine is plugged in. What you drop on a conversation is read at once."), toggle);
  return group;
}

static AdwPreferencesPage *
new_machine_page (IngPreferencesWindow *self)
{
  AdwPreferencesPage *page = ADW_PREFERENCES_PAGE (adw_preferences_page_new ());
  AdwPreferencesGroup *cards = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  AdwPreferencesGroup *reader = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  GtkWidget *row = ing_form_new_plain_row (_("How it is held"), _("Looking"));

  adw_preferences_page_set_title (page, _("Machine"));
  adw_preferences_page_set_icon_name (page, "computer-symbolic");
  adw_preferences_group_set_title (cards, _("Graphics card"));
  self->gpu_row = ing_form_new_plain_row (_("What was found"), NULL);
  adw_preferences_group_add (cards, self->gpu_row);
  self->use_gpu_row = new_use_gpu_row (self);
  adw_preferences_group_add (cards, self->use_gpu_row);
  adw_preferences_page_add (page, cards);
  adw_preferences_page_add (page, new_power_group (self));
  g_signal_connect_object (ing_workspace_get_generation (self->workspace), "notify::model-path", G_CALLBACK (gpus_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (ing_workspace_get_generation (self->workspace), "notify::state", G_CALLBACK (gpus_cb), self,
                           G_CONNECT_SWAPPED);
  gpus_cb (self);
  adw_preferences_group_set_title (reader, _("The process that reads documents"));
  adw_preferences_group_set_description (reader, _("A document may be made to attack what reads it. So a process of its own does that, which is held from outside."));
  adw_preferences_group_add (reader, row);
  adw_preferences_page_add (page, reader);
  ing_machine_describe_reader_async (NULL, reader_cb, g_object_ref (row));
  return page;
}

/* ---------------------------------------------------------------- class */

static void
ing_preferences_window_dispose (GObject *object)
{
  IngPreferencesWindow *self = ING_PREFERENCES_WINDOW (object);

  g_clear_object (&self->workspace);
  g_clear_object (&self->conversation);
  G_OBJECT_CLASS (ing_preferences_window_parent_class)->dispose (object);
}

static void
ing_preferences_window_class_init (IngPreferencesWindowClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_preferences_window_dispose;
}

static void
ing_preferences_window_init (IngPreferencesWindow *self)
{
}

GtkWidget *
ing_preferences_window_new (IngWorkspace *workspace, IngConversation *conversation)
{
  IngPreferencesWindow *self
      = g_object_new (ING_TYPE_PREFERENCES_WINDOW, "title", _("Preferences"), "search-enabled", TRUE,
                      "default-width", 600, "default-height", 640, NULL);

  self->workspace = g_object_ref (workspace);
  self->conversation = conversation != NULL ? g_object_ref (conversation) : NULL;
  if (conversation != NULL)
    ing_conversation_get_sampling (conversation, &self->sampling);
  else
    load_sampling (ing_workspace_get_settings (workspace), &self->sampling);
  adw_preferences_window_add (ADW_PREFERENCES_WINDOW (self), new_model_page (self));
  adw_preferences_window_add (ADW_PREFERENCES_WINDOW (self), new_instructions_page (self));
  adw_preferences_window_add (ADW_PREFERENCES_WINDOW (self), new_words_page (self));
  adw_preferences_window_add (ADW_PREFERENCES_WINDOW (self), new_network_page (self));
  adw_preferences_window_add (ADW_PREFERENCES_WINDOW (self), new_machine_page (self));
  return GTK_WIDGET (self);
}
