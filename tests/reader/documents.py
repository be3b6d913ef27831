# SPDX-License-Identifier: Apache-2.0
"""Small documents of all formats, made here: whole ones and hostile ones."""
import base64
import hashlib
import io
import struct
import zipfile
import zlib

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" ' \
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
X = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
ODF = ('xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
       'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
       'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
       'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"')


def archive(entries, compression=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, text in entries:
            file.writestr(name, text)
    return out.getvalue()


def paragraph(text, style="", extra=""):
    properties = "<w:pPr>%s%s</w:pPr>" % ('<w:pStyle w:val="%s"/>' % style if style else "", extra)
    return "<w:p>%s<w:r><w:t>%s</w:t></w:r></w:p>" % (properties, text)


def table(rows):
    return "<w:tbl>%s</w:tbl>" % "".join(
        "<w:tr>%s</w:tr>" % "".join("<w:tc>%s</w:tc>" % paragraph(cell) for cell in row) for row in rows)


def docx(body, more=()):
    styles = ('<w:styles %s><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
              '<w:style w:styleId="H2"><w:name w:val="heading 2"/></w:style></w:styles>' % W)
    core = '<c xmlns:dc="urn:x"><dc:title>Heat pumps</dc:title></c>'
    return archive([("[Content_Types].xml", "<Types/>"), ("word/styles.xml", styles), ("docProps/core.xml", core),
                    ("word/document.xml", "<w:document %s><w:body>%s</w:body></w:document>" % (W, body)), *more])


def pptx(slides):
    entries = [("ppt/presentation.xml", "<p:presentation %s/>" % A)]
    for i, (title, lines) in enumerate(slides):
        shapes = '<p:sp><p:nvPr><p:ph type="title"/></p:nvPr><a:p><a:r><a:t>%s</a:t></a:r></a:p></p:sp>' % title
        shapes += "<p:sp>%s</p:sp>" % "".join("<a:p><a:r><a:t>%s</a:t></a:r></a:p>" % line for line in lines)
        entries.append(("ppt/slides/slide%d.xml" % (i + 1), "<p:sld %s>%s</p:sld>" % (A, shapes)))
    return archive(entries)


def xlsx(sheet=None):
    strings = "<sst %s><si><t>City</t></si><si><r><t>Hang</t></r><r><t>zhou</t></r></si><si><t>Tea</t></si></sst>" % X
    sheet = sheet or ('<worksheet %s><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="s"><v>2</v></c></row>'
                      '<row r="2"><c r="A2" t="s"><v>1</v></c><c r="B2"><v>12.5</v></c><c r="C2" t="inlineStr"><is><t>green'
                      '</t></is></c></row><row r="3"/></sheetData></worksheet>' % X)
    return archive([("xl/workbook.xml", '<workbook %s><sheets><sheet name="Towns"/></sheets></workbook>' % X),
                    ("xl/sharedStrings.xml", strings), ("xl/worksheets/sheet1.xml", sheet)])


def odf(kind, body, more=()):
    return archive([("mimetype", "application/vnd.oasis.opendocument." + kind),
                    ("content.xml", "<office:document-content %s><office:body><office:%s>%s</office:%s></office:body>"
                     "</office:document-content>" % (ODF, kind, body, kind)), *more])


def epub(chapters, spine=None, more=()):
    items = "".join('<item id="c%d" href="c%d.xhtml"/>' % (i, i) for i in range(len(chapters)))
    refs = "".join('<itemref idref="%s"/>' % ref for ref in spine or ["c%d" % i for i in range(len(chapters))])
    return archive([("mimetype", "application/epub+zip"),
                    ("META-INF/container.xml", '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles>'
                     '</container>'),
                    ("OPS/book.opf", '<package xmlns:dc="urn:x"><metadata><dc:title>The Kettle</dc:title></metadata>'
                     '<manifest>%s</manifest><spine>%s</spine></package>' % (items, refs)),
                    *(("OPS/c%d.xhtml" % i, text) for i, text in enumerate(chapters)), *more])


# ---------------------------------------------------------------- PDF

def pdf_file(objects, root=1):
    """Objects are bytes, numbered from 1."""
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    xref = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    for place in places:
        out.write(b"%010d 00000 n \n" % place)
    out.write(b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, root, xref))
    return out.getvalue()


def stream(data, filters=b""):
    return b"<< /Length %d %s>>\nstream\n%s\nendstream" % (len(data), filters, data)


def pdf(pages, box=b"0 0 595 842", catalog=b"", encoded=None):
    """Each page is a list of (size, x, y, text[, colour operator])."""
    objects = [None, None, b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for lines in pages:
        content = b""
        for size, x, y, text, *colour in lines:
            content += b"%s BT /F1 %g Tf %g %g Td (%s) Tj ET\n" % (
                colour[0] if colour else b"0 g", size, x, y, text.encode("latin-1"))
        number = len(objects) + 1
        kids.append(b"%d 0 R" % number)
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [%s] /Contents %d 0 R "
                       b"/Resources << /Font << /F1 3 0 R >> >> >>" % (box, number + 1))
        objects.append(encoded(content) if encoded else stream(content))
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R %s>>" % catalog
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    return pdf_file(objects)


