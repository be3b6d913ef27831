#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a hub folder of llama's architecture with random weights, for speed and load times: nothing but Python's own
library is needed. `inglenook-engine convert` and `quantize` make files of it.

    make-random-folder.py FOLDER [--width 1536] [--layers 16]      (the numbers given: 507 MB in Q8_0)
    make-random-folder.py FOLDER --like deepseek-v2-lite|glm-4.7-flash [--layers 5]

With --like the shapes are those of the published configuration, but for the vocabulary and the number of layers, the
first of which is dense: 5 of DeepSeek-V2-Lite are 4.9 GB here, 5 of GLM-4.7-Flash 5.4 GB.
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


# Multi-head latent attention: width, dense width, width of an expert, heads, ranks of queries and latents, widths of a head
# without RoPE, of RoPE, of values; experts, how many a token uses, how many every token visits.
LIKE = {
    "deepseek-v2-lite": ("DeepseekV2ForCausalLM", 2048, 10944, 1408, 16, None, 512, 128, 64, 128, 64, 6, 2),
    "glm-4.7-flash": ("Glm4MoeLiteForCausalLM", 2048, 10240, 1536, 20, 768, 512, 192, 64, 256, 64, 4, 1),
}


def latent_config(like, layers):
    name, width, inner, expert, heads, queries, latent, plain, rope, value, experts, used, shared = LIKE[like]
    return {"architectures": [name], "hidden_size": width, "intermediate_size": inner, "moe_intermediate_size": expert,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads, "vocab_size": VOCAB,
            "q_lora_rank": queries, "kv_lora_rank": latent, "qk_nope_head_dim": plain, "qk_rope_head_dim": rope,
            "v_head_dim": value, "n_routed_experts": experts, "num_experts_per_tok": used, "n_shared_experts": shared,
            "first_k_dense_replace": 1, "topk_method": "greedy", "hidden_act": "silu", "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0, "max_position_embeddings": 16384, "bos_token_id": 1, "eos_token_id": 2,
            "tie_word_embeddings": True}


def latent_shapes(c):
    width, heads, latent, rope = c["hidden_size"], c["num_attention_heads"], c["kv_lora_rank"], c["qk_rope_head_dim"]
    plain, value, queries = c["qk_nope_head_dim"], c["v_head_dim"], c["q_lora_rank"]
    yield "model.embed_tokens.weight", (VOCAB, width)
    yield "model.norm.weight", (width,)
    for i in range(c["num_hidden_layers"]):
        p = "model.layers.%d." % i
        parts = [("input_layernorm", (width,)), ("post_attention_layernorm", (width,)),
                 ("self_attn.kv_a_proj_with_mqa", (latent + rope, width)), ("self_attn.kv_a_layernorm", (latent,)),
                 ("self_attn.kv_b_proj", (heads * (plain + value), latent)), ("self_attn.o_proj", (width, heads * value))]
        if queries:
            parts += [("self_attn.q_a_proj", (queries, width)), ("self_attn.q_a_layernorm", (queries,)),
                      ("self_attn.q_b_proj", (heads * (plain + rope), queries))]
        else:
            parts += [("self_attn.q_proj", (heads * (plain + rope), width))]
        blocks = [("mlp.", c["intermediate_size"])]
        if i > 0:
            parts += [("mlp.gate", (c["n_routed_experts"], width))]
            if c["architectures"][0].startswith("Glm"):
                yield p + "mlp.gate.e_score_correction_bias", (c["n_routed_experts"],)
            blocks = [("mlp.experts.%d." % e, c["moe_intermediate_size"]) for e in range(c["n_routed_experts"])]
            blocks += [("mlp.shared_experts.", c["n_shared_experts"] * c["moe_intermediate_size"])]
        for name, inner in blocks:
            parts += [(name + "gate_proj", (inner, width)), (name + "up_proj", (inner, width)),
                      (name + "down_proj", (width, inner))]
        for name, shape in parts:
            yield p + name + ".weight", shape


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--width", type=int, default=1536)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--like", choices=sorted(LIKE))
    a = parser.parse_args()
    a.layers = a.layers or (5 if a.like else 16)
    os.makedirs(a.folder, exist_ok=True)
    shutil.copy(TOKENIZER, os.path.join(a.folder, "tokenizer.json"))
    config = latent_config(a.like, a.layers) if a.like else {
        "architectures": ["LlamaForCausalLM"], "hidden_size": a.width, "intermediate_size": 3 * a.width,
        "num_hidden_layers": a.layers, "num_attention_heads": a.width // HEAD,
        "num_key_value_heads": a.width // 6 // HEAD, "head_dim": HEAD, "vocab_size": VOCAB, "hidden_act": "silu",
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 4096, "bos_token_id": 1,
        "eos_token_id": 2, "tie_word_embeddings": True}
    with open(os.path.join(a.folder, "config.json"), "w", encoding="utf-8") as out:
        json.dump(config, out)
    header, at = {}, 0
    for name, shape in latent_shapes(config) if a.like else shapes(a.width, a.layers):
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
