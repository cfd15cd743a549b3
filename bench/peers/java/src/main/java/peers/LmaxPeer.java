// SPDX-License-Identifier: Apache-2.0
package peers;

import com.lmax.disruptor.BatchEventProcessor;
import com.lmax.disruptor.BatchEventProcessorBuilder;
import com.lmax.disruptor.BlockingWaitStrategy;
import com.lmax.disruptor.BusySpinWaitStrategy;
import com.lmax.disruptor.EventHandler;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.Sequence;
import com.lmax.disruptor.WaitStrategy;
import com.lmax.disruptor.YieldingWaitStrategy;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The LMAX Disruptor 4.0, used as its own performance tests use it: a ring of mutable events,
 * BatchEventProcessors, next / get / publish. Thread 0 .. producers - 1 produce.
 *
 * <p>Version 4 has no worker pool, so in `oversubscribed` each consumer sees every event and
 * handles its own share of the sequences.
 */
final class LmaxPeer implements Peer {
    private static final long PACE_NS = 1_000;
    private static final long SLEEP_PACE_NS = 100_000;

    private static final class Event {
        long value;
    }

    /** 112 bytes, so that handlers of different threads do not share lines. */
    private static class PadBefore {
        long b00, b01, b02, b03, b04, b05, b06, b07, b08, b09, b10, b11, b12, b13;
    }

    private static class HandlerFields extends PadBefore {
        long last;
        CountDownLatch done;
        long sum;
        long batches;
    }

    private static class PadAfter extends HandlerFields {
        long a00, a01, a02, a03, a04, a05, a06, a07, a08, a09, a10, a11, a12, a13;
    }

    /** Sums what it gets; opens the latch after the last sequence. */
    private static class Handler extends PadAfter implements EventHandler<Event> {
        Handler(long last, CountDownLatch done) {
            this.last = last;
            this.done = done;
        }

        @Override
        public void onEvent(Event event, long sequence, boolean endOfBatch) {
            sum += event.value;
            if (endOfBatch) {
                batches++;
            }
            if (sequence == last) {
                done.countDown();
            }
        }
    }

    /** Handles the sequences that are its own: sequence mod consumers == index. */
    private static final class ShareHandler extends Handler {
        private final int consumers;
        private final int index;

        ShareHandler(long last, CountDownLatch done, int consumers, int index) {
            super(last, done);
            this.consumers = consumers;
            this.index = index;
        }

        @Override
        public void onEvent(Event event, long sequence, boolean endOfBatch) {
            if (sequence % consumers == index) {
                sum += event.value;
            }
            if (endOfBatch) {
                batches++;
            }
            if (sequence == last) {
                done.countDown();
            }
        }
    }

    /** Events carry the time of their publication. */
    private static final class StampHandler extends Handler {
        private final Histogram latency;
        private final AtomicLong acknowledged;
        private final int hops;

        StampHandler(long last, CountDownLatch done, Histogram latency, AtomicLong acknowledged,
                int hops) {
            super(last, done);
            this.latency = latency;
            this.acknowledged = acknowledged;
            this.hops = hops;
        }

        @Override
        public void onEvent(Event event, long sequence, boolean endOfBatch) {
            latency.record((System.nanoTime() - event.value) / hops);
            sum += event.value;
            acknowledged.setRelease(sequence + 1);
            if (sequence == last) {
                done.countDown();
            }
        }
    }

    private final Options options;
    private final List<BatchEventProcessor<Event>> processors = new ArrayList<>();

    LmaxPeer(Options options) {
        this.options = options;
    }

    @Override
    public String name() {
        return "lmax-4.0";
    }

    @Override
    public String variant() {
        return options.waitStrategy;
    }

    @Override
    public Outcome run(long events) {
        processors.clear();
        return switch (options.scenario) {
            case "1p1c", "multicast", "pipeline3", "diamond" -> runSingle(events);
            case "2p1c" -> runMulti(events, 2, 1);
            case "3p1c" -> runMulti(events, 3, 1);
            case "oversubscribed" -> runMulti(events, options.producers, options.producers);
            case "pingpong" -> runPingPong(events);
            case "pipeline3-latency" -> runStamped(events, PACE_NS, false);
            case "wakeup" -> {
                if (!options.waitStrategy.equals("blocking")) {
                    throw Options.unsupported();
                }
                yield runStamped(events, SLEEP_PACE_NS, true);
            }
            default -> throw Options.unsupported();
        };
    }

