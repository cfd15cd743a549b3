#!/usr/bin/env python3
"""`dx demo orders --ring` from outside: its totals against a computation in Python, in every
setting; its input, good and bad; interrupts; the sample.

SPDX-License-Identifier: Apache-2.0
"""
import gzip
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from dx_program import DX, FAILED, OK, REAL, ROOT, SAMPLE, USAGE, DxTest, clean_environment

STRATEGIES = ["adaptive", "busy-spin", "yielding", "sleeping", "blocking", "lite-blocking",
              "timeout-blocking", "lite-timeout-blocking", "phased-backoff", "monitor"]
LATENCIES = ["validate", "inventory", "payment", "fulfil", "end_to_end", "send"]
GOOD = b"34200.5,1,7,100,1000000,1\n"
WORD = (1 << 64) - 1


class Reference:
    """The rules of src/cli/orders.h, written a second time."""
    STOCK, CREDIT, WINDOW = 20_000, 250_000 * 10_000, 65_536
    CODES = ["none", "not_submission", "bad_id", "bad_size", "bad_price", "bad_direction",
             "over_limit", "duplicate_id", "out_of_stock", "no_funds",
             "out_of_stock_and_no_funds"]

    def __init__(self):
        self.seen, self.order = set(), []
        self.shares, self.credit = self.STOCK, [self.CREDIT] * 64
        self.counts = dict.fromkeys(self.CODES, 0)
        self.value, self.checksum = 0, 0

    def validate(self, kind, order_id, size, price, direction):
        rules = [(kind == 1, "not_submission"), (order_id >= 1, "bad_id"),
                 (1 <= size <= 1_000_000, "bad_size"), (1 <= price <= 10**10, "bad_price"),
                 (direction in (1, -1), "bad_direction"), (size * price <= 10**11, "over_limit"),
                 (order_id not in self.seen, "duplicate_id")]
        for holds, refusal in rules:
            if not holds:
                return refusal
        self.seen.add(order_id)
        self.order.append(order_id)
        if len(self.order) > self.WINDOW:
            self.seen.remove(self.order.pop(0))
        return "none"

    def inventory(self, size, direction):
        if direction < 0:
            self.shares = min(self.shares + size, self.STOCK)
            return False
        if size > self.shares:
            return True
        self.shares -= size
        return False

    def payment(self, account, value, direction):
        if direction < 0:
            self.credit[account] = min(self.credit[account] + value, self.CREDIT)
            return False
        if value > self.credit[account]:
            return True
        self.credit[account] -= value
        return False

    def mix(self, word):
        self.checksum = ((self.checksum ^ (word & WORD)) * 0x100000001B3) & WORD
        self.checksum ^= self.checksum >> 32

    def take(self, kind, order_id, size, price, direction):
        refusal = self.validate(kind, order_id, size, price, direction)
        if refusal == "none":
            stock = self.inventory(size, direction)
            funds = self.payment(order_id % 64, size * price, direction)
            refusal = {(False, False): "none", (True, False): "out_of_stock",
                       (False, True): "no_funds",
                       (True, True): "out_of_stock_and_no_funds"}[stock, funds]
        self.counts[refusal] += 1
        if refusal == "none":
            self.value += size * price
        self.mix(order_id)
        self.mix((size & WORD) ^ ((price & WORD) << 20))
        self.mix(self.CODES.index(refusal) ^ ((direction & 0xFFFFFFFF) << 8))

    def totals(self, text, repeat=1):
        rows = [[int(field) for field in line.split(",")[1:]] for line in text.splitlines()]
        stride = max(row[1] for row in rows) + 1
        for turn in range(repeat):
            for kind, order_id, size, price, direction in rows:
                number = order_id + turn * stride if order_id > 0 else order_id
                self.take(kind, number, size, price, direction)
        accepted = self.counts.pop("none")
        events = accepted + sum(self.counts.values())
        return {"events": events, "accepted": accepted, "rejected": events - accepted,
                "rejected_by_reason": self.counts, "notional_dollars": self.value // 10_000,
                "checksum": f"{self.checksum:016x}"}


