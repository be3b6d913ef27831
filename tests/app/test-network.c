/* SPDX-License-Identifier: Apache-2.0 */
/* Strict offline (in processes of their own: it is for good), addresses, and whom the client trusts. */
#include <errno.h>
#include <libsoup/soup.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app-test.h"
#include "ing-hub.h"
#include "ing-offline.h"
#include "ing-token.h"

/* ------------------------------------------------------------------ strict offline */

static int n_ready, n_checked, go;

static void
check_refused (void)
{
  static const int families[] = { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_BLUETOOTH, AF_VSOCK };
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++)
    {
      errno = 0;
      g_assert_cmpint (socket (families[i], SOCK_DGRAM, 0), ==, -1);
      g_assert_cmpint (errno, ==, EACCES);
    }
  errno = 0;
  g_assert_cmpint ((int) syscall (SYS_io_uring_setup, 4, NULL), ==, -1);
  g_assert_cmpint (errno, ==, EPERM);
#ifdef __x86_64__
  /* The door for 32-bit programs: socket () by its old number. */
  long result;
  __asm__ volatile ("int $0x80" : "=a"(result) : "0"(359), "b"(AF_INET), "c"(SOCK_STREAM), "d"(0) : "memory");
  g_assert_cmpint ((int) result, ==, -EPERM);
#endif
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);
  g_assert_cmpint (fd, >=, 0);
  close (fd);
}

static gpointer
early_thread (gpointer data)
{
  g_atomic_int_inc (&n_ready);
  while (g_atomic_int_get (&go) == 0)
    g_usleep (1000);
  check_refused ();
  g_atomic_int_inc (&n_checked);
  return NULL;
}

static void
test_offline (void)
{
  if (g_test_subprocess ())
    {
      g_autoptr (GError) error = NULL;
      GThread *threads[3];
      for (int i = 0; i < 3; i++)
        threads[i] = g_thread_new ("early", early_thread, NULL);
      while (g_atomic_int_get (&n_ready) < 3)
        g_usleep (1000);
      int before = socket (AF_INET, SOCK_STREAM, 0);
      struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
      socklen_t length = sizeof address;
      g_assert_cmpint (bind (before, (struct sockaddr *) &address, sizeof address), ==, 0);
      g_assert_cmpint (listen (before, 1), ==, 0);
      g_assert_cmpint (getsockname (before, (struct sockaddr *) &address, &length), ==, 0);
      g_assert_false (ing_offline_is_on ());
      g_assert_true (ing_offline_enter (&error));
      g_assert_no_error (error);
      g_assert_true (ing_offline_enter (NULL));
      g_assert_true (ing_offline_is_on ());
      g_atomic_int_set (&go, 1);
      check_refused ();
      for (int i = 0; i < 3; i++)
        g_thread_join (threads[i]);
      g_assert_cmpint (n_checked, ==, 3);
      g_assert_cmpint (accept (before, NULL, NULL), ==, -1); /* it was shut down */

      g_autoptr (IngHttp) http = ing_http_new (NULL);
      g_assert_null (ing_http_fetch (http, "https://127.0.0.1/", NULL, NULL, 10, NULL, &error));
      g_assert_error (error, ING_ERROR, ING_ERROR_OFFLINE);

      /* A child has it, too, whatever it runs. */
      int status = -1;
      const char *argv[] = { "/bin/sh", "-c",
                             "bash -c 'exec 3<>/dev/udp/127.0.0.1/9' 2>/dev/null && exit 1; exit 0", NULL };
      g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, 0, NULL, NULL, NULL, NULL, &status, NULL));
      g_assert_cmpint (status, ==, 0);
      return;
    }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
}

