# SPDX-License-Identifier: Apache-2.0
"""zh_CN is complete: every string of the sources is in the catalogue, translated and not fuzzy."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MARKED = re.compile(r"(?<![\w_])(?:_|N_|C_|NC_|ngettext|g_dngettext|g_dpgettext2)\s*\(\s*(?:\w+,\s*)?\"|translatable=")
# The words that Meson's preset "glib" gives to xgettext.
KEYWORDS = ["--from-code=UTF-8", "--add-comments", "--keyword=_", "--keyword=N_", "--keyword=C_:1c,2",
            "--keyword=NC_:1c,2", "--keyword=g_dcgettext:2", "--keyword=g_dngettext:2,3",
            "--keyword=g_dpgettext2:2c,3"]


def lines_of(*names):
    with open(os.path.join(ROOT, *names), encoding="utf-8") as source:
        return [l.strip() for l in source if l.strip() and not l.startswith("#")]


def sources_with_strings():
    for folder in ("app", "ui"):
        for path, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in names:
                if name.endswith((".c", ".ui")):
                    full = os.path.join(path, name)
                    with open(full, encoding="utf-8") as source:
                        if MARKED.search(source.read()):
                            yield os.path.relpath(full, ROOT)


def run(*command):
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                            env=dict(os.environ, LC_ALL="C.UTF-8"))
    assert result.returncode == 0, result.stderr
    return result.stdout, result.stderr


def untranslated(po):
    """The messages that lack a translation, from a catalogue."""
    return run("msgattrib", "--untranslated", "--no-obsolete", "--no-location", po)[0]


def test_language(tap, language, template, scratch):
    po = os.path.join("po", language + ".po")
    with tap.case(po + " is well formed, its placeholders agree"):
        run("msgfmt", "--check", "--check-domain", "-o", os.devnull, po)
    with tap.case(po + " has every string, translated and looked at"):
        merged = os.path.join(scratch, language + ".po")
        run("msgmerge", "--quiet", "--no-fuzzy-matching", "-o", merged, po, template)
        assert not (left := untranslated(merged)), "not translated:\n" + left
        fuzzy = run("msgattrib", "--only-fuzzy", "--no-obsolete", po)[0]
        assert not fuzzy, "fuzzy:\n" + fuzzy


def main():
    for program in ("xgettext", "msgmerge", "msgfmt", "msgattrib"):
        if not shutil.which(program):
            Tap.skip_all(program + " is not installed")
    tap = Tap()
    listed = lines_of("po", "POTFILES")
    with tap.case("po/POTFILES lists every file with strings, sorted, and no other"):
        assert listed == sorted(listed), "not sorted"
        have = set(sources_with_strings())
        assert have <= set(listed), "missing: %s" % sorted(have - set(listed))
        gone = [f for f in listed if not os.path.exists(os.path.join(ROOT, f))]
        assert not gone, "gone: %s" % gone
    with tap.case("no string is broken by a macro that xgettext does not know (use PRIu64)"):
        bad = []
        for name in listed:
            if name.endswith(".c"):
                with open(os.path.join(ROOT, name), encoding="utf-8") as source:
                    text = source.read()
                bad += [name + ": " + m.group(0)[:60] for m in
                        re.finditer(r"\b_ \((?:[^()\";]|\"(?:[^\"\\]|\\.)*\")*?\bG_\w+_FORMAT", text)]
        assert not bad, "\n".join(bad)
    with tempfile.TemporaryDirectory() as scratch:
        template = os.path.join(scratch, "inglenook.pot")
        with tap.case("the strings can be extracted"):
            said = run("xgettext", *KEYWORDS, "--package-name=inglenook", "-o", template,
                       "--files-from=po/POTFILES")[1]
            assert not said, said
        for language in lines_of("po", "LINGUAS"):
            test_language(tap, language, template, scratch)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
