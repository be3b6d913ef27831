# SPDX-License-Identifier: Apache-2.0
"""PDFs whose pages are pictures of text: the reader tells which, and the library has tesseract recognize them, confined.

    test-scans.py READER ASK-TOOL SCAN-TOOL
"""
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

import documents as d
from reader_run import READER, read
from tap import Tap

TEXT = "This page has letters, and the next is a picture of some."
MIXED = [TEXT, [d.ENGLISH_DOTS], "Here letters stand again, behind the picture of a page."]


class Searcher:
    """`inglenook search` with a folder of its own."""

    def __init__(self, tool, home, path=None):
        self.tool, self.environment = os.path.abspath(tool), {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": ""}
        self.environment["INGLENOOK_MODELS"] = os.path.join(home, "models")
        self.environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
        self.environment["PATH"] = path or self.environment["PATH"]
        for name in ("DATA", "CONFIG", "CACHE", "STATE"):
            self.environment["XDG_%s_HOME" % name] = os.path.join(home, name.lower())

    def start(self, document, query):
        return subprocess.Popen([self.tool, "search", "--json", "--document", document, query], env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True)

    def search(self, document, query):
        """Passages, and what was said."""
        with self.start(document, query) as child:
            out, said = child.communicate(timeout=120)
        return json.loads(out)["passages"] if out else [], said.decode()


def write(home, name, data):
    path = os.path.join(home, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def test_reader(tap):
    with tap.case("the reader tells which pages are pictures, in their order"):
        result = read(d.scanned_pdf(MIXED), "mixed.pdf")
        assert result.scans == [2] and [b["page"] for b in result.blocks] == [1, 3], str(result)
        result = read(d.scanned_pdf([[d.ENGLISH_DOTS]] * 3), "scan.pdf")
        assert result.scans == [1, 2, 3] and result.end["notes"] == ["no-text"], str(result)
    with tap.case("what becomes the program that recognizes is confined as the reader is"):
        done = subprocess.run([READER, "recognize", "/bin/sh", "-c", "cat /etc/passwd; echo x > %s; echo $(exec /bin/true); echo end"
                               % os.path.join(tempfile.gettempdir(), "written")], capture_output=True, text=True, check=False)
        assert done.stdout.split() == ["end"] or done.returncode != 0, done
        assert not os.path.exists(os.path.join(tempfile.gettempdir(), "written"))


def test_without(tap, tool):
    with tempfile.TemporaryDirectory() as home:
        os.mkdir(os.path.join(home, "bin"))
        with tap.case("without tesseract a scan says what is missing"):
            _, said = Searcher(tool, home, os.path.join(home, "bin")).search(
                write(home, "scan.pdf", d.scanned_pdf([[d.ENGLISH_DOTS]])), "lighthouse")
            assert "no text in the document" in said and "Install tesseract" in said, said


def test_with(tap, tool, languages):
    with tempfile.TemporaryDirectory() as home:
        searcher = Searcher(tool, home)
        with tap.case("the pages that are pictures are recognized, the others read, each in its place"):
            path = write(home, "mixed.pdf", d.scanned_pdf(MIXED))
            passages, said = searcher.search(path, "lighthouse keeper lamp")
            assert said == "" and d.ENGLISH_LINE in passages[0]["text"], (passages, said)
            assert passages[0]["page"] == 2 and passages[0]["recognized"] and passages[0]["heading"] == "", passages
            assert "letters" not in passages[0]["text"], passages
            passages, said = searcher.search(path, "letters stand again behind the picture")
            assert passages[0]["page"] == 3 and not passages[0]["recognized"], passages
        if "chi_sim" in languages and "osd" in languages:
            with tap.case("a Chinese page is read as Chinese, whatever the person's language"):
                path = write(home, "chinese.pdf", d.scanned_pdf([[d.CHINESE_DOTS] * 6]))
                passages, said = searcher.search(path, "谁检查海边的小屋")
                assert said == "" and passages[0]["text"].count(d.CHINESE_LINE[3:]) >= 5, (passages, said)
        else:
            tap.skip("a Chinese page is read as Chinese", "tesseract has no chi_sim or osd here")
        with tap.case("a picture without text is none"):
            _, said = searcher.search(write(home, "picture.pdf", d.picture_pdf()), "green")
            assert "no text in the document" in said and "Install" not in said, said
        with tap.case("it stops within 200 ms"):
            child = searcher.start(write(home, "long.pdf", d.scanned_pdf([[d.ENGLISH_DOTS] * 20] * 30)), "lighthouse")
            time.sleep(1.5)
            assert child.poll() is None
            start = time.monotonic()
            child.terminate()
            child.communicate(timeout=10)
            print("# %.0f ms" % (1000 * (time.monotonic() - start)))
            assert time.monotonic() - start < 2


class Scan:
    """scan-tool: what a question finds in @document while its pages are recognized; @other is added behind it."""

    def __init__(self, tool, data, document, path=None, other=()):
        environment = {**os.environ, "INGLENOOK_MODELS": data, "PATH": path or os.environ["PATH"]}
        self.child = subprocess.Popen([os.path.abspath(tool), data, document, "What does the keeper do?", *other], env=environment,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def __iter__(self):
        """(page at work, of how many, pages found), at the end (0, 0, pages)."""
        for line in self.child.stdout:
            page, of, found, other = line.split()
            self.other_is_read = other == "1"
            yield int(page), int(of), [int(f) for f in found.split(",") if f != "-"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


def vectors(data, change=None):
    """Pages of the chunks that have a vector, with its scale: a number that nothing but making it again sets back."""
    with contextlib.closing(sqlite3.connect(os.path.join(data, "documents.sqlite"))) as base, base:
        if change is not None:
            base.execute("UPDATE vectors SET scale = ?", (change,))
        return dict(base.execute("SELECT page, scale FROM vectors JOIN chunks ON chunks.id = chunk_id ORDER BY page"))


def test_page_by_page(tap, tool):
    with tempfile.TemporaryDirectory() as home:
        data, copy, nothing = [os.path.join(home, name) for name in ("data", "copy", "nothing")]
        os.makedirs(os.path.join(data, "all-MiniLM-L6-v2")) # the engine, which is a double, wants no more of it
        os.mkdir(nothing)
        path = write(home, "scan.pdf", d.scanned_pdf([[d.ENGLISH_DOTS] * 3] * 6))
        with tap.case("pages are searched while others are recognized"):
            with Scan(tool, data, path) as scan:
                page, of, found = next(iter(scan))
                assert page > 0 and of == 6 and found[0] == 1 and 6 not in found, (page, of, found)
                for page, of, found in scan:
                    assert found == list(range(1, len(found) + 1)), (page, of, found)
                    if len(found) >= 3:
                        break
        known = found
        kept = vectors(data, change=0.25) # what the program left, which keeps its database to itself
        with tap.case("and have vectors before the last one is"):
            assert page > 0 and 1 in kept and 6 not in kept, (page, kept)
        shutil.copytree(data, copy)
        with tap.case("what was recognized before the program was killed is not recognized again"):
            # Without tesseract that is all there is.
            with Scan(tool, copy, path, nothing) as scan:
                page, of, found = list(scan)[-1]
            assert page == 0 and found[:3] == known[:3] and 6 not in found, (page, known, found)
        with tap.case("and the others follow"):
            with Scan(tool, data, path) as scan:
                seen = list(scan)
            assert seen[0][2][:4] == [1, 2, 3, 4], seen
            assert seen[-1] == (0, 0, [1, 2, 3, 4, 5, 6]), seen
        with tap.case("vectors that were made are not made again"):
            made = vectors(data)
            assert len(made) == 6 and [page for page in made if made[page] == 0.25] == list(kept), (made, kept)


def test_others_first(tap, tool):
    with tempfile.TemporaryDirectory() as home:
        data = os.path.join(home, "data")
        os.mkdir(data)
        scan, letter = write(home, "scan.pdf", d.scanned_pdf([[d.ENGLISH_DOTS] * 3] * 3)), write(home, "letter.txt", TEXT.encode())
        with tap.case("a document that is added behind a scan does not wait for its pages"):
            with Scan(tool, data, scan, other=[letter]) as running:
                for page, of, found in running:
                    assert running.other_is_read or not found, (page, of, found)
            assert found == [1, 2, 3], found


def main():
    tool, tap = sys.argv[2], Tap()
    test_reader(tap)
    test_without(tap, tool)
    if shutil.which("tesseract") is None:
        tap.skip("pages are recognized", "tesseract is not installed")
        return tap.done()
    languages = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=True).stdout.split()
    if "eng" not in languages:
        tap.skip("pages are recognized", "tesseract has no English here")
        return tap.done()
    test_with(tap, tool, languages)
    test_page_by_page(tap, sys.argv[3])
    test_others_first(tap, sys.argv[3])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
