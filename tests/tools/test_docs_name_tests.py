"""docs/testing.md names tests: each of them must exist. `name_...` stands for a beginning.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class DocsNameTests(unittest.TestCase):
    def test_each_named_test_exists(self):
        rows = [line for line in (ROOT / "docs/testing.md").read_text().splitlines()
                if re.match(r"\| \d", line)]
        self.assertGreater(len(rows), 40)
        sources = [path.read_text() for path in (ROOT / "tests/unit").glob("test_*.c")]
        tests = set(re.findall(r"(?:cmocka_unit_test(?:_\w+)?|SHARED)\((\w+)", "\n".join(sources)))
        named = {name for row in rows
                 for name in re.findall(r"`([a-z]\w+_\w+(?:_\.\.\.|\.\.\.)?)`", row)
                 if not name.startswith(("dx_", "dxi_"))}
        self.assertGreater(len(named), 50)
        for name in sorted(named):
            beginning = name.rstrip(".")
            found = [test for test in tests
                     if test == name or (name.endswith("...") and test.startswith(beginning))]
            self.assertTrue(found, f"docs/testing.md names {name}, which no test is called")


if __name__ == "__main__":
    unittest.main()
