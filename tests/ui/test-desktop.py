# SPDX-License-Identifier: Apache-2.0
"""What the desktop starts over the session bus: the window, actions of the desktop file, files, and GNOME's search, which
needs no window. The bus starts the program from the service file that is installed, with the built program in it.

    test-desktop.py PROGRAM SERVICE_FILE SEARCH_PROVIDER_INI DESKTOP_FILE      (inside gui-env)
"""
import configparser
import os
import sqlite3
import subprocess
import sys
import time

import atspi
from gi.repository import Gio, GLib
from tap import Tap

ID = "io.github.inglenook_app.Inglenook"
PATH = "/io/github/inglenook_app/Inglenook"


def read_ini(path):
    ini = configparser.ConfigParser(interpolation=None, delimiters="=")
    ini.optionxform = str
    ini.read(path, encoding="utf-8")
    return ini


class Bus:
    def __init__(self):
        self.connection = Gio.bus_get_sync(Gio.BusType.SESSION)

    def call(self, name, path, interface, method, parameters=None, reply=None, timeout=60):
        reply = GLib.VariantType(reply) if reply else None
        return self.connection.call_sync(name, path, interface, method, parameters, reply, Gio.DBusCallFlags.NONE,
                                         timeout * 1000, None).unpack()

    def daemon(self, method, parameters=None):
        return self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", method, parameters)

    def pid(self):
        """Of the program, 0 where it does not run."""
        try:
            return self.daemon("GetConnectionUnixProcessID", GLib.Variant("(s)", (ID,)))[0]
        except GLib.Error:
            return 0

    def application(self, method, parameters):
        self.call(ID, PATH, "org.freedesktop.Application", method, parameters)


def wait_gone(bus, timeout=60):
    end = time.monotonic() + timeout
    while bus.pid() != 0:
        assert time.monotonic() < end, "it still runs"
        time.sleep(0.1)


def install_service(bus, program, service):
    """As the file installed says, but for where the program is."""
    ini = read_ini(service)
    section = ini["D-BUS Service"]
    assert section["Name"] == ID
    command = section["Exec"].split()
    assert os.path.basename(command[0]) == "inglenook" and command[1:] == ["--gapplication-service"], command
    folder = os.path.join(os.environ["XDG_DATA_HOME"], "dbus-1", "services")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, os.path.basename(service)), "w", encoding="utf-8") as out:
        out.write("[D-BUS Service]\nName=%s\nExec=%s --gapplication-service\n" % (ID, program))
    bus.daemon("ReloadConfig")
    bus.daemon("UpdateActivationEnvironment", GLib.Variant("(a{ss})", ({
        "INGLENOOK_IDLE_SECONDS": "2", "G_DEBUG": "fatal-criticals", "LC_ALL": "C.UTF-8",
        "INGLENOOK_MODELS": os.path.join(os.environ["HOME"], "no-models")},)))


def put_conversations(program):
    with atspi.Program([program], {"G_DEBUG": "fatal-criticals"}) as running:
        atspi.find(running.root, "text", "Question", 30)
        assert running.close() == 0
    database = os.path.join(os.environ["XDG_DATA_HOME"], "inglenook", "inglenook.sqlite")
    with sqlite3.connect(database) as connection:
        for number, title, text in ((71, "Tea in Hangzhou", "Which leaves are best?"), (72, "Heat pump", "Who serves the tea?")):
            connection.execute("INSERT INTO conversations(id, title, title_source, created_us, updated_us)"
                               " VALUES (?, ?, 2, ?, ?)", (number, title, number, number))
            connection.execute("INSERT INTO messages(id, conversation_id, role, state, created_us) VALUES (?, ?, 1, 3, ?)",
                               (number + 100, number, number))
            connection.execute("INSERT INTO parts(message_id, position, kind, text) VALUES (?, 0, 1, ?)", (number + 100, text))
            connection.execute("INSERT INTO search(rowid, body) VALUES (?, ?)", (-number, title))
            connection.execute("INSERT INTO search(rowid, body) VALUES (?, ?)", (number + 100, text))
    connection.close()


