#!/usr/bin/env python3
"""A Prometheus of the system scrapes a node, with the configuration and the rules of deploy/, and
answers what the dashboards ask.

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
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/cli"))

from dx_program import DX, clean_environment  # noqa: E402
from node_program import Server, wait_for  # noqa: E402

DEPLOY = ROOT / "deploy"
EVENTS = 7
NAME = re.compile(r"\b((?:disruptorx|process)_[a-z0-9_]+)")
TARGET = "127.0.0.1:7401"


def fetch(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


class Prometheus:
    """A Prometheus with a folder and a port of its own."""

    def __init__(self, folder, node):
        text = (DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8")
        for old, new in ((TARGET, node), ("scrape_interval: 5s", "scrape_interval: 100ms"),
                         ("evaluation_interval: 15s", "evaluation_interval: 100ms")):
            assert old in text
            text = text.replace(old, new)
        (folder / "prometheus.yml").write_text(text, encoding="utf-8")
        shutil.copy(DEPLOY / "prometheus/alerts.yml", folder)
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yml",
                 "--web.listen-address=127.0.0.1:0", f"--storage.tsdb.path={folder}/data"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder)
        wait_for(lambda: self.process.poll() is not None or self.port(), "Prometheus listens")
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text(encoding="utf-8"))
        self.url = f"http://127.0.0.1:{self.port()}"
        wait_for(self.ready, "Prometheus is ready")

    def port(self):
        found = re.search(r'msg="Listening on" address=127.0.0.1:(\d+)',
                          self.log.read_text(encoding="utf-8"))
        return found and found[1]

    def ready(self):
        try:
            return "Ready" in fetch(f"{self.url}/-/ready")
        except OSError:
            return False

    def ask(self, path, **values):
        answer = json.loads(fetch(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(values)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def value(self, query):
        """The one value of a query; None where there is none yet."""
        result = self.ask("query", query=query)["result"]
        return float(result[0]["value"][1]) if len(result) == 1 else None

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


class Scrape(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if shutil.which("prometheus") is None or shutil.which("promtool") is None:
            raise AssertionError("there is no prometheus: run tools/setup.sh test")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="dx-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.server = Server("--listen", f"unix://{cls.folder}/dx.sock", "--set",
                            "admin.enabled=true", "--set", "admin.address=http://127.0.0.1:0",
                            "--set", "trace.endpoint=http://127.0.0.1:1")
        cls.addClassCleanup(cls.server.stop)
        cls.admin = cls.server.started["admin"]
        cls.reader = cls.start("sub", "orders.*", "--group", "billing")
        cls.addClassCleanup(cls.end, cls.reader)
        wait_for(lambda: "group_lag_messages{" in cls.metrics(), "the group is there")
        publish = cls.start("pub", "orders.new", "x", "--count", EVENTS, "--ack")
        assert publish.wait(timeout=60) == 0
        cls.prometheus = Prometheus(cls.folder, cls.admin.removeprefix("http://"))
        cls.addClassCleanup(cls.prometheus.stop)

    @classmethod
    def start(cls, *arguments):
        return subprocess.Popen([DX, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL,
                                env=clean_environment(DX_ADDRESS=cls.server.address()))

    @staticmethod
    def end(process):
        process.kill()
        process.wait()

    @classmethod
    def metrics(cls):
        return fetch(f"{cls.admin}/metrics")

    def test_a_query_returns_what_was_published(self):
        wait_for(lambda: self.prometheus.value("sum(disruptorx_messages_received_total)") == EVENTS,
                 "the counter is there")
        self.assertEqual(self.prometheus.value('up{job="disruptorx"}'), 1)
        [target] = self.prometheus.ask("targets", state="active")["activeTargets"]
        self.assertEqual((target["health"], target["lastError"]), ("up", ""))

    def test_all_rules_load_and_none_fires_on_a_node_that_is_well(self):
        wanted = (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8").count("- alert: ")

        def rules():
            return [rule for group in self.prometheus.ask("rules")["groups"]
                    for rule in group["rules"]]
        wait_for(lambda: rules() and all(rule["health"] != "unknown" for rule in rules()),
                 "rules are evaluated")
        self.assertEqual(len(rules()), wanted)
        for rule in rules():
            with self.subTest(rule=rule["name"]):
                self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""))
                self.assertNotEqual(rule["state"], "firing")

    def test_promtool_finds_nothing_in_configuration_rules_and_metrics(self):
        for command, text in ((["check", "config", f"{self.folder}/prometheus.yml"], ""),
                              (["check", "rules", DEPLOY / "prometheus/alerts.yml"], ""),
                              (["check", "metrics"], self.metrics())):
            done = subprocess.run(["promtool", *command], text=True, input=text,
                                  capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_alerts_and_dashboards_ask_for_metrics_that_exist(self):
        there = set(re.findall(r"^(\w+?)(?:\{| )", self.metrics(), re.M))
        for path in (DEPLOY / "prometheus/alerts.yml", *sorted(DEPLOY.glob("grafana/*.json"))):
            with self.subTest(file=path.name):
                asked = {name for name in NAME.findall(path.read_text(encoding="utf-8"))
                         if not path.name.startswith(name)}
                self.assertGreater(len(asked), 8)
                self.assertEqual(sorted(asked - there), [])

    def test_the_manual_has_each_metric(self):
        rows = dict(re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \|",
                               (ROOT / "docs/operations.md").read_text(encoding="utf-8"), re.M))
        there = dict(re.findall(r"^# TYPE (\w+) (\w+)$", self.metrics(), re.M))
        self.assertEqual(rows, there, "the table of metrics in docs/operations.md")

    def test_the_manual_says_what_to_do_for_each_alert(self):
        text = (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8")
        there = dict(re.findall(r"- alert: (\w+)$.*?severity: (\w+)", text, re.M | re.S))
        rows = dict(re.findall(r"^\| `(\w+)` \((\w+)\) \|",
                               (ROOT / "docs/operations.md").read_text(encoding="utf-8"), re.M))
        self.assertEqual(rows, there)

    def test_the_expressions_of_the_dashboards_are_right(self):
        for path in sorted((DEPLOY / "grafana").glob("*.json")):
            dashboard = json.loads(path.read_text(encoding="utf-8"))
            self.assertEqual({item["name"] for item in dashboard["templating"]["list"]},
                             {"datasource", "node"})
            for panel in dashboard["panels"]:
                for target in panel.get("targets", []):
                    with self.subTest(file=path.name, panel=panel["title"]):
                        query = target["expr"].replace("$node", ".*") \
                            .replace("$__rate_interval", "1m")
                        self.prometheus.ask("query", query=query)


if __name__ == "__main__":
    unittest.main()
