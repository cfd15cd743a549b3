"""Who takes part: the programs and how they are built, the entrants, the scenarios, the targets.

Data only; tools/bench_peers.py runs it, figures.py judges it. To add a peer, add a program and an
entrant here (see README.md).

SPDX-License-Identifier: Apache-2.0
"""
import collections
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench/peers"
BUILD = ROOT / "build/peers"

# ---------------------------------------------------------------------------------- targets ------
# What the project promises. `ours` is the best variant of the family `ours`; `best of F` is the
# variant of F with the best median; `each of F` must all be beaten. For a rate the ratio is
# ours / peer and must be at least `factor`; for a time it must be at most `factor`.
# "less timer": the cost of one reading of the clock is taken from both sides first (stricter).
# `ours` says whose best variant is meant by that, where it is not that of the family `ours`.
# `base`: the peer's row is that of another scenario. `bound`: the peer is this number.
Target = collections.namedtuple("Target", "scenario metric families factor text ours base bound",
                                defaults=(("ours",), None, None))

BELOW = 0.99  # "below": by more than rounding
NATIVE = ("boost", "ck", "dpdk", "disruptor-rs")
TARGETS = [
    Target("1p1c/1", "rate", ("lmax",), 2.5, "one at a time: >= 2.5 x LMAX 4.0, its best variant"),
    Target("1p1c/1", "rate", NATIVE, 2.0, "one at a time: >= 2 x the best C, C++ or Rust peer"),
    Target("1p1c/1", "rate", ("mutex",), 8.0, "one at a time: >= 8 x mutex and condition"),
    Target("1p1c/64", "rate", ("lmax",), 2.5, "batches of 64: >= 2.5 x LMAX 4.0, its best variant"),
    Target("1p1c/64", "rate", NATIVE, 1.0, "batches of 64: >= the best C, C++ or Rust peer"),
    Target("pingpong", "p50_ns", ("raw-one-line",), 1.15,
           "round trip p50, less timer: <= 1.15 x one atomic word"),
    Target("pingpong", "p50_ns", ("lmax",), BELOW, "round trip p50, less timer: below LMAX 4.0"),
    Target("pingpong", "p99_ns", ("lmax",), BELOW, "round trip p99, less timer: below LMAX 4.0"),
    Target("pingpong", "p999_ns", ("lmax",), BELOW, "round trip p99.9, less timer: below LMAX 4.0"),
    Target("pingpong", "p50_ns", ("disruptor-rs",), BELOW,
           "round trip p50, less timer: below disruptor-rs"),
    Target("pingpong", "p99_ns", ("disruptor-rs",), BELOW,
           "round trip p99, less timer: below disruptor-rs"),
    Target("pingpong", "p999_ns", ("disruptor-rs",), BELOW,
           "round trip p99.9, less timer: below disruptor-rs"),
    Target("2p1c", "rate", ("lmax",), 1.5, "two producers: >= 1.5 x LMAX 4.0"),
    Target("oversubscribed", "rate", ("mutex",), 1.0,
           "4 x as many threads as cores: >= mutex and condition"),
    Target("wakeup", "p50_ns", ("futex",), 1.10,
           "wake-up p50, less timer: <= 1.10 x a bare futex"),
    # Two processes over shared rings against threads of one process over private ones.
    Target("1p1c/1", "rate", ("ours",), 0.95,
           "two processes, one at a time: within 5 % of one process", ("shared",)),
    Target("1p1c/64", "rate", ("ours",), 0.95,
           "two processes, batches of 64: within 5 % of one process", ("shared",)),
    Target("2p1c", "rate", ("ours",), 0.95,
           "two processes, two producers: within 5 % of one process", ("shared",)),
    Target("pingpong", "p50_ns", ("ours",), 1.05,
           "two processes, round trip p50, less timer: within 5 % of one process", ("shared",)),
    Target("wakeup", "p50_ns", ("ours",), 1.05,
           "two processes, wake-up p50, less timer: within 5 % of one process", ("shared",)),
]

# -------------------------------------------------------------------------------- scenarios ------
# cores: fewer, and the scenario is named but not measured. events: fixed for a paced scenario,
# None when the calibration decides.
Scenario = collections.namedtuple("Scenario", "key name batch cores capacity metric events title")

THROUGHPUT_CAPACITY = 65536
LATENCY_CAPACITY = 1024


def throughput(key, name, batch, cores, title):
    return Scenario(key, name, batch, cores, THROUGHPUT_CAPACITY, "rate", None, title)


def latency(key, cores, events, title):
    return Scenario(key, key, 1, cores, LATENCY_CAPACITY, "p50_ns", events, title)


