# SPDX-License-Identifier: Apache-2.0
"""Everything that a sandbox makes the desktop's to give, asked of its portals: files, the folder of models, no sleep while a
model is fetched, leave to go on without a window, a word when it is done. $GTK_USE_PORTAL and $GDK_DEBUG make GLib, GTK and the
program take that way outside a sandbox too. (Without portals: every other test here.)

    test-portals.py PROGRAM MODEL      (inside gui-env; any small model)
"""
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading

import atspi
from gi.repository import Gio, GLib
from tap import Tap

ID = "io.github.inglenook_app.Inglenook"
PATH = "/io/github/inglenook_app/Inglenook"
FAKE = os.path.join(os.path.dirname(os.path.abspath(atspi.__file__)), "fake_portal.py")
HEAD = 4096  # bytes of the model that come at once; the rest when the test says so


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, model):
        super().__init__(("127.0.0.1", 0), Handler)
        self.go_on = threading.Event()
        with open(model, "rb") as file:
            self.data = file.read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        data = self.server.data
        asked = self.headers.get("Range", "")
        start = int(asked[len("bytes="):].split("-")[0]) if asked.startswith("bytes=") else 0
        end = asked.split("-")[1] if asked else ""
        end = min(int(end) + 1, len(data)) if end else len(data)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", '"it"')
        if asked:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (start, end - 1, len(data)))
        self.end_headers()
        try:
            now = max(start, min(end, HEAD))
            self.wfile.write(data[start:now])
            if now < end:
                self.server.go_on.wait(120)
                self.wfile.write(data[now:end])
        except OSError:
            self.close_connection = True

    def log_message(self, *arguments):
        pass


class Portal:
    """The fake one, in a process of its own."""

    def __init__(self, folder):
        self.log, self.said = os.path.join(folder, "portal.log"), os.path.join(folder, "portal.json")
        open(self.log, "w", encoding="utf-8").close()
        self.answer()
        self.process = subprocess.Popen([sys.executable, FAKE, self.log, self.said])
        self.wait("ready")

    def answer(self, **answers):
        with open(self.said + ".new", "w", encoding="utf-8") as out:
            json.dump(answers, out)
        os.replace(self.said + ".new", self.said)

    def asked(self, method):
        with open(self.log, encoding="utf-8") as lines:
            return [call for call in map(json.loads, lines.read().splitlines()) if call["method"] == method]

    def wait(self, method, n=1):
        return atspi.wait(lambda: self.asked(method)[n - 1:], "%s, asked of the portal" % method, 60)[0]

    def end(self):
        self.process.terminate()
        self.process.wait()


def activate(name):
    Gio.bus_get_sync(Gio.BusType.SESSION).call_sync(
        ID, PATH, "org.freedesktop.Application", "ActivateAction", GLib.Variant("(sava{sv})", (name, [], {})), None,
        Gio.DBusCallFlags.NONE, 30000, None)


def close_window(running):
    """The window alone, as its button does: what runs goes on."""
    atspi.find(running.root, "frame")
    atspi.key("ctrl+w")


def main():
    program, model = sys.argv[1:3]
    tap = Tap()
    with tempfile.TemporaryDirectory() as home:
        server = Server(model)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        portal = Portal(home)
        models = os.path.join(home, "models")
        final = os.path.join(models, "it.gguf")

        def start():
            return atspi.Program([program], {
                "GTK_USE_PORTAL": "1", "GDK_DEBUG": "portals", "XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config",
                "XDG_CACHE_HOME": home + "/cache", "INGLENOOK_MODELS": models, "G_DEBUG": "fatal-criticals"},
                log=os.path.join(home, "log"))

        try:
            with start() as running:
                atspi.find(running.root, "text", "Question", 30)
                with tap.case("files to ask about come from the portal's chooser"):
                    note = os.path.join(home, "harbour.md")
                    with open(note, "w", encoding="utf-8") as out:
                        out.write("# Harbour\n\nThe crane is painted red.\n")
                    portal.answer(files=[note])
                    activate("ask-about-file")
                    call = portal.wait("OpenFile")
                    assert call["interface"] == "FileChooser" and call["arguments"][2]["multiple"] is True, call
                    atspi.wait(lambda: "harbour.md" in atspi.all_text(running.root), "the document", 30)
                with tap.case("the folder of models is opened by the portal"):
                    atspi.press_main_menu(running.root, "Show the folder of models")
                    atspi.wait(lambda: [c for m in ("OpenFile", "OpenURI", "OpenDirectory") for c in portal.asked(m)
                                        if c["interface"] == "OpenURI"], "OpenURI", 30)
                    call = [c for m in ("OpenFile", "OpenURI", "OpenDirectory") for c in portal.asked(m)
                            if c["interface"] == "OpenURI"][0]
                    assert models in (call.get("path", ""), call["arguments"][1][len("file://"):]
                                      if isinstance(call["arguments"][1], str) else ""), call
                with tap.case("the machine is kept awake while a model comes"):
                    atspi.click(atspi.find(running.root, "push button", "Models"))
                    atspi.set_text(atspi.find(running.root, "text", "Address"), "http://127.0.0.1:%d/it.gguf" % server.server_port)
                    atspi.press_until(running.root, "Look", lambda: atspi.find_now(running.root, "label", "What is there"), "what is there")
                    atspi.press_until(running.root, "Download", lambda: portal.asked("Inhibit"), "the download")
                    call = portal.wait("Inhibit")
                    assert call["arguments"][1] & 4, call
                    assert call["arguments"][2]["reason"], call
                with tap.case("no leave to go on without a window: it ends in order and keeps what came"):
                    portal.answer(background=False)
                    close_window(running)
                    call = portal.wait("RequestBackground")
                    assert "being fetched" in call["arguments"][1]["reason"] and call["arguments"][1]["autostart"] is False, call
                    assert running.process.wait(60) == 0
                    assert [n for n in os.listdir(models) if n.endswith(".part")] and not os.path.exists(final), os.listdir(models)
                    assert not portal.asked("AddNotification")
            with start() as running:
                atspi.find(running.root, "text", "Question", 30)
                with tap.case("with leave it goes on, says when it is done, and ends"):
                    portal.wait("Inhibit", 2)  # it goes on with what it kept
                    portal.answer(background=True)
                    close_window(running)
                    portal.wait("RequestBackground", 2)
                    call = portal.wait("SetStatus")
                    assert "being fetched" in call["arguments"][0]["message"], call
                    server.go_on.set()
                    call = portal.wait("AddNotification")
                    assert "done" in json.dumps(call["arguments"]), call
                    assert running.process.wait(60) == 0
                    with open(final, "rb") as came:
                        assert came.read() == server.data
                    # By the cookie, or with the end of the program that held it.
                    atspi.wait(lambda: portal.asked("Close"), "the inhibition to end", 30)
        finally:
            server.go_on.set()
            portal.end()
            with open(os.path.join(home, "log"), encoding="utf-8", errors="replace") as lines:
                print("".join("# " + line for line in lines.readlines()[-8:]), end="")
    return tap.done()


sys.exit(main())
