#!/usr/bin/env python3
"""The dashboard without a mouse, without eyes, in the light and in the dark, on a phone.

SPDX-License-Identifier: Apache-2.0
"""
import unittest

from browser import Keys, wait_for
from fake_node import connection_of, subscription_of
from page import VIEWS, PageTest


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

class Keyboard(PageTest):
    def test_sort_filter_and_one_topic_without_a_mouse(self):
        self.open("topics")
        self.ticks(lambda: len(self.first_column("#topics-table")) == 12, "topics are listed")
        self.script("document.body.focus()")
        self.tab_to("skip")
        self.press(Keys.ENTER)
        wait_for(lambda: self.active()[2] == "Topics", "the heading has the focus")
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
        wait_for(lambda: self.active()[1] == "topic-title", "its heading has the focus")
        self.shows("#topic-numbers", "Published")
        self.assertIn("orders.apac.007", self.browser.title)
        self.shows("#topic-subscriptions", "matching-1")  # its pattern is >
        self.assertNotIn("archive", self.text("#topic-subscriptions"))  # quotes.>
        self.tab_to("\u2190 Topics", key=Keys.SHIFT + Keys.TAB + Keys.NULL)
        self.press(Keys.ENTER)
        wait_for(lambda: self.active()[2] == "Topics", "the heading has the focus")

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
        for rate in (1000.0, 2000.0, 3000.0):
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
        self.fake.subscriptions.append(subscription_of("d" * 255, "a" * 255, 99, group="e" * 255,
                                                       lag=1e9))
        self.size(360, 740)
        self.open()
        for view in [*VIEWS, "topics/" + "a" * 255, "connections/99"]:
            self.go(view)
            self.has_content(view)
            self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), 360)
            wide = self.script("""return [...document.querySelectorAll(".view:not([hidden]) *")]
                .filter((node) => node.checkVisibility() && node.closest("svg") === null &&
                    !node.classList.contains("hidden") &&
                    node.getBoundingClientRect().right > 361).map((node) => node.className)""")
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


if __name__ == "__main__":
    unittest.main()
