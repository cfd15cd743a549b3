#!/usr/bin/env python3
"""dx ring: the list of files, removing them, and events as hex or by a layout.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import signal
import struct
import unittest

from dx_program import FAILED, OK, USAGE
from shared_demo import LAYOUT, PATIENCE_S, SharedTest, until

EVENT = struct.Struct("<qqq8s")


class Ls(SharedTest):
    def rings(self):
        return {row["name"]: row for row in self.dx_json("ring", "ls")["rings"]}

    def test_files_are_listed_with_what_can_be_done_with_them(self):
        self.damaged_copies()
        self.start("orders")
        self.folder.joinpath(".making.1234.0.dxring-new").write_bytes(b"x")
        self.folder.joinpath("unrelated").write_bytes(b"x")
        rings = self.rings()
        states = {name: row["state"] for name, row in rings.items()}
        for name, state in {"orders": "in use", "whole": "orphan", "text": "damaged",
                            "empty": "damaged", "short": "damaged", "long": "damaged",
                            "odd": "damaged", "newer": "other version",
                            "making": "unfinished"}.items():
            self.assertEqual(states[name], state, name)
        self.assertNotIn("unrelated", states)
        self.assertEqual(rings["orders"]["attached"], 3)
        self.assertEqual(rings["orders"]["mode"], 0o600)
        self.assertEqual(rings["orders"]["user_id"], os.geteuid())
        self.assertEqual({name for name, row in rings.items() if row["orphan"]},
                         {"whole", "making"})
        text = self.ok("ring", "ls", "--folder", self.folder)
        self.assertRegex(text, r"(?m)^orders +200 KiB +\S+ +rw------- +3  in use$")
        self.assertRegex(text, r"(?m)^newer .*  other version$")
        self.assertIn("dx ring rm --orphans", text)

    def test_an_empty_folder(self):
        self.assertIn("No shared ring in", self.ok("ring", "ls", "--folder", self.folder))
        self.assertEqual(self.dx_json("ring", "ls")["rings"], [])
        self.refuses(FAILED, "cannot read the folder", "ring", "ls", "--folder",
                     self.folder / "none")


class Rm(SharedTest):
    def test_a_ring_in_use_is_removed_by_force_only_and_goes_on(self):
        demo = self.start()
        self.refuses(FAILED, '"orders" is in use; --force', "ring", "rm", "orders", "--folder",
                     self.folder)
        self.assertTrue(self.path("orders").exists())
        self.assertIn("removed", self.ok("ring", "rm", "-f", "orders", "--folder", self.folder))
        self.assertFalse(self.path("orders").exists())
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=PATIENCE_S)
        self.assertEqual(demo.returncode, OK)  # each event came, once and in order

    def test_orphans_go_and_nothing_else(self):
        self.damaged_copies()
        self.start("orders")
        unfinished = self.folder / ".making.1234.0.dxring-new"
        unfinished.write_bytes(b"x")
        removed = self.dx_json("ring", "rm", "--orphans")["removed"]
        self.assertIn(str(self.path("whole")), removed)
        self.assertFalse(self.path("whole").exists() or unfinished.exists())
        for name in ("orders", "text", "newer", "short"):
            self.assertTrue(self.path(name).exists(), name)
        self.assertIn("No orphan in", self.ok("ring", "rm", "--orphans", "--folder", self.folder))

    def test_several_are_removed_and_what_fails_is_said(self):
        for name in ("one", "two", "three"):
            self.path(name).write_bytes(b"damaged")
        done = self.dx("ring", "rm", "one", "missing", self.path("two"), "--folder", self.folder)
        self.assertEqual(done.returncode, FAILED)
        self.assertEqual(done.stdout.count("removed "), 2)
        self.assertIn('there is no ring "missing"', done.stderr)
        self.assertFalse(self.path("one").exists() or self.path("two").exists())
        self.refuses(FAILED, 'did you mean "three"?', "ring", "rm", "thre", "--folder", self.folder)

    def test_a_wrong_command_line_removes_nothing(self):
        self.path("one").write_bytes(b"damaged")
        self.refuses(USAGE, "which ring?", "ring", "rm", "--folder", self.folder)
        self.refuses(USAGE, "has no slash", "ring", "rm", "one", "a/b", "--folder", self.folder)
        self.refuses(USAGE, "did you mean --orphans?", "ring", "rm", "--orphan", "--folder",
                     self.folder)
        self.assertTrue(self.path("one").exists())


class Dump(SharedTest):
    def dump(self, *arguments):
        return self.ok("ring", "dump", *arguments, "--folder", self.folder)

    def dump_json(self, *arguments):
        return self.dx_json("ring", "dump", *arguments)

    def test_the_newest_events_come_as_hex(self):
        self.orphan("left")
        dump = self.dump_json("left")
        events = dump["events"]
        self.assertEqual(len(events), 16)
        self.assertEqual(events[-1]["sequence"], dump["claimed"])
        for event in events:
            if event["state"] in ("unpublished", "void"):
                continue
            number, _, price, symbol = EVENT.unpack(bytes.fromhex(event["hex"]))
            self.assertEqual(number, event["sequence"] + 1)
            self.assertEqual(price, 10000 + number % 500)
            self.assertIn(symbol.rstrip(b"\0"), (b"AAPL", b"MSFT", b"AMZN", b"INTC"))
        first = events[0]
        text = self.dump("left", "-n", 1, "--from", first["sequence"])
        self.assertRegex(text, rf"(?m)^ +{first['sequence']}  (published|released)$")
        shown = first["hex"][:16]
        self.assertIn("  0000  " + " ".join(shown[i:i + 2] for i in range(0, 16, 2)), text)

    def test_a_layout_names_the_fields(self):
        self.orphan("left")
        for event in self.dump_json("left", "--from", 10, "-n", 5, "--layout", LAYOUT)["events"]:
            fields = event["fields"]
            self.assertEqual(list(fields), ["number", "sent_ns", "price", "symbol"])
            self.assertEqual(fields["number"], event["sequence"] + 1)
        text = self.dump("left", "--from", 0, "-n", 2, "-l", "i64 number, pad 16, char[8] s")
        self.assertRegex(text,
                         r'(?m)^ +0  \w+ +number=1  s="MSFT"$\n^ +1  \w+ +number=2  s="AMZN"$')
        self.assertIn("number=1\n", self.dump("left", "--from", 0, "-n", 1, "-l", "i64 number"))

    def count_whole_and_overwritten(self, count):
        """Looks once at the newest events of a ring that runs at full speed."""
        whole, overwritten = 0, 0
        for event in self.dump_json("orders", "-n", count, "-l", LAYOUT)["events"]:
            if "fields" in event:
                fields = event["fields"]
                self.assertEqual(fields["number"], event["sequence"] + 1)
                self.assertEqual(fields["price"], 10000 + fields["number"] % 500)
                whole += 1
            else:
                self.assertIn(event["state"], ("overwritten", "unpublished"))
                overwritten += event["state"] == "overwritten"
        return whole, overwritten

    def test_events_are_whole_while_they_are_overwritten(self):
        self.start("orders", "--rate", "0")
        until(lambda: self.count_whole_and_overwritten(16)[0], "events were copied in time")
        until(lambda: self.count_whole_and_overwritten(4096)[1], "events were overtaken")

    def test_overwritten_events_are_said_to_be(self):
        self.start("orders", "--rate", "0")
        until(lambda: self.stat()["published"] > 10000, "the ring has gone round")
        dump = self.dump_json("orders", "--from", 0, "-n", 2)
        self.assertEqual([event["state"] for event in dump["events"]], ["overwritten"] * 2)
        self.assertNotIn("hex", dump["events"][0])

    def test_what_is_not_there_is_refused(self):
        self.orphan("left")
        last = self.dump_json("left")["claimed"]
        self.refuses(FAILED, f"and {last} is the last sequence so far", "ring", "dump", "left",
                     "--from", last + 1, "--folder", self.folder)
        self.refuses(FAILED, 'did you mean "left"?', "ring", "dump", "lef", "--folder", self.folder)
        self.refuses(USAGE, "which ring?", "ring", "dump")

    def test_a_layout_that_cannot_be_is_refused_with_its_place(self):
        self.orphan("left")
        for layout, sentence in (("i64 a, u23 b", "--layout: column 8: u23 is no type"),
                                 ("char[33] a", "--layout has 33 bytes, more than the 32"),
                                 ("i64", "column 4: a name must stand here")):
            self.refuses(USAGE, sentence, "ring", "dump", "left", "--layout", layout, "--folder",
                         self.folder)

    def test_files_that_are_no_rings(self):
        for name, (code, word) in self.damaged_copies().items():
            errors = self.refuses(FAILED, word, "ring", "dump", name, "--folder", self.folder)
            self.assertIn(code, errors)


class Words(SharedTest):
    def test_a_command_is_needed_and_must_exist(self):
        self.refuses(USAGE, "which command? There are: ls, rm, dump", "ring")
        self.refuses(USAGE, 'did you mean "dx ring dump"?', "ring", "dmup")


class Demo(SharedTest):
    def test_every_event_comes_to_every_consumer(self):
        demo = self.start("orders", "--rate", "20k")
        until(lambda: self.stat()["published"] > 5000, "something was published")
        demo.send_signal(signal.SIGINT)
        out, errors = demo.communicate(timeout=PATIENCE_S)
        self.assertEqual(demo.returncode, OK, errors)
        members = {row["name"]: row for row in json.loads(out)["members"]}
        self.assertEqual({row["events"] for row in members.values()},
                         {members["feed"]["events"]})
        self.assertFalse(self.path("orders").exists())

    def test_a_stopped_consumer_is_evicted_comes_back_and_is_told_what_it_missed(self):
        demo = self.start("orders", "--rate", "200k", "--detect", "100ms")
        ledger = self.members()["ledger"]
        os.kill(ledger, signal.SIGSTOP)
        evicted = until(lambda: (lambda ring: ring if ring["evictions"] else None)(self.stat()),
                        "it is evicted")
        row = next(row for row in evicted["consumers"] if row["name"] == "ledger")
        self.assertEqual((row["state"], row["process_state"]), ("evicted", "stalled"))
        until(lambda: self.stat()["published"] > evicted["published"] + 2 * evicted["slots"],
              "the others have gone round")
        os.kill(ledger, signal.SIGCONT)
        back = until(lambda: (lambda ring: ring if all(row["state"] == "added"
                              for row in ring["consumers"]) else None)(self.stat()), "it is back")
        until(lambda: self.stat()["consumed"] > back["published"], "it goes on")
        demo.send_signal(signal.SIGINT)
        out, errors = demo.communicate(timeout=PATIENCE_S)
        self.assertEqual(demo.returncode, OK, errors)
        members = {row["name"]: row for row in json.loads(out)["members"]}
        self.assertEqual(members["ledger"]["evictions"], 1)
        self.assertGreaterEqual(members["ledger"]["missed"], evicted["slots"])
        self.assertEqual(members["ledger"]["events"] + members["ledger"]["missing"],
                         members["feed"]["events"])
        self.assertEqual(members["audit"]["events"], members["feed"]["events"])

    def test_a_name_in_use_is_refused(self):
        self.start("orders")
        done = self.dx("demo", "shared", "--name", "orders", "--folder", self.folder)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("DX_EBUSY", done.stderr)
        self.assertIn("feed did not start", done.stderr)


if __name__ == "__main__":
    unittest.main()
