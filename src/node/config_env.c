/* config_env.c - options from the environment: DX_<SECTION>_<NAME>.
 *
 * Other programs of this project have variables that begin with DX_ as well (DX_ADDRESS). So one
 * that begins with DX_ and a section of ours must be an option; others are not looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <string.h>

#include "base/fail.h"
#include "base/nearest.h"
#include "node/config_internal.h"

#define PREFIX "DX_"

/* Writes a name in capitals, with an underscore for each dot. */
static void capitals_write(const char *name, char *text_out)
{
    for (; *name != '\0'; name++) {
        *text_out++ = *name == '.' ? '_' : (char)toupper((unsigned char)*name);
    }
    *text_out = '\0';
}

void dxi_config_variable(const char *name, char text_out[DX_CONFIG_NAME_BYTES_MAX + 4])
{
    memcpy(text_out, PREFIX, sizeof PREFIX);
    capitals_write(name, text_out + strlen(PREFIX));
}

/* Whether a variable begins with DX_<SECTION>_. */
static bool is_ours(const char *variable)
{
    if (strncmp(variable, PREFIX, strlen(PREFIX)) != 0) {
        return false;
    }
    size_t count = 0;
    const dxi_config_section_t *const sections = dxi_config_sections(&count);
    for (size_t i = 0; i < count; i++) {
        char section[DX_CONFIG_NAME_BYTES_MAX + 1];
        capitals_write(sections[i].name, section);
        const size_t bytes = strlen(section);
        const char *const rest = variable + strlen(PREFIX);
        if (strncmp(rest, section, bytes) == 0 && rest[bytes] == '_') {
            return true;
        }
    }
    return false;
}

static int unknown_fail(const char *variable, dx_error_t *error)
{
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    dxi_nearest_t nearest = {.word = variable};
    char best[DX_CONFIG_NAME_BYTES_MAX + 4] = "";
    for (size_t i = 0; i < count; i++) {
        char name[DX_CONFIG_NAME_BYTES_MAX + 4];
        const char *const before = nearest.best;
        dxi_config_variable(rows[i].name, name);
        dxi_nearest_offer(&nearest, name);
        if (nearest.best != before) {
            memcpy(best, name, sizeof best);
            nearest.best = best;
        }
    }
    if (nearest.best == NULL) {
        return dxi_fail(error, DX_EINVAL,
                        "the variable %.70s of the environment is no option of a node", variable);
    }
    return dxi_fail(error, DX_EINVAL,
                    "the variable %.70s of the environment is no option of a node; did you mean "
                    "%s?",
                    variable, best);
}

/* Reads one variable that begins as ours do. */
static int variable_read(dx_config_t *config, const char *variable, const char *text,
                         dx_error_t *error)
{
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    for (size_t i = 0; i < count; i++) {
        char name[DX_CONFIG_NAME_BYTES_MAX + 4];
        dxi_config_variable(rows[i].name, name);
        if (strcmp(name, variable) != 0) {
            continue;
        }
        dxi_config_value_t value;
        const int code = dxi_config_value_read(&rows[i], name, text, &value, error);
        if (code == DX_OK) {
            value.origin = DXI_CONFIG_ENVIRONMENT;
            config->values[i] = value;
        }
        return code;
    }
    return unknown_fail(variable, error);
}

int dxi_config_environment_read(dx_config_t *config, char *const *environment, dx_error_t *error)
{
    int code = DX_OK;
    for (; code == DX_OK && environment != NULL && *environment != NULL; environment++) {
        const char *const equals = strchr(*environment, '=');
        char variable[256];
        if (equals == NULL || !is_ours(*environment)) {
            continue;
        }
        const size_t bytes = (size_t)(equals - *environment);
        const size_t kept = bytes < sizeof variable ? bytes : sizeof variable - 1;
        memcpy(variable, *environment, kept);
        variable[kept] = '\0';
        code = variable_read(config, variable, equals + 1, error);
    }
    return code;
}
