#!/usr/bin/env python3
"""A node under mixed load for DX_SOAK_MINUTES (30), and whether it grows: `make soak` runs it with
the release build.

METHOD. Rounds of ROUND_SECONDS. In each: `dx bench e2e --ack` over TCP and over shared memory,
which check that every event comes once, in order, unchanged; a batch of acknowledged events for a
group of two members, one of which is killed and replaced; clients that connect and leave, half of
them without a goodbye; the admin API is read. Behind each round, when its clients are gone, memory,
descriptors and threads of the node are written down.

VERDICT. Least squares over the second half of the rounds: what each figure grew by, from the first
to the last of them, must be below its bound. No acknowledged event may be missing.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/cli"))
from admin_client import ADMIN, Admin, Metrics  # noqa: E402
from dx_program import DX, clean_environment  # noqa: E402
from node_load import descriptors_of, status_of  # noqa: E402
from node_program import Server, wait_for  # noqa: E402
from wire_peer import HELLO, connect, greet  # noqa: E402

ROUND_SECONDS = 10
RATE = 5000 # events a second of each benchmark
GROUP_EVENTS = 1000
VISITORS = 50
GROWTH_MAX = {"memory_kib": 4096, "descriptors": 2, "threads": 0.5}
# Each shard remembers the receipts of producers that were there, so that a retry is taken once: up
# to 8 MiB. Few shards and producers, so that this memory is full after a few rounds.
OPTIONS = ("--set", "bus.producers_max=8", "--set", "bus.shards=4")


class Failed(Exception):
    """What was acknowledged is missing, or a client ended otherwise than it should."""


def dx(*arguments):
    return subprocess.Popen([DX, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=clean_environment())


def finished(process):
    printed, said = process.communicate(timeout=120)
    if process.returncode != 0:
        raise Failed(f"{' '.join(process.args)} ended with {process.returncode}: {said}{printed}")


class Group:
    """Two members that share what is published; together they must get all of it."""

    def __init__(self, address):
        self.address = address
        self.got = set()
        self.lock = threading.Lock()
        self.members = [self.join(), self.join()]

    def join(self):
        member = dx("sub", "soak.work", "--group", "workers", "--ack", "--raw", "-a", self.address)
        threading.Thread(target=self.read, args=(member,), daemon=True).start()
        return member

    def read(self, member):
        for line in member.stdout:
            with self.lock:
                self.got.add(line.rstrip("\n"))

    def replace(self):
        """One is killed, with what it has not acknowledged; another comes."""
        member = self.members.pop(0)
        member.kill()
        member.wait()
        self.members.append(self.join())

    def check(self, expected):
        """All came, if to whom; then they are forgotten."""
        def all_came():
            with self.lock:
                return expected <= self.got
        try:
            wait_for(all_came, "the group has everything", 60)
        except AssertionError:
            with self.lock:
                missing = sorted(expected - self.got)
            raise Failed(f"{len(missing)} acknowledged events came to nobody: {missing[:5]}"
                         ) from None
        with self.lock:
            self.got.clear()

    def end(self):
        for member in self.members:
            member.kill()
            member.wait()


def visit(address):
    """Connections that come and go, in order and without a word."""
    for number in range(VISITORS):
        peer = connect(address)
        if number % 2 == 0:
            greet(peer)
        else:
            peer.sendall(HELLO[:number])
        peer.close()


def one_round(number, server, group, admin):
    local, tcp = server.address(0), server.address(1)
    bench = ("bench", "e2e", "--ack", "--rate", RATE, "--seconds", ROUND_SECONDS - 2)
    running = [dx(*bench, "--clients", 2, "--subscribers", 2, "--topics", 4, "-a", tcp),
               dx(*bench, "-a", local.replace("unix://", "shm://"))]
    running.append(dx("pub", "soak.work", f"{number}.{{{{.Count}}}}", "--count", GROUP_EVENTS,
                      "--ack", "-a", local))
    group.replace()
    visit(tcp)
    while any(process.poll() is None for process in running):
        admin.ask("GET", "/metrics")
        admin.ask("GET", "/api/v1/topics")
        time.sleep(0.5)
    for process in running:
        finished(process)
    group.check({f"{number}.{event}" for event in range(1, GROUP_EVENTS + 1)})


def sample(server, admin):
    """The node's figures, once the clients of the round are gone: the group's two remain."""
    def quiet():
        text = admin.ask("GET", "/metrics").body.decode()
        return sum(Metrics(text).all("disruptorx_connections").values()) <= 2
    wait_for(quiet, "the clients of the round are gone")
    pid = server.process.pid
    return {"memory_kib": status_of(pid, "VmRSS"), "descriptors": descriptors_of(pid),
            "threads": status_of(pid, "Threads")}


def growth(times, values):
    """By how much a line through the values rises from the first to the last time."""
    count = len(times)
    if count < 2:
        return 0.0
    mean_t, mean_v = sum(times) / count, sum(values) / count
    spread = sum((t - mean_t) ** 2 for t in times)
    slope = sum((t - mean_t) * (v - mean_v) for t, v in zip(times, values)) / spread
    return slope * (times[-1] - times[0])


def verdict(times, samples):
    """Prints what each figure did in the second half; returns whether all is below its bound."""
    half = len(samples) // 2
    good = True
    print(f"\n{'second half':<14} {'first':>10} {'last':>10} {'growth':>10} {'bound':>10}")
    for name, most in GROWTH_MAX.items():
        values = [taken[name] for taken in samples[half:]]
        grown = growth(times[half:], values)
        good = good and grown < most
        print(f"{name:<14} {values[0]:>10} {values[-1]:>10} {grown:>10.1f} {most:>10}"
              f"  {'ok' if grown < most else 'TOO MUCH'}")
    return good


def soak(minutes, server):
    group = Group(server.address(0))
    admin = Admin(server.started["admin"])
    times, samples = [], []
    begin = time.monotonic()
    print(f"{'round':>6} {'seconds':>8} {'memory_kib':>11} {'descriptors':>12} {'threads':>8} "
          f"{'machine load':>13}", flush=True)
    try:
        while not samples or time.monotonic() - begin < minutes * 60:
            one_round(len(samples) + 1, server, group, admin)
            samples.append(sample(server, admin))
            times.append(time.monotonic() - begin)
            last = samples[-1]
            print(f"{len(samples):>6} {times[-1]:>8.0f} {last['memory_kib']:>11} "
                  f"{last['descriptors']:>12} {last['threads']:>8} {os.getloadavg()[0]:>13.1f}",
                  flush=True)
    finally:
        group.end()
        admin.close()
    return verdict(times, samples)


def main():
    minutes = float(os.environ.get("DX_SOAK_MINUTES", "30"))
    with tempfile.TemporaryDirectory(prefix="dx-soak-") as folder:
        server = Server("--listen", f"unix://{folder}/dx.sock", "--listen", "tcp://127.0.0.1:0",
                        *ADMIN, *OPTIONS)
        try:
            good = soak(minutes, server)
        except Failed as failure:
            print(f"FAILED: {failure}")
            good = False
        finally:
            code, said = server.stop(signal.SIGTERM)
    if code != 0:
        print(f"FAILED: the node ended with {code}: {said}")
    print("no acknowledged event is missing, nothing grows" if good and code == 0 else "FAILED")
    return 0 if good and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
