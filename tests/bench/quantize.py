#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures `inglenook-engine quantize` against llama.cpp's llama_model_quantize, in alternating pairs, each in a process of its
own with the same number of threads.

quantize.py --engine PATH MODEL.gguf [--type Q4_K_M] [--pairs 5] [--threads 2] [--folder DIR]

MODEL is F16 or F32; tests/device/make-random-model writes the shape of a known one. Both read it from the page cache (it is read
once before) and write to DIR. Time by the clock and time of the processor are given, their ratios' medians at the end: where other
programs run beside, the processor's is the one to trust.
"""
import argparse
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import time


def serve_peer(source, out, ftype, threads):
    import llama_cpp as L
    L.llama_backend_init()
    quiet = L.llama_log_callback(lambda level, text, data: None)
    L.llama_log_set(quiet, None)
    params = L.llama_model_quantize_default_params()
    params.nthread = threads
    params.ftype = ftype
    sys.exit(L.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(params)))


def measure(command):
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begin, used


def main():
    if sys.argv[1:2] == ["--peer"]:
        serve_peer(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--engine", default="inglenook-engine")
    parser.add_argument("--type", default="Q4_K_M")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", default=".")
    a = parser.parse_args()
    # The numbers of general.file_type.
    ftype = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_M": 12, "Q4_K_S": 14, "Q4_K_M": 15,
             "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30}[a.type]
    out = os.path.join(a.folder, "bench-quantize.gguf")
    ours = [a.engine, "quantize", a.model, out, a.type, "--threads", str(a.threads)]
    theirs = [sys.executable, os.path.abspath(__file__), "--peer", a.model, out, str(ftype), str(a.threads)]
    with open(a.model, "rb") as file:
        while file.read(1 << 24):
            pass
    pairs = []
    for i in range(a.pairs):
        times = {}
        for name in ("ours", "theirs") if i % 2 == 0 else ("theirs", "ours"):
            times[name] = measure(ours if name == "ours" else theirs)
            os.remove(out)
        pairs.append((times["theirs"][0] / times["ours"][0], times["theirs"][1] / times["ours"][1]))
        print("%s pair %d: ours %.2f s (processor %.2f), llama.cpp %.2f s (%.2f), ratios %.2f (%.2f)"
              % (a.type, i + 1, *times["ours"], *times["theirs"], *pairs[-1]), flush=True)
    for k, what in enumerate(("clock", "processor")):
        ratios = sorted(p[k] for p in pairs)
        print("%s by the %s: %.2f times as fast (%.2f to %.2f, %d pairs)"
              % (a.type, what, statistics.median(ratios), ratios[0], ratios[-1], len(ratios)))


if __name__ == "__main__":
    main()
