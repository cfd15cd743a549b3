/* 24_trace.c - where one event spends its time: trace contexts, and spans for a collector.
 *
 * Teaches: a tracer for a bus; the context of an event as text, as HTTP carries it; what a handler
 * publishes is a part of the trace; changing the sample; what becomes of spans without a collector.
 *
 *     24_trace [http://host:port]     a collector of OpenTelemetry; it need not be there
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/atomic.h>
#include <disruptorx/bus.h>
#include <disruptorx/clock.h>
#include <disruptorx/trace.h>

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "24_trace: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

static dx_publisher_t *answers; /* of the handler's thread */
static dx_atomic32_t paid;
static dx_frame_trace_t last; /* of the handler of payments, before `paid` */

/* An order comes, and is paid: the payment belongs to the trace of the order. */
static int on_order(void *context, const dx_event_t *event)
{
    (void)context;
    dx_frame_trace_t here;
    if (dx_trace_current(&here) == DX_OK) { /* for spans of our own, below the handler's */
        char text[DX_TRACE_TEXT_BYTES];
        dx_trace_format(&here, text);
        fprintf(stderr, "order %llu is handled in %s\n", (unsigned long long)event->sequence, text);
    }
    return dx_publish(answers, &(dx_message_t){.topic = "payments.done"}, NULL);
}

static int on_payment(void *context, const dx_event_t *event)
{
    (void)context;
    (void)event;
    if (dx_trace_current(&last) != DX_OK) {
        memset(&last, 0, sizeof last);
    }
    dx_store32_release(&paid, 1); /* pairs with the load in await_payment() */
    return DX_OK;
}

static void await_payment(void)
{
    const int64_t deadline_ns = dx_clock_ns() + 10 * DX_NS_PER_S;
    while (dx_load32_acquire(&paid) == 0) {
        require(dx_clock_ns() < deadline_ns, "there is no payment");
    }
    dx_store32_relaxed(&paid, 0);
}

int main(int argc, char **argv)
{
    /* As a web server may have got it with a request. */
    static const char traceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    dx_tracer_t *tracer = NULL;
    dx_bus_t *bus = NULL;
    dx_publisher_t *publisher = NULL;
    dx_subscription_t *orders = NULL, *payments = NULL;

    must(dx_tracer_create(
        &(dx_tracer_options_t){.endpoint = argc > 1 ? argv[1] : "http://127.0.0.1:4318",
                               .service_name = "shop",
                               .sample = DX_TRACE_NEVER, /* but those that say so */
                               .interval_ns = 20 * DX_NS_PER_MS},
        &tracer, &error));
    must(dx_bus_create(&(dx_bus_options_t){.loops = 1, .tracer = tracer}, &bus, &error));
    must(dx_bus_start(bus, &error));
    must(dx_publisher_open(bus, NULL, &publisher, &error));
    must(dx_publisher_open(bus, NULL, &answers, &error));
    must(dx_bus_on(bus, "orders.*", on_order, NULL, &orders, &error));
    must(dx_bus_on(bus, "payments.*", on_payment, NULL, &payments, &error));

    /* A publisher that knows the trace of its event. */
    dx_frame_trace_t trace;
    must(dx_trace_parse(traceparent, strlen(traceparent), &trace, &error));
    must(dx_publish(publisher, &(dx_message_t){.topic = "orders.new", .trace = &trace}, &error));
    await_payment();
    require(memcmp(last.trace_id, trace.trace_id, sizeof last.trace_id) == 0,
            "the payment is not in the trace of its order");
    printf("the payment is in the trace of its order\n");

    /* One that begins a trace of its own; and one that leaves the choice to the sample. */
    dx_trace_make(&trace);
    must(dx_publish(publisher, &(dx_message_t){.topic = "orders.new", .trace = &trace}, &error));
    await_payment();
    must(dx_tracer_set_sample(tracer, 1, &error)); /* each event from now on */
    must(dx_tracer_set_headers(tracer, "authorization=Bearer abc", &error));
    must(dx_publish(publisher, &(dx_message_t){.topic = "orders.new"}, &error));
    await_payment();

    must(dx_subscription_close(orders, DX_NS_PER_S));
    must(dx_subscription_close(payments, DX_NS_PER_S));
    dx_publisher_close(publisher);
    dx_publisher_close(answers);
    must(dx_bus_stop(bus, 10 * DX_NS_PER_S, &error));
    dx_bus_destroy(bus);

    const int flushed = dx_tracer_flush(tracer, argc > 1 ? DX_NS_PER_S : 100 * DX_NS_PER_MS);
    dx_tracer_stats_t stats;
    dx_tracer_stats(tracer, &stats);
    /* Three orders and three payments: publish, queue, deliver and handle of each. */
    printf("%llu spans were recorded, %llu dropped\n", (unsigned long long)stats.recorded,
           (unsigned long long)stats.dropped);
    fprintf(stderr, "%llu are with the collector%s\n", (unsigned long long)stats.exported,
            flushed == DX_OK ? "" : ", which is not there or slow");
    require(stats.recorded == 24 && stats.dropped == 0, "spans are missing");
    dx_tracer_destroy(tracer, 0);
    return 0;
}