def totals_of(result):
    return {key: result[key] for key in ("events", "accepted", "rejected", "rejected_by_reason",
                                         "notional_dollars", "checksum")}


class Totals(DxTest):
    def orders(self, *arguments, **options):
        return self.json("demo", "orders", "--ring", *arguments, **options)

    def test_the_sample_comes_to_what_the_rules_say(self):
        expected = Reference().totals(SAMPLE.read_text(encoding="utf-8"))
        self.assertEqual(expected["events"], 5000)
        for refusal, count in expected["rejected_by_reason"].items():
            self.assertGreater(count, 0, refusal)  # the sample has an order of every kind
        self.assertEqual(totals_of(self.orders("--repeat", 1)), expected)

    def test_real_orders_come_to_what_the_rules_say(self):
        if not REAL.exists():
            self.skipTest("no ../shared/data/aapl-orders.csv.gz")
        text = gzip.decompress(REAL.read_bytes())
        expected = Reference().totals(text.decode())
        self.assertEqual(expected["events"], 10_895)
        result = self.orders("--orders", "-", "--check", stdin=text)
        self.assertEqual(totals_of(result), expected)
        self.assertEqual((result["check"], result["bad_lines"]), ("same", 0))

    def test_repeating_gives_other_ids(self):
        expected = Reference().totals(SAMPLE.read_text(encoding="utf-8"), repeat=3)
        self.assertEqual(totals_of(self.orders("--repeat", 3, "--check")), expected)

    def test_ids_are_forgotten_behind_the_window(self):
        window = Reference.WINDOW
        for distance, duplicates in ((window, 1), (window + 1, 0)):
            ids = [*range(1, distance + 1), 1]
            text = "".join(f"0,1,{i},1,1,-1\n" for i in ids)
            result = self.orders("--orders", "-", "--capacity", 8192, stdin=text.encode())
            self.assertEqual(result["rejected_by_reason"]["duplicate_id"], duplicates, distance)

    def test_totals_are_the_same_with_every_strategy(self):
        head = b"".join(SAMPLE.read_bytes().splitlines(keepends=True)[:300])
        expected = Reference().totals(head.decode())
        for strategy in STRATEGIES:
            result = self.orders("--orders", "-", "--wait", strategy, "--check", stdin=head)
            self.assertEqual(totals_of(result), expected, strategy)
            self.assertEqual((result["wait"], result["check"]), (strategy, "same"))

    def test_totals_are_the_same_with_every_capacity_and_batch(self):
        head = b"".join(SAMPLE.read_bytes().splitlines(keepends=True)[:600])
        expected = Reference().totals(head.decode())
        for capacity, batch in ((2, 1), (2, 2), (8, 3), (64, 64), (1024, 1000), ("1Ki", 1),
                                ("1Mi", 1)):
            result = self.orders("--orders", "-", "--capacity", capacity, "--batch", batch,
                                 stdin=head)
            self.assertEqual(totals_of(result), expected, (capacity, batch))

    def test_many_sleepers_on_a_tiny_ring_are_all_woken(self):
        self.assertEqual(self.orders("--repeat", 2, "--capacity", 2, "--check",
                                     "--wait", "blocking")["check"], "same")

    def test_pinned_threads_and_a_rate_change_no_total(self):
        head = b"".join(SAMPLE.read_bytes().splitlines(keepends=True)[:200])
        expected = Reference().totals(head.decode())
        cpu = min(os.sched_getaffinity(0))
        result = self.orders("--orders", "-", "--rate", "10k", "--cpus", cpu, "--batch", 7,
                             stdin=head)
        self.assertEqual(totals_of(result), expected)
        self.assertEqual(result["rate"], 10_000)
        # The last order is due 19.9 ms after the first, and no order leaves before it is due.
        self.assertGreaterEqual(result["elapsed_ns"], 19_900_000)
        self.assertEqual(result["latency_ns"]["send"]["count"], 200)
        self.assertGreaterEqual(result["latency_ns"]["send"]["min"], 0)


