#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes the sizes in models.json with the engine's own plan.

    make-sizes.py ENGINE [MODELS.json]

Of every model a GGUF header is written with the shapes of its published configuration, and behind it a hole as long as its F16
tensors; `quantize --predict` then says what the file would be as each type. The vocabulary is left out: it adds 1 to 12 MB.
The sum of the elements must be within 12 % of the parameters that the card states
(Gemma 3 counts its eyes, which the file does not have).
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

TYPES = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16")
HERE = os.path.dirname(os.path.abspath(__file__))

# layers, width, heads, KV heads, width of a head, inner width (of an expert), vocabulary; then what else there is:
# experts=N, common (one more of their width), dense=LAYERS:INNER before those with experts; gate (queries with a gate);
# delta=KEYS:VALUES:WIDTH (heads of a delta rule in three layers of four); attention=LAYER:… (the others have a convolution);
# latent=QUERIES:LATENT:RoPE:PLAIN:VALUES (multi-head latent attention). Gemma 4: every so-manieth layer has heads of another
# width (global), the last shared ones no keys and maybe wider blocks (wide); part: numbers of a second embedding a layer.
SHAPES = {
    "Qwen3 0.6B": (28, 1024, 16, 8, 128, 3072, 151936, "tied"),
    "Qwen3 1.7B": (28, 2048, 16, 8, 128, 6144, 151936, "tied"),
    "Qwen3 4B": (36, 2560, 32, 8, 128, 9728, 151936, "tied"),
    "Qwen3 8B": (36, 4096, 32, 8, 128, 12288, 151936, ""),
    "Qwen3 14B": (40, 5120, 40, 8, 128, 17408, 151936, ""),
    "Qwen3 32B": (64, 5120, 64, 8, 128, 25600, 151936, ""),
    "Qwen3 30B-A3B": (48, 2048, 32, 4, 128, 768, 151936, "experts=128"),
    "Qwen2.5 1.5B Instruct": (28, 1536, 12, 2, 128, 8960, 151936, "tied"),
    "Qwen2.5 7B Instruct": (28, 3584, 28, 4, 128, 18944, 152064, ""),
    "Qwen2.5 Coder 7B Instruct": (28, 3584, 28, 4, 128, 18944, 152064, ""),
    "GLM-4-9B Chat": (40, 4096, 32, 2, 128, 13696, 151552, "qkv updown"),
    "GLM-4-9B 0414": (40, 4096, 32, 2, 128, 13696, 151552, "updown"),
    "GLM-Z1-9B 0414": (40, 4096, 32, 2, 128, 13696, 151552, "updown"),
    "DeepSeek-R1 Distill Qwen 1.5B": (28, 1536, 12, 2, 128, 8960, 151936, ""),
    "DeepSeek-R1 Distill Qwen 7B": (28, 3584, 28, 4, 128, 18944, 152064, ""),
    "DeepSeek-R1 Distill Qwen 14B": (48, 5120, 40, 8, 128, 13824, 152064, ""),
    "DeepSeek-R1 Distill Llama 8B": (32, 4096, 32, 8, 128, 14336, 128256, ""),
    "Llama 3.2 1B Instruct": (16, 2048, 32, 8, 64, 8192, 128256, "tied"),
    "Llama 3.2 3B Instruct": (28, 3072, 24, 8, 128, 8192, 128256, "tied"),
    "Llama 3.1 8B Instruct": (32, 4096, 32, 8, 128, 14336, 128256, ""),
    "Gemma 3 270M": (18, 640, 4, 1, 256, 2048, 262144, "tied"),
    "Gemma 3 1B": (26, 1152, 4, 1, 256, 6912, 262144, "tied"),
    "Gemma 3 4B": (34, 2560, 8, 4, 256, 10240, 262208, "tied"),
    "Gemma 3 12B": (48, 3840, 16, 8, 256, 15360, 262208, "tied"),
    "Gemma 4 E2B": (35, 1536, 8, 1, 256, 6144, 262144, "tied global=512 every=5 shared=20 wide part=256"),
    "Gemma 4 E4B": (42, 2560, 8, 2, 256, 10240, 262144, "tied global=512 every=6 shared=18 part=256"),
    "Gemma 2 2B": (26, 2304, 8, 4, 256, 9216, 256000, "tied"),
    "Mistral 7B Instruct v0.3": (32, 4096, 32, 8, 128, 14336, 32768, ""),
    "Mistral Nemo 12B Instruct": (40, 5120, 32, 8, 128, 14336, 131072, ""),
    "GLM-4.7-Flash": (47, 2048, 20, 1, 256, 1536, 154880, "experts=64 common dense=1:10240 latent=768:512:64:192:256"),
    "Qwen3.5 4B": (32, 2560, 16, 4, 256, 9216, 248320, "tied gate delta=16:32:128"),
    "Qwen3.5 9B": (32, 4096, 16, 4, 256, 12288, 248320, "gate delta=16:32:128"),
    "Qwen3.5 35B-A3B": (40, 2048, 16, 2, 256, 512, 248320, "gate delta=16:32:128 experts=256 common"),
    "LFM2 350M": (16, 1024, 16, 8, 64, 4608, 65536, "tied attention=2:5:8:10:12:14"),
    "LFM2 1.2B": (16, 2048, 32, 8, 64, 8192, 65536, "tied attention=2:5:8:10:12:14"),
    "LFM2 8B-A1B": (24, 2048, 32, 8, 64, 1792, 65536, "tied attention=2:6:10:14:18:21 experts=32 dense=2:7168"),
    "Phi-3.5 mini Instruct": (32, 3072, 32, 32, 96, 8192, 32064, "qkv updown"),
    "Phi-4 mini Instruct": (32, 3072, 24, 8, 128, 8192, 200064, "qkv updown tied"),
    "SmolLM2 135M Instruct": (30, 576, 9, 3, 64, 1536, 49152, "tied"),
    "SmolLM2 1.7B Instruct": (24, 2048, 32, 32, 64, 8192, 49152, "tied"),
    "SmolLM3 3B": (36, 2048, 16, 4, 128, 11008, 128256, "tied"),
    "Qwen3 Embedding 0.6B": (28, 1024, 16, 8, 128, 3072, 151669, "tied"),
    "EmbeddingGemma 300M": (24, 768, 3, 1, 256, 1152, 262144, "tied"),
    "bge-m3": (24, 1024, 16, 16, 64, 4096, 250002, "tied plain positions=8192"),
    "multilingual-e5-small": (12, 384, 12, 12, 32, 1536, 250037, "tied plain positions=512"),
    "nomic-embed-text v1.5": (12, 768, 12, 12, 64, 3072, 30528, "tied qkv"),
}


