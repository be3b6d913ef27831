#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well passages are found: evaluate.py TOOL FOLDER [--verbose]

TOOL is retrieval-tool, FOLDER keeps the index between two runs. The documents are manuals of Debian packages
(documents.tsv), which must be installed; without them it says which are missing and ends with 77 (skipped).
The questions (questions.tsv) are split by their line: even ones fix thresholds, odd ones give the figures. Those of
groups named -fresh and -late, over manuals of their own, were written before anything was tuned on them and give theirs
apart."""
import gzip
import json
import os
import re
import shutil
import subprocess
import sys

import convert

HERE = os.path.dirname(os.path.abspath(__file__))
ARMS = ("plain", "words", "meaning", "joined", "fused")  # joined: fused without windows
COMMON = set("""a about all an and any are as at be been but by can cannot could did do does for from had has have how i
if in into is it its may me my no not of on one or our own should so such than that the their them then there these
they this those to up was we were what when where which who whom why will with would you your""".split())
COMMON_ZH = set("的了在是和与及或把被从到对为以于个这那哪有没不我你他它们吗呢吧么怎样什如何能可会要想该让给些谁几都也就还又"
                "一上下里中大小多少用来去")


def read_rows(name, n):
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                yield (line.rstrip("\n").split("\t") + [""] * n)[:n]


def solid(text):
    return re.sub(r"[\s|*`“”\"]+", "", text).casefold()


def content_words(text):
    """Stems of Latin words, and pairs of Chinese characters without common ones."""
    words = set()
    for word in re.findall(r"[^\W\d_]+|\d+", text.casefold()):
        for run in re.findall(r"[\u3400-\u9fff]+", word):
            words |= {run[i:i + 2] for i in range(len(run) - 1) if not set(run[i:i + 2]) & COMMON_ZH}
        for latin in re.findall(r"[^\u3400-\u9fff]+", word):
            if latin not in COMMON and len(latin) > 1:
                words.add(re.sub(r"(ing|ed|es|s|ly)$", "", latin) if len(latin) > 4 else latin)
    return words


def is_gold(gold, text):
    return any(solid(one) in solid(text) for one in gold.split("|"))


def rank_of(gold, found, part="texts"):
    for i, text in enumerate(found[part]):
        if is_gold(gold, text):
            return i + 1
    return 0


def recall(questions, arm, keep, part="texts"):
    chosen = [q for q in questions if q["gold"] and keep(q)]
    return sum(0 < rank_of(q["gold"], q["found"][arm], part) <= 5 for q in chosen) / max(1, len(chosen)), len(chosen)


def prepare(name, path, kind, folder):
    if kind:
        out = os.path.join(folder, f"{name}.{kind}")
        convert.convert(path, kind, out)
        return out
    if not path.endswith(".gz"):
        return path
    out = os.path.join(folder, os.path.basename(path)[:-3])
    if not os.path.exists(out):
        with gzip.open(path) as f, open(out, "wb") as g:
            g.write(f.read())
    return out


def load(tool, folder):
    documents = list(read_rows("documents.tsv", 5))
    missing = sorted({d[2] for d in documents if not os.path.exists(d[3])} | {"pandoc"} - {"pandoc" if shutil.which("pandoc") else ""})
    if missing:
        print("skipped: these packages are not installed: " + " ".join(missing))
        sys.exit(77)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "documents.list"), "w", encoding="utf-8") as f:
        f.writelines(f"{group}\t{prepare(name, path, kind, folder)}\n" for group, name, _, path, kind in documents)
    rows = list(read_rows("questions.tsv", 5))
    with open(os.path.join(folder, "questions.list"), "w", encoding="utf-8") as f:
        f.writelines(f"{group}\t{question}\t{earlier}\n" for _, group, _, question, earlier in rows)
    lines = subprocess.run([tool, folder, f"{folder}/documents.list", f"{folder}/questions.list"], check=True,
                           stdout=subprocess.PIPE, encoding="utf-8").stdout.splitlines()
    return [{"kind": k, "group": g, "gold": gold, "question": q, "half": half_of(g, i), "found": json.loads(line)}
            for i, ((k, g, gold, q, _), line) in enumerate(zip(rows, lines))]


def half_of(group, line):
    """0: the tuning half, 1: the reporting one, 2 and 3: new questions."""
    return 2 if group.endswith("-fresh") else 3 if group.endswith("-late") else line % 2


def print_table(title, chosen):
    kinds = [("all", lambda q: True), ("English", lambda q: q["group"].startswith("en")),
             ("Chinese", lambda q: q["group"].startswith("zh")), ("term", lambda q: q["kind"] == "term"),
             ("paraphrase", lambda q: q["kind"] == "paraphrase"), ("table", lambda q: q["kind"] == "table"),
             ("follow-up", lambda q: q["kind"] == "follow-up")]
    print(f"| recall@5 {title} | n | plain BM25 | words | meaning | both | with windows | chunks alone |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, keep in kinds:
        figures = [recall(chosen, arm, keep)[0] for arm in ARMS] + [recall(chosen, "fused", keep, "chunks")[0]]
        print(f"| {name} | {recall(chosen, 'fused', keep)[1]} | " + " | ".join(f"{x:.2f}" for x in figures) + " |")


def table(questions):
    tuning, half, fresh, late = ([q for q in questions if q["half"] == i] for i in range(4))
    print_table("of the reporting half", half)
    print_table("of the fresh questions", fresh)
    print_table("of the late questions", late)
    for name, chosen in (("tuning half", tuning), ("both halves", tuning + half), ("all", questions)):
        print(f"{name}: " + ", ".join(f"{arm} {recall(chosen, arm, lambda q: True)[0]:.3f}" for arm in ARMS)
              + f", chunks alone {recall(chosen, 'fused', lambda q: True, 'chunks')[0]:.3f}")
    for arm in ARMS:
        n_tokens = sum(q["found"][arm]["tokens"] for q in questions) / len(questions)
        print(f"{arm}: {n_tokens:.0f} tokens in five passages")
    for name, chosen in (("tuning half", tuning), ("reporting half", half), ("fresh", fresh), ("late", late)):
        none = [q for q in chosen if q["kind"] == "none"]
        near = [q for q in chosen if q["kind"] == "near"]
        some = [q for q in chosen if q["gold"]]
        known = sum(not q["found"]["fused"]["found"] for q in none)
        close = sum(not q["found"]["fused"]["found"] for q in near)
        refused = sum(not q["found"]["fused"]["found"] for q in some)
        print(f"{name}: {known} of {len(none)} unanswerable questions recognized, "
              f"{close} of {len(near)} near misses, "
              f"{refused} of {len(some)} answerable ones refused")
    times = sorted(q["found"]["fused"]["ms"] for q in questions)
    print(f"a question: median {times[len(times) // 2]:.1f} ms, p95 {times[len(times) * 95 // 100]:.1f} ms")


def check(questions):
    """Golds that no arm found (an error in the set, or a hard one) and paraphrases that share a word."""
    apart = 0
    for q in questions:
        ranks = [rank_of(q["gold"], q["found"][arm]) for arm in ARMS] if q["gold"] else []
        gold = [t for arm in ARMS for t in q["found"][arm]["chunks"] if q["gold"] and is_gold(q["gold"], t)]
        passage = gold[0] if gold else q["gold"]
        shared = content_words(q["question"]) & content_words(passage) if q["gold"] else set()
        apart += q["kind"] == "paraphrase" and not shared
        if "--verbose" in sys.argv:
            f = q["found"]["fused"]
            print(q["kind"], ranks, f"{f['found']} {f['coverage']:.2f} {f['cosine']:.2f}", q["question"],
                  " ".join(sorted(shared)) if q["kind"] == "paraphrase" else "", sep="\t")
    print(f"{apart} paraphrases share no content word with their passage")


def main():
    questions = load(sys.argv[1], sys.argv[2])
    table(questions)
    check(questions)


if __name__ == "__main__":
    main()
