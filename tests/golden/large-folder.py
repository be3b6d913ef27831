#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`convert` and `quantize` of a hub's folder of 2 GB: 512 MiB of memory of their own suffice, and a kill at any moment leaves
either the whole file under its name or none.

large-folder.py [--engine PATH] [--data tests/golden/data] [--layers 22] [--folder DIR]

The folder is written first (weights of random bits, all finite) and removed at the end.
"""
import argparse
import json
import os
import random
import resource
import shutil
import struct
import subprocess
import tempfile
import time

LIMIT = 512 << 20
HIDDEN, INNER, KV = 2048, 5632, 512
KILLS = 10


def tensors(n_layers, n_vocab):
    yield "lm_head.weight", [n_vocab, HIDDEN]
    yield "model.embed_tokens.weight", [n_vocab, HIDDEN]
    yield "model.norm.weight", [HIDDEN]
    for i in range(n_layers):
        at = "model.layers.%d." % i
        yield at + "input_layernorm.weight", [HIDDEN]
        yield at + "post_attention_layernorm.weight", [HIDDEN]
        yield at + "self_attn.q_proj.weight", [HIDDEN, HIDDEN]
        yield at + "self_attn.k_proj.weight", [KV, HIDDEN]
        yield at + "self_attn.v_proj.weight", [KV, HIDDEN]
        yield at + "self_attn.o_proj.weight", [HIDDEN, HIDDEN]
        yield at + "mlp.gate_proj.weight", [INNER, HIDDEN]
        yield at + "mlp.up_proj.weight", [INNER, HIDDEN]
        yield at + "mlp.down_proj.weight", [HIDDEN, INNER]


def random_slab(n):
    """BF16 numbers between 0.0078 and 0.031, of both signs."""
    rng = random.Random(5)
    slab = bytearray(rng.randbytes(2 * n))
    slab[1::2] = bytes(0x3C | (b & 0x80) for b in slab[1::2])
    return bytes(slab)


def write_weights(path, shapes):
    header, at = {}, 0
    for name, shape in shapes:
        n = 2
        for d in shape:
            n *= d
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    slab = random_slab(1 << 20)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for left in range(at, 0, -len(slab)):
            file.write(slab[:left])
    return at


def write_folder(folder, data, n_layers):
    os.makedirs(folder)
    with open(os.path.join(data, "convert", "llama", "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config.update(hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=n_layers, num_attention_heads=32,
                  num_key_value_heads=KV // 64, head_dim=64)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    shutil.copy(os.path.join(data, "convert", "tokenizers", "llama-3.json"), os.path.join(folder, "tokenizer.json"))
    return write_weights(os.path.join(folder, "model.safetensors"), tensors(n_layers, config["vocab_size"]))


def anonymous_bytes(pid):
    try:
        with open("/proc/%d/status" % pid, encoding="ascii") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


def start(command):
    # RLIMIT_DATA counts every writable private mapping, touched or not: more than what is asked for.
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT)))


def watch(command):
    begin, peak, process = time.monotonic(), 0, start(command)
    while process.poll() is None:
        peak = max(peak, anonymous_bytes(process.pid))
        time.sleep(0.02)
    return process.returncode, peak, time.monotonic() - begin, process.stderr.read().decode(errors="replace")


class Report:
    n = n_failed = 0

    def case(self, good, text):
        self.n += 1
        self.n_failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", self.n, text), flush=True)


def check_kills(report, command, out, seconds):
    whole = none = 0
    size = os.path.getsize(out)
    os.remove(out)
    for i in range(KILLS):
        process = start(command)
        time.sleep(seconds * (i + 0.5) / KILLS)
        process.kill()
        process.wait()
        process.stderr.close()
        if not os.path.exists(out):
            none += 1
        elif os.path.getsize(out) == size:
            whole += 1
        for name in os.listdir(os.path.dirname(out)):
            if name.startswith(os.path.basename(out)):
                os.remove(os.path.join(os.path.dirname(out), name))
    report.case(whole + none == KILLS, "%d kills of %s: %d times no file, %d times the whole one"
                % (KILLS, command[1], none, whole))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default=os.environ.get("INGLENOOK_ENGINE", "inglenook-engine"))
    parser.add_argument("--data", default=os.environ.get("INGLENOOK_TEST_DATA"))
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--folder", help="where there is room for 6 GB (the system's temporary folder)")
    a = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(dir=a.folder) as scratch:
        if shutil.disk_usage(scratch).free < 8 << 30:
            print("1..0 # SKIP less than 8 GB are free in %s" % scratch)
            return 0
        folder, whole = os.path.join(scratch, "hub"), os.path.join(scratch, "whole.gguf")
        out = os.path.join(scratch, "out.gguf")
        n = write_folder(folder, a.data, a.layers)
        runs = [[a.engine, "convert", folder, whole],
                [a.engine, "quantize", whole, out, "Q4_K_M"],
                [a.engine, "quantize", folder, out, "--target-bytes", str(n // 3)],
                [a.engine, "quantize", folder, out, "Q8_0"]]
        for command in runs:
            code, peak, seconds, messages = watch(command)
            report.case(code == 0 and peak <= LIMIT, "%s of %.2f GB: %.0f MB of its own, %.1f s %s"
                        % (" ".join([command[1], *command[4:]]), n / 1e9, peak / 1e6, seconds, messages.strip()))
        check_kills(report, runs[-1], out, seconds)
        seconds = watch(runs[0])[2]
        check_kills(report, runs[0], whole, seconds)
    print("1..%d" % report.n)
    return report.n_failed > 0


if __name__ == "__main__":
    raise SystemExit(main())
