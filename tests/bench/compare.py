#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures `inglenook-engine bench` against llama.cpp, in alternating pairs, on one machine.

compare.py --build build/release MODEL.gguf… [-p 512] [-n 128] [-d 0] [--threads 2] [--pairs 7]
           [--busy] [--results F.json]
compare.py --results F.json             print what F.json holds as a table

llama.cpp is what `pip install llama-cpp-python` builds (CMAKE_ARGS="-DGGML_NATIVE=ON", from source, so
that it uses all that the processor has); it runs in a process of its own that keeps the model loaded
and is counted as its llama-bench counts: random tokens, a cleared cache, one warm-up that is not counted.

A machine's speed drifts, and neighbours come and go: a pair shares what the machine was doing, so the
figure to trust is the median of the ratios of the pairs, with the lowest and the highest. The order
within a pair alternates. What the processor can multiply and read (tests/bench/limits) is measured in
the same run. With --results, pairs of several runs add up. --busy keeps the last core busy with a process
of its own while either program measures.

What other processes (and the host, where it takes time away) used of the processor during a run is
counted. A pair in which that exceeds --foreign cores in either run is thrown away and measured again, up to
three times as often as pairs are wanted; how many were thrown away is printed. Without that a busy
neighbour decides the ratio: programs whose threads wait for each other by spinning lose several times
over when a core is shared.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time


# --- the peer, in a process of its own: lines "p n d" in, lines of JSON out ---

def serve_peer(model_path, threads, n_ctx):
    import llama_cpp as L
    L.llama_backend_init()
    quiet = L.llama_log_callback(lambda level, text, data: None)
    L.llama_log_set(quiet, None)
    mp = L.llama_model_default_params()
    mp.n_gpu_layers = 0
    model = L.llama_model_load_from_file(model_path.encode(), mp)
    if not model:
        sys.exit("llama.cpp does not load " + model_path)
    cp = L.llama_context_default_params()
    cp.n_ctx, cp.n_batch, cp.n_ubatch = n_ctx, 2048, 512
    cp.n_threads = cp.n_threads_batch = threads
    context = L.llama_init_from_model(model, cp)
    memory = L.llama_get_memory(context)
    n_vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
    rng = random.Random(1)

    def feed(n):
        ids = (L.llama_token * n)(*[rng.randrange(n_vocab) for _ in range(n)])
        if L.llama_decode(context, L.llama_batch_get_one(ids, n)) != 0:
            sys.exit("llama.cpp: decode failed")
        L.llama_synchronize(context)

    def to_depth(d):
        have = L.llama_memory_seq_pos_max(memory, 0) + 1
        if have >= d:
            L.llama_memory_seq_rm(memory, 0, d, -1)
            return
        L.llama_memory_clear(memory, False)
        for at in range(0, d, 2048):
            feed(min(2048, d - at))

    to_depth(0)
    feed(64)
    feed(1)
    print("{}", flush=True)
    for line in sys.stdin:
        p, n, d = (int(x) for x in line.split())
        result = {"prefill": None, "decode": None}
        if p:
            to_depth(d)
            start = time.perf_counter()
            for at in range(0, p, 2048):
                feed(min(2048, p - at))
            result["prefill"] = p / (time.perf_counter() - start)
        if n:
            to_depth(d)
            feed(1)  # wake its threads
            start = time.perf_counter()
            for _ in range(n):
                feed(1)
            result["decode"] = n / (time.perf_counter() - start)
        print(json.dumps(result), flush=True)


class Peer:
    def __init__(self, a, model):
        n_ctx = a.d + max(a.p, a.n) + 64
        self.child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--serve-peer", model,
                                       str(a.threads), str(n_ctx)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        line = self.child.stdout.readline()
        if not line:
            sys.exit("compare: llama.cpp gave no answer")
        return json.loads(line)

    def run(self, a):
        self.child.stdin.write("%d %d %d\n" % (a.p, a.n, a.d))
        self.child.stdin.flush()
        result = self.answer()
        return result["prefill"], result["decode"]

    def close(self):
        self.child.stdin.close()
        self.child.wait()


# --- measuring ---

TICKS = os.sysconf("SC_CLK_TCK")


