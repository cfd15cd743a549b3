/* bus/subscription.h - subscriptions of this process, as the bus sees them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_SUBSCRIPTION_H
#define DXI_BUS_SUBSCRIPTION_H

#include "bus/runtime.h"

/* Events that wait in subscriptions' queues, all together. Threads: no loop. */
int64_t dxi_subscriptions_queued(dx_bus_t *bus);

/* Ends all subscriptions of this process with DX_ECLOSED; their threads finish what is queued until
 * the deadline. Handles stay valid until the bus is destroyed. Threads: owner of the bus. */
void dxi_subscriptions_end(dx_bus_t *bus, int64_t deadline_ns);

/* Frees those that were left. Threads: owner of the bus, no loop runs. */
void dxi_subscriptions_destroy(dx_bus_t *bus);

#endif
