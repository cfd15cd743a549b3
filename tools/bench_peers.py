#!/usr/bin/env python3
"""Runs DisruptorX and its peers side by side, and writes the ratios to bench/results/.

Usage: bench_peers.py [--rounds 5] [--quick] [--only REGEX] [--scenario KEY]... [--ours PATH]

Builds the programs of bench/peers/ into build/peers/, calibrates how many events make a run of
about a second, then runs every entrant once per round: A B C A B C. A run in which other processes
or the hypervisor took more than --other-load per cent of the machine is dropped and repeated. The
question, the method and what is not measured: bench/peers/README.md.

Exits with 1 when a program failed or miscounted (and, with --check, when a target was missed).

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench/peers"))

import entrants as table  # noqa: E402 (found through the line above)
import figures  # noqa: E402

EXIT_UNSUPPORTED = 3
RUN_TIMEOUT_S = 60
RUN_SECONDS = 0.8        # what the calibration aims at
QUICK_SECONDS = 0.1
CALIBRATION_SECONDS = 0.15
EVENTS_MIN, EVENTS_MAX = 1_000, 2_000_000_000
JIT_WARMUP_EVENTS_MIN = 200_000


def say(text):
    print(text, file=sys.stderr, flush=True)


# -------------------------------------------------------------------------------------- load ------

def read_cpu_jiffies(text):
    """(busy, steal, total) of the first line of /proc/stat; guest time is part of user already."""
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, text.split()[1:9])
    busy = user + nice + system + irq + softirq
    return busy, steal, busy + steal + idle + iowait


def other_load(before, after, own_seconds, jiffies_per_second):
    """Per cent of the machine that others used, and per cent that the hypervisor took."""
    busy, steal, total = (b - a for a, b in zip(before, after))
    if total <= 0:
        return 0.0, 0.0
    others = max(0.0, busy - own_seconds * jiffies_per_second)
    return 100 * others / total, 100 * steal / total


def cpu_jiffies():
    with open("/proc/stat", encoding="ascii") as file:
        return read_cpu_jiffies(file.readline())


def process_cpu_seconds(pid):
    """What a running process has used, all its threads together."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_program(command, timeout_s=RUN_TIMEOUT_S, helper=None):
    """(status, standard output, last line of standard error, (other %, steal %)).

    `helper` is the process id of a server that works for this program: its time is no other load.
    """
    own_before = sum(os.times()[:2])
    own_before += process_cpu_seconds(helper) if helper else 0.0
    before = cpu_jiffies()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err) as child:
            timer = threading.Timer(timeout_s, os.kill, (child.pid, signal.SIGKILL))
            timer.start()
            # wait4 instead of child.wait: it tells what this child, and no other, has used.
            _, wait_status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(wait_status)
            timer.cancel()
        after = cpu_jiffies()
        out.seek(0)
        err.seek(0)
        output = out.read().decode(errors="replace").strip()
        errors = err.read().decode(errors="replace").strip().splitlines()
    own = usage.ru_utime + usage.ru_stime + sum(os.times()[:2]) - own_before
    own += process_cpu_seconds(helper) if helper else 0.0
    load = other_load(before, after, own, os.sysconf("SC_CLK_TCK"))
    return child.returncode, output, errors[-1] if errors else "", load


# ------------------------------------------------------------------------------------- build ------

def newest(paths):
    times = [0.0]
    for path in paths:
        files = [path] if path.is_file() else path.rglob("*")
        times += [file.stat().st_mtime for file in files]
    return max(times)


def pkg_config(name):
    """The compiler flags of a package; its -march is not ours: every program uses `native`."""
    done = subprocess.run(["pkg-config", "--cflags", name], capture_output=True, text=True,
                          check=False)
    return [flag for flag in done.stdout.split() if not flag.startswith("-march")]


def expand(command):
    for argument in command:
        match = re.fullmatch(r"\{pkg:(.+)\}", argument)
        yield from pkg_config(match.group(1)) if match else [argument]


def build(program):
    """None when the program is there, else the reason why it is missing."""
    for tool in program.tools:
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    output = program.output
    sources = [table.PEERS / source for source in program.sources]
    sources += [table.PEERS / "entrants.py"]
    if output.exists() and output.stat().st_mtime > newest(sources):
        return None
    table.BUILD.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, RUSTFLAGS="-C target-cpu=native")
    for command in program.commands:
        done = subprocess.run(list(expand(command)), capture_output=True, text=True, check=False,
                              env=environment)
        if done.returncode != 0:
            return "the build failed: " + first_error(done.stderr + done.stdout)
    if output.exists():
        output.touch()  # Cargo leaves an unchanged program alone
        return None
    return "the build left no program"


