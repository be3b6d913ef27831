# SPDX-License-Identifier: Apache-2.0
"""The Flatpak's manifests, metainfo and desktop file against the rules of Flathub's linter that need neither network nor
build (flatpak/README.md lists them), and what flatpak-builder makes of the manifests.

    test-manifest.py SOURCE_ROOT
"""
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from tap import Tap

ID = "io.github.inglenook_app.Inglenook"
CUDA = ID + ".Engine.cuda"
# All that this program may ask for; a line more is a decision, not an accident.
ALLOWED = {"--share=ipc", "--share=network", "--socket=wayland", "--socket=fallback-x11", "--device=dri"}
BRANDING = re.compile(r"#[0-9a-f]{6}$")


def load(root, name):
    path = os.path.join(root, "flatpak", name + ".json")
    with open(path, encoding="utf-8") as source:
        def unique(pairs):
            assert len(pairs) == len(dict(pairs)), "a key twice in " + path
            return dict(pairs)
        return json.load(source, object_pairs_hook=unique)


def check_id(root):
    assert load(root, ID)["id"] == ID  # appid-filename-mismatch, appid-not-defined
    parts = ID.split(".")
    # appid-code-hosting-too-few-components, appid-uses-code-hosting-domain, -less-than-3-components, -too-many-components
    assert parts[:2] == ["io", "github"] and len(parts) == 4 and len(ID) <= 255
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) for part in parts)  # appid-component-wrong-syntax
    assert not ID.endswith((".desktop", ".Desktop"))


def check_toplevel(root):
    manifest = load(root, ID)
    assert manifest["command"] and "/" not in manifest["command"]  # toplevel-no-command, -command-is-path
    assert manifest["modules"]  # toplevel-no-modules
    assert manifest["runtime"] == "org.gnome.Platform" and manifest["sdk"] == "org.gnome.Sdk"
    assert int(manifest["runtime-version"]) >= 49  # runtime-is-eol: GNOME supports two
    assert not {"branch", "default-branch"} & set(manifest)  # toplevel-unnecessary-branch
    assert "/lib/debug" not in manifest.get("cleanup", [])  # toplevel-cleanup-debug
    assert "no-debuginfo" not in json.dumps(manifest)  # module-…-no-debuginfo


def check_permissions(root):
    given = load(root, ID)["finish-args"]
    assert len(given) == len(set(given))
    # No bus name, no file system, no device=all, no x11 beside fallback-x11, no session bus: finish-args-*.
    assert set(given) <= ALLOWED, set(given) - ALLOWED
    assert "--socket=wayland" in given and "--socket=fallback-x11" in given and "--share=ipc" in given


def check_modules(root):
    for name in (ID, CUDA):
        manifest = load(root, name)
        names = [module["name"] for module in manifest["modules"]]
        assert len(names) == len(set(names))
        for module in manifest["modules"]:
            where = "%s: %s" % (name, module["name"])
            assert module["sources"], where  # module-…-no-sources
            assert module.get("buildsystem", "autotools") in ("autotools", "cmake-ninja", "meson", "simple"), where
            options = json.dumps([manifest.get("build-options"), module.get("build-options")])
            assert "--share=network" not in options, where + " uses the network"  # module-…-build-network-access
            assert "CMAKE_BUILD_TYPE=Debug" not in json.dumps(module), where  # module-…-buildsystem-is-plain-cmake
            for source in module["sources"]:
                if source["type"] == "dir":
                    # The project itself: a git tag of it where it is sent to Flathub.
                    assert source["path"] == ".." and module["name"].startswith("inglenook"), where
                    continue
                assert source["type"] in ("archive", "file"), where  # module-…-source-git-… cannot arise
                assert source["url"].startswith("https://"), where  # module-…-http-source
                assert re.fullmatch(r"[0-9a-f]{64}", source["sha256"]), where  # module-…-source-sha1/md5-deprecated
                # Debian calls a part of its archive main; what is in there never moves.
                assert not re.search(r"(?i)\b(main|master|latest|head)\b", source["url"].replace("/pool/main/", "/")), where


