#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reference vectors of all-MiniLM-L6-v2: mean of the last hidden states over all tokens, length 1, as
its model card says, by transformers on the hub folder.

    make-embeddings.py FOLDER      writes data/minilm-vectors.npy of the lines of minilm-sentences.txt

Needs from the Python registry: numpy, torch (CPU), transformers."""
import os
import sys

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

torch.set_grad_enabled(False)
here = os.path.dirname(os.path.abspath(__file__))
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModel.from_pretrained(sys.argv[1]).float().eval()
vectors = []
for line in open(os.path.join(here, "minilm-sentences.txt"), encoding="utf-8").read().splitlines():
    hidden = model(**tokenizer(line, return_tensors="pt", truncation=True, max_length=512))
    vectors.append(torch.nn.functional.normalize(hidden.last_hidden_state[0].mean(0), dim=0).numpy())
np.save(os.path.join(here, "data", "minilm-vectors.npy"), np.array(vectors, np.float32))
