/* bus/direct_ask.h - what a client asks to get at the ring of a direct topic, and what it is told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_DIRECT_ASK_H
#define DXI_BUS_DIRECT_ASK_H

#include "disruptorx/bus.h"
#include "disruptorx/ring.h"

/* What a client is told that asks for a topic's ring. */
typedef struct dxi_direct_answer {
    bool direct; /* false: there is no such topic, or it is not direct */
    uint16_t shard;
    char ring[DX_RING_NAME_MAX + 1];
    char folder[256];
} dxi_direct_answer_t;

/* The ring of a topic. With `publish`, everything that was put into the topic's shard before the
 * call is in the ring when it returns, so that who goes on there overtakes nothing of his own.
 * Returns DX_OK, DX_EBUSY when the shard did not get so far in time, DX_ESTATE.
 * Threads: any that is no loop; waits for them. */
DX_NODISCARD int dxi_direct_ask(dx_bus_t *bus, const char *topic, bool publish,
                                dxi_direct_answer_t *answer_out, dx_error_t *error);

/* The same as texts: the question's argument is "publish TOPIC", "subscribe TOPIC", or "" for the
 * names of all direct topics. `*text_out` is malloc()ed. */
#define DXI_DIRECT_QUESTION "direct"
typedef bool (*dxi_direct_sees_fn)(void *context, const char *name); /* whether it is listed */
DX_NODISCARD int dxi_direct_ask_text(dx_bus_t *bus, const char *argument, dxi_direct_sees_fn sees,
                                     void *context, char **text_out, dx_error_t *error);

/* Pure: the topic in such an argument, NULL when there is none. Threads: any. */
const char *dxi_direct_topic_of(const char *argument, bool *publish_out);

/* Pure: reads what dxi_direct_ask_text() wrote. Returns DX_OK, DX_ECORRUPT. Threads: any. */
DX_NODISCARD int dxi_direct_answer_read(const char *text, dxi_direct_answer_t *answer_out,
                                        dx_error_t *error);
typedef void (*dxi_direct_name_fn)(void *context, const char *name);
DX_NODISCARD int dxi_direct_names_read(const char *text, dxi_direct_name_fn visit, void *context,
                                       dx_error_t *error);

#endif