def main():
    program, service, provider_ini, desktop = sys.argv[1:5]
    tap = Tap()
    bus = Bus()
    put_conversations(program)
    install_service(bus, program, service)
    provider = read_ini(provider_ini)["Shell Search Provider"]

    def search(method, parameters, reply=None):
        return bus.call(provider["BusName"], provider["ObjectPath"], "org.gnome.Shell.SearchProvider2", method,
                        parameters, reply)

    def windows():
        return atspi.find_all(atspi.application(bus.pid(), 30), "frame")

    def root():
        return atspi.application(bus.pid(), 30)

    def activate_action(name):
        bus.application("ActivateAction", GLib.Variant("(sava{sv})", (name, [], {})))

    with tap.case("the search provider's file names this program"):
        assert provider["Version"] == "2" and provider["DesktopId"] == ID + ".desktop" and provider["BusName"] == ID
        assert os.path.basename(provider_ini) == ID + ".search-provider.ini"
    with tap.case("a search starts the program without a window and finds titles and texts"):
        found = search("GetInitialResultSet", GLib.Variant("(as)", (["te"],)), "(as)")[0]
        assert sorted(found) == ["71/0", "72/172"], found
        metas = {m["id"]: m for m in search("GetResultMetas", GLib.Variant("(as)", (found,)), "(aa{sv})")[0]}
        assert metas["71/0"]["name"] == "Tea in Hangzhou" and "description" not in metas["71/0"], metas
        assert metas["72/172"]["name"] == "Heat pump" and "Who serves the tea?" in metas["72/172"]["description"], metas
        assert metas["71/0"]["icon"][0] == "themed", metas
        narrower = search("GetSubsearchResultSet", GLib.Variant("(asas)", (found, ["tea", "hang"])), "(as)")[0]
        assert narrower == ["71/0"], narrower
        assert search("GetInitialResultSet", GLib.Variant("(as)", ([],)), "(as)")[0] == []
        assert search("GetInitialResultSet", GLib.Variant("(as)", (["\"(*"],)), "(as)")[0] == []
        assert search("GetResultMetas", GLib.Variant("(as)", (["999/1", "x", ""],)), "(aa{sv})")[0] == []
        names = subprocess.run(["xdotool", "search", "--onlyvisible", "--pid", str(bus.pid())], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True).stdout.split()
        assert names == [], names
    with tap.case("it ends by itself when nothing more comes"):
        wait_gone(bus)
    with tap.case("a result that is chosen opens its conversation"):
        search("ActivateResult", GLib.Variant("(sasu)", ("71/0", ["tea"], 0)))
        atspi.wait(lambda: "Which leaves are best?" in atspi.all_text(root()), "the conversation", 30)
        pid = bus.pid()
    with tap.case("all results are shown in the window's own search"):
        search("LaunchSearch", GLib.Variant("(asu)", (["tea"], 0)))
        atspi.wait(lambda: "Who serves the tea?" in atspi.all_text(root()), "what was found", 30)
        assert bus.pid() == pid and len(windows()) == 1
    with tap.case("the desktop file's actions are there on the bus"):
        ini = read_ini(desktop)
        assert ini["Desktop Entry"]["DBusActivatable"] == "true"
        actions = ini["Desktop Entry"]["Actions"].strip(";").split(";")
        assert actions == ["new-conversation", "ask-about-file"], actions
        there = bus.call(ID, PATH, "org.gtk.Actions", "List")[0]
        assert all(action in there for action in actions), there
    with tap.case("a new conversation"):
        activate_action("new-conversation")
        atspi.wait(lambda: "Which leaves are best?" not in atspi.all_text(root()), "an empty one", 30)
    with tap.case("a file handed over is asked about"):
        path = os.path.join(os.environ["HOME"], "notes on tea.txt")
        with open(path, "w", encoding="utf-8") as out:
            out.write("Green tea is steeped at eighty degrees.\n")
        uri = GLib.filename_to_uri(path)
        bus.application("Open", GLib.Variant("(asa{sv})", ([uri, "https://example.org/no-file"], {})))
        atspi.wait(lambda: "notes on tea.txt" in atspi.all_text(root()), "the document", 30)
        assert len(windows()) == 1
    with tap.case("files to ask about are chosen in a dialog"):
        activate_action("ask-about-file")
        atspi.wait(lambda: subprocess.run(["xdotool", "search", "--onlyvisible", "--name", "Choose documents"],
                                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout, "the chooser", 30)
    with tap.case("a start by the bus opens the window, and so does one while it is closing"):
        os.kill(bus.pid(), 15)
        wait_gone(bus)
        bus.application("Activate", GLib.Variant("(a{sv})", ({},)))
        atspi.find(root(), "text", "Question", 30)
        assert len(windows()) == 1
        # The two words come in this order on one connection. Where it was faster than that, the bus says so: again.
        bus.connection.call(ID, PATH, "org.freedesktop.Application", "ActivateAction",
                            GLib.Variant("(sava{sv})", ("quit", [], {})), None, Gio.DBusCallFlags.NONE, -1, None, None)

        def activated():
            bus.application("Activate", GLib.Variant("(a{sv})", ({},)))
            return True
        atspi.wait(activated, "a start", 30)
        atspi.wait(lambda: bus.pid() != 0 and atspi.find_now(root(), "text", "Question") is not None, "a window again", 30)
    if bus.pid():
        os.kill(bus.pid(), 15)
        wait_gone(bus)
    return tap.done()


sys.exit(main())
