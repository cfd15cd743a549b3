#!/usr/bin/env python3
"""Runs our node and the usual message brokers side by side, and writes the ratios.

Usage: bench_brokers.py [--rounds 5] [--quick] [--only REGEX] [--scenario KEY]... [--ours PATH]

The second section of `make bench-peers`. For each run the broker is started on a free port of the
loopback, with a temporary folder and nothing on disk, and stopped by its own process id. The
question, the method and what is not measured: bench/peers/README.md.

Exits with 1 when a program failed or miscounted, or when ours lost a message (and, with --check,
when a target was missed).

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import datetime
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import bench_peers as runner

sys.path.insert(0, str(runner.ROOT / "bench/peers"))

import broker_entrants as table  # noqa: E402 (found through the line above)
import figures  # noqa: E402

RUN_SECONDS = 2.0
QUICK_SECONDS = 0.3
START_TIMEOUT_S = 10
STOP_TIMEOUT_S = 5
SERVER_PATH = ":/usr/local/sbin:/usr/sbin"  # servers lie there, and not everybody has it in PATH


class BrokerFailed(Exception):
    """The broker did not start, or ended too early; the reason is a sentence."""


# ---------------------------------------------------------------------------------- brokers ------

def free_ports(count):
    """Ports of the loopback that are free at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def memory_of(pid):
    """Bytes in memory, now and at most, of a running process."""
    fields = {}
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                fields[name] = int(value.split()[0]) * 1024
    return fields["VmRSS"], fields["VmHWM"]


def answers(address):
    """Whether somebody accepts connections at a tcp:// or unix:// address."""
    kind, _, place = address.partition("://")
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    host, _, port = place.rpartition(":")
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(place if kind == "unix" else (host, int(port)))
        except OSError:
            return False
    return True


class Server:
    """A broker that runs inside a `with`, with a folder and ports of its own."""

    def __init__(self, broker, dx):
        self.broker = broker
        self.dx = dx
        self.process = None
        self.folder = None
        self.address = self.second = ""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dx-bench-"))
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        port, second = free_ports(2)
        places = {"port": port, "second": second, "folder": self.folder, "dx": self.dx,
                  "build": table.BUILD, "config": self.folder / "broker.conf"}
        self.address = self.broker.address.format(**places)
        self.second = self.broker.second.format(**places)
        places.update(address=self.address, second_address=self.second)
        places["config"].write_text(self.broker.config.format(**places), encoding="utf-8")
        command = shlex.split(self.broker.command.format(**places))
        program = shutil.which(command[0], path=os.environ.get("PATH", os.defpath) + SERVER_PATH)
        if program is None:
            raise BrokerFailed(f"{pathlib.Path(command[0]).name} is not installed")
        command[0] = program
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, cwd=self.folder)
        deadline = time.monotonic() + START_TIMEOUT_S
        waited_for = [address for address in (self.address, self.second) if address]
        while not all(answers(address) for address in waited_for):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BrokerFailed("the broker did not start: " + self.last_line())
            time.sleep(0.02)

    def last_line(self):
        text = (self.folder / "output").read_text(encoding="utf-8", errors="replace")
        return runner.first_error("\n".join(text.strip().splitlines()[-1:]))

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


# ------------------------------------------------------------------------------------- rows ------

class Row(runner.Row):
    """One entrant in one scenario; its broker lives as long as one run."""

    def __init__(self, entrant, scenario, settings):
        super().__init__(entrant, scenario, settings)
        missing = {self.program, "zeromq_broker" if "zeromq" in entrant.broker else self.program}
        if entrant.family.startswith("ours"):
            missing.add("ours")
        if missing & set(settings.missing):
            self.note = "missing"
        self.of_broker = {}

    def calibrate(self):
        """A run has a length, not a number of events."""

    def command(self, server):
        scenario = self.scenario
        words = [str(table.BUILD / self.program), "--mode", scenario.mode, "--address",
                 server.address, "--bytes", str(scenario.bytes), "--subscribers",
                 str(scenario.subscribers), "--window", str(table.window_of(scenario)), "--seconds",
                 f"{self.settings.seconds * scenario.seconds:g}"]
        for option, value in (("--second-address", server.second), ("--rate", scenario.rate),
                              ("--variant", self.entrant.variant)):
            words += [option, str(value)] if value else []
        return words + self.entrant.options.split()

    def execute(self, events, warmup):
        broker = table.BROKERS[self.entrant.broker]
        try:
            with Server(broker, self.settings.ours) as server:
                pid = server.process.pid
                before = runner.process_cpu_seconds(pid)
                result = runner.run_program(self.command(server), helper=pid)
                if server.process.poll() is not None:
                    raise BrokerFailed("the broker ended during the run: " + server.last_line())
                rss, most = memory_of(pid)
                self.of_broker = {"broker_cpu_seconds": runner.process_cpu_seconds(pid) - before,
                                  "broker_rss_bytes": rss, "broker_rss_max_bytes": most}
                return result
        except BrokerFailed as reason:
            return 1, "", str(reason), (0.0, 0.0)
        except OSError as reason:  # its files in /proc are gone
            return 1, "", f"the broker ended during the run: {reason}", (0.0, 0.0)

    def run_once(self, events, warmup):
        run, load = super().run_once(events, warmup)
        if run is not None:
            run.update(self.of_broker)
            run["broker_cpu_ns"] = 1e9 * run["broker_cpu_seconds"] / max(
                1, run.get("received", run["events"]))
            if run["lost"] and self.entrant.family.startswith("ours"):
                self.failed = True
                self.note = f"lost {run['lost']:,.0f} messages"
        return run, load


