// SPDX-License-Identifier: Apache-2.0
package peers;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/** Threads of one run: each pins itself, then all start together. */
final class Threads {
    private final Options options;
    private final List<Thread> threads = new ArrayList<>();
    private final CountDownLatch go = new CountDownLatch(1);
    private final List<CountDownLatch> ready = new ArrayList<>();

    Threads(Options options) {
        this.options = options;
    }

    /** Adds the n-th thread, for the n-th listed CPU. */
    void add(Runnable body) {
        final int index = threads.size();
        final CountDownLatch pinned = new CountDownLatch(1);
        final Thread thread = new Thread(() -> {
            pin(index);
            pinned.countDown();
            await(go);
            body.run();
        }, "peer-" + index);
        ready.add(pinned);
        threads.add(thread);
        thread.start();
    }

    /** Lets the threads go, and returns the nanoseconds until the latch opened. */
    long run(CountDownLatch done) {
        ready.forEach(Threads::await);
        final long from = System.nanoTime();
        go.countDown();
        await(done);
        return System.nanoTime() - from;
    }

    void join() {
        for (final Thread thread : threads) {
            try {
                thread.join();
            } catch (final InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (final InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Java cannot pin a thread: ask the system's taskset to pin the calling one. */
    private void pin(int index) {
        if (options.cpus.length == 0) {
            return;
        }
        final int cpu = options.cpus[index % options.cpus.length];
        try {
            final String thread =
                    Files.readSymbolicLink(Path.of("/proc/thread-self")).getFileName().toString();
            final String list = Integer.toString(cpu);
            final Process taskset = new ProcessBuilder("taskset", "-pc", list, thread)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
            if (taskset.waitFor() != 0) {
                throw new IOException("taskset failed");
            }
        } catch (final IOException | InterruptedException e) {
            System.err.println("a thread cannot be pinned to its CPU: " + e.getMessage());
            System.exit(Options.EXIT_WRONG);
        }
    }
}
