"""The tables of tools/mutation.py: steps of protocols to take out, known bugs to put back, and the
orders that can't matter.

SPDX-License-Identifier: Apache-2.0
"""
import collections

# Every acquire, release and fence in these files is weakened.
ORDER_FILES = [
    "include/disruptorx/producer.h",
    "include/disruptorx/consumer.h",
    "src/ring/park.c",
    "src/ring/sequences.c",
    "src/ring/mark.c",
    "src/ring/producer.c",
    "src/ring/consumer.c",
    "src/ring/wait.c",
    "src/ring/worker.c",
    "src/ring/ring.c",
]

# Functions in them that run while nobody else does, or only show numbers to eyes.
NOT_CONCURRENT = set()

# {"file: function(): call(argument)": why no program can tell the difference}
EQUAL = {}

Step = collections.namedtuple("Step", "file what old new tests why", defaults=[None])

STEPS = []
