/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-model-choices.h"

#include "ing-form.h"

#include <glib/gi18n-lib.h>

#define MAX_CONTEXT 1048576
#define MAX_LAYERS 512

struct _IngModelChoices
{
  GtkWidget parent_instance;

  GtkWidget *box;
  IngWorkspace *workspace;
  char *path;
  IngModelDefaults defaults;
  GPtrArray *devices; /* of names for the engine; the first is "" */
};

G_DEFINE_FINAL_TYPE (IngModelChoices, ing_model_choices, GTK_TYPE_WIDGET)

/* As the engine names them; the first is its own choice, the last is the processor's alone. */
static const char *const kv_types[] = { "", "f16", "f32", "q8_0" };

static void
save (IngModelChoices *self)
{
  ing_model_defaults_write (&self->defaults, ing_workspace_get_settings (self->workspace), self->path);
}

/* ---------------------------------------------------------------- loading */

static void
context_cb (GtkSpinButton *spin, IngModelChoices *self)
{
  self->defaults.context = (guint) MAX (0, gtk_spin_button_get_value_as_int (spin));
  save (self);
}

static void
layers_cb (GtkSpinButton *spin, IngModelChoices *self)
{
  int n = gtk_spin_button_get_value_as_int (spin);

  /* None at all is said by running it on the processor. */
  self->defaults.gpu_layers = n > 0 ? n : -1;
  save (self);
}

static void
kv_cb (AdwComboRow *row, GParamSpec *pspec, IngModelChoices *self)
{
  guint i = adw_combo_row_get_selected (row);

  g_free (self->defaults.kv);
  self->defaults.kv = g_strdup (i < G_N_ELEMENTS (kv_types) ? kv_types[i] : "");
  save (self);
}

static void
device_cb (AdwComboRow *row, GParamSpec *pspec, IngModelChoices *self)
{
  guint i = adw_combo_row_get_selected (row);

  g_free (self->defaults.device);
  self->defaults.device = g_strdup (i < self->devices->len ? g_ptr_array_index (self->devices, i) : "");
  save (self);
}

/* @words: NULL-terminated, translated. */
static GtkWidget *
new_combo (const char *title, const char *subtitle, const char *const *words, guint selected)
{
  GtkWidget *row = adw_combo_row_new ();
  g_autoptr (GtkStringList) model = gtk_string_list_new (words);

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
  adw_combo_row_set_model (ADW_COMBO_ROW (row), G_LIST_MODEL (model));
  adw_combo_row_set_selected (ADW_COMBO_ROW (row), selected);
  return row;
}

static guint
find_choice (const char *const *names, guint n, const char *name)
{
  for (guint i = 0; i < n; i++)
    if (g_strcmp0 (names[i], name != NULL ? name : "") == 0)
      return i;
  return 0;
}

/* Fills self->devices; returns what they are called, NULL-terminated. TRUE in *@has_gpu if one is a graphics card. */
static GPtrArray *
list_devices (IngModelChoices *self, gboolean *has_gpu)
{
  GPtrArray *words = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) gpus
      = ing_fit_list_gpus (ing_generation_service_get_devices (ing_workspace_get_generation (self->workspace)));

  g_ptr_array_add (self->devices, g_strdup (""));
  g_ptr_array_add (words, g_strdup (_("Automatic")));
  g_ptr_array_add (self->devices, g_strdup ("cpu"));
  g_ptr_array_add (words, g_strdup (_("Processor")));
  for (guint i = 0; gpus[i] != NULL; i += 2)
    {
      g_ptr_array_add (self->devices, g_strdup (gpus[i]));
      g_ptr_array_add (words, g_strdup (gpus[i + 1]));
    }
  g_ptr_array_add (words, NULL);
  *has_gpu = gpus[0] != NULL;
  return words;
}

static void
add_loading (IngModelChoices *self)
{
  GtkWidget *group = ing_form_add_group (self->box, _("Loading"), _("These count when it is loaded the next time."));
  GtkWidget *context = ing_form_new_spin (self->defaults.context, 0, MAX_CONTEXT, 1024, 0, _("Automatic"));
  gboolean has_gpu;
  g_autoptr (GPtrArray) words = list_devices (self, &has_gpu);
  const char *kv_words[] = { _("Automatic"), _("F16"), _("F32, twice the memory"), has_gpu ? NULL : _("Q8_0, half the memory"), NULL };
  GtkWidget *kv = new_combo (_("Memory of the conversation"), _("How exactly keys and values are kept"), kv_words,
                             find_choice (kv_types, G_N_ELEMENTS (kv_types) - has_gpu, self->defaults.kv));

  g_signal_connect_object (context, "value-changed", G_CALLBACK (context_cb), self, 0);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group),
                             ing_form_new_row (_("Context"), _("Tokens of a conversation that the model sees at once"), context));
  g_signal_connect_object (kv, "notify::selected", G_CALLBACK (kv_cb), self, 0);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), kv);
  if (!has_gpu)
    return;
  GtkWidget *device = new_combo (_("Where it runs"), _("Automatic: on the graphics card as far as it fits"),
                                 (const char *const *) words->pdata,
                                 find_choice ((const char *const *) self->devices->pdata, self->devices->len,
                                              self->defaults.device));
  GtkWidget *layers = ing_form_new_spin (MAX (0, self->defaults.gpu_layers), 0, MAX_LAYERS, 1, 0, _("Automatic"));

  g_signal_connect_object (device, "notify::selected", G_CALLBACK (device_cb), self, 0);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), device);
  g_signal_connect_object (layers, "value-changed", G_CALLBACK (layers_cb), self, 0);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group),
                             ing_form_new_row (_("Layers on the graphics card"), NULL, layers));
}

