"""The tables of tools/mutation.py: steps of protocols to take out, known bugs to put back, and the
orders that can't matter.

SPDX-License-Identifier: Apache-2.0
"""
import collections

# Every acquire, release and fence in these files is weakened.
ORDER_FILES = [
    "include/disruptorx/producer.h",
    "include/disruptorx/consumer.h",
    "src/ring/park.c",
    "src/ring/sequences.c",
    "src/ring/mark.c",
    "src/ring/producer.c",
    "src/ring/consumer.c",
    "src/ring/wait.c",
    "src/ring/worker.c",
    "src/ring/recover.c",
    "src/ring/ring.c",
]

# Functions in them whose orders are not tried: they run under the table lock on both sides, or
# while nobody else runs, and the lock or the thread's start orders them.
NOT_CONCURRENT = {
    "dx_ring_reset", "dx_ring_reopen", "dxi_producers_open", "options_validate", "resume_locked",
    "open_locked", "entry_open", "take_over", "worker_admission", "join_pool", "dxi_pool_admits",
    "dxi_recover_self", "release_dead", "handle_stalled", "lose_consumer", "recover_consumers",
    "find_dead", "holds_claims", "is_over", "recover_producers", "dxi_recover_closed",
    "dxi_recover_closed_try", "dxi_recover_table", "dxi_recover", "unlink_consumer",
    "dxi_whole_pools", "dxi_upstream_closure",
}

# (what the mutant's name matches, why no program can tell the difference). Tried with --equal.
NUMBER = "a number that decides where or whether to wait; what it is about is looked at after it"
FLAG = "a flag: nothing else is read by its leave, and the fence and the token bring it in time"
SWAP = "one word's own order is enough: nothing else is read by what the operation finds"
BOTH = "the fences of both sides stand between: dxi_heavy_fence(), and (W1), (W2) or a full fence"
EQUAL = [
    (r"dxi_producer_hold\(\).*held_last",
     "held_first, stored behind it and read before it, releases; a new last only covers more"),
    (r"park\.c: place_of\(\)", NUMBER),
    (r"dxi_park_(consumer|pause)\(\): dx_load32_acquire\(&entry->(control|park)\)", FLAG),
    (r"dxi_park_producer\(\): dx_load32_acquire\(&core->entry->cancel\)", FLAG),
    (r"dxi_park_producer\(\): dx_load_acquire\(&block->gating\)", NUMBER),
    (r"dxi_park_producer\(\): dx_load32_acquire\(&block->space_epoch\)",
     "the exchange of space_waiters behind it acquires what a waker did before it took the flag"),
    (r"dxi_park_producer\(\): dx_(exchange32|fetch_or)_acq_rel", BOTH),
    (r"dxi_park_consumer\(\): dx_fetch_(or|and)_acq_rel", BOTH),
    (r"dxi_wake_waiters\(\): dx_(load_acquire|fetch_and_acq_rel)", BOTH),
    (r"dxi_wake_consumer\(\): dx_store32_release", BOTH),
    (r"dxi_wake_(followers|all)\(\): dx_load_acquire\(&block->active\)", BOTH),
    (r"(publish|release)_slow\(\): dx_(fetch_and|exchange32)_acq_rel", BOTH),
    (r"dxi_published_seen\(\): dx_load_acquire\(&block->claimed\)",
     "what lies a ring's length behind a claim is read by nobody; the stamps bring the rest"),
    (r"dxi_published\(\): dx_load_acquire\(&block->cursor\)", SWAP),
    (r"dxi_ended_before\(\): dx_load_acquire\(&entries\[index\]\.sequence\)", NUMBER),
    (r"mark\.c: ",
     "who sets a mark releases its sequence, or the stamp, behind it; readers acquire that"),
    (r"producer\.c: (waits_for_itself|needs_ended_consumer)\(\)", NUMBER),
    (r"producer\.c: claim_hopeless\(\)|wait_interrupted\(\)|worker_handle\(\): dx_load32", FLAG),
    (r"dxi_producer_cancel\(\): dx_store32_release", FLAG),
    (r"dxi_producer_open\(\): dx_load_acquire\(&block->cursor\)",
     "the entry, taken before, brings what its last owner published"),
    (r"start_place\(\)", "the sequence that is stored behind it releases"),
    (r"join\(\): dx_store_release\(&entry->sequence, dxi_gating_minimum",
     "the fences of this dxi_gating_minimum() and of the reader's stand between"),
    (r"join\(\): dx_fetch_or_acq_rel\(&block->active", "for eyes, and for those under the lock"),
    (r"wait\.c: (__attribute__|dxi_pause_watch)\(\)", NUMBER),
    (r"worker_claim\(\): dx_load_acquire\(pool_word\)",
     "the wait acquires what is read, and the swap checks the number"),
    (r"worker_claim\(\): dx_store_release", "the swap behind it releases"),
    (r"dxi_worker_hand_over\(\): dx_store_release\(&to->",
     "the other worker's word, read with this one, brings what is done"),
    (r"dx_ring_close\(\): dx_fetch_or_acq_rel", BOTH),
]

