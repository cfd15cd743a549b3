/* dev_node.c - a node with nothing to configure, in this process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/dev_node.h"

#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "disruptorx/clock.h"

#define STOP_NS (5 * DX_NS_PER_S)

int dxi_config_apply(dx_config_t *config, const char *setting, dx_error_t *error)
{
    char name[DX_CONFIG_NAME_BYTES_MAX + 1];
    const char *const equals = strchr(setting, '=');
    if (equals == NULL || equals == setting || (size_t)(equals - setting) >= sizeof name) {
        return dxi_fail(error, DX_EINVAL, "%.80s must be section.option=value", setting);
    }
    memcpy(name, setting, (size_t)(equals - setting));
    name[equals - setting] = '\0';
    return dx_config_set(config, name, equals + 1, error);
}

static int listen_set(dx_config_t *config, dxi_dev_transport_t transport, dxi_dev_node_t *dev,
                      dx_error_t *error)
{
    const bool is_tcp = transport == DXI_DEV_TCP;
    const int result =
        dx_config_set(config, "listen.addresses", is_tcp ? "tcp://127.0.0.1:0" : "", error);
    return result == DX_OK && !is_tcp ? dxi_dev_begin(config, dev->folder, error) : result;
}

int dxi_dev_node_start(dxi_dev_transport_t transport, const char *const *settings,
                       int setting_count, dxi_dev_node_t *dev_out, dx_error_t *error)
{
    dx_config_t *config = NULL;
    memset(dev_out, 0, sizeof *dev_out);
    int result = dx_config_create(&config, error);
    if (result == DX_OK) {
        result = dx_config_set(config, "log.level", "error", error);
    }
    if (result == DX_OK) {
        result = listen_set(config, transport, dev_out, error);
    }
    for (int i = 0; i < setting_count && result == DX_OK; i++) {
        result = dxi_config_apply(config, settings[i], error);
    }
    if (result == DX_OK) {
        result = dx_node_create(config, &dev_out->node, error);
    }
    if (result == DX_OK) {
        result = dx_node_start(dev_out->node, error);
    }
    if (result == DX_OK) {
        const char *const address = dx_node_address(dev_out->node, 0);
        const bool shm = transport == DXI_DEV_SHM; /* it listens on unix:// all the same */
        (void)snprintf(dev_out->address, sizeof dev_out->address, "%s%s", shm ? "shm" : "",
                       shm ? strchr(address, ':') : address);
    }
    dx_config_destroy(config);
    if (result != DX_OK) {
        dx_node_destroy(dev_out->node);
        dxi_dev_end(dev_out->folder);
        memset(dev_out, 0, sizeof *dev_out);
    }
    return result;
}

const char *dxi_dev_transport_text(dxi_dev_transport_t transport)
{
    switch (transport) {
    case DXI_DEV_TCP:
        return "TCP on 127.0.0.1";
    case DXI_DEV_SHM:
        return "shared memory";
    default:
        return "a UNIX socket";
    }
}

const char *dxi_dev_node_address(const dxi_dev_node_t *dev)
{
    return dev->address;
}

void dxi_dev_node_stop(dxi_dev_node_t *dev)
{
    if (dev->node != NULL) {
        (void)dx_node_stop(dev->node, STOP_NS, NULL); /* what was left is in the caller's counts */
        dx_node_destroy(dev->node);
        dxi_dev_end(dev->folder);
    }
    memset(dev, 0, sizeof *dev);
}
