/* test_net_tls.c - TLS 1.3: who is believed, by whom, and what happens when a certificate changes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <sys/stat.h>

#include "disruptorx/thread.h"
#include "net/tls_internal.h"
#include "net_certificates.h"
#include "net_raw.h"

static char folder[64];

/* "<folder>/<name>", in one of a few buffers. */
static const char *path_of(const char *name)
{
    static char paths[8][128];
    static int next;
    char *const path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *const FILES[] = {"ca.pem",      "other.pem",   "node.pem",     "node.key",
                                    "client.pem",  "client.key",  "late.pem",     "late.key",
                                    "moving.pem",  "moving.key",  "stranger.pem", "stranger.key",
                                    "garbage.pem", "expired.pem", "expired.key",  "aged-ca.pem",
                                    "aged.pem",    "aged.key",    "named.pem",    "named.key"};

static void identity_write(identity_t *identity, const char *name)
{
    char file[32];
    (void)snprintf(file, sizeof file, "%s.pem", name);
    certificate_write(identity, path_of(file));
    (void)snprintf(file, sizeof file, "%s.key", name);
    key_write(identity, path_of(file));
}

static int setup_all(void **state)
{
    (void)state;
    const char *const names = "DNS:localhost,IP:127.0.0.1";
    (void)snprintf(folder, sizeof folder, "/tmp/dx-tls-XXXXXX");
    assert_non_null(mkdtemp(folder));
    identity_t authority = identity_make("authority", NULL, NULL, 86400);
    identity_t other = identity_make("other", NULL, NULL, 86400);
    identity_t aged = identity_make("aged authority", NULL, NULL, -60);
    certificate_write(&aged, path_of("aged-ca.pem"));
    certificate_write(&authority, path_of("ca.pem"));
    certificate_write(&other, path_of("other.pem"));
    const struct {
        const char *file;
        const char *name;
        const char *names;
        const identity_t *issuer;
        long seconds;
    } rows[] = {{"node", "node-1", names, &authority, 86400},
                {"client", "pump-7", NULL, &authority, 86400},
                {"late", "node-2", names, &authority, 86400},
                {"expired", "node-3", names, &authority, -60},
                {"aged", "node-4", names, &aged, 86400},
                {"named", "pump-8",
                 "DNS:pump-8.example,URI:spiffe://works/pump-8,email:p@example.org,IP:192.0.2.7,"
                 "IP:2001:db8::7,otherName:1.2.3;UTF8:strange",
                 &authority, 86400},
                {"stranger", "stranger", names, &other, 86400}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        identity_t made =
            identity_make(rows[i].name, rows[i].names, rows[i].issuer, rows[i].seconds);
        identity_write(&made, rows[i].file);
        identity_free(&made);
    }
    FILE *const garbage = fopen(path_of("garbage.pem"), "w");
    assert_true(fputs("no certificate\n", garbage) > 0);
    assert_int_equal(fclose(garbage), 0);
    identity_free(&authority);
    identity_free(&other);
    identity_free(&aged);
    return 0;
}

static int teardown_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(FILES); i++) {
        (void)unlink(path_of(FILES[i]));
    }
    return rmdir(folder);
}

