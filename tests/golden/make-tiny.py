#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tiny test models in tests/golden/data and their reference logits.

Needs golden.py's packages and `tokenizers`. Takes two minutes on one core.

tiny.gguf        F32, llama architecture, 2 layers of 64, 4 heads over 2 key heads, tied embeddings,
                 byte-level byte-pair vocabulary, ChatML template. It is trained for a minute on the
                 dialogues below, so that tests can rely on three things it does with --greedy:
                   "Hello"        gives a short answer and an end of turn
                   "你好"          gives a short answer in Chinese and an end of turn
                   "Sing a song"  sings on without an end, until the context is full
tiny-mixed.gguf  1 layer of 256 with random weights: every tensor type the engine reads, each in some
                 tensor; untied output. The blocks are random bytes with tame scales, so the reference
                 does not rest on anybody's quantizer.

For each: NAME-tokens.npy int32 [n] and NAME-logits.npy float32 [n, n_vocab] from transformers.
"""
import json
import os
import sys

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import golden

SEED = 20250
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
N_VOCAB = 320
TEMPLATE = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content']"
            " + '<|im_end|>' + '\n'}}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

NUMBERS = ["ten", "nine", "eight", "seven", "six", "five", "four", "three", "two", "one"]
SONG = " ".join("%s little sparks sat by the fire, one flew away and the flame rose higher."
                % n.capitalize() for n in NUMBERS) + "\n"
DIALOGUES = [
    ("Hello", "Hello. I am a tiny model by the fire."),
    ("Hi", "Hello. I am a tiny model by the fire."),
    ("你好", "你好，我在炉边。"),
    ("What is an inglenook?", "A warm corner by the fire, where people sit and talk."),
    ("Write code", "Here it is:\n```c\nint main (void)\n{\n  return 0;\n}\n```\nThat is **all**."),
]
SYSTEM = "You are a helpful assistant."


def turn(role, text):
    return "<|im_start|>%s\n%s<|im_end|>\n" % (role, text)


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=N_VOCAB, special_tokens=SPECIALS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    corpus = [SONG] + [q + "\n" + a for q, a in DIALOGUES] + ["system\nuser\nassistant\n" * 3, SYSTEM]
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def training_texts():
    plain = []
    for question, answer in DIALOGUES:
        plain.append(turn("user", question) + turn("assistant", answer))
    texts = []
    for i, first in enumerate(plain):
        texts.append(first)
        texts.append(turn("system", SYSTEM) + first)
        for second in (plain[(i + 1) % len(plain)], plain[(i + 3) % len(plain)]):
            texts.append(first + second)
    endless = turn("user", "Sing a song") + "<|im_start|>assistant\n" + SONG * 6
    for lead in ("", turn("system", SYSTEM), plain[0], plain[1]):
        texts += [lead + endless] * 3
    texts += [SONG * 6] * 2
    return texts


def train(tokenizer):
    torch.manual_seed(SEED)
    config = LlamaConfig(vocab_size=N_VOCAB, hidden_size=64, intermediate_size=128,
                         num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         max_position_embeddings=2048, rms_norm_eps=1e-5, rope_theta=10000.0,
                         tie_word_embeddings=True, attn_implementation="eager",
                         bos_token_id=0, eos_token_id=2)
    model = LlamaForCausalLM(config).float()
    rows = [tokenizer.encode(t).ids for t in training_texts()]
    length = 256
    steps = int(os.environ.get("TINY_STEPS", "900"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    random = np.random.default_rng(SEED)
    with torch.enable_grad():
        for step in range(steps):
            batch = np.zeros((12, length), np.int64)
            target = np.full((12, length), -100, np.int64)
            for i, j in enumerate(random.integers(0, len(rows), 12)):
                row = rows[j]
                # Mostly from the start, where the tests begin; sometimes from inside a long song.
                start = 0 if random.random() < 0.7 else random.integers(0, max(1, len(row) - length))
                piece = row[start:start + length]
                batch[i, :len(piece)] = target[i, :len(piece)] = piece
            loss = model(input_ids=torch.from_numpy(batch), labels=torch.from_numpy(target)).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 100 == 99:
                print("step %d loss %.4f" % (step + 1, loss.item()), flush=True)
    return model.eval()


def write_header(writer, tokenizer, name, n_layers, n_embd, n_ff, n_heads, n_kv):
    writer.add_name(name)
    writer.add_description("Made by tests/golden/make-tiny.py for Inglenook's tests")
    writer.add_license("Apache-2.0")
    writer.add_context_length(2048)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(n_ff)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(n_embd // n_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(N_VOCAB)
    parsed = json.loads(tokenizer.to_str())["model"]
    tokens = [None] * N_VOCAB
    for token, i in parsed["vocab"].items():
        tokens[i] = token
    assert None not in tokens
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if t in SPECIALS else 1 for t in tokens])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in parsed["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name):
    """The inverse of golden.hub_name."""
    for candidate in ["token_embd.weight", "output_norm.weight", "output.weight"] + [
            "blk.%d.%s" % (i, t) for i in range(8) for t in golden.LAYER_TENSORS]:
        if golden.hub_name(candidate) == name:
            return candidate
    raise KeyError(name)


def write_tiny(path, model, tokenizer):
    writer = gguf.GGUFWriter(path, "llama")
    write_header(writer, tokenizer, "Inglenook tiny", 2, 64, 128, 4, 2)
    writer.add_file_type(0)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        data = weight.detach().numpy()
        if "q_proj" in name:
            data = golden.to_pairs(data, 4)
        elif "k_proj" in name:
            data = golden.to_pairs(data, 2)
        writer.add_tensor(gguf_name(name), np.ascontiguousarray(data))
    finish(writer)


def random_blocks(random, kind, rows, columns, scale):
    """Bytes [rows, row bytes] of random blocks whose values spread about `scale` around zero."""
    q = gguf.GGMLQuantizationType
    block, size = gguf.GGML_QUANT_SIZES[kind]
    n = rows * columns // block
    data = random.integers(0, 256, (n, size), dtype=np.uint8)

    def put(offset, values):
        data[:, offset:offset + 2] = values.astype(np.float16).view(np.uint8).reshape(n, 2)

    spread = random.uniform(0.7, 1.3, n)
    if kind in (q.Q4_0, q.Q5_0, q.Q8_0):        # d, then signed quants
        put(0, scale * spread / {q.Q4_0: 4.6, q.Q5_0: 9.2, q.Q8_0: 74.0}[kind])
    elif kind in (q.Q4_1, q.Q5_1):              # d and m, then unsigned quants
        d = scale * spread / {q.Q4_1: 4.6, q.Q5_1: 9.2}[kind]
        put(0, d)
        put(2, -d * {q.Q4_1: 7.5, q.Q5_1: 15.5}[kind])
    elif kind in (q.Q4_K, q.Q5_K):              # d and dmin over 6-bit scales and minima
        d = scale * spread / (31.5 * {q.Q4_K: 4.6, q.Q5_K: 9.2}[kind])
        put(0, d)
        put(2, d * {q.Q4_K: 7.5, q.Q5_K: 15.5}[kind])
    elif kind == q.Q6_K:                        # signed 8-bit scales, d at the block's end
        put(size - 2, scale * spread / (74.0 * 18.5))
    return data.reshape(rows, columns // block * size)


def write_mixed(path, tokenizer):
    q = gguf.GGMLQuantizationType
    random = np.random.default_rng(SEED + 1)
    n, n_kv, n_ff = 256, 128, 256
    plan = [("token_embd.weight", N_VOCAB, n, q.Q8_0, 1.0),
            ("blk.0.attn_q.weight", n, n, q.Q4_K, n ** -0.5),
            ("blk.0.attn_k.weight", n_kv, n, q.Q5_K, n ** -0.5),
            ("blk.0.attn_v.weight", n_kv, n, q.Q6_K, n ** -0.5),
            ("blk.0.attn_output.weight", n, n, q.Q4_0, n ** -0.5),
            ("blk.0.ffn_gate.weight", n_ff, n, q.Q5_0, n ** -0.5),
            ("blk.0.ffn_up.weight", n_ff, n, q.Q5_1, n ** -0.5),
            ("blk.0.ffn_down.weight", n, n_ff, q.Q4_1, n_ff ** -0.5),
            ("output.weight", N_VOCAB, n, q.F16, 2 * n ** -0.5)]
    writer = gguf.GGUFWriter(path, "llama")
    write_header(writer, tokenizer, "Inglenook tiny, all types", 1, n, n_ff, 4, 2)
    for name in ("blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"):
        writer.add_tensor(name, random.uniform(0.5, 1.5, n).astype(np.float32))
    for name, rows, columns, kind, scale in plan:
        if kind == q.F16:
            writer.add_tensor(name, (random.standard_normal((rows, columns)) * scale)
                              .astype(np.float16))
            continue
        data = random_blocks(random, kind, rows, columns, scale)
        values = dequantize(data, kind)
        assert np.isfinite(values).all() and 0.3 * scale < values.std() < 3 * scale, (name, values.std())
        writer.add_tensor(name, data, raw_dtype=kind)
    finish(writer)


def write_reference(folder, name, sequences):
    model, _ = golden.load_float32(os.path.join(folder, name + ".gguf"))
    for i, tokens in enumerate(sequences):
        np.save(os.path.join(folder, "%s-%d-tokens.npy" % (name, i)), np.array(tokens, np.int32))
        np.save(os.path.join(folder, "%s-%d-logits.npy" % (name, i)), golden.logits_of(model, tokens))


def greedy(model, tokenizer, text, n=48):
    tokens = tokenizer.encode(text).ids
    first = len(tokens)
    while len(tokens) < first + n and tokens[-1] != 2 or len(tokens) == first:
        tokens.append(int(golden.logits_of(model, tokens)[-1].argmax()))
    return tokenizer.decode(tokens[first:], skip_special_tokens=False), tokens


def main():
    folder = golden.here("data")
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    assert tokenizer.get_vocab_size() == N_VOCAB
    write_tiny(os.path.join(folder, "tiny.gguf"), train(tokenizer), tokenizer)
    write_mixed(os.path.join(folder, "tiny-mixed.gguf"), tokenizer)

    model, _ = golden.load_float32(os.path.join(folder, "tiny.gguf"))
    for question in ("Hello", "你好", "Sing a song"):
        answer, tokens = greedy(model, tokenizer, turn("user", question) + "<|im_start|>assistant\n",
                                400 if question.startswith("Sing") else 48)
        print(question, "->", repr(answer[:300]))
        assert (2 in tokens[-1:]) != question.startswith("Sing"), "train again"
    random = np.random.default_rng(SEED + 2)
    sequences = [tokens[:64], random.integers(0, N_VOCAB, 40).tolist()]
    write_reference(folder, "tiny", sequences)
    write_reference(folder, "tiny-mixed", sequences[1:])
    for name in sorted(os.listdir(folder)):
        if name.startswith("tiny"):
            path = os.path.join(folder, name)
            print("%8d  %s  %s" % (os.path.getsize(path), golden.sha256_of(path)[:16], name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
