/* clients.c - clients of a node over shared memory are killed and stopped at random, under load.
 *
 *     crash_clients                 a second or two: a part of `make test`
 *     DX_CRASH_KILLS=1000           as many deaths
 *     DX_CRASH_SEED=12345           begins with this seed
 *
 * DESIGN
 *
 * This process is the node. It starts clients, programs of their own that connect as shm://,
 * publish, subscribe, or do both as fast as they can, and kills -9 one after the other; some it
 * stops for a while before. Each event says whose it is and which. A client notes in memory that
 * outlives it which of its events the node has acknowledged.
 *
 * A steady client of this process, over shared memory as well, subscribes to everything. It must
 * get, of each client that ever was, its events in order without a gap, and all that were
 * acknowledged; and its own as well, whatever happens to the others. In the end the node has no
 * connection but the steady one, and as many descriptors as before.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disruptorx/atomic.h"
#include "disruptorx/client.h"
#include "disruptorx/clock.h"
#include "disruptorx/node.h"

#define KILLS_DEFAULT 40
#define KILLS_MAX 100000
#define CLIENTS 4
#define PATIENCE_NS (60 * DX_NS_PER_S)
#define PAUSE_MAX_US 12000
#define BURST 32

/* What outlives a client: how many of its events were acknowledged, by its number. */
typedef struct journal {
    dx_atomic64_t acknowledged[KILLS_MAX];
} journal_t;

typedef struct event {
    int64_t id;
    int64_t number; /* from 1 */
    uint64_t check;
} event_t;

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static event_t event_of(int64_t id, int64_t number)
{
    uint64_t state = (uint64_t)id << 40 ^ (uint64_t)number;
    return (event_t){.id = id, .number = number, .check = next_random(&state)};
}

