/* See streams.h. */
#include "model/streams.h"

#include <stddef.h>

#include "base/error.h"

/* The order of a remembered key, which everybody sees, and of a row that sees nothing but those and
 * itself. */
enum { ORDER_SEEN_BY_ALL = -1, ORDER_SEES_NO_ORDER = 0 };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t streams_keys_max(const struct model_options *options, const struct batch_limits *limits)
{
    return limits->token_count +
           limits->sequence_count * smaller(options->memory_tokens, limits->token_count);
}

int64_t streams_keys_longest(const struct model_options *options, const struct batch_limits *limits)
{
    return smaller(options->positions, limits->token_count) +
           smaller(options->memory_tokens, limits->token_count);
}

/* Tokens of sequence b that those behind it may remember. */
static int64_t tokens_remembered(const struct model_options *options, const struct batch *batch,
                                 int64_t b)
{
    const int64_t length = batch->starts[b + 1] - batch->starts[b];
    return options->memory_reuse == 0 ? length : smaller(length, options->memory_reuse);
}

/* The keys that sequence b remembers, oldest first: the last memory_tokens of what the sequences of
 * its chain hand on. */
static void plan_memory(struct streams *streams, const struct model_options *options,
                        const struct batch *batch, int64_t b)
{
    int64_t first = b;
    int64_t found = 0;
    while (batch->chained && first > 0 && batch->continues[first] != 0 &&
           found < options->memory_tokens) {
        first--;
        found += tokens_remembered(options, batch, first);
    }
    int64_t skipped = found > options->memory_tokens ? found - options->memory_tokens : 0;
    streams->memory_counts[b] = (int32_t)(found - skipped);
    for (; first < b; first++) {
        const int64_t count = tokens_remembered(options, batch, first);
        for (int64_t t = skipped; t < count; t++) {
            const int64_t key = streams->key_count++;
            streams->key_rows[key] = (int32_t)(batch->starts[first] + t);
            streams->key_orders[key] = ORDER_SEEN_BY_ALL;
            streams->key_segments[key] = 0;
        }
        skipped = 0;
    }
}

/* The tokens of sequence b, as keys and as rows of the content stream. */
static void plan_content(struct streams *streams, const struct model_options *options,
                         const struct batch *batch, int64_t b)
{
    for (int32_t row = batch->starts[b]; row < batch->starts[b + 1]; row++) {
        const int64_t key = streams->key_count++;
        const int32_t t = row - batch->starts[b];
        const int32_t segment = batch->segments == NULL ? 0 : batch->segments[row];
        streams->key_rows[key] = row;
        streams->key_segments[key] = segment;
        streams->query_segments[row] = segment;
        streams->places[row] = streams->memory_counts[b] + t;
        if (batch->permuted) {
            streams->key_orders[key] = batch->orders[row];
            streams->query_orders[row] = batch->horizons[row];
        } else {
            streams->key_orders[key] = options->one_way ? t : ORDER_SEEN_BY_ALL;
            streams->query_orders[row] = options->one_way ? t : ORDER_SEES_NO_ORDER;
        }
    }
}

/* The query stream's rows: one for each target of sequence b. */
static void plan_queries(struct streams *streams, const struct batch *batch, int64_t b)
{
    const int64_t n = batch->token_count;
    while (streams->query_count < batch->target_count &&
           batch->target_rows[streams->query_count] < batch->starts[b + 1]) {
        const int64_t k = streams->query_count++;
        const int32_t row = batch->target_rows[k];
        streams->query_rows[k] = (int32_t)(n + k);
        streams->places[n + k] = streams->places[row];
        streams->query_orders[n + k] = streams->query_orders[row];
        streams->query_segments[n + k] = streams->query_segments[row];
    }
}

/* Widens the range of distances (`least` to `most`) to what sequence b may ask for: from its tokens
 * to its keys. */
static void plan_distances(const struct streams *streams, const struct batch *batch, int64_t b,
                           int64_t *least, int64_t *most)
{
    const bool reversed = batch->chained && batch->reversed[b] != 0;
    const int64_t back = streams->key_starts[b + 1] - streams->key_starts[b] - 1;
    const int64_t ahead = batch->starts[b + 1] - batch->starts[b] - 1;
    const int64_t low = reversed ? -back : -ahead;
    const int64_t high = reversed ? ahead : back;
    *least = low < *least ? low : *least;
    *most = high > *most ? high : *most;
}

void streams_plan(struct streams *streams, const struct model_options *options,
                  const struct batch *batch)
{
    int64_t least = 0;
    int64_t most = 0;
    streams->query_count = 0;
    streams->key_count = 0;
    for (int64_t b = 0; b < batch->sequence_count; b++) {
        streams->key_starts[b] = (int32_t)streams->key_count;
        streams->query_starts[b] = (int32_t)streams->query_count;
        plan_memory(streams, options, batch, b);
        plan_content(streams, options, batch, b);
        streams->key_starts[b + 1] = (int32_t)streams->key_count;
        plan_distances(streams, batch, b, &least, &most);
        if (batch->permuted) {
            plan_queries(streams, batch, b);
        }
        streams->query_starts[b + 1] = (int32_t)streams->query_count;
    }
    INVARIANT(streams->query_count == 0 || streams->query_count == batch->target_count);
    streams->distance_first = most;
    streams->zero_row = most;
    streams->distance_count = most - least + 1;
}
