# SPDX-License-Identifier: Apache-2.0
"""A keyring on the session bus, in memory: as much of org.freedesktop.secrets (the Secret Service API, draft 0.2) as
libsecret's store, lookup and clear ask for. Run by itself: prints "ready", and for "list" on standard input what it has."""
import json
import sys
import threading

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

ROOT = "/org/freedesktop/secrets"
INTERFACES = Gio.DBusNodeInfo.new_for_xml("""<node>
  <interface name="org.freedesktop.Secret.Service">
    <method name="OpenSession"><arg type="s" direction="in"/><arg type="v" direction="in"/>
      <arg type="v" direction="out"/><arg type="o" direction="out"/></method>
    <method name="SearchItems"><arg type="a{ss}" direction="in"/><arg type="ao" direction="out"/><arg type="ao" direction="out"/></method>
    <method name="Unlock"><arg type="ao" direction="in"/><arg type="ao" direction="out"/><arg type="o" direction="out"/></method>
    <method name="GetSecrets"><arg type="ao" direction="in"/><arg type="o" direction="in"/>
      <arg type="a{o(oayays)}" direction="out"/></method>
    <method name="ReadAlias"><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
    <property name="Collections" type="ao" access="read"/>
  </interface>
  <interface name="org.freedesktop.Secret.Collection">
    <method name="CreateItem"><arg type="a{sv}" direction="in"/><arg type="(oayays)" direction="in"/><arg type="b" direction="in"/>
      <arg type="o" direction="out"/><arg type="o" direction="out"/></method>
  </interface>
  <interface name="org.freedesktop.Secret.Item"><method name="Delete"><arg type="o" direction="out"/></method></interface>
</node>""")
ATTRIBUTES = "org.freedesktop.Secret.Item.Attributes"
items = {}  # path → (attributes, secret as text)


def find(attributes):
    return [path for path, (own, _) in items.items() if all(own.get(k) == v for k, v in attributes.items())]


def register(connection, path, name):
    connection.register_object(path, INTERFACES.lookup_interface(name), called, lambda *_: GLib.Variant("ao", []), None)


def create(connection, properties, secret):
    attributes = {k: v for k, v in properties[ATTRIBUTES].items() if k != "xdg:schema"}
    for path in find(attributes):
        items[path] = (attributes, bytes(secret[2]).decode())
        return path
    path = "%s/collection/own/%d" % (ROOT, len(items) + 1)
    items[path] = (attributes, bytes(secret[2]).decode())
    register(connection, path, "org.freedesktop.Secret.Item")
    return path


def called(connection, _sender, path, _interface, method, parameters, invocation):
    given = parameters.unpack()
    if method == "OpenSession" and given[0] != "plain":
        invocation.return_dbus_error("org.freedesktop.DBus.Error.NotSupported", "plain only")
        return
    if method == "SearchItems":
        wanted = {k: v for k, v in given[0].items() if k != "xdg:schema"}
        result = ("(aoao)", (find(wanted), []))
    elif method == "GetSecrets":
        result = ("(a{o(oayays)})", ({p: (given[1], b"", items[p][1].encode(), "text/plain") for p in given[0] if p in items},))
    else:
        result = {"OpenSession": lambda: ("(vo)", (GLib.Variant("s", ""), ROOT + "/session/1")),
                  "Unlock": lambda: ("(aoo)", (given[0], "/")),
                  "ReadAlias": lambda: ("(o)", (ROOT + "/aliases/default",)),
                  "CreateItem": lambda: ("(oo)", (create(connection, given[0], given[1]), "/")),
                  "Delete": lambda: ("(o)", ("/" if items.pop(path, None) else "/",))}[method]()
    invocation.return_value(GLib.Variant(*result))


def listen(loop):
    for _ in sys.stdin:
        print(json.dumps([[attributes, secret] for attributes, secret in items.values()]), flush=True)
    loop.quit()


def main():
    loop = GLib.MainLoop()
    connection = Gio.bus_get_sync(Gio.BusType.SESSION, None)
    register(connection, ROOT, "org.freedesktop.Secret.Service")
    register(connection, ROOT + "/aliases/default", "org.freedesktop.Secret.Collection")
    Gio.bus_own_name_on_connection(connection, "org.freedesktop.secrets", Gio.BusNameOwnerFlags.NONE,
                                   lambda *_: print("ready", flush=True), None)
    threading.Thread(target=listen, args=(loop,), daemon=True).start()
    loop.run()


main()
