#!/usr/bin/env python3
"""What many idle connections and many topics cost a node: `tools/load.sh` runs this with the
release build.

METHOD. A `dx server` with all defaults but its address. Connections are greeted and answer PING, as
a client does that has nothing to do; each topic has one event of 16 bytes. Memory is the resident
size (VmRSS) before and behind; processor time is that of all threads of the node, by the kernel's
count of nanoseconds, over --seconds in which nobody publishes. Start-up is from before fork() until
a connection is accepted, ROUNDS times.

NOT MEASURED. Kernel memory of sockets; TLS, which adds OpenSSL's buffers to each connection.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from dx_program import DX, clean_environment
from node_program import Server
from wire_peer import Crowd, connect

ROUNDS = 9
SPARE_DESCRIPTORS = 64
TARGETS = (("start_ms", 100, "ms"), ("idle_kib", 64 * 1024, "KiB"), ("cpu_percent", 1, "%"))


def status_of(pid, name):
    """A line of /proc/PID/status, its number: VmRSS in KiB, Threads."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/status has no {name}")


def descriptors_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_ns_of(pid):
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0])
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def allow_descriptors(count):
    """Raises the limit of this process, and of the node that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard not in (resource.RLIM_INFINITY,) and hard < wanted:
            raise SystemExit(f"{wanted} descriptors are needed, and {hard} allowed (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def start_ms(folder):
    """From before fork() until a connection is accepted."""
    path = f"{folder}/start.sock"
    begin = time.monotonic_ns()
    process = subprocess.Popen([DX, "server", "--listen", f"unix://{path}"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=clean_environment())
    try:
        while True:
            try:
                connect(f"unix://{path}").close()
                return (time.monotonic_ns() - begin) / 1e6
            except (FileNotFoundError, ConnectionRefusedError):
                if process.poll() is not None:
                    raise AssertionError("dx server ended at once") from None
                time.sleep(0.0005)
    finally:
        process.terminate()
        process.wait()


def make_topics(address, count):
    """A topic each with one event."""
    subprocess.run([DX, "pub", "load.{{.Count}}", "x" * 16, "--count", str(count), "--ack",
                    "-a", address], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env=clean_environment())


def measure(connections, topics, seconds, admin=False):
    """Everything but the start, as a dictionary."""
    allow_descriptors(connections)
    options = ["--set", "admin.enabled=true", "--set", "admin.address=http://127.0.0.1:0"]
    with tempfile.TemporaryDirectory(prefix="dx-load-") as folder:
        server = Server("--listen", f"unix://{folder}/dx.sock", *(options if admin else []))
        pid, address = server.process.pid, server.address()
        try:
            result = {"connections": connections, "topics": topics,
                      "idle_kib": status_of(pid, "VmRSS"), "descriptors": descriptors_of(pid)}
            begin = time.monotonic()
            crowd = Crowd(address, connections)
            result["connect_s"] = time.monotonic() - begin
            result["connected_kib"] = status_of(pid, "VmRSS")
            result["threads"] = status_of(pid, "Threads")
            make_topics(address, topics)
            result["topics_kib"] = status_of(pid, "VmRSS")
            begin, before = time.monotonic(), cpu_ns_of(pid)
            while time.monotonic() - begin < seconds:
                crowd.turn(seconds - (time.monotonic() - begin))
            passed = time.monotonic() - begin
            if passed > 0 and seconds > 0:
                result["cpu_percent"] = (cpu_ns_of(pid) - before) / passed / 1e7
            result["lost"] = crowd.lost
            crowd.close()
            until = time.monotonic() + 30
            while descriptors_of(pid) > result["descriptors"] and time.monotonic() < until:
                time.sleep(0.01)
            result["descriptors_left"] = descriptors_of(pid) - result["descriptors"]
            result["closed_kib"] = status_of(pid, "VmRSS")
            for name, before_kib, after, count in (
                    ("connection", "idle_kib", "connected_kib", connections),
                    ("topic", "connected_kib", "topics_kib", topics)):
                grown = result[after] - result[before_kib]
                result[f"bytes_per_{name}"] = grown * 1024 // max(count, 1)
        finally:
            code, said = server.stop()
    if code != 0:
        raise AssertionError(f"the node ended with {code}: {said}")
    return result


def table(result):
    """The rows that people read; returns whether all targets are met."""
    met = True
    rows = [("load of the machine", f"{os.getloadavg()[0]:.1f}", f"on {os.cpu_count()} processors")]
    goal = {name: (most, unit) for name, most, unit in TARGETS}
    for name, value in result.items():
        text = f"{value:.2f}" if isinstance(value, float) else f"{value}"
        note = ""
        if name in goal:
            most, unit = goal[name]
            met = met and value < most
            note = f"{unit}, wanted below {most}: {'yes' if value < most else 'NO'}"
        rows.append((name, text, note))
    for row in rows:
        print(f"{row[0]:<22} {row[1]:>12}  {row[2]}".rstrip())
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--topics", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--admin", action="store_true", help="with the admin server, not asked")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dx-load-") as folder:
        starts = [start_ms(folder) for _ in range(ROUNDS)]
    result = {"start_ms": statistics.median(starts), "start_best_ms": min(starts)}
    result.update(measure(options.connections, options.topics, options.seconds, options.admin))
    if options.output == "json":
        print(json.dumps(result))
        return 0
    return 0 if table(result) else 1


if __name__ == "__main__":
    sys.exit(main())
