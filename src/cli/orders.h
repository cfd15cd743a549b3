/* cli/orders.h - the business of the order demonstration: four steps that know nothing of rings.
 *
 *     validate -> { check inventory || verify payment } -> fulfil
 *
 * Each step has a state that only it reads and writes, and its own part of the order. So the two
 * branches may run at the same time, and the result depends on the order of the orders alone: never
 * on timing. To keep that, a branch does not hear of the other's refusal: shares that inventory set
 * aside for an order without funds stay set aside until sellers bring new ones.
 *
 * A refused order is not skipped (DX_HANDLER_SKIP) but carries its refusal in a field, so that
 * fulfil counts every order and says by whom it was refused.
 *
 * Prices are dollars x 10,000, as in the LOBSTER files.
 *
 * Threads: each state belongs to the thread of its step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ORDERS_H
#define DXI_CLI_ORDERS_H

#include <stdint.h>

#include "cli/id_set.h"

/* Why an order is refused: X(name, by, text). Validation's come first, then the branches', then
 * both at once. Names are the keys of the JSON result. */
#define DXI_REFUSAL_LIST(X)                                                                        \
    X(none, "", "accepted")                                                                        \
    X(not_submission, "validate", "not a submission")                                              \
    X(bad_id, "validate", "bad id")                                                                \
    X(bad_size, "validate", "bad size")                                                            \
    X(bad_price, "validate", "bad price")                                                          \
    X(bad_direction, "validate", "bad direction")                                                  \
    X(over_limit, "validate", "over the value limit")                                              \
    X(duplicate_id, "validate", "duplicate id")                                                    \
    X(out_of_stock, "inventory", "out of stock")                                                   \
    X(no_funds, "payment", "no funds")                                                             \
    X(out_of_stock_and_no_funds, "both", "out of stock and no funds")

typedef enum dxi_refusal {
#define DXI_REFUSAL_ENUM(name, by, text) DXI_REFUSAL_##name,
    DXI_REFUSAL_LIST(DXI_REFUSAL_ENUM)
#undef DXI_REFUSAL_ENUM
        DXI_REFUSAL_COUNT
} dxi_refusal_t;

/* Threads: any. */
const char *dxi_refusal_name(dxi_refusal_t refusal);
const char *dxi_refusal_by(dxi_refusal_t refusal);
const char *dxi_refusal_text(dxi_refusal_t refusal);

/* The rules. */
#define DXI_ORDER_TYPE_SUBMISSION 1
#define DXI_ORDER_SIZE_MAX 1000000                /* shares */
#define DXI_ORDER_PRICE_MAX INT64_C(10000000000)  /* 1,000,000 dollars */
#define DXI_ORDER_VALUE_MAX INT64_C(100000000000) /* 10,000,000 dollars */
#define DXI_ACCOUNTS 64                           /* an order's account is its id mod 64 */
#define DXI_STOCK_SHARES 20000                    /* at the start, and never more */
#define DXI_CREDIT_LIMIT INT64_C(2500000000)      /* 250,000 dollars an account */

/* One message, as read from the input. */
typedef struct dxi_order_message {
    int64_t time_ns; /* since midnight */
    int64_t id;
    int64_t size;
    int64_t price;
    int32_t type;
    int32_t direction; /* 1 buys, -1 sells */
} dxi_order_message_t;

/* When a step was done with an order, in nanoseconds. */
typedef struct dxi_step_result {
    int64_t done_ns;
    int32_t refusal; /* dxi_refusal_t */
    int32_t reserved_0;
    int64_t reserved_1[6]; /* fills 64 bytes */
} dxi_step_result_t;

/* The event in the ring. Each part has one writer, and the two branches, which write at the same
 * time, have 64 bytes each. */
typedef struct dxi_order {
    /* publisher */
    dxi_order_message_t message;
    int64_t intended_ns; /* when it should have been sent */
    int64_t sent_ns;
    int64_t reserved_0[1];
    dxi_step_result_t validated;
    dxi_step_result_t inventory;
    dxi_step_result_t payment;
} dxi_order_t;

typedef struct dxi_validation {
    dxi_id_set_t seen; /* ids of valid orders: a refused one may be sent again, corrected */
} dxi_validation_t;

typedef struct dxi_inventory {
    int64_t shares;
} dxi_inventory_t;

typedef struct dxi_payment {
    int64_t credit[DXI_ACCOUNTS]; /* what the account may still spend */
} dxi_payment_t;

typedef struct dxi_fulfilment {
    int64_t orders;
    int64_t counts[DXI_REFUSAL_COUNT]; /* [0]: accepted */
    int64_t dollars;                   /* accepted: sum of size x price, without the fraction */
    int64_t fraction;                  /* the rest, in 1/10,000 dollar */
    uint64_t checksum;                 /* over every order and its fate, in order */
} dxi_fulfilment_t;

void dxi_inventory_begin(dxi_inventory_t *inventory);
void dxi_payment_begin(dxi_payment_t *payment);

/* The steps. Each sets the refusal of its part of the order, and fulfil the totals. */
void dxi_order_validate(dxi_validation_t *validation, dxi_order_t *order);
void dxi_order_check_inventory(dxi_inventory_t *inventory, dxi_order_t *order);
void dxi_order_verify_payment(dxi_payment_t *payment, dxi_order_t *order);
void dxi_order_fulfil(dxi_fulfilment_t *fulfilment, const dxi_order_t *order);

#endif
