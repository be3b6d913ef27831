# SPDX-License-Identifier: Apache-2.0
"""What the golden scripts share: a llama-architecture GGUF file as float32 in transformers.

The scripts need, from the Python registry: numpy, gguf, torch (CPU) and transformers.

Truth is the file's own weights, dequantized to float32 by the `gguf` package and run by
`transformers`: neither shares code with the engine under test.
"""
import hashlib
import os

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from transformers import LlamaConfig, LlamaForCausalLM

torch.set_grad_enabled(False)

LAYER_TENSORS = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}


def hub_name(name):
    """The name that transformers gives to the tensor that GGUF calls `name`."""
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    if name == "output.weight":
        return "lm_head.weight"
    block, layer, rest = name.split(".", 2)
    assert block == "blk", name
    return "model.layers.%s.%s" % (layer, LAYER_TENSORS[rest])


def to_pairs(weight, n_heads):
    """Rows of a query or key matrix in GGUF's order for llama: the two numbers that RoPE turns
    together stand side by side; transformers keeps them half a head apart."""
    rows, columns = weight.shape
    return (weight.reshape(n_heads, 2, rows // n_heads // 2, columns)
            .swapaxes(1, 2).reshape(rows, columns))


def to_halves(weight, n_heads):
    """The inverse of to_pairs."""
    rows, columns = weight.shape
    return (weight.reshape(n_heads, rows // n_heads // 2, 2, columns)
            .swapaxes(1, 2).reshape(rows, columns))


def field(reader, name, default=None):
    found = reader.fields.get(name)
    return default if found is None else found.contents()


def load_float32(path):
    """(model in transformers, reader) of a llama-architecture GGUF file."""
    reader = gguf.GGUFReader(path)
    assert field(reader, "general.architecture") == "llama"
    n_heads = int(field(reader, "llama.attention.head_count"))
    n_kv = int(field(reader, "llama.attention.head_count_kv", n_heads))
    state = {}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        weight = weight.reshape([int(n) for n in reversed(tensor.shape)])
        if tensor.name.endswith("attn_q.weight"):
            weight = to_halves(weight, n_heads)
        elif tensor.name.endswith("attn_k.weight"):
            weight = to_halves(weight, n_kv)
        state[hub_name(tensor.name)] = torch.from_numpy(np.ascontiguousarray(weight))
    n_vocab, n_embd = state["model.embed_tokens.weight"].shape
    tied = "lm_head.weight" not in state
    if tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    config = LlamaConfig(
        vocab_size=n_vocab, hidden_size=n_embd,
        intermediate_size=int(field(reader, "llama.feed_forward_length")),
        num_hidden_layers=int(field(reader, "llama.block_count")),
        num_attention_heads=n_heads, num_key_value_heads=n_kv,
        max_position_embeddings=int(field(reader, "llama.context_length")),
        rms_norm_eps=float(field(reader, "llama.attention.layer_norm_rms_epsilon")),
        rope_theta=float(field(reader, "llama.rope.freq_base", 10000.0)),
        tie_word_embeddings=tied, attn_implementation="eager")
    model = LlamaForCausalLM(config).float().eval()
    model.load_state_dict(state, strict=True)
    return model, reader


def logits_of(model, tokens):
    """float32 [n_tokens, n_vocab]"""
    return model(torch.tensor([tokens])).logits[0].float().numpy()


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as data:
        for block in iter(lambda: data.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def default_models():
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.environ.get("INGLENOOK_MODELS") or os.path.join(data, "inglenook", "models")


def starter_model():
    return os.path.join(default_models(), "SmolLM2-135M-Instruct-Q4_1.gguf")


def here(*names):
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), *names)
