"""What the tests of the dx program share: running it, and the places of its input.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import subprocess
import unittest

DX = os.environ.get("DX", "build/dev/src/cli/dx")
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SAMPLE = ROOT / "examples/data/orders.csv"
REAL = ROOT.parent / "shared/data/aapl-orders.csv.gz"

OK, FAILED, USAGE = 0, 1, 2


def clean_environment(**changes):
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("NO_COLOR", "COLUMNS")}
    environment.update(changes)
    return environment


class DxTest(unittest.TestCase):
    maxDiff = None

    def dx(self, *arguments, stdin=b"", program=DX, **changes):
        """Runs dx; returns what subprocess.run() does, with text."""
        done = subprocess.run([program, *map(str, arguments)], input=stdin, capture_output=True,
                              env=clean_environment(**changes), check=False)
        done.stdout = done.stdout.decode("utf-8", "surrogateescape")
        done.stderr = done.stderr.decode("utf-8", "surrogateescape")
        return done

    def ok(self, *arguments, **options):
        """Runs dx, which must succeed; returns its standard output."""
        done = self.dx(*arguments, **options)
        self.assertEqual((done.returncode, done.stderr), (OK, ""), arguments)
        return done.stdout

    def json(self, *arguments, **options):
        """The same with -o json; returns the value."""
        return json.loads(self.ok(*arguments, "-o", "json", **options))

    def refuses(self, code, sentence, *arguments, **options):
        """Runs dx, which must end with `code` and say `sentence` on standard error only."""
        done = self.dx(*arguments, **options)
        self.assertIn(sentence, done.stderr, arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), arguments)
        return done.stderr
