#!/usr/bin/env python3
"""docs/protocol.md, the lists in frame.h and the Python of the test vectors say the same.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/vectors"))
from frame_format import MUST, PARTS, TYPES  # noqa: E402

HEADER = (ROOT / "include/disruptorx/frame.h").read_text(encoding="utf-8")
BATCH_HEADER = (ROOT / "include/disruptorx/frame_batch.h").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")


def rows(pattern):
    return re.findall(pattern, PAGE, re.MULTILINE)


def in_list(name):
    """The X(...) rows of a list macro of frame.h, as lists of their arguments."""
    body = HEADER.split(f"#define {name}(X)")[1].split("\n\n")[0].replace("\\\n", " ")
    return [[argument.strip() for argument in row.split(",")]
            for row in re.findall(r"X\(((?:[^()]|\([^()]*\))*)\)", body)]


def value(text):
    """A bound: a number, or the name of a constant of frame.h."""
    if text.isdigit():
        return int(text)
    return int(re.search(rf"#define {text} (\d+)", HEADER).group(1))


class ProtocolDoc(unittest.TestCase):
    def test_types_have_the_same_numbers_parts_and_payload(self):
        page = {name: (int(number), parts, payload) for number, name, parts, payload in
                rows(r"^\| (\d+) \| ([A-Z_]+) \| ([^|]*?) ?\| ([-+*]) \|")}
        code = {}
        for name, number, needed, choice, payload in in_list("DX_FRAME_TYPE_LIST"):
            parts = re.findall(r"DX_PART_BIT\(DX_PART_(\w+)\)", needed)
            parts += ["a topic"] if choice == "DX_PARTS_TOPIC" else []
            sign = {"DX_PAYLOAD_NONE": "-", "DX_PAYLOAD_ANY": "*", "DX_PAYLOAD_SOME": "+"}[payload]
            code[name] = (int(number), ", ".join(parts), sign)
        self.assertEqual(page, code)
        self.assertEqual({name: row[0] for name, row in code.items()}, TYPES)

    def test_parts_have_the_same_numbers_and_limits(self):
        page = {}
        for number, wire, name, bounds in rows(
                r"^\| (\d+) \| `(0x\w{4})` \| ([A-Z_]+) \| ([\d-]+) \|"):
            self.assertEqual(int(wire, 16) & ~MUST, int(number), name)
            least, _, most = bounds.partition("-")
            page[name] = (int(wire, 16), int(least), int(most or least))
        code = {name: (int(number) | (MUST if must == "DX_PART_MUST" else 0), value(least),
                       value(most))
                for name, number, must, least, most in in_list("DX_FRAME_PART_LIST")}
        self.assertEqual(page, code)
        self.assertEqual({name: row[0] for name, row in code.items()}, PARTS)

    def test_limits_are_named_with_their_value(self):
        table = PAGE.split("## Limits")[1].split("## ")[0]
        for number, name in (("16,777,216", "DX_FRAME_BYTES_MAX"),
                             ("65,528", "DX_FRAME_PARTS_BYTES_MAX"),
                             ("8,388,608", "DX_BATCH_RAW_BYTES_MAX")):
            self.assertRegex(table, rf"{number} bytes[^\n]*`{name}`")
            found = re.search(rf"#define {name} (\d+)", HEADER + BATCH_HEADER).group(1)
            self.assertEqual(f"{int(found):,}", number)

    def test_the_header_table_is_without_holes(self):
        at = 0
        table = PAGE.split("## A frame")[1].split("A **part**")[0]
        for offset, size in re.findall(r"^\| (\d+) \| (\d+) \| `\w+` \|", table, re.MULTILINE):
            self.assertEqual(int(offset), at)
            at += int(size)
        self.assertEqual(at, 64)


if __name__ == "__main__":
    unittest.main()
