/* test_share_files.c - files of shared rings: every one that is refused, why, and that nothing of
 * the try is left: no file, no mapping, no descriptor.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "share_test.h"

#define NOBODY 65534

static int descriptors_open(void)
{
    int count = 0;
    DIR *entries = opendir("/proc/self/fd");
    assert_non_null(entries);
    while (readdir(entries) != NULL) {
        count++;
    }
    (void)closedir(entries);
    return count;
}

static int files_left(void)
{
    int count = -2; /* . and .. */
    DIR *entries = opendir(share_folder);
    assert_non_null(entries);
    while (readdir(entries) != NULL) {
        count++;
    }
    (void)closedir(entries);
    return count;
}

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s%s", share_folder, name, DX_RING_SUFFIX);
    return path;
}

static dx_ring_options_t options_of(const char *name)
{
    return (dx_ring_options_t){.slot_count = 8,
                               .event_bytes = 8,
                               .mode = DX_RING_MULTI,
                               .share = {.name = name, .folder = share_folder}};
}

/* The attempt fails with the code and the words, and leaves nothing. */
static void assert_create_fails(const dx_ring_options_t *options, int code, const char *words)
{
    const int descriptors = descriptors_open();
    const int files = files_left();
    const int64_t live = dxi_live_count();
    dx_ring_t *ring = (dx_ring_t *)1;
    dx_error_t error = {0};
    assert_fails(dx_ring_create(options, &ring, &error), code, error, words);
    assert_null(ring);
    assert_int_equal(descriptors_open(), descriptors);
    assert_int_equal(files_left(), files);
    assert_number(dxi_live_count(), live);
}

static void assert_attach_fails(const dx_attach_options_t *options, int code, const char *words)
{
    const int descriptors = descriptors_open();
    const int64_t live = dxi_live_count();
    dx_ring_t *ring = (dx_ring_t *)1;
    dx_error_t error = {0};
    assert_fails(dx_ring_attach(options, &ring, &error), code, error, words);
    assert_null(ring);
    assert_int_equal(descriptors_open(), descriptors);
    assert_number(dxi_live_count(), live);
}

static void assert_name_fails(const char *name, int code, const char *words)
{
    const dx_attach_options_t attach = {.name = name, .folder = share_folder};
    const dx_attach_options_t observe = {.name = name, .folder = share_folder, .observe = true};
    assert_attach_fails(&attach, code, words);
    assert_attach_fails(&observe, code, words);
}

static void bad_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",           "a/b",
        "/a",         "..",
        ".",          ".hidden",
        "with space", "tab\t",
        "a*",         "12345678901234567890123456789012", /* one too long */
        "\xc3\xa4"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        dx_error_t error = {0};
        dx_ring_options_t options = options_of(names[i]);
        assert_create_fails(&options, DX_EINVAL, "must be 1 to 31 of the characters");
        assert_name_fails(names[i], DX_EINVAL, "must be 1 to 31 of the characters");
        assert_fails(dx_ring_remove(names[i], share_folder, true, &error), DX_EINVAL, error,
                     "must be 1 to 31");
    }
    dx_error_t error = {0};
    assert_fails(dx_ring_remove(NULL, share_folder, true, &error), DX_EINVAL, error, "''");
    assert_name_fails(NULL, DX_EINVAL, "''");
    dx_ring_options_t longest = options_of("1234567890123456789012345678901");
    dx_ring_destroy(ring_from(&longest));
    longest = options_of("A-z_0.9");
    dx_ring_destroy(ring_from(&longest));
}

