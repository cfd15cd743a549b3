#!/usr/bin/env python3
"""Traces events through a node, with dx as its clients, into a collector that checks what it gets.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from dx_program import DX, USAGE, DxTest, clean_environment
from fake_collector import Collector
from node_program import NodeTest, Server, wait_for


class TraceTest(NodeTest):
    """A node that traces each event, and its collector."""
    sample = "1"
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="dx-test-"))
        cls.collector = Collector()
        cls.server = Server("--listen", f"unix://{cls.folder}/dx.sock",
                            "--set", f"trace.endpoint={cls.collector.endpoint}",
                            "--set", f"trace.sample={cls.sample}",
                            "--set", "trace.interval_ms=20ms", *cls.options)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.collector.close()
        shutil.rmtree(cls.folder)

    def setUp(self):
        with self.collector.lock:
            self.collector.spans.clear()
            self.collector.headers.clear()

    def tearDown(self):
        self.assertEqual(self.collector.faults, [])

    def figures(self):
        return self.json("node", "info")["trace"]

    def traces(self, count, spans, topic):
        """Waits for so many traces of a topic that have so many spans each."""
        def of_topic():
            return {trace: tree for trace, tree in self.collector.trees().items()
                    if any(span["name"].endswith(f" {topic}") for span in tree)}
        wait_for(lambda: len(of_topic()) >= count and
                 all(len(tree) >= spans for tree in of_topic().values()),
                 f"{count} traces of {spans} spans")
        return of_topic()

    def check_tree(self, tree, shape):
        """Each span's parent is in the tree but the root's; `shape` ends with the parent's."""
        by_id = {span["id"]: span for span in tree}
        self.assertEqual(len(by_id), len(tree))
        roots = [span for span in tree if span["parent"] not in by_id]
        self.assertEqual([span["parent"] for span in roots], [""], tree)
        seen = sorted((span["service"], span["name"].split()[0], span["kind"],
                       by_id[span["parent"]]["name"].split()[0] if span["parent"] else None)
                      for span in tree)
        self.assertEqual(seen, sorted(shape))

    def reader(self, topic, count, environment, create=False):
        """A dx sub that sees the topic."""
        if create:
            self.ok("topic", "create", topic)
        before = self.info(topic)["subscriptions"]
        process = self.start_with(environment, "sub", topic, "--count", count)
        self.subscribed(topic, before + 1)
        return process

    def start_with(self, environment, *arguments):
        process = subprocess.Popen(
            [DX, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=clean_environment(**{"DX_ADDRESS": self.server.address(),
                                     "HOME": str(self.folder), **environment}))
        self.addCleanup(self.end, process)
        return process


class Ways(TraceTest):
    """The same tree, whatever way events take inside of a node and to it."""
    options = ("--set", "bus.loops=2", "--set", "bus.shards=4")

    def check(self, topic, address):
        environment = {"DX_TRACE_ENDPOINT": self.collector.endpoint, "DX_ADDRESS": address}
        self.ok("topic", "create", topic)
        reader = self.reader(topic, 2, environment)
        self.ok("pub", topic, "x", "--count", "2", "--ack", **environment)
        self.finished(reader)
        for tree in self.traces(2, 5, topic).values():
            self.check_tree(tree, [
                ("dx pub", "publish", "PRODUCER", None),
                ("disruptorx", "publish", "INTERNAL", "publish"),
                ("disruptorx", "queue", "INTERNAL", "publish"),
                ("disruptorx", "deliver", "INTERNAL", "queue"),
                ("dx sub", "handle", "CONSUMER", "deliver"),
            ])

    def test_between_loops(self):
        for i in range(4):  # of two loops some shard is not the connection's
            self.check(f"loops.{i}", self.server.address())

    def test_without_the_node_on_the_way(self):
        environment = {"DX_TRACE_ENDPOINT": self.collector.endpoint}
        self.ok("topic", "create", "direct", "--direct", "64Ki")
        reader = self.reader("direct", 2, environment)
        self.ok("pub", "direct", "x", "--count", "2", **environment)
        self.finished(reader)
        for tree in self.traces(2, 2, "direct").values():
            self.check_tree(tree, [("dx pub", "publish", "PRODUCER", None),
                                   ("dx sub", "handle", "CONSUMER", "publish")])

    def test_through_shared_memory(self):
        self.check("shared.memory", self.server.address().replace("unix://", "shm://"))


class Node(TraceTest):
    def test_an_event_is_one_tree_from_the_publishing_client_to_the_handler(self):
        self.ok("topic", "create", "tree.a")
        trace = {"DX_TRACE_ENDPOINT": self.collector.endpoint}
        reader = self.reader("tree.a", 3, trace)
        self.ok("pub", "tree.a", "x{{.Count}}", "--count", "3", "--ack", **trace)
        self.finished(reader)
        trees = self.traces(3, 5, "tree.a")
        for tree in trees.values():
            self.check_tree(tree, [
                ("dx pub", "publish", "PRODUCER", None),
                ("disruptorx", "publish", "INTERNAL", "publish"),
                ("disruptorx", "queue", "INTERNAL", "publish"),
                ("disruptorx", "deliver", "INTERNAL", "queue"),
                ("dx sub", "handle", "CONSUMER", "deliver"),
            ])
        handled = [span["attributes"] for tree in trees.values() for span in tree
                   if span["kind"] == "CONSUMER"]
        self.assertEqual(sorted(a["messaging.message.id"] for a in handled), ["1", "2", "3"])
        self.assertEqual({a["messaging.message.body.size"] for a in handled}, {2})
        self.assertEqual({a["messaging.operation.type"] for a in handled}, {"process"})

    def test_a_trace_begins_at_the_node_where_no_client_traces(self):
        self.ok("topic", "create", "tree.b")
        reader = self.reader("tree.b", 1, {})
        self.ok("pub", "tree.b", "x", "--ack")
        self.finished(reader)
        [tree] = self.traces(1, 3, "tree.b").values()
        self.check_tree(tree, [("disruptorx", "publish", "PRODUCER", None),
                               ("disruptorx", "queue", "INTERNAL", "publish"),
                               ("disruptorx", "deliver", "INTERNAL", "queue")])

    def test_events_that_a_client_puts_together_are_counted_in_their_span(self):
        reader = self.reader("packed", 500, {}, create=True)
        self.ok("pub", "packed", "x", "--count", "500")
        self.finished(reader)

        def events(name):
            with self.collector.lock:
                return sum(span["attributes"].get("messaging.batch.message_count", 1)
                           for span in self.collector.spans if span["name"] == name)
        for name in ("publish packed", "queue packed", "deliver packed"):
            wait_for(lambda name=name: events(name) == 500, f"{name} of 500 events")

    def test_an_answer_belongs_to_the_trace_of_its_request(self):
        trace = {"DX_TRACE_ENDPOINT": self.collector.endpoint}
        self.ok("topic", "create", "ask.me")
        reply = self.start_with(trace, "reply", "ask.me", "pong", "--count", "1")
        self.subscribed("ask.me")
        self.assertEqual(self.ok("request", "ask.me", "ping", **trace), "pong\n")
        self.finished(reply)
        [tree] = self.traces(1, 8, "ask.me").values()
        names = sorted(span["name"] for span in tree)
        self.assertEqual(names, sorted([
            "publish ask.me", "publish ask.me", "queue ask.me", "deliver ask.me", "handle ask.me",
            "publish $inbox", "publish $inbox", "queue $inbox", "deliver $inbox"]))
        by_id = {span["id"]: span for span in tree}
        [answer] = [span for span in tree if span["name"] == "publish $inbox" and
                    span["kind"] == "PRODUCER"]
        self.assertEqual(by_id[answer["parent"]]["name"], "deliver ask.me")  # not in the handler

    def test_what_is_sampled_and_the_headers_change_while_it_runs(self):
        self.ok("config", "set", "trace.sample", "0")
        self.ok("config", "set", "trace.headers", "x-tenant=7")
        self.ok("pub", "quiet", "x", "--ack", "--count", "20")
        self.ok("config", "set", "trace.sample", "1")
        self.ok("pub", "loud", "x", "--ack")
        self.traces(1, 2, "loud")
        names = {span["name"] for span in self.collector.spans}
        self.assertFalse(any("quiet" in name for name in names), names)
        self.assertEqual(self.collector.headers[-1]["x-tenant"], "7")
        self.assertNotIn("x-tenant", self.ok("config", "get", "trace.headers"))


class Trouble(TraceTest):
    """The node goes on whatever its collector does, and counts what became of the spans."""
    options = ("--set", "trace.timeout_ms=100ms", "--set", "trace.buffer_spans=64",
               "--set", "trace.batch_spans=16")

    def publish(self, count):
        self.assertEqual(self.json("pub", "t", "x", "--ack", "--count", count)["acknowledged"],
                         count)

    def settled(self):
        figures = self.figures()
        return figures["waiting"] == 0 and figures

    def test_1_spans_that_the_collector_refuses_are_given_up_and_counted(self):
        self.publish(1)
        wait_for(lambda: self.figures()["exported"] >= 2, "the first spans are exported")
        before = self.figures()
        self.collector.status = 500
        self.publish(4)
        wait_for(lambda: self.figures()["failed"] >= before["failed"] + 8, "they are given up")
        self.collector.status = 200
        self.collector.answer = b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}'
        self.publish(1)
        wait_for(lambda: self.figures()["rejected"] > before["rejected"], "one is rejected")
        self.collector.answer = b"{}"
        figures = self.figures()
        self.assertRegex(self.ok("node", "info"), r"spans +\d+ recorded, \d+ exported, ")
        self.assertEqual(figures["recorded"], figures["exported"] + figures["rejected"] +
                         figures["failed"] + figures["waiting"])

    def test_2_a_slow_collector_fills_the_buffers_and_the_rest_is_dropped(self):
        self.collector.status = 200
        self.collector.hang.clear()
        try:
            before = self.figures()["dropped"]
            self.publish(400)
            wait_for(lambda: self.figures()["dropped"] > before + 100, "spans are dropped")
            self.assertLessEqual(self.figures()["waiting"], 4 * 64 + 16)
        finally:
            self.collector.hang.set()
        wait_for(self.settled, "what was kept is exported or given up")

    def test_3_a_collector_that_is_away_harms_nobody_and_is_found_again(self):
        port = self.collector.server.server_port
        self.collector.close()
        before = self.figures()
        self.publish(3)
        wait_for(lambda: self.figures()["request_failures"] > before["request_failures"],
                 "a request fails")
        type(self).collector = Collector(port)
        wait_for(lambda: self.figures()["exported"] > before["exported"], "it is found again")


class Options(DxTest):
    def test_what_is_no_collector_is_refused_before_anything_starts(self):
        for option, sentence in (
                ("trace.endpoint=localhost:4318", "must be http://host:port"),
                ("trace.endpoint=http://u:p@host", "without blanks, user or password"),
                ("trace.headers=a", "header 1 has no name or no '='"),
                ("trace.headers=a=1,b c=2", "header 2 has the byte 0x20 in its name"),
                ("trace.buffer_spans=100", "power of two"),
                ("trace.sample=1000000001", "from 0 to 1,000,000,000")):
            with self.subTest(option=option):
                self.refuses(USAGE, sentence, "server", "--dev", "--set", option)

    def test_the_environment_of_dx_is_checked(self):
        self.refuses(USAGE, "must be http://host:port", "pub", "a", "b",
                     DX_TRACE_ENDPOINT="ftp://x")
        self.refuses(USAGE, "must be from 0", "pub", "a", "b", DX_TRACE_ENDPOINT="http://x",
                     DX_TRACE_SAMPLE="-1")


if __name__ == "__main__":
    unittest.main()