SCENARIOS = [
    throughput("1p1c/1", "1p1c", 1, 2, "One producer, one consumer, one event at a time"),
    throughput("1p1c/10", "1p1c", 10, 2, "One producer, one consumer, batches of 10"),
    throughput("1p1c/64", "1p1c", 64, 2, "One producer, one consumer, batches of 64"),
    latency("pingpong", 2, None, "Round trip over two rings"),
    # With two cores the three threads share them, in all peers alike.
    throughput("2p1c", "2p1c", 1, 2, "Two producers, one consumer"),
    throughput("3p1c", "3p1c", 1, 4, "Three producers, one consumer"),
    throughput("multicast", "multicast", 1, 4, "One producer, three consumers, each sees all"),
    throughput("pipeline3", "pipeline3", 1, 4, "One producer, three stages"),
    throughput("diamond", "diamond", 1, 4, "One producer, two consumers, one that follows both"),
    latency("pipeline3-latency", 4, 500_000, "Mean hop of a three-stage pipeline, an event per us"),
    throughput("oversubscribed", "oversubscribed", 1, 1, "4 x as many threads as cores, blocking"),
    latency("wakeup", 2, 5_000, "From publication to a consumer that slept"),
]
SINGLE = {"1p1c", "pingpong"}
GRAPHS = {"multicast", "pipeline3", "diamond", "pipeline3-latency"}
MULTI = {"2p1c", "3p1c"}
SLEEPING = {"oversubscribed", "wakeup"}

# --------------------------------------------------------------------------------- programs ------
# tools: commands that must exist. sources: what a build depends on. commands: the build, run in
# order, that makes `output`. run: how to start it.
# `{pkg:NAME}` becomes the compiler flags of pkg-config, less its choice of a machine.
Program = collections.namedtuple("Program", "name tools sources commands output run")

CFLAGS = "-O3 -march=native -Wall -Wextra -pthread -D_GNU_SOURCE".split()
HEADERS = ["c/peer.h", "c/driver.h"]
PEER_OBJECT = str(BUILD / "peer.o")
JAVA_FLAGS = ["-Xms1g", "-Xmx1g", "-XX:+UseParallelGC"]


def c_program(name, source, *libraries, flags=()):
    output = BUILD / name
    compile_shared = ["gcc", "-std=c17", *CFLAGS, "-c", str(PEERS / "c/peer.c"), "-o", PEER_OBJECT]
    compile_program = ["gcc", "-std=gnu17", *CFLAGS, *flags, str(PEERS / source), PEER_OBJECT, "-o",
                       str(output), *libraries]
    return Program(name, ["gcc"], [source, "c/peer.c", *HEADERS], [compile_shared, compile_program],
                   output, [str(output)])


def boost_program(capacity):
    name = f"boost_{capacity}"
    shared, _ = c_program(name, "cpp/peer_boost.cpp").commands
    compile_program = ["g++", "-std=c++17", *CFLAGS, f"-DPEER_BOOST_CAPACITY={capacity}",
                       str(PEERS / "cpp/peer_boost.cpp"), PEER_OBJECT, "-o", str(BUILD / name)]
    return Program(name, ["gcc", "g++"], ["cpp/peer_boost.cpp", "c/peer.c", *HEADERS],
                   [shared, compile_program], BUILD / name, [str(BUILD / name)])


PROGRAMS = [
    c_program("limits", "c/limits.c"),
    c_program("mutex", "c/peer_mutex.c"),
    c_program("ck", "c/peer_ck.c", "-lck"),
    c_program("dpdk", "c/peer_dpdk.c", "-lrte_ring", "-lrte_eal", flags=["{pkg:libdpdk}"]),
    boost_program(THROUGHPUT_CAPACITY),
    boost_program(LATENCY_CAPACITY),
    Program("rust", ["cargo", "rustc"], ["rust/Cargo.toml", "rust/Cargo.lock", "rust/src"],
            [["cargo", "build", "--quiet", "--locked", "--release", "--manifest-path",
              str(PEERS / "rust/Cargo.toml"), "--target-dir", str(BUILD / "rust")]],
            BUILD / "rust/release/peer-rust", [str(BUILD / "rust/release/peer-rust")]),
    Program("java", ["java", "mvn", "taskset"], ["java/pom.xml", "java/src"],
            [["mvn", "--quiet", "--batch-mode", "--file", str(PEERS / "java/pom.xml"),
              f"-Dpeers.build={BUILD / 'java'}", "package"]],
            BUILD / "java/peers.jar",
            ["java", *JAVA_FLAGS, "-cp", str(BUILD / "java/peers.jar"), "peers.Main"]),
]

