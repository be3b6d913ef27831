# SPDX-License-Identifier: Apache-2.0
"""A server on the loopback that misbehaves as its address says: /BEHAVIOUR/KEY/SIZE/NAME. The file is made of KEY and
SIZE; what happens can depend on how often the address was asked for. test-downloads.py lists all behaviours."""
import collections
import functools
import hashlib
import random
import re
import socket
import ssl
import struct
import threading
import time


BLOCK = 1 << 20
SMALLEST_CUT = 16384  # a shorter part is sent whole, so that there is always something to move on with


@functools.lru_cache(64)
def content(key, size):
    """Random bytes; large files repeat them, each block with its number in front."""
    if size <= 64 * BLOCK:
        return b"GGUF" + random.Random(key).randbytes(size - 4)
    body, block = bytearray(size), random.Random(key).randbytes(BLOCK)
    for at in range(0, size, BLOCK):
        body[at:at + BLOCK] = (struct.pack(">Q", at) + block[8:])[:size - at]
    body[:4] = b"GGUF"
    return body


def sha256(key, size):
    return hashlib.sha256(content(key, size)).hexdigest()


class Cut(Exception):
    """The connection ends here."""


class Exchange:
    """One request and what is said to it."""

    def __init__(self, server, connection, path, heads):
        self.server, self.connection, self.heads = server, connection, heads
        _, self.behaviour, self.key, size, self.name = path.split("?")[0].split("/", 4)
        self.size = int(size)
        with server.lock:
            server.counts[path] += 1
            self.n = server.counts[path]
            server.seen.append((path, dict(heads)))
        self.body = content(self.key, self.size)
        self.etag = '"%s"' % self.key
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", heads.get("range", ""))
        self.range = (int(found[1]), int(found[2]) + 1 if found[2] else self.size) if found else None

    def send(self, data):
        for at in range(0, len(data), 65536):
            self.connection.sendall(data[at:at + 65536])
            if self.server.pause_s:
                time.sleep(self.server.pause_s)
        with self.server.lock:
            self.server.n_bytes += len(data)

    def head(self, status, *lines):
        self.send(("HTTP/1.1 %s\r\n" % status + "".join(line + "\r\n" for line in (*lines, "Connection: close"))
                   + "\r\n").encode("latin-1"))

    def status(self, status, *lines):
        self.head(status, "Content-Length: 0", *lines)

    def serve(self, body=None, etag=None, ranges=True, drop=None, validators=None, cap=None):
        """As a good server would, with these differences."""
        body = self.body if body is None else body
        etag = self.etag if etag is None else etag
        lines = ["ETag: " + etag] if validators is None else list(validators)
        matches = self.heads.get("if-range") in (None, etag) or validators is not None
        if self.range and ranges and matches:
            start, end = self.range[0], min(self.range[1], len(body))
            if start >= len(body):
                return self.status("416 Range Not Satisfiable", "Content-Range: bytes */%d" % len(body))
            if cap:
                end = min(end, start + cap)
            self.head("206 Partial Content", "Content-Range: bytes %d-%d/%d" % (start, end - 1, len(body)),
                      "Content-Length: %d" % (end - start), *lines)
            part = body[start:end]
        else:
            self.head("200 OK", "Content-Length: %d" % len(body), *lines)
            part = body
        if drop is not None and len(part) >= SMALLEST_CUT:
            # Requests are for pieces: a drop that is further on than this one goes is somewhere in it all the same.
            self.cut(part, min(drop, len(part) * 2 // 3))
        self.send(part)
        return None

    def cut(self, part, at):
        with self.server.lock:
            self.server.n_cuts += 1
        self.send(part[:at])
        raise Cut


def changed(exchange):
    return content(exchange.key + "-new", exchange.size)


# Each is called with the exchange; what it expects in the end stands beside it in BEHAVIOURS.
def drop_every(e):
    e.serve(drop=e.size // 20)


def drop_20(e, reset=False):
    """20 times in the whole of the file, wherever it is then: the connection ends, or is reset."""
    places = random.Random(e.key)
    marks = [round((k + places.uniform(0.1, 0.9)) * e.size / 20) for k in range(20)]
    start, end = e.range or (0, e.size)
    end = min(end, e.size)
    if reset:  # what the system holds back for the other side to take is lost: as little as a network would have on its way
        e.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    e.head("206 Partial Content", "Content-Range: bytes %d-%d/%d" % (start, end - 1, e.size),
           "Content-Length: %d" % (end - start), "ETag: " + e.etag)
    for at in range(start, end, 65536):
        part = e.body[at:min(at + 65536, end)]
        with e.server.lock:
            before = e.server.sent[e.key]
            e.server.sent[e.key] += len(part)
        hit = [mark for mark in marks if before < mark <= before + len(part)]
        if hit and reset:
            e.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if hit:
            e.cut(part, hit[0] - before)
        e.send(part)


def drop_no_ranges(e):
    e.serve(ranges=False, drop=e.size // 2)


def drop_twice_no_ranges(e):
    e.serve(ranges=False, drop=e.size // 2 if e.n <= 2 else None)


def wrong_start_twice(e):
    if e.n <= 2 and e.range:
        e.head("206 Partial Content", "Content-Range: bytes %d-%d/%d" % (e.range[0] + 7, e.size - 1, e.size),
               "Content-Length: %d" % (e.size - e.range[0] - 7), "ETag: " + e.etag)
        e.send(e.body[e.range[0] + 7:])
    else:
        e.serve()


def wrong_start(e):
    e.head("206 Partial Content", "Content-Range: bytes 7-%d/%d" % (e.size - 1, e.size),
           "Content-Length: %d" % (e.size - 7), "ETag: " + e.etag)
    e.send(e.body[7:])


def whole_for_range(e):
    if e.n == 1:
        e.serve(drop=e.size // 3)
    else:
        e.serve(ranges=False)


def changes_once(e):
    if e.n == 1:
        e.serve(body=content(e.key + "-old", e.size), etag='"old"', drop=e.size // 3)
    else:
        e.serve()


def changes_always(e):
    e.serve(body=content(e.key + str(e.n), e.size), etag='"%d"' % e.n, drop=e.size // 3)


def ignores_if_range(e):
    if e.n == 1:
        e.serve(body=content(e.key + "-old", e.size), etag='"old"', drop=e.size // 3)
    else:
        e.heads.pop("if-range", None)
        e.serve()


def grows(e):
    if e.n == 1:
        e.serve(body=content(e.key + "-old", e.size // 2), etag='"old"', drop=e.size // 3)
    else:
        e.heads.pop("if-range", None)
        e.serve()


def short_body(e):
    if e.n % 2:
        e.serve(drop=max(1, ((e.range or (0, e.size))[1] - (e.range or (0, e.size))[0]) * 2 // 3))
    else:
        e.serve()


def long_body(e):
    e.serve()
    e.send(b"more than was said" * 1000)


def not_satisfiable_once(e):
    if e.n == 2:
        e.status("416 Range Not Satisfiable", "Content-Range: bytes */%d" % e.size)
    else:
        e.serve(drop=e.size // 3 if e.n == 1 else None)


def chunks(e, cut=None):
    e.head("200 OK", "Transfer-Encoding: chunked")
    for at in range(0, e.size, 65536):
        if cut is not None and at >= cut:
            e.send(b"10000\r\nabc")
            raise Cut
        part = e.body[at:at + 65536]
        e.send(b"%x\r\n" % len(part) + part + b"\r\n")
    e.send(b"0\r\n\r\n")


def chunks_cut(e):
    chunks(e, e.size // 2 if e.n <= 2 else None)


def until_close(e):
    e.head("200 OK")
    e.send(e.body)


def unknown_total(e):
    start = e.range[0] if e.range else 0
    if start >= e.size:
        return e.status("416 Range Not Satisfiable", "Content-Range: bytes */%d" % e.size)
    end = min(start + e.size // 3 + 1, e.size)
    e.head("206 Partial Content", "Content-Range: bytes %d-%d/*" % (start, end - 1),
           "Content-Length: %d" % (end - start), "ETag: " + e.etag)
    return e.send(e.body[start:end])


def endless(e):
    e.head("200 OK")
    e.send(e.body)
    for _ in range(200):
        e.send(b"x" * 65536)


def bad_prefix(e):
    if e.n == 1:
        e.serve(body=e.body[:8] + b"?" + e.body[9:], drop=e.size // 3)
    else:
        e.serve()


def bad_always(e):
    e.serve(body=e.body[:-1] + bytes([e.body[-1] ^ 1]))


def redirect(e):
    e.status("302 Found", "Location: /plain/%s/%d/%s" % (e.key, e.size, e.name))


def redirect_to(place):
    return lambda e: e.status("302 Found", "Location: " + place)


def redirect_loop(e):
    e.status("307 Temporary Redirect", "Location: /redirect-loop/%s/%d/%s" % (e.key, e.size, e.name))


def silent(e):
    if e.n <= 2:
        e.head("206 Partial Content", "Content-Range: bytes 0-%d/%d" % (e.size - 1, e.size),
               "Content-Length: %d" % e.size, "ETag: " + e.etag) if e.range and e.range[0] == 0 else None
        time.sleep(2)
        raise Cut
    e.serve()


def drip(e):
    if e.n > 1:
        return e.serve()
    e.head("206 Partial Content", "Content-Range: bytes 0-%d/%d" % (e.size - 1, e.size), "Content-Length: %d" % e.size,
           "ETag: " + e.etag)
    for i in range(40):
        e.send(e.body[i:i + 1])
        time.sleep(0.1)
    raise Cut


def gzipped(e):
    e.head("200 OK", "Content-Encoding: gzip", "Content-Length: 20")
    e.send(b"\x1f\x8b" + b"x" * 18)


def failing(status, n, *lines):
    def behave(e):
        if n is None or e.n <= n:
            e.status(status, *lines)
        else:
            e.serve()
    return behave


def portal(e):
    e.head("200 OK", "Content-Type: text/html", "Content-Length: 27")
    e.send(b"<html>Log in here</html>   ")


def disposition(e):
    e.serve(validators=["ETag: " + e.etag, 'Content-Disposition: attachment; filename="../../evil.gguf"'])


def big_heads(e):
    e.send(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"x" * (32 << 20) + b"\r\n\r\n")


def garbage(e):
    e.send(random.Random(1).randbytes(4096))


def at_once(e):
    raise Cut


def two_lengths(e):
    e.head("200 OK", "Content-Length: 5", "Content-Length: %d" % e.size)
    e.send(e.body)


def negative_length(e):
    e.head("200 OK", "Content-Length: -5")
    e.send(e.body)


def no_content_range(e):
    e.head("206 Partial Content", "Content-Length: %d" % e.size)
    e.send(e.body)


def multipart(e):
    e.head("206 Partial Content", "Content-Type: multipart/byteranges; boundary=x", "Content-Length: %d" % e.size)
    e.send(e.body)


def one_at_a_time(e):
    with e.server.lock:
        e.server.busy[e.key] += 1
        alone = e.server.busy[e.key] == 1
    try:
        if alone:
            e.serve(drop=e.size // 4)
        else:
            e.status("503 Service Unavailable")
    finally:
        with e.server.lock:
            e.server.busy[e.key] -= 1


def reset(e):
    if e.n <= 2:
        e.send(b"HTTP/1.1 206 Partial")
        e.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Cut
    e.serve()


def gated(e):
    if e.heads.get("authorization") == "Bearer hf_secret":
        e.status("302 Found", "Location: http://localhost:%d/plain/%s/%d/%s" % (e.server.port, e.key, e.size, e.name))
    else:
        e.status("401 Unauthorized", 'WWW-Authenticate: Bearer realm="http://evil.example/"')


def lies_about_size(e):
    e.serve(validators=["ETag: " + e.etag], body=e.body[:e.size // 2])


# What must come of it: "done", or the names of errors that may; "hash": promised; "size": promised.
BEHAVIOURS = {
    "plain": (Exchange.serve, "done", ""),
    "plain-hash": (Exchange.serve, "done", "hash size"),
    "no-ranges": (lambda e: e.serve(ranges=False), "done", "hash"),
    "no-ranges-no-hash": (lambda e: e.serve(ranges=False), "done", ""),
    "no-validator": (lambda e: e.serve(validators=[]), "done", "hash"),
    "no-validator-drops": (lambda e: e.serve(validators=[], drop=e.size // 3), "done", "hash"),
    "weak-etag": (lambda e: e.serve(validators=['ETag: W/"x"']), "done", "hash"),
    "weak-etag-drops-no-hash": (lambda e: e.serve(validators=['ETag: W/"x"'], drop=e.size // 3 if e.n < 2 else None),
                                "done", ""),
    "date-only": (lambda e: e.serve(validators=["Last-Modified: Mon, 02 Nov 2026 10:00:00 GMT"], drop=e.size // 3),
                  "done", ""),
    "drop-every": (drop_every, "done", "hash"),
    "drop-every-no-hash": (drop_every, "done", ""),
    "drop-20": (drop_20, "done", "hash"),
    "reset-20": (lambda e: drop_20(e, True), "done", "hash"),
    "drop-no-ranges": (drop_no_ranges, "NETWORK", "hash"),
    "drop-twice-no-ranges": (drop_twice_no_ranges, "done", "hash"),
    "wrong-start-twice": (wrong_start_twice, "done", "hash"),
    "wrong-start": (wrong_start, "SERVER", "hash"),
    "whole-for-range": (whole_for_range, "done", "hash"),
    "whole-for-range-no-hash": (whole_for_range, "done", ""),
    "changes-once": (changes_once, "done", "hash"),
    "changes-once-no-hash": (changes_once, "done", ""),
    "changes-always": (changes_always, "NETWORK", ""),
    "ignores-if-range": (ignores_if_range, "done", "hash"),
    "ignores-if-range-no-hash": (ignores_if_range, "done", ""),
    "grows": (grows, "done", ""),
    "short-body": (short_body, "done", "hash"),
    "long-body": (long_body, "done", "hash"),
    "not-satisfiable-once": (not_satisfiable_once, "done", "hash"),
    "chunks": (chunks, "done", "hash"),
    "chunks-cut": (chunks_cut, "done", "hash"),
    "until-close": (until_close, "done", "hash"),
    "unknown-total": (unknown_total, "done", "hash"),
    "endless": (endless, "HASH", "hash size"),
    "bad-prefix": (bad_prefix, "done", "hash"),
    "bad-always": (bad_always, "HASH", "hash"),
    "lies-about-size": (lies_about_size, "HASH", "hash size"),
    "redirect": (redirect, "done", "hash"),
    "redirect-loop": (redirect_loop, "NOT_TRUSTED", "hash"),
    "redirect-file": (redirect_to("file:///etc/passwd"), "NOT_TRUSTED", "hash"),
    "redirect-ftp": (redirect_to("ftp://127.0.0.1/x.gguf"), "NOT_TRUSTED", "hash"),
    "redirect-http": (redirect_to("http://198.51.100.1/x.gguf"), "NOT_TRUSTED", "hash"),
    "redirect-nowhere": (redirect_to("http://"), "NOT_TRUSTED", "hash"),
    "silent": (silent, "done", "hash"),
    "drip": (drip, "done", "hash"),
    "gzipped": (gzipped, "SERVER", "hash"),
    "fails-twice": (failing("500 Internal Server Error", 2), "done", "hash"),
    "retry-after": (failing("503 Service Unavailable", 1, "Retry-After: 1"), "done", "hash"),
    "too-many": (failing("429 Too Many Requests", 2), "done", "hash"),
    "fails": (failing("502 Bad Gateway", None), "NETWORK", "hash"),
    "not-found": (failing("404 Not Found", None), "NOT_FOUND", "hash"),
    "forbidden": (failing("403 Forbidden", None), "GATED", "hash"),
    "teapot": (failing("418 I'm a teapot", None), "SERVER", "hash"),
    "portal": (portal, "NOT_A_MODEL", ""),
    "portal-hash": (portal, "NOT_A_MODEL", "hash"),
    "empty": (failing("200 OK", None), "NOT_A_MODEL", ""),
    "disposition": (disposition, "done", "hash"),
    "big-heads": (big_heads, "NETWORK SERVER", "hash"),
    "garbage": (garbage, "NETWORK SERVER", "hash"),
    "at-once": (at_once, "NETWORK", "hash"),
    "two-lengths": (two_lengths, "done NETWORK SERVER HASH NOT_A_MODEL", "hash"),
    "negative-length": (negative_length, "done NETWORK SERVER HASH NOT_A_MODEL", "hash"),
    "no-content-range": (no_content_range, "SERVER", "hash"),
    "multipart": (multipart, "SERVER", "hash"),
    "capped": (lambda e: e.serve(cap=e.size // 11 + 1), "done", "hash"),
    "one-at-a-time": (one_at_a_time, "done", "hash"),
    "reset": (reset, "done", "hash"),
    "gated": (gated, "GATED", "hash"),
}


class Server:
    def __init__(self, certificate=None, newest=None):
        self.lock = threading.Lock()
        self.counts, self.busy, self.sent = collections.Counter(), collections.Counter(), collections.Counter()
        self.seen, self.n_bytes, self.n_cuts = [], 0, 0
        self.pause_s = 0  # after each 64 KiB, so that a kill finds something under way
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
            if newest:
                self.context.set_ciphers("ALL:@SECLEVEL=0")
                self.context.minimum_version = ssl.TLSVersion.TLSv1
                self.context.maximum_version = newest
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.scheme = "https" if certificate else "http"
        threading.Thread(target=self.accept, daemon=True).start()

    def uri(self, behaviour, key, size, name="model.gguf"):
        return "%s://127.0.0.1:%d/%s/%s/%d/%s" % (self.scheme, self.port, behaviour, key, size, name)

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            data = b""
            while b"\r\n\r\n" not in data:
                more = connection.recv(65536)
                if not more:
                    return
                data += more
            lines = data.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
            heads = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
            exchange = Exchange(self, connection, lines[0].split(" ")[1], heads)
            BEHAVIOURS[exchange.behaviour][0](exchange)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(5)
            while connection.recv(4096):
                pass
        except (Cut, OSError, ssl.SSLError):
            pass
        finally:
            connection.close()
