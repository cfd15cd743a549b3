/* cli/bench_node.h - load on a node: publishers and subscribers, each a client with a connection of
 * its own, what they did, and how long events took.
 *
 * Threads: the caller's; one per publisher; one per client (its own), in which the handlers of a
 * subscriber run. A histogram and a check have one writer each and are added up after all have
 * ended.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_BENCH_NODE_H
#define DXI_CLI_BENCH_NODE_H

#include "cli/bench_load.h"
#include "cli/options.h"
#include "disruptorx/atomic.h"
#include "disruptorx/client.h"
#include "disruptorx/histogram.h"

#define DXI_NODE_BENCH_CLIENTS_MAX 64
#define DXI_NODE_BENCH_TOPICS_MAX 256
#define DXI_NODE_BENCH_BATCH_MAX 1024
#define DXI_NODE_BENCH_SECONDS_MAX INT64_C(86400)

typedef enum dxi_node_bench_kind {
    DXI_NODE_BENCH_PUB = 0,
    DXI_NODE_BENCH_SUB = 1,
    DXI_NODE_BENCH_E2E = 2,
    DXI_NODE_BENCH_ROUND_TRIP = 3 /* one client publishes and receives: dx latency */
} dxi_node_bench_kind_t;

/* What the load is. */
typedef struct dxi_node_bench {
    dxi_node_bench_kind_t kind;
    int64_t publishers;
    int64_t subscribers;
    int64_t bytes;
    int64_t ns;        /* how long it is published, or received */
    int64_t warmup_ns; /* at its begin; not counted in latencies */
    int64_t rate;      /* of all publishers together; 0: as fast as it goes */
    int64_t batch;
    int64_t topics;
    int64_t count; /* events of all publishers together; 0: by time */
    bool ack;
    bool group; /* subscribers share the events */
    bool busy_poll;
    bool drive;        /* the publisher takes the turns of its client */
    bool own_node;     /* --dev */
    int32_t transport; /* dxi_dev_transport_t, of the own node */
    int32_t slow;      /* what becomes of a subscriber that is behind: 0 block, 1 drop */
    const char *topic; /* the prefix; NULL: of its own, and removed at the end */
} dxi_node_bench_t;

/* What came of it. Numbers are sums over all clients. */
typedef struct dxi_node_result {
    char address[256];
    char node_name[256];
    int64_t published;
    int64_t acknowledged;
    int64_t refused;
    int64_t lost_by_client; /* on their way when a connection broke */
    int64_t wire_out;       /* bytes that the clients sent, and got */
    int64_t wire_in;
    int64_t batches; /* compressed, both ways */
    int64_t received;
    int64_t gaps; /* events that subscribers were told will not come */
    int64_t lost;
    int64_t repeated;
    int64_t corrupt;
    int64_t foreign;
    int64_t reconnects;
    uint64_t checksum_sent;
    uint64_t checksum_received; /* of each subscriber: equal to the other, or checksums_differ */
    int64_t checksums_differ;   /* subscribers whose checksum is another */
    int64_t publish_ns; /* from the first until all was sent, and answered where that is wanted */
    int64_t receive_ns; /* from the first published until the last received */
    bool interrupted;
    dx_histogram_t *latency;  /* due to be published -> handled; or -> acknowledged, for PUB */
    dx_histogram_t *lateness; /* due to be published -> handed to the client; with a rate */
} dxi_node_result_t;

/* Whether it is one node that is meant: its own (--dev), or one that is asked for.
 * Returns DX_OK, DX_EINVAL. Threads: main. */
DX_NODISCARD int dxi_node_bench_check(const dxi_node_bench_t *bench, dx_error_t *error);

/* Runs it. The result's histograms are freed by dxi_node_result_free().
 * Returns DX_OK, also when it was interrupted; or what a call said. `exit_code_out` is set when it
 * failed: what the program should end with; the complaint is printed then.
 * Threads: main. */
DX_NODISCARD int dxi_node_bench_run(const char *speaker, const dxi_node_bench_t *bench,
                                    dxi_node_result_t *result_out, int *exit_code_out);
void dxi_node_result_free(dxi_node_result_t *result);

/* True when every event came once, in order and unchanged, and nothing was refused. */
bool dxi_node_result_is_good(const dxi_node_bench_t *bench, const dxi_node_result_t *result);

/* The scenario, before it runs; and the result. Threads: main. */
void dxi_node_bench_print_scenario(const dxi_node_bench_t *bench);
void dxi_node_bench_print(const dxi_node_bench_t *bench, const dxi_node_result_t *result);
void dxi_node_bench_json(const char *name, const dxi_node_bench_t *bench,
                         const dxi_node_result_t *result);

#endif
