# SPDX-License-Identifier: Apache-2.0
"""What is written about options is what the program says: --help, man page and the completions of bash, zsh and fish name the
same ones; the shells that are here take the files and complete with them; the man pages are sound.

    test-words.py SOURCE_ROOT PROGRAM ENGINE      (inglenook, inglenook-engine)
"""
import os
import re
import shutil
import subprocess
import sys

from tap import Tap

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def said(*command, **options):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                            env=dict(os.environ, LC_ALL="C.UTF-8", LANGUAGE=""), **options)
    return result.stdout


def main():
    root, program, engine = sys.argv[1:4]
    data = os.path.join(root, "data")
    tap = Tap()

    def read(name):
        with open(os.path.join(data, name), encoding="utf-8") as file:
            return file.read()

    helps = {"": said(program, "--help"), "ask": said(program, "ask", "--help"), "search": said(program, "search", "--help")}
    known = set(OPTION.findall("".join(helps.values()))) | {"--help"}
    with tap.case("inglenook's help names its options"):
        assert {"--offline", "--new-conversation", "--ask-about-file", "--version", "--model", "--document", "--json",
                "--conversation", "--history-file"} <= known, known
    with tap.case("its completions name them all and no other"):
        assert set(OPTION.findall(read("completions/inglenook.bash"))) == known
        assert set(OPTION.findall(read("completions/_inglenook"))) == known
        fish = set("--" + name for name in re.findall(r"^complete .* -l ([a-z-]+)", read("completions/inglenook.fish"), re.MULTILINE))
        assert fish == known, fish ^ known
    with tap.case("its man page describes them all and no other"):
        described = set("--" + name for name in re.findall(r"Fl -([a-z][a-z-]+)", read("inglenook.1")))
        # --help and --version go without saying, as in other pages.
        assert described | {"--help", "--version"} == known, described ^ known
    if shutil.which("bash"):
        with tap.case("bash completes"):
            script = "source '%s'; COMP_WORDS=(inglenook ask --doc); COMP_CWORD=2; _inglenook; echo \"${COMPREPLY[@]}\""
            assert said("bash", "--norc", "-c", script % os.path.join(data, "completions/inglenook.bash")).strip() == "--document"
            script = "source '%s'; COMP_WORDS=(inglenook-engine ben); COMP_CWORD=1; _inglenook_engine; echo \"${COMPREPLY[@]}\""
            assert said("bash", "--norc", "-c", script % os.path.join(data, "completions/inglenook-engine.bash")).strip() == "bench"
    if shutil.which("zsh"):
        with tap.case("zsh takes its files"):
            for name in ("_inglenook", "_inglenook-engine"):
                assert said("zsh", "-f", "-n", os.path.join(data, "completions", name)) == "", name
    if shutil.which("fish"):
        with tap.case("fish completes"):
            for file, line, wanted in (("inglenook.fish", "inglenook --off", "--offline"),
                                       ("inglenook-engine.fish", "inglenook-engine ben", "bench")):
                out = said("fish", "--no-config", "-c", "source '%s'; complete -C '%s'" % (os.path.join(data, "completions", file), line))
                assert any(word.split("\t")[0] == wanted for word in out.splitlines()), out
    if shutil.which("groff"):
        with tap.case("groff has nothing to say against the man pages"):
            for name in ("inglenook.1", "inglenook-engine.1", "inglenook-reader.1"):
                out = said("groff", "-mdoc", "-Tutf8", "-ww", "-z", os.path.join(data, name))
                assert out == "", (name, out[:2000])
    with tap.case("the engine's own help is complete"):
        for name in re.findall(r"^  ([a-z]+)  +\S", said(engine, "--help"), re.MULTILINE):
            assert name in read("inglenook-engine.1"), name
    return tap.done()


sys.exit(main())
