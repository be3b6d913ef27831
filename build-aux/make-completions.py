#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what inglenook-engine says of its options into the completions of bash, fish and zsh and into its man page.

    make-completions.py ENGINE [--check]

The man page's options stand between two marks. With --check nothing is written; the exit status is 1 if a file differs.
"""
import os
import re
import subprocess
import sys

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
OPTION = re.compile(r"^  (--?[a-zA-Z][a-z0-9-]*)(?:[ =]([A-Z][^ ]*(?: [A-Z][A-Z0-9.]*)*)|\[=([A-Z]+)\])?  +(\S.*)$")
BEGIN, END = '.\\" Options, from --help (build-aux/make-completions.py)\n', '.\\" End of the options\n'
LICENCE = "# SPDX-License-Identifier: Apache-2.0\n# Made by build-aux/make-completions.py.\n"


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True,
                          env=dict(os.environ, LC_ALL="C.UTF-8")).stdout


def read_help(engine):
    """[(command, what it does, [(option, argument or "", what it does)])]"""
    commands = []
    for name, what in re.findall(r"^  ([a-z]+)  +(\S.*)$", said(engine, "--help"), re.MULTILINE):
        options = []
        for line in said(engine, name, "--help").splitlines():
            match = OPTION.match(line)
            if match:
                options.append((match.group(1), match.group(2) or match.group(3) or "", match.group(4)))
        commands.append((name, what, options))
    return commands


def bash(commands):
    cases = "".join('    %s) words="%s" ;;\n' % (name, " ".join(o for o, _, _ in options))
                    for name, _, options in commands)
    return LICENCE + '''_inglenook_engine ()
{
  local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]} words
  if [ "$COMP_CWORD" = 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "%s --help --version" -- "$word")
    return
  fi
  if [ "$last" = --device ]; then
    mapfile -t COMPREPLY < <(compgen -W "auto cpu cuda" -- "$word")
    return
  fi
  if [[ $word != -* ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    return
  fi
  case ${COMP_WORDS[1]} in
%s    *) words= ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words --help" -- "$word")
}
complete -F _inglenook_engine inglenook-engine
''' % (" ".join(c[0] for c in commands), cases)


def fish(commands):
    out = LICENCE + "set -l commands %s\n" % " ".join(c[0] for c in commands)
    out += "complete -c inglenook-engine -l help -d 'Show help'\n"
    out += 'complete -c inglenook-engine -n "not __fish_seen_subcommand_from $commands" -l version -d "Show the version"\n'
    for name, what, _ in commands:
        out += 'complete -c inglenook-engine -n "not __fish_seen_subcommand_from $commands" -f -a %s -d "%s"\n' % (
            name, what.replace('"', "'"))
    for name, _, options in commands:
        for option, argument, what in options:
            out += 'complete -c inglenook-engine -n "__fish_seen_subcommand_from %s" %s %s%s -d "%s"\n' % (
                name, "-l" if option.startswith("--") else "-s", option.lstrip("-"),
                ' -x -a "auto cpu cuda"' if option == "--device" else " -r -F" if argument else "",
                what.replace('"', "'").replace("$", "\\$"))
    return out


def zsh(commands):
    def quoted(text):
        return text.replace("'", "’").replace("[", "(").replace("]", ")").replace(":", ",")
    out = "#compdef inglenook-engine\n" + LICENCE + "local state\n_arguments -C '--help[show help]' '--version[show the " \
        "version]' '1:command:(%s)' '*::: :->rest'\n" % " ".join(c[0] for c in commands)
    out += "case $words[1] in\n"
    for name, _, options in commands:
        out += "  %s) _arguments \\\n" % name
        for option, argument, what in options:
            value = ":device:(auto cpu cuda)" if option == "--device" else ":%s:_files" % argument.lower() if argument else ""
            out += "    '%s[%s]%s' \\\n" % (option, quoted(what), value)
        out += "    '--help[show help]' '*:file:_files' ;;\n"
    return out + "esac\n"


def mdoc(text):
    """A line of text for mdoc: nothing at its beginning or in it may be a macro."""
    return text.replace("\\", "\\e").replace("…", "\\[u2026]") if not text.startswith((".", "'")) else "\\&" + text


def man(commands, page):
    out = BEGIN
    for name, _, options in commands:
        if not options:
            continue
        out += ".Ss Options of %s\n.Bl -tag -width Ds\n" % name
        for option, argument, what in options:
            out += ".It Fl %s%s\n%s\n" % (option[1:], " Ar " + argument if argument else "", mdoc(what))
        out += ".El\n"
    head, rest = page.split(BEGIN)
    return head + out + END + rest.split(END)[1]


def main():
    commands = read_help(sys.argv[1])
    assert len(commands) >= 10 and sum(len(c[2]) for c in commands) >= 60, commands
    with open(os.path.join(DATA, "inglenook-engine.1"), encoding="utf-8") as source:
        page = source.read()
    wanted = {"completions/inglenook-engine.bash": bash(commands), "completions/inglenook-engine.fish": fish(commands),
              "completions/_inglenook-engine": zsh(commands), "inglenook-engine.1": man(commands, page)}
    stale = []
    for name, text in wanted.items():
        path = os.path.join(DATA, name)
        with open(path, encoding="utf-8") as source:
            if source.read() == text:
                continue
        stale.append(name)
        if "--check" not in sys.argv:
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
    for name in stale:
        print("data/%s %s" % (name, "does not say what --help says: run build-aux/make-completions.py ENGINE"
                              if "--check" in sys.argv else "written"))
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
