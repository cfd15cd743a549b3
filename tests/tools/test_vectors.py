#!/usr/bin/env python3
"""The test vectors are what their generator makes, and the generator's XXH3 is XXH3.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import subprocess
import sys
import unittest

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors"
sys.dont_write_bytecode = True
sys.path.insert(0, str(VECTORS))
from xxh3 import xxh3_64  # noqa: E402


class Vectors(unittest.TestCase):
    def test_the_file_is_what_the_generator_makes(self):
        done = subprocess.run([sys.executable, VECTORS / "make_vectors.py", "--check"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_hash_is_that_of_the_library(self):
        # One length of each of the six ways in which XXH3 takes its input; by libxxhash 0.8.1.
        data = bytes((i * i * 7 + i * 31 + (i >> 3)) & 255 for i in range(4957))
        for count, expected in EXPECTED.items():
            self.assertEqual(f"{xxh3_64(data[:count]):016x}", expected, count)


EXPECTED = {
    0: "2d06800538d394c2",
    1: "c44bdff4074eecdb",
    3: "09fa62ce4c680afd",
    4: "79957825ae360e50",
    8: "6f76cea09120eca3",
    9: "e61cb893fb73db09",
    16: "b80f857ffdbd8662",
    17: "102f6c911d360fdc",
    64: "07eb46d4409fa17b",
    128: "4393023f1d2c9012",
    129: "b547e1a8d2d18300",
    240: "ca18e353545d6591",
    241: "9953dcc39642e886",
    299: "c4732e8e0a7fe711",
    1076: "602a43877c88c301",
    2046: "c8f603574337c2f0",
    3016: "0380ee0f5dfa0659",
    3986: "c415f82d54059dd9",
    4956: "5d0ca76e36ddb224",
}

if __name__ == "__main__":
    unittest.main()
