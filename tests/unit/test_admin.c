/* test_admin.c - the admin server with routes that know no node: what is found before a route runs,
 * what routes may say, limits, streams and slow readers, the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "admin_test.h"

#include "admin/admin_internal.h"

/* ------------------------------------------------------------------------------ addresses, URIs */

static void addresses_are_read_and_bad_ones_refused(void **state)
{
    static const struct good {
        const char *text, *host;
        uint16_t port;
        bool tls, loopback;
    } GOOD[] = {
        {"http://127.0.0.1:7401", "127.0.0.1", 7401, false, true},
        {"https://node-1.example:0", "node-1.example", 0, true, false},
        {"http://[::1]:65535", "::1", 65535, false, true},
        {"http://localhost:80", "localhost", 80, false, true},
        {"http://:80", "", 80, false, false},
        {"http://*:80", "", 80, false, false},
        {"http://127.evil.example:80", "127.evil.example", 80, false, false},
    };
    static const char *const BAD[] = {"",
                                      "127.0.0.1:80",
                                      "ftp://a:1",
                                      "http://a",
                                      "http://a:",
                                      "http://a:65536",
                                      "http://a:-1",
                                      "http://a:1/x",
                                      "http://a b:1",
                                      "http://[::1:1",
                                      "http://[::1]",
                                      "http://u@a:1"};
    dxi_admin_place_t place;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(GOOD); i++) {
        assert_ok(dxi_admin_place_parse(GOOD[i].text, &place, NULL));
        assert_string_equal(place.host, GOOD[i].host);
        assert_int_equal(place.port, GOOD[i].port);
        assert_int_equal(place.tls, GOOD[i].tls);
        assert_int_equal(place.loopback, GOOD[i].loopback);
    }
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        dx_error_t error = {0};
        assert_fails(dxi_admin_place_parse(BAD[i], &place, &error), DX_EINVAL, error,
                     "http://host:port");
    }
}

static void paths_are_taken_apart_before_they_are_decoded(void **state)
{
    static dxi_admin_uri_t uri;
    (void)state;
    assert_ok(dxi_admin_uri_parse("/a%2Fb/%e2%82%ac?x=1+2%26&y&=z&", &uri, NULL));
    assert_int_equal(uri.part_count, 2);
    assert_string_equal(uri.parts[0], "a/b");
    assert_string_equal(uri.parts[1], "\xe2\x82\xac");
    assert_int_equal(uri.query_count, 3);
    assert_string_equal(uri.query[0].value, "1 2&");
    assert_string_equal(uri.query[1].name, "y");
    assert_string_equal(uri.query[1].value, "");
    assert_string_equal(uri.query[2].name, "");
    assert_ok(dxi_admin_uri_parse("/", &uri, NULL));
    assert_int_equal(uri.part_count, 1);
    assert_string_equal(uri.parts[0], "");
}

static void bad_uris_are_refused_and_limits_hold_to_the_byte(void **state)
{
    static const char *const BAD[] = {"",     "x",    "*",    "/%",      "/%4",   "/%4g", "/%00",
                                      "/%1f", "/%7f", "/%ff", "/%c0%80", "/?a=%", "/?a&a"};
    static dxi_admin_uri_t uri;
    static char text[DXI_ADMIN_URI_BYTES_MAX + 2];
    dx_error_t error = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        assert_int_equal(dxi_admin_uri_parse(BAD[i], &uri, &error), DX_EINVAL);
    }
    memset(text, 'x', sizeof text);
    text[0] = '/';
    text[DXI_ADMIN_URI_BYTES_MAX] = '\0';
    assert_ok(dxi_admin_uri_parse(text, &uri, NULL));
    text[DXI_ADMIN_URI_BYTES_MAX] = 'x';
    text[DXI_ADMIN_URI_BYTES_MAX + 1] = '\0';
    assert_fails(dxi_admin_uri_parse(text, &uri, &error), DX_ELIMIT, error, "at most 4096");
    assert_ok(dxi_admin_uri_parse("/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6", &uri, NULL));
    assert_fails(dxi_admin_uri_parse("/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7", &uri, &error), DX_ELIMIT,
                 error, "16 parts");
    assert_ok(dxi_admin_uri_parse("/?1&2&3&4&5&6&7&8&9&a&b&c&d&e&f&g", &uri, NULL));
    assert_fails(dxi_admin_uri_parse("/?1&2&3&4&5&6&7&8&9&a&b&c&d&e&f&g&h", &uri, &error),
                 DX_ELIMIT, error, "16 parameters");
}

