/* test_admin_tls.c - the admin server over https: certificates, those of who asks, another one
 * while it serves, files that are no good.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/ssl.h>
#include <sys/stat.h>

#include "admin/admin_internal.h"

#include "admin_test.h"
#include "net_certificates.h"

static char folder[] = "/tmp/dx-test-admin-XXXXXX";
static char certificate_file[64], key_file[64], authority_file[64], no_pem[64], pipe_file[64];
static identity_t authority, server, renewed, client, stranger_authority, stranger;

static void path_make(char path[64], const char *name)
{
    (void)snprintf(path, 64, "%s/%s", folder, name);
}

static int identities_make(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    path_make(certificate_file, "node.pem");
    path_make(key_file, "node.key");
    path_make(authority_file, "authority.pem");
    path_make(no_pem, "no.pem");
    path_make(pipe_file, "pipe");
    authority = identity_make("authority", NULL, NULL, 3600);
    server = identity_make("node-1", "DNS:localhost,IP:127.0.0.1", &authority, 3600);
    renewed = identity_make("node-2", "DNS:localhost,IP:127.0.0.1", &authority, 3600);
    client = identity_make("operator", "DNS:ops.example,URI:spiffe://works/ops", &authority, 3600);
    stranger_authority = identity_make("other authority", NULL, NULL, 3600);
    stranger = identity_make("stranger", NULL, &stranger_authority, 3600);
    certificate_write(&authority, authority_file);
    certificate_write(&server, certificate_file);
    key_write(&server, key_file);
    FILE *const file = fopen(no_pem, "w");
    assert_non_null(file);
    (void)fputs("nothing", file);
    (void)fclose(file);
    return 0;
}

static int identities_free(void **state)
{
    identity_t *const all[] = {&authority, &server,   &renewed,
                               &client,    &stranger, &stranger_authority};
    const char *const files[] = {certificate_file, key_file, authority_file, no_pem};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        identity_free(all[i]);
    }
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        (void)unlink(files[i]);
    }
    return rmdir(folder);
}

static dxi_admin_options_t tls_options(world_t *world)
{
    dxi_admin_options_t options = world_options(world);
    options.address = "https://127.0.0.1:0";
    options.certificate_file = certificate_file;
    options.key_file = key_file;
    return options;
}

/* A connection of TLS, with a certificate or without. */
typedef struct secure {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
} secure_t;

static secure_t secure_connect(const dxi_admin_t *admin, const identity_t *shown)
{
    secure_t secure = {.context = SSL_CTX_new(TLS_client_method()), .fd = peer_connect(admin)};
    assert_non_null(secure.context);
    assert_int_equal(SSL_CTX_load_verify_locations(secure.context, authority_file, NULL), 1);
    SSL_CTX_set_verify(secure.context, SSL_VERIFY_PEER, NULL);
    if (shown != NULL) {
        assert_int_equal(SSL_CTX_use_certificate(secure.context, shown->certificate), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(secure.context, shown->key), 1);
    }
    secure.ssl = SSL_new(secure.context);
    assert_int_equal(SSL_set1_host(secure.ssl, "127.0.0.1"), 1);
    assert_int_equal(SSL_set_fd(secure.ssl, secure.fd), 1);
    assert_int_equal(SSL_connect(secure.ssl), 1);
    assert_string_equal(SSL_get_version(secure.ssl), "TLSv1.3");
    return secure;
}

static void secure_close(secure_t *secure)
{
    SSL_free(secure->ssl);
    SSL_CTX_free(secure->context);
    (void)close(secure->fd);
}

/* One request on a connection that stays. */
static const char *secure_ask(const secure_t *secure, const char *line)
{
    static char text[65536];
    size_t used = 0;
    text[0] = '\0';
    (void)snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: localhost\r\n\r\n", line);
    assert_true(SSL_write(secure->ssl, text, (int)strlen(text)) > 0);
    text[0] = '\0';
    for (;;) {
        const char *const body = strstr(text, "\r\n\r\n");
        const char *const length = strstr(text, "Content-Length: ");
        if (body != NULL &&
            (length == NULL || strlen(body + 4) >= strtoul(length + 16, NULL, 10))) {
            return text;
        }
        const int got = SSL_read(secure->ssl, text + used, (int)(sizeof text - 1 - used));
        assert_true(got > 0);
        used += (size_t)got;
        text[used] = '\0';
    }
}

