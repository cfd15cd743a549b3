#!/usr/bin/env python3
"""The table of make mutation follows the source: each text is there once, each reason has its
order.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Mutation(unittest.TestCase):
    def list(self, *options):
        return subprocess.run([sys.executable, ROOT / "tools/mutation.py", "--list", *options],
                              capture_output=True, text=True, check=False)

    def test_every_row_fits_the_source(self):
        done = self.list()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_orders_are_found_by_themselves(self):
        names = self.list("--equal").stdout.splitlines()
        self.assertIn("consumer.h: dx_consumer_poll(): dx_load_acquire(consumer->source)", names)
        self.assertGreater(len(names), 100)
        self.assertEqual(len(names), len(set(names)))

    def test_every_scenario_and_unit_test_in_the_table_exists(self):
        table = (ROOT / "tools/mutants.py").read_text()
        scenarios = {name for path in (ROOT / "tests/relacy").glob("scenario_*.c")
                     for name in re.findall(r'^ +\.name = "(.*)"', path.read_text(), re.MULTILINE)}
        for name in re.findall(r'"relacy\.([a-z-]+)"', table):
            self.assertIn(name, scenarios)
        for name in re.findall(r'"unit\.(\w+)"', table):
            self.assertTrue((ROOT / f"tests/unit/test_{name}.c").is_file(), name)


if __name__ == "__main__":
    unittest.main()
