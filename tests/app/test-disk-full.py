# SPDX-License-Identifier: Apache-2.0
"""A disk that is too small, at any byte: the download pauses with both numbers, the part and the job list stay good, and
it goes on by itself when there is room. Then the same files from a real nginx.

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
import time

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


def check_nginx(tap):
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.path.exists(nginx):
        tap.skip("nginx", "not installed")
        return
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        for folder in ("data", "disk", "www", "tmp"):
            os.makedirs(os.path.join(place, folder))
        size = 256 << 20 if os.environ.get("INGLENOOK_LONG") else 64 << 20
        body = hostile_server.content("nginx", size)
        with open(os.path.join(place, "www", "model.gguf"), "wb") as file:
            file.write(body)
        port = 20000 + os.getpid() % 20000
        with open(os.path.join(place, "nginx.conf"), "w", encoding="utf-8") as conf:
            conf.write("daemon off; pid %s/pid; error_log %s/log; events {} http { access_log off; %s server { listen"
                       " 127.0.0.1:%d; root %s/www; limit_rate 40m; } }" % (place, place, "".join(
                           "%s_temp_path %s/tmp/%s;" % (k, place, k)
                           for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")), port, place))
        daemon = subprocess.Popen([nginx, "-c", place + "/nginx.conf", "-e", place + "/log"], stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            command = [TOOL, place + "/data", place + "/disk", "http://127.0.0.1:%d/model.gguf" % port, str(size),
                       hashlib.sha256(body).hexdigest()]
            with tap.case("a real nginx, killed and started again"):
                for _ in range(8):
                    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    try:
                        process.wait(random.uniform(0.05, 0.3))
                        break
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
                result = subprocess.run(command, capture_output=True, text=True, timeout=120)
                state, _, path = result.stdout.strip().split(" ", 2)
                assert int(state) == DONE, result.stderr
                with open(path, "rb") as file:
                    assert hashlib.sha256(file.read()).digest() == hashlib.sha256(body).digest()
                assert os.listdir(place + "/disk") == [os.path.basename(path)]
        finally:
            daemon.terminate()
            daemon.wait()


def main():
    tap = Tap()
    if len(sys.argv) < 3:
        # Again, where we may mount.
        inside = ["unshare", "--user", "--map-root-user", "--mount"]
        if os.geteuid() == 0:
            inside = ["unshare", "--mount"]
        if not shutil.which("unshare") or subprocess.run([*inside, "true"], capture_output=True).returncode != 0:
            Tap.skip_all("no name space to mount a small disk in")
        os.execvp(inside[0], [*inside, sys.executable, __file__, TOOL, "inside"])
    seed = int(os.environ.get("SEED", time.time_ns() & 0xffffffff))
    print("# seed %d" % seed)
    server, rng = hostile_server.Server(), random.Random(seed)
    for _ in range(3 if not os.environ.get("INGLENOOK_LONG") else 30):
        check_full(tap, server, rng, "until-close")
    check_full(tap, server, rng, "plain")
    check_nginx(tap)
    sys.exit(tap.done())


main()
