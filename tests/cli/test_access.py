#!/usr/bin/env python3
"""A node with users: what it refuses to whom, reloads, limits, the audit; and dx user.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import json
import os
import pathlib
import signal
import stat
import subprocess
import tempfile
import time
import unittest

from dx_program import DX, FAILED, OK, USAGE, DxTest, clean_environment
from node_program import NodeTest, Server, wait_for

TOKENS = {name: f"dxt_token-of-{name}-0123456789" for name in
          ("admin", "alice", "bob", "slow", "heavy", "one", "gone")}


def hash_of(name):
    return hashlib.sha256(TOKENS[name].encode()).hexdigest()


def users_text(**changes):
    """The users of these tests; a change replaces the keys of a user, None removes it."""
    users = {
        "admin": "admin: write, manage: '>', publish: '>', subscribe: ['>', '$dead.>']",
        "alice": "publish: [orders.*, calc.*], request: calc.*, subscribe: 'orders.>'",
        "bob": "roles: reader, subscribe: [calc.*, own.bob], manage: 'own.{user}.>'",
        "slow": "publish: rate.*, publish_events_per_s: 1000",
        "heavy": "publish: rate.*, publish_bytes_per_s: 100Ki",
        "one": "publish: orders.new, subscribe: orders.new, connections_max: 1, "
               "subscriptions_max: 1",
        "gone": "publish: orders.new, subscribe: orders.new",
    }
    users.update(changes)
    lines = ["roles:", "  reader: {subscribe: 'orders.>', subscribe_deny: orders.secret,"
                       " admin: read}", "users:"]
    lines += [f"  {name}: {{token_sha256: {hash_of(name)}, {keys}}}"
              for name, keys in users.items() if keys is not None]
    return "\n".join(lines) + "\n"


class AccessTest(NodeTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="dx-test-"))
        cls.users = cls.folder / "users.yaml"
        cls.audit = cls.folder / "audit.log"
        cls.log = cls.folder / "node.log"
        cls.users_write(users_text())
        (cls.folder / "node.yaml").write_text(
            f"listen:\n  addresses: ['unix://{cls.folder}/dx.sock']\n"
            f"access:\n  file: {cls.users}\n  audit_file: {cls.audit}\n"
            f"log:\n  file: {cls.log}\n", encoding="utf-8")
        cls.server = Server("-c", cls.folder / "node.yaml")

    @classmethod
    def users_write(cls, text):
        with open(cls.users, "w", encoding="utf-8", opener=lambda path, flags:
                  os.open(path, flags, 0o600)) as file:
            file.write(text)

    def by(self, name):
        """Runs dx as this user."""
        return lambda *arguments, **options: self.dx(*arguments, "--token", TOKENS[name], **options)

    def allowed(self, name, *arguments, **options):
        done = self.by(name)(*arguments, **options)
        self.assertEqual((done.returncode, done.stderr), (OK, ""), (name, arguments))
        return done.stdout

    def refused(self, sentence, name, *arguments, **options):
        done = self.by(name)(*arguments, **options)
        self.assertIn(sentence, done.stderr, (name, arguments))
        self.assertNotEqual(done.returncode, OK)

    def listen(self, name, *arguments):
        """Starts dx as this user, until the test ends."""
        return self.start(*arguments, "--token", TOKENS[name])

    def reload(self, text=None):
        """Another users file; waits until the node has taken it, or refused it."""
        if text is not None:
            self.users_write(text)
        before = self.node("config_reloads") + self.node("config_reload_failures")
        self.server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.node("config_reloads") + self.node("config_reload_failures") > before,
                 "the node has read its files again")

    def node(self, key):
        return json.loads(self.allowed("admin", "node", "info", "-o", "json"))[key]

    def patterns(self):
        listed = json.loads(self.allowed("admin", "node", "subscriptions", "-o", "json"))
        return [one["pattern"] for one in listed["subscriptions"]]

    def users_info(self):
        return json.loads(self.allowed("admin", "node", "users", "-o", "json"))

    def user_info(self, name):
        return next(one for one in self.users_info()["users"] if one["name"] == name)

    def events(self, **wanted):
        """The lines of the audit with these values."""
        lines = [json.loads(line) for line in self.audit.read_text("utf-8").splitlines()]
        return [line for line in lines if wanted.items() <= line.items()]

    def audited(self, **wanted):
        """Waits for a line of the audit with these values, and returns it."""
        wait_for(lambda: self.events(**wanted), f"the audit has {wanted}")
        return self.events(**wanted)[0]


class Refusals(AccessTest):
    def test_who_is_refused_goes_on(self):
        """What is refused has used credit as well: else a client would wait for good."""
        self.allowed("admin", "config", "set", "limits.publish_credit_events", "16")
        before = self.user_info("alice")["refused"]
        try:
            for name, topic in (("alice", "stock"), ("slow", "stock"), ("admin", "$dead.x")):
                self.refused("refused 300 of 300 events", name, "pub", topic, "x", "-n", "300",
                             "--ack")
            self.refused("the node refused", "alice", "pub", "stock", "x", "-n", "300")
            wait_for(lambda: self.user_info("alice")["refused"] == before + 600,
                     "all of them are counted, several in a frame as well")
        finally:
            self.allowed("admin", "config", "set", "limits.publish_credit_events", "65536")

    def test_refusals_that_are_left_out_last_are_told_at_the_end(self):
        def told():
            self.refused("refused 100 of 100 events", "alice", "pub", "stock", "x", "-n", "100",
                         "--ack")
            return [line for line in self.events(event="disconnect", user="alice")
                    if line.get("repeated", 0) > 0]
        wait_for(told, "a disconnect says how many were left out")

    def test_nobody_without_a_token(self):
        self.refuses(FAILED, "a token is wanted", "topic", "ls")
        self.audited(event="connect_refused", result="DX_EPERM", reason="a token is wanted")

    def test_nobody_with_a_wrong_token(self):
        self.refuses(FAILED, "the token is wrong", "topic", "ls", "--token", "dxt_wrong")
        self.audited(event="connect_refused", result="DX_EPERM", reason="the token is wrong")
        self.assertGreater(self.node("tokens_refused"), 0)

    def test_publishing_where_no_rule_allows_it(self):
        self.allowed("alice", "pub", "orders.new", "x", "--ack")
        self.refused("DX_EPERM", "alice", "pub", "other", "x", "--ack")
        line = self.audited(event="refused", action="publish", object="other", user="alice")
        self.assertEqual(line["result"], "DX_EPERM")
        self.assertIn("no rule allows it", line["reason"])

    def test_publishing_without_acknowledgements_is_refused_as_well(self):
        self.by("alice")("pub", "quiet.refused", "x", "--count", "3")
        self.audited(event="refused", action="publish", object="quiet.refused", user="alice")
        self.refused("DX_ENOTFOUND", "admin", "topic", "info", "quiet.refused")

    def test_topics_of_the_node(self):
        self.refused("DX_EPERM", "admin", "pub", "$dead.x", "x", "--ack")
        self.refused("no rule allows all of it", "bob", "sub", "$dead.>")

    def test_subscribing_to_more_than_is_allowed(self):
        for pattern, why in ((">", "subscribe_deny"), ("orders.secret", "subscribe_deny"),
                             ("orders.>", 'subscribe_deny "orders.secret" of role reader'),
                             ("*.new", "no rule allows all of it"),
                             ("calc.>", "no rule allows all of it")):
            self.refused(why, "bob", "sub", pattern)
        self.audited(event="refused", action="subscribe", object="orders.>", user="bob")

    def test_requests(self):
        answering = self.listen("bob", "reply", "calc.sum", "42")
        wait_for(lambda: self.by("alice")("request", "calc.sum", "1+41").stdout.strip() == "42",
                 "the answer has come")
        self.assertIsNone(answering.poll())
        self.refused("may not send requests to", "bob", "request", "calc.sum", "x")
        self.refused("may not send requests to", "alice", "request", "orders.new", "x")

    def test_an_inbox_is_one_users(self):
        self.listen("alice", "sub", "$inbox.of-alice")
        wait_for(lambda: "$inbox.of-alice" in self.patterns(), "alice listens")
        self.refused("it is another's inbox", "bob", "sub", "$inbox.of-alice")
        self.refused("an inbox is named whole", "bob", "sub", "$inbox.>")
        self.refused("an inbox is named whole", "admin", "sub", "$inbox.*")

    def test_administration(self):
        self.allowed("bob", "node", "info")
        self.refused("admin is none, must be read or write", "alice", "node", "info")
        self.refused("admin is read, must be write", "bob", "config", "set", "log.level", "debug")
        self.refused("admin is read, must be write", "bob", "config", "reload")
        self.allowed("admin", "config", "set", "log.level", "info")
        self.audited(event="admin", user="admin", action="config.set", object="log.level",
                     result="DX_OK")
        self.audited(event="refused", user="bob", action="admin write", object="config.set")

    def test_topics_are_created_and_deleted_by_who_manages_them(self):
        self.allowed("bob", "topic", "create", "own.bob.a")
        self.refused("may not create, change or delete", "bob", "topic", "create", "own.alice.a")
        self.refused("may not create, change or delete", "alice", "topic", "rm", "own.bob.a")
        self.audited(event="topic", user="bob", action="create", object="own.bob.a")

    def test_topics_that_a_user_has_nothing_to_do_with_are_not_shown(self):
        self.allowed("admin", "topic", "create", "hidden.x")
        self.allowed("admin", "topic", "create", "orders.shown")
        names = [one["name"] for one in json.loads(self.allowed("alice", "topic", "ls",
                                                                "-o", "json"))]
        self.assertIn("orders.shown", names)
        self.assertNotIn("hidden.x", names)
        self.refused("may not know of", "alice", "topic", "info", "hidden.x")

    def test_a_connection_too_many(self):
        self.listen("one", "sub", "orders.new")
        wait_for(lambda: self.user_info("one")["connections"] == 1, "it is connected")
        self.refused("user one has 1 connections, and connections_max is 1", "one", "pub",
                     "orders.new", "x")
        self.audited(event="connect_refused", result="DX_ELIMIT")
        self.assertGreater(self.users_info()["connections_refused"], 0)


class Rates(AccessTest):
    def test_over_its_rate_a_user_waits_and_loses_nothing(self):
        begun = time.monotonic()
        self.allowed("slow", "pub", "rate.x", "x", "--count", "700", "--ack")
        took = time.monotonic() - begun
        self.assertGreater(took, 0.55)  # 100 at once, then 1000 a second
        info = json.loads(self.allowed("admin", "topic", "info", "rate.x", "-o", "json"))
        self.assertEqual(info["published"], 700)
        slow = self.user_info("slow")
        self.assertGreater(slow["throttled"], 0)
        self.assertEqual(slow["publish_events_per_s"], 1000)

    def test_an_event_of_more_bytes_than_come_at_a_time_is_paid_off(self):
        begun = time.monotonic()
        self.allowed("heavy", "pub", "rate.z", "x" * 20000, "--count", "3", "--ack")
        self.assertGreater(time.monotonic() - begun, 0.25)  # 40,000 bytes before the third
        self.assertGreater(self.user_info("heavy")["throttled"], 0)

    def test_a_rate_that_is_taken_away_holds_nobody(self):
        before = self.user_info("slow")["throttled"]
        self.reload(users_text(slow="publish: rate.*, publish_events_per_s: 1"))
        waiting = self.listen("slow", "pub", "rate.y", "x", "--count", "5000", "--ack")
        wait_for(lambda: self.user_info("slow")["throttled"] > before, "it waits")
        self.reload(users_text(slow="publish: rate.*"))
        self.finished(waiting)
        self.reload(users_text())


class Reloads(AccessTest):
    def test_a_user_that_is_removed_is_cut_off(self):
        listening = self.listen("gone", "sub", "orders.new")
        self.audited(event="connect", user="gone")
        self.reload(users_text(gone=None))
        self.audited(event="disconnect", user="gone", result="DX_EPERM",
                     reason="user gone is no longer one of this node")
        self.refuses(FAILED, "the token is wrong", "topic", "ls", "--token", TOKENS["gone"])
        self.end(listening)
        self.reload(users_text())
        self.allowed("gone", "topic", "ls")

    def test_changed_permissions_count_for_connections_that_are_there(self):
        listening = self.listen("alice", "sub", "orders.new")
        wait_for(lambda: "orders.new" in self.patterns(), "it listens")
        self.reload(users_text(alice="publish: nothing"))
        _, said = listening.communicate(timeout=60)
        self.assertIn('user alice may not subscribe to "orders.new"', said.decode())
        self.assertIn(f"the users file was read again: {len(TOKENS)} users",
                      self.log.read_text("utf-8"))
        self.reload(users_text())

    @unittest.skipUnless(os.path.exists("/dev/full"), "there is no /dev/full")
    def test_an_audit_that_can_not_be_written_is_told(self):
        server = Server("--listen", f"unix://{self.folder}/full.sock", "--set",
                        f"access.file={self.users}", "--set", "access.audit_file=/dev/full")
        self.addCleanup(server.stop, signal.SIGKILL)
        wait_for(lambda: "and it CAN'T BE WRITTEN now" in self.allowed(
            "admin", "node", "users", "-a", server.address()), "it is told")

    def test_a_wrong_file_changes_nothing(self):
        before = self.node("config_reload_failures")
        self.reload("users:\n  admin: {pubish: x}\n")
        self.assertEqual(self.node("config_reload_failures"), before + 1)
        self.audited(event="reload", result="DX_EINVAL")
        self.assertIn("did you mean publish?", self.log.read_text("utf-8"))
        self.users.chmod(0o666)
        self.reload()
        self.assertIn("may be written by others", self.log.read_text("utf-8"))
        self.users.chmod(0o600)
        self.reload(users_text())
        self.audited(event="reload", result="DX_OK")

    def test_a_limit_of_the_node_is_told_once(self):
        """The node's answer DX_ELIMIT is none about the client's room: nothing is asked again."""
        before = self.node("config_reload_failures")
        self.users_write("roles:\n" + "".join(f"  r{number}: {{}}\n" for number in range(257)) +
                         users_text().removeprefix("roles:\n"))
        self.refused("roles", "admin", "config", "reload")
        self.assertEqual(self.node("config_reload_failures"), before + 1)
        self.assertEqual(len(self.events(event="reload", result="DX_ELIMIT")), 1)
        self.reload(users_text())

    def test_the_audit_goes_on_in_a_new_file(self):
        old = self.folder / "audit.old"
        self.audit.rename(old)
        self.reload()
        self.allowed("alice", "topic", "ls")
        self.audited(event="connect", user="alice")
        self.assertEqual(stat.S_IMODE(self.audit.stat().st_mode), 0o600)
        self.assertTrue(old.read_text("utf-8").endswith("}\n"))

    def test_nobody_stops_the_audit_from_elsewhere(self):
        self.refused("change it in the configuration file and reload", "admin", "config", "set",
                     "access.audit_file=")
        self.audited(event="admin", action="config.set", object="access.audit_file",
                     result="DX_EPERM")

    def test_check_reads_the_users_file(self):
        file = self.folder / "checked.yaml"
        users = self.folder / "checked-users.yaml"
        file.write_text(f"access:\n  file: {users}\n", encoding="utf-8")
        users.write_text("users:\n  a: {roles: b}\n", encoding="utf-8")
        users.chmod(0o600)
        self.refuses(FAILED, f"access.file: {users}:2: there is no role b", "config", "check", file)
        users.write_text("users:\n  a:\n", encoding="utf-8")
        self.ok("config", "check", file)
        file.write_text(f"access:\n  file: {users}\nauth:\n  token: x\n", encoding="utf-8")
        self.refuses(FAILED, "access.file and auth.token are both given", "config", "check", file)


class Secrets(AccessTest):
    """Planted secrets are nowhere but where they belong."""

    def memory_with(self, secrets):
        """Names of the places in a core of the node that would have one of them."""
        found, skips, place = [], False, None
        process = self.server.process.pid
        places = []
        for line in pathlib.Path(f"/proc/{process}/smaps").read_text("utf-8").splitlines():
            first = line.split()[0]
            if "-" in first and first[-1] != ":":
                place = [int(part, 16) for part in first.split("-")] + [line]
            elif first == "VmFlags:":
                flags = line.split()[1:]
                skips = "dd" in flags or "io" in flags or "rd" not in flags
                if not skips:
                    places.append(place)
        with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
            for begin, end, line in places:
                try:
                    memory.seek(begin)
                    content = memory.read(end - begin)
                except (OSError, ValueError, OverflowError):
                    continue
                found += [(secret, line) for secret in secrets if secret.encode() in content]
        return found

    def test_tokens_are_in_no_log_and_in_no_core(self):
        guess = "dxt_planted-as-a-guess-012345"
        self.listen("alice", "sub", "orders.new")
        wait_for(lambda: "orders.new" in self.patterns(), "alice listens")
        self.by("bob")("config", "set", "auth.token=dxt_planted-in-a-question-01234")
        self.refuses(FAILED, "wrong", "topic", "ls", "--token", guess)
        self.audited(event="connect_refused", reason="the token is wrong")
        for place in (self.audit, self.log):
            self.assertNotIn("dxt_", place.read_text("utf-8"), place)
        self.assertNotEqual(self.memory_with(["alice"]), [], "what is no secret is found")
        self.assertEqual(self.memory_with([TOKENS["alice"], guess]), [])


class SharedToken(Secrets):
    """The same for a token that the configuration has, in its text or in a file."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.stop()
        cls.key = cls.folder / "admin.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", cls.key, "-out",
                        cls.folder / "admin.pem"], check=True, capture_output=True)
        (cls.folder / "node.yaml").write_text(
            f"listen:\n  addresses: ['unix://{cls.folder}/dx.sock']\n"
            f"auth:\n  token: dxt_planted-in-the-configuration\n"
            f"admin:\n  enabled: true\n  address: https://127.0.0.1:0\n"
            f"  certificate_file: {cls.folder}/admin.pem\n  key_file: {cls.key}\n"
            f"trace:\n  endpoint: http://127.0.0.1:9\n"
            f"log:\n  file: {cls.log}\n", encoding="utf-8")
        # The address sanitizer keeps what was freed as it was, for long; so it writes over it.
        options = os.environ.get("ASAN_OPTIONS", "") + ":max_free_fill_size=1048576"
        cls.server = Server("-c", cls.folder / "node.yaml", ASAN_OPTIONS=options)

    def test_tokens_are_in_no_log_and_in_no_core(self):
        token = "dxt_planted-in-the-configuration"
        self.ok("config", "reload", "--token", token)
        self.assertNotIn("planted", self.ok("config", "get", "auth", "--token", token))
        self.assertNotIn("planted", self.log.read_text("utf-8"))
        self.assertNotEqual(self.memory_with(["dx.sock"]), [], "what is no secret is found")
        self.assertEqual(self.memory_with([token]), [])

    def test_the_key_of_the_admin_server_is_in_no_core(self):
        token = "dxt_planted-in-the-configuration"
        self.ok("config", "reload", "--token", token)
        lines = self.key.read_text("utf-8").splitlines()
        self.assertEqual(self.memory_with([lines[2], lines[9]]), [])

    def test_what_is_set_is_in_no_core(self):
        token = "dxt_planted-in-the-configuration"
        header = "planted-as-a-header-0123456789"
        self.ok("config", "set", "trace.headers", f"authorization={header}", "--token", token)
        self.ok("config", "set", f"auth.token={token}-as-it-was-set", "--token", token)
        self.addCleanup(self.ok, "config", "set", f"auth.token={token}", "--token",
                        f"{token}-as-it-was-set")
        self.assertEqual(self.memory_with([header, "as-it-was-set"]), [])