static void
test_switch (void)
{
  g_autoptr (GError) error = NULL;
  if (g_test_subprocess ())
    {
      char program[] = "inglenook", ask[] = "ask", option[] = "--offline", end[] = "--";
      char *argv[] = { program, ask, end, option, NULL };
      int argc = 4;
      /* Behind "--" it is a word of the question. */
      g_assert_true (ing_offline_start (&argc, argv, &error));
      g_assert_cmpint (argc, ==, 4);
      g_assert_false (ing_offline_is_on ());
      g_assert_cmpstr (g_getenv ("GIO_USE_VFS"), ==, "local");
      g_assert_true (ing_offline_set_switch (TRUE, &error));
      g_assert_no_error (error);
      g_assert_true (ing_offline_is_on ());
      g_assert_true (ing_offline_get_switch ());
      g_assert_true (ing_offline_set_switch (FALSE, &error));
      g_assert_false (ing_offline_get_switch ());
      g_assert_true (ing_offline_is_on ()); /* this process stays so */
      char *argv2[] = { program, option, ask, NULL };
      argc = 3;
      g_assert_true (ing_offline_start (&argc, argv2, &error));
      g_assert_cmpint (argc, ==, 2);
      g_assert_cmpstr (argv2[1], ==, "ask");
      g_assert_null (argv2[2]);
      return;
    }
  g_autofree char *home = app_test_make_folder ();
  g_setenv ("XDG_CONFIG_HOME", home, TRUE);
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
}

/* ------------------------------------------------------------------ the client's rules */

static void
test_private (void)
{
  static const struct
  {
    const char *address;
    gboolean is_private;
  } rows[] = {
    { "127.0.0.1", TRUE },      { "127.9.9.9", TRUE },   { "10.1.2.3", TRUE },     { "172.16.0.1", TRUE },
    { "172.32.0.1", FALSE },    { "192.168.1.1", TRUE }, { "169.254.169.254", TRUE }, { "0.0.0.0", TRUE },
    { "100.64.0.1", TRUE },     { "100.128.0.1", FALSE }, { "8.8.8.8", FALSE },    { "::1", TRUE },
    { "::", TRUE },             { "fe80::1", TRUE },     { "fc00::1", TRUE },      { "fd12::1", TRUE },
    { "::ffff:127.0.0.1", TRUE }, { "::ffff:8.8.8.8", FALSE }, { "2001:4860:4860::8888", FALSE },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GInetAddress) address = g_inet_address_new_from_string (rows[i].address);
      if (ing_http_address_is_private (address) != rows[i].is_private)
        g_error ("%s", rows[i].address);
    }
}

static void
judge (const char *from, const char *to, gboolean from_private, gboolean to_private, gboolean allowed)
{
  g_autoptr (GUri) a = g_uri_parse (from, G_URI_FLAGS_NONE, NULL);
  g_autoptr (GUri) b = g_uri_parse (to, G_URI_FLAGS_NONE, NULL);
  const char *why = ing_http_judge_redirection (a, b, from_private, to_private);
  if ((why == NULL) != allowed)
    g_error ("%s → %s: %s", from, to, why != NULL ? why : "allowed");
}

static void
test_redirection (void)
{
  judge ("https://a.example/x", "https://cdn.example/y", FALSE, FALSE, TRUE);
  judge ("https://a.example/x", "http://cdn.example/y", FALSE, FALSE, FALSE);
  judge ("https://a.example/x", "https://127.0.0.1/y", FALSE, TRUE, FALSE);
  judge ("https://a.example/x", "file:///etc/passwd", FALSE, FALSE, FALSE);
  judge ("https://a.example/x", "ftp://a.example/y", FALSE, FALSE, FALSE);
  judge ("http://127.0.0.1/x", "http://localhost/y", TRUE, TRUE, TRUE);
  judge ("http://127.0.0.1/x", "http://a.example/y", TRUE, FALSE, FALSE);
  judge ("http://127.0.0.1/x", "https://a.example/y", TRUE, FALSE, TRUE);
}

