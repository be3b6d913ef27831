#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A reader that misbehaves as the document's name asks for."""
import json
import os
import signal
import struct
import sys
import time

mode, name = sys.argv[1], sys.argv[2]


def frame(kind, value):
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    os.write(1, struct.pack("<II", 0x52440000 | kind, len(payload)) + payload)


def block(text="Words.", **more):
    frame(2, {"blocks": [{"kind": "paragraph", "text": text, "start": 0, **more}]})


if name == "dies.txt":
    block()
    os.kill(os.getpid(), signal.SIGSEGV)
elif name == "leaves.txt":
    sys.exit(3)
elif name == "hangs.txt":
    block()
    time.sleep(600)
elif name == "closes.txt":
    os.close(1)
    time.sleep(600)
elif name == "half.txt":
    os.write(1, struct.pack("<II", 0x52440002, 100) + b"{")
    sys.exit(0)
elif name == "huge.txt":
    os.write(1, struct.pack("<II", 0x52440002, 0xfffffff0))
    time.sleep(600)
elif name == "garbage.txt":
    os.write(1, b"Segmentation fault\n" * 10)
    time.sleep(600)
elif name == "json.txt":
    frame(2, b"{\"blocks\": [")
elif name == "types.txt":
    frame(1, {"seccomp": "yes", "landlock": [], "limits": None})
    frame(2, {"blocks": [1, None, [], {"text": 7, "kind": {}, "page": "x", "level": -5}, {"text": "Words.", "page": -3}]})
    frame(3, {"done": "many", "total": -1})
    frame(4, {"title": 5, "kind": None, "pages": {}, "characters": -7, "notes": [1, {}, "hidden-text"]})
elif name == "boxes.pdf":
    frame(6, {"width": 2, "height": 2, "stride": 8, "boxes": [1, [], [1, 2, 3, {}], [1, 2, 3, 4], [[], 1, 2, 3]]})
    frame(7, bytes(16))
elif name == "short.pdf":
    frame(6, {"width": 2000, "height": 2000, "stride": 8000, "boxes": []})
    frame(7, bytes(16))
elif name == "environment.txt":
    block(" ".join(sorted(os.environ)))
    frame(4, {"title": "", "kind": "text", "pages": 0, "characters": 6, "notes": []})
