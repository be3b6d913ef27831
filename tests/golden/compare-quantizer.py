#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our quantizer against llama.cpp's, and its files in llama.cpp.

compare-quantizer.py [--engine PATH] [--maker PATH] [--table]

1. A random model whose rows fit every block is quantized to every type and to a target size; llama.cpp opens each file
   unchanged, and its logits agree with ours.
2. Rows are encoded by `inglenook-engine quantize` and by libggml's ggml_quantize_chunk: all-MiniLM-L6-v2's own F32 matrices
   reshaped to rows of 1,536, and rows drawn from Student's t; without and with the same importance. The squared error, weighted
   with the importance, may be nowhere over 2 % larger than theirs. --table prints what docs/quantizing.md shows.
"""
import argparse
import ctypes
import json
import os
import struct
import subprocess
import tempfile

import peer

peer.need("numpy", "gguf", "llama_cpp")

import gguf  # noqa: E402
import llama_cpp  # noqa: E402
import numpy as np  # noqa: E402

MIXES = ("F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S IQ4_NL IQ4_XS Q4_1 Q4_0 Q3_K_L Q3_K_M Q3_K_S Q2_K "
         "Q2_K_S").split()
TOKENS = [1, 306, 4092, 29, 11, 703, 52, 1999, 30000, 17, 8, 250, 611, 77, 12000, 5]
# Ours in float, theirs with activations rounded (measured: up to 0.007 and 0.031); a block read wrongly is off by 1 and more.
MAX_FLOAT_ERROR, MAX_BLOCK_ERROR = 0.02, 0.08
# The mixture whose rule for ffn_up is the type.
TYPES = {"Q8_0": "Q8_0", "Q6_K": "Q6_K", "Q5_K": "Q5_K_S", "Q5_1": "Q5_1", "Q5_0": "Q5_0", "Q4_K": "Q4_K_S",
         "IQ4_NL": "IQ4_NL", "IQ4_XS": "IQ4_XS", "Q4_1": "Q4_1", "Q4_0": "Q4_0", "Q3_K": "Q3_K_S", "Q2_K": "Q2_K"}
N_COLS, MAX_ROWS = 1536, 48
MAX_RATIO = 1.02


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# --- files in llama.cpp ---

def their_logits(path):
    model = llama_cpp.Llama(path, n_ctx=64, n_batch=64, n_threads=2, logits_all=True, verbose=False)
    model.eval(TOKENS)
    return np.array(model.scores[:len(TOKENS)], dtype=np.float32)


def our_logits(engine, path, scratch):
    out = os.path.join(scratch, "logits.npy")
    run(engine, "logits", path, "--exact", "--tokens", ",".join(map(str, TOKENS)), "--out", out)
    return np.load(out)


def check_opens(a, scratch, report):
    starter = os.path.join(a.models, "SmolLM2-135M-Instruct-Q4_1.gguf")
    if not (a.maker and os.path.exists(a.maker) and os.path.exists(starter)):
        report.skip("llama.cpp opens our files", "the starter model or make-random-model is missing")
        return
    source, out = os.path.join(scratch, "source.gguf"), os.path.join(scratch, "out.gguf")
    run(a.maker, "tiny", "f16", starter, source)
    size = os.path.getsize(source)
    wanted = [(name, [name]) for name in MIXES]
    wanted += [("target of %d %%" % p, ["--target-bytes", str(size * p // 100)]) for p in (24, 30, 40, 52)]
    for name, arguments in wanted:
        run(a.engine, "quantize", source, out, *arguments)
        ours, theirs = our_logits(a.engine, out, scratch), their_logits(out)
        error = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
        limit = MAX_FLOAT_ERROR if name in ("F32", "F16", "BF16") else MAX_BLOCK_ERROR
        report.case(error <= limit, "llama.cpp opens %s; logits' relative error %.2g" % (name, error))
        os.remove(out)


# --- quality ---

def minilm_matrices(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        start = file.tell()
        for name, t in sorted(header.items()):
            if "encoder.layer" not in name or not name.endswith("weight") or len(t.get("shape", ())) != 2:
                continue
            begin, end = t["data_offsets"]
            file.seek(start + begin)
            x = np.frombuffer(file.read(end - begin), dtype=np.float32)
            yield x.reshape(-1, N_COLS)[:MAX_ROWS].copy()


def matrices(models):
    rng = np.random.default_rng(11)
    path = os.path.join(models, "all-MiniLM-L6-v2", "model.safetensors")
    found = list(minilm_matrices(path)) if os.path.exists(path) else []
    return found + [rng.standard_t(df, (96, N_COLS)).astype(np.float32) * 0.02 for df in (2, 3, 4, 5, 6, 7)]


def name_of(i):
    return "blk.%d.ffn_up.weight" % i


def write_model(path, xs):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(len(xs))
    for i, x in enumerate(xs):
        writer.add_tensor(name_of(i), x)
    finish(writer)


def write_importance(path, ws):
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_string("general.type", "imatrix")
    for i, w in enumerate(ws):
        writer.add_tensor(name_of(i) + ".in_sum2", w.reshape(1, -1))
        writer.add_tensor(name_of(i) + ".counts", np.ones((1, 1), dtype=np.float32))
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Ggml:
    def __init__(self):
        folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
        self.lib = ctypes.CDLL(os.path.join(folder, "libggml-base.so"))
        self.encode = self.lib.ggml_quantize_chunk
        self.encode.restype = ctypes.c_size_t
        self.encode.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
                                ctypes.c_void_p]

    def quantize(self, qtype, x, importance):
        block, n_bytes = gguf.GGML_QUANT_SIZES[qtype]
        out = np.zeros((len(x), N_COLS // block * n_bytes), dtype=np.uint8)
        self.encode(int(qtype), x.ctypes.data, out.ctypes.data, 0, len(x), N_COLS,
                    importance.ctypes.data if importance is not None else None)
        return out


def error_of(raw, qtype, x, w):
    y = gguf.quants.dequantize(raw, qtype)
    return float(((x.astype(np.float64) - y) ** 2 * w).sum())


def compare_quality(a, scratch, report):
    xs, ggml = matrices(a.models), Ggml()
    rng = np.random.default_rng(12)
    ws = [np.exp(1.5 * rng.standard_normal(N_COLS)).astype(np.float32) for _ in xs]
    source, out = os.path.join(scratch, "rows.gguf"), os.path.join(scratch, "out.gguf")
    importance = os.path.join(scratch, "importance.gguf")
    write_model(source, xs)
    write_importance(importance, ws)
    rows = []
    for name, mix in TYPES.items():
        qtype, line = gguf.GGMLQuantizationType[name], [name]
        for weighted in (False, True):
            run(a.engine, "quantize", source, out, mix, *(["--imatrix", importance] if weighted else []))
            tensors = {t.name: t for t in gguf.GGUFReader(out).tensors}
            ratios = []
            for i, x in enumerate(xs):
                t = tensors[name_of(i)]
                w = ws[i] if weighted else None
                weight = w.astype(np.float64) if weighted else 1.0
                if t.tensor_type != qtype:
                    raise SystemExit("%s is %s in the mixture %s" % (t.name, t.tensor_type.name, mix))
                ours = error_of(t.data.reshape(len(x), -1), qtype, x, weight)
                ratios.append(ours / error_of(ggml.quantize(qtype, x, w), qtype, x, weight))
            worst, median = max(ratios), sorted(ratios)[len(ratios) // 2]
            line += [median, worst]
            report.case(worst <= MAX_RATIO, "%s%s: error over llama.cpp's: median %.4f, worst %.4f of %d matrices"
                        % (name, " with importance" if weighted else "", median, worst, len(xs)))
        rows.append(line)
    if a.table:
        report.say("| type | error, median | worst | with importance: error, median | worst |\n|---|---|---|---|---|")
        for line in rows:
            report.say("| %s | %.4f | %.4f | %.4f | %.4f |" % tuple(line))


class Report:
    def __init__(self):
        self.n = self.n_failed = 0

    def case(self, good, text):
        self.n += 1
        self.n_failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", self.n, text), flush=True)

    def skip(self, text, why):
        self.n += 1
        print("ok %d - %s # SKIP %s" % (self.n, text, why), flush=True)

    @staticmethod
    def say(text):
        for line in text.splitlines():
            print("# " + line, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default=os.environ.get("INGLENOOK_ENGINE", "inglenook-engine"))
    parser.add_argument("--maker", help="tests/device/make-random-model, as built")
    parser.add_argument("--models", default=os.environ.get(
        "INGLENOOK_MODELS", os.path.expanduser("~/.local/share/inglenook/models")))
    parser.add_argument("--table", action="store_true")
    a = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as scratch:
        check_opens(a, scratch, report)
        compare_quality(a, scratch, report)
    print("1..%d" % report.n)
    return report.n_failed > 0


if __name__ == "__main__":
    raise SystemExit(main())
