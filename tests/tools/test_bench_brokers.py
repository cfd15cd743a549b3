#!/usr/bin/env python3
"""The tables, the decisions and the handling of brokers of bench_brokers.py, with stand-ins: no
broker of anybody is run.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
import types
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "bench/peers")]

import bench_brokers  # noqa: E402 (found through the lines above)
import bench_peers  # noqa: E402
import broker_entrants as table  # noqa: E402
import figures  # noqa: E402

# A broker for tests: listens at the address it is given, and does as its third argument says.
STAND_IN = """\
import socket, sys, time
kind, _, place = sys.argv[1].partition("://")
if sys.argv[2] == "refuse":
    sys.exit("listen: the port is taken")
if kind == "unix":
    server = socket.socket(socket.AF_UNIX)
    server.bind(place)
    server.listen()
else:
    server = socket.create_server((place.split(":")[0], int(place.split(":")[1])))
while True:
    server.accept()[0].close()
"""
GOOD = {"events": 1000, "received": 1000, "events_per_second": 1e6, "delivery_ns": 1000.0,
        "publisher_cpu_ns": 50.0, "subscriber_cpu_ns": 60.0, "lost": 0, "checksum_ok": True}


def rate_row(label, family, rates, **fields):
    runs = [dict(GOOD, events_per_second=rate, delivery_ns=1e9 / rate, broker_cpu_ns=70.0,
                 broker_rss_bytes=9_000_000, **fields) for rate in rates]
    return {"label": label, "family": family, "runs": runs, "dropped": 0, "note": ""}


def time_row(label, family, times):
    runs = [{"p50_ns": t, "p90_ns": 2 * t, "p99_ns": 3 * t, "p999_ns": 4 * t, "max_ns": 5 * t,
             "late_p99_ns": 7000, "lost": 1, "broker_rss_bytes": 9_000_000} for t in times]
    return {"label": label, "family": family, "runs": runs, "dropped": 2, "note": ""}


def cells_of(text, label):
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


class Tables(unittest.TestCase):
    def section(self, rows, kind, metric):
        return figures.scenario_section({"key": "k", "title": "T", "metric": metric, "kind": kind,
                                         "note": None, "rows": rows})

    def test_a_rate_stands_with_its_costs_its_losses_and_the_memory_of_the_broker(self):
        text = self.section([rate_row("us", "ours", [2e6]),
                             rate_row("nats", "nats", [0.8e6, 1e6, 1.2e6])], "broker-rate", "rate")
        self.assertEqual(cells_of(text, "nats"),
                         ["nats", "1,000,000", "900,000", "1,100,000", "20 %", "2.00", "1,000",
                          "70", "50", "60", "0", "9", "3/0", ""])

    def test_losses_of_all_runs_are_added(self):
        lossy = rate_row("zmq", "zeromq", [1e6, 1e6])
        lossy["runs"][0]["lost"], lossy["runs"][1]["lost"] = 700, 1300
        self.assertEqual(cells_of(self.section([lossy], "broker-rate", "rate"), "zmq")[10], "2,000")

    def test_a_time_stands_in_microseconds_with_both_ratios(self):
        text = self.section([time_row("us", "ours", [10_000]), time_row("nats", "nats", [40_000])],
                            "broker-latency", "p50_ns")
        self.assertEqual(cells_of(text, "nats"),
                         ["nats", "40.0", "40.0", "40.0", "80.0", "120.0", "160.0", "200.0", "0.25",
                          "0.25", "7.0", "1", "9", "1/2", ""])

    def test_a_row_without_runs_is_as_long_as_the_others(self):
        for kind, metric in (("broker-rate", "rate"), ("broker-latency", "p50_ns")):
            with self.subTest(kind=kind):
                empty = {"label": "us", "family": "ours", "runs": [], "dropped": 0,
                         "note": "missing"}
                text = self.section([empty], kind, metric)
                header = text.splitlines()[2]
                self.assertEqual(text.splitlines()[-1].count("|"), header.count("|"))
                self.assertEqual(cells_of(text, "us")[-1], "missing")


class Targets(unittest.TestCase):
    def result(self, key, rows):
        return {"key": key, "note": None, "rows": rows}

    def judge(self, results, target):
        return next(iter(bench_peers.judge(results, [target])))

    def test_a_bound_is_met_at_the_number_and_missed_below(self):
        target = table.Target("throughput-16", "rate", (), 1.0, "a promise", bound=2_000_000)
        for rate, status in ((2e6, "met"), (1.9e6, "missed")):
            with self.subTest(rate=rate):
                line = self.judge([self.result("throughput-16", [rate_row("us", "ours", [rate])])],
                                  target)
                self.assertEqual((line["status"], line["against"]), (status, "2,000,000"))

    def test_a_target_may_compare_with_another_scenario(self):
        target = table.Target("many", "delivery_ns", ("ours",), 1.0, "a promise", base="one")
        for rate, status in ((1e6, "met"), (0.5e6, "missed")):
            with self.subTest(rate=rate):
                line = self.judge([self.result("one", [rate_row("us", "ours", [1e6])]),
                                   self.result("many", [rate_row("us", "ours", [rate])])], target)
                self.assertEqual(line["status"], status)

    def test_without_the_other_scenario_there_is_no_line(self):
        target = table.Target("many", "delivery_ns", ("ours",), 1.0, "a promise", base="one")
        self.assertEqual(list(bench_peers.judge(
            [self.result("many", [rate_row("us", "ours", [1e6])])], [target])), [])

    def test_each_target_names_a_scenario_and_families_that_take_part_in_it(self):
        for target in table.TARGETS:
            with self.subTest(target=target.text):
                for key, families in ((target.scenario, target.ours),
                                      (target.base or target.scenario, target.families)):
                    scenario = next(s for s in table.SCENARIOS if s.key == key)
                    taking_part = {e.family for e in table.ENTRANTS
                                   if scenario.name in e.scenarios}
                    self.assertTrue(set(families) <= taking_part)


class Table(unittest.TestCase):
    def test_each_entrant_has_a_program_and_a_broker(self):
        programs = {program.name for program in table.PROGRAMS}
        for entrant in table.ENTRANTS:
            self.assertIn(entrant.program, programs)
            self.assertIn(entrant.broker, table.BROKERS)

    def test_each_source_of_a_program_exists(self):
        for program in table.PROGRAMS:
            for source in program.sources:
                if not os.path.isabs(source):
                    self.assertTrue((ROOT / "bench/peers" / source).exists(), source)

    def test_brokers_keep_nothing_on_disk_but_in_their_folder(self):
        self.assertIn("appendonly no", table.BROKERS["redis"].config)
        self.assertIn('save ""', table.BROKERS["redis"].config)
        self.assertIn("persistence false", table.BROKERS["mosquitto"].config)

    def test_the_window_is_shared_by_subscribers_but_never_tiny(self):
        windows = {s.key: table.window_of(s) for s in table.SCENARIOS}
        self.assertEqual((windows["throughput-16"], windows["fan-out-10"], windows["fan-out-100"]),
                         (65536, 6553, 4096))


class Servers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.program = pathlib.Path(folder.name, "stand_in.py")
        self.program.write_text(STAND_IN, encoding="utf-8")

    def server(self, behaviour="serve", **fields):
        broker = table.Broker(f"{sys.executable} {self.program} {{address}} {behaviour}", **fields)
        return bench_brokers.Server(broker, None)

    def test_a_broker_runs_inside_the_with_and_leaves_nothing(self):
        for fields in ({}, {"address": table.UNIX}, {"config": "port {port}\nin {folder}\n"}):
            with self.subTest(fields=fields):
                with self.server(**fields) as server:
                    pid, folder = server.process.pid, server.folder
                    self.assertTrue(bench_brokers.answers(server.address))
                    self.assertGreater(bench_brokers.memory_of(pid)[0], 0)
                    self.assertGreaterEqual(bench_peers.process_cpu_seconds(pid), 0.0)
                self.assertFalse(folder.exists())
                self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())

    def test_a_broker_is_stopped_when_the_run_fails(self):
        with self.assertRaises(ZeroDivisionError):
            with self.server() as server:
                pid = server.process.pid
                raise ZeroDivisionError
        self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())

    def test_a_broker_that_does_not_start_is_told_with_its_last_line(self):
        with self.assertRaisesRegex(bench_brokers.BrokerFailed, "did not start: listen: the port"):
            with self.server("refuse"):
                pass

    def test_a_broker_that_is_not_installed_is_told(self):
        broker = table.Broker("no-such-broker-here {port}")
        with self.assertRaisesRegex(bench_brokers.BrokerFailed, "is not installed"):
            with bench_brokers.Server(broker, None):
                pass

    def test_ports_are_different(self):
        self.assertEqual(len(set(bench_brokers.free_ports(5))), 5)


class Rows(unittest.TestCase):
    """Rows over a stand-in for the broker and another for the driver."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "stand_in.py").write_text(STAND_IN, encoding="utf-8")
        self.replace(table, "BUILD", self.folder)
        stand_in = f"{sys.executable} {self.folder}/stand_in.py {{address}} serve"
        self.replace(table, "BROKERS", {name: table.Broker(stand_in) for name in table.BROKERS})

    def replace(self, module, name, value):
        self.addCleanup(setattr, module, name, getattr(module, name))
        setattr(module, name, value)

    def row(self, family, run, scenario="throughput-16", missing=()):
        entrant = next(e for e in table.ENTRANTS if e.family == family)
        program = self.folder / entrant.program
        program.write_text(f"#!/bin/sh\necho '{json.dumps(run)}'\n", encoding="utf-8")
        program.chmod(0o755)
        settings = types.SimpleNamespace(
            ours=None, missing=missing, cpus=[0], seconds=0.1, retries=0, other_load=8.0,
            drop=False, rounds=1, deadline=1e18)
        return bench_brokers.Row(entrant, next(s for s in table.SCENARIOS if s.key == scenario),
                                 settings)

    def run_row(self, *arguments):
        row = self.row(*arguments)
        row.run_round()
        return row

    def test_a_run_gets_the_figures_of_its_broker(self):
        run = self.run_row("nats", GOOD).result()["runs"][0]
        self.assertGreater(run["broker_rss_bytes"], 0)
        self.assertGreaterEqual(run["broker_rss_max_bytes"], run["broker_rss_bytes"])
        self.assertEqual(run["broker_cpu_ns"], 1e6 * run["broker_cpu_seconds"])

    def test_a_loss_of_ours_fails_and_a_loss_of_a_peer_is_reported(self):
        ours = self.run_row("ours", dict(GOOD, lost=12345))
        self.assertTrue(ours.failed)
        self.assertEqual(ours.result()["note"], "lost 12,345 messages")
        peer = self.run_row("nats", dict(GOOD, lost=12345))
        self.assertFalse(peer.failed)
        self.assertEqual(peer.result()["runs"][0]["lost"], 12345)

    def test_a_run_that_was_not_verified_does_not_count(self):
        row = self.run_row("nats", dict(GOOD, checksum_ok=False))
        self.assertTrue(row.failed)
        self.assertEqual(row.result()["runs"], [])

    def test_what_is_missing_is_named_and_not_run(self):
        self.assertEqual(self.row("nats", GOOD, "throughput-16", {"broker_nats"}).note, "missing")
        self.assertEqual(self.row("ours", GOOD, "throughput-16", {"ours"}).note, "missing")
        self.assertEqual(self.row("zeromq", GOOD, "throughput-16", {"zeromq_broker"}).note,
                         "missing")

    def test_the_command_says_the_scenario(self):
        server = types.SimpleNamespace(address="tcp://a:1", second="tcp://a:2")
        command = self.row("redis-streams", GOOD, "round-trip").command(server)
        self.assertEqual(dict(zip(command[1::2], command[2::2])), {
            "--mode": "latency", "--address": "tcp://a:1", "--bytes": "128", "--subscribers": "1",
            "--window": "65536", "--seconds": "0.15", "--second-address": "tcp://a:2",
            "--rate": "10000", "--variant": "streams"})


class Choices(unittest.TestCase):
    def test_options_choose_scenarios_by_key_and_by_name(self):
        keys = [s.key for s in bench_brokers.parse(["--scenario", "fan-out"]).scenarios]
        self.assertEqual(keys, ["fan-out-10", "fan-out-100"])
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
            bench_brokers.parse(["--scenario", "nonsense"])

    def test_only_narrows_the_peers_and_keeps_ours(self):
        settings = bench_brokers.parse(["--only", "ZeroMQ, XSUB", "--scenario", "fan-out"])
        self.assertEqual(bench_brokers.wanted_programs(settings),
                         {"broker_ours", "broker_zeromq", "zeromq_broker"})


if __name__ == "__main__":
    unittest.main()
