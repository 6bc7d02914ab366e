/* One slot, ready to compute: whole sequences, packed one after another without padding, with what is to be
 * predicted. A batch is a pure function of (seed, step, slot, corpus, configuration); no worker leaves a trace in it.
 * Axes: B sequences, N tokens in all, K predicted positions. The only header of data_pipeline/ that model/ sees. */
#ifndef SHARDLM_DATA_PIPELINE_BATCH_H
#define SHARDLM_DATA_PIPELINE_BATCH_H

#include <stdbool.h>
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
    int32_t *target_ids;    /* (K) the ids that stand there in the text; causal: in the next row */
    int32_t *sequence_labels; /* (B) 0 in order, 1 not: next sentence or sentence order; -1: none */
    int32_t *left_rows;       /* (K) row before the target's span; -1: this target has no boundary */
    int32_t *right_rows;      /* (K) row behind it; -1 with left_rows */
    int32_t *span_places;     /* (K) the target's place in its span, from 0; -1 with left_rows */
    float sequence_weight;    /* of one sequence label's loss in units of one target's: the step's
                                 planned targets per planned label, so that both means weigh the same
                                 once the sum is divided by the targets; 0 if nothing is labelled */
    int32_t *visible_lists;     /* (N, 2) or NULL: every token sees as its family does. Of each row the first interval
                                   that it sees and the one behind the last; at least one */
    int32_t *visible_intervals; /* (any, 2): rows [from, to), offsets in the sequence; ascending, apart */
    bool permuted;      /* XLNet: rows see each other as permutation.h says, and the targets are
                           predicted by a second stream of rows, the query stream */
    int32_t *orders;    /* (N) if permuted: */
    int32_t *horizons;  /* (N) i sees j, if not itself, where horizons[i] > orders[j] */
    bool chained;       /* XLNet: sequences remember others */
    int32_t *continues; /* (B) if chained. 1: it remembers the one before it, and what that
                           remembers; 0: it begins anew */
    int32_t *reversed;  /* (B) if chained. 1: its tokens stand from the last to the first, and so do
                           the sequences that it remembers */
    /* NULL, or (B): of a sequence that is only there to be remembered (no targets) the states (L, T, C) that enter its
     * layers, whatever would; else NULL. */
    const float *const *recalled;
    struct random_key dropout_key; /* for this step and slot; counters name layer, place and element */
};

/* Largest slot that a batch buffer holds. */
struct batch_limits {
    int64_t sequence_count;
    int64_t token_count;
    int64_t target_count;
};

/* Takes the arrays (all of them) for `limits` in one block; release with batch_deinit. Labels and boundaries are
 * "none" until somebody sets them. */
void batch_init(struct batch *batch, const struct batch_limits *limits);
void batch_deinit(struct batch *batch); /* accepts a zeroed batch */

#endif
