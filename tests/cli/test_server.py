#!/usr/bin/env python3
"""dx server: what it prints, how it stops, reloads, and refuses; tokens.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import unittest

from dx_program import DX, FAILED, OK, ROOT, USAGE, DxTest, clean_environment
from node_program import UNREACHABLE, Server, wait_for


class ServerTest(DxTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.socket = f"unix://{self.folder}/dx.sock"

    def server(self, *arguments, **changes):
        server = Server(*arguments, **changes)
        self.addCleanup(server.stop, signal.SIGKILL)
        return server


class Starting(ServerTest):
    def test_one_that_nobody_can_reach_warns(self):
        server = self.server(DX_LISTEN_ADDRESSES="")
        self.assertEqual(server.started["addresses"], [])
        code, said = server.stop()
        self.assertEqual(code, OK)
        self.assertIn("dx server: warning: listen.addresses is empty", said)

    def test_it_says_where_it_listens_and_how_to_stop_it(self):
        process = subprocess.Popen([DX, "server", "--listen", self.socket], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=clean_environment())
        lines = []
        while not lines or "Ctrl-C stops it" not in lines[-1]:
            lines.append(process.stdout.readline())
            self.assertTrue(lines[-1], "it ended")
        process.terminate()
        process.communicate()
        text = "".join(lines)
        self.assertIn(f"listens on {self.socket}", text)
        self.assertIn(self.socket.replace("unix://", "shm://"), text)
        self.assertIn(f"process {process.pid}", text)
        self.assertIn("in memory", text)
        self.assertEqual(process.returncode, OK)

    def test_a_free_port_is_told(self):
        server = self.server("--listen", "tcp://127.0.0.1:0", "--listen", self.socket)
        self.assertRegex(server.address(0), r"^tcp://127\.0\.0\.1:[1-9]\d*$")
        self.assertEqual(server.address(1), self.socket)
        for number in (0, 1):
            self.assertEqual(self.json("topic", "ls", "-a", server.address(number)), [])

    def test_programs_of_this_host_may_use_shared_memory(self):
        server = self.server("--listen", "tcp://127.0.0.1:0", "--listen", self.socket)
        shared = self.socket.replace("unix://", "shm://")
        self.assertEqual(server.started["shared_memory"], [shared])
        for number in range(3):
            self.ok("pub", "local", f"event {number}", "-a", shared)
        got = self.ok("sub", "local", "--from", "earliest", "--count", 3, "-a", shared)
        self.assertEqual([line.split()[-1] for line in got.splitlines()], ["0", "1", "2"])
        connections = self.json("node", "connections", "-a", shared)["connections"]
        self.assertTrue(connections[0]["address"].startswith("shm:// pid "), connections)

    def test_where_shared_memory_is_off_the_way_out_is_told(self):
        server = self.server("--listen", self.socket, "--set", "local.enabled=false")
        shared = self.socket.replace("unix://", "shm://")
        self.assertEqual(server.started["shared_memory"], [])
        text = self.refuses(FAILED, "shared memory is off at this node (local.enabled)", "topic",
                            "ls", "-a", shared)
        self.assertIn("Next: connect as unix://", text)
        self.assertEqual(self.json("topic", "ls", "-a", self.socket), [])

    def test_nobody_listens_on_shared_memory(self):
        self.refuses(USAGE, "clients of shared memory come by the UNIX socket", "server",
                     "--listen", "shm:///tmp/dx.sock")

    def test_a_development_node_cleans_up_behind_itself(self):
        server = self.server("--dev", "--listen", "tcp://127.0.0.1:0", "--set",
                             "admin.address=http://127.0.0.1:0", TMPDIR=str(self.folder))
        self.assertRegex(server.started["admin"], r"^http://127\.0\.0\.1:[1-9]\d*$")
        self.assertTrue(server.started["folder"].startswith(str(self.folder)))
        self.assertTrue(os.path.isdir(server.started["folder"]))
        self.assertEqual(server.stop()[0], OK)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_options_come_over_the_file_and_the_environment(self):
        file = self.folder / "node.yaml"
        file.write_text("node:\n  name: of-file\n", encoding="utf-8")
        server = self.server("-c", file, "--set", "bus.shards=2", "--listen", self.socket,
                             DX_LIMITS_CONNECTIONS_MAX="77")
        self.assertEqual(server.started["name"], "of-file")
        for name, value in (("bus.shards", "2"), ("limits.connections_max", "77"),
                            ("node.name", "of-file")):
            self.assertEqual(self.ok("config", "get", name, "-a", server.address()).strip(), value)


    def test_file_and_set_are_checked_together(self):
        file = self.folder / "node.yaml"
        file.write_text("bus:\n  event_bytes_max: 512Ki\n", encoding="utf-8")
        self.refuses(FAILED, "bus.shard_ring_bytes", "server", "-c", file, "--listen", self.socket)
        server = self.server("-c", file, "--set", "bus.shard_ring_bytes=2Mi",
                             "--listen", self.socket)
        self.assertEqual(self.ok("config", "get", "bus.event_bytes_max", "-a",
                                 server.address()).strip(), "512Ki")


class Threads(ServerTest):
    def test_each_stands_in_the_table_of_the_architecture(self):
        lines = (ROOT / "docs/architecture.md").read_text("utf-8").splitlines()
        begin = next(i for i, line in enumerate(lines) if line.startswith("| threads of a node"))
        names = []
        for line in lines[begin + 2:lines.index("", begin)]:
            names += re.findall(r"`([^`]+)`", line.split("|")[1])
        wanted = {"io.N", "bus.commands", "MHD-...", "admin.clock", "audit", "trace"}
        self.assertEqual(wanted - set(names), set())
        server = self.server("--listen", self.socket, "--set", "admin.enabled=true",
                             "--set", "admin.address=http://127.0.0.1:0",
                             "--set", "trace.endpoint=http://127.0.0.1:1",
                             "--set", f"access.audit_file={self.folder}/audit.log")
        tasks = pathlib.Path(f"/proc/{server.process.pid}/task")

        def threads():  # a thread begins under its program's name and then takes its own
            names = {comm.read_text("utf-8").strip() for comm in tasks.glob("*/comm")}
            return {re.sub(r"^MHD-.*", "MHD-...", re.sub(r"^io\.\d+$", "io.N", name))
                    for name in names}

        wait_for(lambda: threads() >= wanted, f"the threads {wanted}")
        self.assertEqual(threads(), wanted | {"dx"})


class Stopping(ServerTest):
    def test_a_signal_drains_it_and_it_ends_well(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.server("--listen", self.socket)
            self.ok("pub", "t", "x", "--ack", "-a", self.socket)
            code, said = server.stop(number)
            self.assertEqual(code, OK, said)
            self.assertIn("draining", said)
            self.refuses(UNREACHABLE, "no connection", "topic", "ls", "-a", self.socket)

    def test_sighup_reads_the_file_again_all_or_nothing(self):
        file = self.folder / "node.yaml"
        file.write_text("limits:\n  connections_max: 50\n", encoding="utf-8")
        server = self.server("-c", file, "--listen", self.socket)

        def limit():
            return self.ok("config", "get", "limits.connections_max", "-a", self.socket).strip()

        self.assertEqual(limit(), "50")
        file.write_text("limits:\n  connections_max: 60\n", encoding="utf-8")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: limit() == "60", "the file is read again")
        file.write_text("limits:\n  connections_max: 70\n  nonsense: 1\n", encoding="utf-8")
        done = self.dx("config", "reload", "-a", self.socket)
        self.assertNotEqual(done.returncode, OK)
        self.assertIn("nonsense", done.stderr)
        self.assertEqual(limit(), "60")
        token = self.folder / "token"
        for wrong, sentence in (("limits:\n  connections_max: 0\n", "connections_max is 0"),
                                (f"auth:\n  token_file: {token}\n", str(token))):
            file.write_text(wrong, encoding="utf-8")
            # The command line is right: that is no usage error.
            self.refuses(FAILED, sentence, "config", "reload", "-a", self.socket)
            self.assertEqual(limit(), "60")
        self.refuses(USAGE, "connections_max is 0", "config", "set", "limits.connections_max=0",
                     "-a", self.socket)
        file.write_text("limits:\n  connections_max: 80\n", encoding="utf-8")
        self.assertIn("1 option changed", self.ok("config", "reload", "-a", self.socket))
        self.assertEqual(limit(), "80")


    def test_a_closed_terminal_ends_a_development_node_in_order(self):
        server = self.server("--dev", "--listen", "tcp://127.0.0.1:0", "--set",
                             "admin.address=http://127.0.0.1:0", TMPDIR=str(self.folder))
        code, said = server.stop(signal.SIGHUP)
        self.assertEqual(code, OK, said)
        self.assertIn("draining", said)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_second_signal_ends_a_drain_at_once(self):
        server = self.server("--listen", self.socket, "--set", "timeouts.drain_ms=600s",
                             "--set", "timeouts.close_ms=600s", "--set", "topics.retain_events=0")
        self.ok("topic", "create", "t", "-a", self.socket)
        reader = subprocess.Popen([DX, "sub", "t", "-a", self.socket, "--raw"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(reader.wait)
        self.addCleanup(reader.kill)
        wait_for(lambda: self.json("topic", "info", "t", "-a", self.socket)["subscriptions"] == 1,
                 "it is subscribed")
        reader.send_signal(signal.SIGSTOP)  # takes nothing any more, and holds up the drain
        self.ok("pub", "t", "{{.Random 30000}}", "-n", 40, "-a", self.socket)
        server.process.terminate()
        wait_for(lambda: b"draining" in server.process.stderr.readline(), "it drains")
        server.process.send_signal(signal.SIGHUP)  # there is nothing to reload any more
        server.process.terminate()
        self.assertEqual(server.process.wait(timeout=60), -signal.SIGTERM)

    def test_a_subscriber_outlives_a_node_that_is_killed(self):
        server = self.server("--listen", self.socket)
        reader = subprocess.Popen([DX, "sub", "t", "-a", self.socket, "-n", "2"], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(reader.wait)
        self.addCleanup(reader.kill)

        def subscribed():
            self.ok("topic", "create", "t", "-a", self.socket)
            return self.json("topic", "info", "t", "-a", self.socket)["subscriptions"] == 1

        wait_for(subscribed, "it is subscribed")
        self.ok("pub", "t", "before", "--ack", "-a", self.socket)
        self.assertEqual(reader.stdout.readline(), "t  1  before\n")
        reader.send_signal(signal.SIGSTOP)
        server.stop(signal.SIGKILL)
        self.server("--listen", self.socket)
        # The topic begins with 1 again, and has an event before the subscriber is back.
        self.ok("pub", "t", "after", "--ack", "-a", self.socket)
        reader.send_signal(signal.SIGCONT)
        printed, said = reader.communicate(timeout=60)
        self.assertEqual((reader.returncode, printed), (OK, "t  1  after\n"))
        self.assertIn("the connection is broken", said)
        self.assertIn("connected again", said)


class Refusing(ServerTest):
    def test_a_port_in_use_is_told_with_the_next_step(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            error = self.refuses(FAILED, str(port), "server", "--listen",
                                 f"tcp://127.0.0.1:{port}")
        self.assertIn("(DX_EBUSY)", error)
        self.assertIn("--listen tcp://127.0.0.1:0", error)

    def test_a_socket_in_use_is_told(self):
        self.server("--listen", self.socket)
        error = self.refuses(FAILED, "(DX_EBUSY)", "server", "--listen", self.socket)
        self.assertIn("ss -lxp", error)
        self.assertNotIn("free port", error)

    def test_bad_options_are_refused_before_anything_is_bound(self):
        for sentence, *arguments in (
                ("did you mean bus.shards?", "--set", "bus.shard=2"),
                ("must be section.option=value", "--set", "bus.shards"),
                ("bus.shards is 3", "--set", "bus.shards=3"),
                ("listen", "--listen", "ftp://host")):
            self.refuses(USAGE, sentence, "server", *arguments)
        file = self.folder / "node.yaml"
        file.write_text("bus:\n  shards: 3\n", encoding="utf-8")
        self.refuses(FAILED, f"{file}:2", "server", "-c", file)
        self.refuses(FAILED, "(DX_ENOTFOUND)", "server", "-c", self.folder / "none.yaml")
        self.refuses(USAGE, "is one argument too many", "server", "more")


class OtherUsers(ServerTest):
    def test_a_socket_that_lets_nobody_else_in_is_no_question_of_tokens(self):
        self.server("--listen", self.socket)
        path = self.folder / "dx.sock"
        path.chmod(0)
        other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        self.folder.chmod(0o755)
        environment = clean_environment(HOME="/")
        environment.pop("TSAN_OPTIONS", None)  # names a file that nobody may not read, perhaps
        with open(DX, "rb") as program:  # who is nobody may not come to the program by its path
            done = subprocess.run([f"/proc/self/fd/{program.fileno()}", "topic", "ls", "-a",
                                   self.socket], pass_fds=[program.fileno()], cwd="/",
                                  capture_output=True, check=False, env=environment, **other)
        said = done.stderr.decode()
        self.assertEqual(done.returncode, FAILED, said)
        self.assertIn("Permission denied (DX_EPERM)", said)
        self.assertIn("listen.unix_mode", said)
        self.assertNotIn("--token", said)


class Tokens(ServerTest):
    def test_only_who_has_the_token_comes_in(self):
        self.server("--listen", self.socket, DX_AUTH_TOKEN="s3cret")
        error = self.refuses(FAILED, "(DX_EPERM)", "topic", "ls", "-a", self.socket)
        self.assertIn("Next: give the token with --token or DX_TOKEN", error)
        self.refuses(FAILED, "(DX_EPERM)", "topic", "ls", "-a", self.socket, "--token", "wrong")
        self.ok("topic", "ls", "-a", self.socket, "--token", "s3cret")
        self.ok("topic", "ls", "-a", self.socket, DX_TOKEN="s3cret")
        file = self.folder / "token"
        file.write_text("s3cret\n", encoding="utf-8")
        self.ok("topic", "ls", "-a", self.socket, "--token", f"@{file}")
        shown = self.ok("config", "get", "auth", "-a", self.socket, "--token", "s3cret")
        self.assertNotIn("s3cret", shown)


if __name__ == "__main__":
    unittest.main()
