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


# ---------------------------------------------------------------- pages that are pictures

# A line of type each, as black dots on white, compressed: so that tests need no font.
ENGLISH_LINE = "The lighthouse keeper paid nine coins for the lamp."
CHINESE_LINE = "灯塔看守人每年春天检查海边的小屋。"
# ENGLISH_LINE
ENGLISH_DOTS = (880, 47, base64.b64decode(
    "eNrt189rIzcUB/AnBFUPwbruYVbqn5CjD1PPv2TYQwVr7Ak++Nh/oNB/I7eVyaHH/QcWVqGH3lpBL4JOrX6fZuz1+McSSggtZMCeJM/SRx7p6SlE"
    "r9frVa7FV6OmvItwy2/4qb4QPbluiKbD/ct129/EbvhdteXmLmvu6ZoZtFFw6FZ21zWdd8+t+Sdp86KJp2jVoFXHf5yPEPru61r/JtonaDRol669"
    "dntp3jSNNflc2vy/p6nn0uIVrSEZeE3K/Phr1F29JBVkW4mOZtCktySi3Hik7WOgeaKmNbSYktLe4EUJ6zBRR65qSAeySUbx4EXe/FhiTibxEGbc"
    "sGi51Yk1lR//SLb7PnOLtlKZcktGtSuvOvlzFJl+C/RuRzkYkaE1weAlkc26kxlabhuMJelOfPQybz6UmNM78THl9t2uaDZ727GmPzzmznYNGnXQ"
    "dBbZk9HoXe/khyRzC+0HjCEame9JraLBC4Mi26ncurfZr1izu17LJebQz+e/s0fDoq1DbVgzWqSZahvlnYFmvpHbQGYiQjRaxoVa+9+Jlrr1ycht"
    "wuNOBi+N+Zl9q6V36Cje8sRr8YnnrY+5G32XmrVHw6Lx12KtUgKjbWfSxwm0Cg0jGUycqxVGpEXAo19wB/gUNAyqDMxjJRgBTYTAq8ShH9b2MXUX"
    "EeKGZU2GedFqJcIEQxM+6F4jaLVs3RTfq5oUzcmWpkZxJy3u7bQqPVb8bKjX5ui+rMkhJu8w0YEbDpo60RQ/SWhzqvCp6VSuvZlQiKz5E014/hgV"
    "LRYN3Q+a2GsI8wZatDjWtkGt28oihm64lWPNHGn6i4bB4RHUFFlLrEWe76LVF7WcL2i61TlSFVROq7z2E5uLJnyToE33WpOPtMVY4xjSuNfEWKvG"
    "moqsvT3X8nWtac81fVkzdqSJjjUbT7Vtml7VdDjX7PpEi6WaIumPNaQW8tHyfodn7yfYMYv2EEYab6sHTcbxvPE+OZMXNZXGmmXNuDPNX9ewMZ5p"
    "9RWNxpouWj1oZtDkQztekyPNnWvT0zVZDgluQkf55mtSirWK05m1yUFzo3wrh4Qh38pXPsq3oqkTrRyA3A1rcthLiobs550LI5e+0oO2Hmum1LBh"
    "L+k1xdp8Hzto7UirDlqEthg03WvYJ4vGm3Pq98ljzRxpbqzVumgL/mvRZmUvMUXz0Bwad2+0xCM22GKnVq5RAzzP71Kvt0MN6DV952l2wzUAHXnX"
    "1wBoboi52hZtqfeaLfmGQgStg9Z0In9CmUK+ocOcdF5n1DfWVqh696hvB00hp/r6xonLGYCG0FabPubsX0VDw0HTu75234WJYM0myj+hxObAJwWu"
    "mPIzareH9h61e4rafb/XUGSH2s0aZzdqN7Rm08ec/rNo73d7TZaTgs3bMCHWVKAGOxdOIFy4rBed/MXTqqySRMs3hpaHfKPd/lyy37lwLoFmN33M"
    "qcd+lSQKxwei+nCoPr8OIfdv//U5bTgX4VV7Ju0l58296CrBsfUFNZvpBTWVXlJ7vf4/1z82CFT+"))
