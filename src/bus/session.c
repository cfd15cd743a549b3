/* session.c - connections of clients.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/runtime.h"

int dxi_sessions_create(dxi_bus_loop_t *loop, dx_error_t *error)
{
    (void)loop;
    (void)error;
    return DX_OK;
}
void dxi_sessions_destroy(dxi_bus_loop_t *loop)
{
    (void)loop;
}
int dxi_sessions_run(dxi_bus_loop_t *loop, int64_t now_ns)
{
    (void)loop;
    (void)now_ns;
    return 0;
}
void dxi_sessions_settle(dxi_bus_loop_t *loop)
{
    (void)loop;
}
void dxi_session_answer(dxi_bus_loop_t *from, uint64_t origin, const dxi_answer_t *answer)
{
    (void)from;
    (void)origin;
    (void)answer;
}
int dxi_bus_sessions_close(dx_bus_t *bus, int64_t timeout_ns)
{
    (void)bus;
    (void)timeout_ns;
    return 0;
}
