/* bench_net.c - what one connection carries between two loops of this process.
 *
 * QUESTIONS. How many frames of 216 bytes (128 of payload, a topic) go through one connection in a
 * second, one way? And how long does a frame take there and back, when nothing else is under way?
 *
 * METHOD. Two loops, a thread each; one connection over loopback TCP, a UNIX socket, and TLS over
 * loopback TCP. One way: a duty of the sender's loop encodes frames in place, each with its
 * checksums, as long as the sending ring has room; the receiver decodes them, checksums included,
 * counts them and adds up their sequences, which are compared at the end. Round trips: a frame is
 * sent when the last one came back; loops that sleep, and loops that spin. ROUNDS rounds of each;
 * median and quartiles.
 *
 * NOT MEASURED. A network: loopback copies twice and loses nothing. More than one connection: a
 * loop serves several with the same code. What frames mean: the bus.
 *
 * Options: --quick (a fiftieth of the work, for tests).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disruptorx/clock.h"
#include "net/connection.h"

#define ROUNDS 5
#define PAYLOAD_BYTES 128
#define FRAMES_A_ROUND 4000000
#define TRIPS_A_ROUND 20000
#define FRAMES_A_TURN 512

static void die(const char *what, const dx_error_t *error)
{
    fprintf(stderr, "bench_net: %s: %s\n", what, error != NULL ? error->message : "");
    exit(1);
}

typedef struct side {
    dxi_loop_t *loop;
    dxi_connection_t *connection; /* of the loop's thread */
    dx_atomic64_t open;
    dx_atomic64_t received; /* the loop's thread writes, the main thread reads */
    int64_t to_send;
    int64_t sent;
    uint64_t sum;
    bool echo;
    bool again; /* send one when one came */
    dxi_duty_t duty;
    int64_t *trips_ns;
    int64_t sent_ns;
} side_t;

static int send_one(side_t *side)
{
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "orders.created");
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH,
                                    .sequence = (uint64_t)side->sent + 1,
                                    .parts = &topic,
                                    .part_count = 1,
                                    .payload_bytes = PAYLOAD_BYTES};
    void *payload = NULL;
    const int64_t bytes = 216;
    void *const frame = dxi_connection_claim(side->connection, (size_t)bytes);
    if (frame == NULL) {
        return 0;
    }
    if (dx_frame_begin(frame, (size_t)bytes, &draft, &payload, NULL) != bytes) {
        die("a frame has not 216 bytes", NULL);
    }
    memset(payload, (int)side->sent, PAYLOAD_BYTES);
    dx_frame_seal(frame);
    dxi_connection_commit(side->connection, (size_t)bytes);
    side->sent++;
    return 1;
}

static int send_duty(void *context, int64_t now_ns)
{
    side_t *const side = context;
    int done = 0;
    (void)now_ns;
    while (side->sent < side->to_send && done < FRAMES_A_TURN && send_one(side) != 0) {
        done++;
    }
    return done;
}

static void on_open(void *context, dxi_connection_t *connection)
{
    side_t *const side = context;
    side->connection = connection;
    dx_store_release(&side->open, 1);
}

static int on_frame(void *context, dxi_connection_t *connection, const dx_frame_view_t *frame,
                    dx_error_t *error)
{
    side_t *const side = context;
    (void)error;
    side->sum += frame->header->sequence;
    if (side->echo) {
        return dxi_connection_send(connection, frame->header, frame->bytes);
    }
    if (side->again) {
        const int64_t now = dx_clock_ns();
        side->trips_ns[side->sent - 1] = now - side->sent_ns;
        side->sent_ns = now;
        if (side->sent < side->to_send && send_one(side) == 0) {
            die("no room for one frame", NULL);
        }
    }
    dx_store_release(&side->received, dx_load_relaxed(&side->received) + 1);
    return DX_OK;
}

static void on_close(void *context, dxi_connection_t *connection, const dx_error_t *why)
{
    (void)context;
    (void)connection;
    if (why->code != DX_ECANCELLED && why->code != DX_EIO && why->code != DX_ECLOSED) {
        die("a connection ended", why);
    }
}