static void bad_folders_are_refused(void **state)
{
    (void)state;
    char folder[5000];
    memset(folder, 'a', sizeof(folder) - 1);
    folder[sizeof(folder) - 1] = 0;
    dx_ring_options_t options = options_of("r");
    options.share.folder = folder;
    assert_create_fails(&options, DX_EINVAL, "folder has 4999 bytes, must have 1 to");
    options.share.folder = "";
    assert_create_fails(&options, DX_EINVAL, "folder has 0 bytes");
    options.share.folder = "/dev/shm/there-is-no-such-folder";
    assert_create_fails(&options, DX_ENOTFOUND, "cannot make '/dev/shm/there-is-no");
    options.share.folder = "/proc/self/exe"; /* no folder at all */
    assert_create_fails(&options, DX_EIO, "cannot make");
    dx_error_t error = {0};
    assert_fails(dx_ring_list("/dev/shm/there-is-no-such-folder", NULL, NULL, &error), DX_ENOTFOUND,
                 error, "cannot read the folder");
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    dx_ring_options_t options = options_of("r");
    options.share.mode = 01000;
    assert_create_fails(&options, DX_EINVAL, "share.mode is 512, must be from 0 to 511");
    options = options_of("r");
    options.share.detect_ns = DX_RING_DETECT_NS_MIN - 1;
    assert_create_fails(&options, DX_EINVAL, "share.detect_ns is 9999999, must be from 10000000");
    options.share.detect_ns = DX_RING_DETECT_NS_MAX + 1;
    assert_create_fails(&options, DX_EINVAL, "share.detect_ns is 60000000001");
    options.share.detect_ns = -1;
    assert_create_fails(&options, DX_EINVAL, "share.detect_ns is -1");
    options = options_of("r");
    options.share.existing = (dx_share_existing_t)2;
    assert_create_fails(&options, DX_EINVAL, "share.existing is 2");
    options = options_of("r");
    options.share.stalled = (dx_on_stall_t)2;
    assert_create_fails(&options, DX_EINVAL, "share.stalled is 2");
    options = options_of("r");
    options.share.reserved[3] = 1;
    assert_create_fails(&options, DX_EINVAL, "reserved");
    options = options_of("r");
    options.memory.pages = DX_PAGES_HUGE_2M;
    assert_create_fails(&options, DX_ENOTSUP, "only normal pages");
    dx_attach_options_t attach = {.name = "r", .folder = share_folder, .reserved = {1}};
    assert_attach_fails(&attach, DX_EINVAL, "reserved");

    options = options_of("r");
    options.share.detect_ns = DX_RING_DETECT_NS_MIN;
    dx_ring_destroy(ring_from(&options));
    options.share.detect_ns = DX_RING_DETECT_NS_MAX;
    dx_ring_destroy(ring_from(&options));
}

/* ---------------------------------------------------------------------------- what is no ring */

/* A ring's file that nobody lives in, kept. */
static size_t leave_ring(const char *name)
{
    dx_ring_options_t options = options_of(name);
    options.share.keep = true;
    dx_ring_t *ring = ring_from(&options);
    const size_t bytes = (size_t)dx_ring_block(ring)->block_bytes;
    dx_ring_destroy(ring);
    return bytes;
}

