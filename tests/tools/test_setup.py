#!/usr/bin/env python3
"""Runs setup.sh on machines made of stub commands: what is missing, and what it says and does then.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import subprocess
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools/setup.sh"

# What the script itself uses, and what every system has.
SYSTEM = ["bash", "env", "sed", "cut", "head", "tail", "mktemp", "rm", "cat", "dirname", "readlink"]
BUILD = ["gcc", "g++", "make", "cmake", "ninja", "pkg-config", "python3"]

APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$JOURNAL"
[ -z "$APT_FAILS" ] || { echo "E: no network"; exit 100; }
"""
APT_CACHE = """#!/bin/sh
case "$*" in
"depends clang") echo "  Depends: clang-19" ;;
"madison libclang-$RT-19-dev") echo "libclang-$RT-19-dev | 1 | somewhere" ;;
esac
"""


class Setup(unittest.TestCase):
    def setup(self, *groups, commands=(), uid=0, apt=True, environment=None):
        """Returns the exit status, the output, and what apt-get was asked to do."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            journal = root / "journal"
            journal.touch()
            stubs = {name: "#!/bin/sh\n" for name in commands}
            stubs["id"] = f"#!/bin/sh\necho {uid}\n"
            if apt:
                stubs["apt-get"], stubs["apt-cache"] = APT_GET, APT_CACHE
            for name, text in stubs.items():
                (root / name).write_text(text, encoding="utf-8")
                (root / name).chmod(0o755)
            for name in SYSTEM:
                if name not in stubs:
                    (root / name).symlink_to(self.which(name))
            done = subprocess.run(
                [root / "bash", TOOL, *groups], capture_output=True, text=True, check=False,
                env={"PATH": folder, "JOURNAL": str(journal), "RT": "rt", "APT_FAILS": "",
                     **(environment or {})})
            return done.returncode, done.stdout + done.stderr, journal.read_text("utf-8")

    @staticmethod
    def which(name):
        for folder in os.defpath.split(":") + ["/usr/bin", "/bin"]:
            if folder and os.access(f"{folder}/{name}", os.X_OK):
                return f"{folder}/{name}"
        raise FileNotFoundError(name)

    def test_nothing_missing_says_and_does_nothing(self):
        self.assertEqual(self.setup("build", commands=BUILD), (0, "", ""))

    def test_only_what_is_missing_is_installed_after_one_update(self):
        status, output, journal = self.setup("build", commands=BUILD[:-3])
        self.assertEqual(status, 0, output)
        self.assertEqual(output, "Installing: ninja-build pkg-config python3\n")
        self.assertEqual(journal, "apt-get -q -y update\napt-get -q -y install "
                         "--no-install-recommends ninja-build pkg-config python3\n")

    def test_the_run_time_follows_the_version_of_clang(self):
        for split in ["rt", "common"]:
            status, output, journal = self.setup("test", commands=BUILD, environment={"RT": split})
            self.assertEqual(status, 0, output)
            self.assertIn(f" libclang-{split}-19-dev", journal)

    def test_an_unknown_run_time_is_said(self):
        status, output, _ = self.setup("test", commands=BUILD, environment={"RT": "else"})
        self.assertEqual(status, 1)
        self.assertIn("no package with clang's sanitizer run time", output)

    def test_the_dashboards_tests_want_a_browser_where_apt_has_one(self):
        browser = " chromium chromium-driver python3-selenium"
        with tempfile.NamedTemporaryFile("w", suffix=".release", encoding="utf-8") as release:
            settings = {"DX_OS_RELEASE": release.name, "RT": "rt"}
            for name, wanted in (("debian", True), ("ubuntu", False)):
                release.truncate(0)
                release.seek(0)
                release.write(f'NAME="{name}"\nID={name}\nVERSION_ID="1"\n')
                release.flush()
                _, output, journal = self.setup("test", commands=BUILD, environment=settings)
                self.assertEqual(browser in journal, wanted, output)
            settings["DX_OS_RELEASE"] = release.name + ".none"
            _, output, journal = self.setup("test", commands=BUILD, environment=settings)
            self.assertIn(browser, journal, output)

    def test_commands_of_other_origin_count(self):
        commands = [*BUILD, "mvn", "cargo", "rustc"]
        _, _, journal = self.setup("bench", commands=commands)
        self.assertNotIn("maven", journal)
        self.assertNotIn("cargo", journal)
        self.assertIn("default-jdk-headless", journal)

    def test_without_root_and_sudo_it_says_what_to_do(self):
        status, output, journal = self.setup("build", uid=1000)
        self.assertEqual((status, journal), (1, ""))
        self.assertIn("as root", output)

    def test_sudo_is_used_where_it_is(self):
        with_sudo = self.setup("build", commands=["sudo"], uid=1000)
        self.assertEqual(with_sudo[0], 0, with_sudo[1])

    def test_another_system_is_said(self):
        status, output, _ = self.setup("build", apt=False)
        self.assertEqual(status, 1)
        self.assertIn("no Debian or Ubuntu", output)
        self.assertIn("ninja-build", output)

    def test_a_failing_apt_is_said_with_its_last_lines(self):
        status, output, _ = self.setup("build", environment={"APT_FAILS": "1"})
        self.assertEqual(status, 1)
        self.assertIn("E: no network", output)
        self.assertIn("apt-get update failed", output)

    def test_an_unknown_group_is_refused(self):
        status, output, _ = self.setup("everything", commands=BUILD)
        self.assertEqual(status, 2)
        self.assertIn('"everything" is no group', output)


if __name__ == "__main__":
    unittest.main()