static dxi_tls_t *tls_of(const dxi_tls_options_t *options)
{
    dxi_tls_t *tls = NULL;
    dx_error_t error = {0};
    if (dxi_tls_create(options, &tls, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return tls;
}

static dxi_tls_t *node_tls(const char *name, bool mutual)
{
    char certificate[32];
    char key[32];
    (void)snprintf(certificate, sizeof certificate, "%s.pem", name);
    (void)snprintf(key, sizeof key, "%s.key", name);
    return tls_of(&(dxi_tls_options_t){.server = true,
                                       .certificate_file = path_of(certificate),
                                       .key_file = path_of(key),
                                       .authority_file = mutual ? path_of("ca.pem") : NULL,
                                       .verify_peer = mutual});
}

static dxi_tls_t *client_tls(const char *authority, const char *name)
{
    char certificate[32];
    char key[32];
    if (name == NULL) {
        return tls_of(&(dxi_tls_options_t){.authority_file = path_of(authority)});
    }
    (void)snprintf(certificate, sizeof certificate, "%s.pem", name);
    (void)snprintf(key, sizeof key, "%s.key", name);
    return tls_of(&(dxi_tls_options_t){.authority_file = path_of(authority),
                                       .certificate_file = path_of(certificate),
                                       .key_file = path_of(key)});
}

static void pair_begin_tls(pair_t *pair, dxi_tls_t *node, dxi_tls_t *client)
{
    const dxi_listener_options_t listener = {.connection = {.tls = node}};
    const dxi_connection_options_t options = {.tls = client};
    pair_begin(pair, "tls://127.0.0.1:0", &listener, &options);
}

static void writes_of(void *context)
{
    dxi_connection_info_t info;
    dxi_connection_info(((side_t *)((void **)context)[0])->connection, &info);
    *(uint64_t *)((void **)context)[1] = info.writes;
}

static void several_records_go_in_one_write(void **state)
{
    (void)state;
    dxi_tls_t *const node = node_tls("node", false);
    dxi_tls_t *const client = client_tls("ca.pem", NULL);
    pair_t pair;
    pair_begin_tls(&pair, node, client);
    side_wait(&pair.client, pair.client.opens == 1);
    side_wait(&pair.node, pair.node.opens == 1);
    uint64_t next = 1;
    while (next <= 100) {
        next += (uint64_t)side_send(pair.client_loop, &pair.client, next, 1, 65000);
    }
    side_wait(&pair.node, pair.node.sum == next - 1);
    assert_true(pair.node.ordered);
    uint64_t writes = 0;
    dxi_loop_call(pair.client_loop, writes_of, (void *[]){&pair.client, &writes});
    assert_true(writes <= 2 * 100 + 20); /* a record each would be 400 */
    side_close(pair.client_loop, &pair.client, DX_ECLOSED, "done");
    side_wait(&pair.node, pair.node.closes == 1);
    pair_end(&pair);
    dxi_tls_destroy(node);
    dxi_tls_destroy(client);
}

static void frames_go_both_ways_over_tls(void **state)
{
    (void)state;
    dxi_tls_t *const node = node_tls("node", false);
    dxi_tls_t *const client = client_tls("ca.pem", NULL);
    pair_t pair;
    pair_begin_tls(&pair, node, client);
    side_wait(&pair.client, pair.client.opens == 1);
    side_wait(&pair.node, pair.node.opens == 1);
    pair.node.echo = true;
    uint64_t next = 1;
    while (next <= 5000) {
        next += (uint64_t)side_send(pair.client_loop, &pair.client, next, 50, 700);
        if (next % 1000 < 50) {
            (void)side_send(pair.client_loop, &pair.client, next++, 1, 65000); /* several records */
        }
    }
    side_wait(&pair.node, pair.node.sum == next - 1);
    assert_true(pair.node.ordered);
    side_close(pair.client_loop, &pair.client, DX_ECLOSED, "done");
    side_wait(&pair.node, pair.node.closes == 1);
    assert_string_equal(dx_error_name(pair.node.why.code), "DX_ECLOSED");
    pair_end(&pair);
    dxi_tls_destroy(node);
    dxi_tls_destroy(client);
}

static void with_mtls_the_node_knows_its_client(void **state)
{
    (void)state;
    dxi_tls_t *const node = node_tls("node", true);
    dxi_tls_t *const client = client_tls("ca.pem", "client");
    pair_t pair;
    pair_begin_tls(&pair, node, client);
    side_wait(&pair.client, pair.client.opens == 1);
    side_wait(&pair.node, pair.node.opens == 1);
    dxi_connection_info_t info = info_of(pair.node_loop, &pair.node);
    assert_true(info.tls && info.open);
    assert_string_equal(info.tls_subject, "CN=pump-7");
    info = info_of(pair.client_loop, &pair.client);
    assert_string_equal(info.tls_subject, "CN=node-1");
    pair_end(&pair);
    dxi_tls_destroy(node);
    dxi_tls_destroy(client);
}

static void who_is_not_believed_is_told_why(void **state)
{
    (void)state;
    const struct {
        const char *node;
        bool mutual;
        const char *client_authority;
        const char *client;
        const char *said; /* to the client */
    } cases[] = {
        {"node", false, "other.pem", NULL, "unable to get local issuer certificate"},
        {"aged", false, "aged-ca.pem", NULL, "certificate has expired"},
        {"client", false, "ca.pem", NULL, "IP address mismatch"},
        {"node", true, "ca.pem", NULL, "certificate required"},
        {"node", true, "ca.pem", "stranger", "unknown ca"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dxi_tls_t *const node = node_tls(cases[i].node, cases[i].mutual);
        dxi_tls_t *const client = client_tls(cases[i].client_authority, cases[i].client);
        pair_t pair;
        dxi_listener_stat_t stat;
        pair_begin_tls(&pair, node, client);
        side_wait(&pair.client, pair.client.closes == 1);
        side_wait(&pair.node, pair.node.closes == 1);
        assert_string_equal(dx_error_name(pair.client.why.code), "DX_EPERM");
        assert_contains(pair.client.why.message, cases[i].said);
        assert_int_equal(pair.node.opens, 0);
        assert_int_equal(pair.client.opens, 0);
        dxi_listener_stat(pair.listener, &stat);
        assert_int_equal(stat.handshake_failures, 1);
        pair_end(&pair);
        dxi_tls_destroy(node);
        dxi_tls_destroy(client);
    }
}

static void resume_run(void *context)
{
    side_t *const side = context;
    dxi_connection_resume(side->connection);
}

static void a_client_that_does_not_read_stops_the_node_and_loses_nothing(void **state)
{
    (void)state;
    dxi_tls_t *const node = node_tls("node", false);
    dxi_tls_t *const client = client_tls("ca.pem", NULL);
    pair_t pair;
    const dxi_listener_options_t listener = {
        .connection = {.tls = node, .send_bytes = DXI_SEND_BYTES_MIN}};
    const dxi_connection_options_t options = {.tls = client,
                                              .receive_bytes = DXI_RECEIVE_BYTES_MIN};
    pair_open(&pair, "tls://127.0.0.1:0", &listener, &options);
    for (int round = 0; round < 2; round++) {
        side_lock(&pair.client);
        pair.client.answer = DX_EAGAIN;
        side_unlock(&pair.client);
        uint64_t sent = pair.client.sum;
        int more = 0;
        for (int quiet = 0; quiet < 20; quiet = more == 0 ? quiet + 1 : 0) {
            more = side_send(pair.node_loop, &pair.node, sent + 1, 1000, 1000);
            sent += (uint64_t)more;
            (void)usleep(1000);
        }
        side_lock(&pair.client);
        pair.client.answer = DX_OK;
        side_unlock(&pair.client);
        dxi_loop_call(pair.client_loop, resume_run, &pair.client);
        side_wait(&pair.client, pair.client.sum == sent);
        assert_true(pair.client.ordered);
        side_wait(&pair.node, pair.node.writables > round);
    }
    pair_end(&pair);
    dxi_tls_destroy(node);
    dxi_tls_destroy(client);
}

static void a_name_in_the_address_must_be_in_the_certificate(void **state)
{
    (void)state;
    dxi_tls_t *const node = node_tls("node", false);
    dxi_tls_t *const client = client_tls("ca.pem", NULL);
    dxi_tls_t *const wrong = tls_of(
        &(dxi_tls_options_t){.authority_file = path_of("ca.pem"), .server_name = "other.example"});
    dxi_loop_t *const loop = loop_started("names");
    side_t side;
    side_init(&side);
    const dxi_listener_options_t options = {.connection = {.tls = node},
                                            .events = side_events(&side)};
    dxi_listener_t *const listener = listen_on(loop, "tls://127.0.0.1:0", &options);
    dxi_address_t address = *dxi_listener_address(listener);
    (void)snprintf(address.host, sizeof address.host, "localhost");
    for (int i = 0; i < 2; i++) {
        side_t peer;
        const dxi_connection_options_t wishes = {.tls = i == 0 ? client : wrong};
        side_init(&peer);
        connect_to(loop, &address, &wishes, &peer);
        side_wait(&peer, peer.opens == 1 || peer.closes == 1);
        assert_int_equal(peer.opens, i == 0);
        assert_true(i == 0 || strstr(peer.why.message, "hostname mismatch") != NULL);
        side_close(loop, &peer, DX_ECLOSED, NULL);
        side_wait(&peer, peer.closes == 1);
    }
    listener_end(loop, listener);
    dxi_loop_destroy(loop);
    dxi_tls_destroy(node);
    dxi_tls_destroy(client);
    dxi_tls_destroy(wrong);
}

static void an_insecure_client_believes_anybody(void **state)
{
    (void)state;
    dxi_tls_t *const node = node_tls("stranger", false);
    dxi_tls_t *const client = tls_of(&(dxi_tls_options_t){.insecure = true});
    pair_t pair;
    pair_begin_tls(&pair, node, client);
    side_wait(&pair.client, pair.client.opens == 1);
    pair_end(&pair);
    dxi_tls_destroy(node);
    dxi_tls_destroy(client);
}

static void moving_write(const char *name)
{
    char from[32];
    for (int i = 0; i < 2; i++) {
        (void)snprintf(from, sizeof from, "%s.%s", name, i == 0 ? "pem" : "key");
        (void)unlink(path_of(i == 0 ? "moving.pem" : "moving.key"));
        assert_int_equal(link(path_of(from), path_of(i == 0 ? "moving.pem" : "moving.key")), 0);
    }
}

/* The subject that a new client sees. */
static void subject_see(const pair_t *pair, dxi_tls_t *client, char *subject_out)
{
    side_t side;
    dxi_connection_info_t info;
    const dxi_connection_options_t options = {.tls = client};
    side_init(&side);
    connect_to(pair->client_loop, dxi_listener_address(pair->listener), &options, &side);
    side_wait(&side, side.opens == 1);
    info = info_of(pair->client_loop, &side);
    (void)snprintf(subject_out, sizeof info.tls_subject, "%s", info.tls_subject);
    side_close(pair->client_loop, &side, DX_ECLOSED, NULL);
    side_wait(&side, side.closes == 1);
}

static void new_certificates_are_used_without_a_restart(void **state)
{
    (void)state;
    char subject[256];
    dx_error_t error = {0};
    moving_write("node");
    dxi_tls_t *const node = node_tls("moving", false);
    dxi_tls_t *const client = client_tls("ca.pem", NULL);
    pair_t pair;
    pair_begin_tls(&pair, node, client);
    side_wait(&pair.client, pair.client.opens == 1);

    moving_write("late");
    subject_see(&pair, client, subject);
    assert_string_equal(subject, "CN=node-1");
    assert_ok(dxi_tls_reload(node, &error));
    subject_see(&pair, client, subject);
    assert_string_equal(subject, "CN=node-2");

    (void)unlink(path_of("moving.key")); /* a half-finished change */
    assert_fails(dxi_tls_reload(node, &error), DX_ENOTFOUND, error, "key_file: ");
    assert_int_equal(link(path_of("node.key"), path_of("moving.key")), 0);
    assert_fails(dxi_tls_reload(node, &error), DX_EINVAL, error, "is no key of");
    subject_see(&pair, client, subject);
    assert_string_equal(subject, "CN=node-2");

    /* And the first connection lives on with what it had. */
    assert_int_equal(side_send(pair.client_loop, &pair.client, 1, 1, 16), 1);
    side_wait(&pair.node, pair.node.frames == 1);
    pair_end(&pair);
    dxi_tls_destroy(node);
    dxi_tls_destroy(client);
}

static void a_certificate_out_of_its_time_is_refused_and_the_old_one_stays(void **state)
{
    (void)state;
    char subject[256];
    dxi_tls_t *expired = NULL;
    dx_error_t error = {0};
    const dxi_tls_options_t options = {.server = true,
                                       .certificate_file = path_of("expired.pem"),
                                       .key_file = path_of("expired.key")};
    assert_fails(dxi_tls_create(&options, &expired, &error), DX_EINVAL, error,
                 "expired.pem' was good until");
    assert_null(expired);
    moving_write("node");
    dxi_tls_t *const node = node_tls("moving", false);
    dxi_tls_t *const client = client_tls("ca.pem", NULL);
    pair_t pair;
    pair_begin_tls(&pair, node, client);
    side_wait(&pair.client, pair.client.opens == 1);
    moving_write("expired");
    assert_fails(dxi_tls_reload(node, &error), DX_EINVAL, error, "was good until");
    subject_see(&pair, client, subject);
    assert_string_equal(subject, "CN=node-1");
    pair_end(&pair);
    dxi_tls_destroy(node);
    dxi_tls_destroy(client);
}

typedef struct swapper {
    dxi_tls_t *node;
    dx_atomic32_t ends;
    int reloads;
} swapper_t;

static void swap_run(void *context)
{
    swapper_t *const swapper = context;
    while (dx_load32_acquire(&swapper->ends) == 0) {
        moving_write(swapper->reloads % 2 == 0 ? "late" : "node");
        assert_ok(dxi_tls_reload(swapper->node, NULL));
        swapper->reloads++;
    }
}

/* Certificates change all the time, and everybody gets in with one of them, whole. */
static void certificates_are_exchanged_under_a_storm_of_connections(void **state)
{
    (void)state;
    enum { CONNECTIONS = 20 };
    char subject[256];
    bool seen[2] = {false, false};
    moving_write("node");
    swapper_t swapper = {.node = node_tls("moving", false)};
    dxi_tls_t *const client = client_tls("ca.pem", NULL);
    pair_t pair;
    dx_thread_t *thread = NULL;
    pair_begin_tls(&pair, swapper.node, client);
    side_wait(&pair.client, pair.client.opens == 1);
    assert_ok(dx_thread_start(NULL, swap_run, &swapper, &thread, NULL));
    for (int i = 0; i < CONNECTIONS || !(seen[0] && seen[1]); i++) {
        subject_see(&pair, client, subject);
        const bool is_late = strcmp(subject, "CN=node-2") == 0;
        assert_true(is_late || strcmp(subject, "CN=node-1") == 0);
        seen[is_late] = true;
    }
    dx_store32_release(&swapper.ends, 1);
    (void)dx_thread_join(thread);
    assert_true(swapper.reloads > 1);
    pair_end(&pair);
    dxi_tls_destroy(swapper.node);
    dxi_tls_destroy(client);
}

static void tls_1_2_is_refused(void **state)
{
    (void)state;
    dxi_tls_t *const node = node_tls("node", false);
    dxi_tls_t *const client = client_tls("ca.pem", NULL);
    pair_t pair;
    pair_begin_tls(&pair, node, client);
    side_wait(&pair.client, pair.client.opens == 1);
    SSL_CTX *const context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    assert_int_equal(SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION), 1);
    SSL *const ssl = SSL_new(context);
    const int fd = raw_connect(dxi_listener_address(pair.listener));
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    assert_int_equal(SSL_connect(ssl), -1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    ERR_clear_error();
    (void)close(fd);
    SSL_free(ssl);
    SSL_CTX_free(context);
    pair_end(&pair);
    dxi_tls_destroy(node);
    dxi_tls_destroy(client);
}

static void a_certificate_says_all_its_names(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "CN=pump-8",           "DNS:pump-8.example", "URI:spiffe://works/pump-8",
        "EMAIL:p@example.org", "IP:192.0.2.7",       "IP:2001:db8::7"};
    char texts[DXI_TLS_NAMES_BYTES];
    FILE *const file = fopen(path_of("named.pem"), "re");
    assert_non_null(file);
    X509 *const certificate = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    dxi_tls_names_read(certificate, texts, sizeof texts);
    const char *name = texts;
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        assert_string_equal(name, NAMES[i]);
        name += strlen(name) + 1;
    }
    assert_string_equal(name, "");              /* the other kind is left out */
    dxi_tls_names_read(certificate, texts, 40); /* two fit */
    assert_string_equal(texts + strlen(NAMES[0]) + 1, NAMES[1]);
    assert_string_equal(texts + strlen(NAMES[0]) + strlen(NAMES[1]) + 2, "");
    X509_free(certificate);
}

/* What could be taken for another name, or is cut, is no name. */
static void names_that_can_not_be_written_as_they_are_are_left_out(void **state)
{
    (void)state;
    static const char LONG[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.";
    char texts[DXI_TLS_NAMES_BYTES], longest[300] = "";
    for (int i = 0; i < 4; i++) {
        (void)strncat(longest, LONG, sizeof longest - strlen(longest) - 1);
    }
    longest[DXI_TLS_NAME_BYTES_MAX - 4] = '\0'; /* and "DNS:" */
    const struct {
        const char *text;
        int bytes;
        bool good;
    } cases[] = {{"a.example", 9, true},
                 {"a.example\0.evil.example", 23, false},
                 {"a\n.example", 10, false},
                 {"", 0, false},
                 {longest, DXI_TLS_NAME_BYTES_MAX - 4, true},
                 {LONG, 64, true}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        X509 *const certificate = X509_new();
        GENERAL_NAMES *const all = sk_GENERAL_NAME_new_null();
        GENERAL_NAME *const one = GENERAL_NAME_new();
        ASN1_IA5STRING *const text = ASN1_IA5STRING_new();
        assert_int_equal(ASN1_STRING_set(text, cases[i].text, cases[i].bytes), 1);
        GENERAL_NAME_set0_value(one, GEN_DNS, text);
        sk_GENERAL_NAME_push(all, one);
        assert_int_equal(X509_add1_ext_i2d(certificate, NID_subject_alt_name, all, 0, 0), 1);
        dxi_tls_names_read(certificate, texts, sizeof texts);
        assert_int_equal(texts[0] != '\0', cases[i].good);
        GENERAL_NAMES_free(all);
        X509_free(certificate);
    }
}

/* Hands bytes on between two sockets, one by one, until `most` have gone in all or both have ended.
 * Returns how many went. */
static size_t relay(int a, int b, size_t most, side_t *until_open)
{
    const int fds[2] = {a, b};
    bool ended[2] = {false, false};
    size_t count = 0;
    while (count < most && !(ended[0] && ended[1])) {
        struct pollfd waiting[2] = {{.fd = ended[0] ? -1 : a, .events = POLLIN},
                                    {.fd = ended[1] ? -1 : b, .events = POLLIN}};
        if (until_open != NULL && side_opens(until_open) != 0) {
            break;
        }
        (void)poll(waiting, 2, 100);
        for (int i = 0; i < 2 && count < most; i++) {
            char byte = 0;
            if (waiting[i].revents == 0) {
                continue;
            }
            if (recv(fds[i], &byte, 1, 0) != 1 || !raw_send(fds[1 - i], &byte, 1)) {
                ended[i] = true;
                (void)shutdown(fds[1 - i], SHUT_WR);
                continue;
            }
            count++;
        }
    }
    return count;
}

/* A pair whose bytes go through the test's hands. */
typedef struct relayed {
    dxi_loop_t *loop;
    dxi_tls_t *node_tls;
    dxi_tls_t *client_tls;
    dxi_listener_t *listener;
    side_t node;
    dxi_address_t address; /* of the plain listener */
    int plain;
} relayed_t;

static void relayed_begin(relayed_t *relayed)
{
    side_init(&relayed->node);
    relayed->loop = loop_started("relay");
    relayed->node_tls = node_tls("node", true);
    relayed->client_tls = client_tls("ca.pem", "client");
    const dxi_listener_options_t options = {.connection = {.tls = relayed->node_tls},
                                            .events = side_events(&relayed->node),
                                            .on_accept = side_on_accept};
    relayed->listener = listen_on(relayed->loop, "tls://127.0.0.1:0", &options);
    relayed->plain = raw_listen(&relayed->address);
    relayed->address.transport = DXI_TLS;
}

static void relayed_connect(relayed_t *relayed, side_t *client, int fds_out[2])
{
    const dxi_connection_options_t options = {.tls = relayed->client_tls};
    side_init(client);
    connect_to(relayed->loop, &relayed->address, &options, client);
    fds_out[0] = raw_accept(relayed->plain);
    fds_out[1] = raw_connect(dxi_listener_address(relayed->listener));
}

static void relayed_end(relayed_t *relayed)
{
    listener_end(relayed->loop, relayed->listener);
    dxi_loop_destroy(relayed->loop);
    assert_int_equal(relayed->node.closes, relayed->node.accepts);
    assert_int_equal(close(relayed->plain), 0);
    dxi_tls_destroy(relayed->node_tls);
    dxi_tls_destroy(relayed->client_tls);
}

static void tls_may_come_byte_by_byte_and_break_off_anywhere(void **state)
{
    (void)state;
    relayed_t relayed = {0};
    side_t client;
    int fds[2];
    relayed_begin(&relayed);
    relayed_connect(&relayed, &client, fds);
    const size_t whole = relay(fds[0], fds[1], SIZE_MAX, &client); /* until it is open */
    assert_int_equal(client.opens, 1);
    assert_true(whole > 1000);
    (void)close(fds[0]);
    (void)close(fds[1]);
    side_wait(&client, client.closes == 1);

    const size_t most = whole - 64; /* signatures differ by some bytes in length */
    for (size_t cut = 0; cut < most; cut += 1 + cut % 23) {
        relayed_connect(&relayed, &client, fds);
        (void)relay(fds[0], fds[1], cut, NULL);
        (void)close(fds[0]);
        (void)close(fds[1]);
        side_wait(&client, client.closes == 1);
        assert_int_equal(client.opens, 0);
        assert_string_equal(dx_error_name(client.why.code), "DX_EIO");
    }
    relayed_end(&relayed);
}

static void options_that_do_not_fit_together_are_refused(void **state)
{
    (void)state;
    const char *const pem = path_of("node.pem");
    const char *const key = path_of("node.key");
    const char *const none = path_of("none.pem");
    const char *const garbage = path_of("garbage.pem");
    const char *const tube = path_of("pipe");
    assert_int_equal(mkfifo(tube, 0600), 0);
    const struct {
        dxi_tls_options_t options;
        int code;
        const char *said;
    } cases[] = {
        {{.server = true}, DX_EINVAL, "a server must have one"},
        {{.certificate_file = pem}, DX_EINVAL, "only certificate_file is there"},
        {{.key_file = key}, DX_EINVAL, "only key_file is there"},
        {{.server = true, .certificate_file = pem, .key_file = key, .verify_peer = true},
         DX_EINVAL,
         "verify_peer wants an authority_file"},
        {{.server = true, .certificate_file = pem, .key_file = key, .insecure = true},
         DX_EINVAL,
         "are for clients"},
        {{.server = true, .certificate_file = none, .key_file = key},
         DX_ENOTFOUND,
         "certificate_file: "},
        {{.authority_file = none}, DX_ENOTFOUND, "authority_file: "},
        {{.authority_file = tube}, DX_EINVAL, "it is no regular file"},
        {{.authority_file = garbage}, DX_EINVAL, "has no certificate in PEM"},
        {{.server = true, .certificate_file = garbage, .key_file = key},
         DX_EINVAL,
         "is no chain in PEM"},
        {{.server = true, .certificate_file = pem, .key_file = path_of("late.key")},
         DX_EINVAL,
         "is no key of certificate_file"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dxi_tls_t *tls = NULL;
        dx_error_t error = {0};
        assert_fails(dxi_tls_create(&cases[i].options, &tls, &error), cases[i].code, error,
                     cases[i].said);
        assert_null(tls);
    }
    assert_int_equal(unlink(tube), 0);
    dxi_tls_destroy(NULL);
}

static void a_tls_address_without_tls_is_refused(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_make("none");
    const dxi_address_t address = {.transport = DXI_TLS, .host = "127.0.0.1"};
    side_t side;
    dx_error_t error = {0};
    side_init(&side);
    const dxi_connection_events_t events = side_events(&side);
    const dxi_connection_options_t options = {0};
    const dxi_listener_options_t listener = {.events = events};
    dxi_listener_t *made = NULL;
    assert_fails(connect_try(loop, &address, &options, &events, &error), DX_EINVAL, error,
                 "tls is NULL");
    assert_fails(dxi_listener_create(loop, &address, &listener, &made, &error), DX_EINVAL, error,
                 "tls is NULL");
    dxi_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_go_both_ways_over_tls),
        cmocka_unit_test(several_records_go_in_one_write),
        cmocka_unit_test(with_mtls_the_node_knows_its_client),
        cmocka_unit_test(who_is_not_believed_is_told_why),
        cmocka_unit_test(a_client_that_does_not_read_stops_the_node_and_loses_nothing),
        cmocka_unit_test(a_name_in_the_address_must_be_in_the_certificate),
        cmocka_unit_test(an_insecure_client_believes_anybody),
        cmocka_unit_test(new_certificates_are_used_without_a_restart),
        cmocka_unit_test(a_certificate_out_of_its_time_is_refused_and_the_old_one_stays),
        cmocka_unit_test(certificates_are_exchanged_under_a_storm_of_connections),
        cmocka_unit_test(tls_1_2_is_refused),
        cmocka_unit_test(a_certificate_says_all_its_names),
        cmocka_unit_test(names_that_can_not_be_written_as_they_are_are_left_out),
        cmocka_unit_test(tls_may_come_byte_by_byte_and_break_off_anywhere),
        cmocka_unit_test(options_that_do_not_fit_together_are_refused),
        cmocka_unit_test(a_tls_address_without_tls_is_refused),
    };
    return cmocka_run_group_tests_name("net TLS", tests, setup_all, teardown_all);
}