# --------------------------------------------------------------------------------- entrants ------
# program "ours" is the file given with --ours. guess: events a second (round trips for pingpong),
# only the start of the calibration. jit: warm up for about as long as the measured run.
Entrant = collections.namedtuple(
    "Entrant", "label family program arguments scenarios batches guess jit")


def entrant(label, family, program, arguments, scenarios, batches=(1,), guess=20e6, jit=False):
    return Entrant(label, family, program, arguments.split(), frozenset(scenarios), batches, guess,
                   jit)


ALL_BATCHES = (1, 10, 64)
SPINNING = SINGLE | GRAPHS | MULTI

ENTRANTS = [
    entrant("DisruptorX, busy spin", "ours", "ours", "--wait busy-spin", SPINNING, ALL_BATCHES),
    entrant("DisruptorX, one event a call", "ours", "ours", "--wait busy-spin --variant event",
            {"1p1c"}, ALL_BATCHES),
    entrant("DisruptorX, yielding", "ours", "ours", "--wait yielding", MULTI),
    entrant("DisruptorX, adaptive", "ours", "ours", "--wait adaptive",
            {"2p1c", "oversubscribed", "pingpong"}),
    entrant("DisruptorX, blocking", "ours", "ours", "--wait blocking", SLEEPING, guess=1e6),
    entrant("DisruptorX, two processes", "shared", "ours", "--wait busy-spin --shared",
            SINGLE | {"2p1c"}, ALL_BATCHES),
    entrant("DisruptorX, two processes, yielding", "shared", "ours", "--wait yielding --shared",
            {"2p1c"}),
    entrant("DisruptorX, two processes, blocking", "shared", "ours", "--wait blocking --shared",
            {"wakeup"}, guess=1e6),
    entrant("LMAX 4.0, busy spin", "lmax", "java", "--peer lmax --wait busy-spin", SPINNING,
            ALL_BATCHES, jit=True),
    entrant("LMAX 4.0, yielding", "lmax", "java", "--peer lmax --wait yielding", SPINNING,
            ALL_BATCHES, jit=True),
    entrant("LMAX 4.0, blocking", "lmax", "java", "--peer lmax --wait blocking",
            SINGLE | SLEEPING, ALL_BATCHES, guess=3e6, jit=True),
    entrant("disruptor-rs 4, busy spin", "disruptor-rs", "rust", "--wait busy-spin", SPINNING,
            ALL_BATCHES),
    entrant("disruptor-rs 4, spin hint", "disruptor-rs", "rust", "--wait busy-spin-hint", SPINNING,
            ALL_BATCHES),
    entrant("boost spsc_queue, spin", "boost", "boost_{capacity}", "--wait busy-spin",
            SINGLE | GRAPHS, ALL_BATCHES),
    entrant("boost spsc_queue, spin hint", "boost", "boost_{capacity}", "--wait busy-spin-hint",
            SINGLE | GRAPHS, ALL_BATCHES),
    entrant("ck_ring, spin", "ck", "ck", "--wait busy-spin", SPINNING),
    entrant("ck_ring, spin hint", "ck", "ck", "--wait busy-spin-hint", SPINNING),
    entrant("rte_ring, spin", "dpdk", "dpdk", "--wait busy-spin", SPINNING, ALL_BATCHES),
    entrant("rte_ring, spin hint", "dpdk", "dpdk", "--wait busy-spin-hint", SPINNING, ALL_BATCHES),
    entrant("JCTools array queue", "jctools", "java", "--peer jctools --wait busy-spin",
            SINGLE | MULTI, ALL_BATCHES, jit=True),
    entrant("ArrayBlockingQueue", "abq", "java", "--peer abq --wait blocking",
            SINGLE | MULTI | SLEEPING, guess=3e6, jit=True),
    entrant("mutex and condition", "mutex", "mutex", "--wait blocking",
            SPINNING | SLEEPING, ALL_BATCHES, guess=3e6),
    entrant("limit: index ring", "limit", "limits", "--variant index-ring", {"1p1c", "pingpong"},
            ALL_BATCHES),
    entrant("limit: index ring, 32 behind", "limit", "limits", "--variant index-distance",
            {"1p1c"}, ALL_BATCHES),
    entrant("limit: stamped slots", "limit", "limits", "--variant stamped-slot", {"1p1c"}),
    entrant("limit: one atomic word", "raw-one-line", "limits", "--variant raw-one-line",
            {"pingpong"}),
    entrant("limit: two atomic words", "limit", "limits", "--variant raw-two-lines", {"pingpong"}),
    entrant("limit: bare futex", "futex", "limits", "--variant futex", {"wakeup"}),
]