/* Who the certificate of the other side says it is. */
static void peer_is(const secure_t *secure, const char *name)
{
    X509 *const shown = SSL_get1_peer_certificate(secure->ssl);
    char text[64] = "";
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, text,
                                    sizeof text);
    assert_string_equal(text, name);
    X509_free(shown);
}

static void https_serves_what_http_serves(void **state)
{
    world_t world = {0};
    (void)state;
    const dxi_admin_options_t options = tls_options(&world);
    world_start(&world, &options);
    assert_contains(dxi_admin_address(world.admin), "https://127.0.0.1:");
    secure_t secure = secure_connect(world.admin, NULL);
    peer_is(&secure, "node-1");
    assert_contains(secure_ask(&secure, "GET /things/a"), "a|(none)|5");
    assert_contains(secure_ask(&secure, "GET /things/b"), "b|(none)|5");
    secure_close(&secure);
    dxi_admin_destroy(world.admin);
}

static void a_handshake_that_fails_is_counted(void **state)
{
    world_t world = {0};
    dxi_admin_stat_t stat = {.requests = 0};
    (void)state;
    const dxi_admin_options_t options = tls_options(&world);
    world_start(&world, &options);
    const int fd = peer_connect(world.admin);
    peer_send(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    (void)peer_read(fd, NULL);
    (void)close(fd);
    const int64_t give_up_ns = dx_clock_ns() + 30 * DX_NS_PER_S;
    while (stat.refused[DXI_ADMIN_REFUSED_TLS] == 0 && dx_clock_ns() < give_up_ns) {
        dxi_admin_stat(world.admin, &stat);
    }
    assert_int_equal(stat.refused[DXI_ADMIN_REFUSED_TLS], 1);
    dxi_admin_destroy(world.admin);
}

static void a_certificate_of_the_authority_names_who_asks(void **state)
{
    world_t world = {.token = "secret"};
    (void)state;
    dxi_admin_options_t options = tls_options(&world);
    options.authority_file = authority_file;
    world_start(&world, &options);
    secure_t secure = secure_connect(world.admin, &client);
    assert_contains(secure_ask(&secure, "GET /things/a"), " 200 ");
    assert_string_equal(world.names, "CN=operator,DNS:ops.example,URI:spiffe://works/ops");
    secure_close(&secure);
    secure = secure_connect(world.admin, NULL); /* a token would do as well */
    assert_contains(secure_ask(&secure, "GET /things/a"), " 401 ");
    secure_close(&secure);
    secure = secure_connect(world.admin, &stranger);
    assert_contains(secure_ask(&secure, "GET /things/a"), " 401 ");
    secure_close(&secure);
    dxi_admin_destroy(world.admin);
}

static void where_a_certificate_must_be_shown_nothing_else_will_do(void **state)
{
    world_t world = {0};
    (void)state;
    dxi_admin_options_t options = tls_options(&world);
    options.authority_file = authority_file;
    options.verify_peer = true;
    world_start(&world, &options);
    const identity_t *const shown[] = {NULL, &stranger, &client};
    for (size_t i = 0; i < COUNT_OF(shown); i++) {
        secure_t secure = secure_connect(world.admin, shown[i]);
        const char *const answer = secure_ask(&secure, "GET /things/a");
        assert_contains(answer, shown[i] == &client ? " 200 " : " 401 ");
        secure_close(&secure);
    }
    dxi_admin_destroy(world.admin);
}

static void another_certificate_is_for_new_connections_and_bad_files_change_nothing(void **state)
{
    world_t world = {0};
    dx_error_t error = {0};
    (void)state;
    const dxi_admin_options_t options = tls_options(&world);
    world_start(&world, &options);
    secure_t before = secure_connect(world.admin, NULL);
    assert_contains(secure_ask(&before, "GET /things/a"), " 200 ");
    key_write(&renewed, key_file); /* the key of another one */
    assert_fails(dxi_admin_tls_prepare(world.admin, &error), DX_EINVAL, error, "no key of");
    dxi_admin_tls_commit(world.admin); /* nothing was prepared */
    certificate_write(&renewed, certificate_file);
    assert_ok(dxi_admin_tls_prepare(world.admin, &error));
    dxi_admin_tls_commit(world.admin);
    secure_t after = secure_connect(world.admin, NULL);
    peer_is(&after, "node-2");
    assert_contains(secure_ask(&after, "GET /things/b"), "b|");
    assert_contains(secure_ask(&before, "GET /things/c"), "c|"); /* it lives on */
    secure_close(&before);
    secure_close(&after);
    dxi_admin_destroy(world.admin);
    certificate_write(&server, certificate_file);
    key_write(&server, key_file);
}

static void files_of(const identity_t *identity)
{
    certificate_write(identity, certificate_file);
    key_write(identity, key_file);
}

static void what_was_dropped_serves_nobody(void **state)
{
    world_t world = {0};
    dx_error_t error = {0};
    (void)state;
    const dxi_admin_options_t options = tls_options(&world);
    world_start(&world, &options);
    files_of(&renewed);
    assert_ok(dxi_admin_tls_prepare(world.admin, &error));
    dxi_admin_tls_drop(world.admin);
    dxi_admin_tls_commit(world.admin);
    for (int i = 0; i < 4; i++) {
        secure_t secure = secure_connect(world.admin, NULL);
        peer_is(&secure, "node-1");
        assert_contains(secure_ask(&secure, "GET /things/a"), " 200 ");
        secure_close(&secure);
    }
    dxi_admin_destroy(world.admin);
    files_of(&server);
}

static void what_was_prepared_ends_with_the_server(void **state)
{
    world_t world = {0};
    (void)state;
    const dxi_admin_options_t options = tls_options(&world);
    world_start(&world, &options);
    files_of(&renewed);
    assert_ok(dxi_admin_tls_prepare(world.admin, NULL));
    dxi_admin_stop(world.admin);
    dxi_admin_tls_commit(world.admin);
    dxi_admin_tls_drop(world.admin);
    dxi_admin_destroy(world.admin);
    files_of(&server);
}

/* That one more is too much is found before anything has changed. */
static void so_many_certificates_are_in_use_and_no_more(void **state)
{
    world_t world = {0};
    dx_error_t error = {0};
    secure_t old[DXI_ADMIN_RETIRED_MAX + 1];
    (void)state;
    const dxi_admin_options_t options = tls_options(&world);
    world_start(&world, &options);
    for (int i = 0; i <= DXI_ADMIN_RETIRED_MAX; i++) {
        old[i] = secure_connect(world.admin, NULL);
        assert_contains(secure_ask(&old[i], "GET /things/a"), " 200 ");
        files_of(i % 2 == 0 ? &renewed : &server);
        if (i < DXI_ADMIN_RETIRED_MAX) {
            assert_ok(dxi_admin_tls_prepare(world.admin, &error));
            dxi_admin_tls_commit(world.admin);
        }
    }
    assert_fails(dxi_admin_tls_prepare(world.admin, &error), DX_EBUSY, error,
                 "8 earlier ones are still in use");
    secure_t secure = secure_connect(world.admin, NULL);
    peer_is(&secure, "node-1"); /* as the last one that was taken over */
    secure_close(&secure);
    secure_close(&old[0]); /* its daemon may go, and there is a place again */
    const int64_t give_up_ns = dx_clock_ns() + 30 * DX_NS_PER_S;
    while (dxi_admin_tls_prepare(world.admin, &error) != DX_OK && dx_clock_ns() < give_up_ns) {
        (void)usleep(1000);
    }
    dxi_admin_tls_commit(world.admin);
    secure = secure_connect(world.admin, NULL);
    peer_is(&secure, "node-2");
    secure_close(&secure);
    for (int i = 1; i <= DXI_ADMIN_RETIRED_MAX; i++) {
        secure_close(&old[i]);
    }
    dxi_admin_destroy(world.admin);
    files_of(&server);
}

/* How many descriptors of this process listen. */
static int listening(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        int listens = 0;
        socklen_t bytes = sizeof listens;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) == 0) {
            count += listens;
        }
    }
    return count;
}