def first_error(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    # Without the path of this machine: the sentence may end up in a report.
    return re.sub(r"\S*/", "", (errors or lines or ["no message"])[0])[:160]


def build_all(wanted, ours, programs):
    """The missing programs, by name, with the reason."""
    missing = {}
    if not ours.exists():
        missing["ours"] = (f"{ours.name} is not built: run `make release`, "
                           "or point to it with --ours")
    for program in programs:
        if program.name in wanted:
            say(f"building {program.name}")
            reason = build(program)
            if reason:
                missing[program.name] = reason
    return missing


# --------------------------------------------------------------------------------------- runs -----

class Row:
    """One entrant in one scenario: its command and its runs."""

    def __init__(self, entrant, scenario, settings):
        self.entrant = entrant
        self.scenario = scenario
        self.settings = settings
        self.program = entrant.program.format(capacity=scenario.capacity)
        self.events = scenario.events
        self.warmup = 0
        self.note = "missing" if self.program in settings.missing else ""
        self.failed = False
        self.runs = []
        self.dropped = []

    def command(self, events, warmup):
        programs = {program.name: program.run for program in table.PROGRAMS}
        run = [str(self.settings.ours)] if self.program == "ours" else programs[self.program]
        cpus = ",".join(map(str, self.settings.cpus))
        return [*run, *self.entrant.arguments, "--scenario", self.scenario.name, "--events",
                str(events), "--warmup", str(warmup), "--batch", str(self.scenario.batch),
                "--event-bytes", "8", "--capacity", str(self.scenario.capacity), "--cpus", cpus,
                "--producers", str(2 * len(self.settings.cpus))]

    def execute(self, events, warmup):
        """As run_program()."""
        return run_program(self.command(events, warmup))

    def run_once(self, events, warmup):
        """(run, load), or (None, load) after noting why this row cannot go on."""
        status, output, error, load = self.execute(events, warmup)
        if status == 0:
            try:
                run = json.loads(output.splitlines()[-1])
            except (ValueError, IndexError):
                run = {}
            if run.get("checksum_ok") is True:
                return run, load
            error = "its output is no line of JSON with a true checksum_ok"
        if status == EXIT_UNSUPPORTED:
            self.note = "unsupported"
        else:
            self.failed = True
            self.note = f"failed with {status}: {error or output[:120] or 'no message'}"
            if status == -9:
                self.note = f"ended after {RUN_TIMEOUT_S} s"
        return None, load

    def calibrate(self):
        """How many events make a run as long as wanted. Two steps: the guess may be far off."""
        seconds = self.settings.seconds
        if self.events is not None:
            self.events = max(EVENTS_MIN, int(self.events * min(1.0, seconds / RUN_SECONDS)))
            self.warmup = self.events // 10
            self.run_once(EVENTS_MIN, 0)  # only to see whether it works at all
            return
        rate = self.entrant.guess / (50 if self.scenario.name == "pingpong" else 1)
        for _ in range(2):
            events = max(EVENTS_MIN, int(rate * CALIBRATION_SECONDS))
            run, _ = self.run_once(events, events if self.entrant.jit else events // 10)
            if run is None:
                return
            rate = run["events_per_second"]
        self.events = max(EVENTS_MIN, min(EVENTS_MAX, int(rate * seconds)))
        self.warmup = self.events // 10
        if self.entrant.jit:
            self.warmup = max(self.events, JIT_WARMUP_EVENTS_MIN)

    def run_round(self):
        """One valid run, or none when the machine was busy in every try."""
        for _ in range(1 + self.settings.retries):
            run, (others, steal) = self.run_once(self.events, self.warmup)
            if run is None:
                return
            run["other_load_percent"] = round(others, 1)
            run["steal_percent"] = round(steal, 1)
            if others + steal <= self.settings.other_load or not self.settings.drop:
                self.runs.append(run)
                return
            self.dropped.append(run)
            if time.monotonic() > self.settings.deadline:
                return

    def result(self):
        note = self.note
        if not note and not self.runs and self.dropped:
            note = "other load in every run"
        elif self.runs and len(self.runs) < self.settings.rounds:
            note = f"{len(self.runs)} of {self.settings.rounds} runs"
        return {"label": self.entrant.label, "family": self.entrant.family, "note": note,
                "events": self.events, "runs": self.runs, "dropped": len(self.dropped),
                "dropped_runs": self.dropped}


def rows_of(scenario, settings):
    for entrant in table.ENTRANTS:
        mine = entrant.program == "ours"
        if (scenario.name in entrant.scenarios and scenario.batch in entrant.batches
                and (mine or settings.only.search(entrant.label))):
            yield Row(entrant, scenario, settings)


def run_scenario(scenario, settings, rows_of=rows_of):
    """All rounds of one scenario; interleaved, so that a slow minute hits everybody."""
    result = {"key": scenario.key, "title": scenario.title, "metric": scenario.metric, "note": None,
              "rows": []}
    cores = len(settings.cpus)
    if cores < scenario.cores and not settings.crowd:
        result["note"] = f"needs {scenario.cores} cores, has {cores}"
        say(f"{scenario.key}: {result['note']}: not measured")
        return result
    rows = list(rows_of(scenario, settings))
    for row in rows:
        if not row.note:
            say(f"{scenario.key}: calibrating {row.entrant.label}")
            row.calibrate()
    for number in range(1, settings.rounds + 1):
        for row in rows:
            if row.note:
                continue
            if time.monotonic() > settings.deadline:
                say(f"{scenario.key}: out of time in round {number}")
                break
            row.run_round()
            last = row.runs[-1] if row.runs else None
            value = figures.metric_of(last, scenario.metric) if last else 0
            say(f"{scenario.key}: round {number}/{settings.rounds}: {row.entrant.label}: "
                f"{value:,.0f}, {len(row.dropped)} dropped")
    result["rows"] = [row.result() for row in rows]
    result["failed"] = any(row.failed for row in rows)
    if not any(row["runs"] for row in result["rows"]):
        reasons = sorted({row["note"] for row in result["rows"] if row["note"]})
        result["note"] = "no entrant has a run: " + "; ".join(reasons or ["out of time"])
    return result


# ------------------------------------------------------------------------------------ machine -----

def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "not installed"
    return ((done.stdout or done.stderr).strip().splitlines() or ["unknown"])[0]


def read_text(path, default):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return default


def debian_versions(packages):
    versions = {}
    for package in packages:
        line = first_line(["dpkg-query", "-W", "-f", "${Version}", package])
        versions[package] = line if re.match(r"\d", line) else "not a Debian package here"
    return versions


def package_versions():
    """The versions of the peers: from Debian's packages, from Maven's and from Cargo's file."""
    versions = debian_versions(("libboost-dev", "libck-dev", "libdpdk-dev"))
    pom = (table.PEERS / "java/pom.xml").read_text(encoding="utf-8")
    dependencies = pom[:pom.index("<build>")]
    pairs = re.findall(r"<artifactId>([^<]+)</artifactId>\s*<version>([\d.]+)</version>",
                       dependencies)
    versions.update({name: version for name, version in pairs if name != "peers"})
    lock = (table.PEERS / "rust/Cargo.lock").read_text(encoding="utf-8")
    versions["disruptor-rs"] = re.search(r'name = "disruptor"\nversion = "([^"]+)"', lock).group(1)
    return versions


def describe_machine(cpus, compilers, versions):
    """What a reader needs to know; `compilers` and `versions` are of the peers measured."""
    cpuinfo = read_text("/proc/cpuinfo", "")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    governor = read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                         "not shown, as in most guests")
    clock = read_text("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                      "unknown")
    revision = first_line(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])
    return {
        "CPU": model.group(1) if model else platform.machine(),
        "CPUs used": f"{len(cpus)} of {os.cpu_count()}",
        "kernel": platform.release(),
        "hypervisor": "yes" if re.search(r"\bhypervisor\b", cpuinfo) else "not seen",
        "governor": governor,
        "clock": clock,
        "gcc": first_line(["gcc", "--version"]),
        **compilers,
        "packages": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "revision": revision,
    }


def describe_compilers():
    return {
        "java": first_line(["java", "-version"]),
        "rustc": first_line(["rustc", "--version"]),
        "flags": f"C and C++ `{' '.join(table.CFLAGS[:2])}`, Rust release, lto, target-cpu=native, "
                 f"Java `{' '.join(table.JAVA_FLAGS)}`",
    }


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


# --------------------------------------------------------------------------------------- main -----

def add_options(parser, keys, ours):
    """The options that every section has."""
    parser.add_argument("--rounds", type=int, default=5, help="runs of each entrant (5)")
    parser.add_argument("--quick", action="store_true",
                        help="one short round, nothing dropped, nothing written: does it work?")
    parser.add_argument("--only", type=re.compile, default=re.compile(""), metavar="REGEX",
                        help="only peers whose label matches; ours always runs")
    parser.add_argument("--scenario", action="append", metavar="KEY",
                        help="only these: " + ", ".join(keys))
    parser.add_argument("--ours", type=pathlib.Path, default=ours)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--crowd", action="store_true",
                        help="also run scenarios that need more cores than there are (noise)")
    parser.add_argument("--other-load", type=float, default=8.0, metavar="PERCENT",
                        help="drop a run with more load of others, steal included (8)")
    parser.add_argument("--retries", type=int, default=3, help="tries after a dropped run (3)")
    parser.add_argument("--budget-minutes", type=float, default=20.0,
                        help="start no run after this long (20)")
    parser.add_argument("--machine", help="name in the file of results (from the CPU's name)")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "bench/results")


