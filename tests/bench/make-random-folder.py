#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a hub folder of llama's architecture with random weights, for speed and load times: nothing but Python's own
library is needed. `inglenook-engine convert` and `quantize` make files of it.

    make-random-folder.py FOLDER [--width 1536] [--layers 16]      (the numbers given: 507 MB in Q8_0)
"""
import argparse
import json
import os
import random
import shutil
import struct

TOKENIZER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "data", "convert", "tokenizers",
                         "llama-3.json")
VOCAB, HEAD = 32768, 64


def random_bfloat16(n, rng):
    """Numbers of about 0.02 either way: a random sign and mantissa, one of four exponents."""
    out = bytearray(rng.randbytes(2 * n))
    for i in range(1, 2 * n, 2):
        out[i] = (out[i] & 0x80) | 0x3c
    return bytes(out)


def shapes(width, layers):
    inner, kv = 3 * width, width // 6
    yield "model.embed_tokens.weight", (VOCAB, width)
    yield "model.norm.weight", (width,)
    for i in range(layers):
        p = "model.layers.%d." % i
        for name, shape in (("input_layernorm", (width,)), ("post_attention_layernorm", (width,)),
                            ("self_attn.q_proj", (width, width)), ("self_attn.k_proj", (kv, width)),
                            ("self_attn.v_proj", (kv, width)), ("self_attn.o_proj", (width, width)),
                            ("mlp.gate_proj", (inner, width)), ("mlp.up_proj", (inner, width)),
                            ("mlp.down_proj", (width, inner))):
            yield p + name + ".weight", shape


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--width", type=int, default=1536)
    parser.add_argument("--layers", type=int, default=16)
    a = parser.parse_args()
    os.makedirs(a.folder, exist_ok=True)
    shutil.copy(TOKENIZER, os.path.join(a.folder, "tokenizer.json"))
    with open(os.path.join(a.folder, "config.json"), "w", encoding="utf-8") as out:
        json.dump({"architectures": ["LlamaForCausalLM"], "hidden_size": a.width, "intermediate_size": 3 * a.width,
                   "num_hidden_layers": a.layers, "num_attention_heads": a.width // HEAD,
                   "num_key_value_heads": a.width // 6 // HEAD, "head_dim": HEAD, "vocab_size": VOCAB, "hidden_act": "silu",
                   "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 4096, "bos_token_id": 1,
                   "eos_token_id": 2, "tie_word_embeddings": True}, out)
    header, at = {}, 0
    for name, shape in shapes(a.width, a.layers):
        n = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    block = random_bfloat16(1 << 20, random.Random(7))
    with open(os.path.join(a.folder, "model.safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for left in range(at, 0, -len(block)):
            out.write(block[:left])
    return 0


if __name__ == "__main__":
    main()
