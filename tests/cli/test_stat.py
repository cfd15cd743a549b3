#!/usr/bin/env python3
"""dx stat: rings at work from outside, with participants that die, stop or are gone.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from dx_program import DX, FAILED, OK, USAGE, clean_environment
from shared_demo import PATIENCE_S, SharedTest, until

ENTER, LEAVE, HOME = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A dx on a terminal of its own, whose keys we type."""

    def __init__(self, *arguments, rows=40, columns=100, **changes):
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.child = subprocess.Popen([DX, *map(str, arguments)], stdin=follower, stdout=follower,
                                      stderr=follower, start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                      env=clean_environment(TERM="xterm", **changes))
        os.close(follower)
        self.shown = ""

    def read(self):
        """Takes what is there. False when the other end is closed."""
        try:
            piece = os.read(self.leader, 65536)
        except OSError:
            return False
        self.shown += piece.decode().replace("\r\n", "\n")
        return bool(piece)

    def read_until(self, condition, what):
        end = time.monotonic() + PATIENCE_S
        while not condition(self.shown):
            ready = select.select([self.leader], [], [], max(0, end - time.monotonic()))[0]
            if not ready or not self.read():
                raise AssertionError(f"waited in vain until {what}: {self.shown!r}")

    def type(self, keys):
        os.write(self.leader, keys)

    def end(self):
        """Reads the rest; returns the exit code."""
        end = time.monotonic() + PATIENCE_S
        while select.select([self.leader], [], [], max(0, end - time.monotonic()))[0]:
            if not self.read():
                break
        else:
            self.child.kill()
        os.close(self.leader)
        return self.child.wait(PATIENCE_S)


class List(SharedTest):
    def test_an_empty_folder_has_no_rings(self):
        self.assertIn("No shared ring in", self.ok("stat", "--folder", self.folder))
        self.assertEqual(self.dx_json("stat")["rings"], [])
        self.refuses(FAILED, "cannot read the folder", "stat", "--folder", self.folder / "none")

    def test_every_ring_has_a_line(self):
        self.start("orders")
        self.orphan("left")
        self.path("text").write_text("not a ring")
        rings = {row["name"]: row for row in self.dx_json("stat")["rings"]}
        self.assertEqual(set(rings), {"orders", "left", "text"})
        self.assertEqual(rings["orders"]["attached"], 3)
        self.assertEqual(rings["orders"]["consumers"], 2)
        self.assertEqual(rings["left"]["attached"], 0)
        self.assertEqual(rings["text"]["code"], "DX_ECORRUPT")
        self.assertNotIn("published", rings["text"])
        text = self.ok("stat", "--folder", self.folder)
        self.assertRegex(text, r"(?m)^orders +open +multi +4,096 ")
        self.assertRegex(text, r"(?m)^left +orphan +multi ")
        self.assertRegex(text, r"(?m)^text +[a-z]")

    def test_the_list_has_rates(self):
        self.start()
        until(lambda: self.dx_json("stat")["rings"][0]["published_per_second"], "there is a rate")


