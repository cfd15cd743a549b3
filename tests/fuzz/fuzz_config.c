/* fuzz_config.c - any bytes as a configuration file.
 *
 * What is refused says why, with the file and mostly a line, and changes nothing. What is taken is
 * within the bounds of the table, and each value is read again from what it is written as.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/config_internal.h"

#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void values_check(const dx_config_t *config)
{
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    for (size_t i = 0; i < count; i++) {
        char text[DX_CONFIG_TEXT_BYTES_MAX + 1];
        dxi_config_value_t again;
        const dxi_config_value_t *const value = &config->values[i];
        dxi_config_value_write(&rows[i], value, text);
        FUZZ_REQUIRE(dxi_config_value_read(&rows[i], "x", text, &again, NULL) == DX_OK);
        FUZZ_REQUIRE(dxi_config_value_equal(&rows[i], value, &again));
        FUZZ_REQUIRE(value->origin == DXI_CONFIG_DEFAULT || value->origin == DXI_CONFIG_FILE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dx_config_t *config = NULL, *before = NULL;
    dx_error_t error = {.code = 0};
    FUZZ_REQUIRE(dx_config_create(&config, &error) == DX_OK);
    FUZZ_REQUIRE(dx_config_copy(config, &before, &error) == DX_OK);
    const int code = dx_config_parse(config, (const char *)data, size, "fuzz", &error);
    if (code == DX_OK) {
        values_check(config);
        FUZZ_REQUIRE(dx_config_check(config, &error) == DX_OK);
    } else {
        FUZZ_REQUIRE(error.code == code && strstr(error.message, "fuzz") != NULL);
        FUZZ_REQUIRE(dx_config_diff(before, config, NULL, NULL) == 0);
    }
    dx_config_destroy(config);
    dx_config_destroy(before);
    return 0;
}
