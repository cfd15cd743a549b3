/* users_edit.c - changes a users file: one user at a time, and the rest stays as it is.
 *
 * DESIGN
 *
 * The file is a person's: its comments and its order stay. So lines are put in and taken out, and
 * nothing is written anew. The reader of users files says in which line a user begins; its lines
 * go on as long as they are indented deeper, comments and blank lines at their end left out.
 *
 * A person may write YAML in ways that this does not understand ("users: {a: {}}" in one line). So
 * the result is read again before it is taken: it must have the users that it should, and no other.
 *
 *     lock --> read --> change the text --> read the result --> write beside it, sync --> rename
 *
 * INVARIANTS
 *
 *   E1  whoever reads the path finds the old file or the new one, whole
 *   E2  a file that a node would refuse never takes the place of one
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/users_edit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/table.h"
#include "access/token.h"
#include "base/alloc.h"
#include "base/fail.h"

#define ROOM_BYTES ((size_t)DXI_ACCESS_FILE_BYTES_MAX + 65536) /* of a text that is changed */
#define TOKEN_KEY "token_sha256"

/* A file that is changed. */
typedef struct edit {
    char path[PATH_MAX]; /* without symbolic links */
    int fd;              /* locked */
    bool is_new;         /* made by us, and empty until it is replaced */
    struct stat status;
    char *text; /* ROOM_BYTES */
    size_t bytes;
    dxi_access_table_t *table; /* what the text said in the beginning */
    const char *name;          /* of the user */
    dx_error_t *error;
} edit_t;

/* ---------------------------------------------------------------------------------------- files */

