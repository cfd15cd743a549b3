/* config_value.c - one value: from a text, checked against its row, and back.
 *
 * INVARIANT V1: what dxi_config_value_write() writes, dxi_config_value_read() reads as an equal
 * value (secrets included; masking is done in dx_config_get()).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <string.h>

#include "base/fail.h"
#include "base/log_line.h"
#include "base/nearest.h"
#include "base/values.h"
#include "disruptorx/thread.h"
#include "net/address.h"
#include "node/config_internal.h"

/* --------------------------------------------------------------- texts with a rule of their own */

int dxi_config_mode_read(const char *text, uint32_t *mode_out, dx_error_t *error)
{
    uint32_t mode = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '7') {
            return dxi_fail(error, DX_EINVAL, "is %.40s, must be octal, as in 0660", text);
        }
        mode = mode * 8 + (uint32_t)(*c - '0');
    }
    if (mode > 0777 || mode == 0) {
        return dxi_fail(error, DX_EINVAL, "is %.40s, must be from 0001 to 0777", text);
    }
    *mode_out = mode;
    return DX_OK;
}

static int mode_check(const char *text, dx_error_t *error)
{
    uint32_t mode = 0;
    return dxi_config_mode_read(text, &mode, error);
}

static int cpus_check(const char *text, dx_error_t *error)
{
    dx_cpu_set_t set;
    return dx_cpu_set_parse(text, &set, error) == DX_OK ? DX_OK : DX_EINVAL;
}

static int address_check(const char *text, dx_error_t *error)
{
    dxi_address_t address;
    return dxi_address_parse(text, &address, error);
}

/* The sentence says what is wrong, without the option. */
static const struct rule {
    const char *name;
    int (*check)(const char *text, dx_error_t *error);
} RULES[] = {
    {"listen.addresses", address_check},
    {"listen.unix_mode", mode_check},
    {"bus.cpus", cpus_check},
};

static int rule_check(const dx_config_option_t *option, const char *name, const char *text,
                      dx_error_t *error)
{
    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) {
        if (strcmp(RULES[i].name, option->name) == 0 && RULES[i].check(text, error) != DX_OK) {
            (void)dxi_fail_context(error, "%s", name);
            return DX_EINVAL;
        }
    }
    return DX_OK;
}

/* UTF-8 without control characters, and not longer than any value. */
static int characters_check(const char *name, const char *text, dx_error_t *error)
{
    const size_t bytes = strlen(text);
    if (bytes > DX_CONFIG_TEXT_BYTES_MAX) {
        return dxi_fail(error, DX_EINVAL, "%s is %zu bytes long, must be at most %d", name, bytes,
                        DX_CONFIG_TEXT_BYTES_MAX);
    }
    for (size_t i = 0; i < bytes;) {
        const size_t length = dxi_utf8_length(text + i, bytes - i);
        const unsigned char c = (unsigned char)text[i];
        if (length == 0) {
            return dxi_fail(error, DX_EINVAL, "%s is not UTF-8 (byte 0x%02x)", name, c);
        }
        if (c < 0x20 || c == 0x7f) {
            return dxi_fail(error, DX_EINVAL, "%s has a control character (0x%02x)", name, c);
        }
        i += length;
    }
    return DX_OK;
}

/* ------------------------------------------------------------------------------------ each type */

static int bool_read(const char *name, const char *text, dxi_config_value_t *value,
                     dx_error_t *error)
{
    static const char *const WORDS[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        if (strcmp(WORDS[i], text) == 0) {
            value->integer = (int64_t)(i % 2);
            return DX_OK;
        }
    }
    return dxi_fail(error, DX_EINVAL, "%s is %.40s, must be true or false", name, text);
}

static const struct suffix {
    const char *suffix;
    const char *unit;
} SUFFIXES[] = {{"_ms", "ms"}, {"_us", "us"}, {"_s", "s"}};

/* The unit that the name says. */
static const char *duration_unit(const char *name)
{
    const size_t bytes = strlen(name);
    for (size_t i = 0; i < sizeof SUFFIXES / sizeof SUFFIXES[0]; i++) {
        const size_t suffix_bytes = strlen(SUFFIXES[i].suffix);
        if (bytes > suffix_bytes && strcmp(name + bytes - suffix_bytes, SUFFIXES[i].suffix) == 0) {
            return SUFFIXES[i].unit;
        }
    }
    return "ns";
}

static int duration_read(const dx_config_option_t *option, const char *name, const char *text,
                         dxi_config_value_t *value, dx_error_t *error)
{
    char with_unit[DX_CONFIG_TEXT_BYTES_MAX + 4];
    const bool bare = *text != '\0' && text[strspn(text, "-.0123456789")] == '\0';
    (void)snprintf(with_unit, sizeof with_unit, "%s%s", text,
                   bare ? duration_unit(option->name) : "");
    return dxi_duration_parse(name, with_unit, option->low, option->high, &value->integer, error);
}

