#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares our logits and llama.cpp's with the truth, position by position, in one run.

compare-kl.py --engine build/release/engine/tools/inglenook-engine [--model F.gguf] [--exact]
              [--text-file F] [--tokens N] [--peer] [--peer-f32] [--threads T] [--json]

Truth is the file dequantized to float32 and run by transformers (golden.py). KL is KL(truth || other)
in nats, mean over positions; "top-1" is how often the largest logit is the same; relative error is
|a - b| / |b| over all logits. --peer runs llama.cpp on the same file, --peer-f32 on the dequantized
one too (a second independent implementation of the truth); both need `pip install llama-cpp-python`.
Without --text-file the prompts of prompts.json and their stored continuations are compared.

With --write-bounds, what llama.cpp reached on the prompts of the golden test goes to
data/smollm2-bounds.ini, from which that test takes its limits (1.1 x its KL, and its top-1). The test
knows the truth's 64 largest logits and the sum of the rest; kl64 is the KL with the rest as one
outcome, for it and for us; kl64_error is the standard error of that mean. top1 is over these positions and those of the greedy answers: over few
hundred positions alone, one coin that falls the other way is half a percent.
"""
import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile

import gguf
import numpy as np
import torch
from gguf.quants import dequantize

import golden

ROWS = 32  # compared at once: in float64 that of a large vocabulary fits a cache


def stored_sequences():
    """(sequences, how many of them are short prompts, where each one's answer starts)"""
    def read(name):
        return np.load(golden.here("data", "smollm2-%s.npy" % name))
    tokens, starts = read("logits-tokens"), read("logits-starts")
    sequences = [tokens[a:b].tolist() for a, b in zip(starts, starts[1:])]
    n_short = len(sequences)
    answer_starts = [0] * n_short
    tokens, starts, answers = read("greedy-tokens"), read("greedy-starts"), read("greedy-answer")
    for a, b, answer in zip(starts, starts[1:], answers):
        sequences.append(tokens[a:b].tolist() + [int(t) for t in answer if t >= 0])
        answer_starts.append(int(b - a))
    return sequences, n_short, answer_starts


def text_sequences(reader, path, n_tokens):
    make_logits = importlib.import_module("make-logits")
    with open(path, encoding="utf-8") as source:
        ids = make_logits.make_tokenizer(reader).encode(source.read()).ids
    return [ids[i:i + 512] for i in range(0, min(n_tokens, len(ids)), 512)]


def ours(arguments, tokens):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "logits.npy")
        command = [arguments.engine, "logits", arguments.model, "--out", out,
                   "--tokens", ",".join(map(str, tokens))]
        if arguments.threads:
            command += ["--threads", str(arguments.threads)]
        if arguments.exact:
            command.append("--exact")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return np.load(out)


