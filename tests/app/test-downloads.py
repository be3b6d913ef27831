# SPDX-License-Identifier: Apache-2.0
"""Downloads against a server that misbehaves, by a process that is killed at random moments: the verified file, or a part
that can go on; never a wrong byte under the final name. Moments and bytes come from the environment's SEED.

    test-downloads.py TOOL [KILLS]      each behaviour with so many kills
    test-downloads.py TOOL drops        1 GiB with 20 drops, at the program's own patience

The behaviours, 67 of them:

  plain                     the file, by ranges; neither size nor hash was promised
  plain-hash                the same with both
  no-ranges                 ranges are ignored: 200 and all of it
  no-ranges-no-hash         the same, nothing promised
  no-validator              neither ETag nor date
  no-validator-drops        the same, and connections end early
  weak-etag                 an ETag that vouches for nothing
  weak-etag-drops-no-hash   the same, cut once, nothing promised
  date-only                 Last-Modified is all there is, and connections end early
  drop-every                every connection ends early
  drop-every-no-hash        the same, nothing promised
  drop-20                   20 connections end early, spread over the file
  reset-20                  20 are reset
  drop-no-ranges            ends early every time and cannot go on: given up, said, the part kept
  drop-twice-no-ranges      cannot go on, and ends early the first two times
  wrong-start-twice         206 of another range than was asked for, twice
  wrong-start               the same for ever: given up
  whole-for-range           cut, then 200 for a range
  whole-for-range-no-hash   the same, nothing promised
  changes-once              cut, then another file of another ETag
  changes-once-no-hash      the same, nothing promised
  changes-always            another file each time: given up
  ignores-if-range          206 of another file, whatever If-Range says
  ignores-if-range-no-hash  the same, nothing promised
  grows                     the file is twice as long the second time
  short-body                every other body is shorter than its length
  long-body                 more bytes than were announced
  not-satisfiable-once      416 in the middle
  chunks                    chunked, no length
  chunks-cut                chunked, and ends in the middle of a chunk, twice
  until-close               no length at all: the end of the connection is the end
  unknown-total             206 with "/*": only 416 tells the end
  endless                   a body without an end: stopped at the promised size
  bad-prefix                a wrong byte in the first answer, cut, then right ones
  bad-always                the last bit is wrong each time: nothing is kept
  lies-about-size           half the file under its ETag: nothing is kept
  redirect                  to another path
  redirect-loop             to itself
  redirect-file             to file:///etc/passwd
  redirect-ftp              to ftp
  redirect-http             to a public host without encryption
  redirect-nowhere          to no host
  silent                    says nothing, twice
  drip                      a byte every 100 ms
  gzipped                   an encoding that was not asked for
  fails-twice               500, twice
  retry-after               503 with Retry-After
  too-many                  429, twice
  fails                     502 for ever
  not-found                 404
  forbidden                 403: what to do is said
  teapot                    418
  portal                    a page to log in on, with 200
  portal-hash               the same, the hash promised
  empty                     200 and nothing
  disposition               a name with ../ in a header
  big-heads                 headers of 32 MiB
  garbage                   no HTTP at all
  at-once                   the connection ends before a byte
  two-lengths               two Content-Lengths that differ
  negative-length           Content-Length: -5
  no-content-range          206 without saying of what
  multipart                 206 of several parts
  capped                    never more than an eleventh of the file in an answer
  one-at-a-time             503 for a second connection
  reset                     reset in the middle of the headers, twice
  gated                     401 without a token

Besides: certificates that have expired, do not count yet, are of another host or nobody's, TLS 1.1, hostile file names.
"""
import hashlib
import os
import random
import re
import shutil
import sqlite3
import ssl
import subprocess
import sys
import tempfile

import hostile_server
from tap import Tap

TOOL = sys.argv[1]
ONLY_DROPS = sys.argv[2:] == ["drops"]
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 and not ONLY_DROPS else 1
SIZE = 1 << 20
# IngErrorCode by name, from the header, so that the numbers are its own.
HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "app", "include", "ing-error.h")
DONE, PAUSED, FAILED = 4, 3, 5


