#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ids of the whole tokenizer against Hugging Face's `tokenizers`, over 1 MB of mixed text.

    compare-tokenizers.py ENGINE TEXT_PROGRAM MODEL.gguf…      (exit 77 where a module is missing)
    compare-tokenizers.py --golden TEXT_PROGRAM MODEL.gguf…    prints tokenizer-golden.txt

ENGINE is inglenook-engine, TEXT_PROGRAM is test-tokenizer-pre-tokenizer. The reference is put
together from the vocabulary, merges and scores in the file (package `gguf` reads them); texts go in
line by line, so that a difference is easy to see.
"""
import json
import os
import subprocess
import sys
import tempfile
from unicodedata import ucd_3_2_0

try:
    import gguf
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
except ImportError as missing:
    print(missing)
    sys.exit(77)

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


PRE = {
    "gpt-2": [GPT2],
    "smollm": [pre_tokenizers.Digits(individual_digits=True), GPT2],
    "llama-bpe": [split(LLAMA3), BYTES],
    "qwen2": [split(LLAMA3.replace("{1,3}", "")), BYTES],
}


def field(reader, key):
    f = reader.fields.get("tokenizer.ggml." + key)
    return None if f is None else f.contents()


def reference(path):
    reader = gguf.GGUFReader(path)
    kind, tokens = field(reader, "model"), field(reader, "tokens")
    types = field(reader, "token_type") or [1] * len(tokens)
    if kind == "gpt2":
        merges = [tuple(m.split(" ")) for m in field(reader, "merges")]
        tok = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
        tok.pre_tokenizer = pre_tokenizers.Sequence(PRE[field(reader, "pre")])
        tok.add_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, types) if k == 4])
    elif kind == "bert":
        vocab = {t[1:] if t[0] == "▁" else t if k == 3 else "##" + t: i
                 for i, (t, k) in enumerate(zip(tokens, types))}
        tok = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
        tok.normalizer = normalizers.BertNormalizer()
        tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif kind == "llama":
        # Score-ordered merging is byte-pair merging with the pairs ranked by the score they give;
        # converters of such tokenizers to tokenizer.json make their merges just so.
        vocab = {t: i for i, t in enumerate(tokens)}
        scores = field(reader, "scores")
        merges = []
        for t, i in vocab.items():
            if types[i] in (1, 4):
                merges += [(-scores[i], i, vocab[t[:k]], vocab[t[k:]], t[:k], t[k:])
                           for k in range(1, len(t)) if t[:k] in vocab and t[k:] in vocab]
        merges.sort()
        tok = Tokenizer(models.BPE(vocab, [(a, b) for *_, a, b in merges], byte_fallback=True,
                                   unk_token=tokens[0], fuse_unk=True))
        prefix = field(reader, "add_space_prefix")
        tok.normalizer = normalizers.Sequence(
            ([normalizers.Prepend("▁")] if prefix is None or prefix else [])
            + [normalizers.Replace(" ", "▁")])
        tok.add_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, types) if k == 4])
    else:
        sys.exit(f"{path}: no reference for a tokenizer of kind {kind}")
    return tok


def golden(path, tok, parts):
    count, value = 0, 0xCBF29CE484222325
    for part in parts:
        for i in tok.encode(part, add_special_tokens=False).ids:
            count += 1
            for byte in i.to_bytes(8, "little"):
                value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{os.path.basename(path)} {count} {value:016x}"


def main():
    engine, program, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        text = os.path.join(folder, "text")
        subprocess.run([program, "--write-text", text], check=True)
        with open(text, "rb") as f:
            whole = f.read().decode()
        if engine == "--golden":
            print("# Written by compare-tokenizers.py --golden: file, ids, hash of the ids.")
        parts = [whole[i : i + 5000] for i in range(0, len(whole), 5000)]
        for path in paths:
            tok, n_ids, n_wrong = reference(path), 0, 0
            if engine == "--golden":
                print(golden(path, tok, parts))
                continue
            for part in parts:
                if isinstance(tok.model, models.WordPiece):
                    # The normalizer there knows characters up to Unicode 8 only, and U+1734 has
                    # since become another kind of mark.
                    part = "".join(c for c in part if ucd_3_2_0.category(c) != "Cn" and c != "\u1734")
                with open(text, "wb") as f:
                    f.write(part.encode())
                run = subprocess.run([engine, "tokenize", path, "--text-file", text, "--json"],
                                     check=True, capture_output=True)
                ours, theirs = json.loads(run.stdout)["ids"], tok.encode(part, add_special_tokens=False).ids
                n_ids += len(theirs)
                if ours != theirs:
                    n_wrong += 1
                    if n_wrong <= 3:
                        i = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), -1)
                        show = lambda ids: ascii([tok.id_to_token(t) for t in ids[max(i - 2, 0) : i + 6]])
                        print(f"{path}: differ\n  ours   {show(ours)}\n  theirs {show(theirs)}")
            print(f"{path}: {n_ids} ids, {n_wrong} of {len(parts)} parts differ")
            wrong += n_wrong
    sys.exit(wrong > 0)


main()
