# SPDX-License-Identifier: Apache-2.0
"""The program starts where not a byte can be written any more: it says so, answers all the same, and ends well.

    test-full-disk.py PROGRAM      (inside gui-env; skipped where no small disk can be mounted)
"""
import os
import subprocess
import sys
import tempfile

import atspi
from conversation import STARTER, answer_text
from tap import Tap

# The disk is seen by the program alone.
MOUNT = """mount -t tmpfs -o size=4m tmpfs "$0" && mkdir "$0/data" "$0/config" "$0/cache" || exit 99
dd if=/dev/zero of="$0/filler" bs=4k 2>/dev/null
exec "$@" """


def may_mount():
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True).returncode == 0


def start(program, disk, log):
    return atspi.Program(["unshare", "--mount", "sh", "-c", MOUNT, disk, program],
                         {"XDG_DATA_HOME": disk + "/data", "XDG_CONFIG_HOME": disk + "/config",
                          "XDG_CACHE_HOME": disk + "/cache", "G_DEBUG": "fatal-criticals"}, log=log, timeout=60)


def run(program):
    with tempfile.TemporaryDirectory() as disk, tempfile.NamedTemporaryFile() as log:
        try:
            with start(program, disk, log.name) as app:
                atspi.find(app.root, "label", lambda name: "disk is full" in name.lower(), 30)
                atspi.set_text(atspi.find(app.root, "text", "Question"), "Say hello.")
                atspi.press(app.root, "Send", timeout=60)
                atspi.wait(lambda: len(answer_text(app.root)) > 10, "text of an answer", 60)
                assert app.close() == 0, "it ended badly"
        except BaseException:
            print("\n".join("# " + line for line in log.read().decode(errors="replace")[-3000:].splitlines()))
            raise


def main():
    if not os.path.exists(os.path.join(os.environ.get("INGLENOOK_MODELS", ""), STARTER)):
        Tap.skip_all("no starter model")
    if not may_mount():
        Tap.skip_all("no small disk can be mounted")
    tap = Tap()
    with tap.case("it starts, answers and ends on a full disk"):
        run(sys.argv[1])
    sys.exit(tap.done())


main()
