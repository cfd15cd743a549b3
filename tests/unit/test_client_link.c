/* test_client_link.c - a client's connection: options, whom it reaches and what it says when it
 * does not, losing and making it again, answers that never come, a node that talks nonsense.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/direct_internal.h"
#include "client/internal.h"
#include "client_test.h"
#include "net/capability.h"

static void options_outside_their_bounds_are_refused(void **state)
{
    (void)state;
    static char long_name[300];
    memset(long_name, 'x', sizeof long_name - 1);
    const struct {
        dx_client_options_t options;
        int code;
        const char *text;
    } table[] = {
        {{.window_bytes = 65535}, DX_EINVAL, "window_bytes is 65535"},
        {{.window_bytes = 32768}, DX_EINVAL, "window_bytes is 32768"},
        {{.window_bytes = 2147483648u}, DX_EINVAL, "window_bytes is 2147483648"},
        {{.window_events = DX_CLIENT_WINDOW_EVENTS_MAX + 1}, DX_EINVAL, "window_events is 1048577"},
        {{.receive_bytes = 65535}, DX_EINVAL, "receive_bytes is 65535"},
        {{.receive_bytes = 16777217}, DX_EINVAL, "receive_bytes is 16777217"},
        {{.timeout_ns = -1}, DX_EINVAL, "timeout_ns is -1"},
        {{.reconnect_min_ns = 2, .reconnect_max_ns = 1}, DX_EINVAL, "reconnect_max_ns is 1"},
        {{.attempts_max = -1}, DX_EINVAL, "attempts_max is -1"},
        {{.reserved = {0, 1}}, DX_EINVAL, "reserved"},
        {{.thread = {.stack_bytes = 1}}, DX_EINVAL, "stack_bytes is 1"},
        {{.name = long_name}, DX_ELIMIT, "name has more than 255 bytes"},
        {{.address = "ftp://x"}, DX_EINVAL, ""},
        {{.address = "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"}, DX_ELIMIT, "more than 16 addresses"},
        {{.address = "tls://127.0.0.1", .tls_authority_file = "/nonexistent/ca"}, DX_ENOTFOUND, ""},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        dx_error_t error = {0};
        dx_client_t *client = (dx_client_t *)&error;
        assert_fails(dx_client_connect(&table[i].options, &client, &error), table[i].code, error,
                     table[i].text);
        assert_null(client);
    }
    assert_ok(dx_client_close(NULL, 0));
}

static void the_largest_values_are_accepted(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    const dx_client_options_t table[] = {
        {.window_bytes = 65536, .window_events = 1, .receive_bytes = 65536},
        {.window_bytes = DX_CLIENT_WINDOW_BYTES_MAX, .window_events = DX_CLIENT_WINDOW_EVENTS_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        dx_client_t *client = client_open(node, table[i]);
        dx_error_t error = {0};
        dx_receipt_t receipt;
        const dx_message_t m = message("t", "x");
        assert_ok(dx_client_publish_wait(client, &m, &receipt, &error));
        assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    }
    node_end(node);
}

static void nobody_there_is_said_as_a_sentence(void **state)
{
    (void)state;
    node_t *node = node_make();
    dx_error_t error = {0};
    dx_client_t *client = NULL;
    const dx_client_options_t options = {.address = node->address};
    char text[DXI_ADDRESS_TEXT_MAX + 32];
    (void)snprintf(text, sizeof text, "nobody answers at %s: ", node->address);
    assert_fails(dx_client_connect(&options, &client, &error), DX_EIO, error, text);

    /* A port that was free a moment ago. */
    dxi_loop_t *loop = NULL;
    dxi_listener_t *listener = NULL;
    dxi_address_t address;
    assert_ok(dxi_loop_create(&(dxi_loop_options_t){.name = "x"}, &loop, &error));
    assert_ok(dxi_address_parse("tcp://127.0.0.1:0", &address, &error));
    const dxi_listener_options_t listening = {
        .events = {.on_frame = node_on_frame, .on_open = node_on_open, .on_close = node_on_close}};
    assert_ok(dxi_listener_create(loop, &address, &listening, &listener, &error));
    dxi_address_format(dxi_listener_address(listener), text);
    dxi_listener_close(listener);
    dxi_loop_destroy(loop);
    const dx_client_options_t tcp = {.address = text};
    char sentence[300];
    (void)snprintf(sentence, sizeof sentence, "nobody answers at %.200s: Connection refused", text);
    assert_fails(dx_client_connect(&tcp, &client, &error), DX_EIO, error, sentence);
    node_end(node);
}

