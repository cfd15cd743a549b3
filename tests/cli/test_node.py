#!/usr/bin/env python3
"""dx pub, sub, request, reply, topic, config and context against a node, as a person uses them.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import signal
import subprocess
import unittest

from dx_program import DX, FAILED, OK, USAGE, clean_environment
from node_program import UNREACHABLE, NodeTest, wait_for


class Publish(NodeTest):
    def tail(self, topic, count=100):
        return self.lines_of("topic", "tail", topic, "-n", count)

    def test_one_event_is_published_and_kept(self):
        text = self.ok("pub", "one.event", '{"id": 7}', "--ack", "--key", "k", "-H", "kind=test",
                       "-H", "empty=")
        self.assertRegex(text, r"^Published 1 event to one\.event, 9 B, in ")
        self.assertIn("Acknowledged 1, the last with sequence 1\n", text)
        event, = self.tail("one.event")
        self.assertEqual((event["topic"], event["sequence"], event["data"], event["key"],
                          event["headers"], event["bytes"]),
                         ("one.event", 1, '{"id": 7}', "k",
                          [{"name": "kind", "value": "test"}, {"name": "empty", "value": ""}], 9))

    def test_places_are_filled_in_for_each_event(self):
        result = self.json("pub", "many.{{.Count}}", "n{{.Count}}", "-n", 3, "--ack", "--key",
                           "k{{.Count}}")
        self.assertEqual((result["published"], result["acknowledged"], result["refused"],
                          result["bytes"], result["interrupted"]), (3, 3, 0, 6, False))
        for number in (1, 2, 3):
            event, = self.tail(f"many.{number}")
            self.assertEqual((event["data"], event["key"]), (f"n{number}", f"k{number}"))

    def test_lines_are_events(self):
        text = b'first\r\n\nthird {{.Count}}\n\xff\x00\n'
        result = self.json("pub", "from.lines", "--ack", stdin=text)
        self.assertEqual((result["published"], result["last_sequence"]), (4, 4))
        events = self.tail("from.lines")
        self.assertEqual([event.get("data") for event in events],
                         ["first", "", "third {{.Count}}", None])
        self.assertEqual(events[3]["data_hex"], "ff00")
        file = self.folder / "lines"
        file.write_bytes(b"a{{.Count}}\nb\nc\n")
        self.ok("pub", "from.file", "--file", file, "--count", 2, "--templates", "--ack")
        self.assertEqual([event["data"] for event in self.tail("from.file")], ["a1", "b"])

    def test_without_acknowledgement_it_arrives_as_well(self):
        text = self.ok("pub", "fire", "x", "-n", 1000)
        self.assertNotIn("Acknowledged", text)
        wait_for(lambda: self.info("fire")["published"] == 1000, "1000 are published")

    def test_events_may_be_as_large_as_the_node_takes_them(self):
        limit = self.event_bytes_max()
        self.ok("pub", "large", "--ack", stdin=b"x" * limit)
        self.assertEqual(self.ok("sub", "large", "--from", "earliest", "-n", 1, "--raw"),
                         "x" * limit + "\n")
        done = self.dx("pub", "large", "--ack", stdin=b"x" * (limit + 1))
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("DX_ELIMIT", done.stderr)

    def test_a_rate_is_kept(self):
        result = self.json("pub", "slowly", "x", "-n", 11, "--rate", 100)
        self.assertGreaterEqual(result["elapsed_ns"], 100_000_000)
        self.assertAlmostEqual(result["events_per_s"], 11e9 / result["elapsed_ns"], delta=0.51)

    def test_what_the_node_refuses_is_told(self):
        self.ok("topic", "create", "small", "--max-bytes", 4)
        self.ok("pub", "small", "1234", "--ack")
        done = self.dx("pub", "small", "12345", "--ack")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("the node refused 1 of 1 events", done.stderr)
        self.assertIn("the payload has 5 bytes, must have at most 4", done.stderr)
        self.assertIn("DX_ELIMIT", done.stderr)

    def test_bad_command_lines_are_refused(self):
        for sentence, *arguments in (
                ("which topic?", "pub"),
                ("DATA and --file exclude each other", "pub", "t", "x", "--file", "f"),
                ("did you mean {{.Count}}?", "pub", "t", "{{.Cuont}}"),
                ("--header is kind, must be NAME=VALUE", "pub", "t", "x", "-H", "kind"),
                ("--count is 0, must be", "pub", "t", "x", "--count", 0),
                ("--rate is x, must be", "pub", "t", "x", "--rate", "x"),
                ("is one argument too many", "pub", "t", "x", "y")):
            self.refuses(USAGE, sentence, *arguments)
        self.refuses(USAGE, "(DX_EINVAL)", "pub", "a..b", "x")
        self.refuses(USAGE, "(DX_EINVAL)", "pub", "a.*", "x")
        self.refuses(FAILED, "cannot be opened", "pub", "t", "--file", "/nonexistent")


class Subscribe(NodeTest):
    def test_what_is_kept_is_printed_in_every_form(self):
        self.ok("pub", "kept.a", "e{{.Count}}", "-n", 3, "--ack")
        self.assertEqual(self.ok("sub", "kept.a", "--from", "earliest", "-n", 3),
                         "kept.a  1  e1\nkept.a  2  e2\nkept.a  3  e3\n")
        self.assertEqual(self.ok("sub", "kept.*", "--from", 2, "-n", 2, "--raw"), "e2\ne3\n")
        self.assertRegex(self.ok("sub", "kept.>", "--from", "1h", "-n", 1, "--headers"),
                         r"^kept\.a  1  \[20\d\d-\d\d-\d\dT[\d:.]+Z shard=\d+\]  e1\n$")
        event = self.lines_of("sub", "kept.a", "--from", 3, "-n", 1)[0]
        self.assertEqual((event["data"], event["sequence"]), ("e3", 3))

    def test_binary_payloads_are_harmless(self):
        self.ok("pub", "binary", "--ack", stdin=b"\x1b[2J\x00\xff\n")
        self.assertEqual(self.ok("sub", "binary", "--from", "earliest", "-n", 1),
                         "binary  1  hex 1b5b324a00ff\n")
        self.assertEqual(self.ok("sub", "binary", "--from", "earliest", "-n", 1, "--raw"),
                         "\x1b[2J\x00\udcff\n")

    def test_what_is_published_later_comes_live(self):
        self.ok("topic", "create", "live")
        process = self.start("sub", "live", "-n", 2)
        self.subscribed("live")
        self.ok("pub", "live", "n{{.Count}}", "-n", 2)
        self.assertEqual(self.finished(process), "live  1  n1\nlive  2  n2\n")

    def test_a_group_shares_the_events(self):
        self.ok("topic", "create", "shared")
        members = [self.start("sub", "shared", "--group", "g", "--ack", "-n", 10, "--raw")
                   for _ in range(2)]
        self.subscribed("shared", 1)
        self.ok("pub", "shared", "{{.Count}}", "-n", 20, "--key", "{{.Count}}", "--ack")
        got = sum((self.finished(member).split() for member in members), [])
        self.assertEqual(sorted(map(int, got)), list(range(1, 21)))

    def test_a_filter_is_decided_by_the_node(self):
        for kind in ("a", "b", "a"):
            self.ok("pub", "filtered", kind, "-H", f"kind={kind}", "--ack")
        self.assertEqual(self.ok("sub", "filtered", "--from", "earliest", "-n", 1, "--filter",
                                 'header.kind = "b"'), "filtered  2  b\n")
        self.refuses(USAGE, "(DX_EPARSE)", "sub", "filtered", "--filter", "nonsense (")

    def test_the_time_may_be_over_first(self):
        done = self.dx("sub", "nothing.here", "-n", 1, "--timeout", "50ms")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("0 of 1 events came in 50.0 ms", done.stderr)
        self.ok("sub", "nothing.here", "--timeout", "50ms")

    def test_an_interrupt_ends_it_well(self):
        self.ok("topic", "create", "interrupted")
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("sub", "interrupted")
            self.subscribed("interrupted")
            process.send_signal(number)
            self.assertEqual(self.finished(process), "")
            wait_for(lambda: self.info("interrupted")["subscriptions"] == 0, "it has left")

    def test_output_that_cannot_be_written_is_a_failure(self):
        self.ok("pub", "full", "x", "--ack")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([DX, "sub", "full", "--from", "earliest", "-n", "1"],
                                  stdout=full, stderr=subprocess.PIPE, check=False,
                                  env=clean_environment(DX_ADDRESS=self.server.address()))
        self.assertEqual(done.returncode, FAILED)
        self.assertIn(b"could not be written", done.stderr)

    def test_bad_command_lines_are_refused(self):
        for sentence, *arguments in (
                ("which topic or pattern?", "sub"),
                ("--raw excludes", "sub", "t", "--raw", "--headers"),
                ("--raw excludes", "sub", "t", "--raw", "-o", "json"),
                ("--from: the start is first, must be latest", "sub", "t", "--from", "first"),
                ("--timeout is 5, must be a duration", "sub", "t", "--timeout", "5")):
            self.refuses(USAGE, sentence, *arguments)
        self.refuses(USAGE, "(DX_EINVAL)", "sub", "a.>.b")


class Request(NodeTest):
    def request(self, *arguments):
        """Asks, and has time, however busy the machine is."""
        return self.ok("request", *arguments, "--timeout", "60s")

    def reply(self, topic, *arguments, **options):
        self.ok("topic", "create", topic)
        process = self.start("reply", topic, *arguments, **options)
        self.subscribed(topic)
        return process

    def test_an_answer_is_printed(self):
        process = self.reply("double", "--command", "read n; echo $((n * 2))", "-n", 2)
        self.assertEqual(self.request("double", "21"), "42\n")
        answer = json.loads(self.request("double", "4", "-o", "json"))
        self.assertEqual((answer["data"], answer["bytes"]), ("8", 1))
        printed = self.finished(process)
        self.assertEqual(printed, "double  1  21\ndouble  2  4\n")

    def test_an_echo_and_a_text_answer_as_well(self):
        self.reply("echo", "--echo", "--quiet")
        self.assertEqual(self.request("echo", "n{{.Count}}", "-n", 2), "n1\nn2\n")
        self.assertEqual(self.request("echo"), "\n")
        self.reply("text", "answer {{.Count}}")
        self.assertEqual(self.request("text"), "answer 1\n")

    def test_the_command_knows_topic_and_key(self):
        self.reply("env", "--command", 'echo "$DX_TOPIC $DX_KEY"')
        self.assertEqual(self.request("env", "--key", "k7"), "env k7\n")

    def test_a_large_answer_of_a_command_comes_whole(self):
        count = self.event_bytes_max() - len("begin")
        self.reply("large", "--command", f"cat; head -c {count} /dev/zero | tr '\\0' x")
        self.assertEqual(self.request("large", "begin", "--raw"), "begin" + "x" * count + "\n")

    def test_nobody_there_is_told_at_once(self):
        error = self.refuses(UNREACHABLE, "nobody subscribes to empty.topic (DX_ENOTFOUND)",
                             "request", "empty.topic", "x", "--timeout", "60s")
        self.assertIn("next: dx reply", error)

    def test_no_answer_in_time_is_told(self):
        process = self.reply("failing", "--command", "exit 1")
        self.refuses(UNREACHABLE, "no answer from failing within 100 ms (DX_ETIMEDOUT)",
                     "request", "failing", "x", "--timeout", "100ms")
        process.send_signal(signal.SIGINT)
        self.finished(process, FAILED)

    def test_bad_command_lines_are_refused(self):
        for sentence, *arguments in (
                ("which topic?", "request"), ("which topic?", "reply"),
                ("exactly one of DATA, --command and --echo", "reply", "t"),
                ("exactly one of DATA, --command and --echo", "reply", "t", "x", "--echo"),
                ("did you mean {{.Time}}?", "reply", "t", "{{.Tiem}}")):
            self.refuses(USAGE, sentence, *arguments)


class Topics(NodeTest):
    def test_a_topic_lives_and_dies(self):
        self.assertEqual(self.ok("topic", "create", "a.b", "--retain-events", 5, "--max-bytes",
                                 "1Ki", "--retain-age", "10m", "--full", "fail"),
                         "a.b: created\n")
        info = self.info("a.b")
        self.assertEqual((info["name"], info["declared"], info["options"]["retain_events"],
                          info["options"]["event_bytes_max"], info["options"]["retain_age_ns"],
                          info["options"]["full"], info["options"]["shard_by"]),
                         ("a.b", True, 5, 1024, 600 * 10**9, "fail", "topic"))
        self.ok("pub", "a.b", "e{{.Count}}", "-n", 8, "--ack")
        info = self.info("a.b")
        self.assertEqual((info["published"], info["last_sequence"], info["retained_events"]),
                         (8, 8, 5))
        self.assertEqual(self.ok("topic", "tail", "a.b", "-n", 2), "a.b  7  e7\na.b  8  e8\n")
        self.assertEqual(len(self.ok("topic", "tail", "a.b").splitlines()), 5)
        self.assertEqual(self.ok("topic", "change", "a.b", "--retain-events", 2),
                         "a.b: changed\n")
        info = self.info("a.b")
        self.assertEqual((info["options"]["retain_events"], info["options"]["full"],
                          info["options"]["event_bytes_max"]), (2, "fail", 1024))
        self.assertEqual(self.json("topic", "rm", "a.b"), {"topic": "a.b", "result": "removed"})
        self.refuses(FAILED, "(DX_ENOTFOUND)", "topic", "info", "a.b")

    def test_topics_are_listed_by_pattern(self):
        for name in ("list.x", "list.y", "other"):
            self.ok("pub", name, "1", "--ack")
        self.assertEqual([topic["name"] for topic in self.json("topic", "ls", "list.*")],
                         ["list.x", "list.y"])
        table = self.ok("topic", "ls")
        for name in ("list.x", "list.y", "other"):
            self.assertIn(name, table)
        self.assertEqual(self.json("topic", "ls", "no.such"), [])
        self.assertEqual(self.ok("topic", "ls", "no.such"),
                         "No topic matches no.such. Next: dx topic ls\n")

    def test_the_page_of_a_topic_has_its_numbers(self):
        self.ok("pub", "page", "x", "-n", 4, "--ack")
        text = self.ok("topic", "info", "page")
        for part in ("page  made by its first event", "4 events, sequence", "0 refused"):
            self.assertIn(part.split(",")[0], text)

    def test_a_tail_that_follows_goes_on(self):
        self.ok("pub", "followed", "old", "--ack")
        process = self.start("topic", "tail", "followed", "-f")
        self.subscribed("followed")
        self.ok("pub", "followed", "new", "--ack")
        self.assertEqual(process.stdout.readline(), b"followed  1  old\n")
        self.assertEqual(process.stdout.readline(), b"followed  2  new\n")
        process.send_signal(signal.SIGINT)
        self.finished(process)

    def test_a_topic_by_key_is_tailed_as_well(self):
        self.ok("topic", "create", "keyed", "--shard-by", "key")
        self.ok("pub", "keyed", "{{.Count}}", "--key", "{{.Count}}", "-n", 20, "--ack")
        self.assertEqual(len(self.lines_of("topic", "tail", "keyed", "-n", 5)), 5)

    def test_what_can_not_be_is_refused(self):
        self.ok("topic", "create", "same")
        self.ok("topic", "create", "same")
        advice = self.refuses(FAILED, "(DX_EEXIST)", "topic", "create", "same", "--shard-by", "key")
        self.assertIn("Next: dx topic info", advice)
        self.assertIn("dx topic rm", advice)  # dx topic change can't
        self.refuses(FAILED, "(DX_ENOTFOUND)", "topic", "rm", "never.was")
        self.refuses(FAILED, "(DX_ENOTFOUND)", "topic", "tail", "never.was")
        self.refuses(FAILED, "(DX_ENOTFOUND)", "topic", "change", "never.was", "--full", "fail")
        self.refuses(USAGE, "(DX_EINVAL)", "topic", "create", "bad name")
        for sentence, *arguments in (
                ("what to do? There are: create, change", "topic"),
                ("which topic?", "topic", "create"), ("which topic?", "topic", "rm"),
                ("which topic?", "topic", "tail"), ("which topic?", "topic", "info"),
                ("nothing to change", "topic", "change", "same"),
                ("--full is maybe, must be one of wait, fail", "topic", "create", "t", "--full",
                 "maybe"),
                ('did you mean "dx topic create"?', "topic", "creat", "t")):
            self.refuses(USAGE, sentence, *arguments)


class Config(NodeTest):
    def test_values_are_asked_for_and_set(self):
        options = self.json("config", "get", "limits")["options"]
        self.assertIn("limits.connections_max", [option["name"] for option in options])
        before = self.ok("config", "get", "limits.connections_max").strip()
        self.assertEqual(before, "10000")
        self.assertIn("1 option changed",
                      self.ok("config", "set", "limits.connections_max", 2000))
        self.assertEqual(self.ok("config", "get", "limits.connections_max").strip(), "2000")
        changes = self.json("config", "set", "limits.connections_max=3000")
        self.assertEqual([(change["from"], change["to"]) for change in changes],
                         [("2000", "3000")])
        table = self.ok("config", "get", "log")
        self.assertIn("log.level", table)

    def test_what_is_no_option_is_refused(self):
        error = self.refuses(USAGE, "did you mean limits.connections_max?", "config", "get",
                             "limits.connection_max")
        self.assertIn("DX_ENOTFOUND", error)
        self.refuses(USAGE, "(DX_E", "config", "set", "limits.connections_max", "many")
        self.refuses(USAGE, "which option and which value?", "config", "set", "log.level")

    def test_files_are_checked_and_compared_without_a_node(self):
        old, new = self.folder / "old.yaml", self.folder / "new.yaml"
        old.write_text(self.ok("config", "sample"), encoding="utf-8")
        self.assertRegex(self.ok("config", "check", old), r"good, \d+ option")
        new.write_text("limits:\n  connections_max: 77\nbus:\n  shards: 8\n", encoding="utf-8")
        changes = {change["name"]: change for change in self.json("config", "diff", old, new)}
        self.assertEqual((changes["limits.connections_max"]["to"],
                          changes["limits.connections_max"]["live"]), ("77", True))
        self.assertFalse(changes["bus.shards"]["live"])
        self.assertIn("need", self.ok("config", "diff", old, new))
        self.assertEqual(self.ok("config", "diff", old, old), "No difference\n")
        values = {row["name"]: (row["from"], row["to"], row["origin"]) for row in
                  self.json("config", "check", new, DX_BUS_SHARDS="4", DX_LOG_LEVEL="debug")}
        self.assertEqual(values, {"limits.connections_max": ("10000", "77", "file"),
                                  "bus.shards": ("16", "4", "environment"),
                                  "log.level": ("info", "debug", "environment")})
        self.assertRegex(self.ok("config", "check", new, DX_BUS_SHARDS="4"),
                         r"bus\.shards +16 +4 +at a start +environment\n")
        new.write_text("limits:\n  conections_max: 77\n", encoding="utf-8")
        self.refuses(FAILED, "new.yaml:2: ", "config", "check", new)
        self.refuses(FAILED, "did you mean", "config", "check", new)
        self.refuses(FAILED, "(DX_ENOTFOUND)", "config", "check", self.folder / "no.yaml")
        for sentence, *arguments in (("which file?", "config", "check"),
                                     ("which two files?", "config", "diff", old),
                                     ("what to do?", "config")):
            self.refuses(USAGE, sentence, *arguments)


    def test_a_check_warns_of_what_is_allowed_and_may_surprise(self):
        file = self.folder / "open.yaml"
        file.write_text("admin: {enabled: true, address: 'http://0.0.0.0:0'}\n"
                        "auth: {token: secret}\n", encoding="utf-8")
        done = self.dx("config", "check", file)
        self.assertEqual(done.returncode, OK)
        self.assertIn("warning: tokens can be read on their way to admin.address http://0.0.0.0:0",
                      done.stderr)
        file.write_text("listen: {addresses: []}\n", encoding="utf-8")
        done = self.dx("config", "check", file)
        self.assertEqual(done.returncode, OK)
        self.assertIn("warning: listen.addresses is empty", done.stderr)

    def test_a_check_finds_what_would_keep_a_node_from_starting(self):
        file, none = self.folder / "checked.yaml", self.folder / "none"
        written = self.folder / "written.log"
        for text, sentence in (
                (f"admin: {{enabled: true, address: 'https://127.0.0.1:0', certificate_file: {none}"
                 f", key_file: {none}}}", "admin.certificate_file"),
                (f"log: {{file: {none}/node.log}}", "log.file: "),
                (f"access: {{audit_file: {none}/audit.log}}", "access.audit_file: "),
                (f"trace: {{endpoint: 'https://127.0.0.1:1', authority_file: {none}}}",
                 "trace: authority_file"),
                (f"auth: {{token_file: {none}}}", "auth.token_file"),
                (f"tls: {{certificate_file: {none}, key_file: {none}}}", str(none))):
            file.write_text(text + f"\nlisten: {{addresses: ['unix://{self.folder}/c.sock']}}\n",
                            encoding="utf-8")
            error = self.refuses(FAILED, sentence, "config", "check", file)
            self.assertIn(str(none), error)
            self.refuses(FAILED, str(none), "server", "-c", file)
        file.write_text(f"log: {{file: {written}}}\naccess: {{audit_file: {written}}}\n",
                        encoding="utf-8")
        self.ok("config", "check", file)
        self.assertFalse(written.exists())  # or it would be of who checks, not of the node


class Node(NodeTest):
    def test_a_node_says_what_it_is_and_does(self):
        self.ok("pub", "counted", "x", "-n", 3, "--ack")
        info = self.json("node", "info")
        self.assertEqual(info["addresses"], [self.server.address()])
        self.assertEqual(info["process_id"], self.server.process.pid)
        self.assertGreaterEqual(info["published"], 3)
        text = self.ok("node", "info")
        for part in (self.server.address(), f"process {self.server.process.pid}", "16 shards",
                     "0 refused"):
            self.assertIn(part, text)

    def test_connections_and_subscriptions_are_listed(self):
        self.ok("topic", "create", "listed")
        self.refuses(USAGE, "control character", "sub", "listed", "--group", "g\x1b[2J")
        self.start("sub", "listed", "--group", "g")
        self.subscribed("listed")
        names = [row["name"] for row in self.json("node", "connections")["connections"]]
        self.assertIn("dx sub", names)
        self.assertIn("dx sub", self.ok("node", "connections"))
        rows = self.json("node", "subscriptions")["subscriptions"]
        self.assertIn("listed", [row["pattern"] for row in rows])
        table = self.ok("node", "subscriptions")
        self.assertIn("listed", table)
        self.assertNotIn("\x1b", table)

    def test_its_log_and_its_metrics_are_printed(self):
        lines = self.ok("node", "log").splitlines()
        self.assertRegex(lines[0], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ \w+ +\w+: .")
        self.assertEqual(len(self.ok("node", "log", "-n", 1).splitlines()), 1)
        self.assertEqual(len(self.json("node", "log", "-n", 1)["lines"]), 1)
        self.refuses(USAGE, "--count is 513", "node", "log", "--count", 513)
        self.assertIn("\ndisruptorx_topics ", self.ok("node", "metrics"))

    def test_bad_command_lines_are_refused(self):
        self.refuses(USAGE, "what to do? There are: info, connections, subscriptions", "node")
        self.refuses(USAGE, "is one argument too many", "node", "info", "more")


class Contexts(NodeTest):
    def test_a_saved_address_is_used(self):
        address = self.server.address()
        nowhere = "unix:///nonexistent/dx.sock"
        self.ok("context", "add", "here", "--address", address, DX_ADDRESS="")
        self.ok("context", "add", "gone", "--address", nowhere, "--token", "t", "--select",
                DX_ADDRESS="")
        listed = {row["name"]: row for row in self.json("context", "ls", DX_ADDRESS="")}
        self.assertEqual((listed["gone"]["selected"], listed["gone"]["token"],
                          listed["here"]["selected"]), (True, True, False))
        self.refuses(UNREACHABLE, "no connection to " + nowhere, "topic", "ls", DX_ADDRESS="")
        self.ok("--context", "here", "topic", "ls", DX_ADDRESS="")
        self.ok("topic", "ls", "--address", address, DX_ADDRESS="")
        self.ok("topic", "ls", DX_ADDRESS=address)
        self.ok("context", "select", "here", DX_ADDRESS="")
        self.ok("topic", "ls", DX_ADDRESS="")
        self.assertIn("* ", self.ok("context", "ls", DX_ADDRESS=""))
        self.ok("context", "rm", "here", DX_ADDRESS="")
        self.ok("context", "rm", "gone", DX_ADDRESS="")
        self.assertEqual(self.json("context", "ls", DX_ADDRESS=""), [])
        file = self.folder / ".config/disruptorx/contexts.json"
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)

    def test_what_became_of_one_is_told_as_json(self):
        for result, *words in (("saved", "add", "told", "--address", "unix:///x"),
                               ("selected", "select", "told"), ("removed", "rm", "told")):
            self.assertEqual(self.json("context", *words), {"context": "told", "result": result})

    def test_the_file_of_contexts_does_not_matter_where_none_is_asked_for(self):
        folder = self.folder / "other/disruptorx"
        folder.mkdir(parents=True)
        (folder / "contexts.json").write_text("{", encoding="utf-8")
        (folder / "contexts.json").chmod(0o600)
        places = {"XDG_CONFIG_HOME": str(folder.parent)}
        self.ok("topic", "ls", **places)
        self.ok("topic", "ls", "--address", self.server.address(), DX_ADDRESS="", **places)
        self.refuses(USAGE, "(DX_EPARSE)", "topic", "ls", DX_ADDRESS="", **places)
        self.refuses(USAGE, "(DX_EPARSE)", "topic", "ls", "--context", "a", **places)

    def test_bad_contexts_are_refused(self):
        for sentence, *arguments in (
                ("what to do? There are: add, ls, select, rm", "context"),
                ("--address is missing", "context", "add", "x"),
                ("which name should it have?", "context", "add", "--address", "unix:///x"),
                ("the name is", "context", "add", "a/b", "--address", "unix:///x"),
                ("begins with none of tcp://, tls://, unix://", "context", "add", "x",
                 "--address", "ftp://host"),
                ("which context?", "context", "rm")):
            self.refuses(USAGE, sentence, *arguments)
        self.refuses(FAILED, 'there is no context "nobody"', "context", "rm", "nobody")
        self.refuses(FAILED, 'there is no context "nobody"', "context", "select", "nobody")
        self.refuses(USAGE, 'there is no context "nobody"', "topic", "ls", "--context", "nobody")
        self.refuses(USAGE, "exclude each other", "topic", "ls", "--context", "a", "--address",
                     "unix:///x")


class Unreachable(NodeTest):
    def test_every_command_says_so_and_ends_with_3(self):
        nowhere = f"unix://{self.folder}/nobody.sock"
        for arguments in (["pub", "t", "x"], ["sub", "t"], ["request", "t"], ["reply", "t", "x"],
                          ["topic", "ls"], ["topic", "info", "t"], ["topic", "create", "t"],
                          ["topic", "rm", "t"], ["topic", "tail", "t"], ["config", "get"],
                          ["config", "set", "log.level", "info"], ["config", "reload"],
                          ["node", "info"], ["bench", "e2e", "-o", "json"],
                          ["latency", "-o", "json"]):
            error = self.refuses(UNREACHABLE, f"no connection to {nowhere}", *arguments,
                                 DX_ADDRESS=nowhere)
            self.assertIn("The address is from DX_ADDRESS. Next: start a node with dx server "
                          "--dev", error)

    def test_what_is_no_address_is_a_usage_error(self):
        self.refuses(USAGE, "no connection to ftp://x", "topic", "ls", DX_ADDRESS="ftp://x")


if __name__ == "__main__":
    assert OK == 0
    unittest.main()
