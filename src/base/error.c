/* error.c - the texts of the error codes, and the sentences.
 *
 * DESIGN
 *
 * A sentence is built in a local buffer and then copied, because callers pass pieces of the old
 * message as arguments. Where it does not fit, the last three bytes are "...", and the cut stands
 * on a UTF-8 character, so the message can go into JSON as it is.
 *
 * INVARIANTS
 *
 *   I1  message is NUL-terminated and at most DX_ERROR_MESSAGE_BYTES - 1 long
 *   I2  where a message lost text stands "...": at its end, and at that of a long context, so that
 *       what went wrong remains to be read
 *   I3  no function here changes errno
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"

const char *dx_error_name(int code)
{
    switch (code) {
#define CASE(name, number, text)                                                                   \
    case name:                                                                                     \
        return #name;
        DX_ERROR_LIST(CASE)
#undef CASE
    default:
        return "DX_EUNKNOWN";
    }
}

const char *dx_error_text(int code)
{
    switch (code) {
#define CASE(name, number, text)                                                                   \
    case name:                                                                                     \
        return text;
        DX_ERROR_LIST(CASE)
#undef CASE
    default:
        return "unknown error code";
    }
}

/* A sentence under construction. */
typedef struct sentence {
    char text[DX_ERROR_MESSAGE_BYTES];
    size_t length;
    int truncated;
} sentence_t;

static void sentence_append_v(sentence_t *s, const char *format, va_list arguments)
{
    const size_t room = sizeof(s->text) - s->length;
    const int wanted = vsnprintf(s->text + s->length, room, format, arguments);
    if (wanted < 0) { /* an encoding error: keep what stood before */
        s->text[s->length] = '\0';
        s->truncated = 1;
        return;
    }
    if ((size_t)wanted >= room) {
        s->length = sizeof(s->text) - 1;
        s->truncated = 1;
        return;
    }
    s->length += (size_t)wanted;
}

DX_PRINTF(2, 3) static void sentence_append(sentence_t *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    sentence_append_v(s, format, arguments);
    va_end(arguments);
}

/* Cuts the last character that is not whole, at `cut`, and puts "..." there (I2). */
static void sentence_cut(sentence_t *s, size_t cut)
{
    while (cut > 0 && ((unsigned char)s->text[cut] & 0xC0U) == 0x80U) {
        cut--; /* not into the middle of a character */
    }
    memcpy(s->text + cut, "...", sizeof("..."));
    s->length = cut + strlen("...");
}

/* The context leaves `wanted` bytes to what went wrong, which is the more important part; but it
 * keeps a third of the room. */
static void context_shorten(sentence_t *s, size_t wanted)
{
    const size_t most = sizeof(s->text) - 1;
    const size_t least = most / 3;
    const size_t room = wanted < most - least ? most - wanted : least;
    if (s->length > room) {
        sentence_cut(s, room - strlen("..."));
        s->truncated = 0;
    }
}

/* Moves the sentence into `error` and marks it where text was lost (I1, I2). */
static void sentence_store(sentence_t *s, dx_error_t *error)
{
    if (s->truncated) {
        const size_t most = sizeof(s->text) - 1 - strlen("...");
        sentence_cut(s, s->length < most ? s->length : most);
    }
    memcpy(error->message, s->text, sizeof(s->text));
}

int dxi_fail(dx_error_t *error, int code, const char *format, ...)
{
    if (error == NULL) {
        return code;
    }
    const int saved_errno = errno;
    sentence_t s = {.length = 0};
    va_list arguments;
    va_start(arguments, format);
    sentence_append_v(&s, format, arguments);
    va_end(arguments);
    sentence_store(&s, error);
    error->code = code;
    error->os_errno = 0;
    errno = saved_errno;
    return code;
}

int dxi_fail_os(dx_error_t *error, int code, int os_errno, const char *format, ...)
{
    if (error == NULL) {
        return code;
    }
    const int saved_errno = errno;
    sentence_t s = {.length = 0};
    va_list arguments;
    va_start(arguments, format);
    sentence_append_v(&s, format, arguments);
    va_end(arguments);
    char buffer[96];
    sentence_append(&s, ": %s", strerror_r(os_errno, buffer, sizeof(buffer)));
    sentence_store(&s, error);
    error->code = code;
    error->os_errno = os_errno;
    errno = saved_errno;
    return code;
}

int dxi_fail_context(dx_error_t *error, const char *format, ...)
{
    if (error == NULL) {
        return DX_OK;
    }
    const int saved_errno = errno;
    sentence_t s = {.length = 0};
    va_list arguments;
    va_start(arguments, format);
    sentence_append_v(&s, format, arguments);
    va_end(arguments);
    context_shorten(&s, strlen(error->message) + strlen(": "));
    sentence_append(&s, ": %s", error->message);
    sentence_store(&s, error);
    errno = saved_errno;
    return error->code;
}

int dxi_code_of_errno(int os_errno)
{
    switch (os_errno) {
    case 0:
        return DX_OK;
    case ENOMEM:
        return DX_ENOMEM;
    case EINVAL:
        return DX_EINVAL;
    case EPERM:
    case EACCES:
        return DX_EPERM;
    case ENOENT:
    case ESRCH:
        return DX_ENOTFOUND;
    case EEXIST:
        return DX_EEXIST;
    case EBUSY:
        return DX_EBUSY;
    case EAGAIN:
        return DX_EAGAIN;
    case ETIMEDOUT:
        return DX_ETIMEDOUT;
    case EDEADLK:
        return DX_EDEADLOCK;
    case ENOSYS:
    case EOPNOTSUPP:
        return DX_ENOTSUP;
    case EMFILE:
    case ENFILE:
    case ENOSPC:
        return DX_ELIMIT;
    default:
        return DX_EIO;
    }
}
