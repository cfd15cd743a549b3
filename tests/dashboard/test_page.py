#!/usr/bin/env python3
"""The dashboard in a browser, with a node that is made up (fake_node.py).

SPDX-License-Identifier: Apache-2.0
"""
import json
import unittest
import urllib.parse

from browser import FOLDER, BrowserTest, Keys, wait_for
from fake_node import HOSTILE, FakeNode, connection_of, fill, subscription_of

VIEWS = ["overview", "topics", "subscriptions", "connections", "rings", "errors", "config", "node"]

# Computes the contrast of each text that is shown with what lies behind it, as WCAG does; returns
# those below `least`.
CONTRAST = """
const least = arguments[0];
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
function rgba(color) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
}
function behind(node) {
    const layers = [];
    for (let at = node; at !== null; at = at.parentElement) {
        const color = rgba(getComputedStyle(at).backgroundColor);
        layers.push(color);
        if (color[3] > 0.99) {
            break;
        }
    }
    let under = [255, 255, 255];
    for (const [r, g, b, a] of layers.reverse()) {
        under = [r, g, b].map((part, i) => part * a + under[i] * (1 - a));
    }
    return under;
}
function light(color) {
    const [r, g, b] = color.map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const bad = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let seen = 0;
while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() === "" || !node.checkVisibility() ||
        node.closest("script, style, noscript, .hidden, .skip, option, :disabled") !== null) {
        continue;
    }
    seen += 1;
    const style = getComputedStyle(node);
    const front = rgba(node.namespaceURI.includes("svg") ? style.fill : style.color);
    const [one, two] = [light(front.slice(0, 3)), light(behind(node))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (two + 0.05);
    if (contrast < least) {
        bad.push(`${walker.currentNode.data.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
    }
}
return [seen, bad];
"""


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


