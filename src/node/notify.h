/* node/notify.h - tells the service manager how far the daemon is (systemd's sd_notify protocol).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_NOTIFY_H
#define DXI_NODE_NOTIFY_H

/* Sends lines such as "READY=1" to the socket that NOTIFY_SOCKET names; without it, nothing. Never
 * waits: what can't be sent is not sent.
 * Threads: main. */
void dxi_notify(const char *lines);

/* The same for the begin of a reload, which has to carry the time. Threads: main. */
void dxi_notify_reloading(void);

#endif
