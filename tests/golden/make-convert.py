#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes data/convert/: tiny random models of every architecture that `convert` knows, as folders of
a hub have them, with logits of `transformers` in float32 and token ids of `tokenizers`.

Run: make-convert.py [OUT] [NAME...]. Needs torch (CPU), transformers and tokenizers; the committed
results are of transformers 5.23.0, tokenizers 0.23.3, torch 2.15.0.

A folder NAME holds config.json, model.safetensors (bfloat16; the truth is that file loaded as
float32), logits.npy (float32, the rows that POSITIONS gives) and `tokenizer`, the name of the file
in tokenizers/ that belongs to it. Input ids: 3 + (7 i^2 + 13 i) mod 300 for i < n; n is the last
position + 1. Encoders hold embedding.npy of the text TEXT instead. Beside each tokenizer stand
samples: the text in hexadecimal, a tab, its ids."""
import json
import os
import shutil
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import *  # noqa: F403 (two dozen model and configuration classes)
# After it: transformers has a `models` of its own.
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

torch.set_grad_enabled(False)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "data", "convert")
ONLY = sys.argv[2:]
VOCAB = 384
TEXT = "The fire in the hearth is warm, and 12 cats sleep."
CORPUS = [
    "The inglenook is the corner by the fire where people sit and talk. It is warm there in winter, "
    "and the cats know it. Nobody hurries; the kettle sings, the wind is outside.",
    "A model of language, however small, tells one token after another: 1, 22, 333, 4444 and so on.",
    "炉边的火光照亮了房间。你好，世界！ naïve café, we'll see, I've been there, don't!",
    "def main(argc, argv):\n    return 0  # nothing\n",
] * 8
SAMPLES = [
    "Hello, the fire 12345 you've 你好", "  two  spaces\n\n\nnew\tlines ", "naïve café — “quotes” 1.5% 炉边",
    "x" * 40, "emoji 😀👩‍🚀 DON'T I'll", " leading", "", "def f(x):\r\n\treturn x**2",
]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = (QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]"))
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


# DeepSeek-V3 cuts in three steps.
DEEPSEEK3 = (r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
             r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
             r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(*patterns, digits=False, specials=("<s>", "</s>", "<|im_end|>")):
    t = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not patterns)
    parts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    parts += [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    t.pre_tokenizer = pre_tokenizers.Sequence(parts + [level]) if parts else level
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=VOCAB - len(specials), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    t.add_special_tokens([AddedToken(s, special=True) for s in specials])
    return t


def byte_fallback(prefix, lines=False):
    t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    steps = ([normalizers.Prepend("▁")] if prefix else []) + [normalizers.Replace(" ", "▁")]
    t.normalizer = normalizers.Sequence(steps)
    # In Gemma 4's merges line ends stay by themselves.
    cuts = [pre_tokenizers.Split(Regex(r"\n+"), "isolated")] if lines else []
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split("▁", "merged_with_next")] + cuts)
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=VOCAB, limit_alphabet=60, show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]))
    t.pre_tokenizer = None
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    d = json.loads(t.to_str())
    d["added_tokens"] = [a for a in d["added_tokens"] if a["id"] < 3]
    return Tokenizer.from_str(json.dumps(d))


def wordpiece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(
        vocab_size=VOCAB, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False))
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return t


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t.train_from_iterator(CORPUS, trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>",
        show_progress=False))
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return t


TOKENIZERS = {
    "llama-3": lambda: byte_level(LLAMA3), "qwen2": lambda: byte_level(QWEN2),
    "qwen35": lambda: byte_level(QWEN35),
    "deepseek-v3": lambda: byte_level(*DEEPSEEK3),
    "gpt-4o": lambda: byte_level(GPT4O), "gpt-2": byte_level,
    "smollm": lambda: byte_level(digits=True), "spm": lambda: byte_fallback(True),
    "gemma": lambda: byte_fallback(False), "gemma4": lambda: byte_fallback(False, lines=True), "bert": wordpiece, "xlm-roberta": unigram,
}
COMMON = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
              num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048,
              bos_token_id=1, eos_token_id=2, attn_implementation="eager")
SHORT = [0, 1, 7, 15, 31, 39]
DELTA = [0, 1, 2, 7, 63, 64, 130, 199]
LONG = [0, 20, 100, 300, 600, 900, 1050, 1099]


def randomize(model):
    g = torch.Generator().manual_seed(20260401)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        if p.dim() > 1:
            p.copy_(noise * p.shape[-1] ** -0.5 * 1.5)
        elif "norm" in name.lower() and name.endswith("weight"):
            p.copy_(p + noise * 0.2)
            if "Gemma4" in type(model).__name__ and name.endswith(("q_norm.weight", "k_norm.weight")):
                p.mul_(0.4)  # in front of scores without a scale they are small, as published
        else:
            p.copy_(noise * 0.1)
    for name, p in model.named_buffers():
        if name.endswith(("expert_bias", "e_score_correction_bias")):
            p.copy_(torch.randn(p.shape, generator=g) * 0.1)
        elif name.endswith("layer_scalar"):
            p.copy_(torch.randn(p.shape, generator=g) * 0.2 + 1)


def save(name, config, model, tokenizer):
    folder = os.path.join(OUT, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    m = model(config).eval()
    randomize(m)
    m.to(torch.bfloat16).save_pretrained(folder)
    for extra in ("generation_config.json",):
        if os.path.exists(os.path.join(folder, extra)):
            os.remove(os.path.join(folder, extra))
    with open(os.path.join(folder, "tokenizer"), "w") as f:
        f.write(tokenizer)
    return folder, model.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def decoder(name, config, model, tokenizer, positions=SHORT, **options):
    if ONLY and name not in ONLY:
        return
    folder, m = save(name, config(**{**COMMON, **options}), model, tokenizer)
    if name == "gpt-oss":
        save_mxfp4(folder, m)
    if name == "gemma4":
        save_beside_vision(folder, options)
    ids = [3 + (7 * i * i + 13 * i) % 300 for i in range(positions[-1] + 1)]
    logits = m(torch.tensor([ids])).logits[0, positions].numpy().astype("<f4")
    np.save(os.path.join(folder, "logits.npy"), logits)
    with open(os.path.join(folder, "positions"), "w") as f:
        f.write(" ".join(map(str, positions)) + "\n")
    print(name, logits.shape, float(np.abs(logits).mean()))


def save_mxfp4(folder, m):
    """gpt-oss as published: experts in blocks of 32 codes, neighbours in a byte, the low half first, and scales. The model
    @m gets what they stand for."""
    from safetensors.torch import load_file
    values = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6])
    path = os.path.join(folder, "model.safetensors")
    tensors, g = load_file(path), torch.Generator().manual_seed(32)
    for name in [k for k in tensors if k.endswith(("gate_up_proj", "down_proj"))]:
        n_experts, n_in, n_out = tensors.pop(name).shape
        codes = torch.randint(0, 16, (n_experts, n_out, n_in // 32, 32), generator=g)
        scales = torch.randint(122, 126, (n_experts, n_out, n_in // 32), generator=g)
        tensors[name + "_blocks"] = (codes[..., 0::2] | codes[..., 1::2] << 4).to(torch.uint8)
        tensors[name + "_scales"] = scales.to(torch.uint8)
        dense = values[codes] * torch.exp2(scales - 127.0)[..., None]
        m.get_parameter(name).copy_(dense.reshape(n_experts, n_out, n_in).transpose(1, 2))
    save_file(tensors, path)
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    config["quantization_config"] = {"quant_method": "mxfp4"}
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f, indent=1)


def save_beside_vision(folder, options):
    """Gemma 4 as published: the text part of a model that sees, the heads of some layers under names of their own, keys of
    layers that do not use them."""
    from safetensors.torch import load_file
    path = os.path.join(folder, "model.safetensors")
    tensors = {k.replace("model.", "model.language_model."): v for k, v in load_file(path).items()}
    tensors["model.vision_tower.patch_embedder.input_proj.weight"] = torch.zeros((4, 4), dtype=torch.bfloat16)
    last = "model.language_model.layers.%d.self_attn." % (options["num_hidden_layers"] - 1)
    tensors[last + "k_proj.weight"] = torch.zeros((64, 32), dtype=torch.bfloat16)
    tensors[last + "k_norm.weight"] = torch.zeros(32, dtype=torch.bfloat16)
    save_file(tensors, path)
    with open(os.path.join(folder, "config.json")) as f:
        text = json.load(f)
    del text["per_layer_config"], text["architectures"]
    text["global_head_dim"] = options["global_head_dim"]
    text["num_global_key_value_heads"] = None
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"architectures": ["Gemma4ForConditionalGeneration"], "model_type": "gemma4", "text_config": text,
                   "vision_config": {"model_type": "gemma4_vision"}, "tie_word_embeddings": True}, f, indent=1)


def save_dense(folder, number, n_in, n_out):
    """A module of sentence-transformers behind the pooling."""
    folder = os.path.join(folder, "%d_Dense" % number)
    os.makedirs(folder)
    matrix = torch.randn((n_out, n_in), generator=torch.Generator().manual_seed(number)) / n_in ** 0.5
    matrix = matrix.bfloat16().float()  # `convert` writes what most of the model is stored in
    save_file({"linear.weight": matrix}, os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"in_features": n_in, "out_features": n_out, "bias": False,
                   "activation_function": "torch.nn.modules.linear.Identity"}, f)
    return matrix


def encoder(name, config, model, tokenizer, t, pooling, prefix="", dense=(), **options):
    if ONLY and name not in ONLY:
        return
    left_out = ("num_key_value_heads", "bos_token_id", "eos_token_id", "max_position_embeddings")
    options = {**{k: v for k, v in COMMON.items() if k not in left_out}, **options}
    options.setdefault("max_position_embeddings", 130)
    folder, m = save(name, config(**options), model, tokenizer)
    h = m(input_ids=torch.tensor([t.encode(prefix + TEXT).ids])).last_hidden_state[0]
    e = h[0] if pooling == "cls_token" else h.mean(0)
    for number, (n_in, n_out) in enumerate(dense, 2):
        e = save_dense(folder, number, n_in, n_out) @ e
    np.save(os.path.join(folder, "embedding.npy"), (e / e.norm()).numpy().astype("<f4"))
    os.makedirs(os.path.join(folder, "1_Pooling"))
    with open(os.path.join(folder, "1_Pooling", "config.json"), "w") as f:
        json.dump({"pooling_mode_" + pooling: True}, f)
    print(name, len(t.encode(TEXT).ids), "tokens")


def main():
    os.makedirs(os.path.join(OUT, "tokenizers"), exist_ok=True)
    made = {}
    for name, make in TOKENIZERS.items():
        path = os.path.join(OUT, "tokenizers", name + ".json")
        # Training breaks ties by chance: with single NAMEs the tokenizers stay.
        made[name] = t = Tokenizer.from_file(path) if ONLY and os.path.exists(path) else make()
        t.save(path, pretty=False)
        with open(os.path.join(OUT, "tokenizers", name + ".tokens"), "w") as f:
            for s in SAMPLES:
                # Published ones map line ends and tabs to spaces by a table that cannot be made here.
                if name == "xlm-roberta" and any(c in s for c in "\r\n\t"):
                    continue
                ids = t.encode(s, add_special_tokens=False).ids
                f.write(s.encode().hex() + "\t" + " ".join(map(str, ids)) + "\n")
    llama3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
                  high_freq_factor=4.0, original_max_position_embeddings=256)
    yarn = dict(rope_type="yarn", rope_theta=10000.0, factor=8.0, original_max_position_embeddings=256)
    longrope = dict(rope_type="longrope", rope_theta=10000.0,
                    short_factor=[1.0, 1.1, 1.3, 1.6], long_factor=[1.0, 2.0, 4.0, 8.0],
                    original_max_position_embeddings=256)
    experts = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16)
    d = decoder
    d("llama", LlamaConfig, LlamaForCausalLM, "llama-3", LONG, rope_parameters=llama3)
    d("llama-yarn", LlamaConfig, LlamaForCausalLM, "gpt-4o", LONG, rope_parameters=yarn)
    d("llama-bias", LlamaConfig, LlamaForCausalLM, "gpt-2", attention_bias=True, tie_word_embeddings=True)
    d("mistral", MistralConfig, MistralForCausalLM, "spm", LONG, sliding_window=64)
    d("mixtral", MixtralConfig, MixtralForCausalLM, "spm", num_local_experts=4, num_experts_per_tok=2,
      sliding_window=None)
    d("qwen2", Qwen2Config, Qwen2ForCausalLM, "qwen2")
    d("qwen3", Qwen3Config, Qwen3ForCausalLM, "qwen2", head_dim=16)
    d("qwen2moe", Qwen2MoeConfig, Qwen2MoeForCausalLM, "qwen2", shared_expert_intermediate_size=24,
      norm_topk_prob=False, **experts)
    d("qwen3moe", Qwen3MoeConfig, Qwen3MoeForCausalLM, "smollm", head_dim=16, norm_topk_prob=True, **experts)
    # 2 heads of keys and 4 of values of the delta rule: those of values change places.
    delta = dict(num_hidden_layers=4, head_dim=16, linear_num_key_heads=2, linear_num_value_heads=4,
                 linear_key_head_dim=8, linear_value_head_dim=8, pad_token_id=0, rope_parameters=dict(
                     rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5, mrope_section=[2, 1, 1]))
    d("qwen35", Qwen3_5TextConfig, Qwen3_5ForCausalLM, "qwen35", DELTA, **delta)
    d("qwen35moe", Qwen3_5MoeTextConfig, Qwen3_5MoeForCausalLM, "qwen35", DELTA,
      shared_expert_intermediate_size=24, **experts, **delta)
    delta["rope_parameters"] = dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5)
    d("qwen3next", Qwen3NextConfig, Qwen3NextForCausalLM, "qwen2", DELTA, shared_expert_intermediate_size=24,
      norm_topk_prob=True, **experts, **delta)
    d("gpt-oss", GptOssConfig, GptOssForCausalLM, "gpt-4o", LONG, head_dim=16, sliding_window=64, num_local_experts=4,
      num_experts_per_tok=2, intermediate_size=64, pad_token_id=0, rope_parameters=dict(
          rope_type="yarn", rope_theta=10000.0, factor=8.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
          original_max_position_embeddings=256))
    d("lfm2", Lfm2Config, Lfm2ForCausalLM, "llama-3", DELTA, num_hidden_layers=4, pad_token_id=0, block_multiple_of=16,
      layer_types=["conv", "full_attention", "conv", "conv"])
    d("lfm2moe", Lfm2MoeConfig, Lfm2MoeForCausalLM, "llama-3", DELTA, num_hidden_layers=4, pad_token_id=0, num_dense_layers=1,
      layer_types=["conv", "full_attention", "conv", "conv"], **experts)
    d("gemma2", Gemma2Config, Gemma2ForCausalLM, "gemma", LONG, head_dim=16, query_pre_attn_scalar=16,
      sliding_window=64)
    d("gemma3", Gemma3TextConfig, Gemma3ForCausalLM, "gemma", LONG, num_hidden_layers=7, head_dim=16,
      query_pre_attn_scalar=16, sliding_window=64)
    gemma4 = dict(head_dim=16, global_head_dim=32, sliding_window=64, final_logit_softcapping=8.0,
                  vocab_size_per_layer_input=VOCAB, pad_token_id=0)
    # Of the last two layers both use the keys of earlier ones.
    d("gemma4", Gemma4TextConfig, Gemma4ForCausalLM, "gemma4", LONG, num_hidden_layers=5, hidden_size_per_layer_input=16,
      num_kv_shared_layers=2, use_double_wide_mlp=True, layer_types=[
          "sliding_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention"], **gemma4)
    d("gemma4-moe", Gemma4TextConfig, Gemma4ForCausalLM, "gemma4", LONG, num_hidden_layers=3, hidden_size_per_layer_input=0,
      attention_k_eq_v=True, num_global_key_value_heads=1, enable_moe_block=True, num_experts=4, top_k_experts=2,
      moe_intermediate_size=32, layer_types=["sliding_attention", "sliding_attention", "full_attention"], **gemma4)
    d("glm4", Glm4Config, Glm4ForCausalLM, "llama-3", head_dim=8, pad_token_id=0)
    d("glm", GlmConfig, GlmForCausalLM, "llama-3", head_dim=8, pad_token_id=0)
    d("glm4moe", Glm4MoeConfig, Glm4MoeForCausalLM, "llama-3", head_dim=8, pad_token_id=0,
      num_hidden_layers=3, attention_bias=True, use_qk_norm=True, first_k_dense_replace=1,
      n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=2, moe_intermediate_size=16,
      routed_scaling_factor=1.5, rope_parameters=dict(rope_type="default", rope_theta=10000.0,
                                                      partial_rotary_factor=0.5))
    # Widths that hold whole blocks of quantized weights. Norms of low ranks have an epsilon of 1e-6 in transformers,
    # whatever the configuration says.
    latent = dict(num_key_value_heads=4, num_hidden_layers=3, pad_token_id=0, kv_lora_rank=64, qk_nope_head_dim=32,
                  qk_rope_head_dim=8, v_head_dim=32, num_experts_per_tok=2, moe_intermediate_size=32, rms_norm_eps=1e-6)
    d("deepseek-v2", DeepseekV2Config, DeepseekV2ForCausalLM, "deepseek-v3", q_lora_rank=None, first_k_dense_replace=1,
      n_routed_experts=4, n_shared_experts=2, topk_method="greedy", n_group=1, topk_group=1, routed_scaling_factor=1.0,
      rope_parameters=dict(rope_type="default", rope_theta=10000.0), **latent)
    d("deepseek-v3", DeepseekV3Config, DeepseekV3ForCausalLM, "deepseek-v3", LONG, q_lora_rank=32, first_k_dense_replace=1,
      n_routed_experts=8, n_shared_experts=1, n_group=4, topk_group=2, rope_parameters=dict(
          rope_type="yarn", rope_theta=10000.0, factor=8.0, beta_fast=32.0, beta_slow=1.0, mscale=1.0,
          mscale_all_dim=1.0, original_max_position_embeddings=256), **latent)
    d("glm4-moe-lite", Glm4MoeLiteConfig, Glm4MoeLiteForCausalLM, "llama-3", q_lora_rank=32, n_routed_experts=4, n_shared_experts=1,
      routed_scaling_factor=1.8, **latent)
    d("smollm3", SmolLM3Config, SmolLM3ForCausalLM, "llama-3", num_hidden_layers=4, pad_token_id=0)
    d("phi3", Phi3Config, Phi3ForCausalLM, "spm", LONG, pad_token_id=0, sliding_window=None,
      original_max_position_embeddings=256, rope_parameters=longrope)
    encoder("bert", BertConfig, BertModel, "bert", made["bert"], "cls_token")
    encoder("xlm-roberta", XLMRobertaConfig, XLMRobertaModel, "xlm-roberta", made["xlm-roberta"],
            "mean_tokens", pad_token_id=1, bos_token_id=0, eos_token_id=2)
    encoder("nomic-bert", NomicBertConfig, NomicBertModel, "bert", made["bert"], "mean_tokens",
            prefix="search_document: ")
    encoder("gemma-embedding", Gemma3TextConfig, Gemma3TextModel, "gemma", made["gemma"], "mean_tokens",
            prefix="title: none | text: ", dense=((32, 96), (96, 32)), num_hidden_layers=7, head_dim=16,
            num_key_value_heads=2, query_pre_attn_scalar=16, sliding_window=16, use_bidirectional_attention=True,
            bos_token_id=1, eos_token_id=2)


main()