class Numbers(PageTest):
    def test_the_page_loads_nothing_but_itself_and_the_api(self):
        self.open()
        known = {"/", "/readyz"} | {f"/api/v1/{name}" for name in (
            "events", "node", "topics", "errors", "log")}
        self.assertEqual({path.split("?")[0] for path in self.fake.requests} - known, set())
        self.assertEqual(self.script("""return performance.getEntriesByType("resource")
            .filter((one) => !one.name.startsWith(location.origin)).length"""), 0)

    def test_what_is_shown_is_what_the_api_says(self):
        self.fake.rates["published_rate"] = 1234567.0
        self.fake.latency = {"count": 5, "p50_ns": 850, "p99_ns": 45600, "p999_ns": 1200000,
                             "max_ns": 2500000000}
        self.open()
        self.assertEqual(self.tile("Published"), ["1.23 M/s", str(self.fake.sum("published"))])
        self.assertEqual(self.tile("Latency p99"), ["45.6 \u03bcs", "45600ns"])
        self.assertEqual(self.texts("#latency .legend-item"),
                         ["p50 850 ns", "p99 45.6 \u03bcs", "p99.9 1.20 ms", "max 2.50 s"])
        self.assertEqual(self.tile("Largest lag")[1], "1234567")
        self.assertEqual(self.text("#count-topics"), "12")
        self.go("topics")
        wait_for(lambda: len(self.first_column("#topics-table")) == 12, "all topics are listed")
        for name, topic in self.fake.topics.items():
            self.assertEqual(self.exact("#topics-table", name, 2), str(topic["published"]))
            self.assertEqual(self.exact("#topics-table", name, 4), str(topic["delivered"]))

    def test_events_that_are_published_change_it(self):
        self.open("topics")
        name = "orders.new.000"
        self.ticks(lambda: name in self.first_column("#topics-table"), "the topic is listed")
        for _ in range(2):
            self.fake.publish(name, 1000)
            wanted = str(self.fake.topics[name]["published"])
            self.ticks(lambda w=wanted: self.exact("#topics-table", name, 2) == w, wanted)
        self.fake.publish("hello", 1)
        self.ticks(lambda: "hello" in self.first_column("#topics-table"), "a new topic comes")
        self.assertEqual(self.text("#count-topics"), "13")
        del self.fake.topics["hello"]
        self.ticks(lambda: "hello" not in self.first_column("#topics-table"), "and goes")

    def test_errors_are_counted_and_marked_when_they_are_new(self):
        self.fake.errors["publish", "too_large"] = 41
        self.open()
        self.ticks(lambda: "too large" in self.text("#problems"), "the reason is shown")
        self.assertIn("0 41", self.text("#problems tbody tr"))
        self.assertNotIn("!", self.text(".tile.loud"))
        self.fake.errors["publish", "too_large"] = 44
        self.script("skew_ms += 1000")
        self.ticks(lambda: "+3 44" in self.text("#problems tbody tr"), "three more")
        self.assertEqual(len(self.all("#problems td.loud")), 1)
        self.go("errors")
        self.shows("#error-list", "A payload above bus.event_bytes_max.")
        self.assertEqual(len(self.texts("#error-list tbody tr")), 13)
        self.one("#errors-only").click()
        self.assertEqual(len(self.texts("#error-list tbody tr")), 1)
        self.shows("#log .log", "the token is wrong")

    def test_readiness_is_shown_with_its_reasons(self):
        self.fake.ready = False
        self.fake.reasons = [{"name": "draining", "message": "the node stops"}]
        self.console_allows.add("503 (Service Unavailable)")
        self.open("node")
        self.shows("#health", "Not ready: the node stops")
        self.shows("#node-health", "draining the node stops")
        self.fake.ready = True
        self.fake.reasons = [{"name": "config", "message": "the last reload failed"}]
        self.ticks(lambda: "with a warning" in self.text("#health"), "ready, with a warning")
        self.fake.reasons = []
        self.ticks(lambda: self.text("#health").endswith("Ready"), "ready")

    def test_options_say_what_was_changed_and_what_needs_a_restart(self):
        self.fake.pending["changes"] = [{"name": "bus.shards", "running": "16", "file": "32",
                                         "live": False}]
        self.open("config")
        self.shows("#config-table", "bus.shards")
        rows = self.texts("#config-table tbody tr")
        self.assertTrue(any(row.startswith("limits.connections_max 2000changed 10000 set reload")
                            for row in rows), rows)
        self.assertTrue(any("bus.shards 16 16 default restart" in row for row in rows), rows)
        self.assertTrue(any("log.file (empty) (empty)" in row for row in rows), rows)
        self.shows(".hint", "bus.shards is 16 and 32 in the file: the node has to be restarted")
        self.one("#config-only").click()
        self.assertEqual(self.first_column("#config-table"),
                         ["node.name", "auth.token", "bus.shard_ring_bytes",
                          "limits.connections_max"])
        self.one("#config-filter").send_keys("ring")
        wait_for(lambda: self.first_column("#config-table") == ["bus.shard_ring_bytes"],
                 "the filter holds")

    def test_one_connection_and_one_subscription(self):
        self.open("connections/3")
        self.shows("#connection-title", "gateway-2")
        self.shows("#connection-0", "127.0.0.1:40003")
        self.fake.connections.pop(2)
        self.console_allows.add("404 (Not Found)")
        self.ticks(lambda: "is closed" in self.text("main"), "it is closed")
        self.go("subscriptions")
        self.shows("#subscriptions-table", "archive-2")
        self.one("#subscriptions-table tbody a").click()
        self.shows("#subscription-title", "archive-2")
        self.shows("#subscription-0", "quotes.>")
        self.fake.subscriptions.clear()
        self.ticks(lambda: "has ended" in self.text("main"), "it has ended")

    def test_rings_and_their_consumers(self):
        self.fake.rings[3]["used"] = 8192
        self.open("rings")
        self.shows("#ring-list tbody", "shard.3 io.1 50.0 % 8 192 of 16.4 k")
        self.assertEqual(self.texts("#ring-list .pair")[3], "io.1 8 192")
        self.shows("#loop-list tbody", "io.0 1.0 %")


