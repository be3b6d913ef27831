/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands of inglenook-engine share: options, messages, exit codes.
 *
 * A subcommand is `int eng_cmd_<name> (int argc, char **argv)` in cmd-<name>.c; argv[0] is its name.
 * It returns 0 only on success, 1 when the work failed, 2 on bad usage. Results go to standard output (with
 * --json exactly one object), everything else to standard error. One thread, once a process. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "eng-buffer.h"
#include "eng-error.h"

enum
{
  ENG_TOOL_OK = 0,
  ENG_TOOL_FAILED = 1,
  ENG_TOOL_USAGE = 2,
};

typedef enum
{
  ENG_TOOL_FLAG,   /* bool *: set true; takes no value */
  ENG_TOOL_CLEAR,  /* bool *: set false; takes no value */
  ENG_TOOL_STRING, /* const char ** */
  ENG_TOOL_STRINGS, /* EngToolStrings *: may be given several times */
  ENG_TOOL_UINT,   /* uint64_t *: decimal, 0 … 2^63 - 1 */
  ENG_TOOL_INT,    /* int64_t *: decimal */
  ENG_TOOL_BYTES,  /* uint64_t *: decimal with an optional K, M, G or T (powers of 1024) */
  ENG_TOOL_FLOAT,  /* double *: finite; a point whatever the locale */
} EngToolOptionKind;

#define ENG_TOOL_MAX_STRINGS 64
typedef struct
{
  const char *items[ENG_TOOL_MAX_STRINGS]; /* borrowed from argv */
  size_t n;
} EngToolStrings;

/* One option. @name begins with its dashes; "--ctx 5" and "--ctx=5" are the same. A table ends with
 * a NULL name. */
typedef struct
{
  const char *name;
  EngToolOptionKind kind;
  void *value;
  const char *help; /* one line, "N  tokens of context": the metavariable, two spaces, words */
} EngToolOption;

/* Options of every subcommand that runs a model (HACKING.md, "The engine tool"). Zero-initialize,
 * then eng_tool_model_options_init (). Strings are borrowed from argv. */
typedef struct
{
  uint64_t n_threads;     /* 0 = choose */
  const char *device;     /* "auto", "cpu", "cuda", "cuda:N" */
  int64_t n_gpu_layers;   /* -1 = choose */
  const char *cpu_experts; /* NULL = none, "" = all layers', "N" = the first N layers' */
  uint64_t gpu_memory_bytes; /* 0 = choose */
  uint64_t n_ctx;         /* 0 = choose */
  const char *kv;         /* "K" or "K,V" type names, NULL = choose */
  const char *load_as;    /* type name or NULL */
  bool force;             /* load although it does not fit */
  bool exact;             /* reference kernels with float activations */
  bool no_mmap;           /* read instead of mapping */
} EngToolModelOptions;

void eng_tool_model_options_init (EngToolModelOptions *options);

/* Everything a subcommand's command line may hold. */
typedef struct
{
  const char *usage;             /* "MODEL [--text-file F | TEXT] [OPTION]…" */
  const char *summary;           /* one sentence for --help */
  const EngToolOption *options;  /* or NULL */
  EngToolModelOptions *model;    /* or NULL: takes no model options */
  bool *json;                    /* --json is always accepted */
  const char **arguments;        /* [max_arguments] filled with what is no option */
  size_t min_arguments, max_arguments;
  size_t n_arguments;            /* out */
} EngToolCommandLine;

typedef enum
{
  ENG_TOOL_PARSED,
  ENG_TOOL_PARSED_HELP, /* --help was printed: return ENG_TOOL_OK */
  ENG_TOOL_PARSED_BAD,  /* said on standard error: return ENG_TOOL_USAGE */
} EngToolParsed;

/* "--" ends the options. "-" alone is an argument. A negative number is an argument only after "--". */
EngToolParsed eng_tool_parse (int argc, char **argv, EngToolCommandLine *line);

/* Print @error to standard error as "inglenook-engine: [subject: ]text (field …, offset …)" and return the
 * exit code: ENG_TOOL_USAGE for a bad argument, else ENG_TOOL_FAILED. @subject may be NULL. */
int eng_tool_fail (const char *subject, const EngError *error);
/* A message on standard error; returns ENG_TOOL_USAGE. */
int eng_tool_bad_usage (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

/* The whole of @path ("-" is standard input), NUL-terminated; free with eng_free. ENG_ERR_LIMIT over
 * @max_bytes. */
EngStatus eng_tool_read_file (const char *path, size_t max_bytes, char **text, size_t *n_bytes,
                              EngError *error);

/* Print one JSON object written to @json (eng-json.h's writer) and a newline, free it, flush. Exit code. */
int eng_tool_finish_json (EngBuffer *json);
/* Flush standard output: ENG_TOOL_OK, or ENG_TOOL_FAILED said on standard error (disk full, closed pipe). */
int eng_tool_finish_output (void);
