#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does llama.cpp open what `convert` writes, and answer as we do? Every folder of data/convert becomes a
float32 GGUF; its logits (float32 KV, no flash attention) and, of encoders, its embedding are compared
with ours (--exact). Prints a table; exit status 1 if an architecture differs by more than 1e-4 (5e-4 where
llama.cpp's table of GELU counts; test-convert holds ours to transformers' float32 within 1e-4).

    compare-convert.py --engine build/release/engine/tools/inglenook-engine [--out compare-convert.tsv] [NAME…]

Needs numpy and llama-cpp-python. data/compare-convert.tsv is a run of llama-cpp-python 0.3.36.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import llama_cpp
import numpy as np

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "convert")
TEXT = "The fire in the hearth is warm, and 12 cats sleep."
LIMIT = 1e-4
# llama.cpp takes GELU from a table of half-precision values; both forms differ from transformers' by that.
GELU = ("bert", "gemma-embedding", "gemma2", "gemma3", "gemma4", "gemma4-moe", "xlm-roberta")
GELU_LIMIT = 5e-4
WINDOW = 64
PREFIXES = {"nomic-bert": "search_document: ", "gemma-embedding": "title: none | text: "}


def read(*path):
    with open(os.path.join(DATA, *path), encoding="utf-8") as file:
        return file.read()


def repeat_layers(folder, n_layers):
    """The model with its last layer once more until there are so many."""
    path = os.path.join(folder, "model.safetensors")
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        body = file.read()
    header.pop("__metadata__", None)
    last = max(int(name.split(".")[2]) for name in header if name.startswith("model.layers."))
    mark = "model.layers.%d." % last
    for i in range(last + 1, n_layers):
        header.update({name.replace(mark, "model.layers.%d." % i): dict(t) for name, t in list(header.items())
                       if name.startswith(mark)})
    parts, at = [], 0
    for t in header.values():
        first, end = t["data_offsets"]
        parts.append(body[first:end])
        t["data_offsets"] = [at, at + end - first]
        at += end - first
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(parts))
    config = {**json.loads(open(os.path.join(folder, "config.json"), encoding="utf-8").read()), "num_hidden_layers": n_layers}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)


def make_folder(name, scratch):
    # Not by the architecture's name: llama.cpp expects Phi 3's own tokens in a vocabulary so called.
    folder = os.path.join(scratch, "hub")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(DATA, name), folder)
    shutil.copy(os.path.join(DATA, "tokenizers", read(name, "tokenizer").strip() + ".json"),
                os.path.join(folder, "tokenizer.json"))
    if name == "gpt-oss":  # llama.cpp rounds the ends of YaRN's ramp, this model's makers do not: compared without
        path = os.path.join(folder, "config.json")
        config = {**json.loads(read(name, "config.json")),
                  "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
    if name == "deepseek-v2":  # llama.cpp knows a model without low-rank queries by its 27 layers
        repeat_layers(folder, 27)
    return folder


def run(arguments, *command):
    done = subprocess.run([arguments.engine, *command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def peer(path, embedding, n_ctx):
    return llama_cpp.Llama(path, n_ctx=n_ctx, n_batch=n_ctx, n_ubatch=n_ctx, logits_all=not embedding,
                           embedding=embedding, verbose=False, type_k=0, type_v=0, flash_attn=False)


def compare(arguments, name, scratch):
    model = os.path.join(scratch, name + ".gguf")
    run(arguments, "convert", make_folder(name, scratch), model, "F32")
    if os.path.exists(os.path.join(DATA, name, "embedding.npy")):
        ours = np.array(json.loads(run(arguments, "embed", model, TEXT, "--json", "--exact"))["embeddings"][0])
        prefix = PREFIXES.get(name, "")  # ours comes with the architecture
        theirs = np.array(peer(model, True, 128).embed(prefix + TEXT, normalize=True))
    else:
        n = int(read(name, "positions").split()[-1]) + 1
        tokens = [3 + (7 * i * i + 13 * i) % 300 for i in range(n)]
        out = os.path.join(scratch, "logits.npy")
        run(arguments, "logits", model, "--tokens", ",".join(map(str, tokens)), "--out", out, "--ctx", "2048",
            "--exact")
        ours, other = np.load(out), peer(model, False, 2048)
        other.eval(tokens)
        theirs = np.array(other.scores[:n])
        if name == "mistral":  # llama.cpp ignores the window of this architecture
            ours, theirs = ours[:WINDOW], theirs[:WINDOW]
    return len(ours) if ours.ndim > 1 else 1, float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", required=True)
    parser.add_argument("--out")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    names = arguments.names or sorted(n for n in os.listdir(DATA) if n != "tokenizers")
    lines, bad = ["model\tpositions\trelative error of ours to llama.cpp's"], 0
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            try:
                n, error = compare(arguments, name, scratch)
                line = "%s\t%d\t%.2e" % (name, n, error)
                bad += not error < (GELU_LIMIT if name in GELU else LIMIT)
            except (RuntimeError, ValueError, KeyError) as why:
                line = "%s\t-\t%s" % (name, str(why).splitlines()[0])
                bad += 1
            lines.append(line)
            print(line, flush=True)
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
