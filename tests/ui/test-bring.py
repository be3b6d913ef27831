# SPDX-License-Identifier: Apache-2.0
"""The Flatpak's data brought to the program outside: menu, dialogs, what is on the list afterwards, what is left there.
The other direction begins at a file chooser and is tested without a window (tests/app/test-bring.c, "layouts").

    test-bring.py PROGRAM      (inside gui-env)
"""
import os
import sqlite3
import sys
import tempfile
import time

import atspi
from tap import Tap

ID = "io.github.inglenook_app.Inglenook"
ITEM = "Bring data from another installation…"


def start(program, home, data, config, log):
    return atspi.Program([program], {"HOME": home, "XDG_DATA_HOME": data, "XDG_CONFIG_HOME": config,
                                     "XDG_CACHE_HOME": home + "/cache", "INGLENOOK_MODELS": data + "/inglenook/models",
                                     "G_DEBUG": "fatal-criticals"}, log=log)


def make_flatpak_data(program, home, log):
    """A folder as the Flatpak has one: made by the program itself, with a conversation and a file that looks like a model."""
    folder = os.path.join(home, ".var", "app", ID)
    with start(program, home, folder + "/data", folder + "/config", log) as running:
        atspi.find(running.root, "text", "Question", 30)
        running.close()
    database = os.path.join(folder, "data", "inglenook", "inglenook.sqlite")
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO conversations(id, title, title_source, created_us, updated_us) VALUES"
                           " (71, 'Tea in Hangzhou', 2, 1700000000000000, 1700000000000000)")
        connection.execute("INSERT INTO messages(id, conversation_id, role, state, created_us) VALUES"
                           " (91, 71, 1, 3, 1700000000000000)")
        connection.execute("INSERT INTO parts(message_id, position, kind, text) VALUES (91, 0, 1, 'Which tea?')")
    connection.close()
    os.makedirs(folder + "/data/inglenook/models", exist_ok=True)
    os.makedirs(folder + "/data/inglenook/backups", exist_ok=True)
    with open(folder + "/data/inglenook/backups/inglenook-1.sqlite", "wb") as out:
        out.write(b"an older state")
    with open(folder + "/data/inglenook/models/small.gguf", "wb") as out:
        out.write(b"GGUF" + bytes(5000))
    return folder


def answer(running, label):
    """Presses a dialog's button, which is there twice: for a wide dialog and for a narrow one; until it has closed."""
    def buttons():
        return [node for node in atspi.find_all(running.root, "push button") if (node.get_name() or "").endswith(label)]

    def attempt():
        for node in buttons():
            try:
                atspi.click(node)
            except Exception:  # gone meanwhile, or the one that is not shown
                continue
            time.sleep(0.3)
            break
        return not buttons()
    atspi.wait(buttons, "button " + label, 30)
    atspi.wait(attempt, "%s to be pressed" % label, 30)


def main():
    program = sys.argv[1]
    tap = Tap()
    with tempfile.TemporaryDirectory() as home:
        log = os.path.join(home, "log")
        folder = make_flatpak_data(program, home, log)
        theirs = os.path.join(folder, "data", "inglenook")
        with tap.case("a program outside sees nothing of it by itself, and changes nothing of it"):
            before = sorted(os.listdir(theirs))
            with start(program, home, home + "/data", home + "/config", log) as running:
                atspi.find(running.root, "text", "Question", 30)
                assert atspi.find_now(running.root, None, "Tea in Hangzhou") is None
                assert running.close() == 0
            assert sorted(os.listdir(theirs)) == before
        with start(program, home, home + "/data", home + "/config", log) as running:
            atspi.find(running.root, "text", "Question", 30)
            with tap.case("the menu brings it from the Flatpak"):
                atspi.press_main_menu(running.root, ITEM)
                answer(running, "Bring it from the Flatpak")
                atspi.find(running.root, "push button", lambda name: name.endswith("Keep it there too"), 30)
                assert "Tea in Hangzhou" in atspi.all_text(running.root)
                assert os.path.exists(home + "/data/inglenook/models/small.gguf")
                assert os.path.exists(theirs + "/inglenook.sqlite")
            with tap.case("it is removed there when that is asked for"):
                answer(running, "Remove it there")
                atspi.wait(lambda: not os.path.exists(theirs + "/inglenook.sqlite")
                           and not os.path.exists(theirs + "/models/small.gguf"), "the files to go")
                assert os.path.exists(theirs + "/backups/inglenook-1.sqlite")
            status = running.close()
            with open(log, encoding="utf-8", errors="replace") as lines:
                print("".join("# " + line for line in lines.readlines()[-5:]), end="")
            assert status == 0, status
    return tap.done()


sys.exit(main())
