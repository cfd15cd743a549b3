#!/usr/bin/env python3
"""What strangers and mistakes may send to the admin server: each is refused with a code, a sentence
and a rule, and counted, and the node lives on. Random bytes, too.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import random
import socket
import unittest

from admin_client import ADMIN, OPENAPI, Admin, AdminTest, Metrics, Stream, check
from node_program import wait_for

SEED = 20240501
ROUNDS = 500


class BadTest(AdminTest):
    server_options = (*ADMIN, "--set", "admin.body_bytes_max=1Ki", "--set",
                      "admin.connections_max=8", "--set", "admin.streams_max=2", "--set",
                      "admin.request_timeout_ms=500ms")

    def raw(self, data, end=False):
        """Sends bytes as they are; returns all that comes back until the other side closes or one
        answer is whole."""
        with socket.create_connection((self.admin.host, self.admin.port), timeout=30) as peer:
            with contextlib.suppress(ConnectionError):
                peer.sendall(data)
                if end:
                    peer.shutdown(socket.SHUT_WR)
            came = b""
            with contextlib.suppress(ConnectionError):
                while True:
                    piece = peer.recv(65536)
                    came += piece
                    head, _, body = came.partition(b"\r\n\r\n")
                    length = [int(line[15:]) for line in head.lower().split(b"\r\n")
                              if line.startswith(b"content-length:")]
                    if not piece or (length and len(body) >= length[0]):
                        return came
            return came

    def refused(self, reason):
        return self.metrics().value("disruptorx_admin_refused_total", reason=reason)

    def refuses(self, status, reason, method, path, body=None, headers=None, sentence=""):
        """The request is refused with this status, and counted under this reason."""
        before = self.refused(reason)
        answer = self.admin.ask(method, path, body, headers)
        self.assertEqual(answer.status, status, (method, path, answer.body))
        error = answer.json()
        check(error, OPENAPI["components"]["schemas"]["Error"])
        self.assertTrue(error["message"] and error["rule"], error)
        self.assertIn(sentence, error["message"])
        self.assertEqual(self.refused(reason), before + 1, (method, path, error))
        return answer, error


class Requests(BadTest):
    def test_unknown_paths_are_told_the_nearest(self):
        self.refuses(404, "unknown_route", "GET", "/api/v1/topic", sentence="/api/v1/topics?")
        self.refuses(404, "unknown_route", "GET", "/api/v1/topics/", sentence="no path")
        self.refuses(404, "unknown_route", "GET", "//livez")
        self.refuses(404, "unknown_route", "POST", "/nothing", {}, sentence='"/nothing"')

    def test_wrong_methods_are_told_the_right_ones(self):
        for method, path, allowed in (("POST", "/livez", "GET, HEAD"),
                                      ("PUT", "/api/v1/topics", "GET, HEAD, POST"),
                                      ("OPTIONS", "/api/v1/topics/x", "GET, HEAD, PATCH, DELETE"),
                                      ("GET", "/api/v1/config/reload", "POST"),
                                      ("BREW", "/metrics", "GET, HEAD")):
            answer, error = self.refuses(405, "method", method, path)
            self.assertEqual(answer.headers["allow"], allowed)
            self.assertIn(allowed, error["rule"])

    def test_bad_paths_and_queries_are_refused(self):
        for path in ("/api/v1/topics/%zz", "/api/v1/topics/%", "/api/v1/topics/a%00b",
                     "/api/v1/topics/%ff", "/api/v1/topics/a%0ab", "/" + "x" * 4097,
                     "/a" * 17, "/api/v1/topics?limit=1&limit=2",
                     "/api/v1/topics?" + "&".join(f"a{n}=1" for n in range(17))):
            self.refuses(400, "malformed", "GET", path)
        self.assertEqual(self.admin.ask("GET", "/api/v1/topics/" + "x" * 255).status, 404)

    def test_bad_parameters_are_refused_with_their_bounds(self):
        for query in ("limit=0", "limit=1001", "limit=-1", "limit=1.5", "limit=", "limit=x",
                      "limit=99999999999999999999", "offset=-1", "offset=1048577", "sort=colour",
                      "order=up", "pattern=a..b", "colour=red", "limit=%31%20"):
            self.refuses(400, "parameter", "GET", f"/api/v1/topics?{query}")
        for limit in (1, 1000):
            self.assertEqual(self.ask("GET", f"/api/v1/topics?limit={limit}").status, 200)
        self.refuses(400, "parameter", "GET", "/api/v1/log?level=debug")
        self.refuses(400, "parameter", "GET", "/api/v1/subscriptions?connection=x")
        self.refuses(400, "parameter", "GET", "/api/v1/events",
                     headers={"Last-Event-ID": "last"})
        self.refuses(400, "parameter", "GET", "/livez?x=1")

    def test_bad_bodies_are_refused(self):
        json_type = {"Content-Type": "application/json"}
        for body in (b"", b"{", b"[]", b"null", b"{} {}", b'{"name": 1}', b'{"name": ""}',
                     b'{"nam": "x"}', b'{"name": "a", "name": "b"}', b'{"name": "a\xff"}',
                     b'{"name": "a", "full": "never"}', b'{"name": "a", "retain_events": -1}',
                     b'{"name": "a", "retain_events": 1.5}', b'{"name": "a b"}',
                     b'{"name": "a", "retain_bytes": 17179869185}', b"[" * 1000):
            self.refuses(400, "parameter", "POST", "/api/v1/topics", body, json_type)
        self.refuses(415, "body", "POST", "/api/v1/topics", b"name=x",
                     {"Content-Type": "application/x-www-form-urlencoded"})
        self.refuses(415, "body", "POST", "/api/v1/topics", b"{}")
        padded = b'{"name": "a"}'.ljust(1024)
        self.assertEqual(self.admin.ask("POST", "/api/v1/topics", padded, json_type).status, 201)
        before = self.refused("body")
        came = self.raw(b"POST /api/v1/topics HTTP/1.1\r\nHost: localhost\r\nX-Requested-By: x\r\n"
                        b"Content-Type: application/json\r\nContent-Length: 1025\r\n\r\n" +
                        padded + b" ")
        self.assertIn(b" 413 ", came)
        self.assertIn(b"at most 1024 bytes", came)
        came = self.raw(b"POST /api/v1/topics HTTP/1.1\r\nHost: localhost\r\nX-Requested-By: x\r\n"
                        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
                        b"401\r\n" + padded + b" \r\n0\r\n\r\n")
        self.assertIn(b" 413 ", came)
        self.assertEqual(self.refused("body"), before + 2)

    def test_writes_without_the_header_and_foreign_hosts_are_refused(self):
        self.refuses(403, "header", "POST", "/api/v1/topics", {"name": "x"},
                     {"X-Requested-By": None}, "X-Requested-By")
        self.refuses(403, "header", "DELETE", "/api/v1/topics/x", headers={"X-Requested-By": ""})
        for host in ("evil.example", "evil.example:7401", "localhost.evil.example", "10.0.0.1",
                     "127.0.0.1.evil.example", "[::2]", "x" * 300):
            self.refuses(403, "host", "GET", "/api/v1/node", headers={"Host": host})
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]:7401"):
            self.assertEqual(self.admin.ask("GET", "/livez", headers={"Host": host}).status, 200)
            self.assertEqual(self.admin.ask("GET", "/api/v1/rings",
                                            headers={"Host": host}).status, 200, host)

    def test_what_is_no_http_is_answered_and_counted(self):
        before = self.refused("malformed")
        self.assertIn(b" 400 ", self.raw(b"GET /livez HTTP/1.1\r\nno colon here\r\n\r\n"))
        self.assertTrue(self.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: x"
                                 b"\r\n\r\n").startswith(b"HTTP/1.1 4"))
        self.assertTrue(self.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 40000 +
                                 b"\r\n\r\n").startswith(b"HTTP/1.1 4"))
        self.assertGreaterEqual(self.refused("malformed"), before + 2)
        self.assertEqual(self.get("/livez"), {"status": "live"})


class Load(BadTest):
    def test_a_slow_request_is_cut_off_and_counted(self):
        before = self.refused("timeout")
        peers = [socket.create_connection((self.admin.host, self.admin.port), timeout=30)
                 for _ in range(3)]
        heads = (b"", b"GET /livez HTTP/1.1\r\nHos", b"POST /api/v1/topics HTTP/1.1\r\n"
                 b"Host: localhost\r\nX-Requested-By: x\r\nContent-Type: application/json\r\n"
                 b"Content-Length: 100\r\n\r\n{")
        for peer, head in zip(peers, heads):
            self.addCleanup(peer.close)
            peer.sendall(head)
        cut = 0
        for peer in peers: # a byte now and then buys no time
            with contextlib.suppress(ConnectionError):
                while peer.recv(1000):
                    pass
            cut += 1
        self.assertEqual(cut, 3)
        wait_for(lambda: self.refused("timeout") == before + 3, "counted")

    def has_no_streams(self):
        answer = self.admin.ask("GET", "/metrics")  # refused while too many are open
        return (answer.status == 200 and
                Metrics(answer.body.decode()).value("disruptorx_admin_streams") == 0)

    def test_connections_and_streams_beyond_the_limit_are_told_so(self):
        wait_for(self.has_no_streams, "none is left")
        streams = [Stream(self.admin) for _ in range(2)]
        for stream in streams:
            self.addCleanup(stream.close)
            self.assertEqual(stream.next()[0], "numbers")
        self.refuses(503, "limit", "GET", "/api/v1/events", sentence="2 streams are open")
        others = [Admin(self.server.started["admin"]) for _ in range(5)]
        for other in others:
            self.addCleanup(other.close)
            self.assertEqual(other.ask("GET", "/livez").status, 200)
        one_more = Admin(self.server.started["admin"])
        self.addCleanup(one_more.close)
        answer = one_more.ask("GET", "/livez")
        self.assertEqual((answer.status, answer.json()["message"]), (503, "8 connections are open"))
        for other in others + streams:
            other.close()
        wait_for(self.has_no_streams, "streams are gone")


class Random(BadTest):
    server_options = (*ADMIN, "--set", "admin.connections_max=1024", "--set",
                      "admin.request_timeout_ms=500ms")

    def test_random_bytes_harm_nobody(self):
        generator = random.Random(SEED)
        words = [b"GET ", b"POST ", b"/api/v1/topics", b"/livez", b" HTTP/1.1", b"\r\n",
                 b"\r\n\r\n", b"Host: localhost", b"Content-Length: ",
                 b"Transfer-Encoding: chunked", b"%00", b"?", b"X-Requested-By: x",
                 b"Content-Type: application/json", b"{\"name\":", b"18446744073709551615",
                 b"-1", b"\0", b"\xff\xfe", b"Expect: 100-continue", b"0\r\n\r\n"]
        for _ in range(ROUNDS):
            if generator.random() < 0.3:
                data = generator.randbytes(generator.randrange(1, 400))
            else:
                data = b"".join(generator.choice(words) for _ in range(generator.randrange(1, 14)))
            with socket.create_connection((self.admin.host, self.admin.port), timeout=30) as peer:
                with contextlib.suppress(ConnectionError):
                    peer.sendall(data)
        wait_for(lambda: self.metrics().value("disruptorx_admin_connections") <= 2, "all are gone")
        self.assertIsNone(self.server.process.poll())
        self.assertEqual(self.get("/livez"), {"status": "live"})
        self.assertEqual(json.loads(self.admin.ask("GET", "/api/v1/node").body)["state"], "running")


if __name__ == "__main__":
    unittest.main()
