# SPDX-License-Identifier: Apache-2.0
"""kill -9 at a random moment while an answer comes in the window: after the next start the question is
there, the answer up to half a second before the end, marked, with a way to go on.

    test-kill.py PROGRAM [RUNS]      (inside gui-env)
"""
import os
import random
import sys
import tempfile
import time

import atspi
from conversation import STARTER, answer_text, answers, start
from tap import Tap

QUESTION = "Write a long story about a river, a mill and a miller. Life %d, 水车。"
MAX_LOST_S = 0.5
UNSETTLED = 40  # letters at the end that may still turn into a mark, a link or a list's number


def words(text):
    """Without marks: what is an asterisk while it comes is bold type later."""
    return "".join(c for c in text if c.isalnum())


def watch(app, seconds):
    """What the answer said, by time, until `seconds` are over."""
    seen = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            text = answer_text(app.root)
            seen.append((time.monotonic(), text))  # shown by then at the latest
        except atspi.GLib.Error:
            pass
        time.sleep(0.02)
    return seen


def one_life(program, home, life, rng):
    question = QUESTION % life
    log = os.path.join(home, "log")
    with start(program, home, log) as app:
        if life > 0:
            atspi.wait(lambda: answers(app.root), "the last conversation")
            atspi.press(app.root, "New conversation")
            atspi.wait(lambda: not answers(app.root), "a new conversation")
        atspi.set_text(atspi.find(app.root, "text", "Question"), question)
        atspi.press(app.root, "Send")
        atspi.wait(lambda: len(answer_text(app.root)) > 10, "text of an answer", 60)
        seen = watch(app, rng.uniform(0.05, 3))
        killed = time.monotonic()
        app.kill()
    with start(program, home, log) as app:
        atspi.find(app.root, "label", question)
        last = ([""] + [words(text) for when, text in seen if killed - when > MAX_LOST_S])[-1]
        last = last[:-UNSETTLED]
        try:
            atspi.wait(lambda: words(answer_text(app.root)).startswith(last), "the whole answer")
        except atspi.Timeout as timeout:
            raise AssertionError("shown before: %r\nnow: %r" % (last, words(answer_text(app.root)))) from timeout
        atspi.find(app.root, "push button", "Continue")
        rows = atspi.find(app.root, "list", "Conversations")
        atspi.wait(lambda: len(atspi.find_all(rows, "list item")) == life + 1, "%d conversations" % (life + 1))
        assert app.close() == 0, "it ended badly"


def main():
    if not os.path.exists(os.path.join(os.environ.get("INGLENOOK_MODELS", ""), STARTER)):
        Tap.skip_all("no starter model")
    seed = int(os.environ.get("SEED", 1))
    print("# SEED=%d" % seed)
    rng = random.Random(seed)
    tap = Tap()
    with tempfile.TemporaryDirectory() as home:
        for life in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1):
            with tap.case("killed, started again, life %d" % (life + 1)):
                one_life(sys.argv[1], home, life, rng)
    sys.exit(tap.done())


main()
