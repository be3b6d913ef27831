# SPDX-License-Identifier: Apache-2.0
"""The Flatpak, from its manifest to an answer in its sandbox, on a runtime made from Debian's packages.

    test-flatpak.py SOURCE_ROOT      (inside gui-env)

Needs root, flatpak, flatpak-builder, mmdebstrap, ostree and the starter model. $INGLENOOK_FLATPAK_WORK (default:
build/flatpak below the sources) keeps the runtime and the modules between runs; the first takes some 15 minutes. The
modules' tarballs are taken from its folder "sources" where one there has the right SHA-256, else downloaded.
"""
import hashlib
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import time

import atspi
from gi.repository import Gio, GLib
from tap import Tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reader"))
import documents  # noqa: E402  (of tests/reader)

ID = "io.github.inglenook_app.Inglenook"
STARTER = "SmolLM2-135M-Instruct-Q4_1.gguf"
BRANCH = "stand-in"
MAX_START_S = 1.5
HERE = os.path.dirname(os.path.abspath(__file__))


def run(*command, **options):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if result.returncode != 0:
        raise AssertionError("%s: %d\n%s" % (" ".join(command), result.returncode, result.stdout[-3000:]))
    return result.stdout


def inside(*command):
    """Runs a command in the application's sandbox; its status and what it said."""
    result = subprocess.run(("flatpak", "run", "--user", "--command=" + command[0], ID) + command[1:],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return result.returncode, result.stdout


def make_runtime(work, repository):
    have = run("ostree", "--repo=" + repository, "refs") if os.path.isdir(repository) else ""
    if "runtime/org.gnome.Platform" not in have or "runtime/org.gnome.Sdk" not in have:
        run(os.path.join(HERE, "make-stand-in-runtime"), os.path.join(work, "runtime"), repository)
    run("flatpak", "--user", "remote-add", "--if-not-exists", "--no-gpg-verify", "local", repository)
    for name in ("org.gnome.Platform", "org.gnome.Sdk"):
        run("flatpak", "--user", "install", "-y", "--noninteractive", "--or-update", "local", "%s//%s" % (name, BRANCH))


def local_sources(folder):
    found = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, name), "rb") as tarball:
            found[hashlib.sha256(tarball.read()).hexdigest()] = os.path.join(folder, name)
    return found


