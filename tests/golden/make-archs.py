#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a tiny random model of every architecture with transformers, writes it as GGUF (float32)
and keeps transformers' own results beside it: tests/golden/data/arch/NAME.gguf and NAME.npz-like
pairs NAME-tokens.npy (int32 [n]), NAME-rows.npy (int32 [k]: positions kept), NAME-logits.npy
(float32 [k, n_vocab]); for encoders NAME-vectors.npy (float32 [n_texts, width]) and
NAME-starts.npy (int32 [n_texts + 1]: where each text's tokens begin).

Needs from the Python registry: numpy, gguf, torch (CPU), transformers. Takes half a minute.

    make-archs.py [NAME…]                 all, or some
    make-archs.py --hub FOLDER [NAME…]    writes each as a hub folder too (for `convert`)

The GGUF files are written here tensor by tensor, from the format's description and transformers'
own names: nothing of the engine's converter takes part.
"""
import os
import sys

import gguf
import numpy as np
import torch
import transformers as tf

torch.set_grad_enabled(False)
SEED = 4711
VOCAB = 96
D, HEADS, KV, FF, LAYERS = 32, 4, 2, 48, 3
CONTEXT = 64
LONG = 1100  # positions of the models with a window or scaled RoPE
# Norms that transformers keeps as what is added to 1.
PLUS_ONE = ("gemma2", "gemma3", "gemma-embedding", "qwen35", "qwen35moe", "qwen3next")
BASE = dict(vocab_size=VOCAB, hidden_size=D, num_attention_heads=HEADS, num_key_value_heads=KV,
            intermediate_size=FF, num_hidden_layers=LAYERS, max_position_embeddings=CONTEXT,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, attn_implementation="eager")


def randomize(model):
    """Weights large enough that every part of the model shows in the result."""
    generator = torch.Generator().manual_seed(SEED)
    for name, p in model.named_parameters():
        if p.ndim == 1 and ("norm" in name.lower()) and name.endswith("weight"):
            kind = type(model).__name__.lower()
            base = 0.0 if ("gemma" in kind and "gemma4" not in kind) or (
                ("qwen3_5" in kind or "qwen3next" in kind) and "linear_attn" not in name) else 1.0
            p.copy_(base + 0.3 * torch.randn(p.shape, generator=generator))
            if "gemma4" in kind and name.endswith(("q_norm.weight", "k_norm.weight")):
                p.mul_(0.4)  # in front of scores without a scale they are small, as published
        elif p.ndim == 1:
            p.copy_(0.3 * torch.randn(p.shape, generator=generator))
        else:
            p.copy_(torch.randn(p.shape, generator=generator) * (1.2 / p.shape[-1] ** 0.5))
    for name, p in model.named_buffers():
        if name.endswith(("e_score_correction_bias", "layer_scalar")):
            p.copy_(0.3 * torch.randn(p.shape, generator=generator) + name.endswith("layer_scalar"))


def pairs(w, n_heads):
    """Rows in GGUF's order for llama: what RoPE turns together stands side by side."""
    shape = w.shape
    return w.reshape(n_heads, 2, shape[0] // n_heads // 2, -1).swapaxes(1, 2).reshape(shape)


class Writer:
    def __init__(self, path, arch, model):
        self.w = gguf.GGUFWriter(path, arch)
        self.arch = arch
        self.n_ahead = 0  # layers behind the others that guess further tokens
        self.state = {k: v.float().numpy() for k, v in model.state_dict().items()}

    def u32(self, **keys):
        for key, value in keys.items():
            self.w.add_uint32("%s.%s" % (self.arch, key.replace("__", ".")), value)

    def f32(self, **keys):
        for key, value in keys.items():
            self.w.add_float32("%s.%s" % (self.arch, key.replace("__", ".")), value)

    def text(self, key, value):
        self.w.add_string("%s.%s" % (self.arch, key), value)

    def put(self, name, array):
        self.w.add_tensor(name, np.ascontiguousarray(array, dtype=np.float32))

    def take(self, name, source, change=lambda x: x):
        if source in self.state:
            self.put(name, change(self.state.pop(source)))
            return True
        return False

    def close(self):
        left = [k for k in self.state if "inv_freq" not in k and "position_ids" not in k
                and "pooler" not in k and "token_type_ids" not in k and "embed_scale" not in k]
        assert not left, left
        self.w.write_header_to_file()
        self.w.write_kv_data_to_file()
        self.w.write_tensors_to_file()
        self.w.close()


def write_common(w, c, heads_kv=None):
    width = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    w.u32(block_count=c.num_hidden_layers + w.n_ahead, embedding_length=c.hidden_size,
          context_length=c.max_position_embeddings, attention__head_count=c.num_attention_heads,
          feed_forward_length=c.intermediate_size, vocab_size=c.vocab_size)
    if heads_kv:
        w.w.add_array(w.arch + ".attention.head_count_kv", heads_kv)
    else:
        w.u32(attention__head_count_kv=getattr(c, "num_key_value_heads", c.num_attention_heads))
    w.u32(attention__key_length=width, attention__value_length=width)
    return width


def write_rope(w, c, n_rot):
    p = c.rope_parameters
    w.u32(rope__dimension_count=n_rot)
    w.f32(rope__freq_base=float(p["rope_theta"]))
    kind = p.get("rope_type", "default")
    if kind == "linear":
        w.text("rope.scaling.type", "linear")
        w.f32(rope__scaling__factor=float(p["factor"]))
    elif kind == "yarn":
        w.text("rope.scaling.type", "yarn")
        w.f32(rope__scaling__factor=float(p["factor"]))
        w.u32(rope__scaling__original_context_length=p["original_max_position_embeddings"])
    elif kind == "llama3":
        inv = 1.0 / p["rope_theta"] ** (np.arange(0, n_rot, 2) / n_rot)
        scaled, _ = tf.modeling_rope_utils.ROPE_INIT_FUNCTIONS["llama3"](c, "cpu")
        w.put("rope_freqs.weight", (inv / scaled.numpy()))
    elif kind == "longrope":
        w.put("rope_factors_long.weight", np.array(p["long_factor"]))
        w.put("rope_factors_short.weight", np.array(p["short_factor"]))
        first = p["original_max_position_embeddings"]
        w.u32(rope__scaling__original_context_length=first)
        ratio = c.max_position_embeddings / first
        w.f32(rope__scaling__attn_factor=float(np.sqrt(1 + np.log(ratio) / np.log(first))))


def write_attention(w, i, c, permute=False, fused=False, prefix="model.layers.%d.self_attn."):
    src = prefix % i
    change = {"q": lambda x: pairs(x, c.num_attention_heads) if permute else x,
              "k": lambda x: pairs(x, c.num_key_value_heads) if permute else x, "v": lambda x: x}
    for kind in ("weight", "bias"):
        if fused:
            parts = [w.state.pop(src + "%s_proj.%s" % (n, kind)) for n in "qkv"
                     if src + "%s_proj.%s" % (n, kind) in w.state]
            if parts:
                w.put("blk.%d.attn_qkv.%s" % (i, kind), np.concatenate(parts))
            continue
        for n in "qkv":
            w.take("blk.%d.attn_%s.%s" % (i, n, kind), src + "%s_proj.%s" % (n, kind), change[n])
    w.take("blk.%d.attn_qkv.weight" % i, src + "qkv_proj.weight")
    w.take("blk.%d.attn_output.weight" % i, src + "o_proj.weight")
    w.take("blk.%d.attn_output.bias" % i, src + "o_proj.bias")
    plus = (lambda x: x + 1) if w.arch in PLUS_ONE else (lambda x: x)
    w.take("blk.%d.attn_q_norm.weight" % i, src + "q_norm.weight", plus)
    w.take("blk.%d.attn_k_norm.weight" % i, src + "k_norm.weight", plus)


def write_mlp(w, i, c):
    src, dst = "model.layers.%d.mlp." % i, "blk.%d." % i
    w.take(dst + "ffn_gate.weight", src + "gate_proj.weight")
    w.take(dst + "ffn_up.weight", src + "up_proj.weight")
    w.take(dst + "ffn_up.weight", src + "gate_up_proj.weight")
    w.take(dst + "ffn_down.weight", src + "down_proj.weight")
    for gate in (src + "gate.weight", "model.layers.%d.block_sparse_moe.gate.weight" % i):
        w.take(dst + "ffn_gate_inp.weight", gate)
    both = w.state.pop(src + "experts.gate_up_proj", None)
    if both is not None:
        half = both.shape[1] // 2
        w.put(dst + "ffn_gate_exps.weight", both[:, :half])
        w.put(dst + "ffn_up_exps.weight", both[:, half:])
        w.take(dst + "ffn_down_exps.weight", src + "experts.down_proj")
    w.take(dst + "ffn_gate_shexp.weight", src + "shared_expert.gate_proj.weight")
    w.take(dst + "ffn_up_shexp.weight", src + "shared_expert.up_proj.weight")
    w.take(dst + "ffn_down_shexp.weight", src + "shared_expert.down_proj.weight")
    w.take(dst + "ffn_gate_inp_shexp.weight", src + "shared_expert_gate.weight", lambda x: x.reshape(-1))


def write_decoder(w, c, norms, permute=False, fused=False, n_rot=None):
    width = write_common(w, c)
    write_rope(w, c, n_rot or width)
    w.f32(attention__layer_norm_rms_epsilon=c.rms_norm_eps)
    if getattr(c, "sliding_window", None):
        w.u32(attention__sliding_window=c.sliding_window)
    plus = (lambda x: x + 1) if w.arch in PLUS_ONE else (lambda x: x)
    w.take("token_embd.weight", "model.embed_tokens.weight")
    w.take("output_norm.weight", "model.norm.weight", plus)
    if c.tie_word_embeddings:
        w.state.pop("lm_head.weight", None)
    w.take("output.weight", "lm_head.weight")
    for i in range(c.num_hidden_layers):
        for theirs, ours in norms.items():
            assert w.take("blk.%d.%s.weight" % (i, ours), "model.layers.%d.%s.weight" % (i, theirs), plus)
        write_attention(w, i, c, permute, fused)
        write_mlp(w, i, c)


PLAIN = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
SANDWICH = {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm",
            "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
GLM4 = {"input_layernorm": "attn_norm", "post_self_attn_layernorm": "post_attention_norm",
        "post_attention_layernorm": "ffn_norm", "post_mlp_layernorm": "post_ffw_norm"}


def llama(w, c):
    write_decoder(w, c, PLAIN, permute=True)


def plain(w, c):
    write_decoder(w, c, PLAIN)


def experts(w, c):
    w.u32(expert_count=getattr(c, "num_experts", None) or c.num_local_experts,
          expert_used_count=c.num_experts_per_tok)
    if hasattr(c, "moe_intermediate_size"):
        w.u32(expert_feed_forward_length=c.moe_intermediate_size)
    if hasattr(c, "shared_expert_intermediate_size"):
        w.u32(expert_shared_feed_forward_length=c.shared_expert_intermediate_size)
    write_decoder(w, c, PLAIN, permute=w.arch == "llama")


def gemma2(w, c):
    w.f32(attn_logit_softcapping=c.attn_logit_softcapping, final_logit_softcapping=c.final_logit_softcapping)
    write_decoder(w, c, SANDWICH)


def gemma3(w, c):
    base = c.rope_parameters
    w.f32(rope__freq_base_swa=float(base["sliding_attention"]["rope_theta"]))
    c.rope_parameters = base["full_attention"]
    write_decoder(w, c, SANDWICH)
    c.rope_parameters = base


def gemma4(w, c):
    local = [t == "sliding_attention" for t in c.layer_types]
    n, n_shared = c.num_hidden_layers, c.num_kv_shared_layers
    own = [c.per_layer_config[i] for i in range(n)]
    last = own[local.index(False)]
    w.u32(block_count=n, embedding_length=c.hidden_size, context_length=c.max_position_embeddings,
          attention__head_count=c.num_attention_heads, vocab_size=c.vocab_size, attention__key_length=last.head_dim,
          attention__value_length=last.head_dim, attention__key_length_swa=own[0].head_dim,
          attention__value_length_swa=own[0].head_dim, rope__dimension_count=last.head_dim,
          rope__dimension_count_swa=own[0].head_dim, attention__sliding_window=c.sliding_window,
          attention__shared_kv_layers=n_shared, embedding_length_per_layer_input=c.hidden_size_per_layer_input)
    w.w.add_array(w.arch + ".attention.sliding_window_pattern", local)
    w.w.add_array(w.arch + ".attention.head_count_kv", [o.num_key_value_heads for o in own])
    w.w.add_array(w.arch + ".feed_forward_length", [
        c.intermediate_size * (2 if c.use_double_wide_mlp and i >= n - n_shared else 1) for i in range(n)])
    full = c.rope_parameters["full_attention"]
    n_turning = int(full["partial_rotary_factor"] * last.head_dim // 2)
    w.f32(attention__layer_norm_rms_epsilon=c.rms_norm_eps, final_logit_softcapping=c.final_logit_softcapping,
          rope__freq_base=full["rope_theta"], rope__freq_base_swa=c.rope_parameters["sliding_attention"]["rope_theta"])
    w.put("rope_freqs.weight", np.array([1.0] * n_turning + [1e30] * (last.head_dim // 2 - n_turning)))
    if c.enable_moe_block:
        w.u32(expert_count=c.num_experts, expert_used_count=c.top_k_experts,
              expert_feed_forward_length=c.moe_intermediate_size)
    w.state.pop("lm_head.weight")
    for theirs, ours in (("embed_tokens", "token_embd"), ("norm", "output_norm"),
                         ("embed_tokens_per_layer", "per_layer_token_embd"),
                         ("per_layer_model_projection", "per_layer_model_proj"),
                         ("per_layer_projection_norm", "per_layer_proj_norm")):
        w.take(ours + ".weight", "model.%s.weight" % theirs)
    for i in range(n):
        src, dst = "model.layers.%d." % i, "blk.%d." % i
        for theirs, ours in (*SANDWICH.items(), ("per_layer_input_gate", "inp_gate"), ("per_layer_projection", "proj"),
                             ("post_per_layer_input_norm", "post_norm"), ("router.proj", "ffn_gate_inp"),
                             ("pre_feedforward_layernorm_2", "pre_ffw_norm_2"),
                             ("post_feedforward_layernorm_1", "post_ffw_norm_1"),
                             ("post_feedforward_layernorm_2", "post_ffw_norm_2")):
            w.take("%s%s.weight" % (dst, ours), "%s%s.weight" % (src, theirs))
        # Gate and up of the experts in one tensor, as files are published.
        for theirs, ours in (("layer_scalar", "layer_output_scale.weight"), ("router.scale", "ffn_gate_inp.scale"),
                             ("router.per_expert_scale", "ffn_down_exps.scale"),
                             ("experts.gate_up_proj", "ffn_gate_up_exps.weight"),
                             ("experts.down_proj", "ffn_down_exps.weight")):
            w.take(dst + ours, src + theirs)
        if i == n - 1 and n_shared:  # files have keys for layers that use those of others
            w.put(dst + "attn_k.weight", np.zeros((2 * last.head_dim, c.hidden_size)))
        write_attention(w, i, c)
        write_mlp(w, i, c)


def gemma_embedding(w, c):
    w.u32(pooling_type=1)
    w.w.add_bool(w.arch + ".attention.causal", False)
    w.state = {"model." + k: v for k, v in w.state.items()}
    for name, matrix in zip(("dense_2", "dense_3"), dense_matrices(c)):
        w.u32(**{name + "_feat_in": matrix.shape[1], name + "_feat_out": matrix.shape[0]})
        w.put(name + ".weight", matrix)
    window = c.sliding_window  # transformers keeps what one side sees, itself included
    c.sliding_window = 2 * (window - 1)
    gemma3(w, c)
    c.sliding_window = window


def dense_matrices(c):
    """What sentence-transformers puts behind the mean: 2_Dense and 3_Dense."""
    rng = np.random.default_rng(SEED + 1)
    wide = 3 * c.hidden_size
    return [(rng.standard_normal((a, b)) / b ** 0.5).astype(np.float32)
            for a, b in ((wide, c.hidden_size), (c.hidden_size, wide))]


def glm4(w, c):
    write_decoder(w, c, GLM4, n_rot=int(c.head_dim * c.rope_parameters["partial_rotary_factor"]))


def chatglm(w, c):
    write_decoder(w, c, PLAIN, fused=True,
                  n_rot=int(c.head_dim * c.rope_parameters["partial_rotary_factor"]))


def smollm3(w, c):
    write_decoder(w, c, PLAIN, permute=True)


def gpt_oss(w, c):
    w.u32(expert_count=c.num_local_experts, expert_used_count=c.num_experts_per_tok,
          expert_feed_forward_length=c.intermediate_size)
    for i in range(c.num_hidden_layers):
        src, dst = "model.layers.%d." % i, "blk.%d." % i
        w.take(dst + "attn_sinks.weight", src + "self_attn.sinks")
        w.take(dst + "ffn_gate_inp.weight", src + "mlp.router.weight")
        w.take(dst + "ffn_gate_inp.bias", src + "mlp.router.bias")
        # Input-major, gate and up column by column in turn.
        both = w.state.pop(src + "mlp.experts.gate_up_proj").swapaxes(1, 2)
        w.put(dst + "ffn_gate_exps.weight", both[:, ::2])
        w.put(dst + "ffn_up_exps.weight", both[:, 1::2])
        bias = w.state.pop(src + "mlp.experts.gate_up_proj_bias")
        w.put(dst + "ffn_gate_exps.bias", bias[:, ::2])
        w.put(dst + "ffn_up_exps.bias", bias[:, 1::2])
        w.take(dst + "ffn_down_exps.weight", src + "mlp.experts.down_proj", lambda x: x.swapaxes(1, 2))
        w.take(dst + "ffn_down_exps.bias", src + "mlp.experts.down_proj_bias")
    write_decoder(w, c, {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm"})


def glm4moe(w, c):
    w.u32(expert_count=c.n_routed_experts, expert_used_count=c.num_experts_per_tok,
          expert_feed_forward_length=c.moe_intermediate_size, expert_shared_count=c.n_shared_experts,
          leading_dense_block_count=c.first_k_dense_replace, expert_gating_func=2,
          expert_group_count=c.n_group, expert_group_used_count=c.topk_group)
    w.f32(expert_weights_scale=c.routed_scaling_factor)
    w.w.add_bool(w.arch + ".expert_weights_norm", c.norm_topk_prob)
    for i in range(c.num_hidden_layers):
        src, dst = "model.layers.%d.mlp." % i, "blk.%d." % i
        w.take(dst + "exp_probs_b.bias", src + "gate.e_score_correction_bias")
        for part in ("gate", "up", "down"):
            w.take(dst + "ffn_%s_shexp.weight" % part, src + "shared_experts.%s_proj.weight" % part)
    write_decoder(w, c, {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm"},
                  n_rot=int(c.head_dim * c.rope_parameters["partial_rotary_factor"]))


def deepseek2(w, c):
    """Multi-head latent attention; of the name's models v2 in the early form of the file, with attn_kv_b whole."""
    early = isinstance(c, tf.DeepseekV2Config)
    plain, rot, value, latent = c.qk_nope_head_dim, c.qk_rope_head_dim, c.v_head_dim, c.kv_lora_rank
    heads, p = c.num_attention_heads, c.rope_parameters
    w.u32(block_count=c.num_hidden_layers, embedding_length=c.hidden_size, context_length=c.max_position_embeddings,
          feed_forward_length=c.intermediate_size, vocab_size=c.vocab_size, attention__head_count=heads,
          attention__head_count_kv=heads if early else 1, attention__kv_lora_rank=latent,
          attention__key_length=plain + rot if early else latent + rot,
          attention__value_length=value if early else latent, expert_count=c.n_routed_experts,
          expert_used_count=c.num_experts_per_tok, expert_feed_forward_length=c.moe_intermediate_size,
          expert_shared_count=c.n_shared_experts, expert_group_count=c.n_group, expert_group_used_count=c.topk_group,
          leading_dense_block_count=1)
    if not early:
        w.u32(attention__key_length_mla=plain + rot, attention__value_length_mla=value, expert_gating_func=2)
        w.w.add_bool(w.arch + ".expert_weights_norm", c.norm_topk_prob)
    if c.q_lora_rank:
        w.u32(attention__q_lora_rank=c.q_lora_rank)
    w.f32(attention__layer_norm_rms_epsilon=c.rms_norm_eps, expert_weights_scale=c.routed_scaling_factor)
    write_rope(w, c, rot)
    if p.get("mscale_all_dim"):
        w.f32(rope__scaling__yarn_log_multiplier=0.1 * p["mscale_all_dim"])
    w.take("token_embd.weight", "model.embed_tokens.weight")
    w.take("output_norm.weight", "model.norm.weight")
    w.take("output.weight", "lm_head.weight")
    for i in range(c.num_hidden_layers):
        src, dst = "model.layers.%d." % i, "blk.%d." % i
        for theirs, ours in {**PLAIN, "self_attn.q_proj": "attn_q", "self_attn.q_a_proj": "attn_q_a",
                             "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
                             "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
                             "self_attn.o_proj": "attn_output"}.items():
            w.take(dst + ours + ".weight", src + theirs + ".weight")
        if early:
            w.take(dst + "attn_kv_b.weight", src + "self_attn.kv_b_proj.weight")
        else:
            both = w.state.pop(src + "self_attn.kv_b_proj.weight").reshape(heads, plain + value, latent)
            w.put(dst + "attn_k_b.weight", both[:, :plain].swapaxes(1, 2))
            w.put(dst + "attn_v_b.weight", both[:, plain:])
        w.take(dst + "exp_probs_b.bias", src + "mlp.gate.e_score_correction_bias")
        for part in ("gate", "up", "down"):
            w.take(dst + "ffn_%s_shexp.weight" % part, src + "mlp.shared_experts.%s_proj.weight" % part)
        write_mlp(w, i, c)


def tiled(x, c, width, axis=0):
    """Heads of values from "those of key head 0, of 1, ..." to "the first of each key head, the second ..."."""
    n, each = c.linear_num_key_heads, c.linear_num_value_heads // c.linear_num_key_heads
    parts = x.shape[:axis] + (n, each, width) + x.shape[axis + 1:]
    return x.reshape(parts).swapaxes(axis, axis + 1).reshape(x.shape)


def delta(w, c):
    """What all with a gated delta rule have."""
    wide = c.linear_value_head_dim
    w.u32(ssm__conv_kernel=c.linear_conv_kernel_dim, ssm__state_size=c.linear_key_head_dim,
          ssm__group_count=c.linear_num_key_heads, ssm__time_step_rank=c.linear_num_value_heads,
          ssm__inner_size=wide * c.linear_num_value_heads,
          full_attention_interval=c.layer_types.index("full_attention") + 1)
    if hasattr(c, "num_experts"):
        w.u32(expert_count=c.num_experts, expert_used_count=c.num_experts_per_tok,
              expert_feed_forward_length=c.moe_intermediate_size,
              expert_shared_feed_forward_length=c.shared_expert_intermediate_size)
        c.intermediate_size = c.moe_intermediate_size
    for i in range(c.num_hidden_layers):
        w.take("blk.%d.ssm_norm.weight" % i, "model.layers.%d.linear_attn.norm.weight" % i)
    return c.linear_num_key_heads * c.linear_key_head_dim, wide


def qwen35(w, c):
    keys, wide = delta(w, c)
    w.w.add_array(w.arch + ".rope.dimension_sections", list(c.rope_parameters["mrope_section"]) + [0])
    if hasattr(c, "num_experts"):
        w.n_ahead = 1  # left alone by who loads it
        w.u32(nextn_predict_layers=1)
        w.put("blk.%d.nextn.eh_proj.weight" % c.num_hidden_layers, np.zeros((c.hidden_size, 2 * c.hidden_size)))
    for i in range(c.num_hidden_layers):
        src, dst = "model.layers.%d.linear_attn." % i, "blk.%d." % i
        values = lambda x: tiled(x, c, wide)
        w.take(dst + "attn_qkv.weight", src + "in_proj_qkv.weight",
               lambda x: np.concatenate([x[:2 * keys], values(x[2 * keys:])]))
        w.take(dst + "attn_gate.weight", src + "in_proj_z.weight", values)
        for theirs, ours in (("in_proj_a.weight", "ssm_alpha.weight"), ("in_proj_b.weight", "ssm_beta.weight"),
                             ("dt_bias", "ssm_dt.bias")):
            w.take(dst + ours, src + theirs, lambda x: tiled(x, c, 1))
        w.take(dst + "ssm_a", src + "A_log", lambda x: -np.exp(tiled(x, c, 1)))
        w.take(dst + "ssm_conv1d.weight", src + "conv1d.weight",
               lambda x: np.concatenate([x[:2 * keys], values(x[2 * keys:])])[:, 0])
        w.take(dst + "ssm_out.weight", src + "out_proj.weight", lambda x: tiled(x, c, wide, 1))
    write_decoder(w, c, {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm"},
                  n_rot=int(c.head_dim * c.rope_parameters["partial_rotary_factor"]))


def qwen3next(w, c):
    keys, wide = delta(w, c)
    n, each = c.linear_num_key_heads, c.linear_num_value_heads // c.linear_num_key_heads
    sizes = np.cumsum([c.linear_key_head_dim, c.linear_key_head_dim, each * wide])
    for i in range(c.num_hidden_layers):
        src, dst = "model.layers.%d.linear_attn." % i, "blk.%d." % i
        mixed = w.state.pop(src + "in_proj_qkvz.weight", None)
        if mixed is None:
            continue
        # By heads of keys: its queries, keys, values, gates.
        parts = [p.reshape(-1, c.hidden_size) for p in np.split(mixed.reshape(n, -1, c.hidden_size), sizes, axis=1)]
        w.put(dst + "attn_qkv.weight", np.concatenate(parts[:3]))
        w.put(dst + "attn_gate.weight", parts[3])
        w.take(dst + "ssm_ba.weight", src + "in_proj_ba.weight")
        w.take(dst + "ssm_dt.bias", src + "dt_bias")
        w.take(dst + "ssm_a", src + "A_log", lambda x: -np.exp(x))
        w.take(dst + "ssm_conv1d.weight", src + "conv1d.weight", lambda x: x[:, 0])
        w.take(dst + "ssm_out.weight", src + "out_proj.weight")
    write_decoder(w, c, {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm"},
                  n_rot=int(c.head_dim * c.rope_parameters["partial_rotary_factor"]))


def lfm2(w, c):
    width = write_common(w, c, [c.num_key_value_heads * (t == "full_attention") for t in c.layer_types])
    write_rope(w, c, width)
    w.f32(attention__layer_norm_rms_epsilon=c.norm_eps)
    w.u32(shortconv__l_cache=c.conv_L_cache)
    w.take("token_embd.weight", "model.embed_tokens.weight")
    w.take("token_embd_norm.weight", "model.embedding_norm.weight")
    w.state.pop("lm_head.weight", None)
    for i in range(c.num_hidden_layers):
        src, dst = "model.layers.%d." % i, "blk.%d." % i
        for theirs, ours in (("operator_norm", "attn_norm"), ("ffn_norm", "ffn_norm"), ("conv.in_proj", "shortconv.in_proj"),
                             ("conv.out_proj", "shortconv.out_proj"), ("self_attn.q_proj", "attn_q"),
                             ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
                             ("self_attn.out_proj", "attn_output"), ("self_attn.q_layernorm", "attn_q_norm"),
                             ("self_attn.k_layernorm", "attn_k_norm"), ("feed_forward.w1", "ffn_gate"),
                             ("feed_forward.w3", "ffn_up"), ("feed_forward.w2", "ffn_down")):
            w.take(dst + ours + ".weight", src + theirs + ".weight")
        w.take(dst + "shortconv.conv.weight", src + "conv.conv.weight", lambda x: x[:, 0])


def bert(w, c, prefix=""):
    write_common(w, c)
    w.f32(attention__layer_norm_epsilon=c.layer_norm_eps)
    w.w.add_bool(w.arch + ".attention.causal", False)
    drop = 2 if "XLM" in type(c).__name__ else 0
    if drop:
        w.u32(context_length=c.max_position_embeddings - drop)
    w.take("token_embd.weight", "embeddings.word_embeddings.weight")
    w.take("position_embd.weight", "embeddings.position_embeddings.weight", lambda x: x[drop:])
    w.take("token_types.weight", "embeddings.token_type_embeddings.weight")
    for kind in ("weight", "bias"):
        w.take("token_embd_norm." + kind, "embeddings.LayerNorm." + kind)
        for i in range(c.num_hidden_layers):
            src, dst = "encoder.layer.%d." % i, "blk.%d." % i
            for theirs, ours in (("query", "q"), ("key", "k"), ("value", "v")):
                w.take(dst + "attn_%s.%s" % (ours, kind), src + "attention.self.%s.%s" % (theirs, kind))
            w.take(dst + "attn_output." + kind, src + "attention.output.dense." + kind)
            w.take(dst + "attn_output_norm." + kind, src + "attention.output.LayerNorm." + kind)
            w.take(dst + "ffn_up." + kind, src + "intermediate.dense." + kind)
            w.take(dst + "ffn_down." + kind, src + "output.dense." + kind)
            w.take(dst + "layer_output_norm." + kind, src + "output.LayerNorm." + kind)


def bert_mean(w, c):
    w.u32(pooling_type=1)
    bert(w, c)


def bert_cls(w, c):
    w.u32(pooling_type=2)
    bert(w, c)


def ranker(w, c):
    w.u32(pooling_type=4)
    for kind in ("weight", "bias"):
        w.take("cls." + kind, "classifier.dense." + kind)
        w.take("cls.output." + kind, "classifier.out_proj." + kind)
    w.state = {k.removeprefix("roberta."): v for k, v in w.state.items()}
    bert(w, c)


def nomic(w, c):
    write_common(w, c)
    write_rope(w, c, c.hidden_size // c.num_attention_heads)
    w.f32(attention__layer_norm_epsilon=c.layer_norm_eps)
    w.u32(pooling_type=1)
    w.take("token_embd.weight", "embeddings.word_embeddings.weight")
    w.take("token_types.weight", "embeddings.token_type_embeddings.weight")
    for kind in ("weight", "bias"):
        w.take("token_embd_norm." + kind, "embeddings.LayerNorm." + kind)
    for i in range(c.num_hidden_layers):
        write_attention(w, i, c, fused=True, prefix="layers.%d.self_attn.")
        for theirs, ours in (("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
                             ("mlp.down_proj", "ffn_down"),
                             ("post_attention_layernorm", "attn_output_norm"),
                             ("post_mlp_layernorm", "layer_output_norm")):
            for kind in ("weight", "bias"):
                w.take("blk.%d.%s.%s" % (i, ours, kind), "layers.%d.%s.%s" % (i, theirs, kind))


def rope(kind="default", **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


ENCODER = {k: v for k, v in BASE.items() if k != "num_key_value_heads"}
LONG_BASE = {**BASE, "max_position_embeddings": 2048}
MOE = {"num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 24}
QWEN35 = {**BASE, "num_hidden_layers": 4, "max_position_embeddings": 256, "head_dim": 16, "linear_num_key_heads": 2,
          "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
          "layer_types": 3 * ["linear_attention"] + ["full_attention"],
          **rope(partial_rotary_factor=0.5, mrope_section=[2, 1, 1], mrope_interleaved=True)}
GEMMA4 = {**{k: v for k, v in LONG_BASE.items() if k != "num_hidden_layers"}, "head_dim": 16, "global_head_dim": 32,
          "sliding_window": 100, "final_logit_softcapping": 4.0, "vocab_size_per_layer_input": VOCAB, "rope_parameters": {
              "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0},
              "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}}
# name: (arch, configuration, model class, writer, number of positions)
ARCHS = {
    "llama-llama3": ("llama", lambda: tf.LlamaConfig(**LONG_BASE, **rope(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=256)), tf.LlamaForCausalLM, llama, LONG),
    "llama-linear": ("llama", lambda: tf.LlamaConfig(**LONG_BASE, attention_bias=True, **rope(
        "linear", factor=4.0)), tf.LlamaForCausalLM, llama, LONG),
    "llama-yarn": ("llama", lambda: tf.LlamaConfig(**LONG_BASE, **rope(
        "yarn", factor=4.0, original_max_position_embeddings=512)), tf.LlamaForCausalLM, llama, LONG),
    "mistral": ("llama", lambda: tf.MistralConfig(**LONG_BASE, sliding_window=100),
                tf.MistralForCausalLM, llama, LONG),
    "mixtral": ("llama", lambda: tf.MixtralConfig(**BASE, num_local_experts=4, num_experts_per_tok=2),
                tf.MixtralForCausalLM, experts, CONTEXT),
    "qwen2": ("qwen2", lambda: tf.Qwen2Config(**BASE, tie_word_embeddings=True),
              tf.Qwen2ForCausalLM, plain, CONTEXT),
    "qwen2moe": ("qwen2moe", lambda: tf.Qwen2MoeConfig(
        **BASE, **MOE, shared_expert_intermediate_size=40, norm_topk_prob=False),
        tf.Qwen2MoeForCausalLM, experts, CONTEXT),
    "qwen3": ("qwen3", lambda: tf.Qwen3Config(**BASE, head_dim=16), tf.Qwen3ForCausalLM, plain, CONTEXT),
    "qwen3moe": ("qwen3moe", lambda: tf.Qwen3MoeConfig(**BASE, **MOE, head_dim=16, norm_topk_prob=True),
                 tf.Qwen3MoeForCausalLM, experts, CONTEXT),
    "gemma2": ("gemma2", lambda: tf.Gemma2Config(
        **LONG_BASE, head_dim=16, query_pre_attn_scalar=16, sliding_window=100,
        attn_logit_softcapping=5.0, final_logit_softcapping=4.0), tf.Gemma2ForCausalLM, gemma2, LONG),
    "gemma3": ("gemma3", lambda: tf.Gemma3TextConfig(
        **{**LONG_BASE, "num_hidden_layers": 7}, head_dim=16, query_pre_attn_scalar=16,
        sliding_window=100, rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
        tf.Gemma3ForCausalLM, gemma3, LONG),
    "gemma4": ("gemma4", lambda: tf.Gemma4TextConfig(
        **GEMMA4, num_hidden_layers=5, hidden_size_per_layer_input=8, num_kv_shared_layers=2, use_double_wide_mlp=True,
        layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention"]),
        tf.Gemma4ForCausalLM, gemma4, LONG),
    "gemma4-moe": ("gemma4", lambda: tf.Gemma4TextConfig(
        **GEMMA4, num_hidden_layers=3, hidden_size_per_layer_input=0, attention_k_eq_v=True, num_global_key_value_heads=1,
        enable_moe_block=True, num_experts=6, top_k_experts=3, moe_intermediate_size=24,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"]),
        tf.Gemma4ForCausalLM, gemma4, LONG),
    "glm4": ("glm4", lambda: tf.Glm4Config(**BASE, head_dim=16, attention_bias=True, **rope(
        partial_rotary_factor=0.5)), tf.Glm4ForCausalLM, glm4, CONTEXT),
    "chatglm": ("chatglm", lambda: tf.GlmConfig(**BASE, head_dim=16, attention_bias=True, **rope(
        partial_rotary_factor=0.5)), tf.GlmForCausalLM, chatglm, CONTEXT),
    "phi3": ("phi3", lambda: tf.Phi3Config(**BASE, sliding_window=20), tf.Phi3ForCausalLM, plain, CONTEXT),
    "phi3-longrope": ("phi3", lambda: tf.Phi3Config(
        **LONG_BASE, original_max_position_embeddings=512, **rope(
            "longrope", long_factor=[1.0, 1.5, 2.5, 6.0], short_factor=[1.0, 1.1, 1.2, 1.3],
            original_max_position_embeddings=512)), tf.Phi3ForCausalLM, plain, LONG),
    "smollm3": ("smollm3", lambda: tf.SmolLM3Config(**{**BASE, "num_hidden_layers": 5}),
                tf.SmolLM3ForCausalLM, smollm3, CONTEXT),
    "gpt-oss": ("gpt-oss", lambda: tf.GptOssConfig(
        **LONG_BASE, head_dim=16, sliding_window=100, num_local_experts=4, num_experts_per_tok=2, **rope(
            "yarn", factor=8.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
            original_max_position_embeddings=256)), tf.GptOssForCausalLM, gpt_oss, LONG),
    "glm4moe": ("glm4moe", lambda: tf.Glm4MoeConfig(
        **BASE, head_dim=16, attention_bias=True, use_qk_norm=True, first_k_dense_replace=1,
        n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=3, moe_intermediate_size=24,
        n_group=1, topk_group=1, norm_topk_prob=True, routed_scaling_factor=1.5, **rope(
            partial_rotary_factor=0.5)), tf.Glm4MoeForCausalLM, glm4moe, CONTEXT),
    "deepseek-v2": ("deepseek2", lambda: tf.DeepseekV2Config(
        **{**BASE, "num_key_value_heads": HEADS}, q_lora_rank=None, kv_lora_rank=20, qk_nope_head_dim=12,
        qk_rope_head_dim=8, v_head_dim=10, first_k_dense_replace=1, n_routed_experts=8, n_shared_experts=2,
        num_experts_per_tok=3, moe_intermediate_size=24, topk_method="group_limited_greedy", n_group=4, topk_group=2,
        routed_scaling_factor=1.5, **rope()), tf.DeepseekV2ForCausalLM, deepseek2, 150),
    "deepseek-v3": ("deepseek2", lambda: tf.DeepseekV3Config(
        **{**LONG_BASE, "num_key_value_heads": HEADS}, q_lora_rank=28, kv_lora_rank=24, qk_nope_head_dim=16,
        qk_rope_head_dim=8, v_head_dim=16, first_k_dense_replace=1, n_routed_experts=8, n_shared_experts=1,
        num_experts_per_tok=3, moe_intermediate_size=24, n_group=4, topk_group=2, **rope(
            "yarn", factor=8.0, beta_fast=32.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0,
            original_max_position_embeddings=256)), tf.DeepseekV3ForCausalLM, deepseek2, LONG),
    # Of widths that hold whole blocks of quantized weights. transformers' norms of low ranks have an epsilon of 1e-6
    # whatever the configuration says; the format has one for all.
    "glm4-moe-lite": ("deepseek2", lambda: tf.Glm4MoeLiteConfig(
        **{**BASE, "num_key_value_heads": HEADS}, rms_norm_eps=1e-6, q_lora_rank=32, kv_lora_rank=64, qk_nope_head_dim=32,
        qk_rope_head_dim=8, v_head_dim=32, n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=3,
        moe_intermediate_size=32, n_group=1, topk_group=1, routed_scaling_factor=1.8, **rope()),
        tf.Glm4MoeLiteForCausalLM, deepseek2, 150),
    "qwen35": ("qwen35", lambda: tf.Qwen3_5TextConfig(**QWEN35), tf.Qwen3_5ForCausalLM, qwen35, 200),
    "qwen35moe": ("qwen35moe", lambda: tf.Qwen3_5MoeTextConfig(
        **QWEN35, **{**MOE, "num_experts": 4, "num_experts_per_tok": 2}, shared_expert_intermediate_size=40), tf.Qwen3_5MoeForCausalLM, qwen35, 100),
    "qwen3next": ("qwen3next", lambda: tf.Qwen3NextConfig(
        **{**QWEN35, **rope(partial_rotary_factor=0.5)}, **{**MOE, "num_experts": 4, "num_experts_per_tok": 2},
        shared_expert_intermediate_size=40), tf.Qwen3NextForCausalLM, qwen3next, 200),
    "lfm2": ("lfm2", lambda: tf.Lfm2Config(
        **{**BASE, "num_hidden_layers": 4, "max_position_embeddings": 256}, block_auto_adjust_ff_dim=False,
        layer_types=["conv", "conv", "full_attention", "conv"], **rope()), tf.Lfm2ForCausalLM, lfm2, 150),
    "gemma-embedding": ("gemma-embedding", lambda: tf.Gemma3TextConfig(
        **{**LONG_BASE, "num_hidden_layers": 7}, head_dim=16, query_pre_attn_scalar=16,
        sliding_window=100, use_bidirectional_attention=True, rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 1000000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
        tf.Gemma3TextModel, gemma_embedding, 0),
    "bert": ("bert", lambda: tf.BertConfig(**ENCODER), tf.BertModel, bert_mean, 0),
    "xlm-roberta": ("bert", lambda: tf.XLMRobertaConfig(
        **{**ENCODER, "max_position_embeddings": CONTEXT + 2, "type_vocab_size": 1, "pad_token_id": 1,
           "bos_token_id": 0}), tf.XLMRobertaModel, bert_cls, 0),
    "ranker": ("bert", lambda: tf.XLMRobertaConfig(
        **{**ENCODER, "max_position_embeddings": CONTEXT + 2, "type_vocab_size": 1, "pad_token_id": 1,
           "bos_token_id": 0}, num_labels=1), tf.XLMRobertaForSequenceClassification, ranker, 0),
    "nomic-bert": ("nomic-bert", lambda: tf.NomicBertConfig(
        **ENCODER, type_vocab_size=2),
        tf.NomicBertModel, nomic, 0),
}


def run_decoder(model, n, name, folder):
    rng = np.random.default_rng(SEED)
    tokens = rng.integers(3, VOCAB, n).astype(np.int32)
    logits = model(torch.tensor(tokens[None]).long()).logits[0].float().numpy()
    rows = np.arange(n) if n <= CONTEXT else np.unique(
        np.concatenate([np.arange(0, n, 25), np.arange(n - 8, n)]))
    np.save(os.path.join(folder, name + "-tokens.npy"), tokens)
    np.save(os.path.join(folder, name + "-rows.npy"), rows.astype(np.int32))
    np.save(os.path.join(folder, name + "-logits.npy"), logits[rows].astype(np.float32))


def run_encoder(model, name, folder):
    rng = np.random.default_rng(SEED)
    starts, tokens, vectors = [0], [], []
    for n in (1, 2, 7, 33, LONG if model.config.max_position_embeddings > LONG else CONTEXT):
        ids = rng.integers(3, VOCAB, n).astype(np.int32)
        out = model(torch.tensor(ids[None]).long())
        if name == "ranker":
            vector = out.logits[0]
        elif name == "xlm-roberta":
            vector = torch.nn.functional.normalize(out.last_hidden_state[0, 0], dim=0)
        else:
            vector = out.last_hidden_state[0].mean(0)
            for matrix in dense_matrices(model.config) if name == "gemma-embedding" else ():
                vector = torch.from_numpy(matrix) @ vector
            vector = torch.nn.functional.normalize(vector, dim=0)
        tokens.extend(ids)
        starts.append(len(tokens))
        vectors.append(vector.float().numpy())
    np.save(os.path.join(folder, name + "-tokens.npy"), np.array(tokens, np.int32))
    np.save(os.path.join(folder, name + "-starts.npy"), np.array(starts, np.int32))
    np.save(os.path.join(folder, name + "-vectors.npy"), np.array(vectors, np.float32))


def main():
    args, hub = sys.argv[1:], None
    if args[:1] == ["--hub"]:
        hub, args = args[1], args[2:]
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "arch")
    os.makedirs(folder, exist_ok=True)
    for name in args or ARCHS:
        arch, config, cls, write, n = ARCHS[name]
        torch.manual_seed(SEED)
        c = config()
        model = cls(c).float().eval()
        randomize(model)
        if n:
            run_decoder(model, n, name, folder)
        else:
            run_encoder(model, name, folder)
        if hub:
            model.save_pretrained(os.path.join(hub, name))
        w = Writer(os.path.join(folder, name + ".gguf"), arch, model)
        write(w, c)
        w.close()
        print(name, os.path.getsize(os.path.join(folder, name + ".gguf")))


if __name__ == "__main__":
    main()
