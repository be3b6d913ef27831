# SPDX-License-Identifier: Apache-2.0
"""What the golden scripts share: a GGUF file of llama's or gemma3's architecture as float32 in transformers.

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
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

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
GEMMA3_TENSORS = {
    **LAYER_TENSORS,
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
}


def hub_name(name, layer_tensors):
    """The name that transformers gives to the tensor that GGUF calls `name`."""
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    if name == "output.weight":
        return "lm_head.weight"
    block, layer, rest = name.split(".", 2)
    assert block == "blk", name
    return "model.layers.%s.%s" % (layer, layer_tensors[rest])


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


def read_float32(reader, change, layer_tensors):
    """The file's tensors by transformers' names; change (GGUF's name, weight) is the weight there."""
    state = {}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        weight = change(tensor.name, weight.reshape([int(n) for n in reversed(tensor.shape)]))
        state[hub_name(tensor.name, layer_tensors)] = torch.from_numpy(np.ascontiguousarray(weight))
    tied = "lm_head.weight" not in state
    if tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    return state, tied


def common_config(reader, arch, state, tied):
    """What the configurations of both architectures share."""
    n_vocab, n_embd = state["model.embed_tokens.weight"].shape
    n_heads = int(field(reader, arch + ".attention.head_count"))
    return dict(
        vocab_size=n_vocab, hidden_size=n_embd, num_attention_heads=n_heads,
        intermediate_size=int(field(reader, arch + ".feed_forward_length")),
        num_hidden_layers=int(field(reader, arch + ".block_count")),
        num_key_value_heads=int(field(reader, arch + ".attention.head_count_kv", n_heads)),
        max_position_embeddings=int(field(reader, arch + ".context_length")),
        rms_norm_eps=float(field(reader, arch + ".attention.layer_norm_rms_epsilon")),
        tie_word_embeddings=tied, attn_implementation="eager")


def load_llama(reader):
    n_heads = int(field(reader, "llama.attention.head_count"))
    n_kv = int(field(reader, "llama.attention.head_count_kv", n_heads))

    def change(name, weight):
        if name.endswith("attn_q.weight"):
            return to_halves(weight, n_heads)
        return to_halves(weight, n_kv) if name.endswith("attn_k.weight") else weight
    state, tied = read_float32(reader, change, LAYER_TENSORS)
    config = LlamaConfig(rope_theta=float(field(reader, "llama.rope.freq_base", 10000.0)),
                         **common_config(reader, "llama", state, tied))
    return LlamaForCausalLM(config), state


def load_gemma3(reader):
    state, tied = read_float32(  # GGUF's norms are those of transformers plus one
        reader, lambda name, weight: weight - 1 if name.endswith("norm.weight") else weight, GEMMA3_TENSORS)
    width = int(field(reader, "gemma3.attention.key_length"))
    base = float(field(reader, "gemma3.rope.freq_base", 1000000.0))
    config = Gemma3TextConfig(
        head_dim=width, query_pre_attn_scalar=width,
        sliding_window=int(field(reader, "gemma3.attention.sliding_window")),
        rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": base},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}},
        **common_config(reader, "gemma3", state, tied))
    return Gemma3ForCausalLM(config), state


LOADERS = {"llama": load_llama, "gemma3": load_gemma3}


def load_float32(path):
    """(model in transformers, reader) of a GGUF file of one of LOADERS' architectures."""
    reader = gguf.GGUFReader(path)
    model, state = LOADERS[field(reader, "general.architecture")](reader)
    model = model.float().eval()
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
