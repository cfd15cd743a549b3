/* test_file.c - files that a person has named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base_test.h"

static char folder[] = "/tmp/dx-test-file-XXXXXX";
static char path[64];

static int folder_make(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void file_make(const char *text)
{
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void it_is_read_up_to_the_room_that_there_is(void **state)
{
    (void)state;
    char text[8] = "";
    file_make("seven..");
    assert_int_equal(dxi_file_read(path, text, sizeof text, NULL), 7);
    assert_string_equal(text, "seven..");
    assert_int_equal(dxi_file_read(path, text, 3, NULL), 3);
    file_make("");
    assert_int_equal(dxi_file_read(path, text, sizeof text, NULL), 0);
    assert_int_equal(unlink(path), 0);
}

/* A pipe whose other end nobody opens would keep an open() waiting for good. */
static void what_is_no_regular_file_is_refused_at_once(void **state)
{
    (void)state;
    char text[8];
    dx_error_t error = {0};
    assert_int_equal(mkfifo(path, 0600), 0);
    const char *const others[] = {path, folder, "/dev/null"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_fails((int)dxi_file_read(others[i], text, sizeof text, &error), DX_EINVAL, error,
                     "can't be read: it is no regular file");
    }
    assert_int_equal(unlink(path), 0);
}

static void what_cannot_be_opened_says_why(void **state)
{
    (void)state;
    struct stat status;
    dx_error_t error = {0};
    assert_fails(dxi_file_open(path, &status, &error), DX_ENOTFOUND, error,
                 "file can't be read: No such file");
    assert_int_equal(error.os_errno, ENOENT);
}

static void what_was_opened_is_described_and_closed(void **state)
{
    (void)state;
    char text[8];
    struct stat status;
    dx_error_t error = {0};
    file_make("abc");
    const int fd = dxi_file_open(path, &status, NULL);
    assert_true(fd >= 0);
    assert_int_equal(status.st_size, 3);
    assert_int_equal(dxi_file_read_open(fd, path, text, sizeof text, NULL), 3);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    const int folder_fd = open(folder, O_RDONLY | O_CLOEXEC);
    assert_fails((int)dxi_file_read_open(folder_fd, folder, text, sizeof text, &error), DX_EIO,
                 error, "can't be read: Is a directory");
    assert_int_equal(unlink(path), 0);
}

static void whether_it_can_be_written_is_found_without_making_it(void **state)
{
    (void)state;
    char missing[96];
    dx_error_t error = {0};
    assert_ok(dxi_file_append_check(path, &error));
    assert_int_equal(access(path, F_OK), -1);
    file_make("abc");
    assert_ok(dxi_file_append_check(path, &error));
    assert_int_equal(unlink(path), 0);
    (void)snprintf(missing, sizeof missing, "%s/none/file", folder);
    assert_fails(dxi_file_append_check(missing, &error), DX_ENOTFOUND, error,
                 "none/file can't be written: No such file");
    assert_int_not_equal(dxi_file_append_check(folder, &error), DX_OK);
    assert_ok(dxi_file_append_check("/dev/null", &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_read_up_to_the_room_that_there_is),
        cmocka_unit_test(what_is_no_regular_file_is_refused_at_once),
        cmocka_unit_test(what_cannot_be_opened_says_why),
        cmocka_unit_test(what_was_opened_is_described_and_closed),
        cmocka_unit_test(whether_it_can_be_written_is_found_without_making_it),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
