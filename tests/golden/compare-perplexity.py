#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Are `perplexity`'s figures those of llama.cpp's tool? Its logits over the same windows, counted by its tool's convention
(chunks of 512 tokens, the second half of each scored), on the starter model written as F32 and as F16; KL of the file
requantized to Q4_0 (then written as F32, so that both read equal numbers) against the F32 one.

    compare-perplexity.py --engine build/release/engine/tools/inglenook-engine [--chunks 4]

Held: perplexities within a relative 1e-3, mean KL and its 99th percentile within 2 %, top-1 agreement within half a
percent. Prints TAP; skipped where llama-cpp-python or the model is missing.
"""
import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile

import peer

peer.need("numpy", "torch", "transformers", "gguf", "llama_cpp")

import numpy as np  # noqa: E402

import golden  # noqa: E402

compare_types = importlib.import_module("compare-types")
CHUNK = 512


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def windows_of(model, sequences):
    """log-probabilities and next tokens of the scored positions, by llama.cpp"""
    from llama_cpp import Llama
    llama = Llama(model, n_ctx=CHUNK, n_batch=CHUNK, n_ubatch=CHUNK, logits_all=True, verbose=False, n_threads=2)
    rows, following = [], []
    for tokens in sequences:
        llama.reset()
        llama.eval(tokens)
        rows.append(log_softmax(np.array(llama.scores[CHUNK // 2:CHUNK - 1])))
        following += tokens[CHUNK // 2 + 1:]
    llama.close()
    return np.concatenate(rows), np.array(following)


def perplexity_of(rows, following):
    return float(np.exp(-rows[np.arange(len(following)), following].mean()))


def engine(arguments, *command):
    return subprocess.run([arguments.engine, *command], check=True, capture_output=True, text=True).stdout


N = [0]


def check(label, ours, theirs, limit):
    N[0] += 1
    good = abs(ours - theirs) <= limit
    print("%sok %d - %s: %.6g, llama.cpp's logits %.6g" % ("" if good else "not ", N[0], label, ours, theirs), flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", default=os.environ.get("INGLENOOK_ENGINE"))
    parser.add_argument("--chunks", type=int, default=4)
    arguments = parser.parse_args()
    source = golden.starter_model()
    if not os.path.exists(source):
        print("1..0 # SKIP no %s" % source)
        return 0
    print("1..6", flush=True)
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        def path(name):
            return os.path.join(scratch, name)
        for kind in ("F32", "F16"):
            engine(arguments, "quantize", source, path(kind), kind)
        engine(arguments, "quantize", source, path("q"), "Q4_0")
        engine(arguments, "quantize", path("q"), path("Q4_0-F32"), "F32")
        text = compare_types.text_file(scratch)
        sequences = compare_types.tokens_of(arguments.engine, source, text, arguments.chunks * CHUNK)

        def ours(model, *more):
            return json.loads(engine(arguments, "perplexity", path(model), "--text-file", text, "--json", "--chunks",
                                     str(arguments.chunks), *more))
        p, following = windows_of(path("F32"), sequences)
        reference = perplexity_of(p, following)
        good &= check("perplexity of F32", ours("F32")["perplexity"], reference, 1e-3 * reference)
        theirs = perplexity_of(*windows_of(path("F16"), sequences))
        good &= check("perplexity of F16", ours("F16")["perplexity"], theirs, 1e-3 * theirs)
        q, _ = windows_of(path("Q4_0-F32"), sequences)
        kls = (np.exp(p) * (p - q)).sum(-1)
        found = ours("Q4_0-F32", "--reference", path("F32"))
        theirs = perplexity_of(q, following)
        good &= check("perplexity of Q4_0", found["perplexity"], theirs, 1e-3 * theirs)
        good &= check("mean KL", found["mean_kl"], kls.mean(), 0.02 * kls.mean())
        p99 = np.sort(kls)[int((len(kls) - 1) * 0.99)]
        good &= check("99th percentile of KL", found["kl_99"], p99, 0.02 * p99)
        good &= check("top-1 agreement", found["top1_agreement"], float((p.argmax(-1) == q.argmax(-1)).mean()), 0.005)
    return not good


if __name__ == "__main__":
    sys.exit(main())
