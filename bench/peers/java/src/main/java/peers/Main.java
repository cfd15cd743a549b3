// SPDX-License-Identifier: Apache-2.0
package peers;

/**
 * The Java peers: --peer lmax, jctools or abq. Warms up in several rounds with fresh queues, so
 * that the measured round runs compiled code from its first call.
 */
public final class Main {
    private static final int WARMUP_ROUNDS = 5;

    private Main() {
    }

    public static void main(String[] arguments) {
        final Options options = Options.parse(arguments);
        final Peer peer = switch (options.peer) {
            case "lmax" -> new LmaxPeer(options);
            case "jctools", "abq" -> new QueuePeer(options);
            default -> throw Options.unsupported();
        };
        for (int round = 0; round < WARMUP_ROUNDS && options.warmup != 0; round++) {
            check(peer.run(rounded(options, options.warmup / WARMUP_ROUNDS)));
        }
        System.gc();
        final Outcome outcome = peer.run(rounded(options, options.events));
        System.out.println(outcome.json(peer.name(), peer.variant(), options));
        System.exit(outcome.checksumOk ? 0 : Options.EXIT_WRONG);
    }

    /** A whole number of batches for every number of producers and consumers. */
    private static long rounded(Options options, long events) {
        final long threads = options.scenario.equals("oversubscribed") ? options.producers : 6;
        final long unit = options.batch * threads * threads;
        return (events + unit) / unit * unit;
    }

    private static void check(Outcome outcome) {
        if (!outcome.checksumOk) {
            System.err.println("the checksum of a warm-up round is wrong");
            System.exit(Options.EXIT_WRONG);
        }
    }
}
