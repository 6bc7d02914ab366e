/* The sums of a piece: of a group's part under one lock (struct node_piece), which whoever calls
 * holds. Units and bounds: accumulator.h. */
#ifndef SHARDLM_SHARD_PIECE_SUMS_H
#define SHARDLM_SHARD_PIECE_SUMS_H

#include "kernels/kernels.h"
#include "model/gradient_blocks.h"
#include "shard/node_state.h"
#include "shard/partition.h"

struct piece_sums {
    const struct kernels *kernels;
    struct node_state *node;
    struct node_piece *piece;
    struct partition_range part; /* its elements */
    int limit_bits;              /* a slot's |element| < 2^limit_bits */
    float *values;               /* scratch (PARAMETER_BLOCK) */
    bool zeroed; /* zeroes, or sums of other workers, stand there before the first slot */
};

/* Adds a slot's gradient of `group`, of which it has the `blocks` (NULL: all); the first one
 * writes. The `last` one of the step makes the sums complete, and the norms of the piece's blocks
 * are written, too, if any slot has written it. False if an element is bad. Local. */
bool piece_sums_add(const struct piece_sums *sums, const struct parameter_group *group,
                    const struct gradient_blocks *blocks, const float *gradient, bool last);
/* Σ gradient² of a block of sums, in their units. Local. */
double piece_sums_block_norm(const struct kernels *kernels, const int64_t *sums, float *values);

#endif
