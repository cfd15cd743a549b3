"""Direct topics between processes: publishers and subscribers on the node's host that share a ring
with it, and what happens when one of them is killed.

SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import signal
import unittest

from dx_program import DxTest
from node_program import NodeTest, Server, wait_for

SHM = pathlib.Path("/dev/shm")


class Reader:
    """A `dx sub -o json` whose lines are read as they come."""

    def __init__(self, test, *arguments):
        self.process = test.start("sub", *arguments, "-o", "json")

    def next(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.stderr.read().decode())
        return json.loads(line)

    def until(self, holds):
        """Reads until an event for which it holds."""
        event = self.next()
        while not holds(event):
            event = self.next()
        return event


def rings():
    return {path.name for path in SHM.glob("dxd-*.dxring")}


class Direct(NodeTest):
    server_options = ("--listen", "tcp://127.0.0.1:0")

    def make(self, topic, size="1Mi"):
        self.ok("topic", "create", topic, "--direct", size, "--max-bytes", "32")
        self.addCleanup(self.ok, "topic", "rm", topic)

    def test_what_is_declared_is_shown(self):
        self.make("shown")
        options = self.info("shown")["options"]
        self.assertEqual((options["direct_bytes"], options["event_bytes_max"]), (1 << 20, 32))
        self.assertIn("a ring of 1.00 MiB in shared memory", self.ok("topic", "info", "shown"))
        for size, sentence in (("65535", "65,536"), ("100000", "power of two"),
                               ("2Gi", "1,073,741,824")):
            self.refuses(2, sentence, "topic", "create", "bad", "--direct", size)

    def test_all_processes_see_one_order(self):
        self.make("order")
        addresses = (self.server.address(0), self.server.address(1), self.server.address(0))
        readers = [Reader(self, "order", "-n", "3000", "-a", address) for address in addresses]
        self.subscribed("order", 3)
        writers = [self.start("pub", "order", f"{name}{{{{.Count}}}}", "-n", "1000", "--ack", "-a",
                              address)
                   for name, address in zip("abc", addresses)]
        for writer in writers:
            self.finished(writer)
        lines = [[json.loads(line) for line in self.finished(reader.process).splitlines()]
                 for reader in readers]
        for events in lines:
            self.assertEqual([event["sequence"] for event in events], list(range(1, 3001)))
            self.assertEqual([event["data"] for event in events],
                             [event["data"] for event in lines[0]])
        for name in "abc":
            self.assertEqual([event["data"] for event in lines[0] if event["data"][0] == name],
                             [f"{name}{number}" for number in range(1, 1001)])
        self.assertEqual(self.info("order")["published"], 3000)

    def test_a_publisher_that_is_killed_leaves_the_others_alone(self):
        self.make("killed", "64Ki")
        reader = Reader(self, "killed")
        self.subscribed("killed")
        last = 0
        for number in range(2):
            writer = self.start("pub", "killed", f"{number}", "-n", "1G", "--rate", "5k")
            event = reader.until(lambda event, now=str(number): event["data"] == now)
            self.assertGreater(event["sequence"], last)
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            last = event["sequence"]
        self.ok("pub", "killed", "end", "--ack")
        reader.until(lambda event: event["data"] == "end")

    def test_a_subscriber_that_is_killed_or_stopped_holds_nobody_up(self):
        self.make("gone", "64Ki")
        for number in (signal.SIGKILL, signal.SIGSTOP):
            reader = Reader(self, "gone")
            self.subscribed("gone")
            self.ok("pub", "gone", "x", "-n", "10")
            reader.next()
            reader.process.send_signal(number)
            # Several times what the ring holds: it must be taken out of the way.
            self.ok("pub", "gone", "x", "-n", "20k")
            wait_for(lambda: self.info("gone")["subscriptions"] == 0, "it is out of the ring")
            reader.process.kill()

    def test_a_topic_that_is_deleted_is_made_anew_by_the_next_event(self):
        self.ok("topic", "create", "brief", "--direct", "64Ki")
        reader = Reader(self, "brief")
        self.subscribed("brief")
        self.ok("pub", "brief", "before")
        self.assertEqual(reader.next()["data"], "before")
        self.ok("topic", "rm", "brief")
        self.ok("pub", "brief", "anew")
        self.subscribed("brief")
        self.ok("pub", "brief", "after", "--ack")
        self.assertEqual(reader.until(lambda event: event["data"] == "after")["data"], "after")
        self.assertEqual(self.info("brief")["options"]["direct_bytes"], 0)


class Killed(NodeTest):
    """The node itself is killed, and started again at the same address."""

    def test_clients_attach_to_the_ring_of_the_next_node(self):
        before = rings()
        self.ok("topic", "create", "t", "--direct", "64Ki")
        old = rings() - before
        self.assertEqual(len(old), 1)
        reader = Reader(self, "t")
        self.subscribed("t")
        self.ok("pub", "t", "one")
        self.assertEqual(reader.next()["data"], "one")
        self.server.stop(signal.SIGKILL)
        type(self).server = Server("--listen", f"unix://{self.folder}/dx.sock")
        self.ok("topic", "create", "t", "--direct", "64Ki")
        self.subscribed("t")
        self.ok("pub", "t", "two")
        self.assertEqual(reader.next()["data"], "two")
        # What the killed node has left goes with the last who was attached.
        wait_for(lambda: not old & rings(), "the old ring is gone")


class Bench(DxTest):
    """`dx bench local`, for its answers and not for its figures."""

    def test_every_event_is_checked(self):
        result = self.json("bench", "local", "--rounds", "2", "--events", "4Ki", "--trips", "100",
                           "--ring", "64Ki", "--bytes", "40")
        self.assertEqual((result["bench"], result["wrong"], result["bytes"]), ("local", 0, 40))
        for key in ("raw_round_trip_p50_ns", "round_trip_p50_ns", "raw_copy_events_s",
                    "one_way_events_s"):
            self.assertGreater(result[key]["median"], 0, key)

    def test_a_ring_that_is_too_small_is_refused(self):
        self.refuses(2, "two batches", "bench", "local", "--ring", "64Ki", "--batch", "1Ki")
        self.refuses(2, "multiple of 8", "bench", "local", "--bytes", "33")


if __name__ == "__main__":
    unittest.main()
