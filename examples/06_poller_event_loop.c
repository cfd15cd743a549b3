/* 06_poller_event_loop.c - a ring inside a poll(2) loop that also serves other descriptors.
 *
 * Teaches: dx_group_then_poller() gives a consumer to a thread of your own; dx_consumer_drain()
 * handles what is there and never waits; a small handler rings an eventfd so that the loop can
 * sleep in poll(2). Shutdown by the thread that drives a poller: with a timeout of 0, in turns.
 *
 * The bell stands beside the poller, not before it: when it rings, its events are published, so
 * what the poller follows is there. Were the poller behind it, it could look too early and sleep.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <disruptorx/disruptor.h>

#define MESSAGES 5000
#define TURN_MAX 64 /* events handled before the loop looks at the other descriptors */

typedef struct message {
    int64_t number;
} message_t;

typedef struct source {
    dx_ring_t *ring;
    int done_fd; /* where it says that it is done */
    int code;
} source_t;

typedef struct inbox {
    int64_t messages;
    int64_t sum;
} inbox_t;

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "06_poller_event_loop: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

/* Wakes the loop, once per batch. The counter of an eventfd keeps what nobody reads yet. */
static int ring_bell(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    const int *fd = context;
    (void)event, (void)sequence;
    return !end_of_batch || eventfd_write(*fd, 1) == 0 ? DX_HANDLER_CONTINUE : DX_EIO;
}

/* Called by dx_consumer_drain() in the loop's thread: DX_OK = next one. */
static int on_message(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    inbox_t *inbox = context;
    const message_t *message = event;
    (void)sequence, (void)end_of_batch;
    inbox->messages++;
    inbox->sum += message->number;
    return DX_OK;
}

static void run_source(void *context)
{
    source_t *source = context;
    dx_producer_t producer;
    source->code = dx_producer_open(&producer, source->ring, NULL, NULL);
    for (int64_t number = 1; number <= MESSAGES && source->code == DX_OK; number++) {
        const message_t message = {.number = number};
        const int64_t sequence = dx_producer_publish_copy(&producer, &message, sizeof(message));
        source->code = sequence < 0 ? (int)sequence : DX_OK;
    }
    dx_producer_close(&producer);
    (void)eventfd_write(source->done_fd, 1);
}

/* Serves both descriptors until the source is done. */
static void run_loop(dx_consumer_t *poller, inbox_t *inbox, int bell_fd, int done_fd)
{
    struct pollfd fds[] = {{.fd = bell_fd, .events = POLLIN}, {.fd = done_fd, .events = POLLIN}};
    int state = DX_POLL_IDLE;
    for (;;) {
        /* Sleep only when nothing is left; else just look at the descriptors. */
        require(poll(fds, 2, state == DX_POLL_PROCESSING ? 0 : -1) >= 0, "poll failed");
        if ((fds[1].revents & POLLIN) != 0) {
            return;
        }
        eventfd_t rings = 0;
        if ((fds[0].revents & POLLIN) != 0) {
            (void)eventfd_read(bell_fd, &rings); /* before the look at the ring, not after it */
        }
        state = dx_consumer_drain(poller, on_message, inbox, TURN_MAX);
        require(state >= 0, dx_error_text(state));
    }
}

int main(void)
{
    int bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const int done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    require(bell_fd >= 0 && done_fd >= 0, "no eventfd can be made");

    dx_disruptor_t *disruptor = NULL;
    dx_consumer_t *poller = NULL; /* belongs to the disruptor */
    const dx_disruptor_options_t options = {
        .ring = {.slot_count = 256, .event_bytes = sizeof(message_t)}};
    const dx_handler_t bell = {.name = "bell",
                               .context = &bell_fd,
                               .on_event = ring_bell,
                               .wait = {.kind = DX_WAIT_BLOCKING}};
    must(dx_disruptor_create(&options, &disruptor, &error));
    must(dx_disruptor_handle_events_with(disruptor, &bell, 1, NULL, &error));
    must(dx_group_then_poller((dx_group_t){.disruptor = disruptor}, NULL, &poller, NULL, &error));
    must(dx_disruptor_start(disruptor, &error));

    source_t source = {.ring = dx_disruptor_ring(disruptor), .done_fd = done_fd};
    dx_thread_t *thread = NULL;
    inbox_t inbox = {0};
    must(dx_thread_start(NULL, run_source, &source, &thread, &error));
    run_loop(poller, &inbox, bell_fd, done_fd);
    (void)dx_thread_join(thread);
    must(source.code);

    /* Shutdown waits for the poller, too, and we are the one who drives it. */
    int code = DX_ETIMEDOUT;
    while ((code = dx_disruptor_shutdown(disruptor, 0, &error)) == DX_ETIMEDOUT) {
        require(dx_consumer_drain(poller, on_message, &inbox, 0) >= 0, "draining failed");
    }
    must(code);
    dx_disruptor_destroy(disruptor);
    (void)close(bell_fd);
    (void)close(done_fd);
    require(inbox.messages == MESSAGES, "a message was lost or came twice");
    require(inbox.sum == (int64_t)MESSAGES * (MESSAGES + 1) / 2, "a message was damaged");
    printf("%" PRId64 " messages handled between poll(2) calls\n", inbox.messages);
    return 0;
}