static void
test_range (void)
{
  static const struct
  {
    const char *text;
    gboolean good;
    guint64 start, end, total;
  } rows[] = {
    { "bytes 0-9/10", TRUE, 0, 10, 10 },
    { "bytes 5-9/*", TRUE, 5, 10, ING_HTTP_UNKNOWN },
    { "bytes */10", TRUE, ING_HTTP_UNKNOWN, ING_HTTP_UNKNOWN, 10 },
    { "bytes 9-5/10", FALSE, 0, 0, 0 },
    { "bytes 0-10/10", FALSE, 0, 0, 0 },
    { "bytes 0-9/10 ", FALSE, 0, 0, 0 },
    { "bytes -5-9/10", FALSE, 0, 0, 0 },
    { "octets 0-9/10", FALSE, 0, 0, 0 },
    { "bytes 0-99999999999999999999/*", FALSE, 0, 0, 0 },
    { "bytes 0-18446744073709551615/*", FALSE, 0, 0, 0 },
    { "", FALSE, 0, 0, 0 },
    { NULL, FALSE, 0, 0, 0 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      guint64 start, end, total;
      gboolean good = ing_http_parse_content_range (rows[i].text, &start, &end, &total);
      g_assert_cmpint (good, ==, rows[i].good);
      if (!good)
        continue;
      g_assert_cmpuint (start, ==, rows[i].start);
      g_assert_cmpuint (end, ==, rows[i].end);
      g_assert_cmpuint (total, ==, rows[i].total);
    }
}

/* ------------------------------------------------------------------ hubs */

static void
test_addresses (void)
{
  static const struct
  {
    const char *text;
    IngHub hub;
    const char *repository, *revision, *file, *uri;
  } rows[] = {
    { "Qwen/Qwen3-4B-GGUF", ING_HUB_HUGGING_FACE, "Qwen/Qwen3-4B-GGUF", "main", NULL, NULL },
    { " https://huggingface.co/Qwen/Qwen3-4B-GGUF/ ", ING_HUB_HUGGING_FACE, "Qwen/Qwen3-4B-GGUF", "main", NULL,
      NULL },
    { "hf.co/a/b/blob/main/sub/x%20y.gguf?download=true", ING_HUB_HUGGING_FACE, "a/b", "main", "sub/x y.gguf",
      "https://huggingface.co/a/b/resolve/main/sub/x%20y.gguf" },
    { "https://huggingface.co/a/b/tree/v1", ING_HUB_HUGGING_FACE, "a/b", "v1", NULL, NULL },
    { "https://modelscope.cn/models/Qwen/Qwen3-4B-GGUF/files", ING_HUB_MODELSCOPE, "Qwen/Qwen3-4B-GGUF", "master",
      NULL, NULL },
    { "https://www.modelscope.cn/models/a/b/resolve/master/x.gguf", ING_HUB_MODELSCOPE, "a/b", "master", "x.gguf",
      "https://www.modelscope.cn/models/a/b/resolve/master/x.gguf" },
    { "https://modelscope.cn/models/a/b/file/view/master/x.gguf", ING_HUB_MODELSCOPE, "a/b", "master", "x.gguf",
      "https://www.modelscope.cn/models/a/b/resolve/master/x.gguf" },
    { "http://127.0.0.1:8000/files/x.gguf", ING_HUB_NONE, NULL, NULL, "x.gguf",
      "http://127.0.0.1:8000/files/x.gguf" },
  };
  static const char *const bad[] = { "", "hello", "ftp://a/b", "file:///etc/passwd", "https://a.example/",
                                     "https://huggingface.co/onlyowner", "javascript:alert(1)", "../../etc",
                                     "https://huggingface.co/../../x" };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (IngHubAddress) a = ing_hub_parse (rows[i].text, &error);
      g_assert_no_error (error);
      g_assert_cmpint (a->hub, ==, rows[i].hub);
      g_assert_cmpstr (a->repository, ==, rows[i].repository);
      g_assert_cmpstr (a->revision, ==, rows[i].revision);
      g_assert_cmpstr (a->file, ==, rows[i].file);
      g_assert_cmpstr (a->uri, ==, rows[i].uri);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      if (ing_hub_parse (bad[i], &error) != NULL)
        g_error ("taken: %s", bad[i]);
      g_assert_error (error, ING_ERROR, ING_ERROR_ARGUMENT);
    }
}

