# SPDX-License-Identifier: Apache-2.0
"""The real, confined inglenook-reader over documents made here: what each format's text is. What means harm
is in test-inputs.py.

    test-reader.py READER
"""
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time

import documents as d
from tap import Tap

READER = sys.argv[1]
MAGIC = 0x52440000
CONFINED, BLOCKS, PROGRESS, END, ERROR, PAGE, PIXELS = range(1, 8)


class Result:
    def __init__(self, output, status, seconds):
        self.blocks, self.end, self.error, self.confined, self.page, self.pixels = [], None, None, None, None, None
        self.status, self.seconds = status, seconds
        self.progress = []
        while output:
            word, n = struct.unpack("<II", output[:8])
            assert word & 0xffff0000 == MAGIC and len(output) >= 8 + n, "a broken frame"
            kind, payload, output = word & 0xffff, output[8:8 + n], output[8 + n:]
            if kind == PIXELS:
                self.pixels = payload
                continue
            value = json.loads(payload)
            if kind == BLOCKS:
                self.blocks += value["blocks"]
            else:
                setattr(self, {CONFINED: "confined", END: "end", ERROR: "error", PAGE: "page"}.get(kind, "last"), value)
        self.texts = [b["text"] for b in self.blocks]

    def kinds(self):
        return [(b["kind"], b["text"]) for b in self.blocks]


def run(data, name, *arguments, mode="text", limit=30, environment={}):
    with tempfile.TemporaryFile() as file:
        if isinstance(data, bytes):
            file.write(data)
            file.seek(0)
        else:
            file = data
        start = time.monotonic()
        done = subprocess.run([READER, mode, name, *arguments], stdin=file, stdout=subprocess.PIPE, timeout=limit,
                              check=False, env={**os.environ, **environment})
        return Result(done.stdout, done.returncode, time.monotonic() - start)


def refused(result, code, word=""):
    assert result.error is not None and result.end is None, "it was read: %r" % result.texts[:3]
    assert result.error["code"] == code, result.error
    assert word in result.error["text"], result.error
    assert result.status == 1


def offsets_are_right(result):
    whole = "\n\n".join(result.texts)
    for block in result.blocks:
        assert whole[block["start"]:].startswith(block["text"]), block
    assert result.end["characters"] == len(whole)


# ---------------------------------------------------------------- formats

