#!/usr/bin/env python3
"""Makes order messages in the LOBSTER form: `time,type,order id,size,price,direction`.

The sample of `dx demo orders`, examples/data/orders.csv, is what this writes without options:

    tools/make_orders.py > examples/data/orders.csv

A made-up share trades near 100 dollars for a few minutes after the open. Most messages submit an
order; some cancel, delete or execute an earlier one, as in a real message file, and a few break a
rule, so that every reason to refuse an order occurs. Equal options give equal bytes, with any
version of Python 3: of the random module only random() is used, whose sequence for a seed is fixed.

Options: --lines N (5000), --seed N (1).

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import random
import sys

OPEN_NS = 34_200_000_000_000        # 09:30 in nanoseconds after midnight
FIRST_ID = 10_000_001
PRICE_TICK = 100                    # one cent, in dollars x 10,000
SIZES = [(0.55, 100), (0.70, 200), (0.78, 300), (0.83, 500), (0.86, 1000), (0.87, 2500)]
TYPES = [(0.030, 2), (0.075, 3), (0.090, 4)]  # cancel a part, delete, execute
FAULTS = 0.012                      # of the submissions break a rule


class Market:
    def __init__(self, seed):
        self.random = random.Random(seed).random
        self.time_ns = OPEN_NS
        self.next_id = FIRST_ID
        self.middle = 1_000_000     # 100 dollars
        self.sent = []              # (id, size, price, direction) of earlier submissions

    def below(self, limit):
        """A whole number from 0 to limit - 1."""
        return int(self.random() * limit)

    def size(self):
        draw = self.random()
        for bound, size in SIZES:
            if draw < bound:
                return size
        return 1 + self.below(400)  # an odd lot

    def step(self):
        """Lets time pass: bursts a few microseconds apart, with pauses between them."""
        gap = 2_000 + self.below(60_000)
        if self.random() < 0.15:
            gap += self.below(200_000_000)
        self.time_ns += gap
        self.middle += (self.below(5) - 2) * PRICE_TICK

    def submission(self):
        direction = 1 if self.random() < 0.52 else -1
        distance = (1 + self.below(20)) * PRICE_TICK
        order = (self.next_id, self.size(), self.middle - direction * distance, direction)
        self.next_id += 1 + self.below(9)
        self.sent.append(order)
        return (1, *order)

    def broken(self):
        """A submission that validation refuses."""
        kind, order_id, size, price, direction = self.submission()
        fault = self.below(6)
        if fault == 0:
            order_id = self.sent[self.below(len(self.sent) - 1)][0]
        elif fault == 1:
            size = 0
        elif fault == 2:
            price = -1
        elif fault == 3:
            direction = 0
        elif fault == 4:
            size = 999_999
        else:
            order_id = 0
        return kind, order_id, size, price, direction

    def message(self):
        self.step()
        draw = self.random()
        if len(self.sent) > 1:
            for bound, kind in TYPES:
                if draw < bound:
                    order_id, size, price, direction = self.sent[self.below(len(self.sent))]
                    return kind, order_id, size, price, direction
            if self.random() < FAULTS:
                return self.broken()
        return self.submission()

    def line(self):
        kind, order_id, size, price, direction = self.message()
        seconds, ns = divmod(self.time_ns, 1_000_000_000)
        return f"{seconds}.{ns:09d},{kind},{order_id},{size},{price},{direction}\n"


def main():
    parser = argparse.ArgumentParser(description="Make order messages in the LOBSTER form.")
    parser.add_argument("--lines", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.lines < 1:
        parser.error(f"--lines is {arguments.lines}, must be at least 1")
    market = Market(arguments.seed)
    sys.stdout.write("".join(market.line() for _ in range(arguments.lines)))


if __name__ == "__main__":
    main()