def settle(parser, arguments, scenarios, run_seconds, quick_seconds):
    """The settings: the options, and what follows from them."""
    settings = parser.parse_args(arguments)
    settings.ours = settings.ours.resolve()
    settings.drop = not settings.quick
    settings.seconds = quick_seconds if settings.quick else run_seconds
    settings.rounds = 1 if settings.quick else max(1, settings.rounds)
    settings.cpus = sorted(os.sched_getaffinity(0))
    settings.deadline = time.monotonic() + 60 * settings.budget_minutes
    keys = [scenario.key for scenario in scenarios]
    names = {scenario.name for scenario in scenarios}
    wanted = settings.scenario or keys
    unknown = [key for key in wanted if key not in keys and key not in names]
    if unknown:
        parser.error(f"--scenario {unknown[0]} is not one of {', '.join(keys)}")
    settings.scenarios = [s for s in scenarios if s.key in wanted or s.name in wanted]
    return settings


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    add_options(parser, [scenario.key for scenario in table.SCENARIOS],
                ROOT / "build/release/bench/bench_ring_peer")
    return settle(parser, arguments, table.SCENARIOS, RUN_SECONDS, QUICK_SECONDS)


def wanted_programs(settings):
    """Only what the chosen scenarios and entrants need is built."""
    settings.missing = {}
    return {row.program for scenario in settings.scenarios
            if len(settings.cpus) >= scenario.cores or settings.crowd
            for row in rows_of(scenario, settings)}


