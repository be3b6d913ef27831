# SPDX-License-Identifier: Apache-2.0
"""Portals of a desktop that says what it is told to say, and writes down what it was asked.

    fake_portal.py LOG ANSWERS

LOG gets a JSON object a line: {"interface", "method", "arguments"}; the first line, {"method": "ready"}, comes when the name
on the bus is ours. ANSWERS is a JSON file, read anew for each request: {"background": bool, "files": [path, …]}.
"""
import json
import os
import sys

from gi.repository import Gio, GLib

NAME, PATH = "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"
XML = """<node>
<interface name='org.freedesktop.portal.Background'>
  <method name='RequestBackground'><arg type='s' direction='in'/><arg type='a{sv}' direction='in'/><arg type='o' direction='out'/></method>
  <method name='SetStatus'><arg type='a{sv}' direction='in'/></method>
  <property name='version' type='u' access='read'/>
</interface>
<interface name='org.freedesktop.portal.FileChooser'>
  <method name='OpenFile'><arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='a{sv}' direction='in'/><arg type='o' direction='out'/></method>
  <method name='SaveFile'><arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='a{sv}' direction='in'/><arg type='o' direction='out'/></method>
  <property name='version' type='u' access='read'/>
</interface>
<interface name='org.freedesktop.portal.Inhibit'>
  <method name='Inhibit'><arg type='s' direction='in'/><arg type='u' direction='in'/><arg type='a{sv}' direction='in'/><arg type='o' direction='out'/></method>
  <method name='CreateMonitor'><arg type='s' direction='in'/><arg type='a{sv}' direction='in'/><arg type='o' direction='out'/></method>
  <method name='QueryEndResponse'><arg type='o' direction='in'/></method>
  <signal name='StateChanged'><arg type='o'/><arg type='a{sv}'/></signal>
  <property name='version' type='u' access='read'/>
</interface>
<interface name='org.freedesktop.portal.Notification'>
  <method name='AddNotification'><arg type='s' direction='in'/><arg type='a{sv}' direction='in'/></method>
  <method name='RemoveNotification'><arg type='s' direction='in'/></method>
  <signal name='ActionInvoked'><arg type='s'/><arg type='s'/><arg type='av'/></signal>
  <property name='version' type='u' access='read'/>
</interface>
<interface name='org.freedesktop.portal.OpenURI'>
  <method name='OpenURI'><arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='a{sv}' direction='in'/><arg type='o' direction='out'/></method>
  <method name='OpenFile'><arg type='s' direction='in'/><arg type='h' direction='in'/><arg type='a{sv}' direction='in'/><arg type='o' direction='out'/></method>
  <method name='OpenDirectory'><arg type='s' direction='in'/><arg type='h' direction='in'/><arg type='a{sv}' direction='in'/><arg type='o' direction='out'/></method>
  <property name='version' type='u' access='read'/>
</interface>
<interface name='org.freedesktop.portal.NetworkMonitor'>
  <method name='GetAvailable'><arg type='b' direction='out'/></method>
  <method name='GetMetered'><arg type='b' direction='out'/></method>
  <method name='GetConnectivity'><arg type='u' direction='out'/></method>
  <method name='GetStatus'><arg type='a{sv}' direction='out'/></method>
  <method name='CanReach'><arg type='s' direction='in'/><arg type='u' direction='in'/><arg type='b' direction='out'/></method>
  <signal name='changed'/>
  <property name='version' type='u' access='read'/>
</interface>
<interface name='org.freedesktop.portal.ProxyResolver'>
  <method name='Lookup'><arg type='s' direction='in'/><arg type='as' direction='out'/></method>
  <property name='version' type='u' access='read'/>
</interface>
<interface name='org.freedesktop.portal.Secret'>
  <method name='RetrieveSecret'><arg type='h' direction='in'/><arg type='a{sv}' direction='in'/><arg type='o' direction='out'/></method>
  <property name='version' type='u' access='read'/>
</interface>
</node>"""
NETWORK = {"available": GLib.Variant("b", True), "metered": GLib.Variant("b", False), "connectivity": GLib.Variant("u", 4)}
AT_ONCE = {"GetAvailable": ("(b)", (True,)), "GetMetered": ("(b)", (False,)), "GetConnectivity": ("(u)", (4,)),
           "GetStatus": ("(a{sv})", (NETWORK,)), "CanReach": ("(b)", (True,)), "Lookup": ("(as)", (["direct://"],))}
