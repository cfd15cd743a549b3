#!/usr/bin/env python3
"""dx server under a service manager: what it says to NOTIFY_SOCKET, and the unit in deploy/.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from dx_program import ROOT, DxTest
from node_program import Server

UNIT = ROOT / "deploy/systemd/disruptorx.service"


class Notify(DxTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def manager(self, name):
        """The service manager's end."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(end.close)
        end.bind(name)
        end.settimeout(30)
        return end

    def server(self, notify):
        server = Server("--listen", f"unix://{self.folder}/dx.sock", NOTIFY_SOCKET=notify)
        self.addCleanup(server.stop, signal.SIGKILL)
        return server

    def check_life(self, manager, server):
        def said():
            return dict(line.split("=", 1) for line in manager.recv(4096).decode().split("\n"))
        self.assertEqual(said()["READY"], "1")
        server.process.send_signal(signal.SIGHUP)
        reloading = said()
        self.assertEqual(reloading["RELOADING"], "1")
        self.assertTrue(reloading["MONOTONIC_USEC"].isdigit())
        self.assertEqual(said(), {"READY": "1"})
        self.assertEqual(server.stop()[0], 0)
        self.assertEqual(said()["STOPPING"], "1")

    def test_it_says_when_it_runs_reloads_and_stops(self):
        path = f"{self.folder}/notify"
        manager = self.manager(path)
        self.check_life(manager, self.server(path))

    def test_the_socket_may_be_in_no_folder(self):
        name = f"dx-test-{os.getpid()}"
        manager = self.manager("\0" + name)
        self.check_life(manager, self.server("@" + name))

    def test_a_socket_that_nobody_reads_holds_up_nothing(self):
        for notify in (f"{self.folder}/nobody", "relative", "/" + "x" * 200, "", "@"):
            with self.subTest(notify=notify):
                self.assertEqual(self.server(notify).stop()[0], 0)


@unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze")
class Unit(unittest.TestCase):
    def test_systemd_understands_the_unit(self):
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", UNIT], text=True,
                              capture_output=True, check=False)
        faults = [line for line in done.stderr.splitlines()
                  if "disruptorx.service" in line and "is not executable" not in line]
        self.assertEqual(faults, [])

    def test_it_is_exposed_to_little(self):
        done = subprocess.run(["systemd-analyze", "security", "--offline=yes", UNIT], text=True,
                              capture_output=True, check=False)
        level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
        self.assertIsNotNone(level, done.stdout + done.stderr)
        self.assertLessEqual(float(level[1]), 1.5)


if __name__ == "__main__":
    unittest.main()
