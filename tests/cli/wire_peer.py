"""A peer that speaks the protocol by hand, from docs/protocol.md: what no well-behaved client does,
and a thousand connections without a thousand threads.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import secrets
import selectors
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vectors"))
from frame_format import HEADER, HEADER_BYTES, TYPES, frame, u64  # noqa: E402

FRAME_BYTES_MAX = 1 << 20
CAPABILITIES = ("CAPABILITIES", struct.pack("<QIHH", 0, FRAME_BYTES_MAX, 1, 1))
ACK_WANTED = 0x0001 # a flag of PUBLISH
HELLO = frame("HELLO", [CAPABILITIES, ("NAME", b"peer")])


def connect(address):
    """A socket to a tcp:// or unix:// address, and nothing said yet."""
    if address.startswith("unix://"):
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(30)
        peer.connect(address[7:])
        return peer
    host, port = address.removeprefix("tcp://").rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30)


def receive(peer, bytes_wanted):
    """So many bytes, or fewer when the other side has closed."""
    came = b""
    while len(came) < bytes_wanted:
        piece = peer.recv(bytes_wanted - len(came))
        if not piece:
            break
        came += piece
    return came


def next_frame(peer):
    """The next frame as (type, header fields, body), or None at the end."""
    head = receive(peer, HEADER_BYTES)
    if len(head) < HEADER_BYTES:
        return None
    fields = HEADER.unpack(head)
    return fields[2], fields, receive(peer, fields[0] + 8 - HEADER_BYTES)


def greet(peer):
    """HELLO and WELCOME; returns the peer."""
    peer.sendall(HELLO)
    came = next_frame(peer)
    if came is None or came[0] != TYPES["WELCOME"]:
        raise AssertionError(f"no WELCOME but {came}")
    return peer


def subscribe(peer, pattern, credit_events, credit_bytes):
    """Subscribes, with so much credit; the answer is not waited for."""
    number = ("SUBSCRIPTION", u64(1))
    peer.sendall(frame("SUBSCRIBE", [("TOPIC", pattern.encode()), number]) +
                 frame("CREDIT", [number, ("CREDIT", u64(credit_events, credit_bytes))]))


def pong(ping):
    """The answer to a PING, as next_frame() returned it."""
    _, fields, body = ping
    return frame("PONG", body=body, layout=fields[6], timestamp_ns=fields[9])


class Crowd:
    """Many open connections that only answer PING, as a client that has nothing to do."""

    def __init__(self, address, count):
        self.selector = selectors.DefaultSelector()
        self.peers = []
        self.lost = 0
        for _ in range(count):
            peer = greet(connect(address))
            self.peers.append(peer)
            self.selector.register(peer, selectors.EVENT_READ)

    def turn(self, seconds):
        """Answers what comes, for at most so long until something does."""
        for key, _ in self.selector.select(seconds):
            came = next_frame(key.fileobj)
            if came is None:
                self.selector.unregister(key.fileobj)
                self.lost += 1
            elif came[0] == TYPES["PING"]:
                key.fileobj.sendall(pong(came))

    def close(self):
        self.selector.close()
        for peer in self.peers:
            peer.close()


class Witness:
    """Publishes with acknowledgement over a connection of its own, and knows what was taken."""

    def __init__(self, address, topic="kept"):
        self.peer = greet(connect(address))
        self.topic = topic
        self.producer = secrets.randbits(63) + 1
        self.taken = []

    def publish(self, text):
        """One event; returns when the node has said that it has it."""
        sequence = len(self.taken) + 1
        self.peer.sendall(frame("PUBLISH", [("TOPIC", self.topic.encode())], text.encode(),
                                flags=ACK_WANTED, producer_id=self.producer,
                                producer_sequence=sequence))
        while True:
            came = next_frame(self.peer)
            if came is None:
                raise AssertionError(f"the node ended the connection; {sequence - 1} were taken")
            kind, fields, body = came
            if kind == TYPES["NACK"]:
                raise AssertionError(f"refused: {body}")
            if kind == TYPES["ACK"] and fields[11] == sequence:
                self.taken.append(text)
                return

    def close(self):
        self.peer.close()
