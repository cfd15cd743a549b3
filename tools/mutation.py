#!/usr/bin/env python3
"""Breaks the ring in one place at a time, and expects a test to fail: what no test can break is not
tested. Run as `make mutation`.

Usage: tools/mutation.py [--list] [--only TEXT] [--again] [--equal] [--halves] [--quick] [--jobs N]

Two kinds of mutants. Memory orders: every acquire, release and fence in ORDER_FILES is found and
weakened, without a list of them. Steps and known bugs: tables in tools/mutants.py, which also says
which orders can't matter, each with its reason: those are tried with --equal only.

The tree is copied to build/mutation, once per job, and built there; the working tree is not
touched. What was killed stays known in build/mutation/results.json as long as nothing it depends on
changes (--again forgets it). Prints one line per mutant and a last line `N killed, N survived`;
exits with 1 when one survives, or is killed although mutants.py says that it can't matter, and with
2 when a text of mutants.py is no longer in the source.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import time

import mutants

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build/mutation"
SCENARIO_RUNS_FIRST = 1000
SCENARIO_TIMEOUT_S = 600
TEST_TIMEOUT_S = 60
ENVIRONMENT = {"DX_TEST_DEADLINE_S": "3", "DX_TEST_HAMMER": "3", "CMOCKA_TEST_ABORT": "1"}

# `old` stands at `offset` in `file` and becomes `new`. `tests`: where to look, best first; () = all
# scenarios. `why`: why it can't be noticed, or None.
Mutant = collections.namedtuple("Mutant", "file what offset old new tests why")

# An order, and what it becomes.
WEAKER = [
    (re.compile(r"\bdx_(load|load32)_acquire\b"), r"dx_\1_relaxed"),
    (re.compile(r"\bdx_(store|store32)_release\b"), r"dx_\1_relaxed"),
    (re.compile(r"\bdx_(\w+)_acq_rel\b"), r"dx_\1_relaxed"),
    (re.compile(r"\bdx_fence_(?:seq_cst|light)\(\);"), ";"),
    (re.compile(r"\bdxi_heavy_fence\([^()]*(?:\([^()]*\))?[^()]*\);"), ";"),
]
HALVES = [(re.compile(r"\bdx_(\w+)_acq_rel\b"), r"dx_\1_acquire"),
          (re.compile(r"\bdx_(\w+)_acq_rel\b"), r"dx_\1_release")]
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
FUNCTION = re.compile(r"^(?!static_assert|typedef|struct|#|\s)[^\n;={]*?\b(\w+)\([^;{]*\)\s*\{",
                      re.MULTILINE)

# The read-modify-writes that the library does not have: weaker ones.
WEAKER_OPERATIONS = ""
for _suffix, _order, _failure in (("relaxed", "RELAXED", "RELAXED"),
                                  ("acquire", "ACQUIRE", "ACQUIRE"),
                                  ("release", "RELEASE", "RELAXED")):
    for _bits, _in_name in ((64, ""), (32, "32")):
        _value, _word = f"int{_bits}_t", f"dx_atomic{_bits}_t"
        WEAKER_OPERATIONS += f"""
DX_INLINE bool dx_compare_exchange{_in_name}_{_suffix}({_word} *a, {_value} *e, {_value} d)
{{ return __atomic_compare_exchange_n(&a->word, e, d, 0, __ATOMIC_{_order}, __ATOMIC_{_failure}); }}
"""
        for _what in ("exchange", "fetch_add", "fetch_or", "fetch_and"):
            if f"{_what}{_in_name}_{_suffix}" != "fetch_add_relaxed":  # the library has that one
                _built_in = "exchange_n" if _what == "exchange" else _what
                WEAKER_OPERATIONS += f"""
