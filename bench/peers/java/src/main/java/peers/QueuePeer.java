// SPDX-License-Identifier: Apache-2.0
package peers;

import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.jctools.queues.MessagePassingQueue;
import org.jctools.queues.MpscArrayQueue;
import org.jctools.queues.SpscArrayQueue;

/**
 * Queues of references: JCTools (SpscArrayQueue; MpscArrayQueue for several producers), which spin,
 * and ArrayBlockingQueue, which blocks.
 *
 * <p>The events are Long objects allocated before the run and used again and again, so the loop
 * allocates nothing and the consumer reads objects that are already in its cache. This is kinder
 * than real use, where a new object crosses with each event.
 */
final class QueuePeer implements Peer {
    private static final int VALUES = 1024;
    private static final long SLEEP_PACE_NS = 100_000;

    /** A counter of one thread is the middle of an array, so that it has its lines to itself. */
    private static final int PADDED = 48;
    private static final int MIDDLE = 24;

    /** Waits inside. One process uses one class of it, so the calls are inlined. */
    private interface Transport {
        void put(Long value);

        Long take();
    }

    private static final class Blocking implements Transport {
        private final ArrayBlockingQueue<Long> queue;

        Blocking(int capacity) {
            queue = new ArrayBlockingQueue<>(capacity);
        }

