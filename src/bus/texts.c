/* texts.c - options and statistics as JSON: tables of fields, one writer and one reader for all.
 *
 * DESIGN
 *
 * Each struct has a table: the key, what kind of value it is, where it lies in the struct, and its
 * largest value. What is 0 is not written, and what is not read stays 0, so both sides may know
 * different defaults. The writer needs no memory; the reader uses jansson.
 *
 * INVARIANTS
 *
 *   X1  what a writer has written, the reader of the same table reads into the same struct
 *   X2  a reader changes nothing but its outputs, and those only as far as its return says
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/texts.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"

typedef enum field_kind {
    FIELD_U16,
    FIELD_U32,
    FIELD_U64,
    FIELD_I64,
    FIELD_BOOL,
    FIELD_DOUBLE,
    FIELD_WORD,   /* an int, as one of `words` */
    FIELD_TEXT,   /* a const char *, NULL: none */
    FIELD_CHARS,  /* a char array of most + 1 bytes */
    FIELD_RETAIN, /* a uint64_t; "none" is UINT64_MAX */
    FIELD_TOPIC   /* a dx_topic_options_t */
} field_kind_t;

typedef struct field {
    const char *key;
    field_kind_t kind;
    size_t offset;
    uint64_t most;
    const char *const *words; /* ended by NULL; the place is the value */
} field_t;

#define FIELD(type, name, kind, most)                                                              \
    {                                                                                              \
#name, kind, offsetof(type, name), most, NULL                                              \
    }
#define WORD(type, name, words)                                                                    \
    {                                                                                              \
#name, FIELD_WORD, offsetof(type, name), 0, words                                          \
    }

static const char *const ack_words[] = {"default", "none", "auto", "explicit", NULL};
static const char *const slow_words[] = {"drop", "block", "disconnect", NULL};
static const char *const shard_words[] = {"topic", "key", NULL};
static const char *const full_words[] = {"wait", "fail", NULL};

#define SUBSCRIPTION(name, kind, most) FIELD(dx_subscription_options_t, name, kind, most)
static const field_t subscription_fields[] = {
    WORD(dx_subscription_options_t, ack, ack_words),
    WORD(dx_subscription_options_t, slow, slow_words),
    SUBSCRIPTION(slow_block_ns, FIELD_I64, INT64_MAX),
    SUBSCRIPTION(pending_events_max, FIELD_U32, DX_PENDING_EVENTS_MAX),
    SUBSCRIPTION(attempts_max, FIELD_U32, DX_ATTEMPTS_MAX),
    SUBSCRIPTION(ack_timeout_ns, FIELD_I64, INT64_MAX),
    SUBSCRIPTION(backoff_ns, FIELD_I64, INT64_MAX),
    SUBSCRIPTION(backoff_max_ns, FIELD_I64, INT64_MAX),
    SUBSCRIPTION(dead_letter, FIELD_TEXT, DX_TOPIC_BYTES_MAX),
    SUBSCRIPTION(name, FIELD_TEXT, 63),
};

#define TOPIC(name, kind, most) FIELD(dx_topic_options_t, name, kind, most)
static const field_t topic_fields[] = {
    WORD(dx_topic_options_t, shard_by, shard_words),
    WORD(dx_topic_options_t, full, full_words),
    TOPIC(retain_events, FIELD_RETAIN, DX_RETAIN_EVENTS_MAX),
    TOPIC(retain_bytes, FIELD_U64, DX_RETAIN_BYTES_MAX),
    TOPIC(retain_age_ns, FIELD_I64, INT64_MAX),
    TOPIC(event_bytes_max, FIELD_U32, DX_FRAME_BYTES_MAX),
    TOPIC(direct_bytes, FIELD_U32, DX_DIRECT_BYTES_MAX),
};

