#!/usr/bin/env python3
"""The node that is made up answers as docs/openapi.json says, so what the page does with it holds
for a real one. Needs no browser.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from admin_client import Admin, Stream, check, check_answer  # noqa: E402
from fake_node import HOSTILE, FakeNode, fill  # noqa: E402


class Fake(unittest.TestCase):
    def setUp(self):
        self.fake = FakeNode()
        self.addCleanup(self.fake.down)
        fill(self.fake, 8)
        self.fake.add_topic(HOSTILE[0], 5.0)
        self.fake.say("warn", HOSTILE[1])
        self.admin = Admin(self.fake.address())
        self.addCleanup(self.admin.close)

    def get(self, path, status=200):
        answer = self.admin.ask("GET", path)
        self.assertEqual(answer.status, status, path)
        check_answer("GET", path, answer)
        return answer.json()

    def test_its_answers_are_those_of_the_api(self):
        for name in ("node", "topics", "subscriptions", "connections", "rings", "config",
                     "config/pending", "log?level=info&limit=10", "errors", "connections/1",
                     "topics/orders.new.000"):
            self.get(f"/api/v1/{name}")
        self.assertEqual(len(self.get("/api/v1/topics?limit=2&offset=8")["topics"]), 1)
        self.assertEqual(self.get("/api/v1/topics?name=orders&sort=rate_1m")["matched"], 2)
        self.get("/readyz")
        self.fake.ready = False
        self.fake.reasons = [{"name": "draining", "message": "the node stops"}]
        self.get("/readyz", 503)

    def test_so_are_its_refusals(self):
        self.get("/api/v1/topics/nothing", 404)
        self.get("/api/v1/topics?pattern=%3E.x", 400)
        self.fake.forbids = "no"
        self.get("/api/v1/node", 403)
        self.fake.token = "x"
        self.get("/api/v1/node", 401)

    def test_so_are_its_events(self):
        stream = Stream(self.admin)
        self.addCleanup(stream.close)
        name, _, numbers = stream.next()
        self.assertEqual(name, "numbers")
        check(numbers, {"$ref": "#/components/schemas/Numbers"})
        self.fake.say("error", "something")
        name, number, line = stream.next()
        self.assertEqual((name, number), ("happening", line["sequence"]))
        check(line, {"$ref": "#/components/schemas/Happening"})


if __name__ == "__main__":
    unittest.main()
