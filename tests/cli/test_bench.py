#!/usr/bin/env python3
"""`dx bench` from outside: its JSON, its sentences, its exit codes. Never its speed.

Some scenarios run in two processes: dx shares rings with children.

Environment: DX is the program, BENCH_RING_PEER the peer program (its tests are left out without).

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

DX = os.environ["DX"]
PEER = os.environ.get("BENCH_RING_PEER")
TINY = ["--events", "300", "--rounds", "2"]
QUARTILES = {"median", "q1", "q3", "spread_percent"}
MACHINE = {"model", "cores", "guest", "kernel", "governor", "compiler", "assertions",
           "others_percent"}
# Run with little: these need no pinned cores and no spinning.
CALM = ["--oversubscribe", "--wait", "adaptive"]


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False,
                          timeout=120)


def wait_until(condition, deadline_s=60):
    """What the condition says once it is true."""
    end = time.monotonic() + deadline_s
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.001)
    return found


def children_of(pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text(encoding="ascii").split()]


def has_ended(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
    except OSError:
        return True
    return state.split()[0] == "Z"


class Ring(unittest.TestCase):
    def ring(self, *arguments):
        done = run(DX, "bench", "ring", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def rows(self, *arguments):
        report = json.loads(self.ring("-o", "json", *arguments))
        self.assertEqual(report["bench"], "ring")
        self.assertGreaterEqual(set(report["machine"]), MACHINE)
        self.assertGreater(report["timer_ns"], 0)
        return report["rows"]

    def refuses(self, expected, *arguments):
        done = run(DX, "bench", "ring", *arguments)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertIn(expected, done.stderr)

    def names(self):
        return [line.split()[0] for line in self.ring("--list").splitlines()]

    def test_every_scenario_is_measured_and_verified(self):
        names = self.names()
        small = [*CALM, *TINY, "--seconds", "0.01", "--pace", "5us", "--batch", "1", "--capacity",
                 "1024"]
        rows = self.rows(*small) + self.rows(*small, "--spans")
        self.assertEqual([row["scenario"] for row in rows], names)
        for row in rows:
            with self.subTest(scenario=row["scenario"]):
                self.assertTrue(row["verified"])
                self.assertEqual(row["rounds"], 2)
                self.check_measured(row)

    def check_measured(self, row):
        if row["kind"] == "throughput":
            self.assertEqual(set(row["events_per_second"]), QUARTILES)
            self.assertGreaterEqual(row["events"], 300)
            self.assertGreater(row["average_batch"]["median"], 0)
        elif row["kind"] == "latency":
            times = row["latency_ns"]
            self.assertGreaterEqual(times["samples"], 600)
            order = [times[key] for key in ("min", "p50", "p90", "p99", "p99.9", "p99.99", "max")]
            self.assertEqual(order, sorted(order))
        else:
            self.assertEqual(row["kind"], "idle")
            self.assertEqual(set(row["cpu_percent"]), QUARTILES)

    def test_lists_are_combined(self):
        rows = self.rows("--scenario", "1p1c,poller", "--batch", "1,10", "--event-bytes", "8,64",
                         "--wait", "yielding,blocking", "--oversubscribe", *TINY)
        found = {(r["scenario"], r["batch"], r["event_bytes"], r["wait"]) for r in rows}
        self.assertEqual(len(rows), 16)
        self.assertEqual(len(found), 16)
        self.assertIn(("poller", 10, 64, "blocking"), found)

    def test_all_wait_strategies(self):
        rows = self.rows("--scenario", "1p1c", "--wait", "all", "--oversubscribe", *TINY)
        self.assertEqual(len({row["wait"] for row in rows}), len(rows))
        self.assertGreaterEqual(len(rows), 10)

    def test_rows_that_need_more_cores_are_named(self):
        rows = self.rows("--scenario", "multicast", "--cpus", "0", *TINY)
        self.assertEqual(rows[0]["not_measured"], "needs 4 cores, has 1")
        self.assertNotIn("verified", rows[0])
        self.assertIn("needs 4 cores, has 1",
                      self.ring("--scenario", "multicast", "--cpus", "0", *TINY))

    def test_events_are_calibrated_to_the_time(self):
        rows = self.rows("--scenario", "1p1c", *CALM, "--seconds", "0.02", "--rounds", "1")
        self.assertGreater(rows[0]["events"], 0)

    def test_the_table_says_the_machine_and_the_method(self):
        text = self.ring("--scenario", "1p1c,pingpong,idle", *CALM, *TINY, "--seconds", "0.01")
        for words in ("machine ", "method ", "rounds", "Throughput", "Latency",
                      "Waiting for nothing",
                      "avg batch", "p99.99"):
            self.assertIn(words, text)

    def test_shared_rows_stand_next_to_private_ones(self):
        rows = self.rows("--shared", "--scenario", "1p1c,2p1c,pingpong,wakeup", "--batch", "1",
                         *CALM, *TINY, "--pace", "5us")
        self.assertEqual([(row["scenario"], row["shared"]) for row in rows],
                         [(name, shared) for name in ("1p1c", "2p1c", "pingpong", "wakeup")
                          for shared in (False, True)])
        for row in rows:
            with self.subTest(scenario=row["scenario"], shared=row["shared"]):
                self.assertTrue(row["verified"])
                self.check_measured(row)
                self.assertEqual("by_one_process" in row, row["shared"])
                if row["shared"]:
                    self.assertEqual(set(row["by_one_process"]), QUARTILES)
                    self.assertIn(row["within_5_percent"], (True, False))

    def test_shared_without_names_compares_what_differs(self):
        rows = self.rows("--shared", "--oversubscribe", "--events", "100", "--rounds", "1")
        self.assertEqual(len(rows) % 2, 0)
        self.assertGreaterEqual({row["scenario"] for row in rows if row["shared"]},
                                {"1p1c", "1p1c-multi", "2p1c", "pingpong", "wakeup", "futex"})
        text = self.ring("--shared", "--scenario", "1p1c", *CALM, *TINY)
        self.assertIn("Compared, round by round", text)
        self.assertIn("1p1c, shared", text)

    def test_guard_counts_the_attached(self):
        rows = self.rows("--scenario", "guard,guard-idle", "--attached", "0,3", *CALM, *TINY,
                         "--seconds", "0.01")
        self.assertEqual([(row["scenario"], row["attached"]) for row in rows],
                         [("guard", 0), ("guard", 3), ("guard-idle", 0), ("guard-idle", 3)])
        self.assertIn("by_the_first", rows[1])

    def test_an_interrupt_leaves_no_process_and_no_file(self):
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
        self.addCleanup(signal.signal, signal.SIGINT, before)
        with subprocess.Popen([DX, "bench", "ring", "--scenario", "guard", "--attached", "2",
                               *CALM, "--seconds", "20"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as bench:
            try:
                children = wait_until(lambda: children_of(bench.pid))
                bench.send_signal(signal.SIGINT)
                self.assertEqual(bench.wait(timeout=60), -signal.SIGINT)
            finally:
                bench.kill()
        for child in children:
            wait_until(lambda pid=child: has_ended(pid))
        left = [name for name in os.listdir("/dev/shm") if f"dxbench-{bench.pid}-" in name]
        self.assertEqual(left, [])

    def test_hgrm_is_written(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "x.hgrm")
            self.ring("--scenario", "pingpong", *CALM, *TINY, "--hgrm", str(path))
            text = path.read_text(encoding="utf-8")
        self.assertIn("Percentile", text)
        self.assertIn("#[Mean", text)

    def test_hgrm_needs_one_latency_row(self):
        self.refuses("exactly one latency row", "--scenario", "1p1c", "--hgrm", "x", *TINY)

    def test_a_file_that_cannot_be_written_is_a_failure(self):
        done = run(DX, "bench", "ring", "--scenario", "pingpong", *CALM, *TINY, "--hgrm",
                   "/nowhere/x.hgrm")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/x.hgrm cannot be written", done.stderr)

    def test_bad_options_are_refused_with_the_rule(self):
        cases = [
            ('did you mean "pingpong"?', ["--scenario", "pingpnog"]),
            ("--list names them all", ["--scenario", "xyzzy"]),
            ("must be a list with commas", ["--scenario", "1p1c,,poller"]),
            ("from 8 to", ["--event-bytes", "0"]),
            ("must be a multiple of 8", ["--event-bytes", "12"]),
            ("from 1 to the capacity, 1024", ["--capacity", "1024", "--batch", "2048"]),
            ("must be a whole number from 1", ["--batch", "0"]),
            ("must be adaptive, busy-spin", ["--wait", "spinning"]),
            ("must be a power of two", ["--capacity", "1000"]),
            ("has 1 only", ["--scenario", "pingpong", "--batch", "10"]),
            ("must be paced", ["--scenario", "one-way", "--pace", "0"]),
            ("must be a number from 0.001", ["--seconds", "soon"]),
            ("--cpus", ["--cpus", "first"]),
            ("--rounds", ["--rounds", "0"]),
            ("does not run between processes", ["--shared", "--scenario", "diamond"]),
            ("from 0 to 60", ["--scenario", "guard", "--attached", "61"]),
        ]
        for expected, arguments in cases:
            with self.subTest(arguments=arguments):
                self.refuses(expected, *arguments)


class Counter(unittest.TestCase):
    def test_every_kind_is_counted(self):
        done = run(DX, "bench", "counter", "--increments", "1000", "--rounds", "2", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertGreaterEqual(set(report["machine"]), MACHINE)
        kinds = [(row["increment"], row["threads"]) for row in report["rows"]]
        self.assertEqual(len(kinds), len(set(kinds)))
        self.assertEqual(kinds[0], ("plain", 1))
        self.assertIn(("lock", 2), kinds)
        for row in report["rows"]:
            if "not_measured" not in row:
                self.assertEqual(set(row["ns_per_increment"]), QUARTILES)
                self.assertGreater(row["increments"], 0)

    def test_one_core_leaves_two_threads_out(self):
        done = run(DX, "bench", "counter", "--increments", "1000", "--cpus", "0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("needs 2 cores, has 1", done.stdout)


class Bench(unittest.TestCase):
    def test_help_teaches(self):
        for name in ("ring", "counter"):
            done = run(DX, "help", "bench", name)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("Not measured", done.stdout)

    def test_the_benchmarks_are_listed(self):
        done = run(DX, "bench", "--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("counter", done.stdout)

    def test_an_unknown_benchmark_names_the_nearest(self):
        done = run(DX, "bench", "rnig")
        self.assertEqual(done.returncode, 2)
        self.assertIn("dx bench ring", done.stderr)

    def test_no_benchmark_is_a_usage_error(self):
        self.assertEqual(run(DX, "bench").returncode, 2)


@unittest.skipUnless(PEER, "BENCH_RING_PEER is not set")
class Peer(unittest.TestCase):
    SCENARIOS = ["1p1c", "pingpong", "2p1c", "3p1c", "multicast", "pipeline3", "diamond",
                 "pipeline3-latency", "oversubscribed", "wakeup"]

    def test_every_scenario_prints_one_line_of_json(self):
        for scenario in self.SCENARIOS:
            with self.subTest(scenario=scenario):
                done = run(PEER, "--scenario", scenario, "--events", "200", "--warmup", "10",
                           "--wait", "blocking", "--capacity", "1024", "--producers", "2")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stdout.count("\n"), 1)
                line = json.loads(done.stdout)
                self.assertEqual(line["peer"], "disruptorx")
                self.assertEqual(line["scenario"], scenario)
                self.assertTrue(line["checksum_ok"])
                self.assertGreaterEqual(line["events"], 200)
                self.assertIn("p999_ns" if scenario in ("pingpong", "wakeup", "pipeline3-latency")
                              else "average_batch", line)

    def test_shared_runs_between_processes(self):
        for scenario in ("1p1c", "pingpong", "wakeup"):
            done = run(PEER, "--scenario", scenario, "--shared", "--events", "200", "--warmup",
                       "10", "--wait", "blocking", "--capacity", "1024")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(json.loads(done.stdout)["checksum_ok"])
        self.assertEqual(run(PEER, "--scenario", "diamond", "--shared").returncode, 3)

    def test_batches_and_variants(self):
        for variant in ("batch", "event"):
            done = run(PEER, "--events", "1000", "--batch", "10", "--variant", variant, "--wait",
                       "yielding")
            line = json.loads(done.stdout)
            self.assertEqual((line["variant"], line["batch"]), (variant, 10))

    def test_what_is_not_ours_is_unsupported(self):
        for arguments in (["--scenario", "idle"], ["--scenario", "nothing"],
                          ["--wait", "busy-spin-hint"], ["--variant", "raw-one-line"]):
            done = run(PEER, *arguments)
            self.assertEqual(done.returncode, 3)
            self.assertEqual(json.loads(done.stdout), {"unsupported": True})

    def test_a_bad_option_is_a_usage_error(self):
        done = run(PEER, "--event-bytes", "12")
        self.assertEqual(done.returncode, 2)
        self.assertIn("multiple of 8", done.stderr)


if __name__ == "__main__":
    unittest.main()
