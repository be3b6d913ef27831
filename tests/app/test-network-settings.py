# SPDX-License-Identifier: Apache-2.0
"""What a person sets for downloads: a proxy (HTTP and SOCKS5), and an access token, which is kept in the keyring and
nowhere else, or for this run of the program where there is no keyring.

    test-network-settings.py TOOL
"""
import contextlib
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import hostile_server
from tap import Tap

TOOL = sys.argv[1]
SIZE = 1 << 20
SECRET = "hf_secret"
DONE = 4


class Proxy:
    """Takes one request a connection, as an HTTP proxy (absolute addresses) or as SOCKS5, and says where it was to go."""

    def __init__(self):
        self.asked = []
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.talk, args=(self.socket.accept()[0],), daemon=True).start()

    def talk(self, client):
        with client, contextlib.suppress(OSError, ValueError):
            start = client.recv(65536)
            if start[0] == 5:
                self.talk_socks(client)
                return
            while b"\r\n\r\n" not in start:
                start += client.recv(65536)
            found = re.match(rb"GET http://([^/:]+):(\d+)(/\S*) HTTP", start)
            self.asked.append("http")
            with socket.create_connection((found[1].decode(), int(found[2]))) as server:
                server.sendall(start.replace(found[0], b"GET " + found[3] + b" HTTP", 1))
                self.pass_on(client, server)

    def talk_socks(self, client):
        client.sendall(b"\x05\x00")  # no name and password wanted
        request = client.recv(512)
        if request[3] == 1:
            host, port = socket.inet_ntoa(request[4:8]), int.from_bytes(request[8:10], "big")
        else:
            end = 5 + request[4]
            host, port = request[5:end].decode(), int.from_bytes(request[end:end + 2], "big")
        self.asked.append("socks5")
        with socket.create_connection((host, port)) as server:
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            self.pass_on(client, server)

    @staticmethod
    def pass_on(client, server):
        other = {client: server, server: client}
        while True:
            for end in select.select([client, server], [], [])[0]:
                data = end.recv(65536)
                if not data:
                    return
                other[end].sendall(data)


class Place:
    def __init__(self, root):
        self.root, self.data, self.models = root, root + "/data", root + "/models"
        os.mkdir(self.data)
        os.mkdir(self.models)

    def run(self, uri, key, **environment):
        """State, advice and log."""
        command = [TOOL, self.data, self.models, uri, str(SIZE), hostile_server.sha256(key, SIZE)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120,
                                env=dict(os.environ, G_MESSAGES_DEBUG="all", **environment))
        assert result.returncode == 0, result.stderr
        self.check_secret(result.stdout + result.stderr)
        return int(result.stdout.splitlines()[-1].split(" ", 1)[0]), result.stdout + result.stderr

    def check_secret(self, log):
        assert SECRET not in log, log
        for folder, _, names in os.walk(self.root):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    assert SECRET.encode() not in file.read(), name


NO_BUS = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}


def test_proxies(tap, server):
    for scheme in ("http", "socks5"):
        with tap.case("everything goes through the %s proxy that is set" % scheme), tempfile.TemporaryDirectory() as root:
            place, proxy, before = Place(root), Proxy(), len(server.seen)
            with open(place.data + "/settings.ini", "w", encoding="utf-8") as out:
                out.write("[network]\nproxy=%s://127.0.0.1:%d\n" % (scheme, proxy.port))
            state, log = place.run(server.uri("plain", "proxy", SIZE), "proxy", **NO_BUS)
            assert state == DONE, log
            assert proxy.asked and set(proxy.asked) == {scheme} and len(proxy.asked) >= len(server.seen) - before, proxy.asked
    with tap.case("a proxy that is away is not gone round"), tempfile.TemporaryDirectory() as root:
        place, before = Place(root), len(server.seen)
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        with open(place.data + "/settings.ini", "w", encoding="utf-8") as out:
            out.write("[network]\nproxy=http://127.0.0.1:%d\n" % port)
        state, log = place.run(server.uri("plain", "away", SIZE), "away", **NO_BUS)
        assert state != DONE and len(server.seen) == before and not [n for n in os.listdir(place.models) if ".part" not in n], log


def test_without_keyring(tap, server):
    with tap.case("no keyring: the token is for this run alone"), tempfile.TemporaryDirectory() as root:
        place = Place(root)
        state, log = place.run(server.uri("gated", "once", SIZE), "once", DOWNLOAD_TOOL_TOKEN=SECRET, **NO_BUS)
        assert state == DONE, log
    for behaviour in ("gated", "forbidden"):
        with tap.case("%s: where to go and what to do there" % behaviour), tempfile.TemporaryDirectory() as root:
            place, uri = Place(root), server.uri(behaviour, "later", SIZE)
            state, log = place.run(uri, "later", **NO_BUS)
            assert state != DONE and uri in log and "accept the licence" in log and "access token" in log, log


def test_keyring(tap, server):
    keyring = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_keyring.py")],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert keyring.stdout.readline() == "ready\n"
        with tap.case("a token is in the keyring, and read from there by the next run"), tempfile.TemporaryDirectory() as root:
            place = Place(root)
            state, log = place.run(server.uri("gated", "first", SIZE), "first", DOWNLOAD_TOOL_TOKEN=SECRET)
            assert state == DONE, log
            keyring.stdin.write("list\n")
            keyring.stdin.flush()
            assert json.loads(keyring.stdout.readline()) == [[{"host": "127.0.0.1"}, SECRET]]
        with tempfile.TemporaryDirectory() as root, tap.case("the run after that has it"):
            state, log = Place(root).run(server.uri("gated", "second", SIZE), "second")
            assert state == DONE, log
        with tempfile.TemporaryDirectory() as root, tap.case("an empty token takes it out of the keyring"):
            state, log = Place(root).run(server.uri("gated", "third", SIZE), "third", DOWNLOAD_TOOL_TOKEN="")
            assert state != DONE, log
            keyring.stdin.write("list\n")
            keyring.stdin.flush()
            assert json.loads(keyring.stdout.readline()) == []
    finally:
        keyring.kill()
        keyring.wait()


def main():
    if len(sys.argv) == 2 and shutil.which("dbus-run-session"):
        os.execvp("dbus-run-session", ["dbus-run-session", "--", sys.executable, __file__, TOOL, "inside"])
    tap, server = Tap(), hostile_server.Server()
    test_proxies(tap, server)
    test_without_keyring(tap, server)
    try:
        import gi  # noqa: F401 pylint: disable=import-outside-toplevel,unused-import
        has_bus = len(sys.argv) > 2
    except ImportError:
        has_bus = False
    if has_bus:
        test_keyring(tap, server)
    else:
        tap.skip("keyring", "no session bus, or no gi")
    sys.exit(tap.done())


main()
