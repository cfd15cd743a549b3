#!/usr/bin/env python3
"""dx bundle: what is in the archive, what is not, and what it does where something is missing.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import stat
import tarfile
import unittest

from dx_program import DX, FAILED, OK, USAGE
from node_program import NodeTest, Server

# Each stands in another place; none of them may be in the archive, in no file of it.
SECRETS = {"token": "hunter2-of-the-node", "variable": "s3cret-of-the-shell",
           "headers": "api-key-of-the-collector", "log": "bearer-of-the-log",
           "foreign": "password-of-another-program", "key": "MIIBsecretKEY"}


class BundleTest(NodeTest):
    @classmethod
    def setUpClass(cls):
        cls.server_options = ("--set", f"auth.token={SECRETS['token']}",
                              "--set", "trace.endpoint=http://127.0.0.1:1/v1/traces",
                              "--set", f"trace.headers=x-key={SECRETS['headers']}")
        super().setUpClass()

    def bundle(self, *options, code=OK, **changes):
        self.path = self.folder / f"bundle-{os.urandom(4).hex()}.tar.gz"
        done = self.dx("bundle", "-f", self.path, "--quick", *options,
                       **{"DX_TOKEN": SECRETS["token"], **changes})
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def members(self):
        """The files of the archive, by name, each in one folder."""
        with tarfile.open(self.path) as archive:
            members = archive.getmembers()
            self.assertEqual(len({member.name.split("/")[0] for member in members}), 1)
            self.assertTrue(all(member.isreg() for member in members))
            return {member.name.split("/", 1)[1]: archive.extractfile(member).read().decode()
                    for member in members}


class Bundle(BundleTest):
    def test_it_has_what_somebody_needs_who_helps_from_afar(self):
        self.ok("pub", "orders.new", "x", "--ack", DX_TOKEN=SECRETS["token"])
        done = self.bundle()
        self.assertEqual(done.stderr, "")
        members = self.members()
        self.assertEqual(set(members) - {"process-status.txt", "process-limits.txt"},
                         {"README.txt", "version.json", "environment.txt", "node.json",
                          "config.json", "topics.json", "subscriptions.json", "connections.json",
                          "rings.json", "users.json", "log.json", "metrics.txt", "doctor.json",
                          "errors.txt"})
        self.assertIn(f"{len(members)} files", done.stdout)
        self.assertEqual(json.loads(members["topics.json"])[0]["name"], "orders.new")
        self.assertEqual(len(json.loads(members["rings.json"])["rings"]), 16)
        self.assertGreater(len(json.loads(members["doctor.json"])["checks"]), 15)
        self.assertGreater(len(json.loads(members["log.json"])["lines"]), 0)
        self.assertIn("disruptorx_topics 1", members["metrics.txt"])
        self.assertIn("dx", json.loads(members["version.json"]))
        self.assertIn("Max open files", members["process-limits.txt"])
        self.assertEqual(members["errors.txt"], "")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_no_secret_is_in_it(self):
        config = self.folder / "node.yaml"
        config.write_text(f"auth:\n  token: {SECRETS['token']}\nnode:\n  name: n7\n",
                          encoding="utf-8")
        log = self.folder / "node.log"
        log.write_text(f"a line\nGET / authorization: Bearer {SECRETS['log']}\n"
                       f"{SECRETS['foreign']} {SECRETS['variable']} {SECRETS['headers']}\n"
                       f"-----BEGIN PRIVATE KEY-----\n{SECRETS['key']}\n-----END PRIVATE KEY-----\n"
                       "the last line\n", encoding="utf-8")
        self.bundle("--config", config, "--log", log, OTHER_PASSWORD=SECRETS["foreign"],
                    DX_AUTH_TOKEN=SECRETS["variable"], DX_TRACE_HEADERS=f"k={SECRETS['headers']}")
        members = self.members()
        for name, text in members.items():
            for place, secret in SECRETS.items():
                self.assertNotIn(secret, text, (name, place))
        with open(self.path, "rb") as file:
            self.assertNotIn(SECRETS["token"].encode(), file.read())
        self.assertIn("DX_AUTH_TOKEN=(secret)", members["environment.txt"])
        self.assertNotIn("OTHER_PASSWORD", members["environment.txt"])
        self.assertIn("a line\n", members["log.txt"])
        self.assertIn("the last line", members["log.txt"])
        self.assertIn("Bearer (secret)", members["log.txt"])
        self.assertEqual(json.loads(members["config-file.json"])["node.name"]["value"], "n7")
        options = {row["name"]: row["value"] for row in
                   json.loads(members["config.json"])["options"]}
        self.assertEqual(options["auth.token"], "(secret)")
        self.assertEqual(options["trace.headers"], "(secret)")

    def test_a_log_that_is_long_is_there_with_its_end(self):
        log = self.folder / "long.log"
        log.write_text("the first line\n" + "x" * (1 << 20) + "\nthe last line\n",
                       encoding="utf-8")
        self.bundle("--log", log)
        text = self.members()["log.txt"]
        self.assertEqual(len(text), 1 << 20)
        self.assertTrue(text.endswith("the last line\n"))
        self.assertNotIn("the first line", text)

    def test_what_can_not_be_collected_is_listed_and_does_not_end_it(self):
        done = self.bundle("--config", self.folder / "none.yaml", "--log", self.folder,
                           "-a", "unix:///nothing/here")
        self.assertIn("could not be collected", done.stderr)
        members = self.members()
        for part in ("the node: no connection to unix:///nothing/here", "config-file.json: ",
                     "log.txt: ", "it is no file"):
            self.assertIn(part, members["errors.txt"])
        self.assertIn("version.json", members)
        self.assertNotIn("node.json", members)
        self.assertNotIn(SECRETS["token"], "".join(members.values()))

    def test_a_node_of_elsewhere_chooses_no_file_of_this_host(self):
        named = self.folder / "named.txt"
        named.write_text("what a node only names\n", encoding="utf-8")
        local = f"unix://{self.folder}/other.sock"
        server = Server("--listen", "tcp://127.0.0.1:0", "--listen", local,
                        "--set", f"log.file={named}")
        self.addCleanup(server.stop)
        files = {"process-status.txt", "process-limits.txt", "log.txt"}
        done = self.bundle("-a", server.address(0), DX_TOKEN="")
        members = self.members()
        self.assertEqual(files & set(members), set())
        self.assertNotIn("what a node only names", "".join(members.values()))
        for text in (members["errors.txt"], done.stderr):
            self.assertIn("process-status.txt, process-limits.txt, log.txt: left out", text)
            self.assertIn("name the file with --log", text)
        self.bundle("-a", server.address(0), "--log", named, DX_TOKEN="")
        members = self.members()
        self.assertEqual(files & set(members), {"log.txt"})
        self.assertNotIn("--log", members["errors.txt"])
        for address in (local, local.replace("unix://", "shm://")):
            self.bundle("-a", address, DX_TOKEN="")
            members = self.members()
            self.assertEqual(files - set(members), set(), address)
            self.assertIn("what a node only names", members["log.txt"])
            self.assertEqual(members["errors.txt"], "")

    def test_a_wrong_token_is_listed_and_not_told(self):
        self.bundle(DX_TOKEN="wrong-token-of-somebody")
        text = "".join(self.members().values())
        self.assertIn("DX_TOKEN=(secret)", text)
        self.assertNotIn("wrong-token-of-somebody", text)

    def test_for_programs_it_says_what_it_did(self):
        done = self.bundle("-o", "json")
        root = json.loads(done.stdout)
        self.assertEqual(root["file"], str(self.path))
        self.assertEqual(root["bytes"], self.path.stat().st_size)
        self.assertEqual(root["errors"], 0)
        self.assertEqual(set(root["members"]), set(self.members()))

    def test_without_a_name_it_takes_one_by_the_time(self):
        before, program = os.getcwd(), os.path.abspath(DX)
        os.chdir(self.folder)
        try:
            done = self.dx("bundle", "--quick", DX_TOKEN=SECRETS["token"], program=program)
        finally:
            os.chdir(before)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertRegex(done.stdout, r"^dx-bundle-\d{8}-\d{6}\.tar\.gz: \d+ files, ")
        self.assertTrue((self.folder / done.stdout.split(":")[0]).exists())

    def test_what_is_wrong_is_told_and_nothing_is_overwritten(self):
        there = self.folder / "there.tar.gz"
        there.write_text("keep me", encoding="utf-8")
        self.refuses(FAILED, "can't be made", "bundle", "-f", there)
        self.assertEqual(there.read_text(encoding="utf-8"), "keep me")
        self.refuses(FAILED, "can't be made", "bundle", "-f", self.folder / "none" / "x.tar.gz")
        self.refuses(USAGE, "one argument too many", "bundle", "more")


if __name__ == "__main__":
    unittest.main()
