#!/usr/bin/env python3
"""dx bench bus, e2e, pub and sub, dx latency, and dx demo orders through a node: what they print,
and that every event is accounted for. No figure of speed is judged here.

SPDX-License-Identifier: Apache-2.0
"""
import gzip
import json
import re
import signal
import unittest

from dx_program import OK, REAL, SAMPLE, USAGE, DxTest
from node_program import NodeTest, wait_for
from test_dx import on_terminal
from test_orders import Reference, totals_of

LATENCY = ["count", "min", "mean", "p50", "p90", "p99", "p999", "p9999", "max", "above_100_s"]


class Bus(DxTest):
    def test_every_event_is_accounted_for(self):
        for arguments in (["--rate", "5k"], ["--rate", 0, "--dispatch", "thread"],
                          ["--rate", "5k", "--publishers", 2, "--subscribers", 2, "--topics", 3]):
            result = self.json("bench", "bus", "--seconds", "200ms", *arguments)
            self.assertEqual((result["bench"], result["verified"]), ("bus", True), arguments)
            subscribers = result["scenario"]["subscribers"]
            self.assertEqual(result["received"], result["published"] * subscribers)
            self.assertEqual(result["latency_ns"]["count"], result["received"])
            self.assertEqual(list(result["latency_ns"]), LATENCY)
            self.assertGreater(result["published"], 0)

    def test_the_scenario_stands_before_the_result(self):
        text = self.ok("bench", "bus", "--seconds", "100ms", "--rate", "1k", "--bytes", 16)
        self.assertLess(text.index("16 bytes in 1 topics"), text.index("published"))
        self.assertIn("every event came once, in order, unchanged", text)
        self.assertIn("p99.9", text)


class Node(NodeTest):
    def e2e(self, *arguments):
        return self.json("bench", "e2e", "--seconds", "200ms", *arguments)

    def test_every_event_comes_through(self):
        for arguments in ([], ["--batch", 16, "--bytes", 16], ["--ack"], ["--rate", "2k"],
                          ["--clients", 2, "--subscribers", 2, "--topics", 3, "--rate", "4k"],
                          ["--rate", "2k", "--batch", 4, "--ack"]):
            result = self.e2e(*arguments)
            self.assertTrue(result["verified"], (arguments, result))
            self.assertEqual(result["received"],
                             result["published"] * result["scenario"]["subscribers"])
            self.assertEqual(result["checksum_sent"], result["checksum_received"])
            if "--ack" in arguments:
                self.assertEqual(result["acknowledged"], result["published"])

    def test_a_count_is_kept(self):
        result = self.json("bench", "e2e", "--count", 1000, "--clients", 2)
        self.assertEqual((result["published"], result["received"]), (1000, 1000))

    def test_compression_saves_bytes_on_the_wire_and_changes_nothing_else(self):
        plain = self.json("bench", "e2e", "--count", 5000)
        self.assertEqual(plain["batches"], 0)
        for codec in ("lz4", "zstd"):
            packed = self.json("bench", "e2e", "--count", 5000, "--batch", 64, "--compression",
                               codec)
            self.assertTrue(packed["verified"])
            self.assertGreater(packed["batches"], 0)
            self.assertLess(packed["wire_bytes_out"], plain["wire_bytes_out"] / 2)
        self.refuses(2, "must be one of auto, off, lz4, zstd", "bench", "e2e", "--compression",
                     "zip")

    def test_a_group_shares_the_events(self):
        result = self.json("bench", "e2e", "--count", 3000, "--subscribers", 3, "--group")
        self.assertTrue(result["verified"])
        self.assertEqual((result["published"], result["received"]), (3000, 3000))
        self.assertTrue(result["scenario"]["group"])

    def test_nothing_is_left_behind(self):
        self.e2e("--topics", 3)
        self.assertEqual(self.json("topic", "ls", "dx.bench.>"), [])

    def test_publishers_and_subscribers_in_two_processes(self):
        process = self.start("bench", "sub", "--seconds", "300ms", "-o", "json", "--topic", "two")
        self.ok("topic", "create", "two.0")
        self.subscribed("two.0")
        sent = self.json("bench", "pub", "--topic", "two", "--count", 500, "--ack")
        self.assertEqual((sent["published"], sent["acknowledged"], sent["verified"]),
                         (500, 500, True))
        self.assertEqual(sent["latency_ns"]["count"], 500)
        got = json.loads(self.finished(process))
        self.assertEqual((got["received"], got["verified"]), (500, True))

    def test_the_scenario_stands_before_the_result(self):
        text = self.ok("bench", "e2e", "--seconds", "100ms", "--rate", "1k")
        for part in ("1 publishing and 1 subscribing clients", "128 bytes in 1 topic, 1 a call",
                     "not acknowledged", "latency counts from when an event was due"):
            self.assertIn(part, " ".join(text.split()))
        self.assertLess(text.index("Scenario"), text.index("Result"))
        self.assertIn("checksums are equal", text)

    def test_an_interrupt_ends_it_with_what_there_is(self):
        process = self.start("bench", "e2e", "--seconds", 600, "--rate", "1k", "--bytes", 16, "-o",
                             "json")
        wait_for(lambda: any(topic["published"] > 10 for topic in
                             self.json("topic", "ls", "dx.bench.>")), "it publishes")
        process.send_signal(signal.SIGINT)
        result = json.loads(self.finished(process))
        self.assertEqual((result["interrupted"], result["verified"]), (True, True))

    def test_a_round_trip_is_measured(self):
        file = self.folder / "latency.hgrm"
        driven = self.json("latency", "--rate", "1k", "--seconds", "500ms", "--drive")
        self.assertEqual((driven["scenario"]["drive"], driven["verified"],
                          driven["latency_ns"]["count"]), (True, True, 450))
        result = self.json("latency", "--rate", "1k", "--seconds", "500ms", "--hgrm", file)
        self.assertEqual((result["bench"], result["verified"], result["published"]),
                         ("latency", True, 500))
        # The first tenth warms up, and is not counted.
        self.assertEqual(result["latency_ns"]["count"], 450)
        self.assertIn("Percentile", file.read_text(encoding="utf-8"))

    def test_bad_command_lines_are_refused(self):
        for sentence, *arguments in (
                ("--bytes is 15, must be", "bench", "e2e", "--bytes", 15),
                ("--clients is 65, must be", "bench", "e2e", "--clients", 65),
                ("--topics is 257, must be", "bench", "e2e", "--topics", 257),
                ("--batch is 1025, must be", "bench", "e2e", "--batch", 1025),
                ("--rate is 1, must be at least 1 per client", "bench", "e2e", "--rate", 1,
                 "--clients", 2),
                ("--seconds: it is 0", "bench", "e2e", "--seconds", 0),
                ("--rate is 0", "latency", "--rate", 0),
                ("--address names another", "latency", "--dev", "-a", "unix:///x"),
                ("--context names another", "bench", "pub", "--dev", "--context", "x"),
                ("--transport is for the node of --dev", "latency", "--transport", "shm"),
                ("--transport is for the node of --dev", "bench", "e2e", "--transport", "tcp"),
                ("--topic has 49 bytes", "bench", "pub", "--topic", "x" * 49)):
            self.refuses(USAGE, sentence, *arguments)