/* A daemon's threads may look at its socket until it has been stopped. */
static void the_socket_of_a_daemon_is_open_as_long_as_the_daemon(void **state)
{
    world_t world = {0};
    (void)state;
    const dxi_admin_options_t options = tls_options(&world);
    world_start(&world, &options);
    const int before = listening();
    secure_t old = secure_connect(world.admin, NULL);
    assert_contains(secure_ask(&old, "GET /things/a"), " 200 ");
    files_of(&renewed);
    assert_ok(dxi_admin_tls_prepare(world.admin, NULL));
    dxi_admin_tls_commit(world.admin);
    assert_int_equal(listening(), before + 1);
    secure_close(&old);
    const int64_t give_up_ns = dx_clock_ns() + 30 * DX_NS_PER_S;
    while (listening() != before && dx_clock_ns() < give_up_ns) {
        (void)usleep(1000);
    }
    assert_int_equal(listening(), before);
    dxi_admin_destroy(world.admin);
    files_of(&server);
}

static void streams_end_with_the_certificate_they_began_with(void **state)
{
    world_t world = {0};
    (void)state;
    const dxi_admin_options_t options = tls_options(&world);
    world_start(&world, &options);
    secure_t secure = secure_connect(world.admin, NULL);
    static const char LINE[] = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char text[4096] = "";
    assert_true(SSL_write(secure.ssl, LINE, sizeof LINE - 1) > 0);
    for (int used = 0, got = 1; got > 0 && strstr(text, "\r\n0\r\n\r\n") == NULL; used += got) {
        if (strstr(text, ": hello") != NULL && dxi_admin_readers(world.admin) == 1) {
            files_of(&renewed);
            assert_ok(dxi_admin_tls_prepare(world.admin, NULL));
            dxi_admin_tls_commit(world.admin);
        }
        got = SSL_read(secure.ssl, text + used, (int)sizeof text - 1 - used);
    }
    assert_contains(text, "\r\n0\r\n\r\n"); /* the last chunk */
    secure_close(&secure);
    dxi_admin_destroy(world.admin);
    files_of(&server);
}