def rows_of(scenario, settings):
    for entrant in table.ENTRANTS:
        mine = entrant.family.startswith("ours")
        if scenario.name in entrant.scenarios and (mine or settings.only.search(entrant.label)):
            yield Row(entrant, scenario, settings)


def run_scenario(scenario, settings):
    return dict(runner.run_scenario(scenario, settings, rows_of), kind=scenario.kind)


# ------------------------------------------------------------------------------------- main ------

HOW_TO_READ = """\
Every entrant ran once per round, one after the other, round after round, each time with a broker
that was started for that run and stopped after it. Each figure is the median of the runs with its
quartiles; `spread` is the distance of the quartiles in per cent of the median. A run in which other
processes and the hypervisor took more than the limit was dropped and repeated; no other run was
left out. Publisher, subscribers and broker are processes of their own, on the same CPUs, not
pinned. `ns a delivery` is the time of the run divided by its deliveries; `broker CPU`, `publisher`
and `subscriber` are CPU nanoseconds for a delivery (of the publisher: for an event). Each message
is verified: sequence, order, every word; `lost` is the sum over all runs. Times of round trips
count from when the message should have been sent. `ours / peer` above 1 is good for a rate, below 1
for a time. Method and limits: `bench/peers/README.md`.
"""


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    runner.add_options(parser, [scenario.key for scenario in table.SCENARIOS],
                       table.RELEASE / "cli/dx")
    return runner.settle(parser, arguments, table.SCENARIOS, RUN_SECONDS, QUICK_SECONDS)


def wanted_programs(settings):
    settings.missing = {}
    rows = [row for scenario in settings.scenarios for row in rows_of(scenario, settings)]
    wanted = {row.program for row in rows}
    if any("zeromq" in row.program for row in rows):
        wanted.add("zeromq_broker")
    return wanted


def main(arguments=None):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that brokers are stopped
    settings = parse(arguments)
    settings.missing = runner.build_all(wanted_programs(settings), settings.ours, table.PROGRAMS)
    for name, reason in settings.missing.items():
        runner.say(f"missing: {name}: {reason}")
    began = time.monotonic()
    results = [run_scenario(scenario, settings) for scenario in settings.scenarios]
    packages = sorted({broker.package for broker in table.BROKERS.values() if broker.package})
    machine = runner.describe_machine(settings.cpus, {
        "flags": f"`{' '.join(table.CFLAGS[:2])}`, our node: the preset `release`",
    }, runner.debian_versions([*packages, *table.LIBRARIES]))
    windows = {table.window_of(s) for s in settings.scenarios if s.mode == "throughput"}
    described = {
        "date": datetime.date.today().isoformat(), "rounds": settings.rounds,
        "wall minutes": round((time.monotonic() - began) / 60, 1),
        "seconds a run": f"{settings.seconds:g}",
        "limit of other load": f"{settings.other_load:g} %, steal included",
        "messages on their way at most": ", ".join(map(str, sorted(windows, reverse=True))) or "-",
        "brokers": "nothing on disk, no TLS, no authentication, on the loopback",
        "runs dropped": sum(row["dropped"] for result in results for row in result["rows"]),
        "missing": "; ".join(f"{n}: {r}" for n, r in settings.missing.items()) or "nothing",
    }
    targets = list(runner.judge(results, table.TARGETS))
    return runner.finish(settings, results, targets, machine, described, "-brokers",
                         title="DisruptorX and message brokers", how_to_read=HOW_TO_READ)


if __name__ == "__main__":
    sys.exit(main())
