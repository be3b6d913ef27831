# SPDX-License-Identifier: Apache-2.0
"""A PDF is dragged onto the real window, asked about, and its page opened with the passage highlighted; all of it is there
after the next start. What the small model makes of the passages does not matter here.

    test-documents.py PROGRAM DRAG_SOURCE      (inside gui-env)
"""
import os
import sys
import tempfile
import time

import atspi
from conversation import STARTER, answers
from dragging import drop
from tap import Tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reader"))
import documents  # noqa: E402  (of tests/reader)

SETTINGS = """[chat]
sampling={"greedy": true, "max_tokens": 40}
[window]
width=900
height=620
"""
RENT = "The rent of the harbour flat is due on the third day of each month."
NOTES = 30  # documents in the folder


def make_pdf(path):
    pages = [documents.page(i, "Clause %d speaks of chairs, tables and nothing else whatever, however long." % i)
             for i in range(1, 41)]
    pages[30] = documents.page(31, RENT)
    with open(path, "wb") as out:
        out.write(documents.pdf(pages))


def make_folder(home):
    folder = os.path.join(home, "notes")
    os.makedirs(os.path.join(folder, "deep"))
    for i in range(1, NOTES + 1):
        with open(os.path.join(folder, "deep" if i > 20 else "", "note-%02d.md" % i), "w", encoding="utf-8") as out:
            out.write("# Note %d\n\nChair number %d is made of oak.\n" % (i, i))
    with open(os.path.join(folder, ".hidden.md"), "w", encoding="utf-8") as out:
        out.write("Nobody reads this.\n")
    os.symlink(folder, os.path.join(folder, "again"))
    return folder


def start(program, home, *files):
    config = os.path.join(home, "config", "inglenook")
    if not os.path.exists(config):
        os.makedirs(config)
        with open(os.path.join(config, "settings.ini"), "w", encoding="utf-8") as out:
            out.write(SETTINGS)
    return atspi.Program([program, *files], {"XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config",
                                     "G_DEBUG": "fatal-criticals"}, log=home + "/log")


def ask(app, question):
    n = len(answers(app.root))
    atspi.set_text(atspi.find(app.root, "text", "Question"), question)
    atspi.press(app.root, "Send")
    return n


def wait_answer(app, n):
    atspi.wait(lambda: len(answers(app.root)) > n, "an answer", 30)
    atspi.find(app.root, "push button", "Send", timeout=60)


def rent_source(root):
    return atspi.find_now(root, "push button", lambda name: "lease.pdf, page 31" in name)


# Name, the word at its chip, how the sentence about it begins.
WRONG = (("broken.pdf", "damaged", "The file is damaged"), ("much.txt", "too large", "The file goes beyond a safety limit"),
         ("empty.md", "no text in it", "There is no text in the document"))


def make_wrong(home):
    paths = [os.path.join(home, name) for name, _, _ in WRONG]
    with open(paths[0], "wb") as out:
        out.write(b"%PDF-1.4\nnothing of the kind")
    with open(paths[1], "wb") as out:
        out.truncate(300 << 20)
    with open(paths[2], "wb") as out:
        out.write(b"\n")
    return paths


def is_undo(name):
    return name.endswith("Undo")


def focused(root):
    return next((node.get_name() for node, _ in atspi.walk(root) if atspi.has_state(node, "focused")), None)


def take_away_by_keyboard(app, name):
    """With the keyboard, from the question back to the document's own button."""
    def attempt():
        chip = atspi.find_now(app.root, name=name)
        return chip is not None and any(atspi.has_state(node, "focused") for node, _ in atspi.walk(chip))
    for _ in range(20):
        if attempt():
            break
        atspi.key("shift+Tab")
        time.sleep(0.3)
    assert attempt(), focused(app.root)
    atspi.key("space")
    atspi.is_gone(app.root, name=name)


