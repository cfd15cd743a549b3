// SPDX-License-Identifier: Apache-2.0
package peers;

/** Nanoseconds, log-linear: exact below 512, then 256 buckets for each power of two (0.4 %). */
final class Histogram {
    private final long[] counts = new long[512 + 55 * 256];
    private long samples;
    private long sum;
    private long max;

    void record(long ns) {
        samples++;
        sum += ns;
        max = Math.max(max, ns);
        counts[bucket(ns)]++;
    }

    private static int bucket(long ns) {
        if (ns < 512) {
            return (int) Math.max(0, ns);
        }
        final int shift = 55 - Long.numberOfLeadingZeros(ns); // ns >> shift is in [256, 512)
        return 512 + (shift - 1) * 256 + (int) ((ns >> shift) - 256);
    }

    /** The largest value of a bucket: a percentile is never reported smaller than it was. */
    private static long value(int bucket) {
        if (bucket < 512) {
            return bucket;
        }
        final int shift = (bucket - 512) / 256 + 1;
        return (((bucket - 512) % 256 + 257L) << shift) - 1;
    }

    private long percentile(double fraction) {
        final long rank = (long) (samples * fraction);
        long seen = 0;
        for (int i = 0; i < counts.length; i++) {
            seen += counts[i];
            if (seen > rank) {
                return Math.min(value(i), max);
            }
        }
        return max;
    }

    String json() {
        return String.format(",\"p50_ns\":%d,\"p90_ns\":%d,\"p99_ns\":%d,\"p999_ns\":%d,"
                + "\"max_ns\":%d,\"mean_ns\":%.1f,\"samples\":%d,\"timer_ns\":%.1f",
                percentile(0.5), percentile(0.9), percentile(0.99), percentile(0.999), max,
                (double) sum / samples, samples, timerCostNs());
    }

    /** What one reading of the clock costs: every latency sample contains about one. */
    private static double timerCostNs() {
        double cost = 0;
        for (int round = 0; round < 5; round++) { // the last round is compiled
            cost = timerRound(200_000);
        }
        return cost;
    }

    private static double timerRound(int readings) {
        final long from = System.nanoTime();
        long last = from;
        for (int i = 0; i < readings; i++) {
            last = System.nanoTime();
        }
        return (double) (last - from) / readings;
    }
}
