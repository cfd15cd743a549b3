/* wake_producers.pml - the protocol of src/ring/park.c between producers that sleep on a full ring
 * and consumers that release: a flag, an epoch, and one futex for all of them.
 *
 * Two consumers release two events each; two producers wait for the first and for the second. One
 * consumer may die between any two steps; the recovery then takes it out of the gating and wakes
 * everybody. The machine is that of wake.pml: stores of a consumer stand in a buffer for a while.
 *
 * Checked: nobody is left asleep at the end (no invalid end state).
 *
 * Mutants, each of which spin must refuse (tools/model.sh):
 *     NO_HEAVY_FENCE    the sleeper does not drain the buffers of the others
 *     EPOCH_LATE        it reads the epoch after its look
 *     NO_EPOCH          the waker does not change the epoch
 *     FLAG_LATE         the waker takes the flag back after it has woken
 *     NO_WAKE_ALL       the recovery wakes nobody
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define CONSUMERS 2
#define PRODUCERS 2
#define EVENTS 2

byte released[CONSUMERS]; /* how many each consumer has released */
byte buffered[CONSUMERS]; /* ... but what still stands in its store buffer: 0 = nothing */
bool gates[CONSUMERS] = true;
bool dead;
bool flag;  /* space_waiters */
byte epoch; /* space_epoch: the futex */
bool asleep[PRODUCERS];

inline drain(i)
{
    if
    :: buffered[i] != 0 -> released[i] = buffered[i]; buffered[i] = 0
    :: else
    fi
}

inline wake_producers()
{
#ifndef NO_EPOCH
    epoch++;
#endif
    d_step { /* futex_wake */
        asleep[0] = false;
        asleep[1] = false
    }
}

#define HAS_ROOM(n) ((!gates[0] || released[0] >= (n)) && (!gates[1] || released[1] >= (n)))

#define MAY_DIE                                                                                    \
    if                                                                                             \
    :: mortal -> goto died                                                                         \
    :: true                                                                                        \
    fi

proctype consumer(byte i; bool mortal)
{
    byte n = 0;
    bool seen;
    do
    :: n == EVENTS -> break
    :: n < EVENTS ->
        n++;
        MAY_DIE;
        atomic { drain(i); buffered[i] = n }; /* (R) */
        MAY_DIE;
        seen = flag; /* (W2): the load may pass the store */
        if
        :: seen ->
#ifdef FLAG_LATE
            wake_producers();
            atomic { drain(i); flag = false }
#else
            atomic { drain(i); seen = flag; flag = false };
            MAY_DIE;
            if
            :: seen -> wake_producers()
            :: else
            fi
#endif
        :: else
        fi
    od;
    goto ended;
died:
    atomic { drain(i); dead = true }
ended:
    skip
}

active [1] proctype memory()
{
end:
    do
    :: d_step { buffered[0] != 0 -> drain(0) }
    :: d_step { buffered[1] != 0 -> drain(1) }
    od
}

proctype producer(byte i; byte wanted)
{
    byte seen;
    do
    :: HAS_ROOM(wanted) -> break
    :: else ->
        seen = epoch;
        flag = true;
#ifndef NO_HEAVY_FENCE
        atomic { drain(0); drain(1) };
#endif
        if
        :: HAS_ROOM(wanted)
        :: else ->
#ifdef EPOCH_LATE
            seen = epoch;
#endif
            atomic { /* futex_wait */
                if
                :: epoch == seen -> asleep[i] = true
                :: else
                fi
            };
            !asleep[i] /* sleeps */
        fi
    od
}

proctype recovery()
{
end:
    dead;
    gates[0] = false;
#ifndef NO_WAKE_ALL
    atomic { drain(0); drain(1) };
    wake_producers()
#endif
}

init
{
    atomic {
        run consumer(0, true);
        run consumer(1, false);
        run producer(0, 1);
        run producer(1, 2);
        run recovery()
    }
}