class UserCommand(DxTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "users.yaml"

    def user(self, *arguments):
        done = self.dx("user", *arguments, "-f", self.file)
        self.assertEqual(done.returncode, OK, done.stderr)
        return done.stdout

    def text(self):
        return self.file.read_text("utf-8")

    def write(self, text):
        self.file.write_text(text, encoding="utf-8")
        self.file.chmod(0o600)

    def test_a_new_file_is_its_owners_and_has_only_hashes(self):
        token = self.user("add", "a", "--publish", "x.>").strip()
        self.assertRegex(token, r"^dxt_[A-Za-z0-9_-]{43}$")
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertNotIn(token, self.text())
        self.assertIn(hashlib.sha256(token.encode()).hexdigest(), self.text())
        other = self.json("user", "add", "b", "-f", self.file)["token"]
        self.assertNotEqual(token, other)

    def test_what_a_person_wrote_stays(self):
        before = ("# Ours.\nroles:\n    device: {publish: 'a.>'} # all of them\n\nusers:\n"
                  "    # the first\n    a:\n        publish: b   # one\n\n    # the second\n"
                  "    c:\n        roles:\n            - device\n        token_sha256: "
                  + "0" * 64 + "\n# the end\n")
        self.write(before)
        self.user("add", "d", "--role", "device", "--publish", 'q"\\')
        self.user("token", "c")
        self.user("token", "a", "--keep")
        self.user("rm", "d")
        lines = [line for line in self.text().splitlines() if "token_sha256" not in line]
        self.assertEqual(lines, [line for line in before.splitlines()
                                 if "token_sha256" not in line])
        listed = {one["name"]: one for one in self.json("user", "ls", "-f", self.file)}
        self.assertEqual(listed["c"]["publish"], ["a.>"])
        self.assertEqual(listed["a"]["tokens"], 1)
        self.user("rm", "a")
        self.assertIn("# the second\n    c:", self.text())

    def test_tokens_change_over_four_at_most(self):
        self.user("add", "a")
        for count in (2, 3, 4):
            self.user("token", "a", "--keep")
            self.assertEqual(self.json("user", "ls", "-f", self.file)[0]["tokens"], count)
        self.refuses(FAILED, "user a has 4 tokens, which is the limit", "user", "token", "a",
                     "--keep", "-f", self.file)
        self.user("token", "a")
        self.assertEqual(self.json("user", "ls", "-f", self.file)[0]["tokens"], 1)

    def test_what_goes_wrong_changes_nothing(self):
        self.user("add", "a", "--publish", "x")
        before = self.text()
        for sentence, *arguments in (
                ("there is a user a", "add", "a"),
                ("must be 1 to 63 letters", "add", "a b"),
                ("empty part between dots", "add", "b", "--publish", "x..y"),
                ("there is no role", "add", "b", "--role", "none"),
                ("must be none, read or write", "add", "b", "--admin", "all"),
                ("has no user b", "rm", "b"),
                ("has no user b", "token", "b")):
            self.refuses(FAILED, sentence, "user", *arguments, "-f", self.file)
            self.assertEqual(self.text(), before)
        self.assertEqual([one.name for one in self.folder.iterdir()], ["users.yaml"])

    def test_more_than_a_command_can_say_is_refused_as_a_whole(self):
        many = [part for number in range(64) for kind in ("publish", "subscribe", "request")
                for part in (f"--{kind}", f"{kind}.{number}." + '"' * 200)]
        self.refuses(FAILED, "is too long; edit the file by hand", "user", "add", "a", *many, "-f",
                     self.file)
        self.assertEqual(list(self.folder.iterdir()), [])
        self.user("add", "a", *many[:128])
        self.assertEqual(sum(len(self.json("user", "ls", "-f", self.file)[0][kind])
                             for kind in ("publish", "subscribe", "request")), 64)

    def test_a_file_that_only_a_person_can_change_stays_as_it_is(self):
        self.write("users: {a: {publish: x}}\n")
        before = self.text()
        self.refuses(FAILED, "edit it by hand", "user", "add", "b", "-f", self.file)
        self.refuses(FAILED, "edit it by hand", "user", "token", "a", "-f", self.file)
        self.assertEqual(self.text(), before)

    def test_many_at_once_lose_nobody(self):
        processes = [subprocess.Popen([DX, "user", "add", f"u{i}", "-f", self.file],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                      env=clean_environment()) for i in range(8)]
        self.assertEqual([process.wait(60) for process in processes], [OK] * 8)
        self.assertEqual(len(self.json("user", "ls", "-f", self.file)), 8)

    def test_mode_and_link_stay(self):
        self.user("add", "a")
        self.file.chmod(0o640)
        link = self.folder / "link.yaml"
        link.symlink_to(self.file)
        self.assertEqual(self.dx("user", "add", "b", "-f", link).returncode, OK)
        self.assertTrue(link.is_symlink())
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o640)
        self.assertEqual(len(self.json("user", "ls", "-f", self.file)), 2)

    def test_check_says_yes_or_no_and_why(self):
        self.user("add", "a", "--publish", "x.{user}.>", "--publish-deny", "x.a.secret")
        self.assertEqual(self.ok("user", "check", "a", "publish", "x.a.b", "-f", self.file),
                         "allowed\n")
        done = self.dx("user", "check", "a", "publish", "x.a.secret", "-f", self.file)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('publish_deny "x.a.secret"', done.stdout)
        verdict = json.loads(self.dx("user", "check", "a", "admin-read", "-f", self.file,
                                     "-o", "json").stdout)
        self.assertEqual((verdict["allowed"], verdict["object"]), (False, None))
        self.refuses(USAGE, "did you mean publish?", "user", "check", "a", "publsh", "x", "-f",
                     self.file)
        self.refuses(USAGE, "publish wants a topic", "user", "check", "a", "publish", "-f",
                     self.file)

    def test_the_file_of_a_configuration(self):
        config = self.folder / "node.yaml"
        config.write_text(f"access:\n  file: {self.file}\n", encoding="utf-8")
        self.assertEqual(self.dx("user", "add", "a", "-c", config).returncode, OK)
        self.assertEqual(len(self.json("user", "ls", DX_ACCESS_FILE=str(self.file))), 1)
        self.refuses(USAGE, "which users file?", "user", "ls")


if __name__ == "__main__":
    unittest.main()
