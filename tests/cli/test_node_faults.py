#!/usr/bin/env python3
"""A node in need: too many connections, peers that stop or never finish, no descriptors, no memory,
a full disk, stopped processes, what a dead node left. Each time it lives on, what it acknowledged
is delivered, and what it refused or dropped is counted.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import mmap
import os
import pathlib
import resource
import signal
import tempfile
import time
import unittest

from admin_client import ADMIN, AdminTest
from dx_program import FAILED, OK, DxTest
from node_load import descriptors_of, status_of
from node_program import Server, wait_for
from wire_peer import HELLO, TYPES, Witness, connect, greet, next_frame, pong, subscribe

FLOOD = 200
CONNECTIONS_MAX = 20


class FaultTest(AdminTest):
    """Each test has a witness, which publishes before, during and after the fault, and a reader
    that must get all of it."""

    def setUp(self):
        super().setUp()
        self.witness = Witness(self.server.address(), f"kept.{self.id().rsplit('.', 1)[1]}")
        self.addCleanup(self.witness.close)
        self.ok("topic", "create", self.witness.topic)
        self.reader = self.start("sub", self.witness.topic, "--raw")
        self.subscribed(self.witness.topic)
        self.witness.publish("before")
        self.got = [self.line()]
        wait_for(lambda: sum(self.metrics().all("disruptorx_connections").values()) == 2,
                 "only witness and reader are connected")

    def line(self):
        """The next line of the reader."""
        return self.reader.stdout.readline().decode().rstrip("\n")

    def tearDown(self):
        """It lives, and nothing of what it acknowledged is missing."""
        self.witness.publish("behind")
        self.assertIsNone(self.server.process.poll())
        while len(self.got) < len(self.witness.taken):
            self.got.append(self.line())
        self.assertEqual(self.got, self.witness.taken)

    def count(self, name, **labels):
        return self.metrics().value("disruptorx_" + name, **labels)

    def limit(self, kind, most):
        """Limits what the node may use from now on; returns how to lift that."""
        pid = self.server.process.pid
        before = resource.prlimit(pid, kind)
        resource.prlimit(pid, kind, (most, before[1]))
        lift = lambda: resource.prlimit(pid, kind, before)  # noqa: E731
        self.addCleanup(lift)
        return lift

    def peer(self, first=HELLO):
        """A connection that has sent `first` and waits."""
        peer = connect(self.server.address())
        self.addCleanup(peer.close)
        with contextlib.suppress(ConnectionError):
            peer.sendall(first)
        return peer

    @staticmethod
    def was_welcomed(peer):
        """Whether the node's first word is WELCOME: not an ERROR, or the end."""
        with contextlib.suppress(ConnectionError):
            came = next_frame(peer)
            return came is not None and came[0] == TYPES["WELCOME"]
        return False

    def can_connect(self):
        with connect(self.server.address()) as peer:
            peer.sendall(HELLO)
            return self.was_welcomed(peer)