REQUEST = """<node><interface name='org.freedesktop.portal.Request'><method name='Close'/>
<signal name='Response'><arg type='u'/><arg type='a{sv}'/></signal></interface></node>"""


class Portal:
    def __init__(self, log, answers):
        self.log, self.answers, self.n = log, answers, 0

    def write(self, **line):
        with open(self.log, "a", encoding="utf-8") as out:
            out.write(json.dumps(line, default=str) + "\n")

    def say(self):
        with open(self.answers, encoding="utf-8") as file:
            return json.load(file)

    def export(self, connection, _name):
        self.connection = connection
        for interface in Gio.DBusNodeInfo.new_for_xml(XML).interfaces:
            connection.register_object(PATH, interface, self.call, lambda *_: GLib.Variant("u", 3), None)

    def respond(self, path, interface, arguments, descriptors):
        """What the request comes to; None: it stays open (an inhibition does)."""
        said = self.say()
        if interface.endswith(".Background"):
            allowed = bool(said.get("background"))
            return (0 if allowed else 1), {"background": GLib.Variant("b", allowed), "autostart": GLib.Variant("b", False)}
        if interface.endswith(".FileChooser"):
            uris = [GLib.filename_to_uri(os.path.abspath(name)) for name in said.get("files", [])]
            return (0 if uris else 1), {"uris": GLib.Variant("as", uris)}
        if interface.endswith(".Secret"):
            descriptor = descriptors.get(arguments[0])
            os.write(descriptor, b"sixty-four bytes that only this desktop knows, for one app alone")
            os.close(descriptor)
            return 0, {}
        return None if interface.endswith(".Inhibit") else (0, {})

    def call(self, _connection, sender, _path, interface, method, parameters, invocation):
        arguments = parameters.unpack()
        message = invocation.get_message()
        descriptors = message.get_unix_fd_list()
        extra = {}
        if interface.endswith(".OpenURI") and descriptors is not None:
            opened = descriptors.get(arguments[1])
            extra["path"] = os.readlink("/proc/self/fd/%d" % opened)
            os.close(opened)
        self.write(interface=interface.rsplit(".", 1)[1], method=method, arguments=arguments, **extra)
        if method in AT_ONCE:
            invocation.return_value(GLib.Variant(*AT_ONCE[method]))
            return
        if method not in ("RequestBackground", "OpenFile", "SaveFile", "OpenURI", "OpenDirectory", "Inhibit", "RetrieveSecret",
                          "CreateMonitor"):
            invocation.return_value(None)
            return
        self.n += 1
        options = arguments[-1]
        token = options.get("handle_token", "fake%d" % self.n)
        handle = "%s/request/%s/%s" % (PATH, sender[1:].replace(".", "_"), token)
        answer = self.respond(handle, interface, arguments, descriptors)
        closed = Gio.DBusNodeInfo.new_for_xml(REQUEST).interfaces[0]
        self.connection.register_object(handle, closed, lambda *a: (
            self.write(interface="Request", method="Close", arguments=[handle]), a[6].return_value(None)), None, None)
        invocation.return_value(GLib.Variant("(o)", (handle,)))
        if answer is not None:
            self.connection.emit_signal(sender, handle, "org.freedesktop.portal.Request", "Response",
                                        GLib.Variant("(ua{sv})", answer))


def main():
    portal = Portal(*sys.argv[1:3])
    Gio.bus_own_name(Gio.BusType.SESSION, NAME, Gio.BusNameOwnerFlags.REPLACE, portal.export,
                     lambda *_: portal.write(method="ready"), None)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