static void files_that_are_no_ring_are_refused(void **state)
{
    (void)state;
    const char *path = path_of("r");
    assert_name_fails("r", DX_ENOTFOUND, "there is no shared ring");

    assert_int_equal(mkdir(path, 0700), 0);
    assert_name_fails("r", DX_ECORRUPT, "is not a file");
    assert_int_equal(rmdir(path), 0);

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_name_fails("r", DX_ECORRUPT, "is not a file");
    assert_int_equal(unlink(path), 0);

    (void)leave_ring("other");
    char target[128];
    (void)snprintf(target, sizeof(target), "%s", path_of("other"));
    path = path_of("r");
    assert_int_equal(symlink(target, path), 0);
    assert_name_fails("r", DX_EPERM, "is a symbolic link");
    dx_ring_options_t options = options_of("r");
    assert_create_fails(&options, DX_EPERM, "is a symbolic link");
    assert_int_equal(unlink(path), 0);
    assert_code(dx_ring_remove("other", share_folder, false, NULL), DX_OK);

    const int fd = open(path_of("r"), O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_name_fails("r", DX_ECORRUPT, "is not a ring"); /* empty */
    assert_int_equal(write(fd, "a text, not a ring at all", 25), 25);
    assert_name_fails("r", DX_ECORRUPT, "is not a ring");
    assert_create_fails(&options, DX_ECORRUPT, "exists and is not a ring");
    (void)close(fd);
    assert_code(dx_ring_remove("r", share_folder, false, NULL), DX_OK);
    assert_int_equal(files_left(), 0);
}

static void a_file_of_zeros_stands_in_nobodys_way(void **state)
{
    (void)state;
    for (off_t bytes = 0; bytes <= 8192; bytes += 4096) { /* what a power failure can leave */
        const int fd = open(path_of("r"), O_RDWR | O_CREAT | O_EXCL, 0600);
        assert_int_equal(ftruncate(fd, bytes), 0);
        (void)close(fd);
        const dx_ring_options_t options = options_of("r");
        dx_ring_destroy(ring_from(&options));
        assert_int_equal(files_left(), 0);
    }
}

static void overwrite(const char *name, size_t offset, uint64_t value, size_t bytes)
{
    const int fd = open(path_of(name), O_RDWR);
    assert_int_equal(pwrite(fd, &value, bytes, (off_t)offset), bytes);
    (void)close(fd);
}

static void damaged_rings_are_refused_and_replaced(void **state)
{
    (void)state;
#define FIELD(field) offsetof(dx_ring_block_t, field), sizeof(((dx_ring_block_t *)0)->field)
    static const struct {
        size_t offset;
        size_t bytes;
        uint64_t value;
        int code;
        const char *words;
    } damages[] = {
        {FIELD(layout), DX_RING_LAYOUT + 1, DX_EVERSION, "this library has layout 2"},
        {FIELD(layout), 1, DX_EVERSION, "has layout 1"},
        {FIELD(mode), 2, DX_ECORRUPT, "mode is out of its range"},
        {FIELD(slot_count), 0, DX_ECORRUPT, "slot_count"},
        {FIELD(slot_count), 1, DX_ECORRUPT, "slot_count"},
        {FIELD(slot_count), 9, DX_ECORRUPT, "slot_count"},
        {FIELD(slot_count), UINT64_C(1) << 31, DX_ECORRUPT, "slot_count"},
        {FIELD(slot_count), 16, DX_ECORRUPT, "offsets do not fit"},
        {FIELD(slot_bytes), 0, DX_ECORRUPT, "slot_bytes"},
        {FIELD(slot_bytes), 12, DX_ECORRUPT, "slot_bytes"},
        {FIELD(slot_bytes), UINT32_MAX - 7, DX_ECORRUPT, "slot_bytes"},
        {FIELD(slot_shift), 60, DX_ECORRUPT, "offsets"},
        {FIELD(consumers_max), 0, DX_ECORRUPT, "consumers_max"},
        {FIELD(consumers_max), 61, DX_ECORRUPT, "consumers_max"},
        {FIELD(producers_max), 257, DX_ECORRUPT, "producers_max"},
        {FIELD(processes_max), 0, DX_ECORRUPT, "processes_max"},
        {FIELD(processes_max), 65, DX_ECORRUPT, "processes_max"},
        {FIELD(spans), 2, DX_ECORRUPT, "spans"},
        {FIELD(spans), 1, DX_ECORRUPT, "spans"}, /* of 8-byte slots */
        {FIELD(stalled), 2, DX_ECORRUPT, "stalled"},
        {FIELD(detect_ns), 0, DX_ECORRUPT, "detect_ns"},
        {FIELD(detect_ns), UINT64_MAX, DX_ECORRUPT, "detect_ns"},
        {FIELD(marks_offset), 64, DX_ECORRUPT, "offsets"},
        {FIELD(slots_offset), UINT64_MAX, DX_ECORRUPT, "offsets"},
        {FIELD(block_bytes), 1, DX_ECORRUPT, "offsets"},
        {FIELD(cursor), UINT64_MAX / 2, DX_ECORRUPT, "cursor"},
        {FIELD(claimed), (uint64_t)INT64_MIN, DX_ECORRUPT, "cursor"},
        {FIELD(gating), UINT64_MAX, DX_ECORRUPT, "mask of consumers"},
        {FIELD(active), UINT64_C(1) << 63, DX_ECORRUPT, "mask of consumers"},
        {FIELD(signal), UINT64_C(1) << 59, DX_ECORRUPT, "mask of consumers"},
        {FIELD(marks_last), UINT64_MAX / 2, DX_ECORRUPT, "last mark"},
        {FIELD(voided), UINT64_MAX / 2, DX_ECORRUPT, "counter"},
        {offsetof(dx_ring_block_t, name) + DX_RING_NAME_MAX, 1, 'x', DX_ECORRUPT, "name"},
        {FIELD(magic), 0x1234, DX_ECORRUPT, "is not a ring"},
    };
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        (void)leave_ring("r");
        overwrite("r", damages[i].offset, damages[i].value,
                  damages[i].bytes < 8 ? damages[i].bytes : 8);
        assert_name_fails("r", damages[i].code, damages[i].words);
        const dx_ring_options_t options = options_of("r");
        if (damages[i].value !=
            0x1234) { /* a ring, whatever became of it: and nobody lives in it */
            dx_ring_destroy(ring_from(&options));
        } else {
            assert_code(dx_ring_remove("r", share_folder, false, NULL), DX_OK);
        }
    }
}