static void
test_names (void)
{
  static const char *const rows[][2] = {
    { "x.gguf", "x.gguf" },
    { "a/b/x.gguf", "x.gguf" },
    { "../../etc/passwd", "passwd" },
    { "..", "model" },
    { "/", "model" },
    { "", "model" },
    { ".hidden.gguf", "hidden.gguf" },
    { "-rf.gguf", "rf.gguf" },
    { "a\nb\x7f.gguf", "a_b_.gguf" },
    { "a\xe2\x80\xae" "b.gguf", "a_b.gguf" },
    { "..\\..\\x.gguf", "_.._x.gguf" },
    { "con:aux.gguf", "con_aux.gguf" },
    { "智谱.gguf", "智谱.gguf" },
    { ".gguf", "model.gguf" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *name = ing_hub_dup_file_name (rows[i][0]);
      g_assert_cmpstr (name, ==, rows[i][1]);
    }
  g_autofree char *longest = g_strnfill (5000, 'a');
  g_autofree char *path = g_strconcat (longest, ".gguf", NULL);
  g_autofree char *name = ing_hub_dup_file_name (path);
  g_assert_cmpuint (strlen (name), ==, 180);
  g_assert_true (g_str_has_suffix (name, ".gguf"));
}

static void
test_lists (void)
{
#define HASH "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) files = ing_hub_parse_list (
      ING_HUB_HUGGING_FACE,
      "[{\"type\":\"directory\",\"path\":\"d\"},{\"type\":\"file\",\"path\":\"a.gguf\",\"size\":7,"
      "\"oid\":\"abc\",\"lfs\":{\"oid\":\"" HASH "\",\"size\":7}},{\"type\":\"file\",\"path\":\"README.md\","
      "\"size\":-3,\"lfs\":{\"oid\":\"xyz\"}}, 5]",
      -1, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (files->len, ==, 2);
  IngHubFile *file = g_ptr_array_index (files, 0);
  g_assert_cmpstr (file->path, ==, "a.gguf");
  g_assert_cmpuint (file->size, ==, 7);
  g_assert_true (ing_hub_is_sha256 (file->sha256));
  file = g_ptr_array_index (files, 1);
  g_assert_null (file->sha256);
  g_assert_cmpuint (file->size, ==, 0);
  g_autoptr (GPtrArray) other = ing_hub_parse_list (
      ING_HUB_MODELSCOPE,
      "{\"Code\":200,\"Data\":{\"Files\":[{\"Type\":\"tree\",\"Path\":\"d\"},{\"Type\":\"blob\",\"Path\":\"b.gguf\","
      "\"Size\":9,\"Sha256\":\"" HASH "\"}]}}",
      -1, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (other->len, ==, 1);
  static const char *const bad[] = { "", "{}", "[", "<html>", "{\"Data\":5}", "{\"Data\":{\"Files\":5}}" };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_clear_error (&error);
      g_assert_null (ing_hub_parse_list (ING_HUB_MODELSCOPE, bad[i], -1, &error));
      g_assert_nonnull (error);
    }
}

static void
test_token (void)
{
  g_autoptr (GError) error = NULL;
  gboolean kept = TRUE;
  /* No bus: kept for this run of the program alone. */
  g_setenv ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent", TRUE);
  g_assert_true (ing_token_store ("hub.example", "hf_secret", &kept, NULL, &error));
  g_assert_false (kept);
  char *token = ing_token_lookup ("hub.example", NULL);
  g_assert_cmpstr (token, ==, "hf_secret");
  ing_token_free (token);
  g_assert_null (ing_token_lookup ("other.example", NULL));
  g_assert_true (ing_token_store ("hub.example", NULL, &kept, NULL, &error));
  g_assert_null (ing_token_lookup ("hub.example", NULL));
  g_assert_false (ing_token_store ("hub.example", "a\r\nHost: evil", &kept, NULL, &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_ARGUMENT);
}

/* What both hubs answer to a search; names that are none, and things that are no models, are left out. */
static void
test_found (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) one = ing_hub_parse_found (
      ING_HUB_HUGGING_FACE,
      "[{\"id\":\"a/b-GGUF\",\"downloads\":12,\"gated\":\"manual\",\"tags\":[\"gguf\",\"license:mit\"]},"
      " {\"id\":\"../../etc\"}, 7, {\"id\":\"c/d\",\"downloads\":-5,\"gated\":false,\"tags\":\"x\"}]",
      -1, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (one->len, ==, 2);
  const IngHubModel *model = g_ptr_array_index (one, 0);
  g_assert_cmpstr (model->repository, ==, "a/b-GGUF");
  g_assert_cmpstr (model->licence, ==, "mit");
  g_assert_cmpuint (model->downloads, ==, 12);
  g_assert_true (model->gated);
  model = g_ptr_array_index (one, 1);
  g_assert_null (model->licence);
  g_assert_cmpuint (model->downloads, ==, 0);
  g_assert_false (model->gated);

  g_autoptr (GPtrArray) two = ing_hub_parse_found (
      ING_HUB_MODELSCOPE,
      "{\"success\":true,\"data\":{\"models\":[{\"id\":\"Qwen/Qwen3-4B-GGUF\",\"downloads\":7,"
      "\"license\":\"Apache License 2.0\",\"tags\":[3]}]}}",
      -1, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (two->len, ==, 1);
  model = g_ptr_array_index (two, 0);
  g_assert_cmpstr (model->licence, ==, "Apache License 2.0");

  static const char *const bad[] = { "", "{}", "[", "{\"data\":[]}", "<html>", "null" };
  for (gsize i = 0; i < 2 * G_N_ELEMENTS (bad); i++)
    {
      IngHub hub = i % 2 == 0 ? ING_HUB_HUGGING_FACE : ING_HUB_MODELSCOPE;
      g_autoptr (GError) why = NULL;
      g_assert_null (ing_hub_parse_found (hub, bad[i / 2], -1, &why));
      g_assert_nonnull (why);
    }
}

static void
answer_search (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, gpointer data)
{
  static const char found[] = "[{\"id\":\"a/b\",\"tags\":[\"license:mit\"]}]";
  static const char wrapped[] = "{\"success\":true,\"data\":{\"models\":[{\"id\":\"c/d\"}]}}";
  const char *words = query != NULL ? g_hash_table_lookup (query, "search") : NULL;
  const char *answer = strcmp (path, "/api/models") == 0 ? found : strcmp (path, "/openapi/v1/models") == 0 ? wrapped : NULL;
  g_string_append_printf (data, "%s;", words != NULL ? words : "");
  if (g_strcmp0 (words, "broken") == 0)
    soup_server_message_set_status (message, 500, NULL);
  else if (answer == NULL)
    soup_server_message_set_status (message, 404, NULL);
  else
    {
      soup_server_message_set_response (message, "application/json", SOUP_MEMORY_STATIC, answer, strlen (answer));
      soup_server_message_set_status (message, 200, NULL);
    }
}

static GPtrArray *
search (const char *words, gboolean modelscope, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_remote_search_async (words, modelscope, NULL, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  return ing_remote_search_finish (result, error);
}

static void
test_search (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) asked = g_string_new (NULL);
  g_autoptr (SoupServer) server = soup_server_new (NULL, NULL);
  soup_server_add_handler (server, "/", answer_search, asked, NULL);
  g_assert_true (soup_server_listen_local (server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error));
  GSList *uris = soup_server_get_uris (server);
  g_autofree char *base = g_strdup_printf ("http://127.0.0.1:%d", g_uri_get_port (uris->data));
  g_slist_free_full (uris, (GDestroyNotify) g_uri_unref);
  ing_hub_set_base (ING_HUB_HUGGING_FACE, base);
  ing_hub_set_base (ING_HUB_MODELSCOPE, base);

  g_autoptr (GPtrArray) one = search (" a & b/?#% 你好 ", FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (one->len, ==, 1);
  const IngRemoteModel *model = g_ptr_array_index (one, 0);
  g_autofree char *page = g_strconcat (base, "/a/b", NULL);
  g_assert_cmpstr (model->name, ==, "a/b");
  g_assert_cmpstr (model->address, ==, page);
  g_assert_cmpstr (model->licence, ==, "mit");
  g_autoptr (GPtrArray) two = search ("glm", TRUE, &error);
  g_assert_no_error (error);
  model = g_ptr_array_index (two, 0);
  g_autofree char *second_page = g_strconcat (base, "/models/c/d", NULL);
  g_assert_cmpstr (model->address, ==, second_page);
  g_assert_cmpstr (asked->str, ==, "a & b/?#% 你好;glm gguf;");
  g_assert_null (search ("broken", FALSE, &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_NETWORK);
  ing_hub_set_base (ING_HUB_HUGGING_FACE, NULL);
  ing_hub_set_base (ING_HUB_MODELSCOPE, NULL);
}

/* Both hubs want a token for their lists; each gets its own, and its page is named where there is none. */
static void
answer_gated (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, gpointer data)
{
  static const char list[] = "[{\"type\":\"file\",\"path\":\"x.gguf\",\"size\":9}]";
  static const char wrapped[] = "{\"Data\":{\"Files\":[{\"Path\":\"y.gguf\",\"Size\":9}]}}";
  SoupMessageHeaders *heads = soup_server_message_get_request_headers (message);
  gboolean first = g_str_has_prefix (path, "/api/models/");
  const char *wanted = first ? "Bearer hf_one" : "Bearer ms_two";
  const char *given = soup_message_headers_get_one (heads, "Authorization");
  const char *answer = first ? list : wrapped;
  if (g_strcmp0 (given, wanted) != 0)
    {
      g_assert_null (given); /* one hub's token, seen by the other */
      soup_server_message_set_status (message, first ? 401 : 403, NULL);
      return;
    }
  soup_server_message_set_response (message, "application/json", SOUP_MEMORY_STATIC, answer, strlen (answer));
  soup_server_message_set_status (message, 200, NULL);
}

static GPtrArray *
find (const char *text, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_remote_find_async (text, NULL, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  return ing_remote_find_finish (result, error);
}

static void
test_hub_tokens (void)
{
  static const char *const tokens[] = { "hf_one", "ms_two" };
  static const char *const token_hosts[] = { "127.0.0.1", "localhost" };
  static const char *const names[] = { "x.gguf", "y.gguf" };
  g_autoptr (GError) error = NULL;
  g_autoptr (SoupServer) server = soup_server_new (NULL, NULL);
  soup_server_add_handler (server, "/", answer_gated, NULL, NULL);
  g_assert_true (soup_server_listen_local (server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error));
  GSList *uris = soup_server_get_uris (server);
  int port = g_uri_get_port (uris->data);
  g_slist_free_full (uris, (GDestroyNotify) g_uri_unref);
  g_setenv ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent", TRUE);
  for (int i = 0; i < 2; i++)
    {
      g_autofree char *base = g_strdup_printf ("http://%s:%d", token_hosts[i], port);
      ing_hub_set_base (i == 0 ? ING_HUB_HUGGING_FACE : ING_HUB_MODELSCOPE, base);
    }
  for (int i = 0; i < 2; i++)
    {
      g_autofree char *page = g_strdup_printf ("http://%s:%d%s/a/b", token_hosts[i], port, i == 0 ? "" : "/models");
      g_autoptr (GError) refused = NULL;
      gboolean kept;
      g_assert_null (find (page, &refused));
      g_assert_error (refused, ING_ERROR, ING_ERROR_GATED);
      g_autofree char *words = ing_error_to_sentence (refused);
      g_assert_nonnull (strstr (words, page));
      g_assert_nonnull (strstr (words, "licence"));
      g_assert_true (ing_token_store (token_hosts[i], tokens[i], &kept, NULL, &error));
      g_assert_false (kept);
      g_autoptr (GPtrArray) files = find (page, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (files->len, ==, 1);
      const IngRemoteFile *file = g_ptr_array_index (files, 0);
      g_assert_cmpstr (file->name, ==, names[i]);
      g_assert_true (ing_token_store (token_hosts[i], NULL, &kept, NULL, &error));
    }
  ing_hub_set_base (ING_HUB_HUGGING_FACE, NULL);
  ing_hub_set_base (ING_HUB_MODELSCOPE, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/network/offline/all-threads-and-children", test_offline);
  g_test_add_func ("/network/offline/switch", test_switch);
  g_test_add_func ("/network/private-addresses", test_private);
  g_test_add_func ("/network/redirections", test_redirection);
  g_test_add_func ("/network/content-range", test_range);
  g_test_add_func ("/network/hub-addresses", test_addresses);
  g_test_add_func ("/network/file-names", test_names);
  g_test_add_func ("/network/hub-lists", test_lists);
  g_test_add_func ("/network/token", test_token);
  g_test_add_func ("/network/hubs/found", test_found);
  g_test_add_func ("/network/hubs/search", test_search);
  g_test_add_func ("/network/hubs/tokens", test_hub_tokens);
  return g_test_run ();
}
