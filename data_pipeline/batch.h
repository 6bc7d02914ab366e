/* One slot, ready to compute: whole sequences, packed one after another without padding, with what is to be
 * predicted. A batch is a pure function of (seed, step, slot, corpus, configuration); no worker leaves a trace in it.
 * Axes: B sequences, N tokens in all, K predicted positions. The only header of data_pipeline/ that model/ sees. */
#ifndef SHARDLM_DATA_PIPELINE_BATCH_H
#define SHARDLM_DATA_PIPELINE_BATCH_H

#include <stdint.h>

#include "base/random.h"

struct batch {
    int64_t sequence_count; /* B */
    int64_t token_count;    /* N */
    int64_t target_count;   /* K */
    int32_t *starts;        /* (B + 1) first row of each sequence; starts[B] == N */
    int32_t *ids;           /* (N) token ids as the model sees them: masks and replacements are in */
    int32_t *positions;     /* (N) position within the sequence, from 0 */
    int32_t *segments;      /* (N) segment ids, or NULL where the family has none */
    int32_t *target_rows;   /* (K) rows that are predicted, ascending */
    int32_t *target_ids;    /* (K) the ids that stand there in the text */
    struct random_key dropout_key; /* for this step and slot; counters name layer, place and element */
};

/* Largest slot that a batch buffer holds. */
struct batch_limits {
    int64_t sequence_count;
    int64_t token_count;
    int64_t target_count;
};

/* Takes the arrays (segments too) for `limits` in one block; release with batch_deinit. */
void batch_init(struct batch *batch, const struct batch_limits *limits);
void batch_deinit(struct batch *batch); /* accepts a zeroed batch */

#endif
