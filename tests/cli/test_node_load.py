#!/usr/bin/env python3
"""What a connection and a topic cost a node in memory, and that they give their descriptors back:
generous bounds, about four times what is measured by node_load.py. No times.

SPDX-License-Identifier: Apache-2.0
"""
import unittest

from node_load import measure

CONNECTIONS = 200
TOPICS = 2000
BYTES_PER_CONNECTION_MAX = 72 << 10
BYTES_PER_TOPIC_MAX = 16 << 10
IDLE_KIB_MAX = 64 << 10


class Load(unittest.TestCase):
    def test_connections_and_topics_cost_little_and_descriptors_come_back(self):
        result = measure(CONNECTIONS, TOPICS, 0)
        self.assertLess(result["idle_kib"], IDLE_KIB_MAX)
        self.assertLess(result["bytes_per_connection"], BYTES_PER_CONNECTION_MAX)
        self.assertLess(result["bytes_per_topic"], BYTES_PER_TOPIC_MAX)
        self.assertEqual(result["descriptors_left"], 0)
        self.assertEqual(result["lost"], 0)


if __name__ == "__main__":
    unittest.main()