static void the_next_address_is_tried(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    char addresses[400];
    (void)snprintf(addresses, sizeof addresses, "unix://%s/nobody,%s", node->folder, node->address);
    dx_client_t *client = client_open(node, (dx_client_options_t){.address = addresses});
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_string_equal(stats.address, node->address);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

/* A socket that accepts and says nothing. */
/* Takes a connection, and closes it when the other side has. */
static void *silent_run(void *context)
{
    const int fd = accept(*(const int *)context, NULL, NULL);
    char byte = 0;
    while (fd >= 0 && recv(fd, &byte, 1, 0) > 0) {
    }
    (void)close(fd);
    return NULL;
}

static void a_node_that_says_nothing_is_given_up(void **state)
{
    (void)state;
    node_t *node = node_make();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", node->path);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, silent_run, (void *)(uintptr_t)&fd), 0);
    dx_error_t error = {0};
    dx_client_t *client = NULL;
    const dx_client_options_t options = {.address = node->address,
                                         .connect_timeout_ns = 20 * DX_NS_PER_MS};
    assert_fails(dx_client_connect(&options, &client, &error), DX_ETIMEDOUT, error, "20 ms");
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)close(fd);
    node_end(node);
}

static void a_wrong_token_is_not_permitted(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->want_token = true;
    node_start(node);
    dx_error_t error = {0};
    dx_client_t *client = NULL;
    const dx_client_options_t wrong = {.address = node->address, .token = "open barley"};
    assert_fails(dx_client_connect(&wrong, &client, &error), DX_EPERM, error, "");
    client = client_open(node, (dx_client_options_t){.token = "open sesame"});
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

typedef struct states {
    dx_atomic64_t count;
    dx_client_state_t seen[64];
    int codes[64];
} states_t;

static void on_state(void *context, dx_client_state_t state, int code, const char *sentence)
{
    states_t *const states = context;
    assert_non_null(sentence);
    const int64_t at = number(&states->count);
    if (at < 64) {
        states->seen[at] = state;
        states->codes[at] = code;
    }
    count(&states->count);
}

static void a_client_that_connects_later_keeps_what_is_published(void **state)
{
    (void)state;
    node_t *node = node_make();
    states_t states = {0};
    dx_client_t *client = client_open(
        node,
        (dx_client_options_t){.connect_later = true, .on_state = on_state, .context = &states});
    dx_error_t error = {0};
    receipts_t receipts = {0};
    const dx_message_t m = message("t", "x");
    assert_ok(dx_client_publish(client, &m, &error));
    assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
    assert_int_equal(number(&node->publications), 0);
    node_start(node);
    wait_until(number(&receipts.count) == 1);
    assert_int_equal(number(&node->publications), 2);
    assert_int_equal(states.seen[0], DX_CLIENT_CONNECTING);
    assert_int_equal(states.seen[1], DX_CLIENT_CONNECTED);
    node_do(node, node_cut);
    wait_until(number(&states.count) >= 4);
    assert_int_equal(states.seen[2], DX_CLIENT_CONNECTING);
    assert_true(states.codes[2] < 0);
    assert_int_equal(states.seen[3], DX_CLIENT_CONNECTED);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    assert_int_equal(states.seen[number(&states.count) - 1], DX_CLIENT_CLOSED);
    node_end(node);
}

static void always_cut(void *context, dx_client_state_t state, int code, const char *sentence)
{
    node_t *const node = *(node_t **)context;
    (void)code;
    (void)sentence;
    if (state == DX_CLIENT_CONNECTED) {
        node_do(node, node_cut);
    }
}

/* A node that ends each connection as soon as it is open is not asked as fast as it answers. The
 * pauses are at least half of 40, 80, 160 and 160 ms. */
static void who_is_always_sent_away_comes_less_often(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    const int64_t begun_ns = dx_clock_ns();
    dx_client_t *client =
        client_open(node, (dx_client_options_t){.reconnect_min_ns = 40 * DX_NS_PER_MS,
                                                .reconnect_max_ns = 160 * DX_NS_PER_MS,
                                                .on_state = always_cut,
                                                .context = &node});
    wait_until(number(&node->opened) >= 5);
    assert_true(dx_clock_ns() - begun_ns >= (20 + 40 + 80 + 80) * DX_NS_PER_MS);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void a_client_gives_up_after_its_attempts(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->mute = true;
    node_start(node);
    states_t states = {0};
    dx_client_t *client = client_open(
        node, (dx_client_options_t){.attempts_max = 3, .on_state = on_state, .context = &states});
    dx_error_t error = {0};
    receipts_t receipts = {0};
    const dx_message_t m = message("t", "x");
    assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
    wait_until(number(&node->publications) == 1);
    node_do(node, node_deafen);
    node_do(node, node_cut);
    wait_until(number(&receipts.closed) == 1);
    assert_fails(dx_client_publish(client, &m, &error), DX_ECLOSED, error, "nobody answers");
    assert_fails(dx_client_publish_batch(client, &m, 1, &error), DX_ECLOSED, error, "given up");
    assert_fails(dx_client_flush(client, 0, &error), DX_ECLOSED, error, "given up");
    assert_fails(dx_client_topic_delete(client, "t", &error), DX_ECLOSED, error, "given up");
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.state, DX_CLIENT_CLOSED);
    assert_int_equal(states.seen[number(&states.count) - 1], DX_CLIENT_CLOSED);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static node_t *other_node;

static void send_moved(void *context)
{
    node_t *const node = context;
    const dx_frame_part_t part = dx_frame_part_text(DX_PART_ADDRESS, other_node->address);
    node_send(node, &(dx_frame_draft_t){.type = DX_FRAME_MOVED, .parts = &part, .part_count = 1},
              NULL);
}

static void a_client_follows_to_the_node_that_is_named(void **state)
{
    (void)state;
    node_t *node = node_make();
    other_node = node_make();
    node->mute = true;
    node_start(node);
    node_start(other_node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    receipts_t receipts = {0};
    const dx_message_t m = message("t", "x");
    assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
    wait_until(number(&node->publications) == 1);
    node_do(node, send_moved);
    wait_until(number(&receipts.count) == 1);
    assert_int_equal(other_node->taken, 1);
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_string_equal(stats.address, other_node->address);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
    node_end(other_node);
}

/* Frames that a node has no reason to send. */
static void send_nonsense(void *context)
{
    node_t *const node = context;
    const uint64_t unknown = 12345;
    const dx_frame_code_t code = {.code = 7};
    const dx_frame_range_t range = {.first = 9, .last = 3};
    const uint64_t many = UINT64_MAX;
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "t");
    const dx_frame_part_t subscription = dx_frame_part_of(DX_PART_SUBSCRIPTION, &unknown, 8);
    const dx_frame_part_t ranged = dx_frame_part_of(DX_PART_RANGE, &range, sizeof range);
    const dx_frame_part_t correlation = dx_frame_part_of(DX_PART_CORRELATION, &unknown, 8);
    const dx_frame_part_t coded = dx_frame_part_of(DX_PART_CODE, &code, sizeof code);
    const dx_frame_part_t counted = dx_frame_part_of(DX_PART_COUNT, &many, 8);
    const dx_frame_part_t gap[] = {subscription, ranged};
    const dx_frame_part_t refusal[] = {correlation, coded};
    const dx_frame_part_t end[] = {subscription, coded};
    const dx_frame_part_t deliver[] = {subscription, counted};
    const dx_frame_draft_t drafts[] = {
        {.type = DX_FRAME_EVENT, .parts = &topic, .part_count = 1, .sequence = 1},
        {.type = DX_FRAME_GAP, .parts = gap, .part_count = 2},
        {.type = DX_FRAME_ACK},
        {.type = DX_FRAME_ACK, .producer_id = 4711},
        {.type = DX_FRAME_ACK, .producer_id = 4711, .producer_sequence = UINT64_MAX},
        {.type = DX_FRAME_ACK,
         .producer_id = 4711,
         .producer_sequence = 3,
         .parts = &ranged,
         .part_count = 1},
        {.type = DX_FRAME_NACK, .parts = refusal, .part_count = 2},
        {.type = DX_FRAME_NACK, .parts = end, .part_count = 2},
        {.type = DX_FRAME_ERROR, .parts = &coded, .part_count = 1},
        {.type = DX_FRAME_ANSWER, .parts = &correlation, .part_count = 1},
        {.type = DX_FRAME_TOPIC_INFO},
        {.type = DX_FRAME_SUBSCRIBE,
         .parts = (dx_frame_part_t[]){topic, subscription},
         .part_count = 2},
        {.type = DX_FRAME_DELIVER, .parts = deliver, .part_count = 2},
        {.type = DX_FRAME_DELIVER, .parts = deliver, .part_count = 2},
        {.type = DX_FRAME_EVENT, .parts = &topic, .part_count = 1, .sequence = 1},
    };
    for (size_t i = 0; i < COUNT_OF(drafts); i++) {
        node_send(node, &drafts[i], NULL);
    }
}

static void a_node_that_talks_nonsense_does_no_harm(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){.producer_id = 4711});
    dx_error_t error = {0};
    dx_receipt_t receipt;
    const dx_message_t m = message("t", "x");
    node_do(node, send_nonsense);
    assert_ok(dx_client_publish_wait(client, &m, &receipt, &error));
    assert_int_equal(receipt.sequence, 1);
    /* EVENT without DELIVER, SUBSCRIBE, the second DELIVER: each was refused, none ended it. */
    wait_until(node_got(node, DX_FRAME_ERROR, 2) != NULL);
    assert_int_equal(number(&node->opened), 1);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void who_waits_in_vain_is_told_why_there_is_no_connection(void **state)
{
    (void)state;
    node_t *node = node_make(); /* it answers no questions */
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){.timeout_ns = 20000000});
    dx_error_t error = {0};
    char answer[64];
    assert_fails(dx_client_ask(client, "node", NULL, answer, sizeof answer, &error), DX_ETIMEDOUT,
                 error, "there was no answer in time");
    assert_null(strstr(error.message, "meanwhile"));
    node_do(node, node_deafen);
    node_do(node, node_cut);
    dx_client_stats_t stats = {.state = DX_CLIENT_CONNECTED};
    while (stats.state != DX_CLIENT_CONNECTING) {
        dx_client_stats(client, &stats);
    }
    assert_fails(dx_client_ask(client, "node", NULL, answer, sizeof answer, &error), DX_ETIMEDOUT,
                 error, "there was no answer in time; meanwhile: ");
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void send_garbage(void *context)
{
    node_t *const node = context;
    char *const room = dxi_connection_claim(node->connection, 64);
    memset(room, 0x5a, 64);
    dxi_connection_commit(node->connection, 64);
}

