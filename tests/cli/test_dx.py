#!/usr/bin/env python3
"""The dx program itself: help, exit codes, names that are nearly right, error codes, styles.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import termios
import unittest

from dx_program import DX, OK, ROOT, USAGE, DxTest, clean_environment

COMMANDS = ["bench", "bundle", "cheat", "config", "context", "demo", "doctor", "errors", "generate",
            "help", "latency", "node", "pub", "reply", "request", "ring", "server", "stat", "sub",
            "top", "topic", "user", "version"]
EXPLAINED = [["demo"], ["demo", "orders"], ["demo", "shared"], ["errors"], ["help"], ["version"],
             ["bench"], ["bench", "ring"], ["bench", "counter"], ["bench", "local"],
             ["bench", "bus"], ["bench", "e2e"], ["bench", "pub"], ["bench", "sub"],
             ["ring"], ["ring", "ls"], ["ring", "rm"], ["ring", "dump"], ["stat"], ["server"],
             ["pub"], ["sub"], ["request"], ["reply"], ["topic"], ["topic", "create"],
             ["topic", "change"], ["topic", "ls"], ["topic", "info"], ["topic", "tail"],
             ["topic", "rm"], ["config"], ["config", "check"], ["config", "diff"],
             ["config", "sample"], ["config", "get"], ["config", "set"], ["config", "reload"],
             ["context"], ["context", "add"], ["context", "ls"], ["context", "select"],
             ["context", "rm"], ["latency"], ["cheat"], ["node"], ["node", "info"],
             ["node", "connections"], ["node", "subscriptions"], ["node", "log"],
             ["node", "metrics"], ["node", "users"], ["user"], ["user", "add"],
             ["user", "ls"], ["user", "rm"], ["user", "token"], ["user", "check"], ["top"],
             ["doctor"], ["bundle"], ["generate"],
             ["generate", "grafana"], ["generate", "prometheus"], ["generate", "alerts"],
             ["generate", "systemd"], ["generate", "config"], ["generate", "man"],
             ["generate", "completion"], ["generate", "completion", "bash"]]


def on_terminal(*arguments, columns=80, **changes):
    """What dx shows on a terminal, standard output and error together."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen([DX, *arguments], stdin=subprocess.DEVNULL, stdout=follower,
                             stderr=follower, env=clean_environment(TERM="xterm", **changes))
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    child.wait()
    return shown.decode().replace("\r\n", "\n")


class Help(DxTest):
    def test_the_overview_lists_every_command(self):
        text = self.ok("--help")
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^  {command} +\w")
        self.assertEqual(text, self.ok("help"))
        self.assertEqual(text, self.ok("-h"))

    def test_every_command_explains_itself_with_examples(self):
        for words in EXPLAINED:
            text = self.ok("help", *words)
            self.assertEqual(text, self.ok(*words, "--help"), words)
            self.assertTrue(text.startswith("Usage: dx " + " ".join(words)), text)
            self.assertIn("Examples\n", text)
            self.assertIn("--no-color", text)

    def test_help_fits_eighty_columns(self):
        for words in [[], *EXPLAINED]:
            for line in self.ok("help", *words).splitlines():
                self.assertLessEqual(len(line), 80, line)

    def test_the_help_of_the_demonstration_names_every_strategy(self):
        text = (ROOT / "include/disruptorx/wait.h").read_text(encoding="utf-8")
        names = re.findall(r'X\([A-Z_]+, \d+, "([a-z-]+)"', text)
        self.assertEqual(len(names), 10)
        shown = self.ok("demo", "orders", "--help")
        for name in names:
            self.assertIn(name, shown)


