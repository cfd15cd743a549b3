/* otlp.c - spans as the JSON of OTLP/HTTP (OpenTelemetry protocol 1.x, ExportTraceServiceRequest).
 *
 * Written straight into the memory of the request, without a tree: ids as digits, times and 64-bit
 * numbers as texts, enumerations as numbers, as the specification of the JSON encoding says.
 * Attributes are those of OpenTelemetry's conventions for messaging, with `messaging.system`
 * "disruptorx"; what those have no name for begins with `disruptorx.`.
 *
 * INVARIANTS
 *
 *   J1  one span takes at most DXI_OTLP_SPAN_BYTES_MAX: all of its texts are bounded
 *   J2  the text is JSON whatever a topic's bytes are
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "trace/otlp.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_line.h"
#include "disruptorx/platform.h"

#define TAIL "]}]}]}"
#define INBOX "$inbox."

/* -------------------------------------------------------------------------------------- writing */

static DX_PRINTF(2, 3) void put(dxi_otlp_t *otlp, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int bytes =
        vsnprintf(otlp->text + otlp->used, otlp->room - otlp->used, format, arguments);
    va_end(arguments);
    assert(bytes >= 0 && (size_t)bytes < otlp->room - otlp->used); /* J1 */
    otlp->used += (size_t)bytes;
}

/* A text in quotes (J2). A client may send any bytes for a topic: what is no UTF-8 becomes '?'. */
static void put_text(dxi_otlp_t *otlp, const char *text, size_t bytes)
{
    put(otlp, "\"");
    for (size_t i = 0; i < bytes;) {
        const unsigned char c = (unsigned char)text[i];
        const size_t length = dxi_utf8_length(text + i, bytes - i);
        if (length > 1) {
            memcpy(otlp->text + otlp->used, text + i, length);
            otlp->used += length;
            i += length;
            continue;
        }
        if (length == 0) {
            put(otlp, "?");
        } else if (c == '"' || c == '\\') {
            put(otlp, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            put(otlp, "\\u%04x", c);
        } else {
            otlp->text[otlp->used++] = (char)c;
        }
        i++;
    }
    put(otlp, "\"");
}

static void put_hex(dxi_otlp_t *otlp, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put(otlp, "%02x", bytes[i]);
    }
}