static void files_that_are_no_good_are_told(void **state)
{
    world_t world = {0};
    dx_error_t error = {0};
    dxi_admin_t *admin = NULL;
    (void)state;
    dxi_admin_options_t options = tls_options(&world);
    options.certificate_file = "/nowhere.pem";
    assert_fails(dxi_admin_create(&options, &admin, &error), DX_ENOTFOUND, error, "/nowhere.pem");
    options.certificate_file = no_pem;
    assert_fails(dxi_admin_create(&options, &admin, &error), DX_EINVAL, error, no_pem);
    options.certificate_file = folder;
    assert_fails(dxi_admin_create(&options, &admin, &error), DX_EINVAL, error,
                 "it is no regular file");
    assert_int_equal(mkfifo(pipe_file, 0600), 0);
    options.certificate_file = pipe_file;
    assert_fails(dxi_admin_create(&options, &admin, &error), DX_EINVAL, error,
                 "it is no regular file");
    assert_int_equal(unlink(pipe_file), 0);
    options = tls_options(&world);
    options.authority_file = no_pem;
    assert_fails(dxi_admin_create(&options, &admin, &error), DX_EINVAL, error, "no certificate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(https_serves_what_http_serves),
        cmocka_unit_test(a_handshake_that_fails_is_counted),
        cmocka_unit_test(a_certificate_of_the_authority_names_who_asks),
        cmocka_unit_test(where_a_certificate_must_be_shown_nothing_else_will_do),
        cmocka_unit_test(another_certificate_is_for_new_connections_and_bad_files_change_nothing),
        cmocka_unit_test(what_was_dropped_serves_nobody),
        cmocka_unit_test(what_was_prepared_ends_with_the_server),
        cmocka_unit_test(so_many_certificates_are_in_use_and_no_more),
        cmocka_unit_test(the_socket_of_a_daemon_is_open_as_long_as_the_daemon),
        cmocka_unit_test(streams_end_with_the_certificate_they_began_with),
        cmocka_unit_test(files_that_are_no_good_are_told),
    };
    return cmocka_run_group_tests(tests, identities_make, identities_free);
}
