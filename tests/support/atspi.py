# SPDX-License-Identifier: Apache-2.0
"""Drives a GTK 4 program through its accessibility tree, as a screen reader would.

For /usr/bin/python3 with python3-gi and gir1.2-atspi-2.0, inside gui-env. What GTK 4.8 does, and why
these helpers are as they are:
- a GtkButton has the role "push button", GtkEntry and GtkTextView "text", list rows "list item", a
  window "frame";
- get_text (0, -1) answers '' for labels and entries: ask for the number of characters first;
- objects vanish while the tree is walked: GLib.Error means "not yet", and `wait` tries again;
- extents are relative to the window's content, without the shadow's margin;
- "showing" is not set on children: "visible" is.
"""
import os
import subprocess
import sys
import time

try:
    import gi
    gi.require_version("Atspi", "2.0")
    from gi.repository import Atspi, GLib
except (ImportError, ValueError) as error:
    print("1..0 # SKIP %s" % error)
    sys.exit(77)

Atspi.init()
Atspi.set_timeout(2000, 5000)


class Timeout(AssertionError):
    pass


def wait(function, what="condition", timeout=10.0, step=0.02):
    """The first true result of `function`."""
    end = time.monotonic() + timeout
    while True:
        try:
            result = function()
            if result:
                return result
        except GLib.Error:
            pass
        if time.monotonic() > end:
            raise Timeout("timed out after %g s waiting for %s" % (timeout, what))
        time.sleep(step)


def application(pid, timeout=10.0):
    """The accessible application of process `pid`."""
    def look():
        desktop = Atspi.get_desktop(0)
        for i in range(desktop.get_child_count()):
            child = desktop.get_child_at_index(i)
            if child is not None and child.get_process_id() == pid:
                return child
        return None
    return wait(look, "process %d on the accessibility bus" % pid, timeout)


def application_named(name, timeout=10.0):
    """By name: inside a sandbox the process id is that of the bus proxy."""
    def look():
        desktop = Atspi.get_desktop(0)
        for i in range(desktop.get_child_count()):
            child = desktop.get_child_at_index(i)
            if child is not None and child.get_name() == name:
                return child
        return None
    return wait(look, "%r on the accessibility bus" % name, timeout)


def walk(node, depth=0):
    """(node, depth) of all descendants, the node itself first."""
    yield node, depth
    for i in range(node.get_child_count()):
        child = node.get_child_at_index(i)
        if child is not None:
            yield from walk(child, depth + 1)


def find_now(root, role=None, name=None):
    """The first descendant with this role and name, or None. `name` may be a function of the name."""
    for node, _ in walk(root):
        if role is not None and node.get_role_name() != role:
            continue
        if name is not None:
            own = node.get_name() or ""
            if not (name(own) if callable(name) else own == name):
                continue
        return node
    return None


def find(root, role=None, name=None, timeout=10.0):
    return wait(lambda: find_now(root, role, name), "%s %r" % (role or "object", name), timeout)


def find_all(root, role):
    return [node for node, _ in walk(root) if node.get_role_name() == role]


def is_gone(root, role=None, name=None, timeout=10.0):
    wait(lambda: find_now(root, role, name) is None, "%s %r to go" % (role, name), timeout)


def text(node):
    return Atspi.Text.get_text(node, 0, Atspi.Text.get_character_count(node))


def set_text(node, value):
    if not Atspi.EditableText.set_text_contents(node, value):
        raise AssertionError("the text of %r cannot be set" % node.get_name())


def click(node, action=None):
    """Does the named action; without a name the first."""
    names = [Atspi.Action.get_action_name(node, i) for i in range(Atspi.Action.get_n_actions(node))]
    index = names.index(action) if action else 0
    if not Atspi.Action.do_action(node, index):
        raise AssertionError("%r refused %s of %s" % (node.get_name(), action, names))


def press(root, name, role="push button", timeout=10.0):
    """Presses the button of this name as soon as it is there and can be pressed."""
    def attempt():
        node = find_now(root, role, name)
        if node is None or not has_state(node, "sensitive"):
            return False
        return Atspi.Action.get_n_actions(node) > 0 and Atspi.Action.do_action(node, 0)
    wait(attempt, "%s %r that can be pressed" % (role, name), timeout)


