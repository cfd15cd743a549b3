/* test_node_parts.c - tokens, the log's file, and a node as a process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "node/daemon.h"
#include "node/node_auth.h"

#include "node_test.h"

/* --------------------------------------------------------------------------------------- tokens */

static dxi_token_t token_of(const char *text)
{
    dxi_token_t token = {.bytes = strlen(text)};
    memcpy(token.text, text, token.bytes);
    return token;
}

static void only_the_token_itself_is_taken(void **state)
{
    (void)state;
    static const char *const WRONG[] = {"", "secre", "secret1", "Secret", "xecret", "secrex"};
    dxi_auth_t auth = {.refused = 0};
    char longest[DXI_TOKEN_BYTES_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[DXI_TOKEN_BYTES_MAX] = '\0';
    assert_ok(dxi_auth_init(&auth, NULL));
    assert_false(dxi_auth_wanted(&auth));
    assert_true(dxi_auth_check(&auth, "anything", 8)); /* nothing is wanted */
    assert_true(dxi_auth_check(&auth, NULL, 0));
    dxi_token_t token = token_of("secret");
    assert_true(dxi_auth_set(&auth, &token));
    assert_true(dxi_auth_wanted(&auth));
    assert_true(dxi_auth_check(&auth, "secret", 6));
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        assert_false(dxi_auth_check(&auth, WRONG[i], strlen(WRONG[i])));
    }
    assert_false(dxi_auth_check(&auth, "secret\0", 7)); /* a zero at its end is one too many */
    assert_false(dxi_auth_check(&auth, NULL, 0));
    assert_int_equal(dxi_auth_refused(&auth), COUNT_OF(WRONG) + 2);
    assert_false(dxi_auth_set(&auth, &token)); /* the same */
    token = token_of(longest);
    assert_true(dxi_auth_set(&auth, &token));
    assert_true(dxi_auth_check(&auth, longest, DXI_TOKEN_BYTES_MAX));
    longest[DXI_TOKEN_BYTES_MAX] = 'a';
    assert_false(dxi_auth_check(&auth, longest, DXI_TOKEN_BYTES_MAX + 1));
    dxi_auth_close(&auth);
}

static void a_token_is_the_first_line_of_its_file(void **state)
{
    (void)state;
    char path[80], longest[DXI_TOKEN_BYTES_MAX + 8];
    (void)snprintf(path, sizeof path, "%s/token", node_folder);
    static const struct {
        const char *text, *token;
    } CASES[] = {{"abc", "abc"}, {"abc\n", "abc"}, {"abc\r\n", "abc"}, {"a c\nd\n", "a c"}};
    dx_config_t *config = NULL;
    dxi_token_t token;
    dx_error_t error = {0};
    assert_ok(dx_config_create(&config, NULL));
    assert_ok(dxi_token_read(config, &token, NULL));
    assert_int_equal(token.bytes, 0);
    config_put(config, "auth.token_file", path);
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        text_to_file(path, CASES[i].text);
        assert_ok(dxi_token_read(config, &token, NULL));
        assert_int_equal(token.bytes, strlen(CASES[i].token));
        assert_memory_equal(token.text, CASES[i].token, token.bytes);
    }
    memset(longest, 'a', sizeof longest);
    longest[DXI_TOKEN_BYTES_MAX] = '\r';
    longest[DXI_TOKEN_BYTES_MAX + 1] = '\n';
    longest[DXI_TOKEN_BYTES_MAX + 2] = '\0';
    text_to_file(path, longest);
    assert_ok(dxi_token_read(config, &token, NULL));
    assert_int_equal(token.bytes, DXI_TOKEN_BYTES_MAX);
    longest[DXI_TOKEN_BYTES_MAX] = 'a';
    text_to_file(path, longest);
    assert_fails(dxi_token_read(config, &token, &error), DX_EINVAL, error, "too much");
    text_to_file(path, "\nabc\n");
    assert_fails(dxi_token_read(config, &token, &error), DX_EINVAL, error, "nothing");
    text_to_file(path, "");
    assert_fails(dxi_token_read(config, &token, &error), DX_EINVAL, error, "nothing");
    config_put(config, "auth.token_file", node_folder);
    assert_fails(dxi_token_read(config, &token, &error), DX_EINVAL, error, "is no regular file");
    dx_config_destroy(config);
}

/* ---------------------------------------------------------------------------------- the process */

typedef struct told {
    int pipe[2];
} told_t;

static void on_running(void *context, dx_node_t *node)
{
    const told_t *const told = context;
    const char *const address = dx_node_address(node, 0);
    (void)!write(told->pipe[1], address, strlen(address));
}

static void on_stopping(void *context, dx_node_t *node, int number)
{
    const told_t *const told = context;
    char text[32];
    (void)node;
    (void)snprintf(text, sizeof text, "stopping by %d", number);
    (void)!write(told->pipe[1], text, strlen(text));
}

/* The next thing that the process tells. */
static const char *heard(const told_t *told)
{
    static char text[256];
    const ssize_t bytes = read(told->pipe[0], text, sizeof text - 1);
    text[bytes > 0 ? bytes : 0] = '\0';
    return text;
}

/* A process that serves node_file; it exits with 0 when it has drained. */
static pid_t process_start(told_t *told)
{
    assert_int_equal(pipe(told->pipe), 0);
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dx_config_t *config = NULL;
        dx_error_t error = {0};
        int code = dx_config_create(&config, &error);
        if (code == DX_OK) {
            code = dx_config_load(config, node_file, &error);
        }
        if (code == DX_OK) {
            code = dxi_daemon_run(&(dxi_daemon_options_t){.config = config,
                                                          .on_running = on_running,
                                                          .on_stopping = on_stopping,
                                                          .context = told},
                                  &error);
        }
        dx_config_destroy(config);
        if (code != DX_OK) {
            (void)!write(told->pipe[1], error.message, strlen(error.message));
        }
        exit(code == DX_OK ? 0 : 1); /* not _exit(): coverage is written at exit */
    }
    (void)close(told->pipe[1]);
    return child;
}

