# SPDX-License-Identifier: Apache-2.0
"""Scripts that compare with llama.cpp need Python packages that few have: they are skipped without, and start again with
the interpreter that INGLENOOK_PYTHON names where that has them."""
import importlib
import os
import sys


def need(*packages):
    """Returns if all can be imported; else this process becomes INGLENOOK_PYTHON's, or ends as skipped."""
    try:
        for name in packages:
            importlib.import_module(name)
    except ImportError as missing:
        other = os.environ.pop("INGLENOOK_PYTHON", None)
        if other:
            os.execv(other, [other, *sys.argv])
        print("1..0 # SKIP %s" % missing)
        sys.exit(0)
