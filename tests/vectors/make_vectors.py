#!/usr/bin/env python3
"""Makes frames.json: frames that every implementation must read as said, or refuse as said.

Usage: make_vectors.py [--check]     writes frames.json; with --check only compares, and exits with
1
       make_vectors.py --corpus DIR  writes each frame as DIR/fuzz_frame/<name>.bin, and so on

One vector a line, so that a program without a JSON parser can read it too:

    {"name": ..., "expect": "DX_OK", "hex": the frame, "says": what it holds}
    {"name": ..., "expect": "DX_ECORRUPT", ..., "hex": ...}     refused with this code

SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
from frame_format import HEADER_BYTES, MUST, frame, headers, part, says, u64, zeros  # noqa: E402

TOPIC = ("TOPIC", b"orders.created")
TRACE = ("TRACE", bytes(range(1, 17)) + bytes(range(0xa1, 0xa9)) + b"\x01")


def capabilities(bits=0, frame_bytes_max=1 << 20, low=1, high=1):
    return ("CAPABILITIES", struct.pack("<QIHH", bits, frame_bytes_max, low, high))


def code(number, what=0):
    return ("CODE", struct.pack("<iI", number, what))


def batch(codec, count, raw_bytes):
    return ("BATCH", struct.pack("<IIII", codec, count, raw_bytes, 0))


def pack(*events, count=None, data_bytes=None):
    """The payload of a frame with several events."""
    head = struct.pack("<II", len(events) if count is None else count,
                       sum(map(len, events)) if data_bytes is None else data_bytes)
    return head + b"".join(struct.pack("<II", len(event), 0) + event + zeros(len(event))
                           for event in events)


def good():
    yield "ping-empty", frame("PING")
    yield "ping-echo", frame("PING", payload=b"12345678", timestamp_ns=1)
    yield "pong", frame("PONG", payload=b"12345678")
    yield "hello", frame("HELLO", [capabilities(5), ("NAME", b"billing-7")])
    yield "welcome", frame("WELCOME", [capabilities(1, 1 << 24, 1, 3), ("NAME", b"node-1"),
                                       ("NODE", u64(1)), ("ADDRESS", b"tcp://10.0.0.1:7400")])
    yield "auth-token", frame("AUTH", [("MECHANISM", b"token")], b"s3cret")
    yield "credit", frame("CREDIT", [("SUBSCRIPTION", u64(3)), ("CREDIT", u64(1024, 1 << 20))])
    yield "error-text", frame("ERROR", [("CORRELATION", u64(9)), code(-11)],
                              "topic \"orders.cancelled\" is not known".encode())
    yield "error-unknown-type", frame("ERROR", [code(-17, 200)], b"frame type 200 is not known")
    yield "goodbye", frame("GOODBYE", payload=b"shutting down")
    yield "moved", frame("MOVED", [("NODE", u64(2)), ("ADDRESS", b"tcp://10.0.0.2:7400")], shard=5,
                         term=12)
    for count in range(9):  # every number of zeros behind the payload
        yield f"publish-{count}-bytes", frame("PUBLISH", [TOPIC], bytes(range(1, count + 1)))
    for count in (1, 3, 7, 8, 9, 16, 255):  # and behind a part
        yield f"publish-topic-{count}", frame("PUBLISH", [("TOPIC", b"t" * count)], b"x")
    yield "publish-packed", frame("PUBLISH", [TOPIC], pack(b"order 1", b"", b"the third one"),
                                  flags=0x0200)
    yield "event-packed", frame("EVENT", [TOPIC], pack(*(b"%d" % i for i in range(100))),
                                flags=0x0200, shard=3, term=2, sequence=41, timestamp_ns=5)
    yield "publish-topic-id", frame("PUBLISH", [("TOPIC_ID", u64(0x0123456789abcdef))], b"x")
    yield "publish-everything", frame(
        "PUBLISH", [("TOPIC", "bestellungen.geändert".encode()), ("KEY", b"customer-42"),
                    ("CORRELATION", u64(0x1122334455667788)), TRACE, ("REPLY_TO", b"inbox.7.1"),
                    ("TIMEOUT", u64(2_500_000_000)),
                    ("HEADERS", headers((b"content-type", b"application/json"), (b"empty", b""),
                                        (b"content-type", b"twice, and kept")))],
        b"{\"order\":1}", flags=0x0001 | 0x0004, shard=65535, key_hash=0x89abcdef,
        producer_id=0xfedcba9876543210, producer_sequence=2**64 - 1)
    yield "publish-ignorable-flag", frame("PUBLISH", [TOPIC], b"x", flags=0x0081)
    yield "publish-unknown-part-skipped", frame(
        "PUBLISH", [TOPIC, (23, b"from a later version"), (0x7fff, b"")], b"x")
    for count in (128, 216, 217, 240, 1000, 1024, 4096):  # bodies on both sides of XXH3's steps
        yield f"publish-payload-{count}", frame(
            "PUBLISH", [TOPIC], bytes((i * 7 + (i >> 8)) & 255 for i in range(count)))
    yield "event", frame("EVENT", [TOPIC, ("KEY", b"k")], b"stamped", shard=3, term=7, sequence=1,
                         timestamp_ns=1_700_000_000_000_000_000, producer_id=5,
                         producer_sequence=1, key_hash=1)
    yield "event-redelivered", frame("EVENT", [TOPIC, ("ATTEMPT", struct.pack("<I", 3))], b"again",
                                     flags=0x0002, sequence=2**64 - 1, term=2**32 - 1)
    yield "deliver", frame("DELIVER", [("SUBSCRIPTION", u64(1, 2, 3)), ("COUNT", u64(16))], shard=1,
                           sequence=99)
    yield "ack-publish", frame("ACK", shard=3, term=7, sequence=12, producer_id=5,
                               producer_sequence=1)
    yield "ack-range", frame("ACK", [("SUBSCRIPTION", u64(3)), ("RANGE", u64(10, 20))])
    yield "nack", frame("NACK", [code(-3)], b"the shard's ring is full", producer_id=5,
                        producer_sequence=2)
    yield "gap", frame("GAP", [("SUBSCRIPTION", u64(3)), ("RANGE", u64(21, 21))])
    yield "request", frame("REQUEST", [("TOPIC", b"price.get"), ("CORRELATION", u64(1)),
                                       ("TIMEOUT", u64(1_000_000_000))], b"SKU-1")
    yield "reply", frame("REPLY", [("CORRELATION", u64(1))], b"9.90", flags=0x0100)
    yield "subscribe", frame("SUBSCRIBE", [("TOPIC", b"orders.>"), ("SUBSCRIPTION", u64(3)),
                                           ("GROUP", b"billing"),
                                           ("FILTER", b'header.region = "eu"'),
                                           ("START", struct.pack("<IIQ", 2, 0, 1000))])
    yield "unsubscribe", frame("UNSUBSCRIBE", [("SUBSCRIPTION", u64(3))])
    yield "topic-create", frame("TOPIC_CREATE", [TOPIC], b"{\"retain_events\":1000}")
    yield "topic-change", frame("TOPIC_CHANGE", [TOPIC], b"{}")
    yield "topic-delete", frame("TOPIC_DELETE", [TOPIC])
    yield "topic-list", frame("TOPIC_LIST")
    yield "topic-stats", frame("TOPIC_STATS", [TOPIC])
    yield "topic-info", frame("TOPIC_INFO", [("CORRELATION", u64(2))], b"{}", flags=0x0100)
    yield "ask", frame("ASK", [("CORRELATION", u64(3))], b"config\0limits")
    yield "answer", frame("ANSWER", [("CORRELATION", u64(3))], b"{}")
    for kind in ("RAFT_VOTE", "RAFT_VOTE_RESULT", "RAFT_APPEND", "RAFT_APPEND_RESULT",
                 "RAFT_SNAPSHOT", "RAFT_SNAPSHOT_RESULT", "RAFT_TIMEOUT_NOW", "RAFT_READ_INDEX",
                 "RAFT_READ_INDEX_RESULT", "HEARTBEAT", "SUSPECT", "GOSSIP", "ROUTES"):
        yield kind.lower().replace("_", "-"), frame(kind, [("NODE", u64(2))], b"message", term=4)


# Eight events of one topic, as lz4 and zstd pack them: made once with the tools of both projects.
EVENTS = [frame("EVENT", [TOPIC], b"order %d" % i, sequence=i, term=1) for i in range(1, 9)]
RAW = b"".join(EVENTS)
ZSTD_HEX = (
    "28b52ffd600002fd050014095800000001110000cbee4a4900001900b5bf6594561e9eb8010001800e6f7264"
    "6572732e6372656174656420310013ae200e0ba82eaf317261c50232d0ce26fc82947214b8668ec703337c5f"
    "910af41c13b89b6f92a004343493a002e06b188eefed5ee00535b898eddaa71e6ccf4f58cd130636ce5809dc"
    "d6f369c28e64a5f507376954123985d5c0e241d5942108380019a01060229ae9c66ee059c6822cda82ad1a82"
    "5b6909b26a0bb6d2107ca525885b634c8f8e935734a114410a")
LZ4_HEX = (
    "ff0b5800000001110000cbee4a4900001900b5bf6594561e9eb8010001000b0420003101800e0800e36f7264"
    "6572732e6372656174656410003420310060004013ae200e60009f0ba82eaf317261c5026000321532600040"
    "d0ce26fc60009f82947214b8668ec70360003215336000407c5f910a60009ff41c13b89b6f92a00460003215"
    "346000403493a00260009fe06b188eefed5ee0056000321535600040b898edda60009fa71e6ccf4f58cd1306"
    "6000321536600040ce5809dc60009fd6f369c28e64a5f50760003215376000406954123960009f85d5c0e241"
    "d594210860002f506572203800")


def batches():
    yield "batch-none", frame("BATCH", [batch(0, 8, len(RAW))], RAW)
    yield "batch-lz4", frame("BATCH", [batch(1, 8, len(RAW))], bytes.fromhex(LZ4_HEX))
    yield "batch-zstd", frame("BATCH", [batch(2, 8, len(RAW))], bytes.fromhex(ZSTD_HEX))


def bad_batches():
    """Whole frames that a connection refuses when it opens them; seeds of the fuzzer."""
    lz4 = bytes.fromhex(LZ4_HEX)
    nested = frame("BATCH", [batch(0, 8, len(RAW))], RAW)
    yield "bad-batch-nested", frame("BATCH", [batch(0, 1, len(nested))], nested)
    yield "bad-batch-bomb", frame("BATCH", [batch(1, 8, 2**32 - 8)], lz4)
    yield "bad-batch-more", frame("BATCH", [batch(1, 8, len(RAW) + 8)], lz4)
    yield "bad-batch-less", frame("BATCH", [batch(1, 8, len(RAW) - 8)], lz4)
    yield "bad-batch-count", frame("BATCH", [batch(1, 9, len(RAW))], lz4)
    yield "bad-batch-codec", frame("BATCH", [batch(3, 8, len(RAW))], lz4)
    yield "bad-batch-damaged", frame("BATCH", [batch(1, 8, len(RAW))], damaged(lz4, 40))
    yield "bad-batch-commands", frame("BATCH", [batch(0, 2, 144)], frame("PING") + frame(
        "UNSUBSCRIBE", [("SUBSCRIPTION", u64(3))]))
    yield "bad-batch-zstd-skips", frame("BATCH", [batch(2, 1, 64)],
                                           bytes.fromhex("28b52ffd00581500000001000028"))


def damaged(data, at, bits=1):
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1:]


def bad():
    event = dict(good())["event"]
    yield "empty", "DX_EAGAIN", b""
    yield "header-cut", "DX_EAGAIN", event[:63]
    yield "header-alone", "DX_EAGAIN", event[:HEADER_BYTES]
    yield "last-byte-missing", "DX_EAGAIN", event[:-1]
    yield "header-checksum", "DX_ECORRUPT", damaged(event, 8)
    yield "length-damaged", "DX_ECORRUPT", damaged(event, 2)
    yield "version-damaged", "DX_ECORRUPT", damaged(event, 4)
    yield "sequence-damaged", "DX_ECORRUPT", damaged(event, 24, 0x80)
    yield "body-checksum-damaged", "DX_ECORRUPT", damaged(event, 16)
    yield "part-damaged", "DX_ECORRUPT", damaged(event, 72)
    yield "payload-damaged", "DX_ECORRUPT", damaged(event, len(event) - 8)
    yield "zeros-damaged", "DX_ECORRUPT", damaged(event, len(event) - 1)
    yield "all-zeros", "DX_ECORRUPT", bytes(128)
    yield "text", "DX_ECORRUPT", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".ljust(128, b" ")
    yield "version-0", "DX_EVERSION", frame("PING", version=0)
    yield "version-2", "DX_EVERSION", frame("PING", version=2)
    yield "length-too-long", "DX_ELIMIT", frame("PING", length=16 * 1024 * 1024)
    yield "length-of-4-gib", "DX_ELIMIT", frame("PING", length=2**32 - 1)
    yield "length-below-header", "DX_ECORRUPT", frame("PING", length=48)
    yield "length-not-of-8", "DX_ECORRUPT", frame("PING", body=b"x" * 12)
    yield "parts-beyond-the-end", "DX_ECORRUPT", frame("PING", layout=8)
    yield "zeros-beyond-the-end", "DX_ECORRUPT", frame("PING", layout=1)
    yield "type-unknown", "DX_ENOTSUP", frame(200)
    yield "type-0", "DX_ENOTSUP", frame(0)
    yield "flag-unknown", "DX_ENOTSUP", frame("PING", flags=0x8000)
    yield "part-unknown-and-must", "DX_ENOTSUP", frame("PUBLISH", [TOPIC, (23 | MUST, b"new")])
    yield "part-number-0", "DX_EINVAL", frame("PUBLISH", [(0, b""), TOPIC])
    yield "parts-not-in-order", "DX_EINVAL", frame("PUBLISH", [("KEY", b"k"), TOPIC])
    yield "part-twice", "DX_EINVAL", frame("PUBLISH", [TOPIC, TOPIC])
    yield "part-without-must", "DX_EINVAL", frame("PUBLISH", [(1, b"orders")])
    yield "part-with-must", "DX_EINVAL", frame("PUBLISH", [TOPIC, (3 | MUST, b"key")])
    yield "part-behind-length", "DX_EINVAL", frame("PUBLISH", [TOPIC + (1,)])
    body = part("TOPIC", b"orders")
    yield "part-too-long", "DX_EINVAL", frame("PUBLISH", body=body[:2] + b"\x09" + body[3:],
                                              layout=16)
    yield "part-zeros", "DX_EINVAL", frame("PUBLISH", body=body[:-1] + b"\x01", layout=16)
    yield "payload-zeros", "DX_EINVAL", frame("PING", body=b"1234567\x01", layout=1)
    yield "topic-empty", "DX_EINVAL", frame("PUBLISH", [("TOPIC", b"")])
    yield "topic-256", "DX_EINVAL", frame("PUBLISH", [("TOPIC", b"t" * 256)])
    yield "key-1025", "DX_EINVAL", frame("PUBLISH", [TOPIC, ("KEY", b"k" * 1025)])
    yield "topic-id-7", "DX_EINVAL", frame("PUBLISH", [("TOPIC_ID", b"1234567")])
    yield "trace-24", "DX_EINVAL", frame("PUBLISH", [TOPIC, ("TRACE", bytes(24))])
    yield "subscription-12", "DX_EINVAL", frame("UNSUBSCRIBE", [("SUBSCRIPTION", bytes(12))])
    for name, value in (("cut", b"\x01\x00\x00\x00h\x01"), ("name-empty", headers((b"", b"v1"))),
                        ("name-256", headers((b"n" * 256, b""))),
                        ("value-too-long", b"\x01\x00\x09\x00hv"),
                        ("65", headers(*[(b"n", b"v")] * 65))):
        yield f"headers-{name}", "DX_EINVAL", frame("PUBLISH", [TOPIC, ("HEADERS", value)])
    yield "headers-16385", "DX_EINVAL", frame(
        "PUBLISH", [TOPIC, ("HEADERS", headers((b"n", b"v" * 16380)))])
    yield "publish-without-topic", "DX_EINVAL", frame("PUBLISH", payload=b"x")
    yield "hello-without-capabilities", "DX_EINVAL", frame("HELLO")
    yield "ack-with-payload", "DX_EINVAL", frame("ACK", payload=b"x")
    packed = {"parts": [TOPIC], "flags": 0x0200}
    two = pack(b"one", b"two")
    yield "packed-empty", "DX_EINVAL", frame("PUBLISH", payload=b"", **packed)
    yield "packed-0-events", "DX_EINVAL", frame("PUBLISH", payload=pack(), **packed)
    yield "packed-1025-events", "DX_EINVAL", frame("PUBLISH", payload=pack(*[b""] * 1025), **packed)
    yield "packed-one-too-many", "DX_EINVAL", frame("PUBLISH", payload=pack(b"one", count=2),
                                                    **packed)
    yield "packed-one-too-few", "DX_EINVAL", frame("PUBLISH", payload=pack(b"1", b"2", count=1),
                                                   **packed)
    yield "packed-other-sum", "DX_EINVAL", frame("PUBLISH", payload=pack(b"one", data_bytes=4),
                                                 **packed)
    yield "packed-event-too-long", "DX_EINVAL", frame(
        "PUBLISH", payload=two[:8] + b"\xff" + two[9:], **packed)
    yield "packed-zeros", "DX_EINVAL", frame("PUBLISH", payload=two[:-1] + b"\x01", **packed)
    yield "packed-with-key", "DX_EINVAL", frame("PUBLISH", [TOPIC, ("KEY", b"k")], two,
                                                flags=0x0200)
    yield "packed-with-producer", "DX_EINVAL", frame("PUBLISH", payload=two, producer_id=1,
                                                     **packed)
    yield "packed-ack-wanted", "DX_EINVAL", frame("PUBLISH", [TOPIC], two, flags=0x0201)
    yield "packed-ping", "DX_EINVAL", frame("PING", payload=two, flags=0x0200)
    yield "batch-without-payload", "DX_EINVAL", frame("BATCH", [batch(0, 1, 64)])


def vectors():
    for name, data in [*good(), *batches()]:
        yield {"name": name, "expect": "DX_OK", "hex": data.hex(), "says": says(data)}
    for name, expect, data in bad():
        yield {"name": name, "expect": expect, "hex": data.hex()}


def text():
    lines = ",\n".join(json.dumps(vector, ensure_ascii=True) for vector in vectors())
    return f"[\n{lines}\n]\n"


def corpus(folder):
    """The seeds of the fuzz targets: byte 0 says which checksums the target repairs (none)."""
    frames = [*good(), *batches(), *((name, data) for name, _, data in bad())]
    small = [(name, data) for name, data in frames if len(data) <= 600]
    chosen = {
        "fuzz_frame": [(name, b"\x00" + data) for name, data in small],
        "fuzz_frame_stream": [("conversation", b"\x00" + b"".join(data for _, data in good()
                                                                  if len(data) <= 160)),
                              *((name, b"\x05" + EVENTS[0] + data) for name, _, data in bad()
                                if len(data) <= 200)],
        "fuzz_frame_batch": [(name, b"\x00" + data) for name, data in [*batches(), *bad_batches()]],
    }
    for target, files in chosen.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, data in files:
            (folder / target / f"{name}.bin").write_bytes(data)


def main():
    path = HERE / "frames.json"
    if sys.argv[1:2] == ["--corpus"]:
        corpus(pathlib.Path(sys.argv[2]))
        return 0
    if sys.argv[1:] == ["--check"]:
        if path.read_text(encoding="utf-8") != text():
            print(f"{path.name} is not what make_vectors.py makes: run it, look at what differs")
            return 1
        return 0
    path.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
