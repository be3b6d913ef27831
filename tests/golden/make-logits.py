#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the reference results of the starter model, tests/golden/data/smollm2-*.

make-logits.py [MODEL.gguf]     (default: the starter model where ./run puts it)

Truth is the Q4_1 file dequantized to float32 and run by transformers on the CPU (see golden.py);
text becomes tokens by the `tokenizers` package set up from the file's own vocabulary.
Takes five minutes on one core. Needs golden.py's packages and `tokenizers`.

All files are .npy (version 1), little endian:
  smollm2-logits-tokens    int32 [n]       the prompts of prompts.json "logits", one after the other
  smollm2-logits-starts    int32 [p + 1]   where each prompt starts; the last is n
  smollm2-logits-top-ids   int32 [n, 64]   the 64 largest logits of each position, falling
  smollm2-logits-top       float32 [n, 64]
  smollm2-logits-lse       float32 [n]     log of the sum of exp over the whole vocabulary
  smollm2-logits-probe-ids int32 [64]      fixed random ids, for the rest of the vocabulary
  smollm2-logits-probe     float32 [n, 64]
  smollm2-greedy-texts.bin                 the prompts for greedy continuation, each ended by a zero byte
  smollm2-greedy-tokens    int32 [m]       their tokens, one after the other
  smollm2-greedy-starts    int32 [21]
  smollm2-greedy-answer    int32 [20, 64]  the continuation; -1 after an end-of-generation token,
                                           which is the last
  smollm2-greedy-top-ids   int32 [20, 64, 16]  the 16 largest logits before each of these tokens
  smollm2-greedy-top       float32 [20, 64, 16]
smollm2.json says from what and with what they were made.
"""
import json
import sys

import numpy as np
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

import golden

N_TOP, N_PROBE, N_GREEDY, N_GREEDY_TOP = 64, 64, 64, 16


def make_tokenizer(reader):
    """SmolLM's tokenizer as published: digits apart, then GPT-2's byte-level pattern."""
    tokens = golden.field(reader, "tokenizer.ggml.tokens")
    types = golden.field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(m.split(" ")) for m in golden.field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False)
                                  for t, kind in zip(tokens, types) if kind == 3])
    return tokenizer


def tokenizer_text(reader, ids):
    """The text of ordinary tokens: each is spelled in GPT-2's alphabet of bytes."""
    tokens = golden.field(reader, "tokenizer.ggml.tokens")
    return decoders.ByteLevel().decode([tokens[i] for i in ids])


def save(name, values, kind):
    np.save(golden.here("data", "smollm2-%s.npy" % name), np.ascontiguousarray(values).astype(kind))


def largest(logits, n):
    ids = np.argsort(-logits, axis=-1, kind="stable")[..., :n]
    return ids, np.take_along_axis(logits, ids, -1)


def joined(sequences):
    starts = np.cumsum([0] + [len(s) for s in sequences])
    return np.concatenate(sequences), starts


def make_positions(model, prompts):
    tokens, starts = joined(prompts)
    logits = np.concatenate([golden.logits_of(model, p) for p in prompts])
    probe = np.sort(np.random.default_rng(7).choice(logits.shape[1], N_PROBE, replace=False))
    ids, values = largest(logits, N_TOP)
    save("logits-tokens", tokens, np.int32)
    save("logits-starts", starts, np.int32)
    save("logits-top-ids", ids, np.int32)
    save("logits-top", values, np.float32)
    save("logits-lse", torch.logsumexp(torch.from_numpy(logits).double(), -1).numpy(), np.float32)
    save("logits-probe-ids", probe, np.int32)
    save("logits-probe", logits[:, probe], np.float32)
    return len(tokens)


def make_greedy(model, prompts, end_ids):
    answers = np.full((len(prompts), N_GREEDY), -1)
    top_ids = np.full((len(prompts), N_GREEDY, N_GREEDY_TOP), -1)
    top = np.zeros((len(prompts), N_GREEDY, N_GREEDY_TOP))
    gaps = []
    for i, prompt in enumerate(prompts):
        result = model(torch.tensor([prompt]), use_cache=True)
        for j in range(N_GREEDY):
            logits = result.logits[0, -1].float().numpy()
            top_ids[i, j], top[i, j] = largest(logits, N_GREEDY_TOP)
            gaps.append(top[i, j, 0] - top[i, j, 1])
            answers[i, j] = top_ids[i, j, 0]
            if answers[i, j] in end_ids:
                break
            result = model(torch.tensor([[answers[i, j]]]), use_cache=True,
                           past_key_values=result.past_key_values)
        print("greedy %2d: %d tokens, smallest gap %.3f" % (i, j + 1, min(gaps[-j - 1:])), flush=True)
    tokens, starts = joined(prompts)
    save("greedy-tokens", tokens, np.int32)
    save("greedy-starts", starts, np.int32)
    save("greedy-answer", answers, np.int32)
    save("greedy-top-ids", top_ids, np.int32)
    save("greedy-top", top, np.float32)
    return int((answers >= 0).sum())


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else golden.starter_model()
    torch.set_num_threads(1)
    model, reader = golden.load_float32(path)
    tokenizer = make_tokenizer(reader)
    with open(golden.here("prompts.json"), encoding="utf-8") as source:
        prompts = json.load(source)
    ids = [tokenizer.encode(t).ids for t in prompts["logits"]]
    greedy = [tokenizer.encode(t).ids for t in prompts["greedy"]]
    long_ids = tokenizer.encode(prompts["long_greedy"]["text"]).ids
    wanted = prompts["long_greedy"]["tokens"]
    assert len(long_ids) >= wanted, len(long_ids)
    greedy.append(long_ids[:wanted])
    texts = prompts["greedy"] + [tokenizer_text(reader, long_ids[:wanted])]
    assert [tokenizer.encode(t).ids for t in texts] == greedy
    with open(golden.here("data", "smollm2-greedy-texts.bin"), "wb") as out:
        out.write(b"".join(t.encode() + b"\0" for t in texts))
    n_positions = make_positions(model, ids)
    n_greedy = make_greedy(model, greedy, {0, int(golden.field(reader, "tokenizer.ggml.eos_token_id"))})
    about = {
        "model_sha256": golden.sha256_of(path),
        "positions": n_positions, "greedy_tokens": n_greedy,
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__,
                      "numpy": np.__version__},
    }
    with open(golden.here("data", "smollm2.json"), "w", encoding="utf-8") as out:
        json.dump(about, out, indent=2, sort_keys=True)
        out.write("\n")
    print(about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