        @Override
        public void put(Long value) {
            try {
                queue.put(value);
            } catch (final InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }

        @Override
        public Long take() {
            try {
                return queue.take();
            } catch (final InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private static final class Spinning implements Transport {
        private final Queue<Long> queue;

        Spinning(Queue<Long> queue) {
            this.queue = queue;
        }

        @Override
        public void put(Long value) {
            while (!queue.offer(value)) {
                Thread.onSpinWait();
            }
        }

        @Override
        public Long take() {
            for (;;) {
                final Long value = queue.poll();
                if (value != null) {
                    return value;
                }
                Thread.onSpinWait();
            }
        }
    }

    private static final Long[] TABLE = new Long[VALUES];

    static {
        for (int i = 0; i < VALUES; i++) {
            TABLE[i] = Long.valueOf(i + 1L);
        }
    }

    private final Options options;
    private final boolean blocking;

    QueuePeer(Options options) {
        this.options = options;
        this.blocking = options.peer.equals("abq");
        if (blocking != options.waitStrategy.equals("blocking")) {
            throw Options.unsupported();
        }
    }

    @Override
    public String name() {
        return blocking ? "ArrayBlockingQueue" : "jctools";
    }

    @Override
    public String variant() {
        return options.waitStrategy;
    }

    @Override
    public Outcome run(long events) {
        if (options.batch > 1 && (blocking || !options.scenario.equals("1p1c"))) {
            throw Options.unsupported();
        }
        return switch (options.scenario) {
            case "1p1c" -> options.batch == 1 ? runShared(events, 1, 1) : runBatched(events);
            case "2p1c" -> runShared(events, 2, 1);
            case "3p1c" -> runShared(events, 3, 1);
            case "pingpong" -> runPingPong(events);
            case "oversubscribed" -> {
                if (!blocking) {
                    throw Options.unsupported();
                }
                yield runShared(events, options.producers, options.producers);
            }
            case "wakeup" -> {
                if (!blocking) {
                    throw Options.unsupported();
                }
                yield runWakeup(events);
            }
            default -> throw Options.unsupported();
        };
    }

    private Transport transport(int producers) {
        if (blocking) {
            return new Blocking(options.capacity);
        }
        return new Spinning(producers == 1 ? new SpscArrayQueue<>(options.capacity)
                : new MpscArrayQueue<>(options.capacity));
    }

    /** What `producers` producers send when each sends `share` values from the table. */
    private static long tableSum(long share, int producers) {
        return producers * (share / VALUES * Peer.expectedSum(VALUES)
                + Peer.expectedSum(share % VALUES));
    }

    private Outcome measure(List<Runnable> bodies, int producers, long events,
            CountDownLatch done) {
        final Threads threads = new Threads(options);
        bodies.forEach(threads::add);
        final Outcome outcome = new Outcome();
        outcome.elapsedNs = threads.run(done);
        threads.join();
        outcome.events = events;
        outcome.handled = events;
        outcome.producers = producers;
        outcome.consumers = Math.max(1, bodies.size() - producers);
        return outcome;
    }

    private static void produce(Transport queue, long count) {
        for (long i = 0; i < count; i++) {
            queue.put(TABLE[(int) i & (VALUES - 1)]);
        }
    }

    private static long consume(Transport queue, long count) {
        long sum = 0;
        for (long i = 0; i < count; i++) {
            sum += queue.take();
        }
        return sum;
    }

    private Outcome runShared(long events, int producers, int consumers) {
        final Transport queue = transport(producers);
        final CountDownLatch done = new CountDownLatch(consumers);
        final AtomicLong sum = new AtomicLong();
        final List<Runnable> bodies = new ArrayList<>();
        for (int i = 0; i < producers; i++) {
            bodies.add(() -> produce(queue, events / producers));
        }
        for (int i = 0; i < consumers; i++) {
            bodies.add(() -> {
                sum.addAndGet(consume(queue, events / consumers));
                done.countDown();
            });
        }
        final Outcome outcome = measure(bodies, producers, events, done);
        outcome.batches = events;
        outcome.checksumOk = sum.get() == tableSum(events / producers, producers);
        return outcome;
    }

    /** JCTools' own batches: fill and drain. */
    private Outcome runBatched(long events) {
        final MessagePassingQueue<Long> queue = new SpscArrayQueue<>(options.capacity);
        final CountDownLatch done = new CountDownLatch(1);
        final long[] next = new long[PADDED];
        final long[] sum = new long[PADDED];
        final long[] batches = new long[PADDED];
        final MessagePassingQueue.Supplier<Long> supplier =
                () -> TABLE[(int) next[MIDDLE]++ & (VALUES - 1)];
        final MessagePassingQueue.Consumer<Long> adder = value -> sum[MIDDLE] += value;
        final Runnable producer = () -> {
            for (long sent = 0; sent < events; ) {
                final int limit = (int) Math.min(options.batch, events - sent);
                final int filled = queue.fill(supplier, limit);
                sent += filled;
                if (filled == 0) {
                    Thread.onSpinWait();
                }
            }
        };
        final Runnable consumer = () -> {
            for (long taken = 0; taken < events; ) {
                final int drained = queue.drain(adder, options.batch);
                taken += drained;
                if (drained == 0) {
                    Thread.onSpinWait();
                } else {
                    batches[MIDDLE]++;
                }
            }
            done.countDown();
        };
        final Outcome outcome = measure(List.of(producer, consumer), 1, events, done);
        outcome.batches = batches[MIDDLE];
        outcome.checksumOk = sum[MIDDLE] == tableSum(events, 1);
        return outcome;
    }

    private Outcome runPingPong(long events) {
        final Transport pings = transport(1);
        final Transport pongs = transport(1);
        final CountDownLatch done = new CountDownLatch(1);
        final Histogram latency = new Histogram();
        final long[] sum = {0};
        final Runnable pinger = () -> {
            for (long i = 0; i < events; i++) {
                final Long value = TABLE[(int) i & (VALUES - 1)];
                final long from = System.nanoTime();
                pings.put(value);
                final long back = pongs.take();
                latency.record(System.nanoTime() - from);
                sum[0] += back;
            }
            done.countDown();
        };
        final Runnable ponger = () -> {
            for (long i = 0; i < events; i++) {
                pongs.put(pings.take());
            }
        };
        final Outcome outcome = measure(List.of(pinger, ponger), 1, events, done);
        outcome.latency = latency;
        outcome.checksumOk = sum[0] == tableSum(events, 1);
        return outcome;
    }

    private Outcome runWakeup(long events) {
        final Transport queue = transport(1);
        final CountDownLatch done = new CountDownLatch(1);
        final AtomicLong acknowledged = new AtomicLong();
        final Histogram latency = new Histogram();
        final long[] sums = {0, 0};
        final Runnable producer = () -> {
            for (long i = 0; i < events; i++) {
                while (acknowledged.getAcquire() != i) {
                    Thread.onSpinWait();
                }
                final long deadline = System.nanoTime() + SLEEP_PACE_NS;
                while (System.nanoTime() < deadline) {
                    Thread.onSpinWait();
                }
                final Long stamp = System.nanoTime();
                queue.put(stamp);
                sums[0] += stamp;
            }
        };
        final Runnable consumer = () -> {
            for (long i = 0; i < events; i++) {
                final long stamp = queue.take();
                latency.record(System.nanoTime() - stamp);
                sums[1] += stamp;
                acknowledged.setRelease(i + 1);
            }
            done.countDown();
        };
        final Outcome outcome = measure(List.of(producer, consumer), 1, events, done);
        outcome.latency = latency;
        outcome.checksumOk = sums[0] == sums[1];
        return outcome;
    }
}