Step = collections.namedtuple("Step", "file what old new tests why", defaults=[None])

STEPS = []


def step(file, what, old, new, *tests, why=None):
    STEPS.append(Step(file, what, old, new, tests, why))


PRODUCER_H = "include/disruptorx/producer.h"
CONSUMER_H = "include/disruptorx/consumer.h"
PARK = "src/ring/park.c"
SEQUENCES = "src/ring/sequences.c"
PRODUCER = "src/ring/producer.c"
CONSUMER = "src/ring/consumer.c"
WAIT = "src/ring/wait.c"
WORKER = "src/ring/worker.c"
MARK = "src/ring/mark.c"
RECOVER = "src/ring/recover.c"
RELINK = "src/ring/relink.c"
PROCESSOR = "src/ring/processor.c"
DISRUPTOR = "src/ring/disruptor.c"

# ---- going to sleep
step(PARK, "membarrier(): the other threads' fence",
     "(void)syscall(SYS_membarrier, command, 0, 0);", "(void)command;",
     "relacy.sleep-cursor", "relacy.sleep-full")
step(PARK, "K4: the look after the bit",
     "dx_consumer_poll(consumer) >= want || place_of(consumer, want) != place;", "false;",
     "relacy.sleep-cursor")
step(PARK, "K4: the look at the place", " || place_of(consumer, want) != place;", ";",
     "relacy.sleep-branches")
step(PARK, "a consumer's look at who has ended",
     " &&\n        dxi_ended_before(block, consumer->upstream, want) == 0) {", ") {",
     "relacy.sleep-fail-behind")
step(PARK, "a producer's look at the room", "const bool room = dxi_gating_minimum(block) >= wrap;",
     "const bool room = false;\n    (void)wrap;", "relacy.sleep-full")
step(PARK, "a producer's look at the closed bit",
     "if (!room && dx_load_relaxed(&block->signal) >= 0 &&", "if (!room &&", "relacy.sleep-close")
step(PARK, "a producer's look at its cancel flag",
     "        dx_load32_acquire(&core->entry->cancel) == 0 &&\n", "",
     "relacy.sleep-cancel-producer")
step(PARK, "a producer's look at who has ended",
     " &&\n        "
     "dxi_ended_before(block, (uint64_t)dx_load_acquire(&block->gating), wrap) == 0) {",
     ") {", "relacy.sleep-fail-producer")
step(PARK, "a producer's epoch from before its look", "futex_wait(&block->space_epoch, epoch,",
     "(void)epoch;\n        futex_wait(&block->space_epoch, "
     "dx_load32_acquire(&block->space_epoch),", "relacy.sleep-full")
step(PARK, "a producer's flag", "(void)dx_exchange32_acq_rel(&block->space_waiters, 1);", "",
     "relacy.sleep-full")
step(PARK, "without a consumer a publication makes room",
     "if (dx_load_acquire(&block->gating) == 0) {", "if (dx_load_acquire(&block->gating) == -1) {",
     "relacy.sleep-alone")
# ---- waking
step(PARK, "K2: only who clears the bit wakes",
     "if ((dx_fetch_and_acq_rel(waiters, ~bit) & bit) != 0) {",
     "(void)dx_fetch_and_acq_rel(waiters, ~bit);\n        {", "unit.park")
