# SPDX-License-Identifier: Apache-2.0
"""Manuals in other formats: by pandoc, and the tables of a page as the sheets of an XLSX file."""
import html.parser
import os
import subprocess
import zipfile
from xml.sax.saxutils import escape

PANDOC = {"docx": "docx", "odt": "odt", "pptx": "pptx", "epub": "epub", "rtf": "rtf", "md": "gfm"}
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


class Tables(html.parser.HTMLParser):
    """All tables of a page: lists of rows of cells."""

    def __init__(self):
        super().__init__()
        self.tables, self.cell = [], None

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            self.cell = []

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self.cell is not None:
            self.tables[-1][-1].append(" ".join("".join(self.cell).split()))
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell.append(data)


def sheet(rows):
    out = []
    for i, row in enumerate(rows, 1):
        cells = "".join('<c r="%s%d" t="inlineStr"><is><t>%s</t></is></c>' % (chr(ord("A") + j), i, escape(cell))
                        for j, cell in enumerate(row[:26]))
        out.append('<row r="%d">%s</row>' % (i, cells))
    return '<worksheet xmlns="%s"><sheetData>%s</sheetData></worksheet>' % (MAIN, "".join(out))


def write_xlsx(source, target):
    tables = Tables()
    with open(source, encoding="utf-8") as f:
        tables.feed(f.read())
    sheets = [t for t in tables.tables if len(t) > 2]
    numbers = range(1, len(sheets) + 1)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml."
    parts = {
        "[Content_Types].xml": '<Types xmlns="%s/content-types"><Default Extension="rels" ContentType="application/vnd.'
        'openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="%ssheet.main+xml"/>'
        "%s</Types>" % (PACKAGE, kind, "".join(
            '<Override PartName="/xl/worksheets/sheet%d.xml" ContentType="%sworksheet+xml"/>' % (i, kind) for i in numbers)),
        "_rels/.rels": '<Relationships xmlns="%s/relationships"><Relationship Id="r1" Type="%s/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>' % (PACKAGE, RELATIONS),
        "xl/workbook.xml": '<workbook xmlns="%s" xmlns:r="%s"><sheets>%s</sheets></workbook>' % (MAIN, RELATIONS, "".join(
            '<sheet name="Table %d" sheetId="%d" r:id="r%d"/>' % (i, i, i) for i in numbers)),
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="%s/relationships">%s</Relationships>' % (PACKAGE, "".join(
            '<Relationship Id="r%d" Type="%s/worksheet" Target="worksheets/sheet%d.xml"/>' % (i, RELATIONS, i)
            for i in numbers)),
    }
    parts.update({"xl/worksheets/sheet%d.xml" % i: sheet(t) for i, t in zip(numbers, sheets)})
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in parts.items():
            z.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)


def convert(source, kind, target):
    """Write @source, a page of HTML, as @kind to @target; what is there already stays."""
    if os.path.exists(target):
        return
    if kind == "xlsx":
        write_xlsx(source, target)
        return
    subprocess.run(["pandoc", "-s", "-f", "html", "-t", PANDOC[kind], os.path.abspath(source), "-o", os.path.abspath(target)],
                   check=True, cwd=os.path.dirname(os.path.abspath(source)), stderr=subprocess.DEVNULL)
