#!/usr/bin/env python3
"""dx generate: what it prints is what lies in deploy/, and programs can read it; pages of the
manual and completions know every command and option.

SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from dx_program import FAILED, OK, ROOT, USAGE, DxTest
from node_program import NodeTest

# Linters that a machine may lack: what they check is then not checked there.
GROFF, BASH, ZSH, FISH, PROMTOOL = (shutil.which(name) for name in
                                    ("groff", "bash", "zsh", "fish", "promtool"))


def run(*words, stdin=""):
    return subprocess.run([str(word) for word in words], input=stdin, capture_output=True,
                          text=True, check=False)


class GenerateTest(DxTest):
    helps = {}  # what --help prints, asked for once

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def help(self, words):
        words = tuple(words)
        if words not in self.helps:
            self.helps[words] = self.ok(*words, "--help")
        return self.helps[words]

    def commands(self, words=()):
        """Every command and action, as lists of words, found by what --help lists."""
        text = self.help(words)
        if words:
            parts = re.split(r"\n(?:Action|Command|File|Shell|Benchmark|Demonstration)s\n", text)
            text = parts[1] if len(parts) > 1 else ""
        found = re.findall(r"^  ([a-z][a-z0-9-]*) +\S", text, re.MULTILINE)
        found = [name for name in found if name != "dx"]  # the examples of dx itself
        for name in found:
            yield [*words, name]
            yield from self.commands([*words, name])


class Files(GenerateTest):
    def test_each_is_the_file_of_the_repository(self):
        for words, path in ((["grafana"], "grafana/overview.json"),
                            (["grafana", "overview"], "grafana/overview.json"),
                            (["grafana", "internals"], "grafana/internals.json"),
                            (["prometheus"], "prometheus/prometheus.yml"),
                            (["alerts"], "prometheus/alerts.yml"),
                            (["systemd"], "systemd/disruptorx.service"),
                            (["config"], "node.yaml")):
            text = (ROOT / "deploy" / path).read_text(encoding="utf-8")
            self.assertEqual(self.ok("generate", *words), text, words)

    def test_dashboards_are_what_their_tool_writes(self):
        done = run(sys.executable, ROOT / "tools/make_dashboards.py", "--check")
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_dashboards_link_to_each_other_and_choose_their_source(self):
        for name, other in (("overview", "internals"), ("internals", "overview")):
            board = json.loads(self.ok("generate", "grafana", name))
            self.assertEqual(board["uid"], f"disruptorx-{name}")
            self.assertEqual(board["links"][0]["url"], f"/d/disruptorx-{other}")
            variables = [row["name"] for row in board["templating"]["list"]]
            self.assertEqual(variables, ["datasource", "node"])
            identities = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(identities), len(set(identities)))
            for panel in board["panels"]:
                self.assertLessEqual(panel["gridPos"]["x"] + panel["gridPos"]["w"], 24)

    def test_the_configuration_is_good(self):
        path = self.file("node.yaml", self.ok("generate", "config"))
        self.assertIn("good", self.ok("config", "check", path))

    @unittest.skipUnless(PROMTOOL, "promtool is not installed")
    def test_prometheus_takes_the_rules_and_the_configuration(self):
        self.file("alerts.yml", self.ok("generate", "alerts"))
        path = self.file("prometheus.yml", self.ok("generate", "prometheus"))
        done = run(PROMTOOL, "check", "config", path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_what_is_wrong_is_told(self):
        self.refuses(USAGE, "which file? There are: grafana, prometheus", "generate")
        self.refuses(USAGE, 'did you mean "dx generate alerts"?', "generate", "alert")
        self.refuses(USAGE, "must be overview or internals", "generate", "grafana", "x")
        self.refuses(USAGE, "which shell? There are: bash, zsh, fish", "generate", "completion")
        self.refuses(USAGE, 'there is no page "dx-nothing"', "generate", "man", "dx-nothing")
        self.refuses(FAILED, "can't be written", "generate", "man", "--folder",
                     self.folder / "none")


class Metrics(NodeTest):
    # Metrics of tracing are there where it is on; nobody has to be at that address.
    server_options = ("--set", "trace.endpoint=http://127.0.0.1:1/v1/traces")

    def test_a_node_has_every_metric_that_dashboards_and_alerts_name(self):
        subscriber = self.start("sub", "a.*", "--group", "g")
        self.ok("pub", "a.b", "x", "--ack")
        self.subscribed("a.b")
        self.assertIsNone(subscriber.poll())
        texts = [self.ok("generate", "grafana", name) for name in ("overview", "internals")]
        named = set(re.findall(r"\b(?:disruptorx|process)_[a-z_]+",
                               " ".join(texts) + self.ok("generate", "alerts")))
        self.assertGreater(len(named), 25)
        sampled = set(re.findall(r"^([a-z_]+)[{ ]", self.ok("node", "metrics"), re.MULTILINE))
        self.assertEqual(named - sampled, set())


class Manual(GenerateTest):
    def setUp(self):
        super().setUp()
        self.ok("generate", "man", "--folder", self.folder)
        self.pages = {path.name: path.read_text(encoding="utf-8")
                      for path in self.folder.iterdir()}

    def test_each_command_and_action_is_in_a_page(self):
        count = 0
        for words in self.commands():
            page = self.pages[f"dx-{words[0]}.1"]
            name = "dx " + " ".join(words).replace("-", r"\-")
            if len(words) < 3:
                self.assertIn(f"\\fB{name}\\fR", page)
            self.assertIn(f".BR dx\\-{words[0]} (1)", self.pages["dx.1"])
            count += 1
        self.assertGreater(count, 40)
        self.assertIn("dx-node.yaml.5", self.pages)

    def test_each_option_is_in_its_page(self):
        for words in self.commands():
            page = self.pages[f"dx-{words[0]}.1"]
            if len(words) < 3:
                for name in re.findall(r"^  (?:-\w, )?--([a-z-]+)", self.help(words),
                                       re.MULTILINE):
                    self.assertIn(r"\-\-" + name.replace("-", r"\-"), page, words)

    def test_each_option_of_a_node_is_in_its_page(self):
        page = self.pages["dx-node.yaml.5"]
        section = ""
        for line in self.ok("generate", "config").splitlines():
            if re.match(r"^[a-z_]+:$", line):
                section = line[:-1]
            found = re.match(r"^  #([a-z0-9_]+): ", line)
            if found:
                self.assertIn(f"\\fB{section}.{found.group(1)}\\fR", page)

    def test_a_page_is_printed(self):
        self.assertEqual(self.ok("generate", "man"), self.pages["dx.1"])
        self.assertEqual(self.ok("generate", "man", "dx-topic"), self.pages["dx-topic.1"])
        self.assertEqual(self.ok("generate", "man", "dx-node.yaml"), self.pages["dx-node.yaml.5"])

    def test_no_line_of_running_text_begins_with_a_blank_which_would_break_it(self):
        for name, text in self.pages.items():
            running = re.sub(r"(?s)\n\.nf\n.*?\n\.fi\n", "\n", text)
            self.assertNotRegex(running, r"(?m)^ ", name)

    @unittest.skipUnless(GROFF, "groff is not installed")
    def test_the_formatter_warns_of_nothing(self):
        for name, text in self.pages.items():
            done = run(GROFF, "-ww", "-man", "-Tutf8", stdin=text)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)


BASH_ASK = """
compopt() { :; }
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_dx; printf '%s\\n' "${COMPREPLY[@]}"
"""


class Completion(GenerateTest):
    def answers(self, *words):
        path = self.file("dx", self.ok("generate", "completion", "bash"))
        done = run(BASH, "-c", BASH_ASK, "bash", path, *words)
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        return done.stdout.split()

    @unittest.skipUnless(BASH, "bash is not installed")
    def test_bash_completes_commands_options_and_values(self):
        names = [words[0] for words in self.commands() if len(words) == 1]
        self.assertEqual(self.answers("dx", ""), names)
        self.assertEqual(self.answers("dx", "top")[-1], "topic")
        self.assertEqual(self.answers("dx", "topic", ""),
                         ["create", "change", "ls", "info", "tail", "rm"])
        self.assertEqual(self.answers("dx", "topic", "ls", "-o", ""), ["table", "json"])
        self.assertEqual(self.answers("dx", "topic", "create", "--full", ""), ["wait", "fail"])
        self.assertEqual(self.answers("dx", "-o", "json", "pub", "--cou"), ["--count"])
        self.assertEqual(self.answers("dx", "generate", "completion", ""), ["bash", "zsh", "fish"])
        self.assertEqual(self.answers("dx", "help", "topi"), ["topic"])
        self.assertEqual(self.answers("dx", "help", "topic", "t"), ["tail"])
        self.assertEqual(self.answers("dx", "help", "generate", "completion", "z"), ["zsh"])
        self.assertEqual(self.answers("dx", "pub", "--count", ""), [])
        config = self.file("node.yaml", "")
        self.assertEqual(self.answers("dx", "server", "-c", str(config)[:-3]), [str(config)])

    def test_each_option_is_completed_everywhere(self):
        texts = {shell: self.ok("generate", "completion", shell)
                 for shell in ("bash", "zsh", "fish")}
        for words in self.commands():
            place = "dx " + " ".join(words)
            for name in re.findall(r"^  (?:-\w, )?--([a-z-]+)", self.help(words),
                                   re.MULTILINE):
                self.assertIn(f'"{place}") found=', texts["bash"])
                self.assertIn(f" --{name} ", texts["bash"].replace('"', " "), place)
                self.assertIn(f"'--{name}:", texts["zsh"], place)
                self.assertRegex(texts["fish"], f'= "{place}"\' -l {name} ')

    @unittest.skipUnless(ZSH, "zsh is not installed")
    def test_zsh_reads_it(self):
        path = self.file("_dx", self.ok("generate", "completion", "zsh"))
        done = run(ZSH, "-f", "-n", path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    @unittest.skipUnless(FISH, "fish is not installed")
    def test_fish_completes_with_it(self):
        path = self.file("dx.fish", self.ok("generate", "completion", "fish"))
        for words in ("dx topic ", "dx help topic "):
            done = run(FISH, "--no-config", "-c", f"source {path}; complete -C '{words}'")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("create", done.stdout)


if __name__ == "__main__":
    unittest.main()
