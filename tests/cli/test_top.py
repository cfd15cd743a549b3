#!/usr/bin/env python3
"""dx top on a terminal: what it draws, what its keys do, and that it gives the terminal back.

What is drawn of which numbers stands in tests/unit/test_cli_top.c.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import signal
import termios
import unittest

from dx_program import DX, FAILED, OK, USAGE, clean_environment
from node_program import UNREACHABLE, NodeTest, Server, wait_for
from terminal import Terminal

UP, DOWN = "\x1bOA", "\x1bOB"


class TopTest(NodeTest):
    def setUp(self):
        for name in ("orders.new", "orders.paid", "prices"):
            self.ok("pub", name, "x", "-n", 10, "--ack")

    def top(self, *options, rows=24, columns=80, term="vt100", address=None, **changes):
        environment = clean_environment(DX_ADDRESS=address or self.server.address(),
                                        HOME=str(self.folder), **changes)
        terminal = Terminal([os.path.abspath(DX), "top", *map(str, options)], environment, rows,
                            columns, term)
        self.addCleanup(terminal.close)
        return terminal

    def shown(self, *options, **changes):
        terminal = self.top(*options, **changes)
        terminal.wait_text("orders.new")
        return terminal


class Screens(TopTest):
    def test_it_shows_topics_and_leads_to_the_other_screens(self):
        terminal = self.shown()
        screen = terminal.screen
        self.assertIn("dx top", screen.line(0))
        self.assertIn("unix:///", screen.line(0))
        self.assertIn("[1 topics 3]", screen.line(3))
        self.assertIn("q quit", screen.line(23))
        for key, column in (("2", "pattern"), ("3", "rtt"), ("4", "slots/s"),
                            ("5", "longest turn"), ("1", "out/s")):
            terminal.send(key)
            terminal.wait(lambda s, c=column: c in s.line(4), column)
        terminal.send("q")
        self.assertEqual(terminal.end(), OK)

    def test_keys_sort_filter_move_and_show_one(self):
        terminal = self.shown()
        terminal.send("<")
        terminal.wait(lambda s: "topic ^" in s.line(4) and s.line(5).startswith("> orders.new"),
                      "sorted by name")
        terminal.send(DOWN + DOWN)
        terminal.wait(lambda s: s.line(7).startswith("> prices"), "the cursor has moved")
        terminal.send("r")
        terminal.wait(lambda s: s.line(5).startswith("> prices"), "turned round")
        terminal.send("/ORD\n")
        terminal.wait(lambda s: s.line(7) == "" and "orders.paid" in s.line(5), "filtered")
        terminal.send(UP + "\n")
        terminal.wait(lambda s: "topic orders.paid" in s.line(4), "one of them")
        terminal.wait_text("published_bytes")
        terminal.send("\x1b")
        terminal.wait_text("topic v")
        terminal.send("\x1b")
        terminal.wait_text("prices")
        terminal.send("?")
        terminal.wait_text("another screen")
        terminal.send(" ")
        terminal.wait_gone("another screen")
        terminal.send("p")
        terminal.wait_text("PAUSED")
        terminal.send("p+")
        terminal.wait_text("every 2 s")

    def test_what_happens_in_the_node_is_seen(self):
        terminal = self.shown("--interval", "100ms")
        self.ok("pub", "later.topic", "x", "-n", 5)
        terminal.wait_text("later.topic")
        subscriber = self.start("sub", "later.*")
        terminal.send("2")
        terminal.wait_text("later.*")
        subscriber.terminate()
        terminal.wait_gone("later.*")
        self.ok("topic", "rm", "later.topic")

    def test_a_larger_window_has_more_columns_and_changes_of_size_are_followed(self):
        terminal = self.shown(rows=40, columns=120)
        terminal.wait(lambda s: "refused" in s.line(4), "more columns")
        self.assertIn("q quit", terminal.screen.line(39))
        terminal.resize(12, 60)
        terminal.wait(lambda s: "q quit" in s.line(11) or "sort" in s.line(11), "smaller")
        terminal.wait_text("orders.new")
        terminal.resize(3, 10)
        terminal.wait_text("dx top")
        terminal.resize(50, 200)
        terminal.wait(lambda s: "1m/s" in s.line(4) and "q quit" in s.line(49), "larger")
        terminal.send("q")
        self.assertEqual(terminal.end(), OK)

    def test_colour_is_for_those_who_want_it(self):
        for options, changes, wanted in (((), {}, True), (("--no-color",), {}, False),
                                         ((), {"NO_COLOR": "1"}, False)):
            terminal = self.shown(*options, term="xterm", **changes)
            terminal.send("q")
            self.assertEqual(terminal.end(), OK)
            self.assertEqual(36 in terminal.screen.styles, wanted, (options, changes))


class Ends(TopTest):
    def test_the_terminal_is_given_back_however_it_ends(self):
        for ends in (lambda t: t.send("q"), lambda t: t.send("\x03"),
                     lambda t: os.kill(t.pid, signal.SIGTERM),
                     lambda t: t.send("\x1c\x1cq")):  # Ctrl-\ does nothing
            terminal = self.shown(term="xterm")
            during = terminal.settings()
            self.assertFalse(during[3] & termios.ECHO)
            self.assertTrue(terminal.screen.modes[1049])
            ends(terminal)
            self.assertEqual(terminal.end(), OK)
            after = terminal.settings()
            self.assertTrue(after[3] & termios.ECHO)
            self.assertTrue(after[3] & termios.ICANON)
            self.assertFalse(terminal.screen.modes[1049])  # the usual screen is back
            self.assertTrue(terminal.screen.modes[25])     # and so is the cursor

    def test_a_terminal_that_goes_away_ends_it(self):
        terminal = self.shown()
        os.close(terminal.master)
        terminal.master = os.open(os.devnull, os.O_RDWR)
        wait_for(lambda: os.waitpid(terminal.pid, os.WNOHANG)[0] == terminal.pid, "it has ended")
        terminal.status = 0

    def test_a_node_that_is_lost_is_told_and_found_again(self):
        address = f"unix://{self.folder}/lost.sock"
        server = Server("--listen", address)
        self.addCleanup(server.stop)
        self.ok("pub", "kept.topic", "x", "--ack", DX_ADDRESS=address)
        terminal = self.top("-i", "100ms", "-t", "200ms", address=address)
        terminal.wait_text("kept.topic")
        server.stop()
        terminal.wait(lambda s: s.line(23).startswith("! no answer for"), "it is lost")
        self.assertIn("kept.topic", terminal.screen.text())
        server = Server("--listen", address)
        self.addCleanup(server.stop)
        self.ok("pub", "new.topic", "x", "--ack", DX_ADDRESS=address)
        terminal.wait_text("new.topic")
        terminal.wait_gone("no answer")
        terminal.send("q")
        self.assertEqual(terminal.end(), OK)

    def test_a_node_that_hangs_does_not_hold_the_keys_up(self):
        address = f"unix://{self.folder}/hung.sock"
        server = Server("--listen", address)
        self.addCleanup(server.stop)
        self.ok("pub", "a.topic", "x", "--ack", DX_ADDRESS=address)
        terminal = self.top("-i", "100ms", "-t", "200ms", address=address)
        terminal.wait_text("a.topic")
        server.process.send_signal(signal.SIGSTOP)
        try:
            terminal.send("4")
            terminal.wait_text("[4 rings")
            terminal.wait(lambda s: s.line(23).startswith("! no answer for"), "it hangs")
            terminal.send("q")
            self.assertEqual(terminal.end(), OK)
        finally:
            server.process.send_signal(signal.SIGCONT)

    def test_a_terminal_that_can_not_be_drawn_on_is_told(self):
        terminal = self.top(term="nothing-of-the-kind")
        terminal.wait_text("which can't be drawn on")
        self.assertEqual(terminal.end(), FAILED)


class Once(TopTest):
    def test_elsewhere_it_prints_the_screen_once(self):
        text = self.ok("top", "--filter", "orders", "--sort", "topic", COLUMNS="80")
        lines = text.splitlines()
        self.assertIn("[1 topics 3]", lines[3])
        self.assertIn("topic ^", lines[4])
        self.assertEqual([line.split()[0] for line in lines[5:]], ["orders.new", "orders.paid"])
        self.assertIn("shard.0", self.ok("top", "--screen", "rings", "--once"))

    def test_as_json_it_has_everything(self):
        root = self.json("top")
        self.assertEqual([topic["name"] for topic in root["topics"]],
                         ["orders.new", "orders.paid", "prices"])
        self.assertGreaterEqual(root["topics"][0]["published"], 10)
        self.assertEqual(root["topics"][0]["published_per_s"], 0)
        self.assertEqual(len(root["rings"]), 16)
        self.assertGreaterEqual(root["rings"][0]["capacity_slots"], 1024)
        self.assertLessEqual(root["loops"][0]["busy_ns_ratio"], 1.01)
        self.assertIn("dx top", [row["name"] for row in root["connections"]])
        self.assertIn("published_per_s", root["node"])

    def test_several_times_one_object_a_line(self):
        lines = self.ok("top", "-o", "json", "-n", 3, "-i", "100ms").splitlines()
        self.assertEqual(len([json.loads(line) for line in lines]), 3)

    def test_what_is_wrong_is_told(self):
        self.refuses(USAGE, "topics have no column speed; there are: topic, in/s", "top",
                     "--sort", "speed")
        self.refuses(USAGE, "did you mean rings?", "top", "--screen", "ring")
        self.refuses(USAGE, "--filter has 64 bytes, must have at most 63", "top", "--filter",
                     "x" * 64)
        self.ok("top", "--once", "--filter", "x" * 63)
        self.refuses(USAGE, "--interval is 99ms", "top", "--interval", "99ms")
        self.refuses(UNREACHABLE, "no connection to", "top", "-a", "unix:///nothing/here")


if __name__ == "__main__":
    unittest.main()