def write_float32(source, path):
    """The same file with every tensor as float32."""
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in source.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kind = value.types[0]
        sub = value.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, value.contents(), kind, sub_type=sub)
    writer.add_file_type(0)
    for tensor in source.tensors:
        data = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, data.reshape([int(n) for n in reversed(tensor.shape)]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Peer:
    def __init__(self, path, threads):
        import llama_cpp
        self.model = llama_cpp.Llama(path, n_ctx=1024, n_batch=1024, logits_all=True, verbose=False,
                                     n_threads=threads or None, n_threads_batch=threads or None)

    def logits(self, tokens):
        self.model.reset()
        self.model.eval(tokens)
        return np.array(self.model.scores[:len(tokens)])


def kl_of_largest(p, q, n):
    """The KL of each position in which all but the n likeliest of p are one outcome."""
    top = p.topk(n, -1).indices
    p, q = p.gather(-1, top), q.gather(-1, top)
    rest_p, rest_q = 1 - p.exp().sum(-1), 1 - q.exp().sum(-1)
    return ((p.exp() * (p - q)).sum(-1) + rest_p * (rest_p / rest_q).log()).tolist()


class Sum:
    """Running figures of one implementation."""
    def __init__(self, with_64=True):
        self.with_64 = with_64
        self.n = self.kl = self.error = self.norm = 0.0
        self.kl64, self.kls, self.sames = [], [], []  # of each position
        self.worst = 0.0

    def add(self, truth, other):
        for i in range(0, len(truth), ROWS):
            self.add_rows(truth[i:i + ROWS], np.ascontiguousarray(other[i:i + ROWS]))

    def add_rows(self, truth, other):
        p = torch.log_softmax(torch.from_numpy(truth).double(), -1)
        q = torch.log_softmax(torch.from_numpy(other).double(), -1)
        kl = (p.exp() * (p - q)).sum(-1)
        self.n += len(truth)
        self.kls += kl.tolist()
        self.sames += (p.argmax(-1) == q.argmax(-1)).tolist()
        self.kl += float(kl.sum())
        self.worst = max(self.worst, float(kl.max()))
        if self.with_64:
            self.kl64 += kl_of_largest(p, q, 64)
        self.error += float(((truth.astype(np.float64) - other) ** 2).sum())
        self.norm += float((truth.astype(np.float64) ** 2).sum())

    def figures(self):
        found = {"positions": int(self.n), "kl": self.kl / self.n, "worst_kl": self.worst,
                 "top1": sum(self.sames) / self.n, "relative_error": (self.error / self.norm) ** 0.5}
        if self.with_64:
            found["kl64"] = float(np.mean(self.kl64))
            found["kl64_error"] = float(np.std(self.kl64) / len(self.kl64) ** 0.5)
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine")
    parser.add_argument("--model", default=golden.starter_model())
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--text-file")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--peer-f32", action="store_true")
    parser.add_argument("--write-bounds", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    truth_model, reader = golden.load_float32(arguments.model)
    n_short, answer_starts = 0, []
    if arguments.text_file:
        sequences = text_sequences(reader, arguments.text_file, arguments.tokens)
    else:
        sequences, n_short, answer_starts = stored_sequences()
    runs = {}
    if arguments.engine:
        runs["inglenook"] = lambda tokens: ours(arguments, tokens)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.peer or arguments.write_bounds:
            runs["llama.cpp"] = Peer(arguments.model, arguments.threads).logits
        if arguments.peer_f32:
            path = os.path.join(folder, "float32.gguf")
            write_float32(reader, path)
            runs["llama.cpp, float32 file"] = Peer(path, arguments.threads).logits
        sums = {name: Sum() for name in runs}
        short = {name: Sum() for name in runs}    # the prompts of the golden test
        answers = {name: Sum() for name in runs}  # and its greedy answers, position by position
        for i, tokens in enumerate(sequences):
            truth = golden.logits_of(truth_model, tokens)
            for name, run in runs.items():
                other = run(tokens)
                sums[name].add(truth, other)
                if i < n_short:
                    short[name].add(truth, other)
                elif answer_starts:
                    rows = slice(answer_starts[i] - 1, len(tokens) - 1)
                    answers[name].add(truth[rows], other[rows])
    results = {name: s.figures() for name, s in sums.items()}
    if arguments.write_bounds:
        figures = short["llama.cpp"].figures()
        n, n_same = figures["positions"], figures["top1"] * figures["positions"]
        more = answers["llama.cpp"].figures()
        figures["top1_positions"] = n + more["positions"]
        figures["top1"] = (n_same + more["top1"] * more["positions"]) / figures["top1_positions"]
        with open(golden.here("data", "smollm2-bounds.ini"), "w", encoding="utf-8") as out:
            out.write("[llama.cpp]\n")
            for key in ("positions", "kl", "kl64", "kl64_error", "relative_error", "top1_positions", "top1"):
                out.write("%s=%.7g\n" % (key, figures[key]))
    if arguments.json:
        print(json.dumps(results))
        return 0
    print("%-26s %9s %10s %10s %8s %10s" % ("", "positions", "mean KL", "worst KL", "top-1", "rel. error"))
    for name, r in results.items():
        print("%-26s %9d %10.2e %10.2e %7.2f%% %10.2e" % (name, r["positions"], r["kl"], r["worst_kl"],
                                                         100 * r["top1"], r["relative_error"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
