/* fuzz_filter.c - any text as a filter: it is refused with a sentence, or asked about two events.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/filter.h"
#include "disruptorx/bus.h"
#include "fuzz_frame.h"

static dx_frame_view_t event_make(char *frame, size_t room, bool full)
{
    const dx_frame_part_t parts[] = {dx_frame_part_text(DX_PART_TOPIC, "orders.created"),
                                     dx_frame_part_text(DX_PART_KEY, "AAPL")};
    const dx_frame_pair_t pairs[] = {{"kind", "order", 4, 5}, {"price", "10.5", 5, 4}};
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH,
                                    .parts = parts,
                                    .part_count = full ? 2 : 1,
                                    .headers = pairs,
                                    .header_count = full ? 2 : 0};
    dx_frame_view_t view;
    const int64_t bytes = dx_frame_encode(frame, room, &draft, NULL, NULL);
    FUZZ_REQUIRE(bytes > 0 && dx_frame_decode(frame, (size_t)bytes, &view, NULL) == DX_OK);
    return view;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t bytes = 0;
    char *const text = fuzz_copy(data, size, &bytes);
    dxi_filter_t *filter = NULL;
    dx_error_t error = {0};
    const int code = dxi_filter_create(text, bytes, &filter, &error);
    free(text); /* nothing of it is kept */
    if (code != DX_OK) {
        FUZZ_REQUIRE(filter == NULL && error.code == code && error.message[0] != '\0');
        return 0;
    }
    __attribute__((aligned(8))) char frame[512];
    for (int full = 0; full < 2; full++) {
        const dx_frame_view_t view = event_make(frame, sizeof frame, full != 0);
        const bool passes = dxi_filter_passes(filter, &view);
        FUZZ_REQUIRE(dxi_filter_passes(filter, &view) == passes);
    }
    dxi_filter_destroy(filter);
    return 0;
}