def main():
    program, drag_source = sys.argv[1:3]
    if not os.path.exists(os.path.join(os.environ.get("INGLENOOK_MODELS", ""), STARTER)):
        Tap.skip_all("no starter model")
    tap = Tap()
    with tempfile.TemporaryDirectory() as home:
        lease = os.path.join(home, "lease.pdf")
        make_pdf(lease)
        with start(program, home) as app:
            with tap.case("a file dropped on the window is a document of the conversation"):
                drop(app, drag_source, lease, lambda n: n.startswith("lease.pdf,"))
                atspi.find(app.root, name="lease.pdf, 40 pages", timeout=30)
            with tap.case("a question is answered with what was read shown under it"):
                wait_answer(app, ask(app, "When is the rent of the harbour flat due?"))
                atspi.wait(lambda: rent_source(app.root), "the source on page 31")
            with tap.case("a click opens the page with the passage highlighted"):
                atspi.click(rent_source(app.root))
                atspi.find(app.root, name="Page 31, the passage highlighted", timeout=20)
                atspi.key("Escape")
                atspi.is_gone(app.root, name="Page 31, the passage highlighted")
            with tap.case("nothing relevant is said before a model answers"):
                n = ask(app, "Which astronomer first discovered the four largest moons of planet Jupiter?")
                atspi.find(app.root, "label", "Nothing in the documents speaks of this", timeout=20)
                assert len(answers(app.root)) == n
                atspi.press(app.root, lambda name: "Ask without" in name)
                wait_answer(app, n)
            with tap.case("it ends well"):
                assert app.close() == 0
        with start(program, home) as app:
            with tap.case("document and sources are there after the next start"):
                atspi.find(app.root, name="lease.pdf, 40 pages")
                atspi.wait(lambda: rent_source(app.root), "the source on page 31")
            with tap.case("a document can be taken away, by the keyboard too, and comes back"):
                take_away_by_keyboard(app, "lease.pdf, 40 pages")
                atspi.wait(lambda: focused(app.root) == "Question", "the question to have the keyboard")
                atspi.press(app.root, is_undo)
                atspi.find(app.root, name="lease.pdf, 40 pages", timeout=30)
                atspi.press(app.root, "Remove the document")
                atspi.is_gone(app.root, name="lease.pdf, 40 pages")
                assert app.close() == 0
        with start(program, home, *make_wrong(home)) as app:
            with tap.case("why a document is not read is said in a word, and in a sentence"):
                for name, word, sentence in WRONG:
                    chip = atspi.find(app.root, name="%s, %s" % (name, word), timeout=30)
                    atspi.wait(lambda: chip.get_description().startswith(sentence), sentence)
            with tap.case("the keyboard goes on with the next document when one is taken away"):
                take_away_by_keyboard(app, "%s, %s" % WRONG[0][:2])
                atspi.wait(lambda: focused(app.root) == "Remove the document", "the next document's button")
                atspi.key("space")
                atspi.is_gone(app.root, name="%s, %s" % WRONG[1][:2])
                atspi.find(app.root, "label", "2 removed")
                atspi.press(app.root, is_undo)
                for name, word, _ in WRONG:
                    atspi.find(app.root, name="%s, %s" % (name, word), timeout=30)
                assert app.close() == 0
        with start(program, home, make_folder(home)) as app:
            with tap.case("a folder is the documents in it, summed up where they are many"):
                atspi.find(app.root, name=lambda n: n.startswith("note-01.md,"), timeout=30)
                atspi.find(app.root, name=lambda n: n.startswith("%d documents" % NOTES), timeout=30)
            with tap.case("all can be taken away at once"):
                atspi.press(app.root, "Remove all documents of this conversation")
                atspi.is_gone(app.root, name=lambda n: n.startswith("note-01.md,"))
            with tap.case("and come back"):
                atspi.press(app.root, is_undo)
                atspi.find(app.root, name=lambda n: n.startswith("note-01.md,"), timeout=30)
                atspi.find(app.root, name=lambda n: n.startswith("%d documents" % NOTES), timeout=30)
                assert app.close() == 0
        empty = os.path.join(home, "pictures")
        os.mkdir(empty)
        with start(program, home, empty) as app:
            with tap.case("a folder without documents says so"):
                atspi.find(app.root, name=lambda n: n.startswith("There are no documents in"), timeout=30)
                assert app.close() == 0
    sys.exit(tap.done())


main()
