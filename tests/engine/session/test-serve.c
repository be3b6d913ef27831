/* SPDX-License-Identifier: Apache-2.0 */
/* The service behind its socket, on a thread of this process and as a child; and frames that
 * break the protocol. */
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "eng-json.h"
#include "eng-serve.h"
#include "eng-wire.h"

typedef struct
{
  int fd;
  bool is_child;
  GThread *thread;
  pid_t pid;
  EngStatus status; /* of the thread */
} Service;

typedef struct
{
  EngWireHeader header;
  GBytes *payload;
  EngArena arena;
  const EngJson *json; /* NULL for EMBEDDINGS */
} Answer;

static gpointer
serve_thread (gpointer data)
{
  int *fd = data;
  EngStatus status = eng_serve (*fd, NULL);
  g_free (fd);
  return GINT_TO_POINTER (status);
}

static void
start (Service *service, bool is_child)
{
  int fds[2];
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  const struct timeval limit = { .tv_sec = 60 };
  setsockopt (fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  service->fd = fds[0];
  service->is_child = is_child;
  if (!is_child)
    {
      service->thread = g_thread_new ("serve", serve_thread, g_memdup2 (&fds[1], sizeof fds[1]));
      return;
    }
  g_autofree char *number = g_strdup_printf ("%d", fds[1]);
  service->pid = fork ();
  if (service->pid == 0)
    {
      close (fds[0]);
      execl (g_getenv ("INGLENOOK_ENGINE"), "inglenook-engine", "serve", "--fd", number, NULL);
      _exit (127);
    }
  close (fds[1]);
}

/* Wait for the end; ENG_OK, or something else when the service complained. */
static EngStatus
join (Service *service)
{
  EngStatus status;
  if (service->is_child)
    {
      int code;
      g_assert_cmpint (waitpid (service->pid, &code, 0), ==, service->pid);
      g_assert_true (WIFEXITED (code));
      status = WEXITSTATUS (code) == 0 ? ENG_OK : ENG_ERR_FORMAT;
    }
  else
    status = (EngStatus) GPOINTER_TO_INT (g_thread_join (service->thread));
  close (service->fd);
  return status;
}

static void
send_bytes (Service *service, const void *data, size_t n)
{
  /* A service that ended already is found out by join (). */
  if (send (service->fd, data, n, MSG_NOSIGNAL) < 0)
    return;
}

static void
send_frame (Service *service, EngWireType type, uint32_t id, const char *payload)
{
  uint8_t bytes[ENG_WIRE_HEADER_BYTES];
  const EngWireHeader header
      = { .type = (uint16_t) type, .id = id, .length = (uint32_t) strlen (payload) };
  eng_wire_encode_header (&header, bytes);
  send_bytes (service, bytes, sizeof bytes);
  send_bytes (service, payload, header.length);
}

static void
receive_all (Service *service, void *data, size_t n)
{
  for (size_t got = 0; got < n;)
    {
      ssize_t k = recv (service->fd, (char *) data + got, n - got, 0);
      g_assert_cmpint (k, >, 0);
      got += (size_t) k;
    }
}

static void
clear_answer (Answer *answer)
{
  g_clear_pointer (&answer->payload, g_bytes_unref);
  eng_arena_clear (&answer->arena);
}

static void
receive (Service *service, Answer *answer)
{
  uint8_t bytes[ENG_WIRE_HEADER_BYTES];
  clear_answer (answer);
  receive_all (service, bytes, sizeof bytes);
  g_assert_true (eng_wire_decode_header (bytes, &answer->header));
  char *payload = g_malloc (answer->header.length + 1);
  receive_all (service, payload, answer->header.length);
  if (answer->header.type != ENG_WIRE_EMBEDDINGS)
    g_assert_cmpint (eng_json_parse (payload, answer->header.length, 0, &answer->arena,
                                     &answer->json, NULL), ==, ENG_OK);
  answer->payload = g_bytes_new_take (payload, answer->header.length);
}

/* The final answer to @id; texts on the way are appended to @text (may be NULL). */
static void
finish (Service *service, uint32_t id, Answer *answer, GString *text)
{
  for (;;)
    {
      receive (service, answer);
      g_assert_cmpuint (answer->header.id, ==, id);
      const char *part;
      if (answer->header.type == ENG_WIRE_TOKENS)
        {
          g_assert_true (eng_json_get_string (answer->json, "text", &part));
          if (text)
            g_string_append (text, part);
        }
      else if (answer->header.type != ENG_WIRE_PROGRESS)
        return;
    }
}

static int64_t
get_int (const Answer *answer, const char *key)
{
  int64_t value = -1;
  g_assert_true (eng_json_get_int64 (answer->json, key, &value));
  return value;
}

static void
assert_failed (const Answer *answer, EngStatus code)
{
  g_assert_cmpint (answer->header.type, ==, ENG_WIRE_FAILED);
  g_assert_cmpint (get_int (answer, "code"), ==, code);
  g_assert_true (eng_json_is_string (eng_json_get (answer->json, "status"), eng_status_name (code)));
}

#define LOAD "{\"path\": \"" TINY_MODEL "\", \"device\": \"cpu\", \"context\": 256, \"threads\": 1}"
#define HELLO "\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]"
/* Room for an answer that outlasts the time a CANCEL takes, on any machine. */
#define LOAD_LONG "{\"path\": \"" TINY_MODEL "\", \"device\": \"cpu\", \"context\": 32768, \"threads\": 1}"
#define SING "\"messages\": [{\"role\": \"user\", \"content\": \"Sing a song\"}]"
#define GREEDY "\"sampling\": {\"greedy\": true}"

static void
test_conversation (gconstpointer data)
{
  Service s = { 0 };
  Answer a = { 0 };
  g_autoptr (GString) text = g_string_new (NULL), again = g_string_new (NULL);
  start (&s, GPOINTER_TO_INT (data));
  send_frame (&s, ENG_WIRE_HELLO, 1, "{\"version\": 1, \"of the future\": [1, {}]}");
  finish (&s, 1, &a, NULL);
  g_assert_cmpint (a.header.type, ==, ENG_WIRE_DONE);
  g_assert_cmpint (get_int (&a, "version"), ==, ENG_WIRE_VERSION);
  g_assert_true (eng_json_is_string (
      eng_json_get (eng_json_at (eng_json_get (a.json, "devices"), 0), "api"), "cpu"));
  send_frame (&s, ENG_WIRE_GENERATE, 2, "{" HELLO "}");
  finish (&s, 2, &a, NULL);
  assert_failed (&a, ENG_ERR_NOT_FOUND);
  send_frame (&s, ENG_WIRE_LOAD, 3, "{\"path\": \"/does/not/exist.gguf\"}");
  finish (&s, 3, &a, NULL);
  assert_failed (&a, ENG_ERR_NOT_FOUND);
  send_frame (&s, ENG_WIRE_INSPECT, 4, LOAD);
  finish (&s, 4, &a, NULL);
  g_assert_cmpint (get_int (&a, "context"), ==, 256);
  send_frame (&s, ENG_WIRE_LOAD, 5, LOAD);
  finish (&s, 5, &a, NULL);
  g_assert_cmpint (a.header.type, ==, ENG_WIRE_DONE);
  g_assert_true (eng_json_is_string (eng_json_get (a.json, "architecture"), "llama"));
  /* Several at once: answered one after the other. */
  send_frame (&s, ENG_WIRE_GENERATE, 6, "{\"conversation\": \"a\", " HELLO ", " GREEDY "}");
  send_frame (&s, ENG_WIRE_GENERATE, 7, "{\"conversation\": \"a\", " HELLO ", " GREEDY "}");
  send_frame (&s, ENG_WIRE_COUNT, 8, "{" HELLO "}");
  finish (&s, 6, &a, text);
  g_assert_true (eng_json_is_string (eng_json_get (a.json, "stop_reason"), "eog"));
  int64_t n_prompt = get_int (&a, "n_prompt");
  finish (&s, 7, &a, again);
  g_assert_cmpint (get_int (&a, "n_cached"), ==, n_prompt - 1);
  g_assert_cmpstr (text->str, ==, again->str);
  g_assert_cmpuint (text->len, >, 5);
  finish (&s, 8, &a, NULL);
  g_assert_cmpint (get_int (&a, "n_tokens"), ==, n_prompt);
  /* An answer cut off goes on behind its text. */
  g_autofree char *cut = g_strndup (text->str, 8);
  g_autofree char *request
      = g_strdup_printf ("{" HELLO ", " GREEDY ", \"continue\": \"%s\"}", cut);
  g_string_assign (again, cut);
  send_frame (&s, ENG_WIRE_GENERATE, 9, request);
  finish (&s, 9, &a, again);
  g_assert_cmpstr (text->str, ==, again->str);
  send_frame (&s, ENG_WIRE_SCORE, 10, "{" HELLO ", \"candidates\": [\"Hello. I am\", \"xqzw\"]}");
  finish (&s, 10, &a, NULL);
  const EngJson *scores = eng_json_get (a.json, "log_likelihood");
  g_assert_cmpfloat (eng_json_at (scores, 0)->number, >, eng_json_at (scores, 1)->number);
  send_frame (&s, ENG_WIRE_EMBED, 11, "{\"path\": \"" TINY_MODEL "\", \"texts\": [\"a\"]}");
  finish (&s, 11, &a, NULL);
  assert_failed (&a, ENG_ERR_UNSUPPORTED);
  send_frame (&s, 33, 12, "{}");
  finish (&s, 12, &a, NULL);
  assert_failed (&a, ENG_ERR_UNSUPPORTED);
  send_frame (&s, ENG_WIRE_GENERATE, 13, "{" HELLO ", \"sampling\": {\"temperature\": -1}}");
  finish (&s, 13, &a, NULL);
  assert_failed (&a, ENG_ERR_ARGUMENT);
  send_frame (&s, ENG_WIRE_UNLOAD, 14, "{}");
  finish (&s, 14, &a, NULL);
  g_assert_cmpint (a.header.type, ==, ENG_WIRE_DONE);
  send_frame (&s, ENG_WIRE_SHUTDOWN, 15, "{}");
  g_assert_cmpint (join (&s), ==, ENG_OK);
  clear_answer (&a);
}

static void
test_cancel (gconstpointer data)
{
  Service s = { 0 };
  Answer a = { 0 };
  start (&s, GPOINTER_TO_INT (data));
  send_frame (&s, ENG_WIRE_LOAD, 1, LOAD_LONG);
  finish (&s, 1, &a, NULL);
  /* One at work, one waiting: both end as generations do. */
  send_frame (&s, ENG_WIRE_GENERATE, 2, "{" SING ", " GREEDY "}");
  send_frame (&s, ENG_WIRE_GENERATE, 3, "{" SING ", " GREEDY "}");
  do
    receive (&s, &a);
  while (a.header.type != ENG_WIRE_TOKENS);
  send_frame (&s, ENG_WIRE_CANCEL, 4, "{\"target\": 3}");
  send_frame (&s, ENG_WIRE_CANCEL, 5, "{\"target\": 2}");
  send_frame (&s, ENG_WIRE_CANCEL, 6, "{\"target\": 77}");
  gint64 began = g_get_monotonic_time ();
  finish (&s, 2, &a, NULL);
  g_assert_cmpint (g_get_monotonic_time () - began, <, 100000);
  g_assert_true (eng_json_is_string (eng_json_get (a.json, "stop_reason"), "cancel"));
  finish (&s, 3, &a, NULL);
  g_assert_true (eng_json_is_string (eng_json_get (a.json, "stop_reason"), "cancel"));
  g_assert_cmpint (get_int (&a, "n_generated"), ==, 0);
  /* The other end goes away in the middle of an answer. */
  send_frame (&s, ENG_WIRE_GENERATE, 7, "{" SING ", " GREEDY "}");
  receive (&s, &a);
  shutdown (s.fd, SHUT_RDWR);
  g_assert_cmpint (join (&s), ==, ENG_OK);
  clear_answer (&a);
}

/* A look at a file does not wait for an answer that may last minutes, and the answer goes on behind it. */
static void
test_look_while_answering (gconstpointer data)
{
  Service s = { 0 };
  Answer a = { 0 };
  start (&s, GPOINTER_TO_INT (data));
  send_frame (&s, ENG_WIRE_LOAD, 1, LOAD_LONG);
  finish (&s, 1, &a, NULL);
  send_frame (&s, ENG_WIRE_GENERATE, 2, "{" SING ", " GREEDY "}");
  do
    receive (&s, &a);
  while (a.header.type != ENG_WIRE_TOKENS);
  send_frame (&s, ENG_WIRE_INSPECT, 3, LOAD);
  send_frame (&s, ENG_WIRE_INSPECT, 4, "{\"path\": \"/does/not/exist.gguf\"}");
  for (uint32_t id = 3; id <= 4; id++)
    {
      do
        receive (&s, &a);
      while (a.header.id == 2 && a.header.type == ENG_WIRE_TOKENS);
      g_assert_cmpuint (a.header.id, ==, id);
      g_assert_cmpint (a.header.type, ==, id == 3 ? ENG_WIRE_DONE : ENG_WIRE_FAILED);
    }
  do
    receive (&s, &a);
  while (a.header.type != ENG_WIRE_TOKENS);
  g_assert_cmpuint (a.header.id, ==, 2);
  send_frame (&s, ENG_WIRE_CANCEL, 5, "{\"target\": 2}");
  finish (&s, 2, &a, NULL);
  send_frame (&s, ENG_WIRE_SHUTDOWN, 6, "{}");
  g_assert_cmpint (join (&s), ==, ENG_OK);
  clear_answer (&a);
}

typedef struct
{
  const char *name;
  uint32_t words[4]; /* the header as it is sent */
  const char *payload;
} Hostile;

#define MAGIC(type) (ENG_WIRE_MAGIC | (uint32_t) (type) << 16)
static const Hostile hostiles[] = {
  { "magic", { 0x12345678, 1, 2, 0 }, "{}" },
  { "id-0", { MAGIC (ENG_WIRE_HELLO), 0, 2, 0 }, "{}" },
  { "last-word", { MAGIC (ENG_WIRE_HELLO), 1, 2, 1 }, "{}" },
  { "length", { MAGIC (ENG_WIRE_HELLO), 1, ENG_WIRE_MAX_PAYLOAD + 1, 0 }, "{}" },
  { "answer-as-request", { MAGIC (ENG_WIRE_DONE), 1, 2, 0 }, "{}" },
  { "type-0", { MAGIC (0), 1, 2, 0 }, "{}" },
  { "no-json", { MAGIC (ENG_WIRE_HELLO), 1, 3, 0 }, "{,}" },
  { "array", { MAGIC (ENG_WIRE_HELLO), 1, 2, 0 }, "[]" },
  { "empty", { MAGIC (ENG_WIRE_HELLO), 1, 0, 0 }, "" },
  { "not-utf8", { MAGIC (ENG_WIRE_HELLO), 1, 9, 0 }, "{\"a\":\"\xff\"}" },
};

static void
test_hostile (gconstpointer data)
{
  const Hostile *hostile = data;
  Service s = { 0 };
  uint8_t bytes[ENG_WIRE_HEADER_BYTES];
  for (unsigned i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t) (hostile->words[i / 4] >> i % 4 * 8);
  start (&s, false);
  send_bytes (&s, bytes, sizeof bytes);
  send_bytes (&s, hostile->payload, strlen (hostile->payload));
  g_assert_cmpint (join (&s), ==, ENG_ERR_FORMAT);
}

/* Cut within header and payload; a large length of which nothing comes; random bytes. */
static void
test_cut (void)
{
  const EngWireHeader header = { .type = ENG_WIRE_HELLO, .id = 1, .length = ENG_WIRE_MAX_PAYLOAD };
  uint8_t bytes[ENG_WIRE_HEADER_BYTES + 4] = { 0 };
  eng_wire_encode_header (&header, bytes);
  for (size_t n = 0; n <= sizeof bytes; n++)
    {
      Service s = { 0 };
      start (&s, false);
      send_bytes (&s, bytes, n);
      shutdown (s.fd, SHUT_WR);
      g_assert_cmpint (join (&s), ==, n == 0 ? ENG_OK : ENG_ERR_IO);
    }
  for (int round = 0; round < 200; round++)
    {
      Service s = { 0 };
      uint8_t noise[256];
      for (unsigned i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t) g_test_rand_int ();
      if (round % 2)
        memcpy (noise, bytes, 6); /* a true beginning */
      start (&s, false);
      send_bytes (&s, noise, sizeof noise);
      shutdown (s.fd, SHUT_WR);
      g_assert_cmpint (join (&s), !=, ENG_ERR_INTERNAL);
    }
}

static void
test_same_id (void)
{
  Service s = { 0 };
  Answer a = { 0 };
  start (&s, false);
  send_frame (&s, ENG_WIRE_LOAD, 1, LOAD);
  finish (&s, 1, &a, NULL);
  for (int i = 0; i < 3; i++)
    send_frame (&s, ENG_WIRE_GENERATE, 2, "{" SING ", " GREEDY "}");
  g_assert_cmpint (join (&s), ==, ENG_ERR_FORMAT);
  clear_answer (&a);
}

/* More than may wait ends the connection instead of taking memory without end. */
static void
test_flood (void)
{
  Service s = { 0 };
  Answer a = { 0 };
  start (&s, false);
  send_frame (&s, ENG_WIRE_LOAD, 1, LOAD);
  finish (&s, 1, &a, NULL);
  for (uint32_t i = 0; i < 400; i++)
    send_frame (&s, ENG_WIRE_GENERATE, 2 + i, "{" SING ", " GREEDY "}");
  g_assert_cmpint (join (&s), ==, ENG_ERR_LIMIT);
  clear_answer (&a);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/serve/conversation/thread", GINT_TO_POINTER (0), test_conversation);
  g_test_add_data_func ("/serve/conversation/child", GINT_TO_POINTER (1), test_conversation);
  g_test_add_data_func ("/serve/cancel/thread", GINT_TO_POINTER (0), test_cancel);
  g_test_add_data_func ("/serve/cancel/child", GINT_TO_POINTER (1), test_cancel);
  g_test_add_data_func ("/serve/look-while-answering/thread", GINT_TO_POINTER (0), test_look_while_answering);
  g_test_add_data_func ("/serve/look-while-answering/child", GINT_TO_POINTER (1), test_look_while_answering);
  for (size_t i = 0; i < G_N_ELEMENTS (hostiles); i++)
    {
      g_autofree char *path = g_strconcat ("/serve/hostile/", hostiles[i].name, NULL);
      g_test_add_data_func (path, &hostiles[i], test_hostile);
    }
  g_test_add_func ("/serve/hostile/cut", test_cut);
  g_test_add_func ("/serve/hostile/same-id", test_same_id);
  g_test_add_func ("/serve/hostile/flood", test_flood);
  return g_test_run ();
}