def test_text(tap):
    with tap.case("text: paragraphs, items, underlined headings"):
        r = run(b"The House\n=========\n\nFirst line\nof a paragraph.\n\n- one\n- two\n  more\n\n1. numbered\n", "a.txt")
        assert r.kinds() == [("heading", "The House"), ("paragraph", "First line of a paragraph."), ("item", "- one"),
                             ("item", "- two more"), ("item", "1. numbered")], r.kinds()
        assert r.blocks[1]["path"] == "The House"
        offsets_are_right(r)
    chinese = "西湖龙井茶产于杭州。每年清明之前采摘的最为珍贵，人们称它为明前茶。" * 20
    for encoding in ("utf-8", "utf-8-sig", "gb18030", "gbk", "big5", "utf-16", "utf-16-le", "utf-16-be"):
        text = chinese if encoding != "big5" else "西湖茶葉產於杭州，每年清明之前採摘的最為珍貴。" * 20
        with tap.case("text: Chinese in %s" % encoding):
            r = run(text.encode(encoding), "a.txt")
            assert r.texts == [text], r.texts
    with tap.case("text: French in Latin-1"):
        text = "Le pêcheur à la ligne n'a jamais été aussi près de l'été dernier. Où êtes-vous passés, élèves ? " * 5
        assert run(text.encode("latin-1"), "a.txt").texts == [text.strip()]
    with tap.case("text: what is too long for one block is cut at white space, and nothing is lost"):
        text = " ".join("word%d" % i for i in range(60000))
        r = run(text.encode(), "a.txt")
        assert len(r.blocks) > 5 and " ".join(r.texts) == text
        assert all(len(t.encode()) <= 65536 for t in r.texts)
    with tap.case("Markdown: headings, path, code, table with its header"):
        r = run("# Tea\n\n## Green\n\nA *fine* [leaf](http://x/) &amp; more.\n\n```c\nint  a;\n  b;\n```\n\n| Name | City |\n"
                "|---|---|\n| 龙井 | 杭州 |\n\n- a\n- b\n  - c\n".encode(), "a.md")
        assert r.kinds() == [("heading", "Tea"), ("heading", "Green"), ("paragraph", "A fine leaf & more."),
                             ("code", "int  a;\n  b;"), ("row", "Name\tCity"), ("row", "龙井\t杭州"), ("item", "a"),
                             ("item", "b"), ("item", "c")], r.kinds()
        assert r.blocks[5]["header"] == "Name\tCity" and r.blocks[2]["path"] == "Tea › Green"
        assert r.end["title"] == "Tea"
        offsets_are_right(r)
    with tap.case("source code keeps its lines"):
        r = run(b"int main (void)\n{\n  return 0;\n}\n", "a.c")
        assert r.kinds() == [("code", "int main (void)\n{\n  return 0;\n}")]
    with tap.case("CSV: quotes, other delimiters, the header with every row"):
        r = run('City;Note\nHangzhou;"tea; ""green"""\n'.encode(), "a.csv")
        assert r.texts == ["City\tNote", 'Hangzhou\ttea; "green"'] and r.blocks[1]["header"] == "City\tNote", r.texts
    with tap.case("HTML: text alone; scripts, frames and style are none"):
        r = run(b"<html><head><title>A house</title><meta charset=iso-8859-1><style>p{}</style></head><body><h1>Top</h1>"
                b"<script>alert(1)</script><p>caf\xe9 <b>bold</b> text<p>two<ul><li>x<li>y</ul><iframe src=http://x/>"
                b"</iframe><table><tr><th>A<th>B<tr><td>1<td>2</table><pre>a\n  b</pre></body></html>", "a.html")
        assert r.kinds() == [("heading", "Top"), ("paragraph", "café bold text"), ("paragraph", "two"), ("item", "x"),
                             ("item", "y"), ("row", "A\tB"), ("row", "1\t2"), ("code", "a\n  b")], r.kinds()
        assert r.end["title"] == "A house" and r.blocks[6]["header"] == "A\tB"
        offsets_are_right(r)
    with tap.case("RTF: code page, Unicode, what is no text"):
        r = run(br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\*\generator x;}\pard\outlinelevel0 Top\par "
                br"\pard caf\'e9 \u26479?\u28246? {\b bold}\par\pard\intbl a\cell b\cell\row}", "a.rtf")
        assert r.kinds() == [("heading", "Top"), ("paragraph", "café 杯湖 bold"), ("row", "a\tb")], r.kinds()


