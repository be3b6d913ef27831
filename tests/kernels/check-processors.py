# SPDX-License-Identifier: Apache-2.0
"""The kernel check and the whole engine on processors that this machine is not, emulated by qemu-user.

    check-processors.py SOURCE BUILD KERNEL-TEST ENGINE

arm64, cross-built below BUILD: every tier (i8mm, dot product, base) by an emulated processor that ends with it.
x86-64: one without AVX runs the plain C path. Every one gives the logits of a small model that this processor
gives, to 3e-4: integer sums are exact, so only the order of float sums differs, and now and then an activation that
rounds to the other byte for it (measured: 2.8e-5; the bytes themselves cost 1e-2 against float activations).
QEMU 7.2 reads past masked loads, which the kernel check's guard pages punish: AVX2 alone is checked by
`test-kernels --tier avx2` on the real processor, and here by the logits.
"""
import array
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

TOKENS = ",".join(str(3 * i % 300) for i in range(40))
ARM64 = (("max", "neon-i8mm"), ("neoverse-n1", "neon-dotprod"), ("cortex-a53", "neon"))
ARM64_ROOT = "/usr/aarch64-linux-gnu"


def run(command, seconds=900):
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, "%s: exit status %d\n%s%s" % (
        " ".join(command), done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def logits(engine, model, *options):
    """Of a file as numpy writes it: a header, then float32."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "logits.npy")
        run([*engine, "logits", model, "--tokens", TOKENS, "--out", out, "--threads", "2", *options])
        with open(out, "rb") as file:
            data = file.read()
    values = array.array("f")
    values.frombytes(data[10 + int.from_bytes(data[8:10], "little"):])
    return values


def difference(ours, theirs):
    assert len(ours) == len(theirs) and len(ours) > 0
    distance = sum((a - b) ** 2 for a, b in zip(ours, theirs))
    return (distance / sum(b * b for b in theirs)) ** 0.5


def check_logits(tap, name, engine, source, native):
    for model in ("tiny", "tiny-mixed"):
        with tap.case("%s: logits of %s" % (name, model)):
            path = os.path.join(source, "tests", "golden", "data", model + ".gguf")
            # from 32 rows on a processor with AMX multiplies in bf16
            error = difference(*(logits(e, path, "--batch", "20") for e in (engine, native)))
            assert error < 3e-4, error


def build_arm64(source, build):
    tree = os.path.join(build, "arm64")
    if not os.path.exists(os.path.join(tree, "build.ninja")):
        # -O2: GCC 12's cross compiler fails on the kernel check itself with -O3.
        run(["meson", "setup", tree, source, "--cross-file",
             os.path.join(source, "build-aux", "arm64-linux-gnu.ini"), "-Dengine_only=true",
             "-Dcuda=disabled", "-Dbuildtype=release", "-Doptimization=2"])
    run(["ninja", "-C", tree, "tests/kernels/test-kernels", "engine/tools/inglenook-engine"], 1800)
    return tree


def check_arm64(tap, source, build, native):
    missing = [c for c in ("aarch64-linux-gnu-gcc", "qemu-aarch64") if shutil.which(c) is None]
    if missing:
        tap.skip("arm64", "no " + " and no ".join(missing))
        return
    tree = None
    with tap.case("arm64: cross-built"):
        tree = build_arm64(source, build)
    if tree is None:
        return
    for processor, tier in ARM64:
        emulated = ["qemu-aarch64", "-cpu", processor, "-L", ARM64_ROOT]
        with tap.case("arm64 %s: kernel check up to %s" % (processor, tier)):
            out = run([*emulated, os.path.join(tree, "tests", "kernels", "test-kernels")])
            assert " %s products\n" % tier in out, out
        check_logits(tap, "arm64 " + processor,
                     [*emulated, os.path.join(tree, "engine", "tools", "inglenook-engine")], source, native)


def check_x86(tap, source, kernel_test, native):
    if os.uname().machine != "x86_64" or shutil.which("qemu-x86_64") is None:
        tap.skip("x86-64", "no qemu-x86_64, or another processor")
        return
    emulated = ["qemu-x86_64", "-cpu", "Nehalem"]
    with tap.case("x86-64 without AVX: kernel check of the plain C path"):
        out = run([*emulated, kernel_test])
        assert " ref products\n" in out and " avx2 products\n" not in out, out
    check_logits(tap, "x86-64 without AVX", [*emulated, *native], source, native)
    check_logits(tap, "x86-64 with AVX2 alone", ["qemu-x86_64", "-cpu", "Haswell", *native], source, native)


def main():
    source, build, kernel_test, engine = sys.argv[1:5]
    if shutil.which("qemu-aarch64") is None and shutil.which("qemu-x86_64") is None:
        print("1..0 # SKIP no qemu-user")
        return 77
    tap = Tap()
    check_arm64(tap, source, build, [engine])
    check_x86(tap, source, kernel_test, [engine])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
