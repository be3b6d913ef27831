# SPDX-License-Identifier: Apache-2.0
"""Runs inglenook-reader as the program does, on a descriptor, and takes its frames apart (reader-wire.h)."""
import json
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time

READER = os.path.abspath(sys.argv[1])
MAGIC = 0x52440000
NAMES = {1: "confined", 2: "blocks", 3: "progress", 4: "end", 5: "error", 6: "page", 7: "pixels", 8: "scan"}
MAX_PAYLOAD = 64 << 20


class Result:
    """What came of one document."""

    def __init__(self):
        self.confined = self.end = self.error = self.page = self.pixels = None
        self.blocks, self.progress, self.scans = [], [], []
        self.signal = 0     # the child ended by it
        self.status = None  # of its exit
        self.seconds = self.cpu = self.memory = 0  # wall clock, the processor's; largest resident bytes
        self.first_blocks = None        # seconds until the first block came
        self.noise = b""    # standard error

    @property
    def text(self):
        return "\n".join(block["text"] for block in self.blocks)

    @property
    def code(self):
        return self.error["code"] if self.error else None

    def of_kind(self, kind):
        return [block for block in self.blocks if block["kind"] == kind]

    def __str__(self):
        return "signal %d, status %s, error %s, end %s, %d blocks: %.300r, %s" % (
            self.signal, self.status, self.error, self.end, len(self.blocks), self.text, self.noise[-300:])


def take_frames(result, pending, start):
    while len(pending) >= 8:
        word, n = struct.unpack_from("<II", pending)
        assert word & 0xffff0000 == MAGIC and n <= MAX_PAYLOAD, "no frame: %r" % bytes(pending[:16])
        if len(pending) < 8 + n:
            return
        name, payload = NAMES[word & 0xffff], bytes(pending[8:8 + n])
        del pending[:8 + n]
        assert result.end is None and result.error is None, "a frame behind the last"
        if name == "pixels":
            result.pixels = payload
            continue
        value = json.loads(payload.decode("utf-8"))
        if name == "blocks":
            result.blocks += value["blocks"]
            result.first_blocks = result.first_blocks or time.monotonic() - start
        elif name == "progress":
            result.progress.append(value)
        elif name == "scan":
            result.scans.append(value["page"])
        else:
            setattr(result, name, value)


def run(descriptor, name, mode="text", arguments=(), timeout=60, stop_after=None, cwd=None, password=None):
    """@stop_after: kill the child after as many progress or blocks frames; Result.seconds then counts from there."""
    result, pending, command, given = Result(), bytearray(), [READER, mode, name, *arguments], ()
    if password is not None:
        ends = os.pipe()
        given = ends[:1]
        os.write(ends[1], password.encode("utf-8"))
        os.close(ends[1])
        command = ["/bin/sh", "-c", 'exec "$@" 3<&%d' % ends[0], "sh", READER, "--password", *command[1:]]
    with tempfile.TemporaryFile() as noise:
        start = time.monotonic()
        child = subprocess.Popen(command, stdin=descriptor, stdout=subprocess.PIPE, stderr=noise, cwd=cwd, pass_fds=given,
                                 env={"PATH": "/usr/bin:/bin", **{k: v for k, v in os.environ.items()
                                                                  if k.endswith("SAN_OPTIONS")}})
        for end in given:
            os.close(end)
        pipe = child.stdout.fileno()
        while True:
            left = start + timeout - time.monotonic()
            if left <= 0:
                os.kill(child.pid, signal.SIGKILL)
                os.wait4(child.pid, 0)
                raise AssertionError("%s: not done after %d s" % (name, timeout))
            if not select.select([pipe], [], [], left)[0]:
                continue
            data = os.read(pipe, 1 << 16)
            if not data:
                break
            pending += data
            take_frames(result, pending, start)
            if stop_after and len(result.blocks) + len(result.progress) >= stop_after:
                start = time.monotonic()
                os.kill(child.pid, signal.SIGKILL)
                stop_after = None
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status
        child.stdout.close()
        result.seconds, result.memory = time.monotonic() - start, usage.ru_maxrss * 1024
        result.cpu = usage.ru_utime + usage.ru_stime
        result.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        result.status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        noise.seek(0)
        result.noise = noise.read()
    return result


def read(data, name, **more):
    """The reader on @data, which lies in a file that has no name any more."""
    with tempfile.TemporaryFile() as file:
        file.write(data if isinstance(data, bytes) else data.encode("utf-8"))
        file.flush()
        file.seek(0)
        return run(file.fileno(), name, **more)
