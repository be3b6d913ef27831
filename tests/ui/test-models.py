# SPDX-License-Identifier: Apache-2.0
"""The page of models through accessibility: paste the address of a server on this machine, see size and fit, download with
a pause and a new start of the program in between, talk to the model, shrink it, compare the two, move both to the trash.

    test-models.py PROGRAM      (inside gui-env)
"""
import hashlib
import http.server
import os
import re
import sys
import tempfile
import threading
import time

import atspi
from tap import Tap

STARTER = "SmolLM2-135M-Instruct-Q4_1.gguf"
MANY = 30  # rows: nothing else in the window has so many
PATH = os.path.join(os.environ.get("INGLENOOK_MODELS", ""), STARTER)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pause_s = 0.05  # after each MiB, so that there is something to pause;
    long_pause_s = 2.0  # behind the middle of a download that was not paused yet

    def do_GET(self):
        size = os.path.getsize(PATH)
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = (int(found[1]), min(int(found[2]) + 1 if found[2] else size, size)) if found else (0, size)
        self.send_response(206 if found else 200)
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", '"starter"')
        if found:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (start, end - 1, size))
        self.end_headers()
        try:
            with open(PATH, "rb") as file:
                file.seek(start)
                while start < end:
                    data = file.read(min(1 << 20, end - start))
                    self.wfile.write(data)
                    start += len(data)
                    time.sleep(self.long_pause_s if not found and start > size // 2 else self.pause_s)
        except OSError:
            self.close_connection = True

    def log_message(self, *arguments):
        pass


def walk(node, depth=0):
    """As atspi.walk, but for the catalogue, whose rows are most of the window and a call each and more."""
    yield node, depth
    n = node.get_child_count()
    for i in range(n if n < MANY else 0):
        child = node.get_child_at_index(i)
        if child is not None:
            yield from walk(child, depth + 1)


atspi.walk = walk


def start(program, home, log):
    # Not warnings: GLib gives one where no notification can be shown.
    return atspi.Program([program], {
        "XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config", "XDG_CACHE_HOME": home + "/cache",
        "INGLENOOK_MODELS": home + "/models", "G_DEBUG": "fatal-criticals"}, log=log)


def button(root, name, timeout=10.0):
    return atspi.find(root, "push button", name, timeout)


def row_text(root, part, timeout=10.0):
    """Text of the first label that has `part` in it."""
    def look():
        for node in atspi.find_all(root, "label"):
            text = atspi.text(node) or node.get_name()
            if part in text:
                return text
        return None
    return atspi.wait(look, "a label with %r" % part, timeout)


def answers(root):
    found = [node for node, _ in atspi.walk(root) if node.get_name() == "Answer"]
    return " ".join(atspi.text(node) for node in atspi.find_all(found[-1], "label")) if found else ""


def count_there(*paths):
    return sum(os.path.exists(path) for path in paths)


def is_undo(name):
    return name.endswith("Undo")


def open_page(root, name):
    """The page of the model called so, once the list has it."""
    about = "About this model " + name
    atspi.press_until(root, about, lambda: is_shown(root, name), "the page of " + name)
    row_text(root, "apache-2.0", 30)
    row_text(root, "The one that the model’s authors publish", 30)


def is_shown(root, name):
    """On a page of its own, where its path stands."""
    return atspi.find_now(root, "label", lambda label: "/models/" + name in label)


def shrink(root, path):
    """To the type that the dialog proposes; smaller than it was, and no part left."""
    atspi.press_until(root, "Shrink…", lambda: atspi.find_now(root, "frame", "Shrink the model"), "the dialog")
    atspi.press_until(root, lambda name: name.startswith("_Shrink"), lambda: os.path.exists(path), "the smaller file")
    assert os.path.getsize(path) < os.path.getsize(PATH), os.path.getsize(path)
    assert not [name for name in os.listdir(os.path.dirname(path)) if ".part" in name]


def compare(root, name):
    """Its page has the original beside it, with what was measured of both."""
    open_page(root, name)
    words = row_text(root, "mean KL", 30)
    kl = float(re.search(r"[(]mean KL[)] ([0-9.]+)", words)[1])
    assert 0 <= kl < 1, words
    found = [text for text in (atspi.text(node) or node.get_name() for node in atspi.find_all(root, "label"))
             if re.search(r"\d\sMB · perplexity \d", text)]
    assert len(found) == 2, found
    atspi.press_until(root, "Back to the models", lambda: not is_shown(root, name), "the list of models")


def disk_use(folder):
    return sum(os.lstat(os.path.join(at, name)).st_blocks for at, _, names in os.walk(folder) for name in names)


def run(program, uri):
    with tempfile.TemporaryDirectory() as home:
        log = os.path.join(home, "log")
        final = os.path.join(home, "models", STARTER)
        small = final.replace("Q4_1", "Q4_0")
        try:
            with start(program, home, log) as app:
                atspi.click(button(app.root, "Models"))
                entry = atspi.find(app.root, "text", "Address")
                atspi.set_text(entry, uri)
                atspi.press_until(app.root, "Look", lambda: atspi.find_now(app.root, "label", "What is there"),
                            "what is there")
                words = row_text(app.root, "Needs ", 30)
                assert "98.4" in words and "free" in words, words
                assert "processor" in words or "graphics" in words or "split" in words, words
                atspi.click(button(app.root, "Download"))
                row_text(app.root, " of 98.4", 20)
                atspi.press_until(app.root, "Pause", lambda: atspi.find_now(app.root, "push button", "Go on"), "a pause")
                assert not os.path.exists(final)
                assert any(name.endswith(".part") for name in os.listdir(home + "/models"))
                assert app.close() == 0, "it ended badly"
            with start(program, home, log) as app:
                atspi.click(button(app.root, "Models"))
                row_text(app.root, "Paused at")
                assert not os.path.exists(final)
                atspi.press_until(app.root, "Go on", lambda: not atspi.find_now(app.root, "push button", "Go on"),
                            "it to go on")
                row_text(app.root, "Here, and checked", 60)
                with open(final, "rb") as here, open(PATH, "rb") as there:
                    assert hashlib.sha256(here.read()).digest() == hashlib.sha256(there.read()).digest()
                atspi.click(button(app.root, "Open"))
                atspi.click(button(app.root, "Back to the conversation"))
                atspi.set_text(atspi.find(app.root, "text", "Question"), "Say hello.")
                atspi.click(button(app.root, "Send"))
                atspi.wait(lambda: len(answers(app.root)) > 10, "text of an answer", 60)
                atspi.click(button(app.root, "Models"))
                open_page(app.root, STARTER)
                row_text(app.root, "so far, with", 30)
                shrink(app.root, small)
                compare(app.root, os.path.basename(small))
                atspi.press_until(app.root, "Storage", lambda: atspi.find_now(app.root, "push button", "Move to the trash"),
                            "the page of storage")
                atspi.press_until(app.root, "Move to the trash", lambda: count_there(final, small) < 2, "a file to go")
                left = count_there(final, small)
                atspi.press_until(app.root, is_undo, lambda: count_there(final, small) > left, "the file to come back")
                atspi.press_until(app.root, "Move to the trash", lambda: count_there(final, small) == 0, "both files to go")
                atspi.find(app.root, "label", "0 bytes in models")
                assert disk_use(home + "/models") == 0
                assert app.close() == 0, "it ended badly"
        except BaseException:
            with open(log, errors="replace") as lines:
                print("\n".join("# " + line for line in lines.read()[-3000:].splitlines()))
            raise


def main():
    if not os.path.exists(PATH):
        Tap.skip_all("no starter model")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tap = Tap()
    with tap.case("paste, see, download with a pause and a new start, talk, shrink, compare, delete"):
        run(sys.argv[1], "http://127.0.0.1:%d/%s" % (server.server_port, STARTER))
    sys.exit(tap.done())


main()
