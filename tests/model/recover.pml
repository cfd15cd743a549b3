/* recover.pml - the claim records of src/ring/producer.c, and the recovery of src/ring/recover.c
 * that goes by them.
 *
 * Several producers claim from one word by compare-and-swap. Each writes into its record what it is
 * about to hold, the last before the first, then swaps; a swap that fails is tried again. Two of
 * them may die between any two steps, at different times. The recovery reads the claimed word, then
 * for each sequence that is not stamped the records of those that live: what none of them covers is
 * nobody's, and is voided. Each read of a word is a step of its own; memory is sequentially
 * consistent here (tests/relacy looks at the orders).
 *
 * The last producer may hold two claims at once (a hull), and then rests. Nobody claims more than
 * SLOTS above what is published: one may have to wait for a hole that only the recovery can close.
 *
 * Checked:
 *     V1      no claim of a living producer is voided, nothing is stamped twice (assertions)
 *     V2      at the end every claimed sequence is stamped: no hole stays (assertion at the end),
 *             and there is an end: a round of the recovery that could not void all begins again
 *             when something has changed, so one in vain for ever is an invalid end state
 *
 * Mutants, each of which spin must refuse (tools/model.sh):
 *     NO_RECORD       nothing is recorded before the swap
 *     CLAIMED_LATE    the recovery reads the claimed word after the records
 *     NO_SECOND_LOOK  ... and does not look at the stamp again once no record covers the sequence
 *     HULL_STAYS      a hull is left in the record when all of it is published
 *     FAILED_STAYS    the record of a claim that failed stays while its owner waits for room
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define PRODUCERS 3
#define SEQUENCES 6 /* 1 to 5 are used */
#ifndef SLOTS
#define SLOTS 2
#endif

#define NOTHING 0
#define EVENT 1
#define VOID 2

byte claimed;
byte first[PRODUCERS]; /* the records; last < first: nothing */
byte last[PRODUCERS];
byte stamp[SEQUENCES];
byte owner[SEQUENCES] = 255; /* who won the swap: for the assertions only */
bool dead[PRODUCERS];
bool in_use[PRODUCERS] = true;
bool finished[PRODUCERS];
bool changed; /* something that the recovery goes by, since its last round began */

/* How far everything is published: consumers follow at once. */
#define PUBLISHED_TO(n) (((n) < 1 || stamp[1] != NOTHING) && ((n) < 2 || stamp[2] != NOTHING) &&  \
                         ((n) < 3 || stamp[3] != NOTHING) && ((n) < 4 || stamp[4] != NOTHING))
#define HAS_ROOM(n) ((n) <= SLOTS || PUBLISHED_TO((n) - SLOTS))

#define MAY_DIE                                                                                    \
    if                                                                                             \
    :: mortal -> goto died                                                                         \
    :: true                                                                                        \
    fi

/* Claims a sequence; `held` is the first that it holds already, or 0. It comes in `got`. Who holds
 * nothing waits for room; else `got` stays. */
inline claim(i, held, got)
{
    do
    :: seen = claimed;
        if
        :: !HAS_ROOM(seen + 1) ->
#ifndef FAILED_STAYS
            if
            :: held == 0 -> atomic { changed = true; last[i] = 0 }
            :: else -> atomic { changed = true; last[i] = got }
            fi;
#endif
            MAY_DIE;
            if
            :: held != 0 -> break
            :: else -> (HAS_ROOM(claimed + 1)) /* waits */
            fi
        :: else ->
#ifndef NO_RECORD
            atomic { changed = true; last[i] = seen + 1 };
            MAY_DIE;
            atomic { changed = true; first[i] = (held == 0 -> seen + 1 : held) };
#endif
            MAY_DIE;
            atomic {
                if
                :: claimed == seen -> /* the swap */
                    claimed = seen + 1;
                    got = claimed;
                    owner[got] = i;
                    break
                :: else
                fi
            }
        fi
    od
}

inline publish(i, sequence)
{
    atomic {
        assert(stamp[sequence] == NOTHING); /* V1 */
        stamp[sequence] = EVENT;
        changed = true
    }
}

/* One claim. */
proctype producer(byte i; bool mortal)
{
    byte seen, got;
    claim(i, 0, got);
    MAY_DIE;
    publish(i, got);
    finished[i] = true;
    goto ended;
died:
    atomic { dead[i] = true; changed = true };
ended:
    skip
}

/* Two claims, held at once (if there is room) or one after the other. */
proctype holder(byte i)
{
    bool mortal = false;
    byte seen, got, before;
    claim(i, 0, got);
    before = got;
    if
    :: claim(i, before, got);
        publish(i, before);
        if
        :: got != before -> publish(i, got)
        :: else
        fi;
#ifndef HULL_STAYS
        if
        :: got > before + 1 -> atomic { changed = true; last[i] = 0 }
        :: else
        fi
#endif
    :: publish(i, before); claim(i, 0, got); publish(i, got)
    fi;
    finished[i] = true;
died:
    skip
}

proctype recovery()
{
    byte limit, s, i, from, to;
    bool gone[PRODUCERS];
    bool covered, any;
    do
    :: atomic { /* who is dead: the kernel says */
            (dead[0] && in_use[0]) || (dead[1] && in_use[1]) ||
                (finished[0] || dead[0]) && (finished[1] || dead[1]) && finished[2];
            gone[0] = dead[0];
            gone[1] = dead[1];
            changed = false;
            if
            :: (dead[0] && in_use[0]) || (dead[1] && in_use[1])
            :: else -> break
            fi
        };
#ifndef CLAIMED_LATE
        limit = claimed;
#else
        limit = SEQUENCES - 1;
#endif
        d_step { any = false; s = 1 };
        do
        :: s > limit -> break
        :: s <= limit && stamp[s] != NOTHING -> s++
        :: s <= limit && stamp[s] == NOTHING ->
            covered = false;
            i = 0;
            do
            :: i == PRODUCERS -> break
            :: i < PRODUCERS && (gone[i] || !in_use[i]) -> i++
            :: i < PRODUCERS && !gone[i] && in_use[i] ->
                from = first[i];
                to = last[i];
                d_step {
                    covered = covered || (s >= from && s <= to);
                    from = 0;
                    to = 0;
                    i++
                }
            od;
            i = 0;
#ifdef CLAIMED_LATE
            limit = claimed;
#endif
            if
            :: covered -> any = true
            :: !covered && s <= limit ->
                atomic { /* no other can stamp what is nobody's: looked at again and stamped */
#ifndef NO_SECOND_LOOK
                    if
                    :: stamp[s] == NOTHING ->
#endif
                        assert(stamp[s] == NOTHING);
                        assert(owner[s] != 255 && dead[owner[s]]); /* V1 */
                        stamp[s] = VOID
#ifndef NO_SECOND_LOOK
                    :: else
                    fi
#endif
                }
            :: else
            fi;
            d_step { covered = false; s++ }
        od;
        if
        :: !any ->
            d_step {
                s = 0;
                limit = 0;
                in_use[0] = in_use[0] && !gone[0];
                in_use[1] = in_use[1] && !gone[1]
            }
        :: else -> d_step { s = 0; limit = 0; any = false }; changed
        fi
    od;
    s = 1; /* V2 */
    do
    :: s > claimed -> break
    :: s <= claimed -> assert(stamp[s] != NOTHING); s++
    od
}

init
{
    atomic {
        run producer(0, true);
        run producer(1, true);
        run holder(2);
        run recovery()
    }
}
