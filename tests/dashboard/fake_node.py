#!/usr/bin/env python3
"""A node that only looks like one: the admin API (docs/openapi.json) with numbers made up.

For states that a real node is hard to bring into: 10,000 topics, huge numbers, hostile names, a
connection that is lost. The tests change the fields of FakeNode; a person looks at it with

    tests/dashboard/fake_node.py [--port 7499] [--topics 40] [--token TOKEN] [--state busy]

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import http.server
import json
import math
import pathlib
import queue
import re
import sys
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import embed_dashboard  # noqa: E402

KI = 1024
HOSTILE = ['<script>document.title="owned"</script>', '<img src=x onerror=alert(1)>',
           '"><svg/onload=alert(2)>', "javascript:alert(3)", "{{7*7}}", "%3Cb%3Eno%3C/b%3E",
           "../../etc/passwd", "\u202egnp.exe", "a" * 200, "тема.日本.🛰", "__proto__", "constructor"]
ERRORS = [
    ("connection", "handshake_timeout", "The greeting took longer than timeouts.handshake_ms."),
    ("connection", "limit", "More connections than limits.connections_max."),
    ("connection", "tls", "TLS could not be agreed on."),
    ("publish", "too_large", "A payload above bus.event_bytes_max."),
    ("publish", "ring_full", "The ring of its shard was full, and the topic says fail."),
    ("publish", "unheard", "Events published while nobody subscribed."),
    ("deliver", "dropped", "Events that a slow subscription was not given."),
    ("deliver", "dead_letter", "Events that were given up after their last attempt."),
    ("frame", "checksum", "A frame arrived with a wrong checksum."),
    ("access", "token", "A wrong token."),
    ("access", "permission", "A user who may not publish or subscribe there."),
    ("config", "reload", "A reload that was refused."),
    ("log", "suppressed", "Lines that were left out because one place in the code had many."),
    ("admin", "bad_request", "HTTP requests that could not be understood."),
]
OPTIONS = [
    # name, value, default, origin, type, live, help
    ("node.name", "trading-3", "", "file", "text", False, "The name that others see."),
    ("admin.address", "http://127.0.0.1:7401", "http://127.0.0.1:7401", "default", "text", False,
     "Where the admin HTTP listens."),
    ("auth.token", "(secret)", "(secret)", "file", "text", True, "What clients must know."),
    ("bus.shards", "16", "16", "default", "integer", False, "Shards: each has one order."),
    ("bus.shard_ring_bytes", "4Mi", "1Mi", "file", "bytes", False, "The ring of each shard."),
    ("limits.connections_max", "2000", "10000", "set", "integer", True,
     "Connections of clients, of all addresses together; more are refused and counted."),
    ("log.level", "info", "info", "default", "choice", True, "Lines of this level and above."),
    ("log.file", "", "", "default", "text", True, "Where lines go. Empty: standard error."),
    ("topics.retain_events", "1024", "1024", "default", "integer", True,
     "Events that a topic keeps for subscribers that start behind or lag."),
]


def topic_of(name, number, rate, **changes):
    return {
        "name": name, "declared": number % 3 == 0, "shard": number % 16, "shards": 1,
        "options": {"shard_by": "topic", "full": "wait", "retain_events": 1024,
                    "retain_bytes": 1048576, "retain_age_ns": 0, "event_bytes_max": 131072},
        "published": 0, "published_bytes": 0, "refused": 0, "duplicates": 0, "delivered": 0,
        "redelivered": 0, "dropped": 0, "dead": 0, "filtered": 0, "unheard": 0,
        "first_sequence": 0, "last_sequence": 0, "retained_events": 0, "retained_bytes": 0,
        "rate_1m": rate, "rate_5m": rate * 0.9, "rate_15m": rate * 0.7, "subscriptions": 0,
        "depth": 0, "lag_max": 0, "latency_p50_ns": 0, "latency_p99_ns": 0, "latency_max_ns": 0,
        **changes}


class FakeNode:
    """What is answered is what these fields say; publish() changes them as events would."""

    def __init__(self, port=0):
        self.token = None
        self.forbids = None  # what it says instead of answering
        self.name = "trading-3"
        self.topics = {}
        self.subscriptions = []
        self.connections = []
        self.errors = {(area, reason): 0 for area, reason, _ in ERRORS}
        self.log = []
        self.reasons = []
        self.ready = True
        self.latency = {"count": 0, "p50_ns": 0, "p99_ns": 0, "p999_ns": 0, "max_ns": 0}
        self.rates = {"published_rate": 0.0, "delivered_rate": 0.0, "bytes_in_rate": 0.0,
                      "bytes_out_rate": 0.0}
        self.bytes = {"bytes_in": 0, "bytes_out": 0}
        self.rings = [{"used": 0, "capacity": 16384} for _ in range(16)]
        self.busy = [0.01, 0.01]
        self.pending = {"file": None, "problem": None, "changes": [], "restart": []}
        self.started_ns = time.time_ns()
        self.cpu_seconds = 0.0
        self.requests = []  # what was asked, to look at
        self.silent = False
        self.streams = set()
        self.page, self.policy = embed_dashboard.page_of(ROOT / "src/node/dashboard")
        self.port = port
        self.server = None
        self.up()

    # ---- life

    def up(self):
        """Listens, on the same port each time."""
        node = self

        class Handler(Answer):
            fake = node
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self):
        """As if the node had been killed."""
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        for stream in list(self.streams):
            stream.put(None)

    def address(self):
        return f"http://127.0.0.1:{self.port}/"

    # ---- changes

    def add_topic(self, name, rate=0.0, **changes):
        self.topics[name] = topic_of(name, len(self.topics), rate, **changes)
        return self.topics[name]

    def publish(self, name, events, size=64, subscriptions=1):
        topic = self.topics.get(name) or self.add_topic(name)
        topic["published"] += events
        topic["published_bytes"] += events * size
        topic["delivered"] += events * subscriptions
        topic["last_sequence"] += events
        topic["first_sequence"] = max(1, topic["last_sequence"] - 1023)
        topic["retained_events"] = topic["last_sequence"] - topic["first_sequence"] + 1
        topic["retained_bytes"] = topic["retained_events"] * size

    def say(self, level, message, component="net"):
        line = {"sequence": len(self.log) + 1, "unix_ns": time.time_ns(), "level": level,
                "component": component, "message": message}
        self.log.append(line)
        self.send("happening", line, line["sequence"])

    def send(self, name, data, number=None):
        text = f"event: {name}\n" + (f"id: {number}\n" if number else "")
        for stream in list(self.streams):
            stream.put(f"{text}data: {json.dumps(data)}\n\n".encode())

    def tick(self):
        """The numbers, to whoever follows."""
        if not self.silent:
            self.send("numbers", self.numbers())

    # ---- answers

    def sum(self, key):
        return sum(topic[key] for topic in self.topics.values())

    def counts(self):
        counts = {key: self.sum(key) for key in (
            "published", "published_bytes", "delivered", "dropped", "refused", "duplicates",
            "redelivered", "dead", "filtered", "unheard", "retained_bytes")}
        return {**counts, **self.bytes, "topics": len(self.topics),
                "subscriptions": len(self.subscriptions), "connections": len(self.connections),
                "slow_consumers": sum(one["lag"] > 0 for one in self.subscriptions),
                "config_reloads": 1, "config_reload_failures": 0,
                "uptime_ns": time.time_ns() - self.started_ns,
                "latency": self.latency, "process": {
                    "cpu_seconds": self.cpu_seconds, "resident_bytes": 31 * KI * KI + 12345,
                    "open_fds": 21 + len(self.connections), "max_fds": 1048576}}

    def numbers(self):
        behind = sorted((one for one in self.subscriptions if one["lag"] > 0),
                        key=lambda one: -one["lag"])[:20]
        keys = ("name", "pattern", "group", "connection", "lag", "pending")
        return {**self.counts(), **self.rates, "unix_ns": time.time_ns(), "state": "running",
                "rings": [{"name": f"shard.{i}", "used_slots": ring["used"],
                           "capacity_slots": ring["capacity"]}
                          for i, ring in enumerate(self.rings)],
                "loops": [{"name": f"io.{i}", "busy_ratio": busy}
                          for i, busy in enumerate(self.busy)],
                "consumers": [{key: one[key] for key in keys} for one in behind]}

    def node(self):
        return {**self.counts(), "name": self.name, "id": "5f3a9c0d12e47b88", "version": "0.1.0",
                "commit": "e2e8025", "process_id": 4242, "state": "running",
                "started_unix_ns": self.started_ns, "shards": len(self.rings),
                "loops": len(self.busy), "connections_accepted": 4711, "connections_refused": 3,
                "handshake_failures": 1, "tls_failures": 0, "tokens_refused": 2,
                "frames_refused": 0, "retained_bytes_max": 256 * KI * KI,
                "published_rate_1m": 0.0, "delivered_rate_1m": 0.0,
                "addresses": ["tcp://127.0.0.1:7400", "unix:///run/disruptorx/dx.sock"],
                "admin_address": self.address().rstrip("/")}

    def ring_list(self):
        return {"rings": [{
            "name": f"shard.{i}", "shard": i, "loop": i % len(self.busy),
            "capacity_slots": ring["capacity"], "slot_bytes": 64, "used_slots": ring["used"],
            "published_slots": int(self.sum("published") / (i + 1)), "consumed_slots": 1,
            "claim_waits": i * 7, "claim_wait_ns": i * 81234, "refusals": 0, "drops": 0,
            "wakes": 12, "producers": 2,
            "consumers": [{"name": f"io.{i % len(self.busy)}", "consumed_slots": 1,
                           "lag_slots": ring["used"]}]} for i, ring in enumerate(self.rings)],
            "loops": [{"name": f"io.{i}", "turns": int(time.time() * 1000), "sleeps": 100,
                       "bells": 50, "busy_ns": 1, "busy_ratio": busy, "turn_max_ns": 81234}
                      for i, busy in enumerate(self.busy)],
            "taken_ns": time.monotonic_ns()}

    def config(self):
        return {"file": "/etc/disruptorx/node.yaml", "options": [
            {"name": name, "section": name.split(".")[0], "value": value, "origin": origin,
             "default": default, "type": kind, "live": live, "reload_only": False,
             "secret": value == "(secret)", "choices": [], "help": text}
            for name, value, default, origin, kind, live, text in OPTIONS]}

    def answer(self, path, query):
        """The status and the JSON of a GET; None: no such thing."""
        if path == "readyz" and self.ready is None:
            return 503, {"code": "DX_ELIMIT", "message": "too many connections",
                         "rule": "admin.connections_max"}
        if path == "readyz":
            return (200 if self.ready else 503), {"ready": self.ready, "reasons": self.reasons}
        parts = path.removeprefix("api/v1/").split("/")
        lists = {"topics": (list(self.topics.values()), "name", "asc", ("name",)),
                 "subscriptions": (self.subscriptions, "lag", "desc", ("name", "pattern", "group")),
                 "connections": (self.connections, "id", "asc", ("name",))}
        name = urllib.parse.unquote(parts[1]) if len(parts) > 1 else ""
        if parts[0] == "topics" and ">." in query.get("pattern", ""):
            return 400, {"code": "DX_EINVAL", "message": f"pattern is \"{query['pattern']}\"",
                         "rule": "> stands at the end only"}
        if parts[0] in lists and len(parts) == 1:
            return 200, page_of(parts[0], *lists[parts[0]], query)
        if parts[0] == "topics":
            return (200, self.topics[name]) if name in self.topics else None
        if parts[0] == "connections":
            found = [one for one in self.connections if str(one["id"]) == name]
            return (200, found[0]) if found else None
        log = [line for line in self.log if query.get("level") != "error"]
        return {
            "node": lambda: (200, self.node()), "rings": lambda: (200, self.ring_list()),
            "config": lambda: (200, self.pending if name else self.config()),
            "log": lambda: (200, {"lines": log[-100:], "newest": len(log), "lost": 0}),
            "errors": lambda: (200, {"errors": [
                {"area": area, "reason": reason, "help": text,
                 "count": self.errors[area, reason]} for area, reason, text in ERRORS]}),
        }.get(parts[0], lambda: None)()


def page_of(key, rows, sort, order, texts, query):
    """What the API does with sort, order, filter, limit and offset."""
    wanted = query.get("name") or query.get("text")
    found = rows if not wanted else [
        row for row in rows if any(wanted.lower() in row[text].lower() for text in texts)]
    for exact in ("pattern", "group", "connection"):
        if exact in query and key == "subscriptions":
            found = [row for row in found if str(row[exact]) == query[exact]]
    if "pattern" in query and key == "topics":
        wanted = re.escape(query["pattern"]).replace(r"\*", r"[^.]+").replace(">", ".+")
        found = [row for row in found if re.fullmatch(wanted, row["name"])]
    found = sorted(found, key=lambda row: row[query.get("sort", sort)],
                   reverse=query.get("order", order) == "desc")
    offset, limit = int(query.get("offset", 0)), int(query.get("limit", 100))
    return {key: found[offset:offset + limit], "matched": len(found), "total": len(rows)}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        """A browser that leaves is no error."""


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake = None

    def log_message(self, format, *arguments):  # pylint: disable=redefined-builtin
        """Says nothing."""

    def give(self, status, body, kind, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, message, rule):
        error = {"code": "DX_EINVAL", "message": message, "rule": rule}
        self.give(status, json.dumps(error).encode(), "application/json")

    def do_GET(self):  # pylint: disable=invalid-name
        fake = self.fake
        path, _, text = self.path.lstrip("/").partition("?")
        query = dict(urllib.parse.parse_qsl(text))
        if fake.server is None:
            self.close_connection = True
            return
        fake.requests.append(self.path)
        if path == "":
            self.give(200, fake.page.encode(), "text/html; charset=utf-8",
                      Content_Security_Policy=fake.policy, X_Content_Type_Options="nosniff")
            return
        given = self.headers.get("Authorization")
        if fake.token is not None and path != "readyz" and given != f"Bearer {fake.token}":
            self.refuse(401, "the token is wrong" if given else "a token is wanted",
                        "send the header Authorization: Bearer TOKEN")
            return
        if fake.forbids is not None and path != "readyz":
            self.refuse(403, fake.forbids, "ask who administers the node")
            return
        if path == "api/v1/events":
            self.follow()
            return
        answer = fake.answer(path, query)
        if answer is None:
            self.refuse(404, f"there is no {path[:60]}", "see docs/openapi.json")
            return
        self.give(answer[0], json.dumps(answer[1]).encode(), "application/json")

    def follow(self):
        stream = queue.Queue()
        self.fake.streams.add(stream)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            self.wfile.write(b": hello\n\n")
            if not self.fake.silent:
                self.wfile.write(
                    f"event: numbers\ndata: {json.dumps(self.fake.numbers())}\n\n".encode())
            while (part := stream.get()) is not None:
                self.wfile.write(part)
        except OSError:
            pass
        finally:
            self.fake.streams.discard(stream)


# ---- a node to look at


def subscription_of(name, pattern, connection, **changes):
    return {"name": name, "pattern": pattern, "group": "", "connection": connection,
            "delivered": 0, "redelivered": 0, "acknowledged": 0, "refused": 0, "dropped": 0,
            "gaps": 0, "dead": 0, "filtered": 0, "pending": 0, "lag": 0,
            "lag_unix_ns": 0, **changes}


def connection_of(number, name, **changes):
    return {"id": number, "name": name, "address": f"127.0.0.1:{40000 + number}", "kind": "tcp",
            "tls": False, "tls_subject": "", "user": "", "open": True, "age_ns": number * 10 ** 10,
            "rtt_ns": 85000, "subscriptions": 1, "events_in": 0, "events_out": 0, "frames_in": 0,
            "frames_out": 0, "bytes_in": 0, "bytes_out": 0, "batches_in": 0, "batch_bytes_in": 0,
            "batch_raw_bytes_in": 0, "batches_out": 0, "batch_bytes_out": 0,
            "batch_raw_bytes_out": 0, "refused": 0, "send_queue_bytes": 0, **changes}


def fill(node, topics, factor=1):
    """A node at work."""
    words = ["orders", "quotes", "trades", "risk", "fills", "telemetry", "audit"]
    for i in range(topics):
        name = f"{words[i % len(words)]}.{['new', 'eu', 'us', 'apac'][i % 4]}.{i:03}"
        rate = factor * 400000 / (i + 1) ** 1.3
        node.add_topic(name, rate, subscriptions=1 + i % 3, latency_p50_ns=11000 + i * 300,
                       latency_p99_ns=41000 + i * 900, latency_max_ns=900000 + i * 7000)
        node.publish(name, int(rate * 5000), subscriptions=1 + i % 3)
    for i in range(12):
        node.subscriptions.append(subscription_of(
            f"{['billing', 'matching', 'archive'][i % 3]}-{i}",
            ["orders.*.*", ">", "quotes.>"][i % 3], i + 1, group=["", "settlement"][i % 2],
            delivered=123456 * (i + 1),
            lag=[0, 0, 1234567, 812][i % 4], pending=i * 3))
        node.connections.append(connection_of(i + 1, f"gateway-{i}", events_in=1234567 * i))


def live(node):
    """Lets it work for ever."""
    began = time.time()
    while True:
        now = time.time() - began
        wave = 1 + 0.25 * math.sin(now / 17) + 0.08 * math.sin(now * 1.7)
        total = 0
        for topic in node.topics.values():
            events = int(topic["rate_1m"] * wave)
            total += events
            node.publish(topic["name"], events, subscriptions=topic["subscriptions"])
        if node.topics:
            p50 = int(11500 * wave)
            node.latency = {"count": total, "p50_ns": p50, "p99_ns": p50 * 4,
                            "p999_ns": p50 * 17, "max_ns": int(p50 * (60 + 50 * (now % 7 < 1)))}
            node.cpu_seconds += 1.3 * wave
            node.busy = [0.61 * wave, 0.44 * wave]
            for i, ring in enumerate(node.rings):
                ring["used"] = int(16384 * 0.2 * wave * (1 + math.sin(i * 5 + now)) / (1 + i / 5))
        node.rates = {"published_rate": float(total), "delivered_rate": total * 2.0,
                      "bytes_in_rate": total * 98.0, "bytes_out_rate": total * 190.0}
        node.bytes = {key: node.bytes[key] + int(node.rates[f"{key}_rate"]) for key in node.bytes}
        node.tick()
        time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description="A node that only looks like one.")
    parser.add_argument("--port", type=int, default=7499)
    parser.add_argument("--topics", type=int, default=40)
    parser.add_argument("--token")
    parser.add_argument("--state", choices=["busy", "empty", "hostile", "huge"], default="busy")
    arguments = parser.parse_args()
    node = FakeNode(arguments.port)
    node.token = arguments.token
    if arguments.state != "empty":
        fill(node, arguments.topics, 10 ** 6 if arguments.state == "huge" else 1)
        node.say("info", "listening on tcp://127.0.0.1:7400")
        node.say("warn", "127.0.0.1:51234: the token is wrong")
        node.errors["access", "token"] = 2
        node.errors["deliver", "dropped"] = 51234
    if arguments.state == "hostile":
        for text in HOSTILE:
            node.add_topic(text, 1000000.0)
            node.subscriptions.append(subscription_of(text, text, 1, group=text, lag=99999999))
            node.connections.append(connection_of(90 + len(node.connections), text, address=text))
            node.say("error", text)
    print(node.address(), flush=True)
    live(node)


if __name__ == "__main__":
    main()