class Empty(PageTest):
    topics = 0

    def test_an_empty_node_teaches(self):
        self.open()
        self.shows("#busiest", "No topics yet")
        self.shows("#busiest", "dx pub hello world")
        self.shows("#behind", "Nobody subscribes yet")
        self.shows("#problems", "None since the start")
        self.assertEqual(self.tile("Latency p99")[0].strip(), "\u2013")
        for view, text in (("topics", "dx pub hello world"), ("subscriptions", "dx sub '>'"),
                           ("connections", "No connections")):
            self.go(view)
            self.shows(".view:not([hidden]) .empty", text)
        self.console_allows.add("404 (Not Found)")
        self.go("topics/never.heard.of")
        self.shows(".view:not([hidden]) .problem", "There is no such topic")

    def test_ten_thousand_topics_are_pages(self):
        for i in range(10000):
            self.fake.add_topic(f"sensor.{i:05}", float(i))
        self.open("topics")
        self.shows("#count-topics", "10.0 k")
        wait_for(lambda: len(self.first_column("#topics-table")) == 50, "a page")
        self.assertEqual(self.first_column("#topics-table")[0], "sensor.09999")
        self.assertIn("1\u201350 of 10 000", self.text(".pager"))
        self.one(".pager button:last-of-type").click()
        wait_for(lambda: self.first_column("#topics-table")[0] == "sensor.09949", "the next page")
        self.one("#topics-filter").send_keys("0123")
        wait_for(lambda: self.first_column("#topics-table") ==
                 [f"sensor.{n:05}" for n in range(1239, 1229, -1)] + ["sensor.00123"],
                 "those that match")
        self.shows(".table-bar .count", "11 of 10 000 topics")
        self.assertEqual(self.text("#announcer"), "11 topics match")
        self.one("#topics-filter").send_keys("x")
        self.shows("#topics-filter ~ *, .table-panel", "No topic matches")

    def test_huge_numbers_fit(self):
        fill(self.fake, 3, 10 ** 6)
        self.fake.rates = {key: 9.87e14 for key in self.fake.rates}
        self.open()
        self.assertEqual(self.tile("Published")[0], "987 T/s")
        self.assertTrue(self.script("""return [...document.querySelectorAll(".tile-value")]
            .every((node) => node.scrollWidth <= node.clientWidth)"""))


class Keyboard(PageTest):
    def test_sort_filter_and_one_topic_without_a_mouse(self):
        self.open("topics")
        self.ticks(lambda: len(self.first_column("#topics-table")) == 12, "topics are listed")
        self.script("document.body.focus()")
        self.tab_to("skip")
        self.press(Keys.ENTER)
        self.assertEqual(self.active()[2], "Topics")
        self.tab_to("topics-filter")
        self.press(*"orders")
        wait_for(lambda: self.first_column("#topics-table") ==
                 ["orders.new.000", "orders.apac.007"], "those that match")
        self.tab_to("Topic")
        self.press(Keys.ENTER)
        wait_for(lambda: self.first_column("#topics-table") ==
                 ["orders.apac.007", "orders.new.000"], "sorted by name")
        self.assertEqual(self.texts("#topics-table [aria-sort=ascending]"), ["Topic\u25b2"])
        self.press(Keys.SPACE)
        wait_for(lambda: self.first_column("#topics-table")[0] == "orders.new.000", "and back")
        self.assertEqual(self.texts("#topics-table [aria-sort=descending]"), ["Topic\u25bc"])
        self.tab_to("orders.apac.007")
        self.press(Keys.ENTER)
        self.shows("#topic-title", "orders.apac.007")
        self.assertEqual(self.active()[1], "topic-title")
        self.shows("#topic-numbers", "Published")
        self.assertIn("orders.apac.007", self.browser.title)
        self.shows("#topic-subscriptions", "matching-1")  # its pattern is >
        self.assertNotIn("archive", self.text("#topic-subscriptions"))  # quotes.>
        self.tab_to("\u2190 Topics", key=Keys.SHIFT + Keys.TAB + Keys.NULL)
        self.press(Keys.ENTER)
        self.assertEqual(self.active()[2], "Topics")

    def test_a_filter_may_be_a_pattern_and_a_wrong_one_is_explained(self):
        self.open("topics")
        self.ticks(lambda: len(self.first_column("#topics-table")) == 12, "topics are listed")
        self.one("#topics-filter").send_keys("*.eu.*")
        wait_for(lambda: self.first_column("#topics-table") ==
                 ["quotes.eu.001", "telemetry.eu.005", "trades.eu.009"], "those that match")
        self.console_allows.add("400 (Bad Request)")
        self.one("#topics-filter").send_keys(">.x")
        self.shows(".view:not([hidden]) .problem", "> stands at the end only")
        self.assertEqual(len(self.first_column("#topics-table")), 3)  # what was there stays

    def test_focus_stays_when_rows_change_their_places(self):
        self.open("topics")
        self.ticks(lambda: len(self.first_column("#topics-table")) == 12, "topics are listed")
        self.tab_to("trades.us.002")
        self.fake.topics["trades.us.002"]["rate_1m"] = 1e9
        self.ticks(lambda: self.first_column("#topics-table")[0] == "trades.us.002", "it rises")
        self.assertEqual(self.active()[2], "trades.us.002")

    def test_a_chart_is_read_by_arrow_keys_and_as_a_table(self):
        self.fake.rates["published_rate"] = 1000.0
        self.open()
        for rate in (2000.0, 3000.0):
            self.fake.rates["published_rate"] = rate
            self.fake.tick()
            self.shows("#throughput .legend-item", f"{rate / 1000:.2f} k/s")
        slider = self.one("#throughput .scrub")
        self.script("arguments[0].focus()", slider)
        self.assertIn("published 3.00 k/s", self.moment(slider))
        self.press(Keys.ARROW_LEFT)
        self.assertIn("published 2.00 k/s", self.moment(slider))
        self.shows("#throughput .legend-item", "2.00 k/s")
        self.assertEqual(len(self.all("#throughput .cross[visibility=visible]")), 1)
        self.tab_to("Throughput as table", key=Keys.SHIFT + Keys.TAB + Keys.NULL)
        self.press(Keys.ENTER)
        rows = self.texts("#throughput tbody tr")
        self.assertEqual([row.split(" ", 1)[1] for row in rows[:3]],
                         ["3.00 k/s 0 /s", "2.00 k/s 0 /s", "1.00 k/s 0 /s"])
        self.assertEqual(self.texts("#throughput thead th"), ["Time", "published", "delivered"])

    @staticmethod
    def moment(slider):
        return slider.get_attribute("aria-valuetext").replace("\u00a0", " ")

    def test_what_is_focused_is_seen(self):
        for scheme in ("dark", "light"):
            self.emulate(scheme)
            self.open("topics")
            self.ticks(lambda: len(self.first_column("#topics-table")) == 12, "topics")
            self.script("document.body.focus()")
            for _ in range(40):
                self.press(Keys.TAB)
                outline = self.script("""
                    const node = document.activeElement;
                    const style = getComputedStyle(node);
                    return [node.tagName, style.outlineStyle, parseFloat(style.outlineWidth)];""")
                if outline[0] == "BODY":
                    break
                self.assertEqual(outline[1:], ["solid", 2], self.active())


