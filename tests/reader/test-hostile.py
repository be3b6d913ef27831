# SPDX-License-Identifier: Apache-2.0
"""What hostile documents do besides being refused (test-reader.py): the reader's peak memory, what it writes, whom it
asks on the network, how soon it can be stopped, and files that are none or change meanwhile. D numbers as there.

    test-hostile.py READER
"""
import os
import socket
import struct
import sys
import tempfile
import threading
import zipfile
import io

import documents as d
from reader_run import read, run
from tap import Tap

MEMORY = 1 << 30
SECONDS = 60


class Listener:
    """Counts who connects."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.count = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            self.socket.accept()[0].close()
            self.count += 1


def ended_well(result):
    """It ended by itself, with its last frame, within memory and time."""
    assert result.signal == 0 and (result.end is None) != (result.error is None), str(result)
    assert result.memory <= MEMORY, "%d MB" % (result.memory >> 20)
    assert result.seconds <= SECONDS, result.seconds
    return result


def refused(result, *codes):
    ended_well(result)
    assert result.code in codes and len(result.error["text"]) > 5, str(result)


def good(result, words):
    ended_well(result)
    assert result.end is not None and words in result.text, str(result)
    return result


# ---------------------------------------------------------------- documents

def outline_cycle():
    """A title that is its own first child and its own next."""
    return d.pdf([d.page(1)], catalog=b"/Outlines << /Type /Outlines /First 3 0 R /Last 3 0 R /Count 1 >> ").replace(
        b"3 0 obj\n<< /Type /Font", b"3 0 obj\n<< /Title (Loop) /First 3 0 R /Next 3 0 R /Type /Font")


def object_stream_cycle():
    """Two object streams, each said to lie in the other."""
    data = b"%PDF-1.7\n"
    for number in (3, 4):
        data += (b"%d 0 obj\n<< /Type /ObjStm /N 1 /First 4 /Length 9 /Extends %d 0 R >>\nstream\n%d 0 (loop)\nendstream\n"
                 b"endobj\n" % (number, 7 - number, number - 2))
    rows = [(0, 0, 255), (2, 3, 0), (2, 4, 0), (2, 4, 0), (2, 3, 0), (1, len(data), 0)]
    table = b"".join(struct.pack(">BHB", *row) for row in rows)
    return data + (b"5 0 obj\n<< /Type /XRef /Size 6 /W [1 2 1] /Root 1 0 R /Length %d >>\nstream\n%s\nendstream\nendobj\n"
                   b"startxref\n%d\n%%%%EOF\n" % (len(table), table, len(data)))


def many_pages(n):
    """@n pages that share one content."""
    content = d.stream(b"BT /F1 11 Tf 72 700 Td (The same words on very many pages.) Tj ET")
    kids = b" ".join(b"%d 0 R" % (5 + k) for k in range(n))
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
    return d.pdf_file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, n),
                       b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", content] + [page] * n)


def padded_docx(part, n_mb):
    """A good letter with @n_mb of spaces in or as @part, never held in memory here: a child's peak counts its parent's."""
    out = io.BytesIO(d.docx(d.paragraph("Words of a good letter.")))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as file, file.open(part, "w") as entry:
        for _ in range(n_mb):
            entry.write(b" " * (1 << 20))
    return out.getvalue()


def lying_directory(field):
    """An archive whose first entry says another name, size or way of packing than the directory."""
    data = bytearray(d.docx(d.paragraph("Words of a good letter.")))
    at = data.index(b"PK\3\4", 4)
    if field == "name":
        data[at + 30] ^= 1
    elif field == "size":
        data[at + 22] ^= 1
    elif field == "method":
        data[at + 8] = 0
    return bytes(data)


# ---------------------------------------------------------------- cases

def pdf_cases(tap):
    with tap.case("D2: cyclic outlines and object streams end"):
        good(read(outline_cycle(), "outline.pdf"), "Nothing happens here.")
        ended_well(read(object_stream_cycle(), "objects.pdf"))
        ended_well(read(d.cyclic_pdf(), "pages.pdf"))
    with tap.case("D4: chained filters do not fill the memory"):
        ended_well(read(d.bomb_pdf(), "filters.pdf"))
    with tap.case("D5: of 100,000 pages the reader tells as it goes, and stops in 200 ms"):
        result = read(many_pages(100000), "many.pdf", stop_after=20)
        assert result.signal == 9 and result.seconds <= 0.2, str(result)
        assert result.progress or result.blocks, str(result)
    with tap.case("D8: boxes that are no numbers do not matter to text"):
        for box in (b"0 0 nan nan", b"0 0 0 0", b"-1e30 -1e30 1e30 1e30"):
            ended_well(read(d.pdf([d.page(1)], box=box), "box.pdf"))


def archive_cases(tap, listener):
    with tap.case("D10: parts that are not read may be large, those that are read may not"):
        good(read(padded_docx("word/media/picture.xml", 600), "picture.docx"), "good letter")
        ended_well(read(padded_docx("word/footnotes.xml", 600), "notes.docx"))
        refused(read(d.overlapping_zip("word/document.xml", 400), "bomb.docx"), "limit", "format")
    with tap.case("D12: entries that point out of the archive write nothing"):
        with tempfile.TemporaryDirectory() as folder:
            inside = os.path.join(folder, "a", "b")
            os.makedirs(inside)
            result = ended_well(read(d.docx(d.paragraph("Words of a good letter."), [
                ("../../escaped", "x"), (os.path.join(folder, "escaped"), "x"), ("word/../../../escaped", "x")]),
                                     "out.docx", cwd=inside))
            assert result.end is None or "good letter" in result.text, str(result)
            assert sorted(os.listdir(folder)) == ["a"] and os.listdir(inside) == []
    for field in ("name", "size", "method"):
        with tap.case("D13: another %s in the directory than before the entry is refused" % field):
            refused(read(lying_directory(field), "lying.docx"), "format")
    with tap.case("D15, D16, D22: nobody on the network is asked"):
        outer = '<!DOCTYPE b [<!ENTITY x SYSTEM "%s/x">]><w:document %s>&x;</w:document>' % (listener.url, d.W)
        ended_well(read(d.archive([("word/document.xml", outer)]), "outer.docx"))
        relation = '<Relationships><Relationship Id="r" Type="x/attachedTemplate" Target="%s/t" TargetMode="External"/>' \
                   '</Relationships>' % listener.url
        good(read(d.docx(d.paragraph("Words of a good letter."), [("word/_rels/document.xml.rels", relation)]), "a.docx"),
             "good letter")
        page = ("<html><head><link rel=stylesheet href='%s/c'></head><body><p>Shown words.</p><iframe src='%s/f'></iframe>"
                "<img src='%s/i'><script src='%s/s'></script></body></html>" % ((listener.url,) * 4))
        good(read(page, "page.html"), "Shown words.")
        assert listener.count == 0, listener.count


def order_cases(tap):
    """Not hostile, but as bad: a passage cited from a wrong slide or sheet."""
    relations = "<Relationships>%s</Relationships>" % "".join(
        '<Relationship Id="r%d" Type="x/%s" Target="%s"/>' % row for row in (
            (1, "slide", "slides/slide2.xml"), (2, "slide", "/ppt/slides/slide1.xml")))
    slide = "<p:sld %s><p:sp><a:p><a:r><a:t>%%s</a:t></a:r></a:p></p:sp></p:sld>" % d.A
    with tap.case("PPTX: slides stand in the presentation's order, each with its own notes"):
        result = good(read(d.archive([
            ("ppt/presentation.xml", '<p:presentation %s xmlns:r="urn:r"><p:sldId id="256" r:id="r1"/><p:sldId id="257" r:id="r2"/>'
             '</p:presentation>' % d.A), ("ppt/_rels/presentation.xml.rels", relations),
            ("ppt/slides/slide1.xml", slide % "made first"), ("ppt/slides/slide2.xml", slide % "shown first"),
            ("ppt/slides/_rels/slide2.xml.rels", '<Relationships><Relationship Id="n" Type="x/notesSlide" '
             'Target="../notesSlides/notesSlide1.xml"/></Relationships>'),
            ("ppt/notesSlides/notesSlide1.xml", slide % "said first")]), "a.pptx"), "made first")
        assert [(b["text"], b["page"]) for b in result.blocks] == [
            ("shown first", 1), ("said first", 1), ("made first", 2)], result.blocks
    sheet = '<worksheet %s><sheetData><row><c t="inlineStr"><is><t>%%s</t></is></c></row></sheetData></worksheet>' % d.X
    with tap.case("XLSX: names and sheets belong together by their relations"):
        result = good(read(d.archive([
            ("xl/workbook.xml", '<workbook %s xmlns:r="urn:r"><sheets><sheet name="One" r:id="r1"/><sheet name="Two" r:id="r2"/>'
             '</sheets></workbook>' % d.X), ("xl/_rels/workbook.xml.rels", relations.replace(
                 "slides/slide", "worksheets/sheet").replace("/ppt/", "/xl/")),
            ("xl/worksheets/sheet1.xml", sheet % "of two"), ("xl/worksheets/sheet2.xml", sheet % "of one")]), "a.xlsx"), "of two")
        assert result.text.split() == "One of one Two of two".split(), result.text


def file_cases(tap, reader):
    with tap.case("D23: 4 GB of text are refused at once, a program is no text"):
        with tempfile.TemporaryFile() as file:
            file.truncate(4 << 30)
            result = run(file.fileno(), "huge.txt")
            refused(result, "limit", "unsupported")
            assert result.seconds < 2, result.seconds
        with open(reader, "rb") as program:
            refused(read(program.read(), "program.txt"), "unsupported", "format")
        ended_well(read("words\0with\0NUL\n" * 10, "nul.txt"))
    with tap.case("D24: a pipe and a device are not waited for"):
        with tempfile.TemporaryDirectory() as folder:
            fifo = os.path.join(folder, "fifo")
            os.mkfifo(fifo)
            for path, flags in ((fifo, os.O_RDWR | os.O_NONBLOCK), ("/dev/zero", os.O_RDONLY)):
                descriptor = os.open(path, flags)
                try:
                    refused(run(descriptor, "odd.txt", timeout=10), "unsupported")
                finally:
                    os.close(descriptor)
    with tap.case("D24: a file that shrinks while it is read ends the reader at worst"):
        with tempfile.TemporaryFile() as file:
            file.write(b"word " * (8 << 20))
            file.flush()
            file.seek(0)
            threading.Timer(0.05, file.truncate, (100,)).start()
            result = run(file.fileno(), "shrinks.txt")
            assert result.end is not None or result.error is not None or result.signal, str(result)


def main():
    reader = sys.argv[1]
    tap, listener = Tap(), Listener()
    pdf_cases(tap)
    archive_cases(tap, listener)
    order_cases(tap)
    file_cases(tap, reader)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
