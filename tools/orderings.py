#!/usr/bin/env python3
"""Weakens one memory ordering, or takes out one step of a protocol, at a time, and expects a test
to fail: an ordering that no test can break is not tested.

Usage: tools/orderings.py [--list] [--only TEXT] [--keep]

Each row of MUTATIONS names a file, the exact text in it, what it becomes, and which tests must
notice; rows that no test can notice say why. The tree is copied to a temporary folder, so nothing
here is touched. Prints one line per row and a last line `N killed, N survived as explained, N
survived`; exits with 1 when a row survives without a reason or is killed in spite of one, and with
2 when a text is no longer found: then the table has to follow the source.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import collections
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Where and how tests run. `races`: gcc's race checker. `steps`: optimised, with the named points;
# what decides there is the order in which the processor makes stores visible, or a missing step.
BUILDS = {
    "races": ["-DCMAKE_BUILD_TYPE=Debug", "-DDX_TEST_HOOKS=ON", "-DDX_SANITIZE=thread",
              "-DCMAKE_C_COMPILER=gcc", "-DCMAKE_CXX_COMPILER=g++", "-DDX_WERROR=OFF"],
    "steps": ["-DCMAKE_BUILD_TYPE=Release", "-DDX_TEST_HOOKS=ON", "-DDX_WERROR=OFF"],
}
STRESS = "stress/test_stress"
PARK = "unit/test_park"
POOL = "unit/test_park_pool"
QUIET = "unit/test_wait_quiet"
ORDER = "unit/test_order"
ENVIRONMENT = {"DX_TEST_DEADLINE_S": "3", "DX_TEST_HAMMER": "6", "DX_STRESS_SECONDS": "6",
               "TSAN_OPTIONS": "halt_on_error=1:report_thread_leaks=0"}
TEST_TIMEOUT_S = 60

Mutation = collections.namedtuple("Mutation", "file what old new build tests why")


def race(file, what, old, new, why=None, tests=None):
    return Mutation(file, what, old, new, "races", tests or [STRESS], why)


def step(file, what, old, new, tests, why=None):
    return Mutation(file, what, old, new, "steps", tests, why)


PRODUCER_H = "include/disruptorx/producer.h"
CONSUMER_H = "include/disruptorx/consumer.h"
CONSUMER = "src/ring/consumer.c"
SEQUENCES = "src/ring/sequences.c"
PRODUCER = "src/ring/producer.c"
PARK_C = "src/ring/park.c"
WAIT = "src/ring/wait.c"
WORKER = "src/ring/worker.c"
RING = "src/ring/ring.c"

COMPILER_ONLY = ("keeps the compiler, which no compiler we build with uses its right to move; the "
                 "processor is dealt with by the sleeper's membarrier()")
SAME_ON_X86 = "the exchange is one locked instruction on x86 in any order"
ONCE = ("happens once in a consumer's life: no test can aim at the few nanoseconds in which the "
        "fence decides; same proof as the fence of dxi_park_consumer()")

MUTATIONS = [
    # ---- publishing and reading
    race(PRODUCER_H, "(P) publish, single: release", "dx_store_release(&block->cursor, last);",
         "dx_store_relaxed(&block->cursor, last);"),
    race(PRODUCER_H, "(S) publish, multi: release",
         "dx_store32_release(&producer->stamps", "dx_store32_relaxed(&producer->stamps"),
    race(CONSUMER_H, "poll: acquire", "dx_load_acquire(consumer->source)",
         "dx_load_relaxed(consumer->source)"),
    race(WAIT, "spin briefly: acquire", "dx_load_acquire(source)", "dx_load_relaxed(source)"),
    race(CONSUMER, "observe a stamp: acquire",
         "dx_load32_acquire(&consumer->stamps[sequence & consumer->mask])",
         "dx_load32_relaxed(&consumer->stamps[sequence & consumer->mask])"),
    race(CONSUMER_H, "(R) release a slot: release",
         "dx_store_release(&consumer->entry->sequence, sequence);",
         "dx_store_relaxed(&consumer->entry->sequence, sequence);"),
    race(SEQUENCES, "minimum of consumers: acquire",
         "dx_load_acquire(&entries[__builtin_ctzll(mask)].sequence)",
         "dx_load_relaxed(&entries[__builtin_ctzll(mask)].sequence)"),
    race(SEQUENCES, "published, multi: acquire of the stamp",
         "dx_load32_acquire(&dxi_block_stamps(block)[index])",
         "dx_load32_relaxed(&dxi_block_stamps(block)[index])"),
    race(SEQUENCES, "published: acquire of the cursor",
         "int64_t cursor = dx_load_acquire(&block->cursor);",
         "int64_t cursor = dx_load_relaxed(&block->cursor);", tests=[ORDER]),
    # ---- handing over
    race(PRODUCER, "close a producer: release of its entry",
         "dx_store32_release(&core->entry->in_use, 0);",
         "dx_store32_relaxed(&core->entry->in_use, 0);",
         "the count of open producers, changed before and read after it, orders the same"),
    race(WORKER, "a worker becomes idle: release",
         "dx_store_release(&consumer->entry->sequence, DX_SEQUENCE_IDLE);",
         "dx_store_relaxed(&consumer->entry->sequence, DX_SEQUENCE_IDLE);"),
    # ---- going to sleep: the pair of Dekker (W1), (W2), K4
    step(PARK_C, "membarrier(): the other threads' fence",
         "(void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);", "", [POOL]),
    step(PARK_C, "a consumer's heavy fence before its look",
         "    dxi_heavy_fence();\n    dxi_point(\"park:before-look\");",
         "    dxi_point(\"park:before-look\");", [POOL]),
    step(PARK_C, "a producer's heavy fence before its look",
         "    dxi_heavy_fence();\n    dxi_point(\"park-producer:before-look\");",
         "    dxi_point(\"park-producer:before-look\");", [POOL]),
    step(PARK_C, "publish without membarrier(): fence",
         "dx_fence_seq_cst(); /* no membarrier() here: (W1) needs the fence itself */", "", [POOL]),
    step(PARK_C, "release without membarrier(): fence",
         "dx_fence_seq_cst(); /* as in dxi_publish_slow() */", "", [POOL]),
    step(PRODUCER_H, "(W1) compiler barrier", '__asm__ __volatile__("" ::: "memory");', "", [POOL],
         COMPILER_ONLY),
    step(CONSUMER_H, "(W2) compiler barrier", '__asm__ __volatile__("" ::: "memory");', "", [POOL],
         COMPILER_ONLY),
    step(PARK_C, "K4: the look after the bit",
         "dx_consumer_poll(consumer) >= want || place_of(consumer, want) != place;", "false;",
         [PARK]),
    step(PARK_C, "K4: the look at the place", " || place_of(consumer, want) != place;", ";",
         [PARK]),
    step(PARK_C, "a consumer's look at halt and cancel",
         "if (!there && dx_load32_acquire(&entry->control) == 0 &&", "if (!there &&", [PARK],
         "a halt and a cancel leave a token, and the futex does not sleep on one"),
    step(PARK_C, "a consumer's look at who has ended",
         " &&\n        dxi_ended_before(block, consumer->upstream, want) == 0) {", ") {", [PARK]),
    step(PARK_C, "a producer's look at the room",
         "const bool room = dxi_gating_minimum(block) >= wrap;", "const bool room = false;",
         [PARK]),
    step(PARK_C, "a producer's look at the closed bit",
         "if (!room && dx_load_relaxed(&block->signal) >= 0 &&", "if (!room &&", [PARK]),
    step(PARK_C, "a producer's look at its cancel flag",
         "        dx_load32_acquire(&core->entry->cancel) == 0 &&\n", "", [PARK]),
    step(PARK_C, "a producer's look at who has ended",
         " &&\n        dxi_ended_before(block, (uint64_t)dx_load_acquire(&block->gating), wrap) =="
         " 0) {", ") {", [PARK]),
    step(PARK_C, "a producer's epoch from before its look",
         "futex_wait(&block->space_epoch, epoch,",
         "(void)epoch;\n        futex_wait(&block->space_epoch, "
         "dx_load32_acquire(&block->space_epoch),", [PARK]),
    # ---- waking
    step(PARK_C, "K2: only who clears the bit wakes",
         "if ((dx_fetch_and_acq_rel(waiters, ~bit) & bit) != 0) {",
         "(void)dx_fetch_and_acq_rel(waiters, ~bit);\n        {", [PARK]),
    step(PARK_C, "K3: the token is used up, parking", "dx_store32_relaxed(&entry->park, 0);", "",
         [PARK]),
    step(PARK_C, "K3: the token is used up, pausing",
         "(void)dx_exchange32_acq_rel(&entry->park, 0);", "", [QUIET]),
    step(PARK_C, "a sleeper that was not woken takes its bit back",
         "(void)dx_fetch_and_acq_rel(place, ~bit);", "", [PARK]),
    step(PARK_C, "the token before the futex",
         "dx_store32_release(&entry->park, 1);\n", "", [PARK, POOL]),
    race(PARK_C, "the token: release", "dx_store32_release(&entry->park, 1);",
         "dx_store32_relaxed(&entry->park, 1);",
         "a woken consumer acquires what it reads next from its own word: sequence or control"),
    race(PARK_C, "who sleeps: acquire of the mask",
         "(dx_load_acquire(waiters) & DXI_SIGNAL_SLEEPERS)",
         "(dx_load_relaxed(waiters) & DXI_SIGNAL_SLEEPERS)",
         "orders the load of `want`, an atomic: no race; x86 loads in order"),
    step(PARK_C, "precise: only who wants it",
         "block->mode == DX_RING_SINGLE ? INT64_MIN : first, last);", "INT64_MIN, last);", [PARK]),
    step(PARK_C, "precise: nobody else", "if (want < first || want > last) {",
         "if (want > last) {", [PARK]),
    step(PARK_C, "failure wakes through the stages",
         "if ((dxi_upstream_closure(block, UINT64_C(1) << between) & self) != 0) {",
         "if (between == index) {", [PARK]),
    step(PARK_C, "without a consumer a publication makes room",
         "if (dx_load_acquire(&block->gating) == 0) {",
         "if (dx_load_acquire(&block->gating) == -1) {", [PARK]),
    step(CONSUMER, "joining wakes producers",
         "    dxi_wake_producers(block); /* one may have gone to sleep", "    /*", [PARK]),
    step(CONSUMER, "failing: heavy fence",
         "DX_CONSUMER_FAILED);\n    dxi_heavy_fence();", "DX_CONSUMER_FAILED);", [PARK, POOL],
         ONCE),
    step(CONSUMER, "joining: heavy fence",
         'dxi_point("open:before-fence");\n    dxi_heavy_fence();',
         'dxi_point("open:before-fence");', [STRESS],
         "the mask is changed by a locked instruction, on x86 this thread's fence; that of the "
         "producers matters in the few nanoseconds between their looks at mask and sequences"),
    step(RING, "closing: heavy fence",
         "dxi_heavy_fence();\n    dxi_wake_producers(ring->block);",
         "dxi_wake_producers(ring->block);", [PARK, POOL],
         "happens once; the mask is changed by a locked instruction, and a publish in flight is "
         "drained from its store buffer long before shutdown looks again"),
    # ---- pools
    step(WORKER, "W2: announce before the claim",
         "        dx_store_release(&consumer->entry->sequence, claimed);\n", "",
         [STRESS, "unit/test_worker"]),
    race(WORKER, "W2: release of the announcement",
         "dx_store_release(&consumer->entry->sequence, claimed);",
         "dx_store_relaxed(&consumer->entry->sequence, claimed);",
         "the swap after it releases"),
    race(WORKER, "claim: acquire of the pool's word",
         "int64_t claimed = dx_load_acquire(pool_word);",
         "int64_t claimed = dx_load_relaxed(pool_word);",
         "the wait acquires what is read, and the swap checks the number"),
    step(CONSUMER, "a lapped worker sees a later lap",
         "if ((int32_t)((uint32_t)stamp - (uint32_t)lap) < 0) {", "if (stamp != lap) {", [POOL]),
    # ---- claiming
    race(PRODUCER_H, "multi: order of the swap",
         "!dx_compare_exchange_acq_rel(&block->claimed, &claimed, claimed + count)",
         "!__atomic_compare_exchange_n(&block->claimed.word, &claimed, claimed + count, 0, "
         "__ATOMIC_RELAXED, __ATOMIC_RELAXED)",
         "the slots are ordered by the acquire behind `limit`; the number only has to be unique"),
    race(SEQUENCES, "published: acquire of the claims",
         "const int64_t claimed = dx_load_acquire(&block->claimed);",
         "const int64_t claimed = dx_load_relaxed(&block->claimed);",
         "a number: what stands in the slots comes with their stamps"),
    race(SEQUENCES, "gating minimum: acquire of the second look",
         "const int64_t now = dx_load_acquire(&block->joins);",
         "const int64_t now = dx_load_relaxed(&block->joins);",
         "orders atomics against each other: no race to report; x86 loads in order"),
    step(SEQUENCES, "gating minimum: the second look at who joined",
         "if (now == joins) {", "if (now == joins || now != joins) {",
         ["unit/test_producer_full"]),
    step(SEQUENCES, "gating minimum: joins counted, not seen in the mask",
         "const int64_t now = dx_load_acquire(&block->joins);",
         "const int64_t now = joins + ((dx_load_acquire(&block->gating) & ~(int64_t)gating) != 0);",
         [ORDER]),
]


def run(command, timeout_s, environment=None):
    """Runs a command in its own process group. Returns its exit status, None when it ran too
    long."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env=environment, start_new_session=True) as process:
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None