class Access(PageTest):
    def test_every_control_has_a_name_and_every_view_its_headings(self):
        self.open()
        for view in [*VIEWS, "topics/orders.new.000", "connections/1"]:
            self.go(view)
            self.has_content(view)
            nodes = self.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
            wanted = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "slider",
                      "region", "figure", "navigation", "table", "dialog", "image"}
            for node in nodes:
                role = node.get("role", {}).get("value")
                if not node.get("ignored") and role in wanted:
                    self.assertTrue(node.get("name", {}).get("value", "").strip(),
                                    f"{view}: a {role} without a name")
            roles = [node.get("role", {}).get("value") for node in nodes]
            for landmark in ("banner", "navigation", "main", "contentinfo"):
                self.assertIn(landmark, roles, view)
            levels = self.script("""return [...document.querySelectorAll("h1, h2, h3, h4")]
                .filter((node) => node.checkVisibility()).map((node) => +node.tagName[1])""")
            self.assertEqual(levels[:2], [1, 2], view)
            self.assertTrue(all(b - a <= 1 for a, b in zip(levels, levels[1:])), (view, levels))
            self.assertEqual(levels.count(1), 1)
            self.assertEqual(self.script("""return [...document.querySelectorAll("table")]
                .filter((table) => table.caption === null || table.tHead === null ||
                    [...table.tHead.rows[0].cells].some((cell) => cell.scope !== "col")).length"""),
                0, view)
            self.assertEqual(self.script("""
                const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
                return ids.filter((id, at) => ids.indexOf(id) !== at)"""), [], view)
            self.assertEqual(self.texts("nav [aria-current=page]")[0].split(" ")[0].lower()[:4],
                             view[:4])

    def test_texts_stand_out_in_the_light_and_in_the_dark(self):
        self.fake.errors["publish", "too_large"] = 4
        for scheme in ("light", "dark"):
            self.emulate(scheme)
            self.open()
            self.fake.errors["publish", "too_large"] += 4
            self.script("skew_ms += 1000")
            self.ticks(lambda: len(self.all("td.loud")) > 0, "an error is new")
            for view in [*VIEWS, "topics/orders.new.000"]:
                self.go(view)
                self.has_content(view)
                seen, bad = self.script(CONTRAST, 4.5)
                self.assertGreater(seen, 25)
                self.assertEqual(bad, [], f"{view}, {scheme}")

    def test_lines_of_charts_stand_out_and_differ_in_more_than_colour(self):
        for scheme in ("light", "dark"):
            self.emulate(scheme)
            self.open()
            lines = self.script(CONTRAST.split("const bad")[0] + """
                return [...document.querySelectorAll("#latency .legend-line line")].map((line) => {
                    const style = getComputedStyle(line);
                    const [one, two] = [light(rgba(style.stroke).slice(0, 3)),
                        light(behind(line.closest("figure")))].sort((a, b) => b - a);
                    return [(one + 0.05) / (two + 0.05), style.strokeDasharray]; });""", 0)
            self.assertEqual(len({dashes for _, dashes in lines}), 4, lines)
            self.assertTrue(all(contrast >= 4.5 for contrast, _ in lines), lines)

    def test_the_check_of_contrast_finds_what_is_pale(self):
        self.open()
        self.script("document.querySelector('.tile-note').style.color = '#555'")
        self.assertEqual(len(self.script(CONTRAST, 4.5)[1]), 1)

    def test_the_theme_is_that_of_the_system_until_one_is_chosen(self):
        ground = "return getComputedStyle(document.body).backgroundColor"
        seen = {}
        for scheme in ("light", "dark"):
            self.emulate(scheme)
            self.open()
            seen[scheme] = self.script(ground)
        self.assertNotEqual(seen["light"], seen["dark"])
        self.assertEqual(self.text("#theme"), "Theme: auto")
        self.one("#theme").click()
        self.assertEqual((self.text("#theme"), self.script(ground)),
                         ("Theme: light", seen["light"]))
        self.browser.refresh()
        self.shows("#link", "Live")
        self.assertEqual(self.script(ground), seen["light"])  # it is remembered
        self.one("#theme").click()
        self.emulate("light")
        self.assertEqual((self.text("#theme"), self.script(ground)), ("Theme: dark", seen["dark"]))
        self.one("#theme").click()
        self.assertEqual(self.script(ground), seen["light"])

    def test_a_phone_shows_it_without_scrolling_sideways(self):
        self.fake.add_topic("a" * 255, 1e9)
        self.fake.connections.append(connection_of(99, "b" * 255, address="c" * 100))
        self.size(375, 812)
        self.open()
        for view in [*VIEWS, "topics/" + "a" * 255, "connections/99"]:
            self.go(view)
            self.has_content(view)
            self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), 375)
            wide = self.script("""return [...document.querySelectorAll(".view:not([hidden]) *")]
                .filter((node) => node.checkVisibility() && node.closest("svg") === null &&
                    !node.classList.contains("hidden") &&
                    node.getBoundingClientRect().right > 376).map((node) => node.className)""")
            self.assertEqual(wide, [], view)
            small = self.script("""return [...document.querySelectorAll("button, select, nav a")]
                .filter((node) => node.checkVisibility() && node.offsetHeight < 24)
                .map((node) => node.innerText)""")
            self.assertEqual(small, [], view)

    def test_nothing_moves_for_who_does_not_want_it(self):
        moving = """return [...document.querySelectorAll("*")].filter((node) =>
            getComputedStyle(node).transitionDuration.split(", ").some((one) => one !== "0s") ||
            getComputedStyle(node).animationName !== "none").length"""
        self.open()
        self.assertGreater(self.script(moving), 0)
        self.emulate(motion="reduce")
        self.assertEqual(self.script(moving), 0)


