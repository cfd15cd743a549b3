/* node_test.h - what the tests of nodes share: a folder, small configurations, nodes in them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NODE_TEST_H
#define NODE_TEST_H

#include <dirent.h>
#include <stdbool.h>
#include <unistd.h>

#include "disruptorx/clock.h"
#include "disruptorx/node.h"

#include "base_test.h"
#include "patience.h"

/* The folder of the test program, and a few paths in it. */
static char node_folder[] = "/tmp/dx-test-node-XXXXXX";
static char node_socket[64];
static char node_file[64];
static char node_log_file[64];

static inline int node_folder_make(void **state)
{
    (void)state;
    const bool made = mkdtemp(node_folder) != NULL;
    (void)snprintf(node_socket, sizeof node_socket, "%s/dx.sock", node_folder);
    (void)snprintf(node_file, sizeof node_file, "%s/node.yaml", node_folder);
    (void)snprintf(node_log_file, sizeof node_log_file, "%s/node.log", node_folder);
    return made ? 0 : -1;
}

static inline int node_folder_remove(void **state)
{
    (void)state;
    DIR *const files = opendir(node_folder);
    for (const struct dirent *entry; files != NULL && (entry = readdir(files)) != NULL;) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", node_folder, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(files);
    return rmdir(node_folder);
}

static inline void text_to_file(const char *path, const char *text)
{
    FILE *const stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(text, 1, strlen(text), stream), strlen(text));
    assert_int_equal(fclose(stream), 0);
}

/* At most 16383 bytes of a file; "" when there is none. */
static inline const char *text_of_file(const char *path)
{
    static char text[16384];
    FILE *const stream = fopen(path, "rb");
    text[0] = '\0';
    if (stream != NULL) {
        text[fread(text, 1, sizeof text - 1, stream)] = '\0';
        (void)fclose(stream);
    }
    return text;
}

static inline void config_put(dx_config_t *config, const char *name, const char *text)
{
    dx_error_t error = {0};
    if (dx_config_set(config, name, text, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
}

/* A small node that listens on a UNIX socket only and logs into a file. */
static inline dx_config_t *config_small(void)
{
    dx_config_t *config = NULL;
    assert_ok(dx_config_create(&config, NULL));
    config_put(config, "listen.addresses", node_socket);
    config_put(config, "bus.shards", "2");
    config_put(config, "bus.loops", "2");
    config_put(config, "bus.shard_ring_bytes", "1Mi");
    config_put(config, "bus.event_bytes_max", "64Ki");
    config_put(config, "log.file", node_log_file);
    config_put(config, "log.burst", "0");
    return config;
}

/* As a file, with `more` at its end. */
static inline void config_small_file(const char *more)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
                   "listen: {addresses: [%s]}\n"
                   "bus: {shards: 2, loops: 2, shard_ring_bytes: 1Mi, event_bytes_max: 64Ki}\n"
                   "%s",
                   node_socket, more);
    text_to_file(node_file, text);
}

static inline dx_node_t *node_new(const dx_config_t *config)
{
    dx_node_t *node = NULL;
    dx_error_t error = {0};
    if (dx_node_create(config, &node, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return node;
}

static inline dx_node_t *node_started(const dx_config_t *config)
{
    dx_node_t *const node = node_new(config);
    dx_error_t error = {0};
    if (dx_node_start(node, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return node;
}

static inline void node_end(dx_node_t *node)
{
    dx_error_t error = {0};
    if (dx_node_stop(node, 0, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    dx_node_destroy(node);
}

#endif
