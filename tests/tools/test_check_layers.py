#!/usr/bin/env python3
"""Seeds layering violations into a small tree and expects check_layers.py to refuse each.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools/check_layers.py"

CLEAN = {
    "cmake/Layers.cmake": "set(DX_LAYERS base ring wire)\n",
    "include/disruptorx/platform.h": "#include <stdint.h>\n",
    "include/disruptorx/error.h": '#include "disruptorx/platform.h"\n',
    "include/disruptorx/ring.h": '#include "disruptorx/error.h"\n',
    "src/base/fail.h": '#include "disruptorx/error.h"\n',
    "src/base/error.c": '#include "fail.h"\n#include "base/fail.h"\n#include <string.h>\n',
    "src/ring/layout.h": '#include "base/fail.h"\n',
    "src/ring/ring.c": '#include "ring/layout.h"\n#include <disruptorx/ring.h>\n',
}


class CheckLayers(unittest.TestCase):
    def check(self, **changes):
        files = {**CLEAN, **changes.get("files", {})}
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, TOOL, "--root", folder, "--stamp", root / "stamp"],
                capture_output=True, text=True, check=False)
            self.stamped = (root / "stamp").exists()
        return done.returncode, done.stdout + done.stderr

    def refused(self, files, *expected):
        status, output = self.check(files=files)
        self.assertEqual(status, 1, output)
        self.assertFalse(self.stamped)
        for text in expected:
            self.assertIn(text, output)

    def test_a_clean_tree_passes_and_is_stamped(self):
        status, output = self.check()
        self.assertEqual((status, output), (0, ""))
        self.assertTrue(self.stamped)

    def test_a_private_header_of_a_later_layer_is_refused(self):
        self.refused({"src/base/error.c": '\n#include "ring/layout.h"\n'},
                     "src/base/error.c:2:", 'layer base includes "ring/layout.h" of layer ring')

    def test_a_public_header_of_a_later_layer_is_refused_in_quotes_and_in_angles(self):
        self.refused({"src/base/error.c": '#include "disruptorx/ring.h"\n'}, "src/base/error.c:1:")
        self.refused({"src/base/error.c": "# include  <disruptorx/ring.h>\n"},
                     "src/base/error.c:1:")

    def test_a_public_header_may_not_reach_a_later_layer(self):
        self.refused({"include/disruptorx/error.h": '#include "disruptorx/ring.h"\n'},
                     "include/disruptorx/error.h:1: layer base")

    def test_a_public_header_may_not_include_a_private_one(self):
        self.refused({"include/disruptorx/ring.h": '#include "ring/layout.h"\n'},
                     "include/disruptorx/ring.h:1: a public header includes the private")

    def test_a_detour_through_dots_is_refused(self):
        self.refused({"src/base/error.c": '#include "../ring/layout.h"\n'}, "of layer ring")
        self.refused({"src/base/error.c": '#include "../../include/disruptorx/ring.h"\n'},
                     "of layer ring")

    def test_an_unknown_public_header_says_where_to_add_it(self):
        self.refused({"include/disruptorx/surprise.h": "\n"},
                     "include/disruptorx/surprise.h:1:", "add it to PUBLIC_HEADERS")

    def test_an_unknown_include_is_refused(self):
        self.refused({"src/ring/ring.c": '#include "nowhere.h"\n'}, "src/ring/ring.c:1:")

    def test_an_unknown_folder_is_refused(self):
        self.refused({"src/util/x.c": "\n"}, "src/util", "DX_LAYERS")

    def test_cycles_inside_a_layer_are_refused(self):
        self.refused({"src/ring/a.h": '#include "b.h"\n', "src/ring/b.h": '#include "ring/c.h"\n',
                      "src/ring/c.h": '#include "a.h"\n'},
                     "include cycle a.h -> b.h -> c.h -> a.h")
        self.refused({"include/disruptorx/platform.h": '#include "disruptorx/error.h"\n'},
                     "include cycle")
        self.refused({"src/ring/a.h": '#include "a.h"\n'}, "include cycle a.h -> a.h")

    def test_the_repository_itself_is_clean(self):
        done = subprocess.run([sys.executable, TOOL], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
