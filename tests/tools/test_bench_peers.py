#!/usr/bin/env python3
"""The arithmetic, the tables and the decisions of bench_peers.py; no benchmark is run.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import io
import json
import pathlib
import stat
import sys
import tempfile
import types
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "bench/peers")]

import bench_peers  # noqa: E402 (found through the line above)
import entrants  # noqa: E402
import figures  # noqa: E402


def row(label, family, rates=(), **fields):
    runs = [dict({"events_per_second": rate, "average_batch": 2.0}, **fields) for rate in rates]
    return {"label": label, "family": family, "runs": runs, "dropped": 0, "note": ""}


def latency_row(label, family, p50s, timer=0.0):
    runs = [{"p50_ns": p50, "p99_ns": 2 * p50, "p999_ns": 9 * p50, "mean_ns": p50 + 1.0,
             "timer_ns": timer} for p50 in p50s]
    return {"label": label, "family": family, "runs": runs, "dropped": 1, "note": ""}


def target(metric="rate", families=("lmax",), factor=2.5):
    return entrants.Target("1p1c/1", metric, families, factor, "a promise")


class Statistics(unittest.TestCase):
    def test_quantiles_lie_between_the_two_nearest_values(self):
        for values, fraction, expected in [([7], 0.5, 7), ([1, 2], 0.5, 1.5), ([3, 1, 2], 0.5, 2),
                                           ([1, 2, 3, 4, 5], 0.25, 2), ([1, 2, 3, 4], 0.75, 3.25),
                                           ([5, 1], 1.0, 5), ([5, 1], 0.0, 1)]:
            with self.subTest(values=values, fraction=fraction):
                self.assertAlmostEqual(figures.quantile(values, fraction), expected)

    def test_a_summary_has_the_spread_in_per_cent_of_the_median(self):
        self.assertEqual(figures.summary([80, 90, 100, 110, 120]),
                         {"n": 5, "median": 100, "q1": 90, "q3": 110, "spread_percent": 20.0})

    def test_a_time_is_taken_without_the_clock_and_never_below_one(self):
        self.assertEqual(figures.metric_of({"p50_ns": 130, "timer_ns": 30.0}, "p50_ns"), 100.0)
        self.assertEqual(figures.metric_of({"p50_ns": 20, "timer_ns": 30.0}, "p50_ns"), 1.0)

    def test_the_best_variant_is_the_best_median_and_not_the_best_run(self):
        lucky = row("lucky", "lmax", [10, 11, 500])
        steady = row("steady", "lmax", [100, 101, 102])
        self.assertEqual(figures.best_row([lucky, steady], ("lmax",), "rate"), steady)

    def test_the_best_variant_of_a_time_is_the_lowest(self):
        rows = [latency_row("slow", "lmax", [300]), latency_row("fast", "lmax", [200])]
        self.assertEqual(figures.best_row(rows, ("lmax",), "p50_ns")["label"], "fast")

    def test_a_family_without_runs_has_no_best_variant(self):
        self.assertIsNone(figures.best_row([row("none", "lmax")], ("lmax",), "rate"))


class Targets(unittest.TestCase):
    def status(self, rows, **fields):
        line = figures.check_target(target(**fields), rows)
        return line["status"], line["ratio"]

    def test_a_rate_is_met_at_the_factor_and_missed_below(self):
        peer = row("peer", "lmax", [100])
        self.assertEqual(self.status([row("us", "ours", [250]), peer]), ("met", 2.5))
        self.assertEqual(self.status([row("us", "ours", [240]), peer]), ("missed", 2.4))

    def test_a_time_is_met_below_the_factor_and_missed_above(self):
        wanted = {"metric": "p50_ns", "families": ("raw-one-line",), "factor": 1.15}
        raw = latency_row("raw", "raw-one-line", [130], timer=30.0)
        self.assertEqual(self.status([latency_row("us", "ours", [140], 30.0), raw], **wanted),
                         ("met", 1.1))
        self.assertEqual(self.status([latency_row("us", "ours", [150], 30.0), raw], **wanted),
                         ("missed", 1.2))

    def test_without_a_result_a_target_is_not_measured_and_says_why(self):
        peer = row("peer", "lmax", [100])
        line = figures.check_target(target(), [row("us", "ours"), peer])
        self.assertEqual((line["status"], line["reason"]), ("not measured", "ours has no result"))
        line = figures.check_target(target(), [row("us", "ours", [1])])
        self.assertEqual(line["reason"], "the peer has no result")
        line = figures.check_target(target(), [], "needs 4 cores, has 2")
        self.assertEqual((line["status"], line["reason"]),
                         ("not measured", "needs 4 cores, has 2"))

    def test_a_target_may_be_about_another_family_of_ours(self):
        rows = [row("us", "ours", [100]), row("two", "shared", [96])]
        shared = target(families=("ours",), factor=0.95)._replace(ours=("shared",))
        self.assertEqual(figures.check_target(shared, rows)["status"], "met")
        rows[1] = row("two", "shared", [94])
        self.assertEqual(figures.check_target(shared, rows)["status"], "missed")

    def test_each_target_names_a_scenario_and_families_that_take_part_in_it(self):
        for promise in entrants.TARGETS:
            with self.subTest(target=promise.text):
                scenario = next(s for s in entrants.SCENARIOS if s.key == promise.scenario)
                taking_part = {e.family for e in entrants.ENTRANTS
                               if scenario.name in e.scenarios and scenario.batch in e.batches}
                self.assertTrue(set(promise.ours) <= taking_part)
                self.assertTrue(set(promise.families) & taking_part)


class Tables(unittest.TestCase):
    def result(self, rows, metric="rate", note=None):
        return {"key": "1p1c/1", "title": "A title", "metric": metric, "note": note, "rows": rows}

    def test_a_table_has_equally_long_lines(self):
        text = figures.markdown_table(["a", "bb"], [["long label", "1"], ["x", "100,000"]])
        self.assertEqual(len({len(line) for line in text.splitlines()}), 1)

    def test_a_rate_table_shows_median_quartiles_batch_and_ratio(self):
        text = figures.scenario_section(self.result(
            [row("us", "ours", [200e6]), row("peer", "lmax", [40e6, 50e6, 60e6])]))
        line = next(line for line in text.splitlines() if "peer " in line and "50.0" in line)
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        self.assertEqual(cells, ["peer", "50.0", "45.0", "55.0", "20 %", "2.0", "4.00", "3/0", ""])

    def test_a_row_without_runs_says_why(self):
        missing = row("peer", "lmax")
        missing["note"] = "missing"
        self.assertIn("missing", figures.scenario_section(self.result([missing])))
        self.assertIn("no valid run", figures.scenario_section(self.result([row("p", "lmax")])))

    def test_a_latency_table_shows_the_times_as_measured(self):
        text = figures.scenario_section(self.result(
            [latency_row("peer", "lmax", [1300, 1400, 1500], 30.0)], "p50_ns"))
        self.assertIn("1,400", text)
        self.assertIn("3/1", text)

    def test_a_scenario_that_was_not_measured_has_a_sentence_and_no_table(self):
        text = figures.scenario_section(self.result([], note="needs 4 cores, has 2"))
        self.assertIn("Not measured: needs 4 cores, has 2.", text)
        self.assertNotIn("|", text)

    def test_the_report_has_targets_scenarios_machine_and_settings(self):
        rows = [row("us", "ours", [300]), row("peer", "lmax", [100])]
        text = figures.report([self.result(rows)], [figures.check_target(target(), rows)],
                              {"CPU": "a machine"}, {"rounds": 5})
        for part in ("## Targets", "met", "3.00", "## A title", "- CPU: a machine", "- rounds: 5"):
            self.assertIn(part, text)


class Load(unittest.TestCase):
    def test_jiffies_are_read_as_busy_steal_and_total(self):
        self.assertEqual(bench_peers.read_cpu_jiffies("cpu  10 2 3 100 5 1 4 7 0 0\n"),
                         (20, 7, 132))

    def test_own_time_is_no_load_of_others(self):
        self.assertEqual(bench_peers.other_load((0, 0, 0), (150, 10, 200), 1.4, 100), (5.0, 5.0))
        self.assertEqual(bench_peers.other_load((0, 0, 0), (150, 0, 200), 1.6, 100), (0.0, 0.0))
        self.assertEqual(bench_peers.other_load((5, 5, 5), (5, 5, 5), 0.0, 100), (0.0, 0.0))


class Runs(unittest.TestCase):
    """Rows over a stand-in for our program."""

    GOOD = {"events_per_second": 1e6, "checksum_ok": True}

    def row(self, folder, body, **fields):
        program = pathlib.Path(folder, "peer")
        program.write_text("#!/bin/sh\n" + body + "\n", encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        settings = types.SimpleNamespace(ours=program, missing={}, cpus=[0], seconds=0.8, retries=2,
                                         other_load=8.0, drop=True, rounds=1, deadline=1e18)
        for name, value in fields.items():
            setattr(settings, name, value)
        ours = next(e for e in entrants.ENTRANTS if e.family == "ours")
        return bench_peers.Row(ours, entrants.SCENARIOS[0], settings)

    def run_row(self, body, loads=(0.0,), **fields):
        remaining = list(loads)
        real = bench_peers.other_load
        bench_peers.other_load = lambda *_: (remaining.pop(0) if remaining else 0.0, 0.0)
        self.addCleanup(setattr, bench_peers, "other_load", real)
        with tempfile.TemporaryDirectory() as folder:
            measured = self.row(folder, body, **fields)
            measured.events = 1000
            measured.run_round()
        return measured.result()

    def test_a_verified_run_counts(self):
        result = self.run_row(f"echo '{json.dumps(self.GOOD)}'")
        self.assertEqual((len(result["runs"]), result["dropped"], result["note"]), (1, 0, ""))

    def test_a_run_under_load_is_dropped_and_repeated(self):
        result = self.run_row(f"echo '{json.dumps(self.GOOD)}'", loads=(20.0, 9.0, 1.0))
        self.assertEqual((len(result["runs"]), result["dropped"]), (1, 2))

    def test_load_in_every_try_leaves_the_row_without_a_result(self):
        result = self.run_row(f"echo '{json.dumps(self.GOOD)}'", loads=(20.0, 20.0, 20.0))
        self.assertEqual((result["runs"], result["dropped"], result["note"]),
                         ([], 3, "other load in every run"))

    def test_a_quick_run_drops_nothing(self):
        result = self.run_row(f"echo '{json.dumps(self.GOOD)}'", loads=(20.0,), drop=False)
        self.assertEqual((len(result["runs"]), result["dropped"]), (1, 0))

    def test_an_unsupported_scenario_is_named(self):
        result = self.run_row("echo '{\"unsupported\":true}'; exit 3")
        self.assertEqual((result["runs"], result["note"]), ([], "unsupported"))

    def test_a_wrong_sum_a_crash_and_a_silent_program_fail(self):
        for body, words in [("echo '{\"checksum_ok\":false}'; exit 1", "failed with 1"),
                            ("echo '{\"checksum_ok\":false}'", "true checksum_ok"),
                            ("kill -6 $$", "failed with -6"), ("echo no", "true checksum_ok"),
                            ("exit 0", "true checksum_ok")]:
            with self.subTest(body=body):
                result = self.run_row(body)
                self.assertEqual(result["runs"], [])
                self.assertIn(words, result["note"])

    def test_a_run_that_hangs_is_ended(self):
        status, *_ = bench_peers.run_program(["sleep", "60"], timeout_s=0.1)
        self.assertEqual(status, -9)

    def test_the_command_follows_the_protocol(self):
        with tempfile.TemporaryDirectory() as folder:
            command = self.row(folder, "", cpus=[1, 3]).command(500, 50)
        words = dict(zip(command[1::2], command[2::2]))
        self.assertEqual(words, {
            "--wait": "busy-spin", "--scenario": "1p1c", "--events": "500", "--warmup": "50",
            "--batch": "1", "--event-bytes": "8", "--capacity": "65536", "--cpus": "1,3",
            "--producers": "4"})


class Choices(unittest.TestCase):
    def test_a_scenario_with_too_few_cores_is_named_and_not_run(self):
        settings = types.SimpleNamespace(cpus=[0, 1], crowd=False)
        diamond = next(s for s in entrants.SCENARIOS if s.key == "diamond")
        with contextlib.redirect_stderr(io.StringIO()):
            result = bench_peers.run_scenario(diamond, settings)
        self.assertEqual((result["note"], result["rows"]), ("needs 4 cores, has 2", []))

    def test_options_choose_scenarios_and_refuse_unknown_ones(self):
        keys = [s.key for s in bench_peers.parse(["--scenario", "1p1c"]).scenarios]
        self.assertEqual(keys, ["1p1c/1", "1p1c/10", "1p1c/64"])
        self.assertEqual(bench_peers.parse(["--quick"]).rounds, 1)
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
            bench_peers.parse(["--scenario", "nonsense"])

    def test_only_narrows_the_peers_and_keeps_ours(self):
        settings = bench_peers.parse(["--only", "ck_ring", "--scenario", "1p1c/1"])
        wanted = bench_peers.wanted_programs(settings)
        self.assertEqual(wanted, {"ours", "ck"})

    def test_a_missing_tool_is_the_reason_for_a_missing_program(self):
        program = entrants.Program("x", ["no-such-tool-here"], [], [], None, [])
        self.assertEqual(bench_peers.build(program), "no-such-tool-here is not installed")

    def test_the_first_error_of_a_build_is_told_without_paths(self):
        self.assertEqual(bench_peers.first_error("note\n/a/b/c.c:1: error: gone\nmore error\n"),
                         "c.c:1: error: gone")

    def test_a_slug_is_fit_for_a_file_name(self):
        self.assertEqual(bench_peers.slug("AMD EPYC(tm) 7,2 cpus"), "amd-epyc-tm-7-2-cpus")


if __name__ == "__main__":
    unittest.main()
