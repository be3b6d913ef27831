#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A smoke test over whole files: SmolLM2 made F16 first, then shrunk by our quantizer and by llama.cpp's to the same mixture.

compare-shrunk.py [--engine PATH] [--types Q8_0,…] [--chunks 8]

Both files are read by our engine over the same text. Ours may have a mean KL to the original at most 2 % over theirs, and a
perplexity at most 10 % over: over a few thousand positions that is mostly chance (the file with the smaller KL has the larger
one as often as not). Most rows of this model are no multiple of 256 and take blocks of 32 in both; what single types do to rows
that fit is compare-quantizer.py's.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

import peer

peer.need("llama_cpp")

import llama_cpp  # noqa: E402

STARTER = "SmolLM2-135M-Instruct-Q4_1.gguf"
# The numbers of general.file_type.
FILE_TYPES = {"Q4_0": 2, "Q8_0": 7, "Q5_0": 8, "Q3_K_M": 12, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25}
MAX_KL, MAX_PERPLEXITY = 1.02, 1.10  # ours over theirs
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def their_quantizer(source, out, file_type):
    """In a process of its own: it prints a line for each tensor."""
    code = ("import ctypes, sys, llama_cpp as L; L.llama_backend_init(); p = L.llama_model_quantize_default_params(); "
            "p.nthread = 2; p.ftype = int(sys.argv[3]); "
            "sys.exit(L.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), ctypes.byref(p)))")
    run(sys.executable, "-c", code, source, out, str(file_type))


def measure(a, path, source, text):
    return json.loads(run(a.engine, "perplexity", path, "--text-file", text, "--reference", source, "--ctx", "256",
                          "--chunks", str(a.chunks), "--json"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default=os.environ.get("INGLENOOK_ENGINE", "inglenook-engine"))
    parser.add_argument("--models", default=os.environ.get(
        "INGLENOOK_MODELS", os.path.expanduser("~/.local/share/inglenook/models")))
    parser.add_argument("--types", default=",".join(FILE_TYPES))
    parser.add_argument("--chunks", type=int, default=8)
    a = parser.parse_args()
    starter = os.path.join(a.models, STARTER)
    if not os.path.exists(starter):
        print("1..0 # SKIP no starter model")
        return 0
    assert llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M == FILE_TYPES["Q4_K_M"]
    n_failed, types = 0, a.types.split(",")
    with tempfile.TemporaryDirectory() as folder:
        source, text = os.path.join(folder, "f16.gguf"), os.path.join(folder, "text")
        run(a.engine, "quantize", starter, source, "F16")
        with open(text, "w", encoding="utf-8") as out:
            for name in sorted(glob.glob(os.path.join(TOP, "docs", "*.md"))):
                with open(name, encoding="utf-8") as part:
                    out.write(part.read())
        for i, kind in enumerate(types):
            ours, theirs = os.path.join(folder, "ours.gguf"), os.path.join(folder, "theirs.gguf")
            run(a.engine, "quantize", source, ours, kind)
            their_quantizer(source, theirs, FILE_TYPES[kind])
            x, y = measure(a, ours, source, text), measure(a, theirs, source, text)
            ratio = x["perplexity"] / y["perplexity"]
            good = ratio <= MAX_PERPLEXITY and x["mean_kl"] <= y["mean_kl"] * MAX_KL + 1e-4
            n_failed += not good
            print("%s %d - %s: perplexity %.3f, llama.cpp's %.3f (%.4f); KL %.5f and %.5f; %.1f and %.1f MB"
                  % ("ok" if good else "not ok", i + 1, kind, x["perplexity"], y["perplexity"], ratio, x["mean_kl"],
                     y["mean_kl"], os.path.getsize(ours) / 1e6, os.path.getsize(theirs) / 1e6), flush=True)
            os.remove(ours)
            os.remove(theirs)
    print("1..%d" % len(types))
    return n_failed > 0


if __name__ == "__main__":
    raise SystemExit(main())
