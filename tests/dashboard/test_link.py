#!/usr/bin/env python3
"""The dashboard when its node goes, comes back, is silent, or wants a token; and parts of it alone.

SPDX-License-Identifier: Apache-2.0
"""
import json
import unittest

from browser import FOLDER, BrowserTest, Keys, wait_for
from page import PageTest



class Link(PageTest):
    def test_a_lost_connection_is_said_and_comes_back(self):
        self.console_allows |= {"net::ERR_", "Failed to load resource"}
        self.open()
        self.fake.down()
        self.shows("#banner-text", "Connection lost, last update")
        self.assertEqual(self.text("#link"), "Lost")
        self.shows("#announcer", "Connection lost")
        self.assertIn("not known", self.text("#health"))  # nobody can say that it is ready
        self.script("skew_ms += 75000")
        self.shows("#banner-text", "last update 1 min")
        self.assertTrue(self.browser.title.startswith("(!)"), self.browser.title)
        self.assertIn("M", self.tile("Largest lag")[0])  # what was known stays
        self.script("skew_ms = 0")
        self.fake.up()
        self.script("document.getElementById('retry').click()")  # it may be too late for that
        self.shows("#link", "Live")
        self.assertEqual(self.text("#banner"), "")
        self.assertEqual(self.texts("#announcer p")[-2:], ["Connection lost", "Connected again"])
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
        self.console_allows |= {"net::ERR_", "Failed to load resource"}
        self.open()
        self.shows("#happenings", "the token is wrong")
        self.fake.down()
        self.fake.started_ns += 10 ** 10
        self.fake.log.clear()
        self.fake.say("info", "a new life")
        self.fake.up()
        self.shows("#announcer", "The node was started anew")
        self.ticks(lambda: "a new life" in self.text("#happenings"), "its log")
        self.assertNotIn("the token is wrong", self.text("#happenings"))

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
        self.script("""const choice = document.getElementById("window");
            choice.value = "60"; choice.dispatchEvent(new Event("change"))""")
        self.assertEqual(self.text("#throughput .legend-item"), "published 55 /s")
        self.assertEqual(self.script("""return [...document.querySelectorAll("#throughput .dot")]
            .filter((dot) => Number(dot.getAttribute("cx")) >
                document.querySelector("#throughput .plot").clientWidth).length"""), 0)
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
        self.assertNotIn("Authorization", self.text("#token-problem"))
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

    def test_a_refusal_that_no_token_changes_is_said(self):
        self.console_allows.add("403 (Forbidden)")
        self.fake.forbids = "user clerk may not read the admin API"
        self.open(live=False)
        self.shows("#token-problem", "user clerk may not read the admin API: ask who administers")
        self.shows("#banner", "The node refuses: user clerk may not")
        self.press(Keys.ENTER)
        self.shows("#token-problem", "Enter the token.")
        self.press(*"gr\u00fcn", Keys.ENTER)
        self.shows("#token-problem", "without accents")
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
