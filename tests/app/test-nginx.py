# SPDX-License-Identifier: Apache-2.0
"""Downloads from a real nginx: ranges by several connections, kills, a file that changes between two answers (If-Range),
gzip switched on, a limited rate with one connection allowed, nginx away in the middle.

    test-nginx.py TOOL
"""
import contextlib
import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import hostile_server
from tap import Tap

TOOL = sys.argv[1]
DONE = 4
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
CONFIGURATION = """daemon off; %(user)s pid %(root)s/pid; error_log %(root)s/log;
events {}
http {
  access_log off;
  client_body_temp_path %(root)s/t1; proxy_temp_path %(root)s/t2; fastcgi_temp_path %(root)s/t3;
  uwsgi_temp_path %(root)s/t4; scgi_temp_path %(root)s/t5;
  limit_conn_zone $binary_remote_addr zone=one:1m;
  server {
    listen 127.0.0.1:%(port)d;
    root %(root)s/www;
    limit_rate 32m;
    location /gzip/ { alias %(root)s/www/; gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any; }
    location /slow/ { alias %(root)s/www/; limit_rate 2m; limit_conn one 1; }
  }
}
"""


class Nginx:
    """A server of its own, on a port that was free; its folder is "www"."""

    def __init__(self, root):
        self.root, self.process, self.port = root, None, 0
        os.chmod(root, 0o755)
        os.mkdir(os.path.join(root, "www"))

    def start(self):
        for _ in range(5):
            if not self.port:
                with socket.create_server(("127.0.0.1", 0)) as free:
                    self.port = free.getsockname()[1]
            user = "user root;" if os.geteuid() == 0 else ""
            with open(os.path.join(self.root, "nginx.conf"), "w", encoding="utf-8") as out:
                out.write(CONFIGURATION % {"root": self.root, "port": self.port, "user": user})
            self.process = subprocess.Popen([NGINX, "-c", self.root + "/nginx.conf", "-e", self.root + "/log"],
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if self.is_up():
                return
            self.stop()
            self.port = 0  # somebody else has it
        with open(self.root + "/log", encoding="utf-8", errors="replace") as log:
            raise RuntimeError("nginx does not start: " + log.read()[-2000:])

    def is_up(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self.process.poll() is None
            time.sleep(0.02)
        return False

    def stop(self):
        self.process.terminate()  # at once: connections end in the middle
        self.process.wait()

    def put(self, key, size):
        """The file as it is from now on; its SHA-256."""
        path = os.path.join(self.root, "www", "model.gguf")
        with open(path + ".new", "wb") as out:
            out.write(hostile_server.content(key, size))
        os.replace(path + ".new", path)
        # The ETag is made of second and length.
        stamp = 1700000000 + random.Random(key).randrange(1 << 20)
        os.utime(path, (stamp, stamp))
        return hostile_server.sha256(key, size)

    def uri(self, folder=""):
        return "http://127.0.0.1:%d/%smodel.gguf" % (self.port, folder)


class Download:
    """One download, in a place of its own, that may be killed and started again."""

    def __init__(self, uri, size=0, sha256=None):
        self.place = tempfile.TemporaryDirectory()
        self.folder = os.path.join(self.place.name, "models")
        os.mkdir(self.folder)
        os.mkdir(os.path.join(self.place.name, "data"))
        self.command = [TOOL, os.path.join(self.place.name, "data"), self.folder, uri, str(size), *([sha256] if sha256 else [])]

    def start(self, **environment):
        return subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=dict(os.environ, DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent", **environment))

    def wait_for_part(self, process):
        end = time.monotonic() + 60
        while process.poll() is None and not os.listdir(self.folder) and time.monotonic() < end:
            time.sleep(0.005)

    def kill_after(self, seconds):
        """Killed so long after there was a part; TRUE if it was done before."""
        with self.start() as process:
            self.wait_for_part(process)
            try:
                process.wait(seconds)
                return True
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return False

    def check(self, process, sha256):
        """It is the file, and nothing else is there."""
        out, words = process.communicate(timeout=120)
        assert process.returncode == 0, words
        state, _, path = out.strip().split(" ", 2)
        assert int(state) == DONE, words
        with open(path, "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == sha256, "wrong bytes"
        assert os.listdir(self.folder) == [os.path.basename(path)], os.listdir(self.folder)
        self.place.cleanup()


def test_kills(tap, nginx, rng):
    size = 256 << 20 if os.environ.get("INGLENOOK_LONG") else 32 << 20
    sha256 = nginx.put("kills", size)
    with tap.case("ranges by several connections, killed eight times"):
        download, n = Download(nginx.uri(), size, sha256), 0
        while n < 8 and not download.kill_after(rng.uniform(0.01, 0.2)):
            n += 1
        print("# killed %d times" % n)
        download.check(download.start(), sha256)


def test_change(tap, nginx, promised):
    with tap.case("the file changes between two answers, hash %s" % ("promised" if promised else "not known")):
        size = 8 << 20
        nginx.put("old", size)
        new = hostile_server.sha256("new", size)
        download = Download(nginx.uri("slow/"), size, new if promised else None)
        download.kill_after(0.3)
        assert nginx.put("new", size) == new
        download.command[3] = nginx.uri("slow/")
        download.check(download.start(DOWNLOAD_TOOL_PATIENCE="100"), new)


def test_gzip(tap, nginx):
    with tap.case("gzip switched on: the bytes come as they are"):
        sha256 = nginx.put("gzip", 4 << 20)
        download = Download(nginx.uri("gzip/"), 4 << 20, sha256)
        download.check(download.start(), sha256)


def test_slow(tap, nginx):
    with tap.case("a limited rate, and one connection at a time"):
        sha256 = nginx.put("slow", 3 << 20)
        download = Download(nginx.uri("slow/"), 3 << 20, sha256)
        download.check(download.start(DOWNLOAD_TOOL_PATIENCE="100"), sha256)


def test_away(tap, nginx):
    with tap.case("nginx is stopped in the middle and comes back"):
        sha256 = nginx.put("away", 6 << 20)
        download = Download(nginx.uri("slow/"), 6 << 20, sha256)
        # Six tries from half a second on: 15 s to come back in.
        process = download.start(DOWNLOAD_TOOL_PATIENCE="500")
        download.wait_for_part(process)
        time.sleep(0.3)
        nginx.stop()
        time.sleep(0.3)
        nginx.start()
        download.check(process, sha256)


def main():
    if not NGINX:
        Tap.skip_all("no nginx")
    tap, rng = Tap(), random.Random(int(os.environ.get("SEED", 7)))
    with tempfile.TemporaryDirectory() as root:
        nginx = Nginx(root)
        nginx.start()
        try:
            test_kills(tap, nginx, rng)
            test_change(tap, nginx, True)
            test_change(tap, nginx, False)
            test_gzip(tap, nginx)
            test_slow(tap, nginx)
            test_away(tap, nginx)
        finally:
            nginx.stop()
    sys.exit(tap.done())


main()