def copy_tree(target):
    """Every file that git tracks, as it stands in the working tree."""
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True,
                           check=True).stdout.decode().split("\0")
    for name in names:
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def not_found(mutations):
    """Rows whose text is not in its file exactly once."""
    return [m for m in mutations if (ROOT / m.file).read_text().count(m.old) != 1]


class Laboratory:
    """A copy of the tree with a build folder per way to build."""

    def __init__(self, folder, mutations):
        self.folder = folder
        self.source = folder / "source"
        self.tests = {build: sorted({test for m in mutations if m.build == build
                                     for test in m.tests}) for build in BUILDS}
        copy_tree(self.source)
        for build, options in BUILDS.items():
            if self.tests[build]:
                subprocess.run(["cmake", "-G", "Ninja", "-S", self.source, "-B", folder / build,
                                *options], check=True, stdout=subprocess.DEVNULL)
                self.make(build, self.tests[build])

    def make(self, build, tests):
        targets = [pathlib.PurePath(test).name for test in tests]
        done = subprocess.run(["ninja", "-C", self.folder / build, *targets], check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"the {build} build fails:\n{done.stdout[-3000:]}")

    def killer(self, build, tests):
        """The first test that fails, None when all pass."""
        environment = {**os.environ, **ENVIRONMENT}
        # gcc's race checker does not know the address layout of some kernels.
        shell = ["setarch", os.uname().machine, "-R"] if build == "races" else []
        for test in tests:
            status = run([*shell, self.folder / build / "tests" / test], TEST_TIMEOUT_S,
                         environment)
            if status != 0:
                return pathlib.PurePath(test).name
        return None

    def try_one(self, mutation):
        path = self.source / mutation.file
        text = path.read_text()
        path.write_text(text.replace(mutation.old, mutation.new))
        try:
            self.make(mutation.build, mutation.tests)
            return self.killer(mutation.build, mutation.tests)
        finally:
            path.write_text(text)


