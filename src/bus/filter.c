/* filter.c - text becomes terms, terms are asked about an event.
 *
 * DESIGN
 *
 * A filter is a tree in an array: nodes `and` and `or` with two children, and terms. It is parsed
 * by recursive descent, whose depth parentheses bound, and asked the same way, left before right,
 * until the answer is sure. Texts are kept, without their backslashes, in one block with the nodes.
 *
 * INVARIANTS
 *
 *   I1  children stand in the array before their parent, so there is no cycle
 *   I2  at most DX_FILTER_TERMS_MAX terms, so less than twice as many nodes
 *   I3  asking allocates nothing and reads nothing outside the event and the filter
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/filter.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "bus/shard.h"

#define NODES_MAX (2 * DX_FILTER_TERMS_MAX)
#define NUMBER_BYTES_MAX 64

typedef enum node_type { NODE_AND, NODE_OR, NODE_TERM } node_type_t;
typedef enum field { FIELD_KEY, FIELD_TOPIC, FIELD_HEADER } field_t;
typedef enum operation {
    OPERATION_EQUAL,
    OPERATION_UNEQUAL,
    OPERATION_LESS,
    OPERATION_LESS_EQUAL,
    OPERATION_GREATER,
    OPERATION_GREATER_EQUAL,
    OPERATION_BEGINS,
    OPERATION_EXISTS,
} operation_t;

typedef struct text {
    const char *at;
    size_t bytes;
} text_t;

typedef struct node {
    uint8_t type;
    uint8_t field;
    uint8_t operation;
    uint8_t left, right; /* children */
    bool bare;           /* the value stands without quotes */
    bool numeric;        /* the value is a number */
    double number;
    text_t name; /* of the header; ends in NUL */
    text_t value;
} node_t;

struct dxi_filter {
    uint32_t root;
    uint32_t count;
    node_t nodes[NODES_MAX];
    char texts[]; /* names and values */
};

/* -------------------------------------------------------------------------------------- numbers */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal number: sign, digits, fraction. Independent of the locale. */
static bool number_read(text_t text, double *number_out)
{
    size_t i = text.bytes != 0 && (text.at[0] == '-' || text.at[0] == '+');
    const bool negative = i != 0 && text.at[0] == '-';
    double number = 0;
    double scale = 1;
    bool digits = false;
    bool fraction = false;
    for (; i < text.bytes; i++) {
        if (text.at[i] == '.' && !fraction) {
            fraction = true;
        } else if (is_digit(text.at[i])) {
            digits = true;
            number = number * 10 + (text.at[i] - '0');
            scale = fraction ? scale * 10 : scale;
        } else {
            return false;
        }
    }
    *number_out = (negative ? -number : number) / scale;
    return digits && text.bytes <= NUMBER_BYTES_MAX;
}

/* -------------------------------------------------------------------------------------- parsing */

typedef struct parser {
    const char *start;
    const char *at;
    const char *end;
    char *room; /* for the next text */
    dxi_filter_t *filter;
    uint32_t terms;
    dx_error_t *error;
} parser_t;

static int expected(const parser_t *parser, const char *what)
{
    return dxi_fail(parser->error, DX_EPARSE, "the filter has no %s at byte %zu (\"%.*s\")", what,
                    (size_t)(parser->at - parser->start) + 1,
                    (int)(parser->end - parser->at < 20 ? parser->end - parser->at : 20),
                    parser->at);
}

static void blanks_skip(parser_t *parser)
{
    while (parser->at != parser->end && (*parser->at == ' ' || *parser->at == '\t' ||
                                         *parser->at == '\n' || *parser->at == '\r')) {
        parser->at++;
    }
}

static bool is_name(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '.';
}

/* Takes this text if it is next; a word only when it ends there. */
static bool take(parser_t *parser, const char *text)
{
    blanks_skip(parser);
    const size_t bytes = strlen(text);
    const size_t left = (size_t)(parser->end - parser->at);
    if (left < bytes || memcmp(parser->at, text, bytes) != 0 ||
        (is_name(text[bytes - 1]) && left > bytes && is_name(parser->at[bytes]))) {
        return false;
    }
    parser->at += bytes;
    return true;
}

static node_t *node_add(parser_t *parser, node_type_t type, uint8_t *index_out)
{
    dxi_filter_t *const filter = parser->filter;
    *index_out = (uint8_t)filter->count;
    node_t *const node = &filter->nodes[filter->count++];
    *node = (node_t){.type = (uint8_t)type};
    return node;
}

