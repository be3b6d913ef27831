#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cuts a model down to its first layers and tokens, so that run-device has real weights that are quickly carried to a
card: 12 layers and 16,384 tokens of SmolLM2-135M-Instruct-Q4_1.gguf are 37 MB. What it says is nonsense, but a card and
a CPU must agree on it. Needs numpy and gguf.

    tests/device/make-cut.py MODEL CUT [--layers 12] [--tokens 16384]"""
import argparse

import gguf

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("cut")
parser.add_argument("--layers", type=int, default=12)
parser.add_argument("--tokens", type=int, default=16384)
args = parser.parse_args()

reader = gguf.GGUFReader(args.model)
architecture = reader.fields["general.architecture"].contents()
vocabulary = reader.fields["tokenizer.ggml.tokens"].contents()
kept = vocabulary[:args.tokens]
known = set(kept)
writer = gguf.GGUFWriter(args.cut, architecture)
for name, field in reader.fields.items():
    value = field.contents()
    if name.startswith("GGUF.") or name == "general.architecture":
        continue
    if name == f"{architecture}.block_count":
        value = min(value, args.layers)
    elif name == f"{architecture}.vocab_size":
        value = len(kept)
    elif name == "tokenizer.ggml.merges":
        value = [m for m in value if m.replace(" ", "", 1) in known]
    elif field.types[0] == gguf.GGUFValueType.ARRAY and len(value) == len(vocabulary):
        value = value[:args.tokens]
    if field.types[0] == gguf.GGUFValueType.ARRAY:
        writer.add_key_value(name, value, gguf.GGUFValueType.ARRAY, sub_type=field.types[-1])
    else:
        writer.add_key_value(name, value, field.types[0])
for tensor in reader.tensors:
    parts, data = tensor.name.split("."), tensor.data
    if parts[0] == "blk" and int(parts[1]) >= args.layers:
        continue
    if data.shape[0] == len(vocabulary):
        data = data[:args.tokens]
    writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