DX_INLINE {_value} dx_{_what}{_in_name}_{_suffix}({_word} *a, {_value} v)
{{ return __atomic_{_built_in}(&a->word, v, __ATOMIC_{_order}); }}
"""


def blank_comments(text):
    """The text with comments and strings replaced by blanks of the same length."""
    return COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def function_at(code, offset):
    name = "?"
    for match in FUNCTION.finditer(code, 0, offset):
        name = match.group(1)
    return name


def argument_of(code, offset):
    """What stands between the parenthesis that opens at or after `offset` and its partner."""
    begin = code.index("(", offset) + 1
    depth, end = 1, begin
    while depth:
        depth += {"(": 1, ")": -1}.get(code[end], 0)
        end += 1
    return " ".join(code[begin:end - 1].split())


def order_mutants(halves):
    """A mutant per order in the files of the ring."""
    found = []
    for file in mutants.ORDER_FILES:
        code = blank_comments((ROOT / file).read_text())
        seen = collections.Counter()
        for pattern, weaker in WEAKER + (HALVES if halves else []):
            for match in pattern.finditer(code):
                function = function_at(code, match.start())
                if function in mutants.NOT_CONCURRENT:
                    continue
                call = match.group().split("(")[0]
                new = match.expand(weaker)
                what = f"{function}(): {call}({argument_of(code, match.start())})"
                if new != ";" and not new.endswith("relaxed"):
                    what += f" -> {new.rsplit('_', 1)[1]}"
                seen[what] += 1
                if seen[what] > 1:
                    what += f" #{seen[what]}"
                name = f"{pathlib.PurePath(file).name}: {what}"
                why = [why for pattern_, why in mutants.EQUAL if re.search(pattern_, name)]
                found.append(Mutant(file, what, match.start(), match.group(), new, (),
                                    why[0] if why else None))
    return found


def step_mutants():
    """A mutant per row of the tables. Exits when a text is not in its file exactly once."""
    found, moved = [], []
    for step in mutants.STEPS:
        text = (ROOT / step.file).read_text()
        if text.count(step.old) != 1:
            moved.append(step)
            continue
        found.append(Mutant(step.file, step.what, text.index(step.old), step.old, step.new,
                            tuple(step.tests), step.why))
    for step in moved:
        print(f"{step.file}: {step.what}: the text is not there exactly once: {step.old!r}")
    if moved:
        sys.exit(2)
    return found


def name_of(mutant):
    return f"{pathlib.PurePath(mutant.file).name}: {mutant.what}"


def run(command, timeout_s, environment=None):
    """Runs a command in its own process group. Returns its exit status, None when it ran too
    long."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                          env=environment, start_new_session=True) as process:
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None


