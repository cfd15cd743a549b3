// SPDX-License-Identifier: Apache-2.0
package peers;

/** What one run found, and the line of JSON it becomes. */
final class Outcome {
    int producers = 1;
    int consumers = 1;
    long events;
    long handled; // by all consumers together
    long batches; // 0 when it does not apply
    long elapsedNs;
    boolean checksumOk;
    Histogram latency; // null for a throughput scenario

    String json(String peer, String variant, Options o) {
        final StringBuilder line = new StringBuilder();
        final double seconds = elapsedNs / 1e9;
        line.append(String.format("{\"peer\":\"%s\",\"variant\":\"%s\",\"scenario\":\"%s\","
                + "\"batch\":%d,\"event_bytes\":%d,\"producers\":%d,\"consumers\":%d,\"events\":%d,"
                + "\"seconds\":%.6f,\"events_per_second\":%.0f", peer, variant, o.scenario, o.batch,
                o.eventBytes, producers, consumers, events, seconds, events / seconds));
        if (batches != 0) {
            line.append(String.format(",\"average_batch\":%.2f", (double) handled / batches));
        }
        if (latency != null) {
            line.append(latency.json());
        }
        return line.append(",\"checksum_ok\":").append(checksumOk).append('}').toString();
    }
}
