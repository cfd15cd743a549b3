#!/usr/bin/env python3
"""Runs docs/getting-started.md: installs a build into a temporary folder, and does what the page
says with what was installed. Each command, and each thing that it is said to print, is one test.

    tests/install/first_five_minutes.py [<build folder>]       default build/release

What a block is stands in a comment on the line before it:

    <!-- run -->                  commands, one a line; each must succeed
    <!-- run: beside -->          a command that goes on: it ends with the page
    <!-- run: not, WHY -->        not run
    <!-- file: NAME -->           the block becomes this file
    <!-- prints: COMMAND -->      the newest command that begins so prints these lines
    <!-- prints like: COMMAND --> it prints lines like these, with other numbers

The node listens on a socket of its own, so that it disturbs no other. The last line is
`N passed, N failed`.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/getting-started.md"
BLOCK = re.compile(r"^<!-- ([^\n]*?) -->\n```(\w+)\n(.*?)^```$|^```(sh)$", re.M | re.S)
SECONDS = int(os.environ.get("DX_TEST_TIMEOUT_S", "180"))


class Failed(Exception):
    pass


def wait_for(holds, what):
    """Waits for a condition, never for a time."""
    until = time.monotonic() + SECONDS
    while not holds():
        if time.monotonic() > until:
            raise Failed(f"it never came to this: {what}")
        time.sleep(0.02)


def squeeze(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def alike(line):
    """A line's pattern: other numbers, units and bars are as good."""
    plain = [word for word in line.split() if re.fullmatch(r"[a-z;:,.']+|%", word) and
             word not in ("us", "ms", "ns", "s")]
    return r"^.*" + ".*".join(map(re.escape, plain))


class Page:
    def __init__(self, folder, prefix):
        self.folder, self.passed, self.failed = folder, 0, 0
        self.beside, self.printed = [], []
        libraries = next(prefix.glob("lib*/**/libdisruptorx.so")).parent
        self.environment = {
            **os.environ, "HOME": str(folder), "DX_ADDRESS": f"unix://{folder}/dx.sock",
            "PATH": f"{prefix}/bin:{os.environ['PATH']}", "XDG_CONFIG_HOME": "",
            "PKG_CONFIG_PATH": f"{libraries}/pkgconfig", "LD_LIBRARY_PATH": str(libraries)}

    def test(self, name, function, *arguments):
        try:
            function(*arguments)
            self.passed += 1
            print(f"ok      {name}")
        except (Failed, OSError, subprocess.TimeoutExpired) as fault:
            self.failed += 1
            print(f"not ok  {name}\n{fault}")

    def output(self, name):
        return self.folder / f"{name}.out"

    def start(self, command):
        """A command that goes on; returns once it is heard of by the node."""
        if command.startswith("dx server"):
            command += f" --listen unix://{self.folder}/dx.sock"
        path = self.output(len(self.beside))
        with open(path, "wb") as out:
            process = subprocess.Popen(["sh", "-c", "exec " + command], cwd=self.folder, stdout=out,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       env=self.environment)
        self.beside.append((command, process, path))
        self.printed.append((command, path))
        wait_for(lambda: process.poll() is not None or self.is_up(), command)
        if process.poll() is not None:
            raise Failed(path.read_text("utf-8", "replace"))

    def is_up(self):
        """As many subscriptions as there are commands beside the node."""
        asked = subprocess.run(["dx", "node", "subscriptions", "-o", "json"], text=True,
                               env=self.environment, capture_output=True, check=False)
        wanted = sum(not command.startswith("dx server") for command, *_ in self.beside)
        return asked.returncode == 0 and asked.stdout.count('"pattern"') >= wanted

    def run(self, command):
        path = self.output(f"run{len(self.printed)}")
        done = subprocess.run(["sh", "-c", command], cwd=self.folder, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
        path.write_bytes(done.stdout)
        self.printed.append((command, path))
        if done.returncode != 0:
            raise Failed(f"exit code {done.returncode}\n{done.stdout.decode('utf-8', 'replace')}")

    def text_of(self, command):
        for printed, path in reversed(self.printed):
            if printed.startswith(command):
                return path
        raise Failed(f"no command begins with {command}")

    def prints(self, command, lines):
        # A terminal's table is as wide as its widest line: blanks don't count.
        path = self.text_of(command)
        wanted = squeeze(lines)
        wait_for(lambda: set(wanted) <= set(squeeze(path.read_text("utf-8", "replace"))),
                 f"it prints {wanted}, not {path.read_text('utf-8', 'replace')}")

    def prints_like(self, command, lines):
        text = self.text_of(command).read_text("utf-8", "replace")
        for line in lines.splitlines():
            if not re.search(alike(line), text, re.M):
                raise Failed(f"no line is like {line!r} ({alike(line)}) in\n{text}")

    def block(self, kind, language, text):
        if kind == "run: beside":
            self.test(text.strip(), self.start, text.strip())
        elif kind == "run":
            for line in text.splitlines():
                self.test(line, self.run, line)
        elif kind.startswith("file: "):
            (self.folder / kind[6:]).write_text(text, encoding="utf-8")
        elif kind.startswith("prints: "):
            self.test(f"what {kind[8:]} prints", self.prints, kind[8:], text)
        elif kind.startswith("prints like: "):
            self.test(f"what {kind[13:]} prints", self.prints_like, kind[13:], text)
        elif not kind.startswith("run: not, "):
            self.test(f"a {language} block of the page says what it is", self.fail, kind)

    @staticmethod
    def fail(kind):
        raise Failed(f"its comment is: {kind}")

    def stop(self):
        for command, process, path in reversed(self.beside):
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=SECONDS)
            if code not in (0, -signal.SIGINT, 130):
                raise Failed(f"{command} ended with {code}\n{path.read_text('utf-8', 'replace')}")


def install(build, prefix):
    done = subprocess.run(["cmake", "--install", build, "--prefix", prefix], text=True,
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise Failed(done.stdout + done.stderr)


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release").resolve()
    with tempfile.TemporaryDirectory(prefix="dx-test-") as name:
        folder = pathlib.Path(name)
        try:
            install(build, folder / "usr")
        except Failed as fault:
            sys.exit(f"{fault}\n0 passed, 1 failed")
        page = Page(folder, folder / "usr")
        try:
            for kind, language, text, bare in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
                page.block(kind, language or bare, text)
            page.test("everything ends with Ctrl-C", page.stop)
        finally:
            for _, process, _ in page.beside:
                if process.poll() is None:
                    process.kill()
        print(f"{page.passed} passed, {page.failed} failed")
        return page.failed != 0


if __name__ == "__main__":
    sys.exit(main())
