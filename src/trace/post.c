/* post.c - requests to the collector: one connection that is kept, one request at a time.
 *
 * Redirects are not followed and the environment's proxies are not used: spans, and the headers
 * that are a secret, go where the configuration says and nowhere else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "trace/post.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "disruptorx/clock.h"
#include "disruptorx/trace.h"

struct dxi_post {
    CURL *curl;
    struct curl_slist *headers;
    const dx_atomic64_t *deadline_ns; /* of the request that runs */
    size_t bytes;
    char url[DXI_POST_URL_BYTES_MAX + 1];
    char why[CURL_ERROR_SIZE];
    char answer[DXI_POST_ANSWER_BYTES_MAX];
};

/* --------------------------------------------------------------------------------------- checks */

static size_t scheme_bytes(const char *endpoint)
{
    static const char *const SCHEMES[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof SCHEMES / sizeof SCHEMES[0]; i++) {
        if (strncmp(endpoint, SCHEMES[i], strlen(SCHEMES[i])) == 0) {
            return strlen(SCHEMES[i]);
        }
    }
    return 0;
}

int dxi_post_url(const char *endpoint, char url_out[DXI_POST_URL_BYTES_MAX + 1], dx_error_t *error)
{
    for (const char *at = endpoint; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f || *at == '@') {
            return dxi_fail(error, DX_EINVAL,
                            "the endpoint has the byte 0x%02x, must be a URL without blanks, user "
                            "or password",
                            (unsigned char)*at);
        }
    }
    const size_t scheme = scheme_bytes(endpoint);
    const char *const host = endpoint + scheme;
    if (scheme == 0 || *host == '\0' || *host == '/' || *host == ':') {
        return dxi_fail(error, DX_EINVAL,
                        "the endpoint is \"%.100s\", must be http://host:port or https://host:port",
                        endpoint);
    }
    const char *const path = strchr(host, '/');
    const bool bare = path == NULL || path[1] == '\0';
    const size_t bytes = strlen(endpoint) - (bare && path != NULL);
    if (bytes + (bare ? sizeof DXI_POST_PATH - 1 : 0) > DXI_POST_URL_BYTES_MAX) {
        return dxi_fail(error, DX_EINVAL, "the endpoint has %zu bytes, must have at most %zu",
                        bytes, (size_t)DXI_POST_URL_BYTES_MAX - sizeof DXI_POST_PATH + 1);
    }
    (void)snprintf(url_out, DXI_POST_URL_BYTES_MAX + 1, "%.*s%s", (int)bytes, endpoint,
                   bare ? DXI_POST_PATH : "");
    return DX_OK;
}

/* The end of one "name=value", and its '='; NULL: there is none. */
static const char *header_end(const char *at, const char **equals_out)
{
    const char *const end = at + strcspn(at, ",");
    const char *const equals = memchr(at, '=', (size_t)(end - at));
    *equals_out = equals;
    return end;
}

/* Whether a byte may stand in the name of a header (RFC 9110, token). */
static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_value(char c)
{
    return (unsigned char)c >= ' ' && (unsigned char)c < 0x7f;
}

static int header_check(const char *at, const char *equals, const char *end, int number,
                        dx_error_t *error)
{
    if (equals == NULL || equals == at) {
        return dxi_fail(error, DX_EINVAL, "header %d has no name or no '='", number);
    }
    for (const char *c = at; c < end; c++) {
        if (c < equals ? !is_name(*c) : !is_value(*c)) {
            return dxi_fail(error, DX_EINVAL, "header %d has the byte 0x%02x in its %s", number,
                            (unsigned char)*c, c < equals ? "name" : "value");
        }
    }
    return DX_OK;
}

int dxi_post_headers_check(const char *headers, dx_error_t *error)
{
    if (strnlen(headers, DXI_POST_HEADERS_BYTES_MAX + 1) > DXI_POST_HEADERS_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "the headers have more than %d bytes",
                        DXI_POST_HEADERS_BYTES_MAX);
    }
    int number = 0;
    for (const char *at = headers; *at != '\0';) {
        const char *equals = NULL;
        const char *const end = header_end(at, &equals);
        if (++number > DX_TRACE_HEADERS_MAX) {
            return dxi_fail(error, DX_ELIMIT, "there are more than %d headers",
                            DX_TRACE_HEADERS_MAX);
        }
        const int code = header_check(at, equals, end, number, error);
        if (code != DX_OK) {
            return code;
        }
        at = *end == ',' ? end + 1 : end;
    }
    return DX_OK;
}

/* -------------------------------------------------------------------------------------- headers */

static bool header_add(struct curl_slist **list, const char *line)
{
    struct curl_slist *const longer = curl_slist_append(*list, line);
    if (longer == NULL) {
        return false;
    }
    *list = longer;
    return true;
}

