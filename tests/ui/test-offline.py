# SPDX-License-Identifier: Apache-2.0
"""`inglenook --offline`: no call for a network socket succeeds in the program or its children (strace), and it
answers just so where there is no network at all (an empty network namespace).

    test-offline.py PROGRAM
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

STARTER = "SmolLM2-135M-Instruct-Q4_1.gguf"
# A call that opened something of the network; unfinished ones end in a line of their own.
OPENED = re.compile(r"socket(pair)?\((AF_(?!UNIX|LOCAL)\w+|\d+).*= \d+")


def ask(prefix, home, *options):
    environment = dict(os.environ, XDG_DATA_HOME=home + "/data", XDG_CONFIG_HOME=home + "/config",
                       DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent", LC_ALL="C.UTF-8")
    command = [*prefix, sys.argv[1], *options, "ask", "--json", "Say yes."]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def works(command):
    return shutil.which(command[0]) and subprocess.run(command, capture_output=True).returncode == 0


def answer(result):
    assert result.returncode == 0, result.stderr
    text = json.loads(result.stdout)["answer"]
    assert text, result.stdout


def main():
    if not os.path.exists(os.path.join(os.environ.get("INGLENOOK_MODELS", ""), STARTER)):
        Tap.skip_all("no starter model")
    tap = Tap()
    with tempfile.TemporaryDirectory() as home:
        trace = os.path.join(home, "trace")
        strace = ["strace", "-f", "-qq", "-e", "trace=socket,socketpair,connect,io_uring_setup,seccomp", "-o", trace]
        if works(["strace", "-o", "/dev/null", "true"]):
            with tap.case("no socket but AF_UNIX is opened under strace"):
                answer(ask(strace, home, "--offline"))
                with open(trace, encoding="utf-8", errors="replace") as lines:
                    calls = lines.read()
                assert "SECCOMP_FILTER_FLAG_TSYNC" in calls, "no filter over all threads"
                assert not OPENED.search(calls), OPENED.search(calls).group(0)
            with tap.case("the switch, a plain file, does the same"):
                os.makedirs(home + "/config/inglenook", exist_ok=True)
                with open(home + "/config/inglenook/offline", "w", encoding="utf-8"):
                    pass
                answer(ask(strace, home))
                with open(trace, encoding="utf-8", errors="replace") as lines:
                    calls = lines.read()
                assert "SECCOMP_FILTER_FLAG_TSYNC" in calls and not OPENED.search(calls)
                os.unlink(home + "/config/inglenook/offline")
        empty = ["unshare", "--user", "--map-root-user", "--net"]
        if works([*empty, "true"]):
            with tap.case("it answers in an empty network namespace"):
                answer(ask(empty, home, "--offline"))
    sys.exit(tap.done())


main()