#define STATS(name, kind) FIELD(dx_topic_stats_t, name, kind, INT64_MAX)
static const field_t stats_fields[] = {
    FIELD(dx_topic_stats_t, name, FIELD_CHARS, DX_TOPIC_BYTES_MAX),
    STATS(options, FIELD_TOPIC),
    STATS(declared, FIELD_BOOL),
    FIELD(dx_topic_stats_t, shard, FIELD_U16, UINT16_MAX),
    FIELD(dx_topic_stats_t, shards, FIELD_U16, UINT16_MAX),
    STATS(published, FIELD_U64),
    STATS(published_bytes, FIELD_U64),
    STATS(refused, FIELD_U64),
    STATS(duplicates, FIELD_U64),
    STATS(delivered, FIELD_U64),
    STATS(redelivered, FIELD_U64),
    STATS(dropped, FIELD_U64),
    STATS(dead, FIELD_U64),
    STATS(filtered, FIELD_U64),
    STATS(unheard, FIELD_U64),
    STATS(first_sequence, FIELD_U64),
    STATS(last_sequence, FIELD_U64),
    STATS(retained_events, FIELD_U64),
    STATS(retained_bytes, FIELD_U64),
    STATS(rate_1m, FIELD_DOUBLE),
    STATS(rate_5m, FIELD_DOUBLE),
    STATS(rate_15m, FIELD_DOUBLE),
    FIELD(dx_topic_stats_t, subscriptions, FIELD_U32, UINT32_MAX),
    STATS(depth, FIELD_U64),
    STATS(lag_max, FIELD_U64),
    STATS(latency_p50_ns, FIELD_I64),
    STATS(latency_p99_ns, FIELD_I64),
    STATS(latency_max_ns, FIELD_I64),
};

#define COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

/* -------------------------------------------------------------------------------------- writing */

typedef struct text {
    char *bytes;
    size_t room, used; /* without the NUL; more than fits when it is full */
} text_t;

static void put(text_t *text, const char *from, size_t bytes)
{
    if (text->used + bytes < text->room) {
        memcpy(text->bytes + text->used, from, bytes);
    }
    text->used += bytes;
}

static void put_text(text_t *text, const char *from)
{
    put(text, from, strlen(from));
}

/* A string with its quotes. */
static void put_string(text_t *text, const char *from)
{
    put_text(text, "\"");
    for (; *from != '\0'; from++) {
        char escaped[8];
        const unsigned char c = (unsigned char)*from;
        if (c == '"' || c == '\\') {
            (void)snprintf(escaped, sizeof escaped, "\\%c", c);
        } else if (c < 0x20) {
            (void)snprintf(escaped, sizeof escaped, "\\u%04x", c);
        } else {
            escaped[0] = (char)c;
            escaped[1] = '\0';
        }
        put_text(text, escaped);
    }
    put_text(text, "\"");
}

/* The number of a field of any whole kind. */
static uint64_t number_of(const field_t *field, const void *at)
{
    uint64_t u64 = 0;
    uint32_t u32 = 0;
    uint16_t u16 = 0;
    bool yes = false;
    int word = 0;
    switch (field->kind) {
    case FIELD_U16:
        memcpy(&u16, at, sizeof u16);
        return u16;
    case FIELD_U32:
        memcpy(&u32, at, sizeof u32);
        return u32;
    case FIELD_BOOL:
        memcpy(&yes, at, sizeof yes);
        return yes;
    case FIELD_WORD:
        memcpy(&word, at, sizeof word);
        return (uint64_t)word;
    default:
        memcpy(&u64, at, sizeof u64);
        return u64;
    }
}

static void write_object(text_t *text, const field_t *fields, size_t count, const void *from);

static bool is_zero(const field_t *field, const void *at)
{
    static const dx_topic_options_t no_options;
    switch (field->kind) {
    case FIELD_CHARS:
        return *(const char *)at == '\0';
    case FIELD_TOPIC:
        return memcmp(at, &no_options, sizeof no_options) == 0;
    case FIELD_TEXT: {
        const char *string = NULL;
        memcpy(&string, at, sizeof string);
        return string == NULL;
    }
    case FIELD_DOUBLE: {
        double value = 0;
        memcpy(&value, at, sizeof value);
        return !isfinite(value) || fabs(value) < 1e-9;
    }
    default:
        return number_of(field, at) == 0;
    }
}

static void write_value(text_t *text, const field_t *field, const void *at)
{
    char number[64];
    double real = 0;
    const char *string = NULL;
    const uint64_t whole =
        field->kind <= FIELD_BOOL || field->kind == FIELD_WORD || field->kind == FIELD_RETAIN
            ? number_of(field, at)
            : 0;
    switch (field->kind) {
    case FIELD_BOOL:
        put_text(text, "true");
        return;
    case FIELD_WORD:
        put_string(text, field->words[whole]);
        return;
    case FIELD_TEXT:
        memcpy(&string, at, sizeof string);
        put_string(text, string);
        return;
    case FIELD_CHARS:
        put_string(text, at);
        return;
    case FIELD_TOPIC:
        write_object(text, topic_fields, COUNT(topic_fields), at);
        return;
    case FIELD_DOUBLE:
        memcpy(&real, at, sizeof real);
        (void)snprintf(number, sizeof number, "%.17g", real);
        put_text(text, number);
        if (strpbrk(number, ".e") == NULL) {
            put_text(text, ".0");
        }
        return;
    case FIELD_RETAIN:
        if (whole == DX_RETAIN_NONE) {
            put_text(text, "\"none\"");
            return;
        }
        break;
    default:
        break;
    }
    (void)snprintf(number, sizeof number, "%llu",
                   (unsigned long long)(whole > INT64_MAX ? INT64_MAX : whole));
    put_text(text, number);
}