def machine_seconds():
    """processor seconds that anybody used, or that the host took away, since the start"""
    with open("/proc/stat", encoding="utf-8") as f:
        user, nice, system, _, _, irq, softirq, steal = (int(x) for x in f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def process_seconds(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    except OSError:
        return 0.0


def own_seconds(others):
    t = os.times()
    return sum(t[:4]) + sum(process_seconds(p.pid) for p in others if p)


def measured(run, others):
    """(what run () says, cores that others used meanwhile)"""
    wall, machine, own = time.monotonic(), machine_seconds(), own_seconds(others)
    result = run()
    machine, own = machine_seconds() - machine, own_seconds(others) - own
    return result, max(0.0, machine - own) / (time.monotonic() - wall)


def run_ours(a, model):
    command = [os.path.join(a.build, "engine", "tools", "inglenook-engine"), "bench", model, "--json",
               "-p", str(a.p), "-n", str(a.n), "-d", str(a.d), "-r", "1", "--threads", str(a.threads),
               "--device", "cpu"] + a.engine_argument
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result["prefill_tokens_per_second"] or None, result["decode_tokens_per_second"] or None


def start_busy():
    core = max(os.sched_getaffinity(0))
    return subprocess.Popen([sys.executable, "-c", "while True: pass"],
                            preexec_fn=lambda: os.sched_setaffinity(0, {core}))


def measure(a, results):
    limits = os.path.join(a.build, "tests", "bench", "limits")
    seen = json.loads(subprocess.run([limits, str(a.threads)], check=True, capture_output=True).stdout)
    results.setdefault("limits", []).append(seen)
    for model in a.models:
        case = {"model": os.path.basename(model).removesuffix(".gguf"), "bytes": os.path.getsize(model),
                "p": a.p, "n": a.n, "d": a.d, "threads": a.threads, "busy": a.busy}
        key = json.dumps(case, sort_keys=True)
        pairs = results.setdefault("cases", {}).setdefault(key, [])
        peer = Peer(a, model)
        busy = start_busy() if a.busy else None
        try:
            kept = thrown = 0
            others = [peer.child, busy]
            while kept < a.pairs and kept + thrown < 3 * a.pairs:
                order = [lambda: run_ours(a, model), lambda: peer.run(a)]
                swap = (len(pairs) + thrown) % 2 == 1
                first = measured(order[swap], others)
                second = measured(order[not swap], others)
                (own, f0), (theirs, f1) = (second, first) if swap else (first, second)
                good = f0 <= a.foreign and f1 <= a.foreign
                print("%s%s: ours %s, llama.cpp %s, others used %.2f and %.2f cores"
                      % (case["model"], "" if good else " (thrown away)", own, theirs, f0, f1),
                      file=sys.stderr)
                if good:
                    pairs.append((own[0], theirs[0], own[1], theirs[1]))
                    kept += 1
                else:
                    thrown += 1
            results["thrown_away"] = results.get("thrown_away", 0) + thrown
        finally:
            if busy:
                busy.kill()
                busy.wait()
            peer.close()


# --- the table ---

def column(pairs, i):
    rows = [(x[i], x[i + 1]) for x in pairs if x[i] and x[i + 1]]
    if not rows:
        return None
    ratios = [x / y for x, y in rows]
    return (statistics.median(x for x, _ in rows), statistics.median(y for _, y in rows),
            statistics.median(ratios), min(ratios), max(ratios), len(rows))


def print_table(results):
    limits = results["limits"]
    top = max(x["int8_gops"] for x in limits)
    read = max(x["read_gbs"] for x in limits)
    print("%s, %d threads, %s: %.0f GOPS of int8 products, %.1f GB/s read (best of %d runs; lowest %.0f and %.1f)"
          % (limits[0]["cpu"], limits[0]["threads"], limits[0]["form"], top, read, len(limits),
             min(x["int8_gops"] for x in limits), min(x["read_gbs"] for x in limits)))
    for name, what in (("int4_gops", "GOPS of products of four-bit codes"), ("float_gflops", "GFLOP/s of floats"),
                       ("amx_bf16_gflops", "GFLOP/s of BF16 by AMX's tiles"), ("amx_int8_gops", "GOPS of int8 by AMX's tiles")):
        if any(name in x for x in limits):
            print("%.0f %s" % (max(x.get(name, 0) for x in limits), what))
    print("%d pairs thrown away because others used the processor" % results.get("thrown_away", 0))
    print()
    print("| model | what | inglenook | llama.cpp | ratio | of pairs | pairs |")
    print("|---|---|---|---|---|---|---|")
    for key, pairs in results["cases"].items():
        case = json.loads(key)
        for name, i in (("prefill %d" % case["p"], 0), ("decode %d" % case["n"], 2)):
            s = column(pairs, i)
            if not s:
                continue
            if case["d"]:
                name += " at depth %d" % case["d"]
            if case["busy"]:
                name += ", one core taken"
            print("| %s | %s | %.1f | %.1f | **%.2f** | %.2f to %.2f | %d |"
                  % ((case["model"], name) + s))


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "--serve-peer":
        serve_peer(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("-p", type=int, default=512)
    parser.add_argument("-n", type=int, default=128)
    parser.add_argument("-d", type=int, default=0)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--foreign", type=float, default=0.15, help="cores that others may use")
    parser.add_argument("--engine-argument", action="append", default=[])
    parser.add_argument("--results")
    a = parser.parse_args()
    results = {}
    if a.results and os.path.exists(a.results):
        with open(a.results, encoding="utf-8") as f:
            results = json.load(f)
    if a.models:
        measure(a, results)
        if a.results:
            with open(a.results, "w", encoding="utf-8") as f:
                json.dump(results, f, indent=1)
    if not results:
        parser.error("no model, and no results to print")
    print_table(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
