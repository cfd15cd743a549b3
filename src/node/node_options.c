/* node_options.c - what a configuration says, as options of the layers below. Every row of the
 * table that is no text of the node itself is used here, once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fail.h"
#include "node/config_internal.h"
#include "node/node_internal.h"

static uint32_t number32(const dx_config_t *config, const char *name)
{
    return (uint32_t)dx_config_integer(config, name);
}

/* 0 in the table is "never", which is -1 below: there, 0 is the default. */
static int64_t or_never(int64_t ns)
{
    return ns != 0 ? ns : -1;
}

void dxi_node_topic_options(const dx_config_t *config, dx_topic_options_t *options_out)
{
    const int64_t events = dx_config_integer(config, "topics.retain_events");
    *options_out = (dx_topic_options_t){
        .retain_events = events != 0 ? (uint64_t)events : DX_RETAIN_NONE,
        .retain_bytes = (uint64_t)dx_config_integer(config, "topics.retain_bytes"),
        .retain_age_ns = dx_config_integer(config, "topics.retain_age_s"),
    };
}

void dxi_node_bus_options(const dx_config_t *config, dx_log_t *log, dx_bus_options_t *options_out)
{
    *options_out = (dx_bus_options_t){
        .shards = number32(config, "bus.shards"),
        .loops = number32(config, "bus.loops"),
        .shard_ring_bytes = number32(config, "bus.shard_ring_bytes"),
        .event_bytes_max = number32(config, "bus.event_bytes_max"),
        .topics_max = number32(config, "bus.topics_max"),
        .retain_bytes_max = (uint64_t)dx_config_integer(config, "topics.retain_bytes_max"),
        .producers_max = number32(config, "bus.producers_max"),
        .subscriptions_max = number32(config, "bus.subscriptions_max"),
        .busy_poll = dx_config_bool(config, "bus.busy_poll"),
        .spin_ns = or_never(dx_config_integer(config, "bus.spin_us")),
        .no_topic_creation = !dx_config_bool(config, "bus.topic_creation"),
        .log = log,
    };
    dxi_node_topic_options(config, &options_out->topic);
    /* The text was checked when it was set. */
    (void)!dx_cpu_set_parse(dx_config_text(config, "bus.cpus"), &options_out->cpus, NULL);
}

void dxi_node_connection_options(const dx_node_t *node, dxi_connection_options_t *options_out)
{
    const dx_config_t *const config = node->config;
    *options_out = (dxi_connection_options_t){
        .receive_bytes = number32(config, "limits.receive_bytes"),
        .send_bytes = number32(config, "limits.send_bytes"),
        .frame_bytes_max = number32(config, "limits.frame_bytes_max"),
        .handshake_timeout_ns = dx_config_integer(config, "timeouts.handshake_ms"),
        .keep_alive_ns = or_never(dx_config_integer(config, "timeouts.keep_alive_ms")),
        .idle_timeout_ns = or_never(dx_config_integer(config, "timeouts.idle_ms")),
        .drain_timeout_ns = dx_config_integer(config, "timeouts.close_ms"),
        .shm = dx_config_bool(config, "local.enabled"),
        .shm_any_user = dx_config_bool(config, "local.any_user"),
        .shm_ring_bytes = number32(config, "local.ring_bytes"),
        .name = node->name,
        .node_id = node->id,
        /* The words of the table are in the order of the numbers. */
        .compression = (dx_compression_t)dx_config_integer(config, "listen.compression"),
        .log = node->log.log,
    };
}

void dxi_node_policy_limits(const dx_config_t *config, dxi_session_policy_t *policy)
{
    dx_store_relaxed(&policy->subscriptions_max,
                     dx_config_integer(config, "limits.subscriptions_per_connection_max"));
    dx_store_relaxed(&policy->publish_credit_events,
                     dx_config_integer(config, "limits.publish_credit_events"));
    dx_store_relaxed(&policy->publish_credit_bytes,
                     dx_config_integer(config, "limits.publish_credit_bytes"));
}

static const char *text_or_null(const dx_config_t *config, const char *name)
{
    const char *const text = dx_config_text(config, name);
    return text[0] != '\0' ? text : NULL;
}

uint32_t dxi_node_trace_sample(const dx_config_t *config)
{
    const uint32_t sample = number32(config, "trace.sample");
    return sample != 0 ? sample : DX_TRACE_NEVER;
}

int dxi_node_tracer_make(const dx_config_t *config, const char *instance, dx_log_t *log,
                         dx_tracer_t **tracer_out, dx_error_t *error)
{
    const dx_tracer_options_t options = {
        .endpoint = text_or_null(config, "trace.endpoint"),
        .headers = text_or_null(config, "trace.headers"),
        .authority_file = text_or_null(config, "trace.authority_file"),
        .service_name = "disruptorx",
        .instance = instance,
        .sample = dxi_node_trace_sample(config),
        .buffer_spans = number32(config, "trace.buffer_spans"),
        .batch_spans = number32(config, "trace.batch_spans"),
        .batch_bytes = number32(config, "trace.batch_bytes"),
        .interval_ns = dx_config_integer(config, "trace.interval_ms"),
        .timeout_ns = dx_config_integer(config, "trace.timeout_ms"),
        .log = log,
    };
    *tracer_out = NULL;
    const int code =
        options.endpoint != NULL ? dx_tracer_create(&options, tracer_out, error) : DX_OK;
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "trace");
    }
    return code;
}

void dxi_node_tls_options(const dx_config_t *config, dxi_tls_options_t *options_out)
{
    *options_out = (dxi_tls_options_t){
        .server = true,
        .certificate_file = text_or_null(config, "tls.certificate_file"),
        .key_file = text_or_null(config, "tls.key_file"),
        .authority_file = text_or_null(config, "tls.authority_file"),
        .verify_peer = dx_config_bool(config, "tls.verify_peer"),
    };
}

dx_log_level_t dxi_node_log_level(const dx_config_t *config)
{
    dx_log_level_t level = DX_LOG_LEVEL_INFO; /* the words of the table are those of the log */
    (void)!dx_log_level_parse(dx_config_text(config, "log.level"), &level, NULL);
    return level;
}

void dxi_node_log_options(const dx_config_t *config, dx_log_options_t *options_out)
{
    const int32_t burst = (int32_t)dx_config_integer(config, "log.burst");
    *options_out = (dx_log_options_t){
        .level = dxi_node_log_level(config),
        .format =
            dx_config_integer(config, "log.format") == 0 ? DX_LOG_FORMAT_TEXT : DX_LOG_FORMAT_JSON,
        .burst = burst != 0 ? burst : -1,
    };
}
