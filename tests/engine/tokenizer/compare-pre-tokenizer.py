#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The published patterns of byte-pair tokenizers, run by Python's `regex` module.

    compare-pre-tokenizer.py TEST_PROGRAM            compares border by border (exit 77 without regex)
    compare-pre-tokenizer.py TEST_PROGRAM --golden   prints pre-tokenizer-golden.txt

Each entry is the "pre_tokenizer" of a tokenizer.json, as a list of patterns: every one cuts the
pieces of the one before it, and what does not match is a piece too ("behavior": "Isolated").
"""
import os
import subprocess
import sys
import tempfile

try:
    import regex
except ImportError:
    print("Python's regex module is not installed")
    sys.exit(77)

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
          r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SEED = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}"
        r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TAIL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{TAIL}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{TAIL}"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = O200K.replace(TAIL, "").replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
             r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
BAILING = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
           r"|\s*[\r\n]|\s+(?!\S)|\s+")
CASED = ("A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ"
         "-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ"
         "-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃")
CJK_WIDE = "[一-龥ࠀ-一가-\ud7ff]+"

PATTERNS = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    "gpt-2": [GPT2],
    "llama-bpe": [LLAMA3],
    "glm4": [LLAMA3],
    "chatglm-bpe": [LLAMA3],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}+")],
    "qwen2": [QWEN2],
    "deepseek-r1-qwen": [QWEN2],
    "bailingmoe": [BAILING],
    "qwen35": [QWEN35],
    "seed-coder": [SEED],
    "smollm": [r"\p{N}", GPT2],
    "gpt-4o": [O200K],
    "tekken": [TEKKEN],
    "deepseek-llm": [r"[\r\n]", rf"\s?[{CASED}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", CJK_WIDE,
                     r"\p{N}"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK_WIDE, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
}
N_BLOCKS = 16


def isolate(pieces, pattern):
    for piece in pieces:
        at = 0
        for m in pattern.finditer(piece):
            if m.start() > at:
                yield piece[at : m.start()]
            if m.end() > m.start():
                yield m[0]
            at = m.end()
        if at < len(piece):
            yield piece[at:]


def borders(text, patterns):
    pieces = [text]
    for p in patterns:
        pieces = isolate(pieces, regex.compile(p))
    ends, at = [], 0
    for piece in pieces:
        at += len(piece.encode())
        ends.append(at)
    return ends


def summary(name, ends, n_bytes):
    hashes = [0xCBF29CE484222325] * N_BLOCKS
    for end in ends:
        block = end * N_BLOCKS // (n_bytes + 1)
        for byte in end.to_bytes(8, "little"):
            hashes[block] = (hashes[block] ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{name} {len(ends)} " + " ".join(f"{h:016x}" for h in hashes)


def main():
    program, golden = sys.argv[1], "--golden" in sys.argv
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "text")
        subprocess.run([program, "--write-text", path], check=True)
        with open(path, "rb") as f:
            data = f.read()
        text = data.decode()
        if golden:
            print("# Written by compare-pre-tokenizer.py --golden: name, pieces, hashes of their ends.")
        for name, patterns in PATTERNS.items():
            expected = borders(text, patterns)
            if golden:
                print(summary(name, expected, len(data)))
                continue
            out = os.path.join(folder, "borders")
            subprocess.run([program, "--write-borders", name, out], check=True)
            with open(out) as f:
                got = [int(line) for line in f]
            print(f"{name}: {len(expected)} pieces", end=" ")
            if got == expected:
                print("equal")
                continue
            wrong += 1
            i = next(i for i, (a, b) in enumerate(zip(got + [-1], expected + [-1])) if a != b)
            start = expected[i - 1] if i else 0
            print(f"DIFFER at byte {start}: ours ends {got[i]}, the pattern's {expected[i]}:",
                  ascii(data[start : max(got[i], expected[i]) + 20].decode(errors="replace")))
    sys.exit(wrong > 0)


main()
