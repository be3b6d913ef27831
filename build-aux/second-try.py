#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs again, once and one after the other, the tests of a Meson log that failed while they drove a window or
a program of their own, and puts the second results into the log in place of the first.

    second-try.py --suites ui,app TESTLOG.json MESON-TEST-COMMAND...

Such tests depend on an X server, an accessibility bus and time: on a machine that others load, one in some hundred
runs fails. Tests of other suites have no such excuse, so where one of those failed nothing is run again. A test
that passes only now is named. The exit status is 0 if nothing is left that failed.
"""
import json
import os
import subprocess
import sys

BAD = {"FAIL", "ERROR", "TIMEOUT", "INTERRUPT"}
MOST = 3  # more failures than this are not chance


def read(path):
    with open(path, encoding="utf-8") as log:
        return [json.loads(line) for line in log if line.strip()]


def suite_of(test):
    """'ui' of "inglenook:ui / kill", or of "inglenook:ui+slow / kill"."""
    return test["name"].split(" / ")[0].split(":")[-1].split("+")[0]


def main():
    if len(sys.argv) < 5 or sys.argv[1] != "--suites":
        sys.exit(__doc__)
    suites, path, command = sys.argv[2].split(","), sys.argv[3], sys.argv[4:]
    try:
        first = read(path)
    except FileNotFoundError:
        return 1
    failed = [test for test in first if test["result"] in BAD]
    if not failed or len(failed) > MOST or any(suite_of(test) not in suites for test in failed):
        return 1
    names = [test["name"] for test in failed]
    print("== second try of %s" % ", ".join(names), flush=True)
    os.remove(path)
    subprocess.run(command + ["--num-processes", "1"] + [name.split(" / ")[-1] for name in names], check=False)
    try:
        second = {test["name"]: test for test in read(path)}
    except FileNotFoundError:
        second = {}
    merged = [second.get(test["name"], test) if test in failed else test for test in first]
    with open(path, "w", encoding="utf-8") as log:
        log.writelines(json.dumps(test) + "\n" for test in merged)
    left = [test for test in merged if test["result"] in BAD]
    for test in failed:
        if test["name"] not in [other["name"] for other in left]:
            print("%s failed at first and passed at its second try" % test["name"], flush=True)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