static void write_object(text_t *text, const field_t *fields, size_t count, const void *from)
{
    const char *comma = "";
    put_text(text, "{");
    for (size_t i = 0; i < count; i++) {
        const void *at = (const char *)from + fields[i].offset;
        if (!is_zero(&fields[i], at)) {
            put_text(text, comma);
            put_string(text, fields[i].key);
            put_text(text, ":");
            write_value(text, &fields[i], at);
            comma = ",";
        }
    }
    put_text(text, "}");
}

static int64_t write_text(const field_t *fields, size_t count, const void *from, char *text_out,
                          size_t text_bytes)
{
    text_t text = {.bytes = text_out, .room = text_bytes};
    write_object(&text, fields, count, from);
    if (text.used >= text_bytes) {
        return DX_ELIMIT;
    }
    text_out[text.used] = '\0';
    return (int64_t)text.used;
}

int64_t dxi_subscription_options_write(const dx_subscription_options_t *options, char *text_out,
                                       size_t text_bytes)
{
    return write_text(subscription_fields, COUNT(subscription_fields), options, text_out,
                      text_bytes);
}

int64_t dxi_topic_options_write(const dx_topic_options_t *options, char *text_out,
                                size_t text_bytes)
{
    return write_text(topic_fields, COUNT(topic_fields), options, text_out, text_bytes);
}

int64_t dxi_topic_stats_write(const dx_topic_stats_t *stats, char *text_out, size_t text_bytes)
{
    return write_text(stats_fields, COUNT(stats_fields), stats, text_out, text_bytes);
}

/* -------------------------------------------------------------------------------------- reading */

/* Where strings of the struct go. */
typedef struct texts {
    char *bytes; /* DXI_TEXT_BYTES_MAX of them; NULL: the struct has none */
    size_t used;
} texts_t;

static int read_object(const json_t *object, const field_t *fields, size_t count, void *to,
                       texts_t *texts, dx_error_t *error);

static int wrong(const field_t *field, const char *what, dx_error_t *error)
{
    return dxi_fail(error, DX_EINVAL, "\"%s\" must be %s", field->key, what);
}

static int read_number(const json_t *value, const field_t *field, void *at, dx_error_t *error)
{
    if (field->kind == FIELD_RETAIN && json_is_string(value) &&
        strcmp(json_string_value(value), "none") == 0) {
        const uint64_t none = DX_RETAIN_NONE;
        memcpy(at, &none, sizeof none);
        return DX_OK;
    }
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number > field->most) {
        return dxi_fail(error, DX_EINVAL, "\"%s\" must be a whole number from 0 to %llu%s",
                        field->key, (unsigned long long)field->most,
                        field->kind == FIELD_RETAIN ? ", or \"none\"" : "");
    }
    const uint64_t u64 = (uint64_t)number;
    const uint32_t u32 = (uint32_t)number;
    const uint16_t u16 = (uint16_t)number;
    switch (field->kind) {
    case FIELD_U16:
        memcpy(at, &u16, sizeof u16);
        break;
    case FIELD_U32:
        memcpy(at, &u32, sizeof u32);
        break;
    default:
        memcpy(at, &u64, sizeof u64);
        break;
    }
    return DX_OK;
}

static int read_word(const json_t *value, const field_t *field, void *at, dx_error_t *error)
{
    const char *word = json_string_value(value);
    for (int i = 0; word != NULL && field->words[i] != NULL; i++) {
        if (strcmp(field->words[i], word) == 0) {
            memcpy(at, &i, sizeof i);
            return DX_OK;
        }
    }
    char words[128];
    size_t used = 0;
    for (int i = 0; field->words[i] != NULL; i++) {
        used += (size_t)snprintf(words + used, sizeof words - used, "%s\"%s\"", i == 0 ? "" : ", ",
                                 field->words[i]);
    }
    return dxi_fail(error, DX_EINVAL, "\"%s\" must be one of %s", field->key, words);
}

