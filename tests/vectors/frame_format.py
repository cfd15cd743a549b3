"""The frame in Python, written from docs/protocol.md and not from the C code: makes frames, also
wrong ones, and says what a frame holds.

SPDX-License-Identifier: Apache-2.0
"""
import struct

from xxh3 import xxh3_64

MUST = 0x8000

TYPES = {
    "HELLO": 1, "WELCOME": 2, "AUTH": 3, "PING": 4, "PONG": 5, "CREDIT": 6, "ERROR": 7,
    "GOODBYE": 8, "MOVED": 9,
    "PUBLISH": 16, "EVENT": 17, "DELIVER": 18, "ACK": 19, "NACK": 20, "GAP": 21, "BATCH": 22,
    "REQUEST": 23, "REPLY": 24, "SUBSCRIBE": 25, "UNSUBSCRIBE": 26,
    "TOPIC_CREATE": 32, "TOPIC_CHANGE": 33, "TOPIC_DELETE": 34, "TOPIC_LIST": 35,
    "TOPIC_STATS": 36, "TOPIC_INFO": 37, "ASK": 38, "ANSWER": 39,
    "RAFT_VOTE": 64, "RAFT_VOTE_RESULT": 65, "RAFT_APPEND": 66, "RAFT_APPEND_RESULT": 67,
    "RAFT_SNAPSHOT": 68, "RAFT_SNAPSHOT_RESULT": 69, "RAFT_TIMEOUT_NOW": 70,
    "RAFT_READ_INDEX": 71, "RAFT_READ_INDEX_RESULT": 72,
    "HEARTBEAT": 80, "SUSPECT": 81, "GOSSIP": 82, "ROUTES": 83,
}

PARTS = {
    "TOPIC": 1 | MUST, "TOPIC_ID": 2 | MUST, "KEY": 3, "CORRELATION": 4, "TRACE": 5,
    "REPLY_TO": 6 | MUST, "TIMEOUT": 7, "SUBSCRIPTION": 8 | MUST, "GROUP": 9 | MUST,
    "FILTER": 10 | MUST, "START": 11 | MUST, "RANGE": 12 | MUST, "CREDIT": 13 | MUST,
    "ATTEMPT": 14, "CODE": 15 | MUST, "BATCH": 16 | MUST, "CAPABILITIES": 17 | MUST,
    "MECHANISM": 18 | MUST, "NAME": 19, "NODE": 20 | MUST, "ADDRESS": 21, "COUNT": 22 | MUST,
    "HEADERS": 31,
}

HEADER = struct.Struct("<IBBHIHHQQQQQII")
HEADER_BYTES = 64
FIELDS = ("length", "version", "type", "flags", "header_checksum", "shard", "layout",
          "body_checksum", "sequence", "timestamp_ns", "producer_id", "producer_sequence", "term",
          "key_hash")
assert HEADER.size == HEADER_BYTES


def zeros(count):
    """As many as are missing up to a multiple of 8."""
    return bytes(-count % 8)


def u64(*values):
    return struct.pack(f"<{len(values)}Q", *values)


def headers(*pairs):
    return b"".join(struct.pack("<HH", len(name), len(value)) + name + value
                    for name, value in pairs)


def part(number, value, zero=0):
    """One part; `number` is a name of PARTS or a number as it stands in a frame."""
    number = PARTS.get(number, number)
    return struct.pack("<HHI", number, len(value), zero) + value + zeros(len(value))


def header_checksum(header):
    return xxh3_64(header[:8] + bytes(4) + header[12:64]) & 0xffffffff


def seal(header, body):
    """Both checksums, over whatever the header says."""
    header = header[:16] + u64(xxh3_64(body)) + header[24:]
    return header[:8] + struct.pack("<I", header_checksum(header)) + header[12:] + body


def frame(kind, parts=(), payload=b"", body=None, **fields):
    """A whole frame; `fields` replaces anything the header would say, `body` what is behind it."""
    parts_bytes = b"".join(part(*p) for p in parts)
    tail = zeros(len(payload))
    if body is None:
        body = parts_bytes + payload + tail
    values = dict.fromkeys(FIELDS, 0)
    values.update(length=HEADER_BYTES - 8 + len(body), version=1, type=TYPES.get(kind, kind),
                  layout=len(parts_bytes) | len(tail), **{})
    values.update(fields)
    return seal(HEADER.pack(*(values[name] for name in FIELDS)), body)


def says(data):
    """One line of text for what a good frame holds: what a reader of any language must find."""
    values = dict(zip(FIELDS, HEADER.unpack(data[:HEADER_BYTES])))
    kind = next(name for name, number in TYPES.items() if number == values["type"])
    out = [kind] + [f"{name}={values[name]}" for name in FIELDS
                    if name not in ("length", "version", "type", "layout", "header_checksum",
                                    "body_checksum")]
    tail = values["layout"] & 7
    at, end = HEADER_BYTES, HEADER_BYTES + (values["layout"] & ~7)
    names = {number: name for name, number in PARTS.items()}
    while at < end:
        number, count, _ = struct.unpack_from("<HHI", data, at)
        value = data[at + 8:at + 8 + count]
        if number in names:
            out.append(f"{names[number]}={value.hex()}")
        at += 8 + count + len(zeros(count))
    out.append(f"payload={data[end:len(data) - tail].hex()}")
    return " ".join(out)
