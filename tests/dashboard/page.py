"""What the tests of the page share: a node that is made up, and the page opened on it.

SPDX-License-Identifier: Apache-2.0
"""
from browser import BrowserTest, wait_for
from fake_node import FakeNode, fill

VIEWS = ["overview", "topics", "subscriptions", "connections", "rings", "errors", "config", "node"]


class PageTest(BrowserTest):
    """Each test has a node of its own, filled; ticks are the test's."""
    topics = 12

    def setUp(self):
        super().setUp()
        self.fake = FakeNode()
        self.addCleanup(self.fake.down)
        if self.topics > 0:
            fill(self.fake, self.topics)
            self.fake.say("warn", "127.0.0.1:51234: the token is wrong", "access")

    def open(self, view="overview", live=True):
        self.browser.get(f"{self.fake.address()}#/{view}")
        if live:
            self.shows("#link", "Live")
            wait_for(lambda: self.text("#node-name") == self.fake.name, "the node's name is shown")

    def ticks(self, holds, what):
        """Ticks until it is so."""
        def ticked():
            if holds():
                return True
            self.fake.tick()
            return holds()
        wait_for(ticked, what)

    def tile(self, name):
        return self.script("""
            const tile = [...document.querySelectorAll(".tile")].find(
                (one) => one.querySelector("h3").innerText === arguments[0]);
            return [tile.querySelector(".tile-value").innerText.replace(/\\s+/g, " "),
                    tile.querySelector(".tile-value").title.replace(/\\s+/g, "")];""", name)

    def first_column(self, table):
        return self.texts(f"{table} tbody th")

    def exact(self, table, row, column):
        """All digits of a cell, which its title has."""
        return self.script("""
            const rows = [...document.querySelectorAll(arguments[0] + " tbody tr")];
            const row = rows.find((one) => one.cells[0].innerText === arguments[1]);
            return row.cells[arguments[2]].title.replace(/\\D/g, "");""", table, row, column)