static void options_are_checked_at_their_bounds(void **state)
{
    world_t world = {0};
    dx_error_t error = {0};
    dxi_admin_t *admin = NULL;
    (void)state;
#define AT(field, good, bad, text)                                                                 \
    do {                                                                                           \
        dxi_admin_options_t options = world_options(&world);                                       \
        options.field = (good);                                                                    \
        assert_ok(dxi_admin_create(&options, &admin, NULL));                                       \
        dxi_admin_destroy(admin);                                                                  \
        options.field = (bad);                                                                     \
        assert_fails(dxi_admin_create(&options, &admin, &error), DX_EINVAL, error, text);          \
        assert_null(admin);                                                                        \
    } while (0)
    AT(threads, 16, 17, "from 1 to 16");
    AT(connections_max, 1024, 1025, "from 1 to 1024");
    AT(streams_max, 256, 257, "from 1 to 256");
    AT(body_bytes_max, 1024, 1023, "from 1024 to 1048576");
    AT(body_bytes_max, 1048576, 1048577, "from 1024 to 1048576");
    AT(stream_bytes, 4096, 4095, "from 4096");
    AT(stream_bytes, 16777216, 16777217, "to 16777216");
    AT(request_timeout_ns, DX_NS_PER_MS, DX_NS_PER_MS - 1, "from 1000000");
    dxi_admin_options_t options = world_options(&world);
    options.verify_peer = true;
    assert_fails(dxi_admin_create(&options, &admin, &error), DX_EINVAL, error, "authority_file");
    options = world_options(&world);
    options.address = "https://127.0.0.1:0";
    assert_fails(dxi_admin_create(&options, &admin, &error), DX_EINVAL, error, "certificate_file");
    const dxi_admin_route_t bad = {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/{a", NULL, route_echo};
    options = world_options(&world);
    options.routes = &bad;
    options.route_count = 1;
    assert_fails(dxi_admin_create(&options, &admin, &error), DX_EINVAL, error, "/{a");
}

static void an_address_in_use_is_told(void **state)
{
    world_t world = {0};
    dx_error_t error = {0};
    dxi_admin_t *other = NULL;
    (void)state;
    dxi_admin_options_t options = world_options(&world);
    world_start(&world, &options);
    options.address = dxi_admin_address(world.admin);
    assert_fails(dxi_admin_create(&options, &other, &error), DX_EBUSY, error, options.address);
    assert_int_equal(dxi_admin_start(world.admin, &error), DX_ESTATE);
    dxi_admin_destroy(world.admin);
}

/* ------------------------------------------------------------------------------------- requests */

static world_t served;

static int serve(void **state)
{
    (void)state;
    dxi_admin_options_t options = world_options(&served);
    options.connections_max = 4;
    options.streams_max = 2;
    options.stream_bytes = 8192;
    options.body_bytes_max = 1024;
    world_start(&served, &options);
    return 0;
}

static int serve_end(void **state)
{
    (void)state;
    dxi_admin_destroy(served.admin);
    return 0;
}

static uint64_t refused(dxi_admin_refusal_t why)
{
    dxi_admin_stat_t stat;
    dxi_admin_stat(served.admin, &stat);
    return stat.refused[why];
}

static void routes_get_their_parameters_and_the_exact_path_wins(void **state)
{
    (void)state;
    assert_contains(ask(served.admin, "GET /things/a%2Fb?x=y", "", ""), "a/b|y|5");
    assert_contains(ask(served.admin, "GET /things/a?n=-2", "", ""), "a|(none)|-2");
    assert_contains(ask(served.admin, "GET /things/all", "", ""), " 204 ");
    assert_contains(ask(served.admin, "DELETE /things/all", JSON_WRITE, ""), "Allow: GET, HEAD\r");
    assert_contains(ask(served.admin, "GET /things/a?n=11", "", ""), "a number from -2 to 10");
    assert_contains(ask(served.admin, "GET /things/", "", ""), " 404 ");
    assert_contains(ask(served.admin, "GET /thing/all", "", ""), "did you mean /things/all?");
    assert_contains(ask(served.admin, "POST /things", JSON_WRITE, "{\"a\":1}"), "{\"a\":1}");
}

static void what_a_route_says_becomes_a_status_a_sentence_and_a_rule(void **state)
{
    static const struct error {
        int code;
        const char *status;
    } ERRORS[] = {{DX_EINVAL, " 400 "}, {DX_EPARSE, " 400 "},    {DX_ELIMIT, " 400 "},
                  {DX_EPERM, " 403 "},  {DX_ENOTFOUND, " 404 "}, {DX_EEXIST, " 409 "},
                  {DX_EBUSY, " 409 "},  {DX_ENOMEM, " 500 "},    {DX_EIO, " 500 "},
                  {DX_ESTATE, " 503 "}, {DX_ECLOSED, " 503 "},   {DX_ETIMEDOUT, " 504 "}};
    (void)state;
    served.sentence = "x is 3, must be 1 or \"2\"\n\x01\xff";
    for (size_t i = 0; i < COUNT_OF(ERRORS); i++) {
        served.code = ERRORS[i].code;
        const char *const answer = ask(served.admin, "GET /fail", "", "");
        assert_contains(answer, ERRORS[i].status);
        assert_contains(answer, dx_error_name(ERRORS[i].code));
        assert_contains(answer, "\"message\":\"x is 3, must be 1 or \\\"2\\\"\\u000a\\u0001?\"");
        assert_contains(answer, "\"rule\":\"must be 1 or \\\"2\\\"\\u000a\\u0001?\"");
    }
}

static void rights_are_asked_for_before_anything_is_read(void **state)
{
    (void)state;
    served.token = "secret";
    served.rights = DXI_ADMIN_READ;
    const char *answer = ask(served.admin, "GET /things/a?bad=1", "", "");
    assert_contains(answer, " 401 ");
    assert_contains(answer, "WWW-Authenticate: Bearer");
    assert_contains(ask(served.admin, "GET /things/a", "Authorization: Bearer secre\r\n", ""),
                    "401");
    assert_contains(ask(served.admin, "GET /things/a", "Authorization: Basic secret\r\n", ""),
                    "401");
    assert_contains(ask(served.admin, "GET /things/a", "Authorization: bearer secret\r\n", ""),
                    "a|(none)|5");
    answer = ask(served.admin, "DELETE /things/a",
                 "X-Requested-By: x\r\nAuthorization: Bearer secret\r\n", "");
    assert_contains(answer, " 403 ");
    assert_contains(answer, "user x may not write");
    served.rights = DXI_ADMIN_WRITE;
    assert_contains(ask(served.admin, "DELETE /things/a",
                        "X-Requested-By: x\r\nAuthorization: Bearer secret\r\n", ""),
                    " 204 ");
    assert_contains(ask(served.admin, "DELETE /things/a", "Authorization: Bearer secret\r\n", ""),
                    "X-Requested-By");
    assert_contains(ask(served.admin, "GET /", "", ""), " 204 ");
    served.token = NULL;
}

static void a_body_is_taken_up_to_its_bound_and_not_one_byte_beyond(void **state)
{
    char body[1026];
    (void)state;
    memset(body, 'x', sizeof body);
    body[1024] = '\0';
    assert_contains(ask(served.admin, "POST /things", JSON_WRITE, body), " 201 ");
    body[1024] = 'x';
    body[1025] = '\0';
    const uint64_t before = refused(DXI_ADMIN_REFUSED_BODY);
    assert_contains(ask(served.admin, "POST /things", JSON_WRITE, body), " 413 ");
    assert_int_equal(refused(DXI_ADMIN_REFUSED_BODY), before + 1);
    assert_contains(ask(served.admin, "POST /things", JSON_WRITE, ""), "the body is empty");
    assert_contains(ask(served.admin, "POST /things", "X-Requested-By: x\r\n", "{}"), " 415 ");
}

/* Nothing of who need not be asked, once of everything else, behind the route. */
static void what_becomes_of_a_request_is_told_once(void **state)
{
    world_t world = {
        .token = "secret", .rights = DXI_ADMIN_WRITE, .code = DX_EBUSY, .sentence = "it is busy"};
    (void)state;
    const dxi_admin_options_t options = world_options(&world);
    world_start(&world, &options);
#define TOKEN "Authorization: Bearer secret\r\n"
    (void)ask(world.admin, "GET /", "", "");
    (void)ask(world.admin, "GET /nowhere", TOKEN, "");
    (void)ask(world.admin, "GET /things/a", "", "");
    (void)ask(world.admin, "GET /things/a", TOKEN, "");
    (void)ask(world.admin, "DELETE /things/a", TOKEN, "");
    (void)ask(world.admin, "POST /things", TOKEN JSON_WRITE, "{}");
    (void)ask(world.admin, "GET /fail", TOKEN, "");
    dxi_admin_destroy(world.admin);
    assert_string_equal(world.outcomes,
                        "GET /things/a 1 - - - DX_EPERM the token is wrong\n"
                        "GET /things/a 1 - - - DX_OK -\n"
                        "DELETE /things/a 2 - - - DX_EPERM the request changes something and has "
                        "no header X-Requested-By\n"
                        "POST /things 2 - - - DX_OK -\n"
                        "GET /fail 1 trial fail it DX_EBUSY it is busy\n");
}

/* -------------------------------------------------------------------------------------- streams */

static void wait_readers(uint32_t count)
{
    const int64_t give_up_ns = dx_clock_ns() + 30 * DX_NS_PER_S;
    while (dxi_admin_readers(served.admin) != count) {
        dxi_admin_publish(served.admin, "look", 0, "{}", 2); /* who is gone is found by writing */
        if (dx_clock_ns() > give_up_ns) {
            fail_msg("%u readers, wanted %u", dxi_admin_readers(served.admin), count);
        }
        (void)usleep(1000);
    }
}

static int stream_begin(const char *until)
{
    const int fd = peer_connect(served.admin);
    peer_send(fd, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_contains(peer_read(fd, until), "text/event-stream");
    return fd;
}

static void readers_get_what_is_published_and_no_more_than_the_limit_may_read(void **state)
{
    (void)state;
    served.greetings = 2;
    const int one = stream_begin("id: 2\nevent: greeting\ndata: {}\n\n");
    served.greetings = 0;
    const int two = stream_begin(": hello\n\n");
    wait_readers(2);
    assert_contains(ask(served.admin, "GET /events", "", ""), "2 streams are open");
    dxi_admin_publish(served.admin, "news", 7, "{\"a\":1}", 7);
    assert_contains(peer_read(one, "news\ndata: {\"a\":1}\n\n"), "id: 7\nevent: news\n");
    assert_contains(peer_read(two, "news\ndata: {\"a\":1}\n\n"), "id: 7\nevent: news\n");
    (void)close(one);
    (void)close(two);
    wait_readers(0);
}

static void who_reads_must_ask_again_when_rights_change(void **state)
{
    (void)state;
    const int before = stream_begin(": hello\n\n");
    dxi_admin_readers_end(served.admin);
    (void)peer_read(before, "0\r\n\r\n"); /* the last chunk */
    wait_readers(0);
    served.rights_change = true; /* when it was looked at, and before it reads */
    const int meanwhile = stream_begin("0\r\n\r\n");
    served.rights_change = false;
    wait_readers(0);
    const int after = stream_begin(": hello\n\n");
    wait_readers(1);
    (void)close(before);
    (void)close(meanwhile);
    (void)close(after);
    wait_readers(0);
}

/* Adds up what a stream of "big" and "lost" events says. */
static void stream_count(const char *text, uint64_t *events, uint64_t *lost)
{
    for (const char *at = text; (at = strstr(at, "event: big\n")) != NULL; at++) {
        (*events)++;
    }
    for (const char *at = text; (at = strstr(at, "data: {\"count\":")) != NULL; at++) {
        *lost += strtoull(at + strlen("data: {\"count\":"), NULL, 10);
    }
}

static void a_slow_reader_loses_events_and_is_told_how_many(void **state)
{
    enum { EVENTS = 3000, BYTES = 2000 };
    static char data[BYTES];
    uint64_t events = 0, lost = 0;
    dxi_admin_stat_t before, after;
    (void)state;
    memset(data, 'x', sizeof data);
    const int fd = stream_begin(": hello\n\n");
    wait_readers(1);
    dxi_admin_stat(served.admin, &before);
    for (int i = 0; i < EVENTS; i++) { /* more than the kernel keeps, and nobody reads */
        dxi_admin_publish(served.admin, "big", 0, data, sizeof data);
    }
    dxi_admin_stat(served.admin, &after);
    assert_true(after.events_lost > before.events_lost);
    for (int i = 0; events + lost < EVENTS && i < 1000; i++) {
        stream_count(peer_read(fd, "\n\n"), &events, &lost);
    }
    assert_int_equal(events + lost, EVENTS);
    assert_int_equal(lost, after.events_lost - before.events_lost);
    (void)close(fd);
    wait_readers(0);
}

static void connections_above_the_limit_are_told_so(void **state)
{
    int peers[4];
    (void)state;
    for (int i = 0; i < 4; i++) {
        peers[i] = peer_connect(served.admin);
        peer_send(peers[i], "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_contains(peer_read(peers[i], "\r\n\r\n"), " 204 ");
    }
    const char *const answer = ask(served.admin, "GET /", "", "");
    assert_contains(answer, " 503 ");
    assert_contains(answer, "4 connections are open");
    for (int i = 0; i < 4; i++) {
        (void)close(peers[i]);
    }
}

static void the_end_ends_streams_and_closes_connections(void **state)
{
    world_t world = {0};
    (void)state;
    const dxi_admin_options_t options = world_options(&world);
    world_start(&world, &options);
    const int idle = peer_connect(world.admin);
    const int reader = peer_connect(world.admin);
    peer_send(reader, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    (void)peer_read(reader, ": hello\n\n");
    dxi_admin_stop(world.admin);
    (void)peer_read(reader, NULL); /* returns: it is over */
    (void)peer_read(idle, NULL);
    dxi_admin_stop(world.admin);
    dxi_admin_destroy(world.admin);
    (void)close(idle);
    (void)close(reader);
}

/* --------------------------------------------------------------------------------------- faults */

static int create_and_start(void)
{
    world_t world = {0};
    const dxi_admin_options_t options = world_options(&world);
    int code = dxi_admin_create(&options, &world.admin, NULL);
    if (code == DX_OK) {
        code = dxi_admin_start(world.admin, NULL);
    }
    dxi_admin_destroy(world.admin);
    return code;
}

static void whatever_runs_out_nothing_is_left_behind(void **state)
{
    (void)state;
    assert_true(fault_sweep(create_and_start) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_bad_ones_refused),
        cmocka_unit_test(paths_are_taken_apart_before_they_are_decoded),
        cmocka_unit_test(bad_uris_are_refused_and_limits_hold_to_the_byte),
        cmocka_unit_test(options_are_checked_at_their_bounds),
        cmocka_unit_test(an_address_in_use_is_told),
        cmocka_unit_test_setup(routes_get_their_parameters_and_the_exact_path_wins, serve),
        cmocka_unit_test(what_a_route_says_becomes_a_status_a_sentence_and_a_rule),
        cmocka_unit_test(rights_are_asked_for_before_anything_is_read),
        cmocka_unit_test(a_body_is_taken_up_to_its_bound_and_not_one_byte_beyond),
        cmocka_unit_test(readers_get_what_is_published_and_no_more_than_the_limit_may_read),
        cmocka_unit_test(what_becomes_of_a_request_is_told_once),
        cmocka_unit_test(who_reads_must_ask_again_when_rights_change),
        cmocka_unit_test(a_slow_reader_loses_events_and_is_told_how_many),
        cmocka_unit_test_teardown(connections_above_the_limit_are_told_so, serve_end),
        cmocka_unit_test(the_end_ends_streams_and_closes_connections),
        cmocka_unit_test(whatever_runs_out_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
