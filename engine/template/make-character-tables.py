#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes eng-template-character-tables.h from Python's own Unicode data, so that upper, lower, title
and repr in templates do what they do under Jinja. Run: make-character-tables.py > eng-template-character-tables.h"""
import sys
import unicodedata


def ranges(test):
    found, start = [], None
    for c in range(0x110001):
        yes = c < 0x110000 and not 0xD800 <= c < 0xE000 and test(c)
        if yes and start is None:
            start = c
        elif not yes and start is not None:
            found.append((start, c - 1))
            start = None
    return found


def mappings(convert):
    """Runs (first, last, stride, delta) of characters that map to one, and the ones that map to more."""
    runs, special = [], []
    for c in range(0x80, 0x110000):
        if 0xD800 <= c < 0xE000:
            continue
        to = convert(chr(c))
        if to == chr(c):
            continue
        if len(to) > 1:
            special.append((c, to))
            continue
        delta = ord(to) - c
        if runs and runs[-1][3] == delta:
            first, last, stride, _ = runs[-1]
            gap = c - last
            if gap <= 2 and (first == last or gap == stride):
                runs[-1] = (first, c, gap, delta)
                continue
        runs.append((c, c, 1, delta))
    return runs, special


def title(c):
    return c.title()


out = sys.stdout
out.write("/* SPDX-License-Identifier: Apache-2.0 */\n")
out.write(f"/* Written by make-character-tables.py from Unicode {unicodedata.unidata_version}: do not edit. */\n\n")


def write_ranges(name, found):
    out.write(f"static const TplCharRange {name}[] = {{\n")
    for i in range(0, len(found), 4):
        out.write("  " + " ".join(f"{{ 0x{a:x}, 0x{b:x} }}," for a, b in found[i:i + 4]) + "\n")
    out.write("};\n\n")


def write_mappings(name, convert):
    runs, special = mappings(convert)
    out.write(f"static const TplCaseRun {name}_runs[] = {{\n")
    for i in range(0, len(runs), 3):
        out.write("  " + " ".join(f"{{ 0x{a:x}, 0x{b:x}, {s}, {d} }}," for a, b, s, d in runs[i:i + 3]) + "\n")
    out.write("};\n\n")
    out.write(f"static const TplCaseSpecial {name}_special[] = {{\n")
    for c, to in special:
        codes = ", ".join(f"0x{ord(x):x}" for x in to)
        out.write(f"  {{ 0x{c:x}, {{ {codes} }} }},\n")
    out.write("};\n\n")


write_ranges("unprintable", ranges(lambda c: c >= 0x80 and not chr(c).isprintable()))
write_ranges("uppercase", ranges(lambda c: c >= 0x80 and chr(c).isupper()))
write_ranges("lowercase", ranges(lambda c: c >= 0x80 and chr(c).islower()))
# str.lower () itself says what counts as cased and what it looks through before a final sigma.
write_ranges("cased", ranges(lambda c: c >= 0x80 and ("1" + chr(c) + "\u03a3").lower().endswith("\u03c2")))
write_ranges("case_ignorable", ranges(lambda c: ("A" + chr(c) + "\u03a3").lower().endswith("\u03c2")
                                      and not ("1" + chr(c) + "\u03a3").lower().endswith("\u03c2")))
write_ranges("numeric", ranges(lambda c: c >= 0x80 and chr(c).isdigit()))
write_ranges("alphabetic", ranges(lambda c: c >= 0x80 and chr(c).isalpha()))
write_mappings("upper", str.upper)
write_mappings("lower", str.lower)
write_mappings("title", title)