step(PARK, "K3: the token is used up, parking", "dx_store32_relaxed(&entry->park, 0);", "",
     "unit.park")
step(PARK, "K3: the token is used up, pausing", "(void)dx_exchange32_acq_rel(&entry->park, 0);", "",
     "unit.wait_quiet")
step(PARK, "a sleeper that was not woken takes its bit back",
     "(void)dx_fetch_and_acq_rel(place, ~bit);", "", "unit.park")
step(PARK, "the token before the futex", "    dx_store32_release(&entry->park, 1);\n", "",
     "relacy.sleep-cursor")
step(PARK, "the futex behind the token", "    futex_wake(&entry->park, 1, shared);\n",
     "    (void)shared;\n", "relacy.sleep-cursor")
step(PARK, "the epoch before the futex",
     "(void)dx_fetch_add32_acq_rel(&block->space_epoch, 1);", "", "relacy.sleep-full")
step(PARK, "precise: only who wants it",
     "block->mode == DX_RING_SINGLE ? INT64_MIN : first, last);", "INT64_MIN, last);", "unit.park")
step(PARK, "precise: nobody else", "if (want < first || want > last) {", "if (want > last) {",
     "unit.park")
step(PARK, "failure wakes through the stages",
     "if ((dxi_upstream_closure(block, UINT64_C(1) << between) & self) != 0) {",
     "if (between == index) {", "relacy.sleep-fail-behind")
# ---- joining, leaving, working
step(SEQUENCES, "gating minimum: the second look at who joined",
     "if (dx_load_relaxed(&block->joins) == joins) {",
     "if (dx_load_relaxed(&block->joins) == joins || joins != -1) {",
     "relacy.join-multi", "unit.producer_full")
step(SEQUENCES, "gating minimum: joins counted, not seen in the mask",
     "if (dx_load_relaxed(&block->joins) == joins) {",
     "if (joins != -1 && (dx_load_acquire(&block->gating) & ~(int64_t)gating) == 0) {",
     "relacy.swap", "unit.order")
step(SEQUENCES, "gating minimum: the fence stands behind what was read",
     "        dxi_point(\"gating:mask-read\");\n"
     "        const int64_t minimum = gating != 0 ? dxi_minimum(block, gating) : "
     "dxi_published(block);\n        /* Dekker pair",
     "        dx_fence_seq_cst();\n        dxi_point(\"gating:mask-read\");\n"
     "        const int64_t minimum = gating != 0 ? dxi_minimum(block, gating) : "
     "dxi_published(block);\n        if (gating == UINT64_MAX) /* Dekker pair",
     "relacy.join-late")
step(RELINK, "who sees that somebody gates again sees the bit",
     "sees the bit. */\n        dx_store_release(&block->joins,",
     "sees the bit. */\n        dx_store_relaxed(&block->joins,", "relacy.follow-stale")
step(RELINK, "who is told to bind again is woken, or sees that it was told",
     "    dx_fence_seq_cst();\n    for (; told", "    for (; told", "relacy.leave-token")
step(WORKER, "W2: announce before the claim",
     "        dx_store_release(&consumer->entry->sequence, claimed);\n", "",
     "relacy.workers", "relacy.workers-behind")
step(CONSUMER, "a lapped worker sees a later lap",
     "if ((int32_t)((uint32_t)stamp - (uint32_t)lap) < 0) {", "if (stamp != lap) {",
     "relacy.workers-lap")
step(SEQUENCES, "a pool's word before those of its workers",
     "    for (; mask != 0; mask &= mask - 1) {\n        /* ACQUIRE, pairs with (R)",
     "    mask = mask & (mask - 1) ? mask & (mask - 1) : mask;\n"
     "    for (; mask != 0; mask &= mask - 1) {\n        /* ACQUIRE, pairs with (R)",
     "relacy.workers-behind", "relacy.diamond")
# ---- recovery
step(PRODUCER_H, "I4: the record before a claim",
     "    dx_store_release(&entry->held_last, last);\n"
     "    dx_store_release(&entry->held_first, first);\n",
     "    (void)entry, (void)first, (void)last;\n",
     "relacy.recover-race", "relacy.recover-claims")
