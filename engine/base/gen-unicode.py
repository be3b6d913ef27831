#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes eng-unicode-table.c from the Unicode character database.

Run by hand when the database changes (the output is committed, building needs no Python):
    apt install unicode-data
    python3 engine/base/gen-unicode.py /usr/share/unicode > engine/base/eng-unicode-table.c
"""
import re
import sys

CATEGORIES = (
    "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn"
).split()
WHITE_SPACE = 0x20
BLOCK = 128
N_CODE_POINTS = 0x110000


def read_unicode_data(path):
    category = [CATEGORIES.index("Cn")] * N_CODE_POINTS
    lower, decomposition = {}, {}
    first = None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            field = line.rstrip("\n").split(";")
            cp, cat = int(field[0], 16), CATEGORIES.index(field[2])
            if field[1].endswith(", First>"):
                first = cp
                continue
            for i in range(first if field[1].endswith(", Last>") else cp, cp + 1):
                category[i] = cat
            if field[13]:
                lower[cp] = int(field[13], 16)
            if field[5] and not field[5].startswith("<"):
                decomposition[cp] = [int(x, 16) for x in field[5].split()]
    return category, lower, decomposition


def read_white_space(path):
    spaces = set()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            m = re.match(r"([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*White_Space\b", line)
            if m:
                spaces.update(range(int(m[1], 16), int(m[2] or m[1], 16) + 1))
    return spaces


def read_version(path):
    with open(path, encoding="utf-8") as lines:
        return re.search(r"PropList-([0-9.]+)\.txt", lines.readline())[1]


def decompose(cp, table):
    """Canonical decomposition applied until nothing changes."""
    if cp not in table:
        return [cp]
    return [y for x in table[cp] for y in decompose(x, table)]


def array(c_type, name, values, form="%d"):
    print(f"const {c_type} {name}[{len(values)}] = {{")
    line = " "
    for v in values:
        item = " " + form % v + ","
        if len(line) + len(item) > 98:
            print(line)
            line = " "
        line += item
    print(line)
    print("};\n")


def main(folder):
    category, lower, decomposition = read_unicode_data(folder + "/UnicodeData.txt")
    white = read_white_space(folder + "/PropList.txt")
    props = bytes(c | (WHITE_SPACE if i in white else 0) for i, c in enumerate(category))
    blocks, index = {}, []
    for at in range(0, N_CODE_POINTS, BLOCK):
        index.append(blocks.setdefault(props[at : at + BLOCK], len(blocks)))
    pool, entries = [], []
    for cp in sorted(decomposition):
        full = decompose(cp, decomposition)
        entries.append((cp, len(pool), len(full)))
        pool += full

    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by gen-unicode.py from the Unicode character database "
          f"{read_version(folder + '/PropList.txt')}. Do not edit. */")
    print('#include "eng-unicode-private.h"\n')
    print("// clang-format off")
    array("uint16_t", "eng_unicode_block_index", index)
    array("uint8_t", "eng_unicode_blocks", [b for block in blocks for b in block])
    pairs = sorted(lower.items())
    print(f"const size_t eng_unicode_n_lower = {len(pairs)};")
    array("uint32_t", "eng_unicode_lower_from", [a for a, _ in pairs], "0x%x")
    array("uint32_t", "eng_unicode_lower_to", [b for _, b in pairs], "0x%x")
    print(f"const size_t eng_unicode_n_decompositions = {len(entries)};")
    array("uint32_t", "eng_unicode_decomposition_from", [e[0] for e in entries], "0x%x")
    array("uint16_t", "eng_unicode_decomposition_at", [e[1] for e in entries])
    array("uint8_t", "eng_unicode_decomposition_length", [e[2] for e in entries])
    array("uint32_t", "eng_unicode_decomposition_pool", pool, "0x%x")
    print("// clang-format on")


main(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode")