/* "text, json" */
static void choices_write(const dx_config_option_t *option, char *text_out, size_t text_bytes)
{
    size_t used = 0;
    for (size_t i = 0; option->choices[i] != NULL && used < text_bytes; i++) {
        const int bytes = snprintf(text_out + used, text_bytes - used, "%s%s", i == 0 ? "" : ", ",
                                   option->choices[i]);
        used += (size_t)bytes;
    }
}

static int choice_read(const dx_config_option_t *option, const char *name, const char *text,
                       dxi_config_value_t *value, dx_error_t *error)
{
    dxi_nearest_t nearest = {.word = text};
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            value->integer = (int64_t)i;
            return DX_OK;
        }
        dxi_nearest_offer(&nearest, option->choices[i]);
    }
    char choices[128];
    choices_write(option, choices, sizeof choices);
    if (nearest.best != NULL) {
        return dxi_fail(error, DX_EINVAL, "%s is %.40s, must be one of %s; did you mean %s?", name,
                        text, choices, nearest.best);
    }
    return dxi_fail(error, DX_EINVAL, "%s is %.40s, must be one of %s", name, text, choices);
}

static int text_read(const dx_config_option_t *option, const char *name, const char *text,
                     dxi_config_value_t *value, dx_error_t *error)
{
    const int64_t bytes = (int64_t)strlen(text);
    int code = characters_check(name, text, error);
    if (code == DX_OK && (bytes < option->low || bytes > option->high)) {
        code = dxi_fail(error, DX_EINVAL,
                        "%s is %" PRId64 " bytes long, must have from %" PRId64 " to %" PRId64,
                        name, bytes, option->low, option->high);
    }
    if (code == DX_OK) {
        code = rule_check(option, name, text, error);
    }
    if (code == DX_OK) {
        memcpy(value->text, text, (size_t)bytes + 1);
    }
    return code;
}

/* ---------------------------------------------------------------------------------------- lists */

/* Where the next item goes: behind the last one. */
static size_t list_bytes(const dxi_config_value_t *value)
{
    size_t at = 0;
    for (int64_t i = 0; i < value->integer; i++) {
        at += strlen(value->text + at) + 1;
    }
    return at;
}

int dxi_config_list_add(const dx_config_option_t *option, const char *name, const char *item,
                        dxi_config_value_t *value, dx_error_t *error)
{
    const int code = characters_check(name, item, error);
    if (code != DX_OK) {
        return code;
    }
    const size_t bytes = strlen(item);
    if (bytes == 0 || item[0] == ' ' || item[bytes - 1] == ' ' || strchr(item, ',') != NULL) {
        return dxi_fail(error, DX_EINVAL,
                        "%s has the item \"%.60s\", which is empty, has a comma, or begins or ends "
                        "with a blank",
                        name, item);
    }
    if (value->integer >= option->high || value->integer >= DX_CONFIG_LIST_MAX) {
        return dxi_fail(error, DX_EINVAL, "%s has more than %" PRId64 " items", name,
                        option->high < DX_CONFIG_LIST_MAX ? option->high : DX_CONFIG_LIST_MAX);
    }
    /* As it is written: items and ", " between them. */
    const size_t at = list_bytes(value);
    if (at + (size_t)value->integer + bytes > DX_CONFIG_TEXT_BYTES_MAX) {
        return dxi_fail(error, DX_EINVAL, "%s is longer than %d bytes with all its items", name,
                        DX_CONFIG_TEXT_BYTES_MAX);
    }
    if (rule_check(option, name, item, error) != DX_OK) {
        return DX_EINVAL;
    }
    memcpy(value->text + at, item, bytes + 1);
    value->text[at + bytes + 1] = '\0';
    value->integer++;
    return DX_OK;
}

int dxi_config_list_end(const dx_config_option_t *option, const char *name,
                        const dxi_config_value_t *value, dx_error_t *error)
{
    if (value->integer < option->low) {
        return dxi_fail(error, DX_EINVAL, "%s has %" PRId64 " items, must have at least %" PRId64,
                        name, value->integer, option->low);
    }
    return DX_OK;
}

/* "a, b": blanks around an item are left out. An empty text is an empty list. */
static int list_read(const dx_config_option_t *option, const char *name, const char *text,
                     dxi_config_value_t *value, dx_error_t *error)
{
    int code = characters_check(name, text, error);
    const char *at = text;
    while (code == DX_OK && text[strspn(text, " ")] != '\0') {
        char item[DX_CONFIG_TEXT_BYTES_MAX + 1];
        at += strspn(at, " ");
        const size_t room = strcspn(at, ",");
        size_t bytes = room;
        while (bytes > 0 && at[bytes - 1] == ' ') {
            bytes--;
        }
        memcpy(item, at, bytes);
        item[bytes] = '\0';
        code = dxi_config_list_add(option, name, item, value, error);
        if (at[room] == '\0') {
            break;
        }
        at += room + 1;
    }
    return code == DX_OK ? dxi_config_list_end(option, name, value, error) : code;
}

