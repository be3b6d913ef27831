#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`convert` holds slabs of rows, never the model: a random folder of 1.8 GB as Q4_K_M and as BF16, at most 512 MB of
anonymous memory (measured: 36 and 8 MB). Needs 4 GB of disk; skipped without."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_KB = 512 * 1000
NEEDED_BYTES = 4 << 30


def peak_anonymous_kb(command):
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while child.poll() is None:
        try:
            with open("/proc/%d/status" % child.pid, encoding="ascii") as status:
                peak = max([peak, *(int(line.split()[1]) for line in status if line.startswith("RssAnon"))])
        except OSError:
            pass
        time.sleep(0.01)
    assert child.returncode == 0, child.returncode
    return peak


def main():
    engine = os.environ["INGLENOOK_ENGINE"]
    with tempfile.TemporaryDirectory() as scratch:
        if shutil.disk_usage(scratch).free < NEEDED_BYTES:
            print("1..0 # SKIP no 4 GB of disk in %s" % scratch)
            return 0
        folder, bad = os.path.join(scratch, "hub"), 0
        subprocess.run([sys.executable, os.path.join(HERE, "..", "bench", "make-random-folder.py"), folder, "--layers", "32"],
                       check=True)
        print("1..2", flush=True)
        for i, kind in enumerate(("Q4_K_M", "BF16"), 1):
            peak = peak_anonymous_kb([engine, "convert", folder, os.path.join(scratch, "model.gguf"), kind])
            good = 0 < peak <= LIMIT_KB
            bad += not good
            print("%sok %d - as %s: at most %d KB of anonymous memory" % ("" if good else "not ", i, kind, peak), flush=True)
        return bad > 0


if __name__ == "__main__":
    sys.exit(main())