def press_until(root, name, condition, what):
    """A button does nothing before its page is on the screen: it is pressed again if nothing comes of it."""
    def attempt():
        if condition():
            return True
        node = find_now(root, "push button", name)
        if node is not None and has_state(node, "sensitive"):
            click(node)
        end = time.monotonic() + 1.5
        while not condition() and time.monotonic() < end:
            time.sleep(0.05)
        return condition()
    wait(attempt, what, 60)


def press_main_menu(root, item):
    """By the keyboard, as a person without a pointer does: F10 again if the window was not listening yet."""
    def is_open():
        return find_now(root, "menu item", item) is not None

    def attempt():
        if not is_open():
            key("F10")
            end = time.monotonic() + 2
            while not is_open() and time.monotonic() < end:
                time.sleep(0.05)
        return is_open()
    wait(attempt, "the main menu", 30)
    press(root, item, "menu item")


def states(node):
    return {state.value_nick for state in node.get_state_set().get_states()}


def has_state(node, state):
    return state in states(node)


def all_text(root):
    """Everything the tree says, a line each: what a person with a screen reader could reach."""
    lines = []
    for node, _ in walk(root):
        try:
            shown = text(node) if node.get_text_iface() else ""
        except GLib.Error:
            shown = ""
        lines.append(shown or node.get_name() or "")
    return "\n".join(line for line in lines if line)


def dump(root, out=sys.stderr):
    for node, depth in walk(root):
        shown = " text=%r" % text(node) if node.get_text_iface() else ""
        print("%s[%s] %r%s {%s}" % ("  " * depth, node.get_role_name(), node.get_name(), shown,
                                    ", ".join(sorted(states(node)))), file=out)


def xdotool(*arguments):
    return subprocess.run(("xdotool",) + arguments, capture_output=True, text=True,
                          check=True).stdout.strip()


def window_of(pid, timeout=10.0):
    """X window of a process. No --sync: it never returns where the window is there already."""
    def look():
        result = subprocess.run(("xdotool", "search", "--onlyvisible", "--pid", str(pid)),
                                capture_output=True, text=True)
        return result.stdout.split()
    return wait(look, "a window of process %d" % pid, timeout)[0]


def screen_point(pid, frame, node):
    """Middle of `node` on the screen. The window's size without the content's is twice the margin
    that the shadow takes, and extents do not count that margin."""
    geometry = dict(line.split("=") for line in
                    xdotool("getwindowgeometry", "--shell", window_of(pid)).splitlines())
    inner = frame.get_extents(Atspi.CoordType.WINDOW)
    box = node.get_extents(Atspi.CoordType.WINDOW)
    margin_x = (int(geometry["WIDTH"]) - inner.width) // 2
    margin_y = (int(geometry["HEIGHT"]) - inner.height) // 2
    return (int(geometry["X"]) + margin_x + box.x + box.width // 2,
            int(geometry["Y"]) + margin_y + box.y + box.height // 2)


def click_at(pid, frame, node):
    x, y = screen_point(pid, frame, node)
    xdotool("mousemove", str(x), str(y))
    xdotool("click", "1")


def key(*names):
    xdotool("key", *names)


def screenshot(path, window="root"):
    subprocess.run(["import", "-window", window, path], check=True)


class Program:
    """A started program and its accessible application; use as a context manager."""

    def __init__(self, command, environment=None, timeout=20.0, log=None):
        self.log = log
        out = open(log, "ab") if log else None
        self.process = subprocess.Popen(command, env=dict(os.environ, **(environment or {})),
                                        stdout=out, stderr=out)
        if out:
            out.close()
        try:
            self.root = application(self.process.pid, timeout)
            self.frame = find(self.root, "frame", timeout=timeout)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self, timeout=10.0):
        """Asks it to end and returns its status; kills it when it does not."""
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("it did not end within %g s of being asked" % timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()