/* Wipes what curl_slist_free_all() would leave behind. */
static void headers_free(struct curl_slist *list)
{
    for (struct curl_slist *it = list; it != NULL; it = it->next) {
        explicit_bzero(it->data, strlen(it->data));
    }
    curl_slist_free_all(list);
}

int dxi_post_set_headers(dxi_post_t *post, const char *headers)
{
    char line[DXI_POST_HEADERS_BYTES_MAX + 4];
    struct curl_slist *list = NULL;
    /* No "Expect: 100-continue", which would cost a round trip for each large batch. */
    bool fits = header_add(&list, "Content-Type: application/json") && header_add(&list, "Expect:");
    for (const char *at = headers; fits && *at != '\0';) {
        const char *equals = at;
        const char *const end = header_end(at, &equals);
        const bool empty = equals + 1 == end; /* "name;" is a header without a value */
        (void)snprintf(line, sizeof line, "%.*s%s%.*s", (int)(equals - at), at, empty ? ";" : ": ",
                       (int)(end - equals - 1), equals + 1);
        fits = header_add(&list, line);
        at = *end == ',' ? end + 1 : end;
    }
    explicit_bzero(line, sizeof line);
    if (!fits) {
        headers_free(list);
        return DX_ENOMEM;
    }
    (void)curl_easy_setopt(post->curl, CURLOPT_HTTPHEADER, list);
    headers_free(post->headers);
    post->headers = list;
    return DX_OK;
}

/* --------------------------------------------------------------------------------------- making */

static size_t answer_take(char *data, size_t size, size_t count, void *context)
{
    dxi_post_t *const post = context;
    const size_t bytes = size * count;
    const size_t room = sizeof post->answer - post->bytes;
    const size_t taken = bytes < room ? bytes : room;
    memcpy(post->answer + post->bytes, data, taken);
    post->bytes += taken;
    return bytes;
}

static int progress(void *context, curl_off_t to_get, curl_off_t got, curl_off_t to_send,
                    curl_off_t sent)
{
    const dxi_post_t *const post = context;
    (void)to_get;
    (void)got;
    (void)to_send;
    (void)sent;
    return dx_clock_ns() > dx_load_relaxed(post->deadline_ns); /* not 0: it is given up */
}

static void curl_prepare(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* without it curl_easy_init() fails */
}

static void curl_fill(dxi_post_t *post, const char *authority_file, int64_t timeout_ns)
{
    CURL *const curl = post->curl;
    const long timeout_ms = (long)((timeout_ns + DX_NS_PER_MS - 1) / DX_NS_PER_MS);
    (void)curl_easy_setopt(curl, CURLOPT_URL, post->url);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, post->why);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, answer_take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, post);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, progress);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, post);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "DisruptorX/" DX_VERSION_STRING);
    if (authority_file != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, authority_file);
    }
}

int dxi_post_create(const char *url, const char *authority_file, int64_t timeout_ns,
                    dxi_post_t **post_out, dx_error_t *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, curl_prepare);
    *post_out = NULL;
    dxi_post_t *const post = dxi_alloc_zeroed(1, sizeof *post);
    if (post == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for requests to a collector");
    }
    (void)snprintf(post->url, sizeof post->url, "%s", url);
    post->curl = curl_easy_init();
    if (post->curl == NULL) {
        dxi_post_destroy(post);
        return dxi_fail(error, DX_ENOMEM, "no memory for requests to a collector");
    }
    curl_fill(post, authority_file, timeout_ns);
    *post_out = post;
    return DX_OK;
}

void dxi_post_destroy(dxi_post_t *post)
{
    if (post == NULL) {
        return;
    }
    if (post->curl != NULL) {
        curl_easy_cleanup(post->curl);
    }
    headers_free(post->headers);
    dxi_free(post);
}

/* -------------------------------------------------------------------------------------- sending */

void dxi_post_send(dxi_post_t *post, const char *body, size_t bytes,
                   const dx_atomic64_t *deadline_ns, dxi_post_answer_t *answer_out)
{
    long status = 0;
    curl_off_t retry_after_s = 0;
    post->deadline_ns = deadline_ns;
    post->bytes = 0;
    post->why[0] = '\0';
    (void)curl_easy_setopt(post->curl, CURLOPT_POSTFIELDS, body);
    (void)curl_easy_setopt(post->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)bytes);
    const CURLcode code = curl_easy_perform(post->curl);
    answer_out->status = 0;
    answer_out->retry_after_s = 0;
    answer_out->text = post->answer;
    answer_out->bytes = post->bytes;
    answer_out->sentence = NULL;
    if (code != CURLE_OK) {
        answer_out->sentence = post->why[0] != '\0' ? post->why : curl_easy_strerror(code);
        return;
    }
    (void)curl_easy_getinfo(post->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(post->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    answer_out->status = (int)status;
    answer_out->retry_after_s = (int64_t)retry_after_s;
}