/* Opens and locks the file that the path names now: another one may take its place meanwhile. */
static int file_lock(edit_t *edit, bool may_make)
{
    for (;;) {
        struct stat now;
        edit->fd = open(edit->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        edit->is_new = false;
        if (edit->fd < 0 && errno == ENOENT && may_make) {
            edit->fd = open(edit->path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
            edit->is_new = edit->fd >= 0;
            if (edit->fd < 0 && errno == EEXIST) {
                continue;
            }
        }
        if (edit->fd < 0) {
            return dxi_fail_os(edit->error, dxi_code_of_errno(errno), errno, "%s", edit->path);
        }
        if (flock(edit->fd, LOCK_EX) != 0 || fstat(edit->fd, &edit->status) != 0) {
            return dxi_fail_os(edit->error, DX_EIO, errno, "%s", edit->path);
        }
        if (stat(edit->path, &now) == 0 && now.st_ino == edit->status.st_ino &&
            now.st_dev == edit->status.st_dev) {
            return DX_OK;
        }
        (void)close(edit->fd);
    }
}

static int text_read(edit_t *edit)
{
    while (edit->bytes <= DXI_ACCESS_FILE_BYTES_MAX) {
        const ssize_t got = read(edit->fd, edit->text + edit->bytes, ROOM_BYTES - 1 - edit->bytes);
        if (got < 0 && errno != EINTR) {
            return dxi_fail_os(edit->error, DX_EIO, errno, "%s", edit->path);
        }
        if (got == 0) {
            break;
        }
        edit->bytes += got > 0 ? (size_t)got : 0;
    }
    if (edit->bytes > 0 && edit->text[edit->bytes - 1] != '\n') {
        edit->text[edit->bytes++] = '\n';
    }
    return dxi_access_table_parse(edit->text, edit->bytes, edit->path, &edit->table, edit->error);
}

/* `must_exist`: a file that is not there is no new one. */
static int edit_begin(edit_t *edit, const char *path, bool must_exist)
{
    if (realpath(path, edit->path) == NULL) {
        if (errno != ENOENT || must_exist) {
            return dxi_fail_os(edit->error, dxi_code_of_errno(errno), errno, "%s", path);
        }
        if (strlen(path) >= sizeof edit->path - 16) {
            return dxi_fail(edit->error, DX_EINVAL, "the path %.60s... is too long", path);
        }
        (void)snprintf(edit->path, sizeof edit->path, "%s", path);
    }
    edit->text = dxi_alloc_zeroed(1, ROOM_BYTES);
    if (edit->text == NULL) {
        return dxi_fail(edit->error, DX_ENOMEM, "no memory for %s", path);
    }
    const int code = file_lock(edit, !must_exist);
    return code != DX_OK ? code : text_read(edit);
}

static void edit_end(edit_t *edit, int code)
{
    if (code != DX_OK && edit->is_new) {
        (void)unlink(
            edit->path); /* under the lock: who waits for it finds it gone, and makes one */
    }
    dxi_access_table_release(edit->table);
    dxi_free(edit->text);
    if (edit->fd >= 0) {
        (void)close(edit->fd);
    }
}

/* Writes all of the text and has it on the disk. Returns 0, or errno. */
static int text_write(const edit_t *edit, int fd)
{
    for (size_t at = 0; at < edit->bytes;) {
        const ssize_t wrote = write(fd, edit->text + at, edit->bytes - at);
        if (wrote < 0 && errno != EINTR) {
            return errno;
        }
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    if ((edit->status.st_uid != geteuid() || edit->status.st_gid != getegid()) &&
        fchown(fd, edit->status.st_uid, edit->status.st_gid) != 0) {
        return errno;
    }
    if (fchmod(fd, edit->status.st_mode & 0777) != 0) {
        return errno;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

static void folder_sync(const char *path)
{
    char copy[PATH_MAX];
    (void)snprintf(copy, sizeof copy, "%s", path);
    const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

/* E1. */
static int file_replace(edit_t *edit)
{
    char beside[PATH_MAX + 16];
    (void)snprintf(beside, sizeof beside, "%s.XXXXXX", edit->path);
    const int fd = mkostemp(beside, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        return dxi_fail_os(edit->error, dxi_code_of_errno(errno), errno,
                           "no file can be made beside %s", edit->path);
    }
    int os_errno = text_write(edit, fd);
    (void)close(fd);
    if (os_errno == 0 && rename(beside, edit->path) != 0) {
        os_errno = errno;
    }
    if (os_errno != 0) {
        (void)unlink(beside);
        return dxi_fail_os(edit->error, dxi_code_of_errno(os_errno), os_errno,
                           "%s can't be written", edit->path);
    }
    folder_sync(edit->path);
    return DX_OK;
}

/* ---------------------------------------------------------------------------------------- lines */

/* Where a line begins; the text's end behind the last. Lines count from 1. */
static size_t line_begin(const edit_t *edit, int line)
{
    size_t at = 0;
    for (int i = 1; i < line && at < edit->bytes; i++) {
        const char *const end = memchr(edit->text + at, '\n', edit->bytes - at);
        at = end == NULL ? edit->bytes : (size_t)(end - edit->text) + 1;
    }
    return at;
}

static size_t line_end(const edit_t *edit, size_t begin)
{
    const char *const end = memchr(edit->text + begin, '\n', edit->bytes - begin);
    return end == NULL ? edit->bytes : (size_t)(end - edit->text) + 1;
}

static size_t indentation(const edit_t *edit, size_t begin)
{
    size_t blanks = 0;
    while (begin + blanks < edit->bytes && edit->text[begin + blanks] == ' ') {
        blanks++;
    }
    return blanks;
}

/* Whether a line says nothing: blank, or a comment. */
static bool is_silent(const edit_t *edit, size_t begin)
{
    const char first = edit->text[begin + indentation(edit, begin)];
    return first == '\n' || first == '\r' || first == '#' || first == '\0';
}

/* Where what begins in a line ends: before the next line that says something and is not indented
 * deeper, without silent lines before that. */
static size_t block_end(const edit_t *edit, size_t begin)
{
    const size_t depth = indentation(edit, begin);
    size_t end = line_end(edit, begin);
    for (size_t at = end; at < edit->bytes; at = line_end(edit, at)) {
        if (is_silent(edit, at)) {
            continue;
        }
        if (indentation(edit, at) <= depth) {
            break;
        }
        end = line_end(edit, at);
    }
    return end;
}

/* Puts `text` in the place of what stands from `begin` to `end`. */
static int lines_put(edit_t *edit, size_t begin, size_t end, const char *text)
{
    const size_t bytes = strlen(text);
    if (edit->bytes - (end - begin) + bytes > DXI_ACCESS_FILE_BYTES_MAX) {
        return dxi_fail(edit->error, DX_ELIMIT, "%s would be longer than %d bytes", edit->path,
                        DXI_ACCESS_FILE_BYTES_MAX);
    }
    memmove(edit->text + begin + bytes, edit->text + end, edit->bytes - end);
    memcpy(edit->text + begin, text, bytes);
    edit->bytes = edit->bytes - (end - begin) + bytes;
    return DX_OK;
}

static int by_hand(const edit_t *edit)
{
    return dxi_fail(edit->error, DX_ENOTSUP,
                    "%s is written in a way that only a person can change; edit it by hand",
                    edit->path);
}

/* Whether a user stands in a line of its own: its name, a colon, and, where keys are to be put
 * below it, nothing more but a comment. */
static bool is_plain(const edit_t *edit, const dxi_access_user_t *user, bool keys)
{
    const size_t begin = line_begin(edit, user->line), end = line_end(edit, begin);
    size_t at = begin + indentation(edit, begin);
    const size_t bytes = strlen(user->name);
    if (end - at <= bytes || memcmp(edit->text + at, user->name, bytes) != 0 ||
        edit->text[at + bytes] != ':') {
        return false;
    }
    at += bytes + 1;
    at += strspn(edit->text + at, " ");
    return !keys || edit->text[at] == '\n' || edit->text[at] == '\r' || edit->text[at] == '#';
}

/* E2: reads the result; its users must be those of before, and the one that is changed there or not
 * there (`count` in all). */
static int result_take(edit_t *edit, size_t count, bool there)
{
    dxi_access_table_t *table = NULL;
    dx_error_t why = {.code = 0};
    int code = dxi_access_table_parse(edit->text, edit->bytes, edit->path, &table, &why);
    bool good = code == DX_OK && table->user_count == count &&
                (dxi_access_table_find(table, edit->name) != NULL) == there;
    for (uint32_t i = 0; good && i < edit->table->user_count; i++) {
        const char *const name = edit->table->users[i].name;
        good = strcmp(name, edit->name) == 0 || dxi_access_table_find(table, name) != NULL;
    }
    dxi_access_table_release(table);
    if (good) {
        return file_replace(edit);
    }
    if (code == DX_OK || code == DX_EPARSE) {
        return by_hand(edit);
    }
    if (edit->error != NULL) {
        *edit->error = why;
    }
    return code;
}

/* -------------------------------------------------------------------------------------- changes */

/* A text in quotes, so that YAML takes it as it is. Returns its length, 0: no room. */
static size_t quoted_write(char *to, size_t room, const char *text)
{
    size_t used = 0;
    if (room < 2 * strlen(text) + 3) {
        return 0;
    }
    to[used++] = '"';
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            to[used++] = '\\';
        }
        to[used++] = *text;
    }
    to[used++] = '"';
    to[used] = '\0';
    return used;
}

/* "    publish: ["a", "b"]\n" */
static int value_write(edit_t *edit, char *to, size_t room, size_t *used, size_t depth,
                       const dxi_users_value_t *value)
{
    static const size_t AROUND = 128; /* what stands around the texts: depth, key, brackets */
    bool fits = room - *used > AROUND;
    if (fits) {
        *used += (size_t)snprintf(to + *used, AROUND, "%*s%s: %s", (int)depth, "", value->key,
                                  value->count > 1 ? "[" : "");
    }
    for (size_t i = 0; fits && i < value->count; i++) {
        if (i > 0) {
            *used += (size_t)snprintf(to + *used, AROUND, ", ");
        }
        const size_t bytes = room - *used > AROUND
                                 ? quoted_write(to + *used, room - *used - AROUND, value->texts[i])
                                 : 0;
        *used += bytes;
        fits = bytes != 0 && room - *used > AROUND;
    }
    if (!fits) {
        return dxi_fail(edit->error, DX_ELIMIT, "%s of %s is too long; edit the file by hand",
                        value->key, edit->name);
    }
    *used += (size_t)snprintf(to + *used, AROUND, "%s\n", value->count > 1 ? "]" : "");
    return DX_OK;
}

/* Where a new user is put: behind the last one; behind "users:"; at the end, with "users:" first.
 * And how deep names stand there. */
static size_t place_of_new(const edit_t *edit, bool *section_out, size_t *depth_out)
{
    const dxi_access_table_t *const table = edit->table;
    *section_out = false;
    *depth_out = 2;
    if (table->user_count > 0) {
        const size_t last = line_begin(edit, table->users[table->user_count - 1].line);
        const size_t depth = indentation(edit, last);
        *depth_out = depth < 32 ? depth : 32;
        return block_end(edit, last);
    }
    for (size_t at = 0; at < edit->bytes; at = line_end(edit, at)) {
        if (strncmp(edit->text + at, "users:", 6) == 0) {
            return line_end(edit, at);
        }
    }
    *section_out = true;
    return edit->bytes;
}

static int user_add(edit_t *edit, const dxi_users_value_t *values, size_t count, char *block)
{
    bool section = false;
    const size_t room = 65536;
    size_t used = 0, depth = 0;
    assert(edit->table != NULL);
    if (!dxi_access_name_ok(edit->name)) {
        return dxi_fail(edit->error, DX_EINVAL,
                        "user \"%.70s\" must be 1 to %d letters, digits, '-' or '_'", edit->name,
                        DXI_ACCESS_NAME_BYTES_MAX);
    }
    const dxi_access_user_t *const found = dxi_access_table_find(edit->table, edit->name);
    if (found != NULL) {
        return dxi_fail(edit->error, DX_EEXIST, "%s:%d: there is a user %s", edit->path,
                        found->line, edit->name);
    }
    if (edit->table->user_count > 0 &&
        !is_plain(edit, &edit->table->users[edit->table->user_count - 1], false)) {
        return by_hand(edit);
    }
    const size_t place = place_of_new(edit, &section, &depth);
    used += (size_t)snprintf(block, room, "%s%*s%s:\n", section ? "users:\n" : "", (int)depth, "",
                             edit->name);
    int code = DX_OK;
    for (size_t i = 0; i < count && code == DX_OK; i++) {
        if (values[i].count > 0) {
            code = value_write(edit, block, room, &used, depth + 2, &values[i]);
        }
    }
    code = code != DX_OK ? code : lines_put(edit, place, place, block);
    return code != DX_OK ? code : result_take(edit, (size_t)edit->table->user_count + 1, true);
}

int dxi_users_add(const char *path, const char *name, const dxi_users_value_t *values, size_t count,
                  dx_error_t *error)
{
    edit_t edit = {.fd = -1, .name = name, .error = error};
    char *const block = dxi_alloc_zeroed(1, 65536);
    int code = block == NULL ? dxi_fail(error, DX_ENOMEM, "no memory for a user")
                             : edit_begin(&edit, path, false);
    if (code == DX_OK) {
        code = user_add(&edit, values, count, block);
    }
    edit_end(&edit, code);
    dxi_free(block);
    return code;
}

/* The user that is changed; NULL with the error. */
static const dxi_access_user_t *user_of(edit_t *edit)
{
    const dxi_access_user_t *const found = dxi_access_table_find(edit->table, edit->name);
    if (found == NULL) {
        (void)dxi_fail(edit->error, DX_ENOTFOUND, "%s has no user %.70s", edit->path, edit->name);
    }
    return found;
}

int dxi_users_remove(const char *path, const char *name, dx_error_t *error)
{
    edit_t edit = {.fd = -1, .name = name, .error = error};
    int code = edit_begin(&edit, path, true);
    const dxi_access_user_t *const user = code == DX_OK ? user_of(&edit) : NULL;
    if (code == DX_OK && user == NULL) {
        code = DX_ENOTFOUND;
    }
    if (code == DX_OK && !is_plain(&edit, user, false)) {
        code = by_hand(&edit);
    }
    if (code == DX_OK) {
        const size_t begin = line_begin(&edit, user->line);
        code = lines_put(&edit, begin, block_end(&edit, begin), "");
    }
    if (code == DX_OK) {
        code = result_take(&edit, (size_t)edit.table->user_count - 1, false);
    }
    edit_end(&edit, code);
    return code;
}

/* "    token_sha256: [new, those that are kept]" in the place of the line of before. */
static int token_set(edit_t *edit, const dxi_access_user_t *user,
                     const uint8_t hash[DXI_ACCESS_HASH_BYTES], bool keep)
{
    char line[128 + (DXI_ACCESS_TOKENS_MAX + 1) * (2 * DXI_ACCESS_HASH_BYTES + 8)];
    char text[2 * DXI_ACCESS_HASH_BYTES + 1];
    const uint32_t kept = keep ? user->token_count : 0;
    if (kept + 1 > DXI_ACCESS_TOKENS_MAX) {
        return dxi_fail(edit->error, DX_ELIMIT,
                        "user %s has %u tokens, which is the limit: a new one without the old ones",
                        edit->name, user->token_count);
    }
    if (!is_plain(edit, user, true)) {
        return by_hand(edit);
    }
    const size_t begin = line_begin(edit, user->line), end = block_end(edit, begin);
    size_t place = line_end(edit, begin), place_end = place;
    size_t depth = indentation(edit, begin) + 2;
    for (size_t at = place; at < end; at = line_end(edit, at)) {
        const size_t blanks = indentation(edit, at);
        depth = is_silent(edit, at) ? depth : blanks;
        if (strncmp(edit->text + at + blanks, TOKEN_KEY ":", sizeof TOKEN_KEY) == 0) {
            place = at;
            place_end = block_end(edit, at);
            break;
        }
    }
    dxi_token_hash_write(hash, text);
    size_t used = (size_t)snprintf(line, sizeof line, "%*s" TOKEN_KEY ": [\"%s\"",
                                   (int)(depth < 32 ? depth : 32), "", text);
    for (uint32_t i = 0; i < kept; i++) {
        dxi_token_hash_write(user->tokens[i], text);
        used += (size_t)snprintf(line + used, sizeof line - used, ", \"%s\"", text);
    }
    (void)snprintf(line + used, sizeof line - used, "]\n");
    return lines_put(edit, place, place_end, line);
}

int dxi_users_set_token(const char *path, const char *name,
                        const uint8_t hash[DXI_ACCESS_HASH_BYTES], bool keep, dx_error_t *error)
{
    edit_t edit = {.fd = -1, .name = name, .error = error};
    int code = edit_begin(&edit, path, true);
    const dxi_access_user_t *const user = code == DX_OK ? user_of(&edit) : NULL;
    if (code == DX_OK && user == NULL) {
        code = DX_ENOTFOUND;
    }
    if (code == DX_OK) {
        code = token_set(&edit, user, hash, keep);
    }
    if (code == DX_OK) {
        code = result_take(&edit, edit.table->user_count, true);
    }
    edit_end(&edit, code);
    return code;
}
