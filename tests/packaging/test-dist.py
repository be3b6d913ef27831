# SPDX-License-Identifier: Apache-2.0
"""`meson dist`: the archive of the committed sources, whose own build and quick tests pass where nothing of git is.

    test-dist.py SOURCE_ROOT BUILD_ROOT

Builds everything once more: a minute or two.
"""
import os
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

QUICK = ["headers", "engine"]


def run(*command, **options):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert result.returncode == 0, "%s: %d\n%s" % (" ".join(command), result.returncode, result.stdout[-3000:])
    return result.stdout


def main():
    root, build = sys.argv[1:3]
    if not os.path.exists(os.path.join(root, ".git")) or not shutil.which("git"):
        Tap.skip_all("these sources are not of git")
    tap = Tap()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        with tap.case("meson dist packs the sources"):
            run("meson", "dist", "-C", build, "--no-tests", "--allow-dirty", "--formats", "xztar")
            made = [name for name in os.listdir(os.path.join(build, "meson-dist")) if name.endswith(".tar.xz")]
            assert len(made) == 1, made
            run("tar", "-C", scratch, "-xf", os.path.join(build, "meson-dist", made[0]))
            source = os.path.join(scratch, made[0][:-len(".tar.xz")])
            assert os.path.isfile(os.path.join(source, "meson.build")) and not os.path.exists(os.path.join(source, ".git"))
            assert os.path.isfile(os.path.join(source, "LICENSE"))
        if tap.n_failed == 0:
            tree = os.path.join(scratch, "tree")
            with tap.case("the archive builds"):
                run("meson", "setup", tree, source, "--buildtype=release", "-Dcuda=disabled")
                run("ninja", "-C", tree)
            with tap.case("its quick tests pass"):
                suites = [word for suite in QUICK for word in ("--suite", suite)]
                said = run("meson", "test", "-C", tree, "--no-rebuild", "--no-suite", "slow", "--timeout-multiplier", "4", *suites)
                assert "Fail:               0" in said, said[-2000:]
            with tap.case("it installs"):
                run("meson", "install", "-C", tree, "--destdir", os.path.join(scratch, "stage"), "--no-rebuild", "--quiet")
                assert run(os.path.join(scratch, "stage", "usr", "local", "bin", "inglenook"), "--version").startswith("inglenook ")
    return tap.done()


sys.exit(main())
