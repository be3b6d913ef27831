# SPDX-License-Identifier: Apache-2.0
"""`meson install` with DESTDIR, and what it put there moved somewhere else: the program runs from any prefix, with its own
helpers, words and catalogue, and nothing was written outside the prefix.

    test-install.py BUILD_ROOT PREFIX debug|plain      (the build that is installed, its configured prefix, has it debug data)
"""
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

from tap import Tap

ID = "io.github.inglenook_app.Inglenook"
WANTED = ["bin/inglenook", "bin/inglenook-engine", "share/applications/%s.desktop" % ID, "share/metainfo/%s.metainfo.xml" % ID,
          "share/dbus-1/services/%s.service" % ID, "share/gnome-shell/search-providers/%s.search-provider.ini" % ID,
          "share/icons/hicolor/scalable/apps/%s.svg" % ID, "share/icons/hicolor/symbolic/apps/%s-symbolic.svg" % ID,
          "share/mime/packages/%s.xml" % ID, "share/locale/zh_CN/LC_MESSAGES/inglenook.mo",
          "share/man/man1/inglenook.1", "share/man/man1/inglenook-engine.1", "share/man/man1/inglenook-reader.1",
          "share/bash-completion/completions/inglenook", "share/zsh/site-functions/_inglenook",
          "share/fish/vendor_completions.d/inglenook.fish"]


def walk(root):
    for folder, _, names in os.walk(root):
        for name in names:
            yield os.path.join(folder, name)


def main():
    build, prefix, kind = sys.argv[1:4]
    tap = Tap()
    with tempfile.TemporaryDirectory() as scratch:
        stage = os.path.join(scratch, "stage")
        environment = {"PATH": os.environ["PATH"], "HOME": os.path.join(scratch, "home"), "LC_ALL": "C.UTF-8"}

        def run(*command, **options):
            result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                                    env=dict(environment, **options))
            assert result.returncode == 0, (command, result.returncode, result.stdout[-2000:], result.stderr[-2000:])
            return result.stdout

        os.mkdir(environment["HOME"])
        staged = stage + prefix
        with tap.case("DESTDIR: everything below the prefix, nothing beside it"):
            run("meson", "install", "-C", build, "--destdir", stage, "--no-rebuild", "--quiet")
            for path in walk(stage):
                assert path.startswith(staged + "/"), path
                mode = os.stat(path).st_mode
                assert stat.S_IMODE(mode) & 0o022 == 0 and mode & 0o444 == 0o444, (path, oct(mode))
            for name in WANTED:
                assert os.path.exists(os.path.join(staged, name)), name
            assert len([path for path in walk(staged) if path.endswith("/inglenook-reader")]) == 1
        with tap.case("the bus starts the program where it was configured to be"):
            with open(os.path.join(staged, "share/dbus-1/services/%s.service" % ID), encoding="utf-8") as service:
                assert "Exec=%s/bin/inglenook --gapplication-service\n" % prefix in service.read()
        if kind == "plain":
            with tap.case("nothing that is installed names the build"):
                for path in walk(staged):
                    with open(path, "rb") as content:
                        assert os.fsencode(os.path.join(build, "")) not in content.read(), path
        moved = os.path.join(scratch, "opt", "some where")
        os.mkdir(os.path.dirname(moved))
        shutil.move(staged, moved)
        program = os.path.join(moved, "bin", "inglenook")
        with tap.case("moved, the program runs"):
            assert run(program, "--version").startswith("inglenook ")
            assert json.loads(run(os.path.join(moved, "bin", "inglenook-engine"), "inspect", "--devices", "--json"))["devices"]
        with tap.case("moved, it takes its own reader"):
            reader = next(path for path in walk(moved) if path.endswith("/inglenook-reader"))
            os.rename(reader, reader + "-real")
            with open(reader, "w", encoding="utf-8") as out:
                out.write("#!/bin/sh\necho >'%s/used'\nexec '%s-real' \"$@\"\n" % (scratch, reader))
            os.chmod(reader, 0o755)
            note = os.path.join(scratch, "note.md")
            with open(note, "w", encoding="utf-8") as out:
                out.write("# Lease\n\nThe rent of the harbour flat is due on the third of each month.\n")
            said = run(program, "search", "--document", note, "rent due")
            assert "third of each month" in said, said
            assert os.path.exists(os.path.join(scratch, "used"))
        with tap.case("moved, it takes its own engine"):
            engine = os.path.join(moved, "bin", "inglenook-engine")
            said = run("strace", "-f", "-e", "trace=access,faccessat,faccessat2", "-o", os.path.join(scratch, "trace"), program,
                       "search", "--document", note, "rent due") if shutil.which("strace") else None
            if said is not None:
                with open(os.path.join(scratch, "trace"), encoding="utf-8", errors="replace") as trace:
                    assert engine in trace.read()
        if os.path.isdir("/usr/lib/locale") and "en_US.utf8" in os.listdir("/usr/lib/locale"):
            with tap.case("moved, it speaks Chinese"):
                assert "用法" in run(program, "--help", LC_ALL="en_US.UTF-8", LANGUAGE="zh_CN")
    return tap.done()


sys.exit(main())
