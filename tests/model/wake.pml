/* wake.pml - the protocol of src/ring/park.c between consumers that sleep and publishers that wake
 * them: K1 to K4, with publishers that may die between any two steps, and the recovery that wakes
 * everybody.
 *
 * Two publishers store one sequence each; a consumer waits for the first that is missing, then for
 * the next. The machine is one with a store buffer: what a publisher stores stands in its buffer
 * until it drains, and its own later loads may pass it. The sleeper's heavy fence drains all
 * buffers; that is what membarrier() does.
 *
 * Checked: no assertion fails, nobody is left asleep at the end, and under weak fairness the
 * consumer gets everything (`ltl arrives`).
 *
 * Mutants, each of which spin must refuse (tools/model.sh):
 *     NO_HEAVY_FENCE   the sleeper does not drain the buffers of the others
 *     NO_LOOK          K4: it does not look again once its bit stands
 *     LOOK_FIRST       K4: it looks, and then sets its bit
 *     NO_TOKEN         K2: the waker wakes without leaving a token
 *     NO_WAKE_ALL      the recovery wakes nobody
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define PUBLISHERS 2

bool stamped[PUBLISHERS];  /* sequence i is published, or voided */
bool buffered[PUBLISHERS]; /* ... but that still stands in the store buffer of its publisher */
bool dead[PUBLISHERS];
byte want;    /* the sequence for which the consumer sleeps */
bool waits;   /* its bit in block->signal */
bool token;   /* entry.park */
bool asleep;  /* in the kernel */
byte got;     /* how many the consumer has been given */

inline drain(i)
{
    if
    :: buffered[i] -> stamped[i] = true; buffered[i] = false
    :: else
    fi
}

/* A death may come before any step. What stands in the buffer of a dead processor's core drains. */
#define MAY_DIE                                                                                    \
    if                                                                                             \
    :: mortal -> goto died                                                                         \
    :: true                                                                                        \
    fi

proctype publisher(byte i; bool mortal)
{
    bool seen;
    MAY_DIE;
    buffered[i] = true; /* (S) */
    MAY_DIE;
    seen = waits; /* (W1): the load may pass the store */
    if
    :: seen ->
        MAY_DIE;
        if
        :: want == i ->
            atomic { /* a locked instruction drains the buffer */
                drain(i);
                seen = waits;
                waits = false
            };
            if
            :: seen ->
                MAY_DIE;
#ifndef NO_TOKEN
                token = true;
                MAY_DIE;
#endif
                asleep = false /* futex_wake */
            :: else
            fi
        :: else /* precise: it sleeps for something else */
        fi
    :: else
    fi;
    goto ended;
died:
    atomic {
        drain(i);
        dead[i] = true
    }
ended:
    skip
}

/* A buffer drains some time. */
active [1] proctype memory()
{
end:
    do
    :: d_step { buffered[0] -> drain(0) }
    :: d_step { buffered[1] -> drain(1) }
    od
}

active [1] proctype consumer()
{
    do
    :: got == PUBLISHERS -> break
    :: got < PUBLISHERS && stamped[got] -> got++
    :: got < PUBLISHERS && !stamped[got] ->
        want = got;
#ifdef LOOK_FIRST
        if
        :: stamped[got] -> goto again
        :: else
        fi;
#endif
        waits = true; /* K1 */
#ifndef NO_HEAVY_FENCE
        atomic { drain(0); drain(1) };
#endif
#if !defined(NO_LOOK) && !defined(LOOK_FIRST)
        if
        :: stamped[got] -> goto awake /* K4 */
        :: else
        fi;
#endif
        atomic { /* futex_wait */
            if
            :: !token -> asleep = true
            :: else
            fi
        };
        !asleep; /* sleeps */
        if
        :: token -> token = false /* two steps: a token may come between */
        :: else
        fi;
awake:
        if
        :: waits -> waits = false
        :: else
        fi
#ifdef LOOK_FIRST
again:
        skip
#endif
    od
}

/* The guard of a living process: voids what the dead one has claimed and not published, and wakes
 * everybody, because a dead waker may have cleared a bit and gone no further. */
proctype recovery(byte i)
{
end:
    dead[i];
    atomic {
        if
        :: !stamped[i] -> stamped[i] = true
        :: else
        fi
    };
#ifndef NO_WAKE_ALL
    token = true;
    asleep = false
#endif
}

init
{
    atomic {
        run publisher(0, true);
        run publisher(1, false);
        run recovery(0)
    }
}

ltl arrives { <> (got == PUBLISHERS) }