static void bytes_that_are_no_frame_end_the_connection_and_it_is_made_again(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    dx_receipt_t receipt;
    const dx_message_t m = message("t", "x");
    node_do(node, send_garbage);
    wait_until(number(&node->opened) == 2);
    assert_ok(dx_client_publish_wait(client, &m, &receipt, &error));
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.reconnects, 1);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void calls_without_an_answer_end_at_their_deadline(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->deaf = true;
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){.timeout_ns = DX_NS_PER_MS});
    dx_error_t error = {0};
    dx_topic_stats_t topic;
    char text[64];
    char data[8];
    size_t bytes = sizeof data;
    const dx_message_t m = message("t", "x");
    dx_client_subscription_t *subscription = NULL;
    const dx_subscription_options_t options = {.pattern = "t",
                                               .on_event = (dx_event_fn)(void (*)(void))on_receipt};
    assert_fails(dx_client_topic_create(client, "t", NULL, &error), DX_ETIMEDOUT, error, "");
    assert_fails(dx_client_topic_stats(client, "t", &topic, &error), DX_ETIMEDOUT, error, "");
    assert_fails(dx_client_ask(client, "node", NULL, text, sizeof text, &error), DX_ETIMEDOUT,
                 error, "");
    assert_fails(dx_client_request(client, &m, 0, data, &bytes, &error), DX_ETIMEDOUT, error,
                 "request to t");
    assert_fails(dx_client_subscribe(client, &options, &subscription, &error), DX_ETIMEDOUT, error,
                 "subscribing to t");
    assert_null(subscription);
    /* The request still waits for its inbox. */
    assert_int_equal(dx_client_close(client, 0), DX_ETIMEDOUT);
    node_end(node);
}

