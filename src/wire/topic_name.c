/* topic_name.c - names of topics, and patterns of subscriptions.
 *
 * A name is 1 to 255 bytes of UTF-8: 1 to 32 tokens between dots, none of them empty, of printable
 * characters without blanks, '*' and '>'. In a pattern a token may also be `*`, which stands for
 * any one token, and the last one `>`, which stands for one or more.
 *
 * Names that begin with '$' are the bus's own (inboxes, dead letters): a wildcard as the first
 * token does not match them, so who subscribes to everything does not see them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wire/topic_name.h"

#include <string.h>

#include "base/fail.h"

/* The bytes of the UTF-8 character at `text`, of which `left` bytes are there; 0 when it is none,
 * or is not printable. */
static size_t character_bytes(const unsigned char *text, size_t left)
{
    const unsigned char first = text[0];
    if (first < 0x80) {
        return first > 0x20 && first != 0x7f ? 1 : 0;
    }
    const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || bytes > left) {
        return 0;
    }
    uint32_t code = first & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (text[i] & 0x3fu);
    }
    const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    const bool blank = code < 0xa1 || code == 0x2028 || code == 0x2029 || code == 0x3000;
    return overlong || surrogate || blank || code > 0x10ffff ? 0 : bytes;
}

/* One token, of which `bytes` are there. `wild` says whether it may be `*`, or `>` as the last. */
static int token_check(const char *what, const char *token, size_t bytes, bool wild, bool last,
                       dx_error_t *error)
{
    if (bytes == 0) {
        return dxi_fail(error, DX_EINVAL, "the %s has an empty part between dots", what);
    }
    if (wild && bytes == 1 && token[0] == '*') {
        return DX_OK;
    }
    if (wild && bytes == 1 && token[0] == '>') {
        return last
                   ? DX_OK
                   : dxi_fail(error, DX_EINVAL, "the %s has '>' in the middle, must be last", what);
    }
    for (size_t at = 0; at < bytes;) {
        if (token[at] == '*' || token[at] == '>') {
            return dxi_fail(error, DX_EINVAL, "the %s has '%c' %s", what, token[at],
                            wild ? "beside other characters, must stand alone between dots"
                                 : "in it, which only patterns may");
        }
        const size_t each = character_bytes((const unsigned char *)token + at, bytes - at);
        if (each == 0) {
            return dxi_fail(error, DX_EINVAL,
                            "the %s has byte 0x%02x, must be printable UTF-8 without blanks", what,
                            (unsigned char)token[at]);
        }
        at += each;
    }
    return DX_OK;
}

static int check(const char *what, const char *text, size_t bytes, bool wild, dx_error_t *error)
{
    if (text == NULL || bytes == 0 || bytes > DX_FRAME_TOPIC_BYTES_MAX) {
        return dxi_fail(error, DX_EINVAL, "the %s has %zu bytes, must have from 1 to %d", what,
                        text != NULL ? bytes : 0, DX_FRAME_TOPIC_BYTES_MAX);
    }
    const char *const end = text + bytes;
    uint32_t tokens = 0;
    for (const char *token = text;;) {
        const char *dot = memchr(token, '.', (size_t)(end - token));
        const bool last = dot == NULL;
        dot = last ? end : dot;
        if (++tokens > DXI_TOPIC_TOKENS_MAX) {
            return dxi_fail(error, DX_EINVAL, "the %s has more than %d parts between dots", what,
                            DXI_TOPIC_TOKENS_MAX);
        }
        const int code = token_check(what, token, (size_t)(dot - token), wild, last, error);
        if (code != DX_OK || last) {
            return code;
        }
        token = dot + 1;
    }
}

int dxi_topic_check(const char *name, size_t bytes, dx_error_t *error)
{
    return check("topic", name, bytes, false, error);
}

int dxi_pattern_check(const char *pattern, size_t bytes, dx_error_t *error)
{
    return check("pattern", pattern, bytes, true, error);
}

bool dxi_pattern_matches(const char *pattern, size_t pattern_bytes, const char *name,
                         size_t name_bytes)
{
    const char *const pattern_end = pattern + pattern_bytes;
    const char *const name_end = name + name_bytes;
    if (name_bytes != 0 && name[0] == '$' &&
        (pattern_bytes == 0 || pattern[0] == '*' || pattern[0] == '>')) {
        return false;
    }
    for (;;) {
        const char *dot = memchr(pattern, '.', (size_t)(pattern_end - pattern));
        const char *name_dot = memchr(name, '.', (size_t)(name_end - name));
        const size_t token_bytes = (size_t)((dot != NULL ? dot : pattern_end) - pattern);
        const size_t bytes = (size_t)((name_dot != NULL ? name_dot : name_end) - name);
        if (token_bytes == 1 && pattern[0] == '>') {
            return true;
        }
        const bool any = token_bytes == 1 && pattern[0] == '*';
        if (!any && (token_bytes != bytes || memcmp(pattern, name, bytes) != 0)) {
            return false;
        }
        if (dot == NULL || name_dot == NULL) {
            return dot == NULL && name_dot == NULL;
        }
        pattern = dot + 1;
        name = name_dot + 1;
    }
}