class Connections(FaultTest):
    server_options = (*ADMIN, "--set", f"limits.connections_max={CONNECTIONS_MAX}", "--set",
                      "timeouts.handshake_ms=2s")

    def test_a_flood_of_connections_is_refused_and_counted(self):
        before = self.count("connections_refused_total")
        peers = [self.peer() for _ in range(FLOOD)]
        self.witness.publish("during")
        welcomed = sum(map(self.was_welcomed, peers))
        self.assertEqual(welcomed, CONNECTIONS_MAX - 2) # the witness and the reader
        wait_for(lambda: self.count("connections_refused_total") == before + FLOOD - welcomed,
                 "all others are counted")
        for peer in peers:
            peer.close()
        wait_for(self.can_connect, "others may connect again")

    def test_slow_handshakes_end_in_time_and_are_counted(self):
        before = self.count("handshake_failures_total")
        most = CONNECTIONS_MAX - 5
        peers = [self.peer(HELLO[:len(HELLO) * number // most]) for number in range(most)]
        self.witness.publish("during")
        for peer in peers:
            self.assertFalse(self.was_welcomed(peer))
        wait_for(lambda: self.count("handshake_failures_total") == before + most, "counted")
        self.assertTrue(self.can_connect())


class SlowPeers(FaultTest):
    EVENT_BYTES = 100_000
    EVENTS = 200

    def test_a_peer_that_never_reads_costs_one_ring_and_is_told_what_it_missed(self):
        peer = greet(self.peer(b""))
        subscribe(peer, "flood", 2 * self.EVENTS, 1 << 30)
        self.ok("topic", "create", "flood")
        self.subscribed("flood")
        slow, gaps = self.count("slow_consumers_total"), self.count("gaps_total")
        before_kib = status_of(self.server.process.pid, "VmRSS")
        flood = Witness(self.server.address(), "flood")
        self.addCleanup(flood.close)
        for number in range(self.EVENTS):
            flood.publish(f"{number:06}".ljust(self.EVENT_BYTES, "."))
        self.witness.publish("during")
        grown_kib = status_of(self.server.process.pid, "VmRSS") - before_kib
        # The ring of sending, what the topic keeps, the ring of the shard, and as much again.
        self.assertLess(grown_kib, 2 * (2 + 1 + 1) * 1024)
        self.assertGreater(self.count("slow_consumers_total"), slow)
        got, gap = self.read_all(peer, self.EVENTS)
        self.assertEqual(got + gap, self.EVENTS)
        self.assertGreater(gap, 0)
        self.assertGreater(self.count("gaps_total"), gaps)

    def read_all(self, peer, events):
        """Reads until an event or a gap covers the last one; returns both counts."""
        got = gap = 0
        while got + gap < events:
            kind, fields, body = next_frame(peer)
            if kind == TYPES["EVENT"]:
                got += 1
            elif kind == TYPES["GAP"]:
                first, last = self.range_of(body)
                gap += last - first + 1
        return got, gap

    @staticmethod
    def range_of(body):
        """The part RANGE of a GAP."""
        at = 0
        while at < len(body):
            number, count = (int.from_bytes(body[at + i:at + i + 2], "little") for i in (0, 2))
            if number == 0x800c:
                return [int.from_bytes(body[at + 8 + i:at + 16 + i], "little") for i in (0, 8)]
            at += 8 + (count + 7) // 8 * 8
        raise AssertionError("a GAP without RANGE")

    def test_a_stopped_subscriber_holds_nobody_up_and_goes_on(self):
        self.ok("topic", "create", "paused")
        reader = self.start("sub", "paused", "--raw", "--count", 1000)
        self.subscribed("paused")
        reader.send_signal(signal.SIGSTOP)
        self.ok("pub", "paused", "{{.Count}}", "--count", 1000, "--ack")
        self.witness.publish("during")
        reader.send_signal(signal.SIGCONT)
        self.assertEqual(self.finished(reader).split(), [str(n) for n in range(1, 1001)])

    def test_a_stopped_node_loses_nothing_that_waits_for_it(self):
        self.server.process.send_signal(signal.SIGSTOP)
        writer = self.start("pub", "waits", "{{.Count}}", "--count", 50, "--ack",
                            "--timeout", "60s")
        reader = self.start("sub", "waits", "--raw", "--from", "earliest", "--count", 50)
        self.assertIsNone(writer.poll())
        self.server.process.send_signal(signal.SIGCONT)
        self.finished(writer)
        self.assertEqual(self.finished(reader).split(), [str(n) for n in range(1, 51)])


class Resources(FaultTest):
    server_options = (*ADMIN, "--listen", "tcp://127.0.0.1:0", "--set",
                      "topics.retain_bytes_max=1Mi")

    def peer(self, first=HELLO):
        """Over TCP: of a UNIX socket the kernel takes only so many that are not accepted."""
        peer = connect(self.server.address(1))
        self.addCleanup(peer.close)
        peer.sendall(first)
        return peer

    def test_without_descriptors_it_waits_and_accepts_again(self):
        errors = self.count("accept_errors_total")
        lift = self.limit(resource.RLIMIT_NOFILE, descriptors_of(self.server.process.pid))
        peers = [self.peer() for _ in range(40)]
        wait_for(lambda: self.count("accept_errors_total") > errors, "it is counted")
        self.witness.publish("during")
        lift()
        for peer in peers:
            self.assertTrue(self.was_welcomed(peer))

    def test_with_the_last_descriptors_some_are_accepted_and_the_rest_is_counted(self):
        refused = self.count("connections_refused_total")
        lift = self.limit(resource.RLIMIT_NOFILE, descriptors_of(self.server.process.pid) + 10)
        peers = [self.peer() for _ in range(40)]
        welcomed = sum(map(self.was_welcomed, peers))
        self.assertTrue(0 < welcomed <= 10, welcomed)
        self.witness.publish("during")
        self.assertEqual(self.count("connections_refused_total"), refused + 40 - welcomed)
        lift()
        self.assertTrue(self.can_connect())

    def test_without_address_space_connections_are_refused_and_the_others_live(self):
        refused = self.count("connections_refused_total")
        used = status_of(self.server.process.pid, "VmSize") * 1024
        lift = self.limit(resource.RLIMIT_AS, used + (16 << 20))
        peers = [self.peer() for _ in range(40)]
        welcomed = sum(map(self.was_welcomed, peers))
        self.assertLess(welcomed, 40)
        self.witness.publish("during")
        lift()
        self.assertEqual(self.count("connections_refused_total"), refused + 40 - welcomed)
        wait_for(self.can_connect, "others may connect again")

    def test_what_topics_keep_stays_below_its_limit(self):
        self.ok("pub", "much.{{.Count}}", "x" * 1000, "--count", 3000, "--ack")
        self.witness.publish("during")
        self.assertLessEqual(self.count("retained_bytes"), 1 << 20)
        self.assertLess(self.count("retained_events"), 3000)


@unittest.skipUnless(os.path.exists("/dev/full"), "there is no /dev/full")
class FullDisk(FaultTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="dx-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.config = pathlib.Path(folder.name) / "node.yaml"
        cls.log_to("/dev/full")
        cls.server_options = (*ADMIN, "-c", cls.config)
        super().setUpClass()

    @classmethod
    def log_to(cls, file):
        cls.config.write_text(f"log: {{file: {file}, level: debug}}\n", encoding="utf-8")

    def test_a_log_without_room_is_counted_and_goes_on_elsewhere(self):
        self.witness.publish("during")
        wait_for(lambda: self.count("log_lines_lost_total") > 0, "lines are counted")
        file = self.folder / "node.log"
        self.log_to(file)
        self.ok("config", "reload")
        wait_for(lambda: self.can_connect() and file.exists() and file.stat().st_size > 0,
                 "lines are written")


@unittest.skipUnless("CLOCK_SHIFT" in os.environ, "the clock that jumps is not built here")
class Clock(FaultTest):
    """The wall clock jumps, for the node alone; what waits goes by the clock that never does."""
    server_options = (*ADMIN, "--set", "timeouts.keep_alive_ms=100ms", "--set",
                      "timeouts.idle_ms=1h", "--set", "timeouts.handshake_ms=1h")

    @classmethod
    def setUpClass(cls):
        shift = tempfile.NamedTemporaryFile(prefix="dx-test-")
        cls.addClassCleanup(shift.close)
        shift.write(bytes(8))
        shift.flush()
        cls.seconds = mmap.mmap(shift.fileno(), 8)
        cls.addClassCleanup(cls.seconds.close)
        before = {name: os.environ.get(name) for name in ("LD_PRELOAD", "CLOCK_SHIFT_FILE")}
        os.environ.update(LD_PRELOAD=os.environ["CLOCK_SHIFT"], CLOCK_SHIFT_FILE=shift.name)
        try:
            super().setUpClass()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def test_a_wall_clock_that_jumps_ends_no_connection_and_loses_nothing(self):
        idle = greet(self.peer(b""))
        slow = self.peer(HELLO[:20])
        ended = self.connection_errors()
        for years in (10, -10, 0):
            self.seconds[:] = (years * 365 * 86400).to_bytes(8, "little", signed=True)
            self.ok("pub", "year", str(years), "--ack")
            self.witness.publish(f"{years} years")
            self.is_asked(idle)
        times = [json.loads(line)["time"][:4] for line in self.ok(
            "sub", "year", "--from", "earliest", "--count", 3, "-o", "json").splitlines()]
        # The times of a shard never go back: its later events have the time of the first.
        self.assertGreaterEqual(int(times[0]), time.gmtime().tm_year + 9)
        self.assertEqual(len(set(times)), 1, times)
        self.assertEqual(self.connection_errors(), ended)
        slow.setblocking(False)
        with self.assertRaises(BlockingIOError): # neither an ERROR nor the end
            slow.recv(1)

    def is_asked(self, peer):
        """The node has looked at its timers since the jump: twice it asks who is silent."""
        for _ in range(2):
            came = next_frame(peer)
            while came is not None and came[0] != TYPES["PING"]:
                came = next_frame(peer)
            self.assertIsNotNone(came, "the node has ended the connection")
            peer.sendall(pong(came))

    def connection_errors(self):
        return self.metrics().all("disruptorx_connection_errors_total")


class Left(DxTest):
    """What a dead node leaves behind."""

    def test_the_socket_of_a_dead_node_is_taken_over_and_that_of_a_living_one_is_not(self):
        with tempfile.TemporaryDirectory() as folder:
            address = f"unix://{pathlib.Path(folder)}/dx.sock"
            first = Server("--listen", address)
            self.addCleanup(first.stop, signal.SIGKILL)
            self.refuses(FAILED, "cannot listen", "server", "--listen", address)
            self.ok("pub", "t", "x", "--ack", "-a", address)
            first.stop(signal.SIGKILL)
            self.assertTrue(os.path.exists(address[7:]))
            second = Server("--listen", address)
            self.addCleanup(second.stop, signal.SIGKILL)
            self.ok("pub", "t", "x", "--ack", "-a", address)
            self.assertEqual(second.stop()[0], OK)
            self.assertFalse(os.path.exists(address[7:]))


if __name__ == "__main__":
    unittest.main()
