/* commands.c - the thread that waits for loops on behalf of sessions.
 *
 * A session must not wait: it lives in a loop, and a command needs all of them. So it posts a
 * command here, and the answer comes back as a task of its loop. Commands of all sessions run one
 * after the other, in the order in which they were posted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/runtime.h"

void dxi_command_post(dx_bus_t *bus, dxi_command_t *command)
{
    command->next = NULL;
    (void)pthread_mutex_lock(&bus->queue_mutex);
    if (bus->queue_over) { /* the last connections, closed with their loop */
        (void)pthread_mutex_unlock(&bus->queue_mutex);
        command->run(command);
        return;
    }
    *bus->queue_last = command;
    bus->queue_last = &command->next;
    (void)pthread_cond_signal(&bus->queue_changed);
    (void)pthread_mutex_unlock(&bus->queue_mutex);
}

/* The next command; NULL when there is none and the thread ends. */
static dxi_command_t *command_next(dx_bus_t *bus)
{
    (void)pthread_mutex_lock(&bus->queue_mutex);
    while (bus->queue_first == NULL && !bus->queue_ends) {
        (void)pthread_cond_wait(&bus->queue_changed, &bus->queue_mutex);
    }
    dxi_command_t *command = bus->queue_first;
    if (command != NULL) {
        bus->queue_first = command->next;
        if (bus->queue_first == NULL) {
            bus->queue_last = &bus->queue_first;
        }
    }
    (void)pthread_mutex_unlock(&bus->queue_mutex);
    return command;
}

static void commands_run(void *context)
{
    dx_bus_t *bus = context;
    for (dxi_command_t *command; (command = command_next(bus)) != NULL;) {
        command->run(command);
    }
}

int dxi_commands_start(dx_bus_t *bus, dx_error_t *error)
{
    bus->queue_ends = false;
    return dx_thread_start(&(dx_thread_options_t){.name = "bus.commands"}, commands_run, bus,
                           &bus->command_thread, error);
}

void dxi_commands_stop(dx_bus_t *bus)
{
    (void)pthread_mutex_lock(&bus->queue_mutex);
    bus->queue_ends = true;
    (void)pthread_cond_signal(&bus->queue_changed);
    (void)pthread_mutex_unlock(&bus->queue_mutex);
    (void)dx_thread_join(bus->command_thread);
    bus->command_thread = NULL;
    (void)pthread_mutex_lock(&bus->queue_mutex);
    bus->queue_over = true;
    (void)pthread_mutex_unlock(&bus->queue_mutex);
}