def test_office(tap):
    with tap.case("DOCX: headings by style, items, deleted text, tables"):
        r = run(d.docx(d.paragraph("The pump", "berschrift1") + d.paragraph("It heats.") + d.paragraph("Sizes", "H2")
                       + d.paragraph("small", extra="<w:numPr/>") + "<w:p><w:del><w:r><w:t>gone</w:t></w:r></w:del></w:p>"
                       + d.table([["Model", "kW"], ["A", "8"]])), "a.docx")
        assert r.kinds() == [("heading", "The pump"), ("paragraph", "It heats."), ("heading", "Sizes"),
                             ("item", "small"), ("row", "Model\tkW"), ("row", "A\t8")], r.kinds()
        assert r.blocks[3]["path"] == "The pump › Sizes" and r.blocks[5]["header"] == "Model\tkW"
        assert r.end["title"] == "Heat pumps" and r.end["kind"] == "docx"
        offsets_are_right(r)
    with tap.case("PPTX: slides are pages"):
        r = run(d.pptx([("One", ["a", "b"]), ("Two", ["c"])]), "a.pptx")
        assert r.kinds() == [("heading", "One"), ("paragraph", "a"), ("paragraph", "b"), ("heading", "Two"),
                             ("paragraph", "c")], r.kinds()
        assert [b["page"] for b in r.blocks] == [1, 1, 1, 2, 2] and r.end["pages"] == 2
    with tap.case("XLSX: shared and rich strings, gaps between cells, the sheet's name"):
        r = run(d.xlsx(), "a.xlsx")
        assert r.kinds() == [("heading", "Towns"), ("row", "City\t\tTea"), ("row", "Hangzhou\t12.5\tgreen")], r.kinds()
        assert r.blocks[2]["header"] == "City\t\tTea"
    with tap.case("XLSX: cells that do not say where they are follow the one before"):
        r = run(d.xlsx("<worksheet %s><sheetData><row><c><v>1</v></c><c/><c><v>3</v></c></row>"
                       '<row><c><v>4</v></c><c r="C2"><v>6</v></c><c><v>7</v></c></row></sheetData></worksheet>' % d.X),
                "a.xlsx")
        assert r.texts == ["Towns", "1\t\t3", "4\t\t6\t7"], r.texts
    with tap.case("ODT: outline levels, lists, tables"):
        r = run(d.odf("text", '<text:h text:outline-level="2">Head</text:h><text:p>One<text:s/>two</text:p><text:list>'
                      '<text:list-item><text:p>x</text:p></text:list-item></text:list><table:table table:name="Table1"><table:table-row>'
                      '<table:table-cell><text:p>A</text:p></table:table-cell><table:table-cell><text:p>B</text:p>'
                      '</table:table-cell></table:table-row></table:table>'), "a.odt")
        assert r.kinds() == [("heading", "Head"), ("paragraph", "One two"), ("item", "x"), ("row", "A\tB")], r.kinds()
    with tap.case("ODS and ODP: sheets and slides"):
        r = run(d.odf("spreadsheet", '<table:table table:name="Sums"><table:table-row><table:table-cell '
                      'table:number-columns-repeated="2"><text:p>7</text:p></table:table-cell><table:table-cell '
                      'table:number-columns-repeated="16000"/></table:table-row></table:table>'), "a.ods")
        assert r.kinds()[0] == ("heading", "Sums") and r.texts[1].split() == ["7", "7"], r.kinds()
        r = run(d.odf("presentation", '<draw:page draw:name="Intro"><text:p>a</text:p></draw:page><draw:page>'
                      '<text:p>b</text:p></draw:page>'), "a.odp")
        assert [(b["text"], b["page"]) for b in r.blocks] == [("Intro", 1), ("a", 1), ("b", 2)], r.blocks
    with tap.case("EPUB: chapters in the order of the spine, each once"):
        r = run(d.epub(["<html><body><h1>I</h1><p>first</p></body></html>", "<html><body><p>second</p></body></html>"],
                       spine=["c1", "c0", "c1", "none"]), "a.epub")
        assert r.texts == ["second", "I", "first"] and r.end["title"] == "The Kettle", r.texts


