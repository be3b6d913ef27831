# SPDX-License-Identifier: Apache-2.0
"""TAP output for tests written in Python.

    tap = Tap()
    with tap.case("a name"):
        assert ...
    tap.skip("another", "why")
    sys.exit(tap.done())
"""
import contextlib
import sys
import traceback


class Tap:
    def __init__(self):
        self.n = self.n_failed = 0

    def result(self, good, name, comment=""):
        self.n += 1
        if not good:
            self.n_failed += 1
        for line in comment.splitlines():
            print("# " + line)
        if not good:  # Meson shows what a failed test said on standard error, not its TAP
            print("%s:\n%s" % (name, comment), file=sys.stderr, flush=True)
        print("%s %d - %s" % ("ok" if good else "not ok", self.n, name), flush=True)

    def skip(self, name, why):
        self.n += 1
        print("ok %d - %s # SKIP %s" % (self.n, name, why), flush=True)

    @contextlib.contextmanager
    def case(self, name):
        try:
            yield
        except Exception:  # pylint: disable=broad-except
            self.result(False, name, traceback.format_exc())
        else:
            self.result(True, name)

    @staticmethod
    def skip_all(why):
        """Meson takes the plan of no tests for "skipped", and any status but 0 for an error."""
        print("1..0 # SKIP %s" % why)
        sys.exit(0)

    def done(self):
        print("1..%d" % self.n)
        return 1 if self.n_failed else 0
