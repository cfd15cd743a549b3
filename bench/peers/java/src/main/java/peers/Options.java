// SPDX-License-Identifier: Apache-2.0
package peers;

import java.util.Arrays;

/** The arguments of the common protocol (bench/peers/README.md), plus --peer. */
final class Options {
    static final int EXIT_WRONG = 1;
    static final int EXIT_USAGE = 2;
    static final int EXIT_UNSUPPORTED = 3;

    String peer = "lmax";
    String scenario = "1p1c";
    String waitStrategy = "busy-spin";
    long events = 1_000_000;
    long warmup = 1_000_000;
    int batch = 1;
    int eventBytes = 8;
    int capacity = 65_536;
    int producers = 4;
    int[] cpus = {};

    static Options parse(String[] arguments) {
        final Options o = new Options();
        for (int i = 0; i < arguments.length; i += 2) {
            final String name = arguments[i];
            if (i + 1 == arguments.length) {
                throw usage(name + " needs a value");
            }
            final String value = arguments[i + 1];
            switch (name) {
                case "--peer" -> o.peer = value;
                case "--scenario" -> o.scenario = value;
                case "--wait" -> o.waitStrategy = value;
                case "--events" -> o.events = Long.parseLong(value);
                case "--warmup" -> o.warmup = Long.parseLong(value);
                case "--batch" -> o.batch = Integer.parseInt(value);
                case "--event-bytes" -> o.eventBytes = Integer.parseInt(value);
                case "--capacity" -> o.capacity = Integer.parseInt(value);
                case "--producers" -> o.producers = Integer.parseInt(value);
                case "--cpus" -> o.cpus =
                        Arrays.stream(value.split(",")).mapToInt(Integer::parseInt).toArray();
                default -> throw usage(name + " is not an option of this program");
            }
        }
        if (o.eventBytes != 8 || Integer.bitCount(o.capacity) != 1) {
            throw unsupported();
        }
        if (o.scenario.equals("oversubscribed")) {
            o.cpus = new int[0]; // more threads than CPUs: the scheduler places them
        }
        return o;
    }

    /** Prints the protocol's "unsupported" line and ends the process: nothing is returned. */
    static IllegalStateException unsupported() {
        System.out.println("{\"unsupported\":true}");
        System.exit(EXIT_UNSUPPORTED);
        return new IllegalStateException();
    }

    private static IllegalStateException usage(String sentence) {
        System.err.println(sentence);
        System.exit(EXIT_USAGE);
        return new IllegalStateException();
    }
}