def split(shape):
    """Its numbers, and what else there is by name."""
    return shape[:7], dict((word.split("=") + ["1"])[:2] for word in shape[7].split())


def mix_rows(i, shape, more):
    """What stands for attention in layer @i: names and dimensions."""
    layers, width, heads, heads_kv, head, _, _ = shape
    if "latent" in more:
        low, latent, rope, plain, value = map(int, more["latent"].split(":"))
        return (("attn_q_a", (width, low)), ("attn_q_b", (low, heads * (plain + rope))),
                ("attn_kv_a_mqa", (width, latent + rope)), ("attn_k_b", (plain, latent, heads)),
                ("attn_v_b", (latent, value, heads)), ("attn_output", (heads * value, width)))
    if "delta" in more and i % 4 != 3:
        keys, values, wide = map(int, more["delta"].split(":"))
        return (("attn_qkv", (width, (2 * keys + values) * wide)), ("attn_gate", (width, values * wide)),
                ("ssm_alpha", (width, values)), ("ssm_beta", (width, values)), ("ssm_out", (values * wide, width)))
    if "attention" in more and str(i) not in more["attention"].split(":"):
        return ("shortconv.in_proj", (width, 3 * width)), ("shortconv.out_proj", (width, width))
    every = int(more.get("every", 0))
    head = int(more["global"]) if every and (i + 1) % every == 0 else head
    out = ("attn_output", (heads * head, width))
    if "qkv" in more:
        return ("attn_qkv", (width, (heads + 2 * heads_kv) * head)), out
    queries = heads * (2 if "gate" in more else 1)
    parts = (("q", queries), ("k", heads_kv), ("v", heads_kv))[:1 if i >= layers - int(more.get("shared", 0)) else 3]
    return *(("attn_" + name, (width, n * head)) for name, n in parts), out


