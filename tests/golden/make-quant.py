#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes data/quant.bin: blocks of random bits of every weight format and what the `gguf` Python
package (0.17 or later; numpy) decodes them to. Run: make-quant.py [OUT]

File: for each type u32 type, u32 n_elements, u32 n_bytes, n_bytes of blocks, n_elements float32;
all little-endian. Scales are drawn from all finite binary16 values, so that subnormal and negative
ones are among them."""
import os
import struct
import sys

import gguf
import numpy as np

TYPES = "F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4".split()
# Byte offsets of the binary16 scales in a block.
SCALES = {"F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
          "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
          "IQ4_NL": [0], "IQ4_XS": [0]}


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "data", "quant.bin")
    rng = np.random.default_rng(20260401)
    with open(out, "wb") as f:
        for name in TYPES:
            qtype = gguf.GGMLQuantizationType[name]
            block, size = gguf.GGML_QUANT_SIZES[qtype]
            n_blocks = {1: 256, 32: 16, 256: 4}[block]
            raw = rng.integers(0, 256, (n_blocks, size), dtype=np.uint8)
            for at in SCALES.get(name, []):
                scale = raw[:, at:at + 2].copy().view(np.uint16)
                scale[(scale & 0x7C00) == 0x7C00] &= 0xBFFF
                raw[:, at:at + 2] = scale.view(np.uint8)
            if name == "BF16":
                value = raw.view(np.uint16)
                value[(value & 0x7F80) == 0x7F80] &= 0xBFFF
            if name == "MXFP4":
                raw[:4, 0] = [0, 1, 2, 250]
            if name == "F16":
                y = raw.view(np.float16).astype(np.float32)
            else:
                y = gguf.quants.dequantize(raw, qtype).astype(np.float32)
            y = y.reshape(-1)
            f.write(struct.pack("<III", int(qtype), y.size, raw.size))
            f.write(raw.tobytes())
            f.write(y.astype("<f4").tobytes())


main()