def judge(results, targets):
    by_key = {result["key"]: result for result in results}
    for target in targets:
        result = by_key.get(target.scenario)
        base = by_key.get(target.base or target.scenario)
        if result is not None and base is not None:
            yield figures.check_target(target, result["rows"], result["note"], base["rows"])


def write_results(settings, text, data, machine, section=""):
    name = settings.machine or f"{machine['CPU']} {len(settings.cpus)} cpus"
    stem = f"{datetime.date.today().isoformat()}-{slug(name)}{section}"
    settings.results.mkdir(parents=True, exist_ok=True)
    (settings.results / f"{stem}.md").write_text(
        text + "\n<!-- SPDX-License-Identifier: Apache-2.0 -->\n", encoding="utf-8")
    (settings.results / f"{stem}.json").write_text(json.dumps(data, indent=1) + "\n",
                                                   encoding="utf-8")
    say(f"written: {stem}.md and .json in {settings.results.name}/")


def main(arguments=None):
    settings = parse(arguments)
    settings.missing = build_all(wanted_programs(settings), settings.ours, table.PROGRAMS)
    for name, reason in settings.missing.items():
        say(f"missing: {name}: {reason}")
    began = time.monotonic()
    results = [run_scenario(scenario, settings) for scenario in settings.scenarios]
    targets = list(judge(results, table.TARGETS))
    machine = describe_machine(settings.cpus, describe_compilers(), package_versions())
    described = {
        "date": datetime.date.today().isoformat(), "rounds": settings.rounds,
        "wall minutes": round((time.monotonic() - began) / 60, 1),
        "limit of other load": f"{settings.other_load:g} %, steal included",
        "ring": f"{table.THROUGHPUT_CAPACITY} slots for rates, {table.LATENCY_CAPACITY} for times",
        "event": "8 bytes",
        "runs dropped": sum(row["dropped"] for result in results for row in result["rows"]),
        "missing": "; ".join(f"{n}: {r}" for n, r in settings.missing.items()) or "nothing",
    }
    return finish(settings, results, targets, machine, described)


def finish(settings, results, targets, machine, described, section="", **words):
    """Prints and writes the report; the exit status. `words` are for figures.report()."""
    text = figures.report(results, targets, machine, described, **words)
    data = {"license": "SPDX-License-Identifier: Apache-2.0", "settings": described,
            "machine": machine, "targets": targets, "scenarios": results}
    print(json.dumps(data, indent=1) if settings.json else text)
    if not settings.quick:
        write_results(settings, text, data, machine, section)
    failed = any(result.get("failed") for result in results)
    missed = settings.check and any(line["status"] == "missed" for line in targets)
    return 1 if failed or missed else 0


if __name__ == "__main__":
    sys.exit(main())
