#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long from the start of the program to the first token, against reading the file; what repacking adds; peak memory.

    load.py --engine build/release/engine/tools/inglenook-engine [--threads 2] [--rounds 5] [--ctx 2048] [--touch GB] MODEL.gguf…

Each round takes the steps in turn, so that all see the same machine; figures are medians of the rounds' ratios:
  read    the file, by pieces of a megabyte, from the disk (its pages are dropped from the system's cache first) and again
          from the cache
  load    `generate` of one token of a prompt of one word, from start to end of the process, likewise cold and warm
  plain   the same with --exact, which packs nothing but looks at every number too; what it computes is taken off
"first token" is load / read; "CPU" is the load's processor time spread over the threads, without waiting, which is what
neighbours do not change; "repacking" is (load - its token) / (plain - its token) - 1. Peak memory is VmHWM, which counts
pages of the file that are mapped; "over" is what it has above file and KV, in percent of both.

Some virtual machines give their free memory back to the host. A page of it then costs the host's work when it is used again,
which no program outside such a machine pays, and which falls on whoever needs new memory. --touch GB has a process write to
that much memory and end before each step, so that all steps find memory the machine has; take at least three times the file.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def drop(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def touch(gigabytes):
    """writes to memory in a process that ends"""
    if gigabytes > 0:
        subprocess.run([sys.executable, "-c", "import mmap\nn = %d << 20\nm = mmap.mmap(-1, n)\nm.madvise(mmap.MADV_HUGEPAGE)\n"
                        "z = bytes(1 << 20)\nfor i in range(0, n, 1 << 20): m[i:i + (1 << 20)] = z" % (gigabytes * 1024)], check=True)


def read(arguments, path, cold):
    if cold:
        drop(path)
    touch(arguments.touch)
    start = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        piece = bytearray(1 << 20)
        while file.readinto(piece):
            pass
    return time.perf_counter() - start


def generate(arguments, path, cold, *more):
    """(seconds of the process, of its first token, of the processor, peak bytes)"""
    if cold:
        drop(path)
    touch(arguments.touch)
    start = time.perf_counter()
    child = subprocess.Popen([arguments.engine, "generate", path, "--prompt", "Hello", "-n", "1", "--greedy", "--json",
                              "--threads", str(arguments.threads), "--ctx", str(arguments.ctx), *more],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = status
    if status != 0:
        raise RuntimeError("%s: generate failed" % path)
    return seconds, json.loads(out)["time_to_first_token_us"] / 1e6, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def kv_bytes(arguments, path):
    out = subprocess.run([arguments.engine, "inspect", path, "--json", "--ctx", str(arguments.ctx)], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out)["memory"]["kv"]


def measure(arguments, path):
    rounds = []
    for _ in range(arguments.rounds):
        one = {}
        for name, cold in (("cold", True), ("warm", False)):
            one["read " + name] = read(arguments, path, cold)
            one["load " + name], token, used, peak = generate(arguments, path, cold)
            plain, plain_token, _, _ = generate(arguments, path, cold, "--exact")
            one["repacking " + name] = 100 * ((one["load " + name] - token) / (plain - plain_token) - 1)
            one["first token " + name] = one["load " + name] / one["read " + name]
            one["CPU " + name] = used / arguments.threads
            one["peak " + name] = peak
        rounds.append(one)
    found = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    found["bytes"] = os.path.getsize(path)
    bound = found["bytes"] + kv_bytes(arguments, path)
    found["over"] = 100 * (max(found["peak cold"], found["peak warm"]) / bound - 1)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", default=os.environ.get("INGLENOOK_ENGINE"), required="INGLENOOK_ENGINE" not in os.environ)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ctx", type=int, default=2048)
    parser.add_argument("--touch", type=float, default=0, metavar="GB")
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    print("| file | MB | read, cold s | first token, cold | repacking, cold | read, warm s | first token, warm | "
          "repacking, warm | CPU s, warm | peak MB | over |\n|---|---|---|---|---|---|---|---|---|---|---|")
    for path in arguments.models:
        f = measure(arguments, path)
        print("| %s | %.0f | %.2f | %.2fx | %+.0f %% | %.2f | %.2fx | %+.0f %% | %.2f | %.0f | %+.0f %% |" % (
            os.path.basename(path), f["bytes"] / 1e6, f["read cold"], f["first token cold"], f["repacking cold"],
            f["read warm"], f["first token warm"], f["repacking warm"], f["CPU warm"], f["peak warm"] / 1e6, f["over"]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
