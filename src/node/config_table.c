/* config_table.c - every option of a node, one row each: the one place that describes it.
 *
 * From it come the parser, the environment's variables, `dx config`, deploy/node.yaml,
 * docs/configuration.md and the tests of the bounds. A new option is a row here and the line that
 * uses it in node_options.c; nothing stands here that does nothing.
 *
 * INVARIANTS (tests/unit/test_config.c)
 *
 *   T1  rows of a section stand together, and sections in the order of SECTIONS
 *   T2  the default is within the bounds, and the defaults together pass dx_config_check()
 *   T3  names say the unit: BYTES "_bytes", DURATION "_ms", "_us" or "_s"
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "admin/admin.h"
#include "base/fail.h"
#include "base/nearest.h"
#include "disruptorx/node.h"
#include "disruptorx/trace.h"
#include "net/connection.h"
#include "net/shm.h"
#include "node/config_internal.h"
#include "node/metrics.h"

#define KI INT64_C(1024)
#define MI (1024 * KI)
#define GI (1024 * MI)
#define US INT64_C(1000)
#define MS (1000 * US)
#define SECOND (1000 * MS)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)

static const char *const LEVELS[] = {"trace", "debug", "info", "warn", "error", "off", NULL};
static const char *const COMPRESSIONS[] = {"auto", "off", "lz4", "zstd", NULL};
static const char *const FORMATS[] = {"text", "json", NULL};

static const dxi_config_section_t SECTIONS[] = {
    {"node", "Who this node is."},
    {"listen", "Where it listens. tcp://host:port, tls://host:port, unix:///path; port 0 is any "
               "free one."},
    {"local", "Programs on this host: clients of a unix:// address may connect as shm:// and "
              "exchange frames through shared memory."},
    {"tls", "Certificates of the tls:// addresses, PEM files. A reload reads the files again; "
            "connections that are there keep what they began with."},
    {"auth", "Who may connect. Without a token, a users file (access.file) or tls.verify_peer, "
             "everybody may who reaches an address."},
    {"access", "Users: who they are, what each of them may do, and what is written down about it "
               "(docs/security.md). Without a users file whoever may connect may do everything."},
    {"bus", "Shards, their threads and their memory."},
    {"topics", "What topics keep in memory, where they are not declared otherwise. A change is for "
               "those that are there as well."},
    {"limits", "What one client, and all together, may use."},
    {"timeouts", "How long the node waits for others."},
    {"log", "What it says about itself."},
    {"trace",
     "Spans of events on their way, exported to an OpenTelemetry collector as OTLP over HTTP "
     "(docs/tracing.md)."},
    {"admin",
     "HTTP for people and their tools: dashboard, API, metrics for Prometheus, health. Who "
     "must show a token to connect must show it here too; /, /livez and /readyz are for "
     "everybody. A reload reads certificates again."},
};

static const dx_config_option_t ROWS[] = {
    {.name = "node.name",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = 63,
     .help = "For people, logs and statistics. Empty: the name of the host."},
    {.name = "node.id",
     .type = DX_CONFIG_INTEGER,
     .default_text = "0",
     .high = INT64_MAX,
     .help = "Tells nodes apart. 0: a random one at each start."},

    {.name = "listen.addresses",
     .type = DX_CONFIG_LIST,
     .default_text = "tcp://127.0.0.1:7400",
     .high = DX_NODE_LISTENERS_MAX,
     .help = "An empty list: no listener, only the program that embeds the node uses it."},
    {.name = "listen.unix_mode",
     .type = DX_CONFIG_TEXT,
     .default_text = "0600",
     .low = 3,
     .high = 5,
     .help = "Permissions of UNIX sockets, octal."},
    {.name = "listen.compression",
     .type = DX_CONFIG_CHOICE,
     .default_text = "auto",
     .choices = COMPRESSIONS,
     .help = "Of what goes to clients and comes from them. auto: what pays, with clients on other "
             "hosts, and with those that ask for it. lz4, zstd: with every client that can."},

    {.name = "local.enabled",
     .type = DX_CONFIG_BOOL,
     .default_text = "true",
     .high = 1,
     .help = "false: shm:// is refused, and unix:// remains."},
    {.name = "local.any_user",
     .type = DX_CONFIG_BOOL,
     .default_text = "false",
     .high = 1,
     .help = "shm:// is for every user who may open the socket (listen.unix_mode), not only for "
             "the one whose the node is."},
    {.name = "local.ring_bytes",
     .type = DX_CONFIG_BYTES,
     .power_of_two = true,
     .default_text = "256Ki",
     .low = DXI_SHM_RING_BYTES_MIN,
     .high = DXI_SHM_RING_BYTES_MAX,
     .help = "Shared memory of each such connection, for each of its two directions; what was "
             "never used costs nothing."},

    {.name = "tls.certificate_file",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "The node's certificate and those between it and its authority."},
    {.name = "tls.key_file",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "The key of the certificate."},
    {.name = "tls.authority_file",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "Whose certificates are believed when clients show theirs."},
    {.name = "tls.verify_peer",
     .type = DX_CONFIG_BOOL,
     .default_text = "false",
     .high = 1,
     .help = "Clients of tls:// addresses must show a certificate of the authority (mTLS); they "
             "need no token then. Where there are users, who has such a certificate is a user that "
             "names it."},

    {.name = "auth.token",
     .type = DX_CONFIG_TEXT,
     .live = true,
     .secret = true,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help =
         "What clients must show. Empty: nothing. On tcp:// it can be read on its way. A change is "
         "for connections made from then on."},
    {.name = "auth.token_file",
     .type = DX_CONFIG_TEXT,
     .live = true,
     .reload_only = true,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "A file whose first line is the token; read at the start and at each reload."},

    {.name = "access.file",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "The users file; `dx user` makes and changes it. Nothing is allowed then that it does "
             "not allow. It is read again at each reload; only its owner may be able to write it. "
             "Not beside auth.token."},
    {.name = "access.audit_file",
     .type = DX_CONFIG_TEXT,
     .live = true,
     .reload_only = true,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help =
         "A line of JSON for each connection, refusal, administrative change and reload; opened "
         "anew at each reload, so it may be moved away before. Empty: none."},
    {.name = "access.core_dumps",
     .type = DX_CONFIG_BOOL,
     .default_text = "true",
     .high = 1,
     .help = "Whether this process may leave a core. What it keeps of tokens and keys is left out "
             "of a core anyway; payloads are not. false: no core, and only root may look into the "
             "process."},

    {.name = "bus.shards",
     .type = DX_CONFIG_INTEGER,
     .power_of_two = true,
     .default_text = "16",
     .low = 1,
     .high = DX_BUS_SHARDS_MAX,
     .help = "Each is one order of events. A topic lives in one of them, or, where its events are "
             "spread by key, in all."},
    {.name = "bus.loops",
     .type = DX_CONFIG_INTEGER,
     .default_text = "0",
     .high = DX_BUS_LOOPS_MAX,
     .help = "Threads that serve shards and connections. 0: half of the processors, at least 1."},
    {.name = "bus.shard_ring_bytes",
     .type = DX_CONFIG_BYTES,
     .power_of_two = true,
     .default_text = "1Mi",
     .low = 64 * KI,
     .high = GI,
     .help = "Publications on their way, of each shard. What fits into a processor's second-level "
             "cache is fastest."},
    {.name = "bus.event_bytes_max",
     .type = DX_CONFIG_BYTES,
     .default_text = "128Ki",
     .low = 64,
     .high = 15 * MI,
     .help = "The largest payload; at most a quarter of bus.shard_ring_bytes."},
    {.name = "bus.topics_max",
     .type = DX_CONFIG_INTEGER,
     .default_text = "65536",
     .low = 1,
     .high = DX_BUS_TOPICS_MAX,
     .help = "Topics of the node; one that is spread by key counts once for each shard."},
    {.name = "bus.subscriptions_max",
     .type = DX_CONFIG_INTEGER,
     .default_text = "65536",
     .low = 1,
     .high = 1048576,
     .help = "Subscriptions of the node, of all clients together."},
    {.name = "bus.producers_max",
     .type = DX_CONFIG_INTEGER,
     .default_text = "4096",
     .low = 1,
     .high = 1048576,
     .help = "Publishers whose retries each shard recognises; the one that was silent longest "
             "is forgotten."},
    {.name = "bus.topic_creation",
     .type = DX_CONFIG_BOOL,
     .default_text = "true",
     .high = 1,
     .help = "A topic is made when it is first used. false: topics must be declared."},
    {.name = "bus.busy_poll",
     .type = DX_CONFIG_BOOL,
     .default_text = "false",
     .high = 1,
     .help = "The loops never sleep: the least latency, and a processor each that is always "
             "busy."},
    {.name = "bus.spin_us",
     .type = DX_CONFIG_DURATION,
     .default_text = "20us",
     .high = SECOND,
     .help = "How long a loop looks for work before it sleeps. 0: not at all."},
    {.name = "bus.cpus",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "Where the loops may run, as in 2-3,6. Empty: everywhere."},

    {.name = "topics.retain_events",
     .type = DX_CONFIG_INTEGER,
     .live = true,
     .default_text = "1024",
     .high = (int64_t)DX_RETAIN_EVENTS_MAX,
     .help = "Events that a topic keeps for subscribers that start behind or lag. 0: none."},
    {.name = "topics.retain_bytes",
     .type = DX_CONFIG_BYTES,
     .live = true,
     .default_text = "1Mi",
     .low = 4 * KI,
     .high = (int64_t)DX_RETAIN_BYTES_MAX,
     .help = "And their bytes, of one topic."},
    {.name = "topics.retain_age_s",
     .type = DX_CONFIG_DURATION,
     .live = true,
     .default_text = "0",
     .high = 365 * DAY,
     .help = "And how long. 0: without a limit."},
    {.name = "topics.retain_bytes_max",
     .type = DX_CONFIG_BYTES,
     .live = true,
     .default_text = "256Mi",
     .low = MI,
     .high = 1024 * GI,
     .help = "What all topics together keep."},

    {.name = "limits.connections_max",
     .type = DX_CONFIG_INTEGER,
     .live = true,
     .default_text = "10000",
     .low = 1,
     .high = 1000000,
     .help = "Connections of clients, of all addresses together; more are refused and counted."},
    {.name = "limits.subscriptions_per_connection_max",
     .type = DX_CONFIG_INTEGER,
     .live = true,
     .default_text = "4096",
     .low = 1,
     .high = 1048576,
     .help = "Subscriptions of one connection."},
    {.name = "limits.frame_bytes_max",
     .type = DX_CONFIG_BYTES,
     .default_text = "4Mi",
     .low = 72 * KI,
     .high = DX_FRAME_BYTES_MAX,
     .help = "The largest frame that is accepted."},
    {.name = "limits.receive_bytes",
     .type = DX_CONFIG_BYTES,
     .default_text = "256Ki",
     .low = DXI_RECEIVE_BYTES_MIN,
     .high = DXI_RECEIVE_BYTES_MAX,
     .help = "The receive buffer of each connection; it grows for a frame that is larger."},
    {.name = "limits.send_bytes",
     .type = DX_CONFIG_BYTES,
     .power_of_two = true,
     .default_text = "2Mi",
     .low = DXI_SEND_BYTES_MIN,
     .high = DXI_SEND_BYTES_MAX,
     .help = "The sending ring of each connection: what may wait for a slow peer. At least "
             "bus.event_bytes_max and 64Ki."},
    {.name = "limits.publish_credit_events",
     .type = DX_CONFIG_INTEGER,
     .live = true,
     .default_text = "65536",
     .low = 16,
     .high = 16777216,
     .help = "Publications that a client may send ahead."},
    {.name = "limits.publish_credit_bytes",
     .type = DX_CONFIG_BYTES,
     .live = true,
     .default_text = "8Mi",
     .low = 72 * KI,
     .high = GI,
     .help = "And their bytes. At least bus.event_bytes_max and 64Ki."},

    {.name = "timeouts.handshake_ms",
     .type = DX_CONFIG_DURATION,
     .default_text = "5s",
     .low = 10 * MS,
     .high = HOUR,
     .help = "For TLS, greeting and authentication of a new connection."},
    {.name = "timeouts.keep_alive_ms",
     .type = DX_CONFIG_DURATION,
     .default_text = "15s",
     .high = DAY,
     .help = "Silence after which the peer is asked whether it is there. 0: never."},
    {.name = "timeouts.idle_ms",
     .type = DX_CONFIG_DURATION,
     .default_text = "45s",
     .high = DAY,
     .help = "Silence after which a connection counts as dead; longer than "
             "timeouts.keep_alive_ms. 0: never."},
    {.name = "timeouts.close_ms",
     .type = DX_CONFIG_DURATION,
     .default_text = "2s",
     .low = MS,
     .high = HOUR,
     .help = "For a connection that is closed to take what is still to be sent."},
    {.name = "timeouts.drain_ms",
     .type = DX_CONFIG_DURATION,
     .live = true,
     .default_text = "10s",
     .low = MS,
     .high = DAY,
     .help = "For the whole node to deliver and answer what it has when it stops."},

    {.name = "log.level",
     .type = DX_CONFIG_CHOICE,
     .live = true,
     .default_text = "info",
     .choices = LEVELS,
     .help = "Lines of this level and above."},
    {.name = "log.format",
     .type = DX_CONFIG_CHOICE,
     .default_text = "text",
     .choices = FORMATS,
     .help = "For people or for machines, one JSON object a line."},
    {.name = "log.file",
     .type = DX_CONFIG_TEXT,
     .live = true,
     .reload_only = true,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "Where lines go, at its end; opened anew at each reload, so it may be moved away "
             "before. Empty: standard error."},
    {.name = "log.burst",
     .type = DX_CONFIG_INTEGER,
     .default_text = "10",
     .high = DX_LOG_BURST_MAX,
     .help = "Lines a second of one place in the code; what is left out is counted. 0: no "
             "limit."},

    {.name = "trace.endpoint",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help =
         "The collector, as in http://127.0.0.1:4318; without a path, /v1/traces is added. Empty: "
         "nothing is traced, and that costs nothing."},
    {.name = "trace.headers",
     .type = DX_CONFIG_TEXT,
     .live = true,
     .secret = true,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "Headers of each request, as in authorization=Bearer abc,x-tenant=7."},
    {.name = "trace.authority_file",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help =
         "Whose certificates are believed when the collector shows its own. Empty: those that the "
         "system believes."},
    {.name = "trace.sample",
     .type = DX_CONFIG_INTEGER,
     .live = true,
     .default_text = "1000",
     .high = DX_TRACE_SAMPLE_MAX,
     .help =
         "One event of so many is traced, where its publisher does not say whether it is. 1: each. "
         "0: only those whose publisher says so."},
    {.name = "trace.buffer_spans",
     .type = DX_CONFIG_INTEGER,
     .power_of_two = true,
     .default_text = "1024",
     .low = DX_TRACE_BUFFER_SPANS_MIN,
     .high = DX_TRACE_BUFFER_SPANS_MAX,
     .help = "Spans that may wait in each thread; more are dropped and counted."},
    {.name = "trace.batch_spans",
     .type = DX_CONFIG_INTEGER,
     .default_text = "512",
     .low = 1,
     .high = DX_TRACE_BATCH_SPANS_MAX,
     .help = "Spans of one request to the collector."},
    {.name = "trace.batch_bytes",
     .type = DX_CONFIG_BYTES,
     .default_text = "512Ki",
     .low = DX_TRACE_BATCH_BYTES_MIN,
     .high = DX_TRACE_BATCH_BYTES_MAX,
     .help = "And its bytes."},
    {.name = "trace.interval_ms",
     .type = DX_CONFIG_DURATION,
     .default_text = "1s",
     .low = 10 * MS,
     .high = 60 * SECOND,
     .help = "How long a span waits for others, before a request is sent that is not full."},
    {.name = "trace.timeout_ms",
     .type = DX_CONFIG_DURATION,
     .default_text = "5s",
     .low = 10 * MS,
     .high = 60 * SECOND,
     .help = "How long the collector may take to answer."},
    {.name = "admin.enabled",
     .type = DX_CONFIG_BOOL,
     .default_text = "false",
     .high = 1,
     .help = "Whether it is there. dx server --dev turns it on."},
    {.name = "admin.address",
     .type = DX_CONFIG_TEXT,
     .default_text = "http://127.0.0.1:7401",
     .low = 9,
     .high = 300,
     .help = "http://host:port or https://host:port; port 0 is any free one. Where others than "
             "programs of this host reach it, access.file, auth.token, auth.token_file or "
             "admin.verify_peer must be there."},
    {.name = "admin.certificate_file",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "Of https://. Empty: tls.certificate_file and tls.key_file."},
    {.name = "admin.key_file",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "The key of the certificate."},
    {.name = "admin.authority_file",
     .type = DX_CONFIG_TEXT,
     .default_text = "",
     .high = DX_CONFIG_TEXT_BYTES_MAX,
     .help = "Whose certificates are believed when people and tools show theirs. Empty: "
             "tls.authority_file."},
    {.name = "admin.verify_peer",
     .type = DX_CONFIG_BOOL,
     .default_text = "false",
     .high = 1,
     .help = "A certificate of the authority must be shown (mTLS)."},
    {.name = "admin.connections_max",
     .type = DX_CONFIG_INTEGER,
     .default_text = "64",
     .low = 1,
     .high = DXI_ADMIN_CONNECTIONS_MAX,
     .help = "Connections at a time; more are told so."},
    {.name = "admin.streams_max",
     .type = DX_CONFIG_INTEGER,
     .default_text = "16",
     .low = 1,
     .high = DXI_ADMIN_STREAMS_MAX,
     .help = "Live updates at a time, each one of the connections."},
    {.name = "admin.body_bytes_max",
     .type = DX_CONFIG_BYTES,
     .default_text = "64Ki",
     .low = DXI_ADMIN_BODY_BYTES_MIN,
     .high = DXI_ADMIN_BODY_BYTES_MAX,
     .help = "The largest body of a request."},
    {.name = "admin.request_timeout_ms",
     .type = DX_CONFIG_DURATION,
     .default_text = "10s",
     .low = 100 * MS,
     .high = HOUR,
     .help = "For a whole request to come, and for its answer to be taken."},
    {.name = "admin.metrics_topics_max",
     .type = DX_CONFIG_INTEGER,
     .live = true,
     .default_text = "100",
     .high = DXI_METRICS_TOPICS_MAX,
     .help = "Topics that have a label of their own in metrics, the busiest ones; the others are "
             "one, \"other\"."},
};

#define ROW_COUNT (sizeof ROWS / sizeof ROWS[0])
_Static_assert(ROW_COUNT <= DXI_CONFIG_ROWS_MAX, "raise DXI_CONFIG_ROWS_MAX");

const dx_config_option_t *dx_config_options(size_t *count_out)
{
    *count_out = ROW_COUNT;
    return ROWS;
}

const dxi_config_section_t *dxi_config_sections(size_t *count_out)
{
    *count_out = sizeof SECTIONS / sizeof SECTIONS[0];
    return SECTIONS;
}

int dxi_config_find(const char *name)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(ROWS[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* The option that a wrong name is nearest to, by the whole name, or by its last part in any
 * section; NULL. */
static const char *nearest_option(const char *name)
{
    dxi_nearest_t nearest = {.word = name};
    for (size_t i = 0; i < ROW_COUNT; i++) {
        dxi_nearest_offer(&nearest, ROWS[i].name);
    }
    const char *const dot = strrchr(name, '.');
    const char *const last = dot != NULL ? dot + 1 : name;
    for (size_t i = 0; i < ROW_COUNT && nearest.best == NULL; i++) {
        if (strcmp(strchr(ROWS[i].name, '.') + 1, last) == 0) {
            nearest.best = ROWS[i].name;
        }
    }
    return nearest.best;
}

int dxi_config_index(const char *name, dx_error_t *error)
{
    const int row = dxi_config_find(name);
    if (row >= 0) {
        return row;
    }
    const char *const nearest = nearest_option(name);
    if (nearest == NULL) {
        return dxi_fail(error, DX_ENOTFOUND,
                        "%.70s is not known; docs/configuration.md has all options", name);
    }
    return dxi_fail(error, DX_ENOTFOUND, "%.70s is not known; did you mean %s?", name, nearest);
}