__attribute__((noreturn, format(printf, 1, 2))) static void broken(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("crash_clients: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void check(int code, const dx_error_t *error, const char *what)
{
    if (code < 0) {
        broken("%s: %s: %s", what, dx_error_name(code), error->message);
    }
}

/* ----------------------------------------------------------------------------------- the client */

static int ignore(void *context, const dx_event_t *event)
{
    uint64_t *const random = context;
    (void)event;
    if (next_random(random) % 4096 == 0) {
        (void)usleep(2000); /* now and then it is slow: the ring is full */
    }
    return DX_OK;
}

/* Runs until it is killed. */
static int client_main(const char *address, int journal_fd, int64_t id)
{
    journal_t *const journal =
        mmap(NULL, sizeof *journal, PROT_READ | PROT_WRITE, MAP_SHARED, journal_fd, 0);
    dx_client_t *client = NULL;
    dx_error_t error = {0};
    uint64_t random = (uint64_t)id;
    if (journal == MAP_FAILED) {
        return 2;
    }
    check(dx_client_connect(&(dx_client_options_t){.address = address, .window_bytes = 65536},
                            &client, &error),
          &error, "connecting");
    if (id % 3 != 0) {
        dx_client_subscription_t *subscription = NULL;
        check(dx_client_subscribe(client,
                                  &(dx_subscription_options_t){
                                      .pattern = "storm.*", .on_event = ignore, .context = &random},
                                  &subscription, &error),
              &error, "subscribing");
    }
    char topic[32];
    (void)snprintf(topic, sizeof topic, "storm.%d", (int)(id % CLIENTS));
    for (int64_t number = 1;; number++) {
        const event_t event = event_of(id, number);
        const dx_message_t message = {.topic = topic, .data = &event, .bytes = sizeof event};
        if (number % BURST != 0) {
            check(dx_client_publish(client, &message, &error), &error, "publishing");
            continue;
        }
        dx_receipt_t receipt;
        check(dx_client_publish_wait(client, &message, &receipt, &error), &error, "publishing");
        dx_store_release(&journal->acknowledged[id], number);
    }
}

/* ------------------------------------------------------------------------------------- the node */

typedef struct storm {
    const char *program;
    char folder[64];
    char address[96];
    int journal_fd;
    journal_t *journal;
    dx_node_t *node;
    dx_client_t *steady;
    dx_atomic64_t *seen; /* by the number of the client: its last event */
    pid_t pids[CLIENTS];
    int64_t next_id;
    uint64_t random;
} storm_t;

static storm_t storm;

static int on_event(void *context, const dx_event_t *event)
{
    (void)context;
    event_t got;
    if (event->bytes != sizeof got) {
        broken("an event of %u bytes", event->bytes);
    }
    memcpy(&got, event->data, sizeof got);
    const event_t expected = event_of(got.id, dx_load_relaxed(&storm.seen[got.id]) + 1);
    if (got.number != expected.number || got.check != expected.check) {
        broken("of client %lld event %lld came where %lld belongs", (long long)got.id,
               (long long)got.number, (long long)expected.number);
    }
    dx_store_release(&storm.seen[got.id], got.number);
    return DX_OK;
}

static void put(dx_config_t *config, const char *name, const char *value)
{
    dx_error_t error = {0};
    check(dx_config_set(config, name, value, &error), &error, name);
}

static void node_begin(void)
{
    dx_config_t *config = NULL;
    dx_error_t error = {0};
    char path[80];
    (void)snprintf(storm.folder, sizeof storm.folder, "/tmp/dx-crash-XXXXXX");
    if (mkdtemp(storm.folder) == NULL) {
        broken("no folder");
    }
    (void)snprintf(path, sizeof path, "%s/s", storm.folder);
    (void)snprintf(storm.address, sizeof storm.address, "shm://%s", path);
    check(dx_config_create(&config, &error), &error, "configuring");
    put(config, "listen.addresses", path);
    put(config, "bus.shards", "2");
    put(config, "bus.loops", "2");
    put(config, "local.ring_bytes", "64Ki");
    put(config, "log.level", "off");
    check(dx_node_create(config, &storm.node, &error), &error, "making a node");
    check(dx_node_start(storm.node, &error), &error, "starting a node");
    dx_config_destroy(config);
    check(dx_client_connect(
              &(dx_client_options_t){.address = storm.address, .timeout_ns = PATIENCE_NS},
              &storm.steady, &error),
          &error, "connecting");
    dx_client_subscription_t *subscription = NULL;
    check(dx_client_subscribe(storm.steady,
                              &(dx_subscription_options_t){.pattern = "storm.*",
                                                           .on_event = on_event,
                                                           .slow = DX_SLOW_BLOCK,
                                                           .slow_block_ns = PATIENCE_NS},
                              &subscription, &error),
          &error, "subscribing");
}

static void client_start(int place)
{
    char descriptor[16];
    char id[24];
    (void)snprintf(descriptor, sizeof descriptor, "%d", storm.journal_fd);
    (void)snprintf(id, sizeof id, "%lld", (long long)storm.next_id++);
    storm.pids[place] = fork();
    if (storm.pids[place] == 0) {
        (void)execl(storm.program, storm.program, storm.address, descriptor, id, (char *)NULL);
        _exit(2);
    }
}

/* One that ends by itself has found something wrong, and said it. */
static void client_kill(int place)
{
    int status = 0;
    const pid_t pid = storm.pids[place];
    if (waitpid(pid, &status, WNOHANG) != 0) {
        broken("a client has ended by itself");
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
}

static int descriptors_open(void)
{
    int count = 0;
    DIR *const folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

static uint32_t connections(void)
{
    dx_node_info_t info;
    check(dx_node_info(storm.node, &info, NULL), &(dx_error_t){0}, "asking the node");
    return info.connections;
}

/* Publishes an event of ours, which must be acknowledged whatever happens to the others. */
static void steady_publish(int64_t number)
{
    dx_error_t error = {0};
    dx_receipt_t receipt;
    const event_t event = event_of(0, number);
    const dx_message_t message = {.topic = "storm.steady", .data = &event, .bytes = sizeof event};
    check(dx_client_publish_wait(storm.steady, &message, &receipt, &error), &error,
          "the steady client publishing");
    dx_store_release(&storm.journal->acknowledged[0], number);
}

static void storm_run(int64_t kills)
{
    for (int i = 0; i < CLIENTS; i++) {
        client_start(i);
    }
    for (int64_t i = 1; i <= kills; i++) {
        (void)usleep((useconds_t)(next_random(&storm.random) % PAUSE_MAX_US));
        const int place = (int)(next_random(&storm.random) % CLIENTS);
        if (next_random(&storm.random) % 3 == 0) { /* stopped: its ring fills, others go on */
            (void)kill(storm.pids[place], SIGSTOP);
            (void)usleep((useconds_t)(next_random(&storm.random) % PAUSE_MAX_US));
            if (next_random(&storm.random) % 2 == 0) {
                (void)kill(storm.pids[place], SIGCONT);
            }
        }
        steady_publish(i);
        client_kill(place);
        client_start(place);
    }
    for (int i = 0; i < CLIENTS; i++) {
        client_kill(i);
    }
}

/* Everything that was acknowledged arrives; nothing of the dead is left. */
static void storm_end(int64_t kills, int before)
{
    const int64_t limit_ns = dx_clock_ns() + PATIENCE_NS;
    int64_t events = 0;
    for (int64_t id = 0; id < storm.next_id; id++) {
        const int64_t acknowledged = dx_load_acquire(&storm.journal->acknowledged[id]);
        while (dx_load_acquire(&storm.seen[id]) < acknowledged) {
            if (dx_clock_ns() > limit_ns) {
                broken("of client %lld %lld events were acknowledged, and %lld came", (long long)id,
                       (long long)acknowledged, (long long)dx_load_acquire(&storm.seen[id]));
            }
            (void)usleep(1000);
        }
        events += dx_load_acquire(&storm.seen[id]);
    }
    while (connections() != 1 || descriptors_open() != before) {
        if (dx_clock_ns() > limit_ns) {
            broken("%u connections are left, 1 is alive; %d descriptors, %d before", connections(),
                   descriptors_open(), before);
        }
        (void)usleep(1000);
    }
    dx_client_stats_t stats;
    dx_client_stats(storm.steady, &stats);
    if (stats.gaps != 0 || stats.reconnects != 0) {
        broken("the steady client has had %llu gaps and %llu reconnects",
               (unsigned long long)stats.gaps, (unsigned long long)stats.reconnects);
    }
    (void)printf("%lld clients killed, %lld events checked\n", (long long)(kills + CLIENTS),
                 (long long)events);
}

static int64_t number_of(const char *name, int64_t otherwise)
{
    const char *const text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoll(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        return client_main(argv[1], (int)strtol(argv[2], NULL, 10), strtoll(argv[3], NULL, 10));
    }
    int64_t kills = number_of("DX_CRASH_KILLS", KILLS_DEFAULT);
    kills = kills < KILLS_MAX - CLIENTS - 1 ? kills : KILLS_MAX - CLIENTS - 1;
    storm.random = (uint64_t)number_of("DX_CRASH_SEED", (int64_t)dx_clock_ns());
    (void)printf("seed %lld\n", (long long)storm.random);
    (void)fflush(stdout);
    storm.program = "/proc/self/exe";
    storm.next_id = 1; /* 0 is the steady client */
    storm.journal_fd = memfd_create("journal", 0);
    storm.seen = calloc(KILLS_MAX, sizeof *storm.seen);
    if (storm.journal_fd < 0 || ftruncate(storm.journal_fd, sizeof *storm.journal) != 0) {
        broken("no journal");
    }
    storm.journal =
        mmap(NULL, sizeof *storm.journal, PROT_READ | PROT_WRITE, MAP_SHARED, storm.journal_fd, 0);
    if (storm.journal == MAP_FAILED || storm.seen == NULL) {
        broken("no memory");
    }
    node_begin();
    const int before = descriptors_open();
    storm_run(kills);
    storm_end(kills, before);
    (void)dx_client_close(storm.steady, PATIENCE_NS);
    check(dx_node_stop(storm.node, PATIENCE_NS, NULL), &(dx_error_t){0}, "stopping");
    dx_node_destroy(storm.node);
    free(storm.seen);
    return rmdir(storm.folder) == 0 ? 0 : 1;
}
