"""Who takes part in the section of brokers: brokers, drivers, entrants, scenarios, targets.

Data only; tools/bench_brokers.py runs it, figures.py judges it. See README.md for the method.

SPDX-License-Identifier: Apache-2.0
"""
import collections

from entrants import BUILD, CFLAGS, ROOT, Program, Target

RELEASE = ROOT / "build/release/src"
INCLUDE = f"-I{ROOT / 'include'}"

# --------------------------------------------------------------------------------- brokers -------
# How a broker is started, and where it is then. In each text {port} and {second} are free ports of
# the loopback, {folder} is a temporary folder, {config} the file with the text of `config`, {build}
# our build folder, {dx} our program. package: of Debian, for the report.
Broker = collections.namedtuple("Broker", "command config address second package",
                                defaults=("", "tcp://127.0.0.1:{port}", "", None))

REDIS_CONFIG = """\
bind 127.0.0.1
port {port}
dir {folder}
daemonize no
save ""
appendonly no
client-output-buffer-limit pubsub 0 0 0
client-output-buffer-limit normal 0 0 0
"""
MOSQUITTO_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 0
log_type error
"""
NATS_CONFIG = """\
host: "127.0.0.1"
port: {port}
max_pending: 1GB
write_deadline: "10s"
"""
DX_CONFIG = """\
listen:
  addresses: ["{address}"]
log:
  level: warn