class CommandLine(DxTest):
    def test_nothing_to_do_is_a_usage_error(self):
        self.refuses(USAGE, "no command given")
        self.refuses(USAGE, "which demonstration?", "demo")

    def test_a_mistyped_command_is_told_the_nearest(self):
        self.refuses(USAGE, 'there is no "dmeo"; did you mean "dx demo"?', "dmeo")
        self.refuses(USAGE, 'did you mean "dx demo orders"?', "demo", "oders")
        self.refuses(USAGE, 'did you mean "dx errors"?', "help", "error")
        error = self.refuses(USAGE, 'there is no "frobnicate"', "frobnicate")
        self.assertNotIn("did you mean", error)
        self.assertIn("Help: dx --help", error)

    def test_a_mistyped_option_is_told_the_nearest(self):
        self.refuses(USAGE, "--capcity is no option; did you mean --capacity?", "demo", "orders",
                     "--capcity", "8")
        self.refuses(USAGE, "--colour=never is no option", "--colour=never", "version")
        self.refuses(USAGE, "-x is no option", "version", "-x")

    def test_a_global_option_stands_before_or_behind_the_command(self):
        for arguments in (["-o", "json", "version"], ["version", "-o", "json"],
                          ["version", "--output=json"], ["version", "-ojson"]):
            self.assertTrue(self.ok(*arguments).startswith("{"), arguments)

    def test_a_format_that_does_not_exist_is_refused(self):
        self.refuses(USAGE, "-o is yaml, must be one of table, json", "version", "-o", "yaml")
        self.refuses(USAGE, "did you mean json?", "version", "--output", "jsn")
        self.refuses(USAGE, "--output is xml", "--output=xml", "version")

    def test_too_many_arguments_are_refused(self):
        self.refuses(USAGE, '"twice" is one argument too many', "version", "twice")
        self.refuses(USAGE, '"DX_EIO" is one argument too many', "errors", "DX_EINVAL", "DX_EIO")

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([DX, "errors"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"the output could not be written", done.stderr)


class Version(DxTest):
    def test_the_version_is_that_of_the_project(self):
        project = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
        version = re.search(r"project\(DisruptorX VERSION ([0-9.]+)", project).group(1)
        self.assertTrue(self.ok("version").startswith(f"dx {version} (DisruptorX"))
        self.assertEqual(self.ok("version"), self.ok("--version"))
        self.assertEqual(self.json("version")["version"], version)


class Errors(DxTest):
    def test_every_code_of_the_header_is_listed_and_explained(self):
        text = (ROOT / "include/disruptorx/error.h").read_text(encoding="utf-8")
        codes = re.findall(r'X\((DX_\w+), (-?\d+), "([^"]+)"\)', text)
        self.assertGreater(len(codes), 20)
        listed = self.json("errors")
        self.assertEqual([(row["name"], str(row["code"]), row["text"]) for row in listed], codes)
        for name, number, _ in codes[1:4] + codes[-2:]:
            explained = self.json("errors", name)
            self.assertEqual(explained["code"], int(number))
            self.assertTrue(explained["meaning"] and explained["action"])
            self.assertEqual(explained, self.json("errors", number))
            self.assertEqual(explained, self.json("errors", number.lstrip("-")))

    def test_a_name_may_be_written_in_several_ways(self):
        for name in ("DX_EAGAIN", "EAGAIN", "again", "eagain", "dx_eagain"):
            self.assertTrue(self.ok("errors", name).startswith("DX_EAGAIN (-3)"), name)
        self.assertTrue(self.ok("errors", "exist").startswith("DX_EEXIST"))
        self.assertTrue(self.ok("errors", "0").startswith("DX_OK"))

    def test_a_code_that_does_not_exist_is_refused(self):
        self.refuses(USAGE, '"DX_EINVALL" is no error code; did you mean DX_EINVAL?', "errors",
                     "DX_EINVALL")
        self.refuses(USAGE, '"-9999" is no error code', "errors", "-9999")
        self.refuses(USAGE, '"" is no error code', "errors", "")


class Cheat(DxTest):
    def test_every_recipe_is_of_commands_and_options_that_exist(self):
        sheets = self.json("cheat")
        self.assertGreater(len(sheets), 5)
        for sheet in sheets:
            self.assertIn(f"dx cheat {sheet['name']} ", self.ok("cheat") + " ")
            self.assertIn(sheet["about"], self.ok("cheat", sheet["name"]))
            for line in sheet["text"].splitlines():
                words = list(shlex.shlex(line, posix=True, punctuation_chars=True))
                if "dx" in words:
                    words = words[words.index("dx") + 1:]
                    stop = [number for number, word in enumerate(words) if word in ("|", ">")]
                    self.check_command(words[:stop[0]] if stop else words)

    def check_command(self, words):
        if words[0] == "--context":
            words = words[2:]
        groups = ("topic", "node", "config", "context", "bench", "demo")
        text = self.ok("help", *words[:2 if words[0] in groups else 1])
        for word in words:
            if word.startswith("--"):
                self.assertRegex(text, rf"{word}\b", words)

    def test_a_subject_that_does_not_exist_is_refused(self):
        self.refuses(USAGE, 'no recipes for "pbu"; did you mean pub?', "cheat", "pbu")
        self.refuses(USAGE, "dx cheat lists the subjects", "cheat", "elsewhere")


class Styles(DxTest):
    def test_a_pipe_gets_no_colour(self):
        self.assertNotIn("\x1b", self.ok("errors"))
        self.assertNotIn("\x1b", self.ok("--help"))

    def test_a_terminal_gets_colour_unless_it_is_refused(self):
        self.assertIn("\x1b[", on_terminal("errors"))
        self.assertNotIn("\x1b[", on_terminal("errors", "--no-color"))
        self.assertNotIn("\x1b[", on_terminal("--no-color", "errors"))
        self.assertNotIn("\x1b[", on_terminal("errors", NO_COLOR="1"))
        self.assertIn("\x1b[", on_terminal("errors", NO_COLOR=""))
        self.assertIn("\x1b[1;31m", on_terminal("nosuch"))

    def test_a_table_fits_the_terminal(self):
        for columns in (30, 60, 80):
            for line in on_terminal("errors", "--no-color", columns=columns).splitlines():
                self.assertLessEqual(len(line), columns, line)
        self.assertIn("...", on_terminal("errors", columns=30))

    def test_the_demonstration_fits_eighty_columns_and_clears_its_progress(self):
        shown = on_terminal("demo", "orders", "--ring", "--repeat", "1")
        self.assertIn("\r\x1b[K", shown)
        result = re.sub(r"\x1b\[[0-9;]*[mK]", "", shown.split("\r\x1b[K")[-1])
        self.assertIn("Checksum", result)
        for line in result.splitlines():
            self.assertLessEqual(len(line), 80, line)


if __name__ == "__main__":
    assert OK == 0
    unittest.main()
