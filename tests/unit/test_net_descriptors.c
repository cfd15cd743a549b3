/* test_net_descriptors.c - descriptors that travel with bytes, and files in memory that stay whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base_test.h"
#include "net/descriptors.h"

static void socket_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

static void socket_pair_close(int pair[2])
{
    (void)close(pair[0]);
    (void)close(pair[1]);
}

/* How many descriptors this process has open below a bound that the tests never reach. */
static int open_count(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void descriptors_arrive_with_the_bytes_that_they_were_sent_with(void **state)
{
    (void)state;
    int pair[2];
    char bytes[64];
    int got[DXI_DESCRIPTORS_MAX];
    int more[DXI_DESCRIPTORS_MAX];
    int count = -1;
    dx_error_t error = {0};
    socket_pair(pair);
    const int file = dxi_sealed_create("dx-test", 4096, &error);
    assert_true(file >= 0);
    assert_int_equal(write(file, "seen by both", 12), 12);

    assert_int_equal(dxi_descriptors_send(pair[0], "abc", 3, NULL, 0), 3);
    assert_int_equal(dxi_descriptors_send(pair[0], "de", 2, &file, 1), 2);
    assert_int_equal(dxi_descriptors_receive(pair[1], bytes, 3, got, &count), 3);
    assert_int_equal(count, 0); /* not those of bytes that come later */
    assert_int_equal(dxi_descriptors_receive(pair[1], bytes, 1, got, &count), 1);
    assert_int_equal(count, 1);
    assert_int_equal(bytes[0], 'd');
    assert_int_not_equal(got[0], file);
    assert_int_not_equal(fcntl(got[0], F_GETFD) & FD_CLOEXEC, 0);
    char text[12];
    assert_int_equal(pread(got[0], text, sizeof text, 0), 12);
    assert_memory_equal(text, "seen by both", 12);

    assert_int_equal(dxi_descriptors_receive(pair[1], bytes, sizeof bytes, more, &count), 1);
    assert_int_equal(count, 0);
    assert_int_equal(dxi_descriptors_receive(pair[1], bytes, sizeof bytes, more, &count), -EAGAIN);
    (void)close(pair[0]);
    assert_int_equal(dxi_descriptors_receive(pair[1], bytes, sizeof bytes, more, &count), 0);
    dxi_descriptors_close(got, 1);
    assert_int_equal(got[0], -1);
    dxi_descriptors_close(got, 1);
    (void)close(pair[1]);
    (void)close(file);
}

static void as_many_as_are_allowed_arrive_and_one_more_is_refused_and_none_is_left_open(
    void **state)
{
    (void)state;
    int pair[2];
    char byte;
    int got[DXI_DESCRIPTORS_MAX];
    int count = 0;
    int many[DXI_DESCRIPTORS_MAX + 1];
    socket_pair(pair);
    for (int i = 0; i < DXI_DESCRIPTORS_MAX + 1; i++) {
        many[i] = pair[0];
    }
    const int before = open_count();
    assert_int_equal(dxi_descriptors_send(pair[0], "x", 1, many, DXI_DESCRIPTORS_MAX), 1);
    assert_int_equal(dxi_descriptors_receive(pair[1], &byte, 1, got, &count), 1);
    assert_int_equal(count, DXI_DESCRIPTORS_MAX);
    assert_int_equal(open_count(), before + DXI_DESCRIPTORS_MAX);
    dxi_descriptors_close(got, count);
    assert_int_equal(open_count(), before);

    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof many)];
    } control = {.bytes = {0}};
    struct iovec vector = {.iov_base = "y", .iov_len = 1};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof many);
    memcpy(CMSG_DATA(head), many, sizeof many);
    assert_int_equal(sendmsg(pair[0], &message, 0), 1);
    assert_int_equal(dxi_descriptors_receive(pair[1], &byte, 1, got, &count), -EBADMSG);
    assert_int_equal(count, 0);
    assert_int_equal(open_count(), before);
    socket_pair_close(pair);
}