def tensors(shape):
    """Matrices alone: what else there is, norms and biases, is less than a thousandth."""
    shape, more = split(shape)
    layers, width, _, _, _, inner, vocabulary = shape
    yield "token_embd.weight", (width, vocabulary)
    if "tied" not in more:
        yield "output.weight", (width, vocabulary)
    if "positions" in more:
        yield "position_embd.weight", (width, int(more["positions"]))
    part, keyless = int(more.get("part", 0)), int(more.get("shared", 0))
    if part:
        yield "per_layer_token_embd.weight", (part * layers, vocabulary)
        yield "per_layer_model_proj.weight", (width, part * layers)
    n_dense, dense = map(int, more.get("dense", "0:0").split(":"))
    for i in range(layers):
        if part:
            yield "blk.%d.inp_gate.weight" % i, (width, part)
            yield "blk.%d.proj.weight" % i, (part, width)
        for name, dims in mix_rows(i, shape, more):
            yield "blk.%d.%s.weight" % (i, name), dims
        experts = int(more.get("experts", 0)) if i >= n_dense else 0
        wide = dense if i < n_dense else 2 * inner if "wide" in more and i >= layers - keyless else inner
        last, suffix = ((experts,), "_exps") if experts else ((), "")
        if "updown" in more:
            yield "blk.%d.ffn_up.weight" % i, (width, 2 * wide)
        elif "plain" in more:
            yield "blk.%d.ffn_up.weight" % i, (width, wide)
        else:
            for name in ("gate", "up"):
                yield "blk.%d.ffn_%s%s.weight" % (i, name, suffix), (width, wide, *last)
        yield "blk.%d.ffn_down%s.weight" % (i, suffix), (wide, width, *last)
        if experts and "common" in more:
            for name, dims in (("gate", (width, wide)), ("up", (width, wide)), ("down", (wide, width))):
                yield "blk.%d.ffn_%s_shexp.weight" % (i, name), dims


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def write_header(path, architecture, shape):
    """A GGUF file without content; how many elements it has."""
    (layers, _, heads, heads_kv, *_), more = split(shape)
    numbers = {"block_count": layers, "attention.head_count": heads, "attention.head_count_kv": heads_kv}
    if "experts" in more:
        numbers["expert_count"] = int(more["experts"])
    listed = list(tensors(shape))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(listed), 1 + len(numbers))
    head += text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    for name, value in numbers.items():
        head += text(architecture + "." + name) + struct.pack("<II", 4, value)
    at = total = 0
    for name, dims in listed:
        n = 1
        for d in dims:
            n *= d
        head += text(name) + struct.pack("<I", len(dims)) + struct.pack("<%dQ" % len(dims), *dims)
        head += struct.pack("<IQ", 1, at)
        at += 2 * n + -2 * n % 32
        total += n
    with open(path, "wb") as out:
        out.write(head)
        out.truncate(len(head) + -len(head) % 32 + at)
    return total


def main():
    engine, place = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "models.json")
    with open(place, encoding="utf-8") as file:
        catalogue = json.load(file)
    with tempfile.TemporaryDirectory() as folder:
        for model in catalogue["models"]:
            path, sizes = os.path.join(folder, "shape.gguf"), {}
            total = write_header(path, model["architecture"]["value"], SHAPES[model["name"]])
            stated = model["parameters"]["value"]
            if abs(total / stated - 1) > 0.12:
                sys.exit("%s: the shapes have %d elements, the card says %d" % (model["name"], total, stated))
            for kind in TYPES:
                if kind == "F16":
                    sizes[kind] = os.path.getsize(path)
                    continue
                said = subprocess.run([engine, "quantize", path, kind, "--predict", "--json"], check=True, capture_output=True)
                sizes[kind] = json.loads(said.stdout)["out_bytes"]
            model["sizes"] = {"value": sizes, "from": "plan", "checked": "no"}
            print("%-32s %s" % (model["name"], " ".join("%s %.3f" % (k, v / 1e9) for k, v in sizes.items())))
    lines = [" " + json.dumps(key) + ": " + json.dumps(value, ensure_ascii=False) for key, value in catalogue.items() if key != "models"]
    models = ",\n".join("  " + json.dumps(model, ensure_ascii=False) for model in catalogue["models"])
    with open(place, "w", encoding="utf-8") as out:
        out.write("{\n" + ",\n".join(lines) + ',\n "models": [\n' + models + "\n ]\n}\n")


if __name__ == "__main__":
    main()
