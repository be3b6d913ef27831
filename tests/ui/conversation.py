# SPDX-License-Identifier: Apache-2.0
"""What tests of a conversation in the real window share."""
import os

import atspi

STARTER = "SmolLM2-135M-Instruct-Q4_1.gguf"
# Greedy, the starter model goes on with a story until its context is full: an answer that these tests
# stop or kill cannot have ended by itself.
SETTINGS = """[chat]
sampling={"greedy": true}
"""


def answers(root):
    return [node for node, _ in atspi.walk(root)
            if node.get_name() == "Answer" and node.get_role_name() in ("panel", "grouping", "filler")]


def answer_text(root):
    """What labels below the last answer say, its buttons and its speed aside."""
    found = answers(root)
    if not found:
        return ""
    texts = [atspi.text(node) for node in atspi.find_all(found[-1], "label")]
    return " ".join(text for text in texts if "tok/s" not in text)


def start(program, home, log, *files):
    settings = os.path.join(home, "config", "inglenook", "settings.ini")
    if not os.path.exists(settings):
        os.makedirs(os.path.dirname(settings))
        with open(settings, "w", encoding="utf-8") as out:
            out.write(SETTINGS)
    folders = {"XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config",
               "G_DEBUG": "fatal-warnings"}
    return atspi.Program([program, *files], folders, log=log)
