/* trace/post.h - one HTTP request after the other to one collector, by libcurl.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_TRACE_POST_H
#define DXI_TRACE_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/atomic.h"
#include "disruptorx/error.h"

#define DXI_POST_URL_BYTES_MAX 2048
#define DXI_POST_HEADERS_BYTES_MAX 8192
#define DXI_POST_ANSWER_BYTES_MAX 65536 /* more of an answer is not kept */
#define DXI_POST_PATH "/v1/traces"

typedef struct dxi_post dxi_post_t; /* opaque */

/* Checks a URL, and writes it with the path of OTLP where it has none.
 * Returns DX_OK, DX_EINVAL. Threads: any. */
DX_NODISCARD int dxi_post_url(const char *endpoint, char url_out[DXI_POST_URL_BYTES_MAX + 1],
                              dx_error_t *error);

/* Checks "name=value,name=value". The sentence has no value in it.
 * Returns DX_OK, DX_EINVAL, DX_ELIMIT. Threads: any. */
DX_NODISCARD int dxi_post_headers_check(const char *headers, dx_error_t *error);

/* A file of authorities is read at the first request. Returns DX_OK, DX_ENOMEM. Threads: any. */
DX_NODISCARD int dxi_post_create(const char *url, const char *authority_file, int64_t timeout_ns,
                                 dxi_post_t **post_out, dx_error_t *error);
void dxi_post_destroy(dxi_post_t *post);

/* Other headers, that were checked. Returns DX_OK, DX_ENOMEM. Threads: owner. */
DX_NODISCARD int dxi_post_set_headers(dxi_post_t *post, const char *headers);

typedef struct dxi_post_answer {
    int status;            /* of HTTP; 0: there was no answer */
    int64_t retry_after_s; /* 0: not said */
    const char *text;      /* valid until the next request */
    size_t bytes;
    const char *sentence; /* without an answer: why */
} dxi_post_answer_t;

/* Sends a request and waits for its answer. It is given up early when dx_clock_ns() is beyond
 * `*deadline_ns`, which others may change meanwhile. Threads: owner. */
void dxi_post_send(dxi_post_t *post, const char *body, size_t bytes,
                   const dx_atomic64_t *deadline_ns, dxi_post_answer_t *answer_out);

#endif
