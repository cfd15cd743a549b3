#!/usr/bin/env python3
"""Every option of a node's configuration does something: its name stands in the code that wires it.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import unittest

NODE = pathlib.Path(__file__).resolve().parents[2] / "src/node"
ROW = re.compile(r'\.name = "([a-z_]+\.[a-z_]+)"')


class ConfigOptionsUsed(unittest.TestCase):
    def test_each_row_of_the_table_is_used_by_the_node(self):
        rows = ROW.findall((NODE / "config_table.c").read_text(encoding="utf-8"))
        self.assertGreater(len(rows), 30)
        self.assertEqual(len(rows), len(set(rows)))
        wiring = "\n".join(path.read_text(encoding="utf-8") for path in NODE.glob("*.c")
                           if not path.name.startswith("config"))
        used = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', wiring))
        self.assertFalse(sorted(set(rows) - used),
                         "options that nothing in src/node reads: "
                         "wire them, or take them out of the table")


if __name__ == "__main__":
    unittest.main()