class Link(PageTest):
    def test_a_lost_connection_is_said_and_comes_back(self):
        self.console_allows |= {"net::ERR_", "Failed to load resource"}
        self.open()
        self.fake.down()
        self.shows("#banner-text", "Connection lost, last update")
        self.assertEqual(self.text("#link"), "Lost")
        self.assertEqual(self.text("#announcer"), "Connection lost")
        self.script("skew_ms += 75000")
        self.shows("#banner-text", "last update 1 min")
        self.assertTrue(self.browser.title.startswith("(!)"), self.browser.title)
        self.assertIn("M", self.tile("Largest lag")[0])  # what was known stays
        self.script("skew_ms = 0")
        self.fake.up()
        self.one("#retry").click()
        self.shows("#link", "Live")
        self.assertEqual(self.text("#banner"), "")
        self.assertEqual(self.text("#announcer"), "Connected again")
        self.assertFalse(self.browser.title.startswith("(!)"))
        self.fake.rates["published_rate"] = 77.0
        self.ticks(lambda: self.tile("Published")[0] == "77 /s", "it lives")

    def test_it_comes_back_by_itself(self):
        self.console_allows |= {"net::ERR_", "Failed to load resource"}
        self.open()
        self.fake.down()
        self.shows("#link", "Lost")
        self.fake.up()
        self.shows("#link", "Live")

    def test_a_silent_node_is_said(self):
        self.open()
        self.fake.silent = True
        self.script("skew_ms = 6000")
        self.shows("#banner-text", "No numbers from the node, last update 6 s ago")
        self.assertEqual(self.text("#link"), "Silent")
        self.fake.silent = False
        self.fake.tick()
        self.shows("#link", "Live")

    def test_a_node_that_was_started_anew_is_said(self):
        self.open()
        self.fake.tick()
        self.fake.started_ns += 10 ** 10
        self.fake.tick()
        self.shows("#announcer", "The node was started anew")

    def test_paused_it_shows_what_it_showed(self):
        self.open()
        self.fake.rates["published_rate"] = 55.0
        self.ticks(lambda: self.tile("Published")[0] == "55 /s", "live")
        self.one("#pause").click()
        self.assertEqual(self.text("#link"), "Paused")
        self.assertEqual(self.one("#pause").get_attribute("aria-pressed"), "true")
        self.fake.rates["published_rate"] = 66.0
        asked = len(self.fake.requests)
        for _ in range(5):
            self.fake.tick()
        wait_for(lambda: self.script("return performance.now()") > 0, "the page has had its turn")
        self.assertEqual(self.tile("Published")[0], "55 /s")
        self.assertEqual(len(self.fake.requests), asked)
        self.one("#pause").click()
        wait_for(lambda: self.tile("Published")[0] == "66 /s", "what came meanwhile")

    def test_lines_of_the_log_come_by_themselves(self):
        self.open()
        self.fake.say("error", "no memory for a receive buffer")
        self.ticks(lambda: "no memory for a receive" in self.text("#happenings"), "the line")
        self.assertEqual(self.script("""return document.querySelector("#happenings .log-error " +
            ".level").getAttribute("aria-label")"""), "error")