def page(number, body="Nothing happens here."):
    return [(20, 72, 760, "Chapter %d" % number), (11, 72, 720, body), (11, 72, 706, "It goes on in the next line.")]


# 16 by 16 points of red 20, green 180, blue 60 as JPEG 2000, without loss.
JPX = base64.b64decode(
    "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAAEAAAABAAAwcHAAAAAAAPY29scgEAAAAAABAAAADZanAy"
    "Y/9P/1EALwAAAAAAEAAAABAAAAAAAAAAAAAAABAAAAAQAAAAAAAAAAAAAwcBAQcBAQcBAf9SAAwAAAABAAAEBAAB/1wABEBA/2QAJQABQ3JlYXRl"
    "ZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4w/5AACgAAAAAAYQAB/5PPtGQRUFSv30eytwAAAABhIS/4adgAAAADCQl/x9QyFABcr99HsrcAAAAA"
    "YSEv2sRAAADCQl//f8+0YBFQVK/0yCN/gAAAAAGEhL9o8AAAAwkJf//Z")
JPX_COLOUR = (20, 180, 60)


def picture_pdf():
    """A page that is one picture in JPEG 2000, as scanners make them."""
    return pdf_file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
                     b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] /Contents 4 0 R"
                     b" /Resources << /XObject << /I 5 0 R >> >> >>",
                     stream(b"q 100 0 0 100 0 0 cm /I Do Q"),
                     stream(JPX, b"/Type /XObject /Subtype /Image /Width 16 /Height 16 /ColorSpace /DeviceRGB"
                                 b" /BitsPerComponent 8 /Filter /JPXDecode ")])


PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")  # of PDF 1.7, 7.6.3.3


def rc4(key, data):
    state, j, out = list(range(256)), 0, bytearray()
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) & 255
        state[i], state[j] = state[j], state[i]
    i = j = 0
    for byte in data:
        i = (i + 1) & 255
        j = (j + state[i]) & 255
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) & 255])
    return bytes(out)


def locked_pdf(password, lines):
    """A page that opens with @password alone: the standard handler's first revision, RC4 of 40 bits."""
    def md5(data):
        return hashlib.md5(data, usedforsecurity=False).digest()
    user = (password.encode("latin-1") + PAD)[:32]
    owner = rc4(md5((b"owner" + PAD)[:32])[:5], user)
    key = md5(user + owner + struct.pack("<i", -4) + b"id")[:5]
    content = b"".join(b"BT /F1 %g Tf %g %g Td (%s) Tj ET\n" % (size, x, y, text.encode("latin-1"))
                       for size, x, y, text in lines)
    content = rc4(md5(key + struct.pack("<IB", 5, 0))[:10], content)  # of object 5, three bytes and two of its number
    encrypt = b"<< /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >>" % (
        owner.hex().encode(), rc4(key, PAD).hex().encode())
    data = pdf_file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
                     b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
                     b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R "
                     b"/Resources << /Font << /F1 3 0 R >> >> >>", stream(content)])
    return data.replace(b"/Root 1 0 R", b"/Root 1 0 R /Encrypt %s /ID [(id) (id)]" % encrypt)


def cyclic_pdf():
    return pdf_file([b"<< /Type /Catalog /Pages 2 0 R >>",
                     b"<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 2000000 >>",
                     b"<< /Type /Pages /Kids [2 0 R] /Parent 2 0 R /Count 1 >>"])


def bomb_pdf():
    """A page's content of 64 MB in a few hundred bytes."""
    def encoded(content):
        data = b" " * (64 << 20)
        for _ in range(2):
            data = zlib.compress(data, 9)
        return stream(data, b"/Filter [/FlateDecode /FlateDecode] ")
    return pdf([page(1)], encoded=encoded)


# ---------------------------------------------------------------- hostile archives

def overlapping_zip(name, n=2000):
    """n entries in the directory that share one local file of zeros."""
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    size = 8 << 20
    data = raw.compress(b" " * size) + raw.flush()
    crc = zlib.crc32(b" " * size)
    first = name.encode()
    local = struct.pack("<IHHHHHIIIHH", 0x04034b50, 20, 0, 8, 0, 0, crc, len(data), size, len(first), 0) + first + data
    directory = b""
    for i in range(n):
        entry = first if i == 0 else b"%s.%d" % (first, i)
        directory += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 20, 20, 0, 8, 0, 0, crc, len(data), size, len(entry),
                                 0, 0, 0, 0, 0, 0) + entry
    end = struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, n, n, len(directory), len(local), 0)
    return local + directory + end


def entity_bomb():
    entities = '<!ENTITY a0 "lol">' + "".join(
        '<!ENTITY a%d "%s">' % (i, ("&a%d;" % (i - 1)) * 10) for i in range(1, 12))
    return '<!DOCTYPE x [%s]><w:document %s><w:body>%s</w:body></w:document>' % (entities, W, paragraph("&a11;"))
