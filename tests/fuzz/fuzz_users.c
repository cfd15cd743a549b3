/* fuzz_users.c - any bytes as a users file.
 *
 * What is refused says why, with the file. What is taken keeps its promises: each user is found by
 * its name, and for a few objects, a user that may subscribe to a pattern may subscribe to what it
 * matches, and who is denied a topic is denied each pattern that matches it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/access.h"
#include "wire/topic_name.h"

#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const PATTERNS[] = {">", "*", "a.>", "a.*", "*.b", "$dead.>", "a.b", "orders.*"};
static const char *const TOPICS[] = {"a", "a.b", "a.b.c", "$dead.a", "orders.eu", "b"};

static bool may(const dxi_access_user_t *user, const char *object)
{
    return dxi_access_allows(user, DXI_ACCESS_SUBSCRIBE, object, strlen(object), NULL) == DX_OK;
}

static void user_check(const dxi_access_user_t *user)
{
    for (size_t i = 0; i < sizeof PATTERNS / sizeof PATTERNS[0]; i++) {
        const bool all = may(user, PATTERNS[i]);
        for (size_t j = 0; j < sizeof TOPICS / sizeof TOPICS[0]; j++) {
            if (all && dxi_pattern_matches(PATTERNS[i], strlen(PATTERNS[i]), TOPICS[j],
                                           strlen(TOPICS[j]))) {
                FUZZ_REQUIRE(may(user, TOPICS[j]));
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dxi_access_table_t *table = NULL;
    dx_error_t error = {.code = 0};
    const int code = dxi_access_table_parse((const char *)data, size, "fuzz", &table, &error);
    if (code != DX_OK) {
        FUZZ_REQUIRE(table == NULL && error.code == code && strstr(error.message, "fuzz") != NULL);
        return 0;
    }
    const dxi_access_user_t *user = NULL;
    for (size_t i = 0; (user = dxi_access_table_user(table, i)) != NULL; i++) {
        FUZZ_REQUIRE(dxi_access_table_find(table, dxi_access_user_name(user)) == user);
        user_check(user);
    }
    dxi_access_table_release(table);
    return 0;
}