static int field_parse(parser_t *parser, node_t *node)
{
    static const char HEADER[] = "header.";
    const size_t prefix_bytes = sizeof HEADER - 1;
    if (take(parser, "key")) {
        node->field = FIELD_KEY;
        return DX_OK;
    }
    if (take(parser, "topic")) {
        node->field = FIELD_TOPIC;
        return DX_OK;
    }
    const char *name = parser->at + prefix_bytes;
    if ((size_t)(parser->end - parser->at) <= prefix_bytes ||
        memcmp(parser->at, HEADER, prefix_bytes) != 0 || !is_name(*name)) {
        return expected(parser, "key, topic or header.NAME");
    }
    node->field = FIELD_HEADER;
    node->name.at = parser->room;
    for (; name != parser->end && is_name(*name); name++) {
        *parser->room++ = *name;
        node->name.bytes++;
    }
    *parser->room++ = '\0';
    parser->at = name;
    return DX_OK;
}

static int operation_parse(parser_t *parser, node_t *node)
{
    static const struct {
        const char *text; /* longer ones first */
        operation_t operation;
    } OPERATIONS[] = {
        {"!=", OPERATION_UNEQUAL}, {"<=", OPERATION_LESS_EQUAL}, {">=", OPERATION_GREATER_EQUAL},
        {"^=", OPERATION_BEGINS},  {"=", OPERATION_EQUAL},       {"<", OPERATION_LESS},
        {">", OPERATION_GREATER},
    };
    for (size_t i = 0; i < sizeof OPERATIONS / sizeof OPERATIONS[0]; i++) {
        if (take(parser, OPERATIONS[i].text)) {
            node->operation = (uint8_t)OPERATIONS[i].operation;
            return DX_OK;
        }
    }
    return expected(parser, "operator (= != < <= > >= ^=)");
}

/* What stands between quotes. */
static int quoted_parse(parser_t *parser, node_t *node)
{
    for (;; parser->at++) {
        if (parser->at == parser->end) {
            return expected(parser, "closing quote");
        }
        if (*parser->at == '"') {
            parser->at++;
            return DX_OK;
        }
        if (*parser->at == '\\') {
            parser->at++;
            if (parser->at == parser->end || (*parser->at != '"' && *parser->at != '\\')) {
                return expected(parser, "\\\" or \\\\ behind a backslash");
            }
        }
        *parser->room++ = *parser->at;
        node->value.bytes++;
    }
}

static int value_parse(parser_t *parser, node_t *node)
{
    blanks_skip(parser);
    node->value.at = parser->room;
    if (take(parser, "\"")) {
        const int code = quoted_parse(parser, node);
        node->numeric = code == DX_OK && number_read(node->value, &node->number);
        return code;
    }
    text_t bare = {.at = parser->at};
    while (bare.at + bare.bytes != parser->end &&
           (is_name(bare.at[bare.bytes]) || bare.at[bare.bytes] == '+')) {
        bare.bytes++;
    }
    if (!number_read(bare, &node->number)) {
        return expected(parser, "number or text in quotes");
    }
    node->bare = true;
    node->numeric = true;
    memcpy(parser->room, bare.at, bare.bytes);
    node->value.bytes = bare.bytes;
    parser->room += bare.bytes;
    parser->at += bare.bytes;
    return DX_OK;
}

static int expression_parse(parser_t *parser, uint32_t depth, uint8_t *index_out);

static int term_parse(parser_t *parser, uint32_t depth, uint8_t *index_out)
{
    if (take(parser, "(")) {
        if (depth == DXI_FILTER_DEPTH_MAX) {
            return dxi_fail(parser->error, DX_ELIMIT,
                            "the filter has parentheses more than %d deep", DXI_FILTER_DEPTH_MAX);
        }
        const int code = expression_parse(parser, depth + 1, index_out);
        if (code != DX_OK) {
            return code;
        }
        return take(parser, ")") ? DX_OK : expected(parser, "closing parenthesis");
    }
    if (++parser->terms > DX_FILTER_TERMS_MAX) {
        return dxi_fail(parser->error, DX_ELIMIT, "the filter has more than %d comparisons",
                        DX_FILTER_TERMS_MAX);
    }
    node_t *const node = node_add(parser, NODE_TERM, index_out);
    const bool exists = take(parser, "exists");
    blanks_skip(parser);
    int code = field_parse(parser, node);
    if (code != DX_OK || exists) {
        node->operation = OPERATION_EXISTS;
        return code;
    }
    code = operation_parse(parser, node);
    return code == DX_OK ? value_parse(parser, node) : code;
}

/* Terms with `and` between them, or sequences with `or`. */
static int chain_parse(parser_t *parser, uint32_t depth, node_type_t type, uint8_t *index_out)
{
    const char *const word = type == NODE_AND ? "and" : "or";
    uint8_t left = 0;
    int code = type == NODE_AND ? term_parse(parser, depth, &left)
                                : chain_parse(parser, depth, NODE_AND, &left);
    while (code == DX_OK && take(parser, word)) {
        uint8_t right = 0;
        code = type == NODE_AND ? term_parse(parser, depth, &right)
                                : chain_parse(parser, depth, NODE_AND, &right);
        if (code == DX_OK) {
            uint8_t parent = 0;
            node_t *const node = node_add(parser, type, &parent);
            node->left = left;
            node->right = right;
            left = parent;
        }
    }
    *index_out = left;
    return code;
}