    private WaitStrategy waitStrategy() {
        return switch (options.waitStrategy) {
            case "busy-spin" -> new BusySpinWaitStrategy();
            case "yielding" -> new YieldingWaitStrategy();
            case "blocking" -> new BlockingWaitStrategy();
            default -> throw Options.unsupported();
        };
    }

    /** A consumer behind the given sequences (none: behind the producer). */
    private Sequence consumer(RingBuffer<Event> ring, EventHandler<Event> handler,
            Sequence... after) {
        final BatchEventProcessor<Event> processor =
                new BatchEventProcessorBuilder().build(ring, ring.newBarrier(after), handler);
        processors.add(processor);
        return processor.getSequence();
    }

    /** Runs the producers and the processors; the time ends when the latch opens. */
    private Outcome measure(List<Runnable> producers, CountDownLatch done, long events) {
        final Threads threads = new Threads(options);
        producers.forEach(threads::add);
        processors.forEach(threads::add);
        final Outcome outcome = new Outcome();
        outcome.elapsedNs = threads.run(done);
        processors.forEach(BatchEventProcessor::halt);
        threads.join();
        outcome.events = events;
        outcome.producers = producers.size();
        outcome.consumers = processors.size();
        return outcome;
    }

    private static void produce(RingBuffer<Event> ring, long first, long count, int batch) {
        if (batch == 1) {
            for (long value = first; value < first + count; value++) {
                final long sequence = ring.next();
                ring.get(sequence).value = value;
                ring.publish(sequence);
            }
            return;
        }
        for (long value = first; value < first + count; ) {
            final long high = ring.next(batch);
            final long low = high - (batch - 1);
            for (long sequence = low; sequence <= high; sequence++) {
                ring.get(sequence).value = value++;
            }
            ring.publish(low, high);
        }
    }

    private Outcome runSingle(long events) {
        final RingBuffer<Event> ring =
                RingBuffer.createSingleProducer(Event::new, options.capacity, waitStrategy());
        final int consumers = options.scenario.equals("1p1c") ? 1 : 3;
        final CountDownLatch done = new CountDownLatch(consumers);
        final Handler[] handlers = new Handler[consumers];
        for (int i = 0; i < consumers; i++) {
            handlers[i] = new Handler(events - 1, done);
        }
        switch (options.scenario) {
            case "pipeline3" -> {
                final Sequence a = consumer(ring, handlers[0]);
                final Sequence b = consumer(ring, handlers[1], a);
                ring.addGatingSequences(consumer(ring, handlers[2], b));
            }
            case "diamond" -> {
                final Sequence a = consumer(ring, handlers[0]);
                final Sequence b = consumer(ring, handlers[1]);
                ring.addGatingSequences(consumer(ring, handlers[2], a, b));
            }
            default -> {
                for (final Handler handler : handlers) {
                    ring.addGatingSequences(consumer(ring, handler));
                }
            }
        }
        final Outcome outcome =
                measure(List.of(() -> produce(ring, 1, events, options.batch)), done, events);
        outcome.checksumOk = true;
        for (final Handler handler : handlers) {
            outcome.checksumOk &= handler.sum == Peer.expectedSum(events);
            outcome.batches += handler.batches;
        }
        outcome.handled = events * consumers;
        return outcome;
    }