"""
SECOND = "tcp://127.0.0.1:{second}"
UNIX = "unix://{folder}/node.sock"

BROKERS = {
    "ours": Broker("{dx} server -c {config}", DX_CONFIG),
    "ours-unix": Broker("{dx} server -c {config}", DX_CONFIG, UNIX),
    "ours-busy": Broker("{dx} server -c {config}", DX_CONFIG + "bus:\n  busy_poll: true\n"),
    "nats": Broker("nats-server -c {config}", NATS_CONFIG, package="nats-server"),
    "redis": Broker("redis-server {config}", REDIS_CONFIG, package="redis-server"),
    "mosquitto": Broker("mosquitto -c {config}", MOSQUITTO_CONFIG, package="mosquitto"),
    "zeromq-proxy": Broker("{build}/zeromq_broker proxy {address} {second_address}", "",
                           second=SECOND, package="libzmq5"),
    "zeromq-echo": Broker("{build}/zeromq_broker echo {address} {second_address}", "",
                          second=SECOND, package="libzmq5"),
}
LIBRARIES = ("libnats3.4",)

# --------------------------------------------------------------------------------- programs ------


def c_program(name, sources, libraries=(), inputs=()):
    output = BUILD / name
    files = [f"brokers/{source}" for source in sources]
    compile_all = ["gcc", "-std=c17", *CFLAGS, INCLUDE,
                   *[str(ROOT / "bench/peers" / file) for file in files], "-o", str(output),
                   *libraries]
    headers = ["brokers/broker.h", "brokers/stream.h", "broker_entrants.py"]
    return Program(name, ["gcc"], [*files, *headers, *inputs], [compile_all], output, [str(output)])


def driver(name, *sources, libraries=()):
    """A driver; the clock and the histogram come from our library of rings."""
    library = RELEASE / "libdisruptorx.a"
    return c_program(name, ["driver.c", *sources], [str(library), *libraries], [library])


NODE_LIBRARY = RELEASE / "libdisruptorx-node.so"
PROGRAMS = [
    c_program("broker_ours", ["driver.c", "ours.c"],
              [str(NODE_LIBRARY), f"-Wl,-rpath,{RELEASE}"], [NODE_LIBRARY]),
    driver("broker_nats", "nats.c", "stream.c"),
    driver("broker_nats_library", "nats_library.c", libraries=["-lnats"]),
    driver("broker_redis", "redis.c", "stream.c"),
    driver("broker_mosquitto", "mosquitto.c", "stream.c"),
    driver("broker_zeromq", "zeromq.c", libraries=["-lzmq"]),
    c_program("zeromq_broker", ["zeromq_broker.c"], ["-lzmq"]),
]

# -------------------------------------------------------------------------------- scenarios ------
# cores: as in entrants.py; a broker and its clients share what there is. name: for the choice of
# entrants. seconds: of a run, as a factor of the usual length.
Scenario = collections.namedtuple(
    "Scenario", "key name title metric kind mode bytes subscribers rate seconds cores batch "
    "capacity events", defaults=(0, 1.0, 1, 1, 0, None))

WINDOW, WINDOW_MIN = 65536, 4096  # messages that may be on their way, in all and to one subscriber


def throughput(bytes_each):
    return Scenario(f"throughput-{bytes_each}", "throughput",
                    f"One publisher, one subscriber, {bytes_each} bytes", "rate", "broker-rate",
                    "throughput", bytes_each, 1)


def fan_out(subscribers):
    return Scenario(f"fan-out-{subscribers}", "fan-out",
                    f"One publisher, {subscribers} subscribers of one topic, 128 bytes", "rate",
                    "broker-rate", "throughput", 128, subscribers)


SCENARIOS = [
    throughput(16), throughput(128), fan_out(10), fan_out(100),
    Scenario("round-trip", "round-trip", "Round trip at 10,000 messages a second, 128 bytes",
             "p50_ns", "broker-latency", "latency", 128, 1, 10_000, 1.5),
    Scenario("round-trip-polled", "round-trip-polled",
             "Round trip at 10,000 messages a second, 128 bytes, one thread that polls", "p50_ns",
             "broker-latency", "polled", 128, 1, 10_000, 1.5),
]


def window_of(scenario):
    return max(WINDOW_MIN, WINDOW // scenario.subscribers)


# --------------------------------------------------------------------------------- entrants ------
# family "ours" is what the targets judge: TCP, one message a call. broker: a key of BROKERS.
# options: of the driver, besides those of the scenario. batches, guess and jit are what
# bench_peers.py asks of an entrant, and mean nothing here.
Entrant = collections.namedtuple(
    "Entrant", "label family program broker variant scenarios options batches guess jit",
    defaults=("", (1,), 0, False))

RATES = {"throughput", "fan-out"}
POLLED = {"round-trip-polled"}
ALL = RATES | POLLED | {"round-trip"}

ENTRANTS = [
    Entrant("DisruptorX", "ours", "broker_ours", "ours", "", ALL),
    Entrant("DisruptorX, batches of 64", "ours-extra", "broker_ours", "ours", "batch",
            {"throughput"}),
    Entrant("DisruptorX, UNIX socket", "ours-extra", "broker_ours", "ours-unix", "", ALL),
    Entrant("DisruptorX, node polls busily", "ours-busy", "broker_ours", "ours-busy", "",
            {"throughput", "round-trip"} | POLLED),
    Entrant("DisruptorX, beside a stalled subscriber", "ours-stalled", "broker_ours", "ours", "",
            {"round-trip"}, "--stalled 1"),
    Entrant("NATS core, bare protocol", "nats", "broker_nats", "nats", "", ALL),
    Entrant("NATS core, beside a stalled subscriber", "nats-stalled", "broker_nats", "nats", "",
            {"round-trip"}, "--stalled 1"),
    Entrant("NATS core, its C client", "nats-client", "broker_nats_library", "nats", "",
            {"throughput", "round-trip"}),
    Entrant("ZeroMQ, XSUB/XPUB proxy", "zeromq", "broker_zeromq", "zeromq-proxy", "", ALL),
    Entrant("ZeroMQ, PULL/PUSH echo", "zeromq-echo", "broker_zeromq", "zeromq-echo", "echo",
            {"throughput", "round-trip"} | POLLED),
    Entrant("Redis, pub/sub", "redis", "broker_redis", "redis", "", ALL),
    Entrant("Redis, streams", "redis-streams", "broker_redis", "redis", "streams",
            ALL - POLLED),
    Entrant("mosquitto, QoS 0", "mosquitto", "broker_mosquitto", "mosquitto", "", ALL),
]

# ---------------------------------------------------------------------------------- targets ------
TARGETS = [
    Target("throughput-128", "rate", ("nats", "nats-client"), 3.0,
           "128 bytes: >= 3 x core NATS, its best driver"),
    Target("throughput-128", "rate", ("nats-client",), 3.0,
           "128 bytes: >= 3 x core NATS through its C client"),
    Target("throughput-16", "rate", (), 1.0, "16 bytes: >= 2,000,000 events/s end to end",
           bound=2_000_000),
    Target("round-trip", "p50_ns", ("nats", "nats-client"), 0.5,
           "round trip p50: <= 0.5 x core NATS, its best driver"),
    Target("round-trip", "p99_ns", ("nats", "nats-client"), 0.5,
           "round trip p99: <= 0.5 x core NATS, its best driver"),
    Target("round-trip", "p50_ns", ("nats", "nats-client"), 0.5,
           "the same with a node that polls busily, p50", ("ours-busy",)),
    Target("round-trip", "p99_ns", ("nats", "nats-client"), 0.5,
           "the same with a node that polls busily, p99", ("ours-busy",)),
    Target("round-trip-polled", "p50_ns", ("nats",), 0.5,
           "one polling thread, round trip p50: <= 0.5 x core NATS"),
    Target("round-trip-polled", "p99_ns", ("nats",), 0.5,
           "one polling thread, round trip p99: <= 0.5 x core NATS"),
    Target("round-trip-polled", "p50_ns", ("nats",), 0.5,
           "the same with a node that polls busily, p50", ("ours-busy",)),
    Target("round-trip-polled", "p99_ns", ("nats",), 0.5,
           "the same with a node that polls busily, p99", ("ours-busy",)),
    Target("round-trip", "p99_ns", ("ours",), 1.1,
           "round trip p99 beside a stalled subscriber: within 10 %", ("ours-stalled",)),
    Target("fan-out-100", "delivery_ns", ("ours",), 1.0,
           "100 subscribers: a delivery costs no more than with one", base="throughput-128"),
]