class Token(PageTest):
    def test_a_token_is_asked_for_checked_and_kept_in_the_session(self):
        self.console_allows.add("401 (Unauthorized)")
        self.fake.token = "correct horse"
        self.open(live=False)
        wait_for(lambda: self.script("return document.getElementById('token-dialog').open"),
                 "the token is asked for")
        self.assertEqual(self.active()[1], "token-input")
        self.assertEqual(self.text("#token-problem"), "")
        self.press(*"wrong", Keys.ENTER)
        self.shows("#token-problem", "the token is wrong")
        self.press(Keys.BACKSPACE, *self.fake.token, Keys.ENTER)
        self.shows("#link", "Live")
        self.assertFalse(self.script("return document.getElementById('token-dialog').open"))
        self.assertEqual(self.script("return Object.values(sessionStorage)"), [self.fake.token])
        self.assertEqual(self.script("return JSON.stringify(localStorage) + document.cookie + "
                                     "location + document.body.innerText").count("horse"), 0)
        self.assertEqual([path for path in self.fake.requests if "horse" in path], [])
        self.browser.refresh()  # it is remembered as long as the tab is
        self.shows("#link", "Live")
        self.one("#forget").click()
        wait_for(lambda: self.script("return document.getElementById('token-dialog').open"),
                 "it is forgotten")
        self.assertEqual(self.script("return sessionStorage.length"), 0)

    def test_a_token_that_is_changed_under_it_is_asked_for_again(self):
        self.console_allows |= {"401 (Unauthorized)", "net::ERR_", "Failed to load resource"}
        self.open()
        self.fake.token = "new"
        self.fake.down()
        self.fake.up()
        wait_for(lambda: self.script("return document.getElementById('token-dialog').open"),
                 "the token is asked for")
        self.press(Keys.ESCAPE)  # a person may look at what was there
        self.assertFalse(self.script("return document.getElementById('token-dialog').open"))
        self.assertEqual(self.text("#link"), "Locked")
        self.shows("#banner", "The node wants a token")
        self.one("#enter-token").click()
        self.press(*"new", Keys.ENTER)
        self.shows("#link", "Live")


