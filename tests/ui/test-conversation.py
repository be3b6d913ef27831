# SPDX-License-Identifier: Apache-2.0
"""The real window with the real model, through accessibility: a person types a question, sees text
arrive, presses stop, starts the program again and finds the conversation.

    test-conversation.py PROGRAM [RUNS]      (inside gui-env)
"""
import os
import sys
import tempfile

import atspi
from conversation import STARTER, answer_text, start
from tap import Tap

QUESTION = "Write a long story about a lighthouse keeper, a storm and a ship. Run %d, 灯塔。"


def one_run(program, run):
    with tempfile.TemporaryDirectory() as home:
        log = os.path.join(home, "log")
        question = QUESTION % run
        try:
            with start(program, home, log) as app:
                atspi.set_text(atspi.find(app.root, "text", "Question"), question)
                atspi.press(app.root, "Send")
                atspi.wait(lambda: len(answer_text(app.root)) > 40, "text of an answer", 60)
                before = answer_text(app.root)
                atspi.press(app.root, "Stop")
                atspi.find(app.root, "push button", "Send")
                atspi.find(app.root, "label", "Stopped")
                assert answer_text(app.root)[:20] == before[:20]
                assert app.close() == 0, "it ended badly"
            with start(program, home, log) as app:
                atspi.find(app.root, "label", question)
                # An answer is kept to the last word shown before the stop.
                atspi.wait(lambda: answer_text(app.root)[:40] == before[:40], "the answer again")
                rows = atspi.find(app.root, "list", "Conversations")
                row = atspi.wait(lambda: atspi.find_all(rows, "list item"), "a conversation")[0]
                assert row.get_name().startswith("Write a long story"), row.get_name()
                atspi.find(app.root, "push button", "Continue")
                assert app.close() == 0, "it ended badly"
        except BaseException:
            with open(log, errors="replace") as lines:
                print("\n".join("# " + line for line in lines.read()[-3000:].splitlines()))
            raise


def main():
    models = os.environ.get("INGLENOOK_MODELS", "")
    if not os.path.exists(os.path.join(models, STARTER)):
        Tap.skip_all("no starter model in %r" % models)
    tap = Tap()
    for run in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        with tap.case("ask, stop, start again, run %d" % (run + 1)):
            one_run(sys.argv[1], run)
    sys.exit(tap.done())


main()