static int on_accept(void *context, dxi_connection_t *connection, dx_error_t *error)
{
    (void)context;
    (void)connection;
    (void)error;
    return DX_OK;
}

/* A key and a certificate that it signs itself, for the run of this program. */
static void certificate_make(const char *certificate_file, const char *key_file)
{
    EVP_PKEY *const key = EVP_EC_gen("P-256");
    X509 *const certificate = X509_new();
    FILE *const file = fopen(certificate_file, "w");
    FILE *const other = fopen(key_file, "w");
    if (key == NULL || certificate == NULL || file == NULL || other == NULL) {
        die("cannot make a certificate", NULL);
    }
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    (void)X509_set_pubkey(certificate, key);
    if (X509_sign(certificate, key, EVP_sha256()) == 0 || PEM_write_X509(file, certificate) != 1 ||
        PEM_write_PrivateKey(other, key, NULL, NULL, 0, NULL, NULL) != 1) {
        die("cannot write a certificate", NULL);
    }
    (void)fclose(file);
    (void)fclose(other);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* Of all runs; used by tls:// only. */
static dxi_tls_t *node_tls;
static dxi_tls_t *client_tls;

static void tls_begin(const char *folder)
{
    char certificate[64];
    char key[64];
    dx_error_t error = {0};
    (void)snprintf(certificate, sizeof certificate, "%s/pem", folder);
    (void)snprintf(key, sizeof key, "%s/key", folder);
    certificate_make(certificate, key);
    const dxi_tls_options_t node = {
        .server = true, .certificate_file = certificate, .key_file = key};
    const dxi_tls_options_t client = {.insecure = true};
    if (dxi_tls_create(&node, &node_tls, &error) != DX_OK ||
        dxi_tls_create(&client, &client_tls, &error) != DX_OK) {
        die("cannot begin with TLS", &error);
    }
    (void)unlink(certificate);
    (void)unlink(key);
}

typedef struct rig {
    side_t sender;
    side_t receiver;
    dxi_listener_t *listener;
} rig_t;

static dxi_connection_events_t events_of(side_t *side)
{
    return (dxi_connection_events_t){
        .context = side, .on_open = on_open, .on_frame = on_frame, .on_close = on_close};
}

static void connect_now(void *context)
{
    rig_t *const rig = context;
    const dxi_connection_events_t events = events_of(&rig->sender);
    const dxi_connection_options_t options = {.tls = client_tls};
    dxi_connection_t *connection = NULL;
    dx_error_t error = {0};
    if (dxi_connection_connect(rig->sender.loop, dxi_listener_address(rig->listener), &options,
                               &events, &connection, &error) != DX_OK) {
        die("cannot connect", &error);
    }
}

static void begin_sending(void *context)
{
    rig_t *const rig = context;
    rig->sender.duty = (dxi_duty_t){.run = send_duty, .context = &rig->sender};
    dxi_loop_add_duty(rig->sender.loop, &rig->sender.duty);
}

static void begin_trips(void *context)
{
    rig_t *const rig = context;
    rig->sender.sent_ns = dx_clock_ns();
    (void)send_one(&rig->sender);
}

static void await(const dx_atomic64_t *word, int64_t value)
{
    while (dx_load_acquire(word) < value) {
        (void)usleep(200);
    }
}

static void rig_begin(rig_t *rig, const char *text, bool spin)
{
    dxi_address_t address;
    dx_error_t error = {0};
    const dxi_loop_options_t options = {.name = "bench", .busy_poll = spin};
    if (dxi_address_parse(text, &address, &error) != DX_OK ||
        dxi_loop_create(&options, &rig->sender.loop, &error) != DX_OK ||
        dxi_loop_create(&options, &rig->receiver.loop, &error) != DX_OK) {
        die("cannot make loops", &error);
    }
    const dxi_listener_options_t listener = {.connection = {.tls = node_tls},
                                             .events = events_of(&rig->receiver),
                                             .on_accept = on_accept};
    if (dxi_listener_create(rig->receiver.loop, &address, &listener, &rig->listener, &error) !=
            DX_OK ||
        dxi_loop_start(rig->receiver.loop, &error) != DX_OK ||
        dxi_loop_start(rig->sender.loop, &error) != DX_OK) {
        die("cannot listen", &error);
    }
    dxi_loop_call(rig->sender.loop, connect_now, rig);
    await(&rig->sender.open, 1);
    await(&rig->receiver.open, 1);
}

static void rig_end(rig_t *rig)
{
    dxi_loop_stop(rig->sender.loop);
    dxi_loop_stop(rig->receiver.loop);
    dxi_listener_close(rig->listener);
    dxi_loop_destroy(rig->sender.loop);
    dxi_loop_destroy(rig->receiver.loop);
}

static double one_way(const char *address, int64_t frames)
{
    rig_t rig = {0};
    rig_begin(&rig, address, false);
    rig.sender.to_send = frames;
    const int64_t from_ns = dx_clock_ns();
    dxi_loop_call(rig.sender.loop, begin_sending, &rig);
    await(&rig.receiver.received, frames);
    const double seconds = (double)(dx_clock_ns() - from_ns) / 1e9;
    rig_end(&rig);
    if (rig.receiver.sum != (uint64_t)frames * ((uint64_t)frames + 1) / 2) {
        die("the sum of the sequences is wrong", NULL);
    }
    return (double)frames / seconds;
}

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

static int compare_ns(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void round_trips(const char *address, bool spin, int64_t trips, double *p50, double *p99)
{
    rig_t rig = {0};
    rig.receiver.echo = true;
    rig.sender.again = true;
    rig.sender.to_send = trips;
    rig.sender.trips_ns = calloc((size_t)trips, sizeof(int64_t));
    rig_begin(&rig, address, spin);
    dxi_loop_call(rig.sender.loop, begin_trips, &rig);
    await(&rig.sender.received, trips);
    rig_end(&rig);
    qsort(rig.sender.trips_ns, (size_t)trips, sizeof(int64_t), compare_ns);
    *p50 = (double)rig.sender.trips_ns[trips / 2] / 1000;
    *p99 = (double)rig.sender.trips_ns[trips * 99 / 100] / 1000;
    free(rig.sender.trips_ns);
}

int main(int argc, char **argv)
{
    const bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    char folder[] = "/tmp/bench-net-XXXXXX";
    char local[64];
    if (mkdtemp(folder) == NULL) {
        die("cannot make a folder", NULL);
    }
    (void)snprintf(local, sizeof local, "unix://%s/s", folder);
    tls_begin(folder);
    const char *const addresses[] = {"tcp://127.0.0.1:0", local, "tls://127.0.0.1:0"};
    const char *const names[] = {"tcp", "unix", "tls"};
    printf("%-6s %-28s %10s %10s %10s\n", "over", "", "median", "q1", "q3");
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        const char *const name = names[i];
        double rates[ROUNDS];
        double p50[2][ROUNDS];
        double p99[2][ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            rates[round] = one_way(addresses[i], FRAMES_A_ROUND / (quick ? 50 : 1)) / 1e6;
            for (int spin = 0; spin < 2; spin++) {
                round_trips(addresses[i], spin != 0, TRIPS_A_ROUND / (quick ? 50 : 1),
                            &p50[spin][round], &p99[spin][round]);
            }
        }
        const struct {
            const char *what;
            double *values;
        } rows[] = {{"million frames a second", rates},
                    {"round trip p50, us", p50[0]},
                    {"round trip p99, us", p99[0]},
                    {"round trip p50, us, spinning", p50[1]},
                    {"round trip p99, us, spinning", p99[1]}};
        for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
            qsort(rows[row].values, ROUNDS, sizeof(double), compare);
            printf("%-6s %-28s %10.2f %10.2f %10.2f\n", name, rows[row].what,
                   rows[row].values[ROUNDS / 2], rows[row].values[ROUNDS / 4],
                   rows[row].values[ROUNDS * 3 / 4]);
        }
    }
    dxi_tls_destroy(node_tls);
    dxi_tls_destroy(client_tls);
    return rmdir(folder);
}