class Shape(DxTest):
    def test_the_json_has_its_keys(self):
        result = self.json("demo", "orders", "--ring", "--repeat", 1, "--check")
        self.assertEqual(list(result), [
            "demo", "source", "lines", "bad_lines", "repeat", "capacity", "batch", "rate", "wait",
            "interrupted", "events", "accepted", "rejected", "rejected_by_reason",
            "notional_dollars", "checksum", "check", "elapsed_ns", "events_per_s", "latency_ns",
            "stages", "publisher"])
        self.assertEqual((result["demo"], result["lines"], result["interrupted"]),
                         ("orders", 5000, False))
        self.assertEqual(list(result["latency_ns"]), LATENCIES)
        for name, latency in result["latency_ns"].items():
            self.assertEqual(list(latency),
                             ["count", "min", "mean", "p50", "p90", "p99", "p999", "max"])
            self.assertEqual(latency["count"], 0 if name == "send" else 5000, name)
            rising = [latency[key] for key in ("min", "p50", "p90", "p99", "p999", "max")]
            self.assertEqual(rising, sorted(rising), name)
        self.assertEqual([stage["name"] for stage in result["stages"]], LATENCIES[:4])
        for stage in result["stages"]:
            self.assertEqual((stage["events"], stage["lag"], stage["errors"]), (5000, 0, 0))
            self.assertLessEqual(stage["batch_average"], stage["batch_max"])
            self.assertLessEqual(stage["batch_max"], 1024)
        self.assertEqual(list(result["publisher"]), ["claim_waits", "claim_wait_ns", "wakes"])

    def test_the_table_says_the_same(self):
        text = self.ok("demo", "orders", "--ring", "--repeat", 1, "--check")
        for part in ("Events                5,000", "Accepted              4,267",
                     "Rejected                733", "by validate           521",
                     "460 not a submission", "by inventory           63   out of stock",
                     "by payment            130   no funds", "end to end",
                     "same as the sequential computation"):
            self.assertIn(part, text)

    def test_progress_is_shown_only_when_asked_for(self):
        lines = self.dx("demo", "orders", "--ring", "--rate", 1000, "--repeat", 1, "--progress",
                        "--orders", "-", stdin=b"".join(b"0,1,%d,1,1,-1\n" % i
                                                        for i in range(1, 400))).stderr
        self.assertRegex(lines, r"\d+ of 399 fulfilled, [\d.]+ %, [\d,]+ events/s, \d+ in the ring")
        # ok() checks that standard error is empty
        self.ok("demo", "orders", "--ring", "--repeat", 1)