class Hostile(PageTest):
    topics = 0

    def test_names_are_texts_wherever_they_stand(self):
        for i, name in enumerate(HOSTILE):
            self.fake.add_topic(name, 1e6)
            self.fake.subscriptions.append(subscription_of(name, name, i + 1, group=name, lag=9))
            self.fake.connections.append(connection_of(i + 1, name, address=name, user=name,
                                                       tls=True, tls_subject=name))
            self.fake.say("error", name, name)
        self.fake.name = HOSTILE[0]
        self.fake.reasons = [{"name": "config", "message": HOSTILE[1]}]
        self.fake.pending["problem"] = HOSTILE[2]
        self.open()
        self.script("window.alert = () => { violations.push('alert'); }")
        elements = "return document.querySelectorAll('img, script, iframe, object, b > *').length"
        before = self.script(elements)
        for view, table, names in (
                ("overview", "#busiest", None), ("topics", "#topics-table", HOSTILE),
                ("subscriptions", "#subscriptions-table", HOSTILE),
                ("connections", "#connections-table", HOSTILE), ("config", "#config-table", None),
                ("errors", "#log", None), ("node", "#node-health", None)):
            self.go(view)
            wait_for(lambda t=table: len(self.text(t)) > 30, view)
            if names is not None:
                wait_for(lambda t=table: sorted(self.script(
                    "return [...document.querySelectorAll(arguments[0] + ' tbody th')]"
                    ".map((one) => one.textContent)", t)) == sorted(names), f"names of {view}")
        for name in HOSTILE:
            self.go("topics/" + urllib.parse.quote(name, safe=""))
            wait_for(lambda n=name: self.script(
                "return document.getElementById('topic-title').textContent") == n, name)
            wait_for(lambda: "Published" in self.text("#topic-numbers"), f"numbers of {name}")
            self.go("connections/" + str(HOSTILE.index(name) + 1))
            wait_for(lambda n=name: self.script(
                "return document.getElementById('connection-title').textContent") == n, name)
        self.assertEqual(self.script(elements), before)
        self.assertEqual(self.script("return document.documentElement.scrollWidth"), 1440)

    def test_addresses_that_are_none_lead_to_a_view(self):
        self.console_allows.add("404 (Not Found)")
        self.open()
        for address, title in (
                ("#/nothing", "Overview"), ("#main", "Overview"), ("#/topics/%zz", "Topics"),
                ("#/topic", "Overview"), ("#/constructor", "Overview"),
                ("#/subscriptions/%7B", "Subscription")):
            self.script("location.hash = arguments[0]", address)
            wait_for(lambda t=title: self.browser.title.startswith(t), f"{address} is {title}")


