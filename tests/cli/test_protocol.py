#!/usr/bin/env python3
"""The frames of the test vectors that a client sends, against a node: who writes a client begins
with them, so a node has to take them.

SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import unittest

from node_program import NodeTest
from wire_peer import TYPES, connect, greet, next_frame

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors/frames.json"
NAMES = {number: name for name, number in TYPES.items()}


class Vectors(NodeTest):
    def test_what_a_client_asks_is_answered(self):
        frames = {vector["name"]: bytes.fromhex(vector["hex"])
                  for vector in json.loads(VECTORS.read_text())}
        peer = greet(connect(self.server.address()))
        self.addCleanup(peer.close)
        for name, answer in (("ping-echo", "PONG"), ("subscribe", "ACK"), ("unsubscribe", "ACK"),
                             ("topic-create", "ACK"), ("topic-change", "ACK"),
                             ("topic-list", "TOPIC_INFO"), ("topic-stats", "TOPIC_INFO"),
                             ("ask", "ANSWER"), ("topic-delete", "ACK")):
            peer.sendall(frames[name])
            came = next_frame(peer)
            while NAMES[came[0]] == "CREDIT":
                came = next_frame(peer)
            self.assertEqual(NAMES[came[0]], answer, f"{name}: {came[2]}")


if __name__ == "__main__":
    unittest.main()