# CHINESE_LINE
CHINESE_DOTS = (724, 50, base64.b64decode(
    "eNrt1z2O20YUB/AZT+BJsdCodMGQzg2cTgYmYjpfw0AuoHQ0oFhcbAB3cZtur5EiSGi4cBMgV5i1iy13DBdmEEGT/3tvSJHWJqmSIrCwWEkU+SP1"
    "voZS6uPj//Cww1MYtpzNdzDytBo3dPxf8/4P+HVx3Dt8SOvO8UaTWqW8bBkOse2chukzvVANb/JsbjJtU0oHPlKn1Au9wzaI6/Gi/D/QFdG4CM9v"
    "/46uhS7ntKN/Fe+Of6nFJ9u8g+tAm5DpeDv9Am9Bh9FiuvkL+qnil50N2Koj092RVhQqibVXQufvfqR35JHaCb3LdMq0eUtbe6ElrzP6kzlNUUmZ"
    "TiOt5JoouTrom0zrK9phS3SVzk/pBdGd0xLrdkJrpusT2rzCU7XH+687zsiK6IsT+pUTWt1C885bKY4w0HWyLwM90XURfQ9xakHTYdM06utS6GWm"
    "vUSbWMPN0RDt8FE/0uf4Ct9et0NyiC7sM9B3VLg3oT1o0zkfpKIntBzYn9AO2/TbNyFnXGhDtG1DM6EpwfXBbYOwE9r9klJAbc1pHUoEyVxd4dKr"
    "XaKQNxb0cxwG2g+jQ+lXkWl14LAyXWS6QoQCOoJiLcEReqtq5V6Eg1otMm1AXxKtZnRgWqfWUAJjcaTXE1qCI/ReVW2tQ90+VRP6Z6HLkaZCojSa"
    "607oPJWIPltREXfclG6kTeiV0wcdXKwxN/xA/wTaMY0r2jPdMm1fxhltuNELnOGS6mYnJUlhMfF9uja9Dja6dvN4pH84pbnRu+p8L9xA0zmaNehq"
    "pPncwfSP0mt8m6CCbTfR273aEN0CXqjgjvQzoWu1a7kBuGXaTFe30XuLuqH43Ddq08zokmmZmMpmmlLjxm4E3RPtMBhKTuMWBwpt93kUUk1tVkRH"
    "pgPTtrWq4TMPdI8aqCa0ZdqOdM81QiGzhwkdl9RxoKvURodQMh25VK0M1e59+l0aXclaYH8k+o7ONBqHU0j0DQ2KgVZEB5tpfmm5rHBMph+h2TDg"
    "uHwpjc4PYWeaYhEkue5miW4ueLpxCL0WumHadNbk2Z1pi6Xmj06ZkS5mtJVGt0RfN/GURqxBN0w7zTVM88LL+m3fMb1kuixnNKUB6aMMVK9XA62f"
    "Mw2NaC90sFXKdDvSbzjWjdALjuQQ6zriwoX+LPhNlFjrjqbASC+QbNQ76IOsqt1Amwumt0x7mpfxHj5geg36UjLw5ZE2XXgMGpkjGlcTiXZYgHj1"
    "cDSe9K9V2hvDtGd6SwmNXufJ4kF/j50x0R+GohnoFyGCdkIXQqNQTHufC5TpPWgqL8S6ZLqn1oz1QC9Bf4edkYEnoWyCxNqch55o1AJ144KaXzHN"
    "7VhSaZrDB7Tmqo/VxTAPpeTXCNM3oXySaXRU0yhfDbRhejHQBa0yVV/wMqZ4EhRUwFSawV10+U5HaHx39UUoHx7pB6DXJmW6A90vKqom1Iin24hd"
    "YJqPZ9rSwqXCXe7Y1UhvbUDRLD7vJNaOh7nfDrQmelMSbVCqfk20OtJICdfNnipvpCM1qu4N1SNdXaa5rlfmILRqQX/FNE2apuR7lCN9l666anFj"
    "p/PSPNIIU88nbIWu+Ai/xNaCs8T3ISV9jjsnxVFW6hhrbvSa/k5oFOqB6HxfrEqmdzIJR9qTssAAiWe30RCrTkt3H+m6Q+iIzgsrWRvF97e30Drf"
    "fnDx5aFaIKgIN80BPtWYxsQnDLu84EQ6cGPe0eiquNlmNEpxsZ3TlecJx+vMb1Ma2cIJJzQdGO0V32NgNUDir0A39BloNJ3r57Tbo/YUX7lKM5rH"
    "6pyuMUV3cvtSIcVpoC03Dq9VOdZWaI4D/TZJahJrw3ev+vgji0YiVmCbJNwzGvmW+T5NI76FpgNpxOynNC+mjyf0p1ylwwP1o3bogyXfOu3/vd+j"
    "8eNP8v/w8SetRUzK"))


def scanned_pdf(pages):
    """Each page is the text of a line (11 points, not a picture), or a list of dots that a scanner saw at 200 dots an inch."""
    objects = [None, None, b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for page in pages:
        number = len(objects) + 1
        kids.append(b"%d 0 R" % number)
        if isinstance(page, str):
            resources = b"/Font << /F1 3 0 R >>"
            content = b"BT /F1 11 Tf 72 700 Td (%s) Tj ET" % page.encode("latin-1")
            more = []
        else:
            width, row, rows = 1654, 207, []  # dots across A4, bytes of them
            for across, high, dots in page:
                data = zlib.decompress(dots)
                stride = (across + 7) // 8
                rows += [bytes(row)] * 60
                rows += [bytes(25) + data[y * stride:(y + 1) * stride] + bytes(row - 25 - stride) for y in range(high)]
            rows += [bytes(row)] * (2339 - len(rows))
            resources = b"/XObject << /I %d 0 R >>" % (number + 2)
            content = b"q 595 0 0 842 0 0 cm /I Do Q"
            more = [stream(zlib.compress(b"".join(rows)), b"/Type /XObject /Subtype /Image /Width %d /Height 2339 /ColorSpace "
                           b"/DeviceGray /BitsPerComponent 1 /Decode [1 0] /Filter /FlateDecode " % width)]
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << %s >> >>" % (
            number + 1, resources))
        objects.append(stream(content))
        objects += more
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    return pdf_file(objects)


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