static void a_socket_that_takes_nothing_says_so_and_a_lost_peer_is_an_error(void **state)
{
    (void)state;
    static const char block[4096];
    int pair[2];
    socket_pair(pair);
    int64_t sent = 0;
    while ((sent = dxi_descriptors_send(pair[0], block, sizeof block, NULL, 0)) > 0) {
    }
    assert_int_equal(sent, 0);
    assert_int_equal(dxi_descriptors_send(pair[0], "x", 1, &pair[1], 1), 0);
    (void)close(pair[1]);
    assert_int_equal(dxi_descriptors_send(pair[0], "x", 1, NULL, 0), -EPIPE);
    (void)close(pair[0]);
}

static void a_sealed_file_keeps_its_size_and_can_be_told_from_others(void **state)
{
    (void)state;
    dx_error_t error = {0};
    size_t size = 1;
    const int file = dxi_sealed_create("dx-test", 8192, &error);
    assert_true(file >= 0);
    assert_ok(dxi_sealed_check(file, &size, &error));
    assert_int_equal(size, 8192);
    assert_int_equal(ftruncate(file, 4096), -1);
    assert_int_equal(ftruncate(file, 16384), -1);
    assert_int_not_equal(fcntl(file, F_GETFD) & FD_CLOEXEC, 0);
    (void)close(file);

    const int plain = memfd_create("dx-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_fails(dxi_sealed_check(plain, &size, &error), DX_EINVAL, error, "seals 0x0");
    assert_int_equal(fcntl(plain, F_ADD_SEALS, F_SEAL_GROW), 0);
    assert_fails(dxi_sealed_check(plain, &size, &error), DX_EINVAL, error, "shrink or grow");
    (void)close(plain);

    int pair[2];
    socket_pair(pair);
    assert_fails(dxi_sealed_check(pair[0], &size, &error), DX_EINVAL, error, "no file in memory");
    socket_pair_close(pair);
    assert_fails(dxi_sealed_check(-1, &size, &error), DX_EINVAL, error, "no file in memory");
}

static void a_file_sealed_for_writing_can_only_be_read_by_who_maps_it_later(void **state)
{
    (void)state;
    dx_error_t error = {0};
    const int file = dxi_sealed_create("dx-test", 4096, &error);
    int *const mine = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    assert_true(mine != MAP_FAILED);
    assert_ok(dxi_sealed_read_only(file, &error));
    assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED);
    const int *const theirs = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    assert_true(theirs != MAP_FAILED);
    *mine = 7;
    assert_int_equal(*theirs, 7);
    (void)munmap((void *)(uintptr_t)theirs, 4096);
    (void)munmap(mine, 4096);
    (void)close(file);
}

static void the_kernel_says_who_the_peer_is(void **state)
{
    (void)state;
    int pair[2];
    dx_error_t error = {0};
    uid_t user = 12345;
    pid_t process = 0;
    socket_pair(pair);
    assert_ok(dxi_peer_credentials(pair[0], &user, &process, &error));
    assert_int_equal(user, geteuid());
    assert_int_equal(process, getpid());
    socket_pair_close(pair);
    assert_fails(dxi_peer_credentials(pair[0], &user, &process, &error), DX_ENOTSUP, error,
                 "does not say who");
    const int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_fails(dxi_peer_credentials(tcp, &user, &process, &error), DX_ENOTSUP, error,
                 "does not say who");
    (void)close(tcp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_arrive_with_the_bytes_that_they_were_sent_with),
        cmocka_unit_test(
            as_many_as_are_allowed_arrive_and_one_more_is_refused_and_none_is_left_open),
        cmocka_unit_test(a_socket_that_takes_nothing_says_so_and_a_lost_peer_is_an_error),
        cmocka_unit_test(a_sealed_file_keeps_its_size_and_can_be_told_from_others),
        cmocka_unit_test(a_file_sealed_for_writing_can_only_be_read_by_who_maps_it_later),
        cmocka_unit_test(the_kernel_says_who_the_peer_is),
    };
    return cmocka_run_group_tests_name("net_descriptors", tests, NULL, NULL);
}