def tracked_files():
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others",
                            "--exclude-standard"], capture_output=True, check=True)
    return [name for name in names.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def digest_of_inputs():
    """Changes with anything that a verdict depends on."""
    digest = hashlib.sha256()
    for name in sorted(tracked_files()):
        if name.startswith(("src/base", "src/ring", "include/", "tests/relacy", "tests/unit")):
            digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    return digest.hexdigest()


class Lane:
    """A copy of the tree with its build: one mutant at a time."""

    def __init__(self, number, quick):
        self.quick = quick
        self.source = FOLDER / f"lane{number}/source"
        self.build = FOLDER / f"lane{number}/build"
        names = set(tracked_files())
        for old in self.source.rglob("*"):
            if old.is_file() and str(old.relative_to(self.source)) not in names:
                old.unlink()
        for name in names:
            self.put(name, (ROOT / name).read_bytes())
        atomic = "include/disruptorx/atomic.h"
        text = (ROOT / atomic).read_text()
        end = text.rindex("#endif")
        self.put(atomic, (text[:end] + WEAKER_OPERATIONS + text[end:]).encode())
        options = ["-DCMAKE_BUILD_TYPE=Debug", "-DDX_TEST_HOOKS=ON", "-DDX_WERROR=OFF",
                   "-DCMAKE_C_COMPILER=gcc", "-DCMAKE_CXX_COMPILER=g++"]
        subprocess.run(["cmake", "-G", "Ninja", "-S", self.source, "-B", self.build, *options],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def put(self, name, data):
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)
            path.chmod((ROOT / name).stat().st_mode)

    def make(self, targets):
        done = subprocess.run(["ninja", "-C", self.build, "-j1", *targets], check=False,
                              capture_output=True, text=True)
        return None if done.returncode == 0 else done.stdout[-2000:]

    def programs(self):
        """{program: [scenario]}"""
        found = {}
        for path in sorted((self.source / "tests/relacy").glob("scenario_*.c")):
            names = re.findall(r'^ +\.name = "(.*)"', path.read_text(), re.MULTILINE)
            found[path.stem.replace("scenario_", "relacy_")] = names
        return found

    def killer(self, tests):
        """The first test that fails, or None. Many short runs of each scenario come first."""
        scenarios = {f"relacy.{name}": [self.build / "tests/relacy" / program, name]
                     for program, names in self.programs().items() for name in names}
        environment = {**os.environ, **ENVIRONMENT}
        names = list(tests) or list(scenarios)
        for name in names:
            if name in scenarios:
                short = ["--runs", str(SCENARIO_RUNS_FIRST), "--bound", "0"]
                if run(scenarios[name] + short, SCENARIO_TIMEOUT_S) not in (0, None):
                    return name
        for name in names if tests or not self.quick else []:
            if name in scenarios:
                # The machine counts its steps: one that takes long is slow, and has not failed.
                if run(scenarios[name], SCENARIO_TIMEOUT_S) not in (0, None):
                    return name
                continue
            command = [self.build / "tests/unit" / name.replace("unit.", "test_")]
            if run(command, TEST_TIMEOUT_S, environment) != 0:  # one that hangs has noticed
                return name
        return None

    def targets(self, tests):
        units = [name.replace("unit.", "test_") for name in tests if name.startswith("unit.")]
        return units + [program for program, names in self.programs().items()
                        if not tests or any(f"relacy.{name}" in tests for name in names)]

    def verdict(self, mutant, hint):
        """The killer, None, or "does not compile"."""
        before = (self.source / mutant.file).read_text()
        at = mutant.offset
        assert before[at:at + len(mutant.old)] == mutant.old
        self.put(mutant.file, (before[:at] + mutant.new + before[at + len(mutant.old):]).encode())
        try:
            # What killed it the last time first, and alone: it is built sooner.
            for tests in ([[hint]] if hint else []) + [mutant.tests]:
                failure = self.make(self.targets(tests))
                if failure is not None:
                    print(failure)
                    return "does not compile"
                killer = self.killer(tests)
                if killer is not None:
                    return killer
            return None
        finally:
            self.put(mutant.file, before.encode())


def report(mutant, killer, note):
    """Prints a line. Returns whether all is as it should be."""
    name = name_of(mutant)
    if killer == "does not compile":
        print(f"BROKEN    {name}: does not compile: the table has to follow the source")
        return False
    if mutant.why is None:
        print(f"killed    {name:86} {killer}, {note}" if killer else
              f"SURVIVED  {name}: no test fails: add one, or make the order needless")
        return killer is not None
    print(f"KILLED    {name}: by {killer}, though mutants.py says: {mutant.why}" if killer else
          f"equal     {name:86} {mutant.why}")
    return killer is None


def check_unmutated(lane, todo):
    tests = sorted({test for mutant in todo for test in mutant.tests if test.startswith("unit.")})
    failure = lane.make(lane.targets(tests) + list(lane.programs()))
    if failure is not None:
        sys.exit(f"the tree does not build:\n{failure}")
    killer = lane.killer([]) or (lane.killer(tests) if tests else None)
    if killer is not None:
        sys.exit(f"{killer} fails without a mutant")


def try_all(todo, lanes, known, digest):
    """Yields (mutant, killer, seconds), several mutants at a time."""
    free = queue.Queue()
    for lane in lanes:
        free.put(lane)

    def one(mutant):
        lane = free.get()
        try:
            begin = time.monotonic()
            hint = known.get(name_of(mutant), {}).get("killer")
            killer = lane.verdict(mutant, hint)
            return mutant, killer, time.monotonic() - begin
        finally:
            free.put(lane)

    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
        # Those of one file together: they build the same objects again.
        for done in concurrent.futures.as_completed([pool.submit(one, m) for m in todo]):
            mutant, killer, seconds = done.result()
            known[name_of(mutant)] = {"killer": killer, "digest": digest,
                                      "text": mutant.old + mutant.new}
            (FOLDER / "results.json").write_text(json.dumps(known, indent=1, sort_keys=True))
            yield mutant, killer, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("--only", default="", metavar="TEXT", help="those that contain this text")
    parser.add_argument("--again", action="store_true", help="also those whose verdict is known")
    parser.add_argument("--equal", action="store_true",
                        help="also those of which mutants.py says that they can't matter")
    parser.add_argument("--halves", action="store_true",
                        help="also take the acquire and the release out of each acq_rel alone")
    parser.add_argument("--quick", action="store_true",
                        help="only short runs: says soon what is killed, but not what survives")
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("DX_JOBS", "2")))
    arguments = parser.parse_args()
    todo = [m for m in step_mutants() + order_mutants(arguments.halves)
            if arguments.only in name_of(m) and (arguments.equal or m.why is None)]
    names = [name_of(m) for m in order_mutants(True)]
    gone = [row[0] for row in mutants.EQUAL if not any(re.search(row[0], name) for name in names)]
    if gone:
        print("\n".join(f"mutants.py says why this can't matter, but it is gone: {name}"
                        for name in gone))
        return 2
    if arguments.list:
        for mutant in todo:
            print(name_of(mutant))
        return 0

    FOLDER.mkdir(parents=True, exist_ok=True)
    results = FOLDER / "results.json"
    known = json.loads(results.read_text()) if results.is_file() else {}
    digest = digest_of_inputs()
    fine, killed, survived = True, 0, 0
    rest = []
    for mutant in todo:
        row = known.get(name_of(mutant), {})
        if (not arguments.again and row.get("digest") == digest and
                row.get("text") == mutant.old + mutant.new and
                (row["killer"] is None) == (mutant.why is not None)):
            fine &= report(mutant, row["killer"], "known")
            killed += row["killer"] is not None
        else:
            rest.append(mutant)
    if rest:
        count = max(1, min(arguments.jobs, len(rest)))
        lanes = [Lane(number, arguments.quick) for number in range(count)]
        check_unmutated(lanes[0], rest)
        for mutant, killer, seconds in try_all(rest, lanes, known, digest):
            good = report(mutant, killer, f"{seconds:.0f} s")
            sys.stdout.flush()
            fine &= good
            killed += good and killer is not None
            survived += not good
    equal = sum(mutant.why is not None for mutant in todo)
    print(f"{killed} killed, {survived} survived" + (f", {equal} equal" if equal else ""))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
