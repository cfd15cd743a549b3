#!/usr/bin/env python3
"""dx doctor: its report and exit code on this machine, whatever it is like.

What is judged how stands in tests/unit/test_cli_doctor.c.

SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import re
import tempfile
import unittest

from dx_program import FAILED, OK, USAGE, DxTest

MEASURED = ["disk sync", "futex wake", "tcp loopback"]


class Doctor(DxTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def report(self, *options):
        done = self.dx("doctor", "-o", "json", *options)
        self.assertEqual(done.stderr, "")
        root = json.loads(done.stdout)
        self.assertEqual(done.returncode, FAILED if root["bad"] > 0 else OK)
        return root

    def test_as_json_each_check_has_a_verdict_and_the_exit_code_follows(self):
        root = self.report("--data", self.folder)
        counts = {"ok": 0, "advice": 0, "bad": 0}
        for check in root["checks"]:
            counts[check["verdict"]] += 1
            self.assertNotEqual(check["found"], "")
            self.assertEqual(check["advice"] == "", check["verdict"] == "ok", check)
        self.assertEqual(counts, {key: root[key] for key in counts})
        checks = {check["name"]: check for check in root["checks"]}
        self.assertEqual(len(checks), 21)
        for name in MEASURED:
            self.assertGreater(checks[name]["numbers"]["p99_ns"], 0)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_quickly_it_measures_nothing(self):
        root = self.report("--quick")
        names = [check["name"] for check in root["checks"]]
        self.assertEqual(len(names), 18)
        self.assertFalse(set(names) & set(MEASURED))

    def test_for_eyes_it_has_a_line_for_each_and_the_sum(self):
        done = self.dx("doctor", "--quick", COLUMNS="80")
        lines = done.stdout.splitlines()
        self.assertRegex(lines[-1], r"^\d+ ok, \d+ with advice, \d+ bad$")
        self.assertEqual(sum(map(int, re.findall(r"\d+", lines[-1]))), 18)
        self.assertRegex(lines[0], r"^(ok|advice|BAD) +kernel +Linux")
        self.assertEqual(sum(bool(re.match(r"^(ok|advice|BAD) ", line)) for line in lines), 18)

    def test_what_it_needs_follows_from_a_configuration(self):
        file = self.folder / "node.yaml"
        file.write_text("limits:\n  connections_max: 7\n", encoding="utf-8")
        root = self.report("--quick", "-c", file)
        needed = {check["name"]: check["numbers"] for check in root["checks"]}
        self.assertEqual(needed["descriptors"]["needed"], 7 + 64)

    def test_a_folder_that_is_not_there_is_told(self):
        root = self.report("--data", self.folder / "none")
        for name in ("disk free", "disk sync"):
            check = next(check for check in root["checks"] if check["name"] == name)
            self.assertEqual(check["verdict"], "advice", name)
            self.assertIn("No such file", check["found"], name)

    def test_what_is_wrong_is_told(self):
        file = self.folder / "node.yaml"
        file.write_text("limits:\n  connections_max: 0\n", encoding="utf-8")
        self.refuses(FAILED, f"{file}:2", "doctor", "-c", file)
        self.refuses(USAGE, "one argument too many", "doctor", "more")


if __name__ == "__main__":
    unittest.main()
