#!/usr/bin/env python3
"""The driver of brokers against a server that speaks NATS and loses, doubles, changes or delays
messages as told: does the driver notice?

Usage: test_driver.py PATH-OF-broker_nats

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

EVENTS = 2000
PROGRAM = sys.argv.pop(1) if __name__ == "__main__" and len(sys.argv) > 1 else None


class Server:
    """One topic; `change(sequence, payload)` returns the payloads to deliver for one."""

    def __init__(self, change):
        self.change = change
        self.subscribers = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            connection.sendall(b"INFO {}\r\n")
            for line in lines:
                word = line.split()[0]
                if word == b"PING":
                    connection.sendall(b"PONG\r\n")
                elif word == b"SUB":
                    self.subscribers.append(connection)
                elif word == b"PUB":
                    self.deliver(lines.read(int(line.split()[2]) + 2)[:-2])

    def deliver(self, payload):
        sequence = struct.unpack_from("<Q", payload)[0]
        payloads = [payload] if sequence == 0 else self.change(sequence, payload)
        text = b"".join(b"MSG bench.t 1 %d\r\n%s\r\n" % (len(each), each) for each in payloads)
        for subscriber in self.subscribers:
            with contextlib.suppress(OSError):  # it has all it needs, and left
                subscriber.sendall(text)


def faithful(_, payload):
    return [payload]


def drop_each_tenth(sequence, payload):
    return [] if sequence % 10 == 0 else [payload]


def drop_the_last(sequence, payload):
    return [] if sequence == EVENTS else [payload]


def double_the_seventh(sequence, payload):
    return [payload] * (2 if sequence == 7 else 1)


def change_a_byte_of_the_fifth(sequence, payload):
    return [payload[:-1] + bytes([payload[-1] ^ 1])] if sequence == 5 else [payload]


def shorten_the_fifth(sequence, payload):
    return [payload[:-8]] if sequence == 5 else [payload]


def pause_at_the_hundredth(sequence, payload):
    if sequence == 100:
        time.sleep(0.15)
    return [payload]


class Driver(unittest.TestCase):
    def run_driver(self, change, *options):
        server = Server(change)
        self.addCleanup(server.listener.close)
        done = subprocess.run([PROGRAM, "--address", f"tcp://127.0.0.1:{server.port}", *options],
                              capture_output=True, text=True, check=False, timeout=50)
        run = json.loads(done.stdout) if done.stdout else {}
        return done.returncode, run, done.stderr

    def throughput(self, change, *options):
        return self.run_driver(change, "--events", str(EVENTS), "--seconds", "60", *options)

    def test_a_faithful_broker_is_counted_fully(self):
        for bytes_each in ("16", "128"):
            with self.subTest(bytes=bytes_each):
                status, run, errors = self.throughput(faithful, "--bytes", bytes_each)
                self.assertEqual((status, errors), (0, ""))
                self.assertEqual((run["events"], run["received"], run["lost"]), (EVENTS, EVENTS, 0))
                self.assertTrue(run["checksum_ok"])
                self.assertAlmostEqual(run["events_per_second"] * run["seconds"], EVENTS, delta=1)

    def test_each_subscriber_counts(self):
        status, run, _ = self.throughput(faithful, "--subscribers", "3")
        self.assertEqual((status, run["received"], run["lost"]), (0, 3 * EVENTS, 0))
        self.assertAlmostEqual(run["deliveries_per_second"], 3 * run["events_per_second"], delta=1)

    def test_the_publisher_stops_at_a_full_window(self):
        seen = []
        status, run, _ = self.throughput(
            lambda s, p: seen.append(s) or ([] if s > 100 else [p]), "--window", "64")
        # Nothing is delivered after 100: 64 more may be on their way, and then the last one.
        self.assertEqual((status, run["received"], max(seen)), (0, 100, run["events"]))
        self.assertLessEqual(run["events"], 165)

    def test_a_loss_is_counted_and_not_taken_for_a_delivery(self):
        status, run, _ = self.throughput(drop_each_tenth)
        # The last one is among them: nothing more comes, and the driver says so.
        self.assertEqual((status, run["lost"], run["received"]), (0, EVENTS / 10, EVENTS * 9 / 10))

    def test_the_loss_of_the_last_is_seen(self):
        status, run, _ = self.throughput(drop_the_last)
        self.assertEqual((status, run["lost"]), (0, 1))

    def test_what_comes_twice_fails(self):
        status, run, _ = self.throughput(double_the_seventh)
        self.assertEqual((status, run["disordered"], run["checksum_ok"]), (1, 1, False))

    def test_what_comes_changed_fails(self):
        status, run, _ = self.throughput(change_a_byte_of_the_fifth)
        self.assertEqual((status, run["corrupt"], run["checksum_ok"]), (1, 1, False))

    def test_what_comes_short_ends_the_run(self):
        status, run, errors = self.throughput(shorten_the_fifth)
        self.assertEqual((status, run), (1, {}))
        self.assertIn("an unexpected message", errors)

    def test_a_round_trip_is_measured_for_each_message_after_the_warm_up(self):
        for mode in ("latency", "polled"):
            with self.subTest(mode=mode):
                status, run, errors = self.run_driver(
                    faithful, "--mode", mode, "--rate", "1000", "--seconds", "0.2",
                    "--warmup-seconds", "0.05")
                self.assertEqual((status, errors), (0, ""))
                self.assertEqual((run["events"], run["samples"], run["lost"]), (250, 200, 0))
                self.assertGreaterEqual(run["p99_ns"], run["p50_ns"])
                self.assertGreater(run["sent_p50_ns"], 0)

    def test_a_pause_counts_for_all_that_should_have_come_meanwhile(self):
        _, run, _ = self.run_driver(pause_at_the_hundredth, "--mode", "latency", "--rate", "1000",
                                    "--seconds", "0.3", "--warmup-seconds", "0")
        # 150 of 300 messages wait, 75 ms in the middle; one at a time, only one would have.
        self.assertGreater(run["p90_ns"], 60e6)
        self.assertGreaterEqual(run["max_ns"], 149e6)

    def test_a_stalled_subscriber_got_a_probe_and_then_reads_nothing(self):
        seen = []
        status, run, errors = self.run_driver(
            lambda s, p: seen.append(s) or [p], "--mode", "latency", "--rate", "1000", "--seconds",
            "0.1", "--warmup-seconds", "0", "--stalled", "2")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual((run["stalled"], run["samples"], run["lost"]), (2, 100, 0))

    def test_wrong_arguments_are_refused_with_their_rule(self):
        for options, words in ((["--bytes", "8"], "--bytes is 8, must be a number from 16 to"),
                               (["--bytes", "20"], "multiple of 8"), (["--mode", "x"], "is x"),
                               (["--color", "1"], "unknown option --color"),
                               (["--rate"], "needs a value"),
                               (["--subscribers", "1001"], "from 1 to 1000")):
            with self.subTest(options=options):
                status, _, errors = self.run_driver(faithful, *options)
                self.assertEqual(status, 2)
                self.assertIn(words, errors)

    def test_nobody_there_is_told(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))  # and does not listen: nobody else can, either
            address = "tcp://127.0.0.1:%d" % silent.getsockname()[1]
            done = subprocess.run([PROGRAM, "--address", address], capture_output=True, text=True,
                                  check=False, timeout=50)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot connect to " + address, done.stderr)


if __name__ == "__main__":
    if PROGRAM is None:
        sys.exit(__doc__)
    unittest.main()
