#!/usr/bin/env python3
"""The dashboard as a real node serves it (DX is the program).

SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from browser import BrowserTest, Keys, wait_for  # noqa: E402
from dx_program import DX, clean_environment  # noqa: E402
from node_program import Server  # noqa: E402


class NodeTest(BrowserTest):
    token = None

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dx-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.server = None
        self.start()
        self.addCleanup(lambda: self.server.stop())  # the one that is there then

    def start(self, address="http://127.0.0.1:0"):
        settings = {} if self.token is None else {"DX_AUTH_TOKEN": self.token}
        self.server = Server("--listen", f"unix://{self.folder}/dx.sock",
                             "--set", "admin.enabled=true", "--set", f"admin.address={address}",
                             **settings)
        self.address = self.server.started["admin"]

    def environment(self):
        return clean_environment(DX_ADDRESS=self.server.address(), HOME=str(self.folder),
                                 DX_TOKEN=self.token or "")

    def dx(self, *arguments):
        done = subprocess.run([DX, *arguments], env=self.environment(), capture_output=True,
                              check=False, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def api(self, path):
        request = urllib.request.Request(f"{self.address}/api/v1/{path}")
        if self.token is not None:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def subscriber(self, *arguments):
        process = subprocess.Popen([DX, "sub", *arguments], env=self.environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process

    def open(self, view):
        self.browser.get(f"{self.address}/#/{view}")

    def exact(self, topic):
        """All digits of what was published to a topic, as the table shows it."""
        return self.script("""
            const rows = [...document.querySelectorAll("#topics-table tbody tr")];
            const row = rows.find((one) => one.cells[0].innerText === arguments[0]);
            return row === undefined ? "" : row.cells[2].title.replace(/\\D/g, "");""", topic)


class Open(NodeTest):
    def test_what_happens_in_a_node_is_seen(self):
        self.open("topics")
        self.shows("#link", "Live")
        self.shows("#health", "Ready")
        self.shows("#node-name", self.api("node")["name"])
        self.shows(".view:not([hidden]) .empty", "No topics yet")
        self.subscriber("orders.*")
        self.dx("pub", "orders.new", "x", "--count", "1234", "--ack")
        wait_for(lambda: self.exact("orders.new") == "1234", "the events are counted")
        self.dx("pub", "orders.new", "x", "--count", "1000", "--ack")
        wait_for(lambda: self.exact("orders.new") == "2234", "and the next")
        topic = self.api("topics/orders.new")
        self.assertEqual(topic["published"], 2234)
        self.one("#topics-table tbody a").click()
        self.shows("#topic-numbers", f"Delivered {topic['delivered']:,}".replace(",", " "))
        self.shows("#topic-subscriptions", "orders.*")
        self.go("connections")
        self.shows("#connections-table", "dx sub")
        self.one("#connections-table tbody a").click()
        self.shows("#connection-0", "unix")
        self.go("subscriptions")
        self.shows("#subscriptions-table", "orders.*")
        self.one("#subscriptions-table tbody a").click()
        self.shows("#subscription-0", "Pattern orders.*")
        self.go("rings")
        self.shows("#ring-list", "shard.0")
        self.shows("#loop-list", "io.0")
        self.go("config")
        self.shows("#config-table", "admin.enabled")
        rows = [row for row in self.texts("#config-table tbody tr") if "admin.enabled" in row]
        self.assertIn("truechanged false set restart", rows[0])
        self.go("errors")
        self.shows("#error-list", "unheard")
        self.shows("#log .log", "has started")
        self.go("node")
        self.shows("#node-identity", self.api("node")["id"])
        self.shows("#node-health", "Ready: clients may be sent here.")
        self.go("overview")
        self.shows("#busiest", "orders.new")
        wait_for(lambda: "2 234 in all" in self.texts(".tile")[0], "the sum of all")

    def test_filters_are_understood(self):
        for name in ("alpha.one", "alpha.two", "beta.one"):
            self.dx("pub", name, "x")
        self.open("topics")
        self.shows("#topics-table", "beta.one")
        for text, wanted in (("alpha", ["alpha.one", "alpha.two"]), ("*.one", ["alpha.one",
                             "beta.one"]), ("nothing", [])):
            self.one("#topics-filter").clear()
            self.one("#topics-filter").send_keys(text)
            wait_for(lambda w=wanted: sorted(self.texts("#topics-table tbody th")) == w, text)
        self.subscriber("gamma.>")
        self.subscriber("delta")
        self.go("subscriptions")
        self.shows("#subscriptions-table", "gamma.>")
        self.shows("#subscriptions-table", "delta")
        self.one("#subscriptions-filter").send_keys("gam")
        wait_for(lambda: self.texts("#subscriptions-table tbody th") == ["gamma.>"], "one of two")
        self.go("connections")
        self.one("#connections-filter").send_keys("dx")
        wait_for(lambda: len(self.texts("#connections-table tbody th")) == 2, "both")

    def test_a_node_that_is_killed_and_started_again(self):
        self.console_allows |= {"net::ERR_", "Failed to load resource"}
        self.open("overview")
        self.shows("#link", "Live")
        self.server.process.kill()
        self.server.stop()
        self.shows("#banner", "Connection lost, last update")
        self.start(self.address)
        self.shows("#link", "Live")
        self.shows("#announcer", "The node was started anew")
        self.dx("pub", "again", "x")
        self.shows("#busiest", "again")


class Locked(NodeTest):
    token = "s3cret of a person"

    def test_a_node_with_a_token(self):
        self.console_allows.add("401 (Unauthorized)")
        self.open("overview")
        wait_for(lambda: self.script("return document.getElementById('token-dialog').open"),
                 "the token is asked for")
        self.press(*"wrong", Keys.ENTER)
        self.shows("#token-problem", "the token is wrong")
        self.press(*self.token, Keys.ENTER)  # what was wrong is selected
        self.shows("#link", "Live")
        self.go("config")
        self.shows("#config-table", "auth.token")
        self.assertNotIn("s3cret", self.text("body"))


if __name__ == "__main__":
    unittest.main()
