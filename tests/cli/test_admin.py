#!/usr/bin/env python3
"""The admin API of a real node: every route against docs/openapi.json, changes that take effect,
numbers that move, live updates, who may ask.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import http.client
import json
import pathlib
import re
import signal
import socket
import tempfile
import unittest

from admin_client import ADMIN, OPENAPI, Admin, AdminTest, Metrics, Stream, check, check_answer
from dx_program import FAILED, ROOT, DxTest
from node_program import Server, wait_for
from wire_peer import connect, greet, subscribe

ROUTE = re.compile(r'\{DXI_ADMIN_([A-Z]+), DXI_ADMIN_(\w+), (?:true|false), "([^"]+)",\s*'
                   r'(NULL|(?:"[^"]*"|PAGE_QUERY| )+)', re.S)
PAGE_QUERY = "sort order limit offset"


def audit_lines(file, **wanted):
    """The lines of an audit with these values; None: the key is not there."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines
            if all(line.get(key) == value for key, value in wanted.items())]


def audit_has(test, file, wanted):
    """Waits for a line, of which there is one."""
    wait_for(lambda: audit_lines(file, **wanted), f"the audit has {wanted}")
    test.assertEqual(len(audit_lines(file, **wanted)), 1, wanted)


class Description(DxTest):
    def routes(self):
        """Routes of the node's source: method and path, with their query parameters."""
        text = (ROOT / "src/node/node_admin.c").read_text(encoding="utf-8")
        routes = {}
        for method, _, path, query in ROUTE.findall(text):
            query = query.replace("PAGE_QUERY", f'"{PAGE_QUERY}"').replace('"', " ")
            routes[(method.lower(), path)] = set() if query == "NULL" else set(query.split())
        return routes

    def test_it_has_the_routes_of_the_node_and_their_parameters_and_no_others(self):
        described = {(method, path): {p["name"] for p in operation.get("parameters", ())
                                      if p["in"] == "query"}
                     for path, operations in OPENAPI["paths"].items()
                     for method, operation in operations.items()}
        self.assertGreater(len(described), 20)
        self.assertEqual(described, self.routes())

    def test_what_changes_something_wants_the_header_and_names_are_unique(self):
        names = []
        for path, operations in OPENAPI["paths"].items():
            for method, operation in operations.items():
                names.append(operation["operationId"])
                headers = [p["name"] for p in operation.get("parameters", ())
                           if p["in"] == "header"]
                self.assertEqual("X-Requested-By" in headers, method != "get", path)
        self.assertEqual(len(names), len(set(names)))


