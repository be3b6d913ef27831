# SPDX-License-Identifier: Apache-2.0
"""A folder is dropped on the page of documents and becomes a collection: it is followed, asked, taken apart and removed, and
what was removed by mistake comes back.

    test-collections.py PROGRAM DRAG_SOURCE      (inside gui-env)
"""
import os
import re
import sys
import tempfile

import atspi
from conversation import STARTER, answers
from dragging import drop
from tap import Tap

SETTINGS = """[chat]
sampling={"greedy": true, "max_tokens": 20}
[window]
width=900
height=700
"""
PAPERS = {
    "lease.md": "# Lease\n\nThe rent of the harbour flat is due on the third day of each month.\n",
    "boiler.md": "# Boiler\n\nThe boiler is serviced in October by the Northern Heating Company.\n",
    "insurance.txt": "The insurance of the house covers water and fire, but no earthquakes.\n",
}


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
        out.write(text)


def make_folder(home):
    folder = os.path.join(home, "House papers")
    os.mkdir(folder)
    for name, text in PAPERS.items():
        write(folder, name, text)
    with open(os.path.join(folder, "broken.pdf"), "wb") as out:
        out.write(b"%PDF-1.7 and no more")
    return folder


def start(program, home, width=900):
    config = os.path.join(home, "config", "inglenook")
    os.makedirs(config, exist_ok=True)
    settings = os.path.join(config, "settings.ini")
    text = SETTINGS
    if os.path.exists(settings):
        with open(settings, encoding="utf-8") as stored:
            text = stored.read()
    with open(settings, "w", encoding="utf-8") as out:
        out.write(re.sub(r"(?m)^width=.*$", "width=%d" % width, text))
    return atspi.Program([program], {"XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config",
                                     "G_DEBUG": "fatal-criticals"}, log=home + "/log")


def named(text):
    return lambda name: name.startswith(text)


def holding(text):
    """Of a button with a mnemonic: GTK 4.8 leaves the mark in the name."""
    return lambda name: text in name


def row(app, text, timeout=20):
    return atspi.find(app.root, "list item", named(text), timeout=timeout)


def main():
    program, drag_source = sys.argv[1:3]
    if not os.path.exists(os.path.join(os.environ.get("INGLENOOK_MODELS", ""), STARTER)):
        Tap.skip_all("no starter model")
    tap = Tap()
    with tempfile.TemporaryDirectory() as home:
        folder = make_folder(home)
        with start(program, home) as app:
            with tap.case("the page says what it is for while there is nothing"):
                atspi.press(app.root, "Documents")
                atspi.find(app.root, "label", "Keep documents together")
            with tap.case("a folder dropped on it is a collection of its name"):
                drop(app, drag_source, folder, named("House papers, 4 documents"))
                atspi.find(app.root, "label", lambda n: "1 cannot be read" in n, timeout=20)
            with tap.case("each file has its state, a bad one its reason"):
                atspi.find(app.root, "label", lambda n: "broken.pdf" in n)
                atspi.find(app.root, "push button", "Try again: broken.pdf")
            with tap.case("a new file in the folder comes by itself"):
                write(folder, "garden.md", "# Garden\n\nThe hedge is cut in June.\n")
                row(app, "House papers, 5 documents")
            with tap.case("a deleted one is gone"):
                os.unlink(os.path.join(folder, "insurance.txt"))
                atspi.find(app.root, "label", lambda n: "1 not there any more" in n, timeout=20)
            with tap.case("a document is removed, and comes back"):
                atspi.press(app.root, "Remove from the collection: garden.md")
                row(app, "House papers, 4 documents")
                atspi.press(app.root, holding("Undo"))
                row(app, "House papers, 5 documents")
            with tap.case("a new conversation asks it, and its answer shows the source"):
                atspi.press(app.root, holding("Ask about it"))
                atspi.find(app.root, name=lambda n: n.startswith("House papers, 5 documents ·"))
                atspi.set_text(atspi.find(app.root, "text", "Question"), "Who services the boiler in October?")
                atspi.press(app.root, "Send")
                atspi.wait(lambda: answers(app.root), "an answer", 60)
                atspi.find(app.root, "push button", lambda n: "boiler.md" in n, timeout=60)
                atspi.find(app.root, "push button", "Send", timeout=60)
                assert app.close() == 0
        write(folder, "meanwhile.md", "# Meanwhile\n\nThe cellar was painted white.\n")
        with start(program, home, 360) as app:
            with tap.case("the next start sees what came meanwhile, and still asks it; narrow as well"):
                atspi.find(app.root, name=lambda n: n.startswith("House papers, 6 documents ·"), timeout=20)
            with tap.case("it can be asked no more"):
                atspi.press(app.root, "Ask this collection no more")
                atspi.is_gone(app.root, name=lambda n: n.startswith("House papers, 6 documents ·"))
            assert app.close() == 0
        with start(program, home) as app:
            with tap.case("a collection is removed, and comes back"):
                atspi.click_at(app.pid, atspi.find(app.root, "frame"), row(app, "House papers, 6 documents"))
                atspi.press(app.root, holding("Remove collection"))
                atspi.find(app.root, "label", "Keep documents together")
                atspi.press(app.root, holding("Undo"))
                row(app, "House papers, 6 documents")
            with tap.case("it ends well"):
                assert app.close() == 0
    sys.exit(tap.done())


main()
