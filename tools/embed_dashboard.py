#!/usr/bin/env python3
"""Makes one page of the dashboard's files, and a C file of the page.

    embed_dashboard.py FOLDER --page FILE     the page alone, to look at
    embed_dashboard.py FOLDER --source FILE   dashboard.h's DXI_DASHBOARD, as C

FOLDER/index.html has one line `@style@` and one line `@script@`; in their places come style.css,
and the scripts that parts.txt names, one after the other in one function. The page's policy
(Content-Security-Policy) allows exactly this style and this script by their hashes, and nothing
else: no inline handler, no style attribute, no other host.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import base64
import hashlib
import pathlib
import re

POLICY = ("default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; "
          "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
          "require-trusted-types-for 'script'; trusted-types 'none'")
BYTES_PER_LINE = 20


def hash_of(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def parts_of(folder):
    """The scripts in their order; every script of the folder is named, and nothing else."""
    lines = (folder / "parts.txt").read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    there = {path.name for path in folder.glob("*.js")}
    if set(names) != there or len(names) != len(there):
        raise SystemExit(f"{folder}/parts.txt must name each script of its folder once: it has "
                         f"{sorted(names)}, the folder {sorted(there)}")
    return names


def page_of(folder):
    """Returns the page and its policy."""
    style = (folder / "style.css").read_text(encoding="utf-8")
    scripts = [(folder / name).read_text(encoding="utf-8") for name in parts_of(folder)]
    script = '"use strict";\n(() => {\n' + "\n".join(scripts) + "})();\n"
    for text, end in ((style, "</style"), (script, "</script"), (script, "<!--")):
        if end in text.lower():
            raise SystemExit(f"{folder}: \"{end}\" would end the element that it stands in; "
                             "write it in two pieces")
    page = (folder / "index.html").read_text(encoding="utf-8")
    for mark, element, text in (("@style@", "style", style), ("@script@", "script", script)):
        before, found, after = page.partition(f"{mark}\n")
        if not found or mark in after:
            raise SystemExit(f"{folder}/index.html must have one line {mark}")
        page = f"{before.rstrip(' ')}<{element}>{text}</{element}>\n{after}"
    return page, POLICY.format(script=hash_of(script), style=hash_of(style))


def source_of(page, policy):
    data = page.encode()
    lines = ["    " + "".join(f"{byte}," for byte in data[i:i + BYTES_PER_LINE])
             for i in range(0, len(data), BYTES_PER_LINE)]
    policy = re.sub(r'(["\\])', r"\\\1", policy)
    tag = hashlib.sha256(data + policy.encode()).hexdigest()[:32]
    return "\n".join([
        "/* Made by tools/embed_dashboard.py from src/node/dashboard: change it there.",
        " *", " * SPDX-License-Identifier: Apache-2.0", " */",
        '#include "node/dashboard/dashboard.h"', "",
        f"static const unsigned char PAGE[{len(data)}] = {{", *lines, "};", "",
        "const dxi_dashboard_t DXI_DASHBOARD = {", "    .page = PAGE,",
        "    .bytes = sizeof PAGE,", f'    .policy = "{policy}",', f'    .tag = "\\"{tag}\\"",',
        "};", ""])


def main():
    parser = argparse.ArgumentParser(description="Make one page of the dashboard's files.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--source", type=pathlib.Path)
    arguments = parser.parse_args()
    page, policy = page_of(arguments.folder)
    if arguments.page:
        arguments.page.write_text(page, encoding="utf-8")
    if arguments.source:
        arguments.source.write_text(source_of(page, policy), encoding="utf-8")


if __name__ == "__main__":
    main()
