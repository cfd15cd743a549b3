/* 03_pipeline.c - three stages in a row: decode -> enrich -> journal.
 *
 * Teaches: dx_group_then(); stages that pass work on by writing into the event; end_of_batch as the
 * moment to flush, so that a file is written once per batch and not once per event; publishing
 * batches with dx_producer_prefetch(), which hides the transfer of the line from the last reader.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <disruptorx/disruptor.h>

#define TRADES 4000
#define BATCH 16

typedef struct trade {
    char text[40];    /* from the producer: "<id>,<price>,<quantity>" */
    int64_t id;       /* from decode */
    int64_t price;    /* from decode */
    int64_t quantity; /* from decode */
    int64_t value;    /* from enrich */
} trade_t;

typedef struct journal {
    FILE *file;
    int64_t unflushed; /* lines written since the last flush */
    int64_t flushes;
} journal_t;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "03_pipeline: %s\n", sentence);
        exit(1);
    }
}

static dx_error_t error; /* of the main thread */

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

static int decode(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    trade_t *trade = event;
    (void)context, (void)sequence, (void)end_of_batch;
    const int fields = sscanf(trade->text, "%" SCNd64 ",%" SCNd64 ",%" SCNd64, &trade->id,
                              &trade->price, &trade->quantity);
    return fields == 3 ? DX_HANDLER_CONTINUE : DX_EPARSE; /* goes to the error policy: fatal */
}

static int enrich(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    trade_t *trade = event;
    (void)context, (void)sequence, (void)end_of_batch;
    trade->value = trade->price * trade->quantity;
    return DX_HANDLER_CONTINUE;
}

static int journal_trade(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    journal_t *journal = context;
    const trade_t *trade = event;
    if (fprintf(journal->file, "%" PRId64 " %" PRId64 " %" PRId64 "\n", sequence, trade->id,
                trade->value) < 0) {
        return DX_EIO;
    }
    journal->unflushed++;
    if (end_of_batch) {
        if (fflush(journal->file) != 0) {
            return DX_EIO;
        }
        journal->unflushed = 0;
        journal->flushes++;
    }
    return DX_HANDLER_CONTINUE;
}

static void publish_trades(dx_ring_t *ring)
{
    dx_producer_t producer;
    must(dx_producer_open(&producer, ring, NULL, &error));
    dx_producer_assume_single(&producer);
    for (int64_t id = 0; id < TRADES;) {
        const int64_t last = dx_producer_claim_n(&producer, BATCH);
        require(last >= 0, dx_error_text((int)last));
        const int64_t first = last - BATCH + 1;
        for (int64_t sequence = first; sequence <= last; sequence++, id++) {
            dx_producer_prefetch(&producer, sequence);
            trade_t *trade = DX_PRODUCER_EVENT(&producer, sequence, trade_t);
            (void)snprintf(trade->text, sizeof(trade->text), "%" PRId64 ",%" PRId64 ",%" PRId64, id,
                           100 + id % 7, 1 + id % 5);
        }
        must(dx_producer_publish_range(&producer, first, last));
    }
    dx_producer_close(&producer);
}

int main(void)
{
    journal_t journal = {.file = tmpfile()};
    require(journal.file != NULL, "no temporary file can be made");

    dx_disruptor_t *disruptor = NULL;
    const dx_disruptor_options_t options = {
        .ring = {.slot_count = 512, .event_bytes = sizeof(trade_t)}};
    const dx_handler_t stages[] = {
        {.name = "decode", .on_event = decode},
        {.name = "enrich", .on_event = enrich},
        {.name = "journal", .context = &journal, .on_event = journal_trade, .batch_max = 64},
    };
    must(dx_disruptor_create(&options, &disruptor, &error));
    dx_group_t group;
    must(dx_disruptor_handle_events_with(disruptor, &stages[0], 1, &group, &error));
    must(dx_group_then(group, &stages[1], 1, &group, &error));
    must(dx_group_then(group, &stages[2], 1, &group, &error));
    must(dx_disruptor_start(disruptor, &error));
    publish_trades(dx_disruptor_ring(disruptor));
    must(dx_disruptor_shutdown(disruptor, DX_FOREVER, &error));
    dx_disruptor_destroy(disruptor);

    require(journal.unflushed == 0, "the end of a batch was not announced");
    require(journal.flushes >= TRADES / 64 && journal.flushes <= TRADES, "flushes do not add up");
    rewind(journal.file);
    for (int64_t expected = 0; expected < TRADES; expected++) {
        int64_t sequence = -1, id = -1, value = -1;
        require(fscanf(journal.file, "%" SCNd64 " %" SCNd64 " %" SCNd64, &sequence, &id, &value) ==
                    3,
                "the journal is too short");
        require(sequence == expected && id == expected, "the journal is out of order");
        require(value == (100 + id % 7) * (1 + id % 5), "a value in the journal is wrong");
    }
    (void)fclose(journal.file);
    printf("%d trades journalled in order, flushed at the end of each batch\n", TRADES);
    return 0;
}
