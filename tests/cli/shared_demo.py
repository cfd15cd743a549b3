"""A shared ring that is at work: `dx demo shared` in a folder of the test's own.

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

from dx_program import DX, OK, DxTest, clean_environment

PATIENCE_S = 60
LAYOUT = "i64 number, i64 sent_ns, i64 price, char[8] symbol"

# In the block: magic (8 bytes), layout (4), mode (4), slot_count (4).
LAYOUT_AT, SLOT_COUNT_AT = 8, 16


def until(condition, what):
    """Waits until `condition` returns something true, and returns that. Fails, never hangs."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain until {what}")


class SharedTest(DxTest):
    """Each test has a folder, and demonstrations that end with it."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dx-test-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.demos = []

    def tearDown(self):
        for demo in self.demos:
            if demo.poll() is None:
                demo.kill()  # its members go with it
            demo.communicate()

    def path(self, name):
        return self.folder / f"{name}.dxring"

    def start(self, name="orders", *options, seconds=600):
        """Starts a demonstration and waits until all its members are attached."""
        demo = subprocess.Popen(
            [DX, "demo", "shared", "--name", name, "--folder", self.folder, "--seconds",
             str(seconds), "-o", "json", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(), text=True)
        self.demos.append(demo)
        until(lambda: self.is_ready(demo, name), f"the ring {name} has its members")
        return demo

    def is_ready(self, demo, name):
        if demo.poll() is not None:
            self.fail(f"the demonstration ended: {demo.communicate()}")
        done = self.dx("stat", name, "--folder", self.folder, "-o", "json", "-i", "10ms")
        if done.returncode != OK:
            return False
        ring = json.loads(done.stdout)
        return len(ring["consumers"]) == 2 and ring["published"] > 0

    def stat(self, name="orders", *options):
        return self.json("stat", name, "--folder", self.folder, "-i", "10ms", *options)

    def members(self, name="orders"):
        """Process ids by the name of the member."""
        ring = self.stat(name)
        return {row["name"]: row["process_id"] for row in ring["consumers"] + ring["producers"]}

    def orphan(self, name="orphan"):
        """Leaves a ring to which nobody is attached, in its first lap, with some events in it."""
        demo = self.start(name, "--rate", "50")
        until(lambda: self.stat(name)["published"] >= 20, "some events are there")
        members = self.members(name)
        # Stopped first, so that none of them can tidy up after another one.
        for process in members.values():
            os.kill(process, signal.SIGSTOP)
        demo.kill()
        demo.communicate()
        until(lambda: all(row["attached"] == 0 for row in self.dx_json("ring", "ls")["rings"]
                          if row["name"] == name), "nobody is attached")
        return self.path(name)

    def dx_json(self, *arguments):
        return self.json(*arguments, "--folder", self.folder)

    def damaged_copies(self):
        """Files that are no rings to attach to: name -> (code, a word of the sentence)."""
        whole = self.orphan("whole").read_bytes()
        self.path("text").write_bytes(b"not a ring at all\n" * 100)
        self.path("empty").write_bytes(b"")
        self.path("short").write_bytes(whole[:5000])
        self.path("long").write_bytes(whole + bytes(4096))
        newer = bytearray(whole)
        newer[LAYOUT_AT:LAYOUT_AT + 4] = (99).to_bytes(4, "little")
        self.path("newer").write_bytes(newer)
        odd = bytearray(whole)
        odd[SLOT_COUNT_AT:SLOT_COUNT_AT + 4] = (1000).to_bytes(4, "little")
        self.path("odd").write_bytes(odd)
        self.path("link").symlink_to(self.path("whole"))
        self.path("folder").mkdir()
        return {"text": ("DX_ECORRUPT", "is not a ring"), "empty": ("DX_ECORRUPT", "not a ring"),
                "short": ("DX_ECORRUPT", "cut off"), "long": ("DX_ECORRUPT", "extended"),
                "newer": ("DX_EVERSION", "has layout 99"), "odd": ("DX_ECORRUPT", "slot_count"),
                "link": ("DX_EPERM", "symbolic link"), "folder": ("DX_E", "folder.dxring")}
