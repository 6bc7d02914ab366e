/* Who sees whom in attention by distance (Transformer-XL, XLNet), as the kernel wants to hear it
 * (struct kernels_relative_shape), worked out once for a batch. No arithmetic happens here.
 *
 * Rows. The content stream has a row for each token; where the batch is permuted, the query
 * stream follows it with a row for each target, which stands at the target's place and does not see
 * it. All other parts of the network take both for one list of R = N + Q rows.
 *
 * Memory. What a sequence remembers of the ones before it is what entered the same layer there. All
 * sequences of a batch go through a layer together, so those states are at hand: the keys of a
 * sequence are rows of the batch itself, the remembered ones first. No state outlives a batch, and
 * nothing is computed twice. Gradients stop where a row is remembered (two_stream.h). */
#ifndef SHARDLM_MODEL_STREAMS_H
#define SHARDLM_MODEL_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "data_pipeline/batch.h"
#include "model/model_options.h"

struct streams {
    int64_t query_count; /* Q: K or 0 */
    int64_t key_count;   /* all sequences' keys */
    int64_t zero_row;    /* of the table of distances (two_stream.h), from distance_first on */
    int64_t distance_first;
    int64_t distance_count;  /* rows of it that this batch may need */
    int32_t *key_starts;     /* (B + 1) */
    int32_t *memory_counts;  /* (B) keys of the sequence that are remembered: its first ones */
    int32_t *key_rows;       /* (keys) row of the batch */
    int32_t *key_orders;     /* (keys) */
    int32_t *key_segments;   /* (keys); remembered ones are of segment 0 */
    int32_t *places;         /* (R) a row's own key, counted from its sequence's first */
    int32_t *query_orders;   /* (R) */
    int32_t *query_segments; /* (R) */
    int32_t *query_starts;   /* (B + 1) of the query stream, from 0 */
    int32_t *query_rows;     /* (Q) N, N + 1, ... */
};

/* Most keys of one batch, and of one sequence. */
int64_t streams_keys_max(const struct model_options *options, const struct batch_limits *limits);
int64_t streams_keys_longest(const struct model_options *options,
                             const struct batch_limits *limits);

/* Fills everything; the arrays are the caller's. */
void streams_plan(struct streams *streams, const struct model_options *options,
                  const struct batch *batch);

#endif
