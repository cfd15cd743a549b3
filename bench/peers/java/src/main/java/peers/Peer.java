// SPDX-License-Identifier: Apache-2.0
package peers;

/** One library under the common protocol. */
interface Peer {
    String name();

    String variant();

    /** Runs the scenario once with fresh queues, for a warm-up or for the measurement. */
    Outcome run(long events);

    /** The sum of 1 .. n modulo 2^64. */
    static long expectedSum(long n) {
        return n % 2 == 0 ? n / 2 * (n + 1) : (n + 1) / 2 * n;
    }
}
