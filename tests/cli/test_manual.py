#!/usr/bin/env python3
"""Every `dx` line in the manual's section about the node is run, in its order, against one node.

A command that would go on until Ctrl-C runs beside the others and is interrupted at the end.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from dx_program import DX, OK, ROOT, clean_environment
from node_program import Server, wait_for

SECTION = "## The node on the command line\n"
GOES_ON = re.compile(r"^dx (server|reply)\b|^dx sub (?!.*(--count|--timeout))")


def lines_of_manual():
    text = (ROOT / "docs/manual.md").read_text(encoding="utf-8")
    section = text[text.index(SECTION) + len(SECTION):]
    section = section[:section.index("\n## ")]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


class Manual(unittest.TestCase):
    def test_every_line_works(self):
        lines = lines_of_manual()
        self.assertGreater(len(lines), 25)
        self.assertEqual(lines[0], "dx server --dev")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="dx-test-"))
        self.addCleanup(shutil.rmtree, folder)
        server = Server("--listen", f"unix://{folder}/dx.sock")
        self.addCleanup(server.stop, signal.SIGKILL)
        (folder / "bin").mkdir()
        os.symlink(os.path.abspath(DX), folder / "bin/dx")
        environment = clean_environment(
            DX_ADDRESS=server.address(), HOME=str(folder), XDG_CONFIG_HOME="",
            PATH=f"{folder}/bin:{os.environ['PATH']}")
        beside = []
        for line in lines[1:]:
            if GOES_ON.match(line):
                process = subprocess.Popen(
                    ["sh", "-c", "exec " + line], cwd=folder, env=environment,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                beside.append((line, process))
                self.addCleanup(process.kill)
                self.wait_for_subscriptions(len(beside), environment)
                continue
            done = subprocess.run(["sh", "-c", line], cwd=folder, env=environment,
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False)
            self.assertEqual(done.returncode, OK, (line, done.stderr.decode()))
        for line, process in beside:
            process.send_signal(signal.SIGINT)
            printed, said = process.communicate(timeout=60)
            self.assertEqual(process.returncode, OK, (line, said.decode()))
            if line.startswith("dx sub 'orders"):
                self.assertEqual(printed.decode().splitlines(),
                                 [f'orders.new  {n}  {{"id": {n}}}' for n in range(1, 11)])
        self.assertEqual(server.stop()[0], OK)

    def wait_for_subscriptions(self, count, environment):
        """A subscription of a topic that is not there yet is seen by a topic that matches it."""
        names = ["orders.probe", "math.square", "prices.probe"]

        def all_there():
            seen = 0
            for name in names:
                subprocess.run([DX, "topic", "create", name], env=environment, check=True,
                               stdout=subprocess.DEVNULL)
                text = subprocess.run([DX, "topic", "info", name], env=environment, check=True,
                                      capture_output=True).stdout.decode()
                seen += int(re.search(r"to (\d+) subscriptions", text).group(1))
            return seen >= count

        wait_for(all_there, f"{count} subscriptions are there")


if __name__ == "__main__":
    unittest.main()
