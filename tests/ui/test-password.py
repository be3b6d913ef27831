# SPDX-License-Identifier: Apache-2.0
"""A locked PDF asks for its password in the real window: typed wrong, typed right, not given, and given later.

    test-password.py PROGRAM      (inside gui-env)
"""
import os
import subprocess
import sys
import tempfile
import time

import atspi
from conversation import start
from tap import Tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reader"))
import documents  # noqa: E402  (of tests/reader)

PASSWORD = "open sesame"


def make_locked(home, name):
    path = os.path.join(home, name)
    with open(path, "wb") as out:
        out.write(documents.locked_pdf(PASSWORD, documents.page(1, "The rent is due on the third day of each month.")))
    return path


def wait_entry(app):
    """The dialog's entry has the keyboard."""
    def listens():
        """The one of a dialog that closes may be there still."""
        entries = [entry for entry in atspi.find_all(app.root, "text") if entry.get_name() == "Password"]
        return len(entries) == 1 and atspi.has_state(entries[0], "focused")
    atspi.wait(listens, "the entry to listen", 30)
    time.sleep(0.3)  # the window manager's part of it


def close_by(key):
    """The dialog is gone from the screen. Until then nobody looks: GTK 4.8 warns of a path that is NULL when it is asked about
    what stands in a window that closes, and a warning ends the program here."""
    dialog = atspi.xdotool("getwindowfocus")
    atspi.key(key)

    def is_gone():
        shown = subprocess.run(("xdotool", "search", "--onlyvisible", "--name", " is locked$"), capture_output=True, text=True)
        return dialog not in shown.stdout.split()
    atspi.wait(is_gone, "the dialog to close", 10)
    time.sleep(0.5)  # the program's part of it


def type_password(app, words, password):
    atspi.find(app.root, "label", words, timeout=30)
    wait_entry(app)
    atspi.xdotool("type", password)
    close_by("Return")


def main():
    program = sys.argv[1]
    tap = Tap()
    with tempfile.TemporaryDirectory() as home:
        log = os.path.join(home, "log")
        with start(program, home, log, make_locked(home, "locked.pdf")) as app:
            with tap.case("a locked document asks for its password, and again after a wrong one"):
                atspi.find(app.root, "label", "“locked.pdf” is locked", timeout=30)
                type_password(app, lambda text: text.startswith("Its password opens it."), "sesame")
                type_password(app, lambda text: text.startswith("The password is wrong."), PASSWORD)
                atspi.find(app.root, name="locked.pdf, 1 page", timeout=30)
                assert app.close() == 0
        with start(program, home, log, make_locked(home, "second.pdf")) as app:
            with tap.case("without its password it stays locked, and a button asks again"):
                atspi.find(app.root, "label", "“second.pdf” is locked", timeout=30)
                wait_entry(app)
                close_by("Escape")
                atspi.is_gone(app.root, "label", "“second.pdf” is locked")
                atspi.find(app.root, name="second.pdf, locked")
                atspi.press(app.root, "Enter the password")
                type_password(app, lambda text: text.startswith("Its password opens it."), PASSWORD)
                atspi.find(app.root, name="second.pdf, 1 page", timeout=30)
                assert app.close() == 0
    sys.exit(tap.done())


main()