static int expression_parse(parser_t *parser, uint32_t depth, uint8_t *index_out)
{
    return chain_parse(parser, depth, NODE_OR, index_out);
}

int dxi_filter_create(const char *text, size_t bytes, dxi_filter_t **filter_out, dx_error_t *error)
{
    *filter_out = NULL;
    if (bytes == 0 || bytes > DX_FILTER_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "the filter has %zu bytes, must have from 1 to %d", bytes,
                        DX_FILTER_BYTES_MAX);
    }
    /* Names get a NUL each; everything else is no longer than in the text. */
    dxi_filter_t *const filter = dxi_alloc_zeroed(1, sizeof *filter + bytes + DX_FILTER_TERMS_MAX);
    if (filter == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a filter");
    }
    parser_t parser = {.start = text,
                       .at = text,
                       .end = text + bytes,
                       .room = filter->texts,
                       .filter = filter,
                       .error = error};
    uint8_t root = 0;
    int code = expression_parse(&parser, 0, &root);
    blanks_skip(&parser);
    if (code == DX_OK && parser.at != parser.end) {
        code = expected(&parser, "\"and\", \"or\" or end");
    }
    if (code != DX_OK) {
        dxi_filter_destroy(filter);
        return code;
    }
    filter->root = root;
    *filter_out = filter;
    return DX_OK;
}

int dxi_filter_check(const char *text, size_t bytes, dx_error_t *error)
{
    dxi_filter_t *filter = NULL;
    const int code = dxi_filter_create(text, bytes, &filter, error);
    dxi_filter_destroy(filter);
    return code;
}

void dxi_filter_destroy(dxi_filter_t *filter)
{
    dxi_free(filter);
}

/* --------------------------------------------------------------------------------------- asking */

static bool field_of(const node_t *node, const dx_frame_view_t *event, text_t *text_out)
{
    uint32_t bytes = 0;
    if (node->field == FIELD_HEADER) {
        dx_frame_pair_t pair;
        if (dx_frame_header_find(event, node->name.at, &pair) != DX_OK) {
            return false;
        }
        *text_out = (text_t){pair.value, pair.value_bytes};
        return true;
    }
    text_out->at =
        dx_frame_part(event, node->field == FIELD_KEY ? DX_PART_KEY : DX_PART_TOPIC, &bytes);
    text_out->bytes = bytes;
    return text_out->at != NULL;
}

/* Below, equal or above 0, as strcmp(). */
static int bytes_compare(text_t a, text_t b)
{
    const size_t shared = a.bytes < b.bytes ? a.bytes : b.bytes;
    const int order = shared != 0 ? memcmp(a.at, b.at, shared) : 0;
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static int compare(const node_t *node, text_t field)
{
    const bool order = node->operation != OPERATION_EQUAL && node->operation != OPERATION_UNEQUAL;
    double number = 0;
    if (node->numeric && (node->bare || order) && number_read(field, &number)) {
        return (number > node->number) - (number < node->number);
    }
    return bytes_compare(field, node->value);
}

static bool term_passes(const node_t *node, const dx_frame_view_t *event)
{
    text_t field;
    if (!field_of(node, event, &field)) {
        return node->operation == OPERATION_UNEQUAL;
    }
    switch (node->operation) {
    case OPERATION_EXISTS:
        return true;
    case OPERATION_BEGINS:
        return field.bytes >= node->value.bytes &&
               (node->value.bytes == 0 || memcmp(field.at, node->value.at, node->value.bytes) == 0);
    case OPERATION_EQUAL:
        return compare(node, field) == 0;
    case OPERATION_UNEQUAL:
        return compare(node, field) != 0;
    case OPERATION_LESS:
        return compare(node, field) < 0;
    case OPERATION_LESS_EQUAL:
        return compare(node, field) <= 0;
    case OPERATION_GREATER:
        return compare(node, field) > 0;
    default:
        return compare(node, field) >= 0;
    }
}

/* As deep as there are nodes at most (I1, I2). */
static bool node_passes(const dxi_filter_t *filter, uint32_t index, const dx_frame_view_t *event)
{
    const node_t *const node = &filter->nodes[index];
    if (node->type == NODE_TERM) {
        return term_passes(node, event);
    }
    const bool left = node_passes(filter, node->left, event);
    const bool sure = node->type == NODE_OR ? left : !left;
    return sure ? left : node_passes(filter, node->right, event);
}

bool dxi_filter_passes(const dxi_filter_t *filter, const dx_frame_view_t *event)
{
    return node_passes(filter, filter->root, event);
}