static int read_string(const json_t *value, const field_t *field, void *at, texts_t *texts,
                       dx_error_t *error)
{
    const size_t bytes = json_string_length(value);
    if (!json_is_string(value)) {
        return wrong(field, "a string", error);
    }
    if (bytes > field->most || strlen(json_string_value(value)) != bytes) {
        return dxi_fail(error, DX_EINVAL, "\"%s\" must be at most %llu bytes, without NUL",
                        field->key, (unsigned long long)field->most);
    }
    if (field->kind == FIELD_CHARS) {
        memcpy(at, json_string_value(value), bytes + 1);
        return DX_OK;
    }
    if (texts->used + bytes + 1 > DXI_TEXT_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "the texts of the options have more than %d bytes",
                        DXI_TEXT_BYTES_MAX);
    }
    assert(texts->bytes != NULL);
    char *copy = texts->bytes + texts->used;
    memcpy(copy, json_string_value(value), bytes + 1);
    texts->used += bytes + 1;
    memcpy(at, &copy, sizeof copy);
    return DX_OK;
}

static int read_value(const json_t *value, const field_t *field, void *at, texts_t *texts,
                      dx_error_t *error)
{
    const bool yes = json_is_true(value);
    const double real = json_number_value(value);
    switch (field->kind) {
    case FIELD_BOOL:
        if (!json_is_boolean(value)) {
            return wrong(field, "true or false", error);
        }
        memcpy(at, &yes, sizeof yes);
        return DX_OK;
    case FIELD_DOUBLE:
        if (!json_is_number(value)) {
            return wrong(field, "a number", error);
        }
        memcpy(at, &real, sizeof real);
        return DX_OK;
    case FIELD_WORD:
        return read_word(value, field, at, error);
    case FIELD_TEXT:
    case FIELD_CHARS:
        return read_string(value, field, at, texts, error);
    case FIELD_TOPIC:
        return json_is_object(value)
                   ? read_object(value, topic_fields, COUNT(topic_fields), at, texts, error)
                   : wrong(field, "an object", error);
    default:
        return read_number(value, field, at, error);
    }
}

static int read_object(const json_t *object, const field_t *fields, size_t count, void *to,
                       texts_t *texts, dx_error_t *error)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t i = 0;
        while (i < count && strcmp(fields[i].key, key) != 0) {
            i++;
        }
        if (i == count) {
            return dxi_fail(error, DX_EINVAL, "\"%s\" is no option here", key);
        }
        const int code = read_value(value, &fields[i], (char *)to + fields[i].offset, texts, error);
        if (code != DX_OK) {
            return code;
        }
    }
    return DX_OK;
}

static int read_text(const char *text, size_t bytes, const field_t *fields, size_t count, void *to,
                     texts_t *texts, dx_error_t *error)
{
    if (bytes > DXI_TEXT_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "the options have %zu bytes, must be at most %d", bytes,
                        DXI_TEXT_BYTES_MAX);
    }
    json_error_t where;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL) {
        return dxi_fail(error, DX_EPARSE, "no JSON at byte %d: %s", where.position, where.text);
    }
    const int code = json_is_object(root)
                         ? read_object(root, fields, count, to, texts, error)
                         : dxi_fail(error, DX_EPARSE, "the options are no JSON object");
    json_decref(root);
    return code;
}

int dxi_subscription_options_read(const char *text, size_t bytes,
                                  dx_subscription_options_t *options_out,
                                  char texts_out[DXI_TEXT_BYTES_MAX], dx_error_t *error)
{
    texts_t texts = {.bytes = texts_out};
    memset(options_out, 0, sizeof *options_out);
    return read_text(text, bytes, subscription_fields, COUNT(subscription_fields), options_out,
                     &texts, error);
}

int dxi_topic_options_read(const char *text, size_t bytes, dx_topic_options_t *options_out,
                           dx_error_t *error)
{
    texts_t texts = {0};
    memset(options_out, 0, sizeof *options_out);
    return read_text(text, bytes, topic_fields, COUNT(topic_fields), options_out, &texts, error);
}

int dxi_topic_stats_read(const char *text, size_t bytes, dx_topic_stats_t *stats_out,
                         dx_error_t *error)
{
    texts_t texts = {0};
    memset(stats_out, 0, sizeof *stats_out);
    return read_text(text, bytes, stats_fields, COUNT(stats_fields), stats_out, &texts, error);
}