step(PRODUCER_H, "the record of a hull goes when it is published",
     "    if (producer->held == 0) {\n",
     "    if (producer->held == -1) {\n", "relacy.recover-hull")
step(PRODUCER_H, "only a publication of all that is held needs no count",
     "first == producer->held_first && last == producer->claimed", "last == producer->claimed",
     "relacy.batch", "unit.producer")
step(RECOVER, "a living producer's record counts",
     "        if (sequence >= first && sequence <= last) {\n            return true;",
     "        if (sequence >= first && sequence <= last) {\n            return false;",
     "relacy.recover-race")
step(RECOVER, "the second look at the stamp", "} else if (!dxi_is_stamped(block, sequence)) {",
     "} else {", "relacy.recover-race")
step(MARK, "M2: a mark is announced",
     "    int64_t last = dx_load_relaxed(&block->marks_last);\n    while (last < sequence",
     "    int64_t last = INT64_MAX;\n    while (last < sequence", "relacy.abort")

# ---- the known bugs of other implementations, put into this one
step(PRODUCER, "bug: a slow claim publishes what was claimed before",
     "    claim->limit = limit_now(block);\n    if (block->mode == DX_RING_SINGLE) {\n",
     "    claim->limit = limit_now(block);\n    if (block->mode == DX_RING_SINGLE) {\n"
     "        dx_store_release(&block->cursor, claim->claimed);\n", "unit.producer")
step(PARK, "bug: a consumer spins on a claim that is not published",
     "    dx_atomic64_t *place = place_of(consumer, want);\n    if (place == NULL) {",
     "    dx_atomic64_t *place = place_of(consumer, want);\n"
     "    if (place == NULL || (block->mode == DX_RING_MULTI && consumer->upstream == 0 &&\n"
     "                          dx_load_relaxed(&block->claimed) >= want)) {", "unit.wait_quiet")
step(PARK, "bug: a consumer spins on the one before it",
     "    dx_atomic64_t *place = place_of(consumer, want);\n    if (place == NULL) {",
     "    dx_atomic64_t *place = place_of(consumer, want);\n"
     "    if (place == NULL || consumer->upstream != 0) {", "unit.wait_quiet")
step(PRODUCER, "bug: a claim can't be taken back, and passes the consumers",
     "        if (last > claim->limit) {\n", "        if (last > claim->limit + 1) {\n",
     "unit.producer", "unit.producer_full", "relacy.multi")
step(PROCESSOR, "bug: the failure of a handler is told to nobody",
     "        dx_consumer_fail(consumer, processor->failure);\n",
     "        dx_store32_release(&entry->state, DX_CONSUMER_FAILED);\n", "unit.processor")
step(WAIT, "bug: a wait does not look at halt while it spins",
     "        int code = wait_interrupted(consumer); /* T1 */\n",
     "        int code = pause.steps % 4096 == 4095 || consumer->wait.kind == DX_WAIT_BLOCKING\n"
     "                       ? wait_interrupted(consumer) : DX_OK;\n",
     "unit.processor", "unit.wait")
step(CONSUMER, "bug: a late consumer misses an event",
     "*sequence_out = start_place(block, options->upstream, oldest, start);",
     "*sequence_out = start_place(block, options->upstream, oldest, start) + 1;", "unit.consumer")
step(DISRUPTOR, "bug: one stop for all: halting a group halts its siblings",
     "    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {\n"
     "        dxi_consumer_control(disruptor->ring,",
     "    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {\n"
     "        dxi_consumer_control(disruptor->ring,", "unit.disruptor")
step(PROCESSOR, "bug: a thread that begins clears the stop that came before it ran",
     "    gate_begun(processor->disruptor);\n\n",
     "    gate_begun(processor->disruptor);\n"
     "    (void)dx_fetch_and32_acq_rel(&entry->control, ~DXI_CONTROL_HALT);\n\n", "unit.disruptor")
step(DISRUPTOR, "bug: a shutdown does not wait for consumers that have not begun",
     "    while ((left = target - dx_ring_consumed(disruptor->ring)) > 0) {",
     "    while ((left = target - dx_ring_consumed(disruptor->ring)) > 0 &&\n"
     "           dx_ring_consumed(disruptor->ring) >= 0) {", "unit.disruptor")
