#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many passages a second MiniLM makes vectors of: `inglenook-engine embed` and the whole of indexing, against
sentence-transformers on torch, in alternating rounds on one machine.

embed.py --build build/release [--model FOLDER] [--threads 2] [--rounds 7] [--passages 96] [--results F.json]

Passages are cut to 250 tokens of the model's own from this repository's documentation. The model is loaded before the
clock starts, in all three. "indexed" is what a person waits for: reading a file, cutting, words, vectors, all on the
disk; its start and end (and its shorter chunks) are part of it, so it is counted in tokens. What the processor can
multiply (tests/bench/limits) is measured in the same run. Needs `pip install torch sentence-transformers`.
"""
import argparse
import glob
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

from compare import measured

TOKENS = 250
OPS_PER_TOKEN = 2 * 6 * (4 * 384 * 384 + 2 * 384 * 1536)  # products of the six layers; attention not counted


def make_passages(tokenizer, n):
    words = []
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for path in sorted(glob.glob(os.path.join(here, "docs", "*.md")) + [os.path.join(here, "HACKING.md")]):
        with open(path, encoding="utf-8") as f:
            words += f.read().split()
    rng, out = random.Random(1), []
    while len(out) < n:
        at = rng.randrange(len(words) - 300)
        last = at + 40
        while len(tokenizer(" ".join(words[at:last + 1]))["input_ids"]) <= TOKENS:
            last += 1
        out.append(" ".join(words[at:last]))
    return out


class Torch:
    def __init__(self, model, threads):
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        import torch
        from sentence_transformers import SentenceTransformer
        torch.set_num_threads(threads)
        self.model = SentenceTransformer(model, device="cpu")

    def run(self, passages):
        start = time.perf_counter()
        self.model.encode(passages, batch_size=16, show_progress_bar=False)
        return len(passages) / (time.perf_counter() - start)


def run_engine(a, path, n):
    command = [os.path.join(a.build, "engine/tools/inglenook-engine"), "embed", a.model, "--text-file", path, "--json",
               "--threads", str(a.threads), "--load-as", "q8_0", "--device", "cpu"]
    return n / json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["seconds"]


def run_indexing(a, passages, tokenizer):
    """passages of 250 tokens a second that a new file is indexed with"""
    with tempfile.TemporaryDirectory() as home:
        path = os.path.join(home, "manual.txt")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n\n".join(passages))
        variables = {"XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config", "XDG_RUNTIME_DIR": "run"}
        env = dict(os.environ, **{k: os.path.join(home, v) for k, v in variables.items()},
                   INGLENOOK_MODELS=os.path.dirname(os.path.abspath(a.model)),
                   INGLENOOK_ENGINE=os.path.abspath(os.path.join(a.build, "engine/tools/inglenook-engine")),
                   INGLENOOK_READER=os.path.abspath(os.path.join(a.build, "reader/inglenook-reader")))
        env.pop("DBUS_SESSION_BUS_ADDRESS", None)
        start = time.perf_counter()
        subprocess.run([os.path.join(a.build, "tests/app/ask-tool"), "search", "--document", path, "--json", "pairs"],
                       check=True, capture_output=True, env=env)
        seconds = time.perf_counter() - start
        index = glob.glob(os.path.join(home, "data", "**", "documents.sqlite"), recursive=True)[0]
        with sqlite3.connect(index) as db:
            texts = [x for x, in db.execute("SELECT prefix || char(10) || text FROM chunks")]
            vectors, = db.execute("SELECT count(*) FROM vectors WHERE length(data) > 1").fetchone()
        if vectors != len(texts):
            sys.exit("embed: %d chunks, %d vectors" % (len(texts), vectors))
        return sum(len(tokenizer(x)["input_ids"]) for x in texts) / TOKENS / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--model", default=os.path.expanduser("~/.local/share/inglenook/models/all-MiniLM-L6-v2"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--passages", type=int, default=96)
    parser.add_argument("--results")
    a = parser.parse_args()
    peer = Torch(a.model, a.threads)
    tokenizer = peer.model.tokenizer
    passages = make_passages(tokenizer, a.passages)
    rounds, peaks = [], []
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
        f.write("\n".join(passages) + "\n")
        f.flush()
        peer.run(passages[:16])
        jobs = {"engine": lambda: run_engine(a, f.name, len(passages)), "torch": lambda: peer.run(passages),
                "indexed": lambda: run_indexing(a, passages, tokenizer)}
        for i in range(a.rounds):
            one, others = {}, {}
            for name in list(jobs) if i % 2 == 0 else list(jobs)[::-1]:
                one[name], others[name] = measured(jobs[name], [])
            seen = subprocess.run([os.path.join(a.build, "tests/bench/limits"), str(a.threads)], check=True,
                                  capture_output=True)
            peaks.append(json.loads(seen.stdout)["int8_gops"])
            rounds.append(one)
            print(i, {k: round(v, 1) for k, v in one.items()}, "others used",
                  {k: round(v, 2) for k, v in others.items()}, file=sys.stderr)
    result = {name: statistics.median(r[name] for r in rounds) for name in jobs}
    result["engine_by_torch"] = statistics.median(r["engine"] / r["torch"] for r in rounds)
    result["indexed_by_torch"] = statistics.median(r["indexed"] / r["torch"] for r in rounds)
    result["int8_gops"] = max(peaks)
    result["of_int8_peak"] = result["engine"] * TOKENS * OPS_PER_TOKEN * 1e-9 / max(peaks)
    if a.results:
        with open(a.results, "w", encoding="utf-8") as f:
            json.dump({"summary": result, "rounds": rounds, "peaks": peaks}, f, indent=1)
    print(json.dumps({k: round(v, 3) for k, v in result.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
