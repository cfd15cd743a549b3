/* bus/texts.h - options and statistics as JSON, in the payloads of SUBSCRIBE, TOPIC_CREATE,
 * TOPIC_CHANGE and TOPIC_INFO frames. The keys are those of the structs in disruptorx/bus.h,
 * choices are words ("drop", "block"), what is 0 is left out; unknown keys are refused by their
 * name, so that nobody believes in an option that does nothing. docs/protocol.md lists them.
 *
 * Used by both sides: sessions (src/bus) and the client (src/client).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_TEXTS_H
#define DXI_BUS_TEXTS_H

#include "disruptorx/bus.h"

#define DXI_TEXT_BYTES_MAX 8192 /* of one options object */

/* Writers: the text with its NUL into `text_out`. Return its length, or DX_ELIMIT.
 * Threads: any, here and below. */
int64_t dxi_subscription_options_write(const dx_subscription_options_t *options, char *text_out,
                                       size_t text_bytes);
int64_t dxi_topic_options_write(const dx_topic_options_t *options, char *text_out,
                                size_t text_bytes);
int64_t dxi_topic_stats_write(const dx_topic_stats_t *stats, char *text_out, size_t text_bytes);

/* Readers. Texts in the options point into `texts_out`, which the caller keeps.
 * Return DX_OK, DX_EPARSE, DX_EINVAL (an unknown key, a value out of its bounds), DX_ELIMIT. */
DX_NODISCARD int dxi_subscription_options_read(const char *text, size_t bytes,
                                               dx_subscription_options_t *options_out,
                                               char texts_out[DXI_TEXT_BYTES_MAX],
                                               dx_error_t *error);
DX_NODISCARD int dxi_topic_options_read(const char *text, size_t bytes,
                                        dx_topic_options_t *options_out, dx_error_t *error);
DX_NODISCARD int dxi_topic_stats_read(const char *text, size_t bytes, dx_topic_stats_t *stats_out,
                                      dx_error_t *error);

#endif