def write_manifest(root, work):
    """The project's own manifest, on the stand-in runtime, with the committed sources and tarballs that are here."""
    with open(os.path.join(root, "flatpak", ID + ".json"), encoding="utf-8") as source:
        manifest = json.load(source)
    tree = os.path.join(work, "tree")
    shutil.rmtree(tree, ignore_errors=True)
    os.mkdir(tree)
    archive = subprocess.run(["git", "-C", root, "archive", "HEAD"], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-C", tree, "-xf", "-"], input=archive, check=True)
    have = local_sources(os.path.join(work, "sources"))
    manifest["runtime-version"] = BRANCH
    for module in manifest["modules"]:
        for source in module["sources"]:
            if source["type"] == "dir":
                source["path"] = tree
            elif source["sha256"] in have:
                del source["url"]
                source["path"] = have[source["sha256"]]
    path = os.path.join(work, ID + ".json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump(manifest, out, indent=2)
    return path


def build(root, work, repository):
    run("flatpak-builder", "--user", "--force-clean", "--disable-rofiles-fuse", "--repo=" + repository,
        "--default-branch=" + BRANCH, "--state-dir=" + os.path.join(work, "state"), os.path.join(work, "app"),
        write_manifest(root, work))
    run("flatpak", "--user", "install", "-y", "--noninteractive", "--or-update", "local", "%s//%s" % (ID, BRANCH))


def start(*files):
    """The window's accessible application, and how long it took to come. Files go through the document portal, as those
    of a file manager or of the file chooser do."""
    began = time.monotonic()
    forwarded = ["@@", *files, "@@"] if files else []
    process = subprocess.Popen(["flatpak", "run", "--user", "--file-forwarding", "--env=GSK_RENDERER=cairo", ID, *forwarded],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root = atspi.application_named("inglenook", 30)
    atspi.find(root, "text", "Question", timeout=30)
    return process, root, time.monotonic() - began


def stop(process):
    subprocess.run(["flatpak", "kill", ID], check=False)
    process.wait()


def check_answer():
    process, root, _ = start()
    try:
        atspi.set_text(atspi.find(root, "text", "Question"), "What is the capital of France?")
        atspi.press(root, "Send", timeout=60)
        atspi.find(root, "label", lambda name: "tok/s" in name, timeout=60)
    finally:
        stop(process)


def check_sandbox(home):
    marker = "marker-7f3a91"
    with open(os.path.join(home, marker), "w", encoding="utf-8") as out:
        out.write("private")
    _, said = inside("sh", "-c", "ls -a '%s' /var/home /home 2>/dev/null; find / -name '%s' 2>/dev/null" % (home, marker))
    assert marker not in said, said
    status, said = inside("touch", "/app/bin/x")
    assert status != 0 and "ead-only" in said, said
    _, said = inside("cat", "/.flatpak-info")
    policy = said.split("[Session Bus Policy]")[1].split("[")[0] if "[Session Bus Policy]" in said else ""
    # Flatpak itself lets a program own its own name and talk to the portals.
    granted = [line.split("=")[0] for line in policy.splitlines() if "=" in line and not line.startswith(ID)]
    assert not granted, granted
    assert "filesystems=" not in said, said


def check_reader(home):
    """The process that reads documents is confined once more, inside the sandbox, and says with what."""
    folder = os.path.join(home, ".var", "app", ID, "data")
    with open(os.path.join(folder, "lease.md"), "w", encoding="utf-8") as out:
        out.write("# Lease\n\nThe rent of the harbour flat is due on the third of each month.\n")
    status, said = inside("inglenook", "search", "--document", os.path.join(folder, "lease.md"), "rent due")
    assert status == 0 and "third of each month" in said, said
    # What a document that took it over could still do: nothing of the list (reader/main.c).
    status, said = inside("/app/libexec/inglenook-reader", "try")
    assert status == 0 and said == "", said
    status, said = inside("sh", "-c", "/app/libexec/inglenook-reader text lease.md <'%s/lease.md' | head -c 300 | tr -cd '[:print:]'" % folder)
    held = json.loads(said[said.index("{"):said.index("}") + 1])
    print("# the reader in the sandbox: %s" % held)
    assert held["seccomp"] is True and held["limits"] is True and held["landlock"] >= 0, held


def check_pictures(home):
    """A picture in JPEG 2000 is drawn, and colours are managed: the module has both libraries."""
    folder = os.path.join(home, ".var", "app", ID, "data")
    with open(os.path.join(folder, "scan.pdf"), "wb") as out:
        out.write(documents.picture_pdf())
    status, said = inside("sh", "-c", "cd '%s' && /app/libexec/inglenook-reader page scan.pdf 1 100 <scan.pdf >frames" % folder)
    assert status == 0, said
    with open(os.path.join(folder, "frames"), "rb") as file:
        frames = file.read()
    page = pixels = None
    while frames:
        word, n = struct.unpack("<II", frames[:8])
        payload, frames = frames[8:8 + n], frames[8 + n:]
        page = json.loads(payload) if word & 0xffff == 6 else page
        pixels = payload if word & 0xffff == 7 else pixels
    middle = page["stride"] * (page["height"] // 2) + 4 * (page["width"] // 2)
    blue, green, red = pixels[middle:middle + 3]
    assert all(abs(x - y) <= 3 for x, y in zip((red, green, blue), documents.JPX_COLOUR)), (red, green, blue)
    _, said = inside("ldd", "/app/libexec/inglenook-reader")
    assert "/app/lib/liblcms2" in said and "/app/lib/libopenjp2" in said, said


def check_preferences():
    """What was found and what holds the reader is shown, with the advice for a Flatpak."""
    process, root, _ = start()
    try:
        def attempt():
            if "How it is held" not in atspi.all_text(root):
                atspi.key("ctrl+comma")
                time.sleep(1)
            shown = atspi.all_text(root)
            return "the Flatpak’s sandbox about it" in shown and "seccomp" in shown
        atspi.wait(attempt, "the preferences", 60)
        shown = atspi.all_text(root)
        assert "flatpak install %s.Engine.cuda" % ID in shown or "Not looked at yet" in shown, shown
    finally:
        stop(process)


def check_bus():
    """What Flatpak exports starts it in its sandbox: the session bus, for a search of the desktop's."""
    exported = os.path.join(os.environ["FLATPAK_USER_DIR"], "exports", "share")
    with open(os.path.join(exported, "dbus-1", "services", ID + ".service"), encoding="utf-8") as service:
        text = service.read()
    command = next(line for line in text.splitlines() if line.startswith("Exec="))
    assert "flatpak run" in command and ID in command and "--gapplication-service" in command, text
    with open(os.path.join(exported, "gnome-shell", "search-providers", ID + ".search-provider.ini"), encoding="utf-8") as ini:
        assert "BusName=" + ID in ini.read()
    services = os.path.join(os.environ["XDG_DATA_HOME"], "dbus-1", "services")
    os.makedirs(services, exist_ok=True)
    shutil.copy(os.path.join(exported, "dbus-1", "services", ID + ".service"), services)
    bus = Gio.bus_get_sync(Gio.BusType.SESSION)

    def call(name, path, interface, method, parameters, seconds=60):
        return bus.call_sync(name, path, interface, method, parameters, None, Gio.DBusCallFlags.NONE, seconds * 1000, None).unpack()

    daemon = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
    call(*daemon, "ReloadConfig", None)
    call(*daemon, "UpdateActivationEnvironment", GLib.Variant("(a{ss})", ({
        "FLATPAK_USER_DIR": os.environ["FLATPAK_USER_DIR"], "HOME": os.environ["HOME"]},)))
    try:
        # The question of check_answer().
        found = call(ID, "/io/github/inglenook_app/Inglenook/SearchProvider", "org.gnome.Shell.SearchProvider2",
                     "GetInitialResultSet", GLib.Variant("(as)", (["capital", "france"],)))[0]
        assert found, "nothing was found"
    finally:
        subprocess.run(["flatpak", "kill", ID], check=False)


def check_document(home):
    """A PDF of the home, which the sandbox cannot see, is handed over by the portal and asked about."""
    path = os.path.join(home, "lease.pdf")
    pages = [documents.page(1), documents.page(2, "The rent is due on the third day of each month.")]
    with open(path, "wb") as out:
        out.write(documents.pdf(pages))
    process, root, _ = start(path)
    try:
        atspi.find(root, name="lease.pdf, 2 pages", timeout=30)
        atspi.set_text(atspi.find(root, "text", "Question"), "When is the rent due?")
        atspi.press(root, "Send", timeout=60)
        atspi.find(root, "push button", lambda name: name.startswith("[1] lease.pdf"), timeout=60)
    finally:
        stop(process)


def check_data_apart(home):
    """What runs outside finds nothing of what the Flatpak wrote, and the other way round."""
    assert not os.path.exists(os.path.join(home, ".local", "share", "inglenook"))
    assert os.path.exists(os.path.join(home, ".var", "app", ID, "data", "inglenook", "inglenook.sqlite"))


def check_start():
    times = []
    for _ in range(5):
        process, _, seconds = start()
        stop(process)
        times.append(seconds)
    print("# from the command to a usable window: %s s" % ", ".join("%.2f" % t for t in times))
    assert statistics.median(times[1:]) <= MAX_START_S, times


def main():
    root = sys.argv[1]
    model = os.path.join(os.environ.get("INGLENOOK_MODELS", ""), STARTER)
    if os.geteuid() != 0 or not os.path.exists(model):
        Tap.skip_all("needs root and the starter model")
    for program in ("flatpak", "flatpak-builder", "mmdebstrap", "ostree", "git"):
        if not shutil.which(program):
            Tap.skip_all("%s is not installed" % program)
    work = os.environ.get("INGLENOOK_FLATPAK_WORK", os.path.join(root, "build", "flatpak"))
    os.makedirs(work, exist_ok=True)
    os.environ["FLATPAK_USER_DIR"] = os.path.join(work, "installed")
    repository = os.path.join(work, "repository")
    home = os.environ["HOME"]
    models = os.path.join(home, ".var", "app", ID, "data", "inglenook", "models")
    os.makedirs(models)
    shutil.copy(model, models)
    # Flatpak passes the environment on; in there that folder does not exist.
    del os.environ["INGLENOOK_MODELS"]
    tap = Tap()
    with tap.case("the stand-in runtime is there"):
        make_runtime(work, repository)
    with tap.case("the manifest builds, and what it built installs"):
        build(root, work, repository)
    if tap.n_failed == 0:
        with tap.case("a question is answered in the sandbox"):
            check_answer()
        with tap.case("the home, the bus and /app are closed to it"):
            check_sandbox(home)
        with tap.case("a document is read in the sandbox, by a process that is confined once more"):
            check_reader(home)
        with tap.case("pictures in JPEG 2000 are drawn, colours managed"):
            check_pictures(home)
        with tap.case("preferences say what was found and what is active"):
            check_preferences()
        with tap.case("the session bus starts it, and its search finds a conversation"):
            check_bus()
        with tap.case("a PDF that the portal hands over is asked about"):
            check_document(home)
        with tap.case("its data is apart from that of the program outside"):
            check_data_apart(home)
        with tap.case("a usable window within %g s" % MAX_START_S):
            check_start()
    return tap.done()


sys.exit(main())
