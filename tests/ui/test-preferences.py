# SPDX-License-Identifier: Apache-2.0
"""The page "Machine" of preferences: what it says of the graphics card is what the engine found, and what holds the reader of
documents is shown once one was read. Where there is a card, which a module says that it has, a switch says who runs models.

    test-preferences.py PROGRAM MODULE      (inside gui-env)
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import atspi
from tap import Tap

# By the code that `inglenook-engine inspect --devices` gives (eng-status.h).
WORDS = {14: "The graphics card module is not installed", 15: "The graphics card module is of another version",
         16: "The graphics card’s driver is not installed", 17: "The graphics card’s driver is too old",
         18: "There is no usable graphics card"}


def list_devices():
    said = subprocess.run([os.environ["INGLENOOK_ENGINE"], "inspect", "--devices", "--json"], stdout=subprocess.PIPE, check=True)
    return [device for device in json.loads(said.stdout)["devices"] if device["kind"] == "gpu"]


def open_preferences(running):
    """By the keyboard; again where the window was not listening yet."""
    def attempt():
        if "How it is held" not in atspi.all_text(running.root):
            atspi.key("ctrl+comma")
            end = time.monotonic() + 2
            while "How it is held" not in atspi.all_text(running.root) and time.monotonic() < end:
                time.sleep(0.05)
        return "How it is held" in atspi.all_text(running.root)
    atspi.wait(attempt, "the preferences", 30)


def test_card(tap, program, module):
    with tempfile.TemporaryDirectory() as home:
        shutil.copy(module, os.path.join(home, "inglenook-cuda.so"))
        settings = os.path.join(home, "inglenook", "settings.ini")
        with atspi.Program([program], {"G_DEBUG": "fatal-criticals", "INGLENOOK_MODULE_PATH": home, "XDG_CONFIG_HOME": home,
                                       "XDG_DATA_HOME": home}) as running:
            atspi.find(running.root, "text", "Question", 30)
            open_preferences(running)
            with tap.case("a card that is there is named, and a switch gives models to it or to the processor"):
                atspi.wait(lambda: "Fake: " in atspi.all_text(running.root)
                           or "Not looked at yet" in atspi.all_text(running.root), "the card", 30)
                if "Fake: " in atspi.all_text(running.root):
                    atspi.click(atspi.find(running.root, "page tab", "Machine"))  # a switch that is not shown does not turn
                    time.sleep(0.5)
                    toggle = atspi.find(running.root, "check box", "Run models on the graphics card")
                    assert atspi.has_state(toggle, "checked")
                    atspi.click(toggle)
                    atspi.wait(lambda: not atspi.has_state(toggle, "checked"), "the switch to be off")
                    running.close()
                    with open(settings, encoding="utf-8") as file:
                        assert "device=cpu" in file.read()


def main():
    program = sys.argv[1]
    tap = Tap()
    with atspi.Program([program], {"G_DEBUG": "fatal-criticals"}) as running:
        atspi.find(running.root, "text", "Question", 30)
        open_preferences(running)
        with tap.case("what was found of graphics cards is said in words"):
            for device in list_devices():
                wanted = WORDS.get(device["code"], device["name"])
                atspi.wait(lambda: wanted in atspi.all_text(running.root)
                           or "Not looked at yet" in atspi.all_text(running.root), wanted, 30)
            assert "do not understand each other" not in atspi.all_text(running.root)  # the engine's list was read
        with tap.case("what holds the reader of documents is shown"):
            atspi.wait(lambda: "limits of memory and time" in atspi.all_text(running.root), "the reader's holds", 30)
            shown = atspi.all_text(running.root)
            assert "seccomp" in shown or "Landlock" in shown, shown
            assert "sandbox about it" not in shown or os.path.exists("/.flatpak-info")
    test_card(tap, program, sys.argv[2])
    return tap.done()


sys.exit(main())