class Ring(SharedTest):
    def test_a_ring_at_work_is_shown_with_all_its_participants(self):
        self.start("orders", "--detect", "60s")  # nobody is silent, however busy the machine is
        ring = self.stat()
        self.assertEqual((ring["name"], ring["mode"], ring["slots"], ring["slot_bytes"]),
                         ("orders", "multi", 4096, 32))
        self.assertFalse(ring["removed"] or ring["closed"] or ring["spans"])
        self.assertEqual({row["name"] for row in ring["consumers"]}, {"ledger", "audit"})
        self.assertEqual([row["name"] for row in ring["producers"]], ["feed"])
        self.assertEqual({row["name"] for row in ring["processes"]},
                         {"dx-feed", "dx-ledger", "dx-audit"})
        self.assertEqual({row["state"] for row in ring["processes"]}, {"running"})
        for row in ring["consumers"]:
            self.assertEqual((row["kind"], row["wait"], row["gating"], row["on_death"],
                              row["follows"], row["process_state"]),
                             ("poller", "adaptive", True, "evict", [], "running"))
        self.assertLessEqual(ring["consumed"], ring["published"])
        self.assertLessEqual(ring["published"], ring["claimed"])
        self.assertEqual(ring["depth"], ring["published"] - ring["consumed"])

    def test_a_file_may_be_named_instead(self):
        self.start()
        for place in (self.path("orders"), f"{self.folder}/../{self.folder.name}/orders.dxring"):
            self.assertEqual(self.json("stat", place)["name"], "orders")
        self.assertEqual(self.json("stat", "orders.dxring", "--folder", self.folder)["name"],
                         "orders")

    def test_a_pipe_gets_one_look_without_colours(self):
        self.start("orders", "--detect", "60s")
        text = self.ok("stat", "orders", "--folder", self.folder)
        self.assertNotIn("\x1b", text)
        self.assertEqual(text.count("Published"), 1)
        for pattern in (r"^orders  multi-producer, 4,096 slots of 32 bytes", r"^Depth .*\[[#-]*\]",
                        r"^Recovery   deaths 0, stalls 0, kills 0, voided 0, evictions 0",
                        r"^ledger +poller ", r"^feed +\d+ ", r"^\d+ +dx-audit +running +"):
            self.assertRegex(text, re.compile(pattern, re.MULTILINE))

    def test_rates_are_of_the_time_between_two_looks(self):
        self.start("orders", "--rate", "5000")
        looks = self.ok("stat", "orders", "--folder", self.folder, "-o", "json", "--count", 3, "-i",
                        "100ms").splitlines()
        looks = [json.loads(look) for look in looks]
        self.assertEqual(len(looks), 3)
        published = [look["published"] for look in looks]
        self.assertEqual(published, sorted(published))
        self.assertGreater(published[-1], published[0])
        for look in looks:
            self.assertGreaterEqual(look["published_per_second"], 0)
        self.assertGreater(sum(look["published_per_second"] for look in looks), 0)

    def test_repeated_looks_are_separated(self):
        self.start()
        text = self.ok("stat", "orders", "--folder", self.folder, "--count", 2, "-i", "20ms")
        self.assertEqual(text.count("\n\norders  multi"), 1)

    def test_it_works_while_everybody_hangs(self):
        self.start("orders", "--detect", "60s")
        members = self.members()
        for process in members.values():
            os.kill(process, signal.SIGSTOP)
        ring = until(lambda: (lambda ring: ring if {row["state"] for row in ring["processes"]} ==
                              {"stopped"} else None)(self.stat()), "all are stopped")
        self.assertEqual(self.stat()["published"], ring["published"])
        self.assertEqual({row["process_state"] for row in ring["consumers"]}, {"stopped"})
        self.assertRegex(self.ok("stat", "orders", "--folder", self.folder),
                         r"(?m)^\d+ +dx-feed +stopped ")
        for process in members.values():
            os.kill(process, signal.SIGCONT)
        until(lambda: self.stat()["published"] > ring["published"], "it goes on")

    def test_a_dead_consumer_is_marked_and_the_others_go_on(self):
        demo = self.start("orders", "--detect", "100ms")
        os.kill(self.members()["audit"], signal.SIGKILL)
        ring = until(lambda: (lambda ring: ring if ring["evictions"] else None)(self.stat()),
                     "it is evicted")
        self.assertEqual(ring["deaths"], 1)
        audit = [row for row in ring["consumers"] if row["name"] == "audit"]
        self.assertEqual([(row["state"], row["process_state"], row["gating"]) for row in audit],
                         [("evicted", "gone", False)])
        self.assertRegex(self.ok("stat", "orders", "--folder", self.folder),
                         r"(?m)^audit +poller +evicted +\d+ gone ")
        until(lambda: self.stat()["published"] > ring["published"] + 5000, "the others go on")
        demo.send_signal(signal.SIGINT)
        out, errors = demo.communicate(timeout=PATIENCE_S)
        self.assertEqual(demo.returncode, OK, errors)
        self.assertIn("was killed by signal 9", errors)
        result = json.loads(out)
        ends = {row["name"]: (row["end"], row["complete"]) for row in result["members"]}
        self.assertEqual(ends, {"feed": ("ended", True), "ledger": ("ended", True),
                                "audit": ("killed", True)})

    def test_a_dead_producer_is_marked(self):
        demo = self.start("orders", "--detect", "100ms")
        os.kill(self.members()["feed"], signal.SIGKILL)
        ring = until(lambda: (lambda ring: ring if not ring["producers"] else None)(self.stat()),
                     "its place is free")
        self.assertEqual((ring["deaths"], len(ring["processes"])), (1, 2))
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=PATIENCE_S)
        self.assertEqual(demo.returncode, OK)

    def test_the_dead_of_an_orphan_are_dead_though_nobody_wrote_it_down(self):
        self.orphan("left")
        ring = self.stat("left")
        self.assertEqual({row["state"] for row in ring["processes"]}, {"dead"})
        self.assertEqual({row["process_state"] for row in ring["consumers"]}, {"dead"})
        self.assertRegex(self.ok("stat", "left", "--folder", self.folder),
                         r"(?m)^ledger +poller +\w+ +\d+ dead ")

    def test_looking_changes_nothing(self):
        path = self.orphan("left")
        before = path.read_bytes()
        self.stat("left")
        self.ok("stat", "--folder", self.folder)
        self.ok("ring", "ls", "--folder", self.folder)
        self.ok("ring", "dump", "left", "--folder", self.folder)
        self.assertEqual(path.read_bytes(), before)

    def test_a_ring_that_loses_its_name_is_shown_on(self):
        self.start()
        watcher = subprocess.Popen([DX, "stat", "orders", "--folder", self.folder, "-o", "json",
                                    "--count", "0", "-i", "20ms"], stdout=subprocess.PIPE,
                                   env=clean_environment(), text=True)
        self.assertFalse(json.loads(watcher.stdout.readline())["removed"])
        self.ok("ring", "rm", "orders", "--force", "--folder", self.folder)
        while not json.loads(watcher.stdout.readline())["removed"]:
            pass
        self.start("orders", "--rate", "1k")
        while json.loads(watcher.stdout.readline())["removed"]:
            pass  # the new one has the name now
        watcher.kill()
        watcher.communicate()


