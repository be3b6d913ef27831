# SPDX-License-Identifier: Apache-2.0
"""A disk that is too small, at any byte: the download pauses with both numbers, the part and the job list stay good, and
it goes on by itself when there is room.

    test-disk-full.py TOOL      (in a user namespace of its own, where tmpfs can be mounted)
"""
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading

import hostile_server
from tap import Tap

TOOL = sys.argv[1]
SIZE = 4 << 20
PAUSED, DONE = 3, 4


def run(place, uri, sha256, size=0, **environment):
    command = [TOOL, os.path.join(place, "data"), os.path.join(place, "disk"), uri, str(size), sha256]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120,
                            env=dict(os.environ, DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent", **environment))
    assert result.returncode == 0, (result.returncode, result.stderr)
    state, _, path = result.stdout.strip().split(" ", 2)
    return int(state), path, result.stderr


def check_full(tap, server, rng, behaviour):
    """Known size: refused before a byte. Unknown size (until-close): met in the middle of writing."""
    place = tempfile.mkdtemp()
    disk = os.path.join(place, "disk")
    os.makedirs(disk)
    os.makedirs(os.path.join(place, "data"))
    room = rng.randrange(1 << 16, SIZE - (1 << 16)) & ~4095
    with tap.case("%s on a disk of %d bytes" % (behaviour, room)):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % room, "tmpfs", disk], check=True)
        try:
            key = "full-%d" % room
            uri, sha256 = server.uri(behaviour, key, SIZE), hostile_server.sha256(key, SIZE)
            state, _, words = run(place, uri, sha256)
            assert state == PAUSED, (state, words)
            numbers = re.search(r"\[(\d+) needed, (\d+) free\]", words)
            assert numbers and int(numbers[2]) <= room, words
            if behaviour == "plain":
                assert int(numbers[1]) > 0, words
            assert all(name.endswith(".part") for name in os.listdir(disk)), os.listdir(disk)
            if behaviour == "plain":
                # Nobody restarts it: room appears while it waits.
                timer = threading.Timer(1, subprocess.run, (["mount", "-o", "remount,size=%d" % (2 * SIZE), disk],))
                timer.start()
                state, path, words = run(place, uri, sha256, DOWNLOAD_TOOL_HOLD="1")
                timer.join()
            else:
                subprocess.run(["mount", "-o", "remount,size=%d" % (2 * SIZE), disk], check=True)
                state, path, words = run(place, uri, sha256)
            assert state == DONE, (state, words)
            with open(path, "rb") as file:
                assert hashlib.sha256(file.read()).hexdigest() == sha256
        finally:
            subprocess.run(["umount", "-l", disk], check=False)
            shutil.rmtree(place, ignore_errors=True)


def main():
    tap = Tap()
    if len(sys.argv) < 3:
        # Again, where we may mount.
        inside = ["unshare", "--user", "--map-root-user", "--mount"]
        if os.geteuid() == 0:
            inside = ["unshare", "--mount"]
        if not shutil.which("unshare") or subprocess.run([*inside, "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                                                         capture_output=True).returncode != 0:
            Tap.skip_all("no name space to mount a small disk in")
        os.execvp(inside[0], [*inside, sys.executable, __file__, TOOL, "inside"])
    seed = int(os.environ.get("SEED", 7))
    print("# seed %d" % seed)
    server, rng = hostile_server.Server(), random.Random(seed)
    for _ in range(3 if not os.environ.get("INGLENOOK_LONG") else 30):
        check_full(tap, server, rng, "until-close")
    check_full(tap, server, rng, "plain")
    sys.exit(tap.done())


main()
