# SPDX-License-Identifier: Apache-2.0
"""What tests of a conversation in the real window share."""
import atspi

STARTER = "SmolLM2-135M-Instruct-Q4_1.gguf"


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


def start(program, home, log):
    folders = {"XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config",
               "G_DEBUG": "fatal-warnings"}
    return atspi.Program([program], folders, log=log)