class Screen(SharedTest):
    def test_a_terminal_is_refreshed_in_place_until_q(self):
        self.start()
        screen = Terminal("stat", "orders", "--folder", self.folder, "-i", "50ms")
        screen.read_until(lambda shown: shown.count(HOME) >= 3, "it was refreshed twice")
        screen.type(b"q")
        self.assertEqual(screen.end(), OK)
        before, live, after = re.split(r"\x1b\[\?1049[hl]", screen.shown)
        self.assertEqual(before, "")
        self.assertEqual(live.count("\x1b[2J"), 1)  # when it began
        self.assertIn("\x1b[1m", live)
        self.assertEqual(after.count("Published"), 1)  # the last look stays
        self.assertIn("ledger", after)

    def test_an_interrupt_ends_it_and_gives_the_terminal_back(self):
        self.start()
        for end in (lambda screen: screen.type(b"\x03"),
                    lambda screen: screen.child.send_signal(signal.SIGTERM)):
            screen = Terminal("stat", "--folder", self.folder, "-i", "50ms")
            screen.read_until(lambda shown: HOME in shown, "it is shown")
            end(screen)
            self.assertEqual(screen.end(), OK)
            self.assertIn(LEAVE, screen.shown)
            self.assertIn("orders", screen.shown.split(LEAVE)[1])

    def test_a_count_ends_it(self):
        self.start()
        screen = Terminal("stat", "orders", "--folder", self.folder, "-i", "20ms", "--count", 2)
        self.assertEqual(screen.end(), OK)
        self.assertEqual(screen.shown.count(HOME), 2)

    def test_colours_can_be_refused(self):
        self.start()
        for options, changes in (([], {"NO_COLOR": "1"}), (["--no-color"], {})):
            screen = Terminal("stat", "orders", "--folder", self.folder, "-i", "20ms", "--count", 1,
                              *options, **changes)
            self.assertEqual(screen.end(), OK)
            self.assertIsNone(COLOUR.search(screen.shown))

    def test_once_prints_as_to_a_pipe(self):
        self.start()
        screen = Terminal("stat", "orders", "--folder", self.folder, "-i", "20ms", "--once")
        self.assertEqual(screen.end(), OK)
        self.assertNotIn(ENTER, screen.shown)
        self.assertIn("Published", screen.shown)

    def test_it_fits_the_terminal(self):
        self.start()
        for columns, rows in ((70, 12), (80, 24), (130, 50)):
            screen = Terminal("stat", "orders", "--folder", self.folder, "-i", "20ms", "--count", 1,
                              columns=columns, rows=rows)
            self.assertEqual(screen.end(), OK)
            live = re.split(r"\x1b\[\?1049[hl]", screen.shown)[1].split(HOME)[1]
            lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", live).split("\n")
            self.assertLessEqual(len(lines), rows)
            for line in lines[3:]:  # the head, which the terminal cuts off itself
                self.assertLess(len(line), columns, line)
            self.assertEqual("more lines" in live, rows == 12)


class Refusals(SharedTest):
    def test_a_name_that_is_nearly_right(self):
        self.start()
        self.refuses(FAILED, 'there is no ring "order" in', "stat", "order", "--folder",
                     self.folder)
        self.refuses(FAILED, 'did you mean "orders"?', "stat", "ordesr", "--folder", self.folder)
        self.refuses(FAILED, "dx ring ls lists", "stat", "zebra", "--folder", self.folder)

    def test_a_name_that_cannot_be(self):
        for name in ("a/b", "/", "../orders", "a b", "", ".hidden", "a" * 32, "n\xe4me",
                     "/x/.dxring"):
            errors = self.refuses(USAGE, "Help: dx stat --help", "stat", name, "--folder",
                                  self.folder)
            self.assertIn("name", errors)

    def test_options_that_cannot_be(self):
        self.refuses(USAGE, "--interval is 1ms, must be a duration", "stat", "--interval", "1ms")
        self.refuses(USAGE, "--count is -1", "stat", "--count", "-1")
        self.refuses(USAGE, '"b" is one argument too many', "stat", "a", "b")

    def test_files_that_are_no_rings(self):
        for name, (code, word) in self.damaged_copies().items():
            errors = self.refuses(FAILED, word, "stat", name, "--folder", self.folder)
            self.assertIn(code, errors)

    def test_a_ring_of_another_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        path = self.orphan("theirs")
        os.chown(path, 12345, 12345)
        # Root trusts only root.
        errors = self.refuses(FAILED, "belongs to user 12345", "stat", path)
        self.assertIn("--any-owner", errors)
        self.assertEqual(self.json("stat", path, "--any-owner")["name"], "theirs")


if __name__ == "__main__":
    unittest.main()