/* Whether a topic is direct is asked first: that is no second call with time of its own. */
static void a_node_that_does_not_answer_is_not_asked_twice(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->deaf = true;
    node->capabilities = DXI_CAPABILITY_DIRECT;
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){.timeout_ns = 50 * DX_NS_PER_MS});
    dx_error_t error = {0};
    dx_client_subscription_t *subscription = NULL;
    for (int poll = 0; poll <= 1; poll++) {
        const dx_subscription_options_t options = {
            .pattern = "t",
            .on_event = (dx_event_fn)(void (*)(void))on_receipt,
            .dispatch = poll == 0 ? DX_DISPATCH_THREAD : DX_DISPATCH_POLL};
        assert_fails(dx_client_subscribe(client, &options, &subscription, &error), DX_ETIMEDOUT,
                     error, "no answer in time");
        wait_until(node_got(node, DX_FRAME_ASK, poll) != NULL);
    }
    (void)dx_client_close(client, DX_NS_PER_MS);
    assert_null(node_got(node, DX_FRAME_SUBSCRIBE, 0));
    node_end(node);
}

/* Nor has a publication time for the ring and as much for its receipt. Who is slow for another
 * reason is given another try; with two deadlines none would be in time. */
static void a_first_publication_has_one_deadline(void **state)
{
    (void)state;
    const int64_t timeout_ns = 50 * DX_NS_PER_MS;
    const dx_message_t message = {.topic = "t", .data = "x", .bytes = 1};
    for (int known = 0; known <= 1; known++) {
        node_t *node = node_make();
        node->deaf = true;
        node->capabilities = DXI_CAPABILITY_DIRECT;
        node_start(node);
        int64_t took_ns = INT64_MAX;
        for (int i = 0; i < 100 && took_ns >= 2 * timeout_ns; i++) {
            dx_client_t *client =
                client_open(node, (dx_client_options_t){.timeout_ns = timeout_ns});
            dxi_directs_t *directs = &client->directs;
            if (known != 0) { /* that it is direct, but not where its ring is */
                dxi_direct_know(client, "t");
                dx_store_release(&directs->listed, dx_load_relaxed(&directs->generation));
            }
            const int64_t begun_ns = dx_clock_ns();
            assert_int_equal(dx_client_publish_wait(client, &message, NULL, NULL), DX_ETIMEDOUT);
            took_ns = dx_clock_ns() - begun_ns;
            (void)dx_client_close(client, DX_NS_PER_MS);
        }
        assert_true(took_ns < 2 * timeout_ns);
        assert_non_null(node_got(node, DX_FRAME_ASK, 0));
        node_end(node);
    }
}