/* An attribute that is a text, behind another one. */
static void put_attribute(dxi_otlp_t *otlp, const char *key, const char *text, size_t bytes)
{
    put(otlp, ",{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
    put_text(otlp, text, bytes);
    put(otlp, "}}");
}

static void put_number(dxi_otlp_t *otlp, const char *key, uint64_t number)
{
    put(otlp, ",{\"key\":\"%s\",\"value\":{\"intValue\":\"%" PRIu64 "\"}}", key, number);
}

/* ---------------------------------------------------------------------------------------- spans */

static const struct {
    const char *name;
    const char *type; /* messaging.operation.type; NULL: the conventions have none */
} OPERATIONS[] = {
    [DXI_SPAN_PUBLISH] = {"publish", "send"},
    [DXI_SPAN_QUEUE] = {"queue", NULL},
    [DXI_SPAN_DELIVER] = {"deliver", NULL},
    [DXI_SPAN_HANDLE] = {"handle", "process"},
};

/* Inboxes of requests are as many as there are clients: they have one name together. */
static bool is_inbox(const dxi_trace_span_t *span)
{
    return span->topic_bytes > sizeof INBOX - 1 &&
           memcmp(span->topic, INBOX, sizeof INBOX - 1) == 0;
}

static void put_attributes(dxi_otlp_t *otlp, const dxi_trace_span_t *span, const char *topic,
                           size_t topic_bytes)
{
    const char *const type = OPERATIONS[span->operation].type;
    char text[24];
    put(otlp, "\"attributes\":[{\"key\":\"messaging.system\",\"value\":{\"stringValue\":"
              "\"disruptorx\"}}");
    put_attribute(otlp, "messaging.destination.name", topic, topic_bytes);
    if (is_inbox(span)) {
        put(otlp, ",{\"key\":\"messaging.destination.temporary\",\"value\":{\"boolValue\":true}}");
    }
    put_attribute(otlp, "messaging.operation.name", OPERATIONS[span->operation].name,
                  strlen(OPERATIONS[span->operation].name));
    if (type != NULL) {
        put_attribute(otlp, "messaging.operation.type", type, strlen(type));
    }
    if (span->sequence != 0) {
        const int bytes = snprintf(text, sizeof text, "%" PRIu64, span->sequence);
        put_attribute(otlp, "messaging.message.id", text, (size_t)bytes);
    }
    if (span->placed) {
        const int bytes = snprintf(text, sizeof text, "%u", span->shard);
        put_attribute(otlp, "messaging.destination.partition.id", text, (size_t)bytes);
    }
    put_number(otlp, "messaging.message.body.size", span->bytes);
    if (span->batch_events != 0) {
        put_number(otlp, "messaging.batch.message_count", span->batch_events);
    }
    if (span->attempt != 0) {
        put_number(otlp, "disruptorx.attempt", span->attempt);
    }
    if (span->connection != 0) {
        put_number(otlp, "disruptorx.connection.id", span->connection);
    }
    put(otlp, "]");
}

static void put_status(dxi_otlp_t *otlp, int32_t code)
{
    if (code >= 0) {
        put(otlp, ",\"status\":{}");
        return;
    }
    put(otlp, ",\"status\":{\"code\":2,\"message\":");
    const char *const text = dx_error_text(code);
    put_text(otlp, text, strlen(text));
    put(otlp, "}");
}

static void put_span(dxi_otlp_t *otlp, const dxi_trace_span_t *span)
{
    static const uint8_t NONE[8];
    const bool inbox = is_inbox(span);
    const char *const topic = inbox ? "$inbox" : span->topic;
    const size_t topic_bytes = inbox ? sizeof "$inbox" - 1 : span->topic_bytes;
    char name[16 + DX_FRAME_TOPIC_BYTES_MAX];
    const int name_bytes = snprintf(name, sizeof name, "%s %.*s", OPERATIONS[span->operation].name,
                                    (int)topic_bytes, topic);
    /* A clock that was set back must not make a span that ends before it begins. */
    const int64_t end_ns =
        span->end_unix_ns > span->start_unix_ns ? span->end_unix_ns : span->start_unix_ns;
    put(otlp, "%s{\"traceId\":\"", otlp->spans == 0 ? "" : ",");
    put_hex(otlp, span->trace_id, sizeof span->trace_id);
    put(otlp, "\",\"spanId\":\"");
    put_hex(otlp, span->span_id, sizeof span->span_id);
    if (memcmp(span->parent_id, NONE, sizeof NONE) != 0) {
        put(otlp, "\",\"parentSpanId\":\"");
        put_hex(otlp, span->parent_id, sizeof span->parent_id);
    }
    put(otlp, "\",\"flags\":1,\"name\":"); /* sampled */
    put_text(otlp, name, (size_t)name_bytes);
    put(otlp,
        ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRId64 "\",\"endTimeUnixNano\":\"%" PRId64 "\",",
        span->kind, span->start_unix_ns, end_ns);
    put_attributes(otlp, span, topic, topic_bytes);
    put_status(otlp, span->code);
    put(otlp, "}");
}

/* -------------------------------------------------------------------------------------- request */

void dxi_otlp_begin(dxi_otlp_t *otlp, char *text, size_t room, const char *service,
                    const char *instance)
{
    assert(room >= DXI_OTLP_FRAME_BYTES_MAX + DXI_OTLP_SPAN_BYTES_MAX);
    *otlp = (dxi_otlp_t){.text = text, .room = room};
    put(otlp, "{\"resourceSpans\":[{\"resource\":{\"attributes\":["
              "{\"key\":\"telemetry.sdk.language\",\"value\":{\"stringValue\":\"c\"}}");
    put_attribute(otlp, "telemetry.sdk.name", "disruptorx", 10);
    put_attribute(otlp, "service.name", service, strlen(service));
    put_attribute(otlp, "service.version", DX_VERSION_STRING, strlen(DX_VERSION_STRING));
    put_attribute(otlp, "service.instance.id", instance, strlen(instance));
    put(otlp,
        "]},\"scopeSpans\":[{\"scope\":{\"name\":\"disruptorx\",\"version\":\"%s\"},"
        "\"spans\":[",
        DX_VERSION_STRING);
    assert(otlp->used + sizeof TAIL <= DXI_OTLP_FRAME_BYTES_MAX);
}

bool dxi_otlp_add(dxi_otlp_t *otlp, const dxi_trace_span_t *span)
{
    if (otlp->room - otlp->used < DXI_OTLP_SPAN_BYTES_MAX + sizeof TAIL) {
        return false;
    }
    const size_t before = otlp->used;
    put_span(otlp, span);
    assert(otlp->used - before <= DXI_OTLP_SPAN_BYTES_MAX); /* J1 */
    (void)before;
    otlp->spans++;
    return true;
}

void dxi_otlp_end(dxi_otlp_t *otlp)
{
    put(otlp, TAIL);
}

uint64_t dxi_otlp_rejected(const char *answer, size_t bytes)
{
    json_t *const root = json_loadb(answer, bytes, JSON_REJECT_DUPLICATES, NULL);
    const json_t *const rejected =
        json_object_get(json_object_get(root, "partialSuccess"), "rejectedSpans");
    json_int_t count = 0;
    if (json_is_integer(rejected)) {
        count = json_integer_value(rejected);
    } else if (json_is_string(rejected)) {
        count = strtoll(json_string_value(rejected), NULL, 10);
    }
    json_decref(root);
    return count > 0 ? (uint64_t)count : 0;
}