class Alone(DxTest):
    """With a node of their own."""

    def test_a_node_of_its_own_serves_over_all_transports(self):
        for transport in ("unix", "tcp", "shm"):
            result = self.json("bench", "e2e", "--dev", "--transport", transport, "--count", 200)
            self.assertTrue(result["verified"])
            self.assertTrue(result["scenario"]["address"].startswith(transport))
        self.assertIn("This machine alone",
                      self.ok("latency", "--intrinsic", "--seconds", "50ms"))
        result = self.json("latency", "--intrinsic", "--seconds", "50ms", "--threshold", "100ns")
        self.assertGreater(result["readings"], 0)
        self.assertEqual(result["interruptions"], result["interruption_ns"]["count"])


class Orders(DxTest):
    def orders(self, *arguments, **options):
        return self.json("demo", "orders", "--check", *arguments, **options)

    def test_the_sample_comes_to_what_the_rules_say(self):
        expected = Reference().totals(SAMPLE.read_text(encoding="utf-8"))
        for arguments in ([], ["--transport", "tcp"], ["--window", 1, "--rate", 0],
                          ["--window", 8192]):
            head = SAMPLE.read_bytes()
            if "--window" in arguments:
                head = b"".join(head.splitlines(keepends=True)[:300])
                expected = Reference().totals(head.decode())
            result = self.orders("--orders", "-", *arguments, stdin=head)
            self.assertEqual(totals_of(result), expected, arguments)
            self.assertEqual(result["check"], "same")
            events = expected["events"]
            for topic in result["topics"][:4]:
                self.assertEqual((topic["published"], topic["dropped"]), (events, 0), topic)
            self.assertEqual(result["topics"][1]["delivered"], 2 * events)
            self.assertEqual(result["latency_ns"]["end_to_end"]["count"], events)

    def test_real_orders_come_to_what_the_rules_say(self):
        if not REAL.exists():
            self.skipTest("no ../shared/data/aapl-orders.csv.gz")
        text = gzip.decompress(REAL.read_bytes())
        self.assertEqual(totals_of(self.orders("--orders", "-", stdin=text)),
                         Reference().totals(text.decode()))

    def test_a_rate_and_an_interrupt_change_no_total(self):
        head = b"".join(SAMPLE.read_bytes().splitlines(keepends=True)[:200])
        result = self.orders("--orders", "-", "--rate", "5k", stdin=head)
        self.assertEqual(totals_of(result), Reference().totals(head.decode()))
        self.assertGreaterEqual(result["elapsed_ns"], 39_800_000)

    def test_the_table_says_the_same(self):
        text = self.ok("demo", "orders", "--repeat", 1, "--check")
        for part in ("unix://", "Events                5,000",
                     "Accepted              4,267", "460 not a submission", "orders.validated",
                     "same as the sequential computation"):
            self.assertIn(part, text)

    def test_a_terminal_sees_it_live_and_then_the_report(self):
        shown = on_terminal("demo", "orders", "--repeat", "1", "--rate", "5k", "--orders",
                            str(SAMPLE))
        self.assertIn("\x1b[?1049h", shown)
        live, report = shown.rsplit("\x1b[?1049l", 1)
        self.assertIn("per second", live)
        report = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", report)
        self.assertIn("Checksum", report)
        for line in report.splitlines():
            self.assertLessEqual(len(line), 80, line)

    def test_options_of_the_other_way_are_refused(self):
        for sentence, *arguments in (("--capacity is only for a run with --ring", "--capacity", 8),
                                     ("--wait is only", "--wait", "adaptive"),
                                     ("--cpus is only", "--cpus", 0),
                                     ("--batch is only", "--batch", 2),
                                     ("--window is only for a run without --ring", "--ring",
                                      "--window", 8),
                                     ("--transport is only", "--ring", "--transport", "tcp"),
                                     ("--window is 8193", "--window", 8193)):
            self.refuses(USAGE, sentence, "demo", "orders", *arguments)


if __name__ == "__main__":
    assert OK == 0
    unittest.main()