static void files_cut_off_or_extended_are_refused(void **state)
{
    (void)state;
    const size_t whole = leave_ring("r");
    static const size_t cuts[] = {
        0, 7, 8, 12, sizeof(dx_ring_block_t) - 1, sizeof(dx_ring_block_t), 4096};
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        assert_int_equal(truncate(path_of("r"), (off_t)cuts[i]), 0);
        assert_name_fails("r", DX_ECORRUPT, cuts[i] < 9 ? "is not a ring" : "cut off");
        assert_code(dx_ring_remove("r", share_folder, false, NULL), DX_OK);
        (void)leave_ring("r");
    }
    assert_int_equal(truncate(path_of("r"), (off_t)whole - 1), 0);
    assert_name_fails("r", DX_ECORRUPT, "it was cut off");
    assert_int_equal(truncate(path_of("r"), (off_t)whole + 1), 0);
    assert_name_fails("r", DX_ECORRUPT, "it was extended");
    assert_int_equal(truncate(path_of("r"), (off_t)whole), 0);
    dx_ring_t *ring = NULL;
    assert_code(
        dx_ring_attach(&(dx_attach_options_t){.name = "r", .folder = share_folder}, &ring, NULL),
        DX_OK);
    dx_ring_destroy(ring);
    assert_int_equal(files_left(), 0); /* the one that attached did not ask to keep it */
}

/* ------------------------------------------------------------------------------- who may attach */

/* Runs `test` in a child as another user; skips when we may not become one. */
static void as_nobody(int (*test)(void))
{
    if (geteuid() != 0) {
        SKIP_BECAUSE("only root can become another user");
    }
    const pid_t child = fork();
    if (child == 0) {
        _exit(setgid(NOBODY) == 0 && setuid(NOBODY) == 0 ? test() : 77);
    }
    share_reap(child, 0);
}

static int attach_code(bool observe, bool any_owner, dx_error_t *error)
{
    const dx_attach_options_t options = {
        .name = "r", .folder = share_folder, .observe = observe, .any_owner = any_owner};
    dx_ring_t *ring = NULL;
    const int code = dx_ring_attach(&options, &ring, error);
    dx_ring_destroy(ring);
    return code;
}

static int nobody_may_not_open(void)
{
    dx_error_t error = {0};
    return attach_code(false, true, &error) == DX_EPERM && strstr(error.message, "cannot open") &&
                   attach_code(true, true, &error) == DX_EPERM
               ? 0
               : 1;
}

static int nobody_may_only_look(void)
{
    return attach_code(false, false, NULL) == DX_EPERM && attach_code(true, false, NULL) == DX_OK
               ? 0
               : 1;
}

static int nobody_may_attach(void)
{
    return attach_code(false, false, NULL) == DX_OK ? 0 : 1;
}

static void the_mode_of_the_file_says_who_may_attach(void **state)
{
    (void)state;
    assert_int_equal(chmod(share_folder, 0755), 0);
    static const struct {
        uint32_t mode;
        int (*test)(void);
    } cases[] = {{0, nobody_may_not_open}, {0644, nobody_may_only_look}, {0666, nobody_may_attach}};
    const mode_t before = umask(077);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_ring_options_t options = options_of("r");
        options.share.mode = cases[i].mode;
        dx_ring_t *ring = ring_from(&options);
        struct stat status;
        assert_int_equal(stat(path_of("r"), &status), 0);
        assert_int_equal(status.st_mode & 0777, cases[i].mode != 0 ? cases[i].mode : 0600);
        as_nobody(cases[i].test);
        dx_ring_destroy(ring);
    }
    (void)umask(before);
}

