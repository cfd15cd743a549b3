/* bus/filter.h - which events a subscription wants, said as text.
 *
 *     key = "AAPL" and header.kind != "test"
 *     header.price >= 10.5 or (topic ^= "orders." and exists header.urgent)
 *
 *     expression  = sequence { "or" sequence }
 *     sequence    = term { "and" term }
 *     term        = "(" expression ")" | "exists" field | field operator value
 *     field       = "key" | "topic" | "header." name        name: letters, digits, - _ .
 *     operator    = "=" | "!=" | "<" | "<=" | ">" | ">=" | "^="      ^= begins with
 *     value       = number | '"' text '"'                   \" and \\ in the text
 *
 * Bytes are compared as bytes. Where the value is a number without quotes, or an order is asked
 * for, and both sides are decimal numbers, they are compared as numbers. What an event does not
 * have is equal to nothing: every comparison with it is false but !=.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_FILTER_H
#define DXI_BUS_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "disruptorx/error.h"
#include "disruptorx/frame.h"

#define DXI_FILTER_DEPTH_MAX 8 /* parentheses in parentheses */

typedef struct dxi_filter dxi_filter_t;

/* Threads: any, here and below.
 * Returns DX_OK, DX_EPARSE with the place and what was expected there, DX_ELIMIT, DX_ENOMEM. */
DX_NODISCARD int dxi_filter_create(const char *text, size_t bytes, dxi_filter_t **filter_out,
                                   dx_error_t *error);
void dxi_filter_destroy(dxi_filter_t *filter);

/* Whether the event passes. */
bool dxi_filter_passes(const dxi_filter_t *filter, const dx_frame_view_t *event);

#endif