def check_extension(root):
    point = load(root, ID)["add-extensions"][CUDA]
    extension = load(root, CUDA)
    assert point["no-autodownload"] is True and point["autodelete"] is True
    # Where the engine looks for its modules: <prefix>/lib/inglenook/inglenook-cuda.so.
    assert point["directory"] == "lib/inglenook"
    assert extension["id"] == CUDA and extension["runtime"] == ID and extension["build-extension"] is True
    assert extension["branch"] == point["version"]
    assert any("/app/lib/inglenook" in command for module in extension["modules"]
               for command in module.get("build-commands", []))
    assert "finish-args" not in extension
    assert "mkdir -p ${FLATPAK_DEST}/lib/inglenook" in load(root, ID)["cleanup-commands"]


def check_metainfo(root):
    tree = ElementTree.parse(os.path.join(root, "data", ID + ".metainfo.xml.in")).getroot()
    assert tree.get("type") == "desktop-application"  # appstream-unsupported-component-type
    assert tree.findtext("id") == ID and tree.findtext("launchable") == ID + ".desktop"
    for needed in ("name", "summary", "developer_name", "metadata_license", "project_license", "content_rating"):
        assert tree.find(needed) is not None, needed  # appstream-missing-developer-name, -project-license
    assert len(tree.findtext("summary")) <= 50
    assert not tree.findtext("summary").endswith(".")
    shots = tree.findall("screenshots/screenshot")
    assert sum(shot.get("type") == "default" for shot in shots) == 1 and len(shots) >= 3
    for shot in shots:
        assert shot.findtext("caption")
        for image in shot.findall("image"):
            assert image.text.startswith("https://"), image.text
            # appstream-screenshots: what is linked is in the tree that the link leads to.
            picture = os.path.join(root, "data", "screenshots", os.path.basename(image.text))
            with open(picture, "rb") as data:
                head = data.read(24)
            size = (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
            assert size == (int(image.get("width")), int(image.get("height"))), (picture, size)
    colours = tree.findall("branding/color")
    assert {c.get("scheme_preference") for c in colours} == {"light", "dark"}
    assert all(BRANDING.match(c.text) for c in colours)
    assert tree.find("releases/release").get("date")


def check_desktop(root):
    parser = configparser.RawConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(os.path.join(root, "data", ID + ".desktop.in"), encoding="utf-8")
    entry = parser["Desktop Entry"]
    assert entry["Exec"].split()[0] == "inglenook" and "flatpak" not in entry["Exec"]  # desktop-file-exec-*
    assert entry["Icon"] == ID  # desktop-file-icon-key-*
    assert "NoDisplay" not in entry and "Hidden" not in entry  # desktop-file-is-hidden
    assert entry["Categories"].rstrip(";").split(";")
    for action in entry["Actions"].rstrip(";").split(";"):
        assert parser["Desktop Action " + action]["Name"] and parser["Desktop Action " + action]["Exec"]


def check_icons(root):
    folder = os.path.join(root, "data", "icons", "hicolor")
    for path in ("scalable/apps/%s.svg", "symbolic/apps/%s-symbolic.svg"):  # no-exportable-icon-installed
        assert os.path.exists(os.path.join(folder, path % ID)), path


def check_builder(root):
    for name in (ID, CUDA):
        result = subprocess.run(["flatpak-builder", "--show-manifest", os.path.join(root, "flatpak", name + ".json")],
                                capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        assert "nknown" not in result.stderr, result.stderr  # a misspelt key
        shown = json.loads(result.stdout)
        assert (shown.get("id") or shown.get("app-id")) == name, result.stdout[:300]


def main():
    root = sys.argv[1]
    tap = Tap()
    for what, check in {"the id and the file's name": check_id, "runtime, command, top level": check_toplevel,
                        "permissions: nothing beyond the five": check_permissions,
                        "modules: pinned, over TLS, built without a network": check_modules,
                        "the CUDA extension fits its point": check_extension,
                        "metainfo with pictures that are there": check_metainfo, "the desktop file": check_desktop,
                        "icons": check_icons}.items():
        with tap.case(what):
            check(root)
    if shutil.which("flatpak-builder"):
        with tap.case("flatpak-builder understands the manifests"):
            check_builder(root)
    else:
        tap.skip("flatpak-builder understands the manifests", "flatpak-builder is not installed")
    return tap.done()


sys.exit(main())
