#!/usr/bin/env python3
"""Standard input and output that are closed, full, or read by nobody any more; what else may stand
on standard output beside a result.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
import unittest

from dx_program import DX, FAILED, OK, USAGE, DxTest, clean_environment
from node_program import NodeTest

NOT_WRITTEN = "the output could not be written"


class Output(NodeTest):
    def run_with(self, *arguments, closed=None, **streams):
        """Runs dx with other standard streams; `closed` is the number of one that it doesn't have.
        """
        environment = clean_environment(DX_ADDRESS=self.server.address(), HOME=str(self.folder))
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, **streams}
        before = None if closed is None else lambda: os.close(closed)
        return subprocess.run([DX, *map(str, arguments)], env=environment, check=False,
                              timeout=60, preexec_fn=before, **streams)

    def test_sub_ends_when_its_reader_has_gone_and_nothing_more_comes(self):
        self.ok("pub", "gone", "x{{.Count}}", "-n", 3, "--ack")
        for command in (("sub", "gone", "--from", "earliest"), ("topic", "tail", "gone", "-f")):
            process = self.start(*command)
            self.assertEqual(process.stdout.readline(), b"gone  1  x1\n", command)
            process.stdout.close()
            self.assertEqual(process.wait(timeout=60), FAILED, command)
            self.assertEqual(process.stderr.read().decode().count(NOT_WRITTEN), 1, command)

    def test_what_could_not_be_printed_is_not_acknowledged(self):
        self.ok("pub", "unprinted", "x{{.Count}}", "-n", 100, "--ack")
        member = ("sub", "unprinted", "--group", "g", "--from", "earliest", "--ack")
        with open("/dev/full", "wb") as full:
            done = self.run_with(*member, stdout=full)
        self.assertEqual(done.returncode, FAILED)
        self.assertEqual(done.stderr.decode(),
                         f"dx sub: {NOT_WRITTEN}: No space left on device\n")
        process = self.start(*member, "--raw")
        got = {process.stdout.readline().decode().strip() for _ in range(100)}
        self.assertEqual(got, {f"x{i}" for i in range(1, 101)})

    def test_a_closed_standard_input_or_output_is_an_error_and_no_other_file(self):
        done = self.run_with("pub", "closed", closed=0)
        self.assertEqual((done.returncode, done.stderr.decode()), (
            FAILED, "dx pub: line 1 cannot be read: Bad file descriptor (DX_EIO)\n"))
        self.ok("pub", "closed", "x", "--ack")
        for command in (("sub", "closed", "--from", "earliest"), ("topic", "ls")):
            done = self.run_with(*command, closed=1)
            self.assertEqual(done.returncode, FAILED, command)
            self.assertIn(f"{NOT_WRITTEN}: Bad file descriptor", done.stderr.decode(), command)
        done = self.run_with("sub", "closed", "--from", "earliest", "-n", 1, closed=2)
        self.assertEqual((done.returncode, done.stdout), (OK, b"closed  1  x\n"))

    def test_a_reason_that_is_not_known_any_more_is_not_made_up(self):
        with open("/dev/full", "wb") as full:
            done = self.run_with("node", "metrics", stdout=full)
            self.assertEqual((done.returncode, done.stderr.decode()),
                             (FAILED, f"dx: {NOT_WRITTEN}\n"))
            done = self.run_with("topic", "ls", stdout=full)
            self.assertEqual((done.returncode, done.stderr.decode()),
                             (FAILED, f"dx: {NOT_WRITTEN}: No space left on device\n"))

    def test_an_answer_that_the_node_refuses_is_told_with_its_reason(self):
        self.ok("topic", "create", "large", "--retain-events", 1)
        size = self.event_bytes_max() + 1
        process = self.start("reply", "large", "--command", f"head -c {size} /dev/zero", "-n", 1,
                             "-q")
        self.subscribed("large")
        self.start("request", "large", "x", "--timeout", "60s")
        self.assertEqual(process.wait(timeout=60), FAILED)
        said = process.stderr.read().decode()
        self.assertIn("the node refused an answer: the payload has", said)
        self.assertNotIn("came to nobody", said)


class Formats(DxTest):
    def test_a_distribution_on_standard_output_stands_there_alone(self):
        for command in (("latency", "--intrinsic", "-s", 1),
                        ("bench", "bus", "-s", 1, "--rate", 100),
                        ("bench", "pub", "--dev", "-n", 100, "--ack")):
            done = self.dx(*command, "--hgrm", "-")
            self.assertEqual(done.returncode, OK, done.stderr)
            self.assertEqual(done.stdout.split()[:2], ["Value", "Percentile"], command)
            self.assertNotIn("Percentile", done.stderr, command)
            self.assertNotEqual(done.stderr, "", command)
            self.refuses(USAGE, "both want standard output", *command, "--hgrm", "-", "-o", "json")

    def test_what_is_no_json_is_not_printed_as_json(self):
        for command in (("config", "sample"), ("generate", "config"), ("generate", "alerts"),
                        ("generate", "prometheus"), ("generate", "systemd"), ("generate", "man"),
                        ("generate", "completion", "bash"), ("generate", "completion", "zsh"),
                        ("generate", "completion", "fish")):
            self.refuses(USAGE, "-o json is not possible", *command, "-o", "json")
        json.loads(self.ok("generate", "grafana", "-o", "json"))


if __name__ == "__main__":
    unittest.main()