static void a_file_of_another_user_is_attached_to_only_on_request(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        SKIP_BECAUSE("only root can give a file away");
    }
    dx_ring_options_t options = options_of("r");
    dx_ring_t *ring = ring_from(&options);
    assert_int_equal(chown(path_of("r"), NOBODY, NOBODY), 0);
    dx_error_t error = {0};
    assert_fails(attach_code(false, false, &error), DX_EPERM, error, "belongs to user 65534");
    assert_fails(attach_code(true, false, &error), DX_EPERM, error, "attach with any_owner");
    assert_code(attach_code(false, true, &error), DX_OK);
    assert_code(attach_code(true, true, &error), DX_OK);
    dx_ring_destroy(ring);
}

/* --------------------------------------------------------------------------------- file systems */

/* A file system of its own, of 64 KiB, in a child that nobody else shares mounts with. The child
 * ends with 0 when the code is what it is to be, 77 when mounting is not permitted. */
static int create_on(bool read_only)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", share_folder, "tmpfs", read_only ? MS_RDONLY : 0, "size=64k") != 0) {
        return 77;
    }
    dx_ring_options_t options = options_of("r");
    options.slot_count = 65536;
    dx_ring_t *ring = NULL;
    dx_error_t error = {0};
    const int code = dx_ring_create(&options, &ring, &error);
    const char *words = read_only ? "Read-only file system" : "No space left";
    const bool good = code == DX_EIO && strstr(error.message, words) != NULL && files_left() == 0;
    if (!good) {
        (void)fprintf(stderr, "%s: %s\n", dx_error_name(code), error.message);
    }
    return good ? 0 : 1;
}

static void read_only_and_full_file_systems_are_refused(void **state)
{
    (void)state;
    for (int read_only = 0; read_only <= 1; read_only++) {
        const pid_t child = fork();
        if (child == 0) {
            _exit(create_on(read_only != 0));
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
            SKIP_BECAUSE("mounting is not permitted; the fault points share-open and share-space "
                         "stand for it");
        }
        assert_int_equal(status, 0);
    }
}

static int create_once(void)
{
    const dx_ring_options_t options = options_of("r");
    dx_ring_t *ring = NULL;
    const int code = dx_ring_create(&options, &ring, NULL);
    dx_ring_destroy(ring);
    /* What is not memory has codes of its own; fault_sweep() knows one. */
    return code == DX_OK ? DX_OK : DX_ENOMEM;
}

static int attach_once(void)
{
    dx_ring_t *ring = NULL;
    const dx_attach_options_t options = {.name = "r", .folder = share_folder};
    const int code = dx_ring_attach(&options, &ring, NULL);
    dx_ring_destroy(ring);
    return code == DX_OK ? DX_OK : DX_ENOMEM;
}

static void whatever_runs_out_nothing_is_left(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    const int descriptors = descriptors_open();
    assert_true(fault_sweep(create_once) >=
                6); /* handle, producers, share, open, space, map, ... */
    assert_int_equal(descriptors_open(), descriptors);
    assert_int_equal(files_left(), 0);
    dx_ring_options_t options = options_of("r");
    options.share.keep = true;
    dx_ring_t *ring = ring_from(&options);
    const int with_ring = descriptors_open();
    assert_true(fault_sweep(attach_once) >= 4);
    assert_int_equal(descriptors_open(), with_ring);
    assert_int_equal(files_left(), 1);
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    assert_int_equal(stat.processes, 1);
    dx_ring_destroy(ring);
    assert_code(dx_ring_remove("r", share_folder, false, NULL), DX_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED(bad_names_are_refused),
        SHARED(bad_folders_are_refused),
        SHARED(bad_options_are_refused),
        SHARED(files_that_are_no_ring_are_refused),
        SHARED(a_file_of_zeros_stands_in_nobodys_way),
        SHARED(damaged_rings_are_refused_and_replaced),
        SHARED(files_cut_off_or_extended_are_refused),
        SHARED(the_mode_of_the_file_says_who_may_attach),
        SHARED(a_file_of_another_user_is_attached_to_only_on_request),
        SHARED(read_only_and_full_file_systems_are_refused),
        SHARED(whatever_runs_out_nothing_is_left),
    };
    return cmocka_run_group_tests_name("share_files", tests, NULL, NULL);
}
