/* SPDX-License-Identifier: Apache-2.0 */
/* Times are microseconds since 1970 (UTC). Enumerations hold the numbers of the public headers. A
 * released migration is never changed; the next one is appended. */
#include "ing-schema.h"

#include "ing-conversation-table.h"
#include "ing-job-table.h"
#include "ing-message-table.h"
#include "ing-model-file-table.h"

static const char version_1[]
    = "CREATE TABLE conversations("
      "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
      "  title TEXT NOT NULL DEFAULT '',"
      "  title_source INTEGER NOT NULL DEFAULT 0," /* 0 none, 1 from the question, 2 the person's */
      "  created_us INTEGER NOT NULL,"
      "  updated_us INTEGER NOT NULL," /* never goes back, whatever the clock does */
      "  deleted_us INTEGER,"          /* set: waits to be erased */
      "  system_prompt TEXT NOT NULL DEFAULT '',"
      "  model_path TEXT,"
      "  sampling TEXT NOT NULL DEFAULT '{}',"
      "  plain INTEGER NOT NULL DEFAULT 0," /* complete text instead of chatting */
      "  draft TEXT NOT NULL DEFAULT '',"
      "  chosen_root INTEGER NOT NULL DEFAULT 0);" /* first message of the shown branch */
      "CREATE TABLE messages("
      "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
      "  conversation_id INTEGER NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,"
      "  parent_id INTEGER REFERENCES messages(id) ON DELETE CASCADE,"
      "  role INTEGER NOT NULL,"
      "  state INTEGER NOT NULL,"
      "  stop_reason INTEGER NOT NULL DEFAULT 0,"
      "  created_us INTEGER NOT NULL,"
      "  chosen_child INTEGER NOT NULL DEFAULT 0,"
      "  model_name TEXT, model_path TEXT, device TEXT,"
      "  sampling TEXT, stats TEXT, error TEXT);" /* JSON */
      "CREATE INDEX messages_by_conversation ON messages(conversation_id);"
      "CREATE INDEX messages_by_parent ON messages(parent_id);"
      "CREATE TABLE parts("
      "  message_id INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE,"
      "  position INTEGER NOT NULL,"
      "  kind INTEGER NOT NULL,"
      "  text TEXT NOT NULL DEFAULT '',"
      "  data TEXT," /* JSON: name, path, mime, data of files; duration_us of reasoning */
      "  PRIMARY KEY(message_id, position)) WITHOUT ROWID;"
      /* Words of messages (rowid = its id) and of titles (rowid = -id of the conversation), with
       * Chinese, Japanese and Korean text cut in pairs (ing-search-text.h). */
      "CREATE VIRTUAL TABLE search USING fts5(body, tokenize='unicode61 remove_diacritics 2');"
      "CREATE TABLE jobs("
      "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
      "  kind TEXT NOT NULL,"
      "  title TEXT NOT NULL,"
      "  state INTEGER NOT NULL,"
      "  priority INTEGER NOT NULL,"
      "  done INTEGER NOT NULL DEFAULT 0,"
      "  total INTEGER NOT NULL DEFAULT 0,"
      "  deaths INTEGER NOT NULL DEFAULT 0," /* times the program died while this ran */
      "  payload TEXT NOT NULL,"
      "  checkpoint TEXT, result TEXT, error TEXT,"
      "  created_us INTEGER NOT NULL,"
      "  updated_us INTEGER NOT NULL);";

static gboolean
recover (IngDatabase *database, GError **error)
{
  return ing_message_table_recover (database, error)
         && ing_conversation_table_recover (database, error)
         && ing_job_table_recover (database, error);
}

static const IngMigration migrations[] = {
  { 1, version_1, NULL },
  { 2, ing_model_file_table_sql, NULL },
};

const IngSchema ing_schema = {
  .name = "inglenook",
  .application_id = 0x496e676c, /* "Ingl" */
  .migrations = migrations,
  .n_migrations = G_N_ELEMENTS (migrations),
  .recover = recover,
};
