# SPDX-License-Identifier: Apache-2.0
"""A file dragged from one window onto another by a real pointer (xdotool)."""
import subprocess
import time

import atspi

TRIES = 3  # of the drag: a pointer that jumps can lose it


def geometry(window):
    lines = atspi.xdotool("getwindowgeometry", "--shell", window).splitlines()
    return {key: int(value) for key, value in (line.split("=") for line in lines if "=" in line)}


def drag(source_pid, target_pid):
    """One drag from the middle of a window to the middle of another, as slowly as a hand."""
    source, target = atspi.window_of(source_pid), atspi.window_of(target_pid)
    atspi.xdotool("windowmove", target, "360", "80")
    atspi.xdotool("windowmove", source, "20", "20")
    time.sleep(0.3)
    atspi.xdotool("windowraise", source)
    time.sleep(0.2)
    a, b = geometry(source), geometry(target)
    x, y = a["X"] + a["WIDTH"] // 2, a["Y"] + a["HEIGHT"] // 2
    to_x, to_y = b["X"] + b["WIDTH"] // 2, b["Y"] + b["HEIGHT"] // 2
    atspi.xdotool("mousemove", str(x), str(y))
    time.sleep(0.2)
    atspi.xdotool("mousedown", "1")
    time.sleep(0.2)
    for i in range(1, 31):
        atspi.xdotool("mousemove", str(x + (to_x - x) * i // 30), str(y + (to_y - y) * i // 30))
        time.sleep(0.02)
    atspi.xdotool("mousemove_relative", "--", "3", "3")
    time.sleep(0.3)
    atspi.xdotool("mouseup", "1")


def drop(app, drag_source, path, name):
    """Drops the file or folder @path onto @app until something of a name that @name takes is there; returns that."""
    with subprocess.Popen([drag_source, path]) as source:
        try:
            for i in range(TRIES):
                drag(source.pid, app.pid)
                try:
                    return atspi.find(app.root, name=name, timeout=5)
                except atspi.Timeout:
                    if i == TRIES - 1:
                        raise
        finally:
            source.kill()
