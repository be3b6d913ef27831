# SPDX-License-Identifier: Apache-2.0
"""The engine's tarball: linked statically, small, the same bytes twice, and it answers where nothing else is installed.

    test-engine-tarball.py SOURCE_ROOT
"""
import filecmp
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

from tap import Tap

STARTER = "SmolLM2-135M-Instruct-Q4_1.gguf"
MAX_BYTES = 8000000


def make(root, folder):
    script = os.path.join(root, "build-aux", "make-engine-tarball")
    out = subprocess.run([script, folder], capture_output=True, text=True, check=True).stdout
    return out.strip().splitlines()[-1]


def main():
    root = sys.argv[1]
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        first = make(root, os.path.join(folder, "1"))
        with tap.case("the same sources make the same tarball"):
            second = make(root, os.path.join(folder, "2"))
            assert filecmp.cmp(first, second, shallow=False)
        with tarfile.open(first) as tarball:
            tarball.extractall(folder)
            top = os.path.join(folder, tarball.getnames()[0].split("/")[0])
        program = os.path.join(top, "bin", "inglenook-engine")
        with tap.case("linked statically, below %d bytes" % MAX_BYTES):
            said = subprocess.run(["ldd", program], capture_output=True, text=True)
            assert "not a dynamic executable" in said.stdout + said.stderr, said
            assert os.path.getsize(program) < MAX_BYTES, os.path.getsize(program)
            print("# %d bytes, %d packed" % (os.path.getsize(program), os.path.getsize(first)))
        model = os.path.join(os.environ.get("INGLENOOK_MODELS", ""), STARTER)
        name = "it answers in a folder where it and the model are all there is"
        if os.geteuid() != 0 or not os.path.exists(model):
            tap.skip(name, "needs root and the starter model")
        else:
            with tap.case(name):
                shutil.copy(model, os.path.join(top, "model.gguf"))
                out = subprocess.run(["chroot", top, "/bin/inglenook-engine", "generate", "/model.gguf", "--prompt",
                                      "One, two, three, four,", "--greedy", "-n", "4", "--threads", "2"],
                                     capture_output=True, text=True)
                assert out.returncode == 0 and "five" in out.stdout, out
    return tap.done()


sys.exit(main())
