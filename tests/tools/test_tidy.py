#!/usr/bin/env python3
"""Seeds one breach of each rule into a small tree and expects tidy.py to name it and its fix.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools/tidy.py"
HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"


class Tidy(unittest.TestCase):
    def tidy(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            done = subprocess.run([sys.executable, TOOL, "--root", folder], capture_output=True,
                                  text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def passes(self, files):
        status, output = self.tidy(files)
        self.assertEqual((status, output), (0, ""))

    def refuses(self, name, text, expected):
        status, output = self.tidy({name: text})
        self.assertEqual(status, 1, f"{name} passed: {text!r}")
        self.assertIn(expected, output)

    def test_clean_files_pass(self):
        self.passes({
            "a.c": HEAD + "#define _GNU_SOURCE\nint f(void)\n{\n    return __builtin_ctz(2);\n}\n",
            "b.c": HEAD + "/* int __x; */\nstatic const char *text = \"int __y = 1;\";\n"
                          "    __asm__ __volatile__(\"pause\");\n"
                          "_Static_assert(sizeof(int) == 4, \"int\");\n",
            "c.h": HEAD + "#define DX_PACKED __attribute__((packed))\n"
                          "static void f(void) __attribute__((unused));\n",
            "README.md": "[a](a.c) [web](https://example.org/x) [below](#x)\n",
            "build/out.c": "generated\n",
        })

    def test_a_missing_licence_line_is_found_in_each_kind_of_file(self):
        for name in ["a.c", "a.h", "a.py", "a.sh", "a.cmake", "CMakeLists.txt", "a.yaml",
                     "Makefile"]:
            self.refuses(name, "\n", f"{name}:1: no licence line; add")
        self.refuses("script", "#!/bin/sh\n", "script:1: no licence line; add")

    def test_form(self):
        self.refuses("a.md", "x \n", "a.md:1: trailing blanks; delete")
        self.refuses("a.md", "x", "no newline at the end")
        self.refuses("a.c", HEAD + "\tint x;\n", "a.c:2: a tab; use 4 spaces")
        self.passes({"a.c": HEAD + "x" * 100 + "\n", "Makefile": "# " + HEAD + "a:\n\ttrue\n"})
        self.refuses("a.c", HEAD + "x" * 101 + "\n", "a.c:2: 101 columns")
        self.passes({"a.c": HEAD + "\n" * 799})
        self.refuses("a.c", HEAD + "\n" * 800, "801 lines, the limit is 800; split")

    def test_unfinished_work(self):
        for word in ["TO" + "DO", "FIX" + "ME", "XX" + "X"]:
            self.refuses("a.md", f"x {word}: y\n", f"a.md:1: {word}; do it now")
        self.passes({"a.md": "mktemp -d dx.XXXXXX\n"})

    def test_a_test_that_is_skipped_says_why(self):
        self.refuses("a.c", HEAD + "void f(void)\n{\n    skip();\n}\n", "SKIP_BECAUSE")
        self.passes({"a.c": HEAD + "#define SKIP_BECAUSE(reason) \\\n    skip(); \\\n\n"
                                   "void f(void)\n{\n    SKIP_BECAUSE(\"no disk\");\n}\n"})

    def test_reserved_identifiers(self):
        for line in ["#define _DX_H", "#define DX__H", "struct _ring {", "static int __count = 0;",
                     "typedef struct ring _ring_t;", "void dx__start(void);", "int *_Head;"]:
            name = next(word for word in re.findall(r"\w+", line)
                        if word.startswith("_") or "__" in word)
            self.refuses("a.h", f"{HEAD}{line}\n", f"a.h:2: declares {name}, a name C reserves")

    def test_paths_of_a_machine(self):
        for folder in ["home", "root", "work", "Users"]:
            self.refuses("a.md", f"see /{folder}/someone/x\n", "a.md:1: a path of one machine")
        self.passes({"a.md": "build/work/x and ./home/x, https://example.org/home/x\n"})

    def test_dead_links(self):
        self.refuses("docs/README.md", "a\n[x](missing.md)\n",
                     "docs/README.md:2: link to missing.md, which does not exist")
        self.passes({"a.md": "[x](b.md#part)\n```\n[x](missing.md)\n```\n", "b.md": "b\n"})


if __name__ == "__main__":
    unittest.main()
