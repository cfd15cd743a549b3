/* test_cli_archive.c - a .tar.gz; that `tar` reads it is checked by tests/cli/test_bundle.py.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/archive.h"

#include <sys/stat.h>
#include <zlib.h>

#include "base_test.h"
#include "fake_tree.h"

static fake_tree_t tree;
static char path[128];

static int set_up(void **state)
{
    (void)state;
    fake_tree_create(&tree);
    snprintf(path, sizeof path, "%s/a.tar.gz", tree.root);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_tree_destroy(&tree);
    return 0;
}

static dxi_archive_t *created(void)
{
    dxi_archive_t *archive = NULL;
    dx_error_t error = {0};
    if (dxi_archive_create(path, 1000000000, &archive, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return archive;
}

static void members_are_blocks_and_two_empty_ones_are_the_end(void **state)
{
    (void)state;
    static char tar[8192];
    static char data[600];
    dxi_archive_t *const archive = created();
    int64_t bytes = 0;
    memset(data, 'd', sizeof data);
    assert_int_equal(dxi_archive_add(archive, "f/empty", "", 0, NULL), DX_OK);
    assert_int_equal(dxi_archive_add(archive, "f/block", data, 512, NULL), DX_OK);
    assert_int_equal(dxi_archive_add(archive, "f/more", data, 513, NULL), DX_OK);
    assert_int_equal(dxi_archive_close(archive, &bytes, NULL), DX_OK);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(bytes, status.st_size);
    assert_int_equal(status.st_mode & 0777, 0600);
    const gzFile file = gzopen(path, "rb");
    assert_int_equal(gzread(file, tar, sizeof tar), 512 * (1 + 2 + 3 + 2));
    assert_int_equal(gzclose(file), Z_OK);
    assert_string_equal(tar, "f/empty");
    assert_string_equal(tar + 257, "ustar");
    assert_string_equal(tar + 512, "f/block");
    assert_string_equal(tar + 512 + 124, "00000001000"); /* 512, octal */
    assert_string_equal(tar + 512 + 136, "07346545000"); /* the time */
    assert_int_equal(tar[1024 + 511], 'd');
    assert_string_equal(tar + 1536, "f/more");
    assert_int_equal(tar[1536 + 512 + 512], 'd');
    assert_int_equal(tar[1536 + 512 + 513], 0);
}

static void names_have_at_most_a_hundred_bytes(void **state)
{
    (void)state;
    char name[DXI_ARCHIVE_NAME_MAX + 2];
    dx_error_t error = {0};
    dxi_archive_t *const archive = created();
    int64_t bytes = 0;
    memset(name, 'n', sizeof name - 1);
    name[DXI_ARCHIVE_NAME_MAX + 1] = '\0';
    assert_int_equal(dxi_archive_add(archive, name, "x", 1, &error), DX_ELIMIT);
    assert_non_null(strstr(error.message, "has 101 bytes, must have at most 100"));
    name[DXI_ARCHIVE_NAME_MAX] = '\0';
    assert_int_equal(dxi_archive_add(archive, name, "x", 1, &error), DX_OK);
    assert_int_equal(dxi_archive_close(archive, &bytes, NULL), DX_OK);
}

static void a_file_that_is_there_is_left_alone(void **state)
{
    (void)state;
    dxi_archive_t *archive = NULL;
    dx_error_t error = {0};
    int64_t bytes = 0;
    fake_tree_write(&tree, "a.tar.gz", "mine");
    assert_int_not_equal(dxi_archive_create(path, 0, &archive, &error), DX_OK);
    assert_null(archive);
    assert_non_null(strstr(error.message, "can't be made"));
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 4);
    assert_int_equal(dxi_archive_close(NULL, &bytes, NULL), DX_OK);
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    dxi_archive_t *archive = NULL;
    char target[160];
    snprintf(target, sizeof target, "%s/elsewhere", tree.root);
    assert_int_equal(symlink(target, path), 0);
    assert_int_not_equal(dxi_archive_create(path, 0, &archive, NULL), DX_OK);
    assert_int_not_equal(access(target, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_are_blocks_and_two_empty_ones_are_the_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(names_have_at_most_a_hundred_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_there_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_is_not_followed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
