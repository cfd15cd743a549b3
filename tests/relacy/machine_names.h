/* machine_names.h - included before every file that runs on the simulated machine: the few calls
 * that leave the ring go to machine.cpp instead of the system.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MACHINE_NAMES_H
#define MACHINE_NAMES_H

#define syscall machine_syscall
#define sched_yield machine_sched_yield
#define pthread_mutex_init machine_mutex_init
#define pthread_mutex_destroy machine_mutex_destroy
#define pthread_mutex_lock machine_mutex_lock
#define pthread_mutex_trylock machine_mutex_trylock
#define pthread_mutex_unlock machine_mutex_unlock
#define nanosleep machine_nanosleep
#define dx_clock_ns machine_clock_ns
#define dx_tsc_default machine_tsc
#define dx_thread_self_id machine_thread_id
#define dx_memory_map machine_memory_map
#define dx_memory_unmap machine_memory_unmap
#define dxi_alloc_zeroed machine_alloc_zeroed
#define dxi_free machine_free

/* The pause of a loop that waits: CMakeLists.txt names the instruction so. */
void machine_yield(void);

#endif