def error_names():
    with open(HEADER, encoding="utf-8") as source:
        text = source.read()
    body = text[text.index("ING_ERROR_FAILED"):text.index("} IngErrorCode")]
    names = [line.strip().split(",")[0].split(" ")[0] for line in body.splitlines() if line.strip().startswith("ING_ERROR")]
    return [name.removeprefix("ING_ERROR_") for name in names]


ERRORS = error_names()
n_killed = [0]


class Place:
    """A data folder and a folder of models."""

    def __init__(self, root):
        self.data, self.models = os.path.join(root, "data"), os.path.join(root, "models")
        os.makedirs(self.data)
        os.makedirs(self.models)

    def command(self, uri, size=None, sha256=None):
        return [TOOL, self.data, self.models, uri, *([str(size or 0), sha256] if sha256 else [str(size)] if size else [])]

    def run(self, command, timeout=60, kill=False, **environment):
        """(state, error, path, words); None if it was killed after `timeout` as `kill` asks."""
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=dict(os.environ, DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent",
                                       **environment)) as process:
            try:
                out, words = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                assert kill, "it takes more than %g s" % timeout
                return None
        assert process.returncode == 0, (process.returncode, words)
        state, code, path = out.strip().split(" ", 2)
        return int(state), ERRORS[int(code)] if int(code) >= 0 else "", path, words

    def files(self):
        return sorted(os.listdir(self.models))

    def final(self):
        return [name for name in self.files() if not name.endswith(".part")]


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def good_hashes(server, behaviour, key):
    """Without a promised hash any file that the server really had, whole, is right."""
    n = max([count for path, count in server.counts.items() if "/%s/" % key in path] or [0])
    made = [key, key + "-old", key + "-new"] + [key + str(i) for i in range(1, n + 1)]
    hashes = {hostile_server.sha256(k, SIZE) for k in made}
    return hashes | {hostile_server.sha256(key + "-old", SIZE // 2)} if behaviour == "grows" else hashes


def check_behaviour(server, behaviour, rng):
    _, expected, promises = hostile_server.BEHAVIOURS[behaviour]
    key = "%s-%d" % (behaviour, rng.randrange(1 << 30))
    promised = hostile_server.sha256(key, SIZE) if "hash" in promises else None
    right = {promised} if promised else None
    with tempfile.TemporaryDirectory() as root:
        place = Place(root)
        command = place.command(server.uri(behaviour, key, SIZE), SIZE if "size" in promises else None, promised)
        result = None
        for _ in range(KILLS):
            result = place.run(command, rng.uniform(0.005, 0.15), kill=True)
            n_killed[0] += result is None
            for name in place.final():
                found = sha256(os.path.join(place.models, name))
                assert found in (right or good_hashes(server, behaviour, key)), "wrong bytes in %s" % name
            if result is not None:
                break
        state, error, path, words = result or place.run(command)
        outcome = "done" if state == DONE else error
        # Kills use up what a behaviour does the first times only: it may then go better than expected.
        assert outcome in expected.split() or (KILLS and outcome == "done" and expected != "HASH"), \
            "%s, expected %s: %s" % (outcome, expected, words)
        if state == DONE:
            found = sha256(path)
            assert found in (right or good_hashes(server, behaviour, key)), "wrong bytes"
            assert place.final() == [os.path.basename(path)], place.files()
            assert len(place.files()) == 1, "left behind: %s" % place.files()
            assert os.path.basename(path).startswith("model"), path
        else:
            assert not place.final(), "a failed download has a name: %s" % place.files()
        if outcome in ("HASH", "NOT_A_MODEL"):
            assert not place.files(), "bytes kept of what is no good: %s" % place.files()


def test_drops(tap, server, behaviour, size, **environment):
    """What the server sent says it: bytes that were under way when a connection was reset are among them."""
    with tap.case("%s: a file of %d MiB costs less than 1 %% more bytes" % (behaviour, size >> 20)), \
            tempfile.TemporaryDirectory() as root:
        place, bytes_before, cuts_before = Place(root), server.n_bytes, server.n_cuts
        state, error, path, words = place.run(place.command(server.uri(behaviour, behaviour, size), size,
                                                            hostile_server.sha256(behaviour, size)), 500, **environment)
        assert state == DONE, (error, words)
        assert sha256(path) == hostile_server.sha256(behaviour, size)
        assert server.n_cuts - cuts_before == 20, server.n_cuts - cuts_before
        more = server.n_bytes - bytes_before - size
        print("# %s: %d bytes sent for a file of %d: %.3f %% more" % (behaviour, size + more, size, 100 * more / size))
        assert more <= size // 100


def test_list(tap):
    with tap.case("the list above is the list of behaviours"):
        listed = re.findall(r"^  ([a-z0-9-]+) {2,}\S", __doc__, re.MULTILINE)
        assert listed == list(hostile_server.BEHAVIOURS), set(listed) ^ set(hostile_server.BEHAVIOURS)
        assert "%d of them" % len(listed) in __doc__ and len(listed) >= 40, len(listed)


def test_token(tap, server):
    with tap.case("a token goes to its own host alone, and into no file"), tempfile.TemporaryDirectory() as root:
        place, key = Place(root), "token"
        state, error, _, words = place.run(
            place.command(server.uri("gated", key, SIZE), SIZE, hostile_server.sha256(key, SIZE)),
            DOWNLOAD_TOOL_TOKEN="hf_secret")
        assert state == DONE, (error, words)
        for path, heads in server.seen:
            assert "authorization" not in heads or path.startswith("/gated/"), path
        for folder, _, names in os.walk(root):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    assert b"hf_secret" not in file.read(), name


def test_names(tap, server):
    for name in ("..%2f..%2fevil.gguf", ".hidden.gguf", "a%00b.gguf", "%e2%80%aeffug.gguf", "x" * 3000 + ".gguf"):
        with tap.case("a hostile name stays in the folder: %.20s" % name), tempfile.TemporaryDirectory() as root:
            place = Place(root)
            state, error, path, words = place.run(place.command(server.uri("plain", "name", SIZE, name)))
            if state != DONE:
                assert error in ("ARGUMENT", "FORMAT"), (error, words)
                assert not place.files()
                continue
            assert os.path.dirname(path) == place.models and not os.path.basename(path).startswith("."), path
            assert place.files() == [os.path.basename(path)]
            assert os.listdir(root) == ["data", "models"] or sorted(os.listdir(root)) == ["data", "models"]


def test_same_name(tap, server):
    with tap.case("a file that is there is never replaced"), tempfile.TemporaryDirectory() as root:
        place = Place(root)
        with open(os.path.join(place.models, "model.gguf"), "w", encoding="utf-8") as other:
            other.write("mine")
        state, _, path, _ = place.run(place.command(server.uri("plain", "same", SIZE)))
        assert state == DONE and os.path.basename(path) == "model (2).gguf", path
        with open(os.path.join(place.models, "model.gguf"), encoding="utf-8") as other:
            assert other.read() == "mine"


AUTHORITY = """[ca]
default_ca = own
[own]
database = %(root)s/index
serial = %(root)s/serial
new_certs_dir = %(root)s
certificate = %(root)s/ca.pem
private_key = %(root)s/ca.key
default_md = sha256
policy = any
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
subjectAltName = %(host)s
"""
# What a certificate of our authority says, and what comes of it.
CERTIFICATES = (
    ("in order", "IP:127.0.0.1", "20200101000000Z", "20990101000000Z", "done"),
    ("that has expired", "IP:127.0.0.1", "20200101000000Z", "20200201000000Z", "NOT_TRUSTED"),
    ("that does not count yet", "IP:127.0.0.1", "20980101000000Z", "20990101000000Z", "NOT_TRUSTED"),
    ("for another host", "DNS:evil.example", "20200101000000Z", "20990101000000Z", "NOT_TRUSTED"),
)


def make_certificate(root, host, start, end):
    """Paths of certificate and key, signed by the authority in `root`."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=root)
    if not os.path.exists(root + "/ca.pem"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=authority", "-days", "30", "-out", "ca.pem",
                "-keyout", "ca.key")
    for name, text in (("ca.cnf", AUTHORITY % {"root": root, "host": host}), ("index", ""), ("serial", "01")):
        with open(os.path.join(root, name), "w", encoding="ascii") as out:
            out.write(text)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=host", "-out", "host.csr", "-keyout", "host.key")
    openssl("ca", "-batch", "-config", "ca.cnf", "-in", "host.csr", "-out", "host.pem", "-notext", "-startdate", start,
            "-enddate", end)
    return root + "/host.pem", root + "/host.key"


def check_tls(root, case, pair, expected, **options):
    server, place = hostile_server.Server(pair, **options), Place(os.path.join(root, case))
    state, error, _, words = place.run(place.command(server.uri("plain", "tls", SIZE)), DOWNLOAD_TOOL_CA=root + "/ca.pem")
    assert ("done" if state == DONE else error) in expected.split(), (state, error, words)
    if state != DONE:
        assert not server.seen, "a request was sent"
        assert not place.files()


def test_tls(tap):
    if not shutil.which("openssl"):
        tap.skip("certificates", "no openssl")
        return
    with tempfile.TemporaryDirectory() as root:
        pair = None
        for case, host, start, end, expected in CERTIFICATES:
            with tap.case("a certificate %s: %s" % (case, expected)):
                pair = make_certificate(root, host, start, end)
                check_tls(root, case, pair, expected)
        with tap.case("TLS 1.1 alone is refused"):
            pair = make_certificate(root, *CERTIFICATES[0][1:4])
            # NETWORK: one of the two libraries does not even try.
            check_tls(root, "old", pair, "NOT_TRUSTED NETWORK", newest=ssl.TLSVersion.TLSv1_1)
        with tap.case("a certificate self-signed is refused"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "30",
                            "-out", root + "/self.pem", "-keyout", root + "/self.key"], check=True, capture_output=True)
            check_tls(root, "self", (root + "/self.pem", root + "/self.key"), "NOT_TRUSTED")


def test_owned(tap, server):
    with tap.case("a finished download is known as the program's own"), tempfile.TemporaryDirectory() as root:
        place = Place(root)
        _, _, path, _ = place.run(place.command(server.uri("plain", "own", SIZE), SIZE, hostile_server.sha256("own", SIZE)))
        database = sqlite3.connect(os.path.join(place.data, "inglenook.sqlite"))
        rows = database.execute("SELECT path, sha256, bytes FROM model_files").fetchall()
        database.close()
        assert rows == [(path, hostile_server.sha256("own", SIZE), SIZE)], rows


def test_folder(tap, server):
    with tap.case("an absent folder pauses; it goes on when the folder is back"), tempfile.TemporaryDirectory() as root:
        place = Place(root)
        os.rmdir(place.models)
        command = place.command(server.uri("plain", "folder", SIZE), SIZE, hostile_server.sha256("folder", SIZE))
        state, error, _, _ = place.run(command)
        assert state == PAUSED and error == "NOT_CONNECTED", (state, error)
        assert not os.path.exists(place.models), "an absent drive's folder was made"
        os.mkdir(place.models)
        state, error, path, words = place.run(command)
        assert state == DONE, (error, words)
    with tap.case("a lost part starts over"), tempfile.TemporaryDirectory() as root:
        place = Place(root)
        command = place.command(server.uri("fails", "lost", SIZE), SIZE, hostile_server.sha256("lost", SIZE))
        place.run(command)
        for name in place.files():
            os.unlink(os.path.join(place.models, name))
        assert place.run(command)[1] == "NETWORK"


def main():
    tap = Tap()
    seed = int(os.environ.get("SEED", 7))
    print("# seed %d, %d kills each" % (seed, KILLS))
    server, rng = hostile_server.Server(), random.Random(seed)
    if ONLY_DROPS:
        for behaviour in ("drop-20", "reset-20"):
            test_drops(tap, server, behaviour, 1 << 30, DOWNLOAD_TOOL_PATIENCE="usual")
        sys.exit(tap.done())
    only = os.environ.get("ONLY")
    server.pause_s = 0.02 if KILLS else 0
    for behaviour in hostile_server.BEHAVIOURS:
        if only and behaviour != only:
            continue
        with tap.case(behaviour):
            check_behaviour(server, behaviour, rng)
    print("# killed %d times" % n_killed[0])
    server.pause_s = 0
    if not only:
        test_list(tap)
        test_drops(tap, server, "drop-20", 32 << 20)
        test_token(tap, server)
        test_names(tap, server)
        test_same_name(tap, server)
        test_owned(tap, server)
        test_folder(tap, server)
        test_tls(tap)
    sys.exit(tap.done())


main()
