/* node_files.c - whether a node could start with the files that its configuration names.
 *
 * What is read is read as dx_node_create() does, and given back. What is written is not made:
 * whoever checks is often another user than the node is, and a log of root's would keep it from
 * starting.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "node/config_internal.h"
#include "node/node_access.h"

static int token_check(const dx_config_t *config, dx_error_t *error)
{
    dxi_token_t token;
    const int code = dxi_token_read(config, &token, error);
    explicit_bzero(&token, sizeof token);
    return code;
}

static int log_check(const dx_config_t *config, dx_error_t *error)
{
    const char *const path = dx_config_text(config, "log.file");
    const int code = path[0] != '\0' ? dxi_file_append_check(path, error) : DX_OK;
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "log.file");
    }
    return code;
}

static int tls_check(const dx_config_t *config, dx_error_t *error)
{
    dxi_tls_options_t options;
    dxi_tls_t *tls = NULL;
    dxi_node_tls_options(config, &options);
    const int code =
        options.certificate_file != NULL ? dxi_tls_create(&options, &tls, error) : DX_OK;
    dxi_tls_destroy(tls);
    return code;
}

static int trace_check(const dx_config_t *config, dx_error_t *error)
{
    dx_tracer_t *tracer = NULL;
    const int code = dxi_node_tracer_make(config, "check", NULL, &tracer, error);
    dx_tracer_destroy(tracer, 0);
    return code;
}

int dxi_config_files_check(const dx_config_t *config, dx_error_t *error)
{
    static int (*const CHECKS[])(const dx_config_t *config, dx_error_t *error) = {
        log_check, token_check, tls_check, dxi_node_access_check, dxi_node_admin_check, trace_check,
    };
    int code = DX_OK;
    for (size_t i = 0; i < sizeof CHECKS / sizeof CHECKS[0] && code == DX_OK; i++) {
        code = CHECKS[i](config, error);
    }
    return code;
}