/* ---------------------------------------------------------------- choosing words */

static void
own_sampling_cb (AdwExpanderRow *row, GParamSpec *pspec, IngModelChoices *self)
{
  self->defaults.has_sampling = adw_expander_row_get_enable_expansion (row);
  save (self);
}

static void
number_cb (GtkSpinButton *spin, IngModelChoices *self)
{
  gsize offset = GPOINTER_TO_SIZE (g_object_get_data (G_OBJECT (spin), "offset"));

  G_STRUCT_MEMBER (double, &self->defaults.sampling, offset) = gtk_spin_button_get_value (spin);
  save (self);
}

static void
length_cb (GtkSpinButton *spin, IngModelChoices *self)
{
  self->defaults.sampling.max_tokens = gtk_spin_button_get_value_as_int (spin);
  save (self);
}

static void
add_number (IngModelChoices *self, GtkWidget *expander, gsize offset, const char *title, double low, double high, double step,
            const char *zero)
{
  GtkWidget *spin
      = ing_form_new_spin (G_STRUCT_MEMBER (double, &self->defaults.sampling, offset), low, high, step, 2, zero);

  g_object_set_data (G_OBJECT (spin), "offset", GSIZE_TO_POINTER (offset));
  g_signal_connect_object (spin, "value-changed", G_CALLBACK (number_cb), self, 0);
  adw_expander_row_add_row (ADW_EXPANDER_ROW (expander), ing_form_new_row (title, NULL, spin));
}

static void
add_sampling (IngModelChoices *self)
{
  GtkWidget *group = ing_form_add_group (self->box, _("Choosing words"),
                                         _("For conversations that have nothing of their own, from the next answer on."));
  GtkWidget *expander = adw_expander_row_new ();
  GtkWidget *length
      = ing_form_new_spin (self->defaults.sampling.max_tokens, 0, MAX_CONTEXT, 64, 0, _("No limit"));

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (expander), _("Its own way of choosing words"));
  adw_expander_row_set_subtitle (ADW_EXPANDER_ROW (expander), _("Off: what suits the model, or what the preferences say"));
  adw_expander_row_set_show_enable_switch (ADW_EXPANDER_ROW (expander), TRUE);
  adw_expander_row_set_enable_expansion (ADW_EXPANDER_ROW (expander), self->defaults.has_sampling);
  adw_expander_row_set_expanded (ADW_EXPANDER_ROW (expander), self->defaults.has_sampling);
  g_signal_connect_object (expander, "notify::enable-expansion", G_CALLBACK (own_sampling_cb), self, 0);
  add_number (self, expander, G_STRUCT_OFFSET (IngSampling, temperature), _("Temperature"), 0, 2, 0.05, NULL);
  add_number (self, expander, G_STRUCT_OFFSET (IngSampling, top_p), _("Top p"), 0.01, 1, 0.01, NULL);
  add_number (self, expander, G_STRUCT_OFFSET (IngSampling, min_p), _("Min p"), 0, 1, 0.01, _("Off"));
  add_number (self, expander, G_STRUCT_OFFSET (IngSampling, repetition_penalty), _("Repetition penalty"), 1, 2, 0.05, NULL);
  g_signal_connect_object (length, "value-changed", G_CALLBACK (length_cb), self, 0);
  adw_expander_row_add_row (ADW_EXPANDER_ROW (expander), ing_form_new_row (_("Longest answer"), NULL, length));
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), expander);
}

/* ---------------------------------------------------------------- instructions */

static void
prompt_cb (GtkTextBuffer *buffer, IngModelChoices *self)
{
  g_clear_pointer (&self->defaults.system_prompt, g_free);
  g_object_get (buffer, "text", &self->defaults.system_prompt, NULL);
  save (self);
}

static void
add_prompt (IngModelChoices *self)
{
  GtkTextBuffer *buffer;
  AdwPreferencesGroup *group = ing_form_new_text_group (
      _("Instructions"), _("Told to this model first, in conversations that have none of their own."),
      self->defaults.system_prompt, &buffer);

  g_signal_connect_object (buffer, "changed", G_CALLBACK (prompt_cb), self, 0);
  gtk_box_append (GTK_BOX (self->box), GTK_WIDGET (group));
}

/* ---------------------------------------------------------------- widget */

static void
ing_model_choices_dispose (GObject *object)
{
  IngModelChoices *self = ING_MODEL_CHOICES (object);

  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->workspace);
  g_clear_pointer (&self->devices, g_ptr_array_unref);
  g_clear_pointer (&self->path, g_free);
  ing_model_defaults_clear (&self->defaults);
  G_OBJECT_CLASS (ing_model_choices_parent_class)->dispose (object);
}

static void
ing_model_choices_class_init (IngModelChoicesClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_model_choices_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
}

static void
ing_model_choices_init (IngModelChoices *self)
{
  self->devices = g_ptr_array_new_with_free_func (g_free);
  self->box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 24);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
}

GtkWidget *
ing_model_choices_new (IngWorkspace *workspace, const char *path)
{
  IngModelChoices *self = g_object_new (ING_TYPE_MODEL_CHOICES, NULL);

  self->workspace = g_object_ref (workspace);
  self->path = g_strdup (path);
  ing_model_defaults_read (&self->defaults, ing_workspace_get_settings (workspace), path);
  add_loading (self);
  add_sampling (self);
  add_prompt (self);
  return GTK_WIDGET (self);
}
