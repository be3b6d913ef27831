#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Importance of tiny.gguf's weights over importance.txt, from transformers: data/tiny-importance.npy.

The sums of squares of what each matrix is multiplied with, over chunks of 64 tokens, float32: for each of the two layers
attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up (64 numbers each) and ffn_down (128), one behind the other. Needs golden.py's
packages; INGLENOOK_ENGINE is the engine's command, whose tokenizer has tests of its own.
"""
import json
import os
import subprocess

import numpy as np
import torch

import golden

CHUNK = 64
MODULES = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
           "mlp.up_proj", "mlp.down_proj"]


def main():
    path = golden.here("data", "tiny.gguf")
    ids = json.loads(subprocess.run(
        [os.environ["INGLENOOK_ENGINE"], "tokenize", path, "--text-file", golden.here("importance.txt"), "--json"],
        check=True, capture_output=True).stdout)["ids"]
    model, _ = golden.load_float32(path)
    sums = {}

    def watch(key):
        def hook(_module, inputs):
            x = inputs[0].double().reshape(-1, inputs[0].shape[-1])
            sums[key] = sums.get(key, 0) + (x * x).sum(0)
        return hook

    keys = [(i, name) for i in range(2) for name in MODULES]
    for i, name in keys:
        model.get_submodule("model.layers.%d.%s" % (i, name)).register_forward_pre_hook(watch((i, name)))
    with torch.no_grad():
        for at in range(0, len(ids), CHUNK):
            model(torch.tensor([ids[at:at + CHUNK]]))
    result = np.concatenate([sums[key].numpy() for key in keys]).astype(np.float32)
    np.save(golden.here("data", "tiny-importance.npy"), result)
    print("%d tokens, %d numbers" % (len(ids), len(result)))


if __name__ == "__main__":
    main()
