"""What the tests of commands that talk with a node share: a `dx server` of their own on a UNIX
socket.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from dx_program import DX, DxTest, clean_environment

UNREACHABLE = 3


def wait_for(holds, what, seconds=60):
    """Waits for a condition, never for a time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise AssertionError(f"it never came to this: {what}")
        time.sleep(0.01)


class Server:
    """A node as a process; `started` is what it says of itself."""

    def __init__(self, *arguments, **changes):
        self.process = subprocess.Popen(
            [DX, "server", *map(str, arguments), "-o", "json"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=clean_environment(**changes))
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("dx server did not start: " +
                                 self.process.stderr.read().decode())
        self.started = json.loads(line)

    def address(self, number=0):
        return self.started["addresses"][number]

    def stop(self, number=signal.SIGTERM):
        """Ends it; returns its exit code and what it said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said.decode()


class NodeTest(DxTest):
    """Each class has a node; DX_ADDRESS leads every command to it."""
    server_options = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="dx-test-"))
        cls.server = Server("--listen", f"unix://{cls.folder}/dx.sock", *cls.server_options)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        shutil.rmtree(cls.folder)

    def dx(self, *arguments, **options):
        settings = {"DX_ADDRESS": self.server.address(), "HOME": str(self.folder),
                    "XDG_CONFIG_HOME": ""}
        settings.update({key: options.pop(key) for key in list(options)
                         if key.isupper()})
        return super().dx(*arguments, **settings, **options)

    def start(self, *arguments):
        """Starts dx beside the test; it is ended with it."""
        environment = clean_environment(DX_ADDRESS=self.server.address(), HOME=str(self.folder))
        process = subprocess.Popen([DX, *map(str, arguments)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                   env=environment)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def finished(self, process, code=0):
        """What the process printed, after it has ended with `code`."""
        printed, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, said.decode())
        return printed.decode("utf-8", "surrogateescape")

    def lines_of(self, *arguments, **options):
        """The objects that -o json prints, one a line."""
        return [json.loads(line) for line in
                self.ok(*arguments, "-o", "json", **options).splitlines()]

    def info(self, topic):
        return self.json("topic", "info", topic)

    def event_bytes_max(self):
        """The largest payload that the node takes."""
        text = self.ok("config", "get", "bus.event_bytes_max").strip()
        for unit, factor in (("Ki", 1 << 10), ("Mi", 1 << 20)):
            if text.endswith(unit):
                return int(text[:-2]) * factor
        return int(text)

    def subscribed(self, topic, count=1):
        """Waits until `count` subscriptions see a topic, which must be there."""
        wait_for(lambda: self.info(topic)["subscriptions"] >= count, f"{topic} is subscribed")


assert os.name == "posix"