static int exit_of(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void a_node_may_keep_its_process_from_leaving_a_core(void **state)
{
    (void)state;
    dx_config_t *config = NULL;
    dx_node_t *node = NULL;
    dx_error_t error = {.code = 0};
    const int before = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    assert_ok(dx_config_create(&config, &error));
    assert_ok(dx_config_set(config, "access.core_dumps", "false", &error));
    assert_ok(dx_node_create(config, &node, &error));
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
    dx_node_destroy(node);
    dx_config_destroy(config);
    assert_int_equal(prctl(PR_SET_DUMPABLE, before, 0, 0, 0), 0);
}

static void a_process_reloads_and_ends_by_signals(void **state)
{
    (void)state;
    told_t told;
    char more[256];
    (void)unlink(node_log_file);
    (void)snprintf(more, sizeof more, "log: {file: %s}\n", node_log_file);
    config_small_file(more);
    const pid_t child = process_start(&told);
    assert_contains(heard(&told), node_socket);
    (void)snprintf(more, sizeof more, "log: {file: %s, level: debug}\n", node_log_file);
    config_small_file(more);
    assert_int_equal(kill(child, SIGHUP), 0);
    wait_until(strstr(text_of_file(node_log_file), "was read again: 1 changes") != NULL);
    config_small_file("log: {levl: x}\n"); /* a wrong one does not end it */
    assert_int_equal(kill(child, SIGHUP), 0);
    wait_until(strstr(text_of_file(node_log_file), "stays as it was") != NULL);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_string_equal(heard(&told), "stopping by 15");
    assert_int_equal(exit_of(child), 0);
    assert_contains(text_of_file(node_log_file), "SIGTERM: stops");
    assert_contains(text_of_file(node_log_file), "has stopped");
    assert_int_not_equal(access(node_socket, F_OK), 0);
    (void)close(told.pipe[0]);
}

static void an_interrupt_ends_a_process_as_well(void **state)
{
    (void)state;
    told_t told;
    char more[256];
    (void)snprintf(more, sizeof more, "log: {file: %s}\n", node_log_file);
    config_small_file(more);
    const pid_t child = process_start(&told);
    assert_contains(heard(&told), node_socket);
    assert_int_equal(kill(child, SIGINT), 0);
    assert_string_equal(heard(&told), "stopping by 2");
    assert_int_equal(exit_of(child), 0);
    (void)close(told.pipe[0]);
}

static void a_process_that_cannot_start_says_why(void **state)
{
    (void)state;
    told_t told;
    struct sockaddr_un address = {.sun_family = AF_UNIX}; /* somebody has it, and answers */
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", node_socket);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    config_small_file("");
    const pid_t child = process_start(&told);
    assert_contains(heard(&told), node_socket);
    assert_int_equal(exit_of(child), 1);
    (void)close(told.pipe[0]);
    (void)close(fd);
    (void)unlink(node_socket);
}

static void a_folder_of_its_own_has_a_socket_beside_the_addresses(void **state)
{
    (void)state;
    dx_config_t *config = NULL;
    char folder[DXI_DEV_FOLDER_BYTES], long_root[80];
    struct stat file;
    dx_error_t error = {0};
    assert_ok(dx_config_create(&config, NULL));
    config_put(config, "listen.addresses", "tcp://127.0.0.1:0");
    config_put(config, "log.file", node_log_file);
    assert_int_equal(setenv("TMPDIR", node_folder, 1), 0);
    assert_ok(dxi_dev_begin(config, folder, NULL));
    assert_int_equal(stat(folder, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0700);
    assert_non_null(strstr(folder, node_folder));
    dx_node_t *const node = node_started(config);
    assert_non_null(strstr(dx_node_address(node, 1), folder));
    node_end(node);
    dxi_dev_end(folder);
    assert_int_not_equal(access(folder, F_OK), 0);
    dxi_dev_end("");
    dxi_dev_end(NULL);
    memset(long_root, 'a', sizeof long_root);
    long_root[0] = '/';
    long_root[sizeof long_root - 1] = '\0';
    assert_int_equal(setenv("TMPDIR", long_root, 1), 0);
    assert_fails(dxi_dev_begin(config, folder, &error), DX_EINVAL, error, "TMPDIR is /aaa");
    assert_int_equal(setenv("TMPDIR", "/nowhere", 1), 0);
    assert_fails(dxi_dev_begin(config, folder, &error), DX_ENOTFOUND, error, "no folder in");
    assert_string_equal(folder, "");
    assert_int_equal(unsetenv("TMPDIR"), 0);
    dx_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_token_itself_is_taken),
        cmocka_unit_test(a_token_is_the_first_line_of_its_file),
        cmocka_unit_test(a_node_may_keep_its_process_from_leaving_a_core),
        cmocka_unit_test(a_process_reloads_and_ends_by_signals),
        cmocka_unit_test(an_interrupt_ends_a_process_as_well),
        cmocka_unit_test(a_process_that_cannot_start_says_why),
        cmocka_unit_test(a_folder_of_its_own_has_a_socket_beside_the_addresses),
    };
    return cmocka_run_group_tests(tests, node_folder_make, node_folder_remove);
}
