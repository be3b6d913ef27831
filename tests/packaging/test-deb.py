# SPDX-License-Identifier: Apache-2.0
"""The Debian packages in a clean Debian 12: they install, answer in the terminal, and leave when purged.

    test-deb.py SOURCE_ROOT

Needs root, mmdebstrap, dpkg-dev, debhelper, the starter model and Debian's packages (the network, or a mirror that
apt knows). A few minutes.
"""
import os
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

STARTER = "SmolLM2-135M-Instruct-Q4_1.gguf"
PERSON = "/home/person"
# How apt says that nobody is there.
UNREACHABLE = ("Could not resolve", "Temporary failure", "Could not connect", "Unable to connect", "Failed to fetch",
               "Cannot initiate the connection", "Connection failed", "Connection timed out", "Network is unreachable")


def run(*command, **options):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if result.returncode != 0:
        raise AssertionError("%s: %d\n%s" % (" ".join(command), result.returncode, result.stdout[-3000:]))
    return result.stdout


def named(root):
    """Everything below `root` that has the program's name, the person's own files aside."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if os.path.join(folder, f) != root + PERSON
                      and f not in ("proc", "sys", "dev")]
        found += [os.path.join(folder, n)[len(root):] for n in folders + names if "inglenook" in n.lower()]
    return [path for path in found if not path.startswith(("/debs", "/var/cache/apt", "/var/log"))]


def main():
    model = os.path.join(os.environ.get("INGLENOOK_MODELS", ""), STARTER)
    if os.geteuid() != 0 or not os.path.exists(model):
        Tap.skip_all("needs root and the starter model")
    for program in ("mmdebstrap", "dpkg-buildpackage", "dh"):
        if not shutil.which(program):
            Tap.skip_all("%s is not installed" % program)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as nowhere:
        probe = subprocess.run(["mmdebstrap", "--quiet", "--simulate", "--variant=minbase", "bookworm", nowhere + "/root"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if probe.returncode != 0 and any(words in probe.stdout for words in UNREACHABLE):
            Tap.skip_all("no mirror of Debian can be reached")
    tap = Tap()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        root = os.path.join(folder, "root")

        def inside(*command):
            return run("chroot", root, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                       "DEBIAN_FRONTEND=noninteractive", "HOME=/root", *command)

        def as_person(*command):
            return inside("su", "person", "-s", "/bin/sh", "-c", " ".join(command))

        with tap.case("the packages build"):
            run(os.path.join(sys.argv[1], "build-aux", "make-deb"), os.path.join(folder, "debs"))
        with tap.case("they install in a clean Debian 12"):
            run("mmdebstrap", "--quiet", "--variant=minbase", "bookworm", root)
            debs = os.path.join(root, "debs")
            os.mkdir(debs)
            names = [n for n in os.listdir(os.path.join(folder, "debs")) if "dbgsym" not in n]
            for name in names:
                shutil.copy(os.path.join(folder, "debs", name), debs)
            inside("apt-get", "update", "-q")
            inside("apt-get", "install", "-y", "-q", "--no-install-recommends", *["/debs/" + n for n in names])
            inside("useradd", "-m", "-d", PERSON, "person")
            assert named(root)
        with tap.case("inglenook ask answers there"):
            models = root + PERSON + "/.local/share/inglenook/models"
            os.makedirs(models)
            shutil.copy(model, models)
            inside("chown", "-R", "person:", PERSON)
            said = as_person("inglenook", "ask", "'What is the capital of France? One word.'", "</dev/null")
            assert len(said.strip()) > 3, said
            print("# " + said.strip().splitlines()[0][:100])
        with tap.case("inglenook search reads a document there, in its confined reader"):
            with open(root + PERSON + "/note.md", "w", encoding="utf-8") as note:
                note.write("# Lease\n\nThe rent of the harbour flat is due on the third of each month.\n")
            said = as_person("inglenook", "search", "--document", PERSON + "/note.md", "'rent due'")
            assert "third of each month" in said, said
        with tap.case("purged, nothing is left but the person's data"):
            inside("apt-get", "purge", "-y", "-q", "inglenook", "inglenook-engine")
            assert not named(root), named(root)
            assert os.path.exists(os.path.join(models, STARTER))
    return tap.done()


sys.exit(main())
