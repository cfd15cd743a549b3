/* patterns.c - what patterns match together: pure questions about sets of topics.
 *
 * DESIGN
 *
 * A pattern is a set of topics: `*` is any one part, `>` as the last is one or more of them
 * (wire/topic_name.h). Who wants to subscribe to a pattern must be allowed all of the set, so two
 * questions about sets are asked: does a deny rule have a topic in common with it, and do the allow
 * rules together have all of it.
 *
 * Meeting. Two parts can be the same unless both are literal and differ; `>` takes whatever the
 * other has left, which is at least one part. A first `*` or `>` never is a name that begins with
 * '$'.
 *
 * Covering. The union of rules may cover what no rule covers alone: "a.*" and "a.*.>" together are
 * "a.>". Parts can be anything, so it is enough to try one topic for each number of parts: the one
 * that has in the place of each wildcard a part that stands in no rule (FRESH, a byte that no rule
 * may have). Only a wildcard of a rule matches it, and such a rule matches every other part there
 * as well. A pattern that ends in `>` stands for as many topics as there can be parts: at most
 * DXI_TOPIC_TOKENS_MAX, and no name is longer than DX_FRAME_TOPIC_BYTES_MAX.
 *
 * INVARIANTS (tests/unit/test_access_patterns.c asks all small patterns, and tries all names)
 *
 *   P1  what is said to be covered is matched, name by name
 *   P2  patterns that are said not to meet have no name in common
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/patterns.h"

#include <assert.h>
#include <string.h>

#include "wire/topic_name.h"

#define FRESH '\x01'

/* ------------------------------------------------------------------------------------- meeting */

/* A walk over the parts of a pattern. */
typedef struct walk {
    const char *part, *end;
    size_t bytes; /* of this part */
    bool over;
} walk_t;

static void part_measure(walk_t *walk)
{
    const char *const dot = memchr(walk->part, '.', (size_t)(walk->end - walk->part));
    walk->bytes = (size_t)((dot != NULL ? dot : walk->end) - walk->part);
}

static walk_t walk_begin(const char *pattern, size_t bytes)
{
    walk_t walk = {.part = pattern, .end = pattern + bytes};
    part_measure(&walk);
    return walk;
}

static void walk_on(walk_t *walk)
{
    walk->part += walk->bytes;
    walk->over = walk->part == walk->end;
    if (!walk->over) {
        walk->part++; /* the dot */
        part_measure(walk);
    }
}

static bool is_wild(const walk_t *walk, char which)
{
    return walk->bytes == 1 && walk->part[0] == which;
}

bool dxi_patterns_meet(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    walk_t one = walk_begin(a, a_bytes), other = walk_begin(b, b_bytes);
    const bool one_wild = is_wild(&one, '*') || is_wild(&one, '>');
    const bool other_wild = is_wild(&other, '*') || is_wild(&other, '>');
    if ((one_wild && b_bytes != 0 && b[0] == '$') || (other_wild && a_bytes != 0 && a[0] == '$')) {
        return false;
    }
    while (!one.over && !other.over) {
        if (is_wild(&one, '>') || is_wild(&other, '>')) {
            return true;
        }
        if (!is_wild(&one, '*') && !is_wild(&other, '*') &&
            (one.bytes != other.bytes || memcmp(one.part, other.part, one.bytes) != 0)) {
            return false;
        }
        walk_on(&one);
        walk_on(&other);
    }
    return one.over && other.over;
}

/* ------------------------------------------------------------------------------------- covering */

/* A topic of a pattern that has FRESH in the place of each wildcard. */
typedef struct sample {
    char name[DX_FRAME_TOPIC_BYTES_MAX + 2]; /* and one part more, before its length is looked at */
    size_t bytes;
    uint32_t parts;
    bool goes_on; /* the pattern ends in `>` */
} sample_t;

static void sample_make(const char *pattern, size_t bytes, sample_t *sample)
{
    assert(bytes <= DX_FRAME_TOPIC_BYTES_MAX);
    sample->bytes = bytes;
    sample->parts = 0;
    sample->goes_on = false;
    memcpy(sample->name, pattern, bytes);
    for (walk_t walk = walk_begin(pattern, bytes); !walk.over; walk_on(&walk)) {
        sample->parts++;
        sample->goes_on = is_wild(&walk, '>');
        if (sample->goes_on || is_wild(&walk, '*')) {
            sample->name[walk.part - pattern] = FRESH;
        }
    }
}

static bool is_matched(const dxi_access_rule_t *rules, size_t count, const sample_t *sample)
{
    for (size_t i = 0; i < count; i++) {
        if (dxi_pattern_matches(rules[i].pattern, rules[i].bytes, sample->name, sample->bytes)) {
            return true;
        }
    }
    return false;
}

bool dxi_patterns_cover(const dxi_access_rule_t *rules, size_t count, const char *pattern,
                        size_t bytes)
{
    sample_t sample;
    sample_make(pattern, bytes, &sample);
    for (;;) {
        if (!is_matched(rules, count, &sample)) {
            return false;
        }
        if (!sample.goes_on || sample.parts >= DXI_TOPIC_TOKENS_MAX ||
            sample.bytes + 2 > DX_FRAME_TOPIC_BYTES_MAX) {
            return true;
        }
        sample.name[sample.bytes++] = '.';
        sample.name[sample.bytes++] = FRESH;
        sample.parts++;
    }
}
