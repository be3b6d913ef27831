#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every type of weights on real files: how far are we from the truth, how far is llama.cpp, on the same file in one run?

    compare-types.py --engine build/release/engine/tools/inglenook-engine [--positions 2048] [--types Q4_0,Q6_K]
                     [--threads T] [--table docs-table.md] [MODEL.gguf…]

Each MODEL (default: SmolLM2, and Gemma 3 270M where it is) is requantized by `quantize` to each type; "as it is" is
the file itself. Truth is the requantized file dequantized to float32 and run by transformers, so the loss by the type
is not measured, only what an implementation adds. The text is the project's own documentation, in chunks of 512
tokens that begin with BOS where the file asks for one (without it, Gemma's first token draws all attention to itself, and
what its rounding happens to be decides a chunk: KL ten times as large, ratios of 0.3 to 1.8). "K rows" says which share of the weights has rows that the K types can hold; the others fall back to types of
32 numbers.

Held: mean KL (truth || ours) at most 1.1 x llama.cpp's; the top token equal to the truth's as often as its. Of both two
standard errors of the paired difference are left to chance. Prints TAP, skipped
where llama-cpp-python or a model is missing; exit status 1 if a bound fails.
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

import gguf  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

import golden  # noqa: E402

compare_kl = importlib.import_module("compare-kl")

TYPES = ("as it is", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS",
         "F16", "BF16")
TEXTS = ("docs/retrieval.md", "docs/quantizing.md", "docs/gpu.md", "HACKING.md")
CHUNK = 512
KL_LIMIT = 1.1
GEMMA = "gemma-3-270m-q4_k_m.gguf"


def default_models():
    models = [golden.starter_model(), os.path.join(golden.default_models(), GEMMA)]
    return [m for m in models if os.path.exists(m)]


def text_file(scratch):
    path = os.path.join(scratch, "text.txt")
    with open(path, "w", encoding="utf-8") as out:
        for name in TEXTS:
            with open(golden.here("..", "..", name), encoding="utf-8") as file:
                out.write(file.read())
    return path


def bos_of(model):
    """The id with which the file wants every text to begin, or None."""
    reader = gguf.GGUFReader(model)
    wanted = golden.field(reader, "tokenizer.ggml.add_bos_token", False)
    return int(golden.field(reader, "tokenizer.ggml.bos_token_id")) if wanted else None


def tokens_of(engine, model, text, n):
    """The text's first n tokens in whole chunks, BOS in the place of each one's first where it is wanted."""
    out = subprocess.run([engine, "tokenize", model, "--text-file", text, "--json"], check=True, capture_output=True,
                         text=True).stdout
    ids = json.loads(out)["ids"][:n]
    chunks = [ids[i:i + CHUNK] for i in range(0, len(ids) - len(ids) % CHUNK, CHUNK)]
    bos = bos_of(model)
    return chunks if bos is None else [[bos, *chunk[1:]] for chunk in chunks]


class Comparison:
    """One file: sums over all chunks, the model opened once by each."""
    def __init__(self, arguments, path, sequences):
        truth_model, reader = golden.load_float32(path)
        self.share_k = share_of_k(reader)
        self.ours, self.theirs = compare_kl.Sum(False), compare_kl.Sum(False)
        theirs = compare_kl.Peer(path, arguments.threads)
        ours = argparse.Namespace(engine=arguments.engine, model=path, threads=arguments.threads, exact=False)
        for tokens in sequences:
            truth = golden.logits_of(truth_model, tokens)
            self.ours.add(truth, compare_kl.ours(ours, tokens))
            self.theirs.add(truth, theirs.logits(tokens))
        theirs.model.close()

    def verdict(self):
        """(all numbers of a line, what fails)"""
        ours, theirs = self.ours.figures(), self.theirs.figures()
        ratio = ours["kl"] / theirs["kl"]
        # The ratio's error by the paired residuals: numerator and denominator go up and down together.
        rest = np.array(self.ours.kls) - ratio * np.array(self.theirs.kls)
        error = rest.std() / len(rest) ** 0.5 / theirs["kl"]
        gap = np.array(self.ours.sames, float) - np.array(self.theirs.sames, float)
        gap_error = gap.std() / len(gap) ** 0.5
        failed = []
        if not ratio - 2 * error <= KL_LIMIT:
            failed.append("mean KL is %.2f x llama.cpp's" % ratio)
        if not gap.mean() >= -2 * gap_error:
            failed.append("top-1 is %.2f %% below llama.cpp's" % (-100 * gap.mean()))
        line = (ours["positions"], 100 * self.share_k, ours["kl"], theirs["kl"], ratio, error, 100 * ours["top1"],
                100 * theirs["top1"], 100 * gap_error)
        return line, failed


def share_of_k(reader):
    """Of the weights in matrices, the share whose rows are whole super-blocks of 256."""
    sizes = [(int(t.n_elements), int(t.shape[0])) for t in reader.tensors if len(t.shape) > 1]
    return sum(n for n, row in sizes if row % 256 == 0) / sum(n for n, _ in sizes)


def requantized(arguments, model, kind, scratch):
    if kind == "as it is":
        return model
    path = os.path.join(scratch, "requantized.gguf")
    subprocess.run([arguments.engine, "quantize", model, path, kind], check=True, capture_output=True)
    return path


FORMAT = "| %s | %s | %d | %.0f %% | %.2e | %.2e | %.2f ± %.2f | %.2f | %.2f ± %.2f |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", default=os.environ.get("INGLENOOK_ENGINE"))
    parser.add_argument("--positions", type=int, default=2048)
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", help="write the table to this file")
    parser.add_argument("models", nargs="*")
    arguments = parser.parse_args()
    models = arguments.models or default_models()
    if not models:
        print("1..0 # SKIP no model in %s" % golden.default_models())
        return 0
    torch.set_num_threads(arguments.threads)
    kinds, bad, n = arguments.types.split(","), 0, 0
    lines = ["| file | type | positions | K rows | KL, ours | KL, llama.cpp | ratio | top-1 %, ours | llama.cpp |",
             "|---|---|---|---|---|---|---|---|---|"]
    print("1..%d" % (len(models) * len(kinds)), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for model in models:
            sequences = tokens_of(arguments.engine, model, text_file(scratch), arguments.positions)
            for kind in kinds:
                path = requantized(arguments, model, kind, scratch)
                line, failed = Comparison(arguments, path, sequences).verdict()
                n, bad = n + 1, bad + (len(failed) > 0)
                lines.append(FORMAT % (os.path.basename(model), kind, *line))
                print("# " + lines[-1])
                print("%sok %d - %s as %s%s" % ("not " if failed else "", n, os.path.basename(model), kind,
                                                ": " + ", ".join(failed) if failed else ""), flush=True)
    if arguments.table:
        with open(arguments.table, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