class Parts(BrowserTest):
    """Functions of the page's scripts, alone."""

    def call(self, files, expression):
        text = "\n".join((FOLDER / name).read_text("utf-8") for name in files)
        return self.script(f"{text}\nreturn {expression};")

    def test_numbers_are_written_as_people_read_them(self):
        cases = {
            "joined(count(0))": "0", "joined(count(9999))": "9 999",
            "joined(count(10000))": "10.0 k",
            "joined(count(999499))": "999 k", "joined(count(999500))": "1.00 M",
            "joined(count(2 ** 63))": "9.22 E", "joined(count(null))": "\u2013",
            "joined(count(NaN))": "\u2013", "digits(1234567)": "1 234 567",
            "digits(-1234)": "-1 234", "joined(rate(0))": "0 /s", "joined(rate(3))": "3 /s",
            "joined(rate(0.5))": "0.50 /s", "joined(rate(0.001))": "< 0.01 /s",
            "joined(rate(12345.6))": "12.3 k/s", "joined(rate(1e15))": "1000 T/s",
            "joined(bytes(999))": "999 B", "joined(bytes(1000))": "1000 B",
            "joined(bytes(1023.4))": "1023 B", "joined(bytes(1024))": "1.00 KiB",
            "joined(bytes(1048575))": "1.00 MiB", "joined(bytes(1023 * 1024))": "1023 KiB",
            "joined(byteRate(1536))": "1.50 KiB/s", "joined(duration(0))": "0 ns",
            "joined(duration(999))": "999 ns", "joined(duration(1000))": "1.00 \u03bcs",
            "joined(duration(999499))": "999 \u03bcs", "joined(duration(999999))": "1.00 ms",
            "joined(duration(1.5e9))": "1.50 s", "joined(duration(119e9))": "119 s",
            "joined(duration(3.6e12))": "1 h", "age(93784e9)": "1 d 2 h", "age(59.9e9)": "59 s",
            "age(61e9)": "1 min 1 s", "age(0)": "0 s", "age(-5)": "0 s",
            "joined(percent(0))": "0 %", "joined(percent(0.0001))": "< 0.1 %",
            "joined(percent(0.1234))": "12.3 %", "joined(percent(1.72))": "172 %",
            "plural(1, 'topic')": "1 topic", "plural(0, 'topic')": "0 topics",
        }
        got = self.call(["format.js"], "[" + ", ".join(cases) + "]")
        blanks = str.maketrans("\u00a0\u202f", "  ")
        self.assertEqual(dict(zip(cases, [text.translate(blanks) for text in got])), cases)

    def test_the_stream_is_taken_apart_wherever_it_is_cut(self):
        stream = (": hello\n\nevent: numbers\ndata: {\"a\":\ndata: 1}\n\nid: 7\nevent:happening\r\n"
                  "data:  x\r\n\r\nevent: empty\n\ndata: plain\n\ndata: unfinished\n")
        wanted = [["numbers", '{"a":\n1}', None], ["happening", " x", "7"],
                  ["message", "plain", "7"]]
        for size in (1, 2, 3, 7, len(stream)):
            got = self.call(["api.js"], f"""(() => {{
                const seen = [], text = {json.dumps(stream)};
                const parser = eventParser((...event) => seen.push(event));
                for (let i = 0; i < text.length; i += {size}) {{
                    parser.give(text.slice(i, i + {size}));
                }}
                return seen; }})()""")
            if size == 1 or got != wanted:
                self.assertEqual(got, wanted, size)

    def test_patterns_take_what_the_bus_gives_them(self):
        cases = [("a.b", "a.b", True), ("a.b", "a.c", False), ("a.*", "a.b", True),
                 ("a.*", "a.b.c", False), ("a.>", "a.b.c", True), ("a.>", "a", False),
                 (">", "a", True), (">", "$dead.a", False), ("*", "$x", False),
                 ("$dead.>", "$dead.a", True), ("*.b", "a.b", True), ("a", "a.b", False)]
        got = self.call(["topics.js"], "[" + ", ".join(
            f"patternTakes({json.dumps(pattern)}, {json.dumps(name)})"
            for pattern, name, _ in cases) + "]")
        self.assertEqual(got, [takes for _, _, takes in cases])

    def test_rates_and_growth_outlive_a_restart(self):
        got = self.call(["format.js", "history.js"], """(() => {
            const rates = new Rates(), growth = new Growth(60000), history = new History(["a"], 5);
            const steps = [[0, 0], [1000, 10], [1100, 99], [2000, 30], [3000, 5], [5000, 9]]
                .map(([time, a]) => rates.next(time, { a }).a);
            const grown = [[0, 4], [30000, 6], [60000, 9], [90000, 9], [120000, 12], [121000, 1]]
                .map(([time, value]) => {
                    growth.add(time, new Map([["x", value]]));
                    return growth.of("x");
                });
            for (let i = 1; i <= 120; i += 1) {
                history.add(i * 1000, { a: i });
            }
            return [steps, grown, history.length, history.values.a.at(-1), history.since(119500),
                    history.length - 1]; })()""")
        self.assertEqual(got[0], [None, 10, None, 20, None, 2])
        self.assertEqual(got[1], [0, 2, 5, 3, 3, 0])
        self.assertLessEqual(got[2], 106)
        self.assertEqual((got[3], got[4]), (120, got[5]))

    def test_axes_reach_above_what_they_show(self):
        linear, log, flat = self.call(["format.js", "dom.js", "chart.js"],
                                      "[[0, 0.3, 7, 1e6, 123456789].map((high) => "
                                      "linearTicks(high, 4, false)), [[1, 1], [850, 2.5e9], "
                                      "[1000, 1000]].map(([a, b]) => logTicks(a, b)), "
                                      "linearTicks(3000000, 4, true)]")
        for high, ticks in zip([0, 0.3, 7, 1e6, 123456789], linear):
            self.assertGreaterEqual(ticks[-1], high)
            self.assertTrue(2 <= len(ticks) <= 7, ticks)
        for (low, high), ticks in zip([(1, 1), (850, 2.5e9), (1000, 1000)], log):
            self.assertTrue(ticks[0] <= low and ticks[-1] >= high, ticks)
        self.assertTrue(all(tick % 1048576 == 0 for tick in flat), flat)


if __name__ == "__main__":
    unittest.main()
