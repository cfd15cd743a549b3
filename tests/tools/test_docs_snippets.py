#!/usr/bin/env python3
"""Compiles every ```c block of README.md and docs/*.md.

A block is one of three things, said by an HTML comment on the line before it:

    (nothing)        a whole source file, compiled as it stands
    <!-- c: file --> functions and types, compiled behind snippets_prelude.h
    <!-- c: body --> statements, compiled in a function behind snippets_prelude.h

What is no C to compile is a ```text block. Errors name the line of the document.

SPDX-License-Identifier: Apache-2.0
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KIND = re.compile(r"^<!-- c: (\w+) -->$")
COMPILE = os.environ.get("CC", "cc").split() + [
    "-std=gnu17", "-Wall", "-Wextra", "-Wpedantic", "-Wno-unused", "-Werror", "-fsyntax-only",
    f"-I{ROOT / 'include'}", f"-I{HERE}", "-x", "c", "-"]
WRAPPERS = {
    "whole": "{line}{code}",
    "file": '#include "snippets_prelude.h"\n{line}{code}',
    "body": '#include "snippets_prelude.h"\nint snippet(void);\nint snippet(void)\n{{\n'
            "{line}{code}\nreturn 0;\n}}\n",
}


def blocks(text):
    """(line of the first line of code, kind, code) of each ```c block."""
    found, kind, start, code = [], "whole", 0, None
    for number, line in enumerate(text.splitlines(), start=1):
        if code is not None:
            if line.strip() == "```":
                found.append((start, kind, "\n".join(code) + "\n"))
                code, kind = None, "whole"
            else:
                code.append(line)
        elif line.strip() == "```c":
            start, code = number + 1, []
        else:
            comment = KIND.match(line.strip())
            kind = comment.group(1) if comment else "whole"
    return found


def compile_block(name, block):
    """What the compiler has to say; nothing when the block is right."""
    start, kind, code = block
    if kind not in WRAPPERS:
        return f"{name}:{start}: '{kind}' is no kind of snippet; use one of {sorted(WRAPPERS)}"
    source = WRAPPERS[kind].format(line=f'#line {start} "{name}"\n', code=code)
    done = subprocess.run(COMPILE, input=source, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr or f"{name}:{start}: the compiler failed"


class DocsSnippets(unittest.TestCase):
    def test_every_snippet_compiles(self):
        documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        jobs = []
        for document in documents:
            name = str(document.relative_to(ROOT))
            jobs += [(name, block) for block in blocks(document.read_text(encoding="utf-8"))]
        self.assertTrue(jobs, "no snippet found; is the pattern still right?")
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            complaints = [text for text in pool.map(lambda job: compile_block(*job), jobs) if text]
        self.assertFalse(complaints, "\n" + "\n".join(complaints))

    def test_blocks_are_found_with_their_kind_and_line(self):
        text = "# T\n```c\nint a;\n```\n<!-- c: body -->\n```c\na = 1;\n```\n```text\nno\n```\n"
        self.assertEqual(blocks(text), [(3, "whole", "int a;\n"), (7, "body", "a = 1;\n")])

    def test_a_comment_counts_for_the_next_line_only(self):
        text = "<!-- c: body -->\n\n```c\nint a;\n```\n"
        self.assertEqual(blocks(text), [(4, "whole", "int a;\n")])

    def test_a_wrong_snippet_is_refused_with_its_line_in_the_document(self):
        for kind, code in (("whole", "int f(void) { return g; }\n"),
                           ("file", "static int f(void)\n{\n    return dx_nothing();\n}\n"),
                           ("body", "dx_ring_close(ring, 1);\n")):
            self.assertRegex(compile_block("docs/x.md", (17, kind, code)), r"docs/x\.md:1[79]:",
                             kind)

    def test_an_unknown_kind_is_refused(self):
        self.assertIn("no kind of snippet", compile_block("docs/x.md", (3, "page", "int a;\n")))


if __name__ == "__main__":
    unittest.main()
