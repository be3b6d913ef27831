#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures `inglenook-engine bench` against llama.cpp's `llama-bench`, one after the other in pairs.

pair-llama-bench.py --engine build/release/engine/tools/inglenook-engine --peer /path/to/llama-bench
                    [--model F.gguf] [--threads 2] [--pairs 7] [-p 512] [-n 128] [-d 0] [--json]

A machine's speed drifts, and neighbours come and go: a pair shares what the machine was doing, so the
figure to trust is the median of the ratios of the pairs, printed with the lowest and the highest.
The order within a pair alternates. Each run is one repetition of each program.
llama-bench comes from a build of llama.cpp with its default options (cmake -DCMAKE_BUILD_TYPE=Release).
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys


def default_model():
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    models = os.environ.get("INGLENOOK_MODELS") or os.path.join(data, "inglenook", "models")
    return os.path.join(models, "SmolLM2-135M-Instruct-Q4_1.gguf")


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            for line in info:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def run_ours(a):
    """(prefill, decode) in tokens per second"""
    command = [a.engine, "bench", a.model, "--json", "-p", str(a.p), "-n", str(a.n), "-d", str(a.d),
               "-r", "1", "--threads", str(a.threads)] + a.engine_argument
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result["prefill_tokens_per_second"], result["decode_tokens_per_second"]


def run_peer(a):
    command = [a.peer, "-m", a.model, "-o", "json", "-p", str(a.p), "-n", str(a.n), "-d", str(a.d),
               "-r", "1", "-t", str(a.threads), "-ngl", "0"] + a.peer_argument
    rows = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    prefill = [r["avg_ts"] for r in rows if r["n_prompt"] and not r["n_gen"]]
    decode = [r["avg_ts"] for r in rows if r["n_gen"] and not r["n_prompt"]]
    return prefill[0] if prefill else None, decode[0] if decode else None


def summary(pairs, column):
    rows = [(o[column], t[column]) for o, t in pairs if o[column] and t[column]]
    if not rows:
        return None
    ratios = [o / t for o, t in rows]
    return {"inglenook": statistics.median(o for o, _ in rows),
            "llama.cpp": statistics.median(t for _, t in rows),
            "ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--model", default=default_model())
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("-p", type=int, default=512)
    parser.add_argument("-n", type=int, default=128)
    parser.add_argument("-d", type=int, default=0)
    parser.add_argument("--engine-argument", action="append", default=[])
    parser.add_argument("--peer-argument", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    pairs = []
    for i in range(a.pairs):
        if i % 2:
            theirs = run_peer(a)
            own = run_ours(a)
        else:
            own = run_ours(a)
            theirs = run_peer(a)
        pairs.append((own, theirs))
        print("pair %d: ours %s, llama.cpp %s" % (i + 1, own, theirs), file=sys.stderr)
    result = {"cpu": cpu_name(), "threads": a.threads, "pairs": a.pairs, "model": os.path.basename(a.model),
              "p": a.p, "n": a.n, "d": a.d, "prefill": summary(pairs, 0), "decode": summary(pairs, 1)}
    if a.json:
        print(json.dumps(result))
        return 0
    print("%s, %d threads, %s, %d pairs, medians" % (result["cpu"], a.threads, result["model"], a.pairs))
    print("%-22s %12s %12s %8s   %s" % ("tokens per second", "inglenook", "llama.cpp", "ratio", "of pairs"))
    for name, key in (("prefill %d" % a.p, "prefill"), ("decode %d at %d" % (a.n, a.d), "decode")):
        s = result[key]
        if s:
            print("%-22s %12.1f %12.1f %8.2f   %.2f to %.2f"
                  % (name, s["inglenook"], s["llama.cpp"], s["ratio"], s["lowest"], s["highest"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
