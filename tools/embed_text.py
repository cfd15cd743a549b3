#!/usr/bin/env python3
"""Makes a C file of a file, for a program that serves it.

    embed_text.py FILE --name NAME --header HEADER --source OUT

JSON is written without the blanks that are for readers. The C file defines NAME, the bytes, and
NAME_BYTES, how many.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import pathlib

LINE_BYTES = 16


def source_of(data, name, header):
    """The C file."""
    lines = [f'#include "{header}"', "", f"const unsigned char {name}[] = {{"]
    for start in range(0, len(data), LINE_BYTES):
        row = ", ".join(f"0x{byte:02x}" for byte in data[start:start + LINE_BYTES])
        lines.append(f"    {row},")
    lines += ["};", f"const size_t {name}_BYTES = {len(data)};", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Makes a C file of a file.")
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--name", required=True, help="of the array")
    parser.add_argument("--header", required=True, help="that declares it")
    parser.add_argument("--source", required=True, type=pathlib.Path, help="the C file to write")
    options = parser.parse_args()
    data = options.file.read_bytes()
    if options.file.suffix == ".json":
        data = json.dumps(json.loads(data), ensure_ascii=False, separators=(",", ":")).encode()
    options.source.write_text(source_of(data, options.name, options.header), encoding="ascii")


if __name__ == "__main__":
    main()