static void hold(void *context)
{
    const dx_atomic32_t *const until = context;
    while (dx_load32_acquire(until) == 0) {
        (void)usleep(200);
    }
}

/* What a call is about is freed by who gave it up; the client's thread must not find it later. */
static void a_call_that_was_given_up_is_not_begun(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    static dx_atomic32_t released;
    dx_store32_relaxed(&released, 0);
    static dxi_task_t task = {.run = hold, .context = &released};
    dxi_loop_post(client->loop, &task);
    dx_error_t error = {0};
    dxi_call_t *call = NULL;
    assert_ok(dxi_call_open(client, DXI_CALL_SUBSCRIBE, &call, &error));
    dxi_call_submit(client, call);
    const int code = dxi_call_wait(client, call, dx_clock_ns(), &error);
    const bool queued = call->queued;
    dxi_call_close(client, call);
    dx_store32_release(&released, 1);
    assert_int_equal(code, DX_ETIMEDOUT);
    assert_false(queued);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

#if DX_TEST_HOOKS
static node_t *sweep_node;

static int connect_once(void)
{
    dx_error_t error = {0};
    dx_client_t *client = NULL;
    const dx_client_options_t options = {.address = sweep_node->address,
                                         .name = "sweep",
                                         .token = "t",
                                         .window_bytes = 65536,
                                         .window_events = 16};
    const int code = dx_client_connect(&options, &client, &error);
    if (code == DX_OK) {
        assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    } else if (error.message[0] == 0) {
        fail_msg("%s without a sentence", dx_error_name(code));
    }
    wait_until(number(&sweep_node->opened) == number(&sweep_node->closed));
    return code;
}
#endif

/* Every allocation, mapping, thread and socket of the client fails once. The node takes part in the
 * same process, so it is started before the count of what lives. */
static void whatever_fails_while_connecting_leaves_nothing(void **state)
{
    (void)state;
#if DX_TEST_HOOKS
    sweep_node = node_make();
    node_start(sweep_node);
    assert_int_equal(connect_once(), DX_OK);
    int64_t live_least = dxi_live_count();
    for (int64_t n = 0;; n++) {
        dxi_fault_arm(n);
        const int code = connect_once();
        const char *const fired = dxi_fault_fired();
        dxi_fault_disarm();
        /* The node frees its side a little later; that of the first one, too. */
        wait_until(dxi_live_count() <= live_least);
        live_least = dxi_live_count();
        if (fired == NULL) {
            assert_int_equal(code, DX_OK);
            break;
        }
    }
    node_end(sweep_node);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_outside_their_bounds_are_refused),
        cmocka_unit_test(the_largest_values_are_accepted),
        cmocka_unit_test(nobody_there_is_said_as_a_sentence),
        cmocka_unit_test(the_next_address_is_tried),
        cmocka_unit_test(a_node_that_says_nothing_is_given_up),
        cmocka_unit_test(a_wrong_token_is_not_permitted),
        cmocka_unit_test(a_client_that_connects_later_keeps_what_is_published),
        cmocka_unit_test(who_is_always_sent_away_comes_less_often),
        cmocka_unit_test(a_client_gives_up_after_its_attempts),
        cmocka_unit_test(a_client_follows_to_the_node_that_is_named),
        cmocka_unit_test(a_node_that_talks_nonsense_does_no_harm),
        cmocka_unit_test(who_waits_in_vain_is_told_why_there_is_no_connection),
        cmocka_unit_test(bytes_that_are_no_frame_end_the_connection_and_it_is_made_again),
        cmocka_unit_test(calls_without_an_answer_end_at_their_deadline),
        cmocka_unit_test(a_node_that_does_not_answer_is_not_asked_twice),
        cmocka_unit_test(a_first_publication_has_one_deadline),
        cmocka_unit_test(a_call_that_was_given_up_is_not_begun),
        cmocka_unit_test(whatever_fails_while_connecting_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