    private Outcome runMulti(long events, int producers, int consumers) {
        final RingBuffer<Event> ring =
                RingBuffer.createMultiProducer(Event::new, options.capacity, waitStrategy());
        final CountDownLatch done = new CountDownLatch(consumers);
        final Handler[] handlers = new Handler[consumers];
        for (int i = 0; i < consumers; i++) {
            handlers[i] = consumers == 1 ? new Handler(events - 1, done)
                    : new ShareHandler(events - 1, done, consumers, i);
            ring.addGatingSequences(consumer(ring, handlers[i]));
        }
        final long share = events / producers;
        final List<Runnable> bodies = new ArrayList<>();
        for (int i = 0; i < producers; i++) {
            final long first = share * i + 1;
            bodies.add(() -> produce(ring, first, share, options.batch));
        }
        final Outcome outcome = measure(bodies, done, events);
        long sum = 0;
        for (final Handler handler : handlers) {
            sum += handler.sum;
            outcome.batches += handler.batches;
        }
        outcome.checksumOk = sum == Peer.expectedSum(events);
        outcome.handled = events * consumers; // every consumer sees, and skips, the others' share
        return outcome;
    }

    /** The pinger is the consumer of the second ring and the producer of the first. */
    private Outcome runPingPong(long events) {
        final RingBuffer<Event> pings =
                RingBuffer.createSingleProducer(Event::new, options.capacity, waitStrategy());
        final RingBuffer<Event> pongs =
                RingBuffer.createSingleProducer(Event::new, options.capacity, waitStrategy());
        final CountDownLatch done = new CountDownLatch(1);
        final Histogram latency = new Histogram();
        final long[] sum = {0};
        final EventHandler<Event> pinger = new EventHandler<>() {
            private long sentAt;

            @Override
            public void onEvent(Event event, long sequence, boolean endOfBatch) {
                if (event.value != 0) { // 0 starts the game and is not a round trip
                    latency.record(System.nanoTime() - sentAt);
                    sum[0] += event.value;
                }
                if (event.value == events) {
                    done.countDown();
                    return;
                }
                final long value = event.value + 1;
                sentAt = System.nanoTime();
                final long next = pings.next();
                pings.get(next).value = value;
                pings.publish(next);
            }
        };
        final EventHandler<Event> ponger = (event, sequence, endOfBatch) -> {
            final long next = pongs.next();
            pongs.get(next).value = event.value;
            pongs.publish(next);
        };
        pongs.addGatingSequences(consumer(pongs, pinger));
        pings.addGatingSequences(consumer(pings, ponger));
        final long start = pongs.next();
        pongs.get(start).value = 0;
        pongs.publish(start);
        final Outcome outcome = measure(List.of(), done, events);
        outcome.producers = 1;
        outcome.consumers = 1;
        outcome.latency = latency;
        outcome.checksumOk = sum[0] == Peer.expectedSum(events);
        return outcome;
    }

    /** Paced events that carry their time: over three stages, or to one consumer that sleeps. */
    private Outcome runStamped(long events, long paceNs, boolean wakeup) {
        final RingBuffer<Event> ring =
                RingBuffer.createSingleProducer(Event::new, options.capacity, waitStrategy());
        final CountDownLatch done = new CountDownLatch(1);
        final AtomicLong acknowledged = new AtomicLong();
        final Histogram latency = new Histogram();
        final Handler handler =
                new StampHandler(events - 1, done, latency, acknowledged, wakeup ? 1 : 3);
        if (wakeup) {
            ring.addGatingSequences(consumer(ring, handler));
        } else {
            final Sequence a = consumer(ring, new Handler(Long.MAX_VALUE, done));
            final Sequence b = consumer(ring, new Handler(Long.MAX_VALUE, done), a);
            ring.addGatingSequences(consumer(ring, handler, b));
        }
        final long[] sent = {0};
        final Runnable producer = () -> {
            long deadline = System.nanoTime();
            for (long i = 0; i < events; i++) {
                while (wakeup && acknowledged.getAcquire() != i) {
                    Thread.onSpinWait();
                }
                deadline = (wakeup ? System.nanoTime() : deadline) + paceNs;
                while (System.nanoTime() < deadline) {
                    Thread.onSpinWait();
                }
                final long sequence = ring.next();
                final long stamp = System.nanoTime();
                ring.get(sequence).value = stamp;
                ring.publish(sequence);
                sent[0] += stamp;
            }
        };
        final Outcome outcome = measure(List.of(producer), done, events);
        outcome.latency = latency;
        outcome.checksumOk = handler.sum == sent[0];
        return outcome;
    }
}