def report(mutation, killer, seconds):
    """Prints a row. Returns "killed", "explained" or "wrong"."""
    name = f"{pathlib.PurePath(mutation.file).name}: {mutation.what}"
    if killer is not None and mutation.why is None:
        print(f"killed    {name:62} {killer}, {seconds:.0f} s")
        return "killed"
    if killer is None and mutation.why is not None:
        print(f"explained {name:62} {mutation.why}")
        return "explained"
    if killer is None:
        print(f"SURVIVED  {name:62} no test fails: add one, or say why none can")
    else:
        print(f"KILLED    {name:62} by {killer}, though the table says: {mutation.why}")
    return "wrong"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--list", action="store_true", help="print the rows and stop")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows that contain this text")
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder")
    arguments = parser.parse_args()
    mutations = [m for m in MUTATIONS if arguments.only in f"{m.file}: {m.what}"]
    if arguments.list:
        for m in mutations:
            print(f"{m.file}: {m.what} ({m.build}: {', '.join(m.tests)})")
        return 0
    moved = not_found(mutations)
    for m in moved:
        print(f"{m.file}: {m.what}: the text is not there exactly once: {m.old!r}")
    if moved:
        return 2

    folder = pathlib.Path(tempfile.mkdtemp(prefix="orderings-"))
    counts = collections.Counter()
    try:
        laboratory = Laboratory(folder, mutations)
        for build, tests in laboratory.tests.items():
            killer = laboratory.killer(build, tests)
            if killer is not None:
                print(f"{killer} fails without a mutation in the build for {build}")
                return 1
        # Rows of one file together: they rebuild the same objects.
        for m in sorted(mutations, key=lambda m: (m.build, m.file)):
            begin = time.monotonic()
            killer = laboratory.try_one(m)
            counts[report(m, killer, time.monotonic() - begin)] += 1
            sys.stdout.flush()
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{counts['killed']} killed, {counts['explained']} survived as explained, "
          f"{counts['wrong']} not as the table says")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