def test_pdf(tap):
    with tap.case("PDF: headings by size, lines joined, hyphens mended, pages"):
        r = run(d.pdf([d.page(1), [(11, 72, 700, "A hyphen-"), (11, 72, 686, "ated word."), (11, 72, 600, "Apart.")]]),
                "a.pdf")
        assert r.kinds() == [("heading", "Chapter 1"),
                             ("paragraph", "Nothing happens here. It goes on in the next line."),
                             ("paragraph", "A hyphenated word."), ("paragraph", "Apart.")], r.kinds()
        assert [b["page"] for b in r.blocks] == [1, 1, 2, 2] and r.end["pages"] == 2 and r.end["notes"] == []
        offsets_are_right(r)
    with tap.case("PDF: 1,000 pages, the first blocks long before the last"):
        data = d.pdf([d.page(i, "The secret of page %d." % i) for i in range(1, 1001)])
        r = run(data, "a.pdf")
        assert any(b["page"] == 900 and "secret of page 900." in b["text"] for b in r.blocks)
        print("# 1,000 pages in %.2f s" % r.seconds)
        assert r.seconds < 15
    with tap.case("PDF: a page as a picture, with boxes of the words looked for"):
        r = run(d.pdf([d.page(1)]), "a.pdf", "1", "300", "happens", mode="page")
        assert r.page["width"] == 300 and len(r.pixels) == r.page["stride"] * r.page["height"]
        assert len(r.page["boxes"]) == 1 and set(r.pixels) != {255}
        x, y, w, h = r.page["boxes"][0]
        assert 36 < x < 200 and 40 < y < 80 and w > 5 and h > 3, r.page
    with tap.case("PDF: a picture in JPEG 2000"):
        r = run(d.picture_pdf(), "a.pdf", "1", "100", mode="page")
        middle = r.page["stride"] * (r.page["height"] // 2) + 4 * (r.page["width"] // 2)
        blue, green, red = r.pixels[middle:middle + 3]
        assert all(abs(a - b) <= 3 for a, b in zip((red, green, blue), d.JPX_COLOUR)), (red, green, blue)
    with tap.case("PDF: a page that is not there"):
        refused(run(d.pdf([d.page(1)]), "a.pdf", "2", "300", mode="page"), "format", "page 2")


def test_order(tap):
    """As bad as hostile: a passage cited from a wrong slide or sheet."""
    relations = "<Relationships>%s</Relationships>" % "".join(
        '<Relationship Id="r%d" Type="x/%s" Target="%s"/>' % row for row in (
            (1, "slide", "slides/slide2.xml"), (2, "slide", "/ppt/slides/slide1.xml")))
    slide = "<p:sld %s><p:sp><a:p><a:r><a:t>%%s</a:t></a:r></a:p></p:sp></p:sld>" % d.A
    with tap.case("PPTX: slides stand in the presentation's order, each with its own notes"):
        result = run(d.archive([
            ("ppt/presentation.xml", '<p:presentation %s xmlns:r="urn:r"><p:sldId id="256" r:id="r1"/><p:sldId id="257" r:id="r2"/>'
             '</p:presentation>' % d.A), ("ppt/_rels/presentation.xml.rels", relations),
            ("ppt/slides/slide1.xml", slide % "made first"), ("ppt/slides/slide2.xml", slide % "shown first"),
            ("ppt/slides/_rels/slide2.xml.rels", '<Relationships><Relationship Id="n" Type="x/notesSlide" '
             'Target="../notesSlides/notesSlide1.xml"/></Relationships>'),
            ("ppt/notesSlides/notesSlide1.xml", slide % "said first")]), "a.pptx")
        assert [(b["text"], b["page"]) for b in result.blocks] == [
            ("shown first", 1), ("said first", 1), ("made first", 2)], result.blocks
    sheet = '<worksheet %s><sheetData><row><c t="inlineStr"><is><t>%%s</t></is></c></row></sheetData></worksheet>' % d.X
    with tap.case("XLSX: names and sheets belong together by their relations"):
        result = run(d.archive([
            ("xl/workbook.xml", '<workbook %s xmlns:r="urn:r"><sheets><sheet name="One" r:id="r1"/><sheet name="Two" r:id="r2"/>'
             '</sheets></workbook>' % d.X), ("xl/_rels/workbook.xml.rels", relations.replace(
                 "slides/slide", "worksheets/sheet").replace("/ppt/", "/xl/")),
            ("xl/worksheets/sheet1.xml", sheet % "of two"), ("xl/worksheets/sheet2.xml", sheet % "of one")]), "a.xlsx")
        assert " ".join(result.texts).split() == "One of one Two of two".split(), result.texts


def test_old_office(tap):
    with tap.case("an old office file is named as such"):
        refused(run(b"\xd0\xcf\x11\xe0" + b"\0" * 600, "a.doc"), "unsupported", "2007; save")
    with tap.case("… in the person's language"):
        there = dict(LC_ALL="C.UTF-8", LANGUAGE="zh_CN", TEXTDOMAINDIR=os.environ["INGLENOOK_LOCALE"])
        refused(run(b"\xd0\xcf\x11\xe0" + b"\0" * 600, "a.doc", environment=there), "unsupported", "另存为")


def test_confined(tap):
    with tap.case("the reader says what holds it, and something does"):
        r = run(b"x", "a.txt")
        assert r.confined["limits"] and (r.confined["seccomp"] or r.confined["landlock"] > 0), r.confined
        print("# %r" % r.confined)
    with tap.case("it can read no file of the person's, write none, connect nowhere and start nothing"):
        done = subprocess.run([READER, "try"], capture_output=True, text=True, check=True)
        assert done.stdout == "", done.stdout
    with tap.case("its memory ends at the limit"):
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print("# at most %d MB" % (most >> 10))
        assert most < 1536 << 10
    with tap.case("the window's program links no parser of documents"):
        program = os.environ.get("INGLENOOK_PROGRAM")
        needed = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
        for library in ("poppler", "libarchive", "libxml2", "uchardet"):
            assert library not in needed, library


def main():
    tap = Tap()
    for test in (test_text, test_office, test_pdf, test_order, test_old_office, test_confined):
        test(tap)
    return tap.done()


sys.exit(main())
