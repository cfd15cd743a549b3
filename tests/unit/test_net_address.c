/* test_net_address.c - addresses as people write them, and the waits of a back-off.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base_test.h"
#include "net/address.h"

#define LETTERS_50 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
#define LETTERS_250 LETTERS_50 LETTERS_50 LETTERS_50 LETTERS_50 LETTERS_50

static void every_form_of_an_address_is_understood(void **state)
{
    (void)state;
    const struct {
        const char *text;
        dxi_transport_t transport;
        const char *host;
        uint16_t port;
    } cases[] = {
        {"localhost", DXI_TCP, "localhost", DXI_DEFAULT_PORT},
        {"node-1.example.org:7401", DXI_TCP, "node-1.example.org", 7401},
        {":7401", DXI_TCP, "", 7401},
        {"tcp://:0", DXI_TCP, "", 0},
        {"tcp://10.0.0.1:65535", DXI_TCP, "10.0.0.1", 65535},
        {"tls://a_b", DXI_TLS, "a_b", DXI_DEFAULT_PORT},
        {"tls://h:1", DXI_TLS, "h", 1},
        {"[::1]:7400", DXI_TCP, "::1", 7400},
        {"[::1]", DXI_TCP, "::1", DXI_DEFAULT_PORT},
        {"tls://[fe80::1]:9", DXI_TLS, "fe80::1", 9},
        {"/run/dx.sock", DXI_UNIX, "/run/dx.sock", 0},
        {"./dx.sock", DXI_UNIX, "./dx.sock", 0},
        {"unix:///run/dx.sock", DXI_UNIX, "/run/dx.sock", 0},
        {"unix://dx.sock", DXI_UNIX, "dx.sock", 0},
        {"unix:///tmp/a:1", DXI_UNIX, "/tmp/a:1", 0},
        {"shm:///run/dx.sock", DXI_SHM, "/run/dx.sock", 0},
        {"shm://dx.sock", DXI_SHM, "dx.sock", 0},
        {"shm:///" LETTERS_50 LETTERS_50 "aaaaaa", DXI_SHM, "/" LETTERS_50 LETTERS_50 "aaaaaa", 0},
        {LETTERS_250 "aaaaa:1", DXI_TCP, LETTERS_250 "aaaaa", 1}, /* 255: the most */
        {"/" LETTERS_50 LETTERS_50 "aaaaaa", DXI_UNIX, "/" LETTERS_50 LETTERS_50 "aaaaaa", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dxi_address_t address;
        dxi_address_t again;
        dx_error_t error = {0};
        char text[DXI_ADDRESS_TEXT_MAX + 16];
        if (dxi_address_parse(cases[i].text, &address, &error) != DX_OK) {
            fail_msg("%s: %s", cases[i].text, error.message);
        }
        assert_int_equal(address.transport, cases[i].transport);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        dxi_address_format(&address, text);
        assert_ok(dxi_address_parse(text, &again, &error)); /* A1 */
        assert_int_equal(again.transport, address.transport);
        assert_string_equal(again.host, address.host);
        assert_int_equal(again.port, address.port);
    }
}

static void what_is_no_address_is_refused_with_the_rule(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *said;
    } cases[] = {
        {"", "names no host"},
        {"tcp://", "names no host"},
        {"http://a", "begins with none of tcp://"},
        {"host:", "must be a number from 0 to 65535"},
        {"host:65536", "must be a number from 0 to 65535"},
        {"host:99999999999999999999", "must be a number from 0 to 65535"},
        {"host:7400x", "must be a number"},
        {"host:-1", "must be a number"},
        {"::1", "more than one ':'"},
        {"a b:1", "is no host"},
        {"a/b", "is no host"},
        {"h\xc3\xb6st:1", "is no host"},
        {"[::1", "no IPv6 address in brackets"},
        {"[]:1", "no IPv6 address in brackets"},
        {"[host]:1", "no IPv6 address in brackets"},
        {"[::1]7400", "where ':' and the port belong"},
        {"unix://", "has 0 bytes"},
        {"shm://", "has 0 bytes"},
        {"shm:///" LETTERS_50 LETTERS_50 "aaaaaaa", "must have 1 to 107"},
        {"/" LETTERS_50 LETTERS_50 "aaaaaaa", "must have 1 to 107"},
        {LETTERS_250 "aaaaaa", "at most 255"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dxi_address_t address;
        dx_error_t error = {0};
        assert_fails(dxi_address_parse(cases[i].text, &address, &error), DX_EINVAL, error,
                     cases[i].said);
        assert_string_equal(address.host, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_an_address_is_understood),
        cmocka_unit_test(what_is_no_address_is_refused_with_the_rule),
    };
    return cmocka_run_group_tests_name("net address", tests, NULL, NULL);
}