class Routes(AdminTest):
    """Reading."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.asked = set()

    def ask(self, method, path, body=None, **options):
        answer = self.admin.ask(method, path, body, **options)
        self.asked.add((method.lower(), check_answer(method, path, answer)))
        return answer

    def test_1_each_answer_is_as_described(self):
        self.ok("topic", "create", "orders.new")
        self.ok("pub", "orders.new", "--count", 10, "x")
        sub = self.start("sub", "orders.*", "--group", "g")
        self.subscribed("orders.new")
        node = self.get("/api/v1/node")
        self.assertEqual((node["topics"], node["published"], node["state"]), (1, 10, "running"))
        self.assertEqual(node["addresses"], [self.server.address()])
        self.assertEqual(node["admin_address"], self.server.started["admin"])
        self.assertEqual(node["process_id"], self.server.process.pid)
        self.assertEqual(self.get("/livez"), {"status": "live"})
        self.assertEqual(self.get("/readyz"), {"ready": True, "reasons": []})
        topic = self.get("/api/v1/topics/orders.new")
        self.assertEqual((topic["published"], topic["subscriptions"], topic["declared"]),
                         (10, 1, True))
        self.assertEqual(self.get("/api/v1/topics")["topics"], [topic])
        subscription, = self.get("/api/v1/subscriptions")["subscriptions"]
        self.assertEqual((subscription["pattern"], subscription["group"]), ("orders.*", "g"))
        connection, = self.get("/api/v1/connections")["connections"]
        self.assertEqual((connection["id"], connection["kind"], connection["subscriptions"]),
                         (subscription["connection"], "unix", 1))
        self.get(f"/api/v1/connections/{connection['id']}")
        rings = self.get("/api/v1/rings")
        self.assertEqual(len(rings["rings"]), node["shards"])
        self.assertEqual(len(rings["loops"]), node["loops"])
        self.get("/api/v1/config?name=admin")
        self.get("/api/v1/log")
        errors = self.get("/api/v1/errors")["errors"]
        self.assertLessEqual(
            {"publish", "subscribe", "request", "manage", "admin_read", "admin_write"},
            {one["reason"] for one in errors if one["area"] == "access"})
        ends = [one for one in errors if one["reason"].startswith("ended_")]
        self.assertGreaterEqual(len(ends), 8)
        self.assertEqual(len({one["help"] for one in ends}), len(ends))  # each says what it means
        self.end(sub)

    def test_1_a_client_is_answered_with_the_same_fields(self):
        sub = self.start("sub", "same.*")
        wait_for(lambda: "same.*" in self.ok("node", "subscriptions"), "it subscribes")
        for schema, *words in (("Node", "node", "info"), ("Connections", "node", "connections"),
                               ("Subscriptions", "node", "subscriptions"), ("Log", "node", "log"),
                               ("Config", "config", "get", "admin")):
            check(self.json(*words), {"$ref": f"#/components/schemas/{schema}"}, " ".join(words))
        self.end(sub)

    def test_1_the_page_and_the_description_are_served(self):
        page = self.ask("GET", "/")
        self.assertEqual(page.headers["content-type"], "text/html; charset=utf-8")
        self.assertIn(b"<html", page.body)
        self.assertIn("script-src 'sha256-", page.headers["content-security-policy"])
        again = self.admin.ask("GET", "/", headers={"If-None-Match": page.headers["etag"]})
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertEqual(self.get("/api/v1/openapi.json"), OPENAPI)

    def test_1_answers_have_the_headers_that_browsers_must_see(self):
        for path in ("/livez", "/metrics", "/api/v1/node", "/api/v1/nothing"):
            headers = self.admin.ask("GET", path).headers
            self.assertEqual(headers["x-content-type-options"], "nosniff", path)
            self.assertEqual(headers["x-frame-options"], "DENY", path)
            self.assertEqual(headers["cache-control"], "no-store", path)
            self.assertIn("default-src 'none'", headers["content-security-policy"], path)
            self.assertFalse([name for name in headers if name.startswith("access-control")])

    def test_1_head_is_get_without_the_body(self):
        answer = self.admin.ask("HEAD", "/api/v1/node")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertGreater(int(answer.headers["content-length"]), 100)

    def test_2_topics_are_declared_changed_and_forgotten(self):
        made = self.ask("POST", "/api/v1/topics", {"name": "a/b", "retain_events": 7})
        self.assertEqual(made.status, 201, made.body)
        self.assertEqual(made.json()["options"]["retain_events"], 7)
        again = self.ask("POST", "/api/v1/topics", {"name": "a/b", "retain_events": 7})
        self.assertEqual(again.status, 201)
        other = self.ask("POST", "/api/v1/topics", {"name": "a/b", "retain_events": 8})
        self.assertEqual((other.status, other.json()["code"]), (409, "DX_EEXIST"))
        changed = self.ask("PATCH", "/api/v1/topics/a%2Fb", {"retain_events": "none"}).json()
        self.assertEqual(changed["options"]["retain_events"], "none")
        self.assertEqual(changed["options"]["retain_bytes"], made.json()["options"]["retain_bytes"])
        gone = self.ask("DELETE", "/api/v1/topics/a%2Fb")
        self.assertEqual((gone.status, gone.body), (204, b""))
        for method in ("GET", "DELETE"):
            self.assertEqual(self.ask(method, "/api/v1/topics/a%2Fb").status, 404)
        self.assertEqual(self.ask("PATCH", "/api/v1/topics/a%2Fb", {"full": "wait"}).status, 404)

    def test_2_a_connection_is_closed(self):
        sub = self.start("sub", "closed")
        wait_for(lambda: self.get("/api/v1/subscriptions?pattern=closed")["matched"] == 1, "sub")
        id_ = self.get("/api/v1/subscriptions?pattern=closed")["subscriptions"][0]["connection"]
        self.assertEqual(self.ask("DELETE", f"/api/v1/connections/{id_}").status, 204)
        wait_for(lambda: self.ask("GET", f"/api/v1/connections/{id_}").status == 404, "closed")
        self.assertEqual(self.ask("DELETE", f"/api/v1/connections/{id_}").status, 404)
        self.assertEqual(self.ask("DELETE", "/api/v1/connections/x").status, 400)
        self.end(sub)

    def test_2_lists_are_sorted_cut_and_filtered(self):
        names = [f"list.{number}" for number in range(5)]
        for number, name in enumerate(names):
            self.ok("pub", name, "--count", number + 1, "x")
        page = self.get("/api/v1/topics?pattern=list.*&sort=published&order=desc&limit=2&offset=1")
        self.assertEqual([t["name"] for t in page["topics"]], ["list.3", "list.2"])
        self.assertEqual(page["matched"], 5)
        self.assertGreaterEqual(page["total"], 5)
        self.assertEqual([t["name"] for t in self.get("/api/v1/topics?name=ist.4")["topics"]],
                         ["list.4"])
        self.assertEqual(self.get("/api/v1/topics?pattern=list.*&offset=5")["topics"], [])

    def test_2_the_log_level_is_set(self):
        self.assertEqual(self.get("/api/v1/log/level"), {"level": "info"})
        self.assertEqual(self.ask("PUT", "/api/v1/log/level", {"level": "debug"}).json(),
                         {"level": "debug"})
        self.assertEqual(self.ok("config", "get", "log.level").strip(), "debug")
        bad = self.ask("PUT", "/api/v1/log/level", {"level": "loud"})
        self.assertEqual(bad.status, 400)
        self.ask("PUT", "/api/v1/log/level", {"level": "info"})

    def test_2_an_option_is_set_and_lines_of_the_log_say_so(self):
        path = "/api/v1/config/topics.retain_events"
        before = self.get("/api/v1/log")["newest"]
        changes = self.ask("PUT", path, {"value": "77"}).json()["changes"]
        self.assertEqual(changes, [{"name": "topics.retain_events", "from": "1024", "to": "77"}])
        option, = self.get("/api/v1/config?name=topics.retain_events")["options"]
        self.assertEqual((option["value"], option["origin"], option["live"]), ("77", "set", True))
        lines = self.get(f"/api/v1/log?after={before}&limit=1")["lines"]
        self.assertIn('topics.retain_events was "1024"', lines[0]["message"])
        fixed = self.ask("PUT", "/api/v1/config/bus.shards", {"value": "4"})
        self.assertEqual((fixed.status, fixed.json()["code"]), (409, "DX_EBUSY"))
        self.assertEqual(self.ask("PUT", "/api/v1/config/bus.shard", {"value": "4"}).status, 404)
        self.assertEqual(self.ask("PUT", path, {"value": "many"}).status, 400)

    def test_3_live_updates_are_as_described(self):
        stream = Stream(self.admin)
        self.addCleanup(stream.close)
        self.asked.add(("get", "/api/v1/events"))
        event, _, first = stream.next()
        self.assertEqual(event, "numbers")
        schemas = OPENAPI["components"]["schemas"]
        check(first, schemas["Numbers"])
        self.ok("pub", "live", "--count", 50, "x")
        self.ask("PUT", "/api/v1/config/topics.retain_events", {"value": "99"})
        _, id_, happening = stream.next("happening")
        check(happening, schemas["Happening"])
        self.assertEqual(id_, happening["sequence"])
        _, _, second = stream.next("numbers")
        check(second, schemas["Numbers"])
        self.assertEqual(second["published"], first["published"] + 50)
        self.assertGreater(second["unix_ns"], first["unix_ns"])
        later = Stream(self.admin, [f"Last-Event-ID: {id_ - 1}"])
        self.addCleanup(later.close)
        self.assertEqual(later.next("happening")[2], happening)

    def test_3_metrics_are_sound_and_move(self):
        self.ask("POST", "/api/v1/topics", {"name": "small", "event_bytes_max": 8})
        before = self.metrics()
        self.ok("pub", "counted", "--count", 20, "12345")
        self.dx("pub", "small", "more than eight bytes")
        sub = self.start("sub", "counted", "--from", "earliest", "--count", 20)
        self.finished(sub)
        self.dx("pub", "x", "-a", "tcp://127.0.0.1:1")
        after = self.metrics()
        name = "disruptorx_messages_received_total"
        self.assertEqual(after.value(name, topic="counted") +
                         after.value(name, topic="other") -
                         before.value(name, topic="other"), 20)
        total = lambda metrics, name: sum(metrics.all(name).values())
        for name, least in (("disruptorx_messages_received_total", 20),
                            ("disruptorx_messages_delivered_total", 20),
                            ("disruptorx_messages_refused_total", 1),
                            ("disruptorx_message_bytes_total", 100),
                            ("disruptorx_network_bytes_total", 100),
                            ("disruptorx_connections_accepted_total", 2),
                            ("disruptorx_admin_requests_total", 1)):
            self.assertGreaterEqual(total(after, name) - total(before, name), least, name)
        self.assertEqual(after.value("disruptorx_build_info", version="0.1.0",
                                     commit=self.get("/api/v1/node")["commit"]), 1)
        ring = "disruptorx_ring_{}_events_total".format # they move in unit.bus_lane
        self.assertGreaterEqual(total(after, ring("published")), total(after, ring("consumed")))
        self.assertEqual(total(after, "disruptorx_ring_batch_size_events_sum"),
                         total(after, ring("consumed")))
        self.assertEqual(set(after.all("disruptorx_backpressure_seconds_total")),
                         {(("cause", "ring_full"),), (("cause", "slow_block"),)})
        for name in ("disruptorx_publish_duration_seconds",
                     "disruptorx_end_to_end_duration_seconds"):
            self.assertEqual(after.types[name], "histogram") # they move in unit.bus_totals

    def test_3_who_lags_is_told_in_events_and_in_seconds(self):
        with greet(connect(self.server.address())) as peer:
            subscribe(peer, "lag.*", 1, 1 << 20)
            wait_for(lambda: "lag.*" in self.ok("node", "subscriptions"), "it subscribes")
            self.ok("pub", "lag.a", "--count", 3, "--ack", "x")
            labels = {"topic": "lag.*", "group": ""}
            lag = self.metrics()
            self.assertEqual(lag.value("disruptorx_group_lag_messages", **labels), 2)
            seconds = lag.value("disruptorx_group_lag_seconds", **labels)
            self.assertTrue(0 < seconds < 600, seconds)
            later = self.metrics().value("disruptorx_group_lag_seconds", **labels)
            self.assertGreater(later, seconds)

    def test_4_no_route_was_forgotten(self):
        described = {(method, path) for path, operations in OPENAPI["paths"].items()
                     for method in operations}
        self.asked |= {("get", "/api/v1/config/pending"), ("post", "/api/v1/config/reload")}
        self.assertEqual(described - self.asked, set()) # those two: class Files


class Users(AdminTest):
    """With a users file each user says who it is by its token."""
    tokens = {name: name * 20 for name in ("reader", "writer", "nobody")}

    @classmethod
    def users_text(cls, **changes):
        """The users file; None removes one."""
        rights = {"reader": "admin: read", "nobody": "publish: '>'",
                  "writer": "admin: write, manage: 'mine.>'", **changes}
        return "users:\n" + "".join(
            f"  {name}: {{token_sha256: {hashlib.sha256(cls.tokens[name].encode()).hexdigest()}, "
            f"{right}}}\n" for name, right in rights.items() if right is not None)

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="dx-test-"))
        users = cls.folder / "users.yaml"
        users.touch(0o600)
        users.write_text(cls.users_text(), encoding="utf-8")
        cls.audit = cls.folder / "audit.log"
        cls.server = Server("--listen", f"unix://{cls.folder}/dx.sock", *ADMIN, "--set",
                            f"access.file={users}", "--set", f"access.audit_file={cls.audit}")

    def by(self, name, method, path, status, body=None):
        self.admin.token = self.tokens.get(name, name)
        answer = self.ask(method, path, body)
        self.assertEqual(answer.status, status, (name, method, path, answer.body))
        return answer

    def test_reading_and_writing_want_their_permissions(self):
        self.by(None, "GET", "/api/v1/node", 401)
        self.by("nobodys token", "GET", "/api/v1/node", 401)
        self.by("nobody", "GET", "/metrics", 403)
        self.by("reader", "GET", "/metrics", 200)
        error = self.by("reader", "PUT", "/api/v1/log/level", 403, {"level": "debug"}).json()
        self.assertIn("reader", error["message"])
        self.assertIn("admin write", error["rule"])
        self.by("writer", "PUT", "/api/v1/log/level", 200, {"level": "info"})
        self.by("writer", "GET", "/api/v1/config", 200)
        for name in self.tokens:
            self.by(name, "GET", "/livez", 200)

    def test_topics_want_what_clients_need_too(self):
        self.by("writer", "POST", "/api/v1/topics", 201, {"name": "mine.a"})
        self.by("writer", "POST", "/api/v1/topics", 403, {"name": "yours.a"})
        self.by("writer", "PATCH", "/api/v1/topics/yours.a", 403, {"full": "fail"})
        self.by("writer", "DELETE", "/api/v1/topics/yours.a", 403)
        self.by("reader", "DELETE", "/api/v1/topics/mine.a", 403)
        self.by("writer", "DELETE", "/api/v1/topics/mine.a", 204)

    def audited(self, **wanted):
        audit_has(self, self.audit, wanted)

    def test_what_is_changed_and_refused_is_in_the_audit(self):
        self.by("writer", "PUT", "/api/v1/log/level", 200, {"level": "error"})
        self.audited(user="writer", event="admin", action="log.level", object="error",
                     result="DX_OK")
        self.by("reader", "POST", "/api/v1/config/reload", 403)
        self.audited(user="reader", event="refused", action="admin write",
                     object="POST /api/v1/config/reload", result="DX_EPERM")
        self.by("no token", "GET", "/metrics", 401)
        self.audited(user=None, event="refused", action="admin read", object="GET /metrics",
                     result="DX_EPERM", reason="the token is wrong")
        for token in self.tokens.values():
            self.assertNotIn(token, self.audit.read_text(encoding="utf-8"))

    def test_the_audit_says_what_became_of_a_change_and_of_which_topic(self):
        self.by("writer", "POST", "/api/v1/topics", 201, {"name": "mine.audited"})
        self.audited(user="writer", event="topic", action="create", object="mine.audited",
                     result="DX_OK")
        self.by("writer", "POST", "/api/v1/topics", 409, {"name": "mine.audited", "full": "fail"})
        self.audited(event="topic", action="create", object="mine.audited", result="DX_EEXIST")
        self.by("writer", "POST", "/api/v1/topics", 403, {"name": "yours.audited"})
        self.audited(event="refused", action="manage", object="yours.audited", result="DX_EPERM")
        self.by("writer", "DELETE", "/api/v1/topics/mine.audited", 204)
        self.audited(event="topic", action="delete", object="mine.audited", result="DX_OK")
        self.by("writer", "PUT", "/api/v1/config/limits.connections_max", 400, {"value": "none"})
        self.audited(event="admin", action="config.set", object="limits.connections_max",
                     result="DX_EINVAL")
        self.by("writer", "PUT", "/api/v1/config/bus.shards", 409, {"value": "512"})
        self.audited(event="admin", action="config.set", object="bus.shards", result="DX_EBUSY")
        answer = self.admin.ask("PUT", "/api/v1/config/log.level", b'{"value": "x" secret',
                                headers={"Content-Type": "application/json"})
        self.assertEqual(answer.status, 400)
        self.audited(event="admin", action="config.set", object="log.level", result="DX_EPARSE")
        self.assertNotIn("secret", self.audit.read_text(encoding="utf-8"))
        self.assertEqual(len(audit_lines(self.audit, object="yours.audited")), 1)

    def test_nobody_stops_the_audit_from_elsewhere(self):
        for name in ("access.audit_file", "auth.token_file", "log.file"):
            error = self.by("writer", "PUT", f"/api/v1/config/{name}", 403, {"value": ""}).json()
            self.assertIn("change it in the configuration file", error["message"])
            self.audited(event="admin", action="config.set", object=name, result="DX_EPERM")

    def test_who_is_removed_reads_no_more(self):
        self.addCleanup(self.users_change)
        self.admin.token = self.tokens["reader"]
        stream = Stream(self.admin)
        self.addCleanup(stream.close)
        stream.next("numbers")
        self.users_change(reader=None)
        with self.assertRaises(EOFError):
            for _ in range(5): # what was on its way
                stream.next("numbers")
        again = Stream(self.admin)
        self.addCleanup(again.close)
        self.assertEqual(again.status, 401)

    def users_change(self, **changes):
        (self.folder / "users.yaml").write_text(self.users_text(**changes), encoding="utf-8")
        self.by("writer", "POST", "/api/v1/config/reload", 200)
        self.admin.token = self.tokens["reader"]


class Files(DxTest):
    """What a file says, and a reload; tokens; a node that stops."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "node.yaml"

    def write(self, more=""):
        self.file.write_text(f"listen: {{addresses: ['unix://{self.folder}/dx.sock']}}\n"
                             "admin: {enabled: true, address: 'http://127.0.0.1:0'}\n"
                             f"bus: {{shards: 2}}\n{more}", encoding="utf-8")

    def start(self, *arguments):
        server = Server("-c", self.file, *arguments)
        self.addCleanup(server.stop, signal.SIGKILL)
        admin = Admin(server.started["admin"])
        self.addCleanup(admin.close)
        return server, admin

    def ask(self, admin, method, path, status=200, body=None):
        answer = admin.ask(method, path, body)
        check_answer(method, path, answer)
        self.assertEqual(answer.status, status, answer.body)
        return answer.json() if answer.body else None

    def test_the_file_is_compared_and_reloaded_all_or_nothing(self):
        self.write()
        _, admin = self.start()
        pending = self.ask(admin, "GET", "/api/v1/config/pending")
        self.assertEqual(pending, {"file": str(self.file), "problem": None, "changes": [],
                                   "restart": []})
        self.write("topics: {retain_events: 5}\nlimits: {frame_bytes_max: 5Mi}\n")
        pending = self.ask(admin, "GET", "/api/v1/config/pending")
        self.assertEqual(pending["restart"], ["limits.frame_bytes_max"])
        self.assertEqual([(c["name"], c["running"], c["file"], c["live"])
                          for c in pending["changes"]],
                         [("topics.retain_events", "1024", "5", True),
                          ("limits.frame_bytes_max", "4Mi", "5Mi", False)])
        self.ask(admin, "POST", "/api/v1/config/reload", 409)
        ready = self.ask(admin, "GET", "/readyz")
        self.assertEqual((ready["ready"], [r["name"] for r in ready["reasons"]]),
                         (True, ["config"]))
        metrics = Metrics(admin.ask("GET", "/metrics").body.decode())
        self.assertEqual(metrics.value("disruptorx_config_last_reload_successful"), 0)
        self.assertEqual(metrics.value("disruptorx_config_reloads_total", result="failure"), 1)
        self.write("topics: {retain_events: 5}\n")
        self.assertEqual(self.ask(admin, "POST", "/api/v1/config/reload")["changes"],
                         [{"name": "topics.retain_events", "from": "1024", "to": "5"}])
        self.assertEqual(self.ask(admin, "GET", "/readyz")["reasons"], [])
        self.file.write_text("topics: [", encoding="utf-8")
        problem = self.ask(admin, "GET", "/api/v1/config/pending")["problem"]
        self.assertIn("node.yaml", problem)

    def test_a_token_is_wanted_where_clients_need_one(self):
        self.write("auth: {token: open-sesame}\n")
        _, admin = self.start()
        for path in ("/", "/livez", "/readyz"):
            self.assertEqual(admin.ask("GET", path).status, 200, path)
        for path in ("/metrics", "/api/v1/node", "/api/v1/events", "/api/v1/openapi.json"):
            answer = admin.ask("GET", path)
            check_answer("GET", path, answer)
            self.assertEqual(answer.status, 401, path)
            self.assertTrue(answer.headers["www-authenticate"].startswith("Bearer"))
        for token in ("open-sesam", "open-sesamee", "x" * 5000):
            admin.token = token
            self.assertEqual(admin.ask("GET", "/api/v1/node").status, 401, token)
            admin.close() # a head that is too long ends the connection
        admin.token = "open-sesame"
        self.assertGreaterEqual(self.ask(admin, "GET", "/api/v1/node")["tokens_refused"], 3)
        text = json.dumps(self.ask(admin, "GET", "/api/v1/config"))
        self.assertNotIn("sesame", text)
        self.assertIn("(secret)", text)
        self.assertNotIn(b"sesame", admin.ask("GET", "/metrics").body)
        self.assertNotIn(b"sesame", admin.ask("GET", "/api/v1/log").body)

    def test_without_users_the_audit_has_the_same(self):
        audit = self.folder / "audit.log"
        self.write(f"auth: {{token: open-sesame}}\naccess: {{audit_file: {audit}}}\n")
        _, admin = self.start()
        admin.token = "wrong"
        self.ask(admin, "GET", "/metrics", 401)
        admin.token = "open-sesame"
        self.ask(admin, "GET", "/api/v1/node")
        self.ask(admin, "PUT", "/api/v1/log/level", 200, {"level": "debug"})
        self.ask(admin, "PUT", "/api/v1/config/log.level", 200, {"value": "info"})
        self.ask(admin, "POST", "/api/v1/topics", 201, {"name": "a.topic"})
        self.ask(admin, "DELETE", "/api/v1/topics/a.topic", 204)
        self.ask(admin, "DELETE", "/api/v1/topics/a.topic", 404)
        self.ask(admin, "POST", "/api/v1/config/reload", 200)
        for event, action, object_, result in (
                ("refused", "admin read", "GET /metrics", "DX_EPERM"),
                ("admin", "log.level", "debug", "DX_OK"),
                ("admin", "config.set", "log.level", "DX_OK"),
                ("topic", "create", "a.topic", "DX_OK"),
                ("topic", "delete", "a.topic", "DX_OK"),
                ("topic", "delete", "a.topic", "DX_ENOTFOUND"),
                ("admin", "config.reload", None, "DX_OK")):
            audit_has(self, audit, {"event": event, "action": action, "object": object_,
                                    "result": result})
        self.assertEqual(len(audit_lines(audit, event="refused")), 1)
        self.assertNotIn("sesame", audit.read_text(encoding="utf-8"))

    def test_streams_end_when_the_token_changes_and_not_else(self):
        self.write("auth: {token: open-sesame}\n")
        _, admin = self.start()
        admin.token = "open-sesame"
        stream = Stream(admin)
        self.addCleanup(stream.close)
        self.ask(admin, "POST", "/api/v1/config/reload")
        stream.next("numbers")
        stream.next("numbers") # one of after the reload
        self.write("auth: {token: another}\n")
        self.ask(admin, "POST", "/api/v1/config/reload")
        with self.assertRaises(EOFError):
            for _ in range(5): # what was on its way
                stream.next("numbers")

    def test_streams_end_with_the_node(self):
        self.write()
        server, admin = self.start()
        stream = Stream(admin)
        self.addCleanup(stream.close)
        server.process.send_signal(signal.SIGTERM)
        with self.assertRaises((EOFError, http.client.HTTPException, OSError)):
            while True:
                stream.next()
        self.assertEqual(server.process.wait(30), 0)

    def test_a_port_in_use_is_told_with_the_way_out(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        error = self.refuses(FAILED, "in use", "server", "--listen",
                             f"unix://{self.folder}/dx.sock", "--set", "admin.enabled=true",
                             "--set", f"admin.address=http://127.0.0.1:{port}")
        self.assertIn(f"http://127.0.0.1:{port}", error)
        self.assertIn("admin.address=http://127.0.0.1:0", error)

    def test_an_address_that_others_reach_must_be_guarded(self):
        for address, sentence in (("http://0.0.0.0:0", "must be guarded"),
                                  ("ftp://127.0.0.1:0", "must be http://host:port"),
                                  ("http://127.0.0.1", "must be http://host:port"),
                                  ("http://127.0.0.1:65536", "0 to 65535"),
                                  ("https://127.0.0.1:0", "neither admin.certificate_file")):
            self.refuses(2, sentence, "server", "--set", "admin.enabled=true", "--set",
                         f"admin.address={address}")


if __name__ == "__main__":
    unittest.main()