class Input(DxTest):
    def fails(self, sentence, *arguments, **options):
        return self.refuses(FAILED, sentence, "demo", "orders", "--ring", *arguments, **options)

    def feed(self, text, *arguments):
        return self.json("demo", "orders", "--ring", "--orders", "-", *arguments, stdin=text)

    def test_line_ends_do_not_matter(self):
        lines = SAMPLE.read_bytes().splitlines()[:50]
        expected = Reference().totals(b"\n".join(lines).decode())
        for text in (b"\n".join(lines), b"\n".join(lines) + b"\n", b"\r\n".join(lines),
                     b"\r\n".join(lines) + b"\r\n", b"\xef\xbb\xbf" + b"\n".join(lines)):
            result = self.feed(text)
            self.assertEqual((totals_of(result), result["lines"], result["bad_lines"]),
                             (expected, 50, 0))

    def test_bad_lines_are_reported_counted_and_passed_over(self):
        bad = [b"34200.5,1,7,100,1000000", b"x,1,7,100,1000000,1", b"34200.5,8,7,100,1000000,1",
               b"34200.5,1,seven,100,1000000,1", b"", b"34200.5,1,7,1e3,1000000,1",
               b"34200.5,1,7,100,10.5,1", b"34200.5,1,7,100,1000000,2", b"1,1,1,1,1,1,1",
               b"\x1b[31mred,1,7,100,1,1", b"34200.5,1,7,100,1000000,1 ", b"a" * 300]
        done = self.dx("demo", "orders", "--ring", "--orders", "-", "-o", "json",
                       stdin=b"\n".join([GOOD.strip(), *bad]) + b"\n")
        self.assertEqual(done.returncode, OK)
        result = json.loads(done.stdout)
        self.assertEqual((result["lines"], result["bad_lines"], result["events"]), (13, 12, 1))
        for part in ("standard input:2: 5 fields, must be 6", ':3: time is "x"',
                     ':4: type is "8", must be from 1', ':5: order id is "seven", must be a whole',
                     ":6: the line is empty", ':7: size is "1e3"', ':8: price is "10.5"',
                     ':9: direction is "2"', ":10: more than 6 fields", ':11: time is "?[31mred"',
                     "standard input: 2 more bad lines"):
            self.assertIn(part, done.stderr)
        self.assertNotIn("standard input:12:", done.stderr)

    def test_strict_fails_at_the_first_bad_line(self):
        self.fails("standard input:2: the line is empty", "--orders", "-", "--strict",
                   stdin=GOOD + b"\n" + GOOD)
        self.ok("demo", "orders", "--ring", "--orders", "-", "--strict", stdin=GOOD)

    def test_what_is_no_list_of_orders_is_refused_in_one_sentence(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "orders.csv"
            self.fails("cannot be opened: No such file or directory (DX_ENOTFOUND)", "--orders",
                       file)
            self.fails("is a folder, must be a CSV file", "--orders", folder)
            file.write_bytes(b"")
            self.fails("is empty", "--orders", file)
            file.write_bytes(gzip.compress(GOOD))
            self.fails("is compressed with gzip; unpack it on the way: zcat FILE | dx demo orders "
                       "--orders -", "--orders", file)
            file.write_bytes(b"\x28\xb5\x2f\xfd....")
            self.fails("is compressed with zstd", "--orders", file)
            file.write_bytes(GOOD + b"PNG\0\0\0")
            self.fails("is binary (a NUL byte in line 2)", "--orders", file)
            file.write_bytes(GOOD + b"a" * (1 << 20) + b"\n")
            self.assertEqual(self.dx("demo", "orders", "--ring", "--orders", file).returncode, OK)
            file.write_bytes(GOOD + b"a" * ((1 << 20) + 1) + b"\n")
            self.fails("has more than 1048576 bytes: this is no CSV text", "--orders", file)
            file.write_bytes(b"id,price\n1,2\n")
            self.fails("has no good line; line 1: 2 fields", "--orders", file)
        self.fails("is binary", "--orders", "/dev/zero")
        self.fails("standard input is empty", "--orders", "-")

    @unittest.skipIf(os.geteuid() == 0, "root may read every file")
    def test_a_file_that_may_not_be_read_is_refused(self):
        with tempfile.NamedTemporaryFile() as file:
            os.chmod(file.name, 0)
            self.fails("Permission denied (DX_EPERM)", "--orders", file.name)

    def test_numbers_outside_their_limits_are_refused(self):
        refused = [
            ("--capacity", 1000, "must be a power of two from 2 to 1,048,576"),
            ("--capacity", 1, "must be a power of two from 2 to 1,048,576"),
            ("--capacity", 2 << 20, "must be a power of two from 2 to 1,048,576"),
            ("--repeat", 0, "must be a whole number from 1 to 1,000,000"),
            ("--repeat", 1_000_001, "must be a whole number from 1 to 1,000,000"),
            ("--rate", -1, "must be a whole number from 0 to 1,000,000,000"),
            ("--rate", "1.1G", "must be a whole number from 0 to 1,000,000,000"),
            ("--batch", 0, "must be a whole number from 1 to 1,048,576"),
            ("--batch", 1025, "--batch is 1025, must be at most the capacity, 1024"),
            ("--wait", "busyspin", "must be adaptive, busy-spin"),
            ("--cpus", "a", 'CPU list is "a"'),
            ("--cpus", "", "the list is empty"),
            ("--orders", "", "--orders is empty, must be a FILE"),
        ]
        for option, value, sentence in refused:
            self.refuses(USAGE, sentence, "demo", "orders", "--ring", option, value)
        self.refuses(USAGE, "--rate needs a value: --rate N", "demo", "orders", "--ring", "--rate")
        self.refuses(USAGE, "--check takes no value", "demo", "orders", "--ring", "--check=yes")
        self.refuses(USAGE, "--repeat is 1000000, must be at most 999990 for 100001 orders",
                     "demo", "orders", "--ring", "--repeat", "1M", "--orders", "-",
                     stdin=GOOD * 100_001)

    def test_a_cpu_that_does_not_exist_is_refused(self):
        self.fails("1023", "--cpus", "1023", "--repeat", 1)


class Interrupts(DxTest):
    def start(self, *arguments, **options):
        return subprocess.Popen([DX, "demo", "orders", "--ring", *arguments],
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=clean_environment(), **options)

    def test_an_interrupted_run_reports_what_it_did(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            child = self.start("--rate", "1000", "--repeat", "1000", "--progress", "--check",
                               "-o", "json")
            child.stderr.readline()  # it runs
            child.send_signal(number)
            output, _ = child.communicate()
            result = json.loads(output)
            self.assertEqual((child.returncode, result["interrupted"], result["check"]),
                             (OK, True, "same"))
            self.assertGreater(result["events"], 0)
            self.assertLess(result["events"], 5_000_000)
            for stage in result["stages"]:
                self.assertEqual((stage["events"], stage["lag"]), (result["events"], 0))

    def test_an_interrupt_while_reading_ends_it(self):
        child = self.start("--orders", "-", stdin=subprocess.PIPE)
        while not self.catches(child.pid, signal.SIGINT):
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        output, error = child.stdout.read(), child.stderr.read()
        child.communicate()
        self.assertEqual((child.returncode, output), (FAILED, b""))
        self.assertIn(b"interrupted while reading standard input", error)

    @staticmethod
    def catches(process, number):
        status = pathlib.Path(f"/proc/{process}/status").read_text(encoding="ascii")
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        return caught >> (number - 1) & 1 == 1


class Sample(DxTest):
    def test_it_is_what_the_generator_makes(self):
        made = subprocess.run([sys.executable, ROOT / "tools/make_orders.py"], check=True,
                              capture_output=True).stdout
        self.assertTrue(made == SAMPLE.read_bytes(), "run tools/make_orders.py again, see its head")

    def test_the_generator_depends_on_its_seed(self):
        def make(*arguments):
            return subprocess.run([sys.executable, ROOT / "tools/make_orders.py", *arguments],
                                  check=True, capture_output=True).stdout
        short = make("--lines", "10")
        self.assertTrue(SAMPLE.read_bytes().startswith(short))
        self.assertNotEqual(short, make("--lines", "10", "--seed", "2"))

    def test_it_is_found_beside_an_installed_program_and_missed_where_it_is_not(self):
        with tempfile.TemporaryDirectory() as prefix:
            folder = pathlib.Path(prefix) / "deep/down/usr"
            (folder / "bin").mkdir(parents=True)
            program = folder / "bin/dx"
            shutil.copy(DX, program)
            self.refuses(FAILED, "the sample share/disruptorx/orders.csv is not in the folder of",
                         "demo", "orders", "--ring", program=program)
            (folder / "share/disruptorx").mkdir(parents=True)
            sample = folder / "share/disruptorx/orders.csv"
            sample.write_bytes(GOOD * 3)
            result = json.loads(self.ok("demo", "orders", "--ring", "-o", "json", program=program))
            self.assertEqual((result["source"], result["lines"], result["repeat"]),
                             (str(sample.resolve()), 3, 200))


if __name__ == "__main__":
    unittest.main()
