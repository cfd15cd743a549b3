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
CAPABILITY_HEADER = (ROOT / "src/net/capability.h").read_text(encoding="utf-8")
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

    def test_flags_have_the_same_bits(self):
        page = {name: int(bit, 16) for bit, name in rows(r"^\| `(0x\w{4})` \| ([A-Z_]+) \|")}
        body = HEADER.split("enum dx_frame_flag {")[1].split("};")[0]
        code = {name: int(bit, 16) for name, bit in re.findall(r"DX_FRAME_(\w+) = (0x\w+)", body)}
        self.assertEqual(page, code)

    def test_capabilities_have_the_same_bits(self):
        page = {name: int(bit, 16) for bit, name in
                rows(r"^\| `(0x\w+)` \| .* \| `(DXI_CAPABILITY_\w+)` \|$")}
        code = {name: 1 << int(shift) for name, shift in
                re.findall(r"(DXI_CAPABILITY_\w+) \(UINT64_C\(1\) << (\d+)\)", CAPABILITY_HEADER)}
        self.assertEqual(page, code)
        self.assertNotEqual(page, {})

    def test_limits_are_named_with_their_value(self):
        table = PAGE.split("## Limits")[1].split("\n## ")[0]
        named = {}
        for numbers, names in re.findall(r"^\| [^|]+ \| ([^|]+) \| ([^|]+) \|$", table, re.M):
            names = re.findall(r"`(DX_\w+)`", names)
            numbers = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", numbers)]
            named.update(zip(names, numbers))
        code = {name: int(number) for name, number in
                re.findall(r"#define (DX_(?:FRAME|BATCH)_\w+_MAX) (\d+)", HEADER + BATCH_HEADER)}
        for name, number in named.items():
            self.assertEqual(code.get(name), number, name)
        self.assertEqual(set(code) - set(named), {"DX_FRAME_PART_BYTES_MAX"})  # no part is as large

    def test_the_header_table_is_without_holes(self):
        at = 0
        table = PAGE.split("## A frame")[1].split("A **part**")[0]
        for offset, size in re.findall(r"^\| (\d+) \| (\d+) \| `\w+` \|", table, re.MULTILINE):
            self.assertEqual(int(offset), at)
            at += int(size)
        self.assertEqual(at, 64)


if __name__ == "__main__":
    unittest.main()