/* ---------------------------------------------------------------------------------- all of them */

int dxi_config_value_read(const dx_config_option_t *option, const char *name, const char *text,
                          dxi_config_value_t *value_out, dx_error_t *error)
{
    *value_out = (dxi_config_value_t){.integer = 0};
    switch (option->type) {
    case DX_CONFIG_BOOL:
        return bool_read(name, text, value_out, error);
    case DX_CONFIG_INTEGER:
    case DX_CONFIG_BYTES:
        return (option->power_of_two ? dxi_power_parse : dxi_integer_parse)(
            name, text, option->low, option->high, &value_out->integer, error);
    case DX_CONFIG_DURATION: {
        const int code = characters_check(name, text, error);
        return code != DX_OK ? code : duration_read(option, name, text, value_out, error);
    }
    case DX_CONFIG_CHOICE:
        return choice_read(option, name, text, value_out, error);
    case DX_CONFIG_LIST:
        return list_read(option, name, text, value_out, error);
    case DX_CONFIG_TEXT:
        break;
    }
    return text_read(option, name, text, value_out, error);
}

typedef struct unit {
    const char *name;
    int64_t factor;
} unit_t;

/* With the largest unit that leaves a whole number. */
static void scaled_write(int64_t value, const unit_t *units, char *text_out, size_t text_bytes)
{
    while (units->factor > 1 && (value == 0 || value % units->factor != 0)) {
        units++;
    }
    (void)snprintf(text_out, text_bytes, "%" PRId64 "%s", value / units->factor, units->name);
}

static const unit_t BYTE_UNITS[] = {
    {"Gi", INT64_C(1) << 30}, {"Mi", INT64_C(1) << 20}, {"Ki", INT64_C(1) << 10}, {"", 1}};
static const unit_t TIME_UNITS[] = {{"h", INT64_C(3600000000000)},
                                    {"m", INT64_C(60000000000)},
                                    {"s", 1000000000},
                                    {"ms", 1000000},
                                    {"us", 1000},
                                    {"ns", 1}};

static void list_write(const dxi_config_value_t *value, char *text_out, size_t text_bytes)
{
    size_t used = 0;
    const char *item = value->text;
    text_out[0] = '\0';
    for (int64_t i = 0; i < value->integer; i++) {
        used +=
            (size_t)snprintf(text_out + used, text_bytes - used, "%s%s", i == 0 ? "" : ", ", item);
        item += strlen(item) + 1;
    }
}

void dxi_config_value_write(const dx_config_option_t *option, const dxi_config_value_t *value,
                            char text_out[DX_CONFIG_TEXT_BYTES_MAX + 1])
{
    const size_t text_bytes = DX_CONFIG_TEXT_BYTES_MAX + 1;
    switch (option->type) {
    case DX_CONFIG_BOOL:
        (void)snprintf(text_out, text_bytes, "%s", value->integer != 0 ? "true" : "false");
        break;
    case DX_CONFIG_INTEGER:
        (void)snprintf(text_out, text_bytes, "%" PRId64, value->integer);
        break;
    case DX_CONFIG_BYTES:
        scaled_write(value->integer, BYTE_UNITS, text_out, text_bytes);
        break;
    case DX_CONFIG_DURATION:
        if (value->integer == 0) {
            (void)snprintf(text_out, text_bytes, "0");
        } else {
            scaled_write(value->integer, TIME_UNITS, text_out, text_bytes);
        }
        break;
    case DX_CONFIG_CHOICE:
        (void)snprintf(text_out, text_bytes, "%s", option->choices[value->integer]);
        break;
    case DX_CONFIG_LIST:
        list_write(value, text_out, text_bytes);
        break;
    case DX_CONFIG_TEXT: {
        const size_t bytes = strnlen(value->text, DX_CONFIG_TEXT_BYTES_MAX);
        memcpy(text_out, value->text, bytes);
        text_out[bytes] = '\0';
        break;
    }
    }
}

bool dxi_config_value_equal(const dx_config_option_t *option, const dxi_config_value_t *a,
                            const dxi_config_value_t *b)
{
    if (option->type == DX_CONFIG_LIST) {
        return a->integer == b->integer && memcmp(a->text, b->text, list_bytes(a)) == 0;
    }
    if (option->type == DX_CONFIG_TEXT) {
        return strcmp(a->text, b->text) == 0;
    }
    return a->integer == b->integer;
}
