#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up the test logs that Meson wrote and prints the one line that ./check ends with.

count-tests.py [--failed-steps N] TESTLOG.json...

A test that speaks TAP counts by its cases, any other as one. A test that Meson calls failed counts
at least one failure even if every case it got to passed (it crashed, or ran too long). N steps
of ./check that failed otherwise (a build, say) are N failures, and so is a log that is not there.
"""
import json
import re
import sys

# One line of TAP: cases of a subtest are indented and belong to the line that closes it.
CASE = re.compile(r"^(not )?ok\b[^#\n]*(#\s*(skip|todo))?", re.IGNORECASE)
GOOD = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP"}


def cases_of(stdout):
    passed = failed = skipped = 0
    for line in (stdout or "").splitlines():
        match = CASE.match(line)
        if not match:
            continue
        directive = (match.group(3) or "").lower()
        if directive == "skip":
            skipped += 1
        elif match.group(1) and directive != "todo":
            failed += 1
        else:
            passed += 1
    return passed, failed, skipped


def count(test):
    result = test["result"]
    passed, failed, skipped = cases_of(test.get("stdout"))
    if result in SKIPPED:
        return 0, 0, max(1, skipped)
    if result in GOOD:
        if failed:
            return passed, failed, skipped
        return (passed, 0, skipped) if passed + skipped else (1, 0, 0)
    return passed, max(1, failed), skipped


def main():
    arguments = sys.argv[1:]
    failed_steps = 0
    if arguments[:1] == ["--failed-steps"]:
        failed_steps = int(arguments[1])
        arguments = arguments[2:]
    totals = [0, 0, 0]
    bad = []
    for path in arguments:
        try:
            with open(path, encoding="utf-8") as log:
                tests = [json.loads(line) for line in log if line.strip()]
        except FileNotFoundError:
            totals[1] += 1
            bad.append("the tests that %s should tell of" % path)
            continue
        for test in tests:
            counts = count(test)
            totals = [a + b for a, b in zip(totals, counts)]
            if counts[1]:
                bad.append("%s (%s, in %s)" % (test["name"], test["result"].lower(), path))
    totals[1] += failed_steps
    if not sum(totals):
        totals[1] = 1
        bad.append("no test ran")
    for name in bad:
        print("failed: %s" % name)
    line = "%d passed, %d failed" % (totals[0], totals[1])
    if totals[2]:
        line += ", %d skipped" % totals[2]
    print(line)
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
