# SPDX-License-Identifier: Apache-2.0
"""Each header compiles alone, twice over, and sees only the folders that it may see.

- engine/include: as C and as C++, with no other folder on the include path;
- engine/FOLDER: with include/, FOLDER and the folders before it;
- app/include: with GIO alone, so it can mention nothing of the engine; other headers of app/ with
  app's folders and engine/include, and ui/'s with app/include and never engine/include;
- every header begins with the licence line and has #pragma once.
"""
import argparse
import concurrent.futures
import os
import subprocess
import sys
import tempfile

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# HACKING.md, "Layers". A folder sees those before it.
ENGINE = ["base", "gguf", "quant", "kernels", "tokenizer", "template", "cache", "sampling", "model",
          "backend", "scheduler", "session", "transfer", "service", "tools"]
WARNINGS = ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
            "-Wno-missing-field-initializers", "-Wno-sign-compare", "-Wno-unused-function",
            "-Wno-unused-const-variable", "-Wno-unused-variable"]
PUBLIC_PACKAGES = ["gio-2.0"]
APP_PACKAGES = ["gio-unix-2.0", "gio-2.0", "sqlite3", "libsoup-3.0", "json-glib-1.0"]
UI_PACKAGES = ["gtk4", "libadwaita-1", "gtksourceview-5"]


def headers_below(*folders):
    for folder in folders:
        for path, _, names in sorted(os.walk(os.path.join(ROOT, folder))):
            for name in sorted(names):
                # templates of kernels and tables stand inside another file and are no headers
                if name.endswith(".h") and not name.endswith(("-tmpl.h", "-tables.h")) \
                        and not name.startswith("eng-simd-"):
                    yield os.path.relpath(os.path.join(path, name), ROOT)


def flags_of(packages):
    flags = []
    for package in packages:
        result = subprocess.run(["pkg-config", "--cflags", package], capture_output=True, text=True)
        if result.returncode == 0:
            flags += [f for f in result.stdout.split() if f not in flags]
    return flags


def include(*folders):
    return ["-I" + os.path.join(ROOT, f) for f in folders if os.path.isdir(os.path.join(ROOT, f))]


def folders_below(folder):
    return sorted(os.path.relpath(p, ROOT) for p, _, names in os.walk(os.path.join(ROOT, folder))
                  if any(n.endswith(".h") for n in names))


def compile_alone(compiler, language, header, flags):
    """None, or what the compiler said."""
    name = os.path.basename(header)
    with tempfile.TemporaryDirectory() as scratch:
        suffix = {"c": ".c", "c++": ".cc"}[language]
        source = os.path.join(scratch, "alone" + suffix)
        with open(source, "w", encoding="utf-8") as out:
            # Twice: the guard works. The variable: an empty translation unit is a warning.
            out.write('#include "%s"\n#include "%s"\nextern int alone;\n' % (name, name))
        result = subprocess.run([compiler, "-x", language, "-fsyntax-only"] + flags + [source],
                                capture_output=True, text=True)
    return None if result.returncode == 0 else result.stderr


def plan(layers, cc, cxx):
    """(name of the case, compiler, language, header, flags)"""
    cxx_flags = [f for f in WARNINGS if not f.startswith("-std")] + ["-std=c++17"]
    for header in headers_below("engine/include"):
        yield header, cc, "c", header, WARNINGS + include("engine/include")
        if cxx:
            yield header + " as C++", cxx, "c++", header, cxx_flags + include("engine/include")
    for i, folder in enumerate(ENGINE):
        before = ["engine/include"] + ["engine/" + f for f in ENGINE[:i + 1]]
        for header in headers_below("engine/" + folder):
            own = os.path.dirname(header)
            flags = WARNINGS + include(own, *before)
            if "/x86/" in header:
                flags = flags + ["-mavx2", "-mfma", "-mf16c"]
            if "/arm64/" in header:
                continue
            yield header, cc, "c", header, flags
    if layers != "all":
        return
    app = WARNINGS + flags_of(APP_PACKAGES)
    for header in headers_below("app"):
        if header.startswith("app/include/"):
            flags = flags_of(PUBLIC_PACKAGES) + include("app/include")
        else:
            flags = flags_of(APP_PACKAGES) + include(os.path.dirname(header), "app", "engine/include",
                                                     *folders_below("app"))
        yield header, cc, "c", header, WARNINGS + flags
    for header in headers_below("ui"):
        yield (header, cc, "c", header, WARNINGS + flags_of(UI_PACKAGES)
               + include(os.path.dirname(header), "ui", "app/include", *folders_below("ui")))


def check_text(header):
    with open(os.path.join(ROOT, header), encoding="utf-8") as source:
        text = source.read()
    assert text.startswith("/* SPDX-License-Identifier: Apache-2.0"), "the licence line is not first"
    assert "#pragma once" in text, "no #pragma once"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--cxx", default="")
    parser.add_argument("--layers", choices=("engine", "all"), default="all")
    arguments = parser.parse_args()
    tap = Tap()
    cases = list(plan(arguments.layers, arguments.cc, arguments.cxx))
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for case, said in zip(cases, pool.map(lambda c: compile_alone(*c[1:]), cases)):
            tap.result(said is None, case[0], said or "")
    for header in headers_below("engine", "app", "ui", "reader"):
        with tap.case(header + " begins as a header should"):
            check_text(header)
    if not arguments.cxx:
        tap.skip("engine/include as C++", "no C++ compiler")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
