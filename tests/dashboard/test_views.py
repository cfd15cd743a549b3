#!/usr/bin/env python3
"""The views of the dashboard: the numbers that they show, live; empty, large and hostile nodes.

SPDX-License-Identifier: Apache-2.0
"""
import unittest
import urllib.parse

from browser import wait_for
from fake_node import HOSTILE, connection_of, fill, subscription_of
from page import PageTest



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
        self.ticks(lambda: self.texts("#latency .legend-item") ==
                   ["p50 850 ns", "p99 45.6 \u03bcs", "p99.9 1.20 ms", "max 2.50 s"], "percentiles")
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
        self.fake.errors["publish", "unheard"] = 5  # is listed, and no error
        self.script("skew_ms += 1000")
        self.ticks(lambda: "+3 44" in self.text("#problems tbody tr"), "three more")
        self.assertEqual(self.tile("Errors"), ["44", "44"])
        self.assertEqual(self.texts(".tile.loud h3"), ["Errors"])
        self.assertEqual(len(self.all("#problems td.loud")), 1)
        self.go("errors")
        self.shows("#error-list", "A payload above bus.event_bytes_max.")
        self.assertEqual(len(self.texts("#error-list tbody tr")), 14)
        self.one("#errors-only").click()
        self.assertEqual(len(self.texts("#error-list tbody tr")), 2)
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
        self.fake.ready = None  # another answer with the same status changes nothing
        asked = len(self.fake.requests)
        self.ticks(lambda: "/readyz" in self.fake.requests[asked:], "it was asked again")
        self.assertIn("with a warning", self.text("#health"))
        self.fake.ready = True
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
        self.shows("#announcer", "11 topics match")
        self.one("#topics-filter").send_keys("x")
        self.shows("#topics-filter ~ *, .table-panel", "No topic matches")

    def test_huge_numbers_fit(self):
        fill(self.fake, 3, 10 ** 6)
        self.fake.rates = {key: 9.87e14 for key in self.fake.rates}
        self.open()
        self.assertEqual(self.tile("Published")[0], "987 T/s")
        self.assertTrue(self.script("""return [...document.querySelectorAll(".tile-value")]
            .every((node) => node.scrollWidth <= node.clientWidth)"""))


def seen(name):
    """What a person reads of it: what turns the direction of a text is written out."""
    return name.replace("\u202e", "\\u{202e}")


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
                    ".map((one) => one.textContent)", t)) == sorted(map(seen, names)), view)
        for name in HOSTILE:
            self.go("topics/" + urllib.parse.quote(name, safe=""))
            wait_for(lambda n=name: self.script(
                "return document.getElementById('topic-title').textContent") == seen(n), name)
            wait_for(lambda: "Published" in self.text("#topic-numbers"), f"numbers of {name}")
            self.go("connections/" + str(HOSTILE.index(name) + 1))
            wait_for(lambda n=name: self.script(
                "return document.getElementById('connection-title').textContent") == seen(n), name)
        self.assertEqual(self.script(elements), before)
        self.assertEqual(self.script("return document.documentElement.scrollWidth"), 1440)

    def test_long_names_leave_the_numbers_in_sight(self):
        for i, character in enumerate("abc"):
            name = character * 255
            self.fake.add_topic(name, 1e6)
            self.fake.subscriptions.append(subscription_of(name, name, i + 1, group=name, lag=9))
            self.fake.connections.append(connection_of(i + 1, name, address=name))
        self.open()
        for view in ("topics", "subscriptions", "connections"):
            self.go(view)
            wait_for(lambda v=view: "ccc" in self.text(f"#{v}-table"), view)
            self.assertLessEqual(*self.script("""
                const place = document.getElementById(arguments[0]).closest(".scroller");
                return [place.scrollWidth, place.clientWidth];""", f"{view}-table"), view)

    def test_addresses_that_are_none_lead_to_a_view(self):
        self.console_allows.add("404 (Not Found)")
        self.open()
        for address, title in (
                ("#/nothing", "Overview"), ("#main", "Overview"), ("#/topics/%zz", "Topics"),
                ("#/topic", "Overview"), ("#/constructor", "Overview"),
                ("#/subscriptions/%7B", "Subscription")):
            self.script("location.hash = arguments[0]", address)
            wait_for(lambda t=title: self.browser.title.startswith(t), f"{address} is {title}")


if __name__ == "__main__":
    unittest.main()
