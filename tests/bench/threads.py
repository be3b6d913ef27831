#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is a thread more ever slower, and what do more threads than cores cost?

    threads.py --engine build/release/engine/tools/inglenook-engine [--threads 1,2,4,8] [--rounds 7] [-p 256] [-n 64] MODEL.gguf…

Every round measures each number of threads once, in an order that turns; figures are medians of the rounds' ratios to the
first number of threads, with the lowest and the highest, and the median speed."""
import argparse
import json
import os
import statistics
import subprocess
import sys


def bench(arguments, model, threads):
    out = subprocess.run([arguments.engine, "bench", model, "-p", str(arguments.p), "-n", str(arguments.n), "-r", "1",
                          "--threads", str(threads), "--json"], check=True, capture_output=True, text=True).stdout
    found = json.loads(out)
    return found["prefill_tokens_per_second"], found["decode_tokens_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", default=os.environ.get("INGLENOOK_ENGINE"), required="INGLENOOK_ENGINE" not in os.environ)
    parser.add_argument("--threads", default="1,2,4,8")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-p", type=int, default=256)
    parser.add_argument("-n", type=int, default=64)
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    counts = [int(t) for t in arguments.threads.split(",")]
    print("%d cores\n\n| file | threads | prefill tok/s | ratio | decode tok/s | ratio |\n|---|---|---|---|---|---|"
          % len(os.sched_getaffinity(0)))
    for model in arguments.models:
        rounds = []
        for i in range(arguments.rounds):
            turned = counts[i % len(counts):] + counts[:i % len(counts)]
            rounds.append({t: bench(arguments, model, t) for t in turned})
        for t in counts:
            cells = []
            for kind in (0, 1):
                ratios = [r[t][kind] / r[counts[0]][kind] for r in rounds]
                cells += ["%.0f" % statistics.median(r[t][kind] for r in rounds),
                          "%.2f (%.2f to %.2f)" % (statistics.median(ratios), min(ratios), max(ratios))]
            print("| %s | %d | %s |" % (os.path.basename(model), t, " | ".join(cells)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
